"""Displays in a real Chromium, outside Jupyter: `show` opens markup as a notebook's page would hold it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import unitlens as ul

SMALL = Path(__file__).resolve().parents[1] / "display" / "conftest.py"
PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Output</title></head>'
    "<body><main>{}</main></body></html>"
)


@pytest.fixture(scope="session")
def found() -> ul.Dissection:
    """The small dissection of tests/display, with names that try to break a page."""
    spec = importlib.util.spec_from_file_location("small_dissection", SMALL)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build(module.PLAN)


@pytest.fixture(scope="session")
def measured(unitlens_home: Path) -> ul.Dissection:
    """A real dissection: 160 units with intervals and chance."""
    probe = ul.load_probe("scenes", count=320)
    return ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function: markup (or a Path of a page) -> playwright's page, on which nothing went wrong and that asked for
    nothing from outside. mode: "light" or "dark"; further options are those of a browser's context."""
    contexts: list[Any] = []
    troubles: list[str] = []

    def open_page(what: str | Path, mode: str = "light", width: int = 1100, **options: Any) -> Any:
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, color_scheme=mode, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda note: troubles.append(note.text) if note.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda r: troubles.append(r.url) if r.url.startswith("http") else None)
        if not isinstance(what, Path):
            file = tmp_path / f"page{len(contexts)}.html"
            file.write_text(PAGE.format(what), encoding="utf-8")
            what = file
        page.goto(what.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def evil_name(found: ul.Dissection) -> str:
    """The name of a concept that is a script."""
    return next(concept.name for concept in found.vocabulary if "<" in concept.name)
