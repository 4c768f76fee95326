"""The browser where there is little room."""

from __future__ import annotations

from typing import Any

import unitlens as ul
from unitlens.dissection.result import Dissection


def test_a_narrow_page_holds_the_browser(widget_page: Any, dissected: Dissection) -> None:
    widget_page.page.set_viewport_size({"width": 400, "height": 800})
    view = ul.browse(dissected, selected=[1, 2, 3])
    page = widget_page.show(view).page
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 400
    wide = page.locator(".ul-controls > *").evaluate_all(
        "(all) => Math.max(...all.map((one) => one.getBoundingClientRect().right))"
    )
    assert wide <= 400
    page.locator(".ul-grid").focus()
    page.keyboard.press("Enter")
    widget_page.settle()
    assert page.get_by_label("One unit", exact=True).is_visible() and page.locator(".ul-grid").is_hidden()
    page.keyboard.press("Escape")
    widget_page.settle()
    assert view.opened == [] and page.locator(".ul-grid").is_visible()
    assert page.locator(".ul-grid").evaluate("(grid) => grid === document.activeElement")


def test_a_narrow_place_on_a_wide_page_is_narrow_too(widget_page: Any, dissected: Dissection) -> None:
    """A notebook beside a file list is narrower than its window."""
    view = ul.browse(dissected)
    page = widget_page.show(view, width=420).page
    page.locator(".ul-option").first.click()
    widget_page.settle()
    assert page.get_by_label("One unit", exact=True).bounding_box()["width"] > 380
