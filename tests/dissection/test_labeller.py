"""Labeller and Lender: what is segmented once and read again, and what is lent, against naive numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import ArrayProbe, Batch
from unitlens.data.segmentation import Segmentation
from unitlens.dissection.labeller import DRAWS, Labeller, Lender, draws_for, joined
from unitlens.dissection.plan import DissectionPlan, make_plan
from unitlens.dissection.recipe import labels_recipe
from unitlens.segment.segmenter import join
from unitlens.segment.truth import Truth
from unitlens.stats.tailcount import LabelPlanes
from unitlens.store import Store

N, K, H, W = 9, 2, 6, 10
ROWS, COLUMNS = 3, 5  # of the grid: each cell's centre is on the border of 2 x 2 pixels
WORDS = Vocabulary(
    [("sky", "scene"), ("blue", "colour"), ("tree", "object"), ("red", "colour"), ("car", "object"), ("pink", "colour"),
     ("dog", "object")]
)  # fmt: skip
C, G = len(WORDS), len(WORDS.categories)


def data(seed: int = 0) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Pictures, two planes of labels with repeats, and which categories were looked for; images 0 to 2: for all, and
    in one plane."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, C + 1, (N, K, H, W)).astype(np.int16)
    labels[:, 1] = np.where(random.random((N, H, W)) < 0.3, labels[:, 0], labels[:, 1])
    labels[:3, 1] = 0
    looked = random.random((N, G)) < 0.6
    looked[:3] = True
    return torch.from_numpy(random.random((N, 3, H, W)).astype(np.float32)), labels, looked


PICTURES, LABELS, LOOKED = data()
ON_GRID = LABELS[:, :, 1::2, 1::2]  # the pixel below and right of each centre


class Observer:
    """A segmenter that says what is written down of each image, and notes which it was asked for.

    A batch of images with one plane has one plane, one that was looked at for everything does not say so."""

    vocabulary = WORDS
    fingerprint = "observer"

    def __init__(self, looked: np.ndarray = LOOKED):
        self.looked, self.asked = looked, []

    def __call__(self, batch: Batch) -> Segmentation:
        images = batch.index.tolist()
        self.asked += images
        planes = 2 if LABELS[images, 1].any() else 1
        looked = torch.from_numpy(self.looked[images])
        labels = torch.from_numpy(LABELS[images][:, :planes])
        return Segmentation(labels, WORDS, None if looked.all() else looked)


def plan_of(segmenter: object, probe: ArrayProbe | None = None, **options: object) -> DissectionPlan:
    every = {
        "quantile": 0.99, "min_iou": 0.04, "exact": False, "convention": "default", "after_relu": False, "call": None,
        "unit_axis": None, "basis": None, "preprocess": None, "precision": "full", "grid": (ROWS, COLUMNS), "top": 4,
        "batch_size": 2, **options,
    }  # fmt: skip
    probe = ArrayProbe(PICTURES) if probe is None else probe
    return make_plan(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1)), "0", probe, segmenter=segmenter, **every)


def labeller_of(segmenter: object, store: Store | None, probe: ArrayProbe | None = None, **options: object) -> Labeller:
    plan = plan_of(segmenter, probe, **options)
    return Labeller(plan, store, labels_recipe(plan))


def segmented(labeller: Labeller, *batches: Sequence[int], index: Sequence[int] = range(N)) -> list[Segmentation]:
    """Opens a labeller for `index`, and segments batches of it."""
    labeller.open(index)
    seen = [labeller(labeller.plan.probe.load(batch)) for batch in batches]
    labeller.close(index)
    return seen


def check_says_what_is_written(seen: Sequence[Segmentation], *batches: Sequence[int]) -> None:
    for part, batch in zip(seen, batches, strict=True):
        batch = list(batch)
        planes = part.labels.shape[1]
        assert np.array_equal(part.labels, ON_GRID[batch][:, :planes])
        assert not ON_GRID[batch][:, planes:].any()
        assert np.array_equal(np.ones((len(batch), G)) if part.annotated is None else part.annotated, LOOKED[batch])


BATCHES = range(0, 2), range(2, 6), range(6, 9)
OTHER_BATCHES = [8], [0, 3, 7, 1], [2, 4, 5, 6]


# ---- Labeller --------------------------------------------------------------------------------------------------------


def test_what_was_segmented_once_is_read_again_in_any_batches_without_the_segmenter(tmp_path):
    first = Observer()
    check_says_what_is_written(segmented(labeller_of(first, Store(tmp_path)), *BATCHES), *BATCHES)
    assert first.asked == list(range(N))

    second = Observer()
    again = segmented(labeller_of(second, Store(tmp_path)), *OTHER_BATCHES)
    check_says_what_is_written(again, *OTHER_BATCHES)
    assert second.asked == []
    assert all(part.labels.dtype == torch.int16 and part.labels.shape[1] == K for part in again)
    assert Store(tmp_path).size()["segmentation"][0] == 1


def test_without_a_store_every_image_is_segmented_every_time():
    segmenter = Observer()
    labeller = labeller_of(segmenter, None)
    for _ in range(2):
        check_says_what_is_written(segmented(labeller, *BATCHES), *BATCHES)
    assert segmenter.asked == [*range(N)] * 2


def test_what_an_index_that_was_never_closed_has_seen_is_not_kept_with_the_next_one(tmp_path):
    segmenter = Observer()
    labeller = labeller_of(segmenter, Store(tmp_path))
    labeller.open(range(N))
    labeller(labeller.plan.probe.load(range(4)))
    segmented(labeller, [6, 5], index=[5, 6])
    segmented(labeller, [5, 6], [0], index=[5, 6])
    segmented(labeller, *BATCHES)
    assert segmenter.asked == [0, 1, 2, 3, 6, 5, 0, *range(N)]


def test_what_is_known_ends_with_its_index(tmp_path):
    segmenter = Observer()
    labeller = labeller_of(segmenter, Store(tmp_path))
    segmented(labeller, *BATCHES)
    labeller.open(range(N))
    labeller.close(range(N))
    labeller(labeller.plan.probe.load([4]))
    labeller.open(range(4))  # other images: those were kept as `range(N)` only
    labeller(labeller.plan.probe.load([3]))
    assert segmenter.asked == [*range(N), 4, 3]


def test_a_batch_with_one_image_that_is_not_known_is_segmented(tmp_path):
    segmented(labeller_of(Observer(), Store(tmp_path)), [0, 1, 5])  # as if the others could not be read
    segmenter = Observer()
    batches = [5, 1], [1, 0, 4]
    check_says_what_is_written(segmented(labeller_of(segmenter, Store(tmp_path)), *batches), *batches)
    assert segmenter.asked == [1, 0, 4]


def test_a_kept_segmentation_that_is_damaged_is_made_again(tmp_path):
    segmented(labeller_of(Observer(), Store(tmp_path)), *BATCHES)
    (path,) = tmp_path.glob("segmentation/*.safetensors")
    path.write_bytes(path.read_bytes()[:-20])
    segmenter = Observer()
    with pytest.warns(UserWarning, match="computed again"):
        check_says_what_is_written(segmented(labeller_of(segmenter, Store(tmp_path)), *BATCHES), *BATCHES)
    assert segmenter.asked == list(range(N))


@pytest.mark.parametrize("change", ["pictures", "segmenter", "words", "grid"])
def test_other_images_segmenters_words_and_grids_have_their_own(tmp_path, change):
    segmented(labeller_of(Observer(), Store(tmp_path)), *BATCHES)
    segmenter = Observer()
    probe, grid = ArrayProbe(1 - PICTURES if change == "pictures" else PICTURES), (ROWS, COLUMNS)
    if change == "segmenter":
        segmenter.fingerprint = "another"
    if change == "grid":
        grid = (H, W)
    plan = plan_of(segmenter, probe, grid=grid)
    recipe = labels_recipe(plan)
    if change == "words":
        turned = Observer()
        turned.vocabulary = Vocabulary(WORDS[::-1])
        recipe = labels_recipe(replace(plan, segmenter=turned))
    seen = segmented(Labeller(plan, Store(tmp_path), recipe), *BATCHES)
    assert segmenter.asked == list(range(N))
    assert np.array_equal(torch.cat([part.labels for part in seen[1:]]), (LABELS if change == "grid" else ON_GRID)[2:])


def test_truth_is_not_stored_and_read_from_the_probe_set_each_time(tmp_path):
    probe = ArrayProbe(PICTURES, labels=LABELS, vocabulary=WORDS, annotated=LOOKED)
    for _ in range(2):
        labeller = labeller_of(Truth(WORDS), Store(tmp_path), probe)
        check_says_what_is_written(segmented(labeller, *BATCHES), *BATCHES)
    assert Store(tmp_path).size() == {}


def test_truth_joined_with_another_segmenter_is_stored(tmp_path):
    probe = ArrayProbe(PICTURES, labels=LABELS, vocabulary=WORDS, annotated=LOOKED)
    first, second = Observer(), Observer()
    seen = segmented(labeller_of(join(Truth(WORDS), first), Store(tmp_path), probe), range(N))
    again = segmented(labeller_of(join(Truth(WORDS), second), Store(tmp_path), probe), range(N))
    assert first.asked == list(range(N)) and second.asked == []
    assert torch.equal(seen[0].labels, again[0].labels) and torch.equal(seen[0].annotated, again[0].annotated)


def test_images_that_were_looked_at_for_everything_are_read_again_so(tmp_path):
    nothing_left_out = np.ones((N, G), dtype=bool)
    segmented(labeller_of(Observer(nothing_left_out), Store(tmp_path)), *BATCHES)
    segmenter = Observer()  # which would say otherwise
    again = segmented(labeller_of(segmenter, Store(tmp_path)), *BATCHES)
    assert segmenter.asked == [] and [part.annotated for part in again] == [None] * 3


def naive_planes(i: int, annotated: bool) -> np.ndarray:
    """What counts in image i: int (ROWS COLUMNS, K), without repeats, and without what was not looked for."""
    planes = ON_GRID[i].reshape(K, -1).T.astype(int)
    for pixel in planes:
        for k, label in enumerate(pixel):
            group = WORDS.categories.index(WORDS[label - 1].category) if label else 0
            if label and ((annotated and not LOOKED[i, group]) or label in pixel[:k]):
                pixel[k] = 0
    return planes


@pytest.mark.parametrize("convention", ["default", "reference"])
def test_planes_leave_out_what_was_not_looked_for_but_not_under_the_reference_convention(convention):
    labeller = labeller_of(Observer(), None, convention=convention)
    seen = labeller(labeller.plan.probe.load(range(N)))
    planes = labeller.planes(seen)
    default = convention == "default"
    for i in range(N):
        own = planes.planes[i * ROWS * COLUMNS : (i + 1) * ROWS * COLUMNS]
        assert np.array_equal(own, naive_planes(i, default))
        assert planes.looked[planes.pattern[i]].tolist() == (LOOKED[i].tolist() if default else [True] * G)
    assert (len(planes), planes.pixels) == (N, ROWS * COLUMNS)
    assert len(planes.looked) == (len(np.unique(LOOKED, axis=0)) if default else 1)


def test_what_is_kept_serves_both_conventions(tmp_path):
    segmented(labeller_of(Observer(), Store(tmp_path), convention="reference"), *BATCHES)
    segmenter = Observer()
    seen = segmented(labeller_of(segmenter, Store(tmp_path)), *OTHER_BATCHES)
    check_says_what_is_written(seen, *OTHER_BATCHES)
    assert segmenter.asked == []


# ---- Lender ----------------------------------------------------------------------------------------------------------

PILOT = [1, 3, 4, 5, 7, 8]
MANY = 40  # images that something is lent to; more than the probe set has


def lender_of(positions: Sequence[int] = PILOT, convention: str = "default") -> Lender:
    labeller = labeller_of(Observer(), None, convention=convention)
    return Lender(labeller, positions, labeller(labeller.plan.probe.load(positions)))


def lent_by(lent: LabelPlanes, convention: str = "default") -> list[int]:
    """Which image of the probe set each of the lent ones is, told by its labels and by what was looked for."""
    known = [naive_planes(i, convention == "default") for i in range(N)]
    looked = LOOKED if convention == "default" else np.ones_like(LOOKED)
    found = []
    for planes, pattern in zip(lent.planes.view(len(lent), ROWS * COLUMNS, -1), lent.pattern, strict=True):
        (i,) = (i for i in range(N) if np.array_equal(planes, known[i][:, : planes.shape[1]]))
        assert lent.looked[pattern].tolist() == looked[i].tolist()
        found.append(i)
    return found


@pytest.mark.parametrize("pilot", [[3, 8], [8, 3], [5, 1, 4], PILOT, list(range(N))])
def test_no_image_is_lent_to_itself_when_the_pilot_has_another(pilot):
    draws = 5
    donors = lent_by(lender_of(pilot).lend(range(N), draws))
    assert set(donors) <= set(pilot)
    assert all(donor != own for donor, own in zip(donors, [*range(N)] * draws, strict=True))


def test_a_pilot_of_one_image_lends_it_to_all():
    assert lent_by(lender_of([4]).lend(range(N), 2)) == [4] * (2 * N)


def test_every_image_of_the_pilot_lends_and_draws_differ():
    first, second, third = np.reshape(lent_by(lender_of().lend(range(MANY), 3)), (3, MANY))
    for draw in (first, second, third):
        assert set(draw.tolist()) == set(PILOT)
    for one, two in ((first, second), (first, third), (second, third)):
        assert (one != two).mean() > 0.5


@pytest.mark.parametrize("convention", ["default", "reference"])
def test_the_same_is_lent_whatever_the_batches_and_however_many_draws(convention):
    lender = lender_of(convention=convention)
    whole = np.reshape(lent_by(lender.lend(range(MANY), DRAWS), convention), (DRAWS, MANY))
    for batch in ([0], [39], [7, 3, 8], range(11, 25)):
        for draws in range(1, DRAWS + 1):
            lent = lender.lend(batch, draws)
            assert len(lent) == draws * len(batch) and lent.pixels == ROWS * COLUMNS
            assert lent_by(lent, convention) == whole[:draws, list(batch)].ravel().tolist()


@pytest.mark.parametrize("convention", ["default", "reference"])
def test_areas_are_the_sums_over_what_is_lent(convention):
    lender, index, default = lender_of(convention=convention), [3, 21, 8, 0, 33, 4, 17], convention == "default"
    donors = np.reshape(lent_by(lender.lend(index, DRAWS), convention), (DRAWS, len(index)))
    shown, pixels = lender.areas(index)
    assert shown.shape == (DRAWS, C) and pixels.shape == (DRAWS, G)
    for draw in range(DRAWS):
        planes = [naive_planes(i, default) for i in donors[draw]]
        for c in range(C):
            assert shown[draw, c] == sum((p == c + 1).any(1).sum() for p in planes)
        for g in range(G):
            assert pixels[draw, g] == sum(ROWS * COLUMNS for i in donors[draw] if LOOKED[i, g] or not default)
    parts = [lender.areas(part) for part in (index[:1], index[1:4], index[4:])]
    assert np.array_equal(shown, sum(part[0] for part in parts))
    assert np.array_equal(pixels, sum(part[1] for part in parts))


# ---- draws_for, joined -----------------------------------------------------------------------------------------------


def test_only_large_tables_have_a_single_control():
    assert DRAWS > 1
    assert [draws_for(*size) for size in ((1, 1), (2**10, 2**7), (2**7, 2**10), (7, 18724))] == [DRAWS] * 4
    assert [draws_for(*size) for size in ((2**10 + 1, 2**7), (2**10, 2**7 + 1), (7, 18725))] == [1] * 3


def test_joined_fills_in_batches_that_were_looked_at_for_everything():
    random = np.random.default_rng(1)
    some, more = (torch.from_numpy(random.random((size, G)) < 0.5) for size in (4, 2))
    found = joined([None, some, None, more], [5, 4, 1, 2], G)
    assert found.dtype == torch.bool
    assert found.tolist() == [[True] * G] * 5 + some.tolist() + [[True] * G] + more.tolist()
    assert torch.equal(joined([some, more], [4, 2], G), torch.cat([some, more]))


def test_joined_says_nothing_where_no_batch_left_anything_out():
    assert joined([None, None], [5, 2], G) is None


def test_joined_wants_a_count_for_every_batch():
    with pytest.raises(ValueError, match="shorter"):
        joined([None, torch.ones(2, G, dtype=torch.bool)], [5], G)
