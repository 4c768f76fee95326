"""A report on paper: its units with their pictures, whatever was on view."""

from __future__ import annotations

from pathlib import Path

import pytest

import unitlens as ul


@pytest.mark.parametrize("opened", [False, True])
def test_a_printed_report_holds_its_units_with_pictures(opened: bool, measured, show, tmp_path: Path) -> None:
    page = show(ul.report(measured, tmp_path / "report.html"), width=720)  # as narrow as paper
    page.locator(".ul-option").first.wait_for()
    page.wait_for_timeout(1500)  # pictures that nobody has seen are decoded meanwhile
    if opened:
        page.locator(".ul-option").first.click()
        page.locator(".ul-zoomhead").wait_for()
    page.evaluate("""() => {
      window.addEventListener("beforeprint", () => {
        const cards = [...document.querySelectorAll(".ul-option")];
        window.printed = cards.map((card) => [...card.querySelectorAll("canvas")].map((one) => {
          const { data } = one.getContext("2d").getImageData(0, 0, one.width, one.height);
          return new Set(data).size;
        }));
      });
    }""")
    paper = page.pdf(width="210mm", height="297mm")
    printed = page.evaluate("window.printed")
    units = len(measured.detectors())
    assert len(printed) == units and all(len(colours) == 1 and colours[0] > 20 for colours in printed)
    assert paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page/") + paper.count(b"/Type /Page ") >= units // 20
    if not opened:
        page.locator(".ul-option canvas:nth-child(2)").first.wait_for()  # on the screen again: masks of their own


def test_a_printed_report_with_an_open_unit_shows_the_others(measured, show, tmp_path: Path) -> None:
    page = show(ul.report(measured, tmp_path / "report.html"), width=720)
    page.locator(".ul-option").first.click()
    page.locator(".ul-zoomhead").wait_for()
    assert not page.locator(".ul-place").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".ul-place").is_visible() and not page.locator(".ul-zoom").is_visible()
