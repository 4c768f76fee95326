"""Displays of results: importing this package registers every view (`unitlens.rich.renders`)."""

from unitlens.display import cards, charts, gallery, looking, table

__all__ = ["cards", "charts", "gallery", "looking", "table"]
