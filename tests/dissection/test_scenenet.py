"""What the shipped classifier must show: the paper's effects, measured here and not read from its card."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unitlens as ul
from unitlens.intervene.tallies import balanced_accuracy
from unitlens.train.card import removal_effects

LAST_BLOCK = ("conv5_1", "conv5_2", "conv5_3")


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return ul.load_model("scenenet")


def pooled(model: torch.nn.Module, count: int, seed: str) -> tuple[np.ndarray, np.ndarray]:
    """What the linear layer sees of some scenes, and their classes."""
    parts, classes = [], []
    with torch.no_grad():
        for batch in ul.load_probe("scenes", count=count, seed=seed).batches(90):
            parts.append(model.pooled(batch.images).numpy())
            classes.append(batch.class_labels.numpy())
    return np.concatenate(parts), np.concatenate(classes)


@pytest.fixture(scope="module")
def held_out(model) -> tuple[np.ndarray, np.ndarray]:
    return pooled(model, 900, "validation")


def test_the_world_is_hard_but_not_too_hard(model, held_out):
    features, classes = held_out
    weight, bias = model.fc.weight.numpy(), model.fc.bias.numpy()
    accuracy = ((features @ weight.T + bias).argmax(1) == classes).mean()
    print(f"\naccuracy on {len(classes)} held-out scenes: {accuracy:.3f} (card: {ul.model_card()['accuracy']:.3f})")
    assert 0.90 <= accuracy <= 0.98
    assert abs(accuracy - ul.model_card()["accuracy"]) < 0.03


def test_units_of_the_last_block_match_concepts_far_beyond_the_random_twin(model):
    probe = ul.load_probe("scenes", count=1000)
    found = ul.dissect(model, LAST_BLOCK, probe, show_progress=False)
    twin = ul.dissect(ul.load_model("scenenet", random=True), LAST_BLOCK, probe, show_progress=False)
    shares = [sum(len(d.detectors(n)) for n in LAST_BLOCK) / sum(d[n].units for n in LAST_BLOCK) for d in (found, twin)]
    concepts = {c for name in LAST_BLOCK for c in found.concepts(name)}
    counts = {g: sum(c.category == g for c in concepts) for g in found.vocabulary.categories}
    print(f"\ndetectors: {shares[0]:.1%}, twin {shares[1]:.1%}; distinct concepts {counts}")
    assert shares[0] >= 0.60
    assert shares[0] >= 3 * shares[1]
    assert counts["object"] >= 20
    assert counts["part"] >= 6


def test_removing_the_most_important_units_removes_the_class_and_random_units_do_not(model, held_out):
    effects = removal_effects(model.fc.weight.numpy(), model.fc.bias.numpy(), pooled(model, 1080, "train"), held_out)
    intact, best, kept, chance = (np.mean(list(values.values())) for values in effects.values())
    print(f"\nbalanced accuracy: intact {intact:.3f}, 20 best removed {best:.3f}, "
          f"20 random removed {chance:.3f}, only 20 kept {kept:.3f}")  # fmt: skip
    assert chance - best >= 0.15
    assert kept - 0.5 >= 0.05


def test_the_shortcut_for_removal_equals_editing_the_network(model, held_out):
    removed = [3, 17, 80, 121]

    def switch_off(activation: torch.Tensor) -> torch.Tensor:
        activation[:, removed] = 0
        return activation

    probe = ul.load_probe("scenes", count=90, seed="validation")
    with torch.no_grad(), ul.edit(model, {"conv5_3": switch_off}):
        edited = np.concatenate([model(b.images).argmax(1).numpy() for b in probe.batches(45)])
    keep = np.ones(held_out[0].shape[1])
    keep[removed] = 0
    short = ((held_out[0][:90] * keep) @ model.fc.weight.numpy().T + model.fc.bias.numpy()).argmax(1)
    assert np.array_equal(edited, short)
    classes = len(ul.model_card()["accuracy_per_class"])
    assert np.isfinite(balanced_accuracy(edited, held_out[1][:90], classes)).all()
