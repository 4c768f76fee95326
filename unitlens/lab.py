"""JupyterLab on the notebooks: where they are, how a wheel's copy reaches the user, how the server starts."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from unitlens.errors import AssetError, MissingExtra

PACKAGE = Path(__file__).resolve().parent
MANIFEST = ".unitlens-notebooks.json"


def checkout_notebooks() -> Path | None:
    """The `notebooks` folder beside the package when it runs from a checkout, else None."""
    root = PACKAGE.parent
    return root / "notebooks" if (root / "pyproject.toml").is_file() and (root / "notebooks").is_dir() else None


def copy_notebooks(source: Path, target: Path) -> list[str]:
    """Brings `target` up to date with `source` and returns one line for each file that was written.

    A file that is not there is copied. A file that is still as unitlens wrote it (its sha256 is in a manifest in
    `target`) is replaced. A file that was changed is never touched: a version not offered before is written beside
    it as NAME.new.ipynb. Raises AssetError where `source` has no notebooks.
    """
    if not any(source.glob("*.ipynb")):
        raise AssetError(f"no notebooks in {source}: the installation is incomplete. Install unitlens again.")
    target.mkdir(parents=True, exist_ok=True)
    written = _read_manifest(target)
    lines = []
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        content, place = path.read_bytes(), target / name
        new, known = _digest(content), written.get(name)
        if not place.exists():
            lines.append(f"copied {place}")
        elif _digest(place.read_bytes()) in (known, new):
            if known == new:
                continue
            lines.append(f"updated {place}")
        elif known != new:
            place = _free_place(place, new)
            lines.append(f"{target / name} was changed and is kept; the new version is {place}")
        else:
            continue
        _write(place, content)
        written[name] = new
    _write(target / MANIFEST, json.dumps({"files": written}, indent=1, sort_keys=True).encode())
    return lines


def notebooks_folder(target: Path = Path("unitlens-notebooks")) -> tuple[Path, list[str]]:
    """The folder to open, and what was written to it: a checkout's own, else `target` with the wheel's notebooks."""
    own = checkout_notebooks()
    if own is not None:
        return own, []
    return target, copy_notebooks(PACKAGE / "notebooks", target)


def serve(folder: Path, *, port: int | None = None, browser: bool = True) -> None:
    """Runs JupyterLab on `folder` until it is stopped: on 127.0.0.1 only, with a token, as Jupyter does.

    Raises MissingExtra where JupyterLab is not installed.
    """
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise MissingExtra("jupyterlab", "lab", "unitlens lab") from error
    LabApp.launch_instance(server_arguments(folder, port=port, browser=browser))


def server_arguments(folder: Path, *, port: int | None, browser: bool) -> list[str]:
    """The command line of the Jupyter server."""
    first = min((path.name for path in folder.glob("*.ipynb")), default="")
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={folder.resolve()}",
        f"--LabApp.default_url=/lab/tree/{first}" if first else "--LabApp.default_url=/lab",
    ]
    if port is not None:
        arguments.append(f"--ServerApp.port={port}")
    if not browser:
        arguments.append("--no-browser")
    if sys.platform != "win32" and os.geteuid() == 0:
        arguments.append("--allow-root")  # containers: Jupyter refuses root otherwise, and we listen on 127.0.0.1 only
    return arguments


def _files(folder: Path) -> Iterator[Path]:
    hidden = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return (p for p in hidden if not any(part.startswith((".", "__")) for part in p.relative_to(folder).parts))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_manifest(folder: Path) -> dict[str, str]:
    """sha256 of the version of each file handed over last; empty where it cannot be read: then nothing is replaced."""
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _free_place(place: Path, digest: str) -> Path:
    """NAME.new.ipynb, or NAME.new2.ipynb, ... where that one holds something else."""
    for number in range(1, 1000):
        candidate = place.with_name(f"{place.stem}.new{number if number > 1 else ''}{place.suffix}")
        if not candidate.exists() or _digest(candidate.read_bytes()) == digest:
            return candidate
    raise AssetError(f"{place.parent}: too many new versions of {place.name}. Delete those that you do not need.")


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
