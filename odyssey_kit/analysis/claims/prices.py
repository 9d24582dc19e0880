"""What it would cost to decide a claim: the named study, its trials and its processor hours.

May import `evidence`, `ledger` and `analysis.trials`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from odyssey_kit.analysis.claims.evidence import Evidence
from odyssey_kit.analysis.claims.ledger import Claim, StudyPrice, conventions
from odyssey_kit.analysis.trials import Trials

__all__ = ["Price", "price"]


@dataclass(frozen=True, kw_only=True)
class Price:
    """The next study that would decide a claim.

    Parameters
    ----------
    study : str
        Its name.
    what : str
        What it runs.
    trials : int
        Trials that are still to be run.
    hours : tuple of float
        Processor hours for them, from and to.
    basis : str
        Where the hours are from.
    also : tuple of Price
        Of the studies that it takes beside that one.
    alternatives : tuple of str
        Other studies of the claim that are not published.
    waits_for : str
        What it waits for before it has a plan; empty if it has one, even if this version cannot train it.
    """

    study: str
    what: str
    trials: int
    hours: tuple[float, float]
    basis: str
    also: tuple[Price, ...] = ()
    alternatives: tuple[str, ...] = ()
    waits_for: str = ""

    @property
    def every(self) -> tuple[Price, ...]:
        """All that it takes together."""
        return (self, *self.also)

    @property
    def studies(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(cost.study for cost in self.every)


def price(claim: Claim, evidence: Evidence) -> Price | None:
    """Return the first of a claim's studies that is not published in full, or None if all are.

    Where a study is published in full and could not decide, what can be pooled with it comes first. Where a claim
    needs several studies together, one without any trial comes first, and the others stand with it.
    """
    studies = conventions().studies
    tried = any(name in evidence.studies and not _left(studies[name], evidence) for name in claim.studies)
    order = (*claim.pooled_with, *claim.studies) if tried else (*claim.studies, *claim.pooled_with)
    together = claim.needs_all_of or order[:1]
    open_ones = [studies[name] for name in dict.fromkeys((*together, *order)) if _left(studies[name], evidence) > 0]
    if not open_ones:
        return None
    wanted = [study for study in open_ones if study.name in together] or open_ones[:1]
    first, *also = sorted(wanted, key=lambda study: study.name in evidence.studies)
    rest = tuple(study.name for study in open_ones if study not in wanted)
    return _price(first, evidence, also=tuple(_price(study, evidence) for study in also), alternatives=rest)


def _price(study: StudyPrice, evidence: Evidence, **more: Any) -> Price:
    low, high, basis = _seconds(study, evidence)
    left = _left(study, evidence)
    hours = (left * low / 3600, left * high / 3600)
    return Price(
        study=study.name, what=study.what, trials=left, hours=hours, basis=basis, waits_for=study.waits_for, **more
    )


def _left(study: StudyPrice, evidence: Evidence) -> int:
    published = evidence.studies.get(study.name)
    return study.trials if published is None else max(0, _planned(study, published) - len(published))


def _planned(study: StudyPrice, published: Trials) -> int:
    """Return the number of trials of the study as it is defined; its own plan counts, where it has one."""
    counts = (published.study or {}).get("counts") or {}
    return int(counts.get("planned", study.trials))


def _seconds(study: StudyPrice, evidence: Evidence) -> tuple[float, float, str]:
    """Return the seconds a trial from and to: measured, if the study or another on its task is published."""
    own = evidence.studies.get(study.name)
    same = [s for name, s in evidence.studies.items() if conventions().studies[name].task == study.task and study.task]
    measured = own or next(iter(same), None)
    if measured is None or "seconds" not in measured.frame:
        return (*study.seconds, study.basis)
    low, high = measured.frame["seconds"].astype(float).quantile([0.25, 0.75])
    return float(low), float(high), f"the middle half of the trials of {measured.name}"
