r"""Variances of effects, corrected on rows that the trees did not see: "leave-two-out".

For any function g and the true f the variance of an effect U is

.. math:: V_U(f) = V_U(g) + 2 \langle g_U, f - g \rangle + \lVert (f - g)_U \rVert^2 .

If g was made without the rows i ≠ j, then with :math:`r = y - g(x)` the second term is the mean of
:math:`2 g_U(x_i) r_i` and the third the mean of :math:`r_i r_j K_U(x_i, x_j)`, where K_U projects on
functions of U alone. Every pair of rows is blind to some trees of one forest, so no forest is grown
again. What is left of the forest's bias is minus the square of what lies outside the basis of K.
May import numpy, `analysis.forest` and `analysis.measure`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from odyssey_kit.analysis.forest import LeafBoxes
from odyssey_kit.analysis.measure import Axis, Measure

__all__ = ["LeaveTwoOut", "leave_two_out", "projection"]

# Cells of an axis for main effects and for pairs; degrees of the bases of main effects, pairs and triples.
MAIN_CELLS, PAIR_CELLS = 128, 32
MAIN_DEGREE, PAIR_DEGREE, TRIPLE_DEGREE = 6, 4, 3
# Rows that are taken against all rows at once, and rows whose pairs tell how much h varies.
_BLOCK, _SAMPLE = 2048, 400


@dataclass(frozen=True, kw_only=True, eq=False)
class LeaveTwoOut:
    """Corrected variances and all that their intervals need.

    Parameters
    ----------
    subsets : tuple of tuples
        Main effects and pairs, by coordinate.
    variance : (subsets + 1,) array
        Of each effect, and of the whole function. Unbiased, so it can be slightly negative.
    influence : (subsets + 1, rows) array
        Mean of the kernel h over all partners of a row; twice its deviation is the row's influence.
    scatter : (subsets + 1, 2) array
        Means over pairs of rows of h² and of h times the total's h.
    noise : float
        Mean squared residual of rows against trees that saw neither of a pair.
    residual : (rows,) array
        Values minus predictions by trees that did not see the row.
    group : (rows,) int array
        Rows of one group are no independent draws.
    per_tree : (subsets, trees) array
        Shares within the single trees.
    """

    subsets: tuple[tuple[int, ...], ...]
    variance: np.ndarray
    influence: np.ndarray
    scatter: np.ndarray
    noise: float
    residual: np.ndarray
    group: np.ndarray
    per_tree: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Effects:
    """The trees' own effects: values at the rows (subset, row, tree), variances within and across trees."""

    at_rows: np.ndarray
    within: np.ndarray
    across: np.ndarray


def _sides(boxes: Sequence[LeafBoxes], axes: Sequence[Axis]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for each coordinate, the first cell of each leaf and the one after its last."""
    low = np.concatenate([tree.low for tree in boxes])
    high = np.concatenate([tree.high for tree in boxes])
    return [
        (np.searchsorted(axis.middle, low[:, k], side="right"), np.searchsorted(axis.middle, high[:, k], side="right"))
        for k, axis in enumerate(axes)
    ]


def _effects(
    boxes: Sequence[LeafBoxes], units: np.ndarray, measures: Sequence[Measure], subsets: Sequence[tuple[int, ...]]
) -> _Effects:
    d, n_trees = len(measures), len(boxes)
    tree = np.repeat(np.arange(n_trees), [len(b) for b in boxes])
    value, widths = np.concatenate([b.value for b in boxes]), np.concatenate([b.widths for b in boxes])
    axes = {1: [m.axis(MAIN_CELLS) for m in measures], 2: [m.axis(PAIR_CELLS) for m in measures]}
    sides = {size: _sides(boxes, axes[size]) for size in axes}
    cells = {size: [axis.cell(units[:, k]) for k, axis in enumerate(axes[size])] for size in axes}
    at_rows = np.empty((len(subsets), len(units), n_trees), dtype=np.float32)
    within, across = np.empty((len(subsets), n_trees)), np.empty(len(subsets))
    for u, subset in enumerate(subsets):
        size = len(subset)
        weight = value.copy()
        for k in range(d):
            if k not in subset:
                weight *= widths[:, k]
        mine = [axes[size][k] for k in subset]
        table = _tabulate(tree, n_trees, weight, [sides[size][k] for k in subset], [len(a.mass) for a in mine])
        for dim, axis in enumerate(mine, start=1):
            shape = [1] * table.ndim
            shape[dim] = -1
            table -= (table * axis.mass.reshape(shape)).sum(axis=dim, keepdims=True)
        mass = mine[0].mass if size == 1 else np.multiply.outer(mine[0].mass, mine[1].mass)
        flat, mass = table.reshape(n_trees, -1), mass.ravel()
        within[u] = flat**2 @ mass
        across[u] = (n_trees * (flat.mean(axis=0) ** 2 @ mass) - within[u].mean()) / (n_trees - 1)
        place = cells[size][subset[0]]
        if size == 2:
            place = place * len(mine[1].mass) + cells[size][subset[1]]
        at_rows[u] = flat[:, place].T
    return _Effects(at_rows=at_rows, within=within, across=across)


def _tabulate(
    tree: np.ndarray,
    n_trees: int,
    weight: np.ndarray,
    sides: Sequence[tuple[np.ndarray, np.ndarray]],
    shape: Sequence[int],
) -> np.ndarray:
    """Sum the leaves of each tree on a grid of one or two coordinates, by differences."""
    table = np.zeros(n_trees * int(np.prod([size + 1 for size in shape])))
    for corner in itertools.product((0, 1), repeat=len(shape)):
        place = tree
        for side, end, size in zip(sides, corner, shape, strict=True):
            place = place * (size + 1) + side[end]
        table += np.bincount(place, weight if sum(corner) % 2 == 0 else -weight, len(table))
    table = table.reshape(n_trees, *(size + 1 for size in shape))
    for dim, size in enumerate(shape, start=1):
        table = np.cumsum(table, axis=dim).take(np.arange(size), axis=dim)
    return table


def projection(
    units: np.ndarray, measures: Sequence[Measure], subsets: Sequence[tuple[int, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the basis functions at the rows, and to which subset each belongs.

    Functions of three coordinates belong to no subset (the number of subsets) and count in the total only.
    """
    bases = [measure.basis(units[:, k], MAIN_DEGREE) for k, measure in enumerate(measures)]
    functions, owner = [], []
    triples = itertools.combinations(range(len(measures)), 3) if len(measures) <= 12 else ()
    for u, subset in itertools.chain(enumerate(subsets), ((len(subsets), triple) for triple in triples)):
        limit = {1: MAIN_DEGREE, 2: PAIR_DEGREE, 3: TRIPLE_DEGREE}[len(subset)]
        for chosen in itertools.product(*(range(len(bases[k][1])) for k in subset)):
            if sum(bases[k][1][c] for k, c in zip(subset, chosen, strict=True)) <= limit:
                functions.append(np.prod([bases[k][0][c] for k, c in zip(subset, chosen, strict=True)], axis=0))
                owner.append(u)
    return np.array(functions).reshape(len(functions), len(units)), np.array(owner, dtype=int)


def leave_two_out(
    boxes: Sequence[LeafBoxes],
    blind: np.ndarray,
    units: np.ndarray,
    values: np.ndarray,
    measures: Sequence[Measure],
    group: np.ndarray,
) -> LeaveTwoOut:
    """Return corrected variances of all main effects and pairs, and of the whole function.

    Parameters
    ----------
    boxes : sequence of LeafBoxes
        The trees, under the measures.
    blind : (rows, trees) bool array
        Which trees saw no row of the row's group.
    units : (rows, coordinates) array
        Positions of the rows; a random sample of the measures.
    values : (rows,) array
        What the trees were fitted to.
    measures : sequence of Measure
        One a coordinate.
    group : (rows,) int array
        Rows of one group are never taken as a pair.
    """
    d = len(measures)
    subsets = (*((k,) for k in range(d)), *itertools.combinations(range(d), 2))
    effects = _effects(boxes, units, measures, subsets)
    saw_not = blind.astype(np.float32)
    means = np.array([b.mean for b in boxes], dtype=np.float32)
    # The surrogate is the trees' mean, main effects and pairs; their higher orders are mostly noise.
    predicted = effects.at_rows.sum(axis=0) + means
    residual = values - (saw_not * predicted).sum(axis=1) / np.maximum(saw_not.sum(axis=1), 1)
    rows = _Rows(
        values=values.astype(np.float32),
        group=group,
        saw_not=saw_not,
        masked=saw_not * predicted,
        effects=effects.at_rows * saw_not,
    )
    functions, owner = projection(units, measures, subsets)
    influence, count, noise, inverse = _sums(rows, functions.astype(np.float32), owner, len(subsets))
    within = np.append(effects.within.mean(axis=1), effects.within.mean(axis=1).sum())
    across = np.append(effects.across, effects.across.sum())
    pairs = count.sum()
    variance = across + (within - across) * inverse + influence.sum(axis=1) / pairs
    tree_variance = np.maximum([b.variance for b in boxes], 1e-300)
    return LeaveTwoOut(
        subsets=subsets,
        variance=variance,
        influence=influence / np.maximum(count, 1),
        scatter=_scatter(rows, functions.astype(np.float32), owner, len(subsets)),
        noise=noise,
        residual=residual,
        group=group,
        per_tree=effects.within / tree_variance,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Rows against trees, zero where a tree saw the row: (rows, trees), of effects (subsets, rows, trees)."""

    values: np.ndarray
    group: np.ndarray
    saw_not: np.ndarray
    masked: np.ndarray
    effects: np.ndarray

    def pairs(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return which pairs count, blind trees of each pair, and residuals of its first and its second row."""
        blind = self.saw_not[rows] @ self.saw_not[columns].T
        counts = (self.group[rows, None] != self.group[None, columns]) & (blind >= 2)
        blind = np.maximum(blind, 1.0)
        first = self.values[rows, None] - self.masked[rows] @ self.saw_not[columns].T / blind
        second = self.values[None, columns] - self.saw_not[rows] @ self.masked[columns].T / blind
        return counts, blind, first, second


def _sums(
    rows: _Rows, functions: np.ndarray, owner: np.ndarray, n_subsets: int
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return, for each row, the sum of h over its partners and their number; the noise; the mean of 1/blind trees.

    h(i, j) = g_U(x_i) r_i + g_U(x_j) r_j + r_i r_j K_U(x_i, x_j), everything by the trees blind to both.
    """
    n = len(rows.values)
    whole, sums, count = slice(0, n), np.zeros((n_subsets + 1, n)), np.zeros(n)
    squares = inverse = 0.0
    member = np.arange(n_subsets + 1)[:, None] == owner
    for begin in range(0, n, _BLOCK):
        block = slice(begin, min(begin + _BLOCK, n))
        counts, blind, first, second = rows.pairs(block, whole)
        count[block] = counts.sum(axis=1)
        squares += float((first**2 * counts).sum(dtype=float))
        inverse += float((counts / blind).sum(dtype=float))
        products = first * second * counts
        by_function = functions[:, block] * (products @ functions.T).T
        parts = member @ by_function.astype(float)
        sums[:, block] += parts
        weight = first * counts / blind
        by_tree = weight @ rows.saw_not
        for u in range(n_subsets):
            own = rows.effects[u, block]
            sums[u, block] += np.einsum("it,it->i", own, by_tree, dtype=float)
            sums[u] += np.einsum("jt,jt->j", rows.saw_not, weight.T @ own, dtype=float)
    # The whole is the sum of its main effects, its pairs and what the basis finds of triples.
    sums[-1] += sums[:-1].sum(axis=0)
    return sums, count, squares / count.sum(), inverse / count.sum()


def _scatter(rows: _Rows, functions: np.ndarray, owner: np.ndarray, n_subsets: int) -> np.ndarray:
    """Return the means of h² and of h times the total's h, over pairs of up to a few hundred rows."""
    some = slice(0, min(len(rows.values), _SAMPLE))
    counts, blind, first, second = rows.pairs(some, some)
    kernels = []
    for u in range(n_subsets + 1):
        mine = functions[owner == u][:, some]
        h = first * second * (mine.T @ mine)
        if u < n_subsets:
            g = rows.effects[u, some] @ rows.saw_not[some].T / blind * first
            h = h + g + g.T
        kernels.append(np.where(counts, h, 0.0))
    kernels[-1] = np.sum(kernels, axis=0)
    pairs = max(int(counts.sum()), 1)
    return np.array([[(h**2).sum(dtype=float), (h * kernels[-1]).sum(dtype=float)] for h in kernels]) / pairs
