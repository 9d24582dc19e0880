"""Cheap work in the place of training, importable by spawned workers; and a runner of it to be killed.

``python fake_work.py EXECUTOR STORE RESULTS TRIALS`` runs a study of it and prints a line for each
trial once it is stored. Every call of `steady` is logged in the file ``$FAKE_WORK_LOG``.
"""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path

import odyssey_kit as ok
from odyssey_kit.cli import _interrupt_no_more, _interrupt_once
from odyssey_kit.search.runner import run_study
from odyssey_kit.search.store import Store
from odyssey_kit.training import EpochRow

METRICS = ("train_loss", "valid_metric", "test_metric", "valid_nll_sequence_mean", "test_nll_sequence_mean")
METRICS += ("valid_nll_from_silence", "test_nll_from_silence")
PROVENANCE = {
    "engine": "fake",
    "commit": "0" * 40,
    "versions": '{"python": "3"}',
    "machine": "made up",
    "data_sha256": "ab" * 32,
    "finished_at": "2026-01-02T03:04:05+00:00",
}


def study(name: str = "fake", *, n_trials: int = 5, variants: tuple[str, ...] = ("V", "NP"), **more) -> ok.StudySpec:
    """Return a small study of made-up work."""
    cells = tuple(ok.variant(cell) for cell in variants)
    return ok.StudySpec(name=name, tasks=("jsb-chorales",), variants=cells, n_trials=n_trials, **more)


def result(spec: ok.TrialSpec, *, state: str = "COMPLETE", epochs: int = 2, **more) -> ok.TrialResult:
    """Return a made-up result that follows from the spec alone."""
    base = 8 + 1000 * spec.params["learning_rate"]
    curve = tuple(
        EpochRow(
            epoch=epoch,
            updates=10 * epoch,
            seconds=0.5 * epoch,
            train_loss=base + 1 / epoch,
            valid_metric=base + 1 / epoch,
            test_metric=base + 2 / epoch,
            max_abs_cell=1.5,
            max_abs_output=0.75,
            gradient_norm_mean=0.1,
            gradient_norm_max=math.inf if spec.index == 1 else 3.0,
            saturated_gates=0.125,
            is_best=epoch == epochs,
        )
        for epoch in range(1, epochs + 1)
    )
    return ok.TrialResult(
        key=spec.key,
        state=state,
        metric="nll_per_frame",
        metrics={name: base + i / 7 for i, name in enumerate(METRICS)} if curve else {},
        best_epoch=epochs or None,
        curve=curve,
        n_parameters=spec.variant.parameter_count(input_size=88, hidden_size=spec.params["hidden_size"]),
        seconds=0.5 * epochs,
        provenance=PROVENANCE,
        **more,
    )


def quick(spec: ok.TrialSpec) -> ok.TrialResult:
    """Return at once; every fourth draw diverges before its first epoch ends."""
    if spec.index % 4 == 3:
        return result(spec, state="DIVERGED", epochs=0, error="training loss was not finite in epoch 1")
    return result(spec)


def log(spec: ok.TrialSpec) -> None:
    """Note that a trial was begun, in one write, so that two workers never mix their lines."""
    with Path(os.environ["FAKE_WORK_LOG"]).open("a") as file:
        file.write(f"{spec.key} {os.getpid()}\n")


def steady(spec: ok.TrialSpec) -> ok.TrialResult:
    """Take a moment, and leave a line in the log."""
    log(spec)
    time.sleep(0.05)
    return quick(spec)


def slow(spec: ok.TrialSpec) -> ok.TrialResult:
    """Take a third of a second."""
    log(spec)
    time.sleep(0.3)
    return quick(spec)


def hangs_at_two(spec: ok.TrialSpec) -> ok.TrialResult:
    """Never come back from V's draw 2."""
    log(spec)
    if spec.index == 2 and spec.variant.name == "V":
        time.sleep(3600)
    return quick(spec)


def exhausts_memory_at_two(spec: ok.TrialSpec) -> ok.TrialResult:
    """Ask for more and more memory in V's draw 2."""
    log(spec)
    if spec.index == 2 and spec.variant.name == "V":
        hoard = [bytearray(2**26) for _ in range(2**12)]
        raise AssertionError(f"got {len(hoard)} times 64 MiB")
    return quick(spec)


def endless(spec: ok.TrialSpec) -> ok.TrialResult:
    """Take longer than any test."""
    log(spec)
    time.sleep(3600)
    return quick(spec)


def raises_at_two(spec: ok.TrialSpec) -> ok.TrialResult:
    """Raise in the draws numbered 2."""
    log(spec)
    if spec.index == 2:
        raise ZeroDivisionError(f"made up for {spec.variant.name}")
    return quick(spec)


def dies_at_two(spec: ok.TrialSpec) -> ok.TrialResult:
    """End the process in V's draw 2, as the kernel does to a process that takes too much memory."""
    log(spec)
    if spec.index == 2 and spec.variant.name == "V":
        os._exit(9)
    return quick(spec)


def dies_once(spec: ok.TrialSpec) -> ok.TrialResult:
    """End the process in V's draw 2 the first time only."""
    seen = Path(os.environ["FAKE_WORK_LOG"]).read_text() if Path(os.environ["FAKE_WORK_LOG"]).exists() else ""
    log(spec)
    if spec.index == 2 and spec.variant.name == "V" and spec.key not in seen:
        os._exit(9)
    return quick(spec)


class TwoWordsError(Exception):
    """Cannot be unpickled, for it asks for two arguments and remembers one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def raises_what_cannot_travel(spec: ok.TrialSpec) -> ok.TrialResult:
    """Raise an error that the runner cannot read back."""
    if spec.index == 2:
        raise TwoWordsError("made", "up")
    return quick(spec)


def lacks_data(spec: ok.TrialSpec) -> ok.TrialResult:
    """Find no data in the draws numbered 1."""
    if spec.index == 1:
        raise ok.MissingDataError("jsb-chorales: made up to be missing")
    return quick(spec)


def main() -> None:
    """Run `steady` (or the work that is named last) and print each key once it is stored."""
    executor, store, results, trials, *work = sys.argv[1:]
    add = Store.add

    def add_and_tell(self: Store, spec: ok.TrialSpec, got: ok.TrialResult) -> bool:
        new = add(self, spec, got)
        os.write(1, f"stored {spec.key}\n".encode())
        return new

    Store.add = add_and_tell
    _interrupt_once()
    summary = run_study(
        study("killed", n_trials=int(trials)),
        executor=executor,
        path=Path(store),
        results=Path(results),
        progress=False,
        work=globals()[work[0] if work else "steady"],
    )
    _interrupt_no_more()
    os.write(1, f"{summary}\n".encode())
    sys.exit(130 if summary.interrupted else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # after the run, when all is kept
        sys.exit(130)
