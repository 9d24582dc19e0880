"""The explorer of a whole search: every trial by its four settings, coloured by how it ended, with its curve.

May import `errors` and the other modules of `charts`.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import INK, MUTED, PUBLISHED, VERDICTS
from odyssey_kit.charts.theme import HEIGHTS, decades, narrow
from odyssey_kit.errors import UsageError

__all__ = ["search_explorer"]

_SETTINGS = ("params_learning_rate", "params_hidden_size", "params_momentum", "params_input_noise_std")
_WIDTH, _HEIGHT = 260, 230
_PICKED = "search_picked"
# Three lines of words at the top of the curve's panel, and the pixels that are theirs.
_LINES, _WORDS = ("first", "second", "third"), 50
# A curve is drawn at so many of its epochs, spread evenly on a log scale, and at its best one.
_KEPT = 16
# The colours end at this quantile: a few bad trials would make all the others one colour.
_END = 0.9
# Curves are drawn up to so many times the upper quartile of their points; what is above lies at the edge.
_CURVES_END = 1.25


def search_explorer(trials: Any, *, metric: str = "test_metric") -> alt.ConcatChart:
    """Draw every trial in two panels of two settings each, coloured by its outcome, and the curve of one.

    A brush in either panel dims what is outside it in both and recounts the variants below. Medians and quartiles
    there count every trial that ran, lost ones as `beside_figure3` does; what lies beyond the axis stands at its edge.
    A trial that is pointed at, or touched, shows its learning curve; without one, or if it is not among the selected,
    the best of these by validation does.

    Parameters
    ----------
    trials : Trials
        With curves, which have a column `metric`; columns ``key``, ``variant``, ``state``, ``valid_metric``,
        `metric` and the four settings of the Odyssey.
    metric : str
        Column that colours, lower is better.

    Returns
    -------
    altair.ConcatChart

    Notes
    -----
    The chart's parameters are ``search_brush_rate`` (learning rate and hidden size),
    ``search_brush_momentum`` (momentum and noise), ``search_picked`` (trial) and ``search_variant`` (menu).
    """
    if getattr(trials, "curves", None) is None:
        raise UsageError("the table has no curves, expected a study with curves.parquet; see ok.load_trials")
    frame = frames.with_lane(frames.drawn(trials, needed=("key", "valid_metric", metric, *_SETTINGS)), metric=metric)
    frame = frames.with_settings(frame, metric=metric).assign(from_one=1.0 - frame["params_momentum"])
    frame = frame.merge(_curves(trials.curves, metric=metric), on="key", how="left")
    for column in ("curve_epoch", "curve_loss"):
        # A trial that diverged in its first epoch has no curve; Vega flattens no list only if it is one.
        frame[column] = [values if isinstance(values, list) else [] for values in frame[column]]
    drawn = frame[frame["outcome"].eq("drawn")]
    if drawn.empty:
        raise UsageError(f"all {len(frame)} trials diverged or failed, so there is no outcome to draw")
    frame = frame.assign(counted=frames.counted(frame, metric=metric), turn=_turns(frame))
    pairs = (("rate", "params_learning_rate", "params_hidden_size"), ("momentum", "from_one", "params_input_noise_std"))
    brushes = [alt.selection_interval(name=f"search_brush_{name}", encodings=["x", "y"]) for name, *_ in pairs]
    picked = alt.selection_point(name=_PICKED, fields=["key"], on="pointerover", clear=False, empty=False)
    names = frames.variant_order(frame["variant"])
    menu = alt.binding_select(options=[None, *names], labels=["all", *names], name="variant ")
    variant = alt.selection_point(name="search_variant", fields=["variant"], bind=menu)
    inside = brushes[0] & brushes[1] & variant
    ends = (float(drawn[metric].min()), float(drawn[metric].quantile(_END)))
    colour = _outcome(metric, ends=ends, words=frames.metric_words(frame, metric))
    panels = [
        _panel(frame, x=x, y=y, colour=colour, inside=inside, metric=metric).add_params(brush)
        for brush, (_, x, y) in zip(brushes, pairs, strict=True)
    ]
    panels[0] = panels[0].add_params(picked, variant)
    below = [_counted(frame, metric=metric, inside=inside), _curve(frame, metric=metric, inside=inside)]
    return alt.concat(
        alt.concat(*panels, columns=2, spacing=24), alt.concat(*below, columns=2, spacing=24), columns=1
    ).properties(description=_finding(frame, metric=metric), usermeta=narrow(256))


def _turns(frame: pd.DataFrame) -> pd.Series:
    """Return in which order trials are shown while none is pointed at: by validation, lost ones last."""
    lost = frame["outcome"].ne("drawn")
    ordered = frame.assign(lost=lost).sort_values(["lost", "valid_metric"], kind="stable").index
    return pd.Series(range(len(frame)), index=ordered)


def _shown(frame: pd.DataFrame, inside: Any) -> alt.Chart:
    """Return the one trial that is ringed: the picked one if it is selected, else the first of the selected."""
    return (
        alt.Chart(frame)
        .transform_filter(inside)
        .transform_calculate(turn=f"indexof({_PICKED}.key || [], datum.key) >= 0 ? -1 : datum.turn")
        .transform_window(place="row_number()", sort=[alt.SortField("turn")])
        .transform_filter("datum.place === 1")
    )


def _curves(curves: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Return a row a trial: its metric at some of its epochs, and the best of them."""
    if metric not in curves:
        raise UsageError(f"the curves have no column {metric}; they have {', '.join(map(str, curves.columns))}")
    rows = []
    for key, curve in curves.sort_values("epoch").groupby("key", sort=False):
        epochs = curve["epoch"].to_numpy()
        wanted = np.unique(np.round(np.geomspace(1, max(epochs.max(), 1), _KEPT)).astype(int))
        best = curve.loc[curve["is_best"].astype(bool), "epoch"]
        kept = curve[curve["epoch"].isin({*wanted, *best})]
        values = [float(f"{v:.5g}") if math.isfinite(v) else None for v in kept[metric].astype(float)]
        rows.append(
            {
                "key": key,
                "curve_epoch": kept["epoch"].astype(int).tolist(),
                "curve_loss": values,
                "best": int(best.iloc[0]) if len(best) else 0,
            }
        )
    return pd.DataFrame(rows, columns=["key", "curve_epoch", "curve_loss", "best"])


def _outcome(metric: str, *, ends: tuple[float, float], words: str) -> alt.Color:
    scale = alt.Scale(scheme=alt.SchemeParams("viridis", extent=[0.1, 0.95]), domain=list(ends), clamp=True)
    key = alt.Legend(
        title=f"{words}; dark is better",
        gradientLength=200,
        gradientThickness=10,
        format=".3~r",
        tickCount=4,
        titleLimit=300,
    )
    return alt.Color(f"{metric}:Q", scale=scale, legend=key)


_AXES: dict[str, Any] = {
    "params_learning_rate": (alt.Scale(type="log", nice=False, padding=6), decades(title="learning rate, log scale")),
    "params_hidden_size": (
        alt.Scale(type="log", nice=False, padding=6),
        alt.Axis(values=[20, 50, 100, 200, 500], title="hidden size, log scale"),
    ),
    "from_one": (
        alt.Scale(type="log", nice=False, padding=6, reverse=True),
        alt.Axis(
            values=[1, 0.3, 0.1, 0.03, 0.01],
            labelExpr="format(1 - datum.value, '.2~f')",
            title="momentum, log scale of 1 − momentum",
            titleAnchor="end",
            titleAlign="left",
        ),
    ),
    "params_input_noise_std": (
        alt.Scale(nice=False, padding=6),
        alt.Axis(title="input noise (standard deviation)", tickCount=5),
    ),
}


def _panel(frame: pd.DataFrame, *, x: str, y: str, colour: alt.Color, inside: Any, metric: str) -> alt.LayerChart:
    """Draw the trials by two settings: circles by outcome, crosses for those without one, a ring for the shown."""
    places: dict[str, Any] = {"x": alt.X(f"{x}:Q", scale=_AXES[x][0], axis=_AXES[x][1])}
    places["y"] = alt.Y(f"{y}:Q", scale=_AXES[y][0], axis=_AXES[y][1])
    tips = frames.trial_tooltip(frame, metric=metric)
    base = alt.Chart(frame).encode(
        **places, tooltip=tips, opacity=alt.when(inside).then(alt.value(0.85)).otherwise(alt.value(0.06))
    )
    lost = VERDICTS["different"].colour.light
    return frames.layered(
        base.transform_filter("datum.outcome === 'drawn'").mark_circle(size=34).encode(color=colour),
        base.transform_filter("datum.outcome !== 'drawn'").mark_point(
            shape="cross", size=40, filled=True, angle=45, color=lost
        ),
        _shown(frame, inside)
        .mark_point(size=130, opacity=1, strokeWidth=1.75, filled=False, color=INK.light)
        .encode(**places, tooltip=tips),
    ).properties(width=_WIDTH, height=_HEIGHT)


def _counted(frame: pd.DataFrame, *, metric: str, inside: Any) -> alt.LayerChart:
    """Draw median and middle half of what is selected, by variant, with its number."""
    order = frames.variant_order(frame["variant"])
    drawn = frame.loc[frame["outcome"].eq("drawn"), metric]
    value = frames.value_axis(drawn[drawn <= drawn.quantile(0.97)], frames.metric_words(frame, metric))
    sums: dict[str, Any] = {"median": "median(counted)", "low": "q1(counted)", "high": "q3(counted)"}
    sums |= {"n": "sum(drawn)", "all": "count()"}
    base = (
        alt.Chart(frame)
        .transform_filter(inside)
        .transform_calculate(drawn="datum.outcome === 'drawn' ? 1 : 0")
        .transform_aggregate(groupby=["variant"], **sums)
        .transform_calculate(words="datum.n + (datum.all > datum.n ? ' + ' + (datum.all - datum.n) + ' ✕' : '')")
        .encode(y=alt.Y("variant:N", title=None, axis=alt.Axis(grid=False), scale=alt.Scale(domain=order)))
    )
    scale = value.scale(start=0, stop=_WIDTH - 84)  # beside it stand the numbers
    scale.clamp = True
    tips = [alt.Tooltip("variant:N"), alt.Tooltip("words:N", title="trials selected")]
    tips += [alt.Tooltip(f"{name}:Q", title=name, format=".4g") for name in ("median", "low", "high")]
    spread = base.mark_bar(size=9).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q", fill=frames.variant_spreads(order), tooltip=tips
    )
    edge = alt.when(f"datum.median > {value.high}").then(alt.value("triangle-right")).otherwise(alt.value("circle"))
    middle = base.mark_point(size=60, opacity=1, filled=True).encode(
        shape=edge,
        x=alt.X("median:Q", scale=scale, axis=value.axis(grid=True)),
        color=frames.variant_colours(order, legend=False),
        tooltip=tips,
    )
    words = base.mark_text(align="right", fontSize=11, color=MUTED.light).encode(x=alt.value("width"), text="words:N")
    heading = ["Selected: median, middle half, number", f"(✕ counted in; above {value.high:.3g}: at the edge)"]
    title = alt.Title(heading, fontWeight="normal", fontSize=12, color=MUTED.light)
    return frames.layered(spread, middle, words).properties(width=_WIDTH, height=HEIGHTS[1], title=title)


def _curve(frame: pd.DataFrame, *, metric: str, inside: Any) -> alt.LayerChart:
    """Draw the learning curve of the ringed trial, its best epoch ringed; what it is stands above, in words."""
    finite = np.array([value for values in frame["curve_loss"] for value in values if value is not None])
    if not len(finite):
        raise UsageError(
            f"no curve of these {len(frame)} trials has a finite {metric}, expected one at least; "
            "check that the curves are of the same study, as ok.load_trials brings them"
        )
    edge = min(float(finite.max()), _CURVES_END * float(np.quantile(finite, 0.75)))
    value = frames.value_axis([finite.min(), edge], frames.metric_words(frame, metric))
    last = max(epoch for epochs in frame["curve_epoch"] for epoch in epochs)
    scale = value.scale(start=HEIGHTS[1], stop=_WORDS)
    scale.clamp = True
    axis = alt.Axis(
        values=[e for e in (1, 2, 5, 10, 20, 50, 100, 150, 200, 500) if e <= last], title="epoch, log scale"
    )
    base = (
        _shown(frame, inside)
        .transform_flatten(["curve_epoch", "curve_loss"], as_=["epoch", "loss"])
        .transform_filter("isValid(datum.loss)")
        .encode(
            x=alt.X("epoch:Q", scale=alt.Scale(type="log", nice=False, domain=[1, max(last, 2)]), axis=axis),
            y=alt.Y("loss:Q", scale=scale, axis=value.axis()),
            tooltip=[
                alt.Tooltip("key:N", title="trial"),
                alt.Tooltip("epoch:Q", format="d"),
                alt.Tooltip("loss:Q", format=".4g"),
            ],
        )
    )
    words = (
        _shown(frame, inside)
        .transform_calculate(
            first="datum.variant + ': ' + datum.settings_result",
            second="'η = ' + datum.settings_rate + ', ' + datum.settings_size + ' blocks'",
            third="'momentum, noise ' + datum.settings_other",
        )
        .mark_text(align="right", fontSize=11, color=MUTED.light)
        .encode(x=alt.value("width"))
    )
    return frames.layered(
        base.mark_line(color=INK.light),
        base.mark_point(size=18, opacity=1, filled=True, color=INK.light),
        base.transform_filter("datum.epoch === datum.best").mark_point(
            size=110, opacity=1, filled=False, strokeWidth=1.75, color=PUBLISHED.light
        ),
        *(words.encode(y=alt.value(5 + 15 * line), text=f"{name}:N") for line, name in enumerate(_LINES)),
    ).properties(
        width=_WIDTH,
        height=HEIGHTS[1],
        title=alt.Title(
            f"The ringed trial by epoch (above {value.high:.3g}: at the edge)",
            fontWeight="normal",
            fontSize=12,
            color=MUTED.light,
        ),
    )


def _finding(frame: pd.DataFrame, *, metric: str) -> str:
    drawn = frame[frame["outcome"].eq("drawn")]
    rates = np.log10(drawn["params_learning_rate"])
    varied = [name for name in (*_SETTINGS, metric) if np.ptp(drawn[name]) > 0]
    related = {
        name: abs(float(drawn[name].corr(drawn[metric], method="spearman")))
        for name in varied
        if name != metric and metric in varied
    }
    strongest = (
        max(related, key=lambda name: related[name]).removeprefix("params_").replace("_", " ") if related else ""
    )
    follows = f"the {strongest} has the largest rank correlation with the {frames.metric_words(frame, metric)}; "
    best = drawn.sort_values("valid_metric", kind="stable").iloc[0]
    lane = frames.lane_words(frame["outcome"], cap=frames.CAPS.get(frames.metric_of(frame), math.nan))
    return (
        f"{len(frame)} trials of {frame['variant'].nunique()} variants at learning rates from "
        f"{frames.rate_words(10 ** float(rates.min()))} to {frames.rate_words(10 ** float(rates.max()))}: "
        f"{follows if related else ''}the best trial by validation is one of {best['variant']} with "
        f"{best[metric]:.3g}"
        f"{'; ' + lane if lane else ''}."
    )
