"""The program, and what its commands share: options, parsing of sizes, how a command ends.

Nothing heavy is imported before a command runs, so `metamixer --help` answers at once. Exit codes: 0 done, 1 the
command ran and the answer is bad, 2 the input is wrong (one message, no traceback), 130 interrupted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from metamixer import __version__
from metamixer.errors import UserError
from metamixer.record.url import hidden

P = ParamSpec("P")

app = typer.Typer(
    name="metamixer",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON document instead of text.")]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="The folder that holds the runs.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the study; may be given many times."),
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, its folder, or its study.db.")]


def command(epilog: str) -> Callable[[Callable[P, int | None]], Callable[P, int | None]]:
    """Register a command whose returned number is the exit code and whose user errors are printed, not traced."""

    def register(function: Callable[P, int | None]) -> Callable[P, int | None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> int | None:
            try:
                code = function(*args, **kwargs)
            except UserError as error:
                typer.secho("error: ", err=True, nl=False, fg=typer.colors.RED, bold=True)
                typer.echo(hidden(str(error)), err=True)
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                typer.echo("interrupted", err=True)
                raise typer.Exit(130) from None
            raise typer.Exit(code or 0)

        app.command(epilog=epilog)(guarded)
        return guarded

    return register


def order(names: Iterable[str]) -> None:
    """List the commands in this order in --help."""
    places = {name: place for place, name in enumerate(names)}
    app.registered_commands.sort(key=lambda info: places[getattr(info.callback, "__name__", "")])


def parse_grid(text: str) -> tuple[int, ...]:
    """`8x8` -> (8, 8); one to three sizes."""
    parts = text.lower().split("x")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r} is no grid; write its sizes with x between them: 8x8")
    return tuple(int(part) for part in parts)


Grid = Annotated[str, typer.Option(metavar="HxW", help="The input's grid: 8x8, or 64 for a sequence.")]
Channels = Annotated[int, typer.Option(metavar="C", min=1, help="The input's channels.")]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"metamixer {__version__}")
        raise typer.Exit


@app.callback()
def _metamixer(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search for neural architectures written as sentences of query-key-value mixers.

    Start with: metamixer search digits
    """
