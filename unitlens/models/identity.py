"""The identity of a model: a digest of its structure, settings and values. The code of `forward` is not in it."""

from __future__ import annotations

import enum
import functools
import hashlib
from collections.abc import Mapping
from itertools import chain
from types import BuiltinFunctionType, FunctionType

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.errors import OptionError


def model_digest(model: nn.Module) -> str:
    """64 hex digits (sha256) that change with the class name, the printed structure, what is kept as plain attributes
    (numbers, texts, tensors, functions by their names, lists and dicts of these), and every parameter and buffer (name,
    dtype, shape, bytes); not with the device or the mode.

    The code of `forward` is not read: rename the class when you change it. Attributes of other kinds are told by their
    class alone. Tensors on the CPU are hashed where they lie, without a copy.

    Raises OptionError for a model without values (meta device).

    >>> model = nn.Conv2d(3, 4, 1)
    >>> model_digest(model) == model_digest(model.eval()), len(model_digest(model))
    (True, 64)
    """
    if not isinstance(model, nn.Module):
        raise OptionError(f"model: expected a torch.nn.Module, got {type(model).__name__}. Pass the network itself.")
    digest = hashlib.sha256()

    def add(text: str) -> None:
        digest.update(f"{len(text)}:{text}".encode())  # the length keeps neighbours apart

    add(type(model).__name__)
    add(repr(model))
    for name, module in model.named_modules():
        for key, value in sorted(vars(module).items()):
            if not key.startswith("_") and key not in ("training", "unitlens_name"):
                add(f"{name} {key} {_setting(key, value)}")
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        add(f"{name} {tensor.dtype} {tuple(tensor.shape)}")
        if tensor.numel():
            digest.update(_bytes(name, tensor).data)
    return digest.hexdigest()


def has_hooks(model: nn.Module) -> bool:
    """Whether a forward hook may change what the model returns: an `edit` that is open, say. No digest can show it.

    >>> model = nn.Conv2d(3, 4, 1)
    >>> handle = model.register_forward_hook(lambda module, inputs, output: output * 0)
    >>> has_hooks(model), handle.remove(), has_hooks(model)
    (True, None, False)
    """
    return any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def _setting(name: str, value: object) -> str:
    """An attribute that forward may use (an epsilon, a mode, an activation function) as text; no address is in it."""
    if value is None or isinstance(value, (int, float, str, bytes, complex, torch.dtype, enum.Enum, range, slice)):
        return repr(value)
    if isinstance(value, (Tensor, np.ndarray)):
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
        content = hashlib.sha256(_bytes(name, tensor).data).hexdigest() if tensor.numel() else ""
        return f"{tensor.dtype} {tuple(tensor.shape)} {content}"
    if isinstance(value, (FunctionType, BuiltinFunctionType, type)):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, functools.partial):
        return f"partial {_setting(name, value.func)} {_setting(name, value.args)} {_setting(name, value.keywords)}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_setting(name, v) for v in value)}]"
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(_setting(name, v) for v in value))}}}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{k!r}: {_setting(name, v)}' for k, v in value.items()))}}}"
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _bytes(name: str, tensor: Tensor) -> np.ndarray:
    if tensor.is_meta:
        raise OptionError(f"model: {name!r} is on the meta device and has no values. Load the weights first.")
    values = tensor.detach()
    if values.layout is not torch.strided:
        values = values.to_dense()
    values = values.resolve_conj().resolve_neg().cpu().contiguous()
    return values.reshape(-1).view(torch.uint8).numpy()  # the same memory, as bytes: numpy has no bfloat16
