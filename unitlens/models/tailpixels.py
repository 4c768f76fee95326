"""TailPixels: which pixels of an upsampled activation exceed a bound, without upsampling the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unitlens.models.geometry import Geometry
from unitlens.models.upsample import places_on_grid


class Found(NamedTuple):
    """The pixels found, n of them, in no order.

    row: int32 (n,), which of the maps. pixel: int32 (n,), y * W + x. value: float32 (n,), the activation there.
    """

    row: Tensor
    pixel: Tensor
    value: Tensor


class TailPixels:
    """Finds the pixels of a layer's activations that exceed a bound, by the bilinear interpolation of `upsample`.

    Between four neighbouring cells the interpolation is never above the largest of them: where that does not exceed
    the bound, nothing is interpolated. Of a 14x14 grid on 56x56 pixels about 10 % of the cells are left for a tail
    of 5 %. Where the grid is as fine as the pixels or finer, every pixel is interpolated.

    grid: (h, w) of the activation. size: (H, W). geometry, image_size: as in `upsample`.
    rectified: the activation counts as max(activation, 0); bounds are then 0 or more.
    zero_border: beyond the outermost cells there are zeros, as in the paper's code (paper.md 2.4, 9.2), instead of the
        cells' own values.

    >>> tails = TailPixels((1, 2), (1, 4))
    >>> found = tails.find(torch.tensor([[[0.0, 4.0]]]), torch.tensor([2.5]))
    >>> found.pixel.tolist(), found.value.tolist()
    ([2, 3], [3.0, 4.0])
    """

    def __init__(
        self,
        grid: tuple[int, int],
        size: tuple[int, int],
        geometry: Geometry | None = None,
        image_size: tuple[int, int] | None = None,
        *,
        rectified: bool = False,
        zero_border: bool = False,
    ):
        self.grid, self.size, self.rectified, self.zero_border = grid, size, rectified, zero_border
        h, w = self.cells = (grid[0] + 2, grid[1] + 2) if zero_border else grid
        rows, columns = places_on_grid(grid, size, geometry, image_size, zero_border=zero_border)
        self.rows, self.columns = _Axis(rows, h), _Axis(columns, w)
        self.same = grid == size and geometry is None and not zero_border
        self.dense = self.same or h * w > size[0] * size[1]
        if not self.dense:
            self._lay_out()

    def find(self, maps: Tensor, bound: Tensor) -> Found:
        """The pixels above their map's bound.

        maps: float32 (N, h, w), finite, contiguous. bound: float32 (N,). Both on one device.
        """
        if self.zero_border:
            maps = functional.pad(maps, (1, 1, 1, 1))
        return self._among_all(maps, bound) if self.dense else self._among_quads(maps, bound)

    def sample(self, maps: Tensor, pixels: Tensor) -> Tensor:
        """The activation at some pixels: maps (N, h, w) -> float32 (N, S), pixels int64 (S,) as y * W + x."""
        if self.zero_border:
            maps = functional.pad(maps, (1, 1, 1, 1))
        if self.rectified:
            maps = maps.clamp(min=0)
        y, x = pixels // self.size[1], pixels % self.size[1]
        flat, w = maps.flatten(1), self.cells[1]
        low, high, weight = (part.to(maps.device)[x] for part in self.columns.lines)
        top, bottom, share = (part.to(maps.device)[y] for part in self.rows.lines)
        above, below = (
            torch.lerp(flat.index_select(1, r * w + low), flat.index_select(1, r * w + high), weight)
            for r in (top, bottom)
        )
        return torch.lerp(above, below, share)

    def on_pixels(self, maps: Tensor) -> Tensor:
        """All pixels: maps (N, h, w) -> (N, H, W). Slices where the pixels read at equal steps."""
        if self.zero_border:
            maps = functional.pad(maps, (1, 1, 1, 1))
        return self._interpolated_all(maps)

    def _interpolated_all(self, maps: Tensor) -> Tensor:
        if self.same:
            return self._rectify(maps)
        # Rectified after the slices are read, not before: of a fine grid most cells are never looked at.
        return self.rows.along(1, self.columns.along(2, maps, self.rectified), False)

    def _among_all(self, maps: Tensor, bound: Tensor) -> Found:
        values = maps if self.same else self._interpolated_all(maps)
        values = values.flatten(1)  # (N, H W)
        place = places(values > bound[:, None])
        row = quotient(place, values.shape[1])
        return Found(row, place - row * values.shape[1], values.reshape(-1).index_select(0, place))

    def _rectify(self, maps: Tensor) -> Tensor:
        return maps.clamp(min=0) if self.rectified else maps

    def _among_quads(self, maps: Tensor, bound: Tensor) -> Found:
        """Quad (y, x) of a map has the corners (y, x), (y, x+1), (y+1, x), (y+1, x+1)."""
        self._follow(maps.device)
        maps = _extended(maps, self.rows.extra, self.columns.extra)
        h, w = maps.shape[1:]
        widest = maps.clone()
        torch.maximum(maps[:, :, :-1], maps[:, :, 1:], out=widest[:, :, :-1])
        highest = widest.clone()
        torch.maximum(widest[:, :-1], widest[:, 1:], out=highest[:, :-1])
        quad = places(highest.flatten(1) > bound[:, None])
        row = quotient(quad, h * w)
        cell = quad - row * (h * w)
        values = self._interpolated(maps.reshape(-1), quad, cell)  # (my mx, n), n quads innermost: long loops
        exceeds = values > bound.index_select(0, row)
        if self.padded:
            exceeds &= self.pixel_of.index_select(1, cell) >= 0
        place = places(exceeds)
        slot = quotient(place, max(1, len(quad)))
        which = place - slot * len(quad)
        pixel = self.pixel_of.view(-1).index_select(0, slot * (h * w) + cell.index_select(0, which))
        return Found(row.index_select(0, which), pixel, values.view(-1).index_select(0, place))

    def _interpolated(self, flat: Tensor, quad: Tensor, cell: Tensor) -> Tensor:
        """All the pixels of n quads, (my mx, n): columns first, then rows, as `upsample` does."""
        right, below = self.right.index_select(0, cell), quad + self.down.index_select(0, cell)
        at = (quad, quad + right, below, below + right)
        a, b, c, d = (self._rectify(flat.index_select(0, i)) for i in at)
        weight = self.weight_x.index_select(1, cell)  # (mx, n)
        top, bottom = torch.lerp(a, b, weight), torch.lerp(c, d, weight)
        share = self.weight_y.index_select(1, cell)  # (my, n)
        return torch.lerp(top, bottom, share[:, None]).flatten(0, 1)

    def _lay_out(self) -> None:
        """Tables over the cells: the pixels of each quad, their weights, and where its other corners are."""
        h, w = self.cells[0] + self.rows.extra, self.cells[1] + self.columns.extra
        row_pixels, row_weights = self.rows.by_cell()
        column_pixels, column_weights = self.columns.by_cell()
        y, x = row_pixels[:, None, :, None], column_pixels[None, :, None, :]
        pixel = np.where((y >= 0) & (x >= 0), y * self.size[1] + x, -1).reshape(h * w, -1)
        self.padded = bool((pixel < 0).any())
        self.pixel_of = _by_slot(pixel.astype(np.int32))  # (my mx, h w)
        self.weight_y = _by_slot(np.repeat(row_weights, w, axis=0))  # (my, h w)
        self.weight_x = _by_slot(np.tile(column_weights, (h, 1)))  # (mx, h w)
        at_y, at_x = np.divmod(np.arange(h * w), w)
        self.right = torch.from_numpy((at_x < w - 1).astype(np.int32))
        self.down = torch.from_numpy(((at_y < h - 1) * w).astype(np.int32))

    def _follow(self, device: torch.device) -> None:
        if self.right.device != device:
            for name in ("pixel_of", "weight_y", "weight_x", "right", "down"):
                setattr(self, name, getattr(self, name).to(device))


class _Axis:
    """Linear interpolation along one axis: each pixel reads between cell `low` and `high`."""

    def __init__(self, places: Tensor, cells: int):
        self.cells = cells
        low = places.floor()
        self.lines = low.long(), (low.long() + 1).clamp(max=cells - 1), (places - low).float()
        self.slices = _regular(*self.lines)
        # Pixels before the first cell read that cell alone. They are given one of their own, a copy of it, where the
        # first has more pixels than others because of them: as many slots are laid out for all cells.
        apart = self.lines[0] + (places > 0)
        fewer = int(apart.bincount().max()) < int(self.lines[0].bincount().max())
        self.extra, self._cell = (1, apart) if fewer else (0, self.lines[0])

    def along(self, axis: int, values: Tensor, rectified: bool) -> Tensor:
        """values (N, h, w) with this axis interpolated. rectified: of max(values, 0)."""
        if self.slices:  # views instead of copies
            here, next_, share = self.slices
            before = (slice(None),) * axis
            if rectified:
                low, high = (values[before + (part,)].clamp(min=0) for part in (here, next_))
                return torch.lerp(low, high, share)
            return torch.lerp(values[before + (here,)], values[before + (next_,)], share)
        values = values.clamp(min=0) if rectified else values
        first, last, weight = (part.to(values.device) for part in self.lines)
        shape = [-1 if i == axis else 1 for i in range(3)]
        return torch.lerp(values.index_select(axis, first), values.index_select(axis, last), weight.view(shape))

    def by_cell(self) -> tuple[np.ndarray, np.ndarray]:
        """The pixels that read from each cell, int64 (cells, m) with -1 where there are fewer, and their weights."""
        low, weight, cells = self._cell.numpy(), self.lines[2].numpy(), self.cells + self.extra
        count = np.bincount(low, minlength=cells)
        start = np.cumsum(count) - count
        slot = np.arange(len(low)) - start[low]  # places ascend, so the pixels of a cell are neighbours
        pixels = np.full((cells, int(count.max())), -1)
        weights = np.zeros(pixels.shape, dtype=np.float32)
        pixels[low, slot], weights[low, slot] = np.arange(len(low)), weight
        return pixels, weights


def _extended(maps: Tensor, rows: int, columns: int) -> Tensor:
    """Maps (N, h, w) with copies of the first row and the first column before it: rows, columns 0 or 1 of them."""
    if not rows and not columns:
        return maps
    whole = maps.new_empty(len(maps), maps.shape[1] + rows, maps.shape[2] + columns)
    whole[:, rows:, columns:] = maps
    if rows:
        whole[:, 0, columns:] = maps[:, 0]
    if columns:
        whole[:, :, 0] = whole[:, :, 1]
    return whole


def _by_slot(table: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(table.T))


def _regular(low: Tensor, high: Tensor, weight: Tensor) -> tuple[slice, slice, float] | None:
    """Slices that read the same cells, where they stand at equal steps with one weight."""
    steps = low.diff()
    if len(low) < 2 or int(steps.min()) < 1 or not (steps == steps[0]).all() or not (weight == weight[0]).all():
        return None
    if not (high - low == high[0] - low[0]).all():
        return None
    step, first, last = int(steps[0]), int(low[0]), int(low[-1]) + 1
    shift = int(high[0] - low[0])
    return slice(first, last, step), slice(first + shift, last + shift, step), float(weight[0])


def places(mask: Tensor) -> Tensor:
    """Flat positions where a mask of fewer than 2^31 places is True: int32 (n,), ascending."""
    if mask.device.type == "cpu":  # numpy counts bits with SIMD: 3 times as quick as torch's nonzero here
        return torch.from_numpy(np.flatnonzero(mask.contiguous().numpy()).astype(np.int32))
    return mask.flatten().nonzero().squeeze(1).int()


def quotient(numbers: Tensor, divisor: int) -> Tensor:
    """Whole-number quotient of int32 numbers of 0 or more: int32.

    >>> quotient(torch.tensor([0, 6, 7], dtype=torch.int32), 7).tolist()
    [0, 0, 1]
    """
    if numbers.device.type == "cpu":  # numpy divides unsigned numbers by a multiplication: 10 times as quick
        return torch.from_numpy((numbers.numpy().view(np.uint32) // np.uint32(divisor)).view(np.int32))
    return torch.div(numbers, divisor, rounding_mode="floor")
