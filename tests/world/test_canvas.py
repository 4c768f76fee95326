"""Canvas and Pen: points land where the hand derives them, and both layers are painted with the same shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unitlens.data.world.canvas import SUPERSAMPLE, Canvas, Pen, mix
from unitlens.data.world.dice import Dice
from unitlens.data.world.textures import TEXTURES, noise

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
TRIANGLE = [(0.11, 0.13), (0.83, 0.31), (0.37, 0.89)]


def blank(size: int = 40) -> Canvas:
    return Canvas(size, Dice("canvas", 5))


def ids(canvas: Canvas) -> np.ndarray:
    return np.asarray(canvas.ids)


def rgb(canvas: Canvas) -> np.ndarray:
    return np.asarray(canvas.rgb).astype(int)


# ---- pens --------------------------------------------------------------------------------------------------------


def test_the_pen_of_the_picture_has_its_coordinates():
    pen = blank().pen()
    assert pen.place(0.25, 0.75) == (0.25, 0.75) and pen.unit == 1.0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # a pen of height 0.5 with its foot at (0.3, 0.8); the point lies 0.2 units to the right and 0.4 up
        ({}, (0.3 + 0.1, 0.8 - 0.2)),
        ({"flip": True}, (0.3 - 0.1, 0.8 - 0.2)),
        ({"lean": math.pi / 2}, (0.3 + 0.2, 0.8 + 0.1)),  # fallen over to the right: up is right, right is down
        ({"lean": -math.pi / 2}, (0.3 - 0.2, 0.8 - 0.1)),  # to the left
        ({"lean": math.pi / 2, "flip": True}, (0.3 + 0.2, 0.8 - 0.1)),
    ],
)  # fmt: skip
def test_an_objects_pen_stands_on_its_foot(options, expected):
    pen = blank().at(0.3, 0.8, 0.5, **options)
    assert pen.place(0, 0) == (0.3, 0.8)
    assert pen.place(0.2, 0.4) == pytest.approx(expected)
    assert pen.unit == pytest.approx(0.5)


def test_a_lean_of_thirty_degrees_by_sine_and_cosine():
    pen = blank().at(0.5, 0.5, 0.4, lean=math.radians(30))
    assert pen.place(0, 1) == pytest.approx((0.5 + 0.4 * 0.5, 0.5 - 0.4 * math.sqrt(3) / 2)), (
        "its top leans to the right"
    )
    assert pen.place(1, 0) == pytest.approx((0.5 + 0.4 * math.sqrt(3) / 2, 0.5 + 0.4 * 0.5))


def test_a_pen_inside_a_pen_multiplies_the_scales_and_keeps_what_is_up():
    tree = blank().at(0.3, 0.8, 0.5)
    bird = tree.at(0.2, 0.6, 0.1)
    assert bird.place(0, 0) == pytest.approx((0.4, 0.5))
    assert bird.place(1, 1) == pytest.approx((0.45, 0.45)), "y is up in the tree, so it is up in the bird"
    assert bird.unit == pytest.approx(0.05)
    flat = blank().pen().at(0.2, 0.6, 0.1)
    assert flat.place(1, 1) == pytest.approx((0.3, 0.7)), "y is down in the picture"
    assert flat.at(0, 0, 1, up=True).place(1, 1) == pytest.approx((0.3, 0.5))
    assert tree.at(0.2, 0.6, 0.1, flip=True).at(0, 0, 1, flip=True).place(1, 1) == pytest.approx(bird.place(1, 1))


# ---- shapes ------------------------------------------------------------------------------------------------------


def test_a_rectangle_covers_its_pixels_in_both_layers():
    canvas = blank()  # 80 pixels a side while it is painted
    canvas.pen().rectangle(0.25, 0.5, 0.75, 0.95, RED, "wall", None, "brick")
    inside = np.zeros((80, 80), bool)
    inside[40:77, 20:61] = True  # PIL's polygons include their border
    assert np.array_equal(ids(canvas) == 1, inside)
    assert np.array_equal((rgb(canvas) == RED).all(-1), inside)
    assert set(map(tuple, rgb(canvas)[~inside])) == {(128, 128, 128)}


PAINTS = {
    "plain": {"colour": GREEN},
    "gradient": {"colour": (GREEN, BLUE)},
    "textured": {"colour": GREEN, "texture": "grass"},
    "both": {"colour": (GREEN, BLUE), "texture": "wood"},
}


@pytest.mark.parametrize("paint", PAINTS.values(), ids=PAINTS)
@pytest.mark.parametrize("shape", ["polygon", "ellipse", "line", "blob", "cut by the edge"])
def test_both_layers_are_painted_with_the_same_pixels(shape, paint):
    canvas = blank()
    pen, end = canvas.pen(), (paint["colour"], "tree", "crown", "foliage")
    texture = {"texture": paint.get("texture")}
    if shape == "polygon":
        pen.polygon(TRIANGLE, *end, **texture)
    elif shape == "ellipse":
        pen.ellipse(0.43, 0.61, 0.31, 0.17, *end, **texture)
    elif shape == "line":
        pen.line([(0.1, 0.2), (0.6, 0.35), (0.7, 0.9)], 0.06, *end, **texture)
    elif shape == "blob":
        pen.blob(0.4, 0.6, 0.3, 0.2, *end, **texture)
    else:
        pen.polygon([(-0.4, 0.2), (0.5, -0.3), (0.9, 1.4)], *end, **texture)
    painted = (rgb(canvas) != 128).any(-1)
    assert np.array_equal(painted, ids(canvas) == 1)
    assert 0.02 < painted.mean() < 0.9


@pytest.mark.parametrize("paint", PAINTS.values(), ids=PAINTS)
def test_the_paint_does_not_change_the_shape(paint):
    plain, other = blank(), blank()
    plain.pen().polygon(TRIANGLE, RED, "tree")
    other.pen().polygon(TRIANGLE, paint["colour"], "tree", texture=paint.get("texture"))
    assert np.array_equal(ids(plain), ids(other))


def test_later_strokes_hide_earlier_ones_in_both_layers():
    canvas = blank()
    pen = canvas.pen()
    pen.rectangle(0, 0, 1, 1, RED, "wall")
    pen.rectangle(0.5, 0, 1, 1, BLUE, "door", "handle", "metal")
    assert canvas.planes()[1] == [("wall", None, None), ("door", "handle", "metal")]
    assert np.array_equal((rgb(canvas) == BLUE).all(-1), ids(canvas) == 2)
    assert np.array_equal((rgb(canvas) == RED).all(-1), ids(canvas) == 1)


def test_a_surface_has_one_id_however_often_it_is_painted():
    canvas = blank()
    assert [
        canvas.surface("wall", None, "brick"),
        canvas.surface("wall", None, None),
        canvas.surface("wall", None, "brick"),
    ] == [1, 2, 1]


def test_what_lies_outside_the_picture_is_not_painted_but_its_dice_are_thrown():
    """Otherwise a scene would depend on which of its things are in sight, and so on its size."""
    outside, inside = blank(), blank()
    outside.pen().rectangle(1.5, 0.2, 1.7, 0.4, RED, "wall", texture="brick")
    inside.pen().rectangle(0.5, 0.2, 0.7, 0.4, RED, "wall", texture="brick")
    assert (ids(outside) == 0).all() and outside.planes()[1] == []
    assert (ids(inside) == 1).any()
    assert outside.dice.uniform() == inside.dice.uniform()


def test_a_gradient_goes_from_the_first_colour_at_the_top_to_the_last_at_the_bottom():
    canvas = blank()
    canvas.pen().rectangle(0, 0, 1, 1, ((10, 200, 50), (210, 100, 50)), "sky")
    column = rgb(canvas)[:, 33]
    share = (np.arange(80) + 0.5) / 80
    expected = np.array([10, 200, 50]) + share[:, None] * np.array([200, -100, 0])
    assert np.abs(column - expected).max() <= 0.5
    assert (rgb(canvas) == column[:, None]).all(), "the same in every column"


def test_haze_mixes_its_colour_into_all_that_the_pen_draws():
    canvas = blank()
    far = canvas.pen().at(0.1, 0.1, 0.8).hazed((200, 220, 240), 0.25)
    far.rectangle(0, 0, 0.5, 1, (100, 60, 40), "hill")
    far.at(0.5, 0, 1).rectangle(0, 0, 0.5, 1, (100, 60, 40), "hill", texture="cloudy")
    assert rgb(canvas)[40, 20].tolist() == [125, 100, 90]  # 3/4 of it and 1/4 of the haze
    calm, wild = rgb(canvas)[20:60, 50:68, 0], blank()
    wild.pen().at(0.1, 0.1, 0.8).at(0.5, 0, 1).rectangle(0, 0, 0.5, 1, (125, 100, 90), "hill", texture="cloudy")
    assert calm.std() == pytest.approx(0.75 * rgb(wild)[20:60, 50:68, 0].std(), rel=0.1), "patterns fade as colours do"


def test_names_that_are_not_in_the_vocabulary_are_refused():
    pen = blank().pen()
    for names in [("wal", None, None), ("wall", "rof", None), ("wall", "roof", "marzipan")]:
        with pytest.raises(KeyError, match=r"is not in unitlens\.data\.world\.vocabulary"):
            pen.rectangle(0, 0, 1, 1, RED, *names)
    with pytest.raises(KeyError, match="velvet"):
        pen.rectangle(0, 0, 1, 1, RED, "wall", texture="velvet")


def test_the_finished_picture_is_the_mean_of_its_four_pixels_and_the_labels_one_of_them():
    canvas = blank()
    canvas.pen().polygon(TRIANGLE, (200, 40, 0), "tree")
    fine, picture, (surface, names) = rgb(canvas), canvas.picture(), canvas.planes()
    assert picture.shape == (40, 40, 3) and picture.dtype == surface.dtype == np.uint8 and surface.shape == (40, 40)
    for y, x in [(5, 5), (8, 9), (20, 20), (30, 14), (22, 31)]:
        block = fine[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        assert np.abs(picture[y, x] - block.mean((0, 1))).max() <= 0.5
        assert surface[y, x] == ids(canvas)[2 * y + 1, 2 * x + 1]
    assert names == [("tree", None, None)] and SUPERSAMPLE == 2
    assert picture.flags.writeable, "torch.from_numpy would warn"


# ---- light -------------------------------------------------------------------------------------------------------

LIGHTS = {
    "shade": lambda c: c.shade([(0.2, 0.2), (0.9, 0.3), (0.5, 0.9)], 0.6),
    "hard shade": lambda c: c.shade([(0.2, 0.2), (0.9, 0.3), (0.5, 0.9)], 0.6, blur=0),
    "shade cut by the edge": lambda c: c.shade([(-0.5, 0.2), (0.5, 0.3), (0.5, 1.9)], 0.6),
    "glow": lambda c: c.glow([(0.2, 0.2), (0.9, 0.3), (0.5, 0.9)], (255, 220, 150), 0.5),
    "shadow": lambda c: c.shadow(0.5, 0.6, 0.5, 0.1, 0.8),
    "light": lambda c: c.light((1.1, 0.9, 0.7), 0.8, slope=0.3),
    "fog": lambda c: c.fog((230, 230, 235), 0.0, 0.8, 0.7),
}


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
def test_light_changes_the_picture_and_never_the_labels(light):
    canvas = blank()
    canvas.pen().rectangle(0, 0, 1, 1, (120, 130, 90), "grass")
    canvas.pen().polygon(TRIANGLE, (90, 60, 40), "tree", "trunk", "wood")
    before, picture = ids(canvas).copy(), rgb(canvas)
    light(canvas)
    assert np.array_equal(ids(canvas), before)
    assert np.abs(rgb(canvas) - picture).max() > 10


def test_shade_outside_the_picture_changes_nothing():
    canvas = blank()
    canvas.shade([(1.5, 0.2), (1.9, 0.3), (1.7, 0.9)])
    assert (rgb(canvas) == 128).all()


def test_light_multiplies_and_darkens_towards_the_lower_edge():
    canvas = blank()
    canvas.pen().rectangle(0, 0, 1, 1, (100, 200, 50), "wall")
    canvas.light((1.0, 0.5, 2.0), gain=1.5, slope=0.4)
    top, bottom = rgb(canvas)[0, 7], rgb(canvas)[-1, 7]
    assert top.tolist() == [150, 150, 150]
    assert bottom.tolist() == [90, 90, 90]  # 150 * (1 - 0.4)


def test_fog_is_full_at_its_top_and_gone_at_its_bottom():
    canvas = blank()
    canvas.pen().rectangle(0, 0, 1, 1, (0, 0, 0), "sea")
    canvas.fog((200, 200, 200), 0.25, 0.75, 0.8)
    column = rgb(canvas)[:, 3, 0]
    for row in (0, 19, 30, 40, 50, 60, 79):
        share = 0.8 * min(1.0, max(0.0, (0.75 - (row + 0.5) / 80) / 0.5))
        assert column[row] == pytest.approx(200 * share, abs=1.5)


# ---- textures ----------------------------------------------------------------------------------------------------


def grid(height: int, width: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    v = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / side
    u = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / side
    return np.broadcast_arrays(u, v)


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_is_a_factor_around_one(name):
    pattern = TEXTURES[name](*grid(120, 140, 140), 0.37)
    assert pattern.shape == (120, 140) and np.isfinite(pattern).all()
    assert pattern.min() > 0.3 and pattern.max() < 1.6
    assert 0.8 < pattern.mean() < 1.1 and pattern.std() > 0.01


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_at_a_place_does_not_depend_on_the_piece_that_is_painted(name):
    u, v = grid(60, 90, 128)
    whole = TEXTURES[name](u, v, 0.61)
    part = TEXTURES[name](*np.broadcast_arrays(u[:1, 20:50], v[11:40, :1]), 0.61)
    assert np.abs(part - whole[11:40, 20:50]).max() < 1e-4


def test_noise_on_an_upright_grid_is_the_noise_of_its_points():
    """The quick way, along one axis and then the other, against one point at a time."""
    u, v = grid(30, 50, 60)
    quick = noise(u, v, 17, 29, 0.4)
    slow = [
        [noise(np.full((1, 2), u[y, x]), np.full((1, 2), v[y, x]), 17, 29, 0.4)[0, 0] for x in range(50)]
        for y in range(30)
    ]
    assert np.abs(quick - np.array(slow)).max() < 1e-5
    assert -1 <= quick.min() < -0.3 and 0.3 < quick.max() <= 1


# ---- colours and dice --------------------------------------------------------------------------------------------


def test_mix_lies_between_two_colours():
    assert mix((0, 100, 200), (100, 0, 200), 0.25) == (25.0, 75.0, 200.0)


def test_dice_are_fair_within_their_range_and_the_same_for_the_same_key():
    dice = Dice("fair", 3)
    rolls = [dice.integer(1, 6) for _ in range(6000)]
    assert set(rolls) == {1, 2, 3, 4, 5, 6} and max(abs(rolls.count(k) - 1000) for k in range(1, 7)) < 150
    weighted = [dice.pick("abc", [1, 0, 3]) for _ in range(2000)]
    assert "b" not in weighted and abs(weighted.count("c") / 2000 - 0.75) < 0.05
    assert abs(np.std([dice.bell(2, 0.5) for _ in range(3000)]) - 0.5) < 0.03
    assert sorted(dice.shuffled(range(9))) == list(range(9))
    colour = dice.jitter((0, 128, 255), 20)
    assert all(0 <= c <= 255 for c in colour) and abs(colour[1] - 128) <= 20
    assert Dice("a", 1).uniform() == Dice("a", 1).uniform() != Dice("a", 2).uniform()


def test_pens_share_the_canvas():
    canvas = blank()
    pen = canvas.at(0.5, 0.5, 0.2)
    assert isinstance(pen, Pen) and pen.canvas is canvas and pen.hazed(RED, 0.5).canvas is canvas
