"""Archiscribe lines: 4,255 scanned lines of German print of the nineteenth century, a stand-in for UW3.

Already cut out, scaled to 40 rows inside 48 and reduced to ink and paper; not deskewed. No work is in two splits. The
alphabet has the 168 characters of the whole corpus. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np

from odyssey_kit.data.alphabet import encode, symbols_of
from odyssey_kit.data.archives import open_zip, read_member
from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.line_images import HEIGHT, read_png
from odyssey_kit.data.manifest import SPLITS
from odyssey_kit.data.opened import Opened
from odyssey_kit.data.prepared import Made, prepared
from odyssey_kit.data.sequences import offsets_of
from odyssey_kit.errors import DataError

__all__ = ["load", "read_line"]

_VERSION = 1
_IMAGE, _TEXT = ".bin.png", ".gt.txt"
_MAX_IMAGE_BYTES, _MAX_TEXT_BYTES = 1_000_000, 10_000


def load(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return the lines, columns of 48 pixels as frames, and their characters.

    Raises
    ------
    DataError
        If the file is malformed or counts are not the manifest's.
    """
    ready = prepared(opened.manifest, f"{opened.sha256} {_VERSION}", lambda: _make(opened), _unpacked)
    symbols = tuple(ready.extras["symbols"].tolist())
    return described(opened.manifest, ready.splits, sha256=ready.sha256, symbols=symbols, options=options)


def read_line(archive: zipfile.ZipFile, stem: str, source: str) -> tuple[np.ndarray, str]:
    """Return one line's ink, shape (48, width), bool, and its text.

    Raises
    ------
    DataError
        If image or text cannot be read, or the image is not 48 rows high.
    """
    image = read_member(archive, stem + _IMAGE, limit=_MAX_IMAGE_BYTES, source=source)
    ink = read_png(image, f"{source}: {stem}{_IMAGE}") < 128
    if ink.shape[0] != HEIGHT:
        raise DataError(f"{source}: {stem}{_IMAGE} has {ink.shape[0]} rows, expected {HEIGHT}")
    text = read_member(archive, stem + _TEXT, limit=_MAX_TEXT_BYTES, source=source)
    return ink, decoded_text(text, f"{source}: {stem}{_TEXT}")


def decoded_text(data: bytes, source: str) -> str:
    r"""Return a transcript: one line in UTF-8.

    Examples
    --------
    >>> decoded_text(b"a line\n", "x")
    'a line'
    """
    try:
        text = data.decode("utf-8").strip("\ufeff\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not UTF-8 ({error})") from error
    if not text.strip() or not text.isprintable():
        raise DataError(f"{source}: {text[:40]!r}, expected one line of text")
    return text


def _unpacked(packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed, axis=1).astype(np.float32)


def _make(opened: Opened) -> Made:
    from tqdm.auto import tqdm

    source = opened.shown()
    archive = open_zip(io.BytesIO(opened.read()), source)
    stems = sorted(name.removesuffix(_IMAGE) for name in archive.namelist() if name.endswith(_IMAGE))
    bar = tqdm(stems, desc=f"lines of {opened.manifest.name}", unit="line", leave=False, disable=not opened.progress)
    lines = {stem: read_line(archive, stem, source) for stem in bar}
    symbols = symbols_of(text for _, text in lines.values())
    arrays = {}
    for split in SPLITS:
        own = [stem for stem in stems if stem.startswith(f"{split}/")]
        if not own:
            raise DataError(f"{source}: has no lines in {split}/")
        labels, label_offsets = encode([lines[stem][1] for stem in own], symbols, source=source)
        arrays[split] = {
            "inputs": np.packbits(np.concatenate([lines[stem][0] for stem in own], axis=1).T, axis=1),
            "targets": labels,
            "offsets": offsets_of([lines[stem][0].shape[1] for stem in own]),
            "label_offsets": label_offsets,
            "names": np.array(
                [stem.removeprefix(f"{split}/").rsplit("_", 1)[0] + "/" + stem.rsplit("_", 1)[-1] for stem in own]
            ),
        }
    return Made(arrays, opened.sha256, {"symbols": np.array(symbols)})
