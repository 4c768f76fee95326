"""What opening and moving through 4,224 units costs in a real JupyterLab.

Run: python tests/benchmarks/bench_browser.py [--profile] (needs Chromium; the counts of vgg16 with random weights are
made once and kept in the temporary folder)
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import nbformat
import numpy as np

import unitlens as ul

TESTS = Path(__file__).resolve().parents[1]
KEPT = Path(tempfile.gettempdir()) / "unitlens-bench-browser" / "vgg16.safetensors"
TARGETS = "targets: 3 MB, 1.5 s, p50 60 ms, p95 120 ms"
#: In the page, before anything is shown: when the first cards have pictures, and when a key's effect is painted.
WATCH = """() => {
  window.shown = null;
  const look = () => {
    const canvases = [...document.querySelectorAll(".ul-option canvas:first-child")];
    const drawn = (one) => one.width && one.getContext("2d").getImageData(one.width / 8, one.height / 2, 1, 1).data[3];
    if (canvases.length && drawn(canvases[0])) window.shown = performance.now();
    else requestAnimationFrame(look);
  };
  look();
}"""
OPEN = """async (code) => {
  const content = window.jupyterapp.shell.currentWidget.content;
  content.activeCellIndex = 1;
  content.deselectAll();
  content.activeCell.model.sharedModel.setSource(code);
  const asked = performance.now();
  await window.jupyterapp.commands.execute("notebook:run-cell");
  const replied = performance.now();
  while (!window.shown && performance.now() < replied + 60_000) await new Promise((done) => setTimeout(done, 5));
  return { kernel: replied - asked, first: window.shown - replied };
}"""
LATENCY = """() => {
  const root = document.querySelector(".ul-browser");
  window.latencies = [];
  root.addEventListener("keydown", () => {
    const [from, before] = [performance.now(), root.dataset.painted];
    const look = () => {
      if (root.dataset.painted === before) return requestAnimationFrame(look);
      return requestAnimationFrame(() => requestAnimationFrame(() => window.latencies.push(performance.now() - from)));
    };
    look();
  }, true);
}"""


def from_file(name: str, path: Path) -> ModuleType:
    """A file of the tests as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def counted() -> Path:
    """The counts of vgg16 with random weights, 13 convolutions, 64 images, 300 concepts, as a file."""
    if not KEPT.exists():
        bench = from_file("bench_dissect", TESTS / "benchmarks" / "bench_dissect.py")
        model, layers = bench.vgg16()
        probe = bench.labelled(bench.natural(64, 224), 300, 4, 56)
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        ul.dissect(model, layers, probe, batch_size=16, store=False, show_progress=False).save(KEPT)
    return KEPT


@contextlib.contextmanager
def jupyterlab() -> Iterator[tuple[ModuleType, Any]]:
    """tests/lab's module and its server, as the tests have them."""
    lab = from_file("lab_conftest", TESTS / "lab" / "conftest.py")

    class Folders:
        def mktemp(self, name: str) -> Path:
            return Path(tempfile.mkdtemp(prefix=name))

    start = (
        lab.lab_server.__wrapped__ if hasattr(lab.lab_server, "__wrapped__") else lab.lab_server.__pytest_wrapped__.obj
    )
    with contextlib.contextmanager(start)(Folders(), Path(tempfile.mkdtemp()), "") as server:
        yield lab, server


class Traffic:
    """Bytes that have come to the page over websockets."""

    def __init__(self, page: Any):
        self.bytes = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self._came))

    def _came(self, payload: Any) -> None:
        self.bytes += len(payload)


def pressed(page: Any, place: str, keys: list[str]) -> np.ndarray:
    """Milliseconds from each key to two frames after the view has been painted again."""
    page.locator(place).focus()
    page.evaluate("() => { window.latencies = []; }")
    for n, key in enumerate(keys):
        page.keyboard.press(key)
        page.wait_for_function("(n) => window.latencies.length > n", arg=n, polling=5)
        page.wait_for_timeout(60)
    return np.array(page.evaluate("() => window.latencies"))


def quiet(page: Any) -> None:
    """Waits until nothing has been painted for a second."""
    last = None
    while last != (last := page.evaluate("() => document.querySelector('.ul-browser').dataset.painted")):
        page.wait_for_timeout(1000)


def bench(lab: ModuleType, server: Any, browser: Any, options: str, profile: bool) -> None:
    """Opens the browser with these options and prints what it costs."""
    cells = [f"import unitlens as ul\nfound = ul.load({str(counted())!r})\nimport resource", "0"]
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=kernel)
    nbformat.write(notebook, server.root / "bench.ipynb")
    context = browser.new_context(viewport={"width": 1300, "height": 1200})
    context.set_default_timeout(120_000)
    page = context.new_page()
    traffic = Traffic(page)
    opened = lab.LabPage(page, "bench.ipynb")
    opened.open(server)
    opened.run_all()
    before = traffic.bytes
    page.evaluate(WATCH)
    start = perf_counter()
    times = page.evaluate(OPEN, f"b = ul.browse(found{options})\nb")
    page.screenshot(path=str(KEPT.parent / "opened.png"))
    quiet(page)
    whole = perf_counter() - start - 1
    megabytes = (traffic.bytes - before) / 1e6
    print(f"browse(found{options}): {megabytes:.2f} MB, reply after {times['kernel']:.0f} ms, first picture "
          f"{times['first']:.0f} ms later, everything after {whole:.1f} s", flush=True)  # fmt: skip
    latency(page, profile)
    memory = page.evaluate("() => performance.memory.usedJSHeapSize / 1e6")
    page.evaluate(OPEN, "print(resource.getrusage(0).ru_maxrss)")
    kernel_mb = int("".join(opened.cells()[1]["outputs"][0]["text"])) / 1024
    print(f"  page's heap {memory:.0f} MB, kernel's peak {kernel_mb:.0f} MB; troubles {opened.troubles}", flush=True)
    opened.close()


def latency(page: Any, profile: bool) -> None:
    """Prints p50 and p95 of 40 presses each."""
    page.evaluate(LATENCY)
    session = page.context.new_cdp_session(page) if profile else None
    kinds = {
        "quantile": (".ul-slider", (["ArrowRight"] * 10 + ["ArrowLeft"] * 10) * 2),
        "order": ("select[aria-label=Order]", ["ArrowDown", "ArrowDown", "ArrowUp", "ArrowUp"] * 10),
        "search": (".ul-search", [*"concept 12", *["Backspace"] * 10] * 2),
    }
    for name, (place, keys) in kinds.items():
        if session:
            session.send("Profiler.enable")
            session.send("Profiler.start")
        took = pressed(page, place, keys)
        middle, high = np.percentile(took, [50, 95])
        print(
            f"  {name:9} {len(took)} presses: p50 {middle:.0f} ms, p95 {high:.0f} ms, most {took.max():.0f} ms",
            flush=True,
        )
        if session:
            told(session.send("Profiler.stop")["profile"])


def told(profile: dict[str, Any]) -> None:
    """Prints where the page's time went: own time of functions."""
    names = {node["id"]: node["callFrame"]["functionName"] or "(anonymous)" for node in profile["nodes"]}
    own: dict[str, float] = {}
    for node, delta in zip(profile["samples"], profile["timeDeltas"]):
        own[names[node]] = own.get(names[node], 0) + delta / 1000
    for name, ms in sorted(own.items(), key=lambda item: -item[1])[:14]:
        print(f"      {ms:8.0f} ms {name}")


def main() -> None:
    """All layers at once, and the last one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="where the page's time goes")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    counted()
    os.environ.setdefault("UNITLENS_HOME", tempfile.mkdtemp())
    flags = from_file("tests_conftest", TESTS / "conftest.py").CHROMIUM_FLAGS
    print(TARGETS)
    with jupyterlab() as (lab, server), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        for choice in (", min_iou=0.0", ', layer="", min_iou=0.0'):  # random labels match nothing well
            bench(lab, server, chromium, choice, options.profile)
        chromium.close()


if __name__ == "__main__":
    main()
