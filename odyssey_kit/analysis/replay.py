"""Tuning rules, replayed on trials that were recorded: what they would have found, and what missed.

A rule asks for settings one after the other and is answered by the recorded trial that is nearest.
Its regret is the test metric of what it settles on, minus that of the best recorded trial by
validation. May import `errors`, `space`, `analysis.best_of`, `analysis.checks`, `analysis.design`,
`analysis.direction` and `analysis.trials`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from odyssey_kit.analysis.best_of import best_weights
from odyssey_kit.analysis.checks import check_seed, check_space
from odyssey_kit.analysis.design import unit_coordinates
from odyssey_kit.analysis.direction import Direction, sign
from odyssey_kit.analysis.trials import Trials, as_trials
from odyssey_kit.errors import UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["RULES", "replay_rules"]

REPLAYS = 500
_LEVELS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class _Record:
    """Recorded trials of one cell: positions, the space they lie in, validation and test; lower is better."""

    units: np.ndarray
    space: SearchSpace
    valid: np.ndarray
    test: np.ndarray

    def nearest(self, wanted: np.ndarray, *, among: np.ndarray, weight: np.ndarray) -> int:
        """Return the trial whose position is nearest to the wanted one."""
        distance = ((self.units[among] - wanted) ** 2 @ weight).round(12)
        return int(among[int(distance.argmin())])

    def column(self, name: str) -> int:
        return list(self.space).index(name)


Rule = Callable[[_Record, np.random.Generator], tuple[int, int]]


def _divide_by_ten(record: _Record, rng: np.random.Generator) -> tuple[int, int]:
    """Start at the largest rate, with other settings at random; divide by ten until it stops helping."""
    k = record.column("learning_rate")
    wanted = rng.random(record.units.shape[1])
    wanted[k], best, used = 1.0, -1, 0
    # A decade, as a part of the tried range; the rate counts much more than the other settings.
    rates = np.log10([record.space["learning_rate"].from_unit(unit) for unit in record.units[:, k]])
    step = np.ptp(record.units[:, k]) / np.ptp(rates)
    weight = np.ones(record.units.shape[1])
    weight[k] = 100.0
    everything, seen = np.arange(len(record.valid)), set()
    while True:
        found = record.nearest(wanted, among=everything, weight=weight)
        used += found not in seen
        if best >= 0 and not record.valid[found] < record.valid[best]:
            return best, used
        seen.add(found)
        best = found
        wanted[k] -= step
        if wanted[k] < record.units[:, k].min() - step / 2:
            return best, used


def _one_at_a_time(record: _Record, rng: np.random.Generator) -> tuple[int, int]:
    """Tune one hyperparameter after the other, five values each, the others held where they are best so far."""
    everything = np.arange(len(record.valid))
    best = int(rng.integers(len(everything)))
    seen = {best}
    for k in range(record.units.shape[1]):
        start = record.units[best].copy()
        weight = np.ones(record.units.shape[1])
        weight[k] = 4.0
        for level in (np.arange(_LEVELS) + 0.5) / _LEVELS:
            wanted = start.copy()
            wanted[k] = level
            found = record.nearest(wanted, among=everything, weight=weight)
            seen.add(found)
            if record.valid[found] < record.valid[best]:
                best = found
    return best, len(seen)


def _tune_small(record: _Record, rng: np.random.Generator) -> tuple[int, int]:
    """Tune ten small networks (the lowest third of hidden sizes), then train one of the largest third."""
    k = record.column("hidden_size")
    ends = np.quantile(record.units[:, k], [1 / 3, 2 / 3])
    small, large = np.flatnonzero(record.units[:, k] <= ends[0]), np.flatnonzero(record.units[:, k] >= ends[1])
    tried = rng.choice(small, min(10, len(small)), replace=False)
    best = tried[int(record.valid[tried].argmin())]
    weight = np.ones(record.units.shape[1])
    weight[k] = 0.0
    return record.nearest(record.units[best], among=large, weight=weight), len(tried) + 1


RULES: dict[str, Rule] = {
    "divide by ten": _divide_by_ten,
    "one at a time": _one_at_a_time,
    "tune small": _tune_small,
}


def _record(cell: pd.DataFrame, space: SearchSpace, metric: str, by: str, turn: int) -> _Record:
    cell = cell[cell["state"] != "FAILED"].sort_values("index", kind="stable")
    units = unit_coordinates(cell, space)
    valid, test = (turn * cell[name].to_numpy(float) for name in (by, metric))
    there = np.isfinite(valid) & np.isfinite(test)
    if there.sum() < 3:
        raise UsageError(f"only {int(there.sum())} trials have finite {by} and {metric}; nothing to replay")
    # What diverged is worse than any; whoever settles on it gets the worst there is.
    return _Record(
        units=units,
        space=space,
        valid=np.where(there, valid, np.inf),
        test=np.where(there, test, test[there].max()),
    )


def replay_rules(
    trials: Trials | pd.DataFrame,
    rules: Sequence[str] = tuple(RULES),
    *,
    space: SearchSpace | None = None,
    metric: str = "test_metric",
    by: str = "valid_metric",
    direction: Direction = "minimize",
    random_state: int = 0,
) -> pd.DataFrame:
    """Replay rules of tuning on recorded trials, beside a random search of the same cost.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials, a random search or a grid.
    rules : sequence of str
        ``"divide by ten"``, ``"one at a time"``, ``"tune small"``.
    space : SearchSpace, optional
        By default that of the trials.
    metric, by : str
        Column that is reported, and column that rules look at.
    direction : {"minimize", "maximize"}
        Which way both are better; a regret counts what is worse as positive all the same; one that is
        chosen by validation may be better on test than the best by validation.
    random_state : int
        Seed of the starting points.

    Returns
    -------
    pandas.DataFrame
        One row a task, variant and rule: ``regret``, mean over 500 starting points, with ``regret_low``
        and ``regret_high``, between which nine starts in ten lie; ``trials_used`` on average;
        ``random_regret``: expected regret of a random search with as many trials; ``n_trials`` recorded.

    Raises
    ------
    UsageError
        If there is no space or it is none, no such rule, a rule's hyperparameter is not in the space, or
        ``random_state`` is no whole number.

    Notes
    -----
    A recorded trial is never exactly where a rule asks for one: the nearest in quantiles is taken. So
    regrets are those of rules that are followed a little inexactly, and on few trials very inexactly.
    """
    trials = as_trials(trials)
    space = check_space(space if space is not None else trials.space)
    check_seed(random_state)
    needed = {"divide by ten": "learning_rate", "tune small": "hidden_size"}
    for rule in rules:
        if rule not in RULES:
            raise UsageError(f"no rule is called {rule!r}; there are: {', '.join(RULES)}")
        if needed.get(rule, next(iter(space))) not in space:
            raise UsageError(f"the rule {rule!r} needs {needed[rule]!r} in the space; it has: {', '.join(space)}")
    rows = []
    for (task, variant), cell in trials.frame.groupby(["task", "variant"], sort=False):
        record = _record(cell, space, metric, by, sign(direction))
        best = record.test[int(record.valid.argmin())]
        ranked = record.test[np.argsort(record.valid, kind="stable")]
        for rule in rules:
            rng = np.random.default_rng(random_state)
            settled, used = np.array([RULES[rule](record, rng) for _ in range(REPLAYS)]).T
            regret = record.test[settled] - best
            k = min(max(1, round(float(used.mean()))), len(ranked))
            rows.append(
                {
                    "task": task,
                    "variant": variant,
                    "rule": rule,
                    "regret": float(regret.mean()),
                    "regret_low": float(np.quantile(regret, 0.05)),
                    "regret_high": float(np.quantile(regret, 0.95)),
                    "trials_used": float(used.mean()),
                    "random_regret": float(best_weights(len(ranked), k) @ ranked - best),
                    "n_trials": len(ranked),
                }
            )
    return pd.DataFrame(rows)
