"""Published trials: found by name, checked against their checksums, and read.

A study is a folder with `trials.parquet`, and beside it, where there is more, `curves.parquet` and `study.json`. May
import `errors`, `space`, `analysis.checks`, `analysis.reading`, `analysis.schema` and `analysis.trials`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from odyssey_kit.analysis.checks import path_of
from odyssey_kit.analysis.reading import TABLE_SUFFIXES
from odyssey_kit.analysis.schema import check_trials, typed
from odyssey_kit.analysis.trials import Trials, _counted
from odyssey_kit.errors import StudyError, UnfinishedBlockError, UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["load_trials", "published_studies"]

RESULTS_VARIABLE = "ODYSSEY_RESULTS"
STUDY_SCHEMA = 1


def _roots() -> list[Path]:
    """Return the folders that may hold published studies, in the order in which they are searched."""
    chosen = os.environ.get(RESULTS_VARIABLE)
    checkout = Path(__file__).resolve().parents[2] / "results_cache"
    roots = [*([Path(chosen).expanduser()] if chosen else []), checkout, Path.cwd() / "results_cache"]
    return list(dict.fromkeys(roots))


def published_studies() -> tuple[str, ...]:
    """Return the names of the studies that `load_trials` finds by name."""
    return tuple(sorted({file.parent.name for root in _roots() for file in root.glob("*/trials.parquet")}))


def _find(source: str | os.PathLike[str]) -> Path:
    """Return the trials file that a name, folder or file means."""
    path = path_of(source)
    if path.suffix in TABLE_SUFFIXES and path.suffix != ".parquet" and not path.is_dir():
        there = "is no table of a published study" if path.is_file() else "does not exist, and would be no study"
        raise StudyError(
            f"{path} {there}: published ones are Parquet. A {path.suffix} file is for ok.read_table, or for "
            "`odyssey analyze` on the command line"
        )
    bare = isinstance(source, str) and len(path.parts) == 1 and path.suffix != ".parquet"
    candidates = [*([root / path for root in _roots()] if bare else []), path]
    for candidate in candidates:
        if candidate.is_dir():
            if (candidate / "trials.parquet").is_file():
                return candidate / "trials.parquet"
            if not bare:
                raise StudyError(f"{candidate} holds no trials.parquet; expected the folder of an exported study")
        elif candidate.is_file():
            return candidate
    if not bare:
        raise StudyError(f"no such file or folder: {path}; expected an exported study or a Parquet file")
    raise StudyError(
        f"no study is called {str(source)!r} in {', '.join(map(str, _roots()))}; published there: "
        f"{', '.join(published_studies()) or 'none'}. Set {RESULTS_VARIABLE} or give a folder, or make it with "
        "`odyssey export`."
    )


def _read(path: Path, kind: Any) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.read_table(path, page_checksum_verification=True).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        if path.suffix not in TABLE_SUFFIXES:
            raise StudyError(
                f"{path} cannot be read as Parquet ({reason}), and a {path.suffix or 'nameless'} file as nothing else; "
                "save it as CSV, which is for ok.read_table, or for `odyssey analyze` on the command line"
            ) from error
        raise StudyError(
            f"{path} cannot be read as Parquet, it is damaged or incomplete ({reason}); "
            "restore it from version control or export the study again"
        ) from error
    try:
        check_trials(frame, kind=kind)
    except UsageError as error:
        raise StudyError(f"{path}: {error}") from error
    return typed(frame, kind)


def _read_study(path: Path) -> dict[str, Any]:
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} cannot be read as JSON ({error}); restore it or export the study again") from error
    if not isinstance(study, dict) or study.get("schema") != STUDY_SCHEMA:
        got = study.get("schema") if isinstance(study, dict) else type(study).__name__
        raise StudyError(f"{path} has schema {got!r}, expected {STUDY_SCHEMA}; a newer odyssey_kit may read it")
    return study


def _verify(path: Path, study: Mapping[str, Any]) -> None:
    recorded = (study.get("sha256") or {}).get(path.name)
    if recorded is None:
        return
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != recorded:
        raise StudyError(
            f"{path} has sha256 {actual[:12]}…, but study.json beside it records {str(recorded)[:12]}…: the file is "
            "damaged or was changed after the export; restore it from version control or export the study again"
        )


def _balanced(trials: Trials, path: Path) -> Trials:
    """Return the trials of the balanced prefix, where a table marks it."""
    if "in_prefix" not in trials.frame or trials.frame["in_prefix"].all():
        return trials
    if not trials.frame["in_prefix"].any():
        raise UnfinishedBlockError(
            f"{path} is a study in its first steps: its {_counted(len(trials), 'trial')} hold no block of draws that "
            "is finished in every cell, so nothing can be compared yet. Run on and export again, or see what is there "
            "with load_trials(…, prefix=False)."
        )
    prefix = trials._with(trials.frame[trials.frame["in_prefix"]])
    return replace(prefix, left_out=len(trials) - len(prefix))


def load_trials(source: str | os.PathLike[str], *, prefix: bool = True) -> Trials:
    """Load a published study, or any table of trials in the schema.

    Parameters
    ----------
    source : str or path
        The name of a study, its folder, or a Parquet file. A name is looked up in the folder that
        the environment variable ``ODYSSEY_RESULTS`` names, then in ``results_cache`` of this
        checkout, then in ``results_cache`` of the current folder.
    prefix : bool
        Of a partial study load only the draws that every cell has, in whole blocks, for the others are not a
        fair sample: large networks are trained first inside a block. ``left_out`` says how many were not loaded.

    Returns
    -------
    Trials
        With curves, search space and the study's definition where the folder has them.

    Raises
    ------
    StudyError
        If there is no such study, a file is damaged, does not fit the schema, or is not the one
        whose checksum study.json records.
    UnfinishedBlockError
        If it is partial and its prefix is empty; a StudyError too.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.load_trials("no-such-study")
    Traceback (most recent call last):
    odyssey_kit.errors.StudyError: no study is called 'no-such-study' in ...
    """
    path = _find(source)
    study_file, curves_file = path.with_name("study.json"), path.with_name("curves.parquet")
    whole = path.name == "trials.parquet"
    study = _read_study(study_file) if whole and study_file.is_file() else None
    if study is not None:
        _verify(path, study)
    trials = Trials.from_frame(_read(path, "trials"))
    curves = None
    if whole and curves_file.is_file():
        if study is not None:
            _verify(curves_file, study)
        curves = _read(curves_file, "curves")
    definition = (study or {}).get("study") or {}
    try:
        space = SearchSpace.from_dict(definition["space"]) if definition.get("space") else None
    except (UsageError, AttributeError) as error:
        raise StudyError(f"{study_file}: {error}") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    name = definition.get("name") or trials.name
    trials = replace(trials, name=name, curves=curves, space=space, study=study, hash=digest)
    return _balanced(trials, path) if prefix else trials
