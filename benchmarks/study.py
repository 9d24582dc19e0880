"""What a study costs beside its trials: the runner, the store, status; and Optuna's storages in the same run.

    python benchmarks/study.py [--quick] [--json FILE]

Every line is measured now, on this machine. Trials do nothing here, except where two workers are compared with one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from machine import Row, as_markdown, as_table, describe
from tqdm import tqdm

import odyssey_kit as ok
from odyssey_kit.search import open_for_writing, study_status
from odyssey_kit.search.runner import train_one
from odyssey_kit.training import EpochRow

CURVE = 150  # epochs in a made-up result, as most trials of the Odyssey have


def made_up(spec: ok.TrialSpec) -> ok.TrialResult:
    """Return a result of the usual size, of no work."""
    curve = tuple(
        EpochRow(
            epoch=epoch, updates=229 * epoch, seconds=0.2 * epoch, train_loss=9.0 + 1 / epoch,
            valid_metric=8.5 + 1 / epoch, test_metric=8.6 + 1 / epoch, max_abs_cell=1.5, max_abs_output=0.7,
            gradient_norm_mean=0.1, gradient_norm_max=3.0, saturated_gates=0.1, is_best=epoch == CURVE,
        )
        for epoch in range(1, CURVE + 1)
    )  # fmt: skip
    metrics = {"train_loss": 9.0, "valid_metric": 8.5, "test_metric": 8.6}
    return ok.TrialResult(
        key=spec.key, state="COMPLETE", metric="nll_per_frame", metrics=metrics, best_epoch=CURVE, curve=curve
    )


def study(trials: int) -> ok.StudySpec:
    cells = ok.named_study("odyssey-jsb").variants[:4]
    return ok.StudySpec(name="no-work", tasks=("jsb-chorales",), variants=cells, n_trials=math.ceil(trials / 4))


def seconds(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def overhead(folder: Path, trials: int) -> tuple[float, Path]:
    """Return the runner's seconds a trial over so many trials of no work, and the store."""
    of = study(trials)
    path = folder / "overhead.sqlite"
    took = seconds(
        lambda: ok.run_study(
            of, executor="local:2", path=path, results=folder / "none", progress=sys.stderr.isatty(), work=made_up
        )
    )
    return took / of.trial_count, path


def serial(folder: Path, of: ok.StudySpec) -> float:
    """Return trials a second of our whole loop in one process: plan, work, store."""
    settings = {"path": folder / "serial.sqlite", "results": folder / "none", "progress": False, "work": made_up}
    return of.trial_count / seconds(lambda: ok.run_study(of, executor="serial", **settings))


def stored(folder: Path, specs: list[ok.TrialSpec], of: ok.StudySpec) -> float:
    """Return durable results a second into our store."""
    with open_for_writing(of, folder / "stored.sqlite") as store:
        results = [(spec, made_up(spec)) for spec in specs]
        return len(specs) / seconds(lambda: [store.add(spec, result) for spec, result in results])


def optunas(storage: Any, specs: list[ok.TrialSpec]) -> float:
    """Return trials a second into a storage of Optuna: parameters, value and the curve as one attribute."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    there = optuna.create_study(storage=storage)
    curve = json.dumps(made_up(specs[0]).to_dict())

    def objective(trial: optuna.Trial) -> float:
        for name, value in specs[trial.number].params.items():
            trial.suggest_float(name, value - 1, value + 1)
        trial.set_user_attr("result", curve)
        return 8.5

    return len(specs) / seconds(lambda: there.optimize(objective, n_trials=len(specs)))


def rivals(folder: Path, specs: list[ok.TrialSpec]) -> dict[str, float]:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    return {
        "Optuna, SQLite": optunas(RDBStorage(f"sqlite:///{folder / 'optuna.db'}"), specs),
        "Optuna, journal": optunas(JournalStorage(JournalFileBackend(str(folder / "optuna.log"))), specs),
    }


def scaling(folder: Path, trials: int) -> dict[int, float]:
    """Return seconds of some real trials of first-light with one worker and with two, workers' start included."""
    base = ok.named_study("first-light")
    of = replace(base, name="scaling", n_trials=max(1, trials // len(base.variants)))
    took = {}
    for workers in (1, 2):
        path = folder / f"scaling-{workers}.sqlite"
        settings = {"path": path, "results": folder / "none", "progress": sys.stderr.isatty(), "work": train_one}
        took[workers] = seconds(lambda w=workers, s=settings: ok.run_study(of, executor=f"local:{w}", **s))
    return took


def measure(quick: bool) -> list[Row]:
    rows = []
    trials, durable = (400, 100) if quick else (10_000, 600)
    with tempfile.TemporaryDirectory(dir=os.environ.get("ODYSSEY_BENCHMARK_DIR")) as name:
        folder = Path(name)
        of = study(durable)
        specs = of.plan()[:durable]
        a_trial, store = overhead(folder, trials)
        rows.append(
            Row(
                workload=f"runner, {trials:,} trials of no work, two workers", ours=f"{1e3 * a_trial:.2f} ms a trial",
                goal="≤ 5 ms", met=a_trial <= 5e-3, measured={"seconds": a_trial},
            )
        )  # fmt: skip
        looks = [seconds(lambda: study_status(study(trials), store, folder / "none")) for _ in range(3)]
        rows.append(
            Row(
                workload=f"status of {trials:,} trials", ours=f"{median(looks):.2f} s", goal="≤ 0.3 s",
                met=median(looks) <= 0.3, measured={"seconds": looks},
            )
        )  # fmt: skip
        rate = stored(folder, specs, of)
        rows.append(
            Row(
                workload=f"{durable} durable results of {CURVE} epochs into the store", ours=f"{rate:.0f} a second",
                goal="≥ 200 a second", met=rate >= 200, measured={"ours": rate},
            )
        )  # fmt: skip
        loop, others = serial(folder, of), rivals(folder, specs)
        rows.append(
            Row(
                workload=f"{durable} trials of no work one after the other, {CURVE} epochs each",
                ours=f"{loop:.0f} a second", ratio=f"{loop / max(others.values()):.1f} ×",
                rivals="; ".join(f"{who} {their:.0f}" for who, their in others.items()),
                measured={"ours": loop, **others},
            )
        )  # fmt: skip
        took = scaling(folder, 9 if quick else 90)
        rows.append(
            Row(
                workload=f"{9 if quick else 90} trials of first-light, two workers against one",
                ours=f"{took[2]:.1f} s", rivals=f"one worker {took[1]:.1f} s", ratio=f"{took[1] / took[2]:.2f} ×",
                goal="≥ 1.8 ×", met=took[1] / took[2] >= 1.8, measured={str(n): t for n, t in took.items()},
            )
        )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials: to see that it runs")
    parser.add_argument("--json", type=Path, help="write every number here")
    options = parser.parse_args()
    facts = describe()
    with tqdm(total=1, desc="study", leave=False, disable=not sys.stderr.isatty()):
        rows = measure(options.quick)
    print(as_markdown(facts), "", as_table(rows), sep="\n")
    if options.json:
        measured = [{"workload": row.workload, "met": row.met, **row.measured} for row in rows]
        options.json.write_text(json.dumps({"machine": facts, "rows": measured}, indent=1))


if __name__ == "__main__":
    main()
