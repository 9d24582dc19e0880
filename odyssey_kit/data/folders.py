"""The folder of a corpus that only its licensees have: found, listed and read, and nothing outside it.

May import `errors`, `data.manifest` and `data.fetch`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from odyssey_kit.data.fetch import data_folders
from odyssey_kit.data.manifest import Manifest
from odyssey_kit.errors import DataError, MissingDataError

__all__ = ["Folder", "find_folder"]

_MAX_FILES = 1_000_000


class Folder:
    """A folder of the user's, whose names are compared without regard to the case of their letters.

    Parameters
    ----------
    root : path
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[str, str] = {}

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """All files by their path in the folder, in small letters and with / between its parts, sorted."""
        found: dict[str, Path] = {}
        for parent, folders, names in os.walk(self.root):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                found[path.relative_to(self.root).as_posix().lower()] = path
            if len(found) > _MAX_FILES:
                raise DataError(f"{self.root}: more than {_MAX_FILES:,} files, expected the folder of one corpus")
        return dict(sorted(found.items()))

    def read(self, name: str, *, limit: int) -> bytes:
        """Return a file's bytes, at most `limit` of them.

        Raises
        ------
        DataError
            If it is missing, too large, or a link that leads out of the folder.
        """
        path = self.files.get(name)
        if path is None:
            raise DataError(f"{self.root}: has no file {name}")
        try:
            if not path.resolve().is_relative_to(self.root.resolve()):
                raise DataError(f"{path}: is a link that leads out of the folder, which is not followed")
            size = path.stat().st_size
            if size > limit:
                raise DataError(f"{path}: {size:,} bytes, expected at most {limit:,}")
            with path.open("rb") as stream:
                data = stream.read(limit + 1)
        except DataError:
            raise
        except (OSError, RuntimeError) as error:
            raise DataError(f"{path}: cannot be read ({error})") from error
        self._read[name] = hashlib.sha256(data).hexdigest()
        return data

    def shown(self, name: str) -> str:
        """Return a file's whole path, for messages."""
        return str(self.files.get(name, self.root / name))

    @property
    def sha256(self) -> str:
        """Hash of names and contents of all that was read so far."""
        lines = [f"{name} {digest}\n" for name, digest in sorted(self._read.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Names, sizes and times of all files, as one hash: what was prepared from them holds while it stays."""
        digest = hashlib.sha256()
        for name, path in self.files.items():
            facts = path.lstat()
            digest.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def find_folder(manifest: Manifest, data_dir: str | Path | None = None) -> Folder | None:
    """Return a licensee's folder of the corpus, None where there is none."""
    layout = manifest.layout
    if layout is None:
        return None
    for base in data_folders(data_dir):
        for path in layout.paths:
            folder = base / path
            if any(_has(folder, marker) for marker in layout.marker):
                return Folder(folder)
    return None


def missing_folder(manifest: Manifest, data_dir: str | Path | None = None) -> MissingDataError:
    """Return the error that says where to apply for the corpus, and how its folder looks."""
    layout = manifest.layout
    if layout is None:
        raise TypeError(f"{manifest.name} has no layout")
    looked = ", ".join(str(base / path) for base in data_folders(data_dir) for path in layout.paths)
    return MissingDataError(
        f"{manifest.name}: only its licensees may have it, so it is not fetched. {layout.apply} "
        f"Then set ODYSSEY_DATA (or --from DIR, or data_dir=...) to a folder with: {', '.join(layout.tree)}. "
        f"Looked for {' or '.join(layout.marker)} in: {looked or 'nothing, for ODYSSEY_DATA is not set'}."
    )


def _is_like(path: Path, pattern: str) -> bool:
    return fnmatchcase(path.name.lower(), pattern.lower())


def _has(folder: Path, marker: str) -> bool:
    """Say whether a folder has a path, whatever the case of its letters."""
    here = [folder]
    for part in marker.split("/"):
        try:
            here = [path for parent in here if parent.is_dir() for path in parent.iterdir() if _is_like(path, part)]
        except OSError:
            return False
    return bool(here)
