"""Table: the data beside it is the frame, and its script sorts and filters as it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import unitlens as ul
from unitlens.display.modules import module


@pytest.fixture(scope="module")
def measured() -> ul.Dissection:
    """A real dissection, with intervals and chance."""
    probe = ul.load_probe("scenes", count=320)
    return ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)


def data(view) -> dict:
    text = re.search(r'<script type="application/json">(.*?)</script>', view.markup)[1]
    assert "<" not in text
    return json.loads(text)


def rows(view) -> dict[int, list[str]]:
    """Unit -> its cells."""
    found = re.findall(r"<tr[^>]*>(<th scope=\"row\".*?)</tr>", view.markup)
    return {int(re.search(r">(\d+)<", row)[1]): re.findall(r"<td[^>]*>.*?</td>", row) for row in found}


def test_the_data_is_the_whole_frame_however_few_rows_are_shown(measured) -> None:
    known = data(measured.table(rows=3, sort="threshold"))
    frame = measured.frame().sort_values(["threshold", "unit"], ascending=[False, True], kind="stable")
    texts = np.array(known["texts"], dtype=object)
    columns = list(zip(*known["rows"], strict=True))
    assert list(columns[0]) == frame["unit"].tolist()
    for place, name in [(1, "concept"), (2, "category"), (9, "runner_up")]:
        assert texts[list(columns[place])].tolist() == frame[name].tolist()
    for place, name in [(3, "iou"), (4, "low"), (5, "high"), (8, "threshold"), (10, "runner_up_iou")]:
        np.testing.assert_allclose(np.array(columns[place], dtype=float), frame[name].to_numpy(float), rtol=1e-7)
    assert [bool(b) for b in columns[6]] == frame["beats_chance"].tolist()
    assert [bool(b) for b in columns[11]] == frame["detector"].tolist()
    assert (known["limit"], known["noun"]) == (3, "unit")
    assert known["keys"].keys() <= set(measured.vocabulary.categories)


def test_intervals_and_chance_are_in_the_rows(measured) -> None:
    frame = measured.frame().set_index("unit")
    shown = rows(measured.table(rows=None))
    assert shown.keys() == set(frame.index)
    assert 0 < frame["beats_chance"].sum() < len(frame)
    full = data(measured.table())["full"]
    assert full >= max(frame["iou"].max(), min(1, frame.loc[frame["iou"].idxmax(), "high"]))
    for unit, cells in shown.items():
        row = frame.loc[unit]
        assert f">{'yes' if row['beats_chance'] else 'no'}</td>" in cells[3]
        if not np.isfinite(row["low"]):
            assert "<em" not in cells[2]
            continue
        words = f"{row['low']:.2f} to {row['high']:.2f}"
        ends = [100 * min(row[end] / full, 1) for end in ("low", "high")]
        assert f'title="90 % interval of the IoU: {words}"' in cells[2]
        assert f'<span class="ul-aside"> ({words})</span>' in cells[2]
        assert f"--from:{ends[0]:.2f}%;--to:{ends[1]:.2f}%" in cells[2]
        assert ('class="ul-open"' in cells[2]) == (row["high"] > full)


def test_a_result_without_intervals_has_neither_column_nor_whisker(found) -> None:
    markup = found.table().markup
    assert "beats_chance" not in re.search(r"<thead>.*?</thead>", markup)[0]
    assert "<em" not in markup
    assert {row[6] for row in data(found.table())["rows"]} == {None}


def test_what_is_left_out_is_said(found) -> None:
    assert found.table(rows=3).text().endswith("7 more units not shown; rows=None shows all.")
    assert found.table(rows=3, detectors_only=True).text().endswith("5 more detectors not shown; rows=None shows all.")
    assert "not shown" not in found.table().text()
    assert "1 more unit not shown" in found.table(rows=9).markup


def test_the_same_table_is_the_same_text(found) -> None:
    assert found.table().markup == found.table().markup
    assert " id=" not in found.table().markup.split("</style>")[1].split("<script")[0]


def test_the_text_of_a_measured_table_holds_intervals_and_fits_eighty_columns(measured) -> None:
    lines = measured.table(rows=8).text().splitlines()
    assert max(map(len, lines)) <= 88  # the longest names of the shipped vocabulary
    row = measured.frame().sort_values(["iou", "unit"], ascending=[False, True]).iloc[0]
    assert f"{row['low']:.2f}-{row['high']:.2f}" in lines[2]
    assert "beaten" in lines[2]


NODE = """
import { unitsOf, matches, ordered, countWords, threeDigits, percent } from "./table.js";
const data = { texts: ["tree", "object", "part", "red tree", "-"], rows: [
  [3, 0, 1, .1, .05, .2, 1, "0.01", 5, 3, .02, 1], [1, 3, 2, .3, null, null, null, "", 321, 4, 0, 1],
  [12, 0, 1, .1, .01, .2, 0, "0.5", 1234, 4, 0, 0]] };
const units = unitsOf(data);
const found = (words, kind) => units.filter((u) => matches(u, words, kind)).map((u) => u.unit).join(" ");
const order = (field, rising) => ordered(units, field, rising).map((u) => u.unit).join(" ");
console.log(JSON.stringify({
  first: units[0],
  found: [found("", ""), found("TREE", ""), found("red  tree", ""), found("", "object"), found("unit 12", ""),
    found("1", ""), found("x", "")],
  order: [order("iou", false), order("iou", true), order("unit", true), order("concept", true), order("low", true),
    order("low", false), order("beats_chance", false)],
  kept: units.map((u) => u.unit).join(" "),
  words: [countWords(12, 160, 12, "unit"), countWords(160, 160, 25, "unit"), countWords(40, 2048, 25, "detector"),
    countWords(0, 160, 0, "unit"), countWords(1, 1, 1, "unit")],
  digits: [5, .25, 321, 1234, 0.001234, null].map(threeDigits), percent: [percent(1, 4), percent(9, 4), percent(-1, 4)],
}));
"""


def test_the_script_s_pure_functions(tmp_path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    (tmp_path / "table.js").write_text(module("table.js"))
    (tmp_path / "check.mjs").write_text(NODE)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run = subprocess.run([node, str(tmp_path / "check.mjs")], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["first"] == {
        "unit": 3, "concept": "tree", "category": "object", "iou": 0.1, "low": 0.05, "high": 0.2, "beats_chance": 1,
        "p": "0.01", "threshold": 5, "runner_up": "red tree", "runner_up_iou": 0.02, "detector": 1,
    }  # fmt: skip
    assert said["found"] == ["3 1 12", "3 1 12", "1", "3 12", "12", "1", ""]
    assert said["order"] == ["1 3 12", "3 12 1", "1 3 12", "1 3 12", "12 3 1", "3 12 1", "3 12 1"]
    assert said["kept"] == "3 1 12"
    assert said["words"] == [
        "12 of 160 units", "160 units, the first 25 shown", "40 of 2,048 detectors, the first 25 shown",
        "No unit matches", "1 unit",
    ]  # fmt: skip
    assert said["digits"] == [*(f"{x:#.3g}".rstrip(".") for x in (5, 0.25, 321, 1234, 0.001234)), "nan"]
    assert said["percent"] == ["25.00%", "100.00%", "0.00%"]


def test_the_script_writes_no_html_from_data() -> None:
    text = module("table.js")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "window."):
        assert word not in text
    assert set(re.findall(r"https?://[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "</script" not in text
