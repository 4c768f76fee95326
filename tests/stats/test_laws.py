"""The laws that every accumulator obeys: order, batches and merging do not matter; a saved state is the statistic."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

import unitlens.stats.quantile as quantile_module
from unitlens.errors import RecipeMismatch, ShapeMismatch
from unitlens.stats.accumulator import Accumulator, by_image
from unitlens.stats.moments import Moments
from unitlens.stats.paircount import LabelCount, PairCount
from unitlens.stats.quantile import TailQuantile
from unitlens.stats.tailcount import LabelPlanes, TailCount
from unitlens.stats.topk import TopK

B, U, K, C, G, H, W = 13, 5, 2, 7, 3, 4, 6
GROUPS = [0, 0, 1, 2, 1, 0, 2]


@dataclass
class Case:
    """One accumulator, how to make it with other sizes or settings, and how to feed it the images `which`."""

    make: Any
    other_size: Any
    feed: Any
    other_setting: Any = None


def world() -> dict[str, torch.Tensor]:
    """Activations with ties, a dead unit, NaN and infinity; labels; annotations."""
    draw = torch.Generator().manual_seed(0)
    values = (torch.randn(B, U, H, W, generator=draw) * 4).round() / 4
    values[:, 3] = 0
    values[2, 1, 0, 0], values[5, 1, 1, 1], values[6, 2, 3, 5] = torch.nan, torch.inf, -torch.inf
    values[9, 1, 2, 4] = torch.nan
    labels = torch.randint(0, C + 1, (B, K, H, W), generator=draw).short()
    return {"values": values, "labels": labels, "annotated": torch.rand(B, G, generator=draw) < 0.7}


DATA = world()
THRESHOLDS = torch.tensor([0.5, 1.0, 0.0, 0.0, -0.25])


def feed_values(acc, which):
    acc.update(DATA["values"][which])


def feed_indexed(acc, which):
    acc.update(DATA["values"][which], which)


def feed_top(acc, which):
    acc.update(DATA["values"][which].amax((2, 3)), which, DATA["values"][which])


def feed_labels(acc, which):
    acc.update(DATA["labels"][which], DATA["annotated"][which])


def feed_pairs(acc, which):
    acc.update(DATA["values"][which], DATA["labels"][which], DATA["annotated"][which], thresholds=THRESHOLDS)


EDGES = torch.tensor([-1.0, -0.5, 0.25, 0.25, 1.0]) + torch.arange(U + 1)[:, None] * 0.25  # some values lie on them
DRAWS, COARSE = 2, torch.tensor([1, 3, 4])


def feed_tails(acc, which):
    """The values above the lowest edges, on each plane of labels; the control has those of the next two images."""
    values = DATA["values"][which].flatten(2)
    image, unit, pixel = (values > EDGES[:U, :1]).nonzero(as_tuple=True)
    others = torch.cat([(which + 1 + draw) % B for draw in range(DRAWS)])
    own, lent = (
        LabelPlanes.of(DATA["labels"][i], DATA["annotated"][i], torch.tensor(GROUPS), G) for i in (which, others)
    )
    acc.update(unit.int(), image.int(), pixel.int(), values[image, unit, pixel], own, lent)
    right = values.isfinite()
    if len(which):
        acc.note(values.where(right, torch.inf).amin((0, 2)), (~right).sum((0, 2)))


def tails(units=U, lowest=0.0):
    return TailCount(units, C, G, EDGES[:units] + lowest, GROUPS, DRAWS, COARSE)


def sampled(units=U, quantile=0.9):
    return TailQuantile(units, quantile, B * H * W, memory_mb=0.0001)


CASES = {
    "moments": Case(lambda: Moments(U), lambda: Moments(U + 1), feed_values),
    "quantile": Case(
        lambda: TailQuantile(U, 0.9, B * H * W),
        lambda: TailQuantile(U + 1, 0.9, B * H * W),
        feed_values,
        lambda: TailQuantile(U, 0.8, B * H * W),
    ),
    "sampled": Case(sampled, lambda: sampled(U + 1), feed_indexed, lambda: sampled(quantile=0.8)),
    "topk": Case(lambda: TopK(U, 4), lambda: TopK(U + 1, 4), feed_top, lambda: TopK(U, 3)),
    "labels": Case(
        lambda: LabelCount(C, G, GROUPS),
        lambda: LabelCount(C - 1, G, GROUPS[1:]),
        feed_labels,
        lambda: LabelCount(C, G, GROUPS[::-1]),
    ),
    "pairs": Case(
        lambda: PairCount(U, C, G, GROUPS),
        lambda: PairCount(U + 1, C, G, GROUPS),
        feed_pairs,
        lambda: PairCount(U, C, G, GROUPS[::-1]),
    ),
    "tails": Case(tails, lambda: tails(U + 1), feed_tails, lambda: tails(lowest=0.5)),
}


@pytest.fixture(autouse=True)
def about_half_is_drawn(monkeypatch):
    """With the real accuracy the sampled form takes so few values whole."""
    monkeypatch.setattr(quantile_module, "RANK_ERROR", 0.14)


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


def fed(case: Case, *batches) -> Accumulator:
    acc = case.make()
    for which in batches:
        case.feed(acc, torch.as_tensor(which, dtype=torch.int64))
    return acc


def same(left: Accumulator, right: Accumulator) -> None:
    mine, theirs = left.compute(), right.compute()
    mine, theirs = (mine, theirs) if isinstance(mine, tuple) else ((mine,), (theirs,))
    mine, theirs = (*mine, *left.state_dict().values()), (*theirs, *right.state_dict().values())
    for one, two in zip(mine, theirs, strict=True):
        rtol = 1e-12 if one.dtype == torch.float64 else 0
        torch.testing.assert_close(one, two, rtol=rtol, atol=1e-14, equal_nan=True)


def test_order_and_batch_split_do_not_matter(case):
    order = torch.randperm(B, generator=torch.Generator().manual_seed(3)).tolist()
    whole = fed(case, range(B))
    same(whole, fed(case, *([i] for i in order)))
    same(whole, fed(case, order[:6], order[6:7], [], order[7:]))


def test_merge_equals_all_at_once(case):
    left, right = fed(case, [0, 3, 9]), fed(case, [1, 2, 4, 5, 6], [7, 8, 10, 11, 12])
    saved = right.compute()
    assert left.merge(right) is left
    same(left, fed(case, range(B)))
    same(right, fed(case, [1, 2, 4, 5, 6, 7, 8, 10, 11, 12]))
    assert type(saved) is type(right.compute())


def test_merging_an_empty_one_changes_nothing_on_either_side(case):
    whole = fed(case, range(B))
    same(fed(case, range(B)).merge(case.make()), whole)
    same(case.make().merge(fed(case, range(B))), whole)


def test_merge_does_not_share_memory_with_the_other(case):
    giver = fed(case, range(5))
    taker = case.make().merge(giver)
    case.feed(taker, torch.arange(5, B))
    same(giver, fed(case, range(5)))
    same(taker, fed(case, range(B)))


def test_load_of_state_dict_is_identity_and_can_go_on(case):
    half = fed(case, range(6))
    state = half.state_dict()
    assert all(part.device.type == "cpu" and part.is_contiguous() for part in state.values())
    again = type(half).load(state)
    same(again, half)
    assert all(torch.equal(part, again.state_dict()[name]) for name, part in state.items())
    case.feed(again, torch.arange(6, B))
    same(again, fed(case, range(B)))
    same(type(half).load(state), half)  # the state was copied, not borrowed


def test_the_sampled_case_really_draws():
    acc = fed(CASES["sampled"], range(B))
    assert not acc.exact
    assert 0.3 < int(acc.drawn) / int(acc.count) < 0.8


def test_the_tails_case_fills_every_table():
    acc = fed(CASES["tails"], range(B))
    assert all(bool(part.any()) for part in acc.state_dict().values())
    assert acc.wrong.tolist() == [0, 3, 1, 0, 0]


def test_compute_can_be_called_between_updates(case):
    acc = fed(case, range(4))
    acc.compute()
    case.feed(acc, torch.arange(4, B))
    same(acc, fed(case, range(B)))


def test_results_are_fresh_tensors(case):
    acc = fed(case, range(B))
    found = acc.compute()
    for part in found if isinstance(found, tuple) else (found,):
        part.fill_(99)
    same(acc, fed(case, range(B)))


def test_inference_mode_can_begin_and_end_anywhere(case):
    with torch.inference_mode():
        acc = fed(case, range(4))
        acc.compute()
    case.feed(acc, torch.arange(4, 8))
    with torch.inference_mode():
        case.feed(acc, torch.arange(8, 11))
    acc.merge(fed(case, [11, 12]))
    same(acc, fed(case, range(B)))
    assert not any(part.is_inference() for part in acc.state_dict().values())


def test_other_sizes_raise_shape_mismatch(case):
    with pytest.raises(ShapeMismatch, match="expected"):
        fed(case, range(3)).merge(case.other_size())


def test_other_settings_raise_recipe_mismatch(case):
    if case.other_setting is None:
        assert case.make().settings == ()
        return
    with pytest.raises(RecipeMismatch, match="same arguments"):
        fed(case, range(3)).merge(case.other_setting())


def test_another_kind_or_a_damaged_state_raises_recipe_mismatch(case):
    acc = fed(case, range(3))
    stranger = Moments(U) if not isinstance(acc, Moments) else TopK(U, 1)
    with pytest.raises(RecipeMismatch, match=type(stranger).__name__):
        acc.merge(stranger)
    state = acc.state_dict()
    with pytest.raises(RecipeMismatch, match="parts of a"):
        type(acc).load(dict(list(state.items())[1:]))
    name = next(iter(acc.states))
    with pytest.raises(RecipeMismatch, match="expected torch"):
        type(acc).load({**state, name: state[name].to(torch.uint8)})


def test_a_state_of_the_wrong_size_raises_shape_mismatch():
    state = Moments(U).state_dict()
    with pytest.raises(ShapeMismatch, match="'mean'"):
        Moments.load({**state, "mean": torch.zeros(U + 1, dtype=torch.float64)})


def test_counts_are_int64_and_sums_float64(case):
    for name, part in fed(case, range(B)).state_dict().items():
        small = name in ("bins", "chance")  # TailCount's tables, one per shard
        if name not in ("kept", "values", "maps", "edges", "minimum"):
            assert part.dtype in ((torch.int32,) if small else (torch.int64, torch.float64)), name


def test_the_rules_max_and_cat_are_derived_too():
    class Peaks(Accumulator):
        sizes, states = ("units",), {"peak": "max", "seen": "cat"}

        def __init__(self, units):
            super().__init__()
            self.units, self.peak, self.seen = units, torch.zeros(units), torch.zeros(units, 0)

        def update(self, values):
            self.peak, self.seen = torch.maximum(self.peak, values), torch.cat([self.seen, values[:, None]], 1)

        def compute(self):
            return self.peak, self.seen

    left, right = Peaks(2), Peaks(2)
    left.update(torch.tensor([1.0, 5.0]))
    right.update(torch.tensor([2.0, 3.0]))
    peak, seen = left.merge(right).compute()
    assert peak.tolist() == [2, 5]
    assert seen.tolist() == [[1, 2], [5, 3]]


def test_activations_of_the_wrong_shape_or_type_are_named():
    with pytest.raises(ShapeMismatch, match=r"\(2, 9\)"):
        by_image(torch.zeros(2, 9), units=U)
    with pytest.raises(ShapeMismatch, match="int64"):
        by_image(torch.zeros(2, U, 3, dtype=torch.int64), units=U)
    with pytest.raises(ShapeMismatch, match="multiple of 2 images"):
        by_image(torch.zeros(U, 9), units=U, images=2)
    with pytest.raises(ShapeMismatch, match="one number per image"):
        by_image(torch.zeros(2, U, 3), units=U, images=3)


def test_two_axes_are_read_image_after_image():
    flat = torch.arange(U * 6.0).reshape(U, 6)
    blocks = by_image(flat, U, images=2)
    for unit in range(U):
        assert blocks[1, unit].tolist() == flat[unit, 3:].tolist()
