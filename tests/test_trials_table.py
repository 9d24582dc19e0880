"""The table of trials: what is written is what is read, and what is damaged or missing says so in one line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_up import curves, trials, write

import odyssey_kit as ok
from odyssey_kit.analysis import SCHEMA, arrow_schema, check_trials, describe_columns, write_table
from odyssey_kit.analysis.trials import n_selected


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write(tmp_path_factory.mktemp("results") / "first-light")


@pytest.fixture
def study(published, tmp_path):
    """Give a copy that a test may damage."""
    return shutil.copytree(published, tmp_path / "first-light")


def one_line(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# ---- schema and writing ---------------------------------------------------------------------


def test_the_made_up_table_has_every_column_of_the_schema():
    frame = trials()
    assert set(frame) == {column.name for column in SCHEMA["trials"]}
    assert set(curves(frame)) == {column.name for column in SCHEMA["curves"]}
    assert describe_columns().index.is_unique
    assert describe_columns()["meaning"].str.len().min() > 5


def test_the_file_has_the_types_of_the_schema_and_describes_its_columns(published):
    for kind in ("trials", "curves"):
        written = pq.read_schema(published / f"{kind}.parquet")
        assert written.equals(arrow_schema(kind), check_metadata=False)
        for field in written:
            assert field.metadata[b"description"] == arrow_schema(kind).field(field.name).metadata[b"description"]


def test_the_same_table_gives_the_same_bytes_in_any_order_of_rows_and_columns(tmp_path):
    frame = trials(5, ("V", "NP"))
    first = write_table(frame, tmp_path / "a" / "trials.parquet")
    shuffled = frame.sample(frac=1, random_state=1)[list(frame)[::-1]]
    assert write_table(shuffled, tmp_path / "b.parquet") == first
    assert (tmp_path / "b.parquet").read_bytes() == (tmp_path / "a" / "trials.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b.parquet"]


def test_searched_hyperparameters_that_the_schema_does_not_list_are_kept_beside_the_others(tmp_path):
    frame = trials(5, ("V",)).assign(params_batch_size=20, params_nesterov=True, remark="x")
    write_table(frame.drop(columns="params_momentum"), tmp_path / "t.parquet")
    names = pq.read_schema(tmp_path / "t.parquet").names
    start = names.index("params_hidden_size")
    assert names[start + 3 : start + 5] == ["params_batch_size", "params_nesterov"]
    assert names[-1] == "remark"
    assert ok.load_trials(tmp_path / "t.parquet").frame["params_nesterov"].dtype == bool


def test_a_table_that_does_not_fit_is_refused_and_nothing_is_overwritten(tmp_path):
    path = tmp_path / "trials.parquet"
    write_table(trials(5, ("V",)), path)
    before = path.read_bytes()
    bad = trials(5, ("V",)).drop(columns=["spec", "n_parameters"]).assign(index=0.5, variant=None)
    with pytest.raises(ok.UsageError) as error:
        write_table(bad, path)
    message = one_line(error)
    for part in (
        "'spec'",
        "'n_parameters'",
        "'index': holds float64, expected int",
        "'variant': 5 of 5 values are missing",
    ):
        assert part in message
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": "RUNNING"}, "'state' holds 'RUNNING', expected COMPLETE, DIVERGED, FAILED"),
        ({"key": "same"}, "1 keys occur more than once, the first is 'same'"),
        ({"valid_metric": "low"}, "'valid_metric': holds"),
        ({"best_epoch": 1.5}, "'best_epoch': holds float64, expected nullable int"),
        ({"index": None}, "'index': 3 of 3 values are missing"),
    ],
)
def test_each_wrong_column_is_named(change, message):
    with pytest.raises(ok.UsageError, match="table of trials") as error:
        check_trials(trials(3, ("V",), n_diverged=0).assign(**change))
    assert message in one_line(error)


def test_a_complete_table_needs_a_searched_hyperparameter():
    frame = trials(3, ("V",), n_diverged=0)
    frame = frame[[name for name in frame if not name.startswith("params_")]]
    check_trials(frame)
    with pytest.raises(ok.UsageError, match="no column begins with 'params_'"):
        check_trials(frame, complete=True)
    with pytest.raises(ok.UsageError, match="no table of kind 'epochs'"):
        check_trials(frame, kind="epochs")  # type: ignore[arg-type]


# ---- loading --------------------------------------------------------------------------------


def test_what_was_written_is_what_is_read(published):
    loaded = ok.load_trials(published)
    expected = trials(study="first-light")
    pd.testing.assert_frame_equal(loaded.to_frame(), expected, check_dtype=False)
    pd.testing.assert_frame_equal(loaded.curves, curves(expected), check_dtype=False)
    assert str(loaded.frame["best_epoch"].dtype) == "Int64"
    assert loaded.space == ok.ODYSSEY_SPACE
    assert len(loaded) == 180
    assert loaded.study["counts"] == {"planned": 180, "complete": 176, "diverged": 4, "failed": 0}


def test_repr_says_how_many_and_how_they_ended(published):
    loaded = ok.load_trials(published)
    assert repr(loaded) == (
        f"Trials('first-light': 180 trials, 9 variants, 1 task, 176 complete, 4 diverged, hash {loaded.hash})"
    )
    assert len(loaded.hash) == 8
    counts = loaded.counts().set_index("variant")
    assert counts.loc["FGR", ["trials", "complete", "diverged", "failed"]].tolist() == [20, 16, 4, 0]


def test_a_study_is_found_by_name_in_the_folder_of_the_variable_and_in_the_current_one(
    published, monkeypatch, tmp_path
):
    monkeypatch.setenv("ODYSSEY_RESULTS", str(published.parent))
    assert len(ok.load_trials("first-light")) == 180
    monkeypatch.delenv("ODYSSEY_RESULTS")
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "results_cache" / "only-here", n_per_cell=3, variants=("V",), n_diverged=0)
    assert ok.load_trials("only-here").name == "only-here"


def test_an_unknown_name_lists_the_published_ones(published, monkeypatch):
    monkeypatch.setenv("ODYSSEY_RESULTS", str(published.parent))
    with pytest.raises(ok.StudyError, match=r"no study is called 'last-light'.*first-light") as error:
        ok.load_trials("last-light")
    one_line(error)


def test_a_file_alone_is_enough(study, tmp_path):
    alone = tmp_path / "mine.parquet"
    shutil.copy(study / "trials.parquet", alone)
    loaded = ok.load_trials(str(alone))
    assert (loaded.name, loaded.space, loaded.curves, loaded.study) == ("first-light", None, None, None)
    assert loaded.hash == ok.load_trials(study).hash


def test_missing_folders_and_empty_ones_say_so(tmp_path):
    with pytest.raises(ok.StudyError, match="no such file or folder"):
        ok.load_trials(tmp_path / "nowhere")
    with pytest.raises(ok.StudyError, match=r"holds no trials\.parquet"):
        ok.load_trials(tmp_path)


@pytest.mark.parametrize("name", ["trials.parquet", "curves.parquet"])
def test_a_changed_file_is_refused_by_its_checksum(study, name):
    data = bytearray((study / name).read_bytes())
    data[len(data) // 2] ^= 1
    (study / name).write_bytes(data)
    with pytest.raises(ok.StudyError, match=r"study\.json beside it records") as error:
        ok.load_trials(study)
    assert name in one_line(error)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.99])
def test_a_truncated_file_without_checksum_is_one_clear_line(study, fraction):
    (study / "study.json").unlink()
    data = (study / "trials.parquet").read_bytes()
    (study / "trials.parquet").write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(ok.StudyError, match="cannot be read as Parquet, it is damaged or incomplete") as error:
        ok.load_trials(study)
    one_line(error)


def test_a_flipped_bit_in_a_lone_file_is_found_by_the_checksums_of_its_pages(study):
    (study / "study.json").unlink()
    data = bytearray((study / "trials.parquet").read_bytes())
    chunk = pq.ParquetFile(study / "trials.parquet").metadata.row_group(0).column(0)
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1  # among a page's values, not in its header
    (study / "trials.parquet").write_bytes(data)
    with pytest.raises(ok.StudyError, match="damaged or incomplete"):
        ok.load_trials(study)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ('{"schema": 2}', "has schema 2, expected 1"),
        ("[]", "has schema 'list', expected 1"),
    ],
)
def test_a_study_file_that_cannot_be_understood_is_refused(study, text, message):
    (study / "study.json").write_text(text)
    with pytest.raises(ok.StudyError, match=message) as error:
        ok.load_trials(study)
    one_line(error)


def test_an_unknown_distribution_in_the_space_is_refused(study):
    definition = json.loads((study / "study.json").read_text())
    definition["study"]["space"]["momentum"]["type"] = "Gaussian"
    (study / "study.json").write_text(json.dumps(definition))
    with pytest.raises(ok.StudyError, match="'momentum' has type 'Gaussian'"):
        ok.load_trials(study)


def test_a_parquet_file_that_is_no_table_of_trials_says_what_is_missing(tmp_path):
    pd.DataFrame({"loss": [1.0]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ok.StudyError, match=r"'variant'.*is missing") as error:
        ok.load_trials(tmp_path / "other.parquet")
    one_line(error)


def test_query_keeps_the_curves_of_what_is_left(published):
    chosen = ok.load_trials(published).query("variant == 'V' and params_learning_rate > 1e-4")
    assert chosen.variants == ("V",)
    assert 0 < len(chosen) < 20
    assert chosen.frame["params_learning_rate"].min() > 1e-4
    assert set(chosen.curves["key"]) == set(chosen.frame["key"])
    assert len(chosen.query("index > 1000")) == 0
    assert repr(chosen.query("index > 1000")).startswith("Trials('first-light': 0 trials, 0 variants, 0 tasks")


@pytest.mark.parametrize("expression", ["learning_rate > 1", "variant ==", "variant = 'V'", ""])
def test_a_query_that_cannot_be_read_lists_the_columns(published, expression):
    with pytest.raises(ok.UsageError, match="params_learning_rate"):
        ok.load_trials(published).query(expression)


# ---- selection ------------------------------------------------------------------------------


def test_the_selected_are_the_best_by_validation_whatever_the_test_says():
    frame = trials(40, ("V", "NFG"))
    frame["test_metric"] = -frame["valid_metric"]
    selected = ok.select_top(frame, top=0.10).frame
    for _, cell in frame.groupby("variant"):
        best = cell["valid_metric"].nsmallest(4)
        assert set(best.index) <= set(frame.index[frame["key"].isin(selected["key"])])
    assert selected["variant"].value_counts().to_dict() == {"V": 4, "NFG": 4}


def test_halves_are_rounded_upwards():
    assert [n_selected(n, top) for n, top in ((200, 0.1), (18, 0.25), (30, 0.35), (100, 0.145), (14, 0.1))] == [
        20,
        5,
        11,
        15,
        1,
    ]


def test_ties_go_to_the_lower_index():
    frame = trials(12, ("V",), n_diverged=0).assign(valid_metric=9.0)
    selected = ok.select_top(frame.sample(frac=1, random_state=0), top=0.25).frame
    assert sorted(selected["index"]) == [0, 1, 2]


def test_trials_without_a_metric_rank_last_and_still_count():
    frame = trials(20, ("V",), n_diverged=17)
    assert len(ok.select_top(frame, top=0.15)) == 3
    selected = ok.select_top(frame, top=0.5).frame
    assert len(selected) == 10
    assert selected["valid_metric"].notna().sum() == 3
    endless = frame.assign(valid_metric=frame["valid_metric"].fillna(np.inf))
    assert ok.select_top(endless, top=0.5).frame["key"].tolist() == selected["key"].tolist()


@pytest.mark.parametrize("dtype", ["uint8", "Int64", "float32"])
def test_the_largest_are_the_best_where_more_is_better_whatever_holds_them(dtype):
    frame = trials(12, ("V",), n_diverged=0)
    frame["score"] = (frame["index"] * 20).astype(dtype)
    selected = ok.select_top(frame, top=0.25, by="score", direction="maximize").frame
    assert sorted(selected["index"]) == [9, 10, 11]


def test_fewer_than_three_is_an_error_that_says_what_would_do():
    frame = trials(20, ("V", "NP"))
    with pytest.raises(ok.UsageError, match=r"top=0\.1 of the 20 trials of 'NP' on 'jsb-chorales' selects 2") as error:
        ok.select_top(frame)
    assert "top=0.125 would select 3" in one_line(error)
    assert len(ok.select_top(frame, top=0.125)) == 6
    with pytest.raises(ok.UsageError, match=r"of the 2 trials.*run more trials"):
        ok.select_top(frame[frame["index"] < 2], top=1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top": 0.0}, r"expected a fraction in \(0, 1\]"),
        ({"top": 10}, r"expected a fraction in \(0, 1\]"),
        ({"by": "valid"}, "'valid' does not exist; numeric columns are: .*valid_metric"),
        ({"by": "state"}, "'state' is not numeric"),
    ],
)
def test_bad_arguments_of_the_selection_say_what_was_expected(arguments, message):
    with pytest.raises(ok.UsageError, match=message):
        ok.select_top(trials(30, ("V",)), **arguments)


def test_something_that_is_no_table_is_refused():
    with pytest.raises(ok.UsageError, match="expected Trials or a pandas DataFrame, got str"):
        ok.select_top("first-light")  # type: ignore[arg-type]
