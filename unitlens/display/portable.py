"""Portable: a plotly figure that shows itself where plotly does not run: GitHub, nbviewer, nbconvert, terminals."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from unitlens.display.ink import inked
from unitlens.display.markup import wrapped
from unitlens.display.svg import plain_words
from unitlens.display.vector import drawable, vector

_LIVE = "application/vnd.plotly.v1+json"


class PortableFigure(go.Figure):
    """A plotly figure whose notebook output holds a drawing and words beside plotly's own data.

    Live notebooks show plotly's interactive chart, its words in the page's text colour; a page that cannot, the SVG; a
    terminal, the alt text (`figure.layout.meta["alt"]`). Everything else is `plotly.graph_objects.Figure`.
    """

    def alt(self) -> str:
        """The figure in words: its alt text, or else its title."""
        said = self.layout.meta.get("alt") if isinstance(self.layout.meta, dict) else None
        return str(said or plain_words(self.layout.title.text or "chart"))

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        bundle = dict(super()._repr_mimebundle_(*args, **kwargs))
        if _LIVE in bundle:
            bundle[_LIVE] = inked(bundle[_LIVE])
        if "image/svg+xml" not in bundle and drawable(self):
            bundle["image/svg+xml"] = vector(self)
        return {**bundle, "text/plain": wrapped(self.alt())}

    def show(self, *args: Any, **options: Any) -> None:
        """Shows the figure, as a notebook does by itself; with a renderer or other options, as plotly does."""
        if args or options or not super()._repr_mimebundle_():
            super().show(*args, **options)
        else:
            self._ipython_display_()

    def _ipython_display_(self) -> None:
        """What notebooks ask first. A renderer that opens a window of its own has no bundle, and is left to plotly."""
        import plotly.io as pio

        live = pio.renderers.render_on_display and super()._repr_mimebundle_()
        if pio.renderers.render_on_display and pio.renderers.default and not live:
            super()._ipython_display_()
        else:
            from IPython.display import display

            display(self._repr_mimebundle_(), raw=True)
