"""Pen strokes as the Odyssey's handwriting task takes them: movements, time since the pen came down, and its lifts.

May import `errors` only.
"""

from __future__ import annotations

import numpy as np

__all__ = ["FEATURES", "pen_features"]

FEATURES = ("Δx", "Δy", "t since the stroke began", "pen lifted")


def pen_features(points: np.ndarray, seconds: np.ndarray, lifted: np.ndarray, *, halve: bool = True) -> np.ndarray:
    """Return one line of handwriting as frames.

    Parameters
    ----------
    points : numpy.ndarray, shape (points, 2)
        Where the pen was.
    seconds : numpy.ndarray, shape (points,)
        When; any origin.
    lifted : numpy.ndarray, shape (points,), bool
        Whether the pen is lifted after this point.
    halve : bool
        Keep every second point, as the paper did. Of two points the later stays, and no lift of the pen is lost.

    Returns
    -------
    numpy.ndarray, shape (frames, 4), float32
        Δx and Δy from the frame before (0 in the first one; from stroke to stroke the way through the air), seconds
        since the stroke's first point, and 1 where the pen is lifted.

    Examples
    --------
    >>> line = np.array([[0, 0], [1, 0], [2, 0], [5, 5], [6, 5]])
    >>> pen_features(line, 0.01 * np.arange(5), np.array([0, 0, 1, 0, 1], bool)).round(2)
    array([[0.  , 0.  , 0.01, 0.  ],
           [4.  , 5.  , 0.  , 1.  ],
           [1.  , 0.  , 0.01, 1.  ]], dtype=float32)
    """
    seconds = np.asarray(seconds, dtype=np.float64)
    begins = np.concatenate([[True], np.asarray(lifted[:-1], dtype=bool)])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))
    since = seconds - seconds[first]
    flags = np.asarray(lifted, dtype=np.float64)
    kept = np.arange(len(points))
    if halve:
        kept = np.minimum(np.arange(1, len(points) + 1, 2), len(points) - 1)
        flags = np.maximum.reduceat(flags, np.arange(0, len(points), 2))
    moved = np.diff(np.asarray(points, dtype=np.float64)[kept], axis=0, prepend=points[kept[:1]])
    return np.column_stack([moved, since[kept], flags]).astype(np.float32)
