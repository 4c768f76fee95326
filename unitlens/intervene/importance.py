"""Importance: how much every class rests on every unit, as plain arrays that outlive the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.errors import OptionError, RecipeMismatch
from unitlens.intervene.names import number_of
from unitlens.intervene.tallies import Tally, check_level, drawn_class, draws_of, ends, mean_known, student, tally
from unitlens.rich import Rich

if TYPE_CHECKING:
    import pandas

WAYS = ("ablation", "gradient")
ORDERS = ("probability", "balanced accuracy")
Interval = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Importance(Rich):
    """What each class loses without each unit; made by `rank_units`.

    layer: dotted name. class_names: K. by: "ablation" or "gradient".
    log_drop: float64 (U, K), by how much the log probability of the class falls in its own images without the unit, on
    average (for "gradient" an estimate of it); NaN for a class without images. log_error: its standard error (U, K), or
    None for "gradient".
    true, base: whole numbers (N,), true class and what is said with all units; said: (N, U) without each unit. None for
    "gradient". held_out: the same ablations on other images, or None.
    order_by: "probability" or "balanced accuracy", what units are ordered by.
    recipe: everything the result depends on. notes: model, way, images skipped.
    """

    layer: str
    class_names: tuple[str, ...]
    by: str
    log_drop: np.ndarray
    true: np.ndarray | None = None
    base: np.ndarray | None = None
    said: np.ndarray | None = None
    held_out: Importance | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    log_error: np.ndarray | None = None
    order_by: str = "probability"

    @property
    def units(self) -> int:
        """U."""
        return len(self.log_drop)

    @cached_property
    def tallies(self) -> tuple[Tally, Tally]:
        """The counts with all units (K,) and without each (U, K). Raises OptionError for "gradient"."""
        if self.true is None or self.base is None or self.said is None:
            raise OptionError("importance: estimated from gradients; only by='ablation' counts what is recognised")
        classes = len(self.class_names)
        return tally(self.base, self.true, classes), tally(self.said, self.true, classes)

    @cached_property
    def drop(self) -> np.ndarray:
        """By how much balanced accuracy falls without each unit: float64 (U, K). Raises OptionError for "gradient"."""
        intact, without = self.tallies
        return np.asarray(intact.balanced_accuracy - without.balanced_accuracy)

    @property
    def fall(self) -> np.ndarray:
        """By which share the probability of the class falls in its own images without each unit, in the geometric
        mean: float64 (U, K), 1 - exp(-log_drop); negative where it rises."""
        return np.asarray(-np.expm1(-self.log_drop))

    def fall_interval(self, name: str, level: float = 0.95) -> Interval:
        """Both ends (U,) of the interval of a class's `fall`, from the standard error and Student's t; NaN for
        "gradient" and for a class of one image. Raises OptionError."""
        check_level(level)
        number = self.number(name)
        if self.log_error is None or self.true is None:
            return np.full(self.units, np.nan), np.full(self.units, np.nan)
        images = int((self.true == number).sum())
        wide = student((1 + level) / 2, images - 1) * self.log_error[:, number] if images > 1 else np.nan
        low, high = (-np.expm1(-(self.log_drop[:, number] + side * wide)) for side in (-1, 1))
        return np.asarray(low), np.asarray(high)

    @cached_property
    def ranked(self) -> tuple[str, ...]:
        """The classes that have images, and so an order of units."""
        known = np.isfinite(self.log_drop).all(0)
        return tuple(name for name, some in zip(self.class_names, known, strict=True) if some)

    @cached_property
    def orders(self) -> np.ndarray:
        """The units by importance, the most important first: int64 (U, K); only columns of `ranked` classes mean
        anything. By `order_by`; units whose balanced accuracy is the same by the fall of probability, then by number.
        """
        second = np.argsort(-self.log_drop, axis=0, kind="stable")
        if self.order_by == ORDERS[0]:
            return second
        first = np.argsort(-np.take_along_axis(self.drop, second, 0), axis=0, kind="stable")
        return np.take_along_axis(second, first, 0)

    def order(self, name: str) -> np.ndarray:
        """The units by importance for a class, int64 (U,).

        Raises OptionError for an unknown class, and for one that none of the images shows.
        """
        return np.asarray(self.orders[:, self.number(name)])

    def number(self, name: str) -> int:
        """The number of a class whose units are ranked. Raises OptionError."""
        number = number_of(name, self.class_names)
        if name not in self.ranked:
            raise OptionError(f"name: no image that was measured is of class {name!r}, so no unit can be ranked for it")
        return number

    def top(self, name: str, count: int = 4) -> np.ndarray:
        """The most important units of a class."""
        return self.order(name)[:count]

    def matters(self, count: int = 4) -> np.ndarray:
        """Among the `count` most important units of each class: bool (U, K) [paper.md 1.3]."""
        some = np.zeros(self.log_drop.shape, bool)
        known = np.flatnonzero([name in self.ranked for name in self.class_names])
        some[self.orders[:count, known], known] = True
        return some

    def interval(self, name: str, level: float = 0.95) -> Interval:
        """Both ends (U,) of the bootstrap interval of a class's `drop`; NaN for a class of one image. Raises
        OptionError."""
        number = self.number(name)
        if self.true is None or self.base is None or self.said is None:
            raise OptionError("importance: estimated from gradients, without intervals; use by='ablation'")
        weights = draws_of(self.true)
        intact, without = (
            drawn_class(weights, said.reshape(len(said), -1), self.true, number).balanced_accuracy[..., 0]
            for said in (self.base, self.said)
        )
        if (self.true == number).sum() < 2:
            return np.full(self.units, np.nan), np.full(self.units, np.nan)
        return ends(intact - without, level)

    def agreement(self, other: Importance) -> float:
        """The rank correlation (Spearman) of both log_drop over the units, averaged over the classes both rank.

        Raises RecipeMismatch where layer or classes differ.
        """
        self.same_kind(other)
        names = [name for name in self.ranked if name in other.ranked]
        columns = [number_of(name, self.class_names) for name in names]
        mine, theirs = self.log_drop[:, columns], other.log_drop[:, columns]
        return float(mean_known(_rank_correlation(mine, theirs))) if names else float("nan")

    def same_kind(self, other: Importance) -> None:
        """Raises RecipeMismatch where layer, units or classes differ."""
        for what in ("layer", "units", "class_names"):
            if getattr(self, what) != getattr(other, what):
                raise RecipeMismatch(f"importance: {what} {getattr(self, what)!r} against {getattr(other, what)!r}")

    def frame(self, name: str | None = None) -> pandas.DataFrame:
        """One row per unit and ranked class, the most important first: class, unit, rank, drop (balanced accuracy;
        NaN for "gradient"), fall (of the probability), log_drop, and drop and fall held out where measured."""
        import pandas

        rows = []
        for one in [name] if name is not None else self.ranked:
            number, order = self.number(one), self.order(one)
            drops = self.drop[order, number] if self.by == "ablation" else np.full(len(order), np.nan)
            row = {"class": one, "unit": order, "rank": np.arange(1, len(order) + 1), "drop": drops,
                   "fall": self.fall[order, number], "log_drop": self.log_drop[order, number]}  # fmt: skip
            if self.held_out is not None:
                row["held_out_drop"] = self.held_out.drop[order, number]
                row["held_out_fall"] = self.held_out.fall[order, number]
            rows.append(pandas.DataFrame(row))
        return pandas.concat(rows, ignore_index=True)

    def chart(self, name: str | None = None, **options: Any) -> Any:
        """A plotly figure: the most important units of a class, or the map of units and classes.
        Options: count, measure ("probability" or "balanced accuracy")."""
        return self.view("chart", name, **options)

    def compare(self, other: Importance) -> Any:
        """A plotly figure: the loss of log probability here against that of another importance of the same units."""
        return self.view("compare", other)

    def text(self) -> str:
        """The text twin: the most important units of each class."""
        about = f"importance of {self.units} units of {self.layer} for {len(self.ranked)} classes, by {self.by}"
        lines = [f"{about}; by how much the probability of the class falls without the unit:"]
        for name in self.ranked:
            number = number_of(name, self.class_names)
            some = ", ".join(f"{u} ({-100 * self.fall[u, number]:+.0f} %)" for u in self.top(name))
            lines.append(f"  {name}: {some}")
        if self.held_out is not None:
            lines.append(f"rank correlation with other images: {self.agreement(self.held_out):.2f}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Importance({self.layer}, {self.units} units, {len(self.ranked)} classes, by {self.by})"


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of columns, (K,); ties share their mean rank."""
    import pandas

    ranks = [pandas.DataFrame(table).rank().to_numpy() for table in (one, other)]
    first, second = (rank - rank.mean(0) for rank in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((first * second).sum(0) / np.sqrt((first**2).sum(0) * (second**2).sum(0)))
