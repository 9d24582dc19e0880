"""Sentences are computed from their table, and stay true for tables of other shapes."""

from __future__ import annotations

import math
import re
from typing import Any

import altair as alt
import made_up
import numpy as np
import pandas as pd
import pytest

import odyssey_kit as ok
from odyssey_kit.charts import palette

say = ok.charts.sentences
AT_RATES = (say.first_light_answer, say.variants_at_best_rates_answer)


@pytest.fixture
def table() -> pd.DataFrame:
    return made_up.trials()


def test_the_interval_of_a_median_covers_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = [
        low <= 0.5 <= high for low, high in (ok.charts.sentences.median_interval(rng.random(20)) for _ in range(2000))
    ]
    assert 0.94 < np.mean(hits) < 0.975
    assert ok.charts.sentences.median_interval([1.0, 2.0]) == (-math.inf, math.inf)


def test_the_answer_of_first_light_is_computed(table: pd.DataFrame) -> None:
    answer = ok.charts.sentences.first_light_answer(table)
    decades = pd.Series(np.floor(np.log10(table["params_learning_rate"])))
    medians = table["test_metric"].fillna(math.inf).groupby(decades).quantile(0.5, interpolation="lower")
    for median, n in zip(medians, decades.value_counts().sort_index(), strict=True):
        if median in (medians.min(), medians.max()):
            assert f"{median:#.3g} (95 % interval" in answer
            assert f"n = {n})" in answer
    assert "JSB Chorales" in answer


def test_a_number_and_its_sign_stay_on_one_line(table: pd.DataFrame) -> None:
    shown = ok.charts.answer(ok.charts.sentences.first_light_answer(table))._repr_html_()
    assert "95\u00a0% interval" in shown
    assert "n\u00a0=\u00a0" in shown


def test_the_answer_changes_sides_with_the_data(table: pd.DataFrame) -> None:
    effects = {name: float(place) for place, name in enumerate(palette.PAPER_ORDER)}
    by_variant = table.assign(test_metric=10 + table["variant"].map(effects), state="COMPLETE")
    assert ok.charts.sentences.first_light_answer(by_variant).startswith(
        "The learning rate moves the loss no more than"
    )
    by_rate = table.assign(test_metric=10 - np.log10(table["params_learning_rate"]), state="COMPLETE")
    assert ok.charts.sentences.first_light_answer(by_rate).startswith("The learning rate moves the loss more than")


def test_a_caption_names_study_rows_and_hash(table: pd.DataFrame, tmp_path: Any) -> None:
    trials = ok.load_trials(made_up.write(tmp_path / "made-up", table))
    text = ok.charts.caption("Low and flat in the middle.", trials)
    assert text == f"Low and flat in the middle. Study made-up · 180 rows · {trials.hash}."
    assert text._repr_html_().startswith('<p class="odyssey-caption">')
    lines = ok.charts.colophon(trials)["version"]
    assert trials.hash in lines["study made-up"]
    assert lines["altair"] == alt.__version__


def test_every_commit_of_a_study_is_to_be_read_whole(table: pd.DataFrame) -> None:
    commits = [f"{place:x}" * 40 for place in range(1, 8)]
    trials = ok.Trials.from_frame(table.assign(commit=[commits[place % 7] for place in range(len(table))]), name="made")
    page = ok.charts.colophon(trials).to_html()
    assert all(commit[:8] in page for commit in commits) and "..." not in page


def test_sentences_name_every_variant_once(table: pd.DataFrame) -> None:
    comparison = ok.compare(table, top=0.25)
    text = ok.charts.sentences.comparison_answer(comparison)
    for name in comparison.to_frame()["variant"]:
        assert len(re.findall(rf"\b{name}\b", text)) == 1
    model = ok.fanova(table, space=ok.ODYSSEY_SPACE, pooled=True, estimand="forest", n_trees=10, cap=61.0)
    assert f"R² = {model.oob_r2_:.2f}" in ok.charts.sentences.importance_answer(model)
    assert ok.charts.sentences.sizes_answer()._repr_markdown_().startswith("Four blocks")


# ---- tables of other shapes ---------------------------------------------------------------------


def _lost(table: pd.DataFrame, rows: pd.Series, state: str = "DIVERGED") -> pd.DataFrame:
    measured = table["test_metric"].where(~rows)
    return table.assign(state=table["state"].where(~rows, state), test_metric=measured)


def test_a_variant_that_diverges_is_named_with_its_count_and_not_compared(table: pd.DataFrame) -> None:
    lost = _lost(table, table["variant"].eq("NIG"))
    for answer in map(str, (sentence(lost) for sentence in AT_RATES)):
        (n, of) = re.search(r"NIG: (\d+) of (\d+) trials diverged there", answer).groups()  # type: ignore[union-attr]
        assert n == of
        assert "medians of these 7 variants" in answer or "medians of 7 variants" in answer
        assert "diverged there" not in say.first_light_answer(table[table["variant"].ne("FGR")])
    assert "than the choice among the 7 variants that did not diverge:" in say.first_light_answer(lost)


def test_a_loss_above_the_cap_is_not_called_diverged(table: pd.DataFrame) -> None:
    absurd = table.assign(test_metric=table["test_metric"].where(table["variant"].ne("NIG"), 100.0))
    assert "trials ended above 61 there" in say.first_light_answer(absurd[absurd["variant"].ne("FGR")])


def test_failed_trials_are_not_counted_as_diverged(table: pd.DataFrame) -> None:
    whole = table[table["variant"].ne("FGR")]
    failed = _lost(whole, whole["variant"].eq("NIG"), "FAILED")
    for sentence in AT_RATES:
        assert sentence(failed) == sentence(whole[whole["variant"].ne("NIG")])
        assert "diverged" not in sentence(failed)


def test_medians_of_few_trials_are_not_named(table: pd.DataFrame) -> None:
    for n, named in ((20, False), (200, True)):
        text = say.variants_at_best_rates_answer(made_up.trials(n, n_diverged=0))
        assert ("too few to say which" in text) is not named
        assert bool(re.search(r"lie between [\d.]+ \(\w+\)", text)) is named


def test_a_lone_trial_does_not_make_a_best_decade(table: pd.DataFrame) -> None:
    lone = table.assign(
        params_learning_rate=table["params_learning_rate"].where(table.index != 0, 3e-9),
        test_metric=table["test_metric"].where(table.index != 0, 0.1),
        state="COMPLETE",
    )
    assert "10⁻⁹" not in say.first_light_answer(lone)


def test_one_decade_is_not_compared_with_itself(table: pd.DataFrame) -> None:
    one = table.assign(params_learning_rate=2e-4)
    assert say.first_light_answer(one).startswith("What the learning rate does cannot be said from one decade")


def test_one_variant_is_not_compared(table: pd.DataFrame) -> None:
    vanilla = table[table["variant"].eq("V")]
    assert say.first_light_answer(vanilla).startswith("The learning rate moves the loss: after 3 epochs")
    assert "the median of V is" in say.variants_at_best_rates_answer(vanilla)
    for sentence in AT_RATES:
        assert "1 variants" not in sentence(vanilla)
        assert "lie within" not in sentence(vanilla)
    many = made_up.trials(100, variants=("V",), n_diverged=0)
    model = ok.fanova(many, space=ok.ODYSSEY_SPACE, estimand="forest", n_trees=10)
    kept = ok.analysis.Trials(name="made-up", frame=many)
    assert "fitted to 100 trials of V and" in say.importance_answer(model, kept)
    assert "for the variant V," in say.trials_answer(kept)


def test_all_diverged_is_said(table: pd.DataFrame) -> None:
    everything = _lost(table, pd.Series(True, index=table.index))
    for sentence in AT_RATES:
        assert sentence(everything) == "On JSB Chorales all 180 trials diverged."
        assert "nothing to compare" in sentence(everything.assign(state="FAILED"))


def test_a_decade_that_diverged_has_no_median(table: pd.DataFrame) -> None:
    text = say.first_light_answer(_lost(table, table["params_learning_rate"].ge(1e-3)))
    assert re.search(r"and from 10⁻³ to 10⁻² (\d+) of \1 trials diverged", text)
    assert "nan" not in text and "inf" not in text


def test_tasks_are_answered_one_by_one() -> None:
    two = made_up.trials(tasks=("jsb-chorales", "bach-chorales"), n_diverged=0)
    for sentence in AT_RATES:
        parts = [str(sentence(two[two["task"].eq(task)])) for task in ("bach-chorales", "jsb-chorales")]
        assert sentence(two) == " ".join(parts)
    kept = ok.analysis.Trials(name="made-up", frame=two)
    assert "on each of Bach chorales (a stand-in) and JSB Chorales" in say.trials_answer(kept)


def test_the_metric_is_named_as_it_is(table: pd.DataFrame) -> None:
    assert "median validation loss" in say.first_light_answer(table, metric="valid_metric")
    valid = ok.fanova(table, space=ok.ODYSSEY_SPACE, pooled=True, estimand="forest", n_trees=10, target="valid_metric")
    assert "variance of the validation loss" in say.importance_answer(valid)


def test_a_constant_hyperparameter_was_not_drawn(table: pd.DataFrame) -> None:
    kept = ok.analysis.Trials(name="made-up", frame=table.assign(params_momentum=0.9))
    assert "20 random draws of 3 hyperparameters for each of 9 variants" in say.trials_answer(kept)


def test_one_is_singular(table: pd.DataFrame) -> None:
    one = table.head(1).assign(epochs=1)
    kept = ok.analysis.Trials(name="made-up", frame=one)
    text = f"{say.trials_answer(kept)} {say.so_far_answer(kept)}"
    assert not re.search(r"\b1 (trials|variants|epochs|random draws|hyperparameters)\b", text)


def test_a_comparison_says_which_sign_is_worse(table: pd.DataFrame) -> None:
    worse = table.assign(state="COMPLETE")
    nfg = worse["variant"].eq("NFG")
    worse["test_metric"] = worse["index"] / 100 + 10.0 + 5.0 * nfg
    worse["valid_metric"] = worse["test_metric"] + 0.001
    text = say.comparison_answer(ok.compare(worse, top=0.25))
    assert "1 of 8 variants is different from V: NFG by +5" in text
    assert "A positive difference is worse than V." in text
    assert "by validation (" in text
    with pytest.warns(UserWarning, match="selected by the very values that are compared"):
        flattered = ok.compare(worse, top=0.25, by="test_metric")
    assert "of the trials by test_metric (" in say.comparison_answer(flattered)
    two = say.comparison_answer(ok.compare(worse[nfg | worse["variant"].eq("V")], top=0.25))
    assert "undecided" not in two
    more = ok.compare(worse, top=0.25, direction="maximize")
    assert "A positive difference is better than V." in say.comparison_answer(more)
    assert ok.charts.comparison_chart(more).description.endswith(" Higher is better.")


def test_variants_that_were_left_out_are_named_with_the_reason(table: pd.DataFrame) -> None:
    everything = ok.analysis.Trials(name="made-up", frame=table)
    steady = everything.query("variant not in ['FGR', 'NIG']")
    model = ok.fanova(steady, space=ok.ODYSSEY_SPACE, pooled=True, estimand="forest", n_trees=10)
    text = say.importance_answer(model, steady, of=everything)
    assert "140 trials of 7 variants together" in text
    assert "NIG (20 trials)" in text
    assert "FGR (4 of its 20 trials diverged)" in text
    assert "Left out" not in say.importance_answer(model, steady)
