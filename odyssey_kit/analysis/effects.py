"""Tables of shares: a fitted forest under one measure, asked for one of three estimands.

May import `analysis.design`, `analysis.forest`, `analysis.growing`, `analysis.intervals`,
`analysis.leave_two_out`, `analysis.measure` and `errors`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import qmc
from statsmodels.stats.multitest import multipletests

from odyssey_kit.analysis.design import MINIMUM_TRIALS
from odyssey_kit.analysis.forest import LeafBoxes, pool
from odyssey_kit.analysis.growing import Forest
from odyssey_kit.analysis.intervals import Shares
from odyssey_kit.analysis.leave_two_out import leave_two_out
from odyssey_kit.analysis.measure import Measure
from odyssey_kit.errors import UsageError

__all__ = ["ENOUGH_ROWS", "ESTIMANDS", "Effects", "corrected_table", "plain_table", "ranked"]

ESTIMANDS = ("corrected", "forest", "tree")
# Intervals were measured on tables of at least so many independent rows.
ENOUGH_ROWS = 100
# Up to so many leaves in all trees the variance of the averaged forest is summed exactly; beyond, it is
# integrated over Sobol points, with a relative error of about 1e-4, which then is in `rest` too.
_EXACT_LEAVES = 20_000
_INTEGRATION_POINTS = 1 << 15


@dataclass(frozen=True, kw_only=True, eq=False)
class Effects:
    """A forest under a measure, and the rows that are a sample of it.

    Parameters
    ----------
    measures : tuple of Measure
        One a hyperparameter.
    forest : Forest
        Fitted on all rows.
    boxes : tuple of LeafBoxes
        Its trees under the measures.
    units, values, group : arrays
        The rows that lie where the measures have any probability.
    blind : (rows, trees) bool array
        Which trees did not see them.
    note : str
        Why there are no intervals, or nothing.
    """

    measures: tuple[Measure, ...]
    forest: Forest
    boxes: tuple[LeafBoxes, ...]
    units: np.ndarray
    values: np.ndarray
    group: np.ndarray
    blind: np.ndarray
    note: str

    @classmethod
    def under(
        cls,
        measures: tuple[Measure, ...],
        forest: Forest,
        units: np.ndarray,
        values: np.ndarray,
        group: np.ndarray,
        note: str,
    ) -> Effects:
        """Return the forest under the measures.

        Raises
        ------
        UsageError
            If fewer than ten trials lie inside.
        """
        inside = np.all([measure.inside(u) for measure, u in zip(measures, units.T, strict=True)], axis=0)
        if inside.sum() < MINIMUM_TRIALS:
            raise UsageError(
                f"only {int(inside.sum())} of {len(inside)} trials lie inside the measure, expected "
                f"{MINIMUM_TRIALS} at least; take a wider box"
            )
        if not note and not inside.all() and (m := len(np.unique(group[inside]))) < ENOUGH_ROWS:
            note = f"{m} independent trials lie inside; intervals were measured at {ENOUGH_ROWS} and more"
        return cls(
            measures=measures,
            forest=forest,
            boxes=tuple(boxes.under(measures) for boxes in forest.boxes),
            units=units[inside],
            values=values[inside],
            group=group[inside],
            blind=forest.blind[inside],
            note=note,
        )

    @property
    def corrected(self) -> bool:
        """Whether rows are a sample of the measure, so that shares can be corrected on them."""
        return all(measure.sampled for measure in self.measures)

    def why_plain(self, wanted: str) -> str:
        """Say why shares have no intervals that are not corrected."""
        if wanted == "corrected":
            return "the trials are no sample of this prior: the forest's shares, not corrected, without intervals"
        return f"estimand={wanted!r} has no intervals that hold; estimand='corrected' has"

    @cached_property
    def shares(self) -> Shares:
        """The corrected shares."""
        return Shares(leave_two_out(self.boxes, self.blind, self.units, self.values, self.measures, self.group))

    @cached_property
    def averaged(self) -> LeafBoxes:
        """The average of the trees, as one function."""
        return pool(self.boxes)

    @cached_property
    def forest_variance(self) -> float:
        """Total variance of the averaged forest."""
        if len(self.averaged) <= _EXACT_LEAVES:
            return self.averaged.variance
        # Moved from the corners of their cells to the middles.
        points = qmc.Sobol(len(self.measures), scramble=False).random(_INTEGRATION_POINTS)
        points += 0.5 / _INTEGRATION_POINTS
        places = [measure.quantile(u) for measure, u in zip(self.measures, points.T, strict=True)]
        return float(self.forest.predict(np.column_stack(places)).mean(axis=1).var())

    def total(self, estimand: str) -> float:
        """Return the total variance that shares of an estimand are shares of."""
        if estimand == "corrected":
            return self.shares.total
        if estimand == "forest":
            return self.forest_variance
        return float(np.mean([boxes.variance for boxes in self.boxes]))

    def per_tree(self, subsets: Sequence[tuple[int, ...]]) -> np.ndarray:
        """Return the shares within each tree, (trees, subsets); a tree of one leaf has none."""
        return np.array([boxes.effects(subsets) / boxes.variance for boxes in self.boxes if boxes.variance > 0])

    def total_order(self) -> tuple[np.ndarray, np.ndarray]:
        """Return main effects and total-order shares, averaged over trees."""
        d = range(len(self.measures))
        rows = []
        for boxes in self.boxes:
            if boxes.variance > 0:
                closed = [boxes.closed_variance([j for j in d if j != k]) if len(d) > 1 else 0.0 for k in d]
                rows.append((boxes.effects([(k,) for k in d]), boxes.variance - np.array(closed)))
                rows[-1] = tuple(part / boxes.variance for part in rows[-1])
        main, total = np.array(rows).mean(axis=0)
        return main, total


def _subsets(d: int, order: int) -> list[tuple[int, ...]]:
    return [subset for size in range(1, order + 1) for subset in itertools.combinations(range(d), size)]


def ranked(rows: pd.DataFrame, parameters: Sequence[str], *, fits: bool) -> pd.DataFrame:
    """Name the effects and sort them by share, if the forest fits well enough to rank; the rest stays last."""
    subsets: list[Any] = rows.pop("subset").tolist()
    names = ["rest" if subset is None else " × ".join(str(parameters[k]) for k in subset) for subset in subsets]
    rows.insert(0, "parameters", names)
    effects, rest = rows.iloc[:-1], rows.iloc[[-1]]
    if fits := fits and bool(effects["share"].notna().all()):
        effects = effects.sort_values("share", ascending=False, kind="stable")
    else:
        nothing = pd.array([None] * len(effects), dtype="Int64")
        effects = effects.assign(rank_low=nothing, rank_high=nothing)
    ranks: list[Any] = list(range(1, len(effects) + 1)) if fits else [None] * len(effects)
    table = pd.concat([effects, rest], ignore_index=True)
    table["rank"] = pd.array([*ranks, None], dtype="Int64")
    return table.astype({"rank_low": "Int64", "rank_high": "Int64"})


def _rows(subsets: Sequence[tuple[int, ...]], **columns: np.ndarray) -> pd.DataFrame:
    """Lay effects out one below the other, the rest last."""
    table = pd.DataFrame({"subset": [*subsets, None], **columns})
    table["order"] = pd.array([*(len(subset) for subset in subsets), None], dtype="Int64")
    for name in ("rank_low", "rank_high"):
        values = [None] * len(table) if name not in table else [*table[name].iloc[:-1].astype(int), None]
        table[name] = pd.array(values, dtype="Int64")
    names = ["subset", "order", "share", "low", "high", "p", "p_holm", "sd_over_trees", "rank_low", "rank_high"]
    return table.reindex(columns=names)


def plain_table(effects: Effects, order: int, estimand: str) -> tuple[pd.DataFrame, str]:
    """Return the forest's own shares, or the mean of its trees', and why they have no intervals."""
    subsets = _subsets(len(effects.measures), order)
    per_tree = effects.per_tree(subsets)
    if not len(per_tree):
        nothing = np.full(len(subsets) + 1, math.nan)
        note = "the forest is constant there: there is nothing that shares could be shares of"
        return _rows(subsets, share=nothing, sd_over_trees=nothing), note
    if estimand == "tree":
        shares = per_tree.mean(axis=0)
    else:
        own = effects.averaged.effects(subsets)
        # All effects of all orders are the whole, and are summed exactly; of fewer orders a whole that is too large
        # to be summed is integrated.
        shares = own / (own.sum() if order == len(effects.measures) else effects.forest_variance)
    spread = np.append(per_tree.std(axis=0, ddof=1), (1 - per_tree.sum(axis=1)).std(ddof=1))
    return _rows(subsets, share=np.append(shares, 1 - shares.sum()), sd_over_trees=spread), effects.why_plain(estimand)


def corrected_table(effects: Effects, order: int) -> tuple[pd.DataFrame, str]:
    """Return the corrected shares with intervals, and why something is missing."""
    shares, note = effects.shares, effects.note
    subsets = _subsets(len(effects.measures), order)
    m, per_tree = len(subsets), effects.shares.found.per_tree[: len(subsets)]
    spread = np.append(per_tree.std(axis=1, ddof=1), (1 - per_tree.sum(axis=0)).std(ddof=1))
    nothing = np.full(m + 1, math.nan)
    if not shares.total_interval()[0] > 0:
        note = "the interval of the total variance reaches zero: there is nothing that shares could be shares of"
        return _rows(subsets, share=nothing, sd_over_trees=spread), note
    rest = shares.rest(m)
    columns = {"share": np.append(shares.share[:m], rest[0]), "sd_over_trees": spread}
    if note:
        return _rows(subsets, **columns), note
    low, high = (end[:m] for end in shares.interval())
    p = shares.p_value()[:m]
    sizes = np.array([len(subset) for subset in subsets])
    holm = np.empty(m)
    for size in set(sizes.tolist()):
        holm[sizes == size] = multipletests(p[sizes == size], method="holm")[1]
    best, worst = shares.ranks(range(m))
    return _rows(
        subsets,
        **columns,
        low=np.append(low, rest[1]),
        high=np.append(high, rest[2]),
        p=np.append(p, math.nan),
        p_holm=np.append(holm, math.nan),
        rank_low=np.append(best, 0),
        rank_high=np.append(worst, 0),
    ), note
