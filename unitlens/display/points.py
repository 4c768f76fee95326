"""Points: scatter traces as lines, filled bands, markers and words; error bars of any trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unitlens.display.bars import tooltip
from unitlens.display.scales import Scale, finite, item, listed
from unitlens.display.svg import Looks, alike, element, number, paint, safe, text_looks, words

Point = tuple[int, float, float]  # number, x and y in pixels
_DASHES = {"dot": (1, 2), "dash": (4, 3), "longdash": (7, 3), "dashdot": (4, 2, 1, 2), "longdashdot": (7, 2, 1, 2)}
#: Outlines of radius 1; what is not named here is a circle.
_SYMBOLS = {
    "square": "M-.89-.89h1.78v1.78h-1.78z", "diamond": "M0-1.3L1.3 0L0 1.3L-1.3 0z",
    "triangle-up": "M0-1.15L1 .58H-1z", "triangle-down": "M0 1.15L1-.58H-1z",
    "cross": "M-.4-1.2H.4V-.4H1.2V.4H.4V1.2H-.4V.4H-1.2V-.4H-.4z", "x": "M-.9-.9L.9.9M.9-.9L-.9.9",
    "line-ew": "M-1.4 0H1.4", "line-ns": "M0-1.4V1.4",
}  # fmt: skip


def mode_of(trace: Any) -> str:
    """What a scatter trace shows; plotly joins more than twenty points by a line alone."""
    return trace.mode or ("lines+markers" if len(listed(trace.y)) < 20 else "lines")


def pixels(trace: Any, x: Scale, y: Scale) -> list[list[Point]]:
    """The points of a scatter trace, in runs that a missing value ends."""
    ys = listed(trace.y)
    xs = listed(trace.x) or list(range(len(ys)))
    runs: list[list[Point]] = [[]]
    for index, (left, top) in enumerate(zip(xs, ys)):
        place = x.at(left), y.at(top)
        if place[0] is not None and place[1] is not None:
            runs[-1].append((index, place[0], place[1]))
        elif runs[-1] and not trace.connectgaps:
            runs.append([])
    return [run for run in runs if run]


def dash(style: str | None, width: float) -> str | None:
    """A plotly dash as SVG's."""
    if not style or style == "solid":
        return None
    if style in _DASHES:
        return " ".join(number(max(width, 1.2) * part) for part in _DASHES[style])
    return style.replace("px", "").replace(",", " ")


def steps(run: Sequence[Point], shape: str | None) -> list[tuple[float, float]]:
    """The corners of a line: straight from point to point, or by steps."""
    corners: list[tuple[float, float]] = []
    for (_, x, y), following in zip(run, [*run[1:], None]):
        corners.append((x, y))
        if following and shape in ("hv", "vh", "hvh", "vhv"):
            _, right, top = following
            middle_x, middle_y = (x + right) / 2, (y + top) / 2
            between = {
                "hv": [(right, y)], "vh": [(x, top)], "hvh": [(middle_x, y), (middle_x, top)],
                "vhv": [(x, middle_y), (right, middle_y)],
            }  # fmt: skip
            corners += between[shape]
    return corners


def path(corners: Sequence[tuple[float, float]], closed: bool = False) -> str:
    """Corners as the `d` of a path."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in corners) + ("z" if closed else "")


def draw_fill(trace: Any, before: Any, x: Scale, y: Scale, colour: str) -> str:
    """The field under a line, between it and the line `before`, or inside it."""
    kind = trace.fill
    if not kind or kind == "none":
        return ""
    corners = [[*steps(run, trace.line.shape)] for run in pixels(trace, x, y)]
    if kind == "tonexty" and before is not None:
        other = [corner for run in pixels(before, x, y) for corner in steps(run, before.line.shape)]
        corners = [[*(corner for run in corners for corner in run), *reversed(other)]]
    elif kind in ("tozeroy", "tonexty"):
        corners = [[(run[0][0], y.pixel(0)), *run, (run[-1][0], y.pixel(0))] for run in corners]
    elif kind in ("tozerox", "tonextx"):
        corners = [[(x.pixel(0), run[0][1]), *run, (x.pixel(0), run[-1][1])] for run in corners]
    looks = paint("fill", trace.fillcolor) if trace.fillcolor else paint("fill", _line_colour(trace, colour), 0.5)
    return element("path", d="".join(path(run, True) for run in corners), opacity=trace.opacity, **looks)


def _line_colour(trace: Any, default: str) -> str:
    marker = trace.marker.color
    return trace.line.color or (marker if isinstance(marker, str) else default)


def draw_line(trace: Any, x: Scale, y: Scale, colour: str) -> str:
    """The line of a scatter trace."""
    if "lines" not in mode_of(trace) or trace.line.width == 0:
        return ""
    width = float(trace.line.width or 2)
    drawn = "".join(path(steps(run, trace.line.shape)) for run in pixels(trace, x, y))
    return element(
        "path", d=drawn, fill="none", stroke_width=number(width), stroke_linejoin="round", opacity=trace.opacity,
        stroke_dasharray=dash(trace.line.dash, width), **paint("stroke", _line_colour(trace, colour)),
    )  # fmt: skip


def draw_marks(trace: Any, x: Scale, y: Scale, colour: str) -> str:
    """The markers and words of a scatter trace; what lies outside the axes is left out unless `cliponaxis` is False."""
    mode, parts, labels = mode_of(trace), [], []
    for index, left, top in (point for run in pixels(trace, x, y) for point in run):
        inside = _between(left, x) and _between(top, y)
        if not inside and trace.cliponaxis is not False:
            continue
        if "markers" in mode:
            parts.append(symbol(trace, index, left, top, colour, tooltip(trace, index)))
        if "text" in mode:
            labels.append(_label(trace, index, left, top))
    drawn = "".join(parts) + alike(labels)
    return element("g", drawn, opacity=trace.opacity) if drawn else ""


def _between(pixel: float, scale: Scale) -> bool:
    return min(scale.start, scale.end) - 0.5 <= pixel <= max(scale.start, scale.end) + 0.5


def symbol(trace: Any, index: int, x: float, y: float, default: str, said: str = "") -> str:
    """One marker, filled or open."""
    marker = trace.marker
    colour = item(marker.color, index, trace.line.color or default)
    colour = colour if isinstance(colour, str) else default
    name, radius = str(item(marker.symbol, index, "circle")), float(item(marker.size, index, 6)) / 2
    shape, hollow = name.removesuffix("-dot").removesuffix("-open"), "open" in name
    opacity, wide = float(item(marker.opacity, index, 1.0)), float(item(marker.line.width, index, 0))
    if hollow or shape in ("x", "line-ew", "line-ns"):
        looks = {"fill": "none", **paint("stroke", colour, opacity), "stroke_width": number(wide or 1.6)}
    else:
        looks = paint("fill", colour, opacity)
        if wide:
            looks |= paint("stroke", item(marker.line.color, index, colour), opacity) | {"stroke_width": number(wide)}
    title = element("title", safe(said)) if said else ""
    if shape not in _SYMBOLS:
        return element("circle", title, cx=x, cy=y, r=radius, **looks)
    looks["stroke_width"] = f"{float(looks.get('stroke_width') or 0) / radius:.2g}" if looks.get("stroke") else None
    moved = f"translate({number(x)} {number(y)}) scale({radius:.3g})"
    return element("path", title, d=_SYMBOLS[shape], transform=moved, **looks)


def _label(trace: Any, index: int, x: float, y: float) -> tuple[str, Looks]:
    said = item(trace.text, index, "")
    if said == "":
        return "", {}
    size, where = float(item(trace.textfont.size, index, 12)), str(item(trace.textposition, index, "middle center"))
    gap = float(item(trace.marker.size, index, 6)) / 2 + 3 if "markers" in mode_of(trace) else 4
    down = -gap if "top" in where else gap + 0.75 * size if "bottom" in where else 0.35 * size
    over = -gap if "left" in where else gap if "right" in where else 0.0
    anchor = "end" if "left" in where else "start" if "right" in where else "middle"
    looks = text_looks(item(trace.textfont.color, index)) | {"font_size": size, "text_anchor": anchor}
    return element("text", " ".join(words(said)), x=x + over, y=y + down), looks


def reach(error: Any, index: int, value: float) -> tuple[float, float] | None:
    """How far an error bar reaches, below and above a value; None where there is none."""
    if error.visible is False or (error.array is None and error.value is None):
        return None
    if error.array is not None:
        up = item(error.array, index, 0)
        down = item(error.arrayminus, index, up) if error.arrayminus is not None else up
    else:
        share = abs(value) / 100 if error.type == "percent" else 1.0
        up = share * error.value
        down = share * (error.valueminus if error.valueminus is not None else error.value)
    return (float(down), float(up)) if finite(up) and finite(down) else None


def draw_errors(trace: Any, points: Sequence[Point], x: Scale, y: Scale, colour: str) -> str:
    """The error bars of points given by number and places on the two axes."""
    drawn = ""
    for error, upright in ((trace.error_y, True), (trace.error_x, False)):
        cap = float(error.width if error.width is not None else 4)
        lines = []
        for index, left, top in points:
            scale, value, across = (y, top, x.pixel(left)) if upright else (x, left, y.pixel(top))
            value = 10**value if scale.kind == "log" else value
            far = reach(error, index, value)
            both = [scale.at(value - far[0]), scale.at(value + far[1])] if far else []
            ends = [end for end in both if end is not None]
            bars = [(across, ends[0]), (across, ends[1])] if len(ends) == 2 else []
            for pair in [bars, *([(across - cap, end), (across + cap, end)] for end in ends)]:
                if pair:
                    lines.append(path(pair if upright else [corner[::-1] for corner in pair]))
        if lines:
            looks = paint("stroke", error.color or colour) | {"stroke_width": number(error.thickness or 2)}
            drawn += element("path", d="".join(lines), fill="none", **looks)
    return drawn
