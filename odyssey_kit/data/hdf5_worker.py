"""The process that reads HDF5 files for `odyssey_kit.data.hdf5_lines`.

A question a line on standard input, an answer a line on standard output, the arrays in a file. May
import `data.arrays`, numpy and h5py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from odyssey_kit.data.arrays import write_npz

__all__ = ["main", "rows"]

_NAMES = ("images", "images_dims", "transcripts", "codec")
_MAX_MEMORY = 1 << 34  # bytes, where the system can hold a process to it


def main() -> None:
    """Answer until standard input ends; the first line says that all is loaded."""
    import h5py  # noqa: F401 - now, so that no file's time is spent on it

    _hold_to_memory()
    _say({})
    for words in sys.stdin:
        question = json.loads(words)
        try:
            arrays = rows(question["path"], question["limit"])
            with Path(question["out"]).open("wb") as stream:
                write_npz(stream, arrays)
            answer = {}
        except Exception as error:  # whatever h5py raises for damaged files is the answer
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"}
        _say(answer)


def _say(answer: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def rows(path: str, limit: int) -> dict[str, np.ndarray]:
    """Return a file's rows laid end to end, with the length of each."""
    import h5py

    with h5py.File(path, "r") as opened:
        file: Any = opened  # the library's own types know only that a name may be anything
        missing = [name for name in _NAMES if name not in file]
        if missing:
            raise ValueError(f"has {', '.join(list(file)[:5]) or 'nothing'}, lacks {', '.join(missing)}")
        images, dims, transcripts, codec = (file[name] for name in _NAMES)
        shapes = [tuple(dataset.shape) for dataset in (images, dims, transcripts, codec)]
        count = shapes[0][0] if shapes[0] else 0
        if shapes[:3] != [(count,), (count, 2), (count,)] or not 0 < count <= limit or not 0 < codec.size <= limit:
            raise ValueError(f"images, images_dims, transcripts and codec have shapes {shapes}")
        return {
            **_row_arrays(images, count, "images", "sizes"),
            **_row_arrays(transcripts, count, "labels", "label_sizes"),
            "dims": np.asarray(dims[:]),
            "codec": np.asarray(codec[:]).reshape(-1),
        }


def _row_arrays(dataset: Any, count: int, name: str, sizes: str) -> dict[str, np.ndarray]:
    found = [np.asarray(dataset[index]).reshape(-1) for index in range(count)]
    kinds = {array.dtype for array in found}
    if len(kinds) != 1 or next(iter(kinds)).kind not in "fiu":
        raise ValueError(f"{name} hold {', '.join(map(str, kinds))}, expected numbers of one kind")
    return {name: np.concatenate(found), sizes: np.array([len(array) for array in found], dtype=np.int64)}


def _hold_to_memory() -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > _MAX_MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, hard))
