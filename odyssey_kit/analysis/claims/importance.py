"""Shares of variance for the rules: corrected, with intervals of any sum or difference of them at any level.

May import `evidence`, `findings`, `ledger`, `analysis.functional_anova`, `analysis.intervals`, `errors` and `space`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from odyssey_kit.analysis.claims.evidence import Arms
from odyssey_kit.analysis.claims.findings import MissingColumn
from odyssey_kit.analysis.claims.ledger import conventions
from odyssey_kit.analysis.functional_anova import FunctionalANOVA
from odyssey_kit.analysis.intervals import Shares
from odyssey_kit.errors import UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["ShareEstimates", "estimate_shares", "shares_of"]

Subset = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ShareEstimates:
    """Corrected shares of main effects and pairs.

    Parameters
    ----------
    subsets : tuple of tuples of str
        Main effects and pairs, by names in the order of the search space.
    shares : Shares
        Their estimates, and what the intervals need.
    r2 : float
        Out-of-bag R² of the forest.
    n : int
        Number of trials.
    """

    subsets: tuple[Subset, ...]
    shares: Shares
    r2: float
    n: int

    @property
    def share(self) -> np.ndarray:
        """Share of each subset; unbiased, so one can be slightly negative."""
        return self.shares.share

    @property
    def parameters(self) -> tuple[str, ...]:
        """The hyperparameters."""
        return tuple(subset[0] for subset in self.subsets if len(subset) == 1)

    @property
    def pairs(self) -> tuple[Subset, ...]:
        """The pairs of hyperparameters."""
        return tuple(subset for subset in self.subsets if len(subset) == 2)

    @property
    def void(self) -> bool:
        """Whether the forest explains too little of the trials that it did not see."""
        return not self.r2 >= float(conventions().selection["out_of_bag_r2"])

    def combination(
        self, weights: Mapping[Subset, float], error: float, *, constant: float = 0.0, one_sided: bool = False
    ) -> tuple[float, float, float]:
        """Return a weighted sum of shares plus a constant, with its interval.

        Parameters
        ----------
        weights : mapping
            From a subset, in any order of its names, to its weight.
        error : float
            Error probability of the interval; of its lower end alone if `one_sided`.
        constant : float
            Added.
        one_sided : bool
            Whether each end has the whole error.
        """
        known = {frozenset(subset): i for i, subset in enumerate(self.subsets)}
        vector = np.zeros(len(self.subsets) + 1)
        vector[-1] = constant  # the last weight is that of the whole, whose share is one
        for subset, weight in weights.items():
            if frozenset(subset) not in known:
                raise MissingColumn(f"{' × '.join(subset)} was not searched")
            vector[known[frozenset(subset)]] = weight
        value, low, high = self.shares.contrast(vector, level=1 - error * (2 if one_sided else 1))
        if list(weights.values()) == [1.0] and not constant:
            high = max(high, high - value)  # never below that of a share of zero
        return value, low, high


def shares_of(arms: Arms, variant: str = "V", *, target: str = "test_metric") -> ShareEstimates:
    """Return the shares of one variant's trials on a task, in the measure of its search space."""
    # The same shares decide several claims.
    key = ("shares", *(study.name for study in arms.studies), arms.task.name, variant, target)
    known = arms.evidence.known
    if key not in known:
        known[key] = estimate_shares(arms.trials(variant), arms.space, target=target)
    return known[key]


def estimate_shares(frame: pd.DataFrame, space: SearchSpace, *, target: str) -> ShareEstimates:
    """Return corrected shares of the variance of a target over a search space.

    Trials that diverged have no best epoch; for such a target they are left out. The metrics are
    finite already, see `evidence.measured`.
    """
    values = frame[target].astype(float)
    kept = np.isfinite(values)
    with warnings.catch_warnings():
        # A forest that predicts too little is void here, which is said with the verdict.
        warnings.filterwarnings("ignore", message="out-of-bag R2", category=UserWarning)
        try:
            model = FunctionalANOVA(space=space, target=target).fit(frame[kept], values[kept].to_numpy())
        except UsageError as error:  # trials that do not vary, or too few of them
            raise MissingColumn(f"no shares: {error}") from error
    if model.no_intervals_:
        raise MissingColumn(f"shares without intervals: {model.no_intervals_}")
    found = model._effects(None).shares
    names = tuple(tuple(model.parameters_[i] for i in subset) for subset in found.found.subsets)
    return ShareEstimates(subsets=names, shares=found, r2=float(model.oob_r2_), n=len(frame[kept]))
