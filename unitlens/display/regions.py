"""Regions: a picture with coloured regions, and where on it their names can stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unitlens.display.theme import contrast

#: The colours of Okabe and Ito, told apart with every common colour-vision deficiency; neighbours in rank far apart.
COLOURS = ("#e69f00", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#f0e442", "#0072b2")
_COVER = 0.62  # of a region's colour over the grey picture
_GRID = 72  # cells across, on which a place for a name is sought
_LETTER, _LINE = 1.72, 5.6  # width of a letter and height of a name, in % of a picture about 430 CSS pixels wide


@dataclass(frozen=True)
class Pin:
    """A region's name on the picture: x, y its middle in % of the picture, and its colours."""

    unit: int
    words: str
    x: float
    y: float
    colour: str
    on: str


def colour_of(place: int) -> str:
    """The colour of the unit at this place among the strongest."""
    return COLOURS[place % len(COLOURS)]


def painted_regions(picture: np.ndarray, regions: np.ndarray, units: Sequence[int] | np.ndarray) -> np.ndarray:
    """A picture whose regions have the colours of their units: uint8 (H, W, 3).

    picture: uint8 (H, W, 3). regions: int64 (H, W), unit numbers, -1 = none. units: in the order of `COLOURS`.
    Where no unit fires the picture is grey and dark. Borders are white.
    """
    grey = (picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]  # (H, W, 1)
    painted = np.repeat(grey * 0.42, 3, axis=2)
    for place, unit in enumerate(units):
        inside = regions == unit
        # Grey below: the picture's own colours would make two regions of one. Its light and dark stay.
        lit = _rgb(colour_of(place)) * (0.65 + 0.5 * grey[inside] / 255)
        painted[inside] = (1 - _COVER) * grey[inside] + _COVER * lit
    border = _border(regions, max(1.0, picture.shape[1] / 400))[..., None]
    return np.clip(np.rint(painted * (1 - border) + 255 * border), 0, 255).astype(np.uint8)


def _border(regions: np.ndarray, width: float) -> np.ndarray:
    """How much of each pixel a line between regions covers: float32 (H, W), 0..1, smooth."""
    edge = np.zeros(regions.shape, dtype=bool)
    edge[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    edge[1:] |= regions[1:] != regions[:-1]
    near = edge.astype(np.float32)
    for _ in range(max(1, round(width))):  # a box blur of three, and again
        wide = np.pad(near, 1, mode="edge")
        tall = wide[:-2] + wide[1:-1] + wide[2:]
        near = (tall[:, :-2] + tall[:, 1:-1] + tall[:, 2:]) / 9
    return np.clip(near * 2.4 - 0.15, 0, 1) * 0.92


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32)


def pins(regions: np.ndarray, names: Sequence[tuple[int, str]]) -> list[Pin]:
    """A name for every region, well inside it and beside the other names.

    regions: int64 (H, W). names: (unit, words), in the order of `COLOURS`. A region without room for its name, the
    others' considered, gets none: the legend has it.
    """
    small = _small(regions)
    placed: list[tuple[float, float, float]] = []  # x, y, width of each name
    found = []
    for place, (unit, words) in enumerate(names):
        short = words if len(words) <= 18 else words[:17] + "…"
        width = _LETTER * (len(short) + len(str(unit)) + 1) + 4.5
        spot = _spot(small == unit, width, placed)
        if spot is not None:
            placed.append((*spot, width))
            colour = colour_of(place)
            on = max(("#ffffff", "#101216"), key=lambda text: contrast(text, colour))
            found.append(Pin(unit, short, *spot, colour, on))
    return found


def _small(regions: np.ndarray) -> np.ndarray:
    """The regions on a grid of at most `_GRID` cells across."""
    height, width = regions.shape
    cells = max(1, round(height * min(_GRID, width) / width)), min(_GRID, width)
    rows, columns = ((np.arange(n) + 0.5) * whole / n for n, whole in zip(cells, regions.shape, strict=True))
    return regions[rows.astype(int)][:, columns.astype(int)]


def _spot(inside: np.ndarray, width: float, placed: Sequence[tuple[float, float, float]]) -> tuple[float, float] | None:
    """The middle of a name in % of the picture, as deep inside as the names that stand there already allow."""
    depth, (rows, columns) = _depth(inside), inside.shape
    line = _LINE * columns / rows if rows else _LINE  # in % of the height
    order = np.argsort(-depth, axis=None, kind="stable")[: int(inside.sum())]
    for at in order:
        y, x = divmod(int(at), columns)
        across = min(max(100 * (x + 0.5) / columns, width / 2 + 1), 99 - width / 2)
        down = min(max(100 * (y + 0.5) / rows, line / 2 + 1), 99 - line / 2)
        if all(abs(across - a) >= (width + w) / 2 + 0.6 or abs(down - b) >= line + 0.6 for a, b, w in placed):
            return across, down
    return None


def _depth(inside: np.ndarray) -> np.ndarray:
    """How many steps each cell is from the region's border: int64 (h, w), 0 outside."""
    depth, left = np.zeros(inside.shape, dtype=np.int64), inside.copy()
    while left.any():
        depth += left
        wide = np.pad(left, 1)
        left = left & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return depth
