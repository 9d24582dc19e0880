"""How numbers of an analysis are worded, alike on a terminal and in a page. May import `analysis.direction`."""

from __future__ import annotations

import math
from typing import Any

from odyssey_kit.analysis.direction import better

__all__ = ["p_value", "trial_counts", "trials_in_words"]

# Below it a p-value says how far the approximation was stretched, and nothing about the trials.
_LEAST_P = 1e-4


def p_value(p: float, *, missing: str = "", equals: str = "") -> str:
    """Return a p-value as text: two digits, one that is tiny only as such.

    Parameters
    ----------
    p : float
        The p-value; NaN of what was not tested.
    missing : str
        What stands for it then.
    equals : str
        What stands before a value, such as ``"= "``.

    Examples
    --------
    >>> p_value(0.0312), p_value(6.8e-165), p_value(float("nan"), missing="not tested"), p_value(0.03, equals="= ")
    ('0.031', '<1e-4', 'not tested', '= 0.03')
    """
    if math.isnan(p):
        return missing
    return f"<{' ' if equals else ''}1e-4" if p < _LEAST_P else f"{equals}{p:.2g}"


def trial_counts(model: Any) -> dict[str, int]:
    """Return how many trials a fitted functional ANOVA was given, and how many of them were no ordinary ones."""
    return {
        "trials": model.n_trials_ + model.n_failed_,
        "diverged": model.n_diverged_,
        "failed": model.n_failed_,
        "set_to_worst": model.n_set_to_worst_,
        "capped": model.n_capped_,
    }


def trials_in_words(model: Any) -> str:
    """Return `trial_counts` and the direction in one line that leaves out what is zero."""
    counts = trial_counts(model)
    instead = "the worst value" if isinstance(model.diverged, str) else f"{model.diverged:g}"
    endings = {
        "diverged": "diverged",
        "failed": "failed and left out",
        "set_to_worst": f"without a finite {model.target}, set to {instead}",
        "capped": f"beyond {model.cap or 0:g} and set to it",
    }
    parts = [f"{counts[name]:,} {words}" for name, words in endings.items() if counts[name]]
    return "; ".join([f"{counts['trials']:,} trials, {better(model.direction)}", *parts])
