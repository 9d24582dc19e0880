"""The mean of the best fraction of trials, and how sure it is: trials are redrawn and selected again.

Selected trials are no independent sample: which of them are selected depends on all the others. A
standard error of their mean that forgets this is up to one and a half times too small. May import
numpy and `analysis.trials`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from odyssey_kit.analysis.trials import n_selected

__all__ = ["Arm", "redraw", "variance"]

RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """All trials of one variant on one task.

    Parameters
    ----------
    values : (trials,) array
        The metric that is compared; may be missing.
    order : (trials,) int array
        Trials from the best to the worst by validation.
    n : int
        How many are selected.
    """

    values: np.ndarray
    order: np.ndarray
    n: int

    @classmethod
    def of(cls, values: np.ndarray, by: np.ndarray, *, top: float) -> Arm:
        """Return the arm; trials without a finite validation rank last, ties go to the first."""
        ranked = np.where(np.isfinite(by), by, np.inf)
        return cls(
            values=np.asarray(values, dtype=float),
            order=np.argsort(ranked, kind="stable"),
            n=n_selected(len(values), top),
        )

    @property
    def selected(self) -> np.ndarray:
        """Values of the selected trials that have one."""
        values = self.values[self.order[: self.n]]
        return values[np.isfinite(values)]

    def weights(self, counts: np.ndarray) -> np.ndarray:
        """Return how often each trial is selected when it was drawn so often, (resamples, trials) in ranked order."""
        drawn = counts[:, self.order]
        before = np.cumsum(drawn, axis=1) - drawn
        return np.clip(self.n - before, 0, drawn)

    def means(self, drawn: np.ndarray) -> np.ndarray:
        """Return the mean of the selected trials of each resample, given the trials drawn, (resamples, draws)."""
        place = np.empty(len(self.order), dtype=np.int32)
        place[self.order] = np.arange(len(self.order))
        # The best n of each resample come first; they need not be sorted among themselves.
        selected = place[drawn]
        selected.partition(self.n - 1, axis=1)
        values = self.values[self.order][selected[:, : self.n]]
        there = np.isfinite(values)
        total = there.sum(axis=1)
        return np.where(total > 0, np.where(there, values, 0.0).sum(axis=1) / np.maximum(total, 1), np.nan)


def redraw(arms: Mapping[str, Arm], seed: Sequence[int], *, paired: bool = False) -> dict[str, np.ndarray]:
    """Return the selected means of many resamples of each arm.

    Parameters
    ----------
    arms : mapping of str to Arm
        Drawn independently of each other, or if ``paired`` trial by trial together.
    seed : sequence of int
        An arm's resamples depend on it and on the arm's name only, not on what it is compared with.
    paired : bool
        Whether trial i of each arm is one draw.
    """
    means = {}
    for name, arm in arms.items():
        rng = np.random.default_rng([*seed, 0 if paired else zlib.crc32(name.encode())])
        n = len(arm.values)
        means[name] = arm.means(rng.integers(n, size=(RESAMPLES, n)))
    return means


def variance(means: np.ndarray) -> float:
    """Return the variance of those means that there are."""
    there = means[np.isfinite(means)]
    return float(there.var(ddof=1)) if len(there) > 1 else math.nan
