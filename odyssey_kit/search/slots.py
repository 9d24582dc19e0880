"""The slots of a run: an executor each, what it is busy with, and what is done when it ends.

May import `executors`, `training` and `errors`.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from odyssey_kit.errors import StudyError
from odyssey_kit.search.executors import LocalSlot, Workers, local_slot
from odyssey_kit.training import TrialResult, TrialSpec

__all__ = ["Ended", "Slots"]

Work = Callable[[TrialSpec], TrialResult]
_NO_START = (
    "a worker process ended before its first trial, and what it wrote above says why; nothing was run. "
    'A script must call run_study under `if __name__ == "__main__":`, for a worker imports it.'
)


@dataclass
class _Busy:
    """What a slot does, since when, and whether it was ended for taking too long."""

    slot: int
    spec: TrialSpec
    attempt: int
    since: float
    overdue: bool = False


@dataclass(frozen=True)
class Ended:
    """A trial that came back: with what its work returned, or with an error."""

    spec: TrialSpec
    attempt: int
    error: BaseException | None
    returned: Any


class Slots:
    """Executors of one worker each.

    Parameters
    ----------
    workers : Workers
        What makes executors.
    work : callable
        From spec to result.
    most : int
        Never more slots than this, because there are no more trials.
    trial_limit : float, optional
        Seconds after which a trial is ended.
    """

    def __init__(self, workers: Workers, work: Work, *, most: int, trial_limit: float | None = None) -> None:
        self.workers, self.most, self.trial_limit = workers, most, trial_limit
        self.work = work if trial_limit is None else workers.limited(work, trial_limit)
        self._others = set(multiprocessing.active_children())
        self.executors: list[Executor] = []
        self.free: list[int] = []
        self.apart: list[Executor] = []
        self.busy: dict[Future[TrialResult], _Busy] = {}
        self.grow()

    def grow(self) -> None:
        """Take up workers that have come."""
        while len(self.executors) < min(self.workers.count(), self.most):
            self.free.append(len(self.executors))
            self.executors.append(self.workers.make())

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
            raise StudyError(_NO_START) from error

    def submit(self, spec: TrialSpec, attempt: int) -> None:
        """Give a trial to a free slot."""
        slot = self.free.pop(0)
        try:
            future = self.executors[slot].submit(self.work, spec)
        except BrokenProcessPool:  # the worker ended while it had nothing to do
            self.renew(slot)
            future = self.executors[slot].submit(self.work, spec)
        self.busy[future] = _Busy(slot, spec, attempt, time.monotonic())

    def renew(self, slot: int) -> None:
        """Put a new executor in the place of one whose worker is dead."""
        self.executors[slot].shutdown(wait=False, cancel_futures=True)
        self.executors[slot] = self.workers.make()

    def wait(self, seconds: float) -> list[Future[TrialResult]]:
        """Wait until a trial ends, for so long at most; end those that take too long; return what has ended."""
        done = wait(self.busy, timeout=seconds, return_when=FIRST_COMPLETED).done
        if self.trial_limit is not None:
            for future, doing in self.busy.items():
                executor = self.executors[doing.slot]
                late = time.monotonic() - doing.since > self.trial_limit
                if late and not doing.overdue and not future.done() and isinstance(executor, LocalSlot):
                    doing.overdue = True
                    executor.kill()
        return list(done)

    def take(self, future: Future[TrialResult]) -> Ended:
        """Return how a trial ended; the slot is not free before `release`."""
        doing = self.busy[future]
        error = CancelledError("it was lost on its way") if future.cancelled() else future.exception()
        if isinstance(error, BrokenProcessPool):
            self.renew(doing.slot)
            if doing.overdue:
                error = TimeoutError(f"it took longer than {self.trial_limit:g} seconds, and its worker was ended")
        return Ended(doing.spec, doing.attempt, error, None if error else future.result())

    def release(self, future: Future[TrialResult]) -> None:
        """Forget a trial whose result is kept, and free its slot."""
        self.free.append(self.busy.pop(future).slot)

    def finished(self) -> list[tuple[TrialSpec, Any]]:
        """Return what has come in and was not released yet."""
        return [
            (doing.spec, future.result())
            for future, doing in self.busy.items()
            if future.done() and not future.cancelled() and future.exception() is None
        ]

    def close(self, *, at_once: bool) -> None:
        """End the workers; at once, without waiting for what they do."""
        for child in set(multiprocessing.active_children()) - self._others if at_once else ():
            child.terminate()
        for executor in (*self.executors, *self.apart):
            # A process of ours is waited for, it ends soon; a cluster's may take as long as its trial.
            with suppress(Exception):
                executor.shutdown(wait=not at_once or isinstance(executor, ProcessPoolExecutor))
