"""Rules about the parts of the cell: differences, equivalences and what stands behind them (O1-O16, B9, B11, B16).

May import the rest of `claims`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.analysis.claims.contrasts import Contrast, contrast, papers_power
from odyssey_kit.analysis.claims.evidence import Arms, undecidable
from odyssey_kit.analysis.claims.findings import CONTRADICTED, REPRODUCED, UNDECIDED, Part, ends, placed
from odyssey_kit.analysis.claims.ledger import conventions
from odyssey_kit.analysis.claims.regression import log_ratio
from odyssey_kit.variants import variant as named_variant

__all__ = [
    "difference",
    "effect_sizes",
    "equivalence",
    "expected_best",
    "interaction",
    "non_inferiority",
    "saves_time",
    "slightly_better",
    "unbounded_output",
]
_A_MILLION = 1e6


def difference(
    arms: Arms,
    *,
    variants: Sequence[str],
    sign: int,
    baseline: str = "V",
    above: float = 0.0,
    outputs: Sequence[str] = ("",),
) -> list[Part]:
    """Decide claimed differences: their sign, and that they are larger than `above` where that is said.

    With `outputs` each variant is compared with the baseline that has the same ending.
    """
    found = _against(arms, variants, baseline, outputs)
    return [difference_part(arms, one, f"{one.first.name} − {one.second.name}", sign, above) for one in found]


def _against(arms: Arms, variants: Sequence[str], baseline: str, outputs: Sequence[str]) -> list[Contrast]:
    references = {ending: arms.cell(baseline + ending) for ending in outputs}
    return [contrast(arms, arms.cell(name + ending), references[ending]) for ending in outputs for name in variants]


def difference_part(arms: Arms, one: Contrast, label: str, sign: int, above: float = 0.0) -> Part:
    """Decide one claimed difference."""
    low, high = one.interval()
    ends = sorted((sign * low, sign * high))
    details: dict[str, float] = {}
    if one.undecidable:
        verdict, needed = UNDECIDED, one.undecidable
    elif one.sign == sign and ends[0] > above:
        verdict, needed = REPRODUCED, ""
    elif one.sign == -sign or one.equivalent or (above and ends[1] < above):
        verdict, needed = CONTRADICTED, ""
    else:
        verdict = UNDECIDED
        wanted = one.trials_beyond(sign * above) if sign * one.difference > above else math.nan
        needed = f"{_to_find(one, wanted)}; with these, {one.detectable:.2g} {arms.task.unit} would be found"
        details = {"wanted": wanted}
    return _contrast_part(arms, one, label, verdict, needed, details=details)


def _to_find(one: Contrast, wanted: float) -> str:
    """Say how many trials a side would find a claimed difference."""
    if math.isnan(wanted):
        return "more trials, which would rather show the opposite: the estimate is not where the claim has it"
    if wanted <= one.trials:
        return "a few more trials"
    many = f"about {wanted:,.0f}" if wanted < _A_MILLION else "more than a million"
    return f"{many} trials a side to find it with 80 % power, if the estimate stays"


def equivalence(
    arms: Arms, *, variants: Sequence[str], baseline: str = "V", outputs: Sequence[str] = ("",)
) -> list[Part]:
    """Decide claims of no difference: by equivalence within the margin, never by a failure to reject."""
    found = _against(arms, variants, baseline, outputs)
    return [equivalence_part(arms, one, f"{one.first.name} − {one.second.name}") for one in found]


def equivalence_part(arms: Arms, one: Contrast, label: str) -> Part:
    """Decide one claimed equivalence."""
    note = power_note(one)
    if one.undecidable:
        return _contrast_part(arms, one, label, UNDECIDED, one.undecidable, note)
    if one.equivalent:
        return _contrast_part(arms, one, label, REPRODUCED, "", note)
    if one.sign and abs(one.difference) > one.margin:
        return _contrast_part(arms, one, label, CONTRADICTED, "", note)
    if one.p_adjusted >= conventions().selection["alpha"]:
        note = f"The paper's own criterion is met: it cannot be told from zero (p = {one.p_adjusted:.2g}). {note}"
    wanted = one.trials_for_equivalence
    needed = (
        f"about {wanted:,} trials a side, if the truth is zero; a difference of {one.detectable:.2g} "
        f"{arms.task.unit} would be found with 80 % power"
    )
    return _contrast_part(arms, one, label, UNDECIDED, needed, note, details={"wanted": wanted})


def power_note(one: Contrast) -> str:
    """Say what the tests for equivalence could have seen, beside every null."""
    power = one.details()["power_of_equivalence"]
    n = min(one.first.k, one.second.k)
    return (
        f"With {n} trials a side the two one-sided tests have {100 * power:.0f} % power to show equivalence within "
        f"±{one.margin:.2g} if the truth is zero, and the bootstrap asks for more. {papers_power()}"
    )


def non_inferiority(arms: Arms, *, variants: Sequence[str]) -> list[Part]:
    """Decide that no variant is better: all lower bounds above −δ, at a simultaneous 95 %."""
    reference, parts = arms.cell("V"), []
    for name in variants:
        one = contrast(arms, arms.cell(name), reference)
        # One-sided: the whole error of a decision lies below.
        bound, wanted = float(np.quantile(one.resampled, arms.error)), math.nan
        if one.undecidable:
            verdict, needed = UNDECIDED, one.undecidable
        elif bound > -one.margin:
            verdict, needed = REPRODUCED, ""
        elif one.sign < 0:
            verdict, needed = CONTRADICTED, ""
        else:
            verdict = UNDECIDED
            needed = needed_below(one.trials, one.difference, bound, -one.margin)
            wanted = _trials_above(one.trials, one.difference, bound, -one.margin)
        bounds = {"lower_bound": bound, "wanted": wanted}
        part = _contrast_part(arms, one, f"{name} − V", verdict, needed, papers_power(), details=bounds)
        deciding = f"one-sided bound, which decides: {bound:+.3g}".replace("-0", "−0")
        parts.append(part.but(n=f"{part.n}; {deciding}"))
    return parts


def needed_below(trials: int, estimate: float, bound: float, border: float) -> str:
    """Say how many trials would bring a lower bound above a border, if the estimate stays."""
    if estimate <= border:
        return f"the estimate itself lies below {border:g}; a larger n would show a better variant, if there is one"
    return f"about {_trials_above(trials, estimate, bound, border):,.0f} trials a side, if the estimate stays"


def _trials_above(trials: int, estimate: float, bound: float, border: float) -> float:
    if estimate <= border:
        return math.nan
    return float(np.ceil(trials * ((estimate - bound) / (estimate - border)) ** 2))


def _contrast_part(
    arms: Arms, one: Contrast, label: str, verdict: str, needed: str, note: str = "", details: Mapping[str, Any] = {}
) -> Part:
    low, high = one.interval()
    return arms.part(
        label=label,
        verdict=verdict,
        estimate=one.difference,
        low=low,
        high=high,
        unit=arms.task.unit,
        n=one.n,
        needed=needed,
        note=note,
        details={**one.details(), **details},
    )


def expected_best(arms: Arms, *, variant: Mapping[str, str], draws: int, widening: float) -> list[Part]:
    """Decide that the best single trial of so many draws is better, in expectation.

    The bootstrap of an extreme is too sure of itself, so its interval is widened by a fixed factor.
    """
    first, second = arms.cell(variant[arms.task.role]), arms.cell("V")
    values = [_best_of(cell, draws) for cell in (first, second)]
    resampled = values[0][1] - values[1][1]
    low, high = ends(resampled, arms.error)
    estimate = values[0][0] - values[1][0]
    low, high = estimate - widening * (estimate - low), estimate + widening * (high - estimate)
    verdict = placed(low, high, inside=(-math.inf, 0.0))
    found = f"a difference of {np.std(resampled) * 2.8:.2g} {arms.task.unit} would be found with 80 % power"
    return [
        arms.part(
            label=f"best of {draws}, {first.name} − V",
            verdict=verdict if min(len(first), len(second)) >= 100 else UNDECIDED,
            estimate=estimate,
            low=low,
            high=high,
            unit=arms.task.unit,
            n=f"{len(first)} and {len(second)} trials",
            needed="" if verdict != UNDECIDED else found,
        )
    ]


def _best_of(cell: Any, draws: int) -> tuple[float, np.ndarray]:
    """Return the expected test metric of the best of so many draws by validation, and its resamples."""

    def expected(weights: np.ndarray) -> np.ndarray:
        # The i-th best is the best of all draws with probability (share not before it)^k - (share after it)^k.
        after = 1 - np.cumsum(weights, axis=-1) / weights.sum(axis=-1, keepdims=True)
        before = np.concatenate([np.ones((*after.shape[:-1], 1)), after[..., :-1]], axis=-1)
        return (np.clip(before, 0, 1) ** draws - np.clip(after, 0, 1) ** draws) @ cell.test

    return float(expected(np.ones(len(cell)))), expected(cell.resampled.astype(float))


def slightly_better(arms: Arms, *, variants: Sequence[str], probability: float) -> list[Part]:
    """Decide the sign of differences by the share of resamples in which they are below zero."""
    reference, parts = arms.cell("V"), []
    for name in variants:
        one = contrast(arms, arms.cell(name), reference)
        better = float(np.mean(one.resampled < 0))
        agreed = one.difference < 0 and better >= probability
        # Each of the variants may contradict, so that their chances to do so by accident add up.
        opposed = one.difference > 0 and better <= (1 - probability) / len(variants)
        verdict = REPRODUCED if agreed else CONTRADICTED if opposed else UNDECIDED
        needed = f"{100 * better:.0f} % of the resamples are below 0; {100 * probability:.0f} % are asked for"
        needed = one.undecidable or needed
        undecided = verdict == UNDECIDED or bool(one.undecidable)
        part = _contrast_part(
            arms, one, f"{name} − V", UNDECIDED if undecided else verdict, needed if undecided else ""
        )
        parts.append(part)
    return parts


def unbounded_output(arms: Arms, *, variant: str, p: float, ratio: float) -> list[Part]:
    """Decide by divergences (Fisher's exact test) and by the ratio of the medians of the largest |y|."""
    first, second = arms.cell(variant), arms.cell("V")
    counts = [(int(c.frame["diverged"].sum()), int((~c.frame["diverged"]).sum())) for c in (first, second)]
    tests: list[Any] = [stats.fisher_exact(counts, alternative=side) for side in ("greater", "less")]
    more, fewer = (float(test.pvalue) for test in tests)
    sizes = [
        np.nan_to_num(c.frame["max_abs_output"].to_numpy(float), nan=math.inf, posinf=math.inf) for c in (first, second)
    ]
    medians = [_weighted_median(size, cell.resampled[:2000]) for size, cell in zip(sizes, (first, second), strict=True)]
    estimate = float(np.median(sizes[0]) / np.median(sizes[1]))
    low, high = ends(medians[0] / medians[1], 0.05)
    reason = undecidable(first, second)
    parts = [
        arms.part(
            label=f"divergences, {variant} against V",
            verdict=REPRODUCED if more < p else CONTRADICTED if fewer < p else UNDECIDED,
            estimate=counts[0][0] / len(first) - counts[1][0] / len(second),
            unit="of the trials",
            n=f"{counts[0][0]} of {len(first)} and {counts[1][0]} of {len(second)} diverged",
            needed="" if min(more, fewer) < p else f"one-sided p below {p:g}; it is {more:.2g}",
            details={"p_more": more, "p_fewer": fewer},
        ),
        arms.part(
            label=f"median of the largest |y|, {variant} / V",
            verdict=REPRODUCED if estimate > ratio else CONTRADICTED if high < ratio and more > 0.5 else UNDECIDED,
            estimate=estimate,
            low=low,
            high=high,
            error=0.05,
            unit="times",
            n=f"{len(first)} and {len(second)} trials",
            needed="" if estimate > ratio or (high < ratio and more > 0.5) else f"a ratio above {ratio:g}",
        ),
    ]
    return [part.but(verdict=UNDECIDED, needed=reason) for part in parts] if reason else parts


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values)
    reached = np.cumsum(weights[:, order], axis=1) >= weights.sum(axis=1, keepdims=True) / 2
    return values[order][reached.argmax(axis=1)]


def interaction(arms: Arms, *, variant: str, coupled: str, both: str) -> list[Part]:
    """Decide a difference of differences, and an equivalence."""
    vanilla, alone, ties, combined = (arms.cell(name) for name in ("V", variant, coupled, both))
    margin = arms.margin(vanilla)
    samples = (alone.top_means - vanilla.top_means) - (combined.top_means - ties.top_means)
    low, high = ends(samples, arms.error)
    estimate = float((alone.top.mean() - vanilla.top.mean()) - (combined.top.mean() - ties.top.mean()))
    verdict = REPRODUCED if low > 0 else CONTRADICTED if high < margin else UNDECIDED
    found = f"{np.std(samples) * 3.3:.2g} {arms.task.unit} would be found with 80 % power"
    if reason := undecidable(vanilla, alone, ties, combined):
        verdict, found = UNDECIDED, reason
    label = f"({variant} − V) − ({both} − {coupled})"
    n = f"best {alone.k}, {vanilla.k}, {combined.k} and {ties.k} trials"
    first = arms.part(
        label=label,
        verdict=verdict,
        estimate=estimate,
        low=low,
        high=high,
        unit=arms.task.unit,
        n=n,
        needed="" if verdict != UNDECIDED else found,
    )
    second = equivalence_part(arms, contrast(arms, combined, ties, margin=margin), f"{both} − {coupled}")
    # A small difference of the two does not contradict that coupling helps; the interaction does.
    if second.verdict == CONTRADICTED:
        second = second.but(verdict=UNDECIDED, needed=f"{both} differs from {coupled} by more than δ")
    return [first, second]


def saves_time(arms: Arms, *, variants: Sequence[str]) -> list[Part]:
    """Decide by parameters, counted exactly, and by the time an update at equal size."""
    parts = []
    size = {name: named_variant(name).parameter_count(input_size=88, hidden_size=100) for name in ("V", *variants)}
    for name in variants:
        rows = pd.concat([arms.trials(name), arms.trials("V")])
        rows = rows[~rows["diverged"]]
        ratio, low, high = log_ratio(rows, treated=name, error=arms.error)
        fewer = size[name] < size["V"]
        verdict = CONTRADICTED if not fewer or low > 1 else REPRODUCED if high < 1 else UNDECIDED
        parts.append(
            arms.part(
                label=f"time an update, {name} / V",
                verdict=verdict,
                estimate=ratio,
                low=low,
                high=high,
                unit="times",
                n=f"{len(rows)} trials",
                needed="" if verdict != UNDECIDED else "an interval of the ratio below 1",
                note=f"Parameters at 100 blocks on 88 inputs: {size[name]:,} against {size['V']:,}.",
                details={"parameters": size[name], "parameters_of_V": size["V"]},
            )
        )
    return parts


def effect_sizes(arms: Arms, *, variants: Sequence[str]) -> list[Part]:
    """Decide by the median d² over all trials, minus that of the best tenths, both without their sampling variance."""
    vanilla, others = arms.cell("V"), [arms.cell(name) for name in variants]
    found = [_squared_effects(vanilla, others, which) for which in ("all", "top")]
    gap = np.median(found[0][1], axis=0) - np.median(found[1][1], axis=0)
    medians = [float(np.median(points)) for points, _ in found]
    low, high = ends(gap, arms.error)
    verdict = placed(low, high, inside=(-math.inf, 0.0))
    asked = f"a gap of {np.std(gap) * 3.3:.2g} would be found with 80 % power"
    if reason := undecidable(vanilla, *others):
        verdict, asked = UNDECIDED, reason
    return [
        arms.part(
            label="median d² of all trials − that of the best tenths",
            verdict=verdict,
            estimate=medians[0] - medians[1],
            low=low,
            high=high,
            unit="squared standard deviations",
            n=f"{len(others)} variants, {min(map(len, others))} trials each at least",
            needed="" if verdict != UNDECIDED else asked,
            details={"all": medians[0], "best_tenths": medians[1]},
        )
    ]


def _squared_effects(vanilla: Any, others: Sequence[Any], which: str) -> tuple[np.ndarray, np.ndarray]:
    """Return d² of each variant without its sampling variance: in the sample, and in every resample."""

    def effect(cell: Any, *, resampled: bool) -> np.ndarray:
        moments = []
        for one in (cell, vanilla):
            weights = one.resampled if which == "all" else one.selected
            if not resampled:
                weights = np.ones((1, len(one))) if which == "all" else (np.arange(len(one)) < one.k)[None] * 1.0
            total = weights.sum(axis=1)
            mean = weights @ one.test / total
            moments.append((mean, np.maximum(weights @ one.test**2 / total - mean**2, 1e-12)))
        (m, v), (m0, v0) = moments
        return (m - m0) / np.sqrt((v + v0) / 2)

    points = np.concatenate([effect(cell, resampled=False) for cell in others])
    samples = np.stack([effect(cell, resampled=True) for cell in others])
    # A resample adds the sampling variance once more.
    variance = samples.var(axis=1)
    return points**2 - variance, samples**2 - 2 * variance[:, None]
