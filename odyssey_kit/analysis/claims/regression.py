"""Marginals and slopes by regression: what a rule asks of a metric as a function of the hyperparameters.

In a random search the hyperparameters are independent, so an additive model of smooth terms estimates
the marginals without bias from interactions. Slopes have heteroscedasticity-robust (HC3) intervals from
statsmodels; minima and widths have intervals from a bootstrap of the trials. May import `findings`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.interpolate import BSpline

from odyssey_kit.analysis.claims.findings import MissingColumn

__all__ = ["Marginal", "axis", "log_ratio", "marginal", "pieces", "proportion", "residual_pattern", "slopes", "spline"]

_RESAMPLES = 1000
_GRID = 121
_ENOUGH_FOR_CURVES = 100
_AT_AN_END = 2  # points of the grid: a smooth curve that falls to an end may turn at the very last one
_FEWEST = 20  # trials more than a regression has columns
# The coordinate that each hyperparameter is smooth in.
_AXES = {
    "learning_rate": np.log10,
    "hidden_size": np.log10,
    "momentum": lambda value: np.log10(1 - np.minimum(value, 1 - 1e-9)),
    "input_noise_std": lambda value: value,
}


def axis(name: str, values: Any) -> np.ndarray:
    """Return values of a hyperparameter on the axis it is smooth in (log₁₀ rate, log₁₀ size, log₁₀(1 − momentum)).

    Examples
    --------
    >>> axis("learning_rate", [1e-3, 1e-2])
    array([-3., -2.])
    """
    return np.asarray(_AXES.get(name, lambda value: value)(np.asarray(values, float)), float)


def spline(x: np.ndarray, low: float, high: float, columns: int) -> np.ndarray:
    """Return a B-spline basis on [low, high]: cubic, without the first column, which the constant has."""
    inner = np.linspace(low, high, columns - 1)[1:-1]
    knots = np.concatenate([[low] * 4, inner, [high] * 4])
    basis = BSpline.design_matrix(np.clip(x, low, high), knots, 3).toarray()
    return basis[:, 1:]


def pieces(x: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Return columns whose coefficients are the slopes between neighbouring knots.

    Examples
    --------
    >>> pieces(np.array([0.25, 0.75]), [0.0, 0.5, 1.0])
    array([[0.25, 0.  ],
           [0.5 , 0.25]])
    """
    return np.stack([np.clip(x, low, high) - low for low, high in itertools.pairwise(knots)], axis=1)


def _smooth_terms(frame: pd.DataFrame, names: Sequence[str], columns: int = 5) -> np.ndarray:
    terms = []
    for name in names:
        x = axis(name, frame[f"params_{name}"])
        if np.ptp(x) > 0:
            # A curve takes more trials than a line.
            curved = len(frame) >= _ENOUGH_FOR_CURVES
            terms.append(spline(x, x.min(), x.max(), columns) if curved else (x - x.mean())[:, None])
    return np.concatenate(terms, axis=1) if terms else np.empty((len(frame), 0))


def _others(frame: pd.DataFrame, *without: str) -> list[str]:
    return [name for name in _AXES if name not in without and f"params_{name}" in frame]


def _usable(frame: pd.DataFrame, target: str, what: str) -> np.ndarray:
    """Return which trials have a target; a handful, or targets that are all the same, are nothing to fit."""
    values = frame[target].astype(float).to_numpy()
    kept = np.isfinite(values)
    if kept.sum() < _FEWEST:
        raise MissingColumn(f"{int(kept.sum())} trials with {target}, too few for {what}")
    if np.ptp(values[kept]) == 0:
        raise MissingColumn(f"{int(kept.sum())} trials with one and the same {target}: there is nothing to explain")
    return kept


def slopes(frame: pd.DataFrame, columns: np.ndarray, *, target: str, without: Sequence[str]) -> Any:
    """Return the fitted regression of a target on some columns and on smooth terms of the other hyperparameters.

    The columns' coefficients are the first ones.

    Parameters
    ----------
    frame : pandas.DataFrame
        Trials.
    columns : ndarray
        (trials, k) of what is asked about.
    target : str
        Column to explain.
    without : sequence of str
        Hyperparameters that the columns stand for.
    """
    import statsmodels.api as sm

    kept, y = _usable(frame, target, "a regression"), frame[target].astype(float).to_numpy()
    rest = _smooth_terms(frame, _others(frame, *without))
    design = np.column_stack([columns, np.ones(len(frame)), rest])
    if kept.sum() < design.shape[1] + _FEWEST:
        raise MissingColumn(f"{int(kept.sum())} trials with {target}, too few for a regression")
    return sm.OLS(y[kept], design[kept]).fit(cov_type="HC3")


def log_ratio(frame: pd.DataFrame, *, treated: str, error: float) -> tuple[float, float, float]:
    """Return the ratio of the times an update, treated over the other variant, at equal size, with its interval."""
    if frame["updates"].le(0).any() or frame["seconds"].le(0).any():
        frame = frame[frame["updates"].gt(0) & frame["seconds"].gt(0)]
    timed = frame.assign(_pace=np.log(frame["seconds"].astype(float) / frame["updates"].astype(float)))
    indicators = [timed["variant"].eq(treated).to_numpy(float)]
    if "machine" in timed:
        # A machine is so many times as fast as another, whatever it trains: a constant of its own.
        indicators += [timed["machine"].eq(name).to_numpy(float) for name in sorted(set(timed["machine"]))[1:]]
    columns = np.column_stack(indicators)
    fit = slopes(timed, columns, target="_pace", without=("learning_rate", "momentum", "input_noise_std"))
    low, high = fit.conf_int(error)[0]
    return math.exp(fit.params[0]), math.exp(low), math.exp(high)


@dataclass(frozen=True, kw_only=True, eq=False)
class Marginal:
    """A marginal curve on a grid, and the same of every resample.

    Parameters
    ----------
    grid : ndarray
        (points,) on the hyperparameter's axis.
    curve : ndarray
        (points,) mean of the target there, over all other hyperparameters.
    resampled : ndarray
        (resamples, points).
    n : int
        Trials.
    """

    grid: np.ndarray
    curve: np.ndarray
    resampled: np.ndarray
    n: int

    def minimum(self) -> tuple[float, np.ndarray]:
        """Return where the minimum lies, in the sample and in every resample."""
        return float(self.grid[self.curve.argmin()]), self.grid[self.resampled.argmin(axis=1)]

    def at_the_edge(self) -> float:
        """Return the share of resamples whose minimum lies at an end of the grid."""
        at = self.resampled.argmin(axis=1)
        return float(np.mean(np.logical_or(*self._ends(at, at))))

    def minima_beyond(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where each resample's minimum can lie, from and to: one at an end of the grid lies there or beyond."""
        at, places = self.resampled.argmin(axis=1), self.minimum()[1]
        first, last = self._ends(at, at)
        return np.where(first, -np.inf, places), np.where(last, np.inf, places)

    def _ends(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whether stretches of the grid touch its beginning, and its end."""
        return first < _AT_AN_END, last >= len(self.grid) - _AT_AN_END

    def basin(self, tolerance: float) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the width of the stretch around the minimum within a share of the range, and each resample's.

        The latter twice, as the least and as the most that it can be: a stretch that touches an end of the grid may
        go on beyond it.
        """
        first, last = _basin_ends(np.vstack([self.curve, self.resampled]), tolerance)
        widths = (last - first) * (self.grid[1] - self.grid[0])
        most = np.where(np.logical_or(*self._ends(first, last)), np.inf, widths)
        return float(widths[0]), widths[1:], most[1:]

    def basin_ends(self, tolerance: float) -> tuple[float, float]:
        """Return where that stretch begins and ends."""
        first, last = _basin_ends(self.curve[None], tolerance)
        return float(self.grid[first[0]]), float(self.grid[last[0]])


def _basin_ends(curves: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last point of each curve's stretch around its minimum."""
    inside = curves <= curves.min(axis=1, keepdims=True) + tolerance * np.ptp(curves, axis=1, keepdims=True)
    found = []
    for row, at in zip(inside, curves.argmin(axis=1), strict=True):
        below, above = np.flatnonzero(~row[:at]), np.flatnonzero(~row[at:])
        first = below[-1] + 1 if len(below) else 0
        last = at + above[0] - 1 if len(above) else len(row) - 1
        found.append((first, last))
    first, last = np.array(found).T
    return first, last


def marginal(
    frame: pd.DataFrame,
    name: str,
    *,
    target: str = "test_metric",
    columns: int = 9,
    limits: tuple[float, float] | None = None,
    draws: str | None = None,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> Marginal:
    """Return the marginal of a target along one hyperparameter, by additive smooth terms.

    Parameters
    ----------
    frame : pandas.DataFrame
        Trials of one variant.
    name : str
        Hyperparameter.
    target : str
        Column.
    columns : int
        Columns of the spline along `name`.
    limits : tuple of float, optional
        Ends of the grid, on the axis; by default those of the trials.
    draws : str, optional
        Column whose equal values are one draw of the search, trained more than once: resampled together.
    seed, resamples : int
        Of the bootstrap.
    """
    frame = frame[_usable(frame, target, f"a curve over the {name.replace('_', ' ')}")]
    values = frame[target].astype(float).to_numpy()
    x = axis(name, frame[f"params_{name}"])
    low, high = limits or (float(x.min()), float(x.max()))
    others = _smooth_terms(frame, _others(frame, name))
    others = others - others.mean(axis=0)
    design = np.column_stack([np.ones(len(x)), spline(x, low, high, columns), others])
    if len(x) < 2 * design.shape[1]:
        raise MissingColumn(f"{len(x)} trials, too few for a curve over the {name.replace('_', ' ')}")
    grid = np.linspace(low, high, _GRID)
    seen = np.column_stack([np.ones(_GRID), spline(grid, low, high, columns), np.zeros((_GRID, others.shape[1]))])
    rng = np.random.default_rng(seed)
    block = np.arange(len(x)) if draws is None else np.unique(frame[draws], return_inverse=True)[1]
    blocks = int(block.max()) + 1
    drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), resamples)[:, block]
    weights = np.vstack([np.ones(len(x)), drawn])
    ridge = 1e-6 * len(x) * np.eye(design.shape[1])  # a resample may leave a stretch of the axis empty
    normal = np.einsum("bn,ni,nj->bij", weights, design, design, optimize=True) + ridge
    right = (weights * values) @ design
    curves = np.linalg.solve(normal, right[..., None])[..., 0] @ seen.T
    return Marginal(grid=grid, curve=curves[0], resampled=curves[1:], n=len(x))


def residual_pattern(x: np.ndarray, y: np.ndarray, residuals: np.ndarray, *, seed: int = 0, rounds: int = 999) -> float:
    """Return the permutation p of a smooth pattern of residuals over two coordinates.

    The statistic is the variance that products of low cosines explain; shuffled residuals give its
    distribution without a pattern.
    """
    terms = [np.cos(np.pi * i * x) * np.cos(np.pi * j * y) for i in range(1, 4) for j in range(1, 4) if i + j <= 4]
    basis, _ = np.linalg.qr(np.column_stack([np.ones(len(x)), *terms]))
    rng = np.random.default_rng(seed)

    def explained(values: np.ndarray) -> np.ndarray:
        return ((basis[:, 1:].T @ values) ** 2).sum(axis=0)

    shuffled = np.stack([rng.permutation(residuals) for _ in range(rounds)], axis=1)
    found = float(explained(residuals[:, None])[0])
    return (1 + int(np.sum(explained(shuffled) >= found))) / (rounds + 1)


def proportion(successes: int, n: int, error: float) -> tuple[float, float]:
    """Return the exact interval of a proportion (Clopper and Pearson, by statsmodels).

    Examples
    --------
    >>> low, high = proportion(20, 20, 0.05)
    >>> f"{low:.2f} {high:.2f}"
    '0.83 1.00'
    """
    from statsmodels.stats.proportion import proportion_confint

    low, high = cast(tuple[float, float], proportion_confint(successes, n, alpha=error, method="beta"))
    return float(low), float(high)
