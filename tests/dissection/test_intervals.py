"""Intervals: block sums against raw pixels, coverage over repeated draws of images."""

from __future__ import annotations

import numpy as np
import pytest

from unitlens.dissection.intervals import (
    BlockSums,
    block_sums,
    count_interval,
    count_replicates,
    iou_interval,
    replicates,
    student,
    weights,
)
from unitlens.dissection.labels import iou_table
from unitlens.dissection.tails import Blocks, TailTable, read_at
from unitlens.errors import OptionError, RecipeMismatch

LEVEL = 0.99
CATEGORY = np.array([0, 1, 0])
COARSE = np.array([1, 4, 7])


def draw(images: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Activations (images, 49, U=4), labels (images, 49, C=3), annotated (images, G=2).

    The pixels of an image hang together. Unit 3 is rectified and fires on less than 1 % of the pixels.
    """
    known = np.stack([np.ones(images, dtype=bool), random.uniform(size=images) < 0.7], axis=1)
    present = random.uniform(size=(images, 1, 3)) < np.array([0.1, 0.3, 0.05])
    share = np.minimum(0.3 * random.lognormal(0, 0.7, size=(images, 1, 3)), 1)
    labels = present & (random.uniform(size=(images, 49, 3)) < share)
    labels[:, :, 1] &= known[:, None, 1]
    values = random.normal(size=(images, 49, 4)) + 0.4 * random.normal(size=(images, 1, 4))
    values[:, :, :3] += np.array([3.0, 1.5, 4.0]) * labels
    values[:, :, 3] = np.maximum(values[:, :, 3] - 3 + 1.5 * labels[:, :, 0], 0)
    return values.astype(np.float32), labels, known


def measure(values: np.ndarray, labels: np.ndarray, known: np.ndarray, blocks: int):
    """The tables of a draw, with blocks at three coarse edges, and block_area, block_total."""
    shares = np.geomspace(0.04, 0.002, 9)
    flat = np.sort(values.reshape(-1, 4), axis=0)
    edges = np.ascontiguousarray(flat[((1 - shares) * len(flat)).astype(int)].T)  # (U, J)
    fires = (values[..., None] > edges).reshape(blocks, -1, 4, 9).astype(np.float32)
    seen, here = labels.reshape(blocks, -1, 3), np.repeat(known, 49, axis=0).reshape(blocks, -1, 2)
    above = np.einsum("bpuj,bpc->bjuc", fires, seen.astype(np.float32)).astype(np.int64)
    area = np.einsum("bpuj,bpg->bjug", fires, here.astype(np.float32)).astype(np.int64)
    tail = fires.sum(1).transpose(0, 2, 1).astype(np.int64)  # (Bl, J, U)
    pairs = np.array([(u, c) for u in range(4) for c in range(3)], dtype=np.int32)
    kept = Blocks(COARSE, pairs, above[:, COARSE].reshape(blocks, 3, -1), tail[:, COARSE], area[:, COARSE])
    whole = (cube.sum(0).swapaxes(0, 1) for cube in (tail, above, area))
    table = TailTable(edges, *whole, flat[0], blocks=kept)
    return table, seen.sum(1), np.full(blocks, seen.shape[1])


def sums_of(values, labels, known, blocks: int = 32) -> tuple[TailTable, BlockSums]:
    table, area, total = measure(values, labels, known, blocks)
    reading = read_at(table, LEVEL, int(total.sum()))
    return table, block_sums(table, reading, LEVEL, area, total, CATEGORY)


def naive_iou(values: np.ndarray, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """IoU (U, C) at the order statistic, by its definition."""
    flat, seen = values.reshape(-1, 4), labels.reshape(-1, 3)
    fires = flat > np.sort(flat, axis=0)[::-1][round(len(flat) * (1 - LEVEL))]
    found = np.zeros((4, 3))
    for c in range(3):
        there = np.repeat(known[:, CATEGORY[c]], 49)
        both, either = (fires & seen[:, c, None])[there].sum(0), (fires | seen[:, c, None])[there].sum(0)
        found[:, c] = both / either
    return found


def test_block_sums_add_up_to_the_iou_of_the_reading() -> None:
    values, labels, known = draw(640, np.random.default_rng(1))
    table, area, total = measure(values, labels, known, 32)
    reading = read_at(table, LEVEL, int(total.sum()))
    sums = block_sums(table, reading, LEVEL, area, total, CATEGORY)
    iou = iou_table(reading.intersection, reading.activation_area, area.sum(0), CATEGORY).ravel()
    np.testing.assert_allclose(sums.intersection.sum(0) / sums.union.sum(0), iou, rtol=2e-3)
    assert not sums.outside.any()


def test_replicates_follow_a_dissection_of_the_resampled_images() -> None:
    """The threshold is measured again on each resampled set; the replicate knows it to first order only."""
    values, labels, known = draw(640, np.random.default_rng(2))
    _, sums = sums_of(values, labels, known)
    drawn = weights(32, draws=40, seed=3)
    quick, slow = replicates(sums, drawn), []
    for row in drawn.astype(int):
        images = np.repeat(np.arange(640).reshape(32, 20), row, axis=0).ravel()
        slow.append(naive_iou(values[images], labels[images], known[images]).ravel())
    slow = np.array(slow)
    spread = slow.std(0)
    assert (np.abs(quick - slow).mean(0) <= 0.25 * spread + 1e-3).all()
    np.testing.assert_allclose(quick.std(0), spread, rtol=0.25, atol=1e-3)


def test_ninety_percent_intervals_hold_the_truth_in_about_ninety_percent_of_draws() -> None:
    random = np.random.default_rng(4)
    truth = naive_iou(*draw(40_000, random)).ravel()
    held, known = [], []
    for _ in range(120):
        _, sums = sums_of(*draw(640, random))
        low, high = iou_interval(sums, 0.9)
        held.append((low <= truth) & (truth <= high))
        known.append(~np.isnan(low))
    covered = np.sum(held, axis=0) / np.maximum(np.sum(known, axis=0), 1)
    assert np.mean(known) > 0.95
    assert (truth >= 0.02).sum() == 4  # the others meet on 2 to 16 pixels in a draw, too few for any interval
    assert 0.85 <= covered[truth >= 0.02].mean() <= 0.95
    assert covered[truth >= 0.02].min() >= 0.78  # 120 draws have a standard error of .03
    assert covered.min() >= 0.65


def test_interval_is_that_of_infinitely_many_replicates_on_the_logit() -> None:
    _, sums = sums_of(*draw(2560, np.random.default_rng(5)), blocks=64)
    low, high = iou_interval(sums, 0.9)
    pairs = np.flatnonzero(sums.intersection.sum(0) > 200)
    many = replicates(sums, weights(64, draws=4000))[:, pairs].astype(float)
    logit = np.log(many / (1 - many))
    width = np.log(high / (1 - high)) - np.log(low / (1 - low))
    np.testing.assert_allclose(width[pairs], 2 * 1.67 * logit.std(0), rtol=0.08)
    iou = sums.intersection.sum(0) / sums.union.sum(0)
    assert ((low < iou) & (iou < high))[pairs].all()


def test_intervals_are_nan_where_too_little_is_known() -> None:
    both = np.zeros((6, 4))
    both[:, 0] = [1, 2, 3, 1, 2, 3]  # fine
    both[:2, 1] = 3  # seen in two blocks only
    union = np.full((6, 4), 5.0)
    union[2:, 1] = 0
    both[:, 3] = 5  # the unit is the concept
    pairs = np.array([[0, 0], [0, 1], [1, 0], [1, 2]])
    low, high = iou_interval(BlockSums(pairs, both, union, np.zeros(4, dtype=bool)))
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, True, False]
    assert (low[3], high[3]) == (1, 1)
    out = BlockSums(pairs, both, union, np.ones(4, dtype=bool))
    assert np.isnan(iou_interval(out)[0]).all()
    few = BlockSums(pairs, both[:4], union[:4], np.zeros(4, dtype=bool))
    assert np.isnan(iou_interval(few)[0]).all()
    assert np.isnan(count_interval(np.arange(9), 4, blocks=4, most=9)).all()


def test_counts_choose_the_best_concept_anew_in_every_replicate() -> None:
    random = np.random.default_rng(6)
    pairs = np.array([(u, c) for u in range(9) for c in range(5) if (u + c) % 3], dtype=np.int32)
    both = random.uniform(0, 1, (11, len(pairs)))
    both[:, 1] = both[:, 0]  # two concepts that are the same pixels: the first is the unit's
    sums = BlockSums(pairs, both, random.uniform(3, 9, (11, len(pairs))), np.zeros(len(pairs), dtype=bool))
    counts = count_replicates(sums, min_iou=0.1, draws=30, seed=2)
    iou = replicates(sums, weights(11, draws=30, seed=2))
    for r in range(30):
        best: dict[int, tuple[float, int]] = {}
        for (u, c), value in zip(pairs.tolist(), iou[r]):
            if value >= np.float32(0.1) and value > best.get(u, (0, 0))[0]:
                best[u] = (value, c)
        assert counts.detectors[r] == len(best)
        assert counts.concepts[r] == len({concept for _, concept in best.values()})
    assert len(set(counts.concepts)) > 1


def test_a_count_interval_holds_the_count_of_the_world() -> None:
    """Units around min_iou on all sides: 60 units of one concept each, known true IoU."""
    random = np.random.default_rng(7)
    true = np.linspace(0.02, 0.07, 60)
    pairs = np.stack([np.arange(60), np.arange(60) % 13], axis=1).astype(np.int32)
    held = []
    for _ in range(100):
        union = random.lognormal(3, 0.5, (32, 60))
        sums = BlockSums(pairs, union * true * random.lognormal(-0.32, 0.8, (32, 60)), union, np.zeros(60, dtype=bool))
        measured = int((sums.intersection.sum(0) / sums.union.sum(0) >= 0.04).sum())
        low, high = count_interval(count_replicates(sums).detectors, measured, blocks=32, most=60)
        assert low <= measured <= high and low == int(low)
        held.append(low <= (true >= 0.04).sum() <= high)
    assert np.mean(held) >= 0.85


def test_the_same_seed_gives_the_same_replicates() -> None:
    assert (weights(7, 20, seed=1) == weights(7, 20, seed=1)).all()
    assert (weights(7, 20, seed=1) != weights(7, 20, seed=2)).any()
    assert (weights(7, 20).sum(1) == 7).all()


def test_no_pairs_give_no_counts() -> None:
    sums = BlockSums(np.zeros((0, 2), np.int32), np.zeros((6, 0)), np.zeros((6, 0)), np.zeros(0, dtype=bool))
    assert count_replicates(sums, draws=3).detectors.tolist() == [0, 0, 0]
    assert iou_interval(sums)[0].shape == (0,)


def test_student_quantiles_are_those_of_the_tables() -> None:
    for freedom, table in ((4, 2.132), (9, 1.833), (31, 1.696), (63, 1.669)):
        assert student(0.95, freedom) == pytest.approx(table, rel=0.005)


def test_wrong_arguments_are_told() -> None:
    values, labels, known = draw(64, np.random.default_rng(8))
    table, sums = sums_of(values, labels, known)
    with pytest.raises(OptionError, match="level"):
        iou_interval(sums, 90)
    with pytest.raises(OptionError, match="draws"):
        weights(5, draws=0)
    bare = TailTable(table.edges, table.tail, table.above, table.area, table.minimum)
    reading = read_at(bare, LEVEL, 64 * 49)
    with pytest.raises(RecipeMismatch, match="blocks"):
        block_sums(bare, reading, LEVEL, np.zeros((32, 3)), np.full(32, 98), CATEGORY)
