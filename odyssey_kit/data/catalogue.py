"""The data sets by name: list, fetch, verify and load them.

May import `errors` and the rest of `data`. pandas is imported on use, so that loading stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from odyssey_kit.data._sources import new_file
from odyssey_kit.data.corpora import CORPORA, Corpus
from odyssey_kit.data.fetch import cached_path, find, is_cached, is_verified, locked, obtain, read_verified
from odyssey_kit.data.manifest import DataFile, Manifest, dataset_names, read_manifest
from odyssey_kit.data.sequences import SequenceDataset
from odyssey_kit.errors import DataError, MissingDataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fetch_dataset", "list_datasets", "load_dataset", "status", "verify"]


def load_dataset(name: str, *, data_dir: str | Path | None = None) -> SequenceDataset:
    """Return a data set, fetched first if it is not here, and verified every time.

    Parameters
    ----------
    name : str
        See `list_datasets`.
    data_dir : path, optional
        A folder to look into before ``$ODYSSEY_DATA`` and the cache.

    Raises
    ------
    UsageError
        If no data set has the name, or `data_dir` is not a folder.
    DataError
        If a file is damaged, truncated or another one than expected.
    MissingDataError
        If the data are not here and cannot be fetched.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> jsb = ok.load_dataset("jsb-chorales")          # doctest: +SKIP
    >>> inputs, targets = jsb.train[0]                 # doctest: +SKIP
    >>> jsb.to_frame().groupby("split").frames.mean()  # doctest: +SKIP
    """
    manifest = read_manifest(name)
    corpus = _corpus(manifest)
    file = manifest.files[0]
    path = find(manifest, file, data_dir=data_dir)
    if path is None:
        path = _make_ready(manifest, corpus, data_dir=data_dir, progress=True)
    return corpus.load(manifest, read_verified(manifest, file, path), str(path))


def fetch_dataset(name: str, *, data_dir: str | Path | None = None, progress: bool = True) -> list[Path]:
    """Make a data set ready to load, from the nearest source that has it, and return its verified files.

    A file that is already here and whole is left where it is; a damaged one in the cache is replaced; one
    in a folder of yours is never touched.

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
    manifest = read_manifest(name)
    return [_make_ready(manifest, _corpus(manifest), data_dir=data_dir, progress=progress)]


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
        here (on this machine and verified) and size (bytes to fetch).

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.list_datasets()["what"].to_dict()
    {'bach-chorales': 'stand-in for jsb-chorales', 'jsb-chorales': "papers' own data"}
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
                "here": any(row["state"] == "verified" for row in files),
                "size": manifest.file.size,
            }
        )
    return pd.DataFrame(rows).set_index("name")


def status(name: str, *, data_dir: str | Path | None = None) -> pd.DataFrame:
    """Return where the files of a data set are and whether they are the right ones; never raises for the files.

    Returns
    -------
    pandas.DataFrame
        One row a file. Columns dataset, file, role ("source", or "built" from it here; a built file makes its
        source unnecessary), state ("verified", "damaged" or "not here"), path, size (bytes expected) and
        detail (what is wrong and what to do).
    """
    import pandas as pd

    return pd.DataFrame(_status_rows(read_manifest(name), data_dir))


def verify(name: str, *, data_dir: str | Path | None = None) -> pd.DataFrame:
    """Check every file of a data set that is here, and return its `status`.

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
    if not any(row["state"] == "verified" for row in rows):
        raise MissingDataError(
            f"{name}: {' and '.join(file.name for file in manifest.files)} not found in data_dir, $ODYSSEY_DATA or the "
            f"cache ({cached_path(manifest, manifest.file).parent}); run `odyssey data fetch {name}`"
        )
    return pd.DataFrame(rows)


def _corpus(manifest: Manifest) -> Corpus:
    if manifest.name not in CORPORA:
        raise DataError(f"{manifest.name}: has a manifest but no reader; expected one of {', '.join(CORPORA)}")
    return CORPORA[manifest.name]


def _make_ready(manifest: Manifest, corpus: Corpus, *, data_dir: str | Path | None, progress: bool) -> Path:
    """Return the path of the file that is loaded, fetched or built if need be."""
    built = manifest.built
    if built is None or corpus.build is None:
        return obtain(manifest, manifest.file, data_dir=data_dir, progress=progress)
    path = find(manifest, built, data_dir=data_dir)
    if path is not None and not is_cached(manifest, built, path):
        read_verified(manifest, built, path)
        return path
    target = cached_path(manifest, built)
    if is_verified(manifest, built, target):
        return target
    source = obtain(manifest, manifest.file, data_dir=data_dir, progress=progress)
    with locked(manifest):
        if not is_verified(manifest, built, target):  # unless another process was quicker
            data = corpus.build(manifest, read_verified(manifest, manifest.file, source), source.name, progress)
            _store(manifest, built, target, data)
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


def _status_rows(manifest: Manifest, data_dir: str | Path | None) -> list[dict[str, Any]]:
    rows = []
    for file in manifest.files:
        path, state, detail = find(manifest, file, data_dir=data_dir), "not here", ""
        if path is not None:
            try:
                read_verified(manifest, file, path)
                state = "verified"
            except DataError as error:
                state, detail = "damaged", str(error)
        rows.append(
            {
                "dataset": manifest.name,
                "file": file.name,
                "role": "built" if file is manifest.built else "source",
                "state": state,
                "path": "" if path is None else str(path),
                "size": file.size,
                "detail": detail,
            }
        )
    return rows
