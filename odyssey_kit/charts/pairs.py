"""Figure of a paired study: each variant minus vanilla, draw by draw.

May import `analysis` and the other modules of `charts`.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from odyssey_kit import analysis
from odyssey_kit.analysis.pairs import paired_differences
from odyssey_kit.analysis.trials import frame_of
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import INK, MUTED, variant_order
from odyssey_kit.charts.theme import HEIGHTS

__all__ = ["pairs_chart"]

# The axis holds the middle of all differences; the rest stands at its ends, and intervals are cut there.
_SHOWN = (0.03, 0.97)


def pairs_chart(trials: Any, *, baseline: str = "V", metric: str = "test_metric") -> alt.LayerChart:
    """Draw the differences from the baseline at the same settings, and their median with its 95 % interval.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Of a paired study of one task, as `ok.compare_pairs` takes them.
    baseline : str
        The variant that the others are compared with.
    metric : str
        Column that is compared, lower is better.

    Returns
    -------
    altair.LayerChart
        A row a variant. What lies beyond the axis, and where one of the two diverged, is a triangle at its end;
        intervals are cut there.
    """
    frame = frame_of(trials)
    table = analysis.compare_pairs(trials, baseline=baseline, metric=metric)
    dots = paired_differences(trials, baseline=baseline, metric=metric)
    finite = dots.loc[np.isfinite(dots["difference"]), "difference"]
    words = f"difference from {baseline}, {frames.metric_words(frame, metric)}"
    value = frames.value_axis([0.0, *finite.quantile(list(_SHOWN)), *table["median_difference"]], words)
    # The golden ratio spreads any number of neighbours evenly, and the same ones the same way.
    dots = dots.assign(
        place=dots["difference"].clip(value.low, value.high),
        beyond=np.select([dots["difference"] < value.low, dots["difference"] > value.high], ["left", "right"], "no"),
        aside=(np.arange(len(dots)) * 0.6180339887) % 1.0,
        words=[f"{d:+.3g}" if np.isfinite(d) else "one of the two diverged" for d in dots["difference"]],
    )
    order = variant_order(table["variant"])
    y = alt.Y("variant:N", sort=order, title=None, axis=alt.Axis(grid=False), scale=alt.Scale(paddingInner=0.3))
    scale, colour = value.scale(), frames.variant_colours(order, legend=False)
    spread = alt.YOffset("aside:Q", scale=alt.Scale(domain=[-0.2, 1.2]))
    trial = alt.Chart(dots).encode(
        x=alt.X("place:Q", scale=scale, axis=value.axis(grid=True)),
        y=y,
        yOffset=spread,
        color=colour,
        tooltip=[alt.Tooltip("variant:N"), alt.Tooltip("index:Q", title="draw"), alt.Tooltip("words:N", title="Δ")],
    )
    tips = [alt.Tooltip("variant:N", title="variant"), alt.Tooltip("n:Q", title="draws")]
    tips += [
        alt.Tooltip(f"{name}:Q", title=title, format="+.3g")
        for name, title in (("median_difference", "median"), ("low", "95 % interval from"), ("high", "to"))
    ]
    tips += [alt.Tooltip("higher:Q", title="draws at which it is worse")]
    ends = {f"{name}_drawn": table[name].clip(value.low, value.high) for name in ("low", "high")}
    row = alt.Chart(table.assign(**ends)).encode(y=y, tooltip=tips)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0], "words": [f"worse than {baseline} →"]}))
    here = alt.X("zero:Q", scale=scale)
    arrows = [
        trial.transform_filter(f"datum.beyond === '{side}'").mark_point(shape=f"triangle-{side}", size=22, filled=True)
        for side in ("left", "right")
    ]
    return frames.layered(
        zero.mark_rule(color=INK.light, strokeWidth=1).encode(x=here),
        zero.mark_text(align="left", dx=6, fontSize=11, color=MUTED.light, baseline="bottom").encode(
            x=here, y=alt.value(-2), text="words:N"
        ),
        trial.transform_filter("datum.beyond === 'no'").mark_circle(),
        *arrows,
        row.mark_rule(strokeWidth=5).encode(x=alt.X("low_drawn:Q", scale=scale), x2="high_drawn:Q", color=colour),
        row.mark_point(
            shape="stroke", angle=90, size=260, strokeWidth=3, opacity=1, filled=False, stroke=INK.light
        ).encode(x=alt.X("median_difference:Q", scale=scale)),
    ).properties(width="container", height=HEIGHTS[2], description=_sentence(table, baseline))


def _sentence(table: pd.DataFrame, baseline: str) -> str:
    rows = table.set_index("variant")
    told = ", ".join(
        f"{name} {rows.loc[name, 'median_difference']:+.3g} (worse at {rows.loc[name, 'higher']} of "
        f"{rows.loc[name, 'n']})"
        for name in variant_order(rows.index)
    )
    return f"Median difference from {baseline} at the same settings: {told}."
