"""The notebooks run top to bottom in a real JupyterLab, and stay on this machine."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

import unitlens

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
IDS = [path.stem for path in NOTEBOOKS]


def outputs(cells: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    return [(number, output) for number, cell in enumerate(cells) for output in cell.get("outputs", [])]


@pytest.mark.lab
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_notebook_runs_in_jupyterlab(path: Path, lab: Callable[[str], Any]) -> None:
    notebook = lab(path.name)
    notebook.run_all()
    cells = notebook.cells()
    wrong = [(n, o["ename"], o["evalue"]) for n, o in outputs(cells) if o["output_type"] == "error"]
    assert wrong == []
    assert all(c["execution_count"] for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip())
    assert [(n, o["text"]) for n, o in outputs(cells) if o.get("name") == "stderr"] == []
    if os.environ.get("UNITLENS_SCREENSHOTS"):
        folder = Path(os.environ["UNITLENS_SCREENSHOTS"])
        folder.mkdir(parents=True, exist_ok=True)
        for theme in ("light", "dark"):
            notebook.set_theme(theme)
            notebook.screenshot(folder, theme)
    assert notebook.troubles == []
    assert notebook.outside == []


@pytest.mark.lab
def test_the_harness_sees_errors_requests_and_console(lab: Callable[[str], Any], lab_server: Any) -> None:
    """Without this, the test above could pass on a notebook that fails."""
    code = [
        "from IPython.display import HTML, display",
        "display(HTML('<img alt=\"\" src=\"http://192.0.2.1/picture.png\">'))",
        "raise ValueError('on purpose')",
    ]
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    cells = [nbformat.v4.new_code_cell(line) for line in code]
    broken = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(broken, lab_server.root / "broken.ipynb")
    notebook = lab("broken.ipynb")
    notebook.run_all()
    assert [o["ename"] for _, o in outputs(notebook.cells()) if o["output_type"] == "error"] == ["ValueError"]
    notebook.page.evaluate("() => console.error('on purpose')")
    assert "on purpose" in notebook.troubles
    assert notebook.outside == ["http://192.0.2.1/picture.png"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_notebook_is_plain_and_uses_public_names_only(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        assert len(cell.source.splitlines()) <= 12, f"a cell of {path.name} is too long:\n{cell.source}"
        assert not any(output.output_type == "error" for output in cell.outputs)
    tree = ast.parse("\n".join(cell.source for cell in cells))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ul":
            assert node.attr in unitlens.__all__, f"{path.name} uses ul.{node.attr}, which is not public"
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), f"{path.name} uses the private name {node.attr}"
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("unitlens"), f"{path.name} imports from inside unitlens"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_prose_states_no_measured_number(path: Path) -> None:
    """Numbers come from cells. Prose may name constants of the method: 1 %, 0.04, 128."""
    allowed = {"0", "1", "2", "3", "4", "5", "0.99", "0.04", "128", "2020", "00", "01", "02"}
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)|https?://\S+|\$[^$]*\$", "", cell.source)
            found = set(re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", text)) - allowed
            assert not found, f"{path.name}: numbers in prose that no cell computes: {sorted(found)}\n{cell.source}"
