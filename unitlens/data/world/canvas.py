"""Canvas and Pen: every stroke paints a picture and, at the same time, its exact labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from unitlens.data.world.dice import Dice
from unitlens.data.world.textures import TEXTURES
from unitlens.data.world.vocabulary import MATERIALS, OBJECTS, PARTS

Colour = Sequence[float]  # RGB, 0..255
Paint = Colour | tuple[Colour, Colour]  # two make a gradient, from top to bottom
Point = tuple[float, float]
SUPERSAMPLE = 2  # painted at twice the size, then averaged: smooth edges


class Canvas:
    """A square picture under construction.

    Two layers are painted with the same shapes: `rgb`, and `ids`, which says for each pixel which surface is
    seen there: a triple (object, part, material). Light and shadow change the first and leave the second.
    """

    def __init__(self, size: int, dice: Dice):
        self.size, self.dice = size, dice
        self.side = size * SUPERSAMPLE  # pixels of the supersampled picture
        self.rgb = Image.new("RGB", (self.side, self.side), (128, 128, 128))
        self.ids = Image.new("L", (self.side, self.side), 0)
        self.surfaces: dict[tuple[str, str | None, str | None], int] = {}

    def pen(self) -> Pen:
        """The pen for the whole picture: x right and y **down**, both 0..1."""
        return Pen(self, (0.0, 0.0), (1.0, 0.0), (0.0, 1.0))

    def at(self, x: float, y: float, height: float, *, flip: bool = False, lean: float = 0.0) -> Pen:
        """A pen for one object: (0, 0) is its foot at (x, y) of the picture, x right, y **up**, 1 = `height`."""
        return self.pen().at(x, y, height, flip=flip, lean=lean, up=True)

    def surface(self, thing: str, part: str | None, material: str | None) -> int:
        """The id of a surface; unknown names are a mistake in the world's code, so they raise."""
        key = (thing, part, material)
        if key not in self.surfaces:
            for name, known in ((thing, OBJECTS), (part, PARTS), (material, MATERIALS)):
                if name is not None and name not in known:
                    raise KeyError(f"{name!r} is not in unitlens.data.world.vocabulary")
            if len(self.surfaces) >= 255:
                raise OverflowError("a scene has at most 255 different surfaces")
            self.surfaces[key] = len(self.surfaces) + 1
        return self.surfaces[key]

    # ---- light: changes the picture, never the labels -------------------------------------------------------

    def shade(self, points: Iterable[Point], strength: float = 0.35, blur: float = 0.01) -> None:
        """Darkens a polygon (picture coordinates, y down) with a soft edge: a cast shadow."""
        self._veil(points, (0, 0, 12), strength, blur)

    def glow(self, points: Iterable[Point], colour: Colour, strength: float = 0.5, blur: float = 0.03) -> None:
        """Lightens a polygon (picture coordinates, y down) towards a colour: a lamp, a sunset."""
        self._veil(points, colour, strength, blur)

    def shadow(self, x: float, y: float, width: float, height: float = 0.02, strength: float = 0.3) -> None:
        """The soft oval shadow under something that stands at (x, y)."""
        self.shade(_oval(x, y, width / 2, height / 2), strength, blur=0.008)

    def _veil(self, points: Iterable[Point], colour: Colour, strength: float, blur: float) -> None:
        radius = max(1, round(blur * self.side)) if blur > 0 else 0
        xy = [(round(x * self.side, 2), round(y * self.side, 2)) for x, y in points]
        margin = 2 * radius + 2
        left, top = (max(0, math.floor(min(c)) - margin) for c in zip(*xy, strict=True))
        right, bottom = (min(self.side, math.ceil(max(c)) + margin) for c in zip(*xy, strict=True))
        if left >= right or top >= bottom:
            return
        mask = Image.new("L", (right - left, bottom - top), 0)
        fill = int(255 * min(1.0, max(0.0, strength)))
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in xy], fill=fill)
        if radius:
            mask = mask.filter(ImageFilter.BoxBlur(radius))
        self.rgb.paste(_ink(colour), (left, top), mask)

    def light(self, tint: Colour, gain: float = 1.0, slope: float = 0.0) -> None:
        """Multiplies the picture by a tint (1, 1, 1 = white) and a gain; `slope` darkens towards the lower edge."""
        rows = gain * (1 - slope * np.linspace(0, 1, self.side))[:, None, None]
        lit = np.asarray(self.rgb, dtype=np.float32) * (rows * np.asarray(tint)).astype(np.float32)
        self.rgb = Image.fromarray(lit.clip(0, 255).astype(np.uint8))

    def fog(self, colour: Colour, top: float, bottom: float, strength: float) -> None:
        """Mixes a colour in, from full strength at row `top` to none at row `bottom` (0..1)."""
        rows = (np.arange(self.side) + 0.5) / self.side
        ramp = strength * ((bottom - rows) / max(1e-6, bottom - top)).clip(0, 1)
        mask = Image.fromarray(np.repeat((ramp * 255).astype(np.uint8)[:, None], self.side, 1))
        self.rgb.paste(_ink(colour), (0, 0), mask)

    def picture(self) -> np.ndarray:
        """The finished picture: uint8, (size, size, 3)."""
        small = self.rgb.resize((self.size, self.size), Image.Resampling.BOX)
        return np.array(small)  # a copy: PIL's own is read-only

    def planes(self) -> tuple[np.ndarray, list[tuple[str, str | None, str | None]]]:
        """Surface ids of every pixel, uint8 (size, size), and the surfaces they stand for (id 1 first)."""
        half = SUPERSAMPLE // 2
        return np.asarray(self.ids)[half::SUPERSAMPLE, half::SUPERSAMPLE].copy(), list(self.surfaces)


class Pen:
    """Draws shapes in its own coordinates; all the shapes of an object share one pen.

    `haze` = (colour, amount 0..1) fades what the pen draws, as distance does.
    """

    def __init__(
        self, canvas: Canvas, origin: Point, right: Point, down: Point, haze: tuple[Colour, float] | None = None
    ):
        self.canvas, self.origin, self.right, self.down, self.haze = canvas, origin, right, down, haze

    @property
    def unit(self) -> float:
        """Length of the pen's unit as a share of the picture."""
        return math.hypot(*self.right)

    def at(
        self, x: float, y: float, scale: float, *, flip: bool = False, lean: float = 0.0, up: bool = False
    ) -> Pen:
        """A pen inside this one, `scale` of its units to one; `lean` tilts it (radians); `up` turns y upwards."""
        turn = (math.cos(lean), math.sin(lean))
        sign, sky = (-1.0 if flip else 1.0), (-1.0 if up else 1.0)
        right = self._direction(sign * scale * turn[0], sign * scale * turn[1])
        down = self._direction(-sky * scale * turn[1], sky * scale * turn[0])
        return Pen(self.canvas, self.place(x, y), right, down, self.haze)

    def hazed(self, colour: Colour, amount: float) -> Pen:
        """The same pen, drawing further away."""
        return Pen(self.canvas, self.origin, self.right, self.down, (colour, amount))

    def _direction(self, x: float, y: float) -> Point:
        return x * self.right[0] + y * self.down[0], x * self.right[1] + y * self.down[1]

    def place(self, x: float, y: float) -> Point:
        """Where a point of the pen lies in the picture (0..1, y down)."""
        dx, dy = self._direction(x, y)
        return self.origin[0] + dx, self.origin[1] + dy

    def polygon(
        self,
        points: Sequence[Point],
        colour: Paint,
        thing: str,
        part: str | None = None,
        material: str | None = None,
        *,
        texture: str | None = None,
    ) -> None:
        """Fills a polygon. Two colours make a gradient from its top to its bottom in the picture."""
        side = self.canvas.side
        # drawn even off the picture, so that all sizes see the same dice
        shift = self.canvas.dice.uniform() if texture else 0.0
        xy = self._pixels(points)
        left, top = (max(0, math.floor(min(c))) for c in zip(*xy, strict=True))
        right, bottom = (min(side, math.ceil(max(c)) + 1) for c in zip(*xy, strict=True))
        if left >= right or top >= bottom:
            return
        surface = self.canvas.surface(thing, part, material)
        first, last = _ends(colour)
        if last is None and texture is None:
            ImageDraw.Draw(self.canvas.rgb).polygon(xy, fill=_ink(self._far(first)))
            ImageDraw.Draw(self.canvas.ids).polygon(xy, fill=surface)
            return
        box = (left, top, right, bottom)
        mask = Image.new("L", (right - left, bottom - top), 0)
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in xy], fill=255)
        patch = self._patch(box, self._far(first), self._far(first if last is None else last), texture, shift)
        self.canvas.rgb.paste(patch, box, mask)
        self.canvas.ids.paste(surface, box, mask)

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        """Points of the pen in pixels of the supersampled picture, rounded so that no last digit of a sine matters."""
        side, (ox, oy), (rx, ry), (dx, dy) = self.canvas.side, self.origin, self.right, self.down
        return [(round((ox + x * rx + y * dx) * side, 2), round((oy + x * ry + y * dy) * side, 2)) for x, y in points]

    def _far(self, colour: Colour) -> Colour:
        if self.haze is None:
            return colour
        haze, amount = self.haze
        return tuple(c + (h - c) * amount for c, h in zip(colour, haze, strict=True))

    def _patch(self, box: tuple[int, int, int, int], first: Colour, last: Colour, texture: str | None,
               shift: float) -> Image.Image:  # fmt: skip
        left, top, right, bottom = box
        side = self.canvas.side
        v = (np.arange(top, bottom, dtype=np.float32) + 0.5)[:, None] / side  # (H, 1)
        u = (np.arange(left, right, dtype=np.float32) + 0.5)[None, :] / side  # (1, W)
        ramp = ((v * side - top) / (bottom - top))[..., None]
        ends = np.asarray(first, np.float32), np.asarray(last, np.float32)
        base = ends[0] + (ends[1] - ends[0]) * ramp  # (H, 1, 3)
        if texture is None:
            rgb = np.broadcast_to(base, (bottom - top, right - left, 3))
        else:
            strength = 1.0 if self.haze is None else 1 - self.haze[1]
            u, v = np.broadcast_arrays(u, v)  # (H, W)
            pattern = TEXTURES[texture](u, v, shift)  # (H, W)
            rgb = base * (1 + strength * (pattern - 1))[..., None]
        return Image.fromarray(np.rint(rgb.clip(0, 255)).astype(np.uint8))

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Paint, thing: str, part: str | None = None,
                  material: str | None = None, *, texture: str | None = None) -> None:  # fmt: skip
        """Fills the rectangle between two corners."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, thing, part, material, texture=texture)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Paint, thing: str, part: str | None = None,
                material: str | None = None, *, texture: str | None = None) -> None:  # fmt: skip
        """Fills an ellipse with its centre at (x, y)."""
        self.polygon(_oval(x, y, rx, ry), colour, thing, part, material, texture=texture)

    def line(self, points: Sequence[Point], width: float, colour: Paint, thing: str, part: str | None = None,
             material: str | None = None, *, texture: str | None = None) -> None:  # fmt: skip
        """A stroke of the given width (in the pen's units) along the points."""
        for (x0, y0), (x1, y1) in zip(points[:-1], points[1:], strict=True):
            length = math.hypot(x1 - x0, y1 - y0) or 1.0
            ox, oy = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
            corners = [(x0 + ox, y0 + oy), (x1 + ox, y1 + oy), (x1 - ox, y1 - oy), (x0 - ox, y0 - oy)]
            self.polygon(corners, colour, thing, part, material, texture=texture)

    def blob(self, x: float, y: float, rx: float, ry: float, colour: Paint, thing: str, part: str | None = None,
             material: str | None = None, *, texture: str | None = None, lumps: int = 7,
             depth: float = 0.15) -> None:  # fmt: skip
        """A round shape with a lumpy edge: crowns, clouds, bushes, rocks."""
        dice = self.canvas.dice
        waves = [(dice.integer(2, lumps), dice.uniform(0, 6.283), dice.uniform(0.4, 1)) for _ in range(3)]
        total = sum(w for _, _, w in waves)
        ring = []
        for k in range(40):
            angle = k / 40 * 2 * math.pi
            r = 1 + depth * sum(w * math.sin(n * angle + phase) for n, phase, w in waves) / total
            ring.append((x + rx * r * math.cos(angle), y + ry * r * math.sin(angle)))
        self.polygon(ring, colour, thing, part, material, texture=texture)


def mix(a: Colour, b: Colour, share: float) -> tuple[float, float, float]:
    """The colour that lies `share` of the way from a to b."""
    r, g, bl = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return r, g, bl


def _ends(paint: Paint) -> tuple[Colour, Colour | None]:
    """The colours of a gradient, or one colour and None."""
    if isinstance(paint[0], (int, float)):
        return cast(Colour, paint), None
    first, last = cast(tuple[Colour, Colour], paint)
    return first, last


def _ink(colour: Colour) -> tuple[int, int, int]:
    r, g, b = (int(min(255, max(0, round(c)))) for c in colour)
    return r, g, b


def _oval(x: float, y: float, rx: float, ry: float) -> list[Point]:
    return [(x + rx * math.cos(k / 14 * math.pi), y + ry * math.sin(k / 14 * math.pi)) for k in range(28)]
