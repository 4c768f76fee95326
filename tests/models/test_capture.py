import collections

import pytest
import torch
from torch import nn
from torch.nn import functional

from unitlens.errors import DeviceMismatch, LayerError, LayerNotFound, OptionError, ShapeMismatch
from unitlens.models.capture import capture, edit, layers, split
from unitlens.models.layertable import LayerInfo, layer_table

B, U, C, H, W = 3, 5, 4, 9, 7


@pytest.fixture
def images():
    return torch.randn(B, 3, H, W, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def chain():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, U, 3), nn.ReLU(inplace=True), nn.Dropout(0.5)),
        nn.BatchNorm2d(U),
        nn.Flatten(),
        nn.Linear(U * (H - 2) * (W - 2), C),
    )


class Block(nn.Module):
    """A residual block in torchvision's manner: one relu for both places, `+=` on the batch norm's output."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.norm(self.relu(self.conv(x)))
        y += x
        return self.relu(y)


class Net(nn.Module):
    """Functional steps between the modules, an uncalled module, a list, an LSTM."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.unused = nn.Linear(2, 2)
        self.lstm = nn.LSTM(3, U, batch_first=True)
        self.head = nn.Linear(U, C)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        x = functional.relu(x).flatten(2).transpose(1, 2)
        return {"logits": self.head(self.lstm(x)[0].mean(1))}


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.drop = nn.Conv2d(3, U, 1), nn.Dropout(0.5)

    def forward(self, x):
        x = self.drop(self.conv(x))
        return x + torch.randn(1, U, 1, 1)


def hooks_on(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_layers_lists_what_is_callable():
    assert layers(Net())[:5] == ["blocks.0", "blocks.0.conv", "blocks.0.norm", "blocks.0.relu", "blocks.1"]
    assert "blocks" not in layers(Net())
    assert "" not in layers(Net())


def test_layer_table_counts_units_grid_and_calls(images):
    table = {row.name: row for row in layer_table(Net(), images)}
    assert table["blocks.0.conv"] == LayerInfo("blocks.0.conv", "Conv2d", 3, (H, W), 1)
    assert table["blocks.1.relu"].calls == 2
    assert table["unused"] == LayerInfo("unused", "Linear", None, None, 0)
    assert table["lstm[0]"].units == U
    assert table["lstm[0]"].grid == (H, W)  # it runs over the pixels row by row: tokens of the image
    assert table["lstm[1][1]"].kind == "LSTM"
    assert table["head"] == LayerInfo("head", "Linear", C, None, 1)


def test_capture_is_what_the_layer_returned_before_inplace_relu(chain, images):
    chain.eval()
    expected = functional.conv2d(images, chain[0][0].weight, chain[0][0].bias)
    with capture(chain, ["0.0"]) as captured:
        chain(images)
    assert expected.min() < 0
    assert torch.equal(captured["0.0"], expected)
    assert not captured["0.0"].requires_grad
    with capture(chain, "0.0", after_relu=True) as captured:
        chain(images)
    assert torch.equal(captured["0.0"], expected.clamp(min=0))


def test_capture_survives_inplace_residual_addition(images):
    block = Block().eval()
    with capture(block, ["norm"]) as captured:
        output = block(images)
    assert torch.equal((captured["norm"] + images).clamp(min=0), output)
    assert not torch.equal(captured["norm"], output)


def test_outputs_are_bit_identical_and_no_hook_stays(chain, images):
    chain.eval()
    before = chain(images)
    with capture(chain, layers(chain)) as outer, capture(chain, ["1"]) as inner:
        assert torch.equal(chain(images), before)
        assert torch.equal(outer["1"], inner["1"])
    assert hooks_on(chain) == 0
    assert torch.equal(chain(images), before)


def test_hooks_are_removed_when_the_forward_fails(chain):
    with pytest.raises(RuntimeError), capture(chain, ["0"], stop=True) as captured, edit(chain, {"1": torch.relu}):
        captured.run(torch.zeros(B, 2, H, W))
    assert hooks_on(chain) == 0


def test_capture_shows_the_latest_forward_pass(chain, images):
    with capture(chain.eval(), ["3"]) as captured:
        chain(images)
        assert torch.equal(chain(images * 2), captured["3"])


def test_unknown_names_offer_the_nearest(chain):
    for make in (lambda: capture(Net(), ["blocks.0.cnv"]), lambda: split(Net(), "blocks.0.cnv")):
        with pytest.raises(LayerNotFound, match=r"blocks\.0\.conv"):
            make()
    with pytest.raises(LayerNotFound), edit(chain, {"nothing": torch.relu}):
        pass


@pytest.mark.parametrize("stop", [False, True])
def test_twice_called_layer_needs_a_choice(images, stop):
    block = Block().eval()
    with torch.no_grad():
        first = block.conv(images).relu()
        last = block(images)
    twice = pytest.raises(LayerError, match=r"called 2 times.*call 1 returned.*call='first'")
    with capture(block, ["relu"], stop=stop) as captured, twice:
        captured.run(images)
    for call, expected in (("first", first), ("last", last), (0, first), (1, last)):
        with capture(block, ["relu"], call=call, stop=stop) as captured:
            assert torch.equal(captured.run(images)["relu"], expected)
            assert torch.equal(captured.run(images)["relu"], expected)  # now with the calls known, and stopping
    with capture(block, ["relu"], call=2, stop=stop) as captured, pytest.raises(LayerError, match="call=2"):
        captured.run(images)
    with pytest.raises(OptionError, match="call"):
        capture(block, ["relu"], call=-1)


def test_uncalled_layer_is_an_error_when_asked(images):
    with capture(Net(), ["unused", "head"]) as captured:
        captured.model(images)
        assert captured["head"].shape == (B, C)
        with pytest.raises(LayerError, match=r"'unused'.*never"):
            captured["unused"]


def test_tuple_outputs_name_their_tensors(images):
    net = Net().eval()
    with capture(net, ["lstm", "lstm[0]", "lstm[1][1]"]) as captured:
        net(images)
        with pytest.raises(LayerError, match=r"tuple.*'lstm\[0\]' \(3, 63, 5\).*'lstm\[1\]\[0\]'"):
            captured["lstm"]
    assert captured["lstm[0]"].shape == (B, H * W, U)
    assert captured["lstm[1][1]"].shape == (1, B, U)
    with capture(net, ["lstm[7]"]) as captured, pytest.raises(LayerError, match=r"'lstm\[0\]'"):
        captured.run(images)


def test_named_tuples_and_dicts_can_be_picked_and_edited(images):
    Pair = collections.namedtuple("Pair", "left right")

    class Two(nn.Module):
        def forward(self, x):
            return {"pair": Pair(x + 1, x + 2)}

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.two = Two()

        def forward(self, x):
            pair = self.two(x)["pair"]
            return pair.left + pair.right

    with edit(Sum(), {"two[pair][0]": lambda x: x * 0}) as model, capture(model, ["two[pair][0]"]) as captured:
        assert torch.equal(model(images), images + 2)
        assert torch.equal(captured["two[pair][0]"], images + 1)


def test_stop_skips_what_is_not_needed(chain, images):
    ran = []
    chain[3].register_forward_hook(lambda *_: ran.append(1))
    with capture(chain, ["0.0"], stop=True, call="first") as captured:
        a = captured.run(images)["0.0"]
        assert ran == []
        chain(images)  # a plain pass is never cut short
        assert ran == [1]
    with capture(chain, ["0.0"], stop=True) as captured:
        assert torch.equal(captured.run(images)["0.0"], a)
        assert len(ran) == 2
        assert torch.equal(captured.run(images)["0.0"], a)
        assert len(ran) == 2
    with capture(chain, ["0.0"]) as captured:
        captured.run(images)
    assert len(ran) == 3


def test_stop_passes_through_a_model_that_catches_exceptions(images):
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, U, 1)

        def forward(self, x):
            try:
                return self.conv(x)
            except Exception:  # noqa: BLE001 (what this test is about)
                return caught.append(1)

    caught = []
    first = {"stop": True, "call": "first"}
    model = Careful()
    with capture(model, ["conv"], **first) as outer, capture(model, ["conv"], **first) as inner:
        assert torch.equal(inner.run(images)["conv"], outer.run(images)["conv"])
    assert caught == []


def test_run_restores_modes_and_random_numbers(images):
    model = nn.Sequential(Noisy(), nn.BatchNorm2d(U))
    model[1].eval()
    mean, state = model[1].running_mean.clone(), torch.get_rng_state()
    with capture(model, ["0.drop", "0.conv"]) as captured:
        result = captured.run(images)
    with split(model, "0.conv") as parts:
        parts.head(images)
    layer_table(model, images)
    assert torch.equal(result["0.drop"], result["0.conv"])  # no dropout
    assert [m.training for m in (model, model[0], model[0].drop, model[1])] == [True, True, True, False]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(model[1].running_mean, mean)


def test_device_mismatch_is_told(chain, images):
    far = chain.to("meta")
    for ask in (lambda: layer_table(far, images), lambda: split(far, "1").head(images)):
        with pytest.raises(DeviceMismatch, match=r"meta.*cpu"):
            ask()


def test_closed_capture_does_not_run_but_reads(chain, images):
    captured = capture(chain, ["1"])
    with captured:
        captured.run(images)
    assert captured["1"].shape == (B, U, H - 2, W - 2)
    assert "1" in captured
    assert "2" not in captured
    with pytest.raises(OptionError, match="closed"):
        captured.run(images)
    with pytest.raises(LayerNotFound):
        captured["2"]


def test_edit_replaces_and_leaves_no_trace(chain, images):
    chain.eval()
    before = chain(images)

    def ablate(x):
        x[:, 2] = 0
        return x

    with edit(chain, {"0.0": ablate}), capture(chain, ["0.0"]) as captured:
        output = chain(images)
    hidden = functional.conv2d(images, chain[0][0].weight, chain[0][0].bias)
    assert torch.equal(captured["0.0"], hidden)  # before the edit, though the edit was entered first
    hidden[:, 2] = 0
    assert torch.equal(output, chain[3](chain[2](chain[1](hidden.relu()))))
    assert not torch.equal(output, before)
    assert hooks_on(chain) == 0
    assert torch.equal(chain(images), before)


def test_edit_does_not_write_into_the_layers_input(images):
    model, kept = nn.Sequential(nn.Identity()), images.clone()
    with edit(model, {"0": torch.Tensor.zero_}):
        assert model(images).count_nonzero() == 0
    assert torch.equal(images, kept)


def test_nested_edits_follow_each_other(images):
    model = nn.Sequential(nn.Identity())
    with edit(model, {"0": lambda x: x + 1}), edit(model, {"0": lambda x: x * 2}):
        assert torch.equal(model(images), (images + 1) * 2)


@pytest.mark.parametrize("function", [lambda x: x[:, :2], lambda x: x.double(), lambda x: x.to("meta")])
def test_edit_refuses_another_kind_of_tensor(chain, images, function):
    with edit(chain, {"1": function}), pytest.raises(ShapeMismatch, match=r"\(3, 5, 7, 5\)"):
        chain(images)
    assert hooks_on(chain) == 0


def test_edit_without_return_is_told(chain, images):
    with edit(chain, {"1": lambda x: None}), pytest.raises(OptionError, match="return"):
        chain(images)
    with pytest.raises(OptionError, match="function"), edit(chain, {"1": 3}):
        pass
