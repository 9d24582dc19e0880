"""What two hyperparameters do together beyond what each does alone, as maps.

May import `errors` and, through the model that is given, what fits forests.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.errors import UsageError

__all__ = ["cell_edges", "pair_effects"]


def pair_effects(model: Any, *, n_points: int = 15) -> pd.DataFrame:
    """Return the mean target over every pair of hyperparameters, and the part that only the pair explains.

    Parameters
    ----------
    model : FunctionalANOVA
        Fitted, to two hyperparameters or more.
    n_points : int
        Points of each side, equally spaced in quantiles, each the middle of a cell or an end.

    Returns
    -------
    pandas.DataFrame
        As the surfaces of `FunctionalANOVA.marginal`, one below the other, with ``pair`` (the names
        joined by " × ") and ``interaction``: the mean without its average along either side. Sides are
        averaged by quantile, as the search draws.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> surface = ok.known_surface("bench")
    >>> model = ok.fanova(surface.trials(60), target="loss", space=surface.space)
    >>> maps = pair_effects(model, n_points=5)
    >>> maps["pair"].unique()[:2].tolist(), len(maps)
    (['learning_rate × hidden_size', 'learning_rate × momentum'], 150)
    """
    names = model.parameters_
    if len(names) < 2:
        raise UsageError(f"the model has {len(names)} hyperparameter, expected two or more for a pair")
    parts = []
    for first, second in itertools.combinations(names, 2):
        table = model.marginal((first, second), n_points=n_points)
        grid = table.pivot_table(index="quantile_x", columns="quantile_y", values="mean", sort=True)
        values, rows, columns = grid.to_numpy(), _weights(grid.index), _weights(grid.columns)
        along = values @ columns, rows @ values
        alone = along[0][:, None] + along[1][None, :] - rows @ values @ columns
        at = grid.index.get_indexer(table["quantile_x"]), grid.columns.get_indexer(table["quantile_y"])
        parts.append(table.assign(pair=f"{first} × {second}", interaction=(values - alone)[at]))
    return pd.concat(parts, ignore_index=True)


def cell_edges(points: Any) -> list[float]:
    """Return the ends of the cells around sorted points: their middles, and the first and the last point.

    Examples
    --------
    >>> cell_edges([0.0, 0.5, 1.0])
    [0.0, 0.25, 0.75, 1.0]
    """
    places = [float(place) for place in points]
    return [places[0], *((a + b) / 2 for a, b in itertools.pairwise(places)), places[-1]]


def _weights(points: Any) -> np.ndarray:
    """Return the probability that lies nearest to each point."""
    widths = np.diff(cell_edges(points))
    return widths / widths.sum()
