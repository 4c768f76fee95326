"""Places: a layer's output as units times cells, whichever axis counts the units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unitlens.errors import LayerError, OptionError, ShapeMismatch


@dataclass(frozen=True, eq=False)
class Places:
    """An output seen as (B, U, cells). axis: the one that counts the units. chosen: values being edited."""

    output: Tensor
    axis: int
    chosen: Tensor | None = None

    @classmethod
    def of(cls, output: Tensor, unit_axis: int | None = None) -> Places:
        """Units are on axis 1 of (B, U, h, w) and (B, U), and on the last of tokens (B, T, U), unless told.

        Raises LayerError for other outputs.
        """
        if output.ndim < 2 or output.ndim > 4:
            raise LayerError(f"layer: expected an output of 2 to 4 axes, images first, got {tuple(output.shape)}")
        return cls(output, unit_axis_of(output.ndim, unit_axis))

    def like(self, other: Tensor) -> Places:
        """Another output of the same layout."""
        if other.shape != self.output.shape:
            raise ShapeMismatch(f"output: expected {tuple(self.output.shape)}, got {tuple(other.shape)}")
        return replace(self, output=other)

    @property
    def units(self) -> int:
        """U."""
        return self.output.shape[self.axis]

    @property
    def chosen_values(self) -> Tensor:
        """What the units that are edited return, (B, u, cells)."""
        return self.output.movedim(self.axis, 1).flatten(2) if self.chosen is None else self.chosen

    def rows(self, units: Sequence[int] | None, layer: str) -> Tensor:
        """The numbers of the units, int64 (u,). Raises OptionError for one that the layer does not have."""
        if units is None:
            return torch.arange(self.units, device=self.output.device)
        outside = [u for u in units if u >= self.units]
        if outside:
            raise OptionError(f"units: layer {layer!r} has units 0..{self.units - 1}, got {outside[0]}")
        return torch.tensor(list(units), dtype=torch.int64, device=self.output.device)

    def values(self, rows: Tensor) -> Tensor:
        """What these units return, (B, u, cells)."""
        first = self.output.movedim(self.axis, 1)
        return first[:, rows].flatten(2) if first.ndim > 2 else first[:, rows, None]

    def with_values(self, rows: Tensor, values: Tensor) -> Tensor:
        """The output with other values (B, u, cells), broadcast, for these units."""
        changed = self.output.clone()
        first = changed.movedim(self.axis, 1)  # a view: what is written into it is in `changed`
        cells = first.shape[2:]
        wanted = (len(first), len(rows), cells.numel())
        first[:, rows] = values.broadcast_to(wanted).reshape(len(first), len(rows), *cells)
        return changed

    def share(self, region: Any) -> Tensor | None:
        """How much of every cell lies in a region (H, W): (cells,), or None without a region.

        Tokens in front that stand for no place are never in it. Raises ShapeMismatch where there is no grid.
        """
        if region is None:
            return None
        cells = self.output.movedim(self.axis, 1).shape[2:]
        if not len(cells):
            raise ShapeMismatch("region: this layer has no grid, so an edit of it cannot be in a region")
        grid, extra = tuple(cells), 0
        if len(cells) == 1:
            from unitlens.models.layout import layout_of

            shape = (1, cells[0], self.units) if self.axis == 2 else (1, self.units, cells[0])
            found = layout_of(shape, np.shape(region), -1 if self.axis == 2 else 1)
            grid, extra = found.grid, found.extra
        whole = torch.from_numpy(np.array(region, dtype=np.float32))[None, None]
        if whole.shape[2] < grid[0] or whole.shape[3] < grid[1]:
            whole = functional.interpolate(whole, grid, mode="nearest-exact")
        share = functional.adaptive_avg_pool2d(whole, list(grid)).flatten()  # type: ignore[arg-type]
        return torch.cat([torch.zeros(extra), share]).to(self.output.device)


def unit_axis_of(axes: int, unit_axis: int | None = None) -> int:
    """The axis that counts the units, as a position from 0.

    >>> unit_axis_of(4), unit_axis_of(3), unit_axis_of(4, -1)
    (1, 2, 3)
    """
    if unit_axis not in (None, 1, -1):
        raise OptionError(f"unit_axis: expected 1 (units first), -1 (units last) or None, got {unit_axis!r}")
    chosen = unit_axis or (-1 if axes == 3 else 1)
    return chosen if chosen > 0 else axes - 1
