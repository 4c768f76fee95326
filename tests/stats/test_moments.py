"""Moments against Python's own statistics module."""

import math
import statistics

import pytest
import torch

from unitlens.errors import OptionError
from unitlens.stats.moments import Moments


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_moments_equal_the_statistics_module(offset):
    images, units, height, width = 6, 3, 4, 5
    values = torch.randn(images, units, height, width, generator=torch.Generator().manual_seed(0)).double() + offset
    values[1, 0, 2, 3], values[4, 1, 0, 0], values[2, 1, 1, 1] = torch.nan, torch.inf, -torch.inf
    moments = Moments(units)
    for batch in values.split(4):
        moments.update(batch)
    table = moments.compute()
    for unit in range(units):
        finite = [v for v in values[:, unit].flatten().tolist() if math.isfinite(v)]
        assert table.n[unit] == len(finite)
        assert float(table.mean[unit]) == pytest.approx(statistics.fmean(finite), rel=1e-12)
        assert float(table.variance[unit]) == pytest.approx(statistics.pvariance(finite), rel=1e-9)
        assert float(table.minimum[unit]) == min(finite)
        assert float(table.maximum[unit]) == max(finite)
    assert moments.nan_count.tolist() == [1, 0, 0]
    assert moments.inf_count.tolist() == [0, 2, 0]


def test_half_precision_does_not_saturate_the_sum():
    values = torch.full((1, 200_000), 1000.0, dtype=torch.float16)  # a float16 sum ends at 65504
    moments = Moments(1)
    moments.update(values)
    assert moments.compute().mean.item() == 1000.0
    assert moments.compute().variance.item() == 0.0


def test_a_unit_without_values_has_no_moments():
    moments = Moments(2)
    moments.update(torch.tensor([[1.0, 2.0], [torch.nan, torch.nan]]))
    table = moments.compute()
    assert table.n.tolist() == [2, 0]
    assert all(math.isnan(column[1]) and not math.isnan(column[0]) for column in table[1:])


def test_no_units_raises():
    with pytest.raises(OptionError, match="units"):
        Moments(0)
