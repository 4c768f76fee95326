"""Pixels: which concepts pictures show before and after an edit, counted picture by picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PixelChange:
    """Counts of B pictures. before, after, both int64 (B, C): pixels that show each concept before, after, and both
    times. kept int64 (B, K): pixels whose label in each plane is the same. moved int64 (C + 1, C + 1): labels before
    and after of all pixels of all planes, 0 = none."""

    before: Tensor
    after: Tensor
    both: Tensor
    kept: Tensor
    moved: Tensor


def pixels_of(labels: Tensor, concepts: int) -> Tensor:
    """Pixels that show each concept: int64 (B, C). labels: whole numbers (B, K, H, W), 0 = none.

    >>> pixels_of(torch.tensor([[[[1, 2, 2]], [[0, 3, 0]]]]), 3).tolist()
    [[1, 2, 1]]
    """
    count, width = len(labels), concepts + 1
    key = labels.reshape(count, -1).long() + torch.arange(count, device=labels.device)[:, None] * width
    return torch.bincount(key.flatten(), minlength=count * width).view(count, width)[:, 1:]


def compared(before: Tensor, after: Tensor, concepts: int) -> PixelChange:
    """What has changed between two labellings of the same pictures, (B, K, H, W) each, plane by plane.

    >>> change = compared(torch.tensor([[[[1, 2, 2]]]]), torch.tensor([[[[1, 1, 2]]]]), 2)
    >>> change.before.tolist(), change.after.tolist(), change.both.tolist(), change.kept.tolist()
    ([[1, 2]], [[2, 1]], [[1, 1]], [[2]])
    """
    same = before == after
    pairs = before.long() * (concepts + 1) + after.long()
    moved = torch.bincount(pairs.flatten(), minlength=(concepts + 1) ** 2).view(concepts + 1, concepts + 1)
    return PixelChange(
        pixels_of(before, concepts), pixels_of(after, concepts),
        pixels_of(torch.where(same, before, torch.zeros_like(before)), concepts), same.flatten(2).sum(2), moved,
    )  # fmt: skip
