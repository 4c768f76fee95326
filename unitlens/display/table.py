"""Table: the units of a layer as an HTML table and as aligned text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unitlens.display.gallery import check_count
from unitlens.display.markup import chip, columns, escape, finished, full_scale, plural, score, three_digits
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
_HEADER = ("unit", "concept", "category", "IoU", "threshold", "runner-up", "its IoU")


@renders(Dissection, "table")
def table(
    dissection: Dissection,
    layer: str | None = None,
    *,
    rows: int | None = 25,
    detectors_only: bool = False,
    sort: str = "iou",
) -> Html:
    """The units of a layer: concept, category, IoU, threshold and runner-up.

    layer: the last one by default. rows: at most so many, None for all. detectors_only: leaves out units below
    `min_iou`. sort: "iou", "unit", "concept", "category" or "threshold". Raises OptionError, LayerNotFound.
    Example: `dissection.table("conv5_3", detectors_only=True, sort="concept")`.
    """
    name = dissection.layer(layer).name
    if sort not in SORTS:
        raise OptionError(f"sort: expected one of {', '.join(map(repr, SORTS))}, got {sort!r}")
    limit = None if rows is None else check_count("rows", rows)
    whole = dissection.frame(name)
    kept = whole[whole["detector"]] if detectors_only else whole
    by, rising = SORTS[sort]
    shown = kept.sort_values(by, ascending=rising, kind="stable").head(len(kept) if limit is None else limit)
    caption = _caption(dissection, name, len(shown), len(kept), detectors_only)
    body = f'<div class="ul-scroll">{table_markup(shown, dissection.min_iou, caption)}</div>'
    return finished(body, f"{caption}\n{_text(shown)}")


def _caption(dissection: Dissection, name: str, shown: int, kept: int, detectors_only: bool) -> str:
    detectors, units = len(dissection.detectors(name)), dissection.layers[name].units
    whole = f"{name}: {detectors} of {plural(units, 'unit')} are detectors (IoU from {dissection.min_iou:g} on)"
    return whole if shown == kept else f"{whole}; {shown} of {kept} {'detectors' if detectors_only else 'units'} shown"


def table_markup(frame: pandas.DataFrame, min_iou: float, caption: str, ids: str | None = None) -> str:
    """The rows of a unit frame (`Dissection.frame`) as one <table>; `ids` is a prefix that names each row."""
    full = full_scale(frame["iou"].to_numpy())
    right = {"unit", "threshold", "its IoU"}
    header = "".join(f'<th scope="col"{_right(word in right)}>{word}</th>' for word in _HEADER)
    rows = "".join(_row(row, full, min_iou, ids) for row in frame.to_dict("records"))
    return (
        f'<table class="ul-table"><caption>{escape(caption)}</caption><thead><tr>{header}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _right(numeric: bool) -> str:
    return ' class="ul-number"' if numeric else ""


def _row(row: dict, full: float, min_iou: float, ids: str | None) -> str:
    name = f' id="{ids}{row["unit"]}"' if ids else ""
    weak = "" if row["detector"] else ' class="ul-weak"'
    category = "" if row["category"] == "-" else chip(row["category"])
    second = "-" if row["runner_up"] == "-" else escape(row["runner_up"])
    return (
        f'<tr{name}{weak}><th scope="row" class="ul-number">{row["unit"]}</th><td>{escape(row["concept"])}</td>'
        f"<td>{category}</td>"
        f"<td>{score(row['iou'], full, row['category'], min_iou)}</td>"
        f'<td class="ul-number">{three_digits(row["threshold"])}</td>'
        f'<td>{second}</td><td class="ul-number">{_number(row["runner_up_iou"])}</td></tr>'
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if value > 0 and np.isfinite(value) else ""


def _text(frame: pandas.DataFrame) -> str:
    rows = [
        [
            str(row["unit"]), row["concept"], row["category"], f"{row['iou']:.2f}", three_digits(row["threshold"]),
            row["runner_up"], _number(row["runner_up_iou"]), "" if row["detector"] else "below",
        ]
        for row in frame.to_dict("records")
    ]  # fmt: skip
    return columns([*_HEADER, ""], rows, right=[0, 3, 4, 6])
