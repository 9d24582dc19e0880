"""The same study through a real Dask scheduler with two workers: what dies on the way loses and repeats no result."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")
pytest.importorskip("distributed", reason="a cluster needs the extra [dask]")

import fake_work
from running import STUDY, Place, Running, environment

from odyssey_kit.search import runner
from odyssey_kit.search.cluster import _threads

PLAN = STUDY.plan()
EXPECTED = {spec.key: fake_work.quick(spec).to_dict() for spec in PLAN}
pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="kills real processes"),
    # Dask's own threads and sockets are closed by the interpreter, some of them after a test has ended.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed.*", "ignore::ResourceWarning"),
]


class Cluster:
    """A scheduler and workers as real processes on loopback."""

    def __init__(self, folder, workers: int = 2) -> None:
        self.folder, self.processes = folder, []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        self.workers = [self.add_worker() for _ in range(workers)]

    def add_worker(self, *options: str) -> subprocess.Popen:
        return self._start("worker", self.address, "--nthreads", "1", "--no-dashboard", *options)

    def _start(self, *arguments: str) -> subprocess.Popen:
        log = (self.folder / f"dask-{len(self.processes)}.log").open("w")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                stdout=log, stderr=log, env=environment(), cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    @staticmethod
    def kill(process: subprocess.Popen) -> None:
        """Kill a process and its nanny's child."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        for process in reversed(self.processes):
            self.kill(process)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.setenv("FAKE_WORK_LOG", str(tmp_path / "log"))
    return Place(tmp_path)


@pytest.fixture
def cluster(place, tmp_path) -> Iterator[Cluster]:
    started = Cluster(tmp_path)
    yield started
    started.end()


def test_a_study_runs_on_two_workers_and_only_once(place, cluster):
    study = fake_work.study(n_trials=30)
    summary = place.run(study, executor=f"dask:{cluster.address}")
    assert summary.done == 60
    assert place.held() == {spec.key: fake_work.quick(spec).to_dict() for spec in study.plan()}
    assert max(Counter(place.begun()).values()) == 1
    assert len({line.split()[1] for line in place.log.read_text().splitlines()}) == 2, "both workers had their share"


@pytest.mark.slow
def test_a_trial_that_raises_there_is_tried_again_and_then_failed(place, cluster):
    summary = place.run(work=fake_work.raises_at_two, executor=f"dask:{cluster.address}")
    assert (summary.done, summary.failed) == (10, 2)
    tries = Counter(place.begun())
    assert all(tries[spec.key] == (2 if spec.index == 2 else 1) for spec in PLAN)


@pytest.mark.slow
def test_missing_data_on_a_worker_end_the_run_with_their_error(place, cluster):
    with pytest.raises(ok.MissingDataError, match="made up to be missing"):
        place.run(work=fake_work.lacks_data, executor=f"dask:{cluster.address}")
    assert place.run(executor=f"dask:{cluster.address}").done == 10


def running(place: Place, cluster: Cluster, n_trials: int) -> Running:
    begun = Running(place, executor=f"dask:{cluster.address}", n_trials=n_trials)
    begun.wait_until(lambda: len(begun.stored()) >= 6)
    assert begun.process.poll() is None, begun.err.read_text()
    return begun


def expected(n_trials: int) -> dict[str, dict]:
    return {spec.key: fake_work.quick(spec).to_dict() for spec in fake_work.study("killed", n_trials=n_trials).plan()}


def test_a_worker_that_is_killed_in_the_middle_loses_and_repeats_no_result(place, cluster):
    begun = running(place, cluster, n_trials=60)
    before = set(begun.stored())
    time.sleep(0.3)  # the scheduler is told of what is stored and needed no more
    cluster.kill(cluster.workers[0])
    code, stored, err = begun.end()
    assert code == 0, err
    assert Counter(stored) == Counter(list(expected(60)))
    assert place.held() == expected(60)
    tries = Counter(place.begun())
    assert not [key for key in before if tries[key] > 1], "what was stored is not run again"
    assert sum(tries.values()) <= 120 + 2, "only what was under way there is"


def test_a_scheduler_that_is_killed_ends_the_run_with_one_line_and_loses_nothing(place, cluster, tmp_path):
    begun = running(place, cluster, n_trials=60)
    cluster.kill(cluster.scheduler)
    code, stored, err = begun.end()
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith(f"odyssey_kit.errors.StudyError: the Dask scheduler at {cluster.address} is gone; start it ")
    assert "Every finished trial is stored; called again, the run goes on" in last
    assert set(stored) == place.held().keys()
    assert len(stored) == len(set(stored)) < 120
    for worker in cluster.workers:
        cluster.kill(worker)
    cluster.end()
    again = Cluster(tmp_path)
    try:
        summary = place.run(fake_work.study("killed", n_trials=60), executor=f"dask:{again.address}")
    finally:
        again.end()
    assert summary.done == 120
    assert place.held() == expected(60)
    tries = Counter(place.begun())
    assert not [key for key in stored if tries[key] > 1], "what was stored is not run again"


def test_ctrl_c_does_not_wait_for_a_cluster(place, cluster):
    begun = Running(place, executor=f"dask:{cluster.address}", work="endless")
    begun.wait_until(lambda: len(place.begun()) >= 2)
    began = time.monotonic()
    os.kill(begun.process.pid, signal.SIGINT)
    code, _, err = begun.end()
    assert code == 130, err
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_trial_that_hangs_on_a_cluster_is_ended_by_its_worker(place, tmp_path):
    os.environ["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "0"
    try:
        started = Cluster(tmp_path)
    finally:
        del os.environ["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"]
    try:
        summary = place.run(work=fake_work.hangs_at_two, executor=f"dask:{started.address}", trial_limit=3)
    finally:
        started.end()
    assert (summary.done, summary.failed) == (10, 1)
    (failed,) = (row for row in place.held().values() if row["state"] == "FAILED")
    assert "KilledWorker" in failed["error"]


# ---- what is not there ----------------------------------------------------------------------


def test_an_address_where_nothing_answers_is_one_line(place, monkeypatch):
    monkeypatch.setattr("odyssey_kit.search.cluster._SECONDS_TO_CONNECT", 1)
    with pytest.raises(ok.StudyError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9") as caught:
        place.run(executor="dask:tcp://127.0.0.1:9")
    assert "start one with `dask scheduler`" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not place.store.exists()


@pytest.mark.slow
def test_a_scheduler_without_workers_is_one_line(place, tmp_path, monkeypatch):
    monkeypatch.setattr("odyssey_kit.search.cluster._SECONDS_TO_CONNECT", 8)
    started = Cluster(tmp_path, workers=0)
    try:
        with pytest.raises(ok.StudyError, match=r"has no workers; start some with `dask worker tcp://127.0.0.1"):
            place.run(executor=f"dask:{started.address}")
    finally:
        started.end()


def test_without_the_extra_it_is_said_which_one_is_missing(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ok.UsageError, match=r"needs dask\.distributed: pip install .*\[dask\]"):
        place.run(executor="dask:tcp://127.0.0.1:9")


# ---- the same trial -------------------------------------------------------------------------

REAL = fake_work.study(
    "real",
    n_trials=1,
    variants=("V", "CIFG"),
    space=ok.SearchSpace(
        {"hidden_size": ok.Categorical(choices=(20,)), "learning_rate": ok.LogUniform(low=1e-3, high=1e-2)}
    ),
    protocol=ok.Protocol(max_epochs=1),
)


def measured(result: dict) -> dict:
    curve = [{**row, "seconds": 0} for row in result["curve"]]
    return {**result, "seconds": 0, "provenance": {}, "curve": curve}


@pytest.mark.skipif(not os.environ.get("ODYSSEY_DATA"), reason="trains on jsb-chorales: set ODYSSEY_DATA")
def test_the_same_trial_gives_the_same_bits_through_a_cluster(place, cluster):
    places = {name: Place(place.folder / name) for name in ("local", "dask")}
    places["local"].run(REAL, executor="local:1", work=runner.train_one)
    places["dask"].run(REAL, executor=f"dask:{cluster.address}", work=runner.train_one)
    local, dask = ({key: measured(row) for key, row in places[name].held().items()} for name in ("local", "dask"))
    assert local == dask
    assert len(local) == 2
    assert all(1 < row["metrics"]["test_metric"] < 61 for row in local.values())


@pytest.mark.slow
def test_more_workers_that_come_later_are_used(place, cluster):
    study = replace(STUDY, n_trials=80)
    begun = Running(place, executor=f"dask:{cluster.address}", n_trials=80)
    begun.wait_until(lambda: len(begun.stored()) >= 4)
    cluster.add_worker()
    code, stored, err = begun.end()
    assert code == 0, err
    assert len(stored) == len(study.plan())
    assert len({line.split()[1] for line in place.log.read_text().splitlines()}) == 3


def test_a_scheduler_that_goes_between_two_questions_is_named_too():
    class Client:
        def nthreads(self):
            raise OSError("ConnectionPool.ncores: Connection closed")

    with pytest.raises(ok.StudyError, match=r"the Dask scheduler at tcp://10\.0\.0\.1:8786 is gone; start it "):
        _threads(Client(), "tcp://10.0.0.1:8786")
