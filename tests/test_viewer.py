"""The viewer half: a saved dissection opens and shows itself where torch is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import unitlens as ul

ROOT = Path(__file__).resolve().parents[1]
CONCEPTS = ul.Vocabulary([("sky", "object"), ("roof", "part"), ("red", "colour")])

#: Runs first in the other process: from here on torch and torchvision are not installed.
WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
import unitlens
"""

OPENS = """
file, again, page = sys.argv[1:]
found = unitlens.load(file)
assert not {"pandas", "plotly", "PIL"} & set(sys.modules), "opening loads what only a display needs"
print(repr(found))
print(found.text())
assert not {"pandas", "plotly", "PIL"} & set(sys.modules), "the text loads what only a display needs"
assert unitlens.load(found.save(again)) == found
print(len(found.frame()))
"""

SHOWS = """
found = unitlens.load(sys.argv[1])
name = list(found.layers)[0]
shown = [
    found, found.table(), found.table(name, sort="concept"), found.gallery(), found.gallery([1, 0], name),
    found.gallery("sky"), found.unit(0), found.unit(1, name),
]
for view in shown:
    assert '<div class="unitlens">' in view._repr_html_()
    assert view.text()
assert "data:image/jpeg" in found.gallery([0])._repr_html_()
for kind in ("concepts", "units", "iou"):
    assert found.chart(kind, against=found if kind == "iou" else None).data, kind
assert "<html" in unitlens.report(found, sys.argv[3]).read_text(encoding="utf-8")
"""

ASKS = """
needs = []
for name in unitlens.__all__:
    try:
        getattr(unitlens, name)
    except unitlens.UnitLensError as error:
        assert str(error).startswith(f"{name} needs torch"), error
        assert "python -m pip install torch" in str(error)
        needs.append(name)
print(*needs)
"""

NEVER = """
loaded = sorted(name for name in sys.modules if name.partition(".")[0] in ("torch", "torchvision"))
assert not loaded, f"{loaded} were imported"
"""


def without_torch(script: str, *arguments: object) -> str:
    """What a fresh Python that has no torch prints when it runs the script."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH + script + NEVER, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


@pytest.fixture(scope="module")
def found() -> ul.Dissection:
    """A real dissection, made here with torch: 7 images of 24 x 32 pixels, 3 + 5 units, 3 concepts."""
    import torch

    random = torch.Generator().manual_seed(0)
    images = torch.rand(7, 3, 24, 32, generator=random)
    labels = torch.randint(0, 4, (7, 2, 24, 32), generator=random).to(torch.int16)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(3, 5, 3, stride=2, padding=1)
    )
    for weights in model.parameters():
        torch.nn.init.uniform_(weights, -1, 1, generator=random)
    probe = ul.ArrayProbe(images, labels=labels, vocabulary=CONCEPTS)
    plain = ul.Normalize(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return ul.dissect(
        model, ["0", "2"], probe, preprocess=plain, min_iou=0.0, quantile=0.9, store=False, show_progress=False
    )


@pytest.fixture(scope="module")
def file(found: ul.Dissection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found.save(tmp_path_factory.mktemp("saved") / "found.safetensors")


def test_a_saved_dissection_opens_without_torch_and_says_the_same(found: ul.Dissection, file: Path) -> None:
    again, page = file.with_name("again.safetensors"), file.with_name("page.html")
    printed = without_torch(OPENS, file, again, page)
    assert printed == f"{found!r}\n{found.text()}\n{3 + 5}\n"
    assert ul.load(again) == found


def test_every_display_is_drawn_without_torch_and_is_the_same(found: ul.Dissection, file: Path) -> None:
    page = file.with_name("page.html")
    without_torch(SHOWS, file, "-", page)
    assert page.read_text(encoding="utf-8") == ul.report(found, file.with_name("own.html")).read_text(encoding="utf-8")


def test_what_needs_torch_says_so_and_what_does_not_can_be_had() -> None:
    needs = set(without_torch(ASKS).split())
    viewer = {"Concept", "Dissection", "Store", "UnitLensError", "Vocabulary", "load", "report"}
    assert needs, "the finder blocks nothing: this test proves nothing"
    assert not needs & viewer
    assert {"dissect", "load_model", "load_probe", "Segmentation", "capture"} <= needs


def test_a_torch_that_is_there_but_broken_is_not_called_missing() -> None:
    broken = """
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ImportError("libtorch_cpu.so: cannot open shared object file")

sys.meta_path.insert(0, Broken())
try:
    unitlens.dissect
except ImportError as error:
    print(error)
"""
    assert without_torch(broken) == "libtorch_cpu.so: cannot open shared object file\n"
