"""What the store said it holds, it holds: through kills, damage, other writers and other studies."""

from __future__ import annotations

import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work

from odyssey_kit.search import examine, open_for_reading, open_for_writing, store_path, study_status
from odyssey_kit.search import store as store_module

STUDY = fake_work.study(n_trials=8)
RESULTS = [(spec, fake_work.quick(spec)) for spec in STUDY.plan()]


def fill(path: Path, study: ok.StudySpec = STUDY) -> Path:
    """Write a finished store."""
    with open_for_writing(study, path) as store:
        for spec, result in RESULTS:
            assert store.add(spec, result)
    return path


def held(path: Path) -> dict[str, dict]:
    """Return what a store holds, as plain data by key."""
    with open_for_reading(path) as store:
        return {spec.key: result.to_dict() for spec, result in store.results()}


def refused(path: Path, study: ok.StudySpec = STUDY) -> str:
    """Ask for a store that must be refused; return the line that says why, after seeing that nothing was changed."""
    before = path.read_bytes()
    with pytest.raises(ok.StudyError) as caught, open_for_writing(study, path):
        pass
    assert path.read_bytes() == before
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "runs" / "fake.sqlite"


# ---- what goes in comes out -----------------------------------------------------------------


def test_what_was_added_comes_back(path):
    fill(path)
    with open_for_reading(path) as store:
        assert store.study() == STUDY
        assert sorted(store.results(), key=lambda pair: pair[0].key) == sorted(RESULTS, key=lambda pair: pair[0].key)
        assert store.states() == {spec.key: result.state for spec, result in RESULTS}
        assert store.seconds() == pytest.approx(sum(result.seconds for _, result in RESULTS))


def test_what_is_read_from_a_store_plans_the_same_trials(path):
    turned = replace(STUDY, space=ok.SearchSpace(dict(reversed(list(ok.ODYSSEY_SPACE.items())))))
    for study in (STUDY, turned):
        path.unlink(missing_ok=True)
        with open_for_writing(study, path) as store:
            read = store.study()
        assert [spec.key for spec in read.plan()] == [spec.key for spec in study.plan()]


def test_the_first_result_of_a_trial_is_kept(path):
    spec, first = RESULTS[0]
    with open_for_writing(STUDY, path) as store:
        assert store.add(spec, first)
        assert not store.add(spec, replace(first, seconds=99.0, state="FAILED"))
    assert held(path) == {spec.key: first.to_dict()}


def test_numbers_that_are_no_numbers_come_back(path):
    spec, result = RESULTS[0]
    odd = {"train_loss": math.nan, "valid_metric": math.inf, "test_metric": -math.inf}
    curve = (replace(result.curve[0], gradient_norm_max=math.inf, max_abs_cell=math.nan, train_loss=-0.0),)
    with open_for_writing(STUDY, path) as store:
        store.add(spec, replace(result, metrics=odd, curve=curve, seconds=5e-324))
    with open_for_reading(path) as store:
        ((_, back),) = store.results()
    assert repr(dict(sorted(back.metrics.items()))) == repr(dict(sorted(odd.items())))
    assert repr(back.curve) == repr(curve)
    assert back.seconds == 5e-324


def test_every_word_of_an_error_comes_back(path):
    spec, result = RESULTS[0]
    error = "failed:\nTraceback \t 'ü' \x00 \N{SNOWMAN}"
    with open_for_writing(STUDY, path) as store:
        store.add(spec, replace(result, state="FAILED", error=error))
    assert held(path)[spec.key]["error"] == error


def test_the_store_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ODYSSEY_RUNS", raising=False)
    assert store_path("fake") == Path("runs/fake.sqlite")
    monkeypatch.setenv("ODYSSEY_RUNS", str(tmp_path / "elsewhere"))
    with open_for_writing(STUDY) as store:
        assert store.path == tmp_path / "elsewhere" / "fake.sqlite"
    assert store.path.exists()


# ---- another study --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "Differences: seed: stored 2015, asked 1."),
        ({"paired": True}, "paired: stored False, asked True"),
        ({"protocol": ok.Protocol(lr_mode="raw")}, "Differences: protocol.lr_mode: stored 'rescaled', asked 'raw'."),
        ({"tasks": ("bach-chorales",)}, "tasks: stored ['jsb-chorales'], asked ['bach-chorales']"),
        ({"variants": (ok.variant("V"),)}, "Differences: variants.NP: only stored."),
        ({"variants": (*STUDY.variants, ok.variant("NIG"))}, "Differences: variants.NIG: only asked."),
        (
            {"variants": (ok.variant("V"), ok.variant("NP").replace(output_activation="linear"))},
            "Differences: variants.NP.output_activation: stored 'tanh', asked 'linear'.",
        ),
        (
            {"space": ok.SearchSpace({**ok.ODYSSEY_SPACE, "input_noise_std": ok.Uniform(low=0.0, high=0.5)})},
            "Differences: space.input_noise_std.high: stored 1.0, asked 0.5.",
        ),
        (
            {"space": ok.SearchSpace(dict(reversed(list(ok.ODYSSEY_SPACE.items()))))},
            "Differences: order of space: stored ['hidden_size', 'learning_rate'",
        ),
        ({"numerics": 99}, f"numerics: stored {STUDY.numerics}, asked 99"),
    ],
)
def test_another_study_under_the_same_name_is_refused_with_the_difference(path, change, said):
    fill(path)
    message = refused(path, replace(STUDY, **change))
    assert said in message
    assert "nothing was changed" in message
    assert "name of its own" in message
    with pytest.raises(ok.StudyError, match="another study"), open_for_reading(path, replace(STUDY, **change)):
        pass
    with pytest.raises(ok.StudyError, match="another study"):
        study_status(replace(STUDY, **change), path, path.parent)


def test_other_words_and_another_order_of_variants_are_the_same_study(path):
    fill(path)
    same = replace(STUDY, title="other words", variants=tuple(reversed(STUDY.variants)))
    with open_for_writing(same, path) as store:
        assert len(store.states()) == len(RESULTS)


def test_more_trials_of_the_same_study_are_welcome_and_fewer_forget_nothing(path):
    fill(path)
    for asked, kept in ((20, 20), (3, 20)):
        with open_for_writing(replace(STUDY, n_trials=asked), path) as store:
            assert len(store.states()) == len(RESULTS)
            assert store.study().n_trials == kept


# ---- damage ---------------------------------------------------------------------------------


def test_a_store_cut_short_anywhere_is_refused_and_left_as_it_is(path):
    whole = fill(path).read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    assert len(whole) > 8 * page
    boundaries = range(page, len(whole), page)
    offsets = {1, 15, 99, 100, 101, len(whole) - 1, *boundaries, *(b - 1 for b in boundaries)}
    offsets |= {random.Random(7).randrange(1, len(whole)) for _ in range(20)}
    for offset in sorted(offsets):
        path.write_bytes(whole[:offset])
        assert "is damaged, or no store of `odyssey run`" in refused(path), offset
    path.write_bytes(whole)
    assert len(held(path)) == len(RESULTS)


def test_a_page_of_garbage_anywhere_is_refused_and_left_as_it_is(path):
    whole = fill(path).read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    chance = random.Random(8)
    for start in range(0, len(whole), page):
        path.write_bytes(whole[:start] + chance.randbytes(page) + whole[start + page :])
        assert "is damaged, or no store of `odyssey run`" in refused(path), start


@pytest.mark.parametrize("content", [b"key,state\n1,COMPLETE\n", bytes(4096), random.Random(9).randbytes(20_000)])
def test_a_file_that_is_no_database_is_refused_by_all(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    message = refused(path)
    assert "file is not a database" in message
    assert "Move it away to start a new one" in message
    with pytest.raises(ok.StudyError, match="is damaged, or no store"), open_for_reading(path):
        pass
    assert path.read_bytes() == content


def test_a_database_of_somebody_elses_is_refused(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER, study_name TEXT)")
    assert "its tables are studies, expected meta and trials" in refused(path)
    with pytest.raises(ok.StudyError, match="its tables are studies"), open_for_reading(path):
        pass


def test_a_row_that_cannot_be_understood_is_one_line(path):
    with closing(sqlite3.connect(fill(path))) as connection, connection:
        connection.execute("UPDATE trials SET result = substr(result, 1, 40) WHERE rowid = 3")
    with open_for_reading(path) as store, pytest.raises(ok.StudyError, match="is damaged, or no store") as caught:
        list(store.results())
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_a_store_that_was_only_begun(path):
    path.parent.mkdir()
    path.touch()
    with pytest.raises(ok.StudyError, match="holds nothing yet; start the study with `odyssey run fake`"):
        held(path)
    fill(path)
    assert len(held(path)) == len(RESULTS)


def test_a_store_that_is_not_there_is_no_store(path):
    with pytest.raises(ok.StudyError, match=r"does not exist; start the study with `odyssey run fake`"):
        held(path)
    assert not path.parent.exists()


# ---- versions -------------------------------------------------------------------------------


def test_a_store_of_a_newer_schema_is_refused_whatever_else_it_holds(path):
    with closing(sqlite3.connect(fill(path))) as connection, connection:
        connection.execute("UPDATE meta SET value = '2' WHERE name = 'schema'")
        connection.execute("ALTER TABLE trials RENAME TO attempts")
    for message in (refused(path), _refused_for_reading(path)):
        assert "has schema 2, this version reads 1. Update odyssey_kit" in message


def _refused_for_reading(path: Path) -> str:
    with pytest.raises(ok.StudyError) as caught, open_for_reading(path):
        pass
    return str(caught.value)


# ---- writers and readers --------------------------------------------------------------------


def test_a_second_writer_is_refused_and_told_who_holds_it(path):
    with open_for_writing(STUDY, path):
        with pytest.raises(ok.StudyError, match=f"is being written by process {os.getpid()} on ") as caught:
            fill(path)
        assert caught.value.exit_code == 2
    with open_for_writing(STUDY, path):
        pass  # free again


def test_the_lock_ends_with_whatever_ended_the_run(path):
    with pytest.raises(ZeroDivisionError), open_for_writing(STUDY, path):
        raise ZeroDivisionError
    fill(path)
    assert sorted(p.name for p in path.parent.iterdir() if "sqlite-" not in p.name) == ["fake.lock", "fake.sqlite"]


def test_a_store_can_be_read_while_it_is_written(path):
    with open_for_writing(STUDY, path) as store, open_for_reading(path) as reader:
        for n, (spec, result) in enumerate(RESULTS, 1):
            store.add(spec, result)
            assert len(reader.states()) == n
            assert len(held(path)) == n
        status = study_status(STUDY, path, path.parent)
    assert status["done"].sum() == len(RESULTS)
    assert status["diverged"].sum() == sum(result.state == "DIVERGED" for _, result in RESULTS)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("a file in the place of the folder")
    with (
        pytest.raises(ok.StudyError, match=r"cannot be written .*set ODYSSEY_RUNS"),
        open_for_writing(STUDY, tmp_path / "runs" / "fake.sqlite"),
    ):
        pass


def test_a_store_in_a_folder_that_cannot_be_written_is_read_and_left_as_it_is(path, monkeypatch):
    """SQLite would put files of its own beside it, and refuses to read where it cannot."""
    fill(path)
    path.with_suffix(".lock").unlink()
    path.parent.chmod(0o500)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    try:
        assert len(held(path)) == len(RESULTS)
        assert study_status(STUDY, path, path.parent)["done"].sum() == len(RESULTS)
        assert all(finding.well for finding in examine(STUDY, path, path.parent / "none"))
    finally:
        path.parent.chmod(0o700)
    assert not [file.name for file in path.parent.iterdir() if "sqlite-" in file.name]


def test_the_doctor_looks_at_a_store_whose_lock_it_may_not_take(path, monkeypatch):
    fill(path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("odyssey_kit.search.doctor.filelock.FileLock", refuse)
    words = {finding.what: finding.words for finding in examine(STUDY, path, path.parent / "none")}
    assert "cannot be written (Permission denied), so nobody here writes it" in words["writer"]
    assert f"is whole: {len(RESULTS)} trials" in words["store"]


def test_a_full_disk_stops_with_one_line_and_keeps_what_was_stored(path):
    with open_for_writing(STUDY, path) as store:
        store.add(*RESULTS[0])
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        big = replace(RESULTS[1][1], error="x" * 100_000)
        with pytest.raises(ok.StudyError, match=r"disk is full\. What it holds already is safe; make room"):
            store.add(RESULTS[1][0], big)
    assert held(path).keys() == {RESULTS[0][0].key}


# ---- kills ----------------------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
import fake_work
from odyssey_kit.search import open_for_writing

study = fake_work.study(n_trials=8)
with open_for_writing(study, Path(sys.argv[1])) as store:
    for spec in study.plan():
        store.add(spec, fake_work.quick(spec))
        print(spec.key, flush=True)
    os._exit(9)
"""


def test_what_was_added_is_there_after_a_kill_and_a_cut_log_holds_a_prefix(path, tmp_path):
    folders = Path(__file__).parent, Path(ok.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    run = subprocess.run([sys.executable, "-c", KILLED, path], capture_output=True, text=True, env=environment)
    assert run.returncode == 9, run.stderr
    reported = run.stdout.split()
    log = path.with_name(path.name + "-wal")
    assert len(reported) == len(RESULTS)
    size = log.stat().st_size
    assert size > 20_000, "nothing was moved from the log into the file yet"
    found = []
    for n, cut in enumerate([size // 5, size // 2, 3 * size // 4, size - 1, size]):
        copy = tmp_path / str(n) / path.name
        copy.parent.mkdir()
        shutil.copy(path, copy)
        copy.with_name(log.name).write_bytes(log.read_bytes()[:cut])
        with open_for_writing(STUDY, copy) as store:
            kept = store.states()
            assert kept.keys() == set(reported[: len(kept)])
            for spec, result in RESULTS:
                store.add(spec, result)
        assert held(copy).keys() == set(reported)
        found.append(len(kept))
    assert found == sorted(found)
    assert found[0] < found[-1] == len(reported), "what was reported is there as long as the log is whole"


def test_a_kill_between_file_and_tables_leaves_all_or_nothing(path):
    """The tables come in one transaction, so that a store has both or none."""
    assert store_module._TABLES.split()[0] == "BEGIN;"
    assert store_module._TABLES.split()[-1] == "COMMIT;"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL;" + store_module._TABLES)
    fill(path)  # tables without a study yet
    assert len(held(path)) == len(RESULTS)
