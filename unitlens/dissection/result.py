"""Dissection: what was found, as plain arrays that outlive the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.dissection.labels import best_two, iou_table
from unitlens.errors import AssetError, LayerNotFound, OptionError
from unitlens.rich import Rich
from unitlens.store import read_arrays, write_arrays

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class LayerDissection:
    """The counts of one layer (U units, C concepts, G categories, k top images, h x w activation grid).

    threshold: float32 (U,), t_u: the unit fires where its upsampled activation is strictly greater.
    intersection: int64 (U, C), pixels where the unit fires and the concept is seen.
    activation_area: int64 (U, G), firing pixels in the images annotated for each category.
    top_value, top_index: float32, int64 (U, k), peak activation and position in the probe set of the images that
        excite the unit most, best first (-1 where there are fewer than k).
    top_map: float16 (U, k, h, w), the unit's activation map in those images.
    geometry: (scale_y, offset_y, scale_x, offset_x) from grid cells to image pixels, or None for half-pixel centres.
    nonfinite: int64 (U,), activations that were NaN or infinite.
    """

    name: str
    threshold: np.ndarray
    intersection: np.ndarray
    activation_area: np.ndarray
    top_value: np.ndarray
    top_index: np.ndarray
    top_map: np.ndarray
    nonfinite: np.ndarray
    geometry: tuple[float, float, float, float] | None = None

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.threshold)


@dataclass(frozen=True, eq=False)
class Dissection(Rich):
    """Which concept every unit of every dissected layer matches, and how well.

    Shows itself in a notebook; `frame()` is the pandas table; `table()`, `gallery()`, `unit()`, `chart()` are displays.
    layers: name -> LayerDissection, in the order asked for. vocabulary: the C concepts.
    concept_area: int64 (C,) pixels of each concept. pixels: int64 (G,) pixels annotated for each category.
    thumbnails: probe-set position -> JPEG bytes of every image that is a top image of some unit.
    quantile: the level; 0.99 keeps the top 1 % of all pixels. min_iou: a unit is a detector from this IoU on.
    recipe: everything the result depends on. notes: model's name, images counted and skipped, seconds, image size.
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

    # ---- numbers --------------------------------------------------------------------------------------------

    def layer(self, name: str | None = None) -> LayerDissection:
        """One layer's counts; the last layer by default. Raises LayerNotFound."""
        if name is None:
            return list(self.layers.values())[-1]
        if name not in self.layers:
            raise LayerNotFound(name, self.layers, dissected=True)
        return self.layers[name]

    def iou(self, layer: str | None = None) -> np.ndarray:
        """IoU of every unit and concept of a layer: float64 (U, C)."""
        return self._iou[self.layer(layer).name]

    @cached_property
    def _iou(self) -> dict[str, np.ndarray]:
        index = self.vocabulary.category_index
        return {
            name: iou_table(counts.intersection, counts.activation_area, self.concept_area, index)
            for name, counts in self.layers.items()
        }

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
        runner_up_iou, detector. `concept` is "-" where no concept overlaps."""
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
        }  # fmt: skip
        return pandas.DataFrame(columns)

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
        model = self.notes.get("model", "model")
        layers = next(iter(self.layers)) if len(self.layers) == 1 else f"{len(self.layers)} layers"
        return (
            f"Dissection of {model}: {units:,} units of {layers}, {len(self.vocabulary)} concepts, "
            f"{images:,} images, quantile {self.quantile:g}, min IoU {self.min_iou:g}"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dissection):
            return NotImplemented
        mine, my_header = self._packed()
        theirs, their_header = other._packed()
        same = my_header == their_header and mine.keys() == theirs.keys()
        return same and all(np.array_equal(mine[k], theirs[k], equal_nan=mine[k].dtype.kind == "f") for k in mine)

    __hash__ = None  # type: ignore[assignment]

    # ---- files -----------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Writes the whole result as one safetensors file that `unitlens.load` opens."""
        arrays, header = self._packed()
        write_arrays(path, arrays, header)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Dissection:
        """Opens a file written by `save`. Raises AssetError for another file."""
        try:
            arrays, header = read_arrays(path)
            return cls._unpacked(arrays, header)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise AssetError(f"{path} is not a saved dissection: {error}") from error

    def to_store(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and header for the store."""
        return self._packed()

    @classmethod
    def from_store(cls, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> Dissection:
        """The result that `to_store` gave."""
        return cls._unpacked(arrays, header)

    def _packed(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays: dict[str, np.ndarray] = {"concept_area": self.concept_area, "pixels": self.pixels}
        jpegs = [np.frombuffer(self.thumbnails[i], dtype=np.uint8) for i in self.thumbnails]
        arrays["thumbnails.bytes"] = np.concatenate(jpegs) if jpegs else np.zeros(0, np.uint8)
        arrays["thumbnails.length"] = np.array([len(j) for j in jpegs], dtype=np.int64)
        arrays["thumbnails.index"] = np.array(list(self.thumbnails), dtype=np.int64)
        layers = []
        for counts in self.layers.values():
            for name in _ARRAYS:
                arrays[f"{counts.name}:{name}"] = getattr(counts, name)
            layers.append({"name": counts.name, "geometry": list(counts.geometry) if counts.geometry else None})
        header = {
            "kind": "dissection", "layers": layers, "vocabulary": [[c.name, c.category] for c in self.vocabulary],
            "quantile": self.quantile, "min_iou": self.min_iou, "recipe": dict(self.recipe), "notes": dict(self.notes),
        }  # fmt: skip
        return arrays, header

    @classmethod
    def _unpacked(cls, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> Dissection:
        if header.get("kind") != "dissection":
            raise ValueError(f"it holds a {header.get('kind', 'file of another kind')}")
        ends = np.cumsum(arrays["thumbnails.length"])
        jpegs = [j.tobytes() for j in np.split(arrays["thumbnails.bytes"], ends[:-1])] if len(ends) else []
        layers = {
            entry["name"]: LayerDissection(
                name=entry["name"], geometry=tuple(entry["geometry"]) if entry["geometry"] else None,
                **{name: arrays[f"{entry['name']}:{name}"] for name in _ARRAYS},
            )
            for entry in header["layers"]
        }  # fmt: skip
        return cls(
            layers=layers, vocabulary=Vocabulary([tuple(c) for c in header["vocabulary"]]),
            concept_area=arrays["concept_area"], pixels=arrays["pixels"],
            thumbnails=dict(zip(map(int, arrays["thumbnails.index"]), jpegs, strict=True)),
            quantile=header["quantile"], min_iou=header["min_iou"], recipe=header["recipe"], notes=header["notes"],
        )  # fmt: skip

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __getitem__(self, layer: str) -> LayerDissection:
        return self.layer(layer)


_ARRAYS: Sequence[str] = (
    "threshold", "intersection", "activation_area", "top_value", "top_index", "top_map", "nonfinite"
)  # fmt: skip


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
