"""A variant is what its fields say: each of the Odyssey's eight differs from vanilla in exactly one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import odyssey_kit as ok
from odyssey_kit.variants import (
    ACTIVATIONS,
    BREUEL_VARIANTS,
    ODYSSEY_VARIANTS,
    UNPUBLISHED_VARIANTS,
    VARIANTS,
    LSTMVariant,
)

VANILLA = ODYSSEY_VARIANTS["V"]


def test_the_tables_hold_the_names_of_both_papers_and_of_what_was_not_printed():
    assert list(ODYSSEY_VARIANTS) == ["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR"]
    assert set(BREUEL_VARIANTS) == {"LINLSTM", "LSTM", "NPLSTM", "RELU2LSTM", "RELULSTM", "RELUTANHLSTM"}
    assert set(UNPUBLISHED_VARIANTS) == {"NIG+NOG", "NOG+NP", "CIFG+NIAF", "CIFG+NOAF"}
    assert len(VARIANTS) == 9 + 6 + 4


@pytest.mark.parametrize("name", [name for name in ODYSSEY_VARIANTS if name != "V"])
def test_each_odyssey_variant_changes_one_field(name):
    assert len(ODYSSEY_VARIANTS[name].changes_from(VANILLA)) == 1


@pytest.mark.parametrize("name", UNPUBLISHED_VARIANTS)
def test_a_combination_is_the_union_of_its_parts(name):
    parts = [ODYSSEY_VARIANTS[part].changes_from(VANILLA) for part in name.split("+")]
    assert UNPUBLISHED_VARIANTS[name].changes_from(VANILLA) == {**parts[0], **parts[1]}


@pytest.mark.parametrize(
    ("name", "g", "h"),
    [
        ("LINLSTM", "tanh", "linear"),
        ("LSTM", "tanh", "tanh"),
        ("NPLSTM", "tanh", "tanh"),
        ("RELU2LSTM", "relu", "relu"),
        ("RELULSTM", "relu", "linear"),
        ("RELUTANHLSTM", "relu", "tanh"),
    ],
)
def test_breuels_types_are_rows_of_two_functions_and_peepholes(name, g, h):
    cell = BREUEL_VARIANTS[name]
    assert (cell.input_activation, cell.output_activation, cell.gate_activation) == (g, h, "sigmoid")
    assert cell.peepholes == (name != "NPLSTM")


# Papers page 1.3, at N = 100: counts that bracket the grey bars of the Odyssey's Figure 3.
@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "bidirectional", "count"),
    [
        ("V", 39, 61, True, 124_861),
        ("CIFG", 39, 61, True, 96_661),
        ("FGR", 39, 61, True, 304_861),
        ("V", 4, 82, True, 101_082),
        ("V", 88, 88, False, 84_788),
    ],
)
def test_parameter_counts_are_those_of_the_papers_networks(name, inputs, outputs, bidirectional, count):
    counted = ok.variant(name).parameter_count(
        input_size=inputs, hidden_size=100, output_size=outputs, bidirectional=bidirectional
    )
    assert counted == count


def _fields():
    return st.fixed_dictionaries(
        {
            "input_gate": st.booleans(),
            "forget_gate": st.sampled_from(["own", "coupled", "none"]),
            "output_gate": st.booleans(),
            "peepholes": st.booleans(),
            "gate_recurrence": st.booleans(),
            "gate_activation": st.sampled_from(ACTIVATIONS),
            "input_activation": st.sampled_from(ACTIVATIONS),
            "output_activation": st.sampled_from(ACTIVATIONS),
        }
    )


@given(_fields(), st.integers(1, 9), st.integers(1, 9))
def test_every_combination_is_either_refused_or_counted_by_the_formula(fields, inputs, hidden):
    try:
        cell = LSTMVariant(name="any", **fields)
    except ok.UsageError:
        assert (
            (fields["forget_gate"] == "coupled" and not fields["input_gate"])
            or (
                fields["gate_recurrence"]
                and (not fields["input_gate"] or not fields["output_gate"] or fields["forget_gate"] != "own")
            )
            or (
                fields["peepholes"]
                and not (fields["input_gate"] or fields["output_gate"] or fields["forget_gate"] == "own")
            )
        )
        return
    blocks, peepholes = len(cell.blocks), len(cell.peephole_gates)
    expected = blocks * (hidden * inputs + hidden**2 + hidden) + peepholes * hidden
    expected += 9 * hidden**2 if cell.gate_recurrence else 0
    assert cell.parameter_count(input_size=inputs, hidden_size=hidden) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"forget_gate": "coupled", "input_gate": False}, ["coupled", "input gate"]),
        ({"gate_recurrence": True, "output_gate": False}, ["gate_recurrence", "output_gate=True"]),
        ({"input_gate": False, "forget_gate": "none", "output_gate": False}, ["peepholes=False"]),
        ({"fgr_output_peephole": "previous"}, ["misprint", "gate_recurrence=True"]),
        ({"forget_gate": "shared"}, ["forget_gate", "'shared'", "'own'"]),
        ({"peepholes": 1}, ["peepholes", "True"]),
        ({"gate": "sigmoid"}, ["no field", "gate_activation"]),
    ],
)
def test_the_impossible_is_refused_with_the_remedy(changes, words):
    with pytest.raises(ok.UsageError) as error:
        VANILLA.replace(name="mine", **changes)
    assert all(word in str(error.value) for word in words)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ok.UsageError, match=r"'GRU'.*CIFG"):
        ok.variant("GRU")


@given(st.sampled_from(sorted(VARIANTS)))
def test_a_variant_comes_back_from_its_data(name):
    cell = VARIANTS[name]
    assert LSTMVariant(**cell.to_dict()).to_dict() == cell.to_dict()


def test_repr_shows_what_is_not_vanilla():
    assert repr(ok.variant("CIFG")) == "LSTMVariant(name='CIFG', forget_gate='coupled')"


@pytest.mark.parametrize("name", VARIANTS)
def test_equations_name_exactly_the_weights_that_exist(name):
    cell = VARIANTS[name]
    text = " ".join(cell.latex())
    for block in ("z", "i", "f", "o"):
        assert (rf"\mathbf{{W}}_{block}" in text) == (block in cell.blocks)
        assert (rf"\mathbf{{p}}_{block}" in text) == (block in cell.peephole_gates)
    for a, b in itertools.product("ifo", repeat=2):
        assert (rf"\mathbf{{R}}_{{{a}{b}}}" in text) == cell.gate_recurrence
