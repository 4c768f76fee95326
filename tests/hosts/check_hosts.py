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
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from reader import WAIT, Found, Reader  # beside this file

BIN = Path(sys.executable).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
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
        "cells": [
            {"cell_type": "code", "id": f"c{i}", "source": text, "metadata": {}, "outputs": [], "execution_count": None}
            for i, text in enumerate(cells)
        ],
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
                except urllib.error.HTTPError:
                    break  # it answers, and that is all that is asked
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
    command = [str(BIN / "jupyter-notebook"), "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
               f"--ServerApp.port={at}", "--IdentityProvider.token=", "--ServerApp.password=",
               f"--ServerApp.root_dir={folder}", "--JupyterNotebookApp.expose_app_in_browser=True"]  # fmt: skip
    run = """async (theme) => { const app = window.jupyterapp; await app.restored;
      await app.commands.execute('apputils:change-theme', {theme});
      const panel = app.shell.currentWidget; await panel.context.ready; await panel.context.sessionContext.ready;
      const idle = () => panel.context.sessionContext.session?.kernel?.status === 'idle';
      while (!idle()) await new Promise((done) => setTimeout(done, 100));
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
    Reader(page, state, theme).check_all(found)
    shoot(page, stem.with_name(f"{stem.name}-browser.png"), selector=".ul-browser")
    page.set_viewport_size({"width": 1280, "height": 3600})
    shoot(page, stem.with_name(f"{stem.name}-page.png"))
    page.context.close()


def voila(browser: Browser, folder: Path, path: str, out: Path) -> Found:
    found, state, at = Found("Voila"), folder / "state.json", port()
    place = notebook(folder, path, state)
    for theme in THEMES:
        command = [str(BIN / "voila"), str(place), "--no-browser", "--Voila.ip=127.0.0.1", f"--port={at}",
                   f"--theme={theme}"]  # fmt: skip
        with served(command, folder, f"http://127.0.0.1:{at}/voila/static/none"):
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
        command = [str(BIN / "marimo"), verb, str(place), "--headless", "--no-token", "--host=127.0.0.1",
                   f"--port={at}"]  # fmt: skip
        with served(command, folder, f"http://127.0.0.1:{at}/health"):
            page = page_of(browser, found, theme)
            page.goto(f"http://127.0.0.1:{at}/")
            shown(page, found, state, theme, out / f"marimo-{verb}-{theme}")
    return found


def exported(browser: Browser, folder: Path, path: str, out: Path) -> Found:
    """nbconvert's page, opened with no network, with and without widget state; then what GitHub leaves of outputs."""
    found = Found("nbconvert")
    place = notebook(folder, path, folder / "state.json")
    convert = [str(BIN / "jupyter-nbconvert"), "--log-level=ERROR"]
    subprocess.run([*convert, "--execute", "--to", "notebook", "--inplace", str(place)], check=True)
    document = json.loads(place.read_text())
    document["metadata"].pop("widgets", None)
    plain = folder / "plain.ipynb"
    plain.write_text(json.dumps(document))
    for source, words in ((place, "with widget state"), (plain, "without widget state")):
        for theme in THEMES:
            subprocess.run([*convert, "--to", "html", f"--HTMLExporter.theme={theme}", str(source)], check=True)
            page = page_of(browser, found, theme)
            page.context.set_offline(True)
            page.goto(source.with_suffix(".html").as_uri())
            found.check(f"{theme}: {words}", lambda page=page: f"{page.locator('.unitlens').count()} displays of 4")
            shoot(page, out / f"nbconvert-{source.stem}-{theme}.png")
            page.context.close()
    sanitised(browser, place, found, out)
    return found


def sanitised(browser: Browser, place: Path, found: Found, out: Path) -> None:
    """The outputs without styles, scripts and classes, in GitHub's plain look."""
    parts = []
    for cell in json.loads(place.read_text())["cells"]:
        for output in cell["outputs"]:
            text = "".join(output.get("data", {}).get("text/html", []))
            parts.append(LOOKS.sub("", STRIP.sub("", text)))
    sheet = (
        "body{font:16px/1.5 sans-serif;max-width:900px;margin:20px auto}table{border-collapse:collapse}"
        "td,th{border:1px solid #ccc;padding:4px 10px}"
    )
    whole = f"<!doctype html><meta charset=utf-8><style>{sheet}</style>{'<hr>'.join(parts)}"
    (out / "github.html").write_text(whole)
    page = page_of(browser, found, "light")
    page.goto((out / "github.html").as_uri())
    words = len(page.locator("body").inner_text().split())
    found.check("sanitised as on GitHub", lambda: f"{words} words, {page.locator('img').count()} pictures")
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
