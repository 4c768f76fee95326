"""StageBench: units of a generator removed and inserted by sliders, and what becomes of its pictures, live."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets
from PIL import Image

from unitlens.display.modules import browser_stylesheet, module
from unitlens.display.pack import joined
from unitlens.display.sheets import looks_of, painted_labels
from unitlens.errors import OptionError
from unitlens.intervene.edits import UnitEdit
from unitlens.rich import Html
from unitlens.synthesis.content import ContentEffect
from unitlens.synthesis.stage import ACTIONS, Stage, as_bytes
from unitlens.widgets.history import History
from unitlens.widgets.live import LiveView, Refused

STATE = ("concept", "count", "action", "strength", "cell")
SLIDERS = ("count", "strength")
HIGHEST = 3.0
TOLD = 6  # concepts whose change is told
SHOWN = 2  # how much larger pictures are sent than they are


class StageBench(LiveView):
    """The bench of a generator; made by `bench`.

    Every trait can be read, set and observed: concept (a name), count (how many of its units), action ("remove" or
    "insert"), strength (removing: the share taken away, 0 to 1; inserting: times the threshold, up to 3), cell
    ([] = everywhere, or [row, column]), look ("pictures" or "seen").
    """

    _esm = module("stagebench.js")
    _css = browser_stylesheet()

    _about = traitlets.Dict().tag(sync=True)
    concept = traitlets.Unicode().tag(sync=True)
    count = traitlets.Int(0).tag(sync=True)
    action = traitlets.Enum(ACTIONS, "remove").tag(sync=True)
    strength = traitlets.Float(1.0).tag(sync=True)
    cell: Any = traitlets.List(traitlets.Int()).tag(sync=True)
    look = traitlets.Enum(("pictures", "seen"), "pictures").tag(sync=True)
    can_undo = traitlets.Bool(False).tag(sync=True)
    can_redo = traitlets.Bool(False).tag(sync=True)

    def __init__(self, stage: Stage, **traits: Any):
        self.stage = stage
        self._history, self._dragged = History({}), False
        names = [concept.name for concept in stage.concepts]
        if not names:
            raise OptionError(f"dissection: no unit of {stage.layer} matches a concept; choose another layer")
        name = str(getattr(stage.samples.generator, "unitlens_name", type(stage.samples.generator).__name__))
        about = {
            "layer": stage.layer, "model": name, "units": stage.units, "concepts": names, "grid": list(stage.grid),
            "pictures": len(stage.before), "most": {n: len(stage.order(n)) for n in names},
            "learnt": [concept.name for concept in stage.learnt],
        }  # fmt: skip
        super().__init__(self._answered, Html("", ""), **{"_about": about, "concept": names[0], **traits})
        self._history = History(self._state())
        self.observe(self._changed, STATE)

    @property
    def units(self) -> list[int]:
        """The units that are changed."""
        return self._units(self._state())

    @property
    def edit(self) -> UnitEdit:
        """What is done to them, for `measure_content` and `edit`."""
        return self._edit(self._state())

    @property
    def effect(self) -> ContentEffect:
        """What it does to the pictures on view, as `measure_content` gives it."""
        return self.stage.effect(self.edit, self.concept)

    @property
    def code(self) -> str:
        """Python that repeats what is on view; `generator` is the one the bench was opened with."""
        return self._code(self._state())

    def undo(self) -> None:
        """Goes back one step, if there is one."""
        self._go(self._history.undo())

    def redo(self) -> None:
        """Takes back an undo."""
        self._go(self._history.redo())

    def reset(self) -> None:
        """Leaves all units as they are."""
        with self.hold_trait_notifications():
            self.count, self.strength, self.cell = 0, 1.0, []

    def _state(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in STATE}, "cell": list(self.cell)}

    def _units(self, state: Mapping[str, Any]) -> list[int]:
        return [int(u) for u in self.stage.order(state["concept"])[: max(0, int(state["count"]))]]

    def _edit(self, state: Mapping[str, Any]) -> UnitEdit:
        strength = float(state["strength"])
        kept = min(1.0, strength) if state["action"] == "remove" else strength
        return self.stage.edit(self._units(state), str(state["action"]), kept, state["cell"])

    def _code(self, state: Mapping[str, Any]) -> str:
        edit, cell = self._edit(state), list(state["cell"])
        values = ""
        if state["action"] == "insert":
            values = f", {[round(float(v), 4) for v in getattr(edit, 'values', ())]}"
        elif float(state["strength"]) < 1:
            values = f", {getattr(edit, 'factor', 0.0):g}"
        where = f"region = numpy.zeros({self.stage.grid})\nregion[{cell[0]}, {cell[1]}] = 1\n" if cell else ""
        return (
            f"import {'numpy' + chr(10) + 'import ' if cell else ''}unitlens as ul\n\n{where}"
            f"edit = ul.{type(edit).__name__}({self.stage.layer!r}, {self._units(state)}{values}"
            f"{', region=region' if cell else ''})\n"
            f"samples = ul.from_generator(generator, {len(self.stage.before)})\n"
            f"ul.measure_content(samples, edit, concept={state['concept']!r})"
        )

    def _answered(self, question: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        kind = question.get("kind")
        if kind in ("undo", "redo", "reset"):
            getattr(self, str(kind))()
            return {}
        state = {**self._state(), **{name: question[name] for name in STATE if name in question}}
        if kind == "before":
            return joined([_jpeg(one) for one in self.stage.before])
        if kind == "code":
            return {"bytes": np.frombuffer(self._code(state).encode(), np.uint8)}
        if kind == "state":
            after = as_bytes(self.stage.pictures(self._edit(state)))
            return {**joined([_jpeg(one) for one in after]), "units": np.array(self._units(state), np.int32)}
        if kind == "seen":
            return self._seen(state)
        raise OptionError(f"kind: expected 'state', 'before', 'seen' or 'code', got {kind!r}")

    def _seen(self, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """shares float32 (2, C): of the concepts before and after. files: the labels before, then after, as PNG; key:
        the labels that are named."""
        before, after, labels = self.stage.seen(self.stage.pictures(self._edit(state)))
        vocabulary = self.stage.trials.vocabulary
        concept = vocabulary[vocabulary.index(str(state["concept"]))]
        both = [one.cpu().numpy().astype(np.int16) for one in labels]
        mine = (both[0] == vocabulary.label(concept)).any((0, 2, 3)) | (both[1] == vocabulary.label(concept)).any(
            (0, 2, 3))  # fmt: skip
        plane = int(mine.argmax())
        looks = looks_of([side[:, plane] for side in both], concept, vocabulary)
        files = [_png(painted_labels(one, looks)) for side in both for one in side[:, plane]]
        order = np.argsort(-np.abs(after - before), kind="stable")[:TOLD]
        told = [c for c in (vocabulary.index(concept), *map(int, order)) if before[c] or after[c]]
        told = list(dict.fromkeys(told))[:TOLD]
        words = "\n".join(vocabulary[c].name for c in told) + "\0" + "\n".join(
            f"{vocabulary[label - 1].name}\t{colour}" for label, colour in looks.items())  # fmt: skip
        return {
            **joined(files), "shares": np.stack([before[told], after[told]]).astype(np.float32),
            "words": np.frombuffer(words.encode(), np.uint8),
        }  # fmt: skip

    def _changed(self, change: Any) -> None:
        self._history.record(self._state(), change["name"] if self._dragged and change["name"] in SLIDERS else "")
        self.can_undo, self.can_redo = self._history.can_undo, self._history.can_redo

    def set_state(self, sync_data: Any) -> None:
        """What the page has changed: only there is a slider dragged."""
        self._dragged = True
        try:
            super().set_state(sync_data)
        finally:
            self._dragged = False

    def _go(self, state: Mapping[str, Any] | None) -> None:
        if state is not None:
            with self.hold_trait_notifications():
                for name, value in state.items():
                    setattr(self, name, value)
        self.can_undo, self.can_redo = self._history.can_undo, self._history.can_redo

    @traitlets.validate("concept")
    def _known_concept(self, proposal: Any) -> str:
        known = [concept.name for concept in self.stage.concepts]
        if proposal["value"] not in known:
            raise Refused(f"concept: expected one that units of {self.stage.layer} match, such as {known[0]!r}; got "
                          f"{proposal['value']!r}")  # fmt: skip
        return str(proposal["value"])

    @traitlets.validate("count")
    def _known_count(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] <= self.stage.units:
            raise Refused(f"count: expected 0..{self.stage.units} units, got {proposal['value']}")
        return int(proposal["value"])

    @traitlets.validate("strength")
    def _known_strength(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= HIGHEST:
            raise Refused(f"strength: expected 0..{HIGHEST:g}, got {proposal['value']:g}")
        return float(proposal["value"])

    @traitlets.validate("cell")
    def _known_cell(self, proposal: Any) -> list[int]:
        cell, (rows, columns) = list(proposal["value"]), self.stage.grid
        if cell and not (len(cell) == 2 and 0 <= cell[0] < rows and 0 <= cell[1] < columns):
            raise Refused(f"cell: expected [] or [row, column] within {rows} x {columns}, got {cell}")
        return cell

    def text(self) -> str:
        """The text twin."""
        return self.effect.text()

    def __repr__(self) -> str:
        return f"StageBench on {self.stage.layer}: {self.edit!r}"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        effect = self.effect
        self._twin = Html(effect._repr_html_(), effect.text())
        return super()._repr_mimebundle_(**options)


def _jpeg(picture: np.ndarray) -> bytes:
    image, file = Image.fromarray(picture), io.BytesIO()
    larger = image.resize((SHOWN * image.width, SHOWN * image.height), Image.Resampling.BICUBIC)
    larger.save(file, "JPEG", quality=90, subsampling=0)  # colours of so small things must not run into each other
    return file.getvalue()


def _png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
