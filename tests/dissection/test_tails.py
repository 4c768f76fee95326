"""Tail tables against the raw values they were counted from."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from unitlens.dissection.tails import (
    Blocks,
    TailTable,
    coarse_place,
    coverage,
    rank_error,
    read_at,
    tail_at,
    unresolved,
)
from unitlens.errors import OptionError
from unitlens.stats.levels import tail_count

N = 1_000_000  # fewer, and the scatter of single pixels alone is more than the 3e-4 promised
SHARES = np.geomspace(0.06, 0.0007, 14)


def edges_of(values: np.ndarray, shares: np.ndarray = SHARES) -> np.ndarray:
    """As a pilot would choose them: upper order statistics of every tenth pixel."""
    pilot = np.sort(values[:, ::10], axis=1)
    return pilot[:, ((1 - shares) * pilot.shape[1]).astype(int)]


def count(values: np.ndarray, edges: np.ndarray, labels: np.ndarray, known: np.ndarray) -> TailTable:
    """values (U, N), labels (C, N) bool, known (G, N) bool: loops written from the definitions."""
    units, steps = edges.shape
    tail = np.zeros((units, steps), dtype=np.int64)
    above = np.zeros((units, steps, len(labels)), dtype=np.int32)
    area = np.zeros((units, steps, len(known)), dtype=np.int64)
    for u in range(units):
        for j in range(steps):
            fires = values[u] > edges[u, j]
            tail[u, j] = fires.sum()
            above[u, j] = [(fires & label).sum() for label in labels]
            area[u, j] = [(fires & group).sum() for group in known]
    return TailTable(edges, tail, above, area, values.min(1))


@cache
def smooth_units() -> np.ndarray:
    random = np.random.default_rng(5)
    z = random.normal(size=N)
    return np.stack(
        [
            random.exponential(size=N), z, np.maximum(z - 1, 0), np.exp(1.5 * z), random.pareto(2, N),
            random.pareto(1, N), random.uniform(size=N), -random.uniform(size=N), random.beta(2, 2, N),
        ]
    ).astype(np.float32)  # fmt: skip


@cache
def world() -> TailTable:
    values = smooth_units()
    random = np.random.default_rng(6)
    labels = np.stack([values[0] + random.normal(size=N) > 3, random.uniform(size=N) < 0.1, values[1] > 2])
    known = np.stack([np.ones(N, dtype=bool), np.arange(N) < N // 3])
    labels[1] &= known[1]
    return count(values, edges_of(values), labels, known)


def rank_off(values: np.ndarray, threshold: np.float32, allowed: int) -> int:
    """How far `allowed` is from the ranks that the threshold has: 0 when it is the order statistic."""
    return int(max(0, (values > threshold).sum() - allowed, allowed - (values >= threshold).sum()))


def test_thresholds_are_the_order_statistics_to_three_in_ten_thousand() -> None:
    values = smooth_units()
    table = world()
    for quantile in (0.97, 0.975, 0.98, 0.985, 0.99, 0.995, 0.998, 0.999):
        reading, allowed = read_at(table, quantile, N), tail_count(N, quantile)
        resolved = ~unresolved(table, N)
        assert resolved[:4].all() and not reading.outside.any()
        assert reading.threshold.dtype == np.float32 and reading.intersection.dtype == np.int64
        for unit, row in enumerate(values):
            limit = 3e-4 if resolved[unit] else 1e-3
            assert rank_off(row, reading.threshold[unit], allowed) <= limit * N, (unit, quantile)
        assert (reading.activation_area[:, 0] == allowed).all()  # exactly k pixels, whatever the threshold's error
        np.testing.assert_allclose(tail_at(table, reading.place), allowed, rtol=1e-9)


def test_counts_follow_the_masks_above_the_threshold() -> None:
    values = smooth_units()
    random = np.random.default_rng(6)
    table = world()
    labels = np.stack([values[0] + random.normal(size=N) > 3, random.uniform(size=N) < 0.1, values[1] > 2])
    labels[1, N // 3 :] = False
    reading, allowed = read_at(table, 0.988, N), tail_count(N, 0.988)
    for unit, row in enumerate(values):
        exact = np.sort(row)[::-1][allowed]
        fires = row > exact
        assert np.abs(reading.intersection[unit] - (fires & labels).sum(1)).max() <= 0.02 * allowed
        assert abs(reading.activation_area[unit, 1] - fires[: N // 3].sum()) <= 0.02 * allowed


def test_a_quantile_on_an_edge_reads_the_counts_of_that_edge() -> None:
    table = world()
    for j in (0, 4, 13):
        quantile = 1 - int(table.tail[1, j]) / N
        if tail_count(N, quantile) != table.tail[1, j]:
            quantile = float(np.nextafter(quantile, 0))  # the float nearest to the level is just above it
        reading = read_at(table, quantile, N)
        assert reading.threshold[1] == table.edges[1, j] and reading.place[1] == j
        assert (reading.intersection[1] == table.above[1, j]).all()


def test_zeros_of_a_rectified_unit_are_its_threshold() -> None:
    random = np.random.default_rng(1)
    values = np.maximum(random.normal(size=(3, N)) - np.array([[2.0], [9.0], [2.0]]), 0).astype(np.float32)
    values[2, 0] = -1  # not rectified: other pixels may be anywhere below the first edge
    edges = edges_of(values)
    assert (edges[1] == 0).all() and (edges[0] == 0).sum() > 1
    table = count(values, edges, values[:1] > 0.5, np.ones((1, N), dtype=bool))
    reading = read_at(table, 0.96, N)
    assert reading.threshold[:2].tolist() == [0, 0] and reading.outside.tolist() == [False, False, True]
    assert reading.intersection[0, 0] == (values[0] > 0.5).sum()
    assert reading.activation_area[0, 0] == (values[0] > 0).sum()
    assert reading.activation_area[1, 0] == 0  # a unit that never fires
    lowest, highest = coverage(table, N)
    assert lowest[:2].tolist() == [0, 0] and lowest[2] == 1 - (values[2] > 0).sum() / N and highest[1] == 1
    assert unresolved(table, N).tolist() == [False, False, True]
    exact = np.sort(values[0])[::-1][tail_count(N, 0.99)]
    assert abs(read_at(table, 0.99, N).threshold[0] - exact) < 0.02


def test_a_saturated_unit_is_an_atom_when_its_edges_are_neighbouring_floats() -> None:
    values = np.minimum(np.random.default_rng(2).exponential(size=(1, N)) * 1.6, 6).astype(np.float32)
    assert 0.02 < (values == 6).mean() < 0.03
    six = np.float32(6)
    shares = np.geomspace(0.06, 0.031, 6)
    edges = np.append(edges_of(values, shares), [[np.nextafter(six, np.float32(0)), six]], axis=1).astype(np.float32)
    table = count(values, edges, values == 6, np.ones((1, N), dtype=bool))
    for quantile in (0.98, 0.99, 0.999):
        reading = read_at(table, quantile, N)
        assert reading.threshold[0] == 6 and reading.activation_area[0, 0] == reading.intersection[0, 0] == 0
        assert not reading.outside[0] and tail_at(table, reading.place)[0] == 0
    coarse = count(values, np.delete(edges, -2, axis=1), values == 6, np.ones((1, N), dtype=bool))
    assert unresolved(coarse, N)[0] and not unresolved(table, N, bracket=(0.96, 0.999))[0]


def test_units_outside_their_bracket_are_told_and_their_counts_continue_beyond_the_last_edge() -> None:
    table = world()
    low, high = read_at(table, 0.9, N), read_at(table, 0.9999, N)
    assert low.outside[[0, 1]].all() and high.outside.all()
    assert (high.threshold == table.edges[:, -1]).all()
    share = tail_count(N, 0.9999) / table.tail[:, -1:]
    assert (high.intersection == np.rint(table.above[:, -1] * share)).all()
    slope = (table.edges[1, 3] - table.edges[1, 0]) / np.log(table.tail[1, 0] / table.tail[1, 3])
    below = table.edges[1, 0] - slope * np.log(tail_count(N, 0.9) / table.tail[1, 0])
    assert low.threshold[1] == np.float32(max(below, table.minimum[1]))
    missing = tail_count(N, 0.9) - table.tail[1, 0]
    purity = (table.above[1, 0] - table.above[1, 3]) / (table.tail[1, 0] - table.tail[1, 3])
    assert (low.intersection[1] == np.rint(table.above[1, 0] + purity * missing)).all()
    assert unresolved(table, N, bracket=(0.9, 0.999))[:2].all()


def test_an_exact_table_gives_its_first_edge() -> None:
    values = smooth_units()[:2]
    allowed = tail_count(N, 0.99)
    exact = np.sort(values, axis=1)[:, ::-1][:, allowed, None]
    table = count(values, exact, values[:1] > 1, np.ones((1, N), dtype=bool))
    table = TailTable(table.edges, table.tail, table.above, table.area, table.minimum, exact=0.99)
    reading = read_at(table, 0.99, N)
    assert (reading.threshold == exact[:, 0]).all() and not reading.outside.any()
    assert (reading.activation_area[:, 0] == allowed).all()
    assert read_at(table, 0.98, N).outside.all()


def test_smooth_units_are_resolved_and_lumpy_ones_are_not() -> None:
    random = np.random.default_rng(8)
    z = random.normal(size=N)
    lumpy = np.stack(
        [
            np.where(random.uniform(size=N) < 0.01, 5 + 0.3 * random.normal(size=N), z),  # a gap inside the bracket
            np.where(random.uniform(size=N) < 0.02, 6 + z, 0.5 * z),
            np.where(random.uniform(size=N) < 0.002, 2.5, z),  # an atom between two edges
            random.pareto(0.5, N),
        ]
    ).astype(np.float32)
    values = np.concatenate([smooth_units()[:3], lumpy])
    table = count(values, edges_of(values), values[:1] > 1, np.ones((1, N), dtype=bool))
    assert unresolved(table, N).tolist() == [False] * 3 + [True] * 4


def test_rank_error_is_of_the_size_of_the_true_error() -> None:
    values = smooth_units()[3:]  # those that bend
    table = count(values, edges_of(values), values[:1] > 1, np.ones((1, N), dtype=bool))
    told, true = rank_error(table, N), np.zeros(len(values))
    for quantile in np.linspace(0.97, 0.999, 30).round(4):
        reading = read_at(table, float(quantile), N)
        off = [rank_off(v, t, tail_count(N, float(quantile))) for v, t in zip(values, reading.threshold)]
        true = np.maximum(true, np.array(off) / N)
    assert (true <= told + 1.5e-4).all()  # the sampling noise of 120,000 pixels, which no bend tells of
    assert (told <= 6 * true + 1.5e-4).all()


def test_coarse_place_finds_the_same_share_of_pixels() -> None:
    table = world()
    coarse = np.array([1, 5, 9, 13])
    reading = read_at(table, 0.99, N)
    lower, share = coarse_place(table, coarse, reading.place)
    low = table.tail[np.arange(table.units), coarse[lower]]
    high = table.tail[np.arange(table.units), coarse[lower + 1]]
    np.testing.assert_allclose(low + share * (high - low), tail_count(N, 0.99))
    first, nothing = coarse_place(table, coarse, np.zeros(table.units))
    assert (first == 0).all() and (nothing == 0).all()
    only, nothing = coarse_place(table, coarse[:1], reading.place)
    assert (only == 0).all() and (nothing == 0).all()


def test_sizes_and_bytes_of_tables() -> None:
    pairs = np.zeros((3, 2), np.int32)
    blocks = Blocks(np.arange(2), pairs, np.zeros((4, 2, 3), np.uint16), *2 * [np.zeros((4, 2, 1))])
    table = TailTable(
        np.zeros((5, 2), np.float32), np.zeros((5, 2), np.int64), np.zeros((5, 2, 7), np.int32),
        np.zeros((5, 2, 1), np.int64), np.zeros(5, np.float32), blocks=blocks,
    )  # fmt: skip
    assert (table.units, table.concepts) == (5, 7)
    assert blocks.nbytes == 16 + 24 + 48 + 2 * 64
    assert table.nbytes == 40 + 80 + 280 + 80 + 20 + blocks.nbytes


@pytest.mark.parametrize(("quantile", "total"), [(0, 10), (1, 10), (float("nan"), 10), (0.9, 0)])
def test_levels_and_totals_out_of_range_are_told(quantile: float, total: int) -> None:
    with pytest.raises(OptionError, match="expected"):
        read_at(world(), quantile, total)


def test_infinite_edges_and_tiny_totals_are_read_without_a_warning() -> None:
    edges = np.float32([[1, np.inf], [-np.inf, 2]])
    tail = np.array([[5, 0], [9, 1]])
    table = TailTable(edges, tail, np.zeros((2, 2, 1), np.int64), tail[:, :, None], np.float32([0, -np.inf]))
    assert not np.isnan(read_at(table, 0.8, 10).threshold).any()
    assert read_at(table, 0.8, 10).activation_area.tolist() == [[2], [2]]
    assert read_at(table, 0.99, 10).threshold.tolist() == [np.inf, 2]  # none of ten may exceed it


def test_tables_are_read_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from unitlens.stats.levels import tail_count as k; print(k(9, .8))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout == "1\n", run.stderr
