"""The functional ANOVA obeys its laws: by hand, against Optuna's trees, against a full grid, and on a known surface."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up import NAMES, TRUE_SHARES, surface, trials
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

import odyssey_kit as ok
from odyssey_kit.analysis.box_sums import overlap_variance
from odyssey_kit.analysis.forest import leaf_boxes, pool
from odyssey_kit.space import SearchSpace

CUBE = ok.SearchSpace({name: ok.Uniform(low=0.0, high=1.0) for name in "abcd"})


def forest(n: int = 60, n_trees: int = 5, d: int = 4, seed: int = 0) -> RandomForestRegressor:
    rng = np.random.default_rng(seed)
    units = rng.random((n, d))
    values = np.sin(5 * units[:, 0]) + units[:, 1] * units[:, -1] + 0.1 * rng.standard_normal(n)
    return RandomForestRegressor(n_trees, random_state=seed).fit(units, values)


def on_the_benchmark(n: int, seed: int = 0, noise: float = 0.3) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    units = rng.random((n, 4))
    return pd.DataFrame(units, columns=list("abcd")), surface(units) + noise * rng.standard_normal(n)


def grid_variance(boxes, kept: tuple[int, ...]) -> float:
    """Return the closed variance from the function's values on the whole product grid of its cells."""
    middles = [(cuts[1:] + cuts[:-1]) / 2 for cuts in boxes.cuts]
    points = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)
    inside = ((points[..., None, :] > boxes.low) & (points[..., None, :] <= boxes.high)).all(axis=-1)
    values = boxes.mean + inside @ boxes.value
    widths = [np.diff(cuts) for cuts in boxes.cuts]
    for k in reversed(range(boxes.n_coordinates)):
        if k not in kept:
            values = np.tensordot(values, widths[k], axes=(k, 0))
    weights = np.ones(())
    for k in kept:
        weights = np.multiply.outer(weights, widths[k])
    mean = (weights * values).sum()
    return float((weights * (values - mean) ** 2).sum())


# ---- one tree -------------------------------------------------------------------------------


def test_a_tree_drawn_by_hand():
    # Four points; the tree splits b at 1/2, and the upper half again by a at 1/4:
    #
    #     b  1 ┌────┬──────────┐
    #          │ 4  │    8     │      mean = 1/2 · 0 + 1/8 · 4 + 3/8 · 8 = 7/2
    #      1/2 ├────┴──────────┤      over b, at a: 2 below 1/4, 4 above
    #          │      0        │      over a, at b: 0 below 1/2, 7 above
    #        0 └────┬──────────┘
    #          0   1/4     a   1
    units = np.array([[0.0, 0.25], [0.5, 0.25], [0.0, 0.75], [0.5, 0.75]])
    tree = DecisionTreeRegressor(random_state=0).fit(units, [0.0, 0.0, 4.0, 8.0])
    boxes = leaf_boxes(tree.tree_, 2)
    assert len(boxes) == 3
    assert boxes.mean == 3.5
    np.testing.assert_array_equal(boxes.cuts[0], [0, 0.25, 1])
    np.testing.assert_array_equal(boxes.cuts[1], [0, 0.5, 1])
    np.testing.assert_allclose(boxes.marginal(0), [2, 4], rtol=1e-15)
    np.testing.assert_allclose(boxes.marginal(1), [0, 7], rtol=1e-15, atol=1e-15)
    # Main effects: 1/4 · (3/2)² + 3/4 · (1/2)² = 3/4 and (7/2)² = 49/4; in all 1/8 · 16 + 3/8 · 64 - 49/4 = 55/4.
    assert boxes.closed_variance([0]) == pytest.approx(0.75, rel=1e-15)
    assert boxes.closed_variance([1]) == pytest.approx(12.25, rel=1e-15)
    assert boxes.variance == pytest.approx(13.75, rel=1e-15)
    assert boxes.closed_variance([0, 1]) == pytest.approx(13.75, rel=1e-15)
    # A cut belongs to the cell below it, as in the tree itself.
    np.testing.assert_allclose(boxes.marginal_at(0, np.array([0.0, 0.25, 0.26, 1.0])), [2, 2, 4, 4])


def test_trees_equal_optunas():
    oracle = pytest.importorskip("optuna.importance._fanova._tree")
    for fitted in forest(50, 3).estimators_:
        boxes = leaf_boxes(fitted.tree_, 4)
        theirs = oracle._FanovaTree(fitted.tree_, np.array([[0.0, 1.0]] * 4))
        assert boxes.variance == pytest.approx(theirs.variance, rel=1e-12)
        for subset in [*((k,) for k in range(4)), (0, 3), (1, 2)]:
            found = boxes.closed_variance(subset) / boxes.variance
            assert abs(found - theirs.get_marginal_variance(np.array(subset)) / theirs.variance) < 1e-12


def test_the_tree_level_is_the_mean_of_optunas_shares():
    oracle = pytest.importorskip("optuna.importance._fanova._tree")
    X, y = on_the_benchmark(40)
    model = ok.FunctionalANOVA(space=CUBE, estimand="tree", n_trees=10).fit(X, y)
    theirs = [oracle._FanovaTree(tree.tree_, np.array([[0.0, 1.0]] * 4)) for tree in model.forest_.trees]
    shares = model.importances().set_index("parameters")["share"]
    for k, name in enumerate("abcd"):
        expected = np.mean([tree.get_marginal_variance(np.array([k])) / tree.variance for tree in theirs])
        assert abs(shares[name] - expected) < 1e-12


# ---- forests --------------------------------------------------------------------------------


@pytest.mark.parametrize("n_trees", [1, 4])
def test_every_closed_variance_equals_the_sum_over_the_full_grid(n_trees):
    fitted = forest(14, n_trees, d=3)
    trees = [leaf_boxes(tree.tree_, 3) for tree in fitted.estimators_]
    boxes = trees[0] if n_trees == 1 else pool(trees)
    assert boxes.mean == pytest.approx(np.mean([tree.mean for tree in trees]))
    for size in (1, 2, 3):
        for subset in itertools.combinations(range(3), size):
            expected = grid_variance(boxes, subset)
            assert boxes.closed_variance(subset) == pytest.approx(expected, rel=1e-12)
            # The sum over pairs of leaves is another way to the same number.
            assert overlap_variance(
                boxes._weight_without(subset), [(boxes.start[:, k], boxes.stop[:, k], boxes.mass[k]) for k in subset]
            ) == pytest.approx(expected, rel=1e-12)
    assert boxes.variance == pytest.approx(boxes.closed_variance((0, 1, 2)), rel=1e-12)


def test_the_pooled_function_is_what_the_forest_predicts():
    fitted = forest(30, 4)
    boxes = pool([leaf_boxes(tree.tree_, 4) for tree in fitted.estimators_])
    points = np.random.default_rng(1).random((200, 4)).astype(np.float32).astype(float)
    inside = ((points[:, None, :] > boxes.low) & (points[:, None, :] <= boxes.high)).all(axis=-1)
    np.testing.assert_allclose(boxes.mean + inside @ boxes.value, fitted.predict(points), rtol=1e-12)


def test_blocks_of_rows_do_not_change_a_pair(monkeypatch):
    boxes = pool([leaf_boxes(tree.tree_, 4) for tree in forest(40, 4).estimators_])
    whole = boxes.closed_variance((0, 3))
    monkeypatch.setattr("odyssey_kit.analysis.box_sums._GRID_CELLS", 700)
    assert boxes.closed_variance((0, 3)) == pytest.approx(whole, rel=1e-12)


def test_names_of_coordinates_do_not_matter():
    fitted = forest(40, 3)
    new_place = np.array([2, 0, 3, 1])
    for tree in (estimator.tree_ for estimator in fitted.estimators_):
        moved = SimpleNamespace(
            feature=np.where(tree.feature >= 0, new_place[tree.feature], tree.feature),
            **{name: getattr(tree, name) for name in ("threshold", "children_left", "children_right", "value")},
        )
        before, after = leaf_boxes(tree, 4), leaf_boxes(moved, 4)
        assert after.variance == pytest.approx(before.variance, rel=1e-12)
        for subset in [(0,), (1,), (2,), (3,), (0, 1), (1, 3)]:
            there = tuple(new_place[list(subset)])
            assert after.closed_variance(there) == pytest.approx(before.closed_variance(subset), rel=1e-12)


@pytest.mark.parametrize("estimand", ["forest", "tree"])
def test_shares_and_rest_add_up_to_one_and_no_effect_exceeds_the_total(estimand):
    X, y = on_the_benchmark(40)
    model = ok.FunctionalANOVA(space=CUBE, n_trees=20, estimand=estimand).fit(X, y)
    for order in (1, 2, 3, 4):
        table = model.importances(order)
        assert table["share"].sum() == pytest.approx(1, abs=1e-12)
        assert table["share"].between(-1e-12, 1).all()
        assert table["parameters"].iloc[-1] == "rest"
        assert len(table) == {1: 5, 2: 11, 3: 15, 4: 16}[order]
    # All subsets together are everything.
    assert abs(model.importances(4)["share"].iloc[-1]) < 1e-12
    # Mains do not depend on whether pairs are shown.
    mains = [model.importances(order).set_index("parameters")["share"]["a"] for order in (1, 2)]
    assert mains[0] == mains[1]


def test_all_orders_add_up_exactly_however_large_the_forest(monkeypatch):
    monkeypatch.setattr("odyssey_kit.analysis.effects._EXACT_LEAVES", 10)
    X, y = on_the_benchmark(40)
    model = ok.FunctionalANOVA(space=CUBE, n_trees=20, estimand="forest").fit(X, y)
    assert abs(model.importances(4)["share"].iloc[-1]) < 1e-12
    # Of fewer orders the whole is integrated: close, and not the same.
    fewer, every = (model.importances(order).set_index("parameters")["share"]["a"] for order in (1, 4))
    assert fewer != every
    assert fewer == pytest.approx(every, rel=1e-3)


def test_integrated_and_exact_variance_agree(monkeypatch):
    X, y = on_the_benchmark(60)
    exact = ok.FunctionalANOVA(space=CUBE, n_trees=20, estimand="forest").fit(X, y)
    box = {"a": (0.3, 0.8), "d": lambda value: value**2}
    inside = [exact.importances(2, measure=box)["share"], exact.total_variance_]
    monkeypatch.setattr("odyssey_kit.analysis.effects._EXACT_LEAVES", 10)
    integrated = ok.FunctionalANOVA(space=CUBE, n_trees=20, estimand="forest").fit(X, y)
    assert integrated.total_variance_ != inside[1]
    assert integrated.total_variance_ == pytest.approx(inside[1], rel=1e-3)
    np.testing.assert_allclose(integrated.importances(2, measure=box)["share"], inside[0], atol=2e-3)


# ---- known surfaces -------------------------------------------------------------------------


def test_shares_of_the_analytic_benchmark():
    X, y = on_the_benchmark(200)
    model = ok.FunctionalANOVA(space=CUBE, estimand="forest").fit(X, y)
    shares = model.importances(order=2).set_index("parameters")["share"]
    truth = {" × ".join("abcd"[NAMES.index(name)] for name in names): share for names, share in TRUE_SHARES.items()}
    shown = shares.drop("rest")
    error = sum(abs(share - truth.get(name, 0.0)) for name, share in shown.items())
    assert error < 0.25
    # Corrected on trials that the trees did not see; over many tables the mean error is 0.12.
    corrected = ok.FunctionalANOVA(space=CUBE).fit(X, y).importances(order=2).set_index("parameters")
    assert sum(abs(corrected["share"].drop("rest") - pd.Series(truth).reindex(shown.index, fill_value=0))) < 0.2
    held = sum(row["low"] <= truth.get(name, 0.0) <= row["high"] for name, row in corrected.drop("rest").iterrows())
    assert held >= 8
    assert list(shown.index[:2]) == ["a", "b"]
    assert shares["c × d"] < 0.02
    assert model.oob_r2_ > 0.7
    # What the other estimand is worse at: it sees the noise of single trees as interaction.
    by_tree = ok.FunctionalANOVA(space=CUBE, estimand="tree").fit(X, y).importances(order=2).set_index("parameters")
    assert by_tree.loc["rest", "share"] > shares["rest"] + 0.03


def test_an_additive_function_has_hardly_any_pairs():
    rng = np.random.default_rng(0)
    units = rng.random((400, 4))
    X = pd.DataFrame(units, columns=list("abcd"))
    model = ok.FunctionalANOVA(space=CUBE, estimand="forest", n_trees=50).fit(X, 4 * units[:, 0] + units[:, 1])
    shares = model.importances(2)
    shares = shares.set_index("parameters")["share"]
    # The exact shares are 16/17 and 1/17.
    assert shares["a"] == pytest.approx(16 / 17, abs=0.02)
    assert shares["b"] == pytest.approx(1 / 17, abs=0.02)
    assert shares[["a × b", "a × c", "b × c", "c × d", "rest"]].max() < 0.01


def test_the_measure_is_that_of_the_search():
    # The same trials through natural units give the same forest; the space says how they were drawn.
    frame = trials(200, ("V",), n_diverged=0, noise=0.18)
    natural = ok.fanova(frame, space=ok.ODYSSEY_SPACE).importances().set_index("parameters")["share"]
    quantiles = pd.DataFrame(
        {name: [law.to_unit(value) for value in frame[f"params_{name}"]] for name, law in ok.ODYSSEY_SPACE.items()}
    )
    plain = ok.SearchSpace({name: ok.Uniform(low=0.0, high=1.0) for name in quantiles})
    shares = ok.FunctionalANOVA(space=plain).fit(quantiles, frame["test_metric"]).importances()
    # But for the hidden size, whose whole numbers are atoms of the one and points of the other.
    np.testing.assert_allclose(natural, shares.set_index("parameters")["share"].reindex(natural.index), atol=0.01)
    assert natural["learning_rate"] == pytest.approx(0.60, abs=0.15)


def test_a_constant_parameter_has_no_share_and_a_flat_curve():
    X, y = on_the_benchmark(100)
    model = ok.FunctionalANOVA(space=CUBE, estimand="forest", n_trees=20).fit(X.assign(d=0.4), y)
    shares = model.importances(2).set_index("parameters")
    assert abs(shares.loc["d", "share"]) < 1e-20
    assert abs(shares.loc["a × d", "share"]) < 1e-12
    assert np.ptp(model.marginal("d")["mean"]) < 1e-12


def test_duplicated_values_share_their_cuts():
    X, y = on_the_benchmark(100)
    model = ok.FunctionalANOVA(space=CUBE, estimand="forest", n_trees=20).fit(X.round(1), y)
    for boxes in model.boxes_:
        assert all((np.diff(cuts) > 0).all() for cuts in boxes.cuts)
        assert (boxes.high - boxes.low).prod(axis=1).sum() == pytest.approx(1)


def test_a_categorical_parameter_has_one_cell_a_choice():
    space = SearchSpace({"kind": ok.Categorical(choices=("x", "y", "z")), "rate": ok.Uniform(low=0.0, high=1.0)})
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"kind": rng.choice(["x", "y", "z"], 150), "rate": rng.random(150)})
    y = X["kind"].map({"x": 0.0, "y": 3.0, "z": 0.0}).to_numpy()
    model = ok.FunctionalANOVA(space=space, estimand="forest", n_trees=20).fit(X, y)
    curve = model.marginal("kind")
    assert curve["value"].tolist() == ["x", "y", "z"]
    np.testing.assert_allclose(curve["mean"], [0, 3, 0], atol=1e-6)
    assert model.total_order()["total_order"].iloc[0] == pytest.approx(1.0)
    # A third of the space is 3 above the rest: variance 9 · 1/3 · 2/3.
    assert model.total_variance_ == pytest.approx(2.0, abs=1e-5)


# ---- curves ---------------------------------------------------------------------------------


def test_a_curve_is_in_natural_units_and_follows_the_truth():
    model = ok.fanova(trials(200, ("V",), n_diverged=0), space=ok.ODYSSEY_SPACE)
    curve = model.marginal("learning_rate", n_points=50)
    assert list(curve) == ["parameter", "value", "quantile", "mean", "low", "high", "spread_low", "spread_high"]
    np.testing.assert_allclose(curve["value"].iloc[[0, -1]], [1e-6, 1e-2])
    np.testing.assert_allclose(np.diff(np.log(curve["value"])), np.log(1e4) / 49)
    assert (curve["spread_low"] <= curve["spread_high"]).all()
    assert (curve["low"] < curve["mean"]).all()
    assert (curve["mean"] < curve["high"]).all()
    true = 9.5 + 0.6 * np.sqrt(0.6 * 5) * (6 * curve["quantile"] ** 2 - 6 * curve["quantile"] + 1)
    assert np.corrcoef(true, curve["mean"])[0, 1] > 0.97
    assert abs(curve["mean"].iloc[25] - true.iloc[25]) < 0.2


def test_an_integer_appears_once_in_its_curve():
    model = ok.fanova(trials(40, ("V",), n_diverged=0), space=ok.ODYSSEY_SPACE)
    values = model.marginal("hidden_size", n_points=1000)["value"]
    assert values.tolist() == list(range(20, 201))


def test_a_curve_averages_to_the_mean_of_the_forest():
    X, y = on_the_benchmark(100)
    model = ok.FunctionalANOVA(space=CUBE, estimand="forest", n_trees=10).fit(X, y)
    points = (np.arange(20_000) + 0.5) / 20_000
    mean = np.mean([boxes.marginal_at(0, points).mean() for boxes in model.boxes_])
    assert mean == pytest.approx(np.mean([boxes.mean for boxes in model.boxes_]), abs=1e-3)


# ---- diverged, failed, absurd ---------------------------------------------------------------


def test_diverged_trials_get_the_worst_value_and_are_counted():
    frame = trials(40, ("V",), n_diverged=5)
    model = ok.fanova(frame, space=ok.ODYSSEY_SPACE)
    assert (model.n_trials_, model.n_diverged_, model.n_set_to_worst_) == (40, 5, 5)
    by_hand = ok.fanova(frame.fillna({"test_metric": frame["test_metric"].max()}), space=ok.ODYSSEY_SPACE)
    pd.testing.assert_frame_equal(model.importances(), by_hand.importances())
    assert "5 diverged" in repr(model)
    assert (model.importances()["n_diverged"] == 5).all()
    with pytest.raises(ok.UsageError, match="5 of 40 trials have no finite 'test_metric'"):
        ok.fanova(frame, space=ok.ODYSSEY_SPACE, diverged="raise")


def test_absurd_values_are_capped_and_counted():
    frame = trials(40, ("V",), n_diverged=2)
    frame.loc[[0, 1, 2], "test_metric"] = [1e4, 1e30, np.inf]
    with pytest.warns(UserWarning, match="hardly predicts"):
        model = ok.fanova(frame, space=ok.ODYSSEY_SPACE, cap=61.0)
    assert (model.n_capped_, model.n_set_to_worst_) == (2, 3)
    assert max(float(tree.tree_.value.max()) for tree in model.forest_.trees) <= 61.0


def test_failed_trials_are_left_out_aloud():
    frame = trials(40, ("V",), n_diverged=0)
    frame.loc[:2, "state"] = "FAILED"
    frame.loc[:2, "test_metric"] = np.nan
    with pytest.warns(UserWarning, match="3 of 40 trials FAILED by accident"):
        model = ok.fanova(frame, space=ok.ODYSSEY_SPACE)
    assert (model.n_trials_, model.n_failed_, model.n_diverged_) == (37, 3, 0)


def test_noise_gets_a_warning_and_no_ranking():
    X, _ = on_the_benchmark(60)
    y = np.random.default_rng(5).standard_normal(60)
    with pytest.warns(UserWarning, match="the forest hardly predicts"):
        model = ok.FunctionalANOVA(space=CUBE, n_trees=100).fit(X, y)
    table = model.importances()
    assert model.oob_r2_ < 0.2
    assert table["rank"].isna().all()
    assert table["parameters"].tolist() == ["a", "b", "c", "d", "rest"]
    assert (table["oob_r2"] == model.oob_r2_).all()
    # The variance cannot be told from nothing, so there is nothing to share out.
    assert table["share"].isna().all()
    assert "reaches zero" in table["note"].iloc[0]


def test_a_tree_of_one_leaf_is_borne():
    # One trial in twenty differs: about a third of the bootstrap samples miss it.
    X, _ = on_the_benchmark(20)
    y = np.where(np.arange(20) == 7, 1.0, 0.0)
    for estimand in ("forest", "tree"):
        with pytest.warns(UserWarning, match="hardly predicts"):
            model = ok.FunctionalANOVA(space=CUBE, estimand=estimand).fit(X, y)
        assert min(len(boxes) for boxes in model.boxes_) == 1
        assert np.isfinite(model.importances(2)[["share", "sd_over_trees"]].to_numpy()).all()


# ---- errors and manners ---------------------------------------------------------------------


ONE = trials(20, ("V",))
TWO = trials(20, ("V", "NP"))


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (trials(9, ("V",), n_diverged=0), {}, "9 trials, 9 of them with a finite 'test_metric'; a forest needs 10"),
        (trials(20, ("V",), n_diverged=20), {}, "20 trials, 0 of them with a finite"),
        (ONE.assign(test_metric=8.5), {}, "'test_metric' is 8.5 in all 20 trials: no variance"),
        (ONE, {"target": "error_rate"}, "target 'error_rate' does not exist; numeric columns are"),
        (ONE, {"target": "machine"}, "target 'machine' is not numeric"),
        (ONE, {"space": None}, "no search space: the trials bring none"),
        (ONE.drop(columns="params_momentum"), {}, "'momentum' of the space has no column; the table has"),
        (ONE.assign(params_learning_rate=0.1), {}, "'params_learning_rate' has values outside of the space"),
        (ONE.assign(params_momentum=1.0), {}, "'params_momentum' has values outside of the space"),
        (ONE.assign(params_momentum=np.nan), {}, "'params_momentum' is missing in 20 of 20 trials|holds"),
        (TWO, {}, r"the table has 2 variants \(NP, V\); choose one by variant='NP', or pooled=True"),
        (trials(20, ("V",), tasks=("a", "b")), {}, r"the table has 2 tasks \(a, b\); choose one by task='a'"),
        (TWO, {"variant": "NFG"}, "no trials of variant 'NFG'; the table has: NP, V"),
        (TWO, {"variant": "V", "pooled": True}, "both variant='V' and pooled=True"),
        (ONE, {"estimand": "mean"}, "estimand is 'mean', expected one of 'corrected', 'forest', 'tree'"),
        (ONE, {"diverged": "drop"}, "diverged is 'drop', expected one of 'worst', 'raise'"),
        (ONE, {"n_trees": 99}, "n_trees is 99, expected 100 or more"),
        (ONE, {"cap": np.inf}, "cap is inf, expected a finite number"),
        (ONE, {"trees": 3}, "unknown setting 'trees'; known: .*n_trees"),
    ],
)
def test_what_cannot_be_analysed_says_why(frame, settings, message):
    with pytest.raises(ok.UsageError, match=message) as error:
        ok.fanova(frame, **{"space": ok.ODYSSEY_SPACE, **settings})
    assert "\n" not in str(error.value)


def test_no_parameter_varies():
    X, y = on_the_benchmark(20)
    with pytest.raises(ok.UsageError, match="no hyperparameter varies"):
        ok.FunctionalANOVA(space=CUBE).fit(X * 0 + 0.5, y)
    with pytest.raises(ok.UsageError, match=r"y has shape \(19,\), expected \(20,\)"):
        ok.FunctionalANOVA(space=CUBE).fit(X, y[1:])


def test_unknown_questions_to_a_result_say_what_there_is():
    model = ok.fanova(trials(40, ("V",), n_diverged=0), space=ok.ODYSSEY_SPACE, n_trees=100)
    with pytest.raises(ok.UsageError, match="no hyperparameter is called 'lr'; the space has: hidden_size, lear"):
        model.marginal("lr")
    with pytest.raises(ok.UsageError, match="n_points is 1"):
        model.marginal("momentum", n_points=1)
    with pytest.raises(ok.UsageError, match="order is 3"):
        model.importances(3)


def test_variants_can_be_taken_one_by_one_or_together():
    frame = trials(40, ("V", "NFG"), n_diverged=0)
    assert ok.fanova(frame, space=ok.ODYSSEY_SPACE, variant="NFG").n_trials_ == 40
    assert ok.fanova(frame, space=ok.ODYSSEY_SPACE, pooled=True).n_trials_ == 80


def test_manners_of_scikit_learn():
    model = ok.FunctionalANOVA(space=ok.ODYSSEY_SPACE, estimand="forest", n_trees=20, random_state=3)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert repr(copy.set_params(n_trees=30)) == (
        "FunctionalANOVA(target='test_metric', 30 trees, estimand='forest', not fitted)"
    )
    frame = trials(40, ("V",), n_diverged=0)
    first, second = model.fit(frame), clone(model).fit(frame)
    pd.testing.assert_frame_equal(first.importances(2), second.importances(2))
    pd.testing.assert_frame_equal(first.to_frame(), first.importances())
    other = clone(model).set_params(random_state=4).fit(frame)
    assert not other.importances()["share"].equals(first.importances()["share"])
    assert "text/html" not in model._repr_mimebundle_()
