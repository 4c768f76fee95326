"""Fréchet distance between two clouds of points, each taken as a normal distribution."""

from __future__ import annotations

import numpy as np

from unitlens.errors import ShapeMismatch


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """|mean1 - mean2|² + trace(C1 + C2 - 2 (C1 C2)^(1/2)) of points (N, D) and (M, D) [Dowson and Landau 1982].

    With features of pictures it is the FID, with the shares of concepts in pictures the Fréchet segmentation distance
    [paper.md 7.3]. It is biased upwards for few points: compare sets of equal size.

    >>> points = np.random.RandomState(0).standard_normal((50, 3))
    >>> round(frechet_distance(points, points), 9), round(frechet_distance(points, points + [3, 0, 4]), 9)
    (0.0, 25.0)

    Raises ShapeMismatch for fewer than 2 points, or points of other lengths.
    """
    one, two = (np.asarray(points, dtype=np.float64) for points in (first, second))
    if one.ndim != 2 or two.ndim != 2 or one.shape[1] != two.shape[1] or min(len(one), len(two)) < 2:
        raise ShapeMismatch(f"points: expected (N, D) and (M, D), at least 2 of each, got {one.shape} and {two.shape}")
    spread = [np.atleast_2d(np.cov(points, rowvar=False)) for points in (one, two)]
    root = _root(spread[0])
    # (C1 C2)^(1/2) has the eigenvalues of (R C2 R)^(1/2) with R = C1^(1/2), which is symmetric: no complex numbers.
    values = np.linalg.eigvalsh(root @ spread[1] @ root)
    shared = np.sqrt(np.clip(values, 0, None)).sum()
    apart = ((one.mean(0) - two.mean(0)) ** 2).sum()
    return max(0.0, float(apart + np.trace(spread[0]) + np.trace(spread[1]) - 2 * shared))


def frechet_distances(points: np.ndarray, weights: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The distance of many weighted clouds from one other: float64 (S,).

    points: (N, D). weights: (S, N), how often each point counts in each cloud; whole numbers give what
    `frechet_distance` gives for points that stand there so often. other: (M, D).

    >>> points = np.random.RandomState(0).standard_normal((6, 2))
    >>> some = frechet_distances(points, np.array([[1, 1, 1, 0, 0, 2]]), points)[0]
    >>> bool(np.isclose(some, frechet_distance(points[[0, 1, 2, 5, 5]], points)))
    True
    """
    one, two = np.asarray(points, np.float64), np.asarray(other, np.float64)
    shares = np.asarray(weights, np.float64)
    total = shares.sum(1)
    means = shares @ one / total[:, None]  # (S, D)
    second = np.einsum("sn,nd,ne->sde", shares, one, one, optimize=True) / total[:, None, None]
    spread = (second - means[:, :, None] * means[:, None]) * (total / (total - 1))[:, None, None]
    own = np.atleast_2d(np.cov(two, rowvar=False))
    root = _root(own)
    values = np.linalg.eigvalsh(root @ spread @ root)
    shared = np.sqrt(np.clip(values, 0, None)).sum(1)
    apart = ((means - two.mean(0)) ** 2).sum(1)
    return np.maximum(0.0, apart + np.trace(spread, axis1=1, axis2=2) + np.trace(own) - 2 * shared)


def _root(matrix: np.ndarray) -> np.ndarray:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
