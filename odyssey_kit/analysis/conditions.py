"""What a functional ANOVA may be asked for, and when its shares have intervals.

May import `errors`, `space`, `analysis.design`, `analysis.effects` and `analysis.measure`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.design import not_as_declared
from odyssey_kit.analysis.effects import ENOUGH_ROWS, ESTIMANDS
from odyssey_kit.analysis.measure import measures
from odyssey_kit.errors import UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["check_settings", "labels", "why_no_intervals"]

_CHOICES = {
    "estimand": ESTIMANDS,
    "transform": (None, "rank"),
    "sampling": ("auto", "random", "optimised", "unknown"),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_settings(model: Any) -> None:
    """Check the settings of a `FunctionalANOVA`.

    Raises
    ------
    UsageError
        Naming the setting, what was got and what was expected.
    """
    for name, choices in _CHOICES.items():
        if getattr(model, name) not in choices:
            raise UsageError(f"{name} is {getattr(model, name)!r}, expected one of {', '.join(map(repr, choices))}")
    if model.diverged not in ("worst", "raise") and not _is_number(model.diverged):
        raise UsageError(f"diverged is {model.diverged!r}, expected one of 'worst', 'raise' or a finite number")
    # Each pair of rows needs trees that saw neither.
    least = 100 if model.estimand == "corrected" else 10
    for name, bound in (("n_trees", least), ("min_samples_leaf", 1)):
        value = getattr(model, name)
        if value is not None and not value >= bound:
            raise UsageError(f"{name} is {value!r}, expected {bound} or more")
    if model.cap is not None and not _is_number(model.cap):
        raise UsageError(f"cap is {model.cap!r}, expected a finite number or None")


def labels(groups: Any, kept: np.ndarray) -> np.ndarray:
    """Return the groups of the kept rows as numbers."""
    found = pd.factorize(np.asarray(groups))[0]
    if found.shape != kept.shape:
        raise UsageError(f"groups has shape {found.shape}, expected {kept.shape}, one label a row of X")
    return found[kept]


def why_no_intervals(units: np.ndarray, group: np.ndarray, space: SearchSpace, *, n_failed: int, sampling: str) -> str:
    """Say why the shares of a table have no intervals, or nothing where they have."""
    if n_failed:
        return f"{n_failed} trials failed and were dropped, so the others are no random sample"
    if sampling == "optimised":
        return "the trials come from an optimiser and are no random sample of the space"
    if sampling == "unknown":
        return "it is not known from which space the trials were drawn, or how"
    first = np.unique(group, return_index=True)[1]
    if len(first) < ENOUGH_ROWS:
        return f"{len(first)} independent trials; intervals were measured at {ENOUGH_ROWS} and more"
    return not_as_declared(units[first], space, measures(space)) if sampling == "auto" else ""
