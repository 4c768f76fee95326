"""Samples: generated pictures as a probe set. A picture is made when it is needed, and known by its latent."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from unitlens.data.probe import Batch, ProbeSet, check_index, positions_text
from unitlens.errors import OptionError
from unitlens.models.generators import Generator, as_generator  # noqa: F401 (the example below uses it)
from unitlens.models.identity import model_digest

AT_A_TIME = 32  # pictures generated together where no one says how many


class SampleBatch(Batch):
    """Some samples of a generator: latents (B, ...), and the pictures as soon as they are asked for."""

    def __init__(self, generator: Any, latents: Tensor, index: Tensor):
        nothing = torch.full((len(latents),), -1, dtype=torch.int64)
        own = {"generator": generator, "latents": latents, "index": index, "class_labels": nothing, "truth": None}
        vars(self).update(own)  # the dataclass is frozen

    generator: Any
    latents: Tensor

    @cached_property
    def images(self) -> Tensor:
        """The pictures, float32 (B, 3, H, W) in [0, 1]."""
        made = [generated(self.generator, part) for part in self.latents.split(AT_A_TIME)]
        return torch.cat(made)

    def __len__(self) -> int:
        return len(self.latents)

    def give(self, images: Tensor) -> None:
        """Takes the pictures from whoever has made them."""
        vars(self)["images"] = images


class Samples(ProbeSet):
    """The pictures that a generator makes of the first `count` latents of a seed; made by `from_generator`.

    generator: the module. latents: float32 (N, ...). segments: the segmenter that knows its pictures, "" = none.
    """

    def __init__(self, generator: Any, count: int = 1000, *, seed: int = 0):
        if not isinstance(generator, nn.Module) or not isinstance(generator, Generator):
            raise OptionError(
                f"generator: expected a module with latents() and generate(), got {type(generator).__name__}. "
                "as_generator(model, latent=...) makes one of any module that turns latents into pictures."
            )
        self.generator, self.latents = generator, generator.latents(count, seed)
        self.segments = str(getattr(generator, "segments", ""))
        first = generated(generator, self.latents[:1])
        self.size = (first.shape[-2], first.shape[-1])

    def subset(self, index: Sequence[int] | slice) -> Samples:
        """Only these samples, in this order. Raises ProbeError for positions outside the set."""
        chosen = range(len(self))[index] if isinstance(index, slice) else index
        some = copy.copy(self)
        some.latents = self.latents[check_index(chosen, len(self))]
        return some

    def __len__(self) -> int:
        return len(self.latents)

    @cached_property
    def _model(self) -> str:
        return model_digest(self.generator)

    @property
    def fingerprint(self) -> str:
        return self.digest(range(len(self)))

    def digest(self, index: Sequence[int]) -> str:
        """Of the generator, these latents and their positions; a longer set keeps those of a shorter one."""
        rows = check_index(index, len(self))
        values = self.latents[rows].numpy() if rows else self.latents[:0].numpy()
        return f"samples:{self._model}:{hashlib.sha256(values.tobytes()).hexdigest()}[{positions_text(rows)}]"

    def load(self, index: Sequence[int]) -> SampleBatch:
        rows = torch.tensor(check_index(index, len(self)), dtype=torch.int64)
        return SampleBatch(self.generator, self.latents[rows], rows)


def generated(generator: Any, latents: Tensor) -> Tensor:
    """Pictures of latents, made where the generator is and brought to the CPU."""
    parameter = next(generator.parameters(), None)
    return generator.generate(latents if parameter is None else latents.to(parameter.device)).cpu()


def from_generator(generator: Any, count: int = 1000, *, seed: int = 0) -> Samples:
    """Generated pictures as a probe set: those of the first `count` latents of a seed.

    generator: a module with `latents(count, seed)` and `generate(latents)`; `as_generator` makes one of any module.
    Nothing is generated before it is needed; `dissect` segments every picture once and keeps that in the store.

    >>> samples = from_generator(as_generator(nn.Sequential(nn.ConvTranspose2d(5, 3, 4), nn.Tanh()), (5, 1, 1)), 7)
    >>> samples
    Samples(7 images of 4x4)

    Raises OptionError.
    """
    return Samples(generator, count, seed=seed)


