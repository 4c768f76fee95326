"""Evidence: how sure the numbers of a dissection are. Pure functions of a result; see intervals and chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unitlens.dissection.chance import beats_chance, chance_at
from unitlens.dissection.intervals import BlockSums, block_sums, count_interval, count_replicates, iou_interval
from unitlens.errors import OptionError

if TYPE_CHECKING:
    from unitlens.dissection.result import Dissection


@dataclass(frozen=True, eq=False)
class Chance:
    """p: float64 (U,), how often the labels of other images match as well as the unit's best concept; NaN where that
    was not measured. beats: bool (U,), whether the unit beats chance when all units of the layer are tried.
    level: the smallest best IoU that does; inf where none does."""

    p: np.ndarray
    beats: np.ndarray
    level: float


@dataclass(frozen=True)
class CountIntervals:
    """Numbers of detectors and of distinct concepts of a layer, with intervals (NaN with fewer than 5 blocks)."""

    detectors: int
    detectors_low: float
    detectors_high: float
    concepts: int
    concepts_low: float
    concepts_high: float


def sums_of(found: Dissection, layer: str) -> BlockSums | None:
    """The layer's counts by block of images at the result's quantile, None where they are not known."""
    counts = found.layers[layer]
    tails, reading = counts.tails, counts.reading
    if tails is None or reading is None or tails.blocks is None or found.block_area is None:
        return None
    if found.block_total is None:
        return None
    index = found.vocabulary.category_index
    return block_sums(tails, reading, found.quantile, found.block_area, found.block_total, index)


def intervals(found: Dissection, layer: str, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end of every IoU: float64 (U, C) twice, NaN where the interval is not known."""
    shape = found.layers[layer].intersection.shape
    low, high = np.full(shape, np.nan), np.full(shape, np.nan)
    sums = sums_of(found, layer)
    if sums is not None:
        ends = iou_interval(sums, level)
        unit, concept = sums.pairs.T
        low[unit, concept], high[unit, concept] = ends
    return low, high


def chance_of(found: Dissection, layer: str, rate: float) -> Chance:
    """Which units of a layer beat chance."""
    counts = found.layers[layer]
    _, best = found.best(layer)
    null = None
    if counts.tails is not None and counts.reading is not None:
        null = chance_at(counts.tails, counts.reading)
    return Chance(*beats_chance(best, null, rate))


def counted(found: Dissection, layer: str, level: float) -> CountIntervals:
    """Detectors and concepts of a layer with their intervals."""
    if not isinstance(level, (int, float)) or not 0 < level < 1:
        raise OptionError(f"level: expected a share in (0, 1), such as 0.9 for a 90 % interval, got {level!r}")
    detectors, concepts = len(found.detectors(layer)), len(found.concepts(layer))
    sums = sums_of(found, layer)
    ends = [float("nan")] * 4
    if sums is not None:
        drawn = count_replicates(sums, found.min_iou)
        blocks = len(sums.intersection)
        units = found.layers[layer].units
        ends = [
            *count_interval(drawn.detectors, detectors, blocks, units, level),
            *count_interval(drawn.concepts, concepts, blocks, len(found.vocabulary), level),
        ]
    return CountIntervals(detectors, ends[0], ends[1], concepts, ends[2], ends[3])
