"""Contents: what an edit does to the contents of generated pictures, as a page, a chart and a sheet of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.display.amounts import arrow, between, cut, facts, grid, known_errors, share, shift, upright_axis
from unitlens.display.figures import GREY, figure, plain
from unitlens.display.gallery import check_count
from unitlens.display.markup import aside, chip, escape, finished, page, plural
from unitlens.display.sheets import sheet
from unitlens.display.theme import shade
from unitlens.errors import OptionError
from unitlens.rich import Html, renders
from unitlens.synthesis.content import ContentEffect
from unitlens.synthesis.ratios import Share

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROWS = 10
_NOTE = (
    "How to read it: every picture is made twice from the same latent, before and after the edit, and a segmenter says "
    "what each pixel shows. Shares are of all pixels; the whisker is the 95 % interval of the change, picture by "
    "picture. The pictures are spread evenly from the one that changes most to the one that changes least."
)


def said(one: Share) -> tuple[str, str]:
    """A share in words, and its interval in brackets."""
    known = np.isfinite(one.low) and np.isfinite(one.high)
    return share(one.value), f"(95 %: {100 * one.low:.1f} to {100 * one.high:.1f})" if known else ""


@renders(ContentEffect, "html")
def summary(effect: ContentEffect) -> str:
    """The page a notebook shows for an effect on contents; its text twin is `effect.text()`."""
    about = f"{plural(len(effect.before), 'generated picture')} of {effect.notes.get('model', 'a generator')}"
    body = f'<h2 class="ul-title">{escape(effect.edit)}</h2><p class="ul-muted">{escape(about)}</p>'
    if effect.concept is not None:
        gone, others = effect.removed(), effect.others_changed()
        items = [(f"{effect.concept} pixels gone", *said(gone)), ("all other pixels changed", *said(others))]
        instead = effect.instead()[:4]
        body += facts(items)
        if instead:
            words = ", ".join(f"{concept or 'nothing known'} {share(part)}" for concept, part in instead)
            body += f'<p class="ul-words">Where {escape(str(effect.concept))} was, now is: {escape(words)}</p>'
    body += f'{_sheet(effect)}{_table(effect)}<p class="ul-note">{escape(_NOTE)}</p>'
    return page(body)


def _sheet(effect: ContentEffect) -> str:
    plane = 0 if effect.concept is None else int(effect.plane[effect.vocabulary.index(effect.concept)])
    return sheet(effect.examples, plane, effect.concept, effect.vocabulary, effect.edit)


def _ordered(effect: ContentEffect) -> np.ndarray:
    """The concepts that are seen, the one that changes most first."""
    change = np.abs((effect.after - effect.before).sum(0))
    known = np.flatnonzero((effect.before.sum(0) + effect.after.sum(0)) > 0)
    return known[np.argsort(-change[known], kind="stable")]


def _table(effect: ContentEffect) -> str:
    chosen = _ordered(effect)[:ROWS]
    if not len(chosen):
        return ""
    shares = [effect.share(effect.vocabulary[int(c)]) for c in chosen]
    full = max(0.01, float(np.nanmax([[abs(v) for v in change] for _, _, change in shares])))
    rows = [
        [
            escape(effect.vocabulary[int(c)].name), chip(effect.vocabulary[int(c)].category),
            arrow(share(before.value, ""), share(after.value, "")), f"<strong>{_points(change.value)}</strong>",
            shift(*change, full), between(change.low, change.high, _points),
        ]
        for c, (before, after, change) in zip(chosen, shares, strict=True)
    ]  # fmt: skip
    header = ["concept", "category", "share, %", "change", aside("as a bar"), "95 % interval"]
    rest = len(_ordered(effect)) - len(chosen)
    more = f"{rest} more concepts change less; effect.frame() has every one." if rest > 0 else ""
    table = grid("share of all pixels, in %, and its change in points", header, rows, [2, 3, 5])
    return (
        f'<h3 class="ul-sub">What disappears, and what appears instead</h3>{table}'
        f'<p class="ul-rest ul-muted">{escape(more)}</p>'
    )


def _points(change: float) -> str:
    """A change in percentage points with two digits."""
    words = f"{100 * change:+.2f}"
    return words.replace("-", "−") if float(words) else "0.00"


@renders(ContentEffect, "strip")
def strip(effect: ContentEffect) -> Html:
    """Some pictures before and after, and what the segmenter sees. Example: `effect.strip()`."""
    if not effect.examples:
        return finished('<p class="ul-muted">No pictures are kept: examples=0.</p>', "no pictures are kept")
    return finished(_sheet(effect), effect.text())


@renders(ContentEffect, "chart")
def chart(effect: ContentEffect, kind: str = "concepts", *, count: int = 16, level: float = 0.95) -> go.Figure:
    """A plotly figure: the share of the pixels that show each concept, before and after.

    kind: "concepts". count: at most so many, those that change most on top. level: of the interval of the change, drawn
    about the value after it. `figure.layout.meta["alt"]` holds the figure in words. Raises OptionError.
    Example: `effect.chart(count=8)`.
    """
    if kind != "concepts":
        raise OptionError(f"kind: expected 'concepts', got {kind!r}")
    import plotly.graph_objects as go

    chosen = _ordered(effect)[: check_count("count", count)]
    names = [effect.vocabulary[int(c)].name for c in chosen]
    found = [effect.share(name, level) for name in (effect.vocabulary[int(c)] for c in chosen)]
    before, after, low, high = (
        100 * np.array(values, dtype=np.float64)
        for values in ([b.value for b, _, _ in found], [a.value for _, a, _ in found],
                       [b.value + c.low for b, _, c in found], [b.value + c.high for b, _, c in found])
    )  # fmt: skip
    rows: list[Any] = list(range(len(names)))
    joined: list[Any] = [value for pair in zip(before, after, strict=True) for value in (*pair, None)]
    words = [plain(name) for name in names]
    traces = [
        go.Scatter(x=joined, y=[row for row in rows for _ in range(3)], mode="lines", hoverinfo="skip", name="change",
                   line={"color": GREY, "width": 1.5}, showlegend=False),
        go.Scatter(x=after, y=rows, mode="markers", customdata=words, name="after",
                   marker={"size": 10, "symbol": "diamond", "color": shade("texture").fill},
                   error_x=known_errors(after, low, high),
                   hovertemplate="%{customdata}, after: %{x:.2f} %<extra></extra>"),
        go.Scatter(x=before, y=rows, mode="markers", customdata=words, name="before",
                   marker={"size": 9, "symbol": "circle-open", "color": GREY, "line": {"width": 2}},
                   hovertemplate="%{customdata}, before: %{x:.2f} %<extra></extra>"),
    ]  # fmt: skip
    told = "; ".join(f"{n} {b:.1f} to {a:.1f} %" for n, b, a in zip(names, before, after, strict=True))
    return figure(
        f"Share of the pixels before and after {cut(effect.edit, 40)}",
        f"{effect.edit}: share of all pixels that show each concept, before and after. {told or 'Nothing is seen'}.",
        traces, height=150 + 24 * max(4, len(names)), showlegend=True, yaxis=upright_axis(names),
        xaxis={"title": {"text": "share of all pixels, %"}, "showgrid": True},
    )  # fmt: skip
