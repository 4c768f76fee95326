"""Charts: the bars are the numbers of the dissection."""

from __future__ import annotations

import dataclasses
import html

import plotly.graph_objects as go
import pytest

from unitlens.display.charts import chart
from unitlens.errors import LayerNotFound, OptionError

LAST = "block<2>.conv"


def test_concept_bars_are_the_counts_of_every_layer_and_category(found) -> None:
    figure = chart(found, "concepts")
    assert type(figure) is go.Figure
    assert [t.name for t in figure.data][:3] == ["object", "part", "colour"]
    for trace, category in zip(figure.data, found.vocabulary.categories, strict=True):
        assert list(trace.y) == [found.concept_counts(name)[category] for name in found.layers]
    assert figure.layout.barmode == "stack"


def test_the_twin_stands_beside_in_pale_hatched_bars(found, twin) -> None:
    figure = chart(found, "concepts", against=twin)
    half = len(figure.data) // 2
    for mine, theirs, category in zip(figure.data[:half], figure.data[half:], found.vocabulary.categories, strict=True):
        assert list(mine.y) == [found.concept_counts(n)[category] for n in found.layers]
        assert list(theirs.y) == [twin.concept_counts(n)[category] for n in found.layers]
        assert theirs.marker.pattern.shape == "/"
        assert theirs.marker.opacity < 1
        assert not theirs.showlegend
        assert set(mine.x[1]) == {"tiny &lt;b&gt;net&lt;/b&gt;"}
        assert set(theirs.x[1]) == {"random twin"}


def test_unit_bars_are_the_detectors_of_each_concept_grouped_by_category(found) -> None:
    figure = chart(found, "units")
    shown = {html.unescape(words): n for t in figure.data for words, n in zip(t.customdata, t.y, strict=True)}
    assert shown == {f"{c.name} ({c.category})": len(units) for c, units in found.concepts().items()}
    assert sum(shown.values()) == len(found.detectors())
    assert [html.unescape(word) for word in figure.layout.xaxis.ticktext] == [c.name for c in found.concepts()]
    assert f"{len(found.detectors())} of 10 units" in figure.layout.title.text


def test_the_twin_s_own_concepts_get_their_places(found, twin) -> None:
    figure = chart(found.with_min_iou(0.3), "units", against=found)
    mine = {word: y for t in figure.data if "(other)" not in t.name for word, y in zip(t.customdata, t.y, strict=True)}
    theirs = {word: y for t in figure.data if "(other)" in t.name for word, y in zip(t.customdata, t.y, strict=True)}
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
