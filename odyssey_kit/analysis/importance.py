"""`ok.fanova`: from any table of trials to a fitted functional ANOVA.

May import `errors`, `space` and the other modules of `analysis` but `advice` and `analyzing`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.direction import unstated
from odyssey_kit.analysis.foreign import foreign_states
from odyssey_kit.analysis.functional_anova import FunctionalANOVA
from odyssey_kit.analysis.schema import PARAMETER_PREFIX
from odyssey_kit.analysis.trials import Trials, frame_of
from odyssey_kit.errors import UsageError
from odyssey_kit.space import Categorical, SearchSpace

__all__ = ["fanova", "group_labels"]


def fanova(
    trials: Trials | pd.DataFrame,
    *,
    target: str = "test_metric",
    space: SearchSpace | None = None,
    variant: str | None = None,
    task: str | None = None,
    pooled: bool = False,
    with_variant: bool = False,
    groups: Any = None,
    **settings: Any,
) -> FunctionalANOVA:
    """Fit a functional ANOVA to the trials of one variant on one task, or of all variants together.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Trials, or anybody's own table: one row a trial, a column for each hyperparameter of the space
        (with or without ``params_`` before its name) and one for the target. A column ``state`` is
        heeded, also with Optuna's words.
    target : str
        Column to explain; ``"seconds"`` works as well.
    space : SearchSpace, optional
        By default that of the trials.
    variant, task : str, optional
        Which trials to analyse; needed if the table has more than one.
    pooled : bool
        Take all variants together. Hyperparameters then share their effects over the variants, and
        differences between variants count as noise.
    with_variant : bool
        Take all variants together, and the variant as a hyperparameter of its own, whose choices
        are equally likely. If all variants saw the same draws, each draw counts once.
    groups : array or column name, optional
        Trials that are no independent draws; see `FunctionalANOVA.fit`.
    **settings
        Of `FunctionalANOVA`: direction, estimand, n_trees, min_samples_leaf, diverged, cap, transform,
        sampling, random_state.

    Returns
    -------
    FunctionalANOVA
        Fitted; see ``importances()`` and ``marginal(name)``.

    Raises
    ------
    UsageError
        If the table holds several variants or tasks and none was chosen, and as `FunctionalANOVA`.

    Warns
    -----
    UserWarning
        If the target's name sounds like something to be maximised, no direction was given, and trials got
        the worst value or the cap.
    """
    known = [name for name in FunctionalANOVA().get_params() if name not in ("space", "target")]
    if unknown := [name for name in settings if name not in known]:
        raise UsageError(f"unknown setting {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    frame = foreign_states(frame_of(trials))
    space = space if space is not None else getattr(trials, "space", None)
    if variant is not None and (pooled or with_variant):
        raise UsageError(f"both variant={variant!r} and {'pooled' if pooled else 'with_variant'}=True; choose one")
    keep = _chosen(frame, "task", task) & _chosen(frame, "variant", variant, together=pooled or with_variant)
    labels = None if groups is None else group_labels(frame, groups)[keep]
    frame = frame[keep]
    if with_variant and isinstance(space, SearchSpace):
        if "variant" not in frame:
            raise UsageError(f"with_variant=True, but the table has no column 'variant'; it has: {_listed(frame)}")
        choices = tuple(frame["variant"].unique())
        space = SearchSpace({**space, "variant": Categorical(choices=choices)})
        frame = frame.rename(columns={"variant": f"{PARAMETER_PREFIX}variant"})
    model = FunctionalANOVA(space=space, target=target, **settings).fit(frame, groups=labels)
    # Shares do not depend on the direction, but what stands for a missing or an absurd value does.
    told = unstated(settings.get("direction"), target, frame)
    if told and (model.n_set_to_worst_ or model.n_capped_):
        warnings.warn(told, UserWarning, stacklevel=2)
    return model


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns))


def group_labels(frame: pd.DataFrame, groups: Any) -> np.ndarray:
    """Return a label for each row, from a column or as given."""
    if isinstance(groups, str) and groups not in frame:
        raise UsageError(f"groups is {groups!r}, but the table has no such column; it has: {_listed(frame)}")
    labels = np.asarray(frame[groups] if isinstance(groups, str) else groups)
    if labels.shape != (len(frame),):
        raise UsageError(
            f"groups has shape {labels.shape}, expected a column's name or ({len(frame)},), one label a trial"
        )
    return labels


def _chosen(frame: pd.DataFrame, column: str, chosen: str | None, *, together: bool = False) -> np.ndarray:
    """Return which rows are of the chosen task or variant, or say that one must be chosen."""
    if column not in frame:
        if chosen is not None:
            raise UsageError(f"{column}={chosen!r}, but the table has no column {column!r}; it has: {_listed(frame)}")
        return np.ones(len(frame), dtype=bool)
    there = [str(name) for name in frame[column].unique()]
    if chosen is None:
        if len(there) > 1 and not together:
            also = (
                ", or pooled=True to take them together, or with_variant=True to have it explained"
                if column == "variant"
                else ""
            )
            raise UsageError(
                f"the table has {len(there)} {column}s ({', '.join(there)}); choose one by {column}={there[0]!r}{also}"
            )
        return np.ones(len(frame), dtype=bool)
    if chosen not in there:
        raise UsageError(f"no trials of {column} {chosen!r}; the table has: {', '.join(there)}")
    return (frame[column].astype(str) == chosen).to_numpy()
