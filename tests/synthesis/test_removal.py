"""Removal curves against the naive way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from painted import TREE, Painter, Sees, naively

import unitlens as ul
from unitlens.errors import ConceptError, OptionError


@pytest.fixture
def painter() -> Painter:
    return Painter().eval()


def test_every_set_is_what_the_whole_generator_gives(painter: Painter) -> None:
    samples, order = ul.from_generator(painter, 70), [3, 0, 5]
    curve = ul.removal_curve(
        samples, "units", "tree", order, counts=(1, 2, 3), draws=2, seed=4, segmenter=Sees(), store=False
    )
    old = naively(painter, samples.latents, lambda x: x)[:, 0]
    np.testing.assert_array_equal(curve.before, (old == TREE).sum((1, 2)))
    dice = np.random.default_rng(4)
    drawn = [dice.permutation(6) for _ in range(2)]
    for place, count in enumerate((1, 2, 3)):
        for sets, after, both, kept in (
            (np.array(order)[:count], curve.after[:, place], curve.both[:, place], curve.kept[:, place]),
            (drawn[1][:count], curve.random_after[:, place, 1], curve.random_both[:, place, 1],
             curve.random_kept[:, place, 1]),
        ):  # fmt: skip
            new = naively(painter, samples.latents, lambda x, s=sets: x.index_fill_(1, torch.from_numpy(s), 0))[:, 0]
            np.testing.assert_array_equal(after, (new == TREE).sum((1, 2)))
            np.testing.assert_array_equal(both, ((new == TREE) & (old == TREE)).sum((1, 2)))
            np.testing.assert_array_equal(kept, (new == old).sum((1, 2)))
    assert curve.removed(0).value < 0  # unit 3 hides trees
    assert curve.removed(1).value == 1 and curve.others_changed(1).value == 0
    gone = 1 - curve.random_after[:, 2].mean(-1).sum() / curve.before.sum()
    assert curve.removed_at_random(2).value == pytest.approx(gone)
    frame = curve.frame()
    assert frame.units.tolist() == [1, 2, 3] and frame.removed.tolist()[1] == 1
    assert "2 units: 100.0 % gone" in curve.text() and "tree, units: 100 %" in repr(curve)


def test_it_is_kept(painter: Painter, tmp_path: Any) -> None:
    store, sees = ul.Store(tmp_path / "store"), Sees()
    options = {"counts": (2,), "draws": 1, "segmenter": sees, "store": store}
    samples = ul.from_generator(painter, 70)
    ul.removal_curve(samples, "units", "tree", [0, 1], **options)
    seen = sees.seen
    again = ul.removal_curve(samples, "units", "sky", [0, 1], **options)  # another concept of the same sets is free
    assert sees.seen == seen == 70 * 3 and again.removed(0).value == 1


@pytest.mark.parametrize(("change", "words", "kind"), [
    ({"units": []}, "units: expected unit numbers", OptionError),
    ({"units": [0, 9]}, "has units 0..5, got 9", OptionError),
    ({"counts": (3,)}, "counts: expected numbers 1 to 2", OptionError),
    ({"draws": 0}, "draws: expected 1 or more", OptionError),
    ({"concept": "car"}, "car", ConceptError),
])  # fmt: skip
def test_wrong_arguments(painter: Painter, change: dict[str, Any], words: str, kind: type[Exception]) -> None:
    given = {"concept": "tree", "units": [0, 1], **change}
    with pytest.raises(kind, match=words):
        ul.removal_curve(ul.from_generator(painter, 4), "units", segmenter=Sees(), store=False, **given)
