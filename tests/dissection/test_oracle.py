"""The engine against plain numpy on 500 scenes: order statistics, ranks and masks of all pixels. -s prints figures."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch

from unitlens.data.scenes import SCENE_CONCEPTS, SceneProbe
from unitlens.dissection import bracketing
from unitlens.dissection.engine import dissect
from unitlens.models.tiny import SceneNet
from unitlens.models.zoo import load_model

IMAGES, SIZE, GRID = 500, 64, (16, 16)
LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_2", "conv5_3")
#: Cell k of a block's grid is centred at image pixel k * scale + offset: conv1_1 has stride 2, kernel 3, padding 1
#: (scale 2, offset 0); a 2x2 max pool doubles the scale and adds half of the old one to the offset.
CENTRES = {1: (2, 0.0), 2: (4, 1.0), 3: (8, 3.0), 4: (8, 3.0), 5: (16, 7.0)}


@pytest.fixture(scope="module")
def probe() -> SceneProbe:
    return SceneProbe(IMAGES, size=SIZE).prepare(progress=False)


def raw_activations(model: torch.nn.Module, layers: tuple[str, ...], probe: SceneProbe) -> dict[str, np.ndarray]:
    """What the layers return, module after module without our hooks: (N, U, h, w)."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    for first in range(0, len(probe), 100):
        value = probe.load(range(first, min(len(probe), first + 100))).images
        for name, module in model.named_children():
            value = module(value)
            if name in parts:
                parts[name].append(value.detach().numpy())
            if name == layers[-1]:
                break
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def between(low: np.ndarray, high: np.ndarray, share: float, fused: bool) -> np.ndarray:
    """Linear interpolation in float32, from the nearer end. `fused` rounds once, as processors with a fused
    multiply-add do; otherwise the product is rounded too."""
    step, weight = high - low, np.float32(share)
    start, factor = (low, weight) if weight < 0.5 else (high, weight - np.float32(1))
    if fused:
        return (step.astype(np.float64) * np.float64(factor) + start).astype(np.float32)
    return step * factor + start


def interpolated(values: np.ndarray, axis: int, pixels: int, centres: tuple[int, float], fused: bool) -> np.ndarray:
    """One axis of an activation at the pixels of the grid, the edges clamped."""
    (scale, offset), cells, lines = centres, values.shape[axis], []
    for i in range(pixels):
        place = min(max(((i + 0.5) * SIZE / pixels - 0.5 - offset) / scale, 0.0), cells - 1.0)
        low = int(place)
        ends = (values.take(k, axis) for k in (low, min(low + 1, cells - 1)))
        lines.append(between(*ends, place - low, fused))
    return np.stack(lines, axis)


def on_grid(raw: np.ndarray, grid: tuple[int, int], block: int, fused: bool = True) -> np.ndarray:
    """Bilinear upsampling, columns first: float32 (U, N H W), image after image."""
    wide = interpolated(raw, 3, grid[1], CENTRES[block], fused)
    pixels = interpolated(wide, 2, grid[0], CENTRES[block], fused)  # (N, U, H, W)
    return pixels.transpose(1, 0, 2, 3).reshape(raw.shape[1], -1)


def rank_errors(values: np.ndarray, threshold: np.ndarray, quantile: float) -> np.ndarray:
    """How far the share of values above each threshold is from 1 - quantile, as a share of all values."""
    return np.abs((values > threshold[:, None]).mean(1) - (1 - quantile))


@pytest.fixture(scope="module")
def seen(probe) -> np.ndarray:
    """Whether every pixel of the grid shows every concept, by the label under its centre: float32 (N H W, C)."""
    shown_in = []
    for index in range(IMAGES):
        labels = probe.load([index]).truth.labels[0].numpy()  # (4, 64, 64)
        small = labels[:, 2::4, 2::4]  # the centre of pixel i of 16 lies at 4 i + 2 of 64
        shown = np.zeros((GRID[0] * GRID[1], len(SCENE_CONCEPTS) + 1), dtype=bool)
        for plane in small.reshape(4, -1):
            shown[np.arange(len(plane)), plane] = True
        shown_in.append(shown[:, 1:])
    return np.concatenate(shown_in).astype(np.float32)


def test_six_layers_over_500_scenes_equal_order_statistics_and_boolean_masks(probe, seen):
    model = load_model("scenenet", random=True)
    found = dissect(model, LAYERS, probe, grid=GRID, quantile=0.99, exact=True, store=False, show_progress=False)
    raw = raw_activations(model, LAYERS, probe)
    area = seen.sum(0, dtype=np.float64)
    assert np.array_equal(found.concept_area, area)
    for name in LAYERS:
        threshold, tail = found[name].threshold, IMAGES * GRID[0] * GRID[1] // 100  # 1280 values may exceed it
        for fused in (True, False):  # one of the two is how this machine computes
            values = on_grid(raw[name], GRID, int(name[4]), fused)  # (U, 128000)
            exact = np.sort(values, axis=1)[:, -tail - 1] == threshold
            if exact.all():
                break
        fires = (values > threshold[:, None]).astype(np.float32)
        both = (fires @ seen).astype(np.float64)  # whole numbers below 2^24: exact in float32
        either = fires.sum(1, dtype=np.float64)[:, None] + area - both
        iou = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
        wrong = np.abs(found.iou(name) - iou).max()
        print(f"\n{name}: {exact.sum()} of {len(exact)} thresholds exact, IoU off {wrong:.1e}", end="")
        assert exact.all(), "rank error 0"
        assert wrong <= 1e-6
        assert fires.sum(1).max() <= tail and iou.max() > 0.01


def test_sampled_thresholds_stay_within_their_rank_error(monkeypatch):
    """More values than memory: 4.6 million a unit, of which the tail does not fit."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        model = SceneNet(blocks=((4, 5),)).eval()
    grid, probe = (96, 96), SceneProbe(IMAGES, size=SIZE).prepare(progress=False)
    made: OrderedDict[str, bracketing.TailQuantile] = OrderedDict()

    def remembered(*arguments, **options):
        made["conv1_2"] = engine_quantile(*arguments, **options)
        return made["conv1_2"]

    engine_quantile = bracketing.TailQuantile
    monkeypatch.setattr(bracketing, "MEMORY_MB", 0.1)
    monkeypatch.setattr(bracketing, "TailQuantile", remembered)
    found = dissect(model, "conv1_2", probe, grid=grid, quantile=0.995, exact=True, store=False, show_progress=False)
    assert not made["conv1_2"].exact and made["conv1_2"].share < 0.6
    values = on_grid(raw_activations(model, ("conv1_2",), probe)["conv1_2"], grid, 1)
    rank = rank_errors(values, found["conv1_2"].threshold, 0.995)
    print(f"\n{values.shape[1]:,} values, {made['conv1_2'].share:.0%} drawn: rank off {rank.max():.1e}, allowed 3e-4")
    assert 0 < rank.max() <= made["conv1_2"].rank_error * 1.001 <= 3.01e-4
