"""The contenders: our network, and what one would write in torch or JAX instead, as quick as it can plainly be made.

Every one starts from the same weights, named as in the papers, and trains on the same sequences
with the same loss and Nesterov momentum. A contender is a function of a number of units of work that
does them and returns the sum of losses. The rivals' batches are laid out before the clock runs, and
their update is torch's fused one, which takes half the time of the usual one.
"""

from __future__ import annotations

import importlib.util
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import Run
from torch import Tensor

from odyssey_kit.engine import equations
from odyssey_kit.engine.losses import PLACEMENTS, place_label
from odyssey_kit.engine.network import Network, sequences
from odyssey_kit.engine.parameters import Layout
from odyssey_kit.variants import ODYSSEY_VARIANTS, LSTMVariant

__all__ = [
    "EAGER",
    "KEYS",
    "STEPS",
    "UNIT",
    "chorale_network",
    "chorales",
    "eager",
    "image_contenders",
    "jax_scan",
    "line_contenders",
    "torch_module",
    "torchscript",
    "train_units",
]

# 60 steps of 88 keys; 16 sequences are a unit of work.
STEPS, KEYS, UNIT = 60, 88, 16
LEARNING_RATE, MOMENTUM = 1e-3, 0.9
# One product of the inputs and one of past outputs a step, as one writes it first; the products of
# inputs taken out of the loop; and the definition, `odyssey_kit.engine.equations`.
EAGER = ("eager", "hoisted", "equations")
_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "linear": lambda x: x,
}


def _stepper(parameters: Iterator[Tensor] | list[Tensor], loss: Callable[[int], Tensor], unit: int) -> Run:
    """Return a run that trains on batch 0, 1, … of that loss, `unit` batches a unit of work."""
    optimiser = torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True, fused=True)

    def run(units: int) -> float:
        total = 0.0
        for k in range(units * unit):
            optimiser.zero_grad()
            value = loss(k)
            value.backward()
            optimiser.step()
            total += value.item()
        return total

    return run


def _packed(cell: LSTMVariant, weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return weights with all blocks side by side, sources as rows, as leaves of autograd."""
    parts = {
        "W": np.concatenate([weights[f"W_{k}"].T for k in cell.blocks], axis=1),
        "R": np.concatenate([weights[f"R_{k}"].T for k in cell.blocks], axis=1),
        "b": np.concatenate([weights[f"b_{k}"] for k in cell.blocks]),
        "V": weights["W_output"].T,
        "d": weights["b_output"],
    }
    parts |= {f"p_{k}": weights[f"p_{k}"] for k in cell.peephole_gates}
    if cell.gate_recurrence:
        rows = [np.concatenate([weights[f"R_{a}{k}"].T for k in cell.gates], axis=1) for a in cell.gates]
        parts["Rg"] = np.concatenate(rows)
    return {name: torch.tensor(np.ascontiguousarray(part), requires_grad=True) for name, part in parts.items()}


def _loop(cell: LSTMVariant, w: Mapping[str, Tensor], x: Tensor, *, hoisted: bool) -> Tensor:
    """Run any variant over inputs (time, inputs): the plain loop, all blocks in one product."""
    gate, g, h = (_ACTIVATIONS[name] for name in (cell.gate_activation, cell.input_activation, cell.output_activation))
    y = c = x.new_zeros(1, w["R"].shape[0])
    past = torch.cat([y] * 3, 1)
    outputs = []
    for a in torch.addmm(w["b"], x, w["W"]).split(1) if hoisted else x.split(1):
        a = a if hoisted else a @ w["W"] + w["b"]
        net = dict(zip(cell.blocks, torch.addmm(a, y, w["R"]).chunk(len(cell.blocks), 1), strict=True))
        if cell.gate_recurrence:
            for k, seen in zip(cell.gates, (past @ w["Rg"]).chunk(3, 1), strict=True):
                net[k] = net[k] + seen
        i = f = o = None
        if cell.input_gate:
            i = gate(net["i"] + w["p_i"] * c if cell.peepholes else net["i"])
        if cell.forget_gate == "own":
            f = gate(net["f"] + w["p_f"] * c if cell.peepholes else net["f"])
        elif cell.forget_gate == "coupled" and i is not None:
            f = 1 - i
        z = g(net["z"])
        c = (z if i is None else z * i) + (c if f is None else c * f)
        y = h(c)
        if cell.output_gate:
            o = gate(net["o"] + w["p_o"] * c if cell.peepholes else net["o"])
            y = y * o
        if cell.gate_recurrence and i is not None and f is not None and o is not None:
            past = torch.cat([i, f, o], 1)
        outputs.append(y)
    return torch.cat(outputs)


def _vanilla_loop(x: Tensor, W: Tensor, R: Tensor, b: Tensor, p_i: Tensor, p_f: Tensor, p_o: Tensor) -> Tensor:
    """Run vanilla over inputs (time, inputs); in the part of Python that TorchScript knows."""
    y = torch.zeros(1, R.shape[0])
    c = torch.zeros(1, R.shape[0])
    outputs = []
    for a in torch.addmm(b, x, W).split(1):
        z, i, f, o = torch.addmm(a, y, R).chunk(4, 1)
        i = torch.sigmoid(i + p_i * c)
        f = torch.sigmoid(f + p_f * c)
        c = torch.tanh(z) * i + c * f
        y = torch.tanh(c) * torch.sigmoid(o + p_o * c)
        outputs.append(y)
    return torch.cat(outputs)


# ---- what is trained -----------------------------------------------------------------------------


@cache
def chorales() -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets of 229 sequences like the chorales': 88 keys, four of them down."""
    frames = np.random.default_rng(1).random((229, STEPS + 1, KEYS)) < 4 / KEYS
    frames = frames.astype(np.float32)
    return np.ascontiguousarray(frames[:, :-1]), np.ascontiguousarray(frames[:, 1:])


def _start_of(layout: Layout) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return initial parameters of a layout, bare and by name."""
    parameters = np.random.default_rng(2).standard_normal(layout.parameter_count).astype(np.float32)
    parameters *= np.float32(0.1)
    named = layout.weights(layout.spread(parameters))
    return parameters, {name: np.array(value) for name, value in named.items()}


def train_units(network: Network, unit: int) -> Run:
    """Return our run: epochs of at most all sequences, in their order, without a pause."""
    count = len(network.data.offsets) - 1
    settings = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "mean_over_time": True}

    def run(units: int) -> float:
        order, total = np.arange(units * unit) % count, 0.0
        for start in range(0, len(order), count):
            record = network.train_epoch(order[start : start + count], mean_over_batch=True, **settings)
            total += record.loss
        # An epoch that meets a loss that is not finite ends early, which would look fast.
        if not math.isfinite(total):
            raise SystemExit("the training diverged, so that its time says nothing")
        return total

    return run


def chorale_network(cell: LSTMVariant, hidden: int) -> tuple[Network, dict[str, np.ndarray]]:
    X, Y = chorales()
    layout = Layout(variant=cell, input_size=KEYS, hidden_size=hidden, output_size=KEYS)
    parameters, named = _start_of(layout)
    offsets = np.arange(len(X) + 1) * STEPS
    return Network(layout, parameters, sequences(X.reshape(-1, KEYS), Y.reshape(-1, KEYS), offsets)), named


# ---- next-step prediction, batch 1 ---------------------------------------------------------------


def _bernoulli(X: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(X, targets, reduction="sum") / len(targets)


def eager(
    kind: str, cell: LSTMVariant, weights: Mapping[str, np.ndarray], X: np.ndarray, Y: np.ndarray, unit: int
) -> Run:
    """Return a loop over time in eager torch, one of EAGER."""
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    if kind != "equations":
        w = _packed(cell, weights)

        def loss(k: int) -> Tensor:
            k %= len(x)
            return _bernoulli(_loop(cell, w, x[k], hoisted=kind == "hoisted") @ w["V"] + w["d"], y[k])

        return _stepper(list(w.values()), loss, unit)
    named = {name: torch.tensor(value, requires_grad=True) for name, value in weights.items()}

    def oracle_loss(k: int) -> Tensor:
        k %= len(x)
        hidden = equations.lstm(cell, named, x[k][:, None]).outputs[:, 0]
        return _bernoulli(equations.output_layer(named, hidden), y[k])

    return _stepper(list(named.values()), oracle_loss, unit)


def torchscript(cell: LSTMVariant, weights: Mapping[str, np.ndarray], X: np.ndarray, Y: np.ndarray, unit: int) -> Run:
    """Return the loop over time of vanilla, compiled by TorchScript."""
    x, y, w = torch.from_numpy(X), torch.from_numpy(Y), _packed(cell, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: Any = torch.jit.script(_vanilla_loop)

    def loss(k: int) -> Tensor:
        k %= len(x)
        hidden = scripted(x[k], w["W"], w["R"], w["b"], w["p_i"], w["p_f"], w["p_o"])
        return _bernoulli(hidden @ w["V"] + w["d"], y[k])

    return _stepper(list(w.values()), loss, unit)


def _torch_layers(weights: Mapping[str, np.ndarray], directions: int = 1) -> tuple[torch.nn.LSTM, torch.nn.Linear]:
    """Return torch's layer and an output layer with the weights of variant NP."""
    hidden, inputs = weights["W_z"].shape
    lstm = torch.nn.LSTM(inputs, hidden, bidirectional=directions == 2)
    output = torch.nn.Linear(directions * hidden, len(weights["b_output"]))
    parts = {"weight": weights["W_output"], "bias": weights["b_output"]}
    output.load_state_dict({name: torch.tensor(value) for name, value in parts.items()})
    state = {}
    for end in ("", "_reverse")[:directions]:
        for theirs, ours in (("weight_ih", "W"), ("weight_hh", "R"), ("bias_ih", "b")):
            state[f"{theirs}_l0{end}"] = np.concatenate([weights[f"{ours}_{k}{end}"] for k in "ifzo"])
        state[f"bias_hh_l0{end}"] = np.zeros(4 * hidden, np.float32)
    lstm.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return lstm, output


def torch_module(weights: Mapping[str, np.ndarray], X: np.ndarray, Y: np.ndarray, unit: int) -> Run:
    """Return torch.nn.LSTM, which is the variant NP."""
    x, y = torch.from_numpy(X)[:, :, None], torch.from_numpy(Y)
    lstm, output = _torch_layers(weights)

    def loss(k: int) -> Tensor:
        k %= len(x)
        return _bernoulli(output(lstm(x[k])[0][:, 0]), y[k])

    return _stepper([*lstm.parameters(), *output.parameters()], loss, unit)


# ---- mini-batches, and CTC -----------------------------------------------------------------------


def image_contenders(batch_size: int, hidden: int) -> tuple[dict[str, Run], int]:
    """Return ours and torch.nn.LSTM on images of 28 rows, and the number of images in a unit.

    The class stands at the last step and class 0 at the others, and the loss is taken at every step.
    """
    count, rows, draw = 10 * batch_size, 28, np.random.default_rng(3)
    images = draw.random((count, rows, 28), dtype=np.float32)
    labels = np.empty((count, rows), np.int64)
    for row, label in zip(labels, draw.integers(1, 10, count), strict=True):
        place_label(row, label, PLACEMENTS.index("last"))
    layout = Layout(variant=ODYSSEY_VARIANTS["NP"], input_size=28, hidden_size=hidden, output_size=10)
    parameters, named = _start_of(layout)
    data = sequences(images.reshape(-1, 28), labels.ravel(), np.arange(count + 1) * rows)
    network = Network(layout, parameters, data, loss="cross-entropy", batch_size=batch_size)
    return {
        "ours": train_units(network, count),
        "torch.nn.LSTM": _image_module(named, images, labels, batch_size),
    }, count


def _image_module(weights: Mapping[str, np.ndarray], X: np.ndarray, labels: np.ndarray, batch_size: int) -> Run:
    """Return torch.nn.LSTM on images read row by row, a class at every step; a unit is one pass."""
    x = [torch.from_numpy(part.swapaxes(0, 1).copy()) for part in np.split(X, len(X) // batch_size)]
    y = [torch.from_numpy(part.T.ravel()) for part in np.split(labels, len(X) // batch_size)]
    lstm, output = _torch_layers(weights)

    def loss(k: int) -> Tensor:
        k %= len(x)
        return F.cross_entropy(output(lstm(x[k])[0]).flatten(0, 1), y[k], reduction="sum") / len(y[k])

    return _stepper([*lstm.parameters(), *output.parameters()], loss, len(x))


def line_contenders(hidden: int) -> tuple[dict[str, Run], int]:
    """Return ours and torch with CTC, 48 inputs and 88 classes, and the number of frames in a unit."""
    draw = np.random.default_rng(4)
    lengths, counts = draw.integers(360, 441, 8), draw.integers(35, 46, 8)
    inputs = [draw.standard_normal((length, 48), dtype=np.float32) for length in lengths]
    labels = [draw.integers(1, 88, n) for n in counts]
    layout = Layout(
        variant=ODYSSEY_VARIANTS["NP"], input_size=48, hidden_size=hidden, output_size=88, bidirectional=True
    )
    parameters, named = _start_of(layout)
    ends, label_ends = (np.concatenate(([0], np.cumsum(n))) for n in (lengths, counts))
    data = sequences(np.concatenate(inputs), np.concatenate(labels), ends, label_offsets=label_ends)
    network = Network(layout, parameters, data, loss="ctc")
    runs = {"ours": train_units(network, len(inputs)), "torch": _line_module(named, inputs, labels)}
    return runs, int(lengths.sum())


def _line_module(weights: Mapping[str, np.ndarray], X: list[np.ndarray], labels: list[np.ndarray]) -> Run:
    """Return torch.nn.LSTM in both directions with torch's CTC, batch 1; a unit is one pass."""
    x = [torch.from_numpy(part)[:, None] for part in X]
    y = [torch.from_numpy(part)[None] for part in labels]
    lstm, output = _torch_layers(weights, directions=2)

    def loss(k: int) -> Tensor:
        k %= len(x)
        logs = F.log_softmax(output(lstm(x[k])[0]), dim=2)
        lengths = (torch.tensor([len(x[k])]), torch.tensor([y[k].shape[1]]))
        return F.ctc_loss(logs, y[k], *lengths, reduction="sum") / len(x[k])

    return _stepper([*lstm.parameters(), *output.parameters()], loss, len(x))


# ---- JAX -----------------------------------------------------------------------------------------


def jax_scan(
    cell: LSTMVariant, weights: Mapping[str, np.ndarray], X: np.ndarray, Y: np.ndarray, unit: int
) -> Run | None:
    """Return vanilla as a scan over time in a scan over `unit` sequences, compiled; None without JAX."""
    if importlib.util.find_spec("jax") is None:
        return None
    # One thread, not one a core that waits for work and is charged for it.
    os.environ.setdefault("NPROC", "1")
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    def forward(w: Any, x: Any) -> Any:
        def step(state: Any, a: Any) -> Any:
            y, c = state
            z, i, f, o = jnp.split(a + y @ w["R"], 4)
            c = jnp.tanh(z) * jax.nn.sigmoid(i + w["p_i"] * c) + c * jax.nn.sigmoid(f + w["p_f"] * c)
            y = jnp.tanh(c) * jax.nn.sigmoid(o + w["p_o"] * c)
            return (y, c), y

        zero = jnp.zeros(w["R"].shape[0])
        return jax.lax.scan(step, (zero, zero), x @ w["W"] + w["b"])[1] @ w["V"] + w["d"]

    def loss(w: Any, x: Any, y: Any) -> Any:
        logits = forward(w, x)
        return (jnp.maximum(logits, 0) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits)))).sum() / len(x)

    def update(state: Any, batch: Any) -> Any:
        w, velocity = state
        value, gradient = jax.value_and_grad(loss)(w, *batch)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
        w = jax.tree.map(lambda p, v, g: p - LEARNING_RATE * (g + MOMENTUM * v), w, velocity, gradient)
        return (w, velocity), value

    train = jax.jit(lambda state, x, y: jax.lax.scan(update, state, (x, y)), donate_argnums=0)
    w = {name: jnp.array(value.detach().numpy()) for name, value in _packed(cell, weights).items()}
    state = (w, jax.tree.map(jnp.zeros_like, w))
    batches = [(jnp.array(X[k : k + unit]), jnp.array(Y[k : k + unit])) for k in range(0, len(X) - unit + 1, unit)]

    def run(units: int) -> float:
        nonlocal state
        total = 0.0
        for k in range(units):
            state, values = train(state, *batches[k % len(batches)])
            total += float(values.sum())
        return total

    return run
