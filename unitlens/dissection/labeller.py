"""Labeller: what every pixel of the grid shows, segmented once per probe set and segmenter and then kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from unitlens.data.probe import Batch
from unitlens.data.segmentation import Segmentation
from unitlens.dissection.pilot import donors
from unitlens.dissection.plan import DissectionPlan
from unitlens.segment.segmenter import check_segmentation
from unitlens.segment.truth import Truth
from unitlens.stats.tailcount import LabelPlanes
from unitlens.store import Store

DRAWS = 3  # controls whose label areas are counted; a layer uses as many of them as it needs


class Labeller:
    """Segments batches on the pixel grid, and lends the labels of the pilot's images to others.

    recipe: the identity of the segmentations but for the images. A truth that comes with the images is not kept again.
    """

    def __init__(self, plan: DissectionPlan, store: Store | None, recipe: Mapping[str, Any]):
        self.plan, self.recipe = plan, recipe
        self.vocabulary = plan.segmenter.vocabulary
        self.groups = len(self.vocabulary.categories)
        self.group_of_concept = torch.from_numpy(self.vocabulary.category_index)
        self.store = None if isinstance(plan.segmenter, Truth) else store
        self._known: dict[int, tuple[torch.Tensor, torch.Tensor | None]] = {}
        self._fresh: dict[int, tuple[torch.Tensor, torch.Tensor | None]] = {}

    def open(self, index: Sequence[int]) -> None:
        """Makes ready for these images: their segmentations are read from the store if they are there."""
        self._known, self._fresh = {}, {}
        stored = self.store.get(self._kept_as(index), needs=("labels", "index")) if self.store else None
        if stored:
            arrays, _ = stored
            looked = arrays.get("annotated")
            for row, position in enumerate(arrays["index"]):
                annotated = None if looked is None else torch.from_numpy(looked[row])
                self._known[int(position)] = torch.from_numpy(arrays["labels"][row]), annotated

    def close(self, index: Sequence[int]) -> None:
        """Keeps what has been segmented since `open`."""
        if self.store and self._fresh:
            every = {**self._known, **self._fresh}
            planes = max(labels.shape[0] for labels, _ in every.values())
            rows = {position: _widened(labels, planes) for position, (labels, _) in every.items()}
            arrays = {"index": np.array(list(rows)), "labels": torch.stack(list(rows.values())).numpy()}
            looked = [None if annotated is None else annotated[None] for _, annotated in every.values()]
            annotated = joined(looked, [1] * len(looked), self.groups)
            if annotated is not None:
                arrays["annotated"] = annotated.numpy()
            self.store.offer(self._kept_as(index), arrays, {})
        self._known, self._fresh = {}, {}

    def __call__(self, batch: Batch) -> Segmentation:
        """What the batch shows on the grid: labels int16 (int32 for very many concepts) (B, K, H, W), on the CPU."""
        positions = [int(i) for i in batch.index]
        if positions and all(i in self._known for i in positions):
            rows = [self._known[i] for i in positions]
            annotated = joined([None if a is None else a[None] for _, a in rows], [1] * len(rows), self.groups)
            return Segmentation(torch.stack([labels for labels, _ in rows]), self.vocabulary, annotated)
        seen = check_segmentation(self.plan.segmenter(batch), batch, self.vocabulary).resized(self.plan.grid)
        labels = seen.labels.cpu().to(torch.int16 if len(self.vocabulary) < 2**15 else torch.int32)
        annotated = None if seen.annotated is None else seen.annotated.cpu()
        if self.store:
            for row, i in enumerate(positions):
                self._fresh[i] = labels[row], None if annotated is None else annotated[row]
        return Segmentation(labels, self.vocabulary, annotated)

    def planes(self, seen: Segmentation) -> LabelPlanes:
        """The labels laid out for counting. The paper's code takes every image as annotated for every category (9.9).

        Only here, so that a segmentation that is kept serves both conventions."""
        annotated = None if self.plan.convention == "reference" else seen.annotated
        return LabelPlanes.of(seen.labels, annotated, self.group_of_concept, self.groups)

    def _kept_as(self, index: Sequence[int]) -> dict[str, Any]:
        return {**self.recipe, "kind": "segmentation", "images": self.plan.probe.digest(index)}


class Lender:
    """Lends the labels of the pilot's images to other images: what a unit's pixels show by chance."""

    def __init__(self, labeller: Labeller, positions: Sequence[int], seen: Segmentation):
        """positions: of the pilot's images in the probe set, P of them. seen: their segmentation on the grid."""
        self.positions = list(positions)
        self.planes = planes = labeller.planes(seen)
        concepts, images = len(labeller.vocabulary), len(self.positions)
        key = planes.planes.view(images, -1) + torch.arange(images)[:, None] * (concepts + 1)
        count = torch.bincount(key.flatten(), minlength=images * (concepts + 1)).view(images, -1)
        self.area = count[:, 1:].numpy()  # (P, C)
        looked = planes.looked[planes.pattern].numpy()
        self.pixels = looked * np.int64(planes.pixels)  # (P, G)

    def lend(self, index: Sequence[int], draws: int) -> LabelPlanes:
        """Labels of other images for a batch of B images, draw after draw: D x B images."""
        chosen = torch.from_numpy(donors(index, draws, self.positions).reshape(-1))
        own = self.planes
        rows = own.planes.view(len(self.positions), -1).index_select(0, chosen).view(-1, own.planes.shape[1])
        return LabelPlanes(rows, own.pattern[chosen], own.looked, own.pixels)

    def areas(self, index: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of each concept (DRAWS, C) and of each category (DRAWS, G) in what is lent to these images."""
        chosen = donors(index, DRAWS, self.positions)
        return self.area[chosen].sum(1), self.pixels[chosen].sum(1)


def draws_for(units: int, concepts: int) -> int:
    """How many controls a layer has: enough for a null of its own per unit, one where the table of one is large.

    >>> draws_for(160, 194), draws_for(512, 1825)
    (3, 1)
    """
    return DRAWS if units * concepts <= 2**17 else 1


def joined(parts: Sequence[torch.Tensor | None], counts: Sequence[int], groups: int) -> torch.Tensor | None:
    """Which categories were looked for in several batches: bool (B, G); a batch without that was looked at for all.

    >>> joined([None, torch.tensor([[True, False]])], [1, 1], 2).tolist()
    [[True, True], [True, False]]
    """
    if all(part is None for part in parts):
        return None
    every = (torch.ones(count, groups, dtype=torch.bool) for count in counts)
    return torch.cat([whole if part is None else part for part, whole in zip(parts, every, strict=True)])


def _widened(labels: torch.Tensor, planes: int) -> torch.Tensor:
    """Label planes (K, H, W) with empty planes added."""
    missing = planes - labels.shape[0]
    return labels if not missing else torch.cat([labels, labels.new_zeros(missing, *labels.shape[1:])])
