"""The compiled time loop: one family of kernels for every variant, forward and backward.

Which gates, peepholes and functions a cell has arrives as run-time `Flags`; every branch on them
stands outside the loops over units, so one compilation serves all variants. The equations are those
of `odyssey_kit.variants`, and `equations.py` is the oracle.

Sequences of a mini-batch are packed as in torch's PackedSequence: rows of one time step lie together,
longest sequence first, so a step touches only the sequences that still run and padding does not exist.
``starts[t]`` is the first row of step t. Arrays (H units, G blocks, `rows` packed rows, B sequences):

    A  (rows, G*H)    in: W x + b; out: activations of z, i, f, o; filled up to whole cache lines
    C  (B + rows, H)  cells; the first B rows are the initial state
    Y  (B + rows, H)  block outputs, likewise
    S  (rows, H)      h(c), the cell as shown to the output gate
    D  (rows, G*H)    deltas of the pre-activations, filled up with zeros

May import `compiled`, `primitives`, `products` and `variants`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.primitives import lent, tanh, wide_vectors
from odyssey_kit.engine.products import matrix_product, transpose
from odyssey_kit.variants import ACTIVATIONS, LSTMVariant

__all__ = ["Flags", "flags_of", "sequence_backward", "sequence_forward"]

_SIGMOID, _TANH, _RELU, _LINEAR = (ACTIVATIONS.index(name) for name in ("sigmoid", "tanh", "relu", "linear"))


class Flags(NamedTuple):
    """A variant as integers: positions of blocks (0 where a gate is absent) and kinds of functions."""

    input_gate: int
    forget_gate: int
    output_gate: int
    coupled: int
    peepholes: int
    gate_recurrence: int
    output_peephole_sees_past: int
    gate: int
    g: int
    h: int
    carousel: int


def flags_of(variant: LSTMVariant, gradient: str = "full") -> Flags:
    """Return a variant's flags."""
    position = {k: j for j, k in enumerate(variant.blocks)}
    return Flags(
        input_gate=position.get("i", 0),
        forget_gate=position.get("f", 0),
        output_gate=position.get("o", 0),
        coupled=int(variant.forget_gate == "coupled"),
        peepholes=int(variant.peepholes),
        gate_recurrence=int(variant.gate_recurrence),
        output_peephole_sees_past=int(variant.fgr_output_peephole == "previous"),
        gate=ACTIVATIONS.index(variant.gate_activation),
        g=ACTIVATIONS.index(variant.input_activation),
        h=ACTIVATIONS.index(variant.output_activation),
        carousel=int(gradient == "carousel"),
    )


# ---- functions in place ---------------------------------------------------------------------------


@kernel
def activate(kind, x):
    """Apply a function in place."""
    half = x.dtype.type(0.5)
    zero = x.dtype.type(0)
    if kind == _TANH:
        for j in range(x.size):
            x[j] = tanh(x[j])
    elif kind == _SIGMOID:
        for j in range(x.size):
            x[j] = half + half * tanh(half * x[j])
    elif kind == _RELU:
        for j in range(x.size):
            # Written so that NaN stays NaN.
            x[j] = zero if x[j] < zero else x[j]


@kernel
def differentiate(kind, value, delta):
    """Multiply deltas by the function's derivative, given its values."""
    one = delta.dtype.type(1)
    zero = delta.dtype.type(0)
    if kind == _TANH:
        for j in range(delta.size):
            delta[j] *= one - value[j] * value[j]
    elif kind == _SIGMOID:
        for j in range(delta.size):
            delta[j] *= value[j] * (one - value[j])
    elif kind == _RELU:
        for j in range(delta.size):
            delta[j] = delta[j] if value[j] > zero else zero


# ---- matrix times vector --------------------------------------------------------------------------


@kernel
def add_matrix_vector(M, d, y):
    """Add M[:, :n] @ d to y, for n numbers in d: the recurrent weights as they lie, used the other way round."""
    wide_vectors()
    K, n = M.shape[0], d.size
    zero = y.dtype.type(0)
    k = 0
    while k + 4 <= K:
        s0, s1, s2, s3 = zero, zero, zero, zero
        for j in range(n):
            s0 += M[k, j] * d[j]
            s1 += M[k + 1, j] * d[j]
            s2 += M[k + 2, j] * d[j]
            s3 += M[k + 3, j] * d[j]
        y[k] += s0
        y[k + 1] += s1
        y[k + 2] += s2
        y[k + 3] += s3
        k += 4
    while k < K:
        s0 = zero
        for j in range(n):
            s0 += M[k, j] * d[j]
        y[k] += s0
        k += 1


# ---- one step of one sequence --------------------------------------------------------------------


@kernel
def add_product(a, p, c):
    """Add p * c to a, element by element: a peephole looking at a cell."""
    for j in range(a.size):
        a[j] += p[j] * c[j]


@kernel
def update_cell(flags, a, c, new):
    """Write the new cell from the activated block input and gates in a."""
    H = c.size
    one = c.dtype.type(1)
    z = a[:H]
    i = a[flags.input_gate * H : (flags.input_gate + 1) * H]
    f = a[flags.forget_gate * H : (flags.forget_gate + 1) * H]
    if flags.coupled:
        for j in range(H):
            new[j] = z[j] * i[j] + (one - i[j]) * c[j]
    elif flags.input_gate and flags.forget_gate:
        for j in range(H):
            new[j] = z[j] * i[j] + f[j] * c[j]
    elif flags.input_gate:
        for j in range(H):
            new[j] = z[j] * i[j] + c[j]
    elif flags.forget_gate:
        for j in range(H):
            new[j] = z[j] + f[j] * c[j]
    else:
        for j in range(H):
            new[j] = z[j] + c[j]


@kernel
def step_forward(flags, a, p, c, new, s, y):
    """Compute one row's gates, cell and output from its net inputs a (G*H)."""
    H = c.size
    i, f, o = flags.input_gate * H, flags.forget_gate * H, flags.output_gate * H
    if flags.peepholes:
        if i:
            add_product(a[i : i + H], p[flags.input_gate - 1], c)
        if f:
            add_product(a[f : f + H], p[flags.forget_gate - 1], c)
        if o and flags.output_peephole_sees_past:
            add_product(a[o : o + H], p[flags.output_gate - 1], c)
    activate(flags.g, a[:H])
    # Gates that do not wait for the new cell lie side by side behind z.
    blocks = 1 + (i > 0) + (f > 0) + (o > 0)
    waits = o > 0 and flags.peepholes == 1 and flags.output_peephole_sees_past == 0
    activate(flags.gate, a[H : o if waits else blocks * H])
    update_cell(flags, a, c, new)
    for j in range(H):
        s[j] = new[j]
    activate(flags.h, s)
    if o:
        gate = a[o : o + H]
        if waits:
            add_product(gate, p[flags.output_gate - 1], new)
            activate(flags.gate, gate)
        for j in range(H):
            y[j] = s[j] * gate[j]
    else:
        for j in range(H):
            y[j] = s[j]


@kernel
def peephole_backward(d, p, c, dc, dp, passes_error):
    """Add a gate's delta to its peephole's gradient and, where it passes, to the cell's error."""
    for j in range(d.size):
        dp[j] += d[j] * c[j]
    if passes_error:
        for j in range(d.size):
            dc[j] += p[j] * d[j]


@kernel
def step_backward(flags, a, p, c, new, s, dy, d, dc, dg, dp):
    """Turn one row's output error dy into deltas d (G*H) of its net inputs.

    dc enters as the error of c[t] from step t+1 and leaves as that of c[t-1]; dg (3H) holds the
    error of the activated gates from the gate recurrence of step t+1.
    """
    H = c.size
    one = c.dtype.type(1)
    i, f, o = flags.input_gate * H, flags.forget_gate * H, flags.output_gate * H
    dz = d[:H]  # first the error that arrives at h(c), later the delta of z
    if o:
        gate, delta = a[o : o + H], d[o : o + H]
        for j in range(H):
            dz[j] = dy[j] * gate[j]
            delta[j] = dy[j] * s[j]
        if flags.gate_recurrence:
            for j in range(H):
                delta[j] += dg[2 * H + j]
        differentiate(flags.gate, gate, delta)
    else:
        for j in range(H):
            dz[j] = dy[j]
    differentiate(flags.h, s, dz)
    for j in range(H):
        dc[j] += dz[j]
    if o and flags.peepholes and not flags.output_peephole_sees_past:
        peephole_backward(d[o : o + H], p[flags.output_gate - 1], new, dc, dp[flags.output_gate - 1], True)

    z = a[:H]
    if i:
        gate, delta = a[i : i + H], d[i : i + H]
        for j in range(H):
            dz[j] = dc[j] * gate[j]
        if flags.coupled:
            for j in range(H):
                delta[j] = dc[j] * (z[j] - c[j])
        else:
            for j in range(H):
                delta[j] = dc[j] * z[j]
        if flags.gate_recurrence:
            for j in range(H):
                delta[j] += dg[j]
        differentiate(flags.gate, gate, delta)
    else:
        for j in range(H):
            dz[j] = dc[j]
    differentiate(flags.g, z, dz)
    if f:
        gate, delta = a[f : f + H], d[f : f + H]
        for j in range(H):
            delta[j] = dc[j] * c[j]
            dc[j] *= gate[j]
        if flags.gate_recurrence:
            for j in range(H):
                delta[j] += dg[H + j]
        differentiate(flags.gate, gate, delta)
    elif flags.coupled:
        gate = a[i : i + H]
        for j in range(H):
            dc[j] *= one - gate[j]
    if flags.peepholes:
        passes = flags.carousel == 0
        if i:
            peephole_backward(d[i : i + H], p[flags.input_gate - 1], c, dc, dp[flags.input_gate - 1], passes)
        if f:
            peephole_backward(d[f : f + H], p[flags.forget_gate - 1], c, dc, dp[flags.forget_gate - 1], passes)
        if o and flags.output_peephole_sees_past:
            peephole_backward(d[o : o + H], p[flags.output_gate - 1], c, dc, dp[flags.output_gate - 1], passes)


# ---- whole sequences -----------------------------------------------------------------------------


@kernel
def sequence_forward(flags, starts, A, R, p, Rg, C, Y, S):
    """Run packed sequences forward; see the module's head for the arrays."""
    wide_vectors()
    A, R, p, Rg, C, Y, S = lent(A), lent(R), lent(p), lent(Rg), lent(C), lent(Y), lent(S)
    H, B = R.shape[0], starts[1]
    for t in range(starts.size - 1):
        first, last = starts[t], starts[t + 1]
        n = last - first
        previous = B + starts[t - 1] if t > 0 else 0
        matrix_product(Y[previous : previous + n], R, A[first:last], True)
        if flags.gate_recurrence and t > 0:
            before = starts[t - 1]
            matrix_product(A[before : before + n, H : 4 * H], Rg, A[first:last, H : 4 * H], True)
        for r in range(n):
            step_forward(flags, A[first + r], p, C[previous + r], C[B + first + r], S[first + r], Y[B + first + r])


@kernel
def transposed_for(W, columns, batch):
    """Return W[:, :columns] transposed for mini-batches, and nothing for one sequence."""
    room = np.empty((columns if batch > 1 else 0, W.shape[0]), W.dtype)
    if batch > 1:
        transpose(W[:, :columns], room)
    return room


@kernel
def sequence_backward(flags, starts, A, R, p, Rg, C, S, dY, D, dp, dC):
    """Run packed sequences backward.

    dY (rows, H) holds the error of the block outputs from above and is overwritten; D receives the
    deltas, dp (P, H) the peepholes' gradient; dC (B, H) is zero on entry, or the error of the last
    cells, and leaves as the error of the initial cells.
    """
    wide_vectors()
    A, R, p, Rg, C, S = lent(A), lent(R), lent(p), lent(Rg), lent(C), lent(S)
    dY, D, dp, dC = lent(dY), lent(D), lent(dp), lent(dC)
    H, B = R.shape[0], starts[1]
    T = starts.size - 1
    R_transposed = transposed_for(R, R.shape[1], B)
    Rg_transposed = transposed_for(Rg, Rg.shape[0], B)
    counted_dG = np.zeros((B, Rg.shape[0]), A.dtype)
    dG = lent(counted_dG)
    dp[:] = 0
    for t in range(T - 1, -1, -1):
        first = starts[t]
        n = starts[t + 1] - first
        after = starts[t + 2] - starts[t + 1] if t + 1 < T else 0
        if after and not flags.carousel:
            nxt = starts[t + 1]
            if B == 1:
                add_matrix_vector(R, D[nxt], dY[first])
            else:
                matrix_product(D[nxt : nxt + after], R_transposed, dY[first : first + after], True)
            if flags.gate_recurrence:
                dG[:] = 0
                if B == 1:
                    add_matrix_vector(Rg, D[nxt, H : 4 * H], dG[0])
                else:
                    matrix_product(D[nxt : nxt + after, H : 4 * H], Rg_transposed, dG[:after], False)
        previous = B + starts[t - 1] if t > 0 else 0
        for r in range(n):
            step_backward(
                flags,
                A[first + r],
                p,
                C[previous + r],
                C[B + first + r],
                S[first + r],
                dY[first + r],
                D[first + r],
                dC[r],
                dG[r],
                dp,
            )
