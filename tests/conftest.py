"""What every test may use: a private home folder, a browser, an accessibility check; no skip hides a required part."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip


def skip_is_allowed(reason: str) -> bool:
    """Whether a test may be skipped under CI=true for this reason."""
    if reason.startswith("no CUDA") or reason.startswith("no MPS"):
        return True
    return reason.startswith("../shared is not here") and not (ROOT.parent / "shared").is_dir()


def _forbid_hidden_skips(report: pytest.TestReport | pytest.CollectReport, call: pytest.CallInfo | None) -> None:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    skipped = call.excinfo.value if call and call.excinfo else report.longrepr
    reason = str(getattr(skipped, "msg", skipped))
    if not skip_is_allowed(reason):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI=true: {reason!r} is not one of the reasons that tests/conftest.py allows"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Generator[None, pytest.TestReport, object]:
    report = yield
    _forbid_hidden_skips(report, call)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, object]:
    report = yield
    _forbid_hidden_skips(report, report.call if hasattr(report, "call") else None)
    return report


@pytest.fixture(scope="session", autouse=True)
def unitlens_home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path, None, None]:
    """A home folder for the session: tests neither read nor fill the user's store."""
    folder = tmp_path_factory.mktemp("unitlens-home")
    before = os.environ.get("UNITLENS_HOME")
    os.environ["UNITLENS_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["UNITLENS_HOME"]
    else:
        os.environ["UNITLENS_HOME"] = before


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; tests without it are skipped, which fails under CI=true."""
    found = CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """Chromium, driven by playwright; one for the session, since playwright runs once in a thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield instance
        instance.close()


@pytest.fixture(scope="session")
def violations() -> Callable[..., list[str]]:
    """`violations(page)`: the serious and critical faults that axe-core finds in a page as it is now, a line for each
    element. `violations(page, ".unitlens")` looks only inside what the selector finds."""
    from axe_playwright_python.sync_playwright import Axe

    def look(page: Any, inside: str | None = None) -> list[str]:
        faults = Axe().run(page, context=inside).response["violations"]
        return [
            f"{fault['id']} ({fault['impact']}): {node['html'][:160]} {node['failureSummary']}"
            for fault in faults
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    return look
