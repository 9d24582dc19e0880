"""Where trials are trained: one single-worker executor a core, so that a death costs one slot only.

`concurrent.futures.Executor` is the whole interface. May import `cluster`, `interrupts`, `errors` and `training`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from odyssey_kit.errors import UsageError
from odyssey_kit.search.interrupts import held_back
from odyssey_kit.training import TrialResult, TrialSpec

__all__ = ["LocalSlot", "Serial", "Workers", "cores", "describe_failure", "local_slot", "parse_executor", "train_one"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Of the memory that is there, what all workers together may take; the rest is the system's and the runner's.
_SHARE_OF_MEMORY = 0.9


def train_one(spec: TrialSpec) -> TrialResult:
    """Run a trial in a worker; its own function, so that a worker finds it by name."""
    from odyssey_kit.training import run_trial  # here, so that a study can be planned without numba

    return run_trial(spec)


@dataclass(frozen=True, kw_only=True)
class Workers:
    """What a run trains on.

    Attributes
    ----------
    make : callable
        Returns an executor of one worker.
    count : callable
        How many of them there should be now.
    limited : callable
        From the work and a limit in seconds to work that ends itself beyond it, where the runner cannot end it.
    gone : callable
        Why nothing can be trained any more; empty while it can.
    close : callable
        What is done in the end.
    here : bool
        Whether they are processes of this machine.
    """

    make: Callable[[], Executor]
    count: Callable[[], int]
    limited: Callable[[Any, float], Any] = lambda work, seconds: work
    gone: Callable[[], str] = lambda: ""
    close: Callable[[], None] = lambda: None
    here: bool = True


def _bound_memory(limit: int) -> None:
    """Let an allocation beyond the limit fail with a MemoryError, before the system ends whole processes."""
    with suppress(ImportError, ValueError, OSError):  # not on Windows; macOS knows the limit and does not keep it
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _prepare_worker(memory: int | None) -> None:
    """Leave Ctrl-C to the runner, and end with it: a runner that was killed must leave no worker behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if memory is not None:
        _bound_memory(memory)

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


class LocalSlot(ProcessPoolExecutor):
    """One spawned worker process, started by the first thing that is submitted.

    Parameters
    ----------
    memory : int, optional
        Most bytes that the worker may allocate.
    """

    def __init__(self, memory: int | None = None) -> None:
        spawn = multiprocessing.get_context("spawn")
        super().__init__(max_workers=1, mp_context=spawn, initializer=_prepare_worker, initargs=(memory,))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a call to the worker."""
        with held_back():
            return super().submit(fn, *args, **kwargs)

    def kill(self) -> None:
        """End the worker process, whatever it does."""
        for process in list((getattr(self, "_processes", None) or {}).values()):
            process.kill()


def local_slot(memory: int | None = None) -> LocalSlot:
    """Return an executor of one spawned, single-threaded worker process."""
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")  # read by a worker's libraries when they load
    return LocalSlot(memory)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_here() -> int | None:
    """Return the bytes of memory of this machine, or of the container that it is; None where it does not say."""
    found = []
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(ValueError, OSError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(found, default=None)


def parse_executor(text: str, memory: int | None = None) -> Workers:
    """Return the workers that a text names: ``serial``, ``local`` (one a core), ``local:N`` or ``dask:ADDRESS``.

    Parameters
    ----------
    text : str
        Which.
    memory : int, optional
        Most bytes a local worker may allocate; by default its share of what the machine has.

    Raises
    ------
    UsageError
        For any other text.
    StudyError
        If there is no Dask scheduler at that address, or it has no workers.

    Examples
    --------
    >>> parse_executor("local:3").count()
    3
    """
    kind, _, rest = text.partition(":")
    if kind == "serial" and not rest:
        return Workers(make=Serial, count=lambda: 1)
    if kind == "local" and (not rest or (rest.isdecimal() and int(rest) > 0)):
        number, there = int(rest) if rest else cores(), _memory_here()
        share = memory or (int(there * _SHARE_OF_MEMORY / number) if there else None)
        return Workers(make=partial(local_slot, share), count=lambda: number)
    if kind == "dask" and rest:
        from odyssey_kit.search.cluster import connect

        return connect(rest)
    raise UsageError(f"executor is {text!r}, expected serial, local, local:N with N at least 1, or dask:ADDRESS")


def describe_failure(error: BaseException) -> str:
    """Return the traceback of an error, a worker's own included."""
    return "".join(traceback.format_exception(error)).strip()
