"""Villages: the family of scenes that the generator is trained on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from unitlens.data.scenes import SCENE_CONCEPTS, render_scene
from unitlens.errors import OptionError


def names_in(index: int) -> set[str]:
    shown = np.unique(render_scene(index, size=64, scene_class="village").labels)
    return {SCENE_CONCEPTS[label - 1].name for label in shown if label > 0}


def test_a_village_is_the_same_at_every_call_and_no_class() -> None:
    first, again = (render_scene(5, size=64, scene_class="village") for _ in range(2))
    assert np.array_equal(first.picture, again.picture) and np.array_equal(first.labels, again.labels)
    assert first.class_label == -1
    other = render_scene(6, size=64, scene_class="village")
    assert not np.array_equal(first.picture, other.picture)


def test_villages_show_what_is_to_be_removed_and_inserted() -> None:
    seen = Counter(name for index in range(60) for name in names_in(index))
    for name, least in {"sky": 60, "grass": 45, "tree": 30, "church": 20, "house": 15, "door": 45, "window": 55,
                        "path": 30, "cloud": 20, "dome": 5, "steeple": 10}.items():  # fmt: skip
        assert seen[name] >= least, (name, seen[name])


def test_villages_are_by_day() -> None:
    for index in range(40):
        picture = render_scene(index, size=64, scene_class="village").picture
        assert picture[:16].mean() > 80 and "moon" not in names_in(index)


def test_other_names_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(OptionError, match=r"church square, .*village; got 'town'"):
        render_scene(1, scene_class="town")
