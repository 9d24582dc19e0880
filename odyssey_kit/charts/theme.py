"""The one Altair theme: type, grid, sizes and the dark partners of every colour.

Registered and enabled when `odyssey_kit.charts` is imported. May import `charts.palette`.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from odyssey_kit.charts.palette import BACKGROUND, DARK, GRID, INK, MUTED, PUBLISHED, tint

__all__ = [
    "COLUMN_WIDTH",
    "FONT",
    "HEIGHTS",
    "NARROW_BELOW",
    "PERCENT",
    "PHONE_WIDTH",
    "decades",
    "narrow",
    "odyssey_theme",
    "rate_expression",
]

# An expression: power of ten -> how it is written.
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_POWERS = "{" + ",".join(f"'{power}':'10{str(power).translate(_SUPERSCRIPTS)}'" for power in range(-12, 13)) + "}"
# "Inter Variable" is bundled with the book; elsewhere the system's own sans serif stands in.
FONT = "Inter Variable, Inter, system-ui, sans-serif"
HEIGHTS = (140, 220, 320)
COLUMN_WIDTH = 704
PHONE_WIDTH = 340
# In windows of 960 and 1200 pixels the column has 656, a scroll bar among them. A chart of several panels fits this
# width, and is redrawn for a phone below it.
NARROW_BELOW = 640
PERCENT = "format(100 * datum.value, '.3~g') + ' %'"  # of an axis of shares


_TEXT = {"labelColor": MUTED.light, "titleColor": MUTED.light, "labelFontSize": 12, "titleFontSize": 12}
# The title of a value axis stands above it: horizontal, and flush with the panel.
_UPRIGHT = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleBaseline": "bottom", "titleX": 0}
_AXES: dict[str, Any] = {
    "axis": {
        **_TEXT,
        "domain": False,
        "ticks": False,
        "grid": False,
        "gridColor": GRID.light,
        "gridWidth": 1,
        "labelAngle": 0,
        "labelPadding": 6,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "axisY": {"grid": True, **_UPRIGHT, "titleY": -10},
    "axisX": {"titleAnchor": "start"},
}
_WORDS: dict[str, Any] = {
    "header": {"labelColor": INK.light, "labelFontSize": 12, "labelFontWeight": 600, "labelAnchor": "start"},
    "legend": {
        **_TEXT,
        "labelColor": INK.light,
        "titleFontWeight": "normal",
        "orient": "top",
        "direction": "horizontal",
        "symbolSize": 70,
        "symbolOpacity": 1,
        "symbolStrokeWidth": 1.5,
    },
    "title": {
        "color": INK.light,
        "subtitleColor": MUTED.light,
        "fontSize": 13,
        "fontWeight": 600,
        "subtitleFontSize": 12,
        "anchor": "start",
        "frame": "group",
    },
}
_MARKS: dict[str, Any] = {
    "mark": {"color": INK.light},
    "point": {"size": 18, "opacity": 0.5, "filled": True},
    "circle": {"size": 18, "opacity": 0.5},
    "line": {"strokeWidth": 1.75, "strokeJoin": "round", "strokeCap": "round"},
    "rule": {"color": MUTED.light},
    "text": {"color": INK.light, "fontSize": 12},
    "range": {"category": [light for light in DARK if len(light) == 7]},
    "selection": {"interval": {"mark": {"fill": tint(PUBLISHED).light, "stroke": PUBLISHED.light}}},
}


@alt.theme.register("odyssey", enable=False)
def odyssey_theme() -> alt.theme.ThemeConfig:
    """Return what every chart has in common; the theme named ``"odyssey"``."""
    config: dict[str, Any] = {
        "font": FONT,
        "background": BACKGROUND.light,
        "view": {"stroke": None, "continuousHeight": HEIGHTS[1], "discreteHeight": HEIGHTS[1]},
        **_AXES,
        **_WORDS,
        **_MARKS,
    }
    return {"config": config, "usermeta": {"odyssey": {"dark": dict(DARK)}}}  # type: ignore[return-value]


def narrow(width: int, *, columns: int = 1) -> dict[str, Any]:
    """Return the note by which the page redraws a chart of several panels in a narrow column.

    A single panel follows its container by itself; panels side by side have fixed widths, so the
    page replaces these widths and the number of columns below `NARROW_BELOW` pixels.

    Parameters
    ----------
    width : int
        Width of one panel in pixels, without its axis.
    columns : int
        Panels beside each other.
    """
    return {"odyssey": {"narrow": {"below": NARROW_BELOW, "width": width, "columns": columns}}}


def decades(**options: Any) -> alt.Axis:
    """Return an axis with ticks at the powers of ten, written 10⁻³."""
    exponent = "round(log(datum.value)/LN10)"
    whole = f"abs(log(datum.value)/LN10-{exponent})<1e-6"
    expression = f"{whole}?{_POWERS}[''+{exponent}]:''"
    return alt.Axis(labelExpr=expression, **{"tickCount": 5, **options})


def rate_expression(value: str) -> str:
    """Return the expression that writes a rate as 3.2·10⁻⁴."""
    exponent = f"floor(log({value})/LN10+1e-9)"
    return f"format({value}/pow(10,{exponent}),'.2~r')+'·'+{_POWERS}[''+{exponent}]"
