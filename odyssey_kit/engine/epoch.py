"""One epoch of training in one compiled call: products, time loop, loss and update, without the interpreter.

A mini-batch of one sequence, the Odyssey's (section IV-B), works on the data where they lie; a larger
one is packed first. May import the engine's other modules.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from odyssey_kit.engine.aligner import aligned
from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.ctc import ctc
from odyssey_kit.engine.descent import clip_elements, count_saturated, descend, largest, move_ahead
from odyssey_kit.engine.kernels import sequence_backward, sequence_forward
from odyssey_kit.engine.losses import bernoulli, cross_entropy, logistic_squares, softmax_squares
from odyssey_kit.engine.products import matrix_product, transpose

__all__ = ["LOSSES", "Sequences", "Settings", "evaluate", "losses_of_sequences", "train_epoch"]

# The losses of an epoch by name. The first has real targets a frame, the last two a string of labels
# a sequence, the others a label a frame.
LOSSES = ("bernoulli", "cross-entropy", "softmax-squares", "logistic-squares", "ctc", "clstm-ctc")
_BERNOULLI, _CROSS_ENTROPY, _SOFTMAX_SQUARES, _LOGISTIC_SQUARES, _CTC, _CLSTM = range(len(LOSSES))


class Sequences(NamedTuple):
    """Training sequences end to end: s has frames ``offsets[s]:offsets[s + 1]`` and labels likewise."""

    inputs: np.ndarray
    targets: np.ndarray  # (frames, outputs), or no rows where labels are used
    labels: np.ndarray  # (labels,) int64
    offsets: np.ndarray
    label_offsets: np.ndarray


class Settings(NamedTuple):
    """How an epoch is trained; rate and momentum are used as they are given here, of theta's type."""

    learning_rate: np.floating
    momentum: np.floating
    clip: np.floating  # bound on each element of the gradient; 0 for none
    nesterov: bool
    mean_over_time: bool
    mean_over_batch: bool
    loss: int
    batch_size: int


@kernel
def affine(x, W, b, out):
    """Write x @ W + b."""
    for r in range(out.shape[0]):
        row = out[r]
        for j in range(b.size):
            row[j] = b[j]
    matrix_product(x, W, out, True)


@kernel
def sum_rows(X, total):
    """Write the sum of all rows."""
    total[:] = 0
    for r in range(X.shape[0]):
        x = X[r]
        for j in range(total.size):
            total[j] += x[j]


@kernel
def take_rows(X, rows, taken):
    """Write the named rows of X, one after the other."""
    for r in range(rows.size):
        x, to = X[rows[r]], taken[r]
        for j in range(to.size):
            to[j] = x[j]


@kernel
def pack_batch(offsets, members, starts, frames, previous, reversal):
    """Pack sequences, longest first: write the index arrays of their rows and return the number of steps.

    starts (steps + 1) is the first row of each step; for each row, frames is its frame, previous the
    row of its step before among [initial states, rows], and reversal its mirror within its sequence.
    """
    lengths = offsets[members + 1] - offsets[members]
    order = np.argsort(-lengths, kind="mergesort")
    members[:] = members[order]
    lengths = lengths[order]
    B, steps, row = members.size, lengths[0], 0
    for t in range(steps):
        starts[t] = row
        for b in range(B):
            if lengths[b] <= t:
                break
            frames[row] = offsets[members[b]] + t
            previous[row] = b if t == 0 else B + starts[t - 1] + b
            row += 1
    starts[steps] = row
    for t in range(steps):
        for b in range(starts[t + 1] - starts[t]):
            reversal[starts[t] + b] = starts[lengths[b] - 1 - t] + b
    return steps


@kernel
def forward(flags, starts, x, weights, work):
    """Run one direction over packed inputs from zero states."""
    W, R, b, p, Rg = weights
    A, _, C, Y, S, _, _ = work
    B = starts[1]
    a = A[: x.shape[0]]
    affine(x, W, b, a)
    C[:B] = 0
    Y[:B] = 0
    sequence_forward(flags, starts, a, R, p, Rg, C, Y, S)


@kernel
def backward(flags, starts, previous, x, weights, gradients, work):
    """Take one direction's output error dY back to the gradients of its weights."""
    _, R, _, p, Rg = weights
    gW, gR, gb, gp, gRg = gradients
    A, D, C, Y, S, dY, dC = work
    rows, H, B = x.shape[0], R.shape[0], starts[1]
    a, delta = A[:rows], D[:rows]
    dC[:B] = 0
    sequence_backward(flags, starts, a, R, p, Rg, C, S, dY, delta, gp, dC[:B])
    matrix_product(x.T, delta, gW, False)
    sum_rows(delta, gb)
    before = Y[:rows]
    if B > 1:
        before = np.empty((rows, H), Y.dtype)
        take_rows(Y, previous[:rows], before)
    matrix_product(before.T, delta, gR, False)
    if flags.gate_recurrence:
        gates = a[: rows - 1, H : 4 * H]
        if B > 1:
            gates = np.empty((rows - B, 4 * H), A.dtype)[:, : 3 * H]
            take_rows(a[:, H : 4 * H], previous[B:rows] - B, gates)
        matrix_product(gates.T, delta[B:, H : 4 * H], gRg[:, : 3 * H], False)


@kernel
def sequence_loss(kind, X, targets, labels, scale):
    """Return one sequence's loss and turn its net inputs X into the delta, both times scale."""
    if kind == _BERNOULLI:
        return bernoulli(X, targets, scale)
    if kind == _CROSS_ENTROPY:
        return cross_entropy(X, labels, scale)
    if kind == _SOFTMAX_SQUARES:
        return softmax_squares(X, labels, scale)
    if kind == _LOGISTIC_SQUARES:
        return logistic_squares(X, labels, scale)
    if kind == _CTC:
        return ctc(X, labels, scale)
    return aligned(X, labels, scale)


@kernel
def batch_loss(data, settings, members, starts, X):
    """Return the batch's loss and turn its packed net inputs X into the delta."""
    total = 0.0
    B = members.size
    for b in range(B):
        s = members[b]
        T = data.offsets[s + 1] - data.offsets[s]
        scale = (1.0 / T if settings.mean_over_time else 1.0) / (B if settings.mean_over_batch else 1.0)
        targets = data.targets[data.offsets[s] : data.offsets[s + 1]]
        labels = data.labels[data.label_offsets[s] : data.label_offsets[s + 1]]
        if B == 1:
            return sequence_loss(settings.loss, X, targets, labels, scale)
        rows = starts[:T] + b
        own = np.empty((T, X.shape[1]), X.dtype)
        take_rows(X, rows, own)
        total += sequence_loss(settings.loss, own, targets, labels, scale)
        for t in range(T):
            X[rows[t]] = own[t]
    return total


@kernel
def run_forward(flags, at, x, mirrored, reversal, layers, output, works, X, hidden):
    """Run all directions and the output layer; return block outputs (rows, D*H) and net inputs (rows, K)."""
    V, d = output
    rows, B = x.shape[0], at[1]
    H = V.shape[0] // len(layers)
    forward(flags, at, x, layers[0], works[0])
    y = works[0][3][B : B + rows]
    if len(layers) == 2:
        forward(flags, at, mirrored, layers[1], works[1])
        hidden[:rows, :H] = y
        for r in range(rows):
            hidden[r, H:] = works[1][3][B + reversal[r]]
        y = hidden[:rows]
    logits = X[:rows]
    affine(y, V, d, logits)
    return y, logits


@kernel
def run_backward(
    flags, at, previous, x, mirrored, reversal, layers, gradients, output, output_gradient, works, y, delta
):
    """Take the output layer's delta back to all gradients."""
    V, (gV, gd) = output[0], output_gradient
    rows = x.shape[0]
    matrix_product(y.T, delta, gV, False)
    sum_rows(delta, gd)
    V_transposed = np.empty((V.shape[1], V.shape[0]), V.dtype)
    transpose(V, V_transposed)
    if len(layers) == 1:
        matrix_product(delta, V_transposed, works[0][5][:rows], False)
    else:
        H = V.shape[0] // 2
        error = np.empty((rows, V.shape[0]), V.dtype)
        matrix_product(delta, V_transposed, error, False)
        works[0][5][:rows] = error[:, :H]
        for r in range(rows):
            works[1][5][reversal[r]] = error[r, H:]
        backward(flags, at, previous, mirrored, layers[1], gradients[1], works[1])
    backward(flags, at, previous, x, layers[0], gradients[0], works[0])


@kernel
def rows_of_batch(data, members, alone, index, directions):
    """Return where the steps of a mini-batch begin, its packed inputs, and these mirrored for a second direction.

    One sequence in one direction is used where it lies; `index`, the arrays that `pack_batch` fills,
    then has to be as it was made.
    """
    starts, frames, previous, reversal = index
    if alone:
        first, last = data.offsets[members[0]], data.offsets[members[0] + 1]
        x = data.inputs[first:last]
        return starts[: last - first + 1], x, x
    at = starts[: pack_batch(data.offsets, members, starts, frames, previous, reversal) + 1]
    x = np.empty((at[-1], data.inputs.shape[1]), data.inputs.dtype)
    take_rows(data.inputs, frames[: at[-1]], x)
    mirrored = x
    if directions == 2:
        mirrored = np.empty_like(x)
        take_rows(x, reversal[: at[-1]], mirrored)
    return at, x, mirrored


@kernel
def index_for(room):
    """Return room for where so many rows begin and lie: starts (room + 1), frames, previous and reversal."""
    return np.arange(room + 1), np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)


@kernel
def evaluate(flags, layers, output, data, works, X, hidden, net_inputs):
    """Write the output layer's net inputs of every frame, (frames, K), in the data's order.

    Sequences of like length are run together, as many as fit the room, so that what is read again and
    again stays in the second-level cache.
    """
    room = X.shape[0]
    index = index_for(room)
    lengths = data.offsets[1:] - data.offsets[:-1]
    order = np.argsort(-lengths, kind="mergesort")
    begin = 0
    while begin < order.size:
        members = order[begin : begin + max(1, room // max(lengths[order[begin]], 1))].copy()
        begin += members.size
        at, x, mirrored = rows_of_batch(data, members, False, index, len(layers))
        _, logits = run_forward(flags, at, x, mirrored, index[3], layers, output, works, X, hidden)
        for r in range(x.shape[0]):
            to, row = net_inputs[index[1][r]], logits[r]
            for j in range(row.size):
                to[j] = row[j]


@kernel
def losses_of_sequences(kind, data, net_inputs, losses):
    """Write each sequence's loss, summed over its frames; net_inputs are overwritten."""
    for s in range(losses.size):
        first, last = data.offsets[s], data.offsets[s + 1]
        labels = data.labels[data.label_offsets[s] : data.label_offsets[s + 1]]
        losses[s] = sequence_loss(kind, net_inputs[first:last], data.targets[first:last], labels, 1.0)


@kernel
def train_epoch(flags, vectors, layers, gradients, output, output_gradient, data, order, settings, works, X, hidden):
    """Train on every sequence once, in the given order, one update a mini-batch.

    Parameters
    ----------
    flags : Flags
        The variant.
    vectors : tuple of ndarray
        theta, velocity and gradient, flat vectors of one layout.
    layers, gradients : tuple of tuple of ndarray
        (W, R, b, p, Rg) of each direction, views of theta and of the gradient.
    output, output_gradient : tuple of ndarray
        (V, d) of the output layer, likewise.
    data : Sequences
        Noise is already in the inputs.
    order : ndarray
        Sequences in the order of this epoch.
    settings : Settings
        How to train.
    works : tuple of tuple of ndarray
        (A, D, C, Y, S, dY, dC) of each direction, room for the longest mini-batch.
    X, hidden : ndarray
        Room for net inputs of the output layer and, with two directions, for outputs side by side.

    Returns
    -------
    tuple
        Sum of losses, updates, largest |c|, largest |y|, sum and maximum of the gradient's norm, and
        the share of saturated gates. A loss that is not finite ends the epoch early, without an update.
    """
    theta, velocity, gradient = vectors
    room, directions = X.shape[0], len(layers)
    H = output[0].shape[0] // directions
    gates_end = H * (1 + (flags.input_gate > 0) + (flags.forget_gate > 0) + (flags.output_gate > 0))
    index = index_for(room)
    previous, reversal = index[2], index[3]
    total, updates, norm_sum, norm_max, gates, shut = 0.0, 0, 0.0, 0.0, 0, 0.0
    largest_cell, largest_output = theta.dtype.type(0), theta.dtype.type(0)
    alone = settings.batch_size == 1 and directions == 1
    if settings.nesterov:
        move_ahead(theta, velocity, settings.momentum)
    for begin in range(0, order.size, settings.batch_size):
        members = order[begin : begin + settings.batch_size].copy()
        at, x, mirrored = rows_of_batch(data, members, alone, index, directions)
        B, rows = members.size, x.shape[0]
        y, logits = run_forward(flags, at, x, mirrored, reversal, layers, output, works, X, hidden)
        loss = batch_loss(data, settings, members, at, logits)
        if not math.isfinite(loss):
            total = loss
            break
        total += loss
        for k in range(directions):
            largest_cell = max(largest_cell, largest(works[k][2][B : B + rows]))
            shut += count_saturated(works[k][0][:rows], H, gates_end)
        gates += directions * rows * (gates_end - H)
        largest_output = max(largest_output, largest(y))
        run_backward(
            flags, at, previous, x, mirrored, reversal, layers, gradients, output, output_gradient, works, y, logits
        )
        if settings.clip > 0:
            clip_elements(gradient, settings.clip)
        squares = descend(theta, velocity, gradient, settings.learning_rate, settings.momentum, settings.nesterov)
        norm_sum += math.sqrt(squares)
        norm_max = max(norm_max, math.sqrt(squares))
        updates += 1
    if settings.nesterov:
        move_ahead(theta, velocity, -settings.momentum)
    return total, updates, largest_cell, largest_output, norm_sum, norm_max, shut / max(gates, 1)
