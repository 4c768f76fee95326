"""The shell of a room: wallpaper, floor boards, tiles, skirting and ceiling, all in perspective."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from unitlens.data.world.canvas import Colour, mix
from unitlens.data.world.dice import Dice

if TYPE_CHECKING:
    from unitlens.data.world.room import Room

WOODS = ((122, 78, 44), (160, 108, 62), (196, 150, 96), (92, 56, 36), (214, 178, 128), (140, 70, 44), (176, 134, 92))
PAINTS = ((240, 236, 226), (226, 222, 210), (120, 160, 160), (86, 120, 150), (150, 176, 130), (222, 170, 90),
          (196, 96, 84), (70, 84, 100), (232, 200, 190), (246, 246, 246), (54, 58, 64))  # fmt: skip
FABRICS = ((176, 62, 58), (58, 96, 150), (70, 130, 96), (220, 164, 62), (150, 88, 150), (222, 128, 100), (60, 66, 84),
           (232, 222, 204), (120, 150, 184), (140, 116, 92), (206, 120, 150), (44, 120, 128), (150, 160, 84),
           (150, 150, 152), (246, 240, 232))  # fmt: skip
WALLS = ((244, 232, 208), (206, 222, 228), (212, 224, 200), (240, 212, 200), (226, 214, 236), (236, 226, 170),
         (160, 188, 190), (196, 170, 150), (150, 164, 186), (232, 232, 228), (178, 96, 84), (92, 124, 116),
         (232, 184, 130), (120, 134, 160), (214, 200, 176), (240, 240, 236))  # fmt: skip
WALL_MATERIALS = {"plain": "plaster", "stripes": "paper", "motif": "paper", "panel": "plaster", "bricks": "brick",
                  "wood": "wood", "tiles": "tile", "half tiles": "tile"}  # fmt: skip
DEPTH = 4.5  # metres from the eye to the back wall


def dim(colour: Colour, share: float) -> tuple[float, float, float]:
    """The colour, lighter (share > 1) or darker (share < 1)."""
    r, g, b = (min(255.0, c * share) for c in colour)
    return r, g, b


def paint_shell(room: Room) -> None:
    """Paints the back wall, the side walls, the floor and the ceiling."""
    pen, left, right = room.pen, room.left, room.right
    colour, material = room.colour, WALL_MATERIALS[room.wall_kind]
    texture = {"bricks": "brick", "wood": "boards"}.get(room.wall_kind)
    if room.wall_kind == "wood":
        colour = room.colour = room.dice.jitter(room.dice.pick(WOODS), 10)
    if texture:
        box = (max(left, 0.0), max(0.0, room.top), min(right, 1.0), room.foot)
        pen.rectangle(*box, colour, "wall", None, material, texture=texture)
    else:
        pen.rectangle(left, room.top, right, room.foot, (dim(colour, 1.03), dim(colour, 0.94)), "wall", None, material)
        _wallpaper(room, material)
    _floor(room)
    white = room.dice.jitter((244, 240, 232), 8)
    _ceiling(room, white)
    for edge, way in ((left, 0.72), (right, 0.84)):
        if 0 < edge < 1:
            far = [(edge, room.top), (edge, room.foot)]
            near = [room._ray(edge, room.foot, 6.0), room._ray(edge, room.top, 6.0)]
            pen.polygon(far + near, dim(colour, way), "wall", None, material)
            low = [(edge, room.foot - 0.1 * room.unit), (edge, room.foot)]
            skirting = [room._ray(*low[1], 6.0), room._ray(*low[0], 6.0)]
            pen.polygon(low + skirting, dim(white, way), "wall", None, "wood")
    pen.rectangle(left, room.foot - 0.10 * room.unit, right, room.foot, white, "wall", None, "wood")
    pen.rectangle(left, room.foot - 0.015 * room.unit, right, room.foot, dim(white, 0.7), "wall", None, "wood")
    room.canvas.shade(
        [(left, room.top), (right, room.top), (right, room.top + 0.05), (left, room.top + 0.05)], 0.16, 0.03
    )


def _wallpaper(room: Room, material: str) -> None:
    dice, pen, unit, colour = room.dice, room.pen, room.unit, room.colour
    left, right = max(room.left, 0.0), min(room.right, 1.0)
    kind = room.wall_kind
    tone = dim(colour, dice.pick((0.86, 0.9, 1.1))) if dice.chance(0.6) else mix(colour, dice.pick(FABRICS), 0.35)
    step = dice.uniform(0.13, 0.34) * unit
    if kind == "stripes":
        x = left
        while x < right:
            end, share = min(right, x + step * 0.5), 0.92
            pen.rectangle(x, room.top, end, room.foot, (tone, dim(tone, share)), "wall", None, material)
            x += step
    elif kind == "motif":
        _motifs(room, tone, max(step * 1.2, 0.05), (left, right), material)
    elif kind == "panel":
        low = room.foot - dice.uniform(0.8, 1.2) * unit
        tone = dice.jitter(dice.pick(PAINTS + WOODS), 8)
        pen.rectangle(left, low, right, room.foot, tone, "wall", None, "wood")
        pen.rectangle(left, low - 0.01, right, low + 0.006, dim(tone, 1.15), "wall", None, "wood")
        x = left
        while x < right:
            pen.rectangle(x, low + 0.01, x + 0.004, room.foot, dim(tone, 0.78), "wall", None, "wood")
            x += step * 0.9
    elif kind in ("tiles", "half tiles"):
        low = room.top if kind == "tiles" else room.foot - dice.uniform(1.3, 1.7) * unit
        tone = dice.jitter(dice.pick(((236, 240, 240), (190, 220, 222), (200, 214, 232), (228, 222, 206), (170, 200,
            180),
                                      (232, 208, 210))), 10)  # fmt: skip
        pen.rectangle(left, low, right, room.foot, (dim(tone, 1.03), dim(tone, 0.93)), "wall", None, "tile")
        size = dice.uniform(0.16, 0.30) * unit
        x, y = left + size * dice.uniform(), low
        while x < right:
            pen.rectangle(x, low, x + 0.004, room.foot, dim(tone, 0.84), "wall", None, "tile")
            x += size
        while y < room.foot:
            pen.rectangle(left, y, right, y + 0.004, dim(tone, 0.84), "wall", None, "tile")
            y += size
        if kind == "half tiles":
            band = dice.jitter(dice.pick(FABRICS), 10)
            pen.rectangle(left, low, right, low + size * 0.4, band, "wall", None, "tile")


def _motifs(room: Room, tone: Colour, step: float, span: tuple[float, float], material: str) -> None:
    size, dice = step * dice_share(room.dice), room.dice
    shape = dice.pick((((0, -1), (0.6, 0), (0, 1), (-0.6, 0)), ((-0.7, 0.5), (0.7, 0.5), (0, -0.8)),
                       ((0, -0.7), (0.7, 0), (0, 0.7), (-0.7, 0)), ((-0.2, -1), (0.2, -1), (0.2, 1), (-0.2,
                       1))))  # fmt: skip
    row, y = 0, max(0.0, room.top) + step * 0.5
    while y < room.foot - 0.02:
        x = span[0] + step * (0.25 + 0.5 * (row % 2))
        while x < span[1] - size * 0.5:
            pts = [(x + size * a, y + size * b) for a, b in shape]
            room.pen.polygon(pts, tone, "wall", None, material)
            x += step
        row, y = row + 1, y + step * 0.7


def dice_share(dice: Dice) -> float:
    """How much of its cell a motif of the wallpaper fills."""
    return dice.uniform(0.18, 0.32)


def _ceiling(room: Room, colour: Colour) -> None:
    if room.top > 0.0:
        tone = dim(colour, 0.93)
        room.pen.rectangle(0, 0, 1, room.top, (dim(tone, 0.9), tone), "ceiling", None, "plaster")
        room.pen.rectangle(
            room.left, room.top - 0.006, room.right, room.top + 0.010, dim(colour, 1.02), "wall", None, "plaster"
        )


def _floor(room: Room) -> None:
    kind, dice = room.floor_kind, room.dice
    if kind in ("planks", "boards"):
        (_planks if kind == "planks" else _boards)(room, dice.jitter(dice.pick(WOODS), 12))
    elif kind == "carpet":
        colour = dice.jitter(mix(dice.pick(FABRICS), (200, 190, 176), 0.4), 8)
        room.pen.rectangle(
            0, room.foot, 1, 1, colour, "floor", None, "fabric", texture=dice.pick(("weave", "grain", "grain"))
        )
    else:
        light = dice.jitter(
            dice.pick(((232, 226, 214), (206, 210, 212), (222, 196, 166), (190, 120, 90), (240, 240, 238))), 8
        )
        dark = dice.pick(((70, 74, 82), (150, 70, 60), (90, 120, 130), (130, 110, 90))) if kind == "checker" else None
        _tiles(room, light, dark)


def _planks(room: Room, colour: Colour) -> None:
    """Boards that run from the viewer to the wall."""
    wide, stop = room.dice.uniform(0.16, 0.30) * room.unit, (1.02 - room.eye) / (room.foot - room.eye)
    room.pen.rectangle(0, room.foot, 1, 1, colour, "floor", None, "wood")
    x = -0.02
    while x < 1.02:
        tone = room.dice.jitter(dim(colour, room.dice.uniform(0.90, 1.08)), 3)
        quad = [(x, room.foot), (x + wide - 0.002, room.foot), room._ray(x + wide - 0.002, room.foot, stop),
                room._ray(x, room.foot, stop)]  # fmt: skip
        room.pen.polygon(quad, (dim(tone, 0.88), dim(tone, 1.06)), "floor", None, "wood")
        seam = [(x, room.foot), room._ray(x, room.foot, stop), room._ray(x + 0.0028, room.foot, stop)]
        room.pen.polygon(seam, dim(colour, 0.66), "floor", None, "wood")
        x += wide


def _rows(room: Room, step: float) -> list[float]:
    """The rows of the picture that lie every `step` metres on the floor, from the wall to the viewer."""
    rows, depth = [room.foot], step
    while rows[-1] < 1.0 and depth < DEPTH - 0.2:
        rows.append(room.eye + (room.foot - room.eye) * DEPTH / (DEPTH - depth))
        depth += step
    rows[-1] = max(rows[-1], 1.0)
    return rows


def _boards(room: Room, colour: Colour) -> None:
    """Boards that run across, with staggered ends."""
    rows = _rows(room, room.dice.uniform(0.14, 0.26))
    for near, far in zip(rows[1:], rows[:-1], strict=True):
        cuts = sorted([-0.05, 1.05] + [room.dice.uniform() for _ in range(2)])
        for a, b in pairwise(cuts):
            tone = dim(colour, room.dice.uniform(0.88, 1.08))
            room.pen.rectangle(a, far, b, near, dim(colour, 0.66), "floor", None, "wood")
            room.pen.rectangle(a + 0.003, far + 0.003, b, near, tone, "floor", None, "wood")


def _tiles(room: Room, light: Colour, dark: Colour | None) -> None:
    step = room.dice.uniform(0.35, 0.6)
    rows, wide = _rows(room, step), step * room.unit
    room.pen.rectangle(0, room.foot, 1, 1, dim(light, 0.76), "floor", None, "tile")
    count = int(max(room.vanish, 1 - room.vanish) / wide) + 1
    for k, (near, far) in enumerate(zip(rows[1:], rows[:-1], strict=True)):
        a, b = ((y - room.eye) / (room.foot - room.eye) for y in (far + 0.003, near))
        for n in range(-count, count + 1):
            tone = dark if dark and (n + k) % 2 else dim(light, 0.95 + 0.03 * ((n * 7 + k * 3) % 3))
            x0, x1 = room.vanish + n * wide, room.vanish + (n + 1) * wide - 0.004
            quad = [room._ray(x0, room.foot, a), room._ray(x1, room.foot, a), room._ray(x1, room.foot, b),
                    room._ray(x0, room.foot, b)]  # fmt: skip
            room.pen.polygon(quad, tone, "floor", None, "tile")
