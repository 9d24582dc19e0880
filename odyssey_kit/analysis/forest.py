"""Trees and forests as boxes: exact means and variances over a product measure on the unit cube.

A regression tree is a sum of constants on boxes. With the boxes written as ranges of cells between
the tree's cuts, averaging over some coordinates needs no walk through the tree: main effects are
sums of differences, pairs a sweep. A choice that a leaf does not allow cuts its box in two, so that
categorical coordinates need nothing of their own. May import numpy, `analysis.box_sums` and
`analysis.measure`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from odyssey_kit.analysis import box_sums
from odyssey_kit.analysis.measure import Measure

__all__ = ["LeafBoxes", "forest_boxes", "leaf_boxes", "pool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LeafBoxes:
    r"""A piecewise constant function on the unit cube, :math:`f(u) = m + \sum_l v_l 1[u \in B_l]`.

    Parameters
    ----------
    cuts : tuple of (cells + 1,) arrays
        For each coordinate the sorted ends of its cells, from 0 to 1.
    mass : tuple of (cells + 1,) arrays
        The probability up to each cut; under the uniform measure the cut itself.
    start, stop : (leaves, coordinates) int arrays
        Each box as a range of cells: the first, and the one after the last.
    value : (leaves,) array
        The constants, centred so that the sum has mean zero.
    mean : float
        The mean m of the function.
    n_trees : int
        How many trees the boxes come from; those of one tree do not overlap and fill the cube.
    """

    cuts: tuple[np.ndarray, ...]
    mass: tuple[np.ndarray, ...]
    start: np.ndarray
    stop: np.ndarray
    value: np.ndarray
    mean: float
    n_trees: int = 1

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

    @cached_property
    def widths(self) -> np.ndarray:
        """Probabilities of the boxes' sides, (leaves, coordinates)."""
        sides = zip(self.mass, self.start.T, self.stop.T, strict=True)
        return np.array([mass[stop] - mass[start] for mass, start, stop in sides]).T

    def under(self, measures: Sequence[Measure]) -> LeafBoxes:
        """Return the same function under another measure; only the mean and the weights change."""
        mass = tuple(measure.cumulative(cuts) for measure, cuts in zip(measures, self.cuts, strict=True))
        return _centred(replace(self, mass=mass))

    def _weight_without(self, kept: Sequence[int]) -> np.ndarray:
        """Return each leaf's value times its probabilities in all coordinates but the kept ones."""
        weight = self.value.copy()
        for k in range(self.n_coordinates):
            if k not in kept:
                weight *= self.widths[:, k]
        return weight

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

    def surface_at(self, pair: tuple[int, int], first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the mean over all other coordinates on a grid of sorted points, (first, second)."""
        ranges = []
        for k, points in zip(pair, (first, second), strict=True):
            # The points of a box are a range; a cut belongs to the box below it, and 0 to the first.
            inside = np.searchsorted(points, self.cuts[k], side="right")
            inside[0] = 0
            ranges.append((inside[self.start[:, k]], inside[self.stop[:, k]]))
        return self.mean + box_sums.grid(self._weight_without(pair), ranges, (len(first), len(second)))

    def closed_variance(self, coordinates: Sequence[int]) -> float:
        r"""Return the variance of the mean over all other coordinates, :math:`V[E[f | u_U]]`.

        It holds the effect of U and of all its subsets; of all coordinates it is the total variance.
        """
        kept = list(coordinates)
        if len(kept) == 1:
            centred = self.marginal(kept[0]) - self.mean
            return float(np.diff(self.mass[kept[0]]) @ centred**2)
        if len(kept) == self.n_coordinates and self.n_trees == 1:
            return float(self.widths.prod(axis=1) @ self.value**2)
        ranges = [(self.start[:, k], self.stop[:, k], self.mass[k]) for k in kept]
        sums = box_sums.pair_variance if len(kept) == 2 else box_sums.overlap_variance
        return sums(self._weight_without(kept), ranges)

    def effects(self, subsets: Sequence[tuple[int, ...]]) -> np.ndarray:
        """Return the variance of each subset's own effect, beyond the effects of its subsets."""
        known: dict[tuple[int, ...], float] = {}

        def own(subset: tuple[int, ...]) -> float:
            if subset not in known:
                smaller = (c for size in range(1, len(subset)) for c in itertools.combinations(subset, size))
                known[subset] = self.closed_variance(subset) - sum(own(part) for part in smaller)
            return known[subset]

        return np.array([own(tuple(subset)) for subset in subsets])

    @cached_property
    def variance(self) -> float:
        """Total variance over the cube; quadratic in the leaves where boxes of several trees overlap."""
        return self.closed_variance(range(self.n_coordinates))


def _centred(boxes: LeafBoxes) -> LeafBoxes:
    """Move the mean out of the values: every point lies in one box of each tree."""
    shift = float(boxes.widths.prod(axis=1) @ boxes.value)
    centred = replace(boxes, value=boxes.value - shift / boxes.n_trees, mean=boxes.mean + shift)
    centred.__dict__["widths"] = boxes.widths  # the same, and not to be computed again
    return centred


@dataclass(frozen=True, kw_only=True, eq=False)
class _Nodes:
    """All nodes of all trees, one after the other."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    tree: np.ndarray
    roots: np.ndarray

    @classmethod
    def of(cls, trees: Sequence[Any]) -> _Nodes:
        sizes = np.array([len(tree.feature) for tree in trees])
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        offset = np.repeat(roots, sizes)

        def whole(name: str) -> np.ndarray:
            return np.concatenate([np.asarray(getattr(tree, name)).reshape(len(tree.feature)) for tree in trees])

        return cls(
            feature=whole("feature"),
            threshold=whole("threshold"),
            left=whole("children_left") + offset,
            right=whole("children_right") + offset,
            value=whole("value").astype(float),
            tree=np.repeat(np.arange(len(trees)), sizes),
            roots=roots,
        )


def forest_boxes(trees: Sequence[Any], choices: Sequence[int]) -> list[LeafBoxes]:
    """Return the boxes of several fitted trees, all read at once.

    Parameters
    ----------
    trees : sequence of sklearn.tree._tree.Tree
        Of regressors that were fitted on unit coordinates. Only the arrays ``feature``,
        ``threshold``, ``children_left``, ``children_right`` and ``value`` are read.
    choices : sequence of int
        For each coordinate 0 if it is one column of what the trees were fitted on, else its number
        of choices, each of which was a column of zeros and ones.
    """
    nodes = _Nodes.of(trees)
    coordinate = np.repeat(np.arange(len(choices)), [max(1, n) for n in choices])
    choice = np.concatenate([np.arange(n) if n else [-1] for n in choices])
    inner = nodes.feature >= 0
    column = np.maximum(nodes.feature, 0)  # a leaf has none; it is masked out
    split = np.where(inner, coordinate[column], -1)
    ordered = inner & (choice[column] < 0)
    rank, cuts = _ranks(nodes, split, ordered, choices)
    start = np.zeros((len(split), len(choices)), dtype=np.int32)
    stop = np.zeros_like(start)
    stop[nodes.roots] = [[len(c) - 1 for c in own] for own in cuts]
    banned = {k: np.zeros((len(split), n), dtype=bool) for k, n in enumerate(choices) if n}
    if banned or not box_sums.descend(split, rank, nodes.left, nodes.right, start, stop):
        _descend(nodes, split, rank, choice, start, stop, banned)
    leaves = np.flatnonzero(~inner)
    # Coordinate after coordinate in memory, as they are asked for from here on.
    start, stop = (np.asfortranarray(side.take(leaves, axis=0)) for side in (start, stop))
    for k, out in banned.items():
        leaves, start, stop = _runs(k, out[leaves], leaves, start, stop)
    owner = nodes.tree[leaves]
    ends = np.searchsorted(owner, np.arange(len(trees) + 1))
    raw = [
        LeafBoxes(cuts=own, mass=own, start=start[a:b], stop=stop[a:b], value=nodes.value[leaves[a:b]], mean=0.0)
        for own, a, b in zip(cuts, ends[:-1], ends[1:], strict=True)
    ]
    return [_centred(boxes) for boxes in raw]


def _descend(
    nodes: _Nodes,
    split: np.ndarray,
    rank: np.ndarray,
    choice: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    banned: dict[int, np.ndarray],
) -> None:
    """Hand the boxes down, level by level, through all trees at once; a split by a choice bans it or all others."""
    level = nodes.roots
    while len(level := level[split[level] >= 0]):
        left, right = nodes.left[level], nodes.right[level]
        for child in (left, right):
            start[child], stop[child] = start[level], stop[level]
            for out in banned.values():
                out[child] = out[level]
        here = rank[level] > 0
        stop[left[here], split[level[here]]] = rank[level[here]]
        start[right[here], split[level[here]]] = rank[level[here]]
        for k, out in banned.items():
            at = split[level] == k
            chosen = choice[nodes.feature[level[at]]]
            out[left[at], chosen] = True
            out[right[at]] |= chosen[:, None] != np.arange(out.shape[1])
        level = np.concatenate([left, right])


def _ranks(
    nodes: _Nodes, split: np.ndarray, ordered: np.ndarray, choices: Sequence[int]
) -> tuple[np.ndarray, list[tuple[np.ndarray, ...]]]:
    """Return each node's threshold as a rank among those of its tree and coordinate, and all cuts.

    Equal thresholds share a cut. Nodes are sorted once for all trees.
    """
    d, rank = len(choices), np.zeros(len(split), dtype=np.int32)
    at = np.flatnonzero(ordered)
    group = nodes.tree[at] * d + split[at]
    # Thresholds lie between 0 and 1, so one key sorts both; but for neighbours that its rounding swaps.
    order = np.argsort(group + nodes.threshold[at])
    if (np.diff(nodes.threshold[at][order]) < 0)[np.diff(group[order]) == 0].any():
        order = np.lexsort((nodes.threshold[at], group))
    group, threshold = group[order], nodes.threshold[at][order]
    new = np.ones(len(group), dtype=bool)
    new[1:] = (np.diff(group) != 0) | (np.diff(threshold) != 0)
    place, ends = np.cumsum(new), np.searchsorted(group[new], np.arange(len(nodes.roots) * d + 1))
    rank[at[order]] = place - ends[group]
    threshold = threshold[new]
    cuts = []
    for first in range(0, len(ends) - 1, d):
        own = []
        for k, n in enumerate(choices):
            inside = threshold[ends[first + k] : ends[first + k + 1]]
            own.append(np.arange(n + 1) / n if n else np.concatenate([[0.0], inside, [1.0]]))
        cuts.append(tuple(own))
    return rank, cuts


def _runs(
    k: int, out: np.ndarray, leaves: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write a leaf that allows several choices as one box for each unbroken run of them."""
    edges = np.diff(np.pad((~out).astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, first = np.nonzero(edges == 1)
    last = np.nonzero(edges == -1)[1]
    leaves, start, stop = leaves[row], start[row].copy(), stop[row].copy()
    start[:, k], stop[:, k] = first, last
    return leaves, start, stop


def leaf_boxes(tree: Any, n_coordinates: int) -> LeafBoxes:
    """Return the boxes of one tree that was fitted on unit coordinates.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> tree = DecisionTreeRegressor(random_state=0).fit([[0.1], [0.5]], [1.0, 3.0])
    >>> boxes = leaf_boxes(tree.tree_, 1)
    >>> boxes.marginal(0), round(boxes.mean, 6), round(boxes.variance, 6)
    (array([1., 3.]), 2.4, 0.84)
    """
    return forest_boxes([tree], [0] * n_coordinates)[0]


def pool(trees: Sequence[LeafBoxes]) -> LeafBoxes:
    """Return the average of several trees as one function: all leaves of all trees, on common cuts."""
    cuts, starts, stops, masses = [], [], [], []
    for k in range(trees[0].n_coordinates):
        sizes = [len(tree.cuts[k]) for tree in trees]
        every = np.concatenate([tree.cuts[k] for tree in trees])
        common, first, place = np.unique(every, return_index=True, return_inverse=True)
        places = np.split(place, np.cumsum(sizes)[:-1])
        cuts.append(common)
        masses.append(np.concatenate([tree.mass[k] for tree in trees])[first])
        starts.append(np.concatenate([own[tree.start[:, k]] for own, tree in zip(places, trees, strict=True)]))
        stops.append(np.concatenate([own[tree.stop[:, k]] for own, tree in zip(places, trees, strict=True)]))
    return LeafBoxes(
        cuts=tuple(cuts),
        mass=tuple(masses),
        start=np.array(starts).T,
        stop=np.array(stops).T,
        value=np.concatenate([tree.value for tree in trees]) / len(trees),
        mean=float(np.mean([tree.mean for tree in trees])),
        n_trees=len(trees),
    )
