"""Figures: the one template of every plotly chart, legible on light and dark pages alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unitlens.display.theme import shade

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Text and lines on a page that does not say its text colour (`unitlens.display.ink` asks it): of all greys the one
#: that is told best from white and from #15171c alike.
GREY = "#777b84"
_GRID = "rgba(128,132,142,0.28)"


def figure(title: str, alt: str, traces: Sequence[Any], **layout: Any) -> go.Figure:
    """A finished figure: transparent, grey text, no chart junk; the figure in words is `layout.meta["alt"]`."""
    import plotly.graph_objects as go

    from unitlens.display.portable import PortableFigure

    axis = {
        "gridcolor": _GRID, "zeroline": False, "linecolor": _GRID, "tickcolor": _GRID, "automargin": True,
        "title": {"font": {"size": 13}},
    }  # fmt: skip
    template = go.layout.Template(
        layout={
            "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "xaxis": {**axis, "showgrid": False},
            "yaxis": {**axis, "title": {"font": {"size": 13}, "standoff": 14}},
            "font": {"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 13, "color": GREY},
            "uniformtext": {"minsize": 10, "mode": "hide"}, "bargap": 0.25,
            "title": {
                "font": {"size": 16}, "x": 0, "xref": "paper", "xanchor": "left", "y": 1, "yref": "container",
                "yanchor": "top", "pad": {"t": 14},
            },
            "margin": {"l": 56, "r": 16, "t": 80, "b": 48}, "hoverlabel": {"font": {"size": 13}},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        }
    )  # fmt: skip
    made = PortableFigure(list(traces))
    made.update_layout(template=template, title={"text": plain(title)}, meta={"alt": alt}, height=400)
    made.update_layout(**layout)
    return made


def plain(words: object) -> str:
    """Text that plotly shows as it is: it would read `<b>` and the like in a name as markup.

    >>> plain("<b>")
    '&lt;b&gt;'
    """
    return str(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def marker(colour: str, hatched: bool = False, counts: Sequence[int] = (1,)) -> dict[str, Any]:
    """A bar's look: solid, or hatched with an outline for the other dissection (told apart without colour as well).

    counts: the heights of the bars; one of height 0 gets no outline, which would be a line on the axis.
    """
    if not hatched:
        return {"color": colour, "line": {"width": 0}}
    pattern = {"shape": "/", "size": 6, "solidity": 0.55, "fgcolor": colour, "bgcolor": "rgba(0,0,0,0)"}
    return {"color": colour, "line": {"width": [int(n > 0) for n in counts], "color": colour}, "pattern": pattern}


def key(name: str, hatched: bool) -> go.Bar:
    """A legend entry for one of two dissections: a bar that is nowhere, solid or hatched."""
    import plotly.graph_objects as go

    return go.Bar(x=[None], y=[None], name=plain(name), marker=marker(GREY, hatched), hoverinfo="skip")


def bands(categories: Sequence[str]) -> list[dict[str, Any]]:
    """Pale fields behind the bars at 0, 1, 2, ..., one for each run of a category (the paper's Fig. 1).

    >>> [(band["x0"], band["x1"]) for band in bands(["object", "object", "part"])]
    [(-0.46, 1.46), (1.54, 2.46)]
    """
    starts = [i for i, category in enumerate(categories) if i == 0 or category != categories[i - 1]]
    ends = [*starts, len(categories)][1:]
    return [
        {
            "type": "rect", "x0": start - 0.46, "x1": end - 0.54, "y0": 0, "y1": 1, "yref": "paper", "layer": "below",
            "line": {"width": 0}, "fillcolor": shade(categories[start]).fill, "opacity": 0.13,
        }
        for start, end in zip(starts, ends, strict=True)
    ]  # fmt: skip


def name_axis(names: Sequence[str], wide: int = 14) -> dict[str, Any]:
    """An axis of names at 0, 1, 2, ...: level while there are few, then slanted, small and upright as they grow.

    wide: up to so many short names stand level.
    """
    count, longest = len(names), max((len(name) for name in names), default=0)
    level = count <= wide and count * longest <= 110
    angle = 0 if level else -50 if count <= 45 else -90
    size = (13 if count * longest <= 90 else 11) if level else 12 if count <= 40 else 11 if count <= 60 else 9
    words = [plain(name if len(name) <= 28 else name[:27] + "…") for name in names]
    return {
        "tickvals": list(range(count)), "ticktext": words, "tickangle": angle, "tickfont": {"size": size},
        "range": [-0.6, max(count, 1) - 0.4], "showline": True,
    }  # fmt: skip
