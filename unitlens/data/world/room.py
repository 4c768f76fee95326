"""A room seen from inside: walls, floor, ceiling in perspective, its light, and places for things."""

from __future__ import annotations

from collections.abc import Callable

from unitlens.data.world.canvas import Canvas, Colour, Pen
from unitlens.data.world.dice import Dice
from unitlens.data.world.shell import WALLS, dim, paint_shell

LIGHTS = {  # tint, gain
    "bright": ((1.0, 0.985, 0.95), 1.03), "soft": ((1.0, 0.97, 0.92), 0.94), "cold": ((0.88, 0.95, 1.03), 0.92),
    "evening": ((1.0, 0.84, 0.66), 0.82), "night": ((0.70, 0.76, 0.98), 0.76),
}  # fmt: skip


def solid(pen: Pen, x0: float, y0: float, x1: float, y1: float, rise: float, colour: Colour, thing: str,
          part: str | None = None, material: str | None = None, *, top: Colour | None = None,
          top_part: str | None = None, texture: str | None = None) -> None:  # fmt: skip
    """A box on an object's pen (y up): its front, its top going back by `rise`, and the side that can be seen."""
    sign = 1.0 if pen.right[0] >= 0 else -1.0
    skew = sign * rise * 2.0 * (0.5 - pen.origin[0])
    inner = 0.12 * rise
    edge, back = (x1, x1 + skew - inner) if skew > 0 else (x0, x0 + skew + inner)
    if abs(skew) > inner:
        side = [(edge, y0), (edge, y1), (back, y1 + rise), (back, y0 + rise)]
        pen.polygon(side, dim(colour, 0.72), thing, part, material)
    lid = [(x0, y1), (x1, y1), (x1 + skew - inner, y1 + rise), (x0 + skew + inner, y1 + rise)]
    pen.polygon(lid, top or dim(colour, 1.18), thing, top_part or part, material)
    if texture:
        pen.rectangle(x0, y0, x1, y1, colour, thing, part, material, texture=texture)
    else:
        pen.rectangle(x0, y0, x1, y1, (dim(colour, 1.04), dim(colour, 0.88)), thing, part, material)


class Room:
    """A room whose things are first planned (`hang`, `lean`, `stand`, `lay`) and then drawn, far to near, by `finish`.

    Lengths are in metres; `scale(y)` is the share of the picture that a metre takes on the floor row y.
    """

    def __init__(self, canvas: Canvas, dice: Dice, *, wall: str | None = None, floor: str | None = None,
                 light: str | None = None):  # fmt: skip
        self.canvas, self.dice, self.pen = canvas, dice, canvas.pen()
        self.unit = min(0.36, max(0.19, dice.bell(0.255, 0.042)))
        self.foot = min(0.80, max(0.55, dice.bell(0.665, 0.05)))
        self.eye = self.foot - dice.uniform(1.45, 2.1) * self.unit
        self.vanish = dice.uniform(0.3, 0.7)
        self.top = self.foot - dice.uniform(2.5, 3.1) * self.unit
        self.left, self.right = self._corners()
        self.light = light or dice.pick(tuple(LIGHTS), (0.40, 0.24, 0.14, 0.16, 0.06))
        self.dark = self.light in ("evening", "night")
        self.sun = dice.uniform(-0.30, 0.30)
        self.colour = dice.jitter(dice.pick(WALLS), 14)
        self.wall_kind = wall or dice.pick(
            ("plain", "stripes", "motif", "panel", "bricks", "wood"), (5, 2, 2, 2, 0.5, 0.5)
        )
        self.floor_kind = floor or dice.pick(("planks", "boards", "tiles", "carpet", "checker"), (4, 3, 1, 2, 0.7))
        self.wall_taken: list[tuple[float, float]] = []
        self.foot_taken: list[tuple[float, float]] = []
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.glows: list[tuple[float, float, float, Colour, float]] = []
        self.sunny: list[tuple[float, float]] = []

    def _corners(self) -> tuple[float, float]:
        dice = self.dice
        side = dice.pick(("none", "left", "right", "both"), (0.36, 0.25, 0.25, 0.14))
        return (dice.uniform(0.05, 0.22) if side in ("left", "both") else -0.3,
                dice.uniform(0.78, 0.95) if side in ("right", "both") else 1.3)  # fmt: skip

    def scale(self, y: float) -> float:
        """The share of the picture that one metre takes on the floor row y."""
        return self.unit * (y - self.eye) / (self.foot - self.eye)

    def _ray(self, x: float, y: float, stop: float) -> tuple[float, float]:
        """Where the line from the vanishing point through (x, y) is `stop` times as far from it."""
        return self.vanish + (x - self.vanish) * stop, self.eye + (y - self.eye) * stop

    # ---- planning -------------------------------------------------------------------------------------------

    def _free(self, taken: list[tuple[float, float]], width: float, near: float | None = None) -> float | None:
        low, high = max(self.left, -0.12) + width / 2, min(self.right, 1.12) - width / 2
        if high <= low:
            return None
        tries = [self.dice.uniform(low, high) for _ in range(14)]
        tries += [low + (high - low) * k / 8 for k in range(9)]
        if near is not None:
            tries = [min(high, max(low, near + self.dice.uniform(-0.06, 0.06))), *tries]
        for x in tries:
            if all(x + width / 2 <= a or x - width / 2 >= b for a, b in taken):
                return x
        return None

    def hang(self, draw: Callable, width: float, height: float, low: float, *options: object,
             near: float | None = None) -> float | None:  # fmt: skip
        """Plans a thing on the back wall, its lower edge `low` metres above the floor; its x, or None if no room."""
        half = width * self.unit / 2
        x = self._free(self.wall_taken, width * self.unit + 0.02, near)
        if x is not None:
            self.wall_taken.append((x - half, x + half))
            pen = self.canvas.at(x, self.foot - low * self.unit, height * self.unit)
            self.queue.append((-1.0, len(self.queue), lambda: draw(pen, self.dice, *options)))
        return x

    def lean(self, draw: Callable, width: float, height: float, *options: object, depth: float = 0.10,
             near: float | None = None) -> tuple[float, float] | None:  # fmt: skip
        """Plans a thing standing against the back wall; its foot (x, y), or None if there is no room."""
        x = self._free(self.foot_taken, width * self.unit + 0.01, near)
        if x is None:
            return None
        half = width * self.unit / 2
        self.foot_taken.append((x - half, x + half))
        if height > 1.25:
            self.wall_taken.append((x - half, x + half))
        self.stand(draw, x, self.foot + depth * self.unit, height, *options, shade=width)
        return x, self.foot + depth * self.unit

    def stand(self, draw: Callable, x: float, y: float, height: float, *options: object, shade: float = 0.6,
              flip: bool = False) -> None:  # fmt: skip
        """Plans a thing standing on the floor at (x, y); `shade` is the width of its shadow in metres."""
        metre = self.scale(y)
        pen = self.canvas.at(x, y, height * metre, flip=flip)

        def paint() -> None:
            if shade > 0:
                self.canvas.shadow(x + 0.02, y, shade * metre * 1.15, 0.10 * metre, 0.30)
            draw(pen, self.dice, *options)

        self.queue.append((y, len(self.queue), paint))

    def lay(self, draw: Callable, x: float, y: float, above: float, height: float, *options: object) -> None:
        """Plans a thing lying on another that stands at (x, y) (plan that one first), `above` metres high."""
        pen = self.canvas.at(x, y - above * self.scale(y), height * self.scale(y))
        self.queue.append((y, len(self.queue), lambda: draw(pen, self.dice, *options)))

    def lamp_glow(self, x: float, y: float, radius: float, strength: float = 0.4) -> None:
        """Remembers a lamp at (x, y) of the picture; it shines if the room is dark."""
        if self.dark:
            self.glows.append((x, y, radius, (255, 214, 140), strength))

    def spot(self, low: float = 0.1, high: float = 0.9) -> tuple[float, float]:
        """A place on the open floor, nearer than what leans on the wall."""
        x = self.dice.uniform(low, high)
        return x, self.foot + (1.0 - self.foot) * self.dice.uniform(0.45, 0.95)

    # ---- the end --------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Draws everything that is planned, far to near, and lets the light fall."""
        paint_shell(self)
        ordered = sorted(self.queue, key=lambda item: item[:2])
        for y, _, paint in ordered:
            if y < 0:
                paint()
        if self.light == "bright":
            for x, width in self.sunny:
                self._sunbeam(x, width)
        for y, _, paint in ordered:
            if y >= 0:
                paint()
        tint, gain = LIGHTS[self.light]
        self.canvas.light(tint, gain * self.dice.uniform(0.93, 1.05), slope=self.dice.uniform(0.0, 0.14))
        for x, y, radius, colour, strength in self.glows:
            for share in (1.0, 0.45):
                ring = [(x + radius * share * a, y + radius * share * b) for a, b in OCTAGON]
                self.canvas.glow(ring, colour, strength * 0.6, blur=radius * share * 0.45)

    def _sunbeam(self, x: float, width: float) -> None:
        near, far = self.foot + 0.10 * self.unit, min(1.05, self.foot + 1.0 * self.unit)
        half, shift = width / 2, self.sun
        for a, b in ((-half, -0.01), (0.01, half)):
            quad = [(x + a + shift * 0.3, near), (x + b + shift * 0.3, near),
                    (x + b * 1.35 + shift, far), (x + a * 1.35 + shift, far)]  # fmt: skip
            self.canvas.glow(quad, (255, 246, 205), 0.36, blur=0.008)


OCTAGON = ((1, 0), (0.71, 0.71), (0, 1), (-0.71, 0.71), (-1, 0), (-0.71, -0.71), (0, -1), (0.71, -0.71))
