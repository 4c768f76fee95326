"""Displays of results: importing this package registers every view (`unitlens.rich.renders`)."""

from unitlens.display import (
    cards,
    causes,
    charts,
    curves,
    detectors,
    effects,
    gallery,
    importances,
    looking,
    table,
)  # fmt: skip

__all__ = [
    "cards", "causes", "charts", "curves", "detectors", "effects", "gallery", "importances", "looking", "table",
]  # fmt: skip
