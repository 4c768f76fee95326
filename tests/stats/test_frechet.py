"""Fréchet distance where it is known by calculation."""

from __future__ import annotations

import numpy as np
import pytest

from unitlens.errors import ShapeMismatch
from unitlens.stats.frechet import frechet_distance


def _points(count: int, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Points whose mean and covariance are exactly these."""
    raw = np.random.RandomState(1).standard_normal((count, len(mean)))
    raw -= raw.mean(0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return white @ np.linalg.cholesky(spread).T + mean


def test_diagonal_covariances_are_calculated_by_hand() -> None:
    one = _points(40, np.array([1.0, 2.0, 3.0]), np.diag([4.0, 9.0, 1.0]))
    two = _points(60, np.array([1.0, 0.0, 3.0]), np.diag([1.0, 16.0, 25.0]))
    assert frechet_distance(one, two) == pytest.approx(4 + (2 - 1) ** 2 + (3 - 4) ** 2 + (1 - 5) ** 2)


def test_it_equals_the_root_of_the_product() -> None:
    dice = np.random.RandomState(3)
    mixes = [dice.standard_normal((4, 4)) for _ in range(2)]
    spread = [m @ m.T + np.eye(4) for m in mixes]
    values, vectors = np.linalg.eig(spread[0] @ spread[1])  # the definition, with a matrix that is not symmetric
    root = (vectors * np.sqrt(values)) @ np.linalg.inv(vectors)
    expected = 9 * 4 + np.trace(spread[0] + spread[1] - 2 * root.real)
    found = frechet_distance(_points(30, np.zeros(4), spread[0]), _points(50, np.full(4, 3.0), spread[1]))
    assert found == pytest.approx(expected)


def test_a_direction_without_spread_and_one_dimension() -> None:
    flat = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    assert frechet_distance(flat, flat + [0, 2]) == pytest.approx(4)
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])) == pytest.approx(1)


@pytest.mark.parametrize("shapes", [((5, 2), (5, 3)), ((1, 2), (5, 2)), ((5,), (5,))])
def test_wrong_points(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ShapeMismatch, match="points: expected"):
        frechet_distance(*(np.zeros(shape) for shape in shapes))
