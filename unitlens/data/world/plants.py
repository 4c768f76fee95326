"""Trees of many kinds, and the small green things around them."""

from __future__ import annotations

import math
from itertools import pairwise

from unitlens.data.world.canvas import Colour, Pen, mix
from unitlens.data.world.dice import Dice

LEAVES: dict[str, tuple[Colour, ...]] = {
    "spring": ((140, 186, 82), (120, 176, 90), (160, 196, 96), (104, 160, 84)),
    "summer": ((70, 134, 58), (92, 148, 66), (56, 120, 70), (110, 150, 60), (48, 108, 62)),
    "autumn": ((224, 140, 48), (206, 92, 44), (232, 180, 62), (178, 70, 48), (190, 150, 66), (134, 140, 62)),
    "winter": ((96, 112, 74), (120, 116, 84)),
    "blossom": ((244, 176, 196), (248, 214, 222), (236, 140, 172), (250, 240, 236)),
}
BARK: tuple[Colour, ...] = ((104, 76, 54), (122, 92, 66), (86, 66, 54), (134, 112, 90), (112, 84, 74))
# how many puffs, half width and half height of the crown, its middle, top of the trunk, width of the trunk
SHAPES = {
    "round": (7, 0.34, 0.31, 0.66, 0.55, 0.075),
    "wide": (9, 0.48, 0.25, 0.70, 0.55, 0.085),
    "tall": (6, 0.15, 0.40, 0.56, 0.40, 0.05),
    "airy": (9, 0.32, 0.34, 0.62, 0.85, 0.05),
    "small": (5, 0.28, 0.24, 0.72, 0.6, 0.05),
}


def _close(pen: Pen) -> float:
    """How big a thing is, less what the haze takes: small and far things are drawn with fewer shades."""
    return pen.unit * (1.0 if pen.haze is None else max(0.0, 1 - 1.4 * pen.haze[1]))


def tree(pen: Pen, dice: Dice, season: str = "summer", kind: str | None = None) -> None:
    """A broad-leaved tree as the season has it: in leaf, in blossom, golden or bare (`kind`: see SHAPES)."""
    if season == "winter" and dice.chance(0.75):
        bare_tree(pen, dice, snowy=dice.chance(0.5))
        return
    kind = kind or dice.pick(tuple(SHAPES), (0.36, 0.2, 0.14, 0.16, 0.14))
    _, rx, ry, middle, stem, width = SHAPES[kind]
    palette = "blossom" if season == "spring" and dice.chance(0.35) else season
    leaf, birch = dice.jitter(dice.pick(LEAVES[palette]), 14), kind == "airy" and dice.chance(0.7)
    _trunk(pen, dice, stem, width * dice.uniform(0.8, 1.25), birch)
    _crown(pen, dice, leaf, kind)
    if dice.chance(0.15) and palette == "summer":
        for _ in range(8):  # fruit
            x, y = dice.uniform(-0.7, 0.7) * rx, middle + dice.uniform(-0.7, 0.7) * ry
            pen.ellipse(x, y, 0.018, 0.018, (214, 60, 50), "tree", "crown", "foliage")


def _crown(pen: Pen, dice: Dice, leaf: Colour, kind: str) -> None:
    """A dark mass with lighter puffs of leaves before it; the higher a puff, the lighter."""
    puffs, rx, ry, middle, _, _ = SHAPES[kind]
    dark, light = mix(leaf, (16, 40, 52), 0.42), mix(leaf, (255, 244, 150), 0.24)
    big, coarse = "leaves" if _close(pen) > 0.34 else None, _close(pen) < 0.25
    if coarse:
        puffs = max(3, puffs - 3)
    pen.blob(
        0,
        middle - 0.02,
        rx * 0.92,
        ry * 0.92,
        mix(dark, leaf, 0.35),
        "tree",
        "crown",
        "foliage",
        texture=big,
        depth=0.12,
    )
    turn = dice.uniform(0, 6.28)
    for k in range(puffs):
        angle, far = turn + k * 2.4, 0.72 * math.sqrt((k + 0.5) / puffs)
        x, y = rx * far * math.cos(angle), middle + ry * far * math.sin(angle)
        r = dice.uniform(0.36, 0.5) * min(rx, ry) * (1.0 if kind != "tall" else 1.3)
        up = (y - middle) / ry * 0.5 + 0.5
        top, low = mix(leaf, light, up), mix(dark, leaf, up)
        pen.blob(
            x,
            y,
            r * 1.15,
            r,
            mix(top, low, 0.45) if coarse else (top, low),
            "tree",
            "crown",
            "foliage",
            depth=0.13,
            texture=big if k % 3 == 1 else None,
        )


def far_tree(pen: Pen, dice: Dice, season: str) -> None:
    """A tree of the back row: a trunk and a few flat puffs."""
    leaf = dice.jitter(dice.pick(LEAVES[season]), 14)
    half, high = dice.uniform(0.018, 0.035), dice.uniform(0.6, 0.75)
    bark = dice.jitter(dice.pick(BARK), 10)
    pen.polygon([(-half * 1.4, 0), (-half, high), (half, high), (half * 1.4, 0)], bark, "tree", "trunk", "wood")
    for x, y, r, light in ((0.0, 0.72, 0.27, -0.2), (-0.14, 0.66, 0.17, 0.0), (0.12, 0.78, 0.17, 0.16)):
        tint = mix(leaf, (255, 244, 150) if light > 0 else (16, 40, 52), abs(light))
        pen.blob(x + dice.uniform(-0.05, 0.05), y, r * 1.15, r, tint, "tree", "crown", "foliage", depth=0.12)


def _trunk(pen: Pen, dice: Dice, top: float, width: float, birch: bool = False) -> None:
    bark = (222, 218, 208) if birch else dice.jitter(dice.pick(BARK), 10)
    bend = dice.uniform(-0.04, 0.04)
    half = width / 2
    outline = [
        (-half * 1.7, -0.01),
        (-half, 0.08),
        (bend - half * 0.7, top),
        (bend + half * 0.7, top),
        (half, 0.08),
        (half * 1.7, -0.01),
    ]
    pen.polygon(outline, bark, "tree", "trunk", "wood", texture="bark" if _close(pen) > 0.5 else None)
    shade = [(0.15 * half, 0), (bend + 0.1 * half, top), (bend + half * 0.7, top), (half, 0.08), (half * 1.7, -0.01)]
    pen.polygon(shade, mix(bark, (30, 24, 40), 0.35), "tree", "trunk", "wood")
    for sign in (-1, 1):
        pen.line(
            [(bend * 0.7, top * 0.7), (bend + sign * 0.13, top * 0.7 + 0.18)],
            width * 0.38,
            mix(bark, (30, 24, 40), 0.2),
            "tree",
            "trunk",
            "wood",
        )
    if birch:
        for k in range(6):
            pen.rectangle(
                -half * 0.8,
                0.06 + k * 0.07,
                half * dice.uniform(-0.4, 0.5),
                0.075 + k * 0.07,
                (70, 66, 66),
                "tree",
                "trunk",
                "wood",
            )


def bare_tree(pen: Pen, dice: Dice, *, snowy: bool = False) -> None:
    """A tree in winter: trunk and branches, perhaps with snow on them."""
    bark = mix(dice.jitter(dice.pick(BARK), 8), (60, 54, 60), 0.3)
    pen.polygon([(-0.06, 0), (-0.02, 0.5), (0.02, 0.5), (0.06, 0)], bark, "tree", "trunk", "wood")

    def branch(x: float, y: float, angle: float, length: float, width: float, depth: int) -> None:
        tip = (x + length * math.sin(angle), y + length * math.cos(angle))
        pen.line([(x, y), tip], width, bark, "tree", "trunk" if depth > 2 else "crown", "wood")
        if snowy:
            top = [(x, y + width * 0.6), (tip[0], tip[1] + width * 0.6)]
            pen.line(top, width * 0.6, (240, 244, 250), "tree", "crown", "snow")
        if depth:
            for sign in (-1, 1):
                branch(
                    *tip,
                    angle + sign * dice.uniform(0.22, 0.62),
                    length * dice.uniform(0.62, 0.82),
                    width * 0.62,
                    depth - 1,
                )

    branch(0, 0.34, dice.uniform(-0.1, 0.1), 0.2, 0.045, 4 if _close(pen) > 0.3 else 3)


def conifer(pen: Pen, dice: Dice, snowy: bool = False) -> None:
    """A fir or a spruce: tiers of drooping branches, perhaps under snow."""
    green = dice.jitter(dice.pick(((44, 96, 70), (56, 110, 74), (38, 84, 78), (70, 112, 66), (60, 100, 96))), 12)
    slim, tiers = dice.uniform(0.22, 0.36), dice.integer(4, 7)
    pen.polygon([(-0.035, -0.01), (-0.03, 0.2), (0.03, 0.2), (0.035, -0.01)], (92, 70, 54), "tree", "trunk", "wood")
    big, coarse = "needles" if _close(pen) > 0.34 else None, _close(pen) < 0.25
    low = dice.uniform(0.07, 0.13)
    for k in range(tiers):
        t = k / tiers
        y, top, w = low + (1 - low) * t, min(1.0, low + (1 - low) * (t + 1.75 / tiers)), slim * (1 - t) ** 0.85 + 0.03
        teeth = [(w * (1 - j / 3.5), y + (0.0 if j % 2 == 0 else 0.035) + 0.012 * j) for j in range(8)]
        teeth[0], teeth[-1] = (w, y - 0.012), (-w, y - 0.012)
        dark, light = mix(green, (10, 26, 44), 0.38), mix(green, (214, 230, 140), 0.16 + 0.12 * t)
        pen.polygon(
            [(0, top), (w * 0.42, y + (top - y) * 0.42), *teeth, (-w * 0.42, y + (top - y) * 0.42)],
            mix(light, dark, 0.5) if coarse else (light, dark),
            "tree",
            "crown",
            "foliage",
            texture=big if k % 2 else None,
        )
        pen.polygon(
            [(0.01, top), (w * 0.42, y + (top - y) * 0.42), (w, y - 0.012), (w * 0.35, y + 0.03)],
            mix(dark, green, 0.3),
            "tree",
            "crown",
            "foliage",
        )
        if snowy:
            m = (y + top) / 2 - 0.01
            cap = [
                (0, top),
                (w * 0.42, m),
                (w * 0.9, y + 0.005),
                (w * 0.35, m - 0.03),
                (0.02, m + 0.02),
                (-w * 0.3, m - 0.035),
                (-w * 0.9, y + 0.005),
                (-w * 0.42, m),
            ]
            pen.polygon(cap, (236, 241, 248) if coarse else ((252, 253, 255), (206, 218, 236)), "tree", "crown", "snow")


def palm(pen: Pen, dice: Dice) -> None:
    """A palm with a bent, ringed trunk and drooping fronds."""
    bend, bark = dice.uniform(-0.3, 0.3), dice.jitter(dice.pick(((150, 116, 80), (134, 106, 84), (168, 138, 100))), 8)
    spine = [(bend * (k / 8) ** 1.8, 0.72 * k / 8) for k in range(9)]
    for k, (a, b) in enumerate(pairwise(spine)):
        pen.line(
            [a, (b[0], b[1] + 0.01)],
            0.075 - 0.005 * k,
            mix(bark, (60, 40, 30), 0.22 * (k % 2)),
            "palm",
            "trunk",
            "wood",
        )
    x, y = spine[-1]
    green = dice.jitter(dice.pick(((74, 142, 70), (96, 156, 66), (52, 124, 82), (132, 160, 76))), 12)
    fronds = dice.integer(8, 11)
    for k in dice.shuffled(range(fronds)):
        angle = -0.35 + k / (fronds - 1) * (math.pi + 0.7)
        reach, droop = dice.uniform(0.32, 0.44), dice.uniform(0.10, 0.22)
        tint = (
            mix(green, (20, 50, 40), 0.35 * (1 - math.sin(max(0, angle))))
            if k % 2
            else mix(green, (240, 240, 140), 0.2)
        )
        upper, lower = [], []
        for j in range(7):
            t = j / 6
            u, v = x + reach * t * math.cos(angle), y + reach * t * math.sin(angle) - droop * t * t
            half = 0.055 * math.sin(math.pi * min(1, t * 0.85 + 0.12))
            nx, ny = math.sin(angle), abs(math.cos(angle)) + 0.3  # fronds that point up are broad sideways
            upper.append((u - half * nx * 0.5, v + half * ny * 0.5))
            lower.append((u + half * nx * (1.0 if j % 2 else 0.4), v - half * ny * (1.0 if j % 2 else 0.4)))
        pen.polygon(upper + lower[::-1], tint, "palm", "frond", "foliage")
    for dx in (-0.03, 0.02):
        if dice.chance(0.6):
            pen.ellipse(x + dx, y - 0.02, 0.024, 0.026, (112, 78, 46), "palm", "frond", "wood")


def bush(pen: Pen, dice: Dice, season: str = "summer", *, snowy: bool = False) -> None:
    """A round bush, sometimes in flower."""
    leaf = dice.jitter(dice.pick(LEAVES["summer" if season == "winter" else season]), 14)
    w = dice.uniform(0.6, 0.95)
    dark, light = mix(leaf, (16, 40, 50), 0.4), mix(leaf, (250, 244, 150), 0.2)
    for x, y, r in ((-0.32 * w, 0.36, 0.38), (0.34 * w, 0.38, 0.36), (0, 0.52, 0.46)):
        pen.blob(
            x,
            y,
            r * w * 1.15,
            r,
            (light, dark),
            "bush",
            None,
            "foliage",
            depth=0.12,
            texture="leaves" if pen.unit > 0.2 else None,
        )
    if snowy:
        pen.blob(0, 0.82, 0.4 * w, 0.15, (244, 247, 252), "bush", None, "snow")
    elif dice.chance(0.3):
        petal = dice.pick(((236, 120, 150), (250, 250, 250), (250, 214, 90), (170, 110, 200), (220, 70, 70)))
        for _ in range(10):
            pen.ellipse(
                dice.uniform(-0.55, 0.55) * w,
                dice.uniform(0.25, 0.85),
                0.05,
                0.05,
                petal,
                "flower",
                "blossom",
                "foliage",
            )


def flower_bed(pen: Pen, dice: Dice) -> None:
    """A low bed of flowers, about three times as wide as high."""
    pen.blob(0, 0.25, 1.5, 0.4, ((92, 130, 66), (60, 92, 52)), "flower", "leaf", "foliage", lumps=12, depth=0.08)
    petals = dice.shuffled(
        (
            (226, 66, 70),
            (250, 210, 80),
            (244, 150, 190),
            (250, 250, 246),
            (156, 100, 204),
            (250, 150, 70),
            (96, 120, 220),
        )
    )
    for k in range(30):
        x, y, r = dice.uniform(-1.35, 1.35), dice.uniform(0.0, 0.62), dice.uniform(0.10, 0.15)
        y -= 0.18 * abs(x) / 1.35
        tint = petals[k % 3]
        pen.ellipse(x, y, r, r * 0.85, tint, "flower", "blossom", "foliage")
        pen.ellipse(x, y + 0.02, r * 0.4, r * 0.35, mix(tint, (255, 240, 140), 0.6), "flower", "blossom", "foliage")


def cactus(pen: Pen, dice: Dice) -> None:
    """A saguaro with arms, or a round barrel of a cactus."""
    green = dice.jitter(dice.pick(((82, 132, 84), (96, 144, 92), (70, 118, 92), (122, 146, 84))), 10)
    dark, light = mix(green, (16, 40, 44), 0.36), mix(green, (240, 240, 170), 0.28)
    if dice.chance(0.2):
        pen.blob(0, 0.42, 0.42, 0.44, (light, dark), "cactus", None, "foliage", depth=0.03)
        for x in (-0.24, -0.08, 0.08, 0.24):
            pen.line([(x, 0.05), (x * 1.2, 0.45), (x, 0.8)], 0.02, dark, "cactus", None, "foliage")
        pen.ellipse(0, 0.86, 0.10, 0.06, dice.pick(((236, 90, 130), (250, 200, 80))), "flower", "blossom", "foliage")
        return
    arms = [(0.0, 0.0, 1.0, 0.10)]
    for sign in (-1, 1):
        if dice.chance(0.8):
            x, foot, tip = sign * dice.uniform(0.22, 0.3), dice.uniform(0.3, 0.5), dice.uniform(0.65, 0.88)
            pen.line([(0, foot), (x, foot + 0.04)], 0.12, mix(green, dark, 0.5), "cactus", None, "foliage")
            arms.append((x, foot, tip, 0.068))
    for x, foot, tip, half in arms:
        pen.rectangle(x - half, foot, x + half, tip - half, green, "cactus", None, "foliage")
        pen.ellipse(x, tip - half, half, half, green, "cactus", None, "foliage")
        if foot > 0:
            pen.ellipse(x, foot + 0.01, half, half, green, "cactus", None, "foliage")
        pen.rectangle(x + half * 0.3, foot, x + half, tip - half, dark, "cactus", None, "foliage")
        pen.rectangle(x - half * 0.7, foot, x - half * 0.4, tip - half, light, "cactus", None, "foliage")
        pen.rectangle(
            x - half * 0.1, foot, x + half * 0.1, tip - half, mix(green, dark, 0.6), "cactus", None, "foliage"
        )


def rock(pen: Pen, dice: Dice, *, red: bool = False, snowy: bool = False) -> None:
    """A boulder with a lit top and a shaded side."""
    stone: Colour = (190, 124, 88) if red else dice.pick(((142, 140, 138), (160, 148, 132), (120, 124, 132)))
    stone = dice.jitter(stone, 12)
    w = dice.uniform(0.6, 1.0)
    ring = [(-w, 0), (-w * 0.95, 0.35), (-w * 0.6, 0.8), (-0.1, 1.0), (w * 0.5, 0.85), (w * 0.9, 0.4), (w, 0)]
    ring = [(x + dice.uniform(-0.08, 0.08), y + (dice.uniform(-0.08, 0.08) if y else 0)) for x, y in ring]
    pen.polygon(ring, stone, "rock", None, "stone", texture="rock" if pen.unit > 0.08 else None)
    pen.polygon(
        [ring[4], ring[5], ring[6], (w * 0.2, 0), (w * 0.3, 0.5)], mix(stone, (30, 26, 50), 0.34), "rock", None, "stone"
    )
    top = (244, 247, 252) if snowy else mix(stone, (255, 250, 230), 0.35)
    pen.polygon([ring[2], ring[3], ring[4], (w * 0.1, 0.72)], top, "rock", None, "snow" if snowy else "stone")
