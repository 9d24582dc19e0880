"""How right and how fast `ok.fanova` and `ok.compare` are: one table, ratios within one run, goals beside them.

    python benchmarks/fanova.py [errors|measure|cost|time|optuna|level ...] [--json FILE]

Without a name everything runs, which takes an hour or more. Coverage of the intervals is counted by
`fanova_coverage.py`; optuna-fast-fanova, which needs an environment of its own, by `fanova_fast_rival.py`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import Row, as_markdown, as_table, cpu_seconds, describe  # first: it sets one thread
from sklearn.ensemble import RandomForestRegressor
from tqdm import tqdm

import odyssey_kit as ok
from odyssey_kit.analysis import box_sums
from odyssey_kit.analysis.contrasts import contrast
from odyssey_kit.analysis.forest import forest_boxes
from odyssey_kit.analysis.selection import Arm, redraw, variance
from odyssey_kit.analysis.surfaces import SURFACES

BENCH = SURFACES["bench"]
PAIRS = list(itertools.combinations(range(4), 2))
SUBSETS = [*((k,) for k in range(4)), *PAIRS]
# The seven terms of the published numbers: four main effects and three pairs, one of them null.
SEVEN = [SUBSETS.index(s) for s in [(0,), (1,), (2,), (3,), (0, 1), (0, 3), (1, 3)]]
NULL = SUBSETS.index((1, 3))


def _shares(model: ok.FunctionalANOVA, estimand: str) -> np.ndarray:
    table = model.importances(2, estimand=estimand).set_index("parameters")["share"]
    names = [" × ".join(model.parameters_[k] for k in subset) for subset in SUBSETS]
    return table.reindex(names).to_numpy()


def errors() -> list[Row]:
    """Analytic benchmark: mean of the summed errors over eight data sets, by estimand."""
    goals = {(200, 0.3): 0.12, (200, 1.0): 0.25, (1000, 0.3): 0.05, (1000, 1.0): 0.13}
    rows = []
    for (n, noise), goal in goals.items():
        found: dict[str, list[np.ndarray]] = {name: [] for name in ("corrected", "forest", "tree")}
        for seed in tqdm(range(8), desc=f"errors, n={n}, noise {noise}", leave=False):
            units, values = BENCH.draw(n, 100 + seed, noise)
            table = BENCH.table(units)
            corrected = ok.FunctionalANOVA(space=BENCH.space, random_state=seed).fit(table, values)
            found["corrected"].append(_shares(corrected, "corrected"))
            plain = ok.FunctionalANOVA(space=BENCH.space, random_state=seed, estimand="forest", n_trees=64)
            plain.fit(table, values)
            for name in ("forest", "tree"):
                found[name].append(_shares(plain, name))
        error = {k: float(np.abs(np.array(v) - BENCH.truth)[:, SEVEN].sum(axis=1).mean()) for k, v in found.items()}
        null = {k: float(np.mean(np.array(v)[:, NULL])) for k, v in found.items()}
        rows.append(
            Row(
                workload=f"Σ error of 7 shares, n={n}, noise sd {noise}, 8 tables",
                ours=f"corrected {error['corrected']:.3f}; forest {error['forest']:.3f}",
                rivals=f"mean over trees {error['tree']:.3f}",
                goal=f"≤ {goal:g}",
                met=error["corrected"] <= goal,
                measured={"error": error, "null pair": null},
            )
        )
        if n == 1000:
            rows.append(
                Row(
                    workload=f"null pair, true share 0, n={n}, noise sd {noise}",
                    ours=f"corrected {null['corrected']:.4f}; forest {null['forest']:.4f}",
                    rivals=f"mean over trees {null['tree']:.4f}",
                    goal="≤ .01",
                    met=abs(null["corrected"]) <= 0.01,
                )
            )
    return rows


def measure() -> list[Row]:
    """Natural units and log parameters: how far the shares are from those of the search."""
    import optuna
    from optuna.distributions import FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names, ours, theirs = list(BENCH.space), [], []
    for seed in tqdm(range(4), desc="measure", leave=False):
        units, values = BENCH.draw(200, 100 + seed, 0.3)
        table = BENCH.table(units)
        table["one_minus_momentum"] = 1 - table.pop("momentum")
        space = ok.SearchSpace(
            {
                "learning_rate": BENCH.space["learning_rate"],
                "hidden_size": BENCH.space["hidden_size"],
                "one_minus_momentum": ok.LogUniform(low=0.01, high=1.0),
                "input_noise_std": BENCH.space["input_noise_std"],
            }
        )
        ours.append(_shares(ok.FunctionalANOVA(space=space).fit(table, values), "corrected")[:4])
        laws = {
            name: FloatDistribution(float(law.low), float(law.high), log=isinstance(law, ok.LogUniform))  # type: ignore[attr-defined]
            for name, law in space.items()
        }
        study = optuna.create_study()
        for row, value in zip(table.to_dict("records"), values, strict=True):
            params = {name: float(np.clip(row[name], laws[name].low, laws[name].high)) for name in laws}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=laws, value=float(value)))  # type: ignore[arg-type]
        evaluator = FanovaImportanceEvaluator(seed=seed)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator, normalize=False)
        theirs.append([shares[name] for name in laws])
    mine, other = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    error = [float(np.abs(np.array(x) - BENCH.truth[:4]).sum(axis=1).mean()) for x in (ours, theirs)]
    return [
        Row(
            workload=f"{len(names)} mains of natural columns, true .60 .15 .01 .10, n=200, noise sd .3, 4 tables",
            ours=" ".join(f"{x:.3f}" for x in mine) + f" (Σ error {error[0]:.3f})",
            rivals="Optuna " + " ".join(f"{x:.3f}" for x in other) + f" (Σ error {error[1]:.3f})",
            goal="Σ error ≤ .12",
            met=error[0] <= 0.12,
        )
    ]


def cost() -> list[Row]:
    """Corrected shares and intervals of 11 terms, forest included, one thread."""
    goals = {200: (1.0, None), 1000: (3.0, None), 5400: (60.0, 4.0)}
    rows = []
    for n, (seconds, memory) in goals.items():
        units, values = BENCH.draw(n, 1, 0.3)
        table = BENCH.table(units)

        def run(table: Any = table, values: Any = values) -> None:
            model = ok.FunctionalANOVA(space=BENCH.space).fit(table, values)
            model._effects(None).shares.interval()

        run()
        taken = median(cpu_seconds(run) for _ in range(3))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        rows.append(
            Row(
                workload=f"corrected shares and intervals, 11 terms, {n:,} trials",
                ours=f"{taken:.2f} s" + (f", peak {peak:.2f} GB of the process" if memory else ""),
                goal=f"≤ {seconds:g} s" + (f", ≤ {memory:g} GB" if memory else ""),
                met=taken <= seconds and (memory is None or peak <= memory),
                measured={"seconds": taken, "peak GB": peak},
            )
        )
    return rows


def _forest(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, RandomForestRegressor]:
    units, values = BENCH.draw(n, seed, 0.3)
    return units, values, RandomForestRegressor(64, random_state=seed, n_jobs=1).fit(units, values)


def speed() -> list[Row]:
    """Leaf boxes, mains, pairs and curves of 64 trees, against that forest's fit by scikit-learn."""
    rows, totals = [], {}
    for n in (540, 5400):
        units, values, forest = _forest(n)
        trees = [tree.tree_ for tree in forest.estimators_]

        def effects(trees: Any = trees) -> None:
            for boxes in forest_boxes(trees, [0] * 4):
                _ = boxes.effects(SUBSETS) / boxes.variance

        def curves(trees: Any = trees) -> None:
            points = np.linspace(0, 1, 100)
            for boxes in forest_boxes(trees, [0] * 4):
                for k in range(4):
                    boxes.marginal_at(k, points)

        effects()
        fit, both, lines = [], [], []
        for _ in range(5):
            fit.append(
                cpu_seconds(lambda u=units, v=values: RandomForestRegressor(64, random_state=1, n_jobs=1).fit(u, v))
            )
            both.append(cpu_seconds(effects))
            lines.append(cpu_seconds(curves))
        totals[n] = median(both)
        if n == 5400:
            ratio = median(a / b for a, b in zip(both, fit, strict=True))
            drawn = median(a / b for a, b in zip(lines, fit, strict=True))
            rows += [
                Row(
                    workload="mains + 6 pairs, 5,400 trials × 64 trees",
                    ours=f"{median(both):.3f} s",
                    rivals=f"the forest's fit {median(fit):.3f} s",
                    ratio=f"{ratio:.2f} × the fit",
                    goal="≤ .15 ×",
                    met=ratio <= 0.15,
                ),
                Row(
                    workload="4 curves × 100 points, 5,400 trials × 64 trees",
                    ours=f"{median(lines):.3f} s",
                    rivals=f"the forest's fit {median(fit):.3f} s",
                    ratio=f"{drawn:.2f} × the fit",
                    goal="≤ .10 ×",
                    met=drawn <= 0.10,
                ),
            ]
    growth = totals[5400] / totals[540]
    rows.append(
        Row(workload="mains + pairs, from 540 to 5,400 trials", ours=f"{growth:.1f} ×", goal="≤ 15 ×", met=growth <= 15)
    )
    box_sums.use_numba(False)
    _, _, forest = _forest(1000)
    trees = [tree.tree_ for tree in forest.estimators_]
    plain = cpu_seconds(lambda: [b.effects(SUBSETS) for b in forest_boxes(trees, [0] * 4)])
    box_sums.use_numba(None)
    compiled = cpu_seconds(lambda: [b.effects(SUBSETS) for b in forest_boxes(trees, [0] * 4)])
    rows.append(
        Row(
            workload="mains + pairs, 1,000 trials × 64 trees",
            ours=f"numba {compiled:.3f} s; numpy alone {plain:.3f} s",
            ratio=f"{plain / compiled:.1f} ×",
        )
    )
    return rows


def rival() -> list[Row]:
    """Optuna's own tree evaluator on the same trees: the same numbers to 1e-12, and how long they take."""
    from optuna.importance._fanova._tree import _FanovaTree

    _, _, forest = _forest(1000)
    trees = [tree.tree_ for tree in forest.estimators_]
    box = np.array([[0.0, 1.0]] * 4)
    forest_boxes(trees, [0] * 4)[0].effects(SUBSETS)
    # Optuna's trees take minutes; some of them, scaled to 64.
    some, one = trees[:4], trees[:1]

    def theirs(trees: Any, subsets: list[tuple[int, ...]]) -> list[float]:
        found = []
        for tree in trees:
            evaluator = _FanovaTree(tree, box)
            found += [evaluator.get_marginal_variance(np.array(s)) / evaluator.variance for s in subsets]
        return found

    kept: dict[str, Any] = {}
    mains = cpu_seconds(lambda: kept.update(mains=theirs(some, SUBSETS[:4]))) * 64 / len(some)
    pair = cpu_seconds(lambda: kept.update(pair=theirs(one, [(0, 1)]))) * 64 * len(PAIRS)
    boxes = forest_boxes(trees, [0] * 4)
    ours_mains = median(
        cpu_seconds(lambda: [b.effects(SUBSETS[:4]) / b.variance for b in forest_boxes(trees, [0] * 4)])
        for _ in range(5)
    )
    ours_pairs = median(cpu_seconds(lambda: [[b.closed_variance(p) for p in PAIRS] for b in boxes]) for _ in range(5))
    mine = [b.closed_variance(s) / b.variance for b in boxes[: len(some)] for s in SUBSETS[:4]]
    apart = float(np.max(np.abs(np.array(mine) - kept["mains"])))
    apart = max(apart, abs(boxes[0].closed_variance((0, 1)) / boxes[0].variance - kept["pair"][0]))
    return [
        Row(
            workload="mains of 64 trees, 1,000 trials",
            ours=f"{ours_mains:.4f} s, boxes included",
            rivals=f"Optuna {mains:.1f} s (4 trees, scaled)",
            ratio=f"{mains / ours_mains:,.0f} ×",
            goal="≥ 100 ×",
            met=mains / ours_mains >= 100,
        ),
        Row(
            workload="6 pairs of 64 trees, 1,000 trials",
            ours=f"{ours_pairs:.4f} s",
            rivals=f"Optuna {pair:,.0f} s (1 pair of 1 tree, scaled)",
            ratio=f"{pair / ours_pairs:,.0f} ×",
            goal="≥ 500 ×",
            met=pair / ours_pairs >= 500,
        ),
        Row(workload="largest difference of these shares", ours=f"{apart:.1e}", goal="≤ 1e-12", met=apart <= 1e-12),
    ]


def _alike(rng: np.random.Generator, noise: float, kind: str) -> list[Arm]:
    """Return nine variants of one distribution, 200 trials each; noise in standard deviations of the best tenth."""
    level = rng.standard_normal((9, 200))
    level = np.exp(level) if kind == "skewed" else level
    spread = np.sort(level.ravel())[:180].std() * noise
    valid, test = level + spread * rng.standard_normal((2, 9, 200))
    return [Arm.of(t, v, top=0.10) for v, t in zip(valid, test, strict=True)]


def level(tables: int = 2_000) -> Iterator[Row]:
    """Nine variants that are all alike: how often a comparison finds one that is different."""
    for kind, noise in itertools.product(("normal", "skewed"), (3.0, 1.0, 0.0)):
        rng, found = np.random.default_rng([77, int(10 * noise), kind == "skewed"]), {"redrawn": 0, "welch": 0}
        for seed in tqdm(range(tables), desc=f"level, {kind}, noise {noise}", leave=False):
            arms = dict(zip(["V", *"ABCDEFGH"], _alike(rng, noise, kind), strict=True))
            redrawn = redraw(arms, [77, seed])
            variances = {name: variance(means) for name, means in redrawn.items()}
            p = [
                contrast(
                    arm.selected,
                    arms["V"].selected,
                    redrawn[name] - redrawn["V"],
                    variances=(variances[name], variances["V"]),
                    family=8,
                    margin=None,
                    alpha=0.05,
                )
                for name, arm in arms.items()
                if name != "V"
            ]
            # Holm finds something exactly if the smallest p-value passes Bonferroni.
            found["redrawn"] += min(row["p_selection"] for row in p) * 8 < 0.05
            found["welch"] += min(row["p"] for row in p) * 8 < 0.05
        share = {name: count / tables for name, count in found.items()}
        # Two standard errors of a share of 5 %: how far so many tables can tell. The goal is not widened by it.
        slack = 2 * (0.05 * 0.95 / tables) ** 0.5
        yield Row(
            workload=f"familywise error, best tenth of 200, {kind} metric, noise {noise:g}, {tables:,} tables",
            ours=f"redrawn and selected again {100 * share['redrawn']:.1f} %",
            rivals=f"Welch on the selected {100 * share['welch']:.1f} %",
            goal=f"4-6 % (known to ± {100 * slack:.1f})",
            met=0.04 <= share["redrawn"] <= 0.06,
            measured=share,
        )


WORKLOADS: dict[str, Callable[[], Iterable[Row]]] = {
    "errors": errors,
    "measure": measure,
    "cost": cost,
    "time": speed,
    "optuna": rival,
    "level": level,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts, rows = describe(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in chosen.workloads or WORKLOADS:
            for row in WORKLOADS[name]():
                rows.append(row)
                print(" | ".join(row.cells()), file=sys.stderr)  # hours may lie between the first and the last
    print(as_markdown(facts), "", as_table(rows), sep="\n", flush=True)
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}, indent=1, default=float) + "\n"
        )


if __name__ == "__main__":
    main()
