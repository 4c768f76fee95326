"""Levels: how many values a quantile leaves above the threshold. No torch here: views read tables without it."""

from __future__ import annotations

import math
from fractions import Fraction


def tail_count(n: int, quantile: float) -> int:
    """How many of n values may exceed the threshold: floor(n (1 - quantile)), with `quantile` read as it is written.

    In floating point 10 * (1 - 0.9) is 0.9999999999999998, whose floor is wrong by one; so this is done in fractions.

    >>> tail_count(10, 0.9), tail_count(1000, 0.99), tail_count(99, 0.99)
    (1, 10, 0)
    """
    return math.floor(n * (1 - Fraction(repr(float(quantile)))))
