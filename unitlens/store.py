"""The store: every result under the sha256 of the written recipe that made it."""

from __future__ import annotations

import json
import math
import os
import string
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from safetensors import SafetensorError

from unitlens.arrays import canonical, read_arrays, recipe_key, write_arrays
from unitlens.claims import claim
from unitlens.entries import DAY, StoredFile, forget, make_room, remove, walk
from unitlens.errors import OptionError, StoreWarning
from unitlens.listing import StoreEntry, StoreListing

LIMIT_GB = 20.0
Result = TypeVar("Result")


class Removed(NamedTuple):
    """How many files `Store.rm` removed, and how many bytes that freed."""

    files: int
    bytes: int


def home() -> Path:
    """Where unitlens keeps files: $UNITLENS_HOME, or the user's cache folder."""
    if os.environ.get("UNITLENS_HOME"):
        return Path(os.environ["UNITLENS_HOME"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if os.name == "nt" else None)
    return (Path(base) if base else Path.home() / ".cache") / "unitlens"


class Store:
    """Arrays on disk by recipe: safetensors files, written whole or not at all, never pickle.

    A file that cannot be read, or that holds another recipe, counts as absent, with a StoreWarning. Several processes
    may use one store at once.

    root: the folder; `$UNITLENS_HOME/store` by default. limit_gb: above this many GB (10**9 bytes) the least recently
    used results go; $UNITLENS_STORE_GB or 20 by default, inf = no limit. Raises OptionError for no such number.

    >>> store, recipe = Store("some-folder"), {"kind": "sums", "layer": "conv5", "images": 12}
    >>> with store.claim(recipe) as mine:  # False: another process computes it; ask again in a moment
    ...     if mine and not store.hit(recipe):
    ...         path = store.put(recipe, {"sum": np.arange(3)}, {"seconds": 1.5})
    >>> arrays, notes = store.get(recipe, needs=["sum"])
    >>> arrays["sum"].tolist(), [entry.about for entry in store.ls()], store.rm(kind="sums").files
    ([0, 1, 2], ['conv5 · 12 images'], 1)
    """

    def __init__(self, root: str | Path | None = None, *, limit_gb: float | None = None):
        self.root = Path(root) if root is not None else home() / "store"
        self.limit = _limit(limit_gb)

    def path(self, recipe: Mapping[str, Any]) -> Path:
        """The file of a recipe, whether it exists or not; its folder is the recipe's `kind`."""
        kind = str(recipe.get("kind", "result"))
        if not kind or kind.startswith(".") or "/" in kind or "\\" in kind:
            raise OptionError(f"recipe: expected the name of one folder as its kind, such as 'result', got {kind!r}")
        return self.root / kind / f"{recipe_key(recipe)}.safetensors"

    def hit(self, recipe: Mapping[str, Any]) -> bool:
        """Whether there is a file for this recipe. It then counts as used now: who asks is about to read it."""
        path = self.path(recipe)
        found = path.exists()
        if found:
            _touch(path)
        return found

    def claim(self, recipe: Mapping[str, Any]) -> AbstractContextManager[bool]:
        """A context in which one process, and one thread of it, has the right to compute a recipe; it never waits.

        Gives True when that is this one; False when another holds it (also for the instant in which another looks
        whether a claim is alive, so ask again rather than only wait for the file). A killed holder's claim is free at
        once. Put the result inside, and look for it again after getting a claim: the last holder may have put it just
        before. In a folder that cannot be written everyone gets True.
        """
        return claim(self.path(recipe))

    def get(
        self, recipe: Mapping[str, Any], needs: Iterable[str] = ()
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and the notes stored for a recipe, or None. It then counts as used now.

        needs: names of arrays that the reader cannot do without; a file that lacks one is a StoreWarning and None.
        """
        path = self.path(recipe)
        if not path.exists():
            return None
        try:
            arrays, header = read_arrays(path)
            if header.get("recipe") != json.loads(canonical(recipe)):
                raise ValueError("it holds another recipe")
            notes = header["notes"]
            missing = [name for name in ([needs] if isinstance(needs, str) else needs) if name not in arrays]
            if missing:
                raise ValueError(f"it lacks {', '.join(map(repr, missing))}")
        except FileNotFoundError:  # removed by another process since it was seen
            return None
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            _warn_unusable(path, error)
            return None
        _touch(path)
        return arrays, notes

    def load(
        self,
        recipe: Mapping[str, Any],
        unpack: Callable[[dict[str, np.ndarray], dict[str, Any]], Result],
        needs: Iterable[str] = (),
    ) -> Result | None:
        """`unpack(arrays, notes)` of what is stored, or None; a file that cannot be unpacked is a StoreWarning."""
        stored = self.get(recipe, needs)
        if stored is None:
            return None
        try:
            return unpack(*stored)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            _warn_unusable(self.path(recipe), f"{type(error).__name__}: {error}")
            return None

    def put(
        self, recipe: Mapping[str, Any], arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any] | None = None
    ) -> Path:
        """Stores arrays (and JSON notes) under a recipe: a temporary file, then a rename; then the limit is kept."""
        path = self.path(recipe)
        write_arrays(path, arrays, {"recipe": json.loads(canonical(recipe)), "notes": dict(notes or {})})
        if self.limit != math.inf:
            make_room(self.root, self.limit, path)
        return path

    def offer(self, recipe: Mapping[str, Any], arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> bool:
        """Stores a result if that is possible; a full or read-only disk is a StoreWarning and nothing is lost."""
        try:
            self.put(recipe, arrays, notes)
        except (OSError, SafetensorError) as error:
            warnings.warn(f"the result could not be kept in {self.root} ({error})", StoreWarning, stacklevel=3)
            return False
        return True

    def ls(self, kind: str | None = None) -> StoreListing:
        """What is stored, of one kind or of all, the most recently used first. Only the files' headers are read."""
        files = [file for file in walk(self.root) if kind in (None, file.kind)]
        return StoreListing(map(StoreEntry.of, files), str(self.root), self.limit)

    def size(self) -> dict[str, tuple[int, int]]:
        """For each kind, how many files there are and how many bytes they hold; no file is opened."""
        sums: dict[str, tuple[int, int]] = {}
        for file in walk(self.root):
            count, held = sums.get(file.kind, (0, 0))
            sums[file.kind] = (count + 1, held + file.bytes)
        return dict(sorted(sums.items()))

    def rm(
        self,
        kind: str | None = None,
        key: str | None = None,
        unused_days: float | None = None,
        everything: bool = False,
    ) -> Removed:
        """Removes the stored results to which all the criteria apply; gives their number and the bytes freed.

        key: its first digits are enough. unused_days: not used for so many days. What a live process has claimed
        stays, as do files that unitlens did not write. Raises OptionError for no criterion, or everything and one.
        """
        _check_criteria(kind, key, unused_days, everything)
        now, files, size, failed = time.time(), 0, 0, []

        def chosen(file: StoredFile) -> bool:
            aged = unused_days is None or now - file.used >= unused_days * DAY
            return kind in (None, file.kind) and file.key.startswith((key or "").lower()) and aged

        for file in filter(chosen, walk(self.root)):
            try:
                if remove(file, unchanged=unused_days is not None):
                    files, size = files + 1, size + file.bytes
            except OSError as error:
                failed.append(error)
        forget(self.root)
        if failed:
            message = f"{len(failed)} files of {self.root} could not be removed ({failed[0]})"
            warnings.warn(message, StoreWarning, stacklevel=2)
        return Removed(files, size)

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"


def _touch(path: Path) -> None:
    with suppress(OSError):  # read-only, or another user's file: then its time is that of its writing
        os.utime(path)


def _warn_unusable(path: Path, reason: object) -> None:
    warnings.warn(f"stored file {path} cannot be used ({reason}); it is computed again", StoreWarning, stacklevel=3)


def _limit(limit_gb: float | None) -> float:
    """Bytes."""
    name, value = ("limit_gb", limit_gb) if limit_gb is not None else ("UNITLENS_STORE_GB", _environment())
    try:
        size = float(value)
    except (TypeError, ValueError):
        size = math.nan
    if not size > 0:
        raise OptionError(f"{name}: expected a number of GB above 0 (inf: no limit), got {value!r}")
    return size * 1e9


def _environment() -> str | float:
    return os.environ.get("UNITLENS_STORE_GB") or LIMIT_GB


def _check_criteria(kind: str | None, key: str | None, unused_days: float | None, everything: bool) -> None:
    given = {"kind": bool(kind), "key": bool(key), "unused_days": unused_days is not None}
    if everything and any(given.values()):
        names = ", ".join(name for name, is_given in given.items() if is_given)
        raise OptionError(f"everything: expected either everything=True or criteria, got both ({names})")
    if not everything and not any(given.values()):
        raise OptionError("rm: expected kind, key or unused_days, got none of them. everything=True empties the store.")
    if key and not (isinstance(key, str) and set(key) <= set(string.hexdigits)):
        raise OptionError(f"key: expected the first hex digits of a key, as ls() shows them, got {key!r}")
    if unused_days is not None and not (isinstance(unused_days, (int, float, np.number)) and unused_days >= 0):
        raise OptionError(f"unused_days: expected a number of days, 0 or more, got {unused_days!r}")


_default: Store | None = None


def default_store() -> Store:
    """The store used where none is named; follows $UNITLENS_HOME and $UNITLENS_STORE_GB as they are now."""
    global _default
    now = Store()
    if _default is None or (_default.root, _default.limit) != (now.root, now.limit):
        _default = now
    return _default
