"""Mask names: which concept every value of a mask file stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.errors import ConceptError, OptionError

FORM = "expected {value: 'name'}, {value: ('name', 'category')} or {value: Concept}, or the path of a JSON file like it"


class MaskNames:
    """The meaning of mask values.

    names: value -> name (of the category "object"), (name, category), Concept, or None for a value without a concept;
        or the path of a JSON file with such an object, or with one under "classes" and a value under "unlabelled".
        0 has no concept unless it is named.

    vocabulary: the concepts in the order of their values; two values with one name are one concept.

    Raises OptionError for names of another form.

    >>> names = MaskNames({1: "sky", 2: ("roof", "part"), 255: None})
    >>> names.labels(np.array([[0, 1], [2, 255]])).tolist(), names.vocabulary
    ([[0, 1], [2, 0]], Vocabulary(2 concepts: 1 object, 1 part))
    """

    def __init__(self, names: Mapping[Any, Any] | str | Path):
        given = _read(names) if isinstance(names, (str, Path)) else names
        if not isinstance(given, Mapping) or not given:
            raise OptionError(f"names: {FORM}; got {given!r}")
        meaning = {0: None, **{_value(value): _concept(name) for value, name in given.items()}}
        self.meaning: dict[int, Concept | None] = dict(sorted(meaning.items()))
        self.vocabulary = Vocabulary(dict.fromkeys(c for c in self.meaning.values() if c is not None))
        self._values = np.array(list(self.meaning), dtype=np.int64)
        self._labels = np.array(
            [0 if c is None else self.vocabulary.label(c) for c in self.meaning.values()], dtype=np.int16
        )

    def labels(self, values: np.ndarray, source: object = "mask") -> np.ndarray:
        """Mask values as labels of the vocabulary, 0 = no concept: int16, the shape of values.

        Raises ConceptError for a value without a meaning; `source` names the mask in the message.
        """
        place = np.searchsorted(self._values, values).clip(max=len(self._values) - 1)
        unknown = self._values[place] != values
        if unknown.any():
            got = ", ".join(map(str, np.unique(values[unknown])[:5]))
            raise ConceptError(
                f"{source}: holds the values {got}, which names does not have (it has {len(self._values)}, "
                f"{self._values[0]}..{self._values[-1]}). Name them, or give them None to leave them without a concept."
            )
        return self._labels[place]

    def __repr__(self) -> str:
        return f"MaskNames({len(self._values)} values, {len(self.vocabulary)} concepts)"


def _read(path: str | Path) -> Mapping[Any, Any]:
    try:
        written = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"names: {FORM}; {str(path)!r} cannot be read: {error}") from error
    if not isinstance(written, dict) or not isinstance(written.get("classes"), dict):
        return written
    empty = written.get("unlabelled")
    return {
        **{str(v): None for v in (empty if isinstance(empty, list) else [empty]) if v is not None},
        **written["classes"],
    }


def _value(value: Any) -> int:
    try:
        number = int(value)
        if isinstance(value, bool) or number != float(value) or number < 0:
            raise ValueError
    except (TypeError, ValueError):
        raise OptionError(f"names: expected whole numbers from 0 on as keys, got {value!r}") from None
    return number


def _concept(name: Any) -> Concept | None:
    if name is None or isinstance(name, Concept):
        return name
    if isinstance(name, str):
        return Concept(name)
    if isinstance(name, (tuple, list)) and len(name) == 2 and all(isinstance(part, str) for part in name):
        return Concept(*name)
    raise OptionError(f"names: {FORM}; got {name!r}")
