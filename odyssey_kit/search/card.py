"""The card of a published study: what ran, on what, when, with which code, and how it lies beside the paper.

May import `errors`, `space`, `training`, `study` and `analysis.beside_paper`.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from odyssey_kit.errors import UsageError
from odyssey_kit.search.study import StudySpec
from odyssey_kit.space import ODYSSEY_SPACE
from odyssey_kit.training import Protocol

__all__ = ["card"]


def _distinct(trials: pd.DataFrame, column: str) -> list[str]:
    return sorted(set(trials[column]) - {""})


def _when(trials: pd.DataFrame) -> str:
    times = _distinct(trials, "finished_at")
    return f"Finished between {times[0]} and {times[-1]}." if times else "When they finished was not recorded."


def _sizes(trials: pd.DataFrame) -> str:
    sizes = trials.groupby(["task", "variant"]).size()
    each = f"{sizes.min()} to {sizes.max()} trials" if sizes.min() < sizes.max() else f"{sizes.min()} trials each"
    return f"{len(sizes)} cells (task × variant) of {each}"


def _versions(trials: pd.DataFrame) -> str:
    sets = [json.loads(text) for text in _distinct(trials, "versions")]
    return "; ".join(", ".join(f"{name} {version}" for name, version in found.items()) for found in sets)


def _partial(done: int, planned: int, prefix: int) -> str:
    balanced = (
        f"the first {prefix} draws of every cell are the part that analysis uses"
        if prefix
        else ("no block of draws is finished in every cell, so nothing can be compared yet")
    )
    return f" **Partial: {done} of {planned} planned trials; {balanced}.**"


def _settings(study: StudySpec) -> str:
    """Return the protocol as a list, and in which settings single cells differ from it."""
    lines = [f"- `{name}`: {value}" for name, value in study.protocol.to_dict().items()]
    for name, settings in study.cell_settings.items():
        lines.append(f"- {name} only: " + ", ".join(f"`{setting}`: {value}" for setting, value in settings.items()))
    return "\n".join(lines)


def _beside_the_paper(study: StudySpec, trials: pd.DataFrame) -> str:
    """Return the section that lays the best tenths beside the paper's, of a study under its protocol; else nothing."""
    if study.given or study.space != ODYSSEY_SPACE or study.protocol != Protocol():
        return ""
    from odyssey_kit.analysis.beside_paper import beside_figure3, best_by_validation  # brings forests

    counted = trials[trials["in_prefix"]]
    try:
        table, best = beside_figure3(counted), best_by_validation(counted)
    except UsageError:  # a task that is not the paper's, or too few trials for a best tenth
        return ""
    order = [cell.name for cell in study.variants]
    rows = [
        f"| {row['task']} | {row['variant']} | {row['n']} | {row['lost']} | {row['mean']:.3f} | {_printed(row)} |"
        for row in sorted(table.to_dict("records"), key=lambda row: (row["task"], order.index(row["variant"])))
    ]
    ones = [
        f"Best trial by validation on {row['task']}: {row['variant']}, test {row['test_metric']:.3f}; "
        f"the paper's: {row['paper_variant']}, {row['paper_test_metric']:.2f}."
        for row in best.to_dict("records")
    ]
    return _BESIDE.format(rows="\n".join(rows), best="\n".join(ones))


def _printed(row: dict[Any, Any]) -> str:
    """Return the paper's mean and how far ours is above it."""
    if pd.isna(row["paper_mean"]):
        return "– | –"
    cut = "mean" in str(row["off_scale"]).split()  # the paper's axis ends below it
    bound = "≥ " if cut else ""
    return f"{bound}{row['paper_mean']:.3f} | {'≤ ' if cut else ''}{100 * (row['mean'] / row['paper_mean'] - 1):+.1f} %"


def card(study: StudySpec, description: dict[str, Any], trials: pd.DataFrame, notes: str = "") -> str:
    """Return the card as Markdown; notes are what somebody wrote about the study by hand."""
    counts, protocol = description["counts"], study.protocol
    done = counts["complete"] + counts["diverged"] + counts["failed"]
    facts = {
        "name": study.name,
        "title": study.title or "A study made by hand.",
        "partial": "" if done == counts["planned"] else _partial(done, counts["planned"], description["prefix"]),
        **counts,
        "when": _when(trials),
        "rows": len(trials),
        "cells": _sizes(trials),
        "tasks": ", ".join(study.tasks),
        "data": ", ".join(_distinct(trials, "data_sha256")),
        "variants": ", ".join(cell.name for cell in study.variants),
        "draws": "given, each with several seeds"
        if study.given
        else "paired over variants"
        if study.paired
        else "independent",
        "seed": study.seed,
        "engines": ", ".join(_distinct(trials, "engine")),
        "numerics": study.numerics,
        "commits": ", ".join(_distinct(trials, "commit")) or "outside a checkout",
        "versions": _versions(trials),
        "machines": ", ".join(description["machines"]),
        "hours": f"{trials['seconds'].sum() / 3600:.2f}",
        "space": "\n".join(f"- `{name}`: {law!r}" for name, law in study.space.items()),
        "protocol": _settings(study),
        "epochs": f"{protocol.max_epochs} epochs a trial"
        + ("; the Odyssey trained up to 150" if protocol.max_epochs < 150 else ""),
        "beside": _beside_the_paper(study, trials),
        "notes": f"## Notes\n\n{notes.strip()}\n\n" if notes.strip() else "",
    }
    return _CARD.format_map(facts)


_CARD = """# {name}

## Summary

{title}{partial}

Run by `odyssey run {name}` and written by `odyssey export {name}`; no row was edited, dropped or
drawn again. {complete} trials complete, {diverged} diverged (a result, kept as a row), {failed} failed.
{when}

## Structure

- `trials.parquet`: one row a trial ({rows}). What each column means stands in the file's metadata and
  in `odyssey_kit.analysis.describe_columns()`. {cells}.
- `curves.parquet`: one row an epoch.
- `study.json`: the study as data, counts, and the SHA-256 of both tables.

## Source

- Data: {tasks}, SHA-256 {data}.
- Variants: {variants}. Draws: {draws}, seed {seed}.
- Engine: {engines}, numerics {numerics}. Commit: {commits}.
- Versions: {versions}.
- Machine: {machines}. {hours} processor hours.

### Search space

{space}

### Protocol

{protocol}

{beside}{notes}## Licence

The tables are released under the project's MIT licence; the data set keeps its own.

## Known limits

- At most {epochs}.
- A trial is bit-identical on one machine with one set of versions; elsewhere training amplifies rounding.
- Seconds are processor time, measured while other work may have shared the caches; on a GPU they are wall time.
"""

_BESIDE = """## Beside the paper

Mean test metric of the best tenth of each variant's counted trials, chosen by validation, and what the paper's
Figure 3 shows, read off the print. The metric is the column `test_metric`; "lost" counts the trials that diverged or
had a loss above the ledger's cap, which counts as the cap.

| data set | variant | trials | lost | mean | paper | gap |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

{best}

"""
