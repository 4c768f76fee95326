"""Alignment: activation maps on the pixels of a picture, in numpy alone: saved results are shown without torch."""

from __future__ import annotations

import numpy as np

from unitlens.errors import ShapeMismatch

Geometry = tuple[float, float, float, float]

_BEYOND = 65504.0  # the largest float16


def upsample(
    maps: np.ndarray,
    size: tuple[int, int],
    *,
    image_size: tuple[int, int] | None = None,
    geometry: Geometry | None = None,
) -> np.ndarray:
    """Activation maps on a picture's grid: float32 (k, H, W) from (k, h, w), the same convention as the engine.

    Bilinear, half-pixel centres, edges clamped [paper.md 2.4]. size: (H, W) of the picture. geometry: (scale_y,
    offset_y, scale_x, offset_x) when cell i is centred on image pixel i * scale + offset; image_size: (H, W) of the
    image those pixels belong to, `size` by default. Raises ShapeMismatch.

    >>> upsample(np.array([[[0.0, 1.0]]]), (1, 4))[0, 0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    if maps.ndim != 3:
        raise ShapeMismatch(f"maps: expected (images, h, w), got {maps.shape}; for one map use map[None]")
    image = image_size or size
    rows, columns = geometry and geometry[:2], geometry and geometry[2:]
    top, bottom, down = _places(maps.shape[1], size[0], image[0], rows)
    left, right, across = _places(maps.shape[2], size[1], image[1], columns)
    clean = np.nan_to_num(maps.astype(np.float64), nan=-_BEYOND, posinf=_BEYOND, neginf=-_BEYOND)  # NaN never fires
    # No matrix product: for so few numbers its threads wait for each other, 50 times as long on busy cores.
    wide = clean[:, :, left] * (1 - across) + clean[:, :, right] * across  # (k, h, W)
    return (wide[:, top] * (1 - down)[:, None] + wide[:, bottom] * down[:, None]).astype(np.float32)


def _places(
    cells: int, pixels: int, image_pixels: int, line: tuple[float, ...] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two cells each picture pixel lies between along one axis, and its share of the second: (pixels,) each."""
    scale, offset = line or (image_pixels / cells, 0.5 * image_pixels / cells - 0.5)
    place = (np.arange(pixels) + 0.5) * (image_pixels / pixels) - 0.5  # in image pixels
    source = np.clip((place - offset) / scale, 0, cells - 1)
    whole = np.rint(source)
    # Else a neighbour leaks in: `> 0` would be true there.
    source = np.where(np.abs(source - whole) < 1e-9, whole, source)
    low = np.minimum(source.astype(np.int64), max(cells - 2, 0))
    return low, np.minimum(low + 1, cells - 1), source - low
