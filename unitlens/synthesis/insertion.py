"""Insertions: what units that are set at one place add there, by what was at that place, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.rich import Rich
from unitlens.synthesis.content import Example
from unitlens.synthesis.ratios import Share, ratio

if TYPE_CHECKING:
    import pandas

FEWEST = 20  # pictures that a context has to be seen in to stand in tables and charts


@dataclass(frozen=True, eq=False)
class Insertions(Rich):
    """Units of a layer set at every cell of N pictures, one cell at a time; made by `insertion_map`.

    concept: what the units are of. vocabulary: C concepts. grid: rows and columns of cells, G in all.
    pixels: of a picture. before int64 (N,): pixels of the concept. change int32 (N, G): how many more there are.
    context int16 (N, K, G): labels under each cell's centre before, one for each plane, 0 = none.
    examples: (context, typical picture): the one whose change is nearest to the context's mean.
    """

    concept: Concept
    layer: str
    units: np.ndarray
    values: np.ndarray
    vocabulary: Vocabulary
    grid: tuple[int, int]
    pixels: int
    before: np.ndarray
    change: np.ndarray
    context: np.ndarray
    examples: Mapping[str, tuple[Example, tuple[int, int]]] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def effect(self, context: str | Concept, level: float = 0.95) -> Share:
        """The mean change of the concept's pixels at cells of a context, over its mean pixels in a picture
        [paper.md 1.5]; pictures are drawn together. NaN for a context that is nowhere, or a concept that is."""
        here = self._here(self.vocabulary.index(context))
        share = ratio((self.change * here).sum(1), here.sum(1), level)
        baseline = self.before.mean() or np.nan
        return Share(*(value / baseline for value in share))

    def contexts(self, fewest: int = FEWEST) -> list[Concept]:
        """The contexts that are seen in at least so many pictures, the one that takes most first."""
        seen = {int(label) for label in np.unique(self.context) if label}
        many = {c: int(self._here(c - 1).any(1).sum()) for c in seen}
        known = [self.vocabulary[c - 1] for c in seen if many[c] >= fewest]
        return sorted(known, key=lambda concept: -self.effect(concept).value)

    def frame(self, level: float = 0.95, fewest: int = FEWEST) -> pandas.DataFrame:
        """One row per context: cells, pictures, the effect with both ends, and the mean change in pixels."""
        import pandas

        rows = []
        for concept in self.contexts(fewest):
            here, effect = self._here(self.vocabulary.index(concept)), self.effect(concept, level)
            rows.append({
                "context": concept.name, "category": concept.category, "cells": int(here.sum()),
                "pictures": int(here.any(1).sum()), "effect": effect.value, "low": effect.low, "high": effect.high,
                "pixels": float((self.change * here).sum() / here.sum()),
            })  # fmt: skip
        return pandas.DataFrame(rows)

    def map(self) -> np.ndarray:
        """The mean change at each cell over all pictures: float64 (rows, columns)."""
        return self.change.mean(0).reshape(self.grid)

    def typical(self, context: str | Concept) -> tuple[int, int]:
        """The picture and cell of a context whose change is nearest to the context's mean."""
        rows, cells = np.nonzero(self._here(self.vocabulary.index(context)))
        changes = self.change[rows, cells]
        place = int(np.argmin(np.abs(changes - changes.mean())))
        return int(rows[place]), int(cells[place])

    def chart(self, kind: str = "contexts", **options: Any) -> Any:
        """A plotly figure. kind: "contexts" (effect by context) or "map" (where in the picture). Options: names,
        count, level."""
        return self.view("chart", kind, **options)

    def strip(self, **options: Any) -> Any:
        """A typical picture of each context, before and after."""
        return self.view("strip", **options)

    def text(self) -> str:
        """The text twin: the effect by context."""
        lines = [f"{self.concept} units of {self.layer} set at one cell of {len(self.before):,} pictures"]
        for concept in self.contexts():
            value, low, high = (100 * v for v in self.effect(concept))
            lines.append(f"  on {concept}: {value:+.1f} % of a picture's {self.concept} ({low:+.1f} to {high:+.1f})")
        return "\n".join(lines)

    def _here(self, concept: int) -> np.ndarray:
        """Which cells show a concept: bool (N, G)."""
        return np.asarray((self.context == concept + 1).any(1))

    def __repr__(self) -> str:
        cells = self.grid[0] * self.grid[1]
        return f"Insertions({self.concept} at {cells} cells of {len(self.before):,} pictures)"


