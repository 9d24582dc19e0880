"""Hundreds of networks of one variant in training at once: torch operations with a leading trial axis.

This is the route for a GPU, where a time step of one small network is nearly all waiting; on a CPU,
where it is tested, the compiled kernels are faster, because many weight matrices do not fit its cache.
A trial trains here as in `network`: from the same parameters, on its own order of the sequences and its
own noise, one sequence an update, with the 88 Bernoullis' loss. Two kinds of filling make trials of
different sizes one tensor, and neither changes a number beyond rounding:

*Units.* Networks of up to H units lie in the corner of matrices for H. A unit that is only filling has
zero weights in and out, so its net inputs are 0, its error is 0, and its incoming weights get no
gradient. Its values need not be 0, though: sigmoid(0) is 1/2, and with y != 0 the gradient of its
outgoing weights would be y times a delta. Full gate recurrence does the same to its matrices.
*Time.* The sequences of one update end at different steps; what comes behind an end may even overflow.

After the forward loop all states outside a trial's units and time are set to zero. Then outgoing
gradients are zero (a product with a zero state), and so are all deltas there, since the backward pass
starts with a zero error and multiplies by states only. No step of the loop needs a mask.

May import the engine's other modules and torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from odyssey_kit.engine.epoch import Sequences
from odyssey_kit.engine.network import EpochRecord
from odyssey_kit.engine.parameters import Layout
from odyssey_kit.engine.population_filling import Filling, length_bucket
from odyssey_kit.engine.population_steps import Cell, sequence_backward, sequence_forward
from odyssey_kit.errors import UsageError

__all__ = ["DeviceBatch", "Population", "Update"]

# What every update logs of every network.
_MEASURES = ("loss", "squares", "cell", "output", "saturated")


@dataclass(frozen=True, kw_only=True)
class Update:
    """How the networks are updated; rates and momenta, one a network, are used as they are given here."""

    learning_rates: np.ndarray
    momenta: np.ndarray
    nesterov: bool = True
    clip: float = 0.0
    mean_over_time: bool = False


class DeviceBatch:
    """Packed sequences on a device, to be evaluated by many networks."""

    def __init__(self, data: Sequences, device: torch.device) -> None:
        lengths = np.diff(data.offsets)
        self.order = np.argsort(-lengths, kind="stable")
        steps = np.arange(lengths.max())[:, None]
        running = steps < lengths[self.order]  # (time, sequences), longest first
        frames = (data.offsets[self.order] + steps)[running]
        self.starts = [0, *np.cumsum(running.sum(axis=1)).tolist()]
        self.inputs = torch.from_numpy(data.inputs[frames]).to(device)
        self.targets = torch.from_numpy(data.targets[frames]).to(device)


def _bernoulli(X: Tensor, targets: Tensor) -> Tensor:
    """Return the negative log-likelihood of every unit, each an independent Bernoulli."""
    return X.clamp_min(0).addcmul_(X, targets, value=-1).add_(X.abs().neg_().exp_().log1p_())


class Population:
    """Networks of one variant and different hidden sizes in training, each as if it were alone.

    Parameters
    ----------
    layouts : sequence of Layout
        One a network; they may differ in hidden size only.
    parameters : sequence of ndarray
        Each network's initial parameters, bare, in its layout's order, float32 or float64.
    data : Sequences
        The training sequences, which all networks share.
    update : Update
        How to train.
    gradient : {"full", "carousel"}
        See `odyssey_kit.engine.equations.lstm`.
    device : str or torch.device
        On a CUDA device the work of one update is captured as a graph, one for each length bucket.
    noise : tuple of (ndarray, int), optional
        Standard deviations and a seed: noise drawn on the device, step by step. It takes no memory, but
        the numbers depend on which networks are trained together.

    Raises
    ------
    UsageError
        If the layouts do not fit each other or the data.

    Notes
    -----
    The capture of CUDA graphs is written to the rules of torch and was not run: there was no GPU at
    hand. The operations that it captures are those tested on the CPU.
    """

    def __init__(
        self,
        layouts: Sequence[Layout],
        parameters: Sequence[np.ndarray],
        data: Sequences,
        update: Update,
        *,
        gradient: str = "full",
        device: str | torch.device = "cpu",
        noise: tuple[np.ndarray, int] | None = None,
    ) -> None:
        self.device, self.layouts, self.data, self._how = torch.device(device), list(layouts), data, update
        self.filling = Filling(layouts)
        self.layout = self.filling.layout
        if data.targets.shape != (len(data.inputs), self.layout.output_size):
            raise UsageError(
                f"a population is trained on next steps: targets are {data.targets.shape}, "
                f"expected {(len(data.inputs), self.layout.output_size)}"
            )
        self.cell = Cell(self.layout.variant, self.layout.hidden_size, gradient)
        self.theta = self._tensor(np.stack(list(map(self.filling.fill, layouts, parameters))))
        self.velocity = torch.zeros_like(self.theta)
        self._rates, self._momenta = (
            self._tensor(np.asarray(values)[:, None]) for values in (update.learning_rates, update.momenta)
        )
        self._stds = None if noise is None else self._tensor(np.asarray(noise[0])[:, None, None])
        self._generator = torch.Generator(self.device).manual_seed(0 if noise is None else noise[1])
        self._lengths = np.diff(data.offsets)
        # One frame of zeros at the end stands for all that comes behind a sequence's end.
        self._clean, self._targets = (
            torch.cat([self._tensor(array), self._tensor(np.zeros((1, array.shape[1])))])
            for array in (data.inputs, data.targets)
        )
        self._own: Tensor | None = None
        self._captures = self.device.type == "cuda"
        self._make_room()

    def __len__(self) -> int:
        return len(self.layouts)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(self.data.inputs.dtype)).to(self.device)

    def _make_room(self) -> None:
        """Allocate what one update needs, for all networks and the longest sequence."""
        K, T, H, columns = len(self), int(self._lengths.max()), self.layout.hidden_size, self.layout.shapes["R"][1]

        def room(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=self.theta.dtype, device=self.device)

        self._work = {
            "A": room(T, K, 1, columns),
            "D": room(T, K, 1, columns),
            "C": room(T + 1, K, 1, H),
            "Y": room(T + 1, K, 1, H),
            "S": room(T, K, 1, H),
            "dY": room(T, K, 1, H),
        }
        self._spare = room(K, 1, H), room(K, 1, 3 * H)
        self._gradient = torch.zeros_like(self.theta)
        self._weights, self._gradients = map(self.filling.views, (self.theta, self._gradient))
        self._noise = None if self._stds is None else room(K, T, self.layout.input_size)
        sizes = torch.tensor([layout.hidden_size for layout in self.layouts], device=self.device)
        self._absent = torch.arange(H, device=self.device) >= sizes[:, None]
        self._time = torch.arange(T, device=self.device)
        self._networks = torch.arange(K, device=self.device)[:, None]
        # First frame and length of each network's sequence in this update; what the update measured.
        self._which = torch.zeros(2, K, dtype=torch.int64, device=self.device)
        self._log = torch.zeros(len(_MEASURES), K, dtype=torch.float64, device=self.device)
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    # ---- one update ------------------------------------------------------------------------------

    def _gather(self, steps: int, ended: Tensor) -> tuple[Tensor, Tensor]:
        """Return each network's inputs and targets, zeros behind its sequence's end."""
        rows = (self._which[0][:, None] + self._time[:steps]).masked_fill_(ended, len(self._clean) - 1)
        targets = self._targets[rows]
        if self._own is not None:
            return self._own[self._networks, rows], targets
        inputs = self._clean[rows]
        if self._noise is not None and self._stds is not None:
            inputs.addcmul_(self._noise[:, :steps], self._stds).masked_fill_(ended.unsqueeze(-1), 0)
        return inputs, targets

    def _step(self, steps: int) -> None:
        """Train every network on one sequence of up to so many frames."""
        w, g, cell = self._weights, self._gradients, self.cell
        in_time = {name: work[: steps + (name in "CY")] for name, work in self._work.items()}
        # The same memory with networks outermost, for all that is one product a network.
        A, D, C, Y, S, dY = (work.squeeze(2).transpose(0, 1) for work in in_time.values())
        ended = self._time[:steps] >= self._which[1][:, None]
        inputs, targets = self._gather(steps, ended)
        torch.baddbmm(w["b"].unsqueeze(1), inputs, w["W"], out=A)
        sequence_forward(cell, w, *(in_time[name] for name in "ACYS"))
        outside = ended.unsqueeze(-1) | self._absent.unsqueeze(1)
        blocks = A[..., : cell.blocks * cell.hidden_size].unflatten(-1, (cell.blocks, -1))
        blocks.masked_fill_(outside.unsqueeze(2), 0)
        for states in (C[:, 1:], Y[:, 1:], S):
            states.masked_fill_(outside, 0)
        X = torch.baddbmm(w["d"].unsqueeze(1), Y[:, 1:], w["V"])
        self._measure(blocks, C, Y, X, targets, ended, outside)
        delta = X.sigmoid_().sub_(targets).masked_fill_(ended.unsqueeze(-1), 0)
        if self._how.mean_over_time:
            delta.div_(self._which[1][:, None, None])
        torch.bmm(Y[:, 1:].transpose(1, 2), delta, out=g["V"])
        torch.sum(delta, 1, out=g["d"])
        torch.bmm(delta, w["V"].transpose(1, 2), out=dY)
        sequence_backward(cell, w, (in_time["A"], in_time["C"], in_time["S"]), in_time["dY"], in_time["D"], self._spare)
        self._take_gradients(inputs, A, C, Y, D)
        self._descend()

    def _measure(
        self, blocks: Tensor, C: Tensor, Y: Tensor, X: Tensor, targets: Tensor, ended: Tensor, outside: Tensor
    ) -> None:
        """Log each network's loss and what the study wants to know of its states."""
        losses = _bernoulli(X, targets).masked_fill_(ended.unsqueeze(-1), 0)
        torch.sum(losses, (1, 2), dtype=torch.float64, out=self._log[0])
        if self._how.mean_over_time:
            self._log[0].div_(self._which[1])
        for row, states in ((2, C), (3, Y)):
            self._log[row].copy_(states.abs().amax((1, 2)))
        # Gates outside were set to 0, which counts as saturated.
        saturated = (blocks[:, :, 1:] - 0.5).abs_() > 0.49
        filling = outside.sum((1, 2)) * (self.cell.blocks - 1)
        self._log[4].copy_(saturated.sum((1, 2, 3)) - filling)

    def _take_gradients(self, inputs: Tensor, A: Tensor, C: Tensor, Y: Tensor, D: Tensor) -> None:
        """Write the layer's gradients, one product a matrix."""
        g, cell = self._gradients, self.cell
        torch.bmm(inputs.transpose(1, 2), D, out=g["W"])
        torch.bmm(Y[:, :-1].transpose(1, 2), D, out=g["R"])
        torch.sum(D, 1, out=g["b"])
        for j, k in enumerate(cell.variant.peephole_gates):
            seen = C[:, 1:] if k == "o" and cell.waits else C[:, :-1]
            torch.sum(cell.block(k, D) * seen, 1, out=g["p"][:, j])
        if cell.variant.gate_recurrence and A.shape[1] > 1:
            torch.bmm(cell.gates(A[:, :-1]).transpose(1, 2), cell.gates(D[:, 1:]), out=g["Rg"])
        elif cell.variant.gate_recurrence:
            g["Rg"].zero_()

    def _descend(self) -> None:
        """Apply one momentum step; with Nesterov momentum theta is kept at the point ahead."""
        g = self._gradient
        if self._how.clip > 0:
            g.clamp_(-self._how.clip, self._how.clip)
        torch.sum(g * g, 1, dtype=torch.float64, out=self._log[1])
        g.mul_(self._rates)
        self.velocity.mul_(self._momenta).sub_(g)
        if self._how.nesterov:
            self.theta.addcmul_(self.velocity, self._momenta).sub_(g)
        else:
            self.theta.add_(self.velocity)

    def _replay(self, steps: int) -> None:
        """Do one update by the graph of its length bucket, captured on first use."""
        steps = length_bucket(steps, len(self._time))
        if steps not in self._graphs:
            # What runs once before a capture allocates and chooses algorithms; it must leave no trace.
            kept = self.theta.clone(), self.velocity.clone()
            side = torch.cuda.Stream(self.device)
            side.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(side):
                self._step(steps)
            torch.cuda.current_stream(self.device).wait_stream(side)
            self.theta.copy_(kept[0])
            self.velocity.copy_(kept[1])
            self._graphs[steps] = torch.cuda.CUDAGraph()
            with torch.cuda.device(self.device), torch.cuda.graph(self._graphs[steps]):
                self._step(steps)
        self._graphs[steps].replay()

    # ---- an epoch --------------------------------------------------------------------------------

    def train_epoch(self, orders: np.ndarray, *, inputs: Iterable[np.ndarray] | None = None) -> list[EpochRecord]:
        """Train every network on all sequences, each in its own order, one sequence an update.

        Parameters
        ----------
        orders : ndarray
            (networks, sequences), each row a permutation.
        inputs : iterable of ndarray, optional
            Each network's training inputs of this epoch, with noise. They stay on the device, which
            takes as much memory for every network as the training set does.

        Returns
        -------
        list of EpochRecord
            One a network. As in `Network.train_epoch`, a loss that is not finite ends that network's
            epoch; its parameters are worth nothing afterwards, and its neighbours' are untouched.
        """
        if orders.shape != (len(self), len(self._lengths)):
            raise UsageError(f"orders are {orders.shape}, expected {(len(self), len(self._lengths))}")
        if inputs is not None:
            self._load(inputs)
        lengths = self._lengths[orders]
        which = torch.from_numpy(np.stack([self.data.offsets[orders], lengths]).transpose(2, 0, 1)).to(self.device)
        history = torch.empty(orders.shape[1], *self._log.shape, dtype=self._log.dtype, device=self.device)
        if self._how.nesterov:
            self.theta.addcmul_(self.velocity, self._momenta)
        for n, steps in enumerate(lengths.max(axis=0).tolist()):
            self._which.copy_(which[n])
            if self._noise is not None:
                self._noise[:, :steps].normal_(generator=self._generator)
            if self._captures:
                self._replay(steps)
            else:
                self._step(steps)
            history[n].copy_(self._log)
        if self._how.nesterov:
            self.theta.addcmul_(self.velocity, self._momenta, value=-1)
        measured = history.cpu().numpy()
        return [self._record(measured[:, :, k], lengths[k], self.layouts[k].hidden_size) for k in range(len(self))]

    def _load(self, inputs: Iterable[np.ndarray]) -> None:
        """Copy each network's own inputs to the device."""
        if self._own is None:
            self._own = self._clean.repeat(len(self), 1, 1)
            self._graphs.clear()
        for k, array in enumerate(inputs):
            self._own[k, :-1].copy_(torch.from_numpy(array))

    def _record(self, measured: np.ndarray, lengths: np.ndarray, hidden_size: int) -> EpochRecord:
        """Return one network's record of an epoch from what was measured at each update."""
        losses = measured[:, 0]
        wrong = np.flatnonzero(~np.isfinite(losses))
        updates = int(wrong[0]) if len(wrong) else len(losses)
        _, squares, cells, outputs, saturated = measured[:updates].T
        norms = np.sqrt(squares)
        gates = lengths[:updates].sum() * hidden_size * (self.cell.blocks - 1)
        return EpochRecord(
            loss=float(losses[updates] if len(wrong) else losses.sum()),
            updates=updates,
            max_abs_cell=float(cells.max(initial=0)),
            max_abs_output=float(outputs.max(initial=0)),
            gradient_norm_mean=float(norms.sum() / max(updates, 1)),
            gradient_norm_max=float(norms.max(initial=0)),
            saturated_gates=float(saturated.sum() / max(gates, 1)),
        )

    def sequence_losses(self, batch: DeviceBatch, theta: Tensor | None = None) -> np.ndarray:
        """Return each network's loss of each sequence, summed over its frames, (networks, sequences).

        Parameters
        ----------
        batch : DeviceBatch
            What to evaluate.
        theta : Tensor, optional
            Other parameters than the present ones, in the same layout, of any number of networks.
        """
        w, cell = self.filling.views(self.theta if theta is None else theta), self.cell
        K, H, B = len(w["b"]), cell.hidden_size, batch.starts[1]
        c, new, shown, y = (w["R"].new_zeros(K, B, H) for _ in range(4))
        losses = torch.zeros(K, B, dtype=torch.float64, device=self.device)
        before = None
        for first, last in zip(batch.starts[:-1], batch.starts[1:], strict=True):
            n = last - first
            a = torch.baddbmm(w["b"].unsqueeze(1), batch.inputs[first:last].expand(K, -1, -1), w["W"])
            a.baddbmm_(y[:, :n], w["R"])
            if cell.variant.gate_recurrence and before is not None:
                cell.gates(a).baddbmm_(cell.gates(before[:, :n]), w["Rg"])
            cell.forward(a, w["p"], c[:, :n], new[:, :n], shown[:, :n], y[:, :n])
            c, new, before = new, c, a
            X = torch.baddbmm(w["d"].unsqueeze(1), y[:, :n], w["V"])
            losses[:, :n] += _bernoulli(X, batch.targets[first:last].expand(K, -1, -1)).sum(-1, dtype=torch.float64)
        result = np.empty((K, B))
        result[:, batch.order] = losses.cpu().numpy()
        return result

    # ---- networks of the population ----------------------------------------------------------------

    def weights(self, k: int) -> dict[str, np.ndarray]:
        """Return one network's present weights by the papers' names, without filling, copied."""
        return self.filling.weights(self.layouts[k], self.theta[k].cpu().numpy())

    def keep(self, networks: Sequence[int]) -> None:
        """Go on with these networks only; graphs are captured anew."""
        index = torch.tensor(networks, device=self.device)
        self.layouts = [self.layouts[k] for k in networks]
        self.theta, self.velocity, self._rates, self._momenta = (
            tensor.index_select(0, index) for tensor in (self.theta, self.velocity, self._rates, self._momenta)
        )
        if self._stds is not None:
            self._stds = self._stds.index_select(0, index)
        if self._own is not None:
            self._own = self._own.index_select(0, index)
        self._make_room()
