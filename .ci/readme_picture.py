"""Computes the picture that README.md opens with: `python .ci/readme_picture.py` (needs the extra `test` and Chromium).

It shows the best unit of each of several concepts in the last convolution of SceneNet, as `Dissection.gallery` draws
them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import unitlens as ul

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "notebooks" / "pictures" / "units.jpg"
FLAGS = ["--no-sandbox", "--disable-gpu"]
PAGE = '<!doctype html><meta charset="utf-8"><body style="margin:20px;width:860px;background:#fff">{}</body>'


def best_units(dissection: ul.Dissection, count: int) -> list[int]:
    """The best unit of each detected object and part, best first."""
    found = [units[0] for concept, units in dissection.concepts().items() if concept.category in ("object", "part")]
    rank = {int(unit): place for place, unit in enumerate(dissection.detectors())}
    return sorted(found, key=rank.__getitem__)[:count]


def main() -> None:
    dissection = ul.dissect(ul.load_model("scenenet"), "conv5_3", ul.load_probe("scenes", count=1000))
    gallery = dissection.gallery(best_units(dissection, 6), images=6)
    PICTURE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "gallery.html"
        page_file.write_text(PAGE.format(gallery.markup), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 900, "height": 400}, device_scale_factor=2)
        page.goto(page_file.as_uri())
        page.screenshot(path=str(PICTURE), full_page=True, type="jpeg", quality=88)
        browser.close()
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
