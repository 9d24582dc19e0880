"""Verdicts as plain data: all that the command and the book say of a claim, for another program to read.

May import the rest of `claims`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from odyssey_kit.analysis.claims.ledger import Claim, conventions
from odyssey_kit.analysis.claims.prices import Price
from odyssey_kit.analysis.claims.verdicts import ClaimVerdict, Verdicts

__all__ = ["plain", "records"]


def plain(value: Any) -> Any:
    """Return a value as JSON has it: "inf" and "-inf" for infinite numbers, None for what is not known.

    Examples
    --------
    >>> plain({"low": -math.inf, "p": math.nan, "n": np.int64(3), "on": date(2026, 11, 26), "of": ("V",)})
    {'low': '-inf', 'p': None, 'n': 3, 'on': '2026-11-26', 'of': ['V']}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value.isoformat() if isinstance(value, date) else value


def records(verdicts: Verdicts) -> list[dict[str, Any]]:
    """Return one entry a claim: its row of `Verdicts.to_frame` and, in full, what the row leaves out.

    That is ``parts`` (every estimate with interval, verdict, ``details`` such as p-values and the numeric margin),
    ``rule``, ``note``, ``changes``, ``departure`` (of the rule from its plan) and ``price``, which is None for a claim
    that is not undecided.

    Examples
    --------
    >>> from odyssey_kit.analysis.claims import Evidence, check_claims
    >>> (one,) = records(check_claims("B7", evidence=Evidence()))
    >>> one["rule"]["margin"], one["own"], one["parts"], one["price"]["study"]
    ('none', None, [], 'breuel-momentum')
    """
    rows = verdicts.to_frame().to_dict("records")
    return [plain({**row, **_whole(item)}) for row, item in zip(rows, verdicts, strict=True)]


def _whole(item: ClaimVerdict) -> dict[str, Any]:
    claim = item.claim
    family = conventions().families[claim.family]
    return {
        "own": item.own,  # a frame may turn None into NaN or truth into objects
        "rule": {
            "quantity": claim.quantity,
            "settings": claim.settings,
            "reproduced_if": claim.reproduced_if,
            "contradicted_if": claim.contradicted_if,
            "margin": claim.margin,
            "needs": claim.needs,
            "family": claim.family,
            "family_words": family["words"],
            "error": conventions().level(claim.family),
        },
        "note": claim.note,
        "changes": [
            {"date": change.date, "what": change.what, "why": change.why, "seen": change.seen}
            for change in claim.changes
        ],
        "departure": None if claim.departure is None else vars(claim.departure),
        "parts": [vars(part) for part in item.parts],
        "reach": item.reach,
        "price": None if item.price is None else _price(claim, item.price),
    }


def _price(claim: Claim, cost: Price) -> dict[str, Any]:
    return {
        "study": cost.study,
        "what": cost.what,
        "trials": cost.trials,
        "hours_low": cost.hours[0],
        "hours_high": cost.hours[1],
        "basis": cost.basis,
        "alternatives": cost.alternatives,
        "waits_for": cost.waits_for,
        "also": [_price(claim, other) for other in cost.also],
    }
