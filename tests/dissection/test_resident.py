"""Sets of a single shard: kept in memory where their tails fit, counted by the pilot's way where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import ArrayProbe, Batch
from unitlens.data.segmentation import Segmentation
from unitlens.dissection import resident
from unitlens.dissection.engine import dissect
from unitlens.dissection.pilot import SMALL
from unitlens.dissection.resident import mixed
from unitlens.dissection.result import Dissection
from unitlens.dissection.shards import SHARD
from unitlens.store import Store

N, H, W = 43, 30, 44
WORDS = Vocabulary([("bright", "colour"), ("left", "object"), ("stripe", "object"), ("never", "part")])
LAYERS = ("first", "second")


def smooth(images: int) -> torch.Tensor:
    """Pictures (images, 3, H, W) with patches of a few pixels."""
    coarse = torch.rand(images, 3, 6, 9, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(coarse, (H, W), mode="bilinear").clamp(0, 1)


PICTURES = smooth(N)


class Observer:
    """A segmenter of what can be seen, which notes the images that it was asked for. fingerprint: for the store."""

    vocabulary = WORDS
    fingerprint = "observer"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, batch: Batch) -> Segmentation:
        self.asked += batch.index.tolist()
        return Segmentation(torch.from_numpy(shown(batch.images)), WORDS)


def shown(images: torch.Tensor) -> np.ndarray:
    """Labels (B, 2, H, W): where red is high; the left part, whose width depends on the image, and every 4th row."""
    planes = np.zeros((len(images), 2, H, W), dtype=np.int16)
    planes[:, 0][images[:, 0].numpy() > 0.75] = 1
    planes[:, 1, ::4] = 3
    for plane, image in zip(planes[:, 1], images, strict=True):
        plane[:, : 5 + int(20 * image[1, 0, 0])] = 2
    return planes


class Net(nn.Module):
    """Layers of 5 and 17 units. count: images that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.second = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 17, 3, padding=1)
        with torch.no_grad():  # two units that know something, one that never fires
            self.first.weight[0], self.first.bias[0] = torch.tensor([1.0, 0, 0]).view(3, 1, 1), 0
            self.second.weight[3], self.second.bias[3] = 0, 0.25
        self.seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images) if len(images) > 1 else 0  # one alone only traces a layer's geometry
        return self.second(self.first(images).relu())


def found(
    net: Net | None = None, segmenter: Observer | None = None, store: Store | bool = False, batch_size: int = 8,
    pictures: torch.Tensor = PICTURES,
) -> Dissection:  # fmt: skip
    return dissect(
        net or Net(), LAYERS, ArrayProbe(pictures), segmenter=segmenter or Observer(), grid=(H, W),
        batch_size=batch_size, store=store, show_progress=False,
    )  # fmt: skip


def naive_iou(net: Net, layer: str) -> np.ndarray:
    """At the .99 quantile, over all pixels: (U, C)."""
    with torch.inference_mode():
        values = net.first(PICTURES)
        values = (values if layer == "first" else net.second(values.relu())).swapaxes(0, 1).flatten(1).numpy()
    labels = shown(PICTURES).swapaxes(0, 1).reshape(2, -1)
    seen = np.stack([(labels == c + 1).any(0) for c in range(len(WORDS))])
    threshold = np.sort(values, axis=1)[:, -1 - values.shape[1] // 100]
    fires = values > threshold[:, None]
    both = (fires[:, None] & seen).sum(2)
    return both / np.maximum(1, (fires[:, None] | seen).sum(2))


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tails of more than 1 kB do not fit in memory."""
    assert SMALL < N <= SHARD  # measured in one shard, and not exactly
    monkeypatch.setattr(resident, "MEMORY_MB", 1e-3)


def check_same(one: Dissection, other: Dissection) -> None:
    for layer in LAYERS:
        np.testing.assert_allclose(one.iou(layer), other.iou(layer), atol=1e-3)
        clear = other.best(layer)[1] > 0.02  # nothing else comes near
        assert clear.any() and np.array_equal(one.best(layer)[0][clear], other.best(layer)[0][clear])
        assert np.array_equal(one[layer].top_index, other[layer].top_index)
        np.testing.assert_allclose(one[layer].top_map, other[layer].top_map, rtol=1e-2, atol=1e-3)


def test_a_set_that_fits_is_seen_once_and_one_that_does_not_is_bracketed_by_a_pilot(monkeypatch, tmp_path):
    net, store = Net(), Store(tmp_path / "fits")
    found(net, store=store)
    assert net.seen == N + 16  # batches of 8: the first 16 images tell what is kept of all
    assert not {"bracket", "shard"} & set(store.size())
    net = Net()
    found(net, store=False, batch_size=16)
    assert net.seen == N
    monkeypatch.setattr(resident, "MEMORY_MB", 1e-3)
    net, store = Net(), Store(tmp_path / "does not fit")
    found(net, store=store)
    assert net.seen == 16 + 8 + N + N  # the first images, a batch that is too large, the pilot (all images), the count
    assert store.size()["bracket"][0] == store.size()["shard"][0] == len(LAYERS)


def test_labels_and_iou_are_the_same_where_the_tails_do_not_fit(request):
    expected = found()
    request.getfixturevalue("no_room")
    other = found()
    check_same(other, expected)
    assert not np.array_equal(other["second"].tails.edges, expected["second"].tails.edges)
    for layer in LAYERS:
        for result in (expected, other):
            np.testing.assert_allclose(result.iou(layer), naive_iou(Net(), layer), atol=1e-3)
    assert other.best("first")[1][0] > 0.05 > other.best("second")[1][3] == 0
    assert other.notes["images"] == N and other.notes["skipped"] == 0


@pytest.mark.usefixtures("no_room")
def test_every_image_counts_once_and_is_segmented_once_where_the_tails_do_not_fit(tmp_path):
    segmenter, store = Observer(), Store(tmp_path)
    kept = found(segmenter=segmenter, store=store)
    assert sorted(segmenter.asked) == list(range(N))
    labels = shown(PICTURES)
    for c in range(len(WORDS)):
        seen = (labels == c + 1).any(1)
        assert kept.concept_area[c] == seen.sum() and kept.concept_images[c] == seen.any((1, 2)).sum()
    assert kept.pixels.tolist() == [N * H * W] * 3
    without = Observer()
    other = found(segmenter=without)
    assert set(without.asked) == set(range(N))
    check_same(other, kept)
    assert np.array_equal(other.concept_area, kept.concept_area) and np.array_equal(other.pixels, kept.pixels)


@pytest.mark.usefixtures("no_room")
def test_the_labels_of_a_set_that_did_not_fit_are_read_again_for_another_layer(tmp_path):
    store, net = Store(tmp_path), Net()
    found(net, store=store)
    again = Observer()
    options = {"grid": (H, W), "batch_size": 8, "show_progress": False}
    one = dissect(net, "first", ArrayProbe(PICTURES), segmenter=again, store=store, **options)
    assert again.asked == []
    np.testing.assert_allclose(one.iou(), found().iou("first"), atol=1e-3)


@pytest.mark.parametrize(("images", "batch"), [(43, 8), (64, 16), (5, 7), (1, 3)])
def test_batches_of_a_small_set_are_mixed_and_hold_every_image_once(images, batch):
    pieces = mixed(images, batch)
    assert sorted(i for piece in pieces for i in piece) == list(range(images))
    assert [len(piece) for piece in pieces[:-1]] == [batch] * (len(pieces) - 1) and 0 < len(pieces[-1]) <= batch
    assert pieces == mixed(images, batch)
    if images > batch:
        assert all(np.mean(piece) > batch / 2 for piece in pieces)  # none is the first images only


@pytest.mark.parametrize("quantile", [0.97, 0.99, 0.9985, 0.999])
def test_as_many_pixels_fire_as_are_counted_at_every_quantile(quantile):
    """Strict thresholds against the activations themselves: what fires, what is claimed, and k agree."""
    result = found().at(quantile)
    with torch.inference_mode():
        values = Net().first(PICTURES).swapaxes(0, 1).flatten(1).numpy()
    fires = (values > result["first"].threshold[:, None]).sum(1)
    allowed = int(values.shape[1] * (1 - quantile) + 1e-9)
    claimed = result["first"].activation_area[:, 0]
    assert np.abs(fires - allowed).max() <= max(3, 0.12 * allowed)
    assert np.abs(fires - claimed).max() <= max(3, 0.12 * allowed)


@pytest.mark.parametrize("size", [1, 3, 16, N])
def test_the_batch_size_does_not_change_a_small_set(size):
    one, other = found(batch_size=size), found(batch_size=8)
    for layer in LAYERS:
        # A convolution of few images may round its last digit otherwise.
        np.testing.assert_allclose(one[layer].tails.edges, other[layer].tails.edges, rtol=1e-5, atol=1e-7)
        assert np.abs(one[layer].intersection - other[layer].intersection).max() <= 1


def test_tails_that_outgrow_the_memory_in_a_later_batch_go_the_pilot_s_way(monkeypatch):
    """The first batch alone says little: here its images keep next to nothing."""
    monkeypatch.setattr(resident, "MEMORY_MB", 0.05)
    blank = PICTURES.clone()
    blank[resident.mixed(N, 8)[0]] = 0
    net = Net()
    found(net, pictures=blank)
    assert net.seen > N + 16 + N  # it gave up on the way, looked at a pilot, and counted
