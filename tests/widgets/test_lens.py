"""The lens in Python: pictures that come from a page, errors that are shown, and what a page without widgets gets."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

import unitlens as ul
from unitlens.dissection.result import Dissection
from unitlens.errors import LayerNotFound, OptionError, UnitLensError


@pytest.fixture(scope="module")
def found() -> Dissection:
    probe = ul.load_probe("scenes", count=36)
    return ul.dissect(ul.load_model("scenenet"), ["conv4_3", "conv5_3"], probe, show_progress=False)


def uri(picture: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_a_picture_from_the_page_is_seen_as_look_sees_it(found):
    view, picture = ul.lens(ul.load_model("scenenet"), found), ul.render_scene(7).picture
    assert view.seen is None and view.page.value == ""
    view.zone.picture = {"data": uri(picture), "name": "seven"}
    expected = ul.look(ul.load_model("scenenet"), picture, found)
    assert np.array_equal(view.seen.fires, expected.fires)
    assert view.page.value == expected._repr_html_()
    assert view.zone.status.startswith("seven: Look of conv5_3")


def test_the_layer_and_the_quantile_move_what_is_seen(found):
    view = ul.lens(ul.load_model("scenenet"), found, ul.render_scene(7).picture)
    view.layer = "conv4_3"
    assert view.seen.layer == "conv4_3" == view.children[1].children[0].value
    before = view.seen.share.sum()
    view.children[1].children[1].value = 0.97
    assert view.quantile == view.seen.quantile == 0.97 and view.seen.share.sum() > before


def test_a_sample_is_an_image_of_the_probe_set(found):
    view = ul.lens(ul.load_model("scenenet"), found)
    assert 1 <= len(view.zone._samples) <= 10
    view.zone.picture = {"sample": 1, "name": "sample 2", "number": 1}
    assert view.seen is not None and view.seen.size == (128, 128)


@pytest.mark.parametrize("data", ["data:image/png;base64,bm9uc2Vuc2U=", "javascript:alert(1)"])
def test_what_is_no_picture_is_said_on_the_page_and_not_swallowed(found, data):
    view = ul.lens(ul.load_model("scenenet"), found, ul.render_scene(7).picture)
    with pytest.raises(UnitLensError):
        view.zone.picture = {"data": data, "name": "<b>bad</b>"}
    assert 'class="ul-trouble" role="alert"' in view.page.value and "<b>bad" not in view.page.value


def test_an_error_of_the_model_is_shown_with_its_traceback(found, monkeypatch):
    def broken(self, images):
        raise RuntimeError("<i>out of order</i>")

    model = ul.load_model("scenenet")
    view = ul.lens(model, found)
    monkeypatch.setattr(type(model), "forward", broken)
    with pytest.raises(RuntimeError):
        view.zone.picture = {"data": uri(ul.render_scene(7).picture), "name": "seven"}
    assert "RuntimeError: &lt;i&gt;out of order&lt;/i&gt;" in view.page.value and "<details>" in view.page.value
    assert view.zone.status == "This did not work: see below." and view.seen is None


def test_a_page_without_widgets_gets_the_last_picture(found):
    view = ul.lens(ul.load_model("scenenet"), found)
    assert "text/html" not in view._repr_mimebundle_()
    view.show(ul.render_scene(5).picture)
    data = view._repr_mimebundle_()
    assert data["text/html"] == view.seen._repr_html_() and data["text/plain"] == view.seen.text()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert repr(view).startswith("Lens on conv5_3: Look of")


def test_the_words_below_the_zone_are_those_of_what_is_seen(found):
    view = ul.lens(ul.load_model("scenenet"), found)
    for _ in range(2):  # the page writes its own words in between, so that the same picture is told again
        view.zone.set_state({"status": "Looking at sample 1 …", "picture": {"sample": 0, "name": "sample 1"}})
        assert view.zone.status == f"sample 1: {view.seen!r}" and "conv5_3" in view.zone.status
        view.zone.picture = {}
    view.layer = "conv4_3"
    assert view.zone.status == f"sample 1: {view.seen!r}" and "conv4_3" in view.zone.status


def test_a_layer_or_a_level_that_is_not_known_is_refused_and_changes_nothing(found):
    view = ul.lens(ul.load_model("scenenet"), found, ul.render_scene(7).picture)
    with pytest.raises(LayerNotFound, match="'nope' was not dissected"):
        view.layer = "nope"
    with pytest.raises(OptionError, match="quantile: this result is known from"):
        view.quantile = 0.5
    assert (view.layer, view.quantile) == ("conv5_3", 0.99)
    view.quantile = 0.9871  # the nearest level of the slider
    assert view.quantile == view.seen.quantile == view.children[1].children[1].value != 0.9871


def test_a_first_quantile_leaves_the_slider_free(found):
    view = ul.lens(ul.load_model("scenenet"), found, ul.render_scene(7).picture, quantile=0.999)
    assert view.seen.quantile == view.children[1].children[1].value == 0.999
    view.children[1].children[1].value = 0.97
    assert view.seen.quantile == 0.97


def test_a_picture_that_failed_is_not_looked_at_again(found):
    view = ul.lens(ul.load_model("scenenet"), found, ul.render_scene(7).picture)
    with pytest.raises(UnitLensError):
        view.show("/nope.png")
    view.layer = "conv4_3"
    assert view.seen.layer == "conv4_3"


def test_what_is_no_dissection_is_refused(found):
    with pytest.raises(OptionError, match="dissection: expected what dissect"):
        ul.lens(ul.load_model("scenenet"), "conv5_3")
