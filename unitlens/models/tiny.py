"""SceneNet: the small classifier of our world that ships with the package."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

#: Units of the convolutions of each block.
BLOCKS: tuple[tuple[int, ...], ...] = ((32, 32), (64, 64), (128, 128, 128), (160, 160, 160), (160, 160, 160))
#: Blocks that a 2x2 max pool follows.
POOLED = (1, 2, 4)


class SceneNet(nn.Sequential):
    """A VGG-style classifier: conv1_1, relu1_1, ... conv5_3, relu5_3, pool5 (global average), fc.

    Takes RGB images in [0, 1], float32 (B, 3, H, W) with H and W from 64 up (trained at 128), and returns class
    scores (B, classes). The first convolution has stride 2; at 128 pixels the grids of conv1 ... conv5 are 64, 32, 16,
    16 and 8 cells wide.
    No ReLU works in place, so that what a convolution returns stays as it was.

    `batchnorm=True` adds the normalisations that training uses; `folded()` gives the equal network without them.
    """

    fc: nn.Linear  # set by name, with all the other modules
    unitlens_name: str  # how displays call it; `load_model` says

    def __init__(self, classes: int = 18, *, blocks: tuple[tuple[int, ...], ...] = BLOCKS, batchnorm: bool = False):
        modules: OrderedDict[str, nn.Module] = OrderedDict(center=Center())
        inputs = 3
        for b, widths in enumerate(blocks, start=1):
            for c, width in enumerate(widths, start=1):
                stride = 2 if (b, c) == (1, 1) else 1
                modules[f"conv{b}_{c}"] = nn.Conv2d(inputs, width, 3, stride, 1, bias=not batchnorm)
                if batchnorm:
                    modules[f"norm{b}_{c}"] = nn.BatchNorm2d(width)
                modules[f"relu{b}_{c}"] = nn.ReLU()
                inputs = width
            if b in POOLED:
                modules[f"pool{b}"] = nn.MaxPool2d(2)
        modules[f"pool{len(blocks)}"] = nn.AdaptiveAvgPool2d(1)
        modules["flatten"] = nn.Flatten()
        modules["fc"] = nn.Linear(inputs, classes)
        super().__init__(modules)
        self.blocks = blocks
        if batchnorm:  # where training starts; without it PyTorch's own initialisation stays
            for conv in self.modules():
                if isinstance(conv, nn.Conv2d):
                    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        """What the linear layer sees: the mean over the grid of every unit of the last layer, (B, U)."""
        for module in list(self)[:-1]:
            images = module(images)
        return images

    @torch.no_grad()
    def folded(self) -> SceneNet:
        """The same function without batch normalisation: scale and shift folded into the convolutions."""
        plain = SceneNet(self.fc.out_features, blocks=self.blocks).eval()
        for name, module in self.named_children():
            if isinstance(module, nn.BatchNorm2d):
                conv, target = getattr(self, name.replace("norm", "conv")), getattr(plain, name.replace("norm", "conv"))
                norm = module.state_dict()
                gain = norm["weight"] / torch.sqrt(norm["running_var"] + module.eps)
                target.weight.copy_(conv.weight * gain[:, None, None, None])
                target.bias.copy_(norm["bias"] - norm["running_mean"] * gain)
        plain.fc.load_state_dict(self.fc.state_dict())
        return plain


class Center(nn.Module):
    """[0, 1] to [-1, 1]."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * 2 - 1
