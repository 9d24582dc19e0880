"""What takes long to compute from a corpus, such as features of speech, is computed once and kept in the cache.

A prepared file is known by what it was made from: the hashes of the corpus's files, the recipe's version and the
options. May import `errors` and the data rooms without corpora.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from odyssey_kit.data._sources import replacing
from odyssey_kit.data.archives import open_zip
from odyssey_kit.data.arrays import read_npz, write_npz
from odyssey_kit.data.fetch import cache_folder, locked
from odyssey_kit.data.manifest import SPLITS, Manifest
from odyssey_kit.data.sequences import LazySplit
from odyssey_kit.errors import DataError

__all__ = ["Arrays", "Decode", "Made", "Prepared", "as_float32", "lazy_splits", "prepared"]

# One split: inputs, targets, offsets, and where needed label_offsets and names.
Arrays = Mapping[str, np.ndarray]
Decode = Callable[[np.ndarray], np.ndarray]
_LIMIT = 1 << 34


@dataclass(frozen=True)
class Made:
    """What a recipe makes: the splits' arrays, the hash of what they were read from, and further arrays by name."""

    splits: Mapping[str, Arrays]
    sha256: str
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)


class Prepared(NamedTuple):
    """What is in the cache: splits whose inputs are read when first touched, the hash, and further arrays."""

    splits: dict[str, LazySplit]
    sha256: str
    extras: Mapping[str, np.ndarray]


def as_float32(array: np.ndarray) -> np.ndarray:
    """Return the numbers as they are, in float32."""
    return array.astype(np.float32, copy=False)


def lazy_splits(splits: Mapping[str, Arrays], decode: Decode = as_float32) -> dict[str, LazySplit]:
    """Return splits over arrays in memory, whose inputs become float32 when they are first touched."""

    def split(arrays: Arrays) -> LazySplit:
        return _split(arrays, lambda: decode(arrays["inputs"]), decode(arrays["inputs"][:1]).shape[1])

    return {name: split(splits[name]) for name in SPLITS}


def prepared(manifest: Manifest, key: str, make: Callable[[], Made], decode: Decode = as_float32) -> Prepared:
    """Return the splits of a data set from the cache, made and kept there first if they are not in it.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    key : str
        All that the arrays depend on.
    make : callable
        Makes them, with inputs in a compact form.
    decode : callable
        From the compact form, inputs as float32 of shape (frames, features).
    """
    name = f"prepared-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    path = cache_folder() / manifest.name / name
    try:
        return _open(path, decode)
    except (OSError, KeyError):  # not there, or damaged: made again
        pass
    made = make()
    arrays = {f"{split}/{kind}": array for split in SPLITS for kind, array in made.splits[split].items()}
    for split in SPLITS:  # its width is known before its inputs are
        arrays[f"{split}/width"] = np.array(decode(made.splits[split]["inputs"][:1]).shape[1])
    arrays |= {f"extras/{name}": array for name, array in made.extras.items()}
    with locked(manifest), replacing(path) as stream:
        write_npz(stream, {**arrays, "sha256": np.array(made.sha256)})
    return _open(path, decode)


def _open(path: Path, decode: Decode) -> Prepared:
    with path.open("rb") as stream:
        small = _read_all_but_inputs(stream, str(path))

    def part(name: str) -> dict[str, np.ndarray]:
        return {key.removeprefix(f"{name}/"): array for key, array in small.items() if key.startswith(f"{name}/")}

    splits = {}
    for name in SPLITS:
        arrays = part(name)
        splits[name] = _split(arrays, lambda name=name: decode(_inputs(path, f"{name}/inputs")), int(arrays["width"]))
    return Prepared(splits, str(small["sha256"]), part("extras"))


def _read_all_but_inputs(stream: BinaryIO, source: str) -> dict[str, np.ndarray]:
    names = [name.removesuffix(".npy") for name in open_zip(stream, source).namelist()]
    wanted = {name: "biufU" for name in names if not name.endswith("/inputs")}
    return read_npz(stream, wanted, limit=_LIMIT, source=source)


def _inputs(path: Path, name: str) -> np.ndarray:
    try:
        with path.open("rb") as stream:
            return read_npz(stream, {name: "biuf"}, limit=_LIMIT, source=str(path))[name]
    except DataError as error:
        path.unlink(missing_ok=True)
        raise DataError(f"{error}; it is removed: load the data set again, and it is prepared anew") from error


def _split(arrays: Arrays, read: Callable[[], np.ndarray], width: int) -> LazySplit:
    names = tuple(arrays["names"].tolist()) if "names" in arrays else ()
    targets = arrays["targets"]
    return LazySplit(
        read,
        width,
        targets if targets.ndim == 2 else targets.astype(np.int64),
        arrays["offsets"],
        arrays.get("label_offsets"),
        names,
    )
