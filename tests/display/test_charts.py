"""Charts: the bars are the numbers of the dissection."""

from __future__ import annotations

import dataclasses
import html
import re

import plotly.graph_objects as go
import pytest

from unitlens.display.charts import chart
from unitlens.display.figures import name_axis
from unitlens.errors import LayerNotFound, OptionError

LAST = "block<2>.conv"


def bars(figure, hatched: bool = False) -> list:
    """The bar traces that carry numbers, of the dissection itself or of the other."""
    real = [t for t in figure.data if t.type == "bar" and t.x[0] is not None]
    return [t for t in real if bool(t.marker.pattern.shape) == hatched]


def totals(figure) -> list[list[int]]:
    return [[int(re.sub(r"</?b>", "", word)) for word in t.text] for t in figure.data if t.type == "scatter"]


def test_concept_bars_are_the_counts_of_every_layer_and_category(found) -> None:
    figure = chart(found, "concepts")
    assert isinstance(figure, go.Figure)
    assert [t.name for t in bars(figure)][:3] == ["object", "part", "colour"]
    for trace, category in zip(bars(figure), found.vocabulary.categories, strict=True):
        assert list(trace.y) == [found.concept_counts(name)[category] for name in found.layers]
        assert list(trace.x) == [0, 1]
    assert figure.layout.barmode == "stack"
    assert [html.unescape(word) for word in figure.layout.xaxis.ticktext] == list(found.layers)
    assert totals(figure) == [[len(found.concepts(name)) for name in found.layers]]


def test_the_twin_stands_beside_each_layer_in_hatched_bars(found, twin) -> None:
    figure = chart(found, "concepts", against=twin)
    solid, hatched = bars(figure), bars(figure, hatched=True)
    for mine, theirs, category in zip(solid, hatched, found.vocabulary.categories, strict=True):
        assert list(mine.y) == [found.concept_counts(n)[category] for n in found.layers]
        assert list(theirs.y) == [twin.concept_counts(n)[category] for n in found.layers]
        assert not theirs.showlegend
        for left, right, layer in zip(mine.x, theirs.x, range(2), strict=True):
            assert layer - 0.5 < left - mine.width / 2  # each pair stays with its layer, and the two never overlap
            assert left + mine.width / 2 < right - theirs.width / 2 < right + theirs.width / 2 < layer + 0.5
    assert totals(figure) == [[len(d.concepts(name)) for name in found.layers] for d in (found, twin)]
    keys = {t.name: t.marker.pattern.shape for t in figure.data if t.type == "bar" and t.x[0] is None}
    assert keys == {"tiny &lt;b&gt;net&lt;/b&gt;": None, "random twin": "/"}


def test_names_of_layers_stay_level_with_thirteen_of_them(make) -> None:
    found = make({f"conv{i}_1": [(0, 30)] for i in range(1, 14)})
    axis = chart(found, "concepts", against=found).layout.xaxis
    assert axis.tickangle == 0
    assert len(axis.ticktext) == 13


def test_unit_bars_are_the_detectors_of_each_concept_grouped_by_category(found) -> None:
    figure = chart(found, "units")
    shown = {html.unescape(words): n for t in bars(figure) for words, n in zip(t.customdata, t.y, strict=True)}
    assert shown == {f"{c.name} ({c.category})": len(units) for c, units in found.concepts().items()}
    assert sum(shown.values()) == len(found.detectors())
    assert [html.unescape(word) for word in figure.layout.xaxis.ticktext] == [c.name for c in found.concepts()]
    assert f"{len(found.detectors())} of 10 units" in figure.layout.title.text
    categories = [c.category for c in found.concepts()]
    assert [t.name for t in bars(figure)] == [
        f"{n} {category}{'s' * (n > 1)}" for category, n in found.concept_counts().items() if n
    ]
    fields = [(shape.x0, shape.x1) for shape in figure.layout.shapes]
    for place, category in enumerate(categories):  # each concept lies on one field, one field a category
        inside = [n for n, (left, right) in enumerate(fields) if left <= place - 0.4 and place + 0.4 <= right]
        assert inside == [list(dict.fromkeys(categories)).index(category)]


@pytest.mark.parametrize(("count", "angle", "largest"), [(4, 0, 13), (40, -50, 12), (60, -90, 11), (90, -90, 9)])
def test_many_names_turn_and_shrink(count: int, angle: int, largest: int) -> None:
    axis = name_axis(["sailing boat"] * count)
    assert (axis["tickangle"], axis["tickfont"]["size"]) == (angle, largest)
    assert len(axis["tickvals"]) == count


def test_the_twin_s_own_concepts_get_their_places(found, twin) -> None:
    figure = chart(found.with_min_iou(0.3), "units", against=found)
    mine, theirs = (
        {word: y for t in bars(figure, hatched) for word, y in zip(t.customdata, t.y, strict=True)}
        for hatched in (False, True)
    )
    assert sum(mine.values()) == 2
    assert sum(theirs.values()) == len(found.detectors())
    assert set(mine) == set(theirs)


def test_iou_bars_count_every_unit_once_in_its_bin(found, twin) -> None:
    figure = chart(found, "iou", against=twin)
    for trace, dissection in zip(figure.data, (found, twin), strict=True):
        expected = [0] * 50
        for value in dissection.best(LAST)[1]:
            expected[min(int(value * 50 + 1e-6), 49)] += 1
        assert list(trace.y) == expected
        assert sum(expected) == 10
        assert set(trace.marker.line.width if trace.marker.pattern.shape else [0]) <= {0, 1}
    assert list(figure.data[0].x) == list(figure.data[1].x)  # bin on bin
    assert figure.layout.shapes[0].x0 == found.min_iou
    assert f"{len(found.detectors())} of 10" in figure.layout.title.text


@pytest.mark.parametrize("kind", ["concepts", "units", "iou"])
def test_every_figure_is_transparent_and_described(found, twin, kind: str) -> None:
    for figure in (chart(found, kind), chart(found, kind, against=twin), chart(found.with_min_iou(0.99), kind)):
        assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"
        assert LAST in figure.layout.meta["alt"]
        assert figure.layout.title.text
        assert "<script>" not in figure.layout.title.text


def test_an_unknown_kind_names_the_kinds(found) -> None:
    with pytest.raises(OptionError, match="'concepts', 'units', 'iou', got 'pie'"):
        chart(found, "pie")


def test_a_twin_of_other_layers_is_refused_in_words(found) -> None:
    other = dataclasses.replace(found, layers={"conv1": found.layers["conv1"]})
    with pytest.raises(
        LayerNotFound, match=r"against: layer 'block<2>\.conv' is not in that dissection, which has 'conv1'"
    ):
        chart(found, "concepts", against=other)
    with pytest.raises(OptionError, match="against: expected another Dissection, got str"):
        chart(found, against="twin")


def test_level_names_are_small_where_many_stand_side_by_side() -> None:
    sizes = [name_axis(["conv1_1"] * count)["tickfont"]["size"] for count in (5, 12, 13)]
    assert sizes == [13, 13, 11]
