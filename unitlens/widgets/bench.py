"""Bench: units switched off by sliders, and what the classes lose at once, live in a notebook; opened by `bench`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ref

import numpy as np
import traitlets

from unitlens.display.modules import browser_stylesheet, module
from unitlens.errors import OptionError
from unitlens.intervene.edits import units_text
from unitlens.intervene.effect import Effect
from unitlens.intervene.tallies import MEASURES
from unitlens.rich import Html
from unitlens.widgets.benchdata import WAYS, BenchData
from unitlens.widgets.browser import Browser, UnitList
from unitlens.widgets.history import History
from unitlens.widgets.live import LiveView, Refused

STATE = ("by", "name", "numbers", "draw", "count", "factor")
SLIDERS = ("count", "factor")
HIGHEST = 3.0


class Bench(LiveView):
    """The ablation bench; made by `bench`.

    Every trait can be read, set and observed: by ("class", "concept", "numbers", "random"), name (the class or
    concept), numbers (units, for by="numbers"), draw (which lot, for by="random"), count (how many units are changed),
    factor (0 switches them off, 1 leaves them, 2 makes them twice as loud), measure ("balanced accuracy", "recall",
    "precision"), shown (the class whose pictures are on view, "" = all).
    """

    _esm = module("bench.js")
    _css = browser_stylesheet()

    _about = traitlets.Dict().tag(sync=True)
    by = traitlets.Enum(WAYS, "class").tag(sync=True)
    name: Any = traitlets.Unicode().tag(sync=True)
    numbers: Any = UnitList(traitlets.CInt()).tag(sync=True)
    draw = traitlets.Int(0, min=0).tag(sync=True)
    count = traitlets.Int(0).tag(sync=True)
    factor = traitlets.Float(0.0).tag(sync=True)
    measure = traitlets.Enum(MEASURES, "balanced accuracy").tag(sync=True)
    shown = traitlets.Unicode().tag(sync=True)
    can_undo = traitlets.Bool(False).tag(sync=True)
    can_redo = traitlets.Bool(False).tag(sync=True)

    def __init__(self, data: BenchData, **traits: Any):
        self.data = data
        self._links: list[tuple[Browser, Any]] = []
        self._history, self._dragged = History({}), False
        known = data.ranking.ranked
        start = {"_about": data.about(), "by": "class" if known else "random", "name": known[0] if known else ""}
        super().__init__(self._answered, Html("", ""), **{**start, **traits})
        self.name = self._state()["name"]
        self._history = History(self._state())
        self.observe(self._changed, STATE)

    @property
    def units(self) -> list[int]:
        """The units that are changed."""
        return [int(unit) for unit in self._units(self._state())]

    @property
    def effect(self) -> Effect:
        """What is on view, as `measure` gives it."""
        return self._effect(self._state())

    def _effect(self, state: Mapping[str, Any]) -> Effect:
        return self.data.effect(self._units(state), float(state["factor"]), self._words(state))

    @property
    def code(self) -> str:
        """Python that repeats what is on view; `model`, `probe` and `preprocess` are those that the bench was opened
        with."""
        return self._code(self._state())

    def _code(self, state: Mapping[str, Any]) -> str:
        layer, units, factor = self.data.workbench.layer, self._units(state).tolist(), float(state["factor"])
        edit = f"Ablate({layer!r}, {units})" if factor == 0 else f"Scale({layer!r}, {units}, {factor:g})"
        more = "".join(f", {name}={value}" for name, value in self.data.workbench.options.items())
        return f"import unitlens as ul\n\neffect = ul.measure(model, ul.{edit}, probe{more})\neffect"

    def undo(self) -> None:
        """Goes back one step, if there is one."""
        self._go(self._history.undo())

    def redo(self) -> None:
        """Takes back an undo."""
        self._go(self._history.redo())

    def reset(self) -> None:
        """Leaves all units as they are."""
        with self.hold_trait_notifications():
            self.count, self.factor = 0, 0.0

    def link(self, browser: Browser) -> Bench:
        """Takes the units that are pinned in a unit browser, those of this layer, now and whenever they change."""
        if not isinstance(browser, Browser):
            raise OptionError(f"browser: expected what `browse` gives, got {type(browser).__name__}")

        bench = ref(self)  # a browser that lives on must not keep every bench it ever served

        def take(_: Any = None) -> None:
            if (mine := bench()) is not None:
                layer, places = mine.data.workbench.layer, browser.atlas.places
                units = [unit for key, unit in browser.selected if places[key][1] == layer]
                mine.choose("numbers", list(dict.fromkeys(units)))

        browser.observe(take, "selected")
        self._links.append((browser, take))
        if browser.selected:
            take()
        return self

    def close(self) -> None:
        """Also lets go of the browsers it was linked with."""
        for browser, take in self._links:
            browser.unobserve(take, "selected")
        self._links = []
        super().close()

    def choose(self, by: str, what: Any = None, count: int | None = None, factor: float | None = None) -> Bench:
        """Units to change, all at once: by "class" or "concept" with its name, by "numbers" with the units, or
        "random" with the number of the lot. count: how many of them; of "numbers" all, else as many as before."""
        with self.hold_trait_notifications():
            self.by = by
            if by == "numbers":
                self.numbers = what
                count = len(self.numbers) if count is None else count
            elif by == "random":
                self.draw = what or 0
            elif what is not None:
                self.name = what
            self.count = self.count if count is None else count
            self.factor = self.factor if factor is None else factor
        return self

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {name: getattr(self, name) for name in STATE}
        state["numbers"] = list(state["numbers"])
        return {**state, "name": self._fitting(state["by"], state["name"])}

    def _fitting(self, by: str, name: str) -> str:
        """The name, or where it is none of this kind the first that is."""
        known = list(self.data.ranking.ranked if by == "class" else self.data.concepts)
        if by not in ("class", "concept") or name in known:
            return name
        return known[0] if known else ""

    def _order(self, state: Mapping[str, Any]) -> np.ndarray:
        return self.data.order(state["by"], self._fitting(state["by"], state["name"]), state["numbers"],
                               int(state["draw"]))  # fmt: skip

    def _units(self, state: Mapping[str, Any]) -> np.ndarray:
        return self._order(state)[: max(0, int(state["count"]))]

    def _words(self, state: Mapping[str, Any]) -> str:
        told, layer, factor = units_text(self._units(state)), self.data.workbench.layer, float(state["factor"])
        return f"{told} of {layer} {'switched off' if factor == 0 else f'times {factor:g}'}"

    def _answered(self, question: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        kind = question.get("kind")
        if kind in ("undo", "redo", "reset"):
            getattr(self, str(kind))()
            return {}
        if kind not in ("state", "control", "shots", "code", "table"):
            raise OptionError(f"kind: expected 'state', 'control', 'shots', 'code' or 'table', got {kind!r}")
        # The question says of which state: traits and questions may come in another order than they were sent.
        state = {**self._state(), **{name: question[name] for name in STATE if name in question}}
        if kind == "code":
            return {"bytes": np.frombuffer(self._code(state).encode(), np.uint8)}
        if kind == "table":
            return {"bytes": np.frombuffer(self._effect(state).frame().to_csv(index=False).encode(), np.uint8)}
        units, factor = self._units(state), float(state["factor"])
        if kind == "state":
            return self.data.state(units, factor, len(self._order(state)))
        if kind == "control":
            return self.data.control(len(units), factor)
        return self.data.shots(units, factor, str(question.get("shown", self.shown)))

    def _changed(self, change: Any) -> None:
        state = self._state()
        self._history.record(state, change["name"] if self._dragged and change["name"] in SLIDERS else "")
        self.name = state["name"]
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

    @traitlets.validate("count")
    def _known_count(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] <= self.data.workbench.units:
            raise Refused(f"count: expected 0..{self.data.workbench.units} units, got {proposal['value']}")
        return int(proposal["value"])

    @traitlets.validate("factor")
    def _known_factor(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= HIGHEST:
            raise Refused(f"factor: expected 0..{HIGHEST:g}, got {proposal['value']:g}")
        return float(proposal["value"])

    @traitlets.validate("by")
    def _known_way(self, proposal: Any) -> str:
        known = {"class": self.data.ranking.ranked, "concept": self.data.concepts}.get(proposal["value"], ["any"])
        if not known:
            raise Refused(f"by: there is no {proposal['value']} to choose units by; a dissection tells concepts")
        return str(proposal["value"])

    @traitlets.validate("name")
    def _known_name(self, proposal: Any) -> str:
        known = {*self.data.ranking.ranked, *self.data.concepts}
        if proposal["value"] not in known and known:
            raise Refused(f"name: expected a class or a concept of this layer, such as {sorted(known)[0]!r}; "
                          f"got {proposal['value']!r}")  # fmt: skip
        return str(proposal["value"])

    @traitlets.validate("numbers")
    def _known_numbers(self, proposal: Any) -> list[int]:
        try:
            self.data.order("numbers", "", proposal["value"], 0)
        except OptionError as error:
            raise Refused(str(error)) from None
        return [int(unit) for unit in proposal["value"]]

    @traitlets.validate("shown")
    def _known_class(self, proposal: Any) -> str:
        if proposal["value"] and proposal["value"] not in self.data.workbench.names:
            raise Refused(f"shown: expected a class of the probe set, got {proposal['value']!r}")
        return str(proposal["value"])

    def text(self) -> str:
        """The text twin."""
        return self.effect.text()

    def __repr__(self) -> str:
        return f"Bench on {self.data.workbench.layer}: {self._words(self._state())}"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        self._twin = Html(self.effect._repr_html_(), self.effect.text())
        return super()._repr_mimebundle_(**options)
