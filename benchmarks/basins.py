"""How often the intervals of `ok.find_basins` hold the true optimum and the true width of a basin.

    python benchmarks/basins.py [DATA_SETS]

Two curves over five decades of the learning rate, a valley between plains and a parabola, with noise.
The truth is the curve's own lowest point and the part of it within a tenth of its range.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from tqdm import tqdm

import odyssey_kit as ok

LOW, HIGH = -6.0, -1.0
CURVES = {
    "valley": lambda x: np.minimum(1.0, ((x + 3.2) / 1.8) ** 2),
    "parabola": lambda x: 0.5 * ((x + 3.0) / 2.0) ** 2,
}
SETTINGS = [(name, n, noise) for name in CURVES for n in (100, 200, 1000) for noise in (0.1, 0.3)]
FIRST_SEED = 50_000


def truth(name: str) -> tuple[float, float]:
    """Return log10 of the best rate, and how many decades lie within a tenth of the curve's range."""
    x = np.linspace(LOW, HIGH, 500_001)
    y = CURVES[name](x)
    return float(x[y.argmin()]), float(np.ptp(x[y <= y.min() + np.ptp(y) / 10]))


def one(name: str, n: int, noise: float, seed: int) -> pd.Series:
    """Return the basin of one simulated table."""
    rng = np.random.default_rng(FIRST_SEED + seed)
    x = rng.uniform(LOW, HIGH, n)
    loss = CURVES[name](x) + noise * rng.standard_normal(n)
    table = pd.DataFrame({"learning_rate": 10**x, "loss": loss})
    trials = ok.trials_from_table(table, test="loss", parameters=["learning_rate"])
    return ok.find_basins(trials, random_state=seed).iloc[0]


def main() -> None:
    """Print one row a setting."""
    data_sets = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    print(f"{data_sets} tables a setting\n")
    print("| curve | trials | noise | holds the optimum | holds the width | decades | estimate | its interval |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, n, noise in SETTINGS:
        optimum, decades = truth(name)
        found = pd.DataFrame([one(name, n, noise, seed) for seed in tqdm(range(data_sets), leave=False, disable=None)])
        best = found["optimum_low"].le(10**optimum) & found["optimum_high"].ge(10**optimum)
        width = found["decades_low"].le(decades) & found["decades_high"].ge(decades)
        mean, interval = found["decades"].mean(), (found["decades_high"] - found["decades_low"]).mean()
        row = (
            name,
            n,
            noise,
            f"{best.mean():.0%}",
            f"{width.mean():.0%}",
            *(f"{v:.2f}" for v in (decades, mean, interval)),
        )
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
