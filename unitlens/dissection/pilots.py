"""Pilots: which images were the pilot of a probe set before images were appended to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unitlens.data.probe import ProbeSet
from unitlens.dissection.pilot import ONE_SHARD, pilot_index
from unitlens.store import Store

GROWTH = 4  # a pilot serves sets of up to so many times the images it was chosen for
WAIT = 0.1
Listed = dict[int, str]


@dataclass(frozen=True)
class Pilot:
    """images: the number of images it was chosen for. index: positions of its images, ascending. digest: of these."""

    images: int
    index: list[int]
    digest: str

    @classmethod
    def of(cls, probe: ProbeSet, images: int) -> Pilot:
        """The one that a probe set has when it holds so many images."""
        index = pilot_index(images)
        return cls(images, index, probe.digest(index))


def find_pilot(probe: ProbeSet, store: Store | None, recipe: Mapping[str, Any]) -> Pilot:
    """The pilot of a probe set: its own, or that of the shorter set it grew from, whose counts then stay valid.

    recipe: what the counts depend on besides the images. For every recipe and first 64 images the store lists the
    numbers of images that had a pilot of their own. The largest such number from a quarter of the images up, with the
    same images in its pilot, is taken. A set that is a single shard has always its own: nothing counted can be kept.
    So the thresholds of a set that has grown may differ, within their stated error, from those of a set measured whole.
    """
    if store is None or len(probe) <= ONE_SHARD:
        return Pilot.of(probe, len(probe))
    entry = {**recipe, "kind": "pilots", "images": probe.digest(range(ONE_SHARD))}
    while True:
        found = _listed(probe, store, entry)
        if found:
            return found
        with store.claim(entry) as mine:
            if mine:
                return _listed(probe, store, entry) or _added(probe, store, entry)
        time.sleep(WAIT)  # another process is writing the list


def _listed(probe: ProbeSet, store: Store, entry: Mapping[str, Any]) -> Pilot | None:
    count, known = len(probe), _read(store, entry)
    for images in sorted((n for n in known if n <= count <= GROWTH * n), reverse=True):
        pilot = Pilot.of(probe, images)
        if pilot.digest == known[images]:  # not another set that begins with the same images
            return pilot
    return None


def _added(probe: ProbeSet, store: Store, entry: Mapping[str, Any]) -> Pilot:
    pilot = Pilot.of(probe, len(probe))
    known = {**_read(store, entry), pilot.images: pilot.digest}
    store.offer(entry, {"counts": np.array(sorted(known))}, {"digests": [known[n] for n in sorted(known)]})
    return pilot


def _read(store: Store, entry: Mapping[str, Any]) -> Listed:
    """The digest of the pilot that each number of images had."""

    def unpack(arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> Listed:
        return dict(zip(arrays["counts"].tolist(), notes["digests"], strict=True))

    return store.load(entry, unpack, ("counts",)) or {}
