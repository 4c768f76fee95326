"""Panels: a pair of axes with what is drawn over them: grid, bars, lines, marks, tick labels, titles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from unitlens.display.bars import Bar, draw_bars, place_bars
from unitlens.display.figures import GREY
from unitlens.display.points import dash, draw_errors, draw_fill, draw_line, draw_marks, mode_of, reach
from unitlens.display.scales import Scale, finite, listed, scale, settle, ticks
from unitlens.display.svg import Looks, element, number, paint, text_looks, text_width, words

#: plotly's own colours of traces that name none.
COLOURWAY = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip

_LINE = "rgba(128,132,142,0.4)"


@dataclass
class Panel:
    """One pair of axes: its specification, its traces, its scales."""

    layout: dict[str, Any]
    x_axis: dict[str, Any]
    y_axis: dict[str, Any]
    traces: list[tuple[Any, str]]  # with the colour of each
    x: Scale = field(init=False)
    y: Scale = field(init=False)
    bars: list[Bar] = field(init=False)

    def __post_init__(self) -> None:
        found = [trace for trace, _ in self.traces]
        self.x = scale(self.x_axis, [value for trace in found for value in listed(trace.x)])
        self.y = scale(self.y_axis, [value for trace in found for value in listed(trace.y)])
        self.bars = []
        for orientation, across, along in (("v", self.x, self.y), ("h", self.y, self.x)):
            own = [t for t in found if t.type == "bar" and (t.orientation or "v") == orientation]
            self.bars += place_bars(own, self.layout, across, along)
        self._settle(self.x, self.x_axis, "x")
        self._settle(self.y, self.y_axis, "y")

    def _settle(self, own: Scale, axis: dict[str, Any], letter: str) -> None:
        """The range: bars need their width and reach to zero, markers and free lines get some air."""
        extent, pads = [], [0.0, 0.0]
        for bar in self.bars:
            if (bar.trace.orientation == "h") == (letter == "y"):
                extent.append((bar.middle - bar.width / 2, bar.middle + bar.width / 2))
            else:
                extent.append((min(bar.base, bar.tip), max(bar.base, bar.tip)))
                pads = [max(pads[0], 0.05 * (extent[-1][0] < 0)), max(pads[1], 0.05 * (extent[-1][1] > 0))]
        for trace, _ in self.traces:
            if trace.type != "bar":
                values = listed(getattr(trace, letter)) or list(range(len(listed(trace.y))))
                places = [place for place in map(own.place, values) if place is not None]
                extent += [(place, place) for place in places]
                extent += [(0.0, 0.0)] if trace.fill == f"tozero{letter}" else []
                roomy = 0.05 if letter == "y" or "markers" in mode_of(trace) else 0.0
                pads = [max(pads[0], roomy), max(pads[1], roomy)]
        extent += [end for trace, _ in self.traces for end in _errors(trace, letter, own)]
        if self.bars and min((low for low, _ in extent), default=0.0) == 0:
            pads[0] = 0.0  # bars stand on the axis
        if own.kind == "category":
            extent, pads = [*extent, (-0.5, len(own.names) - 0.5)], [0.0, 0.0]
        settle(own, axis, extent, (pads[0], pads[1]))

    def ticks(self, letter: str) -> list[tuple[float, str]]:
        """Places and words of the ticks of an axis; none where the axis is hidden."""
        own, axis = (self.x, self.x_axis) if letter == "x" else (self.y, self.y_axis)
        hidden = axis.get("visible") is False
        return [] if hidden else ticks(own, axis, 80 if letter == "x" else 40)

    def angle(self) -> float:
        """How the names below stand: as the axis says, else level while they have room."""
        asked: Any = self.x_axis.get("tickangle")
        if finite(asked):
            return float(asked)
        named = self.ticks("x")
        wide = max((text_width(text, self.size(self.x_axis)) for _, text in named), default=0.0)
        return -50.0 if len(named) > 1 and wide + 8 > abs(self.x.end - self.x.start) / len(named) else 0.0

    def size(self, axis: dict[str, Any]) -> float:
        """The size of an axis's tick labels."""
        return float(axis.get("tickfont", {}).get("size") or self.layout["font"].get("size") or 12)

    def below(self) -> float:
        """Pixels that the x axis needs under the panel."""
        if self.x_axis.get("visible") is False:
            return 0.0
        size, angle = self.size(self.x_axis), math.radians(abs(self.angle()))
        labels = self.ticks("x") if self.x_axis.get("showticklabels") is not False else []
        wide = max((text_width(text, size) for _, text in labels), default=0.0)
        tall = 8 + size * math.cos(angle) + wide * math.sin(angle) if labels else 4
        return tall + (26 if _title(self.x_axis)[0] else 0)

    def left(self) -> float:
        """Pixels that the y axis needs, and that the first names of the x axis overhang."""
        size = self.size(self.y_axis)
        shown = self.y_axis.get("visible") is not False and self.y_axis.get("showticklabels") is not False
        wide = max((text_width(text, size) for _, text in self.ticks("y")), default=0.0) + 8 if shown else 4
        return wide + (24 if _title(self.y_axis)[0] and self.y_axis.get("visible") is not False else 0)

    def overhang(self) -> float:
        """How far the slanted names of the x axis reach to the left of the panel."""
        slant, size = math.radians(-self.angle()), self.size(self.x_axis)
        reach = [
            math.cos(slant) * text_width(text, size) - (self.x.pixel(place) - self.x.start)
            for place, text in self.ticks("x")
        ]
        return max(reach, default=0.0) if 0 < slant < 1.5 else 0.0

    def grid(self) -> str:
        """The ground of the panel, if it has a colour; grid lines, zero lines and the lines of the axes."""
        lines = [self._ground(self.layout.get("plot_bgcolor"))]
        for letter, axis, own, other in (("x", self.x_axis, self.x, self.y), ("y", self.y_axis, self.y, self.x)):
            if axis.get("visible") is False:
                continue
            if axis.get("showgrid", own.kind != "category"):
                looks = paint("stroke", axis.get("gridcolor") or _LINE)
                looks["stroke_dasharray"] = dash(axis.get("griddash"), 1)
                lines += [self._across(letter, own.pixel(place), looks) for place, _ in self.ticks(letter)]
            if axis.get("zeroline") and own.shows(0) and own.kind == "linear":
                lines.append(self._across(letter, own.pixel(0), paint("stroke", axis.get("zerolinecolor") or _LINE)))
            if axis.get("showline"):
                looks = paint("stroke", axis.get("linecolor") or _LINE)
                lines.append(self._across("y" if letter == "x" else "x", other.start, looks))
        return element("g", "".join(lines)) if any(lines) else ""

    def _ground(self, colour: str | None) -> str:
        looks = paint("fill", colour)
        left, right = sorted((self.x.start, self.x.end))
        top, bottom = sorted((self.y.start, self.y.end))
        box = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        return element("rect", **box, **looks) if looks["fill"] != "none" else ""

    def _across(self, letter: str, at: float, looks: Looks) -> str:
        ends = {"x1": at, "x2": at, "y1": self.y.start, "y2": self.y.end}
        if letter == "y":
            ends = {"x1": self.x.start, "x2": self.x.end, "y1": at, "y2": at}
        return element("line", **ends, **looks)

    def marks(self) -> str:
        """Bars, then fields, lines and points, cut to the panel where they leave it."""
        colours = {id(trace): colour for trace, colour in self.traces}
        least = float(self.layout.get("uniformtext", {}).get("minsize") or 0)
        parts = []
        for lying, across, along in ((False, self.x, self.y), (True, self.y, self.x)):
            own = [bar for bar in self.bars if (bar.trace.orientation == "h") == lying]
            parts.append(draw_bars(own, across, along, least, lambda trace: colours[id(trace)]))
        before, lines, free = None, [], []
        for trace, colour in self.traces:
            if trace.type == "bar":
                own = [bar for bar in self.bars if bar.trace is trace]
                points = [(bar.index, bar.middle, bar.tip) for bar in own]
                points = [(i, b, a) for i, a, b in points] if trace.orientation == "h" else points
            else:
                parts.append(draw_fill(trace, before, self.x, self.y, colour))
                lines.append(draw_line(trace, self.x, self.y, colour))
                free.append(draw_marks(trace, self.x, self.y, colour))
                points, before = _places(trace, self.x, self.y), trace
            lines.append(draw_errors(trace, points, self.x, self.y, _solid(trace, colour)))
        return self._cut("".join([*parts, *lines])) + "".join(free)

    def _cut(self, drawn: str) -> str:
        """A nested drawing shows nothing outside itself; only where an axis has a range of its own can that happen."""
        if not (self.x_axis.get("range") or self.y_axis.get("range")):
            return drawn
        left, right = sorted((self.x.start, self.x.end))
        top, bottom = sorted((self.y.start, self.y.end))
        box = f"{number(left)} {number(top)} {number(right - left)} {number(bottom - top)}"
        return element("svg", drawn, x=left, y=top, width=right - left, height=bottom - top, viewBox=box)

    def labels(self) -> str:
        """The words at the ticks and the titles of the axes."""
        parts = []
        if self.x_axis.get("showticklabels") is not False:
            parts.append(self._names())
        if self.y_axis.get("showticklabels") is not False:
            size = self.size(self.y_axis)
            said = [
                element("text", next(words(text)), x=self.x.start - 6, y=self.y.pixel(place) + 0.35 * size)
                for place, text in self.ticks("y")
            ]
            looks = text_looks(self.y_axis.get("tickfont", {}).get("color"))
            parts.append(element("g", "".join(said), font_size=size, text_anchor="end", **looks))
        for axis, upright in ((self.x_axis, False), (self.y_axis, True)):
            said_title, font = _title(axis)
            if said_title and axis.get("visible") is not False:
                middle = self.y.share(0.5) if upright else self.x.share(0.5)
                place: Looks = {"x": middle, "y": self.y.start + self.below() - 6}
                if upright:
                    across = self.x.start - self.left() + 12
                    place = {"transform": f"translate({number(across)} {number(middle)}) rotate(-90)"}
                looks = text_looks(font.get("color")) | {"font_size": font.get("size") or 13}
                parts.append(element("text", " ".join(words(said_title)), text_anchor="middle", **place, **looks))
        return "".join(parts)

    def _names(self) -> str:
        size, angle, foot = self.size(self.x_axis), self.angle(), self.y.start
        looks = text_looks(self.x_axis.get("tickfont", {}).get("color"))
        said = []
        for place, text in self.ticks("x"):
            at, inside = self.x.pixel(place), next(words(text))
            if angle:
                moved = f"translate({number(at)} {number(foot + 8)}) rotate({number(angle)})"
                said.append(element("text", inside, transform=moved, y=0.35 * size))
            else:
                said.append(element("text", inside, x=at, y=foot + 6 + size))
        anchor = "middle" if not angle else "end" if angle < 0 else "start"
        return element("g", "".join(said), font_size=size, text_anchor=anchor, **looks)


def _title(axis: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    title = axis.get("title") or {}
    return (title, {}) if isinstance(title, str) else (title.get("text") or "", title.get("font") or {})


def _solid(trace: Any, colour: str) -> str:
    """The colour of error bars: a scatter trace's own; on bars the grey, which is told from every fill."""
    if trace.type == "bar":
        return GREY
    marker = trace.marker.color
    return marker if isinstance(marker, str) else trace.line.color or colour


def _places(trace: Any, x: Scale, y: Scale) -> list[tuple[int, float, float]]:
    ys = listed(trace.y)
    xs = listed(trace.x) or list(range(len(ys)))
    pairs = [(i, x.place(left), y.place(top)) for i, (left, top) in enumerate(zip(xs, ys))]
    return [(i, left, top) for i, left, top in pairs if left is not None and top is not None]


def _errors(trace: Any, letter: str, own: Scale) -> list[tuple[float, float]]:
    """The ends of the error bars of a trace."""
    error, found = (trace.error_x if letter == "x" else trace.error_y), []
    for index, value in enumerate(listed(getattr(trace, letter))):
        far = reach(error, index, value) if finite(value) else None
        ends = [own.place(value - far[0]), own.place(value + far[1])] if far else []
        found += [(end, end) for end in ends if end is not None]
    return found
