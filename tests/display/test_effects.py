"""Effects, importances and curves on a page: the numbers are those of the result, and no page breaks."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Callable

import numpy as np
import pytest
from pages import Page

import unitlens as ul
from unitlens.display.amounts import between, points, shift, wrapped_title
from unitlens.display.beside import beside
from unitlens.display.vector import drawable
from unitlens.errors import OptionError, RecipeMismatch
from unitlens.intervene.curve import KINDS, AblationCurve
from unitlens.intervene.effect import Effect
from unitlens.intervene.importance import Importance
from unitlens.rich import view_modules

NAMES = ("<b>beach</b>", "lake & sea", "park", "never seen")
EVIL = html.escape(NAMES[0])


@pytest.fixture(autouse=True, scope="module")
def displays() -> None:
    if "unitlens.display" not in view_modules:
        view_modules.append("unitlens.display")


def cells(markup: str) -> list[list[str]]:
    """The words of every table row of a page."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", markup)
    inside = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in row] for row in inside]


def effect_of(before: np.ndarray, after: np.ndarray, true: np.ndarray, names: tuple[str, ...] = NAMES) -> Effect:
    sure = np.linspace(-0.5, -0.1, len(true))
    return Effect(
        names, np.arange(len(true)), true, before, after, np.zeros(len(true)), np.zeros(len(true)), sure, 2 * sure,
        "Ablate('<conv>', units 1, 2)", {}, {"skipped": 2},
    )  # fmt: skip


@pytest.fixture(scope="module")
def effect() -> Effect:
    """60 images of three classes; after the edit a third of the beaches are taken for lakes."""
    true = np.arange(60) % 3
    before, after = true.copy(), true.copy()
    before[[1, 7]] = 2
    after[np.flatnonzero(true == 0)[:7]] = 1
    after[[1]] = 2
    return effect_of(before, after, true)


def importance_of(seed: int, names: tuple[str, ...] = NAMES, **changes: object) -> Importance:
    rng = np.random.default_rng(seed)
    true = np.arange(40) % 3
    said = np.where(rng.random((40, 6)) < 0.3, rng.integers(0, 3, (40, 6)), true[:, None])
    said[true == 0, 4] = 1  # without unit 4 no beach is recognised
    log_drop = rng.normal(0, 0.1, (6, len(names)))
    log_drop[:, 3:] = np.nan
    made = Importance("<conv>", names, "ablation", log_drop, true, true.copy(), said, None, {}, {"images": 40})
    made = dataclasses.replace(made, log_error=np.abs(log_drop) / 3)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def importance() -> Importance:
    return importance_of(0, held_out=importance_of(1))


@pytest.fixture(scope="module")
def gradient(importance: Importance) -> Importance:
    return Importance("<conv>", NAMES, "gradient", importance.log_drop * 1.5 + 0.01)


def curve_of(counts: list[int], names: tuple[str, ...] = NAMES[:2]) -> AblationCurve:
    rng = np.random.default_rng(2)
    value = rng.uniform(0.5, 0.95, (4, len(counts), len(names)))
    draws = value + rng.normal(0, 0.02, (50, *value.shape))
    intact = np.full(len(names), 0.96)
    intact_draws = intact + rng.normal(0, 0.01, (50, len(names)))
    return AblationCurve(
        "<conv>", names, counts[-1], np.array(counts), value, draws, intact, intact_draws, "importance"
    )


@pytest.fixture(scope="module")
def curve() -> AblationCurve:
    return curve_of([1, 2, 5, 20, 64])


def minus(words: str) -> str:
    return words.replace("-", "−")


def seen(result: object) -> str:
    return re.sub(r"\s+", " ", Page(result._repr_html_()).words)  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ all of them


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> object:
    return request.getfixturevalue(request.param)


ALL = pytest.mark.parametrize("shown", ["effect", "importance", "gradient", "curve"], indirect=True)


@ALL
def test_a_page_is_harmless_small_and_its_tables_are_told(shown) -> None:
    markup = shown._repr_html_()
    page = Page(markup)
    assert page.tags.count("style") == 1
    assert "script" not in page.tags
    assert "<b>beach" not in markup
    assert "nan" not in re.sub(r"<style>.*?</style>", "", markup, flags=re.DOTALL).lower().split()
    assert len(markup) < 80_000
    for tag in ("table", "caption"):
        assert page.tags.count(tag) >= 1
    for row in re.findall(r"<tbody>(.*?)</tbody>", markup):
        assert row.count("<tr") == row.count('<th scope="row"')
    for head in re.findall(r"<thead>(.*?)</thead>", markup):
        assert head.count("<th") == head.count('scope="col"')
    regions = [a for a in page.attributes if a.get("role") == "region"]
    assert all(a["aria-label"] and a["tabindex"] == "0" for a in regions)
    assert len(regions) == page.tags.count("table")


CHARTS: dict[str, tuple[str, Callable]] = {
    "effect": ("effect", lambda e: e.chart()),
    "recall": ("effect", lambda e: e.chart(measure="recall", count=1)),
    "class": ("importance", lambda i: i.chart(NAMES[0])),
    "class, gradient": ("gradient", lambda i: i.chart(NAMES[0])),
    "map": ("importance", lambda i: i.chart()),
    "map, gradient": ("gradient", lambda i: i.chart()),
    "compare": ("importance", lambda i: i.compare(i.held_out)),
    "curve": ("curve", lambda c: c.chart()),
    "curve of a class": ("curve", lambda c: c.chart(NAMES[0])),
}


@pytest.mark.parametrize("name", list(CHARTS))
def test_every_chart_is_described_safe_and_has_its_drawing(name: str, request: pytest.FixtureRequest) -> None:
    fixture, draw = CHARTS[name]
    figure = draw(request.getfixturevalue(fixture))
    assert drawable(figure)
    svg = figure._repr_mimebundle_()["image/svg+xml"]
    assert "nan" not in svg.lower().replace("nance", "")
    assert "<b>" not in svg
    assert len(svg) < 150_000
    assert figure.layout.title.text
    assert len(figure.layout.meta["alt"]) > len(figure.layout.title.text)
    assert "nan" not in figure.layout.meta["alt"].lower()
    for trace in figure.data:
        texts = [word for kind in (trace.text, trace.customdata) if kind is not None for word in kind]
        for words in (trace.name or "", *map(str, texts)):
            assert "<b>" not in words


# ------------------------------------------------------------------------------------------------ Effect


def test_the_headline_and_the_table_of_an_effect_are_its_numbers(effect: Effect) -> None:
    words, frame = seen(effect), effect.frame().set_index("class")
    assert f"named rightly {100 * effect.top1[0]:.1f} % → {100 * effect.top1[1]:.1f} %" in words
    mean, low, high = effect.mean_change()
    assert minus(f"balanced accuracy {100 * mean:+.1f} points (95 %: {100 * low:+.1f} to {100 * high:+.1f})") in words
    assert "60 images of 3 classes, 2 more images left out" in words
    rows = {html.unescape(row[0]): row for row in cells(effect._repr_html_())[1:4]}
    assert [*rows] == [NAMES[c] for c in effect.most_changed() if effect.change()[c]]
    for name, row in rows.items():
        one = frame.loc[name]
        assert row[1] == minus(f"{100 * one['balanced_accuracy_change']:+.1f}")
        assert row[3] == points(one["balanced_accuracy_low"]) + " to " + points(one["balanced_accuracy_high"])
        pair = f"{100 * one['balanced_accuracy']:.1f} to  → {100 * one['balanced_accuracy_after']:.1f}"
        assert row[4] == pair
        assert row[5] == f"{100 * one['recall']:.1f} to  → {100 * one['recall_after']:.1f}"
        assert row[-1] == str(int(one["images"]))
    assert [EVIL, html.escape(NAMES[1]), "7"] in cells(effect._repr_html_())


def test_the_flips_are_counted_by_kind(effect: Effect) -> None:
    before, after, true = effect.before, effect.after, effect.true
    lost, won = ((before == true) & (after != true)).sum(), ((before != true) & (after == true)).sum()
    many = (before != after).sum()
    said = f"{many} images ({100 * many / 60:.1f} %) are answered differently: {lost} rightly before, {won} rightly"
    assert said in seen(effect)


def test_an_effect_that_changes_nothing_says_so(effect: Effect) -> None:
    same = dataclasses.replace(effect, after=effect.before)
    assert "Every image is answered as before." in seen(same)
    assert "<table" not in same._repr_html_()
    assert "changes by 0.0 points" in same.chart().layout.title.text


@pytest.mark.parametrize("names", [NAMES, NAMES[:1]])
def test_one_image_has_dashes_in_place_of_numbers(names: tuple[str, ...]) -> None:
    said = np.array([len(names) - 1])
    one = effect_of(np.array([0]), said, np.array([0]), names)
    assert "nan" not in seen(one)
    assert "–" in seen(one)
    assert one.text()
    assert drawable(one.chart())
    assert "nan" not in one.chart().layout.meta["alt"]


def test_the_dots_are_before_and_after_with_the_interval_of_the_change(effect: Effect) -> None:
    figure = effect.chart(measure="recall")
    traces = {trace.name.split(",")[0]: trace for trace in figure.data}
    order = np.argsort(-np.abs(effect.change("recall")[:3]), kind="stable")
    assert [html.unescape(word) for word in figure.layout.yaxis.ticktext] == [NAMES[c] for c in order]
    for key, one in zip(("before", "after"), effect.tallies, strict=True):
        assert np.allclose(traces[key].x, 100 * one.recall[order])
    low, high = effect.interval("recall")
    before, after = (100 * one.recall[order] for one in effect.tallies)
    bars = traces["after"].error_x
    assert np.allclose(after + bars.array, np.maximum(np.minimum(before + 100 * high[order], 100), after))
    assert np.allclose(after - bars.arrayminus, np.minimum(before + 100 * low[order], after))
    assert len(effect.chart(count=1).layout.yaxis.ticktext) == 1
    assert "(1 of 3 classes)" in effect.chart(count=1).layout.title.text


def test_wrong_options_of_an_effect_s_chart_are_refused(effect: Effect) -> None:
    with pytest.raises(OptionError, match="kind: expected 'classes', got 'pie'"):
        effect.chart("pie")
    with pytest.raises(OptionError, match="measure: expected one of"):
        effect.chart(measure="luck")
    with pytest.raises(OptionError, match="count: expected"):
        effect.chart(count=0)


def test_many_classes_stay_a_small_page() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"class {i}" for i in range(400))
    true = rng.integers(0, 400, 800)
    made = effect_of(true, rng.integers(0, 400, 800), true, names)
    assert len(made._repr_html_()) < 60_000
    assert "effect.frame() has every class" in seen(made)


# ------------------------------------------------------------------------------------------------ Importance


def test_the_table_of_an_importance_has_its_units_and_drops(importance: Importance) -> None:
    rows = cells(importance._repr_html_())[1:]
    assert [html.unescape(row[0]) for row in rows] == list(importance.ranked)
    for row, name in zip(rows, importance.ranked, strict=True):
        at = importance.number(name)
        for cell, unit in zip(row[1:], importance.top(name), strict=True):
            falls = [points(-one.fall[unit, at]) for one in (importance, importance.held_out)]
            drop = points(-importance.drop[unit, at])
            assert cell == f"unit {unit} {falls[0]} %held out {falls[1]} % · accuracy {drop}"
    words = seen(importance)
    assert "1 class has no images, so no units are ranked for it." in words
    assert f"on held-out images: {minus(f'{importance.agreement(importance.held_out):+.2f}')}" in words


def test_a_gradient_importance_says_that_it_is_an_estimate(gradient: Importance) -> None:
    assert "Estimated from gradients" in seen(gradient)
    first = gradient.top(NAMES[0], 1)[0]
    assert f"unit {first} {points(-gradient.fall[first, 0])} %" in seen(gradient)


@pytest.mark.parametrize("measure", ["probability", "balanced accuracy"])
def test_the_bars_of_a_class_are_its_losses_with_their_intervals(importance: Importance, measure: str) -> None:
    figure = importance.chart(NAMES[0], count=5, measure=measure)
    units = importance.top(NAMES[0], 5)
    for trace, one in zip(figure.data, (importance, importance.held_out), strict=True):
        low, high = one.interval(NAMES[0]) if measure == "balanced accuracy" else one.fall_interval(NAMES[0])
        table = one.drop if measure == "balanced accuracy" else one.fall
        assert np.allclose(trace.y, 100 * table[units, 0])
        assert np.allclose(trace.y + trace.error_y.array, np.fmax(100 * high[units], trace.y))
        assert np.allclose(trace.y - trace.error_y.arrayminus, np.fmin(100 * low[units], trace.y))
    assert [trace.marker.pattern.shape for trace in figure.data] == [None, "/"]
    assert list(figure.layout.xaxis.ticktext) == [str(u) for u in units]
    assert not np.any(importance_without_errors(importance).chart(NAMES[0]).data[0].error_y.array)


def importance_without_errors(importance: Importance) -> Importance:
    return dataclasses.replace(importance, log_error=None, held_out=None)


@pytest.mark.parametrize("measure", ["probability", "balanced accuracy"])
def test_the_fields_of_the_map_hold_every_loss_that_counts(importance: Importance, measure: str) -> None:
    figure = importance.chart(count=2, measure=measure)
    units = [int(word) for word in figure.layout.yaxis.ticktext]
    assert sorted(units) == np.flatnonzero(importance.matters(2).any(1)).tolist()
    drawn = {(int(row + 0.46), int(column)) for t in figure.data if t.x[0] is not None
             for row, column in zip(t.base, t.x, strict=True)}  # fmt: skip
    table = 100 * (importance.drop if measure == "balanced accuracy" else importance.fall)[units][:, :3]
    expected = np.abs(table) >= 0.1 * np.abs(table).max() - 1e-12
    assert drawn == {(int(r), int(c)) for r, c in zip(*np.nonzero(expected), strict=True)}
    assert NAMES[3] not in [html.unescape(word) for word in figure.layout.xaxis.ticktext]


def test_a_comparison_draws_each_pair_once_and_tells_the_rank_correlation(importance, gradient) -> None:
    figure = importance.compare(gradient)
    assert minus(f"{importance.agreement(gradient):+.2f}") in figure.layout.title.text
    drawn = [pair for t in figure.data[1:] for pair in zip(t.x, t.y, strict=True)]
    expected = zip(importance.log_drop[:, :3].ravel(), gradient.log_drop[:, :3].ravel(), strict=True)
    assert sorted(drawn) == sorted(expected)
    with pytest.raises(OptionError, match="other: expected another Importance, got str"):
        importance.compare("gradient")
    with pytest.raises(RecipeMismatch):
        importance.compare(dataclasses.replace(gradient, layer="other"))


def test_an_importance_of_one_unit_of_one_class() -> None:
    true = np.zeros(3, np.int64)
    one = Importance("conv", ("<b>x</b>",), "ablation", np.zeros((1, 1)), true, true, true[:, None])
    assert "nan" not in seen(one)
    assert "–" in seen(one)  # balanced accuracy of a class without others
    for figure in (one.chart(), one.chart("<b>x</b>"), one.compare(one)):
        assert "nan" not in figure._repr_mimebundle_()["image/svg+xml"].lower()


def test_an_importance_that_ranks_nothing_is_still_a_page() -> None:
    none = Importance("conv", NAMES, "gradient", np.full((4, 4), np.nan))
    assert "4 classes have no images" in seen(none)
    for figure in (none.chart(), none.compare(none)):
        assert "nan" not in figure.layout.meta["alt"]
        assert drawable(figure)


def test_wrong_options_of_an_importance_s_chart_are_refused(importance: Importance) -> None:
    with pytest.raises(OptionError, match="measure: expected one of 'probability', 'balanced accuracy'"):
        importance.chart(measure="luck")
    with pytest.raises(OptionError, match="name: no image"):
        importance.chart(NAMES[3])


# ------------------------------------------------------------------------------------------------ AblationCurve


def test_the_headline_of_a_curve_is_at_twenty_units_or_the_middle_count(curve: AblationCurve) -> None:
    words = seen(curve)
    for kind, said in ((KINDS[0], "20 most important removed"), (KINDS[2], "20 random removed"),
                       (KINDS[3], "only 20 most important kept")):  # fmt: skip
        assert f"{said} {curve.at(kind, 20)}" in words
    assert f"all units {curve.intact_at()}" in words
    middle = curve_of([1, 4, 9])
    assert f"4 random removed {middle.at(KINDS[2], 4)}" in seen(middle)


def test_the_table_of_a_curve_is_its_points(curve: AblationCurve) -> None:
    rows = cells(curve._repr_html_())
    for row, count in zip(rows[1:], curve.counts, strict=True):
        assert row == [str(count), *(str(curve.at(kind, int(count))) for kind in KINDS)]


@pytest.mark.parametrize("name", [None, NAMES[1]])
def test_the_four_curves_are_told_apart_without_colour(curve: AblationCurve, name: str | None) -> None:
    figure = curve.chart(name)
    lines = [t for t in figure.data if t.mode == "lines+markers"]
    for trace, kind in zip(lines, KINDS, strict=True):
        assert np.allclose(trace.y, [100 * curve.at(kind, int(count), name).value for count in curve.counts])
        assert list(trace.x) == curve.counts.tolist()
    assert len({t.line.dash for t in lines}) == len({t.marker.symbol for t in lines}) == 4
    bands = [t for t in figure.data if t.fill == "toself"]
    for trace, kind in zip(bands, KINDS, strict=True):
        known = [curve.at(kind, int(count), name) for count in curve.counts]
        assert np.allclose(trace.y, [100 * p.low for p in known] + [100 * p.high for p in reversed(known)])
    levels = {t.name: t.y[0] for t in figure.data if t.mode == "lines" and t.fill is None}
    assert levels == {"all units": pytest.approx(100 * curve.intact_at(name).value), "chance": 50}
    words = next(t for t in figure.data if t.name == "words")
    assert figure.layout.showlegend or len(words.text) >= 4
    assert figure.layout.xaxis.type == "log"


def test_a_curve_of_one_count_and_without_intervals() -> None:
    one = curve_of([3])
    bare = dataclasses.replace(one, draws=np.full_like(one.draws, np.nan), intact_draws=np.full((50, 2), np.nan))
    for made in (one, bare, dataclasses.replace(bare, value=np.full_like(one.value, np.nan))):
        assert "nan" not in seen(made)
        assert drawable(made.chart())
        assert "nan" not in made.chart().layout.meta["alt"]
    with pytest.raises(OptionError, match="name: expected a class"):
        one.chart("unicorn")


# ------------------------------------------------------------------------------------------------ the parts


def test_words_beside_curves_cover_no_curve_and_no_other_words() -> None:
    x = np.linspace(0, 1, 61)
    curves = [np.stack([x, 0.2 + 0 * x], 1), np.stack([x, 0.3 + 0.6 * x], 1), np.stack([x, 0.2 + 0 * x], 1)]
    first, second, third = beside(curves, ["level", "falling", "hidden"], [(400, 300)], [6, 6, 6])
    assert first is None and third is None  # two curves on one another: nobody could tell whose words they are
    point, side = second
    assert side in ("middle right", "top right", "top center", "bottom left", "middle left", "bottom center")
    assert 0 <= point < 61


def test_a_shift_is_a_bar_from_the_middle_with_its_whisker() -> None:
    markup = shift(-0.05, -0.1, 0.0, 0.1)
    assert "--from:25.00%;--to:50.00%" in markup
    assert "--from:0.00%;--to:50.00%" in markup
    assert 'aria-hidden="true"' in markup
    assert "<em" not in shift(0.05, float("nan"), float("nan"), 0.1)
    assert shift(float("nan"), 0, 0, 1) == ""
    assert between(float("nan"), 1) == "–"


def test_a_long_title_is_broken_into_lines() -> None:
    assert wrapped_title("one two three <b>", 8) == "one two<br>three &lt;b&gt;"


def test_the_classifier_s_own_results_show_themselves() -> None:
    model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=90)
    ranking = ul.rank_units(model, "conv5_3", probe, show_progress=False)
    name = ranking.ranked[0]
    effect = ul.measure(model, ul.Ablate("conv5_3", ranking.top(name, 20)), probe, show_progress=False)
    curve = ul.ablation_curve(model, "conv5_3", probe, ranking, counts=[1, 20, 160], show_progress=False)
    for result in (effect, ranking, curve):
        assert "nan" not in seen(result)
        assert drawable(result.chart())
    assert f"20 random removed {curve.at(KINDS[2], 20)}" in seen(curve)
    assert f"{len(effect.flips)} image" in seen(effect) or "as before" in seen(effect)
