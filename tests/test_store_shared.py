"""A store that several processes share: one of them computes, a killed one is in nobody's way, nothing is half there.

Every process here is a real one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from unitlens.store import Store

ROOT = Path(__file__).resolve().parents[1]
RECIPE = {"kind": "shared", "layer": "conv5"}


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A new interpreter that runs some code with our package; its warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def finished(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


HOLDER = """
import sys
from unitlens.store import Store
with Store(sys.argv[1]).claim({"kind": "shared", "layer": "conv5"}) as mine:
    print(mine, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the claim of RECIPE until it reads a line."""
    process = python(HOLDER, root)
    try:
        assert process.stdout and process.stdout.readline() == "True\n"
        yield process
    finally:
        process.kill()
        process.communicate()


# ---- claims ------------------------------------------------------------------------------------------------------


def test_a_claim_is_had_by_one_process_and_is_free_when_it_ends(tmp_path):
    store = Store(tmp_path)
    with holder(tmp_path) as process:
        with store.claim(RECIPE) as mine:
            assert not mine
        with store.claim({**RECIPE, "layer": "conv4"}) as mine:
            assert mine, "another recipe is another claim"
        assert finished_with(process, "\n") == 0
        with store.claim(RECIPE) as mine:
            assert mine
    assert files(tmp_path) == [], "the holder takes the lock file away"


def finished_with(process: subprocess.Popen[str], line: str) -> int:
    process.communicate(line, timeout=120)
    return process.returncode


def test_a_killed_holder_loses_its_claim_at_once(tmp_path):
    store = Store(tmp_path)
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=120)
        assert len(files(tmp_path)) == 1, "it could not tidy up"
        with store.claim(RECIPE) as mine:
            assert mine
            with python(HOLDER, tmp_path) as other:
                assert other.communicate("\n", timeout=120)[0] == "False\n", "the new claim holds against others"
    assert files(tmp_path) == []


def test_a_claim_is_had_by_one_thread_and_not_twice_by_one(tmp_path):
    seen = []

    def look() -> None:
        with Store(tmp_path).claim(RECIPE) as mine:
            seen.append(mine)

    with Store(tmp_path).claim(RECIPE) as mine:
        assert mine
        look()
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(120)
    look()
    assert seen == [False, False, True]


def test_a_holder_that_fails_frees_its_claim_and_its_error_gets_out(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(RuntimeError, match="no memory"), store.claim(RECIPE):
        raise RuntimeError("no memory")
    with store.claim(RECIPE) as mine:
        assert mine
    assert files(tmp_path) == []


def test_where_nothing_can_be_written_everyone_may_compute(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with Store(tmp_path / "file").claim(RECIPE) as mine:
        assert mine


UNPRIVILEGED = """
import os, sys
import filelock
from unitlens.store import Store
if os.getuid() == 0:
    os.setuid(65534)
store = Store(sys.argv[1])
with store.claim({"kind": "shared", "layer": "conv5"}) as mine:
    print(mine, store.hit({"kind": "shared", "layer": "conv5"}), store.get({"kind": "shared", "layer": "conv5"})[1])
print(len(store.ls()))
"""


def test_a_store_of_another_user_can_be_read_and_claimed_without_an_error(tmp_path):
    place = tmp_path / "store"
    path = Store(place).put(RECIPE, {"value": np.arange(3)}, {"seconds": 2})
    used = path.stat().st_mtime
    closed = [folder for folder in (tmp_path, *tmp_path.parents) if not folder.stat().st_mode & 0o001]
    before = {folder: folder.stat().st_mode for folder in (path.parent, place, *closed)}
    try:
        for folder in before:
            folder.chmod(0o555 if folder in (place, path.parent) else before[folder] | 0o011)
        path.chmod(0o444)
        assert finished(python(UNPRIVILEGED, place)) == "True True {'seconds': 2}\n1\n"
    finally:
        for folder, mode in before.items():
            folder.chmod(mode)
    if os.getuid() == 0:
        assert path.stat().st_mtime == used, "another user's file keeps its time"
    assert files(tmp_path) == [path.name]


WORKER = """
import os, sys, time
import numpy as np
from unitlens.store import Store
root, log, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
store = Store(root)
for number in range(60):
    recipe = {"kind": "shared", "number": number}
    while True:
        with store.claim(recipe) as mine:
            if store.hit(recipe):
                break
            if mine:
                os.mkdir(f"{log}/inside-{number}")  # fails while another is inside
                with open(f"{log}/{name}", "a") as file:
                    file.write(f"{number}\\n")
                try:
                    if number % 3 == 0 and not os.path.exists(f"{log}/failed-{number}"):
                        os.mkdir(f"{log}/failed-{number}")
                        raise RuntimeError("a holder that puts nothing")
                    store.put(recipe, {"value": np.full(100, number)})
                except RuntimeError:
                    continue
                finally:
                    os.rmdir(f"{log}/inside-{number}")
                break
        time.sleep(0.001)
    assert (store.get(recipe)[0]["value"] == number).all()
"""


def test_processes_that_meet_compute_each_result_once_and_one_at_a_time(tmp_path):
    """Also where a holder gives up: its recipe is then computed by exactly one other."""
    place, log = tmp_path / "store", tmp_path / "log"
    log.mkdir()
    workers = [python(WORKER, place, log, f"log{n}") for n in range(4)]
    for worker in workers:
        assert worker.stdout and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    for worker in workers:
        finished(worker)
    counts = Counter(int(line) for path in log.glob("log*") for line in path.read_text().split())
    assert counts == {number: 2 if number % 3 == 0 else 1 for number in range(60)}
    assert len(files(place)) == 60 and all(name.endswith(".safetensors") for name in files(place))
    assert not any(name.startswith(".") for name in files(place))


# ---- one file ----------------------------------------------------------------------------------------------------

PUTTER = """
import sys
import numpy as np
from unitlens.store import Store
store, mark = Store(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
store.put({"kind": "shared", "layer": "conv5"}, {"value": np.full(400_000, mark)}, {"writer": mark})
"""


def test_two_processes_that_put_the_same_recipe_at_once_leave_one_good_file(tmp_path):
    for attempt in range(3):
        place = tmp_path / str(attempt)
        putters = [python(PUTTER, place, mark) for mark in (1, 2)]
        for putter in putters:
            assert putter.stdout and putter.stdout.readline() == "ready\n"
        for putter in putters:
            assert putter.stdin
            putter.stdin.write("\n")
            putter.stdin.flush()
        for putter in putters:
            finished(putter)
        arrays, notes = Store(place).get(RECIPE)  # a warning would be an error
        assert notes["writer"] in (1, 2) and (arrays["value"] == notes["writer"]).all()
        assert files(place) == [Store(place).path(RECIPE).name]


# ---- what is claimed is not removed ------------------------------------------------------------------------------


def test_what_a_live_process_has_claimed_is_not_removed_and_a_killed_ones_is(tmp_path):
    store = Store(tmp_path)
    mine, other = store.put(RECIPE, {"value": np.arange(3)}), store.put({**RECIPE, "layer": "conv4"}, {})
    with holder(tmp_path) as process:
        assert store.rm(everything=True).files == 1
        assert mine.exists() and not other.exists()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=120)
        assert store.rm(kind="shared").files == 1
    assert files(tmp_path) == []


def test_what_a_live_process_has_claimed_is_not_evicted(tmp_path):
    store = Store(tmp_path)
    oldest = store.put(RECIPE, {"value": np.zeros(1000)})
    older = store.put({**RECIPE, "layer": "conv4"}, {"value": np.zeros(1000)})
    for path, used in ((oldest, 1e9), (older, 1.1e9)):
        os.utime(path, (used, used))
    room = 2.5 * oldest.stat().st_size
    with holder(tmp_path):
        Store(tmp_path, limit_gb=room / 1e9).put({**RECIPE, "layer": "conv3"}, {"value": np.zeros(1000)})
        Store(tmp_path, limit_gb=room / 1e9).put({**RECIPE, "layer": "conv3"}, {"value": np.zeros(1000)})
        assert oldest.exists() and not older.exists()


def test_the_lock_file_of_a_killed_holder_goes_after_a_day_and_that_of_a_live_one_stays(tmp_path):
    with holder(tmp_path) as process:
        (lock,) = (tmp_path / "shared").iterdir()
        os.utime(lock, (1e9, 1e9))
        assert len(Store(tmp_path).ls()) == 0 and lock.exists()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=120)
        assert len(Store(tmp_path).ls()) == 0 and not lock.exists()
