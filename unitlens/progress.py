"""Progress: tqdm in a terminal, one updating HTML line in a notebook (which leaves no widget state behind)."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class Meter:
    """What `progress` yields: call `step(n)` when n more are done, `label(text)` when the work changes its name."""

    def __init__(self, title: str, total: int, unit: str):
        self.title, self.total, self.unit, self.done = title, total, unit, 0
        self.started = time.perf_counter()

    def step(self, count: int = 1) -> None:
        self.done += count

    def label(self, title: str) -> None:
        self.title = title

    def more(self, count: int) -> None:
        """So many more have turned out to be needed."""
        self.total += count

    def line(self) -> str:
        """One line: title, share, rate, time left."""
        seconds = max(1e-9, time.perf_counter() - self.started)
        rate = self.done / seconds
        left = (self.total - self.done) / rate if rate else 0.0
        share = self.done / self.total if self.total else 1.0
        end = f"{left:.0f} s left" if self.done < self.total else f"{seconds:.1f} s"
        done = f"{100 * share:.0f} %, {self.done:,} of {self.total:,} {self.unit}"
        return f"{self.title}: {done}, {rate:,.0f} {self.unit}/s, {end}"

    def close(self) -> None:
        pass


class _TerminalMeter(Meter):
    def __init__(self, title: str, total: int, unit: str):
        super().__init__(title, total, unit)
        from tqdm import tqdm

        self.bar: Any = tqdm(total=total, desc=title, unit=f" {unit}", leave=True, mininterval=0.3)

    def step(self, count: int = 1) -> None:
        super().step(count)
        self.bar.update(count)

    def label(self, title: str) -> None:
        super().label(title)
        self.bar.set_description(title)

    def more(self, count: int) -> None:
        super().more(count)
        self.bar.total = self.total
        self.bar.refresh()

    def close(self) -> None:
        self.bar.close()


class _NotebookMeter(Meter):
    def __init__(self, title: str, total: int, unit: str):
        super().__init__(title, total, unit)
        from IPython.display import HTML, display

        self._html, self._shown = HTML, 0.0
        self._display: Any = display(HTML(self._markup()), display_id=True)

    def _markup(self) -> str:
        share = min(1.0, self.done / self.total) if self.total else 1.0
        text = html.escape(self.line())
        return (
            f'<div style="font:13px system-ui,sans-serif;max-width:42em"><progress style="width:100%" max="1" '
            f'value="{share:.3f}" aria-label="{text}"></progress><div>{text}</div></div>'
        )

    def step(self, count: int = 1) -> None:
        super().step(count)
        if time.perf_counter() - self._shown > 0.2:
            self._shown = time.perf_counter()
            self._display.update(self._html(self._markup()))

    def close(self) -> None:
        text = html.escape(self.line())
        self._display.update(self._html(f'<div style="font:13px system-ui,sans-serif">{text}</div>'))


@contextmanager
def progress(title: str, total: int, *, unit: str = "images", show: bool = True) -> Iterator[Meter]:
    """A meter over `total` pieces of work; `show=False` counts silently."""
    kind = Meter if not show else _NotebookMeter if in_notebook() else _TerminalMeter
    meter = kind(title, total, unit)
    try:
        yield meter
    finally:
        meter.close()
