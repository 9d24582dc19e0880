"""The `odyssey` command: what the package does, from a terminal.

Results go to standard output, progress to standard error. Exit codes: 0 done, 1 a check failed,
2 usage, 3 data missing or damaged, 130 interrupted. May import public names, `search` and `data`.
"""

from __future__ import annotations

import json
import math
import sys
import textwrap
from itertools import zip_longest
from typing import Annotated, Any

import typer

from odyssey_kit.errors import OdysseyError

__all__ = ["app", "main"]

app = typer.Typer(
    name="odyssey",
    help="Which parts of an LSTM matter, which hyperparameters matter, and how sure that is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, which reads the same in a log
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
data_app = typer.Typer(help="List, get and check data sets.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")

Study = Annotated[str, typer.Argument(help="Name of a study, such as first-light.", show_default=False)]
Dataset = Annotated[str, typer.Argument(help="Name of a data set; see `odyssey data list`.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


WIDTH = 100
_TRAINING = ("numba", "llvmlite", "torch")


def _number(value: float, decimals: int | None = None) -> str:
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
            return _number(value, decimals)
        return f"{value:,}" if isinstance(value, int) else str(value)

    return [text(value) for value in values]


def _table(frame: Any) -> str:
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


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=1, ensure_ascii=False))


def _print_frame(frame: Any, as_json: bool) -> None:
    frame = frame.reset_index()
    if as_json:
        _print_json(frame.to_dict("records"))
    else:
        typer.echo(_table(frame))


@app.command("variants")
def list_variants_command(as_json: AsJson = False) -> None:
    """List the LSTM variants, what each changes, and its parameters."""
    import odyssey_kit as ok

    _print_frame(ok.list_variants(), as_json)
    if not as_json:
        typer.echo("\nparameters: of a layer of 100 blocks on 88 inputs, without an output layer")


@app.command("studies")
def list_studies_command(as_json: AsJson = False) -> None:
    """List the named studies, what each is for, and its trials."""
    import pandas as pd

    from odyssey_kit.search import STUDIES

    rows = [{"name": study.name, "trials": len(study.plan()), "title": study.title} for study in STUDIES.values()]
    _print_frame(pd.DataFrame(rows).set_index("name"), as_json)


@app.command("plan")
def plan_command(
    name: Study,
    rows: Annotated[int, typer.Option(help="How many draws to show.", min=0)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what a study would run, without running it.

    Its cells, its search space and its first draws.
    """
    import pandas as pd

    from odyssey_kit.search import named_study

    study = named_study(name)
    plan = study.plan()
    draws = [
        {"key": s.key, "task": s.task, "variant": s.variant.name, "index": s.index, **s.params} for s in plan[:rows]
    ]
    if as_json:
        _print_json({"study": study.to_dict(), "trials": len(plan), "draws": draws})
        return
    typer.echo(textwrap.fill(f"{study.name}: {study.title}", WIDTH))
    tasks = "1 task" if len(study.tasks) == 1 else f"{len(study.tasks)} tasks"
    typer.echo(
        f"{len(plan):,} trials = {tasks} × {len(study.variants)} variants × {study.n_trials} draws, "
        f"at most {study.protocol.max_epochs} epochs each"
    )
    for parameter, law in study.space.items():
        typer.echo(f"  {parameter}: {law!r}")
    if rows:
        typer.echo(f"\nThe first {len(draws)} in the order they are run:")
        typer.echo(_table(pd.DataFrame(draws).drop(columns="key")))
    typer.echo(f"\nNext: odyssey run {study.name}")


@app.command("run")
def run_command(
    name: Study,
    executor: Annotated[str, typer.Option(help="serial, local (one process a core) or local:N.")] = "local",
    limit: Annotated[int | None, typer.Option(help="Run at most this many trials now.")] = None,
    max_attempts: Annotated[int, typer.Option(help="Tries of a trial before it is stored as failed.")] = 2,
    export_every: Annotated[float | None, typer.Option(help="Publish every so many minutes.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Run what is pending of a study.

    Interrupt it as you like: called again, it goes on where it was. What is published counts as finished.
    """
    from odyssey_kit.search import named_study, published_folder, run_study

    summary = run_study(
        named_study(name),
        executor=executor,
        limit=limit,
        max_attempts=max_attempts,
        export_every=None if export_every is None else 60 * export_every,
        progress=not quiet,
    )
    typer.echo(f"{name}: {summary}")
    if summary.published == summary.planned:
        typer.echo(f"nothing to run: all of them are published in {published_folder(name)}")
    else:
        typer.echo(f"Next: odyssey export {name}" if summary.done == summary.planned else f"Next: odyssey run {name}")
    if summary.interrupted:
        raise typer.Exit(130)


@app.command("status")
def status_command(name: Study, as_json: AsJson = False) -> None:
    """Show how far a study is, also while it runs."""
    from odyssey_kit.search import named_study, store_path, study_status

    status = study_status(named_study(name))
    _print_frame(status, as_json)
    if as_json:
        return
    done, planned = int(status["done"].sum()), int(status["planned"].sum())
    typer.echo(f"\n{done:,} of {planned:,} trials done, {_number(status['hours'].sum())} processor hours")
    if done < planned:
        typer.echo(f"Next: odyssey run {name}")
    elif store_path(name).exists():
        typer.echo(f"Next: odyssey export {name}")
    else:
        typer.echo(f"all of it is published: ok.load_trials({name!r})")


@app.command("export")
def export_command(name: Study) -> None:
    """Publish a study's finished trials in results_cache/.

    Writes trials.parquet, curves.parquet, study.json, and CARD.md, which says what ran.
    """
    from odyssey_kit.search import export, named_study, open_for_reading, store_path

    study = named_study(name)
    with open_for_reading(store_path(name), study) as store:
        folder = export(study, store)
        typer.echo(f"published {len(store.states()):,} trials in {folder}; start with {folder / 'CARD.md'}")


@data_app.command("list")
def data_list_command(as_json: AsJson = False) -> None:
    """List the data sets, what each is, and whether it is here."""
    import odyssey_kit as ok

    found = ok.list_datasets()
    _print_frame(found if as_json else found.rename(columns={"size": "bytes"}), as_json)


@data_app.command("fetch")
def data_fetch_command(name: Dataset) -> None:
    """Get a data set and verify it; what is here already stays as it is."""
    import odyssey_kit as ok

    for path in ok.fetch_dataset(name):
        typer.echo(f"{name}: verified {path}")


@data_app.command("verify")
def data_verify_command(name: Dataset, as_json: AsJson = False) -> None:
    """Check the files of a data set that are here against their hashes."""
    from odyssey_kit.data import verify

    files = verify(name)
    if as_json:
        _print_json(files.to_dict("records"))
        return
    for file in files.to_dict("records"):  # not a table: a path is not to be wrapped
        typer.echo(f"{name}: {file['state']} {file['path'] or file['file']} ({file['role']}, {file['size']:,} bytes)")


def _usage(error: Any) -> str:
    """Return one line for what the command line does not take, and the help where nothing was asked for."""
    context, text = getattr(error, "ctx", None), error.format_message().rstrip()
    if type(error).__name__ == "NoArgsIsHelpError":
        return text
    command = context.command_path if context else "odyssey"
    return f"{command}: {' '.join(text.split()).rstrip('.')}. See `{command} --help`."


def main() -> None:
    """Run the command line; an error of ours is one line on standard error and an exit code."""
    message = ""
    try:
        code = app(prog_name="odyssey", standalone_mode=False) or 0
    except OdysseyError as error:
        code, message = error.exit_code, f"odyssey: {error}"
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in _TRAINING:
            raise
        remedy = "run `make test`, or pip install -c constraints.txt -e '.[train]'"
        code, message = 2, f"odyssey: {error.name}, which training needs, is not here: {remedy}"
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own have it, whose class moved between its versions
            raise
        code, message = getattr(error, "exit_code", 2), _usage(error)
    if code == 130:
        message = "odyssey: interrupted; everything that was finished is kept"
    if message:
        sys.stderr.write(f"{message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
