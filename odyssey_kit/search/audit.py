"""The audit: published trials drawn at random and trained again, to see that they are what they say.

On the same machine, with the same versions and the same code, the first epochs are the same to the bit. Elsewhere
training amplifies rounding, and how much depends on the trial: so each is trained twice, as it was and with
its first weights moved by 1e-7, and the published epoch must lie within ten times that spread.
May import `publish`, `training` and `errors`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from odyssey_kit.errors import StudyError, UsageError
from odyssey_kit.search.publish import published_folder, published_results
from odyssey_kit.training import EpochRow, TrialResult, TrialSpec
from odyssey_kit.training.provenance import provenance

__all__ = ["Audit", "Rerun", "audit", "judge"]

Verdict = Literal["identical", "within", "chaotic", "DIFFERENT"]
Rerun = Callable[[TrialSpec, int, float], list[EpochRow]]

PERTURBATION = 1e-7
FACTOR, FLOOR = 10.0, 1e-5
CHAOTIC = 1e-2  # of a spread, in the metric's unit: beyond it a trial cannot be compared between machines
CHAOTIC_SHARE = 0.25
_CODE = ("odyssey_kit/engine", "odyssey_kit/training", "odyssey_kit/data")
# What an epoch measured; the seconds are the machine's. A test metric may be no number, and is the same then, too.
_MEASURED = ("updates", "train_loss", "valid_metric", "test_metric", "max_abs_cell", "max_abs_output")


@dataclass(frozen=True)
class Audit:
    """What an audit found: a row a trial, and whether all of it holds.

    Attributes
    ----------
    trials : pandas.DataFrame
        Columns key, variant, learning_rate, epoch (the one with the largest difference), published, again,
        difference, spread, bound and verdict.
    failed : int
        Published trials that failed, which are no results and were not drawn.
    """

    study: str
    trials: pd.DataFrame
    failed: int

    @property
    def passes(self) -> bool:
        """Whether no trial differs, and no more than a quarter are chaotic."""
        verdicts = self.trials["verdict"]
        return bool(not (verdicts == "DIFFERENT").any() and (verdicts == "chaotic").mean() <= CHAOTIC_SHARE)

    def __str__(self) -> str:
        counts = self.trials["verdict"].value_counts()
        parts = ", ".join(f"{counts.get(verdict, 0)} {verdict.lower()}" for verdict in Verdict.__args__)
        return f"{self.study}: {len(self.trials)} published trials trained again: {parts}"


def _same_code(commit: str) -> bool:
    """Return whether the code that trains is that of a commit, changes in the working tree included."""
    if not commit or "+" in commit:
        return False
    checkout = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(checkout), "diff", "--quiet", commit, "--", *_CODE]
    try:
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _same_place(result: TrialResult) -> bool:
    """Return whether a result was made on this machine with these versions and this code."""
    here = provenance(engine="numba", data_sha256="")
    same = all(result.provenance.get(name) == here[name] for name in ("engine", "machine", "versions"))
    return same and _same_code(result.provenance.get("commit", ""))


def judge(
    published: list[EpochRow], again: list[EpochRow], moved: list[EpochRow], *, same_place: bool, epochs: int
) -> dict[str, object]:
    """Compare the published epochs of a trial with the two reruns.

    Parameters
    ----------
    published, again, moved : list of EpochRow
        The trial's curve, the same trained again, and trained again from weights moved by a hair.
    same_place : bool
        Whether it must be the same to the bit.
    epochs : int
        How many epochs were trained again; a curve that is shorter diverged.

    Returns
    -------
    dict
        epoch, published, again, difference, spread, bound and verdict.
    """
    first = published[:epochs]
    ends = {len(first), len(again), len(moved)}
    pairs = list(zip(first, again, moved, strict=False))
    spreads = [abs(m.valid_metric - a.valid_metric) for _, a, m in pairs]
    gaps = [abs(p.valid_metric - a.valid_metric) for p, a, _ in pairs]
    bounds = [FACTOR * spread + FLOOR for spread in spreads]
    # An epoch that is not chaotic is held to its bound also where a later one is: chaos has no effect on the past.
    beyond = any(gap > bound and spread <= CHAOTIC for gap, bound, spread in zip(gaps, bounds, spreads, strict=True))
    identical = len(first) == len(again) and all(
        np.array_equal(getattr(p, name), getattr(a, name), equal_nan=True)
        for p, a in zip(first, again, strict=False)
        for name in _MEASURED
    )
    worst = int(np.argmax(np.array(gaps) / np.array(bounds))) if pairs else 0
    found: dict[str, object] = {
        "epoch": worst + 1,
        "published": first[worst].valid_metric if pairs else float("nan"),
        "again": again[worst].valid_metric if pairs else float("nan"),
        "difference": gaps[worst] if pairs else float("nan"),
        "spread": max(spreads, default=float("nan")),
        "bound": bounds[worst] if pairs else float("nan"),
    }
    verdict: Verdict
    if identical:
        verdict = "identical"
    elif same_place or beyond:
        verdict = "DIFFERENT"
    elif len({len(again), len(moved)}) > 1 or max(spreads, default=0.0) > CHAOTIC:
        verdict = "chaotic"
    elif len(ends) > 1:
        verdict = "DIFFERENT"
    else:
        verdict = "within"
    return {**found, "verdict": verdict}


def _rerun(spec: TrialSpec, epochs: int, perturbation: float) -> list[EpochRow]:
    from odyssey_kit.training import first_epochs

    return first_epochs(spec, epochs, perturbation=perturbation)


def audit(
    name: str,
    *,
    trials: int = 10,
    epochs: int = 2,
    seed: int = 0,
    progress: bool = True,
    results: Path | None = None,
    rerun: Rerun = _rerun,
) -> Audit:
    """Train some published trials again for their first epochs and compare.

    Parameters
    ----------
    name : str
        Of a published study.
    trials, epochs : int
        How many trials are drawn, and how many epochs of each are trained, three times: published, again, and
        again from weights moved by 1e-7.
    seed : int
        Of the draw.
    progress : bool
        Show a bar.
    results : Path, optional
        The folder of published studies; by default results_cache/.
    rerun : callable
        What trains; another one is of use in tests.

    Raises
    ------
    UsageError
        If a number is below 1.
    StudyError
        If nothing of that name is published, or the tables are damaged.
    """
    from tqdm.auto import tqdm

    for what, value in (("trials", trials), ("epochs", epochs)):
        if value < 1:
            raise UsageError(f"{what} is {value}, expected at least 1")
    folder = published_folder(name, results)
    published = published_results(folder)
    if not published:
        raise StudyError(f"nothing is published in {folder}; next: odyssey export {name}")
    whole = sorted((pair for pair in published if pair[1].state != "FAILED"), key=lambda pair: pair[0].key)
    chosen = np.random.default_rng(seed).permutation(len(whole))[:trials]
    rows = []
    for place in tqdm(sorted(chosen), unit="trial", disable=not progress, leave=False):
        spec, result = whole[place]
        again, moved = (rerun(spec, epochs, perturbation) for perturbation in (0.0, PERTURBATION))
        verdict = judge(list(result.curve), again, moved, same_place=_same_place(result), epochs=epochs)
        facts = {"key": spec.key, "variant": spec.variant.name, "learning_rate": spec.params["learning_rate"]}
        rows.append(facts | verdict)
    return Audit(name, pd.DataFrame(rows), len(published) - len(whole))
