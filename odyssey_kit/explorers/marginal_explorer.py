"""The explorer of marginals: for each variant and metric the shares, the curves and the maps of all pairs.

Every number is the library's own, computed when the widget is made, so that it is live without a
kernel. May import `analysis`, `charts`, `errors` and `space`; what is drawn is in `marginal_explorer.js`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import traitlets

from odyssey_kit import analysis
from odyssey_kit.analysis.checks import check_space
from odyssey_kit.analysis.conditions import check_settings
from odyssey_kit.analysis.interactions import cell_edges
from odyssey_kit.analysis.trials import Trials, as_trials
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts._frames import effect_words
from odyssey_kit.charts.pair_maps import quantile_ticks
from odyssey_kit.charts.palette import variant_colour, variant_order
from odyssey_kit.errors import UsageError
from odyssey_kit.space import Categorical, Distribution, SearchSpace

__all__ = ["MarginalExplorer"]

_HERE = Path(__file__)
# What a column is called, and its unit, where neither the table's metric nor the column's name says it.
_MEASURED = {"seconds": ("processor time of a trial", "seconds"), "epochs": ("epochs of a trial", "epochs")}
_DIGITS = 6


class MarginalExplorer(anywidget.AnyWidget):
    """Shares, marginals and pair maps of any variant and metric, to be picked and read.

    In a notebook it is an ipywidget, whose ``variant`` and ``metric`` can be read and set; in a built page
    it works without a kernel.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Trials of one task; each variant gets a functional ANOVA of its own for each metric.
    metrics : sequence of str
        Columns to explain, lower is better.
    space : SearchSpace, optional
        By default that of the trials.
    cap : float, optional
        Larger losses become this one; of other metrics nothing is capped.
    n_points, n_cells : int
        Points of a curve, and of each side of a map.
    **settings
        Of `FunctionalANOVA`.

    Attributes
    ----------
    variant, metric : str
        What is shown.
    data : dict
        What it shows it from: for each variant and metric ``shares``, ``curves`` and ``maps`` as
        `FunctionalANOVA` and `pair_effects` return them, or why there are ``missing``.

    Raises
    ------
    UsageError
        If there are several tasks, no search space, no metric, or a metric is no column.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> trials = ok.load_trials("first-light").query("variant == 'V'")
    >>> widget = ok.MarginalExplorer(trials, metrics=["test_metric"], n_trees=100)
    >>> widget.variant, widget.metric, widget.data["models"]["V"]["test_metric"]["n"]
    ('V', 'test_metric', 20)
    """

    _esm = _HERE.with_suffix(".js")
    _css = _HERE.with_suffix(".css")
    data = traitlets.Dict().tag(sync=True)
    variant = traitlets.Unicode().tag(sync=True)
    metric = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        trials: Trials | pd.DataFrame,
        *,
        metrics: Sequence[str] = ("test_metric", "seconds"),
        space: SearchSpace | None = None,
        cap: float | None = None,
        n_points: int = 41,
        n_cells: int = 15,
        **settings: Any,
    ) -> None:
        trials = as_trials(trials)
        if len(trials.tasks) != 1:
            raise UsageError(f"the table has {len(trials.tasks)} tasks ({', '.join(trials.tasks)}), expected one")
        space = check_space(space if space is not None else trials.space)
        if not metrics:
            raise UsageError("metrics is empty, expected one column or more, for instance metrics=['test_metric']")
        if missing := [name for name in metrics if name not in trials.frame]:
            raise UsageError(f"the table has no column {', '.join(missing)}; choose metrics among its columns")
        check_settings(analysis.FunctionalANOVA(cap=cap, **settings))  # once, and not as a fault of every variant
        names = variant_order(trials.variants)
        asked = {"space": space, "cap": cap, "n_points": n_points, "n_cells": n_cells, **settings}
        frame = frames.with_settings(trials.frame, metric=metrics[0])
        data = {
            "study": " · ".join([trials.name, f"{len(trials):,} rows", *([trials.hash] if trials.hash else [])]),
            "task": frames.task_words(trials.tasks[0]),
            "parameters": [
                {"name": name, "words": effect_words(name), "ticks": list(map(list, quantile_ticks(name, law).items()))}
                for name, law in space.items()
            ],
            "metrics": [dict(zip(("name", "words", "unit"), _words(frame, name), strict=True)) for name in metrics],
            "variants": [{"name": name, **variant_colour(name, among=names)._asdict()} for name in names],
            "models": {name: {metric: _model(trials, name, metric, **asked) for metric in metrics} for name in names},
            "trials": {name: _trials(frame[frame["variant"].eq(name)], space, metrics) for name in names},
        }
        super().__init__(data=data, variant=names[0], metric=metrics[0])

    @traitlets.validate("variant", "metric")
    def _known(self, proposal: Any) -> str:
        name, wanted = proposal["trait"].name, proposal["value"]
        there = [entry["name"] for entry in self.data.get(f"{name}s", [])]
        if wanted not in there:
            raise UsageError(f"{name} is {wanted!r}, expected one of {', '.join(there)}")
        return wanted


def _words(frame: pd.DataFrame, metric: str) -> tuple[str, str, str]:
    """Return a metric's name, words and unit; of other columns than these the unit is not known, and empty."""
    if metric in _MEASURED:
        return (metric, *_MEASURED[metric])
    if metric not in ("test_metric", "valid_metric"):
        return metric, metric.replace("_", " "), ""
    words, _, unit = frames.metric_words(frame, metric).partition(", ")
    return metric, words, unit


def _values(law: Distribution, values: pd.Series) -> list[Any]:
    """Return choices as words, and numbers as `_numbers` does."""
    return [str(value) for value in values] if isinstance(law, Categorical) else _numbers(values)


def _numbers(values: Iterable[Any]) -> list[float | None]:
    """Return numbers to six significant digits; those that are missing or infinite are None."""
    found = [math.nan if value is None or value is pd.NA else float(value) for value in values]
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in found]


def _model(
    trials: Trials, variant: str, metric: str, *, cap: float | None, n_points: int, n_cells: int, **settings: Any
) -> dict[str, Any]:
    """Return all that is shown of one variant and metric, or why there is nothing."""
    with warnings.catch_warnings():
        # What is warned of is shown: the widget prints the fit beside every share, and says when it is weak.
        warnings.filterwarnings("ignore", message="out-of-bag R2", category=UserWarning)
        try:
            own = cap if metric.endswith("_metric") else None
            model = analysis.fanova(trials, variant=variant, target=metric, cap=own, **settings)
        except UsageError as error:
            return {"missing": str(error)}
    shares = model.importances(min(2, len(model.parameters_)))
    return {
        "n": model.n_trials_,
        "fit": _numbers([model.oob_r2_])[0],
        "weak": bool(shares["rank"].isna().all()),
        "diverged": model.n_diverged_,
        "capped": model.n_capped_,
        "note": str(shares["note"].iloc[0]),
        "shares": [
            {"parameters": name, "words": effect_words(name), **dict(zip(("share", "low", "high"), ends, strict=True))}
            for name, ends in zip(
                shares["parameters"], map(_numbers, shares[["share", "low", "high"]].to_numpy()), strict=True
            )
        ],
        "curves": {name: _curve(model, name, n_points) for name in model.parameters_},
        "maps": _maps(model, n_cells),
    }


def _curve(model: analysis.FunctionalANOVA, name: str, n_points: int) -> dict[str, Any]:
    table = model.marginal(name, n_points=n_points)
    return {
        "value": _values(model.space_[name], table["value"]),
        **{column: _numbers(table[column]) for column in ("quantile", "mean", "low", "high")},
    }


def _maps(model: analysis.FunctionalANOVA, n_cells: int) -> list[dict[str, Any]]:
    if len(model.parameters_) < 2:
        return []
    found = []
    for _, table in analysis.pair_effects(model, n_points=n_cells).groupby("pair", sort=False):
        sides = {}
        for side in "xy":
            own = table.drop_duplicates(f"quantile_{side}").sort_values(f"quantile_{side}")
            law = model.space_[own[f"parameter_{side}"].iloc[0]]
            sides[side] = _values(law, own[side])
            sides[f"{side}_edges"] = _numbers(cell_edges(law, own[f"quantile_{side}"]))
        shape = (len(sides["x"]), len(sides["y"]))
        ordered = table.sort_values(["quantile_x", "quantile_y"])
        found.append(
            {
                "first": table["parameter_x"].iloc[0],
                "second": table["parameter_y"].iloc[0],
                **sides,
                **{
                    name: [_numbers(row) for row in np.reshape(ordered[name].to_numpy(float), shape)]
                    for name in ("mean", "interaction")
                },
            }
        )
    return found


def _trials(frame: pd.DataFrame, space: SearchSpace, metrics: Sequence[str]) -> dict[str, Any]:
    """Return a variant's trials: where they lie in the space, what they reached, and what they are called."""
    said = [name for name in ("settings_rate", "settings_size", "settings_other") if name in frame]
    settings = frame[said].astype(str).agg("; ".join, axis=1) if said else pd.Series("", index=frame.index)
    return {
        "key": frame["key"].astype(str).tolist(),
        "words": settings.tolist(),
        "quantiles": {
            name: _numbers(law.to_unit(value) for value in frame[f"params_{name}"]) for name, law in space.items()
        },
        "values": {metric: _numbers(frame[metric].astype(float)) for metric in metrics},
    }
