"""Views: what the summary, the unit card, the gallery and the table say is what the dissection holds."""

from __future__ import annotations

import dataclasses
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import unitlens as ul
from unitlens.data.concepts import Concept, Vocabulary
from unitlens.display.markup import full_name
from unitlens.errors import ConceptError, LayerNotFound, OptionError
from unitlens.rich import Html, view_modules

LAST = "block<2>.conv"
VOID = {"img", "br", "meta", "link", "input", "line", "rect"}


@pytest.fixture(autouse=True, scope="module")
def displays() -> None:
    if "unitlens.display" not in view_modules:
        view_modules.append("unitlens.display")


class Page(HTMLParser):
    """Reads a page: its tags, words and images; raises on tags that do not close."""

    def __init__(self, markup: str):
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.images: list[dict] = []
        self.attributes: list[dict] = []
        self.words = ""
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attributes))
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data + " "


def words(view) -> str:
    """A text twin without its line breaks."""
    return " ".join(view.text().split())


def without_styles(markup: str) -> str:
    """What GitHub leaves of an output: no stylesheet, no classes, no style attributes."""
    bare = re.sub(r"<style>.*?</style>", "", markup, flags=re.DOTALL)
    return re.sub(r' (?:style|class)="[^"]*"', "", bare)


def cells(markup: str) -> list[list[str]]:
    """The words of every table row of a page."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", markup)
    inside = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in row] for row in inside]


def views(found) -> dict[str, str]:
    return {
        "summary": found._repr_html_(),
        "gallery": found.gallery()._repr_html_(),
        "concept": found.gallery("sky")._repr_html_(),
        "unit": found.unit(2)._repr_html_(),
        "table": found.table()._repr_html_(),
    }


@pytest.mark.parametrize("view", ["summary", "gallery", "concept", "unit", "table"])
def test_every_view_is_one_self_contained_harmless_page(found, view: str) -> None:
    markup = views(found)[view]
    page = Page(markup)
    assert page.tags.count("style") == 1
    assert page.tags[0] == "div"
    assert set(re.findall(r"https?://[^\s\"']*", markup)) <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    scripts = [attributes["type"] for attributes in page.attributes if "type" in attributes]
    assert scripts == (["application/json", "module"] if view == "table" else [])
    assert page.tags.count("script") == len(scripts)
    assert "link" not in page.tags
    assert not any(name.startswith("on") for attributes in page.attributes for name in attributes)
    assert "<script>" not in markup
    assert "tiny <b>" not in markup


@pytest.mark.parametrize("view", ["gallery", "concept", "unit", "table"])
def test_every_view_has_a_text_twin(found, view: str) -> None:
    shown = {
        "gallery": found.gallery,
        "concept": lambda: found.gallery("sky"),
        "unit": lambda: found.unit(2),
        "table": found.table,
    }
    result = shown[view]()
    assert isinstance(result, Html)
    assert repr(result) == result.text()
    assert len(result.text().splitlines()) > 1
    assert "<div" not in result.text()
    assert LAST in result.text()
    words = Page(result._repr_html_()).words
    for number in re.findall(r"\b0\.\d\d\b", result.text()):
        assert number in words


def test_a_name_that_is_a_script_is_shown_as_words(found, evil) -> None:
    markup = found.unit(2)._repr_html_()
    assert evil.name in Page(markup).words
    assert "&lt;script&gt;" in markup


def test_the_alternative_text_says_what_a_strip_shows(found) -> None:
    image = Page(found.gallery([1], images=3)._repr_html_()).images[0]
    assert image["alt"] == "unit 1 of block<2>.conv: tree (object), IoU 0.40; three top images"
    assert int(image["width"]) > 0
    assert int(image["height"]) > 0
    assert image["src"].startswith("data:image/jpeg;base64,")


def test_a_unit_without_a_concept_says_so(found) -> None:
    image = Page(found.gallery([4], images=1)._repr_html_()).images[0]
    assert image["alt"] == "unit 4 of block<2>.conv: no concept, IoU 0.00; one top image"
    assert "none of the concepts" in words(found.unit(4))


def test_the_summary_counts_detectors_and_concepts(found) -> None:
    words = re.sub(r"\s+", " ", Page(found._repr_html_()).words)
    for name in found.layers:
        detectors, units, concepts = len(found.detectors(name)), found.layers[name].units, len(found.concepts(name))
        assert f" {name} " in words
        assert f" {concepts} {detectors} of {units}" in words
    assert "9 images · 2 layers · 7 concepts (1 of them in no image) · top 1 % of pixels · minimum IoU 0.04" in words
    assert "tiny <b>net</b>" in words


def test_the_summary_shows_the_best_unit_of_each_concept(found) -> None:
    page = Page(found._repr_html_())
    shown = [int(re.match(r"unit (\d+)", image["alt"])[1]) for image in page.images]
    expected = sorted((units[0] for units in found.concepts().values()), key=lambda u: -found.best()[1][u])
    assert shown == expected
    assert len(shown) == len(found.concepts())


def test_the_stacked_bar_holds_the_counts_of_the_categories(found) -> None:
    markup = found._repr_html_()
    bars = re.findall(r'<div class="ul-stack">(.*?)</div>', markup)
    for name, bar in zip(found.layers, bars, strict=True):
        shown = [int(n) for n in re.findall(r'title="(\d+) ', bar)]
        assert shown == [n for n in found.concept_counts(name).values() if n]


def test_the_summary_of_no_detectors_says_what_to_do(found) -> None:
    strict = found.with_min_iou(0.9)
    page = Page(strict._repr_html_())
    assert page.images == []
    assert "no concept reaches the minimum IoU" in page.words
    assert "with_min_iou" in page.words
    assert "reaches the minimum IoU of 0.9" in strict.gallery().text()
    assert len(strict.gallery().text().splitlines()) > 3


def test_the_summary_of_one_layer(make) -> None:
    page = Page(make({"only": [(0, 20), (1, 1)]})._repr_html_())
    assert "1 layer ·" in page.words
    assert len(page.images) == 1


def test_the_gallery_of_a_concept_shows_its_iou_and_the_unit_s_own_label(make) -> None:
    plain = make({"a": [(0, 30), (1, 30)]})
    both = plain.layers["a"].intersection.copy()
    both[0, 1] = 100  # unit 0: also 100 of the pixels of sky
    import dataclasses

    layer = dataclasses.replace(plain.layers["a"], intersection=both)
    found = dataclasses.replace(plain, layers={"a": layer})
    expected = 100 / (int(layer.activation_area[0, 0]) + 1000 - 100)
    text = found.gallery("sky").text().splitlines()
    assert text[0] == "Units of a for sky (object)"
    assert text[-2].split()[:2] == ["1", "0.30"]
    assert text[-1].split()[:2] == ["0", f"{expected:.2f}"]
    assert text[-1].endswith("tree (object) 0.30")
    assert "own label: tree (object), 0.30" in Page(found.gallery("sky")._repr_html_()).words


def test_absent_concepts_are_explained(found) -> None:
    assert "does not show this concept anywhere" in words(found.gallery("unicorn"))
    assert "No unit of this layer overlaps" in words(found.gallery("door (part)", layer="conv1"))
    with pytest.raises(ConceptError, match="not in the vocabulary"):
        found.gallery("trea")


def test_a_concept_and_its_qualified_name_show_the_same_units(found, evil) -> None:
    assert found.gallery(evil).text() == found.gallery(evil.name).text()


def test_the_gallery_keeps_the_order_and_number_asked_for(found) -> None:
    alts = [i["alt"] for i in Page(found.gallery([5, np.int64(0), 2])._repr_html_()).images]
    assert [int(a.split()[1]) for a in alts] == [5, 0, 2]
    assert len(Page(found.gallery(units=2)._repr_html_()).images) == 2
    assert [int(i["alt"].split()[1]) for i in Page(found.gallery()._repr_html_()).images] == found.detectors().tolist()


def test_units_without_pictures_keep_their_caption(make) -> None:
    page = Page(make({"a": [(0, 20)]}, thumbnails={}).gallery()._repr_html_())
    assert page.images == []
    assert "No picture of this unit's top images is kept." in page.words
    assert "tree" in page.words


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.unit(10), "unit: expected a whole number 0..9"),
        (lambda d: d.unit(-1), "got -1"),
        (lambda d: d.unit(True), "got True"),
        (lambda d: d.gallery([1.5]), "got 1.5"),
        (lambda d: d.gallery(style="blur"), "style: expected one of 'outline'"),
        (lambda d: d.gallery(images=0), "images: expected a whole number from 1 on, got 0"),
        (lambda d: d.gallery(units=0), "units: expected a whole number from 1 on"),
        (lambda d: d.table(sort="size"), "sort: expected one of 'iou', 'unit'"),
        (lambda d: d.table(rows=0), "rows: expected"),
    ],
)
def test_wrong_arguments_are_refused_in_words(found, call, message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        call(found)


def test_an_unknown_layer_offers_the_nearest(found) -> None:
    with pytest.raises(LayerNotFound, match="'conv1'"):
        found.gallery(layer="conv_1")


def test_plain_words_are_the_shares_of_pixels(found) -> None:
    counts = found.layers["conv1"]
    inside, fired = counts.intersection[0, 0], counts.activation_area[0, 0]
    assert f"{inside / fired:.0%} show tree; it fires on {inside / 1000:.0%} of all tree pixels" in words(
        found.unit(0, "conv1")
    )
    assert "below the minimum IoU of 0.04" in words(found.unit(2, "conv1"))


def test_a_unit_s_card_says_how_sure_its_label_is_and_what_fires_above_means() -> None:
    probe = ul.load_probe("scenes", count=320)
    found = ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)
    frame = found.frame().set_index("unit")
    for beats in (True, False):
        unit = int(frame[(frame["beats_chance"] == beats) & frame["low"].notna()].index[0])
        row, said = frame.loc[unit], words(found.unit(unit))
        assert f"lie between {row['low']:.2f} and {row['high']:.2f} (90 % interval)" in said
        assert ("It beats chance" in said, "It may be chance" in said) == (beats, not beats)
        how = f"(p = {row['p']:.2g}, 160 units tried)" if beats else f"in {100 * row['p']:.2g} % of the tries"
        assert how in said
        assert f"Fires above {row['threshold']:#.3g}: where its activation is higher" in said
        assert "Over all images, 1 % of the pixels are." in said
        page = re.sub(r"\s+", " ", Page(found.unit(unit).markup).words)
        for sentence in said.split(". ")[1:5]:
            assert sentence[:40] in page


def test_a_card_claims_nothing_that_was_not_measured(found) -> None:
    said = words(found.unit(1))
    assert "interval" not in said
    assert "chance" not in said
    assert "Fires above" in said


def test_the_gallery_says_its_order_and_what_the_pictures_are(found) -> None:
    assert "8 detectors, best IoU first." in found.gallery().text()
    assert "best IoU first" in found.gallery("sky").text()
    assert "come nearest, best IoU first" in words(found.with_min_iou(0.9).gallery())
    assert "In the order asked for." in found.gallery([2, 1]).text()
    assert "is another concept" not in found.gallery("sky").text()
    assert "order" not in found.gallery(3).text()
    assert "the strongest first, outlined where it fires." in Page(found.gallery().markup).words
    assert "outlined" not in Page(found.gallery(style="plain").markup).words


def test_the_table_holds_the_frame_in_the_order_asked_for(found) -> None:
    for sort, expected in {"iou": found.best()[1].argsort(kind="stable")[::-1][:3], "unit": [0, 1, 2]}.items():
        markup = found.table(sort=sort, rows=3)._repr_html_()
        rows = re.findall(r'<th scope="row"[^>]*>(\d+)</th>', markup)
        assert [int(r) for r in rows] == list(expected)
    frame = found.frame(LAST)
    lines = found.table(rows=None, sort="unit").text().splitlines()[2:]
    assert len(lines) == len(frame)
    for line, row in zip(lines, frame.to_dict("records"), strict=True):
        assert line.split()[0] == str(row["unit"])
        assert f"{row['iou']:.2f}" in line
        assert row["concept"] in line


def test_the_table_has_a_caption_and_scoped_headers_and_can_leave_out_the_rest(found) -> None:
    page = Page(found.table(detectors_only=True)._repr_html_())
    assert page.tags.count("caption") == 1
    assert page.tags.count("tr") == 1 + len(found.detectors())
    assert sum(a.get("scope") == "col" for a in page.attributes) == 7
    assert f"{len(found.detectors())} of 10 units are detectors" in page.words


def test_text_columns_are_aligned(found) -> None:
    lines = found.table(sort="unit").text().splitlines()[1:]
    start = lines[0].index("category")
    assert all(line[start - 1] == " " and line[start] != " " for line in lines)


def test_without_its_stylesheet_the_summary_is_a_table_of_words(found) -> None:
    header, *rows = cells(without_styles(found._repr_html_()))
    assert header == ["layer", "detected concepts by category", "concepts", "detectors of units"]
    for name, row in zip(found.layers, rows, strict=True):
        counts = {category: n for category, n in found.concept_counts(name).items() if n}
        bar = ", ".join(f"{n} {category}" for category, n in counts.items())
        expected = [name, bar, str(sum(counts.values())), f"{len(found.detectors(name))} of {found[name].units}"]
        assert [html.unescape(cell) for cell in row] == expected


def test_without_its_stylesheet_a_unit_lists_its_best_concepts_in_a_table(found) -> None:
    rows = cells(without_styles(found.unit(1)._repr_html_()))
    assert rows == [["concept", "category", "", "IoU"], ["tree", "object", "", "0.400"]]
    seen = re.sub(r"\s+", " ", Page(without_styles(found.unit(1)._repr_html_())).words)
    assert "IoU 0.400 fires above" in seen


def test_without_its_stylesheet_the_captions_keep_their_words_apart(found) -> None:
    bare = without_styles(found.gallery([1])._repr_html_())
    assert "object IoU 0.40" in re.sub(r"<[^>]*>", "", bare)
    card = re.search(r"<strong>tree</strong>.*?<img", without_styles(found._repr_html_()))[0]
    assert re.sub(r"<[^>]*", "", card).replace(">", "").split() == ["tree", "object", "unit", "1", "IoU", "0.40"]


def test_the_words_for_bare_pages_are_hidden_by_the_stylesheet(found) -> None:
    markup = found._repr_html_()
    assert re.search(r"\.unitlens \.ul-aside\{[^}]*clip-path:inset\(50%\)", markup)
    assert '<span class="ul-aside">IoU </span>' in markup


def test_no_view_uses_the_lists_that_notebooks_style(found) -> None:
    for markup in views(found).values():
        assert not {"dl", "dt", "dd", "ul", "ol", "li"} & set(Page(markup).tags)


def test_text_twins_fit_eighty_columns(make) -> None:
    found = make({f"conv{i}_1": [(0, 30), (1, 5), (3, 9), (5, 1)] for i in range(1, 14)}, model="SceneNet")
    texts = [found.text(), found.gallery("sky").text(), found.unit(1).text(), found.table().text()]
    texts.append(found.with_min_iou(0.9).gallery().text())
    assert max(len(line) for text in texts for line in text.splitlines()) <= 80


def test_the_summary_in_text_holds_the_counts_of_every_layer(found) -> None:
    lines = found.text().splitlines()
    rows = {line.split("  ")[0].strip(): line.split() for line in lines if line.startswith(("conv1", "block"))}
    for name in found.layers:
        counts = list(found.concept_counts(name).values())
        expected = [found[name].units, len(found.detectors(name)), sum(counts), *counts]
        assert rows[name][1:] == list(map(str, expected))
    assert lines[-1].startswith(f"best of {LAST}: 9 red & white 0.50, 1 tree 0.40, ")
    assert found.with_min_iou(0.9).text().endswith("no unit is a detector")


def test_a_name_that_two_categories_share_is_told(found) -> None:
    concepts, number = list(found.vocabulary), found.vocabulary.index("sky")
    other = next(i for i, c in enumerate(concepts) if c.category != concepts[number].category)
    concepts[other] = Concept("sky", concepts[other].category)
    both = dataclasses.replace(found, vocabulary=Vocabulary(concepts))
    first = min(number, other)
    many = int((both.iou()[:, number + other - first] >= both.min_iou).sum())
    said = f'"{full_name(concepts[number + other - first])}" is another concept, with {many} unit'
    assert said in " ".join(both.gallery("sky").text().split())
    assert "another concept" not in both.gallery(concepts[first]).text()
