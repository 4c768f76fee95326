"""Houses, shops, barns, towers: everything with walls, a door, windows and a roof."""

from __future__ import annotations

from unitlens.data.world.canvas import Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.landmarks import barn, hut, lighthouse, tower, windmill
from unitlens.data.world.masonry import (
    AWNINGS,
    BLACK,
    PAINTS,
    WHITE,
    Look,
    box,
    chimney,
    door,
    facade,
    glass,
    look_for,
    roof,
    window,
)  # fmt: skip

__all__ = ["awning", "barn", "building", "house", "hut", "lighthouse", "shop", "tower", "windmill"]


def house(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False) -> None:
    """A house of one or two floors, seen from the side or from its gable."""
    look = look_for("house", dice, lit, snowy)
    dice.pick((_side_house, _side_house, _gable_house, _corner_house))(pen, dice, look)


def _floors(pen: Pen, dice: Dice, look: Look, left: float, right: float, wall: float) -> None:
    """A door and rows of windows on a wall from `left` to `right`, `wall` high."""
    floors = 2 if wall > 0.58 else 1
    step = wall / floors
    slots = max(2, round((right - left) / 0.27))
    door_at = dice.integer(0, slots - 1)
    gap = (right - left) / slots
    w, arch = min(0.15, gap * 0.42), dice.chance(0.2)
    for floor in range(floors):
        for k in range(slots):
            x = left + gap * (k + 0.5)
            if floor == 0 and k == door_at:
                door(pen, look, x, 0, min(0.16, gap * 0.62), min(0.36, step * 0.76), arch)
            else:
                window(pen, look, x, floor * step + step * 0.34, w, min(0.2, step * 0.42), arch)


def _side_house(pen: Pen, dice: Dice, look: Look) -> None:
    half, wall = dice.uniform(0.5, 0.8), dice.uniform(0.45, 0.66)
    hip = dice.uniform(0.02, 0.28)
    top = dice.uniform(0.9, 1.0)
    chimney(pen, look, dice.uniform(-0.5, 0.5) * half, top - 0.14, 0.11, dice.uniform(0.2, 0.26))
    facade(pen, look, [(-half, 0), (half, 0), (half, wall), (-half, wall)])
    pen.rectangle(-half, wall - 0.05, half, wall, mix(look.wall, BLACK, 0.3), "house", "facade", look.material)
    roof(pen, look, [(-half - 0.08, wall - 0.02), (half + 0.08, wall - 0.02), (half - hip, top), (-half + hip, top)])
    pen.rectangle(-half - 0.08, wall - 0.035, half + 0.08, wall - 0.01, look.trim, "house", "roof", "wood")
    _floors(pen, dice, look, -half, half, wall)
    if dice.chance(0.35):
        x, w = dice.uniform(-0.4, 0.4) * half, 0.13
        facade(
            pen,
            look,
            [(x - w, wall + 0.04), (x + w, wall + 0.04), (x + w, wall + 0.2), (x, wall + 0.34), (x - w, wall + 0.2)],
        )
        window(pen, look, x, wall + 0.09, 0.11, 0.11)
        for s in (-1, 1):
            roof(
                pen,
                look,
                [
                    (x, wall + 0.38),
                    (x, wall + 0.32),
                    (x + s * (w + 0.05), wall + 0.15),
                    (x + s * (w + 0.05), wall + 0.21),
                ],
            )


def _gable_house(pen: Pen, dice: Dice, look: Look) -> None:
    half, wall = dice.uniform(0.36, 0.52), dice.uniform(0.5, 0.62)
    chimney(pen, look, half * dice.pick((-0.5, 0.5)), 0.7, 0.1, 0.25)
    facade(pen, look, [(-half, 0), (half, 0), (half, wall), (0, 0.97), (-half, wall)])
    for s in (-1, 1):
        roof(
            pen,
            look,
            [(0, 1.02), (0, 0.92), (s * (half + 0.08), wall - 0.11), (s * (half + 0.08), wall + 0.01)],
            1 - 0.12 * s,
        )
    _floors(pen, dice, look, -half, half, wall)
    window(pen, look, 0, wall + 0.08, 0.13, 0.14, dice.chance(0.5))


def _corner_house(pen: Pen, dice: Dice, look: Look) -> None:
    """Seen from the corner: the gable on the left, the long side on the right."""
    left, mid, right = -0.68, dice.uniform(-0.16, 0.0), dice.uniform(0.6, 0.85)
    wall, peak = dice.uniform(0.48, 0.62), (left + mid) / 2
    facade(pen, look, [(left, 0.03), (mid, 0), (mid, wall), (peak, 0.96), (left, wall)])
    facade(pen, look, [(mid, 0), (right, 0.05), (right, wall - 0.02), (mid, wall)], dark=0.78)
    roof(pen, look, [(peak, 1.0), (mid + 0.04, wall - 0.06), (right + 0.05, wall - 0.07), (right - 0.2, 0.93)], 0.9)
    roof(pen, look, [(peak, 1.02), (peak, 0.93), (left - 0.07, wall - 0.08), (left - 0.07, wall + 0.01)])
    chimney(pen, look, right * 0.5, 0.84, 0.1, 0.24)
    gap = (right - mid) / 3
    for k in range(3):
        if k == 1:
            door(pen, look, mid + gap * 1.5, 0.02, 0.15, wall * 0.62)
        else:
            window(pen, look, mid + gap * (k + 0.5), wall * 0.4, 0.12, wall * 0.34)
    for x in (peak - 0.13, peak + 0.13):
        window(pen, look, x, wall * 0.36, 0.11, wall * 0.38)
    window(pen, look, peak, wall + 0.07, 0.12, 0.13, True)


def building(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False, width: float | None = None) -> None:
    """A town house or a block of flats, `width` wide (in heights)."""
    look = look_for("building", dice, lit, snowy, (6, 4, 2, 0.5))
    width = width or dice.uniform(0.4, 0.9)
    floors = dice.integer(2, 4) if width > 0.6 else dice.integer(3, 5)
    kind = dice.pick(("gable", "mansard", "flat", "steps"), (3, 4, 3, 1.5 if width < 0.65 else 0.2))
    half, wall = width / 2, 0.96 if kind == "flat" else 0.8
    facade(pen, look, box(0, 0, width, wall))
    _TOPS[kind](pen, look, half, wall)
    _windows(pen, dice, look, half, wall, floors, kind == "flat" and dice.chance(0.6))


def _windows(pen: Pen, dice: Dice, look: Look, half: float, wall: float, floors: int, balconies: bool) -> None:
    step, slots = wall / floors, max(2, round(half * 2 * floors / wall * dice.uniform(0.75, 1.15)))
    gap, arch, door_at = half * 2 / slots, dice.chance(0.25), dice.integer(0, slots - 1)
    w, h = min(gap * (0.36 if look.shutter else 0.52), step * 0.5), step * 0.56
    base = mix(look.wall, (120, 112, 106), 0.6)
    pen.rectangle(-half, 0, half, step * 0.14, base, look.thing, "facade", "stone")
    for floor in range(floors):
        if floor:
            pen.rectangle(
                -half,
                floor * step - 0.012,
                half,
                floor * step,
                mix(look.wall, look.trim, 0.6),
                look.thing,
                "facade",
                look.material,
            )
        for k in range(slots):
            x = -half + gap * (k + 0.5)
            if floor == 0 and k == door_at:
                door(pen, look, x, 0, min(gap * 0.66, step * 0.5), step * 0.82, arch)
                continue
            window(pen, look, x, floor * step + step * 0.24, w, h, arch and floor == floors - 1)
            if balconies and floor:
                rail = mix(look.door, BLACK, 0.2)
                pen.rectangle(
                    x - gap * 0.42,
                    floor * step + step * 0.08,
                    x + gap * 0.42,
                    floor * step + step * 0.36,
                    rail,
                    look.thing,
                    "balcony",
                    "metal",
                )


def _gable_top(pen: Pen, look: Look, half: float, wall: float) -> None:
    chimney(pen, look, half * 0.55, wall + 0.04, half * 0.22, 0.16)
    roof(pen, look, [(-half - 0.02, wall), (half + 0.02, wall), (half * 0.8, 1), (-half * 0.8, 1)])


def _mansard_top(pen: Pen, look: Look, half: float, wall: float) -> None:
    chimney(pen, look, -half * 0.5, wall + 0.1, half * 0.2, 0.14)
    roof(pen, look, [(-half - 0.02, wall), (half + 0.02, wall), (half * 0.9, 0.97), (-half * 0.9, 0.97)])
    pen.rectangle(-half * 0.92, 0.96, half * 0.92, 0.985, mix(look.roof, BLACK, 0.3), look.thing, "roof", "metal")
    for x in (-half * 0.45, half * 0.45):
        window(pen, look, x, wall + 0.035, min(0.09, half * 0.3), 0.09, True)


def _flat_top(pen: Pen, look: Look, half: float, wall: float) -> None:
    pen.rectangle(-half - 0.02, wall, half + 0.02, 1.0, look.trim, look.thing, "roof", "stone")
    pen.rectangle(-half, wall - 0.02, half, wall, mix(look.wall, BLACK, 0.3), look.thing, "facade", look.material)
    if look.snowy:
        pen.rectangle(-half - 0.02, 0.985, half + 0.02, 1.02, (246, 250, 255), look.thing, "roof", "snow")


def _step_top(pen: Pen, look: Look, half: float, wall: float) -> None:
    rise = 0.24 / 4
    for k in range(4):
        w = half * 2 * (1 - k * 0.24)
        facade(pen, look, box(0, wall + k * rise, w, rise))
        cap = (246, 250, 255) if look.snowy else look.roof
        pen.rectangle(-w / 2, wall + (k + 0.8) * rise, w / 2, wall + (k + 1) * rise, cap, look.thing, "roof", "tile")
    window(pen, look, 0, wall + 0.03, half * 0.3, 0.1, True)


_TOPS = {"gable": _gable_top, "mansard": _mansard_top, "flat": _flat_top, "steps": _step_top}


def awning(pen: Pen, dice: Dice, left: float, right: float, top: float, drop: float) -> None:
    """A striped awning between two edges, hanging from `top`."""
    colour = dice.jitter(dice.pick(AWNINGS), 18)
    other = dice.pick((WHITE, (250, 236, 200), mix(colour, WHITE, 0.15)), (4, 2, 2))
    stripes, out = dice.integer(5, 9), drop * dice.uniform(0.15, 0.5)
    low = top - drop
    for k in range(stripes):
        a, b = (left + (right - left) * j / stripes for j in (k, k + 1))
        c, d = (left - out + (right - left + 2 * out) * j / stripes for j in (k, k + 1))
        ink = (colour, other)[k % 2]
        pen.polygon([(a, top), (b, top), (d, low), (c, low)], ink, "awning", "canopy", "fabric")
        frill = [(c, low), (d, low), (d, low - drop * 0.16), ((c + d) / 2, low - drop * 0.28), (c, low - drop * 0.16)]
        pen.polygon(frill, mix(ink, BLACK, 0.15), "awning", "canopy", "fabric")


def shop(pen: Pen, dice: Dice, lit: bool = False, snowy: bool = False, width: float | None = None) -> None:
    """A house with a shop on its ground floor: shop window, door, sign and awning."""
    look = look_for("shop", dice, lit, snowy, (6, 4, 2, 1))
    width = width or dice.uniform(0.6, 1.1)
    half, low, wall = width / 2, dice.uniform(0.34, 0.46), 0.84
    facade(pen, look, box(0, 0, width, wall))
    roof(pen, look, [(-half - 0.03, wall), (half + 0.03, wall), (half * 0.82, 1), (-half * 0.82, 1)])
    count = max(2, round(width / 0.3))
    for k in range(count):
        window(pen, look, -half + width * (k + 0.5) / count, low + (wall - low) * 0.36, 0.11, (wall - low) * 0.44)
    front = mix(look.door, BLACK, 0.12)
    pen.rectangle(-half, 0, half, low, front, "shop", "shop front", "wood")
    side = dice.pick((-1, 1))
    door(pen, look, side * half * 0.66, 0, half * 0.36, low * 0.82)
    middle, w = -side * half * 0.3, half * 1.2
    pen.polygon(box(middle, low * 0.2, w * 1.06, low * 0.64), look.trim, "shop", "shop front", "wood")
    glass(pen, look, box(middle, low * 0.23, w, low * 0.58), 0.85)
    for _ in range(dice.integer(2, 4)):
        x, size = middle + dice.uniform(-0.4, 0.4) * w, dice.uniform(0.12, 0.26) * low
        pen.polygon(
            box(x, low * 0.23, size * 0.8, size), dice.jitter(dice.pick(AWNINGS), 30), "shop", "shop front", "fabric"
        )
    pen.polygon(box(middle, low * 0.23, w * 0.025, low * 0.58), look.trim, "shop", "shop front", "wood")
    if dice.chance(0.75):
        awning(pen, dice, -half * 0.96, half * 0.96, low * 1.06, low * dice.uniform(0.3, 0.42))
    if dice.chance(0.75):
        board = dice.jitter(dice.pick(PAINTS), 20)
        pen.polygon(box(0, low * 1.05, width * 0.8, 0.09), board, "sign", "face", "wood")
        for k in range(dice.integer(4, 7)):
            pen.polygon(
                box(-width * 0.26 + k * width * 0.09, low * 1.05 + 0.025, width * 0.05, 0.04),
                (250, 236, 190),
                "sign",
                "face",
                "wood",
            )
