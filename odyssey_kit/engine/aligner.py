"""The aligner of clstm: soft targets for label strings shorter than the sequence, as Breuel's runs had them.

What its authors called CTC is not Graves': compare `aligned` with `odyssey_kit.engine.ctc.ctc`. Class 0
is the blank, epsilon. Sums over paths are pairs (m, e) as in `ctc`.
May import `compiled`, `ctc` and `losses`.
"""

from __future__ import annotations

import math

import numpy as np

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.ctc import chain_of, exponent_of, log_outputs, mantissa_of, power_of_two, split_exp
from odyssey_kit.engine.losses import multiply

__all__ = ["aligned"]

# clstm's constants: the smallest output; the log price of a frame before the chain is entered, or of a state
# passed over; the smallest log weight relative to the largest; the smallest sum of a frame.
_SMALLEST_OUTPUT = 1e-5
_LOG_OUTSIDE = -5.0
_SMALLEST_LOG = -30.0
_SMALLEST_SUM = 1e-9


@kernel
def floored_outputs(X, chain, outputs, logs):
    """Replace net inputs by their softmax, write its logs and, per state, clstm's output for the alignment.

    That is max(y, 1e-5) divided by its sum over classes. Returns whether all numbers are finite.
    """
    for t in range(X.shape[0]):
        x, row = X[t], outputs[t]
        if not math.isfinite(log_outputs(x, chain, logs[t])):
            return False
        smallest = x.dtype.type(_SMALLEST_OUTPUT)
        total = x.dtype.type(0)
        for k in range(x.size):
            total += max(x[k], smallest)
        for j in range(row.size):
            y = x[chain[(j + 1) // 2]] if j % 2 else x[0]
            row[j] = max(y, smallest) / np.float64(total)
    return True


@kernel
def add_paths(outputs, m, e, from_m, from_e, new_m, new_e):
    """Write outputs * (m 2^e + from_m 2^from_e), state by state."""
    for j in range(outputs.size):
        top = max(e[j], from_e[j])
        paths = m[j] * power_of_two(e[j] - top) + from_m[j] * power_of_two(from_e[j] - top)
        paths *= outputs[j]
        new_e[j] = top + exponent_of(paths)
        new_m[j] = mantissa_of(paths)


@kernel
def weigh_states(outputs, weights, exponents):
    """Write the products of forward and backward sums, weights 2^exponents, of clstm's chain."""
    T, S = outputs.shape
    m, e = np.empty(max(T, S)), np.empty(max(T, S), np.int64)
    split_exp(_LOG_OUTSIDE * np.arange(m.size), m, e)
    old_m, old_e = m[:S], e[:S]
    for t in range(T):
        # The first state is entered from outside, every other from the one before it.
        u, new_m, new_e = outputs[t], weights[t], exponents[t]
        add_paths(u[:1], old_m[:1], old_e[:1], m[t : t + 1], e[t : t + 1], new_m[:1], new_e[:1])
        add_paths(u[1:], old_m[1:], old_e[1:], old_m[:-1], old_e[:-1], new_m[1:], new_e[1:])
        old_m, old_e = new_m, new_e
    # Likewise backwards; column S stands outside, behind the last state.
    after_m, after_e = np.empty(S + 1), np.empty(S + 1, np.int64)
    here_m, here_e = np.empty(S + 1), np.empty(S + 1, np.int64)
    for j in range(S):
        after_m[j], after_e[j] = m[S - 1 - j], e[S - 1 - j]
    for t in range(T - 1, -1, -1):
        after_m[S], after_e[S] = m[T - 1 - t], e[T - 1 - t]
        add_paths(outputs[t], after_m[:-1], after_e[:-1], after_m[1:], after_e[1:], here_m[:-1], here_e[:-1])
        row_m, row_e = weights[t], exponents[t]
        for j in range(S):
            row_m[j] *= here_m[j]
            row_e[j] += here_e[j]
        after_m, here_m = here_m, after_m
        after_e, here_e = here_e, after_e


@kernel
def normalise_states(weights, exponents):
    """Turn weights 2^exponents into clstm's posteriors: floored, each state to sum 1 over time, then each frame."""
    T, S = weights.shape
    top = exponents[0, 0]
    for t in range(T):
        row_e = exponents[t]
        for j in range(S):
            top = max(top, row_e[j])
    largest = 0.0
    for t in range(T):
        row, row_e = weights[t], exponents[t]
        for j in range(S):
            row[j] *= power_of_two(row_e[j] - top)
        largest = max(largest, row.max())
    smallest = math.exp(_SMALLEST_LOG)
    factor = 1.0 / largest
    sums = np.zeros(S)
    for t in range(T):
        row = weights[t]
        for j in range(S):
            row[j] = max(row[j] * factor, smallest)
            sums[j] += row[j]
    for j in range(S):
        sums[j] = 1.0 / sums[j]
    for t in range(T):
        row = weights[t]
        total = 0.0
        for j in range(S):
            row[j] *= sums[j]
            total += row[j]
        share = 1.0 / max(total, _SMALLEST_SUM)
        for j in range(S):
            row[j] *= share


@kernel
def aligned(X, labels, scale):
    r"""Cross-entropy against the soft targets of clstm's aligner; X becomes the delta, both times scale.

    Not CTC after Graves: the chain of states j = 0 … S - 1, S = 2L + 1, is walked without leaving
    out a blank, every state is given the same mass, and the sums over paths are no likelihood. With
    y = softmax(X), K classes, k_j the class of state j and q = e^-5,

        u[t, j] = max(y[t, k_j], 1e-5) / sum_k max(y[t, k], 1e-5)
        a[t, j] = u[t, j] (a[t-1, j] + a[t-1, j-1]),  a[-1, j] = q^j,      a[t-1, -1] = q^t
        b[t, j] = u[t, j] (b[t+1, j] + b[t+1, j+1]),  b[T, j] = q^(S-1-j), b[t+1, S] = q^(T-1-t)
        w[t, j] = max(a[t, j] b[t, j] / max_(s, i) a[s, i] b[s, i], e^-30)
        v[t, j] = w[t, j] / sum_s w[s, j]                     each state over time
        r[t, j] = v[t, j] / max(sum_i v[t, i], 1e-9)          each frame over states
        target[t, k] = sum over j with k_j = k of r[t, j]

    and the loss is -sum target log y, the delta y - target, with the target held fixed. As in clstm,
    a frame's own output enters twice, in a and in b, and through q a path may begin and end anywhere
    at a price, so that labels of any length can be aligned.
    """
    T, L = X.shape[0], labels.size
    chain = chain_of(labels)
    outputs, logs = np.empty((T, 2 * L + 1)), np.empty((T, L + 1))
    if not floored_outputs(X, chain, outputs, logs):
        X[:] = np.nan
        return np.nan
    weights, exponents = np.empty(outputs.shape), np.empty(outputs.shape, np.int64)
    weigh_states(outputs, weights, exponents)
    normalise_states(weights, exponents)
    loss = 0.0
    for t in range(T):
        x, target, log = X[t], weights[t], logs[t]
        blank = target[0]
        for c in range(1, L + 1):
            blank += target[2 * c]
            x[chain[c]] -= target[2 * c - 1]
            loss -= target[2 * c - 1] * log[c]
        x[0] -= blank
        loss -= blank * log[0]
    multiply(X, scale)
    return loss * scale
