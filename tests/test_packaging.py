"""The files around the code say the same thing, and the way from a fresh clone is told in one line where it ends."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import odyssey_kit as ok

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"pytorch": "torch"}
PACKAGERS = {"pip", "setuptools", "wheel"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@functools.cache
def project() -> dict:
    return tomllib.loads(read("pyproject.toml"))["project"]


def requirements(*extras: str) -> dict[str, Requirement]:
    """Return what the project and these extras ask for, by canonical name, without the project itself."""
    lines = [
        *project()["dependencies"],
        *(line for extra in extras for line in project()["optional-dependencies"][extra]),
    ]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines) if canonicalize_name(r.name) != "odyssey-kit"}


@functools.cache
def pins() -> dict[str, Version]:
    """Return constraints.txt, after checking its form."""
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    parsed = [re.fullmatch(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([^\s;=]+)", line) for line in lines]
    assert all(parsed), [line for line, match in zip(lines, parsed, strict=True) if not match]
    found = {match[1]: Version(match[2]) for match in parsed if match}
    assert len(found) == len(lines), "a package is pinned twice"
    return found


def closure(*extras: str) -> set[str]:
    """Return all packages that the installed metadata of these extras lead to on this system."""
    seen: set[tuple[str, str]] = set()
    todo = [
        (requirement, extra) for requirement in requirements(*extras).values() for extra in ["", *requirement.extras]
    ]
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in importlib.metadata.distribution(name).requires or []:
            child = Requirement(line)
            if child.marker is None or child.marker.evaluate({"extra": extra}):
                todo += [(child, extra) for extra in ["", *child.extras]]
    return {name for name, _ in seen}


# ---- pyproject.toml, constraints.txt, environment.yml -----------------------------------------


def test_every_requirement_is_pinned_within_its_bounds():
    wanted = requirements(*project()["optional-dependencies"])
    assert {"torch", "numba", "jupyter-book", "pytest"} <= wanted.keys()
    wrong = {
        name: str(r.specifier) for name, r in wanted.items() if name not in pins() or pins()[name] not in r.specifier
    }
    assert not wrong


def test_torch_is_pinned_to_the_version_that_the_readme_names():
    assert str(pins()["torch"]) == "2.13.0"
    assert "torch 2.13.0" in read("README.md")


@pytest.mark.parametrize("extra", ["book", "train", "dask", "optuna", "dev"])
def test_whatever_an_extra_brings_is_pinned(extra):
    try:
        brought = closure(extra, *(["book", "train", "dask", "optuna"] if extra == "dev" else []))
    except importlib.metadata.PackageNotFoundError as missing:
        pytest.skip(f"the extra [{extra}] is not installed ({missing})")
    # The CUDA packages that torch brings on Linux are pinned by torch itself.
    cuda = {name for name in brought if name.startswith(("nvidia-", "cuda-")) or name == "triton"}
    assert not brought - pins().keys() - PACKAGERS - cuda


def test_the_book_needs_neither_torch_nor_numba():
    assert not closure("book") & {"torch", "numba", "llvmlite"}


def test_constraints_are_in_alphabetical_order():
    assert list(pins()) == sorted(pins())


def test_environment_yml_says_the_same_as_pyproject():
    conda = yaml.safe_load(read("environment.yml"))
    *packages, last = conda["dependencies"]
    assert conda["channels"] == ["conda-forge"]
    assert packages[0] == "python=3.11"
    assert packages[-1] == "pip"
    assert last == {"pip": ["-e ."]}
    parsed = [Requirement(line) for line in packages[1:-1]]
    here = {CONDA_NAMES.get(r.name, canonicalize_name(r.name)): r.specifier for r in parsed}
    assert here == {name: r.specifier for name, r in requirements("book", "train", "dask", "optuna").items()}


def test_one_version_number():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert project()["version"] == ok.__version__ == citation["version"]
    assert citation["license"] == project()["license"] == "MIT"


def test_parquet_is_binary_and_the_environment_is_ignored():
    assert "*.parquet binary" in read(".gitattributes").splitlines()
    assert {".venv/", "runs/", "_build/"} <= set(read(".gitignore").splitlines())


# ---- what must not be in a file ---------------------------------------------------------------


def project_files() -> list[Path]:
    """Return the files that git tracks or would track; without git, all but what is built."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    built = {".venv", ".git", "_build", "runs", "__pycache__", ".hypothesis", ".ruff_cache", ".pytest_cache"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not built & set(path.relative_to(ROOT).parts)]


def test_no_file_names_a_folder_of_one_machine_or_a_package_index():
    # Put together from pieces, so that this file does not contain what it looks for.
    folders = "|".join(("wo" + "rk", "fa" + "rm", "ro" + "ot", "opt/wh" + "eels", "opt/py" + "pi"))
    hosts = "|".join(
        ("registry" + r"\.npmjs", "registry" + r"\.yarnpkg", "py" + r"pi\.org/simple", "files" + r"\.pythonhosted")
    )
    pattern = re.compile(rf"(?:^|[^A-Za-z0-9_.])/(?:{folders})/|{hosts}", re.MULTILINE)
    files = project_files()
    assert ROOT / "README.md" in files
    found = {}
    for path in files:
        data = path.read_bytes()
        if b"\0" not in data[:8000] and (match := pattern.search(data.decode("utf-8", "replace"))):
            found[str(path.relative_to(ROOT))] = match[0]
    assert not found


# ---- the Makefile and the checks --------------------------------------------------------------


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))


def test_the_makefiles_help_lists_every_target():
    declared = re.search(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)
    assert declared and set(declared[1].split()) == makefile_targets()
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on the path")
    # From a test under make, its flags (--jobs, say) must not reach this one.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    shown = subprocess.run([make], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^make ([a-z-]+) +\S", shown, re.MULTILINE)) == makefile_targets()


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.name == "nt" or script.stat().st_mode & stat.S_IXUSR
    assert read(".ci/run").splitlines()[-1] == "make test"
    if shutil.which("bash"):
        subprocess.run(["bash", "-n", str(script)], check=True)


def test_ci_looks_for_the_browsers_that_the_tests_know():
    candidates = re.search(r"^CANDIDATES = \(([^)]+)\)", read("tests/browser.py"), re.MULTILINE)
    assert candidates
    assert f"for name in {' '.join(re.findall(r'[a-z-]+', candidates[1]))}; do" in read(".ci/run")


# ---- README.md --------------------------------------------------------------------------------


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", read("README.md"), re.MULTILINE | re.DOTALL)


def test_readme_opens_with_the_two_commands_and_ten_lines_of_python():
    first = re.search(r"^```sh\n(.*?)^```$", read("README.md"), re.MULTILINE | re.DOTALL)
    assert first and [line.split("#")[0].strip() for line in first[1].splitlines()] == ["make book", "make test"]
    assert len("".join(python_blocks()).split("\n")) <= 14


@pytest.mark.parametrize("number", range(len(python_blocks())))
def test_readmes_python_runs(number, tmp_path):
    code = python_blocks()[number]
    if "ok.train(" in code:
        if importlib.util.find_spec("torch") is None:
            pytest.skip("needs torch, which is not installed: the extra [train] brings it")
        if not os.environ.get("ODYSSEY_DATA"):
            pytest.skip("needs jsb-chorales: set ODYSSEY_DATA to the folder that holds the data sets")
    if 'load_trials("first-light")' in code and not (ROOT / "results_cache/first-light/trials.parquet").exists():
        pytest.skip("needs results_cache/first-light, which is not here")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 2
