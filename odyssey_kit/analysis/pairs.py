"""Draw by draw: what a variant does with the settings that another one had too. Of paired studies.

May import `errors`, `analysis.contrasts`, `analysis.direction` and `analysis.trials`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from odyssey_kit.analysis.contrasts import check_pairs
from odyssey_kit.analysis.direction import Direction, sign
from odyssey_kit.analysis.trials import Trials, as_trials, numeric_column
from odyssey_kit.errors import UsageError

__all__ = ["compare_pairs", "paired_differences"]

LEVEL = 0.95


def _median(differences: np.ndarray) -> float:
    """Return the median: midway between the middle two of an even number, so that swapped sides swap its sign.

    NaN if these are infinite in both directions, as then nothing lies midway.
    """
    ordered = np.sort(differences)
    lower, upper = float(ordered[(len(ordered) - 1) // 2]), float(ordered[len(ordered) // 2])
    return lower if lower == upper else (lower + upper) / 2


def _median_interval(differences: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return two of the differences between which the median lies, by the binomial distribution."""
    ordered = np.sort(differences)
    rank = int(stats.binom.ppf((1 - level) / 2, len(ordered), 0.5))
    return (float(ordered[rank - 1]), float(ordered[-rank])) if rank >= 1 else (-math.inf, math.inf)


def _wilcoxon(differences: np.ndarray) -> float:
    test: Any = stats.wilcoxon(differences) if differences.any() else None
    return math.nan if test is None else float(test.pvalue)


def _differences(values: pd.Series, baseline: pd.Series, worst: float) -> np.ndarray:
    """Return values minus baseline; one that diverged is worse than any, two that did are alike."""
    first, second = (series.to_numpy(float) for series in (values, baseline))
    first, second = (np.where(np.isfinite(x), x, worst) for x in (first, second))
    with np.errstate(invalid="ignore"):
        return np.where(first == second, 0.0, first - second)


def paired_differences(
    trials: Trials | pd.DataFrame,
    *,
    baseline: str = "V",
    metric: str = "test_metric",
    direction: Direction = "minimize",
) -> pd.DataFrame:
    """Return each variant's metric minus the baseline's, draw by draw: columns task, variant, index, difference.

    Parameters and errors as in `compare_pairs`. Where one side diverged, the difference is infinite; where both, zero.
    """
    frame = as_trials(trials).frame
    numeric_column(frame, metric, what="metric")
    worst, parts = sign(direction) * np.inf, []
    for task, cell in frame.groupby("task", sort=False):
        if baseline not in set(cell["variant"]):
            raise UsageError(f"baseline {baseline!r} has no trials on {task!r}")
        check_pairs(cell, baseline)
        by_draw = cell.pivot_table(index="index", columns="variant", values=metric, dropna=False, sort=False)
        parts += [
            pd.DataFrame(
                {"index": by_draw.index, "difference": _differences(by_draw[name], by_draw[baseline], worst)}
            ).assign(task=task, variant=name)
            for name in cell["variant"].unique()
            if name != baseline
        ]
    if not parts:
        raise UsageError(f"there is no variant but the baseline {baseline!r}, expected another one to compare it with")
    return pd.concat(parts, ignore_index=True)[["task", "variant", "index", "difference"]]


def compare_pairs(
    trials: Trials | pd.DataFrame,
    *,
    baseline: str = "V",
    metric: str = "test_metric",
    direction: Direction = "minimize",
) -> pd.DataFrame:
    """Compare variants with a baseline draw by draw, in a study whose variants share their draws.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials of a paired study: one ``index``, one setting of all hyperparameters.
    baseline : str
        The variant that the others are compared with.
    metric : str
        Column that is compared.
    direction : {"minimize", "maximize"}
        Which way it is better; a trial that diverged is worse than any.

    Returns
    -------
    pandas.DataFrame
        One row a task and variant: ``n`` draws; ``lower`` and ``higher``, in how many of them the
        variant's metric is; ``median_difference`` with its 95 % interval ``low``, ``high`` (two of the
        differences, by the binomial distribution); ``p``, of the sign test; ``p_holm``, within the
        task; ``p_wilcoxon``, of the signed ranks, of draws where neither diverged.

    Raises
    ------
    UsageError
        If there is no baseline, or the draws are not the same.

    Notes
    -----
    It asks whether a variant does better at a setting that is taken at random, over the whole space;
    `compare` asks whether it does better when it is tuned. A trial that diverged is worse than any.
    """
    rows = []
    differences = paired_differences(trials, baseline=baseline, metric=metric, direction=direction)
    for task, cell in differences.groupby("task", sort=False):
        family = [
            {"task": task, "variant": name, **_described(own["difference"].to_numpy(float))}
            for name, own in cell.groupby("variant", sort=False)
        ]
        corrected: Any = multipletests([row["p"] for row in family], method="holm")[1]
        rows += [{**row, "p_holm": float(p)} for row, p in zip(family, corrected, strict=True)]
    return pd.DataFrame(rows)


def _described(differences: np.ndarray) -> dict[str, Any]:
    lower, higher = int((differences < 0).sum()), int((differences > 0).sum())
    low, high = _median_interval(differences)
    return {
        "n": len(differences),
        "lower": lower,
        "higher": higher,
        "median_difference": _median(differences),
        "low": low,
        "high": high,
        "p": float(stats.binomtest(lower, lower + higher).pvalue) if lower + higher else 1.0,
        "p_wilcoxon": _wilcoxon(differences[np.isfinite(differences)]),
    }
