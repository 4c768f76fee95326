"""Names of classes: each once, and found by name."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

from unitlens.errors import OptionError


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names, each once: those that several classes share get their numbers.

    >>> distinct(["crane", "bus", "crane"]), distinct(["a", "a (2)", "a"])
    (('crane (0)', 'bus', 'crane (2)'), ('a (0)', 'a (2)', 'a (2) (2)'))
    """
    many = Counter(names)
    found: list[str] = []
    for number, name in enumerate(names):
        one = f"{name} ({number})" if many[name] > 1 else name
        while one in found:
            one = f"{one} ({number})"
        found.append(one)
    return tuple(found)


def number_of(name: str, names: Sequence[str], argument: str = "name") -> int:
    """The number of a class. Raises OptionError with the nearest names that there are."""
    if name in names:
        return list(names).index(name)
    near = difflib.get_close_matches(str(name), names, n=5, cutoff=0.3) or names[:5]
    raise OptionError(f"{argument}: expected a class, such as {', '.join(map(repr, near))}; got {name!r}")
