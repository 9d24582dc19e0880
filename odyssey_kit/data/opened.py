"""A data set opened: its files found, fetched or built, and read when its corpus asks for them.

May import `errors` and the data rooms without corpora.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from odyssey_kit.data._sources import new_file
from odyssey_kit.data.fetch import cached_path, find, is_cached, is_verified, locked, obtain, read_verified
from odyssey_kit.data.folders import Folder, find_folder, missing_folder
from odyssey_kit.data.manifest import DataFile, Manifest
from odyssey_kit.errors import DataError

__all__ = ["Build", "Opened"]

# From the manifest, the bytes of the source file, its name and a flag for a bar: the bytes of the built file.
Build = Callable[[Manifest, bytes, str, bool], bytes]


class Opened:
    """A data set's files.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    build : callable, optional
        What builds the file that is loaded, where the manifest has one.
    data_dir : path, optional
        Looked into before ``$ODYSSEY_DATA`` and the cache.
    progress : bool
        Show a bar for what is downloaded or built.
    """

    def __init__(
        self,
        manifest: Manifest,
        build: Build | None = None,
        *,
        data_dir: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        self.manifest = manifest
        self.progress = progress
        self._build = build
        self._data_dir = data_dir

    @property
    def _loaded(self) -> tuple[DataFile, ...]:
        built = self.manifest.built
        return (built,) if built and self._build else self.manifest.files

    @cached_property
    def paths(self) -> dict[str, Path]:
        """Where each file is that is loaded; fetched first if one is not here."""
        found = {file.name: find(self.manifest, file, data_dir=self._data_dir) for file in self._loaded}
        return {name: path for name, path in found.items() if path is not None} if all(found.values()) else self.ready()

    def read(self, name: str = "") -> bytes:
        """Return a file's bytes, verified; of the only file, without a name."""
        file = self._loaded[0] if not name else next(file for file in self._loaded if file.name == name)
        return read_verified(self.manifest, file, self.paths[file.name])

    def shown(self, name: str = "") -> str:
        """Return a file's path, for messages."""
        return str(self.paths[name or self._loaded[0].name])

    @property
    def sha256(self) -> str:
        """Hash of the file that is loaded; of several, the hash of their names and hashes."""
        if len(self._loaded) == 1:
            return self._loaded[0].sha256
        return hashlib.sha256("".join(f"{file.name} {file.sha256}\n" for file in self._loaded).encode()).hexdigest()

    @cached_property
    def folder(self) -> Folder:
        """The licensee's folder.

        Raises
        ------
        MissingDataError
            If there is none; the message says where to apply and what it looks like.
        """
        folder = find_folder(self.manifest, self._data_dir)
        if folder is None:
            raise missing_folder(self.manifest, self._data_dir)
        return folder

    def ready(self) -> dict[str, Path]:
        """Make every file ready to load, from the nearest source that has it; damaged ones in the cache are replaced.

        Raises
        ------
        DataError, MissingDataError
            As `odyssey_kit.data.fetch.obtain`.
        """
        if self.manifest.layout is not None:
            return {"": self.folder.root}
        built = self.manifest.built
        if built is not None and self._build is not None:
            return {built.name: self._make_built(built, self._build)}
        paths = obtain(self.manifest, data_dir=self._data_dir, progress=self.progress)
        return {file.name: path for file, path in zip(self.manifest.files, paths, strict=True)}

    def _make_built(self, built: DataFile, build: Build) -> Path:
        manifest = self.manifest
        path = find(manifest, built, data_dir=self._data_dir)
        if path is not None and not is_cached(manifest, built, path):
            read_verified(manifest, built, path)
            return path
        target = cached_path(manifest, built)
        if is_verified(manifest, built, target):
            return target
        (source,) = obtain(manifest, data_dir=self._data_dir, progress=self.progress)
        with locked(manifest):
            if not is_verified(manifest, built, target):  # unless another process was quicker
                data = read_verified(manifest, manifest.files[0], source)
                _store(manifest, built, target, build(manifest, data, source.name, self.progress))
        return target


def _store(manifest: Manifest, built: DataFile, target: Path, data: bytes) -> None:
    try:
        with new_file(target, sha256=built.sha256, size=built.size) as stream:
            stream.write(data)
    except DataError as error:
        raise DataError(
            f"{manifest.name}: {built.name} as built here is not the expected one ({error}), though its source is; "
            "the recipe and its manifest do not belong together: restore both from the same commit"
        ) from error
