"""Made-up studies in which the truth about a claim is known. No network was trained for them.

A trial's metric is a law of its hyperparameters plus the effect of its cell plus noise; validation sees the same
law with noise of its own. tests/test_claims_decide.py says on
which table a rule must say reproduced, contradicted and undecided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import odyssey_kit as ok
from odyssey_kit.analysis.claims import Claim, Evidence, conventions
from odyssey_kit.analysis.trials import Trials

EIGHT = ("CIFG", "FGR", "NP", "NOG", "NIAF", "NIG", "NFG", "NOAF")
WIDE = ok.SearchSpace({**dict(ok.ODYSSEY_SPACE.items()), "learning_rate": ok.LogUniform(low=1e-6, high=1.0)})
Law = Callable[[pd.DataFrame], np.ndarray]


def valley(drawn: pd.DataFrame, *, at: float = -3.0, depth: float = 0.3) -> np.ndarray:
    """Return a parabola in the log rate."""
    return 8.6 + depth * (drawn["log_rate"] - at) ** 2


def table(
    cells: Mapping[str, float] | Iterable[str],
    *,
    task: str = "jsb-chorales",
    n: int = 200,
    law: Law = valley,
    spread: float = 0.02,
    seed: int = 0,
    space: ok.SearchSpace = ok.ODYSSEY_SPACE,
    study: str = "made-up",
    change: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Return trials of some cells, each with an effect added to the law; `change` may alter a cell's rows."""
    effects = dict(cells) if isinstance(cells, Mapping) else dict.fromkeys(cells, 0.0)
    frames = []
    for name, effect in effects.items():
        words = f"{study}{task}{name}{seed}"
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big"))
        units = rng.random((n, len(space)))
        drawn = pd.DataFrame([space.from_unit(u) for u in units]).add_prefix("params_")
        drawn["log_rate"] = np.log10(drawn["params_learning_rate"])
        level = np.asarray(law(drawn), float) + effect
        own, valid, test = rng.standard_normal((3, n)) * spread * np.array([[0.5], [0.6], [0.6]])
        frame = drawn.assign(
            key=[hashlib.sha256(f"{words}{i}".encode()).hexdigest()[:16] for i in range(n)],
            study=study,
            task=task,
            variant=name,
            index=np.arange(n),
            state="COMPLETE",
            metric="made-up",
            best_epoch=pd.array(rng.integers(20, 150, n), dtype="Int64"),
            epochs=150,
            updates=150 * 229,
            seconds=30 * (drawn["params_hidden_size"] / 60) ** 0.9 * np.exp(0.05 * rng.standard_normal(n)),
            train_loss=level,
            valid_metric=level + own + valid,
            test_metric=level + own + test,
            max_abs_output=0.9 + 0.05 * rng.random(n),
        )
        frames.append(change(frame, rng) if change else frame)
    return pd.concat(frames, ignore_index=True)


def selected(
    effects: Mapping[str, float], *, agreement: float, seed: int, task: str = "jsb-chorales", n: int = 200
) -> pd.DataFrame:
    """Return trials as a random search gives them: a skewed level, and validation that predicts test more or less.

    All cells have the same law, and each its effect.
    """
    rng = np.random.default_rng([seed, int(1000 * agreement)])
    frames = []
    for name, effect in effects.items():
        level = 8.5 + 0.35 * rng.gamma(1.5, 1.0, n) + effect
        valid, test = level + 0.06 * np.sqrt(1 - agreement) * rng.standard_normal((2, n))
        rows = {
            "key": [f"{seed}{name}{i}" for i in range(n)],
            "study": "made-up",
            "task": task,
            "variant": name,
            "index": range(n),
            "state": "COMPLETE",
            "metric": "made-up",
            "valid_metric": valid,
            "test_metric": test,
            **{f"params_{p}": 1.0 for p in ("learning_rate", "hidden_size", "momentum", "input_noise_std")},
        }
        frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)


def study(name: str, frame: pd.DataFrame, *, paired: bool = False, space: Any = None, curves: Any = None) -> Trials:
    """Return a table as a published study."""
    trials = Trials.from_frame(frame.assign(study=name), name=name, space=space or ok.ODYSSEY_SPACE)
    counts = {"planned": len(frame)}
    return Trials(
        name=name,
        frame=trials.frame,
        curves=curves,
        space=trials.space,
        study={"study": {"paired": paired}, "counts": counts},
        hash="00000000",
    )


def evidence(claim: Claim, frame: pd.DataFrame | Mapping[str, pd.DataFrame], **options: Any) -> Evidence:
    """Return the first study of a claim with these trials; or several studies, by name."""
    frames = {claim.studies[0]: frame} if isinstance(frame, pd.DataFrame) else frame
    return Evidence(studies={name: study(name, rows, **options) for name, rows in frames.items()})


def holds(wrong: int, times: int, nominal: float) -> bool:
    """Tell whether so many errors are compatible with the nominal level, one-sided at one in a thousand."""
    return bool(stats.binom.sf(wrong - 1, times, nominal) > 0.001)


def tasks_of(claim: Claim) -> list[str]:
    """Return the tasks of a claim's roles: the paper's own where its studies have them, else the stand-ins."""
    studied = {conventions().studies[name].task for name in claim.studies}
    return [name for name, task in conventions().tasks.items() if task.role in claim.roles and name in studied]


def first_task(claim: Claim) -> str:
    """Return the task of a claim's first study."""
    return conventions().studies[claim.studies[0]].task


def on_each(claim: Claim, make: Callable[..., pd.DataFrame], **options: Any) -> Evidence:
    """Return one study a task of the claim, each made by the same maker."""
    found = {}
    for name in claim.studies:
        task = conventions().studies[name].task
        if task in tasks_of(claim):
            found[name] = study(name, make(task=task, study=name, **options))
    return Evidence(studies=found)


# ---- cells -----------------------------------------------------------------------------------


def cells_of(claim: Claim) -> tuple[str, list[str]]:
    settings = claim.settings
    return settings.get("baseline", "V"), list(settings.get("variants", []))


def contrasts(claim: Claim, *, effect: float, spread: float, law: Law = valley, n: int = 200) -> Evidence:
    baseline, variants = cells_of(claim)
    endings = claim.settings.get("outputs", [""])
    effects = {baseline: 0.0, **dict.fromkeys(variants, effect)}
    cells = {name + ending: value for ending in endings for name, value in effects.items()}
    if "enough" in claim.settings:
        return on_each(claim, table, cells=cells, spread=spread, law=law, n=n)
    return evidence(claim, table(cells, task=first_task(claim), spread=spread, law=law, n=n))


def flat(drawn: pd.DataFrame) -> np.ndarray:
    return np.full(len(drawn), 8.6)


def unequal(claim: Claim, sign: float, size: float = 2.0) -> Evidence:
    return contrasts(claim, effect=sign * size, spread=0.3, law=flat)


def hardly_known(claim: Claim) -> Evidence:
    """Few trials and much noise, and a small difference."""
    sign = claim.settings.get("sign", -1)
    above = claim.settings.get("above", 0.0)
    return contrasts(claim, effect=sign * (0.02 + above), spread=0.3, law=flat, n=100)


# ---- trials of vanilla ----------------------------------------------------------------------


def vanilla(claim: Claim, law: Law, *, spread: float = 0.05, n: int = 200, **options: Any) -> Evidence:
    return evidence(claim, table(["V"], task=first_task(claim), law=law, spread=spread, n=n, **options))


def shares(**weights: float) -> Law:
    """Return a law whose shares of variance are the squares of the weights; unit axes, orthonormal terms."""

    def law(drawn: pd.DataFrame) -> np.ndarray:
        space = ok.ODYSSEY_SPACE
        unit = {
            name: np.sqrt(3) * (2 * np.array([space[name].to_unit(v) for v in drawn[f"params_{name}"]]) - 1)
            for name in space
        }
        short = {"r": "learning_rate", "h": "hidden_size", "m": "momentum", "i": "input_noise_std"}
        total = np.zeros(len(drawn))
        for term, share in weights.items():
            total += np.sqrt(share) * np.prod([unit[short[letter]] for letter in term], axis=0)
        return 10 + total

    return law


def hinge(drawn: pd.DataFrame, *, low: float, high: float, split: float = 0.5) -> np.ndarray:
    noise = drawn["params_input_noise_std"]
    return 8.6 + low * np.minimum(noise, split) + high * np.maximum(noise - split, 0)


def by_rate(drawn: pd.DataFrame, *, below: float, above: float) -> np.ndarray:
    noise = drawn["params_input_noise_std"]
    return 9 + np.where(drawn["params_learning_rate"] < 1e-4, below, above) * noise


def by_size(drawn: pd.DataFrame, *, first: float, last: float) -> np.ndarray:
    size = drawn["params_hidden_size"]
    return 9 + first * np.minimum(size, 60) + last * (np.maximum(size, 120) - 120)


def dip(drawn: pd.DataFrame, *, depth: float) -> np.ndarray:
    noise = drawn["params_input_noise_std"]
    return 30 + depth * ((noise >= 0.2) & (noise < 0.5))


def plateau(drawn: pd.DataFrame, *, width: float, at: float = -3.5) -> np.ndarray:
    return 8.6 + np.maximum(np.abs(drawn["log_rate"] - at) - width / 2, 0)


def moving(drawn: pd.DataFrame, *, by: float) -> np.ndarray:
    size = np.log10(drawn["params_hidden_size"])
    middle = -3 - by * (size - 1.8) / 0.7
    return 8.6 + 0.4 * (drawn["log_rate"] - middle) ** 2


def epochs_by_rate(frame: pd.DataFrame, rng: np.random.Generator, *, slope: float) -> pd.DataFrame:
    pace = 80 * 10 ** (slope * (frame["log_rate"] + 3))
    return frame.assign(epochs=np.clip(pace, 2, 400).round().astype(int))


def epochs_by_noise(frame: pd.DataFrame, rng: np.random.Generator, *, slope: float) -> pd.DataFrame:
    epochs = 60 + slope * frame["params_input_noise_std"] + 8 * rng.standard_normal(len(frame))
    return frame.assign(best_epoch=pd.array(np.clip(epochs, 1, 150).round().astype(int), dtype="Int64"))


def epochs_by_momentum(frame: pd.DataFrame, rng: np.random.Generator, *, share: float) -> pd.DataFrame:
    def unit(name: str) -> np.ndarray:
        return np.array([2 * ok.ODYSSEY_SPACE[name].to_unit(v) - 1 for v in frame[f"params_{name}"]])

    epochs = 75 + 30 * (np.sqrt(1 - share) * unit("learning_rate") + np.sqrt(share) * unit("momentum"))
    return frame.assign(
        best_epoch=pd.array((epochs + rng.standard_normal(len(frame))).round().astype(int), dtype="Int64")
    )


def seconds_by_size(frame: pd.DataFrame, rng: np.random.Generator, *, power: float) -> pd.DataFrame:
    noise = np.exp(0.3 * rng.standard_normal(len(frame)))
    return frame.assign(seconds=30 * (frame["params_hidden_size"] / 60) ** power * noise)


def two_arms(
    frame: pd.DataFrame, rng: np.random.Generator, *, column: str, values: tuple, effect: float
) -> pd.DataFrame:
    chosen = rng.integers(0, 2, len(frame))
    shift = np.where(chosen == 1, effect, 0.0)
    frame = frame.assign(**{column: np.array(values, dtype=object)[chosen]})
    return frame.assign(**{name: frame[name] + shift for name in ("valid_metric", "test_metric")})


def diverge(frame: pd.DataFrame, rng: np.random.Generator, *, chance: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
    lost = rng.random(len(frame)) < np.asarray(chance(frame))
    frame = frame.copy()
    frame.loc[lost, "state"] = "DIVERGED"
    frame.loc[lost, ["valid_metric", "test_metric"]] = np.nan
    frame.loc[lost, "epochs"] = 1
    return frame
