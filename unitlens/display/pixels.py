"""Pixels: a unit's top images with the places where it fires, as numpy pictures and one JPEG strip."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from unitlens.data.alignment import Geometry, upsample
from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError

STYLES = ("outline", "heat", "dim", "plain")

_DIM = 0.42  # brightness outside the mask
_LINE = np.array([255.0, 222.0, 60.0])
_HALO = np.array([20.0, 16.0, 0.0])
#: Nine steps of the "inferno" colour map (dark to light, even for the eye and in grey), interpolated in between.
_HEAT = np.array(
    [(0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51), (249, 140, 10),
     (249, 201, 50), (252, 255, 164)], dtype=np.float64,
)  # fmt: skip


@dataclass(frozen=True)
class Strip:
    """One picture of a unit's top images side by side: JPEG bytes at twice the shown size.

    width, height: the shown size in CSS pixels. tiles: how many images. tile, gap: shown width of an image and a gap.
    """

    jpeg: bytes
    width: int
    height: int
    tiles: int
    tile: float
    gap: float

    def share(self, images: int) -> float:
        """The strip's part of the width that `images` of its pictures would take: 1 unless there are fewer."""
        return (self.tiles * (self.tile + self.gap) - self.gap) / (images * (self.tile + self.gap) - self.gap)

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")

    @property
    def gaps(self) -> str:
        """A CSS mask that is transparent between the images, so a strip stands on any page colour."""
        if self.tiles == 1:
            return "none"
        whole = self.tiles * (self.tile + self.gap) - self.gap
        cut = 0.5  # of each edge, where a scaled picture blends with the gap
        start, stop, step = (100 * x / whole for x in (cut, self.tile - cut, self.tile + self.gap))
        return (
            f"repeating-linear-gradient(90deg,#0000 0 {start:.4f}%,#000 {start:.4f}% {stop:.4f}%,"
            f"#0000 {stop:.4f}% {step:.4f}%)"
        )


def mask(
    maps: np.ndarray,
    threshold: float,
    size: tuple[int, int],
    *,
    image_size: tuple[int, int] | None = None,
    geometry: Geometry | None = None,
) -> np.ndarray:
    """Where a unit fires: bool (k, H, W), the upsampled map strictly above the threshold [paper.md 1.0].

    >>> mask(np.array([[[0.0, 1.0]]]), 0.5, (1, 4)).tolist()
    [[[False, False, True, True]]]
    """
    return upsample(maps, size, image_size=image_size, geometry=geometry) > threshold


def paint(images: np.ndarray, heights: np.ndarray, threshold: float, style: str = "outline") -> np.ndarray:
    """Images with a unit's firing drawn on them: uint8 (k, H, W, 3).

    images: uint8 (k, H, W, 3). heights: float32 (k, H, W), the upsampled maps. style: "outline" (outside dark, a bright
    line on the border, closed along the picture's edge), "dim" (outside dark), "heat" (colour by activation) or
    "plain". Raises OptionError.

    >>> paint(np.full((1, 1, 2, 3), 100, np.uint8), np.array([[[0.0, 9.0]]]), 1.0, "dim")[0, 0, :, 0].tolist()
    [42, 100]
    """
    check_style(style)
    if style == "plain":
        return images
    colours = images.astype(np.float32)
    if style == "heat":
        return _heat(colours, heights, threshold)
    inside = heights > threshold
    if style == "dim":
        return _bytes(np.where(inside[..., None], colours, colours * _DIM))
    unit = max(0.7, images.shape[1] / 160)  # line width grows with the picture
    # The first-order distance is also small where the map nearly touches the threshold: no border, so no line there.
    far = np.where(inside, 99.0, -99.0)
    distance = np.where(_near_border(inside, int(3.5 * unit)), _distance(heights, threshold), far)
    cover = np.clip(distance + 0.5, 0, 1)[..., None]
    painted = colours * (_DIM + (1 - _DIM) * cover)
    away = np.minimum(np.abs(distance), np.where(inside, _from_edge(inside, 1.05 * unit), 99.0))
    halo = np.clip(2.2 * unit - away, 0, 1)[..., None] * 0.45
    line = np.clip(1.05 * unit - away + 0.25, 0, 1)[..., None]
    painted = painted * (1 - halo) + _HALO * halo
    return _bytes(painted * (1 - line) + _LINE * line)


def check_style(style: str) -> None:
    """Raises OptionError for a style that does not exist."""
    if style not in STYLES:
        raise OptionError(f"style: expected one of {', '.join(map(repr, STYLES))}, got {style!r}")


def _distance(heights: np.ndarray, threshold: float) -> np.ndarray:
    """Signed distance in pixels to the border of the mask, first order: (f - t) / |gradient|, at most 99."""
    if min(heights.shape[1:]) < 2:
        return np.where(heights > threshold, 99.0, -99.0)
    over = heights.astype(np.float64) - threshold
    down, across = np.gradient(over, axis=(1, 2))
    slope = np.hypot(down, across)
    signed = np.divide(over, slope, out=np.where(over > 0, 99.0, -99.0), where=slope > 1e-9)
    return np.clip(signed, -99, 99)


def _from_edge(inside: np.ndarray, depth: float) -> np.ndarray:
    """How far every pixel is from a line that runs `depth` pixels inside the picture's edge: float64 (H, W)."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5 for n in inside.shape[1:])
    return np.abs(np.minimum(rows[:, None], columns[None, :]) - depth)


def _near_border(inside: np.ndarray, reach: int) -> np.ndarray:
    """Where the mask changes within `reach` pixels (a square window): bool (k, H, W)."""
    some = every = inside
    for axis in (1, 2):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        some = sliding_window_view(np.pad(some, pad, mode="edge"), 2 * reach + 1, axis=axis).max(axis=-1)
        every = sliding_window_view(np.pad(every, pad, mode="edge"), 2 * reach + 1, axis=axis).min(axis=-1)
    return some & ~every


def _heat(colours: np.ndarray, heights: np.ndarray, threshold: float) -> np.ndarray:
    """The colour map over a greyish image, the stronger the clearer: from 0 to the peak of the images shown.

    A unit whose threshold is not positive is drawn from its least value.
    """
    low = 0.0 if threshold > 0 else float(heights.min())
    high = max(float(heights.max()), float(threshold), low + 1e-6)
    level = np.clip((heights - low) / (high - low), 0, 1)
    steps = np.linspace(0, 1, len(_HEAT))
    colour = np.stack([np.interp(level, steps, _HEAT[:, c]) for c in range(3)], axis=-1)
    grey = (colours @ np.array([0.299, 0.587, 0.114]))[..., None]
    share = (0.25 + 0.45 * level)[..., None]
    return _bytes((0.4 * colours + 0.6 * grey) * (1 - share) + colour * share)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def top_images(dissection: Dissection, unit: int, layer: str | None = None, images: int = 6) -> np.ndarray:
    """Which of a unit's top images have a picture, best first: int64 places in `top_index[unit]`, at most `images`."""
    index = dissection.layer(layer).top_index[unit]
    kept = [place for place, image in enumerate(index) if int(image) in dissection.thumbnails]
    return np.array(kept[:images], dtype=np.int64)


def strip(
    dissection: Dissection,
    unit: int,
    layer: str | None = None,
    *,
    images: int = 6,
    style: str = "outline",
    tile: int = 104,
    density: float = 2.0,
    quality: int = 80,
) -> Strip | None:
    """A unit's top images side by side as one JPEG, or None where the dissection keeps no picture of them.

    tile: shown height of an image in CSS pixels; density: JPEG pixels per CSS pixel. Raises OptionError.
    """
    check_style(style)
    counts = dissection.layer(layer)
    places = top_images(dissection, unit, counts.name, images)
    if not len(places):
        return None
    pictures = [Image.open(io.BytesIO(dissection.thumbnails[int(counts.top_index[unit, p])])) for p in places]
    image_size = (pictures[0].height, pictures[0].width)
    # JPEG works in blocks of 8 pixels: tiles and gaps of whole blocks keep the colours of neighbours apart.
    height, width = (max(8, 8 * round(n * tile * density / image_size[0] / 8)) for n in image_size)
    resized = [np.asarray(p.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)) for p in pictures]
    maps = counts.top_map[unit][places]
    heights = upsample(maps, (height, width), image_size=image_size, geometry=counts.geometry)
    painted = paint(np.stack(resized), heights, float(counts.threshold[unit]), style)
    return side_by_side(painted, density, quality)


def side_by_side(tiles: np.ndarray, density: float = 2.0, quality: int = 80) -> Strip:
    """Pictures uint8 (n, H, W, 3) as one strip; `density` of their pixels make one on the page."""
    count, height, width, _ = tiles.shape
    gap = 8
    canvas = np.full((height, count * (width + gap) - gap, 3), 255, dtype=np.uint8)
    starts = np.arange(count) * (width + gap)
    canvas[:, (starts[:, None] + np.arange(width)).ravel()] = tiles.transpose(1, 0, 2, 3).reshape(height, -1, 3)
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "JPEG", quality=quality, subsampling=0, optimize=True)
    shown = round(canvas.shape[1] / density), round(height / density)
    return Strip(file.getvalue(), *shown, count, width / density, gap / density)
