"""What a functional ANOVA may be asked for, and when its shares have intervals.

May import `errors`, `space`, `analysis.checks`, `analysis.design`, `analysis.direction`, `analysis.effects` and
`analysis.measure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.checks import check_seed, check_whole, is_number, is_whole
from odyssey_kit.analysis.design import not_as_declared
from odyssey_kit.analysis.direction import DIRECTIONS
from odyssey_kit.analysis.effects import ENOUGH_ROWS, ESTIMANDS
from odyssey_kit.analysis.measure import measures
from odyssey_kit.errors import UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["check_measure", "check_question", "check_settings", "coordinates", "labels", "why_no_intervals"]

_CHOICES = {
    "direction": tuple(DIRECTIONS),
    "estimand": ESTIMANDS,
    "transform": (None, "rank"),
    "sampling": ("auto", "random", "optimised", "unknown"),
}
_DIVERGED = ("worst", "raise")
_A_MEASURE = (
    "a mapping from hyperparameter to (low, high), a list of choices, weights of choices, a distribution or a function"
)


def check_settings(model: Any) -> None:
    """Check the settings of a `FunctionalANOVA`.

    Raises
    ------
    UsageError
        Naming the setting, what was got and what was expected.
    """
    for name, choices in _CHOICES.items():
        _check_choice(name, getattr(model, name), choices)
    if not is_number(model.diverged) and not (isinstance(model.diverged, str) and model.diverged in _DIVERGED):
        raise UsageError(f"diverged is {model.diverged!r}, expected one of 'worst', 'raise' or a finite number")
    # Each pair of rows needs trees that saw neither.
    least = 100 if model.estimand == "corrected" else 10
    for name, bound in (("n_trees", least), ("min_samples_leaf", 1)):
        if (value := getattr(model, name)) is not None:
            check_whole(name, value, least=bound)
    check_seed(model.random_state)


def _check_choice(name: str, value: Any, choices: Sequence[str | None]) -> None:
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise UsageError(f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}")


def check_question(order: Any, estimand: Any, n_parameters: int) -> None:
    """Check what `FunctionalANOVA.importances` is asked for.

    Raises
    ------
    UsageError
        Naming what was got and what was expected.
    """
    _check_choice("estimand", estimand, ESTIMANDS)
    most = min(n_parameters, 2) if estimand == "corrected" else n_parameters
    if not is_whole(order) or not 1 <= order <= most:
        beyond = " (more for estimand='forest')" if most < n_parameters else ""
        raise UsageError(f"order is {order!r}, expected 1 to {most}{beyond}")


def check_measure(measure: Any, space: SearchSpace) -> None:
    """Check that a measure can be read at all; `measures` says what else may be wrong with it.

    Raises
    ------
    UsageError
        Naming what was got and what was expected.
    """
    if measure is None:
        return
    if not isinstance(measure, Mapping):
        raise UsageError(f"measure is {measure!r}, expected {_A_MEASURE}")
    measures(space, dict.fromkeys(measure))
    for name, change in measure.items():
        try:
            measures(SearchSpace({name: space[name]}), {name: change})
        except UsageError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"measure of {name!r} is {change!r} ({error}), which does not fit {space[name]}; expected {_A_MEASURE}"
            ) from error


def coordinates(names: Any, parameters: Sequence[str]) -> tuple[int, ...]:
    """Return the places of one hyperparameter or two different ones.

    Raises
    ------
    UsageError
        If there is no such hyperparameter, or it is neither one nor two.
    """
    wanted = (names,) if isinstance(names, str) else names
    if not isinstance(wanted, (tuple, list)) or len(wanted) not in (1, 2) or len(set(map(str, wanted))) != len(wanted):
        raise UsageError(f"expected one hyperparameter or two different ones, got {names!r}")
    if unknown := [name for name in wanted if name not in parameters]:
        raise UsageError(f"no hyperparameter is called {unknown[0]!r}; the space has: {', '.join(parameters)}")
    return tuple(sorted(list(parameters).index(name) for name in wanted))


def labels(groups: Any, kept: np.ndarray) -> np.ndarray:
    """Return the groups of the kept rows as numbers."""
    given = np.asarray(groups)
    if given.shape != kept.shape:
        raise UsageError(f"groups has shape {given.shape}, expected {kept.shape}, one label a row of X")
    if (missing := pd.isna(given[kept])).any():
        raise UsageError(
            f"groups is missing for {int(missing.sum())} of {int(kept.sum())} trials, expected a label each"
        )
    return pd.factorize(given)[0][kept]


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
