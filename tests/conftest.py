"""Fixtures and last words shared by all tests: the built book, the browser, and what to say when there is none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

# pytest-xdist gives each worker a core, on which a library's threads would wait for those of the other workers. They
# are counted when numpy is first imported, so it is said here.
for _name in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_name}_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"


def load_book_extension() -> ModuleType:
    """Import book/_ext/odyssey_book.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("odyssey_book", BOOK / "_ext" / "odyssey_book.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def book_extension() -> ModuleType:
    return load_book_extension()


def _build_book() -> None:
    build = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "-W", "--keep-going"]
    for _attempt in range(2):
        run = subprocess.run([*build, str(BOOK)], capture_output=True, text=True, cwd=ROOT)
        output = run.stdout + run.stderr
        # A kernel that stalls is rare and heals by itself; every other failure is the book's own.
        if run.returncode == 0 or "timeout" not in output.lower().replace("execution_timeout", ""):
            break
    if run.returncode:
        pytest.fail(f"the book does not build:\n{output[-6000:]}", pytrace=False)


@pytest.fixture(scope="session")
def built_book(book_extension: ModuleType) -> Path:
    """Give the html folder of the book, built now unless it is the build of exactly what is here."""
    pytest.importorskip("jupyter_book", reason="the extra [book] is not installed")
    from filelock import FileLock

    (BOOK / "_build").mkdir(exist_ok=True)
    with FileLock(BOOK / "_build" / ".lock"):
        if not book_extension.is_current(BOOK):
            _build_book()
            assert book_extension.is_current(BOOK), "a file changed while the book was built, or no stamp was written"
    return BOOK / "_build" / "html"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Start a headless browser; without one, fail where tests must not be left out, and skip elsewhere."""
    browser = pytest.importorskip("browser", reason="the extra [dev] is not installed")
    from playwright.sync_api import sync_playwright

    path = browser.find_browser()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(browser.NOT_TESTED, pytrace=False)
        pytest.skip(browser.NOT_TESTED)
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=path, args=browser.launch_arguments())
        yield opened
        opened.close()


def pytest_unconfigure(config: pytest.Config) -> None:
    # Here and not in the summary, so that it is the last line that is read.
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    words = "browser pages NOT tested: "
    told = [str(report.longrepr) for kind in ("skipped", "error") for report in reporter.stats.get(kind, [])]
    line = next((words + text.split(words)[1].splitlines()[0].strip("'\")") for text in told if words in text), None)
    if line:
        reporter.write_line(line, yellow=True)
