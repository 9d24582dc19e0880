"""What is searched: variants and studies, planned, run, watched and published. May import public names and `search`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from odyssey_kit.cli.parsing import read_bytes, read_duration
from odyssey_kit.cli.printing import WIDTH, AsJson, number, print_frame, print_json, table

if TYPE_CHECKING:
    from odyssey_kit.search import RunSummary, StudySpec

Study = Annotated[str, typer.Argument(help="Name of a study, such as first-light, or a YAML file.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, such as protocol.max_epochs=3; repeatable."),
]


def list_variants(as_json: AsJson = False) -> None:
    """List the LSTM variants, what each changes, and its parameters."""
    import odyssey_kit as ok

    print_frame(ok.list_variants(), as_json)
    if not as_json:
        typer.echo("\nparameters: of a layer of 100 blocks on 88 inputs, without an output layer")


def list_studies(as_json: AsJson = False) -> None:
    """List the named studies, what each is for, and its trials."""
    from odyssey_kit.search import list_studies

    print_frame(list_studies(), as_json)
    if not as_json:
        typer.echo("\nruns_here: whether it can be run by this version; `odyssey plan NAME` says what is missing")


def plan(
    name: Study,
    rows: Annotated[int, typer.Option(help="How many draws to show.", min=0)] = 10,
    settings: Settings = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print the study as YAML, to be changed and run.")] = False,
    estimate: Annotated[bool, typer.Option(help="Time a few trials, once, to estimate hours.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show what a study would run, without running it.

    Its cells, its search space, its first draws, and about how long it takes here.
    """
    import pandas as pd

    from odyssey_kit.search import find_study

    study = find_study(name, settings or ())
    if as_yaml:
        typer.echo(study.to_yaml(), nl=False)
        return
    plan = study.plan()
    draws = [
        {"key": s.key, "task": s.task, "variant": s.variant.name, "index": s.index, **s.params} for s in plan[:rows]
    ]
    if as_json:
        print_json({"study": study.to_dict(), "trials": len(plan), "draws": draws})
        return
    _print_plan(study)
    if rows:
        typer.echo(f"\nThe first {len(draws)} in the order they are run:")
        typer.echo(table(pd.DataFrame(draws).drop(columns="key")))
    _print_outlook(study, name, estimate)


def _print_plan(study: StudySpec) -> None:
    typer.echo(textwrap.fill(f"{study.name}: {study.title}", WIDTH))
    tasks = "1 task" if len(study.tasks) == 1 else f"{len(study.tasks)} tasks"
    variants = "1 variant" if len(study.variants) == 1 else f"{len(study.variants)} variants"
    typer.echo(
        f"{study.trial_count:,} trials = {tasks} × {variants} × {study.n_trials} draws, "
        f"at most {study.protocol.max_epochs} epochs each"
    )
    for parameter, law in study.space.items():
        typer.echo(f"  {parameter}: {law!r}")
    for cell, settings in study.cell_settings.items():
        typer.echo(f"  {cell} only: {', '.join(f'{setting}={value}' for setting, value in settings.items())}")
    for cell, draws in study.given.items():
        typer.echo(f"  {cell}: {len(draws)} given configurations in turn, each time with another seed")


def _print_outlook(study: StudySpec, name: str, estimate: bool) -> None:
    """Print how long it takes, or why that cannot be said, and the next command."""
    from odyssey_kit.errors import UsageError
    from odyssey_kit.search import estimate_hours, what_is_missing

    if missing := what_is_missing(study):
        typer.echo("\n" + textwrap.fill(f"Cannot be run by this version, which lacks {', '.join(missing)}.", WIDTH))
        return
    if estimate:
        try:
            typer.echo("\n" + textwrap.fill(f"Takes {estimate_hours(study)}.", WIDTH))
        except UsageError as error:
            typer.echo(f"\nNo estimate of hours: {error}.")
    typer.echo(f"{'' if estimate else chr(10)}Next: odyssey run {name}")


def run(
    name: Study,
    executor: Annotated[
        str, typer.Option(help="serial, local (one process a core), local:N, or dask:ADDRESS of a scheduler.")
    ] = "local",
    limit: Annotated[int | None, typer.Option(help="Run at most this many trials now.")] = None,
    time_budget: Annotated[
        str | None, typer.Option(metavar="2h", help="Begin no trial after so long; those under way are finished.")
    ] = None,
    trial_limit: Annotated[str | None, typer.Option(metavar="30m", help="End a trial that takes longer.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="4G", help="Most memory a worker; by default its share of nine tenths.")
    ] = None,
    max_attempts: Annotated[int, typer.Option(help="Tries of a trial before it is stored as failed.")] = 2,
    export_every: Annotated[str | None, typer.Option(metavar="20m", help="Publish now and then.")] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="k/n", help="Run this part of the plan only, into a store of its own.")
    ] = None,
    settings: Settings = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Run what is pending of a study.

    Interrupt it as you like: called again, it goes on where it was. What is published counts as finished.
    """
    from odyssey_kit.search import Shard, find_study, run_study

    study = find_study(name, settings or ())
    part = None if shard is None else Shard.parse(shard)
    summary = run_study(
        study,
        executor=executor,
        limit=limit,
        time_budget=read_duration(time_budget, "--time-budget"),
        trial_limit=read_duration(trial_limit, "--trial-limit"),
        memory=read_bytes(memory, "--memory"),
        max_attempts=max_attempts,
        export_every=read_duration(export_every, "--export-every"),
        shard=part,
        progress=not quiet,
    )
    typer.echo(f"{study.name}: {summary}")
    if summary.out_of_time:
        typer.echo("stopped because its time budget was over")
    typer.echo(_next_step(summary, study, part, _options(study, name, shard)))
    if summary.interrupted:
        raise typer.Exit(130)


def _options(study: StudySpec, name: str, shard: str | None) -> str:
    """Return the words by which the same study is run again; a changed one is known by its name once it was run."""
    is_file = name.endswith((".yaml", ".yml"))
    return f"{name if is_file else study.name}{f' --shard {shard}' if shard else ''}"


def _next_step(summary: RunSummary, study: StudySpec, shard: object, again: str) -> str:
    from odyssey_kit.search import Shard, published_folder, store_path

    if summary.done < summary.planned:
        return f"Next: odyssey run {again}"
    if isinstance(shard, Shard):
        return f"Next, once all shards are here: odyssey import {store_path(f'{study.name}.*-of-{shard.of}')}"
    if summary.published == summary.planned:
        return f"nothing to run: all of them are published in {published_folder(study.name)}"
    return f"Next: odyssey export {again}"


def status(name: Study, as_json: AsJson = False) -> None:
    """Show how far a study is, also while it runs."""
    from odyssey_kit.search import find_study, store_path, study_status

    study = find_study(name)
    status = study_status(study)
    print_frame(status, as_json)
    if as_json:
        return
    done, planned = int(status["done"].sum()), int(status["planned"].sum())
    typer.echo(f"\n{done:,} of {planned:,} trials done, {number(status['hours'].sum())} processor hours")
    if done < planned:
        typer.echo(f"Next: odyssey run {name}")
    elif store_path(study.name).exists():
        typer.echo(f"Next: odyssey export {name}")
    else:
        typer.echo(f"all of it is published: ok.load_trials({study.name!r})")


def export(name: Study) -> None:
    """Publish a study's finished trials in results_cache/.

    Writes trials.parquet, curves.parquet, study.json, and CARD.md, which says what ran.
    """
    from odyssey_kit.search import export, find_study, open_for_reading, store_path

    study = find_study(name)
    with open_for_reading(store_path(study.name), study) as store:
        folder = export(study, store)
        typer.echo(f"published {len(store.states()):,} trials in {folder}; start with {folder / 'CARD.md'}")
