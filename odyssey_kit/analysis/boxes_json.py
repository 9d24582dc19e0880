"""A fitted functional ANOVA as compact JSON: leaf boxes, from which a page recomputes marginals and shares.

May import `analysis.forest` through the model that is given, and nothing else of the package.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

__all__ = ["FORMAT", "dumps"]

FORMAT = "odyssey-leaf-boxes/1"


def _numbers(values: Any, digits: int) -> list[float | int]:
    """Return numbers with so many significant digits, whole ones without a point."""
    rounded = (float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=float).tolist())
    return [int(value) if value == int(value) else value for value in rounded]


def _plain(value: Any) -> Any:
    """Return a cell of a frame as JSON knows it."""
    if value is None or value != value or str(value) == "<NA>":
        return None
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, (int, np.integer)) else value


def dumps(model: Any, *, n_trees: int) -> str:
    """Return the model as JSON.

    Notes
    -----
    ``trees`` holds for each tree, by hyperparameter, its ``cuts`` (quantiles without the ends 0 and
    1; of a categorical one none, its cells are its choices) and the cells ``start`` to ``stop`` of each
    leaf, and the leaves' ``value``. A leaf reaches from cut ``start`` to cut ``stop``, counted with the
    ends. A hyperparameter with finitely many values has them as ``atoms``, as quantiles, and the
    probability of each as ``mass``.
    """
    boxes = model.boxes_[:n_trees]
    categorical = [bool(n) for n in model.forest_.choices]
    importances = [
        {name: _plain(value) for name, value in row.items()}
        for row in model.importances(min(2, len(model.parameters_))).to_dict("records")
    ]
    trees = [
        {
            "cuts": [[] if c else _numbers(cuts[1:-1], 7) for c, cuts in zip(categorical, tree.cuts, strict=True)],
            "start": tree.start.T.tolist(),
            "stop": tree.stop.T.tolist(),
            "value": _numbers(tree.value + tree.mean, 6),
        }
        for tree in boxes
    ]
    measures = model._effects(None).measures
    described = {
        "format": FORMAT,
        "target": model.target,
        "parameters": [
            {
                "name": name,
                **law.to_dict(),
                **({} if m.atoms is None else {"atoms": _numbers(m.atoms, 7), "mass": _numbers(m.mass, 7)}),
            }
            for (name, law), m in zip(model.space_.items(), measures, strict=True)
        ],
        "n_trials": model.n_trials_,
        "n_trees": len(boxes),
        "of_trees": len(model.boxes_),
        "oob_r2": round(model.oob_r2_, 4),
        "total_variance": float(f"{model.total_variance_:.6g}"),
        "importances": importances,
        "trees": trees,
    }
    return json.dumps(described, separators=(",", ":"), ensure_ascii=False)
