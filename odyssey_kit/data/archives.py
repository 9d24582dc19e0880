"""Read members of an archive in memory: nothing is unpacked, and no size is believed before it is bounded.

May import `errors` only.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from odyssey_kit.errors import DataError

__all__ = ["gunzip", "member_chunks", "open_zip", "read_member"]

_CHUNK = 1 << 16
# All that may lie in an archive before the member that is wanted.
_MAX_UNPACKED = 1 << 31

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
    tarfile.TarError,
)


def _short(error: BaseException) -> str:
    """Return an error's words on one line; some repeat what they read."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 120 else f"{words[:117]}..."


def open_zip(data: bytes | BinaryIO, source: str) -> zipfile.ZipFile:
    """Return a zip archive over bytes in memory, or over an open file.

    Raises
    ------
    DataError
        If the bytes are not a zip archive.
    """
    try:
        return zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data)
    except _BROKEN as error:
        raise DataError(f"{source}: not a readable zip archive ({_short(error)})") from error


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
        raise DataError(f"{source}: member {name} cannot be read ({_short(error)})") from error
    if len(data) > limit:
        raise DataError(f"{source}: member {name} unpacks to more than {limit:,} bytes")
    return data


def gunzip(data: bytes, *, limit: int, source: str) -> bytes:
    """Return gzip-compressed bytes unpacked, at most `limit` of them.

    Raises
    ------
    DataError
        If the bytes are not whole or unpack to more.

    Examples
    --------
    >>> gunzip(gzip.compress(b"two words"), limit=9, source="x.gz")
    b'two words'
    """
    if not data:  # which the library takes for an empty file's
        raise DataError(f"{source}: not a readable gzip file (no bytes)")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            unpacked = stream.read(limit + 1)
    except _BROKEN as error:
        raise DataError(f"{source}: not a readable gzip file ({_short(error)})") from error
    if len(unpacked) > limit:
        raise DataError(f"{source}: unpacks to more than the expected {limit:,} bytes")
    return unpacked


def member_chunks(archive: Path, name: str, *, limit: int) -> Iterator[bytes]:
    """Yield one member of an archive on disk, a wheel or a gzip-compressed tar, piece by piece.

    Nothing is unpacked to disk, and a link is no member.

    Raises
    ------
    DataError
        If the archive is damaged, or the member missing, a link, or larger than `limit` bytes.
    """
    source = archive.name
    try:
        if source.endswith((".whl", ".zip")):
            with zipfile.ZipFile(archive) as opened:
                yield read_member(opened, name, limit=limit, source=source)
            return
        with tarfile.open(archive, "r:gz") as opened:
            passed = 0
            for info in opened:
                passed += info.size
                if passed > _MAX_UNPACKED:
                    raise DataError(f"{source}: unpacks to more than {_MAX_UNPACKED:,} bytes")
                if info.name != name:
                    continue
                stream = opened.extractfile(info) if info.isreg() else None
                if stream is None or info.size > limit:
                    raise DataError(f"{source}: member {name} is a link or has more than {limit:,} bytes")
                while chunk := stream.read(_CHUNK):
                    yield chunk
                return
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(f"{source}: cannot be read as an archive ({_short(error)})") from error
    raise DataError(f"{source}: has no member {name}")
