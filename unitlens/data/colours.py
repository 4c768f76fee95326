"""Colour names: which of the eleven basic colour terms every pixel would be called."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from unitlens.errors import ShapeMismatch

#: The eleven basic colour terms of Berlin and Kay (1969), in the order of the indices `name_colours` gives.
COLOUR_NAMES = ("black", "blue", "brown", "grey", "green", "orange", "pink", "purple", "red", "white", "yellow")

#: sRGB examples of every name that has a hue: the focal colour, then its dark, light, dull and neighbouring forms.
PROTOTYPES = {
    "blue": (
        "0000ff 0057d9 1f75fe 000060 00004b 0a2a66 191970 4169e1 5b84c4 6495ed 87b5e6 a6d0f5 8fa8d8 00bfff 00a0c8 "
        "7fd8f0 46708c 2f4f7f 5c7a99 7fa5bd 5a5aff 4040c0 c0e0fa 007ba7 00d4ff 306080 8ea4c0 b4c4e4 000090 0000c8 "
        "2020a8 28286c 10103c 3838e8 8080ff 7070e0 a4a8ff c8ccff 5858a8 8488c8 404078 d4dcf8 000030 0020d0 0038d0 "
        "0020a0 001880 0018e8 0030ff 0000e0 0000b0 000078 2828ff 2020e0 2c2cc0 1818b0 181890 20209a 4848ff 6464ff "
        "0a0aff"
    ),
    "brown": (
        "8b4513 6b3f1d 4a2c14 301a0c 5c4020 80552b 9c6b3f a0703c 7a4a34 5e3428 a67b5b 8f7355 b08a60 3c2a18 6e5a3a "
        "52321f 905a10 7b3f00 8c5a4a ba8c63 b5895a 6f5449 4d3a2d 85663c"
    ),
    "green": (
        "00ff00 00a000 228b22 006400 003c00 0f3d1e 50c850 90ee90 c0f0c0 7cfc00 a8e060 556b2f 6b8e23 8fbc8f 2e8b57 "
        "00a878 00c896 007060 4a7a4a 7aa068 3c5a28 9acd32 bfe58a 66e0b0 98f0d0 20b2a0 00e0b8 5f7f6f 9cb88a 2b3d20 "
        "86944a 00584e b2ec30 123010 a0b070"
    ),
    "orange": (
        "ff8000 ff9020 ffa500 f07010 e87820 d86a10 ff7f3f ff9a56 f4a44c ffb060 ff6a10 e8954c d98032 f58a2a ffb347 "
        "cf7420 ffcc99 ffc080 f0b488 ffa878"
    ),
    "pink": (
        "ff69b4 ff90b8 ffc0cb ffb0d0 ff1493 f06ca0 e75480 ffa0a8 f5c8d8 e090b0 d86a98 f080a0 ff80c0 f8a0c8 fad0dc "
        "e8a8b8 ff50a0 c8788c ff6090 ee8298 d89aa8"
    ),
    "purple": (
        "800080 9400d3 6a0dad 4b0082 30004c 3c1050 8a2be2 a040c0 b060d8 c8a0e8 d8c0f0 9370db 7850a8 5a3a78 ba55d3 "
        "cc00cc e8e0fa e4d4f8 5800c0 3c1888 6a4cc8 8f68e8 b090f0 6000ff 5c00f0 4400c0 340090 6c30ff 8458ff 240060 "
        "9a80ff 5020b0 9b6bb0 aa80c0 b8a0d0 70308c 8b4a8b 602060 ff40ff d060d8 dda0dd 400050 6a4a7a 2a0838 180024 "
        "c71bb0"
    ),
    "red": (
        "ff0000 e01010 c80000 a00000 800000 600000 440404 dc143c b22222 c03028 f03020 d02840 e8403c b01030 8a1020 "
        "ff3030 a83232 700c18 cc4444 ff2850 f04848 d05050 300000"
    ),
    "yellow": (
        "ffff00 ffe800 ffd700 f0d020 ffff60 ffff90 fff8a8 e8d040 d8c020 f0e050 e0e000 c8b820 f5e07a e8d890 fffacd "
        "d0c860 ffdd40 e8b820 b8ac10 ffe690 d4b830 d8cc78"
    ),
}

#: Below this CIELAB chroma a colour has no hue name: in the middle, for dark and for light colours.
GREY_CHROMA, DARK_CHROMA, LIGHT_CHROMA = 13.5, 14.0, 8.0
#: CIELAB lightness up to which a colour without hue is black, and from which it is white.
BLACK_LIGHTNESS, WHITE_LIGHTNESS = 22.0, 85.0


def lightness_a_b(rgb: np.ndarray) -> np.ndarray:
    """CIELAB coordinates of sRGB colours (CIE 15, white D65, 2 degree observer).

    rgb: (..., 3), 0..255. Gives float64 (..., 3): L in 0..100, a, b.

    >>> lightness_a_b(np.array([255, 255, 255])).round(1) + 0.0
    array([100.,   0.,   0.])
    """
    share = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    # a sum over a fixed axis order and not a matrix product: BLAS libraries may add in another order
    xyz = (linear[..., None, :] * to_xyz).sum(-1) / to_xyz.sum(-1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def _whole(lab: np.ndarray) -> np.ndarray:
    """CIELAB in whole 1/64: distances are then exact, and the last bits of a machine's cube root cannot move a name."""
    return np.rint(lab * 64).astype(np.int64)


@lru_cache(maxsize=1)
def colour_table() -> np.ndarray:
    """The name of every colour, eight levels of red, green and blue at a time: uint8 (32, 32, 32), read-only.

    A cell is named by its centre: black, grey or white where the chroma is low, else the name of the nearest prototype
    in CIELAB. The thresholds and prototypes above are unitlens' own; they stand in for the table that van de Weijer
    et al. (2009) learned from pictures, which network dissection uses (paper Methods), and do not reproduce it.

    >>> table = colour_table()
    >>> COLOUR_NAMES[table[31, 0, 0]], COLOUR_NAMES[table[16, 16, 16]]
    ('red', 'grey')
    """
    level = np.arange(32) * 8 + 3.5
    cells = np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _whole(lightness_a_b(cells))
    pairs = [(name, code) for name, codes in PROTOTYPES.items() for code in codes.split()]
    prototypes = _whole(lightness_a_b(np.array([list(bytes.fromhex(code)) for _, code in pairs])))
    owner = np.array([COLOUR_NAMES.index(name) for name, _ in pairs], dtype=np.uint8)
    nearest = np.full(len(cells), -1)
    least = np.full(len(cells), np.iinfo(np.int64).max)
    for i, prototype in enumerate(prototypes):  # some two hundred of them; all the cells at once
        distance = ((lab - prototype) ** 2).sum(-1)
        nearest, least = np.where(distance < least, i, nearest), np.minimum(distance, least)
    table = np.where(_has_hue(lab), owner[nearest], _without_hue(lab[:, 0])).astype(np.uint8).reshape(32, 32, 32)
    table.flags.writeable = False
    return table


def _has_hue(lab: np.ndarray) -> np.ndarray:
    """Whether the chroma is above the threshold for its lightness (straight lines between dark, middle and light)."""
    lightness = [0, round(BLACK_LIGHTNESS * 64), 50 * 64, round(WHITE_LIGHTNESS * 64), 6400]
    chroma = [DARK_CHROMA * 64, DARK_CHROMA * 64, GREY_CHROMA * 64, LIGHT_CHROMA * 64, LIGHT_CHROMA * 64]
    least = np.rint(np.interp(lab[:, 0], lightness, chroma)).astype(np.int64)
    return (lab[:, 1:] ** 2).sum(-1) > least**2


def _without_hue(lightness: np.ndarray) -> np.ndarray:
    """Black, grey or white by lightness in 1/64."""
    black, grey, white = (COLOUR_NAMES.index(name) for name in ("black", "grey", "white"))
    dark, light = lightness <= BLACK_LIGHTNESS * 64, lightness >= WHITE_LIGHTNESS * 64
    return np.where(dark, black, np.where(light, white, grey))


def name_colours(rgb: np.ndarray) -> np.ndarray:
    """The basic colour term of every pixel, as a position in `COLOUR_NAMES`: uint8 (...).

    rgb: uint8 (..., 3), sRGB 0..255.

    The names come from unitlens' own 32 x 32 x 32 table (see `colour_table`), the same on every machine.

    Raises ShapeMismatch for anything but uint8 with three channels last.

    >>> pixels = np.array([[255, 0, 0], [20, 80, 200], [90, 60, 30]], dtype=np.uint8)
    >>> [COLOUR_NAMES[i] for i in name_colours(pixels)]
    ['red', 'blue', 'brown']
    """
    rgb = np.asarray(rgb)
    if rgb.dtype != np.uint8 or rgb.ndim < 1 or rgb.shape[-1] != 3:
        raise ShapeMismatch(
            f"rgb: expected uint8 (..., 3), got {rgb.dtype} {rgb.shape}. "
            "For images in [0, 1]: (images * 255).round().astype('uint8'), channels last."
        )
    cell = rgb >> 3
    index = cell[..., 0].astype(np.uint16) << 10 | cell[..., 1].astype(np.uint16) << 5 | cell[..., 2]
    return np.take(colour_table().reshape(-1), index)
