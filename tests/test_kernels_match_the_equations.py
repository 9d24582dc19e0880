"""The compiled time loop equals the equations: outputs and every gradient, for every variant, by named weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import odyssey_kit as ok
from odyssey_kit.engine import equations
from odyssey_kit.engine.epoch import pack_batch
from odyssey_kit.engine.kernels import flags_of, sequence_backward, sequence_forward
from odyssey_kit.engine.parameters import Layout
from odyssey_kit.variants import ACTIVATIONS, VARIANTS, LSTMVariant

AS_PRINTED = VARIANTS["FGR"].replace(name="FGR-printed", fgr_output_peephole="previous")


class Case:
    """One layer on a few sequences of different lengths, with non-zero initial states, run both ways."""

    def __init__(self, cell, *, lengths, gradient="full", dtype=np.float64, inputs=5, hidden=11, seed=0):
        rng = np.random.default_rng(seed)
        self.cell, self.gradient, self.lengths = cell, gradient, np.array(lengths)
        self.layout = Layout(variant=cell, input_size=inputs, hidden_size=hidden)
        self.theta = self.layout.spread((0.4 * rng.standard_normal(self.layout.parameter_count)).astype(dtype))
        self.offsets = np.concatenate(([0], np.cumsum(lengths)))
        rows = self.offsets[-1]
        self.inputs = rng.standard_normal((rows, inputs)).astype(dtype)
        self.error = rng.standard_normal((rows, hidden)).astype(dtype)
        self.y0 = rng.standard_normal((len(lengths), hidden)).astype(dtype)
        self.c0 = rng.standard_normal((len(lengths), hidden)).astype(dtype)

    def by_equations(self):
        """Return outputs (frames, hidden) and gradients by name, one sequence at a time, in float64."""
        theta, inputs, y0, c0 = (
            torch.tensor(array.astype(np.float64), requires_grad=True)
            for array in (self.theta, self.inputs, self.y0, self.c0)
        )
        outputs = torch.cat(
            [
                equations.lstm(
                    self.cell,
                    self.layout.weights(theta),
                    inputs[start:stop, None],
                    (y0[s, None], c0[s, None]),
                    gradient=self.gradient,
                ).outputs[:, 0]
                for s, (start, stop) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True))
            ]
        )
        (outputs * torch.tensor(self.error)).sum().backward()
        gradients = {name: value.numpy() for name, value in self.layout.weights(theta.grad).items()}
        gradients |= {"inputs": inputs.grad.numpy(), "c0": c0.grad.numpy()}
        return outputs.detach().numpy(), gradients

    def by_kernels(self):
        """Return the same from the packed kernels."""
        B, rows = len(self.lengths), int(self.offsets[-1])
        order = np.arange(B)
        starts, where, previous, reversal = (np.empty(size, np.int64) for size in (rows + 1, rows, rows, rows))
        starts = starts[: pack_batch(self.offsets, order, starts, where, previous, reversal) + 1]
        inputs = self.inputs[where]
        W, R, b, p, Rg, _, _ = self.layout.packed(self.theta).values()
        A = inputs @ W + b
        C, Y = np.zeros((2, B + rows, R.shape[0]), A.dtype)
        C[:B], Y[:B] = self.c0[order], self.y0[order]
        S, D, dp, dC = np.zeros_like(C[:rows]), np.zeros_like(A), np.zeros_like(p), np.zeros_like(C[:B])
        flags = flags_of(self.cell, self.gradient)
        sequence_forward(flags, starts, A, R, p, Rg, C, Y, S)
        sequence_backward(flags, starts, A, R, p, Rg, C, S, self.error[where].copy(), D, dp, dC)

        gradient = np.zeros_like(self.theta)
        into = self.layout.packed(gradient)
        into["W"][:], into["R"][:], into["b"][:], into["p"][:] = inputs.T @ D, Y[previous].T @ D, D.sum(0), dp
        if self.cell.gate_recurrence:
            later, H = np.arange(rows) >= B, R.shape[0]
            into["Rg"][:, : 3 * H] = A[previous[later] - B, H : 4 * H].T @ D[later, H : 4 * H]
        gradients = dict(self.layout.weights(gradient))
        outputs, gradients["inputs"], gradients["c0"] = (
            np.empty_like(self.error),
            np.empty_like(self.inputs),
            np.empty_like(self.c0),
        )
        outputs[where], gradients["inputs"][where], gradients["c0"][order] = Y[B:], D @ W.T, dC
        return outputs, gradients


def assert_same(case, tolerance):
    outputs, gradients = case.by_kernels()
    expected_outputs, expected = case.by_equations()
    wrong = {"outputs": np.abs(outputs - expected_outputs).max() / max(1.0, np.abs(expected_outputs).max())}
    for name, value in expected.items():
        scale = max(np.abs(value).max(), 1e-30)
        wrong[name] = np.abs(gradients[name] - value).max() / scale
    wrong = {name: error for name, error in wrong.items() if not error <= tolerance}
    assert not wrong, f"{case.cell!r}, {case.gradient} gradient, lengths {case.lengths}: off by {wrong}"


@pytest.mark.parametrize("gradient", ["full", "carousel"])
@pytest.mark.parametrize("lengths", [[9], [2, 7, 9, 7]], ids=["one", "batch"])
@pytest.mark.parametrize("cell", [*VARIANTS.values(), AS_PRINTED], ids=lambda cell: cell.name)
def test_every_variant(cell, lengths, gradient):
    assert_same(Case(cell, lengths=lengths, gradient=gradient), 1e-12)


def legal_cells():
    def build(fields):
        try:
            return LSTMVariant(name="random", **fields)
        except ok.UsageError:
            return None

    functions = st.sampled_from(ACTIVATIONS)
    return (
        st.fixed_dictionaries(
            {
                "input_gate": st.booleans(),
                "forget_gate": st.sampled_from(["own", "coupled", "none"]),
                "output_gate": st.booleans(),
                "peepholes": st.booleans(),
                "gate_recurrence": st.booleans(),
                "gate_activation": functions,
                "input_activation": functions,
                "output_activation": functions,
            }
        )
        .map(build)
        .filter(lambda cell: cell is not None)
    )


@settings(max_examples=60, deadline=None)
@given(
    cell=legal_cells(),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    hidden=st.integers(1, 19),
    inputs=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_any_legal_combination_on_any_lengths(cell, lengths, hidden, inputs, seed):
    case = Case(cell, lengths=lengths, hidden=hidden, inputs=inputs, seed=seed)
    assert_same(case, 1e-10)  # unbounded functions may grow large values within six steps


@pytest.mark.parametrize("cell", VARIANTS.values(), ids=lambda cell: cell.name)
def test_single_precision_stays_within_its_bound(cell):
    # 9 steps of a ratio of polynomials with relative error 5e-7 a call, and float32 sums.
    assert_same(Case(cell, lengths=[2, 7, 9, 7], dtype=np.float32), 2e-4)


def test_a_sequence_is_the_same_alone_and_in_a_batch_to_the_bit_in_batch_one_steps():
    alone = Case(VARIANTS["V"], lengths=[9])
    outputs, _ = alone.by_kernels()
    both = Case(VARIANTS["V"], lengths=[9, 4])
    both.theta, both.y0[0], both.c0[0] = alone.theta, alone.y0[0], alone.c0[0]
    both.inputs[:9] = alone.inputs
    np.testing.assert_allclose(both.by_kernels()[0][:9], outputs, rtol=0, atol=1e-14)


def test_not_a_number_is_not_hidden():
    case = Case(VARIANTS["V"], lengths=[5], dtype=np.float32)
    case.inputs[2, 0] = np.nan
    outputs, _ = case.by_kernels()
    assert np.isfinite(outputs[:2]).all()
    assert np.isnan(outputs[2:]).all()
