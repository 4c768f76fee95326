"""SceneSegmenter: what ships is as good as its card says, and it is a segmenter like the others."""

from __future__ import annotations

import pytest
import torch

import unitlens as ul
from unitlens.data.scenes import SCENE_CONCEPTS
from unitlens.errors import ConceptError, OptionError
from unitlens.models.labelling import SceneSegmenter
from unitlens.segment.segmenter import Joined, as_segmenter


def test_what_ships_sees_villages_as_well_as_its_card_says() -> None:
    villages, sees = ul.load_probe("villages", count=64, seed=11), ul.SceneLabels()
    batch = villages.load(range(64))
    seen = sees(batch).labels
    sure = total = 0
    iou = {}
    for concept in sees.vocabulary:
        true = (batch.truth.labels == SCENE_CONCEPTS.label(concept)).any(1)
        said = (seen == sees.vocabulary.label(concept)).any(1)
        iou[concept.name] = float((true & said).sum() / (true | said).sum().clamp(min=1))
        sure, total = sure + int((true & said).sum()), total + int(true.sum())
    card = ul.model_card("scenesegmenter")
    for name in ("sky", "grass", "tree", "church", "house", "door", "window", "roof"):
        assert abs(iou[name] - card["iou"][name]) < 0.06
    assert sure / total > 0.94


def test_probabilities_follow_the_labels_and_have_gradients() -> None:
    sees = ul.SceneLabels()
    images = ul.load_probe("villages", count=2).load([0, 1]).images.requires_grad_()
    sky = sees.probability(images, ul.Concept("sky"))
    labelled = (sees(ul.Batch(images.detach(), torch.arange(2), torch.full((2,), -1))).labels == 1).any(1)
    assert ((sky > 0.5) == labelled).float().mean() > 0.99
    sky.mean().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    with pytest.raises(ConceptError, match="car is none of"):
        sees.probability(images, ul.Concept("car"))


def test_the_word_scenes_means_it() -> None:
    probe = ul.load_probe("villages", count=2)
    assert isinstance(as_segmenter("scenes", probe), ul.SceneLabels)
    both = as_segmenter("scenes+colours", probe)
    assert isinstance(both, Joined) and len(both.vocabulary) == 37
    samples = ul.from_generator(ul.load_model("scenegenerator"), 2)
    assert as_segmenter(None, samples).vocabulary == both.vocabulary  # what its generator names
    with pytest.raises(OptionError, match="'scenes'"):
        as_segmenter("villages", probe)
    assert ul.SceneLabels().fingerprint == ul.SceneLabels().fingerprint
    torch.manual_seed(0)
    assert ul.SceneLabels(SceneSegmenter().eval()).fingerprint != ul.SceneLabels().fingerprint


def test_other_sizes_are_seen_too() -> None:
    batch = ul.Batch(torch.rand(1, 3, 96, 72), torch.arange(1), torch.full((1,), -1))
    assert ul.SceneLabels()(batch).labels.shape == (1, 2, 96, 72)
    labels = ul.SceneLabels()(batch).labels
    assert labels[:, 0].max() <= 13 and set(labels[:, 1].unique().tolist()) <= {0, *range(14, 27)}
