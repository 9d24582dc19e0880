"""Figure of a comparison: each variant's difference from vanilla, with its interval and verdict.

May import the other modules of `charts`, and how `analysis` words numbers.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit.analysis.direction import better, sign
from odyssey_kit.analysis.words import p_value
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import BACKGROUND, INK, MUTED, VERDICTS, variant_order
from odyssey_kit.charts.theme import HEIGHTS, narrow

__all__ = ["comparison_chart"]


def comparison_chart(comparison: Any, *, words: str = "test loss, nats a frame") -> alt.TopLevelMixin:
    """Draw each variant's difference from the baseline with its 95 % interval.

    Parameters
    ----------
    comparison : Comparison or pandas.DataFrame
        Columns ``task``, ``variant``, ``difference``, ``low``, ``high``, ``p_selection_holm``,
        ``verdict``, ``n``; as `ok.compare` returns. ``baseline_mean`` goes into the tooltip.
    words : str
        The metric in words and units.

    Returns
    -------
    altair.LayerChart or altair.ConcatChart
        One panel a task, on a common axis.
    """
    table = comparison if isinstance(comparison, pd.DataFrame) else comparison.to_frame()
    baseline = getattr(comparison, "baseline", "V")
    direction = getattr(comparison, "direction", None)
    right = "worse" if sign(direction) > 0 else "better"
    known = {"task", "variant", "difference", "low", "high", "p_selection_holm", "verdict", "n"}
    known |= {"baseline_mean", "note"}
    table = table.loc[:, [name for name in table.columns if name in known]]
    table["p"] = [p_value(p, missing="not tested") for p in table["p_selection_holm"]]
    ends = frames.value_axis(
        [0.0, *table["low"], *table["high"], *table["difference"]], f"difference from {baseline}, {words}"
    )
    tasks = list(table["task"].unique())
    panels = []
    for task in tasks:
        panel = _panel(table[table["task"].eq(task)], ends=ends, right=f"{right} than {baseline} →")
        named = alt.Title(frames.task_words(task), fontSize=12, fontWeight="normal")
        panels.append(panel.properties(title=named) if len(tasks) > 1 else panel)
    found = [_finding(table[table["task"].eq(task)], baseline=baseline, words=words) for task in tasks]
    finding = " ".join([*found, *([f"{better(direction).capitalize()}."] if sign(direction) < 0 else [])])
    if len(panels) == 1:
        return panels[0].properties(width="container", description=finding)
    return alt.concat(*[panel.properties(width=250) for panel in panels], columns=2).properties(
        description=finding, usermeta=narrow(250)
    )


def _panel(table: pd.DataFrame, *, ends: frames.ValueAxis, right: str) -> alt.LayerChart:
    order = variant_order(table["variant"])
    y = alt.Y("variant:N", sort=order, title=None, axis=alt.Axis(grid=False))
    x = alt.X("difference:Q", scale=ends.scale(), axis=ends.axis(grid=True))
    present = [name for name in VERDICTS if name in set(table["verdict"])]
    shown = [VERDICTS[name] for name in present]
    colours = alt.Scale(domain=present, range=[verdict.colour.light for verdict in shown])
    fills = alt.Scale(domain=present, range=[(v.colour if v.filled else BACKGROUND).light for v in shown])
    shapes = alt.Scale(domain=present, range=[verdict.shape for verdict in shown])
    tips = [
        alt.Tooltip("variant:N", title="variant"),
        alt.Tooltip("difference:Q", title="difference", format="+.4g"),
        alt.Tooltip("low:Q", title="95 % interval from", format="+.4g"),
        alt.Tooltip("high:Q", title="to", format="+.4g"),
        alt.Tooltip("p:N", title="p (Holm)"),
        alt.Tooltip("n:Q", title="trials"),
    ]
    key = alt.Legend(title=None)
    base = alt.Chart(table).encode(y=y, color=alt.Color("verdict:N", scale=colours, legend=key), tooltip=tips)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0], "words": [right]}))
    return frames.layered(
        zero.mark_rule(color=INK.light, strokeWidth=1).encode(x=alt.X("zero:Q", scale=ends.scale())),
        zero.mark_text(align="left", dx=6, fontSize=11, color=MUTED.light, baseline="bottom").encode(
            x=alt.X("zero:Q", scale=ends.scale()), y=alt.value(-2), text="words:N"
        ),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=ends.scale()), x2="high:Q"),
        base.mark_point(size=75, opacity=1, strokeWidth=1.75, filled=False).encode(
            x=x,
            shape=alt.Shape("verdict:N", scale=shapes, legend=key),
            fill=alt.Fill("verdict:N", scale=fills, legend=key),
        ),
    ).properties(height=HEIGHTS[1])


def _finding(table: pd.DataFrame, *, baseline: str, words: str) -> str:
    told = []
    for verdict in VERDICTS:
        rows = table[table["verdict"].eq(verdict)]
        listed = ", ".join(
            f"{name} ({difference:+.3g}, {low:+.3g} to {high:+.3g})" if verdict.startswith("different") else name
            for name, difference, low, high in rows[["variant", "difference", "low", "high"]].itertuples(index=False)
        )
        told += [f"{verdict.capitalize()}: {listed}."] if listed else []
    of = f"{frames.count_words(len(table), 'variant')} against {baseline} in {words}."
    return " ".join([f"{frames.task_words(table['task'].iloc[0])}: {of}", *told])
