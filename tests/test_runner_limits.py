"""What a run is bounded by: time, memory, a trial's own time, a part of the plan; and what its log tells meanwhile."""

from __future__ import annotations

import datetime
import itertools
import os
import time
from collections import Counter
from dataclasses import replace

import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work
from running import STUDY, Place

from odyssey_kit.search import Shard, import_results, open_for_reading, runner
from odyssey_kit.search.progress import Progress

PLAN = STUDY.plan()
EXPECTED = {spec.key: fake_work.quick(spec).to_dict() for spec in PLAN}
only_linux = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is bounded on Linux")  # noqa: PTH110


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.setenv("FAKE_WORK_LOG", str(tmp_path / "log"))
    return Place(tmp_path)


def culprit() -> str:
    return next(spec.key for spec in PLAN if spec.index == 2 and spec.variant.name == "V")


# ---- a time budget --------------------------------------------------------------------------


def test_a_budget_that_is_over_begins_no_trial_and_the_next_run_goes_on(place):
    summary = place.run(time_budget=0)
    assert (summary.done, summary.out_of_time) == (0, True)
    assert not place.begun()
    summary = place.run(time_budget=3600)
    assert (summary.done, summary.out_of_time) == (10, False)
    assert place.held() == EXPECTED


@pytest.mark.parametrize(("executor", "seconds"), [("serial", 0.5), ("local:2", 6)])
def test_trials_under_way_when_time_is_over_are_finished_and_kept(place, executor, seconds):
    """The time in which workers start counts, too."""
    summary = place.run(fake_work.study(n_trials=200), work=fake_work.slow, executor=executor, time_budget=seconds)
    begun = place.begun()
    assert summary.out_of_time
    assert summary.done == len(begun) < 400
    assert place.held().keys() == set(begun)


# ---- a trial that hangs ---------------------------------------------------------------------


def test_a_trial_that_hangs_is_ended_tried_again_and_failed_and_costs_no_other(place):
    began = time.monotonic()
    summary = place.run(work=fake_work.hangs_at_two, executor="local:2", trial_limit=4)
    assert time.monotonic() - began < 120
    assert (summary.done, summary.failed) == (10, 1)
    held, tries = place.held(), Counter(place.begun())
    failed = held.pop(culprit())
    assert failed["error"].startswith("failed 2 times; the last:\n")
    assert "TimeoutError: it took longer than 4 seconds, and its worker was ended" in failed["error"]
    assert held == {key: result for key, result in EXPECTED.items() if key != culprit()}
    assert tries == Counter({**dict.fromkeys(EXPECTED, 1), culprit(): 2})


def test_a_limit_on_a_trial_needs_a_worker_that_can_be_ended(place):
    with pytest.raises(ok.UsageError, match="trial_limit needs workers that can be ended: use executor local"):
        place.run(trial_limit=1)


# ---- a trial that takes too much memory -----------------------------------------------------


@pytest.mark.parametrize("executor", ["serial", "dask:tcp://127.0.0.1:9"])
def test_a_limit_on_memory_needs_a_worker_process_of_this_machine(place, executor):
    with pytest.raises(ok.UsageError, match="memory bounds worker processes of this machine: use executor local"):
        place.run(executor=executor, memory=2**30)
    assert not place.store.exists()


@only_linux
def test_a_trial_that_exhausts_memory_fails_and_its_worker_lives_on(place):
    summary = place.run(work=fake_work.exhausts_memory_at_two, executor="local:1", memory=2**30)
    assert (summary.done, summary.failed) == (10, 1)
    held = place.held()
    assert "MemoryError" in held[culprit()]["error"]
    assert {**held, culprit(): None} == {**EXPECTED, culprit(): None}
    workers = {line.split()[1] for line in place.log.read_text().splitlines()}
    assert len(workers) == 1, "the same worker did all of it"


# ---- a trial that returns nonsense ----------------------------------------------------------


def test_a_trial_that_returns_nan_has_diverged(place):
    def work(spec: ok.TrialSpec) -> ok.TrialResult:
        result = fake_work.result(spec)
        return replace(result, metrics={**result.metrics, "valid_metric": float("nan")}) if spec.index == 1 else result

    summary = place.run(work=work)
    assert (summary.complete, summary.diverged) == (8, 2)
    diverged = [row for row in place.held().values() if row["state"] == "DIVERGED"]
    assert all(row["error"] == "its validation metric is nan" for row in diverged)


@pytest.mark.parametrize("returned", [None, 3.5, fake_work.result(PLAN[0])])
def test_a_trial_that_returns_something_else_has_failed(place, returned):
    def work(spec: ok.TrialSpec) -> ok.TrialResult:
        return returned if spec.index == 1 else fake_work.quick(spec)

    summary = place.run(work=work, max_attempts=1)
    assert (summary.done, summary.failed) == (10, 2)
    failed = [row for row in place.held().values() if row["state"] == "FAILED"]
    assert all("expected a TrialResult of key" in row["error"] for row in failed)


# ---- a clock that goes backwards ------------------------------------------------------------


def test_a_clock_that_goes_backwards_changes_nothing(place, monkeypatch):
    backwards = itertools.count(2_000_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(next(backwards), tz)

    monkeypatch.setattr("odyssey_kit.training.provenance.datetime", Clock)
    summary = place.run(work=fake_work.raises_at_two, time_budget=3600, export_every=0)
    assert (summary.done, summary.failed, summary.out_of_time) == (10, 2, False)
    assert place.run(work=fake_work.raises_at_two).done == 10
    assert Counter(place.begun()) == Counter(
        {key: 2 if "FAILED" in row["state"] else 1 for key, row in place.held().items()}
    )


# ---- parts of a plan ------------------------------------------------------------------------


def test_shards_are_fixed_balanced_parts_that_together_are_the_plan():
    study = fake_work.study(n_trials=20, variants=("V", "NP", "CIFG"))
    parts = [{s.key for s in study.plan() if Shard(k, 3).holds(study, s)} for k in (1, 2, 3)]
    assert sum(map(len, parts)) == 60
    assert set.union(*parts) == {spec.key for spec in study.plan()}
    for k in (1, 2, 3):
        cells = Counter(s.variant.name for s in study.plan() if Shard(k, 3).holds(study, s))
        assert set(cells.values()) <= {6, 7}
    more = replace(study, n_trials=50)
    assert parts[0] < {s.key for s in more.plan() if Shard(1, 3).holds(more, s)}


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "-1/3", "1/x", "1/0"])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(ok.UsageError, match="expected k/n with k from 1 to n"):
        Shard.parse(text)


def test_shards_run_apart_and_are_merged_into_one_store(place, monkeypatch, tmp_path):
    monkeypatch.setenv("ODYSSEY_RUNS", str(tmp_path / "parts"))
    shards = [Shard(k, 3) for k in (1, 2, 3)]
    for shard in shards:
        summary = ok.run_study(
            STUDY, shard=shard, executor="serial", work=fake_work.steady, progress=False, results=place.results
        )
        assert summary.done == summary.planned == sum(shard.holds(STUDY, spec) for spec in PLAN)
    stores = [tmp_path / "parts" / f"{shard.store_name(STUDY)}.sqlite" for shard in shards]
    assert Counter(place.begun()) == Counter(list(EXPECTED)), "none was run twice"
    merged = import_results(stores, place.store)
    assert (merged.added, merged.duplicates) == (10, 0)
    assert place.held() == EXPECTED
    again = import_results(stores[:1], place.store)
    assert (again.added, again.duplicates) == (0, sum(shards[0].holds(STUDY, spec) for spec in PLAN))
    assert place.run().done == 10
    assert len(place.begun()) == 10, "nothing is left to run"


# ---- what a log tells -----------------------------------------------------------------------


def test_a_log_has_a_line_a_minute_also_when_no_trial_ends(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("odyssey_kit.search.progress.time.monotonic", lambda: now[0])
    with Progress(10, ["DIVERGED"], shown=True) as shown:
        capsys.readouterr()
        for _ in range(12):
            now[0] += 20.0
            shown.tick()
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 4, "in four minutes"
        assert all("1/10" in line and "diverged=1, failed=0" in line for line in lines)
        shown.add("COMPLETE")
    last = capsys.readouterr().err.splitlines()[-1]
    assert "2/10" in last
    assert "per_hour=" in last


def test_a_summary_says_when_time_was_over(place):
    assert place.run(time_budget=0).out_of_time
    with open_for_reading(place.store) as store:
        assert store.states() == {}
    assert not runner.RunSummary(1, 1, 0, 0).out_of_time
