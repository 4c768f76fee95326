"""The table of a model's layers: what each returns, from one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unitlens.errors import LayerError
from unitlens.models.capture import layers
from unitlens.models.hooks import at_rest, item_name, tensors_in
from unitlens.models.layout import layout_of


@dataclass(frozen=True)
class LayerInfo:
    """One row of `layer_table`.

    name: what `capture` takes. kind: class of the module. units: U, or None where the layer was not called or returns
    no tensor. grid: (h, w) where the units lie on a grid (see `unitlens.models.layout`), else None. calls: times it
    ran in one forward pass.
    """

    name: str
    kind: str
    units: int | None
    grid: tuple[int, int] | None
    calls: int


def layer_table(model: nn.Module, images: Tensor) -> list[LayerInfo]:
    """What each layer returns, from one forward pass of the first image.

    images: float (B, 3, H, W), as the model takes them. A layer that returns several tensors has a row for each
    ("lstm[0]", "lstm[1][0]"). Units and grid are read as a dissection reads them: (B, U, h, w), channels last
    (B, h, w, U), or tokens (B, T, U) in rows. Where there is no grid, the unit axis is 1 for (B, U) and
    (B, U, t, h, w), and the last one for (B, T, U). Of a layer that is called several times the first call is shown.

    >>> layer_table(nn.Sequential(nn.Conv2d(3, 4, 2)), torch.zeros(1, 3, 5, 7))
    [LayerInfo(name='0', kind='Conv2d', units=4, grid=(4, 6), calls=1)]
    """
    modules = {name: model.get_submodule(name) for name in layers(model)}
    calls = dict.fromkeys(modules, 0)
    rows: dict[str, list[LayerInfo]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            calls[name] += 1
            if name not in rows:
                rows[name] = [_row(item_name(name, path), module, t.shape, images) for path, t in tensors_in(output)]

        return hook

    with ExitStack() as hooks, at_rest(model, images):
        for name, module in modules.items():
            hooks.callback(module.register_forward_hook(note(name), prepend=True).remove)
        model(images[:1])
    silent = {name: [LayerInfo(name, type(module).__name__, None, None, 0)] for name, module in modules.items()}
    return [
        LayerInfo(row.name, row.kind, row.units, row.grid, calls[name])
        for name in modules
        for row in rows.get(name) or silent[name]
    ]


def _row(name: str, module: nn.Module, shape: torch.Size, images: Tensor) -> LayerInfo:
    is_picture = images.ndim == 4 and max(images.shape[2:]) > 1  # not the latent of a generator
    grid = None
    units = None if len(shape) < 2 else shape[-1] if len(shape) == 3 else shape[1]
    try:
        layout = layout_of(shape, (images.shape[2], images.shape[3]) if is_picture else None, batch=1)
    except LayerError:
        pass  # the table tells what is there; a dissection of this layer says why it cannot be laid out
    else:
        units, grid = layout.units, layout.grid
    return LayerInfo(name, type(module).__name__, units, grid, 0)
