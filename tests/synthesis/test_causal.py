"""Learnt shares: units that make the concept by construction are found, and those that hide it are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from painted import Sees, SoftPainter

import unitlens as ul
from unitlens.errors import OptionError
from unitlens.models.generators import as_generator


@pytest.fixture(scope="module")
def found() -> ul.CausalUnits:
    samples = ul.from_generator(SoftPainter().eval(), 120)
    return ul.causal_units(samples, "units", "tree", images=64, epochs=12, segmenter=Sees(), store=False)


def test_the_unit_that_makes_trees_comes_first(found: ul.CausalUnits) -> None:
    assert found.units[0] == 0 and found.alpha[0] > 0.8
    assert found.alpha[[2, 4, 5]].max() == 0  # they do nothing, and cost a little
    assert found.values[0] > 1 > found.values[1]  # where trees are unit 0 is high, and unit 1 is not
    assert found.losses[-1] < found.losses[0]
    assert found.frame().unit[0] == 0 and "tree in units" in found.text()


def test_change_where_the_concept_is_not_has_its_price(found: ul.CausalUnits) -> None:
    samples = ul.from_generator(SoftPainter().eval(), 120)
    free = ul.causal_units(samples, "units", "tree", images=64, segmenter=Sees(), elsewhere=0, store=False)
    assert found.alpha[1] < 0.5 < free.alpha[1]  # unit 1 paints the sky over trees, and everywhere else


def test_weights_get_no_gradient() -> None:
    painter = SoftPainter().eval()
    mixed = torch.nn.Conv2d(3, 3, 1, bias=False)  # has weights, which leave every picture as it is
    mixed.weight.data = torch.eye(3)[:, :, None, None]
    painter.paint = torch.nn.Sequential(painter.paint, mixed)
    samples = ul.from_generator(painter, 40)
    ul.causal_units(samples, "units", "tree", images=16, epochs=1, segmenter=Sees(), store=False)
    assert all(weight.grad is None for weight in painter.parameters())


def test_units_of_equal_share_come_in_the_order_of_their_start() -> None:
    start = np.array([0.1, 0.9, 0.5, 1.0])
    found = ul.CausalUnits(ul.Concept("tree"), "units", np.array([1.0, 0.2, 1.0, 0.2]), start, start, np.zeros(1))
    assert found.units.tolist() == [2, 0, 3, 1]


def test_values_are_the_means_where_the_concept_is() -> None:
    painter = SoftPainter().eval()
    samples, sees = ul.from_generator(painter, 70), Sees()
    result = ul.causal_units(samples, "units", "tree", images=16, epochs=1, segmenter=sees, store=False)
    units = painter.units(samples.latents)
    labels = sees(samples.load(range(70))).labels[:, 0]
    total, weight = np.zeros(6), 0.0
    for i in range(70):
        for row in range(3):
            for column in range(4):
                share = float((labels[i, row * 4 : row * 4 + 4, column * 5 : column * 5 + 5] == 2).float().mean())
                total += share * units[i, :, row, column].numpy()
                weight += share
    np.testing.assert_allclose(result.values, total / weight, rtol=1e-5)


def test_it_is_kept_and_depends_on_its_settings(tmp_path: Any) -> None:
    samples, store = ul.from_generator(SoftPainter().eval(), 40), ul.Store(tmp_path / "store")
    options: dict[str, Any] = {"images": 16, "epochs": 1, "segmenter": Sees(), "store": store}
    start = np.array([0.2, 0.1, 0.4, 0, 0, 0])
    first = ul.causal_units(samples, "units", "tree", start, **options)
    np.testing.assert_allclose(first.start, [0.5, 0.25, 1, 0, 0, 0])
    again = ul.causal_units(samples, "units", "tree", start, **options)
    np.testing.assert_array_equal(first.alpha, again.alpha)
    other = ul.causal_units(samples, "units", "tree", start, **{**options, "penalty": 0.5})
    assert not np.array_equal(other.alpha, first.alpha)


class Blind:
    """A segmenter without a gradient."""

    fingerprint = "blind"
    vocabulary = ul.Vocabulary([("tree", "object")])
    __call__ = Sees.__call__


def test_what_cannot_be_learnt_is_said() -> None:
    painter = SoftPainter().eval()
    samples = ul.from_generator(painter, 8)
    with pytest.raises(OptionError, match="has no method probability"):
        ul.causal_units(samples, "units", "tree", segmenter=Blind(), store=False)
    with pytest.raises(OptionError, match="start: expected 6 finite numbers"):
        ul.causal_units(samples, "units", "tree", np.ones(5), segmenter=Sees(), store=False)
    with pytest.raises(OptionError, match="epochs: expected 1 or more"):
        ul.causal_units(samples, "units", "tree", epochs=0, segmenter=Sees(), store=False)
    whole = as_generator(painter, (72,), values=(0, 1))  # its latents are not the painter's own method's
    assert ul.causal_units(
        ul.from_generator(whole, 40), "units", "tree", images=16, epochs=1, segmenter=Sees(), store=False
    ).alpha.shape == (6,)
