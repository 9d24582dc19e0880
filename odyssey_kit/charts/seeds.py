"""Figure of settings that were trained with several seeds. May import `analysis` and the other modules of `charts`."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit import analysis
from odyssey_kit.analysis.schema import parameter_columns
from odyssey_kit.analysis.trials import frame_of
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import BACKGROUND, MUTED, variant_order
from odyssey_kit.charts.theme import HEIGHTS, narrow

__all__ = ["seeds_chart"]


def seeds_chart(trials: Any, *, of: Any = None, metric: str = "test_metric") -> alt.ConcatChart:
    """Draw each setting as a row: its seeds, their mean, and the trial that the setting was chosen for.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Settings with several seeds each, as `ok.repeated_settings` takes them.
    of : Trials or pandas.DataFrame, optional
        The study that the settings were taken from.
    metric : str
        Column that is drawn, lower is better.

    Returns
    -------
    altair.ConcatChart
        One panel a variant on a common axis; what diverged or lies above the cap is a cross at the right edge.
    """
    frame = frame_of(trials)
    cap = frames.CAPS.get(frames.metric_of(frame))
    settings = analysis.repeated_settings(trials, of=of, metric=metric, cap=cap)
    by = ["task", "variant", *parameter_columns(settings)]
    settings["place"] = settings.groupby(["task", "variant"]).cumcount() + 1
    dots = frames.with_lane(frames.drawn(frame, needed=("task", metric)), metric=metric)
    dots = frames.with_settings(dots, metric=metric).merge(settings[[*by, "place"]], on=by)
    # What is a cross is lost here, a trial too that diverged after an epoch with a finite loss.
    lost = dots[dots["outcome"].ne("drawn")].groupby(["variant", "place"]).size().rename("lost")
    settings = settings.drop(columns="lost").join(lost, on=["variant", "place"]).fillna({"lost": 0})
    value = frames.value_axis(
        [*dots.loc[dots["outcome"].eq("drawn"), metric], *settings["first"]], frames.metric_words(frame, metric)
    )
    order = variant_order(settings["variant"])
    colour = frames.variant_colours(order, legend=False)
    panels = [
        _panel(
            dots[dots["variant"].eq(name)],
            settings[settings["variant"].eq(name)],
            value=value,
            colour=colour,
            metric=metric,
        )
        for name in order
    ]
    return alt.concat(*panels, columns=2, spacing=28).properties(
        description=_sentence(settings, analysis.seed_spread(trials, metric=metric, cap=cap)), usermeta=narrow(290)
    )


def _panel(
    dots: pd.DataFrame, settings: pd.DataFrame, *, value: frames.ValueAxis, colour: alt.Color, metric: str
) -> alt.LayerChart:
    rows = alt.Axis(title="setting, the best by validation first" if settings["first"].notna().any() else "setting")
    y = alt.Y("place:O", axis=rows)
    x = alt.X(f"{metric}:Q", scale=value.scale(), axis=value.axis(grid=True))
    tips = [alt.Tooltip("n:Q", title="seeds"), alt.Tooltip("lost:Q", title="lost")]
    tips += [
        alt.Tooltip(f"{column}:Q", title=words, format=".4g")
        for column, words in (("mean", "mean"), ("sd", "standard deviation"), ("first", "the trial it was chosen for"))
    ]
    row = alt.Chart(settings).encode(y=y, tooltip=tips)
    trial = alt.Chart(dots).encode(y=y, color=colour, tooltip=frames.trial_tooltip(dots, metric=metric))
    return frames.layered(
        trial.transform_filter("datum.outcome === 'drawn'").mark_circle(size=26).encode(x=x),
        row.mark_tick(thickness=2.5, size=13).encode(x=alt.X("mean:Q", scale=value.scale()), color=colour),
        row.mark_point(
            shape="diamond", size=70, opacity=1, strokeWidth=1.5, fill=BACKGROUND.light, stroke=MUTED.light
        ).encode(x=alt.X("first:Q", scale=value.scale())),
        trial.transform_filter("datum.outcome !== 'drawn'")
        .mark_point(shape="cross", size=30, filled=True, angle=45)
        .encode(x=alt.value("width")),
    ).properties(width=272, height=HEIGHTS[1], title=alt.Title(str(settings["variant"].iloc[0]), fontSize=12))


def _sentence(settings: pd.DataFrame, spread: pd.DataFrame) -> str:
    told = [
        f"{row['variant']}: {row['settings']} settings, mean {row['mean']:.4g}; over seeds of one setting a standard "
        f"deviation of {row['seed_sd']:.2g}, over settings {row['setting_sd']:.2g}."
        for row in spread.to_dict("records")
    ]
    lost = int(settings["lost"].sum())
    return " ".join(
        [*told, *([f"{frames.count_words(lost, 'trial')} diverged or ended above the cap."] if lost else [])]
    )
