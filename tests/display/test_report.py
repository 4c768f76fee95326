"""Report: one file with everything in it and nothing that reaches out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from unitlens.display.report import report
from unitlens.display.theme import STATIC
from unitlens.errors import OptionError


@pytest.fixture(scope="module")
def page(found, twin, tmp_path_factory) -> str:
    path = report([found, twin], tmp_path_factory.mktemp("report") / "new" / "page.html")
    return path.read_text(encoding="utf-8")


def test_the_file_needs_no_network_and_carries_no_foreign_script(page: str) -> None:
    assert "http" not in page
    assert "<script>alert" not in page
    assert "@import" not in page
    assert "innerHTML" not in page
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<script") == 2


def test_every_detector_has_a_card_and_every_unit_a_row(page: str, found, twin) -> None:
    expected = {
        f"{i}-{j}-{unit}"
        for i, d in enumerate((found, twin))
        for j, name in enumerate(d.layers)
        for unit in d.detectors(name)
    }
    assert set(re.findall(r'class="ul-card" id="c([^"]+)"', page)) == expected
    rows = re.findall(r'<tr id="r([^"]+)"', page)
    assert len(rows) == len(set(rows)) == sum(counts.units for d in (found, twin) for counts in d.layers.values())


def test_the_data_is_json_that_cannot_end_its_own_script(page: str, found, evil) -> None:
    data = re.search(r'<script type="application/json" id="ul-data">(.*?)</script>', page)[1]
    records = json.loads(data)
    assert "<" not in data
    assert any(r["concept"] == evil.name for r in records)
    first = next(r for r in records if r["id"] == "0-1-1")
    assert (first["concept"], first["category"], first["detector"]) == ("tree", "object", True)
    assert first["iou"] == pytest.approx(found.best()[1][1], abs=1e-4)


def test_the_bar_graph_says_every_number(page: str, found) -> None:
    labels = re.findall(r'<svg class="ul-chart" role="img" aria-label="([^"]*)"', page)
    assert "door (part) 1" in labels[1]
    assert "tree (object) 3" in labels[1]
    heights = {
        m[0]: float(m[1]) for m in re.findall(r"<title>([^<]*: \d+ units?)</title><rect[^>]* height=\"([\d.]+)\"", page)
    }
    assert heights["tree (object): 3 units"] == pytest.approx(3 * heights["door (part): 1 unit"], abs=0.2)


def test_one_dissection_of_no_detectors_still_makes_a_page(found, tmp_path) -> None:
    path = report(found.with_min_iou(0.99), str(tmp_path / "none.html"), title="Nothing & <none>")
    text = path.read_text()
    assert "No unit of this layer is a detector." in text
    assert "<h1>Nothing &amp; &lt;none&gt;</h1>" in text


def test_pictures_shrink_until_the_file_is_small(make, tmp_path, monkeypatch) -> None:
    many = make({f"layer{i}": [(0, 30)] * 20 for i in range(3)})
    rich = report(many, tmp_path / "rich.html").stat().st_size
    monkeypatch.setattr("unitlens.display.report._BUDGET", 60_000)
    assert report(many, tmp_path / "small.html").stat().st_size < rich / 2


@pytest.mark.parametrize(("what", "message"), [([], "got an empty list"), (["x"], "got str"), (None, "got NoneType")])
def test_wrong_arguments_are_refused_in_words(what, message: str, found, tmp_path) -> None:
    with pytest.raises(OptionError, match=message):
        report(what, tmp_path / "x.html")


def test_a_folder_is_refused_as_a_file(found, tmp_path) -> None:
    with pytest.raises(OptionError, match="got the folder"):
        report(found, tmp_path)


def test_the_script_filters_and_orders(tmp_path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    lines = """
    const units = [{id:"a",unit:3,layer:"conv1",concept:"tree",category:"object",iou:.1,detector:true},
      {id:"b",unit:1,layer:"conv1",concept:"red tree",category:"part",iou:.3,detector:true},
      {id:"c",unit:2,layer:"conv2",concept:"sky",category:"object",iou:.2,detector:false}];
    const found = (words, kind) => units.filter((u) => matches(u, words, kind)).map((u) => u.id).join("");
    const order = (by) => ordered(units, by).map((u) => u.id).join("");
    console.log(found("", ""), found("TREE", ""), found("red tree", ""), found("", "object"), found("conv2 unit", ""),
      found("zebra", "") || "-", order("iou"), order("unit"), order("concept"), units.map((u) => u.id).join(""));
    """
    (tmp_path / "check.js").write_text((STATIC / "report.js").read_text() + lines)
    run = subprocess.run([node, str(tmp_path / "check.js")], capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["abc", "ab", "b", "ac", "c", "-", "bca", "bca", "bca", "abc"], run.stderr
