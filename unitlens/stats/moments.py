"""Moments: count, mean, variance, smallest and largest activation of each unit."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch

from unitlens.stats.accumulator import Accumulator, at_least_one, by_image

BLOCK_VALUES = 2**21  # float64 copies are made of this many values at a time


class MomentTable(NamedTuple):
    """Per unit (U,), CPU: n int64 and float64 mean, variance (divided by n), minimum, maximum; NaN where n is 0."""

    n: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    minimum: torch.Tensor
    maximum: torch.Tensor


class Moments(Accumulator):
    """Count, mean, variance and range of each unit's activation.

    NaN and infinite values are left out, and counted in `nan_count` and `inf_count` (U,) int64. The sums of squares
    are taken around the mean and merged with Chan's formula, so a large mean does not eat the variance.

    units: U.
    Raises OptionError when units < 1. Activation scale per unit: paper.md 6.2 (means are single-pass).

    >>> moments = Moments(units=2)
    >>> moments.update(torch.tensor([[1.0, 3.0], [5.0, float("nan")]]))
    >>> table = moments.compute()
    >>> table.mean.tolist(), table.variance.tolist(), moments.nan_count.tolist()
    ([2.0, 5.0], [1.0, 0.0], [0, 1])
    """

    sizes: ClassVar = ("units",)
    states: ClassVar = {
        "count": "_merge_centred",
        "mean": "_merge_centred",
        "squares": "_merge_centred",
        "minimum": "min",
        "maximum": "max",
        "nan_count": "sum",
        "inf_count": "sum",
    }

    def __init__(self, units: int):
        super().__init__()
        at_least_one(units=units)
        self.units = int(units)
        self.count = torch.zeros(self.units, dtype=torch.int64)
        self.mean = torch.zeros(self.units, dtype=torch.float64)
        self.squares = torch.zeros(self.units, dtype=torch.float64)  # sum of (value - mean)^2
        self.minimum = torch.full((self.units,), torch.inf, dtype=torch.float64)
        self.maximum = torch.full((self.units,), -torch.inf, dtype=torch.float64)
        self.nan_count = torch.zeros(self.units, dtype=torch.int64)
        self.inf_count = torch.zeros(self.units, dtype=torch.int64)

    @torch.inference_mode()
    def update(self, values: torch.Tensor) -> None:
        """Take in activations: (U, M), (B, U, P) or (B, U, H, W), float16, bfloat16, float32 or float64, any device.

        Raises ShapeMismatch.
        """
        blocks = by_image(values, self.units)  # (B, U, P)
        self._follow(blocks.device)
        if blocks.numel() == 0:
            return
        width = max(1, BLOCK_VALUES // self.units)
        for part in torch.split(blocks, max(1, width // blocks.shape[2])):
            for block in torch.split(part, width, dim=2):
                self._take(block.to(self.device).double())

    def compute(self) -> MomentTable:
        """What has been measured so far; see MomentTable."""
        empty = self.count == 0
        nan = torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        columns = (self.mean, self.squares / self.count.clamp(min=1), self.minimum, self.maximum)
        mean, variance, low, high = (torch.where(empty, nan, column).cpu() for column in columns)
        return MomentTable(self.count.cpu().clone(), mean, variance, low, high)

    def _take(self, block: torch.Tensor) -> None:  # (b, U, p) float64
        total = block.sum((0, 2))
        per_unit = block.shape[0] * block.shape[2]
        if bool(total.isfinite().all()):  # a single NaN or infinity would show in its unit's sum
            count = torch.full_like(self.count, per_unit)
            mean = total / per_unit
            squares = (block - mean[:, None]).square().sum((0, 2))
            low, high = block.amin((0, 2)), block.amax((0, 2))
        else:
            finite = block.isfinite()
            count = finite.sum((0, 2))
            mean = block.where(finite, 0.0).sum((0, 2)) / count.clamp(min=1)
            squares = (block - mean[:, None]).where(finite, 0.0).square().sum((0, 2))
            low, high = block.where(finite, torch.inf).amin((0, 2)), block.where(finite, -torch.inf).amax((0, 2))
            self.nan_count = self.nan_count + block.isnan().sum((0, 2))
            self.inf_count = self.inf_count + block.isinf().sum((0, 2))
        self._add_centred(count, mean, squares)
        self.minimum, self.maximum = torch.minimum(self.minimum, low), torch.maximum(self.maximum, high)

    def _merge_centred(self, other: Moments) -> None:
        self._add_centred(*(part.to(self.device) for part in (other.count, other.mean, other.squares)))

    def _add_centred(self, count: torch.Tensor, mean: torch.Tensor, squares: torch.Tensor) -> None:
        """Chan, Golub and LeVeque 1983: join two sums of squares, each around its own mean."""
        together = self.count + count
        share = count / together.clamp(min=1).double()
        gap = mean - self.mean
        self.squares = self.squares + squares + gap.square() * self.count * share
        self.mean = self.mean + gap * share
        self.count = together
