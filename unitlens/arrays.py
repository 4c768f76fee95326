"""Arrays with a JSON header in one safetensors file: written whole or not at all, never pickle."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from unitlens.errors import OptionError

#: How the name of a file begins that is still being written; a killed writer leaves it behind.
WRITING = ".writing-"


def canonical(recipe: Mapping[str, Any]) -> str:
    """The recipe as JSON text that is the same for equal recipes: keys sorted, no spaces.

    Raises OptionError for values that have no exact written form (tensors, functions, NaN).

    >>> canonical({"quantile": 0.5, "grid": (28, 56)})
    '{"grid":[28,56],"quantile":0.5}'
    """
    try:
        return json.dumps(recipe, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        expected = "every value must be text, a number, a list or a mapping of those"
        raise OptionError(f"recipe: {expected}; {error}") from error


def recipe_key(recipe: Mapping[str, Any]) -> str:
    """The store's name for a recipe: sha256 of its canonical text, 64 hex digits."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    """Writes arrays with a JSON header as one safetensors file, atomically.

    Raises OptionError for arrays of Python objects, OSError or SafetensorError where nothing can be written.
    """
    path = Path(path)
    objects = [name for name, values in arrays.items() if values.dtype.hasobject]
    if objects:
        raise OptionError(f"arrays: expected numbers, {objects[0]!r} holds Python objects (dtype object)")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=WRITING, suffix=".safetensors")
    os.close(handle)
    try:
        whole = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
        save_file(whole, name, metadata={"unitlens": canonical(header), "crc32": _checksum(whole)})
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON header of a file written by `write_arrays`. Raises ValueError for another or a damaged file."""
    with safe_open(str(path), framework="numpy") as file:
        about = file.metadata() or {}
        header = _header(about)
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about.get("crc32", "") not in ("", _checksum(arrays)):
        raise ValueError("its numbers are damaged")
    return arrays, header


def read_header(path: str | Path) -> dict[str, Any]:
    """The JSON header alone: no array is read. Raises ValueError, OSError or SafetensorError for another file."""
    with safe_open(str(path), framework="numpy") as file:
        return _header(file.metadata() or {})


def _header(about: Mapping[str, str]) -> dict[str, Any]:
    if "unitlens" not in about:
        raise ValueError("it has no unitlens header")
    header = json.loads(about["unitlens"])
    if not isinstance(header, dict):
        raise ValueError("its unitlens header is not a mapping")
    return header


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """CRC-32 of all the bytes: safetensors itself notices a wrong length only, not a block of zeros."""
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data, total)
    return f"{total:08x}"
