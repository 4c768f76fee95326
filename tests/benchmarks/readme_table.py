"""Runs the benchmarks and writes their table into README.md. Run: python tests/benchmarks/readme_table.py"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from bench_dissect import labelled, natural, ratio, vgg16

import unitlens as ul

README = Path(__file__).resolve().parents[2] / "README.md"


def rows() -> list[tuple[str, str]]:
    """What was measured, and the ratio."""
    model, layers = vgg16()
    photos = labelled(natural(64, 224), 300, 4, 56)
    world, own = ul.load_probe("scenes", count=2000).prepare(), ul.load_model("scenenet")
    convolutions = [name for name in ul.layers(own) if name.startswith("conv")]
    measured = [
        ("torchvision `vgg16`, 64 images of 224 px, 300 concepts, all 13 convolutions", model, layers, photos, 16),
        ("the same, `conv5_3` alone", model, layers[-1:], photos, 16),
        ("SceneNet, 2,000 scenes, 194 concepts, all 13 convolutions", own, convolutions, world, 64),
        ("the same, `conv5_3` alone", own, ["conv5_3"], world, 64),
    ]
    table = []
    for what, net, some, probe, batch_size in measured:
        told = ratio(net, some, probe, batch_size, after_relu=net is model)
        print(what, told, flush=True)
        factor = re.search(r"= ([\d.]+) x", told)
        table.append((what, factor[1] if factor else "?"))
    return table


def main() -> None:
    """Measures, and replaces what stands between the two comments."""
    version = torch.__version__.split("+")[0]
    lines = [f"| PyTorch {version}, {torch.get_num_threads()} threads | x forward pass |", "|---|---|"]
    lines += [f"| {what} | {factor} |" for what, factor in rows()]
    text = README.read_text()
    start, end = "<!-- benchmarks -->", "<!-- /benchmarks -->"
    head, rest = text.split(start)
    README.write_text(head + start + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1])


if __name__ == "__main__":
    main()
