"""The paper's progressive GAN: its form, the formats its weights were published in, and what is said of other files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

import unitlens as ul
from unitlens.errors import AssetError, OptionError
from unitlens.models.capture import capture, split
from unitlens.models.proggan import SIZES, ProgressiveGenerator, progressive_from

WIDTHS = (6, 7, 5, 4)  # 16 pixels


def _small() -> ProgressiveGenerator:
    torch.manual_seed(3)
    model = ProgressiveGenerator(WIDTHS)
    for module in model:
        torch.nn.init.normal_(module.wscale.b, std=0.3)
    return model.eval()


def _published(state: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """The older keys."""
    old = {}
    for key, value in state.items():
        name, rest = key.split(".", 1)
        old[f"output.{rest}" if name == f"output_{size}x{size}" else f"features.{int(name[5:]) - 1}.{rest}"] = value
    return old


def test_the_form_is_the_paper_s() -> None:
    with torch.device("meta"):
        model = ProgressiveGenerator()
        large = ProgressiveGenerator(SIZES[1024])
    assert sum(p.numel() for p in model.parameters()) == 18_344_995 and model.size == 256 and large.size == 1024
    layers = [module for name, module in model.named_children() if name.startswith("layer")]
    assert len(layers) == 14 and sum(layer.conv.out_channels for layer in layers) == 4_032
    assert list(dict(model.named_children()))[-1] == "output_256x256"


def test_layers_have_their_grids_and_z_is_numpy_s() -> None:
    model = _small()
    z = model.latents(2, seed=1)
    assert z.shape == (2, 6, 1, 1)
    assert [round(float(v), 4) for v in z.flatten()[:4]] == [1.6243, -0.6118, -0.5282, -1.0730]
    with capture(model, ul.layers(model)) as captured:
        found = captured.run(z)
        shapes = [tuple(found[f"layer{n}"].shape[1:]) for n in range(1, 7)]
    assert shapes == [(7, 4, 4), (7, 4, 4), (5, 8, 8), (5, 8, 8), (4, 16, 16), (4, 16, 16)]


def test_it_computes_what_is_written_in_the_paper_s_code() -> None:
    """Pixel normalisation, convolution, scale and bias, leaky ReLU, one after the other [paper.md 2.8]."""
    model, values = _small(), _small().latents(3, seed=4)
    state = model.state_dict()
    for number in range(1, 7):
        values = values / torch.sqrt((values**2).mean(1, keepdim=True) + 1e-8)
        if number in (3, 5):
            values = functional.interpolate(values, scale_factor=2, mode="nearest")
        weight = state[f"layer{number}.conv.weight"]
        values = functional.conv2d(values, weight, padding=3 if number == 1 else 1)
        values = values * (2**0.5 / (weight.shape[-1] * weight.shape[1] ** 0.5))
        values = functional.leaky_relu(values + state[f"layer{number}.wscale.b"][:, None, None], 0.2)
    values = values / torch.sqrt((values**2).mean(1, keepdim=True) + 1e-8)
    values = functional.conv2d(values, state["output_16x16.conv.weight"]) / values.shape[1] ** 0.5
    values = values + state["output_16x16.wscale.b"][:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(model(model.latents(3, seed=4)), values)
    expected = ((values + 1) / 2).clamp(0, 1)
    torch.testing.assert_close(model.generate(model.latents(3, seed=4)), expected)


@pytest.mark.parametrize("kind", ["new", "old", "wrapped", "safetensors"])
def test_both_published_formats_load(kind: str, tmp_path: Path) -> None:
    model, path = _small(), tmp_path / "generator.pth"
    state = dict(model.state_dict())
    if kind == "safetensors":
        path = tmp_path / "generator.safetensors"
        save_file(state, str(path))
    elif kind == "wrapped":
        torch.save({"state_dict": _published(state, 16), "epoch": 3}, path)
    else:
        torch.save(_published(state, 16) if kind == "old" else state, path)
    loaded = ul.load_progressive(path)
    assert [tuple(p.shape) for p in loaded.parameters()] == [tuple(p.shape) for p in model.parameters()]
    assert loaded.size == 16
    z = model.latents(2)
    assert torch.equal(loaded.generate(z), model.generate(z))


def test_the_rest_of_the_generator_runs_alone() -> None:
    model = _small()
    parts = split(model, "layer4")
    z = model.latents(2)
    with torch.no_grad():
        assert torch.equal(parts.tail(parts.head(z)), model(z)) and parts.exact_tail


def test_other_files_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot be read as weights"):
        ul.load_progressive(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(AssetError, match="cannot be read as weights"):
        ul.load_progressive(tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(AssetError, match="expected a state dict, got list"):
        ul.load_progressive(tmp_path / "list.pth")
    state = dict(_small().state_dict())
    for wrong in ({}, {"fc.weight": torch.zeros(2, 3)}, {k: v for k, v in state.items() if "layer3" not in k},
                  {k: v for k, v in state.items() if not k.startswith("output")},
                  {**state, "layer2.conv.weight": torch.zeros(3, 3, 3, 3)}):  # fmt: skip
        with pytest.raises(AssetError, match="no state dict of a progressive generator"):
            progressive_from(wrong)
    with pytest.raises(OptionError, match="widths"):
        ProgressiveGenerator((512,))
