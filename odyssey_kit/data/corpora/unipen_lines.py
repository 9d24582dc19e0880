"""UNIPEN lines: 8,136 lines of free text that 220 people wrote with a pen, a stand-in for IAM-OnDB.

Category 8 of the UNIPEN training release train_r01_v07, read into one file. No writer is in two splits, but
many prompts are: 1,301 of the 1,735 test lines have a text that also occurs in train, so their error rate looks
better than it would on new text. With the option ``new-texts`` these test lines are left out. Line heights were
scaled to 1000; here movements are divided by their root mean square over train, the same number for x and y.
There was no clock: time is the number of a point in its stroke, divided by its device's points a second. May
import `errors` and the rest of `data`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from odyssey_kit.data.alphabet import BLANK, HANDWRITING, encode
from odyssey_kit.data.arrays import read_npz
from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.manifest import SPLITS
from odyssey_kit.data.opened import Opened
from odyssey_kit.data.prepared import Made, prepared
from odyssey_kit.data.sequences import offsets_of
from odyssey_kit.data.strokes import pen_features
from odyssey_kit.errors import DataError

__all__ = ["SYMBOLS", "load", "read_lines"]

SYMBOLS = (BLANK, *HANDWRITING)
NEW_TEXTS = "new-texts"
_VERSION = 1
_ARRAYS = {
    "dxy": "i",
    "end_of_stroke": "u",
    "offsets": "i",
    "labels": "U",
    "split": "u",
    "writer": "i",
    "writer_ids": "U",
    "points_per_second": "f",
}
_MAX_ARRAY_BYTES = 1 << 28


def load(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return the lines, four values a frame, and their characters.

    Raises
    ------
    DataError
        If the file is malformed or counts are not the manifest's.
    """
    new_texts = NEW_TEXTS in options
    ready = prepared(
        opened.manifest,
        f"{opened.sha256} {_VERSION} {new_texts}",
        lambda: Made(_make(read_lines(opened.read(), opened.shown()), opened.shown(), new_texts), opened.sha256),
    )
    return described(opened.manifest, ready.splits, sha256=ready.sha256, symbols=SYMBOLS, options=options)


def read_lines(data: bytes, source: str) -> dict[str, np.ndarray]:
    """Return the file's arrays after checking that they describe lines of handwriting.

    Raises
    ------
    DataError
        If they do not.
    """
    arrays = read_npz(data, _ARRAYS, limit=_MAX_ARRAY_BYTES, source=source)
    offsets, points = arrays["offsets"].astype(np.int64), len(arrays["dxy"])
    texts = _lines_of(arrays["labels"], source, "labels")
    writers = _lines_of(arrays["writer_ids"], source, "writer_ids")
    count = len(offsets) - 1
    if offsets.ndim != 1 or count < 1 or offsets[0] != 0 or offsets[-1] != points or np.any(np.diff(offsets) < 2):
        raise DataError(f"{source}: offsets do not divide the {points:,} points into lines of at least two")
    shapes = {
        "dxy": (points, 2),
        "end_of_stroke": (points,),
        "split": (count,),
        "writer": (count,),
        "points_per_second": (count,),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise DataError(f"{source}: {name} has shape {arrays[name].shape}, expected {shape}")
    if len(texts) != count or not all(texts):
        raise DataError(f"{source}: {len(texts):,} texts for {count:,} lines, expected as many and none empty")
    rate, writer = arrays["points_per_second"], arrays["writer"]
    if not (np.all(rate > 0) and np.all(np.isfinite(rate)) and writer.min() >= 0 and writer.max() < len(writers)):
        raise DataError(f"{source}: points_per_second or writer is out of range")
    if set(np.unique(arrays["split"])) != {0, 1, 2} or arrays["end_of_stroke"].max() > 1:
        raise DataError(f"{source}: expected splits 0, 1 and 2, and ends of strokes 0 or 1")
    return {**arrays, "offsets": offsets, "labels": np.array(texts), "writer_ids": np.array(writers)}


def _lines_of(array: np.ndarray, source: str, name: str) -> list[str]:
    if array.shape != ():
        raise DataError(f"{source}: {name} has shape {array.shape}, expected one string")
    try:
        return str(array[()]).split("\n")
    except (ValueError, UnicodeError) as error:  # a code beyond Unicode
        raise DataError(f"{source}: {name} cannot be read ({error})") from error


def _make(lines: Mapping[str, np.ndarray], source: str, new_texts: bool) -> dict[str, dict[str, np.ndarray]]:
    split_of, texts = lines["split"], lines["labels"]
    chosen = {name: np.flatnonzero(split_of == number) for number, name in enumerate(SPLITS)}
    if new_texts:
        known = set(texts[chosen["train"]].tolist())
        chosen["test"] = np.array([index for index in chosen["test"] if texts[index] not in known], dtype=np.int64)
    arrays = {}
    for name in SPLITS:
        features = [_features(lines, int(index)) for index in chosen[name]]
        labels, label_offsets = encode(texts[chosen[name]].tolist(), SYMBOLS, source=source)
        arrays[name] = {
            "inputs": np.concatenate(features),
            "targets": labels,
            "offsets": offsets_of([len(frames) for frames in features]),
            "label_offsets": label_offsets,
            "names": np.array([f"{lines['writer_ids'][lines['writer'][index]]}/{index}" for index in chosen[name]]),
        }
    scale = np.sqrt(np.mean(np.square(arrays["train"]["inputs"][:, :2], dtype=np.float64)))
    for name in SPLITS:
        arrays[name]["inputs"][:, :2] /= np.float32(scale)
    return arrays


def _features(lines: Mapping[str, np.ndarray], index: int) -> np.ndarray:
    part = slice(lines["offsets"][index], lines["offsets"][index + 1])
    points = np.cumsum(lines["dxy"][part], axis=0, dtype=np.int64)
    seconds = np.arange(len(points)) / lines["points_per_second"][index]
    return pen_features(points, seconds, lines["end_of_stroke"][part] == 1)
