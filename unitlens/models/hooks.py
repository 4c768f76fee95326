"""What every instrument needs: a layer found by its name, one tensor of its output, a model held still."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unitlens.errors import DeviceMismatch, LayerError, LayerNotFound, OptionError

Path = tuple[int | str, ...]  # positions inside a tuple, list or dict output, from the outside in

_ITEMS = re.compile(r"^(?P<module>.+?)(?P<items>(?:\[[^\[\]]+\])+)$")


@dataclass(frozen=True)
class Layer:
    """A layer as asked for: its full name ("lstm[0]"), the module, and which item of its output ((0,))."""

    name: str
    module: nn.Module
    path: Path = ()


def find_layer(model: nn.Module, name: str) -> Layer:
    """The layer of this name; a suffix such as "lstm[0]" or "head[logits]" picks one item of its output.

    Raises LayerNotFound with the nearest names, OptionError where `model` is no torch module.

    >>> find_layer(nn.Sequential(nn.Conv2d(3, 4, 1)), "0").module
    Conv2d(3, 4, kernel_size=(1, 1), stride=(1, 1))
    """
    if not isinstance(model, nn.Module):
        raise OptionError(f"model: expected a torch.nn.Module, got {type(model).__name__}. Pass the network itself.")
    modules = dict(model.named_modules(remove_duplicate=False))
    modules.pop("")
    if name in modules:
        return Layer(name, modules[name])
    match = _ITEMS.match(str(name))
    if match and match["module"] in modules:
        items = re.findall(r"\[([^\[\]]+)\]", match["items"])
        return Layer(name, modules[match["module"]], tuple(int(i) if re.fullmatch(r"-?\d+", i) else i for i in items))
    raise LayerNotFound(str(name), modules)


def tensors_in(output: Any) -> list[tuple[Path, Tensor]]:
    """Every tensor of a nested output with the path that leads to it; a plain tensor has the path ()."""
    if isinstance(output, Tensor):
        return [((), output)]
    if isinstance(output, Mapping):
        items: list[tuple[Any, Any]] = list(output.items())
    elif isinstance(output, (tuple, list)):
        items = list(enumerate(output))
    else:
        return []
    return [((key, *path), tensor) for key, value in items for path, tensor in tensors_in(value)]


def item_name(name: str, path: Path) -> str:
    """The layer name that picks this item: ("lstm", (1, 0)) -> "lstm[1][0]"."""
    return name + "".join(f"[{key}]" for key in path)


def pick(output: Any, layer: Layer) -> Tensor:
    """The one tensor of a layer's output that its name asks for.

    Raises LayerError that lists the tensors of the output, each with the name that picks it.
    """
    value = output
    try:
        for key in layer.path:
            value = value[key]
    except (KeyError, IndexError, TypeError):
        value = None
    if isinstance(value, Tensor):
        return value
    base = layer.name.partition("[")[0] if layer.path else layer.name
    got = type(output if value is None or not layer.path else value).__name__
    found = [f"{item_name(base, path)!r} {tuple(t.shape)}" for path, t in tensors_in(output)]
    offer = f"It holds tensors at {', '.join(found)}: use one of these names." if found else "It holds no tensor."
    raise LayerError(f"layer {layer.name!r}: expected a tensor, got {got}. {offer}")


def put(output: Any, path: Path, value: Tensor) -> Any:
    """A copy of a nested output with one tensor replaced; the output itself is not changed."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    inner = put(output[key], rest, value)
    if isinstance(output, tuple):
        items = list(output)
        items[int(key)] = inner
        return type(output)(*items) if hasattr(output, "_fields") else tuple(items)
    changed = copy.copy(output)
    changed[key] = inner
    return changed


def device_of(model: nn.Module) -> torch.device | None:
    """The device of the weights; None where there are none, or where they are spread over several."""
    devices = {t.device for t in [*model.parameters(), *model.buffers()]}
    return devices.pop() if len(devices) == 1 else None


@contextmanager
def at_rest(model: nn.Module, images: Tensor, what: str = "images") -> Iterator[None]:
    """Holds a model still for a measurement: eval mode, no gradients, global random numbers put back afterwards.

    The former mode comes back module by module, because a model in training mode may hold frozen parts in eval mode.
    Raises DeviceMismatch where the model and the images are on different devices.
    """
    if not isinstance(images, Tensor):
        raise OptionError(f"{what}: expected a tensor (B, ...), got {type(images).__name__}")
    device = device_of(model)
    if device is not None and images.device != device:
        raise DeviceMismatch(
            f"{what}: expected on {device} like the model, got {images.device}. Use {what}.to({str(device)!r})."
        )
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False  # not .eval(): a model may override train() with effects that we could not undo
        with torch.no_grad(), torch.random.fork_rng([images.device] if images.is_cuda else []):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
