"""`metamixer report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Json, Run, Runs, command


@command(epilog="Example: metamixer report digits")
def report(
    run: Run,
    runs: Runs = Path("runs"),
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the front as a PNG too.")] = None,
    as_json: Json = False,
) -> int | None:
    """Build a run's page again: report.html, one file that opens without a network."""
    from metamixer import resources

    record = resources.record(run, runs)
    from metamixer.cli.output.show import report
    from metamixer.dashboards.offline import write

    return report(record=record, as_json=as_json, write=write, png=png)
