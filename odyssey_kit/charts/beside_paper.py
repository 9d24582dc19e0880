"""Figures that lay the paper's own numbers beside ours: boxes with verdicts, and shares of the variance.

The paper is always grey: its boxes dashed, its points hollow. May import `analysis`, `errors` and the other modules of
`charts`.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit import analysis
from odyssey_kit.analysis.claims import conventions
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts._frames import effect_words
from odyssey_kit.charts.palette import BACKGROUND, INK, PUBLISHED, VERDICTS, tint, variant_order
from odyssey_kit.charts.theme import HEIGHTS, PERCENT, narrow
from odyssey_kit.errors import UsageError

__all__ = ["boxes_beside_paper", "figure3_table", "shares_beside_paper"]

_OURS, _PAPER = "these trials", "the paper"
_CEILING = 1.25  # times the middle upper quartile


def figure3_table(trials: Any, *, best: bool = True) -> pd.DataFrame:
    """Return the table behind Figure 3 to be read: ours and the paper's, to the paper's digits.

    Parameters
    ----------
    trials, best
        As in `odyssey_kit.beside_figure3`, whose rows these are.

    Returns
    -------
    pandas.DataFrame
        Indexed by variant, in the paper's order; each "paper’s" is of the column before it. A ≥ marks what
        the paper's drawing cuts off.
    """
    table = analysis.beside_figure3(trials, best=best).set_index("variant")
    table = table.loc[variant_order(table.index)]
    digits = 3 if best else 2

    def written(name: str) -> list[str]:
        cut = table["off_scale"].fillna("").str.split()
        return [
            "—" if pd.isna(value) else f"{'≥' if name in off else ''}{value:.{digits}f}"
            for value, off in zip(table[f"paper_{name}"], cut, strict=True)
        ]

    shown = pd.DataFrame({"n": table["n"], "✕": table["lost"]}, index=table.index)
    for name in ("mean", "median"):
        shown[name] = [f"{value:.{digits}f}" for value in table[name]]
        shown[f"paper’s {name}"] = written(name)
    ends = zip(table["q25"], table["q75"], strict=True)
    shown["quartiles"] = [f"{low:.{digits}f}–{high:.{digits}f}" for low, high in ends]
    shown["paper’s quartiles"] = [f"{a}–{b}" for a, b in zip(written("q25"), written("q75"), strict=True)]
    # Each of the paper's columns stands behind ours: with its whole name the table would be wider than the page's text.
    return shown.rename(columns=lambda name: "paper’s" if name.startswith("paper’s") else name)


def boxes_beside_paper(trials: Any, comparison: Any) -> alt.ConcatChart:
    """Draw each variant's boxes of all trials and of the best tenth beside the paper's, with the verdicts.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Trials of one task of the paper.
    comparison : Comparison
        Of these trials, the best tenth; its verdicts stand above the boxes, if each best tenth has as many trials
        as the ledger asks for to decide anything.

    Returns
    -------
    altair.ConcatChart
        A box is the middle half, its line the median, its point the mean (of the best tenth). The paper's
        are dashed, and filled where it paints them as significant; an arrow marks what it cuts off. An arrow
        with a number marks what this figure cuts off, of either, and how far it reaches.
    """
    tenth = analysis.beside_figure3(trials)
    verdicts = comparison.to_frame().set_index("variant")["verdict"]
    if tenth["n"].min() < conventions().selection["minimum_top"]:
        verdicts = verdicts.iloc[:0]
    panels = []
    for best in (False, True):
        table = tenth if best else analysis.beside_figure3(trials, best=False)
        known = verdicts if best else verdicts.iloc[:0]
        of = "best tenth of each variant by validation" if best else "all trials"
        panels.append(_boxes(table, known, title=of, size=f"{frames.size_words(table['n'])} each", mean=best))
    return alt.concat(*panels, columns=2, spacing=28).properties(
        description=_finding(tenth, verdicts), usermeta=narrow(288)
    )


def _long(table: pd.DataFrame, verdicts: pd.Series) -> pd.DataFrame:
    """Return a row a variant and source."""
    ours = table[["variant", "n", "mean", "median", "q25", "q75"]].assign(source=_OURS, cut="")
    ours["told"] = [verdicts.get(name, "not compared" if len(verdicts) else "") for name in ours["variant"]]
    paper = table.dropna(subset=["paper_mean"])
    told = paper["painted_significant"].map({True: "painted significant", False: "not painted"})
    paper = paper[["variant", *(f"paper_{name}" for name in ("mean", "median", "q25", "q75")), "off_scale"]]
    paper = paper.rename(columns=lambda name: name.removeprefix("paper_")).rename(columns={"off_scale": "cut"})
    long = pd.concat([ours, paper.assign(source=_PAPER, told=told)], ignore_index=True)
    long["at"] = long["variant"] + " " + long["source"]
    return long


def _boxes(table: pd.DataFrame, verdicts: pd.Series, *, title: str, size: str, mean: bool) -> alt.LayerChart:
    long, order = _long(table, verdicts), variant_order(table["variant"])
    # One cell that fails half the time would press all the others flat: what is above is cut, and told.
    ceiling = _CEILING * float(long["q75"].median())
    parts = ["q25", "median", "q75", *(["mean"] if mean else [])]
    furthest = long[parts].max(axis=1)
    long = long.assign(**{f"{name}_drawn": long[name].clip(upper=ceiling) for name in parts})
    long["words"] = ["↑" if "q75" in cut else "" for cut in long["cut"]]
    long["words"] = long["words"].mask(furthest.gt(ceiling), [f"↑ {end:.3g}" for end in furthest])
    drawn = long[[f"{name}_drawn" for name in parts]]
    long["edge"] = drawn.max(axis=1)
    value = frames.value_axis(drawn, "test loss, nats a frame")
    scale = value.scale(start=HEIGHTS[2], stop=frames.LANE)
    x = alt.X("variant:N", sort=order, axis=alt.Axis(labelFontSize=11, title=None), scale=alt.Scale(domain=order))
    side = alt.XOffset("source:N", sort=[_OURS, _PAPER], scale=alt.Scale(domain=[_OURS, _PAPER], paddingInner=0.15))
    tips = [
        alt.Tooltip("variant:N"),
        alt.Tooltip("source:N", title="whose"),
        alt.Tooltip("told:N", title="significance"),
    ]
    tips += [alt.Tooltip(f"{name}:Q", title=name, format=".4g") for name in ("mean", "median", "q75")]
    ours, paper = (
        alt.Chart(long[long["source"].eq(source)]).encode(x=x, xOffset=side, tooltip=tips) for source in (_OURS, _PAPER)
    )
    y, top = alt.Y("q25_drawn:Q", scale=scale, axis=value.axis(title=None)), alt.Y2("q75_drawn:Q")
    middle = alt.Y("median_drawn:Q", scale=scale)
    fill = alt.Fill(
        "told:N",
        scale=alt.Scale(domain=["not painted", "painted significant"], range=[BACKGROUND.light, tint(PUBLISHED).light]),
        legend=None,
    )
    colour = frames.variant_colours(order, legend=False)
    layers = [
        paper.mark_bar(stroke=PUBLISHED.light, strokeDash=[3, 2], strokeWidth=1.25).encode(y=y, y2=top, fill=fill),
        paper.mark_tick(color=PUBLISHED.light, thickness=2, bandSize=11).encode(y=middle),
        ours.mark_bar().encode(y=y, y2=top, fill=frames.variant_spreads(order)),
        ours.mark_tick(thickness=2.5, bandSize=12).encode(y=middle, color=colour),
    ]
    if mean:
        point = alt.Y("mean_drawn:Q", scale=scale)
        layers += [
            paper.mark_point(size=26, opacity=1, filled=False, color=PUBLISHED.light).encode(y=point),
            ours.mark_point(size=26, opacity=1, filled=True).encode(y=point, color=colour),
        ]
    place = alt.Y("edge:Q", scale=scale)
    layers += [
        paper.transform_filter("datum.words").mark_text(color=PUBLISHED.light, dy=-8).encode(y=place, text="words:N"),
        ours.transform_filter("datum.words").mark_text(dy=-8).encode(y=place, text="words:N", color=colour),
    ]
    if len(verdicts):
        layers.append(_verdict_marks(long, verdicts, x))
    # The unit stands here, for a legend lies where an axis has its title.
    heading = alt.Title(title, subtitle=[size, value.title], fontWeight="normal", fontSize=12)
    chart = frames.layered(*layers).properties(width=266, height=HEIGHTS[2], title=heading)
    return chart.resolve_scale(fill="independent", color="independent", shape="independent")


def _verdict_marks(long: pd.DataFrame, verdicts: pd.Series, x: alt.X) -> alt.Chart:
    """Return the verdicts' shapes in the lane at the top edge."""
    present = [name for name in VERDICTS if name in set(verdicts)]
    shown = [VERDICTS[name] for name in present]
    marks = long[long["source"].eq(_OURS) & long["told"].isin(present)]
    key = alt.Legend(title="different from vanilla?", offset=8)
    colours = alt.Scale(domain=present, range=[verdict.colour.light for verdict in shown])
    fills = alt.Scale(domain=present, range=[(v.colour if v.filled else BACKGROUND).light for v in shown])
    shapes = alt.Scale(domain=present, range=[verdict.shape for verdict in shown])
    return (
        alt.Chart(marks)
        .mark_point(size=65, opacity=1, strokeWidth=1.5, filled=False)
        .encode(
            x=x,
            y=alt.value(8),
            color=alt.Color("told:N", scale=colours, legend=key),
            fill=alt.Fill("told:N", scale=fills, legend=key),
            shape=alt.Shape("told:N", scale=shapes, legend=key),
            tooltip=[alt.Tooltip("variant:N"), alt.Tooltip("told:N", title="verdict")],
        )
    )


def mean_gaps(table: pd.DataFrame) -> tuple[pd.Series, pd.Index]:
    """Return by how many per cent our means lie above the paper's, and the variants whose printed mean is a bound.

    Parameters
    ----------
    table : pandas.DataFrame
        As `odyssey_kit.beside_figure3` returns it, indexed by variant.
    """
    bound = table["off_scale"].fillna("").str.contains("mean")
    gaps = (100 * (table["mean"] / table["paper_mean"] - 1))[~bound].dropna()
    if gaps.empty:
        raise UsageError(
            f"the paper prints no mean of {', '.join(map(str, table.index))}, expected one of its variants at least"
        )
    return gaps, table.index[bound]


def _finding(table: pd.DataFrame, verdicts: pd.Series) -> str:
    table = table.set_index("variant")
    gaps, bounds = mean_gaps(table)
    widest = str(gaps.abs().idxmax())
    here = ", ".join(variant_order(verdicts.index[verdicts.str.startswith("different")])) or "none"
    left = f", leaving out {', '.join(variant_order(bounds))}, off its scale" if len(bounds) else ""
    painted = variant_order(table.index[table["painted_significant"].eq(True)])
    return (
        f"Best tenths of {len(table)} variants: the means differ from the paper's by {abs(gaps[widest]):.1f} % at most "
        f"({widest}){left}. "
        f"Different from vanilla here: {here if len(verdicts) else 'too few trials to say'}; painted so "
        f"in the paper: {', '.join(painted) or 'none'}."
    )


def shares_beside_paper(model: Any, paper: pd.DataFrame) -> alt.LayerChart:
    """Draw corrected shares with intervals, shares as the paper estimated them, and those it printed.

    Parameters
    ----------
    model : FunctionalANOVA
        Fitted, with the corrected estimand.
    paper : pandas.DataFrame
        As `ok.paper_shares` returns: columns ``parameters``, ``share`` and ``paper_share``.

    Returns
    -------
    altair.LayerChart
    """
    sure = bool(model.importances()["low"].notna().any())
    ways = [
        "corrected, 90 % interval" if sure else "corrected, too few trials for an interval",
        "the paper’s way, these trials",
        "the paper’s pie",
    ]
    ours = model.importances()[["parameters", "share", "low", "high"]].assign(way=ways[0])
    same = paper[["parameters", "share"]].assign(way=ways[1])
    pie = paper[["parameters", "paper_share"]].rename(columns={"paper_share": "share"}).assign(way=ways[2])
    table = pd.concat([ours, same, pie], ignore_index=True).dropna(subset=["share"])
    table["effect"] = [effect_words(str(name)) for name in table["parameters"]]
    table["low"] = table["low"].clip(lower=0.0)
    order = [effect_words(str(name)) for name in ours["parameters"]]
    colours = alt.Scale(domain=ways, range=[INK.light, VERDICTS["equivalent"].colour.light, PUBLISHED.light])
    fills = alt.Scale(domain=ways, range=[INK.light, VERDICTS["equivalent"].colour.light, BACKGROUND.light])
    shapes = alt.Scale(domain=ways, range=["circle", "square", "circle"])
    key = alt.Legend(title=None, columns=1, labelLimit=320)
    fit = f"share of the variance, out-of-bag R² {model.oob_r2_:.2f}"
    x = alt.X(
        "share:Q",
        scale=alt.Scale(domain=[min(0.0, float(table["share"].min())), 1.0], nice=False),
        axis=alt.Axis(grid=True, labelExpr=PERCENT, values=[0, 0.25, 0.5, 0.75, 1], title=fit),
    )
    tips = [alt.Tooltip("effect:N"), alt.Tooltip("way:N"), alt.Tooltip("share:Q", format=".3f")]
    base = alt.Chart(table).encode(
        y=alt.Y("effect:N", sort=order, title=None, axis=alt.Axis(grid=False, labelLimit=190)),
        yOffset=alt.YOffset("way:N", sort=ways, scale=alt.Scale(domain=ways, paddingOuter=0.6)),
        color=alt.Color("way:N", scale=colours, legend=key),
        tooltip=tips,
    )
    whiskers = base.transform_filter("isValid(datum.low) && isValid(datum.high)").mark_rule(strokeWidth=1.5)
    first = str(ours["parameters"].iloc[0])
    printed = paper.set_index("parameters")["paper_share"].get(first, float("nan"))
    beside = "" if pd.isna(printed) else f", the paper's pie {100 * printed:.3g} %"
    return frames.layered(
        whiskers.encode(x=alt.X("low:Q", title=fit), x2="high:Q"),
        base.mark_point(size=45, opacity=1, filled=False, strokeWidth=1.5).encode(
            x=x,
            fill=alt.Fill("way:N", scale=fills, legend=key),
            shape=alt.Shape("way:N", scale=shapes, legend=key),
        ),
    ).properties(
        width="container",
        height=44 * len(order),
        description=(
            f"The {effect_words(first)} explains {100 * ours['share'].iloc[0]:.3g} % of the variance of "
            f"{model.n_trials_} trials after correction{beside}."
        ),
    )
