"""Insertions at every cell: against whole generations, and where the context decides by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from painted import COLUMNS, ROWS, TILE, TREE, Painter, Sees, naively
from torch import Tensor

import unitlens as ul
from unitlens.errors import OptionError


@pytest.fixture
def painter() -> Painter:
    return Painter().eval()


def _set(units: Tensor, row: int, column: int) -> Tensor:
    units[:, 0, row, column] = 4
    units[:, 2, row, column] = -1
    return units


def test_every_cell_of_every_picture_is_what_the_whole_generator_gives(painter: Painter) -> None:
    samples = ul.from_generator(painter, 66)
    found = ul.insertion_map(samples, "units", "tree", [0, 2], [4.0, -1.0], segmenter=Sees(), store=False)
    old = naively(painter, samples.latents, lambda x: x)
    np.testing.assert_array_equal(found.before, (old[:, 0] == TREE).sum((1, 2)))
    assert found.grid == (ROWS, COLUMNS) and found.change.shape == (66, 12)
    for cell in range(12):
        row, column = divmod(cell, COLUMNS)
        new = naively(painter, samples.latents, lambda x, r=row, c=column: _set(x, r, c))
        np.testing.assert_array_equal(found.change[:, cell], (new[:, 0] == TREE).sum((1, 2)) - found.before)
        centre = old[:, :, row * TILE[0] + TILE[0] // 2, column * TILE[1] + TILE[1] // 2]
        np.testing.assert_array_equal(found.context[:, :, cell], centre)


def test_the_context_decides(painter: Painter) -> None:
    samples = ul.from_generator(painter, 100)
    found = ul.insertion_map(samples, "units", "tree", [0], 4.0, segmenter=Sees(), store=False)
    assert found.effect("sky").value == 0 and found.effect("tree").value == 0
    ground = found.effect("ground")
    assert ground.low < ground.value < ground.high and ground.low > 0
    assert str(found.contexts()[0]) == "ground"
    # By loops: the mean change over the cells of the context, over the trees of a picture.
    cells = [(i, g) for i in range(100) for g in range(12) if found.context[i, 0, g] == 1]
    change = np.mean([found.change[i, g] for i, g in cells])
    assert ground.value == pytest.approx(change / found.before.mean())
    index, cell = found.typical("ground")
    assert found.context[index, 0, cell] == 1
    assert found.map().shape == (ROWS, COLUMNS) and found.map().mean() == pytest.approx(found.change.mean())
    frame = found.frame()
    assert set(frame.context) == {"ground", "sky", "tree", "bright"}
    assert frame.set_index("context").cells["ground"] == len(cells)
    example, place = found.examples["ground"]
    assert example.index == index and place == divmod(cell, COLUMNS)
    seen = (example.labels[1][0] == TREE).sum() - (example.labels[0][0] == TREE).sum()
    assert seen == found.change[index, cell]
    assert "on sky: +0.0 %" in found.text()


def test_the_interval_takes_the_cells_of_a_picture_together(painter: Painter) -> None:
    """Twelve times the same cell of a picture says no more than one."""
    found = ul.insertion_map(ul.from_generator(painter, 50), "units", "tree", [0], 4.0, segmenter=Sees(), store=False)
    once = found.effect("ground")
    doubled = ul.Insertions(**{**vars(found), "change": np.repeat(found.change, 2, 1),
                               "context": np.repeat(found.context, 2, 2)})  # fmt: skip
    assert doubled.effect("ground").value == pytest.approx(once.value)
    assert doubled.effect("ground").high == pytest.approx(once.high)


@pytest.mark.parametrize(("change", "words"), [
    ({"units": []}, "units: expected unit numbers"),
    ({"units": [7]}, "has units 0..5, got 7"),
    ({"values": [1.0, 2.0]}, "values: expected one finite number, or 1"),
    ({"values": float("nan")}, "values: expected one finite number"),
])  # fmt: skip
def test_wrong_arguments(painter: Painter, change: dict[str, Any], words: str) -> None:
    given = {"units": [0], "values": 1.0, **change}
    with pytest.raises(OptionError, match=words):
        ul.insertion_map(ul.from_generator(painter, 4), "units", "tree", segmenter=Sees(), store=False, **given)


def test_no_hook_stays(painter: Painter) -> None:
    ul.insertion_map(ul.from_generator(painter, 3), "units", "tree", [0], 4.0, segmenter=Sees(), store=False)
    assert not any(module._forward_hooks for module in painter.modules())
    assert torch.equal(painter.generate(painter.latents(2)), painter.generate(painter.latents(2)))
