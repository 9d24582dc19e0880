"""What there is to decide claims with: the published studies, cleaned, and put together for a claim and a task.

Only studies that the ledger names are looked for, so first-light decides nothing. May import
`findings`, `ledger`, `analysis.loading`, `analysis.trials`, `analysis.selection`, `errors` and `space`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.claims.findings import MissingColumn, Part
from odyssey_kit.analysis.claims.ledger import Claim, Task, conventions
from odyssey_kit.analysis.loading import load_trials, published_studies
from odyssey_kit.analysis.selection import Arm
from odyssey_kit.analysis.trials import Trials, n_selected
from odyssey_kit.errors import UnfinishedBlockError, UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["Arms", "Cell", "Evidence", "measured", "too_few", "undecidable"]

_MEASURED = ("valid_metric", "test_metric")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """The studies that claims are decided by.

    Parameters
    ----------
    studies : mapping of str to Trials
        By name; see `published` for those that are published.
    known : dict
        What several claims need and is costly, by what it was computed from.
    """

    studies: Mapping[str, Trials] = field(default_factory=dict)
    known: dict[Any, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def published(cls) -> Evidence:
        """Return every published study that the ledger names and that can be compared; damaged ones raise."""
        there = published_studies()
        studies = {}
        for name in conventions().studies:
            with suppress(UnfinishedBlockError):  # its first steps decide nothing yet
                if name in there:
                    studies[name] = load_trials(name)
        return cls(studies=studies)

    def arms(self, claim: Claim) -> list[Arms]:
        """Return what there is for a claim: one entry a task, the papers' own data first."""
        if not any(name in self.studies for name in claim.studies):
            return []  # what is pooled with a study decides nothing without it
        wanted = [name for name in (*claim.studies, *claim.pooled_with) if name in self.studies]
        tasks: dict[str, list[Trials]] = {}
        for name in wanted:
            for task in self.studies[name].tasks:
                known = conventions().tasks.get(task)
                if known is None:
                    raise UsageError(f"study {name!r} has trials on {task!r}, which the ledger does not know")
                if known.role in claim.roles and (known.own or not claim.own_data_only):
                    tasks.setdefault(task, []).append(self.studies[name])
        error = conventions().level(claim.family)
        arms = [
            Arms(task=conventions().tasks[task], studies=tuple(studies), error=error, evidence=self)
            for task, studies in tasks.items()
        ]
        return sorted(arms, key=lambda one: not one.task.own)


def measured(frame: pd.DataFrame, cap: float) -> pd.DataFrame:
    """Return the trials that ran, with the metrics that a decision uses.

    A trial that diverged after epochs that did not keeps the metric of the best of these, as its network was kept;
    one without any has the cap. So has a loss above it. Columns ``diverged`` and ``capped`` mark which; a trial may
    be both. Trials that failed by accident are left out.
    """
    ran = frame[frame["state"].ne("FAILED")].copy()
    ran["diverged"] = ran["state"].eq("DIVERGED")
    ran["capped"] = False
    for name in _MEASURED:
        values = ran[name].astype(float)
        ran["capped"] |= np.isfinite(values) & values.gt(cap)
        ran[name] = values.where(np.isfinite(values), math.inf).clip(upper=cap)
    return ran


@dataclass(frozen=True, kw_only=True, eq=False)
class Arms:
    """The trials of one task for one claim, with all that a rule asks for.

    Parameters
    ----------
    task : Task
        The data.
    studies : tuple of Trials
        Whose trials are put together.
    error : float
        Error probability of one decision of the claim's family.
    evidence : Evidence
        All studies, for rules that look at another one.
    """

    task: Task
    studies: tuple[Trials, ...]
    error: float
    evidence: Evidence = field(repr=False, default_factory=Evidence)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Every trial that ran on the task; see `measured`."""
        parts = [
            study.frame[study.frame["task"].eq(self.task.name)].assign(_study=study.name) for study in self.studies
        ]
        return measured(pd.concat(parts, ignore_index=True), self.task.cap)

    @property
    def space(self) -> SearchSpace:
        """The search space of the first study."""
        if self.studies[0].space is None:
            raise MissingColumn("the study does not say what its hyperparameters were drawn from")
        return self.studies[0].space

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The curves of the task's trials, with their variant."""
        curves = [study.curves for study in self.studies if study.curves is not None]
        if not curves:
            raise MissingColumn("the study has no curves")
        return pd.concat(curves, ignore_index=True).merge(self.frame, on="key", suffixes=("", "_trial"))

    def only(self, *names: str) -> Arms:
        """Return the arms with the studies of these names only."""
        kept = tuple(study for study in self.studies if study.name in names)
        return Arms(task=self.task, studies=kept, error=self.error, evidence=self.evidence)

    def trials(self, variant: str) -> pd.DataFrame:
        """Return a variant's trials; a rule that needs one that is not there cannot decide."""
        found = self.frame[self.frame["variant"].eq(variant)]
        if found.empty:
            raise MissingColumn(f"no trials of {variant} on {self.task.title}")
        return found

    def cell(self, variant: str, rows: pd.DataFrame | None = None, label: str = "") -> Cell:
        """Return a variant's trials for selection and resampling, or those of its rows that are given.

        The cell of a whole variant is the same for every claim, with its resamples.
        """
        if rows is not None:
            return self._cell(variant, rows, label)
        key = ("cell", *(study.name for study in self.studies), self.task.name, variant)
        known = self.evidence.known
        if key not in known:
            known[key] = self._cell(variant, self.trials(variant), "")
        return known[key]

    def _cell(self, variant: str, rows: pd.DataFrame, label: str) -> Cell:
        if rows.empty:
            raise MissingColumn(f"no trials of {variant} {label} on {self.task.title}".replace("  ", " "))
        order = rows.sort_values(["valid_metric", "index"], kind="stable")
        return Cell(name=variant, frame=order, weights=lambda: self._resampled(order, f"{variant} {label}"))

    def _resampled(self, rows: pd.DataFrame, label: str) -> np.ndarray:
        """Return how often each row is drawn in each resample; paired draws are drawn together."""
        weights = np.empty((int(conventions().selection["resamples"]), len(rows)), np.float32)
        for study in self.studies:
            here = rows["_study"].eq(study.name).to_numpy()
            paired = bool(((study.study or {}).get("study") or {}).get("paired"))
            draws = rows.loc[here, "index"].to_numpy()
            names = np.unique(draws)
            block = f"{study.name}{'' if paired else label}{self.task.name}"
            if here.any():
                weights[:, here] = self._counts(block, len(names), len(weights))[:, np.searchsorted(names, draws)]
        return weights

    def _counts(self, block: str, n: int, resamples: int) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(block.encode()).digest()[:8], "big")
        rng = np.random.default_rng(seed)
        return rng.multinomial(n, np.full(n, 1 / n), resamples).astype(np.float32)

    def setting(self, name: str, rows: pd.DataFrame | None = None) -> pd.Series:
        """Return a setting of the trials: a searched one, or one that stands in their specification."""
        frame = self.frame if rows is None else rows
        for column in (f"params_{name}", name):
            if column in frame:
                return frame[column]
        if "spec" in frame:
            specs = frame["spec"].map(json.loads)
            values = specs.map(lambda spec: {**spec.get("protocol", {}), **spec.get("params", {}), **spec}.get(name))
            if values.notna().any():
                return values
        raise MissingColumn(f"the trials do not record {name}")

    def part(self, **entries: Any) -> Part:
        """Return a part of this task, with the family's error and the task's unit unless given."""
        return Part(**{"task": self.task.name, "own": self.task.own, "error": self.error, **entries})

    def margin(self, baseline: Cell) -> float:
        """Return δ: the task's own, or so many standard deviations of the baseline's best tenth."""
        if self.task.margin is not None:
            return self.task.margin
        if baseline.k < 2:
            return math.nan
        return float(conventions().margins["standard_deviations"] * np.std(baseline.top, ddof=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """Trials of one variant (or of one condition), best by validation first."""

    name: str
    frame: pd.DataFrame
    weights: Callable[[], np.ndarray]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def test(self) -> np.ndarray:
        """Test metrics, best by validation first."""
        return self.frame["test_metric"].to_numpy(float)

    @property
    def k(self) -> int:
        """How many trials the best tenth is."""
        return max(1, n_selected(len(self), float(conventions().selection["top"])))

    @property
    def large_enough(self) -> bool:
        """Whether there are enough trials in the best tenth for a decision."""
        return self.k >= int(conventions().selection["minimum_top"])

    @property
    def top(self) -> np.ndarray:
        """Test metrics of the best tenth by validation."""
        return self.test[: self.k]

    @cached_property
    def resampled(self) -> np.ndarray:
        """Weights of every trial in every resample, (resamples, trials)."""
        return self.weights()

    @cached_property
    def selected(self) -> np.ndarray:
        """Weights in the best tenth of every resample, (resamples, trials); rows sum to k."""
        return Arm(values=self.test, order=np.arange(len(self)), n=self.k).weights(self.resampled)

    @cached_property
    def top_means(self) -> np.ndarray:
        """Mean test metric of the best tenth of every resample."""
        return self.selected @ self.test / self.k


def too_few() -> str:
    """Say how many trials a comparison of best tenths needs."""
    least = int(conventions().selection["minimum_top"])
    return f"{math.ceil(least / conventions().selection['top'])} trials a side at least: {least} in each best tenth"


def undecidable(*cells: Cell) -> str:
    """Say why trials decide nothing whatever the rule: too few, or not one better than another; else nothing.

    Where every trial diverged, all losses are the cap, and a difference of zero would be a finding without an error.
    """
    if not all(cell.large_enough for cell in cells):
        return too_few()
    tops = np.concatenate([cell.top for cell in cells])
    if np.ptp(tops) > 0:
        return ""
    lost = sum(int((cell.frame["diverged"] | cell.frame["capped"])[: cell.k].sum()) for cell in cells)
    return (
        f"trials that differ: all best tenths have the same metric, and {lost} of {len(tops)} trials stand at the cap"
    )
