"""Label strings are read from outputs as Graves and as clstm did, and compared by the fewest edits."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odyssey_kit.engine.decoding import (
    best_classes,
    best_path,
    character_error_rate,
    edit_distance,
    label_errors,
    peak_classes,
)
from odyssey_kit.errors import UsageError

strings = st.lists(st.integers(1, 3), max_size=7)


def one_hot(path, classes=4):
    return np.eye(classes)[path]


def decode(decoder, outputs, *arguments):
    labels = np.empty(len(outputs), np.int64)
    return labels[: decoder(outputs, labels, *arguments)].tolist()


def distance(a, b):
    return edit_distance(np.array(a, np.int64), np.array(b, np.int64))


@cache
def slow_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(slow_distance(a[1:], b) + 1, slow_distance(a, b[1:]) + 1, slow_distance(a[1:], b[1:]) + (a[0] != b[0]))


def slow_peaks(outputs):
    """Split at frames that say blank; of each part take the class of the frame with the highest output."""
    found = []
    for says_blank, frames in itertools.groupby(outputs, key=lambda frame: frame.argmax() == 0):
        if not says_blank:
            found.append(int(max(frames, key=lambda frame: frame.max()).argmax()))
    return found


@given(path=st.lists(st.integers(0, 3), min_size=1, max_size=30))
@settings(deadline=None)
def test_best_path_merges_repeats_and_drops_blanks(path):
    assert decode(best_path, one_hot(path)) == [k for k, _ in itertools.groupby(path) if k != 0]


def test_best_path_by_hand():
    assert decode(best_path, one_hot([0, 1, 1, 0, 1, 2, 2, 0])) == [1, 1, 2]
    assert decode(best_path, one_hot([0, 0, 0])) == []
    # Class 0 is the blank, and of equal outputs the first class wins.
    assert decode(best_path, np.zeros((3, 4))) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_best_classes_are_numpys_first_largest(dtype):
    outputs = np.random.default_rng(0).integers(-3, 3, (200, 11)).astype(dtype)
    classes = np.empty(200, np.int64)
    best_classes(outputs, classes)
    np.testing.assert_array_equal(classes, outputs.argmax(axis=1))


@given(frames=st.integers(1, 30), seed=st.integers(0, 2**31))
@settings(deadline=None)
def test_peaks_equal_the_slow_ones(frames, seed):
    outputs = np.random.default_rng(seed).dirichlet([2, 1, 1], frames)
    assert decode(peak_classes, outputs, True) == slow_peaks(outputs)
    closed = np.concatenate([outputs, one_hot([0], 3)])
    assert decode(peak_classes, closed, False) == slow_peaks(outputs)


def test_peaks_by_hand():
    outputs = one_hot([0, 1, 1, 2, 0, 3, 3, 0, 0])
    outputs[3] *= 0.9
    # Neighbours without a blank between them merge into the higher one; a repeat behind a blank is a label of its own.
    assert decode(peak_classes, outputs, True) == [1, 3]
    outputs[1:3] *= 0.8
    assert decode(peak_classes, outputs, True) == [2, 3]
    assert decode(best_path, outputs) == [1, 2, 3]
    # A run that the end cuts off: clstm forgets it.
    assert decode(peak_classes, outputs[:7], True) == [2, 3]
    assert decode(peak_classes, outputs[:7], False) == [2]


@given(a=strings, b=strings)
@settings(deadline=None)
def test_edit_distance_is_that_of_the_definition(a, b):
    assert distance(a, b) == slow_distance(tuple(a), tuple(b))


@given(a=strings, b=strings, c=strings)
@settings(deadline=None)
def test_edit_distance_is_a_distance(a, b, c):
    assert distance(a, a) == 0
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c)
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))


def test_kitten_is_three_edits_from_sitting():
    assert distance([ord(c) for c in "kitten"], [ord(c) for c in "sitting"]) == 3
    assert distance([], [1, 2]) == 2


def test_error_rate_is_edits_over_labels_of_the_whole_set():
    references = [np.array([1, 2, 3, 4]), np.array([5])]
    assert character_error_rate(references, references) == 0
    assert character_error_rate(references, [np.array([1, 2, 3]), np.array([6])]) == 2 / 5
    assert character_error_rate([np.array([1])], [np.array([2, 3, 4])]) == 3
    with pytest.raises(UsageError, match="got 2 references and 1 decoded"):
        character_error_rate(references, references[:1])
    with pytest.raises(UsageError, match="hold no label"):
        character_error_rate([np.array([], np.int64)], [np.array([1])])


@pytest.mark.parametrize("peaks", [False, True])
def test_errors_of_a_set_are_those_of_its_sequences(peaks):
    rng = np.random.default_rng(1)
    lengths, label_lengths = [9, 1, 14], [3, 0, 5]
    offsets, label_offsets = (np.concatenate(([0], np.cumsum(n))) for n in (lengths, label_lengths))
    net_inputs = 3 * rng.standard_normal((24, 4))
    labels = rng.integers(1, 4, 8)
    outputs = np.exp(net_inputs) / np.exp(net_inputs).sum(axis=1, keepdims=True)
    expected = 0
    for s in range(3):
        own = outputs[offsets[s] : offsets[s + 1]]
        decoded = decode(peak_classes, own, True) if peaks else decode(best_path, own)
        expected += distance(labels[label_offsets[s] : label_offsets[s + 1]], decoded)
    assert label_errors(net_inputs, offsets, labels, label_offsets, peaks) == expected
