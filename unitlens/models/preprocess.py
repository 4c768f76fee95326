"""Preprocessing: from images in [0, 1] to what a model takes, with a text that identifies it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from unitlens.errors import DataWarning, OptionError, ShapeMismatch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
#: Mean and standard deviation of most classifiers, as in `Normalize(*IMAGENET)`.
IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)


class Normalize(nn.Module):
    """(x - mean) / std per channel, after an optional resize.

    mean, std: one number per channel. size: (H, W), or one number for a square, or None to keep the size; the resize is
    bilinear, antialiased, and does not keep the aspect (as in the paper's pipeline, paper.md 1.0).
    Takes images (B, C, H, W) in [0, 1], floating point; gives float32 (float64 for float64) of the new size.

    Raises OptionError for settings, ShapeMismatch for images that do not fit.

    >>> Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), size=4)(torch.ones(2, 3, 5, 7)).shape
    torch.Size([2, 3, 4, 4])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], size: int | tuple[int, int] | None = None):
        super().__init__()
        mean, std = tuple(float(m) for m in mean), tuple(float(s) for s in std)
        if not mean or len(mean) != len(std) or min(std) <= 0:
            raise OptionError(f"mean and std: expected as many, std above 0, got {mean} and {std}")
        self.size = (size, size) if isinstance(size, int) else size if size is None else (int(size[0]), int(size[1]))
        if self.size is not None and min(self.size) < 1:
            raise OptionError(f"size: expected (H, W) of 1 or more, got {self.size}")
        # The text goes by the numbers as given: float32 buffers would print 0.485 as 0.48500001430511475.
        self.fingerprint = f"Normalize(mean={mean}, std={std}, size={self.size})"
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64)[:, None, None].float(), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float64)[:, None, None].float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != len(self.mean) or not images.is_floating_point():
            raise ShapeMismatch(
                f"images: expected floating point (B, {len(self.mean)}, H, W) in [0, 1], "
                f"got {images.dtype} {tuple(images.shape)}. For uint8 images (B, H, W, 3): permute(0, 3, 1, 2) / 255."
            )
        if images.dtype != torch.float64:
            images = images.float()
        if self.size is not None and images.shape[-2:] != self.size:
            images = functional.interpolate(images, self.size, mode="bilinear", align_corners=False, antialias=True)
        return (images - self.mean.to(images)) / self.std.to(images)

    def __repr__(self) -> str:
        return self.fingerprint


@dataclass(frozen=True)
class Preprocess:
    """A function on image batches and the text that identifies it; None = unknown, results are then not stored."""

    function: Callable[[Tensor], Tensor]
    fingerprint: str | None

    def __call__(self, images: Tensor) -> Tensor:
        ready = self.function(images)
        if not isinstance(ready, Tensor) or ready.ndim == 0 or len(ready) != len(images):
            got = tuple(ready.shape) if isinstance(ready, Tensor) else type(ready).__name__
            raise ShapeMismatch(
                f"preprocess: expected a tensor with {len(images)} images back, got {got}. "
                "It gets a whole batch (B, 3, H, W), not one picture."
            )
        return ready


def _same(images: Tensor) -> Tensor:
    return images


def as_preprocess(preprocess: object = None) -> Preprocess:
    """Any preprocessing as a function with a fingerprint.

    preprocess: None (images as they are), a `Normalize`, `weights.transforms()` of torchvision (its repr identifies
    it; a DataWarning where it cuts off edges), any function on (B, 3, H, W) with an attribute `fingerprint`, or any
    other function (fingerprint None).

    Raises OptionError for anything else.

    >>> as_preprocess(None).fingerprint, as_preprocess(lambda images: images * 2).fingerprint
    ('identity', None)
    """
    if preprocess is None:
        return Preprocess(_same, "identity")
    if isinstance(preprocess, Preprocess):
        return preprocess
    makes_one = preprocess.func if isinstance(preprocess, functools.partial) else preprocess
    if isinstance(makes_one, type) or not callable(preprocess):
        raise OptionError(
            f"preprocess: expected a function on images (B, 3, H, W), got {preprocess!r}. "
            "For torchvision, call it: weights.transforms()."
        )
    if hasattr(preprocess, "fingerprint"):
        fingerprint = preprocess.fingerprint
        if not (fingerprint is None or isinstance(fingerprint, str)):
            raise OptionError(f"preprocess.fingerprint: expected text, got {type(fingerprint).__name__}")
        return Preprocess(preprocess, fingerprint)
    is_preset = type(preprocess).__module__ == "torchvision.transforms._presets"
    if is_preset:
        _warn_cut(preprocess)
    return Preprocess(preprocess, repr(preprocess) if is_preset else None)


def _warn_cut(preset: object) -> None:
    """A torchvision preset resizes and then cuts the middle out: cells and labels are then of different places."""
    resize, crop = (list(getattr(preset, name, None) or []) for name in ("resize_size", "crop_size"))
    if resize and crop and resize != crop:
        mean, std = (tuple(getattr(preset, name, ())) for name in ("mean", "std"))
        warnings.warn(
            f"preprocess: resizes to {resize} and cuts the middle {crop} out, so the model does not see what the "
            f"labels at the edges show. Use Normalize({mean}, {std}, size={crop[0]}): it cuts nothing.",
            DataWarning,
            stacklevel=4,
        )
