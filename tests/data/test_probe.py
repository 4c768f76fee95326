"""Probe sets in memory and their subsets."""

from __future__ import annotations

import threading

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


# ---- shards


def test_a_stream_gives_a_batch_per_span_even_an_empty_one():
    spans = [[0, 1], [1, 4], range(5, 9), [4]]
    assert [b.index.tolist() for b in Gaps().stream(spans)] == [[0], [], [5, 6, 8], []]
    assert [b.index.tolist() for b in Gaps().subset([4, 8, 0]).stream([[0], [2, 1]])] == [[], [2, 1]]
    assert [b.index.tolist() for b in Gaps().batches(2)] == [[0], [2, 3], [5], [6], [8]]
    assert list(Gaps().stream([])) == []


def test_the_next_span_is_loaded_while_this_one_is_used():
    started = [threading.Event() for _ in range(3)]

    class Told(Gaps):
        def load(self, index):
            started[index[0]].set()
            return super().load(index)

    stream = Told().stream([[0], [1], [2]])
    next(stream)
    assert started[1].wait(10) and not started[2].is_set()
    next(stream)
    assert started[2].wait(10)
    stream.close()


def test_an_error_is_raised_at_its_span():
    stream = make_probe().stream([[0], [1, 2], [99], [3]])
    assert [next(stream).index.tolist() for _ in range(2)] == [[0], [1, 2]]
    with pytest.raises(ProbeError, match="image 99"):
        next(stream)


def test_a_stream_closed_early_leaves_no_thread():
    before = set(threading.enumerate())
    stream = make_probe().stream([[i] for i in range(COUNT)])
    next(stream)
    stream.close()
    assert set(threading.enumerate()) == before


def test_a_digest_is_of_these_images_at_these_positions_only():
    base = make_probe(annotated=torch.ones(COUNT, 2, dtype=torch.bool))
    longer = ArrayProbe(
        torch.cat([base.images, base.images[:2]]),
        labels=torch.cat([base.truth.labels, base.truth.labels[:2]]),
        vocabulary=WORDS,
        annotated=torch.ones(COUNT + 2, 2, dtype=torch.bool),
        class_labels=[0, 1, 2, 0, 1, 2, 0, 0, 1],
    )
    for span in (range(2, 6), [6, 0, 3], [5]):
        assert base.digest(span) == longer.digest(list(span)) == longer.digest(np.array(span))
        assert base.subset(range(1, 7)).digest([0, 2]) == longer.subset(range(1, 7)).digest([0, 2])
    assert longer.digest([0, 1]) != longer.digest([7, 8]), "the same images elsewhere"
    with pytest.raises(ProbeError, match="outside"):
        base.digest([COUNT])


def test_a_digest_changes_with_every_part():
    base = make_probe(annotated=torch.ones(COUNT, 2, dtype=torch.bool))
    flipped, relabelled, unseen = base.images.clone(), base.truth.labels.clone(), base.truth.annotated.clone()
    flipped[3, 1, 2, 4] = 1 - flipped[3, 1, 2, 4]
    relabelled[3, 0, 0, 0] = (relabelled[3, 0, 0, 0] + 1) % 3
    unseen[3, 1] = False
    known = {"annotated": base.truth.annotated}
    changed = [
        make_probe(images=flipped, **known),
        make_probe(labels=relabelled, **known),
        make_probe(annotated=unseen),
        make_probe(class_labels=[0, 1, 2, 1, 1, 2, 0], **known),
        make_probe(vocabulary=Vocabulary([("sky", "object"), ("roof", "material")]), **known),
    ]
    for span in ([2, 3], [3, 6, 1]):
        assert len({p.digest(span) for p in [base, *changed]} | {base.digest(span[::-1])}) == 2 + len(changed)
    outside = [p.digest([0, 1, 2]) for p in [base, *changed]]
    assert len(set(outside)) == 2, "only the vocabulary is of all images"


def test_a_probe_set_of_another_kind_has_a_digest_too():
    digests = [Gaps().digest(span) for span in ([0], [1], [0, 1], [1, 0], range(3), [0, 2])]
    assert len(set(digests)) == 6 and Gaps().digest(range(3)) == Gaps().digest([0, 1, 2])
