"""`metamixer dashboard`."""

from __future__ import annotations

from typing import Annotated

import typer

from metamixer.cli.program import command


@command(epilog="Examples: metamixer dashboard runs; metamixer dashboard --host 0.0.0.0 --token new")
def dashboard(
    place: Annotated[
        str,
        typer.Argument(metavar="RUNS", help="A folder of runs, one run, or a database, postgresql://HOST/DATABASE."),
    ] = "runs",
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; another address than this machine's needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="The port, or the next free one.")] = 8501,
    token: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What a browser must bring; `new` makes one.")
    ] = None,
    browse: Annotated[bool, typer.Option("--open", metavar="", help="Open a browser.")] = False,
) -> int | None:
    """Watch searches, look at their architectures, choose one: a page in the browser, on this machine alone."""
    from metamixer.dashboards.command import dashboard

    return dashboard(place=place, host=host, port=port, token=token, browse=browse)
