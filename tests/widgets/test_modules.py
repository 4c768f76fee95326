"""The joiner of display/static, and its pure functions run by node (once) against numpy and plain loops."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from unitlens.display.modules import joined, module
from unitlens.display.pack import joined as one_after_another
from unitlens.display.pack import packed
from unitlens.display.theme import STATIC

RNG = np.random.default_rng(11)
CASES: dict[str, dict[str, Any]] = {}


def case(name: str, file: str, act: str, given: Any = None) -> str:
    """Something for node to compute: an expression of `m`, the module, and `given`. Returns the name of the answer."""
    assert name not in CASES
    CASES[name] = {"name": name, "file": file, "act": act, "given": given}
    return name


@pytest.fixture(scope="module")
def answers(run_node: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What node says to every case."""
    for path in STATIC.glob("*.js"):
        case(f"parses {path.name}", path.name, "Object.keys(m)")
    whole = {f"one-{name}": module(name) for name in ("kernel.js", "page.js", "bench.js", "stagebench.js")}
    for name in whole:
        case(f"joins {name}", name, "Object.keys(m)")
    return run_node(CASES.values(), whole)


# ---- the files and their joiner ------------------------------------------------------------------------------------


def test_every_file_and_every_joined_module_runs(answers: dict[str, Any]) -> None:
    for path in STATIC.glob("*.js"):
        assert isinstance(answers[f"parses {path.name}"], list)
    assert "default" in answers["joins one-kernel.js"]
    assert sorted(answers["joins one-page.js"]) == sorted(answers["parses page.js"])


def test_a_joined_module_imports_nothing_and_holds_each_file_once_after_what_it_imports() -> None:
    whole = {name: module(name) for name in ("kernel.js", "bench.js", "stagebench.js")}
    heads = [line for line in whole["kernel.js"].splitlines() if line.startswith("/** ") or line.startswith(" * Brow")]
    for text in whole.values():
        assert not re.search(r"^import ", text, re.MULTILINE)
    for path in STATIC.glob("*.js"):
        if path.name not in ("page.js", "lens.js", "table.js"):  # modules of their own
            first = path.read_text().splitlines()[1:3]
            held = [sum(text.count(line) for line in first if len(line) > 20) for text in whole.values()]
            assert max(held) == 1, path.name
    assert heads
    sources = {
        "top.js": 'import { b } from "./b.js";\nimport { a } from "./a.js";\nexport default b + a;\n',
        "b.js": 'import { a } from "./a.js";\nexport const b = a + 1;\n',
        "a.js": "export const a = 1;\n",
        "other.js": "export const other = 1;\n",
    }
    lines = [line for line in joined("top.js", sources).splitlines() if line]
    assert lines == ["const a = 1;", "const b = a + 1;", "export default b + a;"]


@pytest.mark.parametrize(
    "second", ["const one = 2;", "function one() {}", "export class one {}", "const [two, one] = [1, 2];"]
)
def test_two_files_may_not_declare_the_same_name(second: str) -> None:
    sources = {"a.js": "export const one = 1;\n", "b.js": f'import {{ one }} from "./a.js";\n{second}\n'}
    with pytest.raises(ValueError, match=r"one is declared in a\.js and in b\.js"):
        joined("b.js", sources)


def test_no_file_puts_html_into_a_page() -> None:
    for path in STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()), (
            path.name
        )


# ---- pack.js ---------------------------------------------------------------------------------------------------------

ARRAYS = {
    "bytes": np.arange(7, dtype=np.uint8), "words": RNG.integers(0, 65536, (3, 5)).astype(np.uint16),
    "none": np.zeros((0, 4), np.float32), "whole": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "real": np.array([[1.5, np.inf], [-np.inf, 1e-30]], np.float32), "one": np.array(3.25, np.float32),
}  # fmt: skip
FILES = [b"", b"abc", bytes(range(256))]
PACK = "pack.js"


def _given(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    header, data = packed(arrays)
    return {"header": header, "text": base64.b64encode(data).decode()}


UNPACK = "Object.entries(m.unpack(given.header, BYTES)).map(([k, v]) => [k, Array.from(v.data, String), v.shape])"
case("unpack", PACK, UNPACK.replace("BYTES", "m.fromBase64(given.text)"), _given(ARRAYS))
SHIFTED = "new DataView(Uint8Array.from([0, 0, 0, ...m.fromBase64(given.text)]).buffer, 3)"
case("unpack shifted", PACK, UNPACK.replace("BYTES", SHIFTED), _given(ARRAYS))
case("unpack buffer", PACK, UNPACK.replace("BYTES", "m.fromBase64(given.text).buffer"), _given(ARRAYS))
case("files", PACK, "m.files(m.unpack(given.header, m.fromBase64(given.text)))", _given(one_after_another(FILES)))


@pytest.mark.parametrize("way", ["unpack", "unpack shifted", "unpack buffer"])
def test_arrays_arrive_as_they_were_sent(way: str, answers: dict[str, Any]) -> None:
    assert [name for name, *_ in answers[way]] == list(ARRAYS)
    for name, values, shape in answers[way]:
        assert shape == list(ARRAYS[name].shape)
        read = np.array([float(v) for v in values]).astype(ARRAYS[name].dtype)
        np.testing.assert_array_equal(read, ARRAYS[name].ravel())


def test_files_arrive_as_they_were_sent(answers: dict[str, Any]) -> None:
    assert [bytes(file) for file in answers["files"]] == FILES


# ---- grid.js and bars.js ---------------------------------------------------------------------------------------------

WIDTHS = [
    (width, picture)
    for width in (120, 376, 700, 1200, 2500)
    for picture in ([128, 128], [120, 240], [300, 100], [0, 0])
]
case("layout", "grid.js", "given.map(([width, picture]) => m.layout(width, picture))", WIDTHS)
SIGHTS = [
    (top, height, columns, count)
    for top in (0, 99, 100, 101, 950, 5000)
    for height in (40, 300)
    for columns in (1, 3)
    for count in (0, 1, 20, 50)
]
case(
    "sight",
    "grid.js",
    "given.map(([top, height, columns, count]) => m.inSight(top, height, { columns, row: 100 }, count))",
    SIGHTS,
)
MOVES = {
    ("ArrowRight", 3, 4, 10, 2): 4, ("ArrowRight", 9, 4, 10, 2): 9, ("ArrowLeft", 0, 4, 10, 2): 0,
    ("ArrowDown", 3, 4, 10, 2): 7, ("ArrowUp", 7, 4, 10, 2): 3, ("ArrowUp", 2, 4, 10, 2): 0,
    ("PageDown", 0, 4, 100, 2): 8, ("PageUp", 9, 4, 100, 2): 1, ("Home", 7, 4, 10, 2): 0, ("End", 7, 4, 10, 2): 9,
    ("x", 7, 4, 10, 2): None, ("End", 0, 4, 0, 2): None, ("Enter", 1, 4, 10, 2): None,
}  # fmt: skip
case("moved", "grid.js", "given.map((one) => m.moved(...one))", [list(move) for move in MOVES])


def test_cards_fill_the_width_and_keep_the_shape_of_the_pictures(answers: dict[str, Any]) -> None:
    for (width, picture), lay in zip(WIDTHS, answers["layout"]):
        assert lay["columns"] >= 1 and lay["tile"] <= 150 and lay["row"] > lay["tile"]
        if width >= 376:
            assert lay["columns"] * lay["card"] + (lay["columns"] - 1) * 16 == pytest.approx(width)
            wide = lay["tile"] * picture[1] / picture[0] if picture[0] else lay["tile"]
            assert 4 * wide + 3 * 4 <= max(lay["card"], 0) + 4


def test_every_card_in_sight_exists(answers: dict[str, Any]) -> None:
    for (top, height, columns, count), sight in zip(SIGHTS, answers["sight"]):
        rows = [i // columns * 100 for i in range(count)]
        seen = [i for i, y in enumerate(rows) if y < top + height and y + 100 > top]
        assert all(sight["first"] <= i < sight["last"] for i in seen)
        assert sight["last"] <= count and max(0, sight["last"] - sight["first"]) <= (height // 100 + 5) * columns


def test_keys_move_within_the_units(answers: dict[str, Any]) -> None:
    assert answers["moved"] == list(MOVES.values())


EDGES = np.array([1.0, 1.5, 2.5, 4.0, 4.0, 7.0])
TAIL = np.array([0.05, 0.03, 0.012, 0.004, 0.004, 0.001])
DETAIL = {"edges": EDGES.tolist(), "tail": TAIL.tolist(), "value": [8.0, 7.5]}
ENDING = {**DETAIL, "tail": [*TAIL[:-1].tolist(), 0.0]}
BINS = "m.tailBins(given, 3.0, 10)"
case("bins", "bars.js", BINS, DETAIL)
case("bins that end", "bars.js", BINS, ENDING)
case("tops", "bars.js", "given.map(m.topOf)", [0, 0.1, 0.11, 0.35, 0.5, 0.77, 0.81, 1])
case(
    "no bins",
    "bars.js",
    "[given, { ...given, edges: [1, 1], tail: [1, 1], value: [1] }].map((d) => m.tailBins(d, 1))",
    {**DETAIL, "edges": [], "tail": []},
)
case(
    "held bars",
    "bars.js",
    "m.inPlaces(...given)",
    [
        [{"full": "d", "units": 9}, {"full": "a", "units": 5}, {"full": "b", "units": 4}],
        [{"full": "a", "units": 3}, {"full": "c", "units": 2}, {"full": "b", "units": 1}],
    ],
)
case("classes", "bars.js", "given.map(m.categoryClass)", ["object", "color", "colour", "scene", "x y"])


def share_above(value: float, tail: np.ndarray) -> float:
    """Exponential between two edges, linear where it ends in nothing and from the last edge to the highest value."""
    if value >= EDGES[-1]:
        return max(0.0, float(tail[-1]) * (8 - value) / (8 - EDGES[-1]))
    j = max(i for i in range(len(EDGES)) if EDGES[i] <= value)
    part = (value - EDGES[j]) / (EDGES[j + 1] - EDGES[j])
    if tail[j + 1] > 0:
        return float(np.exp((1 - part) * np.log(tail[j]) + part * np.log(tail[j + 1])))
    return float(tail[j] * (1 - part))


@pytest.mark.parametrize("name", ["bins", "bins that end"])
def test_bins_of_the_tail_hold_the_shares_between_their_borders(name: str, answers: dict[str, Any]) -> None:
    found, tail = answers[name], np.array((DETAIL if name == "bins" else ENDING)["tail"])
    borders = np.linspace(1, 8, 11)
    expected = [share_above(a, tail) - share_above(b, tail) for a, b in itertools.pairwise(borders)]
    np.testing.assert_allclose(found["counts"], expected, atol=1e-9)
    assert sum(found["counts"]) == pytest.approx(0.05) and found["first"] == 0.05
    assert (found["low"], found["high"]) == (1, 8) and found["at"] == pytest.approx(2 / 7)
    assert answers["no bins"] == [None, None]


def test_an_axis_of_iou_ends_at_a_round_number(answers: dict[str, Any]) -> None:
    assert answers["tops"] == [0.1, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1]


def test_bars_that_are_held_keep_their_places_and_new_ones_come_last(answers: dict[str, Any]) -> None:
    assert [(bar["full"], bar["units"]) for bar in answers["held bars"]] == [("a", 5), ("c", 0), ("b", 4), ("d", 9)]


def test_categories_have_the_classes_of_the_palette(answers: dict[str, Any]) -> None:
    assert answers["classes"] == ["ul-object", "ul-colour", "ul-colour", "ul-other", "ul-other"]
