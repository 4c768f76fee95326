"""Boats: their foot is the waterline; `water` names the water that shows their reflection, if any."""

from __future__ import annotations

from unitlens.data.world.canvas import Colour, Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.masonry import BLACK, LIT, WHITE, box, shining
from unitlens.data.world.vehicles import PAINT, PANE

SAILS = (
    (250, 248, 240),
    (246, 236, 210),
    (220, 90, 70),
    (240, 170, 70),
    (80, 130, 190),
    (210, 110, 150),
    (120, 180, 130),
    (180, 60, 60),
)


def _hull(pen: Pen, thing: str, left: float, right: float, depth: float, paint: Colour, material: str,
          water: str | None) -> None:  # fmt: skip
    """A hull with a keel line and a rail, and its dark reflection in the `water`."""
    shape = [
        (left, depth),
        (left + 0.05, depth * 0.2),
        (left + 0.09, -0.02),
        (right - depth * 1.5, -0.02),
        (right, depth * 1.25),
    ]
    if water:
        below = [
            (left + 0.06, -0.01),
            (right - depth, -0.01),
            (right - depth * 1.6, -depth * 0.4),
            (left + 0.14, -depth * 0.4),
        ]
        pen.polygon(below, (36, 62, 84), water, None, "water")
    pen.polygon(shape, (mix(paint, WHITE, 0.15), mix(paint, BLACK, 0.2)), thing, "hull", material)
    low = [
        (left + 0.07, depth * 0.1),
        (left + 0.09, -0.02),
        (right - depth * 1.5, -0.02),
        (right - depth * 1.28, depth * 0.16),
    ]
    pen.polygon(low, mix(paint, (120, 40, 36), 0.7), thing, "hull", material)
    pen.polygon(
        [(left, depth), (right, depth * 1.25), (right - 0.02, depth * 1.05), (left + 0.01, depth * 0.82)],
        mix(paint, WHITE, 0.6),
        thing,
        "hull",
        material,
    )


def sailing_boat(pen: Pen, dice: Dice, lit: bool = False, sails: float = 0.8, water: str | None = None) -> None:
    """A sailing boat: hull, cabin, one or two masts, sails set with chance `sails`."""
    paint, cloth = dice.jitter(dice.pick(PAINT), 16), dice.jitter(dice.pick(SAILS, (5, 4, 2, 2, 2, 1, 1, 2)), 10)
    other = cloth if dice.chance(0.6) else dice.jitter(dice.pick(SAILS), 10)
    half, depth = dice.uniform(0.3, 0.46), dice.uniform(0.09, 0.13)
    tall = dice.uniform(0.9, 1.0)
    mast, set_sails = dice.uniform(-0.05, 0.08), dice.chance(sails)
    pen.line([(mast, tall - 0.02), (half, depth)], 0.006, (80, 80, 84), "sailing boat", "mast", "metal")
    pen.line([(mast, tall - 0.02), (-half, depth)], 0.006, (80, 80, 84), "sailing boat", "mast", "metal")
    pen.rectangle(mast - 0.014, depth, mast + 0.014, tall, (120, 82, 52), "sailing boat", "mast", "wood")
    boom = depth + 0.12
    if set_sails:
        _set_sails(pen, cloth, other, mast, tall, half, depth, dice.uniform(0.7, 0.95))
    else:
        furled = [(mast, boom - 0.02), (mast, boom + 0.05), (-half * 0.85, boom + 0.03), (-half * 0.85, boom - 0.02)]
        pen.polygon(furled, cloth, "sailing boat", "sail", "fabric")
    pen.line([(mast, boom), (-half * 0.92, boom - 0.01)], 0.016, (120, 82, 52), "sailing boat", "mast", "wood")
    if dice.chance(0.7):
        _cuddy(pen, dice, paint, half, depth, lit)
    _hull(pen, "sailing boat", -half, half, depth, paint, dice.pick(("wood", "plastic")), water)
    if dice.chance(0.5):
        flag = dice.pick(PAINT)
        pen.polygon([(mast, tall), (mast, tall + 0.05), (mast - 0.1, tall + 0.03)], flag, "flag", None, "fabric")


def _set_sails(pen: Pen, cloth: Colour, other: Colour, mast: float, tall: float, half: float, depth: float,
               reach: float) -> None:  # fmt: skip
    """A mainsail with its battens, `reach` (of the half hull) long at the foot, and a jib of the other cloth."""
    back, foot = -half * reach, depth + 0.12 + 0.02
    main = [
        (mast - 0.025, foot),
        (mast - 0.025, tall - 0.04),
        (mast - 0.1, tall * 0.72),
        (back * 0.85, foot + 0.2),
        (back, foot),
    ]
    pen.polygon(main, (cloth, mix(cloth, BLACK, 0.14)), "sailing boat", "sail", "fabric")
    for k in (0.25, 0.5, 0.72):
        y = foot + (tall - foot) * k
        pen.line(
            [(mast - 0.025, y), (mast - 0.025 + (back - mast) * (1 - k) * 0.98, y - 0.01)],
            0.006,
            mix(cloth, BLACK, 0.3),
            "sailing boat",
            "sail",
            "fabric",
        )
    jib = [
        (mast + 0.03, foot - 0.02),
        (mast + 0.02, tall * 0.86),
        (half * 0.55, tall * 0.4),
        (half * 0.94, depth + 0.07),
    ]
    pen.polygon(jib, (mix(other, BLACK, 0.04), mix(other, BLACK, 0.2)), "sailing boat", "sail", "fabric")


def _cuddy(pen: Pen, dice: Dice, paint: Colour, half: float, depth: float, lit: bool) -> None:
    """The low cabin of a sailing boat with its three portholes."""
    cabin = dice.pick((WHITE, (190, 140, 90), mix(paint, WHITE, 0.6)))
    x0, x1 = -half * 0.5, half * 0.42
    pen.polygon(
        [(x0, depth * 0.8), (x1 + 0.04, depth * 0.8), (x1 - 0.04, depth + 0.08), (x0, depth + 0.08)],
        cabin,
        "sailing boat",
        "cabin",
        "wood",
    )
    for k in range(3):
        _porthole(pen, "sailing boat", x0 + (x1 - x0) * (0.2 + 0.28 * k), depth + 0.04, 0.02, lit)


def _porthole(pen: Pen, thing: str, x: float, y: float, r: float, lit: bool) -> None:
    pen.ellipse(x, y, r * 1.3, r * 1.3, (220, 190, 110), thing, "window", "metal")
    if lit:
        shining(pen).ellipse(x, y, r, r, LIT, thing, "window", "glass")
    else:
        pen.ellipse(x, y, r, r, PANE[0], thing, "window", "glass")


def ship(pen: Pen, dice: Dice, lit: bool = False, water: str | None = None) -> None:
    """A steamer or a freighter: hull, decks, funnels, perhaps containers. About 2 long."""
    paint, trim = (
        dice.jitter(dice.pick(PAINT, (3, 3, 1, 2, 4, 4, 1, 1, 1, 1, 1, 1, 1)), 14),
        dice.jitter(dice.pick(PAINT), 14),
    )
    liner = dice.chance(0.55)
    left, right = (-0.72, 0.5) if liner else (-0.85, -0.32)
    decks = dice.integer(2, 3)
    for x in (-0.35, 0.12) if liner and dice.chance(0.6) else ((left + right) / 2 - 0.08,):
        _funnel(pen, dice, x, 0.3 + 0.13 * decks, trim)
    for k in range(decks):
        inset, y = 0.07 * k, 0.3 + 0.14 * k
        pen.rectangle(
            left + inset, y, right - inset * 1.6, y + 0.14, (WHITE, (206, 210, 216)), "ship", "cabin", "metal"
        )
        count = max(2, round((right - left - 2.6 * inset) / 0.13))
        for j in range(count):
            x = left + inset + (right - left - 2.6 * inset) * (j + 0.5) / count
            if lit and dice.chance(0.7):
                shining(pen).polygon(box(x, y + 0.04, 0.07, 0.06), LIT, "ship", "window", "glass")
            else:
                pen.polygon(box(x, y + 0.04, 0.07, 0.06), PANE, "ship", "window", "glass")
    if not liner:
        for k in range(dice.integer(3, 4)):
            for j in range(dice.integer(1, 3)):
                ink = dice.jitter(dice.pick(PAINT), 14)
                pen.polygon(
                    box(-0.12 + 0.25 * k, 0.27 + 0.13 * j, 0.23, 0.12),
                    (mix(ink, WHITE, 0.1), mix(ink, BLACK, 0.15)),
                    "crate",
                    None,
                    "metal",
                )
    pen.line([(0.72, 0.3), (0.72, 0.8)], 0.02, (90, 80, 70), "ship", "mast", "metal")
    pen.line([(0.72, 0.78), (right, 0.42)], 0.008, (90, 80, 70), "ship", "mast", "metal")
    _hull(pen, "ship", -0.98, 1.02, 0.3, paint, "metal", water)
    for k in range(7):
        _porthole(pen, "ship", -0.75 + 0.2 * k, 0.17, 0.02, lit)


def _funnel(pen: Pen, dice: Dice, x: float, y: float, trim: Colour) -> None:
    if dice.chance(0.6):
        for k in range(4):
            pen.blob(
                x - 0.08 - 0.15 * k,
                y + 0.42 + 0.07 * k,
                0.08 + 0.035 * k,
                0.06 + 0.02 * k,
                (190, 190, 198),
                "cloud",
                None,
                "air",
            )
    for low, high, ink in ((0.0, 0.36, trim), (0.26, 0.36, (40, 40, 44)), (0.12, 0.18, WHITE)):
        pen.polygon(
            [(x - 0.08, y + low), (x + 0.08, y + low), (x + 0.07, y + high), (x - 0.09, y + high)],
            ink,
            "ship",
            "funnel",
            "metal",
        )


def rowing_boat(pen: Pen, dice: Dice, lit: bool = False, water: str | None = None) -> None:
    """A rowing boat with benches and oars; about 0.5 high (without its oars) and 1.6 long."""
    paint, wood = dice.jitter(dice.pick(PAINT), 18), dice.jitter((150, 106, 66), 16)
    if water:
        pen.polygon([(-0.68, -0.02), (0.66, -0.02), (0.5, -0.14), (-0.5, -0.14)], (36, 62, 84), water, None, "water")
    pen.polygon(
        [(-0.8, 0.34), (-0.4, 0.44), (0.4, 0.44), (0.84, 0.38), (0.4, 0.28), (-0.5, 0.26)],
        mix(wood, BLACK, 0.45),
        "rowing boat",
        "hull",
        "wood",
    )
    for x in (-0.34, 0.02, 0.36):
        pen.polygon(
            [(x - 0.08, 0.28), (x + 0.06, 0.28), (x + 0.1, 0.42), (x - 0.02, 0.42)], wood, "rowing boat", "seat", "wood"
        )
    side = [
        (-0.82, 0.35),
        (-0.5, 0.25),
        (0.4, 0.26),
        (0.86, 0.39),
        (0.66, 0.04),
        (0.5, -0.03),
        (-0.54, -0.03),
        (-0.68, 0.04),
    ]
    pen.polygon(
        side, (mix(paint, WHITE, 0.12), mix(paint, BLACK, 0.25)), "rowing boat", "hull", "wood", texture="planks"
    )
    pen.line(
        [(-0.82, 0.36), (-0.5, 0.265), (0.4, 0.275), (0.86, 0.4)],
        0.05,
        mix(paint, WHITE, 0.65),
        "rowing boat",
        "hull",
        "wood",
    )
    for x in (-0.25, 0.3):
        if dice.chance(0.75):
            pen.line([(x + 0.2, 0.62), (x, 0.28), (x - 0.26, -0.06)], 0.04, wood, "rowing boat", "pole", "wood")
