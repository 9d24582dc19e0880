"""The trials of a study as a table that knows its space and its curves; and the best of them selected.

The columns are described in `schema`, whose names are offered here too; `loading` reads what is published. May
import `errors`, `space`, `analysis.checks`, `analysis.direction` and `analysis.schema`; needs neither torch nor the
data that the trials were trained on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from odyssey_kit.analysis.checks import is_number, repeated_column
from odyssey_kit.analysis.direction import Direction, sign
from odyssey_kit.analysis.schema import (
    SCHEMA,
    STATES,
    Column,
    arrow_schema,
    check_trials,
    describe_columns,
    missing_columns,
    typed,
    write_table,
)
from odyssey_kit.errors import UsageError
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
    "select_top",
    "write_table",
]


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


def frame_of(trials: Trials | pd.DataFrame) -> pd.DataFrame:
    """Return the table of trials, whatever its columns are called.

    Raises
    ------
    UsageError
        If it is none, or a column occurs twice in it.
    """
    frame = trials.frame if isinstance(trials, Trials) else trials
    if not isinstance(frame, pd.DataFrame):
        raise UsageError(f"expected Trials or a pandas DataFrame, got {type(trials).__name__}; see ok.load_trials")
    if repeated := repeated_column(frame):
        raise UsageError(f"the table is ambiguous: {repeated}")
    return frame


def as_trials(trials: Trials | pd.DataFrame) -> Trials:
    """Return trials as they are, and a plain table checked and wrapped."""
    if isinstance(trials, Trials):
        return trials
    frame = frame_of(trials)
    try:
        return Trials.from_frame(frame)
    except UsageError as error:
        if missing_columns(frame):
            raise UsageError(f"{error}. ok.trials_from_table makes trials of a table with names of its own") from error
        raise


# ---- selection ------------------------------------------------------------------------------


def numeric_column(frame: pd.DataFrame, name: str, *, what: str) -> pd.Series:
    """Return a numeric column, or say which there are."""
    numeric = [c for c in frame.select_dtypes("number").columns if c != "index"]
    if not isinstance(name, str):
        raise UsageError(f"{what} is {name!r}, expected the name of a column")
    if name not in numeric:
        problem = "is not numeric" if name in frame else "does not exist"
        raise UsageError(f"{what} {name!r} {problem}; numeric columns are: {', '.join(map(str, numeric))}")
    return frame[name]


LEAST_SELECTED = 3  # of a cell; fewer have no spread worth the name


def n_selected(n_trials: int, top: float) -> int:
    """Return how many of n trials the best fraction is: rounded to the nearest, halves upwards.

    Examples
    --------
    >>> [n_selected(200, 0.10), n_selected(20, 0.25), n_selected(30, 0.15)]
    [20, 5, 5]
    """
    # The tiny addend keeps 0.145 * 100 = 14.499999… a half.
    return math.floor(top * n_trials + 0.5 + 1e-9)


def select_top(
    trials: Trials | pd.DataFrame, *, top: float = 0.10, by: str = "valid_metric", direction: Direction = "minimize"
) -> Trials:
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
        Column to rank by.
    direction : {"minimize", "maximize"}
        Which way it is better.

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
    if not is_number(top) or not 0 < top <= 1:
        raise UsageError(f"top is {top!r}, expected a fraction in (0, 1], for instance 0.10")
    # As floats: the negative of an unsigned number is none.
    values = sign(direction) * numeric_column(trials.frame, by, what="column to rank by").astype(float)
    ranked = trials.frame.assign(_rank=values.where(values.abs() < math.inf))
    ranked = ranked.sort_values(["_rank", "index"], na_position="last", kind="stable")
    kept: list[Any] = []
    for (task, variant), cell in ranked.groupby(["task", "variant"], sort=False):
        n = n_selected(len(cell), top)
        if n < LEAST_SELECTED:
            # The smallest fraction that rounds to so many, shown rounded upwards.
            enough = math.ceil((LEAST_SELECTED - 0.5) / len(cell) * 1000) / 1000
            remedy = (
                f"top={enough:g} would select {LEAST_SELECTED}" if len(cell) >= LEAST_SELECTED else "run more trials"
            )
            raise UsageError(
                f"top={top:g} of the {_counted(len(cell), 'trial')} of {variant!r} on {task!r} selects {n}, "
                f"at least {LEAST_SELECTED} are needed; {remedy}"
            )
        kept.extend(cell.index[:n])
    return trials._with(trials.frame.loc[sorted(kept)])
