"""From counts to labels: pure functions of the count tables of a dissection."""

from __future__ import annotations

import numpy as np


def iou_table(
    intersection: np.ndarray, activation_area: np.ndarray, concept_area: np.ndarray, category_index: np.ndarray
) -> np.ndarray:
    """Intersection over union of every unit and concept, pooled over the probe set: float64 (U, C).

    IoU = I / (A + S - I) [paper.md 1.0], with counts of pixels:
    intersection I: int64 (U, C); activation_area A: int64 (U, G), firing pixels in the images annotated for each
    category; concept_area S: int64 (C,); category_index: int64 (C,). An empty union gives 0, never NaN.

    >>> iou_table(np.array([[2]]), np.array([[3]]), np.array([3]), np.array([0]))
    array([[0.5]])
    """
    union = activation_area[:, category_index] + concept_area[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros(union.shape, dtype=np.float64), where=union > 0)


def best_two(iou: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best and the second-best concept of every unit: two int64 (U,), -1 where the IoU is 0.

    Ties go to the concept that stands first in the vocabulary.
    """
    units, concepts = iou.shape
    first, second = np.full(units, -1), np.full(units, -1)
    if concepts:
        order = np.argsort(-iou, axis=1, kind="stable")[:, :2]
        rows = np.arange(units)
        first = np.where(iou[rows, order[:, 0]] > 0, order[:, 0], -1)
        if concepts > 1:
            second = np.where(iou[rows, order[:, 1]] > 0, order[:, 1], -1)
    return first, second
