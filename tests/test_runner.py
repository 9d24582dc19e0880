"""A run does what is planned, once, whatever its trials and workers do; what was finished is kept, and it goes on."""

from __future__ import annotations

import functools
import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work
from running import STUDY, Place, environment

from odyssey_kit.search import export, open_for_reading, published_results, runner
from odyssey_kit.search.executors import LocalSlot, Workers, parse_executor
from odyssey_kit.search.slots import Slots
from odyssey_kit.search.store import Store
from odyssey_kit.training import canonical_json

PLAN = STUDY.plan()
EXPECTED = {spec.key: fake_work.quick(spec).to_dict() for spec in PLAN}

only_posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.setenv("FAKE_WORK_LOG", str(tmp_path / "log"))
    return Place(tmp_path)


# ---- the plan is run, once -------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["serial", "local:2"])
def test_all_that_is_planned_is_run_and_only_once(place, executor):
    assert place.run(executor=executor) == runner.RunSummary(planned=10, complete=8, diverged=2, failed=0)
    assert place.held() == EXPECTED
    assert Counter(place.begun()) == Counter(list(EXPECTED))
    assert place.run(executor=executor).done == 10
    assert len(place.begun()) == 10, "nothing is run again"


def test_a_run_goes_on_where_the_last_one_stopped(place):
    for done in (3, 6, 9, 10, 10):
        summary = place.run(limit=3)
        assert (summary.done, summary.planned) == (done, 10)
    assert place.begun() == [spec.key for spec in PLAN], "in the order of the plan"
    assert place.held() == EXPECTED


def test_a_limit_of_nothing_runs_nothing(place):
    assert place.run(limit=0).done == 0
    assert not place.begun()


def test_more_draws_of_the_same_study_go_on_too(place):
    place.run()
    assert place.run(replace(STUDY, n_trials=7)).done == 14
    assert len(place.begun()) == 14


def test_the_order_in_which_trials_come_in_changes_nothing(place, monkeypatch):
    shuffled = random.Random(3).sample(PLAN, len(PLAN))
    monkeypatch.setattr(ok.StudySpec, "plan", lambda self: shuffled)
    place.run()
    assert place.begun() == [spec.key for spec in shuffled]
    assert place.held() == EXPECTED


def test_the_summary_reads_as_a_sentence(place):
    assert str(place.run()) == "10 of 10 trials done: 8 complete, 2 diverged, 0 failed"


@pytest.mark.parametrize("text", ["", "local:0", "local:-1", "local:x", "serial:2", "dask:", "dask"])
def test_an_executor_that_does_not_exist_is_refused_before_anything_else(place, text):
    with pytest.raises(ok.UsageError, match=f"executor is '{text}', expected serial, local, local:N"):
        place.run(executor=text)
    assert not place.store.exists()


def test_local_means_one_slot_a_core():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert parse_executor("local").count() == cores
    assert parse_executor("serial").count() == 1


# ---- published trials count -----------------------------------------------------------------


def test_published_trials_count_as_finished_after_the_store_was_deleted(place):
    place.run(limit=7)
    with open_for_reading(place.store) as store:
        export(STUDY, store, place.results / STUDY.name)
    for file in place.store.parent.iterdir():
        file.unlink()
    assert place.run(limit=0).done == 7
    assert place.run().done == 10
    assert Counter(place.begun()) == Counter(list(EXPECTED)), "none was run twice"
    assert place.held() == EXPECTED


def test_published_trials_of_another_study_do_not_count(place):
    place.run(replace(STUDY, seed=1))
    with open_for_reading(place.store) as store:
        export(replace(STUDY, seed=1), store, place.results / STUDY.name)
    place.store.unlink()
    assert place.run().done == 10
    assert place.held() == EXPECTED


def test_what_is_there_is_published_now_and_then(place):
    place.run(limit=4, export_every=0)
    published = published_results(place.results / STUDY.name)
    assert {spec.key for spec, _ in published} == place.held().keys()


# ---- trials that fail -----------------------------------------------------------------------


@pytest.mark.parametrize(("executor", "attempts"), [("serial", 1), ("serial", 3), ("local:2", 2)])
def test_a_trial_that_raises_is_tried_again_and_then_failed_with_its_traceback(place, executor, attempts):
    summary = place.run(work=fake_work.raises_at_two, executor=executor, max_attempts=attempts)
    assert (summary.complete, summary.diverged, summary.failed) == (6, 2, 2)
    held, tries = place.held(), Counter(place.begun())
    for spec in PLAN:
        assert tries[spec.key] == (attempts if spec.index == 2 else 1)
        if spec.index == 2:
            failed = held[spec.key]
            assert failed["state"] == "FAILED"
            assert f"ZeroDivisionError: made up for {spec.variant.name}" in failed["error"]
            assert "in raises_at_two" in failed["error"], "the traceback leads to the line"
            times = "once:" if attempts == 1 else f"{attempts} times; the last:"
            assert failed["error"].startswith(f"failed {times}\n")
            assert failed["provenance"]["versions"]
            assert failed["provenance"]["finished_at"]
        else:
            assert held[spec.key] == EXPECTED[spec.key]
    assert place.run(work=fake_work.raises_at_two).done == 10
    assert Counter(place.begun()) == tries, "a failure is a result: it is not tried for ever"


def test_a_worker_that_dies_costs_its_own_trial_only(place):
    summary = place.run(work=fake_work.dies_at_two, executor="local:2")
    culprit = next(spec.key for spec in PLAN if spec.index == 2 and spec.variant.name == "V")
    assert (summary.done, summary.failed) == (10, 1)
    held = place.held()
    assert held[culprit]["state"] == "FAILED"
    assert "BrokenProcessPool" in held[culprit]["error"]
    assert Counter(place.begun()) == Counter({**dict.fromkeys(EXPECTED, 1), culprit: 2})
    assert {**held, culprit: None} == {**EXPECTED, culprit: None}


def test_a_worker_that_dies_once_costs_nothing(place):
    assert place.run(work=fake_work.dies_once, executor="local:1").failed == 0
    assert place.held() == EXPECTED
    assert len(place.begun()) == 11


def test_an_error_that_cannot_travel_is_a_failure_like_any_other(place):
    summary = place.run(work=fake_work.raises_what_cannot_travel, executor="local:1", max_attempts=1)
    assert (summary.done, summary.failed) == (10, 2)
    assert all("TwoWordsError" in row["error"] for row in place.held().values() if row["state"] == "FAILED")


@only_posix
def test_a_worker_that_died_while_idle_is_replaced(place):
    slots = Slots(Workers(make=LocalSlot, count=lambda: 1), fake_work.steady, most=1)
    slots.start(None)
    os.kill(slots.executors[0].submit(os.getpid).result(), signal.SIGKILL)
    with pytest.raises(BrokenProcessPool):
        while True:
            slots.executors[0].submit(os.getpid).result()
    slots.submit(PLAN[0], 1)
    (future,) = slots.busy
    assert future.result().to_dict() == EXPECTED[PLAN[0].key]
    slots.close(at_once=False)


@pytest.mark.parametrize("executor", ["serial", "local:2"])
def test_missing_data_end_the_run_with_their_error_and_are_no_result(place, executor):
    with pytest.raises(ok.MissingDataError, match="jsb-chorales: made up to be missing") as caught:
        place.run(work=fake_work.lacks_data, executor=executor)
    assert caught.value.exit_code == 3
    held = place.held()
    assert all(EXPECTED[key] == result for key, result in held.items())
    assert not {spec.key for spec in PLAN if spec.index == 1} & held.keys()
    assert place.run().done == 10, "mended, it goes on"
    assert place.held() == EXPECTED


class Together(Executor):
    """Ends all that was submitted at the same moment, once there are two."""

    waiting: list = []  # noqa: RUF012

    def submit(self, fn, /, *args):
        future: Future = Future()
        self.waiting.append((future, fn, args))
        if fn is os.getpid:
            self.waiting.pop()
            future.set_result(0)
        if len(self.waiting) == 2:
            for one, call, arguments in self.waiting:
                try:
                    one.set_result(call(*arguments))
                except Exception as error:
                    one.set_exception(error)
            self.waiting.clear()
        return future


def test_what_came_in_together_with_an_error_is_kept(place, monkeypatch):
    monkeypatch.setattr(runner, "parse_executor", lambda *_: Workers(make=Together, count=lambda: 2))
    good, bad = (next(spec for spec in PLAN if spec.index == index) for index in (0, 1))
    for order in ([good, bad], [bad, good]):
        monkeypatch.setattr(ok.StudySpec, "plan", lambda self, order=order: order)
        with pytest.raises(ok.MissingDataError):
            place.run(work=fake_work.lacks_data, executor="two")
        assert place.held() == {good.key: EXPECTED[good.key]}
        place.store.unlink()


SCRIPT_WITHOUT_GUARD = """
import sys
from pathlib import Path
import fake_work, odyssey_kit as ok
ok.run_study(fake_work.study(), executor="local:1", path=Path(sys.argv[1]), results=Path("nowhere"),
             progress=False, work=fake_work.steady)
"""


def test_a_script_without_a_guard_is_told_so_and_fails_no_trial(place):
    """Its workers import it and would run it again, so none can start."""
    script = place.folder / "script.py"
    script.write_text(SCRIPT_WITHOUT_GUARD)
    done = subprocess.run([sys.executable, script, place.store], capture_output=True, text=True, env=environment())
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("odyssey_kit.errors.StudyError: a worker process ended before its first trial")
    assert '`if __name__ == "__main__":`' in last
    assert place.held() == {}


# ---- Ctrl-C ---------------------------------------------------------------------------------


def test_an_interrupt_in_a_trial_keeps_what_was_finished(place):
    calls = itertools.count()

    def work(spec: ok.TrialSpec) -> ok.TrialResult:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return fake_work.quick(spec)

    summary = place.run(work=work)
    assert (summary.interrupted, summary.done) == (True, 4)
    assert place.held() == {spec.key: EXPECTED[spec.key] for spec in PLAN[:4]}
    assert not place.run().interrupted
    assert place.held() == EXPECTED


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_a_result_is_written_does_not_lose_it(place, monkeypatch, when):
    add, calls = Store.add, itertools.count()

    def interrupted(self: Store, spec: ok.TrialSpec, result: ok.TrialResult) -> bool:
        now = next(calls) == 3
        if now and when == "before":
            raise KeyboardInterrupt
        new = add(self, spec, result)
        if now:
            raise KeyboardInterrupt
        return new

    monkeypatch.setattr(Store, "add", interrupted)
    summary = place.run()
    assert summary.interrupted
    assert place.held() == {spec.key: EXPECTED[spec.key] for spec in PLAN[:4]}


# ---- what is shown --------------------------------------------------------------------------


def test_progress_in_a_log_is_whole_lines_on_standard_error(place, capsys):
    place.run(progress=True, limit=9)
    place.run(progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "\r" not in shown.err
    first, last = shown.err.splitlines()[1], shown.err.splitlines()[-1]
    assert "9/10" in first
    assert "10/10" in last
    assert "diverged=2, failed=0" in last
    assert all(len(line) <= 100 for line in shown.err.splitlines())


def test_quiet_is_quiet_and_a_finished_study_shows_no_bar(place, capsys):
    place.run()
    place.run(progress=True)
    assert capsys.readouterr() == ("", "")


# ---- real training --------------------------------------------------------------------------

REAL = fake_work.study(
    "real",
    n_trials=1,
    variants=("V", "CIFG"),
    space=ok.SearchSpace(
        {"hidden_size": ok.Categorical(choices=(20,)), "learning_rate": ok.LogUniform(low=1e-3, high=1e-2)}
    ),
    protocol=ok.Protocol(max_epochs=1),
)
ALONE = """
import json, sys
import odyssey_kit as ok
print(json.dumps(ok.run_trial(ok.TrialSpec.from_dict(json.loads(sys.argv[1]))).to_dict()))
"""


def measured(result: dict) -> dict:
    """Return all that a trial measured, but for times and circumstances."""
    curve = [{**row, "seconds": 0} for row in result["curve"]]
    return {**result, "seconds": 0, "provenance": {}, "curve": curve}


@pytest.mark.skipif(not os.environ.get("ODYSSEY_DATA"), reason="trains on jsb-chorales: set ODYSSEY_DATA")
def test_the_same_trial_gives_the_same_bits_serially_in_two_processes_and_alone(place):
    """Serially and alone in processes of their own, for this one may have compiled what it runs."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        places = {executor: Place(place.folder / executor[:5]) for executor in ("serial", "local:2")}
        submit = functools.partial(other.submit, train_real)
        assert submit(places["serial"], "serial").result().complete == 2
    assert train_real(places["local:2"], "local:2").complete == 2
    serial, local = ({k: measured(row) for k, row in places[e].held().items()} for e in ("serial", "local:2"))
    assert serial == local
    assert all(row["best_epoch"] == 1 and 1 < row["metrics"]["test_metric"] < 61 for row in serial.values())
    last = REAL.plan()[-1]
    command = [sys.executable, "-c", ALONE, canonical_json(last.to_dict())]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert measured(json.loads(done.stdout)) == json.loads(json.dumps(serial[last.key])), "not after another one"


def train_real(place: Place, executor: str) -> runner.RunSummary:
    return place.run(REAL, executor=executor, work=runner.train_one)
