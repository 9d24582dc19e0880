r"""optuna-fast-fanova against our sums, on one forest and in one process. Not part of any automatic run.

The package is discontinued and needs old libraries (numpy < 2, scikit-learn 1.2), so it gets an
environment of its own, which cannot import this package whole; the three files of sums are loaded by path.

    python3.11 -m venv /tmp/fast && /tmp/fast/bin/pip install "numpy<2" "scikit-learn==1.2.2" "pandas<3" "cython<3.1" \\
        "setuptools<75" wheel "optuna<4" numba && /tmp/fast/bin/pip install --no-build-isolation optuna-fast-fanova
    /tmp/fast/bin/python benchmarks/fanova_fast_rival.py [TRIALS ...]
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ.update(dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")), "1"))

import numpy as np
from sklearn.ensemble import RandomForestRegressor

ROOT = Path(__file__).parents[1] / "odyssey_kit"
PAIRS = list(itertools.combinations(range(4), 2))


def _load_sums() -> Any:
    """Load `analysis.forest` and what it needs, without the package around it."""
    for name in ("odyssey_kit", "odyssey_kit.analysis"):
        module = types.ModuleType(name)
        module.__path__ = [str(ROOT if name == "odyssey_kit" else ROOT / "analysis")]
        sys.modules[name] = module
    for name in ("errors", "space", "analysis.measure", "analysis.box_kernels", "analysis.box_sums", "analysis.forest"):
        path = ROOT / f"{name.replace('.', '/')}.py"
        spec = importlib.util.spec_from_file_location(f"odyssey_kit.{name}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"odyssey_kit.{name}"] = module
        parent, _, last = f"odyssey_kit.{name}".rpartition(".")
        setattr(sys.modules[parent], last, module)
        spec.loader.exec_module(module)
    return sys.modules["odyssey_kit.analysis.forest"]


def _seconds(run: Callable[[], Any], repeats: int = 3) -> float:
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        taken.append(time.process_time() - begin)
    return median(taken)


def _surface(units: np.ndarray) -> np.ndarray:
    rate = units[:, 0]
    first, second = np.sqrt(3) * (2 * units - 1), np.sqrt(5) * (6 * rate * rate - 6 * rate + 1)
    return np.sqrt(0.6) * second - np.sqrt(0.15) * first[:, 1] + 0.1 * first[:, 2] + np.sqrt(0.1) * first[:, 3]


def main() -> None:
    # Their code still uses a name that numpy dropped in 1.24.
    np.__dict__["int"] = int
    from optuna_fast_fanova._fanova import FanovaTree

    forests = _load_sums()
    box = np.array([[0.0, 1.0]] * 4)
    for n in [int(n) for n in sys.argv[1:]] or [200, 1000]:
        rng = np.random.default_rng(1)
        units = rng.random((n, 4))
        values = _surface(units) + 0.3 * rng.standard_normal(n)

        def fit(units: np.ndarray = units, values: np.ndarray = values) -> RandomForestRegressor:
            return RandomForestRegressor(64, max_depth=64, random_state=1, n_jobs=1).fit(units, values)

        trees = [tree.tree_ for tree in fit().estimators_]

        def mains(trees: Any = trees) -> list[list[float]]:
            found = []
            for tree in trees:
                rival = FanovaTree(tree, box)
                found.append([rival.get_marginal_variance(np.array([k])) / rival.variance for k in range(4)])
            return found

        def ours(trees: Any = trees) -> list[list[float]]:
            boxes = forests.forest_boxes(trees, [0] * 4)
            return [[b.closed_variance((k,)) / b.variance for k in range(4)] for b in boxes]

        some = trees[:2]

        def pairs(trees: Any = some) -> list[float]:
            rivals = [FanovaTree(tree, box) for tree in trees]
            return [r.get_marginal_variance(np.array(p)) / r.variance for r in rivals for p in PAIRS]

        def our_pairs(trees: Any = trees) -> list[float]:
            boxes = forests.forest_boxes(trees, [0] * 4)
            return [b.closed_variance(p) / b.variance for b in boxes for p in PAIRS]

        our_pairs()
        apart = float(np.max(np.abs(np.array(mains()) - np.array(ours()))))
        fitted, rival, mine = _seconds(fit), _seconds(mains, 1), _seconds(ours)
        rival_pairs, my_pairs = _seconds(pairs, 1) * len(trees) / len(some), _seconds(our_pairs)
        print(
            f"n={n}: fit {fitted:.3f} s; mains: theirs {rival:.3f} s ({rival / fitted:.2f} × fit), ours {mine:.4f} s "
            f"({mine / fitted:.3f} × fit), {rival / mine:.0f} ×; 6 pairs: theirs {rival_pairs:.1f} s "
            f"({len(some)} trees, scaled), ours {my_pairs:.4f} s, {rival_pairs / my_pairs:,.0f} ×; "
            f"largest difference of a share {apart:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
