"""Curve: how well classes are recognised as more and more units are switched off, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.errors import OptionError
from unitlens.intervene.names import number_of
from unitlens.intervene.tallies import ends, mean_known
from unitlens.rich import Rich

if TYPE_CHECKING:
    import pandas

#: What is switched off: the n most important units, the n least important, n at random; or all but the n best.
KINDS = ("most important removed", "least important removed", "random removed", "only most important kept")


@dataclass(frozen=True, eq=False)
class Point:
    """A mean over classes, with both ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not np.isfinite(self.low):
            return f"{100 * self.value:.1f} %"
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


@dataclass(frozen=True, eq=False)
class AblationCurve(Rich):
    """Balanced accuracy of each class with units switched off; made by `ablation_curve`.

    layer: dotted name. class_names: K. units: U of the layer. counts: int64 (P,), numbers of units.
    names: the classes that are measured, k of them. value: float64 (4, P, k), for each of KINDS; of random sets the
    mean over draws. draws: float64 (R, 4, P, k), the same in bootstrap draws of the images (and of the random sets);
    NaN for a class of one image.
    intact: float64 (k,) with all units; intact_draws: (R, k).
    ranked_by: in words. recipe: everything the result depends on. notes: model, way, images skipped, sets.
    """

    layer: str
    names: tuple[str, ...]
    units: int
    counts: np.ndarray
    value: np.ndarray
    draws: np.ndarray
    intact: np.ndarray
    intact_draws: np.ndarray
    ranked_by: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def at(self, kind: str, count: int, name: str | None = None, level: float = 0.95) -> Point:
        """The balanced accuracy there, of a class or averaged over classes, with its interval.

        Raises OptionError for another kind or count than those measured.
        """
        if kind not in KINDS:
            raise OptionError(f"kind: expected one of {', '.join(map(repr, KINDS))}, got {kind!r}")
        if count not in self.counts:
            raise OptionError(f"count: measured at {', '.join(map(str, self.counts))}; got {count!r}")
        row, at = KINDS.index(kind), int(np.flatnonzero(self.counts == count)[0])
        return self._point(self.value[row, at], self.draws[:, row, at], name, level)

    def intact_at(self, name: str | None = None, level: float = 0.95) -> Point:
        """The same with all units."""
        return self._point(self.intact, self.intact_draws, name, level)

    def _point(self, value: np.ndarray, draws: np.ndarray, name: str | None, level: float) -> Point:
        some = slice(None) if name is None else [number_of(name, self.names)]
        low, high = ends(mean_known(draws[:, some]), level)
        return Point(float(mean_known(value[some])), float(low), float(high))

    def mean(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The mean over classes and both ends: three float64 (4, P)."""
        low, high = ends(mean_known(self.draws), level)
        return mean_known(self.value), low, high

    def frame(self, level: float = 0.95) -> pandas.DataFrame:
        """One row per kind, number of units and class: kind, units, class, balanced_accuracy, low, high, intact."""
        import pandas

        low, high = ends(self.draws, level)
        kind, count, name = np.meshgrid(KINDS, self.counts, self.names, indexing="ij")
        columns = {"kind": kind, "units": count, "class": name, "balanced_accuracy": self.value, "low": low,
                   "high": high, "intact": np.broadcast_to(self.intact, self.value.shape)}  # fmt: skip
        return pandas.DataFrame({key: np.asarray(table).reshape(-1) for key, table in columns.items()})

    def chart(self, name: str | None = None, **options: Any) -> Any:
        """A plotly figure: the four curves, of one class or of the mean over classes. Options: level."""
        return self.view("chart", name, **options)

    def text(self) -> str:
        """The text twin: the mean over classes for every kind."""
        about = f"{self.layer}, {self.units} units, {len(self.names)} classes, units ranked by {self.ranked_by}"
        lines = [f"balanced accuracy with units of {about}", f"all units: {self.intact_at()}"]
        for kind in KINDS:
            lines.append(f"{kind}:")
            lines += [f"  {count:>5}: {self.at(kind, int(count))}" for count in self.counts]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"AblationCurve({self.layer}, {len(self.names)} classes, up to {self.counts[-1]} of {self.units} units)"
