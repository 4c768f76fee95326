"""History: states that can be gone back to and forward again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

MOST = 200
TOGETHER = 1.0  # seconds within which moves of one slider are one step

State = Mapping[str, Any]


class History:
    """The states of a view, the present one last.

    >>> history = History({"count": 0})
    >>> history.record({"count": 3}), history.record({"count": 5})
    (None, None)
    >>> history.undo(), history.undo(), history.undo(), history.redo()
    ({'count': 3}, {'count': 0}, None, {'count': 3})
    """

    def __init__(self, state: State):
        self.present: State = dict(state)
        self._past: list[State] = []
        self._future: list[State] = []
        self._moved: tuple[str, float] = ("", 0.0)  # the slider that moved last, and when

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier state."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether a state has been undone."""
        return bool(self._future)

    def record(self, state: State, slider: str = "") -> None:
        """A new state. slider: what was dragged to get there; a drag is one step, however many states it went through.
        A drag that ends where it began is no step."""
        if dict(state) == self.present:
            return
        now, (last, at) = time.monotonic(), self._moved
        if not (slider and slider == last and now - at < TOGETHER and self._past):
            self._past = [*self._past, self.present][-MOST:]
        self.present, self._future, self._moved = dict(state), [], (slider, now)
        if self._past[-1] == self.present:
            self._past.pop()
            self._moved = ("", 0.0)

    def undo(self) -> State | None:
        """The state before the present one, None where there is none."""
        return self._step(self._past, self._future)

    def redo(self) -> State | None:
        """The state that was undone last, None where there is none."""
        return self._step(self._future, self._past)

    def _step(self, source: list[State], other: list[State]) -> State | None:
        if not source:
            return None
        other.append(self.present)
        self.present, self._moved = source.pop(), ("", 0.0)
        return dict(self.present)
