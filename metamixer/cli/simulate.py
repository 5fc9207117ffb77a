"""`metamixer simulate`."""

from __future__ import annotations

from typing import Annotated

import typer

from metamixer.cli.program import Json, Overrides, command


@command(
    epilog="Examples: metamixer simulate mine.jsonl.xz --sampler random --sampler tpe --budget 100 --paired 12;"
    " metamixer simulate mine.jsonl.xz --set pruning.rule=successive-halving --budget 900epochs"
)
def simulate(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="A table that ships, a table's file, or NAS-Bench-Macro's JSON file.")
    ],
    sampler: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A sampler to run; may be given many times to compare.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="N", help="40 architectures, or 300epochs, or 2h of recorded time.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Trials at a time.")] = 1,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Searches with each sampler.")] = 5,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The first search's seed.")] = 0,
    paired: Annotated[
        int, typer.Option(metavar="N", min=0, help="Architectures that searches of one seed all begin with.")
    ] = 0,
    overrides: Overrides = None,
    as_json: Json = False,
) -> int | None:
    """Search a table of recorded trainings, in seconds: how good a sampler and a pruning rule are."""
    from metamixer.cli.output.simulate import simulate

    return simulate(
        table=table,
        samplers=sampler or [],
        budget=budget,
        workers=workers,
        repeats=repeats,
        seed=seed,
        overrides=overrides or [],
        as_json=as_json,
        paired=paired,
    )
