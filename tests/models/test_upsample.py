import math
from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional

from unitlens.errors import LayerError, OptionError
from unitlens.models.upsample import Geometry, layer_geometry, receptive_geometry, upsample

B, U = 2, 3
ALEXNET = [(11, 1, 4, 0), (3, 1, 2, 0), (5, 1, 1, 2), (3, 1, 2, 0), (3, 1, 1, 1), (3, 1, 1, 1), (3, 1, 1, 1)]


def random_activation(h, w, dtype=torch.float32):
    return torch.randn(B, U, h, w, generator=torch.Generator().manual_seed(1)).to(dtype)


def naive(activation, size, scale_offset, image_size):
    """Pixel by pixel in exact fractions: the four neighbours of where the pixel's centre falls, edges held."""
    h, w = activation.shape[2:]
    out = torch.zeros(B, U, *size, dtype=torch.float64)
    for y in range(size[0]):
        for x in range(size[1]):
            at = []
            for t, n, pixels, image, (scale, offset) in (
                (y, h, size[0], image_size[0], scale_offset[0]),
                (x, w, size[1], image_size[1], scale_offset[1]),
            ):
                centre = Fraction(2 * t + 1, 2) * Fraction(image, pixels) - Fraction(1, 2)
                place = min(max((centre - offset) / scale, Fraction(0)), Fraction(n - 1))
                low = math.floor(place)
                at.append((low, min(low + 1, n - 1), float(place - low)))
            (y0, y1, fy), (x0, x1, fx) = at
            a = activation.double()
            top = a[:, :, y0, x0] * (1 - fx) + a[:, :, y0, x1] * fx
            bottom = a[:, :, y1, x0] * (1 - fx) + a[:, :, y1, x1] * fx
            out[:, :, y, x] = top * (1 - fy) + bottom * fy
    return out


@pytest.mark.parametrize("grid", [(4, 3), (1, 1), (1, 5), (9, 8), (23, 16), (6, 13)])
def test_upsample_equals_the_naive_loop(grid):
    size, a = (9, 13), random_activation(*grid)
    scales = [(Fraction(n, g), (Fraction(n, g) - 1) / 2) for n, g in zip(size, grid, strict=True)]
    assert torch.allclose(upsample(a, size).double(), naive(a, size, scales, size), atol=1e-6)
    reference = functional.interpolate(a, size, mode="bilinear", align_corners=False)
    assert torch.allclose(upsample(a, size), reference, atol=1e-5)


@pytest.mark.parametrize("image_size", [None, (27, 26)])
def test_upsample_with_geometry_equals_the_naive_loop(image_size):
    size, a = (9, 13), random_activation(3, 4)
    geometry = Geometry(2.5, 1.0, 2.0, 2.5)
    scales = [(Fraction(5, 2), Fraction(1)), (Fraction(2), Fraction(5, 2))]
    got = upsample(a, size, geometry, image_size)
    assert torch.allclose(got.double(), naive(a, size, scales, image_size or size), atol=1e-6)
    assert not torch.allclose(got, upsample(a, size), atol=1e-2)


def test_geometry_puts_each_cell_on_its_centre():
    geometry, a = Geometry(16, 17, 16, 17), random_activation(13, 13)
    pixels = upsample(a, (227, 227), geometry)
    assert torch.equal(pixels[:, :, 17::16, 17::16][:, :, :13, :13], a)
    assert torch.equal(pixels[:, :, 0, 0], a[:, :, 0, 0])
    assert torch.equal(pixels[:, :, -1, -1], a[:, :, -1, -1])


def test_tiling_geometry_is_the_default():
    a = random_activation(4, 3)
    assert torch.equal(upsample(a, (12, 7), Geometry.tiling((4, 3), (24, 21)), (24, 21)), upsample(a, (12, 7)))


@pytest.mark.parametrize(("source", "target"), [(8, 56), (32, 32), (224, 32), (7, 49), (6, 18), (12, 132)])
def test_whole_places_are_hit_exactly(source, target):
    """float32 coordinates leak 5e-7 of a neighbour, which `> 0` turns into area (paper.md 9.3)."""
    for cell in range(source):
        a = torch.zeros(1, 1, source, 1)
        a[0, 0, cell] = 1
        active = {t for t, v in enumerate(upsample(a, (target, 1)).flatten().tolist()) if v > 0}
        places = [(t, Fraction(2 * t + 1, 2) * Fraction(source, target) - Fraction(1, 2)) for t in range(target)]
        places = [(t, min(max(p, Fraction(0)), Fraction(source - 1))) for t, p in places]
        assert active == {t for t, p in places if abs(p - cell) < 1}


def test_borders_are_not_dimmed_and_one_cell_is_constant():
    assert torch.equal(upsample(torch.ones(B, U, 14, 7), (56, 49)), torch.ones(B, U, 56, 49))
    a = random_activation(1, 1)
    assert torch.equal(upsample(a, (5, 7)), a.expand(B, U, 5, 7))


def test_same_size_is_unchanged():
    a = random_activation(5, 7)
    assert upsample(a, (5, 7)) is a
    assert torch.equal(upsample(a.half(), (5, 7)), a.half().float())


def test_down_sampling_touches_points_unless_antialiased():
    a = torch.zeros(1, 1, 128, 128)
    a[..., 0::4, :] = 1  # rows 1 and 2 of 4 are what a 32-pixel grid reads
    assert upsample(a, (32, 32)).count_nonzero() == 0
    assert torch.allclose(upsample(a, (32, 32), antialias=True).mean(), torch.tensor(0.25), atol=0.01)
    with pytest.raises(OptionError, match="antialias"):
        upsample(a, (32, 32), Geometry(1, 0, 1, 0), antialias=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.float64])
def test_maths_is_at_least_single_precision(dtype):
    a = random_activation(4, 3).abs().to(dtype)
    got = upsample(a, (9, 13))
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(got, upsample(a.to(got.dtype), (9, 13)))


@pytest.mark.parametrize("shape", [(2, 5), (2, 7, 5), (2, 5, 3, 4, 4), (2, 3, 0, 4)])
def test_activation_without_a_grid_is_told(shape):
    with pytest.raises(LayerError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
        upsample(torch.zeros(shape), (9, 13))


def test_impossible_sizes_are_told():
    with pytest.raises(OptionError, match="size"):
        upsample(torch.zeros(B, U, 2, 2), (0, 4))
    with pytest.raises(OptionError, match="convs"):
        receptive_geometry([(3, 1, 0, 1)])


def alexnet():
    model = nn.Sequential()
    for i, (kernel, _, stride, padding) in enumerate(ALEXNET):
        if kernel == 3 and stride == 2:
            model.append(nn.MaxPool2d(3, 2))
        else:
            model.append(nn.Conv2d(3 if i == 0 else 2, 2, kernel, stride, padding))
            model.append(nn.ReLU(inplace=True))
    return model


@pytest.mark.parametrize(
    ("count", "scale", "offset", "grid"),
    [(1, 4, 5, 55), (3, 8, 9, 27), (5, 16, 17, 13), (6, 16, 17, 13), (7, 16, 17, 13)],
)
def test_alexnet_table(count, scale, offset, grid):
    expected = Geometry(scale, offset, scale, offset)
    assert receptive_geometry(ALEXNET[:count]) == expected
    model = alexnet()
    convs = [i for i, m in enumerate(model) if isinstance(m, (nn.Conv2d, nn.MaxPool2d))]
    name, images = str(convs[count - 1]), torch.zeros(1, 3, 227, 227)
    assert layer_geometry(model, name, images) == expected
    assert model[: convs[count - 1] + 1](images).shape[-1] == grid


def centre_by_nan(model, images, axis, cell):
    """The middle of the pixels that reach a cell: those whose NaN does."""
    reach = []
    for pixel in range(images.shape[axis]):
        poisoned = images.clone()
        poisoned.select(axis, pixel).fill_(torch.nan)
        out = model(poisoned).select(axis, cell)
        if out.isnan().any():
            reach.append(pixel)
    return (reach[0] + reach[-1]) / 2


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, U, (3, 5), (2, 3), (0, 1), (2, 1)), nn.MaxPool2d(2, ceil_mode=True)),
        nn.Sequential(nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(3, U, 3, 2), nn.AvgPool2d(3, 2, 1), nn.BatchNorm2d(U)),
        nn.Sequential(nn.Conv2d(3, U, 3, 2), nn.ConvTranspose2d(U, 4, 3, 1, 1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ChannelShuffle(4)),
    ],
)
def test_layer_geometry_is_the_centre_of_what_reaches_a_cell(model):
    model, images = nn.Sequential(model).eval(), torch.randn(1, 3, 41, 53)
    geometry = layer_geometry(model, "0", images)
    assert geometry is not None
    centre = centre_by_nan(model, images, 2, 3), centre_by_nan(model, images, 3, 2)
    assert geometry.centre(3, 2) == pytest.approx(centre)


def test_transposed_convolution_undoes_a_convolution():
    model = nn.Sequential(nn.Conv2d(3, U, 4, 4, 1), nn.ConvTranspose2d(U, U, 4, 2, 0), nn.Conv2d(U, U, 3))
    # cell k of "1" is where 4 * (k + 0 - 1.5) / 2 + 0.5 says: the inverse of k -> 2 k + 1.5 after k -> 4 k + 0.5
    assert layer_geometry(model, "1", torch.zeros(1, 3, 41, 53)) == Geometry(2, -2.5, 2, -2.5)
    assert layer_geometry(model, "2", torch.zeros(1, 3, 41, 53)) == Geometry(2, -0.5, 2, -0.5)


class Residual(nn.Module):
    def __init__(self, padding):
        super().__init__()
        self.long, self.short = nn.Conv2d(3, U, 3, 2, padding), nn.Conv2d(3, U, 1, 2)

    def forward(self, x):
        return self.long(x) + self.short(x)[:, :, : (x.shape[2] + 1) // 2]


def test_paths_must_agree():
    images = torch.zeros(1, 3, 21, 23)
    assert layer_geometry(nn.Sequential(Residual(1)), "0", images) == Geometry(2, 0, 2, 0)

    class Torn(nn.Module):
        def forward(self, x):
            return functional.avg_pool2d(x, 2) + x[:, :, ::2, ::2] * 0 + functional.max_pool2d(x, 3, 2, 1)

    assert layer_geometry(nn.Sequential(Torn()), "0", torch.zeros(1, 3, 20, 24)) is None


def test_tilings_and_the_unknown_have_no_geometry():
    images = torch.zeros(2, 3, 24, 32)
    up, down = nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d((6, 8))
    same = nn.Sequential(nn.Conv2d(3, U, 3, padding=1), nn.MaxPool2d(2), up, down)
    assert all(layer_geometry(same, name, images) is None for name in "0123")
    flat = nn.Sequential(nn.Conv2d(3, U, 3), nn.Flatten(), nn.Linear(U * 22 * 30, U), nn.Unflatten(1, (U, 1, 1)))
    assert layer_geometry(flat, "0", images) == Geometry(1, 1, 1, 1)
    assert all(layer_geometry(flat, name, images) is None for name in "123")
    assert layer_geometry(nn.Sequential(nn.ConvTranspose2d(U, 4, 4)), "0", torch.zeros(1, U, 1, 1)) is None

    class Turned(nn.Module):
        def forward(self, x):
            return functional.avg_pool2d(x, 3, 2).transpose(2, 3)

    assert layer_geometry(nn.Sequential(Turned()), "0", torch.zeros(1, 3, 21, 21)) is None
