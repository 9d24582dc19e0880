"""Music as lists of notes: read and write the JSON, and turn it into piano rolls.

The file is ``{"train": pieces, "valid": pieces, "test": pieces}``; a piece is a list of steps, a step the
list of the MIDI notes that sound there. May import `errors`, `data.manifest` and `data.sequences`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from odyssey_kit.data.manifest import SPLITS
from odyssey_kit.data.sequences import Split
from odyssey_kit.errors import DataError

__all__ = [
    "HIGHEST_NOTE",
    "KEYS",
    "LOWEST_NOTE",
    "Pieces",
    "next_step_split",
    "parse_notes",
    "piano_roll",
    "write_notes",
]

# The 88 keys of a piano, as MIDI notes.
LOWEST_NOTE, HIGHEST_NOTE = 21, 108
KEYS = HIGHEST_NOTE - LOWEST_NOTE + 1

# Some ten times what the largest known corpus of this form needs.
_MAX_BYTES = 64_000_000
_MAX_PIECES = 20_000
_MAX_STEPS = 50_000  # a piece
_MAX_FRAMES = 1_000_000  # a file

Piece = Sequence[Sequence[int]]
Pieces = Mapping[str, Sequence[Piece]]


def parse_notes(data: bytes, *, source: str) -> Pieces:
    """Read the JSON and check all of it.

    Parameters
    ----------
    data : bytes
        The file.
    source : str
        Its name, for messages.

    Returns
    -------
    mapping of str to sequences of pieces
        For train, valid and test.

    Raises
    ------
    DataError
        For anything but the three splits of pieces of at least two steps of notes from 21 to 108.

    Examples
    --------
    >>> pieces = parse_notes(b'{"train": [[[60], []]], "valid": [[[60], [62]]], "test": [[[21], [108]]]}', source="x")
    >>> pieces["train"]
    [[[60], []]]
    """
    parsed = _parse_json(data, source)
    frames = 0
    for split in SPLITS:
        _check_list(parsed[split], 1, _MAX_PIECES, f"{source}: split {split}", "pieces")
        for index, piece in enumerate(parsed[split]):
            _check_piece(piece, f"{source}: split {split}, piece {index}")
            frames += len(piece)
    if frames > _MAX_FRAMES:
        raise DataError(f"{source}: {frames:,} steps in all, expected at most {_MAX_FRAMES:,}")
    return parsed


def write_notes(pieces: Pieces) -> bytes:
    """Return the JSON of pieces, always the same bytes for the same notes."""
    ordered = {split: [[sorted(set(step)) for step in piece] for piece in pieces[split]] for split in SPLITS}
    return (json.dumps(ordered, separators=(",", ":")) + "\n").encode("ascii")


def piano_roll(piece: Piece) -> np.ndarray:
    """Return a piece as zeros and ones, shape (steps, 88), float32; key 0 is MIDI note 21.

    Examples
    --------
    >>> roll = piano_roll([[21, 108], []])
    >>> roll.shape, np.argwhere(roll).tolist()
    ((2, 88), [[0, 0], [0, 87]])
    """
    roll = np.zeros((len(piece), KEYS), dtype=np.float32)
    rows = np.repeat(np.arange(len(piece)), [len(step) for step in piece])
    roll[rows, np.fromiter(chain.from_iterable(piece), dtype=np.int64, count=len(rows)) - LOWEST_NOTE] = 1.0
    return roll


def next_step_split(pieces: Sequence[Piece]) -> Split:
    """Return pieces as inputs and, one step later, targets.

    A piece of T steps has T - 1 frames to predict: the first step is only an input, the last only a target.

    Examples
    --------
    >>> split = next_step_split([[[60], [62], [64]]])
    >>> inputs, targets = split[0]
    >>> (inputs.argmax(axis=1) + 21).tolist(), (targets.argmax(axis=1) + 21).tolist()
    ([60, 62], [62, 64])
    """
    rolls = [piano_roll(piece) for piece in pieces]
    return Split.from_list((roll[:-1], roll[1:]) for roll in rolls)


def _parse_json(data: bytes, source: str) -> dict[str, Any]:
    if len(data) > _MAX_BYTES:
        raise DataError(f"{source}: {len(data):,} bytes, expected at most {_MAX_BYTES:,}")
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: not JSON ({error})") from error
    if not isinstance(parsed, dict) or set(parsed) != set(SPLITS):
        got = f"keys {sorted(parsed)[:5]}" if isinstance(parsed, dict) else type(parsed).__name__
        raise DataError(f"{source}: got {got}, expected an object with the splits {', '.join(SPLITS)}")
    return parsed


def _check_list(value: Any, least: int, most: int, where: str, what: str) -> None:
    if not isinstance(value, list):
        raise DataError(f"{where}: got {type(value).__name__}, expected a list of {what}")
    if not least <= len(value) <= most:
        raise DataError(f"{where}: got {len(value):,} {what}, expected {least:,} to {most:,}")


def _check_piece(piece: Any, where: str) -> None:
    _check_list(piece, 2, _MAX_STEPS, where, "steps")
    for step in piece:
        _check_list(step, 0, KEYS, where, "notes a step")
    kinds = {type(note) for step in piece for note in step}
    if kinds - {int}:
        raise DataError(f"{where}: a note is {min(kind.__name__ for kind in kinds - {int})}, expected a whole number")
    notes = set(chain.from_iterable(piece))
    if notes and (min(notes) < LOWEST_NOTE or max(notes) > HIGHEST_NOTE):
        wrong = min(notes) if min(notes) < LOWEST_NOTE else max(notes)
        shown = wrong if abs(wrong) < 10**9 else "a huge number"
        raise DataError(f"{where}: a note is {shown}, expected {LOWEST_NOTE} to {HIGHEST_NOTE}")
