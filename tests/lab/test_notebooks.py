"""The notebooks run top to bottom in a real JupyterLab, and stay on this machine."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

import unitlens

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IDS = [path.stem for path in NOTEBOOKS]
COMMAND = "run `python .ci/render_notebooks.py`"


@pytest.fixture(scope="session")
def rendering() -> Any:
    """The module .ci/render_notebooks.py."""
    spec = importlib.util.spec_from_file_location("render_notebooks", ROOT / ".ci" / "render_notebooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(cells: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    return [(number, output) for number, cell in enumerate(cells) for output in cell.get("outputs", [])]


@pytest.mark.lab
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_notebook_runs_in_jupyterlab(path: Path, lab: Callable[[str], Any], rendering: Any) -> None:
    notebook = lab(path.name)
    notebook.run_all()
    cells = notebook.cells()
    wrong = [(n, o["ename"], o["evalue"]) for n, o in outputs(cells) if o["output_type"] == "error"]
    assert wrong == []
    assert all(c["execution_count"] for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip())
    assert [(n, o["text"]) for n, o in outputs(cells) if o.get("name") == "stderr"] == []
    kept = nbformat.read(path, as_version=4).cells
    assert rendering.differences(kept, cells) == [], f"a fresh run says something else than is kept: {COMMAND}"
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
    assert set(notebook.outside) == {"http://192.0.2.1/picture.png"}  # more than once where the output is drawn anew


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
def test_outputs_are_kept_static_small_and_come_from_these_sources(path: Path, rendering: Any) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert rendering.stale(notebook) == [], f"cells of {path.name} were changed and not run since: {COMMAND}"
    assert path.stat().st_size <= 1_500_000
    assert [n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code" and not cell.execution_count] == []
    for number, output in outputs(notebook.cells):
        kinds = set(output.get("data", {}))
        assert "application/vnd.jupyter.widget-view+json" not in kinds or "text/html" not in kinds, f"cell {number}"
        if "application/vnd.plotly.v1+json" in kinds:
            assert {"image/svg+xml", "text/plain"} <= kinds, f"the chart of cell {number} shows only where plotly runs"


def test_a_notebook_is_rendered_with_its_sources_and_without_live_parts(tmp_path: Path, rendering: Any) -> None:
    """On a real kernel: what is rendered is fresh, and stale as soon as a source is changed."""
    live = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/html": "<b>1</b>", "text/plain": "1"}
    code = ["import time; print(6 * 7, 'units in', round(time.time() % 60, 3), 's')", f"display({live}, raw=True)"]
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    path = tmp_path / "small.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# Prose"), *map(nbformat.v4.new_code_cell, code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={**kernel, "widgets": {}}), path)
    assert rendering.stale(nbformat.read(path, as_version=4)) == [1, 2]
    rendering.render(path)
    first = nbformat.read(path, as_version=4)
    assert rendering.stale(first) == []
    assert "widgets" not in first.metadata
    assert first.cells[1].outputs[0].text.startswith("42 units in ")
    assert set(first.cells[2].outputs[0].data) == {"text/html", "text/plain"}
    rendering.render(path)
    second = nbformat.read(path, as_version=4)
    assert rendering.differences(first.cells, second.cells) == []  # though the times differ
    second.cells[1].source += "  # changed"
    assert rendering.stale(second) == [1]


@pytest.mark.parametrize(
    ("kept", "fresh", "agree"),
    [
        ("160 units in 3.2 s", "160 units in 14 min", True), ("160 units", "158 units", False),
        ("tree 0.31", "tree  0.32", True), ("tree 0.31", "tree 0.33", False), ("tree 0.31", "sky 0.31", False),
        ("| `conv1` | 64 | 97% |", "| `conv1` | 64 | 96% |", True), ("threshold 6.45 | 12", "threshold 6.45", False),
        ("<pandas.Styler object at 0x7f01>", "<pandas.Styler object at 0x8e02>", True), ("5 units", "", False),
        ("layer conv4_3", "layer conv4_4", False),
        ("1,000 images", "1,000 images", True), ("1,000 images", "2,000 images", False), ("IoU −0.2", "IoU 0.2", False),
    ],
)  # fmt: skip
def test_runs_are_compared_without_their_times(rendering: Any, kept: str, fresh: str, agree: bool) -> None:
    cells = [[{"outputs": [{"output_type": "display_data", "data": {"text/plain": text}}]}] for text in (kept, fresh)]
    assert (rendering.differences(*cells) == []) == agree
    assert rendering.differences(cells[0], []) != []


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
