"""Trees and forests as boxes: exact means and variances over the unit cube.

A regression tree is a sum of constants on boxes. With the boxes written as ranges of cells between
the tree's cuts, averaging over some coordinates needs no walk through the tree. The unit cube is
that of `space`, so "uniform" here means "as the random search draws". May import numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["LeafBoxes", "leaf_boxes", "out_of_bag_r2", "pool"]

# Cells of a two-dimensional grid that are held at once (32 MB), and entries of a block of leaf pairs.
_GRID_CELLS = 4_000_000
_PAIR_ENTRIES = 60_000


@dataclass(frozen=True, kw_only=True, eq=False)
class LeafBoxes:
    r"""A piecewise constant function on the unit cube, :math:`f(u) = m + \sum_l v_l 1[u \in B_l]`.

    Parameters
    ----------
    cuts : tuple of (cells + 1,) arrays
        For each coordinate the sorted ends of its cells, from 0 to 1.
    start, stop : (leaves, coordinates) int arrays
        Each box as a range of cells: the first, and the one after the last.
    value : (leaves,) array
        The constants, centred so that the sum has mean zero.
    mean : float
        The mean m of the function.
    """

    cuts: tuple[np.ndarray, ...]
    start: np.ndarray
    stop: np.ndarray
    value: np.ndarray
    mean: float

    def __len__(self) -> int:
        return len(self.value)

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates of the cube."""
        return len(self.cuts)

    @cached_property
    def low(self) -> np.ndarray:
        """Lower corners of the boxes, (leaves, coordinates)."""
        return np.column_stack([cuts[cells] for cuts, cells in zip(self.cuts, self.start.T, strict=True)])

    @cached_property
    def high(self) -> np.ndarray:
        """Upper corners of the boxes, (leaves, coordinates)."""
        return np.column_stack([cuts[cells] for cuts, cells in zip(self.cuts, self.stop.T, strict=True)])

    def _weight_without(self, kept: Sequence[int]) -> np.ndarray:
        """Return each leaf's value times its widths in all coordinates but the kept ones."""
        others = [k for k in range(self.n_coordinates) if k not in kept]
        return self.value * (self.high[:, others] - self.low[:, others]).prod(axis=1)

    def marginal(self, coordinate: int) -> np.ndarray:
        """Return the mean of the function in each cell of one coordinate, over all the others."""
        # A leaf adds its weight from its first cell on and takes it away after its last one.
        weight, cells = self._weight_without([coordinate]), len(self.cuts[coordinate])
        steps = np.bincount(self.start[:, coordinate], weight, cells)
        steps -= np.bincount(self.stop[:, coordinate], weight, cells)
        return self.mean + np.cumsum(steps)[:-1]

    def marginal_at(self, coordinate: int, points: np.ndarray) -> np.ndarray:
        """Return the marginal at points of the unit interval; a cut belongs to the cell below it."""
        marginal = self.marginal(coordinate)
        cell = np.searchsorted(self.cuts[coordinate], points, side="left") - 1
        return marginal[np.clip(cell, 0, len(marginal) - 1)]

    def closed_variance(self, coordinates: Sequence[int]) -> float:
        r"""Return the variance of the mean over all other coordinates, :math:`V[E[f | u_U]]`.

        It holds the effect of U and of all its subsets; of all coordinates it is the total variance.
        """
        if len(coordinates) == 1:
            centred = self.marginal(coordinates[0]) - self.mean
            return float(np.diff(self.cuts[coordinates[0]]) @ centred**2)
        if len(coordinates) == 2:
            return self._pair_variance(*coordinates)
        return self._overlap_variance(coordinates)

    def effects(self, subsets: Sequence[tuple[int, ...]]) -> np.ndarray:
        """Return the variances of main effects and of pairs beyond their main effects, one a subset.

        Subsets have one or two coordinates.
        """
        closed = {(k,): self.closed_variance([k]) for subset in subsets for k in subset}
        return np.array(
            [closed[s] if len(s) == 1 else self.closed_variance(s) - closed[s[0],] - closed[s[1],] for s in subsets]
        )

    def _pair_variance(self, i: int, j: int) -> float:
        """Two-dimensional differences, summed up in blocks of rows so that memory stays bounded."""
        weight = self._weight_without([i, j])
        rows = np.concatenate([self.start[:, i], self.stop[:, i], self.start[:, i], self.stop[:, i]])
        columns = np.concatenate([self.start[:, j], self.start[:, j], self.stop[:, j], self.stop[:, j]])
        steps = np.concatenate([weight, -weight, -weight, weight])
        order = np.argsort(rows, kind="stable")
        rows, columns, steps = rows[order], columns[order], steps[order]
        width_i, width_j = np.diff(self.cuts[i]), np.diff(self.cuts[j])
        n_columns = len(self.cuts[j])
        block = max(1, _GRID_CELLS // n_columns)
        carried, total = np.zeros(n_columns), 0.0
        for first in range(0, len(width_i), block):
            last = min(first + block, len(width_i))
            a, b = np.searchsorted(rows, [first, last])
            flat = (rows[a:b] - first).astype(np.int64) * n_columns + columns[a:b]
            grid = np.bincount(flat, steps[a:b], (last - first) * n_columns).reshape(last - first, n_columns)
            grid[0] += carried
            np.cumsum(grid, axis=0, out=grid)
            carried = grid[-1].copy()
            np.cumsum(grid, axis=1, out=grid)
            total += float(width_i[first:last] @ (grid[:, :-1] ** 2 @ width_j))
        return total

    def _overlap_variance(self, coordinates: Sequence[int]) -> float:
        """Sum over pairs of leaves of their weights times the overlap of their boxes; quadratic in leaves."""
        kept = list(coordinates)
        weight, low, high = self._weight_without(kept), self.low[:, kept], self.high[:, kept]
        total = 0.0
        block = max(1, min(64, len(self)))
        for i in range(0, len(self), block):
            rows = slice(i, i + block)
            for j in range(i, len(self), _PAIR_ENTRIES // block):
                columns = slice(j, j + _PAIR_ENTRIES // block)
                overlap = np.ones((len(weight[rows]), len(weight[columns])))
                for k in range(len(kept)):
                    side = np.minimum.outer(high[rows, k], high[columns, k])
                    side -= np.maximum.outer(low[rows, k], low[columns, k])
                    overlap *= np.maximum(side, 0.0, out=side)
                # Pairs with a later leaf stand for both orders.
                later = np.where(np.arange(len(weight))[columns] >= i + block, 2.0, 1.0)
                total += float(weight[rows] @ overlap @ (later * weight[columns]))
        return total

    @cached_property
    def variance(self) -> float:
        """Total variance over the unit cube."""
        return self._overlap_variance(range(self.n_coordinates))


class _Tree(LeafBoxes):
    """Boxes that do not overlap, which makes the total variance a plain sum."""

    @cached_property
    def variance(self) -> float:
        return float((self.high - self.low).prod(axis=1) @ self.value**2)


def leaf_boxes(tree: Any, n_coordinates: int) -> LeafBoxes:
    """Return the boxes of one fitted tree.

    Parameters
    ----------
    tree : sklearn.tree._tree.Tree
        The ``tree_`` of a regressor that was fitted on unit coordinates. Only its arrays
        ``feature``, ``threshold``, ``children_left``, ``children_right`` and ``value`` are read.
    n_coordinates : int
        Number of coordinates.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> tree = DecisionTreeRegressor(random_state=0).fit([[0.1], [0.5]], [1.0, 3.0])
    >>> boxes = leaf_boxes(tree.tree_, 1)
    >>> boxes.marginal(0), round(boxes.mean, 6), round(boxes.variance, 6)
    (array([1., 3.]), 2.4, 0.84)
    """
    feature, threshold = tree.feature, tree.threshold
    # The rank of a node's threshold among the different ones of its coordinate: equal ones share a cut.
    rank, cuts = np.zeros(len(feature), dtype=np.int64), []
    for k in range(n_coordinates):
        nodes = np.flatnonzero(feature == k)
        different, inverse = np.unique(threshold[nodes], return_inverse=True)
        rank[nodes] = inverse + 1
        cuts.append(np.concatenate([[0.0], different, [1.0]]))
    start = np.zeros((len(feature), n_coordinates), dtype=np.int64)
    stop = np.zeros_like(start)
    stop[0] = [len(c) - 1 for c in cuts]
    level = np.array([0])
    while len(level := level[feature[level] >= 0]):
        left, right = tree.children_left[level], tree.children_right[level]
        for child in (left, right):
            start[child], stop[child] = start[level], stop[level]
        stop[left, feature[level]] = rank[level]
        start[right, feature[level]] = rank[level]
        level = np.concatenate([left, right])
    leaves = np.flatnonzero(feature < 0)
    value = np.asarray(tree.value, dtype=float).reshape(len(feature))[leaves]
    boxes = _Tree(cuts=tuple(cuts), start=start[leaves], stop=stop[leaves], value=value, mean=0.0)
    mean = float((boxes.high - boxes.low).prod(axis=1) @ value)
    return _Tree(cuts=tuple(cuts), start=start[leaves], stop=stop[leaves], value=value - mean, mean=mean)


def pool(trees: Sequence[LeafBoxes]) -> LeafBoxes:
    """Return the average of several trees as one function: all leaves of all trees, on common cuts."""
    cuts = tuple(np.unique(np.concatenate(per_tree)) for per_tree in zip(*(t.cuts for t in trees), strict=True))

    def recut(tree: LeafBoxes, cells: np.ndarray) -> np.ndarray:
        places = [np.searchsorted(common, own) for common, own in zip(cuts, tree.cuts, strict=True)]
        return np.column_stack([place[column] for place, column in zip(places, cells.T, strict=True)])

    return LeafBoxes(
        cuts=cuts,
        start=np.concatenate([recut(tree, tree.start) for tree in trees]),
        stop=np.concatenate([recut(tree, tree.stop) for tree in trees]),
        value=np.concatenate([tree.value for tree in trees]) / len(trees),
        mean=float(np.mean([tree.mean for tree in trees])),
    )


def out_of_bag_r2(forest: Any, units: np.ndarray, values: np.ndarray) -> float:
    """Return R² of predictions by the trees that did not see a trial; one that every tree saw (rare) is left out."""
    total, blind = np.zeros(len(values)), np.zeros(len(values))
    for tree, seen in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        unseen = np.ones(len(values), dtype=bool)
        unseen[seen] = False
        total[unseen] += tree.predict(units[unseen])
        blind[unseen] += 1
    there = blind > 0
    residual = values[there] - total[there] / blind[there]
    return float(1 - (residual**2).sum() / ((values[there] - values[there].mean()) ** 2).sum())
