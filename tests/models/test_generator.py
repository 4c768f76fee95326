"""SceneGenerator's form, and its latents."""

from __future__ import annotations

import numpy as np
import torch

from unitlens.models.capture import capture
from unitlens.models.generator import WIDTHS, SceneGenerator, doubling, pixel_norm
from unitlens.models.generators import standard_normal


def test_layers_have_their_units_and_grids() -> None:
    torch.manual_seed(0)
    model, names = SceneGenerator().eval(), [f"layer{n}" for n in range(1, 11)]
    with capture(model, names) as captured:
        found = captured.run(model.latents(3))
        shapes = [tuple(found[name].shape) for name in names]
    sides = [4, 4, 8, 8, 16, 16, 32, 32, 64, 64]
    assert shapes == [(3, width, side, side) for width, side in zip(WIDTHS, sides, strict=True)]
    assert sum(p.numel() for p in model.parameters()) < 6_000_000  # 12 MB in half precision
    with torch.no_grad():
        made = model(model.latents(3))
    assert made.shape == (3, 3, 64, 64) and model.size == 64 and 0 <= made.min() < made.max() <= 1


def test_units_are_normalised_at_every_cell() -> None:
    values = torch.randn(2, 5, 3, 4)
    expected = values.numpy() / np.sqrt((values.numpy() ** 2).mean(1, keepdims=True))
    torch.testing.assert_close(pixel_norm(values), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)
    model = SceneGenerator(latent=7, widths=(6, 5, 4))
    z = model.latents(2)
    assert z.shape == (2, 7)
    with torch.no_grad():
        assert torch.allclose(model.layer1(7 * z), model.layer1(z), atol=1e-5)
        norm = model.layer1(z).square().mean(1)
    torch.testing.assert_close(norm, torch.ones_like(norm), rtol=1e-4, atol=1e-4)


def test_a_doubling_layer_repeats_pixels_and_convolves() -> None:
    """The progressive GAN's layers, written down as they are, and what is computed instead."""
    torch.manual_seed(2)
    values, weight = torch.randn(2, 5, 6, 7), torch.randn(4, 5, 3, 3)
    repeated = values.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = torch.nn.functional.conv2d(repeated, weight, padding=1)
    found = torch.nn.functional.conv_transpose2d(values, doubling(weight), stride=2, padding=1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_weights_are_scaled_when_they_are_used() -> None:
    """At the start every layer gives what it got: the learning rate is alike for all [paper.md 2.8]."""
    torch.manual_seed(1)
    model = SceneGenerator()
    layer = model.layer2
    values = torch.randn(4, layer.weight.shape[1], 9, 9)
    out = torch.nn.functional.conv2d(values, layer.weight * layer.scale)
    assert 1.2 < out.std() < 1.6  # the root of 2, for the leaky ReLU


def test_latents_are_numpy_s_and_a_longer_run_begins_with_a_shorter() -> None:
    latents = SceneGenerator().latents
    assert torch.equal(latents(5, seed=3)[:2], latents(2, seed=3))
    expected = np.random.RandomState(3).standard_normal(512)[:4]
    np.testing.assert_allclose(latents(4, seed=3)[0, :4], expected, rtol=1e-6)
    assert not torch.equal(latents(2, seed=3), latents(2, seed=4))
    assert torch.equal(standard_normal(2, (128,), 4), latents(2, seed=4))
