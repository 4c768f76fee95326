"""The table of a dissection in a real JupyterLab: it sorts and filters in place, and its keys are its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat
import pytest

import unitlens as ul

CODE = """import os, tempfile
os.environ["UNITLENS_HOME"] = tempfile.mkdtemp()
import unitlens as ul
probe = ul.load_probe("scenes", count=36)
found = ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)
found.table(rows=6)"""


def units(page: Any) -> list[int]:
    return [int(text) for text in page.locator(".ul-live tbody th").all_text_contents()]


@pytest.mark.lab
def test_a_table_sorts_and_filters_in_jupyterlab(lab: Callable[[str], Any], lab_server: Any) -> None:
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    cells = [nbformat.v4.new_code_cell(source) for source in (CODE, "found.table(rows=3)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab_server.root / "table.ipynb")
    frame = ul.dissect(
        ul.load_model("scenenet"), "conv5_3", ul.load_probe("scenes", count=36), show_progress=False
    ).frame()
    notebook = lab("table.ipynb")
    notebook.run_all()
    page = notebook.page
    page.wait_for_function("() => document.querySelectorAll('.ul-find').length === 2")
    best = frame.sort_values(["iou", "unit"], ascending=[False, True], kind="stable")["unit"].tolist()
    assert units(page) == best[:6] + best[:3]

    first = page.locator(".ul-live").first
    first.get_by_role("button", name="unit", exact=True).click()
    assert units(page) == [0, 1, 2, 3, 4, 5] + best[:3]
    page.keyboard.press("Enter")  # JupyterLab would begin to edit the cell
    assert units(page) == [159, 158, 157, 156, 155, 154] + best[:3]

    word = frame["concept"].mode()[0]
    first.get_by_label("Find a concept or unit").click()
    page.keyboard.type(word)
    hits = frame[frame["concept"].str.contains(word, regex=False)]["unit"].tolist()[::-1]
    assert units(page) == hits[:6] + best[:3]
    assert first.locator("output").text_content().startswith(f"{len(hits)} of 160 units")

    sources = [cell["source"] for cell in notebook.cells()]
    heads = [first.get_by_role("button", name=name, exact=True) for name in ("IoU", "its IoU")]
    for place in (first.get_by_label("Category"), first.locator(".ul-scroll"), *heads):
        place.focus()
        for key in ("d", "d", "a", "b", "x", "ArrowDown"):  # in command mode they delete, insert, cut, move on
            page.keyboard.press(key)
        assert [cell["source"] for cell in notebook.cells()] == sources
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")  # drawn again
    page.wait_for_function("() => document.querySelectorAll('.ul-live tbody tr').length === 9")
    page.wait_for_function("() => document.querySelectorAll('.ul-find').length === 2")
    page.locator(".ul-live").last.get_by_role("button", name="Show all 160").click()
    assert len(units(page)) == 6 + 160
    assert notebook.troubles == []
    assert notebook.outside == []
