"""The command line: it parses options and hands them to one function of the room that does the work.

Nothing heavy is imported before a command runs, so `metamixer --help` answers at once. Exit codes: 0 done, 1 the
command ran and the answer is bad, 2 the input is wrong (one message, no traceback), 130 interrupted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, ParamSpec

import typer

from metamixer import __version__
from metamixer.errors import UserError

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


def _command(epilog: str) -> Callable[[Callable[P, int | None]], Callable[P, int | None]]:
    """Register a command whose returned number is the exit code and whose user errors are printed, not traced."""

    def register(function: Callable[P, int | None]) -> Callable[P, int | None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> int | None:
            try:
                code = function(*args, **kwargs)
            except UserError as error:
                typer.secho("error: ", err=True, nl=False, fg=typer.colors.RED, bold=True)
                typer.echo(str(error), err=True)
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                typer.echo("interrupted", err=True)
                raise typer.Exit(130) from None
            raise typer.Exit(code or 0)

        app.command(epilog=epilog)(guarded)
        return guarded

    return register


def _grid(text: str) -> tuple[int, ...]:
    """`8x8` -> (8, 8); one to three sizes."""
    parts = text.lower().split("x")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r} is no grid; write its sizes with x between them: 8x8")
    return tuple(int(part) for part in parts)


def _further(text: str) -> tuple[str, int, tuple[int, ...]]:
    """`e=4:8x8` -> ("e", 4, (8, 8)); without a name it is ctx. The grid has one size or more."""
    name, _, kind = text.rpartition("=")
    channels, _, grid = kind.partition(":")
    sizes = [channels, *grid.lower().split("x")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in sizes):
        raise typer.BadParameter(f"{text!r} is no input; write its channels and its grid: 64:8x8, or e=4:8x8")
    return name or "ctx", int(channels), tuple(int(part) for part in sizes[1:])


Grid = Annotated[str, typer.Option(metavar="HxW", help="The input's grid: 8x8, or 64 for a sequence.")]
Channels = Annotated[int, typer.Option(metavar="C", min=1, help="The input's channels.")]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"metamixer {__version__}")
        raise typer.Exit


def _print_schema(asked: bool) -> None:
    if asked:
        from metamixer.cost.command import space_schema

        raise typer.Exit(space_schema() or 0)


@app.callback()
def _metamixer(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search for neural architectures written as sentences of query-key-value mixers.

    Start with: metamixer search digits
    """


@_command(epilog="Example: metamixer search digits --name quick --set training.epochs=3 --budget 12")
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
            help="How to propose: known-cost, evolution, tpe, nsga2, gp, random; by default as the study says.",
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
    from metamixer.dashboards.offline import write
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


@_command(
    epilog="Examples: metamixer simulate mine.jsonl.xz --sampler random --sampler tpe --budget 100 --paired 12;"
    " metamixer simulate mine.jsonl.xz --set stopping.rule=halving --budget 900epochs"
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
    """Search a table of recorded trainings, in seconds: how good a sampler and a stopping rule are."""
    from metamixer.simulate.command import simulate

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


@_command(epilog="Example: metamixer table runs/digits-bench mine.jsonl.xz")
def table(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write; its name ends in .jsonl.xz.")],
    runs: Runs = Path("runs"),
) -> int | None:
    """Write a run's architectures, several seeds each, as a table for simulations."""
    from metamixer import resources

    record = resources.record(run, runs)
    from metamixer.simulate.command import table

    return table(record=record, out=file)


@_command(epilog="Example: metamixer report digits")
def report(
    run: Run,
    runs: Runs = Path("runs"),
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the front as a PNG too.")] = None,
    as_json: Json = False,
) -> int | None:
    """Build a run's page again: report.html, one file that opens without a network."""
    from metamixer import resources

    record = resources.record(run, runs)
    from metamixer.report.command import report

    return report(record=record, as_json=as_json, png=png)


@_command(epilog="Example: metamixer space digits --draw 5 --channels 1 --grid 8x8")
def space(
    name: Annotated[str, typer.Argument(metavar="SPACE", help="A space that ships (digits), or a space's TOML file.")],
    draw: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Print this many sentences drawn from it.")
    ] = None,
    channels: Channels = 1,
    grid: Grid = "8x8",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The draws' seed.")] = 0,
    as_json: Json = False,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            metavar="",
            callback=_print_schema,
            is_eager=True,
            help="Print the JSON Schema of space files and stop.",
        ),
    ] = False,
) -> int | None:
    """Tell a space's size, rules, and what its sentences cost; or draw some."""
    size = _grid(grid)
    from metamixer.cost.command import space

    return space(space=name, draw=draw, channels=channels, grid=size, seed=seed, as_json=as_json)


@_command(
    epilog="Examples: metamixer show 'att(lin,lin,lin)@h(4) >> lin' --channels 64 --grid 8x8; metamixer show digits 17"
)
def show(
    subject: Annotated[str, typer.Argument(metavar="SENTENCE|RUN", help="A sentence, or a run and its trial.")],
    trial: Annotated[int | None, typer.Argument(metavar="TRIAL", help="The trial's number in the run.")] = None,
    channels: Channels = 64,
    grid: Grid = "8x8",
    runs: Runs = Path("runs"),
    context: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]C:HxW", help="A further input: 64:8x8 is ctx; e=4:8x8x8x8 is ctx(e)."),
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the drawing to this file.")] = None,
    as_json: Json = False,
) -> int | None:
    """Show a sentence, or a trial of a run: its tree, types, costs and drawing. A trial brings its own input size."""
    if trial is None:
        size, further = _grid(grid), [_further(one) for one in context or ()]
        from metamixer.language import Field
        from metamixer.report.command import show

        fields = {name: Field(axes, width) for name, width, axes in further}
        return show(sentence=subject, channels=channels, grid=size, svg=svg, as_json=as_json, context=fields)

    from metamixer import resources

    record = resources.record(subject, runs)
    from metamixer.report.command import show_trial

    return show_trial(record=record, trial=trial, svg=svg, as_json=as_json)


@_command(epilog="Example: metamixer words --json")
def words(
    as_json: Json = False,
    as_page: Annotated[
        bool, typer.Option("--table", metavar="", help="Print the tables of docs/words.md: grids, and what counts.")
    ] = False,
) -> int | None:
    """List the vocabulary: what each word means, where it may stand, and what of it counts."""
    from metamixer.language.command import table

    return table(as_json=as_json, as_page=as_page)


@_command(epilog="Examples: metamixer catalog ffnet_1 --svg ffnet_1.svg; metamixer catalog --unsaid")
def catalog(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One system; all are listed without.")] = None,
    unsaid: Annotated[
        bool, typer.Option("--unsaid", metavar="", help="List what no sentence says, with the reason.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the system's drawing to this file.")] = None,
    as_json: Json = False,
) -> int | None:
    """List published systems as sentences, with their published and their counted costs; or show one."""
    from metamixer.catalog.command import catalog, list_unsaid

    if name is None and svg is not None:
        raise UserError("--svg draws one system", None, "name it: metamixer catalog ffnet_1 --svg ffnet_1.svg")
    if name is None and unsaid:
        return list_unsaid(as_json=as_json)
    if name is None or (as_json and svg is None):
        return catalog(name=name, as_json=as_json)
    from metamixer.report.command import draw_sentence, show_sentence

    return catalog(
        name=name,
        as_json=as_json,
        show=show_sentence,
        draw=None if svg is None else functools.partial(draw_sentence, svg=svg),
    )


@_command(
    epilog="Examples: metamixer diff ffnet_digits 'patch(2,48) >> res(dw(7) >> norm >> ffn(4))^4 >> norm'; "
    "metamixer diff digits:12 vit_digits"
)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A sentence, a name of the catalogue, or RUN:TRIAL.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    channels: Annotated[
        int | None, typer.Option(metavar="C", min=1, help="The input's channels; the run's or catalogue's, or 64.")
    ] = None,
    grid: Annotated[
        str | None, typer.Option(metavar="HxW", help="The input's grid; the run's or catalogue's, or 8x8.")
    ] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> int | None:
    """Show two architectures side by side: stages, costs, attributes."""
    size = None if grid is None else _grid(grid)
    from metamixer.report.command import diff

    return diff(a=a, b=b, channels=channels, grid=size, runs=runs, as_json=as_json)


@_command(epilog="Example: metamixer task digits-hard --noise")
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
    from metamixer.training.command import task

    return task(name=name, noise=noise, as_json=as_json)


@_command(epilog="Examples: metamixer dashboard runs; metamixer dashboard --host 0.0.0.0 --token new")
def dashboard(
    place: Annotated[
        str, typer.Argument(metavar="RUNS", help="A folder of runs, one run, or a database, postgresql://HOST/DATABASE.")
    ] = "runs",
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; another address than this machine's needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="The port, or the next free one.")] = 8501,
    token: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What a browser must bring; `new` makes one.")
    ] = None,
    browse: Annotated[bool, typer.Option("--open", metavar="", help="Open a browser.")] = False,
) -> int | None:
    """Watch searches, look at their architectures, choose one: a page in the browser, on this machine alone."""
    from metamixer.dashboards.command import dashboard

    return dashboard(place=place, host=host, port=port, token=token, browse=browse)


def main() -> None:
    """The program `metamixer`."""
    app()
