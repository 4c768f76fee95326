"""Cars, buses, lorries, tractors, bicycles and trains, all seen from the side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from unitlens.data.world.canvas import Colour, Pen, Point, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.masonry import BLACK, LIT, WHITE, box, shining

PAINT = ((200, 44, 40), (40, 90, 170), (240, 196, 60), (60, 140, 90), (236, 236, 232), (50, 54, 62), (150, 160, 170),
         (230, 120, 50), (110, 60, 120), (120, 190, 200), (240, 160, 180), (130, 90, 60), (180, 210, 120))  # fmt: skip
PANE = ((70, 100, 128), (170, 204, 220))


def _paint(dice: Dice) -> Colour:
    return dice.jitter(dice.pick(PAINT), 18)


def wheel(pen: Pen, thing: str, x: float, r: float, spoke: Colour = (190, 194, 200)) -> None:
    """A wheel that stands on the ground at x."""
    pen.ellipse(x, r, r, r, (34, 34, 38), thing, "wheel", "plastic")
    pen.ellipse(x, r, r * 0.58, r * 0.58, spoke, thing, "wheel", "metal")
    pen.ellipse(x, r, r * 0.22, r * 0.22, mix(spoke, BLACK, 0.5), thing, "wheel", "metal")


def _pane(pen: Pen, thing: str, points: Sequence[Point], lit: bool, part: str = "window") -> None:
    if lit:
        shining(pen).polygon(points, LIT, thing, part, "glass")
    else:
        pen.polygon(points, PANE, thing, part, "glass")


def _lamp(pen: Pen, thing: str, x: float, y: float, r: float, lit: bool) -> None:
    if lit:
        shining(pen).ellipse(x, y, r * 1.2, r * 1.2, LIT, thing, "headlight", "glass")
    else:
        pen.ellipse(x, y, r, r, (255, 244, 200), thing, "headlight", "glass")


CARS = {  # roof line from back to front, in lengths and heights, and the cabin's panes
    "saloon": ((-1.25, 0.52), (-0.85, 0.58), (-0.52, 0.98), (0.28, 0.98), (0.68, 0.6), (1.22, 0.52)),
    "hatchback": ((-1.1, 0.6), (-0.9, 1.0), (0.2, 1.0), (0.62, 0.62), (1.1, 0.54)),
    "beetle": ((-1.15, 0.4), (-0.95, 0.64), (-0.55, 0.95), (-0.1, 1.02), (0.3, 0.92), (0.58, 0.6), (1.0, 0.55),
               (1.15, 0.36)),
    "van": ((-1.2, 0.5), (-1.16, 1.15), (0.5, 1.15), (0.86, 0.66), (1.2, 0.58)),
    "estate": ((-1.25, 0.55), (-1.12, 0.96), (0.26, 0.96), (0.66, 0.6), (1.24, 0.52)),
}  # fmt: skip


def car(pen: Pen, dice: Dice, lit: bool = False) -> None:
    """A car; its height is about 1, its length about 2.4."""
    kind, paint = dice.pick(tuple(CARS)), _paint(dice)
    line = CARS[kind]
    back, front, top = line[0][0], line[-1][0], max(y for _, y in line)
    if dice.chance(0.15) and kind != "van":
        pen.polygon(box(-0.15, top, 0.9, 0.16), (130, 90, 60), "car", "body", "wood")
    pen.polygon(
        [(back, 0.2), *line, (front + 0.04, 0.22)],
        (mix(paint, WHITE, 0.22), mix(paint, BLACK, 0.12)),
        "car",
        "body",
        "metal",
    )
    pen.rectangle(back, 0.16, front + 0.04, 0.28, mix(paint, BLACK, 0.45), "car", "body", "metal")
    high = top - 0.09
    tail = max(-0.98, min(x for x, y in line if y > 0.85) + 0.06)
    nose = max(x for x, y in line if y > 0.85)
    mid = (tail + nose) / 2
    _pane(pen, "car", [(tail - 0.12, 0.62), (mid - 0.04, 0.62), (mid - 0.04, high), (tail, high)], False)
    _pane(pen, "car", [(mid + 0.04, 0.62), (nose + 0.06, 0.62), (nose - 0.06, high), (mid + 0.04, high)], False)
    _pane(
        pen,
        "car",
        [(nose + 0.11, 0.62), (nose + 0.3, 0.62), (nose + 0.02, high), (nose - 0.01, high)],
        False,
        "windscreen",
    )
    dark = mix(paint, BLACK, 0.4)
    for x in (mid, nose + 0.08, tail - 0.1):
        pen.rectangle(x - 0.012, 0.26, x + 0.012, 0.6, dark, "car", "body", "metal")
    pen.rectangle(mid + 0.08, 0.5, mid + 0.2, 0.535, (220, 224, 228), "car", "handle", "metal")
    pen.rectangle(back, 0.42, back + 0.1, 0.53, (190, 40, 36), "car", "headlight", "glass")
    _lamp(pen, "car", front - 0.07, 0.46, 0.085, lit)
    for x in (-0.7, 0.72):
        pen.ellipse(x, 0.22, 0.28, 0.28, mix(paint, BLACK, 0.6), "car", "body", "metal")
        wheel(pen, "car", x, 0.22)


def bus(pen: Pen, dice: Dice, lit: bool = False) -> None:
    """A bus with one or two decks; 1 high, about 2 long (1.4 with two decks)."""
    paint, band = _paint(dice), dice.pick((WHITE, (240, 220, 150), (40, 60, 100)))
    double = dice.chance(0.3)
    half, count = (0.72, 5) if double else (1.1, 7)
    pen.polygon([(-half, 0.1), (-half, 0.95), (-half + 0.06, 1.0), (half - 0.08, 1.0), (half, 0.92),
                 (half + 0.02, 0.1)],
                (mix(paint, WHITE, 0.2), mix(paint, BLACK, 0.1)), "bus", "body", "metal")  # fmt: skip
    pen.rectangle(-half, 0.3, half + 0.01, 0.36, band, "bus", "body", "metal")
    rows = ((0.42, 0.6), (0.7, 0.9)) if double else ((0.46, 0.86),)
    for low, high in rows:
        for k in range(count):
            x0 = -half + 0.06 + (half * 2 - 0.3) * k / count
            x1 = x0 + (half * 2 - 0.3) / count - 0.04
            _pane(pen, "bus", [(x0, low), (x1, low), (x1, high), (x0, high)], lit)
        _pane(
            pen,
            "bus",
            [(half - 0.17, low - 0.04), (half - 0.01, low - 0.04), (half - 0.03, high), (half - 0.17, high)],
            lit,
            "windscreen",
        )
    pen.rectangle(
        half - 0.42, 0.12, half - 0.24, 0.3 if double else 0.84, mix(paint, BLACK, 0.4), "bus", "door", "metal"
    )
    _lamp(pen, "bus", half - 0.04, 0.24, 0.04, lit)
    for x in (-half * 0.62, half * 0.52):
        wheel(pen, "bus", x, 0.13)


def truck(pen: Pen, dice: Dice, lit: bool = False) -> None:
    """A lorry with a box, a canvas cover or a load of crates."""
    paint, load = _paint(dice), _paint(dice)
    pen.rectangle(-1.05, 0.2, 0.95, 0.3, (60, 62, 68), "truck", "body", "metal")
    kind = dice.pick(("box", "cover", "open"))
    if kind == "open":
        for k in range(4):
            size = dice.uniform(0.2, 0.36)
            crate_ink = dice.jitter((176, 126, 76), 16)
            pen.polygon(
                box(-0.85 + 0.36 * k, 0.48, 0.32, size), (crate_ink, mix(crate_ink, BLACK, 0.2)), "crate", None, "wood"
            )
        pen.rectangle(-1.05, 0.3, 0.42, 0.54, mix(load, BLACK, 0.1), "truck", "body", "wood", texture="planks")
    else:
        cover = [(-1.05, 0.3), (0.42, 0.3), (0.42, 0.94), (0.3, 1.0), (-0.95, 1.0), (-1.05, 0.94)]
        texture, material = ("folds", "fabric") if kind == "cover" else (None, "metal")
        pen.polygon(cover, (mix(load, WHITE, 0.25), load), "truck", "body", material, texture=texture)
        if kind == "box":
            pen.rectangle(-0.7, 0.52, 0.1, 0.76, mix(load, WHITE, 0.6), "truck", "body", "metal")
    cab = [(0.46, 0.2), (0.46, 0.86), (0.8, 0.86), (0.92, 0.56), (1.08, 0.5), (1.1, 0.2)]
    pen.polygon(cab, (mix(paint, WHITE, 0.2), mix(paint, BLACK, 0.1)), "truck", "body", "metal")
    _pane(pen, "truck", [(0.54, 0.54), (0.74, 0.54), (0.74, 0.79), (0.54, 0.79)], False)
    _pane(pen, "truck", [(0.78, 0.54), (0.9, 0.54), (0.8, 0.79), (0.78, 0.79)], False, "windscreen")
    pen.rectangle(0.5, 0.24, 0.515, 0.5, mix(paint, BLACK, 0.4), "truck", "door", "metal")
    _lamp(pen, "truck", 1.04, 0.36, 0.045, lit)
    for x in (-0.78, -0.42, 0.76):
        wheel(pen, "truck", x, 0.16)


def tractor(pen: Pen, dice: Dice, lit: bool = False) -> None:
    """A tractor: big wheel behind, small one in front, cab, funnel."""
    paint = dice.jitter(dice.pick(PAINT, (4, 2, 2, 5, 1, 1, 1, 3, 1, 1, 1, 1, 1)), 16)
    pen.polygon(
        [(-0.5, 0.3), (-0.5, 0.55), (0.02, 0.6), (0.74, 0.56), (0.76, 0.24)],
        (mix(paint, WHITE, 0.15), mix(paint, BLACK, 0.2)),
        "tractor",
        "body",
        "metal",
    )
    for k in range(4):
        pen.rectangle(0.3 + 0.1 * k, 0.32, 0.33 + 0.1 * k, 0.5, mix(paint, BLACK, 0.5), "tractor", "body", "metal")
    pen.polygon([(-0.46, 0.55), (-0.38, 0.98), (0.02, 0.98), (0.1, 0.58)], paint, "tractor", "cabin", "metal")
    _pane(pen, "tractor", [(-0.38, 0.6), (-0.32, 0.91), (-0.18, 0.91), (-0.18, 0.6)], False)
    _pane(pen, "tractor", [(-0.13, 0.6), (-0.13, 0.91), (-0.02, 0.91), (0.04, 0.6)], False, "windscreen")
    pen.rectangle(-0.52, 0.96, 0.08, 1.02, mix(paint, BLACK, 0.25), "tractor", "roof", "metal")
    pen.rectangle(0.42, 0.56, 0.47, 0.88, (60, 60, 64), "tractor", "funnel", "metal")
    _lamp(pen, "tractor", 0.74, 0.46, 0.05, lit)
    rim = dice.pick(((236, 200, 70), (220, 222, 224), (200, 70, 60)))
    pen.polygon(
        [(-0.86, 0.5), (-0.7, 0.72), (-0.3, 0.72), (-0.08, 0.4)], mix(paint, BLACK, 0.15), "tractor", "body", "metal"
    )
    wheel(pen, "tractor", -0.46, 0.34, rim)
    wheel(pen, "tractor", 0.58, 0.2, rim)


def bicycle(pen: Pen, dice: Dice) -> None:
    """A bicycle leaning on nothing in particular."""
    paint, r = _paint(dice), 0.34
    for x in (-0.52, 0.52):
        ring = [(x + r * math.cos(k / 12 * math.pi), r + r * math.sin(k / 12 * math.pi)) for k in range(25)]
        pen.line(ring, 0.06, (40, 40, 44), "bicycle", "wheel", "plastic")
        for k in range(4):
            dx, dy = r * math.cos(k * math.pi / 4), r * math.sin(k * math.pi / 4)
            pen.line([(x - dx, r - dy), (x + dx, r + dy)], 0.014, (170, 174, 180), "bicycle", "wheel", "metal")
    for points in (
        ((-0.52, r), (-0.02, r - 0.04), (0.36, 0.76), (-0.2, 0.76), (-0.52, r)),
        ((-0.02, r - 0.04), (-0.24, 0.86)),
        ((0.52, r), (0.34, 0.92)),
    ):
        pen.line(points, 0.06, paint, "bicycle", "frame", "metal")
    pen.line([(0.46, 1.0), (0.34, 0.94), (0.22, 0.98)], 0.06, (50, 50, 54), "bicycle", "handle", "metal")
    pen.polygon([(-0.4, 0.86), (-0.12, 0.86), (-0.1, 0.92), (-0.38, 0.94)], (70, 46, 34), "bicycle", "seat", "plastic")
    if dice.chance(0.4):
        pen.polygon([(0.42, 0.66), (0.66, 0.66), (0.72, 0.88), (0.38, 0.88)], (180, 134, 80), "bicycle", None, "straw")


def train(pen: Pen, dice: Dice, lit: bool = False, cars: int = 4) -> None:
    """A train that starts at x = 0 and runs to the left: an engine and its carriages, 1 high."""
    paint, band = _paint(dice), dice.jitter(dice.pick((WHITE, (240, 210, 110), (60, 64, 80), (200, 60, 50))), 10)
    steam = dice.chance(0.35)
    start = -1.5 if steam else -2.3
    for k in range(cars):
        if not -1.2 < pen.place(start - 2.0 * k - 1, 0)[0] - 0.5 < 1.2:
            break
        _carriage(pen, start - 2.0 * k, paint, band, lit, dice.pick((0, 0.5)))
    (_steam_engine if steam else _engine)(pen, dice, paint, band, lit)


def _carriage(pen: Pen, right: float, paint: Colour, band: Colour, lit: bool, share: float) -> None:
    left = right - 1.92
    pen.rectangle(left - 0.1, 0.16, right + 0.1, 0.22, (50, 50, 54), "train", "body", "metal")
    pen.rectangle(left, 0.16, right, 0.9, (mix(paint, WHITE, 0.15), mix(paint, BLACK, 0.15)), "train", "body", "metal")
    pen.rectangle(left, 0.4, right, 0.46, band, "train", "body", "metal")
    pen.polygon(
        [(left - 0.02, 0.88), (right + 0.02, 0.88), (right - 0.08, 0.98), (left + 0.08, 0.98)],
        mix(paint, (90, 90, 96), 0.7),
        "train",
        "roof",
        "metal",
    )
    for k in range(5):
        x = left + 0.36 + 0.3 * k
        _pane(pen, "train", box(x, 0.52, 0.22, 0.26), lit)
    for x in (left + 0.12, right - 0.12):
        pen.polygon(box(x, 0.18, 0.15, 0.64), mix(paint, BLACK, 0.35), "train", "door", "metal")
        _pane(pen, "train", box(x, 0.54, 0.09, 0.22), lit)
    for x in (left + 0.3, left + 0.56, right - 0.56, right - 0.3):
        wheel(pen, "train", x, 0.1, (120, 120, 126))


def _engine(pen: Pen, dice: Dice, paint: Colour, band: Colour, lit: bool) -> None:
    nose = dice.uniform(0.1, 0.55)
    outline = [(-2.25, 0.14), (-2.25, 0.92), (-nose - 0.1, 0.94), (-nose * 0.35, 0.62), (0.0, 0.34), (0.0, 0.14)]
    pen.polygon(outline, (mix(paint, WHITE, 0.2), mix(paint, BLACK, 0.15)), "train", "body", "metal")
    pen.rectangle(-2.25, 0.38, -0.05, 0.45, band, "train", "body", "metal")
    pen.polygon(
        [(-2.2, 0.9), (-nose - 0.1, 0.92), (-nose - 0.22, 1.0), (-2.1, 1.0)], (96, 98, 106), "train", "roof", "metal"
    )
    _pane(
        pen,
        "train",
        [(-nose - 0.16, 0.6), (-nose * 0.4 - 0.06, 0.6), (-nose - 0.08, 0.86), (-nose - 0.16, 0.86)],
        lit,
        "windscreen",
    )
    for k in range(4):
        _pane(pen, "train", box(-2.0 + 0.34 * k, 0.52, 0.22, 0.26), lit)
    _lamp(pen, "train", -0.08, 0.3, 0.05, lit)
    for x in (-1.9, -1.6, -0.75, -0.45):
        wheel(pen, "train", x, 0.11, (120, 120, 126))


def _steam_engine(pen: Pen, dice: Dice, paint: Colour, band: Colour, lit: bool) -> None:
    dark = mix(paint, BLACK, 0.45)
    for k in range(5):
        pen.blob(
            -0.3 - 0.28 * k, 1.12 + 0.13 * k, 0.13 + 0.06 * k, 0.1 + 0.04 * k, (228, 228, 234), "cloud", None, "air"
        )
    pen.rectangle(-1.46, 0.2, -0.96, 0.98, (paint, dark), "train", "cabin", "metal")
    pen.rectangle(-1.54, 0.95, -0.88, 1.02, dark, "train", "roof", "metal")
    _pane(pen, "train", box(-1.21, 0.6, 0.28, 0.24), lit)
    pen.rectangle(-0.98, 0.34, -0.1, 0.72, (mix(paint, WHITE, 0.25), dark), "train", "body", "metal")
    for x in (-0.75, -0.45):
        pen.polygon(box(x, 0.34, 0.04, 0.38), band, "train", "body", "metal")
    pen.ellipse(-0.1, 0.53, 0.07, 0.19, dark, "train", "body", "metal")
    pen.polygon([(-0.36, 0.7), (-0.2, 0.7), (-0.17, 1.02), (-0.39, 1.02)], (50, 50, 54), "train", "funnel", "metal")
    pen.ellipse(-0.64, 0.73, 0.08, 0.08, (220, 180, 80), "train", "body", "metal")
    _lamp(pen, "train", -0.04, 0.66, 0.06, lit)
    pen.polygon([(-0.12, 0.26), (0.06, 0.04), (-0.12, 0.04)], (180, 50, 44), "train", "body", "metal")
    for x, r in ((-1.2, 0.2), (-0.8, 0.2), (-0.44, 0.12), (-0.2, 0.12)):
        wheel(pen, "train", x, r, (190, 60, 50))
    pen.line([(-1.2, 0.2), (-0.8, 0.16)], 0.04, (200, 204, 210), "train", "body", "metal")
