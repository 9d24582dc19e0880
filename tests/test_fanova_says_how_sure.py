"""Shares with intervals: they hold the truth as often as they say, and are withheld where they could not."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up import trials

import odyssey_kit as ok
from odyssey_kit.analysis import box_sums
from odyssey_kit.analysis.forest import forest_boxes, pool
from odyssey_kit.analysis.growing import grow, repeated
from odyssey_kit.analysis.intervals import Shares
from odyssey_kit.analysis.leave_two_out import leave_two_out, projection
from odyssey_kit.analysis.measure import declared, measures
from odyssey_kit.analysis.surfaces import SURFACES

CUBE = ok.SearchSpace({name: ok.Uniform(low=0.0, high=1.0) for name in "abcd"})
MIXED = SURFACES["choices"].space


def fitted(surface: str = "bench", n: int = 200, noise: float = 0.3, seed: int = 0, **settings) -> ok.FunctionalANOVA:
    s = SURFACES[surface]
    units, values = s.draw(n, seed, noise)
    return ok.FunctionalANOVA(space=s.space, **settings).fit(s.table(units), values)


# ---- the identity behind the correction -----------------------------------------------------


def test_the_corrected_variance_is_the_mean_over_pairs_of_rows_written_out():
    # Twelve rows, every pair by a loop: h(i, j) with the trees that saw neither.
    rng = np.random.default_rng(0)
    units, group = rng.random((12, 2)), np.arange(12)
    group[1] = 0  # the first two rows were one draw
    values = units[:, 0] + 0.1 * rng.standard_normal(12)
    space = ok.SearchSpace({name: ok.Uniform(low=0.0, high=1.0) for name in "ab"})
    forest = grow(units, values, group, space, n_trees=60, min_samples_leaf=2, max_samples=0.5, random_state=0)
    laws = measures(space)
    found = leave_two_out(forest.boxes, forest.blind, units, values, laws, group)
    assert found.subsets == ((0,), (1,), (0, 1))

    middles = [law.axis(128).middle for law in laws], [law.axis(32).middle for law in laws]
    cells = [law.axis(128).cell(units[:, k]) for k, law in enumerate(laws)]
    coarse = [law.axis(32).cell(units[:, k]) for k, law in enumerate(laws)]
    main = [np.array([t.marginal_at(k, middles[0][k]) for t in forest.boxes]) for k in (0, 1)]
    main = [m - m.mean(axis=1, keepdims=True) for m in main]
    pair = np.array([t.surface_at((0, 1), *middles[1]) for t in forest.boxes])
    pair -= pair.mean(axis=1, keepdims=True)
    pair -= pair.mean(axis=2, keepdims=True)
    at_rows = np.array([main[0][:, cells[0]], main[1][:, cells[1]], pair[:, coarse[0], coarse[1]]])
    predicted = np.array([t.mean for t in forest.boxes])[:, None] + at_rows.sum(axis=0)
    functions, owner = projection(units, laws, found.subsets)
    kernels = [functions[owner == u].T @ functions[owner == u] for u in range(3)]
    h, inverse = [[], [], []], []
    for i, j in itertools.permutations(range(12), 2):
        blind = forest.blind[i] & forest.blind[j]
        if group[i] == group[j] or blind.sum() < 2:
            continue
        inverse.append(1 / blind.sum())
        r = [values[row] - predicted[blind, row].mean() for row in (i, j)]
        for u in range(3):
            g = [at_rows[u][blind, row].mean() for row in (i, j)]
            h[u].append(g[0] * r[0] + g[1] * r[1] + r[0] * r[1] * kernels[u][i, j])
    for u, table in enumerate((main[0], main[1], pair.reshape(60, -1))):
        within = (table**2).mean()
        across = (60 * (table.mean(axis=0) ** 2).mean() - within) / 59
        expected = across + (within - across) * np.mean(inverse) + np.mean(h[u])
        assert found.variance[u] == pytest.approx(expected, rel=2e-5)
    assert found.variance[-1] == pytest.approx(found.variance[:3].sum(), rel=1e-6)


def test_blocks_of_rows_do_not_change_a_share(monkeypatch):
    units, values = SURFACES["bench"].draw(150, 0, 0.3)
    forest = grow(units, values, np.arange(150), CUBE, n_trees=100, min_samples_leaf=3, max_samples=0.5, random_state=0)
    whole = leave_two_out(forest.boxes, forest.blind, units, values, measures(CUBE), np.arange(150))
    monkeypatch.setattr("odyssey_kit.analysis.leave_two_out._BLOCK", 40)
    blocked = leave_two_out(forest.boxes, forest.blind, units, values, measures(CUBE), np.arange(150))
    np.testing.assert_allclose(blocked.variance, whole.variance, atol=1e-6)
    np.testing.assert_allclose(blocked.influence, whole.influence, atol=1e-4)


@pytest.mark.parametrize("name", ["learning_rate", "optimiser", "layers", "dropout"])
def test_bases_are_orthonormal_under_their_measure(name):
    law = declared(MIXED[name])
    if law.atoms is None:
        positions, weights = (np.arange(4000) + 0.5) / 4000, np.full(4000, 1 / 4000)
    else:
        positions, weights = law.atoms, law.mass
    values, degrees = law.basis(positions, 6)
    np.testing.assert_allclose((values * weights) @ values.T, np.eye(len(values)), atol=1e-5)
    np.testing.assert_allclose(values @ weights, 0, atol=1e-9)
    # Three choices have two contrasts, which are as good as each other; four whole numbers have three.
    assert {"optimiser": [1, 1], "layers": [1, 2, 3]}.get(name, [1, 2, 3, 4, 5, 6]) == degrees.tolist()


# ---- coverage -------------------------------------------------------------------------------


def test_intervals_hold_the_truth():
    # Eight tables of each of two surfaces, ten terms each: 90 % nominal; the full counts are in benchmarks/RESULTS.md.
    for name in ("bench", "choices"):
        truth, held = SURFACES[name].truth, []
        for seed in range(8):
            low, high = fitted(name, seed=500 + seed)._effects(None).shares.interval()
            held.append((low <= truth + 1e-12) & (truth <= high))
        assert np.mean(held) > 0.80
        assert np.mean(held, axis=0).min() >= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", SURFACES)
def test_intervals_hold_the_truth_term_by_term(name):
    truth, held = SURFACES[name].truth, []
    for seed in range(100):
        low, high = fitted(name, seed=2_000 + seed)._effects(None).shares.interval()
        held.append((low <= truth + 1e-12) & (truth <= high))
    # Three standard errors of a hundred below 90 %.
    assert np.mean(held, axis=0).min() > 0.80


def test_a_row_of_the_table_says_how_sure_it_is():
    table = fitted().importances(2).set_index("parameters")
    first = table.loc["learning_rate"]
    assert first["low"] < 0.60 < first["high"]
    assert (first["rank"], first["rank_low"], first["rank_high"]) == (1, 1, 1)
    assert first["p_holm"] < 1e-6
    nothing = table.loc["hidden_size × momentum"]
    assert nothing["low"] == 0.0
    assert nothing["p_holm"] > 0.05
    # Every share lies in its interval, but for those below zero, which are printed as they are.
    inside = table[table["share"] >= 0].drop("rest")
    assert ((inside["low"] <= inside["share"]) & (inside["share"] <= inside["high"])).all()
    assert table["share"].sum() == pytest.approx(1, abs=1e-12)
    assert (table["note"] == "").all()


def test_the_interval_starts_above_zero_exactly_where_p_is_below_a_twentieth():
    for seed in range(4):
        shares = fitted(seed=seed, noise=1.0)._effects(None).shares
        low, p = shares.interval()[0], shares.p_value()
        # Where the null's own error is the larger, p is the more careful of the two.
        assert not ((low <= 0) & (p < 0.05)).any()
        careful = shares.floor > shares.variance
        np.testing.assert_array_equal((low > 0)[~careful], (p < 0.05)[~careful])


def test_a_difference_has_its_own_interval():
    model = fitted()
    found = model.difference("learning_rate", ("learning_rate", "hidden_size"))
    table = model.importances(2).set_index("parameters")
    pair = table.index[table.index.str.contains("hidden_size × learning|learning_rate × hidden")][0]
    expected = table.loc["learning_rate", "share"] - table.loc[pair, "share"]
    assert found["difference"] == pytest.approx(expected)
    assert found["low"] < 0.60 - 0.08 < found["high"]
    back = model.difference(("hidden_size", "learning_rate"), "learning_rate")
    assert back["low"] == pytest.approx(-found["high"])


def test_more_trials_make_narrower_intervals():
    widths = []
    for n in (150, 600):
        table = fitted(n=n).importances()
        widths.append((table["high"] - table["low"]).iloc[0])
    assert widths[1] < 0.7 * widths[0]


# ---- where there are none -------------------------------------------------------------------


def note(model: ok.FunctionalANOVA) -> str:
    table = model.importances()
    assert table[["low", "high", "p", "p_holm"]].isna().all().all() == bool(table["note"].iloc[0])
    return table["note"].iloc[0]


def test_a_table_from_an_optimiser_gets_no_intervals_and_says_why():
    s = SURFACES["bench"]
    units, _ = s.draw(400, 0, 0.3)
    # Every second row is the best of four draws, as a mild optimiser would have it.
    best = units.reshape(100, 4, 4)[np.arange(100), s.raw(units).reshape(100, 4).argmin(axis=1)]
    mixed = np.concatenate([best, s.draw(100, 1, 0.3)[0]])
    values = s.raw(mixed) + 0.3 * np.random.default_rng(0).standard_normal(200)
    model = ok.FunctionalANOVA(space=s.space).fit(s.table(mixed), values)
    assert "is not spread as the search space says" in note(model)
    assert model.importances()["share"].notna().all()


def test_a_random_table_is_not_suspected():
    for name in ("bench", "choices", "variants"):
        assert note(fitted(name)) == ""


def test_why_there_are_no_intervals():
    table = trials(120, ("V",), n_diverged=0)
    assert note(ok.fanova(table, space=ok.ODYSSEY_SPACE)) == ""
    assert "come from an optimiser" in note(ok.fanova(table, space=ok.ODYSSEY_SPACE, sampling="optimised"))
    assert "not known from which space" in note(ok.fanova(table, space=ok.ODYSSEY_SPACE, sampling="unknown"))
    assert "60 independent trials" in note(ok.fanova(trials(60, ("V",), n_diverged=0), space=ok.ODYSSEY_SPACE))
    assert "has no intervals that hold" in note(ok.fanova(table, space=ok.ODYSSEY_SPACE, estimand="forest"))
    table.loc[[3, 4], "state"] = "FAILED"
    with pytest.warns(UserWarning, match="2 of 120 trials FAILED by accident"):
        model = ok.fanova(table, space=ok.ODYSSEY_SPACE)
    assert "2 trials failed and were dropped" in note(model)


def test_several_seeds_of_a_configuration_count_as_one_draw():
    s = SURFACES["bench"]
    units, values = s.draw(240, 0, 0.3, repeats=2)
    assert len(np.unique(repeated(units, s.space))) == 120
    twice = ok.FunctionalANOVA(space=s.space).fit(s.table(units), values)
    # No tree that is called blind to a row has seen its twin.
    assert (twice.forest_.blind[::2] == twice.forest_.blind[1::2]).all()
    # Called independent, they are thought to say more than they do.
    single = ok.FunctionalANOVA(space=s.space, sampling="random").fit(s.table(units), values, groups=np.arange(240))
    widths = [(t["high"] - t["low"]).iloc[0] for t in (twice.importances(), single.importances())]
    assert widths[0] > 1.15 * widths[1]
    named = ok.fanova(
        s.table(units).assign(loss=values, draw=np.arange(240) // 2), space=s.space, target="loss", groups="draw"
    )
    np.testing.assert_allclose(named.importances()["share"], twice.importances()["share"], atol=0.03)


def test_repeats_in_a_space_of_choices_are_told_from_coincidence():
    laws = {"layers": ok.UniformInteger(low=1, high=8), "batch_size": ok.LogUniform(low=8, high=64, integer=True)}
    space = ok.SearchSpace({**laws, "optimiser": ok.Categorical(choices=("sgd", "adam", "rmsprop"))})
    rng = np.random.default_rng(0)
    suspected = 0
    for _ in range(200):
        chance = np.array([space.to_unit(space.from_unit(u)) for u in rng.random((200, 3))])
        assert len(np.unique(chance, axis=0)) < 200, "independent draws of a discrete space coincide"
        suspected += len(np.unique(repeated(chance, space))) < 200
    assert suspected <= 1
    # In a sparse space one pair of equal draws is no wonder in twenty tables.
    sparse = ok.SearchSpace({name: ok.UniformInteger(low=1, high=300) for name in "ab"})
    draws = [(np.floor(rng.random((100, 2)) * 300) + 0.5) / 300 for _ in range(400)]
    coincide = [len(np.unique(units, axis=0)) < 100 for units in draws]
    assert sum(coincide) > 5
    assert sum(len(np.unique(repeated(units, sparse))) < 100 for units in draws) <= 2
    # The draws of a paired study are one for all variants.
    paired = ok.SearchSpace({**sparse, "variant": ok.Categorical(choices=("V", "NP"))})
    units = np.column_stack([np.tile(draws[0], (2, 1)), np.repeat([0.25, 0.75], 100)])
    assert len(np.unique(repeated(units, paired))) == len(np.unique(draws[0], axis=0))
    five = np.repeat(chance[:40], 5, axis=0)
    assert len(np.unique(repeated(five, space))) == len(np.unique(five, axis=0))
    table = pd.DataFrame(
        [
            dict(zip(space, [law.from_unit(u) for law, u in zip(space.values(), row, strict=True)], strict=True))
            for row in five
        ]
    )
    loss = table["layers"] + rng.standard_normal(200)
    note = ok.fanova(table.assign(loss=loss), space=space, target="loss").importances()["note"].iloc[0]
    assert "independent trials; intervals were measured at 100 and more" in note


# ---- other measures -------------------------------------------------------------------------


def test_a_box_has_the_shares_of_the_function_in_it():
    # y = a² + b: over a in [1/2, 1] the variance of a² is (31/160) - (7/12)² = 0.0535…, that of b 1/12.
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((600, 2)), columns=list("ab"))
    space = ok.SearchSpace({name: ok.Uniform(low=0.0, high=1.0) for name in "ab"})
    y = X["a"] ** 2 + X["b"] + 0.05 * rng.standard_normal(600)
    model = ok.FunctionalANOVA(space=space).fit(X, y)
    inside = model.importances(2, measure={"a": (0.5, 1.0)}).set_index("parameters")
    variance = 31 / 80 - (7 / 12) ** 2
    truth = variance / (variance + 1 / 12)
    assert inside.loc["a", "low"] < truth < inside.loc["a", "high"]
    assert model.importances().set_index("parameters").loc["a", "share"] == pytest.approx(16 / 31, abs=0.05)
    assert (inside["note"] == "").all()
    curve = model.marginal("a", measure={"a": (0.5, 1.0)}, n_points=5)
    np.testing.assert_allclose(curve["value"], np.linspace(0.5, 1.0, 5))
    narrow = model.importances(measure={"a": (0.5, 0.6)})
    assert "independent trials lie inside" in narrow["note"].iloc[0]
    with pytest.raises(ok.UsageError, match="trials lie inside the measure, expected 10 at least"):
        model.importances(measure={"a": (0.5, 0.501)})


def test_another_prior_needs_no_new_fit_and_changes_the_shares():
    model = fitted(n=400)
    log = model.importances(2)
    linear = model.importances(2, measure={"learning_rate": ok.Uniform(low=1e-6, high=1e-2)})
    assert "no sample of this prior" in linear["note"].iloc[0]
    assert linear["low"].isna().all()
    share = [t.set_index("parameters").loc["learning_rate", "share"] for t in (log, linear)]
    assert abs(share[1] - share[0]) > 0.05
    # The same prior by its cumulative probability.
    by_function = model.importances(2, measure={"learning_rate": lambda rate: (rate - 1e-6) / (1e-2 - 1e-6)})
    np.testing.assert_allclose(by_function["share"], linear["share"], atol=1e-12)
    # The declared prior, said again or cut from a wider one, changes nothing; a shorter range of its kind is a box.
    for wide in (1e-2, 1.0):
        again = model.importances(2, measure={"learning_rate": ok.LogUniform(low=1e-6, high=wide)})
        pd.testing.assert_frame_equal(again, log)
    box = [model.importances(measure={"learning_rate": m}) for m in (ok.LogUniform(low=1e-4, high=1e-2), (1e-4, 1e-2))]
    pd.testing.assert_frame_equal(*box)
    assert (box[0]["estimand"] == "corrected").all()
    late = {"momentum": ok.OneMinusLogUniform(low=0.01, high=0.1)}
    assert (
        model.importances(measure=late)["share"] == model.importances(measure={"momentum": (0.9, 0.99)})["share"]
    ).all()


def test_a_shorter_range_of_whole_numbers_is_a_box_too():
    model = fitted("choices", n=400)
    declared = model.importances()
    pd.testing.assert_frame_equal(model.importances(measure={"layers": model.space_["layers"]}), declared)
    low, high = (int(model.space_["layers"].values()[k]) for k in (0, 2))
    pair = [model.importances(measure={"layers": m}) for m in (ok.UniformInteger(low=low, high=high), (low, high))]
    pd.testing.assert_frame_equal(*pair)
    assert (pair[0]["estimand"] == "corrected").all()


def test_a_box_in_which_the_forest_is_constant_has_no_shares():
    X = pd.DataFrame(np.random.default_rng(0).random((200, 2)), columns=list("ab"))
    space = ok.SearchSpace({name: ok.Uniform(low=0.0, high=1.0) for name in "ab"})
    model = ok.FunctionalANOVA(space=space, estimand="forest").fit(X, (X["a"] > 0.5).astype(float))
    table = model.importances(measure={"a": (0.6, 1.0)})
    assert table["share"].isna().all()
    assert "the forest is constant there" in table["note"].iloc[0]


def test_weights_of_choices():
    model = fitted("choices", n=400)
    two = model.importances(measure={"optimiser": ["adam", "rmsprop"]}).set_index("parameters")
    # Among these two the optimiser shifts the level by 0.15 only.
    assert two.loc["optimiser", "share"] < model.importances().set_index("parameters").loc["optimiser", "share"]
    assert (two["note"] == "").all()
    weighted = model.importances(measure={"optimiser": {"sgd": 8, "adam": 1, "rmsprop": 1}})
    assert "no sample of this prior" in weighted["note"].iloc[0]
    assert model.marginal("optimiser", measure={"optimiser": ["adam", "rmsprop"]})["value"].tolist() == [
        "adam",
        "rmsprop",
    ]


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ({"rate": (0, 1)}, "measure: no hyperparameter is called 'rate'; the space has: learning_rate"),
        ({"learning_rate": (1e-2, 1e-3)}, r"measure of 'learning_rate': expected \(low, high\) inside"),
        ({"optimiser": ["lion"]}, "measure of 'optimiser': 'lion' is no value of"),
        ({"optimiser": {"adam": -1}}, "expected weights of zero or more"),
        ({"layers": (4.2, 4.8)}, "no value of .* lies in"),
        ({"dropout": "low"}, "measure of 'dropout' is 'low', expected"),
        ({"dropout": lambda value: 1.0}, "does not rise inside"),
    ],
)
def test_a_measure_that_is_none_says_why(measure, message):
    with pytest.raises(ok.UsageError, match=message):
        measures(MIXED, measure)


# ---- choices and integers -------------------------------------------------------------------


def test_names_and_order_of_choices_do_not_matter():
    s = SURFACES["choices"]
    units, values = s.draw(200, 0, 0.3)
    table = s.table(units)
    shares = []
    for order in (("sgd", "adam", "rmsprop"), ("rmsprop", "sgd", "adam")):
        space = ok.SearchSpace({**s.space, "optimiser": ok.Categorical(choices=order)})
        model = ok.FunctionalANOVA(space=space, estimand="tree", n_trees=100).fit(table, values)
        shares.append(model.importances(2).set_index("parameters")["share"].sort_index())
    np.testing.assert_allclose(shares[0], shares[1], atol=0.02)
    # The boxes of a leaf that bans the middle choice are two.
    tree = SimpleNamespace(
        feature=np.array([1, -2, -2]),
        threshold=np.array([0.5, 0, 0]),
        children_left=np.array([1, -1, -1]),
        children_right=np.array([2, -1, -1]),
        value=np.array([0.0, 0.0, 3.0]),
    )
    boxes = forest_boxes([tree], [3])[0]
    assert len(boxes) == 3
    np.testing.assert_allclose(boxes.marginal_at(0, np.array([1, 3, 5]) / 6), [0, 3, 0], atol=1e-15)
    assert boxes.variance == pytest.approx(2.0)


def test_an_integer_has_the_probabilities_of_its_values():
    # One of four values costs 1: variance 3/16, whatever the cut between two values is.
    rng = np.random.default_rng(0)
    space = ok.SearchSpace({"layers": ok.UniformInteger(low=1, high=4), "x": ok.Uniform(low=0.0, high=1.0)})
    X = pd.DataFrame({"layers": rng.integers(1, 5, 200), "x": rng.random(200)})
    y = (X["layers"] == 4).astype(float)
    model = ok.FunctionalANOVA(space=space, estimand="forest", n_trees=20).fit(X, y)
    assert model.total_variance_ == pytest.approx(3 / 16, rel=1e-6)
    sizes = declared(ok.ODYSSEY_SPACE["hidden_size"])
    assert sizes.mass.sum() == pytest.approx(1)
    assert sizes.mass[0] == pytest.approx(np.log(20.5 / 19.5) / np.log(200.5 / 19.5))


def test_the_variant_can_be_a_hyperparameter():
    frame = trials(60, ("V", "NFG", "NP"), n_diverged=0)
    model = ok.fanova(frame, space=ok.ODYSSEY_SPACE, with_variant=True)
    table = model.importances(2).set_index("parameters")
    # NFG is 0.6 above the others: variance 0.6² · 2/9 beside 0.6² of all the rest.
    assert table.loc["variant", "low"] < (2 / 9) / (1 + 2 / 9) < table.loc["variant", "high"]
    curve = model.marginal("variant")
    assert curve.loc[curve["mean"].idxmax(), "value"] == "NFG"


# ---- two ways to a sum ----------------------------------------------------------------------


@pytest.fixture
def both_ways():
    pytest.importorskip("numba")
    yield box_sums.use_numba
    box_sums.use_numba(None)


@pytest.mark.parametrize("together", [False, True])
def test_compiled_sums_equal_numpys(both_ways, together):
    found = []
    for choice in (True, False):
        both_ways(choice)
        forest = fitted("choices", n=120, estimand="tree", n_trees=10).boxes_
        boxes = [pool(forest)] if together else forest
        found.append([[b.closed_variance(u) for u in [(0,), (0, 1), (2, 3), (0, 1, 2)]] for b in boxes])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_nothing_needs_numba_or_torch():
    code = """
import sys
sys.modules["numba"] = None
import odyssey_kit as ok
surface = ok.known_surface("choices")
found = ok.analyze(surface.trials(120), target="loss", space=surface.space)
model = found.models[""]
model.importances(2, estimand="forest"), model.importances(3, estimand="tree"), model.to_json()
assert "torch" not in sys.modules
print(found.advice[0])
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.startswith("Tune learning_rate first"), run.stderr


# ---- curves ---------------------------------------------------------------------------------


def test_a_curve_lies_in_its_band():
    model, s = fitted(n=400), SURFACES["bench"]
    curve = model.marginal("hidden_size", n_points=20)
    truth = s.curve(1, curve["quantile"].to_numpy())
    assert ((curve["low"] <= truth) & (truth <= curve["high"])).mean() > 0.6
    # Closer to the truth than what the forest alone says, whose ends are flat.
    plain = fitted(n=400, estimand="forest").marginal("hidden_size", n_points=20)["mean"]
    errors = [np.sqrt(np.mean((mean - truth) ** 2)) for mean in (curve["mean"], plain)]
    assert errors[0] < errors[1]


def test_a_surface_is_on_the_grid_of_its_values():
    model = fitted("choices", n=200)
    surface = model.marginal(("optimiser", "learning_rate"), n_points=7)
    assert list(surface["parameter_x"].unique()) == ["learning_rate"]
    assert len(surface) == 7 * 3
    assert surface["y"].unique().tolist() == ["sgd", "adam", "rmsprop"]
    assert (surface["low"] < surface["high"]).all()
    # The mean over one of them is the curve of the other.
    forest = fitted("choices", n=200, estimand="forest")
    grid = forest.marginal(("optimiser", "learning_rate"), n_points=7)
    curve = forest.marginal("learning_rate", n_points=7)
    np.testing.assert_allclose(grid.groupby("x")["mean"].mean(), curve["mean"], rtol=1e-9)
    with pytest.raises(ok.UsageError, match="expected one hyperparameter or two different ones"):
        model.marginal(("optimiser", "optimiser"))


def test_time_can_be_explained_as_well():
    frame = trials(120, ("V",), n_diverged=0)
    table = ok.fanova(frame, space=ok.ODYSSEY_SPACE, target="seconds").importances()
    assert table["parameters"].iloc[0] == "hidden_size"
    assert table["share"].iloc[0] > 0.95


# ---- other people's tables ------------------------------------------------------------------


def test_anybodys_table_will_do():
    s = SURFACES["choices"]
    units, values = s.draw(150, 0, 0.3)
    foreign = s.table(units).assign(error=values, state="TrialState.COMPLETE")
    model = ok.fanova(foreign, target="error", space=s.space)
    assert model.importances()["parameters"].iloc[0] == "learning_rate"
    optuna = foreign.rename(columns={name: f"params_{name}" for name in s.space})
    np.testing.assert_allclose(
        ok.fanova(optuna, target="error", space=s.space).importances()["share"], model.importances()["share"]
    )
    guessed = ok.guess_space(optuna)
    assert {name: type(law).__name__ for name, law in guessed.items()} == {
        "learning_rate": "LogUniform",
        "optimiser": "Categorical",
        "layers": "UniformInteger",
        "dropout": "Uniform",
    }


def test_ranks_are_not_ruled_by_absurd_values():
    frame = trials(120, ("V",), n_diverged=3)
    frame.loc[frame["test_metric"].nlargest(2).index, "test_metric"] = 1e12
    model = ok.fanova(frame, space=ok.ODYSSEY_SPACE, transform="rank")
    assert model.oob_r2_ > 0.5
    stated = ok.fanova(frame, space=ok.ODYSSEY_SPACE, cap=20.0, diverged=20.0)
    assert stated.n_set_to_worst_ == 3
    assert stated._values.max() == 20.0
    with pytest.raises(ok.UsageError, match="transform is 'log', expected one of None, 'rank'"):
        ok.fanova(frame, space=ok.ODYSSEY_SPACE, transform="log")


# ---- for a page -----------------------------------------------------------------------------


def test_a_page_can_compute_shares_by_itself():
    s = SURFACES["choices"]
    units, values = s.draw(200, 0, 0.3)
    model = ok.FunctionalANOVA(space=s.space, estimand="forest", n_trees=64).fit(s.table(units), values)
    text = model.to_json()
    assert len(text) < 400_000
    data = json.loads(text)
    # As the page would: widths of boxes from cuts, marginals from differences.
    shares = []
    for tree in data["trees"]:
        cuts = [
            [i / len(p["atoms"]) for i in range(len(p["atoms"]) + 1)] if p["type"] == "Categorical" else [0, *c, 1]
            for p, c in zip(data["parameters"], tree["cuts"], strict=True)
        ]
        mass = []
        for p, c in zip(data["parameters"], cuts, strict=True):
            atoms = list(zip(p.get("atoms", ()), p.get("mass", ()), strict=True))
            mass.append(np.array([sum(m for a, m in atoms if a <= x) for x in c] if atoms else c))
        start, stop = np.array(tree["start"]), np.array(tree["stop"])
        width = np.array([m[b] - m[a] for m, a, b in zip(mass, start, stop, strict=True)])
        value = np.array(tree["value"])
        mean = (width.prod(axis=0) * value).sum()
        total = (width.prod(axis=0) * (value - mean) ** 2).sum()
        steps = np.zeros(len(mass[0]))
        weight = value * width[1:].prod(axis=0)
        np.add.at(steps, start[0], weight)
        np.add.at(steps, stop[0], -weight)
        shares.append((np.diff(mass[0]) * (steps.cumsum()[:-1] - mean) ** 2).sum() / total)
    expected = model.importances(estimand="tree").set_index("parameters").loc["learning_rate", "share"]
    assert np.mean(shares) == pytest.approx(expected, abs=1e-4)
    assert data["importances"][0]["parameters"] == "learning_rate"
    assert data["n_trees"] == 64


@pytest.mark.slow
def test_the_uncertainty_of_a_share_is_that_of_redrawn_tables():
    # Forty tables: the standard error that each claims, and the spread of the shares between them.
    shares, errors = [], []
    for seed in range(40):
        found: Shares = fitted(seed=700 + seed)._effects(None).shares
        shares.append(found.share)
        errors.append(np.sqrt(found.variance))
    ratio = np.mean(errors, axis=0) / np.std(shares, axis=0, ddof=1)
    # A standard deviation of forty values is known to about a ninth.
    assert np.all((ratio[[0, 1, 3, 4]] > 0.65) & (ratio[[0, 1, 3, 4]] < 1.5))


def test_an_estimate_below_zero_has_an_interval_that_reaches_zero():
    """With much noise both roots of the inversion may lie above zero, though the estimate does not."""
    layers, rng = np.arange(200) % 4 + 1, np.random.default_rng(2)
    below = 0
    for seed in range(6):
        table = pd.DataFrame({"layers": rng.permutation(layers), **{c: rng.random(200) for c in "xyz"}})
        space = {"layers": ok.UniformInteger(low=1, high=4), **{c: ok.Uniform(low=0.0, high=1.0) for c in "xyz"}}
        model = ok.FunctionalANOVA(space=ok.SearchSpace(space), random_state=seed)
        found = model.fit(table, table["layers"] + 0.5 * rng.standard_normal(200)).importances(2)
        negative = found[found["share"] <= 0]
        below += len(negative)
        assert (negative["low"] == 0).all() and (found["low"] <= found["high"]).all()
    assert below > 0


@pytest.mark.parametrize("prior", [ok.UniformInteger(low=1, high=10), lambda n: n / 10])
def test_a_prior_wider_than_the_space_is_cut_to_it(prior):
    """What it has below 4 belongs to no value; it is not heaped on the first."""
    space = ok.SearchSpace({"layers": ok.UniformInteger(low=4, high=6), "x": ok.Uniform(low=0.0, high=1.0)})
    (layers, _) = measures(space, {"layers": prior})
    np.testing.assert_allclose(layers.mass, 1 / 3)
