"""Where the displays and the browser run: Notebook 7, Voila, marimo, an exported page, GitHub's sanitising.

A check for people, not for CI: it starts each host, drives it by Chromium, light and dark, and writes pictures to look
at and a table of what worked. pytest does not collect it. Install what it needs beside unitlens, then run it:

    uv venv hosts --python 3.11
    uv pip install --python hosts/bin/python -e ".[lab]" notebook voila marimo nbconvert playwright
    apt-get install chromium
    hosts/bin/python tests/hosts/check_hosts.py --out /tmp/shots [--dissection FILE] [--only voila marimo]

In each host: pictures appear, a search narrows, the quantile moves, masks change, a unit opens, a unit is pinned, and
all of it has reached Python, which writes what it holds to a file. Noted: console errors, requests beyond 127.0.0.1.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

BIN = Path(sys.executable).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
WAIT = 90_000  # ms
THEMES = ("light", "dark")

OPEN = "import unitlens as ul\nd = ul.load({path!r})\nd"
WATCH = """import json, pathlib
view = ul.browse(d)
def keep(_=None):
    names = ["query", "quantile", "masks", "selected", "opened"]
    pathlib.Path({state!r}).write_text(json.dumps({{name: getattr(view, name) for name in names}}))
view.observe(keep, ["query", "quantile", "masks", "selected", "opened"])
keep()
view"""
STATIC = ["d.table(rows=8)", 'd.gallery("tree")', 'd.chart("units")']
#: What GitHub leaves of an output: no styles, no scripts, no classes (what nbviewer keeps, it may drop).
STRIP = re.compile(r"<style.*?</style>|<script.*?</script>", re.DOTALL)
LOOKS = re.compile(r"""\s(?:class|style|id|data-[\w-]+)=(?:"[^"]*"|'[^']*')""")
PAINTED = """() => {
  const all = [];
  const walk = (root) => { for (const one of root.querySelectorAll("*")) {
    if (one.matches(".ul-option .ul-film canvas:first-child")) all.push(one);
    if (one.shadowRoot) walk(one.shadowRoot); } };
  walk(document);
  const drawn = (c) => new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer).some((p) => p);
  return all.filter(drawn).length;
}"""
COLOUR = "e => getComputedStyle(e).backgroundColor"


@dataclasses.dataclass
class Found:
    """What one host did: checks by name, console errors, requests that left the machine."""

    host: str
    checks: dict[str, str] = dataclasses.field(default_factory=dict)
    errors: list[str] = dataclasses.field(default_factory=list)
    outside: list[str] = dataclasses.field(default_factory=list)

    def check(self, name: str, act: Callable[[], Any]) -> None:
        """Runs one check; what it gives, or why it failed, is noted."""
        try:
            said = act()
            self.checks[name] = "ok" if said in (None, True) else f"ok: {said}" if said else "FAILED"
        except Exception as error:  # noqa: BLE001: a host that fails is a finding
            self.checks[name] = f"FAILED: {str(error).splitlines()[0][:160]}"

    def watch(self, page: Page) -> None:
        page.on("console", lambda note: self.errors.append(note.text[:300]) if note.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"[:300]))
        page.on("request", lambda request: self.outside.append(request.url[:160]) if _leaves(request.url) else None)


def _leaves(url: str) -> bool:
    return not re.match(r"(data|blob|about|file):|(https?|wss?)://(127\.0\.0\.1|localhost)\b", url)


def exercise(page: Page, found: Found, state: Path, theme: str) -> None:
    """Uses the browser as a reader would, then asks what Python holds."""
    root = page.locator(".ul-browser").first
    page.set_default_timeout(20_000)

    def python(name: str, want: Callable[[Any], bool]) -> Any:
        until = time.monotonic() + 15
        while True:
            value = json.loads(state.read_text() or "{}").get(name)
            if want(value) or time.monotonic() > until:
                if not want(value):
                    raise RuntimeError(f"Python holds {name} = {value!r}")
                return value
            time.sleep(0.2)

    def pictures() -> str:
        root.wait_for(timeout=WAIT)
        root.scroll_into_view_if_needed()
        page.wait_for_function(f"({PAINTED})() > 3", timeout=WAIT)
        return f"{page.evaluate(PAINTED)} cards drawn"

    def search() -> str:
        before = root.locator(".ul-status").inner_text()
        root.locator(".ul-search").fill("tree")
        page.wait_for_timeout(400)
        after = root.locator(".ul-status").inner_text()
        if after == before:
            raise RuntimeError(f"status stays {before!r}")
        return python("query", lambda q: q == "tree")

    def quantile() -> str:
        before = root.locator(".ul-level").inner_text()
        old = json.loads(state.read_text())["quantile"]
        root.locator(".ul-slider").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(400)
        after = root.locator(".ul-level").inner_text()
        if after == before:
            raise RuntimeError(f"level stays {before!r}")
        return f"{after}, Python {python('quantile', lambda q: q != old)}"

    def masks() -> str:
        root.get_by_label("Masks").select_option("heat")
        return python("masks", lambda m: m == "heat")

    def keys() -> str:
        root.locator(".ul-tab").first.focus()
        page.keyboard.press("End")
        return page.evaluate("""() => { let a = document.activeElement;
          while (a && a.shadowRoot) a = a.shadowRoot.activeElement; return a.textContent; }""")

    def opened() -> str:
        root.locator(".ul-option").first.click()
        root.locator(".ul-zoom h3").wait_for(timeout=15_000)
        return str(python("opened", lambda o: bool(o)))

    def pin() -> str:
        root.locator(".ul-zoom").get_by_label("Pin this unit for comparison").click()
        root.locator(".ul-pin").first.wait_for(timeout=15_000)
        return str(python("selected", lambda s: len(s) == 1))

    def shade() -> str:
        colour = root.evaluate(COLOUR)
        dark = max(map(int, re.findall(r"\d+", colour)[:3])) < 80
        if dark != (theme == "dark"):
            raise RuntimeError(f"background {colour} on a {theme} page")
        return colour

    def statics() -> str:
        blocks = page.locator(".unitlens:not(.ul-browser)")
        colours = {blocks.nth(i).evaluate(COLOUR) for i in range(blocks.count())}
        bad = [c for c in colours if (max(map(int, re.findall(r"\d+", c)[:3])) < 80) != (theme == "dark")]
        if bad or blocks.count() < 3:
            raise RuntimeError(f"{blocks.count()} static displays, backgrounds {colours}")
        return f"{blocks.count()} static displays"

    acts = [("pictures", pictures), ("theme of the browser", shade), ("theme of static displays", statics), ("search", search),
            ("quantile", quantile), ("masks", masks), ("keys among the tabs", keys), ("open", opened), ("pin", pin)]  # fmt: skip
    for name, act in acts:
        found.check(f"{theme}: {name}", act)


def shoot(page: Page, place: Path, *, selector: str | None = None) -> None:
    """A picture of the page, or of its first element of a selector."""
    page.wait_for_timeout(600)
    target = page.locator(selector).first if selector else page
    with contextlib.suppress(Exception):
        target.screenshot(path=str(place), **({} if selector else {"full_page": True}))


def notebook(folder: Path, path: str, state: Path) -> Path:
    """The notebook that every Jupyter host opens."""
    cells = [OPEN.format(path=path), *STATIC, WATCH.format(state=str(state))]
    document = {
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [{"cell_type": "code", "id": f"c{i}", "source": text, "metadata": {}, "outputs": [], "execution_count": None}
                  for i, text in enumerate(cells)],
    }  # fmt: skip
    place = folder / "hosts.ipynb"
    place.write_text(json.dumps(document))
    return place


def app(folder: Path, path: str, state: Path) -> Path:
    """The same as a marimo app."""
    cells = [OPEN.format(path=path), *STATIC, WATCH.format(state=str(state))]
    defined = ["", "d, ul", "d, ul", "d, ul", "d, ul"]
    parts = ["import marimo\n\napp = marimo.App(width='full')\n"]
    for text, needs in zip(cells, defined, strict=True):
        gives = "d, ul" if not needs else "view," if "view" in text else ""
        body = "\n".join(f"    {line}" for line in text.splitlines())
        parts.append(f"@app.cell\ndef _({needs}):\n{body}\n    return {gives}\n".rstrip() + "\n")
    place = folder / "hosts_app.py"
    place.write_text("\n\n".join(parts) + "\n\nif __name__ == '__main__':\n    app.run()\n")
    return place


@contextlib.contextmanager
def served(command: list[str], folder: Path, url: str) -> Iterator[None]:
    """A server of one host, until it answers; ended when left."""
    private = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    environment = {**os.environ, **private, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            until = time.monotonic() + 90
            while time.monotonic() < until and process.poll() is None:
                try:
                    urllib.request.urlopen(url, timeout=90)
                    break
                except OSError:
                    time.sleep(0.3)
            else:
                raise RuntimeError((folder / "server.log").read_text()[-2000:])
            yield
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def page_of(browser: Browser, found: Found, theme: str) -> Page:
    """A new page whose system prefers the other theme: what the host says has to win."""
    other = "dark" if theme == "light" else "light"
    page = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=other).new_page()
    page.set_default_timeout(WAIT)
    found.watch(page)
    return page


def notebook7(browser: Browser, folder: Path, path: str, out: Path) -> Found:
    found, state, at = Found("Notebook 7"), folder / "state.json", port()
    name = notebook(folder, path, state).name
    command = [str(BIN / "jupyter-notebook"), "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={at}",
               "--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={folder}",
               "--JupyterNotebookApp.expose_app_in_browser=True"]  # fmt: skip
    run = """async (theme) => { const app = window.jupyterapp; await app.restored;
      await app.commands.execute('apputils:change-theme', {theme});
      const panel = app.shell.currentWidget; await panel.context.ready; await panel.context.sessionContext.ready;
      while (panel.context.sessionContext.session?.kernel?.status !== 'idle') await new Promise((f) => setTimeout(f, 100));
      await app.commands.execute('notebook:run-all-cells'); }"""
    with served(command, folder, f"http://127.0.0.1:{at}/api"):
        for theme in THEMES:
            page = page_of(browser, found, theme)
            page.goto(f"http://127.0.0.1:{at}/notebooks/{name}")
            page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context")
            page.evaluate(run, f"JupyterLab {theme.title()}")
            shown(page, found, state, theme, out / f"notebook7-{theme}")
    return found


def shown(page: Page, found: Found, state: Path, theme: str, stem: Path) -> None:
    """Uses a page, takes its pictures, closes it."""
    exercise(page, found, state, theme)
    shoot(page, stem.with_name(f"{stem.name}-browser.png"), selector=".ul-browser")
    page.set_viewport_size({"width": 1280, "height": 3600})
    shoot(page, stem.with_name(f"{stem.name}-page.png"))
    page.context.close()


def voila(browser: Browser, folder: Path, path: str, out: Path) -> Found:
    found, state, at = Found("Voila"), folder / "state.json", port()
    place = notebook(folder, path, state)
    for theme in THEMES:
        command = [str(BIN / "voila"), str(place), "--no-browser", f"--port={at}", "--Voila.ip=127.0.0.1", f"--theme={theme}"]
        with served(command, folder, f"http://127.0.0.1:{at}/voila/static/main.js"):
            page = page_of(browser, found, theme)
            page.goto(f"http://127.0.0.1:{at}/")
            shown(page, found, state, theme, out / f"voila-{theme}")
    return found


def marimo(browser: Browser, folder: Path, path: str, out: Path, verb: str = "run") -> Found:
    found, state, at = Found(f"marimo {verb}"), folder / "state.json", port()
    place = app(folder, path, state)
    for theme in THEMES:
        (folder / "pyproject.toml").write_text(
            f'[tool.marimo.display]\ntheme = "{theme}"\n[tool.marimo.runtime]\nauto_instantiate = true\n'
        )
        command = [str(BIN / "marimo"), verb, str(place), "--headless", "--no-token", f"--port={at}", "--host=127.0.0.1"]
        with served(command, folder, f"http://127.0.0.1:{at}/health"):
            page = page_of(browser, found, theme)
            page.goto(f"http://127.0.0.1:{at}/")
            shown(page, found, state, theme, out / f"marimo-{verb}-{theme}")
    return found


def exported(browser: Browser, folder: Path, path: str, out: Path) -> Found:
    """nbconvert's page, opened with no network; then its outputs as GitHub shows them."""
    found = Found("nbconvert")
    place = notebook(folder, path, folder / "state.json")
    convert = [str(BIN / "jupyter-nbconvert"), "--to", "html", str(place)]
    for theme in THEMES:
        extra = ["--execute", "--to", "notebook", "--inplace"] if theme == "light" else []
        if extra:
            subprocess.run([convert[0], *extra, str(place)], check=True, capture_output=True)
        subprocess.run([*convert, f"--HTMLExporter.theme={theme}", f"--output=page-{theme}"], check=True, capture_output=True)
        page = page_of(browser, found, theme)
        page.context.set_offline(True)
        page.goto((folder / f"page-{theme}.html").as_uri())
        found.check(f"{theme}: static displays", lambda page=page: f"{page.locator('.unitlens').count()} on the page")
        shoot(page, out / f"nbconvert-{theme}.png")
        page.context.close()
    sanitised(browser, place, found, out)
    return found


def sanitised(browser: Browser, place: Path, found: Found, out: Path) -> None:
    parts = []
    for cell in json.loads(place.read_text())["cells"]:
        for output in cell["outputs"]:
            text = "".join(output.get("data", {}).get("text/html", []))
            parts.append(LOOKS.sub("", STRIP.sub("", text)))
    sheet = "body{font:16px/1.5 sans-serif;max-width:900px;margin:20px auto}td,th{border:1px solid #ccc;padding:4px 10px}table{border-collapse:collapse}"
    whole = f"<!doctype html><meta charset=utf-8><style>{sheet}</style>{'<hr>'.join(parts)}"
    (out / "github.html").write_text(whole)
    page = page_of(browser, found, "light")
    page.goto((out / "github.html").as_uri())
    found.check("sanitised as on GitHub", lambda: f"{len(page.locator('body').inner_text().split())} words, {page.locator('img').count()} pictures")
    shoot(page, out / "github.png")
    page.context.close()


HOSTS: dict[str, Callable[..., Found]] = {
    "notebook7": notebook7, "voila": voila, "marimo-run": marimo,
    "marimo-edit": lambda *a: marimo(*a, verb="edit"), "nbconvert": exported,
}  # fmt: skip


def dissected(folder: Path) -> str:
    """A small dissection of the shipped network, where none is given."""
    import unitlens as ul

    probe = ul.load_probe("scenes", count=240)
    place = folder / "dissection.safetensors"
    ul.dissect(ul.load_model("scenenet"), ["conv4_3", "conv5_3"], probe).save(place)
    return str(place)


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--out", type=Path, default=Path("hosts-shots"), help="folder of the pictures and found.json")
    reader.add_argument("--dissection", help="a saved dissection with pictures")
    reader.add_argument("--only", nargs="*", choices=list(HOSTS), default=list(HOSTS))
    reader.add_argument("--chromium", default="/usr/bin/chromium")
    asked = reader.parse_args()
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        path = asked.dissection or dissected(Path(temporary))
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=FLAGS)
        for name in asked.only:
            folder = Path(temporary) / name
            folder.mkdir()
            found = HOSTS[name](browser, folder, str(Path(path).resolve()), out)
            (out / f"{name}.json").write_text(json.dumps(dataclasses.asdict(found), indent=1))
            failed += sum(text.startswith("FAILED") for text in found.checks.values())
            print(f"== {found.host}")
            for check, text in found.checks.items():
                print(f"   {check:34} {text}")
            for title, several in (("console error", found.errors), ("request outside", found.outside)):
                for one in dict.fromkeys(several):
                    print(f"   {title} ({several.count(one)} x): {one}")
        browser.close()
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
