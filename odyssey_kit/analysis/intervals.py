"""Intervals, p-values, differences and ranks of shares, from a leave-two-out correction.

The variance of a share is that of a U-statistic to first order, by the rows' influences. A larger
share has a larger error, so the interval is found by inversion, as Wilson did for a proportion, and
both halves are widened by a fixed factor. May import numpy, scipy and `analysis.leave_two_out`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from odyssey_kit.analysis.leave_two_out import LeaveTwoOut

__all__ = ["LEVEL", "WIDENING", "Shares", "effective_rows"]

LEVEL = 0.90
# Found on simulated tables whose seeds are not those of the coverage that is reported; never tuned again.
WIDENING = 1.10


def effective_rows(group: np.ndarray) -> int:
    """Return the number of groups: rows of one configuration count once."""
    return len(np.unique(group))


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares of the total variance, with everything that says how sure they are.

    Parameters
    ----------
    found : LeaveTwoOut
        The correction.
    """

    found: LeaveTwoOut

    @property
    def total(self) -> float:
        """Corrected total variance."""
        return float(self.found.variance[-1])

    @cached_property
    def share(self) -> np.ndarray:
        """Share of each subset; unbiased, so it can be slightly negative."""
        return self.found.variance[:-1] / self.total

    def _spread(self, rows: np.ndarray) -> np.ndarray:
        """Return the variance of the mean of h from influences: (…, rows), summed within groups."""
        rows = rows - rows.mean(axis=-1, keepdims=True)
        places = np.unique(self.found.group, return_inverse=True)[1]
        n, m = rows.shape[-1], int(places.max()) + 1
        sums = np.zeros((*rows.shape[:-1], m))
        np.add.at(sums.T, places, rows.T)
        return 4 * (sums**2).sum(axis=-1) / n**2 * m / (m - 1)

    def total_interval(self) -> tuple[float, float]:
        """Return the interval of the total variance."""
        half = float(stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(self._spread(self.found.influence[-1])))
        return self.total - half, self.total + half

    @cached_property
    def variance(self) -> np.ndarray:
        """Squared standard error of each share."""
        rows = self.found.influence[:-1] - self.share[:, None] * self.found.influence[-1]
        return self._spread(rows) / self.total**2

    @cached_property
    def floor(self) -> np.ndarray:
        """Squared standard error of a share that is zero: what pairs of rows alone contribute."""
        own, cross = self.found.scatter[:-1].T
        square = own - 2 * self.share * cross + self.share**2 * self.found.scatter[-1, 0]
        rows = self.found.influence[:-1] - self.share[:, None] * self.found.influence[-1]
        alone = square - rows.mean(axis=1) ** 2 - 2 * rows.var(axis=1)
        n = effective_rows(self.found.group)
        return np.maximum(2 * alone, 1e-300) / n**2 / self.total**2

    @property
    def slope(self) -> float:
        """How much the squared standard error grows with the share: c in v + c·x(1 - x)."""
        return 4 * self.found.noise / (effective_rows(self.found.group) * self.total)

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        r"""Return the ends of the 90 % interval of each share.

        Solves :math:`(x - \theta)^2 = z^2 [v + c (x(1-x) - t(1-t))]`, t being θ within [0, 1], widens both
        halves and cuts at 0 and 1. The upper end is never below that of a share of zero. An estimate outside of
        [0, 1] belongs to the end it lies beyond, where both roots may lie inside: the interval reaches that end.
        """
        z, theta = stats.norm.ppf((1 + LEVEL) / 2), self.share
        t, k = np.clip(theta, 0.0, 1.0), z**2 * self.slope
        a, b = 1 + k, -2 * theta - k
        c = theta**2 - z**2 * self.variance + k * t * (1 - t)
        root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
        low, high = (-b - root) / (2 * a), (-b + root) / (2 * a)
        low, high = theta - WIDENING * (theta - low), theta + WIDENING * (high - theta)
        high = np.maximum(high, z * np.sqrt(self.variance))
        return np.where(theta > 0, np.clip(low, 0.0, 1.0), 0.0), np.where(theta < 1, np.clip(high, 0.0, 1.0), 1.0)

    def p_value(self) -> np.ndarray:
        """Return the p-value of "this share is zero": where the lower end of the interval reaches it."""
        theta = np.maximum(self.share, 0.0)
        # The point that the widened half just brings to zero.
        x = theta * (1 - 1 / WIDENING)
        t = np.clip(theta, 0.0, 1.0)
        square = self.variance + self.slope * (x * (1 - x) - t * (1 - t))
        z = (theta - x) / np.sqrt(np.maximum(square, self.floor))
        return np.where(self.share > 0, stats.norm.sf(z), 1 - stats.norm.sf(-self.share / np.sqrt(self.floor)))

    def contrast(self, weights: np.ndarray, *, level: float = LEVEL) -> tuple[float, float, float]:
        """Return a weighted sum of shares with its interval; the last weight is the total's, whose share is one.

        Differences and sums have their own influences; two intervals side by side would not do.
        """
        weights = np.asarray(weights, dtype=float)
        value = float(weights[:-1] @ self.share + weights[-1])
        rows = weights @ self.found.influence - value * self.found.influence[-1]
        half = WIDENING * stats.norm.ppf((1 + level) / 2) * np.sqrt(self._spread(rows)) / self.total
        return value, value - float(half), value + float(half)

    def difference(self, first: int, second: int, *, level: float = LEVEL) -> tuple[float, float, float]:
        """Return the difference of two shares with its interval."""
        weights = np.zeros(len(self.share) + 1)
        weights[first], weights[second] = 1.0, -1.0
        return self.contrast(weights, level=level)

    def rest(self, shown: int | None = None) -> tuple[float, float, float]:
        """Return what the first so many shares leave, or all, with its interval.

        It is a share too: its interval is cut at 0 and 1, and its upper end is never below that of a rest of zero.
        """
        left_out = np.arange(len(self.share)) >= (len(self.share) if shown is None else shown)
        value, low, high = self.contrast(np.append(np.where(left_out, 0.0, -1.0), 1.0))
        high = max(high, (high - low) / 2)
        return value, min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)

    def ranks(self, among: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the best and the worst rank that each share may have among those given.

        Two shares are in order if the interval of their difference leaves out zero, at a level that is
        corrected for the number of others, so that a share's rank lies in its range nine times in ten.
        """
        m = len(among)
        above, below = np.zeros((2, m), dtype=int)
        for i, j in itertools.combinations(range(m), 2):
            _, low, high = self.difference(among[i], among[j], level=1 - (1 - LEVEL) / max(1, m - 1))
            above[j] += low > 0
            below[i] += low > 0
            above[i] += high < 0
            below[j] += high < 0
        return 1 + above, m - below
