"""The `odyssey` command: what the package does, from a terminal.

Results go to standard output, progress to standard error. Exit codes: 0 done, 1 a check failed,
2 usage, 3 data missing or damaged, 130 interrupted. May import public names and `search`.
"""

from __future__ import annotations

import json
import sys
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
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Get and check data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Study = Annotated[str, typer.Argument(help="Name of a study, such as first-light.", show_default=False)]
Dataset = Annotated[str, typer.Argument(help="Name of a data set; see `odyssey data list`.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _print_frame(frame: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(frame.reset_index().to_json(orient="records", indent=1))
    else:
        typer.echo(frame.to_string())


@app.command("variants")
def list_variants_command(as_json: AsJson = False) -> None:
    """List the LSTM variants: what each changes and how many parameters it has."""
    import odyssey_kit as ok

    _print_frame(ok.list_variants(), as_json)


@app.command("studies")
def list_studies_command() -> None:
    """List the named studies."""
    from odyssey_kit.search import STUDIES

    for study in STUDIES.values():
        typer.echo(f"{study.name:<14} {len(study.plan()):>6} trials  {study.title}")


@app.command("plan")
def plan_command(
    name: Study,
    rows: Annotated[int, typer.Option(help="How many draws to show.", min=0)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what a study would run: its cells, its space and its first draws. Nothing is run."""
    import pandas as pd

    from odyssey_kit.search import named_study

    study = named_study(name)
    plan = study.plan()
    if as_json:
        typer.echo(json.dumps({"study": study.to_dict(), "trials": len(plan)}, indent=1))
        return
    typer.echo(f"{study.name}: {study.title}")
    typer.echo(
        f"{len(plan)} trials = {len(study.tasks)} task(s) × {len(study.variants)} variants × {study.n_trials} draws, "
        f"at most {study.protocol.max_epochs} epochs each"
    )
    for parameter, law in study.space.items():
        typer.echo(f"  {parameter}: {law!r}")
    if rows:
        shown = [
            {"key": s.key, "task": s.task, "variant": s.variant.name, "index": s.index, **s.params} for s in plan[:rows]
        ]
        typer.echo(pd.DataFrame(shown).to_string(index=False))
    typer.echo(f"Next: odyssey run {study.name}")


@app.command("run")
def run_command(
    name: Study,
    executor: Annotated[str, typer.Option(help="serial, local (one process a core) or local:N.")] = "local",
    limit: Annotated[int | None, typer.Option(help="Run at most this many trials now.", min=0)] = None,
    max_attempts: Annotated[int, typer.Option(help="Tries of a trial before it is stored as failed.", min=1)] = 2,
    export_every: Annotated[float | None, typer.Option(help="Publish every so many minutes.", min=0)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Run what is pending of a study. Interrupt it as you like: called again, it goes on where it was."""
    from odyssey_kit.search import named_study, run_study

    summary = run_study(
        named_study(name),
        executor=executor,
        limit=limit,
        max_attempts=max_attempts,
        export_every=None if export_every is None else 60 * export_every,
        progress=not quiet,
    )
    typer.echo(f"{name}: {summary}")
    if summary.interrupted:
        typer.echo(f"interrupted; nothing finished is lost. Next: odyssey run {name}", err=True)
        raise typer.Exit(130)
    typer.echo(f"Next: odyssey export {name}" if summary.done == summary.planned else f"Next: odyssey run {name}")


@app.command("status")
def status_command(name: Study, as_json: AsJson = False) -> None:
    """Show how far a study is, also while it runs."""
    from odyssey_kit.search import named_study, study_status

    status = study_status(named_study(name))
    if as_json:
        typer.echo(status.reset_index().to_json(orient="records", indent=1))
        return
    typer.echo(status.to_string())
    done, planned = int(status["done"].sum()), int(status["planned"].sum())
    typer.echo(f"{done} of {planned} trials done, {status['hours'].sum():.2f} processor hours")
    typer.echo(f"Next: odyssey {'export' if done == planned else 'run'} {name}")


@app.command("export")
def export_command(name: Study) -> None:
    """Publish a study's finished trials into results_cache/: tables, study.json and a card."""
    from odyssey_kit.search import export, named_study, open_for_reading, store_path

    study = named_study(name)
    with open_for_reading(store_path(name)) as store:
        typer.echo(f"published {len(store.states())} trials in {export(study, store)}")


@data_app.command("list")
def data_list_command(as_json: AsJson = False) -> None:
    """List the data sets: what each is or stands in for, its licence, and whether it is here."""
    import odyssey_kit as ok

    _print_frame(ok.list_datasets(), as_json)


@data_app.command("fetch")
def data_fetch_command(name: Dataset) -> None:
    """Get a data set and verify it."""
    import odyssey_kit as ok

    for path in ok.fetch_dataset(name):
        typer.echo(f"{name}: verified {path}")


@data_app.command("verify")
def data_verify_command(name: Dataset) -> None:
    """Check the files of a data set that are here against their hashes."""
    from odyssey_kit.data import verify

    _print_frame(verify(name), as_json=False)


def main() -> None:
    """Run the command line; an error of ours is one line on standard error and an exit code."""
    try:
        app()
    except OdysseyError as error:
        sys.stderr.write(f"odyssey: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("odyssey: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
