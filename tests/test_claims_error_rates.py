"""How often the rules are wrong when the truth is known: simulated tables of trials, verdict by verdict.

A verdict is wrong where the truth is the opposite, or lies on the border of what the rule asks for. The few
simulations here are a smoke test with wide bounds; the many are marked slow and hold the nominal levels.
"""

from __future__ import annotations

from collections.abc import Callable

import made_up_claims as made
import pandas as pd
import pytest

import odyssey_kit as ok
from odyssey_kit.analysis.claims import claims, conventions
from odyssey_kit.analysis.claims.findings import CONTRADICTED, REPRODUCED

MARGIN = conventions().tasks["jsb-chorales"].margin


def _selected(effect: float, agreement: float, seed: int, variants: tuple[str, ...] = ("X",)) -> pd.DataFrame:
    """Return vanilla and variants that all have the same effect."""
    return made.selected({"V": 0.0, **dict.fromkeys(variants, effect)}, agreement=agreement, seed=seed)


def _verdict(name: str, frame: pd.DataFrame) -> str:
    return ok.check_claims(name, evidence=made.evidence(claims()[name], frame))[name].verdict


def _count(name: str, wrong: str, make: Callable[[int], pd.DataFrame], times: int) -> int:
    return sum(_verdict(name, make(seed)) == wrong for seed in range(times))


# claim, what would be wrong, the true effect, the nominal level of that error
CASES = {
    "no difference is not called one (O8)": ("O8", REPRODUCED, "FGR", 0.0, 0.00625 / 2),
    "a difference at the margin is not called equivalent (O4)": ("O4", REPRODUCED, "CIFG", MARGIN, 0.05),
    "no difference is not called a contradiction (O4)": ("O4", CONTRADICTED, "CIFG", 0.0, 0.00625),
    "a difference at the margin does not contradict one (O8)": ("O8", CONTRADICTED, "FGR", MARGIN, 0.05),
}


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(conventions().selection, "resamples", 2000)


@pytest.mark.parametrize("agreement", [0.0, 0.9])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.split("(")[0].strip().replace(" ", "-"))
def test_errors_are_rare_in_a_few_simulations(case: str, agreement: float) -> None:
    name, wrong, variant, effect, nominal = CASES[case]
    times = 30
    found = _count(name, wrong, lambda seed: _selected(effect, agreement, seed, (variant,)), times)
    assert made.holds(found, times, nominal), f"{found} wrong verdicts of {times}"


@pytest.mark.slow
@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.split("(")[0].strip().replace(" ", "-"))
def test_errors_are_within_their_nominal_level(case: str, agreement: float) -> None:
    name, wrong, variant, effect, nominal = CASES[case]
    times = 400
    found = _count(name, wrong, lambda seed: _selected(effect, agreement, seed, (variant,)), times)
    print(f"{case}, agreement {agreement}: {found} of {times} = {found / times:.4f}, nominal {nominal:.4f}")
    assert made.holds(found, times, nominal), f"{found} wrong verdicts of {times}"


@pytest.mark.slow
@pytest.mark.parametrize("agreement", [0.0, 0.9])
@pytest.mark.parametrize(
    ("name", "variants", "times", "nominal"),
    [("O6", ("CIFG",), 300, 0.025), ("O11", ("NIG", "NIAF"), 300, 0.05 + 0.0025), ("O16", made.EIGHT, 60, 0.0125)],
)
def test_alike_variants_are_rarely_told_apart(
    name: str, variants: tuple[str, ...], times: int, nominal: float, agreement: float
) -> None:
    """Best trials, signs and effect sizes in a world without differences: any decision is wrong."""
    verdicts = [_verdict(name, _selected(0.0, agreement, seed, variants)) for seed in range(times)]
    found = sum(verdict in (REPRODUCED, CONTRADICTED) for verdict in verdicts)
    print(f"{name}, agreement {agreement}: {found} of {times}, nominal {nominal:.4f}")
    assert made.holds(found, times, nominal), f"{found} wrong verdicts of {times}"


@pytest.mark.slow
@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.9])
def test_one_of_eight_alike_variants_is_rarely_called_better(agreement: float) -> None:
    """O1 in a world without differences: contradicted in at most 5 % of the tables, over all eight together."""
    times = 200
    found = _count("O1", CONTRADICTED, lambda seed: _selected(0.0, agreement, seed, made.EIGHT), times)
    print(f"O1, agreement {agreement}: {found} of {times}")
    assert made.holds(found, times, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.9])
def test_a_better_variant_is_rarely_overlooked_by_non_inferiority(agreement: float) -> None:
    """O1 where one of the eight is better by δ: reproduced in at most 5 % of the tables."""
    times = 200

    def make(seed: int) -> pd.DataFrame:
        frame = _selected(0.0, agreement, seed, made.EIGHT)
        better = frame["variant"].eq("NP")
        frame.loc[better, ["valid_metric", "test_metric"]] -= MARGIN
        return frame

    found = _count("O1", REPRODUCED, make, times)
    print(f"O1, one better by the margin, agreement {agreement}: {found} of {times}")
    assert made.holds(found, times, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "wrong", "law", "nominal"),
    [
        ("O33", REPRODUCED, lambda d: made.hinge(d, low=0.0, high=0.0), 0.01 / 2),
        ("O33", CONTRADICTED, lambda d: made.hinge(d, low=0.0, high=0.0), 0.01),
        ("O25", REPRODUCED, lambda d: made.by_rate(d, below=0.0, above=1.0), 0.05 / 7 / 2),
        ("O31", CONTRADICTED, lambda d: made.by_size(d, first=0.0, last=0.0), 0.02),
        ("O34", REPRODUCED, lambda d: made.dip(d, depth=0.0), 0.01 / 2),
        ("O19", REPRODUCED, made.shares(r=0.99, m=0.01), 0.05 / 6),
        ("O17", REPRODUCED, made.shares(r=0.6667, h=0.3333), 0.05 / 6),
        ("O17", CONTRADICTED, made.shares(r=0.6667, h=0.3333), 0.05 / 6),
    ],
)
def test_statements_about_hyperparameters_err_within_their_level(
    name: str, wrong: str, law: made.Law, nominal: float
) -> None:
    times = 60 if name in ("O17", "O19") else 300
    found = sum(
        _verdict(name, made.table(["V"], task=made.first_task(claims()[name]), law=law, spread=0.3, seed=seed)) == wrong
        for seed in range(times)
    )
    print(f"{name} {wrong}: {found} of {times}, nominal {nominal:.4f}")
    assert made.holds(found, times, nominal), f"{found} wrong verdicts of {times}"
