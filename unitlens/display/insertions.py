"""Insertions: what units add at one place, by what was there, as a page, charts and pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from unitlens.display.amounts import cut, drawn, grid, known_errors, number, upright_axis
from unitlens.display.contents import said
from unitlens.display.figures import figure, plain
from unitlens.display.gallery import check_count
from unitlens.display.markup import chip, escape, finished, page, plural
from unitlens.display.sheets import pictures_row
from unitlens.display.theme import shade
from unitlens.errors import OptionError
from unitlens.rich import Html, renders
from unitlens.synthesis.insertion import Insertions

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROWS = 14
_NOTE = (
    "How to read it: the units are set at one cell of the layer's grid, for every cell of every picture, and the "
    "picture is made and segmented again. The effect is the mean change of the concept's pixels over all cells whose "
    "centre showed the context before, as a share of what a picture has of the concept. The pictures are typical: "
    "their change is nearest to the mean of the context."
)


@renders(Insertions, "html")
def summary(found: Insertions) -> str:
    """The page a notebook shows for insertions; its text twin is `found.text()`."""
    rows, columns = found.grid
    about = (
        f"{plural(len(found.units), 'unit')} of {found.layer} set at each of {rows} x {columns} cells of "
        f"{plural(len(found.before), 'generated picture')}"
    )
    body = (
        f'<h2 class="ul-title">{escape(str(found.concept))} put into pictures</h2>'
        f'<p class="ul-muted">{escape(about)}</p>'
        f"{drawn(chart(found, count=ROWS), 440, titled=False)}{_sheet(found)}{_table(found)}"
        f'<p class="ul-note">{escape(_NOTE)}</p>'
    )
    return page(body)


def _table(found: Insertions) -> str:
    contexts = found.contexts()[:ROWS]
    if not contexts:
        return '<p class="ul-muted">No context is seen in enough pictures.</p>'
    frame = found.frame().set_index(["context", "category"])
    rows = [
        [escape(c.name), chip(c.category), " ".join(said(found.effect(c))),
         number(float(frame.pixels[c.name, c.category]), "+.1f"), f"{int(frame.cells[c.name, c.category]):,}",
         f"{int(frame.pictures[c.name, c.category]):,}"]
        for c in contexts
    ]  # fmt: skip
    header = ["put on", "category", "effect", "pixels", "cells", "pictures"]
    return grid("change of the concept's pixels, as a share of a picture's", header, rows, right=[2, 3, 4, 5])


def _sheet(found: Insertions) -> str:
    if not found.examples:
        return ""
    names = list(found.examples)
    shown = [found.examples[name] for name in names]
    return (
        '<div class="ul-sheet">'
        + pictures_row("before", [_boxed(one.before, cell, found.grid) for one, cell in shown],
                       f"Pictures with a frame where the units are set, on {', '.join(names)}")
        + pictures_row("after", [one.after for one, _ in shown], f"The same pictures with {found.concept} units set")
        + f'</div><p class="ul-muted ul-small">put on: {escape(", ".join(names))}</p>'
    )  # fmt: skip


def _boxed(jpeg: bytes, cell: tuple[int, int], grid_size: tuple[int, int]) -> bytes:
    """A picture, four times as large, with a frame around a cell."""
    small = Image.open(io.BytesIO(jpeg)).convert("RGB")
    picture = small.resize((4 * small.width, 4 * small.height), Image.Resampling.BICUBIC)
    tall, wide = picture.height / grid_size[0], picture.width / grid_size[1]
    box = [cell[1] * wide, cell[0] * tall, (cell[1] + 1) * wide - 1, (cell[0] + 1) * tall - 1]
    draw = ImageDraw.Draw(picture)
    draw.rectangle([box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2], outline=(20, 16, 0), width=6)
    draw.rectangle(box, outline=(255, 222, 60), width=3)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


@renders(Insertions, "strip")
def strip(found: Insertions) -> Html:
    """A typical picture of each context, before with a frame where the units are set, and after."""
    if not found.examples:
        return finished('<p class="ul-muted">No pictures are kept: examples=0.</p>', "no pictures are kept")
    return finished(_sheet(found), found.text())


@renders(Insertions, "chart")
def chart(
    found: Insertions, kind: str = "contexts", *, names: Sequence[str] | None = None, count: int = 14,
    level: float = 0.95,
) -> go.Figure:  # fmt: skip
    """A plotly figure of insertions.

    kind: "contexts" (the effect by what was there before) or "map" (the mean change by place). names: of contexts;
    None = the `count` that take most. level: of the intervals. `figure.layout.meta["alt"]` holds the figure in words.
    Raises OptionError. Example: `found.chart(names=["sky", "grass", "facade"])`.
    """
    if kind not in ("contexts", "map"):
        raise OptionError(f"kind: expected 'contexts' or 'map', got {kind!r}")
    return _map(found) if kind == "map" else _contexts(found, names, check_count("count", count), level)


def _contexts(found: Insertions, names: Sequence[str] | None, count: int, level: float) -> go.Figure:
    import plotly.graph_objects as go

    chosen = (
        [found.vocabulary[found.vocabulary.index(name)] for name in names] if names else found.contexts()[:count]
    )
    effects = [found.effect(c, level) for c in chosen]
    value, low, high = (100 * np.array(ends, dtype=np.float64) for ends in (
        zip(*effects, strict=True) if effects else ([], [], [])))  # fmt: skip
    bars = go.Bar(
        x=value, y=list(range(len(chosen))), orientation="h", error_x=known_errors(value, low, high),
        marker={"color": [shade(c.category).fill for c in chosen]}, customdata=[plain(c.name) for c in chosen],
        hovertemplate="on %{customdata}: %{x:.1f} %<extra></extra>",
    )  # fmt: skip
    told = "; ".join(f"on {c} {' '.join(said(e))}" for c, e in zip(chosen, effects, strict=True))
    return figure(
        f"{found.concept} units set at one place: what becomes of it",
        f"Change of {found.concept} pixels when its units are set at one cell, as a share of a picture's, by what was "
        f"there before: {told or 'no context is seen often enough'}.",
        [bars], height=150 + 26 * max(3, len(chosen)), yaxis=upright_axis([c.name for c in chosen]),
        xaxis={"title": {"text": f"change of {cut(found.concept.name)} pixels, % of a picture's"}, "showgrid": True,
               "zeroline": True, "zerolinecolor": "#777b84"},
    )  # fmt: skip


def _map(found: Insertions) -> go.Figure:
    import plotly.graph_objects as go

    table: Any = found.map()
    top = np.unravel_index(int(np.argmax(table)), table.shape)
    heat = go.Heatmap(
        z=table, colorscale="Cividis", colorbar={"title": {"text": "pixels"}},
        hovertemplate="row %{y}, column %{x}: %{z:+.1f} pixels<extra></extra>",
    )  # fmt: skip
    return figure(
        f"Where {found.concept} can be put",
        f"Mean change of {found.concept} pixels by the cell at which its units are set: most at row {int(top[0])}, "
        f"column {int(top[1])} ({float(table.max()):+.1f} pixels), least {float(table.min()):+.1f}.",
        [heat], height=420, xaxis={"title": {"text": "column"}, "constrain": "domain"},
        yaxis={"title": {"text": "row"}, "autorange": "reversed", "scaleanchor": "x"},
    )  # fmt: skip
