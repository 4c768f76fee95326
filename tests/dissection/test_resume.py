"""A long dissection goes on where it was: killed, shared by two processes, with another layer, with more images.

Every process here is a real one; each writes down which images its model sees. Of the layers, conv3_2 needs one pass,
and some units of conv5_1 are measured again: another pass.
"""

from __future__ import annotations

import signal
import time
from collections import Counter

import numpy as np
import pytest

import unitlens
from unitlens.arrays import read_arrays, read_header
from unitlens.data.scenes import SceneProbe
from unitlens.dissection.pilot import pilot_index
from unitlens.store import Store

COUNT, SHARD = 320, 64
BOTH = "conv3_2,conv5_1"


@pytest.fixture(scope="module")
def unbroken(new_place):
    """One process, from nothing to the end."""
    place = new_place()
    place.run(COUNT, BOTH)
    return place


def shards_of(place) -> dict[range, set[str]]:
    """Which layers each shard of a store has been counted for, without the units that are measured again."""
    found: dict[range, set[str]] = {}
    for path in place.shards():
        recipe, arrays = read_header(path)["recipe"], read_arrays(path)[0]
        if arrays["top_value"].shape[1]:  # of units measured again no top images are kept
            first, last = recipe["images"].partition("[")[2].rstrip("]").split("..")
            found.setdefault(range(int(first), int(last) + 1), set()).add(recipe["layer"])
    return found


def inodes(place) -> dict[str, int]:
    """A file written again is another inode; its time of use may change."""
    return {path.name: path.stat().st_ino for path in place.shards()}


def finished(process) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors


def until(condition, process) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def test_one_process_runs_the_pilot_and_every_image_as_often_as_there_are_passes(unbroken):
    assert unbroken.runs() == Counter([*pilot_index(COUNT), *(2 * list(range(COUNT)))])
    assert set(unbroken.tables()[1]["notes"]["redone"]) == {"conv5_1"}


def test_a_killed_run_counts_only_what_it_had_not_finished(unbroken, new_place, same):
    place = new_place()
    process = place.start(COUNT, BOTH, WATCH_SLOW=0.5)
    until(lambda: len(place.shards()) >= 4, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = [span for span, layers in shards_of(place).items() if len(layers) == 2]
    before = inodes(place)
    assert 2 <= len(done) < COUNT // SHARD
    place.forget_runs()
    place.run(COUNT, BOTH)
    finished = {image for span in done for image in span}
    again = range(COUNT)  # the pass of the units that are measured again came later
    assert place.runs() == Counter([*again, *(set(range(COUNT)) - finished)])
    assert before.items() <= inodes(place).items()
    same(place, unbroken)
    print(f"\nkilled with {len(done)} of {COUNT // SHARD} shards finished; none of them was counted again")


def test_a_run_killed_while_units_are_measured_again_keeps_their_thresholds(unbroken, new_place, same):
    place = new_place()
    per_pass = COUNT // SHARD
    process = place.start(COUNT, BOTH, WATCH_KILL=f"0.0.{1 + per_pass + 3}")  # the third shard of the last pass
    process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL
    place.forget_runs()
    place.run(COUNT, BOTH)
    assert place.runs() == Counter(range(2 * SHARD, COUNT))
    same(place, unbroken)


def test_two_processes_on_one_store_share_every_pass(unbroken, new_place, same):
    place = new_place()
    processes = [place.start(COUNT, BOTH, WATCH_SLOW=0.15) for _ in range(2)]
    for process in processes:
        finished(process)
    own = [place.runs(path.name).total() for path in place.log.iterdir()]
    assert len(own) == 2 and min(own) > 0
    assert place.runs() == unbroken.runs()  # nothing twice, whoever did it
    same(place, unbroken)
    print(f"\ntwo processes saw {own[0]} and {own[1]} images")


def test_another_layer_runs_the_model_for_that_layer_only(unbroken, new_place):
    place = new_place(unbroken)
    before = inodes(place)
    kept = {path.name: path.read_bytes() for path in place.shards()}
    place.run(COUNT, f"{BOTH},conv3_1")
    assert place.runs() == Counter([*pilot_index(COUNT), *range(COUNT)])
    added = [path for path in place.shards() if path.name not in before]
    assert {read_header(path)["recipe"]["layer"] for path in added} == {"conv3_1"}
    assert len(added) == COUNT // SHARD
    assert all((place.home / "store" / "shard" / name).read_bytes() == kept[name] for name in kept)
    old, new = unbroken.tables()[0], place.tables()[0]
    layer = [name for name in old if "conv5_1" in name]
    assert layer and all(np.array_equal(old[name], new[name], equal_nan=True) for name in layer)


def test_another_quantile_and_min_iou_need_no_model(unbroken, new_place):
    place = new_place(unbroken)
    text = place.run(COUNT, BOTH, "--quantile", 0.98, "--min-iou", 0.1)
    assert not place.runs()
    assert "quantile 0.98, min IoU 0.1" in text


@pytest.mark.parametrize("first", [320, 300], ids=["whole shards", "a partial shard"])
def test_appended_images_run_alone(new_place, first):
    place, longer, layer = new_place(), 448, "conv2_2"
    place.run(first, layer)
    place.forget_runs()
    place.run(longer, layer)
    assert not place.tables()[1]["notes"]["redone"]  # or all images would be run for these units
    whole = first // SHARD * SHARD
    assert place.runs() == Counter(range(whole, longer))
    appended = unitlens.load(place.home / "found.safetensors")
    probe = SceneProbe(longer, size=64, store=Store(place.home / "store"))
    fresh = unitlens.dissect(unitlens.load_model(), layer, probe, store=False, show_progress=False)
    off = np.abs(appended.best()[1] - fresh.best()[1]).max()
    assert off < 0.005  # brackets from another pilot
    print(f"\n{first} -> {longer} images: {longer - whole} run; IoU differs by {off:.5f} from a dissection of its own")


def test_a_layer_added_after_images_were_appended_has_the_old_pilot(unbroken, new_place):
    place, longer = new_place(unbroken), 448
    place.run(longer, "conv2_2")
    assert place.runs() == Counter([*pilot_index(COUNT), *range(longer)])
