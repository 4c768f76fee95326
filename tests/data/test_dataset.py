"""Torch data sets as probe sets: forms of images, sizes, identity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from unitlens.data.dataset import from_dataset
from unitlens.errors import ProbeError, ShapeMismatch

SIZE = (6, 9)  # height, width


def pixels(seed: int, height: int = 12, width: int = 18) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_dataset_of_pictures_tensors_and_bytes():
    array = pixels(0, *SIZE)
    share = torch.from_numpy(array).permute(2, 0, 1)
    items = [(Image.fromarray(array), 2), (share, torch.tensor(0)), (share.float() / 255, None), (array, np.int64(1))]
    probe = from_dataset(items, class_names=["a", "b", "c"])
    assert probe.size == SIZE
    batch = probe.load([0, 1, 2, 3])
    assert batch.class_labels.tolist() == probe.class_labels.tolist() == [2, 0, -1, 1]
    for image in batch.images:
        assert torch.equal(image, share.float() / 255)


def test_dataset_is_resized_and_knows_its_classes():
    class Pairs(list):
        classes = ("cat", "dog")

    probe = from_dataset(Pairs([(torch.rand(1, 8, 4), 1), (Image.fromarray(pixels(0)), 0)]), size=SIZE)
    assert probe.class_names == ("cat", "dog")
    assert probe.load([0, 1]).images.shape == (2, 3, *SIZE)


def test_dataset_fingerprint_changes_with_images_and_labels():
    image = torch.rand(3, *SIZE)
    sets = [[(image, 0)], [(image, 1)], [(1 - image, 0)], [(image, 0), (image, 0)], [(image.transpose(1, 2), 0)]]
    assert len({from_dataset(s).fingerprint for s in sets}) == len(sets)
    assert from_dataset(sets[0]).fingerprint == from_dataset([(image.clone(), 0)]).fingerprint


@pytest.mark.parametrize(
    ("dataset", "error", "words"),
    [
        (iter([]), ProbeError, "into a list"),
        ([], ProbeError, "one image or more"),
        ([(torch.randn(3, 4, 6) * 3 - 9, 0)], ProbeError, "before normalisation"),
        ([(torch.rand(5, 4, 6), 0)], ProbeError, r"Tensor \(5, 4, 6\)"),
        ([("a.png", 0)], ProbeError, "got str"),
        ([(torch.rand(3, 4, 6), "cat")], ProbeError, "label 0"),
        ([(torch.rand(3, 4, 6), 0), (torch.rand(3, 5, 6), 0)], ShapeMismatch, "Pass size="),
    ],
)
def test_dataset_of_another_form_is_refused(dataset, error, words):
    with pytest.raises(error, match=words):
        from_dataset(dataset).load([0, 1])


class Counted(list):
    """A data set that knows which images were asked for."""

    def __init__(self, *args):
        super().__init__(*args)
        self.asked: list[int] = []

    def __getitem__(self, i):
        self.asked.append(i)
        return super().__getitem__(i)


def test_digests_read_every_image_once_and_stay_when_images_are_appended():
    draw = torch.Generator().manual_seed(0)
    items = [(torch.rand(3, *SIZE, generator=draw), i % 2) for i in range(5)]
    counted = Counted(items)
    short, long = from_dataset(counted), from_dataset([*items, (1 - items[0][0], 1)])
    counted.asked.clear()
    assert short.digest([1, 2]) == long.digest(range(1, 3))
    assert sorted(counted.asked) == [1, 2]
    assert short.fingerprint != long.fingerprint and short.identify(progress=False) == short.fingerprint
    assert short.class_labels.tolist() == [0, 1, 0, 1, 0]
    assert sorted(counted.asked) == [0, 1, 2, 3, 4]
    relabelled = from_dataset([(image, 0) for image, _ in items])
    assert len({p.digest([0, 1]) for p in (short, relabelled)} | {short.digest([1, 0]), short.digest([2, 3])}) == 4


@pytest.mark.parametrize(("count", "bar"), [(200, False), (201, True)])
def test_reading_many_images_shows_a_bar(capsys, count, bar):
    items = [(torch.zeros(3, 1, 2), 0)] * count
    from_dataset(items).prepare(progress=False)
    assert capsys.readouterr().err == ""
    probe = from_dataset(items)
    assert probe.fingerprint == probe.fingerprint
    shown = capsys.readouterr().err
    assert ("Reading images: 100%" in shown) == bar and (shown == "") != bar
