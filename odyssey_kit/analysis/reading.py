"""Anybody's table of trials: read from a file, and its search space guessed where nobody says it.

May import `errors`, `space`, `analysis.schema` and `analysis.trials`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.analysis.schema import PARAMETER_PREFIX
from odyssey_kit.errors import StudyError, UsageError
from odyssey_kit.space import Categorical, Distribution, LogUniform, SearchSpace, Uniform, UniformInteger

__all__ = ["guess_space", "read_space", "read_table"]

_READERS = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}
# From so many-fold a range on, a positive whole number is taken to be searched on a log scale.
_LOG_RATIO = 50


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
    path = Path(path).expanduser()
    if path.suffix not in _READERS:
        raise StudyError(f"{path} is a {path.suffix or 'nameless'} file, expected one of {', '.join(_READERS)}")
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
    try:
        described = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        return SearchSpace.from_dict(described)
    except (OSError, ValueError, AttributeError) as error:
        raise StudyError(
            f"{path} is no search space ({error}); expected JSON such as "
            '{"learning_rate": {"type": "LogUniform", "low": 1e-5, "high": 1e-1}}'
        ) from error


def _guess(values: pd.Series) -> Distribution | None:
    values = values.dropna()
    different = values.unique()
    if len(different) < 2:
        return None
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return Categorical(choices=tuple(sorted(different.tolist(), key=str)))
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
    return float(stats.kstest((values - values.min()) / np.ptp(values), "uniform").statistic)  # pyright: ignore


def guess_space(frame: pd.DataFrame, parameters: Sequence[str] | None = None) -> SearchSpace:
    """Return a space that the values of some columns could have been drawn from.

    Words become choices, whole numbers integers; other positive numbers log-uniform or uniform, as
    they are more evenly spread; from the smallest to the largest value. A column with one value is
    left out. It is a guess: pass the true space where you know it.

    Parameters
    ----------
    frame : pandas.DataFrame
        Table of trials.
    parameters : sequence of str, optional
        Columns; by default those that begin with ``params_``.

    Raises
    ------
    UsageError
        If there is no such column, or none varies.
    """
    names = list(parameters) if parameters else [str(c) for c in frame if str(c).startswith(PARAMETER_PREFIX)]
    if not names:
        raise UsageError(
            f"no column begins with {PARAMETER_PREFIX!r}; say which are hyperparameters. The table has: "
            f"{', '.join(map(str, frame.columns))}"
        )
    laws: dict[str, Any] = {}
    for name in names:
        column = next((c for c in (name, PARAMETER_PREFIX + name) if c in frame), None)
        if column is None:
            raise UsageError(f"the table has no column {name!r}; it has: {', '.join(map(str, frame.columns))}")
        if (law := _guess(frame[column])) is not None:
            laws[column.removeprefix(PARAMETER_PREFIX)] = law
    if not laws:
        raise UsageError(f"none of {', '.join(names)} varies, so there is no space")
    return SearchSpace(laws)
