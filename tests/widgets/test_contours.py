"""Contours of display/static, run by node (once): closed lines around exactly what exceeds the level."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from unitlens.display import pixels

RNG = np.random.default_rng(11)
CASES: dict[str, dict[str, Any]] = {}


def case(name: str, act: str, given: Any = None) -> str:
    """Something for node to compute: an expression of `m`, the module, and `given`. Returns the name of the answer."""
    assert name not in CASES
    CASES[name] = {"name": name, "file": "contour.js", "act": act, "given": given}
    return name


@pytest.fixture(scope="module")
def answers(run_node: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_node(CASES.values())


GEOMETRIES = [None, [9.0, 2.0, 8.0, 5.5], [4.0, 0.0, 16.0, -3.0]]
SHAPES = [(5, 3), (1, 4), (7, 1), (1, 1), (14, 14)]
AXES = """(() => {
  const { cells: [h, w], size: [tall, wide], line } = given;
  const down = m.axis(h, given.rows, tall, line && line.slice(0, 2));
  const across = m.axis(w, given.columns, wide, line && line.slice(2));
  return m.refined(given.map, given.from, given.cells, down, across);
})()"""
CONTOURS = """m.contours(
  Float32Array.from(given.field, (v) => (v === null ? NaN : v)), given.shape[0], given.shape[1], given.level,
)"""
FINE: dict[str, tuple] = {}
for (h, w), line in itertools.product(SHAPES, GEOMETRIES):
    values, size = RNG.normal(size=(h, w)), (40, 60)
    given = {
        "map": [0.0, *values.ravel().tolist()],
        "from": 1,
        "cells": [h, w],
        "rows": 9,
        "columns": 13,
        "size": size,
        "line": line,
    }
    FINE[case(f"fine {h}x{w} {line}", AXES, given)] = (values, size, line)


@pytest.mark.parametrize("name", FINE)
def test_a_finer_map_is_the_bilinear_one_of_python_from_edge_to_edge(name: str, answers: dict[str, Any]) -> None:
    values, size, line = FINE[name]
    got = np.array(answers[name]).reshape(9, 13)
    scale = line or (
        size[0] / values.shape[0],
        size[0] / values.shape[0] / 2 - 0.5,
        size[1] / values.shape[1],
        size[1] / values.shape[1] / 2 - 0.5,
    )
    rows, columns = (np.linspace(0, n, points) - 0.5 for n, points in zip(size, (9, 13)))
    down = np.array([np.interp((rows - scale[1]) / scale[0], range(values.shape[0]), column) for column in values.T]).T
    across = np.array([np.interp((columns - scale[3]) / scale[2], range(values.shape[1]), row) for row in down])
    np.testing.assert_allclose(got, across, atol=1e-5)
    if line is None or line[1] > 0:  # and that is the picture's, where its pixels have their centres
        up = pixels.upsample(values[None], (40, 60), image_size=size, geometry=line and tuple(line))[0]
        inner = np.array([[up[int(y), int(x)] for x in (columns + 0.5)[1:-1]] for y in (rows + 0.5)[1:-1]])
        assert np.abs(inner - across[1:-1, 1:-1]).max() < np.abs(np.diff(up, axis=0)).max(initial=0.01) + np.abs(
            np.diff(up, axis=1)
        ).max(initial=0.01)


def smooth(rows: int, columns: int, seed: int) -> np.ndarray:
    """A random field of a few hills."""
    coarse = np.random.default_rng(seed).normal(size=(1, 6, 7))
    return pixels.upsample(coarse, (rows, columns))[0]


def disc(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return 10 - np.hypot(y - rows / 2, x - columns / 2)


ring = -np.abs(disc(40, 40) - 1) + 5.0
FIELDS = {
    "disc": (disc(40, 48), 2.0), "half a disc at the border": (disc(40, 40)[20:], 2.0), "a ring": (ring, 0.5),
    "everything": (np.ones((5, 9)), 0.5), "nothing": (np.zeros((5, 9)), 0.5),
    "at the level": (np.full((5, 9), 0.5), 0.5),
    "one saddle": (np.array([[1.0, 0.0], [0.0, 1.0]]), 0.5), "other saddle": (np.array([[0.0, 1.0], [1.0, 0.0]]), 0.5),
    "one point": (np.pad([[1.0]], 3), 0.25), "a corner": (np.pad([[1.0]], ((0, 3), (0, 3))), 0.25),
    "chessboard": (np.indices((8, 9)).sum(0) % 2.0, 0.5), "not a number": (np.full((4, 4), np.nan), 0.5),
    **{f"hills {seed} at {level}": (smooth(36, 48, seed), level) for seed in range(6) for level in (-0.4, 0.0, 0.7)},
}  # fmt: skip
for name, (field, level) in FIELDS.items():
    values = [None if np.isnan(v) else v for v in field.ravel().tolist()]
    case(f"contour {name}", CONTOURS, {"field": values, "shape": field.shape, "level": level})


def lines_of(answers: dict[str, Any], name: str) -> list[np.ndarray]:
    return [np.array(line).reshape(-1, 2) for line in answers[f"contour {name}"]]


def area(line: np.ndarray) -> float:
    """Shoelace: positive where the inside is on the right of a line that goes down as y grows."""
    x, y = line.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def covered(lines: list[np.ndarray], y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Which points lie inside an odd number of lines."""
    inside = np.zeros(y.shape, bool)
    for line in lines:
        for (xa, ya), (xb, yb) in zip(line, np.roll(line, -1, axis=0)):
            if ya != yb:
                between = (ya > y) != (yb > y)
                inside ^= between & (x < xa + (y - ya) / (yb - ya) * (xb - xa))
    return inside


@pytest.mark.parametrize("name", FIELDS)
def test_lines_are_closed_and_hold_exactly_what_exceeds_the_level(name: str, answers: dict[str, Any]) -> None:
    field, level = FIELDS[name]
    lines = lines_of(answers, name)
    for line in lines:
        assert np.hypot(*(line - np.roll(line, 1, axis=0)).T).max() <= math.sqrt(2) + 1e-6
        assert line.min() >= 0 and (line.max(0) <= np.array(field.shape[::-1]) - 1).all()
    inner = np.s_[1:-1, 1:-1]  # on the border itself lines run through the points
    y, x = np.mgrid[: field.shape[0], : field.shape[1]].astype(float)
    above = field > level
    clear = ~(np.abs(field - level)[inner] < 0.01)  # not where a line passes next to the point
    np.testing.assert_array_equal(covered(lines, y + 1e-4, x + 1e-4)[inner][clear], above[inner][clear])
    assert bool(lines) == bool(above.any())


def test_areas_are_those_of_the_shapes(answers: dict[str, Any]) -> None:
    assert area(lines_of(answers, "disc")[0]) == pytest.approx(math.pi * 8**2, rel=0.01)
    half = lines_of(answers, "half a disc at the border")
    assert len(half) == 1 and area(half[0]) == pytest.approx(math.pi * 8**2 / 2, rel=0.02)
    assert area(lines_of(answers, "everything")[0]) == 4 * 8
    outer, hole = sorted((area(line) for line in lines_of(answers, "a ring")), reverse=True)
    assert outer == pytest.approx(math.pi * 13.5**2, rel=0.01) and hole == pytest.approx(-math.pi * 4.5**2, rel=0.03)


@pytest.mark.parametrize("seed", range(6))
def test_areas_agree_with_the_mask_on_a_fine_grid(seed: int, answers: dict[str, Any]) -> None:
    field = smooth(36, 48, seed)
    for level in (-0.4, 0.0, 0.7):
        fine = np.array([np.interp(np.linspace(0, 47, 941), range(48), row) for row in field])
        fine = np.array([np.interp(np.linspace(0, 35, 701), range(36), column) for column in fine.T]).T
        enclosed = sum(area(line) for line in lines_of(answers, f"hills {seed} at {level}"))
        assert enclosed == pytest.approx(float((fine > level).mean()) * 35 * 47, abs=0.006 * 35 * 47)


@pytest.mark.parametrize("name", ["one saddle", "other saddle"])
def test_two_corners_that_face_each_other_are_kept_apart(name: str, answers: dict[str, Any]) -> None:
    lines = lines_of(answers, name)
    assert len(lines) == 2 and all(area(line) > 0 for line in lines)
