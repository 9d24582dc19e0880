"""Figures of a table of trials: the basin of learning rates, and the variants as boxes.

May import `analysis` and the other modules of `charts`.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from odyssey_kit.analysis import select_top
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import GRID, MUTED, PUBLISHED, tint, variant_order
from odyssey_kit.charts.theme import HEIGHTS, decades, narrow
from odyssey_kit.errors import UsageError

__all__ = ["learning_rate_basin", "variant_boxes"]

_RATE = "params_learning_rate"
_BINS_A_DECADE = 2
_PANEL = 130


def learning_rate_basin(trials: Any, *, metric: str = "test_metric", box: float | None = None) -> alt.TopLevelMixin:
    """Draw loss against learning rate, one panel a variant on common axes.

    Each panel has the variant's trials, their running median, and in grey the middle half of all
    variants together (by half decades), so that a variant that leaves the common basin is seen to.
    Trials that diverged or ended above the cap are crosses at the top edge, counted in the panel's
    heading; medians and quartiles count them as worse than every other.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Columns ``task``, ``variant``, ``state``, `metric`, ``params_learning_rate``; ``key`` and the
        other parameters go into the tooltip.
    metric : str
        Column of the value axis, lower is better.
    box : float, optional
        Learning rate at which another search ended, marked by a dashed rule.

    Returns
    -------
    altair.FacetChart or altair.ConcatChart
        One grid of panels a task.
    """
    if box is not None and not 0 < box < math.inf:
        raise UsageError(f"box is {box!r}, expected a learning rate above zero, or None for no rule")
    frame = frames.with_lane(frames.drawn(trials, needed=("task", metric, _RATE)), metric=metric)
    frame = frames.with_settings(frame, metric=metric)
    tasks = list(frame["task"].unique())
    grids = [_basin_grid(frame[frame["task"].eq(task)], metric=metric, named=len(tasks) > 1, box=box) for task in tasks]
    chart = grids[0] if len(grids) == 1 else alt.concat(*grids, columns=1, spacing=28)
    sentences = [basin_sentence(frame[frame["task"].eq(task)], metric=metric) for task in tasks]
    return chart.properties(description=" ".join(sentences), usermeta=narrow(128, columns=2))


def basin_sentence(frame: pd.DataFrame, *, metric: str) -> str:
    """Say in which half decade the median is lowest, and what it is at the lowest rates."""
    band = _band(frame, metric=metric).dropna(subset=["middle"])
    best, first = band.sort_values("middle", kind="stable").iloc[0], band.iloc[0]
    half = 10 ** (0.5 / _BINS_A_DECADE)
    low, high = frames.rate_words(best[_RATE] / half), frames.rate_words(best[_RATE] * half)
    return (
        f"{frames.task_words(frame['task'].iloc[0])}, {len(frame)} trials: the median "
        f"{frames.metric_words(frame, metric)}, is lowest ({best['middle']:.3g}) at learning rates from {low} "
        f"to {high}, and {first['middle']:.3g} at the lowest rates."
    )


def _basin_grid(frame: pd.DataFrame, *, metric: str, named: bool, box: float | None) -> alt.FacetChart:
    value = frames.value_axis(frame.loc[frame["outcome"].eq("drawn"), metric], frames.metric_words(frame, metric))
    order = variant_order(frame["variant"])
    panels = {name: _panel_words(frame[frame["variant"].eq(name)], name) for name in order}
    band = _band(frame, metric=metric).assign(part="band")
    medians = [_running_median(frame[frame["variant"].eq(name)], metric=metric) for name in order]
    bands = [band.assign(variant=name) for name in order]
    ends = [] if box is None else [_box_end(box, order)]
    parts = pd.concat([frame.assign(part=frame["outcome"]), *medians, *bands, *ends], ignore_index=True)
    # Quartiles among diverged trials are infinite: they leave through the top edge, as the trials do.
    for column in ("low", "middle", "high"):
        parts[column] = parts[column].clip(upper=value.high)
    parts["panel"] = parts["variant"].map(panels)
    x = alt.X(f"{_RATE}:Q", scale=alt.Scale(type="log", nice=False, padding=4), axis=_sparse_decades(frame))
    base = alt.Chart().encode(x=x, color=frames.variant_colours(order, legend=False))
    task = f"{frames.task_words(frame['task'].iloc[0])}: " if named else ""
    words = [f"{task}{value.title}", "against learning rate, log scale"]
    title = alt.Title(words, fontWeight="normal", fontSize=12, color=MUTED.light, offset=12)
    return (
        frames.layered(
            *(_rule(base) if box is not None else []),
            *_basin_layers(base, value, metric=metric, frame=frame),
            data=parts,
        )
        .properties(width=188, height=_PANEL)
        .facet(facet=alt.Facet("panel:N", title=None, sort=[panels[name] for name in order]), columns=3, spacing=14)
        .properties(title=title)
    )


def _basin_layers(base: alt.Chart, value: frames.ValueAxis, *, metric: str, frame: pd.DataFrame) -> list[Any]:
    lane = frame["outcome"].ne("drawn").any()
    scale = value.scale(start=_PANEL, stop=16 if lane else 4)
    y = alt.Y(f"{metric}:Q", scale=scale, axis=value.axis(title=None))
    tips = frames.trial_tooltip(frame, metric=metric)
    grey = alt.value(tint(PUBLISHED).light)
    return [
        base.transform_filter("datum.part === 'band'")
        .mark_area(interpolate="monotone")
        .encode(y=alt.Y("low:Q", scale=scale, axis=value.axis(title=None)), y2="high:Q", color=grey),
        base.transform_filter("datum.part === 'drawn'").mark_circle().encode(y=y, tooltip=tips),
        base.transform_filter("datum.part === 'median'")
        .mark_line(interpolate="monotone")
        .encode(y=alt.Y("middle:Q", scale=scale)),
        base.transform_filter("indexof(['diverged', 'failed', 'beyond'], datum.part) >= 0")
        .mark_point(shape="cross", size=30, filled=True, angle=45)
        .encode(y=alt.value(4), tooltip=tips),
    ]


def _box_end(box: float, order: list[str]) -> pd.DataFrame:
    """Return where the rule of each panel stands; its words are said once, in the first."""
    words = [f"box up to {frames.rate_words(box)}", *[""] * (len(order) - 1)]
    return pd.DataFrame({"part": "box", _RATE: box, "variant": order, "words": words})


def _rule(base: alt.Chart) -> list[alt.Chart]:
    rule = base.transform_filter("datum.part === 'box'")
    grey = alt.value(PUBLISHED.light)
    return [
        rule.mark_rule(strokeDash=[4, 3]).encode(color=grey),
        rule.mark_text(align="right", dx=-5, fontSize=11).encode(y=alt.value(26), text="words:N", color=grey),
    ]


def _sparse_decades(frame: pd.DataFrame) -> alt.Axis:
    """Label every second decade: a small panel has room for three words."""
    powers = range(
        math.ceil(math.log10(frame[_RATE].min()) - 0.2), math.floor(math.log10(frame[_RATE].max()) + 0.2) + 1
    )
    return decades(title=None, labelFlush=10, values=[10.0**power for power in powers if power % 2 == 0])


def _panel_words(cell: pd.DataFrame, name: str) -> str:
    lost = int(cell["outcome"].ne("drawn").sum())
    return f"{name} · {lost} ✕" if lost else name


def _ranked(frame: pd.DataFrame, *, metric: str) -> pd.Series:
    """Return the metric with everything that is in the lane as infinite, so that it counts as worst."""
    return frame[metric].astype(float).where(frame["outcome"].eq("drawn"), math.inf)


def _running_median(cell: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Return the median of neighbours in learning rate: a quarter of the cell, at least five trials."""
    ordered = cell.sort_values(_RATE)
    values, rates = _ranked(ordered, metric=metric).to_numpy(), np.log10(ordered[_RATE].to_numpy())
    window = min(max(5, len(values) // 4), len(values))
    starts = range(len(values) - window + 1)
    return pd.DataFrame(
        {
            _RATE: [10 ** float(np.mean(rates[start : start + window])) for start in starts],
            "middle": [_quantile(values[start : start + window], 0.5) for start in starts],
            "variant": cell["variant"].iloc[0],
            "part": "median",
        }
    )


def _band(frame: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Return quartiles of all variants by half decade of the learning rate, where five trials are."""
    bins = np.floor(np.log10(frame[_RATE].to_numpy()) * _BINS_A_DECADE + 1e-9)
    ranked = _ranked(frame, metric=metric).to_numpy()
    rows = [
        {
            _RATE: 10 ** ((float(place) + 0.5) / _BINS_A_DECADE),
            "low": _quantile(values, 0.25),
            "middle": _quantile(values, 0.5),
            "high": _quantile(values, 0.75),
        }
        for place in np.unique(bins)
        if len(values := ranked[bins == place]) >= 5
    ]
    return pd.DataFrame(rows, columns=[_RATE, "low", "middle", "high"])


def _quantile(values: Any, share: float) -> float:
    """Return a quantile that is one of the values, so that infinite ones do no harm."""
    return float(np.quantile(np.asarray(values, dtype=float), share, method="inverted_cdf"))


# ---- boxes ------------------------------------------------------------------------------------


def variant_boxes(trials: Any, *, top: float = 0.25, metric: str = "test_metric") -> alt.ConcatChart:
    """Draw the spread of each variant's trials: of all of them, and of the best by validation.

    A box is the middle half, its line the median, the thin line the whole range, dots the trials.
    The number above a variant counts its trials that diverged or whose loss is above that of
    answering one half for every key; no box contains them.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Columns ``task``, ``variant``, ``index``, ``state``, ``valid_metric``, `metric`.
    top : float
        The best fraction of each variant that the second panel shows, as in `ok.select_top`.
    metric : str
        Column that is drawn, lower is better.

    Returns
    -------
    altair.ConcatChart
        Two panels a task, in the papers' order of variants.
    """
    best = select_top(trials, top=top)
    panels, sentences = [], []
    everything = trials if isinstance(trials, pd.DataFrame) else trials.frame
    tasks = list(everything["task"].unique())
    for task in tasks:
        prefix = f"{frames.task_words(task)}: " if len(tasks) > 1 else ""
        whole = everything[everything["task"].eq(task)]
        chosen = best.frame[best.frame["task"].eq(task)]
        panels += [
            _boxes(whole, metric=metric, title=f"{prefix}all {len(whole)} trials"),
            _boxes(chosen, metric=metric, title=f"{prefix}best {100 * top:.3g} % of each variant by validation"),
        ]
        sentences.append(_boxes_sentence(chosen, task=task, metric=metric))
    return alt.concat(*panels, columns=2, spacing=28).properties(description=" ".join(sentences), usermeta=narrow(292))


def box_frame(frame: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Return what a box shows: columns variant, low, q25, median, q75, high, mean, trials, lost."""
    frame = frames.with_lane(frames.drawn(frame, needed=(metric,)), metric=metric)
    rows = []
    for name in variant_order(frame["variant"]):
        cell = frame[frame["variant"].eq(name)]
        values = cell.loc[cell["outcome"].eq("drawn"), metric].astype(float)
        low, q25, median, q75, high = values.quantile([0, 0.25, 0.5, 0.75, 1]) if len(values) else [math.nan] * 5
        counts = {"trials": len(cell), "lost": len(cell) - len(values)}
        row = {
            "variant": name,
            "low": low,
            "q25": q25,
            "median": median,
            "q75": q75,
            "high": high,
            "mean": values.mean(),
        }
        rows.append(row | counts)
    return pd.DataFrame(rows)


def _boxes(whole: pd.DataFrame, *, metric: str, title: str) -> alt.LayerChart:
    points = frames.with_lane(frames.drawn(whole, needed=(metric,)), metric=metric)
    points = frames.with_settings(points, metric=metric)
    summary = box_frame(whole, metric=metric)
    points = points[points["outcome"].eq("drawn")]
    # The golden ratio spreads any number of neighbours evenly, and the same ones the same way.
    points = points.assign(aside=(np.arange(len(points)) * 0.6180339887) % 1.0)
    value = frames.value_axis(points[metric], frames.metric_words(whole, metric))
    lane = bool(summary["lost"].sum())
    scale, order = value.scale(start=HEIGHTS[1], stop=frames.LANE if lane else 0), variant_order(summary["variant"])
    names = alt.Axis(labelFontSize=11, title=None)
    x = alt.X("variant:N", sort=order, axis=names, scale=alt.Scale(domain=order, paddingInner=0.35))
    colour = frames.variant_colours(order, legend=False)
    tips = [alt.Tooltip("variant:N", title="variant")]
    tips += [alt.Tooltip(f"{name}:Q", title=name, format=".4g") for name in ("median", "q25", "q75", "mean")]
    tips += [alt.Tooltip("lost:Q", title="in the lane (✕)")]
    base = alt.Chart(summary).encode(x=x, tooltip=tips)
    edge = {"scale": scale, "axis": value.axis()}
    boxes = base.mark_bar().encode(y=alt.Y("q25:Q", **edge), y2="q75:Q", fill=frames.variant_spreads(order))
    base = base.encode(color=colour)
    layers: list[Any] = [
        boxes,
        base.mark_rule(strokeWidth=1).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        base.mark_tick(thickness=2.5, bandSize=20).encode(y=alt.Y("median:Q", scale=scale)),
        alt.Chart(points)
        .mark_circle()
        .encode(
            x=x,
            y=alt.Y(f"{metric}:Q", scale=scale),
            xOffset=alt.XOffset("aside:Q", scale=alt.Scale(domain=[-0.4, 1.4])),
            color=colour,
            tooltip=frames.trial_tooltip(points, metric=metric),
        ),
    ]
    if lane:
        layers += _lost_words(summary, x)
    heading = alt.Title(title, fontWeight="normal", fontSize=12)
    return frames.layered(*layers).properties(width=264, height=HEIGHTS[1], title=heading)


def _lost_words(summary: pd.DataFrame, x: alt.X) -> list[Any]:
    """Return the lane at the top edge: how many trials of each variant diverged."""
    lost = summary[summary["lost"] > 0].assign(words=[f"{n} ✕" for n in summary["lost"] if n > 0])
    edge = alt.Chart(pd.DataFrame({"edge": [0]})).mark_rule(color=GRID.light)
    text = alt.Chart(lost).mark_text(fontSize=11, color=MUTED.light)
    return [
        edge.encode(y=alt.value(frames.LANE - 6), x=alt.value(0), x2=alt.value("width")),
        text.encode(x=x, y=alt.value(frames.LANE / 2 - 3), text="words:N"),
    ]


def _boxes_sentence(chosen: pd.DataFrame, *, task: str, metric: str) -> str:
    summary = box_frame(chosen, metric=metric).dropna(subset=["median"])
    ranked = summary.sort_values("median", kind="stable")
    if ranked.empty:
        return f"{frames.task_words(task)}: all {len(chosen)} of the best trials by validation diverged."
    best, worst = ranked.iloc[0], ranked.iloc[-1]
    return (
        f"{frames.task_words(task)}, best trials by validation: the median {frames.metric_words(chosen, metric)}, runs "
        f"from {best['median']:.3g} ({best['variant']}) to {worst['median']:.3g} ({worst['variant']}). "
        f"{int(summary['lost'].sum())} of these {len(chosen)} diverged."
    )
