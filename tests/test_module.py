"""`ok.LSTM` is called like torch.nn.LSTM, equals it where torch has the cell, and has true gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import odyssey_kit as ok
from odyssey_kit.engine import equations
from odyssey_kit.variants import VARIANTS

STEPS, BATCH, INPUTS, HIDDEN = 6, 3, 4, 5


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer_of(name, **settings):
    torch.manual_seed(3)
    return ok.LSTM(INPUTS, HIDDEN, variant=name, initial_weight_std=0.5, dtype=torch.float64, **settings)


def native_twin(layer):
    """Return a torch.nn.LSTM with the same weights."""
    native = torch.nn.LSTM(
        INPUTS, HIDDEN, bidirectional=layer.bidirectional, batch_first=layer.batch_first, dtype=torch.float64
    )
    weights = layer.weights()
    with torch.no_grad():
        for suffix in ("", "_reverse")[: 1 + layer.bidirectional]:
            for letter, name in (("W", "weight_ih_l0"), ("R", "weight_hh_l0"), ("b", "bias_ih_l0")):
                stacked = torch.cat([weights[f"{letter}_{k}{suffix}"] for k in "ifzo"])
                getattr(native, name + suffix).copy_(stacked)
            getattr(native, "bias_hh_l0" + suffix).zero_()
    return native


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_is_called_and_answers_like_torchs_own(bidirectional, batch_first):
    layer = layer_of("NP", bidirectional=bidirectional, batch_first=batch_first)
    native = native_twin(layer)
    directions = 1 + bidirectional
    inputs = random(*((BATCH, STEPS) if batch_first else (STEPS, BATCH)), INPUTS, seed=1)
    state = random(directions, BATCH, HIDDEN, seed=2), random(directions, BATCH, HIDDEN, seed=3)
    alone, alone_state = inputs.select(0 if batch_first else 1, 0), tuple(s[:, 0] for s in state)
    for arguments in ((inputs,), (inputs, state), (alone,), (alone, alone_state)):
        ours, (our_h, our_c) = layer(*arguments)
        theirs, (their_h, their_c) = native(*arguments)
        for one, other in ((ours, theirs), (our_h, their_h), (our_c, their_c)):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_come_back_as_torchs_do(bidirectional):
    layer = layer_of("NP", bidirectional=bidirectional)
    native = native_twin(layer)
    packed = pack_padded_sequence(random(STEPS, BATCH, INPUTS, seed=1), [2, 6, 3], enforce_sorted=False)
    state = random(1 + bidirectional, BATCH, HIDDEN, seed=2), random(1 + bidirectional, BATCH, HIDDEN, seed=3)
    ours, (our_h, our_c) = layer(packed, state)
    theirs, (their_h, their_c) = native(packed, state)
    torch.testing.assert_close(pad_packed_sequence(ours)[0], pad_packed_sequence(theirs)[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(our_h, their_h, rtol=0, atol=1e-12)
    torch.testing.assert_close(our_c, their_c, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_agree_with_finite_differences(name):
    layer = layer_of(name, bidirectional=True)
    inputs, h0, c0 = random(3, 2, INPUTS), random(2, 2, HIDDEN, seed=1), random(2, 2, HIDDEN, seed=2)

    def run(inputs, h0, c0, theta):
        output, (h_n, c_n) = torch.func.functional_call(layer, {"theta": theta}, (inputs, (h0, c0)))
        return output, h_n, c_n

    # gradcheck would also move the room between arrays, which belongs to no weight; it has no effect.
    arguments = [tensor.requires_grad_() for tensor in (inputs, h0, c0)]
    assert torch.autograd.gradcheck(run, [*arguments, layer.theta], fast_mode=True)


@pytest.mark.parametrize("gradient", ["full", "carousel"])
def test_padding_and_batch_order_are_invisible(gradient):
    layer = layer_of("V", bidirectional=True, gradient=gradient)
    padded, lengths = random(STEPS, BATCH, INPUTS, seed=1), [2, 6, 3]
    together, _ = layer(pack_padded_sequence(padded, lengths, enforce_sorted=False))
    together, _ = pad_packed_sequence(together)
    for s, length in enumerate(lengths):
        alone, _ = layer(padded[:length, s])
        torch.testing.assert_close(together[:length, s], alone, rtol=0, atol=1e-14)


def test_the_second_direction_reads_from_the_end():
    layer = layer_of("V", bidirectional=True)
    inputs = random(STEPS, BATCH, INPUTS, seed=1)
    output, _ = layer(inputs)
    weights = {name.removesuffix("_reverse"): w for name, w in layer.weights().items() if name.endswith("_reverse")}
    backwards = equations.lstm(ok.variant("V"), weights, inputs.flip(0)).outputs.flip(0)
    torch.testing.assert_close(output[..., HIDDEN:], backwards, rtol=0, atol=1e-12)


def test_other_devices_take_the_equations():
    # No accelerator is assumed here: the same method that other devices use, called on the CPU.
    layer = layer_of("FGR", bidirectional=True)
    packed = pack_padded_sequence(random(STEPS, BATCH, INPUTS, seed=1), [2, 6, 3], enforce_sorted=False)
    compiled, (h_n, c_n) = layer(packed)
    layer._by_kernels = layer._by_equations
    looped, (loop_h, loop_c) = layer(packed)
    for one, other in ((compiled.data, looped.data), (h_n, loop_h), (c_n, loop_c)):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_weights_are_named_views_that_can_be_loaded():
    one, other = layer_of("CIFG", bidirectional=True), ok.LSTM(INPUTS, HIDDEN, "CIFG", True, dtype=torch.float64)
    assert set(other.weights()) == {
        name + suffix for name in ok.variant("CIFG").weight_shapes(INPUTS, HIDDEN) for suffix in ("", "_reverse")
    }
    other.load_weights(one.weights())
    inputs = random(STEPS, BATCH, INPUTS)
    assert torch.equal(one(inputs)[0], other(inputs)[0])
    with torch.no_grad():
        other.weights()["R_z"][0, 0] += 1.0
    assert not torch.equal(one(inputs)[0], other(inputs)[0])


def test_it_learns_inside_an_ordinary_torch_network():
    torch.manual_seed(0)
    layer, head = ok.LSTM(1, 8, "CIFG"), torch.nn.Linear(8, 1)
    bits = (torch.rand(12, 64, 1) < 0.5).float()
    target = (bits.sum(0) % 2).squeeze(1)
    inputs, target = bits[:3], (bits[:3].sum(0) % 2).squeeze(1)  # parity of three bits
    optimiser = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    for _ in range(300):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(layer(inputs)[0][-1]).squeeze(1), target)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1
    room = layer.layout.size - layer.layout.parameter_count
    assert (layer.theta == 0).sum() >= room  # the room between arrays was never moved


PACKED = torch.nn.utils.rnn.pack_sequence([torch.zeros(2, 3), torch.zeros(4, 3)], enforce_sorted=False)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ok.LSTM(0, 3), "input_size=0"),
        (lambda: ok.LSTM("5", 4), "input_size='5', hidden_size=4; expected whole numbers"),
        (lambda: ok.LSTM(3, 3)([[0.0] * 3]), "got list, expected a tensor"),
        (lambda: ok.LSTM(3, 3, gradient="none"), "'full' or 'carousel'"),
        (lambda: ok.LSTM(3, 3, dtype=torch.float16), "float32 or torch.float64"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4, 2, 5)), "got 5 features"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4, 2, 3, dtype=torch.float64)), "torch.float64, expected 3 features"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4)), r"got a tensor of shape \(4,\), expected"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4, 2, 3), (torch.zeros(1, 1, 3),) * 2), r"each \(1, 2, 3\)"),
        (
            lambda: ok.LSTM(3, 3)(torch.zeros(4, 2, 3), (torch.zeros(1, 2, 3).double(),) * 2),
            "of torch.float64, expected",
        ),
        (lambda: ok.LSTM(3, 3)(PACKED, (torch.zeros(1, 5, 3),) * 2), r"\(1, 5, 3\).*each \(1, 2, 3\)"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(0, 2, 3)), "0 time steps of 2 sequences"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4, 0, 3)), "4 time steps of 0 sequences"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4, 2, 3), torch.zeros(2, 2, 3)), "got Tensor as states, expected a pair"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4, 2, 3), (None, None)), "got tuple as states, expected a pair"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4, 3), (torch.zeros(1, 1, 3),) * 2), r"\(1, 1, 3\).*each \(1, 3\)"),
        (lambda: ok.LSTM(3, 3).half()(torch.zeros(4, 2, 3).half()), "weights are torch.float16, expected float32"),
        (lambda: ok.LSTM(3, 3)(torch.zeros(4, 2, 3, device="meta")), "inputs on meta and weights on cpu"),
        (lambda: ok.LSTM(3, 3).load_weights([1, 2]), "got list, expected names and values"),
        (lambda: ok.LSTM(3, 3).load_weights({"W_z": torch.zeros(3, 3)}), "missing"),
        (
            lambda: (lambda m: m.load_weights({**m.weights(), "b_z": torch.zeros(4)}))(ok.LSTM(3, 3)),
            r"b_z has shape \(4,\), expected \(3,\)",
        ),
    ],
)
def test_errors_say_what_was_got_and_expected(call, words):
    with pytest.raises(ok.UsageError, match=words):
        call()


def test_its_arguments_are_called_as_torchs_are():
    layer, inputs = layer_of("NP"), random(STEPS, BATCH, INPUTS)
    state = (random(1, BATCH, HIDDEN), random(1, BATCH, HIDDEN))
    ours, theirs = layer(input=inputs, hx=state)[0], native_twin(layer)(input=inputs, hx=state)[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_the_weights_of_one_cell_load_into_no_other_of_the_same_size():
    torch.manual_seed(0)
    saved, other = ok.LSTM(4, 3, variant="NIG"), ok.LSTM(4, 3, variant="NFG")
    assert saved.theta.shape == other.theta.shape
    before = other.theta.clone()
    with pytest.raises(RuntimeError, match=r"weights of another cell .*input_gate=False for True"):
        other.load_state_dict(saved.state_dict())
    assert torch.equal(other.theta, before), "nothing was set"
    twin = ok.LSTM(4, 3, variant=ok.variant("NIG").replace(name="mine"))
    twin.load_state_dict(saved.state_dict())
    assert torch.equal(twin.theta, saved.theta), "a name is no difference"
    whole = torch.nn.ModuleDict({"first": saved, "second": torch.nn.Linear(3, 2)})
    whole.load_state_dict(whole.state_dict())


def test_weights_are_counted_without_the_room_between_them():
    layer = ok.LSTM(4, 3, bidirectional=True)
    assert layer.parameter_count == sum(view.numel() for view in layer.weights().values())


def test_sizes_may_come_from_a_table():
    row = np.array([88, 32])  # whole numbers of numpy, as a row of trials has them
    assert ok.LSTM(row[0], row[1])(torch.zeros(2, 1, 88))[0].shape == (2, 1, 32)
