"""The ledger: every claim of both papers as data, with the rule that decides it.

The claims stand in the TOML files beside this one. They were written before any study that decides a
claim was run; what is changed later is noted in the claim's own ``changes``. May import `errors`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from typing import Any

from odyssey_kit.errors import UsageError

__all__ = ["PAPERS", "Change", "Claim", "Conventions", "Departure", "StudyPrice", "Task", "claims", "conventions"]

PAPERS: Mapping[str, str] = {"O": "odyssey", "B": "breuel"}
_FILES = ("odyssey-cells.toml", "odyssey-hyperparameters.toml", "breuel.toml")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A later change of a rule: when, what, and why; `claims` are those that it touches, if it stands with none.

    `seen` says whether trials of a study that they are decided by had been published by then.
    """

    date: Any
    what: str
    why: str
    claims: tuple[str, ...] = ()
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class Departure:
    """Where a rule departs from its plan since it was first written: what, and why."""

    what: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of a paper, and how it is decided.

    Parameters
    ----------
    id : str
        O1 to O40 (Greff et al. 2017) or B1 to B27 (Breuel 2015).
    section : str
        Where the paper says it.
    topic, claim : str
        For filtering; the claim in one sentence of our own.
    quantity : str
        Name of the function in `rules` that decides it.
    settings : mapping
        The numbers of the rule, handed to that function.
    reproduced_if, contradicted_if, margin, needs : str
        The rule in words; what is neither is undecided.
    roles : tuple of str
        The tasks it speaks of: speech, handwriting, music, digits, print, text.
    family : str
        The decisions that share one error rate, see `Conventions.families`.
    studies, pooled_with : tuple of str
        Studies that decide it, and studies whose trials are added to them.
    needs_all_of : tuple of str
        Studies none of which decides it without the others.
    own_data_only : bool
        Whether a stand-in can say nothing about it.
    across_tasks : bool
        Whether one decision is made of all tasks together.
    with_stand_ins : bool
        Whether that decision compares the papers' own data with stand-ins, too.
    missing : str
        What is not here and would be needed before any study could decide it.
    note : str
        What a reader should know beside the verdict.
    changes : tuple of Change
        Changes of the rule after it was written.
    """

    id: str
    section: str
    topic: str
    claim: str
    quantity: str
    settings: Mapping[str, Any]
    reproduced_if: str
    contradicted_if: str
    margin: str
    needs: str
    roles: tuple[str, ...]
    family: str
    studies: tuple[str, ...]
    pooled_with: tuple[str, ...] = ()
    needs_all_of: tuple[str, ...] = ()
    own_data_only: bool = False
    across_tasks: bool = False
    with_stand_ins: bool = False
    missing: str = ""
    note: str = ""
    changes: tuple[Change, ...] = ()

    @property
    def paper(self) -> str:
        """The paper: "odyssey" or "breuel"."""
        return PAPERS[self.id[0]]

    @property
    def departure(self) -> Departure | None:
        """Where the rule departs from its plan, or None."""
        return conventions().departures.get(self.id)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set as the ledger sees it: its role in a claim, margin, cap and unit; frames of a mean sequence."""

    name: str
    role: str
    title: str
    own: bool
    cap: float
    unit: str
    margin: float | None = None
    licence: str = ""
    frames: float | None = None


@dataclass(frozen=True, kw_only=True)
class StudyPrice:
    """What a study would cost: trials, and seconds of one core a trial from and to, with their basis.

    One that `waits_for` something has no plan yet; what has one can be planned by its name, see `odyssey studies`.
    `counts` says, of claims that it has too few for, how many of its trials the rule counts, and `side` how many each
    variant has, where it adds to those of another study on its task; see `reach`.
    """

    name: str
    trials: int
    seconds: tuple[float, float]
    basis: str
    what: str
    task: str = ""
    waits_for: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    side: int = 0

    @property
    def hours(self) -> tuple[float, float]:
        """Processor hours of the whole study, from and to."""
        return (self.trials * self.seconds[0] / 3600, self.trials * self.seconds[1] / 3600)


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """What all rules have in common."""

    written: Any
    selection: Mapping[str, Any]
    margins: Mapping[str, float]
    tasks: Mapping[str, Task] = field(default_factory=dict)
    families: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    studies: Mapping[str, StudyPrice] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    departures: Mapping[str, Departure] = field(default_factory=dict)

    def level(self, family: str) -> float:
        """Return the error probability of one decision of a family.

        Examples
        --------
        >>> conventions().level("cells")
        0.00625
        """
        return float(self.selection["alpha"]) / int(self.families[family]["decisions"])


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("odyssey_kit.analysis.claims").joinpath(name).read_text(encoding="utf-8"))


def _changes(rows: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    return tuple(Change(**{**row, "claims": tuple(row.get("claims", ()))}) for row in rows)


def _claim(row: Mapping[str, Any]) -> Claim:
    names = {f.name for f in fields(Claim)}
    if unknown := sorted(set(row) - names):
        raise UsageError(f"claim {row.get('id')!r}: unknown entry {', '.join(unknown)}")
    lists = {name: tuple(row[name]) for name in ("roles", "studies", "pooled_with", "needs_all_of") if name in row}
    shared = (change for change in conventions().changes if row["id"] in change.claims)
    return Claim(**{**row, **lists, "changes": (*shared, *_changes(row.get("changes", ())))})


@cache
def claims() -> Mapping[str, Claim]:
    """Return every claim by its id, in the papers' order.

    Examples
    --------
    >>> len(claims()), claims()["O2"].claim
    (67, 'Without the forget gate the LSTM does worse on all three tasks.')
    """
    return {row["id"]: _claim(row) for name in _FILES for row in _read(name)["claim"]}


@cache
def conventions() -> Conventions:
    """Return what all rules have in common: selection, margins, tasks, families, and the studies' prices."""
    data = _read("conventions.toml")
    return Conventions(
        written=data["written"],
        selection=data["selection"],
        margins=data["margins"],
        tasks={name: Task(name=name, **row) for name, row in data["tasks"].items()},
        families=data["families"],
        studies={
            name: StudyPrice(name=name, **{**row, "seconds": tuple(row["seconds"])})
            for name, row in data["studies"].items()
        },
        changes=_changes(data.get("changes", ())),
        departures={name: Departure(**row) for name, row in data["departures"].items()},
    )
