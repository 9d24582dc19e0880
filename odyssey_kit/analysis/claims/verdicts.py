"""Verdicts: the ledger's rules applied to the published studies, and what remains undecided with its price.

May import the rest of `claims`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from odyssey_kit.analysis.claims.contrasts import papers_power
from odyssey_kit.analysis.claims.evidence import Arms, Evidence
from odyssey_kit.analysis.claims.findings import (
    CONTRADICTED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED,
    VERDICTS,
    MissingColumn,
    Part,
    all_of,
)
from odyssey_kit.analysis.claims.least import ask_for_the_least
from odyssey_kit.analysis.claims.ledger import Claim, claims, conventions
from odyssey_kit.analysis.claims.prices import Price, price
from odyssey_kit.analysis.claims.reach import falls_short, reach
from odyssey_kit.analysis.claims.rules import RULES
from odyssey_kit.analysis.claims.wording import scope_words, sentence
from odyssey_kit.errors import UsageError

__all__ = ["NOT_OF_THE_RULE", "ClaimVerdict", "Verdicts", "check_claims"]

# Settings of a claim that are asked here, whatever its rule: parts that must be reproduced, and `least`.
NOT_OF_THE_RULE = ("enough", "least")

# What is decided by equivalence or non-inferiority of best tenths.
_NULLS = ("equivalence", "no_effect_on_best", "non_inferiority", "setting_without_effect")


@dataclass(frozen=True, kw_only=True)
class ClaimVerdict:
    """What the published studies say of one claim.

    Parameters
    ----------
    claim : Claim
        The claim and its rule.
    verdict : str
        reproduced, contradicted, undecided or not testable here.
    data : str
        On which data, in words; empty without any.
    own : bool or None
        Whether they are the paper's own; on a stand-in the verdict is of the direction. None without trials.
    tested : tuple of str
        Which of the claim's roles those data have.
    parts : tuple of Part
        The estimates that it rests on; those of stand-ins beside the paper's own data come last.
    studies : mapping of str to str
        Studies used, with their hashes.
    price : Price or None
        What would decide it, if it is undecided.
    sentence : str
        The verdict in one sentence of plain words.
    """

    claim: Claim
    verdict: str
    data: str
    own: bool | None
    tested: tuple[str, ...]
    parts: tuple[Part, ...]
    studies: Mapping[str, str]
    price: Price | None
    sentence: str

    @property
    def scope(self) -> str:
        """On how many of the claim's tasks it was tested: "1 of 3 tasks"; empty if on all or on none."""
        return scope_words(self.claim, self.tested)

    @property
    def words(self) -> str:
        """The verdict with its scope: "reproduced, 1 of 3 tasks"."""
        return ", ".join(filter(None, (self.verdict, self.scope)))

    @property
    def reach(self) -> str:
        """What the priced studies cannot decide of it, in words; of an undecided claim without a price, that."""
        if self.verdict != UNDECIDED:
            return ""
        if self.price is None:
            return "Every study that is named for it is published in full; nothing that is planned adds trials to it."
        undecided = [part for part in self.parts if part.verdict == UNDECIDED and not math.isnan(part.estimate)]
        short = (falls_short(undecided, cost.study, cost.trials) for cost in self.price.every)
        return " ".join(filter(None, (reach(self.claim, *self.price.studies), *short)))

    @property
    def leading(self) -> Part | None:
        """The part that says most: the first of those that made the verdict."""
        deciding = [part for part in self.parts if part.own == self.own]
        return next((p for p in deciding if p.verdict == self.verdict), deciding[0] if deciding else None)

    @property
    def beside(self) -> list[str]:
        """What belongs beside the verdict: its parts' notes; for a claim of no difference also before any trial."""
        if not self.parts and self.claim.quantity in _NULLS:
            return [papers_power()]
        return list(dict.fromkeys(part.note for part in self.parts if part.note))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Verdicts:
    """The verdicts of several claims.

    Parameters
    ----------
    items : tuple of ClaimVerdict
        In the papers' order.
    """

    items: tuple[ClaimVerdict, ...]

    def __iter__(self) -> Any:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, name: str) -> ClaimVerdict:
        return {item.claim.id: item for item in self.items}[name]

    def counts(self) -> pd.DataFrame:
        """Return how many claims of each paper have each verdict: one row a paper, one column a verdict."""
        frame = self.to_frame()
        table = pd.crosstab(frame["paper"], frame["verdict"])
        return table.reindex(index=["odyssey", "breuel"], columns=list(VERDICTS), fill_value=0)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a claim.

        Columns: ``id``, ``paper``, ``section``, ``topic``, ``claim``, ``verdict``, ``scope`` (of a
        claim of several tasks of which some were tested), ``data``, ``own``, ``estimate``, ``low``, ``high``,
        ``unit``, ``error`` (of the interval), ``n``, ``studies`` (names and hashes), ``sentence``, ``needed``,
        ``price_study``, ``price_trials``, ``price_hours_low``, ``price_hours_high``. Where a claim has several
        parts, the numbers are those of the one that says most; `parts` has them all.
        """
        return pd.DataFrame([_row(item) for item in self.items])

    def parts(self) -> pd.DataFrame:
        """Return one row a part: ``id`` and the entries of `Part`."""
        return pd.DataFrame([{"id": item.claim.id, **vars(part)} for item in self.items for part in item.parts])

    def __repr__(self) -> str:
        counts = self.to_frame()["verdict"].value_counts()
        words = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts)
        return f"{len(self)} claims: {words}\n{self._shown().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self).splitlines()[0])}</p>{self._shown().to_html(index=False, border=0)}"

    def _shown(self) -> pd.DataFrame:
        rows = [(item.claim.id, f"{VERDICTS[item.verdict]} {item.words}", item.sentence) for item in self]
        return pd.DataFrame(rows, columns=["claim", "verdict", "in words"])


def check_claims(ids: Iterable[str] | str | None = None, *, evidence: Evidence | None = None) -> Verdicts:
    """Apply the ledger's rules to the published studies.

    Parameters
    ----------
    ids : iterable of str, optional
        Claims to check, such as ``["O2", "B7"]``; all of them by default.
    evidence : Evidence, optional
        Other studies than the published ones.

    Returns
    -------
    Verdicts
        A verdict a claim, with estimates, intervals, studies and prices.

    Raises
    ------
    UsageError
        If there is no such claim.

    Notes
    -----
    Where a claim speaks of several tasks, it is contradicted if one of the paper's own contradicts it,
    and reproduced if all that have trials reproduce it; `ClaimVerdict.data` says which those are.
    Stand-ins decide only where no trials on the paper's own data are published.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> [item.claim.id for item in ok.check_claims(["O2", "B7"])]
    ['O2', 'B7']
    """
    known = claims()
    wanted = [ids] if isinstance(ids, str) else list(known) if ids is None else list(ids)
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(
            f"no claim is called {', '.join(map(repr, unknown))}; "
            "there are O1 to O40 (the Odyssey) and B1 to B27 (Breuel)"
        )
    there = Evidence.published() if evidence is None else evidence
    return Verdicts(items=tuple(check(known[name], there) for name in dict.fromkeys(wanted)))


def check(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Apply one claim's rule."""
    if claim.quantity == "conjunction":
        return _conjunction(claim, evidence)
    arms = evidence.arms(claim)
    parts = tuple(part for one in _grouped(claim, arms) for part in _parts(claim, one))
    used = {study.name: study.hash for one in arms for study in one.studies}
    return _verdict(claim, evidence, arms, parts, used)


def _grouped(claim: Claim, arms: list[Arms]) -> list[list[Arms]]:
    """Return the arms that are decided together: each task alone, all of one kind of data, or all."""
    if not claim.across_tasks:
        return [[one] for one in arms]
    if claim.with_stand_ins:
        return [arms] if arms else []
    return [group for own in (True, False) if (group := [one for one in arms if one.task.own == own])]


def _parts(claim: Claim, arms: list[Arms]) -> list[Part]:
    rule = RULES[claim.quantity]
    settings = {name: value for name, value in claim.settings.items() if name not in NOT_OF_THE_RULE}
    try:
        for one in arms:
            ask_for_the_least(claim, one)
        return rule(arms if claim.across_tasks else arms[0], **settings)
    except MissingColumn as error:
        return [arms[0].part(label=claim.quantity.replace("_", " "), verdict=UNDECIDED, needed=str(error))]


def _combined(claim: Claim, parts: list[Part]) -> str:
    verdicts = [part.verdict for part in parts]
    enough = claim.settings.get("enough")
    if enough is None:
        return all_of(verdicts)
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return REPRODUCED if verdicts.count(REPRODUCED) >= enough else UNDECIDED


def _verdict(
    claim: Claim, evidence: Evidence, arms: list[Arms], parts: tuple[Part, ...], used: Mapping[str, str]
) -> ClaimVerdict:
    own = any(part.own for part in parts)
    deciding = [part for part in parts if part.own == own]
    verdict = _combined(claim, deciding) if parts else UNDECIDED
    missing = _missing(claim) if not parts else ""
    if missing:
        verdict = NOT_TESTABLE
    tasks = [one.task for one in arms if one.task.own or not own] if parts else []
    tested = tuple(dict.fromkeys(task.role for task in tasks))
    titles = [task.title for task in tasks]
    cost = price(claim, evidence) if verdict == UNDECIDED else None
    entries: dict[str, Any] = {
        "claim": claim,
        "verdict": verdict,
        "data": _data(claim, titles, tested, own),
        "own": own if parts else None,
        "tested": tested,
        "parts": tuple(sorted(parts, key=lambda part: part.own != own)),
        "studies": used,
        "price": cost,
    }
    return ClaimVerdict(**entries, sentence=sentence(**entries, titles=titles, missing=missing))


def _missing(claim: Claim) -> str:
    """Return what no study can give today: a licence, or what the claim itself names."""
    if claim.missing:
        return claim.missing
    own = [task for task in conventions().tasks.values() if task.own and task.role in claim.roles]
    if claim.own_data_only and own and all(task.licence for task in own):
        return "; ".join(f"{task.title}, which needs {task.licence}" for task in own)
    return ""


def _data(claim: Claim, titles: list[str], tested: Collection[str], own: bool) -> str:
    if not titles:
        return ""
    untested = [role for role in claim.roles if role not in tested]
    words = f"{' and '.join(titles)} ({'the papers’ own data' if own else 'stand-in: the direction only'})"
    return words + (f"; not tested on {' and '.join(untested)}" if untested else "")


def _conjunction(claim: Claim, evidence: Evidence) -> ClaimVerdict:
    """Decide a claim that is made of others."""
    others = [check(claims()[name], evidence) for name in claim.settings["of"]]
    parts = tuple(
        Part(label=f"{other.claim.id}: {other.claim.claim}", verdict=other.verdict, own=bool(other.own), error=math.nan)
        for other in others
        if other.parts
    )
    used = {name: digest for other in others for name, digest in other.studies.items()}
    verdict = all_of(other.verdict for other in others)
    entries: dict[str, Any] = {
        "claim": claim,
        "verdict": verdict,
        "data": next((other.data for other in others if other.data), ""),
        "own": all(part.own for part in parts) if parts else None,
        "tested": tuple(dict.fromkeys(role for other in others for role in other.tested)),
        "parts": parts,
        "studies": used,
        "price": price(claim, evidence) if verdict == UNDECIDED else None,
    }
    return ClaimVerdict(**entries, sentence=sentence(**entries, titles=(), missing=""))


def _row(item: ClaimVerdict) -> dict[str, Any]:
    part, cost = item.leading, item.price
    nothing = math.nan
    return {
        "id": item.claim.id,
        "paper": item.claim.paper,
        "section": item.claim.section,
        "topic": item.claim.topic,
        "claim": item.claim.claim,
        "verdict": item.verdict,
        "scope": item.scope,
        "data": item.data,
        "own": item.own,
        "estimate": part.estimate if part else nothing,
        "low": part.low if part else nothing,
        "high": part.high if part else nothing,
        "unit": part.unit if part else "",
        "error": part.error if part else nothing,
        "n": part.n if part else "",
        "studies": ", ".join(f"{name} {digest}".strip() for name, digest in item.studies.items()),
        "sentence": item.sentence,
        "needed": part.needed if part else "",
        "price_study": cost.study if cost else "",
        "price_trials": sum(one.trials for one in cost.every) if cost else 0,
        "price_hours_low": sum(one.hours[0] for one in cost.every) if cost else nothing,
        "price_hours_high": sum(one.hours[1] for one in cost.every) if cost else nothing,
    }
