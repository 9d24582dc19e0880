"""Tests between variants on the best trials of each: the paper's, one that holds its level, and equivalence.

May import `errors`, `analysis.checks`, `analysis.contrasts`, `analysis.direction`, `analysis.selection`,
`analysis.trials` and `analysis.words`; the corrections are those of statsmodels.
"""

from __future__ import annotations

import html
import math
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from odyssey_kit.analysis import contrasts
from odyssey_kit.analysis.checks import check_seed, is_number
from odyssey_kit.analysis.direction import Direction, better, sign, unstated
from odyssey_kit.analysis.selection import Arm, redraw, variance
from odyssey_kit.analysis.trials import Trials, as_trials, numeric_column, select_top
from odyssey_kit.analysis.words import p_value
from odyssey_kit.errors import UsageError

__all__ = ["Comparison", "compare"]

ALPHA = 0.05
# Ranks of two columns that go opposite ways, seen in so many trials at least.
_OPPOSED, _ENOUGH_TO_SEE = -0.5, 10
_COLUMNS = [
    *("task", "variant", "n", "mean", "baseline_mean", "difference", "low", "high", "p_selection"),
    *("p_selection_holm", "p_equivalent", "p_equivalent_holm", "detectable", "p_lower", "hedges_g", "verdict"),
    *("t", "df", "p", "p_bonferroni", "p_holm", "welch_low", "welch_high", "p_tost", "detectable_g"),
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
    by : str
        The column by which trials were selected.
    top : float
        The fraction of trials that was selected.
    margin : float, optional
        Differences below it are negligible.
    paired : bool
        Whether trials with one index were one draw.
    direction : {"minimize", "maximize"}
        Which way the metric is better.
    """

    frame: pd.DataFrame
    baseline: str
    metric: str
    top: float
    margin: float | None = None
    paired: bool = False
    direction: Direction = "minimize"
    by: str = "valid_metric"

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.frame.copy()

    @property
    def family(self) -> str:
        """What the corrections correct for, in words."""
        sizes = sorted(set(self.frame.groupby("task").size()))
        many = " or ".join(map(str, sizes))
        return f"{many} comparison{'' if sizes == [1] else 's'} with {self.baseline} within each task"

    @property
    def selected_by(self) -> str:
        """What trials were selected by, in words."""
        return "validation" if self.by == "valid_metric" else self.by

    def __repr__(self) -> str:
        what = f"{self.metric} of the best {self.top:.3g} by {self.selected_by}"
        return f"Comparison with {self.baseline!r}: {what}, {self.family}\n{self._shown().to_string(index=False)}"

    def _repr_html_(self) -> str:
        equal = "" if self.margin is None else f" Equivalent means a difference within ±{self.margin:g}."
        caption = (
            f"{self.metric} of the best {self.top:.3g} of the trials by {self.selected_by}, against {self.baseline}. "
            f"Intervals and verdicts by redrawing the trials and selecting again; beside them Welch's t-test on the "
            f"selected, two-sided. Holm's correction; family: {self.family}. "
            f"{better(self.direction).capitalize()}.{equal}"
        )
        return f"<p>{html.escape(caption)}</p>{self._shown().to_html(index=False, border=0)}"

    def _shown(self) -> pd.DataFrame:
        shown = self.frame[["task", "variant", "n", "mean", "difference"]].copy()
        for name, digits in (("mean", "{:.4g}"), ("difference", "{:.3g}")):
            shown[name] = shown[name].map(digits.format)
        shown["95 % interval"] = [_interval(low, high) for low, high in self.frame[["low", "high"]].to_numpy()]
        for name, words in (("p_selection_holm", "p"), ("p_holm", "p Welch")):
            shown[words] = [p_value(p, missing="not tested") for p in self.frame[name].to_numpy()]
        if self.margin is not None:
            equivalent = self.frame["p_equivalent_holm"].to_numpy()
            shown["p equivalent"] = [p_value(p, missing="not tested") for p in equivalent]
        shown["detectable"] = ["" if math.isnan(x) else f"{x:.2g}" for x in self.frame["detectable"].to_numpy()]
        shown["verdict"] = self.frame["verdict"]
        shown["diverged"] = self.frame["n_diverged"].astype(str) + " of " + self.frame["n_trials"].astype(str)
        if len(set(shown["task"])) == 1:
            shown = shown.drop(columns="task")
        if self.frame["note"].any():
            shown["note"] = self.frame["note"]
        return shown


def _interval(low: float, high: float) -> str:
    return "not tested" if math.isnan(low) else f"[{low:.3g}, {high:.3g}]"


def _corrected(p: pd.Series, method: str) -> np.ndarray:
    """Correct the p-values of one family; a comparison that could not be tested still counts."""
    if p.isna().all():
        return np.full(len(p), math.nan)
    corrected: Any = multipletests(p.fillna(1.0).to_numpy(), alpha=ALPHA, method=method)[1]
    return np.where(p.notna(), corrected, math.nan)


def _verdict(different: bool, equivalent: bool) -> str:
    if different:
        return "different but negligible" if equivalent else "different"
    return "equivalent" if equivalent else "undecided"


def _judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the corrected p-values of one family, and the verdicts."""
    for name, raw, method in (
        ("p_bonferroni", "p", "bonferroni"),
        ("p_holm", "p", "holm"),
        ("p_selection_holm", "p_selection", "holm"),
        ("p_equivalent_holm", "p_equivalent", "holm"),
    ):
        rows[name] = _corrected(rows[raw], method)
    different, equivalent = rows["p_selection_holm"] < ALPHA, rows["p_equivalent_holm"] < ALPHA
    rows["verdict"] = [_verdict(*pair) for pair in zip(different, equivalent, strict=True)]
    return rows


def _arms(cell: pd.DataFrame, metric: str, by: str, top: float, turn: int) -> dict[str, Arm]:
    ordered = cell.sort_values("index", kind="stable")
    return {
        str(name): Arm.of(rows[metric].to_numpy(float), turn * rows[by].to_numpy(float), top=top)
        for name, rows in ordered.groupby("variant", sort=False)
    }


def _family(cell: pd.DataFrame, arms: dict[str, Arm], baseline: str, settings: dict[str, Any]) -> pd.DataFrame:
    """Compare the variants of one task with the baseline."""
    redrawn = redraw(arms, settings["seed"], paired=settings["paired"])
    rows = []
    for name, arm in arms.items():
        if name == baseline:
            continue
        first, second = arm.selected, arms[baseline].selected
        states = cell.loc[cell["variant"] == name, "state"]
        rows.append(
            {
                "task": cell["task"].iloc[0],
                "variant": name,
                "n": len(first),
                "mean": float(first.mean()) if len(first) else math.nan,
                "baseline_mean": float(second.mean()) if len(second) else math.nan,
                **contrasts.contrast(
                    first,
                    second,
                    None if settings["top"] == 1 and not settings["paired"] else redrawn[name] - redrawn[baseline],
                    variances=(variance(redrawn[name]), variance(redrawn[baseline])),
                    family=len(arms) - 1,
                    margin=settings["margin"],
                    alpha=ALPHA,
                ),
                "baseline_n": len(second),
                "n_trials": len(states),
                "n_diverged": int((states == "DIVERGED").sum()),
                "n_failed": int((states == "FAILED").sum()),
                "n_without_metric": arm.n - len(first),
            }
        )
    return _judged(pd.DataFrame(rows))[_COLUMNS]


def _gaps(selected: pd.DataFrame, metric: str) -> str:
    gaps = selected.loc[~np.isfinite(selected[metric].astype(float)), "variant"].value_counts()
    if gaps.empty:
        return ""
    listed = ", ".join(f"{name} {n}" for name, n in gaps.items())
    return (
        f"selected trials without a finite {metric}: {listed}. They cannot enter a mean, which flatters their "
        "variants; see the columns n_without_metric and n_diverged"
    )


def _selected_by_itself(frame: pd.DataFrame, metric: str, by: str, top: float) -> str:
    if top == 1 or not np.array_equal(frame[metric].astype(float), frame[by].astype(float), equal_nan=True):
        return ""
    return (
        "trials are selected by the very values that are compared, so the best by chance look better than they are. "
        "Give a validation metric (valid= of ok.trials_from_table, or --valid), or compare all trials (top=1, --top 1)"
    )


def _check_same_way(frame: pd.DataFrame, metric: str, by: str) -> None:
    """Check that the column that is selected by is not better where the compared one is worse.

    Raises
    ------
    UsageError
        If their ranks are opposed, as those of an accuracy and a loss are: one direction holds for both.
    """
    both = frame[[metric, by]].to_numpy(float)
    both = both[np.isfinite(both).all(axis=1)]
    alike: Any = stats.spearmanr(both) if len(both) >= _ENOUGH_TO_SEE and np.ptp(both, axis=0).all() else None
    if alike is not None and (opposed := float(alike.statistic)) < _OPPOSED:
        raise UsageError(
            f"{by!r} falls where {metric!r} rises (rank correlation {opposed:.2f}), so selecting by it in the same "
            f"direction picks the worst trials; select by a column that goes the same way, for instance -{by}"
        )


def compare(
    trials: Trials | pd.DataFrame,
    *,
    baseline: str = "V",
    top: float = 0.10,
    metric: str = "test_metric",
    by: str = "valid_metric",
    direction: Direction | None = None,
    margin: float | None = None,
    paired: bool = False,
    random_state: int = 0,
) -> Comparison:
    """Test every variant against a baseline, on the best trials of each.

    Of each task and variant the best fraction by validation is taken, and the means of their test
    metric are compared. The baseline's comparisons within one task are one family.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials.
    baseline : str
        The variant that the others are compared with.
    top : float
        Fraction of each cell to select, see `select_top`; 1 takes all trials.
    metric, by : str
        Column that is compared, and column that is selected by.
    direction : {"minimize", "maximize"}, optional
        Which way both are better; lower if nothing is said, with a warning if the metric's name sounds
        otherwise.
    margin : float, optional
        In units of the metric: a difference within it would not matter. Without one nothing is ever
        called equivalent.
    paired : bool
        Trials of one index were one draw for all variants, so that they are redrawn together.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    Comparison
        Its ``to_frame()`` has one row a task and variant:

        - ``task``, ``variant``
        - ``n``: selected trials with a finite metric
        - ``mean``, ``baseline_mean``, ``difference`` (variant minus baseline: positive is worse, or
          better if the metric is maximised), ``low``, ``high`` (95 % interval of the difference, not
          corrected): in units of the metric
        - ``p_selection`` (two-sided), ``p_selection_holm``: of no difference, with the standard error
          of 2,000 resamples of the trials, each selected anew
        - ``p_equivalent``, ``p_equivalent_holm``: of a difference of at least ``margin``, by two
          one-sided tests with the same standard error
        - ``detectable``: the difference that such a test finds four times in five, after Bonferroni,
          in units of the metric
        - ``p_lower``: probability that a selected trial of the variant is lower than one of the baseline
        - ``hedges_g``: difference in standard deviations of the selected
        - ``verdict``: "different" (``p_selection_holm`` < 0.05), "equivalent" (``p_equivalent_holm``
          < 0.05), "different but negligible" (both), or "undecided"
        - ``t``, ``df``, ``p``, ``p_bonferroni``, ``p_holm``, ``welch_low``, ``welch_high``: Welch's test
          on the selected trials, the paper's criterion; ``p_tost``: the equivalence test that goes
          with it; ``detectable_g``: what it finds four times in five, in standard deviations
        - ``baseline_n``: as ``n``, of the baseline; ``n_trials``, ``n_diverged``, ``n_failed``: of
          all the variant's trials; ``n_without_metric``: selected, but without a finite metric
        - ``note``: empty, or why there is no test; the statistics of such a row are NaN, its
          verdict is "undecided", and it still counts in the family

    Raises
    ------
    UsageError
        If there is one variant only, no baseline in a task, an unknown column, a margin that is not
        positive, fewer than three trials of a cell would be selected, paired draws do not match, or
        the column that is selected by falls where the compared one rises.

    Notes
    -----
    "undecided" is not "equal": with 20 trials against 20 and eight comparisons, a difference of 1.2
    standard deviations is found in four cases of five, and a smaller one less often.

    Welch's test takes the selected trials for an independent sample, which they are not. With 200
    trials each, the best tenth, nine alike variants and a validation that predicts test exactly, it
    finds a difference somewhere in 28 to 44 % of simulated tables (Holm, 5 % nominal); redrawing and
    selecting again finds one in 2 to 3 %, a little less than it may (`benchmarks/RESULTS.md`). So
    verdicts rest on the latter. It takes Student's t with the Welch-Satterthwaite degrees of freedom
    of the two resampled variances, n - 1 each. Of ``top=1`` nothing is selected and both
    tests are one.

    The standard deviation in Hedges' g is the root of the mean of both variances, with the exact
    correction for small samples (Delacre et al. 2021, "Why Hedges' g*s based on the non-pooled
    standard deviation should be reported with Welch's t-test").

    Checked against statsmodels (`ttest_ind`, `CompareMeans`, `ttost_ind`), and against examples by hand.

    References
    ----------
    Greff et al. (2017), "LSTM: A Search Space Odyssey", section V-A.
    """
    trials = as_trials(trials)
    frame = trials.frame
    numeric_column(frame, metric, what="metric")
    numeric_column(frame, by, what="column to rank by")
    turn = sign(direction)
    _check_same_way(frame, metric, by)
    check_seed(random_state)
    if len(trials.variants) < 2:
        raise UsageError(f"only one variant in the table ({', '.join(trials.variants)}); a comparison needs two")
    if margin is not None and not (is_number(margin) and margin > 0):
        raise UsageError(f"margin is {margin!r}, expected a positive number in units of {metric}, or None")
    for task, cell in frame.groupby("task", sort=False):
        there = sorted(cell["variant"].unique())
        if baseline not in there:
            raise UsageError(f"baseline {baseline!r} has no trials on {task!r}; variants there: {', '.join(there)}")
        if len(there) < 2:
            raise UsageError(f"only the baseline {baseline!r} has trials on {task!r}; a comparison needs two variants")
        if paired:
            contrasts.check_pairs(cell, baseline)
    selected = select_top(trials, top=top, by=by, direction="minimize" if direction is None else direction).frame
    itself = _selected_by_itself(frame, metric, by, top)
    for words in (unstated(direction, metric, frame), itself, _gaps(selected, metric)):
        if words:
            warnings.warn(words, UserWarning, stacklevel=2)
    families = []
    for task, cell in frame.groupby("task", sort=False):
        seed = [random_state, zlib.crc32(str(task).encode())]
        settings = {"top": top, "margin": margin, "paired": paired, "seed": seed}
        families.append(_family(cell, _arms(cell, metric, by, top, turn), baseline, settings))
    return Comparison(
        frame=pd.concat(families, ignore_index=True),
        baseline=baseline,
        metric=metric,
        top=top,
        margin=margin,
        paired=paired,
        direction="minimize" if direction is None else direction,
        by=metric if itself else by,
    )
