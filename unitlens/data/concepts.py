"""Concepts: what a pixel can show, and the vocabulary that numbers it. No torch: a saved result opens without it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np

from unitlens.errors import ConceptError

#: The order of categories in every table and chart (paper Fig. 1); others follow in their own order.
CATEGORY_ORDER = ("object", "part", "material", "texture", "color", "colour", "scene")


@dataclass(frozen=True, order=True)
class Concept:
    """A name and its category: ("tree", "object"), ("roof", "part"), ("wood", "material"), ("red", "colour")."""

    name: str
    category: str = "object"

    def __str__(self) -> str:
        return self.name


def _concept(pair: object) -> Concept:
    """A (name, category) pair as a Concept. A bare name is refused: "up" would come apart into two letters."""
    if isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
        return Concept(*pair)
    raise ConceptError(f"vocabulary: expected Concept(name, category) or a pair of them, got {pair!r}")


class Vocabulary(Sequence[Concept]):
    """The concepts a segmentation can show, in a fixed order.

    A label plane holds 0 where there is no concept, and `i + 1` where concept `i` of the vocabulary is seen.

    >>> words = Vocabulary([("tree", "object"), ("red", "colour")])
    >>> words.index("red"), words.label("red"), words.categories
    (1, 2, ('object', 'colour'))
    """

    def __init__(self, concepts: Iterable[Concept | tuple[str, str]]):
        self.concepts = tuple(c if isinstance(c, Concept) else _concept(c) for c in concepts)
        if len(set(self.concepts)) != len(self.concepts):
            twice = next(c for i, c in enumerate(self.concepts) if c in self.concepts[:i])
            raise ConceptError(
                f"vocabulary: {twice.name!r} ({twice.category}) stands there twice; names are unique per category"
            )

    def __len__(self) -> int:
        return len(self.concepts)

    @overload
    def __getitem__(self, index: int) -> Concept: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Concept, ...]: ...

    def __getitem__(self, index: int | slice) -> Concept | tuple[Concept, ...]:
        return self.concepts[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.concepts == other.concepts

    def __hash__(self) -> int:
        return hash(self.concepts)

    def __add__(self, other: Vocabulary) -> Vocabulary:
        return Vocabulary(self.concepts + other.concepts)

    def __repr__(self) -> str:
        counts = ", ".join(f"{sum(c.category == g for c in self.concepts)} {g}" for g in self.categories)
        return f"Vocabulary({len(self)} concepts: {counts})"

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories that occur, in the order of tables and charts."""
        seen = dict.fromkeys(c.category for c in self.concepts)
        return tuple(
            sorted(seen, key=lambda g: CATEGORY_ORDER.index(g) if g in CATEGORY_ORDER else len(CATEGORY_ORDER))
        )

    @cached_property
    def category_index(self) -> np.ndarray:
        """Which category each concept belongs to: int64 (C,), positions in `categories`."""
        return np.array([self.categories.index(c.category) for c in self.concepts], dtype=np.int64)

    def index(self, name: str | Concept, *args: object) -> int:
        """Position of a concept, by name ("tree"), or "door (part)" where the name is in two categories.

        Raises ConceptError with the nearest names.
        """
        if isinstance(name, Concept):
            found = [i for i, c in enumerate(self.concepts) if c == name]
        else:
            found = [i for i, c in enumerate(self.concepts) if name in (c.name, f"{c.name} ({c.category})")]
        if found:
            return found[0]
        near = difflib.get_close_matches(str(name), [c.name for c in self.concepts], n=3, cutoff=0.5)
        offer = f" Nearest: {', '.join(map(repr, near))}." if near else ""
        raise ConceptError(f"concept {str(name)!r} is not in the vocabulary of {len(self)}.{offer}")

    def label(self, name: str | Concept) -> int:
        """The value that stands for a concept in a label plane: its index + 1."""
        return self.index(name) + 1
