"""Generators: what a module that turns latents into pictures has to offer, and any such module as one that does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.errors import OptionError, ShapeMismatch
from unitlens.models.hooks import at_rest

DISTRIBUTIONS = ("normal", "uniform")


@runtime_checkable
class Generator(Protocol):
    """A torch.nn.Module that also has these two.

    latents: `count` latents of a seed, the first ones the same for every count.
    generate: float32 pictures (B, 3, H, W) in [0, 1] of latents, by calling the module once, without gradients.

    A module whose `generate(z)` is `pictures(self(z))` with a method `pictures` of outputs can be edited half way, so
    that what comes before an edited layer is not computed again.
    """

    def latents(self, count: int, seed: int = 0) -> Tensor: ...

    def generate(self, latents: Tensor) -> Tensor: ...


class Generates:
    """The methods of a generator, for modules that take latents of one shape and return numbers of one range.

    latent_shape: of one latent. values: what the module returns for black and for white.
    """

    latent_shape: tuple[int, ...]
    values: tuple[float, float] = (0.0, 1.0)

    def latents(self, count: int, seed: int = 0) -> Tensor:
        """Standard normal latents float32 (count, *latent_shape) of numpy's RandomState; a longer run begins with a
        shorter one [paper.md 2.8]. Raises OptionError for a count below 1."""
        return standard_normal(count, self.latent_shape, seed)

    def pictures(self, output: Tensor) -> Tensor:
        """What the module returned, as pictures in [0, 1], float32 (B, 3, H, W)."""
        black, white = self.values
        return ((output.float() - black) / (white - black)).clamp(0, 1)

    def generate(self, latents: Tensor) -> Tensor:
        """Pictures float32 (B, 3, H, W) in [0, 1], on the device of the module. Raises ShapeMismatch."""
        module: Any = self
        check_latents(latents, self.latent_shape)
        with at_rest(module, latents):
            return self.pictures(module(latents))


def standard_normal(count: int, shape: Sequence[int], seed: int) -> Tensor:
    """Standard normal numbers float32 (count, *shape) of numpy's RandomState(seed).

    >>> [round(float(z), 4) for z in standard_normal(2, (512,), seed=1)[0, :4]]
    [1.6243, -0.6118, -0.5282, -1.073]
    """
    numbers = _dice(count, seed).standard_normal(count * math.prod(shape))
    return torch.from_numpy(numbers.reshape(count, *shape).astype(np.float32))


def _dice(count: int, seed: int) -> np.random.RandomState:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise OptionError(f"count: expected 1 or more latents, got {count!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise OptionError(f"seed: expected a whole number from 0 on, got {seed!r}")
    return np.random.RandomState(seed)


def check_latents(latents: Tensor, shape: Sequence[int]) -> None:
    """Raises ShapeMismatch unless these are latents of this shape."""
    if not isinstance(latents, Tensor) or tuple(latents.shape[1:]) != tuple(shape):
        got = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
        raise ShapeMismatch(
            f"latents: expected (B, {', '.join(map(str, shape))}), got {got}. "
            "generator.latents(count, seed) makes them."
        )


class Adapted(Generates, nn.Module):
    """Any module as a generator; made by `as_generator`. Its layers have the names that they have in the module.

    Where classes are drawn, a latent is flat and its last number is the class.
    """

    def __init__(
        self, model: nn.Module, latent: tuple[int, ...], values: tuple[float, float], classes: tuple[int, ...] | None,
        one_hot: int, distribution: str,
    ):  # fmt: skip
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)  # first, so that a layer goes by its own name
        self.inner = model
        self.unitlens_name = str(getattr(model, "unitlens_name", type(model).__name__))
        self.own_shape, self.values, self.classes, self.one_hot = latent, values, classes, one_hot
        self.latent_shape = latent if classes is None else (math.prod(latent) + 1,)
        self.distribution = distribution

    def latents(self, count: int, seed: int = 0) -> Tensor:
        if self.distribution == "uniform":
            numbers = _dice(count, seed).uniform(-1, 1, count * math.prod(self.own_shape)).astype(np.float32)
            drawn = torch.from_numpy(numbers.reshape(count, *self.own_shape))
        else:
            drawn = standard_normal(count, self.own_shape, seed)
        if self.classes is None:
            return drawn
        chosen = _dice(count, (seed + 1) % 2**32).randint(len(self.classes), size=count)  # prefix-stable, too
        labels = torch.tensor(self.classes)[torch.from_numpy(chosen)]
        return torch.cat([drawn.flatten(1), labels[:, None].float()], 1)

    def forward(self, latents: Tensor) -> Any:
        if self.classes is None:
            return self.inner(latents)
        own, labels = latents[:, :-1].unflatten(1, self.own_shape), latents[:, -1].round().long()
        if self.one_hot:
            return self.inner(own, nn.functional.one_hot(labels, self.one_hot).to(own.dtype))
        return self.inner(own, labels)

    def pictures(self, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4 or output.shape[1] not in (1, 3):
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ShapeMismatch(
                f"generator: expected it to return pictures (B, 3, H, W) or (B, 1, H, W), got {got}. "
                "Wrap it in a module that returns the pictures alone."
            )
        made = super().pictures(output)
        return made.expand(-1, 3, -1, -1) if made.shape[1] == 1 else made


def as_generator(
    model: nn.Module, latent: int | Sequence[int] | None = None, *, values: tuple[float, float] = (-1.0, 1.0),
    classes: int | Sequence[int] | None = None, one_hot: int = 0, distribution: str = "normal",
) -> Any:  # fmt: skip
    """A module that turns latents into pictures, as a generator; one that is a generator already is given back.

    model: takes latents (B, *latent), or latents and class numbers int64 (B,). Its layers keep their names.
    latent: the shape of one latent: 128, or (100, 1, 1) for a DCGAN. values: what it returns for black and white.
    classes: for conditional generators: how many classes there are, or which are to be drawn; None = it takes none.
    one_hot: where the classes are given as vectors, their length. distribution: "normal", or "uniform" in -1..1.

    >>> net = nn.Sequential(nn.ConvTranspose2d(5, 3, 4), nn.Tanh())
    >>> gan = as_generator(net, (5, 1, 1))
    >>> gan.generate(gan.latents(2, seed=1)).shape
    torch.Size([2, 3, 4, 4])

    Raises OptionError.
    """
    if not isinstance(model, nn.Module):
        raise OptionError(f"model: expected a torch.nn.Module, got {type(model).__name__}. Pass the generator itself.")
    if isinstance(model, Generator) and latent is None:
        return model
    if latent is None:
        raise OptionError("latent: expected the shape of one latent, such as 128 or (100, 1, 1): the model says none")
    shape = (latent,) if isinstance(latent, (int, np.integer)) else tuple(latent)
    if not shape or not all(isinstance(n, (int, np.integer)) and n > 0 for n in shape):
        raise OptionError(f"latent: expected the shape of one latent, such as 128 or (100, 1, 1), got {latent!r}")
    if len(values) != 2 or values[0] == values[1]:
        raise OptionError(f"values: expected what stands for black and for white, such as (-1, 1), got {values!r}")
    if distribution not in DISTRIBUTIONS:
        raise OptionError(f"distribution: expected one of {', '.join(map(repr, DISTRIBUTIONS))}, got {distribution!r}")
    known = tuple(range(classes)) if isinstance(classes, (int, np.integer)) else classes
    if known is not None and not len(known):
        raise OptionError(f"classes: expected how many classes there are, or which to draw, got {classes!r}")
    chosen = None if known is None else tuple(int(c) for c in known)
    black, white = (float(v) for v in values)
    return Adapted(model, tuple(map(int, shape)), (black, white), chosen, int(one_hot), distribution).eval()
