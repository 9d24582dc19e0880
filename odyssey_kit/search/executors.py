"""Where trials are trained: one single-worker executor a core, so that a death costs one slot only.

`concurrent.futures.Executor` is the whole interface. May import `errors` and `training`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from odyssey_kit.errors import UsageError
from odyssey_kit.training import TrialResult, TrialSpec

__all__ = ["LocalSlot", "Serial", "describe_failure", "local_slot", "parse_executor", "train_one"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def train_one(spec: TrialSpec) -> TrialResult:
    """Run a trial in a worker; its own function, so that a worker finds it by name."""
    from odyssey_kit.training import run_trial  # here, so that a study can be planned without numba

    return run_trial(spec)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the runner, and end with it: a runner that was killed must leave no worker behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


class Serial(Executor):
    """Run in this process, at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function and return a finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def _interrupt_held_back() -> Iterator[None]:
    """Keep Ctrl-C from a process that is started meanwhile: it inherits what is held back here, for good."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class LocalSlot(ProcessPoolExecutor):
    """One spawned worker process, started by the first thing that is submitted."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        super().__init__(max_workers=1, mp_context=spawn, initializer=_prepare_worker)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a call to the worker."""
        with _interrupt_held_back():
            return super().submit(fn, *args, **kwargs)


def local_slot() -> LocalSlot:
    """Return an executor of one spawned, single-threaded worker process."""
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")  # read by a worker's libraries when they load
    return LocalSlot()


def parse_executor(text: str) -> list[Callable[[], Executor]]:
    """Return what makes each slot: ``serial``, ``local`` (one a core) or ``local:N``.

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> len(parse_executor("local:3"))
    3
    """
    kind, _, number = text.partition(":")
    if kind == "serial" and not number:
        return [Serial]
    if kind == "local" and (not number or (number.isdecimal() and int(number) > 0)):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return [local_slot] * (int(number) if number else cores)
    raise UsageError(f"executor is {text!r}, expected serial, local or local:N with N at least 1")


def describe_failure(error: BaseException) -> str:
    """Return the traceback of an error, a worker's own included."""
    return "".join(traceback.format_exception(error)).strip()
