"""What is searched: variants and studies, planned, run, watched and published. May import public names and `search`."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from odyssey_kit.cli.printing import WIDTH, AsJson, number, print_frame, print_json, table

Study = Annotated[str, typer.Argument(help="Name of a study, such as first-light.", show_default=False)]


def list_variants(as_json: AsJson = False) -> None:
    """List the LSTM variants, what each changes, and its parameters."""
    import odyssey_kit as ok

    print_frame(ok.list_variants(), as_json)
    if not as_json:
        typer.echo("\nparameters: of a layer of 100 blocks on 88 inputs, without an output layer")


def list_studies(as_json: AsJson = False) -> None:
    """List the named studies, what each is for, and its trials."""
    import pandas as pd

    from odyssey_kit.search import STUDIES

    rows = [{"name": study.name, "trials": len(study.plan()), "title": study.title} for study in STUDIES.values()]
    print_frame(pd.DataFrame(rows).set_index("name"), as_json)


def plan(
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
        print_json({"study": study.to_dict(), "trials": len(plan), "draws": draws})
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
        typer.echo(table(pd.DataFrame(draws).drop(columns="key")))
    typer.echo(f"\nNext: odyssey run {study.name}")


def run(
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


def status(name: Study, as_json: AsJson = False) -> None:
    """Show how far a study is, also while it runs."""
    from odyssey_kit.search import named_study, store_path, study_status

    status = study_status(named_study(name))
    print_frame(status, as_json)
    if as_json:
        return
    done, planned = int(status["done"].sum()), int(status["planned"].sum())
    typer.echo(f"\n{done:,} of {planned:,} trials done, {number(status['hours'].sum())} processor hours")
    if done < planned:
        typer.echo(f"Next: odyssey run {name}")
    elif store_path(name).exists():
        typer.echo(f"Next: odyssey export {name}")
    else:
        typer.echo(f"all of it is published: ok.load_trials({name!r})")


def export(name: Study) -> None:
    """Publish a study's finished trials in results_cache/.

    Writes trials.parquet, curves.parquet, study.json, and CARD.md, which says what ran.
    """
    from odyssey_kit.search import export, named_study, open_for_reading, store_path

    study = named_study(name)
    with open_for_reading(store_path(name), study) as store:
        folder = export(study, store)
        typer.echo(f"published {len(store.states()):,} trials in {folder}; start with {folder / 'CARD.md'}")
