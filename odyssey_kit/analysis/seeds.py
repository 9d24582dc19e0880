"""What a seed is worth: settings that were trained with several seeds, and how far chance alone moves each.

May import `errors`, `analysis.checks`, `analysis.direction`, `analysis.schema` and `analysis.trials`; the
distributions are scipy's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.analysis.checks import is_number
from odyssey_kit.analysis.direction import Direction, sign
from odyssey_kit.analysis.schema import PARAMETER_PREFIX, parameter_columns
from odyssey_kit.analysis.trials import Trials, as_trials, numeric_column
from odyssey_kit.errors import UsageError

__all__ = ["repeated_settings", "seed_spread"]

LEVEL = 0.90


def repeated_settings(
    trials: Trials | pd.DataFrame,
    *,
    of: Trials | pd.DataFrame | None = None,
    metric: str = "test_metric",
    cap: float | None = None,
    direction: Direction = "minimize",
) -> pd.DataFrame:
    """Return one row a setting of all hyperparameters: what it reaches over its seeds.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials in which settings come again, each time with another seed.
    of : Trials or pandas.DataFrame, optional
        The study that the settings were taken from; its trial of each goes into ``first`` and ``first_valid``.
    metric : str
        Column that is described. A trial without a finite value counts as the cap, or as the worst of its variant
        where no cap is given; one that failed by accident has no result and is left out.
    cap : float, optional
        Worse values become this one.
    direction : {"minimize", "maximize"}
        Which way the metric, and the validation metric of `of`, are better.

    Returns
    -------
    pandas.DataFrame
        Columns ``task``, ``variant``, the settings; ``n`` seeds, ``lost`` of them without a finite value or above the
        cap; ``mean``, ``sd`` over seeds; ``first`` and ``first_valid``, NaN without `of`. Within a variant the best
        ``first_valid`` first, else the best mean.

    Raises
    ------
    UsageError
        If no setting comes twice, one has none or several trials in `of`, or an argument does not fit.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.repeated_settings(ok.load_trials("odyssey-jsb-seeds"))["n"].unique()
    array([10])
    """
    frame = as_trials(trials).frame
    parameters = parameter_columns(frame)
    if not parameters:
        raise UsageError(
            f"the table has no column that begins with {PARAMETER_PREFIX!r}, so no setting can be told from another; "
            "it has " + ", ".join(map(str, frame.columns))
        )
    by = ["task", "variant", *parameters]
    values = numeric_column(frame, metric, what="metric").astype(float)
    if cap is not None and not is_number(cap):
        raise UsageError(f"cap is {cap!r}, expected a finite number or None")
    turn = sign(direction)
    lost = ~np.isfinite(values) | (turn * values > (math.inf if cap is None else turn * cap))
    cells = (turn * values.where(~lost)).groupby([frame["task"], frame["variant"]])
    worst = turn * cells.transform("max") if cap is None else cap
    if np.isnan(worst if cap is None else 0.0).any():
        raise UsageError(f"a variant has no trial with a finite {metric}; give a cap, which such trials count as")
    frame = frame.assign(_value=values.where(~lost, worst), _lost=lost)
    frame = frame[frame["state"].ne("FAILED")] if "state" in frame else frame
    table = frame.groupby(by, sort=False, dropna=False).agg(
        n=("_value", "size"), lost=("_lost", "sum"), mean=("_value", "mean"), sd=("_value", "std")
    )
    table = table.reset_index()
    if not (table["n"] > 1).any():
        raise UsageError(
            f"none of {len(table):,} settings has two trials, expected settings that were trained with several seeds; "
            "`odyssey plan odyssey-jsb-seeds` shows such a study"
        )
    table = _with_first(table, of, by=by, metric=metric)
    order = {"by": ["first_valid", "mean"], "ascending": turn > 0, "kind": "stable"}
    ranked = [cell.sort_values(**order) for _, cell in table.groupby(["task", "variant"], sort=False)]
    return pd.concat(ranked, ignore_index=True)


def _with_first(table: pd.DataFrame, of: Any, *, by: list[str], metric: str) -> pd.DataFrame:
    """Add the trial that each setting was taken from."""
    if of is None:
        return table.assign(first=math.nan, first_valid=math.nan)
    whole = as_trials(of).frame
    if missing := [name for name in (*by, metric) if name not in whole.columns]:
        raise UsageError(
            f"`of` has no column {', '.join(missing)}, expected the study that the settings were taken from"
        )
    whole = whole[[*by, metric, "valid_metric"]]
    found = table.merge(whole.set_axis([*by, "first", "first_valid"], axis=1), on=by, how="left", indicator=True)
    if len(found) > len(table):
        raise UsageError("a setting has several trials in `of`, expected the one that it was taken from")
    if (strange := found["_merge"].ne("both")).any():
        raise UsageError(
            f"{int(strange.sum())} of {len(strange)} settings are not in `of`, expected the study that they were taken "
            "from"
        )
    return found.drop(columns="_merge")


def seed_spread(
    trials: Trials | pd.DataFrame,
    *,
    metric: str = "test_metric",
    cap: float | None = None,
    direction: Direction = "minimize",
) -> pd.DataFrame:
    """Return how far a new seed moves a trial, beside how far its settings do.

    Parameters
    ----------
    trials, metric, cap, direction
        As in `repeated_settings`.

    Returns
    -------
    pandas.DataFrame
        One row a task and variant: ``settings``, ``trials``, ``lost``; ``mean`` of the settings' means, with the 90 %
        interval ``mean_low``, ``mean_high``, as if settings were drawn at random; ``seed_sd``, the standard deviation
        over seeds of one setting, with its 90 % interval ``seed_low``, ``seed_high``; ``setting_sd``, that of settings'
        means once chance is taken off; ``seed_share`` of the variance, with its 90 % interval ``share_low``,
        ``share_high``; ``p`` that settings do not differ at all.

    Raises
    ------
    UsageError
        If no setting comes twice.

    Notes
    -----
    One-way analysis of variance with random settings: of the mean squares between and within settings the latter is
    the variance over seeds, taken to be the same for all settings, and what the former has beyond it, divided by the
    seeds a setting, the variance of settings: of those that were trained again, which may be the best of many.
    Intervals by the chi-squared and the F distribution, exact for normal values and equally many seeds.

    References
    ----------
    Searle, Casella and McCulloch, Variance Components (1992), chapter 3.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.seed_spread(ok.load_trials("odyssey-jsb-seeds"))["settings"].tolist()
    [10, 10]
    """
    table = repeated_settings(trials, metric=metric, cap=cap, direction=direction)
    return pd.DataFrame(
        [
            {"task": task, "variant": variant, **_components(cell)}
            for (task, variant), cell in table.groupby(["task", "variant"], sort=False)
        ]
    )


def _components(cell: pd.DataFrame) -> dict[str, Any]:
    n, means = cell["n"].to_numpy(float), cell["mean"].to_numpy(float)
    total, groups = n.sum(), len(n)
    df_between, df_within = groups - 1, total - groups
    counts = {"settings": groups, "trials": int(total), "lost": int(cell["lost"].sum())}
    grand = float((n * means).sum() / total)
    wide = stats.t.ppf((1 + LEVEL) / 2, df_between) * means.std(ddof=1) / math.sqrt(groups) if df_between else math.nan
    middle = float(means.mean())
    within = float(((n - 1) * cell["sd"].fillna(0.0) ** 2).sum() / df_within) if df_within else math.nan
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = (math.sqrt(df_within * within / stats.chi2.ppf(p, df_within)) for p in reversed(ends))
    row = {
        **counts,
        "mean": middle,
        "mean_low": middle - float(wide),
        "mean_high": middle + float(wide),
        "seed_sd": math.sqrt(within),
        "seed_low": low,
        "seed_high": high,
    }
    nothing = dict.fromkeys(["setting_sd", "seed_share", "share_low", "share_high", "p"], math.nan)
    if not (df_between and within > 0):
        return {**row, **nothing}
    # Seeds a setting, where they are not equally many (Searle et al., equation 3.69).
    each = (total - (n**2).sum() / total) / df_between
    ratio = float((n * (means - grand) ** 2).sum() / df_between) / within
    # F divided by its quantiles bounds 1 + each · (variance of settings / variance of seeds).
    between, most, least = (
        max(ratio / quantile - 1, 0.0) / each
        for quantile in (1.0, *(float(stats.f.ppf(p, df_between, df_within)) for p in ends))
    )
    return {
        **row,
        "setting_sd": math.sqrt(between * within),
        "seed_share": 1 / (1 + between),
        "share_low": 1 / (1 + most),
        "share_high": 1 / (1 + least),
        "p": float(stats.f.sf(ratio, df_between, df_within)),
    }
