"""Every display can be read by everyone: axe-core finds no serious fault, on light and on dark pages."""

from __future__ import annotations

from pathlib import Path

import pytest

import unitlens as ul

MODES = ["light", "dark"]
DISPLAYS = {
    "summary": lambda d: d._repr_html_(),
    "no detector": lambda d: d.with_min_iou(0.99)._repr_html_(),
    "table": lambda d: d.table(rows=5).markup,
    "gallery": lambda d: d.gallery(units=3).markup,
    "concept": lambda d: d.gallery("sky", units=3).markup,
    "unit": lambda d: d.unit(2).markup,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DISPLAYS)
@pytest.mark.parametrize("which", ["found", "measured"])
def test_a_display_has_no_serious_fault(name: str, mode: str, which: str, show, violations, request) -> None:
    page = show(DISPLAYS[name](request.getfixturevalue(which)), mode)
    assert page.locator(".unitlens").count() == 1
    assert violations(page) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_narrow_page_has_no_serious_fault(mode: str, measured, show, violations) -> None:
    page = show(measured._repr_html_() + measured.table(rows=4).markup, mode, width=420)
    assert violations(page) == []
    bare = show(measured.table(rows=4).markup, mode, width=420, java_script_enabled=False)
    assert bare.locator(".ul-scroll").get_attribute("tabindex") == "0"  # what scrolls can be scrolled by keys


@pytest.mark.parametrize("mode", MODES)
def test_the_report_has_no_serious_fault(mode: str, measured, show, violations, tmp_path: Path) -> None:
    page = show(ul.report(measured, tmp_path / "report.html"), mode)
    page.locator("#ul-units [role=option]").first.wait_for()
    assert violations(page) == []


def test_the_check_finds_what_is_wrong(show, violations) -> None:
    """Without this, the tests above could pass on anything."""
    page = show('<p style="color:#999;background:#aaa">pale</p><img src="data:,"><input>')
    found = {line.split()[0] for line in violations(page)}
    assert {"color-contrast", "image-alt", "label"} <= found
    assert {line.split()[0] for line in violations(page, "p")} == {"color-contrast"}


@pytest.mark.parametrize("options", [{"contrast": "more"}, {"forced_colors": "active"}], ids=str)
def test_high_contrast_keeps_the_bars_and_has_no_serious_fault(options, measured, show, violations) -> None:
    page = show(measured._repr_html_() + measured.table(rows=4).markup, **options)
    assert violations(page) == []
    ground, fill = page.locator(".ul-table .ul-meter").first.evaluate(
        "bar => [bar, bar.querySelector('i')].map(one => getComputedStyle(one).backgroundColor)"
    )
    assert ground != fill


def test_print_is_light_and_leaves_out_the_controls(measured, show) -> None:
    page = show(measured.table(rows=4).markup, "dark")
    assert page.locator(".ul-find").is_visible()
    page.emulate_media(media="print")
    assert not page.locator(".ul-find").is_visible()
    assert page.locator(".unitlens").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("tbody tr").count() == 4
