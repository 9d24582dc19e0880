"""A distribution maps the unit interval to natural units and back: the draw and the measure are one map."""

from __future__ import annotations

import copy
import json
import math
import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import odyssey_kit as ok
from odyssey_kit.space import Distribution

UNITS = st.floats(0, 1)
MOMENTUM = ok.ODYSSEY_SPACE["momentum"]


@st.composite
def bounds(draw, least: float, most: float) -> dict[str, float]:
    """Return low < high, far enough apart that a quantile means something in floating point."""
    low = draw(st.floats(least, most))
    high = draw(st.floats(least, most))
    assume(high - low > 1e-6 * max(abs(low), abs(high), 1e-300))
    return {"low": low, "high": high}


@st.composite
def whole_bounds(draw) -> dict[str, float]:
    low = draw(st.integers(1, 1000))
    return {"low": low, "high": draw(st.integers(low + 1, 5000))}


CONTINUOUS = st.one_of(
    st.builds(lambda ends: ok.Uniform(**ends), bounds(-1e6, 1e6)),
    st.builds(lambda ends: ok.LogUniform(**ends), bounds(1e-9, 1e6)),
    st.builds(lambda ends: ok.OneMinusLogUniform(**ends), bounds(1e-4, 1.0)),
)
WHOLE = st.builds(lambda ends: ok.LogUniform(**ends, integer=True), whole_bounds())
CHOICES = st.lists(st.one_of(st.text(max_size=5), st.integers(2, 99)), min_size=1, max_size=6, unique=True)
CATEGORICAL = st.builds(lambda choices: ok.Categorical(choices=tuple(choices)), CHOICES)
LAWS = st.one_of(CONTINUOUS, WHOLE, CATEGORICAL)
ORDERED = st.one_of(CONTINUOUS, WHOLE)


def ends(law: Distribution) -> tuple[float, float]:
    """Return the lowest and the highest value."""
    return (1 - law.high, 1 - law.low) if isinstance(law, ok.OneMinusLogUniform) else (law.low, law.high)


@given(CONTINUOUS, UNITS)
def test_a_continuous_law_goes_there_and_back(law, unit):
    # One minus a small number loses digits that no inverse can bring back, hence the absolute tolerance.
    assert law.to_unit(law.from_unit(unit)) == pytest.approx(unit, abs=1e-8)


@given(WHOLE, st.data())
def test_every_whole_number_is_drawn_from_the_middle_of_its_share(law, data):
    value = data.draw(st.integers(int(law.low), int(law.high)))
    assert law.from_unit(law.to_unit(value)) == value
    # Its share of the unit interval reaches from half a step below to half a step above.
    assert law.to_unit(value - 0.5) < law.to_unit(value) < law.to_unit(value + 0.5)
    assert law.to_unit(law.low - 0.5) == pytest.approx(0, abs=1e-12)
    assert law.to_unit(law.high + 0.5) == pytest.approx(1, abs=1e-12)


@given(CATEGORICAL)
def test_every_choice_comes_back_and_has_the_same_share(law):
    n = len(law.choices)
    for i, choice in enumerate(law.choices):
        assert law.from_unit(law.to_unit(choice)) == choice
        assert law.from_unit((i + 0.25) / n) == law.from_unit((i + 0.75) / n) == choice


@given(ORDERED, UNITS, UNITS)
def test_a_larger_quantile_is_never_a_smaller_value(law, one, other):
    low, high = sorted((one, other))
    assert law.from_unit(low) <= law.from_unit(high)


@given(ORDERED, UNITS)
def test_values_lie_within_the_bounds(law, unit):
    low, high = ends(law)
    slack = 1e-12 * max(abs(low), abs(high))
    assert low - slack <= law.from_unit(unit) <= high + slack
    assert law.from_unit(0.0) == pytest.approx(low, abs=slack)
    assert law.from_unit(1.0) == pytest.approx(high, abs=slack)


@given(WHOLE, UNITS)
def test_whole_numbers_are_ints(law, unit):
    assert type(law.from_unit(unit)) is int


def test_the_median_momentum_is_nine_tenths():
    """1 - momentum is log-uniform on [0.01, 1], so half of all draws lie above 0.9."""
    assert MOMENTUM.from_unit(0.5) == pytest.approx(0.9)
    assert (MOMENTUM.from_unit(0.0), MOMENTUM.from_unit(1.0)) == (0.0, pytest.approx(0.99))


def test_the_space_of_the_odyssey_is_that_of_the_paper():
    at = {quantile: ok.ODYSSEY_SPACE.from_unit([quantile] * 4) for quantile in (0.0, 0.5, 1.0)}
    assert list(ok.ODYSSEY_SPACE) == ["hidden_size", "learning_rate", "momentum", "input_noise_std"]
    assert [at[q]["hidden_size"] for q in at] == [20, 63, 200]
    assert [at[q]["learning_rate"] for q in at] == [pytest.approx(rate) for rate in (1e-6, 1e-4, 1e-2)]
    assert [at[q]["input_noise_std"] for q in at] == [0.0, 0.5, 1.0]


@given(st.dictionaries(st.text(min_size=1, max_size=8), LAWS, min_size=1, max_size=5), st.data())
def test_a_space_survives_json_copying_and_pickling(laws, data):
    space = ok.SearchSpace(laws)
    units = [data.draw(UNITS) for _ in laws]
    for again in (
        ok.SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))),
        copy.deepcopy(space),
        copy.copy(space),
        pickle.loads(pickle.dumps(space)),
    ):
        assert again == space
        assert hash(again) == hash(space)
        assert list(again) == list(space), "the order is the order of drawing"
        assert again.from_unit(units) == space.from_unit(units)


@given(st.lists(UNITS, min_size=4, max_size=4))
def test_a_configuration_goes_to_the_unit_cube_and_back(units):
    there = ok.ODYSSEY_SPACE.from_unit(units)
    back = ok.ODYSSEY_SPACE.to_unit(there)
    assert back[1:] == pytest.approx(units[1:], abs=1e-9)
    assert ok.ODYSSEY_SPACE.from_unit(back)["hidden_size"] == there["hidden_size"]


def test_a_space_cannot_be_changed():
    with pytest.raises(TypeError):
        ok.ODYSSEY_SPACE["momentum"] = ok.Uniform(low=0.0, high=1.0)
    with pytest.raises(AttributeError):
        MOMENTUM.low = 0.5


def test_a_point_of_another_dimension_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        ok.ODYSSEY_SPACE.from_unit([0.5] * 3)


@pytest.mark.parametrize("kind", [ok.Uniform, ok.LogUniform, ok.OneMinusLogUniform])
@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (1.0, 1.0), (0.1, math.inf), (math.nan, 1.0), (0.5, math.nan)])
def test_bounds_that_bound_nothing_are_refused(kind, low, high):
    with pytest.raises(ok.UsageError, match=rf"{kind.__name__}: expected finite low < high, got low={low}"):
        kind(low=low, high=high)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: ok.LogUniform(low=0.0, high=1.0), "expected low > 0, got 0.0"),
        (lambda: ok.LogUniform(low=-1.0, high=1.0), "expected low > 0, got -1.0"),
        (lambda: ok.LogUniform(low=0, high=3, integer=True), "expected low > 0.5, got 0"),
        (lambda: ok.LogUniform(low=8, high=8.4, integer=True), "expected whole numbers, got low=8, high=8.4"),
        (lambda: ok.OneMinusLogUniform(low=0.0, high=1.0), "expected low > 0, got 0.0"),
        (lambda: ok.Categorical(choices=()), "expected at least one choice, got none"),
    ],
)
def test_a_law_that_has_no_logarithm_or_no_choice_is_refused(build, said):
    with pytest.raises(ok.UsageError, match=said):
        build()


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"type": "Normal", "low": 0, "high": 1}, "'rate' has type 'Normal', expected one of Uniform, UniformI"),
        ({"low": 0, "high": 1}, "'rate' has type None, expected one of"),
        ({"type": "Uniform", "low": 0, "top": 1}, "'rate': .*'top'"),
        ({"type": "Uniform", "low": 0}, "'rate': .*'high'"),
        ({"type": "Uniform", "low": 1, "high": 0}, "Uniform: expected finite low < high, got low=1, high=0"),
    ],
)
def test_a_description_that_is_not_understood_is_refused_by_name(description, said):
    with pytest.raises(ok.UsageError, match=said):
        ok.SearchSpace.from_dict({"rate": description})
