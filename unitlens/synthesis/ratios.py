"""Ratios of sums over pictures, with intervals from the spread between pictures."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unitlens.intervene.tallies import check_level, student


class Share(NamedTuple):
    """A ratio and both ends of its interval."""

    value: float
    low: float
    high: float


def ratio(part: np.ndarray, whole: np.ndarray, level: float = 0.95) -> Share:
    """Sum of `part` over sum of `whole`, both (N,), pictures being drawn together: linearised, Student's t.

    NaN where the whole is 0, ends NaN from a single picture.

    >>> share = ratio(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    >>> round(share.value, 3), round(share.high - share.low, 3)
    (0.5, 0.0)
    """
    check_level(level)
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    total, count = float(whole.sum()), len(whole)
    if total == 0:
        return Share(math.nan, math.nan, math.nan)
    value = float(part.sum() / total)
    if count < 2:
        return Share(value, math.nan, math.nan)
    rest = part - value * whole
    error = math.sqrt(float((rest**2).sum()) / (count - 1) * count) / abs(total)
    reach = float(student((1 + level) / 2, count - 1) * error)
    return Share(value, value - reach, value + reach)


def mean(values: np.ndarray, level: float = 0.95) -> Share:
    """The mean of (N,) with its interval.

    >>> mean(np.array([1.0, 3.0])).value
    2.0
    """
    return ratio(values, np.ones(len(values)), level)
