"""Tallies: how well each class is recognised, counted from what was said, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unitlens.errors import OptionError, ShapeMismatch

DRAWS = 500
MEASURES = ("balanced accuracy", "recall", "precision")


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of answers, any number of leading axes. hits, said: float64 (..., K): images of the class that were
    recognised, and all that were said to be of it. true: (..., K) images of the class. images: (...), of all classes.
    """

    hits: np.ndarray
    said: np.ndarray
    true: np.ndarray
    images: np.ndarray

    @property
    def recall(self) -> np.ndarray:
        """Share of the images of a class that are recognised; NaN where there are none."""
        return _share(self.hits, self.true)

    @property
    def precision(self) -> np.ndarray:
        """Share of the images said to be of a class that are; NaN where none is."""
        return _share(self.hits, self.said)

    @property
    def balanced_accuracy(self) -> np.ndarray:
        """(recall + true-negative rate) / 2 [paper.md 1.3]; 0.5 is chance. NaN where all images are of one side."""
        others = self.images[..., None] - self.true
        return (self.recall + _share(others - (self.said - self.hits), others)) / 2

    def measure(self, name: str) -> np.ndarray:
        """One of MEASURES. Raises OptionError."""
        if name not in MEASURES:
            raise OptionError(f"measure: expected one of {', '.join(map(repr, MEASURES))}, got {name!r}")
        return np.asarray(getattr(self, name.replace(" ", "_")))


def tally(said: np.ndarray, true: np.ndarray, classes: int) -> Tally:
    """Counts of answers. said: whole numbers (N,) or (N, S); true: (N,). The counts are (K,) or (S, K).

    >>> tally(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2).balanced_accuracy
    array([0.83333333, 0.83333333])

    Raises ShapeMismatch if the numbers of images differ.
    """
    said, true = np.asarray(said), np.asarray(true)
    if len(said) != len(true) or true.ndim != 1 or said.ndim not in (1, 2):
        raise ShapeMismatch(f"said is {said.shape}, true is {true.shape}; expected (N,) or (N, S), and (N,)")
    columns = said.reshape(len(said), -1)
    sets = columns.shape[1]
    places = columns.astype(np.int64) + classes * np.arange(sets)

    def counted(where: np.ndarray) -> np.ndarray:
        counts = np.bincount(where.reshape(-1), minlength=sets * classes).astype(np.float64)
        return counts.reshape(*said.shape[1:], classes)

    per_class = np.bincount(true.astype(np.int64), minlength=classes).astype(np.float64)
    hits = counted(places[columns == true[:, None]])
    return Tally(hits, counted(places), per_class, np.array(float(len(true))))


def balanced_accuracy(said: np.ndarray, true: np.ndarray, classes: int) -> np.ndarray:
    """`tally(...).balanced_accuracy`: float64 (K,) or (S, K)."""
    return tally(said, true, classes).balanced_accuracy


def draws_of(images: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each image is drawn in each bootstrap draw: float32 (R, N), every row sums to N."""
    rng = np.random.default_rng(seed)
    picked = rng.integers(0, images, (draws, images)) + images * np.arange(draws)[:, None]
    return np.bincount(picked.reshape(-1), minlength=draws * images).reshape(draws, images).astype(np.float32)


def drawn_tally(weights: np.ndarray, said: np.ndarray, true: np.ndarray, classes: int) -> Tally:
    """The counts in every bootstrap draw, (R, K). weights: (R, N); said, true: (N,)."""
    kinds = np.arange(classes)
    told = (said[:, None] == kinds).astype(np.float32)  # (N, K)
    here = (true[:, None] == kinds).astype(np.float32)
    hits, answers, images = (np.asarray(weights @ table, dtype=np.float64) for table in (told * here, told, here))
    return Tally(hits, answers, images, weights.sum(1, dtype=np.float64))


def drawn_class(weights: np.ndarray, said: np.ndarray, true: np.ndarray, number: int) -> Tally:
    """The counts of one class in every draw, for many sets: (R, S, 1). said: (N, S)."""
    told = (said == number).astype(np.float32)
    here = (true == number).astype(np.float32)[:, None]
    hits, answers, images = (np.asarray(weights @ t, dtype=np.float64)[..., None] for t in (told * here, told, here))
    return Tally(hits, answers, images, weights.sum(1, dtype=np.float64)[:, None])


def ends(samples: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of an interval over the first axis, NaN where a draw holds no number.

    Raises OptionError for a level outside 0..1.
    """
    if not 0 < level < 1:
        raise OptionError(f"level: expected a share between 0 and 1, such as .95, got {level!r}")
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)


def mean_known(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean of what is not NaN; NaN, without a warning, where nothing is."""
    known = np.isfinite(values)
    return _share(np.where(known, values, 0.0).sum(axis), known.sum(axis))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
