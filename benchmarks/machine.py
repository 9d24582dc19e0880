"""What any benchmark needs: the machine and its roofs, one thread, contenders that take turns, the table.

Imported before all else by the scripts beside it, because libraries read the number of threads once.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

# Before numpy, torch and numba load their libraries.
os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")), "1"))

import numba
import numpy as np
import torch
from tqdm import tqdm

from odyssey_kit.engine.parameters import aligned_zeros
from odyssey_kit.variants import LSTMVariant

__all__ = [
    "Roof",
    "Row",
    "Run",
    "agree",
    "as_markdown",
    "as_table",
    "cpu_seconds",
    "describe",
    "floor_seconds",
    "listed",
    "ratio",
    "short",
    "take_turns",
]

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "torch", "jax")
_GEMM = 1024
_BUDGET = 0.3  # CPU seconds of a contender in a round
Run = Callable[[int], float]
Rates = dict[str, list[float]]
torch.set_num_threads(1)


def describe() -> dict[str, Any]:
    """Return processor, cores, caches, versions and load, as plain data; what the system does not tell is left out."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "caches": _caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **_versions()},
        "threads": 1,
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    if hasattr(os, "getloadavg"):
        facts["load average at the start"] = [round(load, 2) for load in os.getloadavg()]
    return {name: fact for name, fact in facts.items() if fact}


def as_markdown(facts: dict[str, Any]) -> str:
    """Return a description as a list."""

    def text(fact: Any) -> str:
        if isinstance(fact, dict):
            return ", ".join(f"{name} {value}" for name, value in fact.items())
        return ", ".join(map(str, fact)) if isinstance(fact, list) else str(fact)

    return "\n".join(f"- {name}: {text(fact)}" for name, fact in facts.items())


def _processor() -> str:
    try:
        names = re.findall(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


# ---- the roofs -----------------------------------------------------------------------------------


@numba.njit(nogil=True)
def _read(words, times):
    """Read an array again and again; OR has a latency of one cycle, so that reading is all that takes time."""
    total = np.int64(0)
    for n in range(times):
        bits = np.int64(0)
        for j in range(words.size):
            bits |= words[j]
        total ^= bits + n
    return total


class Roof:
    """What bounds the kernels: reading the recurrent weights, and multiplying matrices.

    Parameters
    ----------
    R_bytes : int
        Size of the array that is read. Below 160 kB it is read as if it had that size: the floor is
        defined with the rate of the second-level cache for networks of all sizes.
    """

    def __init__(self, R_bytes: int) -> None:
        numbers = aligned_zeros(max(R_bytes, 160_000) // 4, np.float32)
        # Pages that were never written are all one page of zeros, which the first-level cache holds.
        numbers[:] = np.random.default_rng(0).standard_normal(len(numbers))
        words = numbers[: len(numbers) // 2 * 2].view(np.int64)
        A, B = (np.random.default_rng(k).standard_normal((_GEMM, _GEMM), dtype=np.float32) for k in (1, 2))
        out = np.empty_like(A)
        tensors = [torch.from_numpy(array) for array in (A, B, out)]
        self._reads = (lambda: _read(words, 200), 200 * words.nbytes)
        self._products: tuple[tuple[Callable[[], Any], int], ...] = (
            (lambda: np.matmul(A, B, out=out), 2 * _GEMM**3),
            (lambda: torch.mm(tensors[0], tensors[1], out=tensors[2]), 2 * _GEMM**3),
        )
        self.measure()

    def measure(self, repeats: int = 5) -> tuple[float, float]:
        """Return bytes and floating-point operations a second of CPU time, the best of some repeats each."""
        return _best_rate(*self._reads, repeats), max(_best_rate(*route, repeats) for route in self._products)


def _best_rate(run: Callable[[], Any], work: int, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return work / min(seconds)


def floor_seconds(
    cell: LSTMVariant, *, inputs: int, hidden: int, outputs: int, steps: int, bandwidth: float, flops: float
) -> float:
    """Return the least time of one training step of a sequence of so many steps, at batch 1, in float32.

    It is two reads of the recurrent weights, all products that do not wait for the step before (inputs,
    output layer, weight gradients), and five passes over the parameters a sequence. Functions of single
    numbers are left out, so that it cannot be reached.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> sizes = dict(inputs=88, hidden=100, outputs=88, steps=60)
    >>> round(1e6 * floor_seconds(ok.variant("V"), **sizes, bandwidth=97e9, flops=132e9), 2)
    5.66
    """
    columns = len(cell.blocks) * hidden
    gates = 3 * hidden if cell.gate_recurrence else 0
    recurrent = hidden * columns + gates * gates
    products = 2 * inputs * columns + recurrent + 3 * hidden * outputs
    parameters = cell.parameter_count(input_size=inputs, hidden_size=hidden, output_size=outputs)
    return 4 * (2 * recurrent + 5 * parameters / steps) / bandwidth + 2 * products / flops


# ---- taking turns --------------------------------------------------------------------------------


def cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def agree(runs: Mapping[str, Run], tolerance: float = 1e-3) -> None:
    """Train one unit with every contender, and stop if their losses say that they do different things."""
    losses = {name: run(1) for name, run in runs.items()}
    first = next(iter(losses.values()))
    if not all(abs(loss - first) <= tolerance * abs(first) for loss in losses.values()):
        raise SystemExit(f"contenders do not compute the same thing, their first losses are {losses}")


def take_turns(
    name: str,
    runs: Mapping[str, Run],
    work: float,
    rounds: int,
    each_round: Callable[[], None] = lambda: None,
) -> Rates:
    """Return work a CPU second of every contender in every round, for so much work in a unit."""
    units = {}
    for contender, run in runs.items():
        run(1)
        units[contender] = max(1, round(_BUDGET / max(cpu_seconds(lambda run=run: run(1)), 1e-9)))
    rates: Rates = {contender: [] for contender in runs}
    for _ in tqdm(range(rounds), desc=name, unit="round", leave=False):
        each_round()
        for contender, run in runs.items():
            n = units[contender]
            rates[contender].append(n * work / cpu_seconds(lambda run=run, n=n: run(n)))
    return rates


def ratio(ours: list[float], rival: list[float]) -> float:
    return median(a / b for a, b in zip(ours, rival, strict=True))


def short(rate: float) -> str:
    return f"{rate / 1e3:.1f}k" if rate >= 1000 else f"{rate:.0f}"


def listed(rates: Rates, names: Iterable[str], unit: str = "") -> str:
    return "; ".join(f"{name} {short(median(rates[name]))}{unit}" for name in names if name in rates)


# ---- the table -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; `measured` has the numbers of every round."""

    workload: str
    ours: str
    rivals: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

    def cells(self) -> tuple[str, ...]:
        """Return the cells as they are printed."""
        verdict = {True: "yes", False: "**no**", None: "–"}[self.met]
        return self.workload, self.ours, self.rivals or "–", self.ratio or "–", self.goal or "–", verdict


def as_table(rows: list[Row]) -> str:
    lines = [("workload", "ours", "rivals", "ratio", "goal", "met?"), ("---",) * 6, *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
