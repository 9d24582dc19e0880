"""Figure of one training: loss and metrics epoch by epoch.

May import `errors` and the other modules of `charts`.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import INK, MUTED, PUBLISHED
from odyssey_kit.charts.theme import HEIGHTS, narrow
from odyssey_kit.errors import UsageError

__all__ = ["training_curves"]


def training_curves(
    history: pd.DataFrame, *, words: str = "loss, nats a frame", loss_words: str = "training loss, nats a frame"
) -> alt.ConcatChart:
    """Draw the training loss, and validation and test metric, by epoch; the best epoch is marked.

    Parameters
    ----------
    history : pandas.DataFrame
        Columns ``epoch``, ``train_loss``, ``valid_metric``, ``test_metric`` and ``is_best``, of one
        trial; ``updates`` and ``seconds`` go into the tooltip.
    words, loss_words : str
        Metric and training loss in words and units.

    Returns
    -------
    altair.ConcatChart
        Two panels: the training loss is a mean over the epoch, with noise on the inputs; the metrics are
        measured after it, without.

    Examples
    --------
    >>> import pandas as pd, odyssey_kit as ok
    >>> history = pd.DataFrame({"epoch": [1, 2], "train_loss": [900.0, 700.0], "valid_metric": [12.0, 10.5],
    ...     "test_metric": [12.1, 10.4], "is_best": [False, True]})
    >>> print(ok.charts.training_curves(history).description)
    After 2 epochs the test loss, nats a frame, is 10.4 at epoch 2, the best by validation (10.5).
    """
    keys = set(history["key"]) if "key" in history else set()
    if len(keys) > 1:
        raise UsageError(f"the history holds {len(keys)} trials, expected one; choose a key")
    known = ["epoch", "updates", "seconds", "train_loss", "valid_metric", "test_metric", "is_best"]
    table = history.loc[:, [name for name in known if name in history.columns]].sort_values("epoch")
    long = table.melt(
        id_vars=[name for name in ("epoch", "updates", "is_best") if name in table],
        value_vars=["valid_metric", "test_metric"],
        var_name="split",
    ).assign(split=lambda rows: rows["split"].map({"valid_metric": "validation", "test_metric": "test"}))
    panels = alt.concat(_loss(table, loss_words), _metrics(long, words), columns=2, spacing=28)
    return panels.properties(description=_finding(table, words), usermeta=narrow(280))


def _epochs(table: pd.DataFrame) -> alt.X:
    last = int(table["epoch"].max())
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**9) if last / step <= 8)
    axis = alt.Axis(values=sorted({1, *range(step, last + 1, step)}), format="d", title="epoch")
    return alt.X("epoch:Q", axis=axis, scale=alt.Scale(nice=False, zero=False, domain=[1, max(last, 2)], padding=6))


def _loss(table: pd.DataFrame, words: str) -> alt.Chart:
    value = frames.value_axis(table["train_loss"], words)
    tips = [
        alt.Tooltip(f"{name}:Q", title=title, format=form)
        for name, title, form in (
            ("epoch", "epoch", "d"),
            ("train_loss", "training loss", ".4g"),
            ("updates", "updates", ","),
            ("seconds", "seconds", ".3~g"),
        )
        if name in table
    ]
    y = alt.Y("train_loss:Q", scale=value.scale(), axis=value.axis())
    mark = alt.Chart(table).mark_line(color=INK.light, point=alt.OverlayMarkDef(size=30, opacity=1, color=INK.light))
    return mark.encode(x=_epochs(table), y=y, tooltip=tips).properties(width=262, height=HEIGHTS[1])


def _metrics(long: pd.DataFrame, words: str) -> alt.LayerChart:
    value = frames.value_axis(long["value"], words)
    splits = ["test", "validation"]
    colours = alt.Scale(domain=splits, range=[INK.light, PUBLISHED.light])
    dashes = alt.Scale(domain=splits, range=[[1, 0], [5, 4]])
    key = alt.Legend(title=None, symbolType="stroke", symbolSize=200)
    y = alt.Y("value:Q", scale=value.scale(), axis=value.axis())
    tips = [
        alt.Tooltip("split:N", title="split"),
        alt.Tooltip("epoch:Q", title="epoch", format="d"),
        alt.Tooltip("value:Q", title=words, format=".4g"),
    ]
    base = alt.Chart(long).encode(
        x=_epochs(long), y=y, color=alt.Color("split:N", scale=colours, legend=key), tooltip=tips
    )
    best = base.transform_filter("datum.is_best")
    return frames.layered(
        base.mark_line().encode(strokeDash=alt.StrokeDash("split:N", scale=dashes, legend=key)),
        base.mark_point(size=18, opacity=1, filled=True),
        best.mark_point(size=110, opacity=1, strokeWidth=1.75, filled=False),
        alt.Chart(pd.DataFrame({"words": ["ring: best epoch by validation"]}))
        .mark_text(align="right", baseline="top", fontSize=11, color=MUTED.light)
        .encode(text="words:N", x=alt.value("width"), y=alt.value(2)),
    ).properties(width=262, height=HEIGHTS[1])


def _finding(table: pd.DataFrame, words: str) -> str:
    best = table[table["is_best"].astype(bool)]
    if best.empty:
        return f"{len(table)} epochs, none of which has a finite validation metric: the trial diverged."
    row = best.iloc[0]
    return (
        f"After {len(table)} epochs the test {words}, is {row['test_metric']:.3g} at epoch {int(row['epoch'])}, "
        f"the best by validation ({row['valid_metric']:.3g})."
    )
