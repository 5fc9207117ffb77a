"""`metamixer catalog`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Json, command
from metamixer.errors import UserError


@command(epilog="Examples: metamixer catalog ffnet_1 --svg ffnet_1.svg; metamixer catalog --check")
def catalog(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One system; all are listed without.")] = None,
    unsaid: Annotated[
        bool, typer.Option("--unsaid", metavar="", help="List what no sentence says, with the reason.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", metavar="", help="Say of each with whose code it was compared, and what differs.")
    ] = False,
    table: Annotated[bool, typer.Option("--table", metavar="", help="With --check: as a page in Markdown.")] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the system's drawing to this file.")] = None,
    as_json: Json = False,
) -> int | None:
    """List published systems as sentences, with their published and their counted costs; or show one."""
    from metamixer.cli.output.catalog import catalog, list_checked, list_unsaid

    if name is None and svg is not None:
        raise UserError("--svg draws one system", None, "name it: metamixer catalog ffnet_1 --svg ffnet_1.svg")
    if table and not check:
        raise UserError("--table says how --check prints", None, "write: metamixer catalog --check --table")
    if check:
        return list_checked(name, as_json=as_json, as_page=table)
    if name is None and unsaid:
        return list_unsaid(as_json=as_json)
    if name is None or (as_json and svg is None):
        return catalog(name=name, as_json=as_json)
    from metamixer.cli.output.show import draw_sentence, show_sentence

    return catalog(
        name=name,
        as_json=as_json,
        show=show_sentence,
        draw=None if svg is None else functools.partial(draw_sentence, svg=svg),
    )
