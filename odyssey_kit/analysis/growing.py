"""The forest of a functional ANOVA: trees on unit coordinates, and which rows each of them saw.

Trees are scikit-learn's. They are drawn here and not by its forest, because repeated configurations
must be left out together, and because small trees cost less than the forest's bookkeeping. May
import numpy, scikit-learn, `space` and `analysis.forest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor

from odyssey_kit.analysis.forest import LeafBoxes, forest_boxes
from odyssey_kit.space import Categorical, SearchSpace

__all__ = ["Forest", "grow", "repeated"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Forest:
    """Trees, their boxes, and the rows that each did not see.

    Parameters
    ----------
    trees : tuple of DecisionTreeRegressor
        Fitted on `columns` of the unit coordinates.
    boxes : tuple of LeafBoxes
        The same trees under the uniform measure.
    blind : (rows, trees) bool array
        Which trees saw no row of the row's group.
    choices : tuple of int
        For each coordinate the number of its choices, or 0.
    """

    trees: tuple[DecisionTreeRegressor, ...]
    boxes: tuple[LeafBoxes, ...]
    blind: np.ndarray
    choices: tuple[int, ...]

    def predict(self, units: np.ndarray) -> np.ndarray:
        """Return each tree's predictions, (rows, trees)."""
        table = _columns(units, self.choices)
        return np.column_stack([tree.tree_.predict(table)[:, 0] for tree in self.trees])

    def out_of_bag_r2(self, units: np.ndarray, values: np.ndarray) -> float:
        """Return R² of predictions by trees that did not see a row; one that every tree saw is left out."""
        blind = self.blind.sum(axis=1)
        there = blind > 0
        predicted = (self.predict(units) * self.blind).sum(axis=1)[there] / blind[there]
        spread = ((values[there] - values[there].mean()) ** 2).sum()
        return float(1 - ((values[there] - predicted) ** 2).sum() / spread)


def _columns(units: np.ndarray, choices: Sequence[int]) -> np.ndarray:
    """Return what trees are fitted to: positions, and a column of zeros and ones for each choice."""
    parts = []
    for k, n in enumerate(choices):
        if n:
            chosen = np.minimum((units[:, k] * n).astype(int), n - 1)
            parts.append(chosen[:, None] == np.arange(n))
        else:
            parts.append(units[:, [k]])
    return np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)


def repeated(units: np.ndarray, space: SearchSpace) -> np.ndarray:
    """Return a group for each row: rows with the same values of all continuous hyperparameters.

    A continuous value does not repeat by chance, so equal ones were one draw: of a paired study, or
    of several runs of a configuration. In a space without any, rows repeat by chance and are their own groups.
    """
    continuous = [k for k, law in enumerate(space.values()) if law.values() is None]
    if not continuous:
        return np.arange(len(units))
    return np.unique(units[:, continuous], axis=0, return_inverse=True)[1].ravel()


def grow(
    units: np.ndarray,
    values: np.ndarray,
    group: np.ndarray,
    space: SearchSpace,
    *,
    n_trees: int,
    min_samples_leaf: int,
    max_samples: float,
    random_state: int,
) -> Forest:
    """Grow a forest, each tree on a bootstrap sample of the groups.

    Parameters
    ----------
    units, values : (rows, coordinates) and (rows,) arrays
        Positions, and what is to be explained.
    group : (rows,) int array
        Rows that are drawn together.
    space : SearchSpace
        Says which coordinates are choices.
    n_trees, min_samples_leaf : int
        Trees, and rows in a leaf at least.
    max_samples : float
        Size of a bootstrap sample, as a fraction of the groups.
    random_state : int
        Seed.
    """
    # Two choices are the two halves of one column already.
    sizes = [len(law.choices) if isinstance(law, Categorical) else 0 for law in space.values()]
    choices = tuple(n if n > 2 else 0 for n in sizes)
    rng = np.random.default_rng(random_state)
    places = np.unique(group, return_inverse=True)[1]
    n_groups = int(places.max()) + 1
    draws = max(1, round(max_samples * n_groups))
    table, column = _columns(units, choices), np.ascontiguousarray(values[:, None], dtype=float)
    blind, trees = np.empty((len(values), n_trees), dtype=bool), []
    with config_context(skip_parameter_validation=True, assume_finite=True):
        for t in range(n_trees):
            drawn = np.bincount(rng.integers(n_groups, size=draws), minlength=n_groups)[places]
            blind[:, t] = drawn == 0
            tree = DecisionTreeRegressor(min_samples_leaf=min_samples_leaf, random_state=int(rng.integers(2**31)))
            trees.append(tree.fit(table, column, sample_weight=drawn.astype(float), check_input=False))
    boxes = forest_boxes([tree.tree_ for tree in trees], choices)
    return Forest(trees=tuple(trees), boxes=tuple(boxes), blind=blind, choices=choices)
