"""What edits do to contents: against the naive way, and where the answer is known by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from painted import SKY, TREE, Painter, Sees, naively
from torch import Tensor

import unitlens as ul
from unitlens.errors import ConceptError, LayerNotFound, OptionError

N, P = 90, 240  # pictures (two shards), pixels of one


@pytest.fixture
def painter() -> Painter:
    return Painter().eval()


@pytest.fixture
def store(tmp_path: Any) -> ul.Store:
    return ul.Store(tmp_path / "store")


def _labels(painter: Painter, samples: ul.Samples, change: Any) -> tuple[np.ndarray, np.ndarray]:
    return naively(painter, samples.latents, lambda x: x), naively(painter, samples.latents, change)


def test_counts_are_those_of_the_naive_way(painter: Painter, store: ul.Store) -> None:
    samples = ul.from_generator(painter, N)
    found = ul.measure_content(samples, ul.Ablate("units", [0]), concept="tree", segmenter=Sees(), store=store)

    def change(units: Tensor) -> Tensor:
        units[:, 0] = 0
        return units

    old, new = _labels(painter, samples, change)
    for c in range(4):
        np.testing.assert_array_equal(found.before[:, c], (old == c + 1).sum((1, 2, 3)))
        np.testing.assert_array_equal(found.after[:, c], (new == c + 1).sum((1, 2, 3)))
        np.testing.assert_array_equal(found.both[:, c], ((old == c + 1) & (new == c + 1)).sum((1, 2, 3)))
    np.testing.assert_array_equal(found.kept, (old == new).sum((2, 3)))
    assert found.pixels == P and found.plane.tolist() == [0, 0, 0, 1]
    tree = (old[:, 0] == TREE).sum((1, 2))
    gone = tree - (new[:, 0] == TREE).sum((1, 2))
    assert found.removed().value == pytest.approx(gone.sum() / tree.sum()) == 1
    other = old[:, 0] != TREE
    assert found.others_changed().value == pytest.approx(((old != new)[:, 0] & other).sum() / other.sum()) == 0


def test_what_appears_instead_is_told(painter: Painter) -> None:
    samples = ul.from_generator(painter, N)
    trees = ul.measure_content(samples, ul.Ablate("units", [0]), concept="tree", segmenter=Sees(), store=False)
    assert [(str(concept), share) for concept, share in trees.instead()] == [("ground", 1.0)]
    sky = ul.measure_content(samples, ul.Ablate("units", [1]), concept="sky", segmenter=Sees(), store=False)
    kinds = {str(concept): share for concept, share in sky.instead()}
    assert set(kinds) == {"tree", "ground"} and sum(kinds.values()) == pytest.approx(1) and kinds["tree"] > 0.05
    assert sky.share("tree")[2].value > 0 and sky.removed("tree").value < 0  # trees stood behind the sky
    frame = sky.frame()
    assert frame.loc[frame.concept == "sky", "removed"].item() == 1
    low, high = frame.loc[frame.concept == "tree", ["low", "high"]].to_numpy()[0]
    assert 0 < low < high


def test_a_region_is_edited_alone(painter: Painter) -> None:
    samples, region = ul.from_generator(painter, 40), np.zeros((3, 4), bool)
    region[:, :2] = True
    found = ul.measure_content(
        samples, ul.Insert("units", [1], 9.0, region=region), concept="sky", segmenter=Sees(), store=False
    )
    old, new = _labels(painter, samples, lambda x: torch.cat([x[:, :1], torch.cat([
        torch.full_like(x[:, 1:2, :, :2], 9), x[:, 1:2, :, 2:]], 3), x[:, 2:]], 1))  # fmt: skip
    np.testing.assert_array_equal(found.after[:, SKY - 1], (new[:, 0] == SKY).sum((1, 2)))
    assert (new[:, 0, :, 10:] == old[:, 0, :, 10:]).all() and (new[:, 0, :, :10] == SKY).all()


def test_it_is_kept_and_opened_again_and_asked_about_other_concepts(painter: Painter, store: ul.Store) -> None:
    samples, sees = ul.from_generator(painter, N), Sees()
    edit = ul.Ablate("units", [1, 3])
    first = ul.measure_content(samples, edit, segmenter=sees, store=store, examples=0)
    shown = sees.seen
    again = ul.measure_content(samples, edit, concept="sky", segmenter=sees, store=store, examples=0)
    assert sees.seen == shown == 2 * N
    np.testing.assert_array_equal(first.after, again.after)
    longer = ul.measure_content(ul.from_generator(painter, 150), edit, segmenter=sees, store=store, examples=0)
    assert sees.seen == shown + 2 * (150 - 64)  # the first whole shard is known
    np.testing.assert_array_equal(longer.after[:N], first.after)
    other = ul.measure_content(samples, ul.Ablate("units", [0]), segmenter=sees, store=store, examples=0)
    assert not np.array_equal(other.after, first.after)


def test_edits_of_several_layers_run_the_whole_generator(painter: Painter) -> None:
    samples = ul.from_generator(painter, 30)
    both = ul.Ablate("units", [0]) + ul.Scale("paint", [2], 0.5)
    found = ul.measure_content(samples, both, segmenter=Sees(), store=False)
    assert found.after[:, TREE - 1].sum() == 0 and found.before[:, TREE - 1].sum() > 0


def test_examples_are_spread_over_the_changes(painter: Painter) -> None:
    samples = ul.from_generator(painter, N)
    found = ul.measure_content(
        samples, ul.Ablate("units", [0]), concept="tree", segmenter=Sees(), store=False, examples=5
    )
    changes = found.before[:, TREE - 1] - found.after[:, TREE - 1]
    shown = [changes[one.index] for one in found.examples]
    assert len(shown) == 5 and shown == sorted(shown, reverse=True)
    assert shown[0] == changes.max() and shown[-1] == changes[found.before[:, TREE - 1] > 0].min()
    one = found.examples[0]
    assert one.before.startswith(b"\xff\xd8") and one.before != one.after
    assert (one.labels[0][0] == TREE).sum() == found.before[one.index, TREE - 1]
    assert (one.labels[1][0] == TREE).sum() == 0


def test_texts(painter: Painter) -> None:
    found = ul.measure_content(
        ul.from_generator(painter, 20), ul.Ablate("units", [0]), concept="tree", segmenter=Sees(), store=False
    )
    assert "tree: 100.0 % (100.0 to 100.0) of its pixels gone; of all others 0.0 %" in found.text()
    assert repr(found) == "ContentEffect(Ablate('units', unit 0): 20 pictures, tree 100 % gone)"


@pytest.mark.parametrize(("change", "words", "kind"), [
    ({"samples": 3}, "samples: expected generated pictures", OptionError),
    ({"edit": {"units": abs}}, "edit: expected Ablate", OptionError),
    ({"edit": ul.Ablate("units", [0], to="mean")}, "to='mean' is known for classifiers only", OptionError),
    ({"edit": ul.Ablate("unit", [0])}, "unit", LayerNotFound),
    ({"edit": ul.Ablate("units", [6])}, "has units 0..5, got 6", OptionError),
    ({"concept": "house"}, "house", ConceptError),
])  # fmt: skip
def test_wrong_arguments(painter: Painter, change: dict[str, Any], words: str, kind: type[Exception]) -> None:
    given = {"samples": ul.from_generator(painter, 5), "edit": ul.Ablate("units", [0]), **change}
    with pytest.raises(kind, match=words):
        ul.measure_content(given.pop("samples"), given.pop("edit"), segmenter=Sees(), store=False, **given)


def test_a_concept_must_be_named_somewhere(painter: Painter) -> None:
    found = ul.measure_content(ul.from_generator(painter, 5), ul.Ablate("units"), segmenter=Sees(), store=False)
    with pytest.raises(OptionError, match="concept: expected a name"):
        found.removed()
