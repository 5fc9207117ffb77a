"""`metamixer task`."""

from __future__ import annotations

from typing import Annotated

import typer

from metamixer.cli.program import Json, command


@command(epilog="Example: metamixer task digits-hard --noise")
def task(
    name: Annotated[str, typer.Argument(metavar="TASK", help="The task's name: digits-hard.")],
    noise: Annotated[
        bool,
        typer.Option(
            "--noise", metavar="", help="Train 8 architectures on 3 seeds: spread of means over that of seeds."
        ),
    ] = False,
    as_json: Json = False,
) -> int | None:
    """Tell a task's data and what plain classifiers reach on it."""
    from metamixer.cli.output.task import task

    return task(name=name, noise=noise, as_json=as_json)
