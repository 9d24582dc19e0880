"""Arrays in files: read .npz archives without unpickling and without believing a size, and write them.

May import `errors` and `data.archives`.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from odyssey_kit.data.archives import open_zip, read_member
from odyssey_kit.errors import DataError

__all__ = ["read_npy", "read_npz", "write_npz"]

_KINDS = "biufU"  # whole numbers, reals, truth values, text; never objects


def read_npz(
    data: bytes | BinaryIO, names: Mapping[str, str] | None = None, *, limit: int, source: str
) -> dict[str, np.ndarray]:
    """Return arrays of an .npz archive.

    Parameters
    ----------
    data : bytes or file
        The archive.
    names : mapping of str to str, optional
        The arrays wanted and the kinds of number allowed for each ("i" signed, "u" unsigned, "f" real, "U" text);
        all arrays of any of these kinds by default.
    limit : int
        Bytes that an array may have.
    source : str
        The archive's name, for messages.

    Raises
    ------
    DataError
        If the archive is damaged, an array missing, too large or of another kind.
    """
    archive = open_zip(data, source)
    if names is None:
        names = {name.removesuffix(".npy"): _KINDS for name in archive.namelist()}
    arrays = {}
    for name, kinds in names.items():
        array = read_npy(read_member(archive, f"{name}.npy", limit=limit, source=source), f"{source}: {name}")
        if array.dtype.kind not in kinds:
            raise DataError(f"{source}: {name} holds {array.dtype}, expected a kind of {', '.join(kinds)}")
        arrays[name] = array
    return arrays


def read_npy(data: bytes, source: str) -> np.ndarray:
    """Return the array of an .npy file; its header must account for every byte.

    Examples
    --------
    >>> stream = io.BytesIO()
    >>> np.save(stream, np.arange(3))
    >>> read_npy(stream.getvalue(), "x")
    array([0, 1, 2])
    """
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a header of Python 2 is none of ours
            version = npy.read_magic(stream)
            read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, fortran, dtype = read_header(stream)
    except Exception as error:  # the header is a Python literal, and its reader has no closed list of what it raises
        raise DataError(f"{source}: not a readable array ({' '.join(str(error).split())[:80]})") from error
    body = len(data) - stream.tell()
    if dtype.kind not in _KINDS or dtype.hasobject or math.prod(shape) * dtype.itemsize != body or fortran:
        raise DataError(f"{source}: header says {dtype} of shape {shape}, which is not the {body:,} bytes after it")
    # A bytearray, so that the array may be written to.
    return np.frombuffer(bytearray(data[stream.tell() :]), dtype=dtype).reshape(shape)


def write_npz(stream: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an uncompressed .npz archive."""
    np.savez(stream, allow_pickle=False, **{name: np.asarray(array, order="C") for name, array in arrays.items()})
