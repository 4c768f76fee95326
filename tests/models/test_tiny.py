"""SceneNet: its layers, its folding, its random twin, and how it is loaded."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unitlens.data.world.vocabulary import CLASSES
from unitlens.errors import AssetError, OptionError
from unitlens.models import zoo
from unitlens.models.capture import capture, split
from unitlens.models.tiny import SceneNet
from unitlens.models.zoo import load_model, model_card

SMALL = ((5, 6), (7,), (8, 9))  # widths of the blocks of a quick net
LAYERS = [f"{b}_{c}" for b, count in enumerate((2, 2, 3, 3, 3), start=1) for c in range(1, count + 1)]


@pytest.fixture(scope="module")
def twin() -> nn.Module:
    return load_model("scenenet", random=True)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 72, 64, generator=torch.Generator().manual_seed(1))


def trained(blocks: tuple[tuple[int, ...], ...] = SMALL) -> SceneNet:
    """A net with batch normalisation as training leaves it: scales, shifts and statistics of all sizes."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        net = SceneNet(11, blocks=blocks, batchnorm=True)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, -1.5, 1.5)
                nn.init.normal_(module.bias)
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.1, 3)
    return net.eval()


def test_layers_have_the_names_of_a_vgg(twin):
    names = [name for name, _ in twin.named_children()]
    assert [n for n in names if n.startswith("conv")] == [f"conv{layer}" for layer in LAYERS]
    assert [n for n in names if n.startswith("relu")] == [f"relu{layer}" for layer in LAYERS]
    assert all(names.index(f"relu{layer}") == names.index(f"conv{layer}") + 1 for layer in LAYERS)
    assert names[0] == "center" and names[-3:] == ["pool5", "flatten", "fc"]


def test_the_net_is_small_and_nothing_in_it_works_in_place(twin):
    assert sum(p.numel() for p in twin.parameters()) <= 3_000_000
    assert not any(getattr(module, "inplace", False) for module in twin.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in twin.modules())


def test_grids_at_128_pixels_are_those_of_the_docstring(twin):
    names = [f"conv{b}_2" for b in range(1, 6)]
    with capture(twin, names) as captured:
        found = captured.run(torch.zeros(1, 3, 128, 128))
    shapes = [tuple(found[name].shape[1:]) for name in names]
    assert shapes == [(32, 64, 64), (64, 32, 32), (128, 16, 16), (160, 16, 16), (160, 8, 8)]
    assert twin(torch.zeros(2, 3, 64, 96)).shape == (2, len(CLASSES))


def test_a_convolutions_output_stays_as_it_was(twin, images):
    kept = {}
    handle = twin.conv3_2.register_forward_hook(lambda _, __, output: kept.update(live=output, copy=output.clone()))
    twin(images)
    handle.remove()
    assert (kept["copy"] < 0).any() and torch.equal(kept["live"], kept["copy"])


def test_folding_gives_the_same_function_without_normalisation(images):
    net = trained()
    folded = net.folded()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) and not folded.training
    with torch.no_grad():
        expected, got = net(images), folded(images)
        assert expected.std() > 0.01
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(folded.pooled(images), net.pooled(images), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(folded.fc(folded.pooled(images)), got)


def test_folding_leaves_the_trained_net_as_it_was(images):
    net = trained()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    folded = net.folded()
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_pixels_are_centred_before_the_first_convolution(twin):
    assert torch.equal(twin.center(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([-1.0, 0.0, 1.0]))


# ---- loading -----------------------------------------------------------------------------------------------------


def test_a_twin_is_made_again_by_its_seed_and_leaves_the_global_generator(twin):
    torch.manual_seed(99)
    state = torch.get_rng_state()
    again, other = load_model("scenenet", random=True), load_model("scenenet", random=True, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(twin.state_dict().values(), again.state_dict().values(), strict=True))
    pairs = zip(twin.named_parameters(), other.parameters(), strict=True)
    assert not any(torch.equal(a, b) for (name, a), b in pairs if "weight" in name)
    assert twin.unitlens_name == "random twin"


def test_a_loaded_model_is_at_rest(twin):
    assert not twin.training and not any(p.requires_grad for p in twin.parameters())


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """An empty folder in place of the shipped weights."""
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    return tmp_path


def test_shipped_weights_are_read_as_float32(weights, twin, images):
    half = {name: value.half() for name, value in twin.state_dict().items()}
    save_file(half, str(weights / "scenenet.safetensors"))
    (weights / "scenenet.json").write_text(json.dumps({"accuracy": 0.9}))
    model = load_model()
    assert model.unitlens_name == "SceneNet" and not model.training
    assert not any(p.requires_grad for p in model.parameters())
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, half[name].float())
    torch.testing.assert_close(model(images), twin(images), rtol=0.02, atol=0.02)
    assert model_card() == {"accuracy": 0.9}


def test_missing_weights_say_what_to_do(weights):
    with pytest.raises(AssetError, match=r"scenenet\.safetensors is missing: install unitlens again"):
        load_model()
    assert load_model(random=True), "the twin needs no file"
    with pytest.raises((AssetError, OptionError), match="scenenet"):
        model_card()


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(OptionError, match="'scenenet', 'scenegenerator', 'scenesegmenter'; got 'vgg16'"):
        load_model("vgg16")
    with pytest.raises(OptionError, match="no card for 'vgg16'"):
        model_card("vgg16")


# ---- with the instruments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["conv5_3", "conv1_1", "relu3_3"])
def test_the_tail_after_a_layer_is_bit_identical(twin, images, layer):
    with split(twin, layer) as parts:
        activation = parts.head(images)
        assert torch.equal(parts.tail(activation), twin(images))
        assert parts.exact_tail is True
        ablated = activation.clone()
        ablated[:, :5] = 0
        assert not torch.equal(parts.tail(ablated), twin(images))


def test_capture_before_and_after_the_relu(twin, images):
    with capture(twin, ["conv5_3", "relu5_3"]) as captured:
        found = captured.run(images)
    raw, rectified = (found[name].clone() for name in ("conv5_3", "relu5_3"))
    assert (raw < 0).any() and torch.equal(raw.clamp(min=0), rectified)
    torch.testing.assert_close(rectified.mean((2, 3)), twin.pooled(images))
