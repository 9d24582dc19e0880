"""A report of an analysis as one HTML file that needs no network: charts, tables, advice.

May import the other modules of `charts`, and how `analysis` words numbers.
"""

from __future__ import annotations

import html
import json
from typing import Any

import pandas as pd

from odyssey_kit.analysis.direction import better
from odyssey_kit.analysis.words import p_value
from odyssey_kit.charts.comparison import comparison_chart
from odyssey_kit.charts.importance import importance_bars, marginals

__all__ = ["report_page"]

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2328; --quiet: #6a737d; --line: #d8dee4; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161b; --ink: #e6e9ec; --quiet: #9aa4ae; --line: #30363d; } }
* { box-sizing: border-box; }
body { background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Liberation Sans", sans-serif;
       margin: 0 auto; max-width: 52rem; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
li { margin: .4rem 0; } .quiet, caption { color: var(--quiet); font-size: .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.chart { background: #fff; border-radius: 6px; margin: 1rem 0; min-height: 3rem; overflow-x: auto; padding: .5rem; }
.chart > div { width: 100%; }
"""


def _percent(value: Any) -> str:
    return "" if pd.isna(value) else f"{100 * value:.1f} %"


def _shares(rows: pd.DataFrame) -> str:
    shown = pd.DataFrame(
        {
            "effect": rows["parameters"],
            "share": rows["share"].map(_percent),
            "from": rows["low"].map(_percent),
            "to": rows["high"].map(_percent),
            "p (Holm)": rows["p_holm"].map(p_value),
            "possible ranks": [
                "" if pd.isna(low) else str(low) if low == high else f"{low} to {high}"
                for low, high in zip(rows["rank_low"], rows["rank_high"], strict=True)
            ],
        }
    )
    return f'<div class="wide">{shown.to_html(index=False, border=0)}</div>'


def _drawn(chart: Any, number: int) -> str:
    spec = json.dumps(chart.to_dict()).replace("</", "<\\/")
    words = html.escape(str(chart.to_dict().get("description", "chart")))
    return (
        f'<figure class="chart" role="img" aria-label="{words}"><div id="chart-{number}"></div></figure>'
        f"<script>vegaEmbed('#chart-{number}', {spec}, {{actions: false, renderer: 'svg'}});</script>"
    )


def _on_task(analysis: Any, task: str, *, number: int) -> list[str]:
    """Return what the page says of one task: shares and curves, as the charts of this number and the next."""
    model, rows = analysis.models[task], analysis.importances
    rows = rows[rows["task"] == task] if len(analysis.models) > 1 else rows
    on = f", {html.escape(task)}" if task else ""
    parts = [
        f"<h2>Which hyperparameter matters{on}?</h2>",
        f'<p class="quiet">{html.escape(analysis.counted(task))}</p>',
    ]
    if rows["share"].notna().all():
        shown = rows[(rows["order"] == 1) | rows["parameters"].eq("rest") | (rows["p_holm"] < 0.05)]
        parts += [
            _drawn(importance_bars(shown), number),
            _shares(rows),
            '<p class="quiet">Shares of the variance over the search space, 90 % intervals, one effect at a time. '
            "An interval that starts at 0 means that the effect may be absent. A pair counts beyond what its two "
            "do alone.</p>",
        ]
    else:
        parts.append(f"<p>No shares: {html.escape(rows['note'].iloc[0])}.</p>")
    return [
        *parts,
        f"<h2>Where are the good values{on}?</h2>",
        _drawn(marginals(model, words=model.target, only=list(model.space_)), number + 1),
        f'<p class="quiet">Mean over all values of the other settings; {better(analysis.direction)}.</p>',
    ]


def report_page(analysis: Any) -> str:
    """Return a whole HTML page: advice, shares with intervals, curves with bands, the comparison.

    Parameters
    ----------
    analysis : Analysis
        As `ok.analyze` returns.

    Returns
    -------
    str
        The page. The drawing library is in it (about 0.9 MB), so that it opens without a network.
    """
    from vl_convert import javascript_bundle

    parts = [part for k, task in enumerate(analysis.models) for part in _on_task(analysis, task, number=2 * k)]
    if analysis.comparison is not None:
        parts.append("<h2>Do the variants differ?</h2>")
        if analysis.comparison.frame["low"].notna().any():
            chart = comparison_chart(analysis.comparison, words=analysis.comparison.metric.replace("_", " "))
            parts.append(_drawn(chart, 2 * len(analysis.models)))
        parts.append(f'<div class="wide">{analysis.comparison._repr_html_()}</div>')
    advice = "".join(f"<li>{html.escape(line)}</li>" for line in analysis.advice)
    notes = "".join(f'<p class="quiet">{html.escape(line)}</p>' for line in analysis.notes)
    title = html.escape(f"What {analysis.name} says")
    bundle = javascript_bundle().replace("</script", "<\\/script")  # type: ignore[call-arg]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><script>{bundle}</script></head><body><main><h1>{title}</h1>"
        f"<ul>{advice}</ul>{notes}{''.join(parts)}"
        '<p class="quiet">Made by odyssey analyze.</p></main></body></html>\n'
    )
