"""Progress: where the line is written, what it says, and what it leaves behind."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

from unitlens import progress as module
from unitlens.progress import Meter, in_notebook, progress

ROOT = Path(__file__).resolve().parents[1]


def test_a_silent_meter_counts_and_writes_nothing(capfd):
    with progress("Counting", 7, show=False) as meter:
        assert type(meter) is Meter
        meter.step()
        meter.step(4)
        assert meter.done == 5
    assert capfd.readouterr() == ("", "")


def test_a_terminal_meter_writes_to_stderr_alone(capfd):
    assert not in_notebook()
    with progress("Thresholds", 1234, unit="scenes") as meter:
        meter.step(617)
        meter.label("Tallying")
        meter.step(617)
    out, errors = capfd.readouterr()
    assert out == ""
    assert "Thresholds" in errors and "Tallying: 100%" in errors and "1234/1234" in errors and "scenes" in errors


def test_the_meter_is_closed_when_the_work_fails(monkeypatch):
    closed = []
    monkeypatch.setattr(Meter, "close", lambda self: closed.append(self.done))
    with suppress(KeyboardInterrupt), progress("Counting", 7, show=False) as meter:
        meter.step(3)
        raise KeyboardInterrupt
    assert closed == [3]


def test_the_line_says_share_count_rate_and_time_left(monkeypatch):
    clock = iter([100.0, 104.0, 110.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    meter = Meter("Counting", 2000, "images")
    meter.step(500)  # in 4 seconds: 125 a second, and 1500 to go
    assert meter.line() == "Counting: 25 %, 500 of 2,000 images, 125 images/s, 12 s left"
    meter.step(1500)
    assert meter.line() == "Counting: 100 %, 2,000 of 2,000 images, 200 images/s, 10.0 s"


def test_a_meter_without_work_has_a_line_too():
    assert Meter("Counting", 0, "images").line().startswith("Counting: 100 %, 0 of 0 images")
    assert "0 s left" in Meter("Counting", 5, "images").line()


NOTEBOOK = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import time
from unitlens.progress import in_notebook, progress

assert in_notebook()
with progress("Drawing <scenes>", 40, unit="scenes") as meter:
    for _ in range(4):
        time.sleep(0.25)
        meter.step(10)
"""


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    """A cell with a meter, run by a real kernel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's client, not ours
        from nbclient import NotebookClient

        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
        NotebookClient(made, timeout=120, kernel_name="python3").execute()
    return made


def test_a_notebook_keeps_one_line_of_html_and_no_widget(notebook):
    """A widget would leave its state in the file, or a hole where the state is not saved."""
    outputs = notebook.cells[0].outputs
    assert [o.output_type for o in outputs] == ["display_data"], "updated in place, nothing printed"
    assert set(outputs[0].data) == {"text/html", "text/plain"}
    assert "widgets" not in notebook.metadata and "widget-view" not in nbformat.writes(notebook)


def test_the_line_in_a_notebook_ends_finished_and_escaped(notebook):
    page = notebook.cells[0].outputs[0].data["text/html"]
    assert re.search(r"Drawing &lt;scenes&gt;: 100 %, 40 of 40 scenes, [\d,]+ scenes/s, \d\.\d s<", page)
    assert "<progress" not in page, "a finished bar is noise in a saved notebook"
