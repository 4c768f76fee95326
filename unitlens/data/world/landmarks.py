"""Barns, huts, lighthouses, windmills and towers."""

from __future__ import annotations

import math

from unitlens.data.world.canvas import Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.masonry import (
    AWNINGS,
    BLACK,
    LIT,
    WHITE,
    Look,
    arched,
    box,
    door,
    facade,
    look_for,
    roof,
    shining,
    window,
)  # fmt: skip


def barn(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False) -> None:
    """A barn with its kinked roof, crossed doors and a hatch under the gable."""
    look = look_for("barn", dice, lit, snowy, (0, 0, 0, 1))
    red = dice.pick(
        ((166, 50, 42), (140, 60, 46), (120, 86, 60), (180, 176, 168), (96, 110, 100), (190, 120, 60)),
        (4, 2, 2, 1, 1, 1),
    )
    look = Look("barn", dice.jitter(red, 12), "wood", "boards", look.roof, look.trim, red, None, lit, snowy, 1)
    half, wall = dice.uniform(0.42, 0.5), 0.5
    if dice.chance(0.6):
        far = half + dice.uniform(0.4, 0.9)
        facade(pen, look, [(half, 0), (far, 0.03), (far, wall), (half, wall)], dark=0.75)
        roof(
            pen,
            look,
            [
                (half + 0.05, wall - 0.03),
                (far + 0.04, wall - 0.01),
                (far - 0.1, 0.8),
                (far - 0.3, 0.98),
                (0, 1.0),
                (half * 0.62, 0.82),
            ],
            0.92,
        )
        for k in range(2):
            window(pen, look, half + (far - half) * (0.3 + 0.4 * k), 0.2, 0.1, 0.14)
    outline = [(-half, wall), (-half * 0.64, 0.82), (0, 1), (half * 0.64, 0.82), (half, wall)]
    facade(pen, look, [(-half, 0), *outline, (half, 0)])
    for (a, b), (c, d) in zip(outline[:-1], outline[1:], strict=True):
        roof(pen, look, [(a * 1.1, b - 0.02), (a * 1.1, b + 0.05), (c * 1.1, d + 0.05), (c * 1.1, d - 0.02)])
    w, h = half * 1.0, 0.42
    pen.polygon(box(0, 0, w + 0.05, h + 0.025), look.trim, "barn", "door", "wood")
    pen.polygon(box(0, 0, w, h), mix(look.wall, BLACK, 0.25), "barn", "door", "wood")
    for s in (-1, 1):
        pen.line([(0, 0.01), (s * w / 2, h)], 0.03, look.trim, "barn", "door", "wood")
        pen.line([(0, h), (s * w / 2, 0.01)], 0.03, look.trim, "barn", "door", "wood")
    pen.polygon(box(0, 0, 0.03, h), look.trim, "barn", "door", "wood")
    window(pen, look, 0, 0.62, 0.16, 0.16)


def hut(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False) -> None:
    """A small wooden hut: a striped beach hut or a log cabin."""
    look = look_for("hut", dice, lit, snowy, (0, 0, 0.4, 5))
    half, wall = dice.uniform(0.36, 0.56), dice.uniform(0.55, 0.66)
    facade(pen, look, [(-half, 0.04), (half, 0.04), (half, wall), (0, 0.93), (-half, wall)])
    if dice.chance(0.5):
        paint, count = dice.jitter(dice.pick(AWNINGS), 24), dice.integer(3, 5)
        for k in range(count):
            x, w = -half + half * 2 * (k + 0.25) / count, half / count
            tops = [(u, 0.93 - (0.93 - wall) * abs(u) / half) for u in (x + w, x)]
            pen.polygon([(x, 0.04), (x + w, 0.04), *tops], paint, "hut", "facade", "wood")
    for s in (-1, 1):
        pen.rectangle(s * half * 0.8 - 0.04, 0, s * half * 0.8 + 0.04, 0.06, (90, 66, 48), "hut", "facade", "wood")
        slope = [(0, 1.02), (0, 0.9), (s * (half + 0.11), wall - 0.13), (s * (half + 0.11), wall - 0.03)]
        roof(pen, look, slope, 1 - 0.12 * s)
    side = dice.pick((-1, 0, 1), (1, 0.6, 1))
    door(pen, look, side * half * 0.4, 0.03, half * 0.5, 0.46)
    if side:
        window(pen, look, -side * half * 0.42, 0.26, half * 0.4, 0.2)


def lighthouse(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False) -> None:
    """A tapering striped tower with a gallery, a lantern and a cap."""
    band = dice.jitter(
        dice.pick(((200, 50, 44), (40, 70, 130), (40, 44, 52), (230, 120, 50), (250, 250, 246)), (5, 2, 2, 1, 1)), 14
    )
    stripes, low, high = dice.integer(3, 6), dice.uniform(0.14, 0.18), dice.uniform(0.085, 0.11)
    look = Look("lighthouse", WHITE, "plaster", "grain", band, WHITE, mix(band, BLACK, 0.3), None, lit, snowy, 1)
    for k in range(stripes):
        y0, y1 = 0.76 * k / stripes, 0.76 * (k + 1) / stripes
        w0, w1 = (low + (high - low) * y / 0.76 for y in (y0, y1))
        ink = (dice.jitter(WHITE, 6), band)[k % 2]
        for share, dark in ((1.0, 0.22), (0.55, 0.0)):
            points = [(-w0, y0), (w0 * (2 * share - 1), y0), (w1 * (2 * share - 1), y1), (-w1, y1)]
            pen.polygon(points, mix(ink, BLACK, dark), "lighthouse", "tower", "plaster")
    door(pen, look, -0.02, 0, 0.09, 0.13, True)
    for y in (0.3, 0.52):
        window(pen, look, -0.015, y, 0.04, 0.06, True)
    pen.polygon(box(0, 0.76, high * 2.7, 0.025), mix(band, BLACK, 0.4), "lighthouse", "balcony", "metal")
    if lit:
        shining(pen).polygon(box(0, 0.785, high * 1.4, 0.11), LIT, "lighthouse", "lantern", "glass")
    else:
        pen.polygon(
            box(0, 0.785, high * 1.4, 0.11), ((236, 226, 160), (150, 180, 200)), "lighthouse", "lantern", "glass"
        )
    for x in (-0.7, -0.23, 0.23, 0.7):
        pen.polygon(box(x * high, 0.785, 0.012, 0.11), BLACK, "lighthouse", "lantern", "metal")
    pen.polygon(box(0, 0.81, high * 2.7, 0.01), mix(band, BLACK, 0.4), "lighthouse", "balcony", "metal")
    pen.polygon(
        arched(0, 0.89, high * 1.7, 0.09), band if k % 2 == 0 else mix(band, BLACK, 0.2), "lighthouse", "dome", "metal"
    )
    pen.line([(0, 0.96), (0, 1.02)], 0.012, BLACK, "lighthouse", "dome", "metal")


def windmill(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False) -> None:
    """A tapering mill with a cap and four sails."""
    look = look_for("windmill", dice, lit, snowy, (4, 2, 3, 2))
    low, high, top = dice.uniform(0.17, 0.22), dice.uniform(0.11, 0.14), dice.uniform(0.6, 0.66)
    facade(pen, look, [(-low, 0), (low, 0), (high, top), (-high, top)], "tower")
    facade(pen, look, [(low * 0.35, 0), (low, 0), (high, top), (high * 0.35, top)], "tower", 0.82)
    door(pen, look, -0.03, 0, 0.1, 0.17, True)
    for y in (0.27, 0.45):
        window(pen, look, -0.02, y, 0.06, 0.07)
    cap = [(high * 1.15 * math.cos(k / 8 * math.pi), top + 0.15 * math.sin(k / 8 * math.pi)) for k in range(9)]
    roof(pen, look, cap)
    turn, cloth = dice.uniform(0, math.pi / 2), dice.pick((WHITE, (236, 220, 190), (200, 80, 60)), (5, 3, 1))
    for k in range(4):
        arm = pen.at(0, top + 0.04, 1.0, lean=turn + k * math.pi / 2)
        arm.polygon(
            [(0.07, 0), (0.4, 0), (0.4, 0.095), (0.07, 0.075)], cloth, "windmill", "sails of a windmill", "fabric"
        )
        for x in (0.07, 0.15, 0.24, 0.32, 0.4):
            arm.line([(x, 0), (x, 0.09)], 0.009, (90, 62, 44), "windmill", "sails of a windmill", "wood")
        arm.line([(0, 0), (0.42, 0)], 0.022, (90, 62, 44), "windmill", "sails of a windmill", "wood")
    pen.ellipse(0, top + 0.04, 0.03, 0.03, (60, 44, 34), "windmill", "sails of a windmill", "wood")


def tower(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False) -> None:
    """A clock tower or an old stone tower with battlements."""
    look = look_for("tower", dice, lit, snowy, (2, 3, 4, 0))
    half, wall = dice.uniform(0.11, 0.17), dice.uniform(0.72, 0.8)
    facade(pen, look, box(0, 0, half * 2, wall), "tower")
    facade(pen, look, box(half * 0.65, 0, half * 0.7, wall), "tower", 0.82)
    door(pen, look, 0, 0, half * 0.7, 0.16, True)
    for y in (0.26, 0.42):
        window(pen, look, 0, y, half * 0.4, 0.08, True)
    if dice.chance(0.65):
        pen.ellipse(0, wall - 0.12, half * 0.7, half * 0.7, look.trim, "clock", "frame", "metal")
        pen.ellipse(0, wall - 0.12, half * 0.58, half * 0.58, (246, 240, 220), "clock", "face", "metal")
        for turn, length in ((dice.uniform(0, 6.28), 0.46), (dice.uniform(0, 6.28), 0.32)):
            end = (half * length * math.cos(turn), wall - 0.12 + half * length * math.sin(turn))
            pen.line([(0, wall - 0.12), end], half * 0.12, BLACK, "clock", "face", "metal")
    facade(pen, look, box(0, wall, half * 2.4, 0.05), "tower", 0.9)
    if dice.chance(0.55):
        roof(pen, look, [(-half * 1.25, wall + 0.05), (half * 1.25, wall + 0.05), (0, 1.0)])
        return
    for k in range(4):
        facade(pen, look, box(half * (-1.02 + 0.68 * k), wall + 0.05, half * 0.36, 0.05), "tower")
