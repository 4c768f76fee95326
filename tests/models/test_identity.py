import copy
import hashlib
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from unitlens.errors import OptionError
from unitlens.models.identity import model_digest


class Net(nn.Module):
    def __init__(self, kernel=3, eps=1e-5):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.eps = nn.Conv2d(3, 5, kernel), nn.BatchNorm2d(5), eps
        self.register_buffer("table", torch.arange(4), persistent=False)


class Other(Net):
    pass


def changed(change):
    model = Net()
    change(model)
    return model_digest(model)


def test_same_model_same_digest_whatever_the_mode_and_layout():
    digest = model_digest(Net())
    assert len(digest) == 64
    assert int(digest, 16) >= 0
    assert digest == model_digest(copy.deepcopy(Net()).eval())
    assert digest == model_digest(Net().to(memory_format=torch.channels_last))
    assert digest == changed(lambda m: m.requires_grad_(False))
    assert digest == changed(lambda m: setattr(m, "unitlens_name", "how displays call it"))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.conv.weight.data[0, 0, 0].copy_(m.conv.weight.data[0, 0, 0].flip(0)),
        lambda m: m.norm.running_mean.add_(1e-7),
        lambda m: m.table.add_(1),
        lambda m: m.norm.double(),
        lambda m: setattr(m, "eps", 1e-6),
        lambda m: setattr(m, "mode", "max"),
        lambda m: setattr(m, "norm", nn.Identity()),
        lambda m: setattr(m.conv, "stride", (2, 2)),
    ],
)
def test_every_ingredient_changes_the_digest(change):
    assert changed(change) != model_digest(Net())


def test_class_name_and_dtype_change_the_digest():
    assert len({model_digest(m) for m in (Net(), Other(), Net(kernel=1), Net().half(), Net().bfloat16())}) == 5


def test_bytes_are_those_of_the_tensors():
    """Re-derived from the documented layout for one layer."""
    layer = nn.Linear(2, 3)
    text = ["Linear", repr(layer), " in_features 2", " out_features 3"]
    expected = hashlib.sha256("".join(f"{len(t)}:{t}" for t in text).encode())
    for name, tensor in (("weight", layer.weight), ("bias", layer.bias)):
        line = f"{name} torch.float32 {tuple(tensor.shape)}"
        expected.update(f"{len(line)}:{line}".encode() + tensor.detach().numpy().tobytes())
    assert model_digest(layer) == expected.hexdigest()


def test_odd_tensors_have_a_digest():
    model = nn.Module()
    for i, tensor in enumerate((torch.tensor(3.0), torch.zeros(0, 2), torch.tensor([True]), torch.ones(2, 3).t(),
                                torch.eye(3).to_sparse(), torch.tensor([1j]).conj())):
        model.register_buffer(f"b{i}", tensor)
    assert len(model_digest(model)) == 64


class Holder(nn.Module):
    def __init__(self, value: object):
        super().__init__()
        self.value = value


@pytest.mark.parametrize(
    ("first", "second"),
    [(torch.sin, torch.exp), (torch.tensor(1.0), torch.tensor(5.0)), ([1.0], [5.0]), ({"a": 1}, {"a": 2}), (None, 0),
     (np.arange(3), np.arange(4)), (partial(torch.clamp, min=0), partial(torch.clamp, min=1)), ({1}, {1, 2}),
     (torch.float16, torch.float32), (torch.Size([1]), torch.Size([2]))],
    ids=str,
)  # fmt: skip
def test_plain_attributes_that_forward_may_use_change_the_digest(first, second):
    assert model_digest(Holder(first)) != model_digest(Holder(second))
    assert model_digest(Holder(first)) == model_digest(Holder(first))


def test_no_address_is_in_the_digest():
    assert model_digest(Holder(object())) == model_digest(Holder(object()))


def test_models_without_values_are_refused():
    with pytest.raises(OptionError, match="'weight' is on the meta device"):
        model_digest(nn.Linear(2, 3, device="meta"))
    with pytest.raises(OptionError, match="function"):
        model_digest(lambda x: x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here: the digest on another device is not compared")
def test_device_does_not_matter():
    assert model_digest(Net().cuda()) == model_digest(Net())
