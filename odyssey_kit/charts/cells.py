"""Figures of the cells themselves: how many weights each has, and what its equations change.

May import `errors`, `variants` and the other modules of `charts`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

import altair as alt
import pandas as pd

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import INK, MUTED, variant_colour, variant_order
from odyssey_kit.charts.theme import HEIGHTS, PERCENT
from odyssey_kit.errors import UsageError
from odyssey_kit.variants import LSTMVariant, list_variants, variant

__all__ = ["CellEquations", "cell_equations", "variant_sizes"]


def variant_sizes(frame: pd.DataFrame | None = None, *, baseline: str = "V") -> alt.LayerChart:
    """Draw how many parameters each variant has, relative to one of them.

    Parameters
    ----------
    frame : pandas.DataFrame, optional
        Indexed by name; columns ``title`` and ``parameters``, as `ok.list_variants` returns.
        Default: the nine of the Odyssey at that function's default size.
    baseline : str
        The variant that the line at 100 % stands for.

    Returns
    -------
    altair.LayerChart

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> chart = ok.charts.variant_sizes(ok.list_variants().query("family == 'odyssey'"))
    >>> print(chart.description)
    Parameters of a layer: FGR has the most (165,900, 219 % of V), NIG the fewest (56,900, 75 %).
    """
    table = list_variants().query("family == 'odyssey'") if frame is None else frame
    if baseline not in table.index:
        raise UsageError(f"baseline {baseline!r} is not in the table, which has {', '.join(map(str, table.index))}")
    sizes = table.rename_axis("variant").reset_index().loc[:, ["variant", "title", "parameters"]]
    sizes["share"] = sizes["parameters"] / int(table.loc[baseline, "parameters"])  # pyright: ignore[reportArgumentType]
    sizes["label"] = [f"{n:,} · {100 * s:.3g} %" for n, s in zip(sizes["parameters"], sizes["share"], strict=True)]
    sizes["label_from"] = sizes["share"].clip(lower=1.0)  # right of the line, which would cross the words
    order = variant_order(sizes["variant"])
    ranked = sizes.sort_values("share", kind="stable")
    most, least = ranked.iloc[-1], ranked.iloc[0]
    finding = (
        f"Parameters of a layer: {most['variant']} has the most ({most['parameters']:,}, {100 * most['share']:.0f} % "
        f"of {baseline}), {least['variant']} the fewest ({least['parameters']:,}, {100 * least['share']:.0f} %)."
    )
    y = alt.Y("variant:N", sort=order, title=None, axis=alt.Axis(grid=False))
    ends = alt.Scale(domain=[0, 1.45 * float(sizes["share"].max())], nice=False)
    percent = alt.Axis(
        grid=True, labelExpr=PERCENT, values=[0, 0.5, 1, 1.5, 2], title=f"parameters, share of {baseline}"
    )
    base = alt.Chart(sizes).encode(y=y)
    bars = base.mark_bar(size=12).encode(
        x=alt.X("share:Q", scale=ends, axis=percent),
        color=frames.variant_colours(order, legend=False),
        tooltip=[
            alt.Tooltip("variant:N", title="variant"),
            alt.Tooltip("title:N", title="what it is"),
            alt.Tooltip("parameters:Q", title="parameters", format=","),
            alt.Tooltip("share:Q", title=f"share of {baseline}", format=".1%"),
        ],
    )
    words = base.mark_text(align="left", dx=6).encode(x="label_from:Q", text="label:N")
    line = alt.Chart(pd.DataFrame({"share": [1.0]})).mark_rule(color=INK.light, strokeWidth=1).encode(x="share:Q")
    return frames.layered(bars, line, words).properties(
        width="container", height=max(HEIGHTS[1], 22 * len(sizes)), description=finding
    )


class CellEquations:
    """Equations of some variants, side by side, with the lines that differ from the first marked.

    Shown as HTML by a notebook and by the book; the formulas are typeset by the page.
    """

    def __init__(self, cells: Iterable[LSTMVariant], *, baseline: LSTMVariant) -> None:
        self.cells = tuple(cells)
        self.baseline = baseline

    def changed(self, cell: LSTMVariant) -> list[tuple[str, str]]:
        """Return a cell's equations with what each is against the baseline: same, changed or constant.

        Examples
        --------
        >>> import odyssey_kit as ok
        >>> [what for what, line in ok.charts.cell_equations(["NIG"]).changed(ok.variant("NIG"))]
        ['same', 'removed', 'same', 'changed', 'same', 'same']
        """
        here = {_left(line): line for line in cell.latex()}
        there = {_left(line): line for line in self.baseline.latex()}
        rows = []
        for left, original in there.items():
            if left not in here:
                rows.append(("removed", f"{left}&= 1"))
            else:
                rows.append(("same" if here[left] == original else "changed", here[left]))
        return rows

    def _card(self, cell: LSTMVariant) -> str:
        colour = variant_colour(cell.name)
        wide = " odyssey-wide" if cell.gate_recurrence else ""
        lines = "".join(
            f'<div class="odyssey-line odyssey-{what}"><span class="math notranslate nohighlight">'
            f"\\({html.escape(line.replace('&', ''), quote=False)}\\)</span></div>"
            for what, line in self.changed(cell)
        )
        return (
            f'<section class="odyssey-cell{wide}" style="--light:{colour.light};--dark:{colour.dark}">'
            f"<h4>{html.escape(cell.name)}<span>{html.escape(cell.title)}</span></h4>{lines}</section>"
        )

    def _repr_html_(self) -> str:
        return f'{_STYLE}<div class="odyssey-cells">{"".join(map(self._card, self.cells))}</div>'

    def __repr__(self) -> str:
        return "\n\n".join(
            f"{cell.name}: {cell.title}\n"
            + "\n".join(f"  {'*' if what != 'same' else ' '} {line}" for what, line in self.changed(cell))
            for cell in self.cells
        )


def cell_equations(names: Iterable[str | LSTMVariant], *, baseline: str | LSTMVariant = "V") -> CellEquations:
    r"""Show the equations of variants, with what differs from the baseline marked.

    Parameters
    ----------
    names : iterable of str or LSTMVariant
        Variants to show.
    baseline : str or LSTMVariant
        What they are compared with.

    Returns
    -------
    CellEquations
        Displays itself in a notebook.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> print(str(ok.charts.cell_equations(["CIFG"])).splitlines()[3])
      * \mathbf{f}^t &= 1 - \mathbf{i}^t
    """
    return CellEquations(map(variant, names), baseline=variant(baseline))


def _left(line: str) -> str:
    return line.split("&=")[0]


_STYLE = f"""<style>
.odyssey-cells {{ display: grid; gap: 1rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }}
.odyssey-cell {{ --mark: var(--light); min-width: 0; }}
.odyssey-cell.odyssey-wide {{ grid-column: 1 / -1; }}
.odyssey-cell h4 {{ margin: .4rem 0 .35rem; font-size: 1rem; padding: 0; border: 0; }}
.odyssey-cell h4 span {{ font-weight: 400; margin-left: .6em; color: {MUTED.light}; }}
.odyssey-cell .odyssey-line {{ padding: .18rem 0 .18rem .7rem; border-left: 3px solid transparent;
  overflow-x: auto; overflow-y: hidden; font-size: .86em; }}
.odyssey-cell .odyssey-changed, .odyssey-cell .odyssey-removed {{ border-left-color: var(--mark);
  background: color-mix(in srgb, var(--mark) 14%, transparent); }}
html[data-theme=dark] .odyssey-cell, body[data-jp-theme-light=false] .odyssey-cell {{ --mark: var(--dark); }}
html[data-theme=dark] .odyssey-cell h4 span,
body[data-jp-theme-light=false] .odyssey-cell h4 span {{ color: {MUTED.dark}; }}
</style>"""
