"""Text lines in HDF5 files, as clstm and Calamari have them.

``images`` holds each line's numbers in a row of its own length, ``images_dims`` their two dimensions,
``transcripts`` the classes of its characters, and ``codec`` the Unicode number of each class. clstm keeps a line as
sequence, (time, 48) reals with ink at 1; Calamari as image, (height, width) bytes with paper at 255.

The HDF5 library never ends, or ends the program, on some damaged files. So it reads in a process of its own
(`odyssey_kit.data.hdf5_worker`), which has a deadline. May import `errors`, `data.arrays` and
`data.line_images`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from odyssey_kit.data.arrays import read_npz
from odyssey_kit.data.line_images import HEIGHT, ink_of
from odyssey_kit.errors import DataError, UsageError

__all__ = ["HDF5Reader"]

_MAX_LINES, _MAX_PIXELS, _MAX_LABELS = 1_000_000, 10_000_000, 10_000
_ARRAYS = {"images": "fiu", "sizes": "i", "dims": "iu", "labels": "iu", "label_sizes": "i", "codec": "iu"}
_COMMAND = [sys.executable, "-c", "from odyssey_kit.data.hdf5_worker import main; main()"]

Line = tuple[np.ndarray, str]


class HDF5Reader:
    """Reads HDF5 files of text lines in a process of its own; a context.

    Parameters
    ----------
    deadline : float
        Seconds that a file may take.

    Raises
    ------
    UsageError
        If h5py is not installed.
    """

    def __init__(self, *, deadline: float = 600.0) -> None:
        if importlib.util.find_spec("h5py") is None:
            raise UsageError("HDF5 files need h5py, which is not here: pip install -c constraints.txt h5py")
        self._deadline = deadline
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="odyssey-", ignore_cleanup_errors=True)

    def __enter__(self) -> HDF5Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()
        self._folder.cleanup()

    def read(self, path: Path, source: str) -> list[Line]:
        """Return each line's ink, (height, width) from 0 to 1, and its text.

        Lines of clstm, 48 rows of float32, need no straightening; those of Calamari, float64, do.

        Raises
        ------
        DataError
            If the file is damaged or has another layout.
        """
        out = Path(self._folder.name) / "lines.npz"
        answer = self._ask({"path": str(path), "out": str(out), "limit": _MAX_LINES}, source)
        if "error" in answer:
            raise DataError(f"{source}: not a readable HDF5 file of text lines ({answer['error']})")
        with out.open("rb") as stream:
            arrays = read_npz(stream, _ARRAYS, limit=1 << 34, source=source)
        return _lines(arrays, source)

    def _ask(self, question: Mapping[str, object], source: str) -> dict[str, str]:
        process = self._process or self._start()
        timer = threading.Timer(self._deadline, process.kill)
        timer.start()
        try:
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(OSError):  # it ended already: the answer will be empty
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.flush()
            words = process.stdout.readline()
        finally:
            timer.cancel()
        if not words:
            self._stop()
            raise DataError(
                f"{source}: the HDF5 library gave up on it, or took over {self._deadline:g} s: it is damaged"
            )
        return json.loads(words)

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it is ready: loading the library takes no time off a file's
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _lines(arrays: Mapping[str, np.ndarray], source: str) -> list[Line]:
    codec, dims = arrays["codec"].tolist(), arrays["dims"]
    if not all(0 <= number < 0xD800 or 0xE000 <= number <= 0x10FFFF for number in codec):
        raise DataError(f"{source}: codec has numbers that are no characters")
    images = np.split(arrays["images"], np.cumsum(arrays["sizes"])[:-1])
    labels = np.split(arrays["labels"], np.cumsum(arrays["label_sizes"])[:-1])
    if dims.shape != (len(images), 2) or len(labels) != len(images):
        raise DataError(f"{source}: {len(images)} images, images_dims of shape {dims.shape}, {len(labels)} transcripts")
    characters = list(map(chr, codec))
    return [
        _line(image, (int(size[0]), int(size[1])), own, characters, f"{source}: line {index}")
        for index, (image, size, own) in enumerate(zip(images, dims, labels, strict=True))
    ]


def _line(values: np.ndarray, size: tuple[int, int], labels: np.ndarray, codec: list[str], where: str) -> Line:
    high, wide = size
    if not (high > 0 and wide > 0 and high * wide <= _MAX_PIXELS and len(values) == high * wide):
        raise DataError(f"{where} has {len(values):,} numbers and the dimensions {high} x {wide}")
    if not 0 < len(labels) <= _MAX_LABELS or labels.min() < 0 or labels.max() >= len(codec):
        raise DataError(f"{where} has a transcript of {len(labels)} classes, beyond the codec's {len(codec)}")
    text = "".join(codec[label] for label in labels).strip("\r\n")
    if not text:
        raise DataError(f"{where} has no transcript")
    if values.dtype.kind == "f":
        if wide != HEIGHT or not np.all(np.isfinite(values)):
            raise DataError(f"{where} is {high} x {wide} reals, expected a sequence of columns of {HEIGHT}")
        return values.reshape(high, wide).T.astype(np.float32), text
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"{where} has grey levels from {values.min()} to {values.max()}")
    return ink_of(values.reshape(high, wide)).astype(np.float64), text
