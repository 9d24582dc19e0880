"""A compiled epoch is autograd and torch's own optimiser: mini-batches, two directions, every loss."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

import odyssey_kit as ok
from odyssey_kit.engine import equations
from odyssey_kit.engine.network import Network, sequences
from odyssey_kit.engine.parameters import Layout

FEATURES, HIDDEN, CLASSES, RATE, MOMENTUM = 3, 5, 4, 0.05, 0.7
LENGTHS = np.array([7, 4, 9, 5, 4])
OFFSETS = np.concatenate(([0], np.cumsum(LENGTHS)))
RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((OFFSETS[-1], FEATURES))
REAL = (RNG.random((OFFSETS[-1], CLASSES)) < 0.4).astype(float)
FRAMES = RNG.integers(0, CLASSES, OFFSETS[-1])
STRINGS = [[1, 2], [3], [2, 2, 1], [], [1]]
ORDER = np.array([2, 0, 4, 1, 3])


def one_hot(labels):
    return functional.one_hot(labels, CLASSES).double()


def ctc(logits, labels):
    log_p = functional.log_softmax(logits, 1)[:, None]
    lengths = [torch.tensor([len(x)]) for x in (logits, labels)]
    return functional.ctc_loss(log_p, labels[None], *lengths, reduction="sum")


ORACLES = {
    "bernoulli": lambda x, t: functional.binary_cross_entropy_with_logits(x, t, reduction="sum"),
    "cross-entropy": lambda x, t: functional.cross_entropy(x, t, reduction="sum"),
    "softmax-squares": lambda x, t: ((x.softmax(1) - one_hot(t)) ** 2).sum() / 2,
    "logistic-squares": lambda x, t: ((x.sigmoid() - one_hot(t)) ** 2).sum() / 2,
    "ctc": ctc,
}


def data_for(loss):
    if loss == "ctc":
        strings = np.concatenate([np.array(s, int) for s in STRINGS])
        ends = np.concatenate(([0], np.cumsum([len(s) for s in STRINGS])))
        return sequences(INPUTS, strings, OFFSETS, label_offsets=ends, dtype="float64")
    return sequences(INPUTS, REAL if loss == "bernoulli" else FRAMES, OFFSETS, dtype="float64")


def target_of(loss, s):
    if loss == "ctc":
        return torch.tensor(STRINGS[s], dtype=torch.int64)
    rows = slice(OFFSETS[s], OFFSETS[s + 1])
    return torch.tensor(REAL[rows] if loss == "bernoulli" else FRAMES[rows])


def net_inputs(layout, theta, inputs):
    """Return the output layer's net inputs of one sequence, by the equations."""
    weights = layout.weights(theta)
    x = torch.tensor(inputs)[:, None]
    hidden = [equations.lstm(layout.variant, weights, x).outputs]
    if layout.bidirectional:
        mirror = {name.removesuffix("_reverse"): w for name, w in weights.items() if name.endswith("_reverse")}
        hidden.append(equations.lstm(layout.variant, mirror, x.flip(0)).outputs.flip(0))
    return equations.output_layer(weights, torch.cat(hidden, dim=2))[:, 0]


def assert_epochs_agree(name, loss, *, batch_size, bidirectional, over_time=False, over_batch=False):
    layout = Layout(
        variant=ok.variant(name),
        input_size=FEATURES,
        hidden_size=HIDDEN,
        output_size=CLASSES,
        bidirectional=bidirectional,
    )
    start = 0.4 * np.random.default_rng(1).standard_normal(layout.parameter_count)
    network = Network(layout, start, data_for(loss), loss=loss, batch_size=batch_size)
    theta = torch.tensor(layout.spread(start), requires_grad=True)
    optimiser = torch.optim.SGD([theta], lr=RATE, momentum=MOMENTUM, nesterov=True)
    for _ in range(2):
        record = network.train_epoch(
            ORDER, learning_rate=RATE, momentum=MOMENTUM, mean_over_time=over_time, mean_over_batch=over_batch
        )
        losses = []
        for begin in range(0, len(ORDER), batch_size):
            members = ORDER[begin : begin + batch_size]
            optimiser.zero_grad()
            total = torch.zeros(())
            for s in members:
                logits = net_inputs(layout, theta, INPUTS[OFFSETS[s] : OFFSETS[s + 1]])
                scale = (LENGTHS[s] if over_time else 1) * (len(members) if over_batch else 1)
                total = total + ORACLES[loss](logits, target_of(loss, s)) / scale
            total.backward()
            optimiser.step()
            losses.append(total.item())
        assert record.loss == pytest.approx(sum(losses), rel=1e-10)
        assert record.updates == len(losses)
    buffer = optimiser.state[theta]["momentum_buffer"].numpy()
    expected = layout.weights(theta.detach().numpy() + MOMENTUM * RATE * buffer)
    wrong = {
        weight: np.abs(value - expected[weight]).max()
        for weight, value in network.weights().items()
        if not np.allclose(value, expected[weight], rtol=0, atol=1e-10)
    }
    assert not wrong, f"{name}, {loss}: weights are off by {wrong}"
    return network, layout


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("loss", ORACLES)
def test_every_loss_and_batch_size(loss, batch_size, bidirectional):
    assert_epochs_agree("V", loss, batch_size=batch_size, bidirectional=bidirectional)


@pytest.mark.parametrize("name", ["NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR", "RELU2LSTM"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_variant_in_both_directions(name, batch_size):
    assert_epochs_agree(name, "cross-entropy", batch_size=batch_size, bidirectional=True)
    assert_epochs_agree(name, "bernoulli", batch_size=batch_size, bidirectional=False)


def test_means_over_time_and_batch_divide_the_loss():
    assert_epochs_agree("V", "cross-entropy", batch_size=2, bidirectional=False, over_time=True, over_batch=True)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
def test_evaluation_is_the_equations_in_the_order_of_the_data(bidirectional):
    network, layout = assert_epochs_agree("V", "ctc", batch_size=2, bidirectional=bidirectional)
    theta = torch.tensor(network.theta)
    X, losses = network.net_inputs(network.data), network.sequence_losses(network.data)
    for s, (start, stop) in enumerate(pairwise(OFFSETS)):
        expected = net_inputs(layout, theta, INPUTS[start:stop])
        np.testing.assert_allclose(X[start:stop], expected, rtol=0, atol=1e-12)
        assert losses[s] == pytest.approx(ctc(expected, target_of("ctc", s)).item(), rel=1e-10)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
def test_evaluation_by_blocks_gives_each_sequence_what_it_has_alone(bidirectional):
    lengths = np.array([600, 1, 513, 512, 511, 3, *[1] * 600])  # a block has 512 rows, or one longer sequence
    rng = np.random.default_rng(3)
    layout = Layout(variant=ok.variant("V"), input_size=2, hidden_size=3, output_size=2, bidirectional=bidirectional)
    frames = rng.standard_normal((lengths.sum(), 2)).astype(np.float32)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    everything = sequences(frames, frames, offsets)
    first = sequences(frames[:5], frames[:5], np.array([0, 5]))
    network = Network(layout, rng.standard_normal(layout.parameter_count).astype(np.float32), first)
    short = network.net_inputs(first)
    together = network.net_inputs(everything)
    for s in (0, 1, 2, 3, 4, 5, 6, len(lengths) - 1):
        rows = slice(offsets[s], offsets[s + 1])
        alone = sequences(frames[rows], frames[rows], np.array([0, lengths[s]]))
        np.testing.assert_array_equal(network.net_inputs(alone), together[rows])
    np.testing.assert_array_equal(network.net_inputs(first), short)


def network_for(**changes):
    """Return what `Network` is made of: a layout of 3 inputs and 2 outputs, parameters, data."""
    layout = Layout(variant=ok.variant("NP"), input_size=3, hidden_size=2, output_size=2)
    made = {
        "parameters": np.zeros(layout.parameter_count, np.float32),
        "data": sequences(np.zeros((4, 3)), np.zeros((4, 2)), np.array([0, 3, 4])),
    }
    return Network(layout, **{**made, **changes})


LABELS = sequences(np.zeros((4, 3)), np.array([0, 1, 2, 0]), np.array([0, 3, 4]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": np.zeros(5, np.float32)}, r"parameters are \(5,\), expected"),
        ({"parameters": np.zeros(54)}, "inputs are .*float32, expected .*float64"),
        ({"data": sequences(np.zeros((4, 5)), np.zeros((4, 2)), np.array([0, 4]))}, r"\(4, 5\).*expected \(4, 3\)"),
        ({"data": sequences(np.zeros((4, 3)), np.zeros((4, 7)), np.array([0, 4]))}, r"\(4, 7\).*expected \(4, 2\)"),
        ({"data": sequences(np.zeros((4, 3)), np.zeros((4, 2)), np.array([0, 4, 4]))}, "leave out empty ones"),
        ({"data": LABELS}, "wants real targets"),
        (
            {"data": LABELS, "loss": "cross-entropy"},
            "4 labels, from 0 to 2, for 4 frames; expected classes from 0 to 1",
        ),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"gradient": "trunc"}, "gradient is 'trunc'"),
    ],
)
def test_what_would_be_read_beside_its_array_is_refused(changes, words):
    with pytest.raises(ok.UsageError, match=words):
        network_for(**changes)


def test_an_order_may_repeat_sequences_but_not_invent_them():
    network = network_for(batch_size=2)
    record = network.train_epoch(np.array([0, 0, 0, 1]), learning_rate=0.1, momentum=0.0)
    assert record.updates == 2 and np.isfinite(record.loss)
    for order in ([2], [-1], [[0]]):
        with pytest.raises(ok.UsageError, match="numbers from 0 to 1"):
            network.train_epoch(np.array(order), learning_rate=0.1, momentum=0.0)
    with pytest.raises(ok.UsageError, match="float64"):
        network.train_epoch(np.array([0]), learning_rate=0.1, momentum=0.0, inputs=np.zeros((4, 3)))


def test_the_label_error_rate_counts_edits_of_the_best_path():
    network, _ = assert_epochs_agree("V", "ctc", batch_size=1, bidirectional=False)
    X, wrong = network.net_inputs(network.data), 0
    for s, (start, stop) in enumerate(pairwise(OFFSETS)):
        path = X[start:stop].argmax(axis=1)
        decoded = [k for t, k in enumerate(path) if k != 0 and (t == 0 or k != path[t - 1])]
        wrong += edits(decoded, STRINGS[s])
    assert network.label_error_rate(network.data) == pytest.approx(wrong / sum(map(len, STRINGS)))


def edits(a, b):
    """Return the edit distance by its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(edits(a[1:], b) + 1, edits(a, b[1:]) + 1, edits(a[1:], b[1:]) + (a[0] != b[0]))


def test_saturated_gates_are_counted():
    layout = Layout(variant=ok.variant("V"), input_size=FEATURES, hidden_size=HIDDEN, output_size=CLASSES)
    parameters = np.zeros(layout.parameter_count)
    network = Network(layout, parameters, data_for("cross-entropy"), loss="cross-entropy")
    assert network.train_epoch(ORDER, learning_rate=0.0, momentum=0.0).saturated_gates == 0.0
    layout.weights(network.theta)["b_i"][:] = 9.0  # one gate of three is open for good
    assert network.train_epoch(ORDER, learning_rate=0.0, momentum=0.0).saturated_gates == pytest.approx(1 / 3)


def test_the_clstm_aligner_trains_too():
    layout = Layout(variant=ok.variant("V"), input_size=FEATURES, hidden_size=HIDDEN, output_size=CLASSES)
    start = 0.4 * np.random.default_rng(1).standard_normal(layout.parameter_count)
    network = Network(layout, start, data_for("ctc"), loss="clstm-ctc", batch_size=2)
    losses = [network.train_epoch(ORDER, learning_rate=0.02, momentum=0.5).loss for _ in range(30)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("loss", "words"),
    [("hinge", "expected one of bernoulli"), ("ctc", "sequence 0 has 7 frames")],
)
def test_what_cannot_be_trained_is_refused(loss, words):
    layout = Layout(variant=ok.variant("V"), input_size=FEATURES, hidden_size=HIDDEN, output_size=CLASSES)
    strings = np.array([1] * 9)
    data = sequences(INPUTS, strings, OFFSETS, label_offsets=np.array([0, 9, 9, 9, 9, 9]), dtype="float64")
    with pytest.raises(ok.UsageError, match=words):
        Network(layout, np.zeros(layout.parameter_count), data, loss=loss)
