"""The live table: what it sorts, filters and shows is what pandas gives, by mouse and by keyboard."""

from __future__ import annotations

import re

import pytest

#: What JupyterLab does with a text/html output that it trusts.
RENDER = """([place, markup]) => {
  const host = document.querySelector(place);
  host.innerHTML = markup;
  for (const script of host.querySelectorAll("script")) {
    const fresh = document.createElement("script");
    for (const { name, value } of script.attributes) fresh.setAttribute(name, value);
    fresh.textContent = script.textContent;
    script.replaceWith(fresh);
  }
}"""


def units(page, table: int = 0) -> list[int]:
    return [int(text) for text in page.locator(".ul-live").nth(table).locator("tbody th").all_text_contents()]


def count(page) -> str:
    return page.locator(".ul-find output").first.text_content()


def header(page, word: str):
    return page.locator("thead").first.get_by_role("button", name=word, exact=True)


def sorted_head(page) -> dict[str, str]:
    heads = page.locator("thead th[aria-sort]")
    return {head.text_content(): head.get_attribute("aria-sort") for head in heads.all()}


@pytest.fixture
def frame(measured):
    return measured.frame("conv5_3").sort_values(["iou", "unit"], ascending=[False, True], kind="stable")


def test_a_table_whose_data_were_taken_out_leaves_the_others_alive(found, show) -> None:
    first = re.sub(r'<script type="application/json">.*?</script>', "", found.table(rows=2).markup, flags=re.S)
    page = show(first + found.table(rows=2).markup)
    assert page.locator(".ul-find").count() == 1


@pytest.mark.parametrize(
    ("word", "column", "rises"),
    [("unit", "unit", True), ("concept", "concept", True), ("category", "category", True), ("IoU", "iou", True),
     ("beats chance", "beats_chance", False), ("threshold", "threshold", False), ("runner-up", "runner_up", True),
     ("its IoU", "runner_up_iou", False)],
)  # fmt: skip
def test_a_header_sorts_as_pandas_does_and_back_again(word, column, rises, measured, frame, show) -> None:
    page = show(measured.table(rows=None).markup)
    assert units(page) == frame["unit"].tolist()
    assert sorted_head(page) == {"IoU": "descending"}
    for ascending in (rises, not rises):
        header(page, word).click()
        frame = frame.sort_values(column, ascending=ascending, kind="stable")
        assert units(page) == frame["unit"].tolist()
        assert sorted_head(page) == {word: "ascending" if ascending else "descending"}


def test_sorting_by_two_columns_is_stable(measured, frame, show) -> None:
    page = show(measured.table(rows=None).markup)
    header(page, "threshold").click()
    header(page, "concept").click()
    expected = frame.sort_values("threshold", ascending=False, kind="stable").sort_values("concept", kind="stable")
    assert units(page) == expected["unit"].tolist()


def test_search_and_category_give_the_rows_that_pandas_gives(measured, frame, show) -> None:
    page = show(measured.table(rows=None).markup)
    search, category = page.get_by_label("Find a concept or unit"), page.get_by_label("Category")
    word = frame["concept"].iloc[0]
    search.fill(word.upper())
    hits = frame[frame["concept"].str.contains(word, regex=False)]
    assert 0 < len(hits) < len(frame)
    assert units(page) == hits["unit"].tolist()
    assert count(page) == f"{len(hits)} of 160 units"
    search.fill("")
    kinds = category.locator("option").all_text_contents()
    assert set(kinds) == {"all categories", *frame["category"]} - {"-"}
    for kind in kinds[1:]:
        category.select_option(kind)
        assert units(page) == frame[frame["category"] == kind]["unit"].tolist()
    search.fill("zebra xyz")
    assert (units(page), count(page)) == ([], "No unit matches")
    category.select_option("")
    search.fill("unit 12")
    assert units(page) == [12]
    search.fill("")
    assert (count(page), len(units(page))) == ("160 units", 160)


def test_rows_that_were_left_out_are_found_sorted_and_shown(measured, frame, show) -> None:
    page = show(measured.table(rows=5).markup)
    assert units(page) == frame["unit"].tolist()[:5]
    assert count(page) == "160 units, the first 5 shown"
    header(page, "unit").click()
    assert units(page) == [0, 1, 2, 3, 4]
    page.get_by_label("Find a concept or unit").fill("159")
    assert (units(page), count(page)) == ([159], "1 of 160 units")
    page.get_by_label("Find a concept or unit").fill("")
    page.get_by_role("button", name="Show all 160").click()
    assert units(page) == list(range(160))
    assert not page.get_by_role("button", name="Show all").is_visible()


@pytest.mark.parametrize("which", ["measured", "found"])
def test_rows_made_by_the_script_are_those_that_python_writes(which, request, show) -> None:
    dissection = request.getfixturevalue(which)
    some = show(dissection.table(rows=1, sort="unit").markup)
    some.get_by_role("button", name="Show all").click()
    whole = show(dissection.table(rows=None, sort="unit").markup, java_script_enabled=False)
    made, written = (page.locator("tbody").evaluate("e => e.innerHTML") for page in (some, whole))
    assert made.count("<tr") > 9
    assert made == written


def test_without_scripts_the_table_is_whole_and_says_what_is_left_out(measured, show) -> None:
    page = show(measured.table(rows=5).markup, java_script_enabled=False)
    assert page.locator("input,select,button").count() == 0
    assert len(units(page)) == 5
    assert page.locator(".ul-rest").text_content() == "155 more units not shown; rows=None shows all."
    live = show(measured.table(rows=5).markup)
    assert "not shown" not in live.locator(".ul-live").inner_text()


def test_every_function_is_reached_by_keyboard(measured, frame, show) -> None:
    page = show(measured.table(rows=5).markup)
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("() => document.activeElement.textContent || document.activeElement.ariaLabel"))
        if stops[-1] != "" and page.evaluate("() => document.activeElement.matches('.unitlens *')"):
            outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", stops[-1]
    assert stops[0] == "Find a concept or unit"
    assert stops[1].startswith("all categories")
    assert stops[3:] == ["unit", "concept", "category", "IoU", "beats chance", "threshold", "runner-up", "its IoU",
                         "Show all 160"]  # fmt: skip
    page.keyboard.press("Enter")
    assert len(units(page)) == 160
    assert page.evaluate("() => document.activeElement.type") == "search"  # the button is gone; focus is not lost
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert units(page) == list(range(160))
    page.keyboard.press("Space")
    assert units(page) == list(range(160))[::-1]
    assert page.evaluate("() => document.activeElement.textContent") == "unit"
    for _ in range(2):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    chosen = page.get_by_label("Category").input_value()
    assert sorted(units(page)) == sorted(frame[frame["category"] == chosen]["unit"])
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("12")
    assert set(units(page)) <= {12}


def test_tables_live_side_by_side_and_again_when_they_are_drawn_again(measured, found, show) -> None:
    page = show('<div id="a"></div><div id="b"></div>')
    before = page.evaluate("() => Object.getOwnPropertyNames(window).length")
    for place, table in [("#a", measured.table(rows=3)), ("#b", found.table()), ("#a", measured.table(rows=3))]:
        page.evaluate(RENDER, [place, table.markup])
    page.wait_for_function("() => document.querySelectorAll('.ul-find').length === 2")
    assert page.evaluate("() => Object.getOwnPropertyNames(window).length") == before
    other = units(page, 1)
    header(page, "unit").click()
    assert units(page, 0) == [0, 1, 2]
    assert units(page, 1) == other
    assert page.locator(".ul-find").count() == page.locator("tbody").count() == 2
    assert page.evaluate("() => document.querySelectorAll('.unitlens [id]').length") == 0


def test_a_page_saved_by_the_browser_is_live_again(measured, show, tmp_path) -> None:
    first = show(measured.table(rows=3).markup)
    header(first, "unit").click()
    (tmp_path / "saved.html").write_text(first.content(), encoding="utf-8")
    page = show(tmp_path / "saved.html")
    assert page.locator(".ul-find").count() == page.locator(".ul-rest").count() == 1
    header(page, "unit").click()
    assert units(page) == [159, 158, 157]


def test_names_that_are_scripts_stay_words(found, evil_name, show) -> None:
    page = show(found.table(rows=1).markup)
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Find a concept or unit").fill("<script>")
    assert [row.locator("td").first.text_content() for row in page.locator("tbody tr").all()] == [evil_name]
    assert page.locator("script").count() == 2
