"""Balanced accuracy against its definition, one image at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unitlens.errors import ShapeMismatch
from unitlens.intervene import tallies as module
from unitlens.intervene.tallies import balanced_accuracy, draws_of, ends, mean_known, student, tally


def naive(predicted: list[int], true: list[int], wanted: int) -> float:
    """(share of the class that is found + share of the rest that is not taken for it) / 2 [paper.md 1.3]."""
    found = inside = spared = outside = 0
    for said, is_ in zip(predicted, true, strict=True):
        if is_ == wanted:
            inside += 1
            found += said == wanted
        else:
            outside += 1
            spared += said != wanted
    if not inside or not outside:
        return math.nan
    return (found / inside + spared / outside) / 2


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (23, 4), (200, 7)])
def test_it_is_the_definition_for_every_class(count, classes):
    rng = np.random.RandomState(count)
    predicted, true = rng.randint(classes, size=count), rng.randint(classes, size=count)
    expected = [naive(predicted.tolist(), true.tolist(), c) for c in range(classes)]
    got = balanced_accuracy(predicted, true, classes)
    assert got.dtype == np.float64 and got.shape == (classes,)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_every_set_of_answers_is_counted_alone():
    rng = np.random.RandomState(3)
    predicted, true = rng.randint(4, size=(31, 3)), rng.randint(4, size=31)
    got = balanced_accuracy(predicted, true, 4)
    assert got.shape == (3, 4)
    for a in range(3):
        np.testing.assert_allclose(got[a], [naive(predicted[:, a].tolist(), true.tolist(), c) for c in range(4)])


def test_perfect_and_always_wrong_predictions():
    true = np.array([0, 0, 1, 2, 2, 2])
    assert balanced_accuracy(true, true, 3).tolist() == [1, 1, 1]
    assert balanced_accuracy(1 - true[:3], true[:3], 2).tolist() == [0, 0]


def test_a_constant_guess_is_at_chance_whatever_the_class_sizes():
    true = np.repeat([0, 1, 2], [90, 9, 1])
    for guess in range(3):
        assert balanced_accuracy(np.full(100, guess), true, 3).tolist() == [0.5, 0.5, 0.5]


def test_a_class_without_images_or_with_all_of_them_is_nan_and_silent():
    got = balanced_accuracy(np.array([0, 1, 3, 0]), np.array([0, 1, 1, 0]), 4)
    assert np.isnan(got).tolist() == [False, False, True, True]
    assert np.isnan(balanced_accuracy(np.array([1, 0]), np.array([1, 1]), 2)).all()


def test_an_images_weight_is_that_of_its_class():
    """The mean accuracy would be .99 here."""
    true = np.repeat([0, 1], [99, 1])
    assert balanced_accuracy(np.zeros(100, int), true, 2).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(("predicted", "true"), [((5,), (4,)), ((5, 2), (4,)), ((4,), (2, 4)), ((4, 2, 2), (4,))])
def test_numbers_of_images_that_differ_are_refused(predicted, true):
    with pytest.raises(ShapeMismatch, match="expected \\(N,\\) or \\(N, S\\), and \\(N,\\)"):
        balanced_accuracy(np.zeros(predicted, int), np.zeros(true, int), 3)


def test_blocks_of_sets_are_counted_alike(monkeypatch):
    rng = np.random.RandomState(5)
    said, true = rng.randint(4, size=(31, 7)), rng.randint(4, size=31)
    whole = tally(said, true, 4)
    monkeypatch.setattr(module, "AT_A_TIME", 40)
    parts = tally(said, true, 4)
    assert np.array_equal(whole.hits, parts.hits) and np.array_equal(whole.said, parts.said)


def test_draws_hold_as_many_of_each_class_as_there_are():
    true = np.array([2, 0, 0, 2, 2, 1, 0, 2])
    weights = draws_of(true, 400)
    for number in range(3):
        assert (weights[:, true == number].sum(1) == (true == number).sum()).all()
    assert (weights[:, 5] == 1).all() and weights[:, 0].std() > 0.5  # a class of one is always drawn
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.15)
    assert np.array_equal(draws_of(true, 3, seed=1), draws_of(true, 3, seed=1))


def test_ends_leave_out_what_is_unknown():
    samples = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, np.nan], [3.0, 7.0, np.nan], [9.0, np.nan, np.nan]])
    low, high = ends(samples, 0.5)
    expected = [np.nanquantile(samples[:, :2], share, axis=0) for share in (0.25, 0.75)]
    np.testing.assert_allclose([low[:2], high[:2]], expected)
    assert np.isnan(low[2]) and np.isnan(high[2])
    assert mean_known(np.array([[1.0, np.nan], [np.nan, np.nan]])).tolist()[0] == 1.0


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (5, 2.57058), (9, 2.26216), (30, 2.04227), (200, 1.97190)],
)
def test_student_s_t_is_that_of_the_tables(freedom, expected):
    assert student(0.975, freedom) == pytest.approx(expected, rel=2e-4)
