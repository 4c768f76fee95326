"""TopK against a sort of (value, index) pairs, one unit at a time."""

import pytest
import torch

from unitlens.errors import OptionError, RecipeMismatch, ShapeMismatch
from unitlens.stats.topk import TopK

B, U, H, W, TOP = 23, 5, 3, 4, 6


def activations() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    maps = (torch.randn(B, U, H, W, generator=draw) * 2).round() / 2  # many ties
    maps[:, 2] = 0
    return maps, torch.randperm(100, generator=draw)[:B]


@pytest.mark.parametrize("size", [1, 4, 23])
def test_winners_values_and_maps_equal_a_naive_sort(size):
    maps, index = activations()
    values = maps.amax((2, 3))
    top = TopK(U, TOP)
    for start in range(0, B, size):
        part = slice(start, start + size)
        top.update(values[part], index[part], maps[part])
    found = top.compute()
    for unit in range(U):
        ranked = sorted(range(B), key=lambda i: (-float(values[i, unit]), int(index[i])))[:TOP]
        assert found.images[unit].tolist() == index[ranked].tolist()
        assert found.values[unit].tolist() == values[ranked, unit].tolist()
        assert torch.equal(found.maps[unit], maps[ranked, unit].half())
    assert found.values.dtype == torch.float32
    assert found.images.dtype == torch.int64


def test_fewer_images_than_k_leave_minus_one():
    top = TopK(2, 4)
    top.update(torch.tensor([[1.0, 2.0], [3.0, float("nan")]]), torch.tensor([5, 6]), torch.ones(2, 2, 1, 3))
    values, images, maps = top.compute()
    assert images.tolist() == [[6, 5, -1, -1], [5, 6, -1, -1]]  # a NaN image is an image: before the empty places
    assert values.tolist()[1] == [2.0, -torch.inf, -torch.inf, -torch.inf]
    assert maps[:, :2].eq(1).all()
    assert maps[:, 2:].eq(0).all()


def test_an_infinite_value_wins():
    top = TopK(1, 2)
    top.update(torch.tensor([[1.0], [torch.inf], [-torch.inf]]), torch.tensor([0, 1, 2]))
    assert top.compute().values.tolist() == [[torch.inf, 1.0]]


def test_maps_are_clamped_to_half_precision():
    top = TopK(1, 1)
    top.update(torch.tensor([[9e9]]), torch.tensor([0]), torch.tensor([[[[9e9, -9e9, float("nan"), 0.5]]]]))
    assert top.compute().values.item() == pytest.approx(9e9)
    assert top.compute().maps.flatten().tolist() == [65504.0, -65504.0, 0.0, 0.5]


def test_without_maps_there_are_none():
    top = TopK(1, 1)
    top.update(torch.tensor([[1.0]]), torch.tensor([0]))
    assert top.compute().maps is None


def test_maps_in_some_batches_only_raise():
    top, bare = TopK(1, 1), TopK(1, 1)
    top.update(torch.ones(1, 1), torch.tensor([0]), torch.ones(1, 1, 2, 3))
    bare.update(torch.ones(1, 1), torch.tensor([1]))
    with pytest.raises(RecipeMismatch, match="every batch"):
        top.update(torch.ones(1, 1), torch.tensor([1]))
    with pytest.raises(RecipeMismatch, match="every batch"):
        bare.merge(top)
    with pytest.raises(ShapeMismatch, match=r"\(2, 3\)"):
        top.update(torch.ones(1, 1), torch.tensor([1]), torch.ones(1, 1, 4, 3))


@pytest.mark.parametrize(
    ("values", "index", "maps", "name"),
    [
        (torch.ones(2, 4), torch.arange(2), None, "values"),
        (torch.ones(2, 3), torch.arange(3), None, "index"),
        (torch.ones(2, 3), torch.tensor([0, -1]), None, "index"),
        (torch.ones(2, 3), torch.arange(2), torch.ones(3, 2, 1, 1), "maps"),
    ],
)
def test_wrong_shapes_are_named(values, index, maps, name):
    with pytest.raises(ShapeMismatch, match=f"^{name}"):
        TopK(3, 2).update(values, index, maps)


def test_k_below_one_raises():
    with pytest.raises(OptionError, match="k: expected"):
        TopK(3, 0)
