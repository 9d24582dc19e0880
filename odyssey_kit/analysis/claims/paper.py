"""What a paper itself gives for a claim: its own numbers, from the published tables, and its slips.

May import `ledger` and `analysis.published`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pandas as pd

from odyssey_kit.analysis.claims.ledger import Claim, conventions
from odyssey_kit.analysis.published import load_published, published_errata, retest_published

__all__ = ["paper_numbers", "paper_slips"]

_SHARES = ("learning_rate", "hidden_size", "input_noise_std", "momentum")
_WORDS = {"learning_rate": "learning rate", "hidden_size": "size", "input_noise_std": "input noise"}


def _own_tasks(claim: Claim) -> list[str]:
    known = conventions().tasks.values()
    return [task.name for task in known if task.own and task.role in claim.roles]


def _row(task: str, what: str, value: float, low: float, high: float, unit: str) -> dict[str, object]:
    return {"task": task, "what": what, "value": value, "low": low, "high": high, "unit": unit}


def _differences(claim: Claim) -> list[dict[str, object]]:
    """Return the differences of the published boxes, with intervals from a re-test of them."""
    named = claim.settings.get("variants") or [claim.settings.get("variant"), claim.settings.get("coupled")]
    tests = retest_published()
    rows = tests[tests["task"].isin(_own_tasks(claim)) & tests["variant"].isin(named)].dropna(subset="difference")
    return [
        _row(
            row["task"],
            f"{row['variant']} − V, best tenths{', painted significant' if row['painted_significant'] else ''}",
            row["difference"],
            row["low"],
            row["high"],
            conventions().tasks[row["task"]].unit,
        )
        for _, row in rows.iterrows()
    ]


def _pie(*names: str) -> Callable[[Claim], list[dict[str, object]]]:
    def shares(claim: Claim) -> list[dict[str, object]]:
        frame = load_published("odyssey-figure5").frame
        rows = frame[frame["task"].isin(_own_tasks(claim)) & frame["parameters"].isin(names)]
        nan = float("nan")
        return [
            _row(
                row["task"], f"share of {_WORDS.get(row['parameters'], row['parameters'])}", row["share"], nan, nan, "%"
            )
            for _, row in rows.iterrows()
        ]

    return shares


def _ends_of_a_curve(parameter: str, quantity: str = "metric") -> Callable[[Claim], list[dict[str, object]]]:
    """Return first, lowest and last point of a published marginal."""

    def points(claim: Claim) -> list[dict[str, object]]:
        frame = load_published("odyssey-figure4").frame
        found, nan = [], float("nan")
        for task in _own_tasks(claim):
            curve = frame[
                frame["task"].eq(task) & frame["parameter"].eq(parameter) & frame["quantity"].eq(quantity)
            ].reset_index(drop=True)
            unit = conventions().tasks[task].unit if quantity == "metric" else "hours"
            for place in dict.fromkeys((0, int(curve["marginal"].argmin()), len(curve) - 1)):
                at = f"{_WORDS.get(parameter, parameter)} {curve['value'][place]:.3g}"
                found.append(_row(task, f"marginal {quantity} at {at}", curve["marginal"][place], nan, nan, unit))
        return found

    return points


def _text(table: str, words: str) -> Callable[[Claim], list[dict[str, object]]]:
    def numbers(claim: Claim) -> list[dict[str, object]]:
        frame = load_published(table).frame
        rows = frame[frame["quantity"].str.contains(words)]
        nan = float("nan")
        return [
            _row(row.get("task", ""), row["quantity"], row["value"], nan, nan, row["unit"])
            for _, row in rows.iterrows()
            if not row.get("task", "") or row["task"] in _own_tasks(claim)
        ]

    return numbers


# quantity -> the published table, and what is taken from it
_FROM: Mapping[str, tuple[str, Callable[[Claim], list[dict[str, object]]]]] = MappingProxyType(
    {
        "difference": ("odyssey-figure3", _differences),
        "equivalence": ("odyssey-figure3", _differences),
        "non_inferiority": ("odyssey-figure3", _differences),
        "slightly_better": ("odyssey-figure3", _differences),
        "interaction": ("odyssey-figure3", _differences),
        "share_above": ("odyssey-figure5", _pie("learning_rate")),
        "share_below": ("odyssey-figure5", _pie("momentum")),
        "raw_momentum_share": ("odyssey-figure5", _pie("momentum")),
        "share_order": ("odyssey-figure5", _pie(*_SHARES)),
        "interactions_within": ("odyssey-figure5", _pie("higher order")),
        "largest_pair": ("odyssey-figure5", _pie("higher order")),
        "basin_width": ("odyssey-figure4", _ends_of_a_curve("learning_rate")),
        "optimum_by_task": ("odyssey-figure4", _ends_of_a_curve("learning_rate")),
        "sweet_spot": ("odyssey-figure4", _ends_of_a_curve("learning_rate", "hours")),
        "diminishing_returns": ("odyssey-figure4", _ends_of_a_curve("hidden_size")),
        "time_grows_with_size": ("odyssey-figure4", _ends_of_a_curve("hidden_size", "hours")),
        "noise_hurts": ("odyssey-figure4", _ends_of_a_curve("input_noise_std")),
        "noise_dip": ("odyssey-figure4", _ends_of_a_curve("input_noise_std")),
        "pair_without_structure": ("odyssey-text", _text("odyssey-text", "share of learning rate × momentum")),
        "absolute_level": ("odyssey-text", _text("odyssey-text", "best trial by validation")),
        "expected_best": ("odyssey-text", _text("odyssey-text", "best trial by validation")),
        "tenth_best": ("breuel-text", _text("breuel-text", "ten best")),
        "best_error": ("breuel-text", _text("breuel-text", "best of all")),
        "optimum_step": ("breuel-text", _text("breuel-text", "steps to the lowest")),
    }
)
_COLUMNS = ["task", "what", "value", "low", "high", "unit"]


def paper_numbers(claim: Claim) -> tuple[pd.DataFrame, str]:
    """Return the paper's own numbers for a claim, and where they are from and how exact.

    Returns
    -------
    pandas.DataFrame
        Columns ``task``, ``what``, ``value``, ``low``, ``high``, ``unit``; empty where the paper gives none.
        Intervals of differences are 95 %, from a re-test of the drawn boxes.
    str
        Source and reading error; empty with an empty table.
    """
    if claim.quantity not in _FROM or claim.settings.get("target", "test_metric") != "test_metric":
        return pd.DataFrame(columns=_COLUMNS), ""
    name, numbers = _FROM[claim.quantity]
    frame = pd.DataFrame(numbers(claim), columns=_COLUMNS)
    if frame.empty:
        return frame, ""
    table = load_published(name)
    return frame, f"{table.source}; {table.error}"


def paper_slips(claim: Claim) -> list[str]:
    """Return the slips of the paper that bear on a claim, in words."""
    frame = published_errata(claim.paper)
    rows = frame[frame["bears_on"].eq(claim.id)]
    return [f"{row['where']}: {row['says']}. But {row['but']}." for _, row in rows.iterrows()]
