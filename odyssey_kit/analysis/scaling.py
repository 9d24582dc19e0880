"""How the best learning rate moves with another setting: the slope in a log-log plot.

Two studies disagree on it: is the best rate proportional to 1 - momentum, or to its inverse? May
import `errors`, `analysis.basins`, `analysis.checks`, `analysis.design`, `analysis.direction`, `analysis.schema` and
`analysis.trials`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from odyssey_kit.analysis.basins import LEVEL, RESAMPLES, smooth_optimum
from odyssey_kit.analysis.checks import check_seed, rows_where
from odyssey_kit.analysis.design import clean_target
from odyssey_kit.analysis.direction import Direction, sign
from odyssey_kit.analysis.schema import parameter_column
from odyssey_kit.analysis.trials import Trials, as_trials, numeric_column
from odyssey_kit.errors import UsageError

__all__ = ["learning_rate_scaling"]

_BINS = 5
_FEWEST = 15


def _factor(frame: pd.DataFrame, against: str) -> np.ndarray:
    """Return log10 of what the rate may scale with; of the momentum its distance from one."""
    if not isinstance(against, str):
        raise UsageError(f"against is {against!r}, expected '1 - momentum' or the name of a setting")
    name = "momentum" if against == "1 - momentum" else against
    column = parameter_column(frame, name) or name
    values = numeric_column(frame, column, what="setting").to_numpy(float)
    values = 1 - values if name == "momentum" else values
    if not (values > 0).all():
        raise UsageError(f"{against!r} is not positive in every trial: no log scale")
    return np.log10(values)


def _rates(frame: pd.DataFrame) -> np.ndarray:
    column = parameter_column(frame, "learning_rate") or "learning_rate"
    rates = numeric_column(frame, column, what="hyperparameter")
    if (bad := ~((rates > 0) & (rates < math.inf))).any():
        raise UsageError(
            f"the learning rate is {rates[bad].iloc[0]:g} in {rows_where(bad)}, expected positive numbers: no log scale"
        )
    return rates.to_numpy(float)


def _bins(z: np.ndarray) -> np.ndarray:
    """Return a bin for each trial: one a value if there are few, else five of equal number."""
    if len(np.unique(z)) <= 2 * _BINS:
        return np.unique(z, return_inverse=True)[1]
    return np.searchsorted(np.quantile(z, np.arange(1, _BINS) / _BINS), z, side="right")


def _optima(x: np.ndarray, y: np.ndarray, z: np.ndarray, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    at = np.linspace(x.min(), x.max(), 121)
    groups = [np.flatnonzero(bins == b) for b in np.unique(bins)]
    best = [smooth_optimum(x[g], y[g], at[(at >= x[g].min()) & (at <= x[g].max())]) for g in groups]
    return np.array([z[g].mean() for g in groups]), np.array(best)


def learning_rate_scaling(
    trials: Trials | pd.DataFrame,
    against: str = "1 - momentum",
    *,
    metric: str = "test_metric",
    cap: float | None = None,
    direction: Direction = "minimize",
    random_state: int = 0,
) -> pd.DataFrame:
    """Return the slope of log best learning rate against the log of another setting.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials.
    against : str
        ``"1 - momentum"``, or the name of a positive setting such as ``"batch_size"``.
    metric, cap, direction, random_state
        As in `find_basins`.

    Returns
    -------
    pandas.DataFrame
        One row a task and variant: ``slope`` with its 90 % interval ``low``, ``high``; ``n_groups`` of
        the setting, ``n_trials``. A slope of one: the best rate is proportional to the setting; of
        zero: it does not depend on it; of minus one: to its inverse.

    Raises
    ------
    UsageError
        If a group of the setting has fewer than 15 trials, or there is only one.

    Notes
    -----
    Trials are put into groups of the setting (its values, or five of equal number); in each the best
    rate is that of `find_basins`; the slope is that of a straight line through them. The interval is by
    redrawing the trials within the groups 200 times.
    """
    trials = as_trials(trials)
    check_seed(random_state)
    rows = []
    for (task, variant), cell in trials.frame.groupby(["task", "variant"], sort=False):
        target = clean_target(cell, name=metric, diverged="worst", cap=cap, direction=direction)
        kept, y = cell[target.kept], sign(direction) * target.values  # noqa: PD011
        x = np.log10(_rates(kept))
        z = _factor(kept, against)
        bins = _bins(z)
        sizes = np.bincount(bins)
        if len(sizes) < 2 or sizes.min() < _FEWEST:
            raise UsageError(
                f"{against!r} of {variant!r} on {task!r} has groups of {', '.join(map(str, sizes))} trials; "
                f"expected two groups or more of {_FEWEST} each"
            )
        slope = np.polyfit(*_optima(x, y, z, bins), 1)[0]
        rng, again = np.random.default_rng(random_state), []
        groups = [np.flatnonzero(bins == b) for b in range(len(sizes))]
        for _ in range(RESAMPLES):
            chosen = np.concatenate([np.sort(rng.choice(g, len(g))) for g in groups])
            again.append(np.polyfit(*_optima(x[chosen], y[chosen], z[chosen], bins[chosen]), 1)[0])
        low, high = np.quantile(again, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        rows.append((task, variant, float(slope), float(low), float(high), len(sizes), len(x)))
    return pd.DataFrame(rows, columns=["task", "variant", "slope", "low", "high", "n_groups", "n_trials"])
