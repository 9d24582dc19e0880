"""Rules about single levels, shares of trainings and repeatability (O40, B1, B2, B4, B8, B13, B27).

May import the rest of `claims`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from odyssey_kit.analysis.claims.evidence import Arms
from odyssey_kit.analysis.claims.findings import (
    CONTRADICTED,
    REPRODUCED,
    UNDECIDED,
    MissingColumn,
    Part,
    ends,
    needed_trials,
    placed,
)
from odyssey_kit.analysis.claims.regression import axis, proportion

__all__ = [
    "absolute_level",
    "best_error",
    "failing_band",
    "repeatability",
    "slow_not_overtrained",
    "smooth_dependence",
    "tenth_best",
]


def absolute_level(
    arms: Arms, *, within: float, published: Mapping[str, float], variants: int, draws: int
) -> list[Part]:
    """Decide by the best trial by validation of all variants, beside the paper's number, after a search as large."""
    paper = published[arms.task.role]
    best = arms.frame.sort_values(["valid_metric", "index"], kind="stable").iloc[0]
    value = float(best["test_metric"])
    gap = value / paper - 1
    # The variants with the most draws: one that was tried beside the paper's own takes nothing from them.
    counts = arms.frame["variant"].value_counts().head(variants)
    whole = len(counts) == variants and counts.min() >= draws
    verdict, note = UNDECIDED, ""
    if whole and abs(gap) <= within:
        verdict = REPRODUCED
    elif whole and gap > within:
        verdict = CONTRADICTED
    elif gap < -within:
        note = "It is better than the paper's by more than that: data or metric may differ."
    return [
        arms.part(
            label="test metric of the best trial by validation",
            verdict=verdict,
            estimate=value,
            unit=arms.task.unit,
            n=f"{len(arms.frame):,} trials of {arms.frame['variant'].nunique()} variants, best: {best['variant']}; "
            f"the paper’s {paper:g}, from which this is {100 * gap:+.1f} %, with {100 * within:g} % allowed",
            needed="" if whole else f"{draws} draws of each of {variants} variants; here are {_drawn(counts)}",
            note=note,
            details={"published": paper, "relative_gap": gap},
        )
    ]


def _drawn(counts: Any) -> str:
    return f"{counts.min()} at least of {len(counts)}" if len(counts) > 1 else f"{counts.min()} of one"


def tenth_best(arms: Arms, *, rank: int, reproduced_at: float, contradicted_at: float) -> list[Part]:
    """Decide by the test errors of the trials of the first ranks by validation."""
    ordered = arms.frame.sort_values(["valid_metric", "index"], kind="stable")["test_metric"].to_numpy(float)
    if len(ordered) < rank:
        raise MissingColumn(f"{len(ordered)} trials, {rank} are needed")
    # As the rule has it: each of the ten best is at most the bound; the best alone contradicts.
    tenth, first = float(ordered[:rank].max()), float(ordered[0])
    verdict = REPRODUCED if tenth <= reproduced_at else CONTRADICTED if first > contradicted_at else UNDECIDED
    needed = f"an error of {reproduced_at:g} % in all {rank}"
    return [
        arms.part(
            label=f"test error of the worst of the {rank} best by validation",
            verdict=verdict,
            estimate=tenth,
            unit=arms.task.unit,
            n=f"{len(ordered)} trials",
            needed=needed if verdict == UNDECIDED else "",
            details={"best": first},
        )
    ]


def best_error(arms: Arms, *, reproduced_at: float, contradicted_at: float, seeds: int) -> list[Part]:
    """Decide by the test error of the best setting by validation, as the mean of its seeds."""
    settings = [name for name in arms.frame if str(name).startswith("params_")]
    groups = arms.frame.groupby(settings, sort=False, dropna=False)
    means = groups[["valid_metric", "test_metric"]].mean().assign(n=groups.size())
    best = means.sort_values("valid_metric", kind="stable").iloc[0]
    value, n = float(best["test_metric"]), int(best["n"])
    verdict = (
        UNDECIDED
        if n < seeds
        else REPRODUCED
        if value <= reproduced_at
        else CONTRADICTED
        if value > contradicted_at
        else UNDECIDED
    )
    needed = (
        f"{seeds} seeds of the best setting; it has {n}"
        if n < seeds
        else f"an error outside of {reproduced_at:g} to {contradicted_at:g} %"
    )
    return [
        arms.part(
            label="test error of the best setting by validation",
            verdict=verdict,
            estimate=value,
            unit=arms.task.unit,
            n=f"{len(means)} settings, {n} seeds of the best",
            needed=needed if verdict == UNDECIDED else "",
        )
    ]


def _repeated(arms: Arms) -> list[np.ndarray]:
    """Return the test metrics of settings that were trained more than once."""
    settings = [name for name in arms.frame if str(name).startswith("params_")]
    rows = arms.frame[~arms.frame["diverged"]]
    groups = [g["test_metric"].to_numpy(float) for _, g in rows.groupby([*settings, "variant"], dropna=False)]
    found = [group for group in groups if len(group) > 1]
    if len(found) < 3:
        raise MissingColumn("no settings with several seeds")
    return found


def smooth_dependence(arms: Arms, *, r2: float, noise: float) -> list[Part]:
    """Decide by how well a smooth model predicts unseen settings, and by the spread of seeds beside its range."""
    y, guess = _smooth_guess(arms)
    picks = np.random.default_rng(0).integers(0, len(y), (2000, len(y)))
    residual, centred = (y - guess) ** 2, (y - y.mean()) ** 2
    low, high = ends(1 - residual[picks].sum(axis=1) / centred[picks].sum(axis=1), arms.error)
    estimate = float(1 - residual.sum() / centred.sum())
    first = arms.part(
        label="R² on settings that the model did not see",
        verdict=placed(low, high, inside=(r2, math.inf)),
        estimate=estimate,
        low=low,
        high=high,
        unit="",
        n=f"{len(y)} settings that converged",
        needed="" if low > r2 or high < r2 else needed_trials(len(y), estimate, low, high, r2),
    )
    groups = [np.log(np.maximum(group, 1e-9)) for group in _repeated(arms)]
    df = sum(len(group) - 1 for group in groups)
    variance = sum(((group - group.mean()) ** 2).sum() for group in groups) / df
    span = float(np.quantile(guess, 0.99) - np.quantile(guess, 0.01))
    bounds = [math.sqrt(variance * df / stats.chi2.ppf(q, df)) / span for q in (1 - arms.error / 2, arms.error / 2)]
    second = arms.part(
        label="deviation between seeds / range of the model",
        verdict=placed(*bounds, inside=(-math.inf, noise)),
        estimate=math.sqrt(variance) / span,
        low=bounds[0],
        high=bounds[1],
        unit="times",
        n=f"{len(groups)} settings with several seeds",
        needed="" if bounds[1] < noise or bounds[0] > noise else "more seeds",
    )
    return [first, second]


def _smooth_guess(arms: Arms) -> tuple[np.ndarray, np.ndarray]:
    """Return log errors where training converges, and what a Gaussian process says of each without having seen it."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.model_selection import KFold, cross_val_predict

    # Once a setting: repeats in another fold would show the model what it is to predict.
    settings = [name for name in arms.frame if str(name).startswith("params_")]
    rows = arms.frame[~arms.frame["diverged"]].drop_duplicates([*settings, "variant"])
    # The region that converges: where the error is in the better half of its range on a log scale.
    y = np.log(rows["test_metric"].clip(lower=1e-9).to_numpy(float))
    kept = y < (y.min() + y.max()) / 2
    x = np.column_stack([axis(p, rows[f"params_{p}"]) for p in ("learning_rate", "hidden_size")])[kept]
    if kept.sum() < 40:
        raise MissingColumn(f"{int(kept.sum())} settings converged, too few for a model")
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)
    scales: Any = [1.0, 1.0]
    kernel = ConstantKernel(1.0) * RBF(scales) + WhiteKernel(0.1)
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    folds = KFold(5, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        # A length at its bound is a direction in which nothing changes, which is no fault of the fit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return y[kept], np.asarray(cross_val_predict(model, x, y[kept], cv=folds), float)


def slow_not_overtrained(arms: Arms, *, share: float) -> list[Part]:
    """Decide by how many large networks at low rates improve after a third of their training."""
    rows = arms.frame[~arms.frame["diverged"]]
    size, rate = rows["params_hidden_size"], rows["params_learning_rate"]
    slow = rows[size.ge(size.quantile(0.75)) & rate.le(rate.quantile(0.25))]
    curves = arms.curves[arms.curves["key"].isin(set(slow["key"]))]
    if slow.empty or curves.empty:
        raise MissingColumn("no curves of large networks at low learning rates")
    thirds = curves[curves["epoch"] <= curves.groupby("key")["epoch"].transform("max") / 3]
    early = thirds.groupby("key")["test_metric"].min()
    late = curves.groupby("key")["test_metric"].min()
    falls = (late < early.reindex(late.index)).to_numpy()
    low, high = proportion(int(falls.sum()), len(falls), arms.error)
    first = arms.part(
        label="trainings that improve after a third of their steps",
        verdict=(verdict := placed(low, high, inside=(share, 1 + 1e-9))),
        estimate=100 * float(falls.mean()),
        low=100 * low,
        high=100 * high,
        unit="% of the trainings",
        n=f"{len(falls)} trainings",
        needed=needed_trials(len(falls), float(falls.mean()), low, high, share) if verdict == UNDECIDED else "",
    )
    train = thirds.sort_values("epoch").groupby("key")["train_loss"].last()
    usual = float(rows["train_loss"].median())
    above = float((train > usual).mean())
    second = arms.part(
        label="of these, training loss above the median of all",
        verdict=REPRODUCED if above > 0.5 else CONTRADICTED if above < 0.1 else UNDECIDED,
        estimate=100 * above,
        unit="% of the trainings",
        n=f"{len(train)} trainings",
        needed="" if above > 0.5 or above < 0.1 else "most of them above the median, or hardly any",
    )
    return [first, second]


def failing_band(arms: Arms, *, variants: Sequence[str], share: float, decades: float) -> list[Part]:
    """Decide by a band of rates in which nearly every training diverges at once, with converging ones below."""
    return [_band(arms, name, share, decades) for name in variants]


def _band(arms: Arms, variant: str, share: float, decades: float) -> Part:
    trials = arms.trials(variant)
    rate = axis("learning_rate", trials["params_learning_rate"])
    diverged = trials["diverged"].to_numpy()
    failed = diverged & trials["epochs"].le(1).to_numpy()
    best: tuple[float, int, int] | None = None
    highest, possible = 0.0, 0.0
    for start in np.arange(rate.min(), rate.max() - decades + 1e-9, 0.05):
        inside = (rate >= start) & (rate <= start + decades)
        n, k = int(inside.sum()), int(failed[inside].sum())
        if n < 5 or diverged[rate < start].all():
            continue
        possible = max(possible, proportion(k, n, arms.error)[1])
        if best is None or k / n > highest or (k / n == highest and n > best[2]):
            best, highest = (float(start), k, n), k / n
    if best is None:
        raise MissingColumn(f"no half decade with 5 trials of {variant}, above rates at which it converges")
    start, k, n = best
    low, high = proportion(k, n, arms.error)
    verdict = REPRODUCED if k / n >= share and n >= 10 else CONTRADICTED if possible < share else UNDECIDED
    return arms.part(
        label=f"{variant}: trainings that diverge at once, rates 10^{start:.2g} to 10^{start + decades:.2g}",
        verdict=verdict,
        estimate=100 * k / n,
        low=100 * low,
        high=100 * high,
        unit="% of the trainings",
        n=f"{n} trainings in the band, {len(trials)} in all",
        needed=f"{100 * share:g} % of ten trainings or more in a band" if verdict == UNDECIDED else "",
    )


def repeatability(arms: Arms, *, icc: float) -> list[Part]:
    """Decide by the intraclass correlation: the share of variance that settings explain and seeds do not."""
    groups = _repeated(arms)
    sizes = np.array([len(group) for group in groups])
    k = float((sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(groups) - 1))
    between_df, within_df = len(groups) - 1, int(sizes.sum()) - len(groups)
    grand = np.concatenate(groups).mean()
    between = sum(len(g) * (g.mean() - grand) ** 2 for g in groups) / between_df
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / within_df
    f: Any = between / within if within else math.inf
    bounds = [f / stats.f.ppf(q, between_df, within_df) for q in (1 - arms.error / 2, arms.error / 2)]
    value, low, high = (1.0 if math.isinf(x) else (x - 1) / (x + k - 1) for x in (f, *bounds))
    verdict = placed(low, high, inside=(icc, math.inf))
    return [
        arms.part(
            label="intraclass correlation of settings",
            verdict=verdict,
            estimate=float(value),
            low=float(low),
            high=float(high),
            unit="",
            n=f"{len(groups)} settings, {int(sizes.sum())} trainings",
            needed=needed_trials(len(groups), value, low, high, icc).replace("trials", "settings")
            if verdict == UNDECIDED
            else "",
        )
    ]
