"""Adversary: judges of pictures that look at frozen features of the scene classifier, as in Projected GAN."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

LOOKED_AT = ("relu1_2", "relu2_2", "relu3_3", "relu5_3")
MIXED = 64  # channels that the features of a layer are mixed into, at random, once


class Adversary(nn.Module):
    """One judge for each layer of a frozen classifier, and one for the pixels: logits (B, cells) of all of them.

    Features are standardised by what real pictures give (`learn_scales`), mixed by fixed random weights, and joined by
    how much each differs over the batch, so that a generator cannot pass with one picture.
    """

    def __init__(self, classifier: nn.Module, layers: Sequence[str] = LOOKED_AT):
        super().__init__()
        last = [name for name, _ in classifier.named_children()].index(layers[-1])
        self.classifier = nn.Sequential(*list(classifier.children())[: last + 1]).eval().requires_grad_(False)
        self.places = [[name for name, _ in classifier.named_children()].index(layer) for layer in layers]
        with torch.no_grad():
            widths = [features.shape[1] for features in self._features(torch.zeros(1, 3, 64, 64))]
        for number, width in enumerate(widths):
            self.register_buffer(f"mean{number}", torch.zeros(1, width, 1, 1))
            self.register_buffer(f"std{number}", torch.ones(1, width, 1, 1))
            self.register_buffer(f"mix{number}", nn.init.kaiming_normal_(torch.empty(MIXED, width, 1, 1)))
        downs = (3, 2, 1, 0)
        self.judges = nn.ModuleList([judge(MIXED, downs[number]) for number in range(len(widths))])
        self.pixels = judge(3, 4, start=24)

    def _features(self, images: Tensor) -> list[Tensor]:
        found = []
        for place, module in enumerate(self.classifier):
            images = module(images)
            if place in self.places:
                found.append(images)
        return found

    @torch.no_grad()
    def learn_scales(self, batches: Sequence[Tensor]) -> None:
        """Mean and standard deviation of every feature over real pictures."""
        features = [self._features(images) for images in batches]
        for number in range(len(self.places)):
            values = torch.cat([one[number] for one in features])
            getattr(self, f"mean{number}").copy_(values.mean((0, 2, 3), keepdim=True))
            getattr(self, f"std{number}").copy_(values.std((0, 2, 3), keepdim=True) + 1e-3)

    def features(self, images: Tensor) -> list[Tensor]:
        """What the judges look at: the pixels, then the layers' features, standardised and mixed."""
        found = [2 * images - 1]
        for number, features in enumerate(self._features(images)):
            scaled = (features - getattr(self, f"mean{number}")) / getattr(self, f"std{number}")
            found.append(functional.conv2d(scaled, getattr(self, f"mix{number}")))
        return found

    def judge(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (B, cells) of all judges."""
        said = [self.pixels(features[0]), *(j(f) for j, f in zip(self.judges, features[1:], strict=True))]
        return torch.cat([one.flatten(1) for one in said], 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.judge(self.features(images))


class Variety(nn.Module):
    """One more channel: how much the values differ over the pictures of the batch."""

    def forward(self, values: Tensor) -> Tensor:
        spread = values.float().std(0, unbiased=False).mean().to(values.dtype)
        return torch.cat([values, spread.expand(len(values), 1, *values.shape[2:])], 1)


def judge(inputs: int, downs: int, start: int = 64) -> nn.Module:
    """A small network down to a grid of logits."""
    layers: list[nn.Module] = []
    width = start
    for _ in range(downs):
        layers += [spectral_norm(nn.Conv2d(inputs, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
        inputs, width = width, min(96, 2 * width)
    layers += [Variety(), spectral_norm(nn.Conv2d(inputs + 1, 64, 3, 1, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(64, 1, 3, 1, 1)))


def changed_alike(images: Tensor, generator: torch.Generator) -> Tensor:
    """Light, contrast, colour, place and a mirror, drawn for each picture; differentiable [DiffAugment]."""
    count = len(images)

    def drawn(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)

    images = images + drawn(-0.12, 0.12)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * drawn(0.6, 1.4) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * drawn(0.75, 1.25) + mean
    margin = images.shape[-1] // 8
    padded = functional.pad(images, (margin,) * 4, mode="replicate")
    side = images.shape[-1]
    rows, columns = (torch.randint(0, 2 * margin + 1, (count,), generator=generator) for _ in range(2))
    grid_y = rows[:, None] + torch.arange(side)
    grid_x = columns[:, None] + torch.arange(side)
    return padded.permute(0, 2, 3, 1)[torch.arange(count)[:, None, None], grid_y[:, :, None], grid_x[:, None]].permute(
        0, 3, 1, 2)  # fmt: skip
