"""Dice: the only source of chance in the world, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """Random draws that depend on nothing but the given key.

    numpy promises that `RandomState` never changes its stream, so a scene drawn
    with these dice is the same under every numpy version and on every machine.
    """

    def __init__(self, *key: int | str):
        digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
        self._state = np.random.RandomState(np.frombuffer(digest, dtype="<u4"))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """One number between low and high."""
        return low + (high - low) * float(self._state.random_sample())

    def integer(self, low: int, high: int) -> int:
        """One whole number from low to high, both included."""
        return min(high, low + int(self.uniform(0, high - low + 1)))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of the options, each as likely as its weight (all alike by default)."""
        if weights is None:
            return options[self.integer(0, len(options) - 1)]
        mark = self.uniform(0, sum(weights))
        for option, weight in zip(options, weights, strict=True):
            mark -= weight
            if mark < 0:
                return option
        return options[-1]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """All the options in a random order."""
        rest = list(options)
        return [rest.pop(self.integer(0, len(rest) - 1)) for _ in range(len(rest))]

    def bell(self, mean: float = 0.0, spread: float = 1.0) -> float:
        """A bell-shaped draw: the sum of four uniform ones (never beyond 3.5 spreads)."""
        return mean + spread * (sum(self.uniform() for _ in range(4)) - 2.0) * 3.0**0.5

    def jitter(self, colour: Sequence[float], amount: float = 10.0) -> tuple[float, float, float]:
        """The colour (RGB, 0..255), moved a little."""
        r, g, b = (min(255.0, max(0.0, c + self.uniform(-amount, amount))) for c in colour)
        return r, g, b
