"""The one Sphinx extension of the book: a built page needs no network, and is never older than what it rests on.

It does five things, in the order in which a build meets them:

1. cells run in the interpreter that builds the book, and know that they do (``ODYSSEY_BOOK=1``);
2. executed notebooks are forgotten when the kit, the published trials or this file have changed;
3. the data tables of the charts move out of the pages into one script each, shared by every chart that names it;
4. the Vega bundle is written beside them, from the copy that vl-convert carries;
5. what the theme brings and an offline page cannot use is left out.

May import the standard library, docutils, Sphinx, ipykernel and vl_convert; never odyssey_kit, so that the keys below
can be computed (by the tests, say) without loading what they watch over.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CACHE_FOLDER = ".jupyter_cache"  # where MyST-NB keeps executed notebooks, beside the html folder
EXECUTION_STAMP = ".odyssey-execution-key"
BOOK_STAMP = ".odyssey-book-key"
TABLE_FOLDER = "odyssey-data"  # chart-host.js looks for it under _static
VEGA_BUNDLE = "vendor/vega.bundle.js"

_TABLE = re.compile(r'<script\b[^>]*\bdata-odyssey-table="(odyssey-[0-9a-f]{12})"[^>]*>(.*?)</script>', re.DOTALL)
# A cell that is set to the right: a number, an interval, a power of ten, a share, or one that is missing.
_NUMBER = re.compile(r"(?=.*[\d∞—])[-+−–—±×…<>≤≥.,;()\[\]%\s\de∞⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|nan|<NA>|None|[-+]?inf", re.IGNORECASE)
_UNWATCHED = {"__pycache__", "_build", ".ipynb_checkpoints"}


# --- What a page rests on, as a key ---------------------------------------------------------------------------------


def _watched_files(folders: Iterable[Path]) -> list[Path]:
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in found if not _UNWATCHED & set(path.parts) and not path.name.startswith("."))


def _key(folders: Iterable[Path], *facts: str) -> str:
    """Hash names and contents of all files below the folders, and a few facts besides."""
    digest = hashlib.sha256("\0".join(facts).encode())
    for folder in folders:
        for path in _watched_files([folder]):
            digest.update(f"\0{folder.name}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def execution_key(root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> str:
    """Key of everything that the result of a cell may depend on, apart from the cell itself.

    The notebook cache knows the code of the cells only. A change in the kit, in the published trials, in a data
    manifest or in this extension, and the switch ``ODYSSEY_RERUN``, change what the same cell returns.
    """
    results = Path(environ.get("ODYSSEY_RESULTS") or root / "results_cache")
    folders = [root / "odyssey_kit", results, root / "data_manifests", root / "book" / "_ext"]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _key(folders, f"python={python}", f"rerun={environ.get('ODYSSEY_RERUN', '')}")


def book_key(book: Path, root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> str:
    """Key of a whole build: the execution key and every source file of the book."""
    return _key([book], execution_key(root, environ))


def is_current(book: Path, root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether ``book/_build/html`` is the complete build of what is here now."""
    stamp = book / "_build" / "html" / BOOK_STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == book_key(book, root, environ)


def forget_stale_executions(build: Path, key: str) -> bool:
    """Remove the executed notebooks of another key from the build folder; tell whether there were any."""
    stamp, cache = build / EXECUTION_STAMP, build / CACHE_FOLDER
    known = stamp.read_text(encoding="utf-8") if stamp.is_file() else None
    stale = known != key and cache.exists()
    if stale:
        shutil.rmtree(cache)
    build.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key, encoding="utf-8")
    return stale


def _start_from_what_is_here(app: Any, config: Any) -> None:
    # As a value of kind "env", a changed key makes Sphinx read every chapter again; with the cache gone, reading
    # means executing.
    config.odyssey_execution_key = execution_key()
    app.odyssey_book_key = book_key(Path(app.srcdir))  # what is edited during the build is not in it
    forget_stale_executions(Path(app.outdir).parent, config.odyssey_execution_key)


# --- Kernels ----------------------------------------------------------------------------------------------------------


def use_this_interpreter(build: Path, environ: Any = os.environ) -> Path:
    """Make ``python3`` mean the interpreter that builds the book, whatever kernels are installed on the machine."""
    from ipykernel.kernelspec import get_kernel_dict

    kernel = build / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True, exist_ok=True)
    # Warnings of the kernel's own (on how it talks to the build, at every chapter) are left out of the build's output.
    specification = get_kernel_dict(extra_arguments=["--log-level=ERROR"])
    kernel.write_text(json.dumps({**specification, "display_name": "Python 3"}, indent=1), encoding="utf-8")
    folders = [str(kernel.parents[2]), *filter(None, environ.get("JUPYTER_PATH", "").split(os.pathsep))]
    environ["JUPYTER_PATH"] = os.pathsep.join(dict.fromkeys(folders))
    return kernel


# --- Outputs: tables of data, tables to read --------------------------------------------------------------------------


def lift_tables(html: str) -> tuple[str, dict[str, str]]:
    """Take the tables out of one cell output: what is left of it, and the tables by name.

    Examples
    --------
    >>> lift_tables('<p></p><script data-odyssey-table="odyssey-0123456789ab">{"x":[1]}</script>')
    ('<p></p>', {'odyssey-0123456789ab': '{"x":[1]}'})
    """
    tables = {name: body.strip() for name, body in _TABLE.findall(html)}
    return _TABLE.sub("", html), tables


def write_tables(folder: Path, tables: Mapping[str, str]) -> None:
    """Write each table as a script (``fetch`` is forbidden to a page opened as a file) and remove all others."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{name}.js": body for name, body in tables.items()}
    for path in folder.glob("*.js"):
        if path.name not in wanted:
            path.unlink()
    for file_name, body in wanted.items():
        script = f"(window.OdysseyTables = window.OdysseyTables || {{}})[{json.dumps(file_name[:-3])}] = {body};\n"
        (folder / file_name).write_text(script, encoding="utf-8")


def _tables_of(env: Any) -> dict[str, dict[str, str]]:
    if not hasattr(env, "odyssey_tables"):
        env.odyssey_tables = {}
    return env.odyssey_tables


def _prepare_outputs(app: Any, doctree: Any) -> None:
    from docutils import nodes

    found: dict[str, str] = {}
    for node in doctree.findall(nodes.raw):
        html = node.astext()
        if r"\(" in html or r"\[" in html:
            # Sphinx loads MathJax where a chapter's text holds a formula; this one came out of a cell.
            app.env.get_domain("math").data["has_equations"][app.env.docname] = True
        if "data-odyssey-table" in html:
            html, tables = lift_tables(html)
            found |= tables
        elif "<table" in html and "text_html" in node["classes"]:
            html = dress_tables(html)
        else:
            continue
        node.children, node.rawsource = [nodes.Text(html)], ""
    _tables_of(app.env)[app.env.docname] = found


def _forget_tables_of_page(app: Any, env: Any, docname: str) -> None:
    _tables_of(env).pop(docname, None)


def _merge_tables(app: Any, env: Any, docnames: Iterable[str], other: Any) -> None:
    _tables_of(env).update({name: _tables_of(other).get(name, {}) for name in docnames})


def dress_tables(html: str) -> str:
    """Give the tables of one cell output the book's look: a class, a wrapper that scrolls, numbers set to the right.

    Examples
    --------
    >>> print(dress_tables('<table class="dataframe"><tr><th>n</th></tr><tr><td>12</td></tr></table>'))
    <div class="odyssey-scroll" tabindex="0"><table class="dataframe odyssey-table"><tr><th
    class="odyssey-number">n</th></tr><tr><td class="odyssey-number">12</td></tr></table></div>
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    for table in soup.find_all("table"):
        del table["border"]
        _join_header_rows(table)
        table["class"] = " ".join([*(table.get("class") or []), "odyssey-table"])
        rows = [row.find_all(["th", "td"], recursive=False) for row in table.find_all("tr")]
        width = max(map(len, rows), default=0)
        for column in range(width):
            cells = [row[column] for row in rows if len(row) == width]
            data = [cell.get_text(strip=True) for cell in cells if cell.name == "td"]
            if any(data) and all(_NUMBER.fullmatch(text) for text in data if text):
                for cell in cells:
                    cell["class"] = " ".join([*(cell.get("class") or []), "odyssey-number"])
        table.wrap(soup.new_tag("div", attrs={"class": "odyssey-scroll", "tabindex": "0"}))
    return str(soup)


def _join_header_rows(table: Any) -> None:
    """Put the names of a frame's index, which pandas gives a row of their own, into the header row above."""
    rows = [row.find_all(["th", "td"], recursive=False) for row in table.select("thead > tr")]
    if len(rows) == 2 and len(rows[0]) == len(rows[1]):
        texts = [[cell.get_text(strip=True) for cell in row] for row in rows]
        if not any(above and below for above, below in zip(*texts, strict=True)):
            for cell, below in zip(rows[0], texts[1], strict=True):
                cell.string = cell.get_text(strip=True) or below
            rows[1][0].parent.decompose()


# --- Finishing --------------------------------------------------------------------------------------------------------


def write_vega_bundle(path: Path) -> None:
    """Write Vega, Vega-Lite and vega-embed as one script, unless the one there is of this vl-convert.

    The wrapper hides ``define``, ``exports`` and ``module``, so that no module loader on a page can capture it.
    """
    import vl_convert

    heading = f"// Vega, Vega-Lite and vega-embed, bundled by vl-convert-python {version('vl-convert-python')}\n"
    if path.is_file():
        with path.open(encoding="utf-8") as existing:
            if existing.readline() == heading:
                return
    path.parent.mkdir(parents=True, exist_ok=True)
    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    path.write_text(f"{heading}(function (define, exports, module) {{\n{bundle}\n}})();\n", encoding="utf-8")


def _leave_out_thebe(app: Any, pagename: str, templatename: str, context: dict, doctree: Any) -> None:
    # Jupyter Book always loads sphinx-thebe. It declares one constant twice, which is an error on every page, and its
    # button asks a content network for a kernel.
    def wanted(asset: Any) -> bool:
        text = f"{getattr(asset, 'filename', asset)} {getattr(asset, 'attributes', {}).get('body', '')}"
        return "thebe" not in text.lower()

    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context.get(kind, []) if wanted(asset)]


def _leave_out_thebe_settings(app: Any, doctree: Any, docname: str) -> None:
    from docutils import nodes

    for node in list(doctree.findall(nodes.raw)):
        if "text/x-thebe-config" in node.astext() or node.astext().startswith("<script>kernelName = "):
            node.parent.remove(node)


def _finish(app: Any, exception: Exception | None) -> None:
    if app.builder.format != "html":
        return
    html = Path(app.outdir)
    stamp = html / BOOK_STAMP
    if exception is not None or app._warncount:
        # Sphinx would remember this build as done, and the next one would keep silent about what was wrong.
        stamp.unlink(missing_ok=True)
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)
    if exception is not None:
        return
    static = html / "_static"
    write_tables(static / TABLE_FOLDER, {k: v for page in _tables_of(app.env).values() for k, v in page.items()})
    write_vega_bundle(static / VEGA_BUNDLE)
    for leftover in [*static.rglob("*.map"), *static.glob("*thebe*")]:
        leftover.unlink()
    if not app._warncount:
        stamp.write_text(app.odyssey_book_key, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    os.environ["ODYSSEY_BOOK"] = "1"
    use_this_interpreter(Path(app.outdir).parent)
    app.add_config_value("odyssey_execution_key", "", "env", types=[str])
    app.add_css_file("odyssey.css", priority=900)
    app.add_js_file("chart-host.js", loading_method="defer")
    app.connect("config-inited", _start_from_what_is_here)
    app.connect("env-purge-doc", _forget_tables_of_page)
    app.connect("env-merge-info", _merge_tables)
    app.connect("doctree-read", _prepare_outputs)
    app.connect("doctree-resolved", _leave_out_thebe_settings, priority=900)
    app.connect("html-page-context", _leave_out_thebe, priority=900)
    app.connect("build-finished", _finish, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
