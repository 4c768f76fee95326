"""Worker processes that draw scenes into the store. Threads share one interpreter lock: drawing uses one core there.

A worker is a plain process of this interpreter (`main` below), told chunk numbers line by line. It never imports the
caller's script, so no `if __name__ == "__main__"` is needed, and no torch, so it starts in a fraction of a second.
It ends with its input: when the caller is gone, however that happened.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

MOST = 16  # worker processes; each holds some 70 MB
#: What a worker runs, under -I: it finds the modules where the caller finds them.
_START = (
    "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep); from unitlens.data.drawing import main; main()"
)
_STORED = "stored"


def can_draw() -> bool:
    """Whether worker processes are of use here: more than one core, and an interpreter that can be started."""
    frozen = bool(getattr(sys, "frozen", False))  # then sys.executable is the application
    return (os.cpu_count() or 1) > 1 and bool(sys.executable) and not frozen


class Drawing:
    """Chunks of scenes that worker processes draw into the store, in the order given.

    root: the store's folder. seed, size: of the scenes, in pixels. scenes: how many a chunk holds. family: see
    `chunk_recipe`.

    Whatever goes wrong in a worker only means that its chunk is not there (`wait` gives False) and that no more are
    drawn: the caller then draws itself, and meets the reason.

    with Drawing(root, chunks, seed=2, size=128, scenes=64) as drawing:
        drawing.wait(chunks[0])
    """

    def __init__(
        self, root: Path, chunks: Iterable[int], *, seed: int, size: int, scenes: int, family: str | None = None,
        workers: int = 0,
    ):  # fmt: skip
        self._waiting = deque(dict.fromkeys(chunks))
        self._open = set(self._waiting)  # neither stored nor given up
        self._stored: set[int] = set()
        self._change = threading.Condition()
        self._about = [str(Path(root).absolute()), str(seed), str(size), str(scenes), family or ""]
        count = min(workers or os.cpu_count() or 1, MOST, len(self._waiting))
        self._processes = [process for process in (_start(self._about) for _ in range(count)) if process is not None]
        if not self._processes:
            self._give_up()
        # daemons: an interpreter that ends does not wait for all the chunks
        self._feeders = [threading.Thread(target=self._feed, args=(p,), daemon=True) for p in self._processes]
        for feeder in self._feeders:
            feeder.start()
        self._closed = False
        atexit.register(self.close)  # a stream left open in a script is collected when it is too late for that

    def __enter__(self) -> Drawing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, chunk: int) -> bool:
        """Whether a chunk is in the store, once that is known. It is drawn next if nobody draws it yet."""
        with self._change:
            if chunk in self._waiting:
                self._waiting.remove(chunk)
                self._waiting.appendleft(chunk)
            self._change.wait_for(lambda: chunk not in self._open)
            return chunk in self._stored

    def finished(self) -> Iterator[int]:
        """Every chunk as it is stored; ends when there are no more to come."""
        told: set[int] = set()
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._stored - told) or not self._open)
                new = sorted(self._stored - told)
            if not new:
                return
            told.update(new)
            yield from new

    def close(self) -> None:
        """Ends the workers; a chunk half drawn is dropped."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._give_up()
        for process in self._processes:
            process.terminate()  # its feeder then reads the end of its answers
        for feeder in self._feeders:
            feeder.join()

    def _give_up(self) -> None:
        with self._change:
            self._open -= set(self._waiting)
            self._waiting.clear()
            self._change.notify_all()

    def _feed(self, process: subprocess.Popen[str]) -> None:
        """Hands one worker its chunks, until there are none or it fails."""
        stored = True
        while stored:
            with self._change:
                if not self._waiting:
                    break
                chunk = self._waiting.popleft()
            stored = _ask(process, chunk)
            with self._change:
                self._open.discard(chunk)
                if stored:
                    self._stored.add(chunk)
                self._change.notify_all()
        if not stored:
            self._give_up()
        _end(process)


def _start(about: list[str]) -> subprocess.Popen[str] | None:
    """One worker, or None where no process can be started."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _START, os.pathsep.join(map(os.path.abspath, sys.path)), *about],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **one_thread},
            start_new_session=True,  # an interrupt is for the caller, who then ends the workers
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except OSError:
        return None


def _ask(process: subprocess.Popen[str], chunk: int) -> bool:
    """Has a worker draw one chunk; False where it is not stored then."""
    if process.stdin is None or process.stdout is None:
        return False
    try:
        process.stdin.write(f"{chunk}\n")
        process.stdin.flush()
        return process.stdout.readline().split() == [_STORED, str(chunk)]
    except (OSError, ValueError):  # it is gone
        return False


def _end(process: subprocess.Popen[str]) -> None:
    """Closes a worker's input, which ends it, and waits for that."""
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # a worker that is gone did not read all that was written
            if pipe is not None:
                pipe.close()
    process.wait()


def main() -> None:
    """A worker: python ... ROOT SEED SIZE SCENES FAMILY; chunk numbers come in, "stored NUMBER" goes out, by line."""
    from unitlens.data.world.scene import chunk_recipe, packed, render_scene
    from unitlens.store import Store

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exception, which removes a file half written
    root, seed, size, scenes = sys.argv[1], *map(int, sys.argv[2:5])
    family = sys.argv[5] or None
    store = Store(root, limit_gb=math.inf)  # the caller's own limit makes room, at its next put
    for line in sys.stdin:
        chunk = int(line)
        recipe = chunk_recipe(seed, size, chunk, scenes, family)
        if not store.hit(recipe):  # another program may have been faster
            first = chunk * scenes
            drawn = [render_scene(i, seed=seed, size=size, scene_class=family) for i in range(first, first + scenes)]
            store.put(recipe, packed(drawn))
        print(_STORED, chunk, flush=True)
