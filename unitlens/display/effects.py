"""Effects: what an edit does to the answers of a model, as a page and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.display.amounts import (
    arrow,
    between,
    facts,
    grid,
    in_brackets,
    known_errors,
    points,
    share,
    shift,
    upright_axis,
)  # fmt: skip
from unitlens.display.figures import GREY, figure, plain
from unitlens.display.gallery import check_count
from unitlens.display.markup import aside, escape, page, plural
from unitlens.display.theme import shade
from unitlens.errors import OptionError
from unitlens.intervene.effect import Effect
from unitlens.rich import renders

if TYPE_CHECKING:
    import plotly.graph_objects as go

CLASSES = 12  # in the table of a page
CONFUSIONS = 8
_NOTE = (
    "How to read it: balanced accuracy is the mean of two shares, the images of a class that are named so and the "
    "other images that are not; 50 % is chance. Recall is the first of them; precision is the share of the images "
    "given a name that deserve it. The whisker is the 95 % interval of the change over other draws of the images."
)


@renders(Effect, "html")
def summary(effect: Effect) -> str:
    """The page a notebook shows for an effect; its text twin is `effect.text()`."""
    before, after = effect.top1
    mean, low, high = effect.mean_change()
    classes = int((effect.tallies[0].true > 0).sum())
    sure = [float(np.exp(values).mean()) for values in (effect.log_before, effect.log_after)]
    items = [
        ("named rightly", f"{share(before)} → {share(after)}", ""),
        ("balanced accuracy", f"{points(mean)} points", in_brackets(low, high)),
        ("mean probability of the right class", f"{share(sure[0])} → {share(sure[1])}", ""),
    ]
    skipped = int(effect.notes.get("skipped", 0) or 0)
    left_out = f", {plural(skipped, 'more image')} left out" if skipped else ""
    kinds = "1 class" if classes == 1 else f"{classes} classes"
    about = f"{plural(len(effect.true), 'image')} of {kinds}{left_out}"
    body = (
        f'<h2 class="ul-title">{escape(effect.edit)}</h2><p class="ul-muted">{escape(about)}</p>{facts(items)}'
        f'<p class="ul-words">{escape(flips_words(effect))}</p>'
    )
    if len(effect.flips):
        body += f'{_classes(effect)}{_confusions(effect)}<p class="ul-note">{escape(_NOTE)}</p>'
    return page(body)


def flips_words(effect: Effect) -> str:
    """How many images are answered differently, and how many of them rightly before and after."""
    many = len(effect.flips)
    if not many:
        return "Every image is answered as before."
    lost = int(((effect.before == effect.true) & (effect.after != effect.true)).sum())
    won = int(((effect.before != effect.true) & (effect.after == effect.true)).sum())
    verb = "is" if many == 1 else "are"
    return (
        f"{plural(many, 'image')} ({share(many / len(effect.true))}) {verb} answered differently: {lost} rightly "
        f"before, {won} rightly now, {many - lost - won} wrongly both times."
    )


def _classes(effect: Effect) -> str:
    """The classes that change most, with what was measured before and after."""
    ordered = effect.most_changed()
    changed = int((effect.change()[ordered] != 0).sum())
    shown = ordered[: min(CLASSES, changed)]
    if not len(shown):
        return ""
    change, (low, high) = effect.change(), effect.interval()
    ends = np.concatenate([table[shown] for table in (change, low, high)])
    full = max(0.02, float(np.abs(ends[np.isfinite(ends)]).max()))
    measures = ["balanced accuracy", "recall", "precision"]
    values = [[one.measure(name) for one in effect.tallies] for name in measures]
    images = effect.tallies[0].true
    rows = [
        [
            escape(effect.class_names[c]), f"<strong>{points(change[c])}</strong>",
            shift(change[c], low[c], high[c], full), between(low[c], high[c]),
            *(arrow(share(one[0][c], ""), share(one[1][c], "")) for one in values), f"{int(images[c]):,}",
        ]
        for c in shown
    ]  # fmt: skip
    header = ["class", "change", aside("as a bar"), "95 % interval", *measures, "images"]
    rest = len(ordered) - len(shown)
    more = "" if not rest else f"{rest} more change less or not at all; effect.frame() has every class."
    table = grid("change of balanced accuracy, in points, and what was measured, in %", header, rows, [1, 4, 5, 6, 7])
    return f'<h3 class="ul-sub">Classes that change most</h3>{table}<p class="ul-rest ul-muted">{escape(more)}</p>'


def _confusions(effect: Effect) -> str:
    """What images that were named rightly are newly taken for."""
    pairs = effect.confusions(CONFUSIONS)
    if not pairs:
        return ""
    rows = [[escape(true), escape(said), f"{many:,}"] for true, said, many in pairs]
    table = grid("images that were named rightly before", ["images of", "are now taken for", "images"], rows, right=[2])
    return f'<h3 class="ul-sub">Newly taken for</h3><div class="ul-narrowly">{table}</div>'


@renders(Effect, "chart")
def chart(
    effect: Effect, kind: str = "classes", *, measure: str = "balanced accuracy", count: int = 20, level: float = 0.95
) -> go.Figure:
    """A plotly figure of an effect: each class before and after, the classes that change most on top.

    kind: "classes". measure: "balanced accuracy", "recall" or "precision". count: at most so many classes. level: of
    the interval of the change, drawn about the value after it. `figure.layout.meta["alt"]` holds the figure in words.
    Raises OptionError. Example: `effect.chart(measure="recall")`.
    """
    if kind != "classes":
        raise OptionError(f"kind: expected 'classes', got {kind!r}")
    before, after = (one.measure(measure) for one in effect.tallies)
    change, (low, high) = effect.change(measure), effect.interval(measure, level)
    known = np.flatnonzero(np.isfinite(change))
    ordered = known[np.argsort(-np.abs(change[known]), kind="stable")][: check_count("count", count)]
    names = [effect.class_names[c] for c in ordered]
    bounds = [np.clip(before + end, 0, 1) for end in (low, high)]  # shares end there, their changes do not
    percent = [100 * table[ordered] for table in (before, after, *bounds)]
    traces = _dots(names, percent, level)
    mean, *ends = effect.mean_change(measure, level)
    left = f" ({len(ordered)} of {len(known)} classes)" if len(ordered) < len(known) else ""
    told = [f"{name} {share(before[c])} to {share(after[c])}" for name, c in zip(names, ordered, strict=True)]
    return figure(
        f"{measure.capitalize()} changes by {points(mean)} points on average{left}",
        f"{effect.edit}: {measure} before and after, {points(mean)} points on average over classes"
        f" {in_brackets(ends[0], ends[1], level=level)}{left}. {'; '.join(told) or 'No class is known'}.",
        traces, height=150 + 22 * max(4, len(names)), xaxis={"title": {"text": f"{measure}, %"}, "showgrid": True},
        yaxis=upright_axis(names), showlegend=True,
    )  # fmt: skip


def _dots(names: list[str], percent: list[np.ndarray], level: float) -> list[Any]:
    """A line from before to after, a hollow circle and a filled diamond with the interval of the change.

    percent: before, after, and both ends of the interval.
    """
    import plotly.graph_objects as go

    before, after, low, high = percent
    rows, words = list(range(len(names))), [plain(name) for name in names]
    joined: list[Any] = [value for pair in zip(before, after, strict=True) for value in (*pair, None)]
    look = {"size": 9, "color": GREY, "symbol": "circle-open", "line": {"width": 2}}
    line = {"color": GREY, "width": 1.5}
    return [
        go.Scatter(x=joined, y=[row for row in rows for _ in range(3)], mode="lines", line=line, hoverinfo="skip",
                   showlegend=False, name="change"),
        go.Scatter(x=after, y=rows, mode="markers", name=f"after, with the {100 * level:g} % interval of the change",
                   marker={"size": 10, "color": shade("texture").fill, "symbol": "diamond"},
                   error_x=known_errors(after, low, high), customdata=words,
                   hovertemplate="%{customdata}, after: %{x:.1f} %<extra></extra>"),
        go.Scatter(x=before, y=rows, mode="markers", name="before", marker=look, customdata=words,
                   hovertemplate="%{customdata}, before: %{x:.1f} %<extra></extra>"),
    ]  # fmt: skip
