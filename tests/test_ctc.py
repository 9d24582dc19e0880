"""CTC equals torch, a sum over all paths, and its own slope; the aligner equals a slow account of what clstm did."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odyssey_kit.engine.aligner import aligned
from odyssey_kit.engine.ctc import check_labels, ctc, ctc_loss, needed_frames
from odyssey_kit.errors import UsageError


def by_torch(net_inputs, labels):
    """Return loss and gradient at the net inputs, through log_softmax, in float64."""
    x = torch.tensor(net_inputs.astype(np.float64), requires_grad=True)
    loss = torch.nn.functional.ctc_loss(
        torch.log_softmax(x, 1)[:, None],
        torch.tensor(labels, dtype=torch.int64)[None],
        [len(net_inputs)],
        [len(labels)],
        blank=0,
        reduction="sum",
    )
    loss.backward()
    return loss.item(), x.grad.numpy()


def softmax(x):
    y = np.exp(x - x.max(axis=1, keepdims=True))
    return y / y.sum(axis=1, keepdims=True)


def run(loss, net_inputs, labels, scale=1.0):
    delta = np.array(net_inputs)
    return loss(delta, np.array(labels, np.int64), scale), delta


@st.composite
def cases(draw, room=True):
    """Draw net inputs and labels; few classes, so that labels repeat, and with room=True enough frames."""
    labels = draw(st.lists(st.integers(1, draw(st.integers(1, 5))), max_size=8))
    needed = len(labels) + sum(a == b for a, b in itertools.pairwise(labels))
    frames = draw(st.integers(max(1, needed if room else 1), 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    return draw(st.sampled_from([0.1, 3.0, 30.0])) * rng.standard_normal((frames, 6)), labels


# ---- CTC after Graves ----------------------------------------------------------------------------


@given(case=cases())
@settings(deadline=None, max_examples=150)
def test_loss_and_delta_equal_torch(case):
    expected, gradient = by_torch(*case)
    loss, delta = run(ctc, *case)
    assert loss == pytest.approx(expected, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(delta, gradient, rtol=0, atol=1e-10)


def exactly(net_inputs, labels):
    """Return loss and gradient by forward and backward sums of logarithms in extended precision."""
    x = net_inputs.astype(np.longdouble)
    x -= x.max(axis=1, keepdims=True)
    log_y = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    chain = np.array([0] + [k for label in labels for k in (label, 0)])

    def forward(log_y, chain):
        may_skip = np.concatenate(([False, False], (chain[2:] != 0) & (chain[2:] != chain[:-2])))
        before = np.full(2, -np.inf)
        sums = np.where(np.arange(len(chain)) < 2, log_y[0], -np.inf)
        yield sums
        for frame in log_y[1:]:
            padded = np.concatenate((before, sums))
            moved = np.logaddexp(padded[1:-1], np.where(may_skip, padded[:-2], -np.inf))
            sums = frame + np.logaddexp(sums, moved)
            yield sums

    y = log_y[:, chain]
    to_here = np.array(list(forward(y, chain)))
    from_here = np.array(list(forward(y[::-1, ::-1], chain[::-1])))[::-1, ::-1]
    log_likelihood = np.logaddexp(to_here[-1, -1], to_here[-1, -2])
    posterior = np.exp(to_here + from_here - y - log_likelihood)
    gradient = np.exp(log_y)
    for j, k in enumerate(chain):
        gradient[:, k] -= posterior[:, j]
    return -log_likelihood, gradient


def long_line(frames, length, *, spread):
    rng = np.random.default_rng(0)
    return (spread * rng.standard_normal((frames, 88))).astype(np.float32), rng.integers(1, 88, length)


@pytest.mark.parametrize(("frames", "length"), [(400, 40), (2000, 200)])
def test_long_sequences_equal_torch_in_both_precisions(frames, length):
    x, labels = long_line(frames, length, spread=1.0)
    expected, gradient = by_torch(x, labels)
    loss, delta = run(ctc, x.astype(np.float64), labels)
    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(delta, gradient, rtol=0, atol=1e-10)
    loss, delta = run(ctc, x, labels)
    assert delta.dtype == np.float32
    assert abs(loss - expected) <= 3e-7 * (expected + frames)
    np.testing.assert_allclose(delta, gradient, rtol=0, atol=1e-6)


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="this machine has no floats longer than float64")
@pytest.mark.parametrize("spread", [1.0, 50.0])
def test_long_sequences_are_exact_to_the_bounds_that_the_kernel_states(spread):
    x, labels = long_line(2000, 200, spread=spread)
    expected, gradient = exactly(x, labels)
    loss, delta = run(ctc, x.astype(np.float64), labels)
    assert abs(loss - expected) <= 1e-12 * expected
    assert np.abs(delta - gradient).max() <= 1e-12
    loss, delta = run(ctc, x, labels)
    assert abs(loss - expected) <= 3e-7 * (expected + len(x))
    assert np.abs(delta - gradient).max() <= 1e-6


@pytest.mark.parametrize("labels", [[], [1], [2, 1], [1, 1], [1, 2, 1]])
def test_loss_sums_over_every_path_that_reads_as_the_labels(labels):
    x = np.random.default_rng(1).standard_normal((5, 3))
    y = softmax(x)
    total, posterior = 0.0, np.zeros_like(y)
    for path in itertools.product(range(3), repeat=5):
        if [k for k, _ in itertools.groupby(path) if k != 0] == labels:
            chance = y[np.arange(5), path].prod()
            total += chance
            posterior[np.arange(5), path] += chance
    loss, delta = run(ctc, x, labels)
    assert loss == pytest.approx(-math.log(total), rel=1e-13)
    np.testing.assert_allclose(delta, y - posterior / total, rtol=0, atol=1e-14)


def test_class_zero_is_the_blank():
    # Two equally likely classes, two frames. "1" is read from 01, 10 and 11, not from 00.
    loss, delta = run(ctc, np.zeros((2, 2)), [1])
    assert loss == pytest.approx(-math.log(3 / 4))
    np.testing.assert_allclose(delta, [[1 / 2 - 1 / 3, 1 / 2 - 2 / 3]] * 2)
    # "11" needs the blank between: of eight paths of three frames only 101.
    loss, delta = run(ctc, np.zeros((3, 2)), [1, 1])
    assert loss == pytest.approx(math.log(8))
    np.testing.assert_allclose(delta, [[0.5, -0.5], [-0.5, 0.5], [0.5, -0.5]])


def test_no_labels_are_all_blanks():
    x = np.random.default_rng(2).standard_normal((7, 4))
    loss, delta = run(ctc, x, [])
    assert loss == pytest.approx(-np.log(softmax(x)[:, 0]).sum())
    np.testing.assert_allclose(delta, softmax(x) - [1, 0, 0, 0], atol=1e-15)


@given(case=cases())
@settings(deadline=None, max_examples=30)
def test_delta_is_the_slope_of_the_loss_and_sums_to_zero(case):
    x, labels = case
    loss, delta = run(ctc, x, labels)
    np.testing.assert_allclose(delta.sum(axis=1), 0, atol=1e-13)
    direction = np.random.default_rng(3).standard_normal(x.shape)
    up, down = (run(ctc, x + step * direction, labels)[0] for step in (1e-5, -1e-5))
    assert (up - down) / 2e-5 == pytest.approx((delta * direction).sum(), rel=1e-6, abs=1e-6 * (1 + loss * 1e-3))


def test_scale_multiplies_both():
    x = np.random.default_rng(4).standard_normal((9, 5))
    loss, delta = run(ctc, x, [3, 1])
    scaled_loss, scaled = run(ctc, x, [3, 1], 0.25)
    assert scaled_loss == 0.25 * loss
    np.testing.assert_array_equal(scaled, 0.25 * delta)


def test_a_net_that_knows_only_blanks_still_gets_its_gradient():
    # 200 labels at e^-30 each: their product, e^-6000, is far below the smallest float.
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1000, 30))
    x[:, 0] += 30
    labels = rng.integers(1, 30, 200)
    expected, gradient = by_torch(x, labels)
    loss, delta = run(ctc, x, labels)
    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(delta, gradient, rtol=0, atol=1e-9)
    np.testing.assert_allclose(delta.sum(axis=1), 0, atol=1e-12)


def test_a_net_that_is_sure_of_something_else_still_gets_its_gradient():
    # Each frame puts e^-500 on everything but class 5, in float64 and in float32.
    x = np.zeros((50, 6))
    x[:, 5] = 500
    for dtype in (np.float64, np.float32):
        loss, delta = run(ctc, x.astype(dtype), [1, 2, 2])
        assert loss == pytest.approx(by_torch(x, [1, 2, 2])[0], rel=1e-7)
        np.testing.assert_allclose(delta[:, 5], 1, atol=1e-6)
        np.testing.assert_allclose(delta.sum(axis=1), 0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_that_do_not_fit_give_infinity_and_no_delta(dtype):
    x = np.ones((3, 4), dtype)
    for labels in ([1, 2, 3, 1], [1, 1, 2]):
        loss, delta = run(ctc, x, labels)
        assert loss == math.inf
        assert not delta.any()
    assert run(ctc, x, [1, 2, 1])[0] < math.inf
    # As improbable as can be: the only label has output zero.
    x[:, 2] = -np.inf
    loss, delta = run(ctc, x, [2])
    assert loss == math.inf
    assert not delta.any()
    # It may also be that only a class elsewhere is impossible.
    loss, delta = run(ctc, x, [1])
    assert math.isfinite(loss)
    assert (delta[:, 2] == 0).all()


@pytest.mark.parametrize("loss", [ctc, aligned])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf])
def test_what_is_not_a_number_is_seen(loss, dtype, value):
    x = np.ones((4, 3), dtype)
    x[1, 2] = value
    value, delta = run(loss, x, [1])
    assert math.isnan(value)
    assert np.isnan(delta).all()


@given(labels=st.lists(st.integers(1, 3), max_size=12))
@settings(deadline=None)
def test_needed_frames_are_those_of_the_shortest_path(labels):
    needed = needed_frames(np.array(labels, np.int64))
    assert needed == sum(1 + (a == b) for a, b in itertools.pairwise([0, *labels]))
    if labels:
        assert run(ctc, np.zeros((needed, 4)), labels)[0] < math.inf
        assert run(ctc, np.zeros((needed - 1, 4)), labels)[0] == math.inf


def test_the_face_for_python_leaves_its_input_alone_and_says_what_does_not_fit():
    x = np.random.default_rng(6).standard_normal((5, 4)).astype(np.float32)
    before = x.copy()
    loss, delta = ctc_loss(x, np.array([1, 3], np.int32))
    np.testing.assert_array_equal(x, before)
    assert (loss, delta.tolist()) == (run(ctc, x, [1, 3])[0], run(ctc, x, [1, 3])[1].tolist())
    with pytest.raises(UsageError, match=r"sequence 7 has 5 frames for 4 labels, 3 of them .* needs 7 frames"):
        ctc_loss(x, np.array([2, 2, 2, 2]), sequence=7)
    with pytest.raises(UsageError, match=r"sequence 0 has labels from 0 to 4; expected 1 to 3"):
        ctc_loss(x, np.array([0, 4]))


def test_the_first_sequence_that_does_not_fit_is_named():
    labels, label_offsets = np.array([1, 2, 3, 3, 1]), np.array([0, 2, 2, 5])
    check_labels(labels, label_offsets, np.array([0, 2, 3, 7]), 4)
    check_labels(labels, label_offsets, None, 4)
    with pytest.raises(UsageError, match="sequence 2 has 3 frames for 3 labels, 1 of them"):
        check_labels(labels, label_offsets, np.array([0, 2, 3, 6]), 4)
    with pytest.raises(UsageError, match="sequence 2 has labels from 1 to 3; expected 1 to 2"):
        check_labels(labels, label_offsets, None, 3)


# ---- the aligner of clstm ------------------------------------------------------------------------


def slow_targets(net_inputs, labels):
    """Give clstm's soft targets: forward and backward over the chain, states normalised over time, then frames."""
    chain = [0] + [k for label in labels for k in (label, 0)]
    match = np.maximum(softmax(net_inputs), 1e-5)
    match = np.log(match / match.sum(axis=1, keepdims=True))[:, chain]

    def forward(match):
        previous, sums = -5.0 * np.arange(len(chain)), []
        for t, frame in enumerate(match):
            entering = np.concatenate(([-5.0 * t], previous[:-1]))
            previous = np.logaddexp(previous + frame, entering + frame)
            sums.append(previous)
        return np.array(sums)

    weights = forward(match) + forward(match[::-1, ::-1])[::-1, ::-1]
    weights = np.exp(np.maximum(weights - weights.max(), -30))
    weights /= weights.sum(axis=0)
    targets = np.zeros(net_inputs.shape)
    for j, k in enumerate(chain):
        targets[:, k] += weights[:, j]
    return targets / np.maximum(targets.sum(axis=1, keepdims=True), 1e-9)


@given(case=cases(room=False))
@settings(deadline=None, max_examples=150)
def test_aligner_equals_the_slow_one_for_labels_of_any_length(case):
    x, labels = case
    targets = slow_targets(x, labels)
    loss, delta = run(aligned, x, labels)
    np.testing.assert_allclose(delta, softmax(x) - targets, rtol=0, atol=1e-10)
    log_y = (
        x - np.log(np.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)) - x.max(axis=1, keepdims=True)
    )
    assert loss == pytest.approx(-(targets * log_y).sum(), rel=1e-10)


def test_aligner_equals_the_slow_one_on_long_lines_in_both_precisions():
    rng = np.random.default_rng(7)
    x = (3 * rng.standard_normal((800, 88))).astype(np.float32)
    labels = rng.integers(1, 88, 80)
    targets = slow_targets(x.astype(np.float64), labels)
    for dtype, bound in ((np.float64, 1e-10), (np.float32, 2e-5)):
        delta = run(aligned, x.astype(dtype), labels)[1]
        np.testing.assert_allclose(delta, softmax(x.astype(np.float64)) - targets, rtol=0, atol=bound)


def test_aligner_on_three_equal_frames_by_hand():
    # All outputs are 1/2; times 2^(t+1) the forward sums of ε A ε start from (1, q, q^2) with q = e^-5, and
    # each state adds the one before it, the first one 1, then 2q, then (2q)^2. Backward is the mirror image.
    q = math.exp(-5)
    forward = np.array(
        [
            [2, 1 + q, q + q**2],
            [2 + 2 * q, 3 + q, 1 + 2 * q + q**2],
            [2 + 2 * q + 4 * q**2, 5 + 3 * q, 4 + 3 * q + q**2],
        ]
    )
    weights = forward * forward[::-1, ::-1]
    # Without q: ε 8 2 0, A 5 9 5, ε 0 2 8, and over time ε .8 .2 0, A 5/19 9/19 5/19, ε 0 .2 .8.
    np.testing.assert_allclose(weights, [[8, 5, 0], [2, 9, 2], [0, 5, 8]], atol=0.2)
    states = weights / weights.sum(axis=0)
    targets = np.stack([states[:, 0] + states[:, 2], states[:, 1]], axis=1)
    targets /= targets.sum(axis=1, keepdims=True)
    assert targets[1, 1] == pytest.approx((9 / 19) / (0.4 + 9 / 19), abs=0.01)
    loss, delta = run(aligned, np.zeros((3, 2)), [1])
    np.testing.assert_allclose(delta, 0.5 - targets, atol=1e-14)
    assert loss == pytest.approx(3 * math.log(2))


def test_aligner_of_a_net_that_is_sure_asks_for_what_it_says():
    path = [0, 0, 2, 2, 0, 1, 0]
    x = np.zeros((7, 4))
    x[np.arange(7), path] = 30
    loss, delta = run(aligned, x, [2, 1])
    np.testing.assert_allclose(delta, 0, atol=2e-3)
    assert loss < 0.5


def test_aligner_gives_labels_more_than_graves_does():
    x = np.zeros((60, 5))
    labels = [1, 2, 3]
    mass = {loss: (softmax(x) - run(loss, x, labels)[1])[:, 1:].sum() for loss in (ctc, aligned)}
    assert mass[aligned] > 0 and mass[ctc] > 0
    x[:, 0] = 3.0
    mass = {loss: (softmax(x) - run(loss, x, labels)[1])[:, 1:].sum() for loss in (ctc, aligned)}
    assert mass[aligned] > 2 * mass[ctc]


def test_aligner_scales():
    x = np.random.default_rng(8).standard_normal((9, 5))
    loss, delta = run(aligned, x, [3, 1])
    scaled_loss, scaled = run(aligned, x, [3, 1], 0.25)
    assert scaled_loss == 0.25 * loss
    np.testing.assert_array_equal(scaled, 0.25 * delta)
