"""Sheets: rows of generated pictures, before and after, and what a segmenter sees in them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.display.markup import escape
from unitlens.display.pixels import side_by_side
from unitlens.display.regions import COLOURS
from unitlens.synthesis.content import Example

TILE = 112  # shown width of a picture
DENSITY = 2
_NOTHING = (128, 131, 138)
_FOUND = "#e8590c"  # the concept that is asked about, wherever it is named
#: Colours that need no key for what has one; others take turns with those of `regions`.
_NATURAL = {
    "sky": "#a5d3f7", "cloud": "#eef3f8", "sun": "#ffd43b", "mountain": "#8492a8", "hill": "#6fae8f",
    "grass": "#94d05f", "path": "#d8b28a", "pavement": "#b3aea8", "tree": "#2f7d3b", "bush": "#5f8f1d",
    "flower": "#f48fb6", "sea": "#2f7fc1", "water": "#2f7fc1", "sand": "#ead9a4", "snow": "#f7fafc",
    "church": "#9775c9", "house": "#b07d8c", "roof": "#b23a2e", "facade": "#e8c9a0", "window": "#3c6e9f",
    "door": "#7a4a2b", "trunk": "#8a5a34", "crown": "#2f7d3b", "dome": "#c9a227", "tower": "#7d6bb0",
}  # fmt: skip


def pictures_row(words: str, jpegs: Sequence[bytes], alt: str) -> str:
    """A row of pictures with its name on the left."""
    tiles = [Image.open(io.BytesIO(one)).convert("RGB") for one in jpegs]
    return _row(words, np.stack([_grown(tile, Image.Resampling.BICUBIC) for tile in tiles]), alt)


def labels_row(words: str, planes: Sequence[np.ndarray], looks: Mapping[int, str], alt: str) -> str:
    """A row of label planes (H, W), each label in its colour."""
    tiles = [_grown(Image.fromarray(painted_labels(plane, looks)), Image.Resampling.NEAREST) for plane in planes]
    return _row(words, np.stack(tiles), alt)


def painted_labels(plane: np.ndarray, looks: Mapping[int, str]) -> np.ndarray:
    """A label plane (H, W) with each label in its colour, grey where it has none: uint8 (H, W, 3)."""
    table = np.tile(np.array(_NOTHING, np.uint8), (max([int(plane.max(initial=0)), *looks]) + 1, 1))
    for label, colour in looks.items():
        table[label] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return table[plane]


def looks_of(
    planes: Sequence[np.ndarray], concept: Concept | None, vocabulary: Vocabulary
) -> dict[int, str]:
    """A colour for every label that some label planes show: the concept's own, then by how often."""
    shown = np.concatenate([plane.ravel() for plane in planes]).astype(np.int64)
    seen = np.bincount(shown, minlength=len(vocabulary) + 1)
    seen[0] = 0
    asked = 0 if concept is None else vocabulary.label(concept)
    order = [int(i) for i in np.argsort(-seen, kind="stable") if seen[i] and i != asked]
    colours = [colour for colour in COLOURS if colour != "#d55e00"]
    found, place = dict[int, str](), 0
    for label in order[: 2 * len(COLOURS) + len(_NATURAL)]:
        natural = _NATURAL.get(vocabulary[label - 1].name)
        if natural is None:  # in turns, the second round darker
            natural = colours[place % len(colours)]
            natural = natural if place < len(colours) else _darker(natural)
            place += 1
        found[label] = natural
    return {asked: _FOUND, **found} if asked and seen[asked] else found


def key(looks: Mapping[int, str], vocabulary: Vocabulary) -> str:
    """The colours with their names."""
    items = "".join(
        f'<span><i style="background:{colour}"></i>{escape(vocabulary[label - 1].name)} </span>'
        for label, colour in looks.items()
    )
    return f'<div class="ul-legend ul-key">{items}</div>'


def sheet(
    examples: Sequence[Example], plane: int, concept: Concept | None, vocabulary: Vocabulary, edit: str
) -> str:
    """Pictures before, after, and what is seen in both, with a key of the colours; nothing for no examples."""
    if not examples:
        return ""
    many = len(examples)
    seen = [[one.labels[side][plane] for one in examples] for side in (0, 1)]
    looks = looks_of([*seen[0], *seen[1]], concept, vocabulary)
    rows = [
        pictures_row("before", [one.before for one in examples], f"{many} generated pictures before {edit}"),
        pictures_row("after", [one.after for one in examples], f"The same {many} pictures after {edit}"),
        labels_row("seen before", seen[0], looks, f"What the segmenter sees before: {_told(seen[0], vocabulary)}"),
        labels_row("seen after", seen[1], looks, f"What the segmenter sees after: {_told(seen[1], vocabulary)}"),
    ]  # fmt: skip
    return f'<div class="ul-sheet">{"".join(rows)}</div>{key(looks, vocabulary)}'


def _told(planes: Sequence[np.ndarray], vocabulary: Vocabulary) -> str:
    """The share of each concept in some planes, in words, most first."""
    seen = np.bincount(np.concatenate([p.ravel() for p in planes]).astype(np.int64), minlength=len(vocabulary) + 1)
    order = [int(i) for i in np.argsort(-seen, kind="stable") if seen[i] and i][:6]
    return ", ".join(f"{vocabulary[i - 1].name} {100 * seen[i] / seen.sum():.0f} %" for i in order) or "nothing"


def _grown(tile: Image.Image, way: Image.Resampling) -> np.ndarray:
    height = max(8, 8 * round(TILE * DENSITY * tile.height / tile.width / 8))
    return np.asarray(tile.resize((8 * round(TILE * DENSITY / 8), height), way))


def _row(words: str, tiles: np.ndarray, alt: str) -> str:
    strip = side_by_side(tiles, DENSITY, quality=84)
    return (
        f'<div><span class="ul-muted ul-small">{escape(words)}</span><img class="ul-strip" '
        f'style="--gaps:{strip.gaps}" width="{strip.width}" height="{strip.height}" alt="{escape(alt)}" '
        f'src="{strip.uri}"></div>'
    )


def _darker(colour: str) -> str:
    return "#" + "".join(f"{int(0.6 * int(colour[i : i + 2], 16)):02x}" for i in (1, 3, 5))
