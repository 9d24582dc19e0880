"""Somebody's own table of trials, whose names of columns are not ours. No network was trained for it."""

from __future__ import annotations

import numpy as np
import pandas as pd


def own_table(n: int = 120) -> pd.DataFrame:
    """Return trials of two models whose names of columns are somebody's own; the loss is lowest at a rate of 0.01."""
    rng = np.random.default_rng(3)
    rate, drop = rng.choice([0.001, 0.01, 0.1], n), rng.random(n)
    model = np.where(np.arange(n) % 2, "gru", "lstm")
    loss = 1 + np.log10(rate / 0.01) ** 2 + 0.5 * drop + 0.4 * (model == "gru") + 0.05 * rng.standard_normal(n)
    columns = {"rate": rate, "drop": drop, "model": model, "draw": np.arange(n) // 2}
    return pd.DataFrame({**columns, "loss": loss, "dev": loss + 0.05 * rng.standard_normal(n)})
