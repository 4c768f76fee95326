"""The browser without a mouse: every function by Tab and keys, names for screen readers, the focus where it was."""

from __future__ import annotations

from typing import Any

import pytest

import unitlens as ul
from unitlens.dissection.result import Dissection

NAMED = """() => [...document.querySelectorAll(
    ".ul-browser :is(button, input, select, summary, section, [role=listbox], [role=option], [role=tab], [role=img])")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.getAttribute("aria-label") || one.labels?.length || one.textContent.trim()))
  .map((one) => one.outerHTML)"""
HERE = """() => {
  const one = document.activeElement;
  return one.getAttribute("aria-label") || one.labels?.[0]?.textContent.trim() || one.textContent.trim().slice(0, 40);
}"""


class Keys:
    """Somebody who has no mouse."""

    def __init__(self, shown: Any):
        self.shown, self.page = shown, shown.page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.shown.settle()

    @property
    def here(self) -> str:
        """The name of what has the focus."""
        return self.page.evaluate(HERE)

    def tab_to(self, name: str, back: bool = False) -> None:
        for _ in range(60):
            if self.here.startswith(name):
                return
            self.page.keyboard.press("Shift+Tab" if back else "Tab")
        raise AssertionError(f"Tab does not reach {name!r}")


@pytest.fixture
def keys(widget_page: Any, dissected: Dissection) -> Keys:
    widget_page.view = ul.browse(dissected)
    return Keys(widget_page.show(widget_page.view))


def test_every_function_is_reached_by_tab_and_keys(keys: Keys) -> None:
    view = keys.shown.view
    keys.tab_to("conv5_3")
    keys.press("ArrowLeft", "Enter")
    assert view.layer == "conv4_3"
    keys.tab_to("Find a concept")
    keys.page.keyboard.type("sky")
    keys.shown.settle()
    assert view.query == "sky"
    keys.press("Control+a", "Delete")
    keys.tab_to("Category")
    keys.press("ArrowDown")
    assert view.category == "object"
    keys.press("Home")
    keys.tab_to("Order")
    keys.press("End")
    assert view.order == "unit"
    keys.tab_to("How much of the pixels")
    keys.press("ArrowRight", "ArrowRight")
    assert view.quantile == 0.992
    keys.tab_to("IoU from")
    keys.press("Control+a", "0", ".", "1", "Enter")
    assert view.min_iou == 0.1
    keys.tab_to("beats chance")
    keys.press("Space")
    assert view.beats_chance
    keys.press("Space")
    keys.tab_to("Masks")
    keys.press("ArrowDown")
    assert view.masks == "heat"
    keys.tab_to("Compare with")
    keys.press("End")
    assert view.compare == "conv5_3"
    keys.press("Tab", "ArrowRight", "Space")  # the second bar
    assert view.query.startswith('"')
    keys.press("Space")
    assert view.query == ""
    keys.tab_to("Units")
    keys.press("ArrowRight", "Space", "ArrowRight", "Space", "Enter")
    assert len(view.selected) == 2 and view.opened == view.selected[1]
    before = view.opened
    keys.tab_to("Next unit")
    keys.press("Enter")
    assert view.opened != before
    keys.tab_to("Pin this unit")
    keys.press("Space")
    assert len(view.selected) == 3
    keys.tab_to("Close")
    keys.press("Enter")
    assert view.opened == [] and keys.here == "Units"
    keys.tab_to("Unpin all")
    keys.press("Tab")
    assert keys.here == "Pinned units side by side"
    keys.tab_to("Open unit")
    keys.press("Enter")
    assert view.opened == view.selected[0]
    keys.tab_to("Unpin unit")
    keys.press("Enter")
    assert len(view.selected) == 2
    keys.tab_to("Unpin all", back=True)
    keys.press("Enter")
    assert view.selected == []


def test_the_focus_stays_while_what_is_shown_changes(keys: Keys) -> None:
    view = keys.shown.view
    keys.tab_to("Units")
    keys.press("Enter")
    keys.tab_to("Pin this unit")
    keys.press("Space")
    assert keys.here == "Unpin this unit"
    keys.press("Space")
    assert keys.here == "Pin this unit for comparison"
    keys.tab_to("Next unit", back=True)
    view.quantile = 0.995
    view.masks = "heat"
    keys.shown.settle()
    assert keys.here == "Next unit"
    view.opened = []
    keys.shown.settle()
    assert keys.here == "Units"
    view.selected = [1, 2]
    keys.shown.settle()
    keys.tab_to("Unpin unit 2")
    view.quantile = 0.98
    keys.shown.settle()
    assert keys.here.startswith("Unpin unit 2")
    keys.press("Enter")
    assert keys.here == "Unpin all"
    keys.press("Enter")
    assert keys.here == "Units"


def test_the_focus_stays_on_a_bar_whose_count_changes(keys: Keys) -> None:
    view = keys.shown.view
    bar = keys.page.get_by_role("toolbar").get_by_role("button").nth(2)
    name, count = bar.get_attribute("aria-label").split(": ")
    bar.focus()
    view.min_iou = 0.0
    view.quantile = 0.993
    keys.shown.settle()
    assert keys.here.startswith(f"{name}: ") and keys.here != f"{name}: {count}"
    assert keys.page.locator(".ul-bargraph [tabindex='0']").get_attribute("aria-label") == keys.here


def test_the_active_unit_is_told_and_in_sight(keys: Keys) -> None:
    keys.tab_to("Units")
    active = "() => document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
    keys.press("End")
    last = keys.page.evaluate(f"() => ({active})().ariaPosInSet === ({active})().ariaSetSize")
    assert last
    box, grid = (
        keys.page.evaluate(f"() => ({what})().getBoundingClientRect().bottom")
        for what in (active, "() => document.activeElement")
    )
    assert box <= grid
    keys.press("Home")
    assert keys.page.evaluate(f"() => ({active})().ariaPosInSet") == "1"
    keys.press("PageDown", "ArrowDown")
    assert int(keys.page.evaluate(f"() => ({active})().ariaPosInSet")) > 4


def test_everything_has_a_name(keys: Keys) -> None:
    keys.shown.view.selected = [1, 2]
    keys.shown.view.opened = [keys.shown.view.layer, 3]
    keys.shown.settle()
    assert keys.page.evaluate(NAMED) == []
    selected = keys.page.get_by_role("tab", selected=True)
    assert selected.count() == 1 and "conv5_3" in selected.inner_text()
    panel = selected.get_attribute("aria-controls")
    assert keys.page.locator(f"#{panel}").get_attribute("role") == "tabpanel"


def test_the_active_unit_comes_into_sight_by_tab_and_stays_away_from_a_pointer(keys: Keys) -> None:
    """A list that scrolled under a pressed button would put another card, or none, below it."""
    page, view = keys.page, keys.shown.view
    view.min_iou = 0.0
    grid = page.locator(".ul-grid")
    grid.focus()
    keys.press("End")
    page.get_by_label("Find a concept or unit").click()
    grid.evaluate("(one) => { one.scrollTop = 0; }")
    keys.shown.settle()
    page.locator(".ul-option[aria-posinset='2']").click()
    keys.shown.settle()
    assert grid.evaluate("(one) => one.scrollTop") == 0
    words = page.locator(".ul-option[aria-posinset='2']").get_attribute("aria-label")
    assert words.startswith(f"unit {view.opened[1]} of {view.opened[0]}:")
    grid.focus()
    keys.press("End")
    search = page.get_by_label("Find a concept or unit")
    search.focus()
    grid.evaluate("(one) => { one.scrollTop = 0; }")
    keys.shown.settle()
    keys.tab_to("Units")
    keys.shown.settle()
    assert grid.evaluate("(one) => one.scrollTop") > 0
