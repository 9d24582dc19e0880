"""Made-up tables of trials in the published schema, with a known truth. No network was trained for them.

The metric is 9.5 + 0.6 f(u) + the variant's effect + noise, where u are the quantiles of learning
rate, hidden size, momentum and input noise, and f has variance one. f is written in orthonormal
Legendre polynomials, so that the shares of its variance can be read off its coefficients.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd

import odyssey_kit as ok
from odyssey_kit.analysis import write_table

NAMES = ("learning_rate", "hidden_size", "momentum", "input_noise_std")
ODYSSEY = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")

# Shares of the variance of f; everything else is zero.
TRUE_SHARES = {
    ("learning_rate",): 0.60,
    ("hidden_size",): 0.15,
    ("momentum",): 0.01,
    ("input_noise_std",): 0.10,
    ("learning_rate", "hidden_size"): 0.08,
    ("learning_rate", "input_noise_std"): 0.03,
    ("learning_rate", "hidden_size", "input_noise_std"): 0.03,
}
# Added to both metrics, in nats; variants that are not named do as well as V.
VARIANT_EFFECTS = {"NFG": 0.6, "NOAF": 1.2}


def surface(units: np.ndarray) -> np.ndarray:
    """Return f at (n, 4) quantiles, ordered as NAMES: mean zero, variance one."""
    straight = np.sqrt(3) * (2 * units - 1)
    rate, size, momentum, noise = straight.T
    valley = np.sqrt(5) * (6 * units[:, 0] ** 2 - 6 * units[:, 0] + 1)
    terms = {
        0.60: valley,
        0.15: -size,
        0.01: momentum,
        0.10: noise,
        0.08: rate * size,
    }
    value = sum(np.sqrt(share) * term for share, term in terms.items())
    return value + np.sqrt(0.03) * rate * noise + np.sqrt(0.03) * rate * size * noise


def trials(
    n_per_cell: int = 20,
    variants: tuple[str, ...] = ODYSSEY,
    seed: int = 0,
    *,
    tasks: tuple[str, ...] = ("jsb-chorales",),
    noise: float = 0.05,
    n_diverged: int = 4,
    study: str = "made-up",
) -> pd.DataFrame:
    """Return a table of trials, sorted as a published one.

    The ``n_diverged`` highest learning rates of the last variant of the first task diverged before
    their first epoch ended. A cell's rows depend on the seed and on its own names only.
    """
    cells = []
    for task, variant in itertools.product(tasks, variants):
        names = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") for name in (task, variant)]
        cells.append(_cell(study, task, variant, n_per_cell, np.random.default_rng([seed, *names]), noise))
    if n_diverged:
        _diverge(cells[len(variants) - 1], n_diverged)
    return pd.concat(cells).sort_values(["task", "variant", "index"], ignore_index=True)


def _cell(study: str, task: str, variant: str, n: int, rng: np.random.Generator, noise: float) -> pd.DataFrame:
    units = rng.random((n, len(NAMES)))
    drawn = {name: [ok.ODYSSEY_SPACE[name].from_unit(u) for u in units[:, k]] for k, name in enumerate(NAMES)}
    level = 9.5 + 0.6 * surface(units) + VARIANT_EFFECTS.get(variant, 0.0)
    valid, test = level + noise * rng.standard_normal((2, n))
    sizes = np.array(drawn["hidden_size"])
    cell = ok.variant(variant)
    layers = [cell.parameter_count(input_size=88, hidden_size=int(size)) for size in sizes]
    keys = [hashlib.sha256(f"{study}/{task}/{variant}/{i}".encode()).hexdigest()[:16] for i in range(n)]
    return pd.DataFrame(
        {
            "key": keys,
            "study": study,
            "task": task,
            "variant": variant,
            "index": np.arange(n),
            "in_prefix": True,
            "state": "COMPLETE",
            **{
                f"params_{name}": drawn[name]
                for name in ("hidden_size", "learning_rate", "momentum", "input_noise_std")
            },
            "n_parameters": np.array(layers) + 88 * (sizes + 1),
            "metric": "nll_per_frame",
            "best_epoch": pd.array([3] * n, dtype="Int64"),
            "epochs": 3,
            "updates": 3 * 229,
            "seconds": 2.0 + sizes / 50,
            "train_loss": level - 0.1,
            "valid_metric": valid,
            "test_metric": test,
            "valid_nll_sequence_mean": valid + 0.02,
            "test_nll_sequence_mean": test + 0.02,
            "valid_nll_from_silence": valid + 0.05,
            "test_nll_from_silence": test + 0.05,
            "max_abs_cell": 2.0,
            "max_abs_output": 0.8,
            "gradient_norm_max": 10.0,
            "engine": "made-up",
            "numerics": 1,
            "commit": "0" * 40,
            "versions": "{}",
            "machine": "none",
            "finished_at": "2026-01-01T00:00:00Z",
            "data_sha256": "0" * 64,
            "spec": [json.dumps({"variant": variant, "index": i}, sort_keys=True) for i in range(n)],
            "error": "",
        }
    )


_MEASURED = [
    "train_loss",
    *(f"{split}_{name}" for name in ("metric", "nll_sequence_mean", "nll_from_silence") for split in ("valid", "test")),
]


def _diverge(cell: pd.DataFrame, n: int) -> None:
    rows = cell.nlargest(n, "params_learning_rate").index
    cell.loc[rows, "state"] = "DIVERGED"
    cell.loc[rows, _MEASURED] = np.nan
    cell.loc[rows, "best_epoch"] = pd.NA
    cell.loc[rows, ["epochs", "updates"]] = [1, 40]
    cell.loc[rows, "max_abs_cell"] = 1e6


def paired(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose variants all have vanilla's draws; what they reached stays as it is."""
    parameters = [f"params_{name}" for name in NAMES]
    drawn = frame[frame["variant"].eq("V")].set_index("index")[parameters]
    return frame.drop(columns=parameters).join(drawn, on="index")[frame.columns]


def again(frame: pd.DataFrame, *, best: int = 10, seeds: int = 10, noise: float = 0.03, study: str) -> pd.DataFrame:
    """Return the best rows of each variant with new seeds: metrics move by the noise, settings stay."""
    rng = np.random.default_rng(7)
    cells = []
    for variant, cell in frame.groupby("variant"):
        rows = cell.nsmallest(best, "valid_metric")
        more = pd.concat([rows] * seeds, ignore_index=True)
        for name in ("valid_metric", "test_metric"):
            more[name] += noise * rng.standard_normal(len(more))
        keys = [f"{variant}-{index}" for index in range(len(more))]
        cells.append(more.assign(study=study, index=range(len(more)), key=keys))
    return pd.concat(cells, ignore_index=True)


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row an epoch for each trial: the metric falls towards the trial's own, or is NaN."""
    rows = []
    for trial in frame.itertuples():
        for epoch in range(1, trial.epochs + 1):
            above = 2.0 * (0.4 ** (epoch - 1) - 0.4 ** (trial.epochs - 1))
            rows.append(
                {
                    "key": trial.key,
                    "epoch": epoch,
                    "updates": trial.updates * epoch // trial.epochs,
                    "seconds": trial.seconds * epoch / trial.epochs,
                    "train_loss": trial.train_loss + above,
                    "valid_metric": trial.valid_metric + above,
                    "test_metric": trial.test_metric + above,
                    "max_abs_cell": trial.max_abs_cell,
                    "max_abs_output": trial.max_abs_output,
                    "gradient_norm_mean": trial.gradient_norm_max / 5,
                    "gradient_norm_max": trial.gradient_norm_max,
                    "saturated_gates": 0.125,
                    "is_best": trial.state == "COMPLETE" and epoch == trial.best_epoch,
                }
            )
    return pd.DataFrame(rows).sort_values(["key", "epoch"], ignore_index=True)


def write(folder: str | Path, frame: pd.DataFrame | None = None, **settings: object) -> Path:
    """Write a whole study (trials, curves, study.json, CARD.md) into a folder named as it; return the folder.

    Without a frame, `trials` makes one with the settings given.
    """
    folder = Path(folder)
    if frame is None:
        frame = trials(study=folder.name, **settings)  # type: ignore[arg-type]
    tables = {"trials.parquet": ("trials", frame), "curves.parquet": ("curves", curves(frame))}
    sums = {name: write_table(table, folder / name, kind) for name, (kind, table) in tables.items()}
    ends = frame["state"].value_counts()
    tasks, variants = list(dict.fromkeys(frame["task"])), list(dict.fromkeys(frame["variant"]))
    study = {
        "schema": 1,
        "study": {
            "name": folder.name,
            "tasks": tasks,
            "variants": [{"name": name} for name in variants],
            "space": ok.ODYSSEY_SPACE.to_dict(),
            "n_trials": len(frame) // (len(tasks) * len(variants)),
            "seed": 0,
            "paired": False,
            "protocol": {},
            "numerics": 1,
        },
        "counts": {
            "planned": len(frame),
            **{s: int(ends.get(s.upper(), 0)) for s in ("complete", "diverged", "failed")},
        },
        "sha256": sums,
        "machines": ["none"],
    }
    (folder / "study.json").write_text(json.dumps(study, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "CARD.md").write_text(
        f"# {folder.name}\n\nMade-up numbers for tests. No network was trained; nothing here is a result.\n",
        encoding="utf-8",
    )
    return folder
