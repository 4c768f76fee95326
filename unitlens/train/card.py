"""The model card of SceneNet: accuracy, and what removing units does to it (paper.md 1.3)."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unitlens.data.scenes import WORLD
from unitlens.data.world.vocabulary import CLASSES
from unitlens.intervene.tallies import balanced_accuracy
from unitlens.models.tiny import SceneNet

Sample = tuple[np.ndarray, np.ndarray]  # pooled features (N, U), class labels (N,)


def removal_effects(
    weight: np.ndarray, bias: np.ndarray, train: Sample, held_out: Sample, count: int = 20
) -> dict[str, dict[str, float]]:
    """Balanced accuracy on held-out images after removing units of the layer before a linear head.

    For each class the units are ranked by the balanced accuracy that their single removal costs on the training
    images. weight: (C, U), bias: (C,). Of units that cost the same, the one that adds most to
    the class's score comes first.
    """
    classes, units = weight.shape
    features, labels = train
    scores = features @ weight.T + bias
    without = ((scores - np.outer(features[:, u], weight[:, u])).argmax(1) for u in range(units))
    alone = np.stack([balanced_accuracy(predicted, labels, classes) for predicted in without])  # (U, C)
    support = np.stack([features[labels == c].mean(0) * weight[c] for c in range(classes)], axis=1)  # (U, C)
    order = np.lexsort((-support, alone), axis=0)  # most important first, (U, C)
    rows = []  # of the classes: intact, best removed, only best kept, random removed
    dice = np.random.RandomState(0)
    for c in range(classes):
        keep = np.ones((3 + 10, units))
        keep[1, order[:count, c]] = 0
        keep[2, order[count:, c]] = 0
        for row in keep[3:]:
            row[dice.permutation(units)[:count]] = 0
        predicted = [((held_out[0] * kept) @ weight.T + bias).argmax(1) for kept in keep]
        accuracy = [float(balanced_accuracy(p, held_out[1], classes)[c]) for p in predicted]
        rows.append([*accuracy[:3], float(np.mean(accuracy[3:]))])
    names = ("intact", f"{count} best removed", f"only {count} best kept", f"{count} random removed")
    return {name: dict(zip(CLASSES, column, strict=True)) for name, column in zip(names, zip(*rows), strict=True)}


def write_card(
    output: Path, model: SceneNet, plan: Mapping[str, Any], seconds: float, train: Sample, held_out: Sample
) -> None:
    """Writes scenenet.json (every number) and scenenet.md (for people)."""
    weight, bias = model.fc.weight.detach().numpy(), model.fc.bias.detach().numpy()
    predicted = (held_out[0] @ weight.T + bias).argmax(1)
    accuracy = {name: float((predicted[held_out[1] == c] == c).mean()) for c, name in enumerate(CLASSES)}
    card = {
        "name": "SceneNet", "licence": "MIT", "world": WORLD, "plan": dict(plan),
        "training_minutes": round(seconds / 60, 1),
        "machine": f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}",
        "parameters": sum(p.numel() for p in model.parameters()),
        "accuracy": float((predicted == held_out[1]).mean()), "accuracy_per_class": accuracy,
        "effects": removal_effects(weight, bias, train, held_out),
    }  # fmt: skip
    (output / "scenenet.json").write_text(json.dumps(card, indent=1) + "\n")
    (output / "scenenet.md").write_text(_page(card))


def _page(card: Mapping[str, Any]) -> str:
    effects = card["effects"]
    lines = [
        "# SceneNet", "",
        f"A VGG-style classifier of {len(CLASSES)} scene classes, {card['parameters']:,} parameters, trained on "
        f"{card['plan']['images']:,} rendered scenes (world {card['world']}) with their class names alone: no object, "
        f"part or material label was shown to it. Licence: {card['licence']}. "
        "Rebuild: `python -m unitlens.train classifier`.", "",
        f"- accuracy on {card['plan']['held_out']:,} held-out scenes: {card['accuracy']:.1%}",
        f"- training: {card['training_minutes']} minutes ({card['machine']}), seed {card['plan']['seed']}",
        "- use: teaching and testing of unit analysis; it knows nothing but our drawn world", "",
        "Balanced accuracy of a class when units of conv5_3 are removed (chance .50; units ranked for each class on "
        "training scenes, measured on held-out ones):", "",
        "| class | accuracy | " + " | ".join(effects) + " |", "|---|---|" + "---|" * len(effects),
    ]  # fmt: skip
    for name in CLASSES:
        row = " | ".join(f"{effects[e][name]:.3f}" for e in effects)
        lines.append(f"| {name} | {card['accuracy_per_class'][name]:.3f} | {row} |")
    mean = " | ".join(f"{np.mean(list(effects[e].values())):.3f}" for e in effects)
    lines.append(f"| **mean** | {card['accuracy']:.3f} | {mean} |")
    return "\n".join(lines) + "\n"
