"""Trainings that go wrong: how much is lost after the best epoch, and when trials diverge.

May import `errors` and `analysis.trials`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight

from odyssey_kit.analysis.trials import Trials, as_trials
from odyssey_kit.errors import UsageError

__all__ = ["divergence_survival", "late_minus_best"]

LEVEL = 0.90


def _with_curves(trials: Trials) -> pd.DataFrame:
    if trials.curves is None:
        raise UsageError("these trials have no curves; load a study whose folder has curves.parquet")
    return trials.curves


def late_minus_best(trials: Trials, *, metric: str = "valid_metric") -> pd.DataFrame:
    """Return, trial by trial, the metric of the last epoch minus that of the best.

    Parameters
    ----------
    trials : Trials
        With curves.
    metric : str
        Column of the curves; lower is better.

    Returns
    -------
    pandas.DataFrame
        Columns key, task, variant, state, ``best_epoch``, ``last_epoch``, ``best``, ``late``,
        ``late_minus_best``, infinite where the last epoch has no finite metric. Trials without any
        finite epoch are left in, with missing numbers.
    """
    curves = _with_curves(trials).sort_values(["key", "epoch"], kind="stable")
    if metric not in curves:
        raise UsageError(f"curves have no column {metric!r}; they have: {', '.join(map(str, curves.columns))}")
    values = curves[metric].astype(float)
    curves = curves.assign(_value=values.where(np.isfinite(values), np.inf))
    last = curves.groupby("key").last()
    best = curves.loc[curves.groupby("key")["_value"].idxmin()].set_index("key")
    table = trials.frame[["key", "task", "variant", "state"]].copy()
    table["best_epoch"] = table["key"].map(best["epoch"]).astype("Int64")
    table["last_epoch"] = table["key"].map(last["epoch"]).astype("Int64")
    table["best"], table["late"] = table["key"].map(best["_value"]), table["key"].map(last["_value"])
    never = ~np.isfinite(table["best"].astype(float))
    table.loc[never, ["best", "late"]] = np.nan
    table.loc[never, "best_epoch"] = pd.NA
    return table.assign(late_minus_best=table["late"] - table["best"])


def divergence_survival(trials: Trials | pd.DataFrame, *, by: str = "variant") -> pd.DataFrame:
    """Return the share of trials that have not diverged yet, epoch by epoch (Kaplan and Meier).

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        With the column ``epochs``: those that a trial trained. One that ended without diverging
        says only that it did not diverge until then.
    by : str
        Column whose values get a curve each.

    Returns
    -------
    pandas.DataFrame
        Columns task, ``by``, ``epoch``, ``surviving``, ``low``, ``high`` (90 %, log-log), ``at_risk``,
        ``diverged``: the trials at that epoch. A row at epoch 0, and one at each epoch with an end by divergence.
    """
    frame = as_trials(trials).frame
    if "epochs" not in frame or by not in frame:
        raise UsageError(f"the table needs the columns 'epochs' and {by!r}")
    frame = frame[frame["state"] != "FAILED"]
    z, rows = stats.norm.ppf((1 + LEVEL) / 2), []
    for (task, name), cell in frame.groupby(["task", by], sort=False):
        ended = (cell["state"] == "DIVERGED").to_numpy()
        rows.append((task, name, 0, 1.0, 1.0, 1.0, len(cell), 0))
        if not ended.any():
            continue
        curve: Any = SurvfuncRight(cell["epochs"].to_numpy(float), ended.astype(int))
        for time, alive, error, risk, events in zip(
            curve.surv_times, curve.surv_prob, curve.surv_prob_se, curve.n_risk, curve.n_events, strict=True
        ):
            if 0 < alive < 1 and error > 0:
                spread = z * error / (alive * np.log(alive))
                low, high = sorted((alive ** np.exp(spread), alive ** np.exp(-spread)))
            else:
                # Nobody is left: the share of those before bounds it by the binomial distribution.
                low, high = 0.0, float(1 - (1 - LEVEL) ** (1 / len(cell)))
            if events:
                rows.append((task, name, int(time), alive, low, high, int(risk), int(events)))
    columns = ["task", by, "epoch", "surviving", "low", "high", "at_risk", "diverged"]
    return pd.DataFrame(rows, columns=columns)
