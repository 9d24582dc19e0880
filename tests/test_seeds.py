"""What a seed is worth: a variance that is known, an oracle that fits it otherwise, and trials that diverged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import odyssey_kit as ok


def table(values: np.ndarray, variant: str = "V") -> pd.DataFrame:
    """Return trials with these test metrics: a row a setting, a column a seed."""
    rows, seeds = values.shape
    return pd.DataFrame(
        {
            "key": [f"{variant}/{i}" for i in range(values.size)],
            "study": "s",
            "task": "t",
            "variant": variant,
            "index": range(values.size),
            "state": "COMPLETE",
            "metric": "nll",
            "valid_metric": values.ravel(),
            "test_metric": values.ravel(),
            "params_learning_rate": np.repeat(np.linspace(0.001, 0.01, rows), seeds),
        }
    )


def drawn(seed: int, *, rows: int = 10, seeds: int = 10, setting_sd: float = 0.2, seed_sd: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 9 + setting_sd * rng.standard_normal((rows, 1)) + seed_sd * rng.standard_normal((rows, seeds))


# ---- by hand and beside others ------------------------------------------------------------------


def test_two_settings_of_two_seeds_by_hand() -> None:
    # Means 1 and 4; within a setting each value lies 1 or 2 from its mean: (1 + 1 + 4 + 4) / 2 degrees of freedom = 5.
    row = ok.seed_spread(pd.concat([table(np.array([[0.0, 2.0], [2.0, 6.0]]))])).iloc[0]
    assert (row["settings"], row["trials"], row["lost"]) == (2, 4, 0)
    assert row["mean"] == pytest.approx(2.5)
    assert row["seed_sd"] == pytest.approx(np.sqrt(5))
    # Between: 2 · (1.5² + 1.5²) / 1 = 9, of which 5 is chance, and (9 - 5) / 2 seeds = 2.
    assert row["setting_sd"] == pytest.approx(np.sqrt(2))
    assert row["seed_share"] == pytest.approx(5 / 7)
    assert row["p"] == pytest.approx(stats.f_oneway([0.0, 2.0], [2.0, 6.0]).pvalue)


def test_settings_of_unequally_many_seeds_by_hand() -> None:
    # Three seeds (0, 1, 2) and one (7): within (1 + 0 + 1) / 2 = 1; the grand mean is 2.5, so between
    # 3 · 1.5² + 1 · 4.5² = 27; seeds a setting (4 - 10 / 4) / 1 = 1.5; and (27 - 1) / 1.5 = 52 / 3.
    row = ok.seed_spread(table(np.array([[0.0, 1.0, 2.0], [7.0, 0.0, 0.0]])).iloc[:4]).iloc[0]
    assert (row["trials"], row["seed_sd"]) == (4, pytest.approx(1.0))
    assert row["setting_sd"] ** 2 == pytest.approx(52 / 3)


def test_it_is_what_a_mixed_model_fits() -> None:
    frame = table(drawn(0))
    row = ok.seed_spread(frame).iloc[0]
    fitted = smf.mixedlm("test_metric ~ 1", frame, groups=frame["params_learning_rate"]).fit(reml=True)
    assert row["seed_sd"] ** 2 == pytest.approx(fitted.scale, rel=1e-3)
    assert row["setting_sd"] ** 2 == pytest.approx(float(fitted.cov_re.iloc[0, 0]), rel=1e-3)
    assert row["mean"] == pytest.approx(float(fitted.params["Intercept"]))


def test_its_intervals_hold_the_truth_nine_times_in_ten() -> None:
    rows = ok.seed_spread(pd.concat([table(drawn(seed), f"v{seed}") for seed in range(400)], ignore_index=True))
    share = 0.1**2 / (0.1**2 + 0.2**2)
    for low, high, truth in (
        ("seed_low", "seed_high", 0.1),
        ("share_low", "share_high", share),
        ("mean_low", "mean_high", 9),
    ):
        held = ((rows[low] <= truth) & (truth <= rows[high])).mean()
        assert 0.85 < held < 0.95, low


def test_seeds_that_are_all_there_is_are_seldom_taken_for_settings() -> None:
    cells = [table(drawn(seed, setting_sd=0.0), f"v{seed}") for seed in range(400)]
    p = ok.seed_spread(pd.concat(cells, ignore_index=True))["p"]
    assert 0.02 < (p < 0.05).mean() < 0.09


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(0.1, 10))
def test_shifting_and_scaling_the_metric_shifts_and_scales_what_is_said(seed: int, shift: float, scale: float) -> None:
    values = drawn(seed, rows=4, seeds=3)
    one, other = (ok.seed_spread(table(v)).iloc[0] for v in (values, shift + scale * values))
    assert other["mean"] == pytest.approx(shift + scale * one["mean"])
    for name in ("seed_sd", "seed_low", "seed_high", "setting_sd"):
        assert other[name] == pytest.approx(scale * one[name], rel=1e-6, abs=1e-9)
    assert other["seed_share"] == pytest.approx(one["seed_share"], abs=1e-6)


# ---- a row a setting ----------------------------------------------------------------------------


def test_settings_stand_beside_the_trial_they_were_chosen_for_the_best_first() -> None:
    again = table(np.array([[3.0, 5.0], [1.0, 1.0], [2.0, 4.0]]))
    whole = table(np.array([[0.5], [0.7], [0.6]])).assign(test_metric=[10.0, 11.0, 12.0])
    found = ok.repeated_settings(again, of=whole)
    assert found["first_valid"].tolist() == [0.5, 0.6, 0.7]
    assert found["first"].tolist() == [10.0, 12.0, 11.0]
    assert found["mean"].tolist() == [4.0, 3.0, 1.0]
    assert found["sd"].tolist() == pytest.approx([np.sqrt(2), np.sqrt(2), 0.0])
    assert ok.repeated_settings(again)["mean"].tolist() == [1.0, 3.0, 4.0]


def test_a_seed_that_diverged_is_counted_and_has_the_worst_value() -> None:
    frame = table(np.array([[1.0, 2.0], [3.0, 90.0], [1.0, np.nan]]))
    frame.loc[5, "state"] = "DIVERGED"
    found = ok.repeated_settings(frame, cap=61.0).sort_values("params_learning_rate")
    assert found["lost"].tolist() == [0, 1, 1]
    assert found["mean"].tolist() == [1.5, 32.0, 31.0]
    assert ok.seed_spread(frame, cap=61.0)["lost"].item() == 2
    assert ok.repeated_settings(frame)["mean"].tolist() == [1.5, 45.5, 46.5], "without a cap the worst there is"
    frame.loc[5, "state"] = "FAILED"
    assert sorted(ok.repeated_settings(frame)["n"]) == [1, 2, 2]


def test_of_a_metric_to_be_maximised_the_lost_seed_has_the_lowest_value_and_the_best_setting_comes_first() -> None:
    frame = table(np.array([[0.5, 0.6], [0.8, np.nan]]))
    found = ok.repeated_settings(frame, direction="maximize")
    assert found["mean"].tolist() == pytest.approx([(0.8 + 0.5) / 2, 0.55])
    capped = ok.repeated_settings(frame, cap=0.55, direction="maximize")
    assert (capped["lost"].tolist(), capped["mean"].tolist()) == ([1, 1], pytest.approx([0.675, 0.575]))


def test_seeds_that_all_agree_leave_nothing_to_share_out() -> None:
    row = ok.seed_spread(table(np.array([[1.0, 1.0], [2.0, 2.0]]))).iloc[0]
    assert row["seed_sd"] == 0 and np.isnan(row["seed_share"])


def test_settings_that_never_come_again_are_refused_and_so_is_a_study_of_several_trials_each() -> None:
    with pytest.raises(ok.UsageError, match=r"none of 3 settings has two trials, expected settings .* several seeds"):
        ok.seed_spread(table(np.array([[1.0], [2.0], [3.0]])))
    again = table(np.array([[1.0, 2.0], [2.0, 3.0]]))
    with pytest.raises(ok.UsageError, match="1 of 2 settings are not in `of`, expected the study"):
        ok.repeated_settings(again, of=again.iloc[:1])
    with pytest.raises(ok.UsageError, match="no column that begins with 'params_'"):
        ok.seed_spread(again.drop(columns="params_learning_rate"))
    with pytest.raises(ok.UsageError, match="a variant has no trial with a finite test_metric; give a cap"):
        ok.seed_spread(again.assign(test_metric=np.nan))
    with pytest.raises(ok.UsageError, match="cap is '61', expected a finite number"):
        ok.repeated_settings(again, cap="61")
    with pytest.raises(ok.UsageError, match="2 of 2 settings are not in `of`, expected the study"):
        ok.repeated_settings(again, of=again.iloc[::2].assign(params_learning_rate=0.5))
    with pytest.raises(ok.UsageError, match="`of` has no column params_learning_rate, expected the study"):
        ok.repeated_settings(again, of=again.drop(columns="params_learning_rate"))
    with pytest.raises(ok.UsageError, match="a setting has several trials in `of`, expected the one"):
        ok.repeated_settings(again, of=again)
