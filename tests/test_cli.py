"""The command line: what each command does, and how errors leave it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import unitlens
from unitlens import cli, lab
from unitlens.errors import AssetError, MissingExtra, UnitLensError

runner = CliRunner()
ROOT = Path(__file__).resolve().parents[1]


def unitlens_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`unitlens ...` in a process of its own, run in `folder`."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", "from unitlens.cli import app; app()", *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder, env=environment)


@pytest.fixture
def notebooks(tmp_path: Path) -> tuple[Path, Path]:
    """A source folder with two notebooks and a picture, and a target that does not exist yet."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "pictures").mkdir(parents=True)
    (source / "00_first.ipynb").write_text("first, version 1")
    (source / "01_second.ipynb").write_text("second, version 1")
    (source / "pictures" / "unit.png").write_bytes(b"png 1")
    (source / ".ipynb_checkpoints").mkdir()
    (source / ".ipynb_checkpoints" / "00_first-checkpoint.ipynb").write_text("no")
    return source, target


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != lab.MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_first_copy_has_every_file_but_checkpoints(notebooks: tuple[Path, Path]) -> None:
    source, target = notebooks
    assert len(lab.copy_notebooks(source, target)) == 3
    assert contents(target) == {
        "00_first.ipynb": "first, version 1", "01_second.ipynb": "second, version 1", "pictures/unit.png": "png 1",
    }  # fmt: skip
    assert lab.copy_notebooks(source, target) == []


def test_unchanged_file_is_updated_and_changed_file_is_kept(notebooks: tuple[Path, Path]) -> None:
    source, target = notebooks
    lab.copy_notebooks(source, target)
    (target / "00_first.ipynb").write_text("mine")
    (source / "00_first.ipynb").write_text("first, version 2")
    (source / "01_second.ipynb").write_text("second, version 2")
    lines = lab.copy_notebooks(source, target)
    assert contents(target) == {
        "00_first.ipynb": "mine", "00_first.new.ipynb": "first, version 2", "01_second.ipynb": "second, version 2",
        "pictures/unit.png": "png 1",
    }  # fmt: skip
    assert len(lines) == 2
    assert "was changed and is kept" in lines[0]
    assert "00_first.new.ipynb" in lines[0]
    assert lab.copy_notebooks(source, target) == []  # the new version is offered once


def test_changed_new_version_is_kept_too(notebooks: tuple[Path, Path]) -> None:
    source, target = notebooks
    lab.copy_notebooks(source, target)
    (target / "00_first.ipynb").write_text("mine")
    (source / "00_first.ipynb").write_text("first, version 2")
    lab.copy_notebooks(source, target)
    (target / "00_first.new.ipynb").write_text("also mine")
    (source / "00_first.ipynb").write_text("first, version 3")
    lab.copy_notebooks(source, target)
    found = contents(target)
    assert [found[f"00_first{end}.ipynb"] for end in ("", ".new", ".new2")] == ["mine", "also mine", "first, version 3"]


def test_file_of_the_user_with_a_name_of_ours_is_kept(notebooks: tuple[Path, Path]) -> None:
    source, target = notebooks
    target.mkdir()
    (target / "00_first.ipynb").write_text("theirs, from before")
    lab.copy_notebooks(source, target)
    assert contents(target)["00_first.ipynb"] == "theirs, from before"
    assert contents(target)["00_first.new.ipynb"] == "first, version 1"


@pytest.mark.parametrize("manifest", ["", "[]", '{"files": 3}', "{"])
def test_broken_manifest_replaces_nothing(notebooks: tuple[Path, Path], manifest: str) -> None:
    source, target = notebooks
    lab.copy_notebooks(source, target)
    (target / lab.MANIFEST).write_text(manifest)
    (source / "00_first.ipynb").write_text("first, version 2")
    lab.copy_notebooks(source, target)
    assert contents(target)["00_first.ipynb"] == "first, version 1"
    assert contents(target)["00_first.new.ipynb"] == "first, version 2"
    assert set(json.loads((target / lab.MANIFEST).read_text())["files"]) == {
        "00_first.ipynb", "01_second.ipynb", "pictures/unit.png",
    }  # fmt: skip


def test_installation_without_notebooks_is_a_worded_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="Install unitlens again"):
        lab.copy_notebooks(tmp_path, tmp_path / "target")


def test_wheel_copies_and_checkout_does_not(
    notebooks: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, target = notebooks
    package = tmp_path / "site" / "unitlens"
    package.mkdir(parents=True)
    source.rename(package / "notebooks")
    monkeypatch.setattr(lab, "PACKAGE", package)
    folder, lines = lab.notebooks_folder(target)
    assert (folder, len(lines)) == (target, 3)
    (tmp_path / "site" / "pyproject.toml").touch()
    (tmp_path / "site" / "notebooks").mkdir()
    assert lab.notebooks_folder(target) == (tmp_path / "site" / "notebooks", [])


def test_server_listens_on_this_machine_only_and_keeps_its_token(tmp_path: Path) -> None:
    (tmp_path / "00_a.ipynb").touch()
    (tmp_path / "01_b.ipynb").touch()
    arguments = lab.server_arguments(tmp_path, port=9000, browser=False)
    assert {"--ServerApp.ip=127.0.0.1", "--ServerApp.port=9000", "--no-browser"} <= set(arguments)
    assert "--LabApp.default_url=/lab/tree/00_a.ipynb" in arguments
    assert not any("token" in argument or "password" in argument for argument in arguments)
    assert "--no-browser" not in lab.server_arguments(tmp_path, port=None, browser=True)


def test_lab_without_jupyterlab_says_the_pip_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    with pytest.raises(MissingExtra, match=re.escape("python -m pip install 'unitlens[lab]'")):
        lab.serve(tmp_path)


def test_version_is_that_of_the_project() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\d+\.\d+\.\d+)", changes, re.M)
    result = runner.invoke(cli.app, ["--version"])
    assert newest is not None
    assert (result.exit_code, result.stdout) == (0, f"unitlens {newest[1]}\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UnitLensError("that is wrong; do this"), 1, "unitlens: that is wrong; do this\n"),
        (KeyboardInterrupt(), 130, "\nunitlens: stopped by Ctrl-C; what was finished is in the store.\n"),
    ],
)
def test_errors_become_one_line(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(unitlens, "load_model", fail, raising=False)
    result = runner.invoke(cli.app, ["demo"])
    assert (result.exit_code, result.stderr, result.stdout) == (code, line, "")


def test_errors_that_are_not_ours_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(unitlens, "load_model", fail, raising=False)
    assert isinstance(runner.invoke(cli.app, ["demo"]).exception, ZeroDivisionError)


def test_output_in_a_folder_that_cannot_be_made_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = runner.invoke(cli.app, ["demo", "--output", str(tmp_path / "file" / "page.html")])
    assert result.exit_code == 1
    assert result.stderr.startswith("unitlens: --output: the folder")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """A facade that only writes down what the demo asks of it."""
    seen: list[tuple] = []
    shown = SimpleNamespace(text=lambda: "TABLE")

    def table(name: str, **options: object) -> SimpleNamespace:
        seen.append(("table", name))
        return shown

    dissection = SimpleNamespace(text=lambda: "SUMMARY", table=table)
    net = ["conv1_1", "relu1_1", "conv4_3", "conv5_1", "relu5_1", "conv5_2", "pool5", "fc"]
    monkeypatch.setattr(unitlens, "load_model", lambda name: seen.append(("model", name)) or "net", raising=False)
    monkeypatch.setattr(unitlens, "load_probe", lambda name, count: seen.append(("probe", name, count)), raising=False)
    monkeypatch.setattr(unitlens, "layers", lambda model: net, raising=False)
    dissect = lambda model, names, probe, store: seen.append(("dissect", names, store)) or dissection  # noqa: E731
    monkeypatch.setattr(unitlens, "dissect", dissect, raising=False)
    monkeypatch.setattr(unitlens, "report", lambda d, path: Path(path), raising=False)
    return seen


def test_demo_dissects_the_last_block_and_says_where_the_page_is(calls: list[tuple], tmp_path: Path) -> None:
    result = runner.invoke(cli.app, ["demo", "--images", "7", "--output", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    assert calls[:3] == [("model", "scenenet"), ("probe", "scenes", 7), ("dissect", ["conv5_1", "conv5_2"], True)]
    assert result.stdout.startswith("SUMMARY\n\nTABLE\n\nTABLE\n")
    place = re.escape(str(tmp_path / "page.html"))
    assert re.search(rf"{place}: open it in a browser\. \d+\.\d s in all\.", result.stdout)


def test_demo_takes_layers_and_can_leave_the_store_alone(calls: list[tuple], tmp_path: Path) -> None:
    options = ["--layers", "conv1_1, conv4_3", "--no-store", "--output", str(tmp_path / "page.html")]
    assert runner.invoke(cli.app, ["demo", *options]).exit_code == 0
    assert ("dissect", ["conv1_1", "conv4_3"], False) in calls
    assert ("table", "conv4_3") in calls


def test_real_demo_writes_one_page_that_asks_nothing_of_the_network(tmp_path: Path) -> None:
    page = tmp_path / "demo.html"
    run = unitlens_command("demo", "--images", "40", "--output", str(page), folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert "conv5_3" in run.stdout
    text = page.read_text()
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", text)


def test_unknown_layer_leaves_one_line_that_offers_names(tmp_path: Path) -> None:
    run = unitlens_command("demo", "--images", "4", "--layers", "conv5_9", folder=tmp_path)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "conv5_" in run.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())
