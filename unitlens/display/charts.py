"""Charts: plotly figures of a dissection, legible on light and dark pages alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.data.concepts import Concept
from unitlens.display.figures import GREY, bands, figure, key, marker, name_axis, plain
from unitlens.display.markup import full_name, plural
from unitlens.display.theme import shade
from unitlens.dissection.result import Dissection
from unitlens.errors import LayerNotFound, OptionError
from unitlens.rich import renders

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = ("concepts", "units", "iou")
_BLUE = "#0072b2"


@renders(Dissection, "chart")
def chart(
    dissection: Dissection, kind: str = "concepts", *, layer: str | None = None, against: Dissection | None = None
) -> go.Figure:
    """A plotly figure of a dissection.

    kind: "concepts" (distinct detected concepts per layer, stacked by category), "units" (units per concept of one
    layer, the paper's Fig. 1) or "iou" (how the best IoU of a layer's units is distributed). layer: the last one by
    default; "concepts" shows all, or the one that is named. against: another dissection of the same layers, such as the
    random twin's, drawn hatched beside. `figure.layout.meta["alt"]` holds the figure in words.
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


def _concepts(dissection: Dissection, names: list[str], against: Dissection | None) -> go.Figure:
    """Bars are placed by hand: plotly's own way to group stacks writes the model's name under every one of them."""
    import plotly.graph_objects as go

    pair = [(dissection, False)] + ([(against, True)] if against else [])
    wide = 0.4 if against else 0.62
    traces: list[Any] = []
    for found, hatched in pair:
        counts = {name: found.concept_counts(name) for name in names}
        series = _series(dissection, against, hatched)
        x = [i + (0.0 if against is None else 0.21 if hatched else -0.21) for i in range(len(names))]
        totals = [sum(counts[name].values()) for name in names]
        for category in found.vocabulary.categories:
            y = [counts[name].get(category, 0) for name in names]
            traces.append(
                go.Bar(
                    x=x, y=y, name=plain(category), width=wide, legendgroup=category, showlegend=not hatched,
                    marker=marker(shade(category).fill, hatched, y), customdata=[plain(name) for name in names],
                    text=None if hatched else [n or "" for n in y], textposition="inside", textangle=0,
                    textfont={"color": shade(category).on, "size": 11}, insidetextanchor="middle",
                    hovertemplate=f"%{{customdata}}, {plain(series)}: "
                    f"%{{y:,}} {plain(category)} concepts<extra></extra>",
                )
            )  # fmt: skip
        traces.append(
            go.Scatter(
                x=x, y=totals, text=[str(n) for n in totals] if hatched else [f"<b>{n}</b>" for n in totals],
                mode="text", textposition="top center", showlegend=False, hoverinfo="skip", name="total",
                cliponaxis=False,
                textfont={"size": 11 if hatched else 12, "color": GREY},
            )
        )  # fmt: skip
    if against:
        traces += [key(_series(dissection, against, hatched), hatched) for hatched in (False, True)]
    return figure(
        _concepts_title(dissection, names, against), _concepts_alt(dissection, names, against), traces,
        barmode="stack", yaxis_title="distinct concepts", xaxis=name_axis(names),
    )  # fmt: skip


def _concepts_title(dissection: Dissection, names: list[str], against: Dissection | None) -> str:
    totals = {name: len(dissection.concepts(name)) for name in names}
    most = max(totals, key=lambda name: totals[name])
    title = f"{most} detects {'the most concepts: ' if len(names) > 1 else ''}"
    title += str(totals[most]) if len(names) > 1 else plural(totals[most], "concept")
    return title + (f" ({_series(dissection, against, True)}: {len(against.concepts(most))})" if against else "")


def _concepts_alt(dissection: Dissection, names: list[str], against: Dissection | None) -> str:
    return f"Distinct detected concepts per layer: {'; '.join(_alt_counts(dissection, against, n) for n in names)}."


def _alt_counts(dissection: Dissection, against: Dissection | None, name: str) -> str:
    counts = ", ".join(f"{n} {category}" for category, n in dissection.concept_counts(name).items())
    other = f"; {len(against.concepts(name))} in {_series(dissection, against, True)}" if against else ""
    return f"{name} {len(dissection.concepts(name))} ({counts}{other})"


def _series(dissection: Dissection, against: Dissection | None, other: bool) -> str:
    """The name of one of two dissections: its model, or "this" and "other" where that does not tell them apart."""
    names = [str(d.notes.get("model", "")) for d in (dissection, against) if d]
    if len(names) == 2 and (not all(names) or names[0] == names[1]):
        names = ["this", "other"]
    return names[other]


def units_per_concept(dissection: Dissection, layer: str | None = None) -> dict[Concept, int]:
    """Number of detectors of each detected concept of a layer, by category and falling number (the paper's Fig. 1)."""
    return {concept: len(units) for concept, units in dissection.concepts(layer).items()}


def _units(dissection: Dissection, name: str, against: Dissection | None) -> go.Figure:
    counts = units_per_concept(dissection, name)
    other = units_per_concept(against, name) if against else {}
    concepts = [*counts, *(concept for concept in other if concept not in counts)]
    categories = list(dict.fromkeys([*dissection.vocabulary.categories, *(c.category for c in concepts)]))
    concepts.sort(key=lambda c: categories.index(c.category))  # stable: the twin's own concepts end their category
    detectors, units = len(dissection.detectors(name)), dissection.layers[name].units
    title = f"{name}: {detectors} of {units} units detect {plural(len(counts), 'concept')}"
    alt = f"Units per concept of {name}: {', '.join(f'{full_name(c)} {n}' for c, n in counts.items()) or 'none'}."
    traces = _unit_bars(concepts, counts, False, against is not None)
    if against:
        passing = f"{len(against.detectors(name))} of {against.layers[name].units} detect {len(other)}"
        title += f"; {_series(dissection, against, True)}: {passing}"
        alt += f" {_series(dissection, against, True)}: {passing}."
        traces += _unit_bars(concepts, other, True, True)
        traces += [key(_series(dissection, against, hatched), hatched) for hatched in (False, True)]
    return figure(
        title, alt, traces, barmode="overlay", yaxis_title="units", xaxis=name_axis([c.name for c in concepts]),
        shapes=bands([c.category for c in concepts]), showlegend=True,
    )  # fmt: skip


def _unit_bars(concepts: list[Concept], numbers: dict[Concept, int], hatched: bool, paired: bool) -> list[go.Bar]:
    """The bars of one dissection, a trace for each category; the legend says how many concepts it has."""
    import plotly.graph_objects as go

    shift = 0.0 if not paired else 0.2 if hatched else -0.2
    traces = []
    for category in dict.fromkeys(c.category for c in concepts):
        places = [i for i, c in enumerate(concepts) if c.category == category]
        words = [plain(full_name(concepts[i])) for i in places]
        found = sum(concepts[i] in numbers for i in places)
        y = [numbers.get(concepts[i], 0) for i in places]
        traces.append(
            go.Bar(
                x=[i + shift for i in places], y=y,
                width=0.38 if paired else 0.68, marker=marker(shade(category).fill, hatched, y),
                name=plain(plural(found, category)), legendgroup=category, showlegend=not hatched,
                meta="other" if hatched else "this",
                customdata=words, hovertemplate="%{customdata}: %{y:,} units<extra></extra>",
            )
        )  # fmt: skip
    return traces


def iou_histogram(dissection: Dissection, layer: str, width: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """How many units have their best IoU in each bin: lower edges float64 (N,) and counts int64 (N,).

    The bins run from 0 to 1 in steps of `width`, each without its upper edge.
    """
    _, score = dissection.best(layer)
    bins = round(1 / width)
    place = np.minimum((score / width + 1e-9).astype(np.int64), bins - 1)
    return np.arange(bins) * width, np.bincount(place, minlength=bins)


def _iou(dissection: Dissection, name: str, against: Dissection | None) -> go.Figure:
    pair = [dissection] + ([against] if against else [])
    histograms = [iou_histogram(found, name) for found in pair]
    right = max(float(edges[counts > 0].max(initial=0.0)) + 0.02 for edges, counts in histograms)
    top = max(int(counts.max()) for _, counts in histograms)
    traces = [
        _iou_bars(edges, counts, plain(_series(dissection, against, i > 0)), i > 0)
        for i, (edges, counts) in enumerate(histograms)
    ]
    passing = [f"{len(d.detectors(name))} of {d.layers[name].units}" for d in pair]
    other = f"; {_series(dissection, against, True)}: {passing[1]}" if against else ""
    made = figure(
        f"{name}: {passing[0]} units reach IoU {dissection.min_iou:g}{other}",
        f"Distribution of the best IoU of the units of {name}: {passing[0]} reach {dissection.min_iou:g}{other}.",
        traces, barmode="overlay", showlegend=against is not None,
        xaxis={"title": {"text": "best IoU of a unit"}, "range": [0, max(right, dissection.min_iou) * 1.05]},
        yaxis={"title": {"text": "units"}, "range": [0, 1.14 * top]},  # room for the words at the line
    )  # fmt: skip
    made.add_vline(x=dissection.min_iou, line={"color": GREY, "width": 1.5, "dash": "dot"})
    made.add_annotation(
        x=dissection.min_iou, y=1, yref="paper", text=f" minimum IoU {dissection.min_iou:g}", showarrow=False,
        xanchor="left", yanchor="top",
    )  # fmt: skip
    return made


def _iou_bars(edges: np.ndarray, counts: np.ndarray, name: str, hatched: bool) -> go.Bar:
    """One distribution; the other dissection's lies hatched over it, bin on bin."""
    import plotly.graph_objects as go

    return go.Bar(
        x=edges + 0.01, y=counts, width=0.0185, name=name,
        marker=marker(GREY if hatched else _BLUE, hatched, counts.tolist()),
        hovertemplate=f"{name}, best IoU %{{x:.2f}} ± 0.01: %{{y:,}} units<extra></extra>",
    )  # fmt: skip
