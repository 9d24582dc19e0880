"""Numbers said in words: answers, captions and colophons that are computed, so that no page types a number.

A sentence is a string that a notebook and the book show as text. May import `variants`, `analysis` and
the other modules of `charts`.
"""

from __future__ import annotations

import html
import platform
import re
import textwrap
from importlib import metadata
from typing import Any

import pandas as pd

from odyssey_kit.analysis.direction import sign
from odyssey_kit.analysis.schema import parameter_columns
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts._frames import count_words, effect_words, size_words, tasks_words
from odyssey_kit.charts._rates import apart, for_each_task, median_interval, moves
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
    "data_answer",
    "first_light_answer",
    "importance_answer",
    "median_interval",
    "published_answer",
    "sizes_answer",
    "so_far_answer",
    "trials_answer",
    "variants_at_best_rates_answer",
]


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


_CELL = 48  # characters; pandas cuts a longer cell


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
                lines = textwrap.wrap(", ".join(value[:8] for value in values), _CELL)
                rows += [(f"{trials.name}: {column}", line) for line in lines]
    return pd.DataFrame(rows, columns=["what", "version"]).set_index("what")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


# ---- answers ----------------------------------------------------------------------------------


def data_answer(datasets: pd.DataFrame) -> Sentence:
    """Say which corpora the studies rest on, who may have them, and what stands in for the others.

    Parameters
    ----------
    datasets : pandas.DataFrame
        As `ok.list_datasets` returns it.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> data_answer(ok.list_datasets()).split(": ")[0]
    'On five corpora'
    """
    own = datasets[datasets["what"] == "papers' own data"]
    free, licensed = (own.index[own["size"].gt(0) == flag].tolist() for flag in (True, False))
    others = len(datasets) - len(own)
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return Sentence(
        f"On {numbers[len(own)]} corpora: {' and '.join(free)} can be had by anybody, {', '.join(licensed[:-1])} and "
        f"{licensed[-1]} take a licence of your own. {numbers[others].capitalize()} stand-ins have names of their own, "
        "and no number on one of them compares with a paper's."
    )


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
    draws = count_words(a_cell.min(), "random draw")
    if a_cell.min() < a_cell.max():
        draws = f"{a_cell.min()} to {count_words(a_cell.max(), 'random draw')}"
    ends = ", ".join(f"{states.get(state, 0)} {words}" for state, words in _ENDS.items())
    variants, tasks = frame["variant"].nunique(), frame["task"].nunique()
    cells = f"each of {variants} variants" if variants > 1 else f"the variant {frame['variant'].iloc[0]}"
    where = f"{'each of ' if tasks > 1 else ''}{tasks_words(frame)}"
    return Sentence(
        f"{count_words(len(frame), 'trial')}: {draws} of {count_words(len(_searched(frame)), 'hyperparameter')} for "
        f"{cells}, at most {count_words(frame['epochs'].max(), 'epoch')} each, on {where}. {ends}."
    )


_ENDS = {"COMPLETE": "complete", "DIVERGED": "diverged", "FAILED": "failed"}


def _searched(frame: pd.DataFrame) -> list[str]:
    """Return the hyperparameters that were drawn; a column with one value was not."""
    names = parameter_columns(frame)
    return [name for name in names if len(frame[name].unique()) > 1]


def so_far_answer(trials: Any) -> Sentence:
    """Say how far the book is from an answer: what its trials are, and that they decide nothing."""
    frame = trials.frame
    return Sentence(
        f"This book cannot say yet: what it has so far are {count_words(len(frame), 'trial')} of "
        f"{count_words(frame['variant'].nunique(), 'variant')} on {tasks_words(frame)}, of at most "
        f"{count_words(frame['epochs'].max(), 'epoch')} each, which show how to find out."
    )


def first_light_answer(trials: Any, *, metric: str = "test_metric") -> Sentence:
    """Say what moves the loss more, the learning rate or the variant, with medians and their intervals.

    Compares, on each task, the range of medians over the decades of the learning rate with that over
    the variants within the best decade. Decades of fewer than five trials are not looked at. Trials
    that diverged count as worse than every other; a variant of which half diverged there has no
    finite median, is not compared, and is named. Trials that failed are left out.
    """
    return Sentence(for_each_task(trials, moves, metric=metric))


def variants_at_best_rates_answer(trials: Any, *, metric: str = "test_metric") -> Sentence:
    """Say how far the medians of the variants lie apart within the best decade of the learning rate.

    The first and the last are named only if no median is that of fewer than five trials.
    """
    return Sentence(for_each_task(trials, apart, metric=metric))


def comparison_answer(comparison: Any, *, words: str = "nats a frame") -> Sentence:
    """Say which variants differ from the baseline, by how much, and what is undecided or within the margin."""
    table = comparison.to_frame()
    if table.empty:
        return Sentence(f"There is no variant to compare with {comparison.baseline}.")
    parts = [_verdicts(rows, str(task), comparison.baseline, words) for task, rows in table.groupby("task", sort=False)]
    chosen = "validation" if comparison.by == "valid_metric" else comparison.by
    right = "worse" if sign(comparison.direction) > 0 else "better"
    worse = f" A positive difference is {right} than {comparison.baseline}." if "+" in " ".join(parts) else ""
    return Sentence(
        f"{' '.join(parts)}{worse} Each rests on the best {100 * comparison.top:.3g} % of the trials by {chosen} "
        f"({size_words(table['n'])} a variant) and on redrawing the trials and selecting again, with Holm's "
        "correction; the intervals are 95 %, not corrected."
    )


def _verdicts(rows: pd.DataFrame, task: str, baseline: str, words: str) -> str:
    different = rows[rows["verdict"].eq("different")]
    columns = ["variant", "difference", "low", "high"]
    listed = ", ".join(
        f"{name} by {difference:+.2g} ({low:+.2g} to {high:+.2g})"
        for name, difference, low, high in different[columns].itertuples(index=False)
    )
    undecided = variant_order(rows.loc[rows["verdict"].eq("undecided"), "variant"])
    near = variant_order(rows.loc[rows["verdict"].isin(["equivalent", "different but negligible"]), "variant"])
    alike = f"; within the margin of {baseline}: {', '.join(near)}" if near else ""
    names = f" ({', '.join(undecided)})" if undecided else ""
    on = f"On {frames.task_words(task)}"
    if different.empty:
        are = "all are undecided" if len(undecided) == len(rows) > 1 else "the comparison is undecided"
        if len(undecided) < len(rows):
            are = (
                f"{len(undecided)} {'is' if len(undecided) == 1 else 'are'} undecided" if undecided else "none is left"
            )
        return f"{on} no variant is different from {baseline} so far{alike}; {are}{names}."
    verb = "is" if len(different) == 1 else "are"
    of = count_words(len(rows), "variant")
    are = f"{on} {len(different)} of {of} {verb} different from {baseline}: {listed} {words}{alike}"
    if not undecided:
        return f"{are}."
    return f"{are}; {len(undecided)} {'is' if len(undecided) == 1 else 'are'} undecided{names}."


def published_answer(tests: pd.DataFrame) -> Sentence:
    """Say which published boxes a re-test does not bear out, and what twenty trials a side can see at all.

    Examples
    --------
    >>> from odyssey_kit.analysis import retest_published
    >>> print(published_answer(retest_published()).split(". ")[0])
    Of 24 boxes 21 can be tested again, and 20 of them come out as they are painted
    """
    from odyssey_kit.analysis.published import N_BEST, detectable_effect

    known = tests.dropna(subset=["d"])
    odd = known[known["agrees"].eq(False)]
    paintings = {True: "significant", False: "as not significant"}
    listed = "; ".join(
        f"{row['variant']} on {frames.task_words(row['task'])} is painted {paintings[row['painted_significant']]}, "
        f"with p × 8 = {row['p_bonferroni']:.2g}"
        for row in odd.to_dict("records")
    )
    return Sentence(
        f"Of {len(tests)} boxes {len(known)} can be tested again, and {len(known) - len(odd)} of them come out as they "
        f"are painted. {f'Not so: {listed}. ' if listed else ''}With {N_BEST} trials a side and the paper's correction "
        f"a difference is found in four cases of five if it is {detectable_effect(N_BEST):.3g} standard deviations or "
        "more."
    )


def importance_answer(model: Any, trials: Any = None, *, of: Any = None) -> Sentence:
    """Say what share of the variance the first hyperparameters explain, and how well the forest fits.

    Parameters
    ----------
    model : FunctionalANOVA
        Fitted.
    trials : Trials, optional
        What it was fitted to; their variants are counted.
    of : Trials, optional
        What `trials` were taken from; variants that were left out are named, and why.
    """
    table = model.importances()
    effects = table[table["parameters"].ne("rest")]
    rest = float(table.loc[table["parameters"].eq("rest"), "share"].iloc[0])
    first = effects.iloc[0]
    others = "".join(
        f"{effect_words(name)} {percent_words(share)}{_between(low, high)}; "
        for name, share, low, high in effects[["parameters", "share", "low", "high"]].iloc[1:].itertuples(index=False)
    )
    target = {"test_metric": "test loss", "valid_metric": "validation loss"}.get(model.target, model.target)
    if effects["share"].isna().any():
        return Sentence(
            f"The forest finds no variance of the {target} over the search space that hyperparameters could share "
            f"({table['note'].iloc[0]}); it was fitted to {count_words(model.n_trials_, 'trial')}."
        )
    variants = [] if trials is None else variant_order(trials.frame["variant"])
    among = f" of {len(variants)} variants together" if len(variants) > 1 else "".join(f" of {v}" for v in variants)
    left = "" if of is None else _left_out(of.frame, variants)
    return Sentence(
        f"Of the variance of the {target} over the search space, the forest attributes {percent_words(first['share'])}"
        f"{_between(first['low'], first['high'], said=True)} to the "
        f"{effect_words(first['parameters'])} alone; {others}"
        f"interactions {percent_words(rest)}. It was fitted to {count_words(model.n_trials_, 'trial')}{among} and "
        f"explains trials it did not see with R² = {model.oob_r2_:.2f}.{left}"
    )


def _left_out(everything: pd.DataFrame, kept: list[str]) -> str:
    parts = []
    for name in variant_order(everything["variant"]):
        cell = everything[everything["variant"].eq(name)]
        diverged = int(cell["state"].eq("DIVERGED").sum())
        why = (
            f"{diverged} of its {count_words(len(cell), 'trial')} diverged"
            if diverged
            else count_words(len(cell), "trial")
        )
        if name not in kept:
            parts.append(f"{name} ({why})")
    return f" Left out: {', '.join(parts)}." if parts else ""


def _between(low: float, high: float, *, said: bool = False) -> str:
    """Return the ends of a share's interval in brackets, or nothing where there is none."""
    if pd.isna(low):
        return ""
    return f" ({'90 % interval ' if said else ''}{100 * max(low, 0.0):.0f} to {100 * high:.0f} %)"


def percent_words(share: float) -> str:
    """Return a share of the variance in words.

    Examples
    --------
    >>> percent_words(0.876), percent_words(0.998), percent_words(0.004)
    ('88 %', '99.8 %', 'below 1 %')
    """
    if share < 0.01:
        return "below 1 %"
    return f"{100 * share:.3g} %" if share >= 0.995 else f"{100 * share:.2g} %"
