"""What is wrong with a study's files, in words, and mending what can be mended.

May import `store`, `publish`, `study`, `training` and `errors`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock

from odyssey_kit.errors import OdysseyError
from odyssey_kit.search.publish import published_folder, published_results
from odyssey_kit.search.store import (
    locked,
    open_for_reading,
    open_for_writing,
    reading_address,
    store_and_shards,
    store_path,
)
from odyssey_kit.search.study import StudySpec
from odyssey_kit.training import TrialResult, TrialSpec

__all__ = ["Finding", "examine", "repair"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is well, what was found, and whether `repair` can mend it."""

    what: str
    well: bool
    words: str
    mendable: bool = False


_LONGEST_ROW = 2**26  # bytes; what says that it is longer is garbage, which would take long to read
Row = tuple[TrialSpec, TrialResult]


def _understood(key: str, state: str, spec_text: str, result_text: str) -> Row | None:
    """Return a row as spec and result, or None if its parts do not belong together."""
    with suppress(OdysseyError, AttributeError, KeyError, TypeError, ValueError):
        spec, result = TrialSpec.from_dict(json.loads(spec_text)), TrialResult.from_dict(json.loads(result_text))
        if spec.key == result.key == key and result.state == state:
            return spec, result
    return None


def _rows(connection: sqlite3.Connection, size: int) -> Iterator[Row | None]:
    """Yield what can be read of a table, row by row: a damaged page costs the rows that lie on it."""
    query = "SELECT key, state, spec, result FROM trials WHERE rowid = ?"
    for rowid in range(1, size // 100 + 100):  # no row takes less than 100 bytes
        with suppress(sqlite3.DatabaseError):
            row = connection.execute(query, (rowid,)).fetchone()
            if row is not None:
                yield _understood(*row)


def _look(path: Path) -> tuple[str, list[Row], int]:
    """Return what the database says of itself, its good rows, and how many cannot be understood."""
    rows: list[Row | None] = []
    size, log = path.stat().st_size, _log(path)
    try:
        with closing(sqlite3.connect(reading_address(path), uri=True, timeout=30)) as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_ROW)
            rows.extend(_rows(connection, size + log))
            (page,) = connection.execute("PRAGMA page_size").fetchone()
            lines = [" ".join(str(line).split()) for (line,) in connection.execute("PRAGMA integrity_check(3)")]
        said = "its last page is cut short" if size % page and not log else "; ".join(lines)
    except sqlite3.DatabaseError as error:
        said = str(error)
    good = [row for row in rows if row]
    return said, good, len(rows) - len(good)


def _log(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


def _holder(path: Path) -> Finding:
    """Tell a store that is being written from one whose writer was killed."""
    holder = path.with_suffix(".holder")
    who = holder.read_text(encoding="utf-8") if holder.exists() else ""
    try:
        with filelock.FileLock(path.with_suffix(".lock"), timeout=0):
            if who:
                return Finding("writer", False, f"{who} was ended while it wrote; it holds nothing any more", True)
            return Finding("writer", True, "nobody writes it")
    except filelock.Timeout:
        return Finding("writer", True, f"{who or 'another process'} writes it now")
    except OSError as error:
        return Finding("writer", True, f"{path.parent} cannot be written ({error.strerror}), so nobody here writes it")


def _store_findings(study: StudySpec, path: Path) -> list[Finding]:
    if not path.exists():
        return [Finding("store", True, f"{path} does not exist: nothing was run here")]
    said, good, bad = _look(path)
    findings = [_holder(path)]
    if said != "ok" or bad:
        rows = f"{len(good)} trials can be read, {bad} rows cannot be understood"
        findings.append(Finding("store", False, f"{path} is damaged ({said}); {rows}", bool(good)))
        return findings
    try:
        with open_for_reading(path, study):
            findings.append(Finding("store", True, f"{path} is whole: {len(good)} trials"))
    except OdysseyError as error:
        findings.append(Finding("store", False, str(error)))
    strays = {spec.key for spec, _ in good} - {spec.key for spec in study.plan()}
    if strays:
        words = f"{len(strays)} stored trials are not in the plan of {study.n_trials} draws a cell; they are kept"
        findings.append(Finding("plan", True, words))
    if log := _log(path):
        findings.append(Finding("log", True, f"{log:,} bytes wait in its write-ahead log; the next run takes them in"))
    return findings


def _published_findings(study: StudySpec, paths: list[Path], folder: Path) -> list[Finding]:
    try:
        published = {spec.key for spec, _ in published_results(folder)}
    except OdysseyError as error:
        # What the store holds can be exported again; what it does not hold can be restored only.
        return [Finding("published", False, str(error))]
    if not published:
        return [Finding("published", True, f"nothing is published in {folder}")]
    strays = published - {spec.key for spec in study.plan()}
    words = f"{len(published)} trials are published in {folder}, and its checksums hold"
    findings = [Finding("published", True, words)]
    if strays:
        lost = f"{len(strays)} published trials are not in the plan, so they would be run again under other keys"
        findings.append(Finding("keys", False, lost))
    stored = {spec.key for path in paths for spec, _ in _look(path)[1]}
    if ahead := len(stored - published):
        findings.append(Finding("unpublished", True, f"{ahead} stored trials are not published yet"))
    return findings


def examine(study: StudySpec, path: Path | None = None, results: Path | None = None) -> list[Finding]:
    """Look at everything that belongs to a study: its store and its shards', who writes them, and what is published.

    Returns
    -------
    list of Finding
    """
    path = path or store_path(study.name)
    stores = store_and_shards(path)
    findings = [finding for store in stores or [path] for finding in _store_findings(study, store)]
    return [*findings, *_published_findings(study, stores, published_folder(study.name, results))]


def repair(study: StudySpec, path: Path | None = None) -> list[str]:
    """Mend what can be mended, shards' stores too, and say what was done. Nothing is deleted: damage is moved aside.

    Raises
    ------
    StudyError
        If another process writes the store.
    """
    return [words for store in store_and_shards(path or store_path(study.name)) for words in _mend(study, store)]


def _mend(study: StudySpec, path: Path) -> list[str]:
    done = []
    if not _holder(path).well:
        path.with_suffix(".holder").unlink(missing_ok=True)
        done.append("the note of a writer that is gone was removed")
    said, good, bad = _look(path)
    if (said == "ok" and not bad) or not good:
        return done
    aside = path.with_name(f"{path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}.sqlite")
    mended = path.with_name(f"{path.stem}.mended.sqlite")
    with locked(path):
        with open_for_writing(study, mended) as store:
            for spec, result in good:
                store.add(spec, result)
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
        mended.rename(path)
    mended.with_suffix(".lock").unlink(missing_ok=True)
    done.append(
        f"the damaged store was moved to {aside}, and its {len(good)} readable trials into a new {path}; "
        "the rest is pending again, or taken up from what is published"
    )
    return done
