"""Roles and unit detectors on a page: sentences, graph, groups, ROC and peaks are those of the result."""

from __future__ import annotations

import dataclasses
import html
import re

import numpy as np
import pytest
from pages import Page

import unitlens as ul
from unitlens.display.vector import drawable
from unitlens.errors import OptionError
from unitlens.intervene.detector import UnitDetector, best_threshold
from unitlens.intervene.roles import Roles
from unitlens.rich import view_modules

NAMES = ("<b>beach</b>", "lake", "office")


@pytest.fixture(autouse=True, scope="module")
def displays() -> None:
    if "unitlens.display" not in view_modules:
        view_modules.append("unitlens.display")


def seen(result: object) -> str:
    return re.sub(r"\s+", " ", Page(result._repr_html_()).words)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def roles() -> Roles:
    """Three classes, two units each, the last class loses nothing; unit 3 is below the minimum IoU."""
    return Roles(
        "<conv>", NAMES, 2, np.array([[0, 1], [1, 3], [2, 4]]), np.array([[0.05, 0.02], [0.04, 0.01], [0.0, -0.01]]),
        ("sand", "<i>water</i>", "desk", "sky", "", "sand"), ("material", "object", "object", "object", "", "object"),
        np.array([0.3, 0.25, 0.1, 0.02, 0.0, 0.2]), 0.04, "ablation", "held out",
    )  # fmt: skip


def detector_of(peak: np.ndarray, shows: np.ndarray) -> UnitDetector:
    fitted = np.arange(len(peak)) % 2 == 0
    return UnitDetector(
        "<conv>", 7, "<b>bed</b>", np.arange(len(peak)), peak, shows, best_threshold(peak, shows), fitted
    )


@pytest.fixture(scope="module")
def detector() -> UnitDetector:
    rng = np.random.default_rng(0)
    shows = np.arange(80) % 3 == 0
    return detector_of(rng.normal(0, 1, 80) + 2 * shows, shows)


@pytest.mark.parametrize("name", ["roles", "detector"])
def test_a_page_is_harmless_and_small(name: str, request: pytest.FixtureRequest) -> None:
    markup = request.getfixturevalue(name)._repr_html_()
    page = Page(markup)
    assert page.tags.count("style") == 1
    assert "<b>b" not in markup and "<i>water" not in markup
    assert len(markup) < 90_000
    for tag, attributes in zip(page.tags, page.attributes, strict=False):
        if tag == "svg" and "class" in attributes:  # one inside another only cuts what leaves a panel
            assert attributes["role"] == "img" and attributes["aria-label"]


@pytest.mark.parametrize(
    ("name", "kind"), [("roles", "graph"), ("roles", "groups"), ("detector", "roc"), ("detector", "peaks")]
)
def test_every_chart_is_described_safe_and_has_its_drawing(name, kind, request: pytest.FixtureRequest) -> None:
    figure = request.getfixturevalue(name).chart(kind)
    assert drawable(figure)
    svg = figure._repr_mimebundle_()["image/svg+xml"]
    assert "nan" not in svg.lower() and "<b>" not in svg
    assert "nan" not in figure.layout.meta["alt"].lower()
    assert len(figure.layout.meta["alt"]) > len(figure.layout.title.text)
    with pytest.raises(OptionError, match=f"kind: expected one of .*'{kind}'.* got 'pie'"):
        request.getfixturevalue(name).chart("pie")


# ------------------------------------------------------------------------------------------------ Roles


def test_sentences_are_those_of_the_result_with_the_categories_as_chips(roles: Roles) -> None:
    words = seen(roles)
    for name in NAMES[:2]:
        said = re.sub(r"\b(material|object|part) ", "", words.replace(" ,", ",").replace(" .", "."))
        assert roles.sentence(name).replace("-", "−") in said
    chips = re.findall(r'<span class="ul-chip ul-(\w+)">', roles._repr_html_())
    assert chips == ["material", "object", "object"]  # unit 3 is below the minimum: no concept, no chip
    assert "no concept (unit 3" in re.sub(r"\s+", " ", words)
    assert "office rests on no single unit: without any one of them the probability falls by less than 1 %." in words
    assert roles.verdict() in words


def test_classes_that_lose_nothing_share_a_sentence(roles: Roles) -> None:
    none = dataclasses.replace(roles, fall=np.zeros((3, 2)))
    assert "<b>beach</b>, lake, office rest on no single unit" in seen(none)
    assert "ul-sentences\"" not in none._repr_html_()
    figure = none.chart("graph")
    said = "No class loses a hundredth of its probability without any one unit of &lt;conv&gt;"
    assert figure.layout.title.text == said
    assert drawable(figure)


def edges_of(figure) -> set[tuple[float, float, float, float]]:
    found = set()
    for trace in figure.data:
        if trace.mode == "lines":
            for at in range(0, len(trace.x), 3):
                found.add((trace.x[at], trace.y[at], trace.x[at + 1], trace.y[at + 1]))
    return found


def test_the_graph_joins_classes_with_the_units_they_lose_something_without(roles: Roles) -> None:
    figure = roles.chart("graph")
    by = {trace.name: trace for trace in figure.data}
    names = {html.unescape(t): y for t, y in zip(by["classes"].text, by["classes"].y, strict=True)}
    units = {int(t): y for t, y in zip(by["units"].text, by["units"].y, strict=True)}
    assert list(names) == list(NAMES[:2])
    assert set(units) == {0, 1, 3}
    expected = {(NAMES[0], 0), (NAMES[0], 1), (NAMES[1], 1), (NAMES[1], 3)}
    drawn = {(y0, y1) for x0, y0, _, y1 in edges_of(figure) if x0 == 0}
    assert drawn == {(names[name], units[unit]) for name, unit in expected}
    widths = {t.line.width for t in figure.data if t.mode == "lines"}
    assert len(widths) > 1
    concepts = [html.unescape(t) for trace in figure.data for t in (trace.text or ()) if trace.mode == "markers+text"]
    assert {"sand", "<i>water</i>", "no concept"} <= set(concepts)
    assert set(roles.chart("graph", count=1).data[-1].text) == {"0", "1"}


def test_concepts_of_one_name_are_told_by_their_category(roles: Roles) -> None:
    same = dataclasses.replace(roles, concept=("sand", "sand", *roles.concept[2:]))
    words = [t for trace in same.chart("graph").data for t in (trace.text or ())]
    assert {"sand (material)", "sand (object)"} <= set(words)


def test_the_groups_are_their_means_with_intervals_and_sizes(roles: Roles) -> None:
    figure, frame = roles.chart("groups"), roles.groups()
    line = figure.data[0]
    assert np.allclose(line.y, frame["mean_iou"])
    known = frame["high"].notna().to_numpy()
    assert np.allclose((line.y + line.error_y.array)[known], frame["high"][known])
    assert np.allclose((line.y - line.error_y.arrayminus)[known], frame["low"][known])
    assert not np.any(line.error_y.array[~known])
    assert list(figure.data[1].text) == [f"{n} unit{'s' * (n > 1)}" for n in frame["units"]]
    assert figure.layout.title.text.replace("<br>", " ") == html.escape(roles.verdict())


def test_roles_of_one_unit_and_one_class_have_no_trend() -> None:
    one = Roles("conv", ("x",), 1, np.array([[0]]), np.array([[0.1]]), ("tree",), ("object",), np.array([0.2]), 0.04,
                "gradient", "ranked")  # fmt: skip
    assert "there is no trend to see" in seen(one)
    assert "(unit 0, −10 %)" in seen(one)
    assert "nan" not in one.chart("groups").layout.meta["alt"]
    assert drawable(one.chart("graph"))


def test_roles_of_many_classes_stay_small() -> None:
    rng = np.random.default_rng(0)
    many = Roles("conv", tuple(f"class {i}" for i in range(300)), 4, rng.integers(0, 500, (300, 4)),
                 rng.random((300, 4)), ("tree",) * 500, ("object",) * 500, rng.random(500), 0.04, "ablation",
                 "ranked")  # fmt: skip
    assert len(many._repr_html_()) < 120_000
    assert "240 more classes" in seen(many)
    assert len(many.chart("graph")._repr_mimebundle_()["image/svg+xml"]) < 120_000


# ------------------------------------------------------------------------------------------------ UnitDetector


def test_a_detector_s_page_tells_its_numbers(detector: UnitDetector) -> None:
    words, (low, high) = seen(detector), detector.interval()
    assert f"balanced accuracy {100 * detector.accuracy:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f})" in words
    assert f"area under the ROC curve {detector.area:.3f}" in words
    assert f"threshold {detector.threshold:.3g}" in words
    assert f"Judged on 40 images, {(detector.shows & ~detector.fitted).sum()} of which show it" in words
    assert Page(detector._repr_html_()).tags.count("svg") >= 2


def test_the_roc_line_passes_through_every_corner(detector: UnitDetector) -> None:
    line = next(t for t in detector.chart("roc").data if t.name == "every threshold")
    false, true, _ = detector.roc
    assert np.allclose(np.interp(np.arange(0, 1, 0.013) * 100, line.x, line.y)[-5:],
                       100 * np.interp(np.arange(0, 1, 0.013), false, true)[-5:])  # fmt: skip
    area = np.sum(np.diff(line.x) * (line.y[1:] + line.y[:-1]) / 2) / 1e4
    assert area == pytest.approx(detector.area)
    point = next(t for t in detector.chart("roc").data if t.name == "the threshold")
    said = detector.peak > detector.threshold
    assert (point.x[0], point.y[0]) == pytest.approx(
        (100 * said[~detector.shows].mean(), 100 * said[detector.shows].mean())
    )


def test_the_peaks_are_all_images_in_their_group_and_kind(detector: UnitDetector) -> None:
    figure = detector.chart("peaks")
    for trace, fitted in zip(figure.data[:2], (False, True), strict=True):
        x, y = np.array(trace.x), np.array(trace.y)
        for place, where in enumerate((detector.shows, ~detector.shows)):
            mine = np.abs(x - place) < 0.5
            assert np.allclose(np.sort(y[mine]), np.sort(detector.peak[where & (detector.fitted == fitted)]))
    assert set(figure.data[2].y) == {detector.threshold}
    assert figure.data[0].marker.symbol != figure.data[1].marker.symbol
    names = [html.unescape(t) for t in figure.layout.xaxis.ticktext]
    assert names == ["with <b>bed</b> (27)", "without <b>bed</b> (53)"]


def test_of_many_images_some_are_drawn_and_that_is_told() -> None:
    rng = np.random.default_rng(1)
    shows = np.arange(5000) % 5 == 0
    many = detector_of(rng.normal(0, 1, 5000) + shows, shows)
    figure = many.chart("peaks")
    drawn = [y for t in figure.data[:2] for y in t.y]
    assert len(drawn) == 400
    assert min(drawn) == many.peak.min() and max(drawn) == many.peak.max()
    assert "some images are drawn" in figure.layout.meta["alt"]
    assert len(many._repr_html_()) < 120_000


@pytest.mark.parametrize("shows", [[True], [False], [True, True, True], [False, False]])
def test_images_of_one_side_alone_have_dashes(shows: list[bool]) -> None:
    bare = detector_of(np.arange(len(shows), dtype=np.float64), np.array(shows))
    assert "nan" not in seen(bare)
    assert "balanced accuracy –" in seen(bare)
    assert "ROC curve –" in seen(bare)
    for kind in ("roc", "peaks"):
        assert "nan" not in bare.chart(kind).layout.meta["alt"]


def test_the_classifier_s_own_roles_show_themselves() -> None:
    model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=90)
    ranking = ul.rank_units(model, "conv5_3", probe, by="gradient", show_progress=False)
    dissection = ul.dissect(model, "conv5_3", probe, show_progress=False)
    found = ul.roles(ranking, dissection)
    for kind in ("graph", "groups"):
        assert drawable(found.chart(kind))
    assert found.verdict() in seen(found)
    assert html.unescape(found.names[0]) in seen(found)
