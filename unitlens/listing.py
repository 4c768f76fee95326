"""The listing of a store: what lies there, how large it is, when it was last used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, overload

from safetensors import SafetensorError

from unitlens.arrays import read_header, recipe_key
from unitlens.entries import StoredFile
from unitlens.rich import Rich, renders

if TYPE_CHECKING:
    import pandas

UNREADABLE = "unreadable"
DIGEST = re.compile(r"[0-9a-f]{32,}")
WIDTH = 72  # characters of `about`


@dataclass(frozen=True)
class StoreEntry:
    """One file: kind, key (64 hex digits), bytes, `used` (when it was last used, UTC), and what it holds in words."""

    kind: str
    key: str
    bytes: int
    used: datetime
    about: str

    @classmethod
    def of(cls, file: StoredFile) -> StoreEntry:
        """The entry of a file, of which the header alone is read."""
        seconds = min(max(file.used, 0.0), 2.0**33)  # a broken clock is no reason to fail
        return cls(file.kind, file.key, file.bytes, datetime.fromtimestamp(seconds, timezone.utc), _about(file))


class StoreListing(Rich, Sequence[StoreEntry]):
    """The entries of a store, the most recently used first. `text()` is a table, `frame()` a pandas one.

    >>> from datetime import datetime, timezone
    >>> entry = StoreEntry("scenes", "5f" * 32, 1_250_000, datetime(2025, 1, 2, tzinfo=timezone.utc), "seed 1")
    >>> len(StoreListing([entry])), StoreListing([entry]).bytes, StoreListing([entry])[0].kind
    (1, 1250000, 'scenes')
    """

    def __init__(self, entries: Iterable[StoreEntry], place: str = "", limit: float = float("inf")):
        self.entries = tuple(sorted(entries, key=lambda e: (-e.used.timestamp(), e.kind, e.key)))
        self.place, self.limit = place, limit

    @property
    def bytes(self) -> int:
        """The size of all of them together."""
        return sum(entry.bytes for entry in self.entries)

    def text(self) -> str:
        """A line for each entry with the first digits of its key, and the sum."""
        rows = [["kind", "key", "size", "used", "about"]]
        for entry in self.entries:
            when = entry.used.astimezone().strftime("%Y-%m-%d %H:%M")
            rows.append([entry.kind, entry.key[:12], in_words(entry.bytes), when, entry.about])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows if len(rows) > 1 else []:
            cells = [cell.rjust(w) if i == 2 else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths))]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, self._sum()])

    def _sum(self) -> str:
        count = "1 file" if len(self) == 1 else f"{len(self):,} files"
        limit = "" if self.limit == float("inf") else f"; the limit is {in_words(self.limit)}"
        return f"{count}, {in_words(self.bytes)}" + (f" in {self.place}" if self.place else "") + limit

    def frame(self) -> pandas.DataFrame:
        """A row for each entry; columns kind, key, bytes, used (UTC), about."""
        import pandas

        columns = ("kind", "key", "bytes", "used", "about")
        return pandas.DataFrame({name: [getattr(entry, name) for entry in self.entries] for name in columns})

    @overload
    def __getitem__(self, index: int) -> StoreEntry: ...
    @overload
    def __getitem__(self, index: slice) -> StoreListing: ...
    def __getitem__(self, index: int | slice) -> StoreEntry | StoreListing:
        if isinstance(index, slice):
            return StoreListing(self.entries[index], self.place, self.limit)
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return self.text()


@renders(StoreListing)
def _plain(listing: StoreListing) -> None:
    """Nothing of its own: the text as it is."""


def in_words(size: float) -> str:
    """Bytes for people.

    >>> in_words(812), in_words(12_345), in_words(20e9)
    ('812 B', '12.3 kB', '20.0 GB')
    """
    if size == float("inf"):
        return "no limit"
    for unit in ("B", "kB", "MB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _about(file: StoredFile) -> str:
    try:
        header = read_header(file.path)
        recipe, notes = header["recipe"], header["notes"]
        if not isinstance(recipe, dict) or not isinstance(notes, dict) or recipe_key(recipe) != file.key:
            return UNREADABLE
    except (OSError, ValueError, KeyError, SafetensorError):
        return UNREADABLE
    words = " ".join(_words(recipe, notes).split())
    return words if len(words) <= WIDTH else words[: WIDTH - 1] + "…"


def _words(recipe: Mapping[str, Any], notes: Mapping[str, Any]) -> str:
    """Model, layers and images where one of the two tells them; else the recipe's own short values."""
    inner = notes.get("notes")
    sources = [inner if isinstance(inner, dict) else {}, notes, recipe]

    def first(*names: str) -> Any:
        return next((source[n] for source in sources for n in names if source.get(n) is not None), None)

    model, layers, images = first("model"), _names(first("layers", "layer")), first("images")
    parts = [model] if isinstance(model, str) and not DIGEST.fullmatch(model) else []
    if layers:
        parts.append(", ".join(layers[:3]) + (f" and {len(layers) - 3} more layers" if len(layers) > 3 else ""))
    if isinstance(images, int) and not isinstance(images, bool):
        parts.append(f"{images:,} images")
    if parts:
        return " · ".join(parts)
    short = {k: v for k, v in recipe.items() if k != "kind" and isinstance(v, (str, int, float))}
    return ", ".join(f"{k} {v}" for k, v in short.items() if len(str(v)) <= 24 and not DIGEST.fullmatch(str(v)))


def _names(layers: object) -> list[str]:
    if isinstance(layers, str):
        return [layers]
    if not isinstance(layers, (list, dict)):
        return []
    return [str(layer["name"] if isinstance(layer, dict) and "name" in layer else layer) for layer in layers]
