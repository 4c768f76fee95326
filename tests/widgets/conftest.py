"""A widget in a plain page: the real Python object answers the real JavaScript; only Jupyter's wire is left out."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

import unitlens as ul
from unitlens.display.theme import STATIC
from unitlens.dissection.result import Dissection

#: Answers cases {name, file, act, given}: `act` is an expression of the module `m` and of `given`.
SCRIPT = """
import { readFileSync } from "node:fs";
const cases = JSON.parse(readFileSync(0, "utf8"));
const listed = (_, one) => (ArrayBuffer.isView(one) ? Array.from(one) : one);
const plain = (value) => JSON.parse(JSON.stringify(value, listed) ?? "null");
const said = {};
for (const { name, file, act, given } of cases) {
  const m = await import(`./${file}`);
  said[name] = plain(new Function("m", "given", `return ${act}`)(m, given));
}
console.log(JSON.stringify(said));
"""
#: The part of Jupyter between a widget and its kernel. `wire` is a function of the page that Python listens to.
MODEL = """
class Model {
  constructor(name, state) { [this.name, this.state, this.acts, this.unsaved] = [name, state, new Map(), {}]; }
  get(name) { return this.state[name]; }
  set(name, value) {
    this.unsaved[name] = value;
    this.change(name, value);
  }
  change(name, value) {
    if (JSON.stringify(this.state[name]) === JSON.stringify(value)) return;
    this.state[name] = value;
    this.call(`change:${name}`, value);
  }
  save_changes() { this.tell("update", this.unsaved); this.unsaved = {}; }
  send(question) { this.tell("custom", question); }
  async tell(method, content) {
    open += 1;
    for (const call of await window.wire(this.name, method, content)) receive(call);
    open -= 1;
  }
  on(event, act) { this.acts.set(event, [...(this.acts.get(event) || []), act]); }
  off(event, act) { this.acts.set(event, (this.acts.get(event) || []).filter((one) => one !== act)); }
  call(event, ...values) { for (const act of this.acts.get(event) || []) act(...values); }
  listening() { return [...this.acts.values()].reduce((sum, acts) => sum + acts.length, 0); }
}
let open = 0; // questions without an answer
const models = {};
function receive([name, method, content, texts]) {
  const buffers = texts.map((text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));
  if (method === "custom") models[name].call("msg:custom", content, buffers);
  else if (method === "update") for (const [trait, value] of Object.entries(content)) models[name].change(trait, value);
  // The third, "echo_update", tells other pages what this one has said.
}
"""
SHOW = """async ({ name, state, width }) => {
  const model = models[name] ||= new Model(name, state);
  const { default: widget } = await import(`/widget.js?${name}`); // Jupyter, too, loads a module for every widget
  const el = document.body.appendChild(document.createElement("div"));
  if (width) el.style.width = `${width}px`;
  (window.views ||= []).push({ el, cleanup: await widget.render({ model, el }) });
}"""
#: Nothing is asked, and nothing has been painted for ten frames.
QUIET = """async () => {
  const state = () => document.querySelectorAll("[data-painted]").length && open === 0
    ? [...document.querySelectorAll("[data-painted]")].map((one) => one.dataset.painted).join() : "";
  for (let last = "", still = 0; still < 10; ) {
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    const now = state();
    still = now && now === last ? still + 1 : 0;
    last = now;
  }
}"""
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Widgets</title>
<link rel="icon" href="data:,">
<meta http-equiv="Content-Security-Policy" content="require-trusted-types-for 'script'">
<meta name="viewport" content="width=device-width"><style>%s</style></head><body><script>%s</script></body></html>"""


class WidgetPage:
    """A page without Jupyter that shows widgets of this process. `troubles`: console errors and exceptions."""

    def __init__(self, page: Any):
        self.page = page
        self.views: dict[str, Any] = {}
        self.troubles: list[str] = []
        self.questions: list[dict[str, Any]] = []  # what the page has asked
        self._answers: list[list[Any]] | None = None  # to what is being heard, None while nothing is
        page.on("console", lambda note: self.troubles.append(note.text) if note.type == "error" else None)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.expose_function("wire", self._heard)
        page.route("**/*", self._serve)

    def show(self, view: Any, width: int | None = None) -> WidgetPage:
        """Another view, of a new widget or of one that the page already shows; waits until it is painted."""
        name = f"w{id(view)}"
        if not self.views:
            self.views[name] = view
            self.page.goto("http://widgets.test/")
        self.views[name] = view
        view._send = lambda message, buffers=None: self._said(name, message, buffers)
        state = json.loads(json.dumps({key: view.get_state([key])[key] for key in view.keys if _is_ours(key)}))
        self.page.evaluate(SHOW, {"name": name, "state": state, "width": width})
        self.settle()
        return self

    def settle(self) -> None:
        """Waits until every view is painted and nothing is asked or drawn any more."""
        self.page.evaluate(QUIET)

    def clean(self) -> list[int]:
        """Takes every view away as Jupyter does. Returns how many listeners each model is left with."""
        self.page.evaluate("() => window.views.splice(0).forEach(({ el, cleanup }) => { cleanup(); el.remove(); })")
        return self.page.evaluate("() => Object.values(models).map((model) => model.listening())")

    def _serve(self, route: Any) -> None:
        view = next(iter(self.views.values()))
        if "/widget.js" in route.request.url:
            route.fulfill(body=view._esm, content_type="text/javascript")
        else:
            route.fulfill(body=PAGE % (view._css, MODEL), content_type="text/html")

    def _heard(self, name: str, method: str, content: Any) -> list[list[Any]]:
        """What the page says, given to the widget as a kernel does. Returns what the widget says to that."""
        if method == "custom":
            self.questions.append(content)
        self._answers = []
        data = {"method": method, "content": content, "state": content, "buffer_paths": []}
        try:
            self.views[name]._handle_msg({"content": {"data": data}, "buffers": []})
        finally:
            said, self._answers = self._answers, None
        return said

    def _said(self, name: str, message: dict[str, Any], buffers: Any) -> None:
        texts = [base64.b64encode(bytes(one)).decode() for one in buffers or []]
        call = [name, message["method"], message.get("content", message.get("state")), texts]
        if self._answers is None:
            self.page.evaluate("(call) => receive(call)", call)
        else:
            self._answers.append(call)


def _is_ours(trait: str) -> bool:
    return trait == "_about" or not (trait.startswith("_") or trait in ("layout", "tabbable", "tooltip"))


@pytest.fixture
def widget_page(browser: Any) -> Iterator[WidgetPage]:
    """A page that shows widgets and that must not have had an error at the end."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(20_000)
    shown = WidgetPage(context.new_page())
    yield shown
    context.close()
    assert shown.troubles == []


@pytest.fixture(scope="session")
def dissected(unitlens_home: Any) -> Dissection:
    """Two layers of SceneNet over 100 scenes: 320 units, 22 levels, small enough to be made here."""
    probe = ul.load_probe("scenes", count=100)
    return ul.dissect(ul.load_model("scenenet"), ["conv4_3", "conv5_3"], probe, show_progress=False)


def node() -> str:
    """node, or the one that playwright carries."""
    if found := shutil.which("node"):
        return found
    from playwright._impl._driver import compute_driver_executable

    return str(compute_driver_executable()[0])


@pytest.fixture(scope="session")
def run_node(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """A function: cases for node, and further files (name -> text) beside those of display/static -> its answers."""

    def run(cases: Iterable[dict[str, Any]], files: Mapping[str, str] | None = None) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("static")
        for path in STATIC.glob("*.js"):
            shutil.copy(path, folder)
        for name, text in {**(files or {}), "package.json": '{"type": "module"}', "run.js": SCRIPT}.items():
            (folder / name).write_text(text)
        command = [node(), str(folder / "run.js")]
        done = subprocess.run(command, input=json.dumps(list(cases)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
