"""Dissections as arrays with a JSON header: what `save` writes and the store keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.data.concepts import Vocabulary
from unitlens.dissection.layer import LayerDissection
from unitlens.dissection.tails import Blocks, TailTable

if TYPE_CHECKING:
    from unitlens.dissection.result import Dissection

TOPS: Sequence[str] = ("top_value", "top_index", "top_map", "nonfinite")
COUNTS: Sequence[str] = ("threshold", "intersection", "activation_area")
TAILS: Sequence[str] = ("edges", "tail", "above", "area", "minimum")
BLOCKS: Sequence[str] = ("coarse", "pairs", "above", "tail", "area")
SHOWN: Sequence[str] = ("concept_area", "pixels", "concept_images", "block_area", "block_total")


def packed(found: Dissection) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and the rest as JSON. Counts that are read off the tails are not written twice."""
    arrays = {name: getattr(found, name) for name in SHOWN if getattr(found, name) is not None}
    jpegs = [np.frombuffer(found.thumbnails[i], dtype=np.uint8) for i in found.thumbnails]
    arrays["thumbnails.bytes"] = np.concatenate(jpegs) if jpegs else np.zeros(0, np.uint8)
    arrays["thumbnails.length"] = np.array([len(j) for j in jpegs], dtype=np.int64)
    arrays["thumbnails.index"] = np.array(list(found.thumbnails), dtype=np.int64)
    layers = []
    for counts in found.layers.values():
        entry: dict[str, Any] = {"name": counts.name}
        entry["geometry"] = list(counts.geometry) if counts.geometry else None
        for name in (*TOPS, *(COUNTS if counts.tails is None else ())):
            arrays[f"{counts.name}:{name}"] = getattr(counts, name)
        if counts.tails is not None:
            entry["tails"] = {"exact": counts.tails.exact}
            _pack_tails(arrays, counts.name, counts.tails)
        layers.append(entry)
    header = {
        "kind": "dissection", "layers": layers, "vocabulary": [[c.name, c.category] for c in found.vocabulary],
        "quantile": found.quantile, "min_iou": found.min_iou, "total": found.total, "recipe": dict(found.recipe),
        "notes": dict(found.notes),
    }  # fmt: skip
    return arrays, header


def _pack_tails(arrays: dict[str, np.ndarray], layer: str, tails: TailTable) -> None:
    for name in TAILS:
        arrays[f"{layer}:tails.{name}"] = getattr(tails, name)
    if tails.chance is not None:
        arrays[f"{layer}:tails.chance"] = tails.chance
    if tails.blocks is not None:
        for name in BLOCKS:
            arrays[f"{layer}:blocks.{name}"] = getattr(tails.blocks, name)


def unpacked(arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the Dissection that `packed` was given. Raises ValueError, KeyError for other arrays."""
    if header.get("kind") != "dissection":
        raise ValueError(f"it holds a {header.get('kind', 'file of another kind')}")
    ends = np.cumsum(arrays["thumbnails.length"])
    jpegs = [j.tobytes() for j in np.split(arrays["thumbnails.bytes"], ends[:-1])] if len(ends) else []
    quantile, total = header["quantile"], header["total"]
    return {
        **{name: arrays.get(name) for name in SHOWN},
        "layers": {entry["name"]: _layer(arrays, entry, quantile, total) for entry in header["layers"]},
        "vocabulary": Vocabulary([tuple(c) for c in header["vocabulary"]]),
        "thumbnails": dict(zip(map(int, arrays["thumbnails.index"]), jpegs, strict=True)),
        "quantile": quantile, "min_iou": header["min_iou"], "total": total, "recipe": header["recipe"],
        "notes": header["notes"],
    }  # fmt: skip


def _layer(
    arrays: Mapping[str, np.ndarray], entry: Mapping[str, Any], quantile: float, total: int
) -> LayerDissection:
    layer = entry["name"]
    geometry = tuple(entry["geometry"]) if entry["geometry"] else None
    tops = {name: arrays[f"{layer}:{name}"] for name in TOPS}
    if "tails" not in entry:
        counts = {name: arrays[f"{layer}:{name}"] for name in COUNTS}
        return LayerDissection(name=layer, geometry=geometry, **tops, **counts)  # type: ignore[arg-type]
    blocks = None
    if f"{layer}:blocks.pairs" in arrays:
        blocks = Blocks(**{name: arrays[f"{layer}:blocks.{name}"] for name in BLOCKS})
    parts = {name: arrays[f"{layer}:tails.{name}"] for name in TAILS}
    tails = TailTable(
        **parts, exact=entry["tails"]["exact"], blocks=blocks, chance=arrays.get(f"{layer}:tails.chance")
    )
    return LayerDissection.of(layer, tails, **tops, geometry=geometry, quantile=quantile, total=total)
