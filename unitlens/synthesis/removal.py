"""RemovalCurve: how much of a concept is gone when more and more units are removed, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.data.concepts import Concept
from unitlens.rich import Rich
from unitlens.synthesis.ratios import Share, ratio

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class RemovalCurve(Rich):
    """A concept's pixels in N pictures with n units of a layer removed, best first and at random; see `removal_curve`.

    concept, layer: what is removed, where. counts int64 (E,): how many units. units int64: in their order.
    pixels: of a picture. before int64 (N,): pixels of the concept. after, both, kept, int64 (N, E): with the best
    units removed: its pixels, those that showed it before as well, and all pixels of its plane whose label stays.
    random_after, random_both, random_kept, int64 (N, E, D): the same for D draws of units at random.
    """

    concept: Concept
    layer: str
    counts: np.ndarray
    units: np.ndarray
    pixels: int
    before: np.ndarray
    after: np.ndarray
    both: np.ndarray
    kept: np.ndarray
    random_after: np.ndarray
    random_both: np.ndarray
    random_kept: np.ndarray
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def removed(self, place: int, level: float = 0.95) -> Share:
        """The part of the concept's pixels that is gone with counts[place] units removed [paper.md 1.5]."""
        return ratio(self.before - self.after[:, place], self.before, level)

    def removed_at_random(self, place: int, level: float = 0.95) -> Share:
        """The same for units at random: the mean over the draws, with the interval over the pictures."""
        return ratio(self.before - self.random_after[:, place].mean(-1), self.before, level)

    def others_changed(self, place: int, level: float = 0.95) -> Share:
        """Of the pixels that did not show the concept, the share whose label is another now."""
        return self._others(self.both[:, place], self.kept[:, place], level)

    def others_changed_at_random(self, place: int, level: float = 0.95) -> Share:
        """The same for units at random, the mean over the draws."""
        return self._others(self.random_both[:, place].mean(-1), self.random_kept[:, place].mean(-1), level)

    def frame(self, level: float = 0.95) -> pandas.DataFrame:
        """One row a number of units: the part of the concept that is gone and the part of all else that is changed,
        with both ends, for the best units and for units at random."""
        import pandas

        rows = []
        for place, count in enumerate(self.counts):
            row: dict[str, Any] = {"units": int(count)}
            for name in ("removed", "others_changed", "removed_at_random", "others_changed_at_random"):
                share: Share = getattr(self, name)(place, level)
                row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
            rows.append(row)
        return pandas.DataFrame(rows)

    def chart(self, kind: str = "curve", **options: Any) -> Any:
        """A plotly figure: the part that is gone against the number of units. Options: level."""
        return self.view("chart", kind, **options)

    def text(self) -> str:
        """The text twin: a line for each number of units."""
        lines = [f"{self.concept} in {len(self.before):,} pictures without the best units of {self.layer}"]
        for place, count in enumerate(self.counts):
            gone, chance, others = (
                100 * share.value
                for share in (self.removed(place), self.removed_at_random(place), self.others_changed(place))
            )
            lines.append(f"{count:>4} units: {gone:.1f} % gone (at random {chance:.1f} %), {others:.1f} % of the rest "
                         "changed")  # fmt: skip
        return "\n".join(lines)

    def _others(self, both: np.ndarray, kept: np.ndarray, level: float) -> Share:
        return ratio((self.pixels - kept) - (self.before - both), self.pixels - self.before, level)

    def __repr__(self) -> str:
        last = len(self.counts) - 1
        return (
            f"RemovalCurve({self.concept}, {self.layer}: {100 * self.removed(last).value:.0f} % gone without "
            f"{self.counts[last]} units)"
        )
