"""Furniture: beds, seats, tables, cupboards, shelves, a fireplace. Drawn on a pen with y up, about 1 high."""

from __future__ import annotations

from unitlens.data.world.canvas import Colour, Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.room import solid
from unitlens.data.world.shell import FABRICS, PAINTS, WOODS, dim

METAL = (176, 178, 184)


def timber(dice: Dice, painted: float = 0.3) -> tuple[float, float, float]:
    """The colour of a wooden thing, bare or painted."""
    return dice.jitter(dice.pick(PAINTS if dice.chance(painted) else WOODS), 10)


def cloth(dice: Dice) -> tuple[float, float, float]:
    """The colour of a fabric."""
    return dice.jitter(dice.pick(FABRICS), 14)


def legs(pen: Pen, xs: tuple[float, ...], y0: float, y1: float, width: float, colour: Colour, thing: str,
         material: str = "wood") -> None:  # fmt: skip
    """Straight legs at the given places."""
    for x in xs:
        pen.rectangle(x - width / 2, y0, x + width / 2, y1, colour, thing, "leg", material)


def bed(pen: Pen, dice: Dice, side_on: bool = False) -> None:
    """A bed: headboard, pillows, blanket; its foot towards us, or seen from the side."""
    (_bed_from_side if side_on else _bed_from_foot)(pen, dice)


def _bed_from_foot(pen: Pen, dice: Dice) -> None:
    wood, blanket, linen = timber(dice), cloth(dice), dice.jitter((246, 242, 236), 8)
    half = dice.pick((0.55, 0.85, 0.95))
    high, lift = dice.uniform(0.95, 1.25), 0.42
    skew = (0.5 - pen.origin[0]) * 0.6 * (1 if pen.right[0] > 0 else -1)
    top = [(-half - 0.05, 0.45), (half + 0.05, 0.45), (half + 0.05, high), (0, high + dice.pick((0, 0, 0.16))),
           (-half - 0.05, high)]  # fmt: skip
    pen.polygon([(x * 0.96 + skew, y) for x, y in top], (dim(wood, 1.06), dim(wood, 0.85)), "bed", "headboard", "wood")
    for x in (-0.6, 0.0, 0.6) if dice.chance(0.5) else ():
        pen.rectangle(x * half + skew - 0.16 * half, 0.6, x * half + skew + 0.16 * half, high - 0.08, dim(wood,
            0.86), "bed",
                      "headboard", "wood")  # fmt: skip
    sheet = [(-half, 0.36), (half, 0.36), (half * 0.93 + skew, 0.36 + lift), (-half * 0.93 + skew, 0.36 + lift)]
    pen.polygon(sheet, linen, "bed", None, "fabric")
    case = linen if dice.chance(0.5) else cloth(dice)
    for x in (-0.45, 0.45) if half > 0.6 else (0.0,):
        wide = half * 0.42 if half > 0.6 else half * 0.7
        pen.ellipse(x * half + skew * 0.85, 0.75, wide, 0.13, dim(case, 0.85), "bed", "pillow", "fabric")
        pen.ellipse(x * half + skew * 0.85, 0.77, wide * 0.95, 0.11, dim(case, 1.05), "bed", "pillow", "fabric")
    way = 1 if skew > 0 else -1
    edge, back = way * half, way * half * 0.93 + skew
    pen.polygon([(edge, 0.08), (edge, 0.36), (back, 0.78), (back, 0.5)], dim(blanket, 0.68), "bed", "blanket", "fabric")
    fold = 0.64
    cut = (fold - 0.36) / lift
    far = [((half * (1 - 0.07 * cut)) + skew * cut, fold), (-(half * (1 - 0.07 * cut)) + skew * cut, fold)]
    pen.polygon([(-half - 0.03, 0.34), (half + 0.03, 0.34), *far], (dim(blanket, 0.98), dim(blanket, 1.12)), "bed",
        "blanket",
                "fabric")  # fmt: skip
    pen.line([far[1], far[0]], 0.05, dim(linen, 0.94), "bed", "blanket", "fabric")
    texture = dice.pick(("folds", "stripes", "weave", None))
    pen.rectangle(
        -half - 0.03, 0.07, half + 0.03, 0.345, dim(blanket, 0.82), "bed", "blanket", "fabric", texture=texture
    )
    legs(pen, (-half + 0.05, half - 0.05), 0.0, 0.08, 0.08, dim(wood, 0.7), "bed")


def _bed_from_side(pen: Pen, dice: Dice) -> None:
    wood, blanket, linen = timber(dice), cloth(dice), dice.jitter((246, 242, 236), 8)
    end = dice.uniform(0.95, 1.15)
    pen.rectangle(-end, 0.24, end, 0.4, dim(wood, 0.9), "bed", "frame", "wood")
    legs(pen, (-end + 0.05, end - 0.05), 0.0, 0.3, 0.1, dim(wood, 0.75), "bed")
    solid(pen, -end + 0.04, 0.34, end, 0.52, 0.26, linen, "bed", None, "fabric")
    pen.ellipse(-end + 0.36, 0.70, 0.28, 0.13, dim(linen, 0.84), "bed", "pillow", "fabric")
    pen.ellipse(-end + 0.36, 0.73, 0.26, 0.11, linen, "bed", "pillow", "fabric")
    skew = 0.5 * (0.5 - pen.origin[0]) * (1 if pen.right[0] > 0 else -1)
    pen.polygon([(-end + 0.7, 0.53), (end + 0.02, 0.53), (end + skew, 0.80), (-end + 0.7 + skew, 0.80)], dim(blanket,
        1.1), "bed",
                "blanket", "fabric")  # fmt: skip
    pen.rectangle(-end + 0.7, 0.22, end + 0.02, 0.535, dim(blanket, 0.86), "bed", "blanket", "fabric",
                  texture=dice.pick(("stripes", "folds", None)))  # fmt: skip
    solid(pen, -end - 0.06, 0.0, -end + 0.05, dice.uniform(0.95, 1.1), 0.14, wood, "bed", "headboard", "wood")
    pen.rectangle(end - 0.02, 0.0, end + 0.07, dice.uniform(0.45, 0.65), wood, "bed", "frame", "wood")


def sofa(pen: Pen, dice: Dice, seats: int | None = None, thing: str = "sofa") -> None:
    """A sofa with back, seat cushions, arms and a few pillows."""
    colour, seats = cloth(dice), seats or dice.pick((2, 2, 3))
    half = 0.42 * seats
    rounded = dice.uniform(0.0, 0.14)
    legs(pen, (-half - 0.1, half + 0.1), 0.0, 0.14, 0.07, dim(timber(dice, 0), 0.7), thing)
    back = [
        (-half, 0.3),
        (half, 0.3),
        (half, 0.98 - rounded),
        (half - 0.12, 1.0),
        (-half + 0.12, 1.0),
        (-half, 0.98 - rounded),
    ]
    pen.polygon(back, (dim(colour, 1.05), dim(colour, 0.82)), thing, "back", "fabric")
    for k in range(seats):
        x = -half + 0.84 * k
        pen.rectangle(
            x + 0.03, 0.52, x + 0.81, 0.92, (dim(colour, 1.12), dim(colour, 0.92)), thing, "cushion", "fabric"
        )
        solid(pen, x + 0.015, 0.28, x + 0.825, 0.46, 0.12, dim(colour, 1.02), thing, "seat", "fabric")
    pen.rectangle(
        -half - 0.02, 0.11, half + 0.02, 0.28, (dim(colour, 0.86), dim(colour, 0.72)), thing, "seat", "fabric"
    )
    for way in (-1, 1):
        x = way * (half + 0.09)
        pen.rectangle(x - 0.13, 0.09, x + 0.13, 0.62, (dim(colour, 1.02), dim(colour, 0.78)), thing, "arm", "fabric")
        pen.ellipse(x, 0.63, 0.15, 0.10, dim(colour, 1.14), thing, "arm", "fabric")
    for _ in range(dice.integer(0, seats)):
        _throw_pillow(pen, dice, dice.uniform(-half + 0.2, half - 0.2), thing)


def _throw_pillow(pen: Pen, dice: Dice, x: float, thing: str) -> None:
    colour, own = cloth(dice), pen.at(x, 0.72, 0.2, lean=dice.uniform(-0.6, 0.6))
    own.polygon([(-1, -0.9), (0, -0.75), (1, -0.9), (0.85, 0), (1, 0.9), (0, 0.75), (-1, 0.9), (-0.85, 0)], colour,
        thing,
                "pillow", "fabric")  # fmt: skip
    if dice.chance(0.5):
        own.rectangle(-0.85, -0.2, 0.85, 0.2, dim(colour, 1.3), thing, "pillow", "fabric")


def armchair(pen: Pen, dice: Dice) -> None:
    """An armchair."""
    sofa(pen, dice, 1, "armchair")


def chair(pen: Pen, dice: Dice, colour: Colour | None = None, view: str | None = None) -> None:
    """A chair from the front, from behind or from the side."""
    colour = colour or timber(dice)
    view = view or dice.pick(("front", "back", "side"))
    dark, seat = dim(colour, 0.72), cloth(dice) if dice.chance(0.4) else dim(colour, 1.12)
    if view == "side":
        legs(pen, (-0.2, 0.22), 0.0, 0.46, 0.06, colour, "chair")
        legs(pen, (-0.1, 0.28), 0.08, 0.46, 0.05, dark, "chair")
        pen.polygon([(-0.26, 0.44), (0.26, 0.44), (0.32, 0.54), (-0.2, 0.54)], seat, "chair", "seat", "wood")
        pen.rectangle(-0.26, 0.41, 0.26, 0.46, dark, "chair", "seat", "wood")
        pen.polygon([(-0.25, 0.44), (-0.17, 0.44), (-0.24, 1.0), (-0.32, 1.0)], colour, "chair", "back", "wood")
        pen.polygon(
            [(-0.17, 0.6), (-0.10, 0.62), (-0.16, 1.03), (-0.24, 1.0)], dim(colour, 0.85), "chair", "back", "wood"
        )
        return
    _chair_back(pen, dice, colour, 0.08 if view == "front" else 0.0, view == "front")
    legs(pen, (-0.19, 0.19), 0.09, 0.46, 0.05, dark, "chair")
    legs(pen, (-0.23, 0.23), 0.0, 0.46, 0.06, colour, "chair")
    pen.polygon([(-0.27, 0.44), (0.27, 0.44), (0.23, 0.56), (-0.23, 0.56)], seat, "chair", "seat", "wood")
    pen.rectangle(-0.27, 0.40, 0.27, 0.45, dim(seat, 0.8), "chair", "seat", "wood")
    if view == "back":
        _chair_back(pen, dice, colour, 0.0, True)


def _chair_back(pen: Pen, dice: Dice, colour: Colour, lift: float, visible: bool) -> None:
    style = dice.pick(("slats", "rungs", "full"))
    if not visible:
        return
    legs(pen, (-0.22, 0.22), 0.44, 0.98 + lift, 0.055, colour, "chair")
    if style == "full":
        pen.rectangle(-0.2, 0.62 + lift, 0.2, 0.98 + lift, dim(colour, 0.95), "chair", "back", "wood")
    bars = [(-0.22, y, 0.22, y + 0.08) for y in (0.66, 0.8)] if style == "rungs" else [(x, 0.5, x + 0.04, 0.95) for x in
                                                                                     (-0.13, -0.02, 0.09)]  # fmt: skip
    for x0, y0, x1, y1 in bars if style != "full" else ():
        pen.rectangle(x0, y0 + lift, x1, y1 + lift, dim(colour, 0.88), "chair", "slat", "wood")
    pen.rectangle(-0.25, 0.90 + lift, 0.25, 1.0 + lift, dim(colour, 1.06), "chair", "back", "wood")


def table(pen: Pen, dice: Dice, wide: float = 1.8, covered: bool = False, round_top: bool = False) -> None:
    """A table; `wide` in heights; perhaps under a cloth."""
    wood, half = timber(dice, 0.2), wide / 2
    if round_top:
        pen.rectangle(-0.07, 0.08, 0.07, 0.9, dim(wood, 0.8), "table", "leg", "wood")
        pen.ellipse(0, 0.07, half * 0.45, 0.07, dim(wood, 0.7), "table", "leg", "wood")
    else:
        legs(pen, (-half * 0.8, half * 0.8), 0.22, 0.9, 0.07, dim(wood, 0.62), "table")
        legs(pen, (-half + 0.08, half - 0.08), 0.0, 0.9, 0.09, dim(wood, 0.9), "table")
    top, material = (cloth(dice), "fabric") if covered else (wood, "wood")
    if round_top:
        pen.ellipse(0, 0.90 if not covered else 0.78, half, 0.2, dim(top, 0.7), "table", "top", material)
        pen.ellipse(0, 0.96, half, 0.2, dim(top, 1.14), "table", "top", material)
        if covered:
            pen.rectangle(-half, 0.78, half, 0.96, dim(top, 0.85), "table", "top", material, texture="folds")
            pen.ellipse(0, 0.96, half, 0.2, dim(top, 1.14), "table", "top", material)
        return
    drop = 0.3 if covered else 0.11
    solid(pen, -half, 0.95 - drop, half, 0.95, 0.24, dim(top, 0.92), "table", "top", material, top=dim(top, 1.15),
          texture="folds" if covered else None)  # fmt: skip


def _drawer(
    pen: Pen, x0: float, y0: float, x1: float, y1: float, colour: Colour, thing: str, part: str = "drawer"
) -> None:
    """A drawer front or small door with its handle."""
    pen.rectangle(x0, y0, x1, y1, dim(colour, 0.78), thing, part, "wood")
    pen.rectangle(x0 + 0.015, y0 + 0.015, x1 - 0.005, y1 - 0.005, dim(colour, 1.06), thing, part, "wood")
    mid = (x0 + x1) / 2
    if part == "drawer":
        pen.rectangle(
            mid - 0.06,
            (y0 + y1) / 2 - 0.02,
            mid + 0.06,
            (y0 + y1) / 2 + 0.02,
            dim(METAL, 0.6),
            thing,
            "handle",
            "metal",
        )
    else:
        pen.rectangle(x1 - 0.07, (y0 + y1) / 2 - 0.07, x1 - 0.035, (y0 + y1) / 2 + 0.07, dim(METAL, 0.6),
            thing, "handle",
                      "metal")  # fmt: skip


def desk(pen: Pen, dice: Dice) -> None:
    """A desk with a block of drawers."""
    wood, half = timber(dice, 0.25), dice.uniform(0.85, 1.05)
    pen.rectangle(-half + 0.06, 0.35, half - 0.05, 0.9, dim(wood, 0.6), "desk", "back", "wood")
    legs(pen, (-half + 0.07,), 0.0, 0.92, 0.09, dim(wood, 0.9), "desk")
    block = half - dice.uniform(0.5, 0.62)
    pen.rectangle(block, 0.04, half - 0.03, 0.92, wood, "desk", None, "wood")
    for k in range(3):
        _drawer(pen, block + 0.03, 0.08 + 0.275 * k, half - 0.06, 0.33 + 0.275 * k, wood, "desk")
    solid(pen, -half, 0.88, half, 0.96, 0.24, wood, "desk", "top", "wood")


def cabinet(pen: Pen, dice: Dice, wide: float = 0.7, colour: Colour | None = None, top: Colour | None = None) -> None:
    """A low cupboard: a kitchen unit or a sideboard. `wide` in heights."""
    colour, half = colour or timber(dice, 0.5), wide / 2
    solid(
        pen, -half, 0.0, half, 0.92, 0.16, colour, "cabinet", None, "wood", top=top or dim(colour, 1.15), top_part="top"
    )
    pen.rectangle(-half, 0.0, half, 0.07, dim(colour, 0.5), "cabinet", None, "wood")
    pen.rectangle(
        -half - 0.01, 0.90, half + 0.01, 0.95, top or dim(colour, 0.85), "cabinet", "top", "stone" if top else "wood"
    )
    doors = max(1, round(wide / 0.5))
    drawers = dice.chance(0.6)
    for k in range(doors):
        x0, x1 = -half + wide * k / doors + 0.02, -half + wide * (k + 1) / doors - 0.02
        _drawer(pen, x0, 0.10, x1, 0.66 if drawers else 0.87, colour, "cabinet", "door")
        if drawers:
            _drawer(pen, x0, 0.69, x1, 0.87, colour, "cabinet")


def wall_cabinet(pen: Pen, dice: Dice, wide: float = 1.6, colour: Colour | None = None) -> None:
    """A cupboard on the wall."""
    colour, half = colour or timber(dice, 0.5), wide / 2
    pen.rectangle(-half, 0, half, 1, (dim(colour, 1.05), colour), "cabinet", None, "wood")
    doors = max(1, round(wide / 0.65))
    for k in range(doors):
        x0, x1 = -half + wide * k / doors + 0.02, -half + wide * (k + 1) / doors - 0.02
        _drawer(pen, x0, 0.04, x1, 0.95, colour, "cabinet", "door")
    pen.rectangle(-half, -0.05, half, 0.0, dim(colour, 0.6), "cabinet", None, "wood")


def chest_of_drawers(pen: Pen, dice: Dice) -> None:
    """A chest of drawers."""
    wood, half, rows = timber(dice, 0.4), dice.uniform(0.45, 0.62), dice.integer(3, 4)
    legs(pen, (-half + 0.06, half - 0.06), 0.0, 0.1, 0.08, dim(wood, 0.6), "chest of drawers")
    solid(pen, -half, 0.07, half, 0.93, 0.13, wood, "chest of drawers", None, "wood", top_part="top")
    for k in range(rows):
        y0, y1 = 0.10 + 0.81 * k / rows, 0.10 + 0.81 * (k + 1) / rows - 0.02
        for x0, x1 in ((-half + 0.04, half - 0.04),) if k < rows - 1 else ((-half + 0.04, -0.01), (0.01, half - 0.04)):
            _drawer(pen, x0, y0, x1, y1, wood, "chest of drawers")


def wardrobe(pen: Pen, dice: Dice) -> None:
    """A tall wardrobe with two doors, one perhaps a mirror."""
    wood, half = timber(dice, 0.35), dice.uniform(0.25, 0.34)
    solid(pen, -half, 0.02, half, 0.97, 0.03, wood, "wardrobe", None, "wood")
    pen.rectangle(-half - 0.02, 0.95, half + 0.02, 1.0, dim(wood, 1.12), "wardrobe", "top", "wood")
    glass = dice.chance(0.2)
    for x0, x1, knob in ((-half + 0.02, -0.004, -0.03), (0.004, half - 0.02, 0.03)):
        pen.rectangle(x0, 0.14, x1, 0.93, dim(wood, 0.7), "wardrobe", "door", "wood")
        pen.rectangle(x0 + 0.006, 0.145, x1, 0.925, (dim(wood, 1.1), dim(wood, 0.98)), "wardrobe", "door", "wood")
        for y0, y1 in ((0.2, 0.5), (0.56, 0.88)):
            pen.rectangle(x0 + 0.045, y0, x1 - 0.045, y1, dim(wood, 0.86), "wardrobe", "door", "wood")
        if glass and knob > 0:
            pen.rectangle(x0 + 0.03, 0.2, x1 - 0.03, 0.88, ((214, 226, 232), (168, 186, 198)), "mirror", None, "glass")
        pen.rectangle(knob - 0.008, 0.47, knob + 0.008, 0.54, dim(METAL, 0.7), "wardrobe", "handle", "metal")
    pen.rectangle(-half + 0.02, 0.05, half - 0.02, 0.12, dim(wood, 0.9), "wardrobe", "drawer", "wood")


def books(pen: Pen, dice: Dice, x0: float, x1: float, y: float, high: float, wide: float = 0.04) -> None:
    """A row of books standing on y from x0 to x1."""
    x = x0
    while x < x1 - wide * 0.5:
        w, h = wide * dice.uniform(0.7, 1.5), high * dice.uniform(0.7, 1.0)
        if dice.chance(0.88):
            colour = dice.jitter(dice.pick(FABRICS), 24)
            pen.rectangle(x, y, min(x + w, x1), y + h, colour, "book", None, "paper")
            pen.rectangle(
                x, y + h * 0.7, min(x + w, x1), y + h * 0.8, mix(colour, (250, 230, 170), 0.5), "book", None, "paper"
            )
        x += w + 0.004


def shelf(pen: Pen, dice: Dice) -> None:
    """A tall shelf full of books, boxes and pots."""
    wood, half, rows = timber(dice, 0.35), dice.uniform(0.22, 0.36), dice.integer(4, 5)
    pen.rectangle(-half, 0, half, 1, wood, "shelf", "frame", "wood")
    for k in range(rows):
        y0, y1 = 0.03 + 0.95 * k / rows, 0.03 + 0.95 * (k + 1) / rows - 0.025
        pen.rectangle(-half + 0.02, y0, half - 0.02, y1, dim(wood, 0.5), "shelf", "back", "wood")
        stop = half - 0.02 if dice.chance(0.6) else dice.uniform(-half * 0.4, half * 0.7)
        books(pen, dice, -half + 0.025, stop, y0, (y1 - y0) * 0.9)
        if stop < half - 0.12:
            pot, mid = cloth(dice), (stop + half) / 2
            pen.ellipse(mid, y0 + 0.045, 0.05, 0.045, pot, "vase", None, "ceramic")
            pen.rectangle(mid - 0.02, y0 + 0.07, mid + 0.02, y0 + 0.11, dim(pot, 0.85), "vase", None, "ceramic")


def wall_shelf(pen: Pen, dice: Dice, wide: float = 3.0) -> None:
    """A board on the wall with books."""
    wood = timber(dice, 0.3)
    books(pen, dice, -wide / 2 + 0.1, wide / 2 * dice.uniform(0.3, 0.9), 0.1, 0.85, 0.16)
    pen.rectangle(-wide / 2, 0.0, wide / 2, 0.12, wood, "shelf", "top", "wood")
    for x in (-wide * 0.4, wide * 0.4):
        pen.polygon([(x - 0.04, 0), (x + 0.04, 0), (x, -0.25)], dim(wood, 0.7), "shelf", "frame", "wood")


def fireplace(pen: Pen, dice: Dice, lit: bool = True) -> None:
    """A fireplace with mantelpiece and, perhaps, a fire."""
    brick = dice.chance(0.5)
    stone = dice.jitter((170, 92, 72) if brick else dice.pick(((214, 208, 198), (150, 146, 142), (236, 230, 220))), 12)
    material = "brick" if brick else "stone"
    pen.rectangle(-0.68, 0.0, 0.68, 0.9, stone, "fireplace", None, material, texture="brick" if brick else "stone")
    pen.polygon([(-0.4, 0.04), (0.4, 0.04), (0.4, 0.5), (0.25, 0.64), (-0.25, 0.64), (-0.4, 0.5)], (36, 30, 30),
        "fireplace", "arch",
                material)  # fmt: skip
    pen.rectangle(-0.3, 0.05, 0.3, 0.13, (84, 56, 38), "fireplace", None, "wood")
    if lit:
        for x, h, colour in ((-0.14, 0.3, (226, 92, 30)), (0.12, 0.34, (232, 104, 34)), (0.0, 0.42, (240, 140, 44)),
            (0.0, 0.24,
                                                                                               (255, 226,
                                                                                               120))):  # fmt: skip
            pen.polygon([(x - 0.13, 0.1), (x + 0.13, 0.1), (x + 0.08, 0.1 + h * 0.5), (x + 0.02, 0.1 + h), (x - 0.09,
                0.1 + h * 0.5)],
                        colour, "fireplace", None, None)  # fmt: skip
    solid(pen, -0.8, 0.88, 0.8, 0.97, 0.06, timber(dice, 0.4), "fireplace", "top", "wood")
    solid(pen, -0.75, -0.03, 0.75, 0.03, 0.04, dim(stone, 0.85), "fireplace", None, "stone")
