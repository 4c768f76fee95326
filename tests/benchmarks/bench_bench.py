"""The benches in a real JupyterLab: from a key to painted bars or pictures, and what the kernel holds.

Run: python tests/benchmarks/bench_bench.py [--images 1000] [--generator]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_browser import TESTS, from_file, jupyterlab

CELL = """import resource
import unitlens as ul
model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count={images})
found = ul.dissect(model, "conv5_3", probe, show_progress=False)
bench = ul.bench(model, "conv5_3", probe, found, name="beach", show_progress=False)
bench"""
GENERATOR = """import resource
import unitlens as ul
samples = ul.from_generator(ul.load_model("scenegenerator"), {images})
found = ul.dissect(samples.generator, "layer4", samples, show_progress=False)
bench = ul.bench(samples.generator, "layer4", samples, found, concept="tree", count=4)
bench"""
#: Milliseconds from each press of a key to the frame in which the bars show its answer.
PRESSED = """async ({ label, key, times }) => {
  const slider = document.querySelector(`.ul-bench [aria-label="${label}"]`);
  const root = document.querySelector(".ul-bench");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const found = [];
  for (let i = 0; i < times; i += 1) {
    const words = root.querySelector("[role=status]").textContent;
    const from = performance.now();
    slider.value = String(Number(slider.value) + Number(slider.step) * (key === "up" ? 1 : -1));
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const until = from + 5000;
    while (root.querySelector("[role=status]").textContent === words && performance.now() < until) await frame();
    await frame();
    found.push(performance.now() - from);
    await new Promise((done) => setTimeout(done, 120));
  }
  return found;
}"""
RESTED = """async () => {
  const root = document.querySelector(".ul-bench");
  const slider = root.querySelector('[aria-label="How many units"]');
  slider.value = String(Number(slider.value) + 1);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  const from = performance.now();
  while (root.dataset.rested === "true") await new Promise((done) => requestAnimationFrame(done));
  while (root.dataset.rested !== "true") await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - from;
}"""


#: Milliseconds from each move of a slider of a generator's bench to decoded pictures of that state.
MOVED = """async ({ label, trait, by, times }) => {
  const root = document.querySelector(".ul-bench");
  const slider = root.querySelector(`[aria-label="${label}"]`);
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const found = [];
  for (let i = 0; i < times; i += 1) {
    const from = performance.now();
    const wanted = Number(slider.value) + by;
    slider.value = String(wanted);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const there = () => root.dataset.of && Math.abs(JSON.parse(root.dataset.of)[trait] - wanted) < 1e-6;
    while (!there() && performance.now() < from + 5000) await frame();
    await Promise.all([...root.querySelectorAll(".ul-scene img")].map((one) => one.decode().catch(() => {})));
    await frame();
    found.push(performance.now() - from);
    await new Promise((done) => setTimeout(done, 120));
  }
  return found;
}"""


@contextmanager
def shown(images: int, cell: str = CELL) -> Iterator[Any]:
    """A notebook of JupyterLab with the bench in it."""
    from playwright.sync_api import sync_playwright

    cells = [cell.format(images=images), "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024"]
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=kernel)
    flags = from_file("tests_conftest", TESTS / "conftest.py").CHROMIUM_FLAGS
    with jupyterlab() as (lab, server), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        nbformat.write(notebook, server.root / "bench.ipynb")
        page = chromium.new_context(viewport={"width": 1300, "height": 1200}).new_page()
        opened = lab.LabPage(page, "bench.ipynb")
        opened.open(server)
        opened.run_all()
        page.wait_for_selector(".ul-bench[data-rested=true]", timeout=300_000)
        yield opened
        chromium.close()


def told(name: str, values: list[float]) -> None:
    print(f"{name}: p50 {np.median(values):.0f} ms, p95 {np.quantile(values, 0.95):.0f} ms ({len(values)} times)")


def main(images: int) -> None:
    with shown(images) as notebook:
        page = notebook.page
        for label, key in (("How many units", "up"), ("Factor of their activation", "up")):
            told(f"{label}, to painted bars", page.evaluate(PRESSED, {"label": label, "key": key, "times": 25}))
        page.get_by_role("button", name="Undo").click()
        page.wait_for_selector(".ul-bench[data-rested=true]")
        told("at rest, control and pictures after the 250 ms", [page.evaluate(RESTED) - 250 for _ in range(8)])
        page.screenshot(path="/tmp/bench.png")
        print("kernel's peak, MB:", notebook.cells()[1]["outputs"][0]["data"]["text/plain"])


def generator(images: int) -> None:
    with shown(images, GENERATOR) as notebook:
        page = notebook.page
        for label, trait, by in (("How many units", "count", 1), ("How strongly", "strength", -0.05)):
            asked = {"label": label, "trait": trait, "by": by, "times": 19}
            told(f"{label}, to painted pictures", page.evaluate(MOVED, asked))
        page.wait_for_selector(".ul-bench[data-rested=true]")
        told("at rest, segmented after the 250 ms", [page.evaluate(RESTED) - 250 for _ in range(8)])
        page.screenshot(path="/tmp/stagebench.png")
        print("kernel's peak, MB:", notebook.cells()[1]["outputs"][0]["data"]["text/plain"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--generator", action="store_true")
    asked = parser.parse_args()
    (generator if asked.generator else main)(asked.images)
