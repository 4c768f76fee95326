"""LayerReader: from what a layer returns to activations on a grid, and to the pixels of their tails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unitlens.dissection.plan import DissectionPlan
from unitlens.errors import LayerError, OptionError
from unitlens.models.basis import Basis, as_basis
from unitlens.models.geometry import Geometry
from unitlens.models.layout import Layout, layout_of
from unitlens.models.tailpixels import TailPixels, quotient
from unitlens.stats.topk import TopK

BEYOND = 1e30  # stands for an infinite activation: finite, so that interpolation never makes NaN of it
AT_A_TIME = 2**21  # cells or pixels looked at in one go on a CPU: what its cache holds
AT_A_TIME_GPU = 2**26
LIVE = 0.7  # where fewer of the maps reach their bound, the others are left out first


@dataclass(frozen=True, eq=False)
class Maps:
    """Activations of some images: values float32 (B, U, h, w), contiguous and finite; peak, low float32 (B, U), their
    largest and smallest value; wrong int64 (U,), how many were NaN or infinite, or None; first: which image of the
    batch the first of them is."""

    values: Tensor
    peak: Tensor
    low: Tensor
    wrong: Tensor | None
    first: int = 0


@dataclass(frozen=True, eq=False)
class Tail:
    """Pixels above their unit's bound, n of them: unit, image, pixel int32 (n,), value float32 (n,)."""

    unit: Tensor
    image: Tensor
    pixel: Tensor
    value: Tensor


class LayerReader:
    """Reads one layer: which axis counts units, in which basis, and where the grid lies in the image.

    Made from the first output that is seen, and from then on the same for every batch.
    """

    def __init__(
        self, plan: DissectionPlan, name: str, shape: tuple[int, ...], image_size: tuple[int, int],
        geometry: Geometry | None, images: int,
    ):  # fmt: skip
        self.name, self.size, self.image_size = name, plan.grid, image_size
        self.layout: Layout = layout_of(shape, image_size, plan.unit_axis, batch=images, name=name)
        self.basis: Basis | None = as_basis(plan.basis.get(name), self.layout.units)
        self.rectified = plan.after_relu and self.basis is None  # a basis takes what is left of the ReLU
        self.relu_first = plan.after_relu and self.basis is not None
        zero_border = plan.convention == "reference"
        self.geometry = None if zero_border else geometry  # the paper's code ignored receptive fields
        self.zero_border = zero_border
        placed = _single_cells_cover(self.layout.grid, image_size) if zero_border else self.geometry
        self.tails = TailPixels(
            self.layout.grid, plan.grid, placed, image_size, rectified=self.rectified, zero_border=zero_border
        )
        h, w = self.layout.grid
        self.shrinks = h * w > plan.cells  # maps finer than the pixels are kept as the pixels see them
        self.kept_grid = plan.grid if self.shrinks else self.layout.grid
        self.kept_geometry = None if self.shrinks else self.geometry

    @property
    def identity(self) -> dict[str, Any]:
        """What has to be known to make the reader again without running the model."""
        numbers = self.geometry.numbers if self.geometry else None
        return {"grid": list(self.layout.grid), "geometry": list(numbers) if numbers else None}

    def grid(self, raw: Tensor) -> Tensor:
        """What the layer returned, as activations (B, U, h, w). Raises LayerError, ShapeMismatch for another shape."""
        if not raw.is_floating_point():
            raise LayerError(f"layer {self.name!r}: expected floating point activations, got {raw.dtype}")
        grid = self.layout.to_grid(raw)
        if self.basis is None:
            return grid
        return self.basis(grid.float().clamp(min=0) if self.relu_first else grid)

    def pieces(self, grid: Tensor, units: slice | Tensor | None = None) -> Iterator[Maps]:
        """`maps` of a few images after the other: what fits in the cache of a CPU core, and in memory it has in hand.

        A layer's output may lie in memory with its units innermost (channels last), and is put in order here."""
        some = grid if units is None else grid[:, units]
        width = some.shape[1] * max(self.layout.grid[0] * self.layout.grid[1], self.size[0] * self.size[1])
        step = max(1, (AT_A_TIME if grid.device.type == "cpu" else AT_A_TIME_GPU) // width)
        for first in range(0, len(some), step):
            yield self.maps(some[first : first + step], first=first)

    def maps(self, grid: Tensor, units: slice | Tensor | None = None, first: int = 0) -> Maps:
        """The activations of some units, ready to be measured. units: a slice, positions int64 (V,), or None = all."""
        values = (grid if units is None else grid[:, units]).float().contiguous()
        low, peak, wrong = self._lowest(values), values.amax((2, 3)), None  # NaN where a NaN is
        if not bool((peak + low).isfinite().all()):
            finite = values.isfinite() | (values == -torch.inf)  # what stands for NaN is no activation of the unit
            low = self._lowest(torch.where(finite, values, torch.inf)).clamp(min=-BEYOND)
            values, wrong = _cleaned(values)
            peak = values.amax((2, 3))
        return Maps(values, peak.clamp(min=0) if self.rectified else peak, low, wrong, first)

    def _lowest(self, values: Tensor) -> Tensor:
        """Each map's smallest value: (B, U). After a ReLU 0 is said for all: that none is below is enough."""
        if self.rectified:
            return values.new_zeros(values.shape[:2])
        return values.amin((2, 3))  # with amax twice a pass, and still 5 times as quick as aminmax

    def tail(self, maps: Maps, bound: Tensor) -> Tail:
        """The pixels above each unit's bound. bound: float32 (U,), on the device of the maps."""
        images, count = maps.peak.shape
        flat, bounds = maps.values.flatten(0, 1), bound.repeat(images)
        # Towards a border of zeros a map of negative activations rises above all of its cells.
        highest = maps.peak.clamp(min=0) if self.zero_border else maps.peak
        live = highest.reshape(-1) > bounds
        if float(live.float().mean()) < LIVE:
            rows = live.nonzero().squeeze(1).int()
            found = self.tails.find(flat.index_select(0, rows), bounds.index_select(0, rows))
            row = rows.index_select(0, found.row)
        else:
            found = self.tails.find(flat, bounds)
            row = found.row
        image = quotient(row, count)
        return Tail(row - image * count, image + maps.first, found.pixel, found.value)

    def sampled(self, maps: Maps, pixels: Tensor) -> Tensor:
        """The activations at some pixels: (B, U, S) float32, pixels int64 (S,)."""
        return self.tails.sample(maps.values.flatten(0, 1), pixels).unflatten(0, maps.peak.shape)

    def aligned(self, values: Tensor) -> Tensor:
        """Maps on the pixel grid: (B, U, h, w) -> float32 (B, U, H, W)."""
        return self.tails.on_pixels(values.float().flatten(0, 1)).unflatten(0, values.shape[:2])

    def keepsake(self, maps: Tensor) -> Tensor:
        """Maps (n, h, w) as they are kept for galleries, on the pixel grid where the layer's own is finer."""
        if self.shrinks:
            return self.aligned(maps[:, None])[:, 0]
        return maps.clamp(min=0) if self.rectified else maps

    def keep_in(self, top: TopK, peak: Tensor, index: Tensor, grid: Tensor, floor: Tensor | None = None) -> None:
        """Gives the best of a batch to `top`. peak: (B, U). index: int64 (B,). grid: (B, U, h, w).

        floor: float32 (U,), maps of lower peaks are not needed."""
        top.update(peak, index, grid, keep=self.keepsake, shrinks=self.shrinks, floor=floor)


def _cleaned(values: Tensor) -> tuple[Tensor, Tensor]:
    """Activations without NaN (never fires) and infinities (+inf: the highest value), and each unit's count."""
    wrong = (~values.isfinite()).sum((0, 2, 3))
    return torch.nan_to_num(values, nan=-BEYOND, posinf=BEYOND, neginf=-BEYOND), wrong


def _single_cells_cover(grid: tuple[int, int], image_size: tuple[int, int]) -> Geometry:
    """Cells that tile the image, but for an axis with one cell: it is everywhere, undimmed [paper.md 9.2]."""
    scale_y, offset_y, scale_x, offset_x = Geometry.tiling(grid, image_size).numbers
    everywhere = float("inf")
    return Geometry(
        everywhere if grid[0] == 1 else scale_y, offset_y, everywhere if grid[1] == 1 else scale_x, offset_x
    )


def check_reference(plan: DissectionPlan) -> None:
    """Raises OptionError where the paper's arithmetic says nothing about an argument."""
    if plan.convention == "reference" and plan.basis:
        raise OptionError("convention: 'reference' is the paper's arithmetic of units; expected no basis beside it.")
