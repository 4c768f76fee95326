"""Removals: how much of a concept is gone with fewer and fewer units, as a page and a chart; learnt shares of units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.display.amounts import drawn, facts, grid, number
from unitlens.display.contents import said
from unitlens.display.figures import figure
from unitlens.display.markup import escape, meter, page, plural
from unitlens.display.theme import shade
from unitlens.errors import OptionError
from unitlens.rich import renders
from unitlens.synthesis.artefact import Artefacts
from unitlens.synthesis.ranked import CausalUnits
from unitlens.synthesis.ratios import Share
from unitlens.synthesis.removal import RemovalCurve

if TYPE_CHECKING:
    import plotly.graph_objects as go

_KINDS = ("removed", "removed_at_random", "others_changed", "others_changed_at_random")
_LOOKS = (
    ("texture", "solid", "circle", "of the concept gone, best units"),
    ("object", "dashdot", "diamond", "of the concept gone, random units"),
    ("part", "dash", "square", "of all else changed, best units"),
)
ROWS = 20


@renders(RemovalCurve, "html")
def summary(curve: RemovalCurve) -> str:
    """The page a notebook shows for a curve; its text twin is `curve.text()`."""
    last = len(curve.counts) - 1
    rows = [
        [f"{count:,}", *(" ".join(said(getattr(curve, name)(place))) for name in _KINDS)]
        for place, count in enumerate(curve.counts)
    ]
    count = int(curve.counts[last])
    items = [
        (f"{curve.concept} gone without the {plural(count, 'best unit')}", *said(curve.removed(last))),
        ("without as many at random", *said(curve.removed_at_random(last))),
        ("all else changed", *said(curve.others_changed(last))),
    ]
    header = ["units", "gone, best", "gone, random", "else changed, best", "else changed, random"]
    about = f"{plural(len(curve.before), 'generated picture')}, units of {curve.layer} set to zero everywhere"
    body = (
        f'<h2 class="ul-title">{escape(str(curve.concept))} without its units</h2>'
        f'<p class="ul-muted">{escape(about)}</p>{facts(items)}{drawn(chart(curve), 440, titled=False)}'
        f"{grid('with 95 % intervals', header, rows, right=[0, 1, 2, 3, 4])}"
    )
    return page(body)


@renders(RemovalCurve, "chart")
def chart(curve: RemovalCurve, kind: str = "curve", *, level: float = 0.95) -> go.Figure:
    """A plotly figure: the part of a concept that is gone against the number of units, best first and at random.

    kind: "curve". level: of the intervals. `figure.layout.meta["alt"]` holds the figure in words. Raises OptionError.
    Example: `curve.chart()`.
    """
    if kind != "curve":
        raise OptionError(f"kind: expected 'curve', got {kind!r}")
    counts = [int(count) for count in curve.counts]
    traces: list[Any] = []
    told = []
    for name, look in zip(_KINDS, _LOOKS, strict=False):
        found: list[Share] = [getattr(curve, name)(place, level) for place in range(len(counts))]
        traces += [_band(counts, found, look), _line(counts, found, look)]
        told.append(f"{look[3]} {' '.join(said(found[-1]))}")
    return figure(
        f"{curve.concept} gone with fewer units of {curve.layer}",
        f"Part of the pixels of {curve.concept} that is gone over the number of units of {curve.layer} removed; at "
        f"{plural(counts[-1], 'unit')}: {'; '.join(told)}.",
        traces, height=420, showlegend=True,
        xaxis={"title": {"text": "number of units removed"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "%"}},
    )  # fmt: skip


def _band(counts: Sequence[int], found: Sequence[Share], look: tuple[str, str, str, str]) -> go.Scatter:
    import plotly.graph_objects as go

    known = [(x, s) for x, s in zip(counts, found, strict=True) if np.isfinite(s.low) and np.isfinite(s.high)]
    x = [x for x, _ in known]
    y = [100 * s.low for _, s in known] + [100 * s.high for _, s in reversed(known)]
    colour = shade(look[0]).fill
    channels = ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    return go.Scatter(
        x=x + x[::-1], y=y, mode="lines", line={"width": 0, "color": colour}, fill="toself", hoverinfo="skip",
        fillcolor=f"rgba({channels},0.18)", name=f"{look[3]}: interval", showlegend=False,
    )  # fmt: skip


def _line(counts: Sequence[int], found: Sequence[Share], look: tuple[str, str, str, str]) -> go.Scatter:
    import plotly.graph_objects as go

    category, dash, symbol, words = look
    return go.Scatter(
        x=list(counts), y=[100 * s.value if np.isfinite(s.value) else None for s in found], mode="lines+markers",
        name=words, line={"color": shade(category).fill, "width": 2.2, "dash": dash},
        marker={"size": 8, "symbol": symbol}, customdata=[" ".join(said(s)) for s in found],
        hovertemplate=f"{words}, %{{x}} units: %{{customdata}}<extra></extra>",
    )  # fmt: skip


@renders(CausalUnits, "html")
def shares(found: CausalUnits) -> str:
    """The page a notebook shows for learnt shares: the units with the largest."""
    order = found.units[:ROWS]
    rows = [
        [f"{unit}", f"{found.alpha[unit]:.2f}", meter(float(found.alpha[unit]), 1.0, found.concept.category),
         f"{found.start[unit]:.2f}", number(float(found.values[unit]))]
        for unit in order
    ]  # fmt: skip
    many = int((found.alpha > 0.5).sum())
    about = f"{many} of {plural(len(found.alpha), 'unit')} of {found.layer} take part for more than half"
    header = ["unit", "share", "", "share at the start", "mean where it is"]
    body = (
        f'<h2 class="ul-title">Units that make {escape(str(found.concept))}</h2>'
        f'<p class="ul-muted">{escape(about)}</p>'
        f'{grid("learnt shares, largest first", header, rows, right=[0, 1, 3, 4])}'
    )
    return page(body)


@renders(Artefacts, "html")
def artefacts(found: Artefacts) -> str:
    """The page a notebook shows for units that make pictures worse."""
    order = found.units[:ROWS]
    full = float(found.distance[order].max(initial=1e-9))
    worst = [
        [f"{unit}", f"{found.distance[unit]:.2f}", meter(float(found.distance[unit]), full, "texture", found.whole)]
        for unit in order
    ]  # fmt: skip
    removed = [
        [f"{count}", _moved(found.change(place)), _moved(found.change_at_random(place))]
        for place, count in enumerate(found.counts)
    ]
    about = (
        f"{plural(len(found.before), 'generated picture')} against {plural(len(found.real), 'real one')}; "
        f"distance of all of them: {found.whole:.2f} (the mark on the bars)"
    )
    body = (
        f'<h2 class="ul-title">Units of {escape(found.layer)} that make pictures worse</h2>'
        f'<p class="ul-muted">{escape(about)}</p>'
        f"{grid('change of the distance without units; below 0 the pictures are better', _REMOVED, removed, [0, 1, 2])}"
        f"{grid('distance of the pictures that a unit is loudest in, worst first', _WORST, worst, right=[0, 1])}"
    )
    return page(body)


_REMOVED, _WORST = ("units", "the worst", "at random"), ("unit", "distance", "")


def _moved(change: Share) -> str:
    words = f"{change.value:+.2f} (95 %: {change.low:+.2f} to {change.high:+.2f})"
    return words.replace("-", "−")
