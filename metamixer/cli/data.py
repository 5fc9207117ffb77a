"""`metamixer data`: a study's images, before anything is searched."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
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
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Delete caches of images that no run there has, nor any command has used for a day."
        ),
    ] = False,
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
    if prune:
        _prune(prepared.folder, runs, say, elsewhere=section.cache is not None)
    return report.show(prepared, sheet, as_json)


def _prune(folder: Path, runs: Path, say: Callable[[str], None], elsewhere: bool) -> None:
    """Delete what is beside a cache and what no run has."""
    from metamixer import record
    from metamixer.data.pruning import prune
    from metamixer.record import location

    if elsewhere:
        raise StudyError(
            "the cache lies where runs of other folders may use it, and they are not known here",
            "cache in [data]",
            "delete what is old there by hand",
        )
    needed = [folder]
    for run in runs.iterdir() if runs.is_dir() else ():
        if (run / location.FILE).is_file() or location.elsewhere(run) is not None:
            stored = record.settings(run)["task"].get("stored")
            needed += [Path(stored)] if stored else []
    deleted = prune(folder.parent, needed)
    for name, size in deleted:
        say(f"deleted {name}: {size / 1e6:,.1f} MB")
    say(f"{len(deleted)} caches deleted, {sum(size for _, size in deleted) / 1e6:,.1f} MB")
