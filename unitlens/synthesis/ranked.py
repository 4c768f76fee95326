"""CausalUnits: how much each unit of a layer takes part in making a concept, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.data.concepts import Concept
from unitlens.rich import Rich

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class CausalUnits(Rich):
    """Units of a layer by their learnt share in a concept; made by `causal_units`.

    alpha float64 (U,) in 0..1: how far each unit is removed and inserted. values float64 (U,): what inserting sets them
    to, their mean where the concept is. start: alpha before. losses float64 (S,): of every step of the search.
    """

    concept: Concept
    layer: str
    alpha: np.ndarray
    values: np.ndarray
    start: np.ndarray
    losses: np.ndarray
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def units(self) -> np.ndarray:
        """All units, the one with the largest share first, and of equal ones that with most at the start: (U,)."""
        return np.lexsort((-self.start, -self.alpha))

    def frame(self) -> pandas.DataFrame:
        """One row a unit, in their order: unit, alpha, start, value."""
        import pandas

        order = self.units
        columns = {"unit": order, "alpha": self.alpha[order], "start": self.start[order], "value": self.values[order]}
        return pandas.DataFrame(columns)

    def text(self) -> str:
        """The text twin: the first units."""
        first = ", ".join(f"{u} {self.alpha[u]:.2f}" for u in self.units[:10])
        return f"{self.concept} in {self.layer}, by learnt share: {first}"

    def __repr__(self) -> str:
        many = int((self.alpha > 0.5).sum())
        return f"CausalUnits({self.concept}, {self.layer}: {many} of {len(self.alpha)} units count for more than half)"
