"""Losses of one class a frame equal torch, and their deltas are the derivatives of the values they return."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odyssey_kit.engine import losses
from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.losses import (
    PLACEMENTS,
    bernoulli,
    bernoulli_losses,
    cross_entropy,
    cross_entropy_losses,
    logistic_squares,
    logistic_squares_losses,
    place_label,
    softmax_squares,
    softmax_squares_losses,
)

FRAME_LOSSES = {
    "cross_entropy": (cross_entropy, cross_entropy_losses),
    "softmax_squares": (softmax_squares, softmax_squares_losses),
    "logistic_squares": (logistic_squares, logistic_squares_losses),
}
# Of a delta, and of a loss a frame, in float32; largest seen in 60,000 frames of 88 classes: 4.4e-7 and 4.1e-7.
SINGLE = 1e-6


def by_torch(name, net_inputs, labels):
    """Return the loss summed over frames and its gradient, in float64."""
    x = torch.tensor(net_inputs.astype(np.float64), requires_grad=True)
    target = torch.tensor(labels)
    if name == "cross_entropy":
        loss = torch.nn.functional.cross_entropy(x, target, reduction="sum")
    else:
        y = torch.softmax(x, 1) if name == "softmax_squares" else torch.sigmoid(x)
        loss = 0.5 * ((y - torch.nn.functional.one_hot(target, x.shape[1])) ** 2).sum()
    loss.backward()
    return loss.item(), x.grad.numpy()


def draw(frames, classes, *, seed, spread=3.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (spread * rng.standard_normal((frames, classes))).astype(dtype), rng.integers(0, classes, frames)


frame_losses = pytest.mark.parametrize("name", FRAME_LOSSES)


@frame_losses
@given(
    frames=st.integers(1, 9),
    classes=st.integers(1, 40),
    spread=st.sampled_from([0.1, 3.0, 30.0]),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=50)
def test_value_and_delta_equal_torch(name, frames, classes, spread, seed):
    x, labels = draw(frames, classes, seed=seed, spread=spread)
    expected, gradient = by_torch(name, x, labels)
    delta = x.copy()
    loss = FRAME_LOSSES[name][0](delta, labels, 1.0)
    assert loss == pytest.approx(expected, rel=1e-13, abs=1e-13)
    np.testing.assert_allclose(delta, gradient, rtol=0, atol=1e-14)


@frame_losses
@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0])
def test_single_precision_stays_within_its_bound(name, spread):
    x, labels = draw(2000, 88, seed=1, spread=spread, dtype=np.float32)
    expected, gradient = by_torch(name, x, labels)
    delta = x.copy()
    loss = FRAME_LOSSES[name][0](delta, labels, 1.0)
    assert delta.dtype == np.float32
    assert abs(loss - expected) <= SINGLE * len(x)
    np.testing.assert_allclose(delta, gradient, rtol=0, atol=SINGLE)


@frame_losses
def test_delta_is_the_slope_of_the_value(name):
    x, labels = draw(6, 7, seed=2)
    loss = FRAME_LOSSES[name][0]
    delta = x.copy()
    loss(delta, labels, 1.0)
    for r, k in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[r, k] += 1e-5
        down[r, k] -= 1e-5
        slope = (loss(up, labels, 1.0) - loss(down, labels, 1.0)) / 2e-5
        assert slope == pytest.approx(delta[r, k], abs=1e-9)


@frame_losses
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_multiplies_both_and_rows_sum_to_the_whole(name, dtype):
    x, labels = draw(5, 11, seed=3, dtype=dtype)
    whole, rows = FRAME_LOSSES[name]
    once, scaled, each = x.copy(), x.copy(), np.empty(5)
    loss = whole(once, labels, 1.0)
    assert whole(scaled, labels, 0.2) == pytest.approx(0.2 * loss)
    np.testing.assert_allclose(scaled, 0.2 * once, rtol=1e-6)
    rows(x, labels, each)
    assert each.sum() == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "loss", "delta"),
    [
        ("cross_entropy", math.log(2), [-0.5, 0.5]),
        ("softmax_squares", 0.25, [-0.25, 0.25]),
        ("logistic_squares", 0.25, [-0.125, 0.125]),
    ],
)
def test_two_equal_net_inputs_by_hand(name, loss, delta):
    # y = (1/2, 1/2), target (1, 0), error e = (-1/2, 1/2): squares give (1/4 + 1/4) / 2; through the
    # softmax y (e - sum e y) = e / 2, through the logistic e y (1 - y) = e / 4.
    x = np.zeros((1, 2))
    assert FRAME_LOSSES[name][0](x, np.array([0]), 1.0) == pytest.approx(loss)
    np.testing.assert_allclose(x[0], delta)


@pytest.mark.parametrize("name", ["cross_entropy", "softmax_squares"])
@given(shift=st.floats(-1e3, 1e3), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_softmax_minds_differences_only(name, shift, seed):
    x, labels = draw(3, 6, seed=seed)
    moved = x + shift
    loss = FRAME_LOSSES[name][0]
    assert loss(moved, labels, 1.0) == pytest.approx(loss(x, labels, 1.0), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(moved, x, atol=1e-11)
    np.testing.assert_allclose(x.sum(axis=1), 0, atol=1e-14)


@frame_losses
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_net_inputs_do_not_overflow(name, dtype):
    x = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], dtype)
    loss = FRAME_LOSSES[name][0](x, np.array([0, 0]), 1.0)
    # Right in the first frame; in the second the class has output 0, and for the logistic one more has 1/2.
    expected = {"cross_entropy": 2e4, "softmax_squares": 1.0, "logistic_squares": 0.5 * (0.25 + 1 + 1 + 0.25)}
    assert loss == pytest.approx(expected[name])
    assert np.isfinite(x).all()


@frame_losses
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, -np.nan])
def test_what_is_not_a_number_is_seen(name, dtype, value):
    for classes in (3, 40):
        x, labels = draw(4, classes, seed=4, dtype=dtype)
        x[2, 1] = value
        assert math.isnan(FRAME_LOSSES[name][0](x, labels, 1.0))
        assert np.isnan(x[2, 1])
        assert np.isfinite(x[:2]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_minus_infinity_is_a_class_that_cannot_be(dtype):
    x = np.array([[0.0, -np.inf, 0.0]], dtype)
    assert cross_entropy(x, np.array([0]), 1.0) == pytest.approx(math.log(2))
    assert x.tolist() == [[-0.5, 0.0, 0.5]]
    x = np.array([[0.0, -np.inf]], dtype)
    assert cross_entropy(x, np.array([1]), 1.0) == math.inf
    x = np.array([[0.0, np.inf]], dtype)
    assert math.isnan(cross_entropy(x, np.array([1]), 1.0))


def test_a_saturated_logistic_keeps_its_digits():
    # Target 1 at x = -40 and target 0 at x = 40: the error is 1 and y (1 - y) = e^-40 up to e^-80.
    x = np.array([[-40.0, 40.0]])
    logistic_squares(x, np.array([0]), 1.0)
    np.testing.assert_allclose(x, [[-math.exp(-40), math.exp(-40)]], rtol=1e-14)
    # Almost right: the error e^-20 enters once more.
    x = np.array([[20.0, -20.0]], np.float32)
    logistic_squares(x, np.array([0]), 1.0)
    np.testing.assert_allclose(x, [[-math.exp(-40), math.exp(-40)]], rtol=2e-6)


def test_single_precision_exponential_is_as_good_as_it_says():
    @kernel
    def exponentials(x, out):
        for j in range(x.size):
            out[j] = losses.exp(x[j])

    x = np.linspace(-87, 88, 2_000_001, dtype=np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    assert np.abs(out / np.exp(x.astype(np.float64)) - 1).max() < 3.1e-7
    x = np.array([0, -0.0, -87.1, -np.inf, 89, np.inf, np.nan], np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    assert out[:4].tolist() == [1, 1, 0, 0]
    assert out[4] == out[5] == pytest.approx(math.exp(88), rel=1e-6)
    assert np.isnan(out[6])
    assert losses.exp(1.0) == math.e


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_of_a_row_is_numpys(dtype):
    @kernel
    def largest(x):
        return losses.largest_of(x)

    rng = np.random.default_rng(5)
    for n in (1, 2, 7, 8, 9, 88):
        for row in (rng.standard_normal(n), -1 - rng.random(n), rng.standard_normal(n) * 1e30, -np.zeros(n)):
            assert largest(row.astype(dtype)) == losses.largest_of(row.astype(dtype))
    assert largest(np.array([-np.inf, -np.inf], dtype)) == -np.inf


@given(frames=st.integers(1, 30), label=st.integers(1, 10), where=st.sampled_from(PLACEMENTS))
@settings(deadline=None)
def test_a_class_is_placed_and_all_other_steps_carry_epsilon(frames, label, where):
    labels = np.full(frames, -1)
    place_label(labels, label, PLACEMENTS.index(where))
    steps = {"last": [frames - 1], "middle": [frames // 2], "every": list(range(frames))}[where]
    assert np.flatnonzero(labels == label).tolist() == steps
    assert (np.delete(labels, steps) == 0).all()


def test_the_middle_of_five_steps_is_the_third():
    labels = np.empty(5, np.int64)
    place_label(labels, 7, PLACEMENTS.index("middle"))
    assert labels.tolist() == [0, 0, 7, 0, 0]


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-6), (np.float64, 1e-13)])
def test_independent_bernoullis_equal_torch(dtype, bound):
    rng = np.random.default_rng(6)
    x = (4 * rng.standard_normal((30, 88))).astype(dtype)
    targets = (rng.random((30, 88)) < 0.1).astype(dtype)
    ours = torch.tensor(x.astype(np.float64), requires_grad=True)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        ours, torch.tensor(targets.astype(np.float64)), reduction="sum"
    )
    expected.backward()
    delta, each = x.copy(), np.empty(30)
    loss = bernoulli(delta, targets, 0.5)
    assert loss == pytest.approx(0.5 * expected.item(), rel=bound)
    np.testing.assert_allclose(delta, 0.5 * ours.grad.numpy(), rtol=0, atol=bound)
    bernoulli_losses(x, targets, each)
    assert each.sum() == pytest.approx(expected.item(), rel=bound)
