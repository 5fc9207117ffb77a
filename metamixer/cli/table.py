"""`metamixer table`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Run, Runs, command


@command(epilog="Example: metamixer table runs/digits-bench mine.jsonl.xz")
def table(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write; its name ends in .jsonl.xz.")],
    runs: Runs = Path("runs"),
) -> int | None:
    """Write a run's architectures, several seeds each, as a table for simulations."""
    from metamixer import resources

    record = resources.record(run, runs)
    from metamixer.cli.output.simulate import table

    return table(record=record, out=file)
