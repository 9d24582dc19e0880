"""Running a study: whatever the plan names and the store does not hold yet.

The runner knows specs and results only. One writer, this process; workers return results and touch
no disk. May import the rest of `search`, `training` and `errors`.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from odyssey_kit.data import load_dataset
from odyssey_kit.errors import OdysseyError, StudyError, UsageError
from odyssey_kit.search.executors import describe_failure, local_slot, parse_executor, train_one
from odyssey_kit.search.publish import export, published_folder, published_results
from odyssey_kit.search.store import Store, open_for_writing
from odyssey_kit.search.study import StudySpec
from odyssey_kit.training import TrialResult, TrialSpec
from odyssey_kit.training.provenance import provenance

__all__ = ["RunSummary", "run_study"]


@dataclass(frozen=True)
class RunSummary:
    """What a run left behind: planned trials, the stored ones by state, and how many were published before."""

    planned: int
    complete: int
    diverged: int
    failed: int
    interrupted: bool = False
    published: int = 0

    @property
    def done(self) -> int:
        """Stored trials of the plan."""
        return self.complete + self.diverged + self.failed

    def __str__(self) -> str:
        return (
            f"{self.done} of {self.planned} trials done: {self.complete} complete, "
            f"{self.diverged} diverged, {self.failed} failed"
        )


class _Log:
    """Standard error without going back in a line: each state of the bar is a line of its own."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def _in_notebook() -> bool:
    """Return whether this process is a notebook's kernel; that its package is loaded says nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class _Progress:
    """A bar on standard error: in a terminal or notebook a bar, in a log a line a minute."""

    def __init__(self, planned: int, states: Iterable[str], shown: bool) -> None:
        self.counts = Counter(states)
        lively = sys.stderr.isatty() or _in_notebook()
        looks = {"mininterval": 0.2, "dynamic_ncols": True} if lively else {"mininterval": 60.0, "file": _Log()}
        self.bar = tqdm(total=planned, initial=sum(self.counts.values()), unit="trial", disable=not shown, **looks)
        self._postfix()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def say(self, text: str) -> None:
        if not self.bar.disable:
            self.bar.write(text, file=sys.stderr)

    def _postfix(self) -> None:
        self.bar.set_postfix(diverged=self.counts["DIVERGED"], failed=self.counts["FAILED"], refresh=False)

    def add(self, state: str) -> None:
        self.counts[state] += 1
        self._postfix()
        self.bar.update()


class _Slots:
    """The executors, what each is busy with, and what to do when one ends."""

    def __init__(self, makers: list[Callable[[], Executor]], work: Callable[[TrialSpec], TrialResult]) -> None:
        self.work = work
        self.makers = makers
        self._others = set(multiprocessing.active_children())
        self.executors = [make() for make in makers]
        self.apart: list[Executor] = []
        self.busy: dict[Future[TrialResult], tuple[int, TrialSpec, int]] = {}

    def start(self, preparation: Callable[[], None] | None) -> None:
        """Start all workers, and let a process of its own prepare what they will load."""
        started: list[Future[Any]] = [executor.submit(os.getpid) for executor in self.executors]
        if preparation is not None:
            self.apart.append(local_slot())
            started.append(self.apart[0].submit(preparation))
        try:
            for future in started:
                future.result()
            for executor in self.apart:
                executor.shutdown()
        except BrokenProcessPool as error:
            raise StudyError(
                "a worker process ended before its first trial, and what it wrote above says why; nothing was run. "
                'A script must call run_study under `if __name__ == "__main__":`, for a worker imports it.'
            ) from error

    def submit(self, slot: int, spec: TrialSpec, attempt: int) -> None:
        try:
            future = self.executors[slot].submit(self.work, spec)
        except BrokenProcessPool:  # the worker ended while it had nothing to do
            self.renew(slot)
            future = self.executors[slot].submit(self.work, spec)
        self.busy[future] = (slot, spec, attempt)

    def renew(self, slot: int) -> None:
        self.executors[slot].shutdown(wait=False, cancel_futures=True)
        self.executors[slot] = self.makers[slot]()

    def finished(self) -> list[tuple[TrialSpec, TrialResult]]:
        """Return what has come in and was not taken yet."""
        return [
            (spec, future.result())
            for future, (_, spec, _) in self.busy.items()
            if future.done() and not future.cancelled() and future.exception() is None
        ]

    def close(self, *, at_once: bool) -> None:
        """End the workers; at once, without waiting for what they do."""
        for child in set(multiprocessing.active_children()) - self._others if at_once else ():
            child.terminate()
        for executor in (*self.executors, *self.apart):
            executor.shutdown(wait=True, cancel_futures=True)


def _failed(spec: TrialSpec, error: BaseException, attempts: int) -> TrialResult:
    times = "once" if attempts == 1 else f"{attempts} times; the last"
    return TrialResult(
        key=spec.key,
        state="FAILED",
        metric="",
        provenance=provenance(engine="", data_sha256=""),
        error=f"failed {times}:\n{describe_failure(error)}",
    )


def _run_pending(
    slots: _Slots, pending: list[TrialSpec], *, max_attempts: int, store: Callable[[TrialSpec, TrialResult], None]
) -> None:
    """Keep every slot busy until nothing is pending; what a slot's death interrupted is tried again."""
    waiting = [(spec, 1) for spec in reversed(pending)]
    free = list(range(len(slots.executors)))
    while waiting or slots.busy:
        while waiting and free:
            spec, attempt = waiting.pop()
            slots.submit(free.pop(0), spec, attempt)
        for future in wait(slots.busy, return_when=FIRST_COMPLETED).done:
            slot, spec, attempt = slots.busy[future]
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                slots.renew(slot)
            if isinstance(error, OdysseyError):
                raise error  # a missing data set, say: the user's to mend, and no fault of the trial
            if error is None:
                store(spec, future.result())
            elif attempt < max_attempts:
                waiting.append((spec, attempt + 1))
            else:
                store(spec, _failed(spec, error, attempt))
            del slots.busy[future]  # not before it is stored: see what `_work_through` does in the end
            free.append(slot)


def run_study(
    study: StudySpec,
    *,
    executor: str = "local",
    limit: int | None = None,
    max_attempts: int = 2,
    export_every: float | None = None,
    progress: bool = True,
    path: Path | None = None,
    results: Path | None = None,
    work: Callable[[TrialSpec], TrialResult] = train_one,
) -> RunSummary:
    """Run what is pending of a study: its plan, less what the store holds and what is published.

    Parameters
    ----------
    study : StudySpec
        What to run.
    executor : str
        ``"local"`` (one process a core), ``"local:N"`` or ``"serial"``.
    limit : int, optional
        Run at most this many trials now.
    max_attempts : int
        How often a trial is tried whose worker died or raised, before it is stored as FAILED.
    export_every : float, optional
        Publish what is there every so many seconds.
    progress : bool
        Show a bar with done/planned, diverged, failed and the time left.
    path, results : Path, optional
        The store, and the folder of published studies; by default runs/ and results_cache/.
    work : callable
        From spec to result; another one is of use in tests.

    Returns
    -------
    RunSummary
        Interrupted by Ctrl-C, its ``interrupted`` is True; every finished trial is stored.

    Raises
    ------
    OdysseyError
        If an argument has no meaning, the store cannot be used, or data are missing. Every finished
        trial is stored then, too.
    """
    makers = parse_executor(executor)
    for name, value, least in (
        ("limit", limit, 0),
        ("max_attempts", max_attempts, 1),
        ("export_every", export_every, 0),
    ):
        if value is not None and not value >= least:
            raise UsageError(f"{name} is {value!r}, expected at least {least}")
    plan = study.plan()
    keys = {spec.key for spec in plan}
    folder = published_folder(study.name, results)
    with open_for_writing(study, path) as store:
        published = [(spec, result) for spec, result in published_results(folder) if spec.key in keys]
        for spec, result in published:
            store.add(spec, result)
        states = store.states()
        pending = [spec for spec in plan if spec.key not in states][:limit]
        interrupted, compilation = False, None
        if pending and work is train_one:
            compilation = _compilation(study)
            for task in study.tasks:
                load_dataset(task)  # fetched and verified once, before any worker needs it
        if pending:
            with _Progress(len(plan), (states[key] for key in keys if key in states), progress) as shown:
                keep = _keeper(study, store, shown, folder, export_every)
                slots = _Slots(makers[: len(pending)], work)
                interrupted = _work_through(slots, pending, max_attempts, keep, compilation)
        counts = Counter(state for key, state in store.states().items() if key in keys)
    return RunSummary(len(plan), counts["COMPLETE"], counts["DIVERGED"], counts["FAILED"], interrupted, len(published))


def _compilation(study: StudySpec) -> Callable[[], None]:
    """Return what compiles the kernels before any worker trains; it says so itself if it has to."""
    from odyssey_kit.engine.compiled import compile_apart

    return partial(compile_apart, study.protocol.dtype)


def _keeper(
    study: StudySpec, store: Store, shown: _Progress, folder: Path, export_every: float | None
) -> Callable[[TrialSpec, TrialResult], None]:
    """Return what is done with each result: stored, shown, and now and then published."""
    exported = time.monotonic()

    def keep(spec: TrialSpec, result: TrialResult) -> None:
        nonlocal exported
        if store.add(spec, result):
            shown.add(result.state)
        if export_every is not None and time.monotonic() - exported > export_every:
            export(study, store, folder)
            exported = time.monotonic()

    return keep


def _work_through(
    slots: _Slots,
    pending: list[TrialSpec],
    max_attempts: int,
    keep: Callable[[TrialSpec, TrialResult], None],
    preparation: Callable[[], None] | None,
) -> bool:
    """Run the pending trials and keep each; return whether Ctrl-C ended it."""
    ended = False
    try:
        slots.start(preparation)
        _run_pending(slots, pending, max_attempts=max_attempts, store=keep)
        ended = True
    except KeyboardInterrupt:
        return True
    finally:
        # Whatever ended it: what had come in by then is kept, and what was being written is written again.
        try:
            for spec, result in slots.finished():
                keep(spec, result)
        finally:
            slots.close(at_once=not ended)
    return False
