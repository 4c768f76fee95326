"""Results that show themselves: HTML in a notebook, text everywhere else, without knowing who draws them.

Results are plain data and live below the displays. A display module registers its drawing functions here with
`@renders(ResultClass, "gallery")`; a result asks for a view by name. The displays are imported at the first question.
"""

from __future__ import annotations

import html
import importlib
from collections.abc import Callable
from typing import Any

from unitlens.errors import UnitLensError

#: Modules whose import registers views; the facade `unitlens` names them.
view_modules: list[str] = []
_views: dict[tuple[type, str], Callable[..., Any]] = {}


def renders(kind: type, view: str = "html") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers the decorated function as the view of that name of a result class."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _views[kind, view] = function
        return function

    return register


class Rich:
    """Mixin: `_repr_html_` from the registered view, and the text twin as its fallback."""

    def text(self) -> str:
        """The text twin of the HTML: several plain lines."""
        return repr(self)

    def view(self, name: str, *args: Any, **options: Any) -> Any:
        """What the display module registered under this name for this class."""
        for module in view_modules:
            importlib.import_module(module)
        for kind in type(self).__mro__:
            if (kind, name) in _views:
                return _views[kind, name](self, *args, **options)
        kind_name = type(self).__name__
        raise UnitLensError(f"{kind_name} has no view {name!r}: import unitlens, which registers the displays")

    def _repr_html_(self) -> str:
        page = self.view("html")
        return page if isinstance(page, str) else f"<pre>{html.escape(self.text())}</pre>"


class Html(Rich):
    """A finished piece of HTML with its text twin; notebooks show the first, terminals the second."""

    def __init__(self, markup: str, text: str):
        self.markup, self._text = markup, text

    def text(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self.markup
