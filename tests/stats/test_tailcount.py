"""TailCount against counting every pixel by hand."""

from __future__ import annotations

import pytest
import torch

from unitlens.errors import OptionError, ShapeMismatch
from unitlens.stats.tailcount import LabelPlanes, TailCount

U, B, P, K, C, G = 5, 4, 30, 2, 3, 2
GROUPS = torch.tensor([0, 1, 0])


def world(seed: int = 0, annotated: bool = True):
    draw = torch.Generator().manual_seed(seed)
    values = torch.rand(B, U, P, generator=draw)
    labels = torch.randint(0, C + 1, (B, K, P), generator=draw)
    others = torch.randint(0, C + 1, (2 * B, K, P), generator=draw)
    looked = torch.rand(B, G, generator=draw) < 0.7 if annotated else None
    return values, labels, others, looked


def edges(levels: int = 6) -> torch.Tensor:
    return torch.linspace(0.5, 0.95, levels)[None] + torch.arange(U)[:, None] * 0.002


def counted(parts, levels: int = 6) -> TailCount:
    count = TailCount(U, C, G, edges(levels), GROUPS, draws=2, coarse=torch.tensor([1, 4]))
    for values, labels, others, looked in parts:
        planes = LabelPlanes.of(labels, looked, GROUPS, G)
        lent = LabelPlanes.of(others, None, GROUPS, G)
        image, unit, pixel = (values > edges(levels)[None, :, :1]).nonzero(as_tuple=True)
        shuffle = torch.randperm(len(unit), generator=torch.Generator().manual_seed(1))
        image, unit, pixel = (part[shuffle] for part in (image, unit, pixel))
        value = values[image, unit, pixel]
        count.update(unit.int(), image.int(), pixel.int(), value, planes, lent)
        count.note(values.amin((0, 2)))
    return count


@pytest.mark.parametrize("levels", [6, 14, 32])
@pytest.mark.parametrize("annotated", [False, True])
def test_tables_equal_counting_every_pixel(levels, annotated):
    values, labels, others, looked = world(3, annotated)
    count = counted([(values, labels, others, looked)], levels)
    above, tail, area = count.compute()
    for unit in range(U):
        for level in range(levels):
            fires = values[:, unit] > edges(levels)[unit, level]  # (B, P)
            assert int(tail[unit, level]) == int(fires.sum())
            for group in range(G):
                seen = fires if looked is None else fires & looked[:, group, None]
                assert int(area[unit, level, group]) == int(seen.sum())
            for concept in range(C):
                shown = (labels == concept + 1).any(1)
                if looked is not None:
                    shown = shown & looked[:, GROUPS[concept], None]
                assert int(above[unit, level, concept]) == int((fires & shown).sum())
    assert torch.equal(count.minimum, values.amin((0, 2)))


def test_the_control_counts_the_same_pixels_with_other_labels():
    values, labels, others, _ = world(4, False)
    count = counted([(values, labels, others, None)])
    chance = count.chance_above()  # (D, U, Jc, C)
    for draw in range(2):
        lent = others[draw * B : (draw + 1) * B]
        for unit in range(U):
            for rough, level in enumerate((1, 4)):
                fires = values[:, unit] > edges()[unit, level]
                for concept in range(C):
                    both = (fires & (lent == concept + 1).any(1)).sum()
                    assert int(chance[draw, unit, rough, concept]) == int(both)


def test_merging_parts_in_any_order_equals_all_at_once():
    parts = [world(seed) for seed in range(3)]
    whole = counted(parts)
    left, right = counted(parts[2:]), counted(parts[:2])
    merged = left.merge(right)
    for mine, theirs in zip(merged.compute(), whole.compute(), strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(merged.chance, whole.chance) and torch.equal(merged.minimum, whole.minimum)
    empty = counted([])
    assert torch.equal(empty.merge(whole).bins, whole.bins)
    again = TailCount.load(whole.state_dict())
    assert torch.equal(again.bins, whole.bins) and torch.equal(again.edges, whole.edges)


def test_what_does_not_fit_is_told():
    with pytest.raises(ShapeMismatch, match="merge: units"):
        counted([]).merge(TailCount(U + 1, C, G, torch.zeros(U + 1, 6), GROUPS, 2, torch.tensor([1, 4])))
    with pytest.raises(OptionError, match="ascending"):
        TailCount(1, 1, 1, torch.tensor([[2.0, 1.0]]), [0])
    with pytest.raises(ShapeMismatch, match="1 to 64 edges"):
        TailCount(1, 1, 1, torch.zeros(1, 65), [0])
    with pytest.raises(OptionError, match="coarse"):
        TailCount(1, 1, 1, torch.zeros(1, 2), [0], draws=1)
