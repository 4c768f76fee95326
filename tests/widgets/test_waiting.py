"""The browser while answers are late, come at a bad moment, or do not come at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import unitlens as ul
from unitlens.dissection.result import Dissection

LATE = """(() => {
  const said = [];
  const model = { on: () => {}, off: () => {}, send: (one) => { model.sent = one; } };
  const real = globalThis.setTimeout;
  globalThis.setTimeout = (act) => { act(); return 0; };
  let heard;
  model.on = (_, act) => { heard = act; };
  const ask = m.asking(model);
  ask.slow = (waiting) => said.push(waiting);
  ask({ kind: "layer", key: "a" });
  globalThis.setTimeout = real;
  heard({ id: model.sent.id, header: [], text: "" });
  return said;
})()"""


def test_a_late_answer_is_waited_for_and_the_note_goes_when_it_comes(run_node: Callable[..., dict[str, Any]]) -> None:
    found = run_node([{"name": "late", "file": "asking.js", "act": LATE, "given": None}])["late"]
    assert found == [True, False]


def test_a_unit_can_be_left_while_it_is_read(widget_page: Any, dissected: Dissection) -> None:
    """Its name and buttons are there at once; they act on what is open, not on what was shown before."""
    view = ul.browse(dissected)
    real = view.atlas.units

    def slow(key: str, units: Any, images: int) -> Any:
        if images > 4:
            raise RuntimeError("not yet")
        return real(key, units, images)

    view.atlas.units = slow
    page = widget_page.show(view).page
    first, second, third = dissected.detectors()[:3].tolist()
    view.opened = first
    widget_page.settle()
    zoom = page.get_by_label("One unit", exact=True)
    assert f"unit {first} of conv5_3" in zoom.inner_text() and "Reading the unit" in zoom.inner_text()
    zoom.get_by_label("Next unit").click()
    zoom.get_by_label("Next unit").click()
    widget_page.settle()
    assert view.opened == ["conv5_3", third] and f"unit {third} of" in zoom.inner_text()
    zoom.get_by_text("Pin", exact=True).click()
    assert view.selected == [["conv5_3", third]]
    zoom.get_by_label("Close").click()
    widget_page.settle()
    assert view.opened == [] and second != third


def test_what_is_pressed_stays_until_it_is_let_go(widget_page: Any, dissected: Dissection) -> None:
    view = ul.browse(dissected, opened=7)
    page = widget_page.show(view).page
    box = page.get_by_label("Pin this unit for comparison").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    view.masks = "dim"  # an answer, another view: everything is drawn again
    widget_page.settle()
    page.mouse.up()
    page.wait_for_timeout(50)
    widget_page.settle()
    assert view.selected == [["conv5_3", 7]]


def test_the_slider_is_that_of_the_layer_on_view(widget_page: Any, dissected: Dissection) -> None:
    probe = ul.load_probe("scenes", count=36)
    exact = ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, exact=True, show_progress=False).renamed("exact")
    single = ul.browse(exact).atlas.levels[0]
    view = ul.browse(dissected, exact)
    page = widget_page.show(view).page
    slider = page.get_by_label("How much of the pixels a unit fires on")
    assert int(slider.get_attribute("max")) == len(view.atlas.levels[0]) - 1
    view.layer = "exact conv5_3" if "exact conv5_3" in view.layers else view.layers[-1]
    widget_page.settle()
    assert int(slider.get_attribute("max")) == len(single) - 1


def test_a_quantile_between_two_levels_is_read_back_as_the_one_that_is_shown(dissected: Dissection) -> None:
    view = ul.browse(dissected)
    view.quantile = 0.9871
    assert view.quantile in view.atlas.levels[0] and abs(view.quantile - 0.9871) < 0.002


def small(height: int, width: int, name: str) -> Dissection:
    torch.manual_seed(height)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 40, 3, padding=1), torch.nn.ReLU())
    images = np.random.RandomState(width).rand(20, 3, height, width).astype(np.float32)
    return ul.dissect(model, "0", ul.ArrayProbe(torch.from_numpy(images)), show_progress=False, min_iou=0).renamed(name)


@pytest.mark.parametrize("scrolled", [0, 2000])
def test_pictures_of_two_forms_keep_theirs_side_by_side(scrolled: int, widget_page: Any) -> None:
    view = ul.browse(small(48, 64, "low"), small(96, 48, "tall"), layer="", order="unit", min_iou=0)
    page = widget_page.show(view).page
    page.locator(".ul-grid").evaluate("(one, top) => { one.scrollTop = top; }", scrolled)
    page.wait_for_timeout(200)
    widget_page.settle()
    forms = page.locator(".ul-option").evaluate_all("""(all) => all.map((one) => {
      const film = one.querySelector(".ul-film");
      return [one.getAttribute("aria-label"), (film.offsetWidth - 12) / 4 / film.offsetHeight];
    })""")
    assert len(forms) > 8 and {"low" in words for words, _ in forms} == {True, False}
    for words, ratio in forms:
        assert ratio == pytest.approx(64 / 48 if "of low" in words else 48 / 96, rel=0.06), words
