"""Shards: fixed ranges of images, each counted once by whoever comes first, and kept as one file per layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from unitlens.stats.tailcount import TailCount
from unitlens.stats.topk import TopK

SHARD = 64
MOST = 64  # shards of a probe set; beyond 4096 images they grow instead


def shard_size(images: int) -> int:
    """Images of a shard: 64, doubled until there are no more than 64 shards.

    It does not depend on workers or batches, and only rarely on the number of images, so that a probe set to which
    images are appended keeps its shards.

    >>> shard_size(100), shard_size(4096), shard_size(36_500)
    (64, 64, 1024)
    """
    return SHARD * 2 ** max(0, math.ceil(math.log2(max(1, images) / (SHARD * MOST))))


def shard_ranges(images: int) -> list[range]:
    """The shards of a probe set, in order.

    >>> shard_ranges(130)
    [range(0, 64), range(64, 128), range(128, 130)]
    """
    size = shard_size(images)
    return [range(first, min(first + size, images)) for first in range(0, images, size)]


@dataclass(frozen=True, eq=False)
class Part:
    """Some units of a layer in a shard that is being counted, those of one thread. top: None where no images are kept.
    """

    units: slice
    table: TailCount
    top: TopK | None


@dataclass(frozen=True, eq=False)
class LayerState:
    """What a shard has counted of one layer, without the zeros.

    bins, chance: the counts that are not 0 in the tables (U, J, C + 1) and (U, D, Jc, C + 1), in the smallest integer
    type; bins_where, chance_where: a bit for each place of the tables, whether it has one. tail (U, J) and area
    (U, J, G), in bins, in the smallest integer type. minimum float32 (U,), wrong int64 (U,).
    top_value float32, top_index int64 (U, k). slots int64 (M,): which of the U k top images have their map here, and
    maps float16 (M, h, w).
    """

    bins_where: np.ndarray
    bins: np.ndarray
    chance_where: np.ndarray
    chance: np.ndarray
    tail: np.ndarray
    area: np.ndarray
    minimum: np.ndarray
    wrong: np.ndarray
    top_value: np.ndarray
    top_index: np.ndarray
    slots: np.ndarray
    maps: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[Part], bound: torch.Tensor) -> LayerState:
        """The state of a shard that has been counted. bound: float32 (U,), maps of lower peaks are left out."""
        tables = [part.table for part in parts]
        bins_where, bins = packed([table.bins for table in tables])
        chance_where, chance = packed([table.chance.transpose(0, 1) for table in tables])
        tail, area, minimum, wrong = (
            torch.cat([getattr(table, name).cpu() for table in tables]).numpy()
            for name in ("tail", "area", "minimum", "wrong")
        )
        tail, area = smallest(tail), smallest(area)
        tops = [part.top.compute() for part in parts if part.top is not None]
        value, index = np.zeros((len(tail), 0), np.float32), np.zeros((len(tail), 0), np.int64)
        slots, maps = np.zeros(0, np.int64), np.zeros((0, 1, 1), np.float16)
        if tops:
            value = torch.cat([top.values for top in tops]).numpy()
            index = torch.cat([top.images for top in tops]).numpy()
            slots = np.flatnonzero((value >= bound.numpy()[:, None]) & (index >= 0))
            kept = [top.maps for top in tops if top.maps is not None]
            if kept:
                maps = torch.cat(kept).flatten(0, 1).numpy()[slots]
        return cls(bins_where, bins, chance_where, chance, tail, area, minimum, wrong, value, index, slots, maps)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """By name, for the store."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class LabelState:
    """What a shard shows, whatever the layer.

    concept_area, concept_images int64 (C,): pixels and images that show each concept. pixels int64 (G,): pixels of
    the images annotated for each category. read int64 (1,), images that could be read. lent_area int64 (D, C) and
    lent_pixels int64 (D, G): the same of the labels lent to the control.
    """

    concept_area: np.ndarray
    concept_images: np.ndarray
    pixels: np.ndarray
    read: np.ndarray
    lent_area: np.ndarray
    lent_pixels: np.ndarray

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """By name, for the store."""
        return dict(vars(self))


State = TypeVar("State", LayerState, LabelState)
LAYER_ARRAYS = tuple(LayerState.__dataclass_fields__)
LABEL_ARRAYS = tuple(LabelState.__dataclass_fields__)


def unpack(kind: type[State], arrays: Mapping[str, np.ndarray]) -> State:
    """The state of that kind in a file of the store."""
    return kind(**{name: arrays[name] for name in kind.__dataclass_fields__})


def packed(tables: Sequence[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Counts of tables joined along their first axis without the zeros: a bit for every place, and the other counts.

    >>> where, counts = packed([torch.tensor([[0, 3]]), torch.tensor([[0, 0], [1, 0]])])
    >>> where.tolist(), counts.tolist(), unpacked_places(where).tolist()
    ([72], [3, 1], [1, 4])
    """
    flat = [table.cpu().numpy().reshape(-1) for table in tables]
    marks = [part != 0 for part in flat]
    counts = np.concatenate([part[np.flatnonzero(mark)] for part, mark in zip(flat, marks, strict=True)])
    return np.packbits(np.concatenate(marks)), smallest(counts)


def unpacked_places(where: np.ndarray) -> np.ndarray:
    """The places whose bit is set, ascending: int64 (n,)."""
    return np.flatnonzero(np.unpackbits(where).view(bool))


def smallest(counts: np.ndarray) -> np.ndarray:
    """Counts of 0 or more in the smallest integer type that holds them.

    >>> smallest(np.array([3, 400])).dtype.name
    'uint16'
    """
    largest = int(counts.max(initial=0))
    return counts.astype(next(t for t in (np.uint8, np.uint16, np.int32, np.int64) if largest <= np.iinfo(t).max))
