"""A population trains each trial as if it were alone: the numbers of the compiled kernels, up to rounding."""

from __future__ import annotations

import contextlib
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
from odyssey_kit.engine.population import DeviceBatch, Population, Update
from odyssey_kit.engine.population_filling import Filling, buckets, length_bucket
from odyssey_kit.training.population import run_population, train_population
from odyssey_kit.training.trainer import Trainer
from odyssey_kit.variants import ODYSSEY_VARIANTS, VARIANTS

KEYS = 5
SIGMOIDS = VARIANTS["V"].replace(name="sigmoid-out", output_activation="sigmoid", input_activation="sigmoid")
FGR_SIGMOIDS = VARIANTS["FGR"].replace(name="FGR-sigmoid-out", output_activation="sigmoid")
FGR_PRINTED = VARIANTS["FGR"].replace(name="FGR-printed", fgr_output_peephole="previous")
UNGATED = VARIANTS["NP"].replace(name="no-gates", input_gate=False, forget_gate="none", output_gate=False)
CELLS = [*ODYSSEY_VARIANTS.values(), VARIANTS["RELU2LSTM"], SIGMOIDS, FGR_SIGMOIDS, FGR_PRINTED, UNGATED]
IDS = [cell.name for cell in CELLS]

# Hidden sizes within one bucket, none of which is the size that they are filled up to.
THREE = (
    {"hidden_size": 7, "learning_rate": 0.05, "momentum": 0.9, "input_noise_std": 0.0},
    {"hidden_size": 6, "learning_rate": 0.02, "momentum": 0.3, "input_noise_std": 0.4},
    {"hidden_size": 7, "learning_rate": 0.1, "momentum": 0.0, "input_noise_std": 0.1},
)


def rolls(seed, lengths):
    """Made-up music: each frame is random."""
    rng = np.random.default_rng(seed)
    frames = [(rng.random((length + 1, KEYS)) < 0.3).astype(np.float32) for length in lengths]
    return Split.from_list([(piece[:-1], piece[1:]) for piece in frames])


MUSIC = SequenceDataset(
    name="made-up-music",
    task="next-step",
    train=rolls(0, [7, 1, 9, 5]),
    valid=rolls(1, [4, 6]),
    test=rolls(2, [5, 8, 2]),
    input_size=KEYS,
    output_size=KEYS,
    sha256="0" * 64,
)


def specs_of(cell, params=THREE, **protocol):
    settings = {"dtype": "float64", "max_epochs": 2, "initial_weight_std": 0.4, **protocol}
    return [
        ok.TrialSpec(
            study="s",
            task=MUSIC.name,
            variant=cell,
            index=k,
            params=each,
            seed=f"{k + 1:x}",
            protocol=ok.Protocol(**settings),
        )
        for k, each in enumerate(params)
    ]


def alone(spec, dataset=MUSIC):
    """Return a trial's result and best weights from the compiled kernels."""
    trainer = Trainer(spec, dataset)
    return trainer.run(), trainer.network.weights()


def curve_of(result):
    rows = [dataclasses.asdict(row) for row in result.curve]
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else {}) if name != "seconds"}


def assert_same_trial(training, spec, tolerance=1e-9, dataset=MUSIC):
    expected, weights = alone(spec, dataset)
    result = training.result
    assert (result.key, result.state, result.best_epoch) == (expected.key, expected.state, expected.best_epoch)
    assert (result.error, result.n_parameters) == (expected.error, expected.n_parameters)
    wrong = {}
    pairs = [(curve_of(result), curve_of(expected)), (result.metrics, expected.metrics)]
    pairs += [(training.weights, weights)] if expected.best_epoch else []
    for got, wanted in pairs:
        assert got.keys() == wanted.keys()
        for name, value in wanted.items():
            assert np.shape(got[name]) == np.shape(value), name
            error = np.max(np.abs(np.asarray(got[name], float) - value), initial=0)
            if not error <= tolerance * max(1.0, np.max(np.abs(value), initial=0)):
                wrong[name] = error
    assert not wrong, f"{spec.variant.name}, hidden_size={spec.params['hidden_size']}: off by {wrong}"


def assert_same_trials(specs, **options):
    for training, spec in zip(train_population(specs, dataset=MUSIC), specs, strict=True):
        assert_same_trial(training, spec, **options)


# ---- the same trial ------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_three_trials_at_once_equal_each_alone(cell):
    assert_same_trials(specs_of(cell))


@pytest.mark.parametrize(
    "protocol",
    [
        {"gradient": "carousel"},
        {"clip": 0.05},
        {"momentum_type": "heavy-ball"},
        {"loss_reduction": "mean", "lr_mode": "raw"},
        {"gradient": "carousel", "clip": 0.02, "momentum_type": "heavy-ball", "loss_reduction": "mean"},
    ],
    ids=lambda protocol: "+".join(map(str, protocol.values())),
)
@pytest.mark.parametrize("cell", [VARIANTS["V"], VARIANTS["CIFG"], FGR_PRINTED], ids=lambda cell: cell.name)
def test_every_setting_of_the_protocol(cell, protocol):
    assert_same_trials(specs_of(cell, **protocol))


@pytest.mark.parametrize("cell", [VARIANTS["V"], VARIANTS["FGR"], SIGMOIDS], ids=lambda cell: cell.name)
def test_single_precision_is_near(cell):
    assert_same_trials(specs_of(cell, dtype="float32"), tolerance=2e-4)


def test_saturated_gates_are_counted_among_real_gates_only():
    cell, hidden = VARIANTS["V"].replace(name="relu-gates", gate_activation="relu"), 6
    layout = Layout(variant=cell, input_size=KEYS, hidden_size=hidden, output_size=KEYS)
    start = 0.5 * np.random.default_rng(3).standard_normal(layout.parameter_count)
    split, orders = MUSIC.train, np.array([[2, 0, 1, 3], [0, 1, 2, 3]])
    data = sequences(split.inputs, split.targets, split.offsets, dtype="float64")
    update = Update(learning_rates=np.full(2, 0.01), momenta=np.full(2, 0.5))
    together = Population([layout] * 2, [start] * 2, data, update).train_epoch(orders)
    for order, record in zip(orders, together, strict=True):
        expected = Network(layout, start, data).train_epoch(order, learning_rate=0.01, momentum=0.5)
        assert 0.1 < expected.saturated_gates < 0.9
        np.testing.assert_allclose(record, expected, rtol=1e-10)


# ---- filling changes nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_units_that_are_only_filling_stay_at_zero_weights(cell):
    layouts = [Layout(variant=cell, input_size=KEYS, hidden_size=n, output_size=KEYS) for n in (3, 9)]
    rng = np.random.default_rng(0)
    starts = [0.5 * rng.standard_normal(layout.parameter_count) for layout in layouts]
    data = sequences(MUSIC.train.inputs, MUSIC.train.targets, MUSIC.train.offsets, dtype="float64")
    update = Update(learning_rates=np.full(2, 0.05), momenta=np.full(2, 0.9))
    population = Population(layouts, starts, data, update)
    population.train_epoch(np.array([[2, 0, 1, 3], [0, 1, 2, 3]]))
    for k, layout in enumerate(layouts):
        real = population.filling.fill(layout, np.ones(layout.parameter_count)) != 0
        assert real.sum() == layout.parameter_count
        for vectors in (population.theta, population.velocity):
            assert not vectors[k].numpy()[~real].any()
            assert vectors[k].numpy()[real].all() or "relu" in (cell.input_activation, cell.output_activation)


def population_of(cell, starts, data, *, hidden=3, rate=0.05, momentum=0.9):
    layout = Layout(variant=cell, input_size=KEYS, hidden_size=hidden, output_size=KEYS)
    if np.isscalar(starts):
        rng = np.random.default_rng(0)
        starts = [0.4 * rng.standard_normal(layout.parameter_count) for _ in range(starts)]
    update = Update(learning_rates=np.full(len(starts), rate), momenta=np.full(len(starts), momentum))
    return Population([layout] * len(starts), starts, data, update)


def music_data():
    return sequences(MUSIC.train.inputs, MUSIC.train.targets, MUSIC.train.offsets, dtype="float64")


@pytest.mark.parametrize("output", ["linear", "tanh"])
def test_an_overflow_behind_a_sequences_end_does_not_reach_it(output):
    # The forget gate multiplies the cell by 1e60 a step: a sequence of one frame is well, but behind
    # its end, while its neighbour still runs, its cell is soon infinite.
    cell = VARIANTS["NP"].replace(
        name="explosive", gate_activation="relu", input_activation="linear", output_activation=output
    )
    layout = Layout(variant=cell, input_size=KEYS, hidden_size=3, output_size=KEYS)
    explosive = np.full(layout.parameter_count, 0.01)
    position = 4 * 3 * (KEYS + 3) + 2 * 3  # b_f in storage order, behind W, R, b_z and b_i
    explosive[position : position + 3] = 1e60
    assert (layout.weights(layout.spread(explosive))["b_f"] == 1e60).all()
    lengths = [1, 12]
    split = rolls(4, lengths)
    data = sequences(split.inputs, split.targets, split.offsets, dtype="float64")
    beside = population_of(cell, [explosive, np.full(layout.parameter_count, 0.01)], data)
    by_itself = population_of(cell, [explosive], data)
    for population, which, steps in ((beside, [[0, 1], lengths], 12), (by_itself, [[0], [1]], 1)):
        population._which.copy_(torch.tensor(which))
        population._step(steps)
        assert np.isfinite(population.theta.numpy()).all()
    torch.testing.assert_close(beside.theta[:1], by_itself.theta, rtol=1e-12, atol=0)


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_more_steps_than_any_sequence_has_change_nothing(cell):
    exact, filled = (population_of(cell, 2, music_data()) for _ in range(2))
    step = filled._step
    filled._step = lambda steps: step(length_bucket(steps, 9))
    orders = np.array([[1, 0, 3, 2], [1, 2, 3, 0]])
    np.testing.assert_allclose(filled.train_epoch(orders), exact.train_epoch(orders), rtol=1e-12)
    torch.testing.assert_close(filled.theta, exact.theta, rtol=1e-12, atol=1e-14)


def test_evaluation_equals_the_equations():
    for cell in CELLS:
        population = population_of(cell, 2, music_data(), hidden=5)
        split = MUSIC.test
        batch = sequences(split.inputs, split.targets, split.offsets, dtype="float64")
        losses = population.sequence_losses(DeviceBatch(batch, torch.device("cpu")))
        for k in range(2):
            weights = {name: torch.tensor(value) for name, value in population.weights(k).items()}
            for s in range(len(split)):
                inputs, targets = (torch.tensor(array, dtype=torch.float64) for array in split[s])
                hidden = equations.lstm(cell, weights, inputs[:, None]).outputs[:, 0]
                logits = equations.output_layer(weights, hidden)
                expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
                assert losses[k, s] == pytest.approx(expected.item(), rel=1e-12), cell.name


# ---- stopping, divergence, neighbours ----------------------------------------------------------------


def test_a_trial_that_stops_early_leaves_the_others_as_they_were():
    # The first never improves on its first epoch, the others run on.
    params = ({**THREE[0], "learning_rate": 0.0}, THREE[1], THREE[2])
    specs = specs_of(VARIANTS["V"], params, max_epochs=6, patience=2)
    trained = train_population(specs, dataset=MUSIC)
    assert len(trained[0].result.curve) == 4 < len(trained[1].result.curve)
    for training, spec in zip(trained, specs, strict=True):
        assert_same_trial(training, spec, tolerance=1e-8)


UNBOUNDED = VARIANTS["NP"].replace(
    name="unbounded", gate_activation="relu", input_activation="linear", output_activation="linear"
)


@pytest.mark.parametrize(
    ("rate", "momentum", "epochs", "words"),
    [(10.0, 0.5, 0, "training loss"), (100.0, 0.5, 1, "training loss"), (1000.0, 0.5, 1, "validation metric")],
)
def test_a_trial_that_diverges_does_not_poison_its_neighbours(rate, momentum, epochs, words):
    wild = {**THREE[1], "learning_rate": rate, "momentum": momentum}
    calm = [{**THREE[k], "learning_rate": 0.01} for k in (0, 2)]
    specs = specs_of(UNBOUNDED, (calm[0], wild, calm[1]), max_epochs=4)
    trained = train_population(specs, dataset=MUSIC)
    assert [training.result.state for training in trained] == ["COMPLETE", "DIVERGED", "COMPLETE"]
    assert len(trained[1].result.curve) == epochs and trained[1].result.error.startswith(words)
    assert trained[1].result.error == alone(specs[1])[0].error
    for k in (0, 2):
        assert_same_trial(trained[k], specs[k])


def test_the_order_of_specs_does_not_matter():
    specs = specs_of(VARIANTS["V"]) + specs_of(VARIANTS["V"], [{**THREE[0], "hidden_size": 20}])
    forth, back = run_population(specs, dataset=MUSIC), run_population(specs[::-1], dataset=MUSIC)
    assert [result.key for result in forth] == [spec.key for spec in specs]
    for one, other in zip(forth, back[::-1], strict=True):
        assert (one.key, one.metrics, one.best_epoch) == (other.key, other.metrics, other.best_epoch)


def test_results_come_as_trials_stop_and_say_which_engine_made_them():
    params = (THREE[1], {**THREE[0], "learning_rate": 0.0})
    specs, came = specs_of(VARIANTS["V"], params, max_epochs=4, patience=1), []
    results = run_population(specs, dataset=MUSIC, on_result=came.append)
    assert [result.key for result in came] == [specs[1].key, specs[0].key]
    assert {result.provenance["engine"] for result in results} == {"population-cpu"}
    assert all("torch" in result.provenance["versions"] for result in results)
    assert all(result.seconds >= result.curve[-1].seconds > 0 for result in results)


def test_groups_of_at_most_so_many_are_the_same_trials():
    specs = specs_of(VARIANTS["NP"])
    for one, other in zip(
        run_population(specs, dataset=MUSIC), run_population(specs, dataset=MUSIC, at_once=1), strict=True
    ):
        assert one.metrics == pytest.approx(other.metrics, rel=1e-10)


def test_noise_of_the_device_is_another_stream_and_named():
    quiet, noisy = {**THREE[0], "input_noise_std": 0.0}, {**THREE[1], "input_noise_std": 0.5}
    specs = specs_of(VARIANTS["V"], (quiet, noisy))
    first, again = (train_population(specs, dataset=MUSIC, noise="device") for _ in range(2))
    assert [training.result.provenance["engine"] for training in first] == ["population-device-noise"] * 2
    assert first[1].result.metrics == again[1].result.metrics
    assert_same_trial(first[0], specs[0])
    assert first[1].result.metrics["train_loss"] != alone(specs[1])[0].metrics["train_loss"]
    assert math.isclose(first[1].result.metrics["train_loss"], alone(specs[1])[0].metrics["train_loss"], rel_tol=0.2)


# ---- the way to a CUDA graph, with stand-ins -----------------------------------------------------------


class FakeGraph:
    """Stands in for a CUDA graph: holds the steps that were captured, runs them on replay."""

    current = None

    def __init__(self):
        self.steps = self.work = None

    def __enter__(self):
        FakeGraph.current = self

    def __exit__(self, *error):
        FakeGraph.current = None

    def replay(self):
        self.work(self.steps)


class FakeStream(contextlib.nullcontext):
    """Stands in for a CUDA stream."""

    def wait_stream(self, other):
        pass


def test_one_graph_a_length_bucket_and_its_capture_leaves_no_trace(monkeypatch):
    exact, captured = (population_of(VARIANTS["V"], 2, music_data()) for _ in range(2))
    work, direct = captured._step, []

    def step(steps):
        if FakeGraph.current is None:
            direct.append(steps)
            work(steps)
        else:
            FakeGraph.current.steps, FakeGraph.current.work = steps, work

    monkeypatch.setattr(captured, "_step", step)
    monkeypatch.setattr(captured, "_captures", True)
    monkeypatch.setattr("odyssey_kit.engine.population_filling._STEPS", 5)
    for name, stand_in in {
        "Stream": lambda device: FakeStream(),
        "current_stream": lambda device: FakeStream(),
        "stream": lambda stream: stream,
        "device": lambda device: contextlib.nullcontext(),
        "CUDAGraph": FakeGraph,
        "graph": lambda graph: graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    orders = np.array([[1, 3, 0, 2], [1, 3, 2, 0]])  # of 7, 1, 9 and 5 frames
    for _ in range(2):
        np.testing.assert_allclose(captured.train_epoch(orders), exact.train_epoch(orders), rtol=1e-12)
    torch.testing.assert_close(captured.theta, exact.theta, rtol=1e-12, atol=1e-14)
    assert direct == [5, 9]  # once before each capture, never again
    captured.keep([1])
    exact.keep([1])
    np.testing.assert_allclose(captured.train_epoch(orders[1:]), exact.train_epoch(orders[1:]), rtol=1e-12)
    assert direct == [5, 9, 5, 9]


# ---- groups and errors ---------------------------------------------------------------------------------


def test_buckets_hold_every_network_once_and_waste_little():
    sizes = np.random.default_rng(0).integers(20, 201, 500).tolist()
    groups = buckets(sizes, spread=1.3, most=40)
    assert sorted(k for group in groups for k in group) == list(range(500))
    for group in groups:
        inside = [sizes[k] for k in group]
        assert len(group) <= 40 and max(inside) <= 1.3 * min(inside) and inside[0] == max(inside)
    assert buckets([]) == []
    with pytest.raises(ok.UsageError, match="spread is"):
        buckets([1], spread=0.5)


def test_a_length_bucket_is_never_shorter_than_its_sequences():
    for steps in range(1, 101):
        assert steps <= length_bucket(steps, 100) <= min(steps + 15, 100)


def test_no_specs_give_no_results():
    assert run_population([], dataset=MUSIC) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"variant": VARIANTS["NP"]}, "one variant, but the 2 trials are of 2"),
        ({"protocol": ok.Protocol(max_epochs=9)}, "one protocol"),
        ({"task": "other"}, "one task"),
    ],
)
def test_trials_that_do_not_belong_together_are_refused(change, words):
    first, second, _ = specs_of(VARIANTS["V"])
    with pytest.raises(ok.UsageError, match=words):
        run_population([first, dataclasses.replace(second, **change)], dataset=MUSIC)


def test_what_cannot_run_is_refused():
    specs = specs_of(VARIANTS["V"])
    with pytest.raises(ok.UsageError, match="'exact', 'device'"):
        run_population(specs, dataset=MUSIC, noise="pink")
    with pytest.raises(ok.UsageError, match="the data set is 'other'"):
        run_population(specs, dataset=dataclasses.replace(MUSIC, name="other"))
    speech = dataclasses.replace(ok.load_dataset("synthetic-speech"), name=MUSIC.name)
    with pytest.raises(ok.UsageError, match="'frame-wise' task"):
        run_population(specs, dataset=speech)
    if not torch.cuda.is_available():
        with pytest.raises(ok.UsageError, match="finds no GPU"):
            run_population(specs, dataset=MUSIC, device="cuda")
    with pytest.raises(ok.UsageError, match="differ in hidden size only"):
        Filling([Layout(variant=VARIANTS[name], input_size=2, hidden_size=3, output_size=1) for name in ("V", "NP")])
    with pytest.raises(ok.UsageError, match="at least one network"):
        Filling([])
    with pytest.raises(ok.UsageError, match="orders are"):
        population_of(VARIANTS["V"], 2, music_data()).train_epoch(np.zeros((1, 4), np.int64))
    labels = sequences(MUSIC.train.inputs, np.zeros(22, np.int64), MUSIC.train.offsets, dtype="float64")
    with pytest.raises(ok.UsageError, match="trained on next steps"):
        population_of(VARIANTS["V"], 2, labels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU: CUDA graphs NOT tested")
@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_a_gpu_gives_the_same_trials(cell):
    specs = specs_of(cell)
    for training, spec in zip(train_population(specs, dataset=MUSIC, device="cuda"), specs, strict=True):
        assert training.result.provenance["engine"] == "population-cuda"
        assert_same_trial(training, spec)
