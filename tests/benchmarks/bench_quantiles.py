"""One pass against exact numbers, at 20 quantiles. Run: python tests/benchmarks/bench_quantiles.py [images]

The exact numbers are order statistics and boolean masks of all activations, in numpy; they share no code with the
engine but the upsampling.
"""

from __future__ import annotations

import sys
from time import perf_counter

import numpy as np
import torch

import unitlens as ul
from unitlens.models.upsample import layer_geometry, upsample
from unitlens.stats.levels import tail_count

QUANTILES = np.r_[0.99, 1 - np.geomspace(0.03, 0.001, 19)].round(6)
GRID, CHUNK = (32, 32), 32


def on_grid(model: torch.nn.Module, probe: ul.ProbeSet, name: str) -> np.ndarray:
    """All activations of a layer on the pixel grid: float32 (U, N H W)."""
    parts = []
    with ul.capture(model, [name], stop=True) as captured:
        for batch in probe.batches(64):
            raw = captured.run(batch.images)[name]
            centres = layer_geometry(model, name, batch.images)
            up = upsample(raw, GRID, geometry=centres, image_size=probe.size)
            parts.append(up.transpose(0, 1).flatten(1).numpy())
    return np.concatenate(parts, 1)


def label_planes(probe: ul.ProbeSet) -> np.ndarray:
    """(K, N H W), 0 = none."""
    parts = [batch.truth.resized(GRID).labels for batch in probe.batches(64) if batch.truth is not None]
    return torch.cat(parts).transpose(0, 1).flatten(1).numpy().astype(np.int64)


def exact_counts(values: np.ndarray, planes: np.ndarray, concepts: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For every quantile: pixels above the threshold, int64 (U,), and those of each concept, int64 (U, C)."""
    pixels = values.shape[1]
    order = np.argpartition(values, pixels - int(0.031 * pixels), axis=1)[:, pixels - int(0.031 * pixels) :]
    kept = np.take_along_axis(values, order, 1)
    down = np.argsort(-kept, axis=1, kind="stable")
    kept, order = np.take_along_axis(kept, down, 1), np.take_along_axis(order, down, 1)
    found = []
    for quantile in QUANTILES:
        allowed = tail_count(pixels, float(quantile))
        above = (kept > kept[:, allowed, None]).sum(1)
        both = np.zeros((len(values), concepts + 1), dtype=np.int64)
        for unit, count in enumerate(above):
            for plane in planes:
                both[unit] += np.bincount(plane[order[unit, :count]], minlength=concepts + 1)
        found.append((above, both[:, 1:]))
    return found


def bench_quantiles(images: int = 2000) -> None:
    """Largest rank and IoU errors, labels that differ, milliseconds for another quantile."""
    model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=images)
    names = [name for name in ul.layers(model) if name.startswith("conv")]
    found = ul.dissect(model, names, probe, store=False, show_progress=False)
    reads = [found.at(float(quantile)) for quantile in QUANTILES]
    started = perf_counter()
    for quantile in QUANTILES:
        read = found.at(min(0.9989, float(quantile) + 1e-6))
        for name in names:
            read.iou(name)
    each = (perf_counter() - started) / len(QUANTILES) * 1000
    planes, concepts = label_planes(probe), len(found.vocabulary)
    worst, rank = np.zeros(len(QUANTILES)), np.zeros(len(QUANTILES))
    same = total = 0
    for name in names:
        values = on_grid(model, probe, name)
        for at, (above, both) in enumerate(exact_counts(values, planes, concepts)):
            union = above[:, None] + found.concept_area - both
            iou = np.divide(both, union, out=np.zeros(union.shape), where=union > 0)
            worst[at] = max(worst[at], np.abs(iou - reads[at].iou(name)).max())
            mine = (values > reads[at][name].threshold[:, None]).mean(1)
            exact_share = tail_count(values.shape[1], float(QUANTILES[at])) / values.shape[1]
            live = above == tail_count(values.shape[1], float(QUANTILES[at]))  # no ties at the threshold
            rank[at] = max(rank[at], np.abs(mine - exact_share)[live].max(initial=0))
            if at == 0:
                either = (iou.max(1) >= 0.04) | (reads[0].best(name)[1] >= 0.04)
                same += int((iou.argmax(1) == reads[0].best(name)[0])[either].sum())
                total += int(either.sum())
    print(f"{images:,} scenes, {len(names)} layers, units redone: {found.notes['redone'] or 'none'}")
    print(f"quantile 0.99: rank off {rank[0]:.1e}, IoU off {worst[0]:.1e}, same label {same} of {total} detectors")
    print(f"20 quantiles 0.97..0.999: IoU off at most {worst.max():.1e}, rank {rank.max():.1e}; {each:.0f} ms each")
    for quantile, iou_off, rank_off in zip(QUANTILES, worst, rank, strict=True):
        print(f"  {quantile:.5f}  IoU off {iou_off:.1e}  rank off {rank_off:.1e}")


if __name__ == "__main__":
    bench_quantiles(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
