"""Publishing a study: from a store to typed tables and a card, and back.

``results_cache/<study>/`` holds trials.parquet, curves.parquet, study.json and CARD.md; NOTES.md beside
them, written by hand, stands in the card. The way back is lossless, so a fresh clone goes on where the
last commit stopped. May import `card`, `study`, `store`,
`training`, `errors`, and the schema of `analysis`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from odyssey_kit.analysis.loading import load_trials
from odyssey_kit.analysis.schema import STATES, typed, write_table
from odyssey_kit.errors import StudyError
from odyssey_kit.search.card import card
from odyssey_kit.search.store import Store, check_same_study
from odyssey_kit.search.study import BLOCK, StudySpec
from odyssey_kit.training import EpochRow, TrialResult, TrialSpec, canonical_json

__all__ = ["export", "published_folder", "published_results"]

SCHEMA = 1
_METRICS = (
    "train_loss",
    "valid_metric",
    "test_metric",
    "valid_nll_sequence_mean",
    "test_nll_sequence_mean",
    "valid_nll_from_silence",
    "test_nll_from_silence",
)
_LARGEST = ("max_abs_cell", "max_abs_output", "gradient_norm_max")
_PROVENANCE = ("engine", "commit", "versions", "machine", "data_sha256", "finished_at")


def published_folder(name: str, results: Path | None = None) -> Path:
    """Return where a study is published: ``$ODYSSEY_RESULTS``, results_cache/ of the checkout, or else here."""
    checkout = Path(__file__).resolve().parents[2]
    usual = (checkout if (checkout / "pyproject.toml").exists() else Path()) / "results_cache"
    return Path(results or os.environ.get("ODYSSEY_RESULTS") or usual) / name


def _row(study: StudySpec, spec: TrialSpec, result: TrialResult) -> dict[str, Any]:
    curve = result.curve
    # A searched setting of the protocol is a hyperparameter of the table like any other.
    searched = {name: getattr(spec.protocol, name) for name in study.space if name not in spec.params}
    return {
        "key": spec.key,
        "study": spec.study,
        "task": spec.task,
        "variant": spec.variant.name,
        "index": spec.index,
        "state": result.state,
        **{f"params_{name}": value for name, value in {**spec.params, **searched}.items()},
        "n_parameters": result.n_parameters,
        "metric": result.metric,
        "best_epoch": result.best_epoch,
        "epochs": len(curve),
        "updates": curve[-1].updates if curve else 0,
        "seconds": result.seconds,
        **{name: result.metrics.get(name, float("nan")) for name in _METRICS},
        **{name: max((getattr(row, name) for row in curve), default=float("nan")) for name in _LARGEST},
        "numerics": spec.numerics,
        **{name: result.provenance.get(name, "") for name in _PROVENANCE},
        "spec": canonical_json(spec.to_dict()),
        "error": result.error,
    }


def _prefix(study: StudySpec, specs: Iterable[TrialSpec]) -> int:
    """Return of how many draws a cell all are there in all cells, in whole blocks: a fair sample of the study.

    Inside a block the largest networks come first, so that a part of one is no fair sample.
    """
    found: dict[tuple[str, str], set[int]] = {
        (task, cell.name): set() for task in study.tasks for cell in study.variants
    }
    for spec in specs:
        if (spec.task, spec.variant.name) in found:
            found[spec.task, spec.variant.name].add(spec.index)
    whole = min(next(n for n in range(len(have) + 1) if n not in have) for have in found.values())
    return whole if whole >= study.n_trials else whole // BLOCK * BLOCK


def _frames(
    study: StudySpec, results: Iterable[tuple[TrialSpec, TrialResult]]
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the tables of trials and of curves, and how many draws a cell are the balanced prefix."""
    rows, epochs, specs = [], [], []
    for spec, result in results:
        specs.append(spec)
        rows.append(_row(study, spec, result))
        epochs += [{"key": spec.key, **asdict(row)} for row in result.curve]
    curves = pd.DataFrame(epochs, columns=["key", *(field.name for field in fields(EpochRow))])
    prefix, trials = _prefix(study, specs), pd.DataFrame(rows)
    trials["in_prefix"] = trials["index"] < prefix
    return typed(trials, "trials"), typed(curves, "curves"), prefix


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _refuse_loss(folder: Path, store: Store, states: Mapping[str, str]) -> None:
    """Refuse to publish over trials that the store does not hold; a table that is damaged is replaced."""
    try:
        published = pd.read_parquet(folder / "trials.parquet", columns=["key"])["key"]
    except (OSError, ValueError):
        return
    lost = set(published) - states.keys()
    if lost:
        raise StudyError(
            f"{folder} holds {len(lost)} trials that {store.path} does not; nothing was published. Take them up with "
            f"`odyssey run {folder.name} --limit 0`, or move them away if they are of another study of that name."
        )


def _write(study: StudySpec, trials: pd.DataFrame, curves: pd.DataFrame, prefix: int, folder: Path) -> None:
    sha256 = {
        "trials.parquet": write_table(trials, folder / "trials.parquet", "trials"),
        "curves.parquet": write_table(curves, folder / "curves.parquet", "curves"),
    }
    counts = Counter(trials["state"])
    description = {
        "schema": SCHEMA,
        "study": study.to_dict(),
        "counts": {"planned": study.trial_count, **{state.lower(): counts[state] for state in STATES}},
        "prefix": prefix,
        "sha256": sha256,
        "machines": sorted(set(trials["machine"]) - {""}),
    }
    # The tables are in place before the description that vouches for them. Its keys are not sorted: the
    # order of the space is the order in which it is drawn.
    _write_text(folder / "study.json", json.dumps(description, indent=1) + "\n")
    notes = folder / "NOTES.md"
    words = notes.read_text(encoding="utf-8") if notes.is_file() else ""
    _write_text(folder / "CARD.md", card(study, description, trials, words))


def export(study: StudySpec, store: Store, folder: Path | None = None) -> Path:
    """Publish everything that the store holds; the same store gives the same bytes.

    Raises
    ------
    StudyError
        If the store holds no trial or another study, the folder holds trials that the store does not,
        or cannot be written.
    """
    folder = folder or published_folder(study.name)
    stored, states = check_same_study(store, study), store.states()
    if stored is None or not states:
        raise StudyError(
            f"{store.path} holds no finished trial yet; nothing was published. Next: odyssey run {study.name}"
        )
    _refuse_loss(folder, store, states)
    study = replace(study, n_trials=max(study.n_trials, stored.n_trials))
    trials, curves, prefix = _frames(study, store.results())
    try:
        _write(study, trials, curves, prefix, folder)
    except OSError as error:
        raise StudyError(
            f"{folder} cannot be written ({error.strerror}); the store still holds everything. Make room, or set "
            "ODYSSEY_RESULTS to a folder that can be written, and export again."
        ) from error
    return folder


def _result(row: dict[str, Any], curve: list[dict[str, Any]]) -> TrialResult:
    best, provenance = row["best_epoch"], {name: row[name] for name in _PROVENANCE}
    return TrialResult(
        key=row["key"],
        state=row["state"],
        metric=row["metric"],
        metrics={name: row[name] for name in _METRICS} if pd.notna(best) else {},
        best_epoch=int(best) if pd.notna(best) else None,
        curve=tuple(EpochRow(**epoch) for epoch in curve),
        n_parameters=row["n_parameters"],
        seconds=row["seconds"],
        provenance=provenance if any(provenance.values()) else {},
        error=row["error"],
    )


def published_results(folder: Path) -> list[tuple[TrialSpec, TrialResult]]:
    """Read published trials back as specs and results; an absent folder holds none.

    Raises
    ------
    StudyError
        If the tables are damaged, or not those of a study that was run here.
    """
    if not (folder / "trials.parquet").exists():
        return []
    published = load_trials(folder, prefix=False)
    curves: dict[str, list[dict[str, Any]]] = {}
    if published.curves is not None:
        for epoch in published.curves.sort_values(["key", "epoch"]).to_dict("records"):
            curves.setdefault(str(epoch.pop("key")), []).append({str(k): v for k, v in epoch.items()})
    rows = [{str(k): v for k, v in row.items()} for row in published.frame.to_dict("records")]
    try:
        return [
            (TrialSpec.from_dict(json.loads(row["spec"])), _result(row, curves.get(row["key"], []))) for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"{folder}: its trials cannot be taken up ({type(error).__name__}: {error}); expected what "
            "`odyssey export` of this version wrote. Move the folder away, or set ODYSSEY_RESULTS to another one."
        ) from error
