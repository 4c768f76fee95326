"""axe-core finds no serious fault in the browser and the bench, whatever they show, on light and on dark pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import unitlens as ul
from unitlens.dissection.result import Dissection


@pytest.fixture(params=["light", "dark"])
def page(request: Any, widget_page: Any, dissected: Dissection) -> Any:
    """The page with one browser of two layers, in the mode that the person at the screen prefers."""
    widget_page.page.emulate_media(color_scheme=request.param)
    widget_page.view = ul.browse(dissected)
    widget_page.show(widget_page.view)
    ground = "#15171c" if request.param == "dark" else "#ffffff"
    widget_page.page.evaluate("(colour) => { document.body.style.background = colour; }", ground)
    return widget_page


STATES: dict[str, dict[str, Any]] = {
    "first": {},
    "a unit opened": {"opened": 2},
    "two units pinned": {"selected": [2, 3]},
    "layers compared": {"compare": "conv4_3"},
    "all layers, heat": {"layer": "", "masks": "heat"},
    "nothing matches": {"query": "no such concept"},
    "a concept chosen, chance beaten": {"query": '"tree (object)"', "beats_chance": True},
}


@pytest.mark.parametrize("state", STATES)
def test_no_serious_fault(state: str, page: Any, violations: Callable[..., list[str]]) -> None:
    for trait, value in STATES[state].items():
        setattr(page.view, trait, value)
    page.settle()
    assert page.page.locator(".ul-browser").count() == 1
    assert violations(page.page) == []


def test_a_narrow_page_has_no_serious_fault(page: Any, violations: Callable[..., list[str]]) -> None:
    page.page.set_viewport_size({"width": 420, "height": 800})
    page.view.opened = 2
    page.settle()
    assert violations(page.page) == []


BENCHES: dict[str, dict[str, Any]] = {
    "first": {},
    "units off": {"count": 20, "name": "beach"},
    "numbers, louder": {"by": "numbers", "numbers": [3, 7], "count": 2, "factor": 2.0, "shown": "lake"},
    "a lot": {"by": "random", "count": 80},
}


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("state", BENCHES)
def test_the_bench_has_no_serious_fault(
    state: str, mode: str, widget_page: Any, dissected: Dissection, violations: Callable[..., list[str]]
) -> None:
    probe = ul.load_probe("scenes", count=64)
    view = ul.bench(ul.load_model("scenenet"), "conv5_3", probe, dissected, show_progress=False, **BENCHES[state])
    widget_page.page.emulate_media(color_scheme=mode)
    widget_page.show(view)
    ground = "#15171c" if mode == "dark" else "#ffffff"
    widget_page.page.evaluate("(colour) => { document.body.style.background = colour; }", ground)
    widget_page.page.wait_for_selector(".ul-bench[data-rested=true]")
    widget_page.page.get_by_role("button", name="Python", exact=True).click()
    widget_page.page.locator(".ul-code pre").wait_for()
    assert violations(widget_page.page) == []
