"""Training of the generator, a few steps of it: what resumes is what would have been, and weights can be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from unitlens.models.generator import SceneGenerator
from unitlens.segment.scenes import SceneLabels
from unitlens.train import generator as module
from unitlens.train.adversary import Adversary, changed_alike, judge
from unitlens.train.generator import GeneratorPlan, train_generator
from unitlens.train.generator_card import concept_shares

PLAN = GeneratorPlan(images=64, steps=4, batch=4, measured=6)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generator")


def test_a_run_that_is_stopped_ends_as_one_that_is_not(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVED", 2)
    whole = train_generator(PLAN, work, work / "whole")
    assert whole is not None
    state = torch.load(work / "generator.pt", weights_only=True)
    (work / "generator.pt").unlink()
    first = GeneratorPlan(**{**vars(PLAN), "steps": 2})
    train_generator(first, work, work / "first")
    resumed = train_generator(PLAN, work, work / "resumed")
    again = torch.load(work / "generator.pt", weights_only=True)
    assert resumed is not None and again["step"] == 4
    for name, value in load_file(whole).items():
        torch.testing.assert_close(load_file(resumed)[name], value, rtol=0.02, atol=2e-3)
    assert torch.equal(again["dice"], state["dice"])
    lines = [json.loads(line) for line in (work / "generator.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 2, 4] and all(np.isfinite(line["judges"]) for line in lines)
    with Image.open(work / "samples.png") as samples:
        assert samples.size == (16 * 64, 4 * 64)
    assert train_generator(GeneratorPlan(**{**vars(PLAN), "steps": 50}), work, work / "late", seconds=0) is None


def test_the_weights_are_those_of_the_average_in_half_precision(work: Path) -> None:
    model, path = SceneGenerator(), work / "whole" / "scenegenerator.safetensors"
    values = load_file(path)
    assert all(value.dtype == torch.float16 for value in values.values())
    model.load_state_dict({name: value.float() for name, value in values.items()})
    with safe_open(str(path), "pt") as file:
        header = json.loads(file.metadata()["unitlens"])
    assert header["steps"] == 4 and header["plan"]["batch"] == 4
    assert torch.isfinite(model.generate(model.latents(2))).all()


def test_the_card_tells_how_far_the_pictures_are_from_the_world(work: Path) -> None:
    card = json.loads((work / "whole" / "scenegenerator.json").read_text())
    assert card["steps"] == 4 and card["pictures"] == 6 and set(card["shares"]) == set(card["shares_in_the_world"])
    assert card["segmentation_distance"] > card["segmentation_distance_of_the_world"] >= 0  # four steps are not enough
    page = (work / "whole" / "scenegenerator.md").read_text()
    assert f"{card['segmentation_distance']:.4f}" in page and "4 steps of 4 pictures" in page
    with Image.open(work / "whole" / "scenegenerator.jpg") as samples:
        assert samples.size == (16 * 64, 4 * 64)


def test_shares_of_concepts_are_those_of_the_labels() -> None:
    segmenter = SceneLabels()
    pictures = torch.rand(3, 3, 64, 64)
    labels = segmenter.labels(pictures)
    expected = [[float((one == c + 1).any(0).float().mean()) for c in range(26)] for one in labels]
    np.testing.assert_allclose(concept_shares(pictures, segmenter), expected, rtol=1e-6)


def test_the_adversary_leaves_the_classifier_alone_and_tells_pictures_apart() -> None:
    from unitlens.models.zoo import load_model

    torch.manual_seed(0)
    adversary = Adversary(load_model("scenenet"))
    frozen = [p for p in adversary.classifier.parameters() if p.requires_grad]
    assert frozen == []
    images = torch.rand(4, 3, 64, 64)
    adversary.learn_scales([images, torch.rand(4, 3, 64, 64)])
    features = adversary._features(images)
    scaled = (features[1] - adversary.mean1) / adversary.std1
    assert abs(float(scaled.mean())) < 0.2 and 0.5 < float(scaled.std()) < 1.5
    said = adversary(images)
    assert said.ndim == 2 and len(said) == 4
    same = adversary(images[:1].expand(4, -1, -1, -1))
    assert not torch.allclose(same[0], said[0])  # what the others are counts, too
    images.requires_grad_()
    adversary(images).sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0


def test_changes_are_differentiable_and_stay_pictures() -> None:
    images = torch.rand(5, 3, 32, 32, requires_grad=True)
    changed = changed_alike(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape and not torch.equal(changed, images)
    changed.sum().backward()
    assert images.grad is not None and (images.grad != 0).float().mean() > 0.5
    assert judge(3, 2)(torch.rand(2, 3, 32, 32)).shape == (2, 1, 8, 8)
