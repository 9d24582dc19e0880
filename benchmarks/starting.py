"""Two processes against one, and what the first call costs with a warm cache and with none."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from statistics import median

from machine import Row, Run, ratio, short
from rivals import STEPS, UNIT, chorale_network, train_units
from tqdm import tqdm

from odyssey_kit.variants import ODYSSEY_VARIANTS

__all__ = ["processes", "start"]


@cache
def _own_run() -> Run:
    run = train_units(chorale_network(ODYSSEY_VARIANTS["V"], 100)[0], UNIT)
    run(UNIT)
    return run


def _throughput(seconds: float) -> float:
    """Return steps a second of wall time of this process."""
    run, units, start = _own_run(), 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        run(10)
        units += 10
    return units * UNIT * STEPS / (time.perf_counter() - start)


def processes(rounds: int) -> list[Row]:
    spawn = multiprocessing.get_context("spawn")
    workers = [ProcessPoolExecutor(1, mp_context=spawn) for _ in range(2)]
    alone, both = [], []
    try:
        for worker in workers:
            worker.submit(_throughput, 0.5).result()
        for k in tqdm(range(rounds), desc="two processes", unit="round", leave=False):
            alone.append(workers[k % 2].submit(_throughput, 2.0).result())
            both.append(sum(future.result() for future in [w.submit(_throughput, 2.0) for w in workers]))
    finally:
        for worker in workers:
            worker.shutdown()
    faster = ratio(both, alone)
    return [
        Row(
            workload="two processes, JSB-like, V, H=100, wall time",
            ours=f"{short(median(both))} steps/s",
            rivals=f"one process {short(median(alone))}",
            ratio=f"{faster:.2f} ×",
            goal="≥ 1.8 ×",
            met=faster >= 1.8,
            measured={"two": both, "one": alone, "cores": os.cpu_count()},
        )
    ]


_STARTS = {
    "a study's worker": "from odyssey_kit.engine.network import compile_kernels; compile_kernels()",
    "ok.LSTM": "import torch, odyssey_kit as ok; ok.LSTM(88, 32)(torch.zeros(10, 1, 88))[0].sum().backward()",
    "import torch": "import torch",
}


def _start(code: str, folder: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a fresh interpreter with that cache folder."""
    used, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "ODYSSEY_CACHE": folder})
    wall, now = time.perf_counter() - start, os.times()
    return wall, now.children_user + now.children_system - used.children_user - used.children_system


def start(rounds: int) -> list[Row]:
    rows, warm, cpu = [], {name: [] for name in _STARTS}, {name: [] for name in _STARTS}
    with tempfile.TemporaryDirectory() as above:
        folders = {name: str(Path(above) / str(k)) for k, name in enumerate(_STARTS)}
        cold = {name: _start(_STARTS[name], folders[name]) for name in tqdm(_STARTS, desc="first compile", leave=False)}
        for _ in tqdm(range(rounds), desc="start", unit="round", leave=False):
            for name, code in _STARTS.items():
                seconds = _start(code, folders[name])
                warm[name].append(seconds[0])
                cpu[name].append(seconds[1])
    for name in ("a study's worker", "ok.LSTM"):
        seconds, (first, first_cpu) = median(warm[name]), cold[name]
        rows += [
            Row(
                workload=f"import + first call, {name}, warm cache, wall time",
                ours=f"{seconds:.2f} s (CPU {median(cpu[name]):.2f} s)",
                rivals=f"import torch alone {median(warm['import torch']):.2f} s",
                goal="≤ 2 s",
                met=seconds <= 2,
                measured={"wall": warm, "cpu": cpu},
            ),
            Row(
                workload=f"first compile, {name}, empty cache, wall time, once",
                ours=f"{first:.1f} s (CPU {first_cpu:.1f} s)",
                goal="≤ 60 s",
                met=first <= 60,
                measured={"wall": first, "cpu": first_cpu},
            ),
        ]
    return rows
