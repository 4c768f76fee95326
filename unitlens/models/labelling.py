"""SceneSegmenter: the small network that tells objects and parts in pictures of villages, drawn or generated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

#: What it tells, in the order of its logits; logit 0 of each plane is "none of these".
OBJECTS: tuple[str, ...] = (
    "sky", "cloud", "sun", "mountain", "hill", "grass", "path", "pavement", "church", "house", "tree", "bush", "flower",
)  # fmt: skip
PARTS: tuple[str, ...] = (
    "facade", "roof", "window", "door", "arch", "tower", "steeple", "dome", "chimney", "shutter", "trunk", "crown",
    "blossom",
)  # fmt: skip
PLANES: tuple[tuple[str, tuple[str, ...]], ...] = (("object", OBJECTS), ("part", PARTS))
WIDTHS: tuple[int, ...] = (24, 48, 96, 160)


class SceneSegmenter(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to logits of both planes (B, 28, H, W); H and W multiples of 8.

    A column of convolutions down to an eighth of the size and one back up, what was seen on the way down added to what
    comes up.
    """

    unitlens_name: str  # how displays call it; `load_model` says

    def __init__(self, widths: Sequence[int] = WIDTHS, planes: Sequence[tuple[str, Sequence[str]]] = PLANES):
        super().__init__()
        self.planes = tuple((category, tuple(names)) for category, names in planes)
        first, *wider = widths
        self.stem = _convolution(3, first)
        self.down = nn.ModuleList()
        for inputs, width in zip(widths, wider, strict=False):
            self.down.append(nn.Sequential(_convolution(inputs, width, stride=2), _convolution(width, width)))
        self.deep = _convolution(wider[-1], wider[-1])
        self.narrow, self.up = nn.ModuleList(), nn.ModuleList()
        for inputs, width in reversed(list(zip(wider, widths, strict=False))):
            self.narrow.append(nn.Conv2d(inputs, width, 1))
            self.up.append(_convolution(width, width))
        self.head = nn.Conv2d(first, sum(len(names) + 1 for _, names in self.planes), 1)

    def forward(self, images: Tensor) -> Tensor:
        seen = [self.stem(2 * images - 1)]
        for block in self.down:
            seen.append(block(seen[-1]))
        values = seen.pop()
        values = values + self.deep(values)
        for narrow, up in zip(self.narrow, self.up, strict=True):
            values = functional.interpolate(narrow(values), scale_factor=2.0, mode="bilinear", align_corners=False)
            values = up(values + seen.pop())
        return self.head(values)

    def by_plane(self, logits: Tensor) -> tuple[Tensor, ...]:
        """The logits (B, 1 + names, H, W) of each plane."""
        return logits.split([len(names) + 1 for _, names in self.planes], 1)

    def labels(self, logits: Tensor) -> Tensor:
        """The likeliest name of every plane at every pixel, uint8 (B, K, H, W): 0 = none, i + 1 = name i of it."""
        return torch.stack([plane.argmax(1) for plane in self.by_plane(logits)], 1).to(torch.uint8)

    def probability(self, images: Tensor, name: str) -> Tensor:
        """How likely each pixel shows a concept, (B, H, W); differentiable."""
        logits = self.by_plane(self(images))
        for plane, (_, names) in zip(logits, self.planes, strict=True):
            if name in names:
                return plane.float().softmax(1)[:, names.index(name) + 1]
        raise KeyError(name)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=False)
    )
