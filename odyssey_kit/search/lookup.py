"""Which study a name means, what it lacks, and settings changed on the way.

May import `studies`, `study`, `store`, `publish`, `plain_text`, `analysis.loading`, `analysis.trials`,
`data` and `errors`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from odyssey_kit.analysis.loading import load_trials
from odyssey_kit.analysis.trials import Trials, select_top
from odyssey_kit.data.manifest import dataset_names
from odyssey_kit.errors import StudyError, UsageError
from odyssey_kit.search.plain_text import assign
from odyssey_kit.search.publish import published_folder
from odyssey_kit.search.store import definition, differences, open_for_reading, store_and_shards, store_path
from odyssey_kit.search.studies import STUDIES
from odyssey_kit.search.study import StudySpec

__all__ = ["find_study", "list_studies", "named_study", "study_names", "what_is_missing"]

# ---- studies that begin where another one ended --------------------------------------------------


def _complete(name: str, cells: tuple[str, ...], results: Path | None) -> Trials:
    """Return the published trials of some cells of a named study, once all of them are there."""
    whole = STUDIES[name]
    wanted = len(whole.tasks) * len(cells) * whole.n_trials
    folder = published_folder(name, results)
    trials = load_trials(folder).query(f"variant in {cells!r}") if (folder / "trials.parquet").exists() else None
    have = 0 if trials is None else len(trials)
    if trials is None or have < wanted:
        raise StudyError(
            f"it begins with the best draws of {name}, of whose {wanted} trials of {' and '.join(cells)} {have} are "
            f"published in {folder}. Next: odyssey run {name}, then odyssey export {name}"
        )
    return trials


@dataclass(frozen=True, kw_only=True)
class _BestAgain:
    """A study of the best draws of another one, with several seeds each; planned once that one is complete."""

    of: str
    cells: tuple[str, ...]
    best: int
    seeds: int
    title: str

    @property
    def trial_count(self) -> int:
        return len(self.cells) * self.best * self.seeds

    def plan(self, name: str, results: Path | None) -> StudySpec:
        whole = STUDIES[self.of]
        trials = _complete(self.of, self.cells, results)
        top = select_top(trials, top=self.best / whole.n_trials).frame.sort_values(["valid_metric", "index"])
        params = {law: f"params_{law}" for law in whole.space}
        given = {
            cell: tuple(
                {law: getattr(row, column) for law, column in params.items()}
                for row in top[top["variant"] == cell].itertuples()
            )
            for cell in self.cells
        }
        return replace(
            whole,
            name=name,
            title=self.title,
            variants=tuple(cell for cell in whole.variants if cell.name in self.cells),
            n_trials=self.best * self.seeds,
            given=given,
        )


_DERIVED: Mapping[str, _BestAgain] = MappingProxyType(
    {
        "odyssey-jsb-seeds": _BestAgain(
            of="odyssey-jsb",
            cells=("V", "CIFG"),
            best=10,
            seeds=10,
            title="The ten best draws of vanilla and of CIFG in odyssey-jsb, with ten seeds each.",
        ),
        "breuel-momentum-seeds": _BestAgain(
            of="breuel-momentum",
            cells=("NPLSTM",),
            best=5,
            seeds=3,
            title="The five best draws of breuel-momentum, with three seeds each.",
        ),
    }
)


# ---- by name -------------------------------------------------------------------------------------


def study_names() -> list[str]:
    """Return the names of all named studies."""
    return [*STUDIES, *_DERIVED]


def list_studies() -> pd.DataFrame:
    """Return the named studies.

    Returns
    -------
    pandas.DataFrame
        Indexed by name; columns trials, runs_here (whether this version has its data sets and trains it, and
        what it begins with is complete) and title.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> int(ok.list_studies().loc["odyssey-jsb-raw", "trials"])
    200
    """
    rows = []
    for name in study_names():
        try:
            study = named_study(name)
            rows.append((name, study.trial_count, not what_is_missing(study), study.title))
        except StudyError:
            rows.append((name, _DERIVED[name].trial_count, False, _DERIVED[name].title))
    return pd.DataFrame(rows, columns=["name", "trials", "runs_here", "title"]).set_index("name")


def named_study(name: str, results: Path | None = None) -> StudySpec:
    """Return the study of that name, or the one that a YAML file describes.

    Parameters
    ----------
    name : str
        A name, or the path of a file that ends in .yaml or .yml.
    results : Path, optional
        The folder of published studies, for those that begin where another one ended.

    Raises
    ------
    UsageError
        If there is none, or the file describes none.
    StudyError
        If it begins with the results of a study that is not complete.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> len(ok.named_study("first-light").plan())
    180
    """
    if name.endswith((".yaml", ".yml")):
        try:
            return StudySpec.from_yaml(Path(name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{name} cannot be read ({error}); expected a study as YAML") from error
    if name in _DERIVED:
        try:
            return _DERIVED[name].plan(name, results)
        except StudyError as error:
            raise StudyError(f"{name} cannot be planned yet: {error}") from error
    if name not in STUDIES:
        close = difflib.get_close_matches(name, study_names(), n=3, cutoff=0.5)
        meant = f"did you mean {' or '.join(close)}? " if close else ""
        raise UsageError(f"no study is called {name!r}; {meant}`odyssey studies` lists all")
    return STUDIES[name]


def what_is_missing(study: StudySpec) -> list[str]:
    """Return what a study needs that this version does not have: data sets, and settings of the trainer."""
    known = dataset_names()
    absent = [f"the data set {task}" for task in study.tasks if task not in known]
    specs = [study.trial(study.tasks[0], cell, 0) for cell in study.variants]
    settings = sorted({text.partition("=")[0] for spec in specs for text in spec.protocol.not_trained()})
    return absent + ([f"a trainer that knows {', '.join(settings)}"] if settings else [])


def _known(name: str) -> StudySpec:
    """Return a named study, one that a file describes, or one that was run or published under that name."""
    try:
        return named_study(name)
    except UsageError:
        for path in store_and_shards(store_path(name)):
            with open_for_reading(path) as store:
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
