"""Mean target along one or two hyperparameters: of the forest, and corrected on rows it did not see.

The forest's curve g leaves out part of the true one, f. Projected on smooth functions, what it leaves
out is the mean of φ(u_i) r_i over the rows, r being the residuals of trees that did not see the row;
the scatter of these products is the curve's error. May import numpy, scipy, `analysis.forest`,
`analysis.intervals`, `analysis.leave_two_out` and `analysis.measure`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy import stats

from odyssey_kit.analysis.forest import LeafBoxes
from odyssey_kit.analysis.intervals import LEVEL
from odyssey_kit.analysis.leave_two_out import MAIN_DEGREE, PAIR_DEGREE, LeaveTwoOut
from odyssey_kit.analysis.measure import Measure

__all__ = ["corrected", "plain"]


def plain(boxes: LeafBoxes, subset: Sequence[int], points: Sequence[np.ndarray]) -> np.ndarray:
    """Return the forest's mean over all other coordinates, (points,) or (points, points)."""
    if len(subset) == 1:
        return boxes.marginal_at(subset[0], points[0])
    return boxes.surface_at((subset[0], subset[1]), points[0], points[1])


def _functions(units: Sequence[np.ndarray], measures: Sequence[Measure]) -> np.ndarray:
    """Return one, the bases of each coordinate, and of two their products up to a total degree."""
    parts = [measure.basis(u, MAIN_DEGREE) for u, measure in zip(units, measures, strict=True)]
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
    chosen = [measures[k] for k in subset]
    at_rows = _functions([units[:, k] for k in subset], chosen)
    flat = [place.ravel() for place in np.meshgrid(*points, indexing="ij")]
    at_points = _functions(flat, chosen)
    products = at_rows * found.residual
    shape = tuple(len(p) for p in points)
    mean = plain(boxes, subset, points) + (at_points.T @ products.mean(axis=1)).reshape(shape)
    groups = np.unique(found.group, return_inverse=True)[1]
    n, m = len(groups), int(groups.max()) + 1
    sums = np.zeros((m, len(at_rows)))
    np.add.at(sums, groups, (products - products.mean(axis=1, keepdims=True)).T)
    covariance = sums.T @ sums / n**2 * m / (m - 1)
    error = np.sqrt(np.einsum("fp,fg,gp->p", at_points, covariance, at_points))
    return mean, (stats.norm.ppf((1 + LEVEL) / 2) * error).reshape(shape)
