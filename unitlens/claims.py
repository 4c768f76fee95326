"""A claim: the right of one process, and one thread of it, to compute what a file of the store will hold.

It is an operating-system lock on a hidden file beside that file, so that a killed holder loses it at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

SUFFIX = ".claim"


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Yields True when this process now holds the claim of a file, False when another process or thread does.

    It never waits. Where there can be no lock (a read-only or full disk) everyone computes for oneself: True.
    """
    mine, lock = True, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = take(path)
        mine = lock is not None
    except (OSError, NotImplementedError):  # a file system without locks
        pass
    try:
        yield mine
    finally:
        if lock:
            give_back(lock)


def take(path: Path) -> BaseFileLock | None:
    """The held lock of a file's claim, None where it is held elsewhere. Raises OSError where there can be no lock."""
    from filelock import FileLock, Timeout

    # not thread_local: the lock is this object's, and another thread's object must be refused like another process
    lock = FileLock(path.with_name(f".{path.stem}{SUFFIX}"), thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:  # it is an OSError too
        return None
    return lock


def give_back(lock: BaseFileLock) -> None:
    """Ends a claim and removes its file.

    The name goes first, while the lock is held: nobody else's lock can have it. Who opened the old file before and
    locks it now holds a lock without a name, beside a new one: both come after the result was put, and look again.
    """
    with suppress(OSError):  # Windows: an open file has to stay, and filelock removes it itself
        os.unlink(lock.lock_file)
    lock.release()
