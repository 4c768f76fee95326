"""Live: what all our widgets share: questions answered by message, errors shown where they happen, static twins."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import numpy as np
import traitlets

from unitlens.display.pack import packed
from unitlens.errors import OptionError, UnitLensError
from unitlens.rich import Html

Answer = Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]]


def error_words(error: BaseException) -> str:
    """An error in one line; its class too, unless it is one of ours, which say all in words."""
    return str(error) if isinstance(error, UnitLensError) else f"{type(error).__name__}: {error}"


class Refused(OptionError, traitlets.TraitError):
    """A value that a trait does not take; several traits set together all stay as they were."""


class LiveView(anywidget.AnyWidget):
    """A widget whose page asks questions of Python.

    answer: gives the named arrays that a question asks for. twin: what is shown where no widget can be (GitHub, an
    exported page, a kernel that is gone). An error of `answer` is shown in the widget, with its traceback folded away.
    """

    def __init__(self, answer: Answer, twin: Html, **traits: Any):
        super().__init__(**traits)
        self._answer, self._twin = answer, twin
        self.on_msg(self._heard)

    def _heard(self, _: Any, question: Any, __: Any) -> None:
        if not isinstance(question, dict) or "id" not in question:
            return
        try:
            header, data = packed(self._answer(question))
        except Exception as error:
            self.send({"id": question["id"], "error": error_words(error), "trace": traceback.format_exc()})
            raise  # ipywidgets puts it into the kernel's log, where nobody looks: the page has said it
        if question.get("text"):  # the page has said that bytes beside a message do not reach it
            self.send({"id": question["id"], "header": header, "text": base64.b64encode(data).decode("ascii")})
        else:
            self.send({"id": question["id"], "header": header}, [data])

    def set_state(self, sync_data: Any) -> None:
        """What the page has changed; an error of whoever observes that is shown in the widget."""
        try:
            super().set_state(sync_data)
        except Exception as error:
            self.send({"trouble": error_words(error), "trace": traceback.format_exc()})
            raise

    def text(self) -> str:
        """The text twin."""
        return self._twin.text()

    def __repr__(self) -> str:
        return self._twin.text().partition("\n")[0]

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, with HTML and text for pages that cannot show it."""
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return {**data, "text/html": self._twin._repr_html_(), "text/plain": self._twin.text()}, metadata
