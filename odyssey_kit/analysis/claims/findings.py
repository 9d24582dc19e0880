"""What a rule returns: parts, each an estimate with its interval, a verdict, and what would decide it.

May import `errors` only.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

__all__ = [
    "CONTRADICTED",
    "NOT_TESTABLE",
    "REPRODUCED",
    "UNDECIDED",
    "VERDICTS",
    "MissingColumn",
    "Part",
    "Verdict",
    "all_of",
    "ends",
    "needed_trials",
    "placed",
    "significant",
]

Verdict = Literal["reproduced", "contradicted", "undecided", "not testable here"]
REPRODUCED, CONTRADICTED, UNDECIDED, NOT_TESTABLE = "reproduced", "contradicted", "undecided", "not testable here"
# In the order in which they are shown, with the sign of each.
VERDICTS: Mapping[str, str] = {REPRODUCED: "✓", CONTRADICTED: "✗", UNDECIDED: "~", NOT_TESTABLE: "○"}


_HUGE = sys.float_info.max


class MissingColumn(Exception):
    """The trials at hand do not record what a rule needs; caught where verdicts are made."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One estimate of a claim on one task, and what the rule says of it.

    Parameters
    ----------
    label : str
        What is estimated, in words or symbols.
    verdict : str
        Of this part alone.
    estimate, low, high : float
        In `unit`; the interval is the one that decides.
    error : float
        Error probability of the interval: 0.00625 for one of 99.4 %.
    unit : str
        Of the three numbers.
    n : str
        What it rests on, in words.
    needed : str
        If undecided: the number of trials or the effect that would decide.
    note : str
        What belongs beside it.
    details : mapping
        Other numbers of the rule (p-values, powers), by name.
    task, own : str, bool
        The data, and whether they are a paper's own.
    """

    label: str
    verdict: str
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    error: float = 0.05
    unit: str = ""
    n: str = ""
    needed: str = ""
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    own: bool = True

    def but(self, **changes: Any) -> Part:
        """Return the part with some entries changed."""
        return replace(self, **changes)


def all_of(verdicts: Iterable[str]) -> str:
    """Return the verdict of a conjunction: contradicted if one part is, reproduced if all are, else undecided.

    Examples
    --------
    >>> all_of(["reproduced", "undecided"]), all_of(["reproduced", "contradicted"]), all_of(["reproduced"])
    ('undecided', 'contradicted', 'reproduced')
    """
    found = list(verdicts)
    if CONTRADICTED in found:
        return CONTRADICTED
    return REPRODUCED if found and all(verdict == REPRODUCED for verdict in found) else UNDECIDED


def placed(
    low: float,
    high: float,
    *,
    inside: tuple[float, float],
) -> str:
    """Place an interval in a region: reproduced inside it, contradicted outside, undecided across its border.

    A region without a border on one side holds an interval without an end there.

    Examples
    --------
    >>> nothing_above, nothing_below = (float("-inf"), 0.01), (10.0, float("inf"))
    >>> placed(0.001, 0.008, inside=nothing_above), placed(0.02, 0.03, inside=nothing_above)
    ('reproduced', 'contradicted')
    >>> placed(12.0, float("inf"), inside=nothing_below), placed(8.0, float("inf"), inside=nothing_below)
    ('reproduced', 'undecided')
    """
    if math.isnan(low) or math.isnan(high):
        return UNDECIDED
    if inside[0] < max(low, -_HUGE) and min(high, _HUGE) < inside[1]:
        return REPRODUCED
    return CONTRADICTED if high < inside[0] or low > inside[1] else UNDECIDED


def ends(samples: np.ndarray, error: float) -> tuple[float, float]:
    """Return the percentile interval of resampled values; infinite ones are kept as they are.

    Examples
    --------
    >>> ends(np.arange(101.0), 0.1)
    (5.0, 95.0)
    """
    method = "linear" if np.isfinite(samples).all() else "inverted_cdf"
    low, high = np.quantile(samples, [error / 2, 1 - error / 2], method=method)
    return float(low), float(high)


def needed_trials(n: int, estimate: float, low: float, high: float, *borders: float) -> str:
    """Say how many trials would move the interval off the borders it holds, if the estimate stays.

    Errors shrink as one over the root of the number.

    Examples
    --------
    >>> needed_trials(200, 0.03, -0.01, 0.07, 0.0)
    'about 360 trials instead of 200, if the estimate stays'
    """
    wanted = 0.0
    for border in (border for border in borders if low <= border <= high):
        half = high - estimate if border > estimate else estimate - low
        if math.isinf(half):
            return "an interval that ends on that side, by a wider searched range or more trials"
        distance = abs(estimate - border)
        wanted = max(wanted, n * (half / distance) ** 2 if distance else math.inf)
    if not math.isfinite(wanted) or wanted > 1e6:
        return "more than a million trials: the estimate lies on the border"
    if wanted <= n:
        return "more trials"
    step = 10 ** (math.floor(math.log10(wanted)) - 1)
    return f"about {math.ceil(wanted / step) * step:,} trials instead of {n:,}, if the estimate stays"


def significant(low: float, high: float) -> int:
    """Return the sign of an interval that excludes zero, else 0."""
    return 1 if low > 0 else -1 if high < 0 else 0
