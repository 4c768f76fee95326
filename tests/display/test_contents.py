"""Pages and charts of what edits do to generated pictures: the numbers are the result's, names are escaped."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from pages import Page
from PIL import Image

import unitlens as ul
from unitlens.data.concepts import Concept, Vocabulary
from unitlens.display.sheets import looks_of
from unitlens.display.vector import drawable
from unitlens.errors import OptionError
from unitlens.rich import view_modules
from unitlens.synthesis.content import ContentEffect, Example
from unitlens.synthesis.insertion import Insertions
from unitlens.synthesis.ranked import CausalUnits
from unitlens.synthesis.removal import RemovalCurve

WORDS = Vocabulary([("<b>tree</b>", "object"), ("sky & sea", "object"), ("door", "part"), ("never", "part")])
EVIL = "&lt;b&gt;tree&lt;/b&gt;"
N, P = 30, 200


@pytest.fixture(autouse=True, scope="module")
def displays() -> None:
    if "unitlens.display" not in view_modules:
        view_modules.append("unitlens.display")


def _jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.RandomState(seed).randint(0, 255, (16, 20, 3)).astype(np.uint8)).save(file, "JPEG")
    return file.getvalue()


def _example(index: int) -> Example:
    dice = np.random.RandomState(index)
    planes = [(dice.randint(0, 3, (16, 20)), 3 * dice.randint(0, 2, (16, 20))) for _ in "ab"]
    labels = [np.stack(pair).astype(np.int16) for pair in planes]
    return Example(index, _jpeg(index), _jpeg(index + 50), (labels[0], labels[1]))


@pytest.fixture
def effect() -> ContentEffect:
    dice = np.random.RandomState(0)
    before = dice.randint(10, 60, (N, 4))
    before[:, 3] = 0
    after = (before * [0.25, 1.2, 0.9, 1]).astype(int)
    both = np.minimum(before, after)
    moved = np.arange(25).reshape(5, 5)
    moved[:, 4] = 0
    return ContentEffect(
        WORDS, np.array([0, 0, 1, 1]), P, before, after, both, np.full((N, 2), 150), moved,
        "Ablate('layer4', 20 units)", concept=WORDS[0], examples=tuple(map(_example, range(5))),
        notes={"model": "SceneGenerator"},
    )  # fmt: skip


def test_the_page_of_an_effect(effect: ContentEffect) -> None:
    markup = effect._repr_html_()
    page = Page(markup)
    assert EVIL in markup and "<b>tree" not in markup
    gone = effect.removed()
    for words in (f"{100 * gone.value:.1f} %", f"{100 * gone.low:.1f} to {100 * gone.high:.1f}"):
        assert words in page.words
    assert "never" not in page.words and page.tags.count("img") == 4
    alts = [one["alt"] for one in page.attributes if "alt" in one]
    assert all(alts) and "5 generated pictures before" in alts[0] and "What the segmenter sees after" in alts[3]
    assert "1 more" not in page.words
    for change in (None, WORDS[3]):  # without a concept, and with one that is nowhere
        Page(dataclasses.replace(effect, concept=change, examples=())._repr_html_())


def test_the_strip_shows_the_pictures_and_the_labels(effect: ContentEffect) -> None:
    shown = effect.strip()
    assert Page(shown._repr_html_()).tags.count("img") == 4 and shown.text() == effect.text()
    looks = looks_of([labels[0] for one in effect.examples for labels in one.labels], WORDS[0], WORDS)
    assert list(looks) == [1, 2] and len(set(looks.values())) == 2
    none = dataclasses.replace(effect, examples=()).strip()
    assert "No pictures are kept" in none._repr_html_()


def test_the_chart_of_an_effect(effect: ContentEffect) -> None:
    figure = effect.chart(count=2)
    after = figure.data[1]
    changed = np.argsort(-np.abs((effect.after - effect.before).sum(0)))[:2]
    np.testing.assert_allclose(after.x, 100 * effect.after[:, changed].mean(0) / P)
    assert "&lt;b&gt;" in figure.layout.yaxis.ticktext[list(changed).index(0)]
    assert "<b>tree" in figure.layout.meta["alt"]
    assert drawable(figure)
    with pytest.raises(OptionError, match="kind: expected 'concepts'"):
        effect.chart("bars")


@pytest.fixture
def curve() -> RemovalCurve:
    dice = np.random.RandomState(1)
    before = dice.randint(20, 60, N)
    after = np.stack([before * 3 // 4, before // 4], 1)
    random = np.repeat(before[:, None, None], 2, 1).repeat(3, 2) - dice.randint(0, 3, (N, 2, 3))
    kept = np.full((N, 2), 140)
    return RemovalCurve(
        WORDS[0], "layer<4>", np.array([4, 20]), np.arange(20), P, before, after, after, kept, random,
        np.minimum(random, before[:, None, None]), kept[..., None].repeat(3, 2),
    )  # fmt: skip


def test_the_page_and_the_chart_of_a_curve(curve: RemovalCurve) -> None:
    markup = curve._repr_html_()
    page = Page(markup)
    assert EVIL in markup and "layer<4>" not in markup and "<svg" in markup
    assert f"{100 * curve.removed(1).value:.1f} %" in page.words
    figure = curve.chart()
    np.testing.assert_allclose(figure.data[1].y, [100 * curve.removed(i).value for i in (0, 1)])
    np.testing.assert_allclose(figure.data[3].y, [100 * curve.removed_at_random(i).value for i in (0, 1)])
    assert drawable(figure) and "20 units" in figure.layout.meta["alt"]
    with pytest.raises(OptionError, match="kind: expected 'curve'"):
        curve.chart("line")


@pytest.fixture
def inserted() -> Insertions:
    dice = np.random.RandomState(2)
    context = dice.randint(0, 3, (N, 1, 6)).astype(np.int16)
    change = np.where(context[:, 0] == 1, dice.randint(2, 9, (N, 6)), 0)
    return Insertions(
        WORDS[2], "layer4", np.arange(5), np.ones(1), WORDS, (2, 3), P, dice.randint(10, 20, N), change, context,
        {WORDS[0].name: (_example(1), (1, 2)), WORDS[1].name: (_example(2), (0, 0))},
    )  # fmt: skip


def test_the_page_and_the_charts_of_insertions(inserted: Insertions) -> None:
    markup = inserted._repr_html_()
    page = Page(markup)
    assert EVIL in markup and "<b>tree" not in markup and page.tags.count("img") == 2
    figure = inserted.chart()
    np.testing.assert_allclose(figure.data[0].x, [100 * inserted.effect(c).value for c in inserted.contexts()])
    assert drawable(figure) and inserted.contexts()[0] == WORDS[0]
    some = inserted.chart(names=["sky & sea"])
    np.testing.assert_allclose(some.data[0].x, [0])
    heat = inserted.chart("map")
    np.testing.assert_allclose(np.array(heat.data[0].z), inserted.change.mean(0).reshape(2, 3))
    with pytest.raises(OptionError, match="kind: expected 'contexts' or 'map'"):
        inserted.chart("bars")
    nothing = dataclasses.replace(inserted, context=np.zeros_like(inserted.context), examples={})
    assert "No context is seen" in Page(nothing._repr_html_()).words
    assert "No pictures are kept" in nothing.strip()._repr_html_()


def test_the_page_of_learnt_shares() -> None:
    alpha = np.linspace(0, 1, 30)
    found = CausalUnits(Concept("<i>x</i>"), "layer4", alpha, alpha - 0.5, alpha[::-1], np.zeros(3))
    markup = found._repr_html_()
    assert "&lt;i&gt;x" in markup and "<i>x" not in markup and "15 of 30 units of layer4" in Page(markup).words


def test_they_are_known_to_the_facade(effect: ContentEffect, curve: RemovalCurve, inserted: Insertions) -> None:
    results: tuple[Any, ...] = (effect, curve, inserted)
    for one, kind in zip(results, (ul.ContentEffect, ul.RemovalCurve, ul.Insertions), strict=True):
        assert isinstance(one, kind) and "\n" not in repr(one)
