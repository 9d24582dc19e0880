"""Other people's tables: their words for how a trial ended, and their names of columns.

May import `errors`, `space`, `analysis.checks`, `analysis.schema` and `analysis.trials`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from odyssey_kit.analysis.checks import check_space, rows_where
from odyssey_kit.analysis.schema import missing_columns
from odyssey_kit.analysis.trials import Trials, frame_of, numeric_column
from odyssey_kit.errors import UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["comparable", "foreign_states", "named_cells", "trials_from_table"]

# What other tools call the ends of a trial. A pruned or running one has no result.
_FOREIGN_STATES = {
    **{name: "COMPLETE" for name in ("COMPLETE", "COMPLETED", "FINISHED", "SUCCESS", "OK")},
    **{name: "FAILED" for name in ("FAILED", "FAIL", "ERROR", "KILLED", "PRUNED", "RUNNING", "WAITING", "CRASHED")},
    "DIVERGED": "DIVERGED",
}


def foreign_states(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose column ``state``, if it has one, speaks as ours does: COMPLETE, DIVERGED or FAILED.

    Raises
    ------
    UsageError
        If a state is not known.
    """
    if "state" not in frame:
        return frame
    if (missing := frame["state"].isna()).any():
        raise UsageError(
            f"column 'state' is missing in {int(missing.sum())} of {len(frame)} trials ({rows_where(missing)}); "
            "say how they ended, or drop the column"
        )
    names = frame["state"].astype(str).str.rpartition(".")[2].str.upper()
    if unknown := sorted(set(names) - set(_FOREIGN_STATES)):
        raise UsageError(
            f"column 'state' holds {', '.join(map(repr, unknown))}, expected one of {', '.join(_FOREIGN_STATES)}"
        )
    return frame.assign(state=names.map(_FOREIGN_STATES))


def _there(frame: pd.DataFrame, column: str) -> None:
    if column not in frame:
        raise UsageError(f"the table has no column {column!r}; it has: {', '.join(map(str, frame.columns))}")


def _named(frame: pd.DataFrame, column: str) -> pd.Series:
    _there(frame, column)
    if (missing := frame[column].isna()).any():
        raise UsageError(
            f"column {column!r} is missing in {int(missing.sum())} of {len(frame)} trials ({rows_where(missing)}); "
            "name what they are of, or drop them"
        )
    return frame[column].astype(str)


def trials_from_table(
    frame: pd.DataFrame,
    *,
    test: str,
    valid: str | None = None,
    variant: str | None = None,
    task: str | None = None,
    parameters: Sequence[str] = (),
    name: str = "table",
    space: SearchSpace | None = None,
) -> Trials:
    """Return a table with other people's column names as trials, so that `ok.compare` can read it.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row a trial.
    test, valid : str
        Columns of the metric that is reported and of the one that is selected by. Lower is better
        wherever no direction can be given; negate them where higher is. Without ``valid``
        both are the same, and a selection by it flatters: `compare` warns then unless all are
        selected (``top=1``).
    variant, task : str, optional
        Columns of what is compared and of the data set; without one there is one.
    parameters : sequence of str
        Columns of hyperparameters; by default those of the space, and those that begin with ``params_``.
    name : str
        Name of the study.
    space : SearchSpace, optional
        What the hyperparameters were drawn from.

    Raises
    ------
    UsageError
        If a column does not exist or does not fit.

    Examples
    --------
    >>> import pandas as pd
    >>> from odyssey_kit import trials_from_table
    >>> runs = pd.DataFrame({"model": ["gru", "lstm"], "lr": [0.1, 0.2], "val": [0.3, 0.2], "err": [0.31, 0.22]})
    >>> trials_from_table(runs, test="err", valid="val", variant="model", parameters=["lr"])
    Trials('table': 2 trials, 2 variants, 1 task, 2 complete)
    """
    frame = frame_of(frame)
    if isinstance(parameters, str):
        raise UsageError(f"parameters is {parameters!r}, expected a list of columns such as [{parameters!r}]")
    if space is not None:
        check_space(space)
    given = [column for column in (test, valid, variant, task, *parameters) if column is not None]
    for column in given:
        _there(frame, column)
    frame = foreign_states(frame).reset_index(drop=True)
    names = parameters or [column for column in (space or ()) if column in frame]
    table = pd.DataFrame(
        {
            "study": name,
            "task": _named(frame, task) if task else "task",
            "variant": _named(frame, variant) if variant else "all",
            "metric": test,
            "test_metric": numeric_column(frame, test, what="metric").astype(float),
            "valid_metric": numeric_column(frame, valid or test, what="metric").astype(float),
            **{f"params_{column.removeprefix('params_')}": frame[column] for column in names},
            **{str(column): frame[column] for column in frame if str(column).startswith("params_")},
        }
    )
    table["index"] = table.groupby(["task", "variant"]).cumcount()
    table["key"] = [f"{name}/{row}" for row in range(len(table))]
    there = table["test_metric"].abs() < math.inf
    table["state"] = frame["state"] if "state" in frame else there.map({True: "COMPLETE", False: "DIVERGED"})
    if "seconds" in frame:
        table["seconds"] = frame["seconds"]
    return Trials.from_frame(table, name=name, space=space)


def named_cells(frame: pd.DataFrame, *, variant: str | None, task: str | None) -> pd.DataFrame:
    """Return a table whose columns ``variant`` and ``task``, if any, are the named ones, and hold words.

    Raises
    ------
    UsageError
        If there is no such column, or a value is missing in it.
    """
    named = {"variant": variant or ("variant" if "variant" in frame else None)}
    named["task"] = task or ("task" if "task" in frame else None)
    return frame.assign(**{name: _named(frame, column) for name, column in named.items() if column})


def comparable(frame: pd.DataFrame, *, target: str, valid: str | None) -> tuple[pd.DataFrame, str, str]:
    """Return a table with a column ``variant`` as `compare` reads it, and its columns to compare and to select by."""
    if not missing_columns(frame):
        return frame, target, valid or "valid_metric"
    task = "task" if "task" in frame else None
    trials = trials_from_table(frame, test=target, valid=valid, variant="variant", task=task)
    return trials.frame, "test_metric", "valid_metric"
