"""Made-up studies for the report's claims (B1 to B27), in which the truth is known. No network was trained for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import made_up_claims as made
import numpy as np
import pandas as pd

from odyssey_kit.analysis.claims import Claim, Evidence


def ceiling(claim: Claim, *, width: float, n: int = 660, seed: int = 0) -> Evidence:
    def chance(rows: pd.DataFrame) -> Any:
        return 1 / (1 + np.exp(-(rows["log_rate"] + 3.5) * 4.39 / width))

    frame = made.table(["LSTM"], task="mnist", n=n, seed=seed, change=partial(made.diverge, chance=chance))
    return made.evidence(claim, frame)


def scaling(claim: Claim, exponent: float, spread: float = 0.05, seed: int = 0) -> Evidence:
    def law(drawn: pd.DataFrame) -> np.ndarray:
        middle = -3 + exponent * (np.log10(1 - drawn["params_momentum"]) + 1)
        return np.exp(0.2 * (drawn["log_rate"] - middle) ** 2)

    return made.evidence(claim, made.table(["LSTM"], task="mnist", n=427, law=law, spread=spread, seed=seed))


def apart(claim: Claim, decades: float, spread: float, seed: int = 0) -> Evidence:
    frames = []
    for i, name in enumerate(claim.settings["conditions"]):
        law = partial(made.valley, at=-4.5 + decades * i / 5)
        frames.append(made.table([name], task="mnist", n=100, law=law, spread=spread, seed=seed))
    return made.evidence(claim, pd.concat(frames, ignore_index=True))


def cells(claim: Claim, effects: Mapping[str, float], *, spread: float, n: int = 200) -> Evidence:
    return made.evidence(claim, made.table(effects, task=made.first_task(claim), n=n, law=made.flat, spread=spread))


def outputs(claim: Claim, logistic: float, spread: float) -> Evidence:
    return cells(claim, {"LSTM+logistic": logistic, "LSTM+softmax": 0.0}, spread=spread)


def types(claim: Claim, best: float, spread: float, other: float = 1.0) -> Evidence:
    others = dict.fromkeys(("LINLSTM", "RELULSTM", "RELU2LSTM", "RELUTANHLSTM"), other)
    effects = {"NPLSTM": best, "LSTM": 0.0, **others}
    both = {name + output: effect for output in ("+softmax", "+logistic") for name, effect in effects.items()}
    return cells(claim, both, spread=spread)


def tied(claim: Claim) -> Evidence:
    """Return NPLSTM and LSTM with the very same numbers: which is the best is a toss of a coin in each resample."""
    one = types(claim, 0.0, 0.3).studies[claim.studies[0]].frame
    for output in ("+softmax", "+logistic"):
        same = [one["variant"].eq(name + output).to_numpy() for name in ("NPLSTM", "LSTM")]
        for name in ("valid_metric", "test_metric"):
            one.loc[same[0], name] = one.loc[same[1], name].to_numpy()
    return made.evidence(claim, one)


def targets(claim: Claim, best: float, spread: float) -> Evidence:
    effects = {**dict.fromkeys(claim.settings["best"], best), **dict.fromkeys(claim.settings["others"], 0.0)}
    return cells(claim, effects, spread=spread)


def directions(claim: Claim, effect: float, spread: float) -> Evidence:
    placed = claim.settings["least"]["cells"]["digits"]
    return cells(claim, {name: effect * name.startswith("BIDI") for name in placed}, spread=spread, n=600)


def binned(claim: Claim, effect: float, spread: float) -> Evidence:
    name, bins = claim.settings["parameter"], claim.settings["bins"]

    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        if name == "momentum":
            values = 1 - np.exp(rng.uniform(np.log(0.01), 0, len(frame)))
        else:
            values = np.exp(rng.uniform(np.log(bins[0]), np.log(bins[-1]), len(frame))).round()
        frame = frame.assign(**{f"params_{name}": values})
        shift = np.where(values >= bins[-2], effect, 0.0)
        return frame.assign(**{metric: frame[metric] + shift for metric in ("valid_metric", "test_metric")})

    settings = {"task": "mnist", "law": made.flat, "n": 4000, "spread": spread, "change": change}
    names = claim.settings.get("each", claim.studies)
    return made.evidence(claim, {name: made.table(["LSTM"], study=name, **settings) for name in names})


def slow(claim: Claim, factor: float, rests: bool, *, noise: float = 0.0, seed: int = 0) -> Evidence:
    first = made.table(["LSTM+logistic", "LSTM+softmax"], task=made.first_task(claim), n=30, law=made.flat)
    rng, rows = np.random.default_rng(seed), []
    for trial in first.itertuples():
        slow = trial.variant == "LSTM+logistic"
        steps = np.arange(1, 201) * 1000.0
        fall = np.exp(-steps / (30_000 * (factor if slow else 1.0) * np.exp(noise * rng.standard_normal())))
        if rests and slow:
            fall = np.repeat([0.95, 0.7, 0.35, 0.05], 50) + 1e-4 * np.sin(np.arange(200))
        values = 100 * fall * np.exp(0.01 * (trial.index - 15) / 15)
        rows.append(pd.DataFrame({"key": trial.key, "epoch": range(1, 201), "updates": steps, "valid_metric": values}))
    return made.evidence(claim, first, curves=pd.concat(rows, ignore_index=True))


def mass(claim: Claim, ratio: float, noise: float, seed: int = 0) -> Evidence:
    cells = [*claim.settings["ctc"], *claim.settings["fixed"]]
    frame = made.table(cells, task="mnist", law=made.flat)
    rng = np.random.default_rng(seed)
    level = np.where(frame["variant"].isin(claim.settings["fixed"]), 1.0, ratio)
    return made.evidence(claim, frame.assign(target_mass=level * np.exp(noise * rng.standard_normal(len(frame)))))


def errors(claim: Claim, level: float) -> Evidence:
    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        return frame.assign(
            valid_metric=frame["valid_metric"] - 8.6 + level, test_metric=frame["test_metric"] - 8.6 + level
        )

    frame = made.table(["LSTM"], task="mnist", law=made.flat, spread=0.02, change=change)
    return made.evidence(claim, with_seeds(frame, 3) if "seeds" in claim.settings else frame)


def with_seeds(frame: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """Return the first settings, each several times with other noise."""
    rng = np.random.default_rng(0)
    repeated = pd.concat([frame.head(50)] * seeds, ignore_index=True)
    noise = 0.01 * rng.standard_normal(len(repeated))
    return repeated.assign(
        index=range(len(repeated)),
        key=[f"s{i}" for i in range(len(repeated))],
        test_metric=repeated["test_metric"] + noise,
    )


def _bowl(drawn: pd.DataFrame) -> np.ndarray:
    return np.exp(0.4 * (drawn["log_rate"] + 3) ** 2 + 0.5 * np.log10(drawn["params_hidden_size"]))


def smooth_deviation() -> float:
    """Return the standard deviation of the log error in the region that converges, without noise."""
    values = np.log(made.table(["LSTM"], task="mnist", law=_bowl, spread=0.0, n=20_000)["test_metric"])
    return float(values[values < (values.min() + values.max()) / 2].std())


def smooth(claim: Claim, *, noise: float, seed: int = 0) -> Evidence:
    """Return settings whose log error is a parabola with noise, fifty of them with three seeds."""
    frame = made.table(["LSTM"], task="mnist", law=_bowl, spread=0.0, n=200, seed=seed)
    rng = np.random.default_rng(seed)
    both = pd.concat([frame, *[frame.head(50)] * 2], ignore_index=True)
    level = both["test_metric"] * np.exp(noise * rng.standard_normal(len(both)))
    keys = [f"k{i}" for i in range(len(both))]
    rows = both.assign(valid_metric=level, test_metric=level, index=range(len(both)), key=keys)
    return made.evidence(claim, rows)


def trainings(claim: Claim, *, improve: float, overtrained: bool = False, seed: int = 0) -> Evidence:
    frame = made.table(["LSTM"], task="mnist", n=660, law=made.flat)
    frame["params_learning_rate"] = np.where(frame.index < 60, 1e-6, frame["params_learning_rate"])
    frame["params_hidden_size"] = np.where(frame.index < 60, 200, frame["params_hidden_size"])
    frame["train_loss"] = np.where(frame.index < 60, 0.0 if overtrained else 5.0, 1.0)
    improves, rows = np.random.default_rng(seed).random(60) < improve, []
    for i, key in enumerate(frame["key"].head(60)):
        falls = np.linspace(9, 5, 30) if improves[i] else np.concatenate([np.linspace(9, 5, 9), np.full(21, 6.0)])
        loss = np.full(30, 0.0 if overtrained else 5.0)
        rows.append(pd.DataFrame({"key": key, "epoch": range(1, 31), "test_metric": falls, "train_loss": loss}))
    curves = pd.concat(rows, ignore_index=True).assign(valid_metric=lambda c: c["test_metric"], updates=0)
    return made.evidence(claim, frame, curves=curves)


def bands(claim: Claim, share: float, seed: int = 0) -> Evidence:
    def chance(rows: pd.DataFrame) -> Any:
        return np.where(rows["log_rate"] > -3, share, 0.0)

    variants = claim.settings["variants"]
    change = partial(made.diverge, chance=chance)
    return made.evidence(claim, made.table(variants, task="mnist", n=200, seed=seed, change=change))


def repeats(claim: Claim, *, seeds_sd: float, settings: int = 50, seed: int = 0) -> Evidence:
    frame = made.table(["LSTM"], task="mnist", n=settings, law=made.valley, spread=0.0, seed=seed)
    rng = np.random.default_rng(seed)
    every = pd.concat([frame] * 5, ignore_index=True)
    noise = seeds_sd * rng.standard_normal(len(every))
    keys = [f"r{i}" for i in range(len(every))]
    return made.evidence(
        claim, every.assign(test_metric=every["test_metric"] + noise, index=range(len(every)), key=keys)
    )


def long(
    claim: Claim,
    *,
    rise: float,
    n: int = 120,
    order: float = -0.5,
    lowest: float = 1e6,
    train: float = 1.0,
    jitter: float = 0.0,
    seed: int = 0,
) -> Evidence:
    """Return trainings that turn at `lowest` × (rate / 10⁻⁴)^order steps; shares of them rise, in training too."""
    frame = made.table(["LSTM"], task="archiscribe-lines", n=n, law=made.flat, seed=seed)
    rng = np.random.default_rng(seed)
    rises, trains = rng.random(n) < rise, rng.random(n) < train
    rows = []
    for i, (key, rate) in enumerate(zip(frame["key"], frame["params_learning_rate"], strict=True)):
        steps = np.linspace(0, 3.2e6, 201)[1:]
        turn = lowest * (rate / 1e-4) ** order * np.exp(jitter * rng.standard_normal())
        turn = float(np.clip(turn, 1e5, 2.6e6))
        bowl = 8 + 20 * np.exp(-steps / 5e4) + np.where(steps > turn, (steps - turn) / 2e5, 0.0) * rises[i]
        bowl += np.where(steps < turn, (turn - steps) / 1e6, 0.0)
        loss = bowl if trains[i] else np.linspace(9, 1, 200)
        noise = 0.01 * rng.standard_normal((2, 200))
        metrics = {"valid_metric": bowl, "test_metric": bowl + noise[0], "train_loss": loss + noise[1]}
        rows.append(pd.DataFrame({"key": key, "epoch": np.arange(1, 201), "updates": steps, **metrics}))
    return made.evidence(claim, frame, curves=pd.concat(rows, ignore_index=True))
