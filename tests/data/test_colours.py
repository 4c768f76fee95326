"""Colour names: obvious colours, smoothness, one table on all machines."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest

from unitlens.data.colours import COLOUR_NAMES, colour_table, lightness_a_b, name_colours
from unitlens.data.world.vocabulary import COLOURS
from unitlens.errors import ShapeMismatch

#: Colours whose basic term nobody would dispute: CSS names and well-known paints.
OBVIOUS = {
    "black": "000000 0a0a0a 101010 0c0c12",
    "white": "ffffff fffafa f5f5f5 f8f8ff fdfdfd",
    "grey": "808080 a9a9a9 696969 c0c0c0 d3d3d3 505050 708090 778899",
    "red": "ff0000 dc143c b22222 8b0000 e60026 c41e3a ed1c24",
    "green": "008000 00ff00 228b22 006400 32cd32 90ee90 2e8b57 7cfc00 556b2f 6b8e23 3cb371 00ff7f 4cbb17 013220",
    "blue": "0000ff 00008b 0000cd 4169e1 1e90ff 87ceeb add8e6 00bfff 4682b4 000080 6495ed 191970 0047ab",
    "yellow": "ffff00 ffd700 fff44f f0e68c ffef00 fada5e ffffe0",
    "orange": "ffa500 ff8c00 ff7518 f28500 ed9121 ff7f00",
    "brown": "8b4513 a0522d 654321 7b3f00 964b00 5c4033 3d2b1f",
    "pink": "ffc0cb ff69b4 ffb6c1 ff1493 f4c2c2 fc89ac de5d83",
    "purple": "800080 4b0082 8a2be2 9400d3 9932cc 663399 9370db ba55d3 dda0dd e6e6fa 8b008b",
}
PAIRS = [(name, code) for name, codes in OBVIOUS.items() for code in codes.split()]
#: Changes only by intent: with it change all stored results that hold colours.
TABLE_SHA256 = "ce129c9cb1b907748a16613c7d80b6452ed66b3f9feb15275042fd118ae0f631"


def test_names_stand_in_the_order_of_the_world():
    assert COLOUR_NAMES == COLOURS


@pytest.mark.parametrize(("name", "code"), PAIRS)
def test_obvious_colour_has_its_name(name, code):
    assert COLOUR_NAMES[name_colours(np.frombuffer(bytes.fromhex(code), np.uint8))] == name


def test_table_is_the_same_on_every_machine():
    assert hashlib.sha256(colour_table().tobytes()).hexdigest() == TABLE_SHA256


def test_no_cell_is_close_to_a_tie_of_rounding():
    """Whole 1/64 are far (1e-9) from the next for every cell, so the last bits of a cube root cannot move a name."""
    level = np.arange(32) * 8 + 3.5
    scaled = lightness_a_b(np.stack(np.meshgrid(level, level, level, indexing="ij"), -1)) * 64
    assert np.abs(scaled - np.floor(scaled) - 0.5).min() > 1e-9


def test_lab_agrees_with_published_values():
    # red, green and blue of sRGB in CIELAB (D65), as printed by Lindbloom's calculator
    known = np.array([[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]])
    assert lightness_a_b(np.eye(3) * 255) == pytest.approx(known, abs=0.02)


def test_lookup_is_the_table_cell_of_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    names = name_colours(pixels)
    assert names.dtype == np.uint8
    for y in range(4):
        for x in range(6):
            red, green, blue = (int(value) // 8 for value in pixels[y, x])
            assert names[y, x] == colour_table()[red, green, blue]


def test_every_name_occurs_and_most_neighbours_agree():
    table = colour_table()
    assert set(np.unique(table)) == set(range(11))
    agree = [np.mean(np.diff(table.astype(int), axis=axis) == 0) for axis in range(3)]
    assert min(agree) > 0.9


def test_greys_go_from_black_through_grey_to_white():
    ramp = name_colours(np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1))
    order = [COLOUR_NAMES[i] for i in ramp[np.r_[True, np.diff(ramp.astype(int)) != 0]]]
    assert order == ["black", "grey", "white"]


def test_table_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        colour_table()[0, 0, 0] = 1


def test_picture_is_named_in_under_a_millisecond():
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    name_colours(picture)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        name_colours(picture)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1e-3


@pytest.mark.parametrize("wrong", [np.zeros((4, 3)), np.zeros((3, 4, 5), np.uint8), np.uint8(3)])
def test_other_than_bytes_with_three_channels_is_refused(wrong):
    with pytest.raises(ShapeMismatch, match="uint8"):
        name_colours(wrong)
