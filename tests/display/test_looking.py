"""Looking: what the page of a look says is what the look holds, and its names stand where their regions are."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from unitlens.data.concepts import Vocabulary
from unitlens.display import regions, theme
from unitlens.dissection.looked import Look
from unitlens.errors import OptionError
from unitlens.rich import Html, view_modules

EVIL = "<script>alert('x')</script>"
WORDS = Vocabulary([("sky", "object"), (EVIL, "weird \"kind\""), ("roof", "part")])
HEIGHT, WIDTH, ROWS, COLUMNS, UNITS = 48, 64, 6, 8, 9


@pytest.fixture(autouse=True, scope="module")
def displays() -> None:
    if "unitlens.display" not in view_modules:
        view_modules.append("unitlens.display")


def made(**changes: object) -> Look:
    """Nine units that fire on 1 to 8 columns, and one that never does; unit 3 is no detector, unit 5 has no concept."""
    maps = np.zeros((UNITS, ROWS, COLUMNS), dtype=np.float16)
    for unit in range(UNITS - 1):
        maps[unit, :, : unit + 1] = 2 + unit / 8
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    iou = np.array([0.5, 0.4, 0.3, 0.01, 0.2, 0, 0.1, 0.3, 0.2])
    parts: dict = {
        "picture": picture, "layer": "block<2>", "model": "tiny <b>net</b>", "maps": maps, "geometry": None,
        "image_size": (HEIGHT, WIDTH), "fires": maps > 1, "peak": maps.max((1, 2)).astype(np.float32),
        "highest": np.full(UNITS, 4, np.float32), "threshold": np.ones(UNITS, np.float32),
        "label": np.array([0, 1, 2, 0, 1, -1, 2, 0, 1]), "iou": iou, "vocabulary": WORDS, "quantile": 0.99,
        "min_iou": 0.04,
    }  # fmt: skip
    return Look(**{**parts, **changes})


class Page(HTMLParser):
    """Tags, attributes, images and words of a page; raises on tags that do not close."""

    def __init__(self, markup: str):
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[dict] = []
        self.images: list[dict] = []
        self.words = ""
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attributes))
        if tag == "img":
            self.images.append(dict(attributes))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data + " "


def decoded(image: dict) -> np.ndarray:
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("view", ["html", "show", "unit"])
def test_every_view_is_one_self_contained_harmless_page(view: str) -> None:
    look = made()
    markup = {"html": look, "show": look.show(7, style="heat"), "unit": look.unit(1)}[view]._repr_html_()
    page = Page(markup)
    assert page.tags.count("style") == 1
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not any(name.startswith("on") for attributes in page.attributes for name in attributes)
    assert "http" not in markup and "<script>" not in markup and "<b>net" not in markup
    assert all(image["alt"] and int(image["width"]) > 0 and int(image["height"]) > 0 for image in page.images)
    assert EVIL in page.words


def test_the_page_shows_the_strongest_units_with_their_numbers() -> None:
    look = made()
    page = Page(look._repr_html_())
    assert len(page.images) == 2 + 6
    words = re.sub(r"\s+", " ", page.words)
    assert "8 of 9 units fire" in words and "on average a unit fires on 1 % of a picture" in words
    for unit in (7, 6, 5, 4, 3, 2):
        share = (unit + 1) / 8  # of the cells of the grid
        assert f"unit {unit} · IoU {look.iou[unit]:.2f}" in words
        assert f"{100 * share:.0f} % of the picture, {100 * share:.0f} times its average" in words
    assert "unit 0 ·" not in words and words.count("no detector") == 1
    assert Page(look.show(2)._repr_html_()).tags.count("img") == 4


def test_alternative_texts_say_what_the_pictures_show() -> None:
    look = made()
    texts = [image["alt"] for image in Page(look._repr_html_()).images]
    assert texts[0].startswith("The picture, 64 by 48 pixels. Labels of detectors that fire: sky (object) 100 %")
    won = (look.segmentation(size=(480, 640)) == 7).mean()
    assert f"unit 7 (sky) {100 * won:.0f} %" in texts[1]
    assert texts[2] == "Where unit 7 fires, outlined: sky (object), 100 % of the picture"
    assert texts[4] == "Where unit 5 fires, outlined: no concept, 75 % of the picture"
    assert "as heat" in Page(look.show(1, style="heat")._repr_html_()).images[2]["alt"]


def test_concepts_have_a_row_each_with_share_and_units() -> None:
    markup = made()._repr_html_()
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>.*?>([^<]* %)</td><td[^>]*>(.*?)</td>", markup)
    assert [(row[1], row[2]) for row in rows] == [
        ("100 %", "units 7, 0"), ("88 %", "units 6, 2"), ("62 %", "units 4, 1")
    ]  # fmt: skip
    assert rows[0][0] == "sky" and "&lt;script&gt;" in rows[2][0]


def test_the_legend_has_the_colours_that_the_picture_shows() -> None:
    look = made()
    legend = re.search(r'<div class="ul-legend">(.*?)</div>', look._repr_html_()).group(1)  # type: ignore[union-attr]
    shown = [int(unit) for unit in re.findall(r"unit (\d+)", legend)]
    seen = set(np.unique(look.segmentation(size=(480, 640))).tolist()) - {-1}
    assert set(shown) == seen
    places = {unit: place for place, unit in enumerate(look.strongest().tolist())}
    assert re.findall(r"--fill:(#\w+)", legend) == [regions.COLOURS[places[unit]] for unit in shown]


def test_a_picture_in_which_nothing_fires_says_so() -> None:
    look = made(fires=np.zeros((UNITS, ROWS, COLUMNS), bool))
    page = Page(look._repr_html_())
    assert len(page.images) == 2
    assert "No unit of this layer fires" in page.words and "No detector fires" in page.words


def test_the_unit_view_says_how_strongly_it_fires() -> None:
    look = made()
    text = " ".join(look.unit(3).text().split())
    assert "unit 3 of block<2>: sky" in text
    assert "fires on 50 % of this picture, 50 times its average of 1 %" in text
    assert "activation here is 2.38; it fires above 1.00, and the highest over the probe set was 4.00" in text
    assert "IoU 0.01: below 0.04, so no detector" in text
    assert "does not fire" in look.unit(8).text()
    assert look.unit(5).text().split()[-2:] == ["the", "vocabulary."]


def test_views_have_text_twins_with_the_numbers_of_the_page() -> None:
    look = made()
    shown, words = look.show(), Page(look._repr_html_()).words
    assert isinstance(shown, Html) and repr(shown) == shown.text() == look.text()
    for unit in (7, 6, 5):
        assert re.search(rf"^ +{unit} ", look.text(), re.M) and f"unit {unit} " in words
    assert "<div" not in look.text()


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda look: look.show(0), "count"),
        (lambda look: look.show(8), "1 to 7"),
        (lambda look: look.show(2, style="loud"), "style"),
        (lambda look: look.unit(9), r"0\.\.8"),
        (lambda look: look.unit("x"), r"0\.\.8"),
    ],
)
def test_wrong_questions_are_refused(ask, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        ask(made())


def test_the_unit_picture_is_dark_where_it_does_not_fire() -> None:
    look = made(picture=np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    picture = decoded(Page(look.unit(3)._repr_html_()).images[0])
    assert picture.shape[:2] == (480, 640)
    assert abs(picture[240, 100].mean() - 200) < 4 and abs(picture[240, 600].mean() - 84) < 4


# ---- regions ----------------------------------------------------------------------------------------------------


def test_regions_have_their_own_colour_and_the_rest_is_dark_grey() -> None:
    where = np.full((60, 90), -1)
    where[:, :30], where[:, 30:60] = 4, 9
    painted = regions.painted_regions(np.full((60, 90, 3), 128, np.uint8), where, [9, 4]).astype(float)
    for column, place in ((15, 1), (45, 0)):
        wanted = np.array([int(regions.COLOURS[place][i : i + 2], 16) for i in (1, 3, 5)])
        pixel = painted[30, column]
        assert np.corrcoef(wanted, pixel)[0, 1] > 0.99
    assert np.ptp(painted[30, 80]) <= 1 and painted[30, 80].max() < 70
    assert painted[30, 30].min() > painted[30, [15, 45]].min() + 60, "a bright line between two regions"


def test_names_stand_inside_their_regions_and_never_on_each_other() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        cells = rng.integers(-1, 7, (3, 4))
        where = np.kron(cells, np.ones((40, 45), dtype=int))
        names = [(unit, "concept"[: 2 + unit]) for unit in range(7) if (cells == unit).any()]
        found = regions.pins(where, names)
        assert found
        for pin in found:
            assert 0 < pin.x < 100 and 0 < pin.y < 100
        boxes = [(p.x, p.y, 1.72 * (len(p.words) + 2) + 4.5) for p in found]
        for i, (x, y, width) in enumerate(boxes):
            for a, b, other in boxes[:i]:
                assert abs(x - a) >= (width + other) / 2 or abs(y - b) >= 5.6
        inner = [p for p in found if 12 < p.x < 88 and 10 < p.y < 90]
        assert all(where[int(p.y * 1.2), int(p.x * 1.8)] == p.unit for p in inner)


def test_a_unit_without_a_region_gets_no_name_and_a_long_name_is_cut() -> None:
    where = np.zeros((50, 80), dtype=int)
    (pin,) = regions.pins(where, [(0, "a very long name of a concept"), (1, "nowhere")])
    assert pin.unit == 0 and pin.words == "a very long name …"
    assert regions.pins(np.full((5, 5), -1), [(0, "sky")]) == []


def test_names_can_be_read_on_their_colours() -> None:
    where = np.repeat(np.arange(7), 20)[:, None] * np.ones((1, 140), dtype=int)
    found = regions.pins(where, [(unit, "sky") for unit in range(7)])
    assert len(found) == 7
    assert all(theme.contrast(pin.colour, pin.on) >= 4.5 for pin in found)
