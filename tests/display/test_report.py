"""Report: one file with everything in it and nothing that reaches out."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from unitlens.data.concepts import Vocabulary
from unitlens.display.atlas import Atlas
from unitlens.display.report import _fitting, report
from unitlens.errors import OptionError

TYPES = {"u1": np.uint8, "u2": "<u2", "i4": "<i4", "f4": "<f4"}


@pytest.fixture(scope="module")
def page(found, twin, tmp_path_factory) -> str:
    path = report([found, twin], tmp_path_factory.mktemp("report") / "new" / "page.html")
    return path.read_text(encoding="utf-8")


def block(page: str, name: str) -> dict[str, np.ndarray]:
    """The arrays of a script element, read by what display/pack.py says of the format."""
    element = rf'<script type="text/plain" id="{name}" data-header="([^"]*)">([^<]*)</script>'
    header, text = re.search(element, page).groups()
    data, at, arrays = base64.b64decode(text), 0, {}
    for key, kind, shape in json.loads(html.unescape(header)):
        arrays[key] = np.frombuffer(data, TYPES[kind], int(np.prod(shape)), at).reshape(shape)
        at += -(-arrays[key].nbytes // 8) * 8
    assert at == len(data)
    return arrays


def test_the_file_needs_no_network_and_carries_no_foreign_script(page: str) -> None:
    assert set(re.findall(r"https?://[^\s\"']*", page)) <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "<script>alert" not in page
    assert "@import" not in page
    assert "innerHTML" not in page
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<script") == page.count("</script>") == 2 + 4 + 4 + 2  # about, code, layers, units, pictures


def test_the_about_is_json_that_cannot_end_its_own_script(page: str, found, twin, evil) -> None:
    data = re.search(r'<script type="application/json" id="ul-about">(.*?)</script>', page)[1]
    assert "<" not in data
    known = json.loads(data)
    assert known["about"] == json.loads(json.dumps(Atlas([found, twin]).about()))
    assert evil.name in known["about"]["dissections"][0]["names"]
    assert known["state"]["layer"] == "tiny <b>net</b> · block<2>.conv"


def test_every_unit_has_its_label_and_its_maps(page: str, found, twin) -> None:
    for i, (whole, name) in enumerate([(d, name) for d in (found, twin) for name in d.layers]):
        layer, units = block(page, f"ul-layer-{i}"), block(page, f"ul-units-{i}")
        concept, iou = whole.best(name)
        assert layer["label"][0].astype(np.int16).tolist() == concept.tolist()
        np.testing.assert_allclose(layer["iou"][0] / 65534, iou, atol=1e-5)
        assert units["units"].tolist() == list(range(whole[name].units))
        scaled = units["low"] + units["maps"].astype(float).T * ((units["high"] - units["low"]) / 255)
        np.testing.assert_allclose(scaled.T, whole[name].top_map, atol=0.01)


def test_every_top_image_is_in_the_page_once(page: str, found) -> None:
    pictures = block(page, "ul-pictures-0")
    wanted = {int(i) for counts in found.layers.values() for i in counts.top_index.ravel() if i >= 0}
    assert set(pictures["index"].tolist()) == wanted and len(pictures["index"]) == len(wanted)
    first = bytes(pictures["bytes"][: pictures["sizes"][0]])
    assert Image.open(io.BytesIO(first)).size == (64, 48)


def test_one_dissection_of_no_detectors_still_makes_a_page(found, tmp_path) -> None:
    path = report(found.with_min_iou(0.99), str(tmp_path / "none.html"), title="Nothing & <none>")
    text = path.read_text()
    assert "no concept reaches the minimum IoU" in text
    assert "<h1>Nothing &amp; &lt;none&gt;</h1>" in text


def test_what_a_page_keeps_shrinks_until_the_file_is_small(make, tmp_path, monkeypatch) -> None:
    many = make({f"layer{i}": [(0, 30)] * 20 + [(1, 1)] * 20 for i in range(3)})
    rich = report(many, tmp_path / "rich.html").read_text()
    for name in ("_BUDGET", "_LEAST"):
        monkeypatch.setattr(f"unitlens.display.report.{name}", 9_000)
    small = report(many, tmp_path / "small.html").read_text()
    assert len(small) < len(rich)
    assert len(block(rich, "ul-units-0")["units"]) == 40
    kept = block(small, "ul-units-0")["units"]
    assert 0 < len(kept) <= 20 and set(kept) <= set(many.detectors("layer0").tolist())
    assert len(block(small, "ul-layer-0")["label"][0]) == 40  # all are in the list, whether shown or not


def test_units_that_are_no_detectors_keep_the_best_ones_pictures(make, tmp_path, monkeypatch) -> None:
    many = make({f"layer{i}": [(0, 30)] * 20 + [(1, 1)] * 20 for i in range(3)}).with_min_iou(1)
    for name in ("_BUDGET", "_LEAST"):
        monkeypatch.setattr(f"unitlens.display.report.{name}", 9_000)
    kept = block(report(many, tmp_path / "small.html").read_text(), "ul-units-0")["units"]
    assert 0 < len(kept) < 40
    score = many.best("layer0")[1]
    assert score[kept].min() >= np.delete(score, kept).max()


def test_the_numbers_of_a_page_are_part_of_its_size(make, monkeypatch) -> None:
    many = Atlas([make({"layer": [(0, 30)] * 20 + [(1, 1)] * 20})])
    rooms = []
    monkeypatch.setattr("unitlens.display.report._size", lambda *_: rooms.append(1) or 1_000_000)
    monkeypatch.setattr("unitlens.display.report._LEAST", 0)
    numbers = sum(array.nbytes for array in many.layer("layer").values())
    monkeypatch.setattr("unitlens.display.report._BUDGET", 1_000_000 + numbers)
    assert len(_fitting(many)[0]["layer"]) == 40
    monkeypatch.setattr("unitlens.display.report._BUDGET", 1_000_000 + numbers - 1)
    assert len(_fitting(many)[0]["layer"]) == 1


def test_concepts_are_counted_over_the_words_of_all_dissections(found, make, tmp_path) -> None:
    words = Vocabulary([("a", "object"), ("b", "object"), ("c", "object")])
    other = dataclasses.replace(
        found, vocabulary=Vocabulary([*words, *list(found.vocabulary)[3:]]), notes={**found.notes, "images": 7}
    )  # fmt: skip
    page = report([found, other], tmp_path / "two.html").read_text()
    known = len(set(found.vocabulary) | set(other.vocabulary))
    assert f" of {known}</dd>" in page and f"<dd>{found.notes['images']:,} and 7</dd>" in page


def test_a_picture_that_cannot_be_read_stays_out(found, tmp_path) -> None:
    first = next(iter(found.thumbnails))
    broken = dataclasses.replace(found, thumbnails={**found.thumbnails, first: b"no picture"})
    assert report(broken, tmp_path / "broken.html").stat().st_size > 10_000


@pytest.mark.parametrize(("what", "message"), [([], "got an empty list"), (["x"], "got str"), (None, "got NoneType")])
def test_wrong_arguments_are_refused_in_words(what, message: str, found, tmp_path) -> None:
    with pytest.raises(OptionError, match=message):
        report(what, tmp_path / "x.html")


def test_a_folder_is_refused_as_a_file(found, tmp_path) -> None:
    with pytest.raises(OptionError, match="got the folder"):
        report(found, tmp_path)
