"""`LSTM`: every variant as a torch module with the calling convention of torch.nn.LSTM.

On a CPU the compiled kernels run forward and backward behind autograd; on any other device the
readable equations do, step by step. May import torch and the engine's other modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

from odyssey_kit.engine import equations
from odyssey_kit.engine.compiled import announced
from odyssey_kit.engine.kernels import flags_of, sequence_backward, sequence_forward
from odyssey_kit.engine.parameters import Layout, aligned_zeros
from odyssey_kit.errors import UsageError
from odyssey_kit.variants import LSTMVariant, variant

__all__ = ["LSTM"]

_DTYPES = (torch.float32, torch.float64)


class _Rows:
    """Where the rows of packed sequences lie: step by step, and reversed within each length."""

    def __init__(self, batch_sizes: Tensor) -> None:
        sizes = batch_sizes.numpy().astype(np.int64)
        self.starts = np.concatenate(([0], np.cumsum(sizes)))
        self.batch = int(sizes[0])
        rows = np.arange(self.starts[-1])
        step = np.repeat(np.arange(len(sizes)), sizes)
        sequence = rows - self.starts[step]
        lengths = (sizes[:, None] > np.arange(self.batch)).sum(axis=0)
        self.last = self.starts[lengths - 1] + np.arange(self.batch)
        self.reversal = self.starts[lengths[sequence] - 1 - step] + sequence
        # Row of the step before among [initial state, rows]; the initial state comes first.
        self.previous = np.where(step == 0, rows, self.batch + self.starts[step - 1] + sequence)
        self.later = step > 0


class _Layer(torch.autograd.Function):
    """One direction over packed rows: (inputs, theta, y0, c0) to (outputs, y_n, c_n)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, theta: Tensor, y0: Tensor, c0: Tensor, layer: Any) -> tuple[Tensor, ...]:
        layout, flags, rows = layer
        x, batch = inputs.detach().numpy(), rows.batch
        W, R, b, p, Rg, _, _ = layout.packed(theta.detach().numpy()).values()
        A = aligned_zeros((len(x), W.shape[1]), x.dtype)
        np.matmul(x, W, out=A)
        A += b
        C = aligned_zeros((batch + len(x), layout.hidden_size), x.dtype)
        Y, S = aligned_zeros(C.shape, x.dtype), aligned_zeros((len(x), layout.hidden_size), x.dtype)
        Y[:batch], C[:batch] = y0.detach().numpy(), c0.detach().numpy()
        with announced(f"forward-{x.dtype}"):
            sequence_forward(flags, rows.starts, A, R, p, Rg, C, Y, S)
        ctx.save_for_backward(inputs, theta)
        ctx.layer, ctx.work = layer, (A, C, Y, S)
        last = batch + rows.last
        return tuple(torch.from_numpy(array) for array in (Y[batch:].copy(), Y[last], C[last]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor | None, ...]:
        (layout, flags, rows), (A, C, Y, S) = ctx.layer, ctx.work
        inputs, theta = ctx.saved_tensors
        x, H = inputs.numpy(), layout.hidden_size
        W, R, _, p, Rg, _, _ = layout.packed(theta.numpy()).values()
        dY, dy_n, dc_n = (error.contiguous().numpy() for error in errors)
        dY, dC = dY.copy(), dc_n.copy()
        dY[rows.last] += dy_n
        D, gradient = aligned_zeros(A.shape, A.dtype), aligned_zeros(layout.size, A.dtype)
        into = layout.packed(gradient)
        with announced(f"backward-{x.dtype}"):
            sequence_backward(flags, rows.starts, A, R, p, Rg, C, S, dY, D, into["p"], dC)
        into["W"][:], into["R"][:], into["b"][:] = x.T @ D, Y[rows.previous].T @ D, D.sum(axis=0)
        if flags.gate_recurrence:
            before = rows.previous[rows.later] - rows.batch
            into["Rg"][:, : 3 * H] = A[before, H : 4 * H].T @ D[rows.later, H : 4 * H]
        # The truncated gradient passes along the cell only, so none reaches the first block output.
        dy0 = np.zeros_like(dC) if flags.carousel else D[: rows.batch] @ R.T
        dx = D @ W.T if ctx.needs_input_grad[0] else None
        arrays = (dx, gradient, dy0, dC)
        return *(None if array is None else torch.from_numpy(array) for array in arrays), None


class LSTM(torch.nn.Module):
    r"""A layer of any variant, called like `torch.nn.LSTM`.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of an input, and LSTM blocks.
    variant : str or LSTMVariant
        The cell; ``"NP"`` is what torch.nn.LSTM computes.
    bidirectional : bool
        A second layer reads every sequence from its end; outputs lie side by side.
    batch_first : bool
        Tensors are (batch, time, features) instead of (time, batch, features).
    gradient : {"full", "carousel"}
        See `odyssey_kit.engine.equations.lstm`.
    initial_weight_std : float
        All parameters start as N(0, std²), biases and peepholes too: the Odyssey's 0.1.
    dtype : torch.dtype, optional
        float32 (the default) or float64.

    Notes
    -----
    ``forward(input, (h_0, c_0))`` takes a tensor, batched or not, or a PackedSequence, and returns
    ``output, (h_n, c_n)`` with states of shape (directions, batch, hidden). It is one layer: stack several
    for more. Second derivatives are not available. On devices other than the CPU the equations run as a loop of
    torch operations. The one parameter of the module, ``theta``, is filled up to whole cache lines: count with
    ``parameter_count``. Its state_dict says which cell it is of, and loads into no other.

    References
    ----------
    Greff et al. (2017), sections II and IV.

    Examples
    --------
    >>> import torch, odyssey_kit as ok
    >>> layer = ok.LSTM(88, 32, variant="CIFG", bidirectional=True)
    >>> output, (h_n, c_n) = layer(torch.zeros(10, 4, 88))
    >>> output.shape, h_n.shape
    (torch.Size([10, 4, 64]), torch.Size([2, 4, 32]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        variant: str | LSTMVariant = "V",
        bidirectional: bool = False,
        batch_first: bool = False,
        *,
        gradient: str = "full",
        initial_weight_std: float = 0.1,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if any(not isinstance(size, Integral) or size < 1 for size in (input_size, hidden_size)):
            raise UsageError(
                f"LSTM: got input_size={input_size!r}, hidden_size={hidden_size!r}; expected whole numbers from 1"
            )
        if gradient not in ("full", "carousel"):
            raise UsageError(f"LSTM: gradient is {gradient!r}, expected 'full' or 'carousel'")
        dtype = dtype or torch.get_default_dtype()
        if dtype not in _DTYPES:
            raise UsageError(f"LSTM: dtype is {dtype}, expected torch.float32 or torch.float64")
        self.variant = _variant(variant)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.bidirectional, self.batch_first, self.gradient = bidirectional, batch_first, gradient
        self.layout = Layout(variant=self.variant, input_size=input_size, hidden_size=hidden_size)
        self.theta = torch.nn.Parameter(torch.zeros(1 + bidirectional, self.layout.size, dtype=dtype))
        self.reset_parameters(initial_weight_std)

    @property
    def parameter_count(self) -> int:
        """Number of weights, of both directions; `theta` is larger, because it is filled up."""
        return len(self.theta) * self.layout.parameter_count

    def reset_parameters(self, std: float = 0.1) -> None:
        """Draw all parameters anew from N(0, std²)."""
        with torch.no_grad():
            for theta in self.theta:
                drawn = torch.randn(self.layout.parameter_count, dtype=theta.dtype) * std
                theta.copy_(torch.from_numpy(self.layout.spread(drawn.numpy())))

    def weights(self) -> dict[str, Tensor]:
        """Return the papers' weights as views: W_z …, and W_z_reverse … of the second direction."""
        named = {}
        for suffix, theta in zip(("", "_reverse"), self.theta, strict=False):
            named |= {name + suffix: view for name, view in self.layout.weights(theta).items()}
        return named

    def get_extra_state(self) -> dict[str, Any]:
        """Return what the numbers of `theta` mean: the cell and the sizes, for its state_dict."""
        cell = {field: value for field, value in self.variant.to_dict().items() if field != "name"}
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size, "bidirectional": self.bidirectional}
        return cell | sizes

    def set_extra_state(self, state: Any) -> None:
        """Set nothing: what the numbers mean was compared before they were taken."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        given, own, messages = state_dict.get(f"{prefix}_extra_state"), self.get_extra_state(), rest[-1]
        if given is not None and given != own:
            other = [
                f"{name}={given.get(name)!r} for {value!r}" for name, value in own.items() if given.get(name) != value
            ]
            messages.append(
                f"LSTM: got weights of another cell ({', '.join(other)}); make a layer of that variant and size"
            )
            return
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Set weights by name; names and shapes must be exactly those of `weights`.

        Raises
        ------
        UsageError
            If a name is missing or unknown, or a shape differs. Nothing is set then.
        """
        views = self.weights()
        if not isinstance(weights, Mapping):
            raise UsageError(
                f"load_weights: got {type(weights).__name__}, expected names and values, such as `weights()`"
            )
        if weights.keys() != views.keys():
            missing, unknown = sorted(views.keys() - weights.keys()), sorted(weights.keys() - views.keys())
            raise UsageError(f"load_weights: missing {missing}, unknown {unknown}; expected {list(views)}")
        values = {name: torch.as_tensor(value) for name, value in weights.items()}
        for name, view in views.items():
            if values[name].shape != view.shape:
                raise UsageError(
                    f"load_weights: {name} has shape {tuple(values[name].shape)}, expected {tuple(view.shape)}"
                )
        with torch.no_grad():
            for name, view in views.items():
                view.copy_(values[name])

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Run the layer; see the class for shapes. The names are those of `torch.nn.LSTM.forward`."""
        if isinstance(input, PackedSequence):
            self._check_states(hx, int(input.batch_sizes[0]))
            if hx is not None and input.sorted_indices is not None:
                hx = (hx[0][:, input.sorted_indices], hx[1][:, input.sorted_indices])
            output, (h_n, c_n) = self._run(input.data, input.batch_sizes, hx)
            if input.unsorted_indices is not None:
                h_n, c_n = h_n[:, input.unsorted_indices], c_n[:, input.unsorted_indices]
            return input._replace(data=output), (h_n, c_n)
        if not isinstance(input, Tensor) or input.dim() not in (2, 3):
            got = f"a tensor of shape {tuple(input.shape)}" if isinstance(input, Tensor) else type(input).__name__
            raise UsageError(
                f"LSTM: got {got}, expected a tensor of (time, batch, features) or (time, features), "
                "or a PackedSequence"
            )
        batched = input.dim() == 3
        steps = input if batched else input[:, None]
        steps = steps.transpose(0, 1) if batched and self.batch_first else steps
        time, batch, features = steps.shape
        if time == 0 or batch == 0:
            raise UsageError(f"LSTM: got {time} time steps of {batch} sequences, expected at least one of both")
        self._check_states(hx, batch if batched else None)
        if hx is not None and not batched:
            hx = (hx[0][:, None], hx[1][:, None])
        sizes = torch.full((time,), batch, dtype=torch.int64)
        flat, (h_n, c_n) = self._run(steps.reshape(time * batch, features), sizes, hx)
        output = flat.reshape(time, batch, -1)
        if not batched:
            return output[:, 0], (h_n[:, 0], c_n[:, 0])
        return (output.transpose(0, 1) if self.batch_first else output), (h_n, c_n)

    def _check_states(self, state: Any, batch: int | None) -> None:
        """Raise UsageError unless it is None or two states of the right shape; no batch means one sequence alone."""
        if state is None:
            return
        expected = (len(self.theta), *(() if batch is None else (batch,)), self.hidden_size)
        wanted = f"expected a pair (h_0, c_0), each {expected} of {self.theta.dtype}"
        if not isinstance(state, tuple | list) or len(state) != 2 or not all(isinstance(s, Tensor) for s in state):
            raise UsageError(f"LSTM: got {type(state).__name__} as states, {wanted}")
        if any(tuple(part.shape) != expected or part.dtype != self.theta.dtype for part in state):
            got = " and ".join(f"{tuple(part.shape)} of {part.dtype}" for part in state)
            raise UsageError(f"LSTM: got states {got}, {wanted}")

    def _check_rows(self, rows: Tensor) -> None:
        """Raise UsageError unless inputs fit the weights."""
        theta = self.theta
        if rows.device != theta.device:
            raise UsageError(f"LSTM: got inputs on {rows.device} and weights on {theta.device}; move one with `.to`")
        if theta.device.type == "cpu" and theta.dtype not in _DTYPES:
            raise UsageError(f"LSTM: the weights are {theta.dtype}, expected float32 or float64; use `.float()`")
        if rows.shape[1] != self.input_size or rows.dtype != theta.dtype:
            raise UsageError(
                f"LSTM: got {rows.shape[1]} features of {rows.dtype}, "
                f"expected {self.input_size} features of {theta.dtype}"
                + ("" if rows.dtype == theta.dtype else f"; convert them, `.to({theta.dtype})`, or the layer")
            )

    def _run(
        self, rows: Tensor, batch_sizes: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run all directions over packed rows."""
        self._check_rows(rows)
        directions, batch = len(self.theta), int(batch_sizes[0])
        zeros = rows.new_zeros(directions, batch, self.hidden_size)
        y0, c0 = state if state is not None else (zeros, zeros)
        where = _Rows(batch_sizes)
        run = self._by_kernels if rows.device.type == "cpu" else self._by_equations
        outputs, y_n, c_n = [], [], []
        for direction in range(directions):
            reversal = torch.from_numpy(where.reversal).to(rows.device)
            x = rows[reversal] if direction else rows.contiguous()
            y, last_y, last_c = run(x, self.theta[direction], y0[direction], c0[direction], where)
            outputs.append(y[reversal] if direction else y)
            y_n.append(last_y)
            c_n.append(last_c)
        return torch.cat(outputs, dim=1), (torch.stack(y_n), torch.stack(c_n))

    def _by_kernels(self, x: Tensor, theta: Tensor, y0: Tensor, c0: Tensor, where: _Rows) -> tuple[Tensor, ...]:
        return _Layer.apply(x, theta, y0, c0, (self.layout, flags_of(self.variant, self.gradient), where))

    def _by_equations(self, x: Tensor, theta: Tensor, y0: Tensor, c0: Tensor, where: _Rows) -> tuple[Tensor, ...]:
        sizes = torch.from_numpy(np.diff(where.starts))
        padded, _ = torch.nn.utils.rnn.pad_packed_sequence(PackedSequence(x, sizes))
        traced = equations.lstm(self.variant, self.layout.weights(theta), padded, (y0, c0), gradient=self.gradient)
        step = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        sequence = torch.arange(len(step)) - torch.from_numpy(where.starts)[step]
        y, c = traced.outputs[step, sequence], traced.cells[step, sequence]
        return y, y[where.last], c[where.last]

    def extra_repr(self) -> str:
        """Return what is not a default."""
        shown = f"{self.input_size}, {self.hidden_size}, variant={self.variant.name!r}"
        for name in ("bidirectional", "batch_first"):
            shown += f", {name}=True" if getattr(self, name) else ""
        return shown + (f", gradient={self.gradient!r}" if self.gradient != "full" else "")


def _variant(named: str | LSTMVariant) -> LSTMVariant:
    # The constructor's argument is called `variant`, like everywhere, and hides the function.
    return variant(named)
