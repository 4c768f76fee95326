"""Pack: named arrays as one run of bytes that a page reads without copying; the JavaScript twin is static/pack.js."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_TYPES = {"u1", "u2", "i4", "f4"}
_STEP = 8  # bytes at whose multiples arrays begin: typed arrays of a page want their own size


def packed(arrays: Mapping[str, np.ndarray]) -> tuple[list[list[Any]], bytes]:
    """A header [[name, type, shape], ...] for JSON and the bytes, little-endian, each array padded to 8 bytes.

    >>> packed({"a": np.zeros((2, 3), np.uint16)})
    ([['a', 'u2', [2, 3]]], b'\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00')

    Raises TypeError for another type than uint8, uint16, int32 and float32.
    """
    header, parts = [], []
    for name, array in arrays.items():
        kind = f"{array.dtype.kind}{array.dtype.itemsize}"
        if kind not in _TYPES:
            raise TypeError(f"{name}: expected uint8, uint16, int32 or float32, got {array.dtype}")
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        header.append([name, kind, list(array.shape)])
        parts.append(plain + bytes(-len(plain) % _STEP))
    return header, b"".join(parts)


def joined(files: list[bytes]) -> dict[str, np.ndarray]:
    """Files as two arrays: their sizes int32 (n,) and all their bytes uint8, one after another."""
    sizes = np.array([len(file) for file in files], dtype=np.int32)
    return {"sizes": sizes, "bytes": np.frombuffer(b"".join(files), dtype=np.uint8)}
