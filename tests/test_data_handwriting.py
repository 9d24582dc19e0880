"""Handwriting: IAM-OnDB from a registered user's folder, and its stand-in, with what it does not tell apart said."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from licensed import a_line, iam_ondb, strokes_xml

import odyssey_kit as ok
from odyssey_kit.data.alphabet import HANDWRITING, encode, symbols_of
from odyssey_kit.data.corpora.iam_ondb import parse_ascii, parse_forms, parse_strokes
from odyssey_kit.data.corpora.unipen_lines import read_lines
from odyssey_kit.data.strokes import pen_features
from odyssey_kit.errors import DataError, MissingDataError

REAL_DATA = os.environ.get("ODYSSEY_DATA", "")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ODYSSEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ODYSSEY_DATA", raising=False)


# ---- features and alphabet ------------------------------------------------------------------


def test_the_alphabet_has_the_papers_81_characters():
    assert len(HANDWRITING) == len(set(HANDWRITING)) == 81
    assert set("azAZ09 !\"#&'()*+,-./[]:;?") <= set(HANDWRITING)
    assert "%" not in HANDWRITING


def test_a_line_by_hand():
    points = np.array([[0, 0], [2, 1], [4, 2], [4, 2], [9, 2]])
    seconds = np.array([10.0, 10.01, 10.02, 10.5, 10.51])
    lifted = np.array([False, False, True, False, True])
    whole = pen_features(points, seconds, lifted, halve=False)
    np.testing.assert_allclose(whole[:, :2], [[0, 0], [2, 1], [2, 1], [0, 0], [5, 0]])
    np.testing.assert_allclose(whole[:, 2], [0, 0.01, 0.02, 0, 0.01], atol=1e-6)
    np.testing.assert_array_equal(whole[:, 3], [0, 0, 1, 0, 1])
    half = pen_features(points, seconds, lifted)
    np.testing.assert_allclose(half[:, :2], [[0, 0], [2, 1], [5, 0]])
    np.testing.assert_array_equal(half[:, 3], [0, 1, 1])


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_halving_keeps_the_way_and_every_lift_of_the_pen(sizes, seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(-50, 50, size=(sum(sizes), 2))
    lifted = np.zeros(len(points), dtype=bool)
    lifted[np.cumsum(sizes) - 1] = True
    half = pen_features(points, 0.01 * np.arange(len(points)), lifted)
    assert len(half) == (len(points) + 1) // 2
    kept = points[np.minimum(np.arange(1, len(points) + 1, 2), len(points) - 1)]
    np.testing.assert_allclose(half[:, :2].cumsum(axis=0), kept - kept[0], atol=1e-3)
    assert half[:, 2].min() >= 0
    # Two lifts in one pair of points (a stroke of a single point) are one frame's; none is lost otherwise.
    pairs = [lifted[i : i + 2].any() for i in range(0, len(lifted), 2)]
    np.testing.assert_array_equal(half[:, 3], pairs)


def test_a_character_without_a_class_is_named():
    with pytest.raises(DataError, match="the character '%', which the alphabet lacks"):
        encode(["50 %"], symbols_of(["50 "]), source="x")


# ---- IAM-OnDB -------------------------------------------------------------------------------


def load_iam(folder, **options):
    with pytest.warns(UserWarning, match="lines left out|as in the papers"):
        return ok.load_dataset("iam-ondb", data_dir=folder, **options)


def test_iam_ondb_is_read_from_its_folder(tmp_path):
    data = load_iam(iam_ondb(tmp_path))
    assert (data.task, data.input_size, data.output_size, data.stand_in_for) == ("transcription", 4, 82, None)
    texts = {name: [data.text(split.targets_of(i)) for i in range(len(split))] for name, split in data.splits.items()}
    assert texts == {
        "train": ["A MOVE to stop", "Mr. Gaitskell"],  # the board a08-551z is left out, as in the paper
        "valid": ["from nominating", "any more", "Labour (life) [Peers]"],  # both validation files
        "test": ["is to be made?"],
    }
    assert data.valid.names == ("b01-010z/01", "b02-020x/01", "b02-020x/02")
    points = parse_strokes(a_line(31, seed=1), "x")
    np.testing.assert_array_equal(data.train[0][0], pen_features(*points))


def test_movements_are_in_the_whiteboards_units_unless_asked_otherwise(tmp_path):
    folder = iam_ondb(tmp_path)
    raw, scaled = load_iam(folder), load_iam(folder, scaled=True)
    assert scaled.name == "iam-ondb[scaled]"
    factor = raw.test.inputs[1, 0] / scaled.test.inputs[1, 0]
    np.testing.assert_allclose(raw.test.inputs[:, :2], factor * scaled.test.inputs[:, :2], rtol=1e-5)
    np.testing.assert_array_equal(raw.test.inputs[:, 2:], scaled.test.inputs[:, 2:])
    assert np.sqrt(np.mean(scaled.train.inputs[:, :2] ** 2)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("50 % more\n", "2 of the board a08-551z, 1 with other characters, 1 without a transcript"),
        ("", "2 of the board a08-551z, 2 without a transcript"),  # as it is said of z01-000z
    ],
)
def test_lines_without_a_transcript_or_with_other_characters_are_counted(tmp_path, text, words):
    folder = iam_ondb(tmp_path)
    next(folder.rglob("b02-020x.txt")).write_text(f"CSR:\n\n{text}", encoding="ascii")
    for _ in range(2):  # the second time from the cache
        with pytest.warns(UserWarning) as told:
            data = ok.load_dataset("iam-ondb", data_dir=folder)
        assert any(words in str(warning.message) for warning in told)
        assert len(data.valid) == 1


def test_the_board_that_is_left_out_may_be_broken(tmp_path):
    folder = iam_ondb(tmp_path)
    for path in folder.rglob("a08-551z*"):
        path.write_bytes(b"%%%")
    assert len(load_iam(folder).train) == 2


def test_of_two_split_files_of_one_name_the_first_counts(tmp_path):
    folder = iam_ondb(tmp_path)
    other = folder / "iam-ondb" / "zz-open-task" / "trainset.txt"
    other.parent.mkdir()
    other.write_text("c03-030\n", encoding="ascii")
    assert len(load_iam(folder).train) == 2


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda root: (root / "trainset.txt").unlink(), "has no trainset.txt"),
        (lambda root: (root / "trainset.txt").write_bytes(b"a01-000u ../../x"), "'../../x' is not the id of a form"),
        (lambda root: next(root.rglob("a01-000u.txt")).unlink(), "has no transcript a01-000u.txt"),
        (lambda root: next(root.rglob("a01-000u.txt")).write_bytes(b"OCR:\n"), "has no line 'CSR:'"),
        (lambda root: [path.unlink() for path in root.rglob("a01-000u-*.xml")], "has no strokes a01-000u-01.xml"),
        (lambda root: next(root.rglob("a01-000u-01.xml")).write_bytes(b"<a"), "not well-formed XML"),
        (lambda root: next(root.rglob("a01-000u-01.xml")).write_bytes(b"<a/>"), "no StrokeSet with Strokes of Points"),
        (lambda root: next(root.rglob("a01-000u-01.xml")).write_bytes(strokes_xml([[("x", 1, 2)]])), "x of a point"),
    ],
)
def test_a_damaged_iam_ondb_is_refused_with_file_and_reason(tmp_path, spoil, reason):
    folder = iam_ondb(tmp_path)
    spoil(folder / "iam-ondb")
    with pytest.raises(DataError, match=reason) as caught:
        ok.load_dataset("iam-ondb", data_dir=folder)
    assert str(tmp_path) in str(caught.value)


def test_without_a_folder_the_message_says_where_to_register(tmp_path):
    with pytest.raises(MissingDataError, match=r"Register at fki\.tic\.heia-fr\.ch.*lineStrokes/a01/a01-000/a01-000u"):
        ok.load_dataset("iam-ondb", data_dir=tmp_path)


def test_what_is_no_list_of_forms_and_no_transcript_is_refused():
    with pytest.raises(DataError, match="names no form"):
        parse_forms(b" \n", "trainset.txt")
    with pytest.raises(DataError, match="has no line 'CSR:'"):
        parse_ascii(b"", "a01-000u.txt")
    entity = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    with pytest.raises(DataError, match="declares"):
        parse_strokes(entity, "x.xml")


# ---- the stand-in ---------------------------------------------------------------------------


def unipen(**changes) -> bytes:
    """Return a file of four lines by three writers."""
    arrays = {
        "dxy": np.array([[5, 5]] * 12, np.int16),
        "end_of_stroke": np.array([0, 0, 1] * 4, np.uint8),
        "offsets": np.array([0, 3, 6, 9, 12], np.int32),
        "labels": np.array("one\ntwo\nthree\none"),
        "split": np.array([0, 0, 1, 2], np.uint8),
        "writer": np.array([0, 0, 1, 2], np.int16),
        "writer_ids": np.array("a\nb\nc"),
        "points_per_second": np.full(4, 100, np.float32),
    } | changes
    stream = io.BytesIO()
    np.savez_compressed(stream, **{name: array for name, array in arrays.items() if array is not None})
    return stream.getvalue()


def test_a_small_file_of_lines_is_read():
    assert read_lines(unipen(), "x.npz")["labels"].tolist() == ["one", "two", "three", "one"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dxy": None}, "member dxy.npy cannot be read"),
        ({"dxy": np.zeros((12, 3), np.int16)}, r"dxy has shape \(12, 3\)"),
        ({"dxy": np.zeros((12, 2))}, "holds float64"),
        ({"offsets": np.array([0, 3, 3, 9, 12], np.int32)}, "offsets do not divide"),
        ({"offsets": np.array([0, 3, 6, 9, 11], np.int32)}, "offsets do not divide"),
        ({"labels": np.array("one\ntwo")}, "2 texts for 4 lines"),
        ({"labels": np.array("one\n\ntwo\nthree")}, "none empty"),
        ({"labels": np.array(["one"] * 4)}, "expected one string"),
        ({"split": np.array([0, 0, 1, 1], np.uint8)}, "expected splits 0, 1 and 2"),
        ({"writer": np.array([0, 0, 1, 3], np.int16)}, "writer is out of range"),
        ({"points_per_second": np.array([100, 0, 100, 100], np.float32)}, "points_per_second"),
        ({"end_of_stroke": np.full(12, 2, np.uint8)}, "ends of strokes"),
        ({"labels": np.array("one", dtype=object)}, "not the|not a readable array|holds"),
    ],
)
def test_a_file_that_describes_no_lines_is_refused(changes, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read_lines(unipen(**changes), "x.npz")
    assert str(caught.value).startswith("x.npz: ")


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    if not REAL_DATA:
        pytest.skip("ODYSSEY_DATA is not set: unipen-lines not tested on their file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ODYSSEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        loaded = [ok.load_dataset("unipen-lines", data_dir=REAL_DATA, new_texts=value) for value in (False, True)]
        for data in loaded:
            assert all(split.inputs.size for split in data.splits.values())
    return loaded


def test_unipen_lines_have_their_known_counts(lines):
    data = lines[0]
    assert [len(split) for split in data.splits.values()] == [5_530, 871, 1_735]
    assert [len(split.targets) for split in data.splits.values()] == [135_490, 22_386, 46_027]
    writers = [{name.rsplit("/", 1)[0] for name in split.names} for split in data.splits.values()]
    assert [len(names) for names in writers] == [148, 30, 42]
    assert not (writers[0] & writers[1] or writers[0] & writers[2] or writers[1] & writers[2])
    # 6.39 million points, of which every second one is kept.
    assert sum(split.frames for split in data.splits.values()) == pytest.approx(6_394_201 / 2, rel=0.001)
    assert (data.input_size, data.output_size, data.stand_in_for) == (4, 82, "iam-ondb")


def test_means_of_points_and_strokes_are_the_known_ones(lines):
    train = lines[0].train
    assert 2 * train.frames / len(train) == pytest.approx(752, abs=1)
    assert train.inputs[:, 3].sum() / len(train) == pytest.approx(18.2, abs=0.3)


def test_every_line_can_be_aligned_at_half_its_points(lines):
    for split in lines[0].splits.values():
        for index in range(len(split)):
            labels = split.targets_of(index)
            assert len(labels) + np.sum(labels[1:] == labels[:-1]) <= split.lengths[index]


def test_prompts_that_occur_in_train_can_be_left_out_of_test(lines):
    everything, new = lines
    known = {everything.text(everything.train.targets_of(i)) for i in range(len(everything.train))}
    assert len(known) == 2_773
    seen = sum(everything.text(everything.test.targets_of(i)) in known for i in range(len(everything.test)))
    assert seen == 1_301
    assert len(new.test) == 1_735 - 1_301
    assert not {new.text(new.test.targets_of(i)) for i in range(len(new.test))} & known
    assert new.name == "unipen-lines[new-texts]"


def test_movements_are_scaled_by_train_alone_and_alike_in_both_directions(lines):
    for_both = lines[0].train.inputs[:, :2]
    assert np.sqrt(np.mean(np.square(for_both, dtype=np.float64))) == pytest.approx(1, abs=1e-3)
    assert for_both[:, 0].std() > for_both[:, 1].std()
