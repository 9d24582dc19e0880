"""A study as a page sees it: not run yet, partial or complete; each of its figures says so by itself.

A page is written before its studies are run. What it draws of a study therefore goes through an `Arm`,
which draws if the trials are there, and otherwise says what is missing. May import `analysis`, `errors`
and the other modules of `charts`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from odyssey_kit import analysis
from odyssey_kit.analysis.claims import conventions
from odyssey_kit.analysis.schema import parameter_columns
from odyssey_kit.charts.sentences import Sentence, caption
from odyssey_kit.errors import UnfinishedBlockError, UsageError

if TYPE_CHECKING:
    from odyssey_kit.analysis import Comparison, FunctionalANOVA, Trials

__all__ = ["Arm", "arm"]


class _Inconclusive(UsageError):
    """Trials that an analysis can be made of, and that it says nothing about."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """One study of a page.

    Parameters
    ----------
    name, title : str
        Of the study.
    planned : int
        Trials that the whole study has.
    trials : Trials, optional
        What is published of it: of a partial study the draws that every cell has.
    why : str
        Why there are no trials; empty where there are.
    """

    name: str
    title: str
    planned: int
    trials: Trials | None = None
    why: str = ""
    _models: dict[Any, FunctionalANOVA] = field(default_factory=dict, repr=False)
    _comparisons: dict[Any, Comparison] = field(default_factory=dict, repr=False)

    @property
    def partial(self) -> bool:
        """Whether trials of the study are still to be run."""
        return self.trials is not None and len(self.trials) < self.planned

    def state(self) -> Sentence:
        """Say how much of the study there is."""
        if self.trials is None:
            return Sentence(
                f"**{self.name}** is {self.why} yet: {self.planned:,} trials. {self.title} "
                "This section fills in by itself when the study is published."
            )
        n = len(self.trials)
        draws = _draws(self.trials)
        if not self.partial:
            return Sentence(f"Study **{self.name}**, complete: {draws}.")
        return Sentence(
            f"Study **{self.name}** is partial: {draws}, {n:,} of {self.planned:,} trials. What needs more of them "
            "says so, and fills in by itself."
        )

    def say(self, sentence: Callable[[Trials], str]) -> Sentence:
        """Return what a function says of the trials, or what is missing.

        Parameters
        ----------
        sentence : callable
            Trials in, words out. What it cannot say of a partial study, it raises as `UsageError`.
        """
        if self.trials is None:
            return Sentence(
                f"{self.why[0].upper()}{self.why[1:]} yet: this waits for the study {self.name} "
                f"({self.planned:,} trials)."
            )
        try:
            return Sentence(sentence(self.trials))
        except _Inconclusive as nothing:
            return Sentence(f"{len(self.trials):,} trials of {self.name} cannot tell: {nothing}.")
        except UsageError as error:
            if not self.partial:
                raise
            return Sentence(f"Not yet: {self.name} is partial, {len(self.trials):,} trials so far. ({error})")

    def show(self, draw: Callable[[Trials], Any], words: str = "") -> None:
        """Display what a function makes of the trials, with a caption, or say what is missing.

        Parameters
        ----------
        draw : callable
            Trials in; a chart, a table or a widget out.
        words : str
            What to see; study, rows and hash are added.
        """
        from IPython.display import display

        drawn: list[Any] = []

        def attempt(trials: Trials) -> str:
            drawn.append(draw(trials))
            return caption(words, trials)

        said = self.say(attempt)
        for part in drawn:
            display(part)
        display(caption(said) if drawn else said)

    def section(self, sentence: Callable[[Trials], str], draw: Callable[[Trials], Any], words: str) -> None:
        """Display how much of the study there is, and if there is any, what it says and a figure of it."""
        from IPython.display import display

        display(self.state())
        if self.trials is not None:
            display(self.say(sentence))
            self.show(draw, words)

    def compare(self, **settings: Any) -> Comparison:
        """Return the comparison of all variants with vanilla, made once a page; see `ok.compare`."""
        key = tuple(sorted(settings.items()))
        if key not in self._comparisons:
            self._comparisons[key] = analysis.compare(self._there(), **settings)
        return self._comparisons[key]

    def _there(self) -> Trials:
        if self.trials is None:
            raise UsageError(f"{self.name} has no trials yet, so there is nothing to analyse; use `show` or `say`")
        return self.trials

    @property
    def cap(self) -> float:
        """The loss that the ledger counts larger ones of the study's task as."""
        (task,) = self._there().tasks
        return float(conventions().tasks[task].cap)

    def fanova(self, variant: str = "V", **settings: Any) -> FunctionalANOVA:
        """Return the functional ANOVA of one variant, capped as the ledger does it, fitted once a page.

        A forest that predicts too little does not warn here: what this page draws and says of it names its R².
        One that finds no variance to share out is an error, which `say` and `show` turn into words.
        """
        key = (variant, *sorted(settings.items()))
        if key not in self._models:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="out-of-bag R2", category=UserWarning)
                self._models[key] = analysis.fanova(self._there(), variant=variant, cap=self.cap, **settings)
        shares = self._models[key].importances()
        if shares["share"].isna().any():
            raise _Inconclusive(str(shares["note"].iloc[0]))
        return self._models[key]


def _draws(trials: Trials) -> str:
    """Say how many settings of how many variants there are, and with how many seeds each."""
    variants = len(trials.variants)
    each = len(trials) // variants
    columns = ["task", "variant", *parameter_columns(trials.frame)]
    seeds = int(trials.frame.groupby(columns, dropna=False).size().min())
    whose = f"each of {variants} variants" if variants > 1 else "one variant"
    return f"{each} draws of {whose}" if seeds == 1 else f"{each // seeds} settings of {whose}, {seeds} seeds each"


def arm(study: Any) -> Arm:
    """Return a study as a page sees it.

    Parameters
    ----------
    study : pandas.Series
        A row of `ok.list_studies`, which knows studies that cannot be planned yet, too. The trials are looked
        up where `ok.load_trials` does. A published study that is damaged is an error, and no study that is not
        run yet.

    Raises
    ------
    UsageError
        If it is no such row.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> first = ok.charts.arm(ok.list_studies().loc["first-light"])
    >>> first.partial, len(first.trials)
    (False, 180)
    """
    if not isinstance(study, pd.Series) or not {"title", "trials"} <= set(study.index):
        raise UsageError(
            f"got {type(study).__name__}, expected a row of ok.list_studies(), "
            'e.g. ok.list_studies().loc["first-light"]'
        )
    known = {"name": str(study.name), "title": study["title"], "planned": int(study["trials"])}
    if known["name"] not in analysis.published_studies():
        return Arm(**known, why="not run")
    try:
        return Arm(**known, trials=analysis.load_trials(known["name"]))
    except UnfinishedBlockError:
        return Arm(**known, why="in its first steps, with no draw finished in every cell")
