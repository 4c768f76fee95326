"""Atlas: what a page reads is what the dissection says, at every level."""

from __future__ import annotations

import dataclasses
import gc
import json

import numpy as np
import pytest

import unitlens as ul
from unitlens.display import atlas as atlas_module
from unitlens.display.atlas import FAINT, FOUND, NEAREST, NONE, Atlas, levels_of
from unitlens.dissection.result import Dissection, LayerDissection
from unitlens.errors import OptionError

SCALE = 65534
STEP = 0.5 / SCALE + 1e-9  # of a stored share
LAYERS = ("conv4_3", "conv5_3")


@pytest.fixture(scope="module")
def evident() -> Dissection:
    """One layer over 330 scenes: more than the five blocks of 64 images that intervals need."""
    probe = ul.load_probe("scenes", count=330)
    return ul.dissect(ul.load_model("scenenet"), ["conv5_3"], probe, show_progress=False)


def shares(whole: np.ndarray) -> np.ndarray:
    return np.where(whole == NONE, np.nan, whole / SCALE)


def tiny(units: int = 3, concepts: int = 2, maps: np.ndarray | None = None, images: int = 3) -> Dissection:
    """A dissection made by hand, known at one quantile only; unit 0 has IoU 1/2 with concept 0, the last one none."""
    vocabulary = ul.Vocabulary([(f"thing {i}", "object") for i in range(concepts)])
    intersection = np.zeros((units, concepts), np.int64)
    intersection[0, 0] = 100  # of 150 it fires on and 150 that show the concept: 100 / 200
    top = np.arange(units * images).reshape(units, images)
    maps = np.ones((units, images, 2, 4), np.float16) if maps is None else maps
    layer = LayerDissection(
        "only", np.full(units, 0.5, np.float32), intersection, np.full((units, 1), 150), maps.max((2, 3)), top, maps,
        np.zeros(units, np.int64), None,
    )  # fmt: skip
    return Dissection(
        {"only": layer}, vocabulary, np.full(concepts, 150), np.array([10_000]), {0: b"jpeg"}, 0.99, 0.04, {},
        {"model": "hand", "images": 9},
    )  # fmt: skip


def test_models_of_one_name_keep_layers_of_their_own(dissected: Dissection) -> None:
    named = [dissected.renamed(name) for name in ("a", "a", "a 2")]
    places = Atlas(named).places
    assert len(places) == 6 and sorted({of for of, _ in places.values()}) == [0, 1, 2]


def test_levels_are_in_the_range_that_was_counted_and_hold_the_results_own(dissected: Dissection) -> None:
    levels = levels_of(dissected)
    assert levels == tuple(sorted(levels)) and levels[0] == 0.97 and levels[-1] == 0.999 and 0.99 in levels
    assert 0.9937 in levels_of(dissected.at(0.9937))
    for level in levels:
        dissected.at(level)
    with pytest.raises(OptionError):
        dissected.at(levels[-1] + 0.0005)


@pytest.mark.parametrize("name", LAYERS)
def test_labels_iou_and_thresholds_are_those_of_every_level(name: str, dissected: Dissection) -> None:
    atlas = Atlas([dissected])
    arrays = atlas.layer(name)
    for q, level in enumerate(atlas.levels[0]):
        reading = dissected.at(level)
        concept, iou = reading.best(name)
        np.testing.assert_array_equal(np.where(concept < 0, NONE, concept), arrays["label"][q])
        np.testing.assert_allclose(shares(arrays["iou"][q]), iou, atol=STEP)
        np.testing.assert_array_equal(arrays["threshold"][q], reading[name].threshold.astype(np.float32))
        for unit, beats in enumerate(reading.chance(name).beats):
            assert arrays["beats"][q, unit // 4] >> (2 * (unit % 4)) & 3 == beats
    np.testing.assert_array_equal(arrays["peak"], dissected[name].top_value[:, 0].astype(np.float32))


def pairs(arrays: dict[str, np.ndarray], unit: int) -> dict[int, np.ndarray]:
    """Concepts of a unit, in order -> their IoU at every level."""
    some = slice(*arrays["starts"][unit : unit + 2])
    return dict(zip(arrays["near"][some].tolist(), shares(arrays["near_iou"][:, some]).T, strict=True))


@pytest.mark.parametrize("name", LAYERS)
def test_concepts_of_a_unit_are_those_it_is_labelled_with_comes_nearest_to_and_is_found_by(name, dissected) -> None:
    atlas = Atlas([dissected])
    arrays, here = atlas.layer(name), atlas.about()["dissections"][0]["here"]
    tables = np.stack([dissected.at(level).iou(name) for level in atlas.levels[0]])  # (Q, U, C)
    assert arrays["found"] == [np.float32(FOUND)] and arrays["starts"][-1] == len(arrays["near"])
    for unit in range(tables.shape[1]):
        iou, known = tables[:, unit], pairs(arrays, unit)
        labels = [int(row.argmax()) for row in iou if row.any()]
        must = {*labels, *np.flatnonzero(iou.max(0) >= FOUND).tolist()}
        for level, row in enumerate(iou):
            nearest = [int(c) for c in np.argsort(-row, kind="stable")[:NEAREST]]
            must |= {c for c in nearest if (row[c] > 0 if level == here else row[c] >= FAINT)}
        tied = {c for row in iou for c in np.flatnonzero(np.isin(row, np.sort(row)[-NEAREST - 1 : -NEAREST + 1]))}
        assert must - tied <= set(known) <= must | tied
        first = sorted(set(labels), key=lambda c: (-labels.count(c), -iou[:, c].max()))
        assert list(known)[: len(first)] == first
        for concept, values in known.items():
            np.testing.assert_allclose(values, iou[:, concept], atol=STEP)


def test_where_too_many_concepts_would_be_told_the_limit_rises(dissected: Dissection, monkeypatch) -> None:
    monkeypatch.setattr(atlas_module, "ROOM", 2)
    arrays = Atlas([dissected]).layer("conv5_3")
    most = np.max([dissected.at(level).iou("conv5_3") for level in levels_of(dissected)], 0)
    (found,) = arrays["found"]
    assert found > FOUND and (most >= found - 1e-6).sum() == 2 * len(most)
    for unit, row in enumerate(most):
        assert set(np.flatnonzero(row >= found)) <= set(pairs(arrays, unit))


def test_precision_recall_and_intervals_are_those_of_every_level(evident: Dissection) -> None:
    atlas = Atlas([evident])
    chosen = [5, 0, 17, 90]
    found, arrays = atlas.units("conv5_3", chosen), atlas.layer("conv5_3")
    near = [list(pairs(arrays, unit)) for unit in chosen]
    assert found["pairs"].tolist() == [len(one) for one in near] and np.isfinite(shares(found["least"])).any()
    unit, concept = (np.concatenate(one) for one in ([[u] * len(n) for u, n in zip(chosen, near)], near))
    for q in (0, 7, len(atlas.levels[0]) - 1):
        reading = evident.at(atlas.levels[0][q])
        for name, table in zip(("least", "most"), reading.intervals("conv5_3")):
            np.testing.assert_allclose(shares(found[name][q]), np.clip(table[unit, concept], 0, 1), atol=STEP)
        label, _ = reading.best("conv5_3")
        for name in ("precision", "recall"):
            np.testing.assert_allclose(shares(found[name][q]), reading.metric(name)[chosen, label[chosen]], atol=STEP)


def test_units_come_in_the_order_asked_for_with_their_images_and_tails(dissected: Dissection) -> None:
    chosen = [7, 3, 150]
    counts = dissected["conv5_3"]
    found = Atlas([dissected]).units("conv5_3", chosen, 4)
    assert found["units"].tolist() == chosen and found["top"].shape == (3, 4)
    np.testing.assert_array_equal(found["top"], counts.top_index[chosen][:, :4])
    np.testing.assert_array_equal(found["value"], counts.top_value[chosen][:, :4].astype(np.float32))
    steps = ((found["high"] - found["low"]) / 255)[:, None, None, None]
    back = found["low"][:, None, None, None] + found["maps"] * steps
    assert np.all(np.abs(back - counts.top_map[chosen][:, :4]) <= 0.501 * steps + 1e-3)
    np.testing.assert_array_equal(found["edges"], counts.tails.edges[chosen].astype(np.float32))
    assert (np.diff(found["tail"], axis=1) <= 1e-9).all() and (found["tail"] <= 1).all()
    for n in range(3):  # the share above the threshold of level 1 % is 1 %
        at = np.interp(counts.threshold[chosen[n]], found["edges"][n], found["tail"][n])
        assert at == pytest.approx(0.01, rel=0.12)


def test_several_dissections_have_layers_of_their_own(dissected: Dissection) -> None:
    strict = dissected.at(0.995)
    other = dataclasses.replace(strict, layers={"conv5_3": strict["conv5_3"]}).renamed("twin")
    atlas = Atlas([dissected, other, dissected])
    keys = [
        "SceneNet 1 · conv4_3",
        "SceneNet 1 · conv5_3",
        "twin · conv5_3",
        "SceneNet 3 · conv4_3",
        "SceneNet 3 · conv5_3",
    ]
    about = json.loads(json.dumps(atlas.about()))
    assert [entry["key"] for entry in about["layers"]] == keys == list(atlas.places)
    assert [entry["of"] for entry in about["layers"]] == [0, 0, 1, 2, 2]
    assert about["dissections"][1]["levels"][about["dissections"][1]["here"]] == 0.995
    here = about["dissections"][1]["here"]
    np.testing.assert_allclose(shares(atlas.layer("twin · conv5_3")["iou"][here]), other.best()[1], atol=STEP)
    first = atlas.pictures(1, [int(other["conv5_3"].top_index[0, 0]), 10**6])
    assert first[0] == other.thumbnails[int(other["conv5_3"].top_index[0, 0])] and first[1] == b""


def test_about_names_everything_a_page_needs(dissected: Dissection) -> None:
    about = Atlas([dissected]).about()
    (world,) = about["dissections"]
    assert list(zip(world["names"], world["categories"])) == [(c.name, c.category) for c in dissected.vocabulary]
    assert world["images"] == 100 and world["picture"] == [128, 128] and world["min_iou"] == 0.04
    assert world["shows"] == dissected.concept_images.tolist() and world["levels"][world["here"]] == 0.99
    assert [entry["units"] for entry in about["layers"]] == [dissected[name].units for name in LAYERS]
    assert about["layers"][0]["geometry"] == list(map(float, dissected["conv4_3"].geometry))


def test_a_result_of_one_quantile_has_one_level_and_no_tails() -> None:
    atlas = Atlas([tiny()])
    arrays, found = atlas.layer("only"), atlas.units("only", [0, 2])
    assert atlas.levels == [(0.99,)]
    assert shares(arrays["iou"]).tolist() == [pytest.approx([0.5, 0, 0], abs=STEP)]
    assert arrays["label"].tolist() == [[0, NONE, NONE]]
    assert found["edges"].shape == found["tail"].shape == (2, 0)
    assert arrays["beats"].tolist() == [[2 + 4 * 2 + 16 * 2]]  # not measured
    assert (found["least"] == NONE).all()


@pytest.mark.parametrize("concepts", [1, 2, NEAREST, NEAREST + 1])
def test_fewer_concepts_than_a_unit_could_come_near(concepts: int) -> None:
    arrays = Atlas([tiny(concepts=concepts)]).layer("only")
    assert arrays["starts"].tolist() == [0, 1, 1, 1] and arrays["near"].tolist() == [0]
    assert shares(arrays["near_iou"]).tolist() == [[pytest.approx(0.5, abs=STEP)]]


@pytest.mark.filterwarnings("error")
def test_maps_of_nan_and_infinity_become_bytes() -> None:
    maps = np.zeros((3, 2, 2, 4), np.float16)
    maps[0, 0] = [[np.nan, -np.inf, 0, 1], [2, 3, 4, np.inf]]
    maps[1] = np.nan
    maps[2, :, 0] = -7
    found = Atlas([tiny(maps=maps, images=2)]).units("only", [0, 1, 2])
    assert found["maps"][0, 0].ravel().tolist() == [0, 0, 0, 64, 128, 191, 255, 255]
    assert (found["low"].tolist(), found["high"].tolist()) == ([0, 0, -7], [4, 0, 0])
    assert (found["maps"][1] == 0).all()
    assert (found["maps"][2, :, 0] == 0).all() and (found["maps"][2, :, 1] == 255).all()


def test_everything_can_be_packed(dissected: Dissection) -> None:
    from unitlens.display.pack import packed

    atlas = Atlas([dissected, tiny()])
    for key in atlas.places:
        packed(atlas.layer(key))
        header, data = packed(atlas.units(key, [2, 0], 3))
        assert len(data) % 8 == 0 and header[0] == ["units", "i4", [2]]
        packed(atlas.units(key, []))


def test_what_an_atlas_keeps_does_not_grow_with_the_layers(dissected: Dissection) -> None:
    """A layer of 512 units and 1,200 concepts takes hundreds of megabytes when it is read at 22 levels."""
    gc.collect()
    before = sum(type(one) is Dissection for one in gc.get_objects())
    atlas = Atlas([dissected, dissected])
    for key in atlas.places:
        atlas.layer(key)
        atlas.units(key, [0])
    gc.collect()
    kept = sum(type(one) is Dissection for one in gc.get_objects()) - before
    assert kept <= len(atlas.levels[0])  # of one layer out of four
