"""What lies in a store, what may be removed from it, and the limit of its size."""

from __future__ import annotations

import json
import os
import time
import warnings
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

import unitlens
from unitlens import entries
from unitlens.cli import app
from unitlens.errors import OptionError, StoreWarning
from unitlens.store import Store, default_store, recipe_key

DAY = 86_400
LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5"]
DISSECTION = {"kind": "dissection", "model": "ab" * 32, "layers": LAYERS, "quantile": 0.99}
NOTES = {
    "kind": "dissection", "layers": [{"name": name, "geometry": None} for name in LAYERS],
    "notes": {"model": "scenenet", "images": 1000},
}  # fmt: skip
SCENES = {"kind": "scenes", "seed": 3, "size": 128, "chunk": 7, "digest": "cd" * 32}


def put(store: Store, number: int, *, size: int = 1000, days: float = 1, kind: str = "result") -> Path:
    """A file of `size` doubles, last used so many days ago."""
    path = store.put({"kind": kind, "number": number}, {"value": np.zeros(size)})
    used = time.time() - days * DAY
    os.utime(path, (used, used))
    return path


def left(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()}


# ---- ls ----------------------------------------------------------------------------------------------------------


def test_the_listing_tells_kind_key_size_time_and_content_newest_first(tmp_path):
    store = Store(tmp_path, limit_gb=3)
    paths = [store.put(DISSECTION, {"value": np.zeros(500)}, NOTES), store.put(SCENES, {"value": np.zeros(70)})]
    for path, used in zip(paths, (1_600_000_000, 1_700_000_000)):
        os.utime(path, (used, used))
    listing = store.ls()
    scenes, dissection = listing
    assert (scenes.kind, dissection.kind) == ("scenes", "dissection")
    assert (scenes.key, dissection.key) == (recipe_key(SCENES), recipe_key(DISSECTION))
    assert dissection.bytes == paths[0].stat().st_size > 4000
    assert scenes.used == datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
    assert dissection.about == "scenenet · conv1, conv2, conv3 and 2 more layers · 1,000 images"
    assert scenes.about == "chunk 7, seed 3, size 128", "no digests"
    assert listing.bytes == sum(path.stat().st_size for path in paths)
    assert [len(store.ls("scenes")), len(store.ls("none")), len(listing[:1])] == [1, 0, 1]


def test_the_listing_shows_itself_as_text_as_html_and_as_a_frame(tmp_path):
    assert unitlens.Store is Store
    store = Store(tmp_path / "a&b", limit_gb=3)
    assert store.ls().text() == f"0 files, 0 B in {tmp_path / 'a&b'}; the limit is 3.0 GB"
    assert store.ls().frame().columns.tolist() == ["kind", "key", "bytes", "used", "about"]
    store.put(DISSECTION, {}, NOTES)
    lines = store.ls().text().splitlines()
    assert lines[0].split() == ["kind", "key", "size", "used", "about"]
    assert lines[1].startswith(f"dissection  {recipe_key(DISSECTION)[:12]}  ") and lines[1].endswith("1,000 images")
    assert lines[2].startswith("1 file, ") and len(lines) == 3 and repr(store.ls()) == store.ls().text()
    assert "<pre" in store.ls()._repr_html_() and "a&amp;b" in store.ls()._repr_html_()
    frame = store.ls().frame()
    assert frame.key.tolist() == [recipe_key(DISSECTION)] and frame.bytes[0] == store.ls().bytes
    assert store.size() == {"dissection": (1, store.ls().bytes)}


def test_listing_reads_headers_only(tmp_path):
    """A file whose numbers are zeros is unusable to `get`, which reads them, and fine to `ls`, which does not."""
    store = Store(tmp_path)
    path = store.put(DISSECTION, {"value": np.ones(500)}, NOTES)
    content = path.read_bytes()
    path.write_bytes(content[:-4000] + bytes(4000))
    assert store.ls()[0].about.startswith("scenenet")
    with pytest.warns(StoreWarning, match="damaged"):
        assert store.get(DISSECTION) is None


def _spoil(folder: Path, store: Store) -> None:
    """Eight files that are not what they seem."""
    good = store.put(DISSECTION, {"value": np.ones(500)}, NOTES).read_bytes()
    (folder / f"{'1' * 64}.safetensors").write_bytes(good)
    (folder / f"{'2' * 64}.safetensors").write_bytes(good[:-9])
    (folder / f"{'3' * 64}.safetensors").write_bytes(b"")
    (folder / f"{'4' * 64}.safetensors").write_bytes(b"\xff" * 900)
    save_file({"value": np.ones(3)}, folder / f"{'5' * 64}.safetensors")
    save_file({"value": np.ones(3)}, folder / f"{'6' * 64}.safetensors", metadata={"unitlens": "[1, 2]"})
    header = json.dumps({"recipe": {"kind": "x", "nan": float("nan")}, "notes": {}})
    save_file({"value": np.ones(3)}, folder / f"{'7' * 64}.safetensors", metadata={"unitlens": header})
    (folder / "readme.txt").write_text("mine")


def test_damaged_and_foreign_files_are_listed_as_unreadable(tmp_path):
    store, folder = Store(tmp_path), tmp_path / "dissection"
    _spoil(folder, store)
    (folder / f"{'8' * 64}.safetensors").mkdir()
    (tmp_path / "loose.txt").write_text("not in a folder of a kind")
    listing = store.ls()
    assert len(listing) == 9
    assert [e.key for e in listing if e.about != "unreadable"] == [recipe_key(DISSECTION)]
    assert {e.key[0] for e in listing if e.about == "unreadable"} == set("1234567r")
    assert listing.text().count("unreadable") == 8


def test_odd_notes_and_odd_times_do_not_stop_the_listing(tmp_path):
    store = Store(tmp_path)
    odd = [{"layers": 3}, {"layers": [1, None]}, {"model": ["a"]}, {"images": True}, {"notes": 7}, {"images": [1]}]
    for number, notes in enumerate(odd):
        path = store.put({"kind": "odd", "number": number}, {}, notes)
        os.utime(path, (0, [-(10**9), 10**12, 0][number % 3]))
    assert len(store.ls()) == len(odd) and "unreadable" not in store.ls().text()


# ---- rm ----------------------------------------------------------------------------------------------------------


def test_removing_needs_a_criterion_that_can_be_read(tmp_path):
    store = Store(tmp_path)
    path = put(store, 1)
    wrong = [
        {}, {"key": ""}, {"kind": ""}, {"everything": True, "kind": "result"}, {"everything": True, "unused_days": 0},
        {"key": "*"}, {"unused_days": -1}, {"unused_days": float("nan")}, {"unused_days": "3"},
    ]  # fmt: skip
    for criteria in wrong:
        with pytest.raises(OptionError, match="expected"):
            store.rm(**criteria)
    assert path.exists()


@pytest.mark.parametrize(
    ("criteria", "gone"),
    [
        ({"kind": "result"}, [0, 1]), ({"kind": "maps"}, [2, 3]), ({"kind": "res"}, []), ({"unused_days": 5}, [1, 3]),
        ({"unused_days": 0}, [0, 1, 2, 3]), ({"unused_days": 5, "kind": "maps"}, [3]),
        ({"everything": True}, [0, 1, 2, 3]), ({"key": "0123456789abcdef"}, []),
    ],
)  # fmt: skip
def test_all_criteria_together_choose_what_is_removed(tmp_path, criteria, gone):
    store = Store(tmp_path)
    paths = [put(store, n, size=100 * n, days=(2, 9)[n % 2], kind=("result", "maps")[n // 2]) for n in range(4)]
    freed = sum(paths[n].stat().st_size for n in gone)
    assert store.rm(**criteria) == (len(gone), freed)
    assert left(tmp_path) == {path for n, path in enumerate(paths) if n not in gone}


def test_the_first_digits_of_a_key_are_enough(tmp_path):
    store = Store(tmp_path)
    paths = [put(store, n) for n in range(30)]
    prefix = paths[0].stem[:1]
    same = {path for path in paths if path.stem.startswith(prefix)}
    assert store.rm(key=paths[3].stem).files == 1 and not paths[3].exists()
    assert store.rm(key=prefix.upper()).files == len(same - {paths[3]})
    assert left(tmp_path) == set(paths) - same - {paths[3]}


def test_only_files_of_unitlens_are_ever_removed(tmp_path):
    """A damaged one of ours goes, a foreign one in the same folder stays, whatever the limit."""
    folder = tmp_path / "dissection"
    _spoil(folder, Store(tmp_path))
    (folder / "big.safetensors").write_bytes(bytes(50_000))
    (folder / ".hidden").write_text("mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").write_text("mine")
    for path in left(tmp_path):
        os.utime(path, (1e9, 1e9))
    foreign = {path for path in left(tmp_path) if len(path.stem) != 64}
    assert len(foreign) == 4
    new = Store(tmp_path, limit_gb=10_000 / 1e9).put(SCENES, {"value": np.zeros(70)})
    assert left(tmp_path) > foreign | {new}
    assert Store(tmp_path).rm(everything=True).files > 5
    assert left(tmp_path) == foreign


# ---- the limit ---------------------------------------------------------------------------------------------------


def test_the_least_recently_used_go_first_until_the_rest_fits(tmp_path):
    generator = np.random.default_rng(0)
    for trial in range(8):
        root = tmp_path / str(trial)
        store = Store(root, limit_gb=float("inf"))
        days = generator.permutation(12) + 1.0
        numbers = generator.integers(10, 3000, 12)
        paths = [put(store, n, size=numbers[n], days=days[n], kind=f"k{n % 3}") for n in range(12)]
        sizes = [path.stat().st_size for path in paths]
        limit = int(generator.integers(20_000, 120_000))
        new = Store(root, limit_gb=limit / 1e9).put({"kind": "new"}, {"value": np.zeros(500)})
        keep, total = set(paths), sum(sizes) + new.stat().st_size
        for n in np.argsort(-days):  # written out: the longest unused first
            if total > limit:
                keep, total = keep - {paths[n]}, total - sizes[n]
        assert left(root) == keep | {new}


def test_reading_and_asking_count_as_use(tmp_path):
    store = Store(tmp_path)
    paths = [put(store, n, days=10 - n) for n in range(4)]
    assert store.get({"kind": "result", "number": 0}) and store.hit({"kind": "result", "number": 1})
    assert not store.hit({"kind": "result", "number": 9})
    limit = 3.5 * paths[0].stat().st_size
    new = Store(tmp_path, limit_gb=limit / 1e9).put({"kind": "result", "number": 4}, {"value": np.zeros(1000)})
    assert left(tmp_path) == {paths[0], paths[1], new}


def test_what_was_just_used_goes_last_and_is_warned_about_once(tmp_path):
    store = Store(tmp_path, limit_gb=30_000 / 1e9)
    recent = [put(store, n, days=(300 - n) / DAY) for n in range(2)]
    old = put(store, 2, days=700 / DAY)
    put(store, 3, days=0)
    assert not old.exists() and all(path.exists() for path in recent)
    with pytest.warns(StoreWarning, match=r"above its limit of 3e-05 GB .* UNITLENS_STORE_GB") as caught:
        put(store, 4, days=0)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert not recent[0].exists() and recent[1].exists(), "the older one of them"
    put(store, 5, days=0)  # a second warning would be an error


def test_what_was_just_written_stays_even_if_it_is_larger_than_the_limit(tmp_path):
    store = Store(tmp_path, limit_gb=1e-6)
    with pytest.warns(StoreWarning, match="larger than the limit"):
        path = put(store, 1)
    assert path.exists()
    assert put(store, 2).exists() and not path.exists()


def test_far_from_the_limit_the_folder_is_walked_once(tmp_path, monkeypatch):
    """A count of the real calls; and near the limit every put looks, so that the limit holds all the time."""
    looks, walk = [], entries.walk
    monkeypatch.setattr(entries, "walk", lambda root: looks.append(root) or walk(root))
    for n in range(40):
        put(Store(tmp_path / "far", limit_gb=1), n)
    assert looks.count(tmp_path / "far") == 1
    size = next(iter(left(tmp_path / "far"))).stat().st_size
    for n in range(100):
        put(Store(tmp_path / "near", limit_gb=40.5 * size / 1e9), n)
        held = sum(path.stat().st_size for path in left(tmp_path / "near"))
        assert held <= 40.5 * size and len(left(tmp_path / "near")) == min(n + 1, 40)
    assert 60 < looks.count(tmp_path / "near") < 80
    Store(tmp_path / "far", limit_gb=1).rm(everything=True)
    looks.clear()
    put(Store(tmp_path / "far", limit_gb=1), 1)
    assert looks.count(tmp_path / "far") == 1, "after a removal it is walked anew"


def test_files_of_killed_writers_go_after_a_day(tmp_path):
    store = Store(tmp_path)
    path = put(store, 1)
    names = {".writing-old.safetensors": 1.1, ".writing-new.safetensors": 0.9, ".writing-mine.txt": 9}
    for name, days in names.items():
        (path.parent / name).write_bytes(b"half")
        os.utime(path.parent / name, (0, time.time() - days * DAY))
    assert len(store.ls()) == 1
    assert {p.name for p in left(tmp_path)} == {path.name, ".writing-new.safetensors", ".writing-mine.txt"}


def test_the_limit_comes_from_the_argument_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("UNITLENS_STORE_GB", raising=False)
    assert Store(tmp_path).limit == 20e9 and Store(tmp_path, limit_gb=0.5).limit == 0.5e9
    assert default_store().limit == 20e9
    monkeypatch.setenv("UNITLENS_STORE_GB", "2.5")
    assert Store(tmp_path).limit == 2.5e9 == default_store().limit and Store(tmp_path, limit_gb=7).limit == 7e9
    assert default_store() is default_store()
    monkeypatch.setenv("UNITLENS_STORE_GB", "many")
    with pytest.raises(OptionError, match=r"UNITLENS_STORE_GB: expected a number of GB above 0 .*'many'"):
        Store(tmp_path)
    for wrong in (0, -1, float("nan"), "much"):
        with pytest.raises(OptionError, match="limit_gb: expected a number of GB above 0"):
            Store(tmp_path, limit_gb=wrong)


# ---- the command line --------------------------------------------------------------------------------------------


def test_the_command_line_lists_sums_up_and_removes(tmp_path, monkeypatch):
    monkeypatch.setenv("UNITLENS_HOME", str(tmp_path))
    store, run = default_store(), CliRunner().invoke
    paths = [put(store, 1, days=3), put(store, 2, days=40), put(store, 3, kind="maps")]
    assert run(app, ["store", "ls"]).output == store.ls().text() + "\n"
    assert run(app, ["store", "ls", "--kind", "maps"]).output == store.ls("maps").text() + "\n"
    held = run(app, ["store", "size"]).output.splitlines()
    assert held[0] == "maps: 1 file, 8.2 kB" and held[1] == "result: 2 files, 16.4 kB"
    assert held[2].startswith("24.6 kB in ") and held[2].endswith("20.0 GB")
    nothing = run(app, ["store", "rm"])
    assert nothing.exit_code == 1 and "expected kind, key or unused_days" in nothing.output
    assert run(app, ["store", "rm", "--unused-days", "30"]).output == "1 file removed, 8.2 kB freed.\n"
    assert run(app, ["store", "rm", paths[2].stem[:10]]).output == "1 file removed, 8.2 kB freed.\n"
    assert run(app, ["store", "rm", "--everything"], input="n\n").exit_code == 1 and paths[0].exists()
    assert "1 file removed" in run(app, ["store", "rm", "--everything", "--yes"]).output
    assert left(store.root) == set()


def test_nothing_is_said_while_the_store_is_below_its_limit(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(5):
            put(Store(tmp_path), n)
