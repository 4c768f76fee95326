"""look: a picture goes the way of the probe images, and what is said of it is what plain loops count."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import ArrayProbe
from unitlens.display import pixels
from unitlens.dissection.engine import dissect
from unitlens.dissection.look import look
from unitlens.dissection.looked import Look
from unitlens.errors import (
    AssetError,
    DataWarning,
    LayerNotFound,
    OptionError,
    ProbeError,
    ShapeMismatch,
    UnitLensError,
)  # fmt: skip
from unitlens.models.basis import random_rotation
from unitlens.models.preprocess import Normalize
from unitlens.models.upsample import layer_geometry

HEIGHT, WIDTH, GRID, IMAGES, QUANTILE = 40, 56, (10, 14), 30, 0.95
WORDS = Vocabulary([("left", "object"), ("bright", "colour")])


class Net(nn.Module):
    """Grids that are no tilings: coarse has 5 units on 10x14 cells, deep 7 on 5x7, fine 4 on 40x56."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.fine = nn.Conv2d(3, 4, 3, padding=1)
            self.coarse = nn.Conv2d(4, 5, 5, stride=4, padding=1)
            self.deep = nn.Conv2d(5, 7, 3, stride=2, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.deep(self.coarse(self.fine(images).relu()).relu()).mean((2, 3))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return Net().eval()


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Smooth noise, so that units have regions, and nowhere flat, so that no values tie: uint8 (N, H, W, 3)."""
    rng = np.random.default_rng(5)
    small = rng.integers(50, 206, (IMAGES, 5, 7, 3), dtype=np.uint8)
    big = [np.asarray(Image.fromarray(one).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) for one in small]
    return np.stack(big)


@pytest.fixture(scope="module")
def probe(pictures: np.ndarray) -> ArrayProbe:
    labels = np.zeros((IMAGES, 2, HEIGHT, WIDTH), dtype=np.int16)
    labels[:, 0, :, : WIDTH // 2] = 1
    labels[:, 1][pictures.mean(-1) > 150] = 2
    return ArrayProbe(pictures, labels=labels, vocabulary=WORDS)


@pytest.fixture(scope="module")
def found(net: nn.Module, probe: ArrayProbe):
    return dissect(
        net, ["fine", "coarse", "deep"], probe, quantile=QUANTILE, exact=True, grid=GRID, top=3, store=False,
        show_progress=False,
    )  # fmt: skip


def between(values: np.ndarray, size: tuple[int, int], lines: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Bilinear, a pixel at a time; lines: (scale, offset) of rows and columns in image pixels."""
    out, (h, w) = np.zeros(size), values.shape
    for row in range(size[0]):
        for column in range(size[1]):
            y = ((row + 0.5) * HEIGHT / size[0] - 0.5 - lines[0][1]) / lines[0][0]
            x = ((column + 0.5) * WIDTH / size[1] - 0.5 - lines[1][1]) / lines[1][0]
            y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
            top, left = math.floor(y), math.floor(x)
            low, right = min(top + 1, h - 1), min(left + 1, w - 1)
            a = values[top, left] * (1 - (x - left)) + values[top, right] * (x - left)
            b = values[low, left] * (1 - (x - left)) + values[low, right] * (x - left)
            out[row, column] = a * (1 - (y - top)) + b * (y - top)
    return out


#: Padding and kernels by hand. fine: cell k at k. coarse: stride 4, kernel 5, padding 1: centre of cell 0 at 1, steps
#: of 4. deep: stride 2, kernel 3, padding 1: the same first centre, steps of 8.
LINES = {"fine": ((1, 0), (1, 0)), "coarse": ((4, 1), (4, 1)), "deep": ((8, 1), (8, 1))}


@pytest.mark.parametrize("layer", ["fine", "coarse", "deep"])
def test_shares_peaks_and_firing_pixels_equal_naive_loops(net, found, pictures, layer: str) -> None:
    seen = look(net, pictures[4], found, layer)
    with torch.no_grad():
        images = torch.from_numpy(pictures[4]).permute(2, 0, 1)[None].float() / 255
        fine = net.fine(images)
        coarse = net.coarse(fine.relu())
        raw = {"fine": fine, "coarse": coarse, "deep": net.deep(coarse.relu())}[layer][0].double().numpy()
    threshold = found[layer].threshold
    for unit in range(len(raw)):
        values = between(raw[unit], GRID, LINES[layer])
        sure = np.abs(values - threshold[unit]) > 1e-5
        assert (seen.fires[unit] == (values > threshold[unit]))[sure].all()
        assert abs(seen.share[unit] - (values > threshold[unit]).mean()) <= (~sure).mean()
        assert seen.peak[unit] == pytest.approx(raw[unit].max(), abs=1e-5)
    assert seen.fires.shape == (len(raw), *GRID)
    assert np.array_equal(seen.picture, pictures[4])
    assert np.array_equal(seen.threshold, threshold)
    assert np.allclose(seen.times, seen.share / (1 - QUANTILE))


@pytest.mark.parametrize("layer", ["fine", "coarse", "deep"])
def test_over_all_probe_images_every_unit_fires_on_its_usual_share(net, found, pictures, layer: str) -> None:
    shares = np.mean([look(net, picture, found, layer).share for picture in pictures], axis=0)
    cells = IMAGES * GRID[0] * GRID[1]
    # The threshold is the value of a pixel. Beyond the outermost cells up to four share it, and alone in its batch an
    # image may come out another by the last bit.
    assert np.abs(shares - (1 - QUANTILE)).max() <= 4.5 / cells


@pytest.mark.parametrize("layer", ["fine", "coarse", "deep"])
def test_a_probe_image_gives_the_maps_that_dissect_kept_and_the_mask_of_pixels(net, found, pictures, layer: str):
    counts, checked = found[layer], 0
    for unit in range(counts.units):
        for slot, index in enumerate(counts.top_index[unit]):
            seen = look(net, pictures[index], found, layer)
            kept = counts.top_map[unit, slot]
            # A batch of another size may sum in another order: the last bit of float16 at most.
            assert seen.maps[unit].dtype == np.float16
            assert np.allclose(seen.maps[unit].astype(float), kept.astype(float), rtol=1e-3, atol=1e-5)
            assert seen.peak[unit] == pytest.approx(float(counts.top_value[unit, slot]), rel=1e-5)
            limit = float(counts.threshold[unit])
            drawn = pixels.mask(kept[None], limit, (HEIGHT, WIDTH), geometry=counts.geometry)[0]
            near = np.abs(seen.activation(unit)[0] - limit) < 2e-3 * max(1.0, abs(limit))
            assert (seen.mask(unit)[0] == drawn)[~near].all()
            assert drawn.any()
            checked += 1
    assert checked == counts.units * 3


def test_geometry_is_that_of_the_layer(net, found, pictures) -> None:
    for layer in ("coarse", "deep"):
        line = layer_geometry(net, layer, torch.zeros(1, 3, HEIGHT, WIDTH))
        assert line is not None
        assert look(net, pictures[0], found, layer).geometry == line.numbers == found[layer].geometry


def test_labels_scores_and_detectors_are_those_of_the_dissection(net, found, pictures) -> None:
    seen, frame = look(net, pictures[0], found, "deep"), found.frame("deep")
    assert [str(seen.concept(u) or "-") for u in range(7)] == frame["concept"].tolist()
    assert np.allclose(seen.iou, frame["iou"])
    assert seen.detector.tolist() == frame["detector"].tolist()
    strict = look(net, pictures[0], found.with_min_iou(float(np.median(seen.iou))), "deep")
    assert 0 < strict.detector.sum() < 7
    assert set().union(*(one.units for one in strict.concepts())) <= set(np.flatnonzero(strict.detector))
    assert look(net, pictures[0], found).layer == "deep", "the last layer by default"


def test_another_quantile_reads_the_same_picture_at_other_thresholds(net, found, pictures) -> None:
    seen, higher = look(net, pictures[0], found, "deep"), look(net, pictures[0], found, "deep", quantile=0.98)
    assert np.array_equal(higher.threshold, found.at(0.98)["deep"].threshold)
    assert (higher.threshold > seen.threshold).all() and (higher.share <= seen.share).all()
    assert higher.usual == pytest.approx(0.02)


# ---- planted units --------------------------------------------------------------------------------------------


def planted(**changes: object) -> Look:
    """Five units on 2x4 cells of an 8x16 picture, each cell 4x4 pixels, thresholds of all signs."""
    maps = np.full((5, 2, 4), -9, dtype=np.float16)
    maps[0, :, :2], maps[1, :, 1:], maps[2, 0, :1], maps[3, :, 3:] = 6, 9, -0.5, 0.2
    threshold = np.array([2, 8, -1, 0, 5], dtype=np.float32)
    fires = maps > threshold[:, None, None]
    parts: dict = {
        "picture": np.zeros((8, 16, 3), np.uint8), "layer": "conv", "model": "net", "maps": maps, "geometry": None,
        "image_size": (8, 16), "fires": fires, "peak": maps.max((1, 2)).astype(np.float32),
        "highest": np.array([10, 18, 1, 0.4, 9], dtype=np.float32), "threshold": threshold,
        "label": np.array([0, 1, 0, -1, 1]), "iou": np.array([0.5, 0.3, 0.1, 0.0, 0.2]), "vocabulary": WORDS,
        "quantile": 0.9, "min_iou": 0.04,
    }  # fmt: skip
    return Look(**{**parts, **changes})


def test_planted_units_are_ordered_by_the_share_of_the_picture() -> None:
    seen = planted()
    assert seen.share.tolist() == [0.5, 0.75, 0.125, 0.25, 0]
    assert seen.times == pytest.approx([5, 7.5, 1.25, 2.5, 0])
    assert seen.strongest().tolist() == [1, 0, 3, 2]
    assert seen.strongest(2).tolist() == [1, 0]
    assert seen.frame()["unit"].tolist() == [1, 0, 3, 2, 4]
    assert seen.frame().columns.tolist() == [
        "unit", "concept", "category", "iou", "detector", "share", "times", "peak", "threshold"
    ]  # fmt: skip


def test_units_of_equal_share_are_ordered_by_their_peak_in_their_own_range() -> None:
    fires = np.zeros((5, 2, 4), dtype=bool)
    fires[[0, 1, 3], 0, 0] = True  # (6 - 2) / 8, (9 - 8) / 10 and .2 / .4 of the way to the highest
    assert planted(fires=fires, highest=np.array([10, 18, 1, 0.3, 9], np.float32)).strongest().tolist() == [3, 0, 1]


def test_every_pixel_goes_to_the_unit_furthest_in_its_range() -> None:
    seen, count = planted(), 4
    units, regions = seen.strongest(count), seen.segmentation(count)
    heights = seen.activation()
    for row in range(8):
        for column in range(16):
            firing = {int(u): heights[u, row, column] - seen.threshold[u] for u in units}
            firing = {u: over / (seen.highest[u] - seen.threshold[u]) for u, over in firing.items() if over > 0}
            assert regions[row, column] == max(firing, key=firing.get, default=-1)  # type: ignore[arg-type]
    assert {0, 1, 3} <= set(np.unique(regions).tolist())
    assert seen.segmentation(1, size=(4, 6)).shape == (4, 6)
    assert set(np.unique(seen.segmentation(1))) <= {-1, 1}


def test_concepts_are_unions_of_their_detectors() -> None:
    first, second = planted().concepts()
    assert (str(first.concept), first.units, first.share) == ("bright", (1,), 0.75)
    assert (str(second.concept), second.units, second.share) == ("left", (0, 2), 0.5)
    both = planted().mask([0, 2])
    assert np.array_equal(second.mask, both[0] | both[1])
    assert [str(one.concept) for one in planted(min_iou=0.4).concepts()] == ["left"]
    assert "units 0, 2" in repr(second)


def test_a_picture_in_which_nothing_fires_has_no_regions_and_no_concepts() -> None:
    dark = planted(fires=np.zeros((5, 2, 4), bool))
    assert dark.strongest().tolist() == [] and dark.concepts() == []
    assert (dark.segmentation() == -1).all() and dark.segmentation().shape == (8, 16)
    assert "no detector fires" in dark.text()


def test_infinite_and_unknown_highest_values_make_no_nan() -> None:
    seen = planted(highest=np.array([np.inf, np.nan, -np.inf, 0, 1], np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert seen.segmentation(4).dtype == np.int64
        assert seen.strongest().tolist() == [1, 0, 3, 2]


def test_the_text_twin_names_units_shares_and_concepts() -> None:
    text = planted().text()
    assert "4 of 5 units fire, 2 concepts" in text
    assert "75.0%" in text and "bright (colour)" in text and "no concept" in text
    assert "concepts: bright 75.0%, left 50.0%" in text
    assert max(map(len, text.splitlines()[1:])) <= 80


@pytest.mark.parametrize("unit", [5, -1, 1.0, True, "0"])
def test_a_unit_that_the_layer_does_not_have_is_refused(unit: object) -> None:
    with pytest.raises(OptionError, match=r"0\.\.4"):
        planted().mask(unit)
    with pytest.raises(OptionError):
        planted().concept(unit)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, -2, 1.5, True, "6"])
def test_a_count_that_is_none_is_refused(count: object) -> None:
    with pytest.raises(OptionError, match="count"):
        planted().strongest(count)  # type: ignore[arg-type]


# ---- kinds of pictures ----------------------------------------------------------------------------------------


def coded(picture: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    return file.getvalue()


def test_every_kind_of_the_same_picture_gives_the_same_look(net, found, pictures, tmp_path: Path) -> None:
    picture, path = pictures[2], tmp_path / "picture.png"
    path.write_bytes(coded(picture))
    tensor = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    pil = Image.fromarray(picture)
    kinds = [picture, path, str(path), path.read_bytes(), bytearray(path.read_bytes()), pil, tensor]
    first, *rest = [look(net, kind, found, "deep") for kind in kinds]
    for other in rest:
        assert np.array_equal(first.maps, other.maps) and np.array_equal(first.picture, other.picture)


def test_a_float_tensor_of_the_right_size_is_not_rounded_to_eight_bits(net, found) -> None:
    tensor = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        exact = net.fine(tensor[None].float())[0]
    seen = look(net, tensor, found, "fine")
    assert torch.allclose(torch.from_numpy(seen.peak), exact.amax((1, 2)), atol=1e-6)


def test_pictures_of_other_sizes_and_modes_are_brought_to_the_size_of_the_probe(net, found) -> None:
    big = Image.new("RGBA", (300, 100), (200, 10, 10, 255))
    assert look(net, big, found).picture.shape == (HEIGHT, WIDTH, 3)
    assert look(net, Image.new("L", (1, 1), 90), found).picture[0, 0].tolist() == [90, 90, 90]
    striped = np.zeros((40, 400, 3), np.uint8)
    striped[:, :100] = 255
    assert look(net, striped, found).picture[:, :10].min() == 255
    assert look(net, striped, found, crop="center").picture.max() == 0
    tall = torch.zeros(3, 80, 30)
    assert look(net, tall, found).picture.shape == (HEIGHT, WIDTH, 3)


def test_a_huge_file_is_made_small_without_a_warning(net, found) -> None:
    huge = coded(np.full((9600, 9600, 3), 77, np.uint8), "JPEG")  # 92 million pixels: PIL warns from 89 on
    assert (look(net, huge, found).picture == 77).all()


def test_what_is_no_picture_is_refused_with_words(net, found, tmp_path: Path) -> None:
    text, cut = tmp_path / "words.png", tmp_path / "cut.png"
    text.write_text("no picture")
    cut.write_bytes(coded(np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8))[:2000])
    for image, error, words in (
        (tmp_path / "none.png", AssetError, "no file"), (tmp_path, AssetError, "no file"), (text, AssetError, "words"),
        (cut, AssetError, "cut"), (b"abc", AssetError, "3 bytes"),
        (np.zeros((8, 8), np.uint8), ShapeMismatch, "Grey"), (np.zeros((8, 8, 3)), ShapeMismatch, "astype"),
        (np.zeros((0, 8, 3), np.uint8), ShapeMismatch, "expected"), (torch.zeros(1, 3, 8, 8), ShapeMismatch, "batch"),
        (torch.zeros(8, 8, 3), ShapeMismatch, "expected"), (torch.zeros(3, 8, 8).byte(), ShapeMismatch, "255"),
        (torch.full((3, 8, 8), 7.0), ProbeError, "255"), (torch.full((3, 8, 8), math.nan), ProbeError, r"\[0, 1\]"),
        (None, OptionError, "NoneType"), (5, OptionError, "int"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            look(net, image, found)
    with Image.open(cut) as lazy, pytest.raises(AssetError, match="could not be read"):
        look(net, lazy, found)
    with pytest.raises(OptionError, match="crop"):
        look(net, np.zeros((8, 8, 3), np.uint8), found, crop="middle")


# ---- the same way as the probe images -------------------------------------------------------------------------


def test_layers_and_models_that_do_not_fit_are_refused(net, found, pictures) -> None:
    with pytest.raises(LayerNotFound, match="was not dissected"):
        look(net, pictures[0], found, "nowhere")
    with pytest.raises(LayerNotFound, match="not in the model"):
        look(nn.Sequential(nn.Conv2d(3, 4, 1)), pictures[0], found, "deep")
    wider = Net().eval()
    wider.deep = nn.Conv2d(5, 9, 3, stride=2, padding=1)
    with pytest.warns(DataWarning, match="not the one"), pytest.raises(ShapeMismatch, match="has 9 units"):
        look(wider, pictures[0], found, "deep")
    with pytest.raises(OptionError, match="dissect"):
        look(net, pictures[0], "deep")  # type: ignore[arg-type]


def test_another_model_of_the_same_shape_gives_a_warning_and_an_edit_does_not(net, found, pictures) -> None:
    other = Net().eval()
    look(other, pictures[0], found, "deep")  # the same seed: the same model
    with torch.no_grad():
        other.fine.weight[0] += 1
    with pytest.warns(DataWarning, match="not the one that was dissected"):
        look(other, pictures[0], found, "deep")
    handle = other.fine.register_forward_hook(lambda module, inputs, output: output * 0)
    look(other, pictures[0], found, "deep")
    handle.remove()
    assert not other.fine._forward_hooks


def test_a_look_leaves_the_model_as_it_was(pictures, found) -> None:
    net = Net().train()
    look(net, pictures[0], found, "coarse")
    assert net.training and all(m.training for m in net.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_the_preprocessing_of_the_dissection_is_made_again(net, probe, pictures) -> None:
    normal = Normalize((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), size=(20, 28))
    options: dict = {"grid": GRID, "quantile": QUANTILE, "store": False, "show_progress": False}
    found = dissect(net, "coarse", probe, preprocess=normal, **options)
    seen = look(net, pictures[3], found)
    with torch.no_grad():
        images = normal(torch.from_numpy(pictures[3]).permute(2, 0, 1)[None].float() / 255)
        peak = net.coarse(net.fine(images).relu())[0].amax((1, 2))
    assert torch.allclose(torch.from_numpy(seen.peak), peak, atol=1e-5)
    assert seen.image_size == (20, 28)
    assert np.array_equal(seen.maps, look(net, pictures[3], found, preprocess=normal).maps)
    with pytest.raises(OptionError, match="made with Normalize"):
        look(net, pictures[3], found, preprocess=Normalize((0.5,) * 3, (0.5,) * 3))
    plain = dissect(net, "coarse", probe, **options)
    with pytest.raises(OptionError, match="made with identity"):
        look(net, pictures[3], plain, preprocess=normal)
    unnamed = dissect(net, "coarse", probe, preprocess=lambda images: images * 2, **options)
    with pytest.raises(OptionError, match="no name"):
        look(net, pictures[3], unnamed)
    assert look(net, pictures[3], unnamed, preprocess=lambda images: images * 2).units == 5


def test_a_basis_is_asked_for_where_the_dissection_had_one(net, probe, pictures, found) -> None:
    turned = random_rotation(7, seed=1)
    options: dict = {"grid": GRID, "quantile": QUANTILE, "store": False, "show_progress": False}
    rotated = dissect(net, ["coarse", "deep"], probe, basis={"deep": turned}, **options)
    seen = look(net, pictures[0], rotated, "deep", basis=turned)
    unit, place = next(zip(*np.nonzero(rotated["deep"].top_index >= 0), strict=True))
    again = look(net, pictures[rotated["deep"].top_index[unit, place]], rotated, "deep", basis={"deep": turned})
    assert np.allclose(again.maps[unit].astype(float), rotated["deep"].top_map[unit, place].astype(float), rtol=2e-3)
    assert seen.units == 7 and look(net, pictures[0], rotated, "coarse").units == 5
    for wrong, layer, told in ((None, "deep", "another basis"), (turned, "coarse", "leave it out")):
        with pytest.raises(OptionError, match=told):
            look(net, pictures[0], rotated, layer, basis=wrong)
    with pytest.raises(OptionError, match="than this one"):
        look(net, pictures[0], rotated, "deep", basis=random_rotation(7, seed=2))


def test_options_of_the_dissection_are_those_of_the_look(net, probe, pictures) -> None:
    options: dict = {"grid": GRID, "quantile": QUANTILE, "store": False, "show_progress": False, "top": 2}
    for convention, after_relu in (("reference", True), ("reference", False), ("default", True)):
        found = dissect(net, "coarse", probe, convention=convention, after_relu=after_relu, exact=True, **options)
        shares = np.mean([look(net, picture, found).share for picture in pictures], axis=0)
        silent = found["coarse"].threshold <= 0 if after_relu else np.zeros(5, bool)  # positive on less than its share
        assert np.abs(shares - (1 - QUANTILE))[~silent].max() <= 4.5 / (IMAGES * GRID[0] * GRID[1])
        assert (shares[silent] < 1 - QUANTILE).all() and not silent.all()
        seen = look(net, pictures[found["coarse"].top_index[2, 0]], found)
        kept = found["coarse"].top_map[2, 0].astype(float)
        assert np.allclose(seen.maps[2].astype(float), kept, rtol=1e-3, atol=1e-5)
        assert not after_relu or (seen.maps >= 0).all()


def test_activations_that_are_nan_never_fire(found, pictures) -> None:
    net = Net().eval()
    with torch.no_grad():
        net.deep.bias[3] = math.nan
    with pytest.warns(DataWarning, match="not the one"):
        seen = look(net, pictures[0], found, "deep")
    assert not seen.fires[3].any() and 3 not in seen.strongest(None)
    assert np.isfinite(seen.share).all()


def test_errors_are_of_the_package(net, found) -> None:
    with pytest.raises(UnitLensError):
        look(net, object(), found)
