"""`metamixer space`."""

from __future__ import annotations

from typing import Annotated

import typer

from metamixer.cli.program import Channels, Grid, Json, command, parse_grid


def _print_schema(asked: bool) -> None:
    if asked:
        from metamixer.cli.output.space import space_schema

        raise typer.Exit(space_schema() or 0)


@command(epilog="Example: metamixer space digits --draw 5 --channels 1 --grid 8x8")
def space(
    name: Annotated[str, typer.Argument(metavar="SPACE", help="A space that ships (digits), or a space's TOML file.")],
    draw: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Print this many sentences drawn from it.")
    ] = None,
    channels: Channels = 1,
    grid: Grid = "8x8",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The draws' seed.")] = 0,
    as_json: Json = False,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            metavar="",
            callback=_print_schema,
            is_eager=True,
            help="Print the JSON Schema of space files and stop.",
        ),
    ] = False,
) -> int | None:
    """Tell a space's size, rules, and what its sentences cost; or draw some."""
    size = parse_grid(grid)
    from metamixer.cli.output.space import space

    return space(space=name, draw=draw, channels=channels, grid=size, seed=seed, as_json=as_json)
