"""Where the cells of an activation grid lie in the image: the centres of their receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from unitlens.errors import LayerError, OptionError
from unitlens.models.hooks import Layer, at_rest, find_layer, pick
from unitlens.models.layout import layout_of

Pair = int | tuple[int, int]
Line = tuple[float, float]  # (scale, offset) along one axis


@dataclass(frozen=True)
class Geometry:
    """The centre of grid cell k lies at image pixel k * scale + offset, on either axis; pixel i is centred at i.

    >>> Geometry(scale_y=16, offset_y=17, scale_x=16, offset_x=17).centre(0, 2)
    (17, 49)
    """

    scale_y: float
    offset_y: float
    scale_x: float
    offset_x: float

    @classmethod
    def tiling(cls, grid: tuple[int, int], image: tuple[int, int]) -> Geometry:
        """The cells of grid (h, w) tile the image (H, W): what interpolation with half-pixel centres assumes."""
        (h, w), (height, width) = grid, image
        return cls(height / h, (height / h - 1) / 2, width / w, (width / w - 1) / 2)

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """(scale_y, offset_y, scale_x, offset_x)"""
        return self.scale_y, self.offset_y, self.scale_x, self.offset_x

    def centre(self, row: float, column: float) -> tuple[float, float]:
        """The image pixel (y, x) at the centre of a grid cell."""
        return row * self.scale_y + self.offset_y, column * self.scale_x + self.offset_x

    def scaled(self, image: tuple[int, int], other: tuple[int, int]) -> Geometry:
        """The same places in an image that was resized from (H, W) to another size, edge to edge.

        >>> Geometry(8, 3.5, 8, 3.5).scaled((64, 64), (32, 128))
        Geometry(scale_y=4.0, offset_y=1.5, scale_x=16.0, offset_x=7.5)
        """
        down, across = other[0] / image[0], other[1] / image[1]
        y, x = (self.offset_y + 0.5) * down - 0.5, (self.offset_x + 0.5) * across - 0.5
        return Geometry(self.scale_y * down, y, self.scale_x * across, x)

    def agrees(self, other: Geometry, grid: tuple[int, int], tolerance: float = 1e-3) -> bool:
        """Whether all cell centres of a grid (h, w) are the same, to a tolerance in pixels."""
        corners = [(0, 0), (grid[0] - 1, grid[1] - 1)]  # the centres are linear in k: two corners decide
        pairs = [zip(self.centre(*c), other.centre(*c), strict=True) for c in corners]
        return all(abs(a - b) <= tolerance for pair in pairs for a, b in pair)


def receptive_geometry(convs: Sequence[tuple[Pair, Pair, Pair, Pair]]) -> Geometry:
    """The geometry after a chain of convolutions and poolings, first to last (paper.md 2.4).

    convs: (kernel, dilation, stride, padding) of each, a number or (y, x). Only the layers up to the probed one.
    Raises OptionError for a stride or kernel below 1.

    >>> receptive_geometry([(11, 1, 4, 0), (3, 1, 2, 0)])
    Geometry(scale_y=8.0, offset_y=9.0, scale_x=8.0, offset_x=9.0)
    """
    lines: list[Line] = [(1.0, 0.0), (1.0, 0.0)]
    for conv in convs:
        kernel, dilation, stride, padding = (v if isinstance(v, tuple) else (v, v) for v in conv)
        if min(kernel) < 1 or min(stride) < 1:
            raise OptionError(f"convs: expected (kernel, dilation, stride, padding), kernel, stride >= 1, got {conv}")
        lines = [_conv(lines[i], kernel[i], dilation[i], stride[i], padding[i]) for i in (0, 1)]
    return Geometry(*lines[0], *lines[1])


def layer_geometry(model: nn.Module, name: str, images: Tensor, *, unit_axis: int | None = None) -> Geometry | None:
    """Where a layer's grid cells lie in the image, or None where they tile it anyway.

    images: (B, 3, H, W) as the model takes them; one forward pass of the first, in eval mode. The operations that run
    are followed, not the modules that are declared: convolutions, poolings, padding and resizing (functional ones
    too) move the centres, paths that are added or concatenated must agree.
    None stands for: the centres are those of a tiling within 1e-3 pixels (VGG), or nothing certain can be said
    (paths that disagree, attention, latents instead of images, no grid), or the output is not (B, U, h, w): channels
    last, tokens. unit_axis: as for `layout_of`.
    A ResNet is no tiling: stride 2 with odd kernels puts cell k at 32 k, not at 32 k + 15.5. The paper's
    code ignored that (paper.md 2.4).

    Raises LayerNotFound, DeviceMismatch; LayerError where the output is no tensor.

    >>> layer_geometry(nn.Sequential(nn.Conv2d(3, 4, 11, stride=4)), "0", torch.zeros(1, 3, 227, 227))
    Geometry(scale_y=4.0, offset_y=5.0, scale_x=4.0, offset_x=5.0)
    """
    return layer_geometries(model, [name], images, unit_axis=unit_axis)[name]


def layer_geometries(
    model: nn.Module, names: Sequence[str], images: Tensor, *, unit_axis: int | None = None
) -> dict[str, Geometry | None]:
    """`layer_geometry` of several layers from one forward pass.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3, stride=2))
    >>> {name: line.scale_x for name, line in layer_geometries(net, ["0", "1"], torch.zeros(1, 3, 9, 11)).items()}
    {'0': 1.0, '1': 2.0}
    """
    layers = [find_layer(model, name) for name in names]
    if not isinstance(images, Tensor) or images.ndim != 4 or max(images.shape[2:]) == 1:
        return dict.fromkeys(names)
    found: dict[str, list[tuple[Geometry | None, torch.Size]]] = {name: [] for name in names}
    with at_rest(model, images), ExitStack() as hooks:
        first = images[:1].clone()
        tracker = _Tracker(first)
        for layer in layers:
            look = _look(tracker, layer, found[layer.name])
            hooks.callback(layer.module.register_forward_hook(look, prepend=True).remove)
        with tracker:
            model(first)
    size = (images.shape[2], images.shape[3])
    return {name: _agreed(calls, size, unit_axis) for name, calls in found.items()}


def _agreed(
    calls: list[tuple[Geometry | None, torch.Size]], size: tuple[int, int], unit_axis: int | None
) -> Geometry | None:
    """The geometry that all calls of a layer have, None where the cells tile the image."""
    if not calls or any(one != calls[0] for one in calls):
        return None
    geometry, shape = calls[0]
    if geometry is None or not _is_grid(shape, size, unit_axis):
        return None
    grid = (shape[2], shape[3])
    return None if geometry.agrees(Geometry.tiling(grid, size), grid) else geometry


def _is_grid(shape: torch.Size, size: tuple[int, int], unit_axis: int | None) -> bool:
    try:
        return layout_of(shape, size, unit_axis).kind == "grid"
    except LayerError:
        return False


def _look(tracker: _Tracker, layer: Layer, found: list[tuple[Geometry | None, torch.Size]]) -> Any:
    def hook(_: nn.Module, __: Any, output: Any) -> None:
        tensor = pick(output, layer)
        found.append((tracker.known.get(tensor), tensor.shape))

    return hook


def _conv(line: Line, kernel: int, dilation: int, stride: int, padding: float) -> Line:
    scale, offset = line
    return scale * stride, offset + scale * ((kernel - 1) * dilation / 2 - padding)


def _transposed(line: Line, kernel: int, dilation: int, stride: int, padding: float) -> Line:
    scale, offset = line  # input cell k is centred on output cell k * stride - padding + (kernel - 1) * dilation / 2
    return scale / stride, offset + scale * (padding - (kernel - 1) * dilation / 2) / stride


def _resized(line: Line, before: int, after: int) -> Line:
    scale, offset = line
    ratio = before / after
    return scale * ratio, offset + scale * (ratio - 1) / 2


def _corners(line: Line, before: int, after: int) -> Line:
    scale, offset = line
    return (scale * (before - 1) / (after - 1), offset) if after > 1 else _resized(line, before, after)


_POOLS = ("max_pool2d", "max_pool2d_with_indices", "avg_pool2d")
_PADS = ("constant_pad_nd", "reflection_pad2d", "replication_pad2d")
_RESIZES = ("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "pixel_shuffle", "pixel_unshuffle")
#: Operations that can keep the grid's size and yet move its cells.
_SHUFFLES = (
    *("flip", "roll", "rot90", "index", "_unsafe_index", "gather", "sort", "grid_sampler_2d"),
    *("mm", "bmm", "addmm", "baddbmm", "linear"),
)


class _Tracker(TorchDispatchMode):
    """Follows the geometry through every operation; a tensor that is not in `known` has none."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import its compiler to keep it away from this mode: 900 modules, seconds

    def __init__(self, images: Tensor):
        super().__init__()
        self.known: Any = WeakTensorKeyDictionary()
        self.known[images] = Geometry(1.0, 0.0, 1.0, 0.0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        flat = [a for arg in args for a in (arg if isinstance(arg, (list, tuple)) else [arg])]
        inputs = [a for a in flat if isinstance(a, Tensor)]
        known = [(a.shape, self.known[a]) for a in inputs if a in self.known]
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, (list, tuple)) else [output]:
            if isinstance(tensor, Tensor) and (known or tensor in self.known):
                geometry = self._after(func, args, known, tensor)
                if geometry is not None:
                    self.known[tensor] = geometry
                elif tensor in self.known:
                    del self.known[tensor]
        return output

    def _after(self, func: Any, args: Any, known: list[tuple[torch.Size, Geometry]], output: Tensor) -> Geometry | None:
        name = func.overloadpacket.__name__
        moved = _moved(name, args, known[0], output) if known and output.ndim == 4 else None
        if moved is not None:
            return Geometry(*moved[0], *moved[1])
        if output.ndim < 3 or name in _SHUFFLES or _reorders_grid(name, args):
            return None
        grid = (output.shape[-2], output.shape[-1])
        same = [geometry for shape, geometry in known if shape[-2:] == grid]
        if name == "convolution" or not same or any(not same[0].agrees(g, grid) for g in same):
            return None
        return same[0]


def _moved(name: str, args: Any, known: tuple[torch.Size, Geometry], output: Tensor) -> tuple[Line, Line] | None:
    """The lines (y, x) after an operation that moves the centres; None for any other operation."""
    shape, g = known
    if len(shape) != 4:
        return None
    lines: tuple[Line, Line] = ((g.scale_y, g.offset_y), (g.scale_x, g.offset_x))
    sizes = [(shape[i], output.shape[i]) for i in (2, 3)]
    if name == "convolution":  # input, weight, bias, stride, padding, dilation, transposed
        step = _transposed if args[6] else _conv
        kernel = args[1].shape[2:]
        return _each(lambda i: step(lines[i], kernel[i], _at(args[5], i), _at(args[3], i), _at(args[4], i)))
    if name in _POOLS:  # input, kernel, stride, padding, [dilation | ceil_mode]
        stride = args[2] if len(args) > 2 and args[2] else args[1]
        padding = args[3] if len(args) > 3 else 0
        dilation = args[4] if len(args) > 4 and name.startswith("max") else 1
        return _each(lambda i: _conv(lines[i], _at(args[1], i), _at(dilation, i), _at(stride, i), _at(padding, i)))
    if name in _PADS:  # input, (left, right, top, bottom)
        before = (args[1][2] if len(args[1]) > 2 else 0, args[1][0])
        return _each(lambda i: (lines[i][0], lines[i][1] - lines[i][0] * before[i]))
    if name.startswith("upsample_bi") and len(args) > 2 and args[2] is True:  # align_corners
        return _each(lambda i: _corners(lines[i], *sizes[i]))
    if name in _RESIZES or "upsample_" in name:
        return _each(lambda i: _resized(lines[i], *sizes[i]))
    return None


def _each(of_axis: Any) -> tuple[Line, Line]:
    return of_axis(0), of_axis(1)


def _at(value: Any, axis: int) -> int:
    """A setting of one axis: 3, (3,) and (3, 5) are all in use."""
    return value if isinstance(value, int) else value[axis] if len(value) > 1 else value[0]


def _reorders_grid(name: str, args: Any) -> bool:
    """Whether a transpose or permute touches the last two axes."""
    if name in ("t", "numpy_T", "mT"):
        return True
    if name == "transpose":
        return any(d % args[0].ndim >= args[0].ndim - 2 for d in args[1:3])
    if name == "permute":
        n = args[0].ndim
        return [d % n for d in args[1][-2:]] != [n - 2, n - 1]
    return False
