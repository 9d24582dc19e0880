"""How options with units are read: durations and sizes. May import `errors`."""

from __future__ import annotations

import re

from odyssey_kit.errors import UsageError

__all__ = ["read_bytes", "read_duration"]

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_BYTES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def read_duration(text: str | None, option: str) -> float | None:
    """Return the seconds of a duration such as ``2h``, ``1h30m`` or ``90s``; a bare number is in minutes.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> read_duration("1h30m", "--time-budget"), read_duration("20", "--export-every")
    (5400.0, 1200.0)
    """
    if text is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return 60 * float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?[dhms])+", text):
        raise UsageError(f"{option} is {text!r}, expected a duration such as 2h, 1h30m or 90s")
    return sum(float(number) * _SECONDS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([dhms])", text))


def read_bytes(text: str | None, option: str) -> int | None:
    """Return the bytes of a size such as ``4G`` or ``500M``.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> read_bytes("1.5K", "--memory")
    1536
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"{option} is {text!r}, expected a size such as 4G or 500M")
    return int(float(match[1]) * _BYTES[match[2].upper()])
