"""Sound files: RIFF .wav, and the NIST SPHERE files of TIMIT, which are called .WAV too.

Only what the corpora have: one channel of 16-bit samples, not compressed. May import `errors` only.
"""

from __future__ import annotations

import io
import re
import struct
import wave

import numpy as np

from odyssey_kit.errors import DataError

__all__ = ["read_sound"]

_MAX_SECONDS = 600
_MAX_HEAD = 1 << 16


def read_sound(data: bytes, source: str) -> tuple[np.ndarray, int]:
    r"""Return samples, int16, and sample rate; the kind of file is known by its first bytes, not by its name.

    Raises
    ------
    DataError
        If the file is neither kind, damaged, compressed or of another form than one channel of 16 bits.

    Examples
    --------
    >>> stream = io.BytesIO()
    >>> with wave.open(stream, "wb") as out:
    ...     out.setparams((1, 2, 8000, 0, "NONE", ""))
    ...     out.writeframes(b"\x01\x00\xff\xff")
    >>> read_sound(stream.getvalue(), "x.wav")
    (array([ 1, -1], dtype=int16), 8000)
    """
    if data[:4] == b"RIFF":
        samples, rate = _read_riff(data, source)
    elif data[:7] == b"NIST_1A":
        samples, rate = _read_sphere(data, source)
    else:
        raise DataError(f"{source}: begins with {data[:8]!r}, expected a RIFF or NIST SPHERE sound file")
    if len(samples) == 0 or not 1000 <= rate <= 200_000 or len(samples) > _MAX_SECONDS * rate:
        raise DataError(
            f"{source}: {len(samples):,} samples at {rate:,} a second, expected some, up to {_MAX_SECONDS} seconds"
        )
    return samples, rate


def _read_riff(data: bytes, source: str) -> tuple[np.ndarray, int]:
    try:
        with wave.open(io.BytesIO(data)) as stream:
            form = (stream.getnchannels(), stream.getsampwidth(), stream.getcomptype())
            rate, count = stream.getframerate(), stream.getnframes()
            body = stream.readframes(min(count, len(data)))
    except (wave.Error, EOFError, struct.error, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        raise DataError(f"{source}: not a readable wav file ({str(error)[:80] or type(error).__name__})") from error
    if form != (1, 2, "NONE"):
        raise DataError(f"{source}: {form[0]} channels of {8 * form[1]} bits, expected one of 16")
    if len(body) != 2 * count:
        raise DataError(f"{source}: {len(body) // 2:,} of {count:,} samples are there; the file is truncated")
    return np.frombuffer(body, dtype="<i2").astype(np.int16), rate


def _read_sphere(data: bytes, source: str) -> tuple[np.ndarray, int]:
    size = re.match(rb"NIST_1A\n\s*(\d{1,6})\n", data)
    if size is None or not 16 <= int(size[1]) <= min(_MAX_HEAD, len(data)):
        raise DataError(f"{source}: the head of the SPHERE file has no size that fits its {len(data):,} bytes")
    head = data[: int(size[1])].decode("latin-1")
    if "end_head" not in head:
        raise DataError(f"{source}: the head of the SPHERE file has no end")
    fields = dict(re.findall(r"^(\w+) -(?:i|r|s\d+) (.*)$", head.split("end_head")[0], re.MULTILINE))
    coding = fields.get("sample_coding", "pcm").strip()
    if coding != "pcm":
        raise DataError(f"{source}: samples are coded as {coding[:40]!r}, expected 'pcm'; unpack them with sph2pipe")
    wanted = {"channel_count": "1", "sample_n_bytes": "2"}
    for name, value in wanted.items():
        if fields.get(name, "").strip() != value:
            raise DataError(f"{source}: {name} is {fields.get(name, 'missing')[:40]!r}, expected {value!r}")
    order = {"01": "<i2", "10": ">i2"}.get(fields.get("sample_byte_format", "").strip())
    numbers = [fields.get(name, "").strip() for name in ("sample_rate", "sample_count")]
    if order is None or not all(re.fullmatch(r"\d{1,9}", number) for number in numbers):
        raise DataError(f"{source}: sample_byte_format, sample_rate or sample_count is missing or unreadable")
    rate, count = map(int, numbers)
    body = data[int(size[1]) :]
    if len(body) < 2 * count:
        raise DataError(f"{source}: {len(body) // 2:,} of {count:,} samples are there; the file is truncated")
    return np.frombuffer(body, dtype=order, count=count).astype(np.int16), rate
