"""Numbers said in words: answers, captions and colophons that are computed, so that no page types a number.

A sentence is a string that a notebook and the book show as text. May import `variants`, `analysis`
and `charts._frames`.
"""

from __future__ import annotations

import html
import math
import platform
import re
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import variant_order
from odyssey_kit.variants import variant

__all__ = [
    "Answer",
    "Caption",
    "Sentence",
    "answer",
    "caption",
    "colophon",
    "comparison_answer",
    "first_light_answer",
    "importance_answer",
    "median_interval",
    "sizes_answer",
    "so_far_answer",
    "trials_answer",
    "variants_at_best_rates_answer",
]

_RATE = "params_learning_rate"


class Sentence(str):
    """Text that a notebook shows as a paragraph, in Markdown."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return _unbroken(self)


class Answer(Sentence):
    """Text that a notebook shows in large type, under the question that is a chapter's title."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f'<p class="odyssey-answer">{html.escape(_unbroken(self), quote=False)}</p>'


class Caption(str):
    """Text that a notebook shows as the caption of the figure above it."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f'<p class="odyssey-caption">{html.escape(_unbroken(self), quote=False)}</p>'


def _unbroken(text: str) -> str:
    """Keep a number and its sign on one line."""
    return re.sub(r"(?<=\d) (?=%)|(?<=\b[nη]) (?== )|(?<=\b[nη] =) |(?<=·) (?=\d|[0-9a-f]{8})", "\u00a0", text)


def answer(text: str) -> Answer:
    """Return a sentence as the answer to a chapter's question."""
    return Answer(text)


def caption(text: str, trials: Any = None, *, rows: int | None = None) -> Caption:
    """Return a figure's caption: what to see, then study, rows and hash.

    Parameters
    ----------
    text : str
        What to see.
    trials : Trials, optional
        What the figure was drawn from.
    rows : int, optional
        Rows that were drawn, if not all trials.

    Examples
    --------
    >>> print(caption("Gates cost a quarter each."))
    Gates cost a quarter each.
    """
    if trials is None:
        return Caption(text)
    count = len(trials) if rows is None else rows
    source = [f"Study {trials.name}", f"{count:,} rows", *([trials.hash] if trials.hash else [])]
    return Caption(f"{text} {' · '.join(source)}.")


def colophon(*studies: Any) -> pd.DataFrame:
    """Return what a page rests on: versions of the libraries, and name, rows and hash of its studies.

    Parameters
    ----------
    *studies : Trials
        Studies that the page loaded.

    Returns
    -------
    pandas.DataFrame
        Columns ``what`` and ``version``, without an index.
    """
    names = ("odyssey_kit", "numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "altair", "vl-convert-python")
    rows = [("Python", platform.python_version()), *((name, _version(name)) for name in names)]
    for trials in studies:
        rows.append((f"study {trials.name}", f"{len(trials):,} trials, hash {trials.hash or 'none'}"))
        for column in ("numerics", "commit"):
            if column in trials.frame:
                values = sorted(map(str, trials.frame[column].unique()))
                rows.append((f"{trials.name}: {column}", ", ".join(value[:12] for value in values)))
    return pd.DataFrame(rows, columns=["what", "version"]).set_index("what")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


# ---- answers ----------------------------------------------------------------------------------


def median_interval(values: Any, *, level: float = 0.95) -> tuple[float, float]:
    """Return an interval for the median of the distribution that the values are drawn from.

    The ends are two of the values, chosen by the binomial distribution, so that nothing is assumed
    of the distribution's shape. Too few values for the level give infinite ends.

    Examples
    --------
    >>> median_interval(range(1, 21))
    (6.0, 15.0)
    """
    ordered = np.sort(np.asarray(list(values), dtype=float))
    rank = int(stats.binom.ppf((1 - level) / 2, len(ordered), 0.5))
    if rank < 1:
        return -math.inf, math.inf
    return float(ordered[rank - 1]), float(ordered[-rank])


def sizes_answer(*, input_size: int = 88, hidden_size: int = 100) -> Sentence:
    """Say what a vanilla layer consists of, and what each removal and the one addition cost.

    Examples
    --------
    >>> sizes_answer().split(". ")[0]
    'Four blocks and three peepholes: a vanilla layer of 100 blocks on 88 inputs has 75,900 parameters'
    """
    size = {
        name: variant(name).parameter_count(input_size=input_size, hidden_size=hidden_size)
        for name in ("V", "NIG", "NP", "FGR")
    }
    growth = size["FGR"] / size["V"] - 1
    gate, peepholes = 1 - size["NIG"] / size["V"], 1 - size["NP"] / size["V"]
    return Sentence(
        f"Four blocks and three peepholes: a vanilla layer of {hidden_size} blocks on {input_size} inputs has "
        f"{size['V']:,} parameters. Taking out one gate saves {100 * gate:.3g} % of them, taking out the peepholes "
        f"{100 * peepholes:.2g} %, and letting the gates see each other adds {100 * growth:.3g} %."
    )


def trials_answer(trials: Any) -> Sentence:
    """Say how many trials of what there are, and how they ended."""
    frame = trials.frame
    states = frame["state"].value_counts()
    a_cell = frame.groupby(["task", "variant"]).size()
    draws = f"{a_cell.min()}" if a_cell.min() == a_cell.max() else f"{a_cell.min()} to {a_cell.max()}"
    ends = ", ".join(f"{states.get(state, 0)} {words}" for state, words in _ENDS.items())
    epochs = int(frame["epochs"].max())
    return Sentence(
        f"{len(frame)} trials: {draws} random draws of {len(_searched(frame))} hyperparameters for each of "
        f"{frame['variant'].nunique()} variants, at most {epochs} epochs each, on {_tasks(frame)}. {ends}."
    )


_ENDS = {"COMPLETE": "complete", "DIVERGED": "diverged", "FAILED": "failed"}


def _searched(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if str(name).startswith("params_")]


def so_far_answer(trials: Any) -> Sentence:
    """Say how far the book is from an answer: what its trials are, and that they decide nothing."""
    frame = trials.frame
    return Sentence(
        f"This book cannot say yet: what it has so far are {len(frame)} trials of {frame['variant'].nunique()} "
        f"variants on {_tasks(frame)}, of at most {int(frame['epochs'].max())} epochs each, which show how to find out."
    )


def first_light_answer(trials: Any, *, metric: str = "test_metric") -> Sentence:
    """Say what moves the loss more, the learning rate or the variant, with medians and their intervals.

    Compares the range of medians over the decades of the learning rate with that over the variants
    within the best decade. Trials that diverged count as worse than every other; a variant of which
    half diverged there has no finite median.
    """
    frame = _ranked(trials, metric=metric)
    best, worst = _best_and_worst_decade(frame)
    inside, outside = frame[frame["decade"].eq(best)], frame[frame["decade"].eq(worst)]
    by_variant = _medians_by_variant(inside)
    between = float(by_variant.max() - by_variant.min())
    more = _median(outside["ranked"]) - _median(inside["ranked"]) > between
    claim = "more than the variant does" if more else "no more than the variant does"
    unit = frames.metric_words(frame, metric).split(", ")[-1]
    return Sentence(
        f"The learning rate moves the loss {claim}: after {int(frame['epochs'].max())} epochs on {_tasks(frame)} the "
        f"median test loss is {_median_words(inside['ranked'])} at learning rates (η) from {_decade_words(best)}, and "
        f"{_median_words(outside['ranked'])} from {_decade_words(worst)}, in {unit}; at the better rates the medians "
        f"of {len(by_variant)} variants lie within {between:.2g} of each other{_lost_words(inside)}."
    )


def variants_at_best_rates_answer(trials: Any, *, metric: str = "test_metric") -> Sentence:
    """Say how far the medians of the variants lie apart within the best decade of the learning rate."""
    frame = _ranked(trials, metric=metric)
    best, _ = _best_and_worst_decade(frame)
    inside = frame[frame["decade"].eq(best)]
    finite = _medians_by_variant(inside)
    first, last = finite.index[0], finite.index[-1]
    return Sentence(
        f"At learning rates from {_decade_words(best)} ({len(inside)} trials) the medians of {len(finite)} variants "
        f"lie between {_value_words(finite[first])} ({first}) and {_value_words(finite[last])} "
        f"({last}){_lost_words(inside)}."
    )


def _lost_words(frame: pd.DataFrame) -> str:
    """Name the variants whose median trial lies in the lane."""
    finite = _medians_by_variant(frame)
    lost = [name for name in variant_order(frame["variant"]) if name not in finite.index]
    cap = frames.CAPS.get(frames.metric_of(frame))
    above = f" or ended above {cap:.2g}" if cap else ""
    return f"; {', '.join(lost)} diverged{above} in half of the trials there, or more" if lost else ""


def _ranked(trials: Any, *, metric: str) -> pd.DataFrame:
    frame = frames.with_lane(frames.drawn(trials, needed=(metric, _RATE)), metric=metric)
    return frame.assign(
        ranked=frame[metric].astype(float).where(frame["outcome"].eq("drawn"), math.inf),
        decade=np.floor(np.log10(frame[_RATE].to_numpy()) + 1e-9),
    )


def _best_and_worst_decade(frame: pd.DataFrame) -> tuple[float, float]:
    medians = frame.groupby("decade")["ranked"].apply(_median).sort_values(kind="stable")
    return float(medians.index[0]), float(medians.index[-1])  # pyright: ignore[reportArgumentType]


def _medians_by_variant(frame: pd.DataFrame) -> pd.Series:
    """Return the finite medians, the lowest first."""
    medians = frame.groupby("variant")["ranked"].apply(_median).sort_values(kind="stable")
    return medians[np.isfinite(medians)]


def _tasks(frame: pd.DataFrame) -> str:
    return " and ".join(frames.task_words(task) for task in frame["task"].unique())


def _median(values: pd.Series) -> float:
    return float(np.quantile(values.to_numpy(), 0.5, method="inverted_cdf"))


def _median_words(values: pd.Series) -> str:
    low, high = median_interval(values)
    middle, first, last = map(_value_words, (_median(values), low, high))
    return f"{middle} (95 % interval {first} to {last}, n = {len(values)})"


def _value_words(value: float) -> str:
    if not math.isfinite(value):
        return "diverged" if value > 0 else "unknown"
    return f"{value:#.3g}".rstrip(".")


def _decade_words(decade: float) -> str:
    return f"{frames.rate_words(10.0**decade)} to {frames.rate_words(10.0 ** (decade + 1))}"


def comparison_answer(comparison: Any, *, words: str = "nats a frame") -> Sentence:
    """Say which variants differ from the baseline, by how much, and that the others are undecided."""
    table = comparison.to_frame()
    parts = []
    for task, rows in table.groupby("task", sort=False):
        different = rows[rows["verdict"].eq("different")]
        listed = ", ".join(
            f"{name} by {difference:+.2g} ({low:+.2g} to {high:+.2g})"
            for name, difference, low, high in different[["variant", "difference", "low", "high"]].itertuples(
                index=False
            )
        )
        undecided = variant_order(rows.loc[rows["verdict"].eq("undecided"), "variant"])
        names = f" ({', '.join(undecided)})" if undecided else ""
        if len(different):
            are = f"{len(different)} of {len(rows)} variants are different from {comparison.baseline}: {listed} {words}"
            rest = f"{len(undecided)} are undecided{names}"
        else:
            are, rest = f"no variant is different from {comparison.baseline} so far", f"all are undecided{names}"
        parts.append(f"On {frames.task_words(str(task))} {are}; {rest}.")
    sizes = sorted(set(table["n"]))
    trials = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return Sentence(
        f"{' '.join(parts)} Each rests on the best {100 * comparison.top:.3g} % of the trials by validation ({trials} "
        "a variant), Welch's test and Holm's correction; the intervals are 95 %, not corrected."
    )


def importance_answer(model: Any) -> Sentence:
    """Say what share of the variance the first hyperparameters explain, and how well the forest fits."""
    table = model.importances()
    effects = table[table["parameters"].ne("rest")]
    rest = float(table.loc[table["parameters"].eq("rest"), "share"].iloc[0])
    words = {**frames.HYPERPARAMETERS, "input_noise_std": "input noise"}
    first = effects.iloc[0]
    others = ", ".join(
        f"{words.get(name, name)} {100 * share:.2g} %" if share >= 0.01 else f"{words.get(name, name)} below 1 %"
        for name, share in effects[["parameters", "share"]].iloc[1:].itertuples(index=False)
    )
    return Sentence(
        f"Of the variance of the test loss over the search space, the forest attributes {100 * first['share']:.2g} % "
        f"to the {words.get(first['parameters'], first['parameters'])} alone; {others}; "
        f"interactions {100 * rest:.2g} %. It was fitted to {model.n_trials_} trials of all variants together and "
        f"explains trials it did not see with R² = {model.oob_r2_:.2f}."
    )
