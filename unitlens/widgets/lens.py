"""Lens: drop a picture into the notebook and see which units fire where in it."""

from __future__ import annotations

import base64
import html
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import traitlets

from unitlens.display.atlas import levels_of
from unitlens.display.markup import page
from unitlens.display.modules import browser_stylesheet, module
from unitlens.dissection.look import look
from unitlens.dissection.looked import Look
from unitlens.dissection.result import Dissection
from unitlens.errors import LayerNotFound, OptionError
from unitlens.widgets.live import error_words

_SAMPLES = 10


class DropZone(anywidget.AnyWidget):
    """Where a picture is dropped, pasted or chosen. picture: what came last; status: what is said below."""

    _esm = module("lens.js")
    _css = browser_stylesheet()

    _samples: Any = traitlets.List().tag(sync=True)
    picture: Any = traitlets.Dict().tag(sync=True, echo_update=False)
    status = traitlets.Unicode().tag(sync=True)


class Lens(ipywidgets.VBox):
    """A picture at a time through the units of a layer; made by `lens`. `seen` is the last `Look`, or None.

    `show(image)` looks at an image that Python has; `layer` and `quantile` can be read and set.
    """

    seen: Any = traitlets.Any(None)
    layer = traitlets.Unicode()
    quantile = traitlets.Float()

    def __init__(
        self, model: Any, dissection: Dissection, image: Any = None, layer: str | None = None,
        quantile: float | None = None, **options: Any,
    ):  # fmt: skip
        self._model, self._dissection, self._options = model, dissection, options
        self._levels = levels_of(dissection)
        self._image: Any = None
        self._name = "The picture"
        kept = sorted(dissection.thumbnails)
        some = [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, _SAMPLES).astype(int))] if kept else []
        self._jpegs = [bytes(dissection.thumbnails[i]) for i in some]
        uris = ["data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii") for jpeg in self._jpegs]
        self.zone = DropZone(_samples=uris)
        names, start = list(dissection.layers), self._level(dissection.quantile if quantile is None else quantile)
        shares = [(f"top {100 * (1 - level):.3g} % of pixels", level) for level in self._levels]
        wide = {"style": {"description_width": "initial"}}
        which = ipywidgets.Dropdown(options=names, description="layer", **wide)
        how_much = ipywidgets.SelectionSlider(
            options=shares, value=start, description="units fire on", continuous_update=False,
            layout={"width": "420px"}, **wide,
        )  # fmt: skip
        self.page = ipywidgets.HTML()
        super().__init__([self.zone, ipywidgets.HBox([which, how_much]), self.page])
        self.layer, self.quantile = dissection.layer(layer).name, start
        traitlets.link((self, "layer"), (which, "value"))
        traitlets.link((self, "quantile"), (how_much, "value"))
        self.zone.observe(self._taken, "picture")
        self.observe(self._again, ["layer", "quantile"])
        if image is not None:
            self.show(image)

    def show(self, image: Any) -> Look:
        """Looks at an image (as `look` takes it) and shows what is seen. Raises what `look` raises."""
        seen = self._looked(image)
        self._draw(image, seen, "The picture")
        return seen

    @traitlets.validate("layer")
    def _known_layer(self, proposal: Any) -> str:
        if proposal["value"] not in self._dissection.layers:
            raise LayerNotFound(str(proposal["value"]), self._dissection.layers, dissected=True)
        return str(proposal["value"])

    @traitlets.validate("quantile")
    def _known_level(self, proposal: Any) -> float:
        return self._level(proposal["value"])

    def _level(self, quantile: float) -> float:
        """The nearest level that the slider has. Raises OptionError outside of what was counted."""
        lowest, highest = self._levels[0], self._levels[-1]
        if not lowest <= quantile <= highest:
            raise OptionError(f"quantile: this result is known from {lowest:g} to {highest:g}, got {quantile!r}")
        return float(min(self._levels, key=lambda level: abs(level - quantile)))

    def _looked(self, image: Any) -> Look:
        return look(self._model, image, self._dissection, self.layer, quantile=self.quantile, **self._options)

    def _draw(self, image: Any, seen: Look, name: str) -> None:
        """What is seen in an image, below the zone and in its words."""
        self._image, self.seen, self._name = image, seen, name
        self.page.value = seen._repr_html_()
        self.zone.status = f"{name}: {seen!r}"

    def _taken(self, change: Any) -> None:
        """A picture came from the page."""
        given = change["new"]
        if not given:
            return
        with self._telling():
            known = isinstance(given.get("sample"), int) and 0 <= given["sample"] < len(self._jpegs)
            image = self._jpegs[given["sample"]] if known else _bytes_of(str(given.get("data", "")))
            self._draw(image, self._looked(image), str(given.get("name", "The picture")))

    def _again(self, _: Any = None) -> None:
        """The picture once more, because the layer or the quantile is another."""
        if self._image is None:
            return
        with self._telling():
            self._draw(self._image, self._looked(self._image), self._name)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Shows an error on the page, where who has dropped the picture looks."""
        try:
            yield
        except Exception as error:
            self.seen, self.page.value = None, trouble(error)
            self.zone.status = "This did not work: see below."
            raise

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget, with HTML and text for pages that cannot show it."""
        data = dict(super()._repr_mimebundle_(**options) or {})
        if self.seen is not None:
            data |= {"text/html": self.seen._repr_html_(), "text/plain": self.seen.text()}
        return data

    def __repr__(self) -> str:
        return f"Lens on {self.layer}: {self.seen if self.seen is not None else 'no picture yet'}"


def _bytes_of(uri: str) -> bytes:
    head, _, data = uri.partition(",")
    if not head.startswith("data:image/"):
        raise OptionError(f"picture: expected a data URI of an image, got {head[:40]!r}")
    return base64.b64decode(data)


def trouble(error: BaseException) -> str:
    """An error as HTML, its traceback folded away."""
    words = error_words(error)
    trace = html.escape("".join(traceback.format_exception(error)))
    return page(
        f'<div class="ul-trouble" role="alert"><strong>{html.escape(words)}</strong>'
        f"<details><summary>Traceback</summary><pre>{trace}</pre></details></div>"
    )


def lens(
    model: Any, dissection: Dissection, image: Any = None, layer: str | None = None, **options: Any
) -> Lens:
    """Opens a place to drop pictures into: each is shown with the units that fire in it, where, and what they match.

    model: the one that was dissected. dissection: what `dissect` found. image: the first picture, as `look` takes it.
    layer: the last by default. options: as for `look` (quantile, preprocess, crop, basis).
    Raises what `look` raises.

    >>> import unitlens as ul
    >>> model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=36)
    >>> found = ul.dissect(model, "conv5_3", probe, show_progress=False)
    >>> view = ul.lens(model, found, ul.render_scene(5).picture)
    >>> view.seen.layer
    'conv5_3'
    """
    if not isinstance(dissection, Dissection):
        raise OptionError(f"dissection: expected what dissect(...) found, got {type(dissection).__name__}")
    return Lens(model, dissection, image, layer, **options)
