"""The idx format of MNIST: a big-endian head that says how large the array is, then its bytes.

May import `errors` only.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from odyssey_kit.errors import DataError

__all__ = ["read_idx"]

_UNSIGNED_BYTE = 0x08
_MAX_ITEMS = 10**7


def read_idx(data: bytes, *, dimensions: int, source: str) -> np.ndarray:
    """Return the array of unsigned bytes that a file holds.

    Parameters
    ----------
    data : bytes
        The file.
    dimensions : int
        Expected: 1 for labels, 3 for images.
    source : str
        Its name, for messages.

    Raises
    ------
    DataError
        If head and length do not belong together.

    Examples
    --------
    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), dimensions=1, source="x")
    array([7, 9], dtype=uint8)
    """
    head = 4 + 4 * dimensions
    expected = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if len(data) < head or data[:4] != expected:
        raise DataError(f"{source}: begins with {data[:4].hex() or 'nothing'}, expected {expected.hex()} and a size")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    if not 0 < shape[0] <= _MAX_ITEMS or math.prod(shape) != len(data) - head:
        raise DataError(
            f"{source}: says that it holds {shape}, which is not the {len(data) - head:,} bytes that follow"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=head).reshape(shape)
