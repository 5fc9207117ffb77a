"""The front of a run and its baselines as tables: `metamixer search` at its end, `metamixer show RUN`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from metamixer.cli.output.figures import Figure, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from metamixer.record.front import Point

SENTENCE = 20  # columns that a sentence has at least


def print_front(console: Console, title: str, members: Sequence[Point]) -> None:
    """Prints members of a front, one row each, with a column for each key of the recipe that was searched."""
    from rich.markup import escape

    recipe = tuple(dict.fromkeys(key for point in members for key in point.recipe))

    def table(figure: Figure) -> Table:
        made = _table(f"{escape(title)}: validation accuracy against FLOPs (2 x MACs) of one input", recipe)
        made.add_column("sentence", overflow="fold", min_width=SENTENCE)
        for point in members:
            made.add_row(*_cells(point, figure, recipe), escape(point.sentence))
        return made

    print_table(console, table)


def print_baselines(console: Console, baselines: Sequence[Point]) -> None:
    """Prints published designs that were trained alike, one row each, with what the front makes of them."""
    from rich.markup import escape

    def table(figure: Figure) -> Table:
        made = _table("Published designs, same training; dominated: by the front, beyond one standard error")
        made.add_column("name", overflow="fold")
        made.add_column("verdict")
        for point in baselines:
            made.add_row(*_cells(point, figure), escape(point.name or ""), point.verdict or "")
        return made

    print_table(console, table)


def accuracy(point: Point) -> str:
    """The mean over seeds, with its standard error where there are several."""
    return f"{point.accuracy:.4f}" + (f" ± {point.error:.4f}" if point.error is not None else "")


def _table(title: str, recipe: Sequence[str] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("trial", "accuracy", "seeds", "MFLOPs", "parameters", *recipe):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cells(point: Point, figure: Figure, recipe: Sequence[str] = ()) -> tuple[str, ...]:
    return (
        str(point.number),
        accuracy(point),
        str(point.seeds),
        f"{point.flops / 1e6:,.3f}",
        figure(point.cost["params"]),
        *(str(point.recipe.get(key, "")) for key in recipe),
    )


def show_run(record: Path, called: str, as_json: bool) -> int:
    """Lists the front of a run and its baselines, and says how a trial is shown.

    Args:
        record: The record.
        called: The run's name, as it was given.
        as_json: Print one JSON document instead.

    Returns:
        0; 1 when no architecture has finished training.

    Raises:
        RecordError: The record cannot be read.
    """
    from rich.console import Console

    from metamixer.cli.output.retrained import document, print_retrained
    from metamixer.record.retrained import summary
    from metamixer.record.run import load

    run = load(record)
    if as_json:
        members = [{**asdict(point), "flops": point.flops} for point in run.front]
        tested = document(summary(run.trials))
        print(json.dumps({"run": run.name, "trials": len(run.trials), "front": members, **tested}))
        return 0 if run.front else 1
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 160  # sentences are long, and a file has no edge
    if run.front:
        print_front(console, f"Front of {run.name}", run.front)
    else:
        console.print(f"no architecture of {run.name} has finished training", markup=False, soft_wrap=True)
    if run.baselines:
        print_baselines(console, run.baselines)
    print_retrained(console, run.trials)
    if run.trials:
        one = run.front[0].number if run.front else run.trials[-1].number
        counted = f"{len(run.trials)} trials, 0 to {run.trials[-1].number}"
        console.print(f"{counted}; one of them: metamixer show {called} {one}", markup=False, soft_wrap=True)
    return 0 if run.front else 1
