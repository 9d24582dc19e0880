"""How fast the engine is: every goal, every rival, one run, one table.

    python benchmarks/engine.py [--only jsb|mnist|ctc|processes|start|noise|column] [--rounds N] [--json FILE]

**How it is measured.** One thread everywhere. All contenders of a workload take turns, round by round,
so that a machine that slows down slows all of them. Speeds are per second of the process's CPU time, except
where the table says wall time, and are medians over rounds; a ratio is the median over rounds of the
ratio within a round. So trust ratios first: on a shared machine absolute speeds drift by a third.
Contenders of a workload start from the same weights, and the run stops if their first losses differ.

**How to read the table.** *ratio* is what the goal is about: ours against the rival that the goal names, or
ours as a percentage of the floor. The floor is the time that no kernel of this kind can beat at batch 1:
two reads of the recurrent weights a step at the measured rate of the second-level cache, all other
products at the rate of the best measured 1024³ product, five passes over the parameters a sequence
(`machine.floor_seconds`); rates are taken anew in every round. The goal's eager loop is the one that one
writes first, with all blocks in one product; *hoisted* takes the products of inputs out of it, *equations* is
the definition in `odyssey_kit.engine.equations`, written to be read. *met?* says **no** where a goal is missed,
and – where there is no goal.

The JSON file holds every round of every contender. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import machine
import numpy as np
import rivals
import starting
from machine import Row, Run, agree, cpu_seconds, listed, ratio, short, take_turns
from rivals import EAGER, KEYS, STEPS, UNIT, chorale_network, chorales, train_units
from tqdm import tqdm

import odyssey_kit as ok
from odyssey_kit.training import trainer
from odyssey_kit.variants import ODYSSEY_VARIANTS

V, NP = ODYSSEY_VARIANTS["V"], ODYSSEY_VARIANTS["NP"]
# torch.nn.LSTM trains two biases for one, which shows in the losses after some updates.
TWO_BIASES = 1e-2


# ---- chorales, batch 1 ---------------------------------------------------------------------------


def jsb(rounds: int) -> list[Row]:
    rows = []
    for hidden, percent in ((32, 50), (100, 60), (200, 60)):
        rows += jsb_size(hidden, percent, rounds)
    return rows + [jsb_variant(cell, rounds) for cell in tqdm(ODYSSEY_VARIANTS.values(), desc="variants", leave=False)]


def jsb_size(hidden: int, percent: int, rounds: int) -> list[Row]:
    """Compare vanilla with the floor and all rivals, and NP with torch.nn.LSTM."""
    X, Y = chorales()
    (network, named), (plain, plain_named) = chorale_network(V, hidden), chorale_network(NP, hidden)
    vanilla = {
        "ours": train_units(network, UNIT),
        **{kind: rivals.eager(kind, V, named, X, Y, UNIT) for kind in EAGER},
        "TorchScript": rivals.torchscript(V, named, X, Y, UNIT),
    }
    jax = rivals.jax_scan(V, named, X, Y, UNIT)
    if jax is not None:
        vanilla["JAX scan+jit"] = jax
    no_peepholes = {
        "ours, NP": train_units(plain, UNIT),
        "torch.nn.LSTM": rivals.torch_module(plain_named, X, Y, UNIT),
    }
    agree(vanilla)
    agree(no_peepholes, tolerance=TWO_BIASES)
    roof, roofs = _recurrent_roof(V, hidden), []
    rates = take_turns(
        f"JSB-like, H={hidden}",
        vanilla | no_peepholes,
        UNIT * STEPS,
        rounds,
        each_round=lambda: roofs.append(roof.measure()),
    )
    floor = _floor(V, hidden, roofs)
    share, faster = 100 * ratio(rates["ours"], floor), ratio(rates["ours, NP"], rates["torch.nn.LSTM"])
    bandwidth, flops = (median(column) / 1e9 for column in zip(*roofs, strict=True))
    others = listed(rates, (*EAGER, "TorchScript", "JAX scan+jit"))
    return [
        Row(
            workload=f"JSB-like, batch 1, V, H={hidden}",
            ours=f"{short(median(rates['ours']))} steps/s",
            rivals=f"floor {short(median(floor))} (L2 {bandwidth:.0f} GB/s, GEMM {flops:.0f} GF/s); {others}"
            + ("" if jax else "; JAX is not installed"),
            ratio=f"{share:.1f} % of the floor",
            goal=f"≥ {percent} %",
            met=share >= percent,
            measured={"rates": rates, "floor": floor, "roofs": roofs},
        ),
        Row(
            workload=f"JSB-like, batch 1, NP, H={hidden}",
            ours=f"{short(median(rates['ours, NP']))} steps/s",
            rivals=listed(rates, ["torch.nn.LSTM"]),
            ratio=f"{faster:.2f} ×",
            goal="≥ 4 ×" if hidden == 100 else "",
            met=faster >= 4 if hidden == 100 else None,
        ),
    ]


def _recurrent_roof(cell: ok.LSTMVariant, hidden: int) -> machine.Roof:
    gates = 3 * hidden if cell.gate_recurrence else 0
    return machine.Roof(4 * (len(cell.blocks) * hidden**2 + gates**2))


def _floor(cell: ok.LSTMVariant, hidden: int, roofs: list[tuple[float, float]]) -> list[float]:
    """Return the steps a second that the measured roofs allow, round by round."""
    sizes = {"inputs": KEYS, "hidden": hidden, "outputs": KEYS, "steps": STEPS}
    return [1 / machine.floor_seconds(cell, **sizes, bandwidth=b, flops=f) for b, f in roofs]


def jsb_variant(cell: ok.LSTMVariant, rounds: int) -> Row:
    """Compare one variant with the eager loops, and say how much of its floor that is."""
    hidden, (X, Y) = 100, chorales()
    network, named = chorale_network(cell, hidden)
    runs = {"ours": train_units(network, UNIT)}
    runs |= {kind: rivals.eager(kind, cell, named, X, Y, UNIT) for kind in EAGER}
    agree(runs)
    roof, roofs = _recurrent_roof(cell, hidden), []
    rates = take_turns(
        f"JSB-like, {cell.name}", runs, UNIT * STEPS, rounds, each_round=lambda: roofs.append(roof.measure())
    )
    floor = _floor(cell, hidden, roofs)
    share, most = 100 * ratio(rates["ours"], floor), ratio(floor, rates["eager"])
    faster = {kind: ratio(rates["ours"], rates[kind]) for kind in EAGER}
    return Row(
        workload=f"JSB-like, batch 1, {cell.name}, H=100, against eager loops",
        ours=f"{short(median(rates['ours']))} steps/s",
        rivals=f"{listed(rates, EAGER)}; floor {short(median(floor))}, which is {most:.1f} × eager",
        ratio=", ".join(f"{times:.1f} × {kind}" for kind, times in faster.items()) + f"; {share:.1f} % of the floor",
        goal="≥ 30 × eager",
        met=faster["eager"] >= 30,
        measured={"rates": rates},
    )


# ---- mini-batches, and CTC -----------------------------------------------------------------------


def mnist(rounds: int) -> list[Row]:
    return [mnist_size(batch, hidden, rounds) for batch in (20, 100) for hidden in (50, 100, 200)]


def mnist_size(batch: int, hidden: int, rounds: int) -> Row:
    """Compare with torch.nn.LSTM on images read row by row."""
    runs, count = rivals.image_contenders(batch, hidden)
    agree(runs, tolerance=TWO_BIASES)
    rates = take_turns(f"MNIST-like, B={batch}, H={hidden}", runs, count, rounds)
    faster, goal = ratio(rates["ours"], rates["torch.nn.LSTM"]), {20: 1.3, 100: 1.0}[batch]
    return Row(
        workload=f"MNIST-like 28×28, NP, B={batch}, H={hidden}",
        ours=f"{short(median(rates['ours']))} images/s",
        rivals=listed(rates, ["torch.nn.LSTM"]),
        ratio=f"{faster:.2f} ×",
        goal=f"≥ {goal} ×",
        met=faster >= goal,
        measured={"rates": rates},
    )


def ctc(rounds: int) -> list[Row]:
    """Compare both directions with CTC on lines of about 400 frames and 40 labels."""
    runs, frames = rivals.line_contenders(hidden=100)
    agree(runs, tolerance=TWO_BIASES)
    rates = take_turns("bidirectional with CTC", runs, frames, rounds)
    faster = ratio(rates["ours"], rates["torch"])
    return [
        Row(
            workload="bidirectional, CTC, 48 inputs, T≈400, 88 classes, NP, H=100, batch 1",
            ours=f"{short(median(rates['ours']))} frames/s",
            rivals=f"torch.nn.LSTM + ctc_loss {short(median(rates['torch']))}",
            ratio=f"{faster:.2f} ×",
            goal="≥ 2 ×",
            met=faster >= 2,
            measured={"rates": rates},
        )
    ]


# ---- the real chorales ---------------------------------------------------------------------------


def _trial(spec: ok.TrialSpec, **params: float) -> trainer.Trainer:
    return trainer.Trainer(replace(spec, params={**spec.params, **params}), ok.load_dataset("jsb-chorales"))


def noise(rounds: int) -> list[Row]:
    """Compare a whole epoch of a trial with its training alone."""
    spec = next(spec for spec in ok.named_study("odyssey-jsb").plan() if spec.variant == V)
    sizes = {"hidden_size": 100, "learning_rate": 1e-3, "momentum": 0.9}
    trial, bare = _trial(spec, **sizes, input_noise_std=0.3), _trial(spec, **sizes, input_noise_std=0.0)
    order = np.arange(len(bare.data.offsets) - 1)

    def repeat(call: Callable[[], Any]) -> Run:
        def run(times: int) -> float:
            for _ in range(times):
                call()
            return 0.0

        return run

    runs = {
        "whole": repeat(trial.epoch),
        "bare": repeat(lambda: bare.network.train_epoch(order, learning_rate=1e-4, momentum=0.9)),
        "noise": repeat(lambda: trial.course.noisy(trial.data.inputs)),
        "validation": repeat(lambda: trial.valid.pooled(trial.network)),
        "test": repeat(lambda: trial.test.pooled(trial.network)),
    }
    rates = take_turns("noise and evaluation", runs, 1, rounds)
    longer, ms = ratio(rates["bare"], rates["whole"]), {name: 1e3 / median(rate) for name, rate in rates.items()}
    parts = ", ".join(f"{name} {ms[name]:.1f}" for name in ("noise", "validation", "test"))
    return [
        Row(
            workload="an epoch of JSB, V, H=100, with input noise, validation and test passes",
            ours=f"{ms['whole']:.0f} ms",
            rivals=f"training alone {ms['bare']:.0f} ms (parts: {parts} ms)",
            ratio=f"{longer:.2f} ×",
            goal="≤ 1.25 ×",
            met=longer <= 1.25,
            measured={"epochs a second": rates},
        )
    ]


def column(rounds: int) -> list[Row]:
    """Reckon the whole study from 20 of its trials, every 90th in the order of their sizes."""
    plan = sorted(
        ok.named_study("odyssey-jsb").plan(),
        key=lambda spec: spec.variant.parameter_count(
            input_size=KEYS, hidden_size=spec.params["hidden_size"], output_size=KEYS
        ),
    )
    every = len(plan) // 20
    drawn = plan[int(np.random.default_rng(5).integers(every)) :: every]
    trials, calmed = [], 0
    for spec in tqdm(drawn, desc="warm-up", unit="trial", leave=False):
        trial = _trial(spec)
        trial.epoch(), trial.epoch()
        if trial.course.state == "DIVERGED":
            # It would end at once; for an upper bound it is timed with steps of no length.
            trial, calmed = _trial(spec, learning_rate=0.0), calmed + 1
            trial.epoch()
        trials.append(trial)
    seconds = [[] for _ in trials]
    for _ in tqdm(range(rounds), desc="column", unit="round", leave=False):
        for trial, own in zip(trials, seconds, strict=True):
            own.append(cpu_seconds(lambda trial=trial: (trial.epoch(), trial.epoch())) / 2)
    epoch = [median(own) for own in seconds]
    hours = mean(epoch) * drawn[0].protocol.max_epochs * len(plan) / 3600
    names = [f"{spec.variant.name} H={spec.params['hidden_size']}" for spec in drawn]
    return [
        Row(
            workload=f"whole JSB column, {len(plan)} trials × {drawn[0].protocol.max_epochs} epochs (no early "
            f"stopping: an upper bound), from {len(drawn)} drawn specs",
            ours=f"{hours:.1f} core-hours",
            rivals=f"{1e3 * mean(epoch):.0f} ms an epoch; {calmed} diverge and are timed at rate 0",
            goal="≤ 10 core-hours",
            met=hours <= 10,
            measured={"seconds an epoch": dict(zip(names, seconds, strict=True))},
        )
    ]


def needs_chorales(workload: Callable[[int], list[Row]], name: str, rounds: int) -> list[Row]:
    try:
        return workload(rounds)
    except ok.MissingDataError as error:
        return [Row(workload=name, ours=f"not measured: {str(error).partition(' Tried:')[0]}")]


# ---- the table -----------------------------------------------------------------------------------

WORKLOADS: Mapping[str, Callable[[int], list[Row]]] = {
    "jsb": jsb,
    "mnist": mnist,
    "ctc": ctc,
    "processes": starting.processes,
    "start": starting.start,
    "noise": lambda rounds: needs_chorales(noise, "an epoch of JSB with noise and evaluation", rounds),
    "column": lambda rounds: needs_chorales(column, "whole JSB column", rounds),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the engine is: every goal, every rival, one table.")
    parser.add_argument("--only", choices=WORKLOADS, help="one workload instead of all")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every contender (default 7)")
    parser.add_argument("--json", type=Path, default=Path("runs/benchmark-engine.json"), help="file to write")
    options = parser.parse_args()
    facts, rows = machine.describe(), []
    for name in [options.only] if options.only else WORKLOADS:
        rows += WORKLOADS[name](options.rounds)
    print(f"{machine.as_markdown(facts)}\n- rounds: {options.rounds}\n\n{machine.as_table(rows)}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    report = {"machine": facts, "rounds": options.rounds, "rows": [asdict(row) for row in rows]}
    options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
