"""Accumulator: a statistic that sees the data once, in any order and any batches, and merges with its like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch

from unitlens.errors import OptionError, RecipeMismatch, ShapeMismatch

A = TypeVar("A", bound="Accumulator")

RULES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "sum": torch.add,
    "max": torch.maximum,
    "min": torch.minimum,
    "cat": lambda mine, theirs: torch.cat([mine, theirs], dim=-1),
}


class Accumulator(ABC):
    """A running statistic, declared once: what it is made of, and how each part merges.

    A subclass names its constructor arguments in `sizes` (they shape the states; different ones raise ShapeMismatch)
    and `settings` (different ones raise RecipeMismatch), and its tensors in `states`: name -> "sum", "max", "min",
    "cat" (along the last axis), or the name of a method that takes the other accumulator and merges all the states
    that name it. `merge`, `state_dict` and `load` follow from that.

    Laws, held by tests/stats/test_laws.py: order and batch split do not matter; merge = all at once; merging an empty
    one changes nothing; `load(state_dict())` gives the same statistic back. Counts are int64
    (int32 in large tables), sums float64.
    Updates run in inference mode and keep no graph; results are fresh tensors, free to change.
    States live on the CUDA device of the values, otherwise on the CPU (MPS has no float64).

    >>> class Total(Accumulator):
    ...     sizes, states = ("units",), {"total": "sum"}
    ...     def __init__(self, units: int):
    ...         super().__init__()
    ...         self.units, self.total = units, torch.zeros(units, dtype=torch.float64)
    ...     def update(self, values):
    ...         self.total = self.total + values.double().sum(0)
    ...     def compute(self):
    ...         return self.total
    >>> left, right = Total(units=2), Total(units=2)
    >>> left.update(torch.ones(3, 2)); right.update(torch.ones(4, 2))
    >>> left.merge(right).compute().tolist()
    [7.0, 7.0]
    """

    sizes: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[tuple[str, ...]] = ()
    states: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take in one batch."""

    @abstractmethod
    def compute(self) -> Any:
        """The statistic of everything taken in so far, as CPU tensors. More updates may follow."""

    @torch.inference_mode()
    def merge(self: A, other: A) -> A:
        """Take in everything that `other` has seen; `other` keeps its result. Returns self.

        Raises RecipeMismatch (another statistic, or other settings) or ShapeMismatch (other sizes).
        """
        self._check_same(other)
        self._settle()
        other._settle()
        for rule in dict.fromkeys(self.states.values()):
            if rule not in RULES:
                getattr(self, rule)(other)
                continue
            for name in (state for state, how in self.states.items() if how == rule):
                mine, theirs = getattr(self, name), getattr(other, name)
                setattr(self, name, RULES[rule](mine, theirs.to(mine.device)))
        return self

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Sizes, settings and states as contiguous CPU tensors that share no memory; safetensors can hold them."""
        self._settle()
        parts = {name: as_tensor(getattr(self, name)) for name in (*self.sizes, *self.settings, *self.states)}
        return {name: part.detach().cpu().clone(memory_format=torch.contiguous_format) for name, part in parts.items()}

    @classmethod
    def load(cls: type[A], state: Mapping[str, torch.Tensor]) -> A:
        """The accumulator that gave this `state_dict()`.

        Raises RecipeMismatch when names or dtypes are not those of this class, ShapeMismatch when sizes disagree.
        """
        arguments = (*cls.sizes, *cls.settings)
        wanted = {*arguments, *cls.states}
        if set(state) != wanted:
            raise RecipeMismatch(
                f"state: expected the parts of a {cls.__name__}, {sorted(wanted)}, got {sorted(state)}. "
                "Load it with the class that saved it."
            )
        loaded = cls(**{name: state[name].item() if state[name].ndim == 0 else state[name] for name in arguments})
        for name in cls.states:
            fresh, part = getattr(loaded, name), state[name].detach().cpu().clone()
            if fresh.dtype != part.dtype:
                raise RecipeMismatch(
                    f"state {name!r}: expected {fresh.dtype}, got {part.dtype}. Load what a {cls.__name__} has saved."
                )
            if fresh.ndim != part.ndim or fresh.shape[:1] != part.shape[:1]:
                raise ShapeMismatch(
                    f"state {name!r}: expected a shape like {tuple(fresh.shape)}, got {tuple(part.shape)}. "
                    "Compute the statistic again."
                )
            setattr(loaded, name, part)
        loaded._loaded()
        return loaded

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in (*self.sizes, *self.settings)}
        plain = ", ".join(f"{name}={value}" for name, value in values.items() if not isinstance(value, torch.Tensor))
        return f"{type(self).__name__}({plain})"

    def _settle(self) -> None:  # noqa: B027  most have nothing to do here
        """Bring the states into the one form that depends on the data only, before a merge or a save."""

    def _loaded(self) -> None:  # noqa: B027
        """Rebuild what is derived from the states."""

    def _follow(self, device: torch.device) -> None:
        """Move the states to where the values are: a CUDA device; else they stay where they are."""
        if device.type == "cuda" and device != self.device:
            self._settle()
            for name in self.states:
                setattr(self, name, getattr(self, name).to(device))
            self.device = device
            self._loaded()

    def _check_same(self, other: Accumulator) -> None:
        if type(other) is not type(self):
            raise RecipeMismatch(f"merge: expected another {type(self).__name__}, got {type(other).__name__}")
        for name in (*self.sizes, *self.settings):
            mine, theirs = getattr(self, name), getattr(other, name)
            if not torch.equal(as_tensor(mine), as_tensor(theirs)):
                error = ShapeMismatch if name in self.sizes else RecipeMismatch
                raise error(
                    f"merge: {name} expected {mine}, got {theirs}. "
                    f"Merge only a {type(self).__name__} that was made with the same arguments."
                )


def as_tensor(value: float | torch.Tensor) -> torch.Tensor:
    """A number as an int64 or float64 tensor; a tensor as it is.

    torch.tensor(0.99) alone would be float32, and read back as 0.9900000095.

    >>> as_tensor(0.99).item()
    0.99
    """
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Flat positions where a bool tensor is True, int64 (N,), ascending, on the tensor's device.

    >>> positions(torch.tensor([[False, True], [True, False]])).tolist()
    [1, 2]
    """
    if mask.device.type == "cpu":  # numpy counts bits with SIMD: 3 times as quick as torch's nonzero here
        return torch.from_numpy(np.flatnonzero(mask.contiguous().numpy()))
    return mask.flatten().nonzero().squeeze(1)


def by_image(values: torch.Tensor, units: int, images: int | None = None) -> torch.Tensor:
    """A view of activations as (B, U, P): from (B, U, P), (B, U, H, W), or (U, M) with M = B x P, image after image.

    Raises ShapeMismatch when the unit axis is not `units` long, or M is no multiple of `images`.

    >>> by_image(torch.zeros(5, 12), units=5, images=3).shape
    torch.Size([3, 5, 4])
    """
    axis = 0 if values.ndim == 2 else 1
    if values.ndim < 2 or values.shape[axis] != units:
        raise ShapeMismatch(
            f"values: expected (images, {units} units, pixels) or ({units} units, values), got {tuple(values.shape)}. "
            "Give one layer's activations, or make the accumulator with this layer's number of units."
        )
    if not values.is_floating_point():
        raise ShapeMismatch(f"values: expected floating point, got {values.dtype}. Convert them with .float().")
    if values.ndim > 2:
        blocks = values.detach().flatten(2)
    else:
        count = 1 if images is None else images
        if count < 1 or values.shape[1] % count:
            raise ShapeMismatch(
                f"values: expected a multiple of {count} images on the second axis, got {tuple(values.shape)}. "
                "Give every image the same number of pixels."
            )
        blocks = values.detach().reshape(units, count, -1).transpose(0, 1) if values.numel() else values[None]
    if images is not None and len(blocks) != images:
        raise ShapeMismatch(f"index: expected one number per image ({len(blocks)}), got {images}")
    return blocks  # (B, U, P)


def at_least_one(**sizes: int) -> None:
    """Raise OptionError when a size is below 1.

    >>> at_least_one(units=3)
    """
    for name, value in sizes.items():
        if int(value) != value or value < 1:
            raise OptionError(f"{name}: expected a whole number of 1 or more, got {value}")
