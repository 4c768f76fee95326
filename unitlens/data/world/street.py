"""Things that stand about: lamps, signs, benches, fences, fountains, statues, stalls."""

from __future__ import annotations

import math

from unitlens.data.world.atmosphere import Outdoors
from unitlens.data.world.buildings import awning
from unitlens.data.world.canvas import Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.leisure import STONES, TIMBER, bridge, haystack, pier, slide, swing, tent, umbrella
from unitlens.data.world.masonry import AWNINGS, BLACK, LIT, WHITE, box, shining
from unitlens.data.world.vehicles import PAINT

__all__ = [
    "bench", "bridge", "crate", "fence", "flag", "fountain", "haystack", "market_stall", "pier", "sign", "slide",
    "statue", "street_lamp", "swing", "tent", "traffic_light", "umbrella",
]  # fmt: skip

IRON = ((44, 48, 54), (36, 66, 54), (90, 94, 100), (56, 50, 66), (110, 90, 60))


def street_lamp(pen: Pen, dice: Dice, lit: bool = False) -> None:
    """A street lamp: a lantern, a bowed arm, or two globes."""
    iron, kind = dice.jitter(dice.pick(IRON), 8), dice.pick(("lantern", "arm", "globes"))
    pen.polygon([(-0.05, 0), (0.05, 0), (0.03, 0.07), (-0.03, 0.07)], iron, "street lamp", "pole", "metal")
    pen.rectangle(-0.016, 0, 0.016, 0.84, iron, "street lamp", "pole", "metal")
    glow_pen, ink = (shining(pen), LIT) if lit else (pen, (240, 236, 214))
    if kind == "lantern":
        glow_pen.polygon(
            [(-0.045, 0.82), (0.045, 0.82), (0.075, 0.95), (-0.075, 0.95)], ink, "street lamp", "lamp head", "glass"
        )
        pen.polygon([(-0.09, 0.95), (0.09, 0.95), (0.02, 1.0), (-0.02, 1.0)], iron, "street lamp", "lamp head", "metal")
        pen.rectangle(-0.05, 0.8, 0.05, 0.825, iron, "street lamp", "lamp head", "metal")
    elif kind == "arm":
        pen.line([(0, 0.83), (0.03, 0.92), (0.12, 0.97), (0.24, 0.97)], 0.028, iron, "street lamp", "pole", "metal")
        pen.polygon([(0.12, 0.98), (0.28, 0.98), (0.3, 0.94), (0.12, 0.94)], iron, "street lamp", "lamp head", "metal")
        glow_pen.polygon(
            [(0.14, 0.94), (0.29, 0.94), (0.26, 0.905), (0.17, 0.905)], ink, "street lamp", "lamp head", "glass"
        )
    else:
        pen.line([(-0.13, 0.86), (-0.1, 0.8), (0.1, 0.8), (0.13, 0.86)], 0.024, iron, "street lamp", "pole", "metal")
        for x, y in ((-0.13, 0.9), (0.13, 0.9), (0, 0.94)):
            glow_pen.ellipse(x, y, 0.06, 0.06, ink, "street lamp", "lamp head", "glass")


def traffic_light(pen: Pen, dice: Dice) -> None:
    """A traffic light; one of its lamps is lit."""
    pen.rectangle(-0.02, 0, 0.02, 0.7, (80, 84, 88), "traffic light", "pole", "metal")
    pen.polygon(
        box(0, 0.58, 0.2, 0.42),
        dice.pick(((40, 44, 46), (230, 190, 60), (60, 80, 70))),
        "traffic light",
        "lamp head",
        "metal",
    )
    on = dice.integer(0, 2)
    for k, ink in enumerate(((60, 200, 110), (250, 200, 60), (230, 50, 44))):
        pen.ellipse(
            0,
            0.65 + 0.14 * k,
            0.062,
            0.062,
            ink if k == on else mix(ink, BLACK, 0.7),
            "traffic light",
            "lamp head",
            "glass",
        )


def sign(pen: Pen, dice: Dice) -> None:
    """A sign on a pole: round, triangular, or a board with an arrow."""
    pen.rectangle(-0.022, 0, 0.022, 0.75, dice.pick(((150, 154, 158), (120, 86, 58))), "sign", "pole", "metal")
    kind, ink = dice.pick(("round", "triangle", "board", "station")), dice.jitter(dice.pick(PAINT), 10)
    if kind == "round":
        pen.ellipse(0, 0.82, 0.17, 0.17, (200, 44, 40), "sign", "face", "metal")
        pen.ellipse(0, 0.82, 0.12, 0.12, dice.pick((WHITE, (40, 80, 170))), "sign", "face", "metal")
    elif kind == "triangle":
        pen.polygon([(-0.19, 0.68), (0.19, 0.68), (0, 1.0)], (200, 44, 40), "sign", "face", "metal")
        pen.polygon([(-0.12, 0.72), (0.12, 0.72), (0, 0.92)], WHITE, "sign", "face", "metal")
    else:
        wide = 0.3 if kind == "board" else 0.46
        pen.polygon(
            [(-wide, 0.7), (wide, 0.7), (wide + 0.1 * (kind == "board"), 0.83), (wide, 0.96), (-wide, 0.96)],
            WHITE,
            "sign",
            "face",
            "metal",
        )
        pen.rectangle(-wide + 0.02, 0.72, wide - 0.02, 0.94, ink, "sign", "face", "metal")
        for k in range(4):
            pen.polygon(box(-wide * 0.6 + wide * 0.4 * k, 0.79, wide * 0.28, 0.08), WHITE, "sign", "face", "metal")


def bench(pen: Pen, dice: Dice) -> None:
    """A bench of slats on iron legs; 1 high, 2 wide."""
    wood, iron = dice.jitter(dice.pick(TIMBER), 14), dice.pick(IRON)
    for x in (-0.85, 0.85):
        pen.polygon([(x - 0.07, 0), (x + 0.07, 0), (x + 0.05, 1.0), (x - 0.05, 1.0)], iron, "bench", "leg", "metal")
    for k in range(3):
        pen.rectangle(
            -1.02, 0.58 + 0.15 * k, 1.02, 0.69 + 0.15 * k, mix(wood, BLACK, 0.08 * (2 - k)), "bench", "back", "wood"
        )
    pen.polygon(
        [(-1.02, 0.5), (1.02, 0.5), (1.12, 0.36), (-1.12, 0.36)], mix(wood, WHITE, 0.15), "bench", "seat", "wood"
    )
    pen.rectangle(-1.12, 0.3, 1.12, 0.37, mix(wood, BLACK, 0.35), "bench", "seat", "wood")
    for x in (-0.98, 0.98):
        pen.polygon([(x - 0.06, 0), (x + 0.06, 0), (x + 0.05, 0.32), (x - 0.05, 0.32)], iron, "bench", "leg", "metal")


def fence(out: Outdoors, y: float, height: float = 0.1, left: float = 0.0, right: float = 1.0) -> None:
    """A fence across the picture at row y: pickets, rails, or iron bars."""
    dice = out.dice
    kind, wood = (
        dice.pick(("pickets", "rails", "iron")),
        dice.jitter(dice.pick((WHITE, *TIMBER), (4, 1, 1, 1, 1, 1, 1)), 10),
    )
    material, ink = ("metal", dice.pick(IRON)) if kind == "iron" else ("wood", wood)
    pen = out.hazed(out.canvas.at(left, y, height), y)
    length = (right - left) / height
    step = {"pickets": 0.3, "rails": 1.3, "iron": 0.2}[kind]
    width = {"pickets": 0.18, "rails": 0.16, "iron": 0.05}[kind]
    for low in {"pickets": (0.25, 0.65), "rails": (0.3, 0.6, 0.85), "iron": (0.1, 0.85)}[kind]:
        pen.rectangle(0, low, length, low + 0.1, mix(ink, BLACK, 0.15), "fence", "slat", material)
    for k in range(min(60, int(length / step) + 1)):
        x = k * step
        post = [(x, 0), (x + width, 0), (x + width, 0.88), (x + width / 2, 1.0), (x, 0.88)]
        pen.polygon(post, ink, "fence", "slat", material)


def fountain(pen: Pen, dice: Dice) -> None:
    """A fountain: a basin, one or two bowls, and jets."""
    stone, water = dice.jitter(dice.pick(STONES), 12), (150, 206, 230)
    dark = mix(stone, BLACK, 0.25)
    pen.ellipse(0, 0.3, 0.72, 0.12, mix(stone, WHITE, 0.25), "fountain", "basin", "stone")
    pen.ellipse(0, 0.3, 0.64, 0.09, (70, 150, 190), "fountain", "basin", "water")
    pen.polygon([(-0.05, 0.25), (0.05, 0.25), (0.035, 0.6), (-0.035, 0.6)], dark, "fountain", "pole", "stone")
    for s in (-1, 1):
        for reach in (0.28, 0.46):
            arc = [
                (s * reach * k / 8, 0.66 + 0.36 * (k / 8) * (1 - k / 8) * 2.4 - 0.36 * (k / 8) ** 2) for k in range(9)
            ]
            pen.line(arc, 0.03, (222, 240, 250), "fountain", None, "water")
    pen.polygon([(-0.26, 0.64), (0.26, 0.64), (0.08, 0.52), (-0.08, 0.52)], (stone, dark), "fountain", "basin", "stone")
    pen.polygon([(-0.03, 0.64), (0.03, 0.64), (0.015, 1.0), (-0.015, 1.0)], (230, 244, 252), "fountain", None, "water")
    rim = [(0.74 * math.cos(k / 12 * math.pi), 0.3 - 0.13 * math.sin(k / 12 * math.pi)) for k in range(13)]
    foot = [
        (-0.68, 0.12),
        *((-0.68 * math.cos(k / 12 * math.pi), 0.12 - 0.12 * math.sin(k / 12 * math.pi)) for k in range(13)),
    ]
    pen.polygon([*rim, *foot], (stone, dark), "fountain", "basin", "stone")
    pen.line(rim, 0.05, mix(stone, WHITE, 0.35), "fountain", "basin", "stone")
    pen.ellipse(0, 0.21, 0.3, 0.02, mix(water, stone, 0.6), "fountain", "basin", "stone")


def statue(pen: Pen, dice: Dice) -> None:
    """A figure of stone or bronze on a pedestal, one arm raised perhaps."""
    stone = dice.jitter(dice.pick(STONES), 12)
    ink, material = dice.pick(
        (((110, 150, 130), "metal"), ((120, 90, 60), "metal"), ((220, 216, 206), "stone"), ((80, 84, 92), "metal"))
    )
    pen.rectangle(-0.24, 0, 0.24, 0.07, mix(stone, BLACK, 0.2), "statue", "seat", "stone")
    pen.rectangle(
        -0.18, 0.07, 0.18, 0.44, (mix(stone, WHITE, 0.15), mix(stone, BLACK, 0.15)), "statue", "seat", "stone"
    )
    pen.rectangle(-0.21, 0.42, 0.21, 0.47, mix(stone, WHITE, 0.25), "statue", "seat", "stone")
    pen.rectangle(-0.1, 0.2, 0.1, 0.32, mix(stone, BLACK, 0.35), "statue", "seat", "metal")
    pen.polygon(
        [(-0.12, 0.47), (0.12, 0.47), (0.07, 0.7), (-0.07, 0.7)],
        (ink, mix(ink, BLACK, 0.25)),
        "statue",
        "legs",
        material,
    )
    pen.polygon(
        [(-0.07, 0.64), (0.07, 0.64), (0.09, 0.86), (-0.09, 0.86)], mix(ink, WHITE, 0.12), "statue", "torso", material
    )
    hand = dice.pick(((0.24, 0.98), (0.2, 0.7), (0.14, 0.62)))
    pen.line(
        [(0.08, 0.84), ((0.08 + hand[0]) / 2 + 0.04, (0.8 + hand[1]) / 2), hand], 0.045, ink, "statue", "arm", material
    )
    pen.line([(-0.08, 0.84), (-0.13, 0.72), (-0.08, 0.64)], 0.045, mix(ink, BLACK, 0.2), "statue", "arm", material)
    pen.ellipse(0, 0.93, 0.055, 0.065, mix(ink, WHITE, 0.12), "statue", "head", material)


GOODS = (
    (220, 60, 50),
    (240, 150, 50),
    (250, 210, 80),
    (110, 170, 70),
    (150, 80, 150),
    (240, 130, 150),
    (150, 100, 60),
    (240, 236, 220),
)


def market_stall(pen: Pen, dice: Dice) -> None:
    """A stall: counter with crates of fruit, poles and a striped awning; 1 high, 1.3 wide."""
    wood = dice.jitter(dice.pick(TIMBER), 14)
    half = dice.uniform(0.5, 0.68)
    pen.rectangle(
        -half, 0.3, half, 0.74, (mix(wood, BLACK, 0.72), mix(wood, BLACK, 0.5)), "market stall", "back", "wood"
    )
    for x in (-half + 0.03, half - 0.03):
        pen.rectangle(x - 0.02, 0, x + 0.02, 0.8, mix(wood, BLACK, 0.3), "market stall", "pole", "wood")
    count = dice.integer(3, 4)
    for k in range(count):
        _fruit(pen, dice, -half + half * 2 * (k + 0.5) / count, 0.36, half * 1.7 / count, "market stall")
    cloth = dice.jitter(dice.pick((*AWNINGS, *TIMBER)), 14)
    pen.rectangle(
        -half - 0.03,
        0.04,
        half + 0.03,
        0.36,
        (cloth, mix(cloth, BLACK, 0.25)),
        "market stall",
        "body",
        "fabric",
        texture="folds",
    )
    pen.rectangle(-half - 0.05, 0.34, half + 0.05, 0.38, mix(wood, WHITE, 0.2), "market stall", "top", "wood")
    awning(pen, dice, -half * 0.92, half * 0.92, 1.0, dice.uniform(0.2, 0.28))


def _fruit(pen: Pen, dice: Dice, x: float, y: float, w: float, thing: str) -> None:
    ink, r = dice.jitter(dice.pick(GOODS), 20), w * 0.17
    for row, n in ((1, 3), (0, 4)):
        for k in range(n):
            cx, cy = x + w * (-0.36 + 0.24 * k + 0.12 * row), y + 0.03 + r * 1.3 * row
            ring = [(cx + r * math.cos(j / 4 * math.pi), cy + r * math.sin(j / 4 * math.pi)) for j in range(8)]
            pen.polygon(ring, mix(ink, BLACK, dice.uniform(0, 0.22)), thing, "top", "foliage")


def crate(pen: Pen, dice: Dice, full: bool | None = None) -> None:
    """A wooden crate, with or without fruit."""
    wood, half = (
        dice.jitter(dice.pick(((186, 140, 88), (160, 112, 70), (206, 168, 112), (120, 130, 120))), 16),
        dice.uniform(0.5, 0.75),
    )
    if dice.chance(0.5) if full is None else full:
        _fruit(pen, dice, 0, 0.85, half * 1.8, "crate")
    pen.rectangle(-half, 0, half, 0.9, mix(wood, BLACK, 0.45), "crate", None, "wood")
    for k in range(3):
        pen.rectangle(
            -half, 0.03 + 0.3 * k, half, 0.26 + 0.3 * k, mix(wood, BLACK, 0.1 * (2 - k)), "crate", "slat", "wood"
        )
    for x in (-half, half - 0.12):
        pen.rectangle(x, 0, x + 0.12, 0.9, mix(wood, WHITE, 0.2), "crate", "slat", "wood")


def flag(pen: Pen, dice: Dice) -> None:
    """A flag of three bands on its pole."""
    pen.rectangle(-0.015, 0, 0.015, 1.0, (210, 206, 200), "flag", "pole", "metal")
    bands, upright = [dice.pick(PAINT) for _ in range(3)], dice.chance(0.5)
    wave = [(0.46 * k / 6, 0.03 * math.sin(k * 1.2)) for k in range(7)]
    for j, ink in enumerate(bands):
        if upright:
            part = wave[2 * j : 2 * j + 3]
            low, high = 0.64, 0.97
        else:
            part, low, high = wave, 0.64 + 0.11 * j, 0.75 + 0.11 * j
        pen.polygon(
            [*((x, low + dy) for x, dy in part), *((x, high + dy) for x, dy in part[::-1])],
            ink,
            "flag",
            "top",
            "fabric",
        )
