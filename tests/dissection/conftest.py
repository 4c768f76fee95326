"""`unitlens dissect` in processes of its own that write down which images their model sees."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from unitlens.arrays import read_arrays
from unitlens.data.scenes import SceneProbe
from unitlens.store import Store

ROOT = Path(__file__).resolve().parents[2]
MOST, SIZE = 448, 64

#: Runs the command line; SceneNet's forward first writes a line with the digests of its images. (The single image by
#: which a layer's geometry is traced is left out.) A process may be slow, or be killed at a batch.
WATCHED = """
import hashlib, os, signal, sys, time
from pathlib import Path
import torch
from unitlens.models.tiny import SceneNet
forward, environment = SceneNet.forward, os.environ
rank, restart = environment.get("RANK", "0"), environment.get("TORCHELASTIC_RESTART_COUNT", "0")
log = Path(environment["WATCH_LOG"], f"{rank}.{restart}.{os.getpid()}")
log.touch()
seen = 0

def watched(self, images):
    global seen
    if len(images) > 1:
        seen += 1
        with log.open("a") as file:
            print(*(hashlib.sha1(image.numpy().tobytes()).hexdigest() for image in images), file=file)
        time.sleep(float(environment.get("WATCH_SLOW", 0)))
        if environment.get("WATCH_KILL") == f"{rank}.{restart}.{seen}":
            os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, images)

SceneNet.forward = watched
torch.set_num_threads(1)
from unitlens.cli import app
app(sys.argv[1:], prog_name="unitlens")
"""


@dataclass(frozen=True)
class Place:
    """A home folder with the scenes in it, and the logs of what ran there."""

    home: Path
    script: Path
    number: dict[str, int]

    @property
    def log(self) -> Path:
        return self.home / "log"

    def environment(self, **more: object) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        own = {"UNITLENS_HOME": self.home, "PYTHONPATH": path, "OMP_NUM_THREADS": 1, "WATCH_LOG": self.log}
        return {**os.environ, **{name: str(value) for name, value in {**own, **more}.items()}}

    def start(
        self, count: int, layers: str, *options: object, launch: Sequence[object] = (), **environment: object
    ) -> subprocess.Popen[str]:
        """`unitlens dissect` over so many scenes; launch: what comes before the script."""
        line = ["dissect", "--layers", layers, "--data", f"scenes:{count}", "--image-size", SIZE, "--device", "cpu"]
        command = [sys.executable, *launch, self.script, *line, "--save", self.home / "found.safetensors", *options]
        return subprocess.Popen(
            list(map(str, command)), env=self.environment(**environment), cwd=self.home, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, count: int, layers: str, *options: object, **more: object) -> str:
        """The same, and waits for it. Returns what was printed."""
        return finished(self.start(count, layers, *options, **more))

    def runs(self, log: str = "*") -> Counter[int]:
        """How often the model saw each image."""
        lines = [line for file in self.log.glob(log) for line in file.read_text().split()]
        return Counter(self.number[digest] for digest in lines)

    def forget_runs(self) -> None:
        for file in self.log.iterdir():
            file.unlink()

    def shards(self) -> list[Path]:
        return sorted((self.home / "store" / "shard").glob("*.safetensors"))

    def tables(self) -> tuple[dict[str, np.ndarray], dict[str, object]]:
        """The saved result: its arrays, and its header without the time it took."""
        arrays, header = read_arrays(self.home / "found.safetensors")
        header["notes"].pop("seconds")
        return arrays, header


def finished(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """A store with the scenes, and the number of each by the digest of its pixels."""
    root = tmp_path_factory.mktemp("drawn")
    probe = SceneProbe(MOST, size=SIZE, store=Store(root))
    probe.prepare(progress=False)
    images = [image for batch in probe.batches(64) for image in batch.images]
    return root, {hashlib.sha1(image.numpy().tobytes()).hexdigest(): n for n, image in enumerate(images)}


@pytest.fixture(scope="session")
def new_place(drawn: tuple[Path, dict[str, int]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Place]:
    """Makes a home folder of its own, with the scenes, or as a copy of another one."""

    def make(source: Place | None = None) -> Place:
        home = tmp_path_factory.mktemp("home")
        shutil.copytree(source.home / "store" if source else drawn[0], home / "store")
        (home / "log").mkdir()
        script = home / "watched.py"
        script.write_text(WATCHED)
        return Place(home, script, drawn[1])

    return make


def same_tables(a: Place, b: Place) -> None:
    """All arrays of two results are equal, bit by bit, and all that is noted but the time."""
    (ours, our_notes), (theirs, their_notes) = a.tables(), b.tables()
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype and np.array_equal(ours[name], theirs[name], equal_nan=True), name
    assert our_notes == their_notes


def same_shards(a: Place, b: Place) -> None:
    """Both stores hold the same shards with equal arrays."""
    assert [path.name for path in a.shards()] == [path.name for path in b.shards()]
    for ours, theirs in zip(a.shards(), b.shards(), strict=True):
        first, second = read_arrays(ours)[0], read_arrays(theirs)[0]
        assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first | second)


@pytest.fixture(scope="session")
def same() -> Callable[[Place, Place], None]:
    """Checks that two places hold bit-equal shards and results."""

    def check(a: Place, b: Place) -> None:
        same_shards(a, b)
        same_tables(a, b)

    return check
