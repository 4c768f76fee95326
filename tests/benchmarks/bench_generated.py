"""What the dissection of a generator costs, as ratios, and the figures of the paper for SceneGenerator.

Run: python tests/benchmarks/bench_generated.py [cost | sweep | layers | removal | insertion | causal | artefacts | all]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch

import unitlens as ul
from unitlens.data.probe import Batch
from unitlens.segment.scenes import SceneLabels

LAYERS = [f"layer{number}" for number in range(1, 11)]
CONCEPTS = ("tree", "door", "window", "grass", "dome")
COUNTS = (4, 10, 20)
MIDDLE = ("layer3", "layer4", "layer5", "layer6")  # with 192 units each
QUIET: dict[str, Any] = {"show_progress": False}


def seconds(action: Callable[[], object]) -> float:
    """The time of one run."""
    start = perf_counter()
    action()
    return perf_counter() - start


def percent(share: Any) -> str:
    return f"{100 * share.value:5.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def plain(samples: Any) -> None:
    """Generation and segmentation, and nothing else."""
    segmenter = SceneLabels()
    with torch.inference_mode():
        for first in range(0, len(samples), 32):
            pictures = samples.generator.generate(samples.latents[first : first + 32])
            segmenter(Batch(pictures, torch.arange(len(pictures)), torch.full((len(pictures),), -1)))


def cost(count: int) -> None:
    """Dissection of all layers against generation and segmentation of the same samples, twice in turns."""
    samples = ul.from_generator(ul.load_model("scenegenerator"), count)
    plain(samples.subset(range(64)))
    both = [(seconds(lambda: plain(samples)), seconds(lambda: dissect(samples))) for _ in range(2)]
    floor, ours = (min(times) for times in zip(*both, strict=True))
    print(f"{count} samples, {len(LAYERS)} layers: {ours:.1f} s; generation and segmentation {floor:.1f} s; "
          f"{ours / floor:.2f} x; all {both}", flush=True)  # fmt: skip


def dissect(samples: Any) -> ul.Dissection:
    return ul.dissect(samples.generator, LAYERS, samples, store=False, **QUIET)


def sweep(count: int) -> None:
    """64 cells of each picture, against as many whole generations; both segmented, and the generation alone."""
    generator, layer = ul.load_model("scenegenerator"), "layer4"
    few, cells = min(count, 500), 64
    samples = ul.from_generator(generator, few)
    whole = ul.from_generator(generator, few * cells // 16)  # every sixteenth
    plain(samples.subset(range(64)))
    ours = seconds(lambda: ul.insertion_map(samples, layer, "door", range(20), 3.0, examples=0, store=False, **QUIET))
    naive = 16 * seconds(lambda: plain(whole))
    with torch.inference_mode():
        made = 16 * seconds(lambda: [generator.generate(part) for part in whole.latents.split(32)])
    print(f"{cells} cells x {few} pictures at {layer}: {ours:.1f} s; {few * cells} whole generations {made:.1f} s "
          f"({ours / made:.2f} x), with segmentation {naive:.1f} s ({ours / naive:.2f} x)", flush=True)  # fmt: skip


def dissected(count: int, *, random: bool = False) -> tuple[Any, ul.Dissection]:
    samples = ul.from_generator(ul.load_model("scenegenerator", random=random), count)
    return samples, ul.dissect(samples.generator, LAYERS, samples, **QUIET)


def layers(count: int) -> None:
    """Concepts per layer and category, trained and random."""
    for random in (False, True):
        _, found = dissected(count, random=random)
        print("random twin" if random else "trained", f"{count} samples")
        for layer in LAYERS:
            detectors = found.frame(layer).iou.ge(0.04).sum()
            print(f"  {layer}: {found.concept_counts(layer)}, {detectors} detectors", flush=True)


def learnt(samples: Any, found: ul.Dissection, layer: str, concept: str) -> list[int]:
    """All units by their learnt share, which begins with their IoU."""
    start = found.iou(layer)[:, found.vocabulary.index(concept)]
    few = samples.subset(range(min(1000, len(samples))))
    return [int(unit) for unit in ul.causal_units(few, layer, concept, start, **QUIET).units]


def by_iou(found: ul.Dissection, layer: str, concept: str) -> list[int]:
    """All units by their IoU."""
    iou = found.iou(layer)[:, found.vocabulary.index(concept)]
    return [int(unit) for unit in (-iou).argsort(kind="stable")]


def best_layer(samples: Any, concept: str, rankings: dict[str, list[int]], count: int = 20) -> str:
    """The layer in which the first units matter most to a concept, with as little harm to the rest as possible: the
    largest share removed less the share of everything else that changes; looked for on other samples than are
    measured."""
    scores = {}
    for layer, units in rankings.items():
        curve = ul.removal_curve(samples, layer, concept, units[:count], counts=(count,), draws=1, **QUIET)
        scores[layer] = curve.removed(0).value - curve.others_changed(0).value
        print(f"    {concept} {layer}: removed {percent(curve.removed(0))}, others {percent(curve.others_changed(0))}")
    return max(scores, key=lambda layer: scores[layer])


def removal(count: int) -> None:
    """The twenty best units for each concept removed, beside twenty random ones; ranked by learnt share and by IoU."""
    samples, found = dissected(count)
    choosing = ul.from_generator(samples.generator, 200, seed=1)
    measured = ul.from_generator(samples.generator, min(count, 1000), seed=2)
    for concept in CONCEPTS:
        rankings = {layer: learnt(samples, found, layer, concept) for layer in MIDDLE}
        layer = best_layer(choosing, concept, rankings)
        for ranking, units in (("ACE", rankings[layer]), ("IoU", by_iou(found, layer, concept))):
            curve = ul.removal_curve(measured, layer, concept, units[:20], counts=(20,), draws=8, **QUIET)
            print(f"  {concept} at {layer} by {ranking}: removed {percent(curve.removed(0))}, others changed "
                  f"{percent(curve.others_changed(0))}; random {percent(curve.removed_at_random(0))}, others "
                  f"{percent(curve.others_changed_at_random(0))}", flush=True)  # fmt: skip
        edit = ul.Ablate(layer, rankings[layer][:20])
        gone = ul.measure_content(measured, edit, concept=concept, examples=0, **QUIET)
        told = ", ".join(f"{c.name if c else 'nothing named'} {share:.0%}" for c, share in gone.instead()[:4])
        print(f"  {concept}: instead {told}", flush=True)


def insertion(count: int) -> None:
    """Doors and trees inserted at every cell, by what was there."""
    samples, found = dissected(count)
    measured = ul.from_generator(samples.generator, min(count, 500), seed=2)
    for layer, concept in (("layer4", "door"), ("layer4", "tree")):
        units = by_iou(found, layer, concept)[:20]
        inserted = ul.insertion_map(measured, layer, concept, units, 2 * found[layer].threshold[units], **QUIET)
        print(inserted.frame().to_string(), flush=True)


def causal(count: int) -> None:
    """Units by learnt causal effect against units by IoU and by information, removed."""
    samples, found = dissected(count)
    measured = ul.from_generator(samples.generator, 500, seed=2)
    for concept in ("tree", "door"):
        layer, place = "layer4", found.vocabulary.index(concept)
        information = found.metric("information", layer)[:, place]
        rankings = {"ACE": learnt(samples, found, layer, concept), "IoU": by_iou(found, layer, concept),
                    "information": (-information).argsort(kind="stable")}  # fmt: skip
        for name, units in rankings.items():
            curve = ul.removal_curve(measured, layer, concept, units[:20], counts=COUNTS, draws=2, **QUIET)
            told = ", ".join(f"{n} units {percent(curve.removed(i))} others {percent(curve.others_changed(i))}"
                             for i, n in enumerate(COUNTS))  # fmt: skip
            print(f"  {concept} by {name}: {told}", flush=True)


def artefacts(count: int) -> None:
    """Units whose removal makes the pictures better, if there are any."""
    samples = ul.from_generator(ul.load_model("scenegenerator"), min(count, 1000))
    print(ul.artefact_units(samples, "layer4", ul.load_probe("villages", count=1000), **QUIET).text())


PARTS = {part.__name__: part for part in (cost, sweep, layers, removal, insertion, causal, artefacts)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="cost", choices=[*PARTS, "all"])
    parser.add_argument("--count", type=int, default=5000)
    asked = parser.parse_args()
    for name in PARTS if asked.what == "all" else [asked.what]:
        print(name)
        PARTS[name](asked.count)
