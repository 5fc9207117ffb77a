"""`metamixer space`."""

from __future__ import annotations

from typing import Annotated

import typer

from metamixer.cli.program import Json, command, parse_grid


def _print_schema(asked: bool) -> None:
    if asked:
        from metamixer.cli.output.space import space_schema

        raise typer.Exit(space_schema() or 0)


@command(epilog="Examples: metamixer space digits --draw 5; metamixer space mine.toml --study study.toml")
def space(
    name: Annotated[str, typer.Argument(metavar="SPACE", help="A space that ships (digits), or a space's TOML file.")],
    draw: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Print this many sentences drawn from it.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(metavar="FILE", help="Count with the input of this study: a file, or digits.")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Count with the input of this task.")] = None,
    channels: Annotated[
        int | None, typer.Option(metavar="C", min=1, help="The input's channels, if no study or task says them.")
    ] = None,
    grid: Annotated[
        str | None, typer.Option(metavar="HxW", help="The input's grid: 32x32, or 64 for a sequence.")
    ] = None,
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
    """Tell a space's size, rules, and what its sentences cost; or draw some.

    A space that ships is counted for the input of its shipped study; for one of yours, say which input.
    """
    size = None if grid is None else parse_grid(grid)
    from metamixer import resources
    from metamixer.cli import inputs
    from metamixer.cli.output.space import space

    resources.find("search_spaces", name)  # a name that is wrong is said first
    width, tokens = inputs.resolve(name, channels, size, task, study)
    return space(space=name, draw=draw, channels=width, grid=tokens, seed=seed, as_json=as_json)
