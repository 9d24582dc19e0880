"""How a chart reaches the reader: in the book as a specification for the page's host, elsewhere as a live widget.

In the book ($ODYSSEY_BOOK is 1) a chart is an HTML element that holds its specification. A table of
200 rows or more is named by its content and put beside the specification once, so that the page can
share it between charts. May import `charts.palette` and `charts.theme`.
"""

from __future__ import annotations

import copy
import hashlib
import html
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import altair as alt

from odyssey_kit.charts.palette import DARK
from odyssey_kit.charts.theme import COLUMN_WIDTH

__all__ = ["enable", "picture", "resolved"]

SHARED_ROWS = 200
# Tables that charts of this session have named: name -> columnar JSON.
_TABLES: dict[str, str] = {}


def enable() -> None:
    """Turn on the theme, the renderer and the data transformer of odyssey_kit.

    Called when `odyssey_kit.charts` is imported; call it again after another library changed them.
    """
    alt.theme.enable("odyssey")
    if os.environ.get("ODYSSEY_BOOK") == "1":
        alt.data_transformers.register("odyssey", _name_large_tables)
        alt.data_transformers.enable("odyssey")
        alt.renderers.register("odyssey", _as_html)
        alt.renderers.enable("odyssey")
    else:
        alt.data_transformers.enable("default", max_rows=None)
        alt.renderers.enable("jupyter", offline=True)


def resolved(chart: alt.TopLevelMixin | Mapping[str, Any], *, width: int, dark: bool = False) -> dict[str, Any]:
    """Return a chart's specification as a column of that width shows it.

    Does in Python what the page's host does in the browser: sets the width, follows the chart's
    note on narrow columns, and replaces the colours on a dark page.

    Parameters
    ----------
    chart : altair.Chart or mapping
        The chart or its specification.
    width : int
        Width of the column in pixels.
    dark : bool
        Whether the page is dark.

    Returns
    -------
    dict
        A Vega-Lite specification that depends on no container.
    """
    spec = copy.deepcopy(dict(chart)) if isinstance(chart, Mapping) else chart.to_dict()
    named = {name: json.loads(text)["columns"] for name, text in _TABLES.items() if _names(spec, name)}
    for name, columns in named.items():
        spec.setdefault("datasets", {})[name] = [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
    note = spec.get("usermeta", {}).get("odyssey", {})
    narrow = note.get("narrow")
    if spec.get("width") == "container":
        spec["width"] = width
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}  # what "container" means
    elif narrow and width < narrow["below"]:
        for part in _parts(spec):
            if "columns" in part and ("concat" in part or "facet" in part):
                part["columns"] = narrow["columns"]
            if isinstance(part.get("width"), (int, float)) and ("mark" in part or "layer" in part):
                part["width"] = narrow["width"]
    return _replaced(spec, note.get("dark", DARK)) if dark else spec


def picture(chart: alt.TopLevelMixin, *, width: int = COLUMN_WIDTH, dark: bool = False, scale: float = 2) -> bytes:
    """Return a chart as a PNG picture, drawn without a browser or a network.

    Parameters
    ----------
    chart : altair.Chart
        Any chart of this package.
    width : int
        Width of the column in pixels.
    dark : bool
        Whether to use the colours of a dark page.
    scale : float
        Device pixels per pixel.

    Returns
    -------
    bytes
        Content of a PNG file.
    """
    import vl_convert

    return vl_convert.vegalite_to_png(json.dumps(resolved(chart, width=width, dark=dark)), scale=scale)


def _names(spec: Mapping[str, Any], table: str) -> bool:
    return any(part.get("data") == {"name": table} for part in _parts(spec))


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every view of a specification, without walking into its data."""
    if isinstance(node, dict):
        yield node
        for key in ("spec", "layer", "concat", "hconcat", "vconcat"):
            yield from _parts(node.get(key))
    elif isinstance(node, list):
        for part in node:
            yield from _parts(part)


def _replaced(node: Any, colours: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: value if key == "usermeta" else _replaced(value, colours) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, colours) for value in node]
    return colours.get(node, node) if isinstance(node, str) else node


def _name_large_tables(data: Any = None, **options: Any) -> Any:
    """Name a large table by its content; leave a small one in the specification."""
    if data is None:
        return lambda later: _name_large_tables(later, **options)
    if not hasattr(data, "columns") or len(data) < SHARED_ROWS:
        return alt.to_values(data)
    body = columnar_json(data)
    name = f"odyssey-{hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest()[:12]}"
    _TABLES[name] = body
    return {"name": name}


def columnar_json(frame: Any) -> str:
    """Return a frame as ``{"columns": {name: values}}``, numbers to seven significant digits."""
    values = alt.to_values(frame)["values"]
    columns = {str(name): [_seven_digits(row[name]) for row in values] for name in frame.columns}
    return json.dumps({"columns": columns}, separators=(",", ":"), allow_nan=False)


def _seven_digits(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def _as_html(spec: dict[str, Any], **_: Any) -> dict[str, str]:
    """Return the element that the page's host draws, with the tables its chart names."""
    alternative = html.escape(str(spec.get("description", "chart")), quote=True)
    body = json.dumps(spec, separators=(",", ":"))
    tables = "".join(
        f'<script type="application/json" data-odyssey-table="{name}">{_script_safe(text)}</script>'
        for name, text in _TABLES.items()
        if _names(spec, name)
    )
    return {
        "text/html": f'<div class="odyssey-chart" role="figure" aria-label="{alternative}">'
        f'<script type="application/json">{_script_safe(body)}</script>{tables}'
        f"<noscript><p>{alternative}</p><p>The chart itself needs JavaScript.</p></noscript></div>",
        "text/plain": html.unescape(alternative),
    }


def _script_safe(text: str) -> str:
    """Keep JSON from ending the script element that holds it; the escape is JSON's own."""
    return text.replace("<", "\\u003c")
