"""What two hyperparameters do together beyond what each does alone, as maps.

May import `errors`, `space`, `analysis.measure` and, through the model that is given, what fits forests.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from odyssey_kit.analysis.measure import declared
from odyssey_kit.errors import UsageError
from odyssey_kit.space import Distribution

__all__ = ["cell_edges", "pair_effects"]


def pair_effects(model: Any, *, n_points: int = 15) -> pd.DataFrame:
    """Return the mean target over every pair of hyperparameters, and the part that only the pair explains.

    Parameters
    ----------
    model : FunctionalANOVA
        Fitted, to two hyperparameters or more.
    n_points : int
        Points of each side, equally spaced in quantiles; of an integer each value once, of choices each.

    Returns
    -------
    pandas.DataFrame
        As the surfaces of `FunctionalANOVA.marginal`, one below the other, with ``pair`` (the names
        joined by " × ") and ``interaction``: the mean without its average along either side. Sides are
        averaged as the search draws: each point weighs the probability of its cell, see `cell_edges`.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> surface = ok.known_surface("bench")
    >>> model = ok.fanova(surface.trials(60), target="loss", space=surface.space)
    >>> maps = pair_effects(model, n_points=5)
    >>> maps["pair"].unique()[:2].tolist(), len(maps)
    (['learning_rate × hidden_size', 'learning_rate × momentum'], 150)
    """
    check_is_fitted(model, "forest_")
    names = model.parameters_
    if len(names) < 2:
        raise UsageError(f"the model has {len(names)} hyperparameter, expected two or more for a pair")
    parts = []
    for first, second in itertools.combinations(names, 2):
        table = model.marginal((first, second), n_points=n_points)
        grid = table.pivot_table(index="quantile_x", columns="quantile_y", values="mean", sort=True)
        values = grid.to_numpy()
        rows, columns = (
            np.diff(cell_edges(model.space_[name], places))
            for name, places in ((first, grid.index), (second, grid.columns))
        )
        along = values @ columns, rows @ values
        alone = along[0][:, None] + along[1][None, :] - rows @ values @ columns
        at = grid.index.get_indexer(table["quantile_x"]), grid.columns.get_indexer(table["quantile_y"])
        parts.append(table.assign(pair=f"{first} × {second}", interaction=(values - alone)[at]))
    return pd.concat(parts, ignore_index=True)


def cell_edges(law: Distribution, points: Any) -> list[float]:
    """Return the ends of the cells around points, as probabilities of the search up to there, from 0 to 1.

    What lies between two points belongs to the nearer one.

    Parameters
    ----------
    law : Distribution
        Of the hyperparameter.
    points : sequence of float
        Sorted positions, those of `Distribution.to_unit`; of choices all.

    Examples
    --------
    >>> from odyssey_kit.space import Categorical, Uniform
    >>> cell_edges(Uniform(low=0, high=8), [0.0, 0.5, 1.0])
    [0.0, 0.25, 0.75, 1.0]
    >>> cell_edges(Categorical(choices=("a", "b", "c", "d")), [0.125, 0.375, 0.625, 0.875])
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    places = np.asarray(points, dtype=float)
    between = declared(law).cumulative((places[1:] + places[:-1]) / 2)
    return [0.0, *between.tolist(), 1.0]
