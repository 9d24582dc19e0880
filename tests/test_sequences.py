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
