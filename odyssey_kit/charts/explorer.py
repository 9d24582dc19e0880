"""The trials explorer: three views of one table, each of which filters the others.

May import the other modules of `charts`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import GRID, MUTED
from odyssey_kit.charts.theme import HEIGHTS, decades, narrow, rate_expression

__all__ = ["trials_explorer"]

_HEIGHT = 240
_LANE = 36  # a line of words, and below it the crosses they count
_RATE = "params_learning_rate"
_SIZE = "params_hidden_size"
_NOISE = "params_input_noise_std"


def trials_explorer(trials: Any, *, metric: str = "test_metric") -> alt.ConcatChart:
    """Draw every trial: loss against learning rate, hidden size against noise, and variants side by side.

    Brushing one scatter dims the trials outside it in the other and recomputes the variants' row of
    medians; a click on the legend picks a variant, the slider sets the smallest hidden size.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Columns ``variant``, ``state``, `metric`, ``params_learning_rate``, ``params_hidden_size``,
        ``params_input_noise_std``; ``key``, ``epochs`` and the other parameters go into the tooltip.
    metric : str
        Column of the value axis, lower is better.

    Returns
    -------
    altair.ConcatChart

    Notes
    -----
    The chart's parameters are ``explorer_brush`` (learning rate and loss), ``explorer_brush_settings``
    (hidden size and noise), ``explorer_variant`` (legend) and ``explorer_hidden_size`` (slider).
    """
    needed = (metric, _RATE, _SIZE, _NOISE)
    frame = frames.with_lane(frames.drawn(trials, needed=needed), metric=metric)
    frame = frames.with_settings(frame, metric=metric)
    value = frames.value_axis(frame.loc[frame["outcome"].eq("drawn"), metric], frames.metric_words(frame, metric))
    smallest, largest = int(frame[_SIZE].min()), int(frame[_SIZE].max())
    brush = alt.selection_interval(name="explorer_brush", encodings=["x", "y"])
    settings = alt.selection_interval(name="explorer_brush_settings", encodings=["x", "y"])
    picked = alt.selection_point(name="explorer_variant", fields=["variant"], bind="legend")
    slider = alt.binding_range(min=smallest, max=largest, step=1, name="hidden size, at least ", debounce=40)
    size = alt.param(name="explorer_hidden_size", value=smallest, bind=slider)
    both = picked & (alt.datum[_SIZE] >= size)
    scatters = alt.concat(
        _losses(frame, metric=metric, value=value, inside=settings & both).add_params(brush, picked),
        _settings(frame, metric=metric, inside=brush & both).add_params(settings),
        columns=2,
        spacing=24,
    )
    variants = _variants(frame, metric=metric, value=value, inside=brush & settings & both)
    return (
        alt.concat(scatters, variants, columns=1, spacing=24)
        .add_params(size)
        .properties(
            description=_finding(frame, metric=metric),
            title=alt.Title(text=alt.expr(_selection_sentence(smallest, metric=metric)), fontWeight="normal", offset=6),
            usermeta=narrow(256),
        )
    )


def _losses(frame: pd.DataFrame, *, metric: str, value: frames.ValueAxis, inside: Any) -> alt.LayerChart:
    """Draw loss against learning rate, with the diverged trials in a lane of their own."""
    x = alt.X(
        f"{_RATE}:Q", scale=alt.Scale(type="log", nice=False, padding=6), axis=decades(title="learning rate, log scale")
    )
    y = alt.Y(f"{metric}:Q", scale=value.scale(start=_HEIGHT, stop=_LANE), axis=value.axis())
    base = alt.Chart(frame).encode(
        x=x,
        color=frames.variant_colours(frame["variant"]),
        opacity=alt.when(inside).then(alt.value(0.5)).otherwise(alt.value(0.05)),
        tooltip=frames.trial_tooltip(frame, metric=metric),
    )
    drawn = base.transform_filter("datum.outcome === 'drawn'").mark_circle().encode(y=y)
    lane = (
        base.transform_filter("datum.outcome !== 'drawn'")
        .mark_point(shape="cross", size=30, filled=True, angle=45)
        .encode(y=alt.value(22))
    )
    cap = frames.CAPS.get(frames.metric_of(frame), float("nan"))
    words = frames.lane_words(frame["outcome"], cap=cap)
    layers: list[Any] = [drawn]
    if words:
        layers = [drawn, _lane_edge(words), lane]
    return frames.layered(*layers).properties(width=272, height=_HEIGHT)


def _lane_edge(words: str) -> alt.LayerChart:
    mark = alt.Chart(pd.DataFrame({"words": [words]}))
    edge = mark.mark_rule(color=GRID.light).encode(y=alt.value(_LANE - 6), x=alt.value(0), x2=alt.value("width"))
    text = mark.mark_text(align="left", baseline="middle", color=MUTED.light, fontSize=11)
    return frames.layered(edge, text.encode(x=alt.value(2), y=alt.value(6), text="words:N"))


def _settings(frame: pd.DataFrame, *, metric: str, inside: Any) -> alt.Chart:
    """Draw the trials by hidden size and input noise."""
    sizes = alt.Scale(type="log", nice=False, padding=6)
    x = alt.X(f"{_SIZE}:Q", scale=sizes, axis=alt.Axis(values=[20, 50, 100, 200, 500], title="hidden size, log scale"))
    noise = alt.Axis(title=frames.HYPERPARAMETERS["input_noise_std"], tickCount=5)
    y = alt.Y(f"{_NOISE}:Q", axis=noise, scale=alt.Scale(nice=False, padding=6))
    return (
        alt.Chart(frame)
        .mark_circle()
        .encode(
            x=x,
            y=y,
            color=frames.variant_colours(frame["variant"]),
            opacity=alt.when(inside).then(alt.value(0.5)).otherwise(alt.value(0.05)),
            tooltip=frames.trial_tooltip(frame, metric=metric),
        )
        .properties(width=250, height=_HEIGHT)
    )


def _variants(frame: pd.DataFrame, *, metric: str, value: frames.ValueAxis, inside: Any) -> alt.LayerChart:
    """Draw median and middle half of what is selected, for each variant."""
    order = frames.variant_order(frame["variant"])
    scale = _zooming(value, metric=metric)
    base = _medians(frame, metric=metric, order=order, inside=inside)
    axis = alt.Axis(grid=True, title=value.title, tickCount=8, labelExpr="format(datum.value, '~r')", labelOverlap=True)
    spread = base.mark_bar(size=10).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q", fill=frames.variant_spreads(order), tooltip=_MEDIAN_TIPS
    )
    middle = base.mark_point(size=70, opacity=1, filled=True).encode(
        x=alt.X("median:Q", scale=scale, axis=axis),
        color=frames.variant_colours(order),
        tooltip=_MEDIAN_TIPS,
    )
    numbers = (
        base.transform_calculate(words=_COUNTED)
        .mark_text(align="right", fontSize=11, color=MUTED.light)
        .encode(x=alt.value("width"), text="words:N")
    )
    words = "Median and middle half of the selected trials"
    title = alt.Title(words, fontWeight="normal", fontSize=12, color=MUTED.light)
    panel = frames.layered(spread, middle, numbers).properties(width=576, height=HEIGHTS[1], title=title)
    # Otherwise the missing legend of the spreads and that of the points are merged, with a warning.
    return panel.resolve_legend(fill="independent")


def _zooming(value: frames.ValueAxis, *, metric: str) -> alt.Scale:
    """Return the scale of the medians: the losses that are brushed, and a third more, where the counts stand."""
    brushed = f"explorer_brush['{metric}']"
    low = f"({brushed} ? max({value.low}, min({brushed}[0], {brushed}[1])) : {value.low})"
    high = f"({brushed} ? min({value.high}, max({brushed}[0], {brushed}[1])) : {value.high})"
    end = f"{high} * pow({high} / {low}, 0.35)" if value.log else f"{high} + 0.35 * ({high} - {low})"
    domain: Any = [{"expr": low}, {"expr": end}]
    return alt.Scale(type="log" if value.log else "linear", nice=False, zero=False, domain=domain)


_COUNTED = "datum.n + (datum.lost ? ' + ' + datum.lost + ' ✕' : '') + (datum.all == 1 ? ' trial' : ' trials')"
_MEDIAN_TIPS = [
    alt.Tooltip("variant:N", title="variant"),
    alt.Tooltip("n:Q", title="trials selected"),
    alt.Tooltip("lost:Q", title="and in the lane (✕)"),
    alt.Tooltip("median:Q", title="median", format=".4g"),
    alt.Tooltip("low:Q", title="lower quartile", format=".4g"),
    alt.Tooltip("high:Q", title="upper quartile", format=".4g"),
]


def _medians(frame: pd.DataFrame, *, metric: str, order: list[str], inside: Any) -> alt.Chart:
    """Return the selected trials of each variant, summed up by the page; those in the lane are counted apart."""
    sums: dict[str, Any] = {
        "median": "median(shown)",
        "low": "q1(shown)",
        "high": "q3(shown)",
        "n": "valid(shown)",
        "all": "count()",
    }
    y = alt.Y("variant:N", sort=order, title=None, axis=alt.Axis(grid=False), scale=alt.Scale(domain=order))
    return (
        alt.Chart(frame)
        .transform_filter(inside)
        .transform_calculate(shown=f"datum.outcome === 'drawn' ? datum.{metric} : null")
        .transform_aggregate(groupby=["variant"], **sums)
        .transform_calculate(lost="datum.all - datum.n")
        .encode(y=y)
    )


def _selection_sentence(smallest: int, *, metric: str) -> str:
    """Return the expression that says in words what is selected."""

    def span(brush: str, field: str, words: str, write: Callable[[str], str]) -> str:
        part = f"{brush}['{field}']"
        return f"({part} ? ', {words} ' + {write(part + '[0]')} + ' to ' + {write(part + '[1]')} : '')"

    parts = [
        "'Selected: ' + (explorer_variant['variant'] ? join(explorer_variant['variant'], ', ') : 'all variants')",
        f"(explorer_hidden_size > {smallest} ? ', at least ' + explorer_hidden_size + ' blocks' : '')",
        span("explorer_brush", _RATE, "learning rate", rate_expression),
        span("explorer_brush", metric, "loss", "format({}, '.3~r')".format),
        span("explorer_brush_settings", _SIZE, "hidden size", "format({}, '.0f')".format),
        span("explorer_brush_settings", _NOISE, "noise", "format({}, '.2f')".format),
    ]
    return " + ".join(parts)


def _finding(frame: pd.DataFrame, *, metric: str) -> str:
    drawn = frame[frame["outcome"].eq("drawn")]
    if drawn.empty:
        return f"All {len(frame)} trials diverged or failed."
    lowest, highest = drawn[_RATE].quantile([0.25, 0.75])
    slow, fast = drawn.loc[drawn[_RATE] <= lowest, metric].median(), drawn.loc[drawn[_RATE] >= highest, metric].median()
    lane = frames.lane_words(frame["outcome"], cap=frames.CAPS.get(frames.metric_of(frame), float("nan")))
    return (
        f"{len(frame)} trials of {frame['variant'].nunique()} variants: the median "
        f"{frames.metric_words(frame, metric)}, is {slow:.3g} in the quarter with the lowest learning rates and "
        f"{fast:.3g} in the quarter with the highest{'; ' + lane if lane else ''}. Brush a chart to filter the others."
    )
