"""Markup: the small vocabulary of escaped HTML that every display is written in."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from unitlens.data.concepts import Concept
from unitlens.display.theme import category_key, stylesheet
from unitlens.rich import Html


def escape(value: object) -> str:
    """Any value as text that is safe between tags and inside quoted attributes.

    >>> escape('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(str(value), quote=True)


def page(body: str) -> str:
    """A finished output: the root element with the stylesheet inlined once, since each notebook output stands alone."""
    return f'<div class="unitlens"><style>{stylesheet()}</style>{body}</div>'


def finished(body: str, text: str) -> Html:
    """The body as a page with its text twin."""
    return Html(page(body), text)


def chip(category: str, words: str | None = None) -> str:
    """A category as a small coloured label; the word is always there, so colour is never the only sign."""
    return f'<span class="ul-chip ul-{category_key(category)}">{escape(words or category)}</span>'


def score(
    value: float, full: float, category: str, mark: float | None = None, interval: tuple[float, float] | None = None
) -> str:
    """An IoU as a bar and a number; the bar is full at `full`, a tick stands at `mark` (the minimum IoU).

    interval: its low and high end, drawn as a whisker on the bar and written for screen readers.
    """
    words = aside(f" ({interval[0]:.2f} to {interval[1]:.2f})") if interval else ""
    return (
        f'<span class="ul-score">{meter(value, full, category, mark, interval)}<span>{value:.2f}</span>{words}</span>'
    )


def meter(
    value: float, full: float, category: str, mark: float | None = None, interval: tuple[float, float] | None = None
) -> str:
    """A bar alone, with a whisker over `interval`. It is hidden from screen readers: the number stands beside it."""
    tick = f'<b style="--v:{percent(mark, full)}"></b>' if mark is not None and 0 < mark < full else ""
    fill = f'<i style="--v:{percent(value, full)}"></i>'
    whisker = ""
    if interval:
        further = ' class="ul-open"' if interval[1] > full else ""  # it ends beyond the bar: no cap there
        whisker = f'<em{further} style="--from:{percent(interval[0], full)};--to:{percent(interval[1], full)}"></em>'
    return f'<span class="ul-meter ul-{category_key(category)}" aria-hidden="true">{fill}{tick}{whisker}</span>'


def percent(value: float, full: float) -> str:
    """A share of a width as CSS, 0..100 %.

    >>> percent(1, 4)
    '25.00%'
    """
    return f"{100 * min(max(value / full, 0.0), 1.0) if full > 0 else 0.0:.2f}%"


def full_scale(values: np.ndarray) -> float:
    """Where the IoU bars of a view are full: the largest value, rounded up to a tenth, at least 0.2.

    >>> round(full_scale(np.array([0.31, 0.05])), 1)
    0.4
    """
    largest = float(np.max(values, initial=0.0))
    return min(1.0, max(0.2, float(np.ceil(largest * 10 - 1e-9)) / 10))


def stack(counts: Mapping[str, int], full: int) -> str:
    """One row of joined bars, a category each, as wide as its count; `full` fills the row. The counts stand inside.

    Without the stylesheet it reads "28 object, 2 part".
    """
    found = [(category, count) for category, count in counts.items() if count]
    return f'<div class="ul-stack">{"".join(_piece(*pair, full, pair == found[-1]) for pair in found)}</div>'


def _piece(category: str, count: int, full: int, last: bool) -> str:
    words = f"{category}{'' if last else ', '}"
    inside = f"{count}{aside(f' {words}')}" if count / full >= 0.02 else aside(f"{count} {words}")
    return (
        f'<span class="ul-{category_key(category)}" style="--v:{percent(count, full)}" '
        f'title="{escape(plural(count, f"{category} concept"))}">{inside}</span>'
    )


def aside(words: str) -> str:
    """Words hidden from sight: for screen readers, and for pages that strip the stylesheet, as GitHub does."""
    return f'<span class="ul-aside">{escape(words)}</span>'


def legend(categories: Sequence[str]) -> str:
    """The categories with their colours."""
    items = " ".join(f'<span class="ul-{category_key(c)}"><i></i>{escape(c)}</span>' for c in categories)
    return f'<div class="ul-legend">{items}</div>'


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A text table with aligned columns; the columns named in `right` are right-aligned.

    >>> print(columns(["unit", "concept"], [["7", "tree"], ["12", "sky"]], right=[0]))
    unit  concept
       7  tree
      12  sky
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    aligned = [
        [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(line)]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def wrapped(words: str) -> str:
    """A sentence as lines that fit a terminal of 80 columns."""
    return textwrap.fill(words, 79, break_long_words=False, break_on_hyphens=False)


def three_digits(value: float) -> str:
    """A measured number with three digits, trailing zeros kept, so that columns line up.

    >>> three_digits(5), three_digits(0.25), three_digits(321)
    ('5.00', '0.250', '321')
    """
    return f"{value:#.3g}".rstrip(".")


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "unit"), plural(1200, "unit")
    ('1 unit', '1,200 units')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def full_name(concept: Concept) -> str:
    """Name and category of a concept.

    >>> full_name(Concept("tree"))
    'tree (object)'
    """
    return f"{concept.name} ({concept.category})"
