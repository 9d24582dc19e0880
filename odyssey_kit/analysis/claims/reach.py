"""What a named study can decide of a claim at best: held against the least that the claim's rule asks for.

May import `findings`, `ledger` and `analysis.trials`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from odyssey_kit.analysis.claims.findings import Part
from odyssey_kit.analysis.claims.ledger import Claim, conventions
from odyssey_kit.analysis.trials import n_selected

__all__ = ["OF_SHARES", "falls_short", "least_of", "reach"]

# Rules that ask for a share of trainings, or of repeats, by its exact lower bound.
OF_SHARES = frozenset(
    {"divide_by_ten", "eventual_divergence", "one_at_a_time", "rises_in_training_too", "slow_not_overtrained"}
)


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


def falls_short(parts: Sequence[Part], study: str, left: int) -> str:
    """Say what a study that can be run adds less of than undecided parts ask for; nothing where that is not known.

    Parameters
    ----------
    parts : sequence of Part
        Those that are undecided, on trials that there are.
    study : str
        The study.
    left : int
        Trials of it that are still to be run.

    Examples
    --------
    >>> part = Part(label="x", verdict="undecided", task="jsb-chorales", details={"trials": 200, "wanted": 2143.0})
    >>> falls_short([part], "odyssey-jsb-paired", 900)
    'With it there would be 300 trials a side; 2,143 are asked for, so it is a step and not the whole way.'
    >>> falls_short([part], "odyssey-spoken-digits", 1800)
    'It is on another task, and adds nothing to the trials that are undecided now.'
    """
    plan = conventions().studies[study]
    tasks = {part.task for part in parts if part.task}
    if tasks and plan.task not in tasks:
        return "It is on another task, and adds nothing to the trials that are undecided now."
    wanted = max((part.details.get("wanted", math.nan) for part in parts), default=math.nan)
    have = min((part.details["trials"] for part in parts if "trials" in part.details), default=0)
    after = have + plan.side * left // plan.trials
    if not plan.side or not wanted > after:
        return ""
    return (
        f"With it there would be {after:,} trials a side; {wanted:,.0f} are asked for, so it is a step and not the "
        "whole way."
    )


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
