"""How long a study will take on this machine: an estimate from a short, real timing of a few of its trials.

What was timed is kept in the user's cache directory.
May import `executors`, `lookup`, `study`, `training`, `data`, `errors`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from odyssey_kit.data import status
from odyssey_kit.errors import OdysseyError, UsageError
from odyssey_kit.search.executors import local_slot
from odyssey_kit.search.lookup import what_is_missing
from odyssey_kit.search.study import StudySpec
from odyssey_kit.training import TrialSpec
from odyssey_kit.training.provenance import provenance

__all__ = ["Estimate", "estimate_hours"]

_TIMED = 4  # trials that are timed, from the smallest to the largest network
_EPOCHS = 2  # of each, of which the faster counts


@dataclass(frozen=True)
class Estimate:
    """Processor hours of a whole study if no trial stops early, from so many timed epochs."""

    hours: float
    timed: int
    remembered: bool

    def __str__(self) -> str:
        when = "timed before" if self.remembered else "timed just now"
        return (
            f"at most about {_in_words(self.hours)} on this machine: an estimate from {self.timed} epochs {when}, "
            "if no trial stops early"
        )


def _in_words(hours: float) -> str:
    number, unit = (
        (hours, "hours") if hours >= 1 else (60 * hours, "minutes") if hours >= 1 / 60 else (3600 * hours, "seconds")
    )
    return f"{number:,.0f} processor {unit}" if number >= 10 else f"{number:.2g} processor {unit}"


def _work(spec: TrialSpec) -> float:
    """Return a measure of an epoch's work: the parameters of its layer, and those of a large output layer."""
    hidden = spec.params["hidden_size"]
    directions = 2 if spec.protocol.bidirectional else 1
    return directions * float(spec.variant.parameter_count(input_size=88, hidden_size=hidden, output_size=88))


def _drawn(study: StudySpec, task: str) -> list[TrialSpec]:
    """Return a few of the first draws on a task, from the smallest network to the largest."""
    specs = sorted((study.trial(task, cell, index) for cell in study.variants for index in range(3)), key=_work)
    places = np.linspace(0, len(specs) - 1, min(_TIMED, len(specs))).round().astype(int)
    return [specs[place] for place in dict.fromkeys(places.tolist())]


def _time(spec: TrialSpec) -> float:
    """Return the processor seconds of one epoch, evaluation included; other work on the machine counts little."""
    from odyssey_kit.training import run_trial

    marks = [time.process_time()]
    # At rate 0 no trial diverges and ends too soon; an epoch takes as long.
    short = replace(
        spec, params={**spec.params, "learning_rate": 0.0}, protocol=replace(spec.protocol, max_epochs=_EPOCHS)
    )
    run_trial(short, on_epoch=lambda _: marks.append(time.process_time()))
    return float(min(np.diff(marks)))


def _line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return intercept and slope of seconds over work, neither below zero."""
    work, seconds = np.array(points).T
    if np.ptp(work) > 0:
        slope, intercept = np.polyfit(work, seconds, 1)
        if slope > 0 and intercept >= 0:
            return float(intercept), float(slope)
    return 0.0, float(median(seconds / work))


def _cache_file(study: StudySpec) -> Path:
    """Return where the timing of a study like this, on a machine like this, is kept."""
    import pooch

    facts = provenance(engine="", data_sha256="")
    like = [study.tasks, sorted(cell.name for cell in study.variants), study.space.to_dict(), study.protocol.to_dict()]
    text = json.dumps([like, facts["machine"], facts["versions"], facts["commit"]])
    base = Path(os.environ.get("ODYSSEY_CACHE") or pooch.os_cache("odyssey_kit"))
    return base / "timings" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _timings(study: StudySpec) -> tuple[dict[str, list[tuple[float, float]]], bool]:
    """Return (work, seconds an epoch) of a few trials of each task, and whether they were remembered."""
    file = _cache_file(study)
    with suppress(OSError, ValueError):
        return json.loads(file.read_text(encoding="utf-8")), True
    with local_slot() as worker:  # single-threaded, as the workers of a run are
        found = {
            task: [(_work(spec), worker.submit(_time, spec).result()) for spec in _drawn(study, task)]
            for task in study.tasks
        }
    with suppress(OSError):  # where nothing can be kept, it is timed again
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return found, False


def estimate_hours(study: StudySpec) -> Estimate:
    """Return how many processor hours a study takes on this machine, at most and about.

    Raises
    ------
    UsageError
        If it cannot be timed here: the reason is what is missing.
    """
    if missing := what_is_missing(study):
        raise UsageError(f"this version lacks {', '.join(missing)}")
    absent = [task for task in study.tasks if not (status(task)["state"] == "verified").any()]
    if absent:
        raise UsageError(f"{', '.join(absent)} is not here to be timed; see `odyssey data fetch`")
    try:
        timings, remembered = _timings(study)
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name}, which training needs, is not installed") from error
    except OdysseyError as error:
        raise UsageError(str(error)) from error
    lines = {task: _line(points) for task, points in timings.items()}
    seconds = 0.0
    for spec in study.plan():
        intercept, slope = lines[spec.task]
        seconds += spec.protocol.max_epochs * (intercept + slope * _work(spec))
    return Estimate(seconds / 3600, _EPOCHS * sum(map(len, timings.values())), remembered)
