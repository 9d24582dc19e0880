"""Ctrl-C: heard once, and held back where it would tear something apart. May import nothing of the package.

A signal is taken by whichever thread does not block it, and raised in the main one wherever that is. So what
must not be interrupted says so here, and the handler waits for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["heard_once", "held_back"]


class _State:
    """Whether Ctrl-C is held back now, and whether one came meanwhile."""

    held = 0
    pending = False


@contextmanager
def heard_once() -> Iterator[None]:
    """Let Ctrl-C interrupt once: what it starts takes a moment, and must not be interrupted itself."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if _State.held:
            _State.pending = True
        else:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C back, here and, for good, in a process that is started meanwhile: it inherits what is blocked."""
    blocks = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if blocks else set()
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
        if blocks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if _State.pending and not _State.held:
            _State.pending = False
            raise KeyboardInterrupt
