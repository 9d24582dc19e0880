"""Training on several machines: the workers of a Dask scheduler, none of which needs a shared disk.

A worker needs this package with the extra [train], and finds data as any machine does: in its own
``$ODYSSEY_DATA``, its cache, or by fetching them. May import `executors` and `errors`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from odyssey_kit.errors import StudyError, UsageError
from odyssey_kit.search.executors import Workers

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["connect", "ends_itself"]

_SECONDS_TO_CONNECT = 20


def ends_itself(work: Callable[[Any], Any], seconds: float, spec: Any) -> Any:
    """Do the work, or end this process: its nanny starts another one. Nothing else ends a compiled loop."""
    timer = threading.Timer(seconds, os._exit, (70,))
    timer.daemon = True
    timer.start()
    try:
        return work(spec)
    finally:
        timer.cancel()


def _is_gone(address: str) -> str:
    return (
        f"the Dask scheduler at {address} is gone; start it and its workers again. "
        "Every finished trial is stored; called again, the run goes on"
    )


def _threads(client: Any, address: str) -> int:
    try:
        return sum(client.nthreads().values())
    except OSError as error:  # the question can come before the client itself has noticed
        raise StudyError(_is_gone(address)) from error


def _gone(client: Client, address: str) -> str:
    return "" if client.status == "running" else _is_gone(address)


def _close(client: Client) -> None:
    with suppress(Exception):  # a scheduler that is gone cannot be told goodbye
        client.close(timeout=5)


def connect(address: str) -> Workers:
    """Return the workers of a scheduler; each of their threads trains one trial at a time.

    Parameters
    ----------
    address : str
        Such as ``tcp://127.0.0.1:8786``.

    Raises
    ------
    UsageError
        If dask.distributed is not installed.
    StudyError
        If nothing answers there, or no worker has come within 20 seconds.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise UsageError(
            f"executor dask:{address} needs dask.distributed: pip install -c constraints.txt -e '.[dask]'"
        ) from error
    try:
        # Without reconnecting: a scheduler that comes back has forgotten what it was given.
        client = Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False, name="odyssey")
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise StudyError(
            f"no Dask scheduler answers at {address} ({reason}); start one with `dask scheduler`"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
    except TimeoutError as error:
        _close(client)
        raise StudyError(
            f"the Dask scheduler at {address} has no workers; start some with `dask worker {address} --nthreads 1`"
        ) from error
    return Workers(
        # Not pure: a trial that is tried again is another call with the same arguments.
        make=partial(client.get_executor, pure=False),
        count=partial(_threads, client, address),
        limited=lambda work, seconds: partial(ends_itself, work, seconds),
        gone=partial(_gone, client, address),
        close=partial(_close, client),
        here=False,
    )
