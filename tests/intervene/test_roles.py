"""Roles of units, and single units as detectors, against plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from networks import H, K, U, W, made

import unitlens as ul
from unitlens.errors import ConceptError, LayerError, OptionError, ProbeError, RecipeMismatch
from unitlens.intervene.detector import best_threshold
from unitlens.intervene.roles import MEANING, Roles, told

NAMES = ("a", "b", "c", "d")
WORDS = ul.Vocabulary([("left", "object"), ("a", "object"), ("spot", "part")])
N = 40


@pytest.fixture(scope="module")
def probe() -> ul.ArrayProbe:
    """Images with labels: "left" in every second image's left half, "spot" in few pixels of some."""
    generator = torch.Generator().manual_seed(3)
    labels = np.zeros((N, 2, H, W), np.int16)
    labels[::2, 0, :, : W // 2] = 1
    labels[::5, 1, 2, 3] = 3  # 1 of 143 pixels
    labels[1::5, 1, :3, :3] = 3
    images = torch.rand(N, 3, H, W, generator=generator)
    images[::2, 0, :, : W // 2] += 1
    return ul.ArrayProbe(images.clamp(0, 1), labels=labels, vocabulary=WORDS, class_labels=np.arange(N) % K,
                         class_names=NAMES)  # fmt: skip


@pytest.fixture(scope="module")
def found(probe: ul.ArrayProbe) -> tuple[ul.Importance, ul.Dissection, Roles]:
    model, quiet = made("vgg", torch.float32), {"store": False, "show_progress": False}
    ranking = ul.rank_units(model, "layer", probe, **quiet)
    dissection = ul.dissect(model, "layer", probe, grid=(H, W), **quiet)
    return ranking, dissection, ul.roles(ranking, dissection, count=2)


# ---- roles ---------------------------------------------------------------------------------------------------------


def test_roles_are_the_most_important_units_and_what_they_detect(found: Any) -> None:
    ranking, dissection, roles = found
    first, iou = dissection.best()
    for name in NAMES:
        for share, unit in zip(roles.shares(name), ranking.top(name, 2), strict=True):
            assert (share.unit, share.iou) == (unit, iou[unit])
            assert share.fall == ranking.fall[unit, NAMES.index(name)]
            assert share.concept == (WORDS[first[unit]].name if first[unit] >= 0 else "")
            assert share.detector == (iou[unit] >= dissection.min_iou)
    served = [sum(unit in ranking.top(name, 2) for name in NAMES) for unit in range(U)]
    assert roles.served.tolist() == served
    frame = roles.frame()
    assert len(frame) == 2 * K and frame["served"].tolist() == [served[unit] for unit in frame["unit"]]
    groups = roles.groups().set_index("classes")
    for classes in set(served):
        own = [iou[unit] for unit in range(U) if served[unit] == classes]
        assert groups.loc[classes, "units"] == len(own)
        assert groups.loc[classes, "mean_iou"] == pytest.approx(np.mean(own))
    assert roles.judged == "ranked" and roles.text().startswith(MEANING)


def made_up(
    iou: list[float], units: list[list[int]], fall: list[list[float]], concepts: Any = None
) -> Roles:
    many = len(iou)
    return Roles("layer", NAMES[: len(units)], len(units[0]), np.array(units), np.array(fall),
                 concepts or ("tree",) * many, ("object",) * many, np.array(iou), 0.04, "ablation",
                 "ranked")  # fmt: skip


def test_sentences_name_units_by_what_they_detect() -> None:
    roles = made_up([0.3, 0.02, 0.2], [[0, 1], [2, 0], [1, 2]], [[0.21, 0.1], [0.05, 0.004], [0.0, -0.2]],
                    ("sand", "sky", "water"))  # fmt: skip
    assert roles.sentence("a") == "a rests on sand (unit 0, -21 %) and no concept (unit 1, -10 %)."
    assert roles.sentence("b") == "b rests on water (unit 2, -5 %)."
    assert roles.sentence("c").startswith("c rests on no single unit")
    with pytest.raises(OptionError, match="expected a class"):
        roles.sentence("zoo")


def test_classes_without_held_out_images_are_left_out(probe: ul.ArrayProbe) -> None:
    model, quiet = made("vgg", torch.float32), {"store": False, "show_progress": False}
    few = probe.subset(np.flatnonzero(probe.class_labels < 2))
    ranking = ul.rank_units(model, "layer", probe, held_out=few, **quiet)
    found = ul.roles(ranking, ul.dissect(model, "layer", probe, grid=(H, W), **quiet))
    assert found.names == ("a", "b") and "nan" not in found.text()
    assert told(float("nan")) == "–" and told(0.213) == "-21 %" and told(-0.004) == "0 %"


def test_the_trend_is_a_rank_correlation_and_said_plainly() -> None:
    iou = np.linspace(0.01, 0.4, 40)
    up = made_up(iou.tolist(), [[39, 38], [39, 37], [38, 36], [39, 35]], [[0.1] * 2] * 4)
    served = up.served
    ranks = [np.array([(v < x).sum() + ((v == x).sum() - 1) / 2 for x in v]) for v in (iou, served)]
    rho, low, high = up.trend()
    assert rho == pytest.approx(np.corrcoef(*ranks)[0, 1]) and low <= rho <= high
    assert "match their concept better" in up.verdict() and "among the units that matter" in up.verdict()
    among = served > 0
    own = [np.array([(v < x).sum() + ((v == x).sum() - 1) / 2 for x in v]) for v in (iou[among], served[among])]
    assert up.trend(serving=True)[0] == pytest.approx(np.corrcoef(*own)[0, 1])
    down = made_up(iou[::-1].tolist(), [[39, 38], [39, 37], [38, 36], [39, 35]], [[0.1] * 2] * 4)
    assert "match their concept worse" in down.verdict()
    flat = made_up([0.1, 0.2], [[0, 1], [0, 1]], [[0.1] * 2] * 2)
    assert math.isnan(flat.trend()[0]) and "no trend to see" in flat.verdict()


def test_what_does_not_belong_together_is_refused(found: Any, probe: ul.ArrayProbe) -> None:
    ranking, dissection, _ = found
    other = made("pooled", torch.float32)
    quiet = {"store": False, "show_progress": False}
    with pytest.raises(RecipeMismatch, match="another model"):
        ul.roles(ranking, ul.dissect(other, "layer", probe, **quiet))
    for count in (0, U + 1, True, 2.5):
        with pytest.raises(OptionError, match="count: expected 1 to 6 units"):
            ul.roles(ranking, dissection, count=count)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="importance: expected"):
        ul.roles(dissection, ranking)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="dissection: expected"):
        ul.roles(ranking, ranking)  # type: ignore[arg-type]


# ---- detectors -----------------------------------------------------------------------------------------------------


def detector(probe: ul.ProbeSet, target: str, unit: int = 2, **options: Any) -> ul.UnitDetector:
    return ul.unit_detector(made("vgg", torch.float32), "layer", unit, probe, target, store=False, show_progress=False,
                            **options)  # fmt: skip


def test_a_detector_is_the_peak_against_a_threshold(probe: ul.ArrayProbe) -> None:
    got = detector(probe, "left")
    model = made("vgg", torch.float32)
    with torch.no_grad():
        peaks = model.layer(probe.images)[:, 2].amax((1, 2)).numpy()
    np.testing.assert_allclose(got.peak, peaks, rtol=1e-5)
    assert got.shows.tolist() == [i % 2 == 0 for i in range(N)]
    positive, negative = (np.flatnonzero(got.shows == side) for side in (True, False))
    assert sorted(np.flatnonzero(got.fitted)) == sorted([*positive[::2], *negative[::2]])
    said = got.peak > got.threshold
    judged = ~got.fitted
    right = [said[i] for i in positive if judged[i]]
    spared = [not said[i] for i in negative if judged[i]]
    assert got.accuracy == pytest.approx((np.mean(right) + np.mean(spared)) / 2)
    wins = [(a > b) + 0.5 * (a == b) for a in got.peak[positive] for b in got.peak[negative]]
    assert got.area == pytest.approx(np.mean(wins))
    low, high = got.interval()
    assert 0 <= low <= got.accuracy <= high <= 1
    assert f"{100 * got.accuracy:.1f} %" in got.text() and len(got.frame()) == N


def test_the_threshold_separates_best_of_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        peak, shows = rng.integers(0, 8, 12).astype(float), rng.random(12) < 0.5
        if shows.all() or not shows.any():
            continue

        def accuracy(threshold: float, peak: np.ndarray = peak, shows: np.ndarray = shows) -> float:
            said = peak > threshold
            return float(said[shows].mean() + (~said)[~shows].mean()) / 2

        best = max(accuracy(t) for t in np.arange(-0.5, 8))
        got = accuracy(best_threshold(peak, shows))
        assert got == pytest.approx(best) or best == 0.5  # all above or all below is no threshold between images
    assert best_threshold(np.array([2.0, 2.0]), np.array([True, False])) == 2.0


def test_a_concept_in_few_pixels_is_left_out_and_a_class_goes_first(probe: ul.ArrayProbe) -> None:
    got = detector(probe, "spot")
    assert got.index.tolist() == [i for i in range(N) if i % 5 != 0]
    assert got.shows.tolist() == [i % 5 == 1 for i in got.index]
    assert len(detector(probe, "spot", min_share=0.0).index) == N
    assert detector(probe, "a").shows.tolist() == [i % K == 0 for i in range(N)]  # the class, not the concept
    with pytest.raises(ProbeError, match="expected two images or more with a "):
        detector(probe, "a (object)")  # the concept, which no image shows


def test_what_images_show_is_looked_for_once(probe: ul.ArrayProbe, tmp_path: Any) -> None:
    looked = [0]

    class Looking(ul.Truth):
        fingerprint = "looking"

        def __call__(self, batch: Any) -> Any:
            looked[0] += len(batch)
            return super().__call__(batch)

    model, store = made("vgg", torch.float32), ul.Store(tmp_path)
    options = {"segmenter": Looking(WORDS), "store": store, "show_progress": False}
    first = ul.unit_detector(model, "layer", 1, probe, "left", **options)
    assert looked[0] == N
    other = ul.unit_detector(model, "layer", 2, probe, "left", **options)
    assert looked[0] == N and other.shows.tolist() == first.shows.tolist()
    ul.unit_detector(model, "layer", 2, probe, "spot", **options)
    assert looked[0] == 2 * N
    assert first.recipe["segmenter"] == "looking"


def test_wrong_targets_and_units_are_told(probe: ul.ArrayProbe) -> None:
    with pytest.raises(ConceptError, match="target: no class of the probe set"):
        detector(probe, "zoo")
    for unit in (-1, U, True):
        with pytest.raises(OptionError, match=r"units 0\.\.5"):
            detector(probe, "left", unit=unit)
    with pytest.raises(OptionError, match="min_share: expected a share"):
        detector(probe, "left", min_share=2)
    model = made("pooled", torch.float32)
    with torch.no_grad():
        model.layer.bias[1] = float("nan")
    with pytest.raises(LayerError, match="NaN or infinite"):
        ul.unit_detector(model, "layer", 1, probe, "left", store=False, show_progress=False)
