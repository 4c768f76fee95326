"""Worker processes draw the same scenes, whatever script calls them, and their failures cost nothing but time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unitlens.data import drawing, scenes
from unitlens.data.drawing import Drawing
from unitlens.data.scenes import SceneProbe, render_scene
from unitlens.data.world.scene import chunk_recipe, packed
from unitlens.errors import StoreWarning
from unitlens.store import Store

ROOT = Path(__file__).resolve().parents[2]
SCENES, SIZE, SEED = 3, 64, 5


def workers(folder: Path, chunks, count: int = 2) -> Drawing:
    return Drawing(folder, chunks, seed=SEED, size=SIZE, scenes=SCENES, workers=count)


@pytest.fixture
def eager(monkeypatch) -> list[int]:
    """Worker processes from the first scene on, with chunks of three; the scenes this process drew itself."""
    drawn: list[int] = []

    def counting(index: int, **options):
        drawn.append(index)
        return render_scene(index, **options)

    monkeypatch.setattr(scenes, "MANY", 1)
    monkeypatch.setattr(scenes, "CHUNK", SCENES)
    monkeypatch.setattr(scenes, "render_scene", counting)
    monkeypatch.setattr(drawing.os, "cpu_count", lambda: 2)
    return drawn


def make_probe(folder: Path, count: int) -> SceneProbe:
    return SceneProbe(count, seed=SEED, size=SIZE, store=Store(folder))


def test_workers_draw_the_same_bytes(tmp_path):
    with workers(tmp_path, [4, 0, 2]) as drawn:
        assert drawn.wait(2) and drawn.wait(4)
        assert sorted(drawn.finished()) == [0, 2, 4]
        assert not drawn.wait(7), "nobody was asked for it"
    for chunk in (4, 0, 2):
        first = chunk * SCENES
        expected = packed([render_scene(i, seed=SEED, size=SIZE) for i in range(first, first + SCENES)])
        arrays, _ = Store(tmp_path).get(chunk_recipe(SEED, SIZE, chunk, SCENES))
        assert sorted(arrays) == sorted(expected)
        assert all(np.array_equal(arrays[name], expected[name]) for name in expected)


def test_a_worker_loads_no_torch():
    code = "import sys; sys.argv[1:] = ['.', '0', '64', '1', '']; from unitlens.data.drawing import main; main(); "
    code += "import unitlens.data.world.home, unitlens.data.world.town; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], input="", cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_prepare_and_stream_leave_the_drawing_to_the_workers(tmp_path, eager):
    make_probe(tmp_path / "a", 8).prepare(progress=False)
    assert len(list((tmp_path / "a").rglob("*.safetensors"))) == 3
    probe = make_probe(tmp_path / "b", 8)
    batches = list(probe.stream([range(0, 2), range(2, 7), range(7, 8)]))
    assert eager == [] and probe._drawing is None
    assert [b.index.tolist() for b in batches] == [[0, 1], [2, 3, 4, 5, 6], [7]]
    assert np.array_equal(probe.pictures([5])[0], render_scene(5, seed=SEED, size=SIZE).picture)
    names = [sorted(path.name for path in (tmp_path / folder).rglob("*.safetensors")) for folder in "ab"]
    assert names[0] == names[1]


def test_closing_a_stream_early_ends_the_workers(tmp_path, eager, monkeypatch):
    seen = []
    start = drawing._start
    monkeypatch.setattr(drawing, "_start", lambda about: seen.append(start(about)) or seen[-1])
    stream = make_probe(tmp_path, 600).stream([range(s, s + 3) for s in range(0, 600, 3)])
    assert len(next(stream)) == 3
    stream.close()
    assert len(seen) == 2 and all(process.poll() is not None for process in seen)
    assert len(list(tmp_path.rglob("*.safetensors"))) < 200
    assert not list(tmp_path.rglob(".writing-*")), "nothing half written stays"


@pytest.mark.parametrize("start", ["no interpreter", "dies"])
def test_without_workers_the_caller_draws(tmp_path, eager, monkeypatch, start):
    if start == "dies":
        monkeypatch.setattr(drawing, "_START", "raise SystemExit(3)")
    else:
        monkeypatch.setattr(drawing.sys, "executable", str(tmp_path / "python"))
    probe = make_probe(tmp_path / "store", 6)
    assert [b.index.tolist() for b in probe.stream([range(3), range(3, 6)])] == [[0, 1, 2], [3, 4, 5]]
    make_probe(tmp_path / "store", 9).prepare(progress=False)
    assert sorted(eager) == list(range(9))


def test_a_worker_that_is_killed_costs_no_scene(tmp_path, eager, monkeypatch):
    start = drawing._start

    def doomed(about):
        process = start(about)
        process.kill()
        return process

    monkeypatch.setattr(drawing, "_start", doomed)
    make_probe(tmp_path, 6).prepare(progress=False)
    assert sorted(eager) == list(range(6)) and len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_a_store_that_cannot_be_written_is_told_by_the_caller(tmp_path, eager):
    (tmp_path / "taken").write_text("a file where the store's folder should be")
    with pytest.warns(StoreWarning, match="could not be kept"):
        make_probe(tmp_path / "taken", 9).prepare(progress=False)
    assert sorted(eager) == [0, 1, 2]


SCRIPT = """
import sys
print("the script runs")
from unitlens.data import drawing, scenes
from unitlens.store import Store
scenes.MANY, scenes.CHUNK, drawing.os.cpu_count = 1, 3, lambda: 2
scenes.render_scene = None  # the caller draws nothing
probe = scenes.SceneProbe(9, size=64, store=Store(sys.argv[1])).prepare(progress=False)
print(len(probe.load(range(9))))
"""


LEFT_OPEN = """
spans = [range(s, s + 3) for s in range(0, 600, 3)]
left_open = scenes.SceneProbe(600, seed=1, size=64, store=probe.store).stream(spans)
next(left_open)
"""


@pytest.mark.parametrize("end", ["", LEFT_OPEN])
def test_a_script_without_a_guard_runs_once_and_ends(tmp_path, end):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + end)
    command = [sys.executable, str(script), str(tmp_path / "store")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)
    assert (done.returncode, done.stdout.split("\n"), done.stderr) == (0, ["the script runs", "9", ""], "")
