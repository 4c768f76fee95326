"""Curves: how well classes are recognised with fewer and fewer units, as a page and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.display.amounts import drawn, facts, grid, share
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
#: Words at the curves, in the order of KINDS; two curves nearer than so many points have theirs in the legend only.
_SHORT = ("most important removed", "least important removed", "random removed", "only these kept")
_APART = 3.0


@renders(AblationCurve, "html")
def summary(curve: AblationCurve) -> str:
    """The page a notebook shows for a curve; its text twin is `curve.text()`."""
    classes = "1 class" if len(curve.names) == 1 else f"{len(curve.names)} classes"
    about = f"{plural(curve.units, 'unit')}, mean over {classes}, units ranked by {curve.ranked_by}"
    rows = [
        [f"{count:,}", *(told(curve.at(kind, int(count))) for kind in KINDS)] for count in curve.counts
    ]
    header = ["units", *KINDS]
    table = grid("balanced accuracy, with 95 % intervals", header, rows, right=[0, 1, 2, 3, 4])
    body = (
        f'<h2 class="ul-title">Units of {escape(curve.layer)} switched off</h2><p class="ul-muted">{escape(about)}</p>'
        f"{facts(headline(curve))}{drawn(chart(curve), 620)}"
        f"{table}"
    )
    return page(body)


def headline(curve: AblationCurve) -> list[tuple[str, str]]:
    """Balanced accuracy with all units, and with 20 of them (or the middle count) removed or kept."""
    counts = curve.counts
    count = HEADLINE if HEADLINE in counts else int(counts[len(counts) // 2])
    words = (f"{count} most important removed", f"{count} random removed", f"only {count} most important kept")
    kinds = (KINDS[0], KINDS[2], KINDS[3])
    told_kinds = [(word, told(curve.at(kind, count))) for word, kind in zip(words, kinds, strict=True)]
    return [("all units", told(curve.intact_at())), *told_kinds]


def told(point: Point) -> str:
    """A value with its interval."""
    if not (np.isfinite(point.low) and np.isfinite(point.high)):
        return share(point.value)
    return f"{share(point.value)} ({100 * point.low:.1f} to {100 * point.high:.1f})"


@renders(AblationCurve, "chart")
def chart(curve: AblationCurve, name: str | None = None, *, level: float = 0.95) -> go.Figure:
    """A plotly figure of four curves with their intervals: balanced accuracy over the number of units.

    name: of one class; without it the mean over classes. `figure.layout.meta["alt"]` holds the figure in words.
    Raises OptionError for an unknown class. Example: `curve.chart("beach")`.
    """
    import plotly.graph_objects as go

    intact = curve.intact_at(name, level)
    counts = [int(count) for count in curve.counts if count > 0]  # a logarithmic axis has no 0
    series = [[curve.at(kind, count, name, level) for count in counts] for kind in KINDS]
    traces: list[Any] = []
    for words, value, dash in (("all units", intact.value, "solid"), ("chance", 0.5, "dot")):
        if np.isfinite(value):
            traces.append(go.Scatter(
                x=[counts[0], counts[-1]], y=[100 * value] * 2, mode="lines", showlegend=False, name=words,
                line={"color": GREY, "width": 1.5, "dash": dash}, hovertemplate=f"{words}: %{{y:.1f}} %<extra></extra>",
            ))  # fmt: skip
    traces += [_band(counts, points_, look) for points_, look in zip(series, _LOOKS, strict=True)]
    traces += [_line(counts, points_, look) for points_, look in zip(series, _LOOKS, strict=True)]
    traces.append(_labels(counts, intact, series))
    who = "the mean class" if name is None else name
    at = len(counts) // 2
    said = "; ".join(
        f"{look[3]} {told(points_[at])}" for points_, look in zip(series, _LOOKS, strict=True)
    )
    return figure(
        f"Balanced accuracy of {who} with fewer units of {curve.layer}",
        f"Balanced accuracy of {who} over the number of units of {curve.layer}: with all {told(intact)}; "
        f"at {plural(counts[at], 'unit')}: {said}. Chance is 50 %.",
        traces, height=430, showlegend=True,
        xaxis={"type": "log", "title": {"text": "number of units"}, "tickvals": counts,
               "ticktext": _thinned(counts), "range": _range(counts)},
        yaxis={"title": {"text": "balanced accuracy, %"}},
    )  # fmt: skip


def _range(counts: list[int]) -> list[float]:
    """Room at both ends of the logarithmic axis."""
    low, high = np.log10(counts[0]), np.log10(counts[-1])
    room = 0.04 * max(high - low, 1.0)
    return [float(low - room), float(high + room)]


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
        x=x + x[::-1], y=y, mode="lines", line={"width": 0, "color": colour}, fill="toself", name=f"{look[3]}, interval",
        fillcolor=f"rgba({channels},0.18)", hoverinfo="skip", showlegend=False,
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


def _labels(counts: list[int], intact: Point, series: list[list[Point]]) -> go.Scatter:
    """Words at the curves, each where it is farthest from the others, and at the level lines."""
    import plotly.graph_objects as go

    spots = [(counts[0], 100 * intact.value, "all units", "top right")] if np.isfinite(intact.value) else []
    spots.append((counts[0], 50.0, "chance", "bottom right"))
    values = np.array([[100 * p.value for p in found] for found in series])  # (4, P)
    for row, words in enumerate(_SHORT):
        apart = values[row] - np.delete(values, row, 0)  # (3, P), how far above each of the others
        nearest = np.where(np.isfinite(apart), np.abs(apart), 100.0).min(0)
        nearest = np.where(np.isfinite(values[row]), nearest, -1.0)
        at = int(nearest.argmax())
        if nearest[at] >= _APART:
            above = apart[np.abs(np.where(np.isfinite(apart[:, at]), apart[:, at], 100.0)).argmin(), at] > 0
            spots.append((counts[at], values[row, at], words, "top center" if above else "bottom center"))
    x, y, text, position = (list(column) for column in zip(*spots, strict=True))
    return go.Scatter(
        x=x, y=y, mode="text", text=text, textposition=position, textfont={"size": 11, "color": GREY},
        showlegend=False, hoverinfo="skip", name="words", cliponaxis=False,
    )  # fmt: skip
