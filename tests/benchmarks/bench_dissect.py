"""What a dissection costs, as a ratio to a plain forward pass over the same images in the same run.

Run: python tests/benchmarks/bench_dissect.py [vgg16 | scenenet | gpu | memory] [--profile]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from time import perf_counter

import torch
import torchvision

import unitlens as ul
from unitlens.data.probe import ArrayProbe
from unitlens.dissection.labeller import draws_for
from unitlens.dissection.pilot import COARSE, edge_count


def seconds(action: Callable[[], object]) -> float:
    """The time of one run."""
    start = perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def forward(model: torch.nn.Module, probe: ul.ProbeSet, batch_size: int, half: bool = False) -> None:
    """A plain pass over the probe set."""
    device = next(model.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.float16, enabled=half):
        for batch in probe.batches(batch_size):
            model(batch.images.to(device))


def natural(images: int, size: int) -> torch.Tensor:
    """Pictures with the smoothness of photos: scenes, enlarged; float32 (N, 3, size, size)."""
    scenes = ul.load_probe("scenes", count=images)
    pictures = torch.cat([batch.images for batch in scenes.batches(64)])
    return torch.nn.functional.interpolate(pictures, (size, size), mode="bilinear").clamp(0, 1).contiguous()


def labelled(images: torch.Tensor, concepts: int, planes: int, grid: int) -> ArrayProbe:
    """A probe set with random label planes of 300 concepts in patches."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, concepts + 1, (len(images), planes, 14, 14), generator=draw)
    labels = coarse.repeat_interleave(grid // 14, 2).repeat_interleave(grid // 14, 3).to(torch.int16)
    words = ul.Vocabulary([(f"concept {i}", "object") for i in range(concepts)])
    return ArrayProbe(images, labels=labels, vocabulary=words)


def vgg16(random: bool = True) -> tuple[torch.nn.Module, list[str]]:
    """torchvision's vgg16 with random weights, and its 13 convolutions."""
    torch.manual_seed(0)
    model = torchvision.models.vgg16(weights=None).eval()
    return model, [f"features.{i}" for i, layer in enumerate(model.features) if isinstance(layer, torch.nn.Conv2d)]


def ratio(model: torch.nn.Module, layers: Sequence[str], probe: ul.ProbeSet, batch_size: int, **options: object) -> str:
    """Dissection over forward pass, each the best of two, taken in turns."""
    half = options.get("precision") == "mixed"
    forward(model, probe, batch_size, half)  # warm
    passes, runs, redone = [], [], {}
    for _ in range(2):
        passes.append(seconds(lambda: forward(model, probe, batch_size, half)))
        with tempfile.TemporaryDirectory() as folder:
            keep = ul.Store(folder)

            def run(keep: ul.Store = keep) -> None:
                found = ul.dissect(
                    model, layers, probe, batch_size=batch_size, store=keep, show_progress=False, **options
                )  # fmt: skip
                redone.update(found.notes["redone"])

            runs.append(seconds(run))
    own, theirs = min(runs), min(passes)
    rate = f"{len(probe) / own:,.0f} images/s"
    again = f", units redone: {redone}" if redone else ""
    return f"{own:6.2f} s = {own / theirs:.2f} x forward pass ({theirs:.2f} s), {rate}{again}"


def bench_vgg16() -> None:
    """64 images of 224 px, 4 label planes on 56x56 with 300 concepts."""
    model, layers = vgg16()
    draw = torch.Generator().manual_seed(1)
    kinds = {"scenes": natural(64, 224), "noise": torch.rand(64, 3, 224, 224, generator=draw)}
    for kind, images in kinds.items():
        probe = labelled(images, 300, 4, 56)
        for name, some in (("13 layers", layers), ("conv5_3", layers[-1:])):
            print(f"vgg16 {name:10} {kind:7} {ratio(model, some, probe, 16, after_relu=True)}", flush=True)


def bench_scenenet(images: int = 2000) -> None:
    """All convolutions of SceneNet."""
    model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=images).prepare()
    layers = [name for name in ul.layers(model) if name.startswith("conv")]
    print(f"scenenet 13 layers {images} scenes {ratio(model, layers, probe, 64)}", flush=True)
    print(f"scenenet conv5_3   {images} scenes {ratio(model, ['conv5_3'], probe, 64)}", flush=True)


def bench_gpu(images: int = 2000) -> None:
    """vgg16 on CUDA, full and mixed precision."""
    if not torch.cuda.is_available():
        print("no CUDA device here")
        return
    model, layers = vgg16()
    model = model.cuda()
    probe = labelled(natural(images, 224), 300, 4, 56)
    for precision in ("full", "mixed"):
        torch.cuda.reset_peak_memory_stats()
        told = ratio(model, layers, probe, 64, after_relu=True, precision=precision)
        peak = torch.cuda.max_memory_allocated() / 1e9
        print(f"vgg16 13 layers, {precision} precision, {images} images: {told}, peak {peak:.1f} GB", flush=True)


def peak_memory(what: str) -> float:
    """Peak resident memory in MB of a process of its own that does `what`."""
    lines = f"""
import resource, sys
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
import bench_dissect as b
model, layers = b.vgg16()
probe = b.labelled(b.natural(64, 224), 300, 4, 56)
{what}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def bench_memory() -> None:
    """Peak memory against that of the forward pass; size of the tables for 1,825 concepts."""
    base = peak_memory("b.forward(model, probe, 16)")
    ours = peak_memory("b.ul.dissect(model, layers, probe, batch_size=16, after_relu=True, store=False)")
    print(f"vgg16, 64 images: peak {ours:.0f} MB, forward pass {base:.0f} MB: {ours - base:+.0f} MB")
    widths, concepts = [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, 1825
    table = sum(units * edge_count(units, concepts) * (concepts + 1) * 4 for units in widths)
    control = sum(
        draws_for(units, concepts) * units * (len(COARSE[edge_count(units, concepts)]) - 1) * (concepts + 1) * 4
        for units in widths
    )  # fmt: skip
    total = (table + control) / 1e6
    print(f"tables of {sum(widths):,} units x {concepts:,} concepts: {total:.0f} MB ({control / 1e6:.0f} the control)")


BENCHES = {"vgg16": bench_vgg16, "scenenet": bench_scenenet, "gpu": bench_gpu, "memory": bench_memory}


def main() -> None:
    """Runs what is asked for, everything by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*BENCHES, []], default=list(BENCHES))
    parser.add_argument("--profile", action="store_true", help="where the time of the SceneNet run goes")
    options = parser.parse_args()
    for name in options.what:
        BENCHES[name]()
    if options.profile:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        profile.runcall(bench_scenenet, 500)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
