"""The ablation bench in a real JupyterLab: sliders by key and mouse, units from the browser, code that repeats it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest

CELLS = [
    "import os, tempfile\n"
    "os.environ['UNITLENS_HOME'] = tempfile.mkdtemp()\n"
    "import unitlens as ul\n"
    "model, probe = ul.load_model('scenenet'), ul.load_probe('scenes', count=64)\n"
    "found = ul.dissect(model, 'conv5_3', probe, show_progress=False)\n"
    "browser = ul.browse(found, height=400)\n"
    "bench = ul.bench(model, 'conv5_3', probe, found, name='beach', show_progress=False).link(browser)",
    "bench",
    "browser",
    "print(bench.count)",  # written anew for every question
]
RUN = """async (code) => {
  const content = window.jupyterapp.shell.currentWidget.content;
  content.activeCellIndex = 3;
  content.deselectAll();
  content.activeCell.model.sharedModel.setSource(code);
  await window.jupyterapp.commands.execute("notebook:run-cell");
  const [output] = content.activeCell.model.sharedModel.toJSON().outputs;
  return output ? [output.text || output.data["text/plain"]].flat().join("") : "";
}"""


class Journey:
    def __init__(self, notebook: Any):
        self.page = notebook.page

    def rest(self) -> None:
        self.page.wait_for_selector(".ul-bench[data-rested=true]")

    def python(self, code: str) -> str:
        """What a cell prints."""
        return str(self.page.evaluate(RUN, code)).strip()

    def sentence(self) -> str:
        return str(self.page.locator(".ul-bench [role=status]").first.inner_text())

    def agrees(self) -> None:
        """What is said is what Python measures at the state that Python has."""
        self.rest()
        share = self.python(
            "effect = ul.measure(model, ul.Scale('conv5_3', bench.units, bench.factor), probe, show_progress=False)\n"
            "print(f'{100 * effect.top1[1]:.1f} %')"
        )
        assert share in self.sentence()


@pytest.fixture
def journey(lab: Callable[[str], Any], lab_server: Any) -> Journey:
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab_server.root / "bench.ipynb")
    notebook = lab("bench.ipynb")
    notebook.run_all()
    went = Journey(notebook)
    went.rest()
    return went


def by_keyboard(journey: Journey) -> None:
    page, slider = journey.page, journey.page.get_by_label("How many units")
    slider.focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowRight", "PageUp"):  # a notebook would take ArrowUp for itself
        page.keyboard.press(key)
    assert slider.evaluate("(one) => one === document.activeElement")
    journey.agrees()
    count = int(journey.python("print(bench.count)"))
    assert count > 3 and f"{count} of 160 units switched off" in journey.sentence()


def by_mouse(journey: Journey) -> None:
    page, slider = journey.page, journey.page.get_by_label("How many units")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 12, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(box["x"] + 12 + 12 * step, y)
    page.mouse.up()
    journey.agrees()
    count = int(journey.python("print(bench.count)"))
    assert count > 40
    page.get_by_role("button", name="Undo").click()  # the whole drag is one step
    journey.agrees()
    assert int(journey.python("print(bench.count)")) < 40
    page.get_by_role("button", name="Redo").click()
    journey.agrees()
    assert int(journey.python("print(bench.count)")) == count


def by_selection(journey: Journey) -> None:
    page = journey.page
    cards = page.locator(".ul-browser .ul-option")
    cards.first.click()
    page.get_by_label("One unit", exact=True).get_by_role("button", name="Pin").click()
    journey.page.wait_for_function("() => document.querySelectorAll('.ul-bench .ul-out').length === 1")
    journey.agrees()
    assert journey.python("print([u for _, u in browser.selected] == bench.units, bench.by)") == "True numbers"


def from_python(journey: Journey) -> None:
    journey.python("_ = bench.choose('class', 'lake', count=12, factor=0)")
    journey.page.wait_for_function("() => document.querySelectorAll('.ul-bench .ul-out').length === 12")
    journey.agrees()
    journey.page.get_by_role("button", name="Python", exact=True).click()
    text = journey.page.get_by_label("Python that repeats this").inner_text()
    quiet = text.replace("probe)", "probe, show_progress=False)")
    assert quiet != text
    assert journey.python(f"{quiet}.top1 == bench.effect.top1") == "True"


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_units_are_switched_off_in_jupyterlab(journey: Journey) -> None:
    by_keyboard(journey)
    by_mouse(journey)
    by_selection(journey)
    from_python(journey)
