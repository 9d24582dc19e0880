"""Rules about network size and input noise: slopes and contrasts by regression (O25, O31-O35).

May import the rest of `claims`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from odyssey_kit.analysis.claims.evidence import Arms, undecidable
from odyssey_kit.analysis.claims.findings import (
    CONTRADICTED,
    REPRODUCED,
    UNDECIDED,
    MissingColumn,
    Part,
    needed_trials,
    placed,
)
from odyssey_kit.analysis.claims.regression import axis, pieces, slopes

__all__ = [
    "diminishing_returns",
    "noise_by_rate",
    "noise_dip",
    "noise_hurts",
    "noise_lengthens",
    "time_grows_with_size",
]

_POSITIVE = (0.0, math.inf)
_NEGATIVE = (-math.inf, 0.0)


def _estimate(
    arms: Arms, fit: Any, contrast: Sequence[float], label: str, inside: tuple[float, float], unit: str
) -> Part:
    """Decide where the interval of a combination of the first coefficients lies."""
    test = fit.t_test(np.concatenate([contrast, np.zeros(len(fit.params) - len(contrast))]))
    low, high = map(float, test.conf_int(arms.error)[0])
    estimate = float(np.ravel(test.effect)[0])
    verdict, n = placed(low, high, inside=inside), int(fit.nobs)
    return arms.part(
        label=label,
        verdict=verdict,
        estimate=estimate,
        low=low,
        high=high,
        unit=unit,
        n=f"{n} trials",
        needed=needed_trials(n, estimate, low, high, 0.0) if verdict == UNDECIDED else "",
        details={"p": float(np.ravel(test.pvalue)[0])},
    )


def noise_by_rate(arms: Arms, *, split: float) -> list[Part]:
    """Decide by the slopes of the metric on input noise below and above a learning rate."""
    trials = arms.trials("V")
    below = trials["params_learning_rate"] < split
    parts = []
    for rows, inside, words in ((trials[below], _NEGATIVE, "below"), (trials[~below], _POSITIVE, "above")):
        noise = axis("input_noise_std", rows["params_input_noise_std"])[:, None]
        fit = slopes(rows, noise, target="test_metric", without=("input_noise_std",))
        unit = f"{arms.task.unit} a unit of noise"
        parts.append(
            _estimate(
                arms,
                fit,
                [1.0],
                f"slope on input noise with the other settings held, rates {words} {split:g}",
                inside,
                unit,
            )
        )
    return parts


def noise_hurts(arms: Arms, *, split: float) -> list[Part]:
    """Decide by the slopes of the metric on input noise in two stretches."""
    trials = arms.trials("V")
    noise = axis("input_noise_std", trials["params_input_noise_std"])
    fit = slopes(trials, pieces(noise, [0.0, split, 1.0]), target="test_metric", without=("input_noise_std",))
    unit = f"{arms.task.unit} a unit of noise"
    stretches = (([1.0, 0.0], f"0 to {split:g}"), ([0.0, 1.0], f"{split:g} to 1"))
    return [_estimate(arms, fit, c, f"slope on input noise from {words}", _POSITIVE, unit) for c, words in stretches]


def noise_dip(arms: Arms, *, dip: Sequence[float], none: Sequence[float]) -> list[Part]:
    """Decide by the mean metric in a stretch of noise, minus that at almost none."""
    trials = arms.trials("V")
    noise = axis("input_noise_std", trials["params_input_noise_std"])
    inside = [(noise >= low) & (noise < high) for low, high in ((none[1], dip[0]), dip, (dip[1], math.inf))]
    columns = np.stack([inside[1], inside[0], inside[2]], axis=1).astype(float)
    fit = slopes(trials, columns, target="test_metric", without=("input_noise_std",))
    label = f"mean at noise {dip[0]:g} to {dip[1]:g} − that at {none[0]:g} to {none[1]:g}"
    return [_estimate(arms, fit, [1.0], label, _NEGATIVE, arms.task.unit)]


def noise_lengthens(arms: Arms, *, target: str) -> list[Part]:
    """Decide by the slope of the best epoch on input noise."""
    trials = arms.trials("V")
    noise = axis("input_noise_std", trials["params_input_noise_std"])[:, None]
    fit = slopes(trials, noise, target=target, without=("input_noise_std",))
    return [_estimate(arms, fit, [1.0], "slope of the best epoch on input noise", _POSITIVE, "epochs a unit of noise")]


def diminishing_returns(arms: Arms, *, small: Sequence[float], large: Sequence[float], times: float) -> list[Part]:
    """Decide whether the metric falls with size, and more steeply at small sizes."""
    trials = arms.trials("V")
    size = trials["params_hidden_size"].to_numpy(float)
    unit = f"{arms.task.unit} a block"
    whole = slopes(trials, np.log10(size)[:, None], target="test_metric", without=("hidden_size",))
    falls = _estimate(arms, whole, [1.0], "slope on the size", _NEGATIVE, f"{arms.task.unit} a decade")
    fit = slopes(trials, pieces(size, [*small, *large]), target="test_metric", without=("hidden_size",))
    steeper = _estimate(
        arms,
        fit,
        [1.0, 0.0, -times],
        f"slope from {small[0]} to {small[1]} − {times:g} × that from {large[0]} to {large[1]}",
        _NEGATIVE,
        unit,
    )
    if steeper.verdict == CONTRADICTED:
        # Not three times as steep is no contradiction of diminishing returns; a flatter beginning is.
        flatter = _estimate(arms, fit, [1.0, 0.0, -1.0], steeper.label, _NEGATIVE, unit)
        verdict = CONTRADICTED if flatter.verdict == CONTRADICTED else UNDECIDED
        needed = "" if verdict == CONTRADICTED else "returns diminish by less than was asked for, or not visibly"
        steeper = steeper.but(verdict=verdict, needed=needed)
    return [falls, steeper, _levels_off(arms, fit, small, large, times)]


def _levels_off(arms: Arms, fit: Any, small: Sequence[float], large: Sequence[float], times: float) -> Part:
    """Decide that large networks do not get worse again: the comparison of two falls holds for a rise, too."""
    label = f"slope from {small[0]} to {small[1]} + {times:g} × that from {large[0]} to {large[1]}"
    part = _estimate(arms, fit, [1.0, 0.0, times], label, _NEGATIVE, f"{arms.task.unit} a block")
    rises = _estimate(arms, fit, [0.0, 0.0, 1.0], label, _NEGATIVE, part.unit).verdict == CONTRADICTED
    if part.verdict == REPRODUCED and rises:
        return part.but(
            verdict=UNDECIDED, needed=f"no rise from {large[0]} to {large[1]} blocks; there is a slight one"
        )
    return part


def time_grows_with_size(arms: Arms, *, p: float) -> list[Part]:
    """Decide by Spearman's correlation of size and training time."""
    trials = arms.trials("V")
    part = _rank_correlation(arms, trials["params_hidden_size"], trials["seconds"], p, "size and seconds", sign=1)
    reason = undecidable(arms.cell("V"))
    return [part.but(verdict=UNDECIDED, needed=reason) if reason else part]


def _rank_correlation(arms: Arms, x: Any, y: Any, p: float, words: str, *, sign: int) -> Part:
    """Decide the sign of a rank correlation, with Fisher's interval."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    kept = np.isfinite(x) & np.isfinite(y)
    n = int(kept.sum())
    if n < 3 or not np.ptp(x[kept]) or not np.ptp(y[kept]):
        raise MissingColumn(f"{words}: {n} trials that do not vary")
    found: Any = stats.spearmanr(x[kept], y[kept])
    rho, level = float(found.statistic), float(found.pvalue)
    half = stats.norm.ppf(1 - p / 2) * math.sqrt((1 + rho**2 / 2) / max(n - 3, 1))
    low, high = (float(np.tanh(np.arctanh(np.clip(rho, -0.9999, 0.9999)) + s * half)) for s in (-1, 1))
    verdict = UNDECIDED if level >= p else REPRODUCED if rho * sign > 0 else CONTRADICTED
    return arms.part(
        label=f"Spearman's correlation of {words}",
        verdict=verdict,
        estimate=rho,
        low=low,
        high=high,
        error=p,
        unit="",
        n=f"{n} trials",
        needed=needed_trials(n, rho, low, high, 0.0) if verdict == UNDECIDED else "",
        details={"p": level},
    )
