"""How a run shows itself: a bar in a terminal or notebook, a line a minute in a log.

May import nothing of the package.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm

__all__ = ["Progress"]

_MINUTE = 60.0


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


class Progress:
    """Done/planned, time left, trials an hour, diverged and failed, on standard error."""

    def __init__(self, planned: int, states: Iterable[str], shown: bool) -> None:
        self.counts = Counter(states)
        self._began, self._new, self._told = time.monotonic(), 0, time.monotonic()
        self.lively = sys.stderr.isatty() or _in_notebook()
        looks = {"mininterval": 0.2, "dynamic_ncols": True} if self.lively else {"mininterval": _MINUTE, "file": _Log()}
        self.bar = tqdm(total=planned, initial=sum(self.counts.values()), unit="trial", disable=not shown, **looks)
        self._postfix()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._postfix()
        self.bar.close()

    def _postfix(self) -> None:
        hours = (time.monotonic() - self._began) / 3600
        rate: dict[str, Any] = {"per_hour": f"{self._new / hours:,.0f}"} if self._new else {}
        counts: dict[str, Any] = {"diverged": self.counts["DIVERGED"], "failed": self.counts["FAILED"]}
        self.bar.set_postfix({**rate, **counts}, refresh=False)

    def add(self, state: str) -> None:
        """Count a trial."""
        self.counts[state] += 1
        self._new += 1
        self._postfix()
        if self.bar.update():
            self._told = time.monotonic()

    def tick(self) -> None:
        """Let time pass: a trial that takes long must not look like a run that hangs."""
        now = time.monotonic()
        if not self.bar.disable and now - self._told >= (1.0 if self.lively else _MINUTE):
            self._told = now
            self._postfix()
            self.bar.refresh()
