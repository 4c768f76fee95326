"""The shipped classifier and a real one, against whole-network runs with a hook."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import naive
from safetensors.torch import load_file
from torch import nn

import unitlens as ul
from unitlens.intervene.tallies import balanced_accuracy

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
QUIET: dict[str, Any] = {"store": False, "show_progress": False}
UNITS = [0, 5, 62, 141]


def squeezenet() -> tuple[nn.Module, str, ul.ProbeSet, dict[str, Any]]:
    """ImageNet's classes on photos; labels are what the model itself says of every second one, and others."""
    import torchvision
    from PIL import Image

    if not REAL.exists():
        pytest.skip("../shared is not here: the weights and photos are not ours to ship")
    model = torchvision.models.squeezenet1_1(weights=None).eval()
    model.load_state_dict(load_file(next((REAL / "squeezenet1_1_imagenet").glob("*.safetensors"))))
    paths = sorted((REAL / "msrc_v2" / "images").iterdir())[::30]
    images = np.stack([np.asarray(Image.open(path).convert("RGB").resize((224, 224))) for path in paths])
    ready = ul.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    given = ul.ArrayProbe(images)
    with torch.no_grad():
        said = model(ready(given.images)).argmax(1).numpy()
    labels = np.where(np.arange(len(said)) % 2, said, np.roll(said, 1))
    names = [f"class {number}" for number in range(1000)]
    return model, "features.12", ul.ArrayProbe(images, class_labels=labels, class_names=names), {"preprocess": ready}


def scenenet() -> tuple[nn.Module, str, ul.ProbeSet, dict[str, Any]]:
    return ul.load_model("scenenet"), "conv5_3", ul.load_probe("scenes", count=54), {}


@pytest.mark.parametrize("make", [scenenet, squeezenet])
def test_every_measure_is_that_of_the_whole_network(make: Any) -> None:
    model, layer, probe, options = make()
    ready = options.get("preprocess", lambda images: images)
    batch = probe.load(range(len(probe)))
    images, true, classes = ready(batch.images), batch.class_labels.numpy(), len(probe.class_names)
    ranking = ul.rank_units(model, layer, probe, **options, **QUIET)
    units = ranking.units
    intact = naive(model, layer, images, np.ones(units))
    base = balanced_accuracy(intact.argmax(1).numpy(), true, classes)
    log = intact.log_softmax(1)[range(len(true)), true].double().numpy()
    for unit in UNITS:
        keep = np.ones(units)
        keep[unit] = 0
        scores = naive(model, layer, images, keep)
        without = balanced_accuracy(scores.argmax(1).numpy(), true, classes)
        np.testing.assert_allclose(ranking.drop[unit], base - without, atol=1e-6)
        fall = log - scores.log_softmax(1)[range(len(true)), true].double().numpy()
        for number in np.unique(true):
            assert ranking.log_drop[unit, number] == pytest.approx(fall[true == number].mean(), abs=5e-6)
    effect = ul.measure(model, ul.Ablate(layer, UNITS), probe, **options, **QUIET)
    keep = np.ones(units)
    keep[UNITS] = 0
    scores = naive(model, layer, images, keep)
    assert effect.after.tolist() == scores.argmax(1).tolist()
    np.testing.assert_allclose(effect.change(), balanced_accuracy(scores.argmax(1).numpy(), true, classes) - base)
    np.testing.assert_allclose(effect.score_after, scores[range(len(true)), true], rtol=1e-5, atol=1e-5)
    assert not any(part._forward_hooks for part in model.modules())


def test_the_classes_of_the_shipped_classifier_rest_on_few_units() -> None:
    model, layer, _, _ = scenenet()
    train, held_out = ul.load_probe("scenes", count=360), ul.load_probe("scenes", count=180, seed="validation")
    ranking = ul.rank_units(model, layer, train, **QUIET)
    curve = ul.ablation_curve(model, layer, held_out, ranking, counts=[20], **QUIET)
    best, worst, random, _ = (curve.at(kind, 20) for kind in (
        "most important removed", "least important removed", "random removed", "only most important kept"))  # fmt: skip
    assert best.high < 0.75 < random.low and worst.value > 0.9 and curve.intact_at().value > 0.95
    quick = ul.rank_units(model, layer, train, by="gradient", **QUIET)
    assert quick.agreement(ranking) > 0.98 and not math.isnan(quick.agreement(ranking))
