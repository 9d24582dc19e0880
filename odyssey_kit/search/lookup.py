"""Which study a name means, with settings changed on the way.

May import `studies`, `store`, `publish`, `plain_text` and `errors`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from odyssey_kit.errors import UsageError
from odyssey_kit.search.plain_text import assign
from odyssey_kit.search.publish import published_folder
from odyssey_kit.search.store import definition, differences, open_for_reading, store_path
from odyssey_kit.search.studies import named_study
from odyssey_kit.search.study import StudySpec

__all__ = ["find_study"]


def _known(name: str) -> StudySpec:
    """Return a named study, one that a file describes, or one that was run or published under that name."""
    try:
        return named_study(name)
    except UsageError:
        if store_path(name).exists():
            with open_for_reading(store_path(name)) as store:
                if study := store.study():
                    return study
        description = published_folder(name) / "study.json"
        if not description.exists():
            raise
        return StudySpec.from_dict(json.loads(description.read_text(encoding="utf-8"))["study"])


def find_study(name: str, assignments: Sequence[str] = ()) -> StudySpec:
    """Return the study that a name means.

    Parameters
    ----------
    name : str
        Of a named study, of a YAML file, or of what was run or published here.
    assignments : sequence of str
        Settings to change, such as ``"protocol.max_epochs=3"``.

    Raises
    ------
    UsageError
        If there is none, an assignment has no meaning, or it makes another study without giving it a name.

    Examples
    --------
    >>> find_study("first-light", ["n_trials=2"]).trial_count
    18
    """
    study = _known(name)
    if not assignments:
        return study
    changed = StudySpec.from_dict(assign(study.to_dict(), assignments))
    found = differences(definition(study), definition(changed))
    if found and changed.name == study.name:
        raise UsageError(
            f"with {'; '.join(found)} it is another study than {study.name}: give it a name too, such as "
            f"--set name={study.name}-mine"
        )
    return changed
