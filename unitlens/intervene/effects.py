"""Effects: how well each class is still recognised after an intervention."""

from __future__ import annotations

import numpy as np

from unitlens.errors import ShapeMismatch


def balanced_accuracy(predicted: np.ndarray, true: np.ndarray, classes: int) -> np.ndarray:
    """Balanced accuracy of every class, one against the rest, from many-way predictions: float64 (..., classes).

    BA_c = (recall_c + true-negative rate_c) / 2 [paper.md 1.3]; 0.5 is chance. NaN for a class without images, or
    with all of them. predicted: whole numbers (..., N), any number of leading axes; true: (N,).

    >>> balanced_accuracy(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2)
    array([0.83333333, 0.83333333])

    Raises ShapeMismatch if the numbers of images differ.
    """
    predicted, true = np.asarray(predicted), np.asarray(true)
    if predicted.shape[-1] != true.shape[-1] or true.ndim != 1:
        raise ShapeMismatch(
            f"predicted has {predicted.shape[-1]} images, true has shape {true.shape}; expected (..., N) and (N,)"
        )
    here = true[:, None] == np.arange(classes)  # (N, classes)
    said = predicted[..., None] == np.arange(classes)  # (..., N, classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = (said & here).sum(-2) / here.sum(0)
        rejected = (~said & ~here).sum(-2) / (~here).sum(0)
    return (recall + rejected) / 2
