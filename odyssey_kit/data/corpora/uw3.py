"""UW3: lines of English print from scanned reports, the data of Breuel's OCR experiments, from a user's own copy.

Either a folder of .bin.png images with .gt.txt transcripts, or HDF5 files as clstm has them. Lines are deskewed
and scaled to 48 rows (`odyssey_kit.data.line_images.normalised`), except those of clstm's files, which are
already. Folders called test and valid, or files with test in their names, make those splits. What is not given
is carved by clstm's rule for its 500 lines: names sorted backwards, the first tenth. May import `errors` and
the rest of `data`; h5py is imported on use.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from odyssey_kit.data.alphabet import encode, symbols_of
from odyssey_kit.data.archives import gunzip
from odyssey_kit.data.corpora.archiscribe_lines import decoded_text
from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.folders import Folder
from odyssey_kit.data.hdf5_lines import HDF5Reader
from odyssey_kit.data.line_images import ink_of, normalised, read_png
from odyssey_kit.data.manifest import SPLITS
from odyssey_kit.data.opened import Opened
from odyssey_kit.data.prepared import Made, prepared
from odyssey_kit.data.sequences import offsets_of
from odyssey_kit.errors import DataError

__all__ = ["carve", "load"]

_VERSION = 1
_IMAGE, _TEXT = ".bin.png", ".gt.txt"
_MAX_IMAGE_BYTES, _MAX_TEXT_BYTES, _MAX_HDF5_BYTES = 8_000_000, 10_000, 1 << 31

Line = tuple[str, np.ndarray, str]  # name, ink (48, width) as uint8, text


def load(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return the lines, columns of 48 pixels as frames, and their characters; read once, then taken from the cache.

    Raises
    ------
    MissingDataError
        If there is no folder; the message says what it looks like.
    DataError
        If a file is malformed, or an image has no transcript.
    """
    folder = opened.folder
    ready = prepared(opened.manifest, f"{folder.fingerprint} {_VERSION}", lambda: _make(opened, folder), _unpacked)
    symbols = tuple(ready.extras["symbols"].tolist())
    return described(
        opened.manifest, ready.splits, sha256=ready.sha256, symbols=symbols, options=options, source=str(folder.root)
    )


def carve(names: list[str]) -> dict[str, list[str]]:
    """Return which of the lines train, which are valid and which test.

    Examples
    --------
    >>> parts = carve([f"{number:02d}" for number in range(20)])
    >>> parts["test"], parts["valid"], len(parts["train"])
    (['18', '19'], ['16', '17'], 16)
    >>> carve(["train/1", "train/2", "train/3", "test/1"])
    {'train': ['train/1', 'train/2'], 'valid': ['train/3'], 'test': ['test/1']}
    """
    rest, tenth = sorted(names, reverse=True), max(1, len(names) // 10)
    parts: dict[str, list[str]] = {}
    for split in ("test", "valid"):
        given = [name for name in rest if re.search(rf"(?:^|[/_.-]){split}(?:ing|ation)?(?=[/_.:-])", name)]
        parts[split] = given or rest[:tenth]
        rest = [name for name in rest if name not in set(parts[split])]
    parts["train"] = rest
    return {split: sorted(parts[split]) for split in SPLITS}


def _unpacked(levels: np.ndarray) -> np.ndarray:
    return levels.astype(np.float32) / np.float32(255)


def _make(opened: Opened, folder: Folder) -> Made:
    from tqdm.auto import tqdm

    what = f"lines of {opened.manifest.name}"
    bar = tqdm(_all_lines(folder), desc=what, unit="line", leave=False, disable=not opened.progress)
    lines = {name: (ink, text) for name, ink, text in bar}
    if len(lines) < 3:
        raise DataError(
            f"{folder.root}: {len(lines)} lines, expected at least 3 (NAME{_IMAGE} with NAME{_TEXT}, or *.h5)"
        )
    symbols = symbols_of(text for _, text in lines.values())
    arrays = {}
    for split, names in carve(list(lines)).items():
        labels, label_offsets = encode([lines[name][1] for name in names], symbols, source=str(folder.root))
        arrays[split] = {
            "inputs": np.concatenate([lines[name][0] for name in names], axis=1).T,
            "targets": labels,
            "offsets": offsets_of([lines[name][0].shape[1] for name in names]),
            "label_offsets": label_offsets,
            "names": np.array(names),
        }
    return Made(arrays, folder.sha256, {"symbols": np.array(symbols)})


def _all_lines(folder: Folder) -> Iterator[Line]:
    for name in folder.files:
        if name.endswith(_IMAGE):
            stem = name.removesuffix(_IMAGE)
            if stem + _TEXT not in folder.files:
                raise DataError(f"{folder.shown(name)}: has no transcript beside it, expected {stem}{_TEXT}")
            text = decoded_text(folder.read(stem + _TEXT, limit=_MAX_TEXT_BYTES), folder.shown(stem + _TEXT))
            grey = read_png(folder.read(name, limit=_MAX_IMAGE_BYTES), folder.shown(name))
            yield stem, _levels(normalised(ink_of(grey))), text
        elif name.endswith((".h5", ".hdf5", ".h5.gz")):
            for index, (image, text) in enumerate(_hdf5_lines(folder, name)):
                ready = image if image.dtype == np.float32 else normalised(image)
                yield f"{name}:{index:06d}", _levels(ready), text


def _hdf5_lines(folder: Folder, name: str) -> list[tuple[np.ndarray, str]]:
    data, path = folder.read(name, limit=_MAX_HDF5_BYTES), folder.files[name]
    with HDF5Reader() as reader:
        if not name.endswith(".gz"):
            return reader.read(path, str(path))
        with tempfile.TemporaryDirectory(prefix="odyssey-", ignore_cleanup_errors=True) as place:
            unpacked = Path(place) / "unpacked.h5"
            unpacked.write_bytes(gunzip(data, limit=_MAX_HDF5_BYTES, source=str(path)))
            return reader.read(unpacked, str(path))


def _levels(ink: np.ndarray) -> np.ndarray:
    return np.round(255 * np.clip(ink, 0, 1)).astype(np.uint8)
