"""What keeps results in order: taken up from elsewhere, examined, trained again.

May import public names and `search`.
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from odyssey_kit.cli.printing import WIDTH, AsJson, print_json, table
from odyssey_kit.cli.study import Study


def import_(
    sources: Annotated[
        list[Path], typer.Argument(help="Stores of shards (*.sqlite) and published folders.", show_default=False)
    ],
) -> None:
    """Merge stores of shards, or published folders.

    They go into the store of their study; a trial that is there already is counted, and the first one is kept.
    """
    from odyssey_kit.search import import_results

    merged = import_results(sources)
    typer.echo(f"{merged.study}: {merged}")
    typer.echo(f"Next: odyssey status {merged.study}")


def doctor(
    name: Study,
    mend: Annotated[bool, typer.Option("--repair", help="Mend what can be mended; nothing is deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a study's store and what is published of it.

    What is wrong is explained, and mended where that can be done. Ends with exit code 1 if something is.
    """
    from odyssey_kit.search import examine, find_study, repair

    study = find_study(name)
    if mend:
        for words in repair(study) or ["there was nothing that could be mended"]:
            typer.echo(textwrap.fill(f"repaired: {words}", WIDTH))
    findings = examine(study)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "well   " if finding.well else "PROBLEM"
            text = f"{mark}  {finding.what}: {finding.words}"
            typer.echo(
                textwrap.fill(text, WIDTH, subsequent_indent=" " * 9, break_on_hyphens=False, break_long_words=False)
            )
        if any(finding.mendable for finding in findings):
            typer.echo(f"Next: odyssey doctor {name} --repair")
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def audit(
    name: Study,
    trials: Annotated[int, typer.Option(help="How many published trials to train again.")] = 10,
    epochs: Annotated[int, typer.Option(help="How many of their first epochs.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the choice of trials.", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train some published trials again and compare.

    On the same machine, versions and code they must be the same to the bit; elsewhere they must lie within ten times
    what moving the first weights by 1e-7 changes. Ends with exit code 1 if a trial differs, or more than a quarter
    are too chaotic to be compared.
    """
    from odyssey_kit.search import audit, find_study

    name = find_study(name).name
    found = audit(name, trials=trials, epochs=epochs, seed=seed, progress=not quiet)
    if as_json:
        print_json({"study": name, "passes": found.passes, "trials": found.trials.to_dict("records")})
    else:
        typer.echo(table(found.trials.drop(columns=["again", "learning_rate"])))
        typer.echo(f"\n{found}")
        if found.failed:
            typer.echo(f"{found.failed} published trials failed and have nothing to be trained again for")
        typer.echo("the audit passes" if found.passes else "the audit does NOT pass")
    if not found.passes:
        raise typer.Exit(1)
