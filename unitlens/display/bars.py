"""Bars: where the bars of bar traces stand (stacked, side by side, one over the other), and how they are drawn."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unitlens.display.scales import Scale, formatted, item, listed
from unitlens.display.svg import (
    Looks,
    alike,
    element,
    number,
    on,
    paint,
    plain_words,
    safe,
    text_looks,
    text_width,
    words,
)

#: A panel of more bars has no tooltips, and stripes wider apart: a chart of hundreds would outgrow its notebook.
MOST_TOOLTIPS, MOST_STRIPES = 120, 400


@dataclass(frozen=True)
class Bar:
    """One bar: its trace, the trace's and its own number, its middle and width across, from `base` to `tip` along."""

    trace: Any
    order: int
    index: int
    middle: float
    width: float
    base: float
    tip: float


def place_bars(traces: Sequence[Any], layout: dict[str, Any], across: Scale, along: Scale) -> list[Bar]:
    """The bars of the traces of one panel; `across` is the axis they stand on, `along` the one of their values."""
    mode = layout.get("barmode") or "group"
    seats = list(dict.fromkeys(trace.offsetgroup or order for order, trace in enumerate(traces)))
    points = [_points(trace, across, along) for trace in traces]
    slot = _slot([middle for found in points for _, middle, _ in found]) * (1 - (layout.get("bargap") or 0.2))
    tops: dict[tuple[float, bool], float] = defaultdict(float)
    bars = []
    for order, (trace, found) in enumerate(zip(traces, points, strict=True)):
        shift, wide = 0.0, slot
        if mode == "group" and len(seats) > 1:
            wide = slot / len(seats)
            shift = (seats.index(trace.offsetgroup or order) - (len(seats) - 1) / 2) * wide
            wide *= 1 - (layout.get("bargroupgap") or 0)
        for index, middle, value in found:
            width = item(trace.width, index)
            offset = item(trace.offset, index)
            width = wide if width is None else float(width)
            middle = middle + shift if offset is None else middle + float(offset) + width / 2
            base = float(item(trace.base, index, 0.0))
            if mode in ("stack", "relative"):
                spot = (round(middle, 9), value < 0)
                base, tops[spot] = tops[spot], tops[spot] + value
            bars.append(Bar(trace, order, index, middle, width, base, base + value))
    return bars


def _points(trace: Any, across: Scale, along: Scale) -> list[tuple[int, float, float]]:
    lying = trace.orientation == "h"
    values = listed(trace.x if lying else trace.y)
    spots = listed(trace.y if lying else trace.x) or list(range(len(values)))
    pairs = [(i, across.place(spot), along.place(value)) for i, (spot, value) in enumerate(zip(spots, values))]
    return [(i, spot, value) for i, spot, value in pairs if spot is not None and value is not None]


def _slot(middles: list[float]) -> float:
    places = sorted(set(middles))
    return min((b - a for a, b in zip(places, places[1:])), default=1.0)


def draw_bars(bars: Sequence[Bar], across: Scale, along: Scale, least: float, colour_of: Any) -> str:
    """The bars of one panel, a group for each trace; words inside smaller than `least` pixels are not written.

    colour_of: trace -> its default colour.
    """
    parts, coarser = [], _coarser(bars, across, along)
    for order in dict.fromkeys(bar.order for bar in bars):
        own = [bar for bar in bars if bar.order == order]
        shapes = _boxes(own, across, along, colour_of(own[0].trace), len(bars) <= MOST_TOOLTIPS)
        looks = _looks(own[0].trace, None, colour_of(own[0].trace))
        shapes += _hatched(own, across, along, colour_of(own[0].trace), coarser)
        parts.append(element("g", shapes, opacity=own[0].trace.opacity, **looks))
        parts.append(_labels(own, across, along, least, colour_of(own[0].trace)))
    return "".join(parts)


def _box(bar: Bar, across: Scale, along: Scale) -> tuple[float, float, float, float]:
    """x, y, width, height in pixels."""
    a, b = sorted((across.pixel(bar.middle - bar.width / 2), across.pixel(bar.middle + bar.width / 2)))
    c, d = sorted((along.pixel(bar.base), along.pixel(bar.tip)))
    return (c, a, d - c, b - a) if bar.trace.orientation == "h" else (a, c, b - a, d - c)


def _looks(trace: Any, index: int | None, default: str) -> dict[str, Any]:
    """Fill and outline: of the trace (index None), or what one bar has of its own."""
    marker = trace.marker
    colours = [marker.color, marker.line.color, marker.line.width]
    if index is not None and all(value is None or isinstance(value, (str, int, float)) for value in colours):
        return {}
    colour = item(marker.color, index or 0, default)
    colour = colour if isinstance(colour, str) else default
    looks = paint("fill", colour, float(item(marker.opacity, index or 0, 1.0)))
    if marker.pattern.shape:
        looks = paint("fill", item(marker.pattern.bgcolor, index or 0, "none"))
    wide = item(marker.line.width, index or 0, 0)
    if wide:
        looks |= paint("stroke", item(marker.line.color, index or 0, colour)) | {"stroke_width": number(wide)}
    elif index is not None:
        looks["stroke"] = "none"
    return looks


def _boxes(bars: Sequence[Bar], across: Scale, along: Scale, default: str, told: bool) -> str:
    """The boxes of the bars of a trace: rectangles with tooltips, or without them (`told`) one short path."""
    drawn, path = "", ""
    group = _looks(bars[0].trace, None, default)
    for bar in bars:
        x, y, wide, tall = _box(bar, across, along)
        looks = _looks(bar.trace, bar.index, default)
        own = {name: value for name, value in looks.items() if value != group.get(name)}
        if min(wide, tall) < 0.05:
            continue
        if told or own:
            title = element("title", safe(tooltip(bar.trace, bar.index))) if told else ""
            drawn += element("rect", title, x=x, y=y, width=wide, height=tall, **own)
        else:
            path += f"M{number(x)} {number(y)}h{number(wide)}v{number(tall)}h{number(-wide)}z"
    return drawn + (element("path", d=path) if path else "")


def _coarser(bars: Sequence[Bar], across: Scale, along: Scale) -> float:
    """By how much the stripes of a panel are wider apart than asked for, so that they are not too many."""
    stripes = 0.0
    for bar in bars:
        if item(bar.trace.marker.pattern.shape, bar.index):
            size = float(item(bar.trace.marker.pattern.size, bar.index, 8))
            stripes += sum(_box(bar, across, along)[2:]) / (size * math.sqrt(2))
    return max(1.0, stripes / MOST_STRIPES)


def _hatched(bars: Sequence[Bar], across: Scale, along: Scale, default: str, coarser: float) -> str:
    """The stripes of the bars of one trace, one path for each colour."""
    drawn: dict[str, str] = {}
    for bar in bars:
        marker, i = bar.trace.marker, bar.index
        pattern, box = marker.pattern, _box(bar, across, along)
        shape = item(pattern.shape, i, "")
        if shape and min(box[2:]) >= 0.05:
            colour = item(pattern.fgcolor, i, item(marker.color, i, default))
            size, solid = coarser * float(item(pattern.size, i, 8)), float(item(pattern.solidity, i, 0.3))
            drawn[colour] = drawn.get(colour, "") + hatching(box, shape, size, solid)
    return "".join(element("path", d=d, stroke="none", **paint("fill", colour)) for colour, d in drawn.items() if d)


def hatching(box: tuple[float, float, float, float], shape: str, size: float, solid: float) -> str:
    """Slanted, level or upright stripes cut to a box (x, y, width, height), as the `d` of a path.

    Drawn one by one: a page's cleaner may drop patterns. size, solid: plotly's tile and its filled share.
    """
    x, y, wide, tall = box
    stripes, thick = [], size * solid * (0.6 if shape in ("x", "+") else 1)
    if shape in ("/", "\\", "x"):
        period, thick = size * math.sqrt(2), thick * math.sqrt(2)
        for start in range(-int(tall // period) - 1, int(wide // period) + 1):
            low, high = max(start * period, -tall), min(start * period + thick, wide)
            corners = _stripe(low, high, wide, tall) if low < high else []
            if corners and shape in ("/", "x"):
                stripes.append(_outline([(x + a, y + tall - b) for a, b in corners]))
            if corners and shape in ("\\", "x"):
                stripes.append(_outline([(x + a, y + b) for a, b in corners]))
    if shape in ("-", "+", "."):
        stripes += [f"M{number(x)} {number(y + d)}h{number(wide)}v{number(min(thick, tall - d))}h{number(-wide)}z"
                    for d in _steps(tall, size)]  # fmt: skip
    if shape in ("|", "+"):
        stripes += [f"M{number(x + d)} {number(y)}v{number(tall)}h{number(min(thick, wide - d))}v{number(-tall)}z"
                    for d in _steps(wide, size)]  # fmt: skip
    return "".join(stripes)


def _stripe(low: float, high: float, wide: float, tall: float) -> list[tuple[float, float]]:
    """The corners of the part of a box where low <= x - y <= high, y upwards."""
    enter, leave = (
        [(max(c, 0.0), max(-c, 0.0)) for c in (low, high)],
        [(min(wide, tall + c), min(tall, wide - c)) for c in (low, high)],
    )
    far = [(wide, tall)] if low < wide - tall < high else []
    near = [(0.0, 0.0)] if low < 0 < high else []
    return [enter[0], leave[0], *far, leave[1], enter[1], *near]


def _outline(corners: Sequence[tuple[float, float]]) -> str:
    """A closed path in steps, shorter than places; the steps are those between rounded places."""
    places = [(round(x, 1), round(y, 1)) for x, y in corners]
    steps = [f"{number(b[0] - a[0])} {number(b[1] - a[1])}" for a, b in zip(places, places[1:]) if a != b]
    return f"M{number(places[0][0])} {number(places[0][1])}l{' '.join(steps)}z".replace(" -", "-")


def _steps(length: float, size: float) -> list[float]:
    return [size * i + size / 4 for i in range(int((length - size / 4) // size) + 1)]


def tooltip(trace: Any, index: int) -> str:
    """A point in words: its hover template filled in, else its two values."""
    x, y = item(trace.x, index, index), item(trace.y, index, "")
    known = {"x": x, "y": y, "text": item(trace.text, index, ""), "customdata": item(trace.customdata, index, "")}
    template = item(trace.hovertemplate, index)
    if not template:
        return ", ".join(_said(value) for value in (trace.name, x, y) if value is not None)
    filled = re.sub(
        r"%\{(\w+)(?::([^}]*))?\}",
        lambda m: formatted(known.get(m[1], ""), m[2]) if m[2] else _said(known.get(m[1], "")),
        re.sub(r"<extra>.*", "", template),
    )
    return plain_words(filled)


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else plain_words(value)


def _labels(bars: Sequence[Bar], across: Scale, along: Scale, least: float, default: str) -> str:
    """The words of the bars of a trace, those that look the same in one group."""
    return alike(_label(bar, across, along, least, default) for bar in bars)


def _label(bar: Bar, across: Scale, along: Scale, least: float, default: str) -> tuple[str, Looks]:
    """The words of a bar, in it where it has room, or at its tip, and their looks."""
    trace, said = bar.trace, str(item(bar.trace.text, bar.index, ""))
    where = item(trace.textposition, bar.index, "auto")
    if not said or where == "none":
        return "", {}
    x, y, wide, tall = _box(bar, across, along)
    size = float(item(trace.textfont.size, bar.index, 12))
    if where != "outside":
        fits = min(size, size * (wide - 4) / max(1.0, text_width(said, size)), tall - 4)
        if fits < max(least, 6):
            if where == "inside":
                return "", {}
            where = "outside"
        size = min(size, fits) if where != "outside" else size
    lying, up = trace.orientation == "h", bar.tip >= bar.base
    fill = item(trace.textfont.color, bar.index, on(item(trace.marker.color, bar.index, default)))
    looks: Looks = {"font_size": size, "fill": fill, "text_anchor": "middle"}
    place = (x + wide / 2, y + tall / 2 + 0.35 * size)
    if where == "outside":
        place = (x + wide / 2, y - 5) if up else (x + wide / 2, y + tall + size + 2)
        if lying:
            place, looks["text_anchor"] = (x + wide + 4, y + tall / 2 + 0.35 * size), "start"
        looks |= text_looks(item(trace.textfont.color, bar.index))
    elif trace.insidetextanchor != "middle":
        place = (x + wide / 2, (y + size + 2) if up else (y + tall - 4)) if not lying else place
    return element("text", next(words(said)), x=place[0], y=place[1]), looks
