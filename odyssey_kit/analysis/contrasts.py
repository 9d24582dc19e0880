"""Two groups of selected trials against each other: Welch's test, the resampled one, equivalence, power.

May import `errors`, `analysis.schema` and `analysis.selection`; the tests are scipy's and statsmodels'.
"""

from __future__ import annotations

import math
import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.weightstats import ttost_ind

from odyssey_kit.analysis.schema import parameter_columns
from odyssey_kit.analysis.selection import variance
from odyssey_kit.errors import UsageError

__all__ = ["check_pairs", "contrast", "hedges_g"]

POWER = 0.80
_NOT_TESTED = dict.fromkeys(
    [
        *("difference", "low", "high", "p_selection", "p_equivalent", "detectable", "p_lower", "hedges_g"),
        *("t", "df", "p", "welch_low", "welch_high", "p_tost", "detectable_g"),
    ],
    math.nan,
)


def hedges_g(values: np.ndarray, baseline: np.ndarray) -> float:
    """Return the standardised difference of means, without the assumption of one common variance."""
    v1, v2 = values.var(ddof=1), baseline.var(ddof=1)
    df = _satterthwaite(v1, v2, len(values), len(baseline))
    # Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)) removes the bias of small samples.
    unbiased = math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2) - math.log(df / 2) / 2)
    return float((values.mean() - baseline.mean()) / math.sqrt((v1 + v2) / 2) * unbiased)


def _satterthwaite(v1: float, v2: float, n1: int, n2: int) -> float:
    """Return the degrees of freedom of a sum of two variances."""
    return float((v1 + v2) ** 2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1)))


def contrast(
    values: np.ndarray,
    baseline: np.ndarray,
    redrawn: np.ndarray | None,
    *,
    variances: tuple[float, float],
    family: int,
    margin: float | None,
    alpha: float,
) -> dict[str, Any]:
    """Return one comparison's row, or one that says why there is no test.

    Parameters
    ----------
    values, baseline : arrays
        The selected trials' metric.
    redrawn : array or None
        Differences of selected means of the resamples; None if nothing was selected, so that the
        selected trials are an independent sample.
    variances : tuple of float
        Of the two means, over resamples.
    family : int
        Comparisons that are corrected for.
    margin : float, optional
        Of equivalence.
    alpha : float
        Level of the tests.
    """
    difference = float(values.mean() - baseline.mean()) if len(values) and len(baseline) else math.nan
    if min(len(values), len(baseline)) < 2:
        which, n = ("the variant", len(values)) if len(values) < 2 else ("the baseline", len(baseline))
        return {**_NOT_TESTED, "difference": difference, "note": f"{which} has {n} finite values, a test needs 2"}
    # Equal numbers whose mean is rounded have a variance of about (spacing of floats)², not of zero.
    scale = max(np.abs(values).max(), np.abs(baseline).max())
    if max(np.ptp(values), np.ptp(baseline)) <= 8 * np.finfo(float).eps * scale:
        note = "no spread in either group, so no test is possible"
        return {**_NOT_TESTED, "difference": difference, "note": note}
    own = (values.var(ddof=1) / len(values), baseline.var(ddof=1) / len(baseline))
    if redrawn is None:
        variances, square = own, sum(own)
    else:
        square = variance(redrawn)
    df = _satterthwaite(*variances, len(values), len(baseline))
    welch = _welch(values, baseline, margin)
    return {
        "difference": difference,
        **_tested(difference, math.sqrt(square), df, family=family, margin=margin, alpha=alpha),
        # The statistic counts pairs in which the first is larger, and ties half.
        "p_lower": float(stats.mannwhitneyu(baseline, values).statistic) / len(values) / len(baseline),
        "hedges_g": hedges_g(values, baseline),
        **welch,
        "detectable_g": _detectable(len(values), len(baseline), alpha / family),
        "note": "",
    }


def _tested(
    difference: float, error: float, df: float, *, family: int, margin: float | None, alpha: float
) -> dict[str, float]:
    """Return interval, p-values and detectable difference of a normal mean with this standard error."""
    t = stats.t(df)
    half = float(t.ppf(1 - alpha / 2)) * error
    found = {
        "low": difference - half,
        "high": difference + half,
        "p_selection": float(2 * t.sf(abs(difference) / error)),
        "p_equivalent": math.nan,
        "detectable": float(t.ppf(1 - alpha / family / 2) + t.ppf(POWER)) * error,
    }
    if margin is not None:
        found["p_equivalent"] = float(t.sf((margin - abs(difference)) / error))
    return found


def _welch(values: np.ndarray, baseline: np.ndarray, margin: float | None) -> dict[str, float]:
    with warnings.catch_warnings():
        # Raised when one group is constant, which Welch's formula can bear as long as the other is not.
        warnings.filterwarnings("ignore", message="Precision loss", category=RuntimeWarning)
        test: Any = stats.ttest_ind(values, baseline, equal_var=False)
        interval = test.confidence_interval(0.95)
    found = {
        "t": float(test.statistic),
        "df": float(test.df),
        "p": float(test.pvalue),
        "welch_low": float(interval.low),
        "welch_high": float(interval.high),
        "p_tost": math.nan,
    }
    if margin is not None:
        found["p_tost"] = float(ttost_ind(values, baseline, -margin, margin, usevar="unequal")[0])
    return found


@cache
def _detectable(n: int, n_baseline: int, alpha: float) -> float:
    """Return the standardised difference that a t-test finds four times in five."""
    power: Any = TTestIndPower()
    found = power.solve_power(nobs1=n, ratio=n_baseline / n, alpha=alpha, power=POWER, alternative="two-sided")
    return float(np.squeeze(found))


def check_pairs(cell: pd.DataFrame, baseline: str) -> None:
    """Check that all variants of a task have the same draws.

    Raises
    ------
    UsageError
        If they have other indices than the baseline, or other hyperparameters at one of them.
    """
    columns = parameter_columns(cell)
    draws = {name: rows.set_index("index")[columns].sort_index() for name, rows in cell.groupby("variant", sort=False)}
    for name, drawn in draws.items():
        if not drawn.index.equals(draws[baseline].index) or drawn.index.has_duplicates:
            raise UsageError(
                f"paired=True, but {name!r} and {baseline!r} do not have the same trials by `index`; "
                "complete the study or compare without paired"
            )
        if not drawn.equals(draws[baseline]):
            raise UsageError(
                f"paired=True, but the draws of {name!r} are not those of {baseline!r} (their hyperparameters "
                "differ); the study was not paired"
            )
