r"""CTC after Graves: a loss on label strings shorter than the sequence.

Class 0 is the blank, epsilon; labels are int64 and at least 1. The states of a string of L labels
are the chain blank 0, label 1, blank 1, …, label L, blank L: blank c follows label c.

Sums over paths through the chain leave the range of any float within a hundred frames, so they are
carried as pairs (m, e) meaning m 2^e, with 1 <= m < 2 in float64 and e in int64, whatever the type of
X. Products and sums of such pairs need no logarithm and vectorise. Zero is the exponent _ZERO, far
below that of any product of outputs, which saves all special cases.

May import `compiled`, `losses` and `errors`.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.losses import multiply, reinterpret, softmax_row
from odyssey_kit.errors import UsageError

__all__ = ["check_labels", "ctc", "ctc_loss", "needed_frames"]

_LN2 = math.log(2)
_TAYLOR = tuple(1 / math.factorial(k) for k in range(2, 14))
# Outputs below 2^_LOWEST count as zero. A path of up to 2^20 frames stays above _ZERO / 2.
_LOWEST = -(1 << 19)
_ZERO = -(1 << 40)


# ---- numbers m 2^e -------------------------------------------------------------------------------


@kernel
def power_of_two(e):
    """Return 2^e for an exponent of at most 0, or 2^-1022 where it is lower than that."""
    return reinterpret(np.int64((max(e, np.int64(-1022)) + 1023) << 52))


@kernel
def exponent_of(x):
    """Return e of a positive float64 x = m 2^e, 1 <= m < 2."""
    return (reinterpret(x) >> 52) - 1023


@kernel
def mantissa_of(x):
    """Return m of a positive float64 x = m 2^e, 1 <= m < 2."""
    return reinterpret(np.int64((reinterpret(x) & np.int64((1 << 52) - 1)) | np.int64(1023 << 52)))


@kernel
def split_exp(logs, m, e):
    """Write e^logs as m 2^e with 0.7 < m < 1.5, up to 1e-15 and the rounding of the logs themselves."""
    c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13 = _TAYLOR
    for j in range(logs.size):
        x = max(logs[j], _LOWEST * _LN2)
        n = np.floor(x * (1 / _LN2) + 0.5)
        r = x - n * _LN2
        tail = c8 + r * (c9 + r * (c10 + r * (c11 + r * (c12 + r * c13))))
        m[j] = 1.0 + r * (1.0 + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * (c7 + r * tail)))))))
        e[j] = np.int64(np.int32(n)) if n > _LOWEST else np.int64(_ZERO)


@kernel
def chain_of(labels):
    """Return the class of blank 0 and of labels 1 to L."""
    chain = np.zeros(labels.size + 1, np.int64)
    for c in range(labels.size):
        chain[c + 1] = labels[c]
    return chain


@kernel
def log_outputs(x, chain, logs):
    """Replace net inputs x by their softmax, write its logs at the chain's classes and return log sum exp x."""
    for c in range(chain.size):
        logs[c] = x[chain[c]]
    log_sum = softmax_row(x)
    for c in range(chain.size):
        logs[c] -= log_sum
    return log_sum


# ---- CTC after Graves ----------------------------------------------------------------------------


@kernel
def needed_frames(labels):
    """Return the fewest frames that can carry the labels: one each, and a blank between equal neighbours."""
    frames = labels.size
    for c in range(1, labels.size):
        if labels[c] == labels[c - 1]:
            frames += 1
    return frames


@kernel
def paths_backward(m, e, skips, Bm, Be, Am, Ae, stay_B, stay_A, next_A):
    """Take the sums over paths one frame back, and write the shares in which a state's paths part.

    B[c] sums the paths from blank c to the end and A[c] those from label c, outputs included; m 2^e
    are this frame's outputs along the chain. A blank's paths stay there (share stay_B) or go to label
    c + 1. A label's paths stay (stay_A), go to blank c (next_A) or to label c + 1, the latter times
    2^skips[c]. A[0] is read by no other state.
    """
    for c in range(m.size):
        a, b, d = Ae[c], Be[c], Ae[c + 1]
        top = max(b, d)
        stays = Bm[c] * power_of_two(b - top)
        paths = stays + Am[c + 1] * power_of_two(d - top)
        stay_B[c] = stays / paths

        d += skips[c]
        high = max(max(a, b), d)
        stays = Am[c] * power_of_two(a - high)
        moves = Bm[c] * power_of_two(b - high)
        other = stays + moves + Am[c + 1] * power_of_two(d - high)
        share = 1.0 / other
        stay_A[c] = stays * share
        next_A[c] = moves * share

        paths *= m[0]
        Be[c] = top + e[0] + exponent_of(paths)
        Bm[c] = mantissa_of(paths)
        other *= m[c]
        Ae[c] = high + e[c] + exponent_of(other)
        Am[c] = mantissa_of(other)


@kernel
def posteriors_forward(B, A, stay_B, stay_A, next_A, new_B, new_A):
    """Take the posterior probabilities of blanks B and labels A one frame on; A[0] is and stays 0."""
    new_B[0] = B[0] * stay_B[0]
    for c in range(1, B.size):
        new_B[c] = B[c] * stay_B[c] + A[c] * next_A[c]
        new_A[c] = (
            A[c] * stay_A[c] + B[c - 1] * (1.0 - stay_B[c - 1]) + A[c - 1] * (1.0 - stay_A[c - 1] - next_A[c - 1])
        )


@kernel
def part_paths(X, chain, shares):
    """Replace net inputs X by their softmax and write the shares (T, 3, L + 1) of `paths_backward`.

    Returns the log-likelihood of the labels and the probability that a path begins with the blank.
    """
    n = chain.size
    skips = np.zeros(n, np.int64)
    for c in range(1, n - 1):
        if chain[c] == chain[c + 1]:
            skips[c] = _ZERO
    logs, m, e = np.empty(n), np.empty(n), np.empty(n, np.int64)
    # Behind the last frame every path has ended in the last blank. Label L + 1 does not exist.
    Bm, Am = np.ones(n), np.ones(n + 1)
    Be, Ae = np.full(n, _ZERO), np.full(n + 1, _ZERO)
    Be[n - 1] = 0
    for t in range(X.shape[0] - 1, -1, -1):
        if not math.isfinite(log_outputs(X[t], chain, logs)):
            return np.nan, 0.0
        split_exp(logs, m, e)
        share = shares[t]
        paths_backward(m, e, skips, Bm, Be, Am, Ae, share[0], share[1], share[2])
    top = max(Be[0], Ae[1])
    if top < _ZERO // 2:
        return -np.inf, 0.0
    blank = Bm[0] * power_of_two(Be[0] - top)
    paths = blank + Am[1] * power_of_two(Ae[1] - top)
    return math.log(paths) + top * _LN2, blank / paths


@kernel
def subtract_posteriors(X, chain, shares, begin):
    """Subtract the states' posterior probabilities from outputs X, which makes them the delta."""
    n = chain.size
    B, new_B, A, new_A = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    B[0] = begin
    if n > 1:
        A[1] = 1.0 - begin
    for t in range(X.shape[0]):
        x, share = X[t], shares[t]
        x[0] -= B.sum()
        for c in range(1, n):
            x[chain[c]] -= A[c]
        posteriors_forward(B, A, share[0], share[1], share[2], new_B, new_A)
        B, new_B = new_B, B
        A, new_A = new_A, A


@kernel
def ctc(X, labels, scale):
    r"""Connectionist temporal classification after Graves; X becomes the delta, both times scale.

    The loss is -log of the sum, over all paths that read as the labels when repeats are merged and
    blanks dropped, of the product of softmax outputs. Its delta is softmax(X) - posterior, where the
    posterior of a class at a frame sums those of its states.

    Backwards in time, the sums over paths say in which shares the paths of a state part to its
    successors; forwards, these shares are the transition probabilities of the posterior, which
    therefore needs no scaling and sums to 1 at every frame.

    Labels that do not fit into the frames, or whose probability is zero, give infinity and deltas of
    zero; net inputs that are not numbers give NaN throughout. In float64 loss and deltas are those of
    exact sums to 1e-12 of the loss and 1e-12; in float32 to 3e-7 of the loss plus 3e-7 a frame, and 1e-6.
    """
    chain = chain_of(labels)
    shares = np.empty((X.shape[0], 3, chain.size))
    log_likelihood, begin = -np.inf, 0.0
    if needed_frames(labels) <= X.shape[0]:
        log_likelihood, begin = part_paths(X, chain, shares)
    if math.isfinite(log_likelihood):
        subtract_posteriors(X, chain, shares, begin)
        multiply(X, scale)
    else:
        X[:] = 0 if log_likelihood < 0 else np.nan
    return -log_likelihood * scale


# ---- for Python ----------------------------------------------------------------------------------


def check_labels(
    labels: np.ndarray, label_offsets: np.ndarray, offsets: np.ndarray | None, classes: int, *, first: int = 0
) -> None:
    """Raise UsageError for the first sequence whose labels are no classes or, for CTC, do not fit.

    Parameters
    ----------
    labels, label_offsets : ndarray
        Label strings end to end, that of sequence s in ``label_offsets[s]:label_offsets[s + 1]``.
    offsets : ndarray or None
        Likewise where its frames lie; None for the aligner, which takes labels of any length.
    classes : int
        Width of the output layer, the blank included.
    first : int, optional
        Number of the first sequence, for the message.

    Examples
    --------
    >>> check_labels(np.array([1, 1, 2]), np.array([0, 3]), np.array([0, 3]), 5)
    Traceback (most recent call last):
    odyssey_kit.errors.UsageError: sequence 0 has 3 frames for 3 labels, 1 of them equal to the one before; CTC ...
    """
    for s, (start, stop) in enumerate(itertools.pairwise(label_offsets), start=first):
        own = labels[start:stop]
        if len(own) and not 1 <= own.min() <= own.max() < classes:
            raise UsageError(
                f"sequence {s} has labels from {own.min()} to {own.max()}; expected 1 to {classes - 1}: "
                f"0 is the blank, and the output layer has {classes} classes"
            )
        if offsets is None:
            continue
        frames = int(offsets[s - first + 1] - offsets[s - first])
        needed = int(needed_frames(np.ascontiguousarray(own, dtype=np.int64)))
        if needed > frames:
            raise UsageError(
                f"sequence {s} has {frames} frames for {len(own)} labels, {needed - len(own)} of them equal to the one "
                f"before; CTC needs {needed} frames. Leave the sequence out, or take more frames a label"
            )


def ctc_loss(net_inputs: np.ndarray, labels: np.ndarray, *, sequence: int = 0) -> tuple[float, np.ndarray]:
    """Return the CTC loss of one sequence in nats and its gradient with respect to the net inputs.

    Parameters
    ----------
    net_inputs : ndarray
        (T, K) float32 or float64, before the softmax.
    labels : ndarray
        (L,) integers from 1 to K - 1; 0 is the blank.
    sequence : int, optional
        Number of the sequence, for the message if its labels do not fit.

    Examples
    --------
    Two frames of two equally likely classes read "1" along three of four paths:

    >>> loss, delta = ctc_loss(np.zeros((2, 2)), np.array([1]))
    >>> round(float(np.exp(-loss)), 12)
    0.75
    >>> delta.round(12).tolist()
    [[0.166666666667, -0.166666666667], [0.166666666667, -0.166666666667]]
    """
    labels = np.ascontiguousarray(labels, dtype=np.int64)
    frames, classes = net_inputs.shape
    check_labels(labels, np.array([0, len(labels)]), np.array([0, frames]), classes, first=sequence)
    delta = np.array(net_inputs, order="C")
    return float(ctc(delta, labels, 1.0)), delta
