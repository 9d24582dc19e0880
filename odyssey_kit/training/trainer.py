"""One trial, from spec to result; and `train`, the same loop by hand.

May import `variants`, `errors`, `data`, `engine` and the rest of `training`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from odyssey_kit.data import SequenceDataset, load_dataset
from odyssey_kit.engine.compiled import compile_apart
from odyssey_kit.engine.network import Network, sequences
from odyssey_kit.engine.parameters import Layout
from odyssey_kit.errors import UsageError
from odyssey_kit.training.metrics import NLL_PER_FRAME, NextStepEvaluation
from odyssey_kit.training.protocol import Protocol
from odyssey_kit.training.provenance import provenance
from odyssey_kit.training.trial import EpochRow, TrialResult, TrialSpec
from odyssey_kit.variants import LSTMVariant, variant

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Training", "run_trial", "train"]

ENGINE = "numba"
OnEpoch = Callable[[EpochRow], None]


@dataclass(frozen=True)
class _Streams:
    """A trial's random streams, one a purpose, so that none depends on how much another drew."""

    weights: np.random.Generator
    order: np.random.Generator
    noise: np.random.Generator

    @classmethod
    def from_seed(cls, seed: str) -> _Streams:
        children = np.random.SeedSequence(int(seed, 16)).spawn(3)
        return cls(*(np.random.Generator(np.random.PCG64DXSM(child)) for child in children))


class _Trial:
    """The state of one trial in training."""

    def __init__(self, spec: TrialSpec, dataset: SequenceDataset) -> None:
        if dataset.task != "next-step":
            raise UsageError(f"data set {dataset.name!r} is a {dataset.task!r} task; this version trains 'next-step'")
        compile_apart(spec.protocol.dtype)
        self.spec, self.dataset, self.protocol = spec, dataset, spec.protocol
        self.streams = _Streams.from_seed(spec.seed)
        dtype = np.dtype(spec.protocol.dtype)
        layout = Layout(
            variant=spec.variant,
            input_size=dataset.input_size,
            hidden_size=spec.params["hidden_size"],
            output_size=dataset.output_size,
        )
        parameters = self.streams.weights.standard_normal(layout.parameter_count) * spec.protocol.initial_weight_std
        self.data = sequences(dataset.train.inputs, dataset.train.targets, dataset.train.offsets, dtype=dtype)
        self.network = Network(layout, parameters.astype(dtype), self.data, gradient=spec.protocol.gradient)
        self.valid = NextStepEvaluation(dataset.valid, dtype)
        self.test = NextStepEvaluation(dataset.test, dtype)
        self.best: np.ndarray | None = None
        self.curve: list[EpochRow] = []
        self.began = time.perf_counter()

    def noisy_inputs(self) -> np.ndarray:
        """Return this epoch's inputs: every value has fresh Gaussian noise, drawn at once in float32."""
        std = self.spec.params["input_noise_std"]
        if std == 0:
            return self.data.inputs
        noise = self.streams.noise.standard_normal(self.data.inputs.shape, dtype=np.float32)
        noise *= np.float32(std)
        return self.data.inputs + noise

    def epoch(self) -> EpochRow:
        """Train one epoch, evaluate, and return its row, in which a loss may be not finite."""
        params, protocol = self.spec.params, self.protocol
        scale = 1.0 - params["momentum"] if protocol.lr_mode == "rescaled" else 1.0
        sequence_count, frames = len(self.data.offsets) - 1, int(self.data.offsets[-1])
        record = self.network.train_epoch(
            self.streams.order.permutation(sequence_count),
            inputs=self.noisy_inputs(),
            learning_rate=params["learning_rate"] * scale,
            momentum=params["momentum"],
            nesterov=protocol.momentum_type == "nesterov",
            clip=protocol.clip,
            mean_over_time=protocol.loss_reduction == "mean",
        )
        # Reported in nats a frame where the loss is a sum over time, so that it compares with the metrics.
        train_loss = record.loss / (frames if protocol.loss_reduction == "sum" else sequence_count)
        finite = math.isfinite(train_loss)
        previous = self.curve[-1].updates if self.curve else 0
        return EpochRow(
            epoch=len(self.curve) + 1,
            updates=previous + record.updates,
            seconds=time.perf_counter() - self.began,
            train_loss=train_loss,
            valid_metric=self.valid.pooled(self.network) if finite else math.nan,
            test_metric=self.test.pooled(self.network) if finite else math.nan,
            max_abs_cell=record.max_abs_cell,
            max_abs_output=record.max_abs_output,
            gradient_norm_mean=record.gradient_norm_mean,
            gradient_norm_max=record.gradient_norm_max,
        )

    def run(self, on_epoch: OnEpoch | None) -> tuple[str, str]:
        """Train until the protocol says stop; return state and reason."""
        best_metric, best_epoch = math.inf, 0
        for epoch in range(1, self.protocol.max_epochs + 1):
            row = self.epoch()
            if not (math.isfinite(row.train_loss) and math.isfinite(row.valid_metric)):
                what = "training loss" if not math.isfinite(row.train_loss) else "validation metric"
                return "DIVERGED", f"{what} was not finite in epoch {epoch}, after {row.updates} updates"
            self.curve.append(row)
            if on_epoch is not None:
                on_epoch(row)
            if row.valid_metric < best_metric:
                best_metric, best_epoch = row.valid_metric, epoch
                self.best = self.network.theta.copy()
            if epoch - best_epoch > self.protocol.patience:
                break
        return "COMPLETE", ""

    def result(self, state: str, reason: str) -> TrialResult:
        """Return what was measured, with the best epoch's metrics in all conventions."""
        seconds = time.perf_counter() - self.began
        best_epoch, metrics, curve = None, {}, self.curve
        if self.best is not None:
            best_epoch = 1 + int(np.argmin([row.valid_metric for row in curve]))
            curve = [replace(row, is_best=row.epoch == best_epoch) for row in curve]
            best = curve[best_epoch - 1]
            metrics = {
                "train_loss": best.train_loss,
                "valid_metric": best.valid_metric,
                "test_metric": best.test_metric,
            }
            self.network.theta[:] = self.best
            for split, evaluation in (("valid", self.valid), ("test", self.test)):
                metrics |= {f"{split}_{name}": value for name, value in evaluation.conventions(self.network).items()}
        return TrialResult(
            key=self.spec.key,
            state=state,  # pyright: ignore[reportArgumentType]
            metric=NLL_PER_FRAME,
            metrics=metrics,
            best_epoch=best_epoch,
            curve=tuple(curve),
            n_parameters=self.network.layout.parameter_count,
            seconds=seconds,
            provenance=provenance(engine=ENGINE, data_sha256=self.dataset.sha256),
            error=reason,
        )


@cache
def _dataset(name: str) -> SequenceDataset:
    """Load a data set once a process: a worker trains many trials on the same one."""
    return load_dataset(name)


def run_trial(spec: TrialSpec, *, on_epoch: OnEpoch | None = None) -> TrialResult:
    """Run one trial: the pure function from spec to result.

    Parameters
    ----------
    spec : TrialSpec
        What to run.
    on_epoch : callable, optional
        Called with each finished epoch's row.

    Returns
    -------
    TrialResult
        COMPLETE or DIVERGED. An error of program or machine is raised, and is the caller's to store.

    Notes
    -----
    On one machine with one set of versions the result is bit for bit the same, but for times. The
    random streams of weights, order and noise are separate children of the spec's seed.
    """
    trial = _Trial(spec, _dataset(spec.task))
    return trial.result(*trial.run(on_epoch))


@dataclass(frozen=True)
class Training:
    """A network trained by hand: its result, its history, and its weights.

    The weights are those of the best validation epoch, or the last ones where no epoch was finished.
    """

    spec: TrialSpec
    result: TrialResult
    weights: Mapping[str, np.ndarray]

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch."""
        return pd.DataFrame(map(asdict, self.result.curve), columns=[field.name for field in fields(EpochRow)])

    def plot(self) -> alt.TopLevelMixin:
        """Draw the history.

        Raises
        ------
        UsageError
            If no epoch was finished.
        """
        from odyssey_kit import charts

        if not self.result.curve:
            raise UsageError(f"nothing to plot: no epoch was finished ({self.result.error})")

        return charts.training_curves(self.history)

    def __repr__(self) -> str:
        shown = self.result
        best = (
            f"best epoch {shown.best_epoch}: valid {shown.metrics['valid_metric']:.3f}, "
            f"test {shown.metrics['test_metric']:.3f} nats a frame"
            if shown.best_epoch
            else "no finished epoch"
        )
        return (
            f"Training({self.spec.variant.name} on {self.spec.task}, hidden_size={self.spec.params['hidden_size']}: "
            f"{shown.state.lower()}, {len(shown.curve)} epochs, {best}, {shown.seconds:.1f} s)"
        )


def _hexadecimal(seed: int) -> str:
    if not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed is {seed!r}, expected a whole number from 0")
    return f"{seed:x}"


def train(
    cell: str | LSTMVariant,
    dataset: str | SequenceDataset = "jsb-chorales",
    *,
    hidden_size: int = 100,
    learning_rate: float = 1e-2,
    momentum: float = 0.9,
    input_noise_std: float = 0.0,
    seed: int = 0,
    progress: bool = True,
    **protocol: Any,
) -> Training:
    """Train one network and return its result, history and weights.

    Parameters
    ----------
    cell : str or LSTMVariant
        The variant.
    dataset : str or SequenceDataset
        A next-step data set, by name or loaded.
    hidden_size, learning_rate, momentum, input_noise_std
        The four hyperparameters of the Odyssey's search. The defaults lie where its chorales trials
        did best: the top of the learning-rate range, no noise.
    seed : int
        Of weights, order and noise.
    progress : bool
        Show a bar with the time left and the latest metrics.
    **protocol
        Settings of `Protocol`, such as ``max_epochs=20`` or ``lr_mode="raw"``.

    Returns
    -------
    Training
        With ``history`` (a frame), ``weights`` (named as in the papers), ``result`` and ``plot()``.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> run = ok.train("CIFG", "jsb-chorales", hidden_size=32, max_epochs=2)  # doctest: +SKIP
    >>> run.plot()  # doctest: +SKIP
    """
    from tqdm.auto import tqdm

    data = _dataset(dataset) if isinstance(dataset, str) else dataset
    spec = TrialSpec(
        study="by-hand",
        task=data.name,
        variant=variant(cell),
        index=0,
        params={
            "hidden_size": hidden_size,
            "learning_rate": learning_rate,
            "momentum": momentum,
            "input_noise_std": input_noise_std,
        },
        seed=_hexadecimal(seed),
        protocol=Protocol.from_dict(protocol),
    )
    trial = _Trial(spec, data)
    with tqdm(total=spec.protocol.max_epochs, unit="epoch", disable=not progress, leave=False) as bar:

        def show(row: EpochRow) -> None:
            bar.set_postfix(train=f"{row.train_loss:.2f}", valid=f"{row.valid_metric:.2f}")
            bar.update()

        result = trial.result(*trial.run(show))
    return Training(spec, result, trial.network.weights())
