"""Report: one or more dissections as one HTML file that works anywhere, without a network or a server."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unitlens.display.atlas import Atlas
from unitlens.display.cards import conditions, how_to_read, layers_markup
from unitlens.display.markup import escape
from unitlens.display.modules import browser_stylesheet, module
from unitlens.display.pack import joined, packed
from unitlens.display.theme import STATIC
from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError

#: What a page keeps of a unit, from rich to small: (top images, JPEG quality).
_KEPT = ((12, 84), (8, 80), (6, 76), (6, 66), (4, 66), (4, 52), (3, 45), (2, 40))
_LARGEST = (240, 160)  # pixels of a picture in the page
_BUDGET = 4_300_000  # bytes of numbers, maps and pictures, before they are written as text
_LEAST = 500_000  # of these for maps and pictures, however many numbers there are


def report(
    dissections: Dissection | Sequence[Dissection], path: str | os.PathLike[str], *, title: str | None = None
) -> Path:
    """Writes one self-contained HTML file: the unit browser with search, filters and the quantile, without Python.

    dissections: one, or several (a model and its random twin). path: the file; its folder is made. title: the heading,
    the model's name by default. Returns the path. The file stays below about 6 MB: of many units it keeps fewer images.

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
    atlas = Atlas(found)
    script = module("page.js").replace("</script", "<\\/script")
    style = f"{browser_stylesheet()}\n{(STATIC / 'report.css').read_text(encoding='utf-8')}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1">'
        f'<title>{escape(heading)}</title><link rel="icon" href="data:,"><style>{style}</style></head><body>'
        f'<main class="unitlens ul-page"><div class="ul-inner">{_header(found, heading)}{_overview(found)}</div>'
        '<div class="ul-inner ul-whole"><h2>Units</h2><noscript><p>Searching and looking at units needs JavaScript, '
        'which is switched off here.</p></noscript><div id="ul-units"></div></div>'
        f'<div class="ul-inner">{_footer(found)}</div></main>{_data(atlas)}'
        f'<script type="module">{script}</script></body></html>\n'
    )


def _header(found: Sequence[Dissection], heading: str) -> str:
    layers = [(d, name) for d in found for name in d.layers]
    units = sum(d.layers[name].units for d, name in layers)
    concepts = {concept for d, name in layers for concept in d.concepts(name)}
    known = {concept for d in found for concept in d.vocabulary}
    images = " and ".join(dict.fromkeys(f"{int(d.notes.get('images', 0)):,}" for d in found))
    tiles = {
        "images": images, "units": f"{units:,}",
        "detectors": f"{sum(len(d.detectors(name)) for d, name in layers):,}",
        "concepts found": f"{len(concepts):,} of {len(known):,}",
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


def _data(atlas: Atlas) -> str:
    """What the page's browser asks for, as script elements that nothing runs."""
    first = atlas.dissections[0]
    key = next(reversed([k for k, (of, _) in atlas.places.items() if of == 0]))
    state = {
        "layer": key, "query": "", "category": "", "order": "iou", "masks": "outline", "compare": "",
        "quantile": float(first.quantile), "min_iou": float(first.min_iou), "beats_chance": False, "selected": [],
        "opened": [],
    }  # fmt: skip
    about = json.dumps({"about": atlas.about(), "state": state}, ensure_ascii=True).replace("<", "\\u003c")
    parts = [f'<script type="application/json" id="ul-about">{about}</script>']
    units, (images, quality) = _fitting(atlas)
    for i, name in enumerate(atlas.places):
        parts.append(_block(f"ul-layer-{i}", atlas.layer(name)))
        if len(units[name]):
            parts.append(_block(f"ul-units-{i}", atlas.units(name, units[name].tolist(), images)))
    for of in range(len(atlas.dissections)):
        index = _shown(atlas, of, units, images)
        pictures = [_smaller(data, quality) for data in atlas.pictures(of, index.tolist())]
        parts.append(_block(f"ul-pictures-{of}", {"index": index.astype(np.int32), **joined(pictures)}))
    return "".join(parts)


def _block(name: str, arrays: Mapping[str, np.ndarray]) -> str:
    header, data = packed(arrays)
    text = base64.b64encode(data).decode("ascii")
    return f'<script type="text/plain" id="{name}" data-header="{escape(json.dumps(header))}">{text}</script>'


def _fitting(atlas: Atlas) -> tuple[dict[str, np.ndarray], tuple[int, int]]:
    """Which units have pictures in the page, and how many and how good ones: the most that keeps the file small.

    All units where they fit, else the detectors, else the units of highest IoU."""
    numbers = sum(array.nbytes for key in atlas.places for array in atlas.layer(key).values())
    room = max(_LEAST, _BUDGET - numbers)
    everything = {key: np.arange(atlas.dissections[of].layers[name].units) for key, (of, name) in atlas.places.items()}
    detectors = {key: atlas.dissections[of].detectors(name) for key, (of, name) in atlas.places.items()}
    for units in (everything, detectors if any(map(len, detectors.values())) else everything):
        for kept in _KEPT:
            if _size(atlas, units, *kept) <= room:
                return units, kept
    best = {
        key: np.argsort(-atlas.dissections[of].best(name)[1], kind="stable") for key, (of, name) in atlas.places.items()
    }
    most = max(map(len, best.values()), default=0)
    while most > 1 and _size(atlas, {key: units[:most] for key, units in best.items()}, *_KEPT[-1]) > room:
        most = most * 3 // 4
    return {key: units[:most] for key, units in best.items()}, _KEPT[-1]


def _size(atlas: Atlas, units: Mapping[str, np.ndarray], images: int, quality: int) -> float:
    """About how many bytes a page takes with these pictures, judged from a few of them."""
    total = 0.0
    for of in range(len(atlas.dissections)):
        index = _shown(atlas, of, units, images)
        sizes = [len(_smaller(data, quality)) for data in atlas.pictures(of, _few(index).tolist())]
        total += len(index) * float(np.mean(sizes)) if sizes else 0
    for key, chosen in units.items():
        some = _few(chosen)
        held = sum(array.nbytes for array in atlas.units(key, some.tolist(), images).values())
        total += held * len(chosen) / max(1, len(some))
    return total


def _few(values: np.ndarray) -> np.ndarray:
    """Twelve of them, evenly spaced, or all."""
    return values[np.unique(np.linspace(0, len(values) - 1, 12).astype(int))] if len(values) else values


def _shown(atlas: Atlas, of: int, units: Mapping[str, np.ndarray], images: int) -> np.ndarray:
    """The images of one dissection that the page needs: int64, ascending."""
    found = atlas.dissections[of]
    tops: list[Any] = [
        found.layers[name].top_index[units[key]][:, :images].ravel()
        for key, (whose, name) in atlas.places.items()
        if whose == of
    ]
    index = np.unique(np.concatenate([*tops, np.zeros(0, np.int64)]))
    return index[index >= 0]


def _smaller(data: bytes, quality: int) -> bytes:
    """A JPEG at another quality, at most 160 pixels high; what cannot be read stays out."""
    if not data:
        return data
    try:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
    except OSError:
        return b""
    size = picture.size
    picture.thumbnail(_LARGEST, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return data if picture.size == size and len(data) <= file.tell() else file.getvalue()


def _footer(found: Sequence[Dissection]) -> str:
    lines = "".join(f"<p>{escape(repr(d))}</p>" for d in found)
    return f"<footer>{lines}<p>Made with unitlens. This file needs no network.</p></footer>"
