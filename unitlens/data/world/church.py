"""Churches: with a steeple, with two towers, or with a dome."""

from __future__ import annotations

import math

from unitlens.data.world.canvas import Colour, Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.masonry import BLACK, Look, arched, box, door, facade, glass, look_for, roof

STAINED = ((60, 90, 170), (170, 60, 70), (80, 140, 110), (220, 180, 80), (120, 80, 150))
COPPER = ((110, 170, 150), (130, 150, 130), (200, 160, 70), (90, 110, 140), (150, 90, 70), (86, 92, 104))


def church(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False) -> None:
    """A church; the dice choose between five plans."""
    look = look_for("church", dice, lit, snowy, (5, 2, 5, 0.8))
    dice.pick((_steeple_beside, _steeple_in_front, _two_towers, _domed, _onion), (3, 3, 1.5, 2.5, 1.5))(pen, dice, look)


def cross(pen: Pen, x: float, y: float, size: float) -> None:
    """A cross with its foot at (x, y)."""
    gold = pen.canvas.dice.pick(((226, 190, 90), (70, 60, 56), (240, 236, 226)))
    pen.rectangle(x - size * 0.09, y, x + size * 0.09, y + size, gold, "church", "cross", "metal")
    pen.rectangle(x - size * 0.32, y + size * 0.55, x + size * 0.32, y + size * 0.74, gold, "church", "cross", "metal")


def tall_window(pen: Pen, look: Look, x: float, y: float, w: float, h: float, pointed: bool) -> None:
    """A church window under its arch, of stained glass."""
    dice = pen.canvas.dice
    pen.polygon(arched(x, y - 0.012, w + 0.03, h + 0.03, pointed), look.trim, "church", "arch", "stone")
    glass(pen, look, arched(x, y, w, h, pointed))
    if not look.lit:
        for k in range(3):
            pen.rectangle(x - w * 0.42, y + h * (0.08 + 0.22 * k), x + w * 0.42, y + h * (0.24 + 0.22 * k),
                          mix(dice.pick(STAINED), BLACK, 0.2), "church", "window", "glass")  # fmt: skip
    pen.rectangle(x - w * 0.06, y, x + w * 0.06, y + h, mix(look.trim, BLACK, 0.3), "church", "window", "stone")


def portal(pen: Pen, look: Look, x: float, w: float, h: float, pointed: bool) -> None:
    """A great door under nested arches."""
    pen.polygon(arched(x, 0, w * 1.5, h * 1.26, pointed), look.trim, "church", "arch", "stone")
    pen.polygon(arched(x, 0, w * 1.25, h * 1.13, pointed), mix(look.trim, BLACK, 0.3), "church", "arch", "stone")
    pen.polygon(arched(x, 0, w, h, pointed), (look.door, mix(look.door, BLACK, 0.35)), "church", "door", "wood")
    for k in (-0.25, 0.0, 0.25):
        pen.rectangle(
            x + w * (k - 0.02), 0, x + w * (k + 0.02), h * 0.8, mix(look.door, BLACK, 0.5), "church", "door", "wood"
        )
    pen.polygon(box(x, 0, w * 1.9, 0.018), (176, 170, 162), "church", "facade", "stone")


def bell_tower(pen: Pen, dice: Dice, look: Look, x: float, w: float, wall: float, top: float, pointed: bool) -> None:
    """A tower with belfry windows, its spire and a cross."""
    facade(pen, look, box(x, 0, w, wall), "tower")
    facade(pen, look, box(x + w * 0.36, 0, w * 0.28, wall), "tower", 0.82)
    for s in (-0.2, 0.2):
        pen.polygon(arched(x + s * w, wall - 0.14, w * 0.2, 0.1, pointed), (50, 46, 50), "church", "arch", "stone")
    pen.polygon(box(x, wall - 0.17, w * 1.08, 0.014), look.trim, "church", "tower", "stone")
    pen.polygon(box(x, wall - 0.01, w * 1.14, 0.022), look.trim, "church", "tower", "stone")
    if dice.chance(0.45):
        y, r = wall - 0.24, w * 0.2
        pen.ellipse(x, y, r, r, (240, 234, 214), "clock", "face", "stone")
        pen.line([(x - r * 0.4, y + r * 0.3), (x, y), (x, y + r * 0.75)], r * 0.2, BLACK, "clock", "face", "metal")
    peak = top - 0.07
    roof(pen, look, [(x - w * 0.6, wall), (x + w * 0.6, wall), (x + w * 0.2, wall + (peak - wall) * 0.4), (x, peak),
                     (x - w * 0.2, wall + (peak - wall) * 0.4)], 1.0, "steeple")  # fmt: skip
    roof(
        pen,
        look,
        [(x + w * 0.15, wall), (x + w * 0.6, wall), (x + w * 0.2, wall + (peak - wall) * 0.4), (x, peak)],
        0.78,
        "steeple",
    )
    cross(pen, x, peak - 0.01, 0.08)


def nave(pen: Pen, look: Look, left: float, right: float, wall: float, ridge: float, pointed: bool) -> None:
    """The long side of a church: wall, roof and a row of windows."""
    facade(pen, look, [(left, 0), (right, 0), (right, wall), (left, wall)])
    roof(pen, look, [(left, wall - 0.01), (right + 0.04, wall - 0.01), (right - 0.06, ridge), (left, ridge)])
    count = max(2, round((right - left) / 0.17))
    for k in range(count):
        x = left + (right - left) * (k + 0.5) / count
        tall_window(pen, look, x, wall * 0.3, 0.07, wall * 0.52, pointed)


def _steeple_beside(pen: Pen, dice: Dice, look: Look) -> None:
    pointed, wall = dice.chance(0.5), dice.uniform(0.3, 0.38)
    nave(pen, look, -0.2, dice.uniform(0.4, 0.62), wall, wall + dice.uniform(0.16, 0.24), pointed)
    w = dice.uniform(0.2, 0.27)
    bell_tower(pen, dice, look, -0.26, w, dice.uniform(0.52, 0.62), 1.0, pointed)
    portal(pen, look, -0.27, w * 0.42, 0.2, pointed)


def _steeple_in_front(pen: Pen, dice: Dice, look: Look) -> None:
    pointed, half, wall = dice.chance(0.5), dice.uniform(0.27, 0.36), dice.uniform(0.28, 0.34)
    bell_tower(pen, dice, look, 0, dice.uniform(0.19, 0.24), dice.uniform(0.64, 0.7), 1.0, pointed)
    facade(pen, look, [(-half, 0), (half, 0), (half, wall), (0, wall + 0.26), (-half, wall)])
    for s in (-1, 1):
        roof(
            pen,
            look,
            [(0, wall + 0.3), (0, wall + 0.24), (s * (half + 0.04), wall - 0.06), (s * (half + 0.04), wall)],
            1 - 0.14 * s,
        )
        tall_window(pen, look, s * half * 0.66, 0.11, 0.07, 0.17, pointed)
    _rose(pen, dice, look, 0, wall + 0.07, 0.065)
    portal(pen, look, 0, 0.13, 0.2, pointed)


def _rose(pen: Pen, dice: Dice, look: Look, x: float, y: float, r: float) -> None:
    pen.ellipse(x, y, r * 1.25, r * 1.25, look.trim, "church", "arch", "stone")
    pen.ellipse(x, y, r, r, mix(dice.pick(STAINED), BLACK, 0.15), "church", "window", "glass")
    for k in range(6):
        a = k * math.pi / 3
        pen.ellipse(
            x + r * 0.6 * math.cos(a),
            y + r * 0.6 * math.sin(a),
            r * 0.24,
            r * 0.24,
            STAINED[k % 5],
            "church",
            "window",
            "glass",
        )


def _two_towers(pen: Pen, dice: Dice, look: Look) -> None:
    pointed, wall = dice.chance(0.7), dice.uniform(0.42, 0.5)
    facade(pen, look, [(-0.2, 0), (0.2, 0), (0.2, wall), (0, wall + 0.16), (-0.2, wall)])
    _rose(pen, dice, look, 0, wall * 0.8, 0.075)
    for s in (-1, 1):
        bell_tower(pen, dice, look, s * 0.26, 0.18, 0.62, 1.0, pointed)
        tall_window(pen, look, s * 0.26, 0.14, 0.06, 0.18, pointed)
    portal(pen, look, 0, 0.15, 0.24, pointed)


def _metal(look: Look, dice: Dice) -> tuple[Colour, Colour]:
    colour = dice.jitter(dice.pick(COPPER), 12)
    return (
        ((250, 252, 255), (200, 214, 232))
        if look.snowy
        else (mix(colour, (255, 255, 255), 0.3), mix(colour, BLACK, 0.15))
    )


def _domed(pen: Pen, dice: Dice, look: Look) -> None:
    half, wall, r = dice.uniform(0.4, 0.52), dice.uniform(0.34, 0.42), dice.uniform(0.24, 0.3)
    ink = _metal(look, dice)
    facade(pen, look, box(0, wall, r * 1.9, 0.12), "tower")
    for k in range(4):
        pen.polygon(arched(r * (-0.66 + 0.44 * k), wall + 0.02, 0.05, 0.085), (58, 66, 84), "church", "window", "glass")
    rise = 0.9 - wall - 0.12
    ring = [(r * math.cos(k / 14 * math.pi), wall + 0.12 + rise * math.sin(k / 14 * math.pi)) for k in range(15)]
    pen.polygon(ring, ink, "church", "dome", "snow" if look.snowy else "metal")
    for s in (-0.5, 0.0, 0.5):
        rib = [
            (s * r * math.cos(k / 8 * math.pi / 2), wall + 0.12 + rise * math.sin(k / 8 * math.pi / 2) * 0.98)
            for k in range(9)
        ]
        pen.line(rib, 0.012, mix(ink[1], BLACK, 0.2), "church", "dome", "metal")
    pen.polygon(box(0, wall + 0.1, r * 2.06, 0.024), look.trim, "church", "tower", "stone")
    cross(pen, 0, 0.88, 0.12)
    facade(pen, look, box(0, 0, half * 2, wall))
    pen.polygon(box(0, wall - 0.025, half * 2.08, 0.035), look.trim, "church", "facade", "stone")
    for s in (-1, 1):
        tall_window(pen, look, s * half * 0.72, 0.11, 0.08, wall * 0.5, False)
    if dice.chance(0.5):
        for k in range(4):
            pen.polygon(box(-0.15 + 0.1 * k, 0, 0.028, wall * 0.8), look.trim, "church", "facade", "stone")
        pen.polygon([(-0.2, wall * 0.8), (0.2, wall * 0.8), (0, wall + 0.1)], look.trim, "church", "facade", "stone")
    portal(pen, look, 0, 0.12, 0.2, False)


def _onion(pen: Pen, dice: Dice, look: Look) -> None:
    """A nave with a tower that ends in an onion dome."""
    wall = dice.uniform(0.28, 0.36)
    nave(pen, look, -0.1, dice.uniform(0.42, 0.6), wall, wall + 0.18, False)
    x, w, top = -0.2, dice.uniform(0.2, 0.26), dice.uniform(0.58, 0.66)
    facade(pen, look, box(x, 0, w, top), "tower")
    facade(pen, look, box(x + w * 0.36, 0, w * 0.28, top), "tower", 0.82)
    for y in (top * 0.5, top - 0.15):
        tall_window(pen, look, x, y, 0.06, 0.1, False)
    pen.polygon(box(x, top - 0.01, w * 1.16, 0.025), look.trim, "church", "tower", "stone")
    outline = ((0.5, 0.0), (0.62, 0.22), (0.56, 0.42), (0.3, 0.62), (0.1, 0.78), (0.03, 1.0))
    height = 0.92 - top
    ring = [(x + w * a, top + 0.01 + height * b) for a, b in outline]
    ring += [(x - w * a, top + 0.01 + height * b) for a, b in outline[::-1]]
    pen.polygon(ring, _metal(look, dice), "church", "dome", "snow" if look.snowy else "metal")
    cross(pen, x, 0.91, 0.09)
    portal(pen, look, x, w * 0.44, 0.19, False)
    if dice.chance(0.5):
        door(pen, look, 0.34, 0, 0.08, 0.15, True)
