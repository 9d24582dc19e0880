"""A place for a study of made-up work, and a runner of it in a process group of its own, to be watched and killed."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import fake_work

import odyssey_kit as ok
from odyssey_kit.search import open_for_reading
from odyssey_kit.search.runner import RunSummary

STUDY = fake_work.study()


@dataclass
class Place:
    """Where a test's store, results and log lie."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "runs" / "fake.sqlite"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def run(self, study: ok.StudySpec = STUDY, **settings) -> RunSummary:
        settings = {"executor": "serial", "progress": False, "work": fake_work.steady, **settings}
        return ok.run_study(study, path=self.store, results=self.results, **settings)

    def held(self) -> dict[str, dict]:
        with open_for_reading(self.store) as store:
            return {spec.key: result.to_dict() for spec, result in store.results()}

    def begun(self) -> list[str]:
        """Return the keys of the trials that were begun, in that order."""
        return [line.split()[0] for line in self.log.read_text().splitlines()] if self.log.exists() else []


def environment() -> dict[str, str]:
    """Return an environment in which another process finds this package and the fake work."""
    folders = Path(fake_work.__file__).parent, Path(ok.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}


def _hear_interrupts() -> None:
    """Undo what a shell does to commands in the background: they and their children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _bounded(largest_file: int) -> None:
    """Let writing beyond a size fail, as on a full disk, and not end the process."""
    import resource

    _hear_interrupts()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))


class Running:
    """A runner in a process group of its own, to be watched and killed."""

    def __init__(
        self,
        place: Place,
        *,
        executor: str = "local:2",
        n_trials: int = 40,
        work: str = "steady",
        name: str = "first",
        largest_file: int | None = None,
    ) -> None:
        self.out, self.err = place.folder / f"{name}.stdout", place.folder / f"{name}.stderr"
        prepare = _hear_interrupts if largest_file is None else functools.partial(_bounded, largest_file)
        command = [sys.executable, fake_work.__file__, executor, place.store, place.results, str(n_trials), work]
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env=environment(), start_new_session=True, preexec_fn=prepare
            )

    def stored(self) -> list[str]:
        """Return the keys that were reported stored so far."""
        return [line.split()[1] for line in self.out.read_text().splitlines() if line.startswith("stored ")]

    def wait_until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something holds, or the run is over."""
        until = time.monotonic() + seconds
        while not condition() and self.process.poll() is None:
            assert time.monotonic() < until, self.err.read_text()
            time.sleep(0.01)

    def end(self) -> tuple[int, list[str], str]:
        """Wait for the end; return exit code, keys that were reported stored, and standard error."""
        code = self.process.wait(timeout=60)
        return code, self.stored(), self.err.read_text()

    def left(self) -> list[str]:
        """Return what is alive of the group."""
        rows = _processes()
        return [row for row, group, state in rows if group == self.process.pid and state != "Z"]

    def wait_until_none_is_left(self, seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while left := self.left():
            assert time.monotonic() < until, f"still alive: {left}"
            time.sleep(0.05)


def _processes() -> Iterator[tuple[str, int, str]]:
    """Yield each process as text, with its group and its state."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,pid=,args="], capture_output=True, text=True).stdout
        for line in listed.splitlines():
            group, state, row = line.split(maxsplit=2)
            yield row, int(group), state[0]
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end just now
            state, _, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            yield f"{folder.name} {(folder / 'cmdline').read_text()}", int(group), state
