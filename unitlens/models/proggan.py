"""ProgressiveGenerator: the paper's progressive GAN, read from the state dicts in which it was published."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from unitlens.errors import AssetError, OptionError
from unitlens.models.generators import Generates

#: Units from the latent on, by the size of the pictures; each size but the first has two layers [paper.md 2.8].
SIZES: dict[int, tuple[int, ...]] = {
    256: (512, 512, 512, 512, 256, 128, 64, 32),
    1024: (512, 512, 512, 512, 512, 256, 128, 64, 32, 16),
}


class ProgressiveGenerator(Generates, nn.Sequential):
    """layer1 ... layerN and output_SxS: latents (B, 512, 1, 1) to colours (B, 3, S, S) of about -1 to 1 [paper.md 2.8].

    widths: of the latent, and of the two layers of every size from 4 pixels on: (512, 512, 512, 512, 256, 128, 64, 32)
    is the generator of 256 pixels of the paper, with 14 layers.
    """

    unitlens_name: str
    values = (-1.0, 1.0)

    def __init__(self, widths: Sequence[int] = SIZES[256]):
        if len(widths) < 2 or any(width < 1 for width in widths):
            raise OptionError(f"widths: expected two or more numbers of units, the latent's first, got {widths!r}")
        layers = OrderedDict[str, nn.Module]()
        inputs, number = widths[0], 0
        for place, width in enumerate(widths[1:]):
            for second in (False, True):
                number += 1
                first = place == 0 and not second
                layers[f"layer{number}"] = NormConv(inputs, width, first=first, doubles=place > 0 and not second)
                inputs = width
        size = 4 * 2 ** (len(widths) - 2)
        layers[f"output_{size}x{size}"] = ToPicture(inputs)
        super().__init__(layers)
        self.size, self.latent_shape = size, (int(widths[0]), 1, 1)
        self.unitlens_name = f"ProgressiveGenerator {size}"


class NormConv(nn.Module):
    """Pixel normalisation, doubling by repeated pixels where asked, a convolution, scale and bias, a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False, doubles: bool = False):
        super().__init__()
        side = 4 if first else 3
        self.doubles = doubles
        self.conv = nn.Conv2d(inputs, outputs, side, padding=3 if first else 1, bias=False)
        self.wscale = Scaled(outputs, math.sqrt(2) / (side * math.sqrt(inputs)))

    def forward(self, values: Tensor) -> Tensor:
        values = values * torch.rsqrt(values.square().mean(1, keepdim=True) + 1e-8)
        if self.doubles:
            values = functional.interpolate(values, scale_factor=2.0, mode="nearest")
        return functional.leaky_relu(self.wscale(self.conv(values)), 0.2)


class ToPicture(nn.Module):
    """Pixel normalisation, then units to colours; no end is cut off."""

    def __init__(self, inputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, 3, 1, bias=False)
        self.wscale = Scaled(3, 1 / math.sqrt(inputs))

    def forward(self, values: Tensor) -> Tensor:
        return self.wscale(self.conv(values * torch.rsqrt(values.square().mean(1, keepdim=True) + 1e-8)))


class Scaled(nn.Module):
    """x times a fixed scale, plus a bias for each unit."""

    def __init__(self, units: int, scale: float):
        super().__init__()
        self.scale, self.b = scale, nn.Parameter(torch.zeros(units))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.scale + self.b.view(1, -1, 1, 1)


_NEW = re.compile(r"(?:layer(?P<layer>\d+)|(?P<output>output_\d+x\d+))\.(?:conv\.weight|wscale\.b)")
_OLD = re.compile(r"(?:features\.(?P<layer>\d+)|(?P<output>output))\.(?P<rest>conv\.weight|wscale\.b)")


def progressive_from(state: Mapping[str, Any]) -> ProgressiveGenerator:
    """The generator of a state dict: keys layer1.conv.weight or the older features.0.conv.weight, also inside
    {"state_dict": ...}; the sizes are read off the weights [paper.md 2.8].

    Raises AssetError for another state dict.
    """
    inner = state.get("state_dict")
    tensors: dict[str, Tensor] = dict(inner if isinstance(inner, Mapping) else state)
    if any(key.startswith("features.") for key in tensors):
        tensors = _renamed(tensors)
    layers = {int(m["layer"]) for key in tensors if (m := _NEW.fullmatch(key)) and m["layer"]}
    outputs = {m["output"] for key in tensors if (m := _NEW.fullmatch(key)) and m["output"]}
    strange = [key for key in tensors if not _NEW.fullmatch(key)]
    if not layers or layers != set(range(1, len(layers) + 1)) or len(layers) % 2 or len(outputs) != 1 or strange:
        shown = ", ".join((strange or list(tensors))[:3]) or "nothing"
        raise AssetError(
            f"this is no state dict of a progressive generator: got {shown}. Expected layer1.conv.weight, "
            "layer1.wscale.b, ... and output_SxS.conv.weight, or the older features.0.conv.weight, ... and output.*"
        )
    odd = [f"layer{n}.conv.weight" for n in range(1, len(layers) + 1, 2)]
    missing = [key for key in odd if key not in tensors or tensors[key].ndim != 4]
    if missing:
        raise AssetError(f"this is no state dict of a progressive generator: {missing[0]} is missing or no convolution")
    widths = [tensors[odd[0]].shape[1], *(tensors[key].shape[0] for key in odd)]
    with torch.random.fork_rng(devices=[]):
        model = ProgressiveGenerator(widths)
    own = f"output_{model.size}x{model.size}"
    (output,) = outputs
    renamed = {key.replace(output, own): value.float() for key, value in tensors.items()}
    try:
        model.load_state_dict(renamed)
    except RuntimeError as error:
        raise AssetError(f"this is no state dict of a progressive generator: {error}") from error
    return model.eval().requires_grad_(False)


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The keys of the older format in the newer one; features count from 0."""
    found: dict[str, Tensor] = {}
    for key, value in tensors.items():
        match = _OLD.fullmatch(key)
        if match is None:
            found[key] = value
        elif match["layer"]:
            found[f"layer{int(match['layer']) + 1}.{match['rest']}"] = value
        else:
            found[f"output_0x0.{match['rest']}"] = value
    return found


def load_progressive(path: str | Path) -> ProgressiveGenerator:
    """The paper's progressive GAN from a file of `torch.save` (read without running code in it) or safetensors, in
    either of the formats it was published in.

    >>> torch.save(ProgressiveGenerator((6, 7, 5)).state_dict(), "generator.pth")
    >>> gan = load_progressive("generator.pth")
    >>> gan.size, gan.generate(gan.latents(2, seed=1)).shape
    (8, torch.Size([2, 3, 8, 8]))

    Raises AssetError for a missing file, another file, or another state dict.
    """
    file = Path(path)
    try:
        state = load_file(file) if file.suffix == ".safetensors" else torch.load(
            file, map_location="cpu", weights_only=True)  # fmt: skip
    except Exception as error:  # a damaged file may fail in any way
        raise AssetError(f"{file} cannot be read as weights: {error}") from error
    if not isinstance(state, Mapping):
        raise AssetError(f"{file}: expected a state dict, got {type(state).__name__}")
    return progressive_from(state)
