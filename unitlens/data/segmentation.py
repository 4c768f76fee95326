"""Segmentation: the label planes that say which concepts each pixel of a batch shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unitlens.data.concepts import Vocabulary
from unitlens.errors import ConceptError, ShapeMismatch


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Which concepts each pixel shows.

    labels: int16 (B, K, H, W), K planes because a pixel can show several concepts at once (a door, part of a
        house, of wood, brown). 0 = no concept, i + 1 = concept i of the vocabulary.
    annotated: bool (B, G) or None: which categories were looked for in each image (G = len(vocabulary.categories)).
        None = all. An image without annotations of a category is left out of that category's denominators, as in
        NetDissect (paper.md 1.7).

    Raises ShapeMismatch for labels or `annotated` of another form, ConceptError for a label beyond the vocabulary.

    >>> words = Vocabulary([("tree", "object"), ("red", "colour")])
    >>> seen = Segmentation(torch.zeros(2, 1, 3, 4, dtype=torch.int16), words)  # two images of 3 x 4 pixels
    >>> len(seen), tuple(seen.resized((6, 8)).labels.shape)
    (2, (2, 1, 6, 8))
    """

    labels: torch.Tensor
    vocabulary: Vocabulary
    annotated: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.labels, torch.Tensor):
            raise ShapeMismatch(f"segmentation labels: expected a tensor, got {type(self.labels).__name__}")
        if self.labels.ndim != 4:
            raise ShapeMismatch(
                f"segmentation labels: expected (images, planes, height, width), got {tuple(self.labels.shape)}. "
                "For one plane use labels[:, None]."
            )
        if self.labels.dtype not in (torch.int16, torch.int32, torch.int64, torch.uint8):
            raise ShapeMismatch(f"segmentation labels: expected whole numbers (int16), got {self.labels.dtype}")
        if self.labels.numel():
            low, high = int(self.labels.min()), int(self.labels.max())
            if low < 0 or high > len(self.vocabulary):
                raise ConceptError(
                    f"segmentation labels: expected 0..{len(self.vocabulary)} (0 = none), got {low}..{high}. "
                    "Labels are vocabulary positions + 1."
                )
        shape = (len(self.labels), len(self.vocabulary.categories))
        looked = self.annotated
        if looked is not None and (tuple(looked.shape) != shape or looked.dtype != torch.bool):
            raise ShapeMismatch(
                f"annotated: expected bool (images, categories) = {shape}, got {looked.dtype} {tuple(looked.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def resized(self, size: tuple[int, int]) -> Segmentation:
        """The labels on another grid (H, W): the label under the centre of each new pixel."""
        height, width = self.labels.shape[-2:]
        if (height, width) == tuple(size):
            return self
        rows = ((torch.arange(size[0], dtype=torch.float64) + 0.5) * height / size[0]).long()
        columns = ((torch.arange(size[1], dtype=torch.float64) + 0.5) * width / size[1]).long()
        device = self.labels.device
        return Segmentation(
            self.labels[:, :, rows.to(device)][..., columns.to(device)], self.vocabulary, self.annotated
        )
