"""Many trials of one task and one variant at once: TrialSpecs to TrialResults, for a GPU.

A trial is the same trial as in `trainer`: the same streams of weights, order and noise, the same
protocol, conventions and stopping, so its numbers differ by the rounding of another engine only.
May import `variants`, `errors`, `data`, `engine` and the rest of `training`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from odyssey_kit.data import SequenceDataset
from odyssey_kit.engine.network import sequences
from odyssey_kit.engine.population import DeviceBatch, Population, Update
from odyssey_kit.engine.population_filling import buckets
from odyssey_kit.errors import UsageError
from odyssey_kit.training.course import Course
from odyssey_kit.training.metrics import NextStepEvaluation
from odyssey_kit.training.provenance import provenance
from odyssey_kit.training.trainer import Training, _dataset
from odyssey_kit.training.trial import TrialResult, TrialSpec

__all__ = ["run_population", "train_population"]

Noise = Literal["exact", "device"]
# Networks are left behind at once when they stop; on a GPU, where graphs are captured anew, once so many have.
_IDLE_SHARE = 0.25


def _provenance(engine: str, dataset: SequenceDataset, device: torch.device) -> dict[str, str]:
    """Return the facts beside a result, with torch's version and the GPU's name."""
    facts = provenance(engine=engine, data_sha256=dataset.sha256)
    versions = json.loads(facts["versions"]) | {"torch": torch.__version__}
    facts["versions"] = json.dumps(versions, sort_keys=True)
    if device.type == "cuda":
        facts["machine"] = f"{torch.cuda.get_device_name(device)}, {facts['machine']}"
    return facts


class _Evaluation:
    """The three conventions of `NextStepEvaluation` for many networks at once."""

    def __init__(self, evaluation: NextStepEvaluation, device: torch.device) -> None:
        data, silent = evaluation.data, evaluation.with_silence()
        self._batch, self._silent = DeviceBatch(data, device), DeviceBatch(silent, device)
        self._lengths, self._frames, self._silent_frames = evaluation.lengths, len(data.inputs), len(silent.inputs)

    def pooled(self, population: Population) -> np.ndarray:
        """Return each network's pooled mean."""
        return population.sequence_losses(self._batch).sum(axis=1) / self._frames

    def conventions(self, population: Population, theta: Tensor) -> dict[str, np.ndarray]:
        """Return the other two conventions at these parameters."""
        losses = population.sequence_losses(self._batch, theta)
        return {
            "nll_sequence_mean": (losses / self._lengths).mean(axis=1),
            "nll_from_silence": population.sequence_losses(self._silent, theta).sum(axis=1) / self._silent_frames,
        }


class _Group:
    """Trials of like hidden size in training together."""

    def __init__(
        self,
        specs: Sequence[TrialSpec],
        dataset: SequenceDataset,
        evaluations: dict[str, _Evaluation],
        device: torch.device,
        noise: Noise,
    ) -> None:
        self.members = [Course(spec, dataset) for spec in specs]
        self.seconds = dict.fromkeys(self.members, 0.0)
        self.places = list(self.members)  # of the population's networks; some may have stopped
        self.protocol, self.evaluations, self.device = specs[0].protocol, evaluations, device
        self.data = sequences(
            dataset.train.inputs, dataset.train.targets, dataset.train.offsets, dtype=self.protocol.dtype
        )
        stds, momenta, rates = (
            np.array([spec.params[name] for spec in specs]) for name in ("input_noise_std", "momentum", "learning_rate")
        )
        on_device = noise == "device" and bool(stds.any())
        self.draws = bool(stds.any()) and not on_device
        self.engine = "population-device-noise" if on_device else f"population-{device.type}"
        self.population = Population(
            [member.layout for member in self.members],
            [member.parameters for member in self.members],
            self.data,
            Update(
                learning_rates=rates * (1.0 - momenta if self.protocol.lr_mode == "rescaled" else 1.0),
                momenta=momenta,
                nesterov=self.protocol.momentum_type == "nesterov",
                clip=self.protocol.clip,
                mean_over_time=self.protocol.loss_reduction == "mean",
            ),
            gradient=self.protocol.gradient,
            device=device,
            noise=(stds, int(min(spec.key for spec in specs), 16) % 2**63) if on_device else None,
        )

    def epoch(self) -> None:
        """Train and evaluate one epoch and note it in every trial that still runs."""
        began, sequence_count = time.perf_counter(), len(self.data.offsets) - 1
        orders = np.stack([member.order() if member.running else np.arange(sequence_count) for member in self.places])
        records = self.population.train_epoch(orders, inputs=self._inputs() if self.draws else None)
        valid, test = (self.evaluations[name].pooled(self.population) for name in ("valid", "test"))
        running = [member for member in self.places if member.running]
        share = (time.perf_counter() - began) / len(running)
        for k, member in enumerate(self.places):
            if member.running:
                self.seconds[member] += share
                if member.note(records[k], float(valid[k]), float(test[k]), self.seconds[member]):
                    member.best = self.population.theta[k].clone()

    def _inputs(self) -> Iterator[np.ndarray]:
        for member in self.places:
            yield member.noisy(self.data.inputs) if member.running else self.data.inputs

    def run(self) -> Iterator[Training]:
        """Train until all trials have stopped, and give each as it stops."""
        while self.places:
            running = [member for member in self.places if member.running]
            self.epoch()
            yield from self._finish([member for member in running if not member.running])
            left = [k for k, member in enumerate(self.places) if member.running]
            share = _IDLE_SHARE if self.device.type == "cuda" and left else 0.0
            if len(left) < (1 - share) * len(self.places):
                self.places = [self.places[k] for k in left]
                if left:
                    self.population.keep(left)

    def _finish(self, members: Sequence[Course]) -> Iterator[Training]:
        """Evaluate trials that have stopped, at their best epochs, in all conventions."""
        at_best = [member for member in members if member.best is not None]
        found: dict[str, np.ndarray] = {}
        if at_best:
            theta = torch.stack([member.best for member in at_best if member.best is not None])
            for split, evaluation in self.evaluations.items():
                measured = evaluation.conventions(self.population, theta)
                found |= {f"{split}_{name}": values for name, values in measured.items()}
        for member in members:
            facts = _provenance(self.engine, member.dataset, self.device)
            conventions, weights = {}, {}
            if member.best is not None:
                k = at_best.index(member)
                conventions = {name: float(values[k]) for name, values in found.items()}
                weights = self.population.filling.weights(member.layout, member.best.cpu().numpy())
            yield Training(member.spec, member.result(conventions, facts, self.seconds[member]), weights)


def _check(specs: Sequence[TrialSpec], dataset: SequenceDataset | None, noise: str, device: torch.device) -> None:
    for field in ("task", "variant", "protocol"):
        values = {str(getattr(spec, field)) for spec in specs}
        if len(values) > 1:
            raise UsageError(
                f"a population is of one {field}, but the {len(specs)} trials are of {len(values)}: "
                f"{'; '.join(sorted(values))}. Run each {field} by itself."
            )
    if dataset is not None and specs and dataset.name != specs[0].task:
        raise UsageError(f"the trials' task is {specs[0].task!r}, but the data set is {dataset.name!r}")
    if noise not in get_args(Noise):
        raise UsageError(f"noise is {noise!r}, expected one of {', '.join(map(repr, get_args(Noise)))}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f'device is {str(device)!r}, but torch finds no GPU here; use device="cpu" or `run_trial`')


def train_population(
    specs: Sequence[TrialSpec],
    *,
    dataset: SequenceDataset | None = None,
    device: str | torch.device = "cpu",
    noise: Noise = "exact",
    at_once: int = 256,
    on_trial: Callable[[Training], None] | None = None,
) -> list[Training]:
    """Train many trials of one task, variant and protocol at once; see `run_population`.

    Parameters
    ----------
    specs, dataset, device, noise, at_once
        As for `run_population`.
    on_trial : callable, optional
        Called with each trial as it stops.

    Returns
    -------
    list of Training
        In the order of specs, with the weights at each trial's best epoch.
    """
    device, specs = torch.device(device), list(specs)
    _check(specs, dataset, noise, device)
    if not specs:
        return []
    dataset = dataset if dataset is not None else _dataset(specs[0].task)
    if dataset.task != "next-step":
        raise UsageError(f"data set {dataset.name!r} is a {dataset.task!r} task; a population trains 'next-step'")
    dtype = np.dtype(specs[0].protocol.dtype)
    evaluations = {
        name: _Evaluation(NextStepEvaluation(split, dtype), device)
        for name, split in (("valid", dataset.valid), ("test", dataset.test))
    }
    # In an order of its own, so that a result does not depend on that of specs.
    ordered = sorted({spec.key: spec for spec in specs}.values(), key=lambda spec: spec.key)
    done: dict[str, Training] = {}
    for places in buckets([spec.params["hidden_size"] for spec in ordered], most=at_once):
        for training in _Group([ordered[k] for k in places], dataset, evaluations, device, noise).run():
            done[training.spec.key] = training
            if on_trial is not None:
                on_trial(training)
    return [done[spec.key] for spec in specs]


def run_population(
    specs: Sequence[TrialSpec],
    *,
    dataset: SequenceDataset | None = None,
    device: str | torch.device = "cpu",
    noise: Noise = "exact",
    at_once: int = 256,
    on_result: Callable[[TrialResult], None] | None = None,
) -> list[TrialResult]:
    """Run many trials of one task, variant and protocol at once: what `run_trial` does, for a GPU.

    Parameters
    ----------
    specs : sequence of TrialSpec
        What to run.
    dataset : SequenceDataset, optional
        The task's data, if they are loaded already.
    device : str or torch.device
        ``"cuda"`` for a GPU. On ``"cpu"`` it works, but `run_trial` is faster.
    noise : {"exact", "device"}
        ``"exact"`` draws input noise from each trial's own stream on the host, so that it is the same
        trial as on the CPU; it is held on the device, as much memory for each trial at once as the
        training set takes. ``"device"`` draws it there: faster, but another stream, whose numbers depend on
        which trials run together.
    at_once : int
        Most trials trained together.
    on_result : callable, optional
        Called with each result as its trial stops.

    Returns
    -------
    list of TrialResult
        In the order of specs. The engine is "population-cpu" or "population-cuda", or
        "population-device-noise" where noise was drawn on the device; a trial's seconds are its share
        of the time that all took together.

    Raises
    ------
    UsageError
        If the trials' tasks, variants or protocols differ.

    Notes
    -----
    Every trial keeps its own order of the sequences, so every update lasts as long as the longest
    sequence of any trial. That was not measured on a GPU, nor were the CUDA graphs: none was at hand.
    """
    deliver = None if on_result is None else lambda training: on_result(training.result)
    trained = train_population(specs, dataset=dataset, device=device, noise=noise, at_once=at_once, on_trial=deliver)
    return [training.result for training in trained]
