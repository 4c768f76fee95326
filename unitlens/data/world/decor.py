"""Windows, doors, lamps, rugs, pictures, plants and small things. Drawn on a pen with y up, about 1 high."""

from __future__ import annotations

import math

from unitlens.data.world.canvas import Colour, Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.furniture import cloth, timber
from unitlens.data.world.shell import WOODS, dim

VIEWS = {  # sky above, sky below, ground
    "day": ((110, 176, 232), (206, 230, 242), (112, 160, 84)), "soft": ((190, 206, 216), (230, 234, 232), (130, 160,
    110)),
    "cold": ((176, 190, 204), (222, 230, 238), (232, 238, 244)), "evening": ((84, 84, 140), (244, 160, 110), (60, 66,
    70)),
    "night": ((18, 24, 58), (40, 52, 98), (22, 32, 40)),
}  # fmt: skip
LEAVES = ((62, 130, 70), (88, 150, 74), (44, 104, 66), (120, 160, 80), (70, 120, 100))


def window(pen: Pen, dice: Dice, light: str = "day", half: float = 0.45) -> None:
    """A window: view, frame with bars, sill and often curtains."""
    above, below, ground = VIEWS.get(light, VIEWS["day"])
    frame = dice.jitter(dice.pick(((248, 246, 240), (248, 246, 240), (120, 78, 48), (70, 90, 90))), 8)
    pen.rectangle(-half - 0.06, -0.04, half + 0.06, 1.06, dim(frame, 0.92), "window pane", "frame", "wood")
    pen.rectangle(-half, 0.0, half, 1.0, (above, below), "window pane", None, "glass")
    _view(pen, dice, half, below, ground)
    bars = [(-0.02, 0.0, 0.02, 1.0)] + ([(-half, 0.6, half, 0.635)] if dice.chance(0.6) else [])
    for x0, y0, x1, y1 in bars if dice.chance(0.85) else []:
        pen.rectangle(x0, y0, x1, y1, frame, "window pane", "frame", "wood")
    pen.rectangle(-half - 0.1, -0.08, half + 0.1, -0.02, dim(frame, 1.03), "window pane", "frame", "wood")
    style = dice.pick(("drapes", "short", "blind", "none"), (0.48, 0.17, 0.13, 0.22))
    if style != "none":
        _curtains(pen, dice, half, style)


def _view(pen: Pen, dice: Dice, half: float, sky: Colour, ground: Colour) -> None:
    """What is seen through the pane: hills, a tree or roofs (all of it glass)."""
    level = dice.uniform(0.12, 0.38)
    far = mix(ground, sky, 0.5)
    hill = [(-half, 0), (half, 0), (half, level + dice.uniform(0, 0.1)), (half * dice.uniform(-0.5, 0.5), level + 0.14),
            (-half, level)]  # fmt: skip
    pen.polygon(hill, far, "window pane", None, "glass")
    pen.rectangle(-half, 0, half, level * 0.7, ground, "window pane", None, "glass")
    x = dice.uniform(-half * 0.7, half * 0.7)
    if dice.chance(0.6):
        r = min(0.2, half - abs(x))
        pen.rectangle(x - 0.02, level * 0.4, x + 0.02, level + 0.1, dim(ground, 0.5), "window pane", None, "glass")
        pen.ellipse(x, level + 0.2, r, 0.2, dim(ground, 0.8), "window pane", None, "glass")
    elif dice.chance(0.5):
        x = min(half - 0.16, max(-half + 0.16, x))
        pen.rectangle(
            x - 0.15, level * 0.5, x + 0.15, level + 0.14, mix(sky, (190, 120, 90), 0.6), "window pane", None, "glass"
        )
        pen.polygon([(x - 0.16, level + 0.14), (x + 0.16, level + 0.14), (x, level + 0.32)], mix(ground, (150, 70,
            60), 0.7), "window pane",
                    None, "glass")  # fmt: skip


def _curtains(pen: Pen, dice: Dice, half: float, style: str) -> None:
    colour = cloth(dice)
    if style == "blind":
        low = dice.uniform(0.35, 0.85)
        for k in range(int((1.05 - low) / 0.07)):
            y = 1.05 - 0.07 * k
            pen.rectangle(-half - 0.03, y - 0.055, half + 0.03, y, dim(colour, 1.1), "curtain", "slat", "fabric")
            pen.rectangle(
                -half - 0.03, y - 0.07, half + 0.03, y - 0.055, dim(colour, 0.75), "curtain", "slat", "fabric"
            )
        return
    low, open_share = (-0.35 if style == "drapes" else 0.0) - 0.05, dice.uniform(0.5, 0.85)
    for way in (-1, 1):
        inner, outer = way * half * open_share, way * (half + 0.2)
        strips = 5
        for k in range(strips):
            a, b = (inner + (outer - inner) * s / strips for s in (k, k + 1))
            tone = dim(colour, 1.08 if k % 2 else 0.86)
            pen.polygon([(a, 1.12), (b, 1.12), (b + way * 0.02, low), (a + way * 0.05, low)], (tone, dim(tone,
                0.88)), "curtain", None,
                        "fabric")  # fmt: skip
    pen.rectangle(-half - 0.26, 1.11, half + 0.26, 1.15, dim(dice.pick(WOODS), 0.8), "curtain", "pole", "wood")


def door(pen: Pen, dice: Dice) -> None:
    """A door in its frame, with panels and a handle."""
    colour, frame, half = timber(dice, 0.55), dice.jitter((242, 238, 230), 8), 0.22
    pen.rectangle(-half - 0.04, 0, half + 0.04, 1.03, frame, "door", "frame", "wood")
    pen.rectangle(-half, 0, half, 1.0, (dim(colour, 1.05), dim(colour, 0.9)), "door", None, "wood")
    style = dice.pick(("two", "four", "glass", "plain"))
    rows = {
        "two": ((0.08, 0.45), (0.52, 0.93)),
        "four": ((0.08, 0.45), (0.52, 0.93)),
        "glass": ((0.08, 0.42),),
        "plain": (),
    }[style]
    columns = ((-0.17, -0.02), (0.02, 0.17)) if style == "four" else ((-0.16, 0.16),)
    for y0, y1 in rows:
        for x0, x1 in columns:
            pen.rectangle(x0, y0, x1, y1, dim(colour, 0.74), "door", None, "wood")
            pen.rectangle(x0 + 0.012, y0, x1, y1 - 0.012, dim(colour, 0.92), "door", None, "wood")
    if style == "glass":
        pen.rectangle(-0.15, 0.52, 0.15, 0.93, ((214, 228, 230), (180, 204, 206)), "door", "window", "glass")
    pen.rectangle(half - 0.07, 0.47, half - 0.02, 0.50, (206, 176, 96), "door", "handle", "metal")
    pen.ellipse(half - 0.035, 0.485, 0.018, 0.025, (170, 140, 70), "door", "handle", "metal")


def rug(pen: Pen, dice: Dice) -> None:
    """A rug on the floor, seen flat; the pen's 1 is its depth, y up."""
    colour, other = cloth(dice), cloth(dice)
    half = dice.uniform(1.6, 2.4)
    rings = dice.integer(2, 4)
    tones = (colour, other, dim(colour, 1.2), mix(other, (250, 240, 220), 0.5))
    oval = dice.chance(0.4)
    for k in range(rings):
        s = 1 - 0.24 * k
        tone = tones[k % 4]
        if oval:
            pen.ellipse(0, 0.5, half * s, 0.5 * s, tone, "rug", None, "fabric")
            continue
        y0, y1 = 0.5 - 0.5 * s, 0.5 + 0.5 * s
        a, b = half * s * 1.14, half * s * 0.9
        pen.polygon([(-a, y0), (a, y0), (b, y1), (-b, y1)], tone, "rug", None, "fabric")
    for k in range(-3, 4) if dice.chance(0.6) else ():
        x = k * half * 0.24 * (1 if rings < 4 else 0.6)
        pen.polygon(
            [(x - 0.12, 0.5), (x, 0.4), (x + 0.12, 0.5), (x, 0.6)], tones[(rings + 1) % 4], "rug", None, "fabric"
        )


def picture(pen: Pen, dice: Dice) -> None:
    """A framed picture: landscape, flower or an abstract one."""
    half, frame = (
        dice.pick((0.4, 0.55, 0.72)),
        dice.jitter(dice.pick(WOODS + ((40, 40, 44), (206, 170, 90), (244, 242, 238))), 8),
    )
    pen.rectangle(-half, 0, half, 1, frame, "picture", "frame", "wood")
    pen.rectangle(-half + 0.06, 0.06, half - 0.06, 0.94, (240, 236, 226), "picture", None, "paper")
    x, a, b = half - 0.14, cloth(dice), cloth(dice)
    pen.rectangle(
        -x, 0.14, x, 0.86, (mix(a, (255, 255, 255), 0.3), mix(a, (255, 240, 220), 0.7)), "picture", None, "paper"
    )
    kind = dice.pick(("hills", "blocks", "flower", "sea"))
    if kind == "hills":
        pen.polygon(
            [(-x, 0.14), (x, 0.14), (x, 0.4), (x * 0.3, 0.62), (-x * 0.3, 0.36), (-x, 0.5)], b, "picture", None, "paper"
        )
    elif kind == "blocks":
        for _ in range(4):
            u, v = dice.uniform(-x, x * 0.4), dice.uniform(0.14, 0.6)
            pen.rectangle(u, v, min(x, u + 0.28), v + 0.25, cloth(dice), "picture", None, "paper")
    elif kind == "flower":
        pen.rectangle(-0.02, 0.18, 0.02, 0.5, (70, 120, 70), "picture", None, "paper")
        pen.ellipse(0, 0.58, 0.16, 0.18, b, "picture", None, "paper")
        pen.ellipse(0, 0.58, 0.06, 0.07, (246, 216, 110), "picture", None, "paper")
    else:
        pen.rectangle(-x, 0.14, x, 0.42, b, "picture", None, "paper")
        pen.ellipse(x * 0.4, 0.62, 0.1, 0.1, (250, 226, 130), "picture", None, "paper")


def mirror(pen: Pen, dice: Dice) -> None:
    """A mirror, round or upright."""
    frame, half = dice.jitter(dice.pick(WOODS + ((210, 176, 100), (226, 228, 232))), 8), dice.uniform(0.34, 0.6)
    if dice.chance(0.5):
        pen.ellipse(0, 0.5, half + 0.05, 0.55, frame, "mirror", "frame", "wood")
        pen.ellipse(0, 0.5, half, 0.48, ((222, 234, 240), (170, 190, 204)), "mirror", None, "glass")
    else:
        pen.rectangle(-half - 0.05, -0.03, half + 0.05, 1.03, frame, "mirror", "frame", "wood")
        pen.rectangle(-half, 0.02, half, 0.98, ((222, 234, 240), (170, 190, 204)), "mirror", None, "glass")
    pen.polygon(
        [(-half * 0.5, 0.25), (-half * 0.2, 0.25), (half * 0.5, 0.8), (half * 0.2, 0.8)],
        (238, 246, 250),
        "mirror",
        None,
        "glass",
    )


def clock(pen: Pen, dice: Dice) -> None:
    """A wall clock."""
    rim = dice.jitter(dice.pick(WOODS + ((40, 40, 44), (190, 60, 50), (220, 180, 90))), 10)
    pen.ellipse(0, 0.5, 0.5, 0.5, rim, "clock", "frame", "wood")
    pen.ellipse(0, 0.5, 0.41, 0.41, (250, 247, 238), "clock", "face", "paper")
    for k in range(12):
        a = k * math.pi / 6
        pen.ellipse(0.34 * math.cos(a), 0.5 + 0.34 * math.sin(a), 0.03, 0.03, (50, 50, 56), "clock", "face", "paper")
    for length, width in ((0.2, 0.07), (0.3, 0.05)):
        a = dice.uniform(0, 6.283)
        pen.line(
            [(0, 0.5), (length * math.cos(a), 0.5 + length * math.sin(a))],
            width,
            (30, 30, 36),
            "clock",
            "handle",
            "metal",
        )


def _shade(pen: Pen, dice: Dice, y0: float, y1: float, wide: float, on: bool) -> None:
    colour = dice.jitter(
        dice.pick(((244, 226, 184), (240, 236, 226), (206, 96, 76), (110, 150, 160), (226, 176, 90))), 10
    )
    colour = mix(colour, (255, 240, 180), 0.65) if on else colour
    pen.polygon([(-wide, y0), (wide, y0), (wide * 0.6, y1), (-wide * 0.6, y1)], (dim(colour, 0.92), dim(colour,
        1.08)), "lamp", "shade",
                "fabric")  # fmt: skip


def floor_lamp(pen: Pen, dice: Dice, on: bool = False) -> None:
    """A standard lamp."""
    metal = dice.pick(((60, 60, 64), (176, 146, 84), (150, 104, 60)))
    pen.ellipse(0, 0.02, 0.11, 0.025, metal, "lamp", "leg", "metal")
    pen.rectangle(-0.013, 0.02, 0.013, 0.8, metal, "lamp", "pole", "metal")
    _shade(pen, dice, 0.74, 1.02, 0.2, on)


def table_lamp(pen: Pen, dice: Dice, on: bool = False) -> None:
    """A small lamp with a round foot."""
    foot = cloth(dice)
    pen.ellipse(0, 0.22, 0.17, 0.22, (dim(foot, 1.1), dim(foot, 0.8)), "lamp", "leg", "ceramic")
    pen.rectangle(-0.03, 0.3, 0.03, 0.56, (176, 146, 84), "lamp", "pole", "metal")
    _shade(pen, dice, 0.5, 1.0, 0.4, on)


def ceiling_lamp(pen: Pen, dice: Dice, on: bool = False, cord: float = 2.0) -> None:
    """A lamp hanging from the ceiling; the foot of the pen is its lower edge."""
    pen.rectangle(-0.025, 0.7, 0.025, 1.0 + cord, (60, 58, 58), "lamp", "pole", "metal")
    if dice.chance(0.3):
        glow = (255, 246, 214) if on else dice.jitter((240, 238, 230), 8)
        pen.ellipse(0, 0.45, 0.5, 0.45, (dim(glow, 0.96), glow), "lamp", "shade", "glass")
        return
    if on:
        pen.ellipse(0, 0.06, 0.3, 0.16, (255, 246, 200), "lamp", "lamp head", "glass")
    _shade(pen, dice, 0.05, 0.85, 0.75, False)


def plant(pen: Pen, dice: Dice) -> None:
    """A plant in a pot: long leaves, a round bush or a small tree."""
    pot, leaf = dice.jitter(dice.pick(((186, 98, 64), (236, 232, 224), (80, 110, 140), (210, 170, 100), (70, 72,
        78))), 12), \
        dice.jitter(dice.pick(LEAVES), 12)  # fmt: skip
    kind = dice.pick(("blades", "bush", "round leaves"))
    if kind == "bush":
        pen.rectangle(-0.02, 0.25, 0.02, 0.6, (110, 80, 54), "plant", "trunk", "wood")
        pen.blob(0, 0.68, 0.28, 0.31, leaf, "plant", "leaf", "foliage", texture="leaves")
    for k in range(9) if kind != "bush" else ():
        a = math.pi * (0.5 + (k - 4) * 0.105) + dice.uniform(-0.08, 0.08)
        reach = dice.uniform(0.5, 0.76)
        tip = (reach * math.cos(a) * 0.75, 0.28 + reach * math.sin(a))
        tone = dim(leaf, dice.uniform(0.78, 1.18))
        if kind == "blades":
            mid = (tip[0] * 0.4, 0.28 + (tip[1] - 0.28) * 0.6)
            pen.polygon(
                [(-0.04, 0.26), (0.04, 0.26), (mid[0] + 0.06, mid[1]), tip, (mid[0] - 0.06, mid[1])],
                tone,
                "plant",
                "leaf",
                "foliage",
            )
        else:
            pen.line([(0, 0.27), tip], 0.02, dim(leaf, 0.7), "plant", "trunk", "foliage")
            pen.ellipse(tip[0], tip[1], 0.11, 0.085, tone, "plant", "leaf", "foliage")
    pen.polygon(
        [(-0.19, 0.3), (0.19, 0.3), (0.13, 0.0), (-0.13, 0.0)], (pot, dim(pot, 0.78)), "plant", "pot", "ceramic"
    )
    pen.rectangle(-0.21, 0.26, 0.21, 0.33, dim(pot, 1.1), "plant", "pot", "ceramic")


def vase(pen: Pen, dice: Dice) -> None:
    """A vase with a bunch of flowers."""
    pot, bloom = (
        cloth(dice),
        dice.pick(((226, 70, 70), (246, 190, 70), (236, 130, 170), (246, 246, 240), (150, 100, 190))),
    )
    for k in range(6):
        x, y = (k - 2.5) * 0.14, 0.80 + 0.14 * math.sin(k * 2.1)
        pen.line([(0, 0.4), (x, y)], 0.035, (76, 126, 70), "flower", "trunk", "foliage")
        pen.ellipse(x, y, 0.12, 0.11, dice.jitter(bloom, 22), "flower", "blossom", "foliage")
    pen.polygon([(-0.09, 0.5), (0.09, 0.5), (0.2, 0.22), (0.12, 0), (-0.12, 0), (-0.2, 0.22)], (dim(pot, 1.12),
        dim(pot, 0.8)), "vase", None,
                "ceramic")  # fmt: skip


def bowl(pen: Pen, dice: Dice) -> None:
    """A bowl, often with fruit in it."""
    colour = cloth(dice)
    for k in range(4) if dice.chance(0.7) else ():
        fruit = dice.pick(((214, 60, 50), (240, 160, 50), (150, 180, 70), (236, 210, 80)))
        pen.ellipse(-0.45 + 0.3 * k, 0.75, 0.25, 0.28, dice.jitter(fruit, 14), "bowl", None, "foliage")
    pen.polygon(
        [(-0.85, 0.72), (0.85, 0.72), (0.5, 0.0), (-0.5, 0.0)],
        (dim(colour, 1.12), dim(colour, 0.8)),
        "bowl",
        "body",
        "ceramic",
    )


def plate(pen: Pen, dice: Dice) -> None:
    """A plate lying on a table (a flat bowl)."""
    colour = dice.jitter((246, 244, 238), 8)
    pen.ellipse(0, 0.14, 0.95, 0.26, dim(colour, 0.82), "bowl", None, "ceramic")
    pen.ellipse(0, 0.2, 0.9, 0.23, colour, "bowl", None, "ceramic")
    pen.ellipse(
        0,
        0.2,
        0.5,
        0.12,
        dice.jitter(dice.pick(((206, 214, 220), (200, 130, 80), (150, 170, 90))), 8),
        "bowl",
        None,
        "ceramic",
    )


def paper_pile(pen: Pen, dice: Dice) -> None:
    """A pile of books or papers."""
    for k in range(dice.integer(2, 4)):
        x, tone = dice.uniform(-0.1, 0.1), cloth(dice)
        pen.rectangle(x - 0.6, 0.25 * k, x + 0.6, 0.25 * k + 0.2, tone, "book", None, "paper")
        pen.rectangle(x + 0.5, 0.25 * k + 0.04, x + 0.6, 0.25 * k + 0.16, (246, 240, 226), "book", None, "paper")


def blackboard(pen: Pen, dice: Dice) -> None:
    """A blackboard or whiteboard with writing."""
    white = dice.chance(0.4)
    board = (240, 242, 242) if white else dice.pick(((44, 66, 58), (46, 48, 52)))
    pen.rectangle(
        -0.85, 0, 0.85, 1, STEEL_FRAME if white else (150, 108, 66), "blackboard", "frame", "metal" if white else "wood"
    )
    pen.rectangle(-0.8, 0.05, 0.8, 0.95, board, "blackboard", None, "plastic" if white else "stone")
    for k in range(dice.integer(2, 5)):
        inks = ((60, 90, 170), (190, 60, 60), (50, 50, 60)) if white else ((226, 230, 226),)
        ink, x = dice.pick(inks), dice.uniform(-0.7, -0.2)
        pen.rectangle(x, 0.8 - 0.15 * k, x + dice.uniform(0.3, 0.9), 0.835 - 0.15 * k, ink, "blackboard", None, "paper")
    pen.rectangle(-0.7, -0.05, 0.7, 0.02, (176, 140, 100), "blackboard", "frame", "wood")


STEEL_FRAME = (186, 190, 196)
