"""The lie of the land: mountains, hills, water, ground, and whatever winds its way over it."""

from __future__ import annotations

import math

from PIL import Image, ImageOps

from unitlens.data.world.atmosphere import Outdoors
from unitlens.data.world.canvas import Colour, Pen, Point, mix

# kind -> (object, material, texture, colours)
GROUNDS: dict[str, tuple[str, str, str, tuple[Colour, ...]]] = {
    "grass": (
        "grass",
        "foliage",
        "grass",
        ((104, 158, 66), (126, 172, 78), (86, 146, 72), (148, 178, 88), (112, 164, 96)),
    ),
    "dry grass": ("grass", "foliage", "grass", ((182, 170, 96), (196, 178, 110), (160, 156, 84))),
    "sand": (
        "sand",
        "sand",
        "sand",
        ((236, 212, 158), (228, 200, 148), (242, 224, 182), (222, 190, 132), (240, 216, 190)),
    ),
    "desert": (
        "sand",
        "sand",
        "sand",
        ((226, 178, 112), (214, 150, 96), (236, 202, 140), (222, 164, 120), (204, 138, 92)),
    ),
    "snow": ("snow", "snow", "snow", ((238, 244, 250), (230, 240, 250), (246, 244, 246))),
    "earth": ("earth", "earth", "grain", ((140, 106, 74), (122, 92, 68), (160, 126, 90), (110, 88, 64))),
    "forest floor": ("earth", "earth", "grass", ((112, 92, 60), (98, 90, 56), (130, 98, 62))),
    "field": ("field", "earth", "furrows", ((150, 112, 74), (176, 140, 92), (132, 100, 70))),
    "crop": ("field", "foliage", "furrows", ((150, 176, 76), (214, 184, 92), (120, 160, 80), (226, 200, 110))),
    "pavement": (
        "pavement",
        "stone",
        "floor_tiles",
        ((188, 182, 174), (204, 192, 174), (170, 170, 174), (196, 176, 158)),
    ),
    "cobbles": ("pavement", "stone", "stone", ((172, 164, 154), (188, 172, 150), (156, 154, 158))),
    "road": ("road", "asphalt", "asphalt", ((98, 100, 106), (112, 110, 112), (84, 88, 96))),
    "path": ("path", "earth", "grain", ((206, 182, 140), (190, 162, 122), (214, 198, 168), (178, 150, 112))),
    "lake water": ("lake water", "water", "water", ((92, 152, 178), (110, 166, 178), (80, 134, 168))),
    "river": ("river", "water", "water", ((98, 156, 184), (116, 170, 180), (84, 138, 172))),
}
WATERS: dict[str, tuple[Colour, ...]] = {
    "sea": ((30, 112, 160), (24, 140, 162), (44, 96, 150), (52, 160, 170), (36, 122, 186)),
    "lake water": ((46, 110, 148), (60, 126, 140), (50, 98, 128), (40, 130, 164), (70, 120, 122)),
    "river": ((60, 120, 150), (76, 130, 140), (56, 106, 138)),
}
ROCKY: tuple[Colour, ...] = ((112, 118, 140), (126, 112, 116), (96, 118, 128), (142, 124, 112), (104, 102, 128))
REDDISH: tuple[Colour, ...] = ((186, 116, 82), (198, 142, 96), (170, 106, 92), (206, 160, 120))


def mountains(
    out: Outdoors,
    base: float | None = None,
    *,
    height: float | None = None,
    snowy: bool | None = None,
    red: bool = False,
) -> None:
    """One to three chains of mountains with a lit and a shaded face, far ones hazier."""
    dice = out.dice
    base = out.horizon + 0.01 if base is None else base
    tall = dice.uniform(0.14, 0.34) if height is None else height
    snowy = dice.chance(0.55) if snowy is None else snowy
    colour, chains = dice.jitter(dice.pick(REDDISH if red else ROCKY), 12), dice.integer(1, 3)
    for chain in range(chains):
        near = (chain + 1) / chains
        pen = out.canvas.pen().hazed(out.haze, 0.68 - 0.38 * near)
        top = tall * (1.05 - 0.42 * near) if chains > 1 else tall * 0.8
        x = dice.uniform(-0.3, 0.0)
        while x < 1.15:
            width = top * dice.uniform(1.3, 2.4)
            _peak(out, pen, x + width / 2, base, width, min(base * 0.92, top * dice.uniform(0.6, 1.1)), colour, snowy)
            x += width * dice.uniform(0.45, 0.85)


def _peak(
    out: Outdoors, pen: Pen, x: float, base: float, width: float, height: float, colour: Colour, snowy: bool
) -> None:
    dice = out.dice
    x += width * dice.uniform(-0.12, 0.12)
    jag = width * 0.05
    left = [(x - width * 0.55 * t + dice.uniform(-jag, jag), base - height * (1 - t)) for t in (0.25, 0.5, 0.75)]
    right = [(x + width * 0.55 * t + dice.uniform(-jag, jag), base - height * (1 - t)) for t in (0.25, 0.5, 0.75)]
    spine = [
        (x + width * 0.13 * math.sin(5 * t + 1) * t + dice.uniform(-jag, jag), base - height * (1 - t))
        for t in (0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    peak = (x, base - height)
    light, dark = mix(colour, (255, 240, 220), 0.16), mix(colour, (30, 34, 66), 0.24)
    if out.sun_x > 0.5:
        light, dark = dark, light
    foot = 0.03
    pen.polygon(
        [peak, *left, (x - width * 0.58, base), (x - width * 0.58, base + foot), (x, base + foot), *spine[::-1]],
        (light, mix(light, out.haze, 0.35)) if height > 0.13 else light,
        "mountain",
        material="stone",
    )
    pen.polygon(
        [peak, *right, (x + width * 0.58, base), (x + width * 0.58, base + foot), (x, base + foot), *spine[::-1]],
        (dark, mix(dark, out.haze, 0.35)) if height > 0.13 else dark,
        "mountain",
        material="stone",
    )
    if snowy and height > 0.1:
        reach = dice.uniform(0.30, 0.5)
        white = ((252, 252, 255), (206, 218, 238)) if out.sun_x < 0.5 else ((206, 218, 238), (252, 252, 255))
        for sign, tint in zip((-1, 1), white, strict=True):
            edge = [
                (x + sign * width * 0.55 * reach * s, base - height * (1 - reach * d))
                for s, d in ((0.5, 0.5), (0.98, 0.98), (0.7, 0.8), (0.55, 1.2), (0.3, 0.85), (0.12, 1.15))
            ]
            pen.polygon(
                [peak, *edge, (spine[0][0], base - height * (1 - reach * 0.8))], tint, "mountain", material="snow"
            )


def ridge(out: Outdoors, base: float, swing: float) -> list[Point]:
    """A gently rolling line across the picture around row `base`."""
    dice = out.dice
    waves = [(dice.uniform(1.2, 2.6) * (k + 1), dice.uniform(0, 6.28), 1 / (k + 1)) for k in range(3)]
    return [(x / 24, base - swing * sum(a * math.sin(f * x / 8 + p) for f, p, a in waves) / 1.5) for x in range(-1, 26)]


def hills(
    out: Outdoors, base: float | None = None, *, layers: int | None = None, kind: str | None = None, wooded: float = 0.5
) -> None:
    """Two to four layers of rolling hills, with the dots of far woods on some."""
    dice = out.dice
    base = out.horizon + 0.03 if base is None else base
    count = dice.integer(2, 4) if layers is None else layers
    kind = kind or ("snow" if out.season == "winter" and dice.chance(0.6) else "grass")
    _, material, _, colours = GROUNDS[kind]
    tint = mix(dice.pick(colours), (44, 84, 70), 0.25) if kind == "grass" else mix(dice.pick(colours), out.haze, 0.2)
    if out.season == "autumn" and kind == "grass":
        tint = mix(tint, (178, 130, 66), 0.4)
    for layer in range(count):
        near = (layer + 1) / count
        pen = out.canvas.pen().hazed(out.haze, 0.74 * (1 - near) + 0.16)
        line = ridge(out, base - (1 - near) * dice.uniform(0.05, 0.11) - 0.015, dice.uniform(0.012, 0.04))
        shade = dice.jitter(mix(tint, (34, 60, 60), 0.12 * (layer % 2)), 8)
        pen.polygon(
            [*line, (1.1, base + 0.06), (-0.1, base + 0.06)],
            (mix(shade, (255, 250, 200), 0.12), shade),
            "hill",
            material=material,
        )
        if dice.chance(wooded):
            _woods(out, pen, line, mix(shade if kind == "grass" else (70, 100, 84), (20, 50, 44), 0.4), near)


def _woods(out: Outdoors, pen: Pen, line: list[Point], colour: Colour, near: float) -> None:
    dice = out.dice
    start = dice.integer(0, 16)
    pointed = dice.chance(0.4)
    for x, y in line[start : start + dice.integer(5, 12)]:
        for _ in range(2):
            u, r = x + dice.uniform(-0.02, 0.02), dice.uniform(0.010, 0.020) * (0.5 + 0.5 * near)
            tint = dice.jitter(colour, 9)
            if pointed:
                pen.polygon(
                    [(u, y - r * 2.2), (u - r * 0.7, y + r), (u + r * 0.7, y + r)], tint, "tree", "crown", "foliage"
                )
            else:
                pen.ellipse(u, y - r * 0.2, r, r, tint, "tree", "crown", "foliage")


def water(out: Outdoors, top: float, bottom: float, thing: str = "sea", *, mirror: float = 0.0) -> None:
    """Water between two rows: it takes the colour of the sky far away; `mirror` > 0 reflects what is above it."""
    dice, canvas, pen = out.dice, out.canvas, out.canvas.pen()
    deep = dice.jitter(dice.pick(WATERS[thing]), 12)
    if out.mood in ("grey", "misty", "night"):
        deep = mix(deep, out.zenith, 0.45)
    far = mix(deep, out.low, 0.62 if out.dusk else 0.42)
    pen.rectangle(-0.01, top, 1.01, bottom, (far, deep), thing, material="water", texture="water")
    if mirror > 0:
        _reflect(out, top, bottom, mirror)
    for _ in range(dice.integer(5, 14)):  # ripples that catch the light
        y = top + (bottom - top) * dice.uniform(0.05, 1) ** 1.4
        x, w = dice.uniform(), dice.uniform(0.03, 0.12) * (0.3 + (y - top) / max(0.05, bottom - top))
        pen.polygon(
            [(x - w, y), (x, y - 0.004), (x + w, y), (x, y + 0.003)],
            mix(far, (255, 255, 255), 0.3),
            thing,
            material="water",
        )
    if (out.dusk or out.night) and dice.chance(0.7):
        light = (255, 214, 150) if out.dusk else (210, 224, 255)
        column = [
            (out.sun_x - 0.03, top),
            (out.sun_x + 0.03, top),
            (out.sun_x + 0.08, bottom),
            (out.sun_x - 0.08, bottom),
        ]
        canvas.glow(column, light, 0.4, blur=0.025)


def _reflect(out: Outdoors, top: float, bottom: float, share: float) -> None:
    canvas, side = out.canvas, out.canvas.side
    first, last = round(top * side), round(min(1.0, bottom) * side)
    rows = min(last - first, first)
    if rows < 4:
        return
    strip = ImageOps.flip(canvas.rgb.crop((0, first - rows, side, first)))
    fade = Image.linear_gradient("L").resize((side, rows)).point(lambda v: int((255 - 0.75 * v) * share))
    canvas.rgb.paste(strip, (0, first), fade)


def ground(
    out: Outdoors,
    kind: str,
    top: float,
    bottom: float = 1.0,
    *,
    swing: float = 0.0,
    slope: float = 0.0,
    dapple: bool = True,
) -> None:
    """The ground of a kind (see GROUNDS) from row `top` down: a rolling or sloping edge, soft patches of shade."""
    dice = out.dice
    thing, material, texture, colours = GROUNDS[kind]
    tint = dice.jitter(dice.pick(colours), 9)
    if out.season == "autumn" and kind == "grass":
        tint = mix(tint, (170, 140, 70), 0.35)
    far, near = mix(tint, out.haze, 0.32), mix(tint, (30, 40, 40), 0.07)
    edge = ridge(out, top, swing) if swing > 0 else [(-0.1, top), (1.1, top)]
    edge = [(x, y + slope * (x - 0.5)) for x, y in edge]
    out.canvas.pen().polygon(
        [*edge, (1.1, bottom), (-0.1, bottom)], (far, near), thing, material=material, texture=texture
    )
    if dapple and bottom - top > 0.2:
        top += abs(slope) / 2
        for _ in range(dice.integer(1, 3)):
            y = dice.uniform(top + 0.08, bottom)
            x, w, h = dice.uniform(), dice.uniform(0.15, 0.4), dice.uniform(0.02, 0.05)
            out.canvas.shade(
                [(x + w * math.cos(k / 8 * math.pi), y + h * math.sin(k / 8 * math.pi)) for k in range(16)],
                0.14,
                blur=0.025,
            )
    if kind in ("grass", "dry grass"):
        _tufts(out, top, bottom, tint)


def _tufts(out: Outdoors, top: float, bottom: float, colour: Colour) -> None:
    dice = out.dice
    petals = dice.pick(((250, 240, 130), (250, 250, 250), (226, 110, 120), (180, 140, 220)))
    flowery = out.season in ("spring", "summer") and dice.chance(0.4)
    for _ in range(dice.integer(8, 20)):
        y = dice.uniform(top + 0.05, bottom)
        pen = out.at(dice.uniform(), y, out.size(y, 0.05))
        blades = [(-0.5, 0), (-0.55, 0.7), (-0.2, 0.2), (0.0, 1.0), (0.15, 0.2), (0.5, 0.8), (0.45, 0)]
        pen.polygon(blades, mix(colour, (30, 70, 30), 0.3), "grass", material="foliage")
        if flowery:
            pen.ellipse(0, 1.0, 0.3, 0.3, petals, "flower", "blossom", "foliage")


def strip(
    out: Outdoors, kind: str, top: float, *, bottom: float = 1.0, width: float = 0.4, x: float | None = None
) -> None:
    """A path, road or river that comes winding from row `top` towards the viewer, `width` wide at the lower edge."""
    dice = out.dice
    thing, material, texture, colours = GROUNDS[kind]
    start = dice.uniform(0.25, 0.75) if x is None else x
    end, bend = dice.uniform(0.0, 1.0), dice.uniform(-0.18, 0.18)
    left, right = [], []
    for k in range(13):
        t = k / 12
        centre = start + (end - start) * t**1.5 + bend * math.sin(t**0.7 * 6.28) * t
        half = width / 2 * (0.04 + 0.96 * t**1.3)
        left.append((centre - half, top + (bottom - top) * t))
        right.append((centre + half, top + (bottom - top) * t))
    tint = dice.jitter(dice.pick(colours), 9)
    rim = mix(tint, (60, 50, 30), 0.28)
    pen = out.canvas.pen()
    pen.polygon(
        [(u - 0.012, v) for u, v in left] + [(u + 0.012, v) for u, v in right[::-1]], rim, thing, material=material
    )
    pen.polygon(left + right[::-1], (mix(tint, out.haze, 0.35), tint), thing, material=material, texture=texture)


def pool(out: Outdoors, x: float, y: float, rx: float, ry: float) -> None:
    """A pond with a bank around it."""
    pen, tint = out.canvas.pen(), out.dice.pick(GROUNDS["lake water"][3])
    pen.blob(x, y, rx * 1.06, ry * 1.12, (150, 134, 94), "earth", material="earth", depth=0.06)
    pen.blob(
        x,
        y + 0.004,
        rx,
        ry,
        (mix(tint, out.low, 0.5), tint),
        "lake water",
        material="water",
        texture="water",
        depth=0.06,
    )
    for _ in range(4):
        u, v = x + out.dice.uniform(-0.6, 0.6) * rx, y + out.dice.uniform(-0.6, 0.6) * ry
        pen.ellipse(u, v, rx * 0.16, 0.003, mix(tint, (255, 255, 255), 0.5), "lake water", material="water")
