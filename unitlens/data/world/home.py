"""Scenes at home: bedroom, kitchen, living room, dining room, bathroom, office."""

from __future__ import annotations

from collections.abc import Callable

from unitlens.data.world import appliances as ap
from unitlens.data.world import creatures as cr
from unitlens.data.world import decor as de
from unitlens.data.world import furniture as fu
from unitlens.data.world.canvas import Canvas
from unitlens.data.world.dice import Dice
from unitlens.data.world.room import Room

# Standing against the back wall: how it is drawn, width and height in metres, how far its front is from the wall.
LEANING: dict[str, tuple[Callable, float, float, float]] = {
    "wardrobe": (fu.wardrobe, 1.35, 2.1, 0.12), "chest": (fu.chest_of_drawers, 1.15, 0.95, 0.14),
    "shelf": (fu.shelf, 1.25, 1.95, 0.05), "fireplace": (fu.fireplace, 1.9, 1.2, 0.06),
    "door": (de.door, 1.1, 2.05, 0.0), "sideboard": (lambda pen, dice: fu.cabinet(pen, dice, 1.9), 1.65, 0.85, 0.14),
    "fridge": (ap.refrigerator, 0.85, 1.8, 0.12), "oven": (ap.oven, 0.85, 0.95, 0.14),
    "armchair": (fu.armchair, 1.15, 0.95, 0.3), "sofa": (fu.sofa, 2.2, 0.95, 0.3), "chair": (fu.chair, 0.6, 0.95, 0.25),
    "bathtub": (ap.bathtub, 1.95, 0.68, 0.3), "toilet": (ap.toilet, 0.75, 1.0, 0.2),
    "washbasin": (ap.washbasin, 0.95, 1.0, 0.18), "big plant": (de.plant, 0.75, 1.25, 0.2),
    "desk": (fu.desk, 1.6, 0.8, 0.2), "cabinet": (lambda pen, dice: fu.cabinet(pen, dice, 0.7), 0.65, 0.9, 0.12),
    "bed": (fu.bed, 1.95, 1.05, 0.5), "bed side": (lambda pen, dice: fu.bed(pen, dice, True), 2.25, 0.95, 0.34),
}  # fmt: skip
# Hanging on the back wall: drawn by, width, height, lower edge.
HANGING: dict[str, tuple[Callable, float, float, float]] = {
    "picture": (de.picture, 0.7, 0.58, 1.4), "mirror": (de.mirror, 0.75, 0.85, 1.15),
    "clock": (de.clock, 0.42, 0.42, 1.75), "towel": (ap.towel, 0.6, 0.7, 0.85),
    "blackboard": (de.blackboard, 1.8, 1.0, 1.05), "wall shelf": (fu.wall_shelf, 1.0, 0.32, 1.45),
    "wall cabinet": (fu.wall_cabinet, 1.1, 0.68, 1.45), "big picture": (de.picture, 1.15, 0.9, 1.25),
    "wall television": (lambda pen, dice: ap.television(pen, dice, None, True), 1.35, 0.8, 1.15),
}  # fmt: skip
# Anywhere on the floor: drawn by, height, width of its shadow.
STANDING: dict[str, tuple[Callable, float, float]] = {
    "plant": (de.plant, 0.95, 0.4), "person": (cr.person, 1.65, 0.5), "cat": (cr.cat, 0.42, 0.4),
    "dog": (cr.dog, 0.6, 0.7), "free chair": (fu.chair, 0.95, 0.55), "free armchair": (fu.armchair, 0.95, 1.1),
    "round table": (lambda pen, dice: fu.table(pen, dice, 1.5, dice.chance(0.4), True), 0.72, 0.8),
    "pile": (de.paper_pile, 0.3, 0.4), "free sofa": (fu.sofa, 0.95, 2.0), "free bed": (fu.bed, 1.05, 1.8),
}  # fmt: skip
# What may stand on furniture: drawn by, height.
SMALL: dict[str, tuple[Callable, float]] = {
    "vase": (de.vase, 0.5), "bowl": (de.bowl, 0.2), "plate": (de.plate, 0.17), "books": (de.paper_pile, 0.22),
    "small plant": (de.plant, 0.5), "television": (ap.television, 0.72), "computer": (ap.computer, 0.6),
    "lamp": (de.table_lamp, 0.7),
}  # fmt: skip
VIEW = {"bright": "day", "soft": "soft", "cold": "cold", "evening": "evening", "night": "night"}


def lay_out(room: Room, x: float, y: float, high: float, wide: float, names: tuple[str, ...]) -> None:
    """Puts small things side by side on a piece of furniture standing at (x, y)."""
    metre = room.scale(y)
    for k, name in enumerate(names):
        place = x + ((k + 0.5) / len(names) - 0.5) * wide * 0.85 * metre
        draw, height = SMALL[name]
        if name == "lamp":
            room.lay(draw, place, y, high, height, room.dark)
            room.lamp_glow(place, y - (high + 0.4) * metre, 1.0 * metre, 0.5)
        else:
            room.lay(draw, place, y, high, height)


def some(dice: Dice, names: tuple[str, ...], least: int, most: int) -> tuple[str, ...]:
    """A few of the names, in any order."""
    return tuple(dice.shuffled(names)[: dice.integer(least, most)])


def put(room: Room, name: str) -> tuple[float, float] | None:
    """Puts one thing of the tables, or a whole group, into the room."""
    if name in GROUPS:
        GROUPS[name](room)
    elif name in LEANING:
        draw, width, height, depth = LEANING[name]
        return room.lean(draw, width, height, depth=depth)
    elif name in HANGING:
        room.hang(*HANGING[name])
    else:
        draw, height, shade = STANDING[name]
        room.stand(draw, *room.spot(), height * room.dice.uniform(0.9, 1.1), shade=shade, flip=room.dice.chance(0.5))
    return None


def windows(room: Room) -> None:
    """A window or two."""
    for _ in range(room.dice.pick((1, 1, 2))):
        half, high = room.dice.pick((0.36, 0.45, 0.6)), room.dice.uniform(1.1, 1.45)
        width = (half * 2 + 0.5) * high
        x = room.hang(de.window, width, high, room.dice.uniform(0.85, 1.1), VIEW[room.light], half)
        if x is not None:
            room.sunny.append((x, half * 1.6 * high * room.unit))


def small_window(room: Room) -> None:
    """A little window high in the wall."""
    x = room.hang(de.window, 0.95, 0.7, 1.45, VIEW[room.light], 0.4)
    if x is not None:
        room.sunny.append((x, 0.5 * room.unit))


def rug(room: Room) -> None:
    """A rug on the open floor."""
    y = room.foot + (1 - room.foot) * room.dice.uniform(0.65, 1.05)
    pen = room.canvas.at(room.dice.uniform(0.25, 0.75), y, (y - room.foot) * room.dice.uniform(0.5, 0.85))
    room.queue.append((0.0, 0, lambda: de.rug(pen, room.dice)))


def floor_lamp(room: Room) -> None:
    """A standard lamp against the wall."""
    place = room.lean(de.floor_lamp, 0.55, 1.65, room.dark, depth=0.15)
    if place:
        room.lamp_glow(place[0], place[1] - 1.45 * room.scale(place[1]), 1.5 * room.unit, 0.55)


def ceiling_lamp(room: Room, x: float | None = None) -> None:
    """A lamp over the middle of the room."""
    x, size = x if x is not None else room.dice.uniform(0.3, 0.7), room.dice.uniform(0.42, 0.66) * room.unit
    y = max(room.top, 0.0) + room.dice.uniform(0.10, 0.20)
    pen = room.canvas.at(x, y, size)
    room.queue.append((room.foot + 0.02, len(room.queue), lambda: de.ceiling_lamp(pen, room.dice, room.dark, y / size)))
    room.lamp_glow(x, y, 1.3 * room.unit, 0.55)


def topped(room: Room, name: str, high: float, names: tuple[str, ...], most: int = 2) -> None:
    """A piece of furniture against the wall with some small things on it."""
    place = put(room, name)
    if place:
        lay_out(room, *place, high, LEANING[name][1], some(room.dice, names, 1, most))


def bed_set(room: Room) -> None:
    """A bed with a bedside table and lamp, nearly always; sometimes cut off by the picture's edge."""
    dice = room.dice
    place = put(room, dice.pick(("bed", "bed", "bed side"))) if dice.chance(0.82) else None
    if place is None:
        x, y = dice.pick((-0.02, 1.02)) + dice.uniform(-0.05, 0.05), dice.uniform(0.88, 1.1)
        return room.stand(dice.pick((fu.bed, LEANING["bed side"][0])), x, y, 1.05, shade=1.8)
    if dice.chance(0.7):
        side = dice.pick((-1, 1)) * 1.35 * room.unit
        table = room.lean(LEANING["chest"][0], 0.75, 0.62, depth=0.16, near=place[0] + side)
        if table:
            lay_out(room, *table, 0.62, 0.7, (dice.pick(("lamp", "lamp", "vase", "books")),))
    return None


def television_set(room: Room) -> None:
    """A television on a low cupboard."""
    place = put(room, "sideboard")
    if place:
        lay_out(room, place[0], place[1] - 0.01, 0.84, 1.6, ("television",))


def sitting(room: Room) -> None:
    """A sofa, perhaps with a low table before it."""
    dice = room.dice
    if dice.chance(0.75):
        place = put(room, "sofa")
    else:
        place = (dice.uniform(0.15, 0.85), room.foot + (1 - room.foot) * dice.uniform(0.35, 0.8))
        room.stand(fu.sofa, *place, 0.95, shade=2.2)
    if place and dice.chance(0.6):
        x, y = place[0] + dice.uniform(-0.1, 0.1), min(1.04, place[1] + dice.uniform(0.75, 1.0) * room.unit)
        draw = STANDING["round table"][0] if dice.chance(0.35) else fu.table
        room.stand(draw, x, y, 0.5, shade=0.9)
        lay_out(room, x, y, 0.5, 0.7, some(dice, ("vase", "bowl", "books", "small plant"), 0, 2))


def dining(room: Room, wide: float | None = None) -> None:
    """A laid table in the middle, chairs around it, a lamp above."""
    dice = room.dice
    x, y = dice.uniform(0.3, 0.7), room.foot + (1 - room.foot) * dice.uniform(0.5, 0.85)
    metre, wide = room.scale(y), wide or dice.uniform(1.4, 2.6)
    colour, covered, is_round = fu.timber(dice), dice.chance(0.35), dice.chance(0.25)
    length = wide * 0.76 * metre
    count = max(1, round(wide / 1.0))
    for k in range(count):
        place = x + ((k + 0.5) / count - 0.5) * length
        room.stand(fu.chair, place, y - 0.36 * metre, 1.0, colour, "front", shade=0.5)
    for way in (-1, 1):
        if dice.chance(0.7):
            room.stand(
                fu.chair, x - way * (length / 2 + 0.18 * metre), y - 0.1 * metre, 1.0, colour, "side", flip=way < 0
            )
    room.stand(fu.table, x, y, 0.78, wide, covered, is_round, shade=wide * 0.76)
    lay_out(room, x, y, 0.77, wide * 0.7, some(dice, ("vase", "bowl", "plate", "plate", "plate", "bowl"), 1, 2 + count))
    for k in range(count):
        if dice.chance(0.3):
            place = x + ((k + 0.5) / count - 0.5) * length
            room.stand(fu.chair, place, y + 0.22 * metre, 1.0, colour, "back", shade=0.5)
    if dice.chance(0.6):
        ceiling_lamp(room, x + dice.uniform(-0.04, 0.04))


def counter(room: Room, units: int | None = None) -> None:
    """A row of kitchen units with sink and cooker, and what hangs above it."""
    dice, paint, top = room.dice, fu.timber(room.dice, 0.75), dice_top(room.dice)
    units = units or dice.integer(4, 7)
    low, high = max(room.left, -0.1), min(room.right, 1.1)
    start = dice.uniform(low, max(low, high - units * 0.7 * room.unit))
    y, wide, taken = room.foot + 0.14 * room.unit, 0.68 * room.unit, tuple(room.foot_taken)
    places = [start + (k + 0.5) * wide for k in range(units)]
    places = [
        x for x in places if x + wide / 2 <= high and all(x + wide * 0.4 <= a or b <= x - wide * 0.4 for a, b in taken)
    ]
    kinds = dice.shuffled((("sink", "oven") if dice.chance(0.8) else ("sink",)) + ("unit",) * (len(places) - 2))
    for x, kind in zip(places, kinds, strict=False):
        room.foot_taken.append((x - wide / 2, x + wide / 2))
        if kind == "oven":
            room.stand(ap.oven, x, y, 0.88, shade=0.7)
            if dice.chance(0.6):
                room.hang(ap.hood, 0.9, 0.75, 1.55, near=x)
            continue
        room.stand(fu.cabinet, x, y, 0.9, 0.757, paint, top, shade=0.7)
        if kind == "sink":
            room.lay(ap.sink_top, x, y, 0.85, 0.34)
        elif dice.chance(0.45):
            lay_out(room, x, y - 0.01, 0.86, 0.5, some(dice, ("vase", "bowl", "small plant", "bowl", "books"), 1, 1))
    if dice.chance(0.4):
        windows(room)
    if dice.chance(0.6):
        for _ in range(dice.integer(1, 2)):
            room.hang(fu.wall_cabinet, 1.1, 0.68, 1.5, 1.6, paint)


def dice_top(dice: Dice) -> tuple[float, float, float]:
    """The colour of a worktop."""
    return dice.jitter(dice.pick(((226, 222, 214), (90, 88, 90), (190, 150, 104), (150, 140, 132), (240, 238, 236))), 8)


def washing(room: Room) -> None:
    """A washbasin with its mirror."""
    place = put(room, "washbasin")
    if place and room.dice.chance(0.75):
        room.hang(*HANGING["mirror"], near=place[0])


def work_place(room: Room) -> None:
    """A desk with a computer, papers and a chair, against the wall or out in the room."""
    dice = room.dice
    place = put(room, "desk") if dice.chance(0.6) else None
    if place is None:
        place = (dice.uniform(0.2, 0.8), room.foot + (1 - room.foot) * dice.uniform(0.3, 0.75))
        room.stand(fu.desk, *place, 0.8, shade=1.7)
    goods = (("computer",) if dice.chance(0.75) else ()) + some(
        dice, ("books", "lamp", "small plant", "books", "bowl"), 1, 2
    )
    lay_out(room, *place, 0.82, 1.6, tuple(dice.shuffled(goods)))
    if dice.chance(0.75):
        room.stand(
            fu.chair,
            place[0] + dice.uniform(-0.08, 0.08),
            place[1] + 0.18 * room.unit,
            1.0,
            None,
            dice.pick(("back", "side")),
        )


def foreground(room: Room) -> None:
    """Something very near that hides a part of the room."""
    name = room.dice.pick(("plant", "plant", "free chair", "person", "free armchair", "round table"))
    draw, height, _ = STANDING[name]
    x = room.dice.pick((-0.02, 1.02)) + room.dice.uniform(-0.08, 0.08)
    room.stand(draw, x, room.dice.uniform(1.06, 1.22), height, shade=0)


GROUPS: dict[str, Callable[[Room], None]] = {
    "windows": windows, "small window": small_window, "rug": rug, "floor lamp": floor_lamp,
    "ceiling lamp": ceiling_lamp,
    "bed set": bed_set, "tv set": television_set, "sitting": sitting, "dining": dining, "counter": counter,
    "washing": washing,
    "work": work_place, "foreground": foreground, "tea table": lambda room: dining(room, 1.1),
    "short counter": lambda room: counter(room, 3),
    "topped chest": lambda room: topped(room, "chest", 0.95, ("vase", "lamp", "books", "small plant", "television",
    "bowl")),
    "topped sideboard": lambda room: topped(room, "sideboard", 0.84, ("vase", "lamp", "books", "bowl", "plate",
    "small plant"), 3),
}  # fmt: skip
COMMON = (("windows", 0.66), ("picture", 0.55), ("picture", 0.35), ("plant", 0.2), ("person", 0.09), ("cat", 0.08),
    ("dog", 0.06),
          ("foreground", 0.14), ("clock", 0.08))  # fmt: skip
# What a class has, in the order of planning (the first ones find room most easily), with its chance.
ROOMS: dict[str, tuple[tuple[str, float], ...]] = {
    "bedroom": (
        ("bed set", 0.95), ("wardrobe", 0.55), ("topped chest", 0.45), ("work", 0.13), ("tv set", 0.12),
        ("armchair", 0.20), ("door", 0.25), ("shelf", 0.18), ("mirror", 0.35), ("rug", 0.50), ("floor lamp", 0.20),
        ("chair", 0.20), ("wall shelf", 0.15), ("free sofa", 0.05), ("washbasin", 0.04),
    ),
    "kitchen": (
        ("fridge", 0.66), ("counter", 0.93), ("oven", 0.12), ("tea table", 0.35), ("dining", 0.14),
        ("wall cabinet", 0.35), ("wall shelf", 0.20), ("door", 0.20), ("ceiling lamp", 0.30), ("clock", 0.30),
        ("towel", 0.25), ("rug", 0.10), ("chair", 0.15), ("shelf", 0.06), ("sideboard", 0.06),
    ),
    "living room": (
        ("sitting", 0.86), ("tv set", 0.42), ("fireplace", 0.33), ("shelf", 0.40), ("free armchair", 0.40),
        ("rug", 0.65), ("floor lamp", 0.50), ("big picture", 0.40), ("topped sideboard", 0.20), ("door", 0.20),
        ("big plant", 0.35), ("tea table", 0.12), ("wall television", 0.10), ("work", 0.06), ("ceiling lamp", 0.20),
    ),
    "dining room": (
        ("dining", 0.94), ("topped sideboard", 0.60), ("fireplace", 0.14), ("big picture", 0.45), ("rug", 0.35),
        ("mirror", 0.15), ("door", 0.25), ("shelf", 0.12), ("sofa", 0.10), ("fridge", 0.08), ("short counter", 0.08),
        ("armchair", 0.10), ("big plant", 0.20), ("floor lamp", 0.15), ("chest", 0.12),
    ),
    "bathroom": (
        ("bathtub", 0.68), ("washing", 0.75), ("toilet", 0.62), ("towel", 0.60), ("small window", 0.40),
        ("rug", 0.35), ("cabinet", 0.30), ("door", 0.25), ("towel", 0.25), ("free chair", 0.12),
        ("wall shelf", 0.15), ("mirror", 0.15), ("chest", 0.10), ("ceiling lamp", 0.15),
    ),
    "office": (
        ("work", 0.93), ("shelf", 0.55), ("work", 0.25), ("blackboard", 0.33), ("clock", 0.35), ("shelf", 0.20),
        ("chest", 0.20), ("sofa", 0.14), ("armchair", 0.12), ("door", 0.30), ("floor lamp", 0.25),
        ("big plant", 0.30), ("ceiling lamp", 0.25), ("tea table", 0.10), ("free bed", 0.02), ("tv set", 0.05),
        ("rug", 0.20), ("wall shelf", 0.30), ("pile", 0.30),
    ),
}  # fmt: skip
WET = {"bathroom": (("tiles", "half tiles", "half tiles", None), ("tiles", "checker", "tiles", None)),
       "kitchen": (("half tiles", None, None, None), ("tiles", "checker", None, None))}  # fmt: skip
DRY = ((None,), (None,))


def furnish(name: str) -> Callable[[Canvas, Dice], None]:
    """The function that paints rooms of a class."""
    spec, (walls, floors) = ROOMS[name], WET.get(name, DRY)

    def compose(canvas: Canvas, dice: Dice) -> None:
        room = Room(canvas, dice, wall=dice.pick(walls), floor=dice.pick(floors))
        sparse = dice.chance(0.07)  # a hard picture: little of what is typical
        chosen = [thing for thing, chance in spec if dice.chance(chance * (0.45 if sparse else 1.0))]
        core = [thing for thing, _ in spec[:3]]
        missing = dice.shuffled([thing for thing in core if thing not in chosen])
        chosen += missing[: max(0, len(missing) - 1 - sparse)]  # enough to tell the room
        for thing in sorted(chosen, key=[thing for thing, _ in spec].index):
            put(room, thing)
        for thing, chance in COMMON:
            if dice.chance(chance * (0.3 if name == "bathroom" and thing == "windows" else 1.0)):
                put(room, thing)
        room.finish()

    compose.__doc__ = f"Paints a {name}."
    return compose


CLASSES: dict[str, Callable[[Canvas, Dice], None]] = {name: furnish(name) for name in ROOMS}
