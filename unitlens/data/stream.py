"""Reading ahead: the next piece is loaded in a thread while this one is used."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Asked = TypeVar("Asked")
Loaded = TypeVar("Loaded")


def read_ahead(load: Callable[[Asked], Loaded], pieces: Iterable[Asked]) -> Iterator[Loaded]:
    """`load(piece)` of every piece in order, one ahead of the caller.

    The next piece is asked for only when the one before is handed out, so `pieces` may decide late what comes.
    An error of `load` is raised where its piece would come, and ends the reading. Closing the generator early waits
    for the piece being loaded and leaves no thread.

    >>> list(read_ahead(len, ["a", "", "bcd"]))
    [1, 0, 3]
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="unitlens-load")
    waiting: deque[Future[Loaded]] = deque()
    try:
        for piece in pieces:
            waiting.append(pool.submit(load, piece))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        if not sys.is_finalizing():  # a reading that a script has left open: threads are gone by then
            pool.shutdown(cancel_futures=True)
