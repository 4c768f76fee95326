"""Probe sets in memory and their subsets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import ArrayProbe, Batch, ProbeSet
from unitlens.errors import ProbeError

WORDS = Vocabulary([("sky", "object"), ("roof", "part")])
COUNT, HEIGHT, WIDTH = 7, 3, 5


def make_probe(**changes) -> ArrayProbe:
    draw = torch.Generator().manual_seed(0)
    given = {
        "images": torch.rand(COUNT, 3, HEIGHT, WIDTH, generator=draw),
        "labels": torch.randint(0, 3, (COUNT, 2, HEIGHT, WIDTH), generator=draw).to(torch.int16),
        "vocabulary": WORDS,
        "class_labels": [0, 1, 2, 0, 1, 2, 0],
        "class_names": ("a", "b", "c"),
    }
    given.update(changes)
    return ArrayProbe(given.pop("images"), **given)


class Gaps(ProbeSet):
    """Nine black images, of which every third cannot be read."""

    size, fingerprint = (2, 4), "gaps"

    def __len__(self) -> int:
        return 9

    def load(self, index):
        kept = torch.tensor([i for i in index if i % 3 != 1], dtype=torch.int64)
        return Batch(torch.zeros(len(kept), 3, 2, 4), kept, kept * 10)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 50])
def test_batches_hold_every_image_once_in_order(batch_size):
    probe = make_probe()
    batches = list(probe.batches(batch_size))
    assert torch.cat([b.index for b in batches]).tolist() == list(range(COUNT))
    assert torch.equal(torch.cat([b.images for b in batches]), probe.images)
    assert max(map(len, batches)) == min(batch_size, COUNT)
    assert torch.equal(torch.cat([b.truth.labels for b in batches]), probe.truth.labels)


def test_batch_size_zero_is_refused():
    with pytest.raises(ProbeError, match="batch_size"):
        list(make_probe().batches(0))


def test_class_labels_keep_their_places_where_images_are_missing():
    assert Gaps().class_labels.tolist() == [0, -1, 20, 30, -1, 50, 60, -1, 80]


def test_subset_counts_positions_of_its_own():
    part = make_probe().subset([5, 0, 3])
    batch = part.load([2, 0])
    assert batch.index.tolist() == [2, 0]
    assert batch.class_labels.tolist() == [0, 2]
    assert torch.equal(batch.images, make_probe().images[[3, 5]])
    assert torch.equal(batch.truth.labels, make_probe().truth.labels[[3, 5]])


def test_subset_keeps_positions_where_images_are_missing():
    part = Gaps().subset([8, 4, 2, 1, 0])
    assert part.load([0, 1, 2, 3, 4]).index.tolist() == [0, 2, 4]


def test_subset_of_subset_and_slice():
    part = make_probe().subset(slice(1, None, 2))
    assert part.index == [1, 3, 5]
    assert torch.equal(part.subset([2]).load([0]).images, make_probe().images[[5]])


def test_subset_refuses_an_image_twice():
    with pytest.raises(ProbeError, match="image 4 stands there twice"):
        make_probe().subset([2, 4, 1, 4])


@pytest.mark.parametrize("index", [[7], [-1], np.array([0, 9])])
def test_positions_outside_are_refused(index):
    for ask in (make_probe().subset, make_probe().load, make_probe().pictures, make_probe().subset([1, 2]).load):
        with pytest.raises(ProbeError, match="outside the probe set"):
            ask(index)


@pytest.mark.parametrize("mask", [[True, False], np.array([True, True]), torch.tensor([False, True])])
def test_mask_as_positions_is_refused(mask):
    with pytest.raises(ProbeError, match="flatnonzero"):
        make_probe().subset(mask)


def test_fingerprint_changes_with_every_part():
    base = make_probe()
    flipped, relabelled = base.images.clone(), base.truth.labels.clone()
    flipped[3, 1, 2, 4] = 1 - flipped[3, 1, 2, 4]
    relabelled[0, 0, 0, 0] = (relabelled[0, 0, 0, 0] + 1) % 3
    changed = [
        make_probe(images=flipped),
        make_probe(labels=relabelled),
        make_probe(labels=base.truth.labels.reshape(COUNT, 2, WIDTH, HEIGHT)),
        make_probe(vocabulary=Vocabulary([("sky", "object"), ("roof", "object")])),
        make_probe(class_labels=[1, 1, 2, 0, 1, 2, 0]),
        make_probe(annotated=torch.ones(COUNT, 2, dtype=torch.bool)),
        make_probe(labels=None, vocabulary=None),
        base.subset([0, 1]),
        base.subset([1, 0]),
    ]
    prints = {p.fingerprint for p in [base, *changed]}
    assert len(prints) == 1 + len(changed)
    assert base.fingerprint == make_probe().fingerprint


def test_annotated_may_be_numpy_and_follows_the_images():
    looked = np.arange(COUNT * 2).reshape(COUNT, 2) % 3 == 0
    assert make_probe(annotated=looked).load([6, 1]).truth.annotated.tolist() == looked[[6, 1]].tolist()


def test_bytes_become_shares_and_come_back_as_pictures():
    pictures = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    probe = ArrayProbe(pictures)
    assert float(probe.images[1, 2, 0, 3]) == pytest.approx(pictures[1, 0, 3, 2] / 255)
    assert np.array_equal(probe.pictures([1, 0]), pictures[[1, 0]])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.full((1, 3, 2, 4), 200.0), "Divide by 255"),
        (torch.full((1, 3, 2, 4), -0.5), "before normalisation"),
        (torch.full((1, 3, 2, 4), float("nan")), "got nan"),
        (torch.zeros(3, 2, 4), "expected"),
    ],
)
def test_images_outside_range_or_shape_are_refused(images, words):
    with pytest.raises(ProbeError, match=words):
        ArrayProbe(images)


@pytest.mark.parametrize(
    "changes", [{"vocabulary": None}, {"class_labels": [0]}, {"labels": torch.ones(2, 1, 3, 5).int()}]
)
def test_parts_that_do_not_fit_are_refused(changes):
    with pytest.raises(ProbeError):
        make_probe(**changes)


def test_repr_says_what_is_there():
    assert repr(make_probe()) == "ArrayProbe(7 images of 5x3, 3 classes, 2 concepts)"
