"""Dissection: what was found, as plain arrays that outlive the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.dissection import evidence
from unitlens.dissection.files import packed, unpacked
from unitlens.dissection.labels import best_two, iou_table
from unitlens.dissection.layer import LayerDissection
from unitlens.dissection.metrics import (
    Best,
    best_information,
    best_iou,
    information_table,
    precision_table,
    recall_table,
)
from unitlens.dissection.tails import BRACKET
from unitlens.errors import AssetError, LayerNotFound, OptionError
from unitlens.rich import Rich
from unitlens.store import read_arrays, write_arrays

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Dissection(Rich):
    """Which concept every unit of every dissected layer matches, and how well.

    Shows itself in a notebook; `frame()` is the pandas table; `table()`, `gallery()`, `unit()`, `chart()` are displays.
    layers: name -> LayerDissection, in the order asked for. vocabulary: the C concepts.
    concept_area: int64 (C,) pixels of each concept. pixels: int64 (G,) pixels annotated for each category.
    thumbnails: probe-set position -> JPEG bytes of every image that is a top image of some unit.
    quantile: the level; 0.99 keeps the top 1 % of all pixels. min_iou: a unit is a detector from this IoU on.
    recipe: everything the result depends on. notes: model's name, images counted and skipped, seconds, image size.
    total: pixels of the grid in all images. concept_images: int64 (C,), images that show each concept.
    block_area int64 (Bl, C), block_total int64 (Bl,): area and total by block of images.
    """

    layers: Mapping[str, LayerDissection]
    vocabulary: Vocabulary
    concept_area: np.ndarray
    pixels: np.ndarray
    thumbnails: Mapping[int, bytes]
    quantile: float
    min_iou: float
    recipe: Mapping[str, Any]
    notes: Mapping[str, Any] = field(default_factory=dict)
    total: int = 0
    concept_images: np.ndarray | None = None
    block_area: np.ndarray | None = None
    block_total: np.ndarray | None = None

    # ---- numbers --------------------------------------------------------------------------------------------

    def layer(self, name: str | None = None) -> LayerDissection:
        """One layer's counts; the last layer by default. Raises LayerNotFound."""
        if name is None:
            return list(self.layers.values())[-1]
        if name not in self.layers:
            raise LayerNotFound(name, self.layers, dissected=True)
        return self.layers[name]

    def iou(self, layer: str | None = None) -> np.ndarray:
        """IoU of every unit and concept of a layer: float64 (U, C), read-only."""
        return self._iou[self.layer(layer).name]

    @cached_property
    def _iou(self) -> dict[str, np.ndarray]:
        index = self.vocabulary.category_index
        tables = {
            name: iou_table(counts.intersection, counts.activation_area, self.concept_area, index)
            for name, counts in self.layers.items()
        }
        for table in tables.values():
            table.setflags(write=False)  # who changed it would change every label
        return tables

    def at(self, quantile: float) -> Dissection:
        """The same counts read at another quantile, without the model: thresholds, IoU, labels, masks, intervals.

        At another quantile floor(n (1 - quantile)) pixels are above in every convention. Raises OptionError outside
        the range that was counted (0.97 to 0.999 unless another quantile was asked for; from there up, where exact).
        """
        if not isinstance(quantile, (int, float, np.number)) or not 0 < quantile < 1:
            raise OptionError(f"quantile: expected a level such as 0.99 for the top 1 %, got {quantile!r}")
        if quantile == self.quantile:
            return self
        if any(counts.tails is None for counts in self.layers.values()):
            raise OptionError(
                f"quantile: this result is known at {self.quantile:g} only. dissect(..., quantile={quantile:g})"
            )
        lowest, highest = self.recipe.get("bracket", BRACKET)
        if not lowest <= quantile <= highest:
            raise OptionError(
                f"quantile: this result is known from {lowest:g} to {highest:g}, got {quantile:g}. "
                f"dissect(..., quantile={quantile:g}) counts the images for another."
            )
        layers = {name: counts.at(quantile, self.total) for name, counts in self.layers.items()}
        return dataclasses.replace(self, layers=layers, quantile=quantile)

    def metric(self, name: str, layer: str | None = None) -> np.ndarray:
        """Another measure of unit and concept, from the same counts: float64 (U, C).

        name: "iou", "precision" (of the unit's pixels, the share that shows the concept), "recall" (of the concept's
        pixels, the share where the unit fires), or "information" (mutual information over joint entropy, IQR;
        paper.md 7.1). Raises OptionError for another name.
        """
        counts, index = self.layer(layer), self.vocabulary.category_index
        if name == "iou":
            return self.iou(layer)
        if name == "precision":
            return precision_table(counts.intersection, counts.activation_area, index)
        if name == "recall":
            return recall_table(counts.intersection, self.concept_area)
        if name == "information":
            return information_table(counts.intersection, counts.activation_area, self.concept_area, self.pixels, index)
        raise OptionError(f"name: expected 'iou', 'precision', 'recall' or 'information', got {name!r}")

    def best_threshold(self, layer: str | None = None, metric: str = "iou") -> Best:
        """The best that every unit and concept reach at any counted threshold, and the quantile where they do.

        metric: "iou" or "information". Raises OptionError for another one, or where only one quantile is known.
        """
        tails, index = self.layer(layer).tails, self.vocabulary.category_index
        if tails is None:
            raise OptionError(f"this result is known at quantile {self.quantile:g} only; dissect again")
        if metric == "iou":
            return best_iou(tails, self.concept_area, index, self.total)
        if metric == "information":
            return best_information(tails, self.concept_area, self.pixels, index, self.total)
        raise OptionError(f"metric: expected 'iou' or 'information', got {metric!r}")

    def intervals(self, layer: str | None = None, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Between which values every IoU would lie for other images of the same kind: float64 (U, C), low and high.

        From the counts by block of images, the threshold's own movement included. NaN where a unit or concept is seen
        in fewer than 5 blocks, and for pairs of so low an IoU that their blocks are not kept.
        """
        return evidence.intervals(self, self.layer(layer).name, level)

    def counts(self, layer: str | None = None, level: float = 0.9) -> evidence.CountIntervals:
        """The numbers of detectors and of distinct concepts of a layer, with their intervals."""
        return evidence.counted(self, self.layer(layer).name, level)

    def chance(self, layer: str | None = None, rate: float = 0.05) -> evidence.Chance:
        """Which units match a concept better than units match the labels of other images.

        With thousands of labels the best of them reaches a noticeable IoU by chance; at most a share `rate` of the
        units that are said to beat it does so by chance.
        """
        return evidence.chance_of(self, self.layer(layer).name, rate)

    def best(self, layer: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Best concept of every unit (int64 (U,), -1 = none) and its IoU (float64 (U,))."""
        iou = self.iou(layer)
        first, _ = best_two(iou)
        return first, np.where(first >= 0, iou[np.arange(len(iou)), first], 0.0)

    def detectors(self, layer: str | None = None) -> np.ndarray:
        """Units whose best IoU is at least `min_iou`, best first: int64."""
        _, score = self.best(layer)
        order = np.argsort(-score, kind="stable")
        return order[score[order] >= self.min_iou]

    def concepts(self, layer: str | None = None) -> dict[Concept, list[int]]:
        """Detected concepts of a layer and their detectors, best unit first; by category, then by number of units."""
        first, _ = self.best(layer)
        found: dict[Concept, list[int]] = {}
        for unit in self.detectors(layer):
            found.setdefault(self.vocabulary[first[unit]], []).append(int(unit))
        categories = self.vocabulary.categories

        def place(concept: Concept) -> tuple[int, int, str]:
            return categories.index(concept.category), -len(found[concept]), concept.name

        return {concept: found[concept] for concept in sorted(found, key=place)}

    def concept_counts(self, layer: str | None = None) -> dict[str, int]:
        """Number of distinct detected concepts of each category (the bars of the paper's Fig. 1)."""
        found = [concept.category for concept in self.concepts(layer)]
        return {category: found.count(category) for category in self.vocabulary.categories}

    def absent(self) -> list[Concept]:
        """Concepts of the vocabulary that no pixel of the probe set shows; their IoU is 0 for every unit."""
        return [concept for concept, area in zip(self.vocabulary, self.concept_area, strict=True) if area == 0]

    def units_for(self, concept: str | Concept, layer: str | None = None, count: int | None = None) -> np.ndarray:
        """Units of a layer by their IoU with a concept, best first (units of IoU 0 left out): int64."""
        score = self.iou(layer)[:, self.vocabulary.index(concept)]
        order = np.argsort(-score, kind="stable")
        return order[score[order] > 0][:count]

    def frame(self, layer: str | None = None) -> pandas.DataFrame:
        """One row a unit (all layers by default): layer, unit, concept, category, iou, threshold, runner_up,
        runner_up_iou, detector, low and high (90 % interval of the IoU), p and beats_chance (see `chance`), images (how
        many show the concept). `concept` is "-" where no concept overlaps."""
        import pandas

        parts = [self._layer_frame(name) for name in ([self.layer(layer).name] if layer else self.layers)]
        return pandas.concat(parts, ignore_index=True)

    def _layer_frame(self, name: str) -> pandas.DataFrame:
        import pandas

        iou, counts = self.iou(name), self.layers[name]
        first, second = best_two(iou)
        rows = np.arange(len(iou))
        names = np.array([c.name for c in self.vocabulary] + ["-"], dtype=object)
        categories = np.array([c.category for c in self.vocabulary] + ["-"], dtype=object)
        score = np.where(first >= 0, iou[rows, first], 0.0)
        columns = {
            "layer": name, "unit": rows, "concept": names[first], "category": categories[first], "iou": score,
            "threshold": counts.threshold, "runner_up": names[second],
            "runner_up_iou": np.where(second >= 0, iou[rows, second], 0.0), "detector": score >= self.min_iou,
            **self._evidence(name, first),
        }  # fmt: skip
        return pandas.DataFrame(columns)

    def _evidence(self, name: str, first: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of a frame that say how sure its labels are; none where only the counts are known."""
        if self.layers[name].tails is None:
            return {}
        rows, (low, high), chance = np.arange(len(first)), self.intervals(name), self.chance(name)
        images = np.zeros(len(self.vocabulary)) if self.concept_images is None else self.concept_images
        labelled = first >= 0
        return {
            "low": np.where(labelled, low[rows, first], np.nan), "high": np.where(labelled, high[rows, first], np.nan),
            "p": chance.p, "beats_chance": chance.beats, "images": np.where(labelled, images[first], 0).astype(int),
        }  # fmt: skip

    def with_min_iou(self, min_iou: float) -> Dissection:
        """The same counts read with another minimum IoU for a detector."""
        if not 0 <= min_iou <= 1:
            raise OptionError(f"min_iou: expected 0..1, got {min_iou}")
        return dataclasses.replace(self, min_iou=min_iou)

    def renamed(self, model: str) -> Dissection:
        """The same result with another name for its model in displays."""
        return dataclasses.replace(self, notes={**self.notes, "model": model})

    # ---- displays (drawn by unitlens.display) ----------------------------------------------------------------

    def table(self, layer: str | None = None, **options: Any) -> Any:
        """Table of units: concept, category, IoU, threshold, runner-up. `rows=` limits, `detectors_only=` filters."""
        return self.view("table", layer, **options)

    def gallery(self, what: Any = None, layer: str | None = None, **options: Any) -> Any:
        """Top images of units, masked where they fire. `what`: unit numbers, a concept's name, or None for the best."""
        return self.view("gallery", what, layer, **options)

    def unit(self, unit: int, layer: str | None = None, **options: Any) -> Any:
        """Card of one unit: label, runner-ups, top images."""
        return self.view("unit", unit, layer, **options)

    def chart(self, kind: str = "concepts", **options: Any) -> Any:
        """plotly figure. kind: "concepts" (per layer and category), "units" (units per concept of a layer) or "iou"
        (distribution of best IoU); `against=` another dissection, such as the random twin's."""
        return self.view("chart", kind, **options)

    def text(self) -> str:
        """The summary in lines that fit a terminal of 80 columns: layers, then the best units of the last one."""
        head, _, rest = repr(self).partition(": ")
        categories = list(self.vocabulary.categories)
        rows = [["layer", "units", "detectors", "concepts", *categories]]
        for name, counts in self.layers.items():
            found = self.concept_counts(name)
            numbers = [counts.units, len(self.detectors(name)), sum(found.values()), *found.values()]
            rows.append([name, *map(str, numbers)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([r[0].ljust(widths[0]), *map(str.rjust, r[1:], widths[1:])]) for r in rows]
        last = self.layer().name
        first, score = self.best(last)
        best = [f"{u} {self.vocabulary[first[u]].name} {score[u]:.2f}" for u in self.detectors(last)[:5]]
        units = ", ".join(best) or "no unit is a detector"
        return "\n".join([head, rest, *lines, f"best of {last}: {units}"])

    def __repr__(self) -> str:
        units = sum(counts.units for counts in self.layers.values())
        images = self.notes.get("images", 0)
        layers = next(iter(self.layers)) if len(self.layers) == 1 else f"{len(self.layers)} layers"
        return (
            f"Dissection of {self.notes.get('model', 'model')}: {units:,} units of {layers}, "
            f"{len(self.vocabulary)} concepts, {images:,} images, quantile {self.quantile:g}, min IoU {self.min_iou:g}"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dissection):
            return NotImplemented
        mine, my_header = packed(self)
        theirs, their_header = packed(other)
        same = my_header == their_header and mine.keys() == theirs.keys()
        return same and all(np.array_equal(mine[k], theirs[k], equal_nan=mine[k].dtype.kind == "f") for k in mine)

    __hash__ = None  # type: ignore[assignment]

    # ---- files -----------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Writes the whole result as one safetensors file that `unitlens.load` opens."""
        write_arrays(path, *packed(self))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Dissection:
        """Opens a file written by `save`. Raises AssetError for another file."""
        try:
            return cls(**unpacked(*read_arrays(path)))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise AssetError(f"{path} is not a saved dissection: {error}") from error

    def to_store(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and header for the store."""
        return packed(self)

    @classmethod
    def from_store(cls, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> Dissection:
        """The result that `to_store` gave."""
        return cls(**unpacked(arrays, header))

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __getitem__(self, layer: str) -> LayerDissection:
        return self.layer(layer)


def load(path: str | Path) -> Dissection:
    """Opens a result that was saved with `dissection.save(path)`.

    >>> import unitlens as ul
    >>> probe = ul.load_probe("scenes", count=36)
    >>> found = ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)
    >>> ul.load(found.save("scenenet.safetensors")) == found
    True

    Raises AssetError for another file.
    """
    return Dissection.load(path)
