"""The readable equations are right: they are torch.nn.LSTM where torch has one, and their gradients are true."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import odyssey_kit as ok
from odyssey_kit.engine import equations
from odyssey_kit.variants import VARIANTS

INPUTS, HIDDEN, STEPS, BATCH = 3, 4, 6, 2


def weights_of(cell, *, seed=0, scale=0.4):
    generator = torch.Generator().manual_seed(seed)
    shapes = cell.weight_shapes(INPUTS, HIDDEN)
    draw = {k: torch.randn(s, generator=generator, dtype=torch.float64) * scale for k, s in shapes.items()}
    return {k: v.requires_grad_() for k, v in draw.items()}


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_without_peepholes_it_is_torchs_own_lstm():
    weights = weights_of(ok.variant("NP"))
    native = torch.nn.LSTM(INPUTS, HIDDEN, dtype=torch.float64)
    order = "ifzo"  # torch stacks input, forget, cell, output
    with torch.no_grad():
        native.weight_ih_l0.copy_(torch.cat([weights[f"W_{k}"] for k in order]))
        native.weight_hh_l0.copy_(torch.cat([weights[f"R_{k}"] for k in order]))
        native.bias_ih_l0.copy_(torch.cat([weights[f"b_{k}"] for k in order]))
        native.bias_hh_l0.zero_()
    ours_in, native_in = random(STEPS, BATCH, INPUTS).requires_grad_(), random(STEPS, BATCH, INPUTS).requires_grad_()
    y0, c0, error = random(BATCH, HIDDEN, seed=2), random(BATCH, HIDDEN, seed=3), random(STEPS, BATCH, HIDDEN, seed=4)

    ours = equations.lstm(ok.variant("NP"), weights, ours_in, (y0, c0))
    theirs, (_, last_cell) = native(native_in, (y0[None], c0[None]))
    torch.testing.assert_close(ours.outputs, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.cells[-1], last_cell[0], rtol=0, atol=1e-12)

    (ours.outputs * error).sum().backward()
    (theirs * error).sum().backward()
    torch.testing.assert_close(ours_in.grad, native_in.grad, rtol=0, atol=1e-12)
    for letter, native_grad in (("W", native.weight_ih_l0), ("R", native.weight_hh_l0), ("b", native.bias_ih_l0)):
        stacked = torch.cat([weights[f"{letter}_{k}"].grad for k in order])
        torch.testing.assert_close(stacked, native_grad.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_agree_with_finite_differences(name):
    cell, weights = VARIANTS[name], weights_of(VARIANTS[name])
    names = list(weights)
    inputs, y0, c0 = random(STEPS, 1, INPUTS), random(1, HIDDEN, seed=2), random(1, HIDDEN, seed=3)

    def outputs(inputs, y0, c0, *values):
        return equations.lstm(cell, dict(zip(names, values, strict=True)), inputs, (y0, c0)).outputs

    arguments = [t.requires_grad_() for t in (inputs, y0, c0)] + list(weights.values())
    assert torch.autograd.gradcheck(outputs, arguments)


def test_one_step_by_hand():
    # One block, one input, all weights 1/2, x = 1, y0 = 0, c0 = 1: every number below is the definition's.
    weights = {k: torch.full(s, 0.5, dtype=torch.float64) for k, s in ok.variant("V").weight_shapes(1, 1).items()}
    state = (torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    traced = equations.lstm(ok.variant("V"), weights, torch.ones(1, 1, 1, dtype=torch.float64), state)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    z, i, f = np.tanh(0.5 + 0.5), sigmoid(0.5 + 0.5 + 0.5), sigmoid(0.5 + 0.5 + 0.5)
    c = z * i + 1.0 * f
    o = sigmoid(0.5 + 0.5 + 0.5 * c)
    assert traced.cells.item() == pytest.approx(c, abs=1e-15)
    assert traced.outputs.item() == pytest.approx(np.tanh(c) * o, abs=1e-15)


def test_an_open_carousel_keeps_its_cell():
    # No forget gate and nothing coming in: the constant error carousel, section II of the Odyssey.
    cell = ok.variant("NFG")
    weights = {k: torch.zeros(s, dtype=torch.float64) for k, s in cell.weight_shapes(INPUTS, HIDDEN).items()}
    c0 = random(1, HIDDEN)
    traced = equations.lstm(cell, weights, random(50, 1, INPUTS), (torch.zeros(1, HIDDEN, dtype=torch.float64), c0))
    assert torch.equal(traced.cells[-1], c0)


def test_the_misprint_is_another_network():
    printed = ok.variant("FGR").replace(name="FGR as printed", fgr_output_peephole="previous")
    weights = weights_of(printed)
    inputs = random(STEPS, 1, INPUTS)
    one = equations.lstm(ok.variant("FGR"), weights, inputs).outputs
    other = equations.lstm(printed, weights, inputs).outputs
    # The first cell is zero before the first step, so the peephole sees nothing there.
    assert not torch.allclose(one, other)


def test_the_truncated_gradient_changes_no_output_and_passes_only_along_the_cell():
    cell, inputs = ok.variant("V"), random(STEPS, 1, INPUTS)
    full_weights, cut_weights = weights_of(cell), weights_of(cell)
    full = equations.lstm(cell, full_weights, inputs)
    cut = equations.lstm(cell, cut_weights, inputs, gradient="carousel")
    assert torch.equal(full.outputs, cut.outputs)
    full.outputs[-1].sum().backward()
    cut.outputs[-1].sum().backward()
    assert not torch.allclose(full_weights["R_z"].grad, cut_weights["R_z"].grad)
    # With the recurrence cut and all else equal, the last step's own terms remain.
    assert cut_weights["R_o"].grad.abs().max() > 0
