"""The outdoor frame: time of day, weather, sky, distance and the light that binds a scene together."""

from __future__ import annotations

import math

from unitlens.data.world.canvas import Canvas, Colour, Pen, mix
from unitlens.data.world.dice import Dice

# time of day and weather -> pairs (colour of the zenith, colour of the horizon)
SKIES: dict[str, tuple[tuple[Colour, Colour], ...]] = {
    "clear": (
        ((64, 136, 214), (190, 226, 246)),
        ((88, 160, 232), (222, 238, 244)),
        ((70, 150, 205), (244, 236, 208)),
        ((104, 176, 226), (236, 242, 226)),
        ((46, 112, 190), (170, 212, 240)),
    ),
    "cloudy": (
        ((96, 150, 206), (214, 228, 238)),
        ((122, 166, 204), (232, 234, 230)),
        ((84, 132, 188), (220, 222, 226)),
    ),
    "grey": (
        ((140, 150, 162), (206, 210, 212)),
        ((158, 164, 170), (224, 222, 214)),
        ((120, 134, 152), (190, 200, 208)),
    ),
    "misty": (((178, 196, 208), (230, 234, 232)), ((190, 196, 204), (238, 230, 218))),
    "dusk": (
        ((88, 86, 156), (255, 178, 118)),
        ((122, 92, 158), (255, 196, 160)),
        ((70, 104, 168), (255, 206, 130)),
        ((150, 104, 150), (250, 150, 110)),
        ((108, 140, 190), (255, 220, 170)),
    ),
    "night": (((34, 46, 108), (112, 132, 196)), ((34, 38, 92), (134, 122, 186)), ((26, 56, 112), (100, 152, 190))),
}
CLOUDS = {"clear": (0, 3), "cloudy": (4, 8), "grey": (3, 7), "misty": (0, 2), "dusk": (1, 5), "night": (0, 3)}
LIGHTS = {  # tint and gain of the finished picture
    "clear": ((1.03, 1.0, 0.95), 1.0),
    "cloudy": ((0.98, 1.0, 1.01), 0.98),
    "grey": ((0.95, 0.98, 1.02), 0.9),
    "misty": ((0.99, 1.0, 1.0), 0.98),
    "dusk": ((1.08, 0.88, 0.8), 0.88),
    "night": ((0.58, 0.67, 0.95), 0.90),
}


class Outdoors:
    """Time of day, weather and distance of an outdoor scene; draws the sky and hands out pens.

    season, weather: where they are not left to the dice; a given weather is that of a day.
    """

    def __init__(self, canvas: Canvas, dice: Dice, *, season: str | None = None, weather: str | None = None):
        self.canvas, self.dice = canvas, dice
        self.season = season or dice.pick(("spring", "summer", "autumn", "winter"), (0.27, 0.37, 0.24, 0.12))
        hour = "day" if weather else dice.pick(("day", "dusk", "night"), (0.70, 0.18, 0.12))
        self.night, self.dusk = hour == "night", hour == "dusk"
        self.weather = weather or dice.pick(("clear", "cloudy", "grey", "misty"), (0.42, 0.30, 0.17, 0.11))
        self.mood = self.weather if hour == "day" else hour
        self.horizon = dice.uniform(0.30, 0.60)
        zenith, low = dice.pick(SKIES[self.mood])
        self.zenith, self.low = dice.jitter(zenith, 10), dice.jitter(low, 8)
        self.haze: Colour = mix(self.low, self.zenith, 0.30 if self.mood != "dusk" else 0.42)
        self.sun_x = dice.uniform(0.05, 0.95)
        self.strong = self.mood in ("clear", "cloudy", "dusk")  # is there a sun that casts shadows?
        self._lamps: list[tuple[float, float, float, Colour]] = []

    # ---- the sky --------------------------------------------------------------------------------------------

    def sky(self) -> None:
        """Paints the sky, the sun or the moon, and the clouds."""
        pen, h = self.canvas.pen(), self.horizon
        middle = mix(self.zenith, self.low, 0.62)
        pen.rectangle(0, 0, 1, h * 0.66, (self.zenith, middle), "sky", material="air")
        pen.rectangle(0, h * 0.655, 1, h + 0.12, (middle, mix(self.low, (255, 255, 255), 0.12)), "sky", material="air")
        if self.night:
            self._stars(pen)
        self._sun(pen)
        for _ in range(self.dice.integer(*CLOUDS[self.mood])):
            self._cloud(pen)

    def _stars(self, pen: Pen) -> None:
        for _ in range(self.dice.integer(8, 26)):
            x, y, r = self.dice.uniform(), self.dice.uniform(0, self.horizon * 0.9), self.dice.uniform(0.002, 0.0045)
            pen.rectangle(
                x, y, x + r, y + r, mix((255, 255, 255), self.zenith, self.dice.uniform(0, 0.6)), "sky", material="air"
            )

    def _sun(self, pen: Pen) -> None:
        dice, h = self.dice, self.horizon
        seen = {"clear": 0.45, "cloudy": 0.25, "grey": 0.0, "misty": 0.15, "dusk": 0.65, "night": 0.7}
        y = h * (dice.uniform(0.72, 0.98) if self.dusk else dice.uniform(0.15, 0.6))
        r = dice.uniform(0.03, 0.055)
        if not dice.chance(seen[self.mood]):
            return
        if self.night:
            self._halo(self.sun_x, y, r, (200, 214, 255), 0.35)
            pen.ellipse(self.sun_x, y, r, r, (250, 248, 226), "moon")
            for dx, dy, size in ((0.3, 0.2, 0.22), (-0.35, -0.2, 0.16), (-0.1, 0.45, 0.14)):
                pen.ellipse(self.sun_x + dx * r, y + dy * r, r * size, r * size, (224, 222, 200), "moon")
            return
        tint = dice.pick(((255, 214, 120), (255, 186, 104), (255, 236, 170))) if self.dusk else (255, 246, 200)
        self._halo(self.sun_x, y, r, tint, 0.5)
        pen.ellipse(self.sun_x, y, r, r, mix(tint, (255, 255, 255), 0.35), "sun")

    def _halo(self, x: float, y: float, r: float, colour: Colour, strength: float) -> None:
        for scale, share in ((4.0, 0.45), (2.0, 0.8)):
            ring = [
                (x + r * scale * math.cos(k / 10 * math.pi), y + r * scale * math.sin(k / 10 * math.pi))
                for k in range(20)
            ]
            self.canvas.glow(ring, colour, strength * share, blur=r * scale * 0.5)

    def _cloud(self, pen: Pen) -> None:
        dice, h = self.dice, self.horizon
        x, y = dice.uniform(-0.05, 1.05), h * dice.uniform(0.04, 0.82)
        width = dice.uniform(0.12, 0.36) * (1.15 - 0.7 * y / h)
        thick = width * dice.uniform(0.22, 0.42) * (1 - 0.45 * y / h)
        sky = mix(self.zenith, self.low, y / h)
        light, dark = {
            "grey": ((226, 228, 230), (150, 158, 168)),
            "dusk": ((255, 214, 180), mix(sky, (150, 84, 120), 0.45)),
            "night": (mix(sky, (160, 170, 210), 0.35), mix(sky, (20, 24, 60), 0.35)),
        }.get(self.mood, ((255, 255, 255), mix((206, 218, 232), sky, 0.3)))
        light = mix(light, sky, 0.12 + 0.25 * y / h)
        puffs = [(dice.uniform(-0.9, 0.9), dice.uniform(0.3, 0.62)) for _ in range(dice.integer(3, 6))]
        base = y + thick * 0.35
        for offset, size in [(0.0, 0.75), *puffs]:
            size *= 1.15 - 0.7 * abs(offset)
            top = thick * size * 1.5
            ring = [
                (x + offset * width + width * 0.5 * size * math.cos(a), base - max(0.0, top * math.sin(a)))
                for a in (k / 11 * math.pi for k in range(12))
            ]
            pen.polygon(ring, (light, dark) if width > 0.1 else light, "cloud", material="air")

    # ---- distance -------------------------------------------------------------------------------------------

    def distance(self, y: float) -> float:
        """How far row y is: 1 at the horizon, 0 at the lower edge of the picture."""
        return min(1.0, max(0.0, (1 - y) / max(0.1, 1 - self.horizon)))

    def hazed(self, pen: Pen, y: float) -> Pen:
        """The pen, faded as things that stand at row y are."""
        most = 0.72 if self.weather == "misty" else 0.42
        return pen.hazed(self.haze, most * self.distance(y) ** (1.5 if self.weather == "misty" else 2.2))

    def at(self, x: float, y: float, height: float, *, flip: bool | None = None, shadow: float = 0.0) -> Pen:
        """A pen for an object with its foot at (x, y), hazed by distance; `shadow` is its width per height."""
        mirrored = self.dice.chance(0.5) if flip is None else flip
        if shadow > 0:
            self.cast(x, y, shadow * height)
        return self.hazed(self.canvas.at(x, y, height, flip=mirrored), y)

    def cast(self, x: float, y: float, width: float) -> None:
        """The soft shadow of something `width` wide that stands at (x, y); it falls away from the sun."""
        drift = (0.5 - self.sun_x) * width * (0.9 if self.strong else 0.0)
        flat = min(0.045, width * 0.13)
        strength = (0.36 if self.strong else 0.22) * (1 - 0.5 * self.distance(y))
        ring = [
            (
                x + drift * 0.5 + (width * 0.55 + abs(drift) * 0.4) * math.cos(k / 10 * math.pi),
                y + flat * 0.25 + flat * math.sin(k / 10 * math.pi),
            )
            for k in range(20)
        ]
        self.canvas.shade(ring, strength, blur=min(0.014, width * 0.08))

    def size(self, y: float, near: float = 0.6) -> float:
        """The height in the picture of a unit-sized thing that stands at row y: `near` at y = 1."""
        return near * max(0.06, 1 - 0.88 * self.distance(y))

    # ---- the light ------------------------------------------------------------------------------------------

    def lamp(self, x: float, y: float, radius: float, colour: Colour = (255, 220, 140)) -> None:
        """Remembers a lit lamp or window at (x, y): it glows through the evening (nothing happens by day)."""
        self._lamps.append((x, y, radius, colour))

    def finish(self) -> None:
        """The light of the hour and the weather, mist, lamps; call it last."""
        canvas, h = self.canvas, self.horizon
        if self.mood == "misty" or (self.weather == "misty" and self.dusk):
            canvas.fog(mix(self.low, (255, 255, 255), 0.2), h * 0.6, h + 0.5 * (1 - h), self.dice.uniform(0.3, 0.6))
        elif self.strong and self.dice.chance(0.6):
            side = -0.1 if self.sun_x < 0.5 else 1.1
            beam = [(side, -0.2), (side, 0.5), (1 - side, 1.1), (0.5 - (side - 0.5) * 0.1, 1.1)]
            canvas.glow(beam, (255, 226, 170) if self.dusk else (255, 250, 222), 0.13, blur=0.08)
        tint, gain = LIGHTS[self.mood]
        canvas.light(tint, gain * self.dice.uniform(0.95, 1.05), slope=self.dice.uniform(0.02, 0.14))
        moon = canvas.surfaces.get(("moon", None, None))
        if moon is not None:  # the moon shines by itself
            canvas.rgb.paste((250, 248, 226), (0, 0), canvas.ids.point(lambda v: 215 if v == moon else 0))
        if self.night or self.dusk:
            for x, y, radius, colour in self._lamps:
                for scale, share in ((1.0, 0.30), (0.4, 0.55)):
                    ring = [
                        (x + radius * scale * math.cos(k / 8 * math.pi), y + radius * scale * math.sin(k / 8 * math.pi))
                        for k in range(16)
                    ]
                    canvas.glow(ring, colour, share * (1.0 if self.night else 0.45), blur=radius * scale * 0.45)
