"""Figures of a functional ANOVA: shares of the variance, and the curves behind them.

May import `errors` and the other modules of `charts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts._frames import effect_words
from odyssey_kit.charts.palette import INK, PUBLISHED, tint
from odyssey_kit.charts.sentences import percent_words
from odyssey_kit.charts.theme import HEIGHTS, PERCENT, decades, narrow
from odyssey_kit.errors import UsageError

__all__ = ["importance_bars", "marginals"]


def importance_bars(importances: Any) -> alt.LayerChart:
    """Draw the share of the variance that each hyperparameter explains, and the rest.

    Parameters
    ----------
    importances : FunctionalANOVA or pandas.DataFrame
        Columns ``parameters`` and ``share``, as `FunctionalANOVA.importances` returns; ``low`` and
        ``high`` are drawn where they are given; ``sd_over_trees``, ``oob_r2`` and ``n_trials`` go into
        tooltip and description.

    Returns
    -------
    altair.LayerChart
    """
    table = importances if isinstance(importances, pd.DataFrame) else importances.importances()
    known = ["parameters", "share", "low", "high", "sd_over_trees", "oob_r2", "n_trials"]
    table = table.loc[:, [name for name in known if name in table.columns]]
    table = table.assign(
        effect=[effect_words(str(name)) for name in table["parameters"]],
        words=[percent_words(share) for share in table["share"]],
        kind=["rest" if name == "rest" else "effect" for name in table["parameters"]],
    )
    fit = f", out-of-bag R² {table['oob_r2'].iloc[0]:.2f}" if "oob_r2" in table else ""
    if table["parameters"].str.contains(" × ").any():
        table.loc[table["kind"].eq("rest"), "effect"] = "higher orders"
    top = table[table["kind"].eq("effect")].iloc[0]
    finding = f"The {top['effect']} explains {top['words']} of the variance{_count(table)}{fit}."
    order = list(table["effect"])
    y = alt.Y("effect:N", sort=order, title=None, axis=alt.Axis(grid=False, labelLimit=190))
    ticks = alt.Axis(grid=True, labelExpr=PERCENT, values=[0, 0.25, 0.5, 0.75, 1], title=f"share of the variance{fit}")
    x = alt.X("share:Q", scale=alt.Scale(domain=[0, 1.18], nice=False), axis=ticks)
    colours = alt.Scale(domain=["effect", "rest"], range=[INK.light, PUBLISHED.light])
    tips = [alt.Tooltip("effect:N", title="effect"), alt.Tooltip("share:Q", title="share", format=".3f")]
    sure = "low" in table and bool(table["low"].notna().any())
    if sure:
        table["ends"] = table["high"].clip(lower=table["share"].clip(lower=0.0)).fillna(table["share"])
        table["interval"] = [_ends_words(low, high) for low, high in table[["low", "high"]].to_numpy()]
        table["low"] = table["low"].clip(lower=0.0)
        tips.append(alt.Tooltip("interval:N", title="90 % interval"))
    if "sd_over_trees" in table:
        tips.append(alt.Tooltip("sd_over_trees:Q", title="spread over trees", format=".3f"))
    base = alt.Chart(table.drop(columns="high", errors="ignore") if not sure else table).encode(y=y)
    # Where an interval is drawn over it, a bar is lighter.
    bars = base.mark_bar(size=12, opacity=0.45 if sure else 1).encode(
        x=x, color=alt.Color("kind:N", scale=colours, legend=None), tooltip=tips
    )
    words = base.mark_text(align="left", dx=6).encode(x="ends:Q" if sure else "share:Q", text="words:N")
    if sure:
        whiskers = base.mark_rule(strokeWidth=1.5, color=INK.light).encode(
            x=alt.X("low:Q", scale=alt.Scale(domain=[0, 1.18], nice=False)), x2="ends:Q", tooltip=tips
        )
        words = frames.layered(whiskers, words)
    height = max(HEIGHTS[0], 24 * len(table))
    return frames.layered(bars, words).properties(width="container", height=height, description=finding)


def marginals(
    model: Any,
    *,
    words: str = "test loss, nats a frame",
    n_points: int = 60,
    only: Sequence[str] | None = None,
    published: pd.DataFrame | None = None,
) -> alt.ConcatChart:
    """Draw the mean loss as a function of each hyperparameter, averaged over all values of the others.

    Parameters
    ----------
    model : FunctionalANOVA or pandas.DataFrame
        A fitted model, or columns ``parameter``, ``value``, ``mean``, ``low``, ``high``,
        ``spread_low``, ``spread_high``, as its `marginal` returns, one below the other.
    words : str
        The target in words and units.
    n_points : int
        Points of each curve, if a model is given.
    only : sequence of str, optional
        Hyperparameters to draw, if a model is given; by default all.
    published : pandas.DataFrame, optional
        A paper's own curves, dashed: columns ``parameter``, ``value``, ``marginal``.

    Returns
    -------
    altair.ConcatChart
        A panel for each hyperparameter, on a common value axis. The band is the 90 % band where the
        model gives one, else one standard deviation over trees, which is no confidence interval.
    """
    if isinstance(model, pd.DataFrame):
        table = model
    else:
        ranked = list(model.importances()["parameters"])
        effects = [name for name in ranked if name in (model.parameters_ if only is None else only)]
        if not effects:
            raise UsageError(f"only is {only!r}, expected some of {', '.join(model.parameters_)}, or None for all")
        table = pd.concat([model.marginal(name, n_points=n_points) for name in effects], ignore_index=True)
    table = table.assign(band="90 % band")
    if "low" not in table or not table["low"].notna().all():
        table = table.assign(low=table["spread_low"], high=table["spread_high"], band="spread over trees")
    names = list(table["parameter"].unique())
    beside = pd.DataFrame(columns=["parameter", "value", "marginal"]) if published is None else published
    beside = beside[beside["parameter"].isin(names)]
    value = frames.value_axis(pd.concat([table["low"], table["high"], beside["marginal"].astype(float)]), words)
    panels = [
        _marginal(table[table["parameter"].eq(name)], name, value, beside[beside["parameter"].eq(name)])
        for name in names
    ]
    fit = "" if isinstance(model, pd.DataFrame) else f"; out-of-bag R² {model.oob_r2_:.2f}"
    reach = table.groupby("parameter", sort=False)["mean"].agg(["min", "max"])
    sentences = [f"{effect_words(str(name))} {low:.3g} to {high:.3g}" for name, low, high in reach.itertuples()]
    return alt.concat(*panels, columns=2, spacing={"row": 24, "column": 28}).properties(
        description=f"Range of the mean {words}, along each hyperparameter: {'; '.join(sentences)}{fit}.",
        usermeta=narrow(280),
    )


def _marginal(table: pd.DataFrame, name: str, value: frames.ValueAxis, beside: pd.DataFrame) -> alt.LayerChart:
    # A column below which choices stood forgets that its values are numbers.
    table = table.assign(value=table["value"].infer_objects())
    numbers = pd.api.types.is_numeric_dtype(table["value"])
    shown = table.loc[:, ["parameter", "value", "mean", "low", "high", "band"]].assign(at=table["value"])
    if name == "momentum":
        shown["at"] = 1.0 - shown["value"]
    x = _parameter_axis(name, shown) if numbers else alt.X("at:N", title=effect_words(name))
    y = alt.Y("mean:Q", scale=value.scale(), axis=value.axis())
    tips = [
        alt.Tooltip("value", title=effect_words(name), format=".3~g" if numbers else alt.Undefined),
        alt.Tooltip("mean:Q", title="mean", format=".4g"),
        alt.Tooltip("low:Q", title=f"{table['band'].iloc[0]} from", format=".4g"),
        alt.Tooltip("high:Q", title="to", format=".4g"),
    ]
    base = alt.Chart(shown).encode(x=x, tooltip=tips)
    if not numbers:
        rules = base.mark_rule(color=INK.light, strokeWidth=1.5).encode(
            y=alt.Y("low:Q", scale=value.scale(), axis=value.axis()), y2="high:Q"
        )
        points = base.mark_point(filled=True, size=45, opacity=1, color=INK.light).encode(y=y)
        return frames.layered(rules, points).properties(width=262, height=HEIGHTS[0])
    band = base.mark_area(color=tint(INK).light).encode(y=alt.Y("low:Q", scale=value.scale()), y2="high:Q")
    line = base.mark_line(color=INK.light).encode(y=y)
    paper = [] if beside.empty else _paper_curve(beside, name, x, value)
    return frames.layered(band, *paper, line).properties(width=262, height=HEIGHTS[0])


def _paper_curve(beside: pd.DataFrame, name: str, x: alt.X, value: frames.ValueAxis) -> list[alt.Chart]:
    """Return a paper's own curve: dashed, with hollow marks where it was read off."""
    shown = beside[["value", "marginal"]].assign(at=1.0 - beside["value"] if name == "momentum" else beside["value"])
    tips = [
        alt.Tooltip("value:Q", title=effect_words(name), format=".3~g"),
        alt.Tooltip("marginal:Q", title="in the paper", format=".4g"),
    ]
    base = alt.Chart(shown).encode(x=x, y=alt.Y("marginal:Q", scale=value.scale(), axis=value.axis()), tooltip=tips)
    return [
        base.mark_line(color=PUBLISHED.light, strokeDash=[4, 3], strokeWidth=1.5),
        base.mark_point(color=PUBLISHED.light, filled=False, size=28, opacity=1, strokeWidth=1.25),
    ]


def _parameter_axis(name: str, shown: pd.DataFrame) -> alt.X:
    """Return the axis in the coordinate in which the hyperparameter was drawn, evenly as far as can be told."""
    low, high = float(shown["at"].min()), float(shown["at"].max())
    # A hair's breadth beyond a decade would hide its label.
    ends = [float(f"{end:.9g}") for end in (low, high)]
    if name == "momentum":
        axis = alt.Axis(
            values=[1, 0.3, 0.1, 0.03, 0.01],
            labelExpr="format(1 - datum.value, '.2~f')",
            title="momentum, log scale of its distance from 1",
            titleAnchor="end",
            titleAlign="left",
        )
        return alt.X("at:Q", scale=alt.Scale(type="log", nice=False, reverse=True, domain=ends), axis=axis)
    if low > 0 and high / low >= 1000:
        return alt.X(
            "at:Q",
            scale=alt.Scale(type="log", nice=False, domain=ends),
            axis=decades(title=f"{effect_words(name)}, log scale"),
        )
    if low > 0 and high / low >= 8:
        ticks = [
            digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5) if low <= digit * 10.0**power <= high
        ]
        axis = alt.Axis(values=ticks, format="~r", title=f"{effect_words(name)}, log scale")
        return alt.X("at:Q", scale=alt.Scale(type="log", nice=False), axis=axis)
    axis = alt.Axis(tickCount=5, title=effect_words(name))
    return alt.X("at:Q", scale=alt.Scale(nice=False, zero=False), axis=axis)


def _ends_words(low: float, high: float) -> str:
    return "none" if pd.isna(low) else f"{max(low, 0.0):.3f} to {high:.3f}"


def _count(table: pd.DataFrame) -> str:
    return f" of {int(table['n_trials'].iloc[0])} trials" if "n_trials" in table else ""
