"""`metamixer data`: a study's images, before anything is searched."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Json, Overrides, Runs, command
from metamixer.errors import StudyError


@command(epilog="Example: metamixer data flowers.toml --sheet flowers.png")
def data(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study's TOML file with a section [data].")],
    runs: Runs = Path("runs"),
    overrides: Overrides = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the contact sheet (PNG) goes; beside the cached images if not given."),
    ] = None,
    as_json: Json = False,
) -> int | None:
    """Look at a study's images: counts, sizes, balance, broken files, duplicates; they are decoded as for a search."""
    from metamixer.data import cache, report
    from metamixer.search import configuration

    section = configuration.load(study, overrides or []).data
    if section is None:
        raise StudyError("the study has no section [data]", study, "metamixer task tells of the task it names")
    say = functools.partial(print, file=sys.stderr)
    prepared = cache.prepare(section, runs, say, shown=not as_json)
    return report.show(prepared, sheet, as_json)
