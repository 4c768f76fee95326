"""What breaks other engines: dead layers, damaged files, saturating and poisoned units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import ArrayProbe
from unitlens.dissection.engine import dissect
from unitlens.errors import DataWarning, OptionError, StoreWarning
from unitlens.store import Store

H, W = 9, 11


def probe_of(images: torch.Tensor) -> ArrayProbe:
    labels = (torch.arange(H * W).view(1, 1, H, W) % 3 == 0).to(torch.int16).expand(len(images), -1, -1, -1)
    return ArrayProbe(images, labels=labels, vocabulary=Vocabulary([("third", "object")]))


class Same(nn.Module):
    """One unit: the red channel."""

    def __init__(self):
        super().__init__()
        self.unit = nn.Conv2d(3, 1, 1, bias=False)
        with torch.no_grad():
            self.unit.weight.copy_(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1))

    def forward(self, images):
        return self.unit(images)


@pytest.mark.parametrize("count", [3, 20, 70])
def test_a_dead_layer_has_no_detectors(count):
    net = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU())
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.fill_(-1)
    images = torch.rand(count, 3, H, W, generator=torch.Generator().manual_seed(0))
    found = dissect(net, "1", probe_of(images), grid=(H, W), store=False, show_progress=False)
    assert found.iou().max() == 0 and not found["1"].activation_area.any() and not len(found.detectors())


def test_a_damaged_shard_is_counted_again(tmp_path):
    images = torch.rand(150, 3, H, W, generator=torch.Generator().manual_seed(1))
    store, options = Store(tmp_path), {"grid": (H, W), "show_progress": False}
    first = dissect(Same(), "unit", probe_of(images), store=store, **options)
    for path in (next(tmp_path.glob("dissection/*")), *tmp_path.glob("shard/*"), *tmp_path.glob("labels/*")):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.warns(StoreWarning, match="computed again"):
        again = dissect(Same(), "unit", probe_of(images), store=store, **options)
    assert np.array_equal(again["unit"].tails.above, first["unit"].tails.above)


def test_a_unit_that_saturates_outside_the_pilot_is_read_as_saturated():
    """2 % of the pixels at .9, in images that a pilot does not see evenly: t_u = .9 and nothing exceeds it."""
    images = torch.rand(200, 3, H, W, generator=torch.Generator().manual_seed(2)) * 0.5
    images[:8, 0, :, : W // 2 + 1] = 0.9
    for exact in (False, True):
        found = dissect(Same(), "unit", probe_of(images), grid=(H, W), exact=exact, store=False, show_progress=False)
        assert float(found["unit"].threshold[0]) == pytest.approx(0.9), exact
        assert found["unit"].activation_area[0, 0] == 0, exact


class Poisoned(nn.Module):
    """The red channel above .9, rectified, with a NaN in some images."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, images):
        values = (images[:, :1] - 0.98).clamp(min=0)
        values[images[:, :1] == images[:, :1].amax()] = torch.nan
        return self.layer(values)


def test_a_nan_does_not_change_how_a_sparse_unit_is_read():
    """The unit exceeds 0 on 2 % of the pixels, so at .97 its threshold is 0 and all of them fire."""
    images = torch.rand(120, 3, H, W, generator=torch.Generator().manual_seed(3))
    with pytest.warns(DataWarning, match="NaN"):
        found = dissect(Poisoned(), "layer", probe_of(images), grid=(H, W), store=False, show_progress=False)
    fires = int((images[:, 0] > 0.98).sum()) - int(found["layer"].nonfinite.sum())
    read = found.at(0.97)
    assert float(read["layer"].threshold[0]) == 0.0
    assert int(read["layer"].activation_area[0, 0]) == fires


def test_a_store_that_is_too_small_costs_one_more_count_and_no_result(tmp_path):
    images = torch.rand(150, 3, H, W, generator=torch.Generator().manual_seed(1))
    options = {"grid": (H, W), "show_progress": False}
    expected = dissect(Same(), "unit", probe_of(images), store=False, **options)
    with pytest.warns(StoreWarning, match="UNITLENS_STORE_GB"):
        got = dissect(Same(), "unit", probe_of(images), store=Store(tmp_path, limit_gb=1e-6), **options)
    assert np.array_equal(got.iou(), expected.iou())


def test_what_is_not_a_store_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"store: expected True, False or a Store.*Store\('folder'\)"):
        dissect(Same(), "unit", probe_of(torch.rand(20, 3, H, W)), store=str(tmp_path), grid=(H, W))


def test_a_table_that_is_handed_out_cannot_be_changed():
    found = dissect(Same(), "unit", probe_of(torch.rand(20, 3, H, W)), store=False, grid=(H, W), show_progress=False)
    with pytest.raises(ValueError, match="read-only"):
        found.iou()[:] = 0


@pytest.mark.parametrize("count", [100, 330])
def test_a_layer_without_a_grid_has_thresholds_of_whole_images(count):
    """1 x 1 cells: every value stands at all pixels of its image, so all thresholds are values that repeat."""

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.unit = nn.Conv2d(3, 24, 1)

        def forward(self, x):
            return self.unit(x.mean((2, 3), keepdim=True))

    images = torch.rand(count, 3, H, W, generator=torch.Generator().manual_seed(1))
    found = dissect(Pooled(), "unit", probe_of(images), store=False, grid=(H, W), show_progress=False)
    with torch.inference_mode():
        values = Pooled()(images)[:, :, 0, 0].numpy()
    for quantile in (0.97, 0.985, 0.99):
        fires = (values > found.at(quantile)["unit"].threshold).sum(0)
        assert np.abs(fires - int(count * (1 - quantile) + 1e-9)).max() <= 2  # images


def test_an_image_that_is_gone_at_the_end_is_left_out(monkeypatch):
    probe, load = probe_of(torch.rand(20, 3, H, W)), ArrayProbe.load
    complete = dissect(Same(), "unit", probe, store=False, grid=(H, W), show_progress=False)

    def without_the_third(self, index):
        return load(self, [i for i in index if i != 3 or len(index) < 9])

    monkeypatch.setattr(ArrayProbe, "load", without_the_third)
    found = dissect(Same(), "unit", probe, store=False, grid=(H, W), show_progress=False, batch_size=4)
    assert set(found.thumbnails) == set(complete.thumbnails) - {3}
