"""From the activation grid (h, w) to the pixel grid (H, W)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unitlens.errors import LayerError, OptionError
from unitlens.models.geometry import Geometry, layer_geometry, receptive_geometry

__all__ = ["Geometry", "layer_geometry", "receptive_geometry", "upsample"]


def upsample(
    activation: Tensor,
    size: tuple[int, int],
    geometry: Geometry | None = None,
    image_size: tuple[int, int] | None = None,
    *,
    antialias: bool = False,
) -> Tensor:
    """The activation at every pixel, (B, U, H, W), by bilinear interpolation (paper.md 2.4).

    activation: (B, U, h, w), any real dtype. size: (H, W). The result is float32 (float64 for float64).
    geometry: where the grid cells lie in the image; None = they tile it, so that cell and pixel areas share their
    corners (`F.interpolate(align_corners=False)`). image_size: (height, width) of the image that `geometry` speaks
    of, default `size`; the pixels of `size` tile that image.
    antialias: average when the grid is finer than `size`. By default it is point-sampled, as in the paper's code
    (paper.md 9.2); averaging would lower the peaks and with them the threshold.

    Beyond the outermost cells their value goes on. (The paper's code counts zeros there, which dims 14 % of the pixels
    at 14 -> 56; paper.md 5.3.2.) A 1x1 grid becomes constant; (h, w) = (H, W) without geometry is returned as it is.

    Raises LayerError for an activation without a grid, OptionError for sizes below 1.

    >>> upsample(torch.tensor([[[[0.0, 4.0]]]]), (1, 4)).tolist()
    [[[[0.0, 1.0, 3.0, 4.0]]]]
    """
    _check(activation, size, geometry, antialias)
    if activation.dtype != torch.float64:
        activation = activation.float()  # half precision has too few bits for weights and thresholds
    grid, size = (activation.shape[2], activation.shape[3]), (int(size[0]), int(size[1]))
    if geometry is None and grid == size:
        return activation
    if antialias:
        return functional.interpolate(activation, size, mode="bilinear", align_corners=False, antialias=True)
    rows, columns = places_on_grid(grid, size, geometry, image_size)
    # One axis after the other: half the arithmetic of four neighbours at once. Columns first, while rows are few.
    return _interpolate(_interpolate(activation, 3, columns), 2, rows)  # (B, U, h, W), then (B, U, H, W)


def places_on_grid(
    grid: tuple[int, int],
    size: tuple[int, int],
    geometry: Geometry | None = None,
    image_size: tuple[int, int] | None = None,
    *,
    zero_border: bool = False,
) -> tuple[Tensor, Tensor]:
    """Where on the grid (h, w) each row and column of `size` reads: float64 (H,) and (W,), between 0 and h - 1, w - 1.

    zero_border: on a grid with one ring of zeros around it, so between 0 and h + 1, w + 1 (paper.md 2.4).

    >>> places_on_grid((1, 2), (1, 4))[1].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    height, width = size if image_size is None else image_size
    scale_y, offset_y, scale_x, offset_x = (geometry or Geometry.tiling(grid, (height, width))).numbers
    ring = 1 if zero_border else 0
    rows = _places(grid[0], size[0], height, scale_y, offset_y, ring)
    return rows, _places(grid[1], size[1], width, scale_x, offset_x, ring)


def _places(cells: int, pixels: int, image: int, scale: float, offset: float, ring: int) -> Tensor:
    """Where on the grid each pixel reads: float64 (pixels,) in 0..cells - 1, or 0..cells + 1 with a ring around it.

    float64 and rounded to whole cells within 1e-9: float32 misses them by 5e-7; a neighbour then leaks in, and
    `value > 0` becomes true next to every active cell (paper.md 9.3).
    """
    centre = (torch.arange(pixels, dtype=torch.float64) + 0.5) * image / pixels - 0.5  # in image pixels
    places = ((centre - offset) / scale + ring).clamp(0, cells - 1 + 2 * ring)
    whole = places.round()
    return torch.where((places - whole).abs() < 1e-9, whole, places)


def _interpolate(values: Tensor, axis: int, places: Tensor) -> Tensor:
    low = places.floor()
    high = (low + 1).clamp(max=values.shape[axis] - 1)
    weight = (places - low).to(values.dtype).to(values.device)
    low, high = low.long().to(values.device), high.long().to(values.device)
    shape = [-1 if i == axis else 1 for i in range(4)]
    return torch.lerp(values.index_select(axis, low), values.index_select(axis, high), weight.view(shape))


def _check(activation: Tensor, size: tuple[int, int], geometry: Geometry | None, antialias: bool) -> None:
    if activation.ndim != 4:
        shape = tuple(activation.shape)
        hint = {
            2: "It has one value per image: choose an earlier layer, or use activation[:, :, None, None] (a 1x1 grid).",
            3: "For tokens (B, T, U), drop the class token and lay them out: tokens.mT.reshape(B, U, h, w).",
        }.get(activation.ndim, "Choose a layer with a grid; `layer_table(model, images)` shows them.")
        raise LayerError(f"activation: expected (images, units, height, width), got {shape}. {hint}")
    if min(activation.shape[2:]) < 1:
        raise LayerError(f"activation: expected a grid of 1x1 or more, got {tuple(activation.shape)}")
    if len(size) != 2 or min(size) < 1:
        raise OptionError(f"size: expected (height, width) of 1 or more, got {tuple(size)}")
    if antialias and geometry is not None:
        raise OptionError("antialias: only without a geometry. Leave out one of the two.")
