"""`metamixer search`: run a study and print its front."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from metamixer.cli.program import Json, Overrides, Runs, command
from metamixer.record import url
from metamixer.search.samplers import registry

if TYPE_CHECKING:
    from metamixer.record.front import Point
    from metamixer.search.study import Outcome, Study

Dispatcher = Literal["ray", "inline"]
# Options that stand for a key of the study.
_KEYS = {
    "sampler": "search.sampler",
    "budget": "study.budget",
    "warm_start": "study.warm_start",
    "workers": "search.workers",
    "gpus": "search.gpus",
    "address": "search.address",
    "storage": "study.storage",
}


@dataclass(frozen=True)
class SearchOptions:
    """What `metamixer search` was given; None where an option was not."""

    study: str
    name: str | None = None
    runs: Path = Path("runs")
    settings: tuple[str, ...] = ()
    sampler: str | None = None
    budget: str | None = None
    warm_start: str | None = None
    dispatcher: Dispatcher | None = None
    workers: int | None = None
    gpus: float | None = None
    address: str | None = None
    storage: str | None = None
    retry_failed: bool = False
    as_json: bool = False

    @property
    def overrides(self) -> list[str]:
        """`section.key=value` of the study: those of `--set`, then those of the options, which win."""
        from metamixer.search.overrides import write

        given = {key: getattr(self, option) for option, key in _KEYS.items()}
        return [*self.settings, *(write(key, value) for key, value in given.items() if value is not None)]

    @property
    def command_line(self) -> str:
        """The command that runs or continues this search, for a shell."""
        words = ["metamixer", "search", self.study]
        words += ["--name", self.name] if self.name else []
        words += ["--runs", str(self.runs)] if self.runs != Path("runs") else []
        for setting in self.settings:
            words += ["--set", _without_secrets(setting)]
        for option in (*_KEYS, "dispatcher"):
            value = getattr(self, option)
            if option == "storage" and value is not None:
                value = url.without_secrets(value)
            words += [f"--{option.replace('_', '-')}", str(value)] if value is not None else []
        return shlex.join(words)

    @property
    def variables(self) -> str:
        """A line about the variables that `command_line` reads and that are not set, or nothing."""
        storage = self.storage or ""
        for setting in self.settings:
            name, _, value = setting.partition("=")
            storage = storage or (value.strip().strip("\"'") if name.strip() == "study.storage" else "")
        names = sorted({name for name in url.variables(storage) if name not in os.environ})
        return f"first:  export {' '.join(f'{name}=...' for name in names)}" if names else ""


def _without_secrets(setting: str) -> str:
    name, equals, value = setting.partition("=")
    if name.strip() != "study.storage":
        return setting
    return f'{name}{equals}"{url.without_secrets(value.strip().strip(chr(34) + chr(39)))}"'


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
        Dispatcher | None,
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
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run the trials of the record that failed again, then go on.")
    ] = False,
    as_json: Json = False,
) -> int | None:
    """Search a space for its Pareto front; the same command again continues where it stopped."""
    return run(
        SearchOptions(
            study=study,
            name=name,
            runs=runs,
            settings=tuple(overrides or ()),
            sampler=sampler,
            budget=budget,
            warm_start=warm_start,
            dispatcher=dispatcher,
            workers=workers,
            gpus=gpus,
            address=address,
            storage=storage,
            retry_failed=retry_failed,
            as_json=as_json,
        )
    )


def run(options: SearchOptions) -> int:
    """Run or continue a study, write its report, and print the front.

    Returns:
        0; 1 when nothing was trained successfully; 130 when Ctrl-C ended it.
    """
    from metamixer import record
    from metamixer.dashboards.offline import write
    from metamixer.record import front
    from metamixer.search.driver.progress import view
    from metamixer.search.execution.interrupt import EXIT_CODE
    from metamixer.search.study import Study

    study = Study.load(options.study, options.overrides, options.runs, options.name)
    shown = view(f"metamixer search {study.path.name}", options.as_json)
    try:
        outcome = study.run(options.dispatcher, shown, options.retry_failed)
    except KeyboardInterrupt:  # before the first trial, or while the database was away
        print(f"stopped; nothing is lost\ncontinue with: {options.command_line}", file=sys.stderr)
        return EXIT_CODE
    budget = study.config.budget
    if outcome.state == "interrupted":
        of = f"{outcome.trained} of {budget.amount:g}" if budget.unit == "trainings" else str(outcome.trained)
        print(
            "\n".join([f"stopped after {of} architectures; nothing is lost", *_reasons(outcome)])
            + (f"\n{options.variables}" if options.variables else "")
            + f"\ncontinue with: {options.command_line}",
            file=sys.stderr if options.as_json else sys.stdout,
        )
        return EXIT_CODE
    points = front.summary(record.read(study.path))
    settings = record.settings(study.path)
    report = Path(write(study.path))
    if options.as_json:
        print(json.dumps(_document(study, outcome, points, settings, report)))
    else:
        twice = replace(budget, amount=2 * (outcome.trained if budget.unit == "trainings" else budget.amount) or 1)
        more = replace(options, budget=twice.text)
        _print(study, outcome, points, settings, report, more)
    return 0 if any(point.kind == "searched" for point in points) else 1


def _document(
    study: Study, outcome: Outcome, points: list[Point], settings: dict[str, Any], report: Path
) -> dict[str, Any]:
    from metamixer.record import location

    def described(kind: str) -> list[dict[str, Any]]:
        return [{**asdict(point), "flops": point.flops} for point in points if point.kind == kind]

    return {
        "study": study.path.name,
        "run": str(study.path),
        "record": str(location.find(study.path)),
        "report": str(report),
        **asdict(outcome),
        "front": sorted((point for point in described("searched") if point["on_front"]), key=lambda p: p["flops"]),
        "baselines": described("baseline"),
        "references": settings["references"],
    }


def _print(
    study: Study, outcome: Outcome, points: list[Point], settings: dict[str, Any], report: Path, more: SearchOptions
) -> None:
    from rich.console import Console

    from metamixer.cli.output.front import accuracy, print_baselines, print_front

    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 160  # sentences are long, and a file has no edge
    members = sorted((point for point in points if point.on_front), key=lambda point: point.flops)
    print_front(console, f"Front of {study.path.name}", members)
    baselines = sorted((point for point in points if point.kind == "baseline"), key=lambda point: point.flops)
    if baselines:
        print_baselines(console, baselines)
    best = max(members, key=lambda point: point.accuracy, default=None)
    if best is not None:
        seeds = f"{best.seeds} seed{'' if best.seeds == 1 else 's'}"
        console.print(f"best: {accuracy(best)} over {seeds} (trial {best.number})")
        for reference, reached in settings["references"].items():
            word = "beaten" if best.accuracy > reached else "not beaten"
            console.print(f"{reference} on the same images: {reached:.4f} ({word})", markup=False)
    early = f" ({outcome.stopped} stopped early)" if outcome.stopped else ""
    console.print(
        f"{outcome.trained - outcome.lost} architectures trained{early}, {outcome.failed} trials failed,"
        f" {outcome.refused} proposals refused"
    )
    for line in _reasons(outcome):
        console.print(line, soft_wrap=True, markup=False)
    console.print(f"report: {report}", soft_wrap=True, markup=False)
    if more.variables:
        console.print(more.variables, soft_wrap=True, markup=False)
    console.print(f"go on:  {more.command_line}", soft_wrap=True, markup=False)


def _reasons(outcome: Outcome, most: int = 5) -> list[str]:
    """Why trials failed, by count, each with what to change."""
    from metamixer.search.driver import failures

    lines = []
    for reason, count in outcome.reasons[:most]:
        advice = failures.advice(reason)
        lines += [f"  {count} x {reason}" + (f": {advice}" if advice else "")]
    if len(outcome.reasons) > most:
        lines += [f"  and {len(outcome.reasons) - most} reasons more, in the report"]
    if lines:
        lines += ["  the same command with --retry-failed runs them again"]
    return lines
