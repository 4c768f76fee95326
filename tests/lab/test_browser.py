"""One journey through the unit browser in a real JupyterLab: page and kernel agree at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest

CELLS = [
    "import os, tempfile\n"
    "os.environ['UNITLENS_HOME'] = tempfile.mkdtemp()  # fewer scenes than the notebooks have: no pilot for them\n"
    "import unitlens as ul\n"
    "probe = ul.load_probe('scenes', count=64)\n"
    "found = ul.dissect(ul.load_model('scenenet'), ['conv4_3', 'conv5_3'], probe, show_progress=False)\n"
    "b = ul.browse(found)",
    "b",
    "print(b.layer)",  # written anew for every question
]
PAINTED = """async () => {
  const seen = () => [...document.querySelectorAll(".ul-browser")].map((one) => one.dataset.painted).join();
  for (let last = null, still = 0; still < 12; ) {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 10)));
    const now = seen();
    still = now && now === last ? still + 1 : 0;
    last = now;
  }
}"""
RUN = """async (code) => {
  const content = window.jupyterapp.shell.currentWidget.content;
  content.activeCellIndex = 2;
  content.deselectAll();
  content.activeCell.model.sharedModel.setSource(code);
  await window.jupyterapp.commands.execute("notebook:run-cell");
  const [output] = content.activeCell.model.sharedModel.toJSON().outputs;
  return output ? [output.text || output.data["text/plain"]].flat().join("") : "";
}"""


class Journey:
    """The notebook, the browser in it and the last cell, which says what Python knows."""

    def __init__(self, notebook: Any):
        self.notebook, self.page = notebook, notebook.page

    def settle(self) -> None:
        self.page.evaluate(PAINTED)

    def python(self, code: str) -> str:
        """What a cell prints."""
        said = self.page.evaluate(RUN, code).strip()
        self.settle()
        return said

    def units(self) -> list[int]:
        labels = self.page.locator(".ul-option").evaluate_all(
            "(all) => all.sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map((one) => one.getAttribute('aria-label'))"
        )
        return [int(words.split()[1]) for words in labels]

    def count(self) -> int:
        return int(self.page.locator(".ul-option").first.get_attribute("aria-setsize"))


@pytest.fixture
def journey(lab: Callable[[str], Any], lab_server: Any) -> Journey:
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab_server.root / "browser.ipynb")
    notebook = lab("browser.ipynb")
    notebook.run_all()
    notebook.page.wait_for_selector(".ul-browser[data-painted] .ul-option")
    went = Journey(notebook)
    went.settle()
    return went


def search_sort_and_filter(journey: Journey) -> None:
    page = journey.page
    assert journey.python("print([u for u in found.detectors('conv5_3')[:5].tolist()])") == str(journey.units()[:5])
    search = page.get_by_label("Find a concept or unit")
    search.click()
    page.keyboard.type("tree (object)")
    journey.settle()
    assert journey.python("print(b.query, b.layer)") == "tree (object) conv5_3"
    assert 0 < journey.count() < 60
    search.fill("")
    page.get_by_label("Order").select_option("unit")
    page.get_by_label("Category").select_option("object")
    journey.settle()
    assert journey.python("print(b.order, b.category)") == "unit object"
    assert journey.units() == sorted(journey.units())
    page.get_by_label("Category").select_option("")
    page.get_by_label("Order").select_option("iou")
    bar = page.get_by_role("toolbar", name="Units per concept").get_by_role("button").first
    name = bar.get_attribute("aria-label").partition(":")[0]
    bar.click()
    journey.settle()
    assert journey.python("print(b.query)") == f'"{name}"'
    bar.click()
    journey.settle()


def move_the_quantile(journey: Journey) -> None:
    page = journey.page
    slider = page.get_by_label("How much of the pixels a unit fires on")
    slider.focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowRight"):  # a notebook would take ArrowUp for itself
        page.keyboard.press(key)
    journey.settle()
    assert slider.evaluate("(one) => one === document.activeElement")
    assert journey.python("print(b.quantile)") == "0.993"
    units = journey.python("print([u for u in found.at(b.quantile).detectors('conv5_3')[:5].tolist()])")
    assert units == str(journey.units()[:5])
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 20, y, steps=12)
    page.mouse.up()
    journey.settle()
    assert journey.python("print(b.quantile, len(found.at(0.999).detectors('conv5_3')))") == f"0.999 {journey.count()}"


def open_pin_and_compare(journey: Journey) -> None:
    page, shown = journey.page, journey.units()
    page.locator(".ul-option").first.click()
    journey.settle()
    zoom = page.get_by_label("One unit", exact=True)
    assert f"unit {shown[0]} of conv5_3" in zoom.inner_text()
    assert journey.python("print(b.opened)") == str(["conv5_3", shown[0]])
    zoom.get_by_label("Pin this unit for comparison").click()
    page.locator(".ul-grid").focus()
    for key in ("ArrowRight", "Space", "Escape"):
        page.keyboard.press(key)
    journey.settle()
    assert journey.python("print(b.selected, b.opened)") == f"{[['conv5_3', u] for u in shown[:2]]} []"
    assert page.get_by_label("Pinned units", exact=True).get_by_role("article").count() == 2
    page.get_by_label("Compare with").select_option("conv4_3")
    journey.settle()
    assert journey.python("print(b.compare)") == "conv4_3"
    assert "Concepts in both" in page.locator(".ul-status").inner_text()


def be_led_by_python(journey: Journey) -> None:
    page = journey.page
    journey.python("b.compare, b.quantile, b.query, b.selected = '', 0.98, 'sky', [3, ('conv4_3', 7)]")
    assert page.get_by_label("Find a concept or unit").input_value() == "sky"
    assert "top 2 %" in page.locator(".ul-level").inner_text()
    pinned = page.get_by_role("article").evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    assert [words.split(":")[0] for words in pinned] == ["unit 3 of conv5_3", "unit 7 of conv4_3"]


def keys_stay_in_the_browser(journey: Journey) -> None:
    """JupyterLab deletes a cell on "d d", cuts it on "x", adds one on "a" and leaves it on the arrow keys."""
    page = journey.page
    cells = len(journey.notebook.cells())
    for name in ("beats chance", "How much of the pixels a unit fires on", "Order"):
        page.get_by_label(name).focus()
        for key in ("d", "d", "x", "a", "b", "m"):
            page.keyboard.press(key)
    page.locator(".ul-grid").focus()
    for key in ("d", "d", "x", "a", "b"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Unpin all").press("d")
    page.keyboard.press("d")
    assert [cell["cell_type"] for cell in journey.notebook.cells()] == ["code"] * cells


def see_an_error(journey: Journey) -> None:
    page = journey.page
    journey.python("def broken(*_):\n    raise RuntimeError('on purpose')\nb.atlas.units = broken")
    journey.python("b.query, b.layer = '', 'conv4_3'")
    trouble = page.get_by_role("alert").filter(has_text="RuntimeError: on purpose")
    trouble.wait_for()
    assert trouble.locator("pre").is_hidden()
    trouble.locator("summary").click()
    assert "in broken" in trouble.locator("pre").inner_text()


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_units_are_searched_opened_pinned_and_compared_in_jupyterlab(journey: Journey) -> None:
    search_sort_and_filter(journey)
    move_the_quantile(journey)
    open_pin_and_compare(journey)
    be_led_by_python(journey)
    keys_stay_in_the_browser(journey)
    see_an_error(journey)
    assert journey.notebook.troubles == []
    assert journey.notebook.outside == []
