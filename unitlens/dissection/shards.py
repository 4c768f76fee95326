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
class LayerState:
    """What a shard has counted of one layer, without the zeros.

    bins, chance: positions of the counts that are not 0 in the tables (U, J, C + 1) and (D, U, Jc, C + 1), and the
    counts. tail int64 (U, J) and area int64 (U, J, G), in bins. minimum float32 (U,), wrong int64 (U,).
    top_value float32, top_index int64 (U, k). slots int64 (M,): which of the U k top images have their map here, and
    maps float16 (M, h, w).
    """

    bins_at: np.ndarray
    bins: np.ndarray
    chance_at: np.ndarray
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
    def of(cls, counts: Sequence[TailCount], top: TopK | None, bound: torch.Tensor) -> LayerState:
        """The state of a shard that has been counted. counts: of the layer's units, part after part. bound: float32
        (U,), maps of lower peaks are left out."""
        bins_at, bins = _sparse([count.bins for count in counts], axis=0)
        chance_at, chance = _sparse([count.chance for count in counts], axis=1)
        tail, area, minimum, wrong = (
            torch.cat([getattr(count, name).cpu() for count in counts]).numpy()
            for name in ("tail", "area", "minimum", "wrong")
        )
        if top is None:
            none = np.zeros((len(tail), 0))
            tops = none.astype(np.float32), none.astype(np.int64)
            slots, maps = np.zeros(0, np.int64), np.zeros((0, 1, 1), np.float16)
        else:
            value, index, kept = top.compute()
            slot = ((value >= bound[:, None]) & (index >= 0)).flatten().nonzero().squeeze(1)
            tops = value.numpy(), index.numpy()
            slots = slot.numpy()
            maps = kept.flatten(0, 1)[slot].numpy() if kept is not None else np.zeros((0, 1, 1), np.float16)
        return cls(bins_at, bins, chance_at, chance, tail, area, minimum, wrong, *tops, slots, maps)

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


def _sparse(tables: Sequence[torch.Tensor], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and values of what is not 0 in tables joined along their axis of units, in the smallest types."""
    units = sum(table.shape[axis] for table in tables)
    rest = int(np.prod(tables[0].shape[axis + 1 :]))
    position = np.uint32 if tables[0].shape[:axis].numel() * units * rest <= np.iinfo(np.uint32).max else np.int64
    places, found, first = [], [], 0
    for table in tables:
        flat = table.cpu().numpy().reshape(-1)
        at = np.flatnonzero(flat)
        found.append(flat[at])
        if axis:
            row, inner = np.divmod(at, table.shape[1] * rest)
            at = row * (units * rest) + inner
        places.append((at + first * rest).astype(position))
        first += table.shape[axis]
    values = np.concatenate(found)
    largest = int(values.max()) if len(values) else 0
    small = next(t for t in (np.uint8, np.uint16, np.int32) if largest <= np.iinfo(t).max)
    return np.concatenate(places), values.astype(small)
