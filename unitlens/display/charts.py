"""Charts: plotly figures of a dissection, legible on light and dark pages alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.data.concepts import Concept
from unitlens.display.markup import full_name, plural
from unitlens.display.theme import shade
from unitlens.dissection.result import Dissection
from unitlens.errors import LayerNotFound, OptionError
from unitlens.rich import renders

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = ("concepts", "units", "iou")
_GREY = "#757982"  # contrast above 4 on white and on black: figures do not know the page they stand on
_GRID = "rgba(128,132,142,0.28)"


@renders(Dissection, "chart")
def chart(
    dissection: Dissection, kind: str = "concepts", *, layer: str | None = None, against: Dissection | None = None
) -> go.Figure:
    """A plotly figure of a dissection.

    kind: "concepts" (distinct detected concepts per layer, stacked by category), "units" (units per concept of one
    layer, the paper's Fig. 1) or "iou" (how the best IoU of a layer's units is distributed). layer: the last one by
    default; "concepts" shows all, or the one that is named. against: another dissection of the same layers, such as the
    random twin's, drawn pale beside. `figure.layout.meta["alt"]` holds the figure in words.
    Raises OptionError, LayerNotFound. Example: `dissection.chart("iou", against=twin)`.
    """
    if kind not in KINDS:
        raise OptionError(f"kind: expected one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    names = list(dissection.layers) if kind == "concepts" and layer is None else [dissection.layer(layer).name]
    _check_twin(names, against)
    if kind == "concepts":
        return _concepts(dissection, names, against)
    return _units(dissection, names[0], against) if kind == "units" else _iou(dissection, names[0], against)


def _check_twin(names: list[str], against: object) -> None:
    if against is None:
        return
    if not isinstance(against, Dissection):
        raise OptionError(f"against: expected another Dissection, got {type(against).__name__}")
    missing = [name for name in names if name not in against.layers]
    if missing:
        error = LayerNotFound(missing[0], against.layers)
        known = ", ".join(map(repr, against.layers))
        error.args = (
            f"against: layer {missing[0]!r} is not in that dissection, which has {known}. Dissect both over the "
            "same layers.",
        )
        raise error


def _figure(title: str, alt: str, traces: list[Any], **layout: Any) -> go.Figure:
    """A finished figure in the one template: transparent, grey text, no chart junk; the alternative text in `meta`."""
    import plotly.graph_objects as go

    axis = {"gridcolor": _GRID, "zeroline": False, "linecolor": _GRID, "tickcolor": _GRID, "automargin": True}
    template = go.layout.Template(
        layout={
            "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "xaxis": {**axis, "showgrid": False},
            "yaxis": axis,
            "font": {"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 13, "color": _GREY},
            "uniformtext": {"minsize": 10, "mode": "hide"}, "bargap": 0.25,
            "title": {"font": {"size": 16}, "x": 0, "xref": "paper", "xanchor": "left"},
            "margin": {"l": 56, "r": 16, "t": 72, "b": 48}, "hoverlabel": {"font": {"size": 13}},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        }
    )  # fmt: skip
    figure = go.Figure(traces)
    figure.update_layout(template=template, title={"text": _plain(title)}, meta={"alt": alt}, height=380, **layout)
    return figure


def _plain(words: object) -> str:
    """Text that plotly shows as it is: it would read `<b>` and the like in a name as markup."""
    return str(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _concepts(dissection: Dissection, names: list[str], against: Dissection | None) -> go.Figure:
    import plotly.graph_objects as go

    traces = []
    for series, found in (("trained", dissection), ("against", against)):
        if found is None:
            continue
        counts = {name: found.concept_counts(name) for name in names}
        places = [_plain(name) for name in names]
        x = places if against is None else [places, [_plain(_series(dissection, against, series))] * len(names)]
        for category in found.vocabulary.categories:
            y = [counts[name].get(category, 0) for name in names]
            traces.append(
                go.Bar(
                    x=x, y=y, name=_plain(category), legendgroup=category,
                    marker=_marker(category, series == "against"),
                    showlegend=series == "trained", text=[n or "" for n in y] if series == "trained" else None,
                    textposition="inside", textangle=0,
                    textfont={"color": shade(category).on},
                    insidetextanchor="middle", hovertemplate=f"%{{y}} {_plain(category)} concepts<extra></extra>",
                )
            )  # fmt: skip
    totals = {name: len(dissection.concepts(name)) for name in names}
    most = max(totals, key=lambda name: totals[name])
    title = (
        f"{most} detects the most concepts: {totals[most]}"
        if len(names) > 1
        else f"{most} detects {plural(totals[most], 'concept')}"
    )
    alt = (
        "Distinct detected concepts per layer: "
        + "; ".join(_alt_counts(dissection, against, name) for name in names)
        + "."
    )
    return _figure(title, alt, traces, barmode="stack", yaxis_title="distinct concepts")


def _series(dissection: Dissection, against: Dissection, series: str) -> str:
    """The name of one of two dissections: its model, or "this" and "other" where that does not tell them apart."""
    names = [str(d.notes.get("model", "")) for d in (dissection, against)]
    if not all(names) or names[0] == names[1]:
        names = ["this", "other"]
    return names[0] if series == "trained" else names[1]


def _marker(category: str, pale: bool) -> dict[str, Any]:
    """A bar's look: full colour, or pale and hatched for the other dissection (told apart without colour as well)."""
    fill = shade(category).fill
    if not pale:
        return {"color": fill, "line": {"width": 0}}
    return {
        "color": fill,
        "opacity": 0.8,
        "line": {"width": 0},
        "pattern": {"shape": "/", "size": 6, "solidity": 0.5},
    }


def _alt_counts(dissection: Dissection, against: Dissection | None, name: str) -> str:
    counts = ", ".join(f"{n} {category}" for category, n in dissection.concept_counts(name).items())
    other = f"; {len(against.concepts(name))} in the other dissection" if against else ""
    return f"{name} {len(dissection.concepts(name))} ({counts}{other})"


def units_per_concept(dissection: Dissection, layer: str | None = None) -> dict[Concept, int]:
    """Number of detectors of each detected concept of a layer, by category and falling number (the paper's Fig. 1)."""
    return {concept: len(units) for concept, units in dissection.concepts(layer).items()}


def _units(dissection: Dissection, name: str, against: Dissection | None) -> go.Figure:
    import plotly.graph_objects as go

    counts = units_per_concept(dissection, name)
    other = units_per_concept(against, name) if against else {}
    concepts = [*counts, *(concept for concept in other if concept not in counts)]
    categories = list(dict.fromkeys([*dissection.vocabulary.categories, *(c.category for c in concepts)]))
    concepts.sort(key=lambda c: categories.index(c.category))  # stable: the twin's own concepts end their category
    traces = []
    for numbers, pale in ((counts, False), (other, True)):
        for category in categories if numbers else ():
            places = [i for i, c in enumerate(concepts) if c.category == category]
            if not places:
                continue
            y = [numbers.get(concepts[i], 0) for i in places]
            words = [_plain(full_name(concepts[i])) for i in places]
            traces.append(
                go.Bar(
                    x=places, y=y, name=_plain(category) + (" (other)" if pale else ""), marker=_marker(category, pale),
                    offsetgroup="other" if pale else "this", legendgroup=category, showlegend=not pale,
                    customdata=words, hovertemplate="%{customdata}: %{y} units<extra></extra>",
                )
            )  # fmt: skip
    detectors, units = len(dissection.detectors(name)), dissection.layers[name].units
    title = f"{name}: {detectors} of {units} units detect {plural(len(counts), 'concept')}"
    if against:
        title += f" (hatched: {_series(dissection, against, 'against')})"
    alt = (
        f"Units per concept of {name}: " + (", ".join(f"{full_name(c)} {n}" for c, n in counts.items()) or "none") + "."
    )
    axis = {"tickvals": list(range(len(concepts))), "ticktext": [_plain(c.name) for c in concepts], "tickangle": -50}
    return _figure(title, alt, traces, barmode="group", yaxis_title="units", xaxis=axis)


def iou_histogram(dissection: Dissection, layer: str, width: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """How many units have their best IoU in each bin: lower edges float64 (N,) and counts int64 (N,).

    The bins run from 0 to 1 in steps of `width`, each without its upper edge.
    """
    _, score = dissection.best(layer)
    bins = round(1 / width)
    place = np.minimum((score / width + 1e-9).astype(np.int64), bins - 1)
    return np.arange(bins) * width, np.bincount(place, minlength=bins)


def _iou(dissection: Dissection, name: str, against: Dissection | None) -> go.Figure:
    import plotly.graph_objects as go

    series = [(dissection, "#0072b2", False)] + ([(against, "#8a8f99", True)] if against else [])
    traces, largest = [], 0.0
    for found, colour, pale in series:
        edges, counts = iou_histogram(found, name)
        largest = max(largest, float(edges[counts > 0].max(initial=0.0)) + 0.02)
        label = _plain(_series(dissection, against, "against" if pale else "trained")) if against else "units"
        marker = {"color": colour, "opacity": 0.6 if pale else 1.0, "line": {"width": 0}}
        if pale:
            marker["pattern"] = {"shape": "/", "size": 6, "solidity": 0.35}
        traces.append(
            go.Bar(
                x=edges + 0.01, y=counts, width=None if against else 0.018, name=label, marker=marker,
                hovertemplate="best IoU %{x:.2f} ± 0.01: %{y} units<extra></extra>",
            )
        )  # fmt: skip
    passing = [(len(d.detectors(name)), d.layers[name].units) for d, _, _ in series]
    title = f"{name}: {passing[0][0]} of {passing[0][1]} units reach IoU {dissection.min_iou:g}"
    reach = f"{passing[0][0]} of {passing[0][1]} reach {dissection.min_iou:g}"
    alt = f"Distribution of the best IoU of the units of {name}: {reach}"
    if against:
        title += f", {passing[1][0]} of {passing[1][1]} in the other dissection"
        alt += f"; in the other dissection {passing[1][0]} of {passing[1][1]}"
    figure = _figure(
        title, alt + ".", traces, barmode="group", bargap=0.1, yaxis_title="units", showlegend=against is not None,
        xaxis={"title": "best IoU", "range": [0, max(largest, dissection.min_iou) * 1.05]},
    )  # fmt: skip
    figure.add_vline(x=dissection.min_iou, line={"color": _GREY, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=dissection.min_iou,
        y=1,
        yref="paper",
        text=f" minimum IoU {dissection.min_iou:g}",
        showarrow=False,
        xanchor="left",
    )
    return figure
