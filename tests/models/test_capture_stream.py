"""capture.run(images, use): activations handed on while the model runs, nothing kept."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from unitlens.errors import LayerError, OptionError
from unitlens.models.capture import capture, layers

B, U, C, H, W = 3, 5, 4, 9, 7


@pytest.fixture
def images():
    return torch.randn(B, 3, H, W, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def chain():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, U, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(U), nn.Flatten(), nn.Linear(U * (H - 2) * (W - 2), C)
    ).eval()


class Twice(nn.Module):
    """One module called twice; a model that hides exceptions of its layers, if told to."""

    def __init__(self, calls=2, careful=False):
        super().__init__()
        self.conv, self.calls, self.careful = nn.Conv2d(3, 3, 3, padding=1), calls, careful

    def forward(self, x):
        for _ in range(self.calls):
            try:
                x = self.conv(x) * 2
            except Exception:
                if not self.careful:
                    raise
        return x


def hooks_on(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def taken(model, names, images, **options):
    found = []
    with capture(model, names, **options) as captured:
        answer = captured.run(images, lambda name, tensor: found.append((name, tensor.clone())))
    assert answer == {}
    return found


@pytest.mark.parametrize("stop", [False, True])
def test_use_gets_what_run_keeps_in_the_order_of_execution(chain, images, stop):
    names = ["4", "0", "2"]
    with capture(chain, names) as captured:
        expected = captured.run(images)
    found = taken(chain, names, images, stop=stop)
    assert [name for name, _ in found] == ["0", "2", "4"]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found)
    assert not any(tensor.requires_grad for _, tensor in found)


def test_items_of_one_module_come_in_the_order_asked_for(images):
    model = nn.Sequential(nn.Flatten(2), nn.LSTM(H * W, U, batch_first=True))
    names = ["1[1][0]", "1[0]", "1[1][1]"]
    assert [name for name, _ in taken(model, names, images)] == names


def test_the_tensor_is_no_copy_and_without_relu(chain, images):
    kept, pointers = [], []
    handle = chain[0].register_forward_hook(lambda module, _, output: pointers.append(output.data_ptr()))
    with capture(chain, ["0"], after_relu=True) as captured:
        captured.run(images, lambda name, tensor: kept.extend([tensor, tensor.clone()]))
    handle.remove()
    late, early = kept
    assert late.data_ptr() == pointers[0]
    assert torch.equal(early, functional.conv2d(images, chain[0].weight, chain[0].bias))
    assert early.min() < 0
    assert torch.equal(late, early.relu())  # the in-place ReLU has been there: valid only during the call


def test_nothing_is_stored(chain, images):
    with capture(chain, ["0"]) as captured:
        captured.run(images, lambda name, tensor: None)
        with pytest.raises(LayerError, match="handed to `use`"):
            captured["0"]
        assert captured.run(images)["0"].shape == (B, U, H - 2, W - 2)
        captured.run(images, lambda name, tensor: None)
        with pytest.raises(LayerError, match="nothing kept"):
            captured["0"]


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize(("call", "position"), [("first", 0), ("last", 2), (0, 0), (1, 1), (2, 2)])
def test_the_wanted_call_is_handed_on_once(images, stop, call, position):
    model = Twice(calls=3).eval()
    with torch.no_grad():
        outputs = [model.conv(images)]
        outputs.append(model.conv(outputs[0] * 2))
        outputs.append(model.conv(outputs[1] * 2))
    found = []
    with capture(model, ["conv"], call=call, stop=stop) as captured:
        captured.run(images, lambda name, tensor: found.append(tensor.clone()))
        captured.run(images, lambda name, tensor: found.append(tensor.clone()))
    assert len(found) == 2
    assert all(torch.equal(tensor, outputs[position]) for tensor in found)


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("stop", [False, True])
def test_two_calls_without_a_choice_are_an_error(images, stop, careful):
    model = Twice(careful=careful)
    with capture(model, ["conv"], stop=stop) as captured:
        for _ in range(2):
            with pytest.raises(LayerError, match=r"called 2 times.*call='first'"):
                captured.run(images, lambda name, tensor: None)
    with capture(model, ["conv"], call=2) as captured, pytest.raises(LayerError, match="call=2"):
        captured.run(images, lambda name, tensor: None)
    assert hooks_on(model) == 0


def test_last_is_learned_from_one_image_once(images):
    sizes = []
    model = Twice()
    model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    with capture(model, ["conv"], call="last") as captured:
        captured.run(images, lambda name, tensor: None)
        captured.run(images, lambda name, tensor: None)
    assert sizes == [1, B, B]
    sizes.clear()
    with capture(model, ["conv"], call="last") as captured:
        captured.run(images)  # an ordinary pass shows it too
        captured.run(images, lambda name, tensor: None)
    assert sizes == [B, B]


@pytest.mark.parametrize("calls", [1, 3])
def test_last_of_another_number_of_calls_is_an_error(images, calls):
    model = Twice(calls=2)
    with capture(model, ["conv"], call="last") as captured:
        captured.run(images)
        model.calls = calls
        with pytest.raises(LayerError, match=f"called {calls} times"):
            captured.run(images, lambda name, tensor: None)


def test_uncalled_layers_and_tuples_are_told(images):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.unused = nn.LSTM(H * W, U, batch_first=True), nn.Linear(2, 2)

        def forward(self, x):
            return self.lstm(x.flatten(2))[0]

    for call in (None, "last"):
        with capture(Net(), ["unused"], call=call) as captured, pytest.raises(LayerError, match=r"'unused'.*never"):
            captured.run(images, lambda name, tensor: None)
        items = pytest.raises(LayerError, match=r"'lstm\[0\]' \(3, 3, 5\)")
        with capture(Net(), ["lstm"], call=call) as captured, items:
            captured.run(images, lambda name, tensor: None)


def test_stop_ends_the_pass_after_the_last_layer_that_is_needed(chain, images):
    ran = []
    chain[4].register_forward_hook(lambda *_: ran.append(1))
    with capture(chain, ["0", "2"], stop=True) as captured:
        captured.run(images, lambda name, tensor: None)
        assert ran == [1]  # a whole pass, to learn how often each is called
        captured.run(images, lambda name, tensor: None)
    taken(chain, ["0"], images, stop=True, call="first")
    assert ran == [1]


@pytest.mark.parametrize("careful", [False, True])
def test_what_use_raises_comes_out_unchanged_and_leaves_no_trace(images, careful):
    model = Twice(careful=careful)
    cause, error = KeyError("why"), ZeroDivisionError("mine")
    error.__cause__ = cause
    modes, state, seen = [m.training for m in model.modules()], torch.get_rng_state(), []

    def use(name, tensor):
        seen.append(name)
        torch.rand(1)
        raise error

    with pytest.raises(ZeroDivisionError) as told, capture(model, ["conv"], call="first") as captured:
        captured.run(images, use)
    assert told.value is error
    assert error.__cause__ is cause and error.__context__ is None
    assert seen == ["conv"]
    assert hooks_on(model) == 0
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    model(images)


def test_a_keyboard_interrupt_in_use_passes(chain, images):
    def use(name, tensor):
        raise KeyboardInterrupt

    with capture(chain, ["0"]) as captured:
        with pytest.raises(KeyboardInterrupt):
            captured.run(images, use)
        assert list(captured.run(images)) == ["0"]


def test_outputs_modes_and_random_numbers_are_as_before(chain, images):
    before = chain(images)
    chain.train()
    chain[2].eval()
    state, mean = torch.get_rng_state(), chain[2].running_mean.clone()
    taken(chain, layers(chain), images)
    assert [m.training for m in (chain, chain[0], chain[2])] == [True, True, False]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(chain[2].running_mean, mean)
    assert hooks_on(chain) == 0
    assert torch.equal(chain.eval()(images), before)


def test_use_must_be_a_function_and_images_a_tensor(chain, images):
    with capture(chain, ["0"], call="last") as captured:
        with pytest.raises(OptionError, match="use: expected a function"):
            captured.run(images, "0")
        with pytest.raises(OptionError, match="images: expected a tensor"):
            captured.run(7, lambda name, tensor: None)
