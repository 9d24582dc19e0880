"""Anybody's table can be analysed: which way its metric is better, what is compared, and what its values are."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from own_tables import own_table

import odyssey_kit as ok
from odyssey_kit.analysis.direction import unstated

OWN = {"parameters": ["rate", "drop"], "n_trees": 100}

# ---- which way is better ------------------------------------------------------------------------


def test_what_is_maximised_is_its_negative_minimised_in_units_of_its_own():
    own = own_table()
    own.loc[[4, 7], ["loss", "dev"]] = np.nan
    gain = own.assign(loss=-own["loss"], dev=-own["dev"])
    asked = {**OWN, "target": "loss", "valid": "dev", "variant_column": "model", "top": 0.2}
    low = ok.analyze(own, cap=2.5, **asked)
    high = ok.analyze(gain, cap=-2.5, direction="maximize", **asked)
    np.testing.assert_allclose(high.importances["share"], low.importances["share"], atol=1e-9)
    assert high.basins[["best", "low", "high"]].equals(low.basins[["best", "low", "high"]])
    np.testing.assert_allclose(high.basins["mean_at_best"], -low.basins["mean_at_best"])
    assert high.counts.equals(low.counts)
    assert low.counts.iloc[0][["trials", "set_to_worst"]].tolist() == [120, 2] and low.counts["capped"].item() > 5
    assert high.models[""]._values.min() == -2.5
    one, other = low.comparison.frame, high.comparison.frame
    assert other["verdict"].tolist() == one["verdict"].tolist() == ["different"]
    np.testing.assert_allclose(other["difference"], -one["difference"])
    assert "Higher is better" in high.comparison._repr_html_()
    page = ok.charts.report_page(high)
    assert "120 trials, higher is better; 2 diverged; 2 without a finite loss, set to the worst value;" in page
    assert "beyond -2.5 and set to it" in page
    assert "better than lstm →" in page or "better than lstm \\u2192" in page
    assert "of the other settings; higher is better" in page


@pytest.mark.parametrize(
    ("name", "sounds"),
    [
        *((name, True) for name in ("accuracy", "valAcc", "macro_f1", "test-AUC", "r2", "eval/reward")),
        *((name, False) for name in ("error", "accuracy_loss", "nll", "neg_log_likelihood", "minus accuracy")),
        *((name, False) for name in ("accumulated_cost", "test_metric")),
    ],
)
def test_a_name_that_sounds_like_something_to_be_maximised_is_told(name, sounds):
    said = unstated(None, name, pd.DataFrame())
    assert bool(said) == sounds
    assert not unstated("minimize", name, pd.DataFrame())


def test_an_accuracy_is_not_minimised_in_silence():
    own = own_table().rename(columns={"loss": "accuracy"})
    with pytest.warns(UserWarning, match="'accuracy' sounds like something to be maximised, but nobody said so"):
        found = ok.analyze(own, target="accuracy", **OWN)
    assert any("pass direction='maximize' (--maximize)" in note for note in found.notes)
    assert found.direction == "minimize"
    trials = ok.trials_from_table(own, test="accuracy", valid="dev", variant="model")
    with pytest.warns(UserWarning, match="'accuracy' sounds like something to be maximised"):
        ok.compare(trials, baseline="gru")
    assert ok.compare(trials, baseline="gru", direction="maximize").direction == "maximize"


def test_a_validation_that_goes_the_other_way_is_refused_and_not_taken_for_the_best():
    own = own_table().assign(accuracy=lambda table: 1 - table["loss"] / 10)
    trials = ok.trials_from_table(own, test="accuracy", valid="loss", variant="model")
    with pytest.raises(
        ok.UsageError, match=r"'valid_metric' falls where 'test_metric' rises \(rank correlation -1\.00\)"
    ):
        ok.compare(trials, baseline="gru", direction="maximize")
    found = ok.analyze(own, target="accuracy", valid="dev", variant_column="model", direction="maximize", **OWN)
    assert found.comparison is None
    assert any("not compared: 'dev' falls where 'accuracy' rises" in note for note in found.notes)


def test_the_worst_of_an_accuracy_is_asked_about_where_it_matters():
    own = own_table().rename(columns={"loss": "accuracy"})
    space = ok.SearchSpace({"rate": ok.Categorical(choices=(0.001, 0.01, 0.1)), "drop": ok.Uniform(low=0.0, high=1.0)})
    ok.fanova(own, target="accuracy", space=space, n_trees=100)  # shares do not depend on the direction
    own.loc[3, "accuracy"] = np.nan
    with pytest.warns(UserWarning, match="'accuracy' sounds like something to be maximised"):
        ok.fanova(own, target="accuracy", space=space, n_trees=100)
    ok.fanova(own, target="accuracy", space=space, n_trees=100, direction="maximize")


def test_the_selected_are_the_best_in_the_direction_that_is_said():
    trials = ok.trials_from_table(own_table(), test="loss", valid="dev", variant="model")
    best = ok.select_top(trials, top=0.1, direction="maximize").frame
    assert set(best["valid_metric"]) == {
        value for _, cell in trials.frame.groupby("variant") for value in cell["valid_metric"].nlargest(6)
    }


# ---- what one's own file can be asked for ---------------------------------------------------------


def test_a_selection_by_the_compared_metric_is_told():
    own = own_table()
    trials = ok.trials_from_table(own, test="loss", variant="model")
    with pytest.warns(
        UserWarning, match=r"selected by the very values that are compared.*valid= of ok\.trials_from_tab"
    ):
        ok.compare(trials, baseline="gru")
    ok.compare(trials, baseline="gru", top=1)
    found = ok.analyze(own, target="loss", variant_column="model", **OWN)
    assert any(note.startswith("trials are selected by the very values") for note in found.notes)
    assert "best 10 % by loss" in found.advice[-1]
    told = ok.analyze(own, target="loss", variant_column="model", valid="dev", **OWN)
    assert not any("very values" in note for note in told.notes)
    assert "best 10 % by dev" in told.advice[-1]
    assert told.comparison.metric == "loss"


def test_a_validation_column_that_nothing_needs_is_told():
    found = ok.analyze(own_table(), target="loss", valid="dev", **OWN)
    assert "'dev' is not used: it selects trials of variants, and the table names fewer than two." in found.notes


def test_why_variants_are_not_compared_is_a_note():
    found = ok.analyze(own_table(), target="loss", valid="dev", variant_column="model", baseline="rnn", **OWN)
    assert found.comparison is None
    assert any("not compared: baseline 'rnn' has no trials" in note for note in found.notes)


def test_a_hyperparameter_that_is_compared_is_explained_once():
    own = own_table()
    found = ok.analyze(
        own, target="loss", valid="dev", variant_column="model", parameters=["rate", "model"], n_trees=100
    )
    assert found.models[""].parameters_ == ("rate", "variant")


def test_trials_that_are_no_draws_of_their_own_can_be_named():
    own = own_table()
    found = ok.analyze(own, target="loss", groups="draw", sampling="random", **OWN)
    same = ok.analyze(own, target="loss", groups=own["draw"], sampling="random", **OWN)
    assert "60 independent trials" in found.importances["note"].iloc[0]
    pd.testing.assert_frame_equal(found.importances, same.importances)


def test_tasks_may_be_numbers():
    own = own_table(200).assign(fold=np.arange(200) // 100)
    found = ok.analyze(own, target="loss", task_column="fold", **OWN)
    assert list(found.models) == ["0", "1"]
    assert found.counts["trials"].tolist() == [100, 100]
    assert found.counted("0") == "100 trials, lower is better"


# ---- grids ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "guessed"),
    [
        ([1e-2, 1e-4, 1e-3] * 8, ok.Categorical(choices=(1e-4, 1e-3, 1e-2))),
        ([64, 16, 256, 128] * 6, ok.Categorical(choices=(16, 64, 128, 256))),
        ([1, 2, 4, 3] * 6, ok.UniformInteger(low=1, high=4)),
        ([1, 2, 4, 5] * 6, ok.UniformInteger(low=1, high=5)),  # that 3 is missing may be chance
        ([0.1, *np.linspace(0.2, 0.9, 23)], ok.Uniform(low=0.1, high=0.9)),
        ([0.1, 0.2, 0.9] * 7 + [0.5], ok.LogUniform(low=0.1, high=0.9)),  # one came once
    ],
)
def test_few_numbers_that_come_again_and_again_are_a_grid(values, guessed):
    assert ok.guess_space(pd.DataFrame({"params_x": values}))["x"] == guessed


def test_infinity_is_no_choice_however_often_it_comes():
    with pytest.raises(ok.UsageError, match="'params_x' is infinite in rows 1, 3, 5, expected finite numbers"):
        ok.guess_space(pd.DataFrame({"params_x": [1.0, math.inf] * 3}))


def test_a_grid_is_said_and_keeps_its_order():
    found = ok.analyze(own_table(), target="loss", **OWN)
    note = "rate one of 0.001, 0.01, 0.1 (few numbers, each several times: a grid), drop Uniform"
    assert any(note in told for told in found.notes)
    assert found.models[""].marginal("rate")["value"].tolist() == [0.001, 0.01, 0.1]
    row = found.basins.set_index("parameter").loc["rate"]
    assert (row["best"], row["low"], row["high"]) == (0.01, 0.01, 0.01)
