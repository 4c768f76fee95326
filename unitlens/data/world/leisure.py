"""What stands on beaches, fields and playgrounds: umbrellas, tents, hay, swings, slides, bridges and piers."""

from __future__ import annotations

import math

from unitlens.data.world.canvas import Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.masonry import AWNINGS, BLACK, WHITE, arched, box
from unitlens.data.world.vehicles import PAINT

TIMBER = ((150, 104, 64), (176, 136, 90), (120, 84, 58), (196, 190, 180), (96, 130, 110), (160, 60, 50))
STONES = ((188, 182, 172), (160, 158, 156), (206, 194, 168))


def umbrella(pen: Pen, dice: Dice) -> None:
    """A parasol with striped panels."""
    colour, other = dice.jitter(dice.pick(AWNINGS), 20), dice.pick((WHITE, (250, 220, 120)), (3, 1))
    tilt = pen.at(0, 0, 1.0, lean=dice.uniform(-0.16, 0.16))
    tilt.rectangle(-0.018, 0, 0.018, 0.95, (226, 220, 206), "umbrella", "pole", "wood")
    edge = [(-0.6 + 0.2 * k, 0.66 + 0.03 * math.sin(k / 6 * math.pi)) for k in range(7)]
    for k in range(6):
        (a, b), (c, d) = edge[k], edge[k + 1]
        side, far = (a * 0.72, 0.86), (c * 0.72, 0.86)
        ink = (colour, other)[k % 2]
        tilt.polygon(
            [(a, b), ((a + c) / 2, b - 0.03), (c, d), far, (0, 1.0), side],
            mix(ink, BLACK, 0.035 * k),
            "umbrella",
            "canopy",
            "fabric",
        )


def tent(pen: Pen, dice: Dice) -> None:
    """A tent with its entrance open; 1 high, 1.7 wide."""
    colour = dice.jitter(dice.pick(AWNINGS), 22)
    pen.polygon(
        [(-0.8, 0), (0.5, 0), (-0.1, 1.0)],
        (mix(colour, WHITE, 0.15), mix(colour, BLACK, 0.1)),
        "tent",
        "canopy",
        "fabric",
    )
    pen.polygon([(0.5, 0), (0.95, 0.1), (0.4, 0.94), (-0.1, 1.0)], mix(colour, BLACK, 0.28), "tent", "canopy", "fabric")
    pen.polygon([(-0.4, 0), (0.12, 0), (-0.1, 0.72)], mix(colour, BLACK, 0.7), "tent", "door", "fabric")
    pen.polygon([(-0.4, 0), (-0.54, 0), (-0.1, 0.72)], mix(colour, WHITE, 0.5), "tent", "door", "fabric")
    for x in (-1.0, 1.1):
        pen.line([(x, 0), (x * 0.35, 0.7)], 0.016, (120, 110, 96), "tent", "pole", "fabric")


def haystack(pen: Pen, dice: Dice) -> None:
    """A round bale or a heap of hay."""
    ink = dice.jitter((222, 186, 96), 16)
    if dice.chance(0.5):
        pen.ellipse(
            0,
            0.5,
            0.55,
            0.5,
            (mix(ink, WHITE, 0.12), mix(ink, BLACK, 0.2)),
            "haystack",
            None,
            "straw",
            texture="needles",
        )
        for r in (0.36, 0.22, 0.1):
            ring = [(r * 1.05 * math.cos(k / 8 * math.pi), 0.5 + r * math.sin(k / 8 * math.pi)) for k in range(17)]
            pen.line(ring, 0.03, mix(ink, BLACK, 0.3), "haystack", None, "straw")
        return
    heap = [(0.62 * math.cos(k / 10 * math.pi), math.sin(k / 10 * math.pi) ** 0.8) for k in range(11)]
    pen.polygon(
        [(0.66, 0), *heap[1:-1], (-0.66, 0)],
        (mix(ink, WHITE, 0.15), mix(ink, BLACK, 0.25)),
        "haystack",
        None,
        "straw",
        texture="needles",
    )


def swing(pen: Pen, dice: Dice) -> None:
    """A frame with two swings; 1 high, 1.3 wide."""
    ink = dice.jitter(dice.pick(PAINT), 12)
    for s in (-1, 1):
        for foot in (0.75, 0.42):
            pen.line([(s * foot, 0), (s * 0.58, 0.97)], 0.05, ink, "swing", "frame", "metal")
    pen.line([(-0.62, 0.96), (0.62, 0.96)], 0.06, mix(ink, BLACK, 0.2), "swing", "frame", "metal")
    for x in (-0.26, 0.26):
        away = dice.uniform(-0.16, 0.16)
        for dx in (-0.09, 0.09):
            pen.line([(x + dx, 0.95), (x + dx + away, 0.3)], 0.02, (90, 90, 94), "swing", "pole", "metal")
        pen.polygon(box(x + away, 0.26, 0.26, 0.06), dice.pick(PAINT), "swing", "seat", "plastic")


def slide(pen: Pen, dice: Dice) -> None:
    """A slide with its ladder; 1 high, 1.6 wide."""
    ink, chute = dice.jitter(dice.pick(PAINT), 12), dice.jitter(dice.pick(PAINT), 12)
    for x in (-0.62, -0.4):
        pen.line([(x, 0), (x, 1.0)], 0.045, ink, "slide", "frame", "metal")
    for k in range(5):
        pen.line(
            [(-0.62, 0.12 + 0.14 * k), (-0.4, 0.12 + 0.14 * k)], 0.035, mix(ink, BLACK, 0.2), "slide", "frame", "metal"
        )
    pen.polygon(
        [(-0.42, 0.8), (-0.3, 0.8), (0.5, 0.14), (0.82, 0.12), (0.82, 0.02), (0.46, 0.02), (-0.42, 0.66)],
        (mix(chute, WHITE, 0.3), chute),
        "slide",
        "seat",
        "plastic",
    )
    pen.line(
        [(-0.42, 0.84), (-0.28, 0.84), (0.5, 0.19), (0.82, 0.15)],
        0.05,
        mix(chute, BLACK, 0.3),
        "slide",
        "slat",
        "plastic",
    )


def bridge(pen: Pen, dice: Dice) -> None:
    """An arched bridge of stone or wood; 1 high, 3 wide."""
    stone, wide = dice.jitter(dice.pick((*STONES, (190, 110, 84))), 12), 1.5
    deck = [(-wide + wide * 2 * k / 12, 0.62 + 0.26 * math.sin(k / 12 * math.pi)) for k in range(13)]
    hole = [(0.78 * math.cos(k / 12 * math.pi), 0.66 * math.sin(k / 12 * math.pi)) for k in range(13)]
    pen.polygon(
        [(-wide, 0), *deck, (wide, 0), *hole],
        (mix(stone, WHITE, 0.1), mix(stone, BLACK, 0.2)),
        "bridge",
        "arch",
        "stone",
        texture="stone",
    )
    pen.line(hole, 0.07, mix(stone, WHITE, 0.3), "bridge", "arch", "stone")
    for x, y in deck:
        pen.polygon(box(x, y, 0.08, 0.18), mix(stone, BLACK, 0.1), "bridge", "pole", "stone")
    pen.line([(x, y + 0.18) for x, y in deck], 0.06, mix(stone, WHITE, 0.3), "bridge", "top", "stone")


def pier(pen: Pen, dice: Dice) -> None:
    """A wooden jetty on posts that comes from the right; 1 high, 5 long."""
    wood, long = dice.jitter(dice.pick(TIMBER[:4]), 12), dice.uniform(3.5, 6)
    for k in range(int(long / 0.8)):
        x = 0.2 + 0.8 * k
        pen.rectangle(x - 0.08, -0.1, x + 0.08, 0.95, mix(wood, BLACK, 0.4), "pier", "pole", "wood")
    pen.rectangle(0, 0.42, long + 2, 0.62, (mix(wood, WHITE, 0.2), wood), "pier", "slat", "wood", texture="boards")
    pen.rectangle(0, 0.32, long + 2, 0.43, mix(wood, BLACK, 0.35), "pier", "slat", "wood")
    pen.polygon(arched(0.2, 0.6, 0.2, 0.45), mix(wood, BLACK, 0.2), "pier", "pole", "wood")
