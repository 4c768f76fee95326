"""Takes pictures of every display, light and dark (needs the extra `test` and Chromium).

    python .ci/pictures.py FOLDER      every display, charts, a look, causes, browser, bench: PNG files
    python .ci/pictures.py --readme    the pictures of README.md

Both show the classifier that ships with the package, over generated scenes. README opens with the best unit of each of
several concepts in its last convolution, as `Dissection.gallery` draws them; then comes the browser with a unit opened.
The browser is that of `unitlens.report`, which runs the files that `unitlens.browse` runs in a notebook.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from runpy import run_path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

import unitlens as ul

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "notebooks" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu"]
LAYERS = ["conv1_2", "conv3_2", "conv4_3", "conv5_3"]
STYLES = ("outline", "heat", "dim", "plain")
CHARTS = ("concepts", "units", "iou")
GROUND = {"light": "#ffffff", "dark": "#15171c"}
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>unitlens</title>'
    '<body style="margin:20px;width:{width}px;background:{ground}">{body}</body></html>'
)


def dissected(images: int) -> ul.Dissection:
    """The shipped classifier; from the store after the first time."""
    return ul.dissect(ul.load_model("scenenet"), LAYERS, ul.load_probe("scenes", count=images))


def best_units(dissection: ul.Dissection, count: int) -> list[int]:
    """The best unit of each detected object and part, best first."""
    found = [units[0] for concept, units in dissection.concepts().items() if concept.category in ("object", "part")]
    rank = {int(unit): place for place, unit in enumerate(dissection.detectors())}
    return sorted(found, key=rank.__getitem__)[:count]


def displays(dissection: ul.Dissection) -> Iterator[tuple[str, str]]:
    """Name and markup of every static display."""
    unit = int(dissection.detectors()[0])
    weak = int(dissection.best()[1].argmin())
    yield "summary", dissection._repr_html_()
    yield "table", dissection.table(rows=14).markup
    yield "table-detectors", dissection.table(LAYERS[0], detectors_only=True, sort="concept").markup
    for style in STYLES:
        yield f"gallery-{style}", dissection.gallery(units=4, style=style).markup
    yield "gallery-concept", dissection.gallery(next(iter(dissection.concepts())), units=4).markup
    yield "unit", dissection.unit(unit).markup
    yield "unit-weak", dissection.unit(weak).markup
    yield "look", ul.look(ul.load_model("scenenet"), ul.render_scene(5).picture, dissection)._repr_html_()


def charts(dissection: ul.Dissection) -> Iterator[tuple[str, str]]:
    """Name and markup of every chart, as a page of its own holds it."""
    for kind in CHARTS:
        figure = dissection.chart(kind)
        yield f"chart-{kind}", figure.to_html(full_html=False, include_plotlyjs=True)


@cache
def causes(images: int) -> dict[str, Any]:
    """Results about what units are for; from the store after the first time."""
    model, layer, probe = ul.load_model("scenenet"), LAYERS[-1], ul.load_probe("scenes", count=images)
    others = ul.load_probe("scenes", count=max(90, images // 2), seed="validation")
    ranking = ul.rank_units(model, layer, probe, held_out=others)
    gradient = ul.rank_units(model, layer, probe, by="gradient")
    dissection = ul.dissect(model, layer, probe)
    detector = int(dissection.detectors()[0])
    target = dissection.vocabulary[int(dissection.best()[0][detector])].name
    return {
        "importance": ranking, "gradient": gradient, "roles": ul.roles(gradient, dissection),
        "effect": ul.measure(model, ul.Ablate(layer, ranking.top(ranking.ranked[-1], 20)), probe),
        "curve": ul.ablation_curve(model, layer, others, ranking),
        "detector": ul.unit_detector(model, layer, detector, probe, target),
    }  # fmt: skip


def cause_displays(images: int) -> Iterator[tuple[str, str]]:
    """Name and markup of the page of every result about causes."""
    for name, result in causes(images).items():
        yield name, result._repr_html_()


def cause_charts(images: int) -> Iterator[tuple[str, Any]]:
    """Name and figure of every chart of causes."""
    found = causes(images)
    ranking = found["importance"]
    yield "effect-chart", found["effect"].chart()
    yield "importance-chart", ranking.chart(ranking.ranked[-1])
    yield "importance-map", ranking.chart()
    yield "importance-compare", ranking.compare(found["gradient"])
    yield "curve-chart", found["curve"].chart()
    for kind in ("graph", "groups"):
        yield f"roles-{kind}", found["roles"].chart(kind)
    for kind in ("roc", "peaks"):
        yield f"detector-{kind}", found["detector"].chart(kind)


def take_causes(browser: Browser, images: int, target: Path, scratch: str) -> None:
    """Pages light, dark and narrow; charts as plotly draws them and as the drawings that stand in for them."""
    target.mkdir(parents=True, exist_ok=True)
    for mode in GROUND:
        for name, body in cause_displays(images):
            shoot(browser, written(scratch, name, body, mode), target / f"{name}-{mode}.png", mode, 1140)
            narrow = written(scratch, f"{name}-narrow", body, mode, 380)
            shoot(browser, narrow, target / f"{name}-narrow-{mode}.png", mode, 420)
        for name, figure in cause_charts(images):
            live = figure.to_html(full_html=False, include_plotlyjs=True)
            shoot(browser, written(scratch, name, live, mode), target / f"{name}-{mode}.png", mode, 1140)
            drawing = f'<div data-theme="{mode}">{figure._repr_mimebundle_()["image/svg+xml"]}</div>'
            page = written(scratch, f"{name}-svg", drawing, mode)
            shoot(browser, page, target / f"{name}-svg-{mode}.png", mode, 1140)


def open_best(page: Page) -> None:
    page.get_by_role("listbox", name="Units").press("Enter")


def pin_two(page: Page) -> None:
    for key in ("Space", "ArrowRight", "Space"):
        page.get_by_role("listbox", name="Units").press(key)


def compare_layers(page: Page) -> None:
    page.get_by_label("Compare with").select_option(index=1)


def search(page: Page) -> None:
    page.get_by_label("Find a concept or unit").fill("tree")


#: What is done in the browser before its picture is taken.
ACTS: dict[str, Callable[[Page], None]] = {
    "browser": lambda page: None,
    "browser-opened": open_best,
    "browser-pinned": pin_two,
    "browser-compared": compare_layers,
    "browser-searched": search,
    "browser-heat": lambda page: page.get_by_label("Masks").select_option("heat"),
    "browser-nothing": lambda page: page.get_by_label("Find a concept or unit").fill("unicorn"),
}


def on_bench(page: Page) -> None:
    """Waits until nothing is asked, drawn or due any more."""
    page.wait_for_selector(".ul-bench[data-rested=true]")
    page.wait_for_timeout(500)


#: State -> what the bench starts with.
BENCHES: dict[str, dict[str, Any]] = {
    "bench": {"name": "living room", "count": 20},
    "bench-all": {"count": 0},
    "bench-louder": {"by": "concept", "name": "tree", "count": 8, "factor": 3.0},
    "bench-numbers": {"by": "numbers", "numbers": [62, 43, 153], "count": 3, "shown": "living room"},
}


def shoot_bench(browser: Browser, images: int, place: Path, mode: str, state: str, width: int, **options: Any) -> None:
    """One picture of the ablation bench, answered by this process."""
    pages = run_path(str(ROOT / "tests" / "widgets" / "conftest.py"))
    page = browser.new_page(
        viewport={"width": width, "height": 1000}, device_scale_factor=2, color_scheme=mode, reduced_motion="reduce"
    )
    model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=images)
    held_out = ul.load_probe("scenes", count=images // 2, seed="validation")
    ranking = ul.rank_units(model, LAYERS[-1], probe, show_progress=False)
    view = ul.bench(model, LAYERS[-1], held_out, dissected(images), ranking=ranking, show_progress=False,
                    **BENCHES[state])  # fmt: skip
    pages["WidgetPage"](page).show(view)
    on_bench(page)
    page.locator(".ul-bench").screenshot(path=str(place), **options)
    page.close()
    print(f"{place}: {place.stat().st_size / 1024:.0f} KB", flush=True)


#: State -> what the bench of a generator starts with.
STAGES: dict[str, dict[str, Any]] = {
    "stagebench": {"concept": "tree", "count": 40},
    "stagebench-seen": {"concept": "tree", "count": 40, "look": "seen"},
    "stagebench-cell": {"concept": "door", "count": 20, "action": "insert", "strength": 2.0, "cell": [5, 4]},
}


def shoot_stage(browser: Browser, images: int, place: Path, mode: str, state: str, width: int, **options: Any) -> None:
    """One picture of the bench of a generator, answered by this process."""
    pages = run_path(str(ROOT / "tests" / "widgets" / "conftest.py"))
    page = browser.new_page(
        viewport={"width": width, "height": 1000}, device_scale_factor=2, color_scheme=mode, reduced_motion="reduce"
    )
    samples = ul.from_generator(ul.load_model("scenegenerator"), images)
    found = ul.dissect(samples.generator, "layer4", samples, show_progress=False)
    pages["WidgetPage"](page).show(ul.bench(samples.generator, "layer4", samples, found, **STAGES[state]))
    on_bench(page)
    page.locator(".ul-bench").screenshot(path=str(place), **options)
    page.close()
    print(f"{place}: {place.stat().st_size / 1024:.0f} KB", flush=True)


def take_benches(browser: Browser, images: int, target: Path) -> None:
    for mode in GROUND:
        for state in BENCHES:
            shoot_bench(browser, images, target / f"{state}-{mode}.png", mode, state, 1140)
        shoot_bench(browser, images, target / f"bench-narrow-{mode}.png", mode, "bench", 420)
        for state in STAGES:
            shoot_stage(browser, images, target / f"{state}-{mode}.png", mode, state, 1140)
        shoot_stage(browser, images, target / f"stagebench-narrow-{mode}.png", mode, "stagebench", 420)


def shoot(browser: Browser, address: str, place: Path, mode: str, width: int, **options: Any) -> None:
    """One picture at twice the density."""
    size = {"width": width, "height": 200 if options.get("full_page", True) else 900}
    page = browser.new_page(viewport=size, device_scale_factor=2, color_scheme=mode)
    page.goto(address)
    page.wait_for_timeout(600)  # pictures are decoded, scripts have run
    page.screenshot(path=str(place), **{"full_page": True, **options})
    page.close()
    print(f"{place}: {place.stat().st_size / 1024:.0f} KB", flush=True)


def shoot_browser(browser: Browser, report: str, place: Path, mode: str, act: str, width: int, **options: Any) -> None:
    """One picture of the unit browser in a report, at twice the density, after an act."""
    page = browser.new_page(
        viewport={"width": width, "height": 1000}, device_scale_factor=2, color_scheme=mode, reduced_motion="reduce"
    )
    page.goto(report)
    page.locator(".ul-option").first.wait_for()
    ACTS[act](page)
    page.wait_for_timeout(900)  # bars are in order again, pictures are drawn
    page.locator(".ul-browser").screenshot(path=str(place), **options)
    page.close()
    print(f"{place}: {place.stat().st_size / 1024:.0f} KB", flush=True)


def written(folder: str, name: str, body: str, mode: str, width: int = 1100) -> str:
    """The address of a page that holds a display."""
    file = Path(folder) / f"{name}-{mode}.html"
    file.write_text(PAGE.format(width=width, ground=GROUND[mode], body=body), encoding="utf-8")
    return file.as_uri()


def take_all(browser: Browser, dissection: ul.Dissection, target: Path, scratch: str) -> None:
    target.mkdir(parents=True, exist_ok=True)
    report = ul.report(dissection, Path(scratch) / "report.html").as_uri()
    for mode in GROUND:
        for name, body in [*displays(dissection), *charts(dissection)]:
            shoot(browser, written(scratch, name, body, mode), target / f"{name}-{mode}.png", mode, 1140)
        shoot(browser, report, target / f"report-{mode}.png", mode, 1300, full_page=False)
        for act in ACTS:
            shoot_browser(browser, report, target / f"{act}-{mode}.png", mode, act, 1300)
        shoot_browser(browser, report, target / f"browser-narrow-{mode}.png", mode, "browser", 420)


def take_readme(browser: Browser, dissection: ul.Dissection, scratch: str) -> None:
    README.mkdir(exist_ok=True)
    gallery = dissection.gallery(best_units(dissection, 6), images=6)
    page = written(scratch, "readme", gallery.markup, "light", 860)
    shoot(browser, page, README / "units.jpg", "light", 900, type="jpeg", quality=88)
    report = ul.report(dissection, Path(scratch) / "report.html").as_uri()
    shoot_browser(browser, report, README / "browser.jpg", "light", "browser-opened", 1240, type="jpeg", quality=80)
    images = int(dissection.notes["images"])
    shoot_bench(browser, images, README / "bench.jpg", "light", "bench", 1140, type="jpeg", quality=80)
    stage = README / "stagebench.jpg"
    shoot_stage(browser, images, stage, "light", "stagebench", 1140, type="jpeg", quality=80)


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes pictures of every display.")
    parser.add_argument("folder", nargs="?", type=Path, help="where the pictures go")
    parser.add_argument("--readme", action="store_true", help="also takes the pictures of README.md")
    parser.add_argument("--images", type=int, default=1000, help="scenes that are dissected")
    options = parser.parse_args()
    if not options.folder and not options.readme:
        parser.error("name a folder, or --readme")
    dissection = dissected(options.images)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        if options.folder:
            take_all(browser, dissection, options.folder, scratch)
            take_causes(browser, options.images, options.folder, scratch)
            take_benches(browser, options.images, options.folder)
        if options.readme:
            take_readme(browser, dissection, scratch)
        browser.close()


if __name__ == "__main__":
    main()
