"""The data sets by name: list, fetch, verify and load them.

May import `errors` and the rest of `data`. pandas is imported on use, so that loading stays quick.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odyssey_kit.data.card import DatasetCard
from odyssey_kit.data.corpora import CORPORA, Corpus
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.fetch import cached_path, data_folders, find, read_verified
from odyssey_kit.data.folders import find_folder, missing_folder
from odyssey_kit.data.manifest import Manifest, dataset_names, read_manifest
from odyssey_kit.data.opened import Opened
from odyssey_kit.errors import DataError, MissingDataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["describe_dataset", "fetch_dataset", "list_datasets", "load_dataset", "names_here", "status", "verify"]


def load_dataset(name: str, *, data_dir: str | Path | None = None, **options: bool) -> SequenceDataset:
    """Return a data set, fetched first if it is not here, and verified every time.

    Parameters
    ----------
    name : str
        See `list_datasets`. ``"mnist[binary]"`` is ``"mnist"`` with an option, by which name a study asks for it.
    data_dir : path, optional
        A folder to look into before ``$ODYSSEY_DATA`` and the cache.
    **options : bool
        What the data set's card offers besides, such as ``binary=True`` for mnist.

    Raises
    ------
    UsageError
        If no data set has the name, it has no such option, or `data_dir` is not a folder.
    DataError
        If a file is damaged, truncated or another one than expected.
    MissingDataError
        If the data are not here and cannot be fetched.

    Notes
    -----
    Loading reads what is small; a split's inputs are read when they are first touched. Features that take long to
    compute are kept in the cache.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> jsb = ok.load_dataset("jsb-chorales")          # doctest: +SKIP
    >>> inputs, targets = jsb.train[0]                 # doctest: +SKIP
    >>> jsb.to_frame().groupby("split").frames.mean()  # doctest: +SKIP
    """
    base, chosen = _name_and_options(name, options)
    manifest = read_manifest(base)
    for option in sorted(chosen - manifest.options.keys()):
        offered = ", ".join(manifest.options) or "none"
        raise UsageError(f"{base} has no option {option!r}; it has: {offered}")
    data_folders(data_dir)
    corpus = _corpus(manifest)
    return corpus.load(Opened(manifest, corpus.build, data_dir=data_dir), chosen)


def fetch_dataset(name: str, *, data_dir: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Make a data set ready to load, from the nearest source that has it, and return its verified files.

    A file that is already here and whole is left where it is; a damaged one in the cache is replaced; one
    in a folder of yours is never touched. A generated data set has no files.

    Parameters
    ----------
    name : str
        See `list_datasets`.
    data_dir : path, optional
        A folder to look into before ``$ODYSSEY_DATA`` and the cache.
    progress : bool
        Show a bar for what is downloaded or built.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    UsageError, DataError, MissingDataError
        As for `load_dataset`.
    """
    manifest = read_manifest(_name_and_options(name, {})[0])
    return list(Opened(manifest, _corpus(manifest).build, data_dir=data_dir, progress=progress).ready().values())


def describe_dataset(name: str, *, data_dir: str | Path | None = None, look: bool = True) -> DatasetCard:
    """Return the card of a data set: what it is, what it stands for, its licence, and how it is had.

    Parameters
    ----------
    name : str
        See `list_datasets`.
    data_dir : path, optional
        A folder to look into before ``$ODYSSEY_DATA`` and the cache.
    look : bool
        Look into the data for lengths, classes and an example, if they are here; nothing is fetched.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> print(ok.describe_dataset("synthetic-music", look=False).facts["what"])
    stand-in for jsb-chorales
    """
    manifest = read_manifest(_name_and_options(name, {})[0])
    here = look and _is_here(manifest, _status_rows(manifest, data_dir))
    return DatasetCard(manifest, load_dataset(name, data_dir=data_dir) if here else None)


def list_datasets(*, data_dir: str | Path | None = None) -> pd.DataFrame:
    """Return the data sets that can be loaded by name.

    Parameters
    ----------
    data_dir : path, optional
        A folder to look into before ``$ODYSSEY_DATA`` and the cache.

    Returns
    -------
    pandas.DataFrame
        Indexed by name; columns task, what (the papers' own data, or a stand-in for which), licence,
        here (on this machine and verified; a licensee's folder is only looked for) and size (bytes to fetch; 0 for
        what is generated or cannot be fetched).

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.list_datasets()["what"].to_dict()["bach-chorales"]
    'stand-in for jsb-chorales'
    """
    import pandas as pd

    rows = []
    for manifest in map(read_manifest, dataset_names()):
        files = _status_rows(manifest, data_dir)
        rows.append(
            {
                "name": manifest.name,
                "task": manifest.task,
                "what": manifest.what,
                "licence": manifest.licence,
                "here": _is_here(manifest, files),
                "size": manifest.size,
            }
        )
    return pd.DataFrame(rows).set_index("name")


def status(name: str, *, data_dir: str | Path | None = None) -> pd.DataFrame:
    """Return where the files of a data set are and whether they are the right ones; never raises for the files.

    Returns
    -------
    pandas.DataFrame
        One row a file. Columns dataset, file, role ("source", or "built" from it here; a built file makes its
        source unnecessary), state ("verified", "damaged", "not here", or "found" for a
        licensee's folder), path, size (bytes expected) and
        detail (what is wrong and what to do).
    """
    import pandas as pd

    return pd.DataFrame(_status_rows(read_manifest(name), data_dir))


def names_here(*, data_dir: str | Path | None = None) -> list[str]:
    """Return the data sets of which a file or a folder is on this machine, whole or damaged."""

    def found(manifest: Manifest) -> bool:
        files = (find(manifest, file, data_dir=data_dir) for file in manifest.checked)
        return find_folder(manifest, data_dir) is not None or any(files)

    return [manifest.name for manifest in map(read_manifest, dataset_names()) if found(manifest)]


def verify(name: str, *, data_dir: str | Path | None = None) -> pd.DataFrame:
    """Check every file of a data set that is here, and return its `status`.

    A licensee's folder has no hashes to compare with: all of it is read as for loading, and counted.

    Raises
    ------
    DataError
        If a file is damaged.
    MissingDataError
        If the data set is not here.
    """
    import pandas as pd

    manifest = read_manifest(name)
    rows = _status_rows(manifest, data_dir)
    for row in rows:
        if row["state"] == "damaged":
            raise DataError(row["detail"])
    if manifest.layout is not None and not rows[0]["path"]:
        raise missing_folder(manifest, data_dir)
    if not _is_here(manifest, rows):
        raise MissingDataError(
            f"{name}: {' and '.join(file.name for file in manifest.checked)} not found in data_dir, $ODYSSEY_DATA or "
            f"the cache ({cached_path(manifest, manifest.files[0]).parent}); run `odyssey data fetch {name}`"
        )
    if manifest.layout is not None:
        load_dataset(name, data_dir=data_dir)
        rows[0]["state"] = "verified"
    return pd.DataFrame(rows)


def _name_and_options(name: str, options: dict[str, Any]) -> tuple[str, frozenset[str]]:
    """Return the data set's own name and the options asked for, in the name or beside it.

    Examples
    --------
    >>> _name_and_options("mnist[binary]", {})
    ('mnist', frozenset({'binary'}))
    """
    match = re.fullmatch(r"([^\[\]]*)(?:\[([\w,-]*)\])?", str(name))
    if match is None:
        raise UsageError(f"name of a data set is {name!r}, expected NAME or NAME[option,option]")
    chosen = {word for word in (match[2] or "").split(",") if word}
    for option, value in options.items():
        if not isinstance(value, bool):
            raise UsageError(f"{match[1]}: option {option} is {value!r}, expected True or False")
        chosen |= {option.replace("_", "-")} if value else set()
    return match[1], frozenset(chosen)


def _corpus(manifest: Manifest) -> Corpus:
    if manifest.name not in CORPORA:
        raise DataError(f"{manifest.name}: has a manifest but no reader; expected one of {', '.join(CORPORA)}")
    return CORPORA[manifest.name]


def _is_here(manifest: Manifest, rows: list[dict[str, Any]]) -> bool:
    """Say whether a data set can be loaded from this machine: what is built is enough without its source."""
    states = [row["state"] for row in rows if row["role"] == "source"]
    built = any(row["state"] == "verified" for row in rows if row["role"] == "built")
    return built or all(state in ("verified", "found") for state in states)


def _status_rows(manifest: Manifest, data_dir: str | Path | None) -> list[dict[str, Any]]:
    def row(file: str, role: str, state: str, path: Path | None, size: int, detail: str = "") -> dict[str, Any]:
        shown = "" if path is None else str(path)
        return {
            "dataset": manifest.name,
            "file": file,
            "role": role,
            "state": state,
            "path": shown,
            "size": size,
            "detail": detail,
        }

    if manifest.layout is not None:
        folder = find_folder(manifest, data_dir)
        found = None if folder is None else folder.root
        return [row(manifest.layout.paths[0], "source", "not here" if found is None else "found", found, 0)]
    rows = []
    for file in manifest.checked:
        path, state, detail = find(manifest, file, data_dir=data_dir), "not here", ""
        if path is not None:
            try:
                read_verified(manifest, file, path)
                state = "verified"
            except DataError as error:
                state, detail = "damaged", str(error)
        rows.append(row(file.name, "built" if file is manifest.built else "source", state, path, file.size, detail))
    return rows
