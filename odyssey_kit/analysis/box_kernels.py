"""The sums of `box_sums`, compiled. May import numpy and numba; imported only where numba is there."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["descend", "overlap_variance", "pair_variance"]


@numba.njit(cache=True, nogil=True)
def descend(split, rank, left, right, start, stop):  # pragma: no cover - compiled
    """Hand each node's box down to its two children; parents stand before their children."""
    for node in range(len(split)):
        k = split[node]
        if k < 0:
            continue
        for child in (left[node], right[node]):
            for j in range(start.shape[1]):
                start[child, j] = start[node, j]
                stop[child, j] = stop[node, j]
        stop[left[node], k] = rank[node]
        start[right[node], k] = rank[node]


@numba.njit(cache=True, nogil=True)
def _by_cell(cells, n_cells):  # pragma: no cover - compiled
    """Sort boxes by a cell, by counting: the order, and where each cell begins in it."""
    ends = np.zeros(n_cells + 1, np.int64)
    for cell in cells:
        ends[cell + 1] += 1
    for k in range(n_cells):
        ends[k + 1] += ends[k]
    filled, order = ends.copy(), np.empty(len(cells), np.int64)
    for box in range(len(cells)):
        order[filled[cells[box]]] = box
        filled[cells[box]] += 1
    return order, ends


@numba.njit(cache=True, nogil=True)
def _up_to(tree, cut, place):  # pragma: no cover - compiled
    """Return the integral of the present row from the first cut to this one."""
    level = moment = 0.0
    k = cut
    while k > 0:
        level += tree[k, 0]
        moment += tree[k, 1]
        k -= k & -k
    return place * level - moment


@numba.njit(cache=True, nogil=True)
def _step(tree, cut, place, change, n_cells):  # pragma: no cover - compiled
    """Raise the present row by a change from this cut on."""
    k, moment = cut + 1, change * place
    while k <= n_cells:
        tree[k, 0] += change
        tree[k, 1] += moment
        k += k & -k


@numba.njit(cache=True, nogil=True)
def pair_variance(weight, a, b, c, d, mass_i, mass_j):  # pragma: no cover - compiled
    """Sweep over the rows of the first coordinate and keep the present row's square up to date.

    A box that begins or ends changes the row by x on its cells [c, d), and so the row's mean square
    q by 2x times the row's integral there plus x² times the range's probability. A Fenwick tree holds
    the row's steps and the steps times their places, so that an integral takes O(log cells).
    """
    n_rows, n_cells = len(mass_i) - 1, len(mass_j) - 1
    begins, begin_ends = _by_cell(a, n_rows + 1)
    stops, stop_ends = _by_cell(b, n_rows + 1)
    tree = np.zeros((n_cells + 2, 2))
    square = total = 0.0
    for row in range(n_rows):
        for phase in range(2):
            order, ends, sign = (stops, stop_ends, -1.0) if phase == 0 else (begins, begin_ends, 1.0)
            for p in range(ends[row], ends[row + 1]):
                box = order[p]
                x, first, last = sign * weight[box], np.int64(c[box]), np.int64(d[box])
                low, high = mass_j[first], mass_j[last]
                square += 2 * x * (_up_to(tree, last, high) - _up_to(tree, first, low)) + x * x * (high - low)
                _step(tree, first, low, x, n_cells)
                if last < n_cells:
                    _step(tree, last, high, -x, n_cells)
        total += square * (mass_i[row + 1] - mass_i[row])
    return total


@numba.njit(cache=True, nogil=True)
def overlap_variance(weight, low, high):  # pragma: no cover - compiled
    """Sum over pairs of boxes, which are sorted by their first lower corner, so that most pairs are skipped."""
    n, d = low.shape
    total = 0.0
    for i in range(n):
        own = weight[i] * weight[i]
        for k in range(d):
            own *= high[i, k] - low[i, k]
        total += own
        for j in range(i + 1, n):
            if low[j, 0] >= high[i, 0]:
                break
            product = 2.0 * weight[i] * weight[j]
            for k in range(d):
                side = min(high[i, k], high[j, k]) - max(low[i, k], low[j, k])
                if side <= 0.0:
                    product = 0.0
                    break
                product *= side
            total += product
    return total
