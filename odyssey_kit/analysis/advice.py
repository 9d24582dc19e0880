"""What a table of trials advises, in words: what to tune first, where the good values lie, what differs.

May import `analysis.functional_anova` and `analysis.significance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from odyssey_kit.analysis.functional_anova import WEAK_FIT, FunctionalANOVA
from odyssey_kit.analysis.significance import Comparison

__all__ = ["advice_of", "basin_of_curve", "basin_words", "comparison_words", "value_words"]

# A hyperparameter whose interval ends below this alone, and that is in no pair, does not matter much.
_NEGLIGIBLE = 0.05
_SIDES = {"lower": "low", "upper": "high"}


def basin_of_curve(curve: pd.DataFrame) -> dict[str, Any]:
    """Return where a marginal curve is lowest, and the values around it within a tenth of its range.

    Choices without an order have no values around the best one: ``low`` and ``high`` are the best then, and
    ``as_good`` names the others within a tenth.
    """
    ordered = pd.api.types.is_numeric_dtype(curve["value"]) and not pd.api.types.is_bool_dtype(curve["value"])
    curve = curve.sort_values("value") if ordered else curve.sort_values("mean", kind="stable")
    mean = curve["mean"].to_numpy(float)
    lowest = int(mean.argmin())
    good = mean <= mean[lowest] + np.ptp(mean) / 10
    beyond = np.flatnonzero(~good) if ordered else np.arange(1, len(mean))
    left, right = beyond[beyond < lowest], beyond[beyond > lowest]
    first, last = (left[-1] + 1 if len(left) else 0), (right[0] - 1 if len(right) else len(mean) - 1)
    values = curve["value"].tolist()
    return {
        "parameter": curve["parameter"].iloc[0],
        "best": values[lowest],
        "low": values[first],
        "high": values[last],
        "as_good": () if ordered else tuple(curve["value"][good].tolist()[1:]),
        "open_low": ordered and first == 0,
        "open_high": ordered and last == len(mean) - 1,
        "mean_at_best": float(mean[lowest]),
        "mean_at_worst": float(mean.max()),
    }


def _percent(value: float) -> str:
    return f"{100 * max(value, 0.0):.0f} %"


def _between(row: Mapping[Any, Any] | pd.Series) -> str:
    return "" if pd.isna(row["low"]) else f", 90 % interval {_percent(row['low'])} to {_percent(row['high'])}"


def _little_words(row: Mapping[Any, Any], pairs: pd.DataFrame) -> str:
    """Say that a hyperparameter does little, or how much it may still do in a pair: absence needs an upper bound."""
    name = row["parameters"]
    alone = f"alone it explains at most {_percent(row['high'])}"
    partners = pairs["parameters"].map(lambda pair: name in str(pair).split(" × ")).astype(bool)
    mine = pairs[partners].sort_values("high", ascending=False)
    if mine.empty:
        return f"Leave {name} where it is: {alone} (upper end of its 90 % interval)."
    most, at, ends = mine["high"].iloc[0], mine["parameters"].iloc[0], "(upper ends of 90 % intervals)"
    if most < _NEGLIGIBLE:
        return f"Leave {name} where it is: {alone}, and in no pair more than {_percent(most)} {ends}."
    return f"Whether {name} matters is not settled: {alone}, but {at} may explain up to {_percent(most)} {ends}."


def advice_of(model: FunctionalANOVA, basins: pd.DataFrame) -> list[str]:
    """Say what to tune first, together, and not at all, and how sure that is."""
    table = model.importances(min(2, len(model.parameters_)))
    effects = table[table["parameters"] != "rest"]
    mains, pairs = effects[effects["order"] == 1], effects[effects["order"] == 2]
    if model.oob_r2_ < WEAK_FIT or effects["share"].isna().any():
        return [
            f"The forest hardly predicts {model.target} (out-of-bag R² {model.oob_r2_:.2f}): no advice rests on "
            "so little. More trials, or a cap on absurd values, may help."
        ]
    first = mains.iloc[0]
    lines = [
        f"Tune {first['parameters']} first: alone it explains {_percent(first['share'])} of the variance of "
        f"{model.target} over the space{_between(first)}."
    ]
    for row in basins.to_dict("records"):
        share = mains.loc[mains["parameters"] == row["parameter"], "share"]
        if float(share.iloc[0]) >= _NEGLIGIBLE:
            lines.append(basin_words(row))
    tied: set[str] = set()
    for row in pairs[pairs["p_holm"] < 0.05].to_dict("records"):
        one, other = str(row["parameters"]).split(" × ")
        beyond = f"beyond what each does alone they explain {_percent(row['share'])}{_between(row)}"
        if row["share"] < _NEGLIGIBLE:
            lines.append(f"{one} and {other} act together, but little: {beyond}.")
        else:
            tied |= {one, other}
            lines.append(f"Tune {one} and {other} together: {beyond}.")
    for row in mains[(mains["high"] < _NEGLIGIBLE) & ~mains["parameters"].isin(tied)].to_dict("records"):
        lines.append(_little_words(row, pairs))
    told = mains["parameters"].isin([first["parameters"], *tied])
    unsure = mains[(mains["low"] <= 0) & (mains["high"] >= _NEGLIGIBLE) & ~told]
    if len(unsure):
        names = ", ".join(f"{r['parameters']} ({_percent(r['share'])}{_between(r)})" for _, r in unsure.iterrows())
        lines.append(f"Not clear from {model.n_trials_} trials whether it matters alone: {names}.")
    lines.append(f"The forest predicts trials that it did not see with R² = {model.oob_r2_:.2f}.")
    if table["note"].iloc[0]:
        lines.append(f"The shares have no intervals: {table['note'].iloc[0]}.")
    return lines


def basin_words(row: Mapping[Any, Any]) -> str:
    """Say where a hyperparameter is best, and how far its good values reach."""
    best = value_words(row["best"])
    ends = f"from {value_words(row['low'])} to {value_words(row['high'])}"
    open_ends = [f"the {which} end" for which, side in _SIDES.items() if row[f"open_{side}"]]
    beyond = f"; it reaches {' and '.join(open_ends)} of what was tried" if open_ends else ""
    if row["low"] == row["high"]:
        others = f"; about as good: {', '.join(map(value_words, row['as_good']))}" if row["as_good"] else ""
        return f"The best {row['parameter']} is {best}, on average over the other settings{others}{beyond}."
    return (
        f"The best {row['parameter']} is near {best}, on average over the other settings; "
        f"{ends} it stays within a tenth of its whole effect{beyond}."
    )


def value_words(value: Any) -> str:
    """Return a value of a hyperparameter as text, a number with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def comparison_words(comparison: Comparison) -> list[str]:
    """Say, task by task, which variants differ from the baseline and which do not."""
    lines = []
    for task, rows in comparison.frame.groupby("task", sort=False):
        on = f" on {task}" if len(comparison.frame["task"].unique()) > 1 else ""
        parts = []
        for verdict, group in rows.groupby("verdict", sort=False):
            parts.append(f"{verdict}: {', '.join(group['variant'])}")
        best = f"best {100 * comparison.top:.3g} % by {comparison.selected_by}"
        lines.append(f"Against {comparison.baseline}{on}, {best}: {'; '.join(parts)}.")
    return lines
