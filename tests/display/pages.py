"""Reads a page of a display, and raises on tags that do not close."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"img", "br", "meta", "link", "input"}


class Page(HTMLParser):
    """Reads a page: its tags, attributes and words; raises on tags that do not close."""

    def __init__(self, markup: str):
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[dict] = []
        self.words = ""
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attributes))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "svg"} & set(self.open):
            self.words += data
