"""Functional ANOVA: how much of a metric's variance over the search space each hyperparameter explains.

A random forest learns the metric as a function of the hyperparameters' quantiles, so that the
variance it is decomposed in is that of the random search itself. May import `errors`, `space` and the
other modules of `analysis`. (The module is not called `fanova`, because importing it would then
overwrite the function of that name.)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from odyssey_kit.analysis import boxes_json, curves
from odyssey_kit.analysis.checks import check_space, check_whole
from odyssey_kit.analysis.conditions import (
    check_measure,
    check_question,
    check_settings,
    coordinates,
    labels,
    why_no_intervals,
)
from odyssey_kit.analysis.design import clean_target, unit_coordinates
from odyssey_kit.analysis.direction import Direction
from odyssey_kit.analysis.effects import Effects, corrected_table, plain_table, ranked
from odyssey_kit.analysis.growing import grow, repeated
from odyssey_kit.analysis.measure import measures
from odyssey_kit.analysis.trials import Trials, frame_of
from odyssey_kit.errors import UsageError
from odyssey_kit.space import SearchSpace

__all__ = ["FunctionalANOVA"]

WEAK_FIT = 0.2
# Trees, smallest leaf, and fraction of the rows that a tree draws. Half samples leave 37 % of the trees
# blind to a given pair of rows; full ones would leave 13 %.
_FORESTS: Mapping[str, tuple[int, int, float]] = {"corrected": (500, 3, 0.5), "forest": (100, 1, 1.0)}


class FunctionalANOVA(BaseEstimator):
    r"""Variance shares of hyperparameters, by a random forest over the search space.

    With every hyperparameter replaced by its quantile u in the search distribution, a function on
    the unit cube splits into a mean, main effects, pair effects and so on, which are uncorrelated;
    their variances add up to the total (Hoeffding 1948, Hutter et al. 2014).

    Parameters
    ----------
    space : SearchSpace, optional
        What the hyperparameters were drawn from; by default the space that comes with the trials.
        Integers and choices are treated as such.
    target : str
        Column to explain.
    direction : {"minimize", "maximize"}
        Which way the target is better, in Optuna's words. Shares do not depend on it; what a trial
        without a value gets does, and which values ``cap`` cuts.
    estimand : {"corrected", "forest", "tree"}
        What is estimated. ``"corrected"``: the shares of the true function, from the forest's and
        from what its trees leave over on trials that they did not see; the only one with intervals,
        and the one to quote. ``"forest"``: the shares of the function that the forest predicts
        with. ``"tree"``: the mean of the shares of single trees, as other tools report; a tree
        follows the noise of its trials, and that looks like high-order interaction. For comparison.
    n_trees, min_samples_leaf : int, optional
        Trees, and the smallest leaf. By default 500 trees with leaves of 3 grown on half samples for
        ``"corrected"``, 100 trees with leaves of 1 for the others; the Odyssey's analysis used 100.
    diverged : {"worst", "raise"} or float
        What a trial that ran and has no finite target gets: the worst finite value (after ``cap``),
        a number, or an error. They are never dropped: an analysis without them is one of another,
        safer space.
    cap : float, optional
        Worse targets are set to this value, for finite but absurd losses. A sequence of 88 keys
        that is predicted by tossing coins costs 88 ln 2 = 61 nats a frame.
    transform : {None, "rank"}
        ``"rank"`` explains the ranks of the trials, which no absurd loss can rule.
    sampling : {"auto", "random", "optimised", "unknown"}
        Whether the rows are independent draws from the space. ``"auto"`` tests each hyperparameter's
        spread; a table from an optimiser fails, and gets no intervals.
    random_state : int
        Seed of the forest.

    Attributes
    ----------
    parameters_ : tuple of str
        Hyperparameters, in the order of the space.
    oob_r2_ : float
        R² of predictions by trees that did not see the trial. Below 0.2 there is a warning and no
        ranking.
    n_trials_ : int
        Trials the forest was fitted to.
    n_diverged_, n_failed_ : int
        Trials that diverged (in the fit) and that failed for another reason (not in the fit).
    n_set_to_worst_, n_capped_ : int
        Trials whose target was set to the worst or the stated value, or to ``cap``.
    no_intervals_ : str
        Why the shares have no intervals; empty where they have.
    forest_ : Forest
        Trees on unit coordinates, and the rows each did not see.
    boxes_ : tuple of LeafBoxes
        The trees as boxes.

    Notes
    -----
    The nominal 90 % intervals hold the true share in 85 to 95 % of simulated tables for nearly every
    term; what was measured, setting by setting, misses included, is in `benchmarks/RESULTS.md`. They
    cover noise and the draw of configurations, one term at a time, and not the choice of ranges: a
    share belongs to the declared space. They need rows that were drawn independently from it. Rows of
    one configuration (a paired study, repeated seeds) are left out together and count as one draw.

    A function finer than a third of a range would be missed by the correction and rest on the forest.

    Checked against Optuna's evaluator on the same trees, against sums over a full grid, and on five
    surfaces with known shares.

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
    FunctionalANOVA(target='test_metric', 200 trials, 500 trees, estimand='corrected', out-of-bag R2 0.98)
    >>> model.importances().iloc[:2][["parameters", "share", "low", "high"]].round(1)
      parameters  share  low  high
    0          a    0.9  0.9   0.9
    1          b    0.1  0.1   0.1
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None = None,
        target: str = "test_metric",
        direction: Direction = "minimize",
        estimand: Literal["corrected", "forest", "tree"] = "corrected",
        n_trees: int | None = None,
        min_samples_leaf: int | None = None,
        diverged: Literal["worst", "raise"] | float = "worst",
        cap: float | None = None,
        transform: Literal["rank"] | None = None,
        sampling: Literal["auto", "random", "optimised", "unknown"] = "auto",
        random_state: int = 0,
    ) -> None:
        self.space = space
        self.target = target
        self.direction = direction
        self.estimand = estimand
        self.n_trees = n_trees
        self.min_samples_leaf = min_samples_leaf
        self.diverged = diverged
        self.cap = cap
        self.transform = transform
        self.sampling = sampling
        self.random_state = random_state

    # ---- fitting ----------------------------------------------------------------------------

    def fit(self, X: Trials | pd.DataFrame, y: Any = None, *, groups: Any = None) -> Self:
        """Fit the forest.

        Parameters
        ----------
        X : Trials or pandas.DataFrame
            Trials, or any table with one column a hyperparameter, in natural units, named as in the
            space, with or without ``params_`` before it. A column ``state`` is heeded.
        y : array of (trials,), optional
            Values to explain; by default the column ``target`` of X. All rows are used then.
        groups : array of (trials,), optional
            Trials that are no independent draws of each other, by any label. By default those with
            the same values of all continuous hyperparameters; in a space without any those of one
            configuration, if configurations repeat more often than by chance.

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
        check_settings(self)
        space = check_space(self.space if self.space is not None else getattr(X, "space", None))
        frame = frame_of(X)
        target = clean_target(
            frame,
            y,
            name=self.target,
            diverged=self.diverged,
            cap=self.cap,
            ranked=self.transform == "rank",
            direction=self.direction,
        )
        units = unit_coordinates(frame[target.kept], space)
        if np.ptp(units, axis=0).max() == 0:
            raise UsageError("no hyperparameter varies over the trials, so none can explain anything")
        self.parameters_, self.space_, self.n_features_in_ = tuple(space), space, len(space)
        self.n_trials_ = len(target.values)
        self.n_diverged_, self.n_failed_ = target.n_diverged, target.n_failed
        self.n_set_to_worst_, self.n_capped_ = target.n_set_to_worst, target.n_capped
        self._units, self._values = units, target.values  # noqa: PD011
        self._group = repeated(units, space) if groups is None else labels(groups, target.kept)
        trees, leaf, fraction = _FORESTS.get(self.estimand, _FORESTS["forest"])
        self.forest_ = grow(
            units,
            target.values,
            self._group,
            space,
            n_trees=self.n_trees or trees,
            min_samples_leaf=self.min_samples_leaf or leaf,
            max_samples=fraction,
            random_state=self.random_state,
        )
        self.boxes_ = self.forest_.boxes
        self.oob_r2_ = self.forest_.out_of_bag_r2(units, target.values)
        self.no_intervals_ = why_no_intervals(
            units, self._group, space, n_failed=self.n_failed_, sampling=self.sampling
        )
        self._known: dict[Any, Effects] = {}
        if self.oob_r2_ < WEAK_FIT:
            warnings.warn(
                f"out-of-bag R2 is {self.oob_r2_:.2f}: the forest hardly predicts {self.target!r}, so its shares say "
                f"little about the trials and are not ranked; below {WEAK_FIT} more trials are needed",
                UserWarning,
                stacklevel=2,
            )
        return self

    def _effects(self, measure: Mapping[str, Any] | None) -> Effects:
        """Return the trees under a measure, kept for the next question."""
        key = repr(sorted((measure or {}).items(), key=lambda item: item[0]))
        if key not in self._known:
            effects = Effects.under(
                measures(self.space_, measure), self.forest_, self._units, self._values, self._group, self.no_intervals_
            )
            if len(self._known) > 8 or any(callable(change) for change in (measure or {}).values()):
                return effects
            self._known[key] = effects
        return self._known[key]

    def _asked(self, measure: Any) -> Effects:
        """Return the trees under a measure that somebody asks for, once there are trees."""
        check_is_fitted(self, "forest_")
        check_measure(measure, self.space_)
        return self._effects(measure)

    # ---- results ----------------------------------------------------------------------------

    @property
    def total_variance_(self) -> float:
        """Variance of the target over the space, without noise: corrected, of the forest, or of a tree on average."""
        return self._asked(None).total(self.estimand)

    @property
    def noise_variance_(self) -> float:
        """Mean squared error of trees on rows they did not see: noise, and what the forest misses."""
        return self._asked(None).shares.found.noise

    def importances(
        self, order: int = 1, *, estimand: str | None = None, measure: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return the share of the variance that each effect explains.

        Parameters
        ----------
        order : int
            1 for main effects, 2 for pairs as well; more only for "forest" and "tree".
        estimand : {"corrected", "forest", "tree"}, optional
            Another than the model's, of the same forest.
        measure : mapping, optional
            Shares over a part of the space or under another prior, without a new fit: by
            hyperparameter a pair (low, high) in natural units, a list of choices, weights of choices,
            a distribution, or a function that gives the probability up to a value. Inside a box the
            trials in it are a random sample, and shares are corrected on them; under another prior
            they are the forest's, without intervals.

        Returns
        -------
        pandas.DataFrame
            One row an effect, the largest first, and ``rest`` last; columns

            - ``parameters``: name, or the names of a pair joined by " × "; ``order``
            - ``share``: part of the total variance; all rows add up to one. What a pair explains
              is beyond its main effects. A corrected share is unbiased and may be slightly negative.
            - ``low``, ``high``: 90 % interval; missing where there is none, see ``note``
            - ``p``, ``p_holm``: of "this share is zero", one-sided; Holm's over the effects of one order
            - ``sd_over_trees``: of the single trees' shares; a spread, and no standard error
            - ``rank``: from 1, by share; missing if the forest fits too badly to rank;
              ``rank_low``, ``rank_high``: the ranks it may have, by intervals of differences
            - ``estimand``, ``oob_r2``, ``n_trials`` (inside the measure), ``n_diverged``, ``note``: the
              same in each row, so that no share goes without them; ``note`` says why there are no
              intervals or no shares

        """
        check_is_fitted(self, "forest_")
        wanted = self.estimand if estimand is None else estimand
        check_question(order, wanted, len(self.parameters_))
        effects = self._asked(measure)
        if wanted == "corrected" and effects.corrected:
            rows, note = corrected_table(effects, order)
        else:
            plain = "forest" if wanted == "corrected" else wanted
            rows, note = plain_table(effects, order, plain)
            note, wanted = effects.why_plain(wanted) if wanted != plain else note, plain
        return ranked(rows, self.parameters_, fits=self.oob_r2_ >= WEAK_FIT).assign(
            estimand=wanted,
            oob_r2=self.oob_r2_,
            n_trials=len(effects.units),
            n_diverged=self.n_diverged_,
            note=note,
        )

    def difference(
        self, first: str | tuple[str, str], second: str | tuple[str, str], *, measure: Mapping[str, Any] | None = None
    ) -> pd.Series:
        """Return the difference of two corrected shares with its 90 % interval.

        Parameters
        ----------
        first, second : str or pair of str
            A hyperparameter, or a pair of them.
        measure : mapping, optional
            As in `importances`.

        Returns
        -------
        pandas.Series
            ``difference``, ``low``, ``high``; the ends are missing where there are no intervals.
        """
        effects = self._asked(measure)
        if not effects.corrected:
            raise UsageError("differences are of corrected shares, which another prior does not have; pass a box")
        subsets = effects.shares.found.subsets
        value, low, high = effects.shares.difference(
            *(subsets.index(coordinates(name, self.parameters_)) for name in (first, second))
        )
        ends = (math.nan, math.nan) if effects.note else (low, high)
        return pd.Series({"difference": value, "low": ends[0], "high": ends[1]})

    def total_order(self, *, measure: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the share that each hyperparameter has a part in, alone or with others, tree by tree.

        Exact sums, of the single trees on average: an upper bound that their noise inflates.

        Returns
        -------
        pandas.DataFrame
            Columns ``parameters``, ``main``, ``total_order``, the largest first.
        """
        main, total = self._asked(measure).total_order()
        table = pd.DataFrame({"parameters": self.parameters_, "main": main, "total_order": total})
        return table.sort_values("total_order", ascending=False, kind="stable", ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """Return `importances` of order 1."""
        return self.importances()

    def to_json(self, *, n_trees: int = 64) -> str:
        """Return leaf boxes and results as compact JSON, for a page that computes marginals and shares by itself.

        Parameters
        ----------
        n_trees : int
            Trees at most, the first ones.
        """
        check_is_fitted(self, "forest_")
        check_whole("n_trees", n_trees, least=1)
        return boxes_json.dumps(self, n_trees=n_trees)

    def marginal(
        self, parameter: str | tuple[str, str], *, n_points: int | None = None, measure: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return the mean target as a function of one hyperparameter or two, over all values of the others.

        Parameters
        ----------
        parameter : str or pair of str
            Names in the space.
        n_points : int, optional
            Points of a curve, equally spaced in quantiles, by default 100; of each side of a surface
            25. Of an integer each value appears once, of a categorical hyperparameter each choice.
        measure : mapping, optional
            As in `importances`; of the others. Points lie in the box.

        Returns
        -------
        pandas.DataFrame
            Columns ``parameter``; ``value`` in natural units; ``quantile`` in the search
            distribution; ``mean``, in units of the target, corrected where the estimand is;
            ``low`` and ``high``: pointwise 90 % band, missing where there are no intervals;
            ``spread_low`` and ``spread_high``: the forest's mean minus and plus one standard
            deviation over trees, which is no confidence interval. A surface has ``parameter_x``,
            ``parameter_y``, ``x``, ``y`` and both quantiles instead, and no spread.

        Raises
        ------
        UsageError
            If the hyperparameter is not in the space, or for fewer than two points.
        """
        check_is_fitted(self, "forest_")
        subset = coordinates(parameter, self.parameters_)
        n_points = n_points if n_points is not None else (100 if len(subset) == 1 else 25)
        check_whole("n_points", n_points, least=2)
        effects = self._asked(measure)
        return curves.frame(effects, subset, self.space_, n_points, correct=self.estimand == "corrected")

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        trees = self.n_trees or _FORESTS.get(self.estimand, _FORESTS["forest"])[0]
        if not hasattr(self, "forest_"):
            return f"FunctionalANOVA(target={self.target!r}, {trees} trees, estimand={self.estimand!r}, not fitted)"
        ends = f"{self.n_diverged_} diverged, " if self.n_diverged_ else ""
        return (
            f"FunctionalANOVA(target={self.target!r}, {self.n_trials_:,} trials, {ends}{trees} trees, "
            f"estimand={self.estimand!r}, out-of-bag R2 {self.oob_r2_:.2f})"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        # Without this a notebook would show scikit-learn's diagram of settings, and no result.
        return {"text/plain": repr(self)}
