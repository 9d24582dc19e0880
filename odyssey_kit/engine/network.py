"""One network in training: its flat vectors and room to work, around the compiled calls.

May import the engine's other modules.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from odyssey_kit.engine.epoch import train_epoch
from odyssey_kit.engine.kernels import flags_of, sequence_forward
from odyssey_kit.engine.losses import bernoulli_losses
from odyssey_kit.engine.packing import Packed, pack
from odyssey_kit.engine.parameters import Layout, aligned_zeros
from odyssey_kit.variants import ODYSSEY_VARIANTS

__all__ = ["EpochRecord", "Network", "compile_kernels"]


class EpochRecord(NamedTuple):
    """What one epoch of training measured; the loss is a sum over sequences."""

    loss: float
    updates: int
    max_abs_cell: float
    max_abs_output: float
    gradient_norm_mean: float
    gradient_norm_max: float


class Network:
    """An LSTM layer and an output layer of independent Bernoullis, trained one sequence at a time.

    Parameters
    ----------
    layout : Layout
        Sizes and variant.
    parameters : ndarray
        (layout.parameter_count,) initial parameters in the layout's order, float32 or float64.
    longest : int
        Time steps of the longest training sequence.
    gradient : {"full", "carousel"}
        See `odyssey_kit.engine.equations.lstm`.
    """

    def __init__(self, layout: Layout, parameters: np.ndarray, *, longest: int, gradient: str = "full") -> None:
        self.layout = layout
        self.flags = flags_of(layout.variant, gradient)
        self.theta = layout.spread(parameters)
        self.velocity = aligned_zeros(layout.size, self.theta.dtype)
        self._gradient = aligned_zeros(layout.size, self.theta.dtype)
        columns, hidden = layout.shapes["R"][1], layout.hidden_size
        sizes = {
            "A": (longest, columns),
            "D": (longest, columns),
            "C": (longest + 1, hidden),
            "Y": (longest + 1, hidden),
            "S": (longest, hidden),
            "dY": (longest, hidden),
            "X": (longest, layout.output_size),
            "dC": (1, hidden),
        }
        self._work = (
            *(aligned_zeros(shape, self.theta.dtype) for shape in sizes.values()),
            np.arange(longest + 1, dtype=np.int64),
        )

    def _packed(self, vector: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(self.layout.packed(vector).values())

    def train_epoch(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        offsets: np.ndarray,
        order: np.ndarray,
        *,
        learning_rate: float,
        momentum: float,
        nesterov: bool = True,
        clip: float = 0.0,
        mean: bool = False,
    ) -> EpochRecord:
        """Train on every sequence once; rate and momentum are used as they are given here."""
        number = self.theta.dtype.type
        settings = (number(learning_rate), number(momentum), nesterov, number(clip), mean)
        loss, updates, cell, output, norm_sum, norm_max = train_epoch(
            self.flags,
            self.theta,
            self.velocity,
            self._gradient,
            self._packed(self.theta),
            self._packed(self._gradient),
            inputs,
            targets,
            offsets,
            order,
            settings,
            self._work,
        )
        return EpochRecord(loss, updates, float(cell), float(output), norm_sum / max(updates, 1), norm_max)

    def sequence_losses(self, packed: Packed) -> np.ndarray:
        """Return each sequence's summed negative log-likelihood in nats, (sequences,)."""
        W, R, b, p, Rg, V, d = self._packed(self.theta)
        batch, rows = int(packed.starts[1]), len(packed.inputs)
        C = np.zeros((batch + rows, self.layout.hidden_size), self.theta.dtype)
        Y, S = np.zeros_like(C), np.empty_like(C[:rows])
        with np.errstate(over="ignore", invalid="ignore"):  # a diverged network is a result
            A = aligned_zeros((rows, W.shape[1]), W.dtype)
            np.matmul(packed.inputs, W, out=A)
            A += b
            sequence_forward(self.flags, packed.starts, A, R, p, Rg, C, Y, S)
            losses = np.empty(rows)
            bernoulli_losses(Y[batch:] @ V + d, packed.targets, losses)
        return np.bincount(packed.sequence, losses, minlength=batch)

    def weights(self) -> dict[str, Any]:
        """Return the papers' weights by name, copied."""
        return {name: np.array(view) for name, view in self.layout.weights(self.theta).items()}


def compile_kernels(dtype: str = "float32") -> None:
    """Compile every kernel of a trial, or load it from the cache, by training one tiny network."""
    layout = Layout(variant=ODYSSEY_VARIANTS["V"], input_size=1, hidden_size=1, output_size=1)
    network = Network(layout, np.zeros(layout.parameter_count, dtype), longest=2)
    frames, offsets = np.zeros((2, 1), dtype), np.array([0, 2])
    network.train_epoch(frames, frames, offsets, np.array([0]), learning_rate=0.0, momentum=0.0)
    network.sequence_losses(pack(frames, frames, offsets))
