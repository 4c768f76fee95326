"""Villages: the scenes that the generator draws. Churches and houses among trees, by day; simpler than CLASSES.

A generator of a few million weights learns one kind of picture well, so everything stands in about the same place: a
building in the middle, trees at its sides, a path to its door, grass in front, sky above.
"""

from __future__ import annotations

from collections.abc import Callable

from unitlens.data.world import land
from unitlens.data.world.atmosphere import Outdoors
from unitlens.data.world.canvas import Canvas
from unitlens.data.world.dice import Dice
from unitlens.data.world.townscape import Town

GROUND = {"grass": 8.0, "path": 1.0, "pavement": 1.0}


def village(canvas: Canvas, dice: Dice) -> None:
    """A church or houses among trees, on a day of spring, summer or autumn."""
    season = dice.pick(("spring", "summer", "autumn"), (0.35, 0.45, 0.2))
    out = Outdoors(canvas, dice, season=season, weather=dice.pick(("clear", "cloudy"), (0.65, 0.35)))
    base = dice.uniform(0.66, 0.76)
    town = Town(canvas, dice, base, (0.085, 0.105), out)
    town.ground(GROUND, base - 0.02)
    x = dice.uniform(0.36, 0.64)
    if dice.chance(0.55):
        town.put("church", x, base + 0.01, dice.uniform(0.9, 1.15))
    else:
        town.put("house", x, base + 0.01, dice.uniform(1.25, 1.55))
        if dice.chance(0.5):
            town.put("house", x + dice.pick((-0.42, 0.42)), base - 0.004, dice.uniform(1.0, 1.25))
    if dice.chance(0.7):
        land.strip(out, "path", base, width=dice.uniform(0.25, 0.4), x=x)
    _trees(town, x)
    if dice.chance(0.45):
        town.put("bush", dice.uniform(0.05, 0.95), dice.uniform(base + 0.03, base + 0.12), 1.2)
    if dice.chance(0.25):
        town.put("flowers", dice.uniform(0.1, 0.9), dice.uniform(base + 0.1, 0.97), 1.3)
    town.draw()


def _trees(town: Town, x: float) -> None:
    """Trees left and right of the building, some behind it, some in front."""
    for side in (-1, 1):
        if town.dice.chance(0.72):
            away = town.dice.uniform(0.24, 0.44)
            y = town.base + town.dice.uniform(-0.01, 0.1)
            town.put(town.dice.pick(("tree", "conifer"), (0.8, 0.2)), x + side * away, y, town.dice.uniform(1.1, 1.45))


FAMILIES: dict[str, Callable[[Canvas, Dice], None]] = {"village": village}
