"""Causes: what classes rest on, in sentences; the graph of classes, units and concepts; are useful units nameable?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.display.amounts import MOST_ROWS, cut, known_errors, number, wrapped_title
from unitlens.display.figures import GREY, figure, name_axis, plain
from unitlens.display.gallery import check_count
from unitlens.display.markup import chip, escape, page, plural
from unitlens.display.theme import shade
from unitlens.errors import OptionError
from unitlens.intervene.roles import LEAST, MEANING, MOST_SERVED, Roles, Share, told
from unitlens.rich import renders

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = ("graph", "groups")
NOTHING = "no concept"
_MOST_CLASSES = 40
_WIDTHS = (1.0, 2.0, 3.5, 5.5)  # of lines, by the share of the largest loss
_COLUMNS = (0.0, 1.0, 2.0)
_HALF = 0.08  # of the units' column: their numbers stand between two dots


@renders(Roles, "html")
def summary(roles: Roles) -> str:
    """The page a notebook shows for roles; its text twin is `roles.text()`."""
    resting = [name for name in roles.names if any(one.fall >= LEAST for one in roles.shares(name))]
    free = [name for name in roles.names if name not in set(resting)]
    about = (
        f"{plural(roles.count, 'most important unit')} of {_classes(len(roles.names))}; losses on "
        f"{'held-out images' if roles.judged == 'held out' else 'the images that ranked them'}; a concept is named "
        f"from IoU {roles.min_iou:g} on. {MEANING}"
    )
    items = "".join(f"<li>{_sentence(roles, name)}</li>" for name in resting[:MOST_ROWS])
    more = len(resting) - MOST_ROWS
    rest = f'<p class="ul-rest ul-muted">{more} more classes are in roles.frame().</p>' if more > 0 else ""
    body = (
        f'<h2 class="ul-title">What classes rest on in {escape(roles.layer)}</h2>'
        f'<p class="ul-muted">{escape(about)}</p><p class="ul-words"><strong>{escape(verdict(roles))}</strong></p>'
        f'{f"""<ul class="ul-sentences">{items}</ul>""" if items else ""}{rest}{_free(free, bool(resting))}'
    )
    return page(body)


def verdict(roles: Roles) -> str:
    """What the groups say."""
    return roles.verdict().replace("nan", "–")


def _classes(count: int) -> str:
    return "1 class" if count == 1 else f"{count} classes"


def _sentence(roles: Roles, name: str) -> str:
    """`roles.sentence` with the categories of the concepts as chips."""
    parts = [_part(roles, one) for one in roles.shares(name) if one.fall >= LEAST]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"<strong>{escape(name)}</strong> rests on {listed}."


def _part(roles: Roles, one: Share) -> str:
    named = f"{escape(one.concept)} {chip(one.category)}" if one.detector else NOTHING
    said = told(one.fall).replace("-", "−")
    return f'{named} <span class="ul-muted">(unit {one.unit}, {said})</span>'


def _free(names: Sequence[str], others: bool) -> str:
    """The classes that lose nothing without any one unit, in one sentence."""
    if not names:
        return ""
    more = len(names) - MOST_ROWS
    listed = ", ".join(names[:MOST_ROWS]) + (f" and {more} more" if more > 0 else "")
    verb = "rests" if len(names) == 1 else "rest"
    words = f"{listed} {verb} on no single unit: without any one of them the probability falls by less than 1 %."
    return f'<p class="ul-words{" ul-muted" if others else ""}">{escape(words)}</p>'


@renders(Roles, "chart")
def chart(roles: Roles, kind: str = "graph", *, count: int | None = None) -> go.Figure:
    """A plotly figure of roles.

    kind: "graph" (classes, the units without which their probability falls, the concepts that these detect) or "groups"
    (mean best IoU of the units by the number of classes they matter for, the paper's Figure 2d). count: units of each
    class in the graph, all that count as important by default. `figure.layout.meta["alt"]` holds the figure in words.
    Raises OptionError. Example: `roles.chart("groups")`.
    """
    if kind not in KINDS:
        raise OptionError(f"kind: expected one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    many = roles.count if count is None else check_count("count", count)
    return _groups(roles) if kind == "groups" else _graph(roles, many)


def _groups(roles: Roles) -> go.Figure:
    import plotly.graph_objects as go

    frame = roles.groups()
    names = [f"{n} or more" if n == MOST_SERVED else str(n) for n in frame["classes"]]
    value, low, high = (frame[key].to_numpy() for key in ("mean_iou", "low", "high"))
    sizes = [plural(int(n), "unit") for n in frame["units"]]
    rows = zip(names, value, sizes, strict=True)
    listed = "; ".join(f"{name} classes: {number(v, '.3f')} ({size})" for name, v, size in rows)
    top = np.where(np.isfinite(high), high, value)
    above = top + 0.02 * float(np.max(top, initial=0.01))  # the words stand clear of the whiskers
    traces = [
        go.Scatter(x=list(range(len(names))), y=value, mode="lines+markers", name="mean best IoU",
                   error_y=known_errors(value, low, high), line={"color": shade("object").fill, "width": 1.5},
                   marker={"size": 9, "symbol": "circle"}, customdata=sizes,
                   hovertemplate="%{customdata}: %{y:.3f}<extra></extra>"),
        go.Scatter(x=list(range(len(names))), y=above, mode="text", text=sizes, textposition="top center",
                   textfont={"size": 11, "color": GREY}, showlegend=False, hoverinfo="skip", name="units",
                   cliponaxis=False),
    ]  # fmt: skip
    made = figure(
        verdict(roles),
        f"Mean best IoU of units of {roles.layer} by the number of classes they matter for: {listed}. {verdict(roles)}",
        traces, showlegend=False, margin={"t": 90},
        xaxis={**name_axis(names), "title": {"text": "classes that the unit is among the most important for"}},
        yaxis={"title": {"text": "mean best IoU"}, "range": [0, 1.15 * float(np.max(top, initial=0.01))]},
    )  # fmt: skip
    made.update_layout(title={"text": wrapped_title(verdict(roles))})
    return made


def _graph(roles: Roles, count: int) -> go.Figure:
    """Three columns; a class is joined to the units that it loses something without, a unit to what it detects."""
    edges = [(name, one) for name in roles.names for one in roles.shares(name)[:count] if one.fall >= LEAST]
    lost = {name: sum(one.fall for of, one in edges if of == name) for name in roles.names}
    kept = set(sorted((name for name in lost if lost[name]), key=lambda name: -lost[name])[:_MOST_CLASSES])
    edges = [(name, one) for name, one in edges if name in kept]
    if not edges:
        words = f"No class loses a hundredth of its probability without any one unit of {roles.layer}"
        return figure(words, f"{words}, so there is nothing to join.", [], height=140, showlegend=False,
                      xaxis={"visible": False}, yaxis={"visible": False})  # fmt: skip
    names = [name for name in roles.names if name in kept]
    units, concepts = _ordered(edges, names)
    rows = max(len(names), len(units), len(concepts))
    places = [_spread(names, rows), _spread(list(units), rows), _spread(concepts, rows)]
    traces = [*_lines(edges, units, places), *_nodes(names, units, concepts, places)]
    left = len([name for name in roles.names if name not in kept])
    fewer = f"; {_classes(left)} without any is left out" if left == 1 else f"; {left} without any are left out"
    said = "; ".join(roles.sentence(name).rstrip(".") for name in names)
    return figure(
        f"{_classes(len(names))} and the {plural(len(units), 'unit')} that matter to them",
        f"Graph of classes, units of {roles.layer} and concepts{fewer if left else ''}: {said}.",
        traces, height=150 + 19 * max(rows, 6), showlegend=True,
        xaxis={"range": [-0.75, 2.75], "tickvals": list(_COLUMNS), "showgrid": False, "side": "bottom",
               "ticktext": ["classes", f"units of {plain(roles.layer)}", "concepts"]},
        yaxis={"visible": False, "range": [rows - 0.3, -0.7]},
    )  # fmt: skip


def _ordered(
    edges: Sequence[tuple[str, Share]], names: Sequence[str]
) -> tuple[dict[int, Share], list[tuple[str, str]]]:
    """Units and concepts, each at the mean place of what it is joined to, so that few lines cross."""
    spots: dict[int, list[int]] = {}
    shares = {one.unit: one for _, one in edges}
    for name, one in edges:
        spots.setdefault(one.unit, []).append(names.index(name))
    units = {unit: shares[unit] for unit in sorted(spots, key=lambda u: (float(np.mean(spots[u])), u))}
    heights: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(units.values()):
        heights.setdefault(_concept(one), []).append(place)
    return units, sorted(heights, key=lambda c: (float(np.mean(heights[c])), c))


def _concept(one: Share) -> tuple[str, str]:
    return (one.concept, one.category) if one.detector else (NOTHING, "other")


def _called(concept: tuple[str, str], concepts: Sequence[tuple[str, str]]) -> str:
    """Its name, with the category where another concept has the same name."""
    shared = sum(name == concept[0] for name, _ in concepts) > 1
    return f"{concept[0]} ({concept[1]})" if shared else concept[0]


def _spread(things: Sequence[Any], rows: int) -> dict[Any, float]:
    """Even heights over all rows."""
    step = rows / len(things)
    return {thing: step * (place + 0.5) - 0.5 for place, thing in enumerate(things)}


def _lines(edges: Sequence[tuple[str, Share]], units: dict[int, Share], places: list[dict[Any, float]]) -> list[Any]:
    """The lines, a trace for each colour and width: wider for a larger loss, the colour that of the concept."""
    import plotly.graph_objects as go

    full = max(one.fall for _, one in edges)
    groups: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    for name, one in edges:
        width = _WIDTHS[min(int(one.fall / full * len(_WIDTHS)), len(_WIDTHS) - 1)]
        groups.setdefault((_concept(one)[1], width), []).append((0.0, places[0][name], places[1][one.unit]))
    for unit, one in units.items():
        groups.setdefault((_concept(one)[1], 1.0), []).append((1 + _HALF, places[1][unit], places[2][_concept(one)]))
    return [
        go.Scatter(
            x=[x for start, _, _ in ends for x in (start, start + 1 - _HALF, None)],
            y=[y for _, here, there in ends for y in (here, there, None)], mode="lines", opacity=0.75,
            line={"color": shade(category).fill, "width": width}, hoverinfo="skip", showlegend=False,
            name=plain(category),
        )
        for (category, width), ends in groups.items()
    ]  # fmt: skip


def _nodes(
    names: Sequence[str], units: dict[int, Share], concepts: Sequence[tuple[str, str]], places: list[dict[Any, float]]
) -> list[Any]:
    import plotly.graph_objects as go

    text = {"size": 11, "color": GREY}
    made = [go.Scatter(
        x=[0.0] * len(names), y=[places[0][name] for name in names], mode="markers+text", name="classes",
        text=[cut(name) for name in names], textposition="middle left", textfont=text, showlegend=False,
        marker={"size": 9, "symbol": "square", "color": GREY}, hoverinfo="skip", cliponaxis=False,
    )]  # fmt: skip
    for category in dict.fromkeys(category for _, category in concepts):
        own = [unit for unit, one in units.items() if _concept(one)[1] == category]
        called = [concept for concept in concepts if concept[1] == category]
        heights = [places[1][unit] for unit in own]
        said = [f"unit {unit}: {plain(_concept(units[unit])[0])}, IoU {units[unit].iou:.2f}" for unit in own]
        made.append(go.Scatter(
            x=[1 - _HALF] * len(own) + [1 + _HALF] * len(own) + [2.0] * len(called),
            y=heights * 2 + [places[2][concept] for concept in called], mode="markers+text", textfont=text,
            text=[""] * 2 * len(own) + [cut(_called(concept, concepts)) for concept in called],
            textposition="middle right",
            name=plain(NOTHING if called == [(NOTHING, "other")] else category), cliponaxis=False,
            marker={"size": 7, "symbol": "circle", "color": shade(category).fill},
            customdata=said * 2 + [plain(name) for name, _ in called], hovertemplate="%{customdata}<extra></extra>",
        ))  # fmt: skip
    made.append(go.Scatter(
        x=[1.0] * len(units), y=list(places[1].values()), mode="text", text=[str(unit) for unit in units], name="units",
        textposition="middle center", textfont=text, showlegend=False, hoverinfo="skip", cliponaxis=False,
    ))  # fmt: skip
    return made
