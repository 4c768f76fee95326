"""Scenes of the town: harbour, street, church square, railway station, market."""

from __future__ import annotations

from collections.abc import Callable

from unitlens.data.world import land, street
from unitlens.data.world.canvas import Canvas, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.masonry import BLACK, WHITE
from unitlens.data.world.townscape import Town, band, markings, platform, rails, station
from unitlens.data.world.vehicles import train

# What may stand where: name -> (chance that there are any, fewest, most). The names are those of townscape.THINGS.
Chances = dict[str, tuple[float, int, int]]
ON_THE_SHORE: Chances = {
    "lighthouse": (0.42, 1, 1),
    "tower": (0.1, 1, 1),
    "church": (0.12, 1, 1),
    "windmill": (0.06, 1, 1),
    "tree": (0.35, 1, 3),
    "person": (0.25, 1, 2),
    "car": (0.1, 1, 1),
}
ON_THE_QUAY: Chances = {
    "lamp": (0.5, 1, 2),
    "crate": (0.45, 2, 5),
    "person": (0.6, 1, 3),
    "bench": (0.22, 1, 1),
    "flag": (0.25, 1, 2),
    "palm": (0.12, 1, 2),
    "umbrella": (0.1, 1, 2),
    "stall": (0.08, 1, 1),
    "car": (0.1, 1, 1),
    "dog": (0.12, 1, 1),
    "truck": (0.06, 1, 1),
    "bicycle": (0.1, 1, 1),
}
ON_THE_PAVEMENT: Chances = {
    "tree": (0.5, 1, 4),
    "lamp": (0.6, 1, 3),
    "person": (0.6, 1, 4),
    "bench": (0.15, 1, 1),
    "sign": (0.35, 1, 2),
    "bush": (0.2, 1, 2),
    "stall": (0.07, 1, 1),
    "lights": (0.22, 1, 1),
    "bicycle": (0.18, 1, 1),
}
ON_THE_ROAD: Chances = {"person": (0.25, 1, 2), "bicycle": (0.25, 1, 1), "tractor": (0.03, 1, 1), "dog": (0.08, 1, 1)}
ACROSS_THE_ROAD: Chances = {
    "tree": (0.18, 1, 1),
    "lamp": (0.3, 1, 1),
    "lights": (0.25, 1, 1),
    "person": (0.35, 1, 2),
    "bush": (0.15, 1, 2),
    "flowers": (0.15, 1, 2),
}
BY_THE_CHURCH: Chances = {
    "tree": (0.5, 1, 2),
    "conifer": (0.2, 1, 2),
    "bush": (0.3, 1, 3),
    "person": (0.3, 1, 3),
    "lamp": (0.25, 1, 2),
    "tower": (0.06, 1, 1),
}
ON_THE_SQUARE: Chances = {
    "statue": (0.35, 1, 1),
    "fountain": (0.28, 1, 1),
    "bench": (0.4, 1, 2),
    "person": (0.6, 1, 4),
    "flowers": (0.35, 1, 3),
    "lamp": (0.25, 1, 1),
    "stall": (0.1, 1, 2),
    "car": (0.16, 1, 1),
    "dog": (0.12, 1, 1),
    "bicycle": (0.1, 1, 1),
    "umbrella": (0.06, 1, 2),
    "tree": (0.2, 1, 1),
}
ON_THE_PLATFORM: Chances = {
    "person": (0.65, 1, 4),
    "bench": (0.5, 1, 2),
    "lamp": (0.5, 1, 3),
    "sign": (0.4, 1, 2),
    "crate": (0.15, 1, 3),
    "flowers": (0.12, 1, 1),
    "stall": (0.05, 1, 1),
}
NEAR_PLATFORM: Chances = {
    "person": (0.5, 1, 3),
    "bench": (0.3, 1, 1),
    "lamp": (0.3, 1, 1),
    "sign": (0.2, 1, 1),
    "bush": (0.12, 1, 2),
    "car": (0.1, 1, 1),
    "bicycle": (0.12, 1, 1),
    "dog": (0.08, 1, 1),
    "crate": (0.12, 1, 3),
}
BEHIND_THE_STALLS: Chances = {
    "tree": (0.4, 1, 3),
    "tower": (0.1, 1, 1),
    "lamp": (0.3, 1, 2),
    "truck": (0.12, 1, 1),
    "car": (0.1, 1, 1),
    "palm": (0.06, 1, 2),
}
AMONG_THE_STALLS: Chances = {
    "person": (0.9, 2, 6),
    "crate": (0.6, 2, 6),
    "umbrella": (0.15, 1, 2),
    "fountain": (0.12, 1, 1),
    "statue": (0.08, 1, 1),
    "flowers": (0.2, 1, 2),
    "dog": (0.15, 1, 1),
    "bicycle": (0.12, 1, 1),
    "bench": (0.12, 1, 1),
    "sign": (0.1, 1, 1),
}
# What a street is like: name -> weights of the houses in its row.
MOODS: dict[str, dict[str, float]] = {
    "terrace": {"building": 5, "shop": 1, "house": 0.4},
    "village": {"house": 4, "building": 0.6, "shop": 0.5},
    "shops": {"shop": 4, "building": 2},
}


def harbour(canvas: Canvas, dice: Dice) -> None:
    """Boats at a quay, houses behind them; sometimes only half of that."""
    base = dice.uniform(0.34, 0.56)
    town = Town(canvas, dice, base, (0.055, 0.1))
    quay = dice.uniform(0.76, 0.93) if dice.chance(0.6) else 1.01
    town.ground({"pavement": 3, "grass": 2, "cobbles": 2}, base - 0.03, base + 0.03)
    if dice.chance(0.8):
        town.row(
            base,
            {"building": 3, "house": 2.5, "shop": 1, "hut": 0.6},
            gap=dice.pick((0.1, 0.5)),
            left=dice.pick((-0.1, 0.2, 0.45)),
            right=dice.pick((1.1, 1.1, 0.6)),
        )
    town.scatter(ON_THE_SHORE, base - 0.002, base + 0.012)
    shore = base + 0.022
    town.later(shore, lambda: _basin(town, shore, quay))
    low = min(quay - 0.03, 0.97)
    town.scatter({"sailing": (0.88, 1, 5), "ship": (0.42, 1, 1), "rowing": (0.45, 1, 2)}, shore + 0.06, low)
    if dice.chance(0.4):
        y = dice.uniform(shore + 0.12, max(shore + 0.13, low))
        x, flip = dice.uniform(0.3, 0.8), dice.chance(0.5)
        town.later(y, lambda: street.pier(town.pen(x, y, 0.6, flip=flip), dice))
    if quay < 1:
        town.later(quay, lambda: _quay(town, quay))
        town.scatter(ON_THE_QUAY, quay + 0.03, 0.99)
        if dice.chance(0.2):
            town.later(quay + 0.012, lambda: street.fence(town.out, quay + 0.012, 0.07))
    town.draw()


def _basin(town: Town, shore: float, quay: float) -> None:
    pen = town.canvas.pen()
    pen.rectangle(0, shore - 0.02, 1, shore + 0.006, ((176, 168, 158), (112, 106, 104)), "pavement", None, "stone")
    land.water(town.out, shore + 0.004, quay + 0.01, "sea", mirror=0.3)


def _quay(town: Town, quay: float) -> None:
    wooden = town.dice.chance(0.3)
    if not wooden:
        band(town, town.dice.pick(("pavement", "cobbles", "cobbles")), quay, 1.0)
        if town.dice.chance(0.2):
            rails(town, quay + (1 - quay) * 0.6, 0.022, bed=False)
        return
    ink = town.dice.jitter((168, 128, 88), 14)
    town.canvas.pen().rectangle(0, quay, 1, 1, (mix(ink, WHITE, 0.15), ink), "pier", "slat", "wood", texture="planks")
    town.canvas.pen().rectangle(0, quay, 1, quay + 0.012, mix(ink, BLACK, 0.3), "pier", "slat", "wood")


def street_scene(canvas: Canvas, dice: Dice) -> None:
    """A road with traffic along a row of houses."""
    base = dice.uniform(0.48, 0.68)
    town = Town(canvas, dice, base, (0.075, 0.13))
    walk = base + dice.uniform(0.03, 0.08)
    edge = dice.uniform(0.86, 1.1)
    town.ground({"pavement": 5, "cobbles": 2, "grass": 1.5}, base - 0.01, walk + 0.01)
    mood = dice.pick(("terrace", "village", "shops"), (4, 2.5, 2.5))
    town.row(base, MOODS[mood], gap=0.35 if mood == "village" else 0.07, floors=dice.uniform(0.9, 1.4))
    if dice.chance(0.1):
        town.put("church", dice.uniform(0.1, 0.9), base - 0.004, 0.8)
    town.later(walk, lambda: _road(town, walk, min(edge, 1.0)))
    town.scatter(ON_THE_PAVEMENT, base + 0.012, walk - 0.004)
    low = min(edge, 1.02) - 0.02
    if dice.chance(0.88):
        kinds = dice.shuffled(("car", "car", "car", "bus", "truck", "car"))[: dice.integer(1, 3)]
        for k, kind in enumerate(kinds):
            town.put(kind, (k + dice.uniform(0.15, 0.85)) / len(kinds), dice.uniform(walk + 0.04, low))
    town.scatter(ON_THE_ROAD, walk + 0.04, low)
    if edge < 1:
        town.scatter(ACROSS_THE_ROAD, edge + 0.03, 1.02)
    town.draw()


def _road(town: Town, top: float, bottom: float) -> None:
    kind = "snow" if town.snowy and town.dice.chance(0.3) else "cobbles" if town.dice.chance(0.12) else "road"
    band(town, kind, top, bottom)
    if kind == "road" and town.dice.chance(0.85):
        markings(town, top + (bottom - top) * town.dice.uniform(0.42, 0.55))
    if town.dice.chance(0.15):
        rails(town, bottom - 0.06, 0.025, bed=False)
    if bottom < 1:
        band(town, "snow" if town.snowy else town.dice.pick(("pavement", "pavement", "grass")), bottom, 1.0)


def church_square(canvas: Canvas, dice: Dice) -> None:
    """A church in the middle of its square or churchyard, or half out of sight."""
    base = dice.uniform(0.52, 0.76)
    town = Town(canvas, dice, base, (0.065, 0.11))
    town.ground({"pavement": 4, "cobbles": 3, "grass": 4, "path": 0.7}, base - 0.02)
    if dice.chance(0.45):
        land.strip(town.out, dice.pick(("path", "pavement")), base, width=dice.uniform(0.3, 0.6))
    if dice.chance(0.55):
        town.row(
            base,
            {"building": 3, "house": 3, "shop": 1},
            gap=0.3,
            left=dice.pick((-0.1, 0.5)),
            right=dice.pick((0.4, 1.1)),
        )
    hard = dice.chance(0.09)
    if not (hard and dice.chance(0.12)):
        x = dice.pick((0.0, 1.0)) if hard else dice.uniform(0.25, 0.75)
        town.put("church", x, base + 0.01, dice.uniform(0.85, 1.35))
    if dice.chance(0.18):
        town.later(base + 0.03, lambda: street.fence(town.out, base + 0.03, town.unit(base) * 0.6))
    town.scatter(BY_THE_CHURCH, base + 0.01, base + 0.05)
    town.scatter(ON_THE_SQUARE, base + 0.1, 1.02)
    town.draw()


def railway_station(canvas: Canvas, dice: Dice) -> None:
    """Rails, platforms, a station, and mostly a train."""
    base = dice.uniform(0.44, 0.62)
    town = Town(canvas, dice, base, (0.085, 0.14))
    edge = base + dice.uniform(0.06, 0.12)
    bed = edge + dice.uniform(0.1, 0.17)
    near = dice.chance(0.6)
    town.ground({"pavement": 2, "grass": 3, "cobbles": 1}, base - 0.02)
    has_platform, has_rails = dice.chance(0.88), dice.chance(0.95)
    if has_platform:
        town.later(base - 0.0005, lambda: platform(town, base, edge))
    if dice.chance(0.75):
        station(town, dice.uniform(0.1, 0.9), base + 0.004)
    if dice.chance(0.5):
        town.row(base - 0.005, {"building": 2, "house": 2, "shop": 0.5}, gap=0.5, left=dice.pick((-0.1, 0.55)))
    has_rails = has_rails or not has_platform
    town.scatter({"tree": (0.4, 1, 3), "church": (0.09, 1, 1), "tower": (0.12, 1, 1)}, base - 0.012, base - 0.006)
    town.scatter(ON_THE_PLATFORM, base + 0.02, edge - 0.04)
    gauge = dice.uniform(0.022, 0.034)
    if has_rails:
        town.later(edge, lambda: rails(town, bed, gauge))
    if not has_rails or dice.chance(0.72):
        flip, tall = dice.chance(0.5), dice.uniform(1.35, 1.8)
        nose = dice.uniform(0.45, 1.5)
        town.later(
            bed - 0.001, lambda: train(town.pen(1 - nose if flip else nose, bed, tall, flip=flip), dice, town.lit)
        )
    if near:
        top = dice.uniform(bed + 0.05, bed + 0.12)
        front = dice.pick(
            (platform, lambda t, a, b: band(t, "road", a, b), lambda t, a, b: band(t, "grass", a, b)), (6, 1, 1.5)
        )
        town.later(top, lambda: front(town, top, 1.0))
        town.scatter(NEAR_PLATFORM, top + 0.05, 1.02)
    town.draw()


def market(canvas: Canvas, dice: Dice) -> None:
    """Stalls under awnings on a square."""
    base = dice.uniform(0.42, 0.62)
    town = Town(canvas, dice, base, (0.08, 0.125))
    town.ground({"pavement": 4, "cobbles": 4, "path": 0.8, "sand": 0.8, "grass": 1}, base - 0.02)
    if dice.chance(0.82):
        town.row(base, {"building": 3, "shop": 2, "house": 1.5}, gap=dice.pick((0.05, 0.4)))
    if dice.chance(0.15):
        town.put("church", dice.uniform(0.1, 0.9), base + 0.004, 0.85)
    town.scatter(BEHIND_THE_STALLS, base + 0.005, base + 0.03)
    kinds = dice.pick(((6, 1, 0.4), (0, 3, 1)), (0.93, 0.07))
    for _ in range(2 if dice.chance(0.6) else 1):
        y, count = dice.uniform(base + 0.08, 0.97), dice.integer(2, 4)
        start = dice.uniform(-0.1, 0.2)
        for k in range(count):
            if k == 0 or dice.chance(0.75):
                town.put(
                    dice.pick(("stall", "umbrella", "tent"), kinds),
                    start + (k + 0.5) * town.unit(y) * 2.9,
                    y + dice.uniform(-0.01, 0.01),
                )
    town.scatter(AMONG_THE_STALLS, base + 0.07, 1.02)
    town.draw()


CLASSES: dict[str, Callable[[Canvas, Dice], None]] = {
    "harbour": harbour,
    "street": street_scene,
    "church square": church_square,
    "railway station": railway_station,
    "market": market,
}
