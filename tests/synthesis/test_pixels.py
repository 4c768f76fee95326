"""Pixel counts and ratios against loops written down as plainly as possible."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unitlens.errors import OptionError
from unitlens.synthesis.pixels import compared, pixels_of
from unitlens.synthesis.ratios import mean, ratio

B, K, H, W, C = 3, 2, 5, 7, 6


def test_counts_equal_those_of_loops() -> None:
    dice = torch.Generator().manual_seed(0)
    before = torch.randint(0, C + 1, (B, K, H, W), generator=dice)
    after = torch.where(torch.rand(B, K, H, W, generator=dice) < 0.6, before, torch.randint(0, C + 1, (B, K, H, W)))
    found = compared(before.short(), after.short(), C)
    counts = np.zeros((3, B, C), np.int64)
    kept, moved = np.zeros((B, K), np.int64), np.zeros((C + 1, C + 1), np.int64)
    for b, k, y, x in np.ndindex(B, K, H, W):
        old, new = int(before[b, k, y, x]), int(after[b, k, y, x])
        moved[old, new] += 1
        kept[b, k] += old == new
        for place, label in ((0, old), (1, new), (2, old if old == new else 0)):
            if label:
                counts[place, b, label - 1] += 1
    for name, expected in zip(("before", "after", "both"), counts, strict=True):
        np.testing.assert_array_equal(getattr(found, name).numpy(), expected)
    np.testing.assert_array_equal(found.kept.numpy(), kept)
    np.testing.assert_array_equal(found.moved.numpy(), moved)
    np.testing.assert_array_equal(pixels_of(before, C).numpy(), counts[0])


def test_the_interval_of_a_ratio_holds_the_truth_as_often_as_it_says() -> None:
    dice, hits, rounds = np.random.default_rng(1), 0, 3000
    for _ in range(rounds):
        whole = dice.gamma(2, 10, size=60)
        part = whole * dice.beta(4, 6, size=60) + dice.normal(0, 1, size=60)
        share = ratio(part, whole, level=0.9)
        hits += share.low <= 0.4 <= share.high
    assert 0.87 < hits / rounds < 0.92


def test_ratios_at_their_ends() -> None:
    assert np.isnan(ratio(np.zeros(3), np.zeros(3)).value)
    one = ratio(np.array([1.0]), np.array([4.0]))
    assert one.value == 0.25 and np.isnan(one.low)
    assert mean(np.array([2.0, 4.0])).value == 3
    same = mean(np.array([5, 5, 5]))
    assert same.low == same.high == 5
    with pytest.raises(OptionError):
        mean(np.ones(3), level=95)
