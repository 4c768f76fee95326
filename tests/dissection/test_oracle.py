"""The engine against plain numpy on real scenes: order statistics, ranks and masks of every pixel. Run with -s for figures."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch

from unitlens.data.scenes import SCENE_CONCEPTS, SceneProbe
from unitlens.dissection import engine
from unitlens.dissection.engine import dissect
from unitlens.models.tiny import SceneNet
from unitlens.models.zoo import load_model

IMAGES, SIZE, GRID = 500, 64, (16, 16)
LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_2", "conv5_3")
#: Cell k of a block's grid is centred at image pixel k * scale + offset: conv1_1 has stride 2, kernel 3, padding 1 (scale 2,
#: offset 0); a 2x2 max pool doubles the scale and adds half of the old one to the offset.
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


def weights_of(cells: int, pixels: int, scale: float, offset: float) -> np.ndarray:
    """Row i holds the bilinear weights of the cells at pixel i of the grid, its edges clamped: float64 (pixels, cells)."""
    weights = np.zeros((pixels, cells))
    for i in range(pixels):
        place = min(max(((i + 0.5) * SIZE / pixels - 0.5 - offset) / scale, 0.0), cells - 1.0)
        low = int(place)
        weights[i, low] += 1 - (place - low)
        if place > low:
            weights[i, low + 1] += place - low
    return weights


def on_grid(raw: np.ndarray, grid: tuple[int, int], block: int) -> np.ndarray:
    """Bilinear upsampling as two products of matrices, in float64: (U, N H W), image after image."""
    rows = weights_of(raw.shape[2], grid[0], *CENTRES[block])
    columns = weights_of(raw.shape[3], grid[1], *CENTRES[block])
    pixels = rows @ raw.astype(np.float64) @ columns.T  # (N, U, H, W)
    return pixels.transpose(1, 0, 2, 3).reshape(raw.shape[1], -1)


def rounding(values: np.ndarray) -> np.ndarray:
    """What float32 may be off after two interpolations, per unit: (U, 1)."""
    return 4 * 2.0**-24 * np.abs(values).max(1, keepdims=True)


def rank_errors(values: np.ndarray, threshold: np.ndarray, quantile: float) -> np.ndarray:
    """How far the share of values above each threshold is from 1 - quantile, as a share of all values.

    A threshold is known to the rounding of float32; between its two ends the rank nearest to the goal counts.
    """
    count = values.shape[1]
    goal, slack = round(count * (1 - quantile)), rounding(values)
    most = (values > threshold[:, None] - slack).sum(1)
    least = (values > threshold[:, None] + slack).sum(1)
    return np.maximum(np.maximum(least - goal, goal - most), 0) / count


@pytest.fixture(scope="module")
def seen(probe) -> np.ndarray:
    """Whether every pixel of the grid shows every concept, by the label under its centre: float32 (N H W, C)."""
    masks = []
    for index in range(IMAGES):
        labels = probe.load([index]).truth.labels[0].numpy()  # (4, 64, 64)
        small = labels[:, 2::4, 2::4]  # the centre of pixel i of 16 lies at 4 i + 2 of 64
        shown = np.zeros((GRID[0] * GRID[1], len(SCENE_CONCEPTS) + 1), dtype=bool)
        for plane in small.reshape(4, -1):
            shown[np.arange(len(plane)), plane] = True
        masks.append(shown[:, 1:])
    return np.concatenate(masks).astype(np.float32)


def test_six_layers_over_500_scenes_equal_order_statistics_and_boolean_masks(probe, seen):
    model = load_model("scenenet", random=True)
    found = dissect(model, LAYERS, probe, grid=GRID, quantile=0.99, store=False, show_progress=False)
    raw = raw_activations(model, LAYERS, probe)
    area = seen.sum(0, dtype=np.float64)
    assert np.array_equal(found.concept_area, area)
    figures = []
    for name in LAYERS:
        values = on_grid(raw[name], GRID, int(name[4]))  # (U, 128000)
        units, count = values.shape
        tail = count // 100  # 1280 values may exceed the threshold
        expected = np.sort(values, axis=1)[:, count - tail - 1]
        threshold = found[name].threshold.astype(np.float64)
        offset = np.abs(threshold - expected) / np.abs(values).max(1)
        rank = rank_errors(values, threshold, 0.99)
        # the threshold is itself one of the values, so only what exceeds it by more than rounding is sure to fire
        fires = (values > threshold[:, None] + rounding(values)).astype(np.float32)
        both = fires.astype(np.float64) @ seen if units < 8 else (fires @ seen).astype(np.float64)  # whole numbers < 2^24
        either = fires.sum(1, dtype=np.float64)[:, None] + area - both
        iou = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
        wrong = np.abs(found.iou(name) - iou).max()
        figures.append(f"{name}: {units} units, threshold off {offset.max():.1e}, rank off {rank.max():.1e}, IoU off {wrong:.1e}")
        assert offset.max() < 1e-6 and rank.max() == 0
        assert fires.sum(1).max() <= tail
        assert wrong <= 1e-6
        assert found.iou(name).max() > 0.01
    print("", *figures, sep="\n")


def test_sampled_thresholds_stay_within_their_rank_error(monkeypatch):
    """More values than memory: 4.6 million a unit, of which the tail does not fit."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        model = SceneNet(blocks=((4, 5),)).eval()
    grid, probe = (96, 96), SceneProbe(IMAGES, size=SIZE).prepare(progress=False)
    made: OrderedDict[str, engine.TailQuantile] = OrderedDict()

    def remembered(*arguments, **options):
        made["conv1_2"] = engine_quantile(*arguments, **options)
        return made["conv1_2"]

    engine_quantile = engine.TailQuantile
    monkeypatch.setattr(engine, "MEMORY_MB", 0.1)
    monkeypatch.setattr(engine, "TailQuantile", remembered)
    found = dissect(model, "conv1_2", probe, grid=grid, quantile=0.995, store=False, show_progress=False)
    assert not made["conv1_2"].exact and made["conv1_2"].share < 0.6
    values = on_grid(raw_activations(model, ("conv1_2",), probe)["conv1_2"], grid, 1)
    rank = rank_errors(values, found["conv1_2"].threshold.astype(np.float64), 0.995)
    print(f"\n{values.shape[1]:,} values, {made['conv1_2'].share:.0%} drawn: rank off {rank.max():.1e}, allowed 3e-4")
    assert 0 < rank.max() <= made["conv1_2"].rank_error * 1.001 <= 3.01e-4
