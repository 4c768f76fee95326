"""The model card of SceneGenerator: how far its pictures are from the world, concept by concept."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unitlens.data.scenes import WORLD
from unitlens.models.samples import Samples
from unitlens.segment.scenes import SceneLabels
from unitlens.stats.frechet import frechet_distance

MEASURED = 2_000  # pictures


def concept_shares(pictures: torch.Tensor, segmenter: SceneLabels) -> np.ndarray:
    """The share of each picture that shows each concept, as the segmenter sees it: float64 (N, C).

    pictures: float32 (N, 3, H, W) in [0, 1]."""
    concepts, found = len(segmenter.vocabulary), []
    for part in pictures.split(64):
        labels = segmenter.labels(part).flatten(1).long()
        key = labels + torch.arange(len(part))[:, None] * (concepts + 1)
        count = torch.bincount(key.flatten(), minlength=len(part) * (concepts + 1)).view(len(part), -1)[:, 1:]
        found.append(count.numpy() / (part.shape[-1] * part.shape[-2]))
    return np.concatenate(found)


def generator_card(
    generator: Any, world: np.ndarray, plan: Mapping[str, Any], steps: int, seconds: float, seed: int = 0
) -> dict[str, Any]:
    """Every number of the card. world: held-out pictures of the world, uint8 (2 M, S, S, 3): a half to compare with,
    and another half that says how near two sets of so many pictures are at best."""
    segmenter, half = SceneLabels(), len(world) // 2
    real = torch.from_numpy(np.array(world)).permute(0, 3, 1, 2).float() / 255
    shares = concept_shares(real, segmenter)
    made = concept_shares(Samples(generator, half, seed=seed).load(range(half)).images, segmenter)
    names = [concept.name for concept in segmenter.vocabulary]
    return {
        "name": "SceneGenerator", "licence": "MIT", "world": WORLD, "plan": dict(plan), "steps": steps,
        "training_minutes": round(seconds / 60, 1),
        "machine": f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}",
        "parameters": sum(p.numel() for p in generator.parameters()), "pictures": half,
        "segmentation_distance": frechet_distance(made, shares[:half]),
        "segmentation_distance_of_the_world": frechet_distance(shares[half:], shares[:half]),
        "shares": dict(zip(names, made.mean(0).tolist(), strict=True)),
        "shares_in_the_world": dict(zip(names, shares.mean(0).tolist(), strict=True)),
        "pictures_with": dict(zip(names, (made > 0.001).mean(0).tolist(), strict=True)),
        "pictures_with_in_the_world": dict(zip(names, (shares > 0.001).mean(0).tolist(), strict=True)),
    }  # fmt: skip


def write_generator_card(output: Path, card: Mapping[str, Any]) -> None:
    """Writes scenegenerator.json (every number) and scenegenerator.md (for people)."""
    (output / "scenegenerator.json").write_text(json.dumps(card, indent=1) + "\n")
    plan = card["plan"]
    lines = [
        "# SceneGenerator", "",
        f"A generator of villages of {plan['size']} pixels in the manner of a progressive GAN, {card['parameters']:,} "
        f"parameters, trained on {plan['images']:,} rendered scenes (world {card['world']}) without any label: "
        f"{card['steps']:,} steps of {plan['batch']} pictures against judges of the pixels and of frozen features of "
        f"SceneNet. Licence: {card['licence']}. Rebuild: `python -m unitlens.train generator`.", "",
        f"- training: {card['training_minutes']} minutes ({card['machine']}), seed {plan['seed']}",
        f"- Fréchet segmentation distance to {card['pictures']:,} held-out scenes of the world (shares of pixels by "
        f"concept, as SceneSegmenter sees them): {card['segmentation_distance']:.4f}; of another {card['pictures']:,} "
        f"scenes of the world: {card['segmentation_distance_of_the_world']:.4f}",
        "- use: teaching and testing of unit analysis; it knows nothing but our drawn world", "",
        "64 unpicked samples, seed 0: ![64 generated villages](scenegenerator.jpg)", "",
        "| concept | share of pixels, generated | in the world | pictures with it, generated | in the world |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, share in sorted(card["shares_in_the_world"].items(), key=lambda item: -item[1]):
        lines.append(
            f"| {name} | {100 * card['shares'][name]:.2f} % | {100 * share:.2f} % "
            f"| {100 * card['pictures_with'][name]:.0f} % | {100 * card['pictures_with_in_the_world'][name]:.0f} % |"
        )
    (output / "scenegenerator.md").write_text("\n".join(lines) + "\n")
