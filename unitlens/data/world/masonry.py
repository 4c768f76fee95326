"""What buildings are made of: walls, windows, doors, roofs and chimneys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unitlens.data.world.canvas import Colour, Pen, Point, mix
from unitlens.data.world.dice import Dice

LIT = (255, 226, 138)  # the colour of lit glass, which nothing else has; see town.shine
BLACK, WHITE = (20, 20, 26), (250, 250, 246)
WALLS = (  # material, texture, colours
    ("plaster", None, ((244, 238, 222), (240, 214, 160), (236, 186, 150), (200, 220, 226), (226, 190, 196),
                          (206, 222, 180), (250, 226, 130), (214, 130, 100), (150, 180, 210), (178, 160, 200),
                          (120, 170, 160), (232, 232, 236))),
    ("brick", "brick", ((186, 96, 74), (164, 84, 66), (200, 140, 104), (150, 110, 96), (210, 176, 140))),
    ("stone", "stone", ((190, 182, 168), (166, 164, 162), (208, 190, 156), (146, 140, 136))),
    ("wood", "planks", ((150, 104, 68), (200, 204, 200), (128, 160, 180), (190, 80, 60), (232, 224, 204),
                         (96, 120, 90))),
)  # fmt: skip
ROOFS = ((186, 84, 58), (160, 66, 52), (112, 84, 74), (92, 98, 112), (72, 76, 88), (206, 116, 70), (120, 140, 130),
         (70, 110, 106), (146, 104, 66))  # fmt: skip
PAINTS = ((116, 72, 46), (56, 96, 70), (48, 80, 128), (150, 44, 44), (34, 52, 60), (96, 150, 160), (222, 190, 90),
          (240, 240, 236), (110, 60, 100))  # fmt: skip

AWNINGS = ((200, 60, 54), (50, 110, 160), (60, 130, 84), (230, 170, 60), (130, 70, 130), (226, 120, 150), (40, 60, 90),
           (230, 110, 50))  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What a building is made of."""

    thing: str
    wall: Colour
    material: str
    texture: str | None
    roof: Colour
    trim: Colour
    door: Colour
    shutter: Colour | None
    lit: bool
    snowy: bool
    panes: int


def look_for(
    thing: str, dice: Dice, lit: bool = False, snowy: bool = False, weights: Sequence[float] = (6, 3, 2, 2)
) -> Look:
    """The dice choose walls (weights: plaster, brick, stone, wood), roof, doors and windows."""
    material, texture, colours = dice.pick(WALLS, weights)
    trim = dice.pick((WHITE, (236, 228, 208), (90, 66, 50), (60, 66, 72)), (5, 3, 1, 1))
    shutter = dice.jitter(dice.pick(PAINTS), 14) if dice.chance(0.4) else None
    return Look(thing, dice.jitter(dice.pick(colours), 16), material, texture, dice.jitter(dice.pick(ROOFS), 14), trim,
                dice.jitter(dice.pick(PAINTS), 14), shutter, lit, snowy, dice.integer(0, 2))  # fmt: skip


def shining(pen: Pen) -> Pen:
    """The same pen without haze, for lit things."""
    return pen.hazed((0, 0, 0), 0.0)


def arched(x: float, y: float, w: float, h: float, pointed: bool = False) -> list[tuple[float, float]]:
    """The outline of a door or window with a round or pointed top, middle of its lower edge at (x, y)."""
    r = w / 2
    rise = (1.3 if pointed else 1.0) * r
    power = 1.6 if pointed else 1
    top = [(x + r * math.cos(k / 10 * math.pi), y + h - rise + rise * math.sin(k / 10 * math.pi) ** power)
           for k in range(11)]  # fmt: skip
    return [(x - r, y), (x + r, y), *top]


def facade(pen: Pen, look: Look, points: Sequence[Point], part: str = "facade", dark: float = 1.0) -> None:
    """A wall."""
    low, high = (tuple(c * dark * k for c in look.wall) for k in (0.86, 1.04))
    seen = max(y for _, y in points) * pen.unit > 0.2  # far walls are plain
    pen.polygon(points, (high, low), look.thing, part, look.material, texture=look.texture if seen else None)


def roof(pen: Pen, look: Look, points: Sequence[Point], dark: float = 1.0, part: str = "roof") -> None:
    """A roof of tiles, or of snow."""
    if look.snowy:
        pen.polygon(points, ((250, 252, 255), (214, 224, 240)), look.thing, part, "snow")
        return
    top, low = (tuple(c * dark * k for c in look.roof) for k in (1.1, 0.88))
    seen = pen.unit > 0.2
    pen.polygon(
        points,
        (top, low) if seen else mix(top, low, 0.4),
        look.thing,
        part,
        "tile",
        texture="roof_tiles" if seen else None,
    )


def glass(pen: Pen, look: Look, points: Sequence[Point], share: float = 0.55) -> None:
    """A pane: blue by day, in lit houses mostly bright."""
    if look.lit and pen.canvas.dice.chance(share):
        shining(pen).polygon(points, LIT, look.thing, "window", "glass")
    else:
        top, low = ((44, 54, 72), (30, 36, 52)) if look.lit else ((58, 84, 110), (140, 176, 198))
        big = (points[1][0] - points[0][0]) * pen.unit > 0.03
        pen.polygon(points, (top, low) if big else mix(top, low, 0.45), look.thing, "window", "glass")


def window(pen: Pen, look: Look, x: float, y: float, w: float, h: float, arch: bool = False) -> None:
    """A window with frame, panes, sill and perhaps shutters; (x, y) is the middle of its lower edge."""
    t, seen = min(w, h) * 0.14, w * pen.unit  # what would be smaller than a pixel is left out
    if look.shutter and not arch:
        for sx in (x - w * 0.82, x + w * 0.82):
            pen.rectangle(sx - w * 0.27, y, sx + w * 0.27, y + h, look.shutter, look.thing, "shutter", "wood")
            for k in range(1, 4):
                dark = mix(look.shutter, BLACK, 0.25)
                pen.rectangle(
                    sx - w * 0.2,
                    y + h * k / 4 - t / 3,
                    sx + w * 0.2,
                    y + h * k / 4,
                    dark,
                    look.thing,
                    "shutter",
                    "wood",
                )
    outer = arched(x, y - t, w + 2 * t, h + 2 * t) if arch else box(x, y - t, w + 2 * t, h + 2 * t)
    pen.polygon(outer, look.trim, look.thing, "window", "wood")
    glass(pen, look, arched(x, y, w, h) if arch else box(x, y, w, h))
    for k in range(1, look.panes + 1 if seen > 0.014 else 1):
        yk = y + h * k / (look.panes + 1)
        pen.rectangle(x - w / 2, yk - t / 3, x + w / 2, yk + t / 3, look.trim, look.thing, "window", "wood")
    if look.panes and seen > 0.014:
        pen.rectangle(x - t / 3, y, x + t / 3, y + h * 0.98, look.trim, look.thing, "window", "wood")
    if seen > 0.02:
        pen.rectangle(
            x - w / 2 - 2 * t,
            y - 1.8 * t,
            x + w / 2 + 2 * t,
            y - 0.6 * t,
            mix(look.trim, BLACK, 0.2),
            look.thing,
            "window",
            "stone",
        )


def door(pen: Pen, look: Look, x: float, y: float, w: float, h: float, arch: bool = False) -> None:
    """A door with its frame, panels, knob and a step."""
    shape = arched if arch else box
    pen.polygon(shape(x, y, w * 1.22, h * 1.07), look.trim, look.thing, "door", "wood")
    pen.polygon(shape(x, y, w, h), (look.door, mix(look.door, BLACK, 0.2)), look.thing, "door", "wood")
    for sx in (-0.22, 0.22) if w * pen.unit > 0.025 else ():
        for low, high in ((0.1, 0.42), (0.5, 0.8)):
            panel = mix(look.door, BLACK, 0.25)
            pen.rectangle(
                x + w * (sx - 0.15), y + h * low, x + w * (sx + 0.15), y + h * high, panel, look.thing, "door", "wood"
            )
    pen.ellipse(x + w * 0.36, y + h * 0.46, w * 0.06, w * 0.06, (230, 200, 110), look.thing, "door", "metal")
    pen.rectangle(x - w * 0.75, y, x + w * 0.75, y + h * 0.05, (170, 166, 160), look.thing, "door", "stone")


def chimney(pen: Pen, look: Look, x: float, y: float, w: float, h: float) -> None:
    """A chimney of bricks, perhaps with smoke."""
    dice = pen.canvas.dice
    if dice.chance(0.25):
        for k in range(4):
            pen.blob(x + w * (0.2 + k * 0.8), y + h + w * (0.5 + k * 1.1), w * (0.5 + 0.3 * k), w * (0.4 + 0.22 * k),
                     (224, 224, 230), "cloud", None, "air")  # fmt: skip
    brick = dice.jitter(dice.pick(((160, 84, 66), (140, 120, 110), (220, 210, 196))), 10)
    pen.rectangle(x - w / 2, y, x + w / 2, y + h, (brick, mix(brick, BLACK, 0.25)), look.thing, "chimney", "brick")
    cap = (246, 250, 255) if look.snowy else mix(brick, BLACK, 0.35)
    pen.rectangle(x - w * 0.65, y + h * 0.86, x + w * 0.65, y + h, cap, look.thing, "chimney", "brick")


def box(x: float, y: float, w: float, h: float) -> list[tuple[float, float]]:
    """The outline of a rectangle, the middle of its lower edge at (x, y)."""
    return [(x - w / 2, y), (x + w / 2, y), (x + w / 2, y + h), (x - w / 2, y + h)]
