"""What the verdicts on both papers' claims say together, in computed words, and what the undecided ones wait for.

May import `analysis` and the other modules of `charts`.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from odyssey_kit.analysis.claims import VERDICTS, ClaimVerdict, Verdicts
from odyssey_kit.analysis.claims.findings import CONTRADICTED, NOT_TESTABLE, REPRODUCED, UNDECIDED
from odyssey_kit.analysis.claims.prices import Price
from odyssey_kit.analysis.claims.wording import hours_words
from odyssey_kit.charts.sentences import Sentence, so_far_answer

__all__ = ["book_answer", "changes_answer", "claims_answer", "claims_waiting"]


def changes_answer(verdicts: Verdicts) -> Sentence:
    """Say which rules were changed after trials that speak of them had been seen, and which are decided now.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> from odyssey_kit.analysis.claims import Evidence
    >>> print(changes_answer(ok.check_claims(["O2", "B1"], evidence=Evidence())))
    No rule was changed after trials that speak of it had been published.
    """
    late = [item for item in verdicts if item.leading and not math.isnan(item.leading.estimate)]
    late = [item for item in late if any(change.seen for change in item.claim.changes)]
    if not late:
        return Sentence("No rule was changed after trials that speak of it had been published.")
    decided = [f"{item.claim.id} ({item.verdict})" for item in late if item.verdict in (REPRODUCED, CONTRADICTED)]
    are = f"Of these, {len(decided)} {_are(len(decided))} decided now: {', '.join(decided)}." if decided else ""
    return Sentence(
        f"Of {len(verdicts)} rules {len(late)} were changed, or the code that follows them, after trials that speak of "
        f"them had been published: {', '.join(item.claim.id for item in late)}. "
        f"{are or 'None of these is decided now.'} Each change stands with its claim, with what had been seen."
    )


def claims_answer(verdicts: Verdicts) -> Sentence:
    """Say how many claims have which verdict, and what most of the undecided ones wait for.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> from odyssey_kit.analysis.claims import Evidence
    >>> print(claims_answer(ok.check_claims(["O1", "O12"], evidence=Evidence())))
    Of 2 claims none is reproduced and none contradicted yet: 1 is undecided and 1 cannot be tested here. The study
    that most of the undecided wait for is odyssey-jsb: 1 claim, 1,800 trials, 10 to 25 processor hours.
    """
    counts = verdicts.to_frame()["verdict"].value_counts()
    said = {name: int(counts.get(name, 0)) for name in VERDICTS}
    decided = said[REPRODUCED] + said[CONTRADICTED]
    first = (
        f"{said[REPRODUCED]} {_are(said[REPRODUCED])} reproduced and {said[CONTRADICTED]} contradicted"
        if decided
        else "none is reproduced and none contradicted yet"
    )
    rest = f"{said[UNDECIDED]} {_are(said[UNDECIDED])} undecided and {said[NOT_TESTABLE]} cannot be tested here"
    waiting = claims_waiting(verdicts)
    next_one = ""
    if len(waiting):
        row = waiting.iloc[0]
        claims = "1 claim" if row["claims"] == 1 else f"{row['claims']} claims"
        next_one = (
            f" The study that most of the undecided wait for is {waiting.index[0]}: {claims}, "
            f"{row['trials']:,} trials, {row['cost']}."
        )
    return Sentence(f"Of {len(verdicts)} claims {first}: {rest}.{next_one}")


def book_answer(verdicts: Verdicts, trials: Any) -> Sentence:
    """Say what the book's first page can answer: how many claims are decided, or that none is yet.

    Parameters
    ----------
    verdicts : Verdicts
        All claims.
    trials : Trials
        What the book has until a claim is decided.
    """
    decided = verdicts.to_frame()["verdict"].isin([REPRODUCED, CONTRADICTED])
    return claims_answer(verdicts) if decided.any() else so_far_answer(trials)


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def claims_waiting(verdicts: Verdicts) -> pd.DataFrame:
    """Return the studies that undecided claims wait for, the most wanted first.

    Indexed by study; columns ``claims`` (their number), ``trials``, ``cost`` (in words), ``basis``, ``waiting``
    (their names). A claim that takes several studies together waits for each.
    """
    waiting: dict[str, list[ClaimVerdict]] = {}
    costs: dict[str, Price] = {}
    for item in verdicts:
        for cost in item.price.every if item.price is not None else ():
            costs[cost.study] = cost
            waiting.setdefault(cost.study, []).append(item)
    rows = []
    for name, items in waiting.items():
        cost = costs[name]
        names = ", ".join(item.claim.id for item in items)
        rows.append((name, len(items), cost.trials, hours_words(cost.hours), cost.basis, names))
    table = pd.DataFrame(rows, columns=["study", "claims", "trials", "cost", "basis", "waiting"])
    return table.sort_values("claims", ascending=False, kind="stable").set_index("study")
