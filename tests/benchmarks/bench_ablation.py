"""What ablations cost, as a ratio to a plain forward pass and to whole-network runs; and the figures of the paper.

Run: python tests/benchmarks/bench_ablation.py [scenenet | vgg16 | figure2 | photos]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file

import unitlens as ul

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
#: Kinds of photos that MSRC v2 labels and the ImageNet classes that stand for them.
KINDS = {
    "cow": (345, 346, 347), "sheep": (348, 349, 350), "aeroplane": (404, 895),
    "car": (436, 468, 479, 511, 627, 656, 717, 751, 817), "bicycle": (444, 671),
    "bird": (*range(10, 21), *range(92, 100), *range(127, 147)), "cat": tuple(range(281, 286)),
    "dog": tuple(range(151, 269)), "boat": (472, 554, 576, 625, 814, 914, 484, 780, 871), "book": (921, 454, 624),
    "chair": (423, 559, 765, 857, 703), "sign": (919, 920),
}  # fmt: skip


def seconds(action: Callable[[], object]) -> float:
    """The time of one run."""
    start = perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def forward(model: torch.nn.Module, probe: ul.ProbeSet) -> None:
    """A plain pass over the probe set, in the batches that we use."""
    with torch.inference_mode():
        for batch in probe.batches(max(1, min(64, 2**20 // (probe.size[0] * probe.size[1])))):
            model(batch.images)


def naive(model: torch.nn.Module, layer: str, probe: ul.ProbeSet, units: range) -> float:
    """Seconds for these units, each by whole-network runs with a hook."""
    def one(unit: int) -> None:
        def off(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
            output[:, unit] = 0
            return output

        hook = model.get_submodule(layer).register_forward_hook(off)
        try:
            forward(model, probe)
        finally:
            hook.remove()

    return seconds(lambda: [one(unit) for unit in units])


def compare(name: str, model: torch.nn.Module, layer: str, probe: ul.ProbeSet, sample: int, units: int) -> None:
    """Forward pass and all single-unit ablations, twice in turns; naive runs of a sample."""
    forward(model, probe.subset(range(min(64, len(probe)))))
    times: dict[str, list[float]] = {"forward": [], "ours": []}
    for _ in range(2):
        times["forward"].append(seconds(lambda: forward(model, probe)))
        times["ours"].append(seconds(lambda: ul.rank_units(model, layer, probe, store=False, show_progress=False)))
    plain, ours = min(times["forward"]), min(times["ours"])
    whole = naive(model, layer, probe, range(sample)) / sample * units
    print(f"{name} {layer}: {units} units x {len(probe)} images: {ours:.2f} s, forward {plain:.2f} s = "
          f"{ours / plain:.2f} x; naive {whole:,.0f} s from {sample} units = {whole / ours:.0f} x ours; all {times}")


def scenenet() -> None:
    model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=5000)
    probe.prepare()
    images = torch.cat([batch.images for batch in probe.batches(256)])
    held = ul.ArrayProbe(images, class_labels=probe.class_labels, class_names=probe.class_names)
    compare("SceneNet", model, "conv5_3", held, 1, 160)


def vgg16() -> None:
    torch.manual_seed(0)
    model = torchvision.models.vgg16(weights=None).eval()
    scenes = torch.cat([batch.images for batch in ul.load_probe("scenes", count=64).batches(64)])
    images = torch.nn.functional.interpolate(scenes, (224, 224), mode="bilinear").clamp(0, 1).contiguous()
    names = [f"class {number}" for number in range(1000)]
    probe = ul.ArrayProbe(images, class_labels=np.arange(64) % 1000, class_names=names)
    compare("vgg16", model, "features.28", probe, 2, 512)


def figure2() -> None:
    """Figure 2 of the paper with SceneNet: ranked on 2,000 training scenes, measured on 1,000 others."""
    model, layer = ul.load_model("scenenet"), "conv5_3"
    train, held_out = ul.load_probe("scenes", count=2000), ul.load_probe("scenes", count=1000, seed="validation")
    ranking = ul.rank_units(model, layer, train, held_out=held_out)
    quick = ul.rank_units(model, layer, train, by="gradient")
    curve = ul.ablation_curve(model, layer, held_out, ranking, counts=[1, 2, 4, 8, 20, 40, 80, 140])
    print(curve.text())
    print(f"gradient x activation: {quick.agreement(ranking):.3f}; train against held-out: "
          f"{ranking.agreement(ranking.held_out):.3f}")  # fmt: skip
    for name, one in (("SceneNet", model), ("random twin", ul.load_model("scenenet", random=True))):
        served = ranking if one is model else ul.rank_units(one, layer, train)
        found = ul.roles(served, ul.dissect(one, layer, train))
        print(name, found.verdict())
        print(found.groups().round(3).to_string())


def photos() -> None:
    """The same curve for squeezenet1_1 on MSRC v2: kinds of which there are photos, by the label that covers most."""
    model = torchvision.models.squeezenet1_1(weights=None).eval()
    folder = REAL / "squeezenet1_1_imagenet"
    model.load_state_dict(load_file(next(folder.glob("*.safetensors"))))
    probe, classes = msrc()
    ready = ul.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=224)
    some = {"classes": classes, "preprocess": ready}
    odd, even = probe.subset(range(0, len(probe), 2)), probe.subset(range(1, len(probe), 2))
    ranking = ul.rank_units(model, "features.12", odd, held_out=even, **some)
    quick = ul.rank_units(model, "features.12", odd, by="gradient", **some)
    curve = ul.ablation_curve(model, "features.12", even, ranking, counts=[1, 4, 20, 100, 400], **some)
    print(curve.text())
    print(f"{len(odd)} photos to rank, {len(even)} to measure; gradient x activation: {quick.agreement(ranking):.3f}")


def msrc() -> tuple[ul.ProbeSet, dict[str, tuple[int, ...]]]:
    """Photos of which one of KINDS covers more than the others do, and the outputs for each kind that there is."""
    root = REAL / "msrc_v2"
    names = json.loads((root / "classes.json").read_text())["classes"]
    known = {int(number): name for number, name in names.items()}
    images, labels = [], []
    for path in sorted((root / "images").iterdir()):
        drawn = np.asarray(Image.open(next((root / "labels").glob(f"{path.stem}*"))))
        areas = {known.get(int(n), ""): int((drawn == n).sum()) for n in np.unique(drawn)}
        shown = {kind: area for kind, area in areas.items() if kind in KINDS}
        if shown:
            images.append(np.asarray(Image.open(path).convert("RGB").resize((320, 213))))
            labels.append(max(shown, key=lambda kind: shown[kind]))
    kinds = sorted(set(labels))
    probe = ul.ArrayProbe(np.stack(images), class_labels=[kinds.index(one) for one in labels], class_names=kinds)
    return probe, {kind: KINDS[kind] for kind in kinds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="scenenet", choices=["scenenet", "vgg16", "figure2", "photos"])
    globals()[parser.parse_args(sys.argv[1:]).what]()
