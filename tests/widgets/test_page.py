"""The browser in a plain page, answered by the real widget: what is shown is what the dissection says."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import Any

import numpy as np
import pytest

import unitlens as ul
from unitlens.data.concepts import Vocabulary
from unitlens.dissection.result import Dissection

EVIL = "<img src=x onerror=\"window.hacked=1\">{} & 'x'"


def cards(page: Any) -> list[str]:
    """What a screen reader says of the units in sight, in their order, which is also that of the elements."""
    said = page.locator(".ul-option").evaluate_all(
        "(all) => all.map((one) => [Number(one.ariaPosInSet), one.getAttribute('aria-label')])"
    )
    assert [at for at, _ in said] == list(range(said[0][0] if said else 0, said[0][0] + len(said) if said else 0))
    return [words for _, words in said]


def units(page: Any) -> list[int]:
    return [int(re.match(r"unit (\d+)", words)[1]) for words in cards(page)]


def counted(page: Any) -> int:
    """How many units the grid holds, in sight or not."""
    shown = page.locator(".ul-option")
    return int(shown.first.get_attribute("aria-setsize")) if shown.count() else 0


def labelled(found: Dissection, concept: str | None = None, layer: str = "conv5_3") -> dict[int, tuple[str, float]]:
    """Units that reach the minimum IoU, with their label or with a concept among five that are their labels or that
    they come nearest at any level: unit -> (concept, IoU), best first."""
    iou = found.iou(layer)
    best, score = found.best(layer)
    rows = {int(u): (str(found.vocabulary[best[u]]), float(score[u])) for u in range(len(iou)) if best[u] >= 0}
    if concept is not None:
        index = found.vocabulary.index(concept)
        levels = ul.browse(found).atlas.levels[0]
        tables = np.array([found.at(q).iou(layer) for q in levels])
        leads = (tables.argmax(2)[..., None] == np.arange(tables.shape[2])).sum(0)
        near = np.argsort(-(leads + tables.max(0)), axis=1, kind="stable")[:, :5]
        asked = [u for u in range(len(iou)) if best[u] == index or index in near[u]]
        rows = {u: (str(found.vocabulary[index]), float(iou[u, index])) for u in asked}
    kept = [(u, row) for u, row in rows.items() if row[1] >= found.min_iou]
    return dict(sorted(kept, key=lambda item: -item[1][1]))


@pytest.fixture
def page(widget_page: Any, dissected: Dissection) -> Any:
    """The page with one browser."""
    widget_page.view = ul.browse(dissected)
    return widget_page.show(widget_page.view)


def test_units_stand_best_first_with_their_labels_and_pictures(page: Any, dissected: Dissection) -> None:
    expected = labelled(dissected)
    said = cards(page.page)
    assert len(said) >= 6 and counted(page.page) == len(expected)
    for words, (unit, (concept, iou)) in zip(said, expected.items()):
        assert words.startswith(f"unit {unit} of conv5_3: {concept}") and f"IoU {iou:.2f}" in words
    colours = page.page.locator(".ul-option canvas:first-child").evaluate_all(
        "(all) => all.map((one) => new Set(one.getContext('2d').getImageData(0, 0, one.width, one.height).data).size)"
    )
    assert min(colours) > 20


def test_the_page_asks_for_units_in_sight_only(page: Any) -> None:
    asked = [unit for question in page.questions if question["kind"] == "units" for unit in question["units"]]
    assert set(asked) >= set(units(page.page)) and len(asked) < 40
    before = len(asked)
    page.page.locator(".ul-grid").evaluate("(grid) => { grid.scrollTop = grid.scrollHeight; }")
    page.settle()
    asked = [unit for question in page.questions if question["kind"] == "units" for unit in question["units"]]
    assert before < len(asked) == len(set(asked)) < 80


def matching(dissection: Dissection, name: str) -> dict[int, tuple[float, bool]]:
    """Units of conv5_3 whose IoU with a concept is .04 or more, best first -> IoU, and whether it is their label."""
    number = dissection.vocabulary.index(name)
    table, (label, _) = dissection.iou("conv5_3"), dissection.best("conv5_3")
    units = [u for u in np.argsort(-table[:, number], kind="stable") if table[u, number] >= 0.04]
    return {int(u): (float(table[u, number]), label[u] == number) for u in units}


def test_search_finds_every_unit_that_matches_a_concept(page: Any, dissected: Dissection) -> None:
    for name in ("tree (object)", "window (part)", "facade (part)", "tower (part)"):
        page.page.get_by_label("Find a concept or unit").fill(f'"{name}"')
        page.settle()
        expected = matching(dissected, name)
        own = sum(is_label for _, is_label in expected.values())
        assert page.view.query == f'"{name}"' and counted(page.page) == len(expected) > own
        for words, (unit, (iou, is_label)) in zip(cards(page.page), expected.items()):
            assert words.startswith(f"unit {unit} of conv5_3: {name}") and f"IoU {iou:.2f}" in words
            assert ("own label" in words) != is_label
        assert f"{len(expected)} of 160 units, {own} by their own label" in page.page.locator(".ul-status").inner_text()
    assert page.page.locator(".ul-own").filter(has_text="its label: ").count() > 0
    page.page.get_by_label("Find a concept or unit").fill("nothing like this")
    page.settle()
    said = page.page.get_by_text('No unit matches "nothing like this".', exact=False)
    assert counted(page.page) == 0 and said.is_visible()


def test_a_limit_that_no_unit_reaches_says_how_many_it_hides(page: Any) -> None:
    page.view.query, page.view.min_iou = '"tree"', 0.99
    page.settle()
    said = page.page.get_by_role("status").filter(has_text='No unit for "tree" reaches an IoU of 0.99.').inner_text()
    page.view.min_iou = 0
    page.settle()
    many = counted(page.page)
    assert many > 1 and said.endswith(f"To see the {many} that do not, lower the least IoU.")


def test_order_by_unit_and_by_concept(page: Any) -> None:
    order = page.page.get_by_label("Order")
    order.select_option("unit")
    page.settle()
    assert page.view.order == "unit" and units(page.page) == sorted(units(page.page))
    order.select_option("concept")
    page.settle()
    names = [re.search(r": ([^(]+) \(", words)[1] for words in cards(page.page)]
    assert page.view.order == "concept" and names == sorted(names) and len(names) > 5


def test_filters_by_category_iou_and_chance(page: Any, dissected: Dissection) -> None:
    page.page.get_by_label("Category").select_option("material")
    page.settle()
    assert page.view.category == "material" and all("(material)" in words for words in cards(page.page))
    page.page.get_by_label("Category").select_option("")
    page.page.get_by_label("IoU from").fill("0.25")
    page.page.keyboard.press("Enter")
    page.settle()
    _, iou = dissected.best("conv5_3")
    assert page.view.min_iou == 0.25 and counted(page.page) == int((iou >= 0.25).sum())
    page.page.get_by_label("beats chance").check()
    page.settle()
    beats = dissected.chance("conv5_3").beats
    assert page.view.beats_chance and counted(page.page) == int(((iou >= 0.25) & beats).sum())


def test_a_bar_searches_for_its_concept_and_counts_its_units(page: Any, dissected: Dissection) -> None:
    bars = page.page.get_by_role("toolbar").get_by_role("button")
    said = bars.evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    found = dissected.concepts("conv5_3").items()
    expected = {
        f"{concept.name} ({concept.category}): {len(some)} unit{'s' * (len(some) > 1)}" for concept, some in found
    }
    assert set(said) == expected
    bar = page.page.get_by_role("button", name="tree (object):")
    assert bar.get_attribute("aria-pressed") == "false"
    bar.click()
    page.settle()
    assert page.view.query == '"tree (object)"' and counted(page.page) == len(matching(dissected, "tree (object)"))
    assert bar.get_attribute("aria-pressed") == "true"
    assert set(bars.evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")) == expected
    bar.click()
    page.settle()
    assert page.view.query == ""


def test_a_click_opens_a_unit_and_escape_closes_it(page: Any, dissected: Dissection) -> None:
    unit = units(page.page)[1]
    page.page.locator(".ul-option").nth(1).click()
    page.settle()
    zoom = page.page.get_by_label("One unit", exact=True)
    assert page.view.opened == ["conv5_3", unit]
    words = zoom.inner_text()
    best, iou = dissected.best("conv5_3")
    precision = dissected.metric("precision", "conv5_3")[unit, best[unit]]
    recall = dissected.metric("recall", "conv5_3")[unit, best[unit]]
    assert f"unit {unit} of conv5_3" in words and f"IoU {iou[unit]:.2f}: a detector" in words
    assert f"{100 * precision:.0f} % show" in words and f"it fires on {100 * recall:.0f} % of all" in words
    assert f"fires above{dissected['conv5_3'].threshold[unit]:.3g}" in words.replace("\n", "").replace(
        " above ", " above"
    )
    assert zoom.locator("canvas").count() == 2 * 3  # 12 images in rows of four
    page.page.keyboard.press("Escape")
    page.settle()
    assert page.view.opened == [] and zoom.is_hidden()
    assert page.page.locator(".ul-grid").evaluate("(grid) => grid === document.activeElement")


def test_next_and_previous_follow_the_order_on_view(page: Any) -> None:
    shown = units(page.page)
    page.page.locator(".ul-option").first.click()
    page.settle()
    page.page.get_by_label("Next unit").click()
    page.settle()
    assert page.view.opened == ["conv5_3", shown[1]]
    page.page.get_by_label("Previous unit").press("Enter")
    page.settle()
    assert page.view.opened == ["conv5_3", shown[0]]


def test_units_are_pinned_shown_side_by_side_and_unpinned(page: Any) -> None:
    shown = units(page.page)
    page.page.locator(".ul-option").first.click(modifiers=["Shift"])
    page.settle()
    page.page.locator(".ul-grid").press("ArrowRight")
    page.page.keyboard.press("Space")
    page.settle()
    assert page.view.selected == [["conv5_3", shown[0]], ["conv5_3", shown[1]]] and page.view.opened == []
    tray = page.page.get_by_label("Pinned units", exact=True)
    assert tray.get_by_role("article").count() == 2
    assert page.page.locator(".ul-option[aria-selected=true]").count() == 2
    page.page.get_by_label(f"Unpin unit {shown[0]} of conv5_3").click()
    page.settle()
    assert page.view.selected == [["conv5_3", shown[1]]]
    page.page.get_by_text("Unpin all").click()
    page.settle()
    assert page.view.selected == [] and tray.is_hidden()


def test_a_second_layer_is_compared_by_concepts(page: Any, dissected: Dissection) -> None:
    page.page.get_by_label("Compare with").select_option("conv4_3")
    page.settle()
    here, there = (
        {f"{c.name} ({c.category})": len(some) for c, some in dissected.concepts(name).items()}
        for name in ("conv5_3", "conv4_3")
    )
    words = page.page.get_by_role("status").inner_text()
    assert page.view.compare == "conv4_3"
    mine, theirs = here.keys() - there.keys(), there.keys() - here.keys()
    assert f"Concepts in both: {len(here.keys() & there.keys())}; only here: {len(mine) or 'none'}" in words
    assert f"only in conv4_3: {len(theirs) or 'none'}" in words
    bars = page.page.get_by_role("toolbar").get_by_role("button")
    said = bars.evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    count = {name: f"{here.get(name, 0)} unit{'s' * (here.get(name, 0) != 1)}" for name in here | there}
    assert set(said) == {f"{name}: {count[name]}, {there.get(name, 0)} in the other" for name in here | there}


def test_the_quantile_moves_by_keyboard_and_every_label_follows(page: Any, dissected: Dissection) -> None:
    slider = page.page.get_by_label("How much of the pixels a unit fires on")
    slider.focus()
    levels = page.view.atlas.levels[0]
    at = levels.index(0.99)
    for _ in range(5):
        page.page.keyboard.press("ArrowRight")
    page.settle()
    assert page.view.quantile == levels[at + 5]
    expected = labelled(dissected.at(levels[at + 5]))
    for words, (unit, (concept, iou)) in zip(cards(page.page), expected.items()):
        assert words.startswith(f"unit {unit} of conv5_3: {concept}") and f"IoU {iou:.2f}" in words
    assert slider.evaluate("(one) => one === document.activeElement")
    page.page.keyboard.press("Home")
    page.settle()
    assert page.view.quantile == 0.97
    assert "top 3 %" in slider.get_attribute("aria-valuetext")


def test_bars_keep_their_places_while_the_quantile_moves_and_are_in_order_soon_after(
    page: Any, dissected: Dissection
) -> None:
    bars = page.page.get_by_role("toolbar").get_by_role("button")
    names = "(all) => all.map((one) => one.getAttribute('aria-label').split(':')[0])"
    before = bars.evaluate_all(names)
    page.page.get_by_label("How much of the pixels a unit fires on").focus()
    first = page.page.evaluate(f"""async () => {{
      const box = document.querySelector(".ul-bargraph");
      const all = {{ subtree: true, characterData: true, childList: true }};
      const changed = new Promise((done) => new MutationObserver(done).observe(box, all));
      const slider = document.querySelector(".ul-slider");
      slider.value = slider.max;
      slider.dispatchEvent(new Event("input", {{ bubbles: true }}));
      await changed;
      return ({names})([...box.querySelectorAll("button")]);
    }}""")
    assert first[: len(before)] == before
    page.page.wait_for_timeout(600)
    page.settle()
    found = dissected.at(page.view.quantile).concepts("conv5_3")
    after = bars.evaluate_all(names)
    assert set(after) == {f"{concept.name} ({concept.category})" for concept in found}
    assert after != first


def test_masks_change_with_the_quantile_and_with_the_style(page: Any) -> None:
    ink = """(canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
      .reduce((sum, value, i) => sum + (i % 4 === 3 && value > 100 ? 1 : 0), 0)"""
    mask = page.page.locator(".ul-option canvas:last-child").first
    before = mask.evaluate(ink)
    page.view.set_trait("masks", "dim")
    page.settle()
    dark = mask.evaluate(ink)
    page.view.masks = "plain"
    page.settle()
    assert mask.evaluate(ink) == 0
    page.view.masks = "dim"
    page.view.order = "unit"  # the same unit stays first
    page.settle()
    at99 = mask.evaluate(ink)
    page.view.quantile = 0.999
    page.settle()
    assert before > 0 and dark > 0 and mask.evaluate(ink) > at99  # fewer places fire: more is dark


def test_what_python_sets_the_page_shows(page: Any, dissected: Dissection) -> None:
    page.view.query = '"tree"'
    page.view.quantile = 0.98
    page.view.selected = [3, ("conv4_3", 7)]
    page.settle()
    assert page.page.get_by_label("Find a concept or unit").input_value() == '"tree"'
    assert counted(page.page) == len(matching(dissected.at(0.98), "tree (object)"))
    assert "top 2 %" in page.page.locator(".ul-level").inner_text()
    pinned = page.page.get_by_role("article").evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    assert [words.split(":")[0] for words in pinned] == ["unit 3 of conv5_3", "unit 7 of conv4_3"]
    page.view.opened = ("conv4_3", 11)
    page.settle()
    assert "unit 11 of conv4_3" in page.page.get_by_label("One unit", exact=True).inner_text()
    page.view.layer = ""
    page.view.query = ""
    page.settle()
    assert page.page.get_by_role("tab", name="all layers").get_attribute("aria-selected") == "true"
    both = sum(len(labelled(dissected.at(0.98), layer=name)) for name in dissected)
    assert counted(page.page) == both
    page.view.height = 500
    page.settle()
    assert page.page.locator(".ul-browser").bounding_box()["height"] == 500


@pytest.mark.parametrize("start", ["opened", "selected", "compare"])
def test_a_view_may_open_on_what_is_of_another_layer(start: str, widget_page: Any, dissected: Dissection) -> None:
    """The layer on view comes first; what else is on view is drawn when its layer has come."""
    traits = {"opened": ("conv4_3", 5), "selected": [("conv4_3", 6)], "compare": "conv4_3"}
    page = widget_page.show(ul.browse(dissected, **{start: traits[start]})).page
    if start == "opened":
        assert "unit 5 of conv4_3" in page.get_by_label("One unit", exact=True).inner_text()
    elif start == "selected":
        assert page.get_by_role("article").get_attribute("aria-label").startswith("unit 6 of conv4_3")
    else:
        assert "Concepts in both" in page.get_by_role("status").inner_text()


def test_an_error_is_shown_in_the_widget_with_its_traceback_folded(widget_page: Any, dissected: Dissection) -> None:
    view = ul.browse(dissected)

    def broken(key: str, *_: Any) -> Any:
        raise RuntimeError(f"no <b>{key}</b> today")

    view.atlas.units = broken
    widget_page.show(view)
    trouble = widget_page.page.get_by_role("alert")
    assert "RuntimeError: no <b>conv5_3</b> today" in trouble.inner_text()
    assert trouble.locator("pre").is_hidden()
    trouble.locator("summary").click()
    assert "in broken" in trouble.locator("pre").inner_text()
    assert counted(widget_page.page) > 100  # what is known is shown nevertheless
    trouble.get_by_text("Dismiss").click()
    widget_page.page.wait_for_timeout(500)  # the room that it leaves shows more units, which are asked for and fail
    assert trouble.is_hidden()


def test_an_error_of_who_observes_a_trait_is_shown_in_the_widget(page: Any) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("observed <b>badly</b>")

    page.view.observe(broken, "masks")
    with contextlib.suppress(RuntimeError):  # as a kernel does
        page.page.get_by_label("Masks").select_option("dim")
        page.settle()
    assert "RuntimeError: observed <b>badly</b>" in page.page.get_by_role("alert").inner_text()
    assert page.view.masks == "dim"
    page.troubles.clear()


def test_a_layer_that_cannot_be_read_says_so(widget_page: Any, dissected: Dissection) -> None:
    view = ul.browse(dissected)
    view.atlas.layer = lambda key: 1 / 0
    widget_page.show(view)
    assert "ZeroDivisionError: division by zero" in widget_page.page.get_by_role("alert").inner_text()


def test_two_views_of_one_widget_and_two_widgets_live_in_one_page(page: Any, dissected: Dissection) -> None:
    page.show(page.view)
    other = ul.browse(dissected, query="sky")
    page.show(other)
    assert page.page.locator(".ul-browser").count() == 3
    ids = page.page.evaluate("() => [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids)) > 20
    page.page.get_by_label("Find a concept or unit").first.fill("grass")
    page.settle()
    values = page.page.get_by_label("Find a concept or unit").evaluate_all("(all) => all.map((one) => one.value)")
    assert values == ["grass", "grass", "sky"] and (page.view.query, other.query) == ("grass", "sky")


def test_cleanup_leaves_no_listener_and_no_error(page: Any) -> None:
    assert page.clean() == [0]
    page.view.query = "sky"  # nobody listens
    page.page.wait_for_timeout(100)


def test_names_are_text_wherever_they_appear(widget_page: Any, dissected: Dissection) -> None:
    """The page's policy refuses every innerHTML, so this also holds for places that the test does not open."""
    names = Vocabulary([(EVIL.format(i), c.category) for i, c in enumerate(dissected.vocabulary)])
    evil = dataclasses.replace(dissected, vocabulary=names).renamed("<script>window.hacked=1</script>")
    view = ul.browse(evil, dissected)
    widget_page.show(view)
    widget_page.page.locator(".ul-option").first.click()
    view.selected = [1, 2]
    view.compare = view.layers[0]
    widget_page.settle()
    assert widget_page.page.evaluate("() => window.hacked") is None
    assert widget_page.page.locator(".ul-browser img, .ul-browser script").count() == 0
    assert "onerror" in cards(widget_page.page)[0]
