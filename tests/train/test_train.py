"""Training: a tiny run from nothing to weights and card, a broken run that goes on, and the formulas in between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unitlens.data.scenes import SEEDS, render_scene
from unitlens.data.world.vocabulary import CLASSES
from unitlens.models.tiny import SceneNet
from unitlens.train import classifier
from unitlens.train.card import removal_effects
from unitlens.train.classifier import Plan, augmented, crowding, predict, train_classifier

ROOT = Path(__file__).resolve().parents[2]
PLAN = Plan(images=144, held_out=36, epochs=2, batch=24, size=64)
OPTIONS = ["--images", "144", "--held-out", "36", "--epochs", "2", "--batch", "24", "--size", "64"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    """The folder of a finished tiny run of the command line."""
    work = tmp_path_factory.mktemp("unbroken")
    command = [sys.executable, "-W", "error", "-m", "unitlens.train", "classifier", "--work", str(work), *OPTIONS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=work)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["epoch"] for line in done.stdout.splitlines()] == [1, 2]
    return work


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "scenenet.safetensors")


def scenes_of(source: Path, target: Path) -> Path:
    """A work folder that has the rendered scenes of another, and nothing else."""
    target.mkdir()
    for path in source.glob("scenes-*"):
        shutil.copy(path, target)
    return target


def test_a_run_writes_weights_that_the_shipped_net_takes(unbroken):
    model = SceneNet(len(CLASSES))
    assert {value.dtype for value in weights(unbroken).values()} == {torch.float16}
    model.load_state_dict({name: value.float() for name, value in weights(unbroken).items()})
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_run_writes_its_log(unbroken):
    entries = [json.loads(line) for line in (unbroken / "log.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in entries] == [1, 2]
    assert {"cross_entropy", "active", "alike", "train_accuracy", "held_out_accuracy", "seconds"} <= entries[0].keys()
    assert 0 <= entries[1]["held_out_accuracy"] <= 1 and entries[1]["cross_entropy"] < 5


def test_a_run_writes_a_card_for_programs_and_one_for_people(unbroken):
    card = json.loads((unbroken / "scenenet.json").read_text())
    assert card["plan"]["images"] == 144 and card["plan"]["epochs"] == 2 and card["licence"] == "MIT"
    assert list(card["accuracy_per_class"]) == list(CLASSES)
    assert card["accuracy"] == pytest.approx(np.mean(list(card["accuracy_per_class"].values()))), (
        "classes of equal size"
    )
    assert list(card["effects"]) == ["intact", "20 best removed", "only 20 best kept", "20 random removed"]
    assert all(0 <= value <= 1 for effect in card["effects"].values() for value in effect.values())
    page = (unbroken / "scenenet.md").read_text()
    assert f"accuracy on 36 held-out scenes: {card['accuracy']:.1%}" in page
    assert "trained on 144 rendered scenes" in page.replace("\n", " ")
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert rows == ["class", *CLASSES, "**mean**"]


def test_the_cards_accuracy_is_that_of_the_written_weights(unbroken):
    model = SceneNet(len(CLASSES))
    model.load_state_dict({name: value.float() for name, value in weights(unbroken).items()})
    pictures = np.stack([render_scene(i, seed=SEEDS["validation"], size=64).picture for i in range(36)])
    hits = predict(model, pictures) == np.arange(36) % len(CLASSES)
    assert json.loads((unbroken / "scenenet.json").read_text())["accuracy"] == pytest.approx(hits.mean())


def test_training_scenes_are_those_of_the_seed_and_are_drawn_once(unbroken, monkeypatch):
    (path,) = unbroken.glob("scenes-*-seed0-64px-144.npy")
    pictures = np.load(path, mmap_mode="r")
    for index in (0, 129, 143):
        assert np.array_equal(pictures[index], render_scene(index, seed=SEEDS["train"], size=64).picture)
    from unitlens.train import scene_files

    monkeypatch.setattr(scene_files, "_render_span", None)
    monkeypatch.setattr(scene_files.multiprocessing, "get_context", lambda _: pytest.fail("drawn again"))
    again, labels = scene_files.rendered_scenes(unbroken, 144, SEEDS["train"], 64)
    assert np.array_equal(again, pictures) and labels.tolist() == [i % 18 for i in range(144)]


def test_a_broken_run_goes_on_and_gives_the_weights_of_the_unbroken_one(unbroken, tmp_path, monkeypatch):
    work, epoch, ran = scenes_of(unbroken, tmp_path / "broken"), classifier._epoch, []

    def breaking(*arguments):
        if arguments[-1] == 1:
            raise KeyboardInterrupt
        return epoch(*arguments)

    monkeypatch.setattr(classifier, "_epoch", breaking)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(PLAN, work, work)
    assert (work / "checkpoint.pt").exists() and not (work / "scenenet.safetensors").exists()

    def counting(*arguments):
        ran.append(arguments[-1])
        return epoch(*arguments)

    monkeypatch.setattr(classifier, "_epoch", counting)
    assert train_classifier(PLAN, work, work) == work / "scenenet.safetensors"
    assert ran == [1], "the first epoch was not trained again"
    expected = weights(unbroken)
    assert all(torch.equal(value, expected[name]) for name, value in weights(work).items())


@pytest.mark.parametrize("change", ["plan", "world"])
def test_a_checkpoint_of_another_plan_or_world_is_not_gone_on_from(unbroken, tmp_path, monkeypatch, change):
    work, ran = scenes_of(unbroken, tmp_path / "other"), []
    shutil.copy(unbroken / "checkpoint.pt", work)
    plan = Plan(**{**vars(PLAN), "seed": 8}) if change == "plan" else PLAN
    if change == "world":
        monkeypatch.setattr(classifier, "WORLD", classifier.WORLD + 1)

    def stopping(*arguments):
        ran.append(arguments[-1])
        raise KeyboardInterrupt

    monkeypatch.setattr(classifier, "_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(plan, work, work)
    assert ran == [0]


# ---- formulas ----------------------------------------------------------------------------------------------------


def test_crowding_is_hoyers_share_and_the_squared_correlations():
    features = torch.rand(9, 5, generator=torch.Generator().manual_seed(2)).double()
    shares, correlations = [], 0.0
    for row in features.tolist():
        shares.append(sum(map(abs, row)) / sum(v * v for v in row) ** 0.5 / 5**0.5)
    columns = features.T.tolist()
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            if i != j:
                correlations += np.corrcoef(a, b)[0, 1] ** 2
    active, alike = crowding(features)
    assert float(active) == pytest.approx(np.mean(shares), rel=1e-4)
    assert float(alike) == pytest.approx(correlations / 5 / 10, rel=2e-3)


def test_crowding_is_blind_to_scales():
    """Correlations to that of every unit, the share of active units to that of the image."""
    features = torch.rand(30, 7, generator=torch.Generator().manual_seed(2)) * 20
    active, alike = crowding(features)
    factors = torch.tensor([0.5, 1.0, 2.0, 3.0, 7.0, 11.0, 40.0])
    assert float(crowding(features * factors)[1]) == pytest.approx(float(alike), rel=1e-4)
    assert float(crowding(features + factors)[1]) == pytest.approx(float(alike), rel=1e-3), "and to its mean"
    assert float(crowding(features * torch.linspace(0.5, 9, 30)[:, None])[0]) == pytest.approx(float(active), rel=1e-4)


def test_crowding_has_its_extremes_where_units_are_alike_and_where_one_answers():
    everyone = torch.linspace(1, 2, 12)[:, None].expand(12, 6)
    active, alike = crowding(everyone)
    assert float(active) == pytest.approx(1, abs=1e-4) and float(alike) == pytest.approx((6 - 1) / 10, rel=1e-2)
    active, alike = crowding(torch.eye(6).repeat(2, 1))
    assert float(active) == pytest.approx(1 / 6**0.5, abs=1e-4) and 0 <= float(alike) < 0.05
    assert [float(value) for value in crowding(torch.zeros(4, 6))] == [0, 0], "and no NaN where nothing is active"


def test_augmented_pictures_keep_their_size_and_range_and_follow_their_generator():
    pictures = torch.from_numpy(np.stack([render_scene(i, size=64).picture for i in range(5)]))

    def turn(seed: int) -> torch.Tensor:
        return augmented(pictures, torch.Generator().manual_seed(seed))

    images = turn(1)
    assert images.shape == (5, 3, 64, 64) and images.dtype == torch.float32
    assert float(images.min()) >= 0 and float(images.max()) <= 1
    assert torch.equal(turn(1), images) and not torch.equal(turn(2), images)


def naive_accuracy(
    features: list[list[float]], weight: np.ndarray, bias: np.ndarray, labels: list[int], wanted: int
) -> float:
    """Balanced accuracy of one class, one image at a time."""
    found = inside = spared = outside = 0
    for row, label in zip(features, labels, strict=True):
        scores = [sum(w * f for w, f in zip(weight[c], row, strict=True)) + bias[c] for c in range(len(bias))]
        said = scores.index(max(scores))
        if label == wanted:
            inside, found = inside + 1, found + (said == wanted)
        else:
            outside, spared = outside + 1, spared + (said != wanted)
    return (found / inside + spared / outside) / 2


def without(features: np.ndarray, units: list[int]) -> list[list[float]]:
    return [[0.0 if u in units else value for u, value in enumerate(row)] for row in features.tolist()]


def test_removal_effects_equal_the_naive_ones():
    """Rank on one sample by single removals, then remove or keep the best on another; in loops."""
    rng, units, count = np.random.RandomState(5), 9, 3
    classes = len(CLASSES)
    weight, bias = rng.randn(classes, units), 0.1 * rng.randn(classes)
    centres = 2 * weight + rng.randn(classes, units)  # most images are recognised
    labels = np.arange(3 * classes) % classes
    train, held_out = ((centres[labels] + 0.5 * rng.randn(len(labels), units)).clip(0), labels), (
        (centres[labels] + 0.5 * rng.randn(len(labels), units)).clip(0), labels,
    )  # fmt: skip
    got = removal_effects(weight, bias, train, held_out, count=count)
    assert list(got) == ["intact", "3 best removed", "only 3 best kept", "3 random removed"]
    dice = np.random.RandomState(0)
    for c, name in enumerate(CLASSES):
        alone = [naive_accuracy(without(train[0], [u]), weight, bias, labels.tolist(), c) for u in range(units)]
        support = [
            np.mean([train[0][n][u] for n in range(len(labels)) if labels[n] == c]) * weight[c, u] for u in range(units)
        ]
        ranked = sorted(range(units), key=lambda u, a=alone, s=support: (a[u], -s[u]))

        def measured(removed: list[int], c: int = c) -> float:
            return naive_accuracy(without(held_out[0], removed), weight, bias, labels.tolist(), c)

        chance = [measured(dice.permutation(units)[:count].tolist()) for _ in range(10)]
        expected = [measured([]), measured(ranked[:count]), measured(ranked[count:]), np.mean(chance)]
        assert [effect[name] for effect in got.values()] == pytest.approx(expected), name
    mean = {name: np.mean(list(effect.values())) for name, effect in got.items()}
    assert mean["3 best removed"] < mean["3 random removed"] < mean["intact"]
