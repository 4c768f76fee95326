"""Edits as values, and what they do to outputs of every layout, cell by cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import unitlens as ul
from unitlens.errors import LayerError, OptionError, ShapeMismatch
from unitlens.intervene.edits import Edits, UnitEdit, units_text

B, U, H, W = 3, 5, 4, 6


def output_of(kind: str) -> tuple[Tensor, int]:
    """An output and the axis of its units."""
    torch.manual_seed(2)
    return {
        "grid": (torch.randn(B, U, H, W), 1), "channels last": (torch.randn(B, H, W, U), 3),
        "tokens": (torch.randn(B, 1 + 2 * 3, U), 2), "dense": (torch.randn(B, U), 1),
    }[kind]  # fmt: skip


def changed(output: Tensor, axis: int, units: Any, act: Any) -> Tensor:
    """Naively: act(value, unit, position among the chosen) for every number of these units."""
    expected = output.clone()
    for i, unit in enumerate(units):
        at: list[Any] = [slice(None)] * output.ndim
        at[axis] = unit
        expected[tuple(at)] = act(output[tuple(at)], unit, i)
    return expected


ACTS: dict[str, tuple[Any, Any]] = {
    "zero": (lambda units: ul.Ablate("x", units), lambda v, u, i: v * 0),
    "numbers": (lambda units: ul.Ablate("x", units, to=[1.5, -2]), lambda v, u, i: v * 0 + [1.5, -2][i]),
    "one number": (lambda units: ul.Insert("x", units, 3), lambda v, u, i: v * 0 + 3),
    "values": (lambda units: ul.Insert("x", units, [3, 4]), lambda v, u, i: v * 0 + [3, 4][i]),
    "scale": (lambda units: ul.Scale("x", units, 2.5), lambda v, u, i: v * 2.5),
    "resample": (lambda units: ul.Ablate("x", units, to="resample"), lambda v, u, i: v.roll(1, 0)),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("kind", ["grid", "channels last", "tokens", "dense"])
def test_an_edit_changes_its_units_and_nothing_else(kind: str, act: str) -> None:
    output, axis = output_of(kind)
    before = output.clone()
    make, naive = ACTS[act]
    got = make([4, 1]).change(output, unit_axis=-1 if kind == "channels last" else None)
    torch.testing.assert_close(got, changed(output, axis, [4, 1], naive))
    assert torch.equal(output, before)


def test_all_units_and_half_precision() -> None:
    output, _ = output_of("grid")
    assert not ul.Ablate("x").change(output).any()
    half = ul.Scale("x", 2, 2.0).change(output.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half[:, 2], output.half()[:, 2] * 2)


def test_means_and_other_images_are_given_by_unit() -> None:
    output, _ = output_of("grid")
    means = torch.arange(U).float()
    got = ul.Ablate("x", [3, 1], to="mean").change(output, means)
    torch.testing.assert_close(got, changed(output, 1, [3, 1], lambda v, u, i: v * 0 + u))
    other = torch.randn(B, U, H, W)
    got = ul.Ablate("x", [3, 1], to="resample").change(output, other)
    torch.testing.assert_close(got, changed(output, 1, [3, 1], lambda v, u, i: other[:, u]))


@pytest.mark.parametrize("kind", ["grid", "tokens"])
def test_a_region_is_averaged_over_the_cells(kind: str) -> None:
    output, _ = output_of(kind)
    rows, columns = (H, W) if kind == "grid" else (2, 3)
    region = (np.random.default_rng(0).random((rows * 4, columns * 4)) < 0.4).astype(float)
    got = ul.Insert("x", 2, 7.0, region=region).change(output)
    for y in range(rows):
        for x in range(columns):
            share = region[4 * y : 4 * y + 4, 4 * x : 4 * x + 4].mean()
            at: Any = (slice(None), 2, y, x) if kind == "grid" else (slice(None), 1 + y * columns + x, 2)
            torch.testing.assert_close(got[at], output[at] + share * (7 - output[at]))
    if kind == "tokens":
        assert torch.equal(got[:, 0], output[:, 0])  # the class token stands for no place
    coarse = ul.Ablate("x", region=np.array([[1, 0, 0]])).change(output_of("grid")[0])
    assert not coarse[..., :2].any() and coarse[..., 2:].all()


def test_edits_add_up_in_order() -> None:
    output, _ = output_of("grid")
    both = ul.Insert("x", [0, 1], 2.0) + ul.Scale("x", 1, 3.0) + ul.Ablate("y", 0)
    assert isinstance(both, Edits) and both.layers == ("x", "y")
    got = both.functions()["x"](output)
    torch.testing.assert_close(got, changed(output, 1, [0, 1], lambda v, u, i: v * 0 + [2, 6][i]))
    again = ul.Insert("x", [0, 1], 2.0) + (ul.Scale("x", 1, 3.0) + ul.Ablate("y", 0))
    assert again == both and hash(again) == hash(both)
    with pytest.raises(TypeError):
        both + 3  # type: ignore[operator]


def test_the_context_applies_them_and_leaves_nothing() -> None:
    model, images = nn.Sequential(nn.Conv2d(3, U, 1), nn.Flatten()), torch.rand(2, 3, 2, 2)
    with torch.no_grad():
        before = model(images)
        with ul.edit(model, ul.Ablate("0", [1, 3])):
            off = model(images).unflatten(1, (U, 4))
        with ul.edit(model, ul.Ablate("0", 0) + ul.Scale("0", 1, 2.0)):
            scaled = model(images).unflatten(1, (U, 4))
        assert not off[:, [1, 3]].any() and off[:, [0, 2, 4]].all()
        torch.testing.assert_close(scaled[:, 1], 2 * before.unflatten(1, (U, 4))[:, 1])
        assert torch.equal(model(images), before) and not model[0]._forward_hooks


def test_equal_edits_are_equal_and_say_what_they_are() -> None:
    region = np.eye(3)
    pairs = [
        (ul.Ablate("x", [1, 2]), ul.Ablate("x", (1, 2)), True), (ul.Ablate("x", [1, 2]), ul.Ablate("x", [2, 1]), False),
        (ul.Ablate("x", 1), ul.Scale("x", 1), False), (ul.Ablate("x", 1), ul.Ablate("x", 1, to="mean"), False),
        (ul.Ablate("x", 1, region=region), ul.Ablate("x", 1, region=region.copy()), True),
        (ul.Ablate("x", 1, region=region), ul.Ablate("x", 1, region=1 - region), False),
        (ul.Scale("x", 1, 0.5), ul.Scale("x", np.array([1]), np.float32(0.5)), True),
        (ul.Ablate("x", 1, to="resample"), ul.Ablate("x", 1, to="resample", seed=1), False),
    ]  # fmt: skip
    for one, other, same in pairs:
        assert (one == other) is same
        assert not same or (hash(one) == hash(other) and one.identity == other.identity)
    assert ul.Ablate("x") != 3
    assert repr(ul.Ablate("x", 1, to="mean", region=region)) == "Ablate('x', unit 1 in a region, to='mean')"
    assert repr(ul.Ablate("x", [1, 2], to=[0, 1])) == "Ablate('x', units 1, 2, to numbers)"
    assert repr(ul.Insert("x")) == "Insert('x', all units)" and repr(Edits([])) == "Edits([])"
    assert units_text([]) == "no unit"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ul.Ablate("x", [1, 1]), "stands there twice"), (lambda: ul.Ablate("x", [-1]), "from 0 on, got -1"),
        (lambda: ul.Ablate("x", [True]), "got True"), (lambda: ul.Ablate("x", "12"), "expected unit numbers, got '12'"),
        (lambda: ul.Ablate("x", 1.5), "expected unit numbers, got 1.5"),
        (lambda: ul.Ablate("x", 1, to="nothing"), "to: expected one of 'zero', 'mean', 'resample'"),
        (lambda: ul.Ablate("x", [1, 2], to=[1, 2, 3]), "expected 1 or 2 numbers"),
        (lambda: ul.Insert("x", 1, float("nan")), "values: expected finite numbers"),
        (lambda: ul.Scale("x", 1, "loud"), "factor: expected numbers"),
        (lambda: ul.Ablate("x", 1, region=np.full((2, 2), 2.0)), "region: expected numbers 0..1"),
        (lambda: ul.Ablate("x", 1, region=np.full((2, 2), np.nan)), "region: expected numbers 0..1"),
    ],
)  # fmt: skip
def test_a_wrong_edit_is_told_when_it_is_made(make: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()


def test_what_does_not_fit_a_layer_is_told() -> None:
    grid, dense = output_of("grid")[0], output_of("dense")[0]
    with pytest.raises(OptionError, match=r"layer 'x' has units 0\.\.4, got 5"):
        ul.Ablate("x", [2, 5]).change(grid)
    with pytest.raises(OptionError, match="the mean is not known here"):
        ul.Ablate("x", 0, to="mean").change(grid)
    with pytest.raises(OptionError, match="expected two images or more"):
        ul.Ablate("x", 0, to="resample").change(grid[:1])
    with pytest.raises(ShapeMismatch, match="no grid"):
        ul.Ablate("x", 0, region=np.ones((2, 2))).change(dense)
    with pytest.raises(ShapeMismatch, match=r"region: expected \(H, W\)"):
        ul.Ablate("x", 0, region=np.ones(3))
    with pytest.raises(LayerError, match="2 to 4 axes"):
        ul.Ablate("x", 0).change(torch.zeros(3))
    with pytest.raises(OptionError, match="unit_axis: expected 1"):
        ul.Ablate("x", 0).change(grid, unit_axis=2)
    with pytest.raises(ShapeMismatch, match=r"output: expected \(3, 5, 4, 6\)"):
        ul.Ablate("x", 0, to="resample").change(grid, grid[:2])
    with pytest.raises(NotImplementedError):
        UnitEdit("x", 0).change(grid)
