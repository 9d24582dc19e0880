"""MNIST: 70,000 handwritten digits, each read as 28 columns from left to right; and 5,000 of them.

The data of Breuel's benchmarks. Classes are numbered as clstm numbers them: 0 is epsilon, the class of the
steps that carry no digit; the digits 1 to 9 are classes 1 to 9, and the digit 0 is class 10. Of the 60,000
training digits the last 10,000 are valid, which is the usual way. Grey levels are divided by 255; Breuel
writes of "binary image input" and "bit vectors" while the notebooks of his clstm use grey ones: with the
option ``binary`` a pixel is 1 from 128 up, else 0. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from odyssey_kit.data.archives import gunzip
from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.idx import read_idx
from odyssey_kit.data.opened import Opened
from odyssey_kit.data.sequences import LazySplit, Split
from odyssey_kit.errors import DataError

__all__ = ["SYMBOLS", "load", "load_5k", "read_5k"]

SIDE = 28
SYMBOLS = ("ε", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0")
_VALID = 10_000
_MAX_CSV_BYTES = 64_000_000


def load(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return all of MNIST for classification; its images are read when a split's inputs are first touched.

    Raises
    ------
    DataError
        If a file is malformed or its counts are not the manifest's.
    """
    opened.paths  # noqa: B018 - fetched now, not at the first touch
    binary = "binary" in options
    train, test = (_labels(opened, f"{name}-labels-idx1-ubyte") for name in ("train", "t10k"))
    cut = len(train) - _VALID
    if cut < 1:
        raise DataError(f"{opened.shown('train-labels-idx1-ubyte')}: {len(train):,} labels, expected 60,000")
    parts = {
        "train": (train[:cut], "train-images-idx3-ubyte", slice(0, cut)),
        "valid": (train[cut:], "train-images-idx3-ubyte", slice(cut, None)),
        "test": (test, "t10k-images-idx3-ubyte", slice(None)),
    }

    @cache  # two splits are of one file
    def images(file: str) -> np.ndarray:
        return read_idx(opened.read(file), dimensions=3, source=opened.shown(file))

    def columns(file: str, part: slice, count: int) -> np.ndarray:
        found = images(file)
        if found.shape[1:] != (SIDE, SIDE) or len(found[part]) != count:
            raise DataError(f"{opened.shown(file)}: images of shape {found.shape}, expected {count:,} of (28, 28)")
        return as_columns(found[part], binary)

    splits = {
        name: _split(partial(columns, file, part, len(labels)), labels) for name, (labels, file, part) in parts.items()
    }
    return described(opened.manifest, splits, sha256=opened.sha256, symbols=SYMBOLS, options=options)


def load_5k(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return 5,000 digits in a split of their own: of every five in the file's order, three, one and one.

    Raises
    ------
    DataError
        If the file is malformed.
    """
    images, labels = read_5k(opened.read(), opened.shown())
    which = np.arange(len(labels)) % 5
    parts = {"train": which < 3, "valid": which == 3, "test": which == 4}
    splits = {
        name: _split(partial(as_columns, images[part], "binary" in options), labels[part])
        for name, part in parts.items()
    }
    return described(opened.manifest, splits, sha256=opened.sha256, symbols=SYMBOLS, options=options)


def read_5k(data: bytes, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images (digits, 28, 28) and labels of gzip-compressed lines: 784 grey levels and the digit.

    Raises
    ------
    DataError
        If a line is anything else.

    Examples
    --------
    >>> import gzip
    >>> images, labels = read_5k(gzip.compress(b"0," * 784 + b"7"), "x.csv.gz")
    >>> images.shape, labels
    ((1, 28, 28), array([7], dtype=uint8))
    """
    text = gunzip(data, limit=_MAX_CSV_BYTES, source=source)
    lines = text.splitlines()
    if not lines or set(text) - set(b"0123456789.,\r\n"):
        raise DataError(f"{source}: expected lines of {SIDE * SIDE} grey levels and a digit, separated by commas")
    for index, line in enumerate(lines):
        if line.count(b",") != SIDE * SIDE:
            raise DataError(
                f"{source}: line {index + 1} has {line.count(b',') + 1} numbers, expected {SIDE * SIDE + 1}"
            )
    try:
        numbers = np.array(b",".join(lines).split(b","), dtype="S8").astype(np.float64).reshape(len(lines), -1)
    except ValueError as error:
        raise DataError(f"{source}: a number cannot be read ({error})") from error
    if np.any(numbers != np.floor(numbers)) or numbers.max() > 255 or numbers[:, -1].max() > 9:
        raise DataError(f"{source}: expected grey levels from 0 to 255 and digits from 0 to 9")
    return numbers[:, :-1].astype(np.uint8).reshape(-1, SIDE, SIDE), numbers[:, -1].astype(np.uint8)


def as_columns(images: np.ndarray, binary: bool = False) -> np.ndarray:
    """Return images (n, height, width) of grey levels as frames, column after column, from 0 to 1.

    Examples
    --------
    >>> as_columns(np.array([[[0, 255], [51, 0]]], dtype=np.uint8))
    array([[0. , 0.2],
           [1. , 0. ]], dtype=float32)
    """
    columns = images.transpose(0, 2, 1).reshape(-1, images.shape[1])
    if binary:
        return (columns >= 128).astype(np.float32)
    return columns / np.float32(255)


def _labels(opened: Opened, name: str) -> np.ndarray:
    labels = read_idx(opened.read(name), dimensions=1, source=opened.shown(name))
    if labels.max() > 9:
        raise DataError(f"{opened.shown(name)}: a label is {labels.max()}, expected a digit from 0 to 9")
    return labels


def _split(read: partial[np.ndarray], labels: np.ndarray) -> Split:
    one_each = np.arange(len(labels) + 1, dtype=np.int64)
    classes = np.where(labels == 0, 10, labels).astype(np.int64)
    return LazySplit(read, SIDE, classes, SIDE * one_each, one_each)
