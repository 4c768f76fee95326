"""Importances: how much each class rests on each unit, as a page and as charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.display.amounts import MOST_ROWS, grid, known_errors, number, points
from unitlens.display.figures import GREY, figure, marker, name_axis, plain
from unitlens.display.gallery import check_count
from unitlens.display.markup import escape, page, plural
from unitlens.display.theme import shade
from unitlens.errors import OptionError
from unitlens.intervene.importance import Importance
from unitlens.rich import renders

if TYPE_CHECKING:
    import plotly.graph_objects as go

TOP = 4  # units of each class in the table
MEASURES = ("probability", "balanced accuracy")
_BARS = 20
_MAP_CLASSES, _MAP_UNITS = 60, 120
_STEPS = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of the largest loss at which a field of the map gets darker
_MOST_POINTS = 800


@renders(Importance, "html")
def summary(importance: Importance) -> str:
    """The page a notebook shows for an importance; its text twin is `importance.text()`."""
    names = list(importance.ranked)
    most = {name: float(np.max(_table(importance)[:, importance.number(name)])) for name in names}
    kept = set(sorted(names, key=lambda name: -most[name])[:MOST_ROWS])
    shown = [name for name in names if name in kept]
    count = min(TOP, importance.units)
    ordinals = ["most important unit", "second", "third", "fourth"][:count]
    rows = [[escape(name), *(_cell(importance, name, int(unit)) for unit in importance.top(name, count))]
            for name in shown]  # fmt: skip
    table = grid("change of the class's probability in its own images without the unit", ["class", *ordinals], rows)
    title = f"Importance of {plural(importance.units, 'unit')} of {importance.layer}"
    body = (
        f'<h2 class="ul-title">{escape(title)}</h2><p class="ul-words">{escape(made_words(importance))}</p>'
        f"{table if rows else ''}"
        f'<p class="ul-rest ul-muted">{escape(_left_out(importance, len(names) - len(shown)))}</p>'
    )
    return page(body)


def _table(importance: Importance, measure: str | None = None) -> np.ndarray:
    """What each class loses without each unit, (U, K), by a measure."""
    return importance.drop if _measure(measure) == MEASURES[1] else importance.fall


def _measure(measure: str | None) -> str:
    measure = measure or MEASURES[0]
    if measure not in MEASURES:
        raise OptionError(f"measure: expected one of {', '.join(map(repr, MEASURES))}, got {measure!r}")
    return measure


def _change(importance: Importance, unit: int, number_: int, measure: str | None = None) -> str:
    change = points(-float(_table(importance, measure)[unit, number_]))
    return change if _measure(measure) == MEASURES[1] else f"{change} %"


def _cell(importance: Importance, name: str, unit: int) -> str:
    """A unit, what the class loses without it, the same held out, and what that does to its accuracy."""
    at, other = importance.number(name), importance.held_out
    more = [f"held out {_change(other, unit, at)}"] if other and name in other.ranked else []
    if importance.by == "ablation":
        more.append(f"accuracy {_change(importance, unit, at, MEASURES[1])}")
    below = f'<br><span class="ul-muted ul-small">{" · ".join(more)}</span>' if more else ""
    return f"unit {unit} <strong>{_change(importance, unit, at)}</strong>{below}"


def made_words(importance: Importance) -> str:
    """How the ranking was made, and how well it holds on other images."""
    if importance.by == "ablation":
        probable = importance.order_by == "probability"
        what = "probability of the class falls in its own images" if probable else "balanced accuracy falls"
        how = (
            f"Each unit was switched off alone. Units are ordered by how far the {what} (probabilities: the geometric "
            "mean over its images)."
        )
    else:
        how = (
            "Estimated from gradients: by how much the probability of the class would fall in its own images (the "
            "geometric mean over them) if the unit were switched off."
        )
    images = importance.notes.get("images")
    parts = [how] + ([f"Measured on {plural(int(images), 'image')}."] if images else [])
    if importance.held_out is not None:
        rho = number(importance.agreement(importance.held_out), "+.2f")
        parts.append(f"Rank correlation of the falls of probability with those on held-out images: {rho}.")
    return " ".join(parts)


def _left_out(importance: Importance, more: int) -> str:
    absent = len(importance.class_names) - len(importance.ranked)
    parts = []
    if more:
        parts.append(f"{more} more classes, with smaller losses, are in importance.frame().")
    if absent:
        classes = "1 class has" if absent == 1 else f"{absent} classes have"
        parts.append(f"{classes} no images, so no units are ranked for {'it' if absent == 1 else 'them'}.")
    return " ".join(parts)


@renders(Importance, "chart")
def chart(
    importance: Importance, name: str | None = None, *, count: int | None = None, measure: str | None = None
) -> go.Figure:
    """A plotly figure of an importance.

    name: a class, whose most important units are drawn as bars with 95 % intervals, beside those of the held-out
    images; without it a map of all classes and the units that matter to one of them. count: units of the class (20), or
    units for each class of the map (4). measure: "probability" (by which share it
    falls) or "balanced accuracy" (in points). `figure.layout.meta["alt"]` holds the figure in words.
    Raises OptionError. Example: `importance.chart("beach")`.
    """
    measure = _measure(measure)
    many = check_count("count", count if count is not None else TOP if name is None else _BARS)
    return _map(importance, many, measure) if name is None else _bars(importance, name, many, measure)


def _bars(importance: Importance, name: str, count: int, measure: str) -> go.Figure:
    units = importance.top(name, count)
    other = importance.held_out
    pair = [(importance, "ranked", False)]
    if other is not None and name in other.ranked:
        pair.append((other, "held out", True))
    traces = [_unit_bars(one, name, units, measure, words, hatched, len(pair) > 1) for one, words, hatched in pair]
    told = ", ".join(f"unit {u} {_change(importance, u, importance.number(name), measure)}" for u in units.tolist())
    unit = "points of balanced accuracy" if measure == MEASURES[1] else "% of its probability"
    which = "its most important unit" if len(units) == 1 else f"each of its {len(units)} most important units"
    return figure(
        f"What {name} loses without {which}",
        f"Change for {name} without each of its most important units of {importance.layer}, in {unit}: {told}.",
        traces, barmode="overlay", showlegend=len(pair) > 1,
        xaxis={**name_axis([str(u) for u in units], 24), "title": {"text": f"unit of {plain(importance.layer)}"}},
        yaxis={"title": {"text": f"loss, {unit}"}, "zeroline": True, "zerolinecolor": GREY},
    )  # fmt: skip


def _unit_bars(
    one: Importance, name: str, units: np.ndarray, measure: str, words: str, hatched: bool, paired: bool
) -> go.Bar:
    """The bars of one set of images, with intervals where they are known."""
    import plotly.graph_objects as go

    y = 100 * _table(one, measure)[units, one.number(name)]
    low, high = one.interval(name) if measure == MEASURES[1] else one.fall_interval(name)
    errors = {**known_errors(y, 100 * low[units], 100 * high[units]), "color": GREY}
    where = 0.0 if not paired else 0.21 if hatched else -0.21
    colour = GREY if hatched else shade("object").fill
    return go.Bar(
        x=np.arange(len(units)) + where, y=y, width=0.38 if paired else 0.68, name=words, error_y=errors,
        marker=marker(colour, hatched, [int(value != 0) for value in y]), customdata=[f"unit {u}" for u in units],
        hovertemplate=f"%{{customdata}}, {words}: %{{y:.2f}}<extra></extra>",
    )  # fmt: skip


def _map(importance: Importance, count: int, measure: str) -> go.Figure:
    """Fields in steps of one colour, so that a page without a colour scale can draw them and a legend can name them."""
    table = 100 * _table(importance, measure)
    ranked = np.array([importance.number(name) for name in importance.ranked], dtype=np.int64)
    top = np.array([table[importance.orders[:count, c], c].max() for c in ranked])
    classes = np.sort(ranked[np.argsort(-top, kind="stable")[:_MAP_CLASSES]])
    matters = np.flatnonzero(importance.matters(count)[:, classes].any(1)) if len(classes) else ranked
    most = table[np.ix_(matters, classes)]
    best = np.argsort(-most.max(1, initial=0.0), kind="stable")[:_MAP_UNITS] if len(classes) else ranked
    best = best[np.lexsort((-most[best].max(1), most[best].argmax(1)))] if len(best) else best
    units, fields = matters[best], most[best]
    names = [importance.class_names[c] for c in classes]
    unit = "points" if measure == MEASURES[1] else "%"
    left = "" if len(names) == len(ranked) else f" (the {len(names)} of {len(ranked)} that lose most)"
    who = f"{len(names)} classes{left}" if len(names) != 1 else "1 class"
    return figure(
        f"What {who} lose{'s' * (len(names) == 1)} without each of {plural(len(units), 'unit')}, in {unit}",
        f"Loss of {measure} of {who} without each of {plural(len(units), 'unit')} of {importance.layer}. The largest: "
        f"{_largest(fields, units, names, unit)}.",
        _fields(fields, units, names, unit), barmode="overlay", height=250 + 15 * max(6, len(units)), showlegend=True,
        xaxis={**name_axis(names), "showgrid": True},
        yaxis={"tickvals": list(range(len(units))), "ticktext": [str(u) for u in units], "tickfont": {"size": 10},
               "range": [len(units) - 0.4, -0.6], "showgrid": False, "title": {"text": "unit"}},
    )  # fmt: skip


def _largest(fields: np.ndarray, units: np.ndarray, names: list[str], unit: str) -> str:
    flat = np.argsort(-fields, axis=None, kind="stable")[:5]
    found = [(int(place) // len(names), int(place) % len(names)) for place in flat] if names else []
    said = [f"{names[c]} {number(float(fields[u, c]))} {unit} without unit {units[u]}" for u, c in found]
    return "; ".join(said) or "none"


def _fields(fields: np.ndarray, units: np.ndarray, names: list[str], unit: str) -> list[Any]:
    """A trace for each step of the loss, the paler the smaller; losses near 0 have no field, gains a hatched one."""
    full = float(np.abs(fields[np.isfinite(fields)]).max(initial=0.0))
    if not full:
        return []
    digits = max(0, int(np.ceil(1 - np.log10(full))))
    colour = ",".join(str(int(shade("object").fill[at : at + 2], 16)) for at in (1, 3, 5))
    edges = [full * step for step in _STEPS]
    traces = []
    for low, high, alpha in zip(edges, [*edges[1:], np.inf], (0.26, 0.44, 0.62, 0.8, 1.0), strict=True):
        until = f"to {high:.{digits}f}" if np.isfinite(high) else "or more"
        where = (fields >= low) & (fields < high)
        words = f"loses {low:.{digits}f} {until}"
        traces.append(_boxes(where, fields, units, names, unit, words, {"color": f"rgba({colour},{alpha})"}))
    gains = fields <= -edges[0]
    if gains.any():
        look = marker(shade("texture").fill, True, [1] * int(gains.sum()))
        traces.append(_boxes(gains, fields, units, names, unit, f"gains {edges[0]:.{digits}f} or more", look))
    return traces


def _boxes(
    where: np.ndarray, fields: np.ndarray, units: np.ndarray, names: list[str], unit: str, words: str, look: Any
) -> go.Bar:
    import plotly.graph_objects as go

    rows, columns = np.nonzero(where)
    said = [f"{plain(names[c])}, unit {units[r]}: {fields[r, c]:.3g} {unit}"
            for r, c in zip(rows, columns, strict=True)]  # fmt: skip
    empty = not len(rows)  # its key stays in the legend
    return go.Bar(
        x=[None] if empty else columns, y=[None] if empty else np.full(len(rows), 0.92), width=0.92,
        base=[None] if empty else rows - 0.46, name=words, marker=look, customdata=said,
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


@renders(Importance, "compare")
def compare(importance: Importance, other: Importance) -> go.Figure:
    """A plotly figure of two importances of the same units and classes: the loss of log probability in each.

    Units that matter to a class in one of them are drawn filled. Raises OptionError, RecipeMismatch.
    """
    import plotly.graph_objects as go

    if not isinstance(other, Importance):
        raise OptionError(f"other: expected another Importance, got {type(other).__name__}")
    rho = number(importance.agreement(other), "+.2f")
    known = np.isfinite(importance.log_drop) & np.isfinite(other.log_drop)
    matters = (importance.matters() | other.matters()) & known
    series = [
        (known & ~matters, "other pairs of unit and class", "circle-open", GREY, 5),
        (matters, "among the four most important units of a class", "diamond", shade("object").fill, 8),
    ]
    traces: list[Any] = []
    for where, words, symbol, colour, size in series:
        u, c = _thinned(np.nonzero(where), importance.log_drop[where])
        said = [f"{plain(importance.class_names[k])}, unit {i}" for i, k in zip(u, c, strict=True)]
        traces.append(go.Scatter(
            x=importance.log_drop[u, c], y=other.log_drop[u, c], mode="markers", name=words, customdata=said,
            marker={"symbol": symbol, "color": colour, "size": size},
            hovertemplate="%{customdata}: %{x:.3g}, %{y:.3g}<extra></extra>",
        ))  # fmt: skip
    values = [value for trace in traces for value in (*trace.x, *trace.y)] or [0.0]
    ends = [float(min(values)), float(max(values))]
    traces.insert(0, go.Scatter(x=ends, y=ends, mode="lines", line={"color": GREY, "width": 1.5, "dash": "dot"},
                                name="equal", hoverinfo="skip"))  # fmt: skip
    drawn = sum(len(trace.x) for trace in traces[1:])
    left = f"; {drawn:,} of {int(known.sum()):,} pairs are drawn" if drawn < known.sum() else ""
    mine, theirs = _kinds(importance, other)
    return figure(
        f"Rank correlation of {mine} and {theirs}: {rho}",
        f"Loss of log probability of each class without each unit of {importance.layer}: {mine} against {theirs}, rank "
        f"correlation over the units {rho}, mean over classes{left}.",
        traces, height=460, showlegend=True,
        xaxis={"title": {"text": f"loss of log probability, {mine}"}, "showgrid": True},
        yaxis={"title": {"text": f"loss of log probability, {theirs}"}},
    )  # fmt: skip


def _kinds(importance: Importance, other: Importance) -> tuple[str, str]:
    names = importance.by, other.by
    return names if names[0] != names[1] else (f"{names[0]}, this", f"{names[1]}, other")


def _thinned(places: tuple[np.ndarray, ...], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most so many pairs, evenly over the order of their values: both ends stay."""
    order = np.argsort(values, kind="stable")
    if len(order) > _MOST_POINTS:
        order = order[np.linspace(0, len(order) - 1, _MOST_POINTS).round().astype(int)]
    return places[0][order], places[1][order]
