"""The comparison of variants is Welch's test with Bonferroni and Holm, and never an unexplained NaN."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_up import ODYSSEY, VARIANT_EFFECTS, trials
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW, ttest_ind, ttost_ind

import odyssey_kit as ok
from odyssey_kit.analysis.selection import Arm, redraw


def table(task: str = "t", **values: list[float]) -> pd.DataFrame:
    """Return a small table whose validation and test metrics are both the values given."""
    rows = [
        {"key": f"{task}/{variant}/{i}", "variant": variant, "index": i, "valid_metric": value, "test_metric": value}
        for variant, column in values.items()
        for i, value in enumerate(column)
    ]
    return pd.DataFrame(rows).assign(study="s", task=task, metric="nll", state="COMPLETE")


@pytest.fixture
def quick_corrections(monkeypatch):
    """Keep statsmodels from collecting garbage at every correction, which takes most of a simulation's time."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)


def row(frame: pd.DataFrame, **settings) -> pd.Series:
    return ok.compare(frame, top=1.0, **settings).to_frame().iloc[0]


def test_an_example_by_hand():
    # V: mean 5/2, variance 5/3. X: mean 6, variance 20/3. Four each, so the squared standard error
    # is (5/3 + 20/3)/4 = 25/12, t = (7/2)/sqrt(25/12) = 7 sqrt(3)/5, and by Welch-Satterthwaite
    # df = (25/12)² / ((5/12)²/3 + (20/12)²/3) = 3 · 625/425 = 75/17.
    result = row(table(V=[1, 2, 3, 4], X=[3, 5, 7, 9]))
    assert (result["mean"], result["baseline_mean"], result["difference"]) == (6.0, 2.5, 3.5)
    assert result["t"] == pytest.approx(7 * math.sqrt(3) / 5, rel=1e-14)
    assert result["df"] == pytest.approx(75 / 17, rel=1e-14)
    # The tail of Student's t at these numbers, and its 97.5 % quantile, to ten digits.
    assert result["p"] == pytest.approx(0.0664585841, rel=1e-8)
    assert result["high"] - 3.5 == pytest.approx(2.6771735785 * math.sqrt(25 / 12), rel=1e-8)
    assert result["low"] == pytest.approx(7 - result["high"], rel=1e-12)
    # One comparison: nothing to correct.
    assert result["p_bonferroni"] == result["p_holm"] == pytest.approx(result["p"], rel=1e-14)
    # (7/2)/sqrt(25/6), times Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)) at df = 75/17.
    unbiased = math.gamma(75 / 34) / (math.sqrt(75 / 34) * math.gamma(29 / 17))
    assert result["hedges_g"] == pytest.approx(3.5 / math.sqrt(25 / 6) * unbiased, rel=1e-12)
    assert result["verdict"] == "undecided"


def test_statsmodels_finds_the_same():
    rng = np.random.default_rng(3)
    frame = table(V=list(rng.normal(9, 0.1, 23)), X=list(rng.gamma(2, 0.2, 17) + 8.8))
    x, v = (frame.loc[frame["variant"] == name, "test_metric"] for name in ("X", "V"))
    result = row(frame)
    t, p, df = ttest_ind(x, v, usevar="unequal")
    low, high = CompareMeans(DescrStatsW(x), DescrStatsW(v)).tconfint_diff(usevar="unequal")
    found = [result[name] for name in ("t", "p", "df", "low", "high")]
    np.testing.assert_allclose(found, [t, p, df, low, high], rtol=1e-12)


def test_holm_and_bonferroni_by_hand():
    rng = np.random.default_rng(0)
    shifts = {"V": 0.0, "A": 1.4, "B": 0.9, "C": 0.1}
    frame = table(**{name: list(rng.normal(shift, 1, 12)) for name, shift in shifts.items()})
    result = ok.compare(frame, top=1.0).to_frame()
    p = result["p"].to_numpy()
    np.testing.assert_allclose(result["p_bonferroni"], np.minimum(3 * p, 1), rtol=1e-14)
    # Smallest times 3, next times 2, largest times 1, and never below the one before.
    order = np.argsort(p)
    stepped = np.minimum(np.maximum.accumulate(p[order] * [3, 2, 1]), 1)
    np.testing.assert_allclose(result["p_holm"].to_numpy()[order], stepped, rtol=1e-14)
    assert (result["p_holm"] <= result["p_bonferroni"]).all()
    assert (result["verdict"] == np.where(result["p_selection_holm"] < 0.05, "different", "undecided")).all()


def test_each_task_is_a_family_of_its_own():
    frame = trials(20, ("V", "NP", "NFG"), tasks=("one", "two"), n_diverged=0)
    both = ok.compare(frame, top=0.25)
    assert both.family == "2 comparisons with V within each task"
    alone = ok.compare(frame[frame["task"] == "two"], top=0.25).to_frame()
    second = both.to_frame().query("task == 'two'").reset_index(drop=True)
    pd.testing.assert_frame_equal(second, alone)


def test_a_known_truth_is_found():
    result = ok.compare(trials(200, ODYSSEY, n_diverged=0), top=0.10).to_frame().set_index("variant")
    assert list(result.index) == sorted(set(ODYSSEY) - {"V"})
    assert (result["n"] == 20).all()
    for name, effect in VARIANT_EFFECTS.items():
        assert result.loc[name, "low"] - 0.15 < effect < result.loc[name, "high"] + 0.15
    assert (result.loc[list(VARIANT_EFFECTS), "verdict"] == "different").all()
    assert (result.loc[list(VARIANT_EFFECTS), "hedges_g"] > 3).all()


def test_variants_that_do_as_well_are_undecided_where_the_test_is_exact(quick_corrections):
    # All trials and no selection: eight comparisons with no true difference, fifty times. The
    # familywise level is 5 % at most; three standard errors of fifty such counts are 9 %.
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(50):
        frame = table(**{name: list(column) for name, column in zip(ODYSSEY, rng.normal(9, 1, (9, 12)), strict=True)})
        found += (ok.compare(frame, top=1.0).to_frame()["verdict"] == "different").any()
    assert found <= 7


def test_a_difference_is_variant_minus_baseline_and_positive_is_worse():
    frame = table(V=[1, 2, 3], X=[3, 4, 5])
    assert row(frame)["difference"] == 2
    assert row(frame, baseline="X")["difference"] == -2
    assert row(frame, baseline="X")["hedges_g"] == pytest.approx(-row(frame)["hedges_g"])


def test_selection_is_by_validation_and_never_by_test():
    frame = trials(40, ("V", "NP"), n_diverged=0)
    frame["test_metric"] = np.arange(len(frame), dtype=float)
    result = ok.compare(frame, top=0.10).to_frame().iloc[0]
    best = frame[frame["variant"] == "NP"].nsmallest(4, "valid_metric")
    assert result["mean"] == best["test_metric"].mean()


# ---- diverged trials and degenerate data ----------------------------------------------------


def test_diverged_trials_are_counted_beside_the_test():
    result = ok.compare(trials(20, ("V", "NOAF"), n_diverged=6), top=0.25).to_frame().iloc[0]
    assert result[["n", "baseline_n", "n_trials", "n_diverged", "n_failed", "n_without_metric"]].tolist() == [
        *(5, 5, 20, 6, 0, 0)
    ]


def test_selected_trials_without_a_metric_are_said_aloud():
    frame = trials(20, ("V", "NOAF"), n_diverged=18)
    with pytest.warns(UserWarning, match="without a finite test_metric: NOAF 3"):
        result = ok.compare(frame, top=0.25).to_frame().iloc[0]
    assert (result["n"], result["n_without_metric"]) == (2, 3)
    assert math.isfinite(result["p"])


@pytest.mark.parametrize(("n_diverged", "n"), [(19, 1), (20, 0)])
def test_a_variant_with_no_trial_left_is_not_tested_and_says_why(n_diverged, n):
    frame = trials(20, ("V", "NP", "NOAF"), n_diverged=n_diverged)
    with pytest.warns(UserWarning, match="without a finite"):
        comparison = ok.compare(frame, top=0.25)
    result = comparison.to_frame().set_index("variant")
    assert result.loc["NOAF", "note"] == f"the variant has {n} finite values, a test needs 2"
    assert result.loc["NOAF", "verdict"] == "undecided"
    assert result.loc["NOAF", ["t", "p", "p_holm", "p_bonferroni", "low"]].isna().all()
    # It was planned, so it still counts: the other is corrected for two comparisons.
    assert result.loc["NP", "p_bonferroni"] == pytest.approx(min(1, 2 * result.loc["NP", "p"]))
    assert "not tested" in repr(comparison)


@pytest.mark.parametrize("constant", [2.0, 0.1, -1e9 / 3])
def test_constant_groups_are_no_test(constant):
    result = row(table(V=[constant] * 7, X=[constant + 1] * 7))
    assert result["note"] == "no spread in either group, so no test is possible"
    assert result["verdict"] == "undecided"
    assert math.isnan(result["p_holm"])
    assert result["difference"] == pytest.approx(1.0)


def test_one_constant_group_can_be_tested():
    result = row(table(V=[1.0] * 4, X=[3.0, 5.0, 7.0, 9.0]))
    # All the variance is in X: df = n - 1, squared standard error (20/3)/4.
    assert result["df"] == pytest.approx(3)
    assert result["t"] == pytest.approx(5 / math.sqrt(20 / 12))
    assert result["note"] == ""


# ---- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (trials(20, ("V",)), {"top": 0.25}, r"only one variant in the table \(V\); a comparison needs two"),
        (trials(20, ("NP", "NFG")), {"top": 0.25}, "baseline 'V' has no trials on 'jsb-chorales'; variants there: N"),
        (trials(20, ("V", "NFG")), {}, "at least 3 are needed"),
        (trials(20, ("V", "NFG")), {"metric": "test_error"}, "metric 'test_error' does not exist"),
        (trials(20, ("V", "NFG")), {"by": "machine"}, "column to rank by 'machine' is not numeric"),
        (
            pd.concat([table("a", V=[1, 2, 3], X=[1, 2, 3]), table("b", V=[1, 2, 3])]),
            {"top": 1.0},
            "only the baseline 'V' has trials on 'b'",
        ),
    ],
)
def test_what_cannot_be_compared_says_why(frame, settings, message):
    with pytest.raises(ok.UsageError, match=message):
        ok.compare(frame, **settings)


def test_the_comparison_reads_well():
    comparison = ok.compare(trials(20, ("V", "NP", "NFG")), top=0.25)
    assert "2 comparisons with V within each task" in repr(comparison)
    page = comparison._repr_html_()
    assert "Welch" in page
    assert page.count("<tr") == 3
    copy = comparison.to_frame()
    copy["verdict"] = "changed"
    assert "changed" not in set(comparison.frame["verdict"])


# ---- what selection does to a test ----------------------------------------------------------


def alike(seed: int, n: int = 60, variants: tuple[str, ...] = ("V", "A", "B")) -> pd.DataFrame:
    """Return variants of one distribution whose validation predicts their test perfectly."""
    rng = np.random.default_rng(seed)
    return table(**{name: list(np.exp(rng.standard_normal(n))) for name in variants})


@pytest.mark.filterwarnings("ignore:trials are selected by the very values")
def test_welch_on_selected_trials_finds_what_is_not_there_and_redrawing_does_not(quick_corrections):
    # Sixty tables without any difference, the best fifth of 60 each: Welch's familywise 5 % is no such thing.
    welch = redrawn = 0
    for seed in range(60):
        found = ok.compare(alike(seed), top=0.2).to_frame()
        welch += (found["p_holm"] < 0.05).any()
        redrawn += (found["verdict"] == "different").any()
    assert welch > 9
    # Three standard errors above three in sixty.
    assert redrawn <= 8


def test_without_a_selection_both_tests_are_one():
    rng = np.random.default_rng(0)
    found = row(table(V=list(rng.normal(9, 1, 15)), X=list(rng.normal(9.5, 2, 12))))
    assert found["p_selection"] == pytest.approx(found["p"], rel=1e-12)
    np.testing.assert_allclose(found[["low", "high"]].astype(float), found[["welch_low", "welch_high"]].astype(float))


def test_the_resampled_error_is_that_of_selected_means():
    # Redraw the truth: of 400 tables the spread of the selected means is what each table estimates.
    rng = np.random.default_rng(1)
    means, errors = [], []
    for _ in range(400):
        values = rng.standard_normal(100)
        arm = Arm.of(values, values, top=0.1)
        means.append(arm.selected.mean())
        if len(errors) < 60:
            errors.append(np.std(redraw({"V": arm}, [len(errors)])["V"]))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)
    # What Welch would take: the spread of the ten selected, as if they were ten draws.
    assert np.mean(errors) > 1.2 * np.mean([np.sort(rng.standard_normal(100))[:10].std() for _ in range(100)]) / 10**0.5


def test_resamples_select_as_the_table_does():
    values = np.array([5.0, 1.0, 3.0, 2.0, 4.0])
    arm = Arm.of(10 * values, values, top=0.4)
    assert arm.selected.tolist() == [10, 20]
    # Drawn: twice the 5, once the 3, twice the 4. The best two are the 3 and one of the 4s.
    drawn = np.array([[0, 4, 2, 0, 4]])
    assert arm.means(drawn)[0] == pytest.approx((30 + 40) / 2)
    missing = Arm.of(np.where(values == 3, np.nan, values), values, top=0.4)
    assert missing.means(drawn)[0] == 4.0


# ---- equivalence, power, ranks --------------------------------------------------------------


def test_equivalence_is_statsmodels_two_one_sided_tests():
    rng = np.random.default_rng(2)
    x, v = rng.normal(9, 0.1, 25), rng.normal(9.02, 0.12, 22)
    found = row(table(V=list(v), X=list(x)), margin=0.1)
    expected = ttost_ind(x, v, -0.1, 0.1, usevar="unequal")[0]
    assert found["p_tost"] == pytest.approx(expected, rel=1e-12)
    assert found["p_equivalent"] == pytest.approx(expected, rel=1e-9)
    assert found["verdict"] == "equivalent"


@pytest.mark.parametrize(
    ("shift", "spread", "margin", "verdict"),
    [
        (1.0, 0.1, 0.2, "different"),
        (0.0, 0.1, 0.2, "equivalent"),
        (0.1, 0.05, 0.2, "different but negligible"),
        (0.1, 1.0, 0.2, "undecided"),
        (0.0, 0.1, None, "undecided"),
    ],
)
def test_the_four_verdicts(shift, spread, margin, verdict):
    rng = np.random.default_rng(4)
    frame = table(V=list(rng.normal(9, spread, 40)), X=list(rng.normal(9 + shift, spread, 40)))
    comparison = ok.compare(frame, top=1.0, margin=margin)
    assert comparison.to_frame()["verdict"].iloc[0] == verdict
    assert ("p equivalent" in repr(comparison)) == (margin is not None)


def test_the_papers_test_could_find_one_and_a_fifth_standard_deviations():
    # 20 trials against 20 and eight comparisons at 5 %: known from tables of the noncentral t.
    found = ok.compare(trials(200, ODYSSEY, n_diverged=0)).to_frame()
    assert found["detectable_g"].round(2).unique().tolist() == [1.19]
    assert (found["detectable"] > 0).all()


def test_the_probability_of_being_lower_is_counted():
    # 3 < 4, 3 < 5, 9 > both; the 4 of one ties with the 4 of the other.
    assert row(table(V=[4.0, 5.0, 6.0], X=[3.0, 4.0, 9.0]))["p_lower"] == pytest.approx((3 + 2.5 + 0) / 9)


def test_a_margin_must_be_a_length():
    with pytest.raises(ok.UsageError, match="margin is -1, expected a positive number in units of test_metric"):
        ok.compare(trials(20, ("V", "NP")), top=0.25, margin=-1)


def test_other_peoples_tables_can_be_compared():
    rng = np.random.default_rng(0)
    runs = pd.DataFrame(
        {
            "model": ["gru", "lstm"] * 30,
            "data": "speech",
            "lr": rng.random(60),
            "val": rng.random(60) + np.tile([0.0, 1.0], 30),
            "state": ["FINISHED"] * 58 + ["FAIL"] * 2,
        }
    )
    found = ok.trials_from_table(
        runs.assign(err=runs["val"] + 0.001), test="err", valid="val", variant="model", task="data", parameters=["lr"]
    )
    assert (found.variants, found.tasks) == (("gru", "lstm"), ("speech",))
    result = ok.compare(found, baseline="gru", top=0.2).to_frame().iloc[0]
    assert (result["verdict"], result["n_failed"]) == ("different", 1)
    with pytest.raises(ok.UsageError, match="the table has no column 'loss'; it has: model, data"):
        ok.trials_from_table(runs, test="loss")
    with pytest.raises(ok.UsageError, match="column 'state' holds 'BORED', expected one of COMPLETE"):
        ok.trials_from_table(runs.assign(state="bored"), test="val")
