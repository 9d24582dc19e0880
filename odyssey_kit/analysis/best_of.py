"""What a search of k trials is worth: the expected result of its best trial.

May import `errors`, `analysis.checks`, `analysis.direction` and `analysis.trials`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special, stats

from odyssey_kit.analysis.checks import is_number
from odyssey_kit.analysis.direction import Direction, sign
from odyssey_kit.analysis.trials import Trials, as_trials, numeric_column
from odyssey_kit.errors import UsageError

__all__ = ["best_weights", "expected_best"]


def best_weights(n: int, k: int) -> np.ndarray:
    r"""Return the probability of each of n ranked trials to be the best of k drawn without replacement.

    Trial i, counted from 1, is the best if it is drawn and the k - 1 others come from those behind it:
    :math:`\binom{n-i}{k-1} / \binom{n}{k}`.

    Examples
    --------
    >>> best_weights(4, 2)
    array([0.5       , 0.33333333, 0.16666667, 0.        ])
    """
    return np.asarray(special.comb(n - np.arange(1, n + 1), k - 1) / special.comb(n, k))


def _ranked(frame: pd.DataFrame, metric: str, by: str, turn: int) -> np.ndarray:
    """Return the metric in the order of validation; a trial without one counts as the worst there is."""
    ranks = turn * frame[by].astype(float)
    ranks = ranks.where(np.isfinite(ranks), np.inf)
    values = frame.assign(_rank=ranks).sort_values(["_rank", "index"], kind="stable")[metric].to_numpy(float)
    finite = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, turn * (turn * finite).max() if len(finite) else np.nan)


def _jackknife(values: np.ndarray, k: int) -> float:
    """Return the standard error of the expected best of k, by leaving out each trial once."""
    n = len(values)
    weights = best_weights(n - 1, k)
    ahead = np.concatenate([[0.0], np.cumsum(weights * values[:-1])])
    behind = np.concatenate([np.cumsum((weights * values[1:])[::-1])[::-1], [0.0]])
    without = ahead + behind
    return float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def expected_best(
    trials: Trials | pd.DataFrame,
    budgets: Sequence[int] = (1, 2, 5, 10, 20, 50),
    *,
    metric: str = "test_metric",
    by: str = "valid_metric",
    direction: Direction = "minimize",
) -> pd.DataFrame:
    """Return the expected metric of the trial that is best by validation among k, without bias.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials, a random search.
    budgets : sequence of int
        Numbers of trials, k. Larger ones than a cell has are left out.
    metric, by : str
        Column that is reported, and column that is selected by.
    direction : {"minimize", "maximize"}
        Which way both are better.

    Returns
    -------
    pandas.DataFrame
        Columns task, variant, k, ``expected``, and ``low``, ``high``: 90 % interval by the jackknife
        (missing for k of the number of trials, where nothing can be left out).

    Notes
    -----
    The mean over all choices of k trials out of n (Tang et al. 2020), and not the maximum of k draws
    with replacement, which is too good. A trial without a metric counts as the worst of its cell.

    Examples
    --------
    >>> import pandas as pd, odyssey_kit as ok
    >>> table = pd.DataFrame({"key": list("abcd"), "study": "s", "task": "t", "variant": "V", "index": range(4),
    ...     "state": "COMPLETE", "metric": "nll", "valid_metric": [1.0, 2, 3, 4], "test_metric": [1.0, 2, 3, 4]})
    >>> ok.expected_best(table, [1, 2])["expected"].round(4).tolist()
    [2.5, 1.6667]
    """
    trials = as_trials(trials)
    for name, what in ((metric, "metric"), (by, "column to rank by")):
        numeric_column(trials.frame, name, what=what)
    if not np.iterable(budgets):
        raise UsageError(f"budgets is {budgets!r}, expected a list of whole numbers from 1")
    if bad := [k for k in budgets if not is_number(k) or k < 1 or k != int(k)]:
        raise UsageError(f"budgets hold {bad[0]!r}, expected whole numbers from 1")
    z, rows = stats.norm.ppf(0.95), []
    for (task, variant), cell in trials.frame.groupby(["task", "variant"], sort=False):
        values = _ranked(cell, metric, by, sign(direction))
        for k in (int(k) for k in budgets if k <= len(values)):
            expected = float(best_weights(len(values), k) @ values)
            half = z * _jackknife(values, k) if k < len(values) else np.nan
            rows.append((task, variant, k, expected, expected - half, expected + half))
    return pd.DataFrame(rows, columns=["task", "variant", "k", "expected", "low", "high"])
