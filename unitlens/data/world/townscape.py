"""The stage of a town scene: things measured in persons, rows of houses, roads, rails and platforms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from unitlens.data.world import land, street
from unitlens.data.world.atmosphere import Outdoors
from unitlens.data.world.boats import rowing_boat, sailing_boat, ship
from unitlens.data.world.buildings import barn, building, house, hut, lighthouse, shop, tower, windmill
from unitlens.data.world.canvas import Canvas, Colour, Pen, mix
from unitlens.data.world.church import church
from unitlens.data.world.creatures import bird, dog, person
from unitlens.data.world.dice import Dice
from unitlens.data.world.masonry import AWNINGS, BLACK, LIT, WHITE, arched, box
from unitlens.data.world.plants import bush, conifer, flower_bed, palm, tree
from unitlens.data.world.vehicles import bicycle, bus, car, tractor, truck

# name -> (painter, height in persons from, to, width of its shadow, what else it wants to know)
THINGS: dict[str, tuple[Callable, float, float, float, str]] = {
    "person": (person, 0.85, 1.05, 0.35, ""),
    "dog": (dog, 0.36, 0.5, 0.9, ""),
    "car": (car, 0.85, 1.0, 2.3, "lit"),
    "bus": (bus, 1.7, 2.0, 2.1, "lit"),
    "truck": (truck, 1.5, 1.8, 2.0, "lit"),
    "tractor": (tractor, 1.3, 1.6, 1.5, "lit"),
    "bicycle": (bicycle, 0.6, 0.7, 1.5, ""),
    "tree": (tree, 2.2, 3.4, 0.5, "season"),
    "conifer": (conifer, 2.2, 3.6, 0.4, "snowy"),
    "palm": (palm, 2.6, 3.6, 0.4, ""),
    "bush": (bush, 0.6, 0.9, 1.3, "season"),
    "flowers": (flower_bed, 0.3, 0.4, 2.5, ""),
    "lamp": (street.street_lamp, 2.2, 2.8, 0.2, "lit"),
    "lights": (street.traffic_light, 1.9, 2.3, 0.25, ""),
    "sign": (street.sign, 1.4, 1.8, 0.4, ""),
    "bench": (street.bench, 0.52, 0.6, 2.2, ""),
    "fountain": (street.fountain, 1.5, 2.0, 1.4, ""),
    "statue": (street.statue, 2.2, 3.0, 0.5, ""),
    "stall": (street.market_stall, 1.7, 2.0, 1.4, ""),
    "crate": (street.crate, 0.4, 0.55, 1.4, ""),
    "umbrella": (street.umbrella, 1.5, 1.8, 0.9, ""),
    "tent": (street.tent, 1.5, 1.9, 1.8, ""),
    "flag": (street.flag, 2.6, 3.4, 0.2, ""),
    "hay": (street.haystack, 0.9, 1.1, 1.2, ""),
    "slide": (street.slide, 1.3, 1.5, 1.4, ""),
    "swing": (street.swing, 1.3, 1.5, 1.2, ""),
    "church": (church, 5.5, 7.5, 0.0, "walls"),
    "house": (house, 2.8, 3.3, 0.0, "walls"),
    "tower": (tower, 5, 6.5, 0.0, "walls"),
    "lighthouse": (lighthouse, 4.5, 6.5, 0.0, "walls"),
    "windmill": (windmill, 4.0, 5.0, 0.0, "walls"),
    "barn": (barn, 2.8, 3.4, 0.0, "walls"),
    "hut": (hut, 1.8, 2.1, 1.2, "walls"),
    "sailing": (sailing_boat, 2.2, 3.6, 0.0, "sea"),
    "ship": (ship, 2.6, 3.8, 0.0, "sea"),
    "rowing": (rowing_boat, 0.7, 0.85, 0.0, "sea"),
}
FLOATING = ("sailing", "ship", "rowing")


class Town:
    """An outdoor scene measured in persons: `zoom` is how high a person at row `base` is.

    out: its weather and time of day, where they are not left to the dice.
    """

    def __init__(
        self, canvas: Canvas, dice: Dice, base: float, zoom: tuple[float, float] = (0.085, 0.14),
        out: Outdoors | None = None,
    ):  # fmt: skip
        self.canvas, self.dice, self.out = canvas, dice, out or Outdoors(canvas, dice)
        out = self.out
        out.horizon = min(base - 0.02, max(base - 0.1, out.horizon))
        self.base, self.zoom = base, dice.uniform(*zoom)
        self.snowy = out.season == "winter" and dice.chance(0.65)
        self.lit = out.night or (out.dusk and dice.chance(0.7))
        self.hints = {
            "": (),
            "lit": (self.lit,),
            "season": (out.season,),
            "snowy": (self.snowy,),
            "walls": (self.lit, self.snowy),
            "sea": (self.lit,),
        }
        self.queue: list[tuple[float, Callable[[], None]]] = []
        out.sky()
        self._distance()

    def _distance(self) -> None:
        dice, out = self.dice, self.out
        kind = dice.pick(("hills", "mountains", "none"), (0.4, 0.22, 0.38))
        if kind == "mountains":
            land.mountains(out, self.base)
        elif kind == "hills":
            land.hills(out, self.base)
        for _ in range(dice.integer(0, 3) if dice.chance(0.3) else 0):
            bird(self.canvas.at(dice.uniform(), dice.uniform(0.05, self.base * 0.6), dice.uniform(0.03, 0.05)), dice)

    def unit(self, y: float) -> float:
        """The height of a person at row y."""
        return self.zoom * (1 + 1.1 * (y - self.base) / (1 - self.base))

    def pen(self, x: float, y: float, height: float, shadow: float = 0.0, flip: bool | None = None) -> Pen:
        """A pen for something `height` persons high; less hazed than the open land."""
        tall = height * self.unit(y)
        if shadow * tall > 0.06:  # smaller shadows are not seen
            self.out.cast(x, y, shadow * tall)
        flip = self.dice.chance(0.5) if flip is None else flip
        share = max(0.0, 1 - (y - self.base + 0.05) / 0.5) * (0.3 if self.out.weather == "misty" else 0.1)
        return self.canvas.at(x, y, tall, flip=flip).hazed(self.out.haze, share)

    def put(self, name: str, x: float, y: float, grow: float = 1.0, flip: bool | None = None) -> None:
        """Asks for a thing with its foot at (x, y); `draw` paints them all, far ones first."""
        paint, low, high, shadow, hint = THINGS[name]
        height = self.dice.uniform(low, high) * grow

        def job() -> None:
            pen = self.pen(x, y, height, shadow, False if name == "ship" and flip is None else flip)
            extra = {"water": "sea"} if name in FLOATING else {}
            paint(pen, self.dice, *self.hints[hint], **extra)
            if name == "lamp" and self.lit:
                self.out.lamp(*pen.place(0.05, 0.9), 0.45 * pen.unit)

        self.queue.append((y, job))

    def scatter(self, chances: dict[str, tuple[float, int, int]], top: float, bottom: float) -> None:
        """Things by chance: name -> (chance that there are any, fewest, most), anywhere between two rows."""
        for name, (chance, few, many) in chances.items():
            if self.dice.chance(chance):
                for _ in range(self.dice.integer(few, many)):
                    self.put(name, self.dice.uniform(0.03, 0.97), self.dice.uniform(top, bottom))

    def row(
        self,
        y: float,
        weights: dict[str, float],
        gap: float = 0.0,
        left: float = -0.1,
        right: float = 1.1,
        floors: float = 1.0,
    ) -> None:
        """A row of houses from left to right, with gaps by chance (where trees may stand)."""
        dice, unit = self.dice, self.unit(y)
        x = left - dice.uniform(0, 0.15)
        while x < right:
            kind = dice.pick(tuple(weights), tuple(weights.values()))
            if dice.chance(gap):
                self.put(dice.pick(("tree", "tree", "conifer")), x + unit * 0.8, y)
                x += unit * dice.uniform(1.2, 2.6)
                continue
            if kind in ("building", "shop"):
                tall = dice.uniform(3.6, 5.0) * floors if kind == "building" else dice.uniform(3.0, 3.6)
                wide = tall * dice.uniform(0.5, 0.8) if kind == "building" else tall * dice.uniform(0.65, 0.95)
                self._terrace(building if kind == "building" else shop, x + wide * unit / 2, y, tall, wide / tall)
                x += wide * unit * 1.005
            else:
                wide = {"house": 4.4, "hut": 2.4, "tower": 2.0}.get(kind, 3.0)
                self.put(kind, x + wide * unit / 2, y)
                x += wide * unit * 1.02

    def _terrace(self, paint: Callable, x: float, y: float, tall: float, width: float) -> None:
        def job() -> None:
            paint(self.pen(x, y, tall, flip=False), self.dice, self.lit, self.snowy, width)

        self.queue.append((y - 1e-3, job))

    def later(self, y: float, job: Callable[[], None]) -> None:
        """Paints something flat (a road, rails) in its turn."""
        self.queue.append((y, job))

    def ground(self, kinds: dict[str, float], top: float, bottom: float = 1.0) -> None:
        """The ground, one of several kinds; in winter perhaps snow."""
        kind = self.dice.pick(tuple(kinds), tuple(kinds.values()))
        if self.snowy and self.dice.chance(0.75):
            kind = "snow"
        land.ground(self.out, kind, top, bottom)

    def draw(self) -> None:
        """Paints everything that was asked for, far to near, then the light; lit windows keep shining."""
        for _, job in sorted(self.queue, key=lambda entry: entry[0]):
            job()
        before = np.asarray(self.canvas.rgb)
        self.out.finish()
        if self.lit:
            mask = Image.fromarray((before == np.array(LIT, np.uint8)).all(-1) * np.uint8(210))
            self.canvas.rgb.paste(LIT, (0, 0), mask)


# ---- flat things -------------------------------------------------------------------------------------------------


def band(town: Town, kind: str, top: float, bottom: float, kerb: bool = True) -> None:
    """A band of ground right across the picture, with a kerb at its far edge."""
    land.ground(town.out, kind, top, bottom, dapple=False)
    if kerb:
        pen, thing = town.canvas.pen(), land.GROUNDS[kind][0]
        pen.rectangle(0, top, 1, top + 0.008, (206, 202, 196), thing, None, "stone")
        pen.rectangle(0, top + 0.008, 1, top + 0.014, (120, 116, 114), thing, None, "stone")


def markings(town: Town, y: float) -> None:
    """The dashed line in the middle of a road."""
    pen, x, dash = town.canvas.pen(), town.dice.uniform(-0.1, 0), town.dice.uniform(0.07, 0.12)
    while x < 1:
        pen.polygon(
            [(x, y), (x + dash, y), (x + dash * 1.02, y + 0.012), (x + dash * 0.02, y + 0.012)],
            (232, 230, 222),
            "road",
            None,
            "asphalt",
        )
        x += dash * 1.9


def rails(town: Town, y: float, gauge: float, bed: bool = True) -> None:
    """Rails across the picture: a bed of gravel, sleepers, two rails. `y` is the near rail's row."""
    pen, dice = town.canvas.pen(), town.dice
    if bed:
        gravel = dice.jitter((134, 124, 114), 12)
        pen.rectangle(
            0,
            y - gauge * 1.7,
            1,
            y + gauge * 0.9,
            (mix(gravel, WHITE, 0.2), gravel),
            "rails",
            None,
            "stone",
            texture="rock",
        )
        x, wood, step = dice.uniform(-0.08, 0), dice.jitter((96, 72, 56), 10), gauge * 1.5
        while x < 1.05:
            pen.polygon(
                [
                    (x, y - gauge * 1.35),
                    (x + step * 0.4, y - gauge * 1.35),
                    (x + step * 0.44, y + gauge * 0.45),
                    (x, y + gauge * 0.45),
                ],
                wood,
                "rails",
                None,
                "wood",
            )
            x += step
    for row in (y - gauge, y):
        pen.rectangle(0, row, 1, row + gauge * 0.22, (88, 82, 82), "rails", None, "metal")
        pen.rectangle(0, row - gauge * 0.06, 1, row + gauge * 0.08, (214, 216, 222), "rails", None, "metal")


def platform(town: Town, top: float, bottom: float) -> None:
    """A platform with its pale edge and the wall below it."""
    pen, dice = town.canvas.pen(), town.dice
    tint = dice.jitter(dice.pick(((186, 178, 168), (166, 164, 166), (200, 184, 160), (190, 150, 124))), 10)
    if town.snowy:
        tint = (232, 236, 242)
    edge = dice.pick(((240, 214, 90), WHITE))
    wall = min(0.035, (bottom - top) * 0.4)
    pen.rectangle(0, top, 1, bottom, (mix(tint, WHITE, 0.15), tint), "platform", None, "stone", texture="floor_tiles")
    near_rails = bottom < 0.99
    y = bottom - wall if near_rails else top
    pen.rectangle(0, y - 0.014 * near_rails, 1, y + 0.014 * (not near_rails), edge, "platform", None, "stone")
    if near_rails:
        pen.rectangle(0, y, 1, bottom, (mix(tint, BLACK, 0.35), mix(tint, BLACK, 0.5)), "platform", None, "stone")


def station(town: Town, x: float, y: float) -> None:
    """The station: a long building with arched doors, a clock gable and a canopy over the platform."""
    dice = town.dice
    half, canopy = dice.uniform(1.1, 1.7), dice.chance(0.6)
    town._terrace(building, x, y, dice.uniform(3.6, 4.4), dice.uniform(1.1, 1.5))

    def job() -> None:
        pen, ink = town.pen(x, y, 2.0, flip=False), dice.jitter(dice.pick(AWNINGS), 16)
        if canopy:
            _canopy(pen, ink, half)
        if dice.chance(0.75):
            _clock(pen, dice)
        if dice.chance(0.6):
            _name_board(pen, half * 0.5)

    town.later(y + 0.002, job)


def _canopy(pen: Pen, ink: Colour, half: float) -> None:
    """Posts, a roof and its wooden fringe, `half` to each side of the pen."""
    for k in range(5):
        pen.rectangle(
            half * (-0.9 + 0.45 * k) - 0.025,
            -0.06,
            half * (-0.9 + 0.45 * k) + 0.025,
            0.78,
            mix(ink, BLACK, 0.4),
            "awning",
            "pole",
            "metal",
        )
    roofline = [(-half, 0.74), (half, 0.74), (half * 0.94, 1.0), (-half * 0.94, 1.0)]
    pen.polygon(roofline, (mix(ink, WHITE, 0.25), ink), "awning", "canopy", "metal")
    for k in range(16):
        pen.polygon(
            arched(-half + half * (k + 0.5) / 8, 0.76, half / 9, -0.07),
            mix(ink, WHITE, 0.4),
            "awning",
            "canopy",
            "wood",
        )


def _clock(pen: Pen, dice: Dice) -> None:
    cy = 1.28
    pen.ellipse(0, cy, 0.23, 0.23, (60, 56, 54), "clock", "frame", "metal")
    pen.ellipse(0, cy, 0.19, 0.19, (250, 246, 230), "clock", "face", "metal")
    pen.line(
        [(0.0, cy + 0.15), (0, cy), (dice.uniform(-0.1, 0.1), cy - 0.07)], 0.03, BLACK, "clock", "face", "metal"
    )


def _name_board(pen: Pen, x: float) -> None:
    pen.polygon(box(x, 1.02, 0.9, 0.18), (40, 70, 120), "sign", "face", "metal")
    for k in range(5):
        pen.polygon(box(x - 0.3 + 0.15 * k, 1.07, 0.09, 0.08), WHITE, "sign", "face", "metal")
