"""A generator whose units are known by construction, and segmenters that see exactly what it paints.

Six units on a 3 x 4 grid; a cell becomes a tile of 4 x 5 pixels. Unit 0 is "tree" (green): its tile is green where the
unit is above 1, unless unit 1, "sky" (blue), is above 1 there, which always wins; unit 3 hides trees as well but shows
nothing. Everything else is "ground". Units 2, 4 and 5 are noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import unitlens as ul
from unitlens.models.generators import Generates

UNITS, ROWS, COLUMNS, TILE = 6, 3, 4, (4, 5)
WORDS = [("ground", "object"), ("tree", "object"), ("sky", "object"), ("bright", "part")]
GROUND, TREE, SKY = 1, 2, 3
COLOURS = torch.tensor([[0.5, 0.4, 0.3], [0.1, 0.8, 0.2], [0.2, 0.3, 0.9]])


class Units(nn.Module):
    """Latents (B, 72) as they are: units (B, 6, 3, 4)."""

    def forward(self, latents: Tensor) -> Tensor:
        return latents.view(-1, UNITS, ROWS, COLUMNS) * 1.5


class Paint(nn.Module):
    """Units to colours."""

    def forward(self, units: Tensor) -> Tensor:
        sky = units[:, 1] > 1
        tree = (units[:, 0] > 1) & ~sky & (units[:, 3] < 1.2)
        kind = torch.where(sky, 2, torch.where(tree, 1, 0))
        tiles = COLOURS[kind].permute(0, 3, 1, 2)
        return tiles.repeat_interleave(TILE[0], 2).repeat_interleave(TILE[1], 3)


class Painter(Generates, nn.Sequential):
    """units, paint."""

    latent_shape = (UNITS * ROWS * COLUMNS,)

    def __init__(self) -> None:
        super().__init__()
        self.units, self.paint = Units(), Paint()


class Soft(nn.Module):
    """The same with a gradient: a cell is as green as unit 0 is above 1, and sky takes it away."""

    def forward(self, units: Tensor) -> Tensor:
        sky = torch.sigmoid(8 * (units[:, 1:2] - 1))
        tree = torch.sigmoid(8 * (units[:, 0:1] - 1)) * (1 - sky) * torch.sigmoid(8 * (1.2 - units[:, 3:4]))
        parts = [(1 - sky - tree) * COLOURS[0][:, None, None], tree * COLOURS[1][:, None, None],
                 sky * COLOURS[2][:, None, None]]  # fmt: skip
        return sum(parts[1:], parts[0]).repeat_interleave(TILE[0], 2).repeat_interleave(TILE[1], 3)


class SoftPainter(Painter):
    """units, paint, with gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.paint = Soft()


def planes(pictures: Tensor) -> Tensor:
    """Which of the three kinds each pixel is, and whether it is bright: int16 (B, 2, H, W)."""
    apart = (pictures[:, None] - COLOURS[None, :, :, None, None].to(pictures)).abs().sum(2)
    bright = torch.where(pictures.mean(1) > 0.45, 4, 0)
    return torch.stack([apart.argmin(1) + 1, bright], 1).short()


class Sees:
    """A segmenter that counts the pictures it is shown."""

    fingerprint = "painted"

    def __init__(self) -> None:
        self.vocabulary, self.seen = ul.Vocabulary(WORDS), 0

    def __call__(self, batch: Any) -> ul.Segmentation:
        self.seen += len(batch.images)
        return ul.Segmentation(planes(batch.images), self.vocabulary)

    def probability(self, images: Tensor, concept: ul.Concept) -> Tensor:
        """How near each pixel's colour is to the concept's, against the others."""
        apart = (images[:, None] - COLOURS[None, :, :, None, None]).square().sum(2)
        return torch.softmax(-20 * apart, 1)[:, [c for c, _ in WORDS].index(concept.name)]


def naively(model: nn.Module, latents: Tensor, change: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Labels of pictures, one at a time, by the whole generator with a plain hook: (N, 2, H, W)."""
    found = []
    for latent in latents:
        handle = model.units.register_forward_hook(lambda module, given, output: change(output.clone()))
        try:
            with torch.no_grad():
                found.append(planes(model(latent[None]))[0].numpy())
        finally:
            handle.remove()
    return np.stack(found)
