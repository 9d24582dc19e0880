"""The course of one trial, whatever engine trains it: its random streams, its curve and when it stops.

May import `data`, `engine` without torch, `errors` and the rest of `training` but the trainers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odyssey_kit.data import SequenceDataset
from odyssey_kit.engine.network import EpochRecord
from odyssey_kit.engine.noise import add_noise
from odyssey_kit.engine.parameters import Layout
from odyssey_kit.errors import UsageError
from odyssey_kit.training.metrics import NLL_PER_FRAME
from odyssey_kit.training.trial import EpochRow, TrialResult, TrialSpec

__all__ = ["Course", "Streams"]


@dataclass(frozen=True)
class Streams:
    """A trial's randomness, one source a purpose, so that none depends on how much another drew."""

    weights: np.random.Generator
    order: np.random.Generator
    noise_key: np.uint64

    @classmethod
    def from_seed(cls, seed: str) -> Streams:
        """Return the streams of a seed, a hexadecimal number."""
        weights, order, noise = np.random.SeedSequence(int(seed, 16)).spawn(3)
        return cls(
            weights=np.random.Generator(np.random.PCG64DXSM(weights)),
            order=np.random.Generator(np.random.PCG64DXSM(order)),
            noise_key=noise.generate_state(1, np.uint64)[0],
        )


class Course:
    """One trial under way; an engine trains and evaluates, and notes each epoch here.

    Parameters
    ----------
    spec : TrialSpec
        The trial.
    dataset : SequenceDataset
        Its data.

    Raises
    ------
    UsageError
        If the protocol has a setting that can only be planned yet.
    """

    def __init__(self, spec: TrialSpec, dataset: SequenceDataset) -> None:
        if settings := spec.protocol.not_trained():
            raise UsageError(f"this version cannot train with {', '.join(settings)}; such a trial can only be planned")
        self.spec, self.dataset = spec, dataset
        self.streams = Streams.from_seed(spec.seed)
        self.layout = Layout(
            variant=spec.variant,
            input_size=dataset.input_size,
            hidden_size=spec.params["hidden_size"],
            output_size=dataset.output_size,
        )
        drawn = self.streams.weights.standard_normal(self.layout.parameter_count)
        self.parameters = (drawn * spec.protocol.initial_weight_std).astype(spec.protocol.dtype)
        self.curve: list[EpochRow] = []
        self.state, self.reason, self.running = "COMPLETE", "", True
        self.best: Any = None  # the engine's copy of the parameters at the best epoch
        self.best_epoch, self.best_metric, self.updates = 0, math.inf, 0
        self._noisy = np.empty((0, 0))

    def order(self) -> np.ndarray:
        """Return the order of the sequences in the next epoch."""
        return self.streams.order.permutation(len(self.dataset.train.offsets) - 1)

    def noisy(self, inputs: np.ndarray) -> np.ndarray:
        """Return the next epoch's inputs: every value with fresh Gaussian noise, until the next call."""
        std = self.spec.params["input_noise_std"]
        if std == 0:
            return inputs
        if self._noisy.shape != inputs.shape:
            self._noisy = np.empty(inputs.shape, inputs.dtype)
        epoch = np.uint64(len(self.curve) + 1)
        add_noise(
            np.ascontiguousarray(inputs).reshape(-1),
            np.float32(std),
            self.streams.noise_key,
            epoch,
            self._noisy.reshape(-1),
        )
        return self._noisy

    def note(self, record: EpochRecord, valid: float, test: float, seconds: float) -> bool:
        """Note an epoch and return whether it is the best yet; a loss that is not finite ends the trial.

        Parameters
        ----------
        record : EpochRecord
            What training measured.
        valid, test : float
            The metric on both splits.
        seconds : float
            Since the trial began.
        """
        epoch, protocol = len(self.curve) + 1, self.spec.protocol
        self.updates += record.updates
        train_loss = self.train_loss(record)
        if not (math.isfinite(train_loss) and math.isfinite(valid)):
            what = "training loss" if not math.isfinite(train_loss) else "validation metric"
            self.state, self.running = "DIVERGED", False
            self.reason = f"{what} was not finite in epoch {epoch}, after {self.updates} updates"
            return False
        self.curve.append(
            EpochRow(
                epoch=epoch,
                updates=self.updates,
                seconds=seconds,
                train_loss=train_loss,
                valid_metric=valid,
                test_metric=test,
                max_abs_cell=record.max_abs_cell,
                max_abs_output=record.max_abs_output,
                gradient_norm_mean=record.gradient_norm_mean,
                gradient_norm_max=record.gradient_norm_max,
                saturated_gates=record.saturated_gates,
            )
        )
        better = valid < self.best_metric
        if better:
            self.best_metric, self.best_epoch = valid, epoch
        self.running = epoch - self.best_epoch <= protocol.patience and epoch < protocol.max_epochs
        return better

    def train_loss(self, record: EpochRecord) -> float:
        """Return an epoch's loss in nats a frame where it is a sum over time, so that it compares with the metrics."""
        offsets = self.dataset.train.offsets
        frames, sequences = int(offsets[-1]), len(offsets) - 1
        return record.loss / (frames if self.spec.protocol.loss_reduction == "sum" else sequences)

    def result(self, conventions: dict[str, float], facts: dict[str, str], seconds: float) -> TrialResult:
        """Return what was measured.

        Parameters
        ----------
        conventions : dict of str to float
            Metrics of the best epoch in the other conventions, if there is a best epoch.
        facts : dict of str to str
            Engine, versions and machine; see `provenance`.
        seconds : float
            That the trial took.
        """
        curve, metrics = self.curve, {}
        if self.best_epoch:
            curve = [replace(row, is_best=row.epoch == self.best_epoch) for row in curve]
            best = curve[self.best_epoch - 1]
            metrics = {name: getattr(best, name) for name in ("train_loss", "valid_metric", "test_metric")}
        return TrialResult(
            key=self.spec.key,
            state=self.state,  # pyright: ignore[reportArgumentType]
            metric=NLL_PER_FRAME,
            metrics=metrics | conventions,
            best_epoch=self.best_epoch or None,
            curve=tuple(curve),
            n_parameters=self.layout.parameter_count,
            seconds=seconds,
            provenance=facts,
            error=self.reason,
        )
