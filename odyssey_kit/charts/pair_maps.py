"""Figure of what pairs of hyperparameters do beyond each of them alone.

May import `analysis`, `space` and the other modules of `charts`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit import analysis
from odyssey_kit.analysis.interactions import cell_edges
from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts._frames import effect_words
from odyssey_kit.charts.palette import BACKGROUND, MUTED, variant_colour
from odyssey_kit.charts.theme import narrow
from odyssey_kit.space import Categorical, SearchSpace

__all__ = ["pair_maps", "quantile_ticks"]


def pair_maps(model: Any, *, words: str = "nats a frame", n_points: int = 15) -> alt.ConcatChart:
    """Draw the pure interaction of every pair, one map each on a common scale centred at zero.

    Parameters
    ----------
    model : FunctionalANOVA
        Fitted to two hyperparameters or more.
    words : str
        Unit of the target.
    n_points : int
        Points of each side.

    Returns
    -------
    altair.ConcatChart
        Orange is worse, and blue better, than the two main effects together say.
    """
    maps = analysis.pair_effects(model, n_points=n_points)
    # An estimate may fall below zero; a share is none.
    shares = model.importances(2).set_index("parameters")["share"].clip(lower=0.0)
    most = float(maps["interaction"].abs().max()) or 1.0
    blue, orange = variant_colour("NOAF").light, variant_colour("NFG").light
    colour = alt.Color(
        "interaction:Q",
        scale=alt.Scale(domain=[-most, 0, most], range=[blue, BACKGROUND.light, orange], interpolate="rgb"),
        legend=alt.Legend(
            title=f"beyond the main effects, {words}", format="+.2~f", titleLimit=300, gradientLength=200
        ),
    )
    ticks = {name: quantile_ticks(name, model.space_[name]) for name in model.parameters_}
    order = sorted(maps["pair"].unique(), key=lambda pair: -float(shares[pair]))
    panels = [
        _map(maps[maps["pair"].eq(pair)], model.space_, ticks, colour, share=float(shares[pair])) for pair in order
    ]
    largest = maps.iloc[int(maps["interaction"].abs().to_numpy().argmax())]
    return alt.concat(*panels, columns=3, spacing=20).properties(
        description=(
            f"The largest pair is {effect_words(order[0])} with {100 * shares[order[0]]:.1f} % of the variance of "
            f"{model.n_trials_} trials, out-of-bag R² {model.oob_r2_:.2f}; the interactions reach "
            f"{largest['interaction']:+.2g} {words}."
        ),
        usermeta=narrow(236),
    )


def quantile_ticks(name: str, law: Any) -> dict[str, str]:
    """Return what stands on an axis of quantiles, at the ends and the middle or at each choice: quantile to words.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> quantile_ticks("learning_rate", ok.LogUniform(low=1e-6, high=1e-2))
    {'0': '10⁻⁶', '0.5': '10⁻⁴', '1': '10⁻²'}
    """
    if isinstance(law, Categorical):
        return {f"{law.to_unit(choice):g}": str(choice) for choice in law.choices}
    write = (
        frames.rate_words if name == "learning_rate" else lambda value: f"{value:.2g}" if value < 1 else f"{value:.0f}"
    )
    return {f"{place:g}": write(law.from_unit(place)) for place in (0.0, 0.5, 1.0)}


def _axis(name: str, ticks: Mapping[str, str], **options: Any) -> alt.Axis:
    written = "{" + ",".join(f"'{place}':'{words}'" for place, words in ticks.items()) + "}"
    return alt.Axis(
        values=[float(place) for place in ticks],
        labelExpr=f"{written}[format(datum.value, '~g')]",
        title=effect_words(name),
        grid=False,
        **options,
    )


def _map(
    table: pd.DataFrame,
    space: SearchSpace,
    ticks: Mapping[str, Mapping[str, str]],
    colour: alt.Color,
    *,
    share: float,
) -> alt.Chart:
    first, second = table["parameter_x"].iloc[0], table["parameter_y"].iloc[0]
    shown = table[["x", "y", "mean", "interaction"]].copy()
    for side, name in (("x", first), ("y", second)):
        places = sorted(table[f"quantile_{side}"].unique())
        cells = dict(zip(places, itertools.pairwise(cell_edges(space[name], places)), strict=True))
        shown[f"{side}_from"], shown[f"{side}_to"] = zip(*table[f"quantile_{side}"].map(cells), strict=True)
    flush = {"labelFlush": True}
    scale = alt.Scale(domain=[0, 1], nice=False)
    title = [effect_words(f"{first} × {second}"), f"{100 * share:.1f} % of the variance"]
    tips = [
        alt.Tooltip(f"{side}:N", title=effect_words(name))
        if isinstance(space[name], Categorical)
        else alt.Tooltip(f"{side}:Q", title=effect_words(name), format=".3~g")
        for side, name in (("x", first), ("y", second))
    ]
    tips += [
        alt.Tooltip("mean:Q", title="mean", format=".4g"),
        alt.Tooltip("interaction:Q", title="beyond the main effects", format="+.3f"),
    ]
    return (
        alt.Chart(shown)
        .mark_rect()
        .encode(
            x=alt.X("x_from:Q", scale=scale, axis=_axis(first, ticks[first], **flush)),
            x2="x_to:Q",
            y=alt.Y("y_from:Q", scale=scale, axis=_axis(second, ticks[second])),
            y2="y_to:Q",
            color=colour,
            tooltip=tips,
        )
        .properties(
            width=164,
            height=130,
            title=alt.Title(
                title[0], subtitle=title[1], fontSize=12, fontWeight="normal", color=MUTED.light, offset=20
            ),
        )
    )
