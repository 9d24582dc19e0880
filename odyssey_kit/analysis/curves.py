"""Mean target along one or two hyperparameters: of the forest, and corrected on rows it did not see.

The forest's curve g leaves out part of the true one, f. Projected on smooth functions, what it leaves
out is the mean of φ(u_i) r_i over the rows, r being the residuals of trees that did not see the row;
the scatter of these products is the curve's error. May import `space`, `analysis.effects` and what that may import.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.analysis.effects import Effects
from odyssey_kit.analysis.forest import LeafBoxes
from odyssey_kit.analysis.intervals import LEVEL, WIDENING
from odyssey_kit.analysis.leave_two_out import PAIR_DEGREE, LeaveTwoOut
from odyssey_kit.analysis.measure import Measure
from odyssey_kit.space import Categorical, Distribution, SearchSpace

__all__ = ["corrected", "frame", "plain"]

# Degrees that the band counts beyond those of the curve: for what the curve's own basis cannot follow.
_BEYOND = 4


def plain(boxes: LeafBoxes, subset: Sequence[int], points: Sequence[np.ndarray]) -> np.ndarray:
    """Return the forest's mean over all other coordinates, (points,) or (points, points)."""
    if len(subset) == 1:
        return boxes.marginal_at(subset[0], points[0])
    return boxes.surface_at((subset[0], subset[1]), points[0], points[1])


def _functions(units: Sequence[np.ndarray], measures: Sequence[Measure], degree: int) -> np.ndarray:
    """Return one, the bases of each coordinate, and of two their products up to a total degree."""
    parts = [measure.basis(u, degree) for u, measure in zip(units, measures, strict=True)]
    rows = [np.ones(len(units[0])), *(f for values, _ in parts for f in values)]
    if len(parts) == 2:
        (a, p), (b, q) = parts
        pairs = itertools.product(range(len(p)), range(len(q)))
        rows += [a[i] * b[j] for i, j in pairs if p[i] + q[j] <= PAIR_DEGREE]
    return np.array(rows)


def corrected(
    boxes: LeafBoxes,
    subset: Sequence[int],
    points: Sequence[np.ndarray],
    found: LeaveTwoOut,
    units: np.ndarray,
    measures: Sequence[Measure],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the corrected mean and the half width of its 90 % band, point by point.

    Parameters
    ----------
    boxes : LeafBoxes
        The averaged forest, under the measures.
    subset : (1,) or (2,) sequence of int
        Coordinates.
    points : sequence of arrays
        Sorted positions on each of them.
    found : LeaveTwoOut
        Brings the residuals and the groups of the rows.
    units : (rows, coordinates) array
        Positions of the rows.
    measures : sequence of Measure
        One a coordinate.
    """
    chosen, here = [measures[k] for k in subset], [units[:, k] for k in subset]
    flat = [place.ravel() for place in np.meshgrid(*points, indexing="ij")]
    groups = np.unique(found.group, return_inverse=True)[1]
    n, m = len(groups), int(groups.max()) + 1
    # As many cosines as the trials can carry: six for 200, ten for 1,000.
    degree = int(np.clip(round(m ** (1 / 3)), 4, 12))
    shape = tuple(len(p) for p in points)
    added = _functions(flat, chosen, degree).T @ (_functions(here, chosen, degree) * found.residual).mean(axis=1)
    at_points = _functions(flat, chosen, degree + _BEYOND)
    products = _functions(here, chosen, degree + _BEYOND) * found.residual
    sums = np.zeros((m, len(products)))
    np.add.at(sums, groups, (products - products.mean(axis=1, keepdims=True)).T)
    covariance = sums.T @ sums / n**2 * m / (m - 1)
    variance = np.einsum("fp,fg,gp->p", at_points, covariance, at_points)
    error = np.sqrt(np.maximum(variance, 0.0))  # where nothing varies it may round to less than zero
    half = WIDENING * stats.norm.ppf((1 + LEVEL) / 2) * error
    return plain(boxes, subset, points) + added.reshape(shape), half.reshape(shape)


def frame(
    effects: Effects, subset: tuple[int, ...], space: SearchSpace, n_points: int, *, correct: bool
) -> pd.DataFrame:
    """Return a curve or a surface as a table in natural units; see `FunctionalANOVA.marginal`."""
    names = list(space)
    values = [_values(list(space.values())[k], effects.measures[k], n_points) for k in subset]
    laws = [list(space.values())[k] for k in subset]
    points = [
        np.clip([law.to_unit(value) for value in column], 0.0, 1.0) for law, column in zip(laws, values, strict=True)
    ]
    nothing = np.full(tuple(len(p) for p in points), np.nan)
    if correct and effects.corrected:
        found = effects.shares.found
        mean, half = corrected(effects.averaged, subset, points, found, effects.units, effects.measures)
        half = nothing if effects.note else half
    else:
        mean, half = plain(effects.averaged, subset, points), nothing
    bands = {"mean": mean.ravel(), "low": (mean - half).ravel(), "high": (mean + half).ravel()}
    if len(subset) == 1:
        trees = np.array([boxes.marginal_at(subset[0], points[0]) for boxes in effects.boxes])
        centre, spread = trees.mean(axis=0), trees.std(axis=0, ddof=1)
        bands |= {"spread_low": centre - spread, "spread_high": centre + spread}
        return pd.DataFrame({"parameter": names[subset[0]], "value": values[0], "quantile": points[0], **bands})
    places = pd.MultiIndex.from_product(values, names=["x", "y"]).to_frame(index=False)
    quantiles = [q.ravel() for q in np.meshgrid(*points, indexing="ij")]
    return pd.DataFrame(
        {
            "parameter_x": names[subset[0]],
            "parameter_y": names[subset[1]],
            "x": places["x"],
            "y": places["y"],
            "quantile_x": quantiles[0],
            "quantile_y": quantiles[1],
            **bands,
        }
    )


def _values(law: Distribution, measure: Measure, n_points: int) -> list[Any]:
    """Return values in natural units, equally spaced in quantiles, where the measure has any probability."""
    if isinstance(law, Categorical) and measure.mass is not None:
        return [choice for choice, mass in zip(law.choices, measure.mass, strict=True) if mass > 0]
    spaced = np.linspace(0.0, 1.0, n_points)
    units = _positions(measure, spaced)
    return list(dict.fromkeys(law.from_unit(float(u)) for u in units))


def _positions(measure: Measure, spaced: np.ndarray) -> np.ndarray:
    """Return positions between the ends of what has any probability, equally spaced."""
    if measure.atoms is not None and measure.mass is not None:
        there = measure.atoms[measure.mass > 0]
        return there[0] + spaced * (there[-1] - there[0])
    return measure.low + spaced * (measure.high - measure.low)
