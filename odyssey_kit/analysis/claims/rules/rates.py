"""Rules about the learning rate: its basin, its optimum and what moves it (O26-O28, O30, O38, B3, B7, B21).

May import the rest of `claims`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from odyssey_kit.analysis.claims.evidence import Arms, undecidable
from odyssey_kit.analysis.claims.findings import (
    CONTRADICTED,
    NOT_TESTABLE,
    REPRODUCED,
    UNDECIDED,
    MissingColumn,
    Part,
    ends,
    needed_trials,
    placed,
)
from odyssey_kit.analysis.claims.regression import Marginal, axis, marginal

__all__ = [
    "basin_width",
    "curves_alike",
    "momentum_exponent",
    "optima_apart",
    "optimum_by_size",
    "optimum_by_task",
    "sharp_ceiling",
    "sweet_spot",
]

_EDGE = "the minimum lies at the end of the searched range in {:.0f} % of the resamples, so it is none"


def basin_width(every: Sequence[Arms], *, tolerance: float, at_least: float, on_one: float, roles: int) -> list[Part]:
    """Decide by the width of the stretch of rates near the marginal's minimum: on each task, and the widest."""
    parts = []
    for arms in every:
        curve = marginal(arms.trials("V"), "learning_rate")
        width, least, most = curve.basin(tolerance)
        low, high = ends(least, arms.error)[0], ends(most, arms.error)[1]
        verdict = placed(low, high, inside=(at_least, math.inf))
        edge = curve.at_the_edge()
        part = arms.part(
            label="width of the basin",
            verdict=verdict,
            estimate=width,
            low=low,
            high=high,
            unit="decades",
            n=f"{curve.n} trials",
            needed=needed_trials(curve.n, width, low, high, at_least) if verdict == UNDECIDED else "",
            note=_EDGE.format(100 * edge) + ": the width is one of the box." if edge > 0.5 else "",
        )
        parts.append(part)
    widest = max(parts, key=lambda part: part.low)
    verdict = placed(widest.low, widest.high, inside=(on_one, math.inf))
    if any(part.high >= on_one for part in parts) or untested(every, roles):
        verdict = UNDECIDED if verdict == CONTRADICTED else verdict
    needed = f"a basin of {on_one:g} decades by the lower bound on one task" if verdict == UNDECIDED else ""
    return [*parts, widest.but(label="the widest basin", verdict=verdict, needed=needed)]


def untested(every: Sequence[Arms], roles: int) -> int:
    """Return on how many of a claim's kinds of task there is no trial: what holds on one of them may hold there."""
    return roles - len({arms.task.role for arms in every})


def optimum_by_task(every: Sequence[Arms], *, within: float, roles: int) -> list[Part]:
    """Decide by where the marginals' minima lie, two tasks at a time; raw, and per frame.

    Pairs of the papers' own data and pairs with a stand-in decide apart. One pair apart is enough, so the others do
    not count against it; that there is none takes all of them, on all kinds of task.
    """
    if len(every) < 2:
        raise MissingColumn("one task only; two are needed to compare their optima")
    curves = [marginal(arms.trials("V"), "learning_rate", seed=i) for i, arms in enumerate(every)]
    pairs = itertools.combinations(zip(every, curves, strict=True), 2)
    parts = [_optima_of_two(*first, *second, within) for first, second in pairs]
    kept = []
    for group in ([part for part in parts if part.own == own] for own in (True, False)):
        apart = [part for part in group if part.verdict == REPRODUCED]
        missing = untested([arms for arms in every if arms.task.own or not any(p.own for p in group)], roles)
        if apart or not (missing or any(part.verdict != CONTRADICTED for part in group)):
            kept += apart[:1] or group
            continue
        asked = f"a pair of tasks that lie apart, or the {missing} kinds of task without trials"
        asked = asked if missing else "a pair of tasks that lie apart, or all pairs alike"
        kept += [p.but(verdict=UNDECIDED, needed=asked) if p.verdict == CONTRADICTED else p for p in group]
    return kept


def _optima_of_two(first: Arms, one: Marginal, second: Arms, other: Marginal, within: float) -> Part:
    estimate = one.minimum()[0] - other.minimum()[0]
    low, high = _between(one, other, first.error)
    frames = [arms.task.frames for arms in (first, second)]
    shift = math.log10(frames[0] / frames[1]) if frames[0] and frames[1] else math.nan
    apart = (low > 0 or high < 0) and (low + shift > 0 or high + shift < 0)
    verdict = REPRODUCED if apart else CONTRADICTED if low > -within and high < within else UNDECIDED
    asked = "an interval that excludes 0 before and after division by frames"
    if math.isnan(shift) and verdict == UNDECIDED:
        # No trial can set them apart by frames: the length is neither in the paper nor in the manifest.
        verdict = NOT_TESTABLE
        unknown = " and ".join(arms.task.title for arms in (first, second) if not arms.task.frames)
        asked = f"the mean length of a sequence of {unknown}, which is not known here; they may still be found alike"
    return first.part(
        label=f"best log₁₀ rate, {first.task.title} − {second.task.title}",
        verdict=verdict,
        estimate=estimate,
        low=low,
        high=high,
        unit="decades",
        n=f"{one.n} and {other.n} trials",
        needed=asked if verdict in (UNDECIDED, NOT_TESTABLE) else "",
        details={"per_frame": estimate + shift},
        # A pair with a stand-in is told of the stand-in.
        task=(first if second.task.own else second).task.name,
        own=first.task.own and second.task.own,
    )


def _between(one: Marginal, other: Marginal, error: float) -> tuple[float, float]:
    """Return the interval of the difference of two optima, open to the side where one lies at the end of its box."""
    (low, high), (other_low, other_high) = one.minima_beyond(), other.minima_beyond()
    return ends(low - other_high, error)[0], ends(high - other_low, error)[1]


def sweet_spot(arms: Arms, *, tolerance: float, ratio: float) -> list[Part]:
    """Decide by epochs and metric in the upper half of the basin, against its lower half."""
    trials = arms.trials("V")
    low_end, high_end = marginal(trials, "learning_rate").basin_ends(tolerance)
    rate = axis("learning_rate", trials["params_learning_rate"])
    lower, upper = (trials[(rate >= a) & (rate <= b)] for a, b in _halves(low_end, high_end))
    if min(len(lower), len(upper)) < 5:
        raise MissingColumn(f"{min(len(lower), len(upper))} trials in one half of the basin, 5 are needed")
    n = f"{len(lower)} and {len(upper)} trials in the halves of a basin of {high_end - low_end:.1f} decades"
    return [_faster(arms, lower["epochs"], upper["epochs"], ratio, n), _as_good(arms, lower, upper, n)]


def _faster(arms: Arms, lower: pd.Series, upper: pd.Series, ratio: float, n: str) -> Part:
    rng = np.random.default_rng(0)
    low, high = ends(_resampled_means(upper, rng) / _resampled_means(lower, rng), arms.error)
    verdict = REPRODUCED if high < ratio else CONTRADICTED if low > 1 else UNDECIDED
    return arms.part(
        label="epochs, upper / lower half of the basin",
        verdict=verdict,
        estimate=float(upper.mean() / lower.mean()),
        low=low,
        high=high,
        unit="times",
        n=n,
        needed="" if verdict != UNDECIDED else f"a ratio below {ratio:g} by its upper bound",
    )


def _as_good(arms: Arms, lower: pd.DataFrame, upper: pd.DataFrame, n: str) -> Part:
    """Decide that the upper half is no worse: equivalent within the margin at .05, or better."""
    rng, margin = np.random.default_rng(1), arms.margin(arms.cell("V"))
    difference = _resampled_means(upper["test_metric"], rng) - _resampled_means(lower["test_metric"], rng)
    inside, outside = ends(difference, 0.1), ends(difference, arms.error)
    good = (-margin < inside[0] and inside[1] < margin) or outside[1] < 0
    verdict = REPRODUCED if good else CONTRADICTED if outside[0] > margin else UNDECIDED
    needed = f"a 90 % interval within ±{margin:.2g}; it is {inside[0]:.2g} to {inside[1]:.2g}"
    return arms.part(
        label="metric, upper − lower half of the basin",
        verdict=verdict,
        estimate=float(upper["test_metric"].mean() - lower["test_metric"].mean()),
        low=outside[0],
        high=outside[1],
        unit=arms.task.unit,
        n=n,
        needed=needed if verdict == UNDECIDED else "",
        details={"margin": margin},
    )


def _halves(low: float, high: float) -> list[tuple[float, float]]:
    middle = (low + high) / 2
    return [(low, middle), (middle, high)]


def _resampled_means(values: pd.Series, rng: np.random.Generator, resamples: int = 4000) -> np.ndarray:
    numbers = values.to_numpy(float)
    return rng.choice(numbers, (resamples, len(numbers))).mean(axis=1)


def optimum_by_size(arms: Arms, *, small: Sequence[float], large: Sequence[float], decades: float) -> list[Part]:
    """Decide by how far the best learning rate moves between small and large networks."""
    trials = arms.trials("V")
    worst = float(trials["test_metric"].quantile(0.9))
    trials = trials.assign(_clipped=trials["test_metric"].clip(upper=worst))
    rate = axis("learning_rate", trials["params_learning_rate"])
    limits = (float(rate.min()), float(rate.max()))
    curves = []
    for seed, (low, high) in enumerate((small, large)):
        rows = trials[trials["params_hidden_size"].between(low, high)]
        # The arm with rates up to 1 repeats the first study's draws with another rate: they are resampled together.
        options: Any = {"target": "_clipped", "columns": 6, "limits": limits, "draws": "index", "seed": seed}
        curves.append(marginal(rows, "learning_rate", **options))
    points, samples = zip(*(curve.minimum() for curve in curves), strict=True)
    low, high = ends(samples[0] - samples[1], arms.error)
    edge = max(curve.at_the_edge() for curve in curves)
    verdict = UNDECIDED if edge > 0.25 else placed(low, high, inside=(-decades, decades))
    needed = needed_trials(len(trials), points[0] - points[1], low, high, -decades, decades)
    return [
        arms.part(
            label=f"best log₁₀ rate, {small[0]} to {small[1]} − {large[0]} to {large[1]} blocks",
            verdict=verdict,
            estimate=points[0] - points[1],
            low=low,
            high=high,
            unit="decades",
            n=f"{curves[0].n} and {curves[1].n} trials",
            needed="" if verdict != UNDECIDED else _EDGE.format(100 * edge) if edge > 0.25 else needed,
        )
    ]


def curves_alike(arms: Arms, *, variants: Sequence[str], parameters: Sequence[str], within: float) -> list[Part]:
    """Decide by the largest distance of a variant's marginal from vanilla's, in deviations of vanilla's trials."""
    vanilla = arms.trials("V")
    scale = float(vanilla["test_metric"].std())
    parts = []
    for parameter in parameters:
        x = axis(parameter, vanilla[f"params_{parameter}"])
        limits = (float(x.min()), float(x.max()))
        curve = marginal(vanilla, parameter, limits=limits, columns=6)
        for name in variants:
            other = marginal(arms.trials(name), parameter, limits=limits, columns=6, seed=1)
            distance = _sup(other.curve - curve.curve) / scale
            # Resampling adds noise to a distance; the basic interval takes it out again.
            upper, lower = ends(_sup(other.resampled - curve.resampled) / scale, arms.error)
            low, high = max(0.0, 2 * distance - lower), max(distance, 2 * distance - upper)
            reason = undecidable(arms.cell(name), arms.cell("V"))
            verdict = UNDECIDED if reason else placed(low, high, inside=(-math.inf, within))
            parts.append(
                arms.part(
                    label=f"largest distance over the {parameter.replace('_', ' ')}, {name} from V",
                    verdict=verdict,
                    estimate=distance,
                    low=low,
                    high=high,
                    unit="standard deviations",
                    n=f"{other.n} and {curve.n} trials",
                    needed=(reason or f"an upper bound below {within:g}") if verdict == UNDECIDED else "",
                    details={"margin": within},
                )
            )
    return parts


def _sup(difference: np.ndarray) -> Any:
    centred = difference - difference.mean(axis=-1, keepdims=True)
    return np.abs(centred).max(axis=-1)


def sharp_ceiling(arms: Arms, *, decades: float) -> list[Part]:
    """Decide by the 10 to 90 % width of a logistic regression of divergence on the log₁₀ learning rate.

    The interval is that of the likelihood ratio, which exists where the two are separated, too.
    """
    frame = arms.frame
    x, y = axis("learning_rate", frame["params_learning_rate"]), frame["diverged"].to_numpy(float)
    if not 0 < y.sum() < len(y):
        raise MissingColumn("no trial diverged, or all did: the ceiling is not inside the range")
    # Widths from a hundredth of a decade on, and the same falling ones: divergence at low rates.
    widths = np.geomspace(0.01, 100, 161)
    slopes = np.concatenate([2 * math.log(9) / widths, -2 * math.log(9) / widths])
    x = x - x.mean()
    likelihood = np.array([_profile(x, y, slope) for slope in slopes])
    best = int(likelihood.argmax())
    least = likelihood[best] - stats.chi2.ppf(1 - arms.error, 1) / 2
    width = 2 * math.log(9) / abs(slopes[best])
    rising, falling = np.flatnonzero(likelihood[: len(widths)] >= least), likelihood[len(widths) :] >= least

    def end(first: int, second: int) -> float:
        """Return the width at which the likelihood crosses its bound, between two neighbours of the grid."""
        crossing: Any = optimize.brentq(
            lambda at: _profile(x, y, 2 * math.log(9) / at) - least, widths[first], widths[second], xtol=1e-6
        )
        return float(crossing)

    low = high = math.inf
    if len(rising):
        low = 0.0 if rising[0] == 0 else end(rising[0] - 1, rising[0])
        flat = rising[-1] == len(widths) - 1 or falling.any()
        high = math.inf if flat else end(rising[-1], rising[-1] + 1)
    verdict = placed(low, high, inside=(-math.inf, decades)) if len(rising) else CONTRADICTED
    return [
        arms.part(
            label="width in which divergence goes from 10 to 90 %",
            verdict=verdict,
            estimate=width,
            low=low,
            high=high,
            unit="decades",
            n=f"{len(x)} trials, {int(y.sum())} of them diverged",
            needed=needed_trials(len(x), width, low, high, decades) if verdict == UNDECIDED else "",
        )
    ]


def _profile(x: np.ndarray, y: np.ndarray, slope: float) -> float:
    """Return the largest log-likelihood of a logistic curve of a given slope: its place is found by bisection."""
    # Without a slope the constant would be the logit of the share of cases; a slope moves it by less than this.
    share, most = float(special.logit(y.mean())), abs(slope) * float(np.abs(x).max())
    low, high = share - most, share + most
    for _ in range(80):
        middle = (low + high) / 2
        # The sum of probabilities grows with the constant, and is that of the cases at the maximum.
        low, high = (middle, high) if special.expit(middle + slope * x).sum() < y.sum() else (low, middle)
    z = (low + high) / 2 + slope * x
    return float(np.sum(y * special.log_expit(z) + (1 - y) * special.log_expit(-z)))


def momentum_exponent(arms: Arms, *, printed: float, reasoned: float) -> list[Part]:
    """Decide by the exponent k in best rate ∝ (1 − momentum)^k, from a parabola in the shifted log rate.

    It is fitted to the better seven tenths: far from the best rate errors level off, and no parabola does.
    """
    frame = arms.frame[~arms.frame["diverged"]]
    frame = frame[frame["test_metric"] <= frame["test_metric"].quantile(0.7)]
    x = axis("learning_rate", frame["params_learning_rate"])
    m = axis("momentum", arms.setting("momentum", frame))
    y = np.log(frame["test_metric"].clip(lower=1e-9).to_numpy(float))
    exponents = np.linspace(-2, 2, 161)
    rng = np.random.default_rng(0)
    weights = np.vstack([np.ones(len(x)), rng.multinomial(len(x), np.full(len(x), 1 / len(x)), 500)])
    losses = np.stack([_parabola_loss(x - k * m, y, weights) for k in exponents])
    best = exponents[losses.argmin(axis=0)]
    low, high = ends(best[1:], arms.error)
    holds, excludes = (lambda value: low <= value <= high), (lambda value: not low <= value <= high)
    verdict = CONTRADICTED if excludes(printed) else REPRODUCED if excludes(reasoned) else UNDECIDED
    note = ""
    if verdict == CONTRADICTED and holds(reasoned):
        note = "It holds +1: the reason that the report gives is right, and its sentence has the direction inverted."
    return [
        arms.part(
            label="exponent of (1 − momentum) in the best rate",
            verdict=verdict,
            estimate=float(best[0]),
            low=low,
            high=high,
            unit="",
            n=f"{len(x)} trials, the better seven tenths of those that converged",
            needed="" if verdict != UNDECIDED else "an interval that excludes −1 or +1",
            note=note,
        )
    ]


def _parabola_loss(v: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted squared error of the best upward parabola of y in v, for each row of weights."""
    design = np.column_stack([np.ones(len(v)), v, v**2])
    normal = np.einsum("bn,ni,nj->bij", weights, design, design, optimize=True) + 1e-9 * np.eye(3)
    right = (weights * y) @ design
    coefficients = np.linalg.solve(normal, right[..., None])[..., 0]
    residuals = y - coefficients @ design.T
    loss = (weights * residuals**2).sum(axis=1)
    return np.where(coefficients[:, 2] > 0, loss, np.inf)


def optima_apart(arms: Arms, *, conditions: Sequence[str], ratio: float) -> list[Part]:
    """Decide by the largest over the smallest best learning rate of several conditions.

    Its interval is the widest of what the pairs say: they hold together, each at its share of the error. A best rate at
    an end of the searched range lies there or beyond it, which may set conditions apart and never brings them together.
    """
    curves: dict[str, Marginal] = {}
    there = set(arms.frame["variant"])
    for seed, name in enumerate(name for name in conditions if name in there):
        rows = arms.trials(name)
        curves[name] = marginal(rows[~rows["diverged"]], "learning_rate", columns=6, seed=seed)
    if len(curves) < 2:
        raise MissingColumn("one condition only; two are needed to compare their optima")
    names, points = list(curves), np.array([curve.minimum()[0] for curve in curves.values()])
    first, last = int(points.argmax()), int(points.argmin())
    error = arms.error / math.comb(len(curves), 2)
    pairs = [_between(one, other, error) for one, other in itertools.permutations(curves.values(), 2)]
    low, high = (float(end) for end in np.max(pairs, axis=0))  # of the largest difference: 0 at least
    low = max(low, 0.0)
    verdict = placed(low, high, inside=(math.log10(ratio), math.inf))
    n = sum(curve.n for curve in curves.values())
    estimate = float(np.ptp(points))
    edges = [f"{name} in {100 * edge:.0f} %" for name, curve in curves.items() if (edge := curve.at_the_edge()) > 0.05]
    needed = needed_trials(n, estimate, low, high, math.log10(ratio))
    return [
        arms.part(
            label=f"best rate, {names[first]} / {names[last]}",
            verdict=verdict,
            estimate=10**estimate,
            low=10**low,
            high=10**high,
            unit="times",
            n=f"{n} trials of {len(curves)} conditions",
            needed=needed if verdict == UNDECIDED else "",
            note=f"Best at an end of the searched range, of the resamples: {', '.join(edges)}." if edges else "",
        )
    ]
