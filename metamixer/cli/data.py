"""`metamixer data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Json, Overrides, Runs, command


@command(epilog="Example: metamixer data flowers.toml --sheet flowers.png")
def data(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study's TOML file with a section [data].")],
    runs: Runs = Path("runs"),
    overrides: Overrides = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where the contact sheet (PNG) goes; beside the decoded images if not given."
        ),
    ] = None,
    as_json: Json = False,
) -> int | None:
    """Look at a study's images: counts, sizes, balance, broken files, duplicates; they are decoded as for a search."""
    from metamixer.search.command import data

    return data(study=study, runs=runs, overrides=overrides or [], sheet=sheet, as_json=as_json)
