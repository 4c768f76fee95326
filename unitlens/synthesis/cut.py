"""Cut: a generator run up to a layer, and from there to its pictures, again and again."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from unitlens.errors import OptionError
from unitlens.models.capture import edit, split
from unitlens.models.generators import Adapted
from unitlens.models.hooks import find_layer


class Cut:
    """A generator cut after a layer.

    quick, known after the first `head`: what follows the layer runs alone; otherwise the whole generator does.
    """

    def __init__(self, generator: Any, layer: str):
        find_layer(generator, layer)
        self.generator, self.layer = generator, layer
        plain = isinstance(generator, Adapted) and generator.classes is None
        self.split = split(generator.inner if plain else generator, layer)
        self.able = hasattr(generator, "pictures")
        self.quick: bool | None = None
        self._output: Tensor | None = None

    def head(self, latents: Tensor) -> Tensor:
        """What the layer returns for latents: (B, U, h, w), detached."""
        output = self.split.head(latents)
        if output.ndim != 4:
            raise OptionError(
                f"layer {self.layer!r}: expected units on a grid (B, U, h, w), got {tuple(output.shape)}. "
                "Choose a convolution."
            )
        self.quick = self.able and bool(self.split.exact_tail)
        return output

    def pictures(self, output: Tensor, latents: Tensor) -> Tensor:
        """The pictures (B, 3, H, W) in [0, 1] that follow from what the layer returned, B times.

        latents: of the same pictures; needed where the rest of the generator does not run alone."""
        if self.quick:
            return self.generator.pictures(self.split.tail(output))
        with edit(self.generator, {self.layer: lambda _: output.clone()}):
            return self.generator.generate(latents)

    def differentiable(self, output: Tensor, latents: Tensor) -> Tensor:
        """The same with gradients with respect to `output`."""
        if not self.quick:
            raise OptionError(
                f"layer {self.layer!r}: its rest cannot run alone (something goes round it, or the generator has no "
                "method `pictures`), so there is no gradient. Choose a layer after the whole block."
            )
        value: Any = output
        for step in self.split.steps:
            value = step(value)
        return self.generator.pictures(value)
