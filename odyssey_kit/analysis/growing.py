"""The forest of a functional ANOVA: trees on unit coordinates, and which rows each of them saw.

Trees are scikit-learn's. They are drawn here and not by its forest, because repeated configurations
must be left out together, and because small trees cost less than the forest's bookkeeping. May
import numpy, scipy, scikit-learn, `space`, `analysis.forest` and `analysis.measure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor

from odyssey_kit.analysis.forest import LeafBoxes, forest_boxes
from odyssey_kit.analysis.measure import Measure, measures
from odyssey_kit.space import Categorical, SearchSpace

__all__ = ["Forest", "grow", "repeated"]

# Independent draws repeat so often in fewer than one of ten thousand tables.
_UNLIKELY = 1e-4


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
    """Return a group for each row: rows that were one draw of the space, of a paired study or run several times.

    A continuous value does not repeat by chance, so rows with the same values of all continuous
    hyperparameters were one draw. In a space without any, configurations repeat by chance too; they
    are taken for one draw only where they repeat more often than independent draws would. The variant
    is no part of a draw: a paired study gives each draw to all of them.
    """
    continuous = [k for k, law in enumerate(space.values()) if law.values() is None]
    drawn = continuous or [k for k, name in enumerate(space) if name != "variant"]
    same = np.unique(units[:, drawn], axis=0, return_inverse=True)[1].ravel()
    if continuous or _more_than_chance(same, [measures(space)[k] for k in drawn]):
        return same
    return np.arange(len(units))


def _more_than_chance(same: np.ndarray, laws: Sequence[Measure]) -> bool:
    """Say whether more pairs of rows are equal than independent draws of discrete laws would make.

    The number of equal pairs is a U-statistic: with p and q the probabilities that two and that three
    draws are equal, it has mean C(n,2) p and variance C(n,2) p (1 - p) + n (n-1) (n-2) (q - p²). Few
    pairs are spread like Poisson's, many like normal ones; both must find it unlikely.
    """
    n = len(same)
    p, q = (float(np.prod([(np.asarray(law.mass) ** size).sum() for law in laws])) for size in (2, 3))
    sizes, pairs = np.bincount(same), n * (n - 1) / 2
    equal, expected = float((sizes * (sizes - 1) / 2).sum()), pairs * p
    deviation = np.sqrt(max(pairs * p * (1 - p) + n * (n - 1) * (n - 2) * (q - p * p), 0.0))
    few = stats.poisson.sf(equal - 1, expected) < _UNLIKELY
    return bool(few and equal - expected > -stats.norm.ppf(_UNLIKELY) * deviation)


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
