"""A forest of two settings that a reader can touch: boxes, averages and shares, computed in the page.

May import `analysis` and `space`; the logic is in `toy_forest.js`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import traitlets

from odyssey_kit.analysis import FunctionalANOVA
from odyssey_kit.space import LogUniform, SearchSpace

__all__ = ["ToyForest", "toy_forest"]


class ToyForest(anywidget.AnyWidget):
    """Three small trees on a square, in a notebook and in a static page alike.

    A click on a box raises its value; the two ends narrow the space; the shares follow.
    """

    _esm = Path(__file__).with_name("toy_forest.js")
    forest = traitlets.Dict().tag(sync=True)


def _toy_trials(n: int = 60) -> pd.DataFrame:
    """Return trials of two settings: a valley in the learning rate, deeper for large networks."""
    units = np.random.default_rng(5).random((n, 2))
    rate, size = units.T
    loss = 3 * (rate - 0.6) ** 2 - 0.35 * size * (rate > 0.35) + 0.05 * np.random.default_rng(6).standard_normal(n)
    table = {
        name: [law.from_unit(u) for u in column] for (name, law), column in zip(_SPACE.items(), units.T, strict=True)
    }
    return pd.DataFrame(table).assign(loss=loss)


_SPACE = SearchSpace(
    {"learning_rate": LogUniform(low=1e-5, high=1e-1), "hidden_size": LogUniform(low=20.0, high=200.0)}
)


def toy_forest(model: FunctionalANOVA | None = None, *, n_trees: int = 3) -> ToyForest:
    """Show a few trees of a forest of two settings, to be touched.

    Parameters
    ----------
    model : FunctionalANOVA, optional
        Fitted to two hyperparameters; by default to sixty made-up trials, with trees of about
        six boxes.
    n_trees : int
        Trees to show, the first ones.

    Returns
    -------
    ToyForest
        A widget; its logic is in its own module, so that a page without a kernel is live too.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> widget = ok.explorers.toy_forest()
    >>> len(widget.forest["trees"]), [p["name"] for p in widget.forest["parameters"]]
    (3, ['learning_rate', 'hidden_size'])
    """
    if model is None:
        model = FunctionalANOVA(
            space=_SPACE, target="loss", estimand="forest", n_trees=10, min_samples_leaf=5, random_state=2
        ).fit(_toy_trials())
    described: dict[str, Any] = json.loads(model.to_json(n_trees=n_trees))
    return ToyForest(forest={name: described[name] for name in ("parameters", "trees", "target")})
