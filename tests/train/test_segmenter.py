"""Training of the segmenter, a few steps of it: labels are those of the world, what resumes is what would have been."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unitlens.data.concepts import Concept
from unitlens.data.scenes import SCENE_CONCEPTS, render_scene
from unitlens.models.labelling import OBJECTS, PARTS, PLANES, SceneSegmenter
from unitlens.train import segmenter as module
from unitlens.train.scene_files import labelled_scenes
from unitlens.train.segmenter import SegmenterPlan, agreement, coarsened, rareness, train_segmenter

PLAN = SegmenterPlan(images=64, steps=6, batch=4, held_out=8)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("segmenter")


def test_labels_are_those_of_the_world(work: Path) -> None:
    pictures, labels = labelled_scenes(work, 12, seed=5, size=64, family="village")
    for index in (0, 11):
        scene = render_scene(index, seed=5, size=64, scene_class="village")
        np.testing.assert_array_equal(pictures[index], scene.picture)
        for plane, (category, names) in enumerate(PLANES):
            for said, name in enumerate(names, start=1):
                true = scene.labels[plane] == SCENE_CONCEPTS.label(Concept(name, category))
                np.testing.assert_array_equal(labels[index, plane] == said, true)
    assert set(np.unique(labels[:, 0])) - {0} and labels.shape == (12, 2, 64, 64)


def test_a_run_that_is_stopped_ends_as_one_that_is_not(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVED", 2)
    whole = train_segmenter(PLAN, work, work / "whole")
    (work / "segmenter-7.pt").unlink()
    calls = []
    real = module._step

    def stopping(*arguments: object) -> float:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_segmenter(PLAN, work, work / "broken")
    assert torch.load(work / "segmenter-7.pt", weights_only=True)["step"] == 2
    monkeypatch.setattr(module, "_step", real)
    resumed = train_segmenter(PLAN, work, work / "resumed")
    for name, value in load_file(whole).items():
        torch.testing.assert_close(load_file(resumed)[name], value, rtol=0.02, atol=4e-3)
    card = json.loads((work / "resumed" / "scenesegmenter.json").read_text())
    assert set(card["iou"]) == {*OBJECTS, *PARTS} and 0 <= card["mean_iou"] < 0.5  # six steps
    assert f"{card['mean_iou']:.3f}" in (work / "resumed" / "scenesegmenter.md").read_text()


def test_agreement_is_that_of_loops() -> None:
    torch.manual_seed(0)
    model = SceneSegmenter().eval()
    pictures = np.random.RandomState(0).randint(0, 255, (3, 32, 48, 3)).astype(np.uint8)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        said = model.labels(model(images)).numpy()
    true = np.where(np.random.RandomState(1).rand(3, 2, 32, 48) < 0.5, said, 3).astype(np.uint8)
    found = agreement(model, pictures, true)
    for plane, (category, names) in enumerate(PLANES):
        assert found["pixel_accuracy"][category] == pytest.approx((true[:, plane] == said[:, plane]).mean())
        for label, name in enumerate(names, start=1):
            both = ((true[:, plane] == label) & (said[:, plane] == label)).sum()
            either = ((true[:, plane] == label) | (said[:, plane] == label)).sum()
            assert found["iou"][name] == pytest.approx(both / either if either else 0)


def test_rare_names_weigh_more_and_pictures_stay_pictures() -> None:
    labels = np.zeros((4, 2, 8, 8), np.uint8)
    labels[0, 0, 0, 0] = 5
    weight = rareness(labels, 0.5)[0]
    assert weight[5] > weight[0] and weight[6] > weight[5] and rareness(labels, 0.0)[1].tolist() == [1.0] * 14
    images = torch.rand(5, 3, 64, 64)
    changed = coarsened(images, torch.Generator().manual_seed(0))
    assert changed.shape == images.shape and changed.min() >= 0 and changed.max() <= 1
    assert not torch.equal(changed, images)
