"""Ctrl-C and kill -9 at any moment: what was reported stored is there, once, no worker stays, the next run goes on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work
from running import Place, Running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.setenv("FAKE_WORK_LOG", str(tmp_path / "log"))
    return Place(tmp_path)


@pytest.fixture
def start(place) -> Iterator[Callable[..., Running]]:
    """Start runners that do not outlive the test, whatever becomes of it."""
    started: list[Running] = []

    def begin(**settings) -> Running:
        started.append(Running(place, **settings))
        return started[-1]

    yield begin
    for running in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()


# ---- Ctrl-C ---------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["while workers start", "while trials run"])
def test_an_interrupt_from_the_terminal_ends_all_and_loses_nothing(place, start, moment):
    """Ctrl-C reaches the whole group: the runner ends in good order, the workers leave it to the runner."""
    running = start()
    if moment == "while trials run":
        running.wait_until(lambda: len(running.stored()) >= 5)
    else:
        running.wait_until(lambda: len(running.left()) >= 3)
    assert running.process.poll() is None
    began = time.monotonic()
    os.killpg(running.process.pid, signal.SIGINT)
    code, stored, err = running.end()
    assert time.monotonic() - began < 20
    assert code == 130, err
    assert err == "", "neither the runner nor a worker complains"
    assert len(stored) >= (5 if moment == "while trials run" else 0)
    assert set(stored) == place.held().keys()
    assert running.out.read_text().splitlines()[-1].startswith(f"{len(set(stored))} of 80 trials done")
    running.wait_until_none_is_left()


def test_ctrl_c_twice_is_ctrl_c_once(place, start):
    """The second one, and a third, find a runner that is ending already."""
    running = start()
    running.wait_until(lambda: len(running.stored()) >= 5)
    for _ in range(3):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGINT)
        time.sleep(0.02)
    code, stored, err = running.end()
    assert (code, err) == (130, "")
    assert set(stored) == place.held().keys()
    running.wait_until_none_is_left()
    code, stored_then, err = start().end()
    assert code == 0, err
    assert Counter([*set(stored), *stored_then]) == Counter(list(place.held()))
    assert len(place.held()) == 80


# ---- two runners ----------------------------------------------------------------------------


def test_of_two_runners_started_together_one_runs_and_the_other_is_told(place, start):
    both = [start(n_trials=10), start(n_trials=10, name="second")]
    ends = [running.end() for running in both]
    assert sorted(code for code, _, _ in ends) == [0, 1], "the command line makes it 2: see test_cli"
    (refused,) = (err for code, _, err in ends if code == 1)
    assert "is being written by process" in refused.splitlines()[-1]
    (stored,) = (stored for code, stored, _ in ends if code == 0)
    assert Counter(stored) == Counter(list(place.held()))
    assert Counter(place.begun()) == Counter(list(place.held())), "no trial was begun twice"
    assert len(stored) == 20


# ---- a full disk ----------------------------------------------------------------------------


def test_a_disk_that_fills_up_in_the_middle_ends_the_run_with_one_line_and_the_next_goes_on(place, start):
    """A limit on the size of files is what a process sees of a full disk: writing fails from some moment on."""
    running = start(n_trials=60, largest_file=60_000)
    code, stored, err = running.end()
    assert code == 1
    assert err.splitlines()[-1].startswith("odyssey_kit.errors.StudyError: ")
    assert "What it holds already is safe; make room, or set ODYSSEY_RUNS" in err.splitlines()[-1]
    assert 0 < len(stored) < 120
    assert place.held().keys() == set(stored)
    running.wait_until_none_is_left()
    code, stored_then, err = start(n_trials=60).end()
    assert code == 0, err
    assert Counter([*set(stored), *stored_then]) == Counter(list(place.held()))
    assert len(place.held()) == 120


# ---- kill -9 --------------------------------------------------------------------------------


Start = Callable[..., Running]


def kill_again_and_again(place: Place, start: Start, moments: list[Callable[[Running], None]], n_trials: int) -> None:
    """Kill runs of one study at those moments, then let a run end, and look at all that must hold."""
    reported: set[str] = set()
    for moment in moments:
        begun_before = len(place.begun())
        running = start(n_trials=n_trials)
        moment(running)
        running.process.kill()  # the runner only, so that its workers have to notice by themselves
        code, stored, err = running.end()
        assert code in (0, -signal.SIGKILL), err
        running.wait_until_none_is_left()
        again = set(place.begun()[begun_before:])
        assert not again & reported, "what was reported stored is not run again"
        reported |= set(stored)
        if reported:
            assert reported <= place.held().keys(), "what was reported stored is there"
    code, _, err = start(n_trials=n_trials).end()
    assert code == 0, err
    plan = fake_work.study("killed", n_trials=n_trials).plan()
    assert place.held() == {spec.key: fake_work.quick(spec).to_dict() for spec in plan}
    repeated = len(place.begun()) - len(plan)
    assert repeated <= 2 * len(moments), "a kill costs at most what was under way"


def moments(n: int, seed: int) -> list[Callable[[Running], None]]:
    """Return random moments: every fourth while the run starts, the others between two results."""
    chance = random.Random(seed)

    def starting(seconds: float) -> Callable[[Running], None]:
        return lambda running: time.sleep(seconds)

    def working(results: int, seconds: float) -> Callable[[Running], None]:
        def wait(running: Running) -> None:
            running.wait_until(lambda: len(running.stored()) >= results)
            time.sleep(seconds)

        return wait

    return [
        starting(chance.uniform(0, 3)) if i % 4 == 1 else working(chance.randint(1, 7), chance.uniform(0, 0.06))
        for i in range(n)
    ]


def test_kills_at_a_few_random_moments_lose_and_repeat_nothing(place, start):
    kill_again_and_again(place, start, moments(4, seed=11), n_trials=15)


@pytest.mark.slow
def test_kills_at_fifty_random_moments_lose_and_repeat_nothing(place, start):
    kill_again_and_again(place, start, moments(50, seed=12), n_trials=150)


def test_a_log_that_was_cut_after_a_kill_loses_an_end_of_it_and_that_is_run_again(place, start):
    running = start(n_trials=20)
    running.wait_until(lambda: len(running.stored()) >= 12)
    running.process.kill()
    _, stored, _ = running.end()
    running.wait_until_none_is_left()
    log = place.store.with_name(f"{place.store.name}-wal")
    os.truncate(log, log.stat().st_size * 2 // 3)
    kept = list(place.held())
    assert 0 < len(kept) < len(stored)
    assert set(kept) == set(stored[: len(kept)]), "a prefix of what was reported"
    code, again, err = start(n_trials=20).end()
    assert code == 0, err
    assert Counter([*kept, *again]) == Counter(list(place.held()))
    assert len(place.held()) == 40
    assert set(stored) - set(kept) <= set(again)


def test_a_worker_that_is_killed_from_outside_costs_its_own_attempt_only(place, start):
    running = start(n_trials=20)
    running.wait_until(lambda: len(place.begun()) >= 6)
    _, worker = place.log.read_text().splitlines()[-1].split()
    os.kill(int(worker), signal.SIGKILL)
    code, stored, err = running.end()
    assert code == 0, err
    assert Counter(stored) == Counter(list(place.held()))
    plan = fake_work.study("killed", n_trials=20).plan()
    assert place.held() == {spec.key: fake_work.quick(spec).to_dict() for spec in plan}
    assert len(place.begun()) <= len(plan) + 1


def test_no_worker_outlives_a_runner_that_was_killed(place, start):
    """Even workers that are busy for an hour."""
    running = start(work="endless")
    running.wait_until(lambda: len(place.begun()) >= 2)
    assert running.process.poll() is None, running.err.read_text()
    assert len(running.left()) >= 3, "the runner and two workers"
    running.process.kill()
    running.wait_until_none_is_left()
