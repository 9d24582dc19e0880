"""`odyssey data`: the data sets. May import public names and `data`."""

from __future__ import annotations

from typing import Annotated

import typer

from odyssey_kit.cli.printing import AsJson, print_frame, print_json

Dataset = Annotated[str, typer.Argument(help="Name of a data set; see `odyssey data list`.", show_default=False)]


def list_(as_json: AsJson = False) -> None:
    """List the data sets, what each is, and whether it is here."""
    import odyssey_kit as ok

    found = ok.list_datasets()
    print_frame(found if as_json else found.rename(columns={"size": "bytes"}), as_json)


def fetch(name: Dataset) -> None:
    """Get a data set and verify it; what is here already stays as it is."""
    import odyssey_kit as ok

    for path in ok.fetch_dataset(name):
        typer.echo(f"{name}: verified {path}")


def verify(name: Dataset, as_json: AsJson = False) -> None:
    """Check the files of a data set that are here against their hashes."""
    from odyssey_kit.data import verify

    files = verify(name)
    if as_json:
        print_json(files.to_dict("records"))
        return
    for file in files.to_dict("records"):  # not a table: a path is not to be wrapped
        typer.echo(f"{name}: {file['state']} {file['path'] or file['file']} ({file['role']}, {file['size']:,} bytes)")
