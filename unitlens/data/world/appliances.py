"""Appliances and bathroom ceramics. Drawn on a pen with y up, about 1 high."""

from __future__ import annotations

from unitlens.data.world.canvas import Colour, Pen
from unitlens.data.world.dice import Dice
from unitlens.data.world.furniture import cloth
from unitlens.data.world.room import solid
from unitlens.data.world.shell import PAINTS, dim

STEEL = (186, 190, 196)
CERAMICS = ((246, 247, 248), (246, 247, 248), (240, 234, 220), (206, 224, 226), (226, 200, 204), (196, 212, 190))
ENAMELS = ((240, 241, 240), (190, 193, 198), (58, 60, 66), (196, 70, 60), (140, 190, 186), (226, 214, 180))
SCREENS = (
    ((120, 176, 226), (90, 150, 80)), ((250, 170, 110), (90, 60, 110)), ((40, 90, 150), (20, 50, 90)),
    ((230, 230, 226), (200, 206, 216)), ((60, 120, 90), (30, 60, 50)),
)  # fmt: skip


def oven(pen: Pen, dice: Dice, colour: Colour | None = None) -> None:
    """A cooker: burners on top, knobs, a door with a window and a handle."""
    colour = colour or dice.jitter(dice.pick(ENAMELS), 6)
    half = 0.40
    if dice.chance(0.4):
        pen.rectangle(-half, 0.9, half, 1.22, dim(colour, 0.85), "oven", "back", "metal")
    solid(pen, -half, 0.0, half, 0.92, 0.17, colour, "oven", "body", "metal", top=dim(STEEL, 0.55), top_part="top")
    for x, y in ((-0.2, 0.965), (0.2, 0.965), (-0.17, 1.04), (0.2, 1.04)):
        pen.ellipse(x, y, 0.12, 0.028, (34, 34, 38), "oven", "burner", "metal")
        pen.ellipse(x, y, 0.06, 0.014, (96, 60, 56), "oven", "burner", "metal")
    pen.rectangle(-half, 0.76, half, 0.92, dim(colour, 0.82), "oven", "body", "metal")
    for k in range(5):
        pen.ellipse(-0.28 + 0.14 * k, 0.84, 0.042, 0.042, (40, 42, 46), "oven", "handle", "metal")
    pen.rectangle(-half + 0.04, 0.16, half - 0.04, 0.72, dim(colour, 0.92), "oven", "door", "metal")
    pen.rectangle(-half + 0.11, 0.24, half - 0.11, 0.58, ((54, 50, 52), (92, 70, 56)), "oven", "door", "glass")
    pen.polygon([(-0.24, 0.26), (-0.12, 0.26), (0.02, 0.56), (-0.10, 0.56)], (112, 104, 100), "oven", "door", "glass")
    pen.rectangle(-half + 0.08, 0.63, half - 0.08, 0.68, dim(STEEL, 1.1), "oven", "handle", "metal")
    pen.rectangle(-half + 0.04, 0.03, half - 0.04, 0.13, dim(colour, 0.9), "oven", "drawer", "metal")
    if dice.chance(0.5):
        _pan(pen, dice)


def _pan(pen: Pen, dice: Dice) -> None:
    colour, x = (
        dice.jitter(dice.pick(((190, 60, 50), (60, 70, 90), STEEL, (226, 160, 60))), 10),
        dice.pick((-0.18, 0.18)),
    )
    pen.rectangle(x - 0.14, 1.0, x + 0.14, 1.17, (dim(colour, 1.1), dim(colour, 0.8)), "bowl", "body", "metal")
    pen.ellipse(x, 1.17, 0.14, 0.03, dim(colour, 1.2), "bowl", "top", "metal")
    pen.rectangle(x - 0.22, 1.1, x + 0.22, 1.13, dim(colour, 0.6), "bowl", "handle", "metal")


def hood(pen: Pen, dice: Dice) -> None:
    """The hood over a cooker (part of the oven)."""
    colour = dice.jitter(dice.pick((STEEL, (236, 236, 232), (70, 72, 78))), 6)
    pen.rectangle(-0.2, 0.3, 0.2, 1.4, (colour, dim(colour, 0.9)), "oven", "chimney", "metal")
    pen.polygon([(-0.62, 0.0), (0.62, 0.0), (0.62, 0.12), (0.22, 0.42), (-0.22, 0.42), (-0.62, 0.12)], dim(colour,
        0.92), "oven",
                "chimney", "metal")  # fmt: skip


def refrigerator(pen: Pen, dice: Dice) -> None:
    """A refrigerator with a freezer door."""
    colour = dice.jitter(dice.pick(ENAMELS + PAINTS[:6], (5, 4, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)), 6)
    half, cut, round_top = dice.uniform(0.18, 0.23), dice.pick((0.36, 0.68, 0.72)), dice.chance(0.3)
    solid(pen, -half, 0.02, half, 0.97 if round_top else 1.0, 0.02, colour, "refrigerator", "body", "metal")
    if round_top:
        pen.ellipse(0, 0.96, half, 0.04, dim(colour, 1.03), "refrigerator", "body", "metal")
    for y0, y1 in ((0.04, cut - 0.006), (cut + 0.006, 0.975)):
        pen.rectangle(
            -half + 0.008, y0, half - 0.008, y1, (dim(colour, 1.08), dim(colour, 0.95)), "refrigerator", "door", "metal"
        )
        h0 = y1 - 0.2 if y0 < 0.1 else y0 + 0.03
        pen.rectangle(-half + 0.03, h0, -half + 0.055, h0 + 0.16, dim(STEEL, 0.75), "refrigerator", "handle", "metal")
    pen.rectangle(-half, cut - 0.006, half, cut + 0.006, dim(colour, 0.6), "refrigerator", "body", "metal")
    pen.polygon([(half * 0.5, 0.06), (half * 0.75, 0.06), (half * 0.75, 0.95), (half * 0.5, 0.95)], dim(colour, 1.14),
                "refrigerator", "door", "metal")  # fmt: skip
    for _ in range(dice.integer(0, 3)):
        x, y, note = dice.uniform(-0.1, 0.1), dice.uniform(0.74, 0.92), dice.jitter(dice.pick(PAINTS), 30)
        pen.rectangle(x - 0.022, y - 0.025, x + 0.022, y + 0.025, note, "picture", None, "paper")


def tap(pen: Pen, x: float, y: float, high: float, thing: str = "sink") -> None:
    """A bent tap standing at (x, y)."""
    pen.line([(x, y), (x, y + high), (x + high * 0.5, y + high), (x + high * 0.5, y + high * 0.7)], high * 0.16,
        dim(STEEL, 0.85),
             thing, "tap", "metal")  # fmt: skip
    pen.rectangle(x - high * 0.22, y, x + high * 0.22, y + high * 0.14, dim(STEEL, 0.7), thing, "tap", "metal")


def sink_top(pen: Pen, dice: Dice) -> None:
    """A kitchen sink let into a worktop: draw on the top; 1 = about 0.3 m."""
    colour = dice.pick((STEEL, (240, 240, 238)))
    pen.polygon([(-0.95, 0.02), (0.95, 0.02), (0.85, 0.46), (-0.85, 0.46)], dim(colour, 1.05), "sink", None, "metal")
    pen.polygon([(-0.8, 0.08), (0.8, 0.08), (0.72, 0.40), (-0.72, 0.40)], (dim(colour, 0.5), dim(colour, 0.8)),
        "sink", "basin",
                "metal")  # fmt: skip
    tap(pen, 0.0, 0.38, 0.85)


def washbasin(pen: Pen, dice: Dice) -> None:
    """A washbasin on a pedestal or a cupboard."""
    colour = dice.jitter(dice.pick(CERAMICS), 4)
    if dice.chance(0.5):
        pen.polygon(
            [(-0.13, 0), (0.13, 0), (0.10, 0.7), (-0.10, 0.7)],
            (dim(colour, 0.9), dim(colour, 0.76)),
            "sink",
            "leg",
            "ceramic",
        )
    else:
        paint = dice.jitter(dice.pick(PAINTS), 8)
        pen.rectangle(-0.38, 0.06, 0.38, 0.74, (paint, dim(paint, 0.86)), "cabinet", None, "wood")
        for x0, x1, knob in ((-0.36, -0.01, -0.06), (0.01, 0.36, 0.06)):
            pen.rectangle(x0, 0.1, x1, 0.7, dim(paint, 1.08), "cabinet", "door", "wood")
            pen.rectangle(knob - 0.015, 0.42, knob + 0.015, 0.54, dim(STEEL, 0.7), "cabinet", "handle", "metal")
    pen.polygon([(-0.42, 0.88), (0.42, 0.88), (0.3, 0.68), (-0.3, 0.68)], (dim(colour, 0.98), dim(colour, 0.82)),
        "sink", "basin",
                "ceramic")  # fmt: skip
    pen.ellipse(0, 0.9, 0.45, 0.09, colour, "sink", "basin", "ceramic")
    pen.ellipse(0, 0.9, 0.37, 0.062, (dim(colour, 0.62), dim(colour, 0.85)), "sink", "basin", "ceramic")
    tap(pen, 0.0, 0.95, 0.2)


def bathtub(pen: Pen, dice: Dice) -> None:
    """A bathtub seen from its side, free on feet or walled in."""
    colour, half = dice.jitter(dice.pick(CERAMICS), 4), dice.uniform(1.25, 1.5)
    outside = dice.jitter(dice.pick(PAINTS), 8) if dice.chance(0.35) else colour
    if dice.chance(0.55):
        for x in (-half * 0.72, half * 0.72):
            pen.polygon(
                [(x - 0.1, 0.14), (x + 0.1, 0.14), (x + 0.05, 0), (x - 0.05, 0)],
                (176, 146, 84),
                "bathtub",
                "leg",
                "metal",
            )
        body = [
            (-half, 0.86),
            (half, 0.86),
            (half * 0.93, 0.4),
            (half * 0.78, 0.1),
            (-half * 0.78, 0.1),
            (-half * 0.93, 0.4),
        ]
        pen.polygon(body, (dim(outside, 1.0), dim(outside, 0.76)), "bathtub", "body", "ceramic")
    else:
        pen.rectangle(-half, 0.0, half, 0.88, (dim(outside, 0.98), dim(outside, 0.82)), "bathtub", "body", "ceramic")
        for k in range(1, 6):
            x = -half + half * 2 * k / 6
            pen.rectangle(x - 0.008, 0.02, x + 0.008, 0.86, dim(outside, 0.8), "bathtub", "body", "tile")
    rim = [(-half - 0.05, 0.84), (half + 0.05, 0.84), (half, 1.16), (-half, 1.16)]
    pen.polygon(rim, colour, "bathtub", "top", "ceramic")
    inner = [(-half + 0.12, 0.92), (half - 0.12, 0.92), (half - 0.15, 1.1), (-half + 0.15, 1.1)]
    wet = dice.chance(0.6)
    pen.polygon(inner, (120, 190, 206) if wet else dim(colour, 0.72), "bathtub", "basin", "water" if wet else "ceramic")
    if wet and dice.chance(0.6):
        for _ in range(6):
            pen.ellipse(dice.uniform(-half * 0.8, half * 0.5), dice.uniform(0.98, 1.12), 0.16, 0.10, (250, 252, 255),
                "bathtub", "basin",
                        "water")  # fmt: skip
    tap(pen, half * 0.75, 1.1, 0.42, "bathtub")
    pen.rectangle(-half - 0.06, 0.80, half + 0.06, 0.88, dim(colour, 0.95), "bathtub", "top", "ceramic")


def toilet(pen: Pen, dice: Dice) -> None:
    """A toilet: cistern, seat and bowl, from the front or from the side."""
    colour, lid = (
        dice.jitter(dice.pick(CERAMICS), 4),
        dice.pick(((246, 246, 246), (130, 90, 56), (60, 90, 130), (246, 246, 246))),
    )
    if dice.chance(0.5):
        pen.rectangle(-0.26, 0.56, 0.26, 0.96, (colour, dim(colour, 0.86)), "toilet", "back", "ceramic")
        pen.rectangle(-0.29, 0.94, 0.29, 1.0, dim(colour, 0.95), "toilet", "top", "ceramic")
        pen.ellipse(0, 0.72, 0.24, 0.2, dim(lid, 0.94), "toilet", "top", "plastic")
        pen.polygon(
            [(-0.2, 0.5), (0.2, 0.5), (0.13, 0.0), (-0.13, 0.0)],
            (dim(colour, 0.92), dim(colour, 0.7)),
            "toilet",
            "basin",
            "ceramic",
        )
        pen.ellipse(0, 0.44, 0.25, 0.15, dim(colour, 0.9), "toilet", "basin", "ceramic")
        pen.ellipse(0, 0.48, 0.26, 0.14, lid, "toilet", "seat", "plastic")
        pen.ellipse(0, 0.48, 0.18, 0.09, (110, 150, 165), "toilet", "basin", "water")
        return
    pen.rectangle(-0.45, 0.5, -0.22, 0.98, (colour, dim(colour, 0.84)), "toilet", "back", "ceramic")
    pen.rectangle(-0.47, 0.95, -0.2, 1.0, dim(colour, 0.94), "toilet", "top", "ceramic")
    bowl = [(-0.4, 0.48), (0.38, 0.48), (0.34, 0.34), (0.12, 0.18), (0.1, 0.0), (-0.28, 0.0), (-0.34, 0.25)]
    pen.polygon(bowl, (dim(colour, 0.98), dim(colour, 0.74)), "toilet", "basin", "ceramic")
    pen.polygon([(-0.26, 0.47), (0.40, 0.47), (0.38, 0.55), (-0.26, 0.55)], lid, "toilet", "seat", "plastic")
    if dice.chance(0.6):
        pen.polygon(
            [(-0.24, 0.52), (-0.17, 0.52), (-0.12, 0.98), (-0.19, 0.98)], dim(lid, 0.9), "toilet", "top", "plastic"
        )


def television(pen: Pen, dice: Dice, on: bool | None = None, flat: bool = False) -> None:
    """A television, flat or old, with or without a picture."""
    on = dice.chance(0.55) if on is None else on
    high, low = dice.pick(SCREENS)
    if not flat and dice.chance(0.25):
        case = dice.jitter(dice.pick(((96, 66, 44), (60, 60, 64), (190, 90, 60))), 8)
        pen.rectangle(-0.62, 0.08, 0.62, 1.0, case, "television", "frame", "wood")
        pen.rectangle(
            -0.54,
            0.16,
            0.36,
            0.92,
            (high, low) if on else ((70, 76, 80), (40, 44, 48)),
            "television",
            "screen",
            "glass",
        )
        for y in (0.75, 0.6):
            pen.ellipse(0.49, y, 0.05, 0.05, (210, 200, 180), "television", "handle", "metal")
        pen.line([(0, 1.0), (-0.25, 1.3)], 0.025, STEEL, "television", "pole", "metal")
        pen.line([(0, 1.0), (0.25, 1.3)], 0.025, STEEL, "television", "pole", "metal")
        return
    pen.rectangle(-0.07, 0.0, 0.07, 0.16, (40, 40, 44), "television", "leg", "plastic")
    pen.rectangle(-0.34, 0.0, 0.34, 0.035, (52, 52, 56), "television", "leg", "plastic")
    pen.rectangle(-0.82, 0.1, 0.82, 1.0, (26, 27, 30), "television", "frame", "plastic")
    pen.rectangle(
        -0.77, 0.16, 0.77, 0.95, (high, low) if on else ((58, 62, 70), (28, 30, 36)), "television", "screen", "glass"
    )
    if on:
        pen.ellipse(dice.uniform(-0.4, 0.4), 0.4, 0.22, 0.16, dim(low, 0.7), "television", "screen", "glass")
    else:
        pen.polygon(
            [(-0.6, 0.16), (-0.3, 0.16), (0.1, 0.95), (-0.2, 0.95)], (78, 84, 92), "television", "screen", "glass"
        )


def computer(pen: Pen, dice: Dice) -> None:
    """A computer on a desk: screen and keyboard, or a laptop."""
    high, low = dice.pick(SCREENS)
    case = dice.pick(((36, 38, 42), (206, 208, 212), (228, 222, 206)))
    if dice.chance(0.7):
        pen.rectangle(-0.08, 0.1, 0.08, 0.35, dim(case, 0.8), "computer", "leg", "plastic")
        pen.ellipse(0, 0.12, 0.26, 0.05, dim(case, 0.8), "computer", "leg", "plastic")
        pen.rectangle(-0.62, 0.27, 0.62, 1.05, case, "computer", "frame", "plastic")
        pen.rectangle(-0.56, 0.34, 0.56, 0.99, (high, low), "computer", "screen", "glass")
    else:
        pen.rectangle(-0.55, 0.1, 0.55, 0.86, case, "computer", "frame", "plastic")
        pen.rectangle(-0.49, 0.15, 0.49, 0.8, (high, low), "computer", "screen", "glass")
    for k in range(3):
        pen.rectangle(
            -0.4,
            0.48 + 0.12 * k,
            dice.uniform(-0.1, 0.4),
            0.53 + 0.12 * k,
            dim(high, 0.7),
            "computer",
            "screen",
            "glass",
        )
    pen.polygon(
        [(-0.5, -0.12), (0.5, -0.12), (0.42, 0.05), (-0.42, 0.05)], dim(case, 1.25), "computer", "keyboard", "plastic"
    )
    pen.polygon(
        [(-0.42, -0.09), (0.42, -0.09), (0.36, 0.03), (-0.36, 0.03)], dim(case, 0.8), "computer", "keyboard", "plastic"
    )


def towel(pen: Pen, dice: Dice) -> None:
    """A towel on its rail."""
    colour, half = cloth(dice), dice.uniform(0.26, 0.4)
    pen.rectangle(-half - 0.12, 0.96, half + 0.12, 1.0, (170, 172, 178), "towel", "pole", "metal")
    pen.rectangle(-half, 0.0, half, 1.02, (dim(colour, 1.08), dim(colour, 0.86)), "towel", None, "fabric")
    for y in (0.1, 0.2) if dice.chance(0.6) else ():
        pen.rectangle(
            -half,
            y,
            half,
            y + 0.05,
            dim(colour, 0.6) if sum(colour) > 420 else dim(colour, 1.6),
            "towel",
            None,
            "fabric",
        )
