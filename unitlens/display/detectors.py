"""Detectors: one unit's peaks as a classifier of images, as a page and as charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.display.amounts import UNKNOWN, cut, drawn, facts, in_brackets, number, share
from unitlens.display.figures import GREY, figure
from unitlens.display.markup import escape, page, plural
from unitlens.display.theme import shade
from unitlens.errors import OptionError
from unitlens.intervene.detector import UnitDetector
from unitlens.rich import renders

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = ("roc", "peaks")
_MOST_PEAKS = 200  # of each group that are drawn
_GOLDEN = 0.6180339887498949


@renders(UnitDetector, "html")
def summary(detector: UnitDetector) -> str:
    """The page a notebook shows for a detector; its text twin is `detector.text()`."""
    low, high = detector.interval()
    judged, positive = ~detector.fitted, detector.shows
    items = [
        ("balanced accuracy", share(detector.accuracy), in_brackets(low, high, lambda end: f"{100 * end:.1f}")),
        ("area under the ROC curve", number(area(detector), ".3f"), ""),
        ("threshold", number(detector.threshold, ".3g"), ""),
    ]
    words = (
        f"A peak above the threshold says that the image shows {detector.target}. Judged on "
        f"{plural(int(judged.sum()), 'image')}, {int((judged & positive).sum()):,} of which show it; the threshold "
        f"comes from {int(detector.fitted.sum()):,} others. The curve is of all {len(detector.peak):,}."
    )
    title = f"Unit {detector.unit} of {detector.layer} as a detector of {detector.target}"
    body = (
        f'<h2 class="ul-title">{escape(title)}</h2>{facts(items)}<p class="ul-words">{escape(words)}</p>'
        f'<div class="ul-pair">{"".join(drawn(chart(detector, kind), 430) for kind in KINDS)}</div>'
    )
    return page(body)


def area(detector: UnitDetector) -> float:
    """Area under the ROC curve; NaN where all images are of one side."""
    return detector.area if detector.shows.any() and not detector.shows.all() else float("nan")


@renders(UnitDetector, "chart")
def chart(detector: UnitDetector, kind: str = "roc") -> go.Figure:
    """A plotly figure of a detector.

    kind: "roc" (rightly against wrongly said to show it, for every threshold) or "peaks" (the peak of every image with
    it and without it, and the threshold). `figure.layout.meta["alt"]` holds the figure in words.
    Raises OptionError. Example: `detector.chart("peaks")`.
    """
    if kind not in KINDS:
        raise OptionError(f"kind: expected one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    return _roc(detector) if kind == "roc" else _peaks(detector)


def _roc(detector: UnitDetector) -> go.Figure:
    import plotly.graph_objects as go

    false, true, _ = detector.roc
    corners = _corners(false, true)
    at = detector.peak > detector.threshold
    here = [float(at[side].mean()) if side.any() else None for side in (~detector.shows, detector.shows)]
    told = number(area(detector), ".3f")
    traces: list[Any] = [
        go.Scatter(x=[0, 100], y=[0, 100], mode="lines", line={"color": GREY, "width": 1.5, "dash": "dot"},
                   name="chance", hoverinfo="skip"),
        go.Scatter(x=100 * false[corners], y=100 * true[corners], mode="lines", name="every threshold",
                   line={"color": shade("object").fill, "width": 2.5},
                   hovertemplate="%{y:.1f} % of those with it, %{x:.1f} % of the others<extra></extra>"),
    ]  # fmt: skip
    if None not in here:
        traces.append(go.Scatter(
            x=[100 * (here[0] or 0)], y=[100 * (here[1] or 0)], mode="markers", name="the threshold",
            marker={"size": 11, "symbol": "diamond", "color": shade("texture").fill},
            hovertemplate="at the threshold: %{y:.1f} %, %{x:.1f} %<extra></extra>",
        ))  # fmt: skip
    point = f"; at the threshold {share(here[1] or 0)} and {share(here[0] or 0)}" if None not in here else ""
    return figure(
        f"Area under the ROC curve: {told}",
        f"ROC curve of unit {detector.unit} of {detector.layer} as a detector of {detector.target}: area {told}{point} "
        "of the images with it and without it are said to show it.",
        traces, showlegend=True, height=400,
        xaxis={"title": {"text": "wrongly said to show it, %"}, "range": [-2, 102], "showgrid": True},
        yaxis={"title": {"text": "rightly said to show it, %"}, "range": [-2, 102]},
    )  # fmt: skip


def _corners(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The points where a line of many steps turns."""
    if len(x) < 3:
        return np.arange(len(x))
    dx, dy = np.diff(x), np.diff(y)
    turns = np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1]) > 1e-15
    return np.concatenate([[0], np.flatnonzero(turns) + 1, [len(x) - 1]])


def _peaks(detector: UnitDetector) -> go.Figure:
    import plotly.graph_objects as go

    groups = ((detector.shows, f"with {detector.target}"), (~detector.shows, f"without {detector.target}"))
    picked = [_picked(detector.peak, where) for where, _ in groups]
    fewer = any(len(found) < int(where.sum()) for found, (where, _) in zip(picked, groups, strict=True))
    left = " Of larger groups some images are drawn." if fewer else ""
    traces: list[Any] = []
    for fitted, words, symbol in ((False, "judged", "circle"), (True, "chose the threshold", "x")):
        spots = [(place + 0.56 * ((i * _GOLDEN) % 1 - 0.5), float(detector.peak[image]))
                 for place, found in enumerate(picked) for i, image in enumerate(found)
                 if detector.fitted[image] == fitted]  # fmt: skip
        traces.append(go.Scatter(
            x=[x for x, _ in spots], y=[y for _, y in spots], mode="markers", name=words,
            hovertemplate=f"{words}: %{{y:.3g}}<extra></extra>",
            marker={"size": 6, "symbol": symbol, "color": shade("texture" if fitted else "object").fill,
                    "opacity": 0.85},
        ))  # fmt: skip
    traces.append(go.Scatter(
        x=[-0.5, 1.5], y=[detector.threshold] * 2, mode="lines", hoverinfo="skip",
        name=f"threshold {number(detector.threshold, '.3g')}", line={"color": GREY, "width": 2, "dash": "dash"},
    ))  # fmt: skip
    sizes = [int(where.sum()) for where, _ in groups]
    said = [f"{words}: {_spread(detector.peak[where])}" for where, words in groups]
    return figure(
        f"Peaks of unit {detector.unit} in {plural(len(detector.peak), 'image')}",
        f"Peaks of unit {detector.unit} of {detector.layer}. {'; '.join(said)}; threshold "
        f"{number(detector.threshold, '.3g')}.{left}",
        traces, showlegend=True, height=400,
        xaxis={"tickvals": [0, 1], "range": [-0.5, 1.5], "showline": True, "tickangle": 0,
               "ticktext": [f"{cut(words)} ({n:,})" for (_, words), n in zip(groups, sizes, strict=True)]},
        yaxis={"title": {"text": "highest activation"}},
    )  # fmt: skip


def _picked(peak: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The images of a group by rising peak, at most so many: evenly over the ranks, both ends among them."""
    images = np.flatnonzero(where)
    images = images[np.argsort(peak[images], kind="stable")]
    return images[np.linspace(0, len(images) - 1, min(len(images), _MOST_PEAKS)).round().astype(int)]


def _spread(values: np.ndarray) -> str:
    if not len(values):
        return f"no images, {UNKNOWN}"
    return f"{plural(len(values), 'image')}, median {np.median(values):.3g}, {values.min():.3g} to {values.max():.3g}"
