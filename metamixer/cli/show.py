"""`metamixer show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Channels, Grid, Json, Runs, command, parse_grid


def _context(text: str) -> tuple[str, int, tuple[int, ...]]:
    """`e=4:8x8` -> ("e", 4, (8, 8)); without a name it is ctx. The grid has one size or more."""
    name, _, kind = text.rpartition("=")
    channels, _, grid = kind.partition(":")
    sizes = [channels, *grid.lower().split("x")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in sizes):
        raise typer.BadParameter(f"{text!r} is no input; write its channels and its grid: 64:8x8, or e=4:8x8")
    return name or "ctx", int(channels), tuple(int(part) for part in sizes[1:])


@command(
    epilog="Examples: metamixer show 'att(lin,lin,lin)@h(4) >> lin' --channels 64 --grid 8x8; metamixer show digits 17"
)
def show(
    subject: Annotated[str, typer.Argument(metavar="SENTENCE|RUN", help="A sentence, or a run and its trial.")],
    trial: Annotated[int | None, typer.Argument(metavar="TRIAL", help="The trial's number in the run.")] = None,
    channels: Channels = 64,
    grid: Grid = "8x8",
    runs: Runs = Path("runs"),
    context: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]C:HxW", help="A further input: 64:8x8 is ctx; e=4:8x8x8x8 is ctx(e)."),
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the drawing to this file.")] = None,
    as_json: Json = False,
) -> int | None:
    """Show a sentence, or a trial of a run: its tree, types, costs and drawing. A trial brings its own input size."""
    if trial is None:
        size, further = parse_grid(grid), [_context(one) for one in context or ()]
        from metamixer.cli.output.show import show
        from metamixer.language import Field

        fields = {name: Field(axes, width) for name, width, axes in further}
        return show(sentence=subject, channels=channels, grid=size, svg=svg, as_json=as_json, context=fields)

    from metamixer import resources

    record = resources.record(subject, runs)
    from metamixer.cli.output.show import show_trial

    return show_trial(record=record, trial=trial, svg=svg, as_json=as_json)
