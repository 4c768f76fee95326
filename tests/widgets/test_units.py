"""Search, order and words of units in display/static/units.js, run by node (once), against plain loops."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from unitlens.display.atlas import quarters

CASES: dict[str, dict[str, Any]] = {}


def case(name: str, act: str, given: Any = None) -> None:
    """Something for node to compute: an expression of `m`, the module, and `given`."""
    assert name not in CASES
    CASES[name] = {"name": name, "file": "units.js", "act": act, "given": given}


@pytest.fixture(scope="module")
def answers(run_node: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_node(CASES.values())


NAMES = ["tree", "sky", "door", "door", "treetop", "<b>"]
KINDS = ["object", "object", "part", "object", "part", "colour"]
LEVELS = [0.97, 0.99, 0.999]
NONE, SCALE = 65535, 65534
[Q, U, C, K] = [len(LEVELS), 14, len(NAMES), 3]


def as_pairs(near: np.ndarray, near_iou: np.ndarray) -> dict[str, np.ndarray]:
    """Concepts of each unit (U, K) and their IoU (Q, U, K), one unit after the other without gaps."""
    there = near != NONE
    starts = np.concatenate([[0], there.sum(1).cumsum()])
    return {"near": near[there], "near_iou": near_iou[:, there], "starts": starts}


def random_layer(key: str, rng: np.random.Generator) -> dict[str, Any]:
    """A layer as display/atlas.py describes it: labels are among the near concepts, one unit has none."""
    near = np.stack([rng.permutation(C)[:K] for _ in range(U)])
    near_iou = rng.integers(0, 20_000, (Q, U, K))
    label = np.take_along_axis(near[None].repeat(Q, 0), near_iou.argmax(2)[..., None], 2)[..., 0]
    iou = near_iou.max(2)
    label[:, 4], iou[:, 4], near[4], near_iou[:, 4] = NONE, 0, NONE, NONE
    arrays = {"label": label, "iou": iou, "beats": rng.integers(0, 3, (Q, U)), "near": near, "near_iou": near_iou}
    world = {"names": NAMES, "categories": KINDS, "levels": LEVELS}
    kept = {**arrays, "beats": np.stack([quarters(row) for row in arrays["beats"]])}
    kept = {**kept, **as_pairs(near, near_iou)}
    packs = {name: {"data": a.ravel().tolist(), "shape": list(a.shape)} for name, a in kept.items()}
    return {"key": key, "name": key, "of": 0, "units": U, "world": world, "arrays": packs, "raw": arrays}


LAYERS = [random_layer("conv1", np.random.default_rng(1)), random_layer("conv2_1", np.random.default_rng(2))]
QUERIES = [
    "",
    "tree",
    "TREE",
    '"tree"',
    '"door (part)"',
    "door part",
    "unit 3",
    "4",
    "sky, conv2_1",
    "conv1",
    "nothing",
    "<b>",
    "  ",
]
BASE = {"query": "", "category": "", "minIou": 0.04, "chance": False, "order": "iou"}
WISHES = [
    *({**BASE, "query": query, "order": order} for query in QUERIES for order in ("iou", "unit", "concept")),
    {**BASE, "category": "part"}, {**BASE, "category": "part", "query": "door"}, {**BASE, "chance": True},
    {**BASE, "minIou": 0.2}, {**BASE, "minIou": 0.0}, {**BASE, "category": "object", "minIou": 0.1, "chance": True},
]  # fmt: skip
ROWS = """m.rowsOf(given.layers, given.q, given.wish)
  .map((r) => [r.layer.key, r.unit, r.concept, r.iou, r.own, r.ownIou, r.beats])"""
PLAIN = [{k: v for k, v in layer.items() if k != "raw"} for layer in LAYERS]
for number, wish in enumerate(WISHES):
    for q in LEVELS:
        case(f"rows {number} {q}", ROWS, {"layers": PLAIN, "q": q, "wish": wish})


def matches(query: str, layer: str, concept: int) -> bool:
    full = f"{NAMES[concept]} ({KINDS[concept]})"
    if query.strip().startswith('"'):
        return query.strip()[1:-1].lower() in (full, NAMES[concept])
    words = [w for w in re.split(r"[\s,]+", query.lower()) if w and w != "unit" and not w.isdigit()]
    return all(w in f"{full} {layer}" for w in words)


def expected_rows(wish: dict[str, Any], level: int) -> list[tuple]:
    """What the docstrings promise, unit by unit."""
    rows = []
    number = next((int(w) for w in re.split(r"[\s,]+", wish["query"]) if w.isdigit()), None)
    named = bool(wish["category"]) or any(
        w != "unit" and not w.isdigit() for w in re.split(r"[\s,]+", wish["query"]) if w
    )
    for layer, unit in itertools.product(LAYERS, range(U)):
        raw = layer["raw"]
        asked = [matches(wish["query"], layer["key"], c) and wish["category"] in ("", KINDS[c]) for c in range(C)]
        own, own_iou = int(raw["label"][level, unit]), int(raw["iou"][level, unit]) / SCALE
        found = (own, own_iou)
        if own == NONE or not asked[own]:
            near = [
                (int(raw["near_iou"][level, unit, k]) / SCALE, int(c))
                for k, c in enumerate(raw["near"][unit])
                if c != NONE
            ]
            best = max((pair for pair in near if asked[pair[1]]), default=None)
            found = (best[1], best[0]) if best else (None if named or own != NONE else own, own_iou)
        beats = int(raw["beats"][level, unit])
        shown = found[0] is not None and (number is None or unit == number)
        if shown and (found[1] >= wish["minIou"] or number is not None) and not (wish["chance"] and beats == 0):
            rows.append((layer["key"], unit, found[0], found[1], own, own_iou, beats))
    names = {**dict(enumerate(NAMES)), NONE: "no concept"}
    keys = {"iou": lambda r: (-r[3], r[1]), "unit": lambda r: r[1], "concept": lambda r: (names[r[2]], -r[3])}
    return sorted(rows, key=keys[wish["order"]])


@pytest.mark.parametrize(
    "number", range(len(WISHES)), ids=[f"{w['query']}-{w['order']}-{w['category']}" for w in WISHES]
)
def test_units_answer_a_wish_in_its_order(number: int, answers: dict[str, Any]) -> None:
    for level, q in enumerate(LEVELS):
        got = [tuple(row) for row in answers[f"rows {number} {q}"]]
        expected = expected_rows(WISHES[number], level)
        assert sorted(got) == sorted(expected)
        if WISHES[number]["order"] != "concept":  # among units of one name the order is by IoU; letters are node's
            assert [row[:2] for row in got] == [row[:2] for row in expected]
        else:
            assert [NAMES[r[2]] if r[2] != NONE else "no concept" for r in got] == sorted(
                [NAMES[r[2]] if r[2] != NONE else "no concept" for r in got], key=str.lower
            )


case(
    "parsed",
    "given.map((query) => m.parsed(query))",
    ["", "tree", ' "Door (Part)" ', "unit 12 tree", "7 8", '"'],
)


def test_a_search_is_words_a_number_or_one_name(answers: dict[str, Any]) -> None:
    assert answers["parsed"] == [
        {"exact": "", "words": [], "unit": None}, {"exact": "", "words": ["tree"], "unit": None},
        {"exact": "door (part)", "words": [], "unit": None}, {"exact": "", "words": ["tree"], "unit": 12},
        {"exact": "", "words": [], "unit": 7}, {"exact": "", "words": ['"'], "unit": None},
    ]  # fmt: skip


ASKED = [0.9, 0.97, 0.98, 0.985, 0.99, 0.996, 0.999, 0.9999]
case("levels", "given.map((q) => m.levelAt([0.97, 0.99, 0.999], q))", ASKED)
case("words", "given.map((q) => m.levelWords(q))", [0.99, 0.97, 0.9825, 0.999, 0.99875])


def test_the_nearest_level_is_nearest_by_ratio_of_pixels(answers: dict[str, Any]) -> None:
    nearest = [min(range(Q), key=lambda i: abs(math.log((1 - LEVELS[i]) / (1 - q)))) for q in ASKED]
    assert answers["levels"] == nearest
    assert answers["words"] == [f"top {share} % of pixels" for share in ("1", "3", "1.75", "0.1", "0.125")]


TALLY = (
    "m.tally(m.rowsOf(given.layers, 0.99, given.wish), given.kinds).map((b) => [b.full, b.category, b.units, b.best])"
)
case("tally", TALLY, {"layers": PLAIN, "wish": BASE, "kinds": ["part", "object", "colour"]})
case(
    "compared",
    "m.compared(given[0], given[1])",
    [[{"full": n} for n in part] for part in (["a", "b", "c"], ["c", "d"])],
)
row = {"layer": PLAIN[0], "unit": 3, "concept": 1, "iou": 0.1234, "own": 2, "ownIou": 0.5, "beats": 0}
case(
    "said",
    "given.map((row) => m.rowWords(row))",
    [row, {**row, "own": 1, "beats": 2}, {**row, "concept": NONE, "own": NONE}],
)


def test_bars_count_units_by_category_then_number(answers: dict[str, Any]) -> None:
    rows = [r for r in expected_rows(BASE, 1) if r[2] != NONE]
    bars = [
        [f"{NAMES[c]} ({KINDS[c]})", KINDS[c], len(some), max(r[3] for r in some)]
        for c in range(C)
        if (some := [r for r in rows if r[2] == c])
    ]
    bars.sort(key=lambda bar: (["part", "object", "colour"].index(bar[1]), -bar[2], bar[0]))
    assert [bar[:3] for bar in answers["tally"]] == [bar[:3] for bar in bars]
    assert [bar[3] for bar in answers["tally"]] == pytest.approx([bar[3] for bar in bars])


def test_two_tallies_are_compared_by_names(answers: dict[str, Any]) -> None:
    assert answers["compared"] == {"both": ["c"], "first": ["a", "b"], "second": ["d"]}


def test_a_unit_in_words(answers: dict[str, Any]) -> None:
    assert answers["said"] == [
        "unit 3 of conv1: sky (object), IoU 0.12; own label door (part), 0.50; does not beat chance",
        "unit 3 of conv1: sky (object), IoU 0.12",
        "unit 3 of conv1: no concept, IoU 0.12; does not beat chance",
    ]


case(
    "status",
    "given.asked.map(([wish, q]) => m.statusWords(m.rowsOf(given.layers, q, wish), 28, q))",
    {"layers": [{**one, "world": {**one["world"], "here": 1}} for one in PLAIN],
     "asked": [[{**BASE, "category": "part", "minIou": 0}, 0.99], [BASE, 0.97], [BASE, 0.999]]},
)  # fmt: skip


def test_what_is_on_view_in_words(answers: dict[str, Any]) -> None:
    asked = [({**BASE, "category": "part", "minIou": 0}, 1), (BASE, 0), (BASE, 2)]
    for (wish, level), said in zip(asked, answers["status"], strict=True):
        rows = expected_rows(wish, level)
        own = sum(row[2] == row[4] for row in rows)
        assert said.startswith(f"{len(rows)} of 28 units{f', {own} by their own label' if own < len(rows) else ''}, ")
        concepts = len({row[2] for row in rows} - {NONE})
        assert f", {concepts} concept{'s' * (concepts > 1)}" in said
        assert f"{sum(row[6] == 0 for row in rows)} do not beat chance (faded)." in said
    assert "The result" not in answers["status"][0]
    assert answers["status"][1].endswith("at the top 1 % of pixels: the more pixels, the higher an IoU can be.")
    assert answers["status"][2].endswith("at the top 1 % of pixels: the fewer pixels, the lower an IoU can be.")


WISH = {"query": "", "category": "", "minIou": 0, "chance": False, "order": "iou"}
case(
    "why none",
    "given.map(([wish, weak]) => m.whyNone(wish, weak, 0.04))",
    [
        [WISH, 0],
        [{**WISH, "query": ' "tree (object)" ', "category": "part", "minIou": 0.3}, 0],
        [{**WISH, "minIou": 0.3}, 1234],
        [{**WISH, "query": "door", "chance": True}, 1],
        [{**WISH, "category": "part", "minIou": 0.3, "chance": True}, 7],
    ],
)


def test_why_no_unit_answers_names_the_limits_and_what_they_hide(answers: dict[str, Any]) -> None:
    assert answers["why none"] == [
        "No unit matches.",
        'No unit matches "tree (object)" in the category part. '
        "Units are found by number, label and every concept from IoU 0.04 on.",
        "No unit reaches an IoU of 0.3. To see the 1,234 that do not, lower the least IoU.",
        'No unit for "door" beats chance. To see the one that does not, let in units that do not beat chance.',
        "No unit for the category part reaches an IoU of 0.3 and beats chance. "
        "To see the 7 that do not, lower the least IoU or let in units that do not beat chance.",
    ]
