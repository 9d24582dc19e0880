"""One epoch of training in one compiled call: products, time loop, loss and update, without the interpreter.

One sequence makes one update (section IV-B of the Odyssey). May import the engine's other modules.
"""

from __future__ import annotations

import math

import numpy as np

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.kernels import sequence_backward, sequence_forward
from odyssey_kit.engine.losses import bernoulli

__all__ = ["train_epoch"]


@kernel
def add_to_rows(X, row):
    """Add a vector to every row."""
    for r in range(X.shape[0]):
        x = X[r]
        for j in range(row.size):
            x[j] += row[j]


@kernel
def sum_rows(X, total):
    """Write the sum of all rows."""
    total[:] = 0
    for r in range(X.shape[0]):
        x = X[r]
        for j in range(total.size):
            total[j] += x[j]


@kernel
def clip_elements(gradient, bound):
    """Clamp every element to [-bound, bound]."""
    for j in range(gradient.size):
        gradient[j] = min(max(gradient[j], -bound), bound)


@kernel
def descend(theta, velocity, gradient, learning_rate, momentum, nesterov):
    """Apply one momentum step in one pass over memory and return the squared gradient norm.

    With Nesterov momentum theta is kept at the point ahead, theta + momentum * velocity, where the
    next gradient is wanted.
    """
    squares = theta.dtype.type(0)
    ahead = momentum if nesterov else theta.dtype.type(0)
    if nesterov:
        for j in range(theta.size):
            g = gradient[j]
            v = momentum * velocity[j] - learning_rate * g
            velocity[j] = v
            theta[j] += ahead * v - learning_rate * g
            squares += g * g
    else:
        for j in range(theta.size):
            g = gradient[j]
            v = momentum * velocity[j] - learning_rate * g
            velocity[j] = v
            theta[j] += v
            squares += g * g
    return squares


@kernel
def move_ahead(theta, velocity, factor):
    """Move theta along the velocity."""
    for j in range(theta.size):
        theta[j] += factor * velocity[j]


@kernel
def largest(X):
    """Return the largest absolute value."""
    most = X.dtype.type(0)
    for r in range(X.shape[0]):
        x = X[r]
        for j in range(x.size):
            most = max(most, abs(x[j]))
    return most


@kernel
def train_epoch(
    flags, theta, velocity, gradient, packed, packed_gradient, inputs, targets, offsets, order, settings, work
):
    """Train on every sequence once, in the given order, one update a sequence.

    Parameters
    ----------
    flags : Flags
        The variant.
    theta, velocity, gradient : ndarray
        (size,) flat vectors of one layout.
    packed, packed_gradient : tuple of ndarray
        (W, R, b, p, Rg, V, d), views of theta and of gradient.
    inputs, targets, offsets : ndarray
        Sequences end to end; noise is already in the inputs.
    order : ndarray
        Sequences in the order of this epoch.
    settings : tuple
        (learning_rate, momentum, nesterov, clip, mean): rate and momentum as they are applied, of
        theta's type; clip 0 for none; mean nonzero for a loss averaged over time.
    work : tuple of ndarray
        (A, D, C, Y, S, dY, X, dC, starts), room for the longest sequence.

    Returns
    -------
    tuple
        Sum of losses, updates made, largest |c|, largest |y|, sum and maximum of the gradient's
        norm. A loss that is not finite ends the epoch early, without an update.
    """
    W, R, b, p, Rg, V, d = packed
    gW, gR, gb, gp, gRg, gV, gd = packed_gradient
    learning_rate, momentum, nesterov, clip, mean = settings
    A, D, C, Y, S, dY, X, dC, starts = work
    H = R.shape[0]
    total, updates, norm_sum, norm_max = 0.0, 0, 0.0, 0.0
    largest_cell, largest_output = theta.dtype.type(0), theta.dtype.type(0)
    if nesterov:
        move_ahead(theta, velocity, momentum)
    for s in order:
        T = offsets[s + 1] - offsets[s]
        x, target = inputs[offsets[s] : offsets[s + 1]], targets[offsets[s] : offsets[s + 1]]
        a, delta, y, logits = A[:T], D[:T], Y[1 : T + 1], X[:T]
        np.dot(x, W, a)
        add_to_rows(a, b)
        sequence_forward(flags, starts[: T + 1], a, R, p, Rg, C, Y, S)
        np.dot(y, V, logits)
        add_to_rows(logits, d)
        loss = bernoulli(logits, target, 1.0 / T if mean else 1.0)
        if not math.isfinite(loss):
            total = loss
            break
        total += loss
        largest_cell = max(largest_cell, largest(C[1 : T + 1]))
        largest_output = max(largest_output, largest(y))
        np.dot(y.T, logits, gV)
        sum_rows(logits, gd)
        np.dot(logits, V.T, dY[:T])
        dC[:] = 0
        sequence_backward(flags, starts[: T + 1], a, R, p, Rg, C, S, dY[:T], delta, gp, dC)
        np.dot(x.T, delta, gW)
        np.dot(Y[:T].T, delta, gR)
        sum_rows(delta, gb)
        if flags.gate_recurrence:
            np.dot(np.ascontiguousarray(a[: T - 1, H : 4 * H]).T, np.ascontiguousarray(delta[1:, H : 4 * H]), gRg)
        if clip > 0:
            clip_elements(gradient, clip)
        norm = math.sqrt(descend(theta, velocity, gradient, learning_rate, momentum, nesterov))
        norm_sum += norm
        norm_max = max(norm_max, norm)
        updates += 1
    if nesterov:
        move_ahead(theta, velocity, -momentum)
    return total, updates, largest_cell, largest_output, norm_sum, norm_max
