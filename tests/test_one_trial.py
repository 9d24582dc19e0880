"""One trial follows the Odyssey's protocol: its update, its conventions, its stopping, its states."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

import odyssey_kit as ok
from odyssey_kit.data import SequenceDataset, Split
from odyssey_kit.engine import equations
from odyssey_kit.engine.network import Network, sequences
from odyssey_kit.engine.parameters import Layout
from odyssey_kit.training.metrics import NextStepEvaluation
from odyssey_kit.training.trial import canonical_json

KEYS, RATE, MOMENTUM = 6, 0.02, 0.8


def rolls(seed, lengths):
    """Made-up music: each frame is the one before with a few keys changed."""
    rng = np.random.default_rng(seed)
    pairs = []
    for length in lengths:
        frames = (rng.random((length + 1, KEYS)) < 0.3).astype(np.float32)
        pairs.append((frames[:-1], frames[1:]))
    return Split.from_list(pairs)


@pytest.fixture(scope="module")
def music():
    return SequenceDataset(
        name="made-up-music",
        task="next-step",
        train=rolls(0, [7, 3, 9, 5]),
        valid=rolls(1, [6, 4]),
        test=rolls(2, [5, 8, 2]),
        input_size=KEYS,
        output_size=KEYS,
        stand_in_for=None,
        sha256="0" * 64,
        licence="made by the test",
        citation="",
    )


def bernoulli_loss(logits, targets):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


def loss_of(layout, theta, inputs, targets):
    weights = layout.weights(theta)
    hidden = equations.lstm(layout.variant, weights, inputs[:, None]).outputs[:, 0]
    return bernoulli_loss(equations.output_layer(weights, hidden), targets)


# ---- the update ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nesterov", [True, False], ids=["nesterov", "heavy-ball"])
@pytest.mark.parametrize("name", ["V", "FGR", "CIFG", "NOG"])
def test_two_epochs_equal_autograd_and_torchs_own_optimiser(music, name, nesterov):
    layout = Layout(variant=ok.variant(name), input_size=KEYS, hidden_size=7, output_size=KEYS)
    start = 0.3 * np.random.default_rng(5).standard_normal(layout.parameter_count)
    split, order = music.train, np.array([2, 0, 3, 1])
    inputs, targets = split.inputs.astype(float), split.targets.astype(float)
    network = Network(layout, start, sequences(inputs, targets, split.offsets, dtype="float64"))

    theta = torch.tensor(layout.spread(start), requires_grad=True)
    optimiser = torch.optim.SGD([theta], lr=RATE, momentum=MOMENTUM, nesterov=nesterov)
    for _ in range(2):
        record = network.train_epoch(order, learning_rate=RATE, momentum=MOMENTUM, nesterov=nesterov)
        total = 0.0
        for s in order:
            rows = slice(split.offsets[s], split.offsets[s + 1])
            optimiser.zero_grad()
            loss = loss_of(layout, theta, torch.tensor(inputs[rows]), torch.tensor(targets[rows]))
            loss.backward()
            optimiser.step()
            total += loss.item()
        assert record.loss == pytest.approx(total, rel=1e-12)
        assert record.updates == 4
    # torch keeps its parameters at the point ahead; ours are where the velocity has brought them.
    buffer = optimiser.state[theta]["momentum_buffer"].numpy()
    expected = theta.detach().numpy() + (MOMENTUM * RATE * buffer if nesterov else 0.0)
    np.testing.assert_allclose(network.theta, expected, rtol=0, atol=1e-10)


def test_the_update_is_that_of_the_authors_engine_step_by_step(music):
    # Nesterov as the Odyssey's engine wrote it: v *= m; w += v; g at w; step = rate g; v -= step; w -= step.
    layout = Layout(variant=ok.variant("V"), input_size=KEYS, hidden_size=3, output_size=KEYS)
    start = 0.3 * np.random.default_rng(6).standard_normal(layout.parameter_count)
    split, order = music.train, np.array([0, 1, 2, 3])
    inputs, targets = split.inputs.astype(float), split.targets.astype(float)
    network = Network(layout, start, sequences(inputs, targets, split.offsets, dtype="float64"))
    network.train_epoch(order, learning_rate=RATE, momentum=MOMENTUM)
    w, v = torch.tensor(layout.spread(start)), torch.zeros(layout.size, dtype=torch.float64)
    for s in order:
        rows = slice(split.offsets[s], split.offsets[s + 1])
        v = MOMENTUM * v
        w = (w + v).requires_grad_()
        (g,) = torch.autograd.grad(loss_of(layout, w, torch.tensor(inputs[rows]), torch.tensor(targets[rows])), w)
        v, w = v - RATE * g, (w - RATE * g).detach()
    np.testing.assert_allclose(network.theta, w.numpy(), rtol=0, atol=1e-12)


def test_clipping_bounds_every_element_of_the_gradient(music):
    layout = Layout(variant=ok.variant("V"), input_size=KEYS, hidden_size=3, output_size=KEYS)
    start = np.zeros(layout.parameter_count)
    split = music.train
    network = Network(layout, start, sequences(split.inputs, split.targets, split.offsets, dtype="float64"))
    network.train_epoch(np.array([2]), learning_rate=1.0, momentum=0.0, clip=1e-3)
    assert np.abs(network.theta).max() == pytest.approx(1e-3)


def test_the_mean_over_time_is_the_sum_divided_by_the_length(music):
    one = ok.train("V", music, hidden_size=4, learning_rate=0.01, momentum=0.0, max_epochs=1, progress=False)
    short = dataclasses.replace(music, train=rolls(0, [7]))
    summed = ok.train("V", short, hidden_size=4, learning_rate=0.01, momentum=0.0, max_epochs=3, progress=False)
    averaged = ok.train(
        "V", short, hidden_size=4, learning_rate=0.07, momentum=0.0, max_epochs=3, loss_reduction="mean", progress=False
    )
    assert one.result.state == "COMPLETE"
    np.testing.assert_allclose(summed.history["valid_metric"], averaged.history["valid_metric"], rtol=1e-5)


def test_rescaling_multiplies_the_rate_by_one_minus_momentum(music):
    rescaled = ok.train("V", music, hidden_size=4, learning_rate=0.1, momentum=0.9, max_epochs=2, progress=False)
    raw = ok.train(
        "V",
        music,
        hidden_size=4,
        learning_rate=0.1 * (1 - 0.9),
        momentum=0.9,
        max_epochs=2,
        lr_mode="raw",
        progress=False,
    )
    assert list(rescaled.history["valid_metric"]) == list(raw.history["valid_metric"])


# ---- the metric in three conventions --------------------------------------------------------------


def test_three_conventions_of_the_negative_log_likelihood(music):
    layout = Layout(variant=ok.variant("V"), input_size=KEYS, hidden_size=5, output_size=KEYS)
    theta = 0.5 * np.random.default_rng(7).standard_normal(layout.parameter_count)
    split = music.test
    network = Network(layout, theta, sequences(split.inputs, split.targets, split.offsets, dtype="float64"))
    evaluation = NextStepEvaluation(split, np.dtype(np.float64))

    sums, silent_sums, lengths = [], [], []
    for inputs, targets in (split[i] for i in range(len(split))):
        x, t = torch.tensor(inputs, dtype=torch.float64), torch.tensor(targets, dtype=torch.float64)
        sums.append(loss_of(layout, torch.tensor(layout.spread(theta)), x, t).item())
        from_silence = torch.cat([torch.zeros(1, KEYS, dtype=torch.float64), x])
        silent_sums.append(
            loss_of(layout, torch.tensor(layout.spread(theta)), from_silence, torch.cat([x[:1], t])).item()
        )
        lengths.append(len(x))
    lengths = np.array(lengths)
    assert evaluation.pooled(network) == pytest.approx(sum(sums) / lengths.sum(), rel=1e-12)
    others = evaluation.conventions(network)
    assert others["nll_sequence_mean"] == pytest.approx(np.mean(np.array(sums) / lengths), rel=1e-12)
    assert others["nll_from_silence"] == pytest.approx(sum(silent_sums) / (lengths + 1).sum(), rel=1e-12)


def test_an_untrained_network_of_zeros_pays_one_bit_a_key(music):
    run = ok.train("V", music, hidden_size=4, learning_rate=0.0, initial_weight_std=0.0, max_epochs=1, progress=False)
    assert run.result.metrics["test_metric"] == pytest.approx(KEYS * math.log(2), rel=1e-6)
    assert run.result.metrics["train_loss"] == pytest.approx(KEYS * math.log(2), rel=1e-6)


# ---- stopping, states, sameness --------------------------------------------------------------------


def test_training_stops_after_more_than_patience_epochs_without_improvement(music):
    # With a rate of zero nothing ever improves on the first epoch.
    run = ok.train("V", music, hidden_size=4, learning_rate=0.0, max_epochs=50, patience=5, progress=False)
    assert (run.result.best_epoch, len(run.history)) == (1, 1 + 5 + 1)
    assert list(run.history.loc[run.history["is_best"], "epoch"]) == [1]


def test_the_best_epoch_is_the_validations_and_its_weights_are_returned(music):
    run = ok.train("V", music, hidden_size=8, learning_rate=0.5, momentum=0.5, max_epochs=40, progress=False)
    best = run.history.loc[run.history["valid_metric"].idxmin()]
    assert run.result.best_epoch == best["epoch"]
    assert run.result.metrics["test_metric"] == best["test_metric"]
    weights = {name: torch.tensor(value) for name, value in run.weights.items()}
    inputs, targets = music.valid[0]
    hidden = equations.lstm(ok.variant("V"), weights, torch.tensor(inputs)[:, None]).outputs[:, 0]
    first = bernoulli_loss(equations.output_layer(weights, hidden), torch.tensor(targets)).item() / len(inputs)
    other_inputs, other_targets = music.valid[1]
    hidden = equations.lstm(ok.variant("V"), weights, torch.tensor(other_inputs)[:, None]).outputs[:, 0]
    second = bernoulli_loss(equations.output_layer(weights, hidden), torch.tensor(other_targets)).item()
    pooled = (first * len(inputs) + second) / (len(inputs) + len(other_inputs))
    assert best["valid_metric"] == pytest.approx(pooled, rel=1e-5)


def test_a_loss_that_is_not_finite_is_a_result_with_what_was_measured(music):
    run = ok.train("NOAF", music, hidden_size=8, learning_rate=1e12, max_epochs=30, progress=False)
    assert run.result.state == "DIVERGED"
    assert "not finite" in run.result.error
    assert np.isfinite(run.history["train_loss"].astype(float)).all()
    assert len(run.history) < 30


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(music):
    settings = {"hidden_size": 6, "input_noise_std": 0.3, "max_epochs": 3, "progress": False}
    one, again, other = (ok.train("V", music, seed=seed, **settings) for seed in (1, 1, 2))
    assert one.result.metrics == again.result.metrics
    assert one.result.metrics != other.result.metrics


def test_noise_is_fresh_each_epoch_and_only_in_training(music):
    quiet = ok.train("V", music, hidden_size=6, learning_rate=0.0, max_epochs=3, patience=9, progress=False)
    noisy = ok.train(
        "V", music, hidden_size=6, learning_rate=0.0, input_noise_std=0.5, max_epochs=3, patience=9, progress=False
    )
    assert quiet.history["train_loss"].nunique() == 1
    assert noisy.history["train_loss"].nunique() == 3
    assert noisy.history["valid_metric"].nunique() == 1


def test_the_curve_keeps_what_each_epoch_measured(music):
    history = ok.train("V", music, hidden_size=6, max_epochs=3, progress=False).history
    assert list(history["updates"]) == [4, 8, 12]
    assert history["seconds"].is_monotonic_increasing
    assert (history["gradient_norm_max"] >= history["gradient_norm_mean"]).all()
    assert history["saturated_gates"].between(0, 1).all()
    assert (history["max_abs_output"] <= 1).all()  # |tanh| times a gate
    assert np.isfinite(history.drop(columns="is_best")).all(axis=None)


def test_the_seed_of_a_trial_is_not_shared_between_its_streams(music):
    # Noise must not change the order or the initial weights: same first-epoch order means same updates with std -> 0.
    settings = {"hidden_size": 6, "max_epochs": 2, "progress": False, "dtype": "float64"}
    without = ok.train("V", music, **settings)
    almost = ok.train("V", music, input_noise_std=1e-9, **settings)
    np.testing.assert_allclose(without.history["valid_metric"], almost.history["valid_metric"], rtol=1e-6)


# ---- specs and errors -----------------------------------------------------------------------------


def spec_of(**changes):
    fields = {
        "study": "s",
        "task": "t",
        "variant": ok.variant("V"),
        "index": 0,
        "params": {"hidden_size": 20, "learning_rate": 1e-3},
        "seed": "2a",
    }
    return ok.TrialSpec(**{**fields, **changes})


def test_a_key_is_the_hash_of_everything_resolved():
    assert spec_of().key == spec_of(params={"hidden_size": 20, "learning_rate": 1e-3, "momentum": 0.0}).key
    changed = [
        spec_of(index=1),
        spec_of(seed="2b"),
        spec_of(numerics=99),
        spec_of(variant=ok.variant("NP")),
        spec_of(protocol=ok.Protocol(clip=1.0)),
        spec_of(params={"hidden_size": 21, "learning_rate": 1e-3}),
    ]
    assert len({spec.key for spec in [spec_of(), *changed]}) == 7


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"hidden_size": 20}, "learning_rate"),
        ({"hidden_size": 20, "learning_rate": 1e-3, "dropout": 0.5}, "dropout"),
        ({"hidden_size": 20.5, "learning_rate": 1e-3}, "hidden_size is 20.5"),
        ({"hidden_size": 20, "learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"hidden_size": 20, "learning_rate": 1e-3, "momentum": 1.5}, "momentum is 1.5"),
        ({"hidden_size": 20, "learning_rate": math.nan}, "learning_rate is nan"),
        ({"hidden_size": 20, "learning_rate": math.inf}, "learning_rate is inf"),
        ({"hidden_size": 20, "learning_rate": "0.1"}, "learning_rate is '0.1'"),
        ({"hidden_size": 20, "learning_rate": 0.1, "momentum": 1.0}, "less than 1"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params, words):
    with pytest.raises(ok.UsageError, match=words):
        spec_of(params=params)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr_mode": "scaled"}, "'rescaled', 'raw'"),
        ({"max_epochs": 0}, "at least 1"),
        ({"max_epochs": 2.5}, "a whole number"),
        ({"clip": "1"}, "a number of at least 0"),
        ({"epochs": 3}, "unknown setting epochs"),
    ],
)
def test_an_unknown_protocol_setting_names_the_known_ones(settings, words):
    with pytest.raises(ok.UsageError, match=words):
        ok.Protocol.from_dict(settings)


def test_a_seed_is_a_whole_number(music):
    with pytest.raises(ok.UsageError, match="seed is -1"):
        ok.train("V", music, seed=-1)


def test_there_is_nothing_to_plot_before_an_epoch_is_finished(music):
    run = ok.train("NOAF", music, hidden_size=8, learning_rate=1e30, max_epochs=2, progress=False)
    assert run.result.curve == ()
    with pytest.raises(ok.UsageError, match="no epoch was finished"):
        run.plot()


def test_canonical_json_refuses_what_json_has_no_word_for():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": math.inf})
