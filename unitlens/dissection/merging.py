"""Merging: from the states of all shards to the tables of a layer. numpy only; sums in any order are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unitlens.dissection.intervals import MIN_BLOCKS
from unitlens.dissection.pilot import COARSE
from unitlens.dissection.shards import LabelState, LayerState, unpacked_places
from unitlens.dissection.tails import Blocks, TailTable

BLOCK_BYTES = 2**21  # what the counts by block may take per layer; pairs of the lowest IoU are left out first
MAX_INT32 = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Shown:
    """What the probe set shows: concept_area, concept_images int64 (C,); pixels int64 (G,); total: all pixels of the
    grid in images that could be read; images: how many those are.
    block_area int64 (Bl, C), block_total int64 (Bl,): area and total by shard.
    lent_area int64 (D, C), lent_pixels int64 (D, G): of the labels lent to the control."""

    concept_area: np.ndarray
    concept_images: np.ndarray
    pixels: np.ndarray
    total: int
    images: int
    block_area: np.ndarray
    block_total: np.ndarray
    lent_area: np.ndarray
    lent_pixels: np.ndarray

    @classmethod
    def of(cls, states: Sequence[LabelState], cells: int) -> Shown:
        """Of all shards. cells: pixels of the grid."""
        read = np.array([int(state.read.sum()) for state in states])
        area = np.stack([state.concept_area for state in states])
        pixels = np.stack([state.pixels for state in states])
        return cls(
            area.sum(0), np.sum([state.concept_images for state in states], 0), pixels.sum(0), int(read.sum()) * cells,
            int(read.sum()), area, read * cells,
            np.sum([state.lent_area for state in states], 0), np.sum([state.lent_pixels for state in states], 0),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tops:
    """value float32, index int64 (U, k), best first, -1 where fewer came; maps float16 (U, k, h, w).
    missing: bool (U, k), maps that no shard has kept."""

    value: np.ndarray
    index: np.ndarray
    maps: np.ndarray
    missing: np.ndarray


def merged_table(
    states: Sequence[LayerState], edges: np.ndarray, shown: Shown, category_index: np.ndarray, draws: int,
    exact: float | None,
) -> TailTable:  # fmt: skip
    """The table of a layer. edges: float32 (U, J). category_index: int64 (C,). draws: of the control."""
    units, concepts = len(edges), len(category_index)
    levels = edges.shape[1]
    kind = np.int32 if shown.total <= MAX_INT32 else np.int64
    bins = np.zeros(units * levels * (concepts + 1), dtype=kind)
    for state in states:
        bins[unpacked_places(state.bins_where)] += state.bins.astype(kind)  # every place once, so this adds
    bins = bins.reshape(units, levels, concepts + 1)
    tail = _above(np.asarray(np.sum([state.tail for state in states], 0, np.int64)))
    area = _above(np.asarray(np.sum([state.area for state in states], 0, np.int64)))
    above = np.empty((units, levels, concepts), dtype=kind)
    running = np.zeros((units, concepts), dtype=kind)
    for level in reversed(range(levels)):
        running += bins[:, level, 1:]
        above[:, level] = running
    del bins
    minimum = np.min([state.minimum for state in states], axis=0)
    table = TailTable(edges, tail, above, area, minimum, exact)
    blocks = _blocks(table, states, shown, category_index)
    chance = _chance(table, states, shown, category_index, draws)
    return TailTable(edges, tail, above, area, minimum, exact, blocks, chance)


def merged_tops(states: Sequence[LayerState], top: int, grid: tuple[int, int]) -> Tops:
    """The best images of every unit: by value, equal ones by position."""
    value = np.concatenate([state.top_value for state in states], 1)
    index = np.concatenate([state.top_index for state in states], 1)
    order = np.lexsort((np.where(index < 0, np.iinfo(np.int64).max, index), -value))[:, :top]
    rows = np.arange(len(value))[:, None]
    found = Tops(
        value[rows, order], index[rows, order], np.zeros((*order.shape, *grid), np.float16),
        index[rows, order] >= 0,
    )  # fmt: skip
    place = np.full(value.shape, -1)  # where a candidate has come to stand
    place[rows, order] = np.arange(order.shape[1])
    first = 0
    for state in states:
        count = state.top_value.shape[1]
        unit, slot = np.divmod(state.slots, max(1, count))
        target = place[unit, first + slot]
        wins = target >= 0
        found.maps[unit[wins], target[wins]] = state.maps[wins]
        found.missing[unit[wins], target[wins]] = False
        first += count
    return found


def replaced(table: TailTable, rows: np.ndarray, other: TailTable) -> TailTable:
    """A table with the units in `rows` taken from a table of just these. The counts by block are those of pairs that
    either table has kept."""
    parts = {}
    for name in ("edges", "tail", "above", "area", "minimum"):
        parts[name] = getattr(table, name).copy()
        parts[name][rows] = getattr(other, name)
    blocks, chance = table.blocks, table.chance
    if blocks is not None and other.blocks is not None:
        stays = ~np.isin(blocks.pairs[:, 0], rows)
        new = np.stack([rows[other.blocks.pairs[:, 0]], other.blocks.pairs[:, 1]], 1).astype(np.int32)
        pairs = np.concatenate([blocks.pairs[stays], new])
        above = np.concatenate([blocks.above[:, :, stays], other.blocks.above], 2)
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        tail, area = blocks.tail.copy(), blocks.area.copy()
        tail[:, :, rows], area[:, :, rows] = other.blocks.tail, other.blocks.area
        blocks = Blocks(blocks.coarse, pairs[order], above[:, :, order], tail, area)
    if chance is not None and other.chance is not None:
        chance = chance.copy()
        chance[:, :, rows] = other.chance[: len(chance)]
    return TailTable(**parts, exact=table.exact, blocks=blocks, chance=chance)


def _above(bins: np.ndarray) -> np.ndarray:
    """Counts in bins -> counts above edges, along axis 1."""
    return np.ascontiguousarray(np.flip(np.flip(bins, 1).cumsum(1, dtype=np.int64), 1))


def _iou(both: np.ndarray, fires: np.ndarray, seen: np.ndarray) -> np.ndarray:
    union = fires + seen - both
    return np.divide(both, union, out=np.zeros(both.shape), where=union > 0)


def _kept_pairs(table: TailTable, shown: Shown, category_index: np.ndarray, blocks: int) -> np.ndarray:
    """The unit-concept pairs whose counts are kept by block: those with the highest IoU at any coarse edge."""
    if blocks < MIN_BLOCKS:  # no interval can be had from them
        return np.zeros(0, dtype=np.int64)
    best, coarse = np.zeros((table.units, table.concepts)), COARSE[table.edges.shape[1]]
    for edge in coarse:
        both, fires = table.above[:, edge], table.area[:, edge][:, category_index]
        best = np.maximum(best, _iou(both, fires, shown.concept_area))
    room = max(3 * table.units, BLOCK_BYTES // (blocks * len(coarse) * 2))
    flat = best.reshape(-1)
    some = np.flatnonzero(flat)
    if len(some) > room:
        some = some[np.argpartition(-flat[some], room)[:room]]
    return np.sort(some)


def _blocks(table: TailTable, states: Sequence[LayerState], shown: Shown, category_index: np.ndarray) -> Blocks:
    """The counts of every shard at the coarse edges."""
    pairs = _kept_pairs(table, shown, category_index, len(states))
    concepts, levels = table.concepts, table.edges.shape[1]
    coarse = COARSE[levels]
    rough = len(coarse)
    which = np.full((table.units, concepts + 1), -1, dtype=np.int32)
    unit, concept = np.divmod(pairs, max(1, concepts))
    which[unit, concept + 1] = np.arange(len(pairs))
    # For every place of the table, which count of `above` it belongs to; negative: to none that is kept.
    coarse_of = np.searchsorted(coarse, np.arange(levels), side="right") - 1
    target = np.where(which[:, None] < 0, -1, which[:, None] + (coarse_of * len(pairs))[:, None])
    target = target.reshape(-1)
    above = np.zeros((len(states), rough, len(pairs)), dtype=np.int64)
    tail = np.zeros((len(states), rough, table.units), dtype=np.int64)
    area = np.zeros((len(states), rough, table.units, table.area.shape[2]), dtype=np.int64)
    for block, state in enumerate(states):
        place = target[unpacked_places(state.bins_where)]
        some = np.flatnonzero(place >= 0)
        found = np.bincount(place[some], state.bins[some], minlength=rough * len(pairs))
        above[block] = _above(found.reshape(1, rough, -1)).astype(np.int64)[0]
        tail[block] = _above(state.tail)[:, list(coarse)].T
        area[block] = _above(state.area)[:, list(coarse)].transpose(1, 0, 2)
    small = above.max(initial=0) <= np.iinfo(np.uint16).max
    both = np.stack([unit, concept], 1).astype(np.int32)
    return Blocks(np.array(coarse), both, above.astype(np.uint16 if small else np.int32), tail, area)


def _chance(
    table: TailTable, states: Sequence[LayerState], shown: Shown, category_index: np.ndarray, draws: int
) -> np.ndarray:
    """Best IoU of every unit with the labels of other images: float32 (D, Jc, U)."""
    units, concepts, coarse = table.units, table.concepts, COARSE[table.edges.shape[1]][1:]
    rough = len(coarse)
    bins = np.zeros(units * draws * rough * (concepts + 1), dtype=np.int64)
    for state in states:
        bins[unpacked_places(state.chance_where)] += state.chance
    by_draw = bins.reshape(units, draws, rough, concepts + 1)
    best = np.zeros((draws, rough, units), dtype=np.float32)
    # Where images are annotated for some categories only: the share of the lent pixels that were looked at.
    share = shown.lent_pixels / np.maximum(1, shown.total)
    for draw in range(draws):
        both = np.zeros((units, concepts), dtype=np.int64)
        for level in reversed(range(rough)):
            both += by_draw[:, draw, level, 1:]
            fires = table.tail[:, coarse[level]][:, None] * share[draw][category_index]
            best[draw, level] = _iou(both, fires, shown.lent_area[draw]).max(1, initial=0.0)
    return best
