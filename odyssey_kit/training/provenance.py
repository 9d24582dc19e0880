"""Where a result comes from: code, versions and machine. May import nothing of the package but its version."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

__all__ = ["provenance"]

_PACKAGES = ("odyssey_kit", "numpy", "scipy", "numba", "llvmlite")


@cache
def _commit() -> str:
    """Return the checkout's commit, marked when files differ from it; empty outside a checkout."""
    folder = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != folder:
            return ""
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "odyssey_kit")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""


@cache
def _machine() -> str:
    """Return the processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({platform.system()} {platform.machine()})"
    except OSError:
        pass
    return f"{platform.processor() or 'unknown processor'} ({platform.system()} {platform.machine()})"


@cache
def _versions() -> str:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return json.dumps(versions, sort_keys=True)


def provenance(*, engine: str, data_sha256: str) -> dict[str, str]:
    """Return the facts that stand beside a result."""
    return {
        "engine": engine,
        "commit": _commit(),
        "versions": _versions(),
        "machine": _machine(),
        "data_sha256": data_sha256,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
