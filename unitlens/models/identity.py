"""The identity of a model: a digest of everything that can be read off it and decides its outputs."""

from __future__ import annotations

import hashlib
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.errors import OptionError


def model_digest(model: nn.Module) -> str:
    """64 hex digits (sha256) that change with the class name, the printed structure, numbers and texts kept as
    plain attributes, and every parameter and buffer (name, dtype, shape, bytes); not with the device or the mode.

    The code of `forward` is not read: rename the class when you change it. Tensors on the CPU are hashed where they
    lie, without a copy.

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
        add(f"{name} {sorted((k, v) for k, v in vars(module).items() if _is_setting(k, v))}")
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


def _is_setting(name: str, value: object) -> bool:
    """Whether an attribute is a number or text that forward may use (an epsilon, a mode) and repr may not show."""
    if name.startswith("_") or name in ("training", "unitlens_name"):
        return False
    values = value if isinstance(value, tuple) else (value,)
    return all(type(v) in (int, float, bool, str) for v in values)


def _bytes(name: str, tensor: Tensor) -> np.ndarray:
    if tensor.is_meta:
        raise OptionError(f"model: {name!r} is on the meta device and has no values. Load the weights first.")
    values = tensor.detach()
    if values.layout is not torch.strided:
        values = values.to_dense()
    values = values.resolve_conj().resolve_neg().cpu().contiguous()
    return values.reshape(-1).view(torch.uint8).numpy()  # the same memory, as bytes: numpy has no bfloat16
