"""Two cells compared on their best tenths: Welch's tests and the trial-level bootstrap, side by side.

The best tenth is chosen by validation, so its trials are no independent sample, and Welch's test alone
is too sure of itself where validation predicts test. Every decision therefore asks both. The tests are
those of scipy and statsmodels. May import `evidence`, `findings` and `ledger`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats

from odyssey_kit.analysis.claims.evidence import Arms, Cell, undecidable
from odyssey_kit.analysis.claims.findings import significant
from odyssey_kit.analysis.claims.ledger import conventions

__all__ = ["Contrast", "contrast", "equivalence_power", "papers_power"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrast:
    """The difference of two best tenths: first minus second, lower is better."""

    first: Cell
    second: Cell
    error: float
    margin: float

    @property
    def difference(self) -> float:
        """Difference of the means."""
        return float(self.first.top.mean() - self.second.top.mean())

    @cached_property
    def resampled(self) -> np.ndarray:
        """The difference in every resample."""
        return self.first.top_means - self.second.top_means

    @cached_property
    def standard_error(self) -> float:
        """The bootstrap's."""
        return float(np.std(self.resampled, ddof=1))

    def interval(self, error: float | None = None) -> tuple[float, float]:
        """Return the bootstrap's percentile interval at an error probability, the family's by default."""
        error = self.error if error is None else error
        low, high = np.quantile(self.resampled, [error / 2, 1 - error / 2])
        return float(low), float(high)

    @cached_property
    def p(self) -> float:
        """Welch's two-sided p; one trial a side tells nothing."""
        if min(self.first.k, self.second.k) < 2:
            return 1.0
        if max(np.ptp(self.first.top), np.ptp(self.second.top)) == 0:
            return 1.0 if self.difference == 0 else 0.0
        test: Any = stats.ttest_ind(self.first.top, self.second.top, equal_var=False)
        return float(test.pvalue)

    @property
    def p_adjusted(self) -> float:
        """P times the number of decisions of the family (Bonferroni)."""
        return min(1.0, self.p * conventions().selection["alpha"] / self.error)

    @cached_property
    def p_equivalent(self) -> float:
        """The larger p of two one-sided Welch tests against ±margin."""
        from statsmodels.stats.weightstats import ttost_ind

        if min(self.first.k, self.second.k) < 2:
            return 1.0
        if max(np.ptp(self.first.top), np.ptp(self.second.top)) == 0:
            return 0.0 if abs(self.difference) < self.margin else 1.0
        return float(ttost_ind(self.first.top, self.second.top, -self.margin, self.margin, usevar="unequal")[0])

    @property
    def sign(self) -> int:
        """Which way both methods say that they differ at the family's level: 1 worse, -1 better, 0 cannot tell."""
        return significant(*self.interval()) if self.p_adjusted < conventions().selection["alpha"] else 0

    @property
    def equivalent(self) -> bool:
        """Whether both methods place the difference within the margin at .05."""
        low, high = self.interval(2 * conventions().selection["alpha"])
        inside = -self.margin < low and high < self.margin
        return inside and self.p_equivalent < conventions().selection["alpha"]

    @property
    def undecidable(self) -> str:
        """Why the two best tenths decide nothing; empty if they can."""
        return undecidable(self.first, self.second)

    @property
    def n(self) -> str:
        """What it rests on, in words."""
        words = f"best {self.first.k} of {len(self.first)} and {self.second.k} of {len(self.second)} trials"
        frames = [cell.frame for cell in (self.first, self.second)]
        lost = sum(int(frame["diverged"].sum()) for frame in frames)
        clamped = sum(int((frame["capped"] & ~frame["diverged"]).sum()) for frame in frames)
        return words + (f", {lost} diverged and {clamped} clamped" if lost or clamped else "")

    @property
    def detectable(self) -> float:
        """The difference that would be found with 80 % power at the family's level."""
        return float(self.standard_error * (stats.norm.ppf(1 - self.error / 2) + stats.norm.ppf(0.8)))

    @property
    def trials_for_equivalence(self) -> int:
        """How many trials a side would show equivalence with 80 % power, if the truth were zero."""
        alpha = conventions().selection["alpha"]
        wanted = self.margin / (stats.norm.ppf(1 - alpha) + stats.norm.ppf(0.9))
        return math.ceil(self.trials * (self.standard_error / wanted) ** 2)

    def trials_beyond(self, border: float) -> float:
        """Return how many trials a side would tell the difference from a border with 80 % power, if it stays."""
        distance = abs(self.difference - border)
        return math.inf if not distance else float(np.ceil(self.trials * (self.detectable / distance) ** 2))

    @property
    def trials(self) -> int:
        """How many the smaller side has."""
        return min(len(self.first), len(self.second))

    def details(self) -> dict[str, float]:
        """Return the numbers beside the interval."""
        return {
            "p": self.p,
            "p_bonferroni": self.p_adjusted,
            "p_equivalent": self.p_equivalent,
            "margin": self.margin,
            "trials": self.trials,
            "sign": self.sign,
            "hedges_d": self.difference / self._spread if self._spread else math.nan,
            "p_better": float(np.mean(self.resampled < 0)),
            "detectable": self.detectable,
            "power_of_equivalence": equivalence_power(min(self.first.k, self.second.k), self.margin, self._spread),
        }

    @cached_property
    def _spread(self) -> float:
        if min(self.first.k, self.second.k) < 2:
            return math.nan
        return math.sqrt((np.var(self.first.top, ddof=1) + np.var(self.second.top, ddof=1)) / 2)


def equivalence_power(n: int, margin: float, spread: float, alpha: float = 0.05) -> float:
    """Return the power of two one-sided t-tests of n against n if the true difference is zero.

    Examples
    --------
    >>> [round(equivalence_power(n, 0.75, 1.0), 2) for n in (20, 40, 60)]
    [0.51, 0.91, 0.99]
    """
    if n < 2 or not spread:
        return math.nan
    df = 2 * n - 2
    beyond = margin / (spread * math.sqrt(2 / n))
    quantile = stats.t.ppf(1 - alpha, df)
    return max(0.0, float(1 - 2 * stats.nct.cdf(quantile, df, beyond)))


def papers_power() -> str:
    """Say what the best tenths of 200 trials a side, as in the Odyssey, can show of a claim of no difference."""
    power = 100 * equivalence_power(20, 0.75, 1.0)
    return f"20 trials a side, as in the paper, have {power:.0f} % power at a margin of 0.75 standard deviations."


def contrast(arms: Arms, first: Cell, second: Cell, *, margin: float | None = None) -> Contrast:
    """Return the comparison of two cells of a task, at the family's level and the task's margin."""
    return Contrast(
        first=first,
        second=second,
        error=arms.error,
        margin=arms.margin(second) if margin is None else margin,
    )
