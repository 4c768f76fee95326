"""The files of a store: finding them, removing them, and keeping them below the store's limit."""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unitlens.arrays import WRITING
from unitlens.claims import SUFFIX, give_back, take
from unitlens.errors import StoreWarning

DAY = 86_400.0  # seconds
RECENT = 600.0  # seconds in which a used result counts as still wanted
OURS = re.compile(r"[0-9a-f]{64}\.safetensors")


@dataclass(frozen=True)
class StoredFile:
    """One file in a store's folder, as it was when the folder was walked; `used` in seconds since 1970."""

    path: Path
    bytes: int
    used: float

    @property
    def kind(self) -> str:
        """The folder: what sort of result."""
        return self.path.parent.name

    @property
    def key(self) -> str:
        """The recipe's key; a file of another origin has its own name here."""
        return self.path.stem if self.ours else self.path.name

    @property
    def ours(self) -> bool:
        """Whether the store wrote it, by its name. Nothing else is ever removed."""
        return OURS.fullmatch(self.path.name) is not None


def walk(root: Path) -> list[StoredFile]:
    """The files of all kinds. What killed writers and holders left behind more than a day ago is removed."""
    found = []
    for folder in _scan(root):
        if folder.name.startswith(".") or not _is_folder(folder):
            continue
        for entry in _scan(Path(folder.path)):
            try:
                if not entry.is_file(follow_symlinks=False):
                    continue
                about = entry.stat(follow_symlinks=False)
            except OSError:  # removed by another process since it was listed
                continue
            if entry.name.startswith("."):
                _sweep(Path(entry.path), time.time() - about.st_mtime)
            else:
                found.append(StoredFile(Path(entry.path), about.st_size, about.st_mtime))
    return found


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from list(entries)
    except OSError:  # not there yet, or not for us to read
        return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _sweep(hidden: Path, age: float) -> None:
    if age < DAY:
        return
    if hidden.name.startswith(WRITING) and hidden.suffix == ".safetensors":
        with suppress(OSError):
            hidden.unlink()
    elif hidden.suffix == SUFFIX:
        with suppress(OSError):
            lock = take(hidden.with_name(hidden.stem[1:] + ".safetensors"))
            if lock:  # nobody holds it: its holder was killed
                give_back(lock)


def remove(file: StoredFile, *, unchanged: bool = False) -> bool:
    """Removes a file of ours unless a live process has claimed it; says whether it did.

    unchanged: leave it if it was used or written again since the walk. Raises OSError where it cannot be removed.
    """
    if not file.ours:
        return False
    lock = take(file.path)
    if lock is None:
        return False
    try:
        if unchanged and file.path.stat().st_mtime != file.used:
            return False
        file.path.unlink()
    except FileNotFoundError:  # another process was faster
        return False
    finally:
        give_back(lock)
    return True


# ---- the limit ---------------------------------------------------------------------------------------------------


@dataclass
class _Tally:
    """What a store's files held when they were walked, and what this process has added since, in bytes."""

    walked: int
    added: int = 0


_tallies: dict[str, _Tally] = {}
_warned: set[str] = set()
_guard = threading.Lock()


def make_room(root: Path, limit: float, written: Path) -> None:
    """Removes the least recently used files while all of them together are above the limit (bytes).

    Never the one just written nor a claimed one; those used in the last ten minutes only when nothing else is left,
    with one StoreWarning. The folder is walked at the first call, and again when half of the room that was left then
    is filled: often near the limit, hardly ever far from it.
    """
    place = os.path.abspath(root)
    try:
        size = written.stat().st_size
    except OSError:
        return
    with _guard:
        tally = _tallies.get(place)
        if tally and tally.added + size <= (limit - tally.walked) / 2:
            tally.added += size
            return
        files = [file for file in walk(root) if file.ours]
        left, squeezed = _evict(files, limit, written)
        _tallies[place] = _Tally(left)
        warn = squeezed and place not in _warned
        _warned.update([place] if warn else [])
    if warn:
        message = (
            f"the store {root} is above its limit of {limit / 1e9:g} GB with results used in the last ten minutes "
            "alone: some of them were removed, or the newest is larger than the limit. Raise it with "
            "UNITLENS_STORE_GB or Store(limit_gb=...), or results that are still wanted are computed again and again"
        )
        warnings.warn(message, StoreWarning, stacklevel=3)


def _evict(files: Sequence[StoredFile], limit: float, written: Path) -> tuple[int, bool]:
    """Bytes left, and whether the limit was too small for what is in use."""
    now, squeezed = time.time(), False
    total = sum(file.bytes for file in files)
    # a time far in the future comes from a wrong clock: last in the order, but not protected
    order = sorted(files, key=lambda file: (abs(now - file.used) < RECENT, file.used))
    for file in order:
        if total <= limit:
            break
        with suppress(OSError):  # another user's file, say: then the next one
            if file.path != written and remove(file, unchanged=True):
                total -= file.bytes
                squeezed = squeezed or abs(now - file.used) < RECENT
    return total, squeezed or total > limit


def forget(root: Path) -> None:
    """The next `make_room` walks the folder: files were removed."""
    with _guard:
        _tallies.pop(os.path.abspath(root), None)
