"""TailQuantile against a sort of everything."""

from decimal import Decimal

import numpy as np
import pytest
import torch

from unitlens.errors import OptionError, ProbeError, RecipeMismatch
from unitlens.stats.quantile import TailQuantile, hash_mask, tail_count


def naive(values: torch.Tensor, quantile: float) -> list[float]:
    """The (k+1)-th largest of each unit's values, one unit at a time; NaN lowest."""
    found = []
    for row in values.tolist():
        ranked = sorted((-float("inf") if v != v else v for v in row), reverse=True)
        found.append(ranked[int(len(row) * (1 - Decimal(str(quantile))))])
    return found


@pytest.mark.parametrize("quantile", [0.9, 0.99, 0.995, 0.5, 0.999])
def test_tail_count_is_free_of_float_error(quantile):
    for n in [*range(1, 1200), 10**12]:
        assert tail_count(n, quantile) == int(n * (1 - Decimal(str(quantile))))
    assert tail_count(10, 0.9) == 1 != int(10 * (1 - 0.9))


@pytest.mark.parametrize("quantile", [0.9, 0.99, 0.3, 0.9999])
def test_thresholds_equal_a_sort_of_everything(quantile):
    images, units, pixels = 60, 4, 77
    values = torch.randn(images, units, pixels, generator=torch.Generator().manual_seed(1))
    acc = TailQuantile(units, quantile, images * pixels)
    for batch in values.split(7):
        acc.update(batch)
    whole = values.transpose(0, 1).reshape(units, -1)
    assert acc.exact
    assert acc.rank_error == 0.0
    assert acc.compute().tolist() == pytest.approx(naive(whole, quantile), abs=0)
    assert ((whole > acc.compute()[:, None]).sum(1) == tail_count(images * pixels, quantile)).all()
    expected = whole.sort(dim=1, descending=True).values[:, : acc.tail]
    assert torch.equal(acc.upper_values(), expected)


@pytest.mark.parametrize("order", ["ascending", "descending", "one unit ascending"])
def test_buffers_that_overflow_stay_exact_in_any_order(order):
    units, n = 3, 20_000
    values = torch.randn(units, n, generator=torch.Generator().manual_seed(2))
    if order == "one unit ascending":
        values[1] = values[1].sort().values
    else:
        values = values.sort(dim=1, descending=order == "descending").values
    acc = TailQuantile(units, 0.95, n)
    for batch in values.split(901, dim=1):
        acc.update(batch)
    assert acc.compute().tolist() == naive(values, 0.95)


def test_one_huge_batch_is_cut_to_the_buffer():
    values = torch.rand(2, 50_000, generator=torch.Generator().manual_seed(3))
    acc = TailQuantile(2, 0.999, 50_000)
    acc.update(values)
    assert acc.compute().tolist() == naive(values, 0.999)


def test_layouts_agree():
    values = torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(4))
    layouts = values, values.flatten(2), values.transpose(0, 1).reshape(3, -1), values.contiguous(
        memory_format=torch.channels_last
    )
    found = []
    for layout in layouts:
        acc = TailQuantile(3, 0.9, 120)
        acc.update(layout)
        found.append(acc.compute().tolist())
    assert found == [found[0]] * 4 == [naive(layouts[2], 0.9)] * 4


def test_a_unit_that_never_fires_gets_zero_and_an_empty_mask():
    values = torch.randn(10, 2, 30, generator=torch.Generator().manual_seed(5)).relu()
    values[:, 1] = 0
    values[3, 1, 4] = 2.0  # and even one that fires on a single pixel
    acc = TailQuantile(2, 0.99, 300)
    acc.update(values)
    assert acc.compute()[1] == 0
    assert int((values[:, 1] > acc.compute()[1]).sum()) == 1 <= tail_count(300, 0.99)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_without_loss(dtype):
    values = torch.randn(2, 500, generator=torch.Generator().manual_seed(6)).to(dtype)
    acc = TailQuantile(2, 0.9, 500)
    acc.update(values)
    assert acc.compute().dtype == torch.float32
    assert acc.compute().tolist() == naive(values.float(), 0.9)


def test_nan_is_lowest_and_infinity_highest_and_both_are_counted():
    values = torch.arange(40.0).reshape(2, 20).clone()
    values[0, 17:20] = torch.nan
    values[1, 2], values[1, 3] = torch.inf, -torch.inf
    acc = TailQuantile(2, 0.9, 20)
    acc.update(values)
    assert acc.compute().tolist() == naive(values, 0.9) == [14.0, 38.0]
    assert acc.nan_count.tolist() == [3, 0]
    assert acc.inf_count.tolist() == [0, 1]


def test_a_unit_of_only_nan_gets_minus_infinity():
    acc = TailQuantile(1, 0.9, 10)
    acc.update(torch.full((1, 10), torch.nan))
    assert acc.compute().tolist() == [-torch.inf]
    assert acc.nan_count.tolist() == [10]


def test_fewer_values_than_expected_use_the_true_number():
    values = torch.randn(2, 300, generator=torch.Generator().manual_seed(7))
    acc = TailQuantile(2, 0.99, 100_000)
    acc.update(values)
    assert acc.compute().tolist() == naive(values, 0.99)


def test_more_values_than_the_tail_covers_raise_and_say_so():
    acc = TailQuantile(1, 0.9, 100)
    acc.update(torch.rand(1, 109))
    acc.compute()  # still the 11th largest
    acc.update(torch.rand(1, 1))
    with pytest.raises(RecipeMismatch, match="expected 100 values per unit, got 110"):
        acc.compute()


def test_no_value_yet_raises():
    with pytest.raises(ProbeError, match="update"):
        TailQuantile(1, 0.9, 100).compute()


@pytest.mark.parametrize(
    "wrong", [{"quantile": 0.0}, {"quantile": 1.0}, {"units": 0}, {"expected": 0}, {"memory_mb": 0}]
)
def test_arguments_outside_their_range_raise(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        TailQuantile(**{"units": 3, "quantile": 0.99, "expected": 10, **wrong})


def test_the_sampled_form_keeps_its_promise():
    acc = TailQuantile(4000, 0.99, 36_500 * 3136, memory_mb=512)
    assert not acc.exact
    assert 0 < acc.rank_error <= 3.0001e-4
    spread = (0.99 * 0.01 / (36_500 * 3136 * acc.share)) ** 0.5
    assert acc.rank_error == pytest.approx(6 * spread)
    few = TailQuantile(10, 0.99, 36_500 * 3136 * 10, memory_mb=40)  # memory allows more than accuracy asks for
    assert not few.exact
    assert few.memory <= 40 * 2**20
    assert few.rank_error < 3e-4


def test_sampled_thresholds_have_the_stated_rank(monkeypatch):
    images, units, pixels = 400, 3, 1000
    values = torch.randn(images, units, pixels, generator=torch.Generator().manual_seed(8))
    monkeypatch.setattr("unitlens.stats.quantile.RANK_ERROR", 6 * (0.09 / (images * pixels * 0.25)) ** 0.5)
    acc = TailQuantile(units, 0.9, images * pixels, memory_mb=0.1)
    assert acc.share == pytest.approx(0.25)
    for start in range(0, images, 50):
        acc.update(values[start : start + 50], torch.arange(start, start + 50))
    share_above = (values > acc.compute()[:, None]).double().mean((0, 2))
    assert 0 < float((share_above - 0.1).abs().max()) <= acc.rank_error
    drawn = torch.from_numpy(hash_mask(np.arange(images), pixels, acc.share))
    picked = values.transpose(0, 1)[:, drawn]
    assert int(acc.drawn) == picked.shape[1] < int(acc.count) == images * pixels
    ranked = picked.sort(1, descending=True).values
    assert acc.compute().tolist() == ranked[:, tail_count(picked.shape[1], 0.9)].tolist()


def test_the_sampled_form_asks_for_the_index():
    acc = TailQuantile(5000, 0.99, 10**9)
    with pytest.raises(OptionError, match="index"):
        acc.update(torch.zeros(1, 5000, 4))


def test_the_hash_draws_each_pixel_alike_and_images_apart():
    drawn = hash_mask(np.arange(2000), 500, 0.1)
    spread = (0.1 * 0.9) ** 0.5
    assert abs(drawn.mean() - 0.1) < 5 * spread / drawn.size**0.5
    assert np.abs(drawn.mean(0) - 0.1).max() < 5 * spread / 2000**0.5
    assert np.abs(drawn.mean(1) - 0.1).max() < 5 * spread / 500**0.5
    assert np.array_equal(hash_mask(np.array([7]), 500, 0.1)[0], drawn[7])
