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


def pictures_row(words: str, jpegs: Sequence[bytes], alt: str) -> str:
    """A row of pictures with its name on the left."""
    tiles = [Image.open(io.BytesIO(one)).convert("RGB") for one in jpegs]
    return _row(words, np.stack([_grown(tile, Image.Resampling.BICUBIC) for tile in tiles]), alt)


def labels_row(words: str, planes: Sequence[np.ndarray], looks: Mapping[int, str], alt: str) -> str:
    """A row of label planes (H, W), each label in its colour."""
    table = np.tile(np.array(_NOTHING, np.uint8), (max([0, *looks, *(int(p.max()) for p in planes)]) + 1, 1))
    for label, colour in looks.items():
        table[label] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    tiles = [_grown(Image.fromarray(table[plane]), Image.Resampling.NEAREST) for plane in planes]
    return _row(words, np.stack(tiles), alt)


def looks_of(
    examples: Sequence[Example], plane: int, concept: Concept | None, vocabulary: Vocabulary
) -> dict[int, str]:
    """A colour for every label that some examples show in a plane: the concept's own, then by how often."""
    seen = np.bincount(
        np.concatenate([labels[plane].ravel() for one in examples for labels in one.labels]).astype(np.int64),
        minlength=len(vocabulary) + 1,
    )  # fmt: skip
    seen[0] = 0
    asked = 0 if concept is None else vocabulary.label(concept)
    order = [int(i) for i in np.argsort(-seen, kind="stable") if seen[i] and i != asked]
    colours = [colour for colour in COLOURS if colour != "#d55e00"]
    found = {label: colours[place % len(colours)] for place, label in enumerate(order[: 2 * len(colours)])}
    for place, label in enumerate(order):
        if place >= len(colours) and label in found:  # a second round, darker
            found[label] = _darker(found[label])
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
    looks = looks_of(examples, plane, concept, vocabulary)
    many = len(examples)
    seen = [[one.labels[side][plane] for one in examples] for side in (0, 1)]
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
