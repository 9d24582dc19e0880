r"""The LSTM and its variants, equation by equation: the definition that every faster route is held to.

A plain torch loop over time, differentiated by autograd. It is slow and stays for ever, because it
can be read beside the papers. May import torch, `variants` and `errors`.

References
----------
Greff et al. (2017), sections II-A and IV-C. Breuel (2015), section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from odyssey_kit.variants import LSTMVariant

__all__ = ["Trace", "lstm", "output_layer"]

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "linear": lambda x: x,
}


class Trace(NamedTuple):
    """What a layer computed: block outputs and cells, each (time, batch, hidden)."""

    outputs: Tensor
    cells: Tensor


def lstm(
    variant: LSTMVariant,
    weights: Mapping[str, Tensor],
    inputs: Tensor,
    initial_state: tuple[Tensor, Tensor] | None = None,
    *,
    gradient: str = "full",
) -> Trace:
    r"""Run one layer over a sequence.

    Parameters
    ----------
    variant : LSTMVariant
        The cell.
    weights : mapping of str to Tensor
        Named as in `LSTMVariant.weight_shapes`.
    inputs : Tensor
        (time, batch, features).
    initial_state : pair of Tensor, optional
        Block output and cell before the first step, each (batch, hidden); zeros by default. The
        gates before the first step, which full gate recurrence looks at, are zero.
    gradient : {"full", "carousel"}
        ``"carousel"`` is the truncated gradient of 1997: no error passes from one time step to the
        one before but along the cell itself. Forward it changes nothing.

    Returns
    -------
    Trace
        Outputs and cells, each (time, batch, hidden).

    Notes
    -----
    The equations stand in `odyssey_kit.variants`. With full gate recurrence each gate k also sees
    :math:`\sum_a R_{ak} a^{t-1}` over the activated gates a = i, f, o of the step before.

    Examples
    --------
    >>> import torch, odyssey_kit as ok
    >>> cell = ok.variant("NP")
    >>> weights = {name: torch.ones(shape) for name, shape in cell.weight_shapes(3, 2).items()}
    >>> lstm(cell, weights, torch.zeros(5, 1, 3)).outputs.shape
    torch.Size([5, 1, 2])
    """
    gate, g, h = (
        _FUNCTIONS[name] for name in (variant.gate_activation, variant.input_activation, variant.output_activation)
    )
    past: Callable[[Tensor], Tensor] = (lambda x: x.detach()) if gradient == "carousel" else (lambda x: x)
    batch, hidden = inputs.shape[1], weights["R_z"].shape[0]
    zeros = inputs.new_zeros(batch, hidden)
    y, c = initial_state if initial_state is not None else (zeros, zeros)
    gates = {a: zeros for a in variant.gates}
    output_peephole_sees_past = variant.fgr_output_peephole == "previous"

    # W x + b does not depend on time: one product for the whole sequence.
    from_input = {k: inputs @ weights[f"W_{k}"].T + weights[f"b_{k}"] for k in variant.blocks}

    def net_input(k: str, t: int, cell_seen: Tensor) -> Tensor:
        total = from_input[k][t] + past(y) @ weights[f"R_{k}"].T
        if k in variant.peephole_gates:
            total = total + weights[f"p_{k}"] * cell_seen
        if variant.gate_recurrence:
            total = total + sum(past(gates[a]) @ weights[f"R_{a}{k}"].T for a in variant.gates)
        return total

    outputs, cells = [], []
    for t in range(inputs.shape[0]):
        new = {}
        z = g(from_input["z"][t] + past(y) @ weights["R_z"].T)
        if variant.input_gate:
            new["i"] = gate(net_input("i", t, past(c)))
        if variant.forget_gate == "own":
            new["f"] = gate(net_input("f", t, past(c)))
        entering = z * new["i"] if variant.input_gate else z
        if variant.forget_gate == "own":
            kept = c * new["f"]
        elif variant.forget_gate == "coupled":
            kept = c * (1 - new["i"])
        else:
            kept = c
        previous_cell, c = c, entering + kept
        shown = h(c)
        if variant.output_gate:
            new["o"] = gate(net_input("o", t, past(previous_cell) if output_peephole_sees_past else c))
            shown = shown * new["o"]
        y, gates = shown, new
        outputs.append(y)
        cells.append(c)
    return Trace(torch.stack(outputs), torch.stack(cells))


def output_layer(weights: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
    """Return the output layer's pre-activations, (…, outputs), of block outputs (…, hidden)."""
    return hidden @ weights["W_output"].T + weights["b_output"]
