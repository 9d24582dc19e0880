"""The metric of each task form, in the conventions that papers differ by.

For chorales one network gives three numbers, because papers do not say how they average the negative
log-likelihood over frames and pieces, nor whether the first frame counts. May import `engine`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import numpy as np

from odyssey_kit.engine.epoch import Sequences
from odyssey_kit.engine.network import Network, sequences

__all__ = ["NLL_PER_FRAME", "NextStepEvaluation", "SplitArrays"]

NLL_PER_FRAME = "nll_per_frame"


class SplitArrays(Protocol):
    """The part of a data set's split that evaluation needs; see `odyssey_kit.data.Split`."""

    @property
    def inputs(self) -> np.ndarray: ...  # noqa: D102

    @property
    def targets(self) -> np.ndarray: ...  # noqa: D102

    @property
    def offsets(self) -> np.ndarray: ...  # noqa: D102


class NextStepEvaluation:
    """Negative log-likelihood of the next frame on one split, in nats a frame.

    Notes
    -----
    *Pooled*, the main one: all predicted frames together, T - 1 a piece of T frames. *Sequence mean*:
    the mean over pieces of each piece's mean. *From silence*: a frame of silence is put before each
    piece, so that its first frame is predicted too, and all T frames are pooled.
    """

    def __init__(self, split: SplitArrays, dtype: np.dtype) -> None:
        self._frames = int(split.offsets[-1])
        self.lengths = np.diff(split.offsets)
        self.data = sequences(split.inputs, split.targets, split.offsets, dtype=dtype)
        self._split = split
        self._dtype = dtype

    def pooled(self, network: Network) -> float:
        """Return the pooled mean."""
        return float(network.sequence_losses(self.data).sum() / self._frames)

    def conventions(self, network: Network) -> dict[str, float]:
        """Return the other two conventions."""
        sequence_means = network.sequence_losses(self.data) / self.lengths
        silent = self.with_silence()
        return {
            "nll_sequence_mean": float(sequence_means.mean()),
            "nll_from_silence": float(network.sequence_losses(silent).sum() / len(silent.inputs)),
        }

    def with_silence(self) -> Sequences:
        """Return the split with a frame of silence before each piece."""
        split, inputs, targets = self._split, [], []
        silence = np.zeros((1, split.inputs.shape[1]))
        for start, stop in pairwise(split.offsets):
            inputs += [silence, split.inputs[start:stop]]
            targets += [split.inputs[start : start + 1], split.targets[start:stop]]
        offsets = split.offsets + np.arange(len(split.offsets))
        return sequences(np.concatenate(inputs), np.concatenate(targets), offsets, dtype=self._dtype)
