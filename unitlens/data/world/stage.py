"""The things of an outdoor scene: chosen by a table, placed without crowding, painted from far to near."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unitlens.data.world.atmosphere import Outdoors
from unitlens.data.world.canvas import Pen
from unitlens.data.world.dice import Dice

Draw = Callable[[Pen, Dice, "Stage"], None]
# what is drawn, with which chance, how many (from, to), in which band, its height at the lower edge, its shadow
Entry = tuple[Draw, float, tuple[int, int], str, float, float]


class Stage:
    """The things of a scene: chosen by a table, placed without crowding, painted from far to near."""

    def __init__(self, out: Outdoors, bands: dict[str, tuple[float, float]], snowy: bool = False):
        self.out, self.dice, self.bands, self.snowy = out, out.dice, bands, snowy
        self.zoom = self.dice.uniform(0.55, 1.05)
        self.rich = 0.4 if self.dice.chance(0.07) else 1.0  # a few scenes show hardly anything typical
        self.things: list[tuple[float, float, float, float, Draw]] = []

    def add(self, draw: Draw, x: float, y: float, near: float, shadow: float = 0.0) -> None:
        """Places one thing at (x, y)."""
        self.things.append((y, x, self.out.size(y, near * self.zoom), shadow, draw))

    def fill(self, entries: Sequence[Entry]) -> None:
        """Rolls the dice for every entry of a table and finds places in their bands."""
        for draw, chance, (least, most), band, near, shadow in entries:
            count = self.dice.integer(least, most)
            if not self.dice.chance(chance * self.rich):
                continue
            for _ in range(count):
                self.add(draw, *self._place(self.bands[band], near), near, shadow)

    def _place(self, band: tuple[float, float], near: float) -> tuple[float, float]:
        for _ in range(5):
            x, y = self.dice.uniform(0.03, 0.97), band[0] + (band[1] - band[0]) * self.dice.uniform() ** 1.3
            room = 0.4 * self.out.size(y, near * self.zoom)
            if all(abs(x - u) > room + 0.25 * h or abs(y - v) > 0.2 for v, u, h, _, _ in self.things):
                break
        return x, y

    def paint(self) -> None:
        """Paints everything, the far things first."""
        for y, x, height, shadow, draw in sorted(self.things, key=lambda thing: thing[0]):
            draw(self.out.at(x, y, height, shadow=shadow), self.dice, self)


def plain(f: Callable[..., None], *options: object) -> Draw:
    """A table's entry for an object that needs to know nothing of the scene."""
    return lambda pen, dice, stage: f(pen, dice, *options)


def built(f: Callable[..., None]) -> Draw:
    """A table's entry for a building: lit at night, snowed on in winter."""
    return lambda pen, dice, stage: f(pen, dice, stage.out.night, stage.snowy)


def vehicle(f: Callable[..., None]) -> Draw:
    """A table's entry for a vehicle or a boat with lamps."""
    return lambda pen, dice, stage: f(pen, dice, stage.out.night)
