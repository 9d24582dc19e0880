"""One network in training: its flat vectors and room to work, around the compiled calls.

May import the engine's other modules.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from odyssey_kit.engine import decoding
from odyssey_kit.engine.checks import check_inputs, check_order, check_targets
from odyssey_kit.engine.epoch import LOSSES, Sequences, Settings, evaluate, losses_of_sequences, train_epoch
from odyssey_kit.engine.kernels import flags_of
from odyssey_kit.engine.noise import add_noise
from odyssey_kit.engine.parameters import Layout, aligned_zeros
from odyssey_kit.errors import UsageError
from odyssey_kit.variants import ODYSSEY_VARIANTS

__all__ = ["EpochRecord", "Network", "compile_kernels", "sequences"]

# Rows of a block of evaluation: at a hidden size of 100 its arrays take 1.6 MB, about a second-level cache.
_EVALUATION_ROWS = 512


class EpochRecord(NamedTuple):
    """What one epoch of training measured; the loss is a sum over sequences."""

    loss: float
    updates: int
    max_abs_cell: float
    max_abs_output: float
    gradient_norm_mean: float
    gradient_norm_max: float
    saturated_gates: float


def sequences(
    inputs: np.ndarray,
    targets: np.ndarray,
    offsets: np.ndarray,
    *,
    label_offsets: np.ndarray | None = None,
    dtype: str | np.dtype = "float32",
) -> Sequences:
    """Return sequences as the kernels take them.

    Parameters
    ----------
    inputs : ndarray
        (frames, features).
    targets : ndarray
        Real, (frames, outputs); or integer labels, one a frame, or with label_offsets a string a sequence.
    offsets, label_offsets : ndarray
        (sequences + 1,) where each sequence begins.
    dtype : str or dtype
        Of inputs and real targets.
    """
    offsets = np.ascontiguousarray(offsets, np.int64)
    real = targets.ndim == 2
    labels = np.empty(0, np.int64) if real else np.ascontiguousarray(targets, np.int64)
    if label_offsets is None:
        label_offsets = np.zeros_like(offsets) if real else offsets
    values = targets if real else np.empty((0, 0))
    return Sequences(
        np.ascontiguousarray(inputs, dtype),
        np.ascontiguousarray(values, dtype),
        labels,
        offsets,
        np.ascontiguousarray(label_offsets, np.int64),
    )


class Network:
    """An LSTM layer, of one direction or two, and an output layer, trained by mini-batches.

    Parameters
    ----------
    layout : Layout
        Sizes and variant.
    parameters : ndarray
        (layout.parameter_count,) initial parameters in the layout's order, float32 or float64.
    data : Sequences
        The training sequences; noise may be added to their inputs epoch by epoch.
    loss : str
        One of `odyssey_kit.engine.epoch.LOSSES`.
    batch_size : int
        Sequences an update.
    gradient : {"full", "carousel"}
        See `odyssey_kit.engine.equations.lstm`.

    Raises
    ------
    UsageError
        If a setting is unknown or the data do not fit: type, width, an empty sequence, labels that are no
        classes, or a string of labels that cannot fit its sequence.
    """

    def __init__(
        self,
        layout: Layout,
        parameters: np.ndarray,
        data: Sequences,
        *,
        loss: str = "bernoulli",
        batch_size: int = 1,
        gradient: str = "full",
    ) -> None:
        if loss not in LOSSES:
            raise UsageError(f"loss is {loss!r}, expected one of {', '.join(LOSSES)}")
        if gradient not in ("full", "carousel"):
            raise UsageError(f"gradient is {gradient!r}, expected 'full' or 'carousel'")
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}, expected at least 1")
        if parameters.shape != (layout.parameter_count,):
            raise UsageError(f"parameters are {parameters.shape}, expected {(layout.parameter_count,)} for this layout")
        check_inputs(data.inputs, data.offsets, layout, parameters.dtype)
        check_targets(data, layout, parameters.dtype, loss)
        self.layout, self.loss, self.data = layout, LOSSES.index(loss), data
        self.flags = flags_of(layout.variant, gradient)
        self.theta = layout.spread(parameters)
        self.velocity = aligned_zeros(layout.size, self.theta.dtype)
        self._gradient = aligned_zeros(layout.size, self.theta.dtype)
        self._batch_size = min(batch_size, len(data.offsets) - 1)
        # An order may name a sequence more than once, so the longest may fill the batch.
        self._room = self._room_for(self._batch_size, self._batch_size * int(np.diff(data.offsets).max()))
        self._evaluation_room = self._room_for(_EVALUATION_ROWS, _EVALUATION_ROWS)

    def _room_for(self, batch: int, rows: int) -> tuple[tuple[tuple[np.ndarray, ...], ...], np.ndarray, np.ndarray]:
        """Return working room of each direction, and of the output layer, for so many packed rows."""
        columns, H = self.layout.shapes["R"][1], self.layout.hidden_size
        shapes = (
            (rows, columns),
            (rows, columns),
            (batch + rows, H),
            (batch + rows, H),
            (rows, H),
            (rows, H),
            (batch, H),
        )
        directions, dtype = len(self.layout.suffixes), self.theta.dtype
        works = tuple(tuple(aligned_zeros(shape, dtype) for shape in shapes) for _ in range(directions))
        hidden = aligned_zeros((rows if directions == 2 else 0, 2 * H), dtype)
        return works, aligned_zeros((rows, self.layout.output_size), dtype), hidden

    def _output(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        packed = self.layout.packed(vector)
        return packed["V"], packed["d"]

    def train_epoch(
        self,
        order: np.ndarray,
        *,
        learning_rate: float,
        momentum: float,
        inputs: np.ndarray | None = None,
        nesterov: bool = True,
        clip: float = 0.0,
        mean_over_time: bool = False,
        mean_over_batch: bool = False,
    ) -> EpochRecord:
        """Train on the sequences in that order; rate and momentum are used as they are given here.

        Parameters
        ----------
        inputs : ndarray, optional
            The training inputs of this epoch, with noise.
        """
        data = self.data if inputs is None else self.data._replace(inputs=inputs)
        check_inputs(data.inputs, data.offsets, self.layout, self.theta.dtype)
        number = self.theta.dtype.type
        settings = Settings(
            number(learning_rate),
            number(momentum),
            number(clip),
            nesterov,
            mean_over_time,
            mean_over_batch,
            self.loss,
            self._batch_size,
        )
        loss, updates, cell, output, norm_sum, norm_max, saturated = train_epoch(
            self.flags,
            (self.theta, self.velocity, self._gradient),
            self.layout.layers(self.theta),
            self.layout.layers(self._gradient),
            self._output(self.theta),
            self._output(self._gradient),
            data,
            check_order(order, len(self.data.offsets) - 1),
            settings,
            *self._room,
        )
        return EpochRecord(loss, updates, float(cell), float(output), norm_sum / max(updates, 1), norm_max, saturated)

    def net_inputs(self, data: Sequences) -> np.ndarray:
        """Return the output layer's net inputs of every frame, (frames, outputs)."""
        check_inputs(data.inputs, data.offsets, self.layout, self.theta.dtype)
        longest = int(np.diff(data.offsets).max(initial=1))
        if longest > len(self._evaluation_room[1]):
            self._evaluation_room = self._room_for(longest, longest)
        net_inputs = np.empty((len(data.inputs), self.layout.output_size), self.theta.dtype)
        evaluate(
            self.flags,
            self.layout.layers(self.theta),
            self._output(self.theta),
            data,
            *self._evaluation_room,
            net_inputs,
        )
        return net_inputs

    def sequence_losses(self, data: Sequences) -> np.ndarray:
        """Return each sequence's loss, summed over its frames, (sequences,)."""
        check_targets(data, self.layout, self.theta.dtype, LOSSES[self.loss])
        losses = np.empty(len(data.offsets) - 1)
        losses_of_sequences(self.loss, data, self.net_inputs(data), losses)
        return losses

    def label_error_rate(self, data: Sequences, *, peaks: bool = False) -> float:
        """Return the edit distance of decoded to true labels, as a share of the true labels.

        Parameters
        ----------
        peaks : bool
            Decode as clstm does instead of by the best path.
        """
        X = self.net_inputs(data)
        errors = decoding.label_errors(X, data.offsets, data.labels, data.label_offsets, peaks)
        return errors / max(len(data.labels), 1)

    def weights(self) -> dict[str, np.ndarray]:
        """Return the papers' weights by name, copied."""
        return {name: np.array(view) for name, view in self.layout.weights(self.theta).items()}


def compile_kernels(dtype: str = "float32") -> None:
    """Compile every kernel of a trial, or load it from the cache, by training one tiny network."""
    layout = Layout(variant=ODYSSEY_VARIANTS["V"], input_size=1, hidden_size=1, output_size=1)
    frames = np.zeros((2, 1), dtype)
    data = sequences(frames, frames, np.array([0, 2]), dtype=dtype)
    network = Network(layout, np.zeros(layout.parameter_count, dtype), data)
    network.train_epoch(np.array([0]), learning_rate=0.0, momentum=0.0)
    network.sequence_losses(data)
    add_noise(data.inputs.reshape(-1), np.float32(0), np.uint64(0), np.uint64(1), np.empty(2, dtype))
