"""The workbench against whole-network runs, one image and one set of factors at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import unitlens as ul
from unitlens.errors import OptionError, ProbeError
from unitlens.intervene import workbench as module
from unitlens.intervene.workbench import Workbench

U, K, N = 6, 4, 11


def network(kind: str) -> nn.Module:
    """Networks whose tails are run in different ways."""
    torch.manual_seed(3)
    act = {"sums": nn.ReLU(), "step": nn.ReLU(), "relu6": nn.ReLU6(), "hard": nn.Hardtanh(), "norm": nn.BatchNorm2d(U)}
    first = nn.Sequential(nn.Conv2d(3, U, 3, stride=2), act.get(kind, nn.ReLU()))
    if kind == "step":
        tail: list[nn.Module] = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(U * 2 * 3, 9), nn.Sigmoid(), nn.Linear(9, K)]
    else:
        tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(U, K)]
    model = nn.Sequential(first, *tail).double().eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean = torch.randn(U).double()
    first[0].weight.data *= 12  # so that ReLU6 and Hardtanh do cut
    return model


@pytest.fixture(scope="module")
def probe() -> ul.ProbeSet:
    generator = torch.Generator().manual_seed(1)
    labels = np.array([0, 1, 2, 3, -1, 0, 1, 2, -1, 0, 1])
    return ul.ArrayProbe(torch.rand(N, 3, 11, 13, generator=generator), class_labels=labels, class_names="abcd")


def naive(model: nn.Module, probe: ul.ProbeSet, keep: np.ndarray, kept: np.ndarray) -> torch.Tensor:
    factors = torch.from_numpy(keep).double()[:, None, None]
    hook = model[0][0].register_forward_hook(lambda _, __, output: output * factors)
    with torch.no_grad():
        scores = torch.cat([model(probe.load([int(i)]).images.double()) for i in kept])
    hook.remove()
    return scores


@pytest.mark.parametrize("kind", ["sums", "step", "relu6", "hard", "norm"])
def test_any_factors_score_as_the_whole_network_does(kind: str, probe: ul.ProbeSet) -> None:
    model = network(kind)
    held = Workbench(model, "0.0", probe, batch_size=4, show_progress=False)
    assert held.way == ("step" if kind == "step" else "sums")
    assert held.index.tolist() == [0, 1, 2, 3, 5, 6, 7, 9, 10] and held.skipped == 2
    rng = np.random.default_rng(0)
    sets = np.stack([np.ones(U), np.zeros(U), rng.random(U) * 2, np.array([2, 1, 1, 0, 1, 0.3]), np.full(U, 3.0)])
    scores = held.scores(sets.astype(np.float32))
    for row, keep in zip(scores, sets.astype(np.float32), strict=True):
        torch.testing.assert_close(row, naive(model, probe, keep, held.index), rtol=1e-6, atol=1e-6)
    assert torch.equal(scores[0], held.base)
    effect = held.effect(sets[3].astype(np.float32), "some")
    after = naive(model, probe, sets[3], held.index)
    assert effect.after.tolist() == after.argmax(1).tolist()
    true = torch.from_numpy(held.true)
    np.testing.assert_allclose(effect.log_after, after.log_softmax(1)[range(len(true)), true], atol=1e-6)


def test_the_cause_is_the_unit_that_does_most_for_the_new_answer(probe: ul.ProbeSet) -> None:
    model = network("sums")
    held = Workbench(model, "0.0", probe, show_progress=False)
    keep = np.ones(U, np.float32)
    keep[[1, 2, 5]] = 0
    old, new = (naive(model, probe, factors, held.index).argmax(1) for factors in (np.ones(U), keep))
    causes = held.causes(range(9), keep, [1, 2, 5])
    for image in range(9):
        gains = {}
        for unit in (1, 2, 5):
            alone = np.ones(U)
            alone[unit] = 0
            scores = naive(model, probe, alone, held.index)[image]
            gains[unit] = float(scores[new[image]] - scores[old[image]])
        assert gains[int(causes[image])] == pytest.approx(max(gains.values()), abs=1e-9)
    assert held.causes(range(2), keep, []).tolist() == [-1, -1]


def test_maps_are_the_layer_s_output(probe: ul.ProbeSet) -> None:
    model = network("sums")
    held = Workbench(model, "0.0", probe, show_progress=False)
    maps = held.maps([0, 4], [5, 2])
    with torch.no_grad():
        whole = model[0][0](probe.load(held.index[[0, 4]].tolist()).images.double())
    np.testing.assert_allclose(maps, torch.stack([whole[0, 5], whole[1, 2]]), rtol=1e-5)
    assert Workbench(model, "2", probe, show_progress=False).maps([0], [1]).shape == (1, 0, 0)


def test_images_that_do_not_fit_are_told_by_the_first_batch(probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network("sums")
    needed = sum(moment.bytes for moment in Workbench(model, "0.0", probe, show_progress=False).moments)
    monkeypatch.setattr(module, "MEMORY", 2 * needed)
    Workbench(model, "0.0", probe, show_progress=False)
    monkeypatch.setattr(module, "MEMORY", needed // 3)
    with pytest.raises(OptionError, match=r"probe.subset\(range\(0, 11, \d\)\)") as told:
        Workbench(model, "0.0", probe, batch_size=2, show_progress=False)
    few = eval(str(told.value).partition("such as ")[2], {"probe": probe})
    Workbench(model, "0.0", few, batch_size=2, show_progress=False)


def test_factors_and_labels_are_checked(probe: ul.ProbeSet) -> None:
    held = Workbench(network("sums"), "0.0", probe, show_progress=False)
    for wrong in (np.ones((2, U + 1)), np.ones(U), np.full((1, U), np.nan)):
        with pytest.raises(OptionError, match="keep: expected finite factors"):
            held.scores(wrong.astype(np.float32))
    nameless = ul.ArrayProbe(torch.rand(3, 3, 11, 13))
    with pytest.raises(ProbeError, match="class labels"):
        Workbench(network("sums"), "0.0", nameless, show_progress=False)


def test_nothing_is_left_on_the_model(probe: ul.ProbeSet) -> None:
    model = network("step")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    held = Workbench(model, "0.0", probe, show_progress=False)
    held.effect(np.zeros(U, np.float32), "all")
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
