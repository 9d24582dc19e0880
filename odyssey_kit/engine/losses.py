"""Losses on the output layer's pre-activations, compiled: value, and delta in place.

Every loss takes the net inputs X (T, K) of one sequence, its targets and a scale, returns
scale * loss in nats and leaves scale * dLoss/dX in X. Those with one class a frame take int64 labels
(T,); `place_label` fills such labels for a sequence that has one class as a whole. Losses on shorter
label strings are in `ctc`. May import `compiled` and `primitives`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic, overload

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.primitives import tanh

__all__ = [
    "PLACEMENTS",
    "bernoulli",
    "bernoulli_losses",
    "cross_entropy",
    "cross_entropy_losses",
    "logistic_squares",
    "logistic_squares_losses",
    "place_label",
    "softmax_squares",
    "softmax_squares_losses",
]

# Factors of one product before its logarithm is taken: each is at least 1/2, so 64 stay in float32's range.
_CHUNK = 64

# Where a class is placed that a sequence has as a whole; the other steps carry class 0.
PLACEMENTS = ("last", "middle", "every")
_LAST, _MIDDLE, _EVERY = range(3)


# ---- 88 independent Bernoullis -------------------------------------------------------------------


@kernel
def bernoulli_row(x, target):
    r"""Replace net inputs x by p - target and return the row's negative log-likelihood in nats.

    Each unit is an independent Bernoulli with p = sigmoid(x): the loss of one is
    max(x, 0) - x t - log max(p, 1 - p), and the logarithms of a row are one logarithm of a product.
    """
    half = x.dtype.type(0.5)
    one = x.dtype.type(1)
    total = 0.0
    for start in range(0, x.size, _CHUNK):
        v, t = x[start : start + _CHUNK], target[start : start + _CHUNK]
        linear = x.dtype.type(0)
        product = one
        # Short loops over one array or two, because longer ones are not vectorised.
        for j in range(v.size):
            linear += half * (v[j] + abs(v[j])) - v[j] * t[j]
        for j in range(v.size):
            v[j] = half * tanh(half * v[j])  # p - 1/2
        for j in range(v.size):
            product *= half + abs(v[j])  # max(p, 1 - p)
        for j in range(v.size):
            v[j] = v[j] + half - t[j]
        total += linear - math.log(product)
    return total


@kernel
def multiply(X, scale):
    """Multiply every element by a number, if it is not 1."""
    if scale != 1.0:
        factor = X.dtype.type(scale)
        for r in range(X.shape[0]):
            row = X[r]
            for j in range(row.size):
                row[j] *= factor


@kernel
def bernoulli(X, targets, scale):
    """Sum of the rows' losses; X becomes the delta, both times scale."""
    total = 0.0
    for r in range(X.shape[0]):
        total += bernoulli_row(X[r], targets[r])
    multiply(X, scale)
    return total * scale


@kernel
def bernoulli_losses(X, targets, losses):
    """Write each row's loss; X is overwritten."""
    for r in range(X.shape[0]):
        losses[r] = bernoulli_row(X[r], targets[r])


# ---- exponential, and the softmax of a row -------------------------------------------------------

_SAME_WIDTH = {
    types.float32: types.int32,
    types.int32: types.float32,
    types.float64: types.int64,
    types.int64: types.float64,
}


def _reinterpret(_, x):
    def convert(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return _SAME_WIDTH[x](x), convert


# Reads the bits of a float as an integer of the same width, or the other way round.
reinterpret: Any = intrinsic(_reinterpret)


def exp(x: Any) -> Any:
    """Exponential function; in float32 a polynomial and an exponent that vectorise."""
    return np.exp(x)


@overload(exp)
def _exp(x):  # numpydoc ignore=GL08
    if x != types.float32:
        return lambda x: math.exp(x)

    # e^x = 2^n e^r with n the integer nearest to x / ln 2; Taylor's polynomial of e^r leaves 6e-9 at
    # |r| = ln(2)/2. Relative error below 3.1e-7 on [-87, 88], measured; most of it comes from n ln 2
    # taken in one piece. e^0 is exactly 1, e^x is 0 below -87 and e^88 above 88. NaN passes through.
    lowest, highest = np.float32(-87), np.float32(88)
    per_ln2, ln2 = np.float32(1 / math.log(2)), np.float32(math.log(2))
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    c2, c3, c4, c5, c6, c7 = (np.float32(1 / math.factorial(k)) for k in range(2, 8))
    mantissa_bits, bias = np.int32(23), np.int32(127)

    def power(x):
        inside = min(x if x > lowest else lowest, highest)
        n = np.floor(inside * per_ln2 + half)
        r = min(x, highest) - n * ln2
        series = one + r * (one + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * c7))))))
        value = series * reinterpret(np.int32((np.int32(n) + bias) << mantissa_bits))
        return zero if x < lowest else value

    return power


def largest_of(x: Any) -> Any:
    """Return the largest element of a row. A NaN may win or lose."""
    return np.max(x)


@overload(largest_of)
def _largest_of(x):  # numpydoc ignore=GL08
    # A maximum of floats that minds NaN does not vectorise, one of integers does: with the lower bits
    # of negative numbers flipped, the bits of floats are ordered as the floats are.
    integer = np.int32 if x.dtype == types.float32 else np.int64
    sign = integer(31 if integer is np.int32 else 63)
    magnitude = integer(np.iinfo(integer).max)
    smallest = integer(np.iinfo(integer).min)

    def largest(x):
        most = smallest
        for j in range(x.size):
            bits = reinterpret(x[j])
            most = max(most, integer(bits ^ ((bits >> sign) & magnitude)))
        return reinterpret(integer(most ^ ((most >> sign) & magnitude)))

    return largest


@kernel
def softmax_row(x):
    """Replace net inputs by their softmax and return log sum exp of them.

    A NaN, or an infinity that leaves no distribution, makes all of the row and the result NaN.
    In float32 probabilities are within 4e-7 of the exact ones.
    """
    shift = largest_of(x)
    total = x.dtype.type(0)
    for j in range(x.size):
        value = exp(x[j] - shift)
        x[j] = value
        total += value
    factor = x.dtype.type(1) / total
    for j in range(x.size):
        x[j] *= factor
    return np.float64(shift) + math.log(total)


# ---- one class a frame ---------------------------------------------------------------------------


@kernel
def place_label(labels, label, placement):
    """Fill the labels (T,) of a sequence that is of one class as a whole.

    Breuel's conditions: the class stands at the last step, at the middle step T // 2 or at every
    step, and all other steps carry class 0, epsilon.

    Parameters
    ----------
    labels : ndarray
        (T,) int64, overwritten.
    label : int
        The class.
    placement : int
        Position in `PLACEMENTS`.
    """
    labels[:] = label if placement == _EVERY else 0
    if placement == _LAST:
        labels[labels.size - 1] = label
    elif placement == _MIDDLE:
        labels[labels.size // 2] = label


@kernel
def cross_entropy_row(x, label):
    """Replace net inputs x by softmax(x) - target and return -log softmax(x)[label]."""
    chosen = np.float64(x[label])
    loss = softmax_row(x) - chosen
    x[label] -= x.dtype.type(1)
    return loss


@kernel
def cross_entropy(X, labels, scale):
    """Softmax cross-entropy summed over frames; X becomes the delta, both times scale."""
    total = 0.0
    for r in range(X.shape[0]):
        total += cross_entropy_row(X[r], labels[r])
    multiply(X, scale)
    return total * scale


@kernel
def cross_entropy_losses(X, labels, losses):
    """Write each row's softmax cross-entropy; X is overwritten."""
    for r in range(X.shape[0]):
        losses[r] = cross_entropy_row(X[r], labels[r])


@kernel
def softmax_squares_row(x, label):
    r"""Return half the squared error of softmax(x) against a class; x becomes the delta.

    With y = softmax(x), t the class as a unit vector and e = y - t, the loss is 1/2 sum e_k^2 and
    the delta y_k (e_k - sum_j e_j y_j), where sum_j e_j y_j = sum_j e_j^2 + e_label.
    """
    softmax_row(x)
    one = x.dtype.type(1)
    chosen = x[label]
    error = chosen - one
    x[label] = error
    squares = x.dtype.type(0)
    for j in range(x.size):
        squares += x[j] * x[j]
    mean = squares + error
    for j in range(x.size):
        x[j] *= x[j] - mean
    x[label] = chosen * (error - mean)
    return 0.5 * np.float64(squares)


@kernel
def softmax_squares(X, labels, scale):
    """Half the squared error of softmax outputs, summed over frames; X becomes the delta, both times scale."""
    total = 0.0
    for r in range(X.shape[0]):
        total += softmax_squares_row(X[r], labels[r])
    multiply(X, scale)
    return total * scale


@kernel
def softmax_squares_losses(X, labels, losses):
    """Write each row's half squared error of softmax outputs; X is overwritten."""
    for r in range(X.shape[0]):
        losses[r] = softmax_squares_row(X[r], labels[r])


@kernel
def logistic_squares_row(x, label):
    r"""Return half the squared error of sigmoid(x) against a class; x becomes the delta.

    With y = sigmoid(x) and t the class as a unit vector the loss is 1/2 sum (y - t)^2 and the delta
    (y - t) y (1 - y). The class itself is computed as the mirror image of the others: y - 1 is
    -sigmoid(-x). 1 - y is taken as e^-x y, so that no digits are lost where y is close to 1.
    """
    limit = x.dtype.type(80)
    one = x.dtype.type(1)
    squares = x.dtype.type(0)
    x[label] = -x[label]
    for j in range(x.size):
        inverse = exp(min(max(-x[j], -limit), limit))
        y = one / (one + inverse)
        squares += y * y
        x[j] = y * y * (inverse * y)
    x[label] = -x[label]
    return 0.5 * np.float64(squares)


@kernel
def logistic_squares(X, labels, scale):
    """Half the squared error of logistic outputs, summed over frames; X becomes the delta, both times scale."""
    total = 0.0
    for r in range(X.shape[0]):
        total += logistic_squares_row(X[r], labels[r])
    multiply(X, scale)
    return total * scale


@kernel
def logistic_squares_losses(X, labels, losses):
    """Write each row's half squared error of logistic outputs; X is overwritten."""
    for r in range(X.shape[0]):
        losses[r] = logistic_squares_row(X[r], labels[r])
