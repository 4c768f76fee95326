"""Amounts: shares, changes and their intervals in words and bars; plain tables and drawings that displays share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unitlens.display.figures import plain
from unitlens.display.markup import aside, escape, percent
from unitlens.display.svg import style
from unitlens.display.vector import vector

UNKNOWN = "–"  # in place of a number that there is not
NUMBER = ' class="ul-number"'
#: Most rows of a table in a page; `frame()` holds all.
MOST_ROWS = 60


def points(change: float) -> str:
    """A change of a share in percentage points, with its sign.

    >>> points(-0.021), points(0.0), points(float("nan"))
    ('−2.1', '0.0', '–')
    """
    return _signed(100 * change, 1)


def _signed(value: float, digits: int) -> str:
    if not np.isfinite(value):
        return UNKNOWN
    words = f"{value:+.{digits}f}"
    return words.replace("-", "−") if float(words) else words[1:]


def share(value: float, unit: str = " %") -> str:
    """A share in per cent.

    >>> share(0.97), share(float("nan"))
    ('97.0 %', '–')
    """
    return f"{100 * value:.1f}{unit}" if np.isfinite(value) else UNKNOWN


def number(value: float, form: str = ".2f") -> str:
    """A number, or the dash where there is none."""
    return format(value, form).replace("-", "−") if np.isfinite(value) else UNKNOWN


def between(low: float, high: float, say: Callable[[float], str] = points) -> str:
    """Both ends of an interval in words; the dash where there is none."""
    return f"{say(low)} to {say(high)}" if np.isfinite(low) and np.isfinite(high) else UNKNOWN


def in_brackets(low: float, high: float, say: Callable[[float], str] = points, level: float = 0.95) -> str:
    """"(95 %: 1 to 2)", or nothing where there is no interval."""
    words = between(low, high, say)
    return "" if words == UNKNOWN else f"({100 * level:g} %: {words})"


def shift(change: float, low: float, high: float, full: float) -> str:
    """A change as a bar from the middle, a whisker over its interval; the track reaches from -full to full.

    It is hidden from screen readers: the number stands beside it.
    """
    if not np.isfinite(change):
        return ""
    ends = [percent(value + full, 2 * full) for value in (min(change, 0.0), max(change, 0.0))]
    fill = f'<i style="--from:{ends[0]};--to:{ends[1]}"></i>'
    known = np.isfinite(low) and np.isfinite(high)
    whisker = f'<em style="--from:{percent(low + full, 2 * full)};--to:{percent(high + full, 2 * full)}"></em>'
    colour = "object" if change >= 0 else "texture"
    return (
        f'<span class="ul-meter ul-shift ul-{colour}" aria-hidden="true">{fill}<b style="--v:50%"></b>'
        f"{whisker if known else ''}</span>"
    )


def grid(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table that can be scrolled sideways: a caption, and headers for its columns and rows.

    rows: markup of the cells, the first the row's header. right: the columns of numbers.
    """
    looks = [NUMBER if place in right else "" for place in range(len(header))]
    head = "".join(f'<th scope="col"{look}>{word}</th>' for word, look in zip(header, looks, strict=True))
    body = "".join(_row(row, looks) for row in rows)
    return (
        f'<div class="ul-scroll" tabindex="0" role="region" aria-label="{escape(f"Table of {caption}")}">'
        f'<table class="ul-table"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(row: Sequence[str], looks: Sequence[str]) -> str:
    cells = "".join(f"<td{look}>{cell}</td>" for cell, look in zip(row[1:], looks[1:], strict=True))
    return f'<tr><th scope="row"{looks[0]}>{row[0]}</th>{cells}</tr>'


def facts(items: Sequence[tuple[str, str, str]]) -> str:
    """Words with their numbers and what is said of these, side by side."""
    pairs = (f"{escape(name)} <strong>{escape(value)}</strong> {escape(more)}" for name, value, more in items)
    return f'<p class="ul-facts">{"".join(f"<span>{pair.rstrip()} </span>" for pair in pairs)}</p>'


def arrow(before: str, after: str) -> str:
    """Before and after in one cell."""
    return f'{before}{aside(" to ")}<span class="ul-muted" aria-hidden="true"> → </span>{after}'


def drawn(figure: Any, width: int = 520, titled: bool = True) -> str:
    """A figure as a drawing inside a page: it takes the page's ground and text colours.

    width: pixels at which its words have their size; it grows and shrinks with the page. titled: keeps its title.
    """
    if not titled:
        figure.update_layout(title={"text": ""})
    svg = vector(figure, width).replace(style(), "")
    return f'<figure class="ul-drawn" style="--wide:{width}px">{svg}</figure>'


def wrapped_title(words: str, wide: int = 84) -> str:
    """A title in lines that fit a figure; plotly does not break them by itself."""
    lines = [""]
    for word in words.split(" "):
        if len(lines[-1]) + len(word) > wide and lines[-1]:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "<br>".join(map(plain, lines))


def cut(name: str, most: int = 28) -> str:
    """A name that is short enough for an axis, safe in plotly."""
    return plain(name if len(name) <= most else name[: most - 1] + "…")


def upright_axis(names: Sequence[str], title: str = "") -> dict[str, Any]:
    """A y axis of names at 0, 1, 2, ..., the first on top."""
    return {
        "tickvals": list(range(len(names))), "ticktext": [cut(name) for name in names], "showgrid": False,
        "range": [len(names) - 0.4, -0.6], "title": {"text": title}, "tickfont": {"size": 12},
    }  # fmt: skip


def known_errors(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
    """plotly's error bars from values and both ends; none where an end is not known."""
    up, down = (np.where(np.isfinite(d), np.maximum(d, 0.0), 0.0) for d in (high - value, value - low))
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.5, "width": 4}
