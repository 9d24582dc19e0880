"""The trials of a study: found, checked and loaded; and the best of them selected.

A study is a folder with `trials.parquet`, and beside it, where there is more, `curves.parquet` and
`study.json`. The columns are described in `schema`, whose names are offered here too. May import
`errors` and `space`; needs neither torch nor the data that the trials were trained on.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from odyssey_kit.analysis.schema import (
    SCHEMA,
    STATES,
    Column,
    arrow_schema,
    check_trials,
    describe_columns,
    typed,
    write_table,
)
from odyssey_kit.errors import StudyError, UsageError
from odyssey_kit.space import SearchSpace

if TYPE_CHECKING:
    import optuna

__all__ = [
    "SCHEMA",
    "Column",
    "Trials",
    "arrow_schema",
    "as_trials",
    "check_trials",
    "describe_columns",
    "load_trials",
    "select_top",
    "write_table",
]

RESULTS_VARIABLE = "ODYSSEY_RESULTS"
STUDY_SCHEMA = 1


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Trials:
    """A table of trials and what belongs to it.

    Parameters
    ----------
    name : str
        Name of the study.
    frame : pandas.DataFrame
        One row a trial; columns as `describe_columns` says.
    curves : pandas.DataFrame, optional
        One row an epoch, joined by ``key``.
    space : SearchSpace, optional
        What the hyperparameters were drawn from.
    study : mapping, optional
        The whole of study.json.
    hash : str
        First eight hexadecimal digits of the sha256 of the file that was read; a selection keeps it.
    left_out : int
        Rows of a partial study that lie outside its balanced prefix and were not loaded.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"key": ["a", "b"], "study": "s", "task": "t", "variant": "V", "index": [0, 1],
    ...     "state": "COMPLETE", "metric": "nll", "valid_metric": [9.1, 8.7], "test_metric": [9.0, 8.8]})
    >>> trials = Trials.from_frame(table)
    >>> trials.query("test_metric < 9")
    Trials('s': 1 trial, 1 variant, 1 task, 1 complete)
    """

    name: str
    frame: pd.DataFrame
    curves: pd.DataFrame | None = None
    space: SearchSpace | None = None
    study: Mapping[str, Any] | None = None
    hash: str = ""
    left_out: int = 0

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, name: str | None = None, space: SearchSpace | None = None) -> Trials:
        """Return anybody's own table as trials, after checking that it has the needed columns.

        Raises
        ------
        UsageError
            If it does not fit the schema.
        """
        check_trials(frame)
        names = frame["study"].unique()
        return cls(
            name=name if name is not None else str(names[0]) if len(names) == 1 else "table",
            frame=typed(frame, "trials").reset_index(drop=True),
            space=space,
        )

    @property
    def variants(self) -> tuple[str, ...]:
        """Variants of the table, in order of appearance."""
        return tuple(self.frame["variant"].unique())

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the table, in order of appearance."""
        return tuple(self.frame["task"].unique())

    def query(self, expression: str) -> Trials:
        """Return the trials for which an expression holds, their curves with them.

        Parameters
        ----------
        expression : str
            As for `pandas.DataFrame.query`, e.g. ``"variant == 'V' and params_learning_rate > 1e-4"``.

        Raises
        ------
        UsageError
            If the expression cannot be read or names a column that does not exist.
        """
        try:
            frame = self.frame.query(expression)
        except Exception as error:  # pandas raises errors of a dozen classes here
            raise UsageError(
                f"query {expression!r}: {error}. Columns: {', '.join(map(str, self.frame.columns))}"
            ) from error
        return self._with(frame)

    def counts(self) -> pd.DataFrame:
        """Return how the trials of each cell ended: columns task, variant, trials, complete, diverged, failed."""
        ends = [state.lower() for state in STATES]
        states = self.frame.assign(**{state.lower(): self.frame["state"] == state for state in STATES})
        grouped = states.groupby(["task", "variant"], sort=False)
        counts = grouped[ends].sum().astype(int)
        counts.insert(0, "trials", grouped.size())
        return counts.reset_index()

    def to_optuna(self, *, storage: Any = None, study_name: str | None = None) -> optuna.Study:
        """Return the trials as a study of Optuna; see `odyssey_kit.analysis.optuna_studies.to_optuna`."""
        from odyssey_kit.analysis.optuna_studies import to_optuna

        return to_optuna(self, storage=storage, study_name=study_name)

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.frame.copy()

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        ends = self.frame["state"].value_counts()
        parts = [
            _counted(len(self), "trial"),
            _counted(len(self.variants), "variant"),
            _counted(len(self.tasks), "task"),
            *(f"{ends[state]} {state.lower()}" for state in STATES if state in ends),
            *([f"partial, {self.left_out} more outside its prefix"] if self.left_out else []),
            *([f"hash {self.hash}"] if self.hash else []),
        ]
        return f"Trials({self.name!r}: {', '.join(parts)})"

    def _with(self, frame: pd.DataFrame) -> Trials:
        curves = self.curves
        if curves is not None:
            curves = curves[curves["key"].isin(set(frame["key"]))].reset_index(drop=True)
        return replace(self, frame=frame.reset_index(drop=True), curves=curves)


def as_trials(trials: Trials | pd.DataFrame) -> Trials:
    """Return trials as they are, and a plain table checked and wrapped."""
    if isinstance(trials, Trials):
        return trials
    if isinstance(trials, pd.DataFrame):
        return Trials.from_frame(trials)
    raise UsageError(f"expected Trials or a pandas DataFrame, got {type(trials).__name__}; see ok.load_trials")


# ---- finding and reading --------------------------------------------------------------------


def _roots() -> list[Path]:
    """Return the folders that may hold published studies, in the order in which they are searched."""
    chosen = os.environ.get(RESULTS_VARIABLE)
    checkout = Path(__file__).resolve().parents[2] / "results_cache"
    roots = [*([Path(chosen).expanduser()] if chosen else []), checkout, Path.cwd() / "results_cache"]
    return list(dict.fromkeys(roots))


def _find(source: str | os.PathLike[str]) -> Path:
    """Return the trials file that a name, folder or file means."""
    path = Path(source).expanduser()
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
    published = sorted({f.parent.name for root in _roots() for f in root.glob("*/trials.parquet")})
    raise StudyError(
        f"no study is called {str(source)!r} in {', '.join(map(str, _roots()))}; published there: "
        f"{', '.join(published) or 'none'}. Set {RESULTS_VARIABLE} or give a folder, or make it with `odyssey export`."
    )


def _read(path: Path, kind: Any) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.read_table(path, page_checksum_verification=True).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
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
        raise StudyError(
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
        whose checksum study.json records; if it is partial and its prefix is empty.

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


# ---- selection ------------------------------------------------------------------------------


def numeric_column(frame: pd.DataFrame, name: str, *, what: str) -> pd.Series:
    """Return a numeric column, or say which there are."""
    numeric = [c for c in frame.select_dtypes("number").columns if c != "index"]
    if name not in numeric:
        problem = "is not numeric" if name in frame else "does not exist"
        raise UsageError(f"{what} {name!r} {problem}; numeric columns are: {', '.join(map(str, numeric))}")
    return frame[name]


def n_selected(n_trials: int, top: float) -> int:
    """Return how many of n trials the best fraction is: rounded to the nearest, halves upwards.

    Examples
    --------
    >>> [n_selected(200, 0.10), n_selected(20, 0.25), n_selected(30, 0.15)]
    [20, 5, 5]
    """
    # The tiny addend keeps 0.145 * 100 = 14.499999… a half.
    return math.floor(top * n_trials + 0.5 + 1e-9)


def select_top(trials: Trials | pd.DataFrame, *, top: float = 0.10, by: str = "valid_metric") -> Trials:
    """Return the best fraction of each task and variant.

    Trials are ranked by validation and never by test: a selection by the reported number would
    flatter it. The number selected is ``top`` times the number of trials of the cell, rounded to
    the nearest whole number, halves upwards. Ties go to the lower index. Trials without a finite
    value rank last; they count as trials, so an unstable variant gains nothing from them.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials.
    top : float
        Fraction in (0, 1]; the Odyssey took 0.10 of 200.
    by : str
        Column to rank by, lower is better.

    Returns
    -------
    Trials
        The selected trials, in the order of the table.

    Raises
    ------
    UsageError
        If fewer than three trials of a cell would be selected, or an argument does not fit.
    """
    trials = as_trials(trials)
    if not 0 < top <= 1:
        raise UsageError(f"top is {top!r}, expected a fraction in (0, 1], for instance 0.10")
    values = numeric_column(trials.frame, by, what="column to rank by")
    ranked = trials.frame.assign(_rank=values.where(values.abs() < math.inf))
    ranked = ranked.sort_values(["_rank", "index"], na_position="last", kind="stable")
    kept: list[Any] = []
    for (task, variant), cell in ranked.groupby(["task", "variant"], sort=False):
        n = n_selected(len(cell), top)
        if n < 3:
            # The smallest fraction that rounds to three, shown rounded upwards.
            enough = math.ceil(2.5 / len(cell) * 1000) / 1000
            remedy = f"top={enough:g} would select 3" if len(cell) >= 3 else "run more trials"
            raise UsageError(
                f"top={top:g} of the {_counted(len(cell), 'trial')} of {variant!r} on {task!r} selects {n}, "
                f"at least 3 are needed; {remedy}"
            )
        kept.extend(cell.index[:n])
    return trials._with(trials.frame.loc[sorted(kept)])
