"""Vector: the SVG of a chart holds the chart's numbers, names and words, whatever page it stands on."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import itertools
import json
import math
import pickle
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from plotly.subplots import make_subplots

from unitlens.data.concepts import Vocabulary
from unitlens.display import scales, svg, theme
from unitlens.display.charts import chart
from unitlens.display.figures import GREY, figure
from unitlens.display.ink import INK, MUTED
from unitlens.display.portable import PortableFigure
from unitlens.display.scales import formatted, scale, settle, ticks
from unitlens.display.svg import words
from unitlens.display.vector import drawable, vector

LAST = "block<2>.conv"
KINDS = ["concepts", "units", "iou"]
SVG = "{http://www.w3.org/2000/svg}"
LIVE = "application/vnd.plotly.v1+json"


@pytest.fixture(autouse=True)
def notebook_renderer() -> Iterator[None]:
    """Plotly's default in JupyterLab and VS Code."""
    before, pio.renderers.default = pio.renderers.default, "plotly_mimetype"
    yield
    pio.renderers.default = before


def read(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)


def texts(drawing: str) -> list[str]:
    return ["".join(element.itertext()) for element in read(drawing).iter(f"{SVG}text")]


def boxes(root: ET.Element) -> list[dict[str, float]]:
    """The rectangles with a tooltip: those of bars."""
    found = [r for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    return [
        {name: float(r.get(name, 0)) for name in ("x", "y", "width", "height")}
        | {"said": r.findtext(f"{SVG}title")}  # type: ignore[dict-item]
        for r in found
    ]


def along(root: ET.Element, letter: str, values: dict[str, float]) -> Callable[[float], float]:
    """Pixel -> value, from the places of two tick labels alone."""
    places, anchor = {}, {"x": "middle", "y": "end"}[letter]
    for group in (g for g in root.iter(f"{SVG}g") if g.get("text-anchor") == anchor and g.get("font-size") == "13"):
        for element in group:
            if element.text in values:
                places[values[element.text]] = float(element.get(letter, 0)) - (0.35 * 13 if letter == "y" else 0)
    (a, first), (b, second) = min(places.items()), max(places.items())
    return lambda pixel: a + (pixel - first) / (second - first) * (b - a)


def test_a_line_on_a_logarithmic_axis_stands_at_its_value() -> None:
    """plotly.js: shapes give the value, annotations its logarithm."""
    made = PortableFigure([go.Scatter(x=[1, 10, 100], y=[1, 2, 3], mode="markers")])
    made.update_layout(xaxis={"type": "log", "range": [0, 2]}, yaxis={"range": [0, 4]}, width=600, height=400)
    made.add_vline(x=10, line={"color": "#123456", "width": 1})
    made.add_annotation(x=1, y=2, text="here", showarrow=False)
    root = ET.fromstring(vector(made))
    line = next(e for e in root.iter(f"{SVG}line") if "#123456" in str(e.attrib))
    points = sorted(float(e.get("cx")) for e in root.iter(f"{SVG}circle"))
    assert float(line.get("x1")) == pytest.approx(points[1], abs=0.6)
    words_at = next(e for e in root.iter(f"{SVG}text") if e.text == "here")
    assert float(words_at.get("x")) == pytest.approx(points[1], abs=0.6)


def test_every_drawing_is_well_formed_described_and_self_contained(found, twin) -> None:
    for kind, against in itertools.product(KINDS, (None, twin)):
        made = chart(found, kind, against=against)
        drawing = vector(made)
        root = read(drawing)
        assert root.tag == f"{SVG}svg"
        assert (root.get("role"), root.get("aria-label")) == ("img", made.layout.meta["alt"])
        assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
        used = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert used <= {"svg", "style", "g", "rect", "line", "path", "text", "tspan", "title", "circle"}
        assert not re.search(r"(?:url\(|href|@import|\son\w+=|\sstyle=|\sid=)", drawing)


def test_the_bars_of_the_concepts_stack_to_their_counts(found) -> None:
    """Heights in pixels, read on the scale of the tick labels, are the counts; each stack starts where one ends."""
    root = read(vector(chart(found, "concepts")))
    value = along(root, "y", {str(n): n for n in range(0, 12)})
    stacks: dict[float, list[tuple[float, float]]] = {}
    for box in boxes(root):
        bottom, top = value(box["y"] + box["height"]), value(box["y"])
        stacks.setdefault(box["x"], []).append((bottom, top))
    expected = [[n for n in found.concept_counts(name).values() if n] for name in found.layers]
    drawn = [sorted(parts) for _, parts in sorted(stacks.items())]
    assert [[round(top - bottom, 1) for bottom, top in parts] for parts in drawn] == expected
    for parts in drawn:
        assert parts[0][0] == pytest.approx(0, abs=0.02)
        assert all(a[1] == pytest.approx(b[0], abs=0.02) for a, b in itertools.pairwise(parts))


def test_unit_bars_and_their_tooltips_say_the_units_of_each_concept(found, twin) -> None:
    root = read(vector(chart(found, "units", against=twin)))
    value = along(root, "y", {str(n): n for n in range(0, 8)})
    heights = {str(box["said"]): value(box["y"]) for box in boxes(root)}
    both = [found.concepts(), twin.concepts()]
    expected = [(f"{c.name} ({c.category}): {len(u)} units", len(u)) for layer in both for c, u in layer.items()]
    assert sorted((said, round(height, 1)) for said, height in heights.items()) == sorted(set(expected))


def test_iou_bars_stand_on_their_bins(found) -> None:
    made = chart(found, "iou")
    root = read(vector(made))
    value = along(root, "x", {f"{n / 10:g}": n / 10 for n in range(0, 11)})
    bins: dict[int, int] = {}
    for best in found.best(LAST)[1]:
        bins[int(best * 50 + 1e-6)] = bins.get(int(best * 50 + 1e-6), 0) + 1
    drawn = {}
    for box in boxes(root):
        middle = value(box["x"] + box["width"] / 2)
        drawn[round((middle - 0.01) * 50)] = int(re.search(r"(\d+) units", str(box["said"]))[1])  # type: ignore[index]
    assert drawn == bins
    line = next(e for e in root.iter(f"{SVG}line") if e.get("stroke-dasharray"))
    assert value(float(line.get("x1", 0))) == pytest.approx(found.min_iou, abs=0.002)


def test_names_are_escaped_and_whole(found, evil, twin) -> None:
    for kind in KINDS:
        drawing = vector(chart(found, kind, against=twin))
        assert "<script" not in drawing
        assert "<b>net" not in drawing
    shown = texts(vector(chart(found, "units", against=twin)))
    assert [c.name for c in found.concepts()] == [text for text in shown if text in {c.name for c in found.concepts()}]
    assert evil.name in shown
    assert "tiny <b>net</b>" in shown
    assert any(LAST in text for text in shown)


def test_letters_that_xml_forbids_are_left_out() -> None:
    made = figure("a\x00b\x1f", "\ud800alt\x08", [go.Bar(x=["n\x0b"], y=[1], name="x\ufffe")], showlegend=True)
    assert read(vector(made)).get("aria-label") == "alt"
    assert {"ab", "n", "x"} <= set(texts(vector(made)))


def test_hatched_bars_are_stripes_inside_their_boxes(found, twin) -> None:
    """The stripes of the other dissection lie in its bars, and fill about the share of them that the pattern says."""
    made = chart(found, "iou", against=twin)
    root = read(vector(made))
    groups = [g for g in root.iter(f"{SVG}g") if g.find(f"{SVG}rect") is not None and g.find(f"{SVG}path") is not None]
    (group,) = [g for g in groups if g.find(f"{SVG}rect/{SVG}title") is not None]
    outlines = [(r.get("x"), r.get("y"), r.get("width"), r.get("height")) for r in group.iter(f"{SVG}rect")]
    bars = [tuple(float(v or 0) for v in box) for box in outlines]
    (path,) = group.iter(f"{SVG}path")
    covered = 0.0
    for polygon in re.findall(r"M[^M]+z", path.get("d", "")):
        numbers = [float(n) for n in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", polygon)]
        steps = np.array(numbers).reshape(-1, 2).cumsum(axis=0)
        low, high = steps.min(axis=0), steps.max(axis=0)
        assert any(
            x - 0.35 <= low[0] and high[0] <= x + w + 0.35 and y - 0.35 <= low[1] and high[1] <= y + h + 0.35
            for x, y, w, h in bars
        )
        around = np.roll(steps, -1, axis=0)
        covered += abs((steps[:, 0] * around[:, 1] - around[:, 0] * steps[:, 1]).sum()) / 2
    assert covered / sum(w * h for _, _, w, h in bars) == pytest.approx(0.55, abs=0.08)


def test_curves_bands_and_error_bars_are_drawn_at_their_values() -> None:
    low, high = [0.1, 0.2, 0.4], [0.3, 0.6, 0.8]
    made = figure("Curves", "curves", [
        go.Scatter(x=[0, 1, 2], y=low, mode="lines", line={"width": 0}, showlegend=False),
        go.Scatter(x=[0, 1, 2], y=high, mode="lines", line={"width": 0}, fill="tonexty",
                   fillcolor="rgba(0,114,178,0.2)"),
        go.Scatter(x=[0, 1, 2], y=[0.2, None, 0.6], mode="lines", line={"color": "#d55e00", "dash": "dash"}),
        go.Scatter(x=[1], y=[0.5], mode="markers", marker={"color": "#009e73"},
                   error_y={"array": [0.2], "arrayminus": [0.1]}),
    ], yaxis={"range": [0, 1]}, xaxis={"range": [0, 2]})  # fmt: skip
    root = read(vector(made))
    x, y = (along(root, letter, {f"{n / 10:g}": n / 10 for n in range(0, 21)}) for letter in "xy")

    def corners(path: ET.Element) -> list[list[tuple[float, float]]]:
        runs = [re.findall(r"[-\d.]+", run) for run in path.get("d", "").split("M")[1:]]
        pairs = [list(zip(map(float, run[::2]), map(float, run[1::2]), strict=True)) for run in runs]
        return [[(round(x(a), 2), round(y(b), 2)) for a, b in run] for run in pairs]

    paths = list(root.iter(f"{SVG}path"))
    (band,) = [p for p in paths if p.get("fill-opacity") == "0.2"]
    assert np.allclose(corners(band)[0], [*zip([0, 1, 2], high), *zip([2, 1, 0], low[::-1])], atol=0.02)
    (dashed,) = [p for p in paths if p.get("stroke-dasharray")]
    assert [len(run) for run in corners(dashed)] == [1, 1]  # the missing value parts the line
    (error,) = [p for p in paths if p.get("stroke") == "#009e73" and not p.get("stroke-dasharray")]
    assert np.allclose(corners(error)[0], [(1, 0.4), (1, 0.7)], atol=0.02)
    (mark,) = [circle for circle in root.iter(f"{SVG}circle") if circle.find(f"{SVG}title") is not None]
    assert (x(float(mark.get("cx", 0))), y(float(mark.get("cy", 0)))) == pytest.approx((1, 0.5), abs=0.02)


def test_lying_and_grouped_bars_take_their_places() -> None:
    lying = PortableFigure([go.Bar(y=["long", "short"], x=[4, 1], orientation="h")])
    first, second = boxes(read(vector(lying.update_yaxes(autorange="reversed"))))
    assert first["width"] == pytest.approx(4 * second["width"], abs=0.5)
    assert first["y"] < second["y"]
    pair = PortableFigure([go.Bar(x=["a", "b"], y=[1, 2]), go.Bar(x=["a", "b"], y=[2, -1])])
    grouped = boxes(read(vector(pair)))
    assert [box["said"] for box in grouped] == ["a, 1", "b, 2", "a, 2", "b, -1"]
    assert grouped[0]["x"] + grouped[0]["width"] == pytest.approx(grouped[2]["x"], abs=0.2)
    assert grouped[3]["y"] == pytest.approx(grouped[1]["y"] + grouped[1]["height"], abs=0.2)  # it hangs from zero


@pytest.mark.parametrize(
    "made",
    [
        go.Figure(go.Heatmap(z=[[1]])), go.Figure(go.Scatter(x=np.array(["2020-01-01"], dtype="M8[D]"), y=[1])),
        go.Figure(go.Scatter(x=np.array(["2020-01-01"], dtype="M8[ns]"), y=[1])),
        go.Figure(go.Bar(x=[["a", "a"], ["b", "c"]], y=[1, 2])),
        go.Figure(go.Scatter(y=[1, 2], marker={"color": [1, 2]})),
        make_subplots(specs=[[{"secondary_y": True}]]).add_scatter(y=[1], secondary_y=True),
        go.Figure(go.Scatter(y=[1, 2], stackgroup="one")), go.Figure(layout={"xaxis": {"type": "date"}}),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_right_is_not_drawn(made: go.Figure) -> None:
    assert not drawable(made)
    assert "image/svg+xml" not in PortableFigure(made)._repr_mimebundle_()


@pytest.mark.parametrize(
    "traces", [[], [go.Bar(x=[], y=[])], [go.Scatter(x=[1], y=[math.nan])], [go.Scatter(x=[1, 2])]]
)
def test_figures_without_a_point_are_drawn_empty(traces: list) -> None:
    assert boxes(read(vector(PortableFigure(traces)))) == []


def test_long_names_stay_inside_the_drawing() -> None:
    names = [f"a concept with a long name {i}" for i in range(30)]
    made = figure("Long", "long", [go.Bar(x=names, y=list(range(30)))])
    root = read(vector(made))
    wide, tall = float(root.get("width", 0)), float(root.get("height", 0))
    moved = [t for t in root.iter(f"{SVG}text") if "rotate(-50" in t.get("transform", "")]
    assert len(moved) == 30
    for element in moved:
        x, y = (float(n) for n in re.findall(r"translate\(([\d.]+) ([\d.]+)\)", element.get("transform", ""))[0])
        length = 0.5 * 13 * len(element.text or "")
        assert x - length * math.cos(math.radians(50)) > 0
        assert y + length * math.sin(math.radians(50)) < tall
        assert x < wide


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]), (-2, 2.2, ["−2", "−1", "0", "1", "2"]), (5, 5.4, ["5", "5.1"])],
)
def test_ticks_are_round_numbers_inside_the_range(low: float, high: float, expected: list[str]) -> None:
    made = scale({}, [low, high])
    made.start, made.end = 0, 180
    settle(made, {"range": [low, high]}, [], (0, 0))
    found = ticks(made, {}, 40)
    assert [text for _, text in found][: len(expected)] == expected
    assert all(low - 1e-9 <= place <= high + 1e-9 for place, _ in found)


def test_words_and_formats_are_plotly_s() -> None:
    assert list(words("a<br>b <b>c</b> &lt;i&gt; <x>")) == [
        "a", 'b <tspan font-weight="600">c</tspan> &lt;i&gt; &lt;x&gt;',
    ]  # fmt: skip
    assert [formatted(0.256, form) for form in (".0%", ".2f", ".1%", "d")] == ["26%", "0.26", "25.6%", "0"]


# ---- what notebooks get ------------------------------------------------------------------------------------------


def test_a_chart_s_bundle_holds_plotly_s_data_the_drawing_and_words(found, twin) -> None:
    for kind in KINDS:
        made = chart(found, kind, against=twin)
        bundle = made._repr_mimebundle_()
        assert set(bundle) == {LIVE, "image/svg+xml", "text/plain"}
        assert " ".join(bundle["text/plain"].split()) == " ".join(made.layout.meta["alt"].split())
        assert [t["type"] for t in bundle[LIVE]["data"]] == [t.type for t in made.data]
        json.dumps(bundle)


def test_the_largest_charts_stay_under_60_kb(make) -> None:
    """Thirteen layers, each with all of 100 concepts, beside a twin that has as many."""
    rng = np.random.default_rng(0)
    categories = ["object", "part", "material", "texture", "colour"]
    small = make({"conv1": [(0, 30)]}).layers["conv1"]

    def layer(name: str) -> Any:
        counts = np.diag(rng.integers(100, 900, 100))  # of 1,000 pixels each
        area = np.full((100, 5), 1000, dtype=np.int64)
        return dataclasses.replace(small, name=name, intersection=counts, activation_area=area)

    pair = [
        make(
            {"conv1": [(0, 30)]}, model, layers={f"conv{i}_1": layer(f"conv{i}_1") for i in range(1, 14)},
            vocabulary=Vocabulary([(f"concept {i}", categories[i // 20]) for i in range(100)]),
            concept_area=np.full(100, 1000, dtype=np.int64), pixels=np.full(5, 10**6),
        )
        for model in ("SceneNet", "SceneNet (random)")
    ]  # fmt: skip
    assert len(pair[0].concepts()) == 100
    for kind in KINDS:
        size = len(json.dumps(chart(pair[0], kind, against=pair[1])._repr_mimebundle_()))
        assert size < 60_000, f"{kind}: {size:,} bytes"


def test_charts_stay_plotly_figures_in_every_way(found, twin) -> None:
    made = chart(found, "iou", against=twin)
    assert isinstance(made, go.Figure)
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert type(other) is PortableFigure
        assert json.loads(other.to_json()) == json.loads(made.to_json())
        assert vector(other) == vector(made)
    assert made.update_layout(title="Mine & yours") is made
    made.add_trace(go.Scatter(x=[0.1], y=[1], name="added"))
    assert {"Mine & yours", "added"} <= set(texts(made._repr_mimebundle_()["image/svg+xml"]))
    assert "Mine & yours" in json.dumps(made._repr_mimebundle_()[LIVE])
    assert json.loads(go.Figure(json.loads(made.to_json())).to_json()) == json.loads(made.to_json())
    assert "span" not in made.to_json()  # the page's ink is put on for the notebook alone


def test_a_renderer_of_the_user_is_obeyed(found, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that opens a window of its own gives no bundle: plotly does the showing."""
    shown: list[Any] = []
    monkeypatch.setattr(pio, "show", lambda figure, *args, **options: shown.append((figure, args, options)))
    made = chart(found, "units")
    pio.renderers.default = "browser"
    made._ipython_display_()
    made.show()
    assert [figure for figure, _, _ in shown] == [made, made]
    pio.renderers.default = "plotly_mimetype"
    made.show(renderer="json")
    assert shown[-1][2] == {"renderer": "json"}


NOTEBOOK = """
import sys
sys.path.insert(0, {folder!r})
import conftest
import unitlens
figure = conftest.build(conftest.PLAN).chart("units")
figure
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """An executed notebook with one chart and `figure.show()`, and the page that nbconvert makes of it."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    cells = [NOTEBOOK.format(folder=str(Path(__file__).parent)), "figure.show()"]
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=kernel)
    NotebookClient(notebook, timeout=300).execute()
    page = tmp_path_factory.mktemp("page") / "chart.html"
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    return notebook, page


def test_an_executed_notebook_holds_all_three(exported: tuple[Any, Path]) -> None:
    for cell in exported[0].cells:
        (output,) = cell.outputs
        assert set(output.data) == {LIVE, "image/svg+xml", "text/plain"}
        assert output.data["text/plain"].startswith("Units per concept of block<2>.conv: tree (object) 3")


def test_nbconvert_s_page_shows_the_drawing_without_network(exported: tuple[Any, Path]) -> None:
    """The picture is in the page itself; MathJax and its like are not needed for it."""
    import base64

    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', exported[1].read_text(encoding="utf-8"))
    assert len(pictures) == 2
    shown = texts(base64.b64decode(pictures[0]).decode())
    assert {"tree", "door", "units"} <= set(shown)


def test_a_cleaned_page_keeps_every_mark_of_the_drawing(found, twin) -> None:
    """nbviewer and nbconvert 7.3 to 7.14 pass an SVG through bleach with html5lib's lists of what is allowed."""
    bleach = pytest.importorskip("bleach")
    from bleach._vendor.html5lib.filters import sanitizer

    tags = {name for _, name in sanitizer.allowed_elements}
    names = {"*": [name for _, name in sanitizer.allowed_attributes if name != "style"]}
    drawing = vector(chart(found, "units", against=twin))
    cleaned = bleach.clean(drawing, tags=tags, attributes=names)
    for tag in ("rect", "line", "path", "text", "title"):
        assert cleaned.count(f"<{tag}") == drawing.count(f"<{tag}") > 0
    for attribute in ("fill", "stroke", "x", "width", "transform", "text-anchor", "viewBox", "font-size"):
        assert cleaned.count(f' {attribute}="') == drawing.count(f' {attribute}="') > 0


# ---- legible on every page ---------------------------------------------------------------------------------------


def over(colour: str, page: str) -> str:
    """A CSS colour of JupyterLab's themes on its page, as #rrggbb."""
    colour = {"white": "#ffffff", "#fff": "#ffffff", "#111": "#111111", "#000": "#000000"}.get(colour, colour)
    if colour.startswith("#"):
        return colour
    red, green, blue, share = (float(n) for n in re.findall(r"[\d.]+", colour))
    return theme.mix(f"#{int(red):02x}{int(green):02x}{int(blue):02x}", page, share)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_live_chart_s_words_are_legible_in_jupyterlab(mode: str) -> None:
    """The variables that the words ask for, read from the themes of the JupyterLab that is installed."""
    folder = Path(sys.prefix) / f"share/jupyter/lab/themes/@jupyterlab/theme-{mode}-extension"
    if not folder.is_dir():
        pytest.skip("JupyterLab's themes are not under this Python")
    css = (folder / "index.css").read_text()
    page = over(re.search(r"--jp-layout-color0:\s*([^;}]+)", css)[1].strip(), "")  # type: ignore[index]
    for words_colour in (INK, MUTED):
        asked = re.match(r"var\((--[\w-]+)", words_colour)[1]  # type: ignore[index]
        colour = re.search(rf"{asked}:\s*([^;}}]+)", css)[1].strip()  # type: ignore[index]
        assert theme.contrast(over(colour, page), page) >= 4.5


def test_every_word_of_the_live_chart_asks_the_page(found, twin) -> None:
    for kind in KINDS:
        spec = chart(found, kind, against=twin)._repr_mimebundle_()[LIVE]
        layout = spec["layout"]
        assert INK in layout["title"]["text"]
        for axis in ("xaxis", "yaxis"):
            assert all(MUTED in text for text in layout[axis].get("ticktext") or [layout[axis]["tickprefix"]])
        assert all(MUTED in trace["name"] for trace in spec["data"] if trace.get("showlegend") is not False)
        assert all(MUTED in note["text"] for note in layout["annotations"])


def test_a_colour_of_the_user_is_kept(found) -> None:
    made = chart(found, "iou").update_layout(xaxis_tickfont_color="red", title_font_color="#123456")
    layout = made._repr_mimebundle_()[LIVE]["layout"]
    assert "tickprefix" not in layout["xaxis"]
    assert "span" not in layout["title"]["text"]
    assert 'fill="#123456"' in made._repr_mimebundle_()["image/svg+xml"]
    whole = chart(found, "iou").update_layout(font_color="red")._repr_mimebundle_()[LIVE]
    assert "span" not in json.dumps(whole)


def test_the_grey_of_pages_that_say_no_colour_is_the_best_there_is() -> None:
    """White and #15171c leave no grey with 4.5 to both: the best has 4.24, and this one is it but for a hundredth."""

    def worst(grey: str) -> float:
        return min(theme.contrast(grey, page) for page in ("#ffffff", "#15171c", "#111111"))

    best = max(worst(f"#{level:02x}{level:02x}{level:02x}") for level in range(256))
    assert best < 4.5
    assert worst(GREY) > best - 0.01


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_drawing_s_words_are_legible_on_its_own_ground(found, mode: str) -> None:
    """Whatever the page is: the ground comes with the drawing, and changes together with the words."""
    drawing = vector(chart(found, "units"))
    roles = {"k": "ink", "m": "muted", "s": "surface"}
    grounds = {name: theme.page_colour(colour, mode) for name, colour in roles.items()}
    assert theme.contrast(grounds["k"], grounds["s"]) >= 4.5
    assert theme.contrast(grounds["m"], grounds["s"]) >= 4.5
    variables = "".join(f"--ul-{name}:{grounds[name]};" for name in "kms")
    rule = " .ul-vector{" if mode == "dark" else ".ul-vector{"
    assert "prefers-color-scheme" not in drawing  # a light page on a dark system
    assert rule + variables in drawing
    root = read(drawing)
    assert next(root.iter(f"{SVG}rect")).attrib.items() >= {"class": "ul-s", "fill": "#ffffff", "rx": "8"}.items()
    around = {child: parent for parent in root.iter() for child in parent}
    for element in root.iter(f"{SVG}text"):
        classes = {e.get("class") for e in (element, around[element])}
        assert classes & {"ul-k", "ul-m"}, f"{element.text!r} has a colour that a dark page does not change"


@pytest.mark.parametrize("module", [scales, svg])
def test_the_examples_of_the_docstrings_run(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0
