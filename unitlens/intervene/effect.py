"""Effect: what an edit does to the answers of a model, as plain arrays that outlive it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.intervene.tallies import Tally, drawn_tally, draws_of, ends, mean_known, tally
from unitlens.rich import Rich

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Effect(Rich):
    """What a model says before and after an edit, image by image; made by `measure`.

    class_names: K. index int64 (N,): positions in the probe set. true, before, after: class numbers (N,), the true one
    and those said. score_before, score_after float64 (N,): scores of the true class; log_before, log_after: its log
    probability. edit: in words. recipe: everything the result depends on. notes: model, images skipped.
    """

    class_names: tuple[str, ...]
    index: np.ndarray
    true: np.ndarray
    before: np.ndarray
    after: np.ndarray
    score_before: np.ndarray
    score_after: np.ndarray
    log_before: np.ndarray
    log_after: np.ndarray
    edit: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def tallies(self) -> tuple[Tally, Tally]:
        """The counts before and after, by class."""
        return tuple(tally(said, self.true, len(self.class_names)) for said in (self.before, self.after))  # type: ignore

    @cached_property
    def _drawn(self) -> tuple[Tally, Tally]:
        weights = draws_of(self.true)
        return tuple(drawn_tally(weights, said, self.true, len(self.class_names))  # type: ignore[return-value]
                     for said in (self.before, self.after))  # fmt: skip

    def change(self, measure: str = "balanced accuracy") -> np.ndarray:
        """After minus before, by class: float64 (K,). Raises OptionError."""
        before, after = (one.measure(measure) for one in self.tallies)
        return np.asarray(after - before)

    def interval(self, measure: str = "balanced accuracy", level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Both ends (K,) of the bootstrap interval of `change`, over the images of each class; NaN for a class of
        fewer than 2. Raises OptionError."""
        before, after = (one.measure(measure) for one in self._drawn)
        few = self.tallies[0].true < 2
        low, high = ends(after - before, level)
        return np.where(few, np.nan, low), np.where(few, np.nan, high)

    @property
    def top1(self) -> tuple[float, float]:
        """Share of the images that are named rightly, before and after."""
        return float((self.before == self.true).mean()), float((self.after == self.true).mean())

    def mean_change(self, what: str = "balanced accuracy", level: float = 0.95) -> tuple[float, float, float]:
        """The change averaged over the classes, and both ends of its interval."""
        before, after = (one.measure(what) for one in self._drawn)
        low, high = ends(mean_known(after - before), level)
        return float(mean_known(self.change(what))), float(low), float(high)

    @property
    def flips(self) -> np.ndarray:
        """Which of the N images are answered differently, those first whose true class has won or lost most of its
        probability, by its logarithm: places 0..N-1."""
        places = np.flatnonzero(self.before != self.after)
        return places[np.argsort(-np.abs(self.log_after - self.log_before)[places], kind="stable")]

    def confusions(self, count: int = 10) -> list[tuple[str, str, int]]:
        """What images are newly taken for: (true class, class now said, images), the most frequent first."""
        new = (self.before == self.true) & (self.after != self.true)
        pairs = self.true[new].astype(np.int64) * len(self.class_names) + self.after[new]
        kinds, many = np.unique(pairs, return_counts=True)
        order = np.argsort(-many, kind="stable")[:count]
        names = self.class_names
        return [(names[kinds[i] // len(names)], names[kinds[i] % len(names)], int(many[i])) for i in order]

    def frame(self, level: float = 0.95) -> pandas.DataFrame:
        """One row per class that has images: counts, each measure before and after, its change with both ends,
        and the mean change of the score and of the probability of the class in its own images."""
        import pandas

        (before, after), some = self.tallies, self.tallies[0].true > 0
        table: dict[str, Any] = {"class": np.array(self.class_names)[some], "images": before.true[some].astype(int)}
        for name in ("balanced accuracy", "recall", "precision"):
            low, high = self.interval(name, level)
            key = name.replace(" ", "_")
            table |= {
                key: before.measure(name)[some], f"{key}_after": after.measure(name)[some],
                f"{key}_change": self.change(name)[some], f"{key}_low": low[some], f"{key}_high": high[some],
            }  # fmt: skip
        changes = {
            "score_change": self.score_after - self.score_before,
            "probability_change": np.exp(self.log_after) - np.exp(self.log_before),
        }
        sums = {name: np.bincount(self.true, weights=values, minlength=len(some)) for name, values in changes.items()}
        table |= {name: (total[some] / before.true[some]) for name, total in sums.items()}
        return pandas.DataFrame(table)

    def chart(self, kind: str = "classes", **options: Any) -> Any:
        """A plotly figure: each class before and after. Options: measure, count, level."""
        return self.view("chart", kind, **options)

    def text(self) -> str:
        """The text twin: what was done, and the classes that change most."""
        mean, low, high = self.mean_change()
        change, ordered = self.change(), self.most_changed()
        lines = [
            f"{self.edit}: {len(self.true):,} images, {len(self.class_names)} classes",
            f"named rightly {100 * self.top1[0]:.1f} % before, {100 * self.top1[1]:.1f} % after; balanced accuracy "
            f"{_points(mean)} points on average over classes (95 %: {_points(low)} to {_points(high)})",
        ]
        lines += [f"  {self.class_names[c]}: {100 * change[c]:+.1f} points" for c in ordered[:8]]
        return "\n".join(lines)

    def most_changed(self) -> np.ndarray:
        """The classes that have images, the one whose balanced accuracy changes most first."""
        change = self.change()
        known = np.flatnonzero(np.isfinite(change))
        return known[np.argsort(-np.abs(change[known]), kind="stable")]

    def __repr__(self) -> str:
        return f"Effect({self.edit}: named rightly {100 * self.top1[0]:.1f} -> {100 * self.top1[1]:.1f} %)"


def _points(change: float) -> str:
    return f"{100 * change:+.1f}" if np.isfinite(change) else "–"
