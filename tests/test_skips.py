"""Under CI=true a skip counts as a failure unless its reason is an allowed one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
TESTS = """
import pytest

def test_cuda(): pytest.skip("no CUDA device here")
def test_inside(): pytest.skip("Chromium is not installed")
@pytest.mark.skipif(True, reason="too slow")
def test_marked(): pass
@pytest.mark.skip(reason="not now")
def test_never(): pass
@pytest.mark.xfail(reason="known", strict=True)
def test_known(): raise ValueError
def test_fine(): pass
@pytest.fixture
def browser(): pytest.skip("no browser")
def test_fixture(browser): pass
"""


def run(folder: Path, text: str, ci: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_some.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    environment = {**os.environ, "CI": ci}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120).stdout


def test_skips_fail_under_ci(tmp_path: Path) -> None:
    closing = run(tmp_path, TESTS, "true").splitlines()[-1]
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 3 errors" in closing  # skipped before the test ran: an error


def test_skips_are_skips_elsewhere(tmp_path: Path) -> None:
    assert "1 passed, 5 skipped, 1 xfailed" in run(tmp_path, TESTS, "").splitlines()[-1]


@pytest.mark.parametrize(("ci", "closing"), [("true", "1 error"), ("", "1 skipped")])
def test_skipped_module_counts_too(tmp_path: Path, ci: str, closing: str) -> None:
    text = 'import pytest\npytest.skip("some package is missing", allow_module_level=True)\n'
    assert closing in run(tmp_path, text, ci).splitlines()[-1]
