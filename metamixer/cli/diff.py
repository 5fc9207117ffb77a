"""`metamixer diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Json, Runs, command, parse_grid


@command(
    epilog="Examples: metamixer diff ffnet_digits 'patch(2,48) >> res(dw(7) >> norm >> ffn(4))^4 >> norm'; "
    "metamixer diff digits#12 vit_digits"
)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A sentence, a name of the catalogue, or RUN#TRIAL.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    channels: Annotated[
        int | None, typer.Option(metavar="C", min=1, help="The input's channels; the run's or catalogue's, or 64.")
    ] = None,
    grid: Annotated[
        str | None, typer.Option(metavar="HxW", help="The input's grid; the run's or catalogue's, or 8x8.")
    ] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> int | None:
    """Show two architectures side by side: stages, costs, attributes."""
    size = None if grid is None else parse_grid(grid)
    from metamixer.cli.output.show import diff

    return diff(a=a, b=b, channels=channels, grid=size, runs=runs, as_json=as_json)
