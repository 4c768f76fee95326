"""SceneGenerator: the small generator of villages that ships with the package, in the manner of a progressive GAN."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from unitlens.models.generators import Generates

LATENT = 128
#: Units of each layer; two layers for each size from 4 pixels on.
WIDTHS: tuple[int, ...] = (256, 256, 192, 192, 192, 192, 96, 96, 32, 32)


class SceneGenerator(Generates, nn.Sequential):
    """layer1 ... layer10 and output: latents (B, 128) to pictures (B, 3, 64, 64) in [0, 1].

    Each layer is a convolution with equalised learning rate, a leaky ReLU and a pixel normalisation; layers 3, 5, 7 and
    9 double the size first, by repeating pixels [paper.md 2.8]. The grids are 4, 4, 8, 8, 16, 16, 32, 32, 64, 64.
    """

    unitlens_name: str  # how displays call it; `load_model` says
    segments = "scenes"  # the segmenter that knows its pictures

    def __init__(self, latent: int = LATENT, widths: tuple[int, ...] = WIDTHS):
        layers = OrderedDict[str, nn.Module]()
        inputs = latent
        for number, width in enumerate(widths, start=1):
            doubles = number > 1 and number % 2 == 1
            layers[f"layer{number}"] = GeneratorLayer(inputs, width, first=number == 1, doubles=doubles)
            inputs = width
        layers["output"] = Output(inputs)
        super().__init__(layers)
        self.latent_shape, self.widths = (latent,), tuple(widths)

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return int(4 * 2 ** ((len(self.widths) - 1) // 2))


class GeneratorLayer(nn.Module):
    """A convolution whose weights are scaled when they are used, a leaky ReLU, and units normalised at every cell."""

    def __init__(self, inputs: int, outputs: int, *, first: bool, doubles: bool):
        super().__init__()
        side = 4 if first else 3
        self.first, self.doubles = first, doubles
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = math.sqrt(2) / math.sqrt(inputs * (1 if first else side * side))

    def forward(self, values: Tensor) -> Tensor:
        if self.first:
            values = pixel_norm(values)[..., None, None] if values.ndim == 2 else pixel_norm(values)
        weight = self.weight * self.scale
        if self.doubles:
            values = functional.conv_transpose2d(values, doubling(weight), self.bias, stride=2, padding=1)
        else:
            values = functional.conv2d(values, weight, self.bias, padding=3 if self.first else 1)
        return pixel_norm(functional.leaky_relu(values, 0.2))


class Output(nn.Module):
    """Units to colours in [0, 1]."""

    def __init__(self, inputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, values: Tensor) -> Tensor:
        return torch.sigmoid(2 * functional.conv2d(values, self.weight * self.scale, self.bias))


def doubling(weight: Tensor) -> Tensor:
    """Repeat every pixel, then convolve with (O, I, 3, 3), as one transposed convolution (I, O, 4, 4): half the time.

    A pixel and its three copies lie under neighbouring weights, which can be added up before.
    """
    padded = functional.pad(weight, (1, 1, 1, 1))
    added = padded[:, :, 1:] + padded[:, :, :-1]
    added = added[..., 1:] + added[..., :-1]
    return added.flip(2, 3).transpose(0, 1)


def pixel_norm(values: Tensor) -> Tensor:
    """The units of every cell (or a latent) to a root mean square of 1."""
    return values * torch.rsqrt(values.square().mean(1, keepdim=True) + 1e-8)
