import pytest
import torch
from torch import nn
from torch.nn import functional

from unitlens.errors import LayerError, ShapeMismatch
from unitlens.models.capture import capture, edit, layers, split
from unitlens.models.hooks import tensors_in

B, U, C, H, W = 3, 5, 4, 9, 7


@pytest.fixture
def images():
    return torch.randn(B, 3, H, W, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(U, U, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.conv(x)
        y += x
        return self.relu(y)


class Net(nn.Module):
    """VGG-like: functional pooling and constants between modules, blocks in a ModuleList, an option in forward."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, U, 3), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleList([Block(), Block()])
        self.shift = nn.Parameter(torch.ones(U, 1, 1))
        self.head = nn.Linear(U, C)

    def forward(self, x, extra=None):
        x = self.features(x)
        if extra is not None:
            x = x + extra
        for block in self.blocks:
            x = block(x)
        x = functional.max_pool2d(x + self.shift * torch.tensor(2.0), 2)
        return {"logits": self.head(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)), "map": x}


class Steered(Net):
    """Its forward looks at the values, so it cannot be traced."""

    def forward(self, x, extra=None):
        if x.sum() > 1e9:
            x = x * 0
        return super().forward(x)




class Memory(nn.Module):
    def __init__(self, store, write):
        super().__init__()
        self.store, self.write = store, write

    def forward(self, x):
        if self.write:
            self.store["mean"] = x.mean()
        return x if self.write else x + self.store["mean"]


def equal(a, b):
    return all(torch.equal(x, y) for (_, x), (_, y) in zip(tensors_in(a), tensors_in(b), strict=True))


def replaced(model, name, activation, images):
    with edit(model, {name: lambda _: activation}), torch.no_grad():
        return model(images)


@pytest.mark.parametrize(
    "name", ["features.0", "features.1", "features", "blocks.0", "blocks.1", "blocks.1.relu", "head"]
)
@pytest.mark.parametrize("kind", [Net, Steered])
def test_tail_of_head_is_the_model(kind, name, images):
    model = kind().eval()
    with split(model, name) as parts:
        activation = parts.head(images)
        kept = activation.clone()
        assert parts.exact_tail is (kind is Net and name != "head")  # "head": the output also holds the map before it
        assert equal(parts.tail(activation, images), model(images))
        other = activation.flip(0) - 1
        assert equal(parts.tail(other, images), replaced(model, name, other, images))
    assert torch.equal(activation, kept)  # an in-place ReLU comes next
    assert not {k for k in vars(model) if "constant" in k}


def test_exact_tail_runs_any_batch_size_without_the_head(images):
    model, ran = Net().eval(), []
    model.features[0].register_forward_hook(lambda *_: ran.append(1))
    with split(model, "features.1") as parts:
        activation = parts.head(images)
        ran.clear()
        for size in (1, 2, 7):
            many = activation[torch.arange(size) % B] * 0.3
            got = parts.tail(many)
            expected = replaced(model, "features.1", many, images[torch.arange(size) % B])
            assert got["logits"].shape == (size, C)
            assert equal(got, expected)
            assert len(ran) == 1  # by the expected value alone
            ran.clear()


def test_skip_connection_needs_the_images(images):
    model = Net().eval()
    with split(model, "blocks.1.conv") as parts:
        activation = parts.head(images)
        assert parts.exact_tail is False
        with pytest.raises(LayerError, match="images="):
            parts.tail(activation)
        assert equal(parts.tail(activation * 2, images), replaced(model, "blocks.1.conv", activation * 2, images))
        one = parts.tail(activation * 2, images[:1])  # one image for many activations
        assert equal(one, replaced(model, "blocks.1.conv", activation * 2, images[:1].expand(B, -1, -1, -1)))
        with pytest.raises(ShapeMismatch, match="1 or 3"):
            parts.tail(activation, images[:2])


def test_hidden_memory_between_modules_is_noticed(images):
    store = {}
    model = nn.Sequential(Memory(store, True), nn.Conv2d(3, U, 1), Memory(store, False)).eval()
    with split(model, "1") as parts:
        activation = parts.head(images)
        assert parts.exact_tail is False
        assert torch.equal(parts.tail(activation, images), model(images))


def test_noise_of_the_forward_is_not_frozen(images):
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, U, 1)

        def forward(self, x):
            return self.conv(x) + torch.randn(1, U, 1, 1)

    with split(Noisy(), "conv") as parts:
        parts.head(images)
        assert parts.exact_tail is False


def test_tail_before_head_asks_for_images(images):
    model = Net().eval()
    parts, activation = split(model, "features.0"), model.features[0](images).detach()
    with pytest.raises(LayerError, match="head"):
        parts.tail(activation)
    assert equal(parts.tail(activation, images), model(images))
    assert parts.exact_tail is True
    assert equal(parts.tail(activation), model(images))


def test_tail_refuses_what_does_not_fit(images):
    with split(Net(), "features") as parts:
        activation = parts.head(images)
        with pytest.raises(ShapeMismatch, match="activation"):
            parts.tail(activation[:, :2])
        with pytest.raises(ShapeMismatch, match="activation"):
            parts.tail(activation[0])


def test_edits_and_captures_reach_the_tail(images):
    model = Net().eval()
    with split(model, "features.0") as parts:
        activation = parts.head(images)
        with edit(model, {"blocks.0": lambda x: x * 0}), capture(model, ["blocks.1"]) as captured:
            got = parts.tail(activation)
            seen = captured["blocks.1"]
            assert equal(got, model(images))
            assert torch.equal(seen, captured["blocks.1"])
        with edit(model, {"features": lambda x: x * 0}), pytest.raises(LayerError, match="'features' is active"):
            parts.tail(activation)  # the tail starts inside `features` and would pass this edit by


def test_item_of_a_tuple_can_be_split(images):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(W, U, batch_first=True)

        def forward(self, x):
            return self.lstm(x.flatten(1, 2))[0] * 2

    model = Recurrent()
    with split(model, "lstm[0]") as parts:
        activation = parts.head(images)
        assert parts.exact_tail is False
        assert torch.equal(parts.tail(activation + 1, images), (activation + 1) * 2)


def test_twice_called_layer_cannot_be_split(images):
    relu = nn.ReLU()
    with split(nn.Sequential(nn.Conv2d(3, U, 1), relu, relu), "1") as parts, pytest.raises(LayerError, match="2 times"):
        parts.head(images)


def test_modes_come_back_and_no_hook_stays(images):
    model = Net().train()
    model.blocks.eval()
    state = torch.get_rng_state()
    for name in layers(model):
        with split(model, name) as parts:
            parts.tail(parts.head(images), images)
    assert model.training
    assert model.features[0].training
    assert not model.blocks[0].conv.training
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
