"""TailPixels finds exactly the pixels that upsampling everything and comparing finds, with the same bits."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from unitlens.models.geometry import Geometry
from unitlens.models.tailpixels import TailPixels, places, quotient
from unitlens.models.upsample import upsample

CASES = {
    "odd": ((5, 7), (11, 13), None, None),
    "double": ((7, 5), (28, 20), None, None),
    "vgg conv5": ((14, 14), (56, 56), None, None),
    "same": ((56, 48), (56, 48), None, None),
    "finer": ((224, 112), (56, 28), None, None),
    "finer, uneven": ((112, 110), (56, 51), None, None),
    "alexnet": ((13, 13), (56, 56), Geometry(16, 17, 16, 17), (227, 227)),
    "resnet": ((7, 7), (56, 56), Geometry(32, 0, 32, 0), (224, 224)),
    "one cell": ((1, 1), (4, 5), None, None),
    "one row": ((1, 3), (4, 9), None, None),
    "scenenet conv1": ((64, 64), (32, 32), Geometry(2, 0, 2, 0), (128, 128)),
    "scenenet conv5": ((8, 8), (32, 32), Geometry(16, 7, 16, 7), (128, 128)),
}


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_pixels_and_values_are_those_of_upsampling_everything(case, rectified):
    grid, size, geometry, image_size = CASES[case]
    draw = torch.Generator().manual_seed(len(case))
    maps = torch.randn(6, *grid, generator=draw)
    up = upsample(maps.clamp(min=0)[:, None] if rectified else maps[:, None], size, geometry, image_size)[:, 0]
    up = up.flatten(1)
    bound = up.quantile(0.9, dim=1).clamp(min=0)
    tails = TailPixels(grid, size, geometry, image_size, rectified=rectified)
    found = tails.find(maps, bound)
    wanted = up > bound[:, None]
    seen = torch.zeros_like(wanted)
    seen[found.row.long(), found.pixel.long()] = True
    assert torch.equal(seen, wanted) and len(found.row) == int(wanted.sum()), "each once"
    assert torch.equal(found.value, up[found.row.long(), found.pixel.long()])
    pixels = torch.randperm(size[0] * size[1], generator=draw)[:10]
    assert torch.equal(tails.sample(maps, pixels), up[:, pixels])
    assert torch.equal(tails.on_pixels(maps).flatten(1), up)


@pytest.mark.parametrize("grid", [(7, 7), (14, 9), (56, 40), (80, 70)])
def test_a_border_of_zeros_is_that_of_grid_sample(grid):
    size, draw = (56, 40), torch.Generator().manual_seed(1)
    maps = torch.randn(3, *grid, generator=draw)
    y, x = (((torch.arange(n, dtype=torch.float64) + 0.5) * c / n - 0.5) / (c - 1) * 2 - 1 for n, c in zip(size, grid))
    where = torch.stack([x[None].expand(size[0], -1), y[:, None].expand(-1, size[1])], -1)[None].expand(3, -1, -1, -1)
    wanted = functional.grid_sample(maps[:, None].double(), where, align_corners=True, padding_mode="zeros")[:, 0]
    tails = TailPixels(grid, size, zero_border=True)
    got = tails.on_pixels(maps).double()
    assert float((got - wanted).abs().max()) < 1e-5
    found = tails.find(maps, torch.full((3,), 0.75))
    assert len(found.row) == int((got > 0.75).sum())


def test_nothing_above_the_bound_is_nothing():
    found = TailPixels((3, 5), (9, 11)).find(torch.zeros(4, 3, 5), torch.zeros(4))
    assert len(found.row) == len(found.pixel) == len(found.value) == 0


def test_places_and_quotients_are_whole_numbers():
    mask = torch.rand(7, 11, generator=torch.Generator().manual_seed(2)) > 0.5
    assert torch.equal(places(mask).long(), mask.flatten().nonzero().squeeze(1))
    numbers = torch.arange(100, dtype=torch.int32)
    assert torch.equal(quotient(numbers, 7), numbers // 7)
