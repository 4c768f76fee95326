"""Browser: thousands of units to search, sort, open and compare, live in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from unitlens.display.atlas import Atlas
from unitlens.display.cards import browser_twin
from unitlens.display.modules import browser_stylesheet, module
from unitlens.display.pack import joined
from unitlens.dissection.result import Dissection
from unitlens.errors import LayerNotFound, OptionError
from unitlens.widgets.live import LiveView

ORDERS = ("iou", "concept", "unit")
MASKS = ("outline", "heat", "dim", "plain")


class UnitList(traitlets.List):
    """A list that an array of unit numbers can be given to."""

    def validate(self, obj: Any, value: Any) -> Any:
        return super().validate(obj, value.tolist() if isinstance(value, np.ndarray) else value)


class Browser(LiveView):
    """All units of one or more dissections; made by `browse`.

    Every trait can be read, set and observed: layer (a key of `layers`, "" = all), query (as typed in the search
    field; quotes ask for one concept: '"tree (object)"'), category, order ("iou", "concept", "unit"), masks ("outline",
    "heat", "dim", "plain"), quantile, min_iou, beats_chance, compare (the key of a second layer), selected (the pinned
    units), opened (the unit on view).
    """

    _esm = module("kernel.js")
    _css = browser_stylesheet()

    _about = traitlets.Dict().tag(sync=True)
    layer = traitlets.Unicode().tag(sync=True)
    query = traitlets.Unicode().tag(sync=True)
    category = traitlets.Unicode().tag(sync=True)
    order = traitlets.Enum(ORDERS, "iou").tag(sync=True)
    masks = traitlets.Enum(MASKS, "outline").tag(sync=True)  # "style" is ipywidgets' own
    quantile = traitlets.Float().tag(sync=True)
    min_iou = traitlets.Float(min=0.0, max=1.0).tag(sync=True)
    beats_chance = traitlets.Bool(False).tag(sync=True)
    compare = traitlets.Unicode().tag(sync=True)
    selected: Any = UnitList().tag(sync=True)
    opened: Any = traitlets.Union([traitlets.List(), traitlets.CInt()]).tag(sync=True)
    height = traitlets.Int(760, min=240, max=4000).tag(sync=True)

    def __init__(self, dissections: Sequence[Dissection], **traits: Any):
        self.atlas = Atlas(dissections)
        self.layers = tuple(self.atlas.places)
        first = self.atlas.dissections[0]
        last = [key for key, (of, _) in self.atlas.places.items() if of == 0][-1]
        start = {
            "_about": self.atlas.about(), "layer": last, "quantile": float(first.quantile),
            "min_iou": float(first.min_iou),
        }  # fmt: skip
        super().__init__(self._answered, browser_twin(self.atlas.dissections), **{**start, **traits})

    def _answered(self, question: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        kind = question.get("kind")
        if kind == "layer":
            return self.atlas.layer(self._key(question.get("key")))
        if kind == "units":
            return self.atlas.units(self._key(question.get("key")), question["units"], question.get("images"))
        if kind == "pictures":
            return joined(self.atlas.pictures(int(question["of"]), question["ids"]))
        raise OptionError(f"kind: expected 'layer', 'units' or 'pictures', got {kind!r}")

    def _key(self, key: Any) -> str:
        if key not in self.atlas.places:
            raise LayerNotFound(str(key), self.layers, dissected=True)
        return str(key)

    @traitlets.validate("layer", "compare")
    def _known_layer(self, proposal: Any) -> str:
        return self._key(proposal["value"]) if proposal["value"] else ""

    @traitlets.validate("quantile")
    def _known_quantile(self, proposal: Any) -> float:
        """The nearest level that the page knows, so that what is read back is what is shown."""
        places = [self.atlas.places[key] for key in ([self.layer] if self.layer in self.layers else self.layers)]
        value, levels = float(proposal["value"]), max((self.atlas.levels[of] for of, _ in places), key=len)
        if not levels[0] <= value <= levels[-1]:
            raise OptionError(f"quantile: this result is known from {levels[0]:g} to {levels[-1]:g}, got {value:g}")
        return float(min(levels, key=lambda level: abs(math.log((1 - level) / (1 - value)))))

    @traitlets.validate("category")
    def _known_category(self, proposal: Any) -> str:
        known = {c for found in self.atlas.dissections for c in found.vocabulary.categories}
        if proposal["value"] and proposal["value"] not in known:
            raise OptionError(f"category: expected one of {', '.join(sorted(known))}, got {proposal['value']!r}")
        return str(proposal["value"])

    @traitlets.validate("selected")
    def _known_units(self, proposal: Any) -> list[list[Any]]:
        """Units as [layer, unit], each once; a number alone is a unit of the layer on view."""
        pairs = [self._unit(one, "selected") for one in proposal["value"]]
        return [list(pair) for pair in dict.fromkeys(map(tuple, pairs))]

    @traitlets.validate("opened")
    def _known_unit(self, proposal: Any) -> list[Any]:
        """[layer, unit]; a number alone is a unit of the layer on view, [] closes what is open."""
        value = proposal["value"]
        if not isinstance(value, list):
            return self._unit(value, "opened")
        return self._unit(value[0] if len(value) == 1 else value, "opened") if value else []

    def _unit(self, one: Any, name: str) -> list[Any]:
        pair = list(one) if isinstance(one, (list, tuple)) else [self.layer or self.layers[-1], one]
        if len(pair) != 2 or pair[0] not in self.atlas.places:
            known = ", ".join(map(repr, self.layers))
            raise OptionError(f"{name}: expected units, or (layer, unit) with a layer of {known}; got {one!r}")
        of, layer = self.atlas.places[pair[0]]
        units = self.atlas.dissections[of].layers[layer].units
        if isinstance(pair[1], bool) or not isinstance(pair[1], (int, np.integer)) or not 0 <= pair[1] < units:
            raise OptionError(f"{name}: expected a unit 0..{units - 1} of {pair[0]}, got {pair[1]!r}")
        return [pair[0], int(pair[1])]


def browse(dissection: Dissection, *others: Dissection, **traits: Any) -> Browser:
    """Opens the unit browser: search, filter, sort, open and compare units; move the quantile and see masks, labels
    and IoU answer.

    dissection, others: results; of several (two models, two checkpoints) every layer is a tab of its own. traits: what
    the view starts with, such as layer="conv5_3", query="tree", compare="conv4_3", height=800; see `Browser`, whose
    traits can be read and set at any time. Raises OptionError, LayerNotFound.

    >>> import unitlens as ul
    >>> probe = ul.load_probe("scenes", count=36)
    >>> found = ul.dissect(ul.load_model("scenenet"), ["conv4_3", "conv5_3"], probe, show_progress=False)
    >>> view = ul.browse(found, query="sky")
    >>> view.layer, view.query
    ('conv5_3', 'sky')
    >>> view.selected = [12, ("conv4_3", 7)]
    >>> view.selected
    [['conv5_3', 12], ['conv4_3', 7]]
    """
    for one in (dissection, *others):
        if not isinstance(one, Dissection):
            raise OptionError(f"dissection: expected what `unitlens.dissect` gives, got {type(one).__name__}")
    unknown = [name for name in traits if name.startswith("_") or name not in Browser.class_trait_names(sync=True)]
    if unknown:
        raise OptionError(f"browse: unknown option {unknown[0]!r}; expected one of {', '.join(_options())}")
    return Browser([dissection, *others], **traits)


def _options() -> list[str]:
    mine = (name for name, trait in vars(Browser).items() if isinstance(trait, traitlets.TraitType))
    return [name for name in mine if not name.startswith("_")]
