"""The store of a study in progress: one SQLite file, one row a trial, one writer.

Write-ahead log and full synchronous: what `add` returned from is on the disk. Nothing is ever marked
as running, so nothing can be stuck in it; what is pending follows from the plan. May import `study`,
`training` and `errors`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

from odyssey_kit.errors import StudyError
from odyssey_kit.search.study import StudySpec
from odyssey_kit.training import TrialResult, TrialSpec, canonical_json

__all__ = [
    "Store",
    "check_same_study",
    "definition",
    "differences",
    "locked",
    "open_for_reading",
    "open_for_writing",
    "reading_address",
    "store_and_shards",
    "store_path",
]

SCHEMA = 1
_TABLES = """
BEGIN;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS trials (
    key TEXT PRIMARY KEY, state TEXT NOT NULL, seconds REAL NOT NULL, spec TEXT NOT NULL, result TEXT NOT NULL
) STRICT;
COMMIT;
"""


def store_path(name: str) -> Path:
    """Return where a study's store lies: ``$ODYSSEY_RUNS`` or the folder runs/ here."""
    return Path(os.environ.get("ODYSSEY_RUNS", "runs")) / f"{name}.sqlite"


def store_and_shards(path: Path) -> list[Path]:
    """Return a study's store and the stores of its shards beside it, as many as are there."""
    shard = re.compile(re.escape(path.stem) + r"\.\d+-of-\d+")
    shards = [other for other in path.parent.glob(f"{path.stem}.*.sqlite") if shard.fullmatch(other.stem)]
    return [*([path] if path.exists() else []), *sorted(shards)]


def _result_json(result: TrialResult) -> str:
    # Not canonical: a result may hold NaN or infinity, and they must come back as they were.
    # Not by `to_dict`, whose deep copy of every epoch takes longer than all the rest of storing it.
    data = {**vars(result), "curve": [vars(row) for row in result.curve]}
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says, and rows that cannot be understood, into one line that says what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StudyError(
            f"{path}: {error}. What it holds already is safe; make room, or set ODYSSEY_RUNS to a folder that can be "
            "written, and go on."
        ) from error
    except (sqlite3.DatabaseError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"{path} is damaged, or no store of `odyssey run` ({error}); it was left as it is. Move it away to start "
            "a new one: published trials of the same study are taken up again."
        ) from error


class Store:
    """An open store; made by `open_for_writing` and `open_for_reading`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    def study(self) -> StudySpec | None:
        """Return the study that the store belongs to."""
        with _explained(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE name = 'study'").fetchone()
            return StudySpec.from_dict(json.loads(row[0])) if row else None

    def set_study(self, study: StudySpec) -> None:
        """Write down which study the store belongs to."""
        # Not canonical: the order of the space is the order in which it is drawn.
        rows = [("schema", str(SCHEMA)), ("study", json.dumps(study.to_dict()))]
        with _explained(self.path), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def add(self, spec: TrialSpec, result: TrialResult) -> bool:
        """Store a result durably; return False if the trial was there already (the first is kept)."""
        row = (spec.key, result.state, result.seconds, canonical_json(spec.to_dict()), _result_json(result))
        with _explained(self.path), self._connection:
            return self._connection.execute("INSERT OR IGNORE INTO trials VALUES (?, ?, ?, ?, ?)", row).rowcount == 1

    def states(self) -> dict[str, str]:
        """Return the state of every stored trial by key."""
        with _explained(self.path):
            return dict(self._connection.execute("SELECT key, state FROM trials"))

    def outcomes(self) -> list[tuple[str, str, str, int, str, float]]:
        """Return key, task, variant, index, state and seconds of every stored trial, without reading results."""
        parts = ", ".join(f"json_extract(spec, '$.{part}')" for part in ("task", "variant.name", "index"))
        with _explained(self.path):
            return self._connection.execute(f"SELECT key, {parts}, state, seconds FROM trials").fetchall()

    def seconds(self) -> float:
        """Return the processor seconds of all stored trials."""
        with _explained(self.path):
            return self._connection.execute("SELECT coalesce(sum(seconds), 0) FROM trials").fetchone()[0]

    def results(self) -> Iterator[tuple[TrialSpec, TrialResult]]:
        """Yield every stored trial, in the order of keys."""
        with _explained(self.path):
            for spec, result in self._connection.execute("SELECT spec, result FROM trials ORDER BY key"):
                yield TrialSpec.from_dict(json.loads(spec)), TrialResult.from_dict(json.loads(result))


def reading_address(path: Path) -> str:
    """Return how SQLite is told to read a store and to change nothing.

    In a folder that cannot be written, where no write-ahead log waits either, nobody writes the store: SQLite is told
    so, for it would want to put files of its own beside it.
    """
    still = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if still else ''}"


def _connect(path: Path, address: str) -> sqlite3.Connection:
    with _explained(path):
        return sqlite3.connect(address, uri=True, timeout=30)


def _check_schema(path: Path, connection: sqlite3.Connection) -> bool:
    """Refuse what is no store of this version; return whether anything was written into it yet."""
    with _explained(path):
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "meta" in tables:
            row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
            if row and row[0] != str(SCHEMA):
                raise StudyError(
                    f"{path} has schema {row[0]}, this version reads {SCHEMA}. Update odyssey_kit, or move the file "
                    "away; it was left as it is."
                )
        if tables and not tables >= {"meta", "trials"}:
            raise sqlite3.DatabaseError(f"its tables are {', '.join(sorted(tables))}, expected meta and trials")
    return bool(tables)


def _check_file(path: Path, study: StudySpec) -> None:
    """Check a file that is there as a whole, and whose it is, without changing a byte of it."""
    if not path.exists() or not path.stat().st_size:
        return
    with closing(_connect(path, reading_address(path))) as connection, _explained(path):
        begun = _check_schema(path, connection)
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        log = path.with_name(f"{path.name}-wal")
        # A page cut short is read as if it ended in zeros; only a write-ahead log can still hold it whole.
        if path.stat().st_size % page and not (log.exists() and log.stat().st_size):
            raise sqlite3.DatabaseError("its last page is cut short")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(" ".join(found.split()))
        if begun:
            check_same_study(Store(connection, path), study)


def differences(stored: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> list[str]:
    """Return in words where two definitions differ."""
    found = []
    for name in sorted(stored.keys() | asked.keys()):
        if name not in stored or name not in asked:
            found.append(f"{prefix}{name}: only {'stored' if name in stored else 'asked'}")
            continue
        old, new = stored[name], asked[name]
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name}: stored {old!r}, asked {new!r}")
    return found


def definition(study: StudySpec) -> dict[str, Any]:
    """Return what makes a study the same study; more trials of it are welcome."""
    definition = {name: value for name, value in study.to_dict().items() if name not in ("title", "n_trials")}
    cells = {cell.name: cell.to_dict() for cell in study.variants}
    return definition | {"variants": cells, "order of space": list(study.space)}


def check_same_study(store: Store, study: StudySpec) -> StudySpec | None:
    """Return the study of a store, None for a new one.

    Raises
    ------
    StudyError
        If it is another study than the one asked for.
    """
    stored = store.study()
    found = differences(definition(stored), definition(study)) if stored else []
    if found:
        raise StudyError(
            f"{store.path} holds another study named {study.name!r}; nothing was changed. Differences: "
            f"{'; '.join(found)}. Give the new study a name of its own, or move the file away."
        )
    return stored


def _prepare(store: Store, connection: sqlite3.Connection, study: StudySpec) -> None:
    with _explained(store.path):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_TABLES)
    stored = store.study()
    if stored is None or stored.n_trials < study.n_trials:
        store.set_study(study)


def _who(holder: Path) -> str:
    with suppress(OSError):  # the holder may end just now
        return holder.read_text(encoding="utf-8") or "another process"
    return "another process"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only writer of a store; the system ends the lock with the process, however that ends."""
    holder = path.with_suffix(".holder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_suffix(".lock"), timeout=0)
        lock.acquire()
        holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
    except filelock.Timeout as error:
        raise StudyError(f"{path} is being written by {_who(holder)}. Wait for it, or stop it first.") from error
    except OSError as error:
        raise StudyError(
            f"{path.parent} cannot be written ({error.strerror}); set ODYSSEY_RUNS to a folder that can."
        ) from error
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def open_for_writing(study: StudySpec, path: Path | None = None) -> Iterator[Store]:
    """Open a study's store as its only writer.

    Raises
    ------
    StudyError
        If another process writes it, the file is damaged or no store, or it holds another study.
        The file is left as it was.
    """
    path = path or store_path(study.name)
    with locked(path):
        _check_file(path, study)
        with closing(_connect(path, f"{path.resolve().as_uri()}?mode=rwc")) as connection:
            store = Store(connection, path)
            _prepare(store, connection, study)
            yield store


@contextmanager
def open_for_reading(path: Path, study: StudySpec | None = None) -> Iterator[Store]:
    """Open a store to look at it, also while it is being written.

    Raises
    ------
    StudyError
        If there is none, the file is no store, or it holds another study than the one asked for.
    """
    if not path.exists():
        raise StudyError(f"{path} does not exist; start the study with `odyssey run {path.stem}`.")
    with closing(_connect(path, reading_address(path))) as connection:
        store = Store(connection, path)
        if not _check_schema(path, connection):
            raise StudyError(f"{path} holds nothing yet; start the study with `odyssey run {path.stem}`.")
        if study is not None:
            check_same_study(store, study)
        yield store
