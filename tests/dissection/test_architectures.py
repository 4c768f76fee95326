"""Transformers, channels-last and depthwise networks through `dissect`, against plain numpy. -s prints a time.

The oracle knows of each layer where its cells lie in the image, from the strides, kernels and paddings written here.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from unitlens.data.concepts import Vocabulary
from unitlens.data.folder import from_folder
from unitlens.data.probe import ArrayProbe, ProbeSet
from unitlens.display import pixels
from unitlens.dissection.engine import dissect
from unitlens.dissection.look import look
from unitlens.dissection.result import Dissection
from unitlens.errors import LayerError
from unitlens.models.preprocess import Normalize

WORDS = Vocabulary([("left", "object"), ("blob", "part"), ("stripe", "part"), ("dark", "colour"), ("never", "object")])
REAL = Path(__file__).resolve().parents[3] / "shared" / "real"

Lines = tuple[float, float]  # the centre of cell k lies at pixel k * scale + offset, alike on both axes


def probe_of(images: int, size: tuple[int, int], seed: int = 0) -> ArrayProbe:
    """Pictures with a gradient and a blob, labelled in two planes; the third word stands in both of them."""
    rng = np.random.RandomState(seed)
    height, width = size
    pictures = 0.4 * rng.random_sample((images, 3, *size)) + 0.3 * rng.random_sample((images, 3, 1, 1))
    labels = np.zeros((images, 2, *size), dtype=np.int16)
    for n in range(images):
        y, x = rng.randint(height // 2), rng.randint(width // 2)
        pictures[n, n % 3, y : y + height // 2, x : x + width // 3] += 0.3
        labels[n, 0, y : y + height // 2, x : x + width // 3] = 2
        labels[n, 1, :, : rng.randint(2, width)] = 1
        labels[n, :, rng.randint(height - 3) :][:, :3] = 3
        labels[n, 1][pictures[n].sum(0) < 0.8] = 4
    pictures = torch.from_numpy(pictures.astype(np.float32))
    return ArrayProbe(pictures, labels=torch.from_numpy(labels), vocabulary=WORDS)


def patches(size: int) -> Lines:
    """Where the cells of patches lie: they tile the image."""
    return size, (size - 1) / 2


def one_axis(values: np.ndarray, axis: int, pixels: int, image: int, lines: Lines) -> np.ndarray:
    """Linear interpolation along an axis at the centres of `pixels` equal parts of the image; the ends go on."""
    cells = values.shape[axis]
    place = ((np.arange(pixels) + 0.5) * image / pixels - 0.5 - lines[1]) / lines[0]
    place = place.clip(0, cells - 1)
    low = np.floor(place).astype(int)
    share = (place - low).reshape([-1 if i == axis else 1 for i in range(4)])
    return values.take(low, axis) * (1 - share) + values.take(np.minimum(low + 1, cells - 1), axis) * share


def oracle(raw: np.ndarray, probe: ProbeSet, grid: tuple[int, int], quantile: float, lines: Lines):
    """Thresholds (U,), the order statistics, and IoU (U, C), from activations (N, U, h, w)."""
    image = probe.size
    values = one_axis(one_axis(raw.astype(np.float64), 3, grid[1], image[1], lines), 2, grid[0], image[0], lines)
    values = values.astype(np.float32).transpose(1, 0, 2, 3).reshape(raw.shape[1], -1)  # (U, N H W)
    allowed = int(values.shape[1] * (1 - quantile) + 1e-6)
    thresholds = np.sort(values, axis=1)[:, -allowed - 1]
    labels = torch.cat([batch.truth.labels for batch in probe.batches(8)]).numpy()
    rows = [int((r + 0.5) * image[0] / grid[0]) for r in range(grid[0])]
    columns = [int((c + 0.5) * image[1] / grid[1]) for c in range(grid[1])]
    planes = labels[:, :, rows][:, :, :, columns]
    concepts = len(probe.vocabulary)
    seen = np.stack([(planes == c + 1).any(1).ravel() for c in range(concepts)], 1).astype(np.float32)
    fires = (values > thresholds[:, None]).astype(np.float32)
    both = (fires @ seen).astype(np.float64)  # whole numbers below 2^24: exact
    either = fires.sum(1, dtype=np.float64)[:, None] + seen.sum(0, dtype=np.float64) - both
    return thresholds, np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def outputs(model: nn.Module, name: str, images: Tensor) -> list[Tensor]:
    """What every call of a module returns, by a hook of our own."""
    kept: list[Tensor] = []
    hook = model.get_submodule(name).register_forward_hook(lambda _, __, output: kept.append(output.clone()))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    return kept


def check(
    found: Dissection, name: str, raw: Tensor, probe: ProbeSet, lines: Lines, units: int, quantile: float
) -> None:
    """A layer's thresholds, IoU and top images are those of the oracle."""
    grid = tuple(found.recipe["grid"])
    thresholds, table = oracle(raw.numpy(), probe, grid, quantile, lines)
    assert found[name].units == units == raw.shape[1]
    np.testing.assert_allclose(found[name].threshold, thresholds, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.iou(name), table, atol=1e-6)
    assert table.max() > 0.05, "there is something to be found"
    peaks = raw.amax((2, 3)).numpy()
    value = found[name].top_value[:, : len(peaks)]
    np.testing.assert_allclose(value, -np.sort(-peaks, axis=0).T[:, : value.shape[1]], rtol=1e-5, atol=1e-6)


def measured(model: nn.Module, names, probe: ProbeSet, quantile: float, **options) -> Dissection:
    return dissect(model, names, probe, quantile=quantile, exact=True, store=False, show_progress=False, **options)


# ---- transformers ----------------------------------------------------------------------------------------------


def small_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    torch.manual_seed(1)
    model = VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=12, mlp_dim=20, num_classes=3
    )  # fmt: skip
    return model.eval()


def test_tokens_of_a_vision_transformer_are_a_grid_after_the_class_token():
    model, probe = small_vit(), probe_of(18, (32, 32))
    layers = ["conv_proj", "encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1.mlp", "encoder.ln"]
    found = measured(model, layers, probe, 0.95, grid=(12, 10), batch_size=7)
    for name in layers:
        (raw,) = outputs(model, name, probe.images)
        if raw.ndim == 3:  # (N, 1 + 16, 12)
            raw = raw[:, 1:].transpose(1, 2).reshape(18, 12, 4, 4)
        check(found, name, raw, probe, patches(8), 12, 0.95)


class RegisterViT(nn.Module):
    """Patches of 8 px, a class token and 4 registers in front, one block with attention."""

    def __init__(self, units: int = 10):
        super().__init__()
        torch.manual_seed(2)
        self.patch = nn.Conv2d(3, units, 8, 8)
        self.extra = nn.Parameter(10 * torch.randn(1, 5, units))  # would be every unit's peak
        self.attention = nn.MultiheadAttention(units, 2, batch_first=True)
        self.norm = nn.LayerNorm(units)
        self.head = nn.Linear(units, 3)

    def forward(self, x):
        tokens = self.patch(x).flatten(2).mT
        tokens = torch.cat([self.extra.expand(len(tokens), -1, -1), tokens], 1)
        return self.head(self.norm(tokens + self.attention(tokens, tokens, tokens)[0])[:, 0])


def test_register_tokens_of_a_non_square_transformer_are_left_out():
    model, probe = RegisterViT().eval(), probe_of(17, (24, 40))
    found = measured(model, ["patch", "norm"], probe, 0.93, grid=(9, 20), batch_size=4)
    (patch,), (norm,) = (outputs(model, name, probe.images) for name in ("patch", "norm"))
    assert norm.shape == (17, 5 + 15, 10)
    check(found, "patch", patch, probe, patches(8), 10, 0.93)
    check(found, "norm", norm[:, 5:].mT.reshape(17, 10, 3, 5), probe, patches(8), 10, 0.93)


def test_a_layer_that_returns_a_tuple_names_its_tensors():
    model, probe = RegisterViT().eval(), probe_of(17, (24, 40))
    with pytest.raises(LayerError, match=r"'attention\[0\]' \(1, 20, 10\)"):
        measured(model, "attention", probe, 0.93)
    kept: list[Tensor] = []
    hook = model.attention.register_forward_hook(lambda _, __, output: kept.append(output[0].clone()))
    with torch.no_grad():
        model(probe.images)
    hook.remove()
    found = measured(model, "attention[0]", probe, 0.93, grid=(6, 10))
    check(found, "attention[0]", kept[0][:, 5:].mT.reshape(17, 10, 3, 5), probe, patches(8), 10, 0.93)


def test_channels_last_of_a_swin_transformer():
    from torchvision.models import SwinTransformer

    torch.manual_seed(3)
    model = SwinTransformer(
        patch_size=[4, 4], embed_dim=12, depths=[1, 2], num_heads=[2, 3], window_size=[4, 4],
        stochastic_depth_prob=0.0, num_classes=3,
    ).eval()  # fmt: skip
    probe = probe_of(17, (32, 48))
    layers = ["features.0", "features.1", "features.3", "norm"]
    found = measured(model, layers, probe, 0.96, grid=(16, 12), batch_size=5)
    for name in layers:
        (raw,) = outputs(model, name, probe.images)
        patch, units = (4, 12) if name in ("features.0", "features.1") else (8, 24)
        assert raw.shape == (17, 32 // patch, 48 // patch, units)
        check(found, name, raw.permute(0, 3, 1, 2), probe, patches(patch), units, 0.96)


def test_vit_b_16_at_full_size():
    from torchvision.models import vit_b_16

    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = vit_b_16(weights=None).eval()
    probe = probe_of(4, (224, 224))
    layers = ["encoder.layers.encoder_layer_5", "encoder.layers.encoder_layer_11"]
    started = perf_counter()
    kept = [outputs(model, name, probe.images)[0] for name in layers]
    forward = (perf_counter() - started) / 2
    started = perf_counter()
    found = measured(model, layers, probe, 0.99)
    took = perf_counter() - started
    print(f"\nvit_b_16, 4 images of 224 px, 2 layers of 768 units: {took:.1f} s, a forward pass {forward:.1f} s")
    assert found.recipe["grid"] == [56, 56]
    for name, tokens in zip(layers, kept, strict=True):
        check(found, name, tokens[:, 1:].mT.reshape(4, 768, 14, 14), probe, patches(16), 768, 0.99)


# ---- convolutions ----------------------------------------------------------------------------------------------


class Twice(nn.Module):
    """One convolution that is called on a grid of 8 x 12 and, after pooling, on one of 4 x 6."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.stem = nn.Conv2d(3, 5, 2, 2)
        self.shared = nn.Conv2d(5, 5, 3, padding=1)

    def forward(self, x):
        x = self.shared(self.stem(x)).relu_()  # in place, after the layer
        return self.shared(nn.functional.max_pool2d(x, 2)).mean((2, 3))


@pytest.mark.parametrize(("call", "position"), [("first", 0), ("last", 1), (0, 0), (1, 1)])
@pytest.mark.parametrize("images", [17, 9])
def test_a_layer_that_is_called_twice(call, position, images):
    model, probe = Twice().eval(), probe_of(images, (16, 24))
    found = measured(model, "shared", probe, 0.94, call=call, grid=(10, 9), batch_size=4)
    calls = outputs(model, "shared", probe.images)
    assert [tuple(one.shape[2:]) for one in calls] == [(8, 12), (4, 6)]
    check(found, "shared", calls[position], probe, patches((2, 4)[position]), 5, 0.94)


def test_a_layer_that_is_called_twice_has_to_be_told_which_call():
    with pytest.raises(LayerError, match="call"):
        measured(Twice(), "shared", probe_of(9, (16, 24)), 0.94)


def with_depthwise() -> nn.Module:
    from torchvision.models import MobileNetV2

    torch.manual_seed(6)
    # expansion, channels, repeats, stride
    setting = [[1, 6, 1, 1], [3, 10, 2, 2], [2, 12, 2, 2]]
    return MobileNetV2(num_classes=3, inverted_residual_setting=setting).eval()


@pytest.mark.parametrize("after_relu", [False, True])
def test_depthwise_convolutions_residual_sums_and_relu6(after_relu):
    """Each stride 2 has kernel 3 and padding 1: cell k lies at pixel scale * k, which is no tiling."""
    model, probe = with_depthwise(), probe_of(17, (32, 40))
    depths = {"features.1": (2, 8), "features.3": (4, 16), "features.3.conv.1": (4, 48), "features.5.conv.1.0": (8, 32)}
    found = measured(model, list(depths), probe, 0.95, grid=(10, 16), after_relu=after_relu, batch_size=6)
    for name, (scale, units) in depths.items():
        (raw,) = outputs(model, name, probe.images)
        raw = raw.relu() if after_relu else raw
        check(found, name, raw, probe, (scale, 0), units, 0.95)


@pytest.fixture(scope="module")
def photos() -> ProbeSet:
    if not REAL.is_dir():
        pytest.skip("../shared is not here: the weights and photos are not ours to ship")
    folder = REAL / "msrc_v2"
    names = {int(value): name for value, name in json.loads((folder / "classes.json").read_text())["classes"].items()}
    whole = from_folder(folder / "images", masks=folder / "labels", names=names, size=224)
    return whole.subset(range(0, len(whole), 18))


def trained_mobilenet() -> nn.Module:
    from torchvision.models import mobilenet_v2

    model = mobilenet_v2(weights=None)
    weights = load_file(REAL / "mobilenet_v2_imagenet" / "mobilenet_v2_imagenet_fp16.safetensors")
    model.load_state_dict({name: value.float() if value.is_floating_point() else value for name, value in
                           weights.items()})  # fmt: skip
    return model.eval()


def test_a_trained_mobilenet_on_photos(photos):
    model, prepare = trained_mobilenet(), Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    depths: dict[str, tuple[int, int]] = {"features.3.conv.1": (4, 144), "features.16": (32, 160)}
    found = measured(model, list(depths), photos, 0.99, preprocess=prepare)
    assert len(photos) == 17 and found.notes["skipped"] == 0
    images = torch.cat([batch.images for batch in photos.batches(8)])
    for name, (scale, units) in depths.items():
        (raw,) = outputs(model, name, (images - 0.5) / 0.5)
        check(found, name, raw, photos, (scale, 0), units, 0.99)


def test_places_are_told_in_the_pictures_pixels_where_the_model_sees_larger_ones():
    """A unit of stride 4 that sees red, behind a resize to twice the size: its cells lie 2 picture pixels apart."""
    net = nn.Sequential(nn.Conv2d(3, 1, 1, stride=4, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1))
    images = torch.rand(20, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    twice = Normalize((0, 0, 0), (1, 1, 1), size=(48, 64))
    labels = torch.zeros(20, 1, 24, 32, dtype=torch.int16)
    probe = ArrayProbe(images, labels=labels, vocabulary=Vocabulary([("it", "object")]))
    found = dissect(net, "0", probe, preprocess=twice, grid=(24, 32), store=False, show_progress=False)
    assert found["0"].geometry == (2.0, -0.25, 2.0, -0.25)  # model pixel 4 k is centred at picture pixel 2 k - 1/4
    one = look(net, images[3], found)
    top = found["0"].top_index[0].tolist()
    if 3 in top:
        kept = found["0"].top_map[0][top.index(3)]
        assert np.array_equal(one.maps[0], kept)
    place, above = found["0"].geometry, float(found["0"].threshold[0])
    shown = pixels.mask(one.maps.astype(np.float32), above, (24, 32), geometry=place)
    assert (shown[0] != one.fires[0]).mean() < 0.01  # maps are kept in float16
