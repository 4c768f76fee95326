"""The store: every result under the sha256 of the written recipe that made it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from unitlens.errors import OptionError, StoreWarning


def canonical(recipe: Mapping[str, Any]) -> str:
    """The recipe as JSON text that is the same for equal recipes: keys sorted, no spaces.

    Raises OptionError for values that have no exact written form (tensors, functions, NaN).
    """
    try:
        return json.dumps(recipe, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        expected = "every value must be text, a number, a list or a mapping of those"
        raise OptionError(f"recipe: {expected}; {error}") from error


def recipe_key(recipe: Mapping[str, Any]) -> str:
    """The store's name for a recipe: sha256 of its canonical text, 64 hex digits."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()


def home() -> Path:
    """Where unitlens keeps files: $UNITLENS_HOME, or the user's cache folder."""
    if os.environ.get("UNITLENS_HOME"):
        return Path(os.environ["UNITLENS_HOME"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if os.name == "nt" else None)
    return (Path(base) if base else Path.home() / ".cache") / "unitlens"


class Store:
    """Arrays on disk by recipe: safetensors files, written whole or not at all, never pickle.

    A file that cannot be read, or that holds another recipe, counts as absent, with a StoreWarning.
    """

    def __init__(self, root: str | Path | None = None):
        self.root = Path(root) if root is not None else home() / "store"

    def path(self, recipe: Mapping[str, Any]) -> Path:
        """The file of a recipe, whether it exists or not; its folder is the recipe's `kind`."""
        return self.root / str(recipe.get("kind", "result")) / f"{recipe_key(recipe)}.safetensors"

    def hit(self, recipe: Mapping[str, Any]) -> bool:
        """Whether there is a file for this recipe."""
        return self.path(recipe).exists()

    def get(self, recipe: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and the notes stored for a recipe, or None."""
        path = self.path(recipe)
        if not path.exists():
            return None
        try:
            arrays, header = read_arrays(path)
            if header.get("recipe") != json.loads(canonical(recipe)):
                raise ValueError("it holds another recipe")
            return arrays, header["notes"]
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            message = f"stored file {path} cannot be used ({error}); it is computed again"
            warnings.warn(message, StoreWarning, stacklevel=2)
            return None

    def put(
        self, recipe: Mapping[str, Any], arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any] | None = None
    ) -> Path:
        """Stores arrays (and JSON notes) under a recipe: a temporary file, then a rename."""
        path = self.path(recipe)
        write_arrays(path, arrays, {"recipe": json.loads(canonical(recipe)), "notes": dict(notes or {})})
        return path

    def offer(self, recipe: Mapping[str, Any], arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> bool:
        """Stores a result if that is possible; a full or read-only disk is a StoreWarning and nothing is lost."""
        try:
            self.put(recipe, arrays, notes)
        except (OSError, SafetensorError) as error:
            warnings.warn(f"the result could not be kept in {self.root} ({error})", StoreWarning, stacklevel=3)
            return False
        return True

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    """Writes arrays with a JSON header as one safetensors file, atomically."""
    path = Path(path)
    objects = [name for name, values in arrays.items() if values.dtype.hasobject]
    if objects:
        raise OptionError(f"arrays: expected numbers, {objects[0]!r} holds Python objects (dtype object)")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=".safetensors")
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
        if "unitlens" not in about:
            raise ValueError("it has no unitlens header")
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about.get("crc32", "") not in ("", _checksum(arrays)):
        raise ValueError("its numbers are damaged")
    return arrays, json.loads(about["unitlens"])


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """CRC-32 of all the bytes: safetensors itself notices a wrong length only, not a block of zeros."""
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data, total)
    return f"{total:08x}"


_default: Store | None = None


def default_store() -> Store:
    """The store used where none is named; follows $UNITLENS_HOME as it is now."""
    global _default
    if _default is None or _default.root != home() / "store":
        _default = Store()
    return _default
