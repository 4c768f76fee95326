"""Pixels: the mask that is drawn is the mask that is computed."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from unitlens.display import pixels
from unitlens.errors import OptionError, ShapeMismatch
from unitlens.models.upsample import Geometry, upsample

RNG = np.random.default_rng(7)
MAPS = RNG.normal(size=(2, 5, 3)).astype(np.float16)  # k, h, w
SIZE = (17, 26)  # H, W


def by_loops(grid: np.ndarray, size: tuple[int, int], image: tuple[int, int], geometry: tuple | None) -> np.ndarray:
    """Bilinear interpolation of one map, a pixel at a time: cell i is centred on image pixel i * scale + offset."""
    h, w = grid.shape
    scale_y, offset_y, scale_x, offset_x = geometry or (
        image[0] / h,
        image[0] / h / 2 - 0.5,
        image[1] / w,
        image[1] / w / 2 - 0.5,
    )
    out = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            y = ((row + 0.5) * image[0] / size[0] - 0.5 - offset_y) / scale_y
            x = ((column + 0.5) * image[1] / size[1] - 0.5 - offset_x) / scale_x
            y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
            upper = (1 - (x - left)) * grid[top, left] + (x - left) * grid[top, right]
            lower = (1 - (x - left)) * grid[bottom, left] + (x - left) * grid[bottom, right]
            out[row, column] = (1 - (y - top)) * upper + (y - top) * lower
    return out


@pytest.mark.parametrize("geometry", [None, (9.0, 2.0, 8.0, 5.5)])
@pytest.mark.parametrize("image", [SIZE, (40, 31)])
def test_upsampling_equals_naive_loops(geometry: tuple | None, image: tuple[int, int]) -> None:
    up = pixels.upsample(MAPS, SIZE, image_size=image, geometry=geometry)
    for k in range(len(MAPS)):
        np.testing.assert_allclose(up[k], by_loops(MAPS[k].astype(float), SIZE, image, geometry), atol=1e-5)
    assert up.shape == (2, *SIZE)
    assert up.dtype == np.float32


@pytest.mark.parametrize("geometry", [None, (9.0, 2.0, 8.0, 5.5)])
def test_upsampling_equals_that_of_the_engine(geometry: tuple | None) -> None:
    theirs = upsample(
        torch.from_numpy(MAPS.astype(np.float32))[None], SIZE, Geometry(*geometry) if geometry else None, (40, 31)
    )[0]
    mine = pixels.upsample(MAPS, SIZE, image_size=(40, 31), geometry=geometry)
    np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-5)


def test_a_pixel_on_a_cell_takes_nothing_from_the_neighbours() -> None:
    alone = np.zeros((1, 21, 1))
    alone[0, 10] = 1
    assert (pixels.upsample(alone, (63, 1)) > 0).sum() == 5  # thirds: two on each side and the cell itself


def test_a_map_of_one_cell_fills_the_picture() -> None:
    assert (pixels.upsample(np.full((1, 1, 1), 3.0), (4, 6)) == 3).all()


def test_nan_never_fires_and_infinity_does() -> None:
    drawn = pixels.mask(np.array([[[np.nan, np.inf]]]), 1.0, (1, 2))
    assert drawn.tolist() == [[[False, True]]]


def test_a_map_without_an_image_axis_is_refused_in_words() -> None:
    with pytest.raises(ShapeMismatch, match=r"expected \(images, h, w\), got \(5, 3\)"):
        pixels.upsample(MAPS[0], SIZE)


@pytest.mark.parametrize("style", ["outline", "dim"])
def test_the_mask_that_is_drawn_is_the_mask_that_is_computed(style: str) -> None:
    heights = pixels.upsample(MAPS, (80, 120))
    mask = heights > 0.3
    images = np.full((2, 80, 120, 3), 200, dtype=np.uint8)
    painted = pixels.paint(images, heights, 0.3, style)
    border = np.zeros_like(mask)  # pixels within five of the other side
    for down in range(-5, 6):
        for across in range(-5, 6):
            border |= np.roll(mask, (down, across), axis=(1, 2)) != mask
    if style == "outline":
        border[:, [*range(5), *range(-5, 0)]] = border[:, :, [*range(5), *range(-5, 0)]] = True
    sure = ~border if style == "outline" else np.ones_like(mask)
    assert sure.mean() > 0.2
    assert (sure & mask).any()
    assert (sure & ~mask).any()
    assert (painted[mask & sure] == 200).all()
    assert (painted[~mask & sure] == round(200 * 0.42)).all()


def test_the_outline_runs_along_every_border() -> None:
    heights = pixels.upsample(MAPS, (80, 120))
    painted = pixels.paint(np.full((2, 80, 120, 3), 128, np.uint8), heights, 0.3, "outline").astype(int)
    yellow = (painted[..., 0] > 150) & (painted[..., 2] < 130)
    mask = heights > 0.3
    crossing = mask[:, :, 1:] != mask[:, :, :-1]
    near = yellow[:, :, 1:] | yellow[:, :, :-1]
    assert crossing.sum() > 50
    assert near[crossing].mean() > 0.97


def test_the_outline_is_closed_along_the_picture_s_edge_where_the_unit_fires() -> None:
    heights = np.full((1, 60, 80), -1.0, np.float32)
    heights[0, 20:40, 50:] = 1  # up to the right edge
    plain = np.full((1, 60, 80, 3), 100, np.uint8)
    yellow = pixels.paint(plain, heights, 0.0)[0].astype(int)[..., 0] > 200
    assert yellow[20:40, -1].all()
    assert not yellow[:16].any() and not yellow[44:].any()  # no line where it does not fire
    assert not yellow[24:36, 54:76].any()  # none inside
    assert pixels.paint(plain, np.ones_like(heights), 0.0)[0, [0, -1]][..., 0].min() > 200  # it fires everywhere
    assert (pixels.paint(plain, -np.ones_like(heights), 0.0) < 100).all()  # and nowhere


def test_plain_leaves_the_picture_and_heat_is_brightest_at_the_peak() -> None:
    images = np.full((2, 40, 60, 3), 90, np.uint8)
    heights = pixels.upsample(MAPS, (40, 60))
    assert (pixels.paint(images, heights, 0.1, "plain") == images).all()
    grey = pixels.paint(images, heights, 0.1, "heat").mean(axis=-1)
    peak, low = heights.argmax(), heights.argmin()
    assert grey.flat[peak] > grey.flat[low] + 60


def test_an_unknown_style_names_the_styles() -> None:
    with pytest.raises(OptionError, match="'outline', 'heat', 'dim', 'plain', got 'blur'"):
        pixels.paint(np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2)), 0.0, "blur")


def test_a_strip_has_the_size_it_says_at_twice_the_density(found) -> None:
    strip = pixels.strip(found, 1, images=3, tile=96)
    picture = Image.open(io.BytesIO(strip.jpeg))
    assert picture.size == (3 * 256 + 2 * 8, 192)  # 48 x 64 pictures: 128 x 96 shown, gaps of 4
    assert (strip.width, strip.height, strip.tiles) == (392, 96, 3)
    assert strip.uri.startswith("data:image/jpeg;base64,")


def test_a_strip_shows_the_unit_s_own_images_in_order(found) -> None:
    strip = pixels.strip(found, 1, images=4, style="plain", tile=48, density=1, quality=95)
    canvas = np.asarray(Image.open(io.BytesIO(strip.jpeg))).astype(int)
    for place, index in enumerate(found.layer().top_index[1]):
        original = np.asarray(Image.open(io.BytesIO(found.thumbnails[int(index)]))).astype(int)
        assert np.abs(canvas[:, place * 72 : place * 72 + 64] - original).mean() < 3


def test_the_strip_is_masked_where_the_map_is_above_the_threshold(found) -> None:
    counts = found.layer()
    strip = pixels.strip(found, 4, images=1, style="dim", tile=48, density=1, quality=95)
    plain = pixels.strip(found, 4, images=1, style="plain", tile=48, density=1, quality=95)
    dim, full = (np.asarray(Image.open(io.BytesIO(s.jpeg))).astype(float).sum(-1) for s in (strip, plain))
    mask = by_loops(counts.top_map[4, 0].astype(float), (48, 64), (48, 64), None) > counts.threshold[4]
    assert 0.1 < mask.mean() < 0.6
    assert ((dim / full > 0.7) == mask).mean() > 0.98  # JPEG blurs the border


def test_missing_images_are_left_out_and_no_pictures_give_none(found, make) -> None:
    last = found.layer().units - 1
    assert pixels.strip(found, last).tiles == 3  # the fourth position is -1
    assert pixels.strip(found, last).share(4) < 1 == pixels.strip(found, 0, images=4).share(4)
    assert pixels.strip(make({"a": [(0, 20)]}, thumbnails={}), 0) is None
