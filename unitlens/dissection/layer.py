"""LayerDissection: what was counted of one layer, read at one quantile."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from unitlens.dissection.tails import Reading, TailTable, read_at

Numbers = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class LayerDissection:
    """The counts of one layer (U units, C concepts, G categories, k top images, h x w activation grid).

    threshold: float32 (U,), t_u: the unit fires where its upsampled activation is strictly greater.
    intersection: int64 (U, C), pixels where the unit fires and the concept is seen.
    activation_area: int64 (U, G), firing pixels in the images annotated for each category.
    top_value, top_index: float32, int64 (U, k), peak activation and position in the probe set of the images that
        excite the unit most, best first (-1 where there are fewer than k).
    top_map: float16 (U, k, h, w), the unit's activation map in those images (on the pixel grid where that is coarser).
    geometry: (scale_y, offset_y, scale_x, offset_x) from cells of `top_map` to image pixels, None = cells tile it.
    nonfinite: int64 (U,), activations that were NaN or infinite.
    tails: the counts at several thresholds that all this is read off, or None where only these numbers are known.
    reading: where in the tails threshold and counts were read, None without tails.
    """

    name: str
    threshold: np.ndarray
    intersection: np.ndarray
    activation_area: np.ndarray
    top_value: np.ndarray
    top_index: np.ndarray
    top_map: np.ndarray
    nonfinite: np.ndarray
    geometry: Numbers | None = None
    tails: TailTable | None = None
    reading: Reading | None = None

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.threshold)

    @classmethod
    def of(
        cls, name: str, tails: TailTable, top_value: np.ndarray, top_index: np.ndarray, top_map: np.ndarray,
        nonfinite: np.ndarray, geometry: Numbers | None, quantile: float, total: int,
    ) -> LayerDissection:  # fmt: skip
        """The layer read off its tails at a quantile. total: pixels of the grid in all images."""
        read = read_at(tails, quantile, total)
        return cls(
            name, read.threshold, read.intersection, read.activation_area, top_value, top_index, top_map, nonfinite,
            geometry, tails, read,
        )  # fmt: skip

    def at(self, quantile: float, total: int) -> LayerDissection:
        """The same counts read at another quantile; the layer itself where it has no tails."""
        if self.tails is None:
            return self
        read = read_at(self.tails, quantile, total)
        return dataclasses.replace(
            self, threshold=read.threshold, intersection=read.intersection, activation_area=read.activation_area,
            reading=read,
        )  # fmt: skip
