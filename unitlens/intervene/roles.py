"""Roles: what units detect held against what they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError, RecipeMismatch
from unitlens.intervene.importance import Importance
from unitlens.intervene.names import number_of
from unitlens.intervene.tallies import ends
from unitlens.rich import Rich

if TYPE_CHECKING:
    import pandas

MOST_SERVED = 7  # the last group holds units that serve so many classes or more
DRAWS = 2000
LEAST = 0.01  # fall of the probability from which a class is said to rest on a unit
MEANING = "In brackets: the unit, and by how much the probability of the class falls without it in its own images."


@dataclass(frozen=True, eq=False)
class Share:
    """One unit's part in a class: by which share the probability of the class falls without it, and what it detects."""

    unit: int
    fall: float
    concept: str
    category: str
    iou: float
    detector: bool


@dataclass(frozen=True, eq=False)
class Roles(Rich):
    """For each class its most important units and what they detect; for each unit how many classes rest on it.

    Made by `roles`. layer: dotted name. names: the k classes. count: units per class that count as important.
    units: int64 (k, count), the most important first. fall: float64 (k, count), by which share the probability of the
    class falls in its own images without each of them, see `Importance.fall`.
    concept, category: of every unit, (U,); "" where none overlaps. iou: float64 (U,), its best IoU. min_iou: from which
    a unit is a detector. judged: on which images `fall` was measured, "held out" or "ranked".
    """

    layer: str
    names: tuple[str, ...]
    count: int
    units: np.ndarray
    fall: np.ndarray
    concept: tuple[str, ...]
    category: tuple[str, ...]
    iou: np.ndarray
    min_iou: float
    by: str
    judged: str
    notes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def served(self) -> np.ndarray:
        """For how many classes each unit is among the most important: int64 (U,)."""
        return np.bincount(self.units.reshape(-1), minlength=len(self.iou))

    def shares(self, name: str) -> list[Share]:
        """The most important units of a class. Raises OptionError for an unknown class."""
        at = number_of(name, self.names)
        return [
            Share(int(u), float(fall), self.concept[u], self.category[u], float(self.iou[u]),
                  bool(self.concept[u]) and float(self.iou[u]) >= self.min_iou)
            for u, fall in zip(self.units[at], self.fall[at], strict=True)
        ]  # fmt: skip

    def sentence(self, name: str) -> str:
        """What a class rests on, in words: "beach rests on sand (unit 41, -21 %), ..."."""
        parts = [f"{one.concept if one.detector else 'no concept'} (unit {one.unit}, {told(one.fall)})"
                 for one in self.shares(name) if one.fall >= LEAST]  # fmt: skip
        if not parts:
            return f"{name} rests on no single unit: without any one of them its probability falls by less than 1 %."
        listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        return f"{name} rests on {listed}."

    def groups(self, level: float = 0.95) -> pandas.DataFrame:
        """Units by the number of classes they matter for [paper.md 1.3, Figure 2d]: classes (the last: or more),
        units, mean best IoU with both ends of its bootstrap interval (NaN for a single unit)."""
        import pandas

        rows, rng = [], np.random.default_rng(0)
        group = self.served.clip(max=MOST_SERVED)
        for classes in np.unique(group):
            iou = self.iou[group == classes]
            drawn = rng.choice(iou, (DRAWS, len(iou))).mean(1)
            low, high = ends(drawn, level) if len(iou) > 1 else (np.nan, np.nan)
            rows.append((int(classes), len(iou), float(iou.mean()), float(low), float(high)))
        return pandas.DataFrame(rows, columns=["classes", "units", "mean_iou", "low", "high"])

    def trend(self, level: float = 0.95, *, serving: bool = False) -> tuple[float, float, float]:
        """Rank correlation of a unit's best IoU with the number of classes it matters for, and both ends of its
        interval, from bootstrap draws of the units; NaN where every unit matters for as many. serving: only of units
        that matter for a class."""
        some = self.served > 0 if serving else np.ones(len(self.iou), bool)
        iou, served = self.iou[some], self.served[some]
        rng = np.random.default_rng(0)
        rows = rng.integers(0, len(iou), (DRAWS // 4, len(iou)))
        drawn = np.array([_spearman(iou[row], served[row]) for row in rows])
        known = drawn[np.isfinite(drawn)]
        low, high = ends(known, level) if len(known) else (np.nan, np.nan)
        return _spearman(iou, served), float(low), float(high)

    def frame(self) -> pandas.DataFrame:
        """One row per class and important unit: class, rank, unit, fall, concept, category, iou, detector, served."""
        import pandas

        rows = [(name, rank, s.unit, s.fall, s.concept, s.category, s.iou, s.detector, int(self.served[s.unit]))
                for name in self.names for rank, s in enumerate(self.shares(name), 1)]  # fmt: skip
        columns = ["class", "rank", "unit", "fall", "concept", "category", "iou", "detector", "served"]
        return pandas.DataFrame(rows, columns=columns)

    def verdict(self) -> str:
        """What the groups say, plainly: of all units, and of those that matter for a class at all."""
        whole = self.trend()
        if not np.isfinite(whole[0]):
            return "Every unit matters for as many classes, so there is no trend to see."
        first = f"Rank correlation of best IoU with classes served: {_trend_words(whole)}"
        among = self.trend(serving=True)
        if not np.isfinite(among[0]):
            return f"{first}."
        return f"{first}; among the units that matter for a class at all: {_trend_words(among)}."

    def chart(self, kind: str = "graph", **options: Any) -> Any:
        """A plotly figure: "graph" or "groups". Options: count."""
        return self.view("chart", kind, **options)

    def text(self) -> str:
        """The text twin: a sentence for each class, and the trend."""
        return "\n".join([MEANING, *(self.sentence(name) for name in self.names), self.verdict()])

    def __repr__(self) -> str:
        return f"Roles({self.layer}, {len(self.names)} classes, {self.count} units each)"


def told(fall: float) -> str:
    """A fall of probability in words.

    >>> told(0.213), told(-0.05), told(0.0)
    ('-21 %', '+5 %', '0 %')
    """
    if not np.isfinite(fall):
        return "–"
    words = f"{-100 * fall:+.0f} %"
    return "0 %" if words[1:] == "0 %" else words


def roles(importance: Importance, dissection: Dissection, *, count: int = 4) -> Roles:
    """What the most important units of each class detect, and whether units that matter are easier to name
    [paper.md 1.3, Figure 2d].

    importance: from `rank_units`; where it has `held_out`, losses are those of the held-out images, of the classes that
    these show. dissection: of the
    same layer of the same model. count: units per class that count as important.

    >>> import unitlens as ul
    >>> model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=72)
    >>> ranking = ul.rank_units(model, "conv5_3", probe, show_progress=False)
    >>> found = ul.roles(ranking, ul.dissect(model, "conv5_3", probe, show_progress=False))
    >>> len(found.shares("beach"))
    4

    Raises OptionError, LayerNotFound, RecipeMismatch (another layer, or another model).
    """
    if not isinstance(importance, Importance):
        raise OptionError(f"importance: expected what `rank_units` gives, got {type(importance).__name__}")
    if not isinstance(dissection, Dissection):
        raise OptionError(f"dissection: expected what `dissect` gives, got {type(dissection).__name__}")
    layer = dissection.layer(importance.layer)
    models = importance.recipe.get("model"), dissection.recipe.get("model")
    if layer.units != importance.units or (None not in models and models[0] != models[1]):
        raise RecipeMismatch("dissection: it is of another model than the importance")
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 1 <= count <= layer.units:
        raise OptionError(f"count: expected 1 to {layer.units} units, got {count!r}")
    first, iou = dissection.best(importance.layer)
    named = [dissection.vocabulary[c] if c >= 0 else None for c in first]
    judge = importance.held_out or importance
    names = tuple(name for name in importance.ranked if name in judge.ranked)
    if not names:
        raise OptionError("importance: none of its classes has held-out images, so nothing can be judged")
    numbers = [importance.number(name) for name in names]
    units = importance.orders[:count, numbers].T  # (k, count)
    return Roles(
        importance.layer, names, int(count), units, judge.fall[units, np.array(numbers)[:, None]],
        tuple(c.name if c else "" for c in named), tuple(c.category if c else "" for c in named), iou,
        dissection.min_iou, importance.by, "held out" if importance.held_out else "ranked",
        {"model": importance.notes.get("model", "")},
    )  # fmt: skip


def _trend_words(trend: tuple[float, float, float]) -> str:
    rho, low, high = trend
    if low > 0:
        said = "units that more classes rest on match their concept better"
    elif high < 0:
        said = "units that more classes rest on match their concept worse"
    else:
        said = "no trend that can be told from chance"
    return f"{rho:+.2f} ({low:+.2f} to {high:+.2f}), {said}"


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    first, second = _ranks(one), _ranks(other)
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / size) if size else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks; ties share their mean rank."""
    _, which, many = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(many)
    return ((last - many + last - 1) / 2)[which]
