"""Expected best, pairs, basins, scaling, divergence, replay: each on a made-up table whose answer is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from made_up import curves, trials

import odyssey_kit as ok
from odyssey_kit.analysis.best_of import best_weights


def table(variant: str = "V", task: str = "t", **columns) -> pd.DataFrame:
    """Return a table of complete trials with these columns; the test metric is the validation's unless given."""
    frame = pd.DataFrame(columns)
    frame["index"] = range(len(frame))
    frame = frame.assign(study="s", task=task, variant=variant, metric="nll", state=columns.get("state", "COMPLETE"))
    if "test_metric" not in frame:
        frame["test_metric"] = frame["valid_metric"]
    return frame.assign(key=[f"{task}/{variant}/{i}" for i in range(len(frame))])


# ---- expected best --------------------------------------------------------------------------


def test_the_expected_best_is_the_mean_over_all_choices():
    rng = np.random.default_rng(0)
    valid, test = rng.random((2, 7))
    found = ok.expected_best(table(valid_metric=valid, test_metric=test), range(1, 8))
    for k, expected in zip(found["k"], found["expected"], strict=True):
        every = [test[min(chosen, key=lambda i: valid[i])] for chosen in itertools.combinations(range(7), k)]
        assert expected == pytest.approx(np.mean(every), rel=1e-12)
    assert found["low"].iloc[:-1].notna().all()
    assert math.isnan(found["low"].iloc[-1])


def test_weights_are_a_probability():
    for n, k in ((5, 1), (5, 5), (200, 17)):
        assert best_weights(n, k).sum() == pytest.approx(1)


def test_the_interval_of_the_expected_best_holds_it():
    # Best of 5 of uniform numbers: 1/6. Of 300 tables nine in ten should hold it.
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        row = ok.expected_best(table(valid_metric=rng.random(60)), [5]).iloc[0]
        held += row["low"] <= 1 / 6 <= row["high"]
    assert 0.84 < held / 300 < 0.96


def test_a_trial_without_a_metric_counts_as_the_worst():
    frame = table(valid_metric=[1.0, 2.0, np.nan], test_metric=[1.0, 2.0, np.nan])
    assert ok.expected_best(frame, [1])["expected"].iloc[0] == pytest.approx((1 + 2 + 2) / 3)
    with pytest.raises(ok.UsageError, match=r"budgets hold 0\.5, expected whole numbers from 1"):
        ok.expected_best(frame, [0.5])


# ---- which way is better ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "turned"),
    [
        (lambda t, d: ok.expected_best(t, direction=d), ["expected"]),
        (lambda t, d: ok.find_basins(t, direction=d), ["value"]),
        (lambda t, d: ok.learning_rate_scaling(t, direction=d), []),
        (lambda t, d: ok.replay_rules(t, space=ok.ODYSSEY_SPACE, direction=d), []),
    ],
    ids=["expected_best", "find_basins", "learning_rate_scaling", "replay_rules"],
)
def test_more_is_better_of_a_metric_is_less_is_better_of_its_negative(function, turned):
    frame = trials(100, ("V", "NOAF"), n_diverged=3)
    negative = frame.assign(valid_metric=-frame["valid_metric"], test_metric=-frame["test_metric"])
    one, other = function(frame, "minimize"), function(negative, "maximize")
    ends = ["low", "high"] if turned == ["expected"] else []  # of an interval around it, which change places
    for name in turned:
        other[name] = -other[name]
    if ends:
        other[ends] = -other[ends[::-1]].to_numpy()
    pd.testing.assert_frame_equal(one, other)
    with pytest.raises(ok.UsageError, match="direction is 'up', expected one of 'minimize', 'maximize'"):
        function(frame, "up")


def test_a_rule_of_tuning_needs_its_hyperparameter_and_no_other():
    frame = trials(60, ("V",), n_diverged=0)
    without = ok.SearchSpace({name: law for name, law in ok.ODYSSEY_SPACE.items() if name != "learning_rate"})
    table_ = frame.drop(columns="params_learning_rate")
    assert ok.replay_rules(table_, ["one at a time"], space=without)["regret"].item() >= 0
    with pytest.raises(ok.UsageError, match="'divide by ten' needs 'learning_rate' in the space"):
        ok.replay_rules(table_, ["divide by ten"], space=without)


# ---- pairs ----------------------------------------------------------------------------------


def paired(shift: float, n: int = 40, noise: float = 0.05) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rate = rng.random(n)
    level = 9 + 4 * (rate - 0.5) ** 2 + rng.standard_normal(n)
    # The test metric is another column than the one that trials are chosen by; the same in both arms, for ties.
    apart = 1e-6 * np.arange(n)
    arms = []
    for name, extra in (("V", 0.0), ("X", shift)):
        metric = level + extra + noise * rng.standard_normal(n)
        arms.append(table(name, valid_metric=metric, test_metric=metric + apart, params_learning_rate=rate))
    return pd.concat(arms, ignore_index=True)


def test_pairs_see_what_two_groups_cannot():
    frame = paired(0.1)
    row = ok.compare_pairs(frame).iloc[0]
    assert row["low"] < 0.1 < row["high"]
    assert row["p_holm"] < 1e-4
    assert row["p_wilcoxon"] < 1e-4
    assert (row["n"], row["lower"] + row["higher"]) == (40, 40)
    assert ok.compare(frame, top=1.0).to_frame()["p"].iloc[0] > 0.3
    # Redrawn together, the selected means share most of their error.
    both = [ok.compare(frame, top=0.25, paired=together).to_frame().iloc[0] for together in (False, True)]
    assert both[1]["high"] - both[1]["low"] < 0.5 * (both[0]["high"] - both[0]["low"])


def test_a_diverged_trial_is_worse_than_any_and_two_are_alike():
    frame = paired(0.0, n=6, noise=0.0)
    frame.loc[[6, 7], ["valid_metric", "test_metric"]] = np.nan
    frame.loc[1, ["valid_metric", "test_metric"]] = np.nan
    row = ok.compare_pairs(frame).iloc[0]
    assert (row["lower"], row["higher"]) == (0, 1)
    assert row["p"] == 1.0


def test_of_a_metric_to_be_maximised_a_diverged_trial_is_the_lowest():
    frame = paired(0.0, n=6, noise=0.0)
    frame.loc[[6, 7], ["valid_metric", "test_metric"]] = np.nan
    row = ok.compare_pairs(frame, direction="maximize").iloc[0]
    assert (row["lower"], row["higher"]) == (2, 0)


def test_draws_that_are_not_the_same_are_refused():
    frame = paired(0.0)
    with pytest.raises(ok.UsageError, match="do not have the same trials by `index`"):
        ok.compare_pairs(frame.iloc[:-1])
    frame.loc[60, "params_learning_rate"] = 0.5
    with pytest.raises(ok.UsageError, match="the study was not paired"):
        ok.compare(frame, top=0.5, paired=True)
    with pytest.raises(ok.UsageError, match="baseline 'W' has no trials"):
        ok.compare_pairs(frame, baseline="W")


# ---- basins and scaling ---------------------------------------------------------------------


def bowl(n: int = 400, optimum: float = -3.0, slope: float = 0.0, noise: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """Return trials whose metric is a parabola in log10 rate, its lowest point moving with log10(1 - momentum)."""
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(-6, -1, n), rng.uniform(-2, 0, n)
    metric = (x - optimum - slope * z) ** 2 + noise * rng.standard_normal(n)
    seconds = 10.0 ** (1 - 0.2 * (x + 3))
    return table(valid_metric=metric, params_learning_rate=10**x, params_momentum=1 - 10**z, seconds=seconds)


def test_a_parabola_has_the_basin_of_its_formula():
    # (x + 3)² <= 0.25 from 10^-3.5 to 10^-2.5; a trial takes 10 seconds at the optimum.
    row = ok.find_basins(bowl(), tolerance=0.25).iloc[0]
    assert math.log10(row["optimum"]) == pytest.approx(-3, abs=0.15)
    assert row["optimum_low"] <= 1e-3 <= row["optimum_high"]
    assert row["decades_low"] - 0.15 <= 1.0 <= row["decades_high"] + 0.15
    assert not row["open_low"]
    assert not row["open_high"]
    assert row["seconds_optimum"] == pytest.approx(10, rel=0.1)
    assert row["seconds_low"] > row["seconds_optimum"] > row["seconds_high"]


def test_a_basin_that_the_search_ends_in_is_open():
    row = ok.find_basins(bowl(optimum=-0.5), tolerance=0.5).iloc[0]
    assert row["open_high"]
    assert not row["open_low"]


def test_a_diverged_half_is_no_basin():
    frame = bowl()
    frame.loc[frame["params_learning_rate"] > 1e-3, ["valid_metric", "test_metric"]] = np.nan
    frame.loc[frame["test_metric"].isna(), "state"] = "DIVERGED"
    row = ok.find_basins(frame).iloc[0]
    assert row["optimum"] < 1e-3
    assert row["n_diverged"] == (frame["state"] == "DIVERGED").sum()


@pytest.mark.parametrize("slope", [-1.0, 0.0, 1.0])
def test_the_slope_against_one_minus_momentum(slope):
    row = ok.learning_rate_scaling(bowl(600, slope=slope, optimum=-3.5)).iloc[0]
    assert row["slope"] == pytest.approx(slope, abs=0.2)
    assert row["low"] - 0.1 <= slope <= row["high"] + 0.1
    assert row["n_groups"] == 5


def test_the_slope_against_the_batch_size():
    rng = np.random.default_rng(0)
    x, batch = rng.uniform(-6, -1, 300), rng.choice([1, 10, 100], 300)
    frame = table(
        valid_metric=(x + 4 - 0.5 * np.log10(batch)) ** 2, params_learning_rate=10**x, params_batch_size=batch
    )
    row = ok.learning_rate_scaling(frame, "batch_size").iloc[0]
    assert row["n_groups"] == 3
    assert row["slope"] == pytest.approx(0.5, abs=0.15)


def test_a_hyperparameter_is_its_own_column_and_not_another_of_its_bare_name():
    frame = bowl(150)
    frame = frame.assign(params_dropout=frame["params_learning_rate"], dropout=1.0)
    told = ok.find_basins(frame, parameter="dropout")
    pd.testing.assert_frame_equal(told, ok.find_basins(frame, parameter="params_dropout"))
    pd.testing.assert_frame_equal(told, ok.find_basins(frame))
    slopes = [ok.learning_rate_scaling(frame, name)["slope"].iloc[0] for name in ("dropout", "params_dropout")]
    assert slopes[0] == slopes[1]


def test_what_has_no_basin_says_why():
    frame = bowl(60)
    with pytest.raises(ok.UsageError, match="not positive and finite or does not vary"):
        ok.find_basins(frame.assign(params_learning_rate=0.0))
    with pytest.raises(ok.UsageError, match="tolerance is 0, expected a positive number"):
        ok.find_basins(frame, tolerance=0)
    with pytest.raises(ok.UsageError, match="expected two groups or more of 15"):
        ok.learning_rate_scaling(frame)
    with pytest.raises(ok.UsageError, match="'1 - momentum' is not positive"):
        ok.learning_rate_scaling(frame.assign(params_momentum=1.0))


# ---- divergence -----------------------------------------------------------------------------


def test_late_minus_best_is_read_off_the_curves():
    frame = trials(3, ("V",), n_diverged=0)
    lines = curves(frame)
    key = frame["key"].iloc[0]
    mine = lines["key"] == key
    lines.loc[mine, "valid_metric"] = [9.0, 8.0, 8.5]
    second = lines["key"] == frame["key"].iloc[1]
    lines.loc[second, "valid_metric"] = [9.0, 8.0, np.nan]
    third = lines["key"] == frame["key"].iloc[2]
    lines.loc[third, "valid_metric"] = np.nan
    found = ok.late_minus_best(ok.Trials(name="x", frame=frame, curves=lines))
    assert found["late_minus_best"].iloc[0] == pytest.approx(0.5)
    assert (found["best_epoch"].iloc[0], found["last_epoch"].iloc[0]) == (2, 3)
    assert found["late_minus_best"].iloc[1] == math.inf
    assert found["late_minus_best"].isna().iloc[2]
    with pytest.raises(ok.UsageError, match="these trials have no curves"):
        ok.late_minus_best(ok.Trials.from_frame(frame))


def test_kaplan_and_meier_by_hand():
    # Five trials: diverged at epochs 1 and 3, ended well at 2, 4 and 4. Survival 4/5, and 4/5 · 2/3.
    states = ["DIVERGED", "COMPLETE", "DIVERGED", "COMPLETE", "COMPLETE"]
    frame = table(valid_metric=[1.0] * 5, epochs=[1, 2, 3, 4, 4], state=states)
    found = ok.divergence_survival(frame)
    assert found["epoch"].tolist() == [0, 1, 3]
    np.testing.assert_allclose(found["surviving"], [1, 0.8, 0.8 * 2 / 3])
    assert found["at_risk"].tolist() == [5, 5, 3]
    assert ((found["low"] <= found["surviving"]) & (found["surviving"] <= found["high"])).all()
    gone = ok.divergence_survival(frame.assign(state="DIVERGED", epochs=2)).iloc[-1]
    assert (gone["surviving"], gone["low"], gone["diverged"]) == (0.0, 0.0, 5)
    # None of five survives where a tenth of such tables would come from a share of 1 - 0.1^(1/5).
    assert gone["high"] == pytest.approx(1 - 0.1 ** (1 / 5))


# ---- replay ---------------------------------------------------------------------------------

GRID = ok.SearchSpace(
    {
        "learning_rate": ok.LogUniform(low=1e-5, high=1e-1),
        "hidden_size": ok.LogUniform(low=20, high=200),
    }
)
SIZES = (20, 36, 63, 112, 200)  # of equal ratios, nearly


def grid(cost) -> pd.DataFrame:
    """Return every combination of five decades and five sizes, with the cost of each."""
    rates, sizes = 10.0 ** np.arange(-5, 0), SIZES
    rows = [(rate, size, cost(math.log10(rate), size)) for rate, size in itertools.product(rates, sizes)]
    rate, size, metric = zip(*rows, strict=True)
    return table(valid_metric=metric, params_learning_rate=rate, params_hidden_size=size)


def test_dividing_by_ten_finds_a_single_valley():
    # The same valley at 1e-3 for every size: three steps down and one that does not help any more.
    found = ok.replay_rules(grid(lambda x, size: (x + 3) ** 2), ["divide by ten"], space=GRID).iloc[0]
    assert found["regret"] == 0
    assert found["trials_used"] == 4
    # Random search with four of 25 trials misses it by this much, in the mean over all choices of four.
    costs = sorted((x + 3) ** 2 for x in range(-5, 0) for _ in range(5))
    expected = sum(w * c for w, c in zip(best_weights(25, 4), costs, strict=True))
    assert found["random_regret"] == pytest.approx(expected)


def test_dividing_by_ten_stops_before_a_hill():
    # Two valleys, at 1e-1 (cost 1) and at 1e-5 (cost 0), and a hill between them: it never sees the second.
    found = ok.replay_rules(
        grid(lambda x, size: {-1: 1, -2: 2, -3: 3, -4: 2, -5: 0}[round(x)]), ["divide by ten"], space=GRID
    ).iloc[0]
    assert (found["regret"], found["trials_used"]) == (1.0, 2)


def test_one_at_a_time_is_enough_where_nothing_interacts():
    additive = grid(lambda x, size: (x + 3) ** 2 + abs(math.log10(size / 200)))
    assert ok.replay_rules(additive, ["one at a time"], space=GRID)["regret"].iloc[0] == pytest.approx(0, abs=1e-12)
    # Where the best rate depends on the size, the rate that was tuned first is wrong for most sizes.
    tied = grid(lambda x, size: (x + 5 - 4 * math.log10(size / 20)) ** 2 + 4 * (1 - math.log10(size / 20)))
    assert ok.replay_rules(tied, ["one at a time"], space=GRID)["regret"].iloc[0] > 0.5


def test_tuning_small_carries_over_where_size_does_not_move_the_optimum():
    frame = grid(lambda x, size: (x + 3) ** 2 - math.log10(size))
    found = ok.replay_rules(frame, ["tune small"], space=GRID).iloc[0]
    # The right rate, at one of the two largest sizes.
    assert found["regret"] <= math.log10(200) - math.log10(SIZES[3]) + 1e-9
    moved = grid(lambda x, size: (x + 5 - 4 * math.log10(size / 20)) ** 2)
    assert ok.replay_rules(moved, ["tune small"], space=GRID)["regret"].iloc[0] > 3


def test_rules_that_cannot_be_replayed_say_why():
    frame = grid(lambda x, size: x)
    with pytest.raises(ok.UsageError, match="no rule is called 'guess'; there are: divide by ten"):
        ok.replay_rules(frame, ["guess"], space=GRID)
    with pytest.raises(ok.UsageError, match="no search space"):
        ok.replay_rules(frame)
    rate = ok.SearchSpace({"learning_rate": GRID["learning_rate"]})
    with pytest.raises(ok.UsageError, match="the rule 'tune small' needs 'hidden_size'"):
        ok.replay_rules(frame, space=rate)
    with pytest.raises(ok.UsageError, match="only 0 trials have finite"):
        ok.replay_rules(frame.assign(test_metric=np.nan), space=GRID)


@pytest.mark.parametrize("differences", [[3, -1], [5, 2, -7, -1], [0, 0, -1, 4], [1, 2, 9], [-4, -4, -4, 6, 8, 8]])
def test_swapped_variants_swap_the_sign_of_the_median_difference(differences):
    baseline = table(valid_metric=[100.0] * len(differences))
    both = pd.concat([baseline, table("CIFG", valid_metric=100.0 + np.array(differences))], ignore_index=True)
    one, other = (ok.compare_pairs(both, baseline=name)["median_difference"].item() for name in ("V", "CIFG"))
    assert one == -other == np.median(differences)
