"""What a built page asks for, without a browser; and that a build is never older than what it rests on."""

from __future__ import annotations

import doctest
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BOOK

VENDORED = ("/vendor/",)
CONTENT_NETWORKS = re.compile(r"jsdelivr|unpkg|cdnjs|esm\.sh|googleapis", re.IGNORECASE)
# What a browser fetches by itself, as opposed to a link that a reader may follow.
FETCHED = re.compile(
    r"<(?:script|link|img|iframe|source|video|audio|object)\b[^>]*\b(?:src|href|data)=[\"']?((?:https?:)?//[^\"'\s>]+)"
)

INLINE_TABLE = re.compile(r"<script[^>]*data-odyssey-table")


# --- The built pages --------------------------------------------------------------------------------------------------


def _files(built_book: Path, *suffixes: str) -> list[Path]:
    own = [path for path in built_book.rglob("*") if path.suffix in suffixes]
    return [path for path in own if not any(name in path.as_posix() for name in VENDORED)]


def test_no_content_network_is_named(built_book):
    naming = {
        path.relative_to(built_book).as_posix(): sorted(set(found))
        for path in _files(built_book, ".html", ".js", ".css", ".mjs")
        if (found := CONTENT_NETWORKS.findall(path.read_text(encoding="utf-8")))
    }
    assert naming == {}


def test_no_page_fetches_from_another_host(built_book):
    pages = _files(built_book, ".html")
    fetched = {page.name: FETCHED.findall(page.read_text(encoding="utf-8")) for page in pages}
    assert pages
    assert {page: urls for page, urls in fetched.items() if urls} == {}


def test_the_grep_would_find_one():
    assert FETCHED.findall('<script async src="https://cdn.jsdelivr.net/npm/vega@6"></script>')
    assert not FETCHED.findall('<a href="https://example.org">a link</a>')


def test_pages_show_no_warnings_or_tracebacks_of_cells(built_book):
    for page in _files(built_book, ".html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'class="output (?:stderr|traceback)', text), page.name


def test_every_table_is_there_once_and_no_other(built_book):
    pages = "".join(page.read_text(encoding="utf-8") for page in built_book.glob("*.html"))
    assert not INLINE_TABLE.search(pages)
    named = set(re.findall(r'"name":\s*"(odyssey-[0-9a-f]{12})"', pages))
    assert {path.stem for path in (built_book / "_static" / "odyssey-data").glob("*.js")} == named


def test_nothing_of_the_theme_is_left_that_a_reader_cannot_use(built_book):
    assert not list(built_book.rglob("*.map"))
    assert not list((built_book / "_static").glob("*thebe*"))


def test_vendored_files_are_the_ones_that_were_recorded():
    vendor = BOOK / "assets" / "vendor"
    lines = (vendor / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    recorded = {name: digest for digest, name in map(str.split, lines)}
    present = {
        path.relative_to(vendor).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.rglob("*")
        if path.is_file() and path.parent != vendor
    }
    assert present == recorded
    assert {"mathjax/LICENSE", "inter/LICENSE"} <= set(recorded)


# --- Keys: what a change of the kit, the trials or the sources does ---------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """Make a project of the same shape, with one file in each place that counts."""
    files = {
        "odyssey_kit/__init__.py": "VALUE = 1\n",
        "odyssey_kit/explorers/basin.js": "export default {}\n",
        "results_cache/first-light/study.json": "{}\n",
        "data_manifests/jsb.json": "{}\n",
        "book/_ext/odyssey_book.py": "# the extension\n",
        "book/index.md": "# A title\n",
        "book/assets/odyssey.css": "p {}\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "odyssey_kit/__init__.py",
        "odyssey_kit/explorers/basin.js",
        "results_cache/first-light/study.json",
        "data_manifests/jsb.json",
        "book/_ext/odyssey_book.py",
    ],
)
def test_a_change_of_what_cells_rest_on_changes_the_execution_key(book_extension, project, name):
    before = book_extension.execution_key(project, {})
    assert book_extension.execution_key(project, {}) == before
    (project / name).write_text("changed", encoding="utf-8")
    changed = book_extension.execution_key(project, {})
    (project / name).rename(project / name.replace(".", "_moved."))
    assert len({before, changed, book_extension.execution_key(project, {})}) == 3


def test_a_new_file_and_the_switch_change_the_execution_key(book_extension, project, tmp_path_factory):
    keys = [book_extension.execution_key(project, environ) for environ in ({}, {"ODYSSEY_RERUN": "1"})]
    elsewhere = tmp_path_factory.mktemp("results")
    keys.append(book_extension.execution_key(project, {"ODYSSEY_RESULTS": str(elsewhere)}))
    (project / "results_cache" / "first-light" / "trials.parquet").write_bytes(b"PAR1")
    keys.append(book_extension.execution_key(project, {}))
    assert len(set(keys)) == 4


def test_what_no_cell_reads_leaves_the_execution_key_alone(book_extension, project):
    before = book_extension.execution_key(project, {})
    for name in ("odyssey_kit/__pycache__/x.pyc", "book/index.md", "book/_build/html/index.html", "runs/first.sqlite"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("new", encoding="utf-8")
    assert book_extension.execution_key(project, {}) == before


def test_a_build_is_current_until_a_source_changes(book_extension, project):
    book = project / "book"
    assert not book_extension.is_current(book, project, {})
    stamp = book / "_build" / "html" / book_extension.BOOK_STAMP
    stamp.parent.mkdir(parents=True)
    stamp.write_text(book_extension.book_key(book, project, {}), encoding="utf-8")
    assert book_extension.is_current(book, project, {})
    assert not book_extension.is_current(book, project, {"ODYSSEY_RERUN": "1"})
    (book / "assets" / "odyssey.css").write_text("p { color: red }", encoding="utf-8")
    assert not book_extension.is_current(book, project, {})


def test_executed_notebooks_are_forgotten_when_the_key_differs(book_extension, tmp_path):
    cache = tmp_path / book_extension.CACHE_FOLDER / "executed"
    cache.mkdir(parents=True)
    assert book_extension.forget_stale_executions(tmp_path, "one"), "of a cache without a key nothing is known"
    assert not cache.parent.exists()
    cache.mkdir(parents=True)
    assert not book_extension.forget_stale_executions(tmp_path, "one")
    assert cache.exists()
    assert book_extension.forget_stale_executions(tmp_path, "two")
    assert not cache.parent.exists()
    assert not book_extension.forget_stale_executions(tmp_path, "two")


def test_tables_are_written_once_as_scripts_and_stale_ones_removed(book_extension, tmp_path):
    (tmp_path / "odyssey-ffffffffffff.js").write_text("old", encoding="utf-8")
    book_extension.write_tables(tmp_path, {"odyssey-0123456789ab": '{"x":[1,2]}'})
    (written,) = tmp_path.iterdir()
    assert written.name == "odyssey-0123456789ab.js"
    ((name, body),) = re.findall(r'\["(.+)"\] = (.+);', written.read_text(encoding="utf-8"))
    assert name == "odyssey-0123456789ab"
    assert json.loads(body) == {"x": [1, 2]}


def test_the_examples_in_the_extension_run(book_extension):
    outcome = doctest.testmod(book_extension, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert outcome.attempted
    assert not outcome.failed


def test_cells_run_in_the_interpreter_that_builds(book_extension, tmp_path):
    environ = {"JUPYTER_PATH": "/opt/other"}
    kernel = book_extension.use_this_interpreter(tmp_path, environ)
    book_extension.use_this_interpreter(tmp_path, environ)
    assert json.loads(kernel.read_text(encoding="utf-8"))["argv"][0] == sys.executable
    assert environ["JUPYTER_PATH"].count(str(tmp_path)) == 1
    assert environ["JUPYTER_PATH"].endswith("/opt/other")


# --- The same, by building a small book -------------------------------------------------------------------------------

CONFIGURATION = """
import sys
sys.path.insert(0, "_ext")
extensions = ["myst_nb", "odyssey_book"]
exclude_patterns = ["_build"]
html_theme = "basic"
html_static_path = ["assets"]
nb_execution_mode = "cache"
"""
CHAPTER = """---
file_format: mystnb
kernelspec: {name: python3, display_name: Python 3}
---
# A chapter

```{code-cell}
import sys
sys.path.insert(0, "..")
from IPython.display import HTML
from odyssey_kit import VALUE
name = f"odyssey-{VALUE:012x}"
HTML(f'<p>value {VALUE}</p><script type="application/json" data-odyssey-table="{name}">{{"x":[{VALUE}]}}</script>')
```
"""


def _sphinx(book: Path, *, succeeds: bool = True) -> str:
    command = [sys.executable, "-m", "sphinx", "-W", "-b", "html", "-d", "_build/.doctrees", ".", "_build/html"]
    run = subprocess.run(command, cwd=book, capture_output=True, text=True)
    assert (run.returncode == 0) is succeeds, run.stdout + run.stderr
    return re.sub(r"\x1b\[[\d;]*m", "", run.stdout + run.stderr)


def test_a_small_book_follows_the_kit_keeps_its_tables_and_its_failures(book_extension, project):
    book, html = project / "book", project / "book" / "_build" / "html"
    (book / "_ext" / "odyssey_book.py").write_text((BOOK / "_ext" / "odyssey_book.py").read_text(encoding="utf-8"))
    (book / "conf.py").write_text(CONFIGURATION, encoding="utf-8")
    (book / "index.md").write_text(CHAPTER, encoding="utf-8")
    for asset in ("odyssey.css", "chart-host.js"):
        (book / "assets" / asset).write_text("", encoding="utf-8")

    def table(value: int) -> Path:
        return html / "_static" / "odyssey-data" / f"odyssey-{value:012x}.js"

    assert "Executed notebook" in _sphinx(book)
    assert "value 1" in (html / "index.html").read_text(encoding="utf-8")
    assert not INLINE_TABLE.search((html / "index.html").read_text(encoding="utf-8"))
    assert table(1).is_file()

    table(1).unlink()
    (book / "index.md").touch()
    assert "Executed notebook" not in _sphinx(book), "nothing changed: the cached execution serves"
    assert table(1).is_file()

    (project / "odyssey_kit" / "__init__.py").write_text("VALUE = 2\n", encoding="utf-8")
    assert "Executed notebook" in _sphinx(book)
    assert "value 2" in (html / "index.html").read_text(encoding="utf-8")
    assert table(2).is_file()
    assert not table(1).exists()

    (project / "odyssey_kit" / "__init__.py").write_text("VALUE = 'no number'\n", encoding="utf-8")
    assert "Executing notebook failed" in _sphinx(book, succeeds=False)
    assert "Executing notebook failed" in _sphinx(book, succeeds=False), "a second build must not pass in silence"
