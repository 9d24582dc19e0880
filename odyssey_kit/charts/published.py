"""Figure of the papers' own numbers: the published boxes, tested again. May import the other modules of `charts`."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import BACKGROUND, INK, MUTED, PUBLISHED, variant_order
from odyssey_kit.charts.theme import HEIGHTS, narrow

__all__ = ["published_boxes"]

_TITLES = {"timit": "TIMIT", "iam-ondb": "IAM-OnDB", "jsb-chorales": "JSB Chorales"}


def published_boxes(tests: pd.DataFrame) -> alt.ConcatChart:
    """Draw the re-test of the Odyssey's published boxes, in standard deviations, a panel a task.

    Parameters
    ----------
    tests : pandas.DataFrame
        As `retest_published` returns; boxes that are off scale are left out and counted.

    Returns
    -------
    altair.ConcatChart
        Hollow marks are what the paper does not paint as significant, filled ones what it does.
    """
    table = tests.dropna(subset=["d"]).copy()
    scale = table["d"] / table["difference"]
    table["from"], table["to"] = table["low"] * scale, table["high"] * scale
    table["p"] = [f"{p:.2g}" for p in table["p_bonferroni"]]
    table["painted"] = table["painted_significant"].map({True: "painted significant", False: "not painted"})
    odd = table[table["agrees"].eq(False)]
    listed = ", ".join(f"{row['variant']} on {_TITLES[row['task']]} (p × 8 = {row['p']})" for _, row in odd.iterrows())
    finding = (
        f"{len(table)} of {len(tests)} boxes can be tested again; those whose painting the re-test does not bear out: "
        f"{listed or 'none'}."
    )
    shown = table[["task", "variant", "d", "from", "to", "p", "painted", "difference"]]
    panels = [_panel(shown[shown["task"].eq(task)], task) for task in dict.fromkeys(shown["task"])]
    return alt.concat(*[panel.properties(width=152) for panel in panels], columns=3).properties(
        description=finding, usermeta=narrow(240)
    )


def _panel(table: pd.DataFrame, task: str) -> alt.LayerChart:
    y = alt.Y("variant:N", sort=variant_order(table["variant"]), title=None, axis=alt.Axis(grid=False))
    axis = alt.Axis(title=["from vanilla,", "standard deviations"], grid=True, tickCount=4)
    tips: list[Any] = [
        alt.Tooltip("variant:N"),
        alt.Tooltip("difference:Q", title="difference", format="+.3g"),
        alt.Tooltip("d:Q", title="in standard deviations", format="+.2f"),
        alt.Tooltip("p:N", title="p × 8"),
        alt.Tooltip("painted:N", title="in the paper"),
    ]
    domain = ["not painted", "painted significant"]
    fill = alt.Fill(
        "painted:N",
        scale=alt.Scale(domain=domain, range=[BACKGROUND.light, PUBLISHED.light]),
        legend=alt.Legend(title=None),
    )
    base = alt.Chart(table).encode(y=y, tooltip=tips)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]}))
    return frames.layered(
        zero.mark_rule(color=INK.light).encode(x="zero:Q"),
        base.mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=PUBLISHED.light).encode(
            x=alt.X("from:Q", axis=axis), x2="to:Q"
        ),
        base.mark_point(size=60, opacity=1, strokeWidth=1.5, stroke=PUBLISHED.light, filled=False).encode(
            x=alt.X("d:Q", axis=axis), fill=fill
        ),
    ).properties(
        height=HEIGHTS[1], title=alt.Title(_TITLES.get(task, task), fontSize=12, fontWeight="normal", color=MUTED.light)
    )
