"""What the Odyssey's column on the chorales says, in computed words, beside what the paper says of it.

Each function takes trials and returns a sentence; of trials that are too few it raises `UsageError`, which
`charts.arms` turns into words. May import `analysis`, `errors` and the other modules of `charts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from odyssey_kit import analysis
from odyssey_kit.analysis.beside_paper import best_trials
from odyssey_kit.analysis.claims import conventions
from odyssey_kit.analysis.trials import LEAST_SELECTED, n_selected
from odyssey_kit.analysis.words import p_value
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts._frames import count_words, effect_words, rate_words
from odyssey_kit.charts.beside_paper import mean_gaps
from odyssey_kit.charts.palette import variant_order
from odyssey_kit.charts.sentences import Sentence, percent_words
from odyssey_kit.errors import UsageError

__all__ = [
    "best_answer",
    "column_answer",
    "figure3_answer",
    "momentum_answer",
    "optimum_answer",
    "pairs_answer",
    "pilot_answer",
    "seeds_answer",
    "shares_answer",
    "verdicts_answer",
]

SIGNIFICANT = 0.05
# An interval's end that lies nearer to a border than a tenth of a decade may lie beyond it when it is redrawn.
NEAR = 10**0.1


def column_answer(arm: Any) -> Sentence:
    """Answer the chapter's question: vanilla's best tenth, the best trial and the first share, beside the paper's.

    Parameters
    ----------
    arm : Arm
        The whole column; of too few trials for a best tenth it says how many there are.
    """
    trials = arm.trials
    if trials is None:
        return Sentence(
            f"Nobody knows yet: the {arm.planned:,} trainings are not published. This page is complete but for them: "
            "every figure below waits for its study and fills in by itself."
        )
    n, each = len(trials), int(trials.frame["variant"].value_counts().min())
    if n_selected(each, float(conventions().selection["top"])) < LEAST_SELECTED:
        return Sentence(
            f"Too early to say: {n:,} of {arm.planned:,} trainings are in, {each} of each variant, "
            "too few for a best tenth. The figures below show what there is."
        )

    def said(_: Any) -> str:
        vanilla = analysis.beside_figure3(trials).set_index("variant").loc["V"]
        best = analysis.best_by_validation(trials).iloc[0]
        return (
            f"{'So far, from' if arm.partial else 'From'} {n:,} trainings: vanilla’s best tenth "
            f"({vanilla['n']} trials) has a mean test loss of {vanilla['mean']:.2f} nats a frame "
            f"({vanilla['paper_mean']:.2f} in the paper), the trial that validation picks has "
            f"{_loss(best['test_metric'])} ({best['paper_test_metric']:.2f}), and {_first_share(arm.fanova('V'))}."
        )

    return arm.say(said)


def _loss(value: float) -> str:
    return "no finite loss" if pd.isna(value) else f"{value:.2f}"


def _signed(value: float, digits: int = 1) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _first_share(model: Any) -> str:
    """Say which hyperparameter explains most of vanilla's variance, and what the paper's pie gives it."""
    first = model.importances().iloc[0]
    ends = "no interval yet"
    if not pd.isna(first["low"]):
        ends = f"90 % interval {100 * max(first['low'], 0):.0f} to {100 * first['high']:.0f} %"
    pie = (
        analysis.load_published("odyssey-figure5")
        .frame.query("task == 'jsb-chorales'")
        .set_index("parameters")["share"]
    )
    printed = f"{pie[first['parameters']]:.0f} % in the paper" if first["parameters"] in pie else ""
    brackets = "; ".join(part for part in (ends, printed, f"R² = {model.oob_r2_:.2f}") if part)
    share = f"{100 * max(first['share'], 0.0):.0f} %"
    return f"the {effect_words(first['parameters'])} explains {share} of vanilla’s variance ({brackets})"


def best_answer(trials: Any) -> Sentence:
    """Say what the trial with the best validation reaches on test, beside the paper's, and by variant."""
    best = analysis.best_by_validation(trials).iloc[0]
    each = best_trials(trials, by="variant").set_index("variant")["test_metric"]
    listed = ", ".join(f"{name} {_loss(each[name])}" for name in variant_order(each.index))
    paper = (
        ""
        if pd.isna(best["paper_test_metric"] - best["test_metric"])
        else f" The paper reports {best['paper_test_metric']:.2f}, a trial of {best['paper_variant']}; the difference "
        f"is {_signed(best['test_metric'] - best['paper_test_metric'], 2)} nats a frame, "
        f"{_signed(100 * (best['test_metric'] / best['paper_test_metric'] - 1))} %."
    )
    return Sentence(
        f"Of all {len(trials):,} trials the one with the lowest validation loss ({best['valid_metric']:.2f}) is one of "
        f"{best['variant']}, with {_loss(best['test_metric'])} on test, nats a frame.{paper} The same choice within "
        f"each variant gives {listed}."
    )


def figure3_answer(trials: Any) -> Sentence:
    """Say how far the means of the best tenths lie from the paper's, and which of them by more than two per cent."""
    table = analysis.beside_figure3(trials).set_index("variant")
    gaps, off = mean_gaps(table)
    far = gaps[gaps.abs() > 2]
    listed = ", ".join(f"{name} {_signed(gaps[name])} %" for name in variant_order(far.index))
    cut = ", ".join(
        f"{name} (here {table.loc[name, 'mean']:.2f}, there above {table.loc[name, 'paper_mean']:.2f})"
        for name in variant_order(off)
    )
    widest = str(gaps.abs().idxmax())
    return Sentence(
        f"The mean test losses of the best tenths ({int(table['n'].min())} trials a variant here, 20 in the paper) "
        f"differ from the paper’s by {_signed(gaps[widest])} % at most ({widest}); vanilla’s by {_signed(gaps['V'])} "
        f"%. {f'More than two per cent away: {listed}.' if len(far) else 'None is more than two per cent away.'}"
        f"{f' Off the paper’s scale, and not in this count: {cut}.' if cut else ''}"
    )


def verdicts_answer(trials: Any, comparison: Any) -> Sentence:
    """Say which of the paper's painted boxes the comparison with vanilla bears out, where the ledger would decide."""
    table = analysis.beside_figure3(trials).set_index("variant")
    painted, least = table["painted_significant"].eq(True), int(conventions().selection["minimum_top"])
    if (n := int(table["n"].min())) < least:
        raise UsageError(f"the best tenths have {n} trials, and the ledger decides nothing from fewer than {least}")
    verdicts = comparison.to_frame().set_index("variant")["verdict"]
    groups: dict[str, list[str]] = {}
    for name in variant_order(verdicts.index):
        groups.setdefault(f"{'painted' if painted[name] else 'not painted'} and {verdicts[name]}", []).append(name)
    listed = "; ".join(
        f"{', '.join(names)} {'are' if len(names) > 1 else 'is'} {what}" for what, names in groups.items()
    )
    return Sentence(
        f"Of the boxes that the paper paints as different from vanilla, and those that it does not: {listed} "
        f"({n} selected trials a variant). The ledger asks two tests of its own, which must agree: by these, on this "
        f"study alone, {_by_the_ledger(trials)}."
    )


def _by_the_ledger(trials: Any) -> str:
    """Say which variants both of the ledger's tests find worse than vanilla, and which better."""
    found: dict[str, list[str]] = {"worse": [], "better": []}
    verdict = analysis.check_claims("O1", evidence=analysis.Evidence(studies={"odyssey-jsb": trials}))["O1"]
    for part in verdict.parts:
        if sign := part.details.get("sign", 0):
            found["worse" if sign > 0 else "better"].append(part.label.partition(" ")[0])
    told = [f"{', '.join(names)} {'are' if len(names) > 1 else 'is'} {word}" for word, names in found.items() if names]
    return " and ".join(told) if told else "none differs"


def shares_answer(model: Any, paper: Any) -> Sentence:
    """Say whether the printed shares lie within the corrected intervals, and in which order they stand."""
    table = model.importances().merge(paper[["parameters", "paper_share"]], on="parameters", how="left")
    printed = table.dropna(subset=["paper_share"])
    known = printed[printed["parameters"].ne("rest")]
    ours, theirs = (
        ", ".join(map(effect_words, known.sort_values(column, ascending=False)["parameters"]))
        for column in ("share", "paper_share")
    )
    fit = f"R² of trials not seen {model.oob_r2_:.2f}"
    if known["rank"].isna().any():
        order = f"The forest predicts too little to rank the shares ({fit}); the order in the paper’s pie is {theirs}."
    elif ours == theirs:
        order = f"Both orders are the same: {ours} ({fit})."
    else:
        order = f"The order here is {ours} ({fit}); in the paper’s pie {theirs}."
    if printed["low"].isna().any():
        return Sentence(f"{order} There are no intervals yet ({table['note'].iloc[0]}), so none of this is a finding.")
    inside = printed["paper_share"].between(printed["low"], printed["high"])
    own_way = paper.set_index("parameters")["share"]
    told = "; ".join(
        f"{effect_words(row['parameters'])} ({percent_words(row['paper_share'])} in the pie, "
        f"{100 * max(row['low'], 0):.1f} to {100 * row['high']:.1f} % here, "
        f"{percent_words(own_way[row['parameters']])} by the paper’s way)"
        for row in printed[~inside].to_dict("records")
    )
    return Sentence(
        f"Of {len(printed)} wedges of the paper’s pie {int(inside.sum())} lie within the 90 % intervals of the "
        f"corrected shares{f'; not so: {told}' if told else ''}. {order}"
    )


def optimum_answer(trials: Any, *, box: float = 1e-2) -> Sentence:
    """Say at which learning rate the smoothed loss is lowest, variant by variant, and whether the paper searched there.

    Parameters
    ----------
    trials : Trials
        Of a space that reaches beyond the box.
    box : float
        The highest learning rate that the paper drew.
    """
    cap = frames.CAPS.get(frames.metric_of(trials.frame), math.inf)
    basins = analysis.find_basins(trials, cap=cap)
    found = {str(row["variant"]): row for row in basins.to_dict("records")}
    at_an_end = [name for name in variant_order(found) if _at_an_end(found[name])]
    order = [name for name in variant_order(found) if name not in at_an_end]
    ends = {name: (float(found[name]["optimum_low"]), float(found[name]["optimum_high"])) for name in order}
    listed = ", ".join(
        f"{name} {rate_words(found[name]['optimum'])} ({rate_words(low)} to {rate_words(high)})"
        for name, (low, high) in ends.items()
    )
    beyond = [name for name, (low, _) in ends.items() if low > box * NEAR]
    within = [name for name, (_, high) in ends.items() if high * NEAR <= box]
    open_ = [name for name in order if name not in (*beyond, *within)]
    parts = [
        (beyond, f"beyond the paper’s box, which ends at {rate_words(box)}"),
        (within, "within the paper’s box"),
        (open_, f"on either side of {rate_words(box)}, as far as these trials can tell"),
    ]
    told = "; ".join(f"{where}: {', '.join(names)}" for names, where in parts if names)
    inside = (
        f"The smoothed test loss is lowest at a learning rate of {listed}; in brackets 90 % intervals. These optima "
        f"lie {told}."
    )
    lost = ", ".join(f"{name} {found[name]['n_diverged']} of {found[name]['n_trials']}" for name in at_an_end)
    none = (
        f"The smoothed test loss of {' and '.join(at_an_end)} is lowest at an end of what was tried, as far as these "
        f"trials can tell (diverged: {lost}; each counts up to {cap:.0f} nats, so that rates at which some diverge "
        "look bad as a whole)."
    )
    size = f"{count_words(int(basins['n_trials'].min()), 'trial')} a variant."
    return Sentence(" ".join([*([inside] if order else []), *([none] if at_an_end else []), size]))


def _at_an_end(basin: Any) -> bool:
    """Whether the interval of the optimum reaches an end of the range, where the basin does."""
    low = basin["open_low"] and basin["optimum_low"] <= basin["low"] * NEAR
    return bool(low or (basin["open_high"] and basin["optimum_high"] * NEAR >= basin["high"]))


def momentum_answer(raw: Any, rescaled: Any) -> Sentence:
    """Say what momentum explains when the rate is taken as it is, beside what it explains when it is rescaled.

    Parameters
    ----------
    raw : FunctionalANOVA
        Of vanilla, with the rate as it is.
    rescaled : Arm
        The study with the rate rescaled; where it cannot tell yet, that is said.
    """

    def told(model: Any) -> str:
        table = model.importances(2).set_index("parameters")
        pair = "learning_rate × momentum" if "learning_rate × momentum" in table.index else "momentum × learning_rate"
        parts = []
        for name, words in (("momentum", "momentum alone"), (pair, "learning rate × momentum")):
            row = table.loc[name]
            share, low, high = (100 * max(row[column], 0.0) for column in ("share", "low", "high"))
            ends = "no interval yet" if pd.isna(row["low"]) else f"90 % interval {low:.1f} to {high:.1f} %"
            parts.append(f"{words} {share:.1f} % ({ends})")
        return f"{' and '.join(parts)}, n = {model.n_trials_}, R² = {model.oob_r2_:.2f}"

    beside = str(rescaled.say(lambda _: told(rescaled.fanova("V")))).rstrip(".")
    return Sentence(
        f"With the learning rate taken as it is, of the variance of vanilla’s test loss: {told(raw)}. "
        f"With the rate multiplied by 1 − momentum, as the paper does: {beside}. "
        f"A pair is what both explain beyond each alone.{_counted_as_worst(raw)}"
    )


def _counted_as_worst(model: Any) -> str:
    """Say that diverged trials count for less here than in the ledger; a single one there can outweigh all others."""
    n = model.n_set_to_worst_
    if not n:
        return ""
    return (
        f" {count_words(n, 'trial')} diverged and {'counts' if n == 1 else 'count'} as the worst finite loss "
        f"here; the ledger counts {'it' if n == 1 else 'each'} as {model.cap:.0f} nats, and its verdict rests on that."
    )


def seeds_answer(trials: Any, whole: Any) -> Sentence:
    """Say what a seed is worth beside the choice of a setting, and what the chosen trials owe to luck.

    Parameters
    ----------
    trials : Trials
        The best settings of some variants, with several seeds each.
    whole : Trials or None
        The study that they were chosen from.
    """
    cap = frames.CAPS.get(frames.metric_of(trials.frame))
    spread = analysis.seed_spread(trials, cap=cap)
    settings = analysis.repeated_settings(trials, of=whole, cap=cap)
    rows = {str(row["variant"]): row for row in spread.to_dict("records")}

    def listed(words: Callable[[Any], str]) -> str:
        return ", ".join(f"{name} {words(rows[name])}" for name in variant_order(rows))

    moved = listed(lambda row: f"{row['seed_sd']:.3f} ({row['seed_low']:.3f} to {row['seed_high']:.3f})")
    means = listed(_mean_words)
    told = (
        "Over new seeds the test loss of one setting has a standard deviation, in nats and with 90 % intervals, of: "
        f"{moved}. Of the variance among the trials of these best settings chance makes: {listed(_of_chance)}. "
        f"Over their seeds the settings average: {means}"
    )
    if settings["first"].isna().any():
        return Sentence(f"{told}.")
    chosen = listed(lambda row: f"{settings.loc[settings['variant'].eq(row['variant']), 'first'].mean():.3f}")
    best = settings.sort_values("first_valid", kind="stable").iloc[0]
    return Sentence(
        f"{told}; the trials that validation chose had {chosen}. The very best of them, a trial of "
        f"{best['variant']}, had {best['first']:.3f}, and its setting averages {best['mean']:.3f} over {best['n']} new "
        f"seeds (standard deviation {best['sd']:.3f})."
    )


def _mean_words(row: Any) -> str:
    ends = "" if pd.isna(row["mean_low"]) else f" ({row['mean_low']:.3f} to {row['mean_high']:.3f})"
    return f"{row['mean']:.3f}{ends}"


def _of_chance(row: Any) -> str:
    """Say which share of the variance seeds make, if settings can be told apart."""
    if row["settings"] == 1:
        return "all that can be seen, with one setting"
    if pd.isna(row["p"]):
        return "not known"
    told = f", the settings not told apart, p {p_value(row['p'], equals='= ')}"
    apart = told if row["p"] >= SIGNIFICANT else ""
    return f"{100 * row['seed_share']:.0f} % ({100 * row['share_low']:.0f} to {100 * row['share_high']:.0f} %{apart})"


def pairs_answer(trials: Any) -> Sentence:
    """Say at how many of the shared settings each variant does worse than vanilla, and by how much in the middle."""
    found = {str(row["variant"]): row for row in analysis.compare_pairs(trials).to_dict("records")}
    groups: dict[str, list[str]] = {
        "worse than vanilla": [],
        "better than vanilla": [],
        "not told apart from vanilla": [],
    }
    for name in variant_order(found):
        row = found[name]
        side = "worse than vanilla" if row["median_difference"] > 0 else "better than vanilla"
        groups[side if row["p_holm"] < SIGNIFICANT else "not told apart from vanilla"].append(
            f"{name} (worse at {row['higher']} of {row['n']}, median {_signed(row['median_difference'], 3)})"
        )
    told = "; ".join(f"{what}: {', '.join(names)}" for what, names in groups.items() if names)
    return Sentence(
        f"At a setting taken at random, {told}. Differences of test loss in nats a frame, sign test with Holm’s "
        "correction."
    )


def pilot_answer(trials: Any) -> Sentence:
    """Say what the best tenths of the unpublished variants reach, and that the pilot was on other data."""
    table = analysis.beside_figure3(trials).set_index("variant")
    listed = ", ".join(f"{name} {table.loc[name, 'mean']:.2f}" for name in variant_order(table.index))
    lost = trials.frame.groupby("variant")["state"].apply(lambda states: int(states.eq("DIVERGED").sum()))
    diverged = ", ".join(f"{name} {lost[name]}" for name in variant_order(lost.index) if lost[name])
    return Sentence(
        f"Means of the best tenths on test, nats a frame: {listed}. "
        f"{f'Diverged: {diverged}.' if diverged else 'None diverged.'} "
        "The first author’s pilot was on TIMIT, so its numbers compare with none of these."
    )
