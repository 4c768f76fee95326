"""The ablation bench in a plain page: what it shows is what Python measures, by mouse, by keyboard and from Python."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import traitlets

import unitlens as ul
from unitlens.errors import OptionError, RecipeMismatch
from unitlens.intervene.importance import Importance
from unitlens.widgets.benchdata import BenchData

LAYER = "conv5_3"


@pytest.fixture(scope="module")
def world(unitlens_home: Any) -> dict[str, Any]:
    """SceneNet, 100 scenes, their dissection and ranking."""
    model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=100)
    found = ul.dissect(model, ["conv4_3", LAYER], probe, show_progress=False)
    ranking = ul.rank_units(model, LAYER, probe, show_progress=False)
    return {"model": model, "probe": probe, "dissection": found, "ranking": ranking}


@pytest.fixture
def view(world: dict[str, Any]) -> Any:
    opened = opening(world, name="beach", count=20)
    yield opened
    opened.close()


def opening(world: dict[str, Any], **traits: Any) -> Any:
    return ul.bench(world["model"], LAYER, world["probe"], world["dissection"], ranking=world["ranking"],
                    show_progress=False, **traits)  # fmt: skip


def rested(shown: Any) -> Any:
    shown.page.wait_for_selector(".ul-bench[data-rested=true]")
    shown.settle()
    return shown.page


def rows(page: Any) -> dict[str, str]:
    """Class -> what its row says."""
    labels = page.locator(".ul-class:not([hidden])").evaluate_all("(all) => all.map((one) => one.ariaLabel)")
    return {label.partition(",")[0]: label for label in labels}


def measured(world: dict[str, Any], units: list[int], factor: float = 0.0) -> Any:
    return ul.measure(world["model"], ul.Scale(LAYER, units, factor), world["probe"], store=False, show_progress=False)


def agrees(page: Any, world: dict[str, Any], units: list[int], factor: float = 0.0) -> None:
    """Every row's numbers are those of `measure`."""
    effect = measured(world, units, factor)
    before, after = (one.balanced_accuracy for one in effect.tallies)
    said = rows(page)
    for number, name in enumerate(effect.class_names):
        if np.isfinite(before[number]):
            assert f"balanced accuracy {100 * after[number]:.1f} %" in said[name]
            assert f"{100 * before[number]:.1f} % before" in said[name]
    assert f"{100 * effect.top1[1]:.1f} % of {len(effect.true)} images" in page.get_by_role("status").first.inner_text()


def test_what_the_page_shows_is_what_measure_says(view: Any, world: dict[str, Any], widget_page: Any) -> None:
    page = rested(widget_page.show(view))
    assert view.units == world["ranking"].top("beach", 20).tolist()
    agrees(page, world, view.units)
    drops = world["dissection"].best(LAYER)
    chips = page.locator(".ul-out b").all_inner_texts()
    assert chips == [str(unit) for unit in view.units] and len(drops[0]) == 160
    control = view.data.control(20, 0.0)["control_top1"]
    said = page.get_by_role("status").first.inner_text()
    assert f"{100 * control.min():.1f} % to {100 * control.max():.1f} %" in said


def test_sliders_answer_to_keys_and_rows_stand_in_order_at_rest(view: Any, world: Any, widget_page: Any) -> None:
    page = rested(widget_page.show(view))
    slider = page.get_by_label("How many units")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    rested(widget_page)
    assert view.count == 25 and len(view.units) == 25
    agrees(page, world, view.units)
    change = measured(world, view.units).change()
    names = page.locator(".ul-class:not([hidden]) .ul-name").all_inner_texts()
    told = [change[view.data.workbench.names.index(name)] for name in names]
    assert told == sorted(told)
    factor = page.get_by_label("Factor of their activation")
    factor.focus()
    page.keyboard.press("End")
    rested(widget_page)
    assert view.factor == 3.0
    agrees(page, world, view.units, 3.0)


def test_flipped_pictures_are_those_of_the_effect_and_their_cause_is_the_strongest_unit(view: Any, world: Any) -> None:
    units = np.array(view.units)
    shots = view.data.shots(units, 0.0, "")
    effect = measured(world, view.units)
    assert shots["count"][0] == len(effect.flips)
    first = effect.flips[: len(shots["image"])]
    assert shots["image"].tolist() == effect.index[first].tolist()
    images = world["probe"].load(effect.index[first].tolist()).images
    model = world["model"]
    import torch

    for i, (true, before, after, unit) in enumerate(shots["shot"]):
        assert (true, before, after) == (effect.true[first[i]], effect.before[first[i]], effect.after[first[i]])
        gains = []
        with torch.no_grad():
            for one in view.units:  # naive: the whole network for each unit
                with ul.edit(model, ul.Ablate(LAYER, one)):
                    scores = model(images[i : i + 1])[0]
                gains.append(float(scores[after] - scores[before]))
        assert gains[view.units.index(int(unit))] == pytest.approx(max(gains), abs=1e-4)


def test_a_class_shows_its_own_pictures(view: Any, widget_page: Any) -> None:
    page = rested(widget_page.show(view))
    row = page.get_by_role("button", name=re.compile("^office,"))
    row.click()
    rested(widget_page)
    assert view.shown == "office" and row.get_attribute("aria-pressed") == "true"
    captions = page.locator(".ul-shots canvas").evaluate_all("(all) => all.map((one) => one.ariaLabel)")
    assert all("office" in words for words in captions)
    row.click()
    rested(widget_page)
    assert view.shown == ""


def test_units_are_chosen_by_concept_number_and_lot(view: Any, world: Any, widget_page: Any) -> None:
    page = rested(widget_page.show(view))
    page.get_by_label("Which units").select_option("concept")
    rested(widget_page)
    concept = page.get_by_label("Class or concept").input_value()
    assert view.name == concept in view.data.concepts
    assert view.units == world["dissection"].units_for(concept, LAYER)[:20].tolist()
    page.get_by_label("Which units").select_option("numbers")
    page.get_by_label("Unit numbers").fill("3, 7-9")
    page.keyboard.press("Enter")
    rested(widget_page)
    assert view.units == [3, 7, 8, 9]
    agrees(page, world, [3, 7, 8, 9])
    page.get_by_label("Unit numbers").fill("3, 999")
    page.keyboard.press("Enter")
    alert = page.get_by_text("Expected unit numbers 0 to 159")
    assert alert.is_visible() and view.units == [3, 7, 8, 9]
    page.get_by_label("Which units").select_option("random")
    rested(widget_page)
    assert alert.is_hidden()
    before = view.units
    page.get_by_text("Another lot").click()
    rested(widget_page)
    assert view.draw == 1 and view.units != before


def test_a_chip_leaves_its_unit_as_it_is(view: Any, widget_page: Any) -> None:
    page = rested(widget_page.show(view))
    units = view.units
    page.locator(".ul-out").nth(2).click()
    rested(widget_page)
    assert (view.by, view.units) == ("numbers", units[:2] + units[3:])


def test_undo_redo_reset(view: Any, widget_page: Any) -> None:
    page = rested(widget_page.show(view))
    assert page.get_by_text("Undo").is_disabled()
    page.get_by_label("Class or concept").select_option("lake")
    rested(widget_page)
    page.get_by_text("Reset").click()
    rested(widget_page)
    assert (view.name, view.count) == ("lake", 0)
    assert "All 160 units as they are" in page.get_by_role("status").first.inner_text()
    for name, count in (("lake", 20), ("beach", 20)):
        page.get_by_text("Undo").click()
        rested(widget_page)
        assert (view.name, view.count) == (name, count)
    page.get_by_text("Redo").click()
    rested(widget_page)
    assert view.name == "lake"


def test_python_and_csv_repeat_what_is_on_view(view: Any, world: Any, widget_page: Any) -> None:
    page = rested(widget_page.show(view))
    page.get_by_role("button", name="Python", exact=True).click()
    text = page.get_by_label("Python that repeats this").inner_text()
    space: dict[str, Any] = {"model": world["model"], "probe": world["probe"]}
    exec(text, space)
    assert np.array_equal(space["effect"].after, view.effect.after)
    with page.expect_download() as got:
        page.get_by_role("button", name="CSV").click()
    lines = got.value.path().read_text().splitlines()
    assert lines[0].startswith("class,images,balanced_accuracy") and len(lines) == 1 + len(view.effect.frame())


def test_python_says_what_else_the_bench_was_opened_with(world: dict[str, Any]) -> None:
    def darker(images: Any) -> Any:
        return images * 0.5

    darker.fingerprint = "darker"  # type: ignore[attr-defined]
    groups = {name: [number] for number, name in enumerate(world["probe"].class_names)}
    view = ul.bench(world["model"], LAYER, world["probe"], classes=groups, preprocess=darker, show_progress=False,
                    count=20)  # fmt: skip
    space: dict[str, Any] = {"model": world["model"], "probe": world["probe"], "preprocess": darker}
    exec(view.code, space)
    assert "preprocess=preprocess" in view.code
    assert np.array_equal(space["effect"].after, view.effect.after)
    plain = measured(world, view.units)
    assert not np.array_equal(space["effect"].before, plain.before)


def test_units_pinned_in_a_browser_arrive_until_the_bench_is_closed(view: Any, world: dict[str, Any]) -> None:
    browser = ul.browse(world["dissection"])
    browser.selected = [(LAYER, 12), ("conv4_3", 3), (LAYER, 40)]
    assert view.link(browser) is view
    assert (view.by, view.units) == ("numbers", [12, 40])
    browser.selected = [(LAYER, 7)]
    assert view.units == [7]
    view.close()
    browser.selected = [(LAYER, 9)]
    assert view.units == [7]


def test_a_late_answer_does_not_replace_a_newer_one(view: Any, world: Any, widget_page: Any) -> None:
    """Pictures that come after the next move belong to nothing on view."""
    page = rested(widget_page.show(view))
    plain, waited = view.data.shots, []

    def slow(units: Any, factor: float, shown: str) -> Any:
        waited.append(len(units))
        if len(waited) == 1:
            view.count = 3  # the state moves on while the pictures are made
        return plain(units, factor, shown)

    view.data.shots = slow
    page.get_by_label("How many units").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.ul-level').textContent.startsWith('3 of')")
    rested(widget_page)
    agrees(page, world, view.units)
    assert waited == [21, 3]


def test_an_error_is_shown_and_the_bench_goes_on(view: Any, world: Any, widget_page: Any) -> None:
    page = rested(widget_page.show(view))
    plain = view.data.state

    def broken(*_: Any) -> Any:
        raise RuntimeError("no <b>answer</b> today")

    view.data.state = broken
    page.get_by_label("How many units").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[role=alert]:not([hidden])")
    assert "RuntimeError: no <b>answer</b> today" in page.locator(".ul-trouble").inner_text()
    assert page.locator(".ul-bench").get_attribute("data-stale") == "true"
    view.data.state = plain
    page.get_by_text("Dismiss").click()
    page.get_by_label("How many units").focus()
    page.keyboard.press("ArrowRight")
    rested(widget_page)
    assert page.locator(".ul-bench").get_attribute("data-stale") == "false"
    agrees(page, world, view.units)


def test_traits_are_checked_and_stay_as_they_were(view: Any) -> None:
    wrong = {"count": 161, "factor": -1.0, "name": "zoo", "numbers": [160], "shown": "zoo", "by": "luck"}
    for name, value in wrong.items():
        before = getattr(view, name)
        with pytest.raises((OptionError, traitlets.TraitError)):
            setattr(view, name, value)
        assert getattr(view, name) == before
    with pytest.raises(OptionError, match=r"numbers: expected units 0\.\.159"):
        view.choose("numbers", [3, 400])
    assert (view.by, view.count) == ("class", 20)


def test_units_are_chosen_from_python_in_one_step(view: Any, world: Any) -> None:
    view.choose("concept", "sea", count=5, factor=2.0)
    assert view.units == world["dissection"].units_for("sea", LAYER)[:5].tolist() and view.factor == 2.0
    view.undo()
    assert (view.by, view.name, view.count, view.factor) == ("class", "beach", 20, 0.0)
    view.by = "concept"  # a class is no concept: the first concept stands in its place
    assert view.name == next(iter(view.data.concepts))


def test_a_reset_after_a_drag_and_python_s_own_changes_are_steps(view: Any) -> None:
    view.set_state({"count": 30})
    view.set_state({"count": 31})  # one drag
    view.reset()
    view.undo()
    assert view.count == 31
    view.undo()
    assert view.count == 20
    view.count = 3
    view.count = 5
    view.undo()
    assert view.count == 3


def test_a_bench_may_open_on_concepts_and_random_controls_are_other_lots(world: dict[str, Any]) -> None:
    view = opening(world, by="concept", count=20)
    assert view.name in view.data.concepts
    view.choose("random", 20, count=20)
    said = view.data.workbench.said(view.data.keep(view.units, 0.0)[None])[0]
    lot = (said == view.data.workbench.true).mean()
    control = view.data.control(20, 0.0)["control_top1"]
    assert not np.isclose(control, lot).all()
    rng = np.random.default_rng([1, 20])
    assert rng.permutation(160)[:20].tolist() != view.units


def test_wrong_arguments_are_told(world: dict[str, Any]) -> None:
    model, probe = world["model"], world["probe"]
    other = ul.rank_units(model, "conv4_3", probe, show_progress=False)
    with pytest.raises(RecipeMismatch, match="it is of conv4_3"):
        ul.bench(model, LAYER, probe, ranking=other, show_progress=False)
    twin = ul.load_model("scenenet", random=True)
    with pytest.raises(RecipeMismatch, match="another model"):
        ul.bench(twin, LAYER, probe, world["dissection"], show_progress=False)
    with pytest.raises(OptionError, match="unknown option 'units'"):
        ul.bench(model, LAYER, probe, units=3)
    with pytest.raises(OptionError, match="dissection: expected"):
        ul.bench(model, LAYER, probe, dissection=3, show_progress=False)


def test_classes_that_no_image_shows_are_not_offered(world: dict[str, Any], widget_page: Any) -> None:
    labels = world["probe"].class_labels
    some = world["probe"].subset(np.flatnonzero(labels < 6))
    view = ul.bench(world["model"], LAYER, some, show_progress=False, count=4)
    page = rested(widget_page.show(view))
    offered = page.get_by_label("Class or concept").locator("option").all_inner_texts()
    assert offered == list(view.data.ranking.ranked) and len(offered) == 6
    assert set(rows(page)) == set(offered)
    with pytest.raises(OptionError, match="name: expected a class"):
        view.name = "office"


def test_the_static_twin_is_that_of_the_state(view: Any) -> None:
    bundle, _ = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == view.effect.text()
    assert "20 units of conv5_3" in repr(view)


def test_the_ranking_of_the_bench_comes_from_the_same_images_where_none_is_given(world: dict[str, Any]) -> None:
    view = ul.bench(world["model"], LAYER, world["probe"], show_progress=False)
    assert isinstance(view.data, BenchData) and isinstance(view.data.ranking, Importance)
    assert np.array_equal(view.data.ranking.drop, world["ranking"].drop, equal_nan=True)
    assert view.data.concepts == {}
    with pytest.raises(OptionError, match="there is no concept to choose units by"):
        view.by = "concept"
