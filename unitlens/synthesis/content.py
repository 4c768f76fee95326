"""ContentEffect: what an edit does to the contents of generated pictures, as plain arrays that outlive it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.errors import OptionError
from unitlens.rich import Rich
from unitlens.synthesis.ratios import Share, mean, ratio

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Example:
    """One picture before and after. before, after: JPEG. labels: two of uint8 or int16 (K, H, W), before and after."""

    index: int
    before: bytes
    after: bytes
    labels: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class ContentEffect(Rich):
    """Pixels of every concept in N pictures before and after an edit; made by `measure_content`.

    vocabulary: C concepts. plane int64 (C,): which label plane each concept stands in. pixels: of a picture.
    before, after, both int64 (N, C): pixels that show a concept before, after, and both times. kept int64 (N, K):
    pixels of each plane whose label is the same. moved int64 (C + 1, C + 1): labels before and after, 0 = none.
    edit: in words. concept: the one that is asked about, or None. examples: some pictures.
    """

    vocabulary: Vocabulary
    plane: np.ndarray
    pixels: int
    before: np.ndarray
    after: np.ndarray
    both: np.ndarray
    kept: np.ndarray
    moved: np.ndarray
    edit: str
    concept: Concept | None = None
    examples: tuple[Example, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def share(self, concept: str | Concept, level: float = 0.95) -> tuple[Share, Share, Share]:
        """A concept's share of all pixels before, after, and the change (paired), each with its interval."""
        c = self.vocabulary.index(concept)
        before, after = self.before[:, c] / self.pixels, self.after[:, c] / self.pixels
        return mean(before, level), mean(after, level), mean(after - before, level)

    def removed(self, concept: str | Concept | None = None, level: float = 0.95) -> Share:
        """What part of a concept's pixels is gone: -(change) / before, pooled over the pictures [paper.md 1.5].
        Negative where there is more of it than before."""
        c = self._asked(concept)
        return ratio(self.before[:, c] - self.after[:, c], self.before[:, c], level)

    def others_changed(self, concept: str | Concept | None = None, level: float = 0.95) -> Share:
        """Of the pixels that did not show a concept, the share whose label (in the concept's plane) is another now."""
        c = self._asked(concept)
        others = self.pixels - self.before[:, c]
        changed = (self.pixels - self.kept[:, self.plane[c]]) - (self.before[:, c] - self.both[:, c])
        return ratio(changed, others, level)

    def instead(self, concept: str | Concept | None = None) -> list[tuple[Concept | None, float]]:
        """What is seen where a concept was and is no more: (concept or None, share of these pixels), most first."""
        c = self._asked(concept) + 1
        gone = self.moved[c].astype(np.float64)
        gone[c] = 0
        total = gone.sum()
        order = [int(i) for i in np.argsort(-gone, kind="stable") if gone[i] > 0]
        return [(self.vocabulary[i - 1] if i else None, float(gone[i] / total)) for i in order]

    def frame(self, level: float = 0.95) -> pandas.DataFrame:
        """One row per concept that is seen before or after: its share of the pixels before and after, the paired
        change with both ends, the part removed with both ends, and in how many pictures it is seen before and after."""
        import pandas

        rows = []
        for c in np.flatnonzero((self.before.sum(0) + self.after.sum(0)) > 0):
            concept = self.vocabulary[int(c)]
            (before, after, change), removed = self.share(concept, level), self.removed(concept, level)
            rows.append({
                "concept": concept.name, "category": concept.category, "before": before.value, "after": after.value,
                "change": change.value, "low": change.low, "high": change.high, "removed": removed.value,
                "removed_low": removed.low, "removed_high": removed.high,
                "pictures_before": int((self.before[:, c] > 0).sum()),
                "pictures_after": int((self.after[:, c] > 0).sum()),
            })  # fmt: skip
        return pandas.DataFrame(rows)

    def chart(self, kind: str = "concepts", **options: Any) -> Any:
        """A plotly figure: each concept's share before and after. Options: count, level."""
        return self.view("chart", kind, **options)

    def strip(self, **options: Any) -> Any:
        """Pictures before and after, and what the segmenter sees in them."""
        return self.view("strip", **options)

    def text(self) -> str:
        """The text twin: what was done, and the concepts that change most."""
        changes = (self.after - self.before).sum(0) / (len(self.before) * self.pixels)
        order = np.argsort(-np.abs(changes), kind="stable")
        lines = [f"{self.edit}: {len(self.before):,} pictures"]
        if self.concept is not None:
            lines += [f"{self.concept}: {_percent(self.removed())} of its pixels gone; of all others "
                      f"{_percent(self.others_changed())} changed"]  # fmt: skip
        for c in order[:8]:
            if changes[c]:
                change = self.share(self.vocabulary[int(c)])[2]
                lines.append(f"  {self.vocabulary[int(c)]}: {_points(change)} of all pixels")
        return "\n".join(lines)

    def _asked(self, concept: str | Concept | None) -> int:
        chosen = self.concept if concept is None else concept
        if chosen is None:
            raise OptionError("concept: expected a name, such as 'tree': the effect was measured for none")
        return self.vocabulary.index(chosen)

    def __repr__(self) -> str:
        about = "" if self.concept is None else f", {self.concept} {100 * self.removed().value:.0f} % gone"
        return f"ContentEffect({self.edit}: {len(self.before):,} pictures{about})"


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _points(share: Share) -> str:
    return f"{100 * share.value:+.2f} points ({100 * share.low:+.2f} to {100 * share.high:+.2f})"
