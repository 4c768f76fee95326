"""The pilot: edges by what some images show, and again by what has been counted, against all the values."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from unitlens.dissection.engine import HERE_LIMIT, MARGIN, RANK_LIMIT
from unitlens.dissection.labeller import draws_for
from unitlens.dissection.pilot import (
    BEYOND_PILOT,
    COARSE,
    EDGES,
    WINDOW,
    Bracket,
    PilotTails,
    edge_count,
    levels,
    refined_bracket,
)
from unitlens.dissection.tails import BRACKET, TailTable, unresolved
from unitlens.stats.tailcount import TailCount

# ---- levels ----------------------------------------------------------------------------------------------------------


def weights(shares: np.ndarray, here: float) -> np.ndarray:
    """How far each step leads in the logarithm, what lies in the window counted twice."""
    found = []
    for high, low in zip(shares[:-1], shares[1:], strict=True):
        inside = np.log(min(high, WINDOW[0] * here)) - np.log(max(low, WINDOW[1] * here))
        found.append(np.log(high / low) + max(0.0, inside))
    return np.array(found)


@pytest.mark.parametrize(
    ("here", "steps_inside"),
    [(0.01, 22), (0.03, 22), (0.04, 14), (0.001, 15), (0.0009, 12), (0.0008, 7), (0.2, 0), (0.0001, 0)],
)  # fmt: skip
def test_steps_are_even_but_half_as_wide_in_the_window_wherever_it_lies(here, steps_inside):
    first, last, count = 0.043, 0.0009, 85
    (shares,) = levels(np.array([first]), here, last, count)
    assert shares.shape == (count,) and (np.diff(shares) < 0).all()
    assert shares[[0, -1]] == pytest.approx([first, last], rel=1e-12)
    way = weights(shares, here)
    np.testing.assert_allclose(way, way.mean(), rtol=1e-9)
    step = np.log(shares[:-1] / shares[1:])
    assert abs((step < 0.51 * way).sum() - steps_inside) <= 1
    assert (np.isclose(step, way / 2) | np.isclose(step, way)).sum() >= count - 3  # but for those that cross its ends


def test_units_have_levels_of_their_own_at_once():
    first, count = np.array([0.04, 0.1, 0.0105, 0.3, 0.0012]), 23
    together = levels(first, 0.01, 0.001, count)
    assert together.shape == (5, count)
    for unit, shares in enumerate(together):
        np.testing.assert_allclose(shares, levels(first[[unit]], 0.01, 0.001, count)[0], rtol=1e-12)
        assert shares[[0, -1]] == pytest.approx([first[unit], 0.001]) and (np.diff(shares) < 0).all()


# ---- PilotTails ------------------------------------------------------------------------------------------------------

IMAGES, PILOT, PIXELS = 1600, 200, 80
ASKED = 1 - BRACKET[0]
SMOOTH, RECTIFIED, BURSTS, SATURATED, DEAD = range(5)
U = 5


@cache
def world() -> torch.Tensor:
    """Activations (IMAGES, U, PIXELS): alike in all images, the same rectified, high in few of them, cut off at 6, 0.
    """
    draw = torch.Generator().manual_seed(1)
    values = torch.randn(IMAGES, U, PIXELS, generator=draw)
    values[:, RECTIFIED] = (values[:, RECTIFIED] - 1).clamp(min=0)
    values[torch.rand(IMAGES, generator=draw) < 0.04, BURSTS] += 4
    values[:, SATURATED] = (values[:, SATURATED] * 3).clamp(max=6)
    values[:, DEAD] = 0
    return values


def looked_at(
    edges: int = 40, batches: tuple[int, ...] = (PILOT,), units: slice = slice(0, U), of: int = IMAGES
) -> Bracket:
    """The bracket that every eighth image gives, in such batches."""
    seen = world()[:: IMAGES // PILOT, units]
    tails = PilotTails(seen.shape[1], edges, BRACKET, 0.99, PILOT, PIXELS)
    for part in seen.split(list(batches)):
        tails.update(part, part.amax(2), part.amin(2))
    return tails.bracket(of, top=3)


def share_above(bracket: Bracket, edge: int) -> np.ndarray:
    """Of all pixels of all images: (U,)."""
    return (world() > bracket.edges[None, :, edge, None]).float().mean((0, 2)).numpy()


@pytest.mark.parametrize("edges", EDGES.values())
def test_edges_ascend_from_below_the_widest_tail_to_beyond_what_the_pilot_saw(edges):
    bracket = looked_at(edges)
    assert bracket.edges.shape == (U, edges) and bracket.edges.dtype == torch.float32 and bracket.exact is None
    assert (bracket.edges.diff(dim=1) >= 0).all()
    assert (bracket.edges[[SMOOTH, BURSTS]].diff(dim=1) > 0).all()
    peak = world()[:: IMAGES // PILOT].amax((0, 2))
    beyond = (bracket.edges > peak[:, None]).sum(1)
    assert beyond[[SMOOTH, BURSTS]].tolist() == [sum(step > 1 for step in BEYOND_PILOT[edges])] * 2
    assert beyond[[SATURATED, DEAD]].tolist() == [0, 0]
    assert (share_above(bracket, -1) < 1e-4).all()


def test_the_first_edge_leaves_what_is_asked_for_and_more_where_images_differ():
    share = share_above(looked_at(), 0)
    assert 1.15 * ASKED < share[SMOOTH] < 1.5 * ASKED
    assert 1.15 * ASKED < share[RECTIFIED] < 1.5 * ASKED
    assert 2.2 * ASKED < share[BURSTS] < 5 * ASKED


def test_a_pilot_that_has_seen_every_image_needs_no_wider_bracket():
    first = looked_at(of=PILOT).edges[:, 0]
    share = (world()[:: IMAGES // PILOT] > first[:, None]).float().mean((0, 2))
    assert share[[SMOOTH, RECTIFIED, BURSTS]].tolist() == pytest.approx([1.3 * ASKED] * 3, abs=1e-3)


@pytest.mark.parametrize(
    "batches", [(1,) * PILOT, (7, 93, 100), (64, 64, 64, 8), (3,) * 66 + (2,), (0, 5, 195)]
)  # fmt: skip
def test_the_bracket_is_the_same_whatever_the_batches(batches):
    one, other = looked_at(), looked_at(batches=batches)
    assert torch.equal(one.edges, other.edges) and torch.equal(one.bound, other.bound)


def test_the_parts_of_a_layer_join_to_the_bracket_of_the_whole():
    whole = looked_at()
    joined = Bracket.joined([looked_at(units=slice(0, 2)), looked_at(units=slice(2, 3)), looked_at(units=slice(3, U))])
    assert torch.equal(joined.edges, whole.edges) and torch.equal(joined.bound, whole.bound)


@pytest.mark.parametrize("edges", EDGES.values())
def test_the_ceiling_of_a_saturating_unit_is_a_bin_of_its_own(edges):
    six = np.float32(6)
    found = looked_at(edges).edges[SATURATED].numpy()
    at = found.tolist().index(6.0)
    assert found[at - 1] == np.nextafter(six, np.float32(0)) and (found[at:] == 6).all() and found[at - 2] < 6
    values = world()[:, SATURATED].numpy()
    inside = (values > found[at - 1]) & (values <= found[at])
    assert inside.sum() == (values == 6).sum() > 0.02 * values.size


def test_a_unit_that_never_fires_has_all_edges_at_zero():
    assert (looked_at().edges[DEAD] == 0).all()


def test_maps_are_kept_of_a_few_times_as_many_images_as_are_shown():
    bound = looked_at().bound
    peaks = world().amax(2)
    seen = peaks[:: IMAGES // PILOT]
    for unit in (SMOOTH, RECTIFIED, BURSTS):
        assert int((seen[:, unit] > bound[unit]).sum()) == -(-4 * 3 * PILOT // IMAGES) + 1
        assert 3 < int((peaks[:, unit] > bound[unit]).sum()) < 60
    assert looked_at(of=12).bound.tolist() == [-np.inf] * U  # all of them are wanted


# ---- refined_bracket -------------------------------------------------------------------------------------------------

N, C = 400_000, 2
GOOD, TOO_HIGH, TOO_LOW, ONE_BIN, SPARSE, CEILING = range(6)


@cache
def planted() -> np.ndarray:
    random = np.random.default_rng(2)
    values = random.exponential(size=(6, N))
    values[ONE_BIN] = random.normal(size=N)
    values[SPARSE] = np.maximum(random.normal(size=N) - 1.9, 0)  # 2.9 % above 0: less than is asked for
    values[CEILING] = np.minimum(values[CEILING], 4)  # 1.8 % there
    return values.astype(np.float32)


def counted(values: np.ndarray, edges: np.ndarray) -> TailTable:
    """Counts of values (V, N) above edges (V, J), by their definition; two labels, one category."""
    labels = np.stack([np.arange(values.shape[1]) % 3 == 0, np.arange(values.shape[1]) % 7 < 2])
    tail, above = np.zeros(edges.shape, np.int64), np.zeros((*edges.shape, C), np.int32)
    for u, row in enumerate(edges):
        for j, edge in enumerate(row):
            fires = values[u] > edge
            tail[u, j], above[u, j] = fires.sum(), (fires & labels).sum(1)
    return TailTable(edges, tail, above, tail[:, :, None], values.min(1))


def by_shares(values: np.ndarray, first: float, last: float, count: int) -> np.ndarray:
    return np.quantile(values, 1 - np.geomspace(first, last, count)).astype(np.float32)


def misplaced(edges: int) -> np.ndarray:
    """Edges (6, J) of which only those of GOOD answer for the whole bracket."""
    values = planted()
    found = np.stack([by_shares(row, 0.04, 0.0007, edges) for row in values])
    found[TOO_HIGH] = by_shares(values[TOO_HIGH], 0.015, 0.0003, edges)
    found[TOO_LOW] = by_shares(values[TOO_LOW], 0.2, 0.008, edges)
    low, high = by_shares(values[ONE_BIN], 0.05, 0.0005, 2)
    found[ONE_BIN] = [*np.linspace(low - 0.3, low, edges // 2), *np.linspace(high, high + 0.3, edges - edges // 2)]
    found[SPARSE] = by_shares(values[SPARSE], 0.012, 0.0007, edges)
    found[CEILING] = by_shares(values[CEILING], 0.2, 0.025, edges)
    return found


def misjudged(table: TailTable) -> np.ndarray:
    """As the engine asks, at the quantile .99 and in the whole bracket."""
    here = unresolved(table, N, (0.99, 0.99), HERE_LIMIT)
    return here | unresolved(table, N, BRACKET, RANK_LIMIT, MARGIN)


@pytest.mark.parametrize("edges", EDGES.values())
def test_edges_placed_by_what_was_counted_answer_for_units_that_the_pilot_misjudged(edges):
    values = planted()
    table = counted(values, misplaced(edges))
    rows = np.flatnonzero(misjudged(table))
    assert rows.tolist() == [TOO_HIGH, TOO_LOW, ONE_BIN, SPARSE, CEILING]
    bracket = refined_bracket(table, rows, values.max(1), BRACKET, 0.99, N)
    assert bracket.edges.shape == (5, edges) and (bracket.edges.diff(dim=1) >= 0).all()
    again = counted(values[rows], bracket.edges.numpy())
    assert misjudged(again).tolist() == [False] * 5
    assert (bracket.bound == -torch.inf).all() and bracket.exact is None  # no maps are kept a second time
    assert (bracket.edges[:, 0].numpy() >= values[rows].min(1)).all()
    at = rows.tolist().index
    assert bracket.edges[at(SPARSE), 0] == 0  # on the zeros, and not below
    assert bracket.edges[at(TOO_LOW), -1] == values[TOO_LOW].max() and again.tail[at(TOO_LOW), -1] == 0
    assert again.tail[at(CEILING), -2:].tolist() == [(values[CEILING] == 4).sum(), 0]  # a bin of its own


@pytest.mark.parametrize("edges", [14, 32, 40])
def test_a_saturating_unit_whose_levels_lie_too_close_keeps_its_ceiling(edges):
    values = np.minimum(np.random.default_rng(2).exponential(size=(1, 400_000)), 5.3).astype(np.float32)
    ceiling = np.float32(5.3)
    close = np.quantile(values[0], 1 - np.geomspace(0.012, 0.006, edges - 2)).astype(np.float32)
    table = counted(values, np.r_[close, np.nextafter(ceiling, np.float32(0)), ceiling][None])
    assert misjudged(table).all()
    again = refined_bracket(table, np.array([0]), np.array([ceiling]), BRACKET, 0.99, values.shape[1])
    assert again.edges[0, -2:].tolist() == [float(np.nextafter(ceiling, np.float32(0))), float(ceiling)]
    assert not misjudged(counted(values, again.edges.numpy())).any()


def test_units_that_are_measured_again_are_told_by_their_rows():
    values = planted()
    table = counted(values, misplaced(14))
    whole = refined_bracket(table, np.arange(6), values.max(1), BRACKET, 0.99, N)
    some = np.array([4, 1])
    assert torch.equal(refined_bracket(table, some, values.max(1), BRACKET, 0.99, N).edges, whole.edges[some])


# ---- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cells", "edges"), [(52_428, 40), (52_429, 32), (262_144, 32), (262_145, 14)])
def test_the_larger_the_table_the_fewer_edges(cells, edges):
    assert edge_count(1, cells - 1) == edge_count(cells, 0) == edges
    for units in (u for u in (2, 3, 4, 9) if cells % u == 0):
        assert edge_count(units, cells // units - 1) == edges


@pytest.mark.parametrize("edges", EDGES.values())
def test_every_number_of_edges_has_its_coarse_ones_and_some_beyond_the_pilot(edges):
    coarse = COARSE[edges]
    assert list(coarse) == sorted(set(coarse)) and coarse[0] > 0 and coarse[-1] < edges - len(BEYOND_PILOT[edges])


def table_bytes(units: int, concepts: int) -> int:
    """The counts of a layer and of its control, whose cells are int32."""
    edges = edge_count(units, concepts)
    controls = draws_for(units, concepts) * (len(COARSE[edges]) - 1)
    return units * (edges + controls) * (concepts + 1) * 4


def test_the_tables_of_a_vgg16_with_1825_concepts_fit_in_600_mb():
    widths = [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    assert sum(table_bytes(units, 1825) for units in widths) < 600e6
    edges = torch.zeros(64, edge_count(64, 1825))
    coarse = torch.tensor(COARSE[edges.shape[1]][1:])
    real = TailCount(64, 1825, 1, edges, [0] * 1825, draws_for(64, 1825), coarse)
    assert real.bins.nbytes + real.chance.nbytes == table_bytes(64, 1825)
