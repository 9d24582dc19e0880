"""Alphabets of transcriptions: which characters there are, and their classes; class 0 is the blank.

May import `errors` and `data.sequences`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from odyssey_kit.data.sequences import offsets_of
from odyssey_kit.errors import DataError

__all__ = ["BLANK", "HANDWRITING", "classes", "encode", "symbols_of"]

BLANK = "∅"
# The 81 characters of the Odyssey's handwriting task: letters, digits, space and 18 signs.
HANDWRITING = (
    *("abcdefghijklmnopqrstuvwxyz"),
    *("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    *("0123456789"),
    *(" !\"#&'()*+,-./[]:;?"),
)


def symbols_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the blank and all characters that occur, in their order in Unicode.

    Examples
    --------
    >>> symbols_of(["ab", "b c"])
    ('∅', ' ', 'a', 'b', 'c')
    """
    return (BLANK, *sorted(set().union(*texts)))


def classes(symbols: Sequence[str]) -> dict[str, int]:
    """Return the class of each symbol; the blank has none."""
    return {symbol: index for index, symbol in enumerate(symbols) if index > 0}


def encode(texts: Sequence[str], symbols: Sequence[str], *, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of all characters end to end, and where each text begins.

    Raises
    ------
    DataError
        If a character has no class.

    Examples
    --------
    >>> encode(["ba", "", "a"], ("∅", "a", "b"), source="x")
    (array([2, 1, 1]), array([0, 2, 2, 3]))
    """
    known = classes(symbols)
    try:
        labels = [known[character] for text in texts for character in text]
    except KeyError as error:
        raise DataError(f"{source}: a transcript has the character {error}, which the alphabet lacks") from error
    return np.array(labels, dtype=np.int64), offsets_of([len(text) for text in texts])
