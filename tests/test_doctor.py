"""The doctor says what is wrong with a study's files, and mends what can be mended without deleting anything."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work

from odyssey_kit.search import (
    Shard,
    examine,
    export,
    find_study,
    import_results,
    open_for_reading,
    open_for_writing,
    repair,
    study_status,
)
from odyssey_kit.search.store import locked

STUDY = fake_work.study(n_trials=10)
RESULTS = [(spec, fake_work.quick(spec)) for spec in STUDY.plan()]


@pytest.fixture
def path(tmp_path) -> Path:
    file = tmp_path / "runs" / "fake.sqlite"
    with open_for_writing(STUDY, file) as store:
        for spec, result in RESULTS:
            store.add(spec, result)
    return file


@pytest.fixture
def results(tmp_path, path) -> Path:
    with open_for_reading(path, STUDY) as store:
        export(STUDY, store, tmp_path / "results" / "fake")
    return tmp_path / "results"


def problems(path: Path, results: Path, study: ok.StudySpec = STUDY) -> dict[str, str]:
    return {finding.what: finding.words for finding in examine(study, path, results) if not finding.well}


def held(path: Path) -> dict[str, dict]:
    with open_for_reading(path) as store:
        return {spec.key: result.to_dict() for spec, result in store.results()}


def test_what_lies_in_the_stores_of_shards_is_counted_examined_and_mended(tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    for number in (1, 2):
        shard = Shard(number, 2)
        with open_for_writing(STUDY, runs / f"{shard.store_name(STUDY)}.sqlite") as store:
            for spec, result in RESULTS:
                if shard.holds(STUDY, spec):
                    store.add(spec, result)
    path, results = runs / "fake.sqlite", tmp_path / "results"
    assert study_status(STUDY, path, results)["done"].sum() == len(RESULTS)
    words = " ".join(finding.words for finding in examine(STUDY, path, results))
    assert "fake.1-of-2.sqlite is whole: 10 trials" in words and "fake.2-of-2.sqlite is whole: 10 trials" in words
    monkeypatch.setenv("ODYSSEY_RUNS", str(runs))
    assert find_study("fake") == STUDY, "a study of one's own is known by its shards alone"
    second = runs / "fake.2-of-2.sqlite"
    second.write_bytes(second.read_bytes()[:-1000])
    assert "fake.2-of-2.sqlite is damaged" in problems(path, results)["store"]
    (done,) = repair(STUDY, path)
    assert "fake.2-of-2.damaged-" in done and problems(path, results) == {}
    assert len(held(runs / "fake.1-of-2.sqlite")) == 10, "the other shard is as it was"


def test_a_healthy_study_has_no_problem(path, results):
    assert problems(path, results) == {}
    words = " ".join(finding.words for finding in examine(STUDY, path, results))
    assert "is whole: 20 trials" in words
    assert "20 trials are published" in words
    assert "its checksums hold" in words
    assert repair(STUDY, path) == []


def test_it_says_what_is_not_published_and_what_waits_in_the_log(path, results):
    more = replace(STUDY, n_trials=11)
    with open_for_writing(more, path) as store:
        spec = next(spec for spec in more.plan() if spec.index == 10)
        store.add(spec, fake_work.quick(spec))
        words = " ".join(finding.words for finding in examine(more, path, results))
    assert "1 stored trials are not published yet" in words
    assert "bytes wait in its write-ahead log" in words
    assert f"process {os.getpid()}" in words
    assert "writes it now" in words


def test_a_page_of_garbage_costs_the_rows_on_it_and_nothing_else(path, results):
    whole = path.read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    mended = []
    for start in range(2 * page, len(whole), page):
        path.write_bytes(whole[:start] + os.urandom(page) + whole[start + page :])
        found = problems(path, results)
        if "store" not in found:
            continue
        assert "is damaged" in found["store"]
        if "0 trials can be read" in found["store"]:
            continue
        (done,) = repair(STUDY, path)
        assert "the damaged store was moved to" in done
        kept = held(path)
        assert kept == {key: row for key, row in ((s.key, r.to_dict()) for s, r in RESULTS) if key in kept}
        assert problems(path, results) == {}
        mended.append(len(kept))
        (aside,) = path.parent.glob("fake.damaged-*.sqlite")
        assert aside.read_bytes()[:start] == whole[:start], "the damaged one is kept"
        for file in path.parent.iterdir():
            file.unlink()
    assert mended
    assert max(mended) >= len(RESULTS) - 4, "most of it can be read"


def test_a_store_that_was_cut_short_is_mended_and_the_next_run_ends_the_plan(path, results):
    path.write_bytes(path.read_bytes()[:-700])
    assert "is damaged" in problems(path, results)["store"]
    repair(STUDY, path)
    assert problems(path, results) == {}
    summary = ok.run_study(STUDY, executor="serial", path=path, results=results, progress=False, work=fake_work.quick)
    assert summary.done == 20


def test_a_row_that_cannot_be_understood_is_left_out_and_is_pending_again(path, results):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE trials SET result = substr(result, 1, 40) WHERE rowid = 3")
        connection.execute("UPDATE trials SET state = 'FAILED' WHERE rowid = 5")
    assert "18 trials can be read, 2 rows cannot be understood" in problems(path, results)["store"]
    repair(STUDY, path)
    assert len(held(path)) == 18


def test_a_file_that_is_no_store_is_left_as_it_is(path, results):
    path.write_bytes(b"not a store" * 1000)
    assert "file is not a database" in problems(path, results)["store"]
    assert repair(STUDY, path) == []
    assert path.read_bytes() == b"not a store" * 1000


def test_a_note_of_a_writer_that_is_gone_is_removed(path, results):
    path.with_suffix(".holder").write_text("process 1 on nowhere")
    assert "process 1 on nowhere was ended while it wrote" in problems(path, results)["writer"]
    assert repair(STUDY, path) == ["the note of a writer that is gone was removed"]
    assert problems(path, results) == {}


def test_nothing_is_mended_while_another_process_writes(path):
    path.write_bytes(path.read_bytes()[:-700])
    with locked(path), pytest.raises(ok.StudyError, match="is being written by process"):
        repair(STUDY, path)


def test_a_published_table_that_was_changed_is_found(path, results):
    table = results / "fake" / "trials.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"X")
    assert "was changed after the export" in problems(path, results)["published"]


def test_published_trials_that_the_plan_does_not_know_are_found(path, results):
    found = problems(path, results, replace(STUDY, seed=1))
    assert "20 published trials are not in the plan, so they would be run again under other keys" in found["keys"]
    assert "seed: stored 2015, asked 1" in found["store"]


# ---- import ---------------------------------------------------------------------------------


def test_a_published_folder_is_read_back_whole(path, results, tmp_path):
    other = tmp_path / "other" / "fake.sqlite"
    merged = import_results([results / "fake"], other)
    assert (merged.added, merged.duplicates) == (20, 0)
    assert json.dumps(held(other), sort_keys=True) == json.dumps(held(path), sort_keys=True)
    assert import_results([path, results / "fake"], other).duplicates == 40
    with open_for_reading(other, STUDY) as store:
        again = export(STUDY, store, tmp_path / "again")
    for name in ("trials.parquet", "curves.parquet", "study.json", "CARD.md"):
        assert (again / name).read_bytes() == (results / "fake" / name).read_bytes(), "the same bytes"


def test_the_first_of_two_results_of_a_trial_is_kept(path, tmp_path):
    other = tmp_path / "other.sqlite"
    spec, result = RESULTS[0]
    with open_for_writing(STUDY, other) as store:
        store.add(spec, replace(result, seconds=99.0))
    merged = import_results([other], path)
    assert (merged.added, merged.duplicates) == (0, 1)
    assert held(path)[spec.key]["seconds"] == result.seconds


def test_results_of_another_study_are_not_taken_up(path, results, tmp_path):
    other = tmp_path / "other.sqlite"
    with open_for_writing(replace(STUDY, seed=1), other):
        pass
    before = held(path)
    with pytest.raises(ok.StudyError, match=r"is of another study than .*nothing was taken up\. seed: stored 2015"):
        import_results([results / "fake", other], path)
    with pytest.raises(ok.StudyError, match="holds another study named 'fake'; nothing was changed"):
        import_results([other], path)
    assert held(path) == before


@pytest.mark.parametrize("what", ["nowhere.sqlite", "folder", "text"])
def test_what_is_no_source_is_one_line(what, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("not a database " * 100)
    with pytest.raises(ok.StudyError, match=r"does not exist|holds no study\.json|is damaged, or no store") as caught:
        import_results([tmp_path / what], tmp_path / "fake.sqlite")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fake.sqlite").exists()
    with pytest.raises(ok.StudyError, match="nothing to import"):
        import_results([])
