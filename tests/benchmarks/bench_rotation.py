"""The paper's control of the unit basis: do directions of a rotated basis match as many concepts as the units?

Run: python tests/benchmarks/bench_rotation.py [images] [layer]
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np

import unitlens as ul

ROTATIONS = 5


def numbers(found: ul.Dissection) -> tuple[int, int, float, int]:
    """Detectors, their distinct concepts, the mean of the units' best IoU, and detectors that beat chance."""
    _, score = found.best()
    beats = int((found.chance().beats & (score >= found.min_iou)).sum())
    return len(found.detectors()), len(found.concepts()), float(score.mean()), beats


def bench(images: int = 1000, layer: str = "conv5_3") -> None:
    """SceneNet and its random twin over scenes: the unit basis against 5 random rotations."""
    probe = ul.load_probe("scenes", count=images)
    print(f"{layer}, {images:,} scenes, quantile .99, min IoU .04; rotations: mean of {ROTATIONS} (lowest to highest)")
    print(f"{'model':12s} {'ReLU first':10s} {'basis':10s} {'detectors':>18s} {'concepts':>18s} {'best IoU':>20s} "
          f"{'beat chance':>18s}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        store = ul.Store(folder)
        for random in (False, True):
            model = ul.load_model("scenenet", random=random)
            for after_relu in (True, False):
                options = {"after_relu": after_relu, "store": store, "show_progress": False}
                plain = ul.dissect(model, layer, probe, **options)
                units = plain.layer().units
                turned = [
                    numbers(ul.dissect(model, layer, probe, basis=ul.random_rotation(units, seed), **options))
                    for seed in range(ROTATIONS)
                ]
                name = "random twin" if random else "SceneNet"
                start = f"{name:12s} {'yes' if after_relu else 'no':10s}"
                d, c, score, beats = numbers(plain)
                print(f"{start} {f'{units} units':10s} {d:18d} {c:18d} {score:20.3f} {beats:18d}")
                table = np.array(turned)
                low, high, mean = table.min(0), table.max(0), table.mean(0)
                told = [f"{mean[i]:.1f} ({low[i]:.0f} to {high[i]:.0f})" for i in (0, 1, 3)]
                iou = f"{mean[2]:.3f} ({low[2]:.3f} to {high[2]:.3f})"
                print(f"{start} {'rotated':10s} {told[0]:>18s} {told[1]:>18s} {iou:>20s} {told[2]:>18s}", flush=True)


if __name__ == "__main__":
    bench(*(int(argument) if argument.isdigit() else argument for argument in sys.argv[1:]))
