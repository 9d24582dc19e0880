"""Functional ANOVA: how much of a metric's variance over the search space each hyperparameter explains.

A random forest learns the metric as a function of the hyperparameters' quantiles, so that the
variance it is decomposed in is that of the random search itself. May import `errors`, `space`,
`analysis.trials`, `analysis.design` and `analysis.forest`. (The module is not called `fanova`, because importing it
would then overwrite the function of that name.)
"""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.stats import qmc
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestRegressor
from sklearn.utils.validation import check_is_fitted

from odyssey_kit.analysis.design import clean_target, unit_coordinates
from odyssey_kit.analysis.forest import leaf_boxes, out_of_bag_r2, pool
from odyssey_kit.analysis.trials import Trials, as_trials
from odyssey_kit.errors import UsageError
from odyssey_kit.space import Categorical, SearchSpace

__all__ = ["FunctionalANOVA", "fanova"]

WEAK_FIT = 0.2
# Up to so many leaves in all trees the variance of the averaged forest is summed exactly.
_EXACT_LEAVES = 4_000
_INTEGRATION_POINTS = 1 << 15


class FunctionalANOVA(BaseEstimator):
    r"""Variance shares of hyperparameters, by a random forest over the search space.

    With every hyperparameter replaced by its quantile u in the search distribution, a function on
    the unit cube splits into a mean, main effects, pair effects and so on, which are uncorrelated;
    their variances add up to the total (Hoeffding 1948, Hutter et al. 2014). For a forest all of
    them are exact sums over the boxes of its leaves.

    Parameters
    ----------
    space : SearchSpace, optional
        What the hyperparameters were drawn from; by default the space that comes with the trials.
    target : str
        Column to explain; lower is better.
    n_trees : int
        Trees of the forest; the Odyssey's analysis used 100.
    estimand : {"forest", "tree"}
        What is decomposed. ``"forest"``: the average of all trees, which is the function that the
        forest predicts with. ``"tree"``: each tree alone, and the mean of their shares, as other
        tools do. A single tree follows the noise of its trials, and that noise looks like
        high-order interaction; so the tree level makes every main effect too small and finds
        interactions where there are none. It is here for comparison.
    min_samples_leaf : int
        Smallest leaf of a tree.
    diverged : {"worst", "raise"}
        What to do with trials that ran and have no finite target: give them the worst finite value
        (after ``cap``), or refuse. They are never dropped, because an analysis without them is
        one of another, safer space.
    cap : float, optional
        Larger targets are set to this value, for finite but absurd losses. A sequence of 88 keys
        that is predicted by tossing coins costs 88 ln 2 = 61 nats a frame.
    random_state : int
        Seed of the forest.

    Attributes
    ----------
    parameters_ : tuple of str
        Hyperparameters, in the order of the space.
    oob_r2_ : float
        R² of predictions by trees that did not see the trial. All else is about the forest and not
        about the trials where this is low: below 0.2 there is a warning and no ranking.
    n_trials_ : int
        Trials the forest was fitted to.
    n_diverged_, n_failed_ : int
        Trials that diverged (in the fit) and that failed for another reason (not in the fit).
    n_set_to_worst_, n_capped_ : int
        Trials whose target was set to the worst value, or to ``cap``.
    total_variance_ : float
        Variance of the forest over the space (of a tree, on average, if ``estimand="tree"``).
    total_variance_is_exact_ : bool
        Whether it is the exact sum. For large forests it is integrated over 32,768 Sobol
        points, with a relative error of about 1e-4, which then is in ``rest`` too.
    forest_ : sklearn.ensemble.RandomForestRegressor
        Fitted on unit coordinates.
    boxes_ : list of LeafBoxes
        Its trees.

    Notes
    -----
    There are no intervals yet. The spread over trees is no substitute: it neither sees the bias of
    the forest nor shrinks as the sampling error does. With 200 trials a share of one or two
    hundredths is also found where there is none.

    Categorical hyperparameters are split in the order of their choices. Integers are treated as
    continuous, an error of about the distance between two of them.

    Checked against Optuna's evaluator on the same trees and against sums over a full grid.

    References
    ----------
    Hutter, Hoos, Leyton-Brown (2014), "An efficient approach for assessing hyperparameter importance".
    Greff et al. (2017), "LSTM: A Search Space Odyssey", section V-B.

    Examples
    --------
    >>> import numpy as np, pandas as pd, odyssey_kit as ok
    >>> space = ok.SearchSpace({"a": ok.Uniform(low=0, high=2), "b": ok.LogUniform(low=1e-4, high=1)})
    >>> u = np.random.default_rng(0).random((200, 2))
    >>> table = pd.DataFrame([space.from_unit(point) for point in u])
    >>> model = ok.FunctionalANOVA(space=space).fit(table, 3 * u[:, 0] + u[:, 1])
    >>> model
    FunctionalANOVA(target='test_metric', 200 trials, 100 trees, estimand='forest', out-of-bag R2 0.99)
    >>> model.importances()[["parameters", "share"]].round(1)
      parameters  share
    0          a    0.9
    1          b    0.1
    2       rest    0.0
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None = None,
        target: str = "test_metric",
        n_trees: int = 100,
        estimand: Literal["forest", "tree"] = "forest",
        min_samples_leaf: int = 1,
        diverged: Literal["worst", "raise"] = "worst",
        cap: float | None = None,
        random_state: int = 0,
    ) -> None:
        self.space = space
        self.target = target
        self.n_trees = n_trees
        self.estimand = estimand
        self.min_samples_leaf = min_samples_leaf
        self.diverged = diverged
        self.cap = cap
        self.random_state = random_state

    # ---- fitting ----------------------------------------------------------------------------

    def fit(self, X: Trials | pd.DataFrame, y: Any = None) -> Self:
        """Fit the forest.

        Parameters
        ----------
        X : Trials or pandas.DataFrame
            Trials; or with ``y``, any table with one column a hyperparameter, in natural units,
            named as in the space, with or without ``params_`` before it. All rows are used.
        y : array of (trials,), optional
            Values to explain; by default the column ``target`` of X.

        Returns
        -------
        FunctionalANOVA
            Itself.

        Raises
        ------
        UsageError
            If there is no space, a column is missing, a value lies outside the space, there are
            fewer than ten trials, or the target is constant.
        """
        self._check_settings()
        space = self.space if self.space is not None else getattr(X, "space", None)
        if not isinstance(space, SearchSpace):
            raise UsageError(
                "no search space: the trials bring none, so pass one, for instance space=ok.ODYSSEY_SPACE; "
                "shares are shares of the variance over it"
            )
        frame = as_trials(X).frame if y is None or isinstance(X, Trials) else X
        target = clean_target(frame, y, name=self.target, keep_diverged=self.diverged == "worst", cap=self.cap)
        units = unit_coordinates(frame[target.kept], space)
        if np.ptp(units, axis=0).max() == 0:
            raise UsageError("no hyperparameter varies over the trials, so none can explain anything")
        self.parameters_ = tuple(space)
        self.space_ = space
        self.n_features_in_ = len(space)
        self.n_trials_ = len(target.values)
        self.n_diverged_, self.n_failed_ = target.n_diverged, target.n_failed
        self.n_set_to_worst_, self.n_capped_ = target.n_set_to_worst, target.n_capped
        self.forest_ = RandomForestRegressor(
            self.n_trees, min_samples_leaf=self.min_samples_leaf, random_state=self.random_state, n_jobs=1
        ).fit(units, target.values)
        self.boxes_ = [leaf_boxes(tree.tree_, len(space)) for tree in self.forest_.estimators_]
        self.oob_r2_ = out_of_bag_r2(self.forest_, units, target.values)
        self._measure_variance()
        if self.oob_r2_ < WEAK_FIT:
            warnings.warn(
                f"out-of-bag R2 is {self.oob_r2_:.2f}: the forest hardly predicts {self.target!r}, so its shares say "
                f"little about the trials and are not ranked; below {WEAK_FIT} more trials are needed",
                UserWarning,
                stacklevel=2,
            )
        return self

    def _check_settings(self) -> None:
        for name, choices in (("estimand", ("forest", "tree")), ("diverged", ("worst", "raise"))):
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(map(repr, choices))}")
        for name, least in (("n_trees", 10), ("min_samples_leaf", 1)):
            if not getattr(self, name) >= least:
                raise UsageError(f"{name} is {getattr(self, name)!r}, expected {least} or more")
        if self.cap is not None and not math.isfinite(self.cap):
            raise UsageError(f"cap is {self.cap!r}, expected a finite number or None")

    def _measure_variance(self) -> None:
        """Set what the shares are shares of."""
        self._averaged = pool(self.boxes_) if self.estimand == "forest" else None
        self.total_variance_is_exact_ = self._averaged is None or len(self._averaged) <= _EXACT_LEAVES
        if self._averaged is None:
            self.total_variance_ = float(np.mean([boxes.variance for boxes in self.boxes_]))
        elif self.total_variance_is_exact_:
            self.total_variance_ = self._averaged.variance
        else:
            # Moved from the corners of their cells to the middles.
            points = qmc.Sobol(len(self.parameters_), scramble=False).random(_INTEGRATION_POINTS)
            points += 0.5 / _INTEGRATION_POINTS
            self.total_variance_ = float(self.forest_.predict(points).var())

    # ---- results ----------------------------------------------------------------------------

    def importances(self, order: int = 1) -> pd.DataFrame:
        """Return the share of the variance that each effect explains.

        Parameters
        ----------
        order : {1, 2}
            1 for main effects, 2 for pairs as well.

        Returns
        -------
        pandas.DataFrame
            One row an effect, the largest first, and ``rest`` last; columns

            - ``parameters``: name, or both names of a pair joined by " × "; ``order``: 1 or 2
            - ``share``: part of ``total_variance_``; all rows add up to one. What a pair explains
              is beyond its main effects; it may come out below zero by rounding.
            - ``sd_over_trees``: of the single trees' shares; a spread, and no standard error
            - ``rank``: from 1, by share; missing if the forest fits too badly to rank
            - ``oob_r2``, ``n_trials``, ``n_diverged``: the same in each row, so that no share goes
              without them

        """
        check_is_fitted(self)
        if order not in (1, 2):
            raise UsageError(f"order is {order!r}, expected 1 (main effects) or 2 (and pairs)")
        d = range(len(self.parameters_))
        subsets = [*((k,) for k in d), *(itertools.combinations(d, 2) if order == 2 else ())]
        # A bootstrap sample of equal values gives a tree of one leaf, which has no shares.
        per_tree = np.array([boxes.effects(subsets) / boxes.variance for boxes in self.boxes_ if len(boxes) > 1])
        if self._averaged is None:
            shares = per_tree.mean(axis=0)
        else:
            shares = self._averaged.effects(subsets) / self.total_variance_
        rows = pd.DataFrame(
            {
                "parameters": [" × ".join(self.parameters_[k] for k in subset) for subset in subsets],
                "order": pd.array([len(subset) for subset in subsets], dtype="Int64"),
                "share": shares,
                "sd_over_trees": per_tree.std(axis=0, ddof=1),
            }
        )
        ranked = self.oob_r2_ >= WEAK_FIT
        if ranked:
            rows = rows.sort_values("share", ascending=False, kind="stable", ignore_index=True)
        rows["rank"] = pd.array(range(1, len(rows) + 1) if ranked else [None] * len(rows), dtype="Int64")
        rows.loc[len(rows)] = ["rest", pd.NA, 1 - shares.sum(), (1 - per_tree.sum(axis=1)).std(ddof=1), pd.NA]
        return rows.assign(oob_r2=self.oob_r2_, n_trials=self.n_trials_, n_diverged=self.n_diverged_)

    def to_frame(self) -> pd.DataFrame:
        """Return `importances` of order 1."""
        return self.importances()

    def marginal(self, parameter: str, *, n_points: int = 100) -> pd.DataFrame:
        """Return the mean target as a function of one hyperparameter, over all values of the others.

        Parameters
        ----------
        parameter : str
            Its name in the space.
        n_points : int
            Points of the curve, equally spaced in quantiles. Of an integer hyperparameter each
            value appears once, of a categorical one each choice.

        Returns
        -------
        pandas.DataFrame
            Columns ``parameter``; ``value`` in natural units; ``quantile`` in the search
            distribution; ``mean``, in units of the target; ``spread_low`` and ``spread_high``: mean
            minus and plus one standard deviation over trees, which is no confidence interval.

        Raises
        ------
        UsageError
            If the hyperparameter is not in the space, or for fewer than two points.
        """
        check_is_fitted(self)
        if parameter not in self.parameters_:
            raise UsageError(f"no hyperparameter is called {parameter!r}; the space has: {', '.join(self.parameters_)}")
        if n_points < 2:
            raise UsageError(f"n_points is {n_points!r}, expected 2 or more")
        law = self.space_[parameter]
        if isinstance(law, Categorical):
            values = list(law.choices)
        else:
            values = list(dict.fromkeys(law.from_unit(float(unit)) for unit in np.linspace(0.0, 1.0, n_points)))
        quantiles = np.clip([law.to_unit(value) for value in values], 0.0, 1.0)
        k = self.parameters_.index(parameter)
        curves = np.array([boxes.marginal_at(k, quantiles) for boxes in self.boxes_])
        mean, spread = curves.mean(axis=0), curves.std(axis=0, ddof=1)
        return pd.DataFrame(
            {
                "parameter": parameter,
                "value": values,
                "quantile": quantiles,
                "mean": mean,
                "spread_low": mean - spread,
                "spread_high": mean + spread,
            }
        )

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        if not hasattr(self, "forest_"):
            settings = f"target={self.target!r}, {self.n_trees} trees, estimand={self.estimand!r}"
            return f"FunctionalANOVA({settings}, not fitted)"
        ends = f"{self.n_diverged_} diverged, " if self.n_diverged_ else ""
        return (
            f"FunctionalANOVA(target={self.target!r}, {self.n_trials_:,} trials, {ends}{self.n_trees} trees, "
            f"estimand={self.estimand!r}, out-of-bag R2 {self.oob_r2_:.2f})"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        # Without this a notebook would show scikit-learn's diagram of settings, and no result.
        return {"text/plain": repr(self)}


def fanova(
    trials: Trials | pd.DataFrame,
    *,
    target: str = "test_metric",
    space: SearchSpace | None = None,
    variant: str | None = None,
    task: str | None = None,
    pooled: bool = False,
    **settings: Any,
) -> FunctionalANOVA:
    """Fit a functional ANOVA to the trials of one variant on one task, or of all variants together.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Table of trials.
    target : str
        Column to explain; ``"seconds"`` works as well.
    space : SearchSpace, optional
        By default that of the trials.
    variant, task : str, optional
        Which trials to analyse; needed if the table has more than one.
    pooled : bool
        Take all variants together. Hyperparameters then share their effects over the variants, and
        differences between variants count as noise.
    **settings
        Of `FunctionalANOVA`: n_trees, estimand, min_samples_leaf, diverged, cap, random_state.

    Returns
    -------
    FunctionalANOVA
        Fitted; see ``importances()`` and ``marginal(name)``.

    Raises
    ------
    UsageError
        If the table holds several variants or tasks and none was chosen, and as `FunctionalANOVA`.
    """
    trials = as_trials(trials)
    if variant is not None and pooled:
        raise UsageError(f"both variant={variant!r} and pooled=True; choose one")
    for column, chosen, there in (("task", task, trials.tasks), ("variant", variant, trials.variants)):
        if chosen is not None and chosen not in there:
            raise UsageError(f"no trials of {column} {chosen!r}; the table has: {', '.join(there)}")
        if chosen is not None:
            trials = trials.query(f"{column} == {chosen!r}")
        elif len(there) > 1 and not (column == "variant" and pooled):
            also = ", or pooled=True to take them together" if column == "variant" else ""
            raise UsageError(
                f"the table has {len(there)} {column}s ({', '.join(there)}); choose one by {column}={there[0]!r}{also}"
            )
    known = [name for name in FunctionalANOVA().get_params() if name not in ("space", "target")]
    if unknown := [name for name in settings if name not in known]:
        raise UsageError(f"unknown setting {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    return FunctionalANOVA(space=space, target=target, **settings).fit(trials)
