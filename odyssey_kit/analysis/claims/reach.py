"""What a named study can decide of a claim at best: held against the least that the claim's rule asks for.

May import `ledger` and `analysis.trials`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from odyssey_kit.analysis.claims.ledger import Claim, conventions
from odyssey_kit.analysis.trials import n_selected

__all__ = ["OF_SHARES", "falls_short", "least_of", "reach"]

# Rules that ask for a share of trainings, or of repeats, by its exact lower bound.
OF_SHARES = frozenset(
    {"divide_by_ten", "eventual_divergence", "one_at_a_time", "rises_in_training_too", "slow_not_overtrained"}
)

# What the rules say of trials: as many as a side, or all of them, would take.
_ASKED = re.compile(r"about ([\d,]+) trials")


def least_of(claim: Claim) -> int:
    """Return the fewest trainings by which a claim may be reproduced, or the fewest trials a side that decide it.

    For a share it is as many as give a lower bound above it if every one succeeds; for a comparison as many as have
    a best tenth that is large enough.

    Examples
    --------
    >>> from odyssey_kit.analysis.claims import claims
    >>> least_of(claims()["B4"]), least_of(claims()["B6"])
    (53, 95)
    """
    if claim.quantity in OF_SHARES:
        return math.ceil(math.log(conventions().level(claim.family) / 2) / math.log(claim.settings["share"]))
    top, fewest = float(conventions().selection["top"]), int(conventions().selection["minimum_top"])
    return next(n for n in range(1, math.ceil(fewest / top) + 1) if n_selected(n, top) >= fewest)


def reach(claim: Claim, *studies: str) -> str:
    """Say what the plans of studies cannot decide of a claim; nothing where they have all that the rule asks for.

    Examples
    --------
    >>> from odyssey_kit.analysis.claims import claims
    >>> reach(claims()["B4"], "breuel-states")
    'It can contradict the claim, but not reproduce it: that takes 53 of which all succeed, and its plan has 41.'
    >>> reach(claims()["B6"], "breuel-momentum")
    ''
    """
    return " ".join(filter(None, (_reach(claim, study) for study in studies)))


def falls_short(needed: Iterable[str], trials: int) -> str:
    """Say that so many trials more are fewer than what is needed; nothing where they are not, or no number is named.

    Parameters
    ----------
    needed : iterable of str
        What would decide each part, in words.
    trials : int
        What the price buys.

    Examples
    --------
    >>> falls_short(["about 2,143 trials a side, if the truth is zero"], 900)
    'These are fewer than the 2,143 asked for, so they are a step and not the whole way.'
    >>> falls_short(["a slope below 0"], 900)
    ''
    """
    asked = [int(found[1].replace(",", "")) for words in needed if (found := _ASKED.match(words))]
    if not asked or max(asked) <= trials:
        return ""
    return f"These are fewer than the {max(asked):,} asked for, so they are a step and not the whole way."


def _reach(claim: Claim, study: str) -> str:
    counted, least = conventions().studies[study].counts.get(claim.id), least_of(claim)
    if counted is None or counted >= least:
        return ""
    if claim.quantity in OF_SHARES:
        return (
            f"It can contradict the claim, but not reproduce it: that takes {least} of which all succeed, "
            f"and its plan has {counted}."
        )
    return (
        f"It cannot decide the claim: that takes {least} trials a side, and the smaller side of its plan has {counted}."
    )
