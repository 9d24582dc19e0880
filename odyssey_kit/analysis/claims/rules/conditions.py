"""Rules about conditions other than the cell: outputs, targets, directions, batches (O37, B5-B22).

May import the rest of `claims`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.claims.contrasts import Contrast, contrast
from odyssey_kit.analysis.claims.evidence import Arms, too_few
from odyssey_kit.analysis.claims.findings import CONTRADICTED, REPRODUCED, UNDECIDED, MissingColumn, Part, ends, placed
from odyssey_kit.analysis.claims.rules.cells import difference_part, equivalence_part

__all__ = [
    "best_condition",
    "better_at_every_size",
    "condition_difference",
    "no_effect_on_best",
    "probability_of_best",
    "setting_hurts",
    "slow_start",
    "target_mass",
]


def condition_difference(arms: Arms, *, worse: str, better: str, ratio: float) -> list[Part]:
    """Decide that one cell is worse than another, and by a factor."""
    first, second = arms.cell(worse), arms.cell(better)
    parts = [difference_part(arms, contrast(arms, first, second), f"{worse} − {better}", 1)]
    samples = first.top_means / second.top_means
    low, high = ends(samples, arms.error)
    estimate = float(first.top.mean() / second.top.mean())
    large_enough = first.large_enough and second.large_enough
    verdict = placed(low, high, inside=(ratio, math.inf)) if large_enough else UNDECIDED
    asked = f"an interval of the ratio on one side of {ratio:g}" if large_enough else too_few()
    parts.append(
        arms.part(
            label=f"{worse} / {better}",
            verdict=verdict,
            estimate=estimate,
            low=low,
            high=high,
            unit="times",
            n=parts[0].n,
            needed="" if verdict != UNDECIDED else asked,
        )
    )
    return parts


def setting_hurts(arms: Arms, *, parameter: str, off: Any, on: Any) -> list[Part]:
    """Decide that a setting makes vanilla worse."""
    trials = arms.trials("V")
    setting = arms.setting(parameter, trials)
    first, second = (arms.cell("V", trials[setting.eq(value)], f"with {parameter} {value}") for value in (on, off))
    return [difference_part(arms, contrast(arms, first, second), f"{parameter} {on:g} − {parameter} {off:g}", 1)]


def probability_of_best(
    arms: Arms, *, variant: str, outputs: Sequence[str], reproduced_at: float, contradicted_at: float
) -> list[Part]:
    """Decide by how many resamples have a type as the best of all, for each output."""
    parts = []
    for ending in outputs:
        names = sorted(name for name in arms.frame["variant"].unique() if name.endswith(ending))
        if variant + ending not in names or len(names) < 2:
            raise MissingColumn(f"no trials of {variant + ending} and of another type with that output")
        cells = [arms.cell(name) for name in names]
        means = np.stack([cell.top_means for cell in cells])
        share = float(np.mean(means.argmin(axis=0) == names.index(variant + ending)))
        verdict = REPRODUCED if share >= reproduced_at else CONTRADICTED if share <= contradicted_at else UNDECIDED
        asked = f"{100 * reproduced_at:g} % of the resamples or more, or {100 * contradicted_at:g} % or less"
        if not all(cell.large_enough for cell in cells):
            verdict, asked = UNDECIDED, too_few()
        parts.append(
            arms.part(
                label=f"resamples in which {variant + ending} is the best",
                verdict=verdict,
                estimate=100 * share,
                unit="% of the resamples",
                n=f"{len(cells)} types, best {min(cell.k for cell in cells)} of {min(map(len, cells))} trials at least",
                needed="" if verdict != UNDECIDED else asked,
            )
        )
    return parts


def best_condition(arms: Arms, *, best: Sequence[str], others: Sequence[str]) -> list[Part]:
    """Decide that each of some cells is better than each of the others."""
    pairs = [(first, second) for first in best for second in others]
    found = [contrast(arms, arms.cell(first), arms.cell(second)) for first, second in pairs]
    return [difference_part(arms, one, f"{a} − {b}", -1) for one, (a, b) in zip(found, pairs, strict=True)]


def better_at_every_size(arms: Arms, *, pairs: Sequence[Sequence[str]], bins: Sequence[float]) -> list[Part]:
    """Decide that the first cell of each pair is better than the second, within every bin of network sizes."""
    there = set(arms.frame["variant"])
    known = [pair for pair in pairs if set(pair) <= there]
    if not known:
        raise MissingColumn(f"no trials of {' and of '.join(pairs[0])}")
    parts = []
    for low, high in itertools.pairwise(bins):
        inside = arms.frame["params_hidden_size"].between(low, high, inclusive="left" if high < bins[-1] else "both")
        for first, second in known:
            words = f"{low:g} to {high:g} blocks"
            rows = [arms.frame[inside & arms.frame["variant"].eq(name)] for name in (first, second)]
            one = contrast(arms, arms.cell(first, rows[0], words), arms.cell(second, rows[1], words))
            error = arms.error / (len(bins) - 1) / len(known)
            one = Contrast(first=one.first, second=one.second, error=error, margin=one.margin)
            parts.append(difference_part(arms, one, f"{first} − {second}, {words}", -1))
    return parts


def no_effect_on_best(arms: Arms, *, parameter: str, bins: Sequence[float], each: Sequence[str] = ()) -> list[Part]:
    """Decide that all pairs of bins of a hyperparameter have equivalent best tenths, in each of some studies apart."""
    if not each:
        return _bins_alike(arms, parameter, bins, error=arms.error)
    there = {study.name for study in arms.studies}
    parts = []
    for name in each:
        if name in there:
            parts += _bins_alike(arms.only(name), parameter, bins, error=arms.error / len(each), where=f", {name}")
        else:
            parts.append(arms.part(label=name, verdict=UNDECIDED, needed=f"the trials of {name}"))
    return parts


def _bins_alike(arms: Arms, parameter: str, bins: Sequence[float], *, error: float, where: str = "") -> list[Part]:
    values = arms.setting(parameter).astype(float)
    cells = []
    for low, high in itertools.pairwise(bins):
        inside = values.between(low, high, inclusive="left" if high < bins[-1] else "both")
        cells.append(arms.cell(f"{low:g} to {high:g}", arms.frame[inside], parameter))
    pairs = list(itertools.combinations(cells, 2))
    found = [contrast(arms, *pair) for pair in pairs]
    corrected = [
        Contrast(first=one.first, second=one.second, error=error / len(pairs), margin=one.margin) for one in found
    ]
    return [equivalence_part(arms, one, f"{one.first.name} − {one.second.name}{where}") for one in corrected]


def slow_start(
    arms: Arms, *, slow: str, fast: str, level: float, ratio: float, plateaus: int, share: float
) -> list[Part]:
    """Decide by the steps until the error falls below a level, and by plateaus of the slow cell's curves."""
    steps, rests = {}, {}
    for value in (slow, fast):
        chosen = arms.cell(value).frame
        keys = set(chosen["key"][: max(10, len(chosen) // 10)])
        curves = [curve for _, curve in arms.curves[arms.curves["key"].isin(keys)].groupby("key")]
        steps[value] = np.array([_reached(curve, level) for curve in curves])
        rests[value] = np.array([_plateaus(curve["valid_metric"].to_numpy(float)) for curve in curves])
    medians = {value: float(np.median(found)) for value, found in steps.items()}
    rng = np.random.default_rng(0)
    samples = [np.median(rng.choice(steps[v], (4000, len(steps[v]))), axis=1) for v in (slow, fast)]
    low, high = ends(samples[0] / samples[1], arms.error)
    many = float(np.mean(rests[slow] >= plateaus))
    first = arms.part(
        label=f"steps to {level:g} % error, {slow} / {fast}",
        verdict=REPRODUCED if low >= ratio else CONTRADICTED if high < ratio else UNDECIDED,
        estimate=medians[slow] / medians[fast],
        low=low,
        high=high,
        unit="times",
        n=f"{len(steps[slow])} and {len(steps[fast])} curves",
        needed="" if low >= ratio or high < ratio else f"an interval on one side of {ratio:g}",
    )
    second = arms.part(
        label=f"curves of {slow} with {plateaus} plateaus or more",
        verdict=REPRODUCED if many > share else UNDECIDED,
        estimate=100 * many,
        unit="% of the curves",
        n=f"{len(rests[slow])} curves",
        needed="" if many > share else f"more than {100 * share:g} %",
    )
    return [first, second]


def _reached(curve: pd.DataFrame, level: float) -> float:
    """Return the updates at which a curve first falls to a level, or infinity."""
    below = curve["valid_metric"].to_numpy(float) <= level
    return float(curve["updates"].to_numpy(float)[below.argmax()]) if below.any() else math.inf


def _plateaus(values: np.ndarray, windows: int = 20) -> int:
    """Count stretches in which a curve rests above its end: windows of a twentieth that fall by under 2 % of its range.

    Examples
    --------
    >>> stairs = np.repeat([90.0, 60.0, 20.0], 40)
    >>> _plateaus(stairs)
    2
    """
    values = values[np.isfinite(values)]
    if len(values) < windows or np.ptp(values) == 0:
        return 0
    levels = np.array([part.mean() for part in np.array_split(values, windows)])
    span = levels.max() - levels.min()
    resting = (np.abs(np.diff(levels)) < 0.02 * span) & (levels[1:] > levels.min() + 0.1 * span)
    return int(np.sum(resting[1:] & ~resting[:-1]) + resting[0])


def target_mass(arms: Arms, *, column: str, ctc: Sequence[str], fixed: Sequence[str]) -> list[Part]:
    """Decide by the mean mass of targets that are not blank, each cell with CTC over those with fixed positions."""
    if column not in arms.frame:
        raise MissingColumn(f"the trials do not record {column}")
    there = set(arms.frame["variant"])
    base = arms.frame.loc[arms.frame["variant"].isin(fixed), column].to_numpy(float)
    if not there & set(ctc) or not len(base):
        raise MissingColumn("trials with CTC and trials with fixed positions are needed")
    parts, rng = [], np.random.default_rng(0)
    for name in (name for name in ctc if name in there):
        values = arms.trials(name)[column].to_numpy(float)
        means = [rng.choice(group, (4000, len(group))).mean(axis=1) for group in (values, base)]
        low, high = ends(means[0] / means[1], arms.error)
        verdict = placed(low, high, inside=(1.0, math.inf))
        parts.append(
            arms.part(
                label=f"mass of targets that are not blank, {name} / fixed",
                verdict=verdict,
                estimate=float(values.mean() / base.mean()),
                low=low,
                high=high,
                unit="times",
                n=f"{len(values)} and {len(base)} trials",
                needed="" if verdict != UNDECIDED else "an interval on one side of 1",
            )
        )
    return parts
