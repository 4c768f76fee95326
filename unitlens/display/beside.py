"""Beside: where the words of curves stand, so that they cover no curve and no other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unitlens.display.svg import text_width

_GAP = 6.0  # pixels between a curve and its words
_ENOUGH = 14.0  # pixels; more room than this makes no place better
#: Position in plotly's words -> where the middle of the box lies, in half boxes from the point.
_SIDES = {
    "middle right": (1, 0), "middle left": (-1, 0), "top center": (0, -1), "bottom center": (0, 1),
    "top right": (1, -1), "bottom left": (-1, 1), "top left": (-1, -1), "bottom right": (1, 1),
}  # fmt: skip

Box = tuple[float, float, float, float]  # left, top, right, bottom


def beside(
    curves: Sequence[np.ndarray],
    texts: Sequence[str],
    fields: Sequence[tuple[float, float]],
    least: Sequence[float],
    size: float = 11,
) -> list[tuple[int, str] | None]:
    """For each curve the number of one of its points and the position there ("middle right", ...) of its words.

    curves: float (S, 2), closely sampled, as shares of a field, y downwards. fields: width and height in pixels of the
    drawings in which the words must cover nothing. least: pixels between the words and every other curve, at most 14;
    words nearer to their own than to another are not mistaken. None where no place is free.
    """
    sheets = [_Sheet([curve * np.array(field) for curve in curves], field, []) for field in fields]
    found: list[tuple[int, str] | None] = []
    for own, text in enumerate(texts):
        half = text_width(text, size) / 2 + 2, size / 2 + 1
        best, spot = least[own] - 0.5, None
        for point in range(0, len(curves[own]), 3):
            for side, ways in _SIDES.items():
                room = min(sheet.room(sheet.box(own, point, ways, half), own) for sheet in sheets)
                if room > best + 0.5:
                    best, spot = room, (point, side)
        if spot is not None:
            for sheet in sheets:
                sheet.placed.append(sheet.box(own, spot[0], _SIDES[spot[1]], half))
        found.append(spot)
    return found


@dataclass
class _Sheet:
    """A drawing of one size: its curves in pixels, and the words that have their place."""

    curves: list[np.ndarray]
    field: tuple[float, float]
    placed: list[Box]

    def box(self, own: int, point: int, ways: tuple[int, int], half: tuple[float, float]) -> Box:
        """Where words beside a point lie; `half` is half their width and height."""
        x, y = (self.curves[own][point, axis] + ways[axis] * (half[axis] + _GAP) for axis in (0, 1))
        return x - half[0], y - half[1], x + half[0], y + half[1]

    def room(self, box: Box, own: int) -> float:
        """How far a box is from the other curves, up to what is enough; 0 where it covers something or leaves."""
        if box[0] < 0 or box[1] < 0 or box[2] > self.field[0] or box[3] > self.field[1]:
            return 0.0
        if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in self.placed):
            return 0.0
        if _distance(box, self.curves[own]).min() <= 1:
            return 0.0
        others = [curve for place, curve in enumerate(self.curves) if place != own]
        return min([_ENOUGH, *(float(_distance(box, curve).min()) for curve in others)])


def _distance(box: Box, points: np.ndarray) -> np.ndarray:
    x = np.maximum(np.maximum(box[0] - points[:, 0], points[:, 0] - box[2]), 0)
    y = np.maximum(np.maximum(box[1] - points[:, 1], points[:, 1] - box[3]), 0)
    return np.asarray(np.hypot(x, y))
