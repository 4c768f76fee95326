"""What may stand where in the scenes of nature: one table of things, chances and sizes a class."""

from __future__ import annotations

from unitlens.data.world.boats import rowing_boat, sailing_boat, ship
from unitlens.data.world.buildings import barn, house, hut, lighthouse, tower, windmill
from unitlens.data.world.canvas import Pen, mix
from unitlens.data.world.church import church
from unitlens.data.world.creatures import CLOTHES, bird, cow, dog, duck, person, sheep
from unitlens.data.world.dice import Dice
from unitlens.data.world.plants import bush, cactus, conifer, flower_bed, palm, rock, tree
from unitlens.data.world.stage import Entry, Stage, built, plain, vehicle
from unitlens.data.world.street import (
    bench,
    flag,
    fountain,
    haystack,
    market_stall,
    sign,
    slide,
    statue,
    street_lamp,
    swing,
    tent,
    umbrella,
)
from unitlens.data.world.vehicles import bicycle, car, tractor, truck


def leafy(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A tree of the season."""
    tree(pen, dice, stage.out.season)


def fir(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A conifer, under snow if the scene is."""
    conifer(pen, dice, stage.snowy and dice.chance(0.85))


def shrub(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A bush of the season."""
    bush(pen, dice, stage.out.season, snowy=stage.snowy)


def boulder(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A rock of the place: grey, red or snowed on."""
    rock(pen, dice, red=dice.chance(0.6) and "dune" in stage.bands, snowy=stage.snowy)


def blooming(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A bed of flowers, or what the snow leaves of one."""
    if stage.snowy:
        bush(pen.at(0, 0, 1.6), dice, "winter", snowy=True)
    else:
        flower_bed(pen, dice)


def lantern(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A street lamp that is lit after dark."""
    dark = stage.out.night or stage.out.dusk
    street_lamp(pen, dice, dark)
    stage.out.lamp(*pen.place(0, 0.9), 0.2 * pen.unit)


def flying(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A bird on the wing."""
    bird(pen, dice, True)


def towel(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A towel spread on the ground."""
    cloth = dice.pick(CLOTHES)
    pen.polygon([(-1.2, 0), (0.9, 0), (1.2, 1), (-0.8, 1)], cloth, "towel", None, "fabric")
    for t in (0.2, 0.6):
        band = [(-1.2 + 0.4 * t, t), (0.9 + 0.3 * t, t), (0.9 + 0.3 * t + 0.05, t + 0.18), (-1.12 + 0.4 * t, t + 0.18)]
        pen.polygon(band, mix(cloth, (255, 255, 255), 0.7), "towel", None, "fabric")


def skier(pen: Pen, dice: Dice, stage: Stage) -> None:
    """A person on skis."""
    ski = dice.pick(CLOTHES)
    for dy in (0.0, 0.03):
        pen.polygon(
            [(-0.4, dy - 0.02), (0.42, dy - 0.02), (0.52, dy + 0.05), (0.4, dy + 0.01), (-0.4, dy + 0.01)],
            ski,
            "person",
            "legs",
            "wood",
        )
    person(pen, dice, dice.pick(("stand", "walk")))
    for x in (-0.26, 0.26):
        pen.line([(x * 0.7, 0.48), (x, 0.0)], 0.018, (60, 60, 66), "person", "arm", "metal")


SEASIDE: tuple[Entry, ...] = (
    (plain(person), 0.72, (1, 4), "land", 0.46, 0.5),
    (plain(umbrella), 0.62, (1, 3), "land", 0.57, 0.9),
    (plain(palm), 0.45, (1, 3), "shore", 1.15, 0.5),
    (towel, 0.55, (1, 4), "land", 0.12, 0.0),
    (vehicle(sailing_boat), 0.5, (1, 2), "water", 1.49, 0.0),
    (vehicle(rowing_boat), 0.22, (1, 1), "land", 0.39, 1.6),
    (built(hut), 0.32, (1, 3), "shore", 0.7, 1.0),
    (plain(tent), 0.14, (1, 1), "shore", 0.5, 1.2),
    (boulder, 0.3, (1, 3), "land", 0.18, 1.8),
    (plain(dog), 0.2, (1, 1), "land", 0.26, 1.2),
    (vehicle(ship), 0.15, (1, 1), "water", 1.25, 0.0),
    (plain(flag), 0.15, (1, 1), "land", 0.7, 0.3),
    (built(lighthouse), 0.14, (1, 1), "shore", 1.2, 0.5),
    (plain(bird, False), 0.25, (1, 3), "land", 0.15, 1.0),
    (shrub, 0.2, (1, 3), "shore", 0.22, 1.6),
    (plain(bench), 0.06, (1, 1), "land", 0.29, 1.6),
    (plain(market_stall), 0.07, (1, 1), "shore", 0.6, 1.2),
)
LAKESIDE: tuple[Entry, ...] = (
    (vehicle(sailing_boat), 0.42, (1, 2), "water", 1.22, 0.0),
    (vehicle(rowing_boat), 0.4, (1, 2), "water", 0.39, 0.0),
    (plain(duck), 0.4, (1, 4), "water", 0.18, 0.0),
    (fir, 0.45, (1, 2), "bank", 0.85, 0.5),
    (leafy, 0.45, (1, 2), "bank", 0.75, 0.7),
    (shrub, 0.45, (1, 4), "bank", 0.24, 1.6),
    (boulder, 0.45, (1, 4), "bank", 0.18, 1.8),
    (plain(person), 0.4, (1, 2), "bank", 0.4, 0.5),
    (plain(bench), 0.18, (1, 1), "bank", 0.29, 1.6),
    (plain(tent), 0.2, (1, 1), "bank", 0.42, 1.2),
    (built(house), 0.35, (1, 2), "far", 1.3, 0.0),
    (built(hut), 0.15, (1, 1), "bank", 0.6, 1.0),
    (built(church), 0.1, (1, 1), "far", 2.0, 0.0),
    (leafy, 0.5, (2, 6), "far", 1.3, 0.0),
    (fir, 0.55, (3, 8), "far", 1.4, 0.0),
    (plain(cow), 0.08, (1, 2), "bank", 0.38, 1.4),
)
WOODS: tuple[Entry, ...] = (
    (shrub, 0.7, (2, 6), "land", 0.3, 1.6),
    (boulder, 0.45, (1, 4), "land", 0.21, 1.8),
    (plain(person), 0.25, (1, 2), "land", 0.46, 0.5),
    (plain(dog), 0.12, (1, 1), "land", 0.26, 1.2),
    (built(hut), 0.12, (1, 1), "land", 0.9, 1.0),
    (plain(tent), 0.14, (1, 1), "land", 0.5, 1.2),
    (plain(bench), 0.08, (1, 1), "land", 0.31, 1.6),
    (plain(bird, False), 0.15, (1, 1), "land", 0.16, 1.0),
    (plain(sign), 0.08, (1, 1), "land", 0.5, 0.3),
)
SLOPE: tuple[Entry, ...] = (
    (fir, 0.8, (2, 9), "land", 1.0, 0.6),
    (skier, 0.6, (1, 4), "land", 0.44, 0.8),
    (built(hut), 0.42, (1, 2), "back", 1.1, 1.2),
    (boulder, 0.35, (1, 3), "land", 0.23, 1.8),
    (plain(flag), 0.2, (1, 3), "land", 0.5, 0.3),
    (built(house), 0.22, (1, 1), "back", 1.5, 1.2),
    (plain(sign), 0.15, (1, 1), "land", 0.5, 0.3),
    (leafy, 0.2, (1, 2), "land", 0.9, 0.6),
    (plain(person), 0.25, (1, 2), "land", 0.44, 0.5),
    (plain(dog), 0.12, (1, 1), "land", 0.26, 1.2),
    (shrub, 0.2, (1, 2), "land", 0.2, 1.5),
    (built(church), 0.06, (1, 1), "back", 2.0, 1.0),
)
FARMYARD: tuple[Entry, ...] = (
    (built(barn), 0.62, (1, 2), "back", 1.4, 1.3),
    (built(house), 0.45, (1, 1), "back", 1.4, 1.2),
    (built(windmill), 0.25, (1, 1), "back", 2.0, 0.6),
    (vehicle(tractor), 0.4, (1, 1), "land", 0.44, 1.4),
    (plain(haystack), 0.45, (1, 4), "land", 0.32, 1.2),
    (plain(cow), 0.45, (1, 4), "land", 0.38, 1.5),
    (plain(sheep), 0.35, (2, 5), "land", 0.27, 1.4),
    (leafy, 0.65, (1, 4), "back", 1.5, 0.7),
    (plain(person), 0.3, (1, 2), "land", 0.42, 0.5),
    (shrub, 0.3, (1, 3), "back", 0.5, 1.5),
    (plain(dog), 0.15, (1, 1), "land", 0.26, 1.2),
    (fir, 0.15, (1, 2), "back", 1.5, 0.6),
    (vehicle(truck), 0.08, (1, 1), "land", 0.45, 1.8),
    (vehicle(car), 0.06, (1, 1), "land", 0.3, 2.0),
    (built(church), 0.1, (1, 1), "back", 2.0, 1.0),
    (plain(duck), 0.06, (1, 3), "land", 0.17, 1.2),
    (blooming, 0.1, (1, 2), "land", 0.19, 0.0),
    (plain(market_stall), 0.06, (1, 1), "back", 0.9, 1.2),
)
GARDENS: tuple[Entry, ...] = (
    (leafy, 0.92, (1, 5), "land", 0.98, 0.8),
    (plain(bench), 0.6, (1, 2), "land", 0.3, 1.6),
    (lantern, 0.45, (1, 3), "land", 1.0, 0.3),
    (plain(fountain), 0.25, (1, 1), "mid", 0.74, 1.2),
    (plain(swing), 0.25, (1, 1), "mid", 0.81, 1.2),
    (plain(slide), 0.25, (1, 1), "mid", 0.81, 1.2),
    (blooming, 0.5, (1, 3), "land", 0.19, 0.0),
    (plain(person), 0.7, (1, 4), "land", 0.44, 0.5),
    (plain(dog), 0.32, (1, 2), "land", 0.26, 1.2),
    (plain(statue), 0.2, (1, 1), "mid", 0.94, 0.6),
    (plain(bicycle), 0.22, (1, 1), "land", 0.36, 1.5),
    (shrub, 0.55, (1, 4), "land", 0.28, 1.6),
    (fir, 0.25, (1, 2), "mid", 1.2, 0.6),
    (plain(palm), 0.08, (1, 2), "mid", 1.0, 0.5),
    (plain(bird, False), 0.2, (1, 3), "land", 0.14, 1.0),
    (plain(umbrella), 0.08, (1, 1), "land", 0.57, 0.9),
    (boulder, 0.12, (1, 2), "land", 0.17, 1.8),
    (plain(market_stall), 0.09, (1, 2), "mid", 0.7, 1.2),
    (built(church), 0.08, (1, 1), "mid", 1.7, 1.0),
)
DUNES: tuple[Entry, ...] = (
    (plain(cactus), 0.68, (1, 5), "land", 0.62, 0.5),
    (boulder, 0.6, (1, 5), "land", 0.25, 1.8),
    (plain(palm), 0.28, (1, 4), "mid", 1.1, 0.5),
    (plain(tent), 0.25, (1, 2), "mid", 0.6, 1.2),
    (plain(person), 0.35, (1, 3), "land", 0.42, 0.5),
    (built(hut), 0.12, (1, 1), "mid", 0.9, 1.0),
    (shrub, 0.35, (1, 4), "land", 0.16, 1.6),
    (vehicle(truck), 0.12, (1, 1), "land", 0.42, 1.8),
    (vehicle(car), 0.12, (1, 1), "land", 0.3, 2.0),
    (built(tower), 0.08, (1, 1), "back", 1.6, 0.6),
    (plain(sign), 0.08, (1, 1), "land", 0.5, 0.3),
    (plain(umbrella), 0.05, (1, 1), "land", 0.57, 0.9),
)
