"""Vector: a plotly figure of bars and points as one plain SVG, for pages that cannot run plotly.

The drawing brings its own ground, light or dark as the page or the reader's system asks, so that its words are legible
on any page: as an `<img>` it cannot know what it stands on. See `unitlens.display.svg` for what it does without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from unitlens.display.bars import hatching
from unitlens.display.figures import GREY
from unitlens.display.panels import COLOURWAY, Panel
from unitlens.display.points import dash, mode_of, symbol
from unitlens.display.scales import Scale, finite, listed
from unitlens.display.svg import element, number, paint, role, safe, style, text_looks, text_width, words

Panels = dict[tuple[str, str], Panel]  # by the names of the axes, "x" and "y", "x2" and "y2", ...
FONT = "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"
_EDGE = 14  # pixels between the ground's edge and everything else


def drawable(figure: Any) -> bool:
    """Whether `vector` draws all of a plotly figure: bars and points over numbers and names, each axis in its place.

    It draws no dates, no names in two levels, no colour scales and no second axis over another.
    """
    layout = figure.layout.to_plotly_json()
    axes = [axis for name, axis in layout.items() if name.startswith(("xaxis", "yaxis")) and axis]
    plain_axes = all(axis.get("type") not in ("date", "multicategory") and not axis.get("overlaying") for axis in axes)
    return plain_axes and all(
        trace.type in ("bar", "scatter")
        and not getattr(trace, "stackgroup", None)
        and all(_drawable(value) for values in (trace.x, trace.y) for value in listed(values))
        and not any(finite(colour) for colour in _several(trace.marker.color))
        for trace in figure.data
    )


def _drawable(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _several(colour: Any) -> list[Any]:
    return [colour] if isinstance(colour, (str, int, float)) else listed(colour)


def vector(figure: Any, width: int = 860) -> str:
    """A plotly figure as an SVG string: same numbers, colours and words; its alt text is the label.

    figure: a plotly figure of bar and scatter traces. width: pixels, where the figure itself names none.
    """
    layout = _layout(figure)
    wide, tall = float(layout.get("width") or width), float(layout.get("height") or 450)
    traces = _coloured(figure, layout)
    panels = _panels(layout, [pair for pair in traces if pair[0].visible in (None, True)])
    title, top = _title(layout, wide)
    keys, rows, aside = _legend(layout, traces, wide)
    top += rows
    tall, plot = _arrange(panels, wide - aside, tall, top, layout)
    shapes = {layer: _shapes(layout, panels, plot, layer) for layer in ("below", "above")}
    body = [
        style(),
        element("rect", width=wide, height=tall, rx="8", **role("surface")),
        title,
        keys(plot[0], top - rows, plot[2]),
        shapes["below"],
        *(panel.grid() for panel in panels.values()),
        *(panel.marks() for panel in panels.values()),
        shapes["above"],
        *(panel.labels() for panel in panels.values()),
        _annotations(layout, panels, plot),
    ]
    meta = layout.get("meta")
    alt = str((meta.get("alt") if isinstance(meta, dict) else None) or layout.get("title", {}).get("text") or "chart")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ul-vector" role="img" aria-label="{safe(alt)}" '
        f'width="{number(wide)}" height="{number(tall)}" viewBox="0 0 {number(wide)} {number(tall)}" '
        f'font-family="{FONT}">{"".join(body)}</svg>'
    )


def _layout(figure: Any) -> dict[str, Any]:
    """The layout with its template under it."""
    own = figure.layout.to_plotly_json()
    under = (own.pop("template", None) or {}).get("layout") or {}
    layout = _over(under, own)
    for name in [name for name in layout if name.startswith(("xaxis", "yaxis"))]:
        layout[name] = _over(under.get(name[:5]) or {}, layout[name] or {})
    layout.setdefault("xaxis", {})
    layout.setdefault("yaxis", {})
    layout.setdefault("font", {})
    if isinstance(layout.get("title"), str):
        layout["title"] = {"text": layout["title"]}
    return layout


def _over(under: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Two nested dictionaries as one; where both say something, `own` is heard."""
    both = dict(under)
    for name, value in own.items():
        both[name] = _over(both[name], value) if isinstance(value, dict) and isinstance(both.get(name), dict) else value
    return both


def _coloured(figure: Any, layout: dict[str, Any]) -> list[tuple[Any, str]]:
    """The traces, each with the colour that plotly would give it."""
    way = layout.get("colorway") or COLOURWAY
    return [(trace, way[i % len(way)]) for i, trace in enumerate(figure.data)]


def _panels(layout: dict[str, Any], traces: Sequence[tuple[Any, str]]) -> Panels:
    """One panel for each pair of axes, by their names "x" and "y", "x2" and "y2", ..."""
    pairs = list(dict.fromkeys((trace.xaxis or "x", trace.yaxis or "y") for trace, _ in traces)) or [("x", "y")]
    made = {}
    for x, y in pairs:
        own = [pair for pair in traces if (pair[0].xaxis or "x", pair[0].yaxis or "y") == (x, y)]
        axes = [layout.get(f"{name[0]}axis{name[1:]}") or {} for name in (x, y)]
        made[x, y] = Panel(layout, axes[0], axes[1], own)
    return made


def _arrange(
    panels: Panels, wide: float, tall: float, top: float, layout: dict[str, Any]
) -> tuple[float, tuple[float, float, float, float]]:
    """Gives every panel its pixels; the height of the drawing and left, top, right, bottom of the whole field."""
    found = list(panels.values())
    left, right, bottom = 56.0, wide - _EDGE, tall - 40
    for _ in range(3):  # ticks depend on the room, and the room on the ticks
        for panel in found:
            for own, axis, ends in ((panel.x, panel.x_axis, (left, right)), (panel.y, panel.y_axis, (bottom, top))):
                low, high = axis.get("domain") or (0, 1)
                own.start, own.end = (ends[0] + part * (ends[1] - ends[0]) for part in (low, high))
        left = _EDGE + max(max(panel.left(), panel.overhang() - 4) for panel in found)
        below = max(panel.below() for panel in found)
        tall = max(tall, top + 180 + below + _EDGE)
        bottom = tall - below - _EDGE
    return tall, (left, top, right, bottom)


def _title(layout: dict[str, Any], wide: float) -> tuple[str, float]:
    """The title, broken into lines where it is long, and the pixel where it ends."""
    title = layout.get("title") or {}
    size = float(title.get("font", {}).get("size") or 16)
    lines: list[str] = []
    for whole in str(title.get("text") or "").replace("<br />", "<br>").split("<br>"):
        pieces = whole.split(" ")
        while pieces:
            count = len(pieces)
            while count > 1 and text_width(" ".join(pieces[:count]), size) > wide - 2 * _EDGE:
                count -= 1
            lines.append(" ".join(pieces[:count]))
            pieces = pieces[count:]
    lines = lines if any(lines) else []
    looks = text_looks(title.get("font", {}).get("color"), "ink")
    said = [
        element("text", next(words(line)), x=float(_EDGE), y=_EDGE + size + i * 1.3 * size)
        for i, line in enumerate(lines)
    ]
    body = element("g", "".join(said), font_size=size, font_weight="500", **looks) if said else ""
    return body, _EDGE + len(lines) * 1.3 * size + 22


def _legend(layout: dict[str, Any], traces: Sequence[tuple[Any, str]], wide: float) -> tuple[Any, float, float]:
    """A function of left, top, right that draws the legend; the height it needs above, the width it needs beside."""
    shown = [pair for pair in traces if pair[0].showlegend is not False and pair[0].visible is not False]
    asked = layout.get("showlegend")
    if asked is False or not shown or (asked is None and len(traces) < 2 and not shown[0][0].showlegend):
        return (lambda left, top, right: ""), 0.0, 0.0
    legend = layout.get("legend") or {}
    size = float(legend.get("font", {}).get("size") or layout["font"].get("size") or 12)
    names = [str(trace.name or f"trace {i}") for i, (trace, _) in enumerate(shown)]
    widths = [34 + text_width(name, size) + 14 for name in names]
    places, x, y = [], 0.0, 0.0
    flat = legend.get("orientation") == "h"
    for long in widths:
        if x and (not flat or x + long > wide - 3 * _EDGE):
            x, y = 0.0, y + 1.7 * size
        places.append((x, y))
        x += long

    def draw(left: float, top: float, right: float) -> str:
        x0, y0 = (_EDGE - 8, top) if flat else (right + 12, top)
        looks = text_looks(legend.get("font", {}).get("color"))
        return element("g", "".join(
            _key(pair, x0 + x, y0 + y) + element("text", next(words(name)), x=x0 + x + 34, y=y0 + y + 0.35 * size)
            for pair, name, (x, y) in zip(shown, names, places, strict=True)
        ), font_size=size, **looks)  # fmt: skip

    return draw, (y + 30 if flat else 0.0), (0.0 if flat else max(widths) + 4)


def _key(pair: tuple[Any, str], x: float, y: float) -> str:
    """The small picture of a trace in the legend, 28 pixels wide, its middle at height y."""
    trace, default = pair
    if trace.type == "bar":
        colour = trace.marker.color if isinstance(trace.marker.color, str) else default
        shape = trace.marker.pattern.shape
        box = {"x": x + 8, "y": y - 6, "width": 16.0, "height": 12.0}
        if not isinstance(shape, str) or not shape:
            return element("rect", **box, **paint("fill", colour))
        outline = element("rect", fill="none", **box, **paint("stroke", colour))
        pattern = trace.marker.pattern
        stripes = hatching((x + 8, y - 6, 16, 12), shape, float(pattern.size or 8), float(pattern.solidity or 0.3))
        return outline + element("path", d=stripes, **paint("fill", pattern.fgcolor or colour))
    line, mode, drawn = trace.line, mode_of(trace), ""
    marker = trace.marker.color if isinstance(trace.marker.color, str) else None
    if "lines" in mode:
        width = float(line.width if line.width is not None else 2)
        looks = paint("stroke", line.color or marker or default) | {"stroke_dasharray": dash(line.dash, width)}
        drawn = element("line", x1=x + 2, x2=x + 28, y1=y, y2=y, stroke_width=width, **looks)
    if not drawn or (trace.fill not in (None, "none") and not line.width):
        field = paint("fill", trace.fillcolor or line.color or default, 1 if trace.fillcolor else 0.5)
        drawn = element("rect", x=x + 4, y=y - 5, width=22.0, height=10.0, **field) if trace.fill else drawn
    return drawn + (symbol(trace, 0, x + 15, y, default) if "markers" in mode else "")


def _spot(
    ref: str | None, value: Any, letter: str, panels: Panels, plot: Sequence[float], logs: bool = False
) -> float:
    """The pixel of a place that is given on an axis, as a share of its domain, or as a share of the whole field.

    logs: on a logarithmic axis plotly's annotations give the logarithm (its shapes give the value).
    """
    ends = (plot[0], plot[2]) if letter == "x" else (plot[3], plot[1])
    ref = ref or letter
    if ref == "paper":
        return Scale("linear", start=ends[0], end=ends[1]).share(float(value))
    own = next((pair for pair in panels if ref.split()[0] in pair), next(iter(panels)))
    found = panels[own].x if letter == "x" else panels[own].y
    if ref.endswith("domain"):
        return found.share(float(value))
    if found.kind == "log" and not logs:
        return found.at(value) or found.start
    return found.pixel(float(value)) if finite(value) else found.at(value) or found.start


def _shapes(layout: dict[str, Any], panels: Panels, plot: Sequence[float], layer: str) -> str:
    """Rectangles, lines and ellipses laid over the panels or under them."""
    drawn = []
    for shape in layout.get("shapes") or ():
        if (shape.get("layer") or "above").startswith(layer[:5]) and shape.get("visible") is not False:
            x0, x1 = (_spot(shape.get("xref"), shape.get(end, 0), "x", panels, plot) for end in ("x0", "x1"))
            y0, y1 = (_spot(shape.get("yref"), shape.get(end, 0), "y", panels, plot) for end in ("y0", "y1"))
            line, opacity = shape.get("line") or {}, float(shape.get("opacity", 1))
            width = float(line.get("width", 2))
            looks = paint("stroke", line.get("color") or GREY, opacity) if width else {}
            looks |= {"stroke_width": width or None, "stroke_dasharray": dash(line.get("dash"), width)}
            fill = paint("fill", shape.get("fillcolor"), opacity)
            if shape.get("type") == "line":
                drawn.append(element("line", x1=x0, x2=x1, y1=y0, y2=y1, **looks))
            elif shape.get("type") == "circle":
                box = {"cx": (x0 + x1) / 2, "cy": (y0 + y1) / 2, "rx": abs(x1 - x0) / 2, "ry": abs(y1 - y0) / 2}
                drawn.append(element("ellipse", **box, **fill, **looks))
            elif shape.get("type", "rect") == "rect":
                box = {"x": min(x0, x1), "y": min(y0, y1), "width": abs(x1 - x0), "height": abs(y1 - y0)}
                drawn.append(element("rect", **box, **fill, **looks))
    return "".join(drawn)


def _annotations(layout: dict[str, Any], panels: Panels, plot: Sequence[float]) -> str:
    """Words beside the marks, with an arrow where they have one."""
    drawn = []
    for note in layout.get("annotations") or ():
        if note.get("visible") is False:
            continue
        x, y = (_spot(note.get(f"{axis}ref"), note.get(axis, 0), axis, panels, plot, logs=True) for axis in "xy")
        x, y = x + float(note.get("xshift") or 0), y - float(note.get("yshift") or 0)
        lines, font = list(words(note.get("text") or "")), note.get("font") or {}
        size = float(font.get("size") or layout["font"].get("size") or 12)
        arrow = note.get("showarrow") is not False
        if arrow:
            tip, x, y = (x, y), x + float(note.get("ax", -10)), y + float(note.get("ay", -30))
            drawn.append(_arrow(tip, (x, y), note))
        across, down = _anchors(note, arrow)
        block = 1.25 * size * len(lines)
        start = y + {"top": 0.95 * size, "middle": size * 0.95 - block / 2, "bottom": 0.95 * size - block}[down]
        turned = f"rotate({note['textangle']:g} {number(x)} {number(y)})" if note.get("textangle") else None
        anchor = {"left": "start", "center": "middle", "right": "end"}[across]
        lean = 4.0 if across == "left" else -4.0 if across == "right" else 0.0
        said = [element("text", line, x=x + lean, y=start + i * 1.25 * size) for i, line in enumerate(lines)]
        looks = text_looks(font.get("color")) | {"opacity": note.get("opacity")}
        drawn.append(element("g", "".join(said), font_size=size, text_anchor=anchor, transform=turned, **looks))
    return "".join(drawn)


def _anchors(note: dict[str, Any], arrow: bool) -> tuple[str, str]:
    """Which point of the words lies at the place: plotly's own choice where the note leaves it."""
    found = []
    for axis, names in (("x", ("left", "center", "right")), ("y", ("bottom", "middle", "top"))):
        asked = note.get(f"{axis}anchor") or "auto"
        if asked == "auto":
            free = not arrow and str(note.get(f"{axis}ref")).endswith(("paper", "domain"))
            share = note.get(axis, 0) if free else 0.5
            asked = names[0 if share <= 1 / 3 else 2 if share >= 2 / 3 else 1]
        found.append(asked)
    return found[0], found[1]


def _arrow(tip: tuple[float, float], tail: tuple[float, float], note: dict[str, Any]) -> str:
    long = math.hypot(tip[0] - tail[0], tip[1] - tail[1]) or 1.0
    over, down = (tip[0] - tail[0]) / long, (tip[1] - tail[1]) / long
    wings = [(tip[0] - 6 * over + 3 * s * down, tip[1] - 6 * down - 3 * s * over) for s in (1, -1)]
    corners = [(tail[0] + 8 * over, tail[1] + 8 * down), tip, wings[0], tip, wings[1]]
    d = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in corners)
    width = number(float(note.get("arrowwidth") or 1.5))
    return element("path", d=d, fill="none", stroke_width=width, **paint("stroke", note.get("arrowcolor") or GREY))
