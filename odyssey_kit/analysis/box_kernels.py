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
    """Chain the boxes of each cell: the first of a cell, and the one after each box; -1 ends a chain."""
    first, after = np.full(n_cells, -1), np.empty(len(cells), np.int64)
    for box, cell in enumerate(cells):
        after[box] = first[cell]
        first[cell] = box
    return first, after


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
def _step(tree, cut, place, change):  # pragma: no cover - compiled
    """Raise the present row by a change from this cut on."""
    k, moment = cut + 1, change * place
    while k < len(tree):
        tree[k, 0] += change
        tree[k, 1] += moment
        k += k & -k


@numba.njit(cache=True, nogil=True)
def pair_variance(weight, a, b, c, d, mass_i, mass_j):  # pragma: no cover - compiled
    """Sweep over the rows of the first coordinate and keep the present row's square up to date.

    From one row to the next the row changes by steps, at the corners of boxes that end and begin there.
    They are first added up cut by cut: where one box of a tree ends others begin, and only a split makes
    new corners, two of them, so that one step a leaf is left of four. A step by x from a cut on changes
    the row's mean square q by 2x times the row's integral from there plus x² times the probability from
    there. A Fenwick tree holds the steps and the steps times their places, so that an integral takes
    O(log cells).
    """
    n_rows, n_cells = len(mass_i) - 1, len(mass_j) - 1
    begin, stop = _by_cell(a, n_rows + 1), _by_cell(b, n_rows + 1)
    steps, waits, cuts = np.zeros(n_cells), np.zeros(n_cells, np.bool_), np.empty(n_cells, np.int64)
    tree, end = np.zeros((n_cells + 1, 2)), mass_j[n_cells]
    integral = square = total = 0.0
    for row in range(n_rows):
        n_cuts = 0
        for (first, after), sign in ((stop, -1.0), (begin, 1.0)):
            box = first[row]
            while box >= 0:
                change = sign * weight[box]
                for cut in (np.int64(c[box]), np.int64(d[box])):
                    if cut < n_cells:  # the last cut has nothing beyond it
                        if not waits[cut]:
                            waits[cut] = True
                            cuts[n_cuts] = cut
                            n_cuts += 1
                        steps[cut] += change
                    change = -change
                box = after[box]
        for cut in cuts[:n_cuts]:
            x, place = steps[cut], mass_j[cut]
            square += 2 * x * (integral - _up_to(tree, cut, place)) + x * x * (end - place)
            integral += x * (end - place)
            _step(tree, cut, place, x)
            steps[cut], waits[cut] = 0.0, False
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
