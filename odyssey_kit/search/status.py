"""How far a study is. May import `study`, `store` and `publish`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from odyssey_kit.search.publish import published_folder, published_results
from odyssey_kit.search.store import open_for_reading, store_path
from odyssey_kit.search.study import StudySpec

__all__ = ["study_status"]


def study_status(study: StudySpec, path: Path | None = None, results: Path | None = None) -> pd.DataFrame:
    """Return counts for each cell of a study, from its store and from what is published.

    Returns
    -------
    pandas.DataFrame
        Indexed by task and variant; columns planned, done, complete, diverged, failed, and hours of
        processor time of the trials done.
    """
    path = path or store_path(study.name)
    known = {spec.key: result for spec, result in published_results(published_folder(study.name, results))}
    if path.exists():
        with open_for_reading(path, study) as store:
            known |= {spec.key: result for spec, result in store.results()}
    cells = [cell.name for cell in study.variants]
    rows = []
    for spec in sorted(study.plan(), key=lambda spec: (study.tasks.index(spec.task), cells.index(spec.variant.name))):
        result = known.get(spec.key)
        state = result.state if result else ""
        rows.append(
            {
                "task": spec.task,
                "variant": spec.variant.name,
                "planned": 1,
                "done": int(result is not None),
                **{name.lower(): int(state == name) for name in ("COMPLETE", "DIVERGED", "FAILED")},
                "hours": result.seconds / 3600 if result else 0.0,
            }
        )
    return pd.DataFrame(rows).groupby(["task", "variant"], sort=False).sum()
