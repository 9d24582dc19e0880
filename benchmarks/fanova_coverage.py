"""How often the intervals of `ok.fanova` hold the true share: simulated tables, one setting a call.

    python benchmarks/fanova_coverage.py SURFACE TRIALS NOISE DATA_SETS [--repeats R] [--out FOLDER]

Prints coverage, bias and width of every term, of differences, ranks, curves and p-values, and writes
them as JSON. The seeds begin at 90,000; no setting of the method was ever chosen on them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from odyssey_kit.analysis import curves, intervals
from odyssey_kit.analysis.forest import pool
from odyssey_kit.analysis.growing import grow, repeated
from odyssey_kit.analysis.leave_two_out import leave_two_out
from odyssey_kit.analysis.measure import measures
from odyssey_kit.analysis.surfaces import SURFACES, Surface

FIRST_SEED = 90_000
SETTINGS = {"n_trees": 500, "min_samples_leaf": 3, "max_samples": 0.5}
QUANTILES = (np.arange(10) + 0.5) / 10


def one(surface: Surface, n: int, noise: float, seed: int, repeats: int) -> dict[str, np.ndarray]:
    """Fit one data set and return everything whose coverage is counted."""
    units, values = surface.draw(n, FIRST_SEED + seed, noise, repeats)
    group = repeated(units, surface.space)
    forest = grow(units, values, group, surface.space, random_state=seed, **SETTINGS)
    laws = measures(surface.space)
    boxes = [b.under(laws) for b in forest.boxes]
    shares = intervals.Shares(leave_two_out(boxes, forest.blind, units, values, laws, group))
    low, high = shares.interval()
    mains = range(len(surface.space))
    differences = [shares.difference(i, j) for i, j in itertools.combinations(mains, 2)]
    best, worst = shares.ranks(list(mains))
    pooled, inside = pool(boxes), []
    for k in mains:
        places = laws[k].atoms if laws[k].atoms is not None and len(laws[k].atoms) <= 32 else QUANTILES
        mean, half = curves.corrected(pooled, (k,), (places,), shares.found, units, laws)
        inside.append(np.mean(np.abs(mean - surface.curve(k, places)) <= half))
    return {
        "share": shares.share,
        "low": low,
        "high": high,
        "p": shares.p_value(),
        "rest": np.array(shares.rest()),
        "differences": np.array(differences),
        "ranks": np.array([best, worst]),
        "curves": np.array(inside),
        "total": np.array(shares.total),
    }


def summary(surface: Surface, results: list[dict[str, np.ndarray]]) -> dict[str, object]:
    """Count what the intervals held."""
    table = {name: np.array([r[name] for r in results]) for name in results[0]}
    truth, d = surface.truth, len(surface.space)
    order = truth[:d]
    true_differences = [order[i] - order[j] for i, j in itertools.combinations(range(d), 2)]
    # With ties any rank between the number that are larger and the number that are not smaller is true.
    first = np.array([1 + (order > x + 1e-9).sum() for x in order])
    last = np.array([(order >= x - 1e-9).sum() for x in order])
    ranked = (table["ranks"][:, 0] <= last) & (table["ranks"][:, 1] >= first)
    nothing = truth < 1e-9
    held = (table["low"] <= truth + 1e-12) & (truth <= table["high"] + 1e-12)
    apart = table["differences"]
    return {
        "data_sets": len(results),
        "truth": truth.round(5).tolist(),
        "coverage": held.mean(axis=0).round(4).tolist(),
        "bias": (table["share"] - truth).mean(axis=0).round(5).tolist(),
        "width": (table["high"] - table["low"]).mean(axis=0).round(5).tolist(),
        "sum_of_errors": round(float(np.abs(table["share"] - truth).sum(axis=1).mean()), 5),
        "null_found": (table["p"] < 0.05).mean(axis=0)[nothing].round(4).tolist(),
        "rest_coverage": round(
            float(np.mean((table["rest"][:, 1] <= 1 - truth.sum()) & (1 - truth.sum() <= table["rest"][:, 2]))), 4
        ),
        "difference_coverage": ((apart[:, :, 1] <= true_differences) & (true_differences <= apart[:, :, 2]))
        .mean(axis=0)
        .round(4)
        .tolist(),
        "rank_coverage": ranked.mean(axis=0).round(4).tolist(),
        "curve_coverage": table["curves"].mean(axis=0).round(4).tolist(),
        "total": round(float(table["total"].mean()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surface", choices=SURFACES)
    parser.add_argument("n", type=int)
    parser.add_argument("noise", type=float)
    parser.add_argument("data_sets", type=int)
    parser.add_argument("--repeats", type=int, default=1, help="trials of each configuration")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    surface, begin = SURFACES[chosen.surface], time.process_time()
    results = [one(surface, chosen.n, chosen.noise, s, chosen.repeats) for s in range(chosen.data_sets)]
    found = {
        "surface": chosen.surface,
        "n": chosen.n,
        "noise": chosen.noise,
        "repeats": chosen.repeats,
        **summary(surface, results),
        "seconds_each": round((time.process_time() - begin) / chosen.data_sets, 3),
    }
    text = json.dumps(found)
    print(text, flush=True)
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / f"{chosen.surface}-{chosen.n}-{chosen.noise}-{chosen.repeats}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
