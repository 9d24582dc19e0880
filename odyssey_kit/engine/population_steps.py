"""The time loop of a population in torch operations: every tensor has a leading axis of trials.

The same equations and the same hand-derived backward pass as `kernels`, for K networks of one variant
at once, on any device. Nothing here allocates within a time step, waits for the device or branches on
a value, so that the loop can be captured as a CUDA graph. Tensors (T steps, K trials, H units, G blocks)
have time outermost, so that a step lies in one piece, and an axis of one row for the products:

    A  (T, K, 1, G*H)    in: W x + b; out: activations of z, i, f, o; columns behind them stay zero
    C  (T + 1, K, 1, H)  cells; the first is the initial state
    Y  (T + 1, K, 1, H)  block outputs, likewise
    S  (T, K, 1, H)      h(c), the cell as shown to the output gate
    D  (T, K, 1, G*H)    deltas of the pre-activations

May import `variants` and torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from odyssey_kit.variants import LSTMVariant

__all__ = ["Cell", "sequence_backward", "sequence_forward"]


def _apply(kind: str, x: Tensor, out: Tensor) -> None:
    """Write a function of x, which may be x itself."""
    if kind == "tanh":
        torch.tanh(x, out=out)
    elif kind == "sigmoid":
        torch.sigmoid(x, out=out)
    elif kind == "relu":
        torch.clamp_min(x, 0, out=out)
    elif out is not x:
        out.copy_(x)


def _differentiate(kind: str, value: Tensor, delta: Tensor) -> None:
    """Multiply deltas by the function's derivative, given its values."""
    if kind == "tanh":
        torch.ops.aten.tanh_backward.grad_input(delta, value, grad_input=delta)
    elif kind == "sigmoid":
        torch.ops.aten.sigmoid_backward.grad_input(delta, value, grad_input=delta)
    elif kind == "relu":
        torch.ops.aten.threshold_backward.grad_input(delta, value, 0, grad_input=delta)


class Cell:
    """One variant's step for networks of H units, forward and backward.

    Parameters
    ----------
    variant : LSTMVariant
        The cell.
    hidden_size : int
        H.
    gradient : {"full", "carousel"}
        See `odyssey_kit.engine.equations.lstm`.
    """

    def __init__(self, variant: LSTMVariant, hidden_size: int, gradient: str = "full") -> None:
        self.variant, self.hidden_size, self.carousel = variant, hidden_size, gradient == "carousel"
        self.blocks = len(variant.blocks)
        self.gate_number = {k: j for j, k in enumerate(variant.gates)}
        self.sees_past = variant.fgr_output_peephole == "previous"
        # The output gate waits for the new cell if its peephole looks at it; the others lie side by side before it.
        self.waits = variant.output_gate and variant.peepholes and not self.sees_past
        self.early = len(variant.gates) - self.waits

    def block(self, k: str, row: Tensor) -> Tensor:
        """Return a block's columns."""
        H, position = self.hidden_size, self.variant.blocks.index(k)
        return row[..., position * H : (position + 1) * H]

    def gates(self, row: Tensor) -> Tensor:
        """Return the columns of all gates."""
        return row[..., self.hidden_size : self.blocks * self.hidden_size]

    def peephole(self, k: str, p: Tensor) -> Tensor:
        """Return a gate's peepholes, to be multiplied with (K, B, H)."""
        j = self.gate_number[k]
        return p[:, j : j + 1]

    def forward(self, a: Tensor, p: Tensor, c: Tensor, new: Tensor, shown: Tensor, y: Tensor) -> None:
        """Compute gates, cell and output of one step from net inputs a, all (K, B, ·), in place."""
        cell, H = self.variant, self.hidden_size
        early = a[..., H : (1 + self.early) * H]
        if cell.peepholes and self.early:
            early.unflatten(-1, (self.early, H)).addcmul_(c.unsqueeze(-2), p[:, None, : self.early])
        z = self.block("z", a)
        _apply(cell.input_activation, z, z)
        if self.early:
            _apply(cell.gate_activation, early, early)
        if cell.input_gate:
            torch.mul(z, self.block("i", a), out=new)
        else:
            new.copy_(z)
        if cell.forget_gate == "own":
            new.addcmul_(self.block("f", a), c)
        else:
            new.add_(c)
            if cell.forget_gate == "coupled":
                new.addcmul_(self.block("i", a), c, value=-1)
        _apply(cell.output_activation, new, shown)
        if cell.output_gate:
            o = self.block("o", a)
            if self.waits:
                o.addcmul_(new, self.peephole("o", p))
                _apply(cell.gate_activation, o, o)
            torch.mul(shown, o, out=y)
        else:
            y.copy_(shown)

    def backward(self, step: tuple[Tensor, ...], p: Tensor, dy: Tensor, dg: Tensor | None, d: Tensor, dc: Tensor):
        """Turn one step's output error dy into deltas d of its net inputs.

        Parameters
        ----------
        step : tuple of Tensor
            What the forward pass left: a, c of the step before, h(c).
        p : Tensor
            (K, P, H) peepholes.
        dy, d : Tensor
            Error of the block output; deltas, overwritten.
        dg : Tensor or None
            Error of the activated gates from the gate recurrence of the step after.
        dc : Tensor
            Enters as the error of this step's cell from the step after, leaves as that of the step before.
        """
        cell, (a, c, shown) = self.variant, step
        dz = self.block("z", d)  # first the error that arrives at h(c), later the delta of z
        if cell.output_gate:
            torch.mul(dy, self.block("o", a), out=dz)
            delta = self.block("o", d)
            torch.mul(dy, shown, out=delta)
            self._finish_gates(a, d, dg, slice(len(cell.gates) - 1, len(cell.gates)))
        else:
            dz.copy_(dy)
        _differentiate(cell.output_activation, shown, dz)
        dc.add_(dz)
        if self.waits:
            dc.addcmul_(self.block("o", d), self.peephole("o", p))
        self._backward_into_cell(a, c, dc, d)
        self._finish_gates(a, d, dg, slice(0, len(cell.gates) - cell.output_gate))
        if cell.forget_gate == "own":
            dc.mul_(self.block("f", a))
        elif cell.forget_gate == "coupled":
            dc.addcmul_(dc, self.block("i", a), value=-1)
        if cell.peepholes and not self.carousel:
            for k in cell.gates if self.sees_past else cell.gates[: self.early]:
                dc.addcmul_(self.block(k, d), self.peephole(k, p))

    def _backward_into_cell(self, a: Tensor, c: Tensor, dc: Tensor, d: Tensor) -> None:
        """Write the delta of z, and those of i and f short of the gates' derivative."""
        cell = self.variant
        z, dz = self.block("z", a), self.block("z", d)
        if cell.input_gate:
            torch.mul(dc, self.block("i", a), out=dz)
            delta = self.block("i", d)
            torch.mul(dc, z, out=delta)
            if cell.forget_gate == "coupled":
                delta.addcmul_(dc, c, value=-1)
        else:
            dz.copy_(dc)
        _differentiate(cell.input_activation, z, dz)
        if cell.forget_gate == "own":
            torch.mul(dc, c, out=self.block("f", d))

    def _finish_gates(self, a: Tensor, d: Tensor, dg: Tensor | None, which: slice) -> None:
        """Add the error through the gate recurrence and multiply by the gates' derivative."""
        columns = slice(which.start * self.hidden_size, which.stop * self.hidden_size)
        value, delta = self.gates(a)[..., columns], self.gates(d)[..., columns]
        if dg is not None:
            delta.add_(dg[..., columns])
        if which.stop > which.start:
            _differentiate(self.variant.gate_activation, value, delta)


def sequence_forward(cell: Cell, weights: dict[str, Tensor], A: Tensor, C: Tensor, Y: Tensor, S: Tensor) -> None:
    """Run all trials' sequences forward, one each; see the module's head for the tensors."""
    R, p, Rg = weights["R"], weights["p"], weights["Rg"]
    for t in range(len(A)):
        A[t].baddbmm_(Y[t], R)
        if cell.variant.gate_recurrence and t:
            cell.gates(A[t]).baddbmm_(cell.gates(A[t - 1]), Rg)
        cell.forward(A[t], p, C[t], C[t + 1], S[t], Y[t + 1])


def sequence_backward(
    cell: Cell,
    weights: dict[str, Tensor],
    states: tuple[Tensor, Tensor, Tensor],
    dY: Tensor,
    D: Tensor,
    spare: tuple[Tensor, Tensor],
) -> None:
    """Run all trials' sequences backward.

    Parameters
    ----------
    cell : Cell
        The step.
    weights : dict of str to Tensor
        R, p and Rg, each with a leading axis of trials.
    states : tuple of Tensor
        A, C and S as `sequence_forward` left them.
    dY : Tensor
        (T, K, 1, H), error of the block outputs from above; overwritten.
    D : Tensor
        Receives the deltas.
    spare : tuple of Tensor
        Room for the error of the cell (K, 1, H) and of the gates (K, 1, 3H).
    """
    A, C, S = states
    p, (dc, dg) = weights["p"], spare
    R, Rg = weights["R"].transpose(1, 2), weights["Rg"].transpose(1, 2)
    dc.zero_()
    for t in reversed(range(len(A))):
        from_gates = None
        if t + 1 < len(A) and not cell.carousel:
            dY[t].baddbmm_(D[t + 1], R)
            if cell.variant.gate_recurrence:
                from_gates = torch.bmm(cell.gates(D[t + 1]), Rg, out=dg)
        cell.backward((A[t], C[t], S[t]), p, dY[t], from_gates, D[t], dc)
