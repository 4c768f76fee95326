"""The store: keys that never move, files that are whole or absent, and nothing that is trusted blindly."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from unitlens.errors import OptionError, StoreWarning
from unitlens.store import Store, canonical, default_store, home, read_arrays, recipe_key, write_arrays

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = {
    "kind": "golden", "layers": ["conv5_3"], "quantile": 0.99, "grid": (28, 56), "after_relu": False, "call": None,
    "word": "é",
}  # fmt: skip
GOLDEN_TEXT = (
    '{"after_relu":false,"call":null,"grid":[28,56],"kind":"golden","layers":["conv5_3"],"quantile":0.99,'
    '"word":"\\u00e9"}'
)
GOLDEN_KEY = "ac16b0d3965f7ea01004cca9cdb2b6457f18a6dab0659245f6ababd6b89707cf"


def arrays() -> dict[str, np.ndarray]:
    return {
        "counts": np.arange(24, dtype=np.int64).reshape(2, 3, 4),
        "maps": np.linspace(0, 1, 35).astype(np.float16).reshape(5, 7),
        "empty": np.zeros((0, 3), np.uint8),
    }  # fmt: skip


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A new interpreter that runs some code with our package."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


# ---- keys --------------------------------------------------------------------------------------------------------


def test_the_golden_recipe_keeps_its_text_and_its_key():
    """Both stand here as literals: if this fails, every result that users have stored is lost to them."""
    assert canonical(GOLDEN) == GOLDEN_TEXT
    assert recipe_key(GOLDEN) == GOLDEN_KEY == hashlib.sha256(GOLDEN_TEXT.encode("ascii")).hexdigest()


def test_order_of_the_fields_and_kind_of_sequence_do_not_change_the_key():
    turned = dict(reversed(GOLDEN.items()))
    assert list(turned) != list(GOLDEN)
    assert recipe_key({**turned, "grid": [28, 56]}) == GOLDEN_KEY


@pytest.mark.parametrize(
    "change",
    [
        {"quantile": 0.995}, {"quantile": 1}, {"layers": ["conv5_3", "conv5_2"]}, {"layers": "conv5_3"},
        {"grid": (56, 28)}, {"after_relu": 0}, {"call": "first"}, {"word": "e"}, {"more": None}, {"kind": "other"},
    ],
)  # fmt: skip
def test_every_change_of_a_value_changes_the_key(change):
    assert recipe_key({**GOLDEN, **change}) != GOLDEN_KEY


@pytest.mark.parametrize("value", [np.float32(0.5), np.arange(3), float("nan"), float("inf"), {1, 2}, print, b"text"])
def test_values_without_an_exact_text_are_refused(value):
    with pytest.raises(OptionError, match="recipe: every value must be text, a number"):
        recipe_key({"kind": "result", "value": value})


# ---- files -------------------------------------------------------------------------------------------------------


def test_what_is_put_is_got_in_the_file_of_its_kind(tmp_path):
    store = Store(tmp_path)
    assert not store.hit(GOLDEN) and store.get(GOLDEN) is None
    path = store.put(GOLDEN, arrays(), {"seconds": 1.5})
    assert path == tmp_path / "golden" / f"{GOLDEN_KEY}.safetensors" == store.path(GOLDEN)
    assert store.hit(GOLDEN) and [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
    found, notes = store.get(GOLDEN)
    assert notes == {"seconds": 1.5} and found.keys() == arrays().keys()
    for name, array in arrays().items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def test_putting_again_replaces_the_file(tmp_path):
    store = Store(tmp_path)
    for value in (1, 2):
        path = store.put(GOLDEN, {"value": np.array([value])})
    assert store.get(GOLDEN)[0]["value"].tolist() == [2]
    assert list(path.parent.iterdir()) == [path]


def test_arrays_that_are_not_contiguous_are_stored_as_they_look(tmp_path):
    base = np.arange(24).reshape(4, 6)
    views = {"turned": base.T, "thinned": base[::2, ::3], "backwards": base[::-1]}
    Store(tmp_path).put(GOLDEN, views)
    found, _ = Store(tmp_path).get(GOLDEN)
    assert all(np.array_equal(found[name], view) for name, view in views.items())


def test_the_folder_follows_the_environment(tmp_path, monkeypatch):
    for name in ("first", "second"):
        monkeypatch.setenv("UNITLENS_HOME", str(tmp_path / name))
        assert home() == tmp_path / name
        assert default_store().root == tmp_path / name / "store" == Store().root
        assert default_store() is default_store()
    monkeypatch.setenv("UNITLENS_HOME", "~/lenses")
    assert home() == Path.home() / "lenses"
    monkeypatch.delenv("UNITLENS_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert home() == tmp_path / "cache" / "unitlens"


# ---- files that must not be used ---------------------------------------------------------------------------------


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _scribble(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


def _another_recipe(path: Path) -> None:
    path.write_bytes(Store(path.parent).put({**GOLDEN, "quantile": 0.5}, arrays()).read_bytes())


def _block_of_zeros(path: Path) -> None:
    """What a crash of the machine leaves: the right length, the header, and no numbers."""
    content = path.read_bytes()
    first = 8 + int.from_bytes(content[:8], "little")
    path.write_bytes(content[:first] + bytes(len(content) - first))


def _without_header(path: Path) -> None:
    save_file(arrays(), str(path))


def _without_notes(path: Path) -> None:
    write_arrays(path, arrays(), {"recipe": GOLDEN})


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILERS = [_truncate, _empty, _scribble, _block_of_zeros, _another_recipe, _without_header, _without_notes, _folder]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda f: f.__name__.strip("_"))
def test_a_file_that_cannot_be_used_counts_as_absent_with_a_warning(tmp_path, spoil):
    store = Store(tmp_path / "store")
    path = store.put(GOLDEN, arrays())
    spoil(path)
    with pytest.warns(StoreWarning, match="it is computed again") as caught:
        assert store.get(GOLDEN) is None
    assert str(path) in str(caught[0].message)
    if spoil is not _folder:
        store.put(GOLDEN, arrays())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert store.get(GOLDEN) is not None


def test_a_file_that_lacks_an_array_its_reader_needs_counts_as_absent(tmp_path):
    store = Store(tmp_path)
    path = store.put(GOLDEN, arrays(), {"seconds": 1})
    assert store.get(GOLDEN, needs=["maps", "counts"])[1] == {"seconds": 1} and store.get(GOLDEN, needs="maps")
    with pytest.warns(StoreWarning, match="it lacks 'areas', 'more'.*it is computed again") as caught:
        assert store.get(GOLDEN, needs=("maps", "areas", "more")) is None
    assert str(path) in str(caught[0].message) and caught[0].filename == __file__


def test_a_file_that_its_reader_cannot_unpack_counts_as_absent(tmp_path):
    store = Store(tmp_path)
    assert store.load(GOLDEN, lambda arrays, notes: 1) is None
    store.put(GOLDEN, arrays(), {"seconds": 1.5})
    assert store.load(GOLDEN, lambda arrays, notes: (arrays["maps"].shape, notes["seconds"])) == ((5, 7), 1.5)
    for unpack in (lambda a, n: n["minutes"], lambda a, n: a["maps"].reshape(9), lambda a, n: n["seconds"][0]):
        with pytest.warns(StoreWarning, match="cannot be used .*Error: .*it is computed again") as caught:
            assert store.load(GOLDEN, unpack) is None
        assert caught[0].filename == __file__
    with pytest.warns(StoreWarning, match="lacks 'more'"):
        assert store.load(GOLDEN, lambda arrays, notes: 1, needs=["more"]) is None


@pytest.mark.parametrize("kind", ["", "a/b", "..", ".hidden", "a\\b"])
def test_a_kind_is_the_name_of_one_folder(tmp_path, kind):
    with pytest.raises(OptionError, match="recipe: expected the name of one folder as its kind"):
        Store(tmp_path).path({"kind": kind})


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def test_a_pickle_in_the_store_is_never_opened(tmp_path, monkeypatch):
    """Both that no pickle is read, and that no object array is written (numpy would pickle it)."""
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    store = Store(tmp_path / "store")
    path = store.put(GOLDEN, arrays())
    assert path.read_bytes()[8:9] == b"{", "a safetensors file begins with its length and a JSON header"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.warns(StoreWarning):
        assert store.get(GOLDEN) is None
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(Exception, match=r"object|dtype|O"):
        store.put({**GOLDEN, "more": 1}, {"objects": np.array([Bomb()], dtype=object)})
    assert len(list((tmp_path / "store").rglob("*.safetensors"))) == 1


def test_reading_another_file_says_what_is_wrong(tmp_path):
    save_file(arrays(), str(tmp_path / "plain.safetensors"))
    with pytest.raises(ValueError, match="no unitlens header"):
        read_arrays(tmp_path / "plain.safetensors")


# ---- writers that die, and writers that meet ---------------------------------------------------------------------

KILLED = """
import os, sys
import numpy as np
import unitlens.arrays as module
from unitlens.store import Store

moment, root = sys.argv[1:]
if moment == "while writing":
    def half(arrays, name, metadata):
        with open(name, "wb") as file:
            file.write(b"x" * 1000)
        os._exit(9)
    module.save_file = half
else:
    os.replace = lambda *_: os._exit(9)
Store(root).put({"kind": "golden"}, {"value": np.arange(5000)})
"""


@pytest.mark.parametrize("moment", ["while writing", "before the rename"])
def test_a_writer_killed_in_the_middle_leaves_no_file_of_that_name(tmp_path, moment):
    writer = python(KILLED, moment, tmp_path)
    _, errors = writer.communicate(timeout=120)
    assert writer.returncode == 9, errors
    store = Store(tmp_path)
    assert len(list((tmp_path / "golden").iterdir())) == 1, "the writer had begun"
    assert not store.hit({"kind": "golden"}) and store.get({"kind": "golden"}) is None
    store.put({"kind": "golden"}, arrays())
    assert store.get({"kind": "golden"}) is not None


def test_a_writer_that_fails_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    store = Store(tmp_path)
    path = store.put(GOLDEN, arrays(), {"try": 1})

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.put(GOLDEN, arrays(), {"try": 2})
    assert store.get(GOLDEN)[1] == {"try": 1}
    assert list(path.parent.iterdir()) == [path]


WRITER = """
import sys
import numpy as np
from unitlens.store import Store

store, mark = Store(sys.argv[1]), int(sys.argv[2])
for _ in range(60):
    store.put({"kind": "shared"}, {"value": np.full(20_000, mark)}, {"writer": mark})
    arrays, notes = store.get({"kind": "shared"})
    assert (arrays["value"] == notes["writer"]).all()
"""


def test_two_processes_may_write_the_same_result_while_a_third_reads_it(tmp_path):
    writers = [python(WRITER, tmp_path, mark) for mark in (1, 2)]
    store, seen = Store(tmp_path), set()
    while any(w.poll() is None for w in writers):
        found = store.get({"kind": "shared"})  # a half-written file would be a warning, and warnings are errors
        if found is not None:
            seen.add(found[1]["writer"])
            assert (found[0]["value"] == found[1]["writer"]).all()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    assert seen <= {1, 2} and store.get({"kind": "shared"}) is not None
    assert len(list((tmp_path / "shared").iterdir())) == 1
