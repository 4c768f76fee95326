"""convention="reference" against the paper's arithmetic written out in full, and where the default differs from it.

What is taken over is the counting [paper.md 2.3, 2.4, 9]. Two things are read differently on purpose: the paper's bar
graph counts IoU > .04, `detectors` IoU >= min_iou; and the paper's table has a row for "every pixel", so that units
whose concepts all stay below about .01 are labelled "-" there.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import ArrayProbe
from unitlens.dissection.engine import dissect
from unitlens.dissection.pilot import hazen_threshold
from unitlens.errors import OptionError
from unitlens.store import Store

WORDS = Vocabulary([("sky", "object"), ("blue", "colour"), ("roof", "part"), ("tree", "object")])
GRID, SIZE = (14, 21), (28, 42)


def probe_of(images: int, seed: int = 0, annotated: bool = True) -> ArrayProbe:
    """Pictures with two planes of labels in blocks, some of which stand in both; each category is annotated in some
    images only, and its labels are there in the others too."""
    rng = np.random.RandomState(seed)
    blocks = rng.randint(0, 5, (images, 2, 7, 6)).astype(np.int16)
    blocks[:, 1][rng.random_sample(blocks[:, 1].shape) < 0.4] = 1
    blocks[:, 0][rng.random_sample(blocks[:, 0].shape) < 0.2] = 1
    labels = blocks.repeat(4, 2).repeat(7, 3)
    assert ((labels[:, 0] == labels[:, 1]) & (labels[:, 0] > 0)).any(), "a label in two planes of one pixel"
    pictures = torch.from_numpy(rng.random_sample((images, 3, *SIZE)).astype(np.float32))
    known = torch.from_numpy(rng.random_sample((images, len(WORDS.categories))) < 0.6) if annotated else None
    return ArrayProbe(pictures, labels=torch.from_numpy(labels), vocabulary=WORDS, annotated=known)


class Net(nn.Module):
    """Layers of 5 to 7 units on grids of 28 x 42 (finer than the pixels), 7 x 10, 1 x 4 and 1 x 1. Unit 0 is always
    below 0, unit 1 seldom above it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.fine = nn.Conv2d(3, 5, 3, 1, 1)
        self.coarse = nn.Conv2d(5, 6, 5, 4, 1)
        self.strip = nn.Conv2d(6, 7, (7, 4), 2)
        self.single = nn.Conv2d(7, 5, (1, 4))
        with torch.no_grad():
            for layer in (self.fine, self.coarse, self.strip):
                layer.bias[0] -= 4
            self.coarse.bias[1] -= 0.55

    def forward(self, x):
        return self.single(self.strip(self.coarse(self.fine(x))))


LAYERS = ("fine", "coarse", "strip", "single")


def raw_of(model: Net, images: torch.Tensor) -> dict[str, torch.Tensor]:
    found = {}
    for name in LAYERS:
        images = getattr(model, name)(images)
        found[name] = images.detach()
    return found


def upsampled(raw: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """The paper's upsampling, literally: half-pixel coordinates, zeros beyond the map [paper.md 2.4, 9.2]."""
    axes = []
    for cells, pixels in zip(raw.shape[2:], size, strict=True):
        place = (torch.arange(pixels, dtype=torch.float64) + 0.5) * cells / pixels - 0.5
        axes.append(place / max(1, cells - 1) * 2 - 1)
    y, x = torch.meshgrid(*axes, indexing="ij")
    where = torch.stack([x, y], -1)[None].expand(len(raw), -1, -1, -1)
    found = functional.grid_sample(raw.double(), where, "bilinear", "zeros", align_corners=True)
    return np.where(found.abs() < 1e-9, 0.0, found).astype(np.float32)  # coordinates that miss a cell by 1e-16: 9.3


def oracle(raw: torch.Tensor, labels: np.ndarray, size: tuple[int, int], quantile: float):
    """Thresholds (U,) and IoU (U, C): Hazen's quantile over all pixels, `>`, union over every pixel of every image."""
    values = upsampled(raw, size).transpose(1, 0, 2, 3).reshape(raw.shape[1], -1)
    thresholds = np.quantile(values.astype(np.float64), quantile, axis=1, method="hazen")
    rows = [int((r + 0.5) * labels.shape[2] / size[0]) for r in range(size[0])]
    columns = [int((c + 0.5) * labels.shape[3] / size[1]) for c in range(size[1])]
    planes = labels[:, :, rows][:, :, :, columns]
    table = np.zeros((len(values), len(WORDS)))
    for c in range(len(WORDS)):
        seen = (planes == c + 1).any(1).ravel()
        for u, unit in enumerate(values):
            fires = unit > thresholds[u]
            either = (fires | seen).sum()
            table[u, c] = (fires & seen).sum() / either if either else 0.0
    return thresholds, table


@pytest.mark.parametrize(
    ("images", "quantile", "after_relu", "batch_size"),
    [(7, 0.99, False, 3), (20, 0.97, True, 6), (20, 0.9, False, 20), (70, 0.995, False, 32)],
)
def test_iou_and_thresholds_equal_the_papers_arithmetic(images, quantile, after_relu, batch_size):
    model, probe = Net().eval(), probe_of(images)
    found = dissect(
        model, LAYERS, probe, quantile=quantile, exact=True, convention="reference", after_relu=after_relu,
        grid=GRID, batch_size=batch_size, store=False, show_progress=False,
    )  # fmt: skip
    for name, raw in raw_of(model, probe.images).items():
        raw = raw.relu() if after_relu else raw
        thresholds, table = oracle(raw, probe.truth.labels.numpy(), GRID, quantile)
        np.testing.assert_allclose(found[name].threshold, thresholds, rtol=2e-6, atol=1e-7)
        np.testing.assert_allclose(found.iou(name), table, atol=1e-6)
        if name == "coarse":
            assert after_relu or thresholds[0] < 0, "the unit that is always below 0 rises towards the border"
            assert table.max() > 0.5 * (1 - quantile)
        if name == "single":
            flat = upsampled(raw, GRID).reshape(*raw.shape[:2], -1)
            assert (flat == flat[:, :, :1]).all(), "a map of one cell is not dimmed"


def test_the_interpolated_table_is_near_the_exact_one():
    model, probe = Net().eval(), probe_of(100)
    options = {"convention": "reference", "quantile": 0.98, "grid": GRID, "store": False, "show_progress": False}
    near, exact = (dissect(model, LAYERS[:2], probe, exact=exact, **options) for exact in (False, True))
    for name in LAYERS[:2]:
        assert np.abs(near.iou(name) - exact.iou(name)).max() < 2e-3
        assert (near[name].activation_area == near[name].activation_area[:, :1]).all()


def test_every_image_counts_for_every_category():
    model = Net().eval()
    some, every = (
        dissect(
            model, "coarse", probe_of(20, annotated=annotated), quantile=0.95, convention="reference", grid=GRID,
            store=False, show_progress=False,
        )
        for annotated in (True, False)
    )  # fmt: skip
    assert some.pixels.tolist() == [20 * GRID[0] * GRID[1]] * len(WORDS.categories)
    assert np.array_equal(some.concept_area, every.concept_area)
    assert np.array_equal(some.iou(), every.iou())


class Cut:
    """The truth of a probe set, from a segmenter that counts its images."""

    fingerprint = "cut"

    def __init__(self, probe: ArrayProbe):
        self.vocabulary, self.probe, self.seen = WORDS, probe, 0

    def __call__(self, batch):
        self.seen += len(batch)
        return batch.truth


@pytest.mark.parametrize("order", [("default", "reference"), ("reference", "default")])
def test_the_conventions_share_segmentations_but_no_counts(tmp_path, order):
    model, probe, store = Net().eval(), probe_of(20), Store(tmp_path)
    segmenter = Cut(probe)
    for convention in order:
        options = {"convention": convention, "quantile": 0.95, "grid": GRID, "exact": True, "show_progress": False}
        first = dissect(model, "coarse", probe, segmenter=segmenter, store=store, **options)
        alone = dissect(model, "coarse", probe, store=False, **options)
        assert np.array_equal(first.iou(), alone.iou()) and np.array_equal(first.pixels, alone.pixels)
        assert np.array_equal(first.concept_area, alone.concept_area)
    assert 20 <= segmenter.seen <= 40, "pilot and pass at most, of the first dissection alone"


@pytest.mark.parametrize("count", [20, 99, 250, 1006])
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.97, 0.99, 0.995])
def test_hazens_threshold_equals_numpys_and_as_many_values_exceed_it(count, quantile):
    values = np.random.RandomState(count).randn(3, count).astype(np.float32)
    expected = np.quantile(values.astype(np.float64), quantile, axis=1, method="hazen")
    found = hazen_threshold(torch.from_numpy(-np.sort(-values, axis=1)), count, quantile).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    exceed = (values.astype(np.float64) > expected[:, None]).sum(1)
    assert ((values > found[:, None]).sum(1) == exceed).all()


def test_hazens_threshold_between_neighbouring_floats_is_exceeded_by_the_upper_one():
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    upper = torch.tensor([[high, low, 0.0], [low, np.nextafter(low, np.float32(0)), 0.0]])
    found = hazen_threshold(upper, drawn=10, quantile=0.9)
    assert (upper[:, 0] > found).all() and (found >= upper[:, 1]).all()


def test_a_basis_has_no_reference():
    with pytest.raises(OptionError, match="no basis"):
        dissect(Net(), "fine", probe_of(3), convention="reference", basis=torch.eye(5), store=False)


# ---- where the default differs ---------------------------------------------------------------------------------


class Planted(nn.Module):
    """A unit that is 2 all over the first picture and 1.99 all over the others, on maps of `cells` x `cells`."""

    def __init__(self, cells: int):
        super().__init__()
        self.cells, self.layer = cells, nn.Identity()

    def forward(self, x):
        level = torch.where(x[:, :1, :1, :1] > 0.5, 2.0, 1.99)
        return self.layer(level.expand(-1, 2, self.cells, self.cells).contiguous())


def planted_probe(dimmed: int) -> ArrayProbe:
    """8 pictures of 56 x 56 pixels. Labels of the first: all of it, and the lines that are dimmed on every side."""
    labels = torch.zeros(8, 2, 56, 56, dtype=torch.int16)
    labels[0, 0] = 1
    labels[0, 1] = 2
    labels[0, 1, dimmed : 56 - dimmed, dimmed : 56 - dimmed] = 0
    images = torch.zeros(8, 3, 56, 56)
    images[0] = 1
    words = Vocabulary([("whole", "object"), ("border", "part")])
    return ArrayProbe(images, labels=labels, vocabulary=words)


@pytest.mark.parametrize(("cells", "dimmed"), [(14, 2), (7, 4)])
def test_the_reference_dims_the_border(cells, dimmed):
    """A pixel t of 56 lies at (t + 1/2) cells / 56 - 1/2 of the map: before its first cell for the first 28 / cells
    lines. These count zeros in: 13.8 % of the pixels at 14 -> 56, 26.5 % at 7 -> 56 [paper.md 2.4].

    Of 8 pictures of 3136 pixels an eighth may exceed the threshold. By default that is the first picture: t_u = 1.99.
    In the reference the same threshold is kept up by the undimmed pixels of the others, but the border of the first,
    at most .875 of 2, does not reach it."""
    inner = (56 - 2 * dimmed) ** 2
    share = 1 - inner / 3136
    assert round(share, 3) == {14: 0.138, 7: 0.265}[cells]
    iou = {}
    for convention in ("default", "reference"):
        found = dissect(
            Planted(cells), "layer", planted_probe(dimmed), quantile=0.875, convention=convention, grid=(56, 56),
            store=False, show_progress=False,
        )  # fmt: skip
        assert found["layer"].threshold.tolist() == [pytest.approx(1.99)] * 2
        iou[convention] = found.iou()[0]
    border = (3136 - inner) / 3136
    assert iou["default"].tolist() == [1.0, border], "the border is that share of what fires"
    assert iou["reference"].tolist() == [inner / 3136, 0.0]


def test_the_reference_counts_images_that_are_not_annotated_in_the_union():
    """2 of 4 pictures show the concept in full and are annotated; the unit fires on one of them and on one that is not
    annotated: 1 / 2 by default, 1 / 3 in the reference."""
    labels = torch.zeros(4, 1, 8, 8, dtype=torch.int16)
    labels[:2] = 1
    images = torch.zeros(4, 3, 8, 8)
    images[1:3] = 1
    looked = torch.tensor([[True], [True], [False], [False]])
    probe = ArrayProbe(images, labels=labels, vocabulary=Vocabulary([("sky", "object")]), annotated=looked)
    iou = [
        dissect(
            nn.Sequential(nn.Identity()), "0", probe, quantile=0.5, grid=(8, 8), convention=convention, store=False,
            show_progress=False,
        ).iou()[0, 0]
        for convention in ("default", "reference")
    ]  # fmt: skip
    assert iou == [1 / 2, 1 / 3]
