"""Tests between variants: Welch's t-test on the best trials, corrected for the number of comparisons.

May import `errors`, `space` and `analysis.trials`; the test itself is scipy's, the corrections are
those of statsmodels.
"""

from __future__ import annotations

import html
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

from odyssey_kit.analysis.trials import Trials, as_trials, numeric_column, select_top
from odyssey_kit.errors import UsageError

__all__ = ["Comparison", "compare"]

ALPHA = 0.05
_NOT_TESTED = {name: math.nan for name in ("low", "high", "t", "df", "p", "hedges_g")}
_COLUMNS = [
    *("task", "variant", "n", "mean", "baseline_mean", "difference", "low", "high", "t", "df", "p"),
    *("p_bonferroni", "p_holm", "hedges_g", "verdict"),
    *("baseline_n", "n_trials", "n_diverged", "n_failed", "n_without_metric", "note"),
]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Comparison:
    """Every variant against one baseline, task by task.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row a task and variant; the columns are explained in `compare`.
    baseline, metric : str
        What was compared with, and in which column.
    top : float
        The fraction of trials that was selected.
    """

    frame: pd.DataFrame
    baseline: str
    metric: str
    top: float

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.frame.copy()

    @property
    def family(self) -> str:
        """What the corrections correct for, in words."""
        sizes = sorted(set(self.frame.groupby("task").size()))
        many = " or ".join(map(str, sizes))
        return f"{many} comparison{'' if sizes == [1] else 's'} with {self.baseline} within each task"

    def __repr__(self) -> str:
        what = f"{self.metric} of the best {self.top:.3g} by validation"
        return f"Comparison with {self.baseline!r}: {what}, {self.family}\n{self._shown().to_string(index=False)}"

    def _repr_html_(self) -> str:
        caption = (
            f"{self.metric} of the best {self.top:.3g} of the trials by validation, against {self.baseline}. "
            f"Welch's t-test, two-sided; family: {self.family}. Lower is better."
        )
        return f"<p>{html.escape(caption)}</p>{self._shown().to_html(index=False, border=0)}"

    def _shown(self) -> pd.DataFrame:
        shown = self.frame[["task", "variant", "n", "mean", "difference"]].copy()
        for name, digits in (("mean", "{:.4g}"), ("difference", "{:.3g}")):
            shown[name] = shown[name].map(digits.format)
        shown["95 % interval"] = [_interval(low, high) for low, high in self.frame[["low", "high"]].to_numpy()]
        for name, words in (("p_bonferroni", "p Bonferroni"), ("p_holm", "p Holm")):
            shown[words] = ["not tested" if math.isnan(p) else f"{p:.2g}" for p in self.frame[name].to_numpy()]
        shown["verdict"] = self.frame["verdict"]
        shown["diverged"] = self.frame["n_diverged"].astype(str) + " of " + self.frame["n_trials"].astype(str)
        if len(set(shown["task"])) == 1:
            shown = shown.drop(columns="task")
        if self.frame["note"].any():
            shown["note"] = self.frame["note"]
        return shown


def _interval(low: float, high: float) -> str:
    return "not tested" if math.isnan(low) else f"[{low:.3g}, {high:.3g}]"


def _hedges_g(values: np.ndarray, baseline: np.ndarray) -> float:
    """Return the standardised difference of means, without the assumption of one common variance."""
    v1, v2 = values.var(ddof=1), baseline.var(ddof=1)
    n1, n2 = len(values) - 1, len(baseline) - 1
    df = n1 * n2 * (v1 + v2) ** 2 / (n2 * v1**2 + n1 * v2**2)
    # Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)) removes the bias of small samples.
    unbiased = math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2) - math.log(df / 2) / 2)
    return float((values.mean() - baseline.mean()) / math.sqrt((v1 + v2) / 2) * unbiased)


def _welch(values: np.ndarray, baseline: np.ndarray) -> dict[str, Any]:
    """Return the test's row, or one that says why there is no test."""
    if min(len(values), len(baseline)) < 2:
        which, n = ("the variant", len(values)) if len(values) < 2 else ("the baseline", len(baseline))
        return {**_NOT_TESTED, "note": f"{which} has {n} finite values, a test needs 2"}
    # Equal numbers whose mean is rounded have a variance of about (spacing of floats)², not of zero.
    scale = max(np.abs(values).max(), np.abs(baseline).max())
    if max(np.ptp(values), np.ptp(baseline)) <= 8 * np.finfo(float).eps * scale:
        return {**_NOT_TESTED, "note": "no spread in either group, so no test is possible"}
    with warnings.catch_warnings():
        # Raised when one group is constant, which Welch's formula can bear as long as the other is not.
        warnings.filterwarnings("ignore", message="Precision loss", category=RuntimeWarning)
        test: Any = stats.ttest_ind(values, baseline, equal_var=False)
        interval = test.confidence_interval(0.95)
    return {
        "low": float(interval.low),
        "high": float(interval.high),
        "t": float(test.statistic),
        "df": float(test.df),
        "p": float(test.pvalue),
        "hedges_g": _hedges_g(values, baseline),
        "note": "",
    }


def _adjust(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the corrected p-values of one family; a comparison that could not be tested still counts."""
    tested = rows["p"].notna()
    p = rows["p"].fillna(1.0).to_numpy()
    for name, method in (("p_bonferroni", "bonferroni"), ("p_holm", "holm")):
        corrected: Any = multipletests(p, alpha=ALPHA, method=method)[1]
        rows[name] = np.where(tested, corrected, math.nan)
    rows["verdict"] = np.where(rows["p_holm"] < ALPHA, "different", "undecided")
    return rows


def _family(selected: pd.DataFrame, everything: pd.DataFrame, baseline: str, metric: str) -> pd.DataFrame:
    """Compare the variants of one task with the baseline."""
    finite = {
        name: cell[np.isfinite(cell.astype(float))].to_numpy(float)
        for name, cell in selected.groupby("variant", sort=False)[metric]
    }
    chosen, trials = selected["variant"].value_counts(), everything["variant"].value_counts()
    rows = []
    for name, values in finite.items():
        if name == baseline:
            continue
        mean = float(values.mean()) if len(values) else math.nan
        baseline_mean = float(finite[baseline].mean()) if len(finite[baseline]) else math.nan
        states = everything.loc[everything["variant"] == name, "state"]
        rows.append(
            {
                "task": everything["task"].iloc[0],
                "variant": name,
                "n": len(values),
                "mean": mean,
                "baseline_mean": baseline_mean,
                "difference": mean - baseline_mean,
                **_welch(values, finite[baseline]),
                "baseline_n": len(finite[baseline]),
                "n_trials": int(trials[name]),
                "n_diverged": int((states == "DIVERGED").sum()),
                "n_failed": int((states == "FAILED").sum()),
                "n_without_metric": int(chosen[name]) - len(values),
            }
        )
    return _adjust(pd.DataFrame(rows))[_COLUMNS]


def _warn_of_gaps(selected: pd.DataFrame, metric: str) -> None:
    gaps = selected.loc[~np.isfinite(selected[metric].astype(float)), "variant"].value_counts()
    if len(gaps):
        listed = ", ".join(f"{name} {n}" for name, n in gaps.items())
        warnings.warn(
            f"selected trials without a finite {metric}: {listed}. They cannot enter a mean, which flatters their "
            "variants; see the columns n_without_metric and n_diverged",
            UserWarning,
            stacklevel=3,
        )


def compare(
    trials: Trials | pd.DataFrame,
    *,
    baseline: str = "V",
    top: float = 0.10,
    metric: str = "test_metric",
    by: str = "valid_metric",
) -> Comparison:
    """Test every variant against a baseline, on the best trials of each.

    As in Greff et al. (2017): of each task and variant the best fraction by validation is taken,
    and the means of their test metric are compared by Welch's t-test, two-sided. The baseline's
    comparisons within one task are one family.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials; two variants at least.
    baseline : str
        The variant that the others are compared with.
    top : float
        Fraction of each cell to select, see `select_top`; 1 takes all trials.
    metric, by : str
        Column that is compared, and column that is selected by; lower is better.

    Returns
    -------
    Comparison
        Its ``to_frame()`` has one row a task and variant:

        - ``task``, ``variant``
        - ``n``: selected trials with a finite metric
        - ``mean``, ``baseline_mean``, ``difference`` (variant minus baseline: positive is worse),
          ``low``, ``high`` (95 % interval of the difference, not corrected): in units of the metric
        - ``t``, ``df`` (Welch-Satterthwaite), ``p`` (two-sided)
        - ``p_bonferroni``: the paper's correction; ``p_holm``: Holm's, never larger
        - ``hedges_g``: difference in standard deviations
        - ``verdict``: "different" if ``p_holm`` < 0.05, else "undecided"
        - ``baseline_n``: as ``n``, of the baseline; ``n_trials``, ``n_diverged``, ``n_failed``: of
          all the variant's trials; ``n_without_metric``: selected, but without a finite metric
        - ``note``: empty, or why there is no test; the statistics of such a row are NaN, its
          verdict is "undecided", and it still counts in the family

    Raises
    ------
    UsageError
        If there is one variant only, no baseline in a task, an unknown column, or if fewer than
        three trials of a cell would be selected.

    Notes
    -----
    "undecided" is not "equal": with 20 trials against 20 and eight comparisons, a difference of 1.2
    standard deviations is found in four cases of five, and a smaller one less often.

    It tests the mean of the best fraction, not the best trial. The selected trials are no
    independent sample, and p is too small where validation predicts test well among them: with 200
    trials each, the best tenth and no true difference, p < 0.05 came out in 5 % of simulated
    comparisons where the two are uncorrelated among the selected, in 7 % at a correlation of 0.35,
    and in 19 to 28 % where they agree perfectly. Read a p-value that is just below 0.05 so.

    The standard deviation in Hedges' g is the root of the mean of both variances, with the exact
    correction for small samples (Delacre et al. 2021, "Why Hedges' g*s based on the non-pooled
    standard deviation should be reported with Welch's t-test").

    Checked against statsmodels (`ttest_ind`, `CompareMeans`), and against an example by hand.

    References
    ----------
    Greff et al. (2017), "LSTM: A Search Space Odyssey", section V-A.
    """
    trials = as_trials(trials)
    frame = trials.frame
    numeric_column(frame, metric, what="metric")
    if len(trials.variants) < 2:
        raise UsageError(f"only one variant in the table ({', '.join(trials.variants)}); a comparison needs two")
    for task, cell in frame.groupby("task", sort=False):
        there = sorted(cell["variant"].unique())
        if baseline not in there:
            raise UsageError(f"baseline {baseline!r} has no trials on {task!r}; variants there: {', '.join(there)}")
        if len(there) < 2:
            raise UsageError(f"only the baseline {baseline!r} has trials on {task!r}; a comparison needs two variants")
    selected = select_top(trials, top=top, by=by).frame
    _warn_of_gaps(selected, metric)
    families = [
        _family(selected[selected["task"] == task], cell, baseline, metric)
        for task, cell in frame.groupby("task", sort=False)
    ]
    return Comparison(frame=pd.concat(families, ignore_index=True), baseline=baseline, metric=metric, top=top)
