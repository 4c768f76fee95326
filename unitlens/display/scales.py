"""Scales: from the values of an axis to pixels, and where its ticks stand."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_SI = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k"))


def listed(values: Any) -> list[Any]:
    """What plotly holds as an array, as a list: tuples, NumPy arrays, and the typed arrays of copied figures."""
    if values is None:
        return []
    if isinstance(values, dict):  # {"dtype": "f8", "bdata": ...}
        values = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
    dates = isinstance(values, np.ndarray) and values.dtype.kind == "M"  # whose tolist() may be bare integers
    return values.tolist() if isinstance(values, np.ndarray) and not dates else list(values)


def item(values: Any, index: int, default: Any = None) -> Any:
    """The value of one point: from a list, or the one value for all."""
    if values is None:
        return default
    if isinstance(values, (str, int, float, bool)):
        return values
    found = listed(values)
    return found[index] if index < len(found) and found[index] is not None else default


def finite(value: Any) -> bool:
    """Whether a value is a number that can be drawn."""
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


@dataclass
class Scale:
    """One axis: its range low..high (log10 for "log", places for "category") lies on the pixels start..end."""

    kind: str
    names: list[str] = field(default_factory=list)
    low: float = 0.0
    high: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def place(self, value: Any) -> float | None:
        """Where a value lies along the axis; None where it cannot lie on it."""
        if self.kind == "category" and str(value) in self.names:
            return float(self.names.index(str(value)))
        if not finite(value):
            return None
        if self.kind == "log":
            return math.log10(value) if value > 0 else None
        return float(value)

    def pixel(self, place: float) -> float:
        """The pixel of a place."""
        return self.start + (place - self.low) / (self.high - self.low) * (self.end - self.start)

    def at(self, value: Any) -> float | None:
        """The pixel of a value."""
        place = self.place(value)
        return None if place is None else self.pixel(place)

    def share(self, part: float) -> float:
        """The pixel of a share of the axis, 0 its start and 1 its end."""
        return self.start + part * (self.end - self.start)

    def shows(self, place: float) -> bool:
        """Whether a place lies in the range."""
        slack = 1e-6 * abs(self.high - self.low)
        return min(self.low, self.high) - slack <= place <= max(self.low, self.high) + slack


def scale(axis: dict[str, Any], values: Iterable[Any]) -> Scale:
    """The scale of an axis over the values of its traces, not yet with its range."""
    found = list(dict.fromkeys(str(value) for value in values if isinstance(value, str)))
    kind = axis.get("type") if axis.get("type") in ("log", "category", "linear") else None
    if kind == "category" or (found and kind is None):
        order = [str(name) for name in listed(axis.get("categoryarray"))]
        return Scale("category", [*order, *(name for name in found if name not in order)])
    return Scale(kind or "linear")


def settle(made: Scale, axis: dict[str, Any], extent: Sequence[tuple[float, float]], pads: tuple[float, float]) -> None:
    """Gives the scale its range: the axis's own, or what its marks need and some room (`pads`: shares of it)."""
    wanted = listed(axis.get("range"))
    low = min((pair[0] for pair in extent), default=0.0)
    high = max((pair[1] for pair in extent), default=1.0)
    if axis.get("rangemode") in ("tozero", "nonnegative") and made.kind == "linear":
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12:
        low, high = (low - 1, high + 1) if low else (-1.0 if pads[0] else 0.0, 1.0)
    made.low, made.high = low - pads[0] * (high - low), high + pads[1] * (high - low)
    if axis.get("autorange") == "reversed":
        made.low, made.high = made.high, made.low
    if len(wanted) == 2:
        made.low, made.high = (
            float(end) if finite(end) else own for end, own in zip(wanted, (made.low, made.high), strict=True)
        )
    if made.low == made.high:
        made.high = made.low + 1


def ticks(made: Scale, axis: dict[str, Any], apart: float) -> list[tuple[float, str]]:
    """Places and words of the ticks, about `apart` pixels from each other where the axis leaves them free."""
    if axis.get("tickvals") is not None:
        values, texts = listed(axis.get("tickvals")), listed(axis.get("ticktext"))
        found = [(made.place(value), i, value) for i, value in enumerate(values)]
        named = [(p, str(texts[i]) if i < len(texts) else _words(v, axis)) for p, i, v in found if p is not None]
    elif made.kind == "category":
        every = max(1, math.ceil(len(made.names) * 12 / max(1.0, abs(made.end - made.start))))
        named = [(float(i), str(name)) for i, name in enumerate(made.names) if i % every == 0]
    elif made.kind == "log":
        named = _decades(made, axis)
    else:
        step = float(axis["dtick"]) if finite(axis.get("dtick")) else _step(made, apart, axis.get("nticks"))
        low, high = sorted((made.low, made.high))
        origin = float(axis["tick0"]) if finite(axis.get("tick0")) else 0.0
        count = range(math.ceil((low - origin) / step - 1e-6), math.floor((high - origin) / step + 1e-6) + 1)
        named = [(origin + i * step, _words(origin + i * step, axis, step)) for i in count]
    before, after = axis.get("tickprefix") or "", axis.get("ticksuffix") or ""
    return [(place, f"{before}{text}{after}") for place, text in named if made.shows(place)]


def _step(made: Scale, apart: float, most: int | None) -> float:
    """1, 2 or 5 times a power of ten."""
    count = min(max(abs(made.end - made.start) / apart, 4), 9) + 1  # as many as plotly takes
    rough = abs(made.high - made.low) / (min(count, most) if most else count)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))


def _decades(made: Scale, axis: dict[str, Any]) -> list[tuple[float, str]]:
    low, high = sorted((made.low, made.high))
    digits = (1, 2, 5) if high - low < 2 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [(p + math.log10(d), _words(d * 10.0**p, axis)) for p in powers for d in digits]


def _words(value: Any, axis: dict[str, Any], step: float | None = None) -> str:
    """A number as the axis writes it: by its format, else with the digits that the step needs."""
    if not finite(value):
        return str(value)
    if axis.get("tickformat"):
        return formatted(value, str(axis["tickformat"]))
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    if step is None or digits > 5:
        return f"{value:g}".replace("-", "−")
    for size, letter in _SI:
        if abs(value) >= size:
            return f"{value / size if letter != 'k' else value / 1e3:g}{letter}".replace("-", "−")
    words = f"{value:.{digits}f}" if abs(value) > step / 1e6 else "0"
    return (words.rstrip("0").rstrip(".") if "." in words else words).replace("-", "−")


def formatted(value: Any, form: str) -> str:
    """A number in the d3 formats that charts use; others fall back to six digits.

    >>> formatted(0.25, ".0%"), formatted(1234, ","), formatted(2.0, "~g"), formatted(3, "d")
    ('25%', '1,234', '2', '3')
    """
    found = re.fullmatch(r"(\+?)(,?)(\.\d+)?(~?)([%fgdes]?)", form)
    if not found or not finite(value):
        return f"{value:g}" if finite(value) else str(value)
    sign, comma, precision, trim, letter = found.groups()
    if letter == "d":
        value, precision = round(value), ""
    words = format(value, f"{sign}{comma}{precision or ''}{'g' if letter in ('', 's', 'g') and not comma else letter}")
    return re.sub(r"\.?0+(?=%?$)", "", words) if trim and "." in words else words
