"""Read members of an archive in memory: nothing is unpacked, and no size is believed before it is bounded.

May import `errors` only.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from odyssey_kit.errors import DataError

__all__ = ["open_zip", "read_member"]

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,  # a compression or version that zipfile does not know
    OSError,
    OverflowError,
    RuntimeError,  # an encrypted member
    ValueError,
)


def open_zip(data: bytes, source: str) -> zipfile.ZipFile:
    """Return a zip archive over bytes in memory.

    Raises
    ------
    DataError
        If the bytes are not a zip archive.
    """
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN as error:
        raise DataError(f"{source}: not a readable zip archive ({error})") from error


def read_member(archive: zipfile.ZipFile, name: str, *, limit: int, source: str) -> bytes:
    """Return the bytes of one member, at most `limit` of them.

    Raises
    ------
    DataError
        If the member is missing, damaged, encrypted or larger than `limit`.
    """
    try:
        size = archive.getinfo(name).file_size
        if size > limit:
            raise DataError(f"{source}: member {name} has {size:,} bytes, expected at most {limit:,}")
        with archive.open(name) as stream:
            data = stream.read(limit + 1)
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(f"{source}: member {name} cannot be read ({error})") from error
    if len(data) > limit:
        raise DataError(f"{source}: member {name} unpacks to more than {limit:,} bytes")
    return data
