"""Artefacts: units that make pictures worse, and what becomes of the pictures without them, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.rich import Rich
from unitlens.stats.frechet import frechet_distance, frechet_distances
from unitlens.synthesis.ratios import Share

if TYPE_CHECKING:
    import pandas

DRAWS = 200  # of the bootstrap


@dataclass(frozen=True, eq=False)
class Artefacts(Rich):
    """Units of a layer by how far the pictures they are loudest in are from real ones; made by `artefact_units`.

    distance float64 (U,): Fréchet distance from real pictures of those that each unit is loudest in. whole: of all.
    counts int64 (E,): how many of the worst units were removed. real float32 (M, D): features of real pictures.
    before (N, D), after (E, N, D): of generated pictures with all units, and without the worst ones.
    random (E, R, N, D): without as many at random, R draws.
    """

    layer: str
    distance: np.ndarray
    whole: float
    counts: np.ndarray
    real: np.ndarray
    before: np.ndarray
    after: np.ndarray
    random: np.ndarray
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def units(self) -> np.ndarray:
        """All units, the worst first: int64 (U,)."""
        return np.argsort(-self.distance, kind="stable")

    @cached_property
    def _weights(self) -> np.ndarray:
        """How often each picture is drawn: (DRAWS, N)."""
        many = len(self.before)
        return np.random.default_rng(0).multinomial(many, np.full(many, 1 / many), size=DRAWS).astype(np.float64)

    def change(self, place: int, level: float = 0.95) -> Share:
        """How much farther from real pictures (below 0: nearer) without the counts[place] worst units; the interval is
        over draws of the generated pictures, the same before and after."""
        return self._change(self.after[place][None], level)

    def change_at_random(self, place: int, level: float = 0.95) -> Share:
        """The same without as many units at random, the mean over the draws of units."""
        return self._change(self.random[place], level)

    def _change(self, after: np.ndarray, level: float) -> Share:
        before = frechet_distance(self.before, self.real)
        value = float(np.mean([frechet_distance(one, self.real) for one in after])) - before
        drawn = frechet_distances(self.before, self._weights, self.real)
        moved = np.mean([frechet_distances(one, self._weights, self.real) for one in after], axis=0) - drawn
        low, high = np.quantile(moved, [(1 - level) / 2, (1 + level) / 2])
        return Share(value, float(low), float(high))

    def frame(self, level: float = 0.95) -> pandas.DataFrame:
        """One row a number of units: the change of the distance without the worst and without random ones."""
        import pandas

        rows = []
        for place, count in enumerate(self.counts):
            row: dict[str, Any] = {"units": int(count)}
            for name in ("change", "change_at_random"):
                share: Share = getattr(self, name)(place, level)
                row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
            rows.append(row)
        return pandas.DataFrame(rows)

    def text(self) -> str:
        """The text twin: the worst units, and the distance without them."""
        first = ", ".join(f"{u} {self.distance[u]:.2f}" for u in self.units[:8])
        lines = [f"Units of {self.layer} whose pictures are farthest from real ones (all pictures: {self.whole:.2f})",
                 f"  {first}"]  # fmt: skip
        for place, count in enumerate(self.counts):
            own, chance = self.change(place), self.change_at_random(place)
            lines.append(f"  without the {count} worst: {own.value:+.2f} ({own.low:+.2f} to {own.high:+.2f}), without "
                         f"{count} at random: {chance.value:+.2f}")  # fmt: skip
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Artefacts({self.layer}: the worst of {len(self.distance)} units are {self.units[:4].tolist()})"
