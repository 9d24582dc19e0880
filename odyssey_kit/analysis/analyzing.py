"""`ok.analyze`: everything that a table of trials says.

May import `errors`, `space` and the other modules of `analysis`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.advice import advice_of, basin_of_curve, comparison_words, value_words
from odyssey_kit.analysis.checks import check_space, is_number
from odyssey_kit.analysis.direction import Direction, sign, unstated
from odyssey_kit.analysis.foreign import comparable, foreign_states, named_cells
from odyssey_kit.analysis.functional_anova import FunctionalANOVA
from odyssey_kit.analysis.importance import fanova, group_labels
from odyssey_kit.analysis.reading import guess_space
from odyssey_kit.analysis.schema import PARAMETER_PREFIX
from odyssey_kit.analysis.significance import Comparison, compare
from odyssey_kit.analysis.trials import Trials, frame_of, numeric_column
from odyssey_kit.analysis.words import trial_counts, trials_in_words
from odyssey_kit.errors import UsageError
from odyssey_kit.space import Categorical, Distribution, SearchSpace

__all__ = ["Analysis", "analyze"]

_GROUPS = "_groups of analyze"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Analysis:
    """What a table of trials says.

    Parameters
    ----------
    name : str
        Name of the table.
    models : dict of str to FunctionalANOVA
        One a task.
    importances : pandas.DataFrame
        As `FunctionalANOVA.importances`, with a column task.
    basins : pandas.DataFrame
        For each task and hyperparameter with an order where its mean curve is best and within a
        tenth of its range; of choices without an order ``as_good`` names the others within it.
    comparison : Comparison or None
        Of the variants, if there are several with the baseline among them.
    advice : tuple of str
        Sentences.
    notes : tuple of str
        What was assumed or left out.
    direction : {"minimize", "maximize"}
        Which way the target is better.
    """

    name: str
    models: dict[str, FunctionalANOVA]
    importances: pd.DataFrame
    basins: pd.DataFrame
    comparison: Comparison | None
    advice: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    direction: Direction = "minimize"

    @property
    def counts(self) -> pd.DataFrame:
        """How many trials of each task there were, diverged, failed, were set to the worst value or capped."""
        return pd.DataFrame([{"task": task, **trial_counts(model)} for task, model in self.models.items()])

    def counted(self, task: str) -> str:
        """Return the counts of a task in one line."""
        return trials_in_words(self.models[task])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data; missing numbers are None."""
        return {
            "name": self.name,
            "advice": list(self.advice),
            "notes": list(self.notes),
            "direction": self.direction,
            "counts": _plain(self.counts),
            "importances": _plain(self.importances),
            "basins": _plain(self.basins),
            "comparison": None if self.comparison is None else _plain(self.comparison.frame),
        }

    def __repr__(self) -> str:
        return f"Analysis of {self.name!r}\n" + "\n".join(f"- {line}" for line in (*self.advice, *self.notes))


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    def cell(value: Any) -> Any:
        if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
            return None
        return value.item() if isinstance(value, np.generic) else value

    return [{str(k): cell(v) for k, v in row.items()} for row in frame.astype(object).to_dict("records")]


def analyze(
    trials: Trials | pd.DataFrame,
    *,
    target: str = "test_metric",
    direction: Direction | None = None,
    space: SearchSpace | None = None,
    parameters: Sequence[str] | None = None,
    valid: str | None = None,
    variant_column: str | None = None,
    task_column: str | None = None,
    groups: Any = None,
    baseline: str | None = None,
    top: float = 0.10,
    margin: float | None = None,
    variant: str | None = None,
    task: str | None = None,
    **settings: Any,
) -> Analysis:
    """Return importances, basins, comparison and advice for a table of trials.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Trials, or anybody's own table.
    target : str
        Column to explain and compare.
    direction : {"minimize", "maximize"}, optional
        Which way it is better, in Optuna's words. Lower if nothing is said, with a warning and a note
        if its name sounds otherwise.
    space : SearchSpace, optional
        By default that of the trials; without any it is guessed from the values, and shares have
        no intervals then.
    parameters : sequence of str, optional
        Hyperparameters to guess the space of.
    valid : str, optional
        Column that trials are selected by before variants are compared; ``valid_metric`` where the
        table has our columns. Without one the selection is by the target, which a note says.
    variant_column, task_column : str, optional
        Columns of what is compared and of the data set; ``variant`` and ``task`` by default.
    groups : array or column name, optional
        Trials that are no independent draws; see `FunctionalANOVA.fit`.
    baseline, top, margin
        As in `compare`; the baseline is V, or the first variant.
    variant, task : str, optional
        Only these trials.
    **settings
        Of `FunctionalANOVA`, such as cap and transform; random_state is the comparison's too.

    Returns
    -------
    Analysis
        Tables, and advice in words.

    Raises
    ------
    UsageError
        If a column does not exist, and as `fanova`. Why variants are not compared is a note.
    """
    frame = named_cells(foreign_states(frame_of(trials)), variant=variant_column, task=task_column)
    name, notes = getattr(trials, "name", "table"), []
    if told := unstated(direction, target, frame):
        warnings.warn(told, UserWarning, stacklevel=2)
        notes.append(f"{told}.")
    direction = "minimize" if direction is None else direction
    if valid is not None:
        numeric_column(frame, valid, what="column to select by")
    space = space if space is not None else getattr(trials, "space", None)
    if space is None:
        space = guess_space(frame, parameters)
        settings = {"sampling": "unknown", **settings}
        notes.append(f"The search space was guessed from the values: {_space_words(space)}.")
    # What is compared is explained as the variant, once.
    compared = (variant_column or "").removeprefix(PARAMETER_PREFIX)
    space = SearchSpace({name: law for name, law in check_space(space).items() if name != compared})
    if groups is not None:
        frame = frame.assign(**{_GROUPS: group_labels(frame, groups)})
    for column, chosen in (("variant", variant), ("task", task)):
        if chosen is not None:
            if column not in frame or chosen not in set(frame[column]):
                raise UsageError(f"no trials of {column} {chosen!r} in {name!r}")
            frame = frame[frame[column] == chosen]
    settings |= {"direction": direction, "groups": None if groups is None else _GROUPS}
    models, tables, basins, advice = _explained(frame, target, space, settings)
    asked = {"top": top, "margin": margin, "direction": direction, "random_state": settings.get("random_state", 0)}
    comparison = _compared(frame, baseline, target, valid, asked, notes)
    if comparison is not None:
        advice += comparison_words(comparison)
    return Analysis(
        name=str(name),
        models=models,
        importances=pd.concat(tables, ignore_index=True),
        basins=pd.concat(basins, ignore_index=True),
        comparison=comparison,
        advice=tuple(advice),
        notes=tuple(notes),
        direction=direction,
    )


def _explained(
    frame: pd.DataFrame, target: str, space: SearchSpace, settings: Mapping[str, Any]
) -> tuple[dict[str, FunctionalANOVA], list[pd.DataFrame], list[pd.DataFrame], list[str]]:
    """Return the model of each task, its shares, its basins, and advice."""
    models, tables, basins, advice = {}, [], [], []
    tasks = frame["task"].unique().tolist() if "task" in frame else [""]
    with warnings.catch_warnings():
        # What they say stands in the advice.
        warnings.filterwarnings("ignore", message="out-of-bag R2 is", category=UserWarning)
        for each in tasks:
            cell = frame[frame["task"] == each] if "task" in frame else frame
            several = "variant" in cell and len(cell["variant"].unique()) > 1
            model = fanova(cell, target=target, space=space, with_variant=several, **settings)
            models[str(each)] = model
            tables.append(model.importances(min(2, len(model.parameters_))).assign(task=each))
            found = pd.DataFrame([_basin(model, parameter) for parameter in space]).assign(task=each)
            basins.append(found)
            lines = advice_of(model, found)
            advice += [f"{each}: {line}" for line in lines] if len(tasks) > 1 else lines
    return models, tables, basins, advice


def _basin(model: FunctionalANOVA, parameter: str) -> dict[str, Any]:
    """Return the basin of a hyperparameter; of a target that is maximised that of its negative, turned back."""
    curve, turn = model.marginal(parameter), sign(model.direction)
    found = basin_of_curve(curve.assign(mean=turn * curve["mean"]))
    return found | {end: turn * found[end] for end in ("mean_at_best", "mean_at_worst")}


def _space_words(space: SearchSpace) -> str:
    return ", ".join(f"{name} {_law_words(law)}" for name, law in space.items())


def _law_words(law: Distribution) -> str:
    if isinstance(law, Categorical) and all(map(is_number, law.choices)):
        return f"one of {', '.join(map(value_words, law.choices))} (few numbers, each several times: a grid)"
    return type(law).__name__


def _compared(
    frame: pd.DataFrame,
    baseline: str | None,
    target: str,
    valid: str | None,
    asked: Mapping[str, Any],
    notes: list[str],
) -> Comparison | None:
    """Compare the variants where there are several and the table says what is needed; else say why not."""
    if "variant" not in frame or frame["variant"].nunique() < 2:
        if valid is not None:
            notes.append(f"{valid!r} is not used: it selects trials of variants, and the table names fewer than two.")
        return None
    there = frame["variant"].unique().tolist()
    chosen = baseline if baseline is not None else ("V" if "V" in there else str(there[0]))
    metric = by = ""

    def named(words: object) -> str:
        """Give the columns back the names that the table's owner knows."""
        text = str(words)
        for ours, own in ((metric, target), (by, valid or target)):
            text = text.replace(ours, own) if ours else text
        return text

    try:
        table, metric, by = comparable(frame, target=target, valid=valid)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            comparison = compare(table, baseline=chosen, metric=metric, by=by, **asked)
        notes += [f"{named(warning.message)}." for warning in caught if issubclass(warning.category, UserWarning)]
    except UsageError as error:
        notes.append(f"The variants are not compared: {named(error)}.")
        return None
    # By the names that the table's owner knows.
    return comparison if metric == target else replace(comparison, metric=target, by=valid or target)
