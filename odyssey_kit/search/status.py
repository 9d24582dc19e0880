"""How far a study is. May import `study`, `store`, `publish` and the table of `analysis`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pandas as pd

from odyssey_kit.analysis.loading import load_trials
from odyssey_kit.analysis.schema import STATES
from odyssey_kit.search.publish import published_folder
from odyssey_kit.search.store import definition, open_for_reading, store_and_shards, store_path
from odyssey_kit.search.study import StudySpec

__all__ = ["study_status"]

_COLUMNS = ["key", "task", "variant", "index", "state", "seconds"]


def _published(study: StudySpec, folder: Path) -> pd.DataFrame:
    """Return what is published of a study."""
    if not (folder / "trials.parquet").exists():
        return pd.DataFrame(columns=_COLUMNS)
    published = load_trials(folder, prefix=False)
    frame = published.frame[_COLUMNS]
    described = (published.study or {}).get("study")
    if described and definition(StudySpec.from_dict(json.loads(json.dumps(described)))) == definition(study):
        return frame
    return frame[frame["key"].isin({spec.key for spec in study.plan()})]


def study_status(study: StudySpec, path: Path | None = None, results: Path | None = None) -> pd.DataFrame:
    """Return counts for each cell of a study, from its store, those of its shards, and from what is published.

    Returns
    -------
    pandas.DataFrame
        Indexed by task and variant; columns planned, done, complete, diverged, failed, and hours of
        processor time of the trials done.
    """
    frames = []
    for one in store_and_shards(path or store_path(study.name)):
        with open_for_reading(one, study) as store:
            frames.append(pd.DataFrame(store.outcomes(), columns=_COLUMNS))
    frames.append(_published(study, published_folder(study.name, results)))
    known = pd.concat([frame for frame in frames if len(frame)] or frames[:1]).drop_duplicates("key")
    known = known[known["index"] < study.n_trials]
    cells = pd.MultiIndex.from_tuples(
        itertools.product(study.tasks, (cell.name for cell in study.variants)), names=["task", "variant"]
    )
    states = pd.DataFrame({state.lower(): known["state"] == state for state in STATES}).astype(int)
    counts = states.assign(hours=known["seconds"] / 3600, task=known["task"], variant=known["variant"])
    counts = counts.groupby(["task", "variant"]).sum().reindex(cells, fill_value=0)
    counts.insert(0, "planned", study.n_trials)
    counts.insert(1, "done", counts[[state.lower() for state in STATES]].sum(axis=1))
    return counts.astype({"hours": float, **{state.lower(): int for state in STATES}, "done": int})
