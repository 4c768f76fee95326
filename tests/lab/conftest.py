"""A real JupyterLab in a real Chromium: `lab` opens notebooks in it; `browser` is in tests/conftest.py."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

OPENING = 120_000  # ms; a loaded machine took 18 s
SETTINGS: dict[str, dict[str, Any]] = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every output is in the page
    "docmanager-extension/plugin": {"autosave": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
READY = """async limit => {
  const late = new Promise((_, fail) => setTimeout(() => fail(new Error("no idle kernel in time")), limit));
  const ready = async () => {
    const app = window.jupyterapp; await app.restored;
    const panel = app.shell.currentWidget;
    await panel.context.ready; await panel.context.sessionContext.ready;  // never, where Jupyter asks for a kernel
    const idle = () => panel.context.sessionContext.session?.kernel?.status === "idle";
    while (!idle()) await new Promise(done => setTimeout(done, 100));
  };
  await Promise.race([ready(), late]);
}"""
CELLS = """() => Array.from(window.jupyterapp.shell.currentWidget.content.widgets)
  .map(cell => cell.model.sharedModel.toJSON())"""
BOTTOM = """() => {
  document.querySelector(".jp-WindowedPanel-outer").scrollTop = 0;
  return Array.from(document.querySelectorAll(".jp-Notebook .jp-Cell")).at(-1).getBoundingClientRect().bottom;
}"""
CLOSE = "async () => { await window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown(); }"


@dataclasses.dataclass(frozen=True)
class LabServer:
    """A running JupyterLab: its address with a slash at the end, its token, the folder it serves."""

    url: str
    token: str
    root: Path


def _environment(private: Path) -> dict[str, str]:
    """The environment of the server: nothing of the user's Jupyter is read or written."""
    folders = {
        "HOME": "home", "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }  # fmt: skip
    for folder in folders.values():
        (private / folder).mkdir(parents=True)
    for name, values in SETTINGS.items():
        place = private / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(values))
    own = {name: str(private / folder) for name, folder in folders.items()}
    # A store of its own: what other tests dissected of the same scenes would lend its pilot and move third digits.
    own["UNITLENS_HOME"] = str(private / "unitlens")
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, **own, "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": path}


def _wait_for_server(process: subprocess.Popen, runtime: Path, token: str) -> str:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                url = json.loads(file.read_text())["url"]
                request = urllib.request.Request(f"{url}api/status", headers={"Authorization": f"token {token}"})
                with urllib.request.urlopen(request, timeout=10):
                    return url
            except (OSError, ValueError):
                pass  # the file is being written, or the server is not listening yet
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start (exit code {process.poll()})")


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory, unitlens_home: Path, chromium: str) -> Iterator[LabServer]:
    """JupyterLab on a private copy of the notebooks, on a free port, with private folders."""
    private, token = tmp_path_factory.mktemp("jupyter"), secrets.token_hex(16)
    root = private / "notebooks"
    shutil.copytree(Path(__file__).resolve().parents[2] / "notebooks", root, ignore=shutil.ignore_patterns(".*"))
    environment = _environment(private)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly", "--ServerApp.terminals_enabled=False",
    ]  # fmt: skip
    with (private / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=root)
        try:
            url = _wait_for_server(process, private / "runtime", token)
            yield LabServer(url, token, root)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class LabPage:
    """One notebook, open in JupyterLab: `page` is playwright's; what went wrong is in `troubles` and `outside`."""

    def __init__(self, page: Any, name: str):
        self.page, self.name = page, name
        self.troubles: list[str] = []  # console errors and uncaught exceptions
        self.outside: list[str] = []  # requests that leave this machine
        page.on("console", lambda note: self.troubles.append(note.text) if note.type == "error" else None)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", self._note_request)

    def _note_request(self, request: Any) -> None:
        where = urlsplit(request.url)
        if where.scheme not in ("data", "blob", "about") and where.hostname not in ("127.0.0.1", "localhost"):
            self.outside.append(request.url)

    def open(self, server: LabServer) -> None:
        self.page.goto(f"{server.url}doc/tree/{self.name}?token={server.token}&reset", timeout=OPENING)
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context", timeout=OPENING)
        self.page.evaluate(READY, OPENING)

    def run_all(self) -> None:
        """Runs every cell and waits until the last has finished."""
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def cells(self) -> list[dict[str, Any]]:
        """The cells as they are now, in nbformat's form."""
        return self.page.evaluate(CELLS)

    def set_theme(self, theme: str) -> None:
        """ "light" or "dark"."""
        name = f"JupyterLab {theme.title()}"
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
        body = f"body[data-jp-theme-light={'true' if theme == 'light' else 'false'}]"
        self.page.wait_for_selector(body, state="attached")  # JupyterLab's body has no height: never "visible"

    def screenshot(self, folder: Path, label: str) -> list[Path]:
        """The whole notebook as pictures of at most 3,000 pixels height."""
        self.page.set_viewport_size({"width": 1300, "height": 1600})
        self.page.wait_for_function(f"() => ({BOTTOM})() > 200")  # a new theme empties the page for a moment
        height = min(15_000, int(self.page.evaluate(BOTTOM)) + 60)
        stem = re.sub(r"\W+", "_", Path(self.name).stem)
        self.page.set_viewport_size({"width": 1300, "height": height})
        self.page.wait_for_timeout(500)  # the pictures are for people; the layout settles
        self.page.evaluate(BOTTOM)
        places = []
        for part, top in enumerate(range(0, height, 3_000)):
            place = folder / f"{stem}-{label}-{part}.png"
            clip = {"x": 0, "y": top, "width": 1300, "height": min(3_000, height - top)}
            self.page.screenshot(path=str(place), clip=clip)
            places.append(place)
        return places

    def close(self) -> None:
        """Shuts the kernel down and closes the page."""
        self.page.evaluate(CLOSE)
        self.page.context.close()


@pytest.fixture
def lab(lab_server: LabServer, browser: Any) -> Iterator[Any]:
    """A function: name of a notebook of the served folder -> LabPage, opened, its kernel idle."""
    pages: list[LabPage] = []

    def open_notebook(name: str) -> LabPage:
        context = browser.new_context(viewport={"width": 1300, "height": 1600})
        context.set_default_timeout(OPENING)
        opened = LabPage(context.new_page(), name)
        pages.append(opened)
        opened.open(lab_server)
        return opened

    yield open_notebook
    for opened in pages:
        opened.close()
