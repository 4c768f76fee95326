"""UnitDetector: how well one unit alone tells images with a concept from others, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.intervene.tallies import draws_of, ends
from unitlens.rich import Rich

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class UnitDetector(Rich):
    """A unit's peak activation as a classifier of images; made by `unit_detector`.

    layer, unit: which. target: the concept or class, in words. index int64 (N,): positions in the probe set. peak:
    float64 (N,), the unit's highest activation in each image. shows: bool (N,), whether the image is positive.
    threshold: the peak that separates best on every second image; the others judge it. fitted: bool (N,), the images
    that the threshold was chosen on.
    """

    layer: str
    unit: int
    target: str
    index: np.ndarray
    peak: np.ndarray
    shows: np.ndarray
    threshold: float
    fitted: np.ndarray
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def roc(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """False-positive rate, true-positive rate and threshold, from none to all images said to show it."""
        order = np.argsort(-self.peak, kind="stable")
        values, shows = self.peak[order], self.shows[order]
        last = np.append(np.flatnonzero(np.diff(values) != 0), len(values) - 1)  # one point for equal peaks
        right, wrong = np.cumsum(shows)[last], np.cumsum(~shows)[last]
        rates = wrong / max(1, wrong[-1]), right / max(1, right[-1])
        return np.append(0.0, rates[0]), np.append(0.0, rates[1]), np.append(np.inf, values[last])

    @property
    def area(self) -> float:
        """Area under the ROC curve: how often a positive image has the higher peak than another."""
        false, true, _ = self.roc
        return float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())

    @property
    def accuracy(self) -> float:
        """Balanced accuracy on the images that the threshold was not chosen on."""
        return float(_balanced(self.peak > self.threshold, self.shows, ~self.fitted))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Both ends of the bootstrap interval of `accuracy`, over the images."""
        judged = ~self.fitted
        said, shows = (self.peak > self.threshold)[judged], self.shows[judged]
        weights = draws_of(shows)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = ((weights @ (said & shows)) / (weights @ shows) + (weights @ (~said & ~shows)) / (weights @ ~shows))
        known = found[np.isfinite(found)] / 2
        low, high = ends(known, level) if len(known) else (np.nan, np.nan)
        return float(low), float(high)

    def frame(self) -> pandas.DataFrame:
        """One row per image: image, peak, shows, said, fitted."""
        import pandas

        columns = {"image": self.index, "peak": self.peak, "shows": self.shows, "said": self.peak > self.threshold,
                   "fitted": self.fitted}  # fmt: skip
        return pandas.DataFrame(columns)

    def chart(self, kind: str = "roc") -> Any:
        """A plotly figure: "roc" or "peaks"."""
        return self.view("chart", kind)

    def text(self) -> str:
        """The text twin."""
        low, high = self.interval()
        return (
            f"unit {self.unit} of {self.layer} as a detector of {self.target}: a peak above {self.threshold:.3g} tells "
            f"images with it from others at {100 * self.accuracy:.1f} % balanced accuracy (95 %: {100 * low:.1f} to "
            f"{100 * high:.1f}; {int((~self.fitted).sum()):,} images, {int((self.shows & ~self.fitted).sum()):,} of "
            f"them show it; the threshold comes from {int(self.fitted.sum()):,} others). Area under the ROC curve "
            f"{self.area:.3f}."
        )

    def __repr__(self) -> str:
        return f"UnitDetector(unit {self.unit} of {self.layer}, {self.target}: {100 * self.accuracy:.1f} %)"


def best_threshold(peak: np.ndarray, shows: np.ndarray) -> float:
    """The peak above which images are said to show it, with the highest balanced accuracy; half way between images.

    >>> best_threshold(np.array([1.0, 2.0, 5.0, 6.0]), np.array([False, False, True, True]))
    3.5
    """
    order = np.argsort(peak, kind="stable")
    values, here = peak[order], shows[order]
    missed = np.cumsum(here) / max(1, here.sum())  # said not to show it, with a threshold just above each
    spared = np.cumsum(~here) / max(1, (~here).sum())
    last = np.append(np.diff(values) > 0, False)  # the highest peak as threshold says that no image shows it
    if not last.any():
        return float(values[-1])
    score = np.where(last, spared + 1 - missed, -np.inf)
    at = int(score.argmax())
    return float((values[at] + values[at + 1]) / 2)


def _balanced(said: np.ndarray, shows: np.ndarray, some: np.ndarray) -> float:
    right, spared = said[shows & some], ~said[~shows & some]
    return float((right.mean() + spared.mean()) / 2) if right.size and spared.size else float("nan")
