"""Folders as probe sets: order, decoding, masks, gaps, identity."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unitlens.data.concepts import Concept
from unitlens.data.folder import _digests, from_folder
from unitlens.errors import ConceptError, DataWarning, OptionError, ProbeError, ShapeMismatch

MSRC = Path(__file__).resolve().parents[3] / "shared" / "real" / "msrc_v2"
SIZE = (6, 9)  # height, width
NAMES = {1: "sky", 2: ("roof", "part"), 7: Concept("wood", "material"), 255: None}


def pixels(seed: int, height: int = 12, width: int = 18) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four images in two class folders, three of them with masks."""
    for i, name in enumerate(["zoo/b.png", "zoo/a.PNG", "art/d.bmp", "art/c.png"]):
        save(tmp_path / "images" / name, pixels(i))
    for i, name in enumerate(["zoo/b.png", "art/d.png", "art/c.png"]):
        save(tmp_path / "masks" / name, np.random.default_rng(i).choice([0, 1, 2, 7, 255], (12, 18)).astype(np.uint8))
    return tmp_path


def load_masked(photos: Path, **options):
    return from_folder(photos / "images", size=SIZE, masks=photos / "masks", names=NAMES, **options)


def test_images_stand_in_the_order_of_their_paths_with_their_classes(photos):
    probe = from_folder(photos / "images", size=SIZE)
    assert probe.paths == ("art/c.png", "art/d.bmp", "zoo/a.PNG", "zoo/b.png")
    assert probe.class_names == ("art", "zoo")
    assert probe.class_labels.tolist() == [0, 0, 1, 1]
    batch = probe.load([3, 0])
    assert batch.images.shape == (2, 3, *SIZE)
    assert batch.images.dtype == torch.float32
    assert batch.index.tolist() == [3, 0]
    assert batch.class_labels.tolist() == [1, 0]
    assert batch.truth is None


def test_flat_folder_has_no_classes_and_hidden_files_do_not_count(tmp_path):
    save(tmp_path / "b.png", pixels(0))
    save(tmp_path / "a.png", pixels(1))
    save(tmp_path / ".cache" / "c.png", pixels(1))
    (tmp_path / "notes.txt").write_text("no image")
    probe = from_folder(tmp_path)
    assert probe.paths == ("a.png", "b.png")
    assert probe.class_names == ()
    assert probe.class_labels.tolist() == [-1, -1]
    assert probe.size == (224, 224)


def test_image_of_the_size_is_unchanged(tmp_path):
    array = pixels(0, *SIZE)
    save(tmp_path / "a.png", array)
    for crop in ("squash", "center"):
        assert np.array_equal(from_folder(tmp_path, size=SIZE, crop=crop).pictures([0])[0], array)


def test_squash_averages_whole_blocks_without_aliasing(tmp_path):
    stripes = np.zeros((12, 18, 3), np.uint8)
    stripes[:, ::2] = 200
    save(tmp_path / "a.png", stripes)
    small = from_folder(tmp_path, size=(4, 6)).pictures([0])[0]
    assert abs(small[:, 1:-1].astype(int) - 100).max() <= 25  # a bilinear sample without antialiasing gives 0 or 200


def test_center_takes_the_middle_in_the_shape_of_the_size(tmp_path):
    array = pixels(0, 6, 20)
    save(tmp_path / "a.png", array)
    save(tmp_path / "b.png", array.transpose(1, 0, 2))
    probe = from_folder(tmp_path, size=6, crop="center")
    assert np.array_equal(probe.pictures([0])[0], array[:, 7:13])
    assert np.array_equal(probe.pictures([1])[0], array.transpose(1, 0, 2)[7:13])


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by a quarter
    array = pixels(0, 5, 8)
    save(tmp_path / "a.png", array, exif=exif)
    assert np.array_equal(from_folder(tmp_path, size=(8, 5)).pictures([0])[0], np.rot90(array, -1))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_pictures_of_every_mode_become_rgb(tmp_path, mode):
    grey = np.linspace(0, 255, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint8)
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    image.save(tmp_path / "a.png")
    picture = from_folder(tmp_path, size=SIZE).pictures([0])[0]
    expected = np.where(grey > 127, 255, 0) if mode == "1" else grey
    if mode == "1":
        assert set(np.unique(picture)) == {0, 255}
    else:
        assert abs(picture.astype(int) - expected[..., None]).max() <= 1


def test_limit_is_spread_over_the_folder(photos):
    assert from_folder(photos / "images", limit=2).paths == ("art/c.png", "zoo/a.PNG")
    assert len(from_folder(photos / "images", limit=9)) == 4


# ---- masks


@pytest.mark.parametrize("crop", ["squash", "center"])
@pytest.mark.parametrize("size", [(6, 9), (5, 4), (12, 18), (7, 30)])
def test_mask_takes_the_value_under_each_centre(photos, size, crop):
    probe = from_folder(photos / "images", size=size, crop=crop, masks=photos / "masks", names=NAMES)
    labels = probe.load([0]).truth.labels
    values = np.asarray(Image.open(photos / "masks" / "art" / "c.png"))
    meaning = {0: 0, 1: 1, 2: 2, 7: 3, 255: 0}
    scale = min(12 / size[0], 18 / size[1])
    part = (12.0, 18.0) if crop == "squash" else (size[0] * scale, size[1] * scale)
    assert labels.shape == (1, 1, *size)
    for y in range(size[0]):
        for x in range(size[1]):
            row = int((12 - part[0]) / 2 + (y + 0.5) * part[0] / size[0] + 1e-9)
            column = int((18 - part[1]) / 2 + (x + 0.5) * part[1] / size[1] + 1e-9)
            assert labels[0, 0, y, x] == meaning[int(values[row, column])]


def test_vocabulary_follows_the_values_and_image_without_mask_is_not_annotated(photos):
    probe = load_masked(photos)
    assert list(probe.vocabulary) == [Concept("sky"), Concept("roof", "part"), Concept("wood", "material")]
    truth = probe.load([0, 1, 2, 3]).truth
    assert truth.annotated.tolist() == [[True] * 3, [True] * 3, [False] * 3, [True] * 3]
    assert not truth.labels[2].any()
    assert truth.labels[0].any()


def test_masks_inside_the_image_folder_are_no_images(photos):
    os.rename(photos / "masks", photos / "images" / "masks")
    probe = from_folder(photos / "images", size=SIZE, masks=photos / "images" / "masks", names=NAMES)
    assert probe.class_names == ("art", "zoo")
    assert len(probe) == 4


def test_palette_and_16_bit_masks_are_read_by_value(tmp_path):
    values = np.arange(54).reshape(SIZE) % 3
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.png", pixels(0, *SIZE))
    palette = Image.fromarray(values.astype(np.uint8))
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    (tmp_path / "masks").mkdir()
    palette.save(tmp_path / "masks" / "a.png")
    save(tmp_path / "masks" / "b.png", (values * 1000).astype(np.uint16))
    names = {1: "x", 2: "y", 1000: "x", 2000: "y"}
    labels = (
        from_folder(tmp_path / "images", size=SIZE, masks=tmp_path / "masks", names=names).load([0, 1]).truth.labels
    )
    assert np.array_equal(labels[0, 0], values)
    assert np.array_equal(labels[1, 0], values)


def test_names_from_json_in_both_forms(photos, tmp_path):
    plain, classes = tmp_path / "plain.json", tmp_path / "classes.json"
    plain.write_text(json.dumps({"0": None, "1": "sky", "2": ["roof", "part"], "7": ["wood", "material"], "255": None}))
    named = {"1": "sky", "2": ["roof", "part"], "7": ["wood", "material"]}
    classes.write_text(json.dumps({"unlabelled": [0, 255], "classes": named}))
    for names in (plain, str(classes)):
        probe = from_folder(photos / "images", size=SIZE, masks=photos / "masks", names=names)
        assert probe.vocabulary == load_masked(photos).vocabulary
        assert probe.fingerprint == load_masked(photos).fingerprint


def test_mask_value_without_a_name_is_refused(photos):
    probe = from_folder(photos / "images", masks=photos / "masks", names={1: "sky", 2: "roof", 255: None})
    with pytest.raises(ConceptError, match=r"c\.png: holds the values 7"):
        probe.load([0])


def test_mask_of_another_size_is_refused_with_both(photos):
    save(photos / "masks" / "art" / "c.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(ShapeMismatch, match=r"c\.png: is 5x4, its image .*c\.png is 18x12"):
        load_masked(photos).load([0])


def test_mask_in_colours_or_broken_is_refused(photos):
    save(photos / "masks" / "art" / "c.png", pixels(0))
    with pytest.raises(ShapeMismatch, match="mode RGB"):
        load_masked(photos).load([0])
    (photos / "masks" / "art" / "c.png").write_bytes(b"broken")
    with pytest.raises(ProbeError, match=r"mask .*cannot be read"):
        load_masked(photos).load([0])


def test_flat_mask_for_two_images_of_one_name_is_refused(tmp_path):
    for name in ("x/a.png", "y/a.png"):
        save(tmp_path / "images" / name, pixels(0))
    save(tmp_path / "masks" / "a.png", np.zeros((12, 18), np.uint8))
    with pytest.raises(ProbeError, match="2 images named 'a'"):
        from_folder(tmp_path / "images", masks=tmp_path / "masks", names={1: "sky"})


# ---- gaps and refusals


def test_unreadable_image_is_left_out_with_one_warning(photos):
    (photos / "images" / "art" / "d.bmp").write_bytes(b"no picture")
    cut = (photos / "images" / "zoo" / "b.png").read_bytes()
    (photos / "images" / "zoo" / "b.png").write_bytes(cut[: len(cut) // 2])
    probe = load_masked(photos)
    assert probe.skipped == []
    with pytest.warns(DataWarning) as caught:
        batch = probe.load([0, 1, 2, 3])
    assert sorted(str(w.message).split("/images/")[1].split(" ")[0] for w in caught) == ["art/d.bmp", "zoo/b.png"]
    assert batch.index.tolist() == [0, 2]
    assert batch.truth.annotated.tolist() == [[True] * 3, [False] * 3]
    assert probe.load([1, 2, 3]).index.tolist() == [2]  # no second warning: it would be an error here
    assert probe.load([1]).images.shape == (0, 3, *SIZE)
    assert probe.skipped == ["art/d.bmp", "zoo/b.png"]


def test_folder_without_images_names_the_endings(tmp_path):
    with pytest.raises(ProbeError, match=r"\.jpg, \.jpeg, \.png"):
        from_folder(tmp_path)
    with pytest.raises(ProbeError, match="not there"):
        from_folder(tmp_path / "absent")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "size"),
        ({"size": (3, 4, 5)}, "size"),
        ({"size": "big"}, "size"),
        ({"crop": "middle"}, "'squash', 'center'"),
        ({"limit": 0}, "limit"),
        ({"masks": "masks"}, "give both"),
        ({"names": NAMES}, "give both"),
    ],
)
def test_other_options_are_refused(photos, options, words):
    with pytest.raises(OptionError, match=words):
        from_folder(photos / "images", **options)


@pytest.mark.parametrize(
    "names", [{}, {"a": "sky"}, {1.5: "sky"}, {True: "sky"}, {1: 3}, {1: ("a", "b", "c")}, "absent.json"]
)
def test_names_of_another_form_are_refused(photos, names):
    with pytest.raises(OptionError, match="names"):
        from_folder(photos / "images", masks=photos / "masks", names=names)


def test_masks_that_belong_to_no_image_are_refused(photos):
    save(photos / "other" / "q.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(ProbeError, match=r"expected 'art/c\.png'"):
        from_folder(photos / "images", masks=photos / "other", names=NAMES)
    with pytest.raises(ProbeError, match="not there"):
        from_folder(photos / "images", masks=photos / "absent", names=NAMES)


# ---- identity


def test_fingerprint_changes_with_everything_that_changes_the_batch(photos):
    base = load_masked(photos).fingerprint
    assert base == load_masked(photos).prepare(progress=False).fingerprint
    prints = {
        base,
        load_masked(photos, crop="center").fingerprint,
        load_masked(photos, limit=3).fingerprint,
        from_folder(photos / "images", size=SIZE).fingerprint,
        from_folder(photos / "images", size=SIZE[::-1], masks=photos / "masks", names=NAMES).fingerprint,
        from_folder(photos / "images", size=SIZE, masks=photos / "masks", names={**NAMES, 7: "wood"}).fingerprint,
    }
    mask = photos / "masks" / "zoo" / "b.png"
    save(mask, 255 - np.asarray(Image.open(mask)))
    prints.add(load_masked(photos).fingerprint)
    save(photos / "images" / "art" / "c.png", pixels(99))
    prints.add(load_masked(photos).fingerprint)
    os.rename(photos / "images" / "zoo" / "a.PNG", photos / "images" / "zoo" / "e.PNG")
    prints.add(load_masked(photos).fingerprint)
    assert len(prints) == 9


def test_fingerprint_does_not_depend_on_where_the_folder_is(photos, tmp_path):
    base = load_masked(photos).fingerprint
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("images", "masks"):
        os.rename(photos / name, moved / name)
    assert load_masked(moved).fingerprint == base


# ---- real photos


@pytest.mark.skipif(not MSRC.is_dir(), reason="../shared is not here")
def test_msrc_v2_loads_with_its_labels():
    probe = from_folder(MSRC / "images", masks=MSRC / "labels", names=MSRC / "classes.json", size=224)
    assert len(probe) == 296
    assert len(probe.vocabulary) == 23
    assert [c.name for c in probe.vocabulary][:3] == ["building", "grass", "tree"]
    part = probe.subset(range(0, 296, 37))
    batch = part.load(range(len(part)))
    assert len(batch) == 8
    assert batch.images.shape == (8, 3, 224, 224)
    assert batch.truth.annotated.all()
    for labels, path in zip(batch.truth.labels, [probe.paths[i] for i in part.index], strict=True):
        values = np.asarray(Image.open(MSRC / "labels" / Path(path).with_suffix(".png")))
        assert set(np.unique(labels)) <= set(np.unique(values))  # values are 1..23 there: value = label
        seen = np.bincount(labels.numpy().ravel(), minlength=24) / labels.numel()
        assert np.abs(seen - np.bincount(values.ravel(), minlength=24) / values.size).max() < 0.01


def test_a_folder_of_masks_among_the_images_is_pointed_out(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 6)).save(tmp_path / folder / "one.png")
    with pytest.warns(DataWarning, match="'masks' in it looks like masks"):
        assert len(from_folder(tmp_path, size=8)) == 2
    assert len(from_folder(tmp_path / "images", size=8)) == 1


def test_digests_stay_when_images_are_appended_or_the_folder_moves(photos):
    base = load_masked(photos)
    digests = [base.digest([0, 1]), base.digest([2, 3])]
    save(photos / "images" / "zoo" / "z.png", pixels(9))
    os.rename(photos / "images" / "zoo" / "a.PNG", photos / "images" / "zoo" / "a1.PNG")
    longer = load_masked(photos)
    assert len(longer) == 5 and longer.fingerprint != base.fingerprint
    assert [longer.digest(range(2)), longer.digest(range(2, 4))] == digests
    assert longer.digest([0, 1]) != longer.digest([1, 0])


def test_a_digest_changes_with_images_masks_classes_and_options_of_its_range(photos):
    base = load_masked(photos)
    kept = base.digest([0, 1])
    prints = {base.digest([2, 3]), load_masked(photos, crop="center").digest([2, 3])}
    prints.add(from_folder(photos / "images", size=SIZE).digest([2, 3]))
    prints.add(from_folder(photos / "images", size=SIZE[::-1], masks=photos / "masks", names=NAMES).digest([2, 3]))
    more = {**NAMES, 7: "wood"}
    prints.add(from_folder(photos / "images", size=SIZE, masks=photos / "masks", names=more).digest([2, 3]))
    mask = photos / "masks" / "zoo" / "b.png"
    save(mask, 255 - np.asarray(Image.open(mask)))
    prints.add(base.digest([2, 3]))
    save(photos / "images" / "zoo" / "b.png", pixels(99))
    prints.add(base.digest([2, 3]))
    assert len(prints) == 7 and base.digest([0, 1]) == kept
    os.rename(photos / "images" / "zoo", photos / "images" / "aaa")  # now the first class: other numbers
    os.rename(photos / "masks" / "zoo", photos / "masks" / "aaa")
    assert load_masked(photos).digest([2, 3]) != kept


def test_no_file_is_read_twice_and_many_show_a_bar(tmp_path, monkeypatch, capsys):
    for i in range(201):
        save(tmp_path / f"{i:03d}.png", np.full((1, 2, 3), i, np.uint8))
    reads: list[Path] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: reads.append(path) or read_bytes(path))
    probe = from_folder(tmp_path, size=SIZE)
    spans = [range(s, s + 67) for s in (0, 67, 134)]
    assert len({probe.digest(span) for span in spans}) == 3
    assert capsys.readouterr().err == "" and len(reads) == 201
    assert probe.fingerprint == from_folder(tmp_path, size=SIZE).identify(progress=False)
    assert len(reads) == 201
    _digests.clear()
    assert probe.identify(progress=False) and capsys.readouterr().err == ""
    _digests.clear()
    assert probe.fingerprint and "Reading files: 100%" in capsys.readouterr().err
