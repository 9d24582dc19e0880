"""`odyssey analyze`: what a table of trials says. May import public names, and how `analysis` words numbers."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from odyssey_kit.analysis.words import p_value
from odyssey_kit.cli.printing import WIDTH, AsJson, print_json, table
from odyssey_kit.errors import UsageError

__all__ = ["analyze"]

Source = Annotated[
    str,
    typer.Argument(metavar="FILE|STUDY", help="A published study, its folder, or a CSV, Parquet or JSON file."),
]


def analyze(
    source: Source,
    target: Annotated[str, typer.Option(help="Column to explain and compare.")] = "test_metric",
    maximize: Annotated[
        bool | None,
        typer.Option("--maximize/--minimize", help="Which way the target is better; lower if nothing is said."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    variant: Annotated[str | None, typer.Option(help="Only this variant.")] = None,
    variant_column: Annotated[
        str | None, typer.Option(help="Column that says what is compared, of a table of your own.")
    ] = None,
    task_column: Annotated[str | None, typer.Option(help="Column that says on which data set.")] = None,
    valid: Annotated[
        str | None,
        typer.Option(
            help="Column by which each variant's best trials are selected; without it `valid_metric` of a study, "
            "else the target, which flatters."
        ),
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="Variant that the others are compared with.")] = None,
    top: Annotated[float, typer.Option(help="Fraction of each variant's trials that is compared; 1 takes all.")] = 0.10,
    margin: Annotated[float | None, typer.Option(help="Differences below it do not matter.")] = None,
    cap: Annotated[float | None, typer.Option(help="Worse values of the target become this one.")] = None,
    rank: Annotated[bool, typer.Option("--rank", help="Explain ranks instead of values.")] = False,
    parameters: Annotated[
        str | None, typer.Option(help="Hyperparameters, by commas; their space is guessed from their values.")
    ] = None,
    space: Annotated[Path | None, typer.Option(help="JSON file with the search space.")] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            help="Column that is equal for trials which are no independent draws, such as seeds of one setting."
        ),
    ] = None,
    sampling: Annotated[
        str | None,
        typer.Option(
            help="How the trials were drawn from the space: random, optimised, unknown, or auto, which tests it. "
            "Only random ones have intervals."
        ),
    ] = None,
    random_state: Annotated[int, typer.Option(help="Seed of the forest and of the resamples.")] = 0,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a report that opens in a browser, offline.")] = None,
) -> None:
    """Show what matters in a table of trials, and how sure that is.

    Shares of the variance with intervals, the good ranges, a comparison of the variants, and advice
    in words. A table of your own needs a column for the target and one for each hyperparameter.
    """
    import odyssey_kit as ok

    if html is not None:
        _make_room(html)
    trials = _load(source)
    settings: dict[str, Any] = {"cap": cap, "transform": "rank" if rank else None, "random_state": random_state}
    if sampling is not None:
        settings["sampling"] = sampling
    found = ok.analyze(
        trials,
        target=target,
        direction=None if maximize is None else "maximize" if maximize else "minimize",
        valid=valid,
        variant_column=variant_column,
        task_column=task_column,
        groups=groups,
        space=ok.read_space(space) if space else None,
        parameters=[name.strip() for name in parameters.split(",")] if parameters else None,
        baseline=baseline,
        top=top,
        margin=margin,
        variant=variant,
        task=task,
        **settings,
    )
    if html is not None:
        _write(html, ok.charts.report_page(found))
    if as_json:
        print_json(found.to_dict())
        return
    _print(found)
    if html is not None:
        typer.echo(f"\nreport: {html}")


def _make_room(page: Path) -> None:
    """Make the folder of a page, before an analysis that takes its time."""
    if page.is_dir():
        raise UsageError(f"--html is {page}, which is a folder; give a file in it, such as {page / 'report.html'}")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_room(page, error) from error


def _write(page: Path, text: str) -> None:
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _no_room(page, error) from error


def _no_room(page: Path, error: OSError) -> UsageError:
    return UsageError(f"--html is {page}, which cannot be written ({error.strerror}); give a file in a folder of yours")


def _load(source: str) -> Any:
    """Return a study by name or folder, or any table from a file."""
    import odyssey_kit as ok
    from odyssey_kit.analysis.reading import TABLE_SUFFIXES

    path = Path(source).expanduser()
    if not path.is_file() and path.suffix not in TABLE_SUFFIXES:
        return ok.load_trials(source)
    if path.suffix == ".parquet":
        try:
            return ok.load_trials(path)
        except ok.StudyError:
            # Not in the published schema: somebody's own table.
            return ok.read_table(path)
    return ok.read_table(path)


def _print(found: Any) -> None:
    for each, rows in found.importances.groupby("task", sort=False):
        said = "90 % intervals" if rows["low"].notna().any() else "without intervals"
        typer.echo(f"Shares of the variance{f', {each}' if each else ''}: {said}, {len(rows) - 1} effects")
        typer.echo(textwrap.fill(found.counted(each), WIDTH) + "\n")
        if rows["share"].notna().any():
            typer.echo(table(_shares(rows)))
        else:
            typer.echo(textwrap.fill(f"No shares: {rows['note'].iloc[0]}.", WIDTH))
        typer.echo()
    if found.comparison is not None:
        typer.echo(f"{found.comparison.family}\n")
        typer.echo(table(_compared(found.comparison)))
        typer.echo()
    for line in found.advice:
        typer.echo(textwrap.fill(line, WIDTH, initial_indent="- ", subsequent_indent="  "))
    for line in found.notes:
        typer.echo(textwrap.fill(line, WIDTH, initial_indent="note: ", subsequent_indent="      "))


def _shares(rows: Any) -> Any:
    """Return the table as people read it: the ten largest effects and the rest."""
    import pandas as pd

    shown = pd.concat([rows.iloc[:-1].head(10), rows.iloc[-1:]])

    def percent(value: Any) -> str:
        return "" if pd.isna(value) else f"{100 * value:.1f} %"

    return pd.DataFrame(
        {
            "effect": shown["parameters"],
            "share": shown["share"].map(percent),
            "from": shown["low"].map(percent),
            "to": shown["high"].map(percent),
            "p (Holm)": shown["p_holm"].map(p_value),
            "rank": [_ranks(*ends) for ends in zip(shown["rank_low"], shown["rank_high"], strict=True)],
        }
    )


def _ranks(low: Any, high: Any) -> str:
    import pandas as pd

    return "" if pd.isna(low) else str(low) if low == high else f"{low}–{high}"


def _compared(comparison: Any) -> Any:
    frame = comparison.to_frame()
    shown = frame[["task", "variant", "n", "mean", "difference"]].copy()
    shown["95 % interval"] = [f"{low:+.3g} to {high:+.3g}" for low, high in frame[["low", "high"]].to_numpy()]
    shown["p (Holm)"] = [p_value(p, missing="not tested") for p in frame["p_selection_holm"]]
    shown["verdict"] = frame["verdict"]
    return shown if len(frame["task"].unique()) > 1 else shown.drop(columns="task")
