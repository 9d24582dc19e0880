"""`odyssey data`: the data sets. May import public names and `data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from odyssey_kit.cli.printing import AsJson, print_frame, print_json

Dataset = Annotated[str, typer.Argument(help="Name of a data set; see `odyssey data list`.", show_default=False)]
Datasets = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Names of data sets; all that are here by default.", show_default=False),
]
From = Annotated[
    Path | None,
    typer.Option("--from", metavar="DIR", help="Look into this folder before $ODYSSEY_DATA.", show_default=False),
]


def list_(from_: From = None, as_json: AsJson = False) -> None:
    """List the data sets, what each is, and whether it is here."""
    import odyssey_kit as ok

    found = ok.list_datasets(data_dir=from_)
    if as_json:
        print_frame(found, True)
        return
    sizes = [f"{size / 1e6:,.1f} MB" if size else "" for size in found["size"]]
    columns = ["task", "what", "licence", "here"]
    print_frame(found[columns].assign(size=sizes), False)
    typer.echo("\nNext: odyssey data describe NAME, or odyssey data fetch NAME")


def fetch(name: Dataset, from_: From = None) -> None:
    """Get a data set and verify it; what is here already stays."""
    import odyssey_kit as ok

    paths = ok.fetch_dataset(name, data_dir=from_)
    for path in paths:
        typer.echo(f"{name}: {'found' if path.is_dir() else 'verified'} {path}")
    if not paths:
        typer.echo(f"{name}: nothing to fetch, it is generated when it is loaded")


def verify(names: Datasets = None, from_: From = None, as_json: AsJson = False) -> None:
    """Check the files of data sets that are here.

    Files are compared with their hashes; folders of licensed corpora are read and counted.
    """
    from odyssey_kit.data import names_here, verify

    rows = []
    for name in names or names_here(data_dir=from_):
        found = verify(name, data_dir=from_).to_dict("records")
        rows += found
        for row in [] if as_json else found:  # not a table: a path is not to be wrapped
            size = f", {row['size']:,} bytes" if row["size"] else ""
            typer.echo(f"{row['dataset']}: {row['state']} {row['path'] or row['file']} ({row['role']}{size})")
    if as_json:
        print_json(rows)
    elif not rows:
        typer.echo("no data set that has files is here; see `odyssey data list`")


def example(
    name: Dataset,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "train",
    index: Annotated[int, typer.Option(help="Number of the sequence in its split.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it, if not among the kept ones.")
    ] = None,
    from_: From = None,
) -> None:
    """Keep one example of a data set as JSON, for the book's pictures.

    Only what its licence lets you pass on belongs into a repository.
    """
    from odyssey_kit.data.examples import example_path, make_example

    made = make_example(name, split=split, index=index, data_dir=from_)
    target = out or example_path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(made.to_json(), encoding="utf-8")
    typer.echo(f"{target}: {made.kind}, {len(made.frames)} frames, {made.licence}")


def describe(name: Dataset, from_: From = None, as_json: AsJson = False) -> None:
    """Show the card of a data set.

    Splits, shapes, lengths, classes, a first example, licence and citation.
    """
    import odyssey_kit as ok

    card = ok.describe_dataset(name, data_dir=from_, look=not as_json)
    if as_json:
        print_json({"name": card.manifest.name, "description": card.manifest.description, **card.facts})
    else:
        typer.echo(str(card))
