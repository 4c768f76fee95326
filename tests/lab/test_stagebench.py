"""The bench of a generator in a real JupyterLab: sliders by key and mouse, one cell by a click, the code of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest

CELLS = [
    "import os, tempfile\n"
    "os.environ['UNITLENS_HOME'] = tempfile.mkdtemp()\n"
    "import unitlens as ul\n"
    "generator = ul.load_model('scenegenerator')\n"
    "samples = ul.from_generator(generator, 100)\n"
    "found = ul.dissect(generator, 'layer4', samples, show_progress=False)\n"
    "bench = ul.bench(generator, 'layer4', samples, found, concept='tree')",
    "bench",
    "print(bench.count)",  # written anew for every question
]
RUN = """async (code) => {
  const content = window.jupyterapp.shell.currentWidget.content;
  content.activeCellIndex = 2;
  content.deselectAll();
  content.activeCell.model.sharedModel.setSource(code);
  await window.jupyterapp.commands.execute("notebook:run-cell");
  const [output] = content.activeCell.model.sharedModel.toJSON().outputs;
  return output ? [output.text || output.data["text/plain"]].flat().join("") : "";
}"""
PICTURE = "(number) => document.querySelectorAll('.ul-scene img')[number].src"


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
        """The share that is told of the concept is what Python measures at the state that Python has."""
        self.rest()
        share = self.python(
            "shown = samples.subset(range(len(bench.stage.before)))\n"
            "effect = ul.measure_content(shown, bench.edit, concept=bench.concept, store=False, show_progress=False)\n"
            "print(bench.concept, ' → '.join(f'{100 * one.value:.1f} %' for one in effect.share(bench.concept)[:2]))"
        )
        assert self.page.locator(".ul-told .ul-asked").inner_text() == share


@pytest.fixture
def journey(lab: Callable[[str], Any], lab_server: Any) -> Journey:
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab_server.root / "stagebench.ipynb")
    notebook = lab("stagebench.ipynb")
    notebook.run_all()
    went = Journey(notebook)
    went.rest()
    return went


def by_keyboard(journey: Journey) -> None:
    page, slider = journey.page, journey.page.get_by_label("How many units")
    before = page.evaluate(PICTURE, 0)
    slider.focus()
    for key in ("ArrowRight", "ArrowUp", "PageUp", "ArrowRight"):  # a notebook would take ArrowUp for itself
        page.keyboard.press(key)
    assert slider.evaluate("(one) => one === document.activeElement")
    journey.agrees()
    count = int(journey.python("print(bench.count)"))
    assert count > 3 and journey.sentence().startswith(f"The {count} units that match tree best: removed altogether")
    assert page.evaluate(PICTURE, 0) != before


def by_mouse(journey: Journey) -> None:
    page, slider = journey.page, journey.page.get_by_label("How many units")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 30, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(box["x"] + 30 + 8 * step, y)
    page.mouse.up()
    journey.agrees()
    count = int(journey.python("print(bench.count)"))
    page.get_by_role("button", name="Undo").click()  # the whole drag is one step
    page.wait_for_function(
        "(count) => !document.querySelector('[role=status]').textContent.includes(count)", arg=str(count)
    )
    journey.agrees()
    assert int(journey.python("print(bench.count)")) != count
    page.get_by_role("button", name="Redo").click()
    journey.agrees()
    assert int(journey.python("print(bench.count)")) == count


def at_a_cell(journey: Journey) -> None:
    page = journey.page
    page.locator(".ul-scene").nth(1).click(position={"x": 8, "y": 40})
    page.wait_for_function("() => document.querySelector('[role=status]').textContent.includes('row')")
    journey.agrees()
    row, column = eval(journey.python("print(list(bench.cell))"))
    assert column == 0 and f"at row {row}, column {column}" in journey.sentence()


def from_python(journey: Journey) -> None:
    journey.python("bench.action = 'insert'; bench.concept = 'door'; bench.count = 12; bench.strength = 2.0")
    journey.page.wait_for_function(
        "() => document.querySelector('[role=status]').textContent.startsWith('The 12 units that match door')"
    )
    journey.agrees()
    journey.page.get_by_role("button", name="Python", exact=True).click()
    text = journey.page.get_by_label("Python that repeats this").inner_text()
    quiet = text.replace("concept='door')", "concept='door', show_progress=False)")
    assert quiet != text
    lines = quiet.splitlines()
    said = "\n".join([*lines[:-1], f"again = {lines[-1]}"])
    value = journey.python(
        f"{said}\nprint(abs(again.share('door')[1].value - bench.effect.share('door')[1].value) < 1e-4)"
    )
    assert value == "True"


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_units_of_a_generator_are_changed_in_jupyterlab(journey: Journey) -> None:
    by_keyboard(journey)
    by_mouse(journey)
    at_a_cell(journey)
    from_python(journey)
