"""One trial, from spec to result; and `train`, the same loop by hand.

May import `variants`, `errors`, `data`, `engine` and the rest of `training`; `charts` to draw what was trained.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from odyssey_kit.data import SequenceDataset, load_dataset
from odyssey_kit.engine.compiled import compile_apart
from odyssey_kit.engine.network import Network, sequences
from odyssey_kit.errors import UsageError
from odyssey_kit.training.course import Course
from odyssey_kit.training.metrics import NextStepEvaluation
from odyssey_kit.training.protocol import Protocol
from odyssey_kit.training.provenance import provenance
from odyssey_kit.training.trial import EpochRow, TrialResult, TrialSpec
from odyssey_kit.variants import LSTMVariant, variant

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Trainer", "Training", "run_trial", "train"]

ENGINE = "numba"
OnEpoch = Callable[[EpochRow], None]


class Trainer:
    """One trial in training by the compiled kernels.

    Parameters
    ----------
    spec : TrialSpec
        The trial.
    dataset : SequenceDataset
        Its data.

    Raises
    ------
    UsageError
        If the data set is not of next steps.
    """

    def __init__(self, spec: TrialSpec, dataset: SequenceDataset) -> None:
        if dataset.task != "next-step":
            raise UsageError(f"data set {dataset.name!r} is a {dataset.task!r} task; this version trains 'next-step'")
        compile_apart(spec.protocol.dtype)
        self.spec, self.course = spec, Course(spec, dataset)
        dtype = np.dtype(spec.protocol.dtype)
        self.data = sequences(dataset.train.inputs, dataset.train.targets, dataset.train.offsets, dtype=dtype)
        self.network = Network(self.course.layout, self.course.parameters, self.data, gradient=spec.protocol.gradient)
        self.valid, self.test = (NextStepEvaluation(split, dtype) for split in (dataset.valid, dataset.test))
        self.began = time.thread_time()

    def epoch(self) -> None:
        """Train one epoch, evaluate, and note both."""
        params, protocol, course = self.spec.params, self.spec.protocol, self.course
        scale = 1.0 - params["momentum"] if protocol.lr_mode == "rescaled" else 1.0
        record = self.network.train_epoch(
            course.order(),
            inputs=course.noisy(self.data.inputs),
            learning_rate=params["learning_rate"] * scale,
            momentum=params["momentum"],
            nesterov=protocol.momentum_type == "nesterov",
            clip=protocol.clip,
            mean_over_time=protocol.loss_reduction == "mean",
        )
        finite = math.isfinite(record.loss)
        valid, test = (split.pooled(self.network) if finite else math.nan for split in (self.valid, self.test))
        if course.note(record, valid, test, time.thread_time() - self.began):
            course.best = self.network.theta.copy()

    def run(self, on_epoch: OnEpoch | None = None) -> TrialResult:
        """Train until the protocol says stop, and return what was measured."""
        course = self.course
        while course.running:
            self.epoch()
            if on_epoch is not None and course.state == "COMPLETE":
                on_epoch(course.curve[-1])
        seconds = time.thread_time() - self.began
        conventions: dict[str, float] = {}
        if course.best is not None:
            self.network.theta[:] = course.best
            for split, evaluation in (("valid", self.valid), ("test", self.test)):
                conventions |= {
                    f"{split}_{name}": value for name, value in evaluation.conventions(self.network).items()
                }
        return course.result(conventions, provenance(engine=ENGINE, data_sha256=course.dataset.sha256), seconds)


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
    return Trainer(spec, _dataset(spec.task)).run(on_epoch)


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
    trainer = Trainer(spec, data)
    with tqdm(total=spec.protocol.max_epochs, unit="epoch", disable=not progress, leave=False) as bar:

        def show(row: EpochRow) -> None:
            bar.set_postfix(train=f"{row.train_loss:.2f}", valid=f"{row.valid_metric:.2f}")
            bar.update()

        result = trainer.run(show)
    return Training(spec, result, trainer.network.weights())
