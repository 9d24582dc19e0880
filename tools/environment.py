"""The project's own environment, .venv: made, filled, repaired and left alone when it is right.

Needs nothing but the standard library and imports nothing of the project. It parses on Python 3.8, so
that an old interpreter is told what it is instead of failing on syntax.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STATE = VENV / "odyssey-kit.json"
CONSTRAINTS = ROOT / "constraints.txt"

OLDEST, NEWEST = (3, 11), (3, 13)
# What each extra adds on Linux, without torch.
DOWNLOAD_MB = {"book": 240, "train": 70, "dev": 140}


class Remedy(Exception):
    """What is wrong and what to do about it, in one line."""


def say(line: str) -> None:
    """Print a line that stands out from what the tools print, at once."""
    print(f"== {line}", flush=True)


# ---- the interpreter -------------------------------------------------------------------------


def check_interpreter(version: tuple, executable: str, has_module=None) -> None:
    """Raise Remedy unless this interpreter can hold the project.

    Parameters
    ----------
    version : tuple of int
        Major, minor, micro.
    executable : str
        Its path, for the message.
    has_module : callable, optional
        Tells whether the interpreter has the standard module of that name.
    """
    if not OLDEST <= tuple(version[:2]) <= NEWEST:
        found = ".".join(str(part) for part in version[:3])
        raise Remedy(
            f"needs Python 3.11, 3.12 or 3.13, and {executable} is {found}: install one of these, or name it: "
            "make PYTHON=python3.12 book (without make: python3.12 tools/bootstrap.py book)"
        )
    has_module = has_module or (lambda name: importlib.util.find_spec(name) is not None)
    missing = [name for name in ("venv", "ensurepip") if not has_module(name)]
    if missing:
        short = ".".join(str(part) for part in version[:2])
        raise Remedy(
            f"{executable} lacks {' and '.join(missing)}, so it can make no environment: on Debian or Ubuntu "
            f"`sudo apt install python{short}-venv`, elsewhere install Python {short} whole (python.org, pyenv, conda)"
        )


def base_interpreter() -> str:
    """Return the interpreter outside any environment: one that survives when .venv is made anew."""
    return getattr(sys, "_base_executable", None) or sys.executable


def interpreter_facts(python: str) -> list | None:
    """Return [version, base prefix] of an interpreter, or None if it does not run or has no pip."""
    code = (
        "import json, os, pip, sys; print(json.dumps([list(sys.version_info[:3]), os.path.realpath(sys.base_prefix)]))"
    )
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environment(), check=True)
        return json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


# ---- the environment -------------------------------------------------------------------------


def in_venv(name: str) -> str:
    """Return the path of a program in the environment."""
    return str(VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name)


def environment(**changes: str) -> dict:
    """Return the variables for a child: the environment's own programs and kernels come first."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH", "PIP_USER")}
    return {
        **variables,
        "VIRTUAL_ENV": str(VENV),
        "PATH": str(Path(in_venv("python")).parent) + os.pathsep + variables.get("PATH", ""),
        # A kernel called python3 in the user's home may belong to another environment.
        "JUPYTER_PREFER_ENV_PATH": "1",
        # Neither asks a server for a newer version of itself.
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
        **changes,
    }


def requirements_digest() -> str:
    """Return a hash of what pip reads: constraints.txt, and pyproject.toml without the tools' settings."""
    import tomllib

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    read = {
        "build-system": pyproject["build-system"],
        "project": pyproject["project"],
        "setuptools": pyproject.get("tool", {}).get("setuptools"),
        "constraints": CONSTRAINTS.read_text(encoding="utf-8").splitlines(),
    }
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def pinned(name: str) -> str:
    """Return the line of constraints.txt that pins a package."""
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}=="):
            return line.strip()
    raise Remedy(f"constraints.txt pins no {name}: restore the file (git checkout constraints.txt)")


def read_state() -> dict:
    """Return what the last call left in .venv; empty if there is nothing or it cannot be read."""
    try:
        state = json.loads(STATE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(state: dict) -> None:
    """Write it whole or not at all."""
    temporary = STATE.with_suffix(".part")
    temporary.write_text(json.dumps(state, indent=1), encoding="utf-8")
    temporary.replace(STATE)


def why_remake(state: dict) -> str | None:
    """Return why the environment has to be made (anew), or None if it can stay."""
    if not VENV.exists():
        return "making .venv"
    facts = interpreter_facts(in_venv("python"))
    if facts is None:
        return "making .venv anew: the one that is there does not work"
    if facts != [list(sys.version_info[:3]), os.path.realpath(sys.base_prefix)]:
        return f"making .venv anew: it was made with Python {'.'.join(map(str, facts[0]))} of {facts[1]}"
    if state and not state.get("complete"):
        return "making .venv anew: the last installation did not finish (what it downloaded is kept by pip)"
    if state and state.get("root") != str(ROOT):
        return "making .venv anew: the folder was moved, and its programs name the old place"
    return None


def make_venv() -> None:
    """Make an empty environment in place of whatever environment is there."""
    if VENV.exists() and not ((VENV / "pyvenv.cfg").exists() or STATE.exists()) and any(VENV.iterdir()):
        raise Remedy(f"{VENV} is there and is no virtual environment: move it away, then call this again")
    try:
        VENV.mkdir(exist_ok=True)
        write_state({"complete": False})
        # The folder stays, what is in it goes: .venv may be a link to a larger disk.
        for entry in VENV.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != STATE:
                entry.unlink()
    except OSError as error:
        raise Remedy(f"cannot write to {VENV} ({error}): close what uses it, or delete it by hand") from None
    done = subprocess.run([base_interpreter(), "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise Remedy(f"{base_interpreter()} -m venv failed ({said}): try another interpreter with make PYTHON=…")


def pip_install(*what: str) -> None:
    """Install under the constraints, quietly; pip prints what went wrong."""
    command = [in_venv("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([*command, "-c", str(CONSTRAINTS), *what], cwd=ROOT, env=environment(), check=False)
    if done.returncode:
        raise Remedy(
            "pip could not install (its words are above): see that a package index and a few GB of disk can be had, "
            "then call the same command again"
        )


def install(extras: list, new: frozenset) -> None:
    """Install the project and these extras into the environment; `new` are those that were not there."""
    if "train" in extras:
        torch = pinned("torch")
        if not any((folder / "torch").is_dir() for folder in site_packages()):
            hint = (
                "; on Linux it can bring gigabytes of CUDA, see 'torch' in README.md" if sys.platform == "linux" else ""
            )
            say(f"installing {torch} (about 200 MB{hint})")
        # First and alone, so that no other requirement can choose another build of it.
        pip_install(torch)
    size = sum(DOWNLOAD_MB.get(extra, 0) for extra in new)
    effort = f" (a few minutes, {size} MB to download the first time)" if size else ""
    say(f"installing odyssey_kit[{','.join(extras)}] into .venv{effort}")
    pip_install("-e", f".[{','.join(extras)}]")
    set_up_lab()


def site_packages() -> list:
    """Return the environment's folders of packages."""
    return [VENV / "Lib" / "site-packages"] if os.name == "nt" else sorted(VENV.glob("lib/python3*/site-packages"))


def set_up_lab() -> None:
    """Let JupyterLab open a chapter as a notebook at a double click, and ask the network for no news."""
    settings = {
        "@jupyterlab/docmanager-extension:plugin": {
            "defaultViewers": {"markdown": "Jupytext Notebook", "myst": "Jupytext Notebook"}
        },
        "@jupyterlab/apputils-extension:notification": {"checkForUpdates": False, "fetchNews": "false"},
    }
    folder = VENV / "share" / "jupyter" / "lab" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overrides.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")


def ensure(extras: frozenset) -> None:
    """See that .venv is there, whole, of this interpreter and has these extras; quick when it is."""
    check_interpreter(sys.version_info[:3], sys.executable)
    state = read_state()
    reason = why_remake(state)
    if reason:
        say(reason)
        make_venv()
        state = {}
    digest = requirements_digest()
    had = state.get("extras", [])
    if state.get("requirements") == digest and extras <= set(had):
        return
    wanted = {"root": str(ROOT), "requirements": digest, "extras": sorted(extras | set(had))}
    write_state({**wanted, "complete": False})
    install(wanted["extras"], extras - set(had))
    write_state({**wanted, "complete": True})
