"""What is published says all that was measured, comes back whole, and never takes the place of more."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work
import made_up

from odyssey_kit.analysis import check_trials
from odyssey_kit.search import export, open_for_reading, open_for_writing, published_folder, published_results
from odyssey_kit.search import study_status as status
from odyssey_kit.search.card import card

STUDY = fake_work.study(n_trials=8, title="A made-up study for the tests.")
FILES = ["CARD.md", "curves.parquet", "study.json", "trials.parquet"]


def outcome(spec: ok.TrialSpec) -> ok.TrialResult:
    """Return something of everything: complete, diverged at once and later, failed, numbers that are none."""
    if spec.index == 2:
        return ok.TrialResult(key=spec.key, state="FAILED", metric="", error="failed once:\nTraceback …\nKeyError: 'ü'")
    if spec.index == 5:
        return fake_work.result(spec, state="DIVERGED", error="training loss was not finite in epoch 3")
    if spec.index == 6:
        whole = fake_work.result(spec)
        return replace(whole, metrics={**whole.metrics, "test_metric": math.inf})
    return fake_work.quick(spec)


RESULTS = [(spec, outcome(spec)) for spec in STUDY.plan()]


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "results" / STUDY.name


@pytest.fixture
def store_file(tmp_path) -> Path:
    return tmp_path / "runs" / "fake.sqlite"


def fill(path: Path, results=RESULTS, study: ok.StudySpec = STUDY) -> None:
    with open_for_writing(study, path) as store:
        for spec, result in results:
            store.add(spec, result)


def publish(path: Path, folder: Path, study: ok.StudySpec = STUDY) -> Path:
    with open_for_reading(path) as store:
        return export(study, store, folder)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def by_key(pairs) -> dict[str, tuple[dict, str]]:
    """Return specs and results by key; results as text, so that NaN equals NaN."""
    return {spec.key: (spec.to_dict(), repr(sorted(result.to_dict().items()))) for spec, result in pairs}


# ---- there and back -------------------------------------------------------------------------


def test_what_is_published_comes_back_whole(folder, store_file):
    fill(store_file)
    assert publish(store_file, folder) == folder
    assert sorted(content(folder)) == FILES
    back = published_results(folder)
    assert [spec for spec, _ in sorted(back, key=lambda pair: pair[0].key)] == [
        spec for spec, _ in sorted(RESULTS, key=lambda pair: pair[0].key)
    ]
    assert {spec.key: result for spec, result in back} == {spec.key: result for spec, result in RESULTS}
    assert by_key(back).keys() == by_key(RESULTS).keys()


def test_a_store_filled_from_what_is_published_publishes_the_same_bytes(folder, store_file, tmp_path):
    fill(store_file)
    first = content(publish(store_file, folder))
    fill(tmp_path / "again.sqlite", published_results(folder))
    assert content(publish(tmp_path / "again.sqlite", tmp_path / "again")) == first


def test_the_same_store_gives_the_same_bytes_whatever_came_in_first(folder, store_file, tmp_path):
    fill(store_file)
    first = content(publish(store_file, folder))
    assert content(publish(store_file, folder)) == first
    fill(tmp_path / "turned.sqlite", reversed(RESULTS))
    assert content(publish(tmp_path / "turned.sqlite", tmp_path / "turned")) == first


def test_numbers_that_are_no_numbers_come_back_from_a_table(folder, store_file):
    spec, result = RESULTS[0]
    odd = replace(
        result,
        metrics={**dict.fromkeys(fake_work.METRICS, math.nan), "valid_metric": 1.0, "test_metric": -math.inf},
        best_epoch=1,
        curve=(fake_work.result(spec).curve[0],),
        state="COMPLETE",
    )
    fill(store_file, [(spec, odd)])
    ((_, back),) = published_results(publish(store_file, folder))
    assert repr(sorted(back.metrics.items())) == repr(sorted(odd.metrics.items()))
    assert back.curve == odd.curve


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert published_results(tmp_path / "nowhere") == []


# ---- the tables -----------------------------------------------------------------------------


def test_the_tables_are_those_of_the_schema(folder, store_file):
    fill(store_file)
    trials = ok.load_trials(publish(store_file, folder))
    check_trials(trials.frame, complete=True)
    check_trials(trials.curves, kind="curves", complete=True)
    assert trials.name == STUDY.name
    assert len(trials) == 16
    assert list(trials.space) == list(STUDY.space)
    assert trials.space == STUDY.space
    assert trials.frame[["task", "variant", "index"]].equals(
        trials.frame[["task", "variant", "index"]].sort_values(["task", "variant", "index"], ignore_index=True)
    )
    specs = {spec.key: spec for spec, _ in RESULTS}
    for row in trials.frame.to_dict("records"):
        spec = specs[row["key"]]
        assert json.loads(row["spec"]) == spec.to_dict()
        assert {name: row[f"params_{name}"] for name in spec.params} == spec.params


def test_rows_say_what_the_results_say(folder, store_file):
    fill(store_file)
    trials = ok.load_trials(publish(store_file, folder))
    rows = {(row["variant"], row["index"]): row for row in trials.frame.to_dict("records")}
    whole, failed, at_once, later = (rows["V", index] for index in (0, 2, 3, 5))
    assert (whole["state"], whole["epochs"], whole["updates"], whole["best_epoch"]) == ("COMPLETE", 2, 20, 2)
    assert rows["V", 1]["gradient_norm_max"] == math.inf
    assert rows["V", 6]["test_metric"] == math.inf
    assert failed["state"] == "FAILED"
    assert failed["error"].endswith("KeyError: 'ü'")
    assert (at_once["state"], at_once["epochs"], at_once["updates"]) == ("DIVERGED", 0, 0)
    assert later["state"] == "DIVERGED"
    assert later["epochs"] == 2
    for row in (failed, at_once):
        assert pd.isna(row["best_epoch"])
        assert math.isnan(row["valid_metric"])
        assert math.isnan(row["max_abs_cell"])
    curves = trials.curves
    assert set(curves["key"]) == {row["key"] for row in rows.values() if row["epochs"]}
    assert curves.groupby("key")["is_best"].sum().eq(1).all()


def test_a_study_of_which_all_diverged_at_once_has_an_empty_table_of_curves(folder, store_file):
    diverged = [(spec, fake_work.result(spec, state="DIVERGED", epochs=0, error="not finite")) for spec, _ in RESULTS]
    fill(store_file, diverged)
    trials = ok.load_trials(publish(store_file, folder))
    assert len(trials.curves) == 0
    assert {spec.key: result for spec, result in published_results(folder)} == {s.key: r for s, r in diverged}


def test_a_study_of_which_all_failed_can_be_published(folder, store_file):
    failed = [(spec, ok.TrialResult(key=spec.key, state="FAILED", metric="", error="no memory")) for spec, _ in RESULTS]
    fill(store_file, failed)
    assert "0 trials complete" in (publish(store_file, folder) / "CARD.md").read_text("utf-8")
    assert {spec.key: result for spec, result in published_results(folder)} == {s.key: r for s, r in failed}


# ---- study.json and the card ----------------------------------------------------------------


def test_study_json_vouches_for_the_tables_and_reads_back_as_the_study(folder, store_file):
    fill(store_file)
    publish(store_file, folder)
    described = json.loads((folder / "study.json").read_text("utf-8"))
    assert described["schema"] == 1
    assert described["counts"] == {"planned": 16, "complete": 8, "diverged": 6, "failed": 2}
    assert described["machines"] == ["made up"]
    for name, recorded in described["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == recorded
    again = ok.StudySpec.from_dict(described["study"])
    assert again == STUDY
    assert [spec.key for spec in again.plan()] == [spec.key for spec in STUDY.plan()]


def test_the_card_says_what_ran(folder, store_file):
    fill(store_file)
    text = (publish(store_file, folder) / "CARD.md").read_text("utf-8")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Summary", "## Structure", "## Source", "## Licence", "## Known limits"]
    for said in (
        "# fake",
        "A made-up study for the tests.",
        "8 trials complete, 6 diverged (a result, kept as a row), 2 failed.",
        "Finished between 2026-01-02T03:04:05+00:00 and 2026-01-02T03:04:05+00:00.",
        "2 cells (task × variant) of 8 trials each.",
        "Data: jsb-chorales, SHA-256 " + "ab" * 32,
        "Variants: V, NP. Draws: independent, seed 2015.",
        "Machine: made up.",
        "Versions: python 3.",
        "`learning_rate`: LogUniform(low=1e-06, high=0.01",
        "`lr_mode`: rescaled",
        "At most 150 epochs a trial",
    ):
        assert said in text, said
    assert "Partial" not in text
    assert "{" not in text


def test_the_card_of_the_papers_own_column_lays_it_beside_the_paper(folder):
    study = ok.named_study("odyssey-jsb")
    trials = made_up.trials(n_per_cell=40, variants=("V", "NOAF"), n_diverged=0).assign(in_prefix=True)
    description = {"counts": {"planned": 80, "complete": 80, "diverged": 0, "failed": 0}, "prefix": 40, "machines": []}
    text = card(study, description, trials, "Why it differs.\n")
    best = trials[trials["variant"] == "V"].nsmallest(4, "valid_metric")["test_metric"].mean()
    # Figure 3's mean of vanilla is 8.55; NOAF's lies above the end of the axis.
    assert re.search(
        rf"\| jsb-chorales \| V \| 4 \| 0 \| {best:.3f} \| 8\.55\d \| \+{100 * (best / 8.55 - 1):.0f}", text
    )
    assert re.search(r"\| NOAF \| 4 \| 0 \| [\d.]+ \| ≥ 8\.\d+ \| ≤ ", text)
    assert "the paper's: NIAF, 8.38." in text
    assert "## Notes\n\nWhy it differs.\n\n## Licence" in text
    for other in (ok.named_study("odyssey-jsb-raw"), ok.named_study("odyssey-jsb-wide")):
        assert "Beside the paper" not in card(other, description, trials)
    assert "Beside the paper" not in card(study, description, trials.head(10))


def test_notes_written_by_hand_stand_in_the_card(folder, store_file):
    fill(store_file)
    publish(store_file, folder)
    assert "## Notes" not in (folder / "CARD.md").read_text("utf-8")
    (folder / "NOTES.md").write_text("What was found.\n", encoding="utf-8")
    publish(store_file, folder)
    assert "## Notes\n\nWhat was found.\n" in (folder / "CARD.md").read_text("utf-8")


def test_a_card_of_a_part_says_so(folder, store_file):
    fill(store_file, [pair for pair in RESULTS if pair[0].index < 3 and pair[0].variant.name == "V"] + RESULTS[:1])
    done = len({spec.key for spec, _ in published_results(publish(store_file, folder))})
    text = (folder / "CARD.md").read_text("utf-8")
    assert f"**Partial: {done} of 16 planned trials; no block of draws is finished in every cell" in text
    assert json.loads((folder / "study.json").read_text("utf-8"))["counts"]["planned"] == 16


# ---- what is refused ------------------------------------------------------------------------


def test_nothing_to_publish_is_a_clear_error(folder, store_file):
    fill(store_file, [])
    with pytest.raises(ok.StudyError, match="holds no finished trial yet; nothing was published") as caught:
        publish(store_file, folder)
    assert not folder.exists()
    assert "odyssey run fake" in str(caught.value)


def test_a_store_of_another_study_is_not_published_under_this_ones_name(folder, store_file):
    fill(store_file)
    with pytest.raises(ok.StudyError, match=r"another study named 'fake'.*protocol.max_epochs: stored 150, asked 3"):
        publish(store_file, folder, replace(STUDY, protocol=ok.Protocol(max_epochs=3)))
    assert not folder.exists()


def test_less_is_never_published_over_more(folder, store_file, tmp_path):
    fill(store_file)
    before = content(publish(store_file, folder))
    fill(tmp_path / "less.sqlite", RESULTS[:9])
    with pytest.raises(ok.StudyError, match=r"holds 7 trials that .* does not; nothing was published") as caught:
        publish(tmp_path / "less.sqlite", folder)
    assert "odyssey run fake --limit 0" in str(caught.value)
    assert content(folder) == before
    more = replace(STUDY, n_trials=10)
    fill(store_file, [(spec, fake_work.quick(spec)) for spec in more.plan()], more)
    publish(store_file, folder, more)
    assert len(published_results(folder)) == 20


@pytest.mark.parametrize("name", ["trials.parquet", "curves.parquet", "study.json"])
def test_damaged_tables_are_refused_until_they_are_published_again(folder, store_file, name):
    fill(store_file)
    before = content(publish(store_file, folder))
    (folder / name).write_bytes(before[name][:-40])
    with pytest.raises(ok.StudyError, match=name.replace(".", r"\.")) as caught:
        published_results(folder)
    assert "\n" not in str(caught.value)
    assert "export the study again" in str(caught.value)
    assert content(publish(store_file, folder)) == before


def test_tables_that_are_not_those_of_a_run_are_refused_by_name(folder, store_file):
    fill(store_file)
    publish(store_file, folder)
    trials = pd.read_parquet(folder / "trials.parquet")
    (folder / "study.json").unlink()
    for frame, said in (
        (trials.drop(columns="spec"), "KeyError: 'spec'"),
        (trials.assign(spec="{}"), "KeyError"),
        (trials.assign(spec="not JSON"), "Expecting value"),
        (trials.assign(spec=trials["spec"].str.replace("lr_mode", "rate_mode")), "unknown setting rate_mode"),
    ):
        frame.to_parquet(folder / "trials.parquet")
        with pytest.raises(ok.StudyError, match=said) as caught:
            published_results(folder)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_crash_between_the_tables_leaves_the_old_ones_or_says_so(folder, store_file, monkeypatch):
    fill(store_file, RESULTS[:9])
    before = content(publish(store_file, folder))
    fill(store_file)

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("odyssey_kit.search.publish._write_text", crash)
    with pytest.raises(ok.StudyError, match=r"cannot be written \(No space left on device\); the store still holds"):
        publish(store_file, folder)
    with pytest.raises(ok.StudyError, match="export the study again"):
        published_results(folder)
    monkeypatch.undo()
    after = content(publish(store_file, folder))
    assert sorted(after) == FILES
    assert after != before


# ---- where it lies, and what status makes of it ---------------------------------------------


def test_the_folder_is_where_the_environment_says_or_beside_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("ODYSSEY_RESULTS", str(tmp_path))
    assert published_folder("fake") == tmp_path / "fake"
    assert published_folder("fake", tmp_path / "other") == tmp_path / "other" / "fake"
    monkeypatch.delenv("ODYSSEY_RESULTS")
    checkout = Path(ok.__file__).parents[1]
    if (checkout / "pyproject.toml").exists():
        assert published_folder("fake") == checkout / "results_cache" / "fake"


def test_status_counts_what_is_stored_and_what_is_published_once(folder, store_file):
    fill(store_file)
    publish(store_file, folder)
    whole = status(STUDY, store_file, folder.parent)
    assert whole.index.tolist() == [("jsb-chorales", "V"), ("jsb-chorales", "NP")], "in the order of the study"
    assert whole[["planned", "done", "complete", "diverged", "failed"]].to_numpy().tolist() == [[8, 8, 4, 3, 1]] * 2
    assert whole["hours"].sum() * 3600 == pytest.approx(sum(result.seconds for _, result in RESULTS))
    store_file.unlink()
    assert status(STUDY, store_file, folder.parent).equals(whole), "from what is published alone"
    assert status(STUDY, store_file, folder)["done"].sum() == 0, "nothing here: nothing done"


# ---- a part of a study ----------------------------------------------------------------------


def test_a_part_marks_the_draws_that_every_cell_has_in_whole_blocks_and_analysis_takes_those(folder, store_file):
    study = replace(STUDY, n_trials=30)
    left_out = ("NP", 17)  # in the second block
    results = [(s, fake_work.quick(s)) for s in study.plan() if (s.variant.name, s.index) != left_out and s.index < 25]
    fill(store_file, results, study)
    publish(store_file, folder, study)
    everything = ok.load_trials(folder, prefix=False)
    assert len(everything) == 49
    assert set(everything.frame.loc[everything.frame["in_prefix"], "index"]) == set(range(10))
    trials = ok.load_trials(folder)
    assert (len(trials), trials.left_out) == (20, 29)
    assert "partial, 29 more outside its prefix" in repr(trials)
    assert set(trials.curves["key"]) <= set(trials.frame["key"])
    assert json.loads((folder / "study.json").read_text())["prefix"] == 10
    assert "the first 10 draws of every cell are the part that analysis uses" in (folder / "CARD.md").read_text("utf-8")
    assert len(published_results(folder)) == 49, "all of it counts as finished"


def test_a_whole_study_is_its_own_prefix(folder, store_file):
    fill(store_file)
    trials = ok.load_trials(publish(store_file, folder))
    assert trials.frame["in_prefix"].all()
    assert trials.left_out == 0


def test_a_study_in_its_first_steps_cannot_be_compared_yet(folder, store_file):
    fill(store_file, RESULTS[:5])
    publish(store_file, folder)
    with pytest.raises(ok.StudyError, match=r"its 5 trials hold no block of draws .* load_trials\(…, prefix=False\)"):
        ok.load_trials(folder)
    assert len(ok.load_trials(folder, prefix=False)) == 5


def test_a_searched_setting_of_the_protocol_is_a_column_like_any_other(folder, store_file):
    space = ok.SearchSpace({**ok.ODYSSEY_SPACE, "clip": ok.Categorical(choices=(0.0, 1.0))})
    study = replace(STUDY, space=space, cell_settings={"NP": {"gradient": "carousel"}})
    fill(store_file, [(spec, fake_work.quick(spec)) for spec in study.plan()], study)
    trials = ok.load_trials(publish(store_file, folder, study))
    clips = {spec.key: spec.protocol.clip for spec in study.plan()}
    assert dict(zip(trials.frame["key"], trials.frame["params_clip"], strict=True)) == clips
    assert "- NP only: `gradient`: carousel" in (folder / "CARD.md").read_text("utf-8")
    assert {s.key for s, _ in published_results(folder)} == set(clips), "and the way back keeps every setting"
