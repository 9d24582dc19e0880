"""Anybody's table of trials: read from a file, and its search space guessed where nobody says it.

May import `errors`, `space`, `analysis.checks`, `analysis.schema` and `analysis.trials`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.checks import path_of, rows_where
from odyssey_kit.analysis.schema import PARAMETER_PREFIX, parameter_column, parameter_columns
from odyssey_kit.analysis.trials import frame_of
from odyssey_kit.errors import StudyError, UsageError
from odyssey_kit.space import Categorical, Distribution, LogUniform, SearchSpace, Uniform, UniformInteger

__all__ = ["TABLE_SUFFIXES", "guess_space", "read_space", "read_table"]

_READERS = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}
# What `read_table` reads.
TABLE_SUFFIXES = tuple(_READERS)
# From so many-fold a range on, a positive whole number is taken to be searched on a log scale.
_LOG_RATIO = 50
# So few different numbers, each of them so often, were a list to choose from.
_GRID, _REPEATS = 10, 3


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table of trials, whatever its columns.

    Parameters
    ----------
    path : str or path
        A CSV, Parquet or JSON file.

    Raises
    ------
    StudyError
        If there is no such file, or it cannot be read.
    """
    path = path_of(path)
    if path.suffix not in _READERS:
        raise StudyError(
            f"{path} is a {path.suffix or 'nameless'} file, expected one of {', '.join(_READERS)}; save it as CSV"
        )
    if not path.is_file():
        raise StudyError(f"no such file: {path}")
    try:
        return _READERS[path.suffix](path)
    except Exception as error:  # each reader has errors of its own
        raise StudyError(f"{path} cannot be read ({' '.join(str(error).split())})") from error


def read_space(path: str | os.PathLike[str]) -> SearchSpace:
    """Read a search space from JSON, as `SearchSpace.to_dict` gives it.

    Raises
    ------
    StudyError
        If it cannot be read.
    """
    path = path_of(path)
    try:
        text = path.read_text(encoding="utf-8")
        described = json.loads(text, object_pairs_hook=_without_repetition)
        return SearchSpace.from_dict(described)
    except (OSError, ValueError, AttributeError) as error:
        raise StudyError(
            f"{path} is no search space ({error}); expected JSON such as "
            '{"learning_rate": {"type": "LogUniform", "low": 1e-5, "high": 1e-1}}'
        ) from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{repeated[0]!r} is there more than once")
    return dict(pairs)


def _is_grid(values: pd.Series) -> bool:
    """Return whether numbers are a few that come again and again, and not all whole ones between two."""
    times = values.value_counts()
    if len(times) > _GRID or times.min() < _REPEATS:
        return False
    whole = bool((values == values.round()).all())
    return not whole or 2 * len(times) <= values.max() - values.min() + 1


def _guess(values: pd.Series) -> Distribution | None:
    values = values.dropna()
    try:
        different = values.unique()
    except TypeError as error:
        raise UsageError(
            f"column {values.name!r} holds {values.iloc[0]!r}, expected numbers or words; give each part a column"
        ) from error
    if len(different) < 2:
        return None
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return Categorical(choices=tuple(sorted(different.tolist(), key=str)))
    if (infinite := values.abs() == math.inf).any():
        raise UsageError(
            f"column {values.name!r} is infinite in {rows_where(infinite)}, expected finite numbers; drop these trials"
        )
    if _is_grid(values):
        return Categorical(choices=tuple(sorted(different.tolist())))
    low, high = float(values.min()), float(values.max())
    if pd.api.types.is_integer_dtype(values) or bool(np.all(different == np.round(different))):
        if low >= 1 and high / low >= _LOG_RATIO:
            return LogUniform(low=low, high=high, integer=True)
        return UniformInteger(low=low, high=high)
    even = _evenness(values.to_numpy(float))
    on_a_log_scale = low > 0 and high / low >= 3 and _evenness(np.log(values.to_numpy(float))) < even
    return LogUniform(low=low, high=high) if on_a_log_scale else Uniform(low=low, high=high)


def _evenness(values: np.ndarray) -> float:
    """Return how far the values are from being spread evenly (Kolmogorov's distance)."""
    from scipy import stats  # late, for `loading` and with it the command line import this module

    return float(stats.kstest((values - values.min()) / np.ptp(values), "uniform").statistic)  # pyright: ignore


def guess_space(frame: pd.DataFrame, parameters: Sequence[str] | None = None) -> SearchSpace:
    """Return a space that the values of some columns could have been drawn from.

    Words become choices; so do ten different numbers or fewer that come again and again, as of a
    grid, in their order. Whole numbers become integers; other positive numbers log-uniform or
    uniform, as they are more evenly spread; from the smallest to the largest value. A column with one
    value is left out. It is a guess: pass the true space where you know it.

    Parameters
    ----------
    frame : pandas.DataFrame
        Table of trials.
    parameters : sequence of str, optional
        Columns; by default those that begin with ``params_``.

    Raises
    ------
    UsageError
        If there is no such column, it is named twice, or none varies.

    Examples
    --------
    >>> runs = pd.DataFrame({"params_rate": [1e-3, 1e-4, 1e-2] * 3})
    >>> guess_space(runs)["rate"]
    Categorical(choices=(0.0001, 0.001, 0.01))
    """
    frame = frame_of(frame)
    if isinstance(parameters, str):
        raise UsageError(f"parameters is {parameters!r}, expected a list of columns such as [{parameters!r}]")
    names = list(parameters) if parameters else parameter_columns(frame)
    if not names:
        raise UsageError(
            f"no column begins with {PARAMETER_PREFIX!r}; say which are hyperparameters. The table has: "
            f"{', '.join(map(str, frame.columns))}"
        )
    laws: dict[str, Any] = {}
    for name in names:
        column = parameter_column(frame, str(name))
        if column is None:
            raise UsageError(f"the table has no column {name!r}; it has: {', '.join(map(str, frame.columns))}")
        short = column.removeprefix(PARAMETER_PREFIX)
        if short in laws:
            raise UsageError(f"hyperparameter {short!r} is named more than once in {', '.join(names)}")
        if (law := _guess(frame[column])) is not None:
            laws[short] = law
    if not laws:
        raise UsageError(f"none of {', '.join(names)} varies, so there is no space")
    return SearchSpace(laws)
