"""Hosts unlike JupyterLab: a widget in a shadow root, messages that lose their bytes, keys that a host takes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from unitlens.display import theme
from unitlens.widgets.browser import browse

NAMES = ["_about", "layer", "query", "category", "order", "masks", "quantile", "min_iou", "beats_chance", "compare"]
#: A widget in a shadow root, as in marimo, on a host that passes no bytes on. `wire` is Python.
PAGE = """<!DOCTYPE html><html><head><link rel="icon" href="data:,"></head><body><div id="host"></div></body></html>"""
SHOW = """async ({ state, css }) => {
  const acts = new Map();
  const call = (event, ...values) => (acts.get(event) || []).forEach((act) => act(...values));
  const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; call(`change:${name}`); },
    save_changes: () => {},
    send: async (question) => { for (const message of await window.wire(question)) call("msg:custom", message); },
    on: (event, act) => acts.set(event, [...(acts.get(event) || []), act]),
    off: () => {},
  };
  const root = document.getElementById("host").attachShadow({ mode: "open" });
  root.innerHTML = `<style>${css}</style><div class="contents dark"><section></section></div>`;
  window.root = root;
  const { default: widget } = await import("/widget.js");
  widget.render({ model, el: root.querySelector("section") });
}"""
PAINTED = """() => [...window.root.querySelectorAll(".ul-option .ul-film canvas:first-child")].some((canvas) =>
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((part) => part > 0))"""


class Host:
    """The page and what was asked of Python in it."""

    def __init__(self, page: Any, view: Any):
        self.page, self.view, self.asked, self.said = page, view, [], []
        view.send = lambda message, buffers=None: self.said.append((message, buffers))
        page.expose_function("wire", self.heard)
        page.route("**/*", self.serve)
        page.goto("http://host.test/")
        state = {name: getattr(view, name) for name in NAMES} | {"selected": [], "opened": [], "height": 700}
        page.evaluate(SHOW, {"state": json.loads(json.dumps(state)), "css": view._css})
        page.wait_for_function(PAINTED)

    def serve(self, route: Any) -> None:
        code = "/widget.js" in route.request.url
        route.fulfill(body=self.view._esm if code else PAGE, content_type="text/javascript" if code else "text/html")

    def heard(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(question)
        self.said.clear()
        self.view._handle_custom_msg(question, [])
        return [message for message, _ in self.said]  # the buffers are lost


@pytest.fixture
def host(browser: Any, found: Any) -> Iterator[Host]:
    context = browser.new_context(viewport={"width": 1100, "height": 900}, color_scheme="light")
    context.set_default_timeout(30_000)
    yield Host(context.new_page(), browse(found))
    context.close()


def test_where_bytes_are_lost_one_question_is_put_twice_and_all_later_answers_are_text(host: Host) -> None:
    plain = [question for question in host.asked if not question["text"]]
    assert [question["kind"] for question in plain] == ["layer"]
    assert host.asked[1] == {**plain[0], "text": True}
    assert {question["kind"] for question in host.asked[1:]} == {"layer", "units", "pictures"}


def test_bytes_and_text_of_an_answer_are_the_same(found: Any) -> None:
    view, said = browse(found), []
    view.send = lambda message, buffers=None: said.append((message, buffers))
    for text in (False, True):
        view._handle_custom_msg({"id": "1", "kind": "layer", "key": view.layer, "text": text}, [])
    (first, buffers), (second, none) = said
    assert none is None and "text" not in first
    assert base64.b64decode(second["text"]) == buffers[0]
    assert first["header"] == second["header"]


def test_arrow_keys_move_among_tabs_in_a_shadow_root(host: Host) -> None:
    tabs = host.page.locator(".ul-tab")
    tabs.first.focus()
    host.page.keyboard.press("End")
    assert host.page.evaluate("() => window.root.activeElement.textContent") == "all layers"
    assert tabs.last.get_attribute("tabindex") == "0"


def test_a_number_being_typed_in_a_shadow_root_is_left_alone(host: Host) -> None:
    field = host.page.get_by_label("IoU from")
    field.fill("0.1")
    host.page.locator(".ul-search").evaluate("(e) => { e.value = 'tree'; e.dispatchEvent(new Event('input')); }")
    host.page.wait_for_function("() => window.root.querySelector('.ul-status').textContent.includes('1 concept')")
    assert field.input_value() == "0.1"


def test_the_active_unit_is_named_to_screen_readers_in_a_shadow_root(host: Host) -> None:
    grid = host.page.locator(".ul-grid")
    grid.focus()
    host.page.keyboard.press("ArrowRight")
    active = host.page.locator(".ul-active")
    assert active.get_attribute("aria-posinset") == "2"
    assert grid.get_attribute("aria-activedescendant") == active.get_attribute("id")


def test_the_shadow_roots_own_theme_holds(host: Host) -> None:
    colour = host.page.locator(".ul-browser").evaluate("(e) => getComputedStyle(e).backgroundColor")
    channels = [int(theme.page_colour("surface", "dark")[i : i + 2], 16) for i in (1, 3, 5)]
    assert colour == f"rgb({', '.join(map(str, channels))})"


def test_whatever_takes_keys_keeps_them_from_the_notebooks_shortcuts(host: Host) -> None:
    """They look at the element that has the focus and not around it."""
    focusable = ".ul-browser :is(button, input, select, summary, [tabindex])"
    marked = host.page.locator(focusable).evaluate_all("(all) => all.map((e) => 'lmSuppressShortcuts' in e.dataset)")
    assert len(marked) > 15 and all(marked)


@pytest.mark.parametrize(
    ("classes", "mode"),
    [("vscode-dark", "dark"), ("vscode-light", "light"), ("vscode-high-contrast", "dark"),
     ("vscode-high-contrast vscode-high-contrast-light", "light")],
)  # fmt: skip
def test_vs_code_says_its_colour_by_a_class(browser: Any, classes: str, mode: str) -> None:
    page = browser.new_page(color_scheme="light" if mode == "dark" else "dark")
    page.set_content(f'<body class="{classes}"><style>{theme.stylesheet()}</style><div class="unitlens">x</div></body>')
    scheme = page.locator(".unitlens").evaluate("(e) => getComputedStyle(e).colorScheme")
    page.close()
    assert scheme == mode
