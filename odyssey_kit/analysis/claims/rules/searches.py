"""Rules about strategies of tuning, by repeats with fresh trainings (O29, O39). May import the rest of `claims`.

A study of strategies has two columns of its own: ``strategy`` ("tens", "coordinate", "random") and ``repeat``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from odyssey_kit.analysis.claims.evidence import Arms
from odyssey_kit.analysis.claims.findings import UNDECIDED, MissingColumn, Part, needed_trials, placed
from odyssey_kit.analysis.claims.regression import proportion

__all__ = ["divide_by_ten", "one_at_a_time"]


def _repeats(arms: Arms, strategy: str) -> pd.Series:
    """Return the test metric of what each repeat of a strategy chooses by validation."""
    if not {"strategy", "repeat"} <= set(arms.frame):
        raise MissingColumn("no repeats of strategies: the columns strategy and repeat are not here")
    rows = arms.frame[arms.frame["strategy"].eq(strategy)]
    if rows.empty:
        raise MissingColumn(f"no repeats of the strategy {strategy!r}")
    best = rows.sort_values("valid_metric", kind="stable").groupby("repeat").head(1)
    return best.set_index("repeat")["test_metric"].sort_index()


def _share_within(arms: Arms, regret: np.ndarray, margin: float, share: float, label: str) -> list[Part]:
    good, n = int(np.sum(regret < margin)), len(regret)
    low, high = proportion(good, n, arms.error)
    verdict = placed(low, high, inside=(share, 1.0 + 1e-9))
    return [
        arms.part(
            label=label,
            verdict=verdict,
            estimate=good / n,
            low=low,
            high=high,
            unit="of the repeats",
            n=f"{n} repeats",
            needed=needed_trials(n, good / n, low, high, share).replace("trials", "repeats")
            if verdict == UNDECIDED
            else "",
            details={"margin": margin, "median_regret": float(np.median(regret))},
        )
    ]


def divide_by_ten(arms: Arms, *, start: float, share: float, best_of: int) -> list[Part]:
    """Decide by how often starting high and dividing by ten ends within δ of the best of a random search."""
    chosen = _repeats(arms, "tens")
    searched = arms.frame[arms.frame["variant"].eq("V") & arms.frame["strategy"].isna()]
    if len(searched) < best_of:
        raise MissingColumn(f"{len(searched)} random draws of vanilla to compare with; {best_of} are needed")
    cell = arms.cell("V", searched, "searched")
    regret = chosen.to_numpy() - float(cell.test[0])
    label = f"repeats from a rate of {start:g} that end within δ of the best of {best_of} draws"
    return _share_within(arms, regret, arms.margin(cell), share, label)


def one_at_a_time(arms: Arms, *, share: float) -> list[Part]:
    """Decide by how often tuning one after the other is within δ of random search of equal budget."""
    chosen, random = _repeats(arms, "coordinate"), _repeats(arms, "random")
    both = chosen.index.intersection(random.index)
    if both.empty:
        raise MissingColumn("no repeat has both strategies")
    margin = arms.task.margin
    if margin is None:
        margin = 0.75 * float(random.std())
    regret = (chosen[both] - random[both]).to_numpy()
    return _share_within(arms, regret, margin, share, "repeats that are within δ of random search")
