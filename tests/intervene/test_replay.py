"""Replay against whole-network runs with a hook, for every way in which a tail can be run."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from networks import CASES, K, U, images, made, naive
from torch import nn

from unitlens.errors import DataWarning, LayerError, OptionError, ShapeMismatch
from unitlens.intervene import replay as module
from unitlens.intervene.outputs import Classes
from unitlens.intervene.replay import Moment, Replay

CLASSES = Classes(tuple("abcd"), None)
LIMITS = {torch.float64: 1e-9, torch.float32: 2e-5}


def begun(name: str, model: nn.Module, given: torch.Tensor, **options: Any) -> tuple[Replay, Moment]:
    replay = Replay(model, "layer", CLASSES, unit_axis=CASES[name].unit_axis, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return replay, replay.begin(given)


def collected(chunks: Any) -> torch.Tensor:
    """All scores (B, S, K) of an iteration over chunks."""
    found = list(chunks)
    assert [chunk.start for chunk, _ in found] == [0, *(chunk.stop for chunk, _ in found[:-1])]
    return torch.cat([scores for _, scores in found], 1)


@pytest.mark.parametrize("dtype", LIMITS, ids=["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_each_unit_off_scores_as_the_whole_network_does(name: str, dtype: torch.dtype) -> None:
    model, given = made(name, dtype), images(5, dtype)
    replay, moment = begun(name, model, given)
    assert replay.way == CASES[name].way
    scores = collected(moment.singles())
    assert scores.shape == (5, U, K)
    for unit in range(U):
        expected = naive(model, "layer", given, 1.0 - np.eye(U)[unit], None, CASES[name].unit_axis)
        torch.testing.assert_close(scores[:, unit], expected, rtol=LIMITS[dtype], atol=LIMITS[dtype])
    torch.testing.assert_close(moment.base, naive(model, "layer", given, np.ones(U)), rtol=1e-5, atol=1e-5)


SETS = np.array([[1] * 6, [0] * 6, [1, 0, 0, 1, 1, 0], [0, 1, 1, 1, 1, 1], [0.3, 1, 0, 1.7, 1, 2]])


@pytest.mark.parametrize("name", CASES)
def test_any_set_and_any_factor_scores_as_the_whole_network_does(name: str) -> None:
    model, given = made(name), images(5)
    _, moment = begun(name, model, given)
    scores = collected(moment.sets(torch.from_numpy(SETS)))
    for row, keep in enumerate(SETS):
        expected = naive(model, "layer", given, keep, None, CASES[name].unit_axis)
        torch.testing.assert_close(scores[:, row], expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(scores[:, 0], moment.base)
    zero_one = collected(moment.sets(torch.from_numpy(SETS[:4]).bool().float()))
    torch.testing.assert_close(zero_one, scores[:, :4], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_units_set_to_a_fill_score_as_the_whole_network_does(name: str) -> None:
    model, given = made(name), images(4)
    fill = np.linspace(-1, 2, U)
    _, moment = begun(name, model, given, fill=torch.from_numpy(fill))
    scores = collected(moment.singles())
    for unit in range(U):
        expected = naive(model, "layer", given, 1.0 - np.eye(U)[unit], fill, CASES[name].unit_axis)
        torch.testing.assert_close(scores[:, unit], expected, rtol=1e-9, atol=1e-9)
    several = collected(moment.sets(torch.from_numpy(SETS[:4])))
    for row, keep in enumerate(SETS[:4]):
        expected = naive(model, "layer", given, keep, fill, CASES[name].unit_axis)
        torch.testing.assert_close(several[:, row], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["pooled", "vgg", "squeezenet", "grouped"])
def test_a_dead_unit_costs_nothing_to_the_bit(name: str, dtype: torch.dtype) -> None:
    model = made(name, dtype)
    with torch.no_grad():
        model.layer.weight[2] = 0
        model.layer.bias[2] = 0
    _, moment = begun(name, model, images(5, dtype))
    scores = collected(moment.singles())
    assert torch.equal(scores[:, 2], moment.base)
    others = (scores != moment.base[:, None]).any(2).any(0)
    assert others.sum() >= 3 and not others[2]
    expected = naive(model, "layer", images(5, dtype), 1.0 - np.eye(U)[0]).float()
    torch.testing.assert_close(scores[:, 0].float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["pooled", "vgg", "squeezenet", "view", "tokens"])
def test_small_chunks_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = made(name), images(5)
    whole = collected(begun(name, model, given)[1].singles())
    monkeypatch.setattr(module, "ROOM", 1)
    _, moment = begun(name, model, given)
    assert len(list(moment.singles())) == U
    torch.testing.assert_close(collected(moment.singles()), whole, rtol=1e-12, atol=1e-12)


def test_a_skip_connection_is_told_once() -> None:
    replay = Replay(made("skip around"), "layer", CLASSES)
    with pytest.warns(DataWarning, match="the whole network runs for every set"):
        replay.begin(images(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replay.begin(images(3))


def test_steps_that_look_apart_but_are_not_are_found_by_measuring() -> None:
    class Mixed(nn.ReLU):
        def forward(self, grid: torch.Tensor) -> torch.Tensor:
            return torch.relu(grid - grid.mean(1, keepdim=True))

    model = made("pooled")
    model.m0 = Mixed()
    _, moment = begun("pooled", model, images(4))
    keep = 1.0 - np.eye(U)[1]
    torch.testing.assert_close(collected(moment.singles())[:, 1], naive(model, "layer", images(4), keep))
    hooked = made("pooled")
    hooked.m0.register_forward_hook(lambda _, __, output: output - output.mean(1, keepdim=True))
    _, moment = begun("pooled", hooked, images(4))
    torch.testing.assert_close(collected(moment.singles())[:, 1], naive(hooked, "layer", images(4), keep))


@pytest.mark.parametrize("name", ["pooled", "vgg", "skip around", "tokens"])
def test_nothing_is_left_behind_an_exception_included(name: str) -> None:
    model = made(name)
    model.train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    before = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()]
    _, moment = begun(name, model, images(3))
    collected(moment.singles())

    def broken(*_: Any) -> None:
        raise RuntimeError("on purpose")

    last = [part for part in model.modules() if isinstance(part, nn.Linear)][-1]
    handle = last.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="on purpose"):
        Replay(model, "layer", CLASSES).begin(images(3))
    handle.remove()
    assert [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()] == before
    assert all(part.training for part in model.modules())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_outputs_stand_for_classes_by_the_highest() -> None:
    model, given = made("vgg"), images(5)
    groups = Classes(("x", "y"), ((2,), (0, 3)))
    moment = Replay(model, "layer", groups).begin(given)
    scores = collected(moment.singles())
    for unit in range(U):
        whole = naive(model, "layer", given, 1.0 - np.eye(U)[unit])
        expected = torch.stack([whole[:, 2], whole[:, [0, 3]].amax(1)], 1)
        torch.testing.assert_close(scores[:, unit], expected, rtol=1e-9, atol=1e-9)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(OptionError, match="fill: expected 6 numbers"):
        Replay(made("pooled"), "layer", CLASSES, fill=torch.zeros(5)).begin(images(2))
    with pytest.raises(ShapeMismatch, match="4 outputs for the 3 classes"):
        Replay(made("pooled"), "layer", Classes(tuple("abc"), None)).begin(images(2))
    with pytest.raises(ShapeMismatch, match="expected class scores"):
        Replay(plain_grid(), "layer", CLASSES).begin(images(2))
    with pytest.raises(OptionError, match=r"the model has outputs 0\.\.3, got 9"):
        Replay(made("pooled"), "layer", Classes(("a",), ((9,),))).begin(images(2))
    with pytest.raises(LayerError, match="2 to 4 axes"):
        Replay(flat(), "layer", CLASSES).begin(images(2))


def plain_grid() -> nn.Module:
    model = nn.Sequential()
    model.add_module("layer", nn.Conv2d(3, U, 3))
    return model.double()


def flat() -> nn.Module:
    class Last(nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return given.mean((1, 2, 3))

    model = nn.Sequential()
    model.add_module("layer", Last())
    return model
