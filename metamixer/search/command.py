"""`metamixer search`: run a study and print its front."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from metamixer import record
from metamixer.record import front
from metamixer.record import location as storages
from metamixer.record.front import Point
from metamixer.search.execution.interrupt import EXIT_CODE
from metamixer.search.progress import view
from metamixer.search.study import Dispatcher, Outcome, Study


def search(
    study: str,
    name: str | None,
    runs: Path,
    overrides: list[str],
    sampler: str | None,
    budget: str | None,
    warm_start: str | None,
    dispatcher: str | None,
    workers: int | None,
    gpus: float | None,
    address: str | None,
    storage: str | None,
    as_json: bool,
    write: Callable[[Path], Path],
) -> int:
    """Run or continue a study, write its report (by ``write``, given the run's folder), and print the front.

    Returns:
        0; 1 when nothing was trained successfully; 130 when Ctrl-C ended it.
    """
    asked = {
        "search.sampler": sampler,
        "study.budget": budget,
        "study.warm_start": warm_start,
        "search.workers": workers,
        "search.gpus": gpus,
    }
    asked |= {"search.address": address, "study.storage": storage}
    options = [f"{key}={json.dumps(value)}" for key, value in asked.items() if value is not None]
    searched = Study.load(study, [*overrides, *options])
    again = _command(study, name, runs, overrides, asked, dispatcher)
    searched = Study(searched.config, runs, name)
    outcome = searched.run(
        dispatcher=cast("Dispatcher | None", dispatcher), view=view(f"metamixer search {searched.path.name}", as_json)
    )
    points = front.summary(record.read(searched.path))
    settings = record.settings(searched.path)
    if outcome.state == "interrupted":
        limit = searched.config.budget
        of = f"{outcome.trained} of {limit.amount:g}" if limit.unit == "trainings" else str(outcome.trained)
        text = f"stopped after {of} architectures; nothing is lost"
        print(f"{text}\ncontinue with: {again}", file=sys.stderr if as_json else sys.stdout)
        return EXIT_CODE
    report = write(searched.path)
    if as_json:
        print(json.dumps(_document(searched, outcome, points, settings, Path(report))))
    else:
        spent = searched.config.budget
        twice = replace(spent, amount=2 * (outcome.trained if spent.unit == "trainings" else spent.amount) or 1)
        more = _command(study, name, runs, overrides, {**asked, "study.budget": twice.text}, dispatcher)
        _print(searched, outcome, points, settings, Path(report), more)
    return 0 if any(point.kind == "searched" for point in points) else 1


def _command(
    study: str, name: str | None, runs: Path, overrides: Sequence[str], asked: dict[str, Any], dispatcher: str | None
) -> str:
    """The command that was given, to be given again."""
    words = ["metamixer", "search", study]
    words += ["--name", name] if name else []
    words += ["--runs", str(runs)] if runs != Path("runs") else []
    for override in overrides:
        words += ["--set", override]
    for key, value in asked.items():
        words += [f"--{key.partition('.')[2].replace('_', '-')}", str(value)] if value is not None else []
    words += ["--dispatcher", dispatcher] if dispatcher else []
    return shlex.join(words)


def _document(
    study: Study, outcome: Outcome, points: list[Point], settings: dict[str, Any], report: Path
) -> dict[str, Any]:
    def rows(kind: str) -> list[dict[str, Any]]:
        return [{**asdict(point), "flops": point.flops} for point in points if point.kind == kind]

    return {
        "study": study.path.name,
        "run": str(study.path),
        "record": str(storages.find(study.path)),
        "report": str(report),
        **asdict(outcome),
        "front": sorted((row for row in rows("searched") if row["on_front"]), key=lambda row: row["flops"]),
        "baselines": rows("baseline"),
        "references": settings["references"],
    }


def _print(
    study: Study,
    outcome: Outcome,
    points: list[Point],
    settings: dict[str, Any],
    report: Path,
    more: str,
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # sentences are long, and a file has no edge
    table = Table(title=f"Front of {study.path.name}: validation accuracy against FLOPs (2 x MACs) of one input")
    table.box = box.SIMPLE_HEAD
    for column in ("trial", "accuracy", "seeds", "MFLOPs", "parameters"):
        table.add_column(column, justify="right")
    table.add_column("sentence", overflow="fold")
    members = sorted((point for point in points if point.on_front), key=lambda point: point.flops)
    for point in members:
        table.add_row(*_cells(point), _escaped(point.sentence))
    console.print(table)
    baselines = sorted((point for point in points if point.kind == "baseline"), key=lambda point: point.flops)
    if baselines:
        table = Table(title="Published designs, same training; dominated: by the front, beyond one standard error")
        table.box = box.SIMPLE_HEAD
        for column in ("trial", "accuracy", "seeds", "MFLOPs", "parameters"):
            table.add_column(column, justify="right")
        table.add_column("name")
        table.add_column("verdict")
        for point in baselines:
            table.add_row(*_cells(point), point.name or "", point.verdict or "")
        console.print(table)
    best = max(members, key=lambda point: point.accuracy, default=None)
    if best is not None:
        console.print(f"best: {_accuracy(best)} over {best.seeds} seeds (trial {best.number})")
        for reference, accuracy in settings["references"].items():
            word = "beaten" if best.accuracy > accuracy else "not beaten"
            console.print(f"{reference} on the same images: {accuracy:.4f} ({word})")
    early = f" ({outcome.stopped} stopped early)" if outcome.stopped else ""
    console.print(
        f"{outcome.trained} architectures trained{early}, {outcome.failed} trials failed,"
        f" {outcome.refused} proposals refused"
    )
    console.print(f"report: {report}", soft_wrap=True)
    console.print(f"go on:  {more}", soft_wrap=True)


def _cells(point: Point) -> tuple[str, str, str, str, str]:
    return (
        str(point.number),
        _accuracy(point),
        str(point.seeds),
        f"{point.flops / 1e6:.3f}",
        f"{point.cost['params']:,}",
    )


def _accuracy(point: Point) -> str:
    return f"{point.accuracy:.4f}" + (f" ± {point.error:.4f}" if point.error is not None else "")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
