"""The browser's Python side: traits, what is refused, answers and errors, twins for pages without widgets."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import traitlets

import unitlens as ul
from unitlens.dissection.result import Dissection
from unitlens.errors import LayerNotFound, OptionError
from unitlens.widgets.browser import Browser


@pytest.fixture
def view(dissected: Dissection) -> Browser:
    return ul.browse(dissected)


def asked(view: Browser, question: Any) -> list[tuple[dict[str, Any], list[bytes]]]:
    """What the widget sends when a page asks."""
    said: list[tuple[dict[str, Any], list[bytes]]] = []
    view.send = lambda content, buffers=None: said.append((content, list(buffers or [])))
    view._handle_msg({"content": {"data": {"method": "custom", "content": question}}, "buffers": []})
    return said


def test_it_opens_on_the_last_layer_with_the_results_own_numbers(view: Browser, dissected: Dissection) -> None:
    assert (view.layer, view.quantile, view.min_iou) == ("conv5_3", 0.99, 0.04)
    assert (view.query, view.category, view.order, view.masks, view.compare) == ("", "", "iou", "outline", "")
    assert (view.selected, view.opened, view.beats_chance, view.height) == ([], [], False, 760)
    assert view.layers == ("conv4_3", "conv5_3")
    strict = ul.browse(dissected.at(0.995).with_min_iou(0.1))
    assert (strict.quantile, strict.min_iou) == (0.995, 0.1)


def test_of_several_results_it_opens_on_the_last_layer_of_the_first(dissected: Dissection) -> None:
    view = ul.browse(dissected, dissected.renamed("twin"))
    assert view.layer == "SceneNet · conv5_3" and len(view.layers) == 4
    view.layer = "twin · conv4_3"
    assert view.layer == "twin · conv4_3"


def test_units_are_pinned_by_number_or_by_layer_and_number(view: Browser) -> None:
    view.selected = [12, ("conv4_3", 7), ["conv5_3", np.int64(3)]]
    assert view.selected == [["conv5_3", 12], ["conv4_3", 7], ["conv5_3", 3]]
    assert all(type(unit) is int for _, unit in view.selected)
    view.selected = np.array([4, 5]).tolist()
    assert view.selected == [["conv5_3", 4], ["conv5_3", 5]]
    view.selected = [4, 5, 4, ("conv5_3", 5)]
    assert view.selected == [["conv5_3", 4], ["conv5_3", 5]]  # once is enough


def test_an_array_of_units_is_pinned(view: Browser) -> None:
    view.selected = np.array([3, 5])
    assert view.selected == [["conv5_3", 3], ["conv5_3", 5]]


def test_a_unit_is_opened_by_number_or_by_layer_and_number(view: Browser) -> None:
    view.opened = ("conv4_3", np.int32(7))
    assert view.opened == ["conv4_3", 7] and type(view.opened[1]) is int
    view.opened = [9]
    assert view.opened == ["conv5_3", 9]
    for unit in (11, np.int64(11), (11,)):
        view.opened = unit
        assert view.opened == ["conv5_3", 11]
    for nothing in ([], ()):
        view.opened = 11
        view.opened = nothing
        assert view.opened == []


def test_traits_may_be_given_in_any_order(dissected: Dissection) -> None:
    view = ul.browse(dissected, selected=[3], opened=[4], layer="conv4_3", query="sky", height=500)
    assert view.selected == [["conv4_3", 3]] and view.opened == ["conv4_3", 4]
    whole = ul.browse(dissected, layer="", selected=[3])
    assert whole.selected == [["conv5_3", 3]]  # a number alone is of the last layer, where all are on view


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("layer", "conv9", "conv9"), ("compare", "conv9", "conv9"),
        ("quantile", 0.5, r"quantile: this result is known from 0\.97 to 0\.999, got 0\.5"),
        ("quantile", float("nan"), "quantile: .* got nan"),
        ("category", "animal", "category: expected one of .*object.*, got 'animal'"),
        ("selected", [160], r"selected: expected a unit 0\.\.159 of conv5_3, got 160"),
        ("selected", [-1], "selected: expected a unit"), ("selected", [True], "selected: expected a unit"),
        ("selected", ["3"], "selected: expected a unit"),
        ("selected", [("conv9", 3)], "layer of 'conv4_3', 'conv5_3'; got"),
        ("selected", [("conv4_3", 3, 1)], "selected: expected units"),
        ("opened", ("conv4_3", 999), r"opened: expected a unit 0\.\.159 of conv4_3, got 999"),
        ("opened", [1.5], "opened: expected a unit"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused_and_leaves_the_view_as_it_was(
    name: str, value: Any, words: str, view: Browser, dissected: Dissection
) -> None:
    before = view.get_state()
    with pytest.raises((OptionError, LayerNotFound), match=words):
        setattr(view, name, value)
    assert view.get_state() == before
    with pytest.raises((OptionError, LayerNotFound), match=words):
        ul.browse(dissected, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("order", "size", "order.*'iou', 'concept', 'unit'.*size"), ("masks", "red", "masks.*outline.*red"),
        ("min_iou", 2.0, "min_iou"), ("height", 10, "height"), ("query", 3, "query"), ("selected", 3, "selected"),
    ],
)  # fmt: skip
def test_values_of_the_wrong_kind_are_refused_by_name(name: str, value: Any, words: str, view: Browser) -> None:
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(view, name, value)


@pytest.mark.parametrize("name", ["colour", "_about", "_esm", "keys", "comm", "style"])
def test_unknown_options_are_refused_with_the_known_ones(name: str, dissected: Dissection) -> None:
    with pytest.raises(OptionError, match=rf"unknown option '{name}'; expected one of layer, query, .*opened, height"):
        ul.browse(dissected, **{name: "x"})


def test_only_dissections_are_browsed(dissected: Dissection) -> None:
    for wrong in (None, "conv5_3", [dissected]):
        with pytest.raises(OptionError, match=r"expected what `unitlens.dissect` gives, got"):
            ul.browse(wrong)
    with pytest.raises(OptionError, match="got int"):
        ul.browse(dissected, 3)


def test_changes_can_be_observed(view: Browser) -> None:
    seen: list[Any] = []
    view.observe(lambda change: seen.append(change["new"]), "selected")
    data = {"method": "update", "state": {"selected": [["conv5_3", 3]]}, "buffer_paths": []}
    view._handle_msg({"content": {"data": data}, "buffers": []})
    assert seen == [[["conv5_3", 3]]]


def test_a_question_is_answered_with_its_number(view: Browser) -> None:
    ((content, (data,)),) = asked(view, {"id": "q-7", "kind": "layer", "key": "conv4_3"})
    assert content["id"] == "q-7" and "error" not in content
    sizes = {"u1": 1, "u2": 2, "i4": 4, "f4": 4}
    assert len(data) == sum(-(-int(np.prod(shape)) * sizes[kind] // 8) * 8 for _, kind, shape in content["header"])
    ((content, _),) = asked(view, {"id": "q-8", "kind": "pictures", "of": 0, "ids": [0, 1]})
    assert [name for name, *_ in content["header"]] == ["sizes", "bytes"]
    assert asked(view, {"kind": "layer", "key": "conv4_3"}) == asked(view, "hello") == []  # nobody asked


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"kind": "weather"}, "kind: expected 'layer', 'units' or 'pictures', got 'weather'"), ({}, "kind: expected"),
        ({"kind": "layer", "key": "conv9"}, "conv9"), ({"kind": "layer", "key": None}, "None"),
        ({"kind": "units", "key": "conv5_3"}, "KeyError: 'units'"),
        ({"kind": "units", "key": "conv5_3", "units": [9999]}, "IndexError"),
    ],
)  # fmt: skip
def test_an_error_is_sent_with_its_traceback_and_also_logged(
    question: dict[str, Any], words: str, view: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ((content, buffers),) = asked(view, {"id": "q-1", **question})
    assert content["id"] == "q-1" and words in content["error"] and buffers == []
    assert content["trace"].startswith("Traceback") and "_answered" in content["trace"]
    assert "Exception in callback" in caplog.text


def test_what_cannot_be_packed_is_an_error_too(view: Browser) -> None:
    view.atlas.layer = lambda key: {"wide": np.zeros(3)}
    ((content, _),) = asked(view, {"id": "q-1", "kind": "layer", "key": "conv4_3"})
    assert "wide: expected uint8, uint16, int32 or float32, got float64" in content["error"]


def test_pages_without_widgets_get_html_and_text(view: Browser, dissected: Dissection) -> None:
    data, _ = view._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"}
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == view.model_id
    assert data["text/plain"] == view.text() and "conv5_3" in data["text/html"]
    assert repr(view) and "\n" not in repr(view) and "SceneNet" in repr(view)
    assert "<script" not in data["text/html"]
