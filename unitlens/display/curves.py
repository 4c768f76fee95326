"""Curves: how well classes are recognised with fewer and fewer units, as a page and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unitlens.display.amounts import drawn, facts, grid, share
from unitlens.display.beside import beside
from unitlens.display.figures import GREY, figure, plain
from unitlens.display.markup import escape, page, plural
from unitlens.display.theme import shade
from unitlens.intervene.curve import KINDS, AblationCurve, Point
from unitlens.rich import renders

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEADLINE = 20  # units that the headline tells of, where so many were measured
#: Colour, dash, marker and the words at the curve, for each of KINDS: told apart without colour as well.
_LOOKS = (
    ("texture", "solid", "circle", "without the most important"),
    ("part", "dash", "square", "without the least important"),
    ("object", "dashdot", "diamond", "without random units"),
    ("colour", "dot", "triangle-up", "only the most important"),
)
#: Words at the curves, in the order of KINDS, and the pixels that small and large drawings have.
_SHORT = ("most important off", "least important off", "random off", "only most important")
_FIELDS = ((345.0, 290.0), (800.0, 290.0))


@renders(AblationCurve, "html")
def summary(curve: AblationCurve) -> str:
    """The page a notebook shows for a curve; its text twin is `curve.text()`."""
    about = f"{plural(curve.units, 'unit')}, mean over {_classes(len(curve.names))}, units ranked by {curve.ranked_by}"
    rows = [
        [f"{count:,}", *(told(curve.at(kind, int(count))) for kind in KINDS)] for count in curve.counts
    ]
    header = ["units", *KINDS]
    table = grid("balanced accuracy, with 95 % intervals", header, rows, right=[0, 1, 2, 3, 4])
    body = (
        f'<h2 class="ul-title">Units of {escape(curve.layer)} switched off</h2><p class="ul-muted">{escape(about)}</p>'
        f"{facts(headline(curve))}{drawn(chart(curve), 440, titled=False)}"
        f"{table}"
    )
    return page(body)


def headline(curve: AblationCurve) -> list[tuple[str, str, str]]:
    """Balanced accuracy with all units, and with 20 of them (or the middle count) removed or kept."""
    counts = curve.counts
    count = HEADLINE if HEADLINE in counts else int(counts[len(counts) // 2])
    removed = (f"{count} most important removed", f"{count} random removed")
    words = ("all units", *removed, f"only {count} most important kept")
    kinds = (KINDS[0], KINDS[2], KINDS[3])
    measured = [curve.intact_at(), *(curve.at(kind, count) for kind in kinds)]
    return [(word, share(point.value), _interval(point)) for word, point in zip(words, measured, strict=True)]


def told(point: Point) -> str:
    """A value with its interval."""
    return f"{share(point.value)} {_interval(point)}".rstrip()


def _interval(point: Point) -> str:
    known = np.isfinite(point.low) and np.isfinite(point.high)
    return f"({100 * point.low:.1f} to {100 * point.high:.1f})" if known else ""


@renders(AblationCurve, "chart")
def chart(curve: AblationCurve, name: str | None = None, *, level: float = 0.95) -> go.Figure:
    """A plotly figure of four curves with their intervals: balanced accuracy over the number of units.

    name: of one class; without it the mean over classes. `figure.layout.meta["alt"]` holds the figure in words.
    Raises OptionError for an unknown class. Example: `curve.chart("beach")`.
    """
    intact = curve.intact_at(name, level)
    counts = [int(count) for count in curve.counts if count > 0]  # a logarithmic axis has no 0
    series = [[curve.at(kind, count, name, level) for count in counts] for kind in KINDS]
    levels = [("all units", intact.value, "solid"), ("chance", 0.5, "dot")]
    x_range, y_range = _x_range(counts), _y_range(series, intact)
    words, complete = _words(counts, series, levels, x_range, y_range)
    traces = [
        *(_level(counts, *one) for one in levels if np.isfinite(one[1])),
        *(_band(counts, found, look) for found, look in zip(series, _LOOKS, strict=True)),
        *(_line(counts, found, look) for found, look in zip(series, _LOOKS, strict=True)),
        words,
    ]
    who = f"mean of {_classes(len(curve.names))}" if name is None else name
    at = len(counts) // 2
    said = "; ".join(f"{look[3]} {told(found[at])}" for found, look in zip(series, _LOOKS, strict=True))
    return figure(
        f"Balanced accuracy with fewer units of {curve.layer}, {who}",
        f"Balanced accuracy, {who}, over the number of units of {curve.layer}: with all {told(intact)}; "
        f"at {plural(counts[at], 'unit')}: {said}. Chance is 50 %.",
        traces, height=430, showlegend=not complete,
        xaxis={"type": "log", "title": {"text": "number of units"}, "tickvals": counts,
               "ticktext": _thinned(counts), "range": x_range},
        yaxis={"title": {"text": "balanced accuracy, %"}, "range": y_range},
    )  # fmt: skip


def _classes(count: int) -> str:
    return "1 class" if count == 1 else f"{count} classes"


def _level(counts: list[int], words: str, value: float, dash: str) -> go.Scatter:
    """A level line over all counts."""
    import plotly.graph_objects as go

    return go.Scatter(
        x=[counts[0], counts[-1]], y=[100 * value] * 2, mode="lines", showlegend=False, name=words,
        line={"color": GREY, "width": 1.5, "dash": dash}, hovertemplate=f"{words}: %{{y:.1f}} %<extra></extra>",
    )  # fmt: skip


def _x_range(counts: list[int]) -> list[float]:
    """Room at both ends of the logarithmic axis; at the right for words beside the last descent."""
    low, high = float(np.log10(counts[0])), float(np.log10(counts[-1]))
    wide = max(high - low, 1.0)
    return [low - 0.04 * wide, high + (0.22 if len(counts) > 1 else 0.04) * wide]


def _y_range(series: list[list[Point]], intact: Point) -> list[float]:
    every = [100 * end for p in (intact, *(p for found in series for p in found)) for end in (p.value, p.low, p.high)]
    known = [value for value in every if np.isfinite(value)] + [50.0]
    room = 0.09 * max(max(known) - min(known), 5.0)
    return [min(known) - room, max(known) + room]


def _words(
    counts: list[int], series: list[list[Point]], levels: list[tuple[str, float, str]], x: list[float], y: list[float]
) -> tuple[go.Scatter, bool]:
    """Words at the curves and at the level lines, where they cover nothing; whether every curve has its own."""
    import plotly.graph_objects as go

    logs = np.linspace(np.log10(counts[0]), np.log10(counts[-1]), 121)
    lines = [[100 * p.value for p in found] for found in series]
    lines += [[100 * value] * len(counts) for _, value, _ in levels]
    values = np.array([np.interp(logs, np.log10(counts), line) for line in lines])
    drawn = [(words, row) for words, row in zip([*_SHORT, *(one[0] for one in levels)], values, strict=True)
             if np.isfinite(row).all()]  # fmt: skip
    across, down = (logs - x[0]) / (x[1] - x[0]), (y[1] - values) / (y[1] - y[0])
    kept = [place for place, row in enumerate(values) if np.isfinite(row).all()]
    least = [8.0 if words in _SHORT else 2.0 for words, _ in drawn]
    spots = beside([np.stack([across, down[place]], 1) for place in kept], [w for w, _ in drawn], _FIELDS, least)
    said = [(10 ** logs[spot[0]], row[spot[0]], words, spot[1])
            for spot, (words, row) in zip(spots, drawn, strict=True) if spot]  # fmt: skip
    columns = [list(column) for column in zip(*said, strict=True)] or [[], [], [], []]
    names = [f"\u00a0{words}\u00a0" for words in columns[2]]  # some air before and after
    trace = go.Scatter(
        x=columns[0], y=columns[1], mode="text", text=names, textposition=columns[3] or None, name="words",
        textfont={"size": 11, "color": GREY}, showlegend=False, hoverinfo="skip", cliponaxis=False,
    )  # fmt: skip
    return trace, set(_SHORT) <= set(columns[2])


def _thinned(counts: list[int]) -> list[str]:
    """The numbers at the axis, without those that would stand on the one before."""
    texts, last = [], -np.inf
    apart = max(np.log10(counts[-1] / counts[0]) / 16, 0.03)
    for count in counts:
        room = np.log10(count) - last >= apart
        texts.append(f"{count:,}" if room else "")
        last = np.log10(count) if room else last
    return texts


def _band(counts: list[int], found: list[Point], look: tuple[str, str, str, str]) -> go.Scatter:
    """The interval of a curve as a pale field."""
    import plotly.graph_objects as go

    known = [(x, p) for x, p in zip(counts, found, strict=True) if np.isfinite(p.low) and np.isfinite(p.high)]
    x = [x for x, _ in known]
    y = [100 * p.low for _, p in known] + [100 * p.high for _, p in reversed(known)]
    colour = shade(look[0]).fill
    channels = ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    return go.Scatter(
        x=x + x[::-1], y=y, mode="lines", line={"width": 0, "color": colour}, fill="toself", hoverinfo="skip",
        fillcolor=f"rgba({channels},0.18)", name=f"{look[3]}: interval", showlegend=False,
    )  # fmt: skip


def _line(counts: list[int], found: list[Point], look: tuple[str, str, str, str]) -> go.Scatter:
    import plotly.graph_objects as go

    category, dash, symbol, words = look
    return go.Scatter(
        x=counts, y=[100 * p.value if np.isfinite(p.value) else None for p in found], mode="lines+markers", name=words,
        line={"color": shade(category).fill, "width": 2.2, "dash": dash}, marker={"size": 8, "symbol": symbol},
        customdata=[told(p) for p in found],
        hovertemplate=f"{plain(words)}, %{{x}} units: %{{customdata}}<extra></extra>",
    )  # fmt: skip
