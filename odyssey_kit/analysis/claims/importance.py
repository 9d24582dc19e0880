"""Shares of variance for the rules: corrected, with intervals of any sum or difference of them.

May import `evidence`, `findings` and `analysis.functional_anova`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.analysis.claims.evidence import Arms
from odyssey_kit.analysis.claims.findings import MissingColumn
from odyssey_kit.analysis.claims.ledger import conventions
from odyssey_kit.analysis.design import unit_coordinates
from odyssey_kit.analysis.functional_anova import fanova
from odyssey_kit.analysis.trials import Trials
from odyssey_kit.space import SearchSpace

__all__ = ["ShareEstimates", "estimate_shares", "shares_of"]

Subset = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ShareEstimates:
    """Shares of main effects and pairs, with what their intervals need.

    Parameters
    ----------
    subsets : tuple of tuples of str
        Main effects, then pairs, by names in the order of the search space.
    share : ndarray
        (subsets,) shares of the total variance; unbiased, so one can be slightly negative.
    influence : ndarray
        (subsets, trials) of each share: its variance is 4 Var(influence) / trials.
    r2 : float
        Out-of-bag R² of the forest.
    """

    subsets: tuple[Subset, ...]
    share: np.ndarray
    influence: np.ndarray
    r2: float

    @property
    def n(self) -> int:
        """Number of trials."""
        return self.influence.shape[1]

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
        vector = np.zeros(len(self.subsets))
        for subset, weight in weights.items():
            if frozenset(subset) not in known:
                raise MissingColumn(f"{' × '.join(subset)} was not searched")
            vector[known[frozenset(subset)]] = weight
        value = float(vector @ self.share) + constant
        half = stats.norm.ppf(1 - error / (1 if one_sided else 2)) * self._standard_error(vector)
        return value, float(value - half), float(value + half)

    def _standard_error(self, vector: np.ndarray) -> float:
        rows = vector @ self.influence
        return 2 * float(np.std(rows, ddof=1)) / math.sqrt(len(rows))


def shares_of(arms: Arms, variant: str = "V", *, target: str = "test_metric") -> ShareEstimates:
    """Return the shares of one variant's trials on a task, in the measure of its search space."""
    frame = arms.trials(variant)
    if len(frame) < 50:
        raise MissingColumn(f"{len(frame)} trials of {variant}, too few for shares of variance")
    return estimate_shares(frame, arms.space, target=target, name=arms.studies[0].name)


def estimate_shares(frame: pd.DataFrame, space: SearchSpace, *, target: str, name: str = "trials") -> ShareEstimates:
    """Return corrected shares of the variance of a target over a search space."""
    frame = frame[np.isfinite(frame[target].astype(float))]
    values = frame[target].astype(float).to_numpy()
    units, names = np.asarray(unit_coordinates(frame, space), float), tuple(space)
    subsets = [*((p,) for p in names), *itertools.combinations(names, 2)]
    centred = values - values.mean()
    kernels = _kernels(units, names, subsets)
    off = 1 - np.eye(len(values))
    products = np.outer(centred, centred) * off
    total = float(np.var(values, ddof=1))
    rows = np.stack([(products * kernel).sum(axis=1) / (len(values) - 1) for kernel in kernels])
    share = rows.mean(axis=1) / total
    influence = (rows - share[:, None] * centred**2) / total
    forest = fanova(
        Trials.from_frame(frame.assign(state="COMPLETE"), name=name, space=space), target=target, pooled=True
    )
    return ShareEstimates(subsets=tuple(subsets), share=share, influence=influence, r2=float(forest.oob_r2_))


def _kernels(units: np.ndarray, names: tuple[str, ...], subsets: list[Subset]) -> list[np.ndarray]:
    """Return, for each subset, the kernel that projects on functions of it alone: cosines of low degree."""
    basis = {
        p: np.stack([math.sqrt(2) * np.cos(np.pi * k * units[:, i]) for k in range(1, 7)]) for i, p in enumerate(names)
    }
    kernels = []
    for subset in subsets:
        if len(subset) == 1:
            kernels.append(basis[subset[0]].T @ basis[subset[0]])
            continue
        first, second = (basis[p] for p in subset)
        pairs = np.stack([first[i] * second[j] for i in range(3) for j in range(3) if i + j <= 2])
        kernels.append(pairs.T @ pairs)
    return kernels
