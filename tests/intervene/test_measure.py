"""measure, rank_units and ablation_curve against whole-network runs, image by image."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from networks import H, K, U, W, made, naive
from torch import Tensor, nn

import unitlens as ul
from unitlens.errors import DataWarning, LayerNotFound, OptionError, ProbeError, RecipeMismatch, ShapeMismatch
from unitlens.intervene.curve import KINDS
from unitlens.intervene.tallies import balanced_accuracy

N = 21
NAMES = ("a", "b", "c", "d")
QUIET = {"show_progress": False, "store": False}


def probe(count: int = N, seed: int = 1, classes: int = K, unlabelled: bool = True) -> ul.ArrayProbe:
    generator = torch.Generator().manual_seed(seed)
    labels = np.arange(count) % classes
    if unlabelled:
        labels[3::7] = -1
    return ul.ArrayProbe(torch.rand(count, 3, H, W, generator=generator), class_labels=labels, class_names=NAMES)


def labelled(given: ul.ProbeSet) -> tuple[np.ndarray, np.ndarray]:
    labels = given.class_labels
    return np.flatnonzero(labels >= 0), labels[labels >= 0]


def scores_with(model: nn.Module, given: ul.ProbeSet, keep: np.ndarray, fill: np.ndarray | None = None) -> Tensor:
    where, _ = labelled(given)
    return naive(model, "layer", given.load(where.tolist()).images.double(), keep, fill)


def keeping(*off: int) -> np.ndarray:
    keep = np.ones(U)
    keep[list(off)] = 0
    return keep


# ---- measure -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pooled", "vgg", "skip around", "tokens", "dictionary"])
@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.filterwarnings("ignore:replay")
def test_an_effect_is_that_of_the_whole_network(name: str, batch_size: int | None) -> None:
    model, given = made(name), probe()
    effect = ul.measure(model, ul.Ablate("layer", [1, 4]), given, batch_size=batch_size, **QUIET)
    where, true = labelled(given)
    before, after = scores_with(model, given, keeping()), scores_with(model, given, keeping(1, 4))
    assert effect.index.tolist() == where.tolist() and effect.true.tolist() == true.tolist()
    assert effect.before.tolist() == before.argmax(1).tolist() and effect.after.tolist() == after.argmax(1).tolist()
    for mine, whole in (("before", before), ("after", after)):
        rows = torch.arange(len(true))
        np.testing.assert_allclose(getattr(effect, f"score_{mine}"), whole[rows, true], rtol=1e-6)
        np.testing.assert_allclose(getattr(effect, f"log_{mine}"), whole.log_softmax(1)[rows, true], rtol=1e-6)
    before_, after_ = (balanced_accuracy(one.argmax(1).numpy(), true, K) for one in (before, after))
    expected = after_ - before_
    np.testing.assert_allclose(effect.change(), expected)
    assert effect.notes["skipped"] == 3


def test_every_kind_of_edit_is_that_of_a_hook() -> None:
    model, given = made("pooled"), probe(unlabelled=False)
    images = given.images.double()
    with torch.no_grad():
        output = model.layer(images)
    means = output.mean((0, 2, 3)).numpy()
    for edit, keep, fill in (
        (ul.Scale("layer", [0, 2], 1.7), np.array([1.7, 1, 1.7, 1, 1, 1]), None),
        (ul.Ablate("layer", [3], to="mean"), keeping(3), means),
        (ul.Ablate("layer", [3, 5], to=[0.5, -1]), keeping(3, 5), np.array([0, 0, 0, 0.5, 0, -1])),
        (ul.Insert("layer", [3, 5], 2.0), keeping(3, 5), np.full(U, 2.0)),
        (ul.Ablate("layer", 1) + ul.Ablate("layer", 2), keeping(1, 2), None),
    ):
        effect = ul.measure(model, edit, given, **QUIET)
        expected = naive(model, "layer", images, keep, fill).log_softmax(1)[range(N), given.class_labels]
        np.testing.assert_allclose(effect.log_after, expected, rtol=1e-6, atol=1e-9)


def test_resampling_takes_another_image_s_values_once_each() -> None:
    model, given = made("pooled"), probe(unlabelled=False)
    effect = ul.measure(model, ul.Ablate("layer", [0, 1], to="resample", seed=4), given, **QUIET)
    with torch.no_grad():
        output = model.layer(given.images.double())
    order = np.random.default_rng(4).permutation(N)
    donors = {int(order[i]): int(order[i - 1]) for i in range(N)}
    assert sorted(donors.values()) == list(range(N)) and all(a != b for a, b in donors.items())
    changed = output.clone()
    changed[:, [0, 1]] = output[[donors[i] for i in range(N)]][:, [0, 1]]
    hook = model.layer.register_forward_hook(lambda *_: changed)
    with torch.no_grad():
        expected = model(given.images.double()).log_softmax(1)[range(N), given.class_labels]
    hook.remove()
    np.testing.assert_allclose(effect.log_after, expected, rtol=1e-6)
    again = ul.measure(model, ul.Ablate("layer", [0, 1], to="resample", seed=4), given, batch_size=5, **QUIET)
    np.testing.assert_allclose(again.log_after, effect.log_after, rtol=1e-9)


def test_two_layers_and_functions_are_edited_together() -> None:
    model, given = made("vgg"), probe(unlabelled=False)
    both = ul.Ablate("layer", [2]) + ul.Scale("m4", [1, 3], 0.5)
    effect = ul.measure(model, both, given, **QUIET)

    def off(output: Tensor) -> Tensor:
        output[:, 2] = 0
        return output

    def half(output: Tensor) -> Tensor:
        output[:, [1, 3]] *= 0.5
        return output

    function = ul.measure(model, {"layer": off, "m4": half}, given, show_progress=False)
    np.testing.assert_allclose(effect.log_after, function.log_after, rtol=1e-9)
    assert not np.allclose(effect.log_after, effect.log_before)


def test_outputs_may_stand_for_classes_and_names_are_each_once() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * H * W, 9)).double()
    given = ul.ArrayProbe(probe().images, class_labels=np.arange(N) % 3, class_names=("crane", "bus", "crane"))
    groups = {"crane (0)": [1, 8], "bus": 2, "crane (2)": [4]}
    effect = ul.measure(model, ul.Ablate("1", [8]), given, classes=groups, **QUIET)
    with torch.no_grad():
        scores = model(given.images.double())
    whole = torch.stack([scores[:, [1, 8]].amax(1), scores[:, 2], scores[:, 4]], 1)
    assert effect.before.tolist() == whole.argmax(1).tolist()
    assert effect.class_names == ("crane (0)", "bus", "crane (2)")
    for wrong, words in (
        ({"bus": 2}, "expected outputs for each of"), ({**groups, "bus": [4]}, "stands for two classes"),
        ({**groups, "bus": ["x"]}, "expected numbers of outputs"), ([1], "expected outputs for each"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=words):
            ul.measure(model, ul.Ablate("1", [8]), given, classes=wrong, **QUIET)


def test_flips_confusions_and_frame_count_what_they_say() -> None:
    model, given = made("pooled"), probe(60, classes=K)
    effect = ul.measure(model, ul.Ablate("layer", [0, 1, 2]), given, **QUIET)
    assert sorted(effect.flips.tolist()) == np.flatnonzero(effect.before != effect.after).tolist()
    pairs: dict[tuple[str, str], int] = {}
    for true, before, after in zip(effect.true, effect.before, effect.after, strict=True):
        if before == true != after:
            pairs[NAMES[true], NAMES[after]] = pairs.get((NAMES[true], NAMES[after]), 0) + 1
    assert {(a, b): n for a, b, n in effect.confusions()} == pairs
    frame = effect.frame().set_index("class")
    for number, name in enumerate(NAMES):
        here = effect.true == number
        assert frame.loc[name, "images"] == here.sum()
        assert frame.loc[name, "recall_after"] == pytest.approx((effect.after[here] == number).mean())
        change = (np.exp(effect.log_after) - np.exp(effect.log_before))[here].mean()
        assert frame.loc[name, "probability_change"] == pytest.approx(change)
    low, high = effect.interval()
    assert (low <= effect.change() + 1e-12).all() and (effect.change() <= high + 1e-12).all()


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Of a model whose answers are coin flips the true change is known."""
    rng, inside, widths = np.random.default_rng(0), 0, []
    for _ in range(60):
        true = np.repeat([0, 1], 60)
        before = np.where(rng.random(120) < 0.9, true, 1 - true)
        after = np.where(rng.random(120) < 0.6, true, 1 - true)
        zeros = np.zeros(120)
        scores = (zeros, zeros, zeros, zeros)
        low, high = ul.Effect(("a", "b"), np.arange(120), true, before, after, *scores, "x").interval()
        inside += int(low[0] <= -0.3 <= high[0])
        widths.append(high[0] - low[0])
    assert inside >= 51  # 95 % of 60 are 57
    assert 0.1 < np.mean(widths) < 0.25  # four standard errors of a difference of two shares of 60, and the rest's


def test_a_mean_change_lies_in_its_interval_whatever_is_never_said() -> None:
    rng = np.random.default_rng(3)
    true = np.repeat([0, 1, 2], 30)
    before = np.where(rng.random(90) < 0.8, true, rng.integers(0, 3, 90))
    after = np.where(before == 2, rng.integers(0, 2, 90), before)  # no image is said to be of class 2 any more
    zeros = np.zeros(90)
    effect = ul.Effect(("a", "b", "c"), np.arange(90), true, before, after, zeros, zeros, zeros, zeros, "x")
    for name in ("balanced accuracy", "recall", "precision"):
        point, low, high = effect.mean_change(name)
        assert low <= point <= high
    assert math.isnan(effect.change("precision")[2])


def test_small_classes_have_intervals_and_single_images_none() -> None:
    true = np.array([0, 0, 0, 0, 1, 1, 2])
    before, after = true.copy(), np.array([0, 0, 1, 1, 1, 1, 0])
    zeros = np.zeros(7)
    effect = ul.Effect(("a", "b", "c"), np.arange(7), true, before, after, zeros, zeros, zeros, zeros, "x")
    low, high = effect.interval("recall")
    assert np.isfinite(low).tolist() == [True, True, False] and low[0] < -0.5 < high[0]
    one = ul.Effect(("a",), np.arange(2), zeros[:2].astype(int), *[zeros[:2].astype(int)] * 2, *[zeros[:2]] * 4, "x")
    assert "nan" not in one.text()


def test_scores_that_are_nan_are_refused() -> None:
    model, given = made("pooled"), probe()
    with torch.no_grad():
        model.m3.bias[1] = float("nan")
    for act in (
        lambda: ul.measure(model, ul.Ablate("layer", 0), given, **QUIET),
        lambda: ul.rank_units(model, "layer", given, **QUIET),
        lambda: ul.bench(model, "layer", given, show_progress=False),
    ):
        with pytest.raises(OptionError, match="NaN"):
            act()
    with pytest.raises(OptionError, match="edit: the scores of some images are NaN"):
        ul.measure(made("pooled"), {"layer": lambda output: output * float("nan")}, given, show_progress=False)


def test_recipes_hold_all_that_a_result_depends_on() -> None:
    model = made("pooled")
    edit = ul.Ablate("layer", 0)
    one, other = (ul.measure(model, edit, probe(seed=seed), **QUIET).recipe for seed in (1, 2))
    assert one != other and one == ul.measure(model, edit, probe(), **QUIET).recipe
    zero, mean = (ul.rank_units(model, "layer", probe(), to=to, **QUIET).recipe for to in ("zero", "mean"))
    assert zero != mean


def test_a_class_without_images_is_unknown_and_silent() -> None:
    given = ul.ArrayProbe(probe().images, class_labels=np.arange(N) % 2, class_names=NAMES)
    effect = ul.measure(made("pooled"), ul.Ablate("layer", 0), given, **QUIET)
    assert np.isnan(effect.change()).tolist() == [False, False, True, True]
    assert math.isfinite(effect.mean_change()[0]) and len(effect.frame()) == 2 and "c:" not in effect.text()


def test_wrong_arguments_are_told() -> None:
    model, given = made("pooled"), probe()
    with pytest.raises(LayerNotFound):
        ul.measure(model, ul.Ablate("nothing", 0), given, **QUIET)
    with pytest.raises(OptionError, match=r"layer 'layer' has units 0\.\.5, got 6"):
        ul.measure(model, ul.Ablate("layer", 6), given, **QUIET)
    with pytest.raises(OptionError, match="edit: expected Ablate"):
        ul.measure(model, "layer", given, **QUIET)  # type: ignore[arg-type]
    with pytest.raises(ProbeError, match="class labels"):
        ul.measure(model, ul.Ablate("layer", 0), ul.ArrayProbe(given.images), **QUIET)
    few = ul.ArrayProbe(given.images, class_labels=np.zeros(N), class_names=("a", "b"))
    with pytest.raises(ShapeMismatch, match="4 outputs for the 2 classes"):
        ul.measure(model, ul.Ablate("layer", 0), few, **QUIET)
    with pytest.raises(OptionError, match="two images or more"):
        ul.measure(model, ul.Ablate("layer", 0, to="resample"), probe(1), **QUIET)
    with pytest.raises(OptionError, match="seed: expected a whole number from 0"):
        ul.Ablate("layer", 0, to="resample", seed=-1)
    with pytest.raises(OptionError, match="values: expected 1 or 6 numbers"):
        ul.measure(model, ul.Insert("layer", None, [1.0, 2.0]), given, **QUIET)
    with pytest.raises(OptionError, match="probe: expected a probe set"):
        ul.rank_units(model, "layer", given.images, **QUIET)  # type: ignore[arg-type]


# ---- rank_units ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["zero", "mean"])
def test_a_ranking_is_that_of_single_runs(to: str) -> None:
    model, given = made("vgg"), probe(40)
    found = ul.rank_units(model, "layer", given, to=to, held_out=probe(30, seed=5), **QUIET)
    with torch.no_grad():
        fill = None if to == "zero" else model.layer(given.images.double()).mean((0, 2, 3)).numpy()
    for one, images in ((found, given), (found.held_out, probe(30, seed=5))):
        _, true = labelled(images)
        intact = scores_with(model, images, keeping())
        base = balanced_accuracy(intact.argmax(1).numpy(), true, K)
        for unit in range(U):
            without = scores_with(model, images, keeping(unit), fill)
            drop = base - balanced_accuracy(without.argmax(1).numpy(), true, K)
            np.testing.assert_allclose(one.drop[unit], drop, atol=1e-12)
            fall = (intact.log_softmax(1) - without.log_softmax(1))[range(len(true)), true].numpy()
            for number in range(K):
                own = fall[true == number]
                assert one.log_drop[unit, number] == pytest.approx(own.mean(), abs=1e-9)
                assert one.fall[unit, number] == pytest.approx(1 - math.exp(-own.mean()), abs=1e-9)
                assert one.log_error[unit, number] == pytest.approx(own.std(ddof=1) / math.sqrt(len(own)), abs=1e-7)
    strict = ul.rank_units(model, "layer", given, to=to, order_by="balanced accuracy", **QUIET)
    for number, name in enumerate(NAMES):
        by_drop = sorted(range(U), key=lambda u: (-round(found.drop[u, number], 12), -found.log_drop[u, number], u))
        assert strict.order(name).tolist() == by_drop
        order = sorted(range(U), key=lambda u: (-found.log_drop[u, number], u))
        assert found.order(name).tolist() == order and found.top(name, 2).tolist() == order[:2]
        assert found.matters(2)[:, number].nonzero()[0].tolist() == sorted(order[:2])


def test_a_gradient_estimates_what_a_small_step_does() -> None:
    model, given = made("vgg"), probe(24)
    found = ul.rank_units(model, "layer", given, by="gradient", **QUIET)
    _, true = labelled(given)
    rows, step = range(len(true)), 1e-5
    intact = scores_with(model, given, keeping()).log_softmax(1)[rows, true].numpy()
    for unit in range(U):
        keep = np.ones(U)
        keep[unit] = 1 - step
        fall = (intact - scores_with(model, given, keep).log_softmax(1)[rows, true].numpy()) / step
        for number in range(K):
            assert found.log_drop[unit, number] == pytest.approx(fall[true == number].mean(), rel=1e-3, abs=1e-6)
    with pytest.raises(OptionError, match="order_by: expected one of 'probability' for by='gradient'"):
        ul.rank_units(model, "layer", given, by="gradient", order_by="balanced accuracy", **QUIET)
    for refused in (lambda: found.drop, lambda: found.interval("a")):
        with pytest.raises(OptionError, match="by='ablation'"):
            refused()


def test_a_layer_that_no_score_depends_on_has_gradient_zero() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.fc = nn.Conv2d(3, U, 3), nn.Linear(3, K)

        def forward(self, images: Tensor) -> Tensor:
            self.layer(images)
            return self.fc(images.mean((2, 3)))

    found = ul.rank_units(Aside(), "layer", probe(), by="gradient", **QUIET)
    assert (found.log_drop == 0).all()


def test_classes_that_no_image_shows_are_not_ranked() -> None:
    given = ul.ArrayProbe(probe().images, class_labels=np.arange(N) % 2, class_names=NAMES)
    found = ul.rank_units(made("pooled"), "layer", given, **QUIET)
    assert found.ranked == ("a", "b") and set(found.frame()["class"]) == {"a", "b"}
    with pytest.raises(OptionError, match="no image that was measured is of class 'c'"):
        found.order("c")
    with pytest.raises(OptionError, match="expected a class, such as 'a'"):
        found.order("zoo")
    assert not found.matters(3)[:, 2:].any() and "c:" not in found.text()
    curve = ul.ablation_curve(made("pooled"), "layer", probe(), found, counts=[2], **QUIET)
    assert curve.names == ("a", "b")


def test_agreement_is_spearman_with_ties() -> None:
    one = ul.Importance("l", ("a",), "gradient", np.array([[1.0], [2.0], [2.0], [5.0]]))
    other = ul.Importance("l", ("a",), "gradient", np.array([[0.1], [0.5], [0.4], [0.45]]))
    ranks = [np.array([1, 2.5, 2.5, 4]), np.array([1, 4, 2, 3])]
    assert one.agreement(other) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    with pytest.raises(RecipeMismatch, match="importance: layer 'l' against 'm'"):
        one.agreement(ul.Importance("m", ("a",), "gradient", other.log_drop))


# ---- ablation_curve ------------------------------------------------------------------------------------------------


def test_a_curve_is_that_of_single_runs() -> None:
    model, given = made("vgg"), probe(40)
    ranking = ul.rank_units(model, "layer", probe(40, seed=9), **QUIET)
    counts = [1, 2, 5, 6]
    curve = ul.ablation_curve(model, "layer", given, ranking, counts=counts, draws=3, seed=2, **QUIET)
    _, true = labelled(given)

    def accuracy(off: Any, number: int) -> float:
        said = scores_with(model, given, keeping(*off)).argmax(1).numpy()
        return float(balanced_accuracy(said, true, K)[number])

    rng = np.random.default_rng(2)
    lots = [rng.permutation(U) for _ in range(3)]
    for at, count in enumerate(counts):
        for number, name in enumerate(NAMES):
            order = ranking.order(name)
            expected = [
                accuracy(order[:count], number), accuracy(order[U - count :], number),
                np.mean([accuracy(np.flatnonzero(lot < count), number) for lot in lots]),
                accuracy(order[count:], number),
            ]  # fmt: skip
            np.testing.assert_allclose(curve.value[:, at, number], expected, atol=1e-12)
            assert [curve.at(kind, count, name).value for kind in KINDS] == pytest.approx(expected)
    assert curve.at(KINDS[0], 6).value == curve.at(KINDS[1], 6).value == curve.at(KINDS[2], 6).value
    assert curve.at(KINDS[3], 6).value == pytest.approx(curve.intact_at().value)
    assert curve.notes["sets"] < 4 * len(counts) * K  # sets that are asked for twice are measured once
    point = curve.at(KINDS[0], 2)
    assert point.low <= point.value <= point.high and "%" in str(point)
    frame = curve.frame()
    assert len(frame) == 4 * len(counts) * K and frame["balanced_accuracy"].tolist() == curve.value.reshape(-1).tolist()


def test_the_interval_of_random_sets_is_that_of_their_mean() -> None:
    """More draws say more surely what random units do."""
    model, given = made("pooled"), probe(80)
    ranking = ul.rank_units(model, "layer", given, **QUIET)
    widths = []
    for draws in (2, 40):
        curve = ul.ablation_curve(model, "layer", given, ranking, counts=[3], draws=draws, **QUIET)
        point = curve.at("random removed", 3)
        assert point.low <= point.value <= point.high
        widths.append(point.high - point.low)
    assert widths[1] < widths[0]


def test_a_class_of_one_image_has_no_interval() -> None:
    labels = np.array([0] * 10 + [1] * 10 + [2])
    given = ul.ArrayProbe(probe().images, class_labels=labels, class_names=NAMES)
    model = made("pooled")
    ranking = ul.rank_units(model, "layer", given, **QUIET)
    curve = ul.ablation_curve(model, "layer", given, ranking, counts=[2], **QUIET)
    assert str(curve.at(KINDS[0], 2, "c")).endswith(" %") and "(" in str(curve.at(KINDS[0], 2, "a"))
    assert "nan" not in curve.text()
    for low, high in (ranking.interval("c"), ranking.fall_interval("c")):
        assert np.isnan(low).all() and np.isnan(high).all()
    other = ul.ArrayProbe(probe().images, class_labels=np.full(N, 3), class_names=NAMES)
    with pytest.raises(OptionError, match="ranks none of the classes"):
        ul.ablation_curve(model, "layer", other, ranking, counts=[2], **QUIET)
    with pytest.raises(OptionError, match="seed: expected"):
        ul.ablation_curve(model, "layer", given, ranking, seed=-1, **QUIET)
    with pytest.raises(OptionError, match="level: expected"):
        ranking.fall_interval("a", 1.5)


def test_one_order_serves_all_classes_and_wrong_ones_are_refused() -> None:
    model, given = made("pooled"), probe()
    curve = ul.ablation_curve(model, "layer", given, np.arange(U)[::-1], counts=[2], names=["b"], **QUIET)
    said = scores_with(model, given, keeping(5, 4)).argmax(1).numpy()
    assert curve.value[0, 0, 0] == pytest.approx(balanced_accuracy(said, labelled(given)[1], K)[1])
    ranking = ul.rank_units(model, "layer", given, **QUIET)
    vgg = made("vgg")
    with pytest.raises(RecipeMismatch, match="ranking: it is of layer, not of m4"):
        ul.ablation_curve(vgg, "m4", given, ranking, **QUIET)
    for wrong, words in (
        ({"counts": [0]}, "counts: expected numbers of units from 1 to 6"), ({"counts": [7]}, "from 1 to 6"),
        ({"draws": 0}, "draws: expected"), ({"names": ["zoo"]}, "names: expected a class"),
        ({"to": "nan"}, "to: expected"),
    ):  # fmt: skip
        with pytest.raises(OptionError, match=words):
            ul.ablation_curve(model, "layer", given, ranking, **{**QUIET, **wrong})
    for order in ([0, 2], [0, 1, 2, 3, 4, 4], "abc"):
        with pytest.raises(OptionError, match="ranking: expected"):
            ul.ablation_curve(model, "layer", given, order, **QUIET)
    with pytest.raises(OptionError, match="layer 'layer' has 6, got sets of 2"):
        ul.ablation_curve(model, "layer", given, [1, 0], **QUIET)


# ---- what is kept --------------------------------------------------------------------------------------------------


def counting(model: nn.Module) -> list[int]:
    seen = [0]
    model.layer.register_forward_hook(lambda _, given, __: seen.__setitem__(0, seen[0] + len(given[0])))
    return seen


def test_what_was_measured_is_opened_and_appended_images_run_alone(tmp_path: Any, monkeypatch: Any) -> None:
    from unitlens.intervene import source as module

    monkeypatch.setattr(module, "has_hooks", lambda model: False)  # the hook that counts changes nothing
    store, model = ul.Store(tmp_path), made("pooled")
    seen = counting(model)
    options = {"store": store, "show_progress": False}
    large = probe(150)
    few = ul.ArrayProbe(large.images[:128], class_labels=large.class_labels[:128], class_names=NAMES)
    first = ul.rank_units(model, "layer", few, **options)
    seen[0] = 0
    again = ul.rank_units(model, "layer", few, **options)
    assert seen[0] == 0 and np.array_equal(first.drop, again.drop) and first.recipe == again.recipe
    ul.rank_units(model, "layer", large, **options)
    assert 0 < seen[0] <= 22 + 8  # and what finds out how the tail is run
    effect = ul.measure(model, ul.Ablate("layer", 2), few, **options)
    seen[0] = 0
    assert np.array_equal(ul.measure(model, ul.Ablate("layer", 2), few, **options).log_after, effect.log_after)
    assert seen[0] == 0
    ul.measure(model, ul.Ablate("layer", 3), few, **options)
    assert seen[0] > 0


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Any) -> None:
    store, model, given = ul.Store(tmp_path), made("pooled"), probe(200)
    options = {"store": store, "show_progress": False}
    plain, calls = given.load, [0]

    def failing(index: Any) -> Any:
        calls[0] += 1
        if min(index) >= 128:
            raise KeyboardInterrupt
        return plain(index)

    given.load = failing  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        ul.rank_units(model, "layer", given, **options)
    kept = len(store.ls("trials"))
    assert kept == 2
    read: list[int] = []
    given.load = lambda index: read.extend(index) or plain(index)  # type: ignore[method-assign]
    found = ul.rank_units(model, "layer", given, **options)
    assert min(read) == 128 and len(store.ls("trials")) == 4
    assert np.array_equal(found.drop, ul.rank_units(model, "layer", probe(200), **QUIET).drop)


def test_a_shard_with_unreadable_images_is_not_kept(tmp_path: Any) -> None:
    store, model, given = ul.Store(tmp_path), made("pooled"), probe(100)
    options = {"store": store, "show_progress": False}
    plain = given.load
    given.load = lambda index: plain([i for i in index if i != 70])  # type: ignore[method-assign]
    fewer = ul.rank_units(model, "layer", given, **options)
    assert len(store.ls("trials")) == 1 and len(fewer.true) == len(labelled(given)[0]) - (given.class_labels[70] >= 0)
    given.load = plain  # type: ignore[method-assign]
    found = ul.rank_units(model, "layer", given, **options)
    assert len(found.true) == len(labelled(given)[0])


def test_an_edited_model_is_not_kept_and_says_so(tmp_path: Any) -> None:
    store, model, given = ul.Store(tmp_path), made("pooled"), probe()
    with ul.edit(model, {"m3": lambda output: output * 2}), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ul.rank_units(model, "layer", given, store=store, show_progress=False)
    assert any(issubclass(one.category, DataWarning) and "forward hooks" in str(one.message) for one in told)
    assert len(store.ls()) == 0
