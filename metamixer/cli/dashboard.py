"""`metamixer dashboard`."""

from __future__ import annotations

import typer

from metamixer.cli.program import command


@command(epilog="Example: metamixer dashboard")
def dashboard() -> int | None:
    """Say how to watch and compare runs; the live web page is not part of this version."""
    typer.echo(
        "The live dashboard is not part of this version. The same record can be seen by\n"
        "  metamixer report RUN        the run's page again, also while it is running: report.html\n"
        "  metamixer show RUN TRIAL    one trial: tree, types, costs, drawing\n"
        "  optuna-dashboard sqlite:///runs/RUN/study.db    (a program of its own, installed with pip)"
    )
    return 0
