"""Tallies: how well each class is recognised, counted from what was said, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from unitlens.errors import OptionError, ShapeMismatch

DRAWS = 500
AT_A_TIME = 2**22  # answers that are counted together
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
    block = max(1, AT_A_TIME // max(1, len(said)))
    parts = [_counted(columns[:, a : a + block], true, classes) for a in range(0, columns.shape[1], block)]
    hits, answers = (np.concatenate(some).reshape(*said.shape[1:], classes) for some in zip(*parts, strict=True))
    per_class = np.bincount(true.astype(np.int64), minlength=classes).astype(np.float64)
    return Tally(hits, answers, per_class, np.array(float(len(true))))


def _counted(said: np.ndarray, true: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Hits and answers of some sets: two float64 (s, K)."""
    sets = said.shape[1]
    places = said.astype(np.int64) + classes * np.arange(sets)
    where = places[said == true[:, None]]
    counts = [np.bincount(some.reshape(-1), minlength=sets * classes) for some in (where, places)]
    hits, answers = (some.astype(np.float64).reshape(sets, classes) for some in counts)
    return hits, answers


def balanced_accuracy(said: np.ndarray, true: np.ndarray, classes: int) -> np.ndarray:
    """`tally(...).balanced_accuracy`: float64 (K,) or (S, K)."""
    return tally(said, true, classes).balanced_accuracy


def draws_of(groups: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each image is drawn in each bootstrap draw: float32 (R, N). Images are drawn within their group
    (their class), so that every draw has as many of each as there are. groups: whole numbers (N,).

    >>> weights = draws_of(np.array([0, 0, 1]))
    >>> bool((weights[:, :2].sum(1) == 2).all() and (weights[:, 2] == 1).all())
    True
    """
    groups = np.asarray(groups).astype(np.int64)
    images = len(groups)
    order = np.argsort(groups, kind="stable")
    _, which, many = np.unique(groups[order], return_inverse=True, return_counts=True)
    first = np.cumsum(many) - many
    rng = np.random.default_rng(seed)
    picked = first[which] + np.floor(rng.random((draws, images)) * many[which]).astype(np.int64)
    places = order[picked] + images * np.arange(draws)[:, None]
    return np.bincount(places.reshape(-1), minlength=draws * images).reshape(draws, images).astype(np.float32)


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
    """Both ends of an interval over the first axis, of the draws that hold a number; NaN where none does.

    Raises OptionError for a level outside 0..1.
    """
    check_level(level)
    samples = np.asarray(samples, np.float64)
    ordered = np.sort(samples, axis=0)  # NaN last
    known = np.isfinite(ordered).sum(0)

    def at(share: float) -> np.ndarray:
        place = share * np.maximum(known - 1, 0)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(known - 1, 0))
        below, above = (np.take_along_axis(ordered, where[None], 0)[0] for where in (low, high))
        return np.where(known > 0, below + (place - low) * (above - below), np.nan)

    return at((1 - level) / 2), at((1 + level) / 2)


def check_level(level: float) -> None:
    """Raises OptionError for a level outside 0..1."""
    if not 0 < level < 1:
        raise OptionError(f"level: expected a share between 0 and 1, such as .95, got {level!r}")


def student(share: float, freedom: int) -> float:
    """The quantile of Student's t distribution [Hill, CACM 13 (1970), algorithm 396].

    >>> round(student(0.975, 1), 3), round(student(0.975, 3), 3), round(student(0.975, 1000), 3)
    (12.706, 3.182, 1.962)
    """
    both = 2 * (1 - share)
    if freedom == 1:
        return math.cos(both * math.pi / 2) / math.sin(both * math.pi / 2)
    if freedom == 2:
        return math.sqrt(2 / (both * (2 - both)) - 2)
    a = 1 / (freedom - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * freedom
    y = (d * both) ** (2 / freedom)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(both / 2)
        y = x * x
        if freedom < 5:
            c += 0.3 * (freedom - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = ((1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3) + 0.5 / (freedom + 4)) * y
             - 1) * (freedom + 1) / (freedom + 2) + 1 / y  # fmt: skip
    return math.sqrt(freedom * y)


def mean_known(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean of what is not NaN; NaN, without a warning, where nothing is."""
    known = np.isfinite(values)
    return _share(np.where(known, values, 0.0).sum(axis), known.sum(axis))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
