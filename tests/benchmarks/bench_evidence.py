"""How far intervals and the chance control can be trusted.

Run: python tests/benchmarks/bench_evidence.py [draws] [size]

Coverage: SceneNet is dissected on many disjoint sets of 1,000 scenes, and once on all of them together; a 90 %
interval should hold the IoU on all of them in about 90 % of the sets.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import numpy as np

import unitlens as ul
from unitlens.data.scenes import SceneProbe

LAYERS = ["conv4_3", "conv5_3"]
EACH = 1000


def bench_coverage(draws: int = 24, size: int = 64) -> None:
    """Share of the sets whose interval holds the IoU over all sets, for every unit's best concept and for all pairs."""
    model = ul.load_model("scenenet")
    with tempfile.TemporaryDirectory() as folder:
        store = ul.Store(folder)
        world = SceneProbe(draws * EACH, seed=77, size=size).prepare()
        truth = ul.dissect(model, LAYERS, world, store=store)
        holds: dict[str, list[np.ndarray]] = {name: [] for name in ("best", "all", "detectors", "concepts")}
        width = []
        counted: dict[str, list[Any]] = {name: [] for name in LAYERS}
        for draw in range(draws):
            some = world.subset(range(draw * EACH, (draw + 1) * EACH))
            found = ul.dissect(model, LAYERS, some, store=store, show_progress=False)
            for name in LAYERS:
                low, high = found.intervals(name)
                goal = truth.iou(name)
                known = ~np.isnan(low)
                inside = (low <= goal) & (goal <= high)
                best, score = truth.best(name)
                detector = score >= truth.min_iou
                rows = np.flatnonzero(detector)
                at = rows, best[rows]
                holds["best"].append(inside[at][known[at]])
                holds["all"].append(inside[known & (goal >= 0.01)])
                width.append((high - low)[at][known[at]] / goal[at][known[at]])
                counted[name].append(found.counts(name))
    for name, told in counted.items():  # what other sets of the same size give; more images give fewer detectors
        for what in ("detectors", "concepts"):
            usual = np.mean([getattr(one, what) for one in told])
            low, high = ([getattr(one, f"{what}_{end}") for one in told] for end in ("low", "high"))
            holds[what].append((np.array(low) <= usual) & (usual <= np.array(high)))
            own = len(getattr(truth, what)(name))
            print(f"{name}: {usual:.1f} {what} in a set of {EACH}, {own} in all images together")
    print(f"{draws} sets of {EACH} scenes of {size} px, {', '.join(LAYERS)}; truth: all {draws * EACH:,} scenes")
    for name, told in (
        ("best", "each detector's own concept"), ("all", "all pairs of IoU >= .01"),
        ("detectors", "mean number of detectors in such a set"), ("concepts", "mean number of concepts in such a set"),
    ):  # fmt: skip
        flat = np.concatenate(holds[name])
        print(f"90 % interval holds the truth: {flat.mean():.1%} of {len(flat):,} ({told})")
    print(f"median width: {np.median(np.concatenate(width)):.0%} of the IoU")


def bench_chance(images: int = 2000) -> None:
    """Detectors that beat the labels of other images: the trained net and its random twin."""
    probe = ul.load_probe("scenes", count=images)
    for random in (False, True):
        model = ul.load_model("scenenet", random=random)
        names = [name for name in ul.layers(model) if name.startswith("conv")]
        found = ul.dissect(model, names, probe, show_progress=False)
        frame = found.frame()
        both = frame[frame.detector & frame.beats_chance]
        label = "random twin" if random else "SceneNet"
        print(
            f"{label}: {len(frame)} units, {int(frame.detector.sum())} detectors, {len(both)} of them beat chance; "
            f"of all units {frame.beats_chance.mean():.1%} beat it"
        )
        for name in ("conv1_2", "conv3_3", "conv5_3"):
            chance = found.chance(name)
            some = found.best(name)[1] >= found.min_iou
            count = int((some & chance.beats).sum())
            print(f"  {name}: {int(some.sum())} detectors, {count} beat chance, level {chance.level:.3f}")


if __name__ == "__main__":
    bench_chance()
    bench_coverage(*(int(number) for number in sys.argv[1:]))
