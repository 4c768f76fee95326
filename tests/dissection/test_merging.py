"""Merging: what several threads counted of several shards, against all the values at once in naive numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch

from unitlens.dissection import merging
from unitlens.dissection.merging import Shown, Tops, merged_table, merged_tops, replaced
from unitlens.dissection.pilot import COARSE
from unitlens.dissection.shards import LabelState, LayerState, Part, packed, smallest, unpacked_places
from unitlens.dissection.tails import TailTable
from unitlens.stats.tailcount import LabelPlanes, TailCount
from unitlens.stats.topk import TopK

U, C, G, K, J, D = 9, 5, 3, 2, 14, 2
GROUP = np.array([0, 2, 1, 0, 2])
NEVER, RECTIFIED, DEAD, ALWAYS = 3, 1, 4, 6  # a concept; three units
CUTS = (6, 7, 9, 15, 20, 25, 31)  # the ends of the shards
OTHER_CUTS = (1, 7, 10, 13, 14, 20, 26, 31)

# ---- counts without their zeros --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "kind"), [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65_535, "uint16"), (65_536, "int32"),
                       (2**31 - 1, "int32"), (2**31, "int64")],
)  # fmt: skip
def test_counts_come_back_from_the_smallest_type_that_holds_them(most, kind):
    random = np.random.default_rng(most)
    tables = [torch.from_numpy(random.integers(0, most + 1, size)) for size in ((3, 4, 5), (1, 4, 5), (7, 4, 5))]
    tables = [torch.where(torch.from_numpy(random.random(table.shape) < 0.6), 0, table) for table in tables]
    tables[1][0, 3, 2] = most
    where, counts = packed([tables[0], tables[1], tables[2].transpose(1, 2).contiguous().transpose(1, 2)])
    flat = torch.cat(tables).flatten().numpy()
    assert counts.dtype.name == smallest(flat).dtype.name == kind and (counts != 0).all()
    assert where.nbytes == -(-flat.size // 8)
    whole = np.zeros_like(flat)
    whole[unpacked_places(where)] = counts
    assert np.array_equal(whole, flat) and np.array_equal(smallest(flat), flat)


# ---- a world and its shards ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Activations (N, U, H, W) in few steps, so that many are equal, and labels; some images lend theirs to all."""

    images: int = 31
    size: tuple[int, int] = (4, 7)
    partly: bool = True  # images are annotated for some categories only

    @cached_property
    def values(self) -> np.ndarray:
        random = np.random.default_rng(self.images)
        found = np.round(random.normal(size=(self.images, U, *self.size)), 1)
        found[:, RECTIFIED] = np.maximum(found[:, RECTIFIED] - 1.5, 0)
        found[:, DEAD] = -1
        found[:, ALWAYS] += 9
        return found.astype(np.float32)

    @cached_property
    def labels(self) -> np.ndarray:
        random = np.random.default_rng(1)
        found = random.integers(0, C + 1, (self.images, K, *self.size))
        found[found == NEVER + 1] = 0
        found *= random.random(found.shape) < 0.5
        found[:, 0][random.random((self.images, *self.size)) < 0.4] = 1
        return found

    @cached_property
    def looked(self) -> np.ndarray:
        return (np.random.default_rng(2).random((self.images, G)) < [0.95, 0.3, 0.7]) | (not self.partly)

    @cached_property
    def seen(self) -> np.ndarray:
        """Where each concept is seen, in images that are annotated for it: bool (N, C, H, W)."""
        found = [(self.labels == c + 1).any(1) & self.looked[:, GROUP[c], None, None] for c in range(C)]
        return np.stack(found, 1)

    @cached_property
    def lent(self) -> np.ndarray:
        """Whose labels each image gets, in three draws: (3, N)."""
        return np.random.default_rng(3).integers(0, self.images, (3, self.images))

    @cached_property
    def edges(self) -> np.ndarray:
        """Values that stand at some shares of the pixels: float32 (U, J); of one unit all are exceeded everywhere."""
        rows = self.values.swapaxes(0, 1).reshape(U, -1)
        found = np.quantile(rows, np.linspace(0.7, 0.995, J), axis=1, method="lower").T
        found[ALWAYS] = np.linspace(0, 2, J)
        return found.astype(np.float32)

    @cached_property
    def peaks(self) -> np.ndarray:
        return self.values.max((2, 3))

    def planes(self, index: np.ndarray) -> LabelPlanes:
        looked = torch.from_numpy(self.looked[index]) if self.partly else None
        return LabelPlanes.of(torch.from_numpy(self.labels[index]), looked, torch.from_numpy(GROUP), G)

    def tail(self, index: np.ndarray, units: np.ndarray, edges: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Unit, image, pixel and value of all pixels above the lowest edge."""
        flat = self.values[index][:, units].reshape(len(index), len(units), -1)
        image, unit, pixel = np.nonzero(flat > edges[None, :, :1])
        where = (torch.from_numpy(one.astype(np.int32)) for one in (unit, image, pixel))
        return *where, torch.from_numpy(flat[image, unit, pixel])

    def part(self, index: np.ndarray, units: slice, rows: np.ndarray, edges: np.ndarray, top: TopK | None) -> Part:
        """What one thread counts of a shard, in batches of 3 images. rows: the units of the layer."""
        coarse = torch.tensor(COARSE[J][1:])
        table = TailCount(len(rows[units]), C, G, torch.from_numpy(edges[units]), GROUP.tolist(), D, coarse)
        for first in range(0, len(index), 3):
            batch = index[first : first + 3]
            others = self.planes(self.lent[:D, batch].ravel())
            table.update(*self.tail(batch, rows[units], edges[units]), self.planes(batch), others)
            maps = self.values[batch][:, rows[units]]
            table.note(torch.from_numpy(maps.min((0, 2, 3))), torch.from_numpy(rows[units] * len(batch)))
            if top is not None:
                floor = torch.from_numpy(self.bound[rows[units]])
                peaks = torch.from_numpy(maps.max((2, 3)))
                top.update(peaks, torch.from_numpy(batch), torch.from_numpy(maps), floor=floor)
        return Part(units, table, top)

    @property
    def bound(self) -> np.ndarray:
        """A peak that the maps of most images are below, for every other unit."""
        high = np.sort(self.peaks, axis=0)[-3]
        return np.where(np.arange(U) % 2 == 0, high, -np.inf).astype(np.float32)

    def states(
        self, cuts: Sequence[int] = CUTS, rows: Sequence[int] = range(U), edges: np.ndarray | None = None, top: int = 0
    ) -> list[LayerState]:
        """The states of shards that end at `cuts`, each counted by two threads."""
        rows, edges = np.array(rows), self.edges[list(rows)] if edges is None else edges
        slices, found = (slice(0, len(rows) // 3), slice(len(rows) // 3, len(rows))), []
        for first, last in zip((0, *cuts[:-1]), cuts, strict=True):
            tops = [TopK(len(rows[units]), top) if top else None for units in slices]
            index = np.arange(first, last)
            parts = [self.part(index, units, rows, edges, kept) for units, kept in zip(slices, tops, strict=True)]
            found.append(LayerState.of(parts, torch.from_numpy(self.bound[rows])))
        return found

    def shown(self, cuts: Sequence[int] = CUTS) -> Shown:
        states, pixels = [], self.size[0] * self.size[1]
        for first, last in zip((0, *cuts[:-1]), cuts, strict=True):
            area, lent = self.seen[first:last].sum((2, 3)), self.lent[:, first:last]
            states.append(
                LabelState(
                    area.sum(0), (area > 0).sum(0), self.looked[first:last].sum(0) * pixels, np.array([last - first]),
                    self.seen[lent].sum((1, 3, 4)), self.looked[lent].sum(1) * pixels,
                )
            )  # fmt: skip
        return Shown.of(states, pixels)

    def table(self, cuts: Sequence[int] = CUTS) -> TailTable:
        return merged_table(self.states(cuts), self.edges, self.shown(cuts), GROUP, D, None)

    def fires(self, u: int, edge: np.float32) -> np.ndarray:
        return self.values[:, u] > edge

    def iou(self, u: int, edge: np.float32) -> np.ndarray:
        """With every concept, where the concept's category is annotated: (C,)."""
        fires, found = self.fires(u, edge), np.zeros(C)
        for c in range(C):
            either = (fires | self.seen[:, c])[self.looked[:, GROUP[c]]].sum()
            found[c] = (fires & self.seen[:, c]).sum() / max(1, either)
        return found

    def chance(self, u: int, edge: np.float32, draw: int) -> float:
        """The best IoU with lent labels; the pixels that fire are taken as spread over what is annotated and what is
        not."""
        fires, best = self.fires(u, edge), 0.0
        seen, looked = self.seen[self.lent[draw]], self.looked[self.lent[draw]]
        for c in range(C):
            both = (fires & seen[:, c]).sum()
            either = fires.sum() * looked[:, GROUP[c]].mean() + seen[:, c].sum() - both
            best = max(best, both / either if either else 0.0)
        return best


WORLD, WHOLLY = World(), World(partly=False)


def check_counts(world: World, table: TailTable, edges: np.ndarray, cuts: Sequence[int]) -> None:
    """All of a table but its pairs, from the definitions."""
    blocks, coarse = table.blocks, COARSE[J]
    assert blocks.coarse.tolist() == list(coarse)
    assert table.chance.shape == (D, len(coarse) - 1, U) and table.chance.dtype == np.float32
    for u in range(U):
        assert table.minimum[u] == world.values[:, u].min()
        for j, edge in enumerate(edges[u]):
            fires = world.fires(u, edge)
            assert table.tail[u, j] == fires.sum()
            assert table.above[u, j].tolist() == [(fires & world.seen[:, c]).sum() for c in range(C)]
            assert table.area[u, j].tolist() == [fires[world.looked[:, g]].sum() for g in range(G)]
        for level, edge in enumerate(edges[u, list(coarse)]):
            fires = world.fires(u, edge)
            for block, (first, last) in enumerate(zip((0, *cuts[:-1]), cuts, strict=True)):
                some, looked = fires[first:last], world.looked[first:last]
                assert blocks.tail[block, level, u] == some.sum()
                assert blocks.area[block, level, u].tolist() == [some[looked[:, g]].sum() for g in range(G)]
                for pair in np.flatnonzero(blocks.pairs[:, 0] == u):
                    seen = world.seen[first:last, blocks.pairs[pair, 1]]
                    assert blocks.above[block, level, pair] == (some & seen).sum()
            if level:
                expected = [world.chance(u, edge, draw) for draw in range(D)]
                np.testing.assert_allclose(table.chance[:, level - 1, u], expected, rtol=1e-6)


def best_at_coarse(world: World, edges: np.ndarray) -> np.ndarray:
    """The best IoU of all pairs at the coarse edges: (U, C)."""
    return np.stack([np.max([world.iou(u, edge) for edge in edges[u, list(COARSE[J])]], axis=0) for u in range(U)])


# ---- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [WORLD, WHOLLY], ids=["partly annotated", "wholly annotated"])
@pytest.mark.parametrize("cuts", [CUTS, OTHER_CUTS])
def test_a_table_holds_the_counts_of_all_images_and_of_every_shard(world, cuts):
    table = world.table(cuts)
    assert table.above.max() > 255 > max(state.bins.max() for state in world.states(cuts))
    check_counts(world, table, world.edges, cuts)
    expected = np.argwhere(best_at_coarse(world, world.edges) > 0)
    assert table.blocks.pairs.tolist() == expected.tolist() and 0 < len(expected) < U * C


def test_counts_by_chance_are_the_iou_of_masks_where_everything_is_annotated():
    table = WHOLLY.table()
    for u in range(U):
        for level, edge in enumerate(WHOLLY.edges[u, list(COARSE[J][1:])]):
            fires = WHOLLY.fires(u, edge)[:, None]
            for draw in range(D):
                seen = WHOLLY.seen[WHOLLY.lent[draw]]
                iou = (fires & seen).sum((0, 2, 3)) / np.maximum(1, (fires | seen).sum((0, 2, 3)))
                assert table.chance[draw, level, u] == pytest.approx(iou.max(), rel=1e-6)


def test_other_shards_of_the_same_images_give_the_same_table():
    one, other = WORLD.table(CUTS), WORLD.table(OTHER_CUTS)
    for name in ("edges", "tail", "above", "area", "minimum", "chance"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("coarse", "pairs"):
        assert np.array_equal(getattr(one.blocks, name), getattr(other.blocks, name)), name
    for name in ("above", "tail", "area"):
        assert np.array_equal(getattr(one.blocks, name).sum(0), getattr(other.blocks, name).sum(0)), name


@pytest.mark.parametrize("size", [(40, 60), (390, 410)])
def test_shards_with_very_many_pixels_are_counted_in_wider_types(size):
    world, cuts = World(images=5, size=size, partly=False), (1, 2, 3, 4, 5)
    states = world.states(cuts)
    table = merged_table(states, world.edges, world.shown(cuts), GROUP, D, None)
    wide = size == (390, 410)
    assert states[0].tail.dtype == (np.int32 if wide else np.uint16) and states[0].tail[ALWAYS, -1] == size[0] * size[1]
    assert table.blocks.above.dtype == (np.int32 if wide else np.uint16)
    for u in (0, ALWAYS):
        for j in (0, J - 1):
            fires = world.fires(u, world.edges[u, j])
            assert table.tail[u, j] == fires.sum()
            assert table.above[u, j].tolist() == [(fires & world.seen[:, c]).sum() for c in range(C)]
    for block in range(5):
        for pair in np.flatnonzero(table.blocks.pairs[:, 0] == ALWAYS):
            assert table.blocks.above[block, -1, pair] == world.seen[block, table.blocks.pairs[pair, 1]].sum()


def test_pairs_of_the_lowest_iou_are_left_out_where_there_is_no_room_for_all(monkeypatch):
    monkeypatch.setattr(merging, "BLOCK_BYTES", 0)  # three of every unit are always kept
    table = WORLD.table()
    best = best_at_coarse(WORLD, WORLD.edges)
    kept = np.zeros((U, C), dtype=bool)
    kept[tuple(table.blocks.pairs.T)] = True
    assert len(table.blocks.pairs) == kept.sum() == 3 * U < (best > 0).sum()
    assert best[kept].min() >= best[~kept].max()
    check_counts(WORLD, table, WORLD.edges, CUTS)


def test_few_shards_keep_no_pairs():
    cuts = (4, 10, 25, 31)
    table = WORLD.table(cuts)
    assert table.blocks.pairs.shape == (0, 2)
    check_counts(WORLD, table, WORLD.edges, cuts)


def test_only_the_units_that_were_measured_again_are_replaced():
    rows = np.array([ALWAYS, 2, 7])
    edges = WORLD.edges.copy()
    edges[rows] = np.sort(np.random.default_rng(4).normal(size=(3, J)), axis=1) + [[9], [0.5], [1]]
    states = WORLD.states(rows=rows, edges=edges[rows])
    other = merged_table(states, edges[rows], WORLD.shown(), GROUP, D, None)
    before = WORLD.table()
    table = replaced(before, rows, other)
    assert np.array_equal(table.edges, edges) and table.exact is None
    check_counts(WORLD, table, edges, CUTS)
    assert table.blocks.pairs.tolist() == np.argwhere(best_at_coarse(WORLD, edges) > 0).tolist()
    untouched = WORLD.table()
    assert all(np.array_equal(getattr(before, name), getattr(untouched, name)) for name in ("tail", "edges", "chance"))
    assert np.array_equal(before.blocks.area, untouched.blocks.area)


# ---- top images ------------------------------------------------------------------------------------------------------


def check_tops(tops: Tops, top: int, images: int, bound: np.ndarray) -> None:
    """The best of the first images, by sorting all of them."""
    filled = min(top, images)
    for u in range(U):
        best = sorted(range(images), key=lambda i, u=u: (-WORLD.peaks[i, u], i))[:top]
        assert tops.index[u].tolist() == best + [-1] * (top - filled)
        assert tops.value[u].tolist() == [*WORLD.peaks[best, u].tolist(), *[-np.inf] * (top - filled)]
        lost = [bool(WORLD.peaks[i, u] < bound[u]) for i in best]
        assert tops.missing[u].tolist() == lost + [False] * (top - filled)
        for slot, i in enumerate(best):
            expected = 0 if lost[slot] else WORLD.values[i, u].astype(np.float16)
            assert (tops.maps[u, slot] == expected).all()
        assert not tops.maps[u, filled:].any()


@pytest.mark.parametrize("cuts", [CUTS, OTHER_CUTS, (31,), (3, 5)])
@pytest.mark.parametrize("top", [1, 4, 7])
def test_the_best_images_are_those_of_all_shards_equal_ones_by_position(cuts, top):
    states = WORLD.states(cuts, top=top)
    tops = merged_tops(states, top, WORLD.size)
    check_tops(tops, top, cuts[-1], WORLD.bound)
    assert all((state.top_index.flat[state.slots] >= 0).all() for state in states)
    assert tops.missing.any() == (top > 3 or cuts[-1] < 31)
    backwards = merged_tops(states[::-1], top, WORLD.size)
    for name in ("value", "index", "maps", "missing"):
        assert np.array_equal(getattr(tops, name), getattr(backwards, name)), name


def test_units_that_are_measured_again_bring_no_images():
    tops = merged_tops(WORLD.states(rows=[5, 0, 3]), 4, (1, 1))
    assert tops.index.shape == (3, 0) and tops.maps.shape == (3, 0, 1, 1) and not tops.missing.any()
