"""How a layer's output is read: which axis counts the units, and where the rest lies in the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from unitlens.errors import LayerError, OptionError, ShapeMismatch

MOST_EXTRA = 16  # tokens that stand for no place: class, distillation, registers (DINOv2: 1 + 4)

Size = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """How a layer's output becomes activations (B, U, h, w); made by `layout_of`.

    kind: "grid" (B, U, h, w), "channels last" (B, h, w, U), or "tokens" (B, T, U) with T = extra + h * w, row by row.
    units: U. grid: (h, w). extra: tokens in front that stand for no place (class, distillation, register tokens).
    unit_axis: 1 or -1; "tokens" with 1 are (B, U, T).

    >>> import torch
    >>> Layout("tokens", units=5, grid=(2, 3), extra=1, unit_axis=-1).to_grid(torch.zeros(4, 7, 5)).shape
    torch.Size([4, 5, 2, 3])
    """

    kind: Literal["grid", "channels last", "tokens"]
    units: int
    grid: Size
    extra: int = 0
    unit_axis: Literal[1, -1] = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the layer's output for one image, without the axis of the images."""
        places = self.grid if self.kind != "tokens" else (self.extra + self.grid[0] * self.grid[1],)
        return (self.units, *places) if self.unit_axis == 1 else (*places, self.units)

    def to_grid(self, tensor: Tensor) -> Tensor:
        """Activations (B, U, h, w): a view of the layer's output wherever its memory allows it.

        Raises ShapeMismatch for another output than the one the layout was made for.
        """
        if tuple(tensor.shape[1:]) != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise ShapeMismatch(
                f"output: expected (B, {wanted}), as in the first batch, got {tuple(tensor.shape)}. "
                "Use images of one size."
            )
        first = tensor if self.unit_axis == 1 else tensor.movedim(-1, 1)
        return first if self.kind != "tokens" else first[:, :, self.extra :].unflatten(2, self.grid)


def layout_of(
    shape: Sequence[int],
    image_size: Size | None,
    unit_axis: int | None = None,
    *,
    batch: int | None = None,
    name: str | None = None,
) -> Layout:
    """How the output of a layer is to be read, decided by its shape.

    shape: of the whole output, axis of the images first. image_size: (H, W) of the images as the model saw them (after
    preprocessing); None = not images: only (B, U, h, w) is recognised.
    Four axes: units first, unless the two axes after the first stand in the image's proportions and the last two do
    not, or only to a cell of rounding (Swin, ConvNeXt's norms: (B, h, w, U)). Three axes: tokens (B, T, U) of a
    vision transformer, T = extra + h * w with h : w = H : W exactly and the smallest extra up to 16 that leaves a
    grid with more cells than that; the extra tokens are the first ones.
    unit_axis: 1 or -1 decides instead. batch: how many images went in, checked against the first axis.
    name: of the layer, for messages.

    Raises LayerError for outputs without a grid, OptionError for another `unit_axis`.

    >>> layout_of((8, 197, 768), (224, 224))
    Layout(kind='tokens', units=768, grid=(14, 14), extra=1, unit_axis=-1)
    >>> layout_of((8, 56, 56, 96), (224, 224)).kind, layout_of((8, 96, 56, 56), (224, 224)).kind
    ('channels last', 'grid')
    """
    if unit_axis not in (None, 1, -1):
        raise OptionError(f"unit_axis: expected 1 (units first), -1 (units last) or None, got {unit_axis!r}")
    shape = tuple(int(n) for n in shape)
    told = f"layer {name!r} returns {shape}" if name is not None else f"the layer returns {shape}"
    if len(shape) not in (3, 4):
        raise LayerError(
            f"{told}: dissection needs a spatial grid, (images, units, height, width), or tokens (images, tokens, "
            "units). Choose a layer before the pooling or flattening."
        )
    if batch is not None and shape[0] != batch:
        raise LayerError(
            f"{told} for {batch} images: expected the images on the first axis. Sequence-first tokens (T, B, U) and "
            "the windows of an attention cannot be laid out; choose the layer around them."
        )
    if min(shape) < 1:
        raise LayerError(f"{told}: expected at least one unit and one cell. Choose an earlier layer.")
    if len(shape) == 3:
        return _tokens(shape, image_size, unit_axis or -1, told)
    likely = -1 if _proportion(shape[1:3], image_size) > _proportion(shape[2:], image_size) else 1
    if (unit_axis or likely) == -1:
        return Layout("channels last", shape[3], (shape[1], shape[2]), 0, -1)
    return Layout("grid", shape[1], (shape[2], shape[3]))


def _proportion(grid: Sequence[int], image_size: Size | None) -> int:
    """2 where a grid stands in the image's proportions, 1 where it does with one cell more or less, else 0."""
    if image_size is None:
        return 0
    (h, w), (height, width) = grid, image_size
    if h * width == w * height:
        return 2
    if height == width:
        return 0  # what rounds one side rounds the other alike
    # Strides round: some number p of pixels per cell has h within one cell of height / p, and w of width / p.
    least = max(height / (h + 1), width / (w + 1))
    most = min(height / (h - 1) if h > 1 else math.inf, width / (w - 1) if w > 1 else math.inf)
    return int(least < most)


def _tokens(shape: tuple[int, ...], image_size: Size | None, unit_axis: int, told: str) -> Layout:
    count, units = (shape[1], shape[2]) if unit_axis == -1 else (shape[2], shape[1])
    if image_size is None:
        raise LayerError(f"{told}: {count} tokens can only be laid out for images. Choose a layer with a grid.")
    common = math.gcd(*image_size)
    down, across = image_size[0] // common, image_size[1] // common  # the smallest grid in these proportions
    for extra in range(min(MOST_EXTRA, count - 1) + 1):
        times = math.isqrt((count - extra) // (down * across))
        if times * times * down * across == count - extra > extra:  # else two tokens would be one cell and a class
            grid = (times * down, times * across)
            return Layout("tokens", units, grid, extra, 1 if unit_axis == 1 else -1)
    raise LayerError(
        f"{told}: dissection needs a spatial grid, and {count} tokens are none: expected h * w and up to {MOST_EXTRA} "
        f"tokens more, with h : w = {down} : {across} like the images ({image_size[0]} x {image_size[1]}). Choose a "
        "layer with a grid or with one token per patch, and images whose sides are whole numbers of patches."
    )
