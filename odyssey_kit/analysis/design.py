"""What a functional ANOVA is fitted to: quantiles of the hyperparameters, and a target that is a number.

May import `errors`, `space`, `analysis.checks`, `analysis.direction`, `analysis.measure`, `analysis.schema`,
`analysis.trials` and `analysis.words`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.analysis.checks import is_number, rows_where
from odyssey_kit.analysis.direction import sign
from odyssey_kit.analysis.measure import Measure
from odyssey_kit.analysis.schema import parameter_column, parameter_columns
from odyssey_kit.analysis.trials import numeric_column
from odyssey_kit.analysis.words import p_value
from odyssey_kit.errors import UsageError
from odyssey_kit.space import Categorical, Distribution, SearchSpace

__all__ = ["MINIMUM_TRIALS", "Target", "clean_target", "not_as_declared", "unit_coordinates"]

MINIMUM_TRIALS = 10
# A random search is found guilty once in a thousand tables.
_SUSPICION = 1e-3
_SMOOTH = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """The values to be explained, and what had to be done to get them.

    Parameters
    ----------
    values : (kept trials,) array
        Finite, and not all equal.
    kept : (trials,) bool array
        Which rows of the table they belong to; all but the FAILED ones.
    n_diverged, n_failed, n_set_to_worst, n_capped : int
        As in `FunctionalANOVA`.
    """

    values: np.ndarray
    kept: np.ndarray
    n_diverged: int
    n_failed: int
    n_set_to_worst: int
    n_capped: int


def clean_target(
    frame: pd.DataFrame,
    y: Any = None,
    *,
    name: str,
    diverged: float | str = "worst",
    cap: float | None = None,
    ranked: bool = False,
    direction: str = "minimize",
) -> Target:
    """Return the target's values; count what failed, diverged or is absurd; give the diverged a stated value.

    Parameters
    ----------
    frame : pandas.DataFrame
        Trials.
    y : array, optional
        Values instead of a column.
    name : str
        The column.
    diverged : {"worst", "raise"} or float
        What a trial without a finite value gets.
    cap : float, optional
        Worse values become this one.
    ranked : bool
        Replace values by their ranks, as fractions.
    direction : {"minimize", "maximize"}
        Which way values are better.

    Raises
    ------
    UsageError
        If there is no such column, nothing to explain, too little to learn from, or a trial without
        a value while those are not to be kept.
    """
    values = _given(frame, y, name)
    told = y is None and "state" in frame
    states = frame["state"].to_numpy() if told else np.full(len(frame), "COMPLETE")
    kept = states != "FAILED"
    values, states = values[kept], states[kept]
    if n_failed := int((~kept).sum()):
        warnings.warn(
            f"{n_failed} of {len(frame)} trials FAILED by accident, have no result and are left out: "
            "what remains is no random sample, so shares have no intervals",
            UserWarning,
            stacklevel=3,
        )
    finite = np.isfinite(values)
    n_missing = int((~finite).sum())
    if n_missing and diverged == "raise":
        raise UsageError(
            f"{n_missing} of {len(values)} trials have no finite {name!r}; "
            'diverged="worst" gives them the worst finite value, a number gives them that'
        )
    if len(values) < MINIMUM_TRIALS or not finite.any():
        raise UsageError(
            f"{len(values)} trials, {int(finite.sum())} of them with a finite {name!r}; "
            f"a forest needs {MINIMUM_TRIALS} at least, and a ranking of four hyperparameters about 100"
        )
    n_capped, turn = 0, sign(direction)
    if cap is not None:
        if not is_number(cap):
            raise UsageError(f"cap is {cap!r}, expected a finite number or None")
        worse = finite & (turn * values > turn * cap)
        n_capped, values[worse] = int(worse.sum()), cap
    values[~finite] = turn * (turn * values[finite]).max() if isinstance(diverged, str) else diverged
    if ranked:
        values = stats.rankdata(values) / len(values)
    if np.ptp(values) == 0:
        raise UsageError(f"{name!r} is {values[0]:g} in all {len(values)} trials: no variance to explain")
    return Target(
        values=values,
        kept=kept,
        n_diverged=int(((states == "DIVERGED") | ~finite).sum()),
        n_failed=n_failed,
        n_set_to_worst=n_missing,
        n_capped=n_capped,
    )


def _given(frame: pd.DataFrame, y: Any, name: str) -> np.ndarray:
    """Return the target's values as they are, in an array of its own."""
    given = numeric_column(frame, name, what="target").to_numpy(float, na_value=np.nan) if y is None else y
    try:
        values = np.array(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise UsageError(f"y is no array of numbers ({error}); expected one value a row of X") from error
    if values.shape != (len(frame),):
        raise UsageError(f"y has shape {values.shape}, expected ({len(frame)},), one value a row of X")
    return values


def unit_coordinates(frame: pd.DataFrame, space: SearchSpace) -> np.ndarray:
    """Return the quantiles of all hyperparameters in the space, (trials, parameters).

    Raises
    ------
    UsageError
        If a hyperparameter has no column, no value, or one outside of the space.
    """
    return np.column_stack([_units(frame, name, law) for name, law in space.items()])


def _units(frame: pd.DataFrame, name: str, law: Distribution) -> np.ndarray:
    column = parameter_column(frame, name)
    if column is None:
        there = parameter_columns(frame) or [str(c) for c in frame]
        raise UsageError(f"hyperparameter {name!r} of the space has no column; the table has: {', '.join(there)}")
    values = frame[column]
    if (missing := values.isna()).any():
        raise UsageError(
            f"{column!r} is missing in {int(missing.sum())} of {len(values)} trials ({rows_where(missing)}); "
            "drop them, or give them the value that they ran with"
        )
    if not isinstance(law, Categorical) and (text := ~values.map(is_number)).any():
        raise UsageError(
            f"{column!r} holds {values[text].tolist()[0]!r} ({rows_where(text)}), expected finite numbers as {law} has"
        )
    units = values.map(lambda value: _unit(law, value)).astype(float)
    # Values at the ends of a range come back from a file or a logarithm with rounding.
    if (outside := ~units.between(-1e-6, 1 + 1e-6)).any():
        raise UsageError(
            f"{column!r} has values outside of the space, {law}: {values[outside].tolist()[0]!r} "
            f"({rows_where(outside)}); pass the space they were drawn from"
        )
    return np.clip(units.to_numpy(), 0.0, 1.0)


def _unit(law: Distribution, value: Any) -> float:
    """Return a value's quantile, or NaN where it has none, as a learning rate of zero on a log scale."""
    try:
        return law.to_unit(value)
    except (ValueError, TypeError):
        return np.nan


def not_as_declared(units: np.ndarray, space: SearchSpace, measures: Sequence[Measure]) -> str:
    """Say which hyperparameter is not spread as the space says, or nothing.

    Neyman's smooth test: the means of four cosines of the quantile (of choices, of their contrasts),
    squared and summed, against the chi-squared distribution. A search that learns where to look
    leaves out some places for others, and shows there; a mild one on few trials may pass.
    """
    squares, functions, n = [], [], len(units)
    for k, measure in enumerate(measures):
        values, _ = measure.basis(units[:, k], _SMOOTH)
        squares.append(n * float((values.mean(axis=1) ** 2).sum()))
        functions.append(len(values))
    p = stats.chi2.sf(squares, functions)
    if p.min() < _SUSPICION / len(p):
        worst = int(p.argmin())
        return (
            f"{list(space)[worst]} is not spread as the search space says (p {p_value(p[worst], equals='= ')}), "
            "so the trials are no random sample of it"
        )
    if (together := float(stats.chi2.sf(sum(squares), sum(functions)))) < _SUSPICION:
        words = p_value(together, equals="= ")
        return f"the trials are not spread as the search space says (p {words}), so they are no random sample"
    return ""
