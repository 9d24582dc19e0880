"""Checks that several analyses share: of numbers, seeds, spaces and tables. May import `errors` and `space`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.errors import UsageError
from odyssey_kit.space import HOW_TO_BUILD_ONE, SearchSpace

__all__ = [
    "check_seed",
    "check_space",
    "check_whole",
    "is_number",
    "is_whole",
    "path_of",
    "repeated_column",
    "rows_where",
]


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; True and False are none."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number by its type; True, False and 2.0 are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_whole(name: str, value: Any, *, least: int) -> None:
    """Check that a setting is a whole number of so much at least.

    Raises
    ------
    UsageError
        Naming the setting, what was got and what was expected.

    Examples
    --------
    >>> check_whole("n_trees", 2.5, least=10)
    Traceback (most recent call last):
    odyssey_kit.errors.UsageError: n_trees is 2.5, expected 10 or more, a whole number
    """
    if not is_whole(value) or value < least:
        raise UsageError(f"{name} is {value!r}, expected {least} or more, a whole number")


def check_seed(value: Any) -> None:
    """Check a ``random_state``: a whole number, so that the same call gives the same result."""
    check_whole("random_state", value, least=0)


def check_space(space: Any) -> SearchSpace:
    """Return a search space, or say how to build one.

    Raises
    ------
    UsageError
        If there is none, or it is something else, or empty.
    """
    if space is None:
        raise UsageError("no search space: the trials bring none, so pass one, for instance space=ok.ODYSSEY_SPACE")
    if not isinstance(space, SearchSpace):
        raise UsageError(f"space is a {type(space).__name__}, expected a SearchSpace; {HOW_TO_BUILD_ONE}")
    if not space:
        raise UsageError(f"space has no hyperparameter; {HOW_TO_BUILD_ONE}")
    return space


def path_of(source: Any) -> Path:
    """Return the path that a text or a path means, or say that it is none."""
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(f"expected the path of a file, got {type(source).__name__}")
    return Path(source).expanduser()


def repeated_column(frame: pd.DataFrame) -> str:
    """Say which column occurs more than once, or nothing."""
    repeated = frame.columns[frame.columns.duplicated()].tolist()
    return f"column {repeated[0]!r} occurs more than once; rename or drop one" if repeated else ""


def rows_where(bad: Any) -> str:
    """Name the first few rows for which something holds, as they are labelled in the table.

    Examples
    --------
    >>> rows_where(pd.Series([False, True, True, True, True], index=list("abcde")))
    'rows b, c, d and 1 more'
    """
    labels = bad.index[bad.to_numpy(bool)].tolist()
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return f"row{'' if len(labels) == 1 else 's'} {', '.join(map(str, labels[:3]))}{more}"
