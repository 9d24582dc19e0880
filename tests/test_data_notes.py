"""The notes' file is read whole or refused: no malformed bytes get through, and none makes the parser crash."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odyssey_kit.data.notes import next_step_split, parse_notes, piano_roll, write_notes
from odyssey_kit.errors import DataError

GOOD = {"train": [[[60, 64], [], [62]], [[21], [108]]], "valid": [[[60], [61]]], "test": [[[70], [71]]]}

pieces = st.lists(st.lists(st.lists(st.integers(21, 108), max_size=4), min_size=2, max_size=6), min_size=1, max_size=4)
files = st.fixed_dictionaries({"train": pieces, "valid": pieces, "test": pieces})


@given(files)
def test_notes_survive_writing_and_reading(notes):
    read = parse_notes(write_notes(notes), source="x")
    for split, expected in notes.items():
        assert [[sorted(set(step)) for step in piece] for piece in expected] == read[split]
    assert write_notes(read) == write_notes(notes)


def test_a_roll_by_hand():
    roll = piano_roll([[21, 23], [], [108]])
    expected = np.zeros((3, 88))
    expected[0, 0] = expected[0, 2] = expected[2, 87] = 1
    np.testing.assert_array_equal(roll, expected)
    assert roll.dtype == np.float32


def test_targets_are_the_inputs_one_step_later():
    split = next_step_split(GOOD["train"])
    assert split.lengths.tolist() == [2, 1]
    inputs, targets = split[0]
    np.testing.assert_array_equal(inputs, piano_roll([[60, 64], []]))
    np.testing.assert_array_equal(targets, piano_roll([[], [62]]))


def altered(**splits) -> bytes:
    return json.dumps({**GOOD, **splits}).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"1" * 5000, "not JSON"),  # more digits than Python turns into a number
        (b"[]", "got list"),
        (b"{}", "expected an object with the splits train, valid, test"),
        (json.dumps({"train": [], "valid": []}).encode(), "expected an object with the splits"),
        (altered(extra=[]), "expected an object with the splits"),
        (altered(train=[]), "got 0 pieces"),
        (altered(train={}), "split train: got dict, expected a list of pieces"),
        (altered(train=[7]), "split train, piece 0: got int, expected a list of steps"),
        (altered(train=[[[60]]]), "got 1 steps, expected 2"),
        (altered(train=[[60, 60]]), "got int, expected a list of notes a step"),
        (altered(test=[[[60], [60.0]]]), "split test, piece 0: a note is float"),
        (altered(test=[[[60], [True]]]), "a note is bool"),
        (altered(test=[[[60], [None]]]), "a note is NoneType"),
        (altered(test=[[[60], [[60]]]]), "a note is list"),
        (altered(test=[[[60], ["C4"]]]), "a note is str"),
        (altered(test=[[[60], [20]]]), "a note is 20, expected 21 to 108"),
        (altered(test=[[[60], [109]]]), "a note is 109, expected 21 to 108"),
        (altered(test=[[[60], [-(10**30)]]]), "a note is a huge number"),
        (altered(test=[[[60], [float("nan")]]]), "a note is float"),
        (altered(test=[[[60], [60] * 89]]), "got 89 notes a step"),
        (altered(test=[[[]] * 50_001]), "got 50,001 steps"),
        (altered(test=[[[], []]] * 20_001), "got 20,001 pieces"),
        (altered(test=[[[]] * 50_000] * 21), "steps in all, expected at most 1,000,000"),
        (b" " * 64_000_001, "expected at most 64,000,000"),
    ],
)
def test_what_is_not_music_is_refused_with_its_place(data, reason):
    with pytest.raises(DataError, match=reason) as caught:
        parse_notes(data, source="some-file.json")
    assert str(caught.value).startswith("some-file.json: ")
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=200)
    | st.text(alphabet='[]{}",:0123456789.-e train valid test', max_size=200).map(str.encode)
)
def test_no_bytes_make_the_parser_crash(data):
    with pytest.raises(DataError, match=r"^x: "):
        parse_notes(data, source="x")


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 10_000), change=st.integers(1, 255), cut=st.booleans())
def test_damage_below_the_hash_is_refused_or_still_music(position, change, cut):
    data = bytearray(write_notes(GOOD))
    position %= len(data)
    if cut:
        data = data[:position]
    else:
        data[position] ^= change
    try:
        notes = parse_notes(bytes(data), source="x")
    except DataError as error:
        assert str(error).startswith("x: ")
    else:  # one note became another one, say: only the hash can know
        assert all(len(next_step_split(notes[split])) >= 1 for split in GOOD)


@settings(max_examples=100, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=20,
    )
)
def test_no_structure_makes_the_parser_crash(value):
    for data in (value, {**GOOD, "test": value}, {**GOOD, "test": [value]}, {**GOOD, "test": [[value, value]]}):
        try:
            parse_notes(json.dumps(data).encode(), source="x")
        except DataError as error:
            assert str(error).startswith("x: ")
