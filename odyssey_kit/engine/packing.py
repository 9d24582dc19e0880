"""Sequences of different lengths as packed rows: one time step's rows together, longest sequence first.

The layout of torch's PackedSequence, in numpy: nothing is padded, so nothing has to be masked.
May import `errors`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Packed", "pack"]


@dataclass(frozen=True)
class Packed:
    """Packed rows.

    Attributes
    ----------
    inputs, targets : ndarray
        (rows, features) and (rows, …).
    starts : ndarray
        (longest + 1,) first row of each time step.
    sequence : ndarray
        (rows,) the sequence that a row belongs to, numbered as they were given.
    """

    inputs: np.ndarray
    targets: np.ndarray
    starts: np.ndarray
    sequence: np.ndarray


def pack(inputs: np.ndarray, targets: np.ndarray, offsets: np.ndarray) -> Packed:
    """Pack sequences that lie end to end.

    Parameters
    ----------
    inputs, targets : ndarray
        (frames, features) and (frames, …), sequence s in rows ``offsets[s]:offsets[s + 1]``.
    offsets : ndarray
        (sequences + 1,).

    Examples
    --------
    >>> import numpy as np
    >>> frames = np.arange(5.0)[:, None]
    >>> packed = pack(frames, frames, np.array([0, 2, 5]))
    >>> packed.inputs[:, 0].tolist(), packed.starts.tolist(), packed.sequence.tolist()
    ([2.0, 0.0, 3.0, 1.0, 4.0], [0, 2, 4, 5], [1, 0, 1, 0, 1])
    """
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    time = np.arange(lengths.max())
    running = time[:, None] < lengths[order]  # (time, batch)
    rows = (offsets[:-1][order] + time[:, None])[running]
    starts = np.concatenate(([0], np.cumsum(running.sum(axis=1)))).astype(np.int64)
    sequence = np.broadcast_to(order, running.shape)[running]
    return Packed(np.ascontiguousarray(inputs[rows]), np.ascontiguousarray(targets[rows]), starts, sequence)
