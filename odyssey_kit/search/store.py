"""The store of a study in progress: one SQLite file, one row a trial, one writer.

Write-ahead log and full synchronous: what `add` returned from is on the disk. Nothing is ever marked
as running, so nothing can be stuck in it; what is pending follows from the plan. May import `study`,
`training` and `errors`.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from odyssey_kit.errors import StudyError
from odyssey_kit.search.study import StudySpec
from odyssey_kit.training import TrialResult, TrialSpec, canonical_json

__all__ = ["Store", "open_for_reading", "open_for_writing", "store_path"]

SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS trials (
    key TEXT PRIMARY KEY, state TEXT NOT NULL, seconds REAL NOT NULL, spec TEXT NOT NULL, result TEXT NOT NULL
) STRICT;
"""


def store_path(name: str) -> Path:
    """Return where a study's store lies: ``$ODYSSEY_RUNS`` or the folder runs/ here."""
    return Path(os.environ.get("ODYSSEY_RUNS", "runs")) / f"{name}.sqlite"


def _result_json(result: TrialResult) -> str:
    # Not canonical: a result may hold NaN or infinity, and they must come back as they were.
    return json.dumps(result.to_dict(), sort_keys=True, separators=(",", ":"))


class Store:
    """An open store; made by `open_for_writing` and `open_for_reading`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    def study(self) -> StudySpec | None:
        """Return the study that the store belongs to."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'study'").fetchone()
        return StudySpec.from_dict(json.loads(row[0])) if row else None

    def set_study(self, study: StudySpec) -> None:
        """Write down which study the store belongs to."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [("schema", str(SCHEMA)), ("study", canonical_json(study.to_dict()))],
            )

    def add(self, spec: TrialSpec, result: TrialResult) -> bool:
        """Store a result durably; return False if the trial was there already (the first is kept)."""
        with self._connection:
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO trials VALUES (?, ?, ?, ?, ?)",
                (spec.key, result.state, result.seconds, canonical_json(spec.to_dict()), _result_json(result)),
            )
        return cursor.rowcount == 1

    def states(self) -> dict[str, str]:
        """Return the state of every stored trial by key."""
        return dict(self._connection.execute("SELECT key, state FROM trials"))

    def seconds(self) -> float:
        """Return the processor seconds of all stored trials."""
        return self._connection.execute("SELECT coalesce(sum(seconds), 0) FROM trials").fetchone()[0]

    def results(self) -> Iterator[tuple[TrialSpec, TrialResult]]:
        """Yield every stored trial, in the order of keys."""
        for spec, result in self._connection.execute("SELECT spec, result FROM trials ORDER BY key"):
            yield TrialSpec.from_dict(json.loads(spec)), TrialResult.from_dict(json.loads(result))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30)
        connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise StudyError(
            f"{path}: {error}. It should be a store written by `odyssey run`; move it away to start a new one "
            "(published trials of the same study are taken up again)."
        ) from error
    return connection


def _check_schema(store: Store, connection: sqlite3.Connection) -> None:
    try:
        row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    except sqlite3.Error as error:
        raise StudyError(
            f"{store.path}: {error}; expected a store of schema {SCHEMA}. Move the file away to start a new one."
        ) from error
    if row and row[0] != str(SCHEMA):
        raise StudyError(
            f"{store.path} has schema {row[0]}, this version reads {SCHEMA}. Update odyssey_kit, or move the file away."
        )


def _differences(stored: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name in sorted(stored.keys() | asked.keys()):
        old, new = stored.get(name), asked.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: stored {old!r}, asked {new!r}")
    return found


def _definition(study: StudySpec) -> dict[str, Any]:
    """Return what makes a study the same study; more trials of it are welcome."""
    return {name: value for name, value in study.to_dict().items() if name not in ("title", "n_trials")}


def _check_study(store: Store, study: StudySpec) -> None:
    stored = store.study()
    differences = _differences(_definition(stored), _definition(study)) if stored else []
    if differences:
        raise StudyError(
            f"{store.path} holds another study named {study.name!r}; nothing was changed. Differences: "
            f"{'; '.join(differences)}. Give the new study a name of its own, or move the file away."
        )
    if stored is None or stored.n_trials < study.n_trials:
        store.set_study(study)


@contextmanager
def open_for_writing(study: StudySpec, path: Path | None = None) -> Iterator[Store]:
    """Open a study's store as its only writer.

    Raises
    ------
    StudyError
        If another process writes it, the file is no store, or it holds another study.
    """
    path = path or store_path(study.name)
    holder = path.with_suffix(".holder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_suffix(".lock"), timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        raise StudyError(f"{path} is being written by {who}. Wait for it, or stop it first.") from error
    except OSError as error:
        raise StudyError(
            f"{path.parent} cannot be written ({error.strerror}); set ODYSSEY_RUNS to a folder that can."
        ) from error
    try:
        holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        connection = _connect(path, "rwc")
        try:
            store = Store(connection, path)
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                _check_schema(store, connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_TABLES)
            _check_study(store, study)
            yield store
        finally:
            connection.close()
            holder.unlink(missing_ok=True)
    finally:
        lock.release()


@contextmanager
def open_for_reading(path: Path) -> Iterator[Store]:
    """Open a store to look at it, also while it is being written.

    Raises
    ------
    StudyError
        If there is none, or the file is no store.
    """
    if not path.exists():
        raise StudyError(f"{path} does not exist; start the study with `odyssey run {path.stem}`.")
    connection = _connect(path, "ro")
    try:
        store = Store(connection, path)
        _check_schema(store, connection)
        yield store
    finally:
        connection.close()
