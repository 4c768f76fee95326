"""The bench of a generator in a plain page: the pictures on view are those that Python makes of the same state."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import traitlets
from PIL import Image

import unitlens as ul
from unitlens.errors import OptionError, RecipeMismatch

LAYER = "layer4"
FETCH = """async (kind) => {
  const image = document.querySelectorAll(".ul-scene img")[kind];
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  await image.decode();
  canvas.getContext("2d").drawImage(image, 0, 0, 64, 64);
  return Array.from(canvas.getContext("2d").getImageData(0, 0, 64, 64).data);
}"""


@pytest.fixture(scope="module")
def world(unitlens_home: Any) -> dict[str, Any]:
    """SceneGenerator, 100 samples of it, their dissection."""
    generator = ul.load_model("scenegenerator")
    samples = ul.from_generator(generator, 100)
    found = ul.dissect(generator, [LAYER, "layer6"], samples, show_progress=False)
    return {"model": generator, "layer": LAYER, "probe": samples, "dissection": found}


@pytest.fixture
def view(world: dict[str, Any]) -> Any:
    opened = ul.bench(**world, concept="tree", count=10)
    yield opened
    opened.close()


def rested(shown: Any) -> Any:
    shown.page.wait_for_selector(".ul-bench[data-rested=true]")
    shown.settle()
    return shown.page


def picture(page: Any, number: int) -> np.ndarray:
    return np.array(page.evaluate(FETCH, number)).reshape(64, 64, 4)[..., :3]


def agrees(page: Any, view: Any, number: int = 1) -> None:
    """A picture on view is the one that the whole generator makes with the same edit."""
    with ul.edit(view.stage.samples.generator, view.edit):
        made = view.stage.samples.generator.generate(view.stage.samples.latents[number : number + 1])
    expected = (255 * made[0]).permute(1, 2, 0).numpy()
    assert np.abs(picture(page, number) - expected).mean() < 4  # it has been a JPEG


def test_pictures_are_those_of_python(widget_page: Any, view: Any) -> None:
    page = rested(widget_page.show(view))
    assert page.locator(".ul-scene").count() == 12 and widget_page.troubles == []
    agrees(page, view)
    page.get_by_label("How many units").fill("40")
    rested(widget_page)
    assert view.count == 40 and len(view.units) == 40
    agrees(page, view, 3)
    told = page.locator("[role=status]").inner_text()
    assert told == "The 40 units that match tree best: removed altogether, everywhere."
    page.get_by_label("What is done").select_option("insert")
    page.get_by_label("How strongly").fill("1.5")
    rested(widget_page)
    assert view.action == "insert" and view.strength == 1.5
    thresholds = view.stage.dissection[LAYER].threshold[view.units]
    np.testing.assert_allclose(view.edit.values, 1.5 * thresholds, rtol=1e-6)
    agrees(page, view, 5)


def test_what_is_told_is_what_is_measured(widget_page: Any, view: Any) -> None:
    page = rested(widget_page.show(view))
    effect = view.effect
    before, after, _ = effect.share("tree")
    told = page.locator(".ul-asked").inner_text()
    assert told == f"tree {100 * before.value:.1f} % → {100 * after.value:.1f} %"
    assert view.text() == effect.text() and len(effect.before) == 12
    page.get_by_role("button", name="What is seen").click()
    rested(widget_page)
    assert view.look == "seen"
    colours = {tuple(colour) for colour in picture(page, 0).reshape(-1, 3)}
    assert len(colours) <= 16 and page.locator(".ul-key span").count() > 3


def test_a_click_chooses_a_cell_and_another_click_lets_go_of_it(widget_page: Any, view: Any) -> None:
    page = rested(widget_page.show(view))
    tile = page.locator(".ul-scene").nth(2)
    box = tile.bounding_box()
    spot = {"x": box["width"] * 5.5 / 8, "y": box["height"] * 2.5 / 8}
    tile.click(position=spot)
    rested(widget_page)
    assert view.cell == [2, 5] and page.get_by_label("Where").input_value() == "2,5"
    agrees(page, view, 2)
    assert page.locator(".ul-scene > i:not([hidden])").count() == 12
    tile.click(position=spot)
    rested(widget_page)
    assert view.cell == []
    page.get_by_label("Where").select_option("7,0")
    rested(widget_page)
    assert view.cell == [7, 0]


def test_undo_redo_reset_and_python(widget_page: Any, view: Any) -> None:
    page = rested(widget_page.show(view))
    view.count = 25
    view.concept = "sky"
    rested(widget_page)
    page.get_by_role("button", name="Undo").click()
    rested(widget_page)
    assert (view.concept, view.count) == ("tree", 25)
    page.get_by_role("button", name="Redo").click()
    rested(widget_page)
    assert view.concept == "sky"
    page.get_by_role("button", name="Reset").click()
    rested(widget_page)
    assert view.count == 0 and "All units are as they are." in page.locator("[role=status]").inner_text()
    view.undo()
    view.cell, view.action, view.strength = [1, 2], "insert", 2.0
    rested(widget_page)
    page.get_by_role("button", name="Python").click()
    code = page.locator(".ul-code pre").inner_text()
    assert code == view.code
    scope: dict[str, Any] = {"generator": view.stage.samples.generator}
    exec(code.rpartition("\n")[0], scope)  # up to what is measured
    with ul.edit(scope["generator"], scope["edit"]):
        made = scope["generator"].generate(scope["samples"].latents[:2])
    np.testing.assert_allclose(made.numpy(), view.stage.pictures(view.edit)[:2].numpy(), atol=1e-3)


def test_holding_shows_the_pictures_as_they_were(widget_page: Any, view: Any) -> None:
    page = rested(widget_page.show(view))
    button = page.get_by_role("button", name="Hold: before")
    button.focus()
    page.keyboard.down("Space")
    widget_page.settle()
    held = picture(page, 0)
    page.keyboard.up("Space")
    widget_page.settle()
    assert np.abs(held.astype(float) - view.stage.before[0]).mean() < 4
    assert np.abs(picture(page, 0).astype(float) - held).mean() > 0.5


def test_errors_are_shown_and_listeners_go(widget_page: Any, view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = rested(widget_page.show(view))

    def broken(*_: Any) -> None:
        raise OptionError("layer: it is gone")

    monkeypatch.setattr(view.stage, "pictures", broken)
    page.get_by_label("How many units").fill("3")
    page.wait_for_selector(".ul-trouble:not([hidden])")
    assert "layer: it is gone" in page.locator(".ul-trouble").inner_text()
    assert widget_page.clean() == [0]


def test_wrong_values_are_refused_in_words(world: dict[str, Any], view: Any) -> None:
    for name, value, words in (
        ("concept", "sofa", "concept: expected one that units of layer4 match"),
        ("count", 193, "count: expected 0..192"),
        ("strength", 4.0, "strength: expected 0..3"), ("cell", [8, 0], r"cell: expected \[\] or \[row, column\]"),
    ):  # fmt: skip
        with pytest.raises(traitlets.TraitError, match=words):
            setattr(view, name, value)
    with pytest.raises(OptionError, match="dissection: the bench of a generator"):
        ul.bench(world["model"], LAYER, world["probe"])
    with pytest.raises(OptionError, match="unknown option 'name'"):
        ul.bench(**world, name="tree")
    with pytest.raises(OptionError, match="expected the generator that the samples are of"):
        ul.bench(**{**world, "model": ul.load_model("scenegenerator", random=True)})
    with pytest.raises(RecipeMismatch):
        ul.bench(**{**world, "layer": "layer7", "dissection": _other(world)})


def test_learnt_units_come_first(widget_page: Any, world: dict[str, Any]) -> None:
    share = np.zeros(192)
    share[[7, 90]] = 0.5, 1
    learnt = ul.CausalUnits(ul.Concept("tree"), LAYER, share, share, share, np.zeros(1))
    view = ul.bench(**world, ranking=learnt, concept="tree", count=3)
    assert view.units == [90, 7]  # no other has a share
    page = rested(widget_page.show(view))
    assert page.locator("[role=status]").inner_text() == (
        "The 2 units that make tree most: removed altogether, everywhere.")  # fmt: skip
    view.concept = "door"
    assert view.units == [int(unit) for unit in world["dissection"].units_for("door", LAYER)[:3]]
    view.close()
    with pytest.raises(RecipeMismatch, match="ranking: it is of layer4"):
        ul.bench(**{**world, "layer": "layer6"}, ranking=[learnt])
    with pytest.raises(OptionError, match="takes what `causal_units` gives"):
        ul.bench(**world, ranking="tree")


def _other(world: dict[str, Any]) -> Any:
    """A dissection whose layer7 is another one."""
    import dataclasses

    found = world["dissection"]
    return dataclasses.replace(found, layers={"layer7": found["layer4"]})


def test_its_static_twin(view: Any) -> None:
    bundle, _ = view._repr_mimebundle_()
    assert "tree pixels gone" in bundle["text/html"] and bundle["text/html"].count("<img") == 4
    first = view.effect.examples[0]
    assert Image.open(io.BytesIO(first.before)).size == (64, 64)
    assert repr(view).startswith("StageBench on layer4: Ablate('layer4', 10 units)")


def test_words(run_node: Any) -> None:
    acts = {
        "cases": "[m.strengthWords('remove', 1), m.strengthWords('remove', 0.35), m.strengthWords('insert', 1.5)]",
        "one": "m.deedWords({concept: 'tree', action: 'remove', strength: 1, cell: [2, 3]}, 1)",
        "learnt": "m.deedWords({concept: 'tree', action: 'remove', strength: 1, cell: []}, 4, true)",
        "none": "m.deedWords({concept: 'tree', action: 'remove', strength: 0, cell: []}, 4)",
        "change": "m.changeWords('sky', 0.5, 0.375)",
    }
    said = run_node({"name": name, "file": "stagebench.js", "act": act, "given": None} for name, act in acts.items())
    assert said["cases"] == ["removed altogether", "35 % removed", "set to 1.5 × threshold"]
    assert said["one"] == "The unit that matches tree best: removed altogether, at row 2, column 3."
    assert said["learnt"] == "The 4 units that make tree most: removed altogether, everywhere."
    assert said["none"] == "All units are as they are." and said["change"] == "sky 50.0 % → 37.5 %"
