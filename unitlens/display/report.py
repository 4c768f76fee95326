"""Report: one or more dissections as one HTML file that works anywhere, without a network or a server."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unitlens.display.cards import conditions, how_to_read, layers_markup
from unitlens.display.charts import units_per_concept
from unitlens.display.drawings import units_bars
from unitlens.display.gallery import UnitFacts, card_markup, facts_of
from unitlens.display.markup import escape, full_scale, plural
from unitlens.display.table import table_markup
from unitlens.display.theme import STATIC, stylesheet
from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError

#: Pictures of a unit, from rich to small: (images, tile height in CSS pixels, density, JPEG quality).
_PICTURES = ((4, 88, 2.0, 76), (4, 88, 1.5, 72), (4, 88, 1.0, 74), (4, 88, 1.0, 55), (3, 88, 1.0, 50), (2, 80, 1.0, 45))
_BUDGET = 4_300_000  # bytes of HTML for all pictures together


@dataclass(frozen=True)
class _Layer:
    """One layer of one dissection on the page; `key` makes its anchors unique."""

    dissection: Dissection
    name: str
    key: str
    heading: str


def report(
    dissections: Dissection | Sequence[Dissection], path: str | os.PathLike[str], *, title: str | None = None
) -> Path:
    """Writes one self-contained HTML file: concepts per layer, a bar graph, every detector and a table of all units.

    dissections: one, or several (a model and its random twin). path: the file; its folder is made. title: the heading,
    the model's name by default. Returns the path.

    >>> import unitlens as ul
    >>> probe = ul.load_probe("scenes", count=36)
    >>> found = ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)
    >>> ul.report(found, "dissection.html").name
    'dissection.html'

    Raises OptionError for anything but dissections, and for a path that is a folder.
    """
    given = list(dissections) if isinstance(dissections, (list, tuple)) else [dissections]
    found = [d for d in given if isinstance(d, Dissection)]
    if not found or len(found) < len(given):
        kinds = ", ".join(type(d).__name__ for d in given) or "an empty list"
        raise OptionError(f"dissections: expected a Dissection or a list of them, got {kinds}")
    target = Path(path)
    if target.is_dir():
        raise OptionError(f"path: expected a file name such as 'dissection.html', got the folder {str(target)!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(report_markup(found, title), encoding="utf-8")
    return target


def report_markup(found: Sequence[Dissection], title: str | None = None) -> str:
    """The whole page as text."""
    heading = title or "Dissection of " + " and ".join(dict.fromkeys(str(d.notes.get("model", "model")) for d in found))
    layers = _layers(found)
    pictures = _fitting(layers)
    sections = "".join(_layer_section(layer, pictures) for layer in layers)
    data = json.dumps([unit for layer in layers for unit in _records(layer)], ensure_ascii=True).replace("<", "\\u003c")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1">'
        f'<title>{escape(heading)}</title><link rel="icon" href="data:,"><style>'
        f"{stylesheet()}\n{_static('report.css')}</style></head><body>"
        f'<main class="unitlens ul-page"><div class="ul-inner">{_header(found, heading)}{_overview(found)}</div>'
        f"{_tools(layers)}"
        f'<div class="ul-inner">{sections}{_footer(found)}</div></main>'
        f'<script type="application/json" id="ul-data">{data}</script><script>{_static("report.js")}</script>'
        "</body></html>\n"
    )


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def _layers(found: Sequence[Dissection]) -> list[_Layer]:
    several = len(found) > 1
    return [
        _Layer(d, name, f"{i}-{j}-", f"{d.notes.get('model', 'model')} · {name}" if several else name)
        for i, d in enumerate(found)
        for j, name in enumerate(d.layers)
    ]


def _header(found: Sequence[Dissection], heading: str) -> str:
    layers = [(d, name) for d in found for name in d.layers]
    units = sum(d.layers[name].units for d, name in layers)
    concepts = {concept for d, name in layers for concept in d.concepts(name)}
    tiles = {
        "images": f"{int(found[0].notes.get('images', 0)):,}", "units": f"{units:,}",
        "detectors": f"{sum(len(d.detectors(name)) for d, name in layers):,}",
        "concepts found": f"{len(concepts):,} of {len(found[0].vocabulary):,}",
    }  # fmt: skip
    pairs = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in tiles.items())
    return (
        f'<header><div class="ul-brand">unitlens</div><h1>{escape(heading)}</h1>'
        f'<p class="ul-lead">{escape(how_to_read(found[0]))}</p><dl class="ul-tiles">{pairs}</dl></header>'
    )


def _overview(found: Sequence[Dissection]) -> str:
    parts = []
    for d in found:
        name = f"<h3>{escape(d.notes.get('model', 'model'))}</h3>" if len(found) > 1 else ""
        parts.append(f'{name}<p class="ul-muted">{escape(conditions(d))}</p>{layers_markup(d)}')
    return f"<section><h2>Detected concepts per layer</h2>{''.join(parts)}</section>"


def _tools(layers: Sequence[_Layer]) -> str:
    categories = dict.fromkeys(c for layer in layers for c in layer.dissection.vocabulary.categories)
    choices = "".join(f'<option value="{escape(c)}">{escape(c)}</option>' for c in categories)
    links = "".join(f'<a href="#l{layer.key}">{escape(layer.heading)}</a>' for layer in layers)
    return (
        '<div class="ul-tools" hidden><div class="ul-inner">'
        '<input type="search" id="ul-search" placeholder="Find a concept or unit" aria-label="Find a concept or unit">'
        f'<select id="ul-category" aria-label="Category"><option value="">all categories</option>{choices}</select>'
        '<select id="ul-order" aria-label="Order"><option value="iou">highest IoU first</option>'
        '<option value="concept">by concept</option><option value="unit">by unit number</option></select>'
        f'<nav aria-label="Layers">{links}</nav><output id="ul-count" aria-live="polite"></output></div></div>'
    )


def _layer_section(layer: _Layer, pictures: tuple[int, int, float, int]) -> str:
    d, name = layer.dissection, layer.name
    detectors, units = d.detectors(name), d.layers[name].units
    counts = units_per_concept(d, name)
    facts = facts_of(d, detectors, name)
    cards = "".join(_card(layer, f, full_scale(d.best(name)[1]), pictures) for f in facts)
    frame = d.frame(name).sort_values(["iou", "unit"], ascending=[False, True], kind="stable")
    caption = f"All {plural(units, 'unit')} of {name}; the tick on each bar is the minimum IoU."
    gallery = (
        f'<div class="ul-cards">{cards}</div>'
        if cards
        else '<p class="ul-muted">No unit of this layer is a detector.</p>'
    )
    return (
        f'<section id="l{layer.key}" data-layer="{layer.key}"><h2>{escape(layer.heading)}</h2>'
        f'<p class="ul-muted">{len(detectors)} of {plural(units, "unit")} are detectors of '
        f"{plural(len(counts), 'concept')}.</p>"
        f'<h3>Units per concept</h3><div class="ul-drawing">{units_bars(counts, f"Units per concept of {name}")}</div>'
        f"<h3>Detectors</h3>{gallery}<details><summary>Table of all units</summary>"
        f'<div class="ul-scroll">{table_markup(frame, d.min_iou, caption, ids=f"r{layer.key}")}</div></details>'
        "</section>"
    )


def _card(layer: _Layer, facts: UnitFacts, full: float, pictures: tuple[int, int, float, int]) -> str:
    images, tile, density, quality = pictures
    options = {"images": images, "tile": tile, "density": density, "quality": quality, "lazy": True}
    card = card_markup(layer.dissection, facts, full, **options)
    return card.replace('<div class="ul-unit">', f'<div class="ul-card" id="c{layer.key}{facts.unit}">', 1)


def _fitting(layers: Sequence[_Layer]) -> tuple[int, int, float, int]:
    """The richest pictures that keep the file small, judged from a sample of the detectors."""
    units = [(layer, int(unit)) for layer in layers for unit in layer.dissection.detectors(layer.name)]
    if not units:
        return _PICTURES[0]
    sample = [units[i] for i in np.unique(np.linspace(0, len(units) - 1, 8).astype(int))]
    for pictures in _PICTURES:
        images, tile, density, quality = pictures
        options = {"images": images, "tile": tile, "density": density, "quality": quality}
        sizes = [
            len(
                card_markup(
                    layer.dissection, facts_of(layer.dissection, np.array([unit]), layer.name)[0], 1.0, **options
                )
            )
            for layer, unit in sample
        ]
        if float(np.mean(sizes)) * len(units) <= _BUDGET:
            break
    return pictures


def _records(layer: _Layer) -> list[dict[str, object]]:
    columns = layer.dissection.frame(layer.name)[["unit", "layer", "concept", "category", "iou", "detector"]]
    return [
        {**row, "id": f"{layer.key}{row['unit']}", "iou": round(row["iou"], 4), "detector": bool(row["detector"])}
        for row in columns.to_dict("records")
    ]


def _footer(found: Sequence[Dissection]) -> str:
    lines = "".join(f"<p>{escape(repr(d))}</p>" for d in found)
    return f"<footer>{lines}<p>Made with unitlens. This file needs no network.</p></footer>"
