"""Chance: noise is not called, planted units are."""

from __future__ import annotations

import numpy as np
import pytest

from unitlens.dissection.chance import beats_chance, chance_at, discoveries
from unitlens.dissection.tails import Blocks, TailTable, read_at
from unitlens.errors import OptionError, ShapeMismatch

UNITS, LABELS, IMAGES, PIXELS = 60, 2000, 500, 300


def best_by_chance(draws: int, seed: int) -> np.ndarray:
    """Best IoU (draws, U) over 2000 rare labels of units that know nothing; every fourth fires in few images only."""
    random = np.random.default_rng(seed)
    share = random.uniform(0.001, 0.02, LABELS)
    labels = (random.uniform(size=(IMAGES, LABELS)) < share) * random.integers(1, 30, (IMAGES, LABELS))
    seen, best = labels.sum(0), np.empty((draws, UNITS))
    for u in range(UNITS):
        images = 12 if u % 4 == 0 else 150
        each = PIXELS // images  # pixels per image, 64 of them in an image
        for d in range(draws):
            where = random.choice(IMAGES, images, replace=False)
            both = np.minimum(labels[where] * each / 64, each).sum(0)
            best[d, u] = (both / (PIXELS + seen - both)).max()
    return best


def test_units_that_know_nothing_are_not_called_and_planted_ones_all_are() -> None:
    every = best_by_chance(6 * 8, seed=1)
    every = np.random.default_rng(0).permuted(every, axis=0).reshape(8, 6, UNITS)
    planted = np.arange(UNITS) % 2 == 1
    noise, false, found = [], [], []
    for draws in every:
        best, chance = draws[0], draws[1:]
        noise.append(beats_chance(best, chance)[1].mean())
        _, beats, level = beats_chance(np.where(planted, 3 * best, best), chance)
        false.append((beats & ~planted).sum() / beats.sum())
        found.append(beats[planted].mean())
        assert level <= (3 * best)[planted].min()
    assert np.mean(noise) <= 0.02
    assert np.mean(found) == 1
    assert np.mean(false) <= 0.08  # 5 % expected, 8 repeats


def test_a_pooled_null_loses_the_quiet_units_behind_those_that_fire_in_few_images() -> None:
    draws = best_by_chance(6, seed=2)
    planted = np.arange(UNITS) % 2 == 1
    best = np.where(planted, 3 * draws[0], draws[0])
    assert draws[:, ::4].mean() > 3 * draws[:, 1::4].mean()
    assert beats_chance(best, draws[1:], null="layer")[1][planted].mean() < 0.5
    assert beats_chance(best, draws[1:])[1][planted].all()


def test_p_is_the_share_of_chance_at_least_as_high() -> None:
    random = np.random.default_rng(3)
    best, chance = random.uniform(0.01, 0.3, 9), random.uniform(0.01, 0.2, (4, 9))
    chance[:, 2] = 0.1
    best[2] = 0.1
    pooled, own = beats_chance(best, chance, null="layer")[0], beats_chance(best, chance, null="unit")[0]
    scaled = beats_chance(best, chance)[0]
    others = [[chance[d, u] / np.delete(chance[:, u], d).mean() for u in range(9)] for d in range(4)]
    for u in range(9):
        assert pooled[u] == (1 + sum(x >= best[u] for x in chance.ravel())) / 37
        assert own[u] == (1 + sum(x >= best[u] for x in chance[:, u])) / 5
        if u != 2:  # there it is a tie, and rounding decides
            assert scaled[u] == (1 + sum(x >= best[u] / chance[:, u].mean() for x in np.ravel(others))) / 37
    assert own[2] == 1


def test_own_draws_find_a_planted_unit_when_they_are_many() -> None:
    random = np.random.default_rng(4)
    chance = random.uniform(0.01, 0.02, (400, 11)) * np.linspace(1, 9, 11)
    best = chance[0].copy()
    best[0] = 0.03  # above its own chance, below that of the others
    assert beats_chance(best, chance[1:], null="unit")[1].tolist() == [True] + [False] * 10


def test_dead_units_and_missing_draws() -> None:
    chance = np.tile([0.02, 0.0, 0.03], (30, 1))
    p, beats, level = beats_chance(np.array([0.5, 0.0, 0.01]), chance)
    assert p[1] == 1 and beats.tolist() == [True, False, False] and level == 0.5
    p, beats, level = beats_chance(np.zeros(3), chance)
    assert p.tolist() == [1, 1, 1] and not beats.any() and level == np.inf
    for none in (None, np.empty((0, 3))):
        p, beats, level = beats_chance(np.full(3, 0.5), none)
        assert np.isnan(p).all() and not beats.any() and np.isnan(level)
    assert beats_chance(np.full(3, 0.5), np.zeros((40, 3)))[1].all()  # chance matches nothing at all


def test_discoveries_are_those_of_the_step_up_rule() -> None:
    random = np.random.default_rng(5)
    for _ in range(50):
        p, rate = random.uniform(size=13) ** 3, 0.2
        ranked = sorted(p)
        last = max((i for i in range(1, 14) if ranked[i - 1] <= rate * i / 13), default=0)
        assert discoveries(p, rate).tolist() == [x in ranked[:last] for x in p]
    assert discoveries(np.array([]), 0.1).tolist() == []


def test_chance_is_read_between_the_coarse_edges() -> None:
    tail = np.array([[600, 400, 200, 0], [600, 400, 200, 0], [100, 50, 20, 0]])
    empty = np.zeros((0, 2)), np.zeros((1, 2, 0))
    blocks = Blocks(np.array([0, 2]), *empty, np.zeros((1, 2, 3)), np.zeros((1, 2, 3, 1)))
    chance = np.random.default_rng(6).uniform(size=(5, 2, 3)).astype(np.float32)
    edges = np.tile(np.float32([1, 2, 3, 4]), (3, 1))
    parts = edges, tail, np.zeros((3, 4, 1), np.int64), tail[:, :, None]
    table = TailTable(*parts, np.float32([0, 0, 1]), blocks=blocks, chance=chance)
    found = chance_at(table, read_at(table, 0.7, 1000))  # 300 of 1000: 3/4 of the way from 600 to 200
    assert found.shape == (5, 3)
    np.testing.assert_allclose(found[:, :2], 0.25 * chance[:, 0, :2] + 0.75 * chance[:, 1, :2], rtol=1e-6)
    np.testing.assert_allclose(found[:, 2], chance[:, 0, 2])  # rests on its first edge
    assert chance_at(TailTable(*parts, np.float32([0, 0, 1])), read_at(table, 0.7, 1000)) is None
    lost = TailTable(*parts, np.float32([0, 0, 1]), chance=chance)
    with pytest.raises(ShapeMismatch, match="coarse"):
        chance_at(lost, read_at(table, 0.7, 1000))


def test_wrong_arguments_are_told() -> None:
    best, chance = np.full(3, 0.1), np.full((4, 3), 0.1)
    with pytest.raises(OptionError, match="null"):
        beats_chance(best, chance, null="pooled")
    with pytest.raises(OptionError, match="rate"):
        beats_chance(best, chance, rate=1)
    with pytest.raises(ShapeMismatch, match=r"\(D, 3\)"):
        beats_chance(best, chance[:, :2])
