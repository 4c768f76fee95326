"""Textures: brightness patterns in scene coordinates, so that they do not depend on the picture's size.

Every texture maps the coordinates of pixel centres, u to the right and v down in units of the picture's
height, to a factor of brightness around 1. All of them are whole-array numpy expressions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

Array = np.ndarray
ATLAS = 256


@lru_cache(maxsize=1)
def _atlas() -> Array:
    """White noise in -1..1, (ATLAS, ATLAS), the same everywhere."""
    return (np.random.RandomState(20).random_sample((ATLAS, ATLAS)) * 2 - 1).astype(np.float32)


def noise(u: Array, v: Array, across: float, down: float, shift: float = 0.0) -> Array:
    """Smooth noise in -1..1 with `across` x `down` lumps per picture height."""
    if u.strides[0] == 0 and v.strides[1] == 0:  # an upright grid: along one axis, then the other
        return _upright(u[0] * across + shift * 37.0, v[:, 0] * down + shift * 91.0)
    x, y = u * across + shift * 37.0, v * down + shift * 91.0
    left, top = np.floor(x), np.floor(y)
    fx, fy = _eased(x - left), _eased(y - top)
    i, j = left.astype(np.int32) % ATLAS, top.astype(np.int32) % ATLAS
    i1, j1 = (i + 1) % ATLAS, (j + 1) % ATLAS
    table = _atlas()
    upper = table[j, i] * (1 - fx) + table[j, i1] * fx
    lower = table[j1, i] * (1 - fx) + table[j1, i1] * fx
    return upper * (1 - fy) + lower * fy


def _upright(x: Array, y: Array) -> Array:
    """The same noise at all pairs of x (W,) and y (H,): (H, W), several times as fast."""
    left, top = np.floor(x), np.floor(y)
    fx, fy = _eased(x - left), _eased(y - top)[:, None]
    i, first = left.astype(np.int32) % ATLAS, int(top[0])
    rows = _atlas()[np.arange(first, int(top[-1]) + 2) % ATLAS]
    across = rows[:, i] * (1 - fx) + rows[:, (i + 1) % ATLAS] * fx
    j = top.astype(np.int32) - first
    return across[j] * (1 - fy) + across[j + 1] * fy


def _eased(share: Array) -> Array:
    return share * share * (3 - 2 * share)


def _lines(x: Array, period: float, width: float) -> Array:
    """1 on lines of the given width that come back every period, else 0."""
    return (np.mod(x, period) < width).astype(np.float32)


def _courses(u: Array, v: Array, length: float, height: float, joint: float) -> Array:
    """Joints (1) of a wall of bricks with every other course shifted by half a brick."""
    shifted = u + length / 2 * np.mod(np.floor(v / height), 2)
    return np.maximum(_lines(v, height, joint), _lines(shifted, length, joint))


def grain(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.05 * noise(u, v, 90, 90, s)


def cloudy(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.10 * noise(u, v, 5, 5, s) + 0.04 * noise(u, v, 14, 14, s + 1)


def grass(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.14 * noise(u, v, 70, 28, s) + 0.10 * noise(u, v, 12, 9, s + 1)


def leaves(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.22 * noise(u, v, 44, 44, s) + 0.12 * noise(u, v, 15, 15, s + 1)


def needles(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.20 * noise(u + v, v - u, 50, 22, s)


def wood(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.14 * noise(u, v, 6, 75, s)


def bark(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.20 * noise(u, v, 90, 12, s)


def planks(u: Array, v: Array, s: float) -> Array:
    return wood(u, v, s) * (1 - 0.30 * _lines(v + s, 0.045, 0.008))


def boards(u: Array, v: Array, s: float) -> Array:
    return bark(u, v, s) * (1 - 0.30 * _lines(u + s, 0.05, 0.008))


def brick(u: Array, v: Array, s: float) -> Array:
    return grain(u, v, s) * (1 - 0.24 * _courses(u + s, v, 0.05, 0.024, 0.006))


def stone(u: Array, v: Array, s: float) -> Array:
    warp = 0.006 * noise(u, v, 20, 20, s)
    return (1 + 0.10 * noise(u, v, 24, 24, s)) * (1 - 0.22 * _courses(u + warp, v + warp, 0.085, 0.045, 0.008))


def roof_tiles(u: Array, v: Array, s: float) -> Array:
    return (1 - 0.26 * _lines(v, 0.026, 0.008)) * (1 - 0.10 * _lines(u + s, 0.03, 0.008)) * grain(u, v, s)


def floor_tiles(u: Array, v: Array, s: float) -> Array:
    return (1 - 0.20 * np.maximum(_lines(u + s, 0.09, 0.007), _lines(v, 0.05, 0.006))) * grain(u, v, s)


def wall_tiles(u: Array, v: Array, s: float) -> Array:
    return 1 - 0.14 * np.maximum(_lines(u + s, 0.06, 0.006), _lines(v, 0.06, 0.006))


def checks(u: Array, v: Array, s: float) -> Array:
    return 1 - 0.28 * np.mod(np.floor((u + s) / 0.08) + np.floor(v / 0.05), 2)


def water(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.12 * noise(u, v, 9, 60, s) + 0.07 * noise(u, v, 4, 22, s + 1)


def sand(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.07 * noise(u, v, 110, 110, s) + 0.05 * noise(u, v, 7, 30, s + 1)


def snow(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.03 * noise(u, v, 60, 60, s) + 0.035 * noise(u, v, 6, 12, s + 1)


def asphalt(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.09 * noise(u, v, 120, 120, s)


def furrows(u: Array, v: Array, s: float) -> Array:
    """Rows of a field that meet in a vanishing point above the picture's middle."""
    rows = np.mod((u - 0.5 + 0.4 * np.sin(s)) / np.maximum(v - 0.30, 0.05) * 6 + s, 1.0)
    return 1 - 0.26 * (rows < 0.32) + 0.08 * noise(u, v, 80, 80, s)


def rock(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.16 * noise(u, v, 18, 30, s) + 0.10 * noise(u + v, v, 50, 40, s + 1)


def weave(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.06 * noise(u, v, 110, 40, s) + 0.06 * noise(u, v, 40, 110, s + 1)


def stripes(u: Array, v: Array, s: float) -> Array:
    return 1 - 0.25 * _lines(u + s, 0.035, 0.0175)


def folds(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.16 * np.sin((u + s) * 190 + 2 * noise(u, v, 8, 3, s))


def brushed(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.04 * noise(u, v, 120, 5, s) + 0.05 * np.sin(u * 30 + s)


def glass(u: Array, v: Array, s: float) -> Array:
    return 1 + 0.20 * (np.mod((u + v) * 9 + s, 1.0) < 0.16)


TEXTURES: dict[str, Callable[[Array, Array, float], Array]] = {
    f.__name__: f
    for f in (
        grain, cloudy, grass, leaves, needles, wood, bark, planks, boards, brick, stone, roof_tiles, floor_tiles,
        wall_tiles, checks, water, sand, snow, asphalt, furrows, rock, weave, stripes, folds, brushed, glass,
    )
}  # fmt: skip
