"""Small networks whose tails are run in different ways, and the naive way: the whole network with a hook."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

U, K, H, W = 6, 4, 11, 13


class Functional(nn.Module):
    """Flattening, pooling and ReLU by functions."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.layer = nn.Conv2d(3, U, 3, stride=2)
        self.fc = nn.Linear(U if kind != "flatten" else U * 30, K)

    def forward(self, images: Tensor) -> Any:
        grid = functional.relu(self.layer(images))
        if self.kind == "mean":
            return self.fc(grid.mean((2, 3)))
        if self.kind == "flatten":
            return self.fc(torch.flatten(grid, 1))
        if self.kind == "view":
            grid = functional.adaptive_avg_pool2d(grid, 1)
            return self.fc(grid.view(grid.size(0), -1))
        if self.kind == "dictionary":
            return {"logits": self.fc(grid.mean((2, 3))), "grid": grid}
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(grid, (1, 1)), 1))


class Skip(nn.Module):
    """A skip connection: around the layer, or in a block after it."""

    def __init__(self, around: bool):
        super().__init__()
        self.around = around
        self.first, self.layer, self.last = nn.Conv2d(3, U, 3), nn.Conv2d(U, U, 3, padding=1), nn.Linear(U, K)
        self.more = nn.Conv2d(U, U, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        before = self.first(images)
        grid = functional.relu(self.layer(before))
        grid = grid + (before if self.around else self.more(grid))
        return self.last(grid.mean((2, 3)))


class Tokens(nn.Module):
    """A transformer block after tokens (B, T, U)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.layer = nn.Conv2d(3, U, 4, stride=3), nn.LayerNorm(U)
        self.block = nn.TransformerEncoderLayer(U, 2, 8, dropout=0.1, batch_first=True)
        self.fc = nn.Linear(U, K)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.layer(self.patch(images).flatten(2).transpose(1, 2))
        return self.fc(self.block(tokens).mean(1))


class ChannelsLast(nn.Module):
    """(B, h, w, U), as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.layer, self.fc = nn.Conv2d(3, U, 4, stride=3), nn.LayerNorm(U), nn.Linear(U, K)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(functional.gelu(self.layer(self.patch(images).permute(0, 2, 3, 1))).mean((1, 2)))


def plain(*after: nn.Module) -> nn.Module:
    """The layer and modules after it."""
    first = OrderedDict[str, nn.Module](layer=nn.Conv2d(3, U, 3, stride=2))
    return nn.Sequential(first | {f"m{i}": module for i, module in enumerate(after)})


def pooled(act: nn.Module) -> nn.Module:
    return plain(act, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(U, K))


def dense() -> nn.Module:
    return nn.Sequential(OrderedDict(
        flat=nn.Flatten(), layer=nn.Linear(3 * H * W, U), act=nn.ReLU(), hidden=nn.Linear(U, 7), more=nn.Tanh(),
        fc=nn.Linear(7, K)))  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A network, the way in which its tail is expected to be run, and the axis of its units."""

    make: Callable[[], nn.Module]
    way: str
    unit_axis: int | None = None


VGG = [nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Linear(U * 6, 9),
       nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, K)]  # fmt: skip
SQUEEZE = [nn.ReLU(), nn.Dropout(), nn.Conv2d(U, K, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
CASES = {
    "pooled": Case(lambda: pooled(nn.ReLU()), "sums"),
    "in place": Case(lambda: pooled(nn.ReLU(inplace=True)), "sums"),
    "relu6": Case(lambda: pooled(nn.ReLU6()), "sums"),
    "hardtanh": Case(lambda: pooled(nn.Hardtanh()), "sums"),
    "sigmoid": Case(lambda: pooled(nn.Sigmoid()), "sums"),
    "norm": Case(lambda: pooled(nn.BatchNorm2d(U)), "sums"),
    "mean": Case(lambda: Functional("mean"), "sums"),
    "alexnet": Case(lambda: plain(nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Identity(), nn.Flatten(), nn.Dropout(),
                                  nn.Linear(U * 4, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, K)), "step"),
    "flatten": Case(lambda: Functional("flatten"), "sums"),
    "adaptive": Case(lambda: Functional("adaptive"), "sums"),
    "view": Case(lambda: Functional("view"), "tail"),
    "dictionary": Case(lambda: Functional("dictionary"), "tail"),
    "vgg": Case(lambda: plain(*VGG), "step"),
    "squeezenet": Case(lambda: plain(*SQUEEZE), "step"),
    "strided": Case(lambda: plain(nn.ReLU(), nn.Conv2d(U, 5, 3, stride=2, padding=1, dilation=1), nn.BatchNorm2d(5),
                                  nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, K)), "step"),
    "grouped": Case(lambda: plain(nn.ReLU(), nn.Conv2d(U, U, 3, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                  nn.Linear(U, K)), "tail"),
    "softmax": Case(lambda: plain(nn.Softmax2d(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(U, K)), "tail"),
    "dense": Case(dense, "step"),
    "skip after": Case(lambda: Skip(around=False), "tail"),
    "skip around": Case(lambda: Skip(around=True), "whole"),
    "tokens": Case(Tokens, "tail"),
    "channels last": Case(ChannelsLast, "tail", -1),
}  # fmt: skip


def made(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A network with weights large enough that ReLU6 and Hardtanh do cut, in eval mode."""
    torch.manual_seed(len(name))
    model = CASES[name].make().to(dtype).eval()
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.copy_(torch.randn(len(part.running_mean)))
                part.bias.copy_(torch.randn(len(part.bias)))
        for key, value in model.named_parameters():
            if key.startswith("layer.") and value.ndim > 1:
                value.mul_(8)
    return model


def images(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(count, 3, H, W, generator=torch.Generator().manual_seed(7)).to(dtype)


def naive(model: nn.Module, layer: str, given: Tensor, keep: np.ndarray, fill: np.ndarray | None = None,
          unit_axis: int | None = None) -> Tensor:  # fmt: skip
    """The network's scores with the output of a layer changed, one unit after the other."""
    def change(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        changed = output.clone()
        axis = output.ndim - 1 if unit_axis == -1 or output.ndim == 3 else 1
        for unit, factor in enumerate(keep):
            at: list[Any] = [slice(None)] * output.ndim
            at[axis] = unit
            if factor == 0:
                changed[tuple(at)] = 0 if fill is None else fill[unit]
            elif factor != 1:
                changed[tuple(at)] = factor * output[tuple(at)]
        return changed

    hook = model.get_submodule(layer).register_forward_hook(change)
    try:
        with torch.no_grad():
            scores = model(given)
    finally:
        hook.remove()
    return scores["logits"] if isinstance(scores, dict) else scores
