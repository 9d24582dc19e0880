"""How the commands print: tables of at most 100 columns, or JSON. May import nothing of the package."""

from __future__ import annotations

import json
import math
import textwrap
from itertools import zip_longest
from typing import Annotated, Any

import typer

__all__ = ["WIDTH", "AsJson", "number", "print_frame", "print_json", "table"]

WIDTH = 100

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def number(value: float, decimals: int | None = None) -> str:
    """Return a number with three digits, or with so many decimals."""
    return f"{value:.3g}" if decimals is None else f"{value:,.{decimals}f}"


def _cells(values: list[Any]) -> list[str]:
    """Return a column's texts; fractions with three digits, one below the other where their sizes are similar."""
    sizes = [abs(value) for value in values if isinstance(value, float) and value and math.isfinite(value)]
    alike = sizes and max(sizes) < 100 * min(sizes)
    decimals = max(0, 2 - math.floor(math.log10(max(sizes)))) if alike else None

    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float):
            return number(value, decimals)
        return f"{value:,}" if isinstance(value, int) else str(value)

    return [text(value) for value in values]


def table(frame: Any) -> str:
    """Lay a frame out in at most 100 columns: texts to the left and wrapped, numbers to the right."""
    columns = {name: [name, *_cells(frame[name].tolist())] for name in frame}
    numbers = {name for name in frame if frame[name].dtype.kind in "iuf"}
    widths = {name: max(map(len, cells)) for name, cells in columns.items()}
    while sum(widths.values()) + 2 * (len(widths) - 1) > WIDTH:
        widths[max(widths.keys() - numbers, key=lambda name: widths[name])] -= 1
    lines = []
    for row in zip(*columns.values(), strict=True):
        wrapped = [
            textwrap.wrap(text, width, break_on_hyphens=False) or [""]
            for text, width in zip(row, widths.values(), strict=True)
        ]
        for parts in zip_longest(*wrapped, fillvalue=""):
            placed = [
                part.rjust(width) if name in numbers else part.ljust(width)
                for part, (name, width) in zip(parts, widths.items(), strict=True)
            ]
            lines.append("  ".join(placed).rstrip())
    return "\n".join(lines)


def print_json(data: Any) -> None:
    """Print plain data as JSON."""
    typer.echo(json.dumps(data, indent=1, ensure_ascii=False))


def print_frame(frame: Any, as_json: bool) -> None:
    """Print a frame, its index as the first column."""
    frame = frame.reset_index()
    if as_json:
        print_json(frame.to_dict("records"))
    else:
        typer.echo(table(frame))
