"""A study of ours opens in Optuna and comes back as it was; a study of theirs is a table like any other."""

from __future__ import annotations

import math
import sys

import pandas as pd
import pytest
from made_up import trials as made_up_table

import odyssey_kit as ok

optuna = pytest.importorskip("optuna", reason="the extra [optuna] is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def ours() -> ok.Trials:
    return ok.Trials.from_frame(made_up_table(6, ("V", "NP"), n_diverged=2), space=ok.ODYSSEY_SPACE)


def test_a_study_of_ours_opens_in_optuna(ours):
    study = ours.to_optuna()
    assert study.study_name == "made-up"
    assert len(study.trials) == 12
    states = [trial.state.name for trial in study.trials]
    assert states.count("FAIL") == 2, "a divergence is a failure there, for it has no other name"
    best = ours.frame.loc[ours.frame["valid_metric"].idxmin()]
    assert study.best_value == best["valid_metric"]
    assert study.best_params["learning_rate"] == best["params_learning_rate"]
    assert study.best_params["variant"] == best["variant"]
    assert study.best_trial.user_attrs["test_metric"] == best["test_metric"]
    laws = study.trials[0].distributions
    assert laws["hidden_size"] == optuna.distributions.IntDistribution(20, 200, log=True)
    assert laws["learning_rate"] == optuna.distributions.FloatDistribution(1e-6, 1e-2, log=True)
    assert laws["input_noise_std"] == optuna.distributions.FloatDistribution(0.0, 1.0)
    frame = study.trials_dataframe()
    assert {"params_momentum", "user_attrs_state"} <= set(frame)


def test_it_comes_back_as_it_was_through_a_file_too(ours, tmp_path):
    storage = f"sqlite:///{tmp_path / 'there.db'}"
    ours.to_optuna(storage=storage, study_name="there")
    again = ok.from_optuna(optuna.load_study(study_name="there", storage=storage))
    pd.testing.assert_frame_equal(again.frame, ours.frame, check_dtype=False)
    assert again.space == ours.space
    assert again.name == "there"


def objective(trial) -> float:
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    layers = trial.suggest_int("layers", 1, 4)
    units = trial.suggest_int("units", 16, 512, log=True)
    kind = trial.suggest_categorical("kind", ["adam", "sgd"])
    if trial.number == 3:
        raise ValueError("made up")
    if trial.number == 5:
        raise optuna.TrialPruned
    return (math.log10(rate) + 3) ** 2 + 0.1 * layers + (kind == "sgd") + 0.0001 * units


@pytest.fixture(scope="module")
def theirs():
    study = optuna.create_study(study_name="theirs", sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(objective, n_trials=60, catch=(ValueError,))
    return study


def test_a_study_of_theirs_is_read_by_our_analysis(theirs):
    trials = ok.from_optuna(theirs)
    assert len(trials) == 60
    assert trials.frame["state"].value_counts().to_dict() == {"COMPLETE": 58, "FAILED": 2}
    assert set(trials.frame.loc[[3, 5], "error"]) == {"Optuna's state FAIL", "Optuna's state PRUNED"}
    assert trials.space == ok.SearchSpace(
        {
            "rate": ok.LogUniform(low=1e-5, high=1e-1),
            "layers": ok.UniformInteger(low=1, high=4),
            "units": ok.LogUniform(low=16, high=512, integer=True),
            "kind": ok.Categorical(choices=("adam", "sgd")),
        }
    )
    assert trials.frame["valid_metric"].min() == theirs.best_value
    shares = ok.fanova(trials.query("state == 'COMPLETE'"), random_state=0).importances()
    assert "rate" in str(shares.iloc[0]["parameters"]), "what matters most is found"


def test_what_is_maximised_has_its_sign_turned():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_metric_names(["accuracy"])
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=4)
    trials = ok.from_optuna(study)
    assert set(trials.frame["metric"]) == {"minus accuracy"}
    assert trials.frame["valid_metric"].min() == -study.best_value


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ok.UsageError, match="has 2 objectives, expected one"):
        ok.from_optuna(optuna.create_study(directions=["minimize", "minimize"]))
    with pytest.raises(ok.UsageError, match="has no finished trial"):
        ok.from_optuna(optuna.create_study())


def test_without_optuna_it_is_said_what_is_missing(ours, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ok.UsageError, match=r"Optuna is not installed; pip install .*\[optuna\]"):
        ours.to_optuna()
