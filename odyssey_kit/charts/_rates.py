"""What the decades of the learning rate say, task by task: the words of two answers in `sentences`.

May import `charts._frames` and `charts.palette`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts._frames import count_words, size_words, tasks_words
from odyssey_kit.charts.palette import variant_order

__all__ = ["apart", "for_each_task", "median_interval", "moves"]

_RATE = "params_learning_rate"
# Trials that a median needs before it decides which decade or which variant is named.
_ENOUGH = 5


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


def for_each_task(trials: Any, say: Callable[[_Decades], str], *, metric: str) -> str:
    """Return what `say` says of each task, or that all of its trials are lost."""
    frame = _ranked(trials, metric=metric)
    if frame.empty:
        return "No trial was finished, so there is nothing to compare."
    parts = []
    for _, rows in frame.groupby("task", sort=False):
        if np.isfinite(rows["ranked"]).any():
            parts.append(say(_decades(rows, metric=metric)))
        else:
            parts.append(f"On {tasks_words(rows)} all {count_words(len(rows), 'trial')} {_lost_verb(rows)}.")
    return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class _Decades:
    """Trials of one task: those of its best and its worst decade of learning rates."""

    frame: pd.DataFrame
    best: float
    worst: float
    noun: str
    unit: str

    @property
    def inside(self) -> pd.DataFrame:
        return self.frame[self.frame["decade"].eq(self.best)]

    @property
    def outside(self) -> pd.DataFrame:
        return self.frame[self.frame["decade"].eq(self.worst)]

    def medians(self) -> pd.DataFrame:
        """Return the variants' finite medians in the best decade and their n, the lowest first."""
        groups = self.inside.groupby("variant")["ranked"]
        table = pd.DataFrame({"median": groups.apply(_median), "n": groups.size()})
        return table[np.isfinite(table["median"])].sort_values("median", kind="stable")


def _decades(frame: pd.DataFrame, *, metric: str) -> _Decades:
    """Rank the decades that hold enough trials, or all of them if none does."""
    sizes = frame["decade"].map(frame["decade"].value_counts())
    enough = frame[sizes.ge(_ENOUGH)]
    rows = enough if np.isfinite(enough["ranked"]).any() else frame
    medians = rows.groupby("decade")["ranked"].apply(_median).sort_values(kind="stable")
    best, worst = float(medians.index[0]), float(medians.index[-1])  # pyright: ignore[reportArgumentType]
    noun, _, unit = frames.metric_words(frame, metric).partition(", ")
    return _Decades(frame=frame, best=best, worst=worst, noun=noun, unit=unit)


def moves(decades: _Decades) -> str:
    """Say what moves the loss more, the learning rate or the variant."""
    inside, outside, medians = decades.inside, decades.outside, decades.medians()
    unit = f", in {decades.unit}" if decades.unit else ""
    where = f"after {_epochs(decades.frame)} on {tasks_words(decades.frame)}"
    level = f"the median {decades.noun} is {_median_words(inside)} at learning rates (η) from "
    level += _decade_words(decades.best)
    lost = f"; {words}" if (words := _lost_words(inside)) else ""
    if decades.best == decades.worst:
        return f"What the learning rate does cannot be said from one decade of it: {where} {level}{unit}{lost}."
    if np.isfinite(_median(outside["ranked"])):
        other = f"and {_median_words(outside)} from {_decade_words(decades.worst)}"
    else:
        other = f"and from {_decade_words(decades.worst)} {_lost_count(outside)}"
    if len(medians) < 2:
        return f"The learning rate moves the loss: {where} {level}, {other}{unit}{lost}."
    between = float(medians["median"].max() - medians["median"].min())
    more = _median(outside["ranked"]) - _median(inside["ranked"]) > between
    kept = inside[inside["variant"].isin(medians.index)]
    mostly = "" if np.isfinite(kept["ranked"]).all() else "mostly "
    among = f"the {len(medians)} variants that {mostly}did not diverge" if lost else f"the {len(medians)} variants"
    claim = f"{'more' if more else 'no more'} than the choice among {among}"
    return (
        f"The learning rate moves the loss {claim}: {where} {level}, {other}{unit}; at the better rates the medians "
        f"of these {len(medians)} variants, of {size_words(medians['n'])} each, lie within {between:.2g} of each "
        f"other{lost}."
    )


def apart(decades: _Decades) -> str:
    """Say how far the variants lie apart in the best decade."""
    inside, medians = decades.inside, decades.medians()
    lost = f"; {words}" if (words := _lost_words(inside)) else ""
    where = f"learning rates from {_decade_words(decades.best)} ({count_words(len(inside), 'trial')})"
    where = f"On {tasks_words(inside)}, at {where},"
    if medians.empty:
        return f"{where} no variant has a finite median{lost}."
    names, values = list(medians.index), [_value_words(value) for value in medians["median"]]
    if len(medians) == 1:
        return f"{where} the median of {names[0]} is {values[0]} (n = {medians['n'].iloc[0]}){lost}."
    each = f"the medians of {len(medians)} variants, of {size_words(medians['n'])} each,"
    if medians["n"].min() < _ENOUGH:
        few = "too few to say which variant is first"
        return f"{where} {each} lie between {values[0]} and {values[-1]}, {few}{lost}."
    return f"{where} {each} lie between {values[0]} ({names[0]}) and {values[-1]} ({names[-1]}){lost}."


def _epochs(frame: pd.DataFrame) -> str:
    return count_words(frame["epochs"].max(), "epoch")


def _lost_words(frame: pd.DataFrame) -> str:
    """Name the variants whose median trial lies in the lane, with the number of trials that do."""
    cells = {name: frame[frame["variant"].eq(name)] for name in variant_order(frame["variant"])}
    lost = {name: cell for name, cell in cells.items() if not np.isfinite(_median(cell["ranked"]))}
    return ", ".join(f"{name}: {_lost_count(cell)} there" for name, cell in lost.items())


def _lost_count(frame: pd.DataFrame) -> str:
    lost = int((~np.isfinite(frame["ranked"])).sum())
    return f"{lost} of {count_words(len(frame), 'trial')} {_lost_verb(frame)}"


def _lost_verb(frame: pd.DataFrame) -> str:
    cap = frames.CAPS.get(frames.metric_of(frame), math.nan)
    words = {"diverged": "diverged", "beyond": f"ended above {cap:.2g}"}
    return " or ".join(text for kind, text in words.items() if frame["outcome"].eq(kind).any())


def _ranked(trials: Any, *, metric: str) -> pd.DataFrame:
    """Return the trials that say something of their settings; one that failed by an accident does not."""
    frame = frames.with_lane(frames.drawn(trials, needed=(metric, _RATE)), metric=metric)
    frame = frame[frame["outcome"].ne("failed")]
    return frame.assign(
        ranked=frame[metric].astype(float).where(frame["outcome"].eq("drawn"), math.inf),
        decade=np.floor(np.log10(frame[_RATE].to_numpy(dtype=float)) + 1e-9),
    )


def _median(values: pd.Series) -> float:
    return float(np.quantile(values.to_numpy(), 0.5, method="inverted_cdf"))


def _median_words(frame: pd.DataFrame) -> str:
    """Return a finite median with its interval, or the reason why there is none."""
    values = frame["ranked"]
    low, high = median_interval(values)
    n = f"n = {len(values)}"
    if not math.isfinite(low):
        interval = f"{n}, too few for an interval"
    elif not math.isfinite(high):
        interval = f"95 % interval from {_value_words(low)}, upwards open, {n}"
    else:
        interval = f"95 % interval {_value_words(low)} to {_value_words(high)}, {n}"
    return f"{_value_words(_median(values))} ({interval})"


def _value_words(value: float) -> str:
    return f"{value:#.3g}".rstrip(".")


def _decade_words(decade: float) -> str:
    return f"{frames.rate_words(10.0**decade)} to {frames.rate_words(10.0 ** (decade + 1))}"
