"""`metamixer search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from metamixer.cli.program import Json, Overrides, Runs, command
from metamixer.search.samplers import registry


@command(epilog="Example: metamixer search digits --name quick --set training.epochs=3 --budget 12")
def search(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study that ships (digits), or a study's TOML file.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The run's name; the study's own name if not given.")
    ] = None,
    runs: Runs = Path("runs"),
    overrides: Overrides = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"How to propose: {', '.join(registry.SHIPPED)}, a plug-in's, or your own as package.module:Class;"
            " by default as the study says.",
        ),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="N", help="How much to train: 40 architectures, or 300epochs, or 2h.")
    ] = None,
    warm_start: Annotated[
        str | None, typer.Option(metavar="RUN", help="An earlier run; what it trained is known and not trained again.")
    ] = None,
    dispatcher: Annotated[
        Literal["ray", "inline"] | None,
        typer.Option(help="Trials on Ray workers, or one after another in this process; ray where it is installed."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Trials at a time; one a core if not given.")
    ] = None,
    gpus: Annotated[float | None, typer.Option(metavar="X", min=0, help="GPUs a trial; a fraction shares one.")] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Join this running Ray cluster; without it none is ever joined."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Keep the record in a database, postgresql://HOST/DATABASE, not in a file."),
    ] = None,
    as_json: Json = False,
) -> int | None:
    """Search a space for its Pareto front; the same command again continues where it stopped."""
    from metamixer.report.page import write
    from metamixer.search.command import search

    return search(
        study=study,
        name=name,
        runs=runs,
        overrides=overrides or [],
        sampler=sampler,
        budget=budget,
        warm_start=warm_start,
        dispatcher=dispatcher,
        workers=workers,
        gpus=gpus,
        address=address,
        storage=storage,
        as_json=as_json,
        write=write,
    )
