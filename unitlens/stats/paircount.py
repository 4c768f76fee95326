"""PairCount and LabelCount: on how many pixels a unit fires, a concept is seen, or both. IoU is their quotient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from unitlens.errors import ConceptError, OptionError, RecipeMismatch, ShapeMismatch
from unitlens.stats.accumulator import Accumulator, at_least_one, positions

GroupNumbers = Sequence[int] | npt.NDArray[np.integer] | torch.Tensor
BLOCK_VALUES = 2**22  # activations compared with their thresholds at a time, on a CPU


class LabelTable(NamedTuple):
    """concept_area int64 (C,): pixels that show it. pixels int64 (G,): all pixels of images annotated for the group."""

    concept_area: torch.Tensor
    pixels: torch.Tensor


class PairTable(NamedTuple):
    """intersection int64 (U, C) and activation_area int64 (U, G), in pixels."""

    intersection: torch.Tensor
    activation_area: torch.Tensor


class LabelCount(Accumulator):
    """How many pixels show each concept. One for all layers that are measured with the same segmentations.

    A label that stands in two planes of one pixel counts once (paper.md 9.8). An image that is not annotated for a
    group counts nowhere in that group (paper.md 1.7).

    concepts: C. groups: G, categories. group_of_concept: (C,) whole numbers in 0..G-1.
    Raises OptionError, or ShapeMismatch for a wrong group_of_concept.

    >>> seen = LabelCount(concepts=2, groups=1, group_of_concept=[0, 0])
    >>> seen.update(torch.tensor([[[1, 1, 0, 2]]]))
    >>> seen.compute().concept_area.tolist(), seen.compute().pixels.tolist()
    ([2, 1], [4])
    """

    sizes: ClassVar = ("concepts", "groups")
    settings: ClassVar = ("group_of_concept",)
    states: ClassVar = {"concept_area": "sum", "pixels": "sum"}

    def __init__(self, concepts: int, groups: int, group_of_concept: GroupNumbers):
        super().__init__()
        at_least_one(concepts=concepts, groups=groups)
        self.concepts, self.groups = int(concepts), int(groups)
        self.group_of_concept = group_numbers(group_of_concept, self.concepts, self.groups)
        self.concept_area = torch.zeros(self.concepts, dtype=torch.int64)
        self.pixels = torch.zeros(self.groups, dtype=torch.int64)

    @torch.inference_mode()
    def update(self, labels: torch.Tensor, annotated: torch.Tensor | None = None) -> None:
        """Take in one batch.

        labels: whole numbers (B, K, P) or (B, K, H, W), 0 = none, c + 1 = concept c.
        annotated: bool (B, G), or None when every image is annotated for every group.
        Raises ConceptError for a label outside 0..C, ShapeMismatch.
        """
        planes = countable(labels, annotated, self.group_of_concept, self.groups)  # (B, K, P)
        self._follow(planes.device)
        counts = torch.bincount(planes.flatten().to(self.device, torch.int64), minlength=self.concepts + 1)
        self.concept_area += counts[1:]
        images = len(planes) if annotated is None else annotated.to(self.device).sum(0)
        self.pixels += images * planes.shape[2]

    def compute(self) -> LabelTable:
        """The counts so far; see LabelTable."""
        return LabelTable(self.concept_area.cpu().clone(), self.pixels.cpu().clone())


class PairCount(Accumulator):
    """How many pixels each unit fires on, and on how many of them each concept is seen.

    `intersection` (U, C) and `activation_area` (U, G) count in images annotated for the concept's group only; the
    concepts' own areas are counted once for all layers by LabelCount, with the same rules.
    Only firing pixels (about 1 %) are looked at: bincount over unit x label, plane by plane.

    units: U. concepts: C. groups: G. group_of_concept: (C,) whole numbers in 0..G-1.
    Raises OptionError, or ShapeMismatch for a wrong group_of_concept.

    >>> pairs = PairCount(units=1, concepts=2, groups=1, group_of_concept=[0, 0])
    >>> seen = LabelCount(concepts=2, groups=1, group_of_concept=[0, 0])
    >>> labels = torch.tensor([[[1, 1, 2, 0]]])
    >>> pairs.update(torch.tensor([[[True, False, True, False]]]), labels); seen.update(labels)
    >>> [round(iou, 3) for iou in pairs.iou(seen)[0].tolist()]  # 1 / (2 + 2 - 1) and 1 / (2 + 1 - 1)
    [0.333, 0.5]
    """

    sizes: ClassVar = ("units", "concepts", "groups")
    settings: ClassVar = ("group_of_concept",)
    states: ClassVar = {"intersection": "sum", "activation_area": "sum"}

    def __init__(self, units: int, concepts: int, groups: int, group_of_concept: GroupNumbers):
        super().__init__()
        at_least_one(units=units, concepts=concepts, groups=groups)
        self.units, self.concepts, self.groups = int(units), int(concepts), int(groups)
        self.group_of_concept = group_numbers(group_of_concept, self.concepts, self.groups)
        self.intersection = torch.zeros(self.units, self.concepts, dtype=torch.int64)
        self.activation_area = torch.zeros(self.units, self.groups, dtype=torch.int64)

    @torch.inference_mode()
    def update(
        self,
        fires: torch.Tensor,
        labels: torch.Tensor,
        annotated: torch.Tensor | None = None,
        *,
        thresholds: torch.Tensor | None = None,
    ) -> None:
        """Take in one batch.

        fires: bool (B, U, P) or (B, U, H, W); or, with `thresholds`, activations on the labels' grid.
        labels: whole numbers (B, K, P) or (B, K, H, W), 0 = none, c + 1 = concept c.
        annotated: bool (B, G), or None when every image is annotated for every group.
        thresholds: float (U,); a unit fires where its activation is strictly greater (paper.md 9.6).
        Raises ConceptError for a label outside 0..C, ShapeMismatch.
        """
        self._check(fires, labels, thresholds)
        planes = countable(labels, annotated, self.group_of_concept, self.groups)  # (B, K, P)
        self._follow(fires.device)
        planes = planes.to(self.device)
        seen = torch.ones(len(planes), self.groups, dtype=torch.bool) if annotated is None else annotated.detach()
        seen = seen.to(self.device)
        step = max(1, BLOCK_VALUES // max(1, fires[:1].numel())) if fires.device.type == "cpu" else max(1, len(fires))
        for start in range(0, len(fires), step):
            part = slice(start, start + step)
            firing = fires[part].detach().flatten(2)
            if thresholds is not None:
                firing = firing > thresholds.detach().to(firing.device)[:, None]
            self._take(firing, planes[part], seen[part])

    def compute(self) -> PairTable:
        """The counts so far; see PairTable."""
        return PairTable(self.intersection.cpu().clone(), self.activation_area.cpu().clone())

    def iou(self, labels: LabelCount) -> torch.Tensor:
        """Intersection over union of each unit and concept, pooled over all pixels: float64 (U, C), CPU.

        0.0 where the union is empty, never NaN (paper.md 1.0, 2.3, 5.3). Raises RecipeMismatch when `labels` was made
        for other concepts or groups.
        """
        if not torch.equal(labels.group_of_concept, self.group_of_concept) or labels.groups != self.groups:
            raise RecipeMismatch(
                f"labels: expected {self.concepts} concepts in {self.groups} groups, as here, got {labels.concepts} in "
                f"{labels.groups}, or other groups for them. Count both with one vocabulary."
            )
        both, fired = self.compute()
        union = fired[:, self.group_of_concept] + labels.compute().concept_area - both  # (U, C)
        return torch.where(union > 0, both.double() / union.clamp(min=1), 0.0)

    def _take(self, firing: torch.Tensor, planes: torch.Tensor, seen: torch.Tensor) -> None:
        images, units, pixels = firing.shape
        found = positions(firing).to(self.device)  # image, unit, pixel in one number
        row = found // pixels  # image x unit
        image, unit = row // units, row % units
        fired = torch.bincount(row, minlength=images * units).view(images, units)
        # A product of whole numbers; float64 holds them exactly, and CUDA multiplies no int64 matrices.
        self.activation_area += (fired.T.double() @ seen.double()).long()
        place = image * pixels + found % pixels
        keys = []
        for plane in planes.unbind(1):  # (B, P), one of K
            label = plane.flatten()[place].long()
            shown = positions(label > 0)
            keys.append(unit[shown] * self.concepts + label[shown] - 1)
        counts = torch.bincount(torch.cat(keys), minlength=self.units * self.concepts)
        self.intersection += counts.view(self.units, self.concepts)

    def _check(self, fires: torch.Tensor, labels: torch.Tensor, thresholds: torch.Tensor | None) -> None:
        if fires.ndim < 3 or fires.shape[1] != self.units:
            raise ShapeMismatch(f"fires: expected (images, {self.units} units, pixels), got {tuple(fires.shape)}")
        if (fires.dtype == torch.bool) == (thresholds is not None):
            expected = "bool" if thresholds is None else "activations, because thresholds are given"
            raise ShapeMismatch(
                f"fires: expected {expected}, got {fires.dtype}. Give bool, or activations with thresholds=(U,)."
            )
        if thresholds is not None and tuple(thresholds.shape) != (self.units,):
            raise ShapeMismatch(f"thresholds: expected one per unit ({self.units},), got {tuple(thresholds.shape)}")
        if len(labels) != len(fires) or labels.shape[2:] != fires.shape[2:]:
            raise ShapeMismatch(
                f"labels: expected (images, planes, pixels) for {len(fires)} images of {tuple(fires.shape[2:])}, got "
                f"{tuple(labels.shape)}. Bring activations and labels to one grid first."
            )


def dedupe(labels: torch.Tensor) -> torch.Tensor:
    """Label planes (B, K, P) where a label that stands in several planes of a pixel is left in the first only.

    >>> dedupe(torch.tensor([[[3, 1], [3, 2]]])).tolist()
    [[[3, 1], [0, 2]]]
    """
    planes = list(labels.unbind(1))
    for later in range(1, len(planes)):
        for earlier in range(later):
            planes[later] = planes[later].masked_fill(planes[later] == planes[earlier], 0)
    return torch.stack(planes, 1) if planes else labels


def group_numbers(groups_in: GroupNumbers, concepts: int, groups: int) -> torch.Tensor:
    """group_of_concept as int64 (C,), CPU. Raises ShapeMismatch (length) or OptionError (a number outside 0..G-1).

    >>> group_numbers([0, 1, 0], concepts=3, groups=2).tolist()
    [0, 1, 0]
    """
    numbers = torch.as_tensor(groups_in).detach().cpu()
    if tuple(numbers.shape) != (concepts,):
        raise ShapeMismatch(f"group_of_concept: expected one per concept ({concepts},), got {tuple(numbers.shape)}")
    if numbers.is_floating_point() or int(numbers.min()) < 0 or int(numbers.max()) >= groups:
        low, high = numbers.min().item(), numbers.max().item()
        raise OptionError(f"group_of_concept: expected whole numbers in 0..{groups - 1}, got {low}..{high}")
    return numbers.long().clone()


def countable(
    labels: torch.Tensor, annotated: torch.Tensor | None, group_of_concept: torch.Tensor, groups: int
) -> torch.Tensor:
    """Label planes (B, K, P) in which every nonzero label is to be counted, once per pixel.

    Labels of a group that the image is not annotated for become 0. Raises ConceptError, ShapeMismatch.

    >>> group = torch.tensor([0, 1])
    >>> countable(torch.tensor([[[1, 2]]]), torch.tensor([[True, False]]), group, 2).tolist()
    [[[1, 0]]]
    """
    if labels.ndim < 3 or labels.is_floating_point() or labels.dtype == torch.bool:
        got = f"{labels.dtype} {tuple(labels.shape)}"
        raise ShapeMismatch(f"labels: expected whole numbers (images, planes, pixels), got {got}")
    planes = labels.detach().flatten(2)
    concepts = len(group_of_concept)
    if torch.iinfo(planes.dtype).max < concepts:  # compared as such, the number of concepts would wrap around
        planes = planes.int()
    wrong = (planes < 0) | (planes > concepts)
    if bool(wrong.any()):
        image, plane, pixel = (int(part) for part in wrong.nonzero()[0])
        raise ConceptError(
            f"labels: expected 0..{concepts} (0 = none), got {int(planes[image, plane, pixel])} in image {image} "
            f"of the batch, plane {plane}. Labels are vocabulary positions + 1; was another vocabulary used?"
        )
    if annotated is not None:
        if tuple(annotated.shape) != (len(planes), groups) or annotated.dtype != torch.bool:
            got = f"{annotated.dtype} {tuple(annotated.shape)}"
            raise ShapeMismatch(f"annotated: expected bool (images, groups) {(len(planes), groups)}, got {got}")
        groups_seen = annotated.detach().to(planes.device)[:, group_of_concept.to(planes.device)]  # (B, C)
        allowed = torch.cat([torch.ones_like(groups_seen[:, :1]), groups_seen], 1)  # label 0 stays 0
        rows = torch.arange(len(planes), device=planes.device)[:, None, None]
        planes = planes.where(allowed[rows, planes.long()], 0)
    return dedupe(planes)
