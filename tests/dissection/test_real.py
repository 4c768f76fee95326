"""A trained network over labelled photos finds concepts, and an untrained one does not. Run with -s for the figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unitlens.data.folder import from_folder
from unitlens.data.probe import ProbeSet
from unitlens.dissection.engine import dissect
from unitlens.dissection.result import Dissection
from unitlens.models.preprocess import IMAGENET, Normalize

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
WEIGHTS = REAL / "squeezenet1_1_imagenet" / "squeezenet1_1_imagenet.safetensors"
PHOTOS = REAL / "msrc_v2"

if not REAL.is_dir():
    pytest.skip("../shared is not here: the weights and photos are not ours to ship", allow_module_level=True)


@pytest.fixture(scope="module")
def photos() -> ProbeSet:
    """296 photos whose pixels are labelled with 23 classes."""
    classes = json.loads((PHOTOS / "classes.json").read_text())["classes"]
    names = {int(value): name for value, name in classes.items()}
    return from_folder(PHOTOS / "images", masks=PHOTOS / "labels", names=names, size=224)


def squeezenet(trained: bool) -> torch.nn.Module:
    from torchvision.models import squeezenet1_1

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = squeezenet1_1(weights=None)
    if trained:
        model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


def measured(model: torch.nn.Module, photos: ProbeSet) -> Dissection:
    return dissect(
        model, "features.12", photos, quantile=0.995, min_iou=0.04, after_relu=True, preprocess=Normalize(*IMAGENET),
        store=False, show_progress=False,
    )  # fmt: skip


def told(kind: str, found: Dissection) -> str:
    concepts = {concept.name: len(units) for concept, units in found.concepts().items()}
    _, score = found.best()
    best = ", ".join(f"{name} {count}" for name, count in list(concepts.items())[:6])
    units = f"{len(found.detectors())} of {len(score)} units"
    return f"\n{kind}: {units} detect {len(concepts)} concepts ({best}), best IoU {score.max():.3f}"


def test_a_trained_network_detects_concepts_in_photos(photos):
    found = measured(squeezenet(trained=True), photos)
    print(told("trained", found))
    assert len(photos) == found.notes["images"] == 296 and found.notes["skipped"] == 0
    assert len(found.detectors()) >= 200
    assert 15 <= len(found.concepts()) <= 20
    first, score = found.best()
    top = int(score.argmax())
    assert found.vocabulary[first[top]].name == "face" and score[top] > 0.25
    assert found.recipe["grid"] == [56, 56], "a quarter of the image by default"


def test_an_untrained_network_detects_next_to_none(photos):
    """The number of units hangs on the seed (19 to 114 over seeds 0 to 5); their concepts are 2 to 5 and their overlaps
    small for every seed."""
    found = measured(squeezenet(trained=False), photos)
    print(told("untrained", found))
    assert len(found.detectors()) <= 20
    assert len(found.concepts()) <= 6 and found.best()[1].max() < 0.12
