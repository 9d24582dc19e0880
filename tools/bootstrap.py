"""Build the environment, the book and the tests from a fresh clone; the Makefile is a thin face of this.

Needs nothing but the standard library, and prints one line with the remedy where something is missing:

    python3 tools/bootstrap.py book | serve | lab | test | test-all | lint | clean
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import webbrowser
from concurrent.futures import ThreadPoolExecutor

from environment import ROOT, Remedy, check_interpreter, ensure, environment, in_venv, say

BOOK = ROOT / "book"
FIRST_PAGE = BOOK / "_build" / "html" / "index.html"

BOOK_EXTRAS = frozenset({"book"})
TRAIN_EXTRAS = frozenset({"book", "train"})
TEST_EXTRAS = frozenset({"book", "train", "dev"})

# What a stalled notebook kernel leaves in the log. Now and then a kernel never answers, and the same sources
# build at once on the next call; any other failure is a failure.
STALL_SIGNS = ("CellTimeoutError", "DeadKernelError", "Kernel died", "Kernel didn't respond", "timed out")

CACHES = (".pytest_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache", "build", "odyssey_kit.egg-info")


# ---- the book --------------------------------------------------------------------------------


def run_and_listen(command: list, env: dict) -> tuple:
    """Run a command, show what it prints as it comes, and return (exit code, all it printed)."""
    heard = []
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        for line in child.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            heard.append(line)
    return child.returncode, "".join(heard)


def stalled(output: str) -> bool:
    """Tell whether a build failed because a notebook kernel never answered."""
    return any(sign in output for sign in STALL_SIGNS)


def build_book() -> None:
    """Build the interactive book from results_cache; a warning is an error."""
    if not (BOOK / "_config.yml").exists():
        raise Remedy(f"{BOOK} holds no _config.yml: restore the folder (git checkout book)")
    # The published book rests on the committed trials alone, whatever the caller's shell says.
    # One thread: the products are small, and a BLAS that spins beside a chapter slows it down.
    env = environment(PYDEVD_DISABLE_FILE_VALIDATION="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    env.pop("ODYSSEY_RERUN", None)
    for last_attempt in (False, True):
        code, output = run_and_listen([in_venv("jupyter-book"), "build", "-W", "--keep-going", "book"], env)
        if code == 0:
            return
        # Sphinx says a page's warnings only when it reads the page: forget what was read, or the
        # next call would pass without them.
        shutil.rmtree(BOOK / "_build" / ".doctrees", ignore_errors=True)
        if last_attempt or not stalled(output):
            raise Remedy("the book did not build: the first WARNING or ERROR above says where")
        say("a notebook kernel stalled; building once more")


def show_book() -> None:
    """Say where the first page is."""
    say(f"the book is built; its first page: {FIRST_PAGE.as_uri()}")
    say("to read it over http: make serve (without make: python tools/bootstrap.py serve)")


def serve(port: int) -> None:
    """Serve the built book on this machine only, until Ctrl-C."""
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Page(SimpleHTTPRequestHandler):
        # Windows' registry may call JavaScript plain text, and browsers then refuse it.
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # noqa: RUF012

        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, directory=str(FIRST_PAGE.parent), **kwargs)

        def log_message(self, *args) -> None:
            pass

    class Server(ThreadingHTTPServer):
        # On Windows a reused address would let two servers share a port in silence.
        allow_reuse_address = os.name != "nt"

    try:
        server = Server(("127.0.0.1", port), Page)
    except (OSError, OverflowError):
        other = 8001 if port == 8000 else 8000
        raise Remedy(f"port {port} cannot be had on 127.0.0.1: choose another, make serve PORT={other}") from None
    with server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        say(f"serving the book at {address} (Ctrl-C ends it)")
        if sys.stdout.isatty():
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")


def lab() -> None:
    """Open the chapters in JupyterLab, each as a notebook."""
    command = [in_venv("jupyter-lab"), f"--ServerApp.root_dir={BOOK}"]
    if not sys.stdout.isatty():
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    say("opening book/ in JupyterLab: a double click on a chapter opens it as a notebook (Ctrl-C twice ends it)")
    subprocess.run(command, cwd=ROOT, env=environment(), check=False)


# ---- the tests -------------------------------------------------------------------------------


def lint_steps() -> list:
    """Return the checks that read the code without running it: (name, command)."""
    return [
        ("ruff check", [in_venv("ruff"), "check", "."]),
        ("ruff format --check", [in_venv("ruff"), "format", "--check", "."]),
        ("pyright", [in_venv("pyright")]),
        ("lint-imports", [in_venv("lint-imports")]),
    ]


def pytest_command(slow: bool) -> list:
    """Return pytest's command; $PYTEST_ARGS adds to it."""
    chosen = [] if slow else ["-m", "not slow"]
    # A worker a core, with whole files, which share what is slow to make.
    workers = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
    return [in_venv("python"), "-m", "pytest", *workers, *chosen, *shlex.split(os.environ.get("PYTEST_ARGS", ""))]


def failed_steps(steps: list, beside: bool = False) -> list:
    """Run every step, also after one has failed, and return the names of those that failed.

    Beside something else each says what it has to say at its end, in one piece.
    """
    failed = []
    for name, command in steps:
        if not beside:
            say(name)
        kept = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
        done = subprocess.run(command, cwd=ROOT, env=environment(), check=False, **(kept if beside else {}))
        if beside:
            say(f"{name}\n{done.stdout}".rstrip())
        if done.returncode:
            failed.append(name)
    return failed


def lint() -> None:
    """Read the code: ruff, pyright, import-linter."""
    report(failed_steps(lint_steps()))


def test(slow: bool = False) -> None:
    """Read the code and build the book side by side, run the tests; all of it, then say what failed."""
    say("the book; beside it the code is read")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(failed_steps, lint_steps(), beside=True)
        try:
            build_book()
            without_book = []
        except Remedy as remedy:
            say(str(remedy))
            without_book = ["the book"]
        failed = reading.result() + without_book
    report(failed + failed_steps([("pytest", pytest_command(slow))]))


def report(failed: list) -> None:
    """Raise Remedy if anything failed."""
    if failed:
        raise Remedy(f"failed: {', '.join(failed)} (each says why above)")


def clean() -> None:
    """Delete the built book and the tools' caches; .venv, runs/ and results_cache/ stay."""
    for folder in (BOOK / "_build", *(ROOT / name for name in CACHES)):
        shutil.rmtree(folder, ignore_errors=True)
    for top in ("odyssey_kit", "tests", "tools", "benchmarks", "book"):
        for folder in list((ROOT / top).rglob("__pycache__")):
            shutil.rmtree(folder, ignore_errors=True)
    say("cleaned; .venv, runs/ and results_cache/ stay")


# ---- the command line ------------------------------------------------------------------------


def run(task: str, port: int) -> None:
    """Do one task, its environment first."""
    if task == "clean":
        clean()
    elif task in ("book", "serve"):
        if task == "book" or not FIRST_PAGE.exists():
            ensure(BOOK_EXTRAS)
            build_book()
            show_book()
        if task == "serve":
            serve(port)
    elif task == "lab":
        # A live part trains, so it needs what training needs.
        ensure(TRAIN_EXTRAS if os.environ.get("ODYSSEY_RERUN", "0") not in ("", "0") else BOOK_EXTRAS)
        lab()
    else:
        ensure(TEST_EXTRAS)
        if task == "lint":
            lint()
        else:
            test(slow=task == "test-all")


def main(arguments: list | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="bootstrap.py", description="From a fresh clone to the book and to tests.")
    parser.add_argument("task", choices=["book", "serve", "lab", "test", "test-all", "lint", "clean"])
    parser.add_argument("--port", type=int, default=8000, help="of serve (default: 8000)")
    chosen = parser.parse_args(arguments)
    try:
        check_interpreter(sys.version_info[:3], sys.executable)
        run(chosen.task, chosen.port)
    except Remedy as remedy:
        print(f"odyssey_kit: {remedy}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("odyssey_kit: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
