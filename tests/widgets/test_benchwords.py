"""The bench's words and its history, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from unitlens.widgets import history as module
from unitlens.widgets.history import History

CASES: dict[str, dict[str, Any]] = {}


def case(name: str, act: str, given: Any = None, file: str = "benchwords.js") -> None:
    assert name not in CASES
    CASES[name] = {"name": name, "file": file, "act": act, "given": given}


@pytest.fixture(scope="module")
def answers(run_node: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_node(CASES.values())


ABOUT = {"units": 160, "images": 200, "top1": 0.97, "classes": ["a", "<b>", "c"], "labels": ["", "sand .21", ""]}


def answer(units: list[int], top1: float, flips: int) -> dict[str, Any]:
    return {"units": {"data": units}, "top1": {"data": [top1]}, "flips": {"data": [flips]}}


TYPED = {
    "": [], "3": [3], "3, 7-9": [3, 7, 8, 9], "9 3;3": [9, 3], "7–8": [7, 8], "160": None, "3-": None, "9-7": None,
    "-1": None, "x": None, "159": [159],
}  # fmt: skip
for text in TYPED:
    case(f"typed {text!r}", "m.unitsTyped(given, 160)", text)
SUMMARIES = {
    "nothing": ([], 0.97, 0, None, 0.0),
    "unchanged": ([1, 2], 0.97, 0, None, 1.0),
    "one": ([1], 0.9, 1, None, 0.0),
    "many": (list(range(20)), 0.5, 7, [0.96, 0.98], 2.0),
}
for name, (units, top1, flips, control, factor) in SUMMARIES.items():
    given = {"about": ABOUT, "answer": answer(units, top1, flips), "state": {"factor": factor},
             "control": control and {"control_top1": {"data": control}}}  # fmt: skip
    case(f"summary {name}", "m.summary(given.about, given.answer, given.control, given.state)", given)
case("points", "given.map(m.points)", [0.1234, -0.5, 0.0004, -0.0004, 0])
case("no points", "m.points(NaN)")
case("percent", "[m.percent(0.1234), m.percent(NaN)]")
case("order", "m.byFall([.9, .8, .7, .6], [.1, .8, NaN, .2])")
case("factors", "[0, 1, .3, 2].map(m.factorWords)")
ROW = {"name": "a", "shows": 12, "measure": "recall", "before": 0.9, "after": 0.4, "low": 0.3, "high": 0.5}
case("class", "m.classWords({...given, control: [.85, .9]})", ROW)
case("class without interval", "m.classWords({...given, shows: 1, low: NaN})", ROW)
case("class without images", "m.classWords({...given, before: NaN, after: NaN})", ROW)
case("shot wrong", "m.shotWords(given, 2, 0, 1, 1)", ABOUT, "shots.js")
case("shot right now", "m.shotWords(given, 1, 0, 1, 0)", ABOUT, "shots.js")
case("shot right before", "m.shotWords(given, 0, 0, 1, -1)", ABOUT, "shots.js")
for count, drawn in ((0, 0), (3, 3), (40, 12)):
    titles = f"[m.shotsTitle({count}, {drawn}, ''), m.shotsTitle({count}, {drawn}, 'lake')]"
    case(f"shots {count}", titles, None, "bench.js")


def test_unit_numbers_are_read_and_nonsense_is_refused(answers: dict[str, Any]) -> None:
    assert {text: answers[f"typed {text!r}"] for text in TYPED} == TYPED


def test_the_sentence_says_what_was_done_and_what_random_units_would_have_done(answers: dict[str, Any]) -> None:
    whole = "All 160 units as they are: 97.0 % of 200 images are named rightly."
    assert answers["summary nothing"] == answers["summary unchanged"] == whole
    assert answers["summary one"] == (
        "1 of 160 units switched off: 90.0 % of 200 images are named rightly, 97.0 % before; 1 answer changes."
    )
    assert answers["summary many"] == (
        "20 of 160 units times 2: 50.0 % of 200 images are named rightly, 97.0 % before; 7 answers change. With 20 "
        "random units instead: 97.0 % (96.0 % to 98.0 %, 2 draws)."
    )


def test_numbers_are_told_with_their_sign_and_what_is_unknown_as_a_dash(answers: dict[str, Any]) -> None:
    assert answers["points"] == ["+12.3", "−50.0", "0.0", "0.0", "0.0"]
    assert answers["no points"] == "–"
    assert answers["percent"] == ["12.3 %", "–"]
    assert answers["factors"] == ["switched off", "left as they are", "times 0.3", "times 2"]


def test_classes_stand_by_their_fall_and_unknown_ones_last(answers: dict[str, Any]) -> None:
    assert answers["order"] == [0, 3, 1, 2]


def test_a_class_is_told_in_words(answers: dict[str, Any]) -> None:
    assert answers["class"] == (
        "a, 12 images: recall 40.0 %, 95 % interval 30.0 % to 50.0 %, 90.0 % before, with random units 85.0 % to 90.0 %"
    )
    assert answers["class without interval"] == "a, 1 image: recall 40.0 %, 90.0 % before"
    assert answers["class without images"] == "a: no image shows it"


def test_a_picture_is_told_in_words(answers: dict[str, Any]) -> None:
    assert answers["shot wrong"]["alt"] == (
        "A picture said to be a before and <b> now; it is c. Coloured where unit 1 · sand .21 fires."
    )
    assert answers["shot right now"]["alt"].startswith("A picture said to be a before and <b> now, which it is.")
    assert answers["shot right before"] == {
        "before": "a", "after": "<b>", "cause": "", "alt": "A picture said to be a before and <b> now."
    }  # fmt: skip
    assert answers["shots 0"] == ["No picture changes its answer", "No picture (lake) changes its answer"]
    assert answers["shots 40"][1] == "Pictures whose answer changes (lake): 12 of 40"
    assert answers["shots 3"][0] == "Pictures whose answer changes"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_drag_is_one_step_and_two_drags_are_two(clock: list[float]) -> None:
    history = History({"count": 0})
    for count in (1, 2, 3):
        clock[0] += 0.3
        history.record({"count": count}, "count")
    clock[0] += 5
    history.record({"count": 9}, "count")
    assert history.undo() == {"count": 3}
    assert history.undo() == {"count": 0}
    assert not history.can_undo and history.redo() == {"count": 3} and history.can_redo


def test_another_slider_or_a_choice_is_a_step_of_its_own(clock: list[float]) -> None:
    history = History({"count": 0, "factor": 0})
    history.record({"count": 1, "factor": 0}, "count")
    history.record({"count": 1, "factor": 1}, "factor")
    history.record({"count": 5, "factor": 1})
    history.record({"count": 6, "factor": 1})
    assert [history.undo()["count"] for _ in range(4)] == [5, 1, 1, 0]


def test_a_drag_back_to_where_it_began_is_no_step(clock: list[float]) -> None:
    history = History({"count": 4})
    history.record({"count": 5}, "count")
    history.record({"count": 4}, "count")
    assert not history.can_undo


def test_a_new_state_after_an_undo_forgets_what_was_undone(clock: list[float]) -> None:
    history = History({"count": 0})
    history.record({"count": 1})
    history.undo()
    history.record({"count": 2})
    assert not history.can_redo and history.undo() == {"count": 0} and history.undo() is None


def test_the_past_is_bounded(clock: list[float]) -> None:
    history = History({"count": -1})
    for count in range(module.MOST + 50):
        history.record({"count": count})
    steps = 0
    while history.undo():
        steps += 1
    assert steps == module.MOST
