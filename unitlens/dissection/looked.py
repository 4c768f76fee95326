"""Look: what the units of one layer see in one picture, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unitlens.data.alignment import Geometry, upsample
from unitlens.data.concepts import Concept, Vocabulary
from unitlens.errors import OptionError
from unitlens.rich import Rich

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Sighting:
    """A concept that detectors see in a picture.

    units: its detectors that fire, the strongest first. share: of the picture where any of them fires, 0..1.
    mask: bool (H, W), these places.
    """

    concept: Concept
    units: tuple[int, ...]
    share: float
    mask: np.ndarray

    def __repr__(self) -> str:
        return f"Sighting({self.concept}, {self.share:.1%} of the picture, units {', '.join(map(str, self.units))})"


@dataclass(frozen=True, eq=False)
class Look(Rich):
    """Which units of a layer fire where in one picture; made by `look`. Shows itself in a notebook.

    How strongly a unit fires in the picture is its `share`: the part of the picture where it is above its threshold.
    Over the probe set every unit fires on the same part of all pixels, `usual` = 1 - quantile; `times` = share / usual
    says that a unit fires on 14 % of this picture, 14 times its average.

    picture: uint8 (H, W, 3), as the model saw it. layer, model: names.
    maps: float16 (U, h, w), the activations as a dissection keeps them of top images. geometry: (scale_y, offset_y,
        scale_x, offset_x) from their cells to pixels of the model's image, None = they tile it. image_size: (H, W) of
        the model's image.
    fires: bool (U, H', W'), above the threshold, on the pixel grid that the dissection counts on.
    peak: float32 (U,), highest activation in the picture. highest: float32 (U,), over the probe set.
    threshold: float32 (U,), t_u. label: int64 (U,), the unit's concept in the vocabulary, -1 = none. iou: float64 (U,).
    """

    picture: np.ndarray
    layer: str
    model: str
    maps: np.ndarray
    geometry: Geometry | None
    image_size: tuple[int, int]
    fires: np.ndarray
    peak: np.ndarray
    highest: np.ndarray
    threshold: np.ndarray
    label: np.ndarray
    iou: np.ndarray
    vocabulary: Vocabulary
    quantile: float
    min_iou: float

    # ---- numbers --------------------------------------------------------------------------------------------

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.threshold)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.picture.shape[0], self.picture.shape[1]

    @property
    def share(self) -> np.ndarray:
        """The part of the picture where each unit fires: float64 (U,), 0..1."""
        return self.fires.mean((1, 2))

    @property
    def usual(self) -> float:
        """The part of all pixels of the probe set where every unit fires."""
        return round(1 - self.quantile, 12)  # 1 - 0.99 is 0.010000000000000009

    @property
    def times(self) -> np.ndarray:
        """How many times its average each unit fires here: float64 (U,), share / usual."""
        return self.share / self.usual

    @property
    def detector(self) -> np.ndarray:
        """Whether each unit is a detector: bool (U,)."""
        return (self.label >= 0) & (self.iou >= self.min_iou)

    def concept(self, unit: int) -> Concept | None:
        """The concept that the dissection found for a unit, detector or not."""
        label = int(self.label[self._unit(unit)])
        return self.vocabulary[label] if label >= 0 else None

    def strongest(self, count: int | None = 6) -> np.ndarray:
        """The units that fire on the largest share of the picture, largest first: int64 (at most `count`,).

        Units that fire nowhere are left out; of equal shares the one whose peak is nearer to its highest comes first.
        """
        if count is not None and (isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1):
            raise OptionError(f"count: expected a whole number from 1 on, or None for all, got {count!r}")
        share = self.share
        order = np.lexsort((-self._relative(self.peak, np.arange(self.units)), -share))
        return order[share[order] > 0][:count]

    # ---- places ---------------------------------------------------------------------------------------------

    def activation(self, units: Any = None, size: tuple[int, int] | None = None) -> np.ndarray:
        """Activations on the picture's pixels: float32 (n, H, W). units: numbers, None = all. size: another (H, W)."""
        chosen = np.arange(self.units) if units is None else self._units(units)
        return upsample(self.maps[chosen], size or self.size, image_size=self.image_size, geometry=self.geometry)

    def mask(self, units: Any = None, size: tuple[int, int] | None = None) -> np.ndarray:
        """Where units fire, on the picture's pixels: bool (n, H, W). Arguments as in `activation`.

        `share` counts on the coarser grid of the dissection, so that it compares with `usual`.
        """
        chosen = np.arange(self.units) if units is None else self._units(units)
        return self.activation(chosen, size) > self.threshold[chosen, None, None]

    def segmentation(self, count: int | None = 6, size: tuple[int, int] | None = None) -> np.ndarray:
        """The picture segmented by its strongest units: int64 (H, W), the number of a unit, -1 where none fires.

        Where several fire, the pixel goes to the one that is furthest on the way from its threshold (0) to its highest
        activation over the probe set (1). count: of `strongest`. size: another (H, W).
        """
        units = self.strongest(count)
        if not len(units):
            return np.full(size or self.size, -1, dtype=np.int64)
        relative = self._relative(self.activation(units, size), units)  # (n, H, W)
        return np.where(relative.max(axis=0) > 0, units[relative.argmax(axis=0)], -1)

    def concepts(self) -> list[Sighting]:
        """The concepts whose detectors fire, each with the union of these places; the largest share first."""
        return [
            Sighting(self.vocabulary[label], tuple(map(int, units)), share, np.any(self.mask(units), axis=0))
            for label, units, share in self._sighted()
        ]

    def _sighted(self) -> list[tuple[int, np.ndarray, float]]:
        """Label, firing detectors and share of every concept that is seen."""
        seeing = self.strongest(None)
        seeing = seeing[self.detector[seeing]]
        found = []
        for label in dict.fromkeys(self.label[seeing].tolist()):
            units = seeing[self.label[seeing] == label]
            found.append((label, units, float(self.fires[units].any(axis=0).mean())))
        return sorted(found, key=lambda one: -one[2])

    def _relative(self, values: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Activations of units, first axis, as 0 at the threshold and 1 at the highest over the probe set.

        Not activation / threshold: before a ReLU a threshold may be 0 or less.
        """
        low = self.threshold[units].astype(np.float64)
        high = np.fmax(self.highest[units], self.peak[units]).astype(np.float64)
        low, high = (x.reshape(-1, *[1] * (values.ndim - 1)) for x in (low, high))
        with np.errstate(invalid="ignore"):
            span = high - low
            return (values - low) / np.where(np.isfinite(span) & (span > 0), span, 1.0)

    def _unit(self, unit: Any) -> int:
        whole = isinstance(unit, (int, np.integer)) and not isinstance(unit, (bool, np.bool_))
        if not whole or not 0 <= int(unit) < self.units:
            raise OptionError(f"unit: expected a whole number 0..{self.units - 1} of {self.layer!r}, got {unit!r}")
        return int(unit)

    def _units(self, units: Any) -> np.ndarray:
        numbers = [units] if np.ndim(units) == 0 else list(units)
        return np.array([self._unit(unit) for unit in numbers], dtype=np.int64)

    # ---- displays (drawn by unitlens.display) ----------------------------------------------------------------

    def frame(self) -> pandas.DataFrame:
        """One row a unit, the strongest first: unit, concept ("-" for none), category, iou, detector, share, times,
        peak, threshold."""
        import pandas

        first = self.strongest(None)
        order = np.concatenate([first, np.setdiff1d(np.arange(self.units), first)])
        names = np.array([c.name for c in self.vocabulary] + ["-"], dtype=object)
        categories = np.array([c.category for c in self.vocabulary] + ["-"], dtype=object)
        columns = {
            "unit": np.arange(self.units), "concept": names[self.label], "category": categories[self.label],
            "iou": self.iou, "detector": self.detector, "share": self.share, "times": self.times, "peak": self.peak,
            "threshold": self.threshold,
        }  # fmt: skip
        return pandas.DataFrame({name: values[order] for name, values in columns.items()})

    def show(self, count: int = 6, *, style: str = "outline") -> Any:
        """The picture, segmented by its `count` strongest units (at most 7), these units, and the concepts they see.

        style: how units are drawn: "outline", "heat", "dim" or "plain"."""
        return self.view("show", count, style=style)

    def unit(self, unit: int) -> Any:
        """One unit in this picture: where it fires, how strongly, and what the dissection says it stands for."""
        return self.view("unit", unit)

    def text(self) -> str:
        """The strongest units and the concepts in lines that fit a terminal of 80 columns."""
        lines = [repr(self), "", f"{'unit':>5}  {'share':>6}  {'times':>5}  {'IoU':>4}  concept"]
        share, times = self.share, self.times
        for unit in self.strongest():
            concept = self.concept(unit)
            words = f"{concept.name} ({concept.category})" if concept else "no concept"
            weak = "" if self.detector[unit] or concept is None else ", no detector"
            numbers = f"{unit:>5}  {share[unit]:>6.1%}  {times[unit]:>5.1f}  {self.iou[unit]:>4.2f}"
            lines.append(f"{numbers}  {words}{weak}")
        found = self._sighted()
        seen = ", ".join(f"{self.vocabulary[label].name} {share:.1%}" for label, _, share in found[:8])
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        return "\n".join([*lines, "", f"concepts: {seen or 'no detector fires'}{more}"])

    def __repr__(self) -> str:
        firing = int(self.fires.any(axis=(1, 2)).sum())
        height, width = self.size
        return (
            f"Look of {self.layer} of {self.model} at a picture of {width}x{height}: {firing} of {self.units} units "
            f"fire, {len(self._sighted())} concepts, quantile {self.quantile:g}"
        )
