"""Displays of results: importing this package registers every view (`unitlens.rich.renders`)."""

from unitlens.display import (
    cards,
    causes,
    charts,
    contents,
    curves,
    detectors,
    effects,
    gallery,
    importances,
    insertions,
    looking,
    removals,
    table,
)  # fmt: skip

__all__ = [
    "cards", "causes", "charts", "contents", "curves", "detectors", "effects", "gallery", "importances", "insertions",
    "looking", "removals", "table",
]  # fmt: skip
