"""Other people's tables: their words for how a trial ended, and their names of columns.

May import `errors`, `space` and `analysis.trials`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from odyssey_kit.analysis.trials import Trials, numeric_column
from odyssey_kit.errors import UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["foreign_states", "trials_from_table"]

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
    names = frame["state"].astype(str).str.rpartition(".")[2].str.upper()
    if unknown := sorted(set(names) - set(_FOREIGN_STATES)):
        raise UsageError(
            f"column 'state' holds {', '.join(map(repr, unknown))}, expected one of {', '.join(_FOREIGN_STATES)}"
        )
    return frame.assign(state=names.map(_FOREIGN_STATES))


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
        Columns of the metric that is reported and of the one that is selected by; lower is
        better. Without ``valid`` both are the same, and a selection by it flatters: select all
        then (``top=1``).
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
    given = [column for column in (test, valid, variant, task, *parameters) if column is not None]
    if missing := [column for column in given if column not in frame]:
        there = ", ".join(map(str, frame.columns))
        raise UsageError(f"the table has no column {missing[0]!r}; it has: {there}")
    frame = foreign_states(frame).reset_index(drop=True)
    names = parameters or [column for column in (space or ()) if column in frame]
    table = pd.DataFrame(
        {
            "study": name,
            "task": frame[task].astype(str) if task else "task",
            "variant": frame[variant].astype(str) if variant else "all",
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
