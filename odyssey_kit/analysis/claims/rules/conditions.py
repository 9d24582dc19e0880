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
from odyssey_kit.analysis.claims.evidence import Arms, Cell
from odyssey_kit.analysis.claims.findings import CONTRADICTED, REPRODUCED, UNDECIDED, MissingColumn, Part, ends, placed
from odyssey_kit.analysis.claims.rules.cells import difference_part, equivalence_part

__all__ = [
    "best_condition",
    "better_at_every_size",
    "condition_difference",
    "condition_equivalence",
    "no_effect_on_best",
    "probability_of_best",
    "setting_hurts",
    "slow_start",
    "target_mass",
]


def _condition(
    arms: Arms, parameter: str, value: Any, variant: str | None = None, rows: pd.DataFrame | None = None
) -> Cell:
    """Return the trials with a value of a setting, of one variant or of all."""
    rows = arms.frame if rows is None else rows
    rows = rows if variant is None else rows[rows["variant"].eq(variant)]
    found = rows[arms.setting(parameter, rows).eq(value)] if len(rows) else rows
    return arms.cell(variant or str(value), found, f"{parameter} {value}")


def condition_equivalence(arms: Arms, *, parameter: str, conditions: Sequence[str], variant: str) -> list[Part]:
    """Decide that two values of a setting do equally well."""
    first, second = (_condition(arms, parameter, value, variant) for value in conditions)
    return [equivalence_part(arms, contrast(arms, first, second), f"{conditions[0]} − {conditions[1]}")]


def condition_difference(
    arms: Arms, *, parameter: str, worse: str, better: str, variant: str, ratio: float
) -> list[Part]:
    """Decide that one value of a setting is worse, and by a factor."""
    first, second = (_condition(arms, parameter, value, variant) for value in (worse, better))
    parts = [difference_part(arms, contrast(arms, first, second), f"{worse} − {better}", 1)]
    samples = first.top_means / second.top_means
    low, high = ends(samples, arms.error)
    estimate = float(first.top.mean() / second.top.mean())
    verdict = placed(low, high, inside=(ratio, math.inf))
    parts.append(
        arms.part(
            label=f"{worse} / {better}",
            verdict=verdict,
            estimate=estimate,
            low=low,
            high=high,
            unit="times",
            n=parts[0].n,
            needed="" if verdict != UNDECIDED else f"an interval of the ratio on one side of {ratio:g}",
        )
    )
    return parts


def setting_hurts(arms: Arms, *, parameter: str, off: Any, on: Any) -> list[Part]:
    """Decide that a setting makes vanilla worse."""
    first, second = (_condition(arms, parameter, value, "V") for value in (on, off))
    return [difference_part(arms, contrast(arms, first, second), f"{parameter} {on:g} − {parameter} {off:g}", 1)]


def probability_of_best(
    arms: Arms,
    *,
    variant: str,
    parameter: str,
    conditions: Sequence[str],
    reproduced_at: float,
    contradicted_at: float,
) -> list[Part]:
    """Decide by how many resamples have a type as the best of all, for each value of a setting."""
    parts = []
    for value in conditions:
        rows = arms.frame[arms.setting(parameter).eq(value)]
        cells = [_condition(arms, parameter, value, name) for name in sorted(rows["variant"].unique())]
        if variant not in [cell.name for cell in cells] or len(cells) < 2:
            raise MissingColumn(f"no trials of {variant} and of another type with {parameter} = {value}")
        means = np.stack([cell.top_means for cell in cells])
        place = [cell.name for cell in cells].index(variant)
        share = float(np.mean(means.argmin(axis=0) == place))
        few = min(cell.k for cell in cells) < 10
        verdict = REPRODUCED if share >= reproduced_at else CONTRADICTED if share <= contradicted_at else UNDECIDED
        verdict = UNDECIDED if few else verdict
        parts.append(
            arms.part(
                label=f"resamples in which {variant} is the best, {value}",
                verdict=verdict,
                estimate=100 * share,
                unit="% of the resamples",
                n=f"{len(cells)} types, best {min(cell.k for cell in cells)} of {min(map(len, cells))} trials at least",
                needed=""
                if verdict != UNDECIDED
                else f"{100 * reproduced_at:g} % or more, or {100 * contradicted_at:g} % or less",
            )
        )
    return parts


def best_condition(arms: Arms, *, parameter: str, best: str, others: Sequence[str], where: str) -> list[Part]:
    """Decide that one target is better than each of the others, among cells of one or of two directions."""
    both = arms.setting("bidirectional").astype(bool)
    rows = arms.frame[both if where == "bidirectional" else ~both]
    first = _condition(arms, parameter, best, rows=rows)
    found = [contrast(arms, first, _condition(arms, parameter, value, rows=rows)) for value in others]
    return [difference_part(arms, one, f"{best} − {value}", -1) for one, value in zip(found, others, strict=True)]


def better_at_every_size(arms: Arms, *, parameter: str, better: Any, bins: Sequence[float]) -> list[Part]:
    """Decide that a value of a setting is better within every bin of network sizes."""
    parts = []
    setting = arms.setting(parameter)
    for low, high in itertools.pairwise(bins):
        inside = arms.frame["params_hidden_size"].between(low, high, inclusive="left" if high < bins[-1] else "both")
        good, other = (arms.frame[inside & keep] for keep in (setting.eq(better), setting.ne(better)))
        words = f"{low:g} to {high:g} blocks"
        cells = [arms.cell(name, rows, words) for name, rows in (("with", good), ("without", other))]
        one = contrast(arms, *cells)
        one = Contrast(first=one.first, second=one.second, error=arms.error / (len(bins) - 1), margin=one.margin)
        parts.append(difference_part(arms, one, f"two directions − one, {words}", -1))
    return parts


def no_effect_on_best(arms: Arms, *, parameter: str, bins: Sequence[float]) -> list[Part]:
    """Decide that all pairs of bins of a hyperparameter have equivalent best tenths."""
    values = arms.setting(parameter).astype(float)
    cells = []
    for low, high in itertools.pairwise(bins):
        inside = values.between(low, high, inclusive="left" if high < bins[-1] else "both")
        cells.append(arms.cell(f"{low:g} to {high:g}", arms.frame[inside], parameter))
    pairs = list(itertools.combinations(cells, 2))
    found = [contrast(arms, *pair) for pair in pairs]
    corrected = [
        Contrast(first=one.first, second=one.second, error=one.error / len(pairs), margin=one.margin) for one in found
    ]
    return [equivalence_part(arms, one, f"{one.first.name} − {one.second.name}") for one in corrected]


def slow_start(
    arms: Arms, *, parameter: str, slow: str, fast: str, level: float, ratio: float, plateaus: int, share: float
) -> list[Part]:
    """Decide by the steps until the error falls below a level, and by plateaus of the slow condition's curves."""
    steps, rests = {}, {}
    for value in (slow, fast):
        chosen = _condition(arms, parameter, value).frame
        keys = set(chosen["key"][: max(10, len(chosen) // 10)])
        curves = arms.curves[arms.curves["key"].isin(keys)]
        steps[value] = np.array([_reached(curve, level) for _, curve in curves.groupby("key")])
        rests[value] = np.array(
            [_plateaus(curve["valid_metric"].to_numpy(float)) for _, curve in curves.groupby("key")]
        )
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
        label=f"curves of the {slow} output with {plateaus} plateaus or more",
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


def target_mass(arms: Arms, *, column: str, p: float) -> list[Part]:
    """Decide by the mean mass of targets that are not blank, CTC over fixed positions, for each kind of CTC."""
    if column not in arms.frame:
        raise MissingColumn(f"the trials do not record {column}")
    kinds = arms.setting("target").astype(str)
    fixed = arms.frame.loc[kinds.isin(["center", "end"]), column].to_numpy(float)
    parts = []
    for kind in sorted(name for name in kinds.unique() if name not in ("center", "end")):
        values = arms.frame.loc[kinds.eq(kind), column].to_numpy(float)
        rng = np.random.default_rng(0)
        means = [rng.choice(group, (4000, len(group))).mean(axis=1) for group in (values, fixed)]
        low, high = ends(means[0] / means[1], arms.error)
        verdict = placed(low, high, inside=(1.0, math.inf))
        parts.append(
            arms.part(
                label=f"mass of targets that are not blank, {kind} / fixed",
                verdict=verdict,
                estimate=float(values.mean() / fixed.mean()),
                low=low,
                high=high,
                unit="times",
                n=f"{len(values)} and {len(fixed)} trials",
                needed="" if verdict != UNDECIDED else "an interval on one side of 1",
            )
        )
    if not parts:
        raise MissingColumn("no trials with CTC")
    return parts
