"""Taking up what ran elsewhere: the stores of shards, and published folders.

May import `store`, `publish`, `study`, `training` and `errors`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from odyssey_kit.errors import StudyError
from odyssey_kit.search.publish import published_results
from odyssey_kit.search.store import definition, differences, open_for_reading, open_for_writing, store_path
from odyssey_kit.search.study import StudySpec
from odyssey_kit.training import TrialResult, TrialSpec

__all__ = ["Merged", "import_results"]


@dataclass(frozen=True)
class Merged:
    """What an import did: trials that were new, and those that were there already, of which the first is kept."""

    study: str
    path: Path
    added: int
    duplicates: int

    def __str__(self) -> str:
        trials = "1 trial" if self.added == 1 else f"{self.added:,} trials"
        return f"{trials} taken into {self.path}, {self.duplicates:,} there already"


def _read(source: Path) -> tuple[StudySpec, list[tuple[TrialSpec, TrialResult]]]:
    """Return the study and the results of a store or of a published folder."""
    if source.is_dir():
        if not (source / "study.json").is_file():
            raise StudyError(f"{source} holds no study.json; expected a folder that `odyssey export` wrote, or a store")
        results = published_results(source)  # verified against the checksums of study.json
        description = json.loads((source / "study.json").read_text(encoding="utf-8"))
        return StudySpec.from_dict(description["study"]), results
    if not source.exists():
        raise StudyError(
            f"{source} does not exist; expected a store (*.sqlite) or a folder that `odyssey export` wrote"
        )
    with open_for_reading(source) as store:
        study = store.study()
        if study is None:
            raise StudyError(f"{source} does not say which study it is of; it was only begun")
        return study, list(store.results())


def import_results(sources: Sequence[Path], path: Path | None = None) -> Merged:
    """Merge stores and published folders of one study into its store.

    Parameters
    ----------
    sources : sequence of Path
        Files ``*.sqlite`` of `odyssey run`, shards or not, and folders of `odyssey export`.
    path : Path, optional
        The store to merge into; by default that of the study in runs/.

    Returns
    -------
    Merged
        A trial that is there already is counted, and the first is kept.

    Raises
    ------
    StudyError
        If a source cannot be read or is of another study. Nothing is taken up then.
    """
    read = [_read(source) for source in sources]
    if not read:
        raise StudyError("nothing to import: name stores or published folders")
    first = read[0][0]
    for source, (study, _) in zip(sources, read, strict=True):
        if study.name != first.name or (found := differences(definition(first), definition(study))):
            reason = f"name: {first.name!r}, {study.name!r}" if study.name != first.name else "; ".join(found)
            raise StudyError(f"{source} is of another study than {sources[0]}; nothing was taken up. {reason}")
    study = replace(first, n_trials=max(study.n_trials for study, _ in read))
    path = path or store_path(study.name)
    added = duplicates = 0
    with open_for_writing(study, path) as store:
        for source, (_, results) in zip(sources, read, strict=True):
            if source.resolve() == path.resolve():
                continue
            for spec, result in results:
                new = store.add(spec, result)
                added, duplicates = added + new, duplicates + (not new)
    return Merged(study.name, path, added, duplicates)
