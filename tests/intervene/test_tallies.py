"""Balanced accuracy against its definition, one image at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unitlens.errors import ShapeMismatch
from unitlens.intervene.tallies import balanced_accuracy


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
