"""Images that cannot be read: the rest is measured as if they were not there, and they are counted."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unitlens.data.folder import from_folder
from unitlens.dissection.engine import dissect
from unitlens.errors import DataWarning, ProbeError


def write_photos(folder: Path, broken: tuple[int, ...] = (), left_out: tuple[int, ...] = ()) -> Path:
    folder.mkdir()
    for i in (i for i in range(6) if i not in left_out):
        pixels = np.random.RandomState(i).randint(0, 256, (9, 14, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    for i in broken:
        (folder / f"{i}.png").write_bytes(b"no picture")
    return folder


def test_unreadable_images_are_named_counted_and_left_out_of_every_number(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, padding=1))
    broken = from_folder(write_photos(tmp_path / "broken", broken=(0, 3, 4)), size=(9, 14))
    whole = from_folder(write_photos(tmp_path / "whole", left_out=(0, 3, 4)), size=(9, 14))
    with pytest.warns(DataWarning, match=r"[034]\.png cannot be read") as told:
        found = dissect(model, "0", broken, batch_size=2, store=False, show_progress=False)
    # Of each pair one is broken: the model sees the same three batches of one image, so the numbers are the same bits.
    expected = dissect(model, "0", whole, batch_size=1, store=False, show_progress=False)
    assert len(told) == 3 and (found.notes["images"], found.notes["skipped"]) == (3, 3)
    assert np.array_equal(found.iou(), expected.iou()) and np.array_equal(found.pixels, expected.pixels)
    assert np.array_equal(found.layer().threshold, expected.layer().threshold)
    place = np.array([1, 2, 5])  # of the three images of `whole` among the six
    readable = expected.layer().top_index[:, :3]
    assert np.array_equal(found.layer().top_index[:, :3], place[readable])
    assert (found.layer().top_index[:, 3:] == -1).all() and set(found.thumbnails) == {1, 2, 5}


def test_a_folder_of_nothing_but_unreadable_images_is_refused(tmp_path):
    probe = from_folder(write_photos(tmp_path / "broken", broken=tuple(range(6))), size=(9, 14))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(ProbeError, match="none of its images could be read"):
            dissect(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1)), "0", probe, store=False, show_progress=False)
