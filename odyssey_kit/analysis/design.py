"""What a functional ANOVA is fitted to: quantiles of the hyperparameters, and a target that is a number.

May import `errors`, `space`, `analysis.schema` and `analysis.trials`.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.schema import PARAMETER_PREFIX
from odyssey_kit.analysis.trials import numeric_column
from odyssey_kit.errors import UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["Target", "clean_target", "unit_coordinates"]

MINIMUM_TRIALS = 10


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


def clean_target(frame: pd.DataFrame, y: Any = None, *, name: str, keep_diverged: bool, cap: float | None) -> Target:
    """Return the target's values; count what failed, diverged or is absurd; give the diverged the worst value.

    Raises
    ------
    UsageError
        If there is no such column, nothing to explain, too little to learn from, or a trial without
        a value while those are not to be kept.
    """
    values = np.array(numeric_column(frame, name, what="target") if y is None else y, dtype=float)
    if values.shape != (len(frame),):
        raise UsageError(f"y has shape {values.shape}, expected ({len(frame)},), one value a row of X")
    states = frame["state"].to_numpy() if y is None else np.full(len(frame), "COMPLETE")
    kept = states != "FAILED"
    values, states = values[kept], states[kept]
    if n_failed := int((~kept).sum()):
        warnings.warn(
            f"{n_failed} of {len(frame)} trials FAILED by accident, have no result and are left out",
            UserWarning,
            stacklevel=3,
        )
    finite = np.isfinite(values)
    n_missing = int((~finite).sum())
    if n_missing and not keep_diverged:
        raise UsageError(
            f"{n_missing} of {len(values)} trials have no finite {name!r}; "
            'diverged="worst" gives them the worst finite value'
        )
    if len(values) < MINIMUM_TRIALS or not finite.any():
        raise UsageError(
            f"{len(values)} trials, {int(finite.sum())} of them with a finite {name!r}; "
            f"a forest needs {MINIMUM_TRIALS} at least, and a ranking of four hyperparameters about 100"
        )
    n_capped = 0
    if cap is not None:
        n_capped = int((values[finite] > cap).sum())
        values[finite] = np.minimum(values[finite], cap)
    values[~finite] = values[finite].max()
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


def unit_coordinates(frame: pd.DataFrame, space: SearchSpace) -> np.ndarray:
    """Return the quantiles of all hyperparameters in the space, (trials, parameters).

    Raises
    ------
    UsageError
        If a hyperparameter has no column, no value, or one outside of the space.
    """
    columns = []
    for name, law in space.items():
        column = next((c for c in (PARAMETER_PREFIX + name, name) if c in frame), None)
        if column is None:
            there = [str(c) for c in frame if str(c).startswith(PARAMETER_PREFIX)] or [str(c) for c in frame]
            raise UsageError(f"hyperparameter {name!r} of the space has no column; the table has: {', '.join(there)}")
        values = frame[column]
        if values.isna().any():
            raise UsageError(f"{column!r} is missing in {int(values.isna().sum())} of {len(values)} trials")
        try:
            units = np.array([law.to_unit(value) for value in values.tolist()], dtype=float)
        except (ValueError, TypeError):
            units = np.array([math.nan])
        # Values at the ends of a range come back from a file or a logarithm with rounding.
        if not ((units >= -1e-6) & (units <= 1 + 1e-6)).all():
            raise UsageError(f"{column!r} has values outside of the space, {law}; pass the space they were drawn from")
        columns.append(np.clip(units, 0.0, 1.0))
    return np.column_stack(columns)
