"""Running a study: whatever the plan names and the store does not hold yet.

The runner knows specs and results only. One writer, this process; workers return results and touch
no disk. May import the rest of `search`, `training`, `data`, `engine` and `errors`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from odyssey_kit.data import load_dataset
from odyssey_kit.errors import OdysseyError, StudyError, UsageError
from odyssey_kit.search.executors import Workers, describe_failure, parse_executor, train_one
from odyssey_kit.search.interrupts import heard_once
from odyssey_kit.search.lookup import what_is_missing
from odyssey_kit.search.progress import Progress
from odyssey_kit.search.publish import export, published_folder, published_results
from odyssey_kit.search.slots import Ended, Slots
from odyssey_kit.search.store import Store, open_for_writing, store_path
from odyssey_kit.search.study import Shard, StudySpec
from odyssey_kit.training import TrialResult, TrialSpec
from odyssey_kit.training.provenance import provenance

__all__ = ["RunSummary", "run_study"]

Keep = Callable[[TrialSpec, TrialResult], None]
_TICK = 0.5  # seconds between two looks at trials that take too long, at time left, and at workers that have come


@dataclass(frozen=True)
class RunSummary:
    """What a run left behind: planned trials, the stored ones by state, and how many were published before."""

    planned: int
    complete: int
    diverged: int
    failed: int
    interrupted: bool = False
    published: int = 0
    out_of_time: bool = False

    @property
    def done(self) -> int:
        """Stored trials of the plan."""
        return self.complete + self.diverged + self.failed

    def __str__(self) -> str:
        return (
            f"{self.done} of {self.planned} trials done: {self.complete} complete, "
            f"{self.diverged} diverged, {self.failed} failed"
        )


def _settled(spec: TrialSpec, returned: Any) -> TrialResult:
    """Return what a trial's work returned as a result; a validation metric that is no number is a divergence."""
    if not isinstance(returned, TrialResult) or returned.key != spec.key:
        raise TypeError(f"expected a TrialResult of key {spec.key}, its work returned {returned!r:.200}")
    metric = returned.metrics.get("valid_metric", math.nan)
    if returned.state == "COMPLETE" and not math.isfinite(metric):
        return replace(returned, state="DIVERGED", error=f"its validation metric is {metric}")
    return returned


def _failed(spec: TrialSpec, error: BaseException, attempts: int) -> TrialResult:
    times = "once" if attempts == 1 else f"{attempts} times; the last"
    return TrialResult(
        key=spec.key,
        state="FAILED",
        metric="",
        provenance=provenance(engine="", data_sha256=""),
        error=f"failed {times}:\n{describe_failure(error)}",
    )


def _last_attempt(error: BaseException, attempt: int, max_attempts: int) -> bool:
    # A cluster has tried it several times, on different workers, before it says so.
    return attempt >= max_attempts or type(error).__name__ == "KilledWorker"


@dataclass(frozen=True, kw_only=True)
class _How:
    """How pending trials are worked through: when to stop, what to do with a result, and what to do meanwhile."""

    max_attempts: int
    deadline: float
    keep: Keep
    tick: Callable[[], None]


def _outcome(slots: Slots, ended: Ended, max_attempts: int) -> TrialResult | None:
    """Return what to keep of a trial that came back, or None if it is to be tried again."""
    error, result = ended.error, None
    if error is None:
        try:
            result = _settled(ended.spec, ended.returned)
        except TypeError as wrong:
            error = wrong
    if isinstance(error, OdysseyError):
        raise error  # a missing data set, say: the user's to mend, and no fault of the trial
    if error is not None and not slots.workers.gone() and _last_attempt(error, ended.attempt, max_attempts):
        return _failed(ended.spec, error, ended.attempt)
    return result


def _run_pending(slots: Slots, pending: list[TrialSpec], how: _How) -> bool:
    """Keep every slot busy until nothing is pending; return whether time was over before.

    What a slot's death or an error interrupted is tried again. Once time is over no trial is begun; those
    under way are finished.
    """
    waiting = [(spec, 1) for spec in reversed(pending)]
    while waiting or slots.busy:
        if reason := slots.workers.gone():
            raise StudyError(reason)
        slots.grow()
        over = time.monotonic() > how.deadline
        while waiting and slots.free and not over:
            slots.submit(*waiting.pop())
        if over and not slots.busy:
            break
        waiting += _take_in(slots, how)
        how.tick()
    return bool(waiting)


def _take_in(slots: Slots, how: _How) -> list[tuple[TrialSpec, int]]:
    """Wait a moment, keep what has come in, and return what is to be tried again.

    A function of its own, for nothing may hold on to a future whose result is kept: a cluster would train it
    again if the worker that has it dies.
    """
    again = []
    for future in slots.wait(_TICK):
        ended = slots.take(future)
        result = _outcome(slots, ended, how.max_attempts)
        if result is None:
            again.append((ended.spec, ended.attempt + 1))
        else:
            how.keep(ended.spec, result)
        slots.release(future)  # not before it is stored: see what `_work_through` does in the end
    return again


def _check(**options: float | None) -> None:
    for name, value in options.items():
        if value is not None and not value >= 0:
            raise UsageError(f"{name} is {value!r}, expected at least 0")


def run_study(
    study: StudySpec,
    *,
    executor: str = "local",
    limit: int | None = None,
    time_budget: float | None = None,
    trial_limit: float | None = None,
    memory: int | None = None,
    max_attempts: int = 2,
    export_every: float | None = None,
    shard: Shard | None = None,
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
        ``"local"`` (one process a core), ``"local:N"``, ``"serial"`` or ``"dask:ADDRESS"``.
    limit : int, optional
        Run at most this many trials now.
    time_budget : float, optional
        Seconds after which no trial is begun; those under way are finished.
    trial_limit : float, optional
        Seconds after which a trial is ended and its worker replaced; it counts as an attempt.
    memory : int, optional
        Most bytes a local worker may allocate; by default its share of nine tenths of what the machine has.
    max_attempts : int
        How often a trial is tried whose worker died or raised, before it is stored as FAILED.
    export_every : float, optional
        Publish what is there every so many seconds.
    shard : Shard, optional
        Run this part of the plan only, into a store of its own.
    progress : bool
        Show a bar with done/planned, trials an hour, diverged, failed and the time left.
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
    _check(limit=limit, time_budget=time_budget, trial_limit=trial_limit, memory=memory, export_every=export_every)
    if max_attempts < 1:
        raise UsageError(f"max_attempts is {max_attempts!r}, expected at least 1")
    if trial_limit is not None and executor == "serial":
        raise UsageError("trial_limit needs workers that can be ended: use executor local, local:N or dask:ADDRESS")
    if memory is not None and not executor.startswith("local"):
        raise UsageError(
            "memory bounds worker processes of this machine: use executor local or local:N; the workers of a Dask "
            "scheduler are bounded by the --memory-limit that they are started with"
        )
    if shard is not None and export_every is not None:
        raise UsageError("a shard is not published by itself; leave export_every out, and import the shards first")
    if work is train_one and (missing := what_is_missing(study)):
        raise UsageError(f"{study.name} cannot be run by this version, which lacks {', '.join(missing)}")
    deadline = math.inf if time_budget is None else time.monotonic() + time_budget
    plan = [spec for spec in study.plan() if shard is None or shard.holds(study, spec)]
    keys = {spec.key for spec in plan}
    folder = published_folder(study.name, results)
    path = path or store_path(study.name if shard is None else shard.store_name(study))
    with closing(parse_executor(executor, memory)) as workers, open_for_writing(study, path) as store:
        published = [(spec, result) for spec, result in published_results(folder) if spec.key in keys]
        for spec, result in published:
            store.add(spec, result)
        states = store.states()
        pending = [spec for spec in plan if spec.key not in states][:limit]
        interrupted = over = False
        if pending:
            preparation = _prepare(study, workers) if work is train_one else None
            with Progress(len(plan), (states[key] for key in keys if key in states), progress) as shown:
                keep = _keeper(study, store, shown, folder, export_every)
                how = _How(max_attempts=max_attempts, deadline=deadline, keep=keep, tick=shown.tick)
                slots = Slots(workers, work, most=len(pending), trial_limit=trial_limit)
                interrupted, over = _work_through(slots, pending, how, preparation)
        counts = Counter(state for key, state in store.states().items() if key in keys)
    return RunSummary(
        planned=len(plan),
        complete=counts["COMPLETE"],
        diverged=counts["DIVERGED"],
        failed=counts["FAILED"],
        interrupted=interrupted,
        published=len(published),
        out_of_time=over,
    )


def _prepare(study: StudySpec, workers: Workers) -> Callable[[], None] | None:
    """Fetch and verify data once, before any worker needs them; return what compiles the kernels, and says so."""
    if not workers.here:
        return None
    from odyssey_kit.engine.compiled import compile_apart

    for task in study.tasks:
        load_dataset(task)
    return partial(compile_apart, study.protocol.dtype)


def _keeper(study: StudySpec, store: Store, shown: Progress, folder: Path, export_every: float | None) -> Keep:
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
    slots: Slots, pending: list[TrialSpec], how: _How, preparation: Callable[[], None] | None
) -> tuple[bool, bool]:
    """Run the pending trials and keep each; return whether Ctrl-C ended it, and whether time was over."""
    ended = over = False
    with heard_once():
        try:
            slots.start(preparation)
            over = _run_pending(slots, pending, how)
            ended = True
        except KeyboardInterrupt:
            return True, False
        finally:
            # Whatever ended it: what had come in by then is kept, and what was being written is written again.
            try:
                for spec, returned in slots.finished():
                    with suppress(TypeError):
                        how.keep(spec, _settled(spec, returned))
            finally:
                slots.close(at_once=not ended)
    return False, over
