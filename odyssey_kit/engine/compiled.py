"""How kernels are compiled and where the result is kept.

numba's cache looks only at the file of the function it compiles: a change in a callee's file leaves
a stale caller behind. So the cache folder is named by a hash of all files of the engine, numba's
version and the processor, and lies in the user's cache directory; a change of any of them starts a
fresh folder. What numba keeps it finds again only for files of the same place and time of change, so
these are in the hash too: a folder that is marked as complete is so for this very installation.
May import `errors` only.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from numba.core import config

__all__ = ["announced", "cache_folder", "compile_apart", "kernel", "source_hash"]

# Sums may be reordered (SIMD) and a*b+c contracted, but NaN and infinity keep their meaning: the
# trainer has to see a divergence.
_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def source_hash(folder: Path | None = None) -> str:
    """Return a hash of every source file of the engine, its place and time of change, numba, and the processor."""
    folder = (folder or Path(__file__).parent).resolve()
    digest = hashlib.sha256(f"{numba.__version__} {platform.machine()} {binding.get_host_cpu_name()}".encode())
    for path in sorted(folder.glob("*.py")):
        digest.update(f"{path} {path.stat().st_mtime_ns}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def cache_folder() -> Path | None:
    """Return the folder for compiled kernels, or None with one warning where none can be written."""
    base = os.environ.get("ODYSSEY_CACHE")
    if base is None:
        import pooch

        base = pooch.os_cache("odyssey_kit")
    folder = Path(base) / "kernels" / source_hash()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        warnings.warn(
            f"compiled kernels cannot be kept in {folder} ({error.strerror}); they are compiled anew in every "
            "process, which takes up to a minute. Set ODYSSEY_CACHE to a folder that can be written.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return folder


def compile_apart(dtype: str = "float32") -> None:
    """Compile all kernels of a trial, once, in a process that does not train.

    Code that was just compiled and the same code from the cache differ in the last bits of their sums:
    only if every process loads it does a trial give the same bits in each.
    """
    if cache_folder() is None:
        return
    with announced(dtype) as first:
        if first:
            code = f"from odyssey_kit.engine.network import compile_kernels; compile_kernels({dtype!r})"
            subprocess.run([sys.executable, "-c", code], check=True)


@contextmanager
def announced(part: str) -> Iterator[bool]:
    """Say that a part of the kernels is compiled, where that was not done before; yield whether it is.

    Once it went well the folder is marked, and nothing is said again.
    """
    if part in _ANNOUNCED:
        yield False
        return
    folder = cache_folder()
    marker = folder / f"complete-{part}" if folder else None
    first = not (marker and marker.exists())
    if first:
        sys.stderr.write("odyssey_kit: compiling kernels, once: a minute, or two on a slow machine\n")
    yield first
    _ANNOUNCED.add(part)
    if first and marker:
        marker.touch()


_ANNOUNCED: set[str] = set()  # in this process


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function without the interpreter lock, cached on disk where a folder can be written."""
    folder = cache_folder()
    before = config.CACHE_DIR  # pyright: ignore[reportAttributeAccessIssue]
    try:
        config.CACHE_DIR = str(folder or "")  # pyright: ignore[reportAttributeAccessIssue]
        return numba.njit(
            nogil=True, cache=folder is not None, fastmath=_FASTMATH, boundscheck=False, error_model="numpy"
        )(function)
    finally:
        config.CACHE_DIR = before  # pyright: ignore[reportAttributeAccessIssue]
