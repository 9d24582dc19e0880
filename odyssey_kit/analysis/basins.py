"""The basin of good learning rates: where it is lowest, how wide it is, and what training costs across it.

May import `errors`, `analysis.checks`, `analysis.design`, `analysis.direction`, `analysis.schema` and
`analysis.trials`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.nonparametric.smoothers_lowess import lowess

from odyssey_kit.analysis.checks import check_seed, is_number
from odyssey_kit.analysis.design import clean_target
from odyssey_kit.analysis.direction import Direction, sign
from odyssey_kit.analysis.schema import parameter_column
from odyssey_kit.analysis.trials import Trials, as_trials, numeric_column
from odyssey_kit.errors import UsageError

__all__ = ["find_basins", "smooth_optimum"]

RESAMPLES = 200
LEVEL = 0.90
_GRID = 121
# A third of the trials for each point: narrow enough for a basin of a decade in four. More than 200 trials allow
# fewer: else the smoothing widens a basin by more than its interval knows.
_NEIGHBOURS, _SMOOTHED_TRIALS = 1 / 3, 200


@dataclass(frozen=True, kw_only=True)
class _Basin:
    """Positions (log10 of the parameter) of a smooth curve's lowest point and of its good part."""

    optimum: float
    low: float
    high: float
    value: float
    depth: float


def _grid(x: np.ndarray) -> np.ndarray:
    return np.linspace(x.min(), x.max(), _GRID)


def _smooth(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    # Resampled trials repeat; a hair's breadth apart no neighbourhood has a width of zero.
    apart = x + np.linspace(0.0, 1e-9, len(x)) * np.ptp(at)
    fraction = _NEIGHBOURS * min(1.0, (_SMOOTHED_TRIALS / len(x)) ** (1 / 3))
    return np.asarray(lowess(y, apart, frac=fraction, it=0, xvals=at))


def smooth_optimum(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> float:
    """Return where the smoothed y is lowest, among the points given."""
    return float(at[int(np.nanargmin(_smooth(x, y, at)))])


def _basin(x: np.ndarray, y: np.ndarray, at: np.ndarray, tolerance: float | None) -> _Basin:
    curve = _smooth(x, y, at)
    lowest = int(np.nanargmin(curve))
    depth = float(np.nanmax(curve) - curve[lowest])
    allowed = curve[lowest] + (depth / 10 if tolerance is None else tolerance)
    beyond = np.flatnonzero(~(curve <= allowed))
    left, right = beyond[beyond < lowest], beyond[beyond > lowest]
    return _Basin(
        optimum=float(at[lowest]),
        low=float(at[left[-1] + 1 if len(left) else 0]),
        high=float(at[right[0] - 1 if len(right) else -1]),
        value=float(curve[lowest]),
        depth=depth,
    )


def find_basins(
    trials: Trials | pd.DataFrame,
    *,
    parameter: str = "learning_rate",
    metric: str = "test_metric",
    tolerance: float | None = None,
    cap: float | None = None,
    direction: Direction = "minimize",
    random_state: int = 0,
) -> pd.DataFrame:
    """Return the basin of a positive hyperparameter, for each task and variant.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials.
    parameter : str
        Its values are taken on a log scale.
    metric : str
        Column to be best. A trial that diverged has the worst value of its cell.
    tolerance : float, optional
        How far from its best point a curve is still good, in units of the metric; by default a
        tenth of the curve's range.
    cap : float, optional
        Worse values become this one.
    direction : {"minimize", "maximize"}
        Which way the metric is better.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    pandas.DataFrame
        One row a task and variant: ``optimum`` of the smoothed metric and its 90 % interval
        ``optimum_low``, ``optimum_high``; ``low``, ``high``: the ends of the basin around it;
        ``decades`` between them and their interval ``decades_low``, ``decades_high``; ``open_low``,
        ``open_high``: whether it reaches an end of what was tried; ``value`` at the optimum;
        ``tolerance``; ``seconds_low``, ``seconds_optimum``, ``seconds_high``: what a trial takes at
        these places, where there are times (geometric mean); ``n_trials``, ``n_diverged``.

    Notes
    -----
    The curve is a local linear regression on the third of the trials that is nearest (LOWESS), over
    all values of the other hyperparameters; of more than 200 trials on fewer. Intervals by redrawing the
    trials 200 times. On simulated tables those of the optimum held it in 82 to 98 %, those of the width in
    88 to 97 % where the basin ends in plains, and in 62 to 77 % where the curve goes on rising: a smoothed
    curve is flatter at its ends and has wiggles in its basin, so the width comes out too small (settings in
    `benchmarks/RESULTS.md`).
    """
    trials = as_trials(trials)
    if not isinstance(parameter, str):
        raise UsageError(f"parameter is {parameter!r}, expected the name of a hyperparameter such as 'learning_rate'")
    column = parameter_column(trials.frame, parameter) or parameter
    numeric_column(trials.frame, column, what="hyperparameter")
    check_seed(random_state)
    if tolerance is not None and not (is_number(tolerance) and tolerance > 0):
        raise UsageError(f"tolerance is {tolerance!r}, expected a positive number in units of {metric}")
    rows = []
    for (task, variant), cell in trials.frame.groupby(["task", "variant"], sort=False):
        target = clean_target(cell, name=metric, diverged="worst", cap=cap, direction=direction)
        kept = cell[target.kept]
        values, y = kept[column].to_numpy(float), sign(direction) * target.values  # noqa: PD011
        if not (np.isfinite(values) & (values > 0)).all() or np.ptp(values) == 0:
            raise UsageError(
                f"{column!r} of {variant!r} on {task!r} is not positive and finite or does not vary: no log scale"
            )
        x, at = np.log10(values), _grid(np.log10(values))
        basin = _basin(x, y, at, tolerance)
        rng, again = np.random.default_rng(random_state), []
        for _ in range(RESAMPLES):
            chosen = np.sort(rng.integers(len(x), size=len(x)))
            again.append(_basin(x[chosen], y[chosen], at, tolerance))
        rows.append(
            {
                "task": task,
                "variant": variant,
                **_described(basin, again, at),
                "value": sign(direction) * basin.value,
                "tolerance": basin.depth / 10 if tolerance is None else tolerance,
                **_times(kept, x, basin),
                "n_trials": target.kept.sum(),
                "n_diverged": target.n_diverged,
            }
        )
    return pd.DataFrame(rows)


def _described(basin: _Basin, again: list[_Basin], at: np.ndarray) -> dict[str, Any]:
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    optimum = np.quantile([b.optimum for b in again], ends)
    width = np.quantile([b.high - b.low for b in again], ends)
    return {
        "optimum": 10**basin.optimum,
        "optimum_low": 10 ** optimum[0],
        "optimum_high": 10 ** optimum[1],
        "low": 10**basin.low,
        "high": 10**basin.high,
        "decades": basin.high - basin.low,
        "decades_low": float(width[0]),
        "decades_high": float(width[1]),
        "open_low": basin.low <= at[0],
        "open_high": basin.high >= at[-1],
    }


def _times(cell: pd.DataFrame, x: np.ndarray, basin: _Basin) -> dict[str, float]:
    if "seconds" not in cell or not (cell["seconds"] > 0).all():
        return {}
    places = np.array([basin.low, basin.optimum, basin.high])
    found = np.exp(_smooth(x, np.log(cell["seconds"].to_numpy(float)), places))
    return dict(zip(("seconds_low", "seconds_optimum", "seconds_high"), found.tolist(), strict=True))
