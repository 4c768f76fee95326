"""A real GAN, found on PyPI, through everything: faces dissected with a function as segmenter, units removed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import unitlens as ul

REAL = Path(__file__).resolve().parents[3] / "shared" / "real" / "dcgan_face64"


@pytest.fixture(scope="module")
def faces() -> ul.Samples:
    if not REAL.exists():
        pytest.skip("../shared is not here: the weights are not ours to ship")
    spec = importlib.util.spec_from_file_location("dcgan_model", REAL / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.build().eval()
    net.load_state_dict(load_file(REAL / "dcgan_face64.safetensors"))
    return ul.from_generator(ul.as_generator(net, (100, 1, 1)), 160, seed=1)


def _seen(images: Tensor) -> Tensor:
    """Dark, skin and bright pixels, by plain rules: bool (B, 3, H, W)."""
    red, green, blue = images.unbind(1)
    light = images.mean(1)
    skin = (red > 0.4) & (red > green + 0.05) & (green > blue - 0.02)
    return torch.stack([light < 0.25, skin, light > 0.75], 1)


SEES = ul.Custom(_seen, [("dark", "material"), ("skin", "material"), ("bright", "material")], fingerprint="plain rules")


def test_a_real_generator_is_dissected_and_its_units_make_what_they_match(faces: ul.Samples) -> None:
    assert faces.size == (64, 64)
    layers = [name for name in ul.layers(faces.generator) if name in ("2", "5", "8")]
    found = ul.dissect(faces.generator, layers, faces, segmenter=SEES, store=False, show_progress=False)
    layer = "5" if "5" in layers else layers[-1]
    order = found.units_for("dark", layer)
    assert found.iou(layer).max() > 0.04 and len(order) >= 40
    curve = ul.removal_curve(
        faces, layer, "dark", order, counts=(16, 40), draws=2, segmenter=SEES, store=False, show_progress=False
    )
    assert curve.removed(1).value > curve.removed_at_random(1).value + 0.05
    np.testing.assert_allclose(curve.before.sum(), found.concept_area[0] * 16, rtol=0.1)  # the grid is a quarter


def test_what_follows_a_layer_runs_alone_and_gives_the_same_faces(faces: ul.Samples) -> None:
    from unitlens.synthesis.cut import Cut

    cut, z = Cut(faces.generator, "5"), faces.latents[:4]
    torch.testing.assert_close(cut.pictures(cut.head(z), z), faces.generator.generate(z))
    assert cut.quick
    inserted = ul.insertion_map(
        faces.subset(range(2)), "2", "dark", [0, 1], 5.0, segmenter=SEES, store=False, examples=0, show_progress=False
    )
    assert inserted.grid == (4, 4) and inserted.change.shape == (2, 16)
