"""Theme: every colour can be read, and told from its neighbours by every reader."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from unitlens.display import regions, theme

CATEGORIES = ("object", "part", "material", "texture", "colour")
#: Severe deuteranopia and protanopia on linear RGB (Machado, Oliveira, Fernandes 2009).
DEFICIENCIES = {
    "none": np.eye(3),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def lab(colour: str, view: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of "#rrggbb" as a reader with that vision sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(view @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("category", [*CATEGORIES, "other"])
def test_text_in_a_category_colour_can_be_read(category: str, mode: str) -> None:
    shade = theme.shade(category, mode)
    assert theme.contrast(shade.ink, shade.tint) >= 4.5
    assert theme.contrast(shade.ink, theme.page_colour("surface", mode)) >= 4.5
    assert theme.contrast(shade.on, shade.fill) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("category", [*CATEGORIES, "other"])
def test_every_ground_of_a_page_carries_category_text_and_page_text(category: str, mode: str) -> None:
    shade = theme.shade(category, mode)
    for ground in ("surface", "raised"):  # a row is raised under the mouse
        assert theme.contrast(shade.ink, theme.page_colour(ground, mode)) >= 4.5
    for text in ("ink", "muted"):
        assert theme.contrast(theme.page_colour(text, mode), shade.tint) >= 4.5


def test_every_text_has_a_size_of_the_one_scale() -> None:
    css = theme.stylesheet()
    scale = dict(re.findall(r"--ul-text-(\w+):(\d+)px;", css))
    sizes = list(map(int, scale.values()))
    assert sizes == sorted(set(sizes)) and min(sizes) >= 11
    for name in ("theme.css", "report.css", "browser.css"):
        text = (theme.STATIC / name).read_text()
        assert re.findall(r"font-size:(?!var\(--ul-text-\w+\))[^;}]*", text) == []
        assert set(re.findall(r"var\(--ul-text-(\w+)\)", text)) <= scale.keys()


def test_every_variable_that_is_read_is_set() -> None:
    css = theme.stylesheet() + (theme.STATIC / "report.css").read_text()
    assert set(re.findall(r"var\((--ul-[\w-]+)\)", css)) <= set(re.findall(r"(--ul-[\w-]+):", css))


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), list(itertools.product(["ink", "muted", "accent"], ["surface", "raised"])))
def test_page_text_can_be_read(text: str, ground: str, mode: str) -> None:
    assert theme.contrast(theme.page_colour(text, mode), theme.page_colour(ground, mode)) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("vision", DEFICIENCIES)
def test_categories_are_told_apart_by_every_reader(vision: str, mode: str) -> None:
    seen = {c: lab(theme.shade(c, mode).fill, DEFICIENCIES[vision]) for c in CATEGORIES}
    nearest = min((float(np.linalg.norm(seen[a] - seen[b])), a, b) for a, b in itertools.combinations(CATEGORIES, 2))
    assert nearest[0] > 15, nearest


@pytest.mark.parametrize("vision", DEFICIENCIES)
def test_regions_of_a_picture_are_told_apart_by_every_reader(vision: str) -> None:
    seen = [lab(colour, DEFICIENCIES[vision]) for colour in regions.COLOURS]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) > 15


def test_every_rule_is_scoped_and_names_no_address() -> None:
    css = theme.stylesheet()
    assert "http" not in css
    assert "@import" not in css
    assert "url(" not in css
    rules = [part.split("}")[-1].strip() for part in css.split("{")[:-1]]
    loose = [
        rule
        for rule in rules
        if rule and not rule.startswith("@") and any(".unitlens" not in one for one in _selectors(rule))
    ]
    assert loose == []


def _selectors(rule: str) -> list[str]:
    """A rule's selectors: split at the commas outside brackets."""
    depth, parts = 0, [""]
    for letter in rule:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


@pytest.mark.parametrize(
    "sign",
    ["prefers-color-scheme:dark", '[data-jp-theme-light="false"] .unitlens', ".dark .unitlens",
     '[data-theme="dark"] .unitlens',
     "@media print", "prefers-contrast:more", "forced-colors:active", "--ul-focus:",
     "color-scheme:light", "color-scheme:dark"],
)  # fmt: skip
def test_the_stylesheet_knows_how_pages_say_their_colour(sign: str) -> None:
    assert sign in theme.stylesheet()
