"""Figures of an importance analysis held against the truth: shares on a known surface, and counted coverage.

May import `analysis` and the other modules of `charts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import INK, MUTED, PUBLISHED, VERDICTS
from odyssey_kit.charts.theme import HEIGHTS, PERCENT

__all__ = ["coverage_chart", "fanova_answer", "shares_against_truth", "stacked"]


def stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables of shares one below the other, with their columns way, parameters, share, low and high."""
    return pd.concat([table[["way", "parameters", "share", "low", "high"]] for table in tables], ignore_index=True)


def shares_against_truth(estimates: pd.DataFrame, truth: pd.DataFrame) -> alt.LayerChart:
    """Draw shares by several ways to estimate them, beside the true ones.

    Parameters
    ----------
    estimates : pandas.DataFrame
        Columns ``way``, ``parameters``, ``share``; ``low`` and ``high`` where there is an interval.
    truth : pandas.DataFrame
        Columns ``parameters`` and ``share``.

    Returns
    -------
    altair.LayerChart
    """
    words = {name: name.replace("_", " ").replace(" std", "") for name in truth["parameters"]}
    shown = estimates.loc[:, [c for c in ("way", "parameters", "share", "low", "high") if c in estimates]].copy()
    shown = shown[shown["parameters"].isin(list(words))]
    shown["effect"], ways = shown["parameters"].map(words), list(dict.fromkeys(shown["way"]))
    true = truth.assign(effect=truth["parameters"].map(words)).loc[:, ["effect", "share"]]
    colours = [INK.light, VERDICTS["different"].colour.light, VERDICTS["equivalent"].colour.light, PUBLISHED.light]
    scale = alt.Scale(domain=ways, range=colours[: len(ways)])
    y = alt.Y("effect:N", sort=list(true["effect"]), title=None, axis=alt.Axis(grid=False, labelLimit=190))
    offset = alt.YOffset("way:N", sort=ways)
    x = alt.X("share:Q", axis=alt.Axis(labelExpr=PERCENT, grid=True, title="share of the variance", tickCount=5))
    tips = [
        alt.Tooltip("way:N", title="way"),
        alt.Tooltip("effect:N", title="effect"),
        alt.Tooltip("share:Q", title="share", format=".3f"),
    ]
    colour = alt.Color("way:N", scale=scale, legend=alt.Legend(title=None, columns=1, labelLimit=360))
    base = alt.Chart(shown).encode(y=y, yOffset=offset, color=colour, tooltip=tips)
    layers = [
        alt.Chart(true)
        .mark_tick(thickness=3, size=26, color=MUTED.light)
        .encode(y=y, x=x, tooltip=[tips[1], alt.Tooltip("share:Q", title="true share", format=".3f")]),
    ]
    if "low" in shown:
        layers.append(base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2="high:Q"))
    layers.append(base.mark_point(filled=True, size=45, opacity=1).encode(x=x))
    error = {
        way: float((rows.set_index("parameters")["share"] - truth.set_index("parameters")["share"]).abs().sum())
        for way, rows in shown.groupby("way", sort=False)
    }
    told = "; ".join(f"{way}: {100 * value:.0f} points" for way, value in error.items())
    return frames.layered(*layers).properties(
        width="container", height=34 * len(true), description=f"Summed errors of all shares. {told}."
    )


def coverage_chart(counted: pd.DataFrame) -> alt.LayerChart:
    """Draw how often nominal 90 % intervals held the true share, a mark a term, a row a setting.

    Parameters
    ----------
    counted : pandas.DataFrame
        As `ok.measured_coverage` returns.

    Returns
    -------
    altair.LayerChart
    """
    repeated = counted["repeats"] > 1
    shown = counted.assign(
        setting=counted["surface"]
        + ", n = "
        + counted["n"].map("{:,}".format)
        + ", noise "
        + counted["noise"].map("{:g}".format)
        + repeated.map({True: ", each twice", False: ""}),
        kind=(counted["truth"] < 1e-9).map({True: "true share is zero", False: "true share is not zero"}),
    )
    shown = shown.loc[:, ["setting", "parameters", "truth", "coverage", "data_sets", "kind"]]
    band = pd.DataFrame({"low": [0.85], "high": [0.95]})
    ends = alt.Scale(domain=[0.75, 1.0], nice=False, zero=False)
    x = alt.X(
        "coverage:Q",
        scale=ends,
        axis=alt.Axis(labelExpr=PERCENT, grid=True, title="how often the 90 % interval held the true share"),
    )
    y = alt.Y("setting:N", sort=list(dict.fromkeys(shown["setting"])), title=None, axis=alt.Axis(labelLimit=230))
    kinds = alt.Scale(
        domain=["true share is not zero", "true share is zero"], range=[INK.light, VERDICTS["equivalent"].colour.light]
    )
    shapes = alt.Scale(domain=["true share is not zero", "true share is zero"], range=["circle", "square"])
    key = alt.Legend(title=None, columns=1)
    inside = shown["coverage"].between(0.85, 0.95)
    marks = (
        alt.Chart(shown)
        .mark_point(filled=True, size=40, opacity=0.75)
        .encode(
            x=x,
            y=y,
            color=alt.Color("kind:N", scale=kinds, legend=key),
            shape=alt.Shape("kind:N", scale=shapes, legend=key),
            tooltip=[
                alt.Tooltip("parameters:N", title="term"),
                alt.Tooltip("truth:Q", title="true share", format=".3f"),
                alt.Tooltip("coverage:Q", title="held in", format=".1%"),
                alt.Tooltip("data_sets:Q", title="tables"),
            ],
        )
    )
    return frames.layered(
        alt.Chart(band)
        .mark_rect(color=PUBLISHED.light, opacity=0.18)
        .encode(x=alt.X("low:Q", scale=ends), x2="high:Q"),
        marks,
    ).properties(
        width="container",
        height=max(HEIGHTS[1], 20 * shown["setting"].nunique()),
        description=(
            f"{int(inside.sum())} of {len(shown)} terms were held in 85 to 95 % of tables, "
            f"{int((shown['coverage'] > 0.95).sum())} more often and "
            f"{int((shown['coverage'] < 0.85).sum())} less often."
        ),
    )


def fanova_answer(model: Any, surface: Any) -> str:
    """Say what three estimands make of a table whose shares are known.

    Parameters
    ----------
    model : FunctionalANOVA
        Fitted to trials of the surface, with ``estimand="corrected"``.
    surface : Surface
        As `ok.known_surface` returns.
    """
    true = surface.true_shares().set_index("parameters")["share"]
    name = str(true.drop("rest").idxmax())
    rows = {way: model.importances(2, estimand=way).set_index("parameters") for way in ("tree", "forest", "corrected")}
    row, tree = rows["corrected"].loc[name], rows["tree"]
    word = name.replace("_", " ")
    null = [p for p, share in true.items() if share < 1e-9 and p in tree.index]
    parts = {way: f"{100 * table.loc[name, 'share']:.0f} %" for way, table in rows.items()}
    nothing = {way: f"{100 * table.loc[null, 'share'].sum():.1f} %" for way, table in rows.items()}
    return (
        f"It splits the variance of a fitted function into parts. On a made-up surface where the {word} explains "
        f"{100 * true[name]:.0f} %, {model.n_trials_} noisy trials give it {parts['tree']} by the mean over trees that "
        f"other tools report, and {parts['corrected']} (90 % interval {100 * row['low']:.0f} to "
        f"{100 * row['high']:.0f} %) after correction on trials that the trees did not see. The {len(null)} pairs "
        "that do nothing get "
        f"{nothing['tree']} and {nothing['corrected']} together."
    )
