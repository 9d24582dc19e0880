"""Rules about shares of variance, in the search box and its measure (O17-O24, O36).

Every one is void if the forest's out-of-bag R² is below the bound that the conventions name. May import
the rest of `claims`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from odyssey_kit.analysis.claims.contrasts import contrast
from odyssey_kit.analysis.claims.evidence import Arms
from odyssey_kit.analysis.claims.findings import (
    CONTRADICTED,
    REPRODUCED,
    UNDECIDED,
    MissingColumn,
    Part,
    needed_trials,
    placed,
)
from odyssey_kit.analysis.claims.importance import ShareEstimates, Subset, estimate_shares, shares_of
from odyssey_kit.analysis.claims.ledger import conventions
from odyssey_kit.analysis.claims.regression import residual_pattern, slopes
from odyssey_kit.analysis.claims.rules.cells import equivalence_part

__all__ = [
    "interactions_within",
    "largest_pair",
    "pair_without_structure",
    "raw_momentum_share",
    "setting_without_effect",
    "share_above",
    "share_below",
    "share_order",
]

_WORDS = {"input_noise_std": "input noise", "hidden_size": "size", "learning_rate": "learning rate"}


def _named(subset: Sequence[str]) -> str:
    return " × ".join(_WORDS.get(name, name.replace("_", " ")) for name in subset)


def _share(
    arms: Arms,
    found: ShareEstimates,
    weights: Mapping[Subset, float],
    label: str,
    inside: tuple[float, float],
    *,
    error: float | None = None,
    constant: float = 0.0,
) -> Part:
    """Decide where a share, a sum or a difference of shares lies."""
    error = arms.error if error is None else error
    value, low, high = found.combination(weights, error, constant=constant)
    verdict = UNDECIDED if found.void else placed(low, high, inside=inside)
    return arms.part(
        label=label,
        verdict=verdict,
        estimate=100 * value,
        low=100 * low,
        high=100 * high,
        error=error,
        unit="% of the variance",
        n=f"{found.n} trials, out-of-bag R² {found.r2:.2f}",
        needed=_needed(found, value, low, high, inside) if verdict == UNDECIDED else "",
        details={"oob_r2": found.r2},
    )


def _needed(found: ShareEstimates, value: float, low: float, high: float, borders: Sequence[float]) -> str:
    if found.void:
        bound = conventions().selection["out_of_bag_r2"]
        return f"a forest with an out-of-bag R² of {bound:g} at least; this one has {found.r2:.2f}"
    return needed_trials(found.n, value, low, high, *borders)


def share_above(arms: Arms, *, parameters: str, threshold: float) -> list[Part]:
    """Decide that a main effect's share is above a threshold."""
    found = shares_of(arms)
    return [_share(arms, found, {(parameters,): 1.0}, f"share of the {_named([parameters])}", (threshold, math.inf))]


def share_below(arms: Arms, *, parameters: str, threshold: float, target: str = "test_metric") -> list[Part]:
    """Decide that a main effect's share is below a threshold."""
    found = shares_of(arms, target=target)
    what = "" if target == "test_metric" else f" of the {target.replace('_', ' ')}"
    label = f"share of the {_named([parameters])}{what}"
    return [_share(arms, found, {(parameters,): 1.0}, label, (-math.inf, threshold))]


def share_order(arms: Arms, *, order: Sequence[str]) -> list[Part]:
    """Decide an order of main effects: the difference of each two neighbours is above zero."""
    found, parts = shares_of(arms), []
    alpha = float(conventions().selection["alpha"])
    for first, second in itertools.pairwise(order):
        weights = {(first,): 1.0, (second,): -1.0}
        label = f"share of the {_named([first])} − that of the {_named([second])}"
        part = _share(arms, found, weights, label, (0.0, math.inf), error=arms.error / (len(order) - 1))
        lower = found.combination(weights, alpha, one_sided=True)[1]
        if part.verdict != CONTRADICTED and not found.void:
            above = lower > 0
            part = part.but(verdict=REPRODUCED if above else UNDECIDED, needed="" if above else part.needed)
        parts.append(part)
    return parts


def raw_momentum_share(arms: Arms, *, raw: str, above: float, below: float) -> list[Part]:
    """Decide by momentum's share, and that of its pair with the rate, with raw and with rescaled rates."""
    named = {study.name for study in arms.studies}
    if raw not in named or not named - {raw}:
        raise MissingColumn("both the raw and the rescaled learning rate are needed; one of them is not here")
    pair = ("learning_rate", "momentum")
    there = shares_of(arms.only(raw))
    here = shares_of(arms.only(*(named - {raw})))
    label = "momentum and its pair with the rate, raw learning rate"
    first = _share(arms, there, {("momentum",): 1.0, pair: 1.0}, label, (above, math.inf))
    second = _share(arms, here, {("momentum",): 1.0}, "momentum, rescaled learning rate", (-math.inf, below))
    # That rescaling leaves more than 1 % is no contradiction of the reason; O19 is about that.
    if second.verdict == CONTRADICTED:
        second = second.but(verdict=UNDECIDED, needed=f"a share below {100 * below:g} %")
    return [first, second]


def interactions_within(arms: Arms, *, low: float, high: float) -> list[Part]:
    """Decide that what the main effects leave over lies within bounds."""
    found = shares_of(arms)
    weights = {(name,): -1.0 for name in found.parameters}
    return [_share(arms, found, weights, "all interactions", (low, high), constant=1.0)]


def largest_pair(arms: Arms, *, pair: Sequence[str], threshold: float) -> list[Part]:
    """Decide that every pair's share is below a threshold, and that one pair's is the largest."""
    found = shares_of(arms)
    error = arms.error / len(found.pairs)
    parts = [
        _share(arms, found, {subset: 1.0}, f"share of {_named(subset)}", (-math.inf, threshold), error=error)
        for subset in found.pairs
    ]
    shares = {frozenset(s): float(v) for s, v in zip(found.subsets, found.share, strict=True) if len(s) == 2}
    claimed, largest = frozenset(pair), max(shares, key=lambda subset: shares[subset])
    if largest == claimed:
        verdict, value, low, high = REPRODUCED, shares[claimed], math.nan, math.nan
    else:
        weights = {tuple(claimed): 1.0, tuple(largest): -1.0}
        value, low, high = found.combination(weights, error)
        verdict = CONTRADICTED if high < 0 else UNDECIDED
    rival = "" if largest == claimed else f"; the largest is {_named(sorted(largest))}"
    parts.append(
        arms.part(
            label=f"{_named(pair)} is the largest pair" + rival,
            verdict=UNDECIDED if found.void else verdict,
            estimate=100 * value,
            low=100 * low,
            high=100 * high,
            error=error,
            unit="% of the variance" + (", behind the largest" if rival else ""),
            n=f"{found.n} trials",
            needed="" if verdict != UNDECIDED else "a difference of the two largest pairs whose interval excludes 0",
        )
    )
    return parts


def pair_without_structure(arms: Arms, *, pair: Sequence[str], share: float, within: float, p: float) -> list[Part]:
    """Decide that a pair's share is near a number, without a smooth pattern in what the main effects leave."""
    found = shares_of(arms)
    first = _share(arms, found, {tuple(pair): 1.0}, f"share of {_named(pair)}", (share - within, share + within))
    trials = arms.trials("V")
    fit = slopes(trials, np.ones((len(trials), 0)), target="test_metric", without=())
    units = [stats.rankdata(trials[f"params_{name}"]) / (len(trials) + 1) for name in pair]
    pattern = residual_pattern(units[0], units[1], np.asarray(fit.resid))
    second = arms.part(
        label=f"permutation p of a smooth pattern of {_named(pair)}",
        verdict=REPRODUCED if pattern > p else CONTRADICTED if pattern < 0.01 else UNDECIDED,
        estimate=pattern,
        unit="p",
        n=f"{len(trials)} trials",
        needed="" if pattern > p or pattern < 0.01 else "more trials: p lies between .01 and .05",
    )
    return [first, second]


def setting_without_effect(arms: Arms, *, parameter: str, values: Sequence[str], share: float) -> list[Part]:
    """Decide that a two-valued setting has a share below a threshold, and equivalent best tenths."""
    trials = arms.trials("V")
    setting = arms.setting(parameter, trials)
    if setting.nunique() < 2:
        raise MissingColumn(f"{parameter} has one value in these trials: it was not drawn")
    if f"params_{parameter}" not in trials:
        raise MissingColumn(f"{parameter} was not drawn with the other hyperparameters")
    found = estimate_shares(trials, arms.space, target="test_metric")
    first = _share(arms, found, {(parameter,): 1.0}, f"share of the {_named([parameter])}", (-math.inf, share))
    cells = [arms.cell("V", trials[setting.eq(value)], str(value)) for value in values]
    second = equivalence_part(arms, contrast(arms, *cells), f"{values[0]} − {values[1]}")
    # A share above half a per cent is no contradiction by itself; a difference that matters is.
    if first.verdict == CONTRADICTED:
        first = first.but(verdict=UNDECIDED, needed=f"a share below {100 * share:g} %")
    return [first, second]
