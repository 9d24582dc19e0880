"""Running a study: whatever the plan names and the store does not hold yet.

The runner knows specs and results only. One writer, this process; workers return results and touch
no disk. May import the rest of `search`, `training` and `errors`.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from odyssey_kit.data import load_dataset
from odyssey_kit.engine.compiled import is_compiled
from odyssey_kit.engine.network import compile_kernels
from odyssey_kit.errors import OdysseyError
from odyssey_kit.search.executors import describe_failure, parse_executor, train_one
from odyssey_kit.search.publish import export, published_folder, published_results
from odyssey_kit.search.store import Store, open_for_writing
from odyssey_kit.search.study import StudySpec
from odyssey_kit.training import TrialResult, TrialSpec

__all__ = ["RunSummary", "run_study"]


@dataclass(frozen=True)
class RunSummary:
    """What a run left behind: planned trials, and the stored ones by state."""

    planned: int
    complete: int
    diverged: int
    failed: int
    interrupted: bool = False

    @property
    def done(self) -> int:
        """Stored trials of the plan."""
        return self.complete + self.diverged + self.failed

    def __str__(self) -> str:
        return (
            f"{self.done} of {self.planned} trials done: {self.complete} complete, "
            f"{self.diverged} diverged, {self.failed} failed"
        )


class _Progress:
    """A bar on standard error: in a terminal or notebook a bar, in a log a line a minute."""

    def __init__(self, planned: list[TrialSpec], states: dict[str, str], shown: bool) -> None:
        self.counts = Counter(states[spec.key] for spec in planned if spec.key in states)
        terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=len(planned),
            initial=sum(self.counts.values()),
            unit="trial",
            disable=not shown,
            mininterval=0.2 if terminal else 60.0,
            dynamic_ncols=terminal,
        )
        self._postfix()

    def _postfix(self) -> None:
        self.bar.set_postfix(diverged=self.counts["DIVERGED"], failed=self.counts["FAILED"], refresh=False)

    def add(self, state: str) -> None:
        self.counts[state] += 1
        self._postfix()
        self.bar.update()


class _Slots:
    """The executors, what each is busy with, and what waits."""

    def __init__(self, makers: list[Callable[[], Executor]], work: Callable[[TrialSpec], TrialResult]) -> None:
        self.work = work
        self.makers = makers
        self.executors = [make() for make in makers]
        self.busy: dict[Future[TrialResult], tuple[int, TrialSpec, int]] = {}

    def submit(self, slot: int, spec: TrialSpec, attempt: int) -> None:
        self.busy[self.executors[slot].submit(self.work, spec)] = (slot, spec, attempt)

    def warm(self, preparation: Callable[[], None]) -> None:
        """Let one worker prepare what all of them will load, before the others start."""
        self.executors[0].submit(preparation).result()

    def renew(self, slot: int) -> None:
        self.executors[slot].shutdown(wait=False, cancel_futures=True)
        self.executors[slot] = self.makers[slot]()

    def close(self, *, at_once: bool) -> None:
        for executor in self.executors:
            executor.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children() if at_once else ():
            child.terminate()


def _failed(spec: TrialSpec, error: BaseException, attempts: int) -> TrialResult:
    return TrialResult(
        key=spec.key, state="FAILED", metric="", error=f"failed {attempts} times; the last:\n{describe_failure(error)}"
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
            slot, spec, attempt = slots.busy.pop(future)
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
    """
    makers = parse_executor(executor)
    plan = study.plan()
    keys = {spec.key for spec in plan}
    with open_for_writing(study, path) as store:
        for spec, result in published_results(published_folder(study.name, results)):
            if spec.key in keys:
                store.add(spec, result)
        states = store.states()
        pending = [spec for spec in plan if spec.key not in states][:limit]
        shown = _Progress(plan, states, progress)
        interrupted = _work_through(
            study,
            store,
            makers,
            pending,
            shown,
            work,
            max_attempts=max_attempts,
            export_every=export_every,
            results=results,
        )
        shown.bar.close()
        counts = Counter(state for key, state in store.states().items() if key in keys)
    return RunSummary(len(plan), counts["COMPLETE"], counts["DIVERGED"], counts["FAILED"], interrupted)


def _work_through(
    study: StudySpec,
    store: Store,
    makers: list[Callable[[], Executor]],
    pending: list[TrialSpec],
    shown: _Progress,
    work: Callable[[TrialSpec], TrialResult],
    *,
    max_attempts: int,
    export_every: float | None,
    results: Path | None,
) -> bool:
    """Run the pending trials and store each; return whether Ctrl-C ended it."""
    if not pending:
        return False
    trains = work is train_one
    for task in study.tasks if trains else ():
        load_dataset(task)  # fetched and verified once, before any worker needs it
    exported = time.monotonic()

    def keep(spec: TrialSpec, result: TrialResult) -> None:
        nonlocal exported
        store.add(spec, result)
        shown.add(result.state)
        if export_every is not None and time.monotonic() - exported > export_every:
            export(study, store, published_folder(study.name, results))
            exported = time.monotonic()

    slots = _Slots(makers[: len(pending)], work)
    finished = False
    try:
        if trains:
            if not is_compiled():
                shown.bar.write("compiling the kernels, once: about half a minute", file=sys.stderr)
            slots.warm(compile_kernels)
        _run_pending(slots, pending, max_attempts=max_attempts, store=keep)
        finished = True
    except KeyboardInterrupt:
        return True
    finally:
        slots.close(at_once=not finished)
    return False
