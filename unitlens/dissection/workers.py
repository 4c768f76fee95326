"""Workers: the units of a layer are counted by one thread per core, each with its own units and its own tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")
MOST = 8  # threads; more of them wait for Python
FEWEST = 8  # units of a thread


class Workers:
    """Threads in which torch itself uses one core each; a context. Nothing runs in them where there is one core only.

    >>> with Workers(2) as workers:
    ...     workers.map(lambda number: number + 1, [1, 2, 3])
    [2, 3, 4]
    """

    def __init__(self, count: int | None = None):
        self.count = min(MOST, count or torch.get_num_threads())
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if self.count > 1:
            threads = torch.get_num_threads()
            started = Barrier(self.count)
            self._pool = ThreadPoolExecutor(self.count, "unitlens-count", _one_core)
            try:
                list(self._pool.map(lambda _: started.wait(), range(self.count)))  # every thread is there
            except BaseException:  # one cannot be started: those that wait for it would wait for ever
                started.abort()
                self._pool.shutdown()
                raise
            torch.set_num_threads(threads)  # what a worker sets for itself is what later threads would begin with
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def slices(self, units: int, device: torch.device) -> list[slice]:
        """The units of a layer in as many parts as there are threads for them."""
        parts = max(1, min(self.count, units // FEWEST)) if device.type == "cpu" else 1
        ends = [units * part // parts for part in range(parts + 1)]
        return [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]

    def map(self, work: Callable[[Piece], Answer], pieces: Iterable[Piece]) -> list[Answer]:
        """`work` of every piece, in their order; in this thread where there is one piece."""
        todo = list(pieces)
        if self._pool is None or len(todo) < 2:
            return [work(piece) for piece in todo]
        return list(self._pool.map(work, todo))


def _one_core() -> None:
    """Makes torch use one core in this thread. Asked first: a thread's first question sets the number once more."""
    torch.get_num_threads()
    torch.set_num_threads(1)
