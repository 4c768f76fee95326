"""Detecting: the peak activation of a unit in every image, held against what the image shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from unitlens.data.probe import ProbeSet
from unitlens.errors import ConceptError, LayerError, OptionError, ProbeError
from unitlens.intervene.detector import UnitDetector, best_threshold
from unitlens.intervene.names import distinct
from unitlens.intervene.places import Places
from unitlens.intervene.source import NUMERICS, Arrays, Source, joined
from unitlens.models.capture import capture
from unitlens.models.hooks import find_layer
from unitlens.progress import Meter
from unitlens.segment.segmenter import Segmenter, as_segmenter
from unitlens.store import Store


def unit_detector(
    model: nn.Module,
    layer: str,
    unit: int,
    probe: ProbeSet,
    target: str,
    *,
    segmenter: Any = None,
    min_share: float = 0.01,
    unit_axis: int | None = None,
    preprocess: Any = None,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> UnitDetector:
    """How well one unit alone detects a class or a concept: an image is said to show it where the unit's peak
    activation is above a threshold [paper.md 1.1: unit 150 and airplanes, 85.6 %].

    target: a class of the probe set, or a concept of the segmenter (a class goes first; "name (category)" is a
    concept). min_share: an image shows a concept from this share of its pixels on; images with less of it, but some,
    are left out. segmenter: as in `dissect`. unit_axis, preprocess, batch_size, store: as in `measure`.

    The threshold is chosen on every second image and judged on the others. All units' peaks are kept in the store.

    >>> import unitlens as ul
    >>> model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=72)
    >>> found = ul.unit_detector(model, "conv5_3", 5, probe, "sky", show_progress=False)
    >>> 0 <= found.accuracy <= 1
    True

    Raises LayerNotFound, OptionError, ConceptError (an unknown target), ProbeError (no images
    with it, or none without).
    """
    find_layer(model, layer)
    if not 0 <= min_share <= 1:
        raise OptionError(f"min_share: expected a share 0..1 of the pixels, got {min_share!r}")
    source = Source.of(model, probe, preprocess=preprocess, batch_size=batch_size, store=store,
                       show_progress=show_progress, labelled=False)  # fmt: skip
    index, peaks = _peaks(source, layer, unit_axis)
    if isinstance(unit, bool) or not isinstance(unit, (int, np.integer)) or not 0 <= unit < peaks.shape[1]:
        raise OptionError(f"unit: layer {layer!r} has units 0..{peaks.shape[1] - 1}, got {unit!r}")
    ready = as_segmenter(segmenter, probe)
    known, shows = _shown(source, str(target), ready, min_share)
    place = np.full(len(probe), -1)
    place[known] = np.arange(len(known))
    both = place[index] >= 0
    peak, shows, index = peaks[both, unit].astype(np.float64), shows[place[index[both]]], index[both]
    fitted = _alternate(shows)
    for what, some in (("with", shows), ("without", ~shows)):
        if min((some & fitted).sum(), (some & ~fitted).sum()) < 1:
            raise ProbeError(f"probe: expected two images or more {what} {target}, got {int(some.sum())}")
    name = str(getattr(model, "unitlens_name", type(model).__name__))
    recipe = source.recipe(
        kind="detector", layer=layer, unit=int(unit), target=str(target), min_share=min_share, unit_axis=unit_axis,
        segmenter=ready.fingerprint, probe=probe.fingerprint,
    )  # fmt: skip
    return UnitDetector(layer, int(unit), str(target), index, peak, shows,
                        best_threshold(peak[fitted], shows[fitted]), fitted, recipe, {"model": name})  # fmt: skip


def _alternate(shows: np.ndarray) -> np.ndarray:
    """Every second image of those with and of those without: bool (N,)."""
    fitted = np.zeros(len(shows), bool)
    for some in (np.flatnonzero(shows), np.flatnonzero(~shows)):
        fitted[some[::2]] = True
    return fitted


def _peaks(source: Source, layer: str, unit_axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images that were read (N,), and every unit's highest activation, float32 (N, U)."""

    def shard(span: Sequence[int], _: Meter) -> Arrays:
        seen, peaks = [np.zeros(0, np.int64)], []
        with capture(source.model, layer, stop=True) as captured:
            for batch in source.batches(span):
                places = Places.of(captured.run(source.inputs(batch))[layer], unit_axis)
                seen.append(batch.index.numpy())
                peaks.append(places.values(places.rows(None, layer)).amax(2).float().cpu().numpy())
        return {"index": np.concatenate(seen), "peak": np.concatenate(peaks) if peaks else np.zeros((0, 0))}

    recipe = source.recipe(kind="peaks", layer=layer, unit_axis=unit_axis)
    parts = [part for part in source.shards(recipe, shard, f"Peaks of {layer}", ("peak",)) if len(part["index"])]
    peaks = joined(parts, "peak")
    if not np.isfinite(peaks).all():
        raise LayerError(f"layer {layer!r}: it returns NaN or infinite values, whose peaks mean nothing")
    return joined(parts, "index"), peaks


def _shown(source: Source, target: str, segmenter: Segmenter, min_share: float) -> tuple[np.ndarray, np.ndarray]:
    """The images that are known to show the target or not, and which do. Raises ConceptError."""
    probe = source.probe
    names = distinct(probe.class_names)
    if target in names:
        labels = probe.class_labels
        known = np.flatnonzero(labels >= 0)
        return known, labels[known] == names.index(target)
    try:
        label = segmenter.vocabulary.label(target)
    except ConceptError as error:
        raise ConceptError(f"target: no class of the probe set, and {error}") from None
    index, share, looked = _shares(source, segmenter, label)
    clear = looked & ((share == 0) | (share >= min_share))
    return index[clear], (share >= max(min_share, 1e-12))[clear]


def _shares(source: Source, segmenter: Segmenter, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of the images that were read, which share of each shows a concept, and whether it was looked for."""
    words = segmenter.vocabulary
    category = words.categories.index(words[label - 1].category)

    def shard(span: Sequence[int], _: Meter) -> Arrays:
        seen, share, looked = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [np.zeros(0, bool)]
        for batch in source.batches(span):
            found = segmenter(batch)
            seen.append(batch.index.numpy())
            share.append((found.labels == label).any(1).float().mean((1, 2)).cpu().numpy())
            all_ = torch.ones(len(batch), dtype=torch.bool)
            known = all_ if found.annotated is None else torch.as_tensor(found.annotated)[:, category].bool().cpu()
            looked.append(known.numpy())
        return {"index": np.concatenate(seen), "share": np.concatenate(share), "looked": np.concatenate(looked)}

    named = dataclasses.replace(source, store=None) if segmenter.fingerprint is None else source
    recipe = {"kind": "shares", "numerics": NUMERICS, "segmenter": segmenter.fingerprint,
              "concept": [words[label - 1].name, words[label - 1].category], "concepts": len(words)}  # fmt: skip
    parts = named.shards(recipe, shard, f"Looking for {words[label - 1].name}", ("share", "looked"))
    return joined(parts, "index"), joined(parts, "share"), joined(parts, "looked")
