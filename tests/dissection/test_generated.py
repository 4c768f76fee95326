"""Generators dissected: against arrays of the same pictures and activations, in one pass, segmented once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from painted import GROUND, SKY, TREE, Painter, Sees, planes
from torch import nn

import unitlens as ul
from unitlens.errors import OptionError
from unitlens.models.generators import as_generator


@pytest.fixture
def store(tmp_path: Any) -> ul.Store:
    return ul.Store(tmp_path / "store")


def _naive_iou(painter: Painter, samples: ul.Samples, dissection: ul.Dissection, grid: tuple[int, int]) -> np.ndarray:
    """IoU (U, C) by loops over units and concepts, at the thresholds of a dissection."""
    with torch.no_grad():
        units, pictures = painter.units(samples.latents), painter.generate(samples.latents)
    labels = planes(pictures)
    rows = [(y * 2 + 1) * labels.shape[2] // (2 * grid[0]) for y in range(grid[0])]
    columns = [(x * 2 + 1) * labels.shape[3] // (2 * grid[1]) for x in range(grid[1])]
    labels = labels[:, :, rows][..., columns]
    fires = ul.upsample(units, grid) > torch.from_numpy(dissection["units"].threshold)[:, None, None]
    table = np.zeros((6, 4))
    for unit in range(6):
        for concept in range(4):
            shows = (labels == concept + 1).any(1)
            both, either = (fires[:, unit] & shows).sum(), (fires[:, unit] | shows).sum()
            table[unit, concept] = float(both / either) if either else 0
    return table


@pytest.mark.parametrize("count", [40, 200])
def test_iou_is_that_of_the_pictures_and_the_activations(count: int, store: ul.Store) -> None:
    painter = Painter().eval()
    samples = ul.from_generator(painter, count, seed=3)
    found = ul.dissect(painter, "units", samples, segmenter=Sees(), grid=(3, 4), quantile=0.9, exact=True, store=store)
    assert found.notes["images"] == count and found["units"].units == 6
    np.testing.assert_allclose(found.iou("units"), _naive_iou(painter, samples, found, (3, 4)), atol=2e-6)
    best, _ = found.best("units")
    assert best[0] + 1 == TREE and best[1] + 1 == SKY
    area = torch.bincount(planes(painter.generate(samples.latents))[:, 0].flatten().long(), minlength=4)
    np.testing.assert_array_equal(found.concept_area[:3] * 20, area[[GROUND, TREE, SKY]].numpy())


def test_a_unit_that_is_a_concept_has_iou_one(store: ul.Store) -> None:
    class Sharp(nn.Module):
        def forward(self, units: torch.Tensor) -> torch.Tensor:
            return (units > 1.2).float()

    painter = Painter()
    painter.units = nn.Sequential(painter.units, Sharp())
    painter.paint = nn.Sequential(nn.Conv2d(6, 3, 1), nn.Upsample(scale_factor=(4, 5)))
    with torch.no_grad():
        painter.paint[0].weight.zero_()[0, 2] = 1.0
        painter.paint[0].bias.zero_()
    red = ul.Custom(lambda images: images[:, :1] > 0.5, [("red", "object")], fingerprint="red")
    samples = ul.from_generator(painter.eval(), 300)
    share = float((painter.units(samples.latents)[:, 2] > 0).float().mean())
    found = ul.dissect(painter, "units", samples, segmenter=red, grid=(3, 4), quantile=1 - share - 1e-4, store=store)
    assert found.iou("units")[2, 0] == 1.0


def test_every_picture_is_made_and_segmented_once_for_all_layers(store: ul.Store) -> None:
    calls = []

    class Counted(Painter):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            calls.append(len(latents))
            return super().forward(latents)

    painter, sees = Counted().eval(), Sees()
    samples = ul.from_generator(painter, 200)
    calls.clear()
    options: dict[str, Any] = {"segmenter": sees, "store": store, "grid": (12, 20), "show_progress": False}
    first = ul.dissect(painter, ["units"], samples, **options)
    shown = len(first.thumbnails)
    seen, made = sees.seen, sum(calls)
    assert 200 <= seen <= 200 + first.notes["pilot"]  # the pilot is segmented before, to lend its labels
    assert made <= 200 + 3 * first.notes["pilot"] + shown
    calls.clear()
    both = ul.dissect(painter, ["units", "paint"], samples, **options)
    assert sees.seen == seen  # labels are known; the pictures are made once more, for the new layer
    assert sum(calls) <= 200 + 2 * both.notes["pilot"] + len(both.thumbnails)
    calls.clear()
    ul.dissect(painter, ["paint"], samples, **options)
    assert sees.seen == seen and sum(calls) <= len(both.thumbnails)  # counted before


def test_dissecting_again_runs_nothing(store: ul.Store) -> None:
    painter, sees = Painter().eval(), Sees()
    samples = ul.from_generator(painter, 100)
    first = ul.dissect(painter, "units", samples, segmenter=sees, store=store)
    seen = sees.seen
    second = ul.dissect(painter, "units", ul.from_generator(painter, 100), segmenter=sees, store=store)
    assert second == first and sees.seen == seen
    other = ul.dissect(painter, "units", ul.from_generator(painter, 100, seed=1), segmenter=sees, store=store)
    assert sees.seen > seen and other != first


def test_without_a_store_and_without_gradients_it_is_the_same(store: ul.Store) -> None:
    painter = Painter().eval()
    for count in (30, 150):
        samples = ul.from_generator(painter, count)
        kept = ul.dissect(painter, "units", samples, segmenter=Sees(), store=store, batch_size=7)
        free = ul.dissect(painter, "units", samples, segmenter=Sees(), store=False)
        np.testing.assert_array_equal(kept.iou("units"), free.iou("units"))


def test_an_adapted_module_with_in_place_activations() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.ConvTranspose2d(5, 7, (3, 4)), nn.ReLU(inplace=True), nn.ConvTranspose2d(7, 3, 4, 2, 1), nn.Tanh()
    )
    gan = as_generator(net, (5, 1, 1))
    samples = ul.from_generator(gan, 50)
    found = ul.dissect(gan, ["0", "1"], samples, store=False, grid=(3, 4), exact=True)
    z = samples.latents
    with torch.no_grad():
        before = net[0](z)
    peaks = before.flatten(2).amax(2)  # (N, U)
    np.testing.assert_allclose(found["0"].top_value[:, 0], peaks.amax(0).numpy(), rtol=1e-5)
    assert (found["0"].tails is None or found["0"].tails.minimum.min() < 0) and found["1"].tails.minimum.min() == 0
    assert len(found.thumbnails) > 0 and "colour" in found.vocabulary.categories


def test_the_generator_must_be_the_one_of_the_samples() -> None:
    painter = Painter().eval()
    samples = ul.from_generator(painter, 5)
    with pytest.raises(OptionError, match="expected the generator that the samples are of"):
        ul.dissect(Painter().eval(), "units", samples, segmenter=Sees())
    with pytest.raises(OptionError, match="preprocess: a generator takes latents"):
        ul.dissect(painter, "units", samples, segmenter=Sees(), preprocess=ul.Normalize((0.5,) * 3, (0.5,) * 3))
