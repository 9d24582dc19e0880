"""Rules about very long training: whether, when and how the test error rises again (B23-B26).

A curve is cut into twenty stretches; it rises if its last stretch lies above its lowest by more than
noise: three standard errors of the difference of the two, because the lowest of twenty stretches of a flat curve
lies two below the last in every sixth. May import the rest of `claims`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from odyssey_kit.analysis.claims.evidence import Arms
from odyssey_kit.analysis.claims.findings import UNDECIDED, MissingColumn, Part, needed_trials, placed
from odyssey_kit.analysis.claims.regression import proportion
from odyssey_kit.analysis.claims.rules.noise import _rank_correlation

__all__ = ["eventual_divergence", "later_with_lower_rate", "optimum_step", "rises_in_training_too"]

_STRETCHES = 20
_NOISE = 3.0  # standard errors: 2.5 % one-sided, divided by the 19 stretches that may be the lowest


@dataclass(frozen=True, kw_only=True)
class Course:
    """How one long training went."""

    rate: float
    steps: float
    rises: bool
    rises_in_training: bool
    lowest: float  # steps at the lowest stretch
    leaves: float  # steps at which it first lies above it for good, or infinity


def _course(curve: pd.DataFrame) -> Course:
    curve = curve.sort_values("updates")
    steps = curve["updates"].to_numpy(float)
    stretches = np.array_split(np.arange(len(curve)), _STRETCHES)
    rises, lowest, leaves = _rises(curve["test_metric"].to_numpy(float), steps, stretches)
    trains = _rises(curve["train_loss"].to_numpy(float), steps, stretches)[0]
    rate = float(curve["params_learning_rate"].iloc[0])
    return Course(
        rate=rate, steps=float(steps[-1]), rises=rises, rises_in_training=trains, lowest=lowest, leaves=leaves
    )


def _rises(values: np.ndarray, steps: np.ndarray, stretches: list[np.ndarray]) -> tuple[bool, float, float]:
    values = np.where(np.isfinite(values), values, np.nanmax(np.where(np.isfinite(values), values, -math.inf)) * 2)
    means = np.array([values[s].mean() for s in stretches])
    errors = np.array([values[s].std(ddof=1) / math.sqrt(len(s)) for s in stretches])
    at = int(means.argmin())
    above = means > means[at] + _NOISE * np.hypot(errors, errors[at])
    lowest = float(np.median(steps[stretches[at]]))
    if at == len(means) - 1 or not above[-1]:
        return False, lowest, math.inf
    still = np.flatnonzero(~above)
    return True, lowest, float(steps[stretches[int(still[-1]) + 1][0]])


def _courses(arms: Arms) -> list[Course]:
    curves = arms.curves[~arms.curves["diverged"] | arms.curves["epochs"].gt(_STRETCHES)]
    found = [_course(c) for _, c in curves.groupby("key") if len(c) >= 3 * _STRETCHES]
    if len(found) < 5:
        raise MissingColumn(f"{len(found)} trainings with {3 * _STRETCHES} points of a curve, 5 are needed")
    return found


def _rising(courses: list[Course]) -> list[Course]:
    rising = [course for course in courses if course.rises]
    if len(rising) < 5:
        raise MissingColumn(f"{len(rising)} trainings rise, 5 are needed")
    return rising


def _share(arms: Arms, hits: int, n: int, share: float, label: str) -> Part:
    low, high = proportion(hits, n, arms.error)
    verdict = placed(low, high, inside=(share - 1e-12, 1 + 1e-9))
    needed = needed_trials(n, hits / n, low, high, share).replace("trials", "trainings")
    if hits == n:
        all_of = math.ceil(math.log(arms.error / 2) / math.log(share))
        needed = f"{all_of} trainings, if all of them rise"
    return arms.part(
        label=label,
        verdict=verdict,
        estimate=100 * hits / n,
        low=100 * low,
        high=100 * high,
        unit="% of the trainings",
        n=f"{n} trainings",
        needed=needed if verdict == UNDECIDED else "",
    )


def eventual_divergence(arms: Arms, *, share: float, steps: int) -> list[Part]:
    """Decide by how many trainings end with a test error above their lowest."""
    courses = _courses(arms)
    long = [course for course in courses if course.rises or course.steps >= steps]
    if len(long) < len(courses) / 2:
        raise MissingColumn(f"{len(long)} of {len(courses)} trainings are {steps:,} steps long or rise before")
    label = f"trainings whose test error rises within {steps:,} steps"
    return [_share(arms, sum(c.rises for c in long), len(long), share, label)]


def later_with_lower_rate(arms: Arms, *, p: float) -> list[Part]:
    """Decide by Spearman's correlation of learning rate and the step at which the test error leaves its lowest.

    A training that does not rise is later than all that do, if it was trained as long; else nothing is known of it.
    """
    courses = _courses(arms)
    latest = max(course.leaves for course in _rising(courses))
    known = [course for course in courses if course.rises or course.steps >= latest]
    leaves = [course.leaves if course.rises else 2 * latest for course in known]
    words = "learning rate and the step at which the error rises"
    return [_rank_correlation(arms, [c.rate for c in known], leaves, p, words, sign=-1)]


def rises_in_training_too(arms: Arms, *, share: float) -> list[Part]:
    """Decide by how many of the trainings whose test error rises have a rising training loss."""
    rising = _rising(_courses(arms))
    label = "rising trainings whose training loss rises too"
    return [_share(arms, sum(c.rises_in_training for c in rising), len(rising), share, label)]


def optimum_step(arms: Arms, *, steps: int, times: float) -> list[Part]:
    """Decide by the median step of the lowest test error, with its exact interval from order statistics."""
    from scipy import stats

    lowest = np.sort([course.lowest for course in _courses(arms)])
    n = len(lowest)
    rank = int(stats.binom.ppf(arms.error / 2, n, 0.5))
    low, high = float(lowest[max(rank - 1, 0)]), float(lowest[min(n - rank, n - 1)])
    verdict = placed(low, high, inside=(steps / times, steps * times))
    return [
        arms.part(
            label="median step of the lowest test error",
            verdict=verdict,
            estimate=float(np.median(lowest)),
            low=low,
            high=high,
            unit="steps",
            n=f"{n} trainings",
            needed=""
            if verdict != UNDECIDED
            else f"an interval within {steps / times:,.0f} to {steps * times:,.0f} steps",
        )
    ]
