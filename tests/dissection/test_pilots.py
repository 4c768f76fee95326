"""Which pilot a probe set has after images were appended to it."""

from __future__ import annotations

import pytest
import torch

from unitlens.data.probe import ArrayProbe
from unitlens.dissection.pilot import pilot_index
from unitlens.dissection.pilots import GROWTH, find_pilot
from unitlens.store import Store

RECIPE = {"model": "a"}
IMAGES = torch.rand(1500, 3, 1, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def of(count: int, store: Store | None, images: torch.Tensor = IMAGES, recipe: dict[str, str] = RECIPE) -> int:
    """The number of images whose pilot a set of `count` images has."""
    pilot = find_pilot(ArrayProbe(images[:count]), store, recipe)
    assert pilot.index == pilot_index(pilot.images)
    assert pilot.digest == ArrayProbe(images[:count]).digest(pilot.index)
    return pilot.images


def test_the_first_set_has_its_own_and_longer_ones_take_it_over(store):
    assert of(300, store) == 300
    assert [of(count, store) for count in (301, 600, 300 * GROWTH)] == [300, 300, 300]


def test_a_set_that_has_outgrown_it_and_a_shorter_one_have_their_own(store):
    of(300, store)
    assert of(300 * GROWTH + 1, store) == 300 * GROWTH + 1
    assert of(299, store) == 299
    assert [of(count, store) for count in (299, 300, 900, 1201, 1300)] == [299, 300, 300, 1201, 1201]


def test_another_set_that_begins_with_the_same_images_has_its_own(store):
    of(300, store)
    other = IMAGES.clone()
    other[64:] = 1 - other[64:]
    assert of(400, store, other) == 400
    assert of(401, store) == 300


def test_other_counts_and_other_stores_have_their_own(store, tmp_path):
    of(300, store)
    assert of(400, store, recipe={"model": "b"}) == 400
    assert of(400, Store(tmp_path / "other")) == 400
    assert of(400, None) == 400


def test_sets_of_a_single_shard_are_neither_listed_nor_served(store):
    assert [of(count, store) for count in (40, 64, 50)] == [40, 64, 50]
    assert not store.ls("pilots")
    assert of(65, store) == 65


def test_a_list_that_cannot_be_read_is_written_again(store):
    of(300, store)
    next(store.root.rglob("*.safetensors")).write_bytes(b"broken")
    with pytest.warns(UserWarning, match="cannot be used"):
        assert of(400, store) == 400
    assert of(401, store) == 400
