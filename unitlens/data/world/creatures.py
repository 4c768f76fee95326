"""People and animals."""

from __future__ import annotations

import math

from unitlens.data.world.canvas import Colour, Pen, mix
from unitlens.data.world.dice import Dice

SKINS: tuple[Colour, ...] = (
    (244, 208, 178),
    (226, 178, 140),
    (194, 142, 104),
    (150, 102, 72),
    (108, 74, 56),
    (250, 222, 200),
)
HAIRS: tuple[Colour, ...] = (
    (50, 38, 34),
    (90, 60, 40),
    (146, 98, 56),
    (216, 176, 104),
    (176, 84, 48),
    (190, 190, 190),
    (30, 30, 36),
)
CLOTHES: tuple[Colour, ...] = (
    (206, 62, 58),
    (66, 104, 178),
    (242, 196, 84),
    (92, 150, 96),
    (240, 240, 236),
    (150, 96, 168),
    (236, 142, 92),
    (52, 62, 90),
    (236, 150, 176),
    (90, 176, 186),
    (120, 82, 64),
    (70, 70, 76),
)


def person(pen: Pen, dice: Dice, pose: str | None = None) -> None:
    """A grown-up or a child: standing, walking, waving or sitting (then the seat is at height 0.28)."""
    pose = pose or dice.pick(("stand", "walk", "wave"), (0.5, 0.35, 0.15))
    skin, hair, shirt, trousers = (dice.jitter(dice.pick(c), 8) for c in (SKINS, HAIRS, CLOTHES, CLOTHES))
    long_hair, skirt, hat = dice.chance(0.45), dice.chance(0.35), dice.chance(0.25)
    big = dice.uniform(0.9, 1.25)  # children have bigger heads
    _legs(pen, pose, trousers, skin, skirt)
    dark = mix(shirt, (20, 20, 40), 0.25)
    front = (shirt, dark) if pen.unit > 0.2 else shirt
    drop = -0.18 if pose == "sit" else 0.0
    body = pen.at(0, drop, 1.0)
    swing = 0.10 if pose == "walk" else 0.03
    body.line(
        [(-0.10, 0.76), (-0.15 - swing * 0.5, 0.60), (-0.13 - swing, 0.46)], 0.06, dark, "person", "arm", "fabric"
    )
    body.ellipse(-0.13 - swing, 0.45, 0.032, 0.034, skin, "person", "arm", "skin")
    if skirt:
        body.polygon(
            [(-0.085, 0.80), (0.085, 0.80), (0.10, 0.62), (0.19, 0.30), (-0.19, 0.30), (-0.10, 0.62)],
            front,
            "person",
            "torso",
            "fabric",
        )
    else:
        body.polygon(
            [(-0.12, 0.78), (-0.06, 0.82), (0.06, 0.82), (0.12, 0.78), (0.11, 0.44), (-0.11, 0.44)],
            front,
            "person",
            "torso",
            "fabric",
        )
    hand = (0.24, 0.94) if pose == "wave" else (0.13 + swing, 0.46)
    elbow = (0.22, 0.72) if pose == "wave" else (0.15 + swing * 0.3, 0.60)
    body.line([(0.10, 0.76), elbow, hand], 0.062, mix(shirt, dark, 0.5), "person", "arm", "fabric")
    body.ellipse(*hand, 0.034, 0.036, skin, "person", "arm", "skin")
    _head(body.at(0, 0.90, big), skin, hair, dice.pick(CLOTHES) if hat else None, long_hair)


def _legs(pen: Pen, pose: str, cloth: Colour, skin: Colour, skirt: bool) -> None:
    dark, shoe = mix(cloth, (20, 20, 40), 0.3), (58, 46, 44)
    tint, material = (skin, "skin") if skirt else (cloth, "fabric")
    far = mix(skin, (60, 30, 30), 0.2) if skirt else dark
    if pose == "sit":
        for dx, colour in ((0.02, far), (-0.03, tint)):
            pen.line([(dx, 0.30), (dx + 0.20, 0.29)], 0.10, colour, "person", "legs", material)
            pen.line([(dx + 0.19, 0.32), (dx + 0.20, 0.03)], 0.075, colour, "person", "legs", material)
            pen.ellipse(dx + 0.225, 0.025, 0.055, 0.026, shoe, "person", "legs", "fabric")
        return
    step = 0.13 if pose == "walk" else 0.045
    for sign, colour in ((1, far), (-1, tint)):
        pen.polygon(
            [
                (sign * 0.055 - 0.055, 0.48),
                (sign * 0.055 + 0.055, 0.48),
                (sign * step + 0.036, 0.03),
                (sign * step - 0.036, 0.03),
            ],
            colour,
            "person",
            "legs",
            material,
        )
        pen.ellipse(sign * step + 0.015, 0.02, 0.055, 0.026, shoe, "person", "legs", "fabric")


def _head(pen: Pen, skin: Colour, hair: Colour, hat: Colour | None, long_hair: bool) -> None:
    """A head around (0, 0), about 0.2 high."""
    if long_hair:
        pen.ellipse(0, -0.02, 0.088, 0.115, hair, "person", "head", "fur")
    pen.rectangle(-0.028, -0.12, 0.028, -0.05, mix(skin, (80, 40, 30), 0.2), "person", "head", "skin")
    pen.ellipse(0, 0, 0.074, 0.09, skin, "person", "head", "skin")
    cap = [(0.082 * math.cos(a), 0.02 + 0.082 * math.sin(a)) for a in (k / 10 * math.pi for k in range(11))]
    pen.polygon([*cap, (-0.05, 0.04), (0.0, 0.055)], hair, "person", "head", "fur")
    if pen.unit > 0.2:
        for x in (-0.026, 0.032):
            pen.ellipse(x, -0.005, 0.009, 0.012, (40, 30, 30), "person", "head", "skin")
        pen.line([(-0.02, -0.045), (0.005, -0.052), (0.03, -0.045)], 0.01, (176, 80, 76), "person", "head", "skin")
    if hat is not None:
        pen.ellipse(0, 0.045, 0.125, 0.022, hat, "person", "head", "fabric")
        pen.polygon([(-0.078, 0.045), (-0.065, 0.115), (0.065, 0.115), (0.078, 0.045)], hat, "person", "head", "fabric")


def _four_legs(
    pen: Pen, name: str, places: tuple[float, ...], top: float, width: float, colour: Colour, hoof: Colour
) -> None:
    for k, x in enumerate(places):
        tint = mix(colour, (20, 16, 30), 0.3) if k % 2 else colour
        pen.polygon(
            [(x - width * 0.65, top), (x + width * 0.65, top), (x + width * 0.45, 0), (x - width * 0.45, 0)],
            tint,
            name,
            "legs",
            "fur",
        )
        pen.rectangle(x - width * 0.5, 0, x + width * 0.5, width * 0.5, hoof, name, "legs", "fur")


def cow(pen: Pen, dice: Dice) -> None:
    """A cow in profile, plain or patched, standing or grazing."""
    coat = dice.jitter(dice.pick(((244, 240, 232), (150, 92, 60), (60, 50, 50), (206, 160, 112))), 8)
    spot = (58, 48, 46) if dice.chance(0.6) else (150, 90, 58)
    shade, grazing = mix(coat, (40, 30, 50), 0.25), dice.chance(0.4)
    pen.line([(-0.62, 0.82), (-0.70, 0.60), (-0.68, 0.36)], 0.04, shade, "cow", "tail", "fur")
    _four_legs(pen, "cow", (-0.48, -0.34, 0.30, 0.42), 0.42, 0.13, coat, (60, 50, 46))
    pen.polygon(
        [
            (-0.60, 0.88),
            (-0.2, 0.84),
            (0.36, 0.92),
            (0.54, 0.80),
            (0.50, 0.46),
            (0.30, 0.36),
            (-0.35, 0.34),
            (-0.60, 0.46),
            (-0.66, 0.7),
        ],
        (coat, shade),
        "cow",
        "body",
        "fur",
    )
    pen.ellipse(-0.32, 0.35, 0.10, 0.06, (236, 176, 168), "cow", "body", "skin")
    if dice.chance(0.7):
        for x, y, r in ((-0.38, 0.68, 0.15), (0.05, 0.66, 0.16), (0.34, 0.74, 0.10)):
            pen.blob(x + dice.uniform(-0.06, 0.06), y, r, r * 0.8, spot, "cow", "body", "fur", depth=0.3)
    head = pen.at(0.60, 0.34, 1.0, lean=-0.5) if grazing else pen.at(0.64, 0.86, 1.0)
    _cow_head(head, coat, shade, spot, grazing)


def _cow_head(head: Pen, coat: Colour, shade: Colour, spot: Colour, grazing: bool) -> None:
    """Neck, head, muzzle, eye, ear and horn around the pen's origin."""
    head.polygon(
        [(-0.22, 0.06), (-0.04, 0.10), (0.0, -0.16), (-0.2, -0.34)]
        if not grazing
        else [(-0.26, 0.42), (0.0, 0.34), (0.06, 0), (-0.1, 0)],
        shade,
        "cow",
        "body",
        "fur",
    )
    head.polygon(
        [(-0.12, 0.13), (0.08, 0.14), (0.24, -0.06), (0.20, -0.15), (0.06, -0.14), (-0.08, -0.04)],
        coat,
        "cow",
        "head",
        "fur",
    )
    head.ellipse(0.19, -0.09, 0.075, 0.075, (232, 178, 168), "cow", "head", "skin")
    head.ellipse(0.06, 0.05, 0.02, 0.02, (30, 24, 24), "cow", "head", "fur")
    head.polygon([(-0.10, 0.12), (-0.26, 0.10), (-0.12, 0.03)], spot, "cow", "head", "fur")
    head.polygon([(-0.06, 0.12), (-0.10, 0.28), (0.0, 0.14)], (226, 214, 190), "cow", "head", "fur")


def sheep(pen: Pen, dice: Dice) -> None:
    """A woolly sheep with a dark or a pale face."""
    wool = dice.jitter(dice.pick(((244, 240, 230), (232, 224, 206), (250, 250, 248), (120, 104, 92))), 6)
    face = dice.pick(((62, 54, 54), (220, 200, 176), (96, 80, 72)))
    _four_legs(pen, "sheep", (-0.36, -0.24, 0.22, 0.34), 0.34, 0.10, face, (40, 36, 36))
    shade = mix(wool, (70, 70, 110), 0.3)
    pen.blob(0, 0.55, 0.58, 0.34, (wool, shade), "sheep", "body", "fur", lumps=14, depth=0.10)
    for x, y in ((-0.34, 0.68), (-0.05, 0.76), (0.24, 0.70), (-0.18, 0.55), (0.12, 0.54)):
        pen.blob(x, y, 0.19, 0.14, (mix(wool, (255, 255, 255), 0.5), wool), "sheep", "body", "fur")
    y = dice.pick((0.66, 0.26))
    pen.ellipse(0.58, y, 0.16, 0.15, face, "sheep", "head", "fur")
    pen.ellipse(0.68, y - 0.06, 0.10, 0.10, mix(face, (255, 230, 220), 0.15), "sheep", "head", "fur")
    pen.ellipse(0.44, y + 0.05, 0.10, 0.05, mix(face, (20, 20, 20), 0.3), "sheep", "head", "fur")
    pen.ellipse(0.50, y + 0.14, 0.15, 0.09, wool, "sheep", "head", "fur")


def dog(pen: Pen, dice: Dice) -> None:
    """A dog in profile."""
    coat = dice.jitter(
        dice.pick(((160, 110, 66), (70, 58, 54), (226, 206, 172), (244, 240, 234), (130, 130, 136), (190, 132, 74))), 8
    )
    dark = mix(coat, (30, 20, 30), 0.35)
    pen.line([(-0.48, 0.58), (-0.66, 0.76), (-0.66, 0.92)], 0.09, coat, "dog", "tail", "fur")
    _four_legs(pen, "dog", (-0.40, -0.28, 0.26, 0.38), 0.42, 0.13, coat, dark)
    pen.polygon(
        [
            (-0.52, 0.62),
            (-0.3, 0.68),
            (0.3, 0.68),
            (0.46, 0.78),
            (0.46, 0.40),
            (0.2, 0.32),
            (-0.3, 0.34),
            (-0.50, 0.38),
        ],
        (coat, dark),
        "dog",
        "body",
        "fur",
    )
    pen.ellipse(0.50, 0.84, 0.19, 0.18, coat, "dog", "head", "fur")
    pen.ellipse(0.68, 0.77, 0.16, 0.09, mix(coat, (255, 240, 220), 0.3), "dog", "head", "fur")
    pen.ellipse(0.82, 0.80, 0.045, 0.04, (34, 28, 30), "dog", "head", "fur")
    pen.ellipse(0.56, 0.88, 0.028, 0.03, (24, 20, 20), "dog", "head", "fur")
    pen.polygon([(0.44, 1.0), (0.30, 0.92), (0.34, 0.68), (0.44, 0.78)], dark, "dog", "head", "fur")
    pen.line([(0.38, 0.70), (0.52, 0.64)], 0.06, dice.pick(CLOTHES), "dog", "body", "fabric")


def cat(pen: Pen, dice: Dice) -> None:
    """A cat that sits and looks at you."""
    coat = dice.jitter(dice.pick(((222, 146, 72), (70, 64, 68), (150, 144, 144), (242, 238, 232), (186, 150, 112))), 8)
    dark = mix(coat, (30, 24, 30), 0.3)
    pen.line([(0.26, 0.08), (0.46, 0.10), (0.54, 0.30), (0.48, 0.46)], 0.10, dark, "cat", "tail", "fur")
    pen.polygon(
        [(-0.30, 0), (-0.32, 0.22), (-0.16, 0.58), (0.16, 0.58), (0.32, 0.22), (0.30, 0)],
        (coat, dark),
        "cat",
        "body",
        "fur",
    )
    for x in (-0.1, 0.1):
        pen.ellipse(x, 0.06, 0.09, 0.07, mix(coat, (255, 255, 255), 0.35), "cat", "legs", "fur")
    for sign in (-1, 1):
        pen.polygon([(sign * 0.23, 0.76), (sign * 0.22, 1.02), (sign * 0.05, 0.88)], dark, "cat", "head", "fur")
    pen.ellipse(0, 0.74, 0.25, 0.20, coat, "cat", "head", "fur")
    for sign in (-1, 1):
        pen.ellipse(sign * 0.10, 0.77, 0.04, 0.045, (120, 170, 80), "cat", "head", "fur")
        pen.ellipse(sign * 0.10, 0.77, 0.015, 0.04, (20, 20, 20), "cat", "head", "fur")
    pen.ellipse(0, 0.68, 0.08, 0.055, mix(coat, (255, 255, 255), 0.5), "cat", "head", "fur")
    pen.polygon([(-0.03, 0.71), (0.03, 0.71), (0, 0.675)], (226, 130, 130), "cat", "head", "skin")


def bird(pen: Pen, dice: Dice, flying: bool = True) -> None:
    """A bird on the wing (about (0, 0)) or on its feet."""
    coat = dice.jitter(dice.pick(((244, 244, 244), (70, 74, 88), (120, 96, 76), (206, 90, 70), (90, 140, 200))), 8)
    dark = mix(coat, (30, 34, 60), 0.35)
    if flying:
        lift = dice.uniform(0.2, 0.6)
        pen.polygon(
            [(-0.12, 0.02), (-0.5, lift), (-1.0, lift * 0.55), (-0.5, lift * 0.62), (0.05, -0.1)],
            coat,
            "bird",
            "wing",
            "fur",
        )
        pen.polygon(
            [(-0.05, -0.1), (0.5, lift * 0.62), (1.0, lift * 0.55), (0.5, lift), (0.14, 0.02)],
            dark,
            "bird",
            "wing",
            "fur",
        )
        pen.ellipse(0, -0.03, 0.13, 0.13, coat, "bird", "body", "fur")
        return
    for x in (-0.05, 0.08):
        pen.line([(x, 0), (x, 0.3)], 0.04, (220, 150, 60), "bird", "legs", "skin")
    pen.polygon([(-0.4, 0.55), (-0.75, 0.45), (-0.35, 0.38)], dark, "bird", "tail", "fur")
    pen.ellipse(-0.02, 0.48, 0.42, 0.26, (coat, mix(coat, (255, 255, 255), 0.3)), "bird", "body", "fur")
    pen.ellipse(-0.10, 0.50, 0.28, 0.15, dark, "bird", "wing", "fur")
    pen.ellipse(0.32, 0.76, 0.19, 0.18, coat, "bird", "head", "fur")
    pen.polygon([(0.48, 0.80), (0.70, 0.74), (0.48, 0.70)], (240, 170, 60), "bird", "head", "skin")
    pen.ellipse(0.37, 0.80, 0.035, 0.035, (20, 20, 20), "bird", "head", "fur")


def duck(pen: Pen, dice: Dice) -> None:
    """A duck or a swan that swims: (0, 0) lies on the water line."""
    swan = dice.chance(0.35)
    coat = (
        (250, 250, 248)
        if swan or dice.chance(0.3)
        else dice.jitter(dice.pick(((150, 118, 84), (120, 110, 100), (240, 206, 90))), 8)
    )
    head = coat if swan else dice.pick(((40, 110, 80), coat, coat))
    dark = mix(coat, (60, 60, 90), 0.25)
    pen.polygon(
        [(-0.75, 0.42), (-0.5, 0.1), (-0.3, -0.03), (0.35, -0.03), (0.55, 0.2), (0.4, 0.42), (-0.2, 0.36)],
        (coat, dark),
        "duck",
        "body",
        "fur",
    )
    pen.polygon([(-0.6, 0.38), (0.15, 0.36), (0.1, 0.12), (-0.3, 0.12)], dark, "duck", "wing", "fur")
    y = 0.98 if swan else 0.68
    pen.line([(0.38, 0.28), (0.48, 0.5), (0.42, y)], 0.15, head, "duck", "head", "fur")
    pen.ellipse(0.46, y, 0.17, 0.15, head, "duck", "head", "fur")
    pen.polygon([(0.58, y + 0.05), (0.85, y - 0.04), (0.58, y - 0.08)], (240, 160, 50), "duck", "head", "skin")
    pen.ellipse(0.50, y + 0.05, 0.03, 0.03, (20, 20, 20), "duck", "head", "fur")
