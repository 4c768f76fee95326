"""Atlas: what a unit browser shows of dissections, as a few small arrays that a page can read on its own.

Everything that changes with the quantile is read at some levels beforehand, so a page answers without Python.
Shape letters: Q levels, U units, P pairs of a unit and a concept near to it, k top images, h x w cells, J edges of a
tail.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from unitlens.dissection.result import Dissection

#: Shares of the pixels, in per cent, that a page can keep: even steps for the eye on a logarithmic scale.
SHARES = (
    3, 2.5, 2, 1.75, 1.5, 1.25, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.175, 0.15, 0.125, 0.1,
)  # fmt: skip
NEAREST = 5  # concepts that are shown of every unit
FAINT = 0.02  # IoU below which the nearest concepts of other levels than the result's own are not told
FOUND = 0.04  # IoU from which on all concepts of a unit are told, so that a search finds it
ROOM = 16  # pairs a unit for these, on average; with more, only concepts of higher IoU are told
NONE = 65535  # in place of a concept's number
UNKNOWN = 2  # in place of yes (1) and no (0)


def levels_of(dissection: Dissection) -> tuple[float, ...]:
    """The quantiles that a page of this result can show, ascending; the result's own is among them."""
    here = float(dissection.quantile)
    if any(counts.tails is None for counts in dissection.layers.values()):
        return (here,)
    lowest, highest = dissection.recipe.get("bracket", (here, here))
    known = [q for q in (round(1 - share / 100, 6) for share in SHARES) if lowest <= q <= highest]
    return tuple(sorted({*known, here}))


class Atlas:
    """What a page shows of dissections, layer by layer and unit by unit.

    Layers are named by keys: their own names, with the model's before them where there are several dissections.
    """

    def __init__(self, dissections: Sequence[Dissection]):
        self.dissections = list(dissections)
        self.places = dict(self._places())
        self.levels = [levels_of(found) for found in self.dissections]
        # The tables of one layer at all levels; those of all layers would take gigabytes.
        self._readings = lru_cache(1)(self._read)
        self._sweep, self._sureness = cache(self._swept), cache(self._sured)

    def _places(self) -> list[tuple[str, tuple[int, str]]]:
        models = [str(found.notes.get("model", "model")) for found in self.dissections]
        names: list[str] = []
        for i, model in enumerate(models):
            name, number = (f"{model} {i + 1}" if models.count(model) > 1 else model), i + 1
            while name in names or (name != model and name in models):
                number += 1
                name = f"{model} {number}"
            names.append(name)
        several = len(names) > 1
        return [
            (f"{names[of]} · {layer}" if several else layer, (of, layer))
            for of, found in enumerate(self.dissections)
            for layer in found.layers
        ]

    def about(self) -> dict[str, Any]:
        """What a page has to know first, ready for JSON: models, concepts, levels and layers."""
        return {
            "dissections": [self._about(of) for of in range(len(self.dissections))],
            "layers": [self._layer_about(key, of, name) for key, (of, name) in self.places.items()],
        }

    def _about(self, of: int) -> dict[str, Any]:
        found, levels = self.dissections[of], self.levels[of]
        seen = found.concept_images
        return {
            "model": str(found.notes.get("model", "model")), "images": int(found.notes.get("images", 0)),
            "names": [c.name for c in found.vocabulary], "categories": [c.category for c in found.vocabulary],
            "shows": None if seen is None else [int(n) for n in seen],
            "levels": list(levels), "here": levels.index(float(found.quantile)), "min_iou": float(found.min_iou),
            "picture": [int(n) for n in found.notes.get("image_size", (0, 0))],
        }  # fmt: skip

    def _layer_about(self, key: str, of: int, name: str) -> dict[str, Any]:
        counts = self.dissections[of].layers[name]
        geometry = None if counts.geometry is None else [float(n) for n in counts.geometry]
        return {"key": key, "name": name, "of": of, "units": counts.units, "geometry": geometry}

    def layer(self, key: str) -> dict[str, np.ndarray]:
        """The labels of a layer's units at all levels.

        label uint16 (Q, U) concepts (65535 = none), iou uint16 (Q, U) in 65534ths, threshold float32 (Q, U), beats
        uint8 (Q, ceil(U / 4)) whether units beat chance (`quarters`; 2 = not measured), peak float32 (U,). starts int32
        (U + 1,): the pairs of unit u are starts[u] to starts[u + 1] of near uint16 (P,), concepts, and near_iou uint16
        (Q, P). found float32 (1,): every concept of this IoU or more, at any level, is among them.
        """
        of, name = self.places[key]
        counts = self.dissections[of].layers[name]
        peak = counts.top_value[:, 0].astype(np.float32) if counts.top_value.size else counts.threshold * 0
        return {**self._sweep(key), "peak": peak}

    def units(self, key: str, units: Sequence[int], images: int | None = None) -> dict[str, np.ndarray]:
        """What is seen of single units (n of them), with at most `images` of their top images.

        units int32 (n,), top int32 (n, k) positions in the probe set (-1 = none), value float32 (n, k) peaks,
        maps uint8 (n, k, h, w) from low (0) to high (255) float32 (n,), precision and recall of the label uint16
        (Q, n), pairs int32 (n,), as many as each unit has in `layer`, and of these, one unit after the other, least and
        most (the 90 % interval of the IoU) uint16 (Q, sum of pairs), edges float32 (n, J) and tail float32 (n, J), the
        share of all pixels above each. J is 0 where only one level is known.
        """
        chosen = np.asarray(units, dtype=np.int64)
        of, name = self.places[key]
        counts, sure, starts = self.dissections[of].layers[name], self._sureness(key), self._sweep(key)["starts"]
        pairs = [np.arange(starts[unit], starts[unit + 1]) for unit in chosen]
        flat = np.concatenate([np.zeros(0, np.int64), *pairs])
        maps, low, high = _bytes(counts.top_map[chosen][:, :images].astype(np.float32))
        edges, tail = self._tails(key, chosen)
        return {
            "units": chosen.astype(np.int32), "top": counts.top_index[chosen][:, :images].astype(np.int32),
            "value": counts.top_value[chosen][:, :images].astype(np.float32), "maps": maps, "low": low, "high": high,
            "pairs": np.array([len(some) for some in pairs], np.int32), "edges": edges, "tail": tail,
            **{name: sure[name][:, chosen] for name in ("precision", "recall")},
            **{name: sure[name][:, flat] for name in ("least", "most")},
        }  # fmt: skip

    def pictures(self, of: int, index: Sequence[int]) -> list[bytes]:
        """JPEG bytes of images of the probe set; empty where none was kept."""
        kept = self.dissections[of].thumbnails
        return [bytes(kept.get(int(i), b"")) for i in index]

    def _tails(self, key: str, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of, name = self.places[key]
        found = self.dissections[of]
        tails = found.layers[name].tails
        if tails is None:
            return np.zeros((len(units), 0), np.float32), np.zeros((len(units), 0), np.float32)
        return tails.edges[units].astype(np.float32), (tails.tail[units] / max(found.total, 1)).astype(np.float32)

    def _read(self, key: str) -> list[Dissection]:
        """The layer alone, read at every level."""
        of, name = self.places[key]
        whole = self.dissections[of]
        alone = dataclasses.replace(whole, layers={name: whole.layers[name]})
        return [alone.at(level) for level in self.levels[of]]

    def _swept(self, key: str) -> dict[str, np.ndarray]:
        """What `layer` gives but the peaks. Of a unit's pairs its labels are first, by how often they are that."""
        readings, of = self._readings(key), self.places[key][0]
        kept, found = _told(readings, self.levels[of].index(float(self.dissections[of].quantile)))
        labels = [reading.best()[0] for reading in readings]
        most = np.max([reading.iou() for reading in readings], 0)
        for label in labels:
            units = np.flatnonzero(label >= 0)
            most[units, label[units]] += 1  # an IoU is at most 1
        unit, concept = kept.nonzero()
        order = np.lexsort((-most[unit, concept], unit))
        unit, concept = unit[order], concept[order]
        starts = np.concatenate([[0], np.bincount(unit, minlength=len(kept)).cumsum()])
        return {
            "label": np.stack([_concepts(label) for label in labels]),
            "iou": np.stack([_shares(reading.best()[1]) for reading in readings]),
            "threshold": np.stack([reading.layer().threshold.astype(np.float32) for reading in readings]),
            "beats": np.stack([_beats(reading) for reading in readings]),
            "starts": starts.astype(np.int32), "near": _concepts(concept), "found": np.array([found], np.float32),
            "near_iou": np.stack([_shares(reading.iou()[unit, concept]) for reading in readings]),
        }  # fmt: skip

    def _sured(self, key: str) -> dict[str, np.ndarray]:
        """precision and recall uint16 (Q, U) of labels, least and most uint16 (Q, P), of all units of a layer."""
        swept = self._sweep(key)
        unit = np.repeat(np.arange(len(swept["starts"]) - 1), np.diff(swept["starts"]))
        concept = swept["near"].astype(np.int64)
        rows: dict[str, list[np.ndarray]] = {"precision": [], "recall": [], "least": [], "most": []}
        for reading in self._readings(key):
            label, _ = reading.best()
            for name in ("precision", "recall"):
                rows[name].append(_shares(_at(reading.metric(name), label)))
            for name, table in zip(("least", "most"), reading.intervals()):
                rows[name].append(_shares(table[unit, concept]))
        return {name: np.stack(values) for name, values in rows.items()}


def _told(readings: Sequence[Dissection], here: int) -> tuple[np.ndarray, float]:
    """Which concepts of each unit are told: bool (U, C), and the IoU from which on all are.

    Labels; those that come nearest at the result's own level, and at others where they are not faint; all found.
    """
    most = np.max([reading.iou() for reading in readings], 0)
    units, concepts = most.shape
    found = max(FOUND, float(np.partition(most, -ROOM * units, axis=None)[-ROOM * units]) if concepts > ROOM else 0)
    kept = most >= found
    for level, reading in enumerate(readings):
        table, (label, _) = reading.iou(), reading.best()
        few = min(NEAREST, concepts)
        nearest = np.argpartition(-table, few - 1, axis=1)[:, :few] if few else np.zeros((units, 0), np.int64)
        value = np.take_along_axis(table, nearest, 1)
        told = value > 0 if level == here else value >= FAINT
        np.put_along_axis(kept, nearest, told | np.take_along_axis(kept, nearest, 1), 1)
        kept[np.flatnonzero(label >= 0), label[label >= 0]] = True
    return kept, found


def _at(table: np.ndarray, concept: np.ndarray) -> np.ndarray:
    """The entry (n,) of each row of a table (n, C); NaN where the concept is -1."""
    if not table.shape[1]:
        return np.full(len(table), np.nan)
    return np.where(concept >= 0, table[np.arange(len(table)), np.maximum(concept, 0)], np.nan)


def _shares(values: np.ndarray) -> np.ndarray:
    """Numbers 0..1 as uint16, in 65534ths rounded; 65535 where a number is NaN."""
    whole = np.rint(np.clip(np.nan_to_num(values), 0, 1) * (NONE - 1)).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(NONE), whole)


def _concepts(index: np.ndarray) -> np.ndarray:
    return np.where(index < 0, NONE, index).astype(np.uint16)


def _beats(reading: Dissection) -> np.ndarray:
    chance = reading.chance()
    return quarters(np.where(math.isnan(chance.level), UNKNOWN, chance.beats))


def quarters(values: np.ndarray) -> np.ndarray:
    """Numbers 0 to 3, four to a byte, the first in its lowest bits.

    >>> quarters(np.array([1, 2, 0, 3, 1]))
    array([201,   1], dtype=uint8)
    """
    four = np.pad(values, (0, -len(values) % 4)).reshape(-1, 4).astype(np.uint8)
    return np.bitwise_or.reduce(four << np.array([0, 2, 4, 6], np.uint8), axis=1)


def _bytes(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps (n, k, h, w) as bytes between each unit's least (0) and greatest (255) finite value; NaN and -inf are 0."""
    finite = np.where(np.isfinite(maps), maps, np.nan)
    with np.errstate(invalid="ignore"):
        low = np.nan_to_num(np.nanmin(finite, axis=(1, 2, 3), initial=np.inf), posinf=0)
        high = np.nan_to_num(np.nanmax(finite, axis=(1, 2, 3), initial=-np.inf), neginf=0)
    wide = np.maximum(high - low, 1e-12)[:, None, None, None]
    scaled = (np.nan_to_num(maps, nan=-np.inf) - low[:, None, None, None]) / wide
    whole = np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    return whole, low.astype(np.float32), high.astype(np.float32)
