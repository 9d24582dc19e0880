"""Sequences laid end to end come back as they went in, and what does not fit is refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odyssey_kit.data import SequenceDataset, Split
from odyssey_kit.errors import UsageError


def pair(frames: int, features: int = 2, outputs: int = 3, *, first: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    inputs = first + np.arange(frames * features, dtype=np.float32).reshape(frames, features)
    return inputs, -np.ones((frames, outputs), dtype=np.float32) * inputs[:, :1]


def dataset(**changes) -> SequenceDataset:
    split = Split.from_list([pair(3), pair(5)])
    fields = {"name": "made-up", "task": "next-step", "train": split, "valid": split, "test": split}
    return SequenceDataset(**(fields | changes))


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_what_went_in_comes_out(lengths):
    pairs = [pair(length, first=100.0 * index) for index, length in enumerate(lengths)]
    split = Split.from_list(pairs)
    assert len(split) == len(lengths)
    assert split.lengths.tolist() == lengths
    for (inputs, targets), (inputs_in, targets_in) in zip(split, pairs, strict=True):
        np.testing.assert_array_equal(inputs, inputs_in)
        np.testing.assert_array_equal(targets, targets_in)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12), data=st.data())
def test_padding_holds_every_frame_once_and_zeros_elsewhere(lengths, data):
    split = Split.from_list([pair(length, first=1.0) for length in lengths])
    indices = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=5))
    inputs, targets, got = split.padded(indices)
    assert got.tolist() == [lengths[index] for index in indices]
    assert inputs.shape == (max(got), len(indices), 2)
    assert targets.shape == (max(got), len(indices), 3)
    for column, index in enumerate(indices):
        np.testing.assert_array_equal(inputs[: got[column], column], split[index][0])
        assert not inputs[got[column] :, column].any()
        assert not targets[got[column] :, column].any()


def test_a_sequence_is_a_view_and_not_a_copy():
    split = Split.from_list([pair(3), pair(4)])
    assert np.shares_memory(split[1][0], split.inputs)


def test_negative_indices_count_from_the_end_and_others_are_refused():
    split = Split.from_list([pair(3), pair(4)])
    assert len(split[-1][0]) == 4
    with pytest.raises(IndexError, match="sequence 2 of 2"):
        split[2]


@pytest.mark.parametrize(
    ("sequences", "reason"),
    [
        ([], "got no sequence"),
        ([(np.zeros((0, 2)), np.zeros((0, 2)))], "at least 1"),
        ([(np.zeros((2, 2)), np.zeros((3, 2)))], "of the same time"),
        ([(np.zeros(2), np.zeros(2))], r"inputs of shape \(2,\)"),
        ([(np.zeros((2, 2)), "words")], "not a pair"),
        ([(np.zeros((2, 2)),)], "not a pair"),
        ([pair(2), pair(2, features=5)], "sequence 1 has widths"),
    ],
)
def test_lists_that_do_not_fit_are_refused(sequences, reason):
    with pytest.raises(UsageError, match=reason):
        Split.from_list(sequences)


@pytest.mark.parametrize(
    ("offsets", "reason"),
    [
        (np.array([0, 3]), "expected a strict rise"),
        (np.array([0, 2, 2, 4]), "expected a strict rise"),
        (np.array([1, 4]), "expected a strict rise"),
        (np.array([0.0, 4.0]), "int64"),
        ([0, 4], "list"),
    ],
)
def test_offsets_that_do_not_fit_are_refused(offsets, reason):
    inputs, targets = pair(4)
    with pytest.raises(UsageError, match=reason):
        Split(inputs, targets, offsets)


def test_only_float32_frames_are_taken():
    inputs, targets = pair(4)
    with pytest.raises(UsageError, match="inputs is float64"):
        Split(inputs.astype(float), targets, np.array([0, 4]))
    with pytest.raises(UsageError, match="4 frames of inputs and 3 of targets"):
        Split(inputs, targets[:3], np.array([0, 4]))


def test_no_indices_make_no_batch():
    with pytest.raises(UsageError, match="got no indices"):
        Split.from_list([pair(2)]).padded([])


def test_a_data_set_takes_its_sizes_from_its_splits():
    got = dataset()
    assert (got.input_size, got.output_size) == (2, 3)
    with pytest.raises(UsageError, match="expected input_size=88"):
        dataset(input_size=88)
    with pytest.raises(UsageError, match="targets of test are 4 wide, expected output_size=3"):
        dataset(test=Split.from_list([pair(3, outputs=4)]))


# ---- labels ---------------------------------------------------------------------------------


def labelled(task: str, *strings: list[int], **changes) -> SequenceDataset:
    """Return a data set whose sequences have these labels, each of six frames; three frames a label if one a frame."""
    frames = [len(string) if task == "frame-wise" else 6 for string in strings]
    pairs = [(np.zeros((count, 2)), np.array(string, dtype=int)) for count, string in zip(frames, strings, strict=True)]
    split = Split.from_list(pairs, names=[f"who/{index}" for index in range(len(strings))])
    fields = {"name": "made-up", "task": task, "train": split, "valid": split, "test": split}
    return SequenceDataset(**(fields | {"symbols": ("∅", "a", "b", "c")} | changes))


@given(strings=st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=8))
def test_strings_of_labels_come_out_as_they_went_in(strings):
    split = Split.from_list([(np.zeros((7, 2)), np.array(string, dtype=int)) for string in strings])
    assert [split.targets_of(index).tolist() for index in range(len(split))] == strings
    assert [labels.tolist() for _, labels in split] == strings
    assert split.target_lengths.tolist() == [len(string) for string in strings]
    _, labels, lengths = split.padded()
    assert lengths.tolist() == [7] * len(strings)
    for column, string in enumerate(strings):
        assert labels[: len(string), column].tolist() == string
        assert not labels[len(string) :, column].any()


def test_labels_are_one_a_frame_where_there_are_as_many():
    split = Split.from_list([(np.zeros((3, 2)), [0, 1, 2]), (np.zeros((2, 2)), [2, 2])])
    assert split.label_offsets is None
    assert split[1][1].tolist() == [2, 2]
    assert split.targets.dtype == np.int64


@pytest.mark.parametrize(
    ("task", "strings", "words"),
    [
        ("frame-wise", ([0, 0, 3], [1, 1]), ["∅×2 c", "a×2"]),
        ("classification", ([3], [1]), ["c", "a"]),
        ("transcription", ([3, 1], [1, 1, 2]), ["ca", "aab"]),
    ],
)
def test_labels_are_told_by_what_they_mean(task, strings, words):
    data = labelled(task, *strings)
    assert data.to_frame()["target"].tolist() == words * 3
    assert data.to_frame()["name"].tolist() == ["who/0", "who/1"] * 3
    assert data.output_size == 4
    assert f"first example: who/0: {words[0]}" in data.card()
    assert ("'b'" in data.card()) == any(2 in string for string in strings), "what does not occur is not common"
    assert "4 classes" in repr(data)


@pytest.mark.parametrize(
    ("task", "strings", "changes", "reason"),
    [
        ("transcription", ([0, 1],), {}, "train has the label 0, which is the blank's"),
        ("classification", ([0],), {}, "train has the label 0, which is the blank's"),
        ("classification", ([1, 2],), {}, "train has one class for a whole sequence; .* only in part"),
        ("transcription", ([4],), {}, "train has the label 4, expected 0 to 3"),
        ("transcription", ([1],), {"output_size": 9}, "4 symbols for output_size=9 classes"),
        ("next-step", ([1],), {}, "targets of train are labels, task 'next-step' has others"),
        ("guessing", ([1],), {}, "task is 'guessing', expected one of next-step, frame-wise, class"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_refused(task, strings, changes, reason):
    with pytest.raises(UsageError, match=reason):
        labelled(task, *strings, **changes)


def test_real_targets_do_not_fit_a_task_of_labels():
    with pytest.raises(UsageError, match="targets of train are real frames, task 'frame-wise' has others"):
        dataset(task="frame-wise")
    with pytest.raises(UsageError, match="valid has a class for every frame only in part"):
        strings = Split.from_list([(np.zeros((6, 2)), [1, 2])])
        labelled("frame-wise", [1, 2], valid=strings)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"targets": np.array([1, 2])}, "4 frames of inputs and 2 labels"),
        ({"targets": np.array([-1, 0, 0, 0])}, "a label is -1"),
        ({"targets": np.zeros(4, np.int32)}, "targets is int32 of shape"),
        ({"label_offsets": np.array([0, 2])}, "label_offsets run from 0 to 2; expected a rise from 0 to the 4 labels"),
        ({"label_offsets": np.array([0, 2, 4])}, "label_offsets are for 2 sequences, offsets for 1"),
        ({"targets": np.zeros((4, 1), np.float32), "label_offsets": np.array([0, 4])}, "go with int64 labels"),
        ({"names": ("a", "b")}, "2 names for 1 sequences"),
    ],
)
def test_labels_that_do_not_fit_their_frames_are_refused(changes, reason):
    fields = {"inputs": np.zeros((4, 2), np.float32), "targets": np.zeros(4, np.int64), "offsets": np.array([0, 4])}
    with pytest.raises(UsageError, match=reason):
        Split(**(fields | changes))


# ---- shown ----------------------------------------------------------------------------------


def test_the_frame_has_one_row_a_sequence():
    frame = dataset().to_frame()
    assert list(frame.columns) == ["split", "index", "frames"]
    assert frame["split"].tolist() == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    assert frame["frames"].tolist() == [3, 5] * 3


def test_a_stand_in_says_so_wherever_it_is_shown():
    own, stand_in = dataset(), dataset(stand_in_for="real-thing")
    assert repr(own) == (
        "SequenceDataset('made-up', papers' own data, next-step, 2 inputs, 3 outputs, "
        "sequences: train 2, valid 2, test 2)"
    )
    assert "stand-in for real-thing" in repr(stand_in)
    assert stand_in.card().startswith("made-up: STAND-IN FOR REAL-THING\n")
    assert "not comparable with published ones on real-thing" in stand_in.card()
    assert "stand-in" not in (repr(own) + own.card()).lower()
    assert "first example: 3 frames; inputs that are not 0 in the first: 1\n" in own.card()
