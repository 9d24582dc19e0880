"""The sentences of a verdict: what was found, in plain words, and numbers as a reader wants them.

May import `findings`, `ledger`, `prices` and `reach`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from odyssey_kit.analysis.claims.findings import CONTRADICTED, NOT_TESTABLE, REPRODUCED, UNDECIDED, Part
from odyssey_kit.analysis.claims.ledger import Claim
from odyssey_kit.analysis.claims.prices import Price
from odyssey_kit.analysis.claims.reach import reach

__all__ = ["hours_words", "interval_words", "number_words", "part_words", "price_words", "scope_words", "sentence"]


def number_words(value: float, *, signed: bool = False, digits: int = 3) -> str:
    """Return a number with so many significant digits, a true minus sign, and thousands set apart.

    Examples
    --------
    >>> number_words(-0.0471234), number_words(1234567.0), number_words(0.5, signed=True)
    ('−0.0471', '1,230,000', '+0.5')
    """
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value and abs(value) >= 1000:
        text = f"{round(value, digits - 1 - math.floor(math.log10(abs(value)))):,.0f}"
    elif value and abs(value) < 1e-4:
        text = f"{value:.{digits - 1}e}"
    else:
        text = f"{value:.{digits}g}"
    plus = "+" if signed and value > 0 else ""
    return plus + text.replace("-", "−")


def interval_words(part: Part) -> str:
    """Return a part's interval, or nothing.

    Examples
    --------
    >>> interval_words(Part(label="x", verdict="undecided", estimate=1.0, low=0.5, high=1.5, error=0.00625))
    '99.4 % interval 0.5 to 1.5'
    """
    if math.isnan(part.low) or math.isnan(part.high):
        return ""
    level = f"{100 * (1 - part.error):.3g}"
    return f"{level} % interval {number_words(part.low)} to {number_words(part.high)}"


def part_words(part: Part) -> str:
    """Return a part in words: label, estimate with unit, interval and what it rests on."""
    if math.isnan(part.estimate):
        return part.label
    signed = "−" in part.label or "slope" in part.label
    value = f"{number_words(part.estimate, signed=signed)} {part.unit}".strip()
    inside = "; ".join(filter(None, (interval_words(part), part.n)))
    return f"{part.label}: {value}" + (f" ({inside})" if inside else "")


def hours_words(hours: Sequence[float]) -> str:
    """Return processor hours in words.

    Examples
    --------
    >>> hours_words((10.0, 25.0)), hours_words((0.4, 0.9)), hours_words((0.4, 1.1))
    ('10 to 25 processor hours', 'less than 1 processor hour', 'about 1 processor hour')
    """
    if hours[1] < 1:
        return "less than 1 processor hour"
    low, high = (f"{max(1, float(f'{value:.2g}')):,.0f}" for value in hours)
    noun = "processor hour" if high == "1" else "processor hours"
    return f"{low} to {high} {noun}" if low != high else f"about {low} {noun}"


def price_words(price: Price) -> str:
    """Return a price in words: the study, its trials and hours."""
    waits = f", a study that is not defined yet (it waits for {price.waits_for})" if price.waits_for else ""
    also = "".join(f", and {price_words(other)}" for other in price.also)
    return f"{price.study}{waits}: {price.trials:,} trials, {hours_words(price.hours)} ({price.basis}){also}"


def scope_words(claim: Claim, tested: Collection[str]) -> str:
    """Return on how many of a claim's tasks it was tested, by their roles; nothing if on all of them or on none.

    Examples
    --------
    >>> from odyssey_kit.analysis.claims import claims
    >>> scope_words(claims()["O2"], ["music"]), scope_words(claims()["O8"], ["music"]), scope_words(claims()["O2"], [])
    ('1 of 3 tasks', '', '')
    """
    return f"{len(tested)} of {len(claim.roles)} tasks" if 0 < len(tested) < len(claim.roles) else ""


def sentence(
    *,
    claim: Claim,
    verdict: str,
    data: str,
    titles: Sequence[str],
    own: bool | None,
    tested: Collection[str],
    parts: Sequence[Part],
    studies: Mapping[str, str],
    price: Price | None,
    missing: str,
) -> str:
    """Return a verdict in one sentence of plain words; ``titles`` are those of the data sets that ``data`` names."""
    if verdict == NOT_TESTABLE:
        return f"Not testable here: what is missing is {missing}."
    if not parts:
        if price is None:
            return "Undecided: no trials yet."
        return f"Undecided: no trials yet; {price_words(price)}. {reach(claim, *price.studies)}".strip()
    deciding = [part for part in parts if part.own == own]
    leading = [part for part in deciding if part.verdict == verdict] or deciding
    more = f", and {len(leading) - 1} more" if len(leading) > 1 else ""
    told = part_words(leading[0]) + more
    word = {REPRODUCED: "Reproduced", CONTRADICTED: "Contradicted", UNDECIDED: "Undecided"}[verdict]
    scope = scope_words(claim, tested)
    where = (f" on {' and '.join(titles)}" if titles else "") + (f" ({scope})" if scope else "")
    direction = "" if own else ", a stand-in, so this is of the direction"
    needed = f". What would decide it: {leading[0].needed}" if verdict == UNDECIDED and leading[0].needed else ""
    if verdict == UNDECIDED and math.isnan(leading[0].estimate):
        return f"{word}{where}{direction}: {leading[0].needed}."
    return f"{word}{where}{direction}: {told}{needed}."
