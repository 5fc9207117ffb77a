"""`metamixer words`."""

from __future__ import annotations

from typing import Annotated

import typer

from metamixer.cli.program import Json, command


@command(epilog="Example: metamixer words --json")
def words(
    as_json: Json = False,
    as_page: Annotated[
        bool, typer.Option("--table", metavar="", help="Print the tables of docs/words.md: grids, and what counts.")
    ] = False,
) -> int | None:
    """List the vocabulary: what each word means, where it may stand, and what of it counts."""
    from metamixer.cli.output.words import table

    return table(as_json=as_json, as_page=as_page)
