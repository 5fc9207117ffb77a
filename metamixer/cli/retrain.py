"""`metamixer retrain`: the front trained in full, and measured on the test part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from metamixer.cli.program import Json, Runs, command
from metamixer.errors import UserError

Dispatcher = Literal["ray", "inline"]


@command(epilog="Examples: metamixer retrain digits --front; metamixer retrain 'digits#41' --seeds 5 --epochs 60")
def retrain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, with --front; or one trial of it: digits#41.")],
    front: Annotated[
        bool, typer.Option("--front", help="All members of the front, and the baselines, trained alike.")
    ] = False,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Trainings of each architecture.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Epochs of each; as many as in the search if not given.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="P", help="Published training settings in place of the study's recipe.")
    ] = None,
    runs: Runs = Path("runs"),
    dispatcher: Annotated[
        Dispatcher | None,
        typer.Option(help="Trainings on Ray workers, or one after another in this process; ray where it is installed."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Trainings at a time; one a core if not given.")
    ] = None,
    gpus: Annotated[
        float | None, typer.Option(metavar="X", min=0, help="GPUs a training; a fraction shares one.")
    ] = None,
    address: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Join this running Ray cluster.")] = None,
    as_json: Json = False,
) -> int | None:
    """Train a run's front on training and validation part, then measure it on the test part, once.

    What is trained already is kept: the same command again goes on where it stopped. Every look at the test part makes
    its figures a little less honest, so choose by validation, and retrain what was chosen.
    """
    named = re.fullmatch(r"(.+)#(\d+)", run)
    if bool(named) == front:
        raise UserError(
            "say what to retrain: the front, or one trial" if not named else "one trial, or --front: not both",
            run,
            f"metamixer retrain {run.partition('#')[0]} --front, or metamixer retrain '{run.partition('#')[0]}#41'",
        )
    from metamixer import retraining

    training: dict[str, Any] = {"preset": preset, "epochs": epochs}
    search: dict[str, Any] = {"workers": workers, "gpus": gpus, "address": address}
    place, complete = retraining.retrain(
        named[1] if named else run,
        int(named[2]) if named else None,
        seeds,
        {name: value for name, value in training.items() if value is not None},
        {name: value for name, value in search.items() if value is not None},
        dispatcher,
        runs,
        lambda line: typer.echo(line, err=as_json),
    )
    from metamixer.cli.output.retrained import show

    if not complete:
        typer.echo("interrupted; the same command goes on", err=True)
        return 130
    return show(place, as_json)
