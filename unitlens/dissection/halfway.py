"""What the first pass of a dissection finds, as it is kept in the store: for an interrupted run, and for the next
segmenter, whose thresholds are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class LayerTails:
    """Threshold, top images and geometry of one layer; shapes as in LayerDissection."""

    threshold: np.ndarray
    top_value: np.ndarray
    top_index: np.ndarray
    top_map: np.ndarray
    nonfinite: np.ndarray
    geometry: tuple[float, float, float, float] | None


FIELDS = ("threshold", "top_value", "top_index", "top_map", "nonfinite")


def halfway_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of the first pass: it does not depend on the segmentation."""
    return {**{k: v for k, v in recipe.items() if k not in ("segmenter", "vocabulary")}, "kind": "thresholds"}


def packed(layers: Mapping[str, LayerTails], images: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and notes for the store."""
    arrays = {f"{name}:{field}": getattr(tails, field) for name, tails in layers.items() for field in FIELDS}
    notes = {"images": images, "geometry": {name: tails.geometry for name, tails in layers.items()}}
    return arrays, notes


def unpacked(arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> tuple[dict[str, LayerTails], int]:
    """The layers, and how many images were measured."""
    layers = {
        name: LayerTails(
            geometry=tuple(geometry) if geometry else None, **{field: arrays[f"{name}:{field}"] for field in FIELDS}
        )
        for name, geometry in notes["geometry"].items()
    }
    return layers, int(notes["images"])
