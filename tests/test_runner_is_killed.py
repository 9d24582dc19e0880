"""Ctrl-C and kill -9 at any moment: what was reported stored is there, once, no worker stays, the next run goes on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
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
    assert running.out.read_text().splitlines()[-1].startswith(f"{len(stored)} of 80 trials done")
    running.wait_until_none_is_left()


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


def test_no_worker_outlives_a_runner_that_was_killed(place, start):
    """Even workers that are busy for an hour."""
    running = start(work="endless")
    running.wait_until(lambda: len(place.begun()) >= 2)
    assert running.process.poll() is None, running.err.read_text()
    assert len(running.left()) >= 3, "the runner and two workers"
    running.process.kill()
    running.wait_until_none_is_left()
