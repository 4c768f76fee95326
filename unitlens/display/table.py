"""Table: the units of a layer as an HTML table that sorts and filters itself, and as aligned text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.display.gallery import check_count
from unitlens.display.markup import chip, columns, escape, finished, full_scale, plural, score, three_digits
from unitlens.display.modules import module
from unitlens.display.theme import category_key
from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError
from unitlens.rich import Html, renders

if TYPE_CHECKING:
    import pandas

#: What `sort` may be -> the columns of `frame()` it sorts by, and whether each rises.
SORTS: dict[str, tuple[list[str], list[bool]]] = {
    "iou": (["iou", "unit"], [False, True]),
    "unit": (["unit"], [True]),
    "concept": (["concept", "iou"], [True, False]),
    "category": (["category", "concept", "iou"], [True, True, False]),
    "threshold": (["threshold", "unit"], [False, True]),
}
#: Columns of the frame in the order they are shown, and their headers. "beats_chance" is there where it was measured.
_HEADER = {
    "unit": "unit", "concept": "concept", "category": "category", "iou": "IoU", "beats_chance": "beats chance",
    "threshold": "threshold", "runner_up": "runner-up", "runner_up_iou": "its IoU",
}  # fmt: skip
_RIGHT = {"unit", "threshold", "runner_up_iou"}


@dataclass(frozen=True)
class _Look:
    """What every row of a table shares: where the bars are full, where their tick is, whether chance was measured."""

    full: float
    min_iou: float
    chance: bool

    @property
    def header(self) -> dict[str, str]:
        """Column -> header of the columns that are shown."""
        return {key: word for key, word in _HEADER.items() if self.chance or key != "beats_chance"}


@renders(Dissection, "table")
def table(
    dissection: Dissection,
    layer: str | None = None,
    *,
    rows: int | None = 25,
    detectors_only: bool = False,
    sort: str = "iou",
) -> Html:
    """The units of a layer: concept, category, IoU with its interval, whether it beats chance, threshold, runner-up.

    Where scripts run, the headers sort it, and all units can be searched and shown. layer: the last one by default.
    rows: at most so many, None for all. detectors_only: leaves out units below `min_iou`. sort: "iou", "unit",
    "concept", "category" or "threshold". Raises OptionError, LayerNotFound.
    Example: `dissection.table("conv5_3", detectors_only=True, sort="concept")`.
    """
    name = dissection.layer(layer).name
    if sort not in SORTS:
        raise OptionError(f"sort: expected one of {', '.join(map(repr, SORTS))}, got {sort!r}")
    limit = None if rows is None else check_count("rows", rows)
    whole = dissection.frame(name)
    kept = whole[whole["detector"]] if detectors_only else whole
    by, rising = SORTS[sort]
    kept = kept.sort_values(by, ascending=rising, kind="stable")
    shown = kept if limit is None else kept.head(limit)
    noun = "detector" if detectors_only else "unit"
    look = _Look(_full(kept), dissection.min_iou, "beats_chance" in kept)
    caption, rest = _caption(dissection, name), _rest(len(kept) - len(shown), noun)
    body = _markup(shown, look, caption, sort)
    data = _data(kept, look, noun, limit, dissection.vocabulary.categories)
    parts = [f'<div class="ul-live">{body}', f'<p class="ul-rest ul-muted">{escape(rest)}</p>' if rest else "", data]
    text = "\n".join(part for part in (caption, _text(shown, look), rest) if part)
    return finished("".join([*parts, "</div>", _script()]), text)


def _full(frame: pandas.DataFrame) -> float:
    """Where the bars are full: they hold every IoU, and the interval of the best one."""
    best = frame.sort_values("iou").tail(1)
    ends = best["high"].dropna() if "high" in best else best["iou"]
    return full_scale(np.append(frame["iou"].to_numpy(), ends.to_numpy()))


def _caption(dissection: Dissection, name: str) -> str:
    detectors, units = len(dissection.detectors(name)), dissection.layers[name].units
    return f"{name}: {detectors} of {plural(units, 'unit')} are detectors (IoU from {dissection.min_iou:g} on)"


def _rest(count: int, noun: str) -> str:
    return f"{plural(count, f'more {noun}')} not shown; rows=None shows all." if count else ""


def _markup(frame: pandas.DataFrame, look: _Look, caption: str, sort: str) -> str:
    """The rows of a unit frame (`Dissection.frame`) as one <table> that can be scrolled sideways."""
    by, rising = SORTS[sort][0][0], SORTS[sort][1][0]
    order = f' aria-sort="{"ascending" if rising else "descending"}"'
    header = "".join(
        f'<th scope="col" data-key="{key}"{_align(key)}{order if key == by else ""}>{word}</th>'
        for key, word in look.header.items()
    )
    rows = "".join(_row(row, look) for row in frame.to_dict("records"))
    return (
        f'<div class="ul-scroll" tabindex="0" role="region" aria-label="{escape(f"Table of {caption}")}">'
        f'<table class="ul-table"><caption>{escape(caption)}</caption><thead><tr>{header}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _align(key: str) -> str:
    return ' class="ul-number"' if key in _RIGHT else ""


def _row(row: dict[str, Any], look: _Look) -> str:
    """One row; static/table.js writes the same for those that are not shown at first."""
    weak = "" if row["detector"] else ' class="ul-weak"'
    interval = _interval(row)
    words = f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else ""
    about = f' title="90 % interval of the IoU: {words}"' if words else ""
    cells = {
        "concept": escape(row["concept"]),
        "category": "" if row["category"] == "-" else chip(row["category"]),
        "iou": score(row["iou"], look.full, row["category"], look.min_iou, interval),
        "beats_chance": _beats(row), "threshold": three_digits(row["threshold"]),
        "runner_up": escape(row["runner_up"]), "runner_up_iou": _number(row["runner_up_iou"]),
    }  # fmt: skip
    titles = {"iou": about, "beats_chance": f' title="p = {_p(row)}"' if _p(row) else ""}
    shown = "".join(f"<td{titles.get(k, '')}{_align(k)}>{cells[k]}</td>" for k in look.header if k != "unit")
    return f'<tr{weak}><th scope="row" class="ul-number">{row["unit"]}</th>{shown}</tr>'


def _interval(row: dict[str, Any]) -> tuple[float, float] | None:
    ends = row.get("low", np.nan), row.get("high", np.nan)
    return ends if np.isfinite(ends).all() else None


def _beats(row: dict[str, Any]) -> str:
    """Whether a unit beats chance; nothing where that was not measured."""
    return ("yes" if row["beats_chance"] else "no") if np.isfinite(row.get("p", np.nan)) else ""


def _p(row: dict[str, Any]) -> str:
    return f"{row['p']:.2g}" if np.isfinite(row.get("p", np.nan)) else ""


def _number(value: float) -> str:
    return f"{value:.2f}" if value > 0 and np.isfinite(value) else ""


def _data(frame: pandas.DataFrame, look: _Look, noun: str, limit: int | None, categories: tuple[str, ...]) -> str:
    """All units as JSON in the order of the table, for the script: texts once, then a list of values for each unit."""
    texts = list(dict.fromkeys(t for key in ("concept", "category", "runner_up") for t in frame[key]))
    place = {text: i for i, text in enumerate(texts)}
    rows = [_values(row, place) for row in frame.to_dict("records")]
    found = set(frame["category"])
    about = {
        "noun": noun, "full": look.full, "min_iou": look.min_iou, "limit": limit or len(rows),
        "keys": {c: category_key(c) for c in categories if c in found}, "texts": texts, "rows": rows,
    }  # fmt: skip
    text = json.dumps(about, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def _values(row: dict[str, Any], place: dict[str, int]) -> list[Any]:
    low, high = _interval(row) or (None, None)
    beats = None if not _beats(row) else int(row["beats_chance"])
    return [
        int(row["unit"]), place[row["concept"]], place[row["category"]], _short(row["iou"]), _short(low), _short(high),
        beats, _p(row), _short(row["threshold"]), place[row["runner_up"]], _short(row["runner_up_iou"]),
        int(row["detector"]),
    ]  # fmt: skip


def _short(value: float | None) -> float | None:
    """A number with eight digits: enough to sort by; None where it is not finite, for which JSON has no word."""
    return float(f"{value:.8g}") if value is not None and np.isfinite(value) else None


@cache
def _script() -> str:
    """The script that makes every table of a page live, once for each."""
    return f'<script type="module">{module("table.js")}</script>'


def _text(frame: pandas.DataFrame, look: _Look) -> str:
    header = {**look.header, "below": ""}
    if look.chance:  # lines that fit 80 columns
        header = {"unit": "unit", "concept": "concept", "category": "category", "iou": "IoU", "interval": "interval",
                  "beats_chance": "chance", "threshold": "threshold", "runner_up": "runner-up"}  # fmt: skip
    rows = [[_cell(key, row) for key in header] for row in frame.to_dict("records")]
    right = [place for place, key in enumerate(header) if key in _RIGHT | {"iou"}]
    return columns(list(header.values()), rows, right=right)


def _cell(key: str, row: dict[str, Any]) -> str:
    if key == "iou":
        return f"{row['iou']:.2f}"
    if key == "interval":
        return "{:.2f}-{:.2f}".format(*(_interval(row) or (0, 0))) if _interval(row) else ""
    if key == "beats_chance":
        return {"yes": "beaten", "no": "not beaten"}.get(_beats(row), "")
    if key == "threshold":
        return three_digits(row["threshold"])
    if key == "runner_up_iou":
        return _number(row["runner_up_iou"])
    if key == "below":
        return "" if row["detector"] else "below"
    return str(row[key])
