"""`metamixer show`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Json, Runs, command, parse_grid
from metamixer.errors import UserError

# `runs/digits`, `digits#17`, `../study.db`: no sentence looks so, as sizes such as C/4 are no sentences.
_ADDRESS = re.compile(r"[\w.~-]*/[\w./~-]*(#\d+)?|[\w.-]+#\d+|[\w.-]+\.db")


def _context(text: str) -> tuple[str, int, tuple[int, ...]]:
    """`e=4:8x8` -> ("e", 4, (8, 8)); without a name it is ctx. The grid has one size or more."""
    name, _, kind = text.rpartition("=")
    channels, _, grid = kind.partition(":")
    sizes = [channels, *grid.lower().split("x")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in sizes):
        raise typer.BadParameter(f"{text!r} is no input; write its channels and its grid: 64:8x8, or e=4:8x8")
    return name or "ctx", int(channels), tuple(int(part) for part in sizes[1:])


def _run_and_trial(subject: str, trial: int | None, runs: Path) -> tuple[str | None, int | None]:
    """The run that is meant and its trial: `digits 17`, `digits#17`, or `digits` alone; no run for a sentence."""
    from metamixer import resources

    if trial is not None:
        return subject, trial
    named = re.fullmatch(r"([^#()]+)#(\d+)", subject)
    name = named[1] if named else subject
    if named or Path(name).name.endswith(".db") or re.fullmatch(r"[\w./-]+", name):
        try:
            resources.record(name, runs)
        except (UserError, OSError):
            # A word may be a sentence. A path, or a name with a number behind it, is none: what is not there is told.
            if _ADDRESS.fullmatch(subject):
                raise
            return None, None
        return name, int(named[2]) if named else None
    return None, None


@command(
    epilog="Examples: metamixer show 'att(lin,lin,lin)@h(4) >> lin' --channels 64 --grid 8x8; "
    "metamixer show convnext_t; metamixer show digits#17"
)
def show(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SENTENCE|RUN", help="A sentence, a name of the catalogue, or a run; digits#17 is a trial."
        ),
    ],
    trial: Annotated[
        int | None, typer.Argument(metavar="TRIAL", help="Its number; without it the front is listed.")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(metavar="C", min=1, help="The input's channels; the catalogue's, or 64.")
    ] = None,
    grid: Annotated[str | None, typer.Option(metavar="HxW", help="The input's grid; the catalogue's, or 8x8.")] = None,
    runs: Runs = Path("runs"),
    context: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]C:HxW", help="A further input: 64:8x8 is ctx; e=4:8x8x8x8 is ctx(e)."),
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the drawing to this file.")] = None,
    as_json: Json = False,
) -> int | None:
    """Show a sentence, a published system, or a trial of a run: its tree, types, costs and drawing.

    A run without a trial is shown by its front.
    """
    from metamixer import resources

    run, number = _run_and_trial(subject, trial, runs)
    if run is None:
        size, inputs = None if grid is None else parse_grid(grid), [_context(one) for one in context or ()]
        from metamixer import catalog
        from metamixer.cli.output.show import show
        from metamixer.language import Field

        fields = {name: Field(axes, width) for name, width, axes in inputs}
        entry = catalog.find(subject)
        return show(
            sentence=subject if entry is None else str(entry.network),
            channels=channels or (64 if entry is None else entry.channels),
            grid=size or ((8, 8) if entry is None else entry.grid),
            svg=svg,
            as_json=as_json,
            context=fields,
        )

    record = resources.record(run, runs)
    from metamixer.cli.output.front import show_run
    from metamixer.cli.output.show import show_trial

    if number is None:
        if svg is not None:
            raise UserError("--svg draws one architecture", run, f"name its trial: metamixer show {run} TRIAL")
        return show_run(record=record, called=run, as_json=as_json)
    return show_trial(record=record, trial=number, svg=svg, as_json=as_json)
