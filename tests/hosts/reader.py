"""Reader: what somebody does in the browser of any host, and what the host made of it."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Page

WAIT = 90_000  # ms
PAINTED = """() => {
  const all = [];
  const walk = (root) => { for (const one of root.querySelectorAll("*")) {
    if (one.matches(".ul-option .ul-film canvas:first-child")) all.push(one);
    if (one.shadowRoot) walk(one.shadowRoot); } };
  walk(document);
  const drawn = (c) => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((part) => part > 0);
  return all.filter(drawn).length;
}"""
_DEEP = "let a = document.activeElement; while (a?.shadowRoot?.activeElement) a = a.shadowRoot.activeElement;"
FOCUS, FOCUS_CLASS = f"() => {{ {_DEEP} return a.textContent; }}", f"() => {{ {_DEEP} return a.className; }}"
SHADOW = """e => { const root = e.getRootNode(); return root.host ? ` (in a shadow root of ${root.host.localName},
  within ${[...root.querySelectorAll(".dark,.light,[class*=theme]")].map((o) => o.className)})` : ""; }"""
DARK = """e => Math.max(...getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)) < 80"""


@dataclasses.dataclass
class Found:
    """What one host did: checks by name, console errors, requests that left the machine."""

    host: str
    checks: dict[str, str] = dataclasses.field(default_factory=dict)
    errors: list[str] = dataclasses.field(default_factory=list)
    outside: list[str] = dataclasses.field(default_factory=list)

    def check(self, name: str, act: Callable[[], Any]) -> None:
        """Runs one check; what it gives, or why it failed, is noted: a host that fails is a finding."""
        try:
            self.checks[name] = f"ok: {act()}"
        except (Error, RuntimeError) as error:
            self.checks[name] = f"FAILED: {str(error).splitlines()[0][:160]}"

    def watch(self, page: Page) -> None:
        page.on("console", lambda note: self.errors.append(note.text[:300]) if note.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error.stack}"[:400]))
        page.on("request", lambda request: self.outside.append(request.url[:160]) if _leaves(request.url) else None)


def _leaves(url: str) -> bool:
    return not re.match(r"(data|blob|about|file):|(https?|wss?)://(127\.0\.0\.1|localhost)\b", url)


class Reader:
    """Uses the browser of a page; `state` is the file in which Python keeps what it holds."""

    def __init__(self, page: Page, state: Path, theme: str):
        self.page, self.state, self.theme = page, state, theme
        self.root = page.locator(".ul-browser").first
        page.set_default_timeout(20_000)

    def check_all(self, found: Found) -> None:
        acts = {
            "pictures": self.pictures, "theme of the browser": self.shade, "theme of static displays": self.statics,
            "search": self.search, "quantile": self.quantile, "masks": self.masks, "arrow keys": self.keys,
            "open": self.open, "pin": self.pin,
        }  # fmt: skip
        for name, act in acts.items():
            found.check(f"{self.theme}: {name}", act)

    def python(self, name: str, wanted: Callable[[Any], bool]) -> Any:
        """What Python holds, once it is what is wanted."""
        until = time.monotonic() + 15
        while True:
            value = json.loads(self.state.read_text() or "{}").get(name)
            if wanted(value):
                return value
            if time.monotonic() > until:
                raise RuntimeError(f"Python holds {name} = {value!r}")
            time.sleep(0.2)

    def changed(self, selector: str, act: Callable[[], Any]) -> str:
        """The new words of an element that an act has to change."""
        before = self.root.locator(selector).inner_text()
        act()
        self.page.wait_for_timeout(400)
        after = self.root.locator(selector).inner_text()
        if after == before:
            raise RuntimeError(f"{selector} stays {before!r}")
        return after

    def pictures(self) -> str:
        self.root.wait_for(timeout=WAIT)
        self.root.scroll_into_view_if_needed()
        self.page.wait_for_function(f"({PAINTED})() > 3", timeout=WAIT)
        return f"{self.page.evaluate(PAINTED)} cards drawn"

    def shade(self) -> str:
        if self.root.evaluate(DARK) != (self.theme == "dark"):
            raise RuntimeError(f"the browser has the other theme than {self.theme}")
        return self.theme

    def statics(self) -> str:
        blocks = self.page.locator(".unitlens:not(.ul-browser)")
        dark = [blocks.nth(i).evaluate(DARK) for i in range(blocks.count())]
        if len(dark) < 3 or set(dark) != {self.theme == "dark"}:
            raise RuntimeError(f"{len(dark)} static displays, dark: {dark}")
        return f"{len(dark)} static displays"

    def search(self) -> str:
        self.changed(".ul-status", lambda: self.root.locator(".ul-search").fill("tree"))
        return self.python("query", lambda query: query == "tree")

    def quantile(self) -> str:
        old = json.loads(self.state.read_text())["quantile"]
        self.root.locator(".ul-slider").focus()
        words = self.changed(".ul-level", lambda: self.page.keyboard.press("ArrowRight"))
        return f"{words}, Python {self.python('quantile', lambda now: now != old)}"

    def masks(self) -> str:
        self.root.get_by_label("Masks").select_option("heat")
        return self.python("masks", lambda masks: masks == "heat")

    def keys(self) -> str:
        self.root.locator(".ul-tab").first.focus()
        self.page.keyboard.press("End")
        if self.page.evaluate(FOCUS) != "all layers":
            raise RuntimeError(f"the focus is on {self.page.evaluate(FOCUS)!r}")
        self.root.locator(".ul-grid").focus()
        at = [self.active()]
        self.page.keyboard.press("ArrowRight")
        self.page.wait_for_timeout(200)
        at.append(self.active())
        if at[1] != at[0] + 1 or self.page.evaluate(FOCUS_CLASS) != "ul-grid":
            raise RuntimeError(f"active cards {at}, the focus on {self.page.evaluate(FOCUS_CLASS)!r}")
        return "tabs and cards" + self.root.evaluate(SHADOW)

    def active(self) -> int:
        return int(self.root.locator(".ul-active").get_attribute("aria-posinset") or 0)

    def open(self) -> str:
        self.root.locator(".ul-option").first.click()
        self.root.locator(".ul-zoom h3").wait_for()
        return str(self.python("opened", bool))

    def pin(self) -> str:
        self.root.locator(".ul-zoom").get_by_label("Pin this unit for comparison").click()
        self.root.locator(".ul-pin").first.wait_for()
        return str(self.python("selected", lambda units: len(units) == 1))
