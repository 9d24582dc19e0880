"""The plan is a pure function of the study: the same draws, seeds and keys for ever, whatever else is run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

from odyssey_kit.search import STUDIES
from odyssey_kit.search.study import BLOCK
from odyssey_kit.training import canonical_json

V, NP, FGR = (ok.variant(name) for name in ("V", "NP", "FGR"))


def study(**settings) -> ok.StudySpec:
    defaults = {"name": "demo", "tasks": ("jsb-chorales", "bach-chorales"), "variants": (V, NP, FGR), "n_trials": 5}
    return ok.StudySpec(**{**defaults, **settings})


def keys(of: ok.StudySpec) -> set[str]:
    return {spec.key for spec in of.plan()}


# ---- pure -----------------------------------------------------------------------------------


def test_the_plan_is_the_same_each_time():
    assert [spec.to_dict() for spec in study().plan()] == [spec.to_dict() for spec in study().plan()]


def test_the_plan_is_each_cell_times_the_draws():
    plan = study().plan()
    assert len(plan) == 2 * 3 * 5
    cells = {(spec.task, spec.variant.name, spec.index) for spec in plan}
    assert len(cells) == len(plan)
    assert {index for *_, index in cells} == set(range(5))
    assert len(keys(study())) == len(plan), "no key occurs twice"


@pytest.mark.parametrize("more", [6, 13, 40])
def test_the_first_draws_never_depend_on_how_many_are_asked_for(more):
    few, many = study(n_trials=5), study(n_trials=more)
    assert keys(few) == {spec.key for spec in many.plan() if spec.index < 5}


def test_a_draw_does_not_depend_on_what_else_is_in_the_study():
    alone = study(tasks=("bach-chorales",), variants=(FGR,))
    assert keys(alone) < keys(study())
    assert keys(study(variants=(FGR, NP, V), title="other words")) == keys(study())


def test_every_setting_that_changes_numbers_changes_all_keys():
    for setting in (
        {"name": "other"},
        {"seed": 2016},
        {"paired": True},
        {"protocol": ok.Protocol(max_epochs=3)},
        {"numerics": 99},
    ):
        assert not keys(study()) & keys(study(**setting)), setting


def test_draws_do_not_depend_on_the_protocol():
    """So that two arms of a study can be compared draw by draw."""
    one, other = study(), study(name="raw", protocol=ok.Protocol(lr_mode="raw"))
    assert [(s.params, s.seed) for s in one.plan()] == [(s.params, s.seed) for s in other.plan()]


def test_paired_variants_see_the_same_draws_and_seeds():
    def seen(of: ok.StudySpec, cell: ok.LSTMVariant) -> list:
        return [(of.trial("jsb-chorales", cell, i).params, of.trial("jsb-chorales", cell, i).seed) for i in range(5)]

    paired, unpaired = study(paired=True), study()
    assert seen(paired, V) == seen(paired, FGR)
    assert all(one[0] != other[0] for one, other in zip(seen(unpaired, V), seen(unpaired, FGR), strict=True))
    assert all(one[1] != other[1] for one, other in zip(seen(unpaired, V), seen(unpaired, FGR), strict=True))
    across = paired.trial("jsb-chorales", V, 0), paired.trial("bach-chorales", V, 0)
    assert across[0].params != across[1].params, "tasks have draws of their own"


def test_seeds_differ_from_draw_to_draw():
    plan = study().plan()
    assert len({spec.seed for spec in plan}) == len(plan)
    assert all(len(spec.seed) == 32 and int(spec.seed, 16) >= 0 for spec in plan)


# ---- keys -----------------------------------------------------------------------------------


def test_a_key_is_what_it_was():
    spec = ok.named_study("first-light").trial("jsb-chorales", V, 0)
    assert spec.params == {
        "hidden_size": 34,
        "learning_rate": 3.40347330155e-05,
        "momentum": 0.967046544499,
        "input_noise_std": 0.702798016116,
    }, "the draws themselves have changed, and with them every key; see below"
    assert spec.key == "86d998a9d164952d", (
        "The key of a trial has changed, so every trial that was published or stored under its old key is orphaned: "
        "it would be run again, and its old row never found. Change it back. If the numbers of a trial really have "
        "changed, raise NUMERICS, say so in the changelog, and publish the studies anew."
    )


def test_published_trials_are_found_under_the_keys_of_the_plan():
    """The rows in results_cache/ and the plan of the same study are one and the same."""
    from odyssey_kit.search import published_folder, published_results

    published = published_results(published_folder("first-light"))
    if not published:
        pytest.skip("results_cache/first-light is not here")
    assert {spec.key for spec, _ in published} <= keys(ok.named_study("first-light"))
    assert all(spec.key == result.key for spec, result in published)


def test_a_key_is_sixteen_hexadecimal_digits_of_its_canonical_json():
    spec = study().plan()[0]
    text = canonical_json(spec.to_dict())
    assert spec.key == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert json.loads(text) == spec.to_dict()


def test_canonical_json_is_one_text_whatever_the_order():
    assert canonical_json({"b": [1, 0.1], "a": {"d": None, "c": True}}) == '{"a":{"c":true,"d":null},"b":[1,0.1]}'
    shuffled = dict(reversed(study().plan()[0].to_dict().items()))
    assert canonical_json(shuffled) == canonical_json(study().plan()[0].to_dict())
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"rate": float("nan")})


def test_words_about_a_variant_are_no_part_of_the_key():
    renamed = V.replace(title="plain")
    assert study().trial("jsb-chorales", renamed, 0).key == study().trial("jsb-chorales", V, 0).key


# ---- order ----------------------------------------------------------------------------------


def test_the_order_is_in_blocks_of_ten_draws_a_cell_the_largest_first():
    plan = study(n_trials=25).plan()
    blocks = [spec.index // BLOCK for spec in plan]
    assert blocks == sorted(blocks), "what is finished is a balanced prefix"
    assert {block: blocks.count(block) for block in set(blocks)} == {0: 60, 1: 60, 2: 30}
    for one, other in pairwise(plan):
        if one.index // BLOCK == other.index // BLOCK:
            assert _size(one) >= _size(other)


def _size(spec: ok.TrialSpec) -> int:
    hidden = spec.params["hidden_size"]
    return spec.variant.parameter_count(input_size=hidden, hidden_size=hidden)


# ---- plain data and back --------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_survives_json(name):
    named = ok.named_study(name)
    again = ok.StudySpec.from_dict(json.loads(json.dumps(named.to_dict())))
    assert again == named
    assert again.to_dict() == named.to_dict()
    assert [s.key for s in dataclasses.replace(again, n_trials=3).plan()] == [
        s.key for s in dataclasses.replace(named, n_trials=3).plan()
    ]


def test_a_trial_survives_json():
    for spec in study(space=ok.ODYSSEY_SPACE).plan():
        again = ok.TrialSpec.from_dict(json.loads(canonical_json(spec.to_dict())))
        assert again == spec
        assert again.key == spec.key


def test_the_order_of_a_space_is_the_order_of_drawing():
    """So it must survive whatever a study is written to and read from."""
    turned = ok.SearchSpace(dict(reversed(list(ok.ODYSSEY_SPACE.items()))))
    assert not keys(study()) & keys(study(space=turned))
    again = ok.StudySpec.from_dict(json.loads(json.dumps(study(space=turned).to_dict())))
    assert keys(again) == keys(study(space=turned))


def test_what_a_study_does_not_search_takes_its_default_and_is_stored():
    rate = ok.LogUniform(low=1e-4, high=1e-2)
    space = ok.SearchSpace({"learning_rate": rate, "hidden_size": ok.Categorical(choices=(8,))})
    params = study(space=space).plan()[0].params
    assert params.keys() == ok.ODYSSEY_SPACE.keys()
    assert (params["momentum"], params["input_noise_std"], params["hidden_size"]) == (0.0, 0.0, 8)


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": ""}, "expected a name of letters"),
        ({"name": "two words"}, "study 'two words': expected a name"),
        ({"name": "../up"}, "expected a name"),
        ({"name": ".."}, "expected a name"),
        ({"tasks": ()}, "at least one task"),
        ({"tasks": ("a", "a")}, "tasks must differ, got a, a"),
        ({"variants": ()}, "at least one variant"),
        ({"variants": (V, NP, V)}, "different names, got V, NP, V"),
        ({"n_trials": 0}, "n_trials is 0, expected at least 1"),
    ],
)
def test_a_study_that_cannot_be_is_refused(settings, said):
    with pytest.raises(ok.UsageError, match=said):
        study(**settings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 3}, "study: unknown setting epochs; known: name, title, tasks"),
        ({"protocol": {"max_epoch": 3}}, "protocol: unknown setting max_epoch; known: .*max_epochs"),
        ({"protocol": {"lr_mode": "cooked"}}, "lr_mode is 'cooked', expected one of 'rescaled', 'raw'"),
        ({"space": {"momentum": {"type": "Beta"}}}, "'momentum' has type 'Beta'"),
        ({"space": {"momentum": 0.9}}, "study 'demo': search space: 'momentum' is 0.9, expected a mapping"),
        ({"n_trials": 0}, "^study 'demo': n_trials is 0, expected at least 1$"),
        ({"variants": [{"name": "V", "input_gates": True}]}, "study 'demo': .*input_gates"),
        ({"variants": [{"name": "V", "input_gate": "open"}]}, "input_gate is 'open', expected one of True, False"),
    ],
)
def test_a_description_with_a_setting_that_is_not_known_is_refused(change, said):
    with pytest.raises(ok.UsageError, match=said):
        ok.StudySpec.from_dict({**study().to_dict(), **change})


def test_a_description_without_what_it_needs_is_refused():
    with pytest.raises(ok.UsageError, match=r"study 'x': .*'tasks' and 'variants'"):
        ok.StudySpec.from_dict({"name": "x"})


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"hidden_size": 20, "learning_rate": 0.1, "dropout": 0.5}, "got parameters dropout, .*; expected hidden_size"),
        ({"hidden_size": 20}, "got parameters hidden_size, input_noise_std, momentum; expected .*learning_rate"),
        ({"hidden_size": 20.5, "learning_rate": 0.1}, "hidden_size is 20.5, expected a whole number"),
        ({"hidden_size": 0, "learning_rate": 0.1}, "hidden_size is 0, expected a whole number from 1"),
        ({"hidden_size": 20, "learning_rate": -0.1}, "learning_rate is -0.1, expected a finite number from 0"),
        ({"hidden_size": 20, "learning_rate": float("nan")}, "learning_rate is nan"),
        (
            {"hidden_size": 20, "learning_rate": 0.1, "momentum": 1.5},
            "momentum is 1.5, expected a number from 0 to less than 1",
        ),
    ],
)
def test_parameters_that_no_trial_has_are_refused(params, said):
    with pytest.raises(ok.UsageError, match=said):
        ok.TrialSpec(study="demo", task="jsb-chorales", variant=V, index=0, seed="2a", params=params)


def test_a_space_that_names_another_parameter_is_refused_when_it_is_planned():
    space = ok.SearchSpace({**ok.ODYSSEY_SPACE, "dropout": ok.Uniform(low=0.0, high=1.0)})
    with pytest.raises(ok.UsageError, match="got parameters dropout"):
        study(space=space).plan()


def test_an_unknown_study_is_refused_by_name():
    with pytest.raises(ok.UsageError, match="no study is called 'first-lite'; did you mean first-light"):
        ok.named_study("first-lite")


# ---- the law of the draws -------------------------------------------------------------------


@pytest.fixture(scope="module")
def draws() -> list[dict[str, float]]:
    of = study(n_trials=1)
    return [of.trial("jsb-chorales", V, index).params for index in range(2000)]


@pytest.mark.parametrize("name", ok.ODYSSEY_SPACE)
def test_draws_lie_in_the_space_and_follow_its_law(draws, name):
    law = ok.ODYSSEY_SPACE[name]
    values = np.array([params[name] for params in draws])
    low, high = law.from_unit(0.0), law.from_unit(1.0)
    assert low <= values.min() < values.max() <= high
    units = np.array([law.to_unit(value) for value in values])
    if name == "hidden_size":
        # Whole numbers are spread over their shares again, or the steps alone would fail the test.
        edges = np.array([[law.to_unit(value - 0.5), law.to_unit(value + 0.5)] for value in values])
        units = edges[:, 0] + np.random.default_rng(0).random(len(units)) * (edges[:, 1] - edges[:, 0])
        assert {20, 200} <= set(values), "both ends are drawn"
    assert stats.kstest(units, "uniform").pvalue > 0.01


def test_draws_of_different_parameters_have_nothing_to_do_with_each_other(draws):
    units = np.array([ok.ODYSSEY_SPACE.to_unit(params) for params in draws])
    correlations = np.corrcoef(units.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(len(draws))
    successive = [np.corrcoef(column[:-1], column[1:])[0, 1] for column in units.T]
    assert np.abs(successive).max() < 4 / np.sqrt(len(draws))
