"""`metamixer study`."""

from __future__ import annotations

from typing import Annotated

import typer

from metamixer.cli.program import Overrides, command
from metamixer.errors import UserError


@command(epilog="Examples: metamixer study digits; metamixer study --schema > study.schema.json")
def study(
    name: Annotated[str | None, typer.Argument(metavar="STUDY", help="A study file, or one that ships.")] = None,
    settings: Overrides = None,
    schema: Annotated[
        bool, typer.Option("--schema", metavar="", help="Print the JSON Schema of study files, for editors.")
    ] = False,
    keys: Annotated[bool, typer.Option("--keys", metavar="", help="Print the page of all keys, in Markdown.")] = False,
) -> int | None:
    """Print a study with all of its keys, as the search would take it; or what keys there are."""
    from metamixer.cli.output.study import print_keys, print_schema, print_study

    if schema:
        return print_schema()
    if keys:
        return print_keys()
    if name is None:
        raise UserError("a study is missing", None, "write metamixer study digits, or --schema, or --keys")
    return print_study(name, settings or [])
