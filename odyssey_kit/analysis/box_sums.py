"""Sums over boxes on a grid of cells: by numpy, and by numba where it is present and worth compiling.

A box is a range of cells in each coordinate; its weight is what it adds to every cell in it. Both
ways give the same numbers but for rounding (a test holds them to 1e-12). May import numpy, and
numba if it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

__all__ = ["descend", "grid", "overlap_variance", "pair_variance", "use_numba"]

Range = tuple[np.ndarray, np.ndarray, np.ndarray]  # first cell, cell after the last, probability up to each cut

# Cells of a two-dimensional grid that are held at once (32 MB), and entries of a block of box pairs.
_GRID_CELLS = 4_000_000
_PAIR_ENTRIES = 60_000
# Below so many boxes numpy is as quick, and nobody waits for a compiler.
_WORTH_COMPILING = 400
_mode: list[bool | None] = [None]


def use_numba(choice: bool | None) -> None:
    """Compile sums always (True), never (False), or where they are large and numba is there (None)."""
    _mode[0] = choice


def _compiled(n_boxes: int) -> Any:
    """Return the compiled sums, or None."""
    wanted = n_boxes >= _WORTH_COMPILING if _mode[0] is None else _mode[0]
    return _kernels() if wanted else None


@cache
def _kernels() -> Any:
    try:
        from odyssey_kit.analysis import box_kernels
    except (ImportError, RuntimeError):  # no numba, or no folder where it could keep what it compiled
        return None
    return box_kernels


def descend(
    split: np.ndarray, rank: np.ndarray, left: np.ndarray, right: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> bool:
    """Fill the boxes of all nodes from those of the roots, compiled; return False where there is no compiler."""
    if kernels := _compiled(len(split) // 64):
        kernels.descend(split, rank, left, right, start, stop)
    return bool(kernels)


def grid(weight: np.ndarray, ranges: Sequence[tuple[np.ndarray, np.ndarray]], shape: tuple[int, int]) -> np.ndarray:
    """Return the sum of the boxes' weights in each cell of a two-dimensional grid."""
    (a, b), (c, d) = ranges
    columns = shape[1] + 1
    flat = np.concatenate([a * columns + c, b * columns + d, a * columns + d, b * columns + c])
    steps = np.concatenate([weight, weight, -weight, -weight])
    sums = np.bincount(flat, steps, (shape[0] + 1) * columns).reshape(shape[0] + 1, columns)
    return sums.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]


def pair_variance(weight: np.ndarray, ranges: Sequence[Range]) -> float:
    """Return the mean square, over two coordinates, of the sum of weights of the boxes at a point.

    Two-dimensional differences, summed up in blocks of rows so that memory stays bounded; compiled,
    a sweep over the first coordinate with a Fenwick tree over the second.
    """
    (a, b, mass_i), (c, d, mass_j) = ranges
    if kernels := _compiled(len(weight)):
        return float(kernels.pair_variance(weight, a, b, c, d, mass_i, mass_j))
    rows = np.concatenate([a, b, a, b])
    columns = np.concatenate([c, c, d, d])
    steps = np.concatenate([weight, -weight, -weight, weight])
    order = np.argsort(rows, kind="stable")
    rows, columns, steps = rows[order], columns[order], steps[order]
    width_i, width_j, n_columns = np.diff(mass_i), np.diff(mass_j), len(mass_j)
    block = max(1, _GRID_CELLS // n_columns)
    carried, total = np.zeros(n_columns), 0.0
    for first in range(0, len(width_i), block):
        last = min(first + block, len(width_i))
        p, q = np.searchsorted(rows, [first, last])
        flat = (rows[p:q] - first).astype(np.int64) * n_columns + columns[p:q]
        cells = np.bincount(flat, steps[p:q], (last - first) * n_columns).reshape(last - first, n_columns)
        cells[0] += carried
        np.cumsum(cells, axis=0, out=cells)
        carried = cells[-1].copy()
        np.cumsum(cells, axis=1, out=cells)
        total += float(width_i[first:last] @ (cells[:, :-1] ** 2 @ width_j))
    return total


def overlap_variance(weight: np.ndarray, ranges: Sequence[Range]) -> float:
    """Return the same over any number of coordinates, by pairs of boxes: weights times overlaps."""
    low = np.column_stack([mass[start] for start, _, mass in ranges])
    high = np.column_stack([mass[stop] for _, stop, mass in ranges])
    if kernels := _compiled(len(weight)):
        order = np.argsort(low[:, 0], kind="stable")
        return float(kernels.overlap_variance(weight[order], low[order], high[order]))
    total, n = 0.0, len(weight)
    block = max(1, min(64, n))
    for i in range(0, n, block):
        rows = slice(i, i + block)
        for j in range(i, n, _PAIR_ENTRIES // block):
            columns = slice(j, j + _PAIR_ENTRIES // block)
            overlap = np.ones((len(weight[rows]), len(weight[columns])))
            for k in range(len(ranges)):
                side = np.minimum.outer(high[rows, k], high[columns, k])
                side -= np.maximum.outer(low[rows, k], low[columns, k])
                overlap *= np.maximum(side, 0.0, out=side)
            # Pairs with a later box stand for both orders.
            later = np.where(np.arange(n)[columns] >= i + block, 2.0, 1.0)
            total += float(weight[rows] @ overlap @ (later * weight[columns]))
    return total
